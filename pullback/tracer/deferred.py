"""Operations that wait: recorded as they come, they run together when an array that depends on them is looked at.

A value of this world carries `Contents`: its array once it is known, and how many tensors hold it. Values without
an array lead, through the operations that compute them, to values that have one. That graph is what runs. A graph
that comes back (same operations, same types, same results wanted) is recognised by its key: the first time it runs
operation by operation, from then on as one native function. Both give the same bits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from pullback.errors import CompileError
from pullback.ir.analysis.uses import operation_reads
from pullback.ir.clone import copy_region
from pullback.ir.core import Builder, Function, Op, Operation, Region, Value
from pullback.ir.ops.arithmetic import Pow
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.control import Control
from pullback.ir.ops.elementary import Smooth
from pullback.ir.ops.linear_system import Solve
from pullback.ir.ops.reduction import ReduceProd, ReduceSum
from pullback.ir.passes.pipeline import simplify
from pullback.ir.print import print_function
from pullback.ir.types import ArrayType, type_of
from pullback.location import caller

Array: TypeAlias = "np.ndarray[Any, Any]"
Runner: TypeAlias = Callable[[Sequence[Array]], list[Array]]
"""Native code of a function: arrays of exactly its argument types in, fresh arrays out."""

COMPILE_AT = 2
"""A graph is compiled when it is seen for this time; before, compiling would cost more than it saves."""
MAX_DEPTH = 500
"""Operations after each other that may wait; then they run, looked at or not: compiling more at once gains nothing."""
MAX_GRAPHS = 512
"""Compiled graphs kept, the least recently used given up first: each holds some 150 KiB of code."""


class Contents:
    """What is known of a value: its `array` (never written to), how many storages hold it, how deep it waits."""

    __slots__ = ("array", "depth", "holders")

    def __init__(self, array: Array | None = None, depth: int = 0) -> None:
        self.array = array
        self.holders = 0
        self.depth = depth


def known(array: Array, name: str = "") -> Value:
    """A value whose contents are `array`, which nobody may write to from now on."""
    value = Value(type_of(array), name=name)
    value.contents = Contents(array)
    return value


class Loose:
    """A result of an operation that waits, seen from the operation: it does not keep the value.

    A value keeps its operation, that its operands: whatever nobody can reach any more is gone at once, without a cycle.
    """

    __slots__ = ("type", "value")

    def __init__(self, value: Value) -> None:
        self.type = value.type
        self.value = ref(value)


def loosen(operation: Operation) -> None:
    """Let go of an operation's results, once whoever emitted it has them."""
    operation.results = tuple([Loose(result) for result in operation.results])  # type: ignore[misc]


def results_of(operation: Operation) -> list[Value | None]:
    """An operation's results, None for those that nobody holds any more."""
    return [each.value() if isinstance(each, Loose) else each for each in operation.results]


