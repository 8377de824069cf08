"""Operations that wait: recorded as they come, they run together when an array that depends on them is looked at.

A value of this world carries `Contents`: its array once it is known, and how many tensors hold it. Values without
an array lead, through the operations that compute them, to values that have one. That graph is what runs. A graph
that comes back (same operations, same types, same results wanted) is recognised by its key: the first time it runs
operation by operation, from then on as one native function. Both give the same bits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
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
from pullback.ir.passes.reroll import rolled_copy
from pullback.ir.print import print_function
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.contents import Contents, known
from pullback.tracer.recipe import Recipe, behind
from pullback.tracer.unit import Unit

Array: TypeAlias = "np.ndarray[Any, Any]"
Runner: TypeAlias = Callable[[Sequence[Array]], Sequence[Array]]
"""Native code of a function: arrays of exactly its argument types in, fresh arrays out."""

COMPILE_AT = 2
"""A graph is compiled when it is seen for this time; before, compiling would cost more than it saves."""
MAX_DEPTH = 50_000
"""Operations after each other that may wait; then they run, looked at or not, so that what waits does not fill the memory."""
MOST_COMPILED = 5000
"""Operations of a graph that is compiled, loops counting as their bodies: more take seconds, and run as fast one by one."""
MAX_GRAPHS = 512
"""Compiled graphs kept, the least recently used given up first: each holds some 150 KiB of code."""


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


def take_apart(unit: Unit) -> None:
    """Let the values of a unit that somebody can reach come from its operations instead, one by one."""
    slots = list(unit.operands)
    live = {value.index: value for value in unit.given() if value.contents.array is None}
    for number, step in enumerate(unit.op.steps):
        inputs = tuple([slots[place] for place in step.operands])
        operation = Operation(step.op, inputs, step.types, (), unit.location_of(number))
        results = []
        for fresh in operation.results:
            value = live.get(len(slots) + fresh.index, fresh)
            value.owner, value.index = operation, fresh.index
            if value is fresh:
                value.contents = Contents(None, unit.depth)
            results.append(value)
        operation.results = tuple(results)
        loosen(operation)
        slots += results
    unit.forget()


def results_of(operation: Operation) -> list[Value]:
    """An operation's results, those that somebody can reach."""
    if isinstance(operation, Unit):
        return operation.given()
    found = [each.value() if isinstance(each, Loose) else each for each in operation.results]
    return [each for each in found if each is not None]


Slots: TypeAlias = "Unit | list[Value]"
"""The values of a recipe's slots, by number."""


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

    def put(self, recipe: Recipe, inputs: Sequence[Value]) -> Slots:
        """Put a recipe down; gives the values of its slots."""
        whole = recipe.whole
        if whole is not None:
            return Unit(whole, (*inputs, *recipe.constants), self.location)
        slots = recipe.follow(self, inputs)
        self.let_go()
        return slots

    def insert(self, operation: Operation) -> None:
        self.operations.append(operation)
        depth = 0
        for operand in operation.operands:
            contents = operand.contents
            if contents is not None and contents.depth > depth:
                depth = contents.depth
        for result in operation.results:
            result.contents = Contents(None, depth + 1)

    def capture(self, array: Array) -> Value:
        """An outside array as a value; it is copied, since its owner may write to it later."""
        return known(np.array(array, order="C"))


Key: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class _Graph:
    """Operations that wait, in running order, the known values they start from, and the values they are to give.

    `key` is what has to agree for the same native code to serve: ops, what each reads by number (inputs count down from
    -1, results up from 0), the types of inputs where an op does not say them, and the numbers of what is wanted.
    """

    operations: list[Operation]
    inputs: list[Value]
    outputs: list[Value]
    key: Key

    def function(self) -> Function:
        """The graph as a function of its inputs, free of the values that wait here, units taken apart."""
        arguments = [Value(value.type, name=f"x{index}") for index, value in enumerate(self.inputs)]
        replaced = dict(zip(self.inputs, arguments, strict=True))
        made: dict[Operation, Sequence[Value]] = {}

        def now(value: Value) -> Value:
            found = replaced.get(value)
            return made[value.owner][value.index] if found is None else found  # type: ignore[index]

        copies: list[Operation] = []
        for operation in self._as_recorded():
            operands = tuple([now(operand) for operand in operation.operands])
            if isinstance(operation, Unit):
                operations, made[operation] = operation.follow(operands)
                copies += operations
                continue
            types = [result.type for result in operation.results]
            outer = {value: now(value) for value in operation_reads(operation)} if operation.regions else {}
            regions = tuple([copy_region(region, dict(outer)) for region in operation.regions])
            copy = Operation(operation.op, operands, types, regions, operation.location)
            made[operation] = copy.results
            copies.append(copy)
        yields = [now(value) for value in self.outputs]
        return Function("tensors", Region(arguments, behind(yields, copies), yields))


    def _as_recorded(self) -> list[Operation]:
        """The operations in the order in which they came: so that what a loop of the user's did again is seen to repeat.

        What is no unit comes right after what it reads.
        """
        since: dict[Operation, int] = {}
        for operation in self.operations:
            if isinstance(operation, Unit):
                since[operation] = operation.number
            else:
                since[operation] = max([since[each.owner] for each in _reads(operation) if each.owner is not None], default=-1)
        return sorted(self.operations, key=since.__getitem__)


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
    # A value waits as long as it has an owner: it gets its array and loses its owner at once.
    outputs = dict.fromkeys([value for value in wanted if value.owner is not None])
    inputs: dict[Value, int] = {}
    first: dict[Operation, int] = {}
    """The number of an operation's first result (of a unit: of its first slot)."""
    parts: list[Any] = []
    place = 0
    stack: list[tuple[Operation, Iterator[Value]]] = []
    for value in list(outputs):
        operation = value.owner
        if operation is None or operation in first:
            continue
        reads = iter(_reads(operation))
        # From here on: an op, then what it reads one by one. Of what waits unnumbered, that is which result, then its op.
        parts += (None, operation.op)
        while True:
            for operand in reads:
                owner = operand.owner
                if owner is None:
                    number = inputs.get(operand)
                    if number is None:
                        number = inputs[operand] = ~len(inputs)
                    parts.append(number)
                    if type(operation) is not Unit:
                        parts.append(operand.type)
                    continue
                start = first.get(owner)
                if start is None:
                    # First what is below; then on from here.
                    stack.append((operation, reads))
                    operation, reads = owner, iter(_reads(owner))
                    parts += (operand.index, owner.op)
                    break
                parts.append(start + operand.index)
            else:
                first[operation] = place
                if type(operation) is Unit:
                    results: list[Value] = operation.given()
                    place += len(operation.op.slots)
                else:
                    results = results_of(operation)
                    # Of an op with any number of operands, here they end.
                    parts.append(None)
                    if operation.regions:
                        parts.append(_regions_text(operation, {
                            read: inputs[read] if read.owner is None else first[read.owner] + read.index
                            for read in _reads(operation)
                        }))  # fmt: skip
                    place += len(operation.results)
                for result in results:
                    if result.contents.holders > 0 and result.owner is not None:
                        outputs[result] = None
                if not stack:
                    break
                operation, reads = stack.pop()
    key = tuple(parts), tuple([first[value.owner] + value.index for value in outputs])  # type: ignore[index]
    return _Graph(list(first), list(inputs), list(outputs), key)