class Waiting(Builder):
    """Emits operations that wait; `operations` are those emitted through this builder and not yet let go, in order."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.location = caller()

    def let_go(self) -> None:
        """Whoever emitted has the results now."""
        for operation in self.operations:
            loosen(operation)
        self.operations.clear()

    def value(self, op: Op, *operands: Value) -> Value:
        result = self.emit(op, *operands).results[0]
        loosen(self.operations.pop())
        return result

    def insert(self, operation: Operation) -> None:
        self.operations.append(operation)
        depth = 0
        for operand in operation.operands:
            contents = operand.contents
            if contents is not None and contents.array is None and contents.depth > depth:
                depth = contents.depth
        for result in operation.results:
            result.contents = Contents(None, depth + 1)

    def capture(self, array: Array) -> Value:
        """An outside array as a value; it is copied, since its owner may write to it later."""
        return known(np.array(array, order="C"))


Key: TypeAlias = tuple[Any, ...]


@dataclass
class _Graph:
    """Operations that wait, in running order, the known values they start from, and the values they are to give."""

    operations: list[Operation]
    inputs: list[Value]
    outputs: list[Value]

    def key(self) -> Key:
        """What has to agree for the same native code to serve."""
        number: dict[Value, int] = {}
        parts: list[Any] = []
        for value in self.inputs:
            number[value] = len(number)
            parts.append(value.type)
        place = len(number)
        for operation in self.operations:
            parts.append(operation.op)
            if operation.regions:
                parts.append(_regions_text(operation, number))
            for operand in operation.operands:
                parts.append(number[operand])
            for result in results_of(operation):
                if result is not None:
                    number[result] = place
                place += 1
        parts.append(tuple([number[value] for value in self.outputs]))
        return tuple(parts)

    def function(self) -> Function:
        """The graph as a function of its inputs, free of the values that wait here."""
        arguments = [Value(value.type, name=f"x{index}") for index, value in enumerate(self.inputs)]
        replaced = dict(zip(self.inputs, arguments, strict=True))
        copies = []
        for operation in self.operations:
            types = [result.type for result in operation.results]
            operands = tuple([replaced[operand] for operand in operation.operands])
            regions = tuple([copy_region(region, replaced) for region in operation.regions])
            copy = Operation(operation.op, operands, types, regions, operation.location)
            for result, new in zip(results_of(operation), copy.results, strict=True):
                if result is not None:
                    replaced[result] = new
            copies.append(copy)
        return Function("tensors", Region(arguments, copies, [replaced[value] for value in self.outputs]))


def _regions_text(operation: Operation, number: dict[Value, int]) -> str:
    """The regions of an operation as text, outer values by their number."""
    outer = [Value(value.type, name=f"v{index}") for value, index in number.items()]
    replaced = dict(zip(number, outer, strict=True))
    regions = tuple([copy_region(region, dict(replaced)) for region in operation.regions])
    copy = Operation(operation.op, tuple([replaced[each] for each in operation.operands]), [each.type for each in
                     operation.results], regions)  # fmt: skip
    return print_function(Function("regions", Region(outer, [copy], copy.results)), locations=False)


def _collect(wanted: Sequence[Value]) -> _Graph:
    """The graph behind values: everything that waits below them, and who else wants a part of it."""
    operations: list[Operation] = []
    inputs: dict[Value, None] = {}
    seen: set[Operation] = set()
    stack: list[tuple[Operation, bool]] = []

    def visit(value: Value) -> None:
        owner = value.owner
        if value.contents.array is not None or owner is None:
            inputs[value] = None
        elif owner not in seen:
            stack.append((owner, False))

    for value in wanted:
        visit(value)
        while stack:
            operation, ready = stack.pop()
            if ready:
                operations.append(operation)
                continue
            if operation in seen:
                continue
            seen.add(operation)
            stack.append((operation, True))
            for operand in operation_reads(operation):
                visit(operand)
    outputs = {value: None for value in wanted if value.contents.array is None}
    for operation in operations:
        for result in results_of(operation):
            if result is not None and result.contents.holders > 0:
                outputs[result] = None
    return _Graph(operations, list(inputs), list(outputs))


@dataclass
class _Known:
    """A graph that was seen before: how often, and its native code once it is worth having."""

    count: int = 0
    runner: Runner | None = None


def _no_compiler(function: Function) -> Runner:
    raise CompileError("no compiler is connected to the tensors' engine")


@dataclass
class Engine:
    """Runs graphs that wait. `compile` makes native code of a function: the front door connects the compiler."""

    compile: Callable[[Function], Runner] = _no_compiler
    graphs: OrderedDict[Key, _Known] = field(default_factory=OrderedDict)
    steps: dict[tuple[Op, tuple[ArrayType, ...]], Runner] = field(default_factory=dict)

    def run(self, wanted: Sequence[Value]) -> None:
        """Compute the arrays of values, and of all that tensors hold on the way there.

        Raises: what the operations raise, with the user's line.
        """
        graph = _collect(wanted)
        if not graph.operations:
            return
        key = graph.key()
        found = self.graphs.get(key)
        if found is None:
            found = self.graphs[key] = _Known()
            if len(self.graphs) > MAX_GRAPHS:
                self.graphs.popitem(last=False)
        else:
            self.graphs.move_to_end(key)
        found.count += 1
        if found.runner is None and found.count >= COMPILE_AT:
            found.runner = self.compile(graph.function())
        arrays = [value.contents.array for value in graph.inputs]
        results = self._by_steps(graph) if found.runner is None else found.runner(arrays)
        for value, array in zip(graph.outputs, results, strict=True):
            value.contents.array = array
            # Nothing below is needed for this value any more.
            value.owner = None

    def _by_steps(self, graph: _Graph) -> list[Array]:
        """Run one operation after the other."""
        if any(isinstance(operation.op, Pow) for operation in graph.operations):
            # Simple powers become products, also those of derivatives: the one rewriting that shows in the last bit.
            function = graph.function()
            simplify(function, rolls=False)
            inputs = zip(function.body.arguments, graph.inputs, strict=True)
            arrays = {argument: value.contents.array for argument, value in inputs}
            graph = _Graph(function.body.operations, function.body.arguments, list(function.body.yields))
        else:
            arrays = {value: value.contents.array for value in graph.inputs}
        last_use = {operand: operation for operation in graph.operations for operand in operation_reads(operation)}
        kept = set(graph.outputs)
        with np.errstate(all="ignore"):
            for operation in graph.operations:
                reads = operation_reads(operation)
                results = self._step(operation, [arrays[operand] for operand in reads], reads)
                for result, array in zip(results_of(operation), results, strict=True):
                    if result is not None:
                        arrays[result] = array
                for operand in reads:
                    if last_use[operand] is operation and operand not in kept:
                        arrays.pop(operand, None)
        # An operation may hand on its operand: contents never share memory with what a caller may see change.
        return [arrays[value] for value in graph.outputs]

    def _step(self, operation: Operation, operands: list[Array], reads: Sequence[Value]) -> Sequence[Array]:
        """One operation: by NumPy where that gives the bits that native code gives, else by native code of its own."""
        op = operation.op
        if isinstance(op, Control):
            wanted = [result for result in results_of(operation) if result is not None]
            arrays = self.compile(_Graph([operation], list(dict.fromkeys(reads)), wanted).function())(operands)
            found = dict(zip(wanted, arrays, strict=True))
            # What nobody holds is not computed; nobody will look at what stands for it.
            return [arrays[0] if result is None else found[result] for result in results_of(operation)]
        if _is_exact(op):
            return [np.asarray(each) for each in op.evaluate(*operands)]
        key = (op, tuple([operand.type for operand in operation.operands]))
        runner = self.steps.get(key)
        if runner is None:
            runner = self.steps[key] = self.compile(_one_operation(operation))
        return runner(operands)


def _one_operation(operation: Operation) -> Function:
    """A function of one operation whose operands are all different arguments."""
    arguments = [Value(operand.type, name=f"x{index}") for index, operand in enumerate(operation.operands)]
    copy = Operation(operation.op, tuple(arguments), [each.type for each in operation.results], (), operation.location)
    return Function("step", Region(arguments, [copy], copy.results))


def _is_exact(op: Op) -> bool:
    """Whether NumPy and native code give the same bits: all but rounded functions and sums in another order."""
    if isinstance(op, Elementwise):
        return not isinstance(op, Smooth | Pow)
    return not isinstance(op, ReduceSum | ReduceProd | Matmul | Solve)


ENGINE = Engine()
"""The process's engine: its compiled graphs serve every tensor."""


def array_of(value: Value) -> Array:
    """The elements of a value, computed now if they wait. Not to be written to."""
    contents: Contents = value.contents
    if contents.array is None:
        ENGINE.run([value])
    array = contents.array
    assert array is not None
    return array


def settle(value: Value) -> None:
    """Compute a value whose chain of waiting operations has become too long."""
    if value.contents.array is None and value.contents.depth > MAX_DEPTH:
        ENGINE.run([value])