def _reads(operation: Operation) -> Sequence[Value]:
    return operation_reads(operation) if operation.regions else operation.operands


@dataclass
class _Known:
    """A graph that was seen before: how often, its native code once it is worth having, and whether it is too large."""

    count: int = 0
    runner: Runner | None = None
    is_too_large: bool = False


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
        key = graph.key
        found = self.graphs.get(key)
        if found is None:
            found = self.graphs[key] = _Known()
            if len(self.graphs) > MAX_GRAPHS:
                self.graphs.popitem(last=False)
        else:
            self.graphs.move_to_end(key)
        found.count += 1
        if found.runner is None and found.count >= COMPILE_AT and not found.is_too_large:
            function = graph.function()
            if len(function.body.operations) > MOST_COMPILED:
                function = rolled_copy(function)
                found.is_too_large = len(function.body.operations) > MOST_COMPILED
            if not found.is_too_large:
                found.runner = self.compile(function)
        arrays = [value.contents.array for value in graph.inputs]
        results = self._by_steps(graph) if found.runner is None else found.runner(arrays)
        for value, array in zip(graph.outputs, results, strict=True):
            contents = value.contents
            contents.array = array
            contents.depth = 0
            # Nothing below is needed for this value any more.
            value.owner = None

    def _by_steps(self, graph: _Graph) -> Sequence[Array]:
        """Run one operation after the other."""
        function = graph.function()
        if any(isinstance(operation.op, Pow) for operation in function.body.operations):
            # Simple powers become products, also those of derivatives: the one rewriting that shows in the last bit.
            simplify(function, rolls=False)
        operations, outputs = function.body.operations, function.body.yields
        inputs = zip(function.body.arguments, graph.inputs, strict=True)
        arrays: dict[Value, Array] = {argument: value.contents.array for argument, value in inputs}
        last_use = {operand: operation for operation in operations for operand in operation_reads(operation)}
        kept = set(outputs)
        with np.errstate(all="ignore"):
            for operation in operations:
                reads = operation_reads(operation)
                wanted = [result for result in operation.results if result in last_use or result in kept]
                results = self._step(operation, [arrays[operand] for operand in reads], reads, wanted)
                arrays.update(zip(wanted, results, strict=True))
                for operand in reads:
                    if last_use[operand] is operation and operand not in kept:
                        arrays.pop(operand, None)
        # An operation may hand on its operand: contents never share memory with what a caller may see change.
        return [arrays[value] for value in outputs]

    def _step(
        self, operation: Operation, operands: list[Array], reads: Sequence[Value], wanted: Sequence[Value]
    ) -> Sequence[Array]:
        """The wanted results of one operation: by NumPy where that gives the bits of native code, else by such code."""
        op = operation.op
        if isinstance(op, Control):
            types = [result.type for result in operation.results]
            arguments = [Value(value.type, name=f"x{index}") for index, value in enumerate(reads)]
            replaced = dict(zip(reads, arguments, strict=True))
            regions = tuple([copy_region(region, dict(replaced)) for region in operation.regions])
            copy = Operation(op, tuple([replaced[each] for each in operation.operands]), types, regions, operation.location)
            # What nobody reads is not computed.
            yields = [copy.results[result.index] for result in wanted]
            return self.compile(Function("step", Region(arguments, [copy], yields)))(operands)
        return [array for result, array in zip(operation.results, self._all_results(operation, operands), strict=True)
                if result in wanted]  # fmt: skip

    def _all_results(self, operation: Operation, operands: list[Array]) -> Sequence[Array]:
        op = operation.op
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
