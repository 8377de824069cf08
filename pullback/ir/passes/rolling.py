"""Runs of steps that were found are replaced by loops: steps, roles of operands and outputs in, `for` operations out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pullback.dtypes import DType, i64
from pullback.ir.analysis.inductions import Array, Constants, Form, Line, Stack, Windows, form_of, line_of
from pullback.ir.analysis.outputs import Outputs, Part, Source
from pullback.ir.analysis.repeats import Scan
from pullback.ir.analysis.steps import Result, Role, Run, Same
from pullback.ir.clone import copy_region
from pullback.ir.core import Builder, Function, Op, Operation, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Add, Cast, Mul
from pullback.ir.ops.control import For
from pullback.ir.ops.creation import Full
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Concatenate, Reshape, Slice, Transpose
from pullback.ir.ops.window import DynamicSlice, DynamicUpdate
from pullback.ir.types import ArrayType, Dim, Shape, type_of


class Rolling:
    """Replaces runs of a region, in order, by loops. Constants that no line holds become captured arrays.

    What is no run stays what it is, or is copied into the body of `function` if there are `copies` of its arguments.
    """

    def __init__(
        self, function: Function, scan: Scan, runs: Sequence[tuple[Run, Outputs]],
        copies: Mapping[Value, Value] | None = None,
    ) -> None:  # fmt: skip
        self.function = function
        self.region = scan.region
        self.loops = [_Loop(self, run, outputs) for run, outputs in runs]
        self.copies = copies is not None
        self.replaced: dict[Value, Value] = dict(copies or ())
        self.operations: list[Operation] = []
        self.b = RegionBuilder(Region())
        self.b.region.operations = self.operations
        self.tables: dict[tuple[ArrayType, bytes], Value] = {}

    def apply(self) -> None:
        """Rewrite the region, or write the copy."""
        inside: set[Operation] = set()
        ends: dict[Operation, _Loop] = {}
        joins: dict[Operation, list[tuple[_Loop, Part]]] = {}
        for loop in self.loops:
            run, operations = loop.run, loop.run.scan.operations
            inside.update(operations[run.first : run.last])
            ends[operations[run.last - 1]] = loop
            for number, parts in loop.outputs.joins.items():
                joins.setdefault(operations[number], []).extend((loop, part) for part in parts)
        for operation in self.region.operations:
            if operation not in inside:
                operands = operation.operands
                if operation in joins:
                    self.b.location = operation.location
                    operands = self.join(operation, joins[operation])
                self.keep(operation, self.final(operands))
            elif operation in ends:
                self.b.location = ends[operation].run.step[0].location
                ends[operation].emit()
        target = self.function.body if self.copies else self.region
        target.operations = self.operations
        target.yields = self.final(self.region.yields)

    def keep(self, operation: Operation, operands: tuple[Value, ...]) -> None:
        """Put an operation that is no part of a run, or a copy of it, after what is there, with other operands."""
        if self.copies:
            regions = tuple([copy_region(region, self.replaced) for region in operation.regions])
            types = [result.type for result in operation.results]
            copy = Operation(operation.op, operands, types, regions, operation.location)
            self.replaced.update(zip(operation.results, copy.results, strict=True))
            self.operations.append(copy)
            return
        operation.operands = operands
        for inner in operation.regions:
            self.enter(inner)
        self.operations.append(operation)

    def final(self, values: Sequence[Value]) -> tuple[Value, ...]:
        """What stands for values now."""
        return tuple([self.replaced.get(value, value) for value in values])

    def enter(self, region: Region) -> None:
        """Replace what a region of an operation that stays reads."""
        pending = [region]
        while pending:
            current = pending.pop()
            current.yields = self.final(current.yields)
            for operation in current.operations:
                operation.operands = self.final(operation.operands)
                pending += operation.regions

    def join(self, operation: Operation, parts: Sequence[tuple[_Loop, Part]]) -> tuple[Value, ...]:
        """What a concatenation reads: parts of collected arrays in place of the values in them."""
        assert isinstance(operation.op, Concatenate)
        axis = operation.op.axis
        operands: list[Value] = []
        place = 0
        for loop, part in sorted(parts, key=lambda each: each[1].place):
            operands += operation.operands[place : part.place]
            operands.append(_joined(self.b, loop.arrays, part, axis))
            place = part.place + part.count
        return *operands, *operation.operands[place:]

    def table(self, array: Array) -> Value:
        """A captured array with these elements."""
        kind = type_of(array)
        key = kind, array.tobytes()
        known = self.tables.get(key)
        if known is None:
            array.flags.writeable = False
            known = self.tables[key] = Value(kind, name=f"table{len(self.function.captured)}")
            self.function.body.arguments.append(known)
            self.function.captured.append(array)
        return known


def _joined(b: Builder, arrays: Mapping[Source, Value], part: Part, axis: int) -> Value:
    """Elements of collected arrays as a concatenation along an axis has them."""
    shape, rounds, width = part.shape, part.rounds, len(part.sources)
    rows = [_rows(b, arrays[source], step, stride, rounds)
            for source, step, stride in zip(part.sources, part.steps, part.strides, strict=True)]  # fmt: skip
    array = rows[0]
    if width > 1:
        array = b.value(Concatenate(1), *[_reshaped(b, each, (rounds, 1, *shape)) for each in rows])
    if axis:
        array = _reshaped(b, array, (part.count, *shape))
        array = b.value(Transpose((*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1))), array)
    return _reshaped(b, array, (*shape[:axis], part.count * shape[axis], *shape[axis + 1 :]))


def _rows(b: Builder, array: Value, step: int, stride: int, count: int) -> Value:
    """The results of some steps: all in order as they are, others by a slice."""
    total, *dims = array.type.shape
    if (step, stride, count) == (0, 1, total):
        return array
    return b.value(Slice((step, *(0 for _ in dims)), (count, *dims), (stride, *(1 for _ in dims))), array)


def _reshaped(b: Builder, value: Value, dims: Sequence[Dim]) -> Value:
    return value if value.type.dims == tuple(dims) else b.value(Reshape(tuple(dims)), value)


@dataclass(eq=False)
class _Loop:
    """The loop of one run while it is made.

    `registers` are what is carried: results of earlier steps, by source and by what stood for them before the first
    step, nearest step first. `arrays` are the collected results after the loop.
    """

    rolling: Rolling
    run: Run
    outputs: Outputs
    body: Region = field(default_factory=Region)
    computed: dict[Source, Value] = field(default_factory=dict)
    registers: dict[tuple[Source, tuple[Value, ...]], Value] = field(default_factory=dict)
    arrays: dict[Source, Value] = field(default_factory=dict)
    found: dict[Any, Value] = field(default_factory=dict)

    def emit(self) -> None:
        """Make the loop and what it takes, and say what stands for the results of its steps."""
        rolling, run, outputs = self.rolling, self.run, self.outputs
        outer, inner = rolling.b, RegionBuilder(self.body)
        self.counter = Value(ArrayType(i64, ()), name="i")
        self.inner = inner
        for position, operation in enumerate(run.step):
            inner.location = operation.location
            self.copy(position, operation)
        late = {(source, back): self.late(source, back) for source, backs in outputs.late.items() for back in backs}
        kept = list(self.registers)
        starts = [rolling.replaced.get(history[-1], history[-1]) for _, history in kept]
        after = [self.computed[source] if len(history) == 1 else self.registers[source, history[:-1]]
                 for source, history in kept]  # fmt: skip
        arguments = [self.registers[each] for each in kept]
        for source in outputs.collected:
            value = self.computed[source]
            inner.location = run.step[source[0]].location
            dims = value.type.shape
            array = Value(ArrayType(value.type.dtype, (run.trips, *dims)), name="collected")
            window = inner.value(Reshape((1, *dims)), value)
            starts.append(self.filled(array.type))
            arguments.append(array)
            after.append(inner.value(DynamicUpdate(False), array, window, self.counter, *(self.whole(0) for _ in dims)))
        self.body.arguments = [self.counter, *arguments]
        self.body.yields = tuple(after)
        ends = self.whole(0), self.whole(run.trips), self.whole(1)
        results = outer.emit(For(()), *ends, *starts, regions=(self.body,)).results
        self.arrays = dict(zip(outputs.collected, results[len(kept) :], strict=True))
        for (source, back), key in late.items():
            rolling.replaced[self.result(source, run.trips - back)] = results[kept.index(key)]
        for source, step in outputs.windows:
            self.window_again(source, step)
        for source, step in outputs.singles:
            array = self.arrays[source]
            dims = array.type.shape[1:]
            one = outer.value(Slice((step, *(0 for _ in dims)), (1, *dims), (1,) * (1 + len(dims))), array)
            rolling.replaced[self.result(source, step)] = outer.value(Reshape(dims), one)

    def window_again(self, source: Source, step: int) -> Value:
        """A window of what was there before the loop, as a step has it."""
        replaced, result = self.rolling.replaced, self.result(source, step)
        if result not in replaced:
            operation = result.owner
            assert operation is not None
            (operand,) = operation.operands
            role = self.run.roles[source[0]][0]
            if isinstance(role, Result):
                operand = self.window_again((role.position, role.index), step)
            replaced[result] = self.rolling.b.value(operation.op, replaced.get(operand, operand))
        return replaced[result]

    def result(self, source: Source, step: int) -> Value:
        """What a step computed before the loop was made."""
        position, index = source
        return self.run.scan.operations[self.run.first + step * self.run.period + position].results[index]

    def copy(self, position: int, operation: Operation) -> None:
        """Put an operation of the first step into the body."""
        roles = self.run.roles[position]
        reads = [self.read(role) for role in roles]
        count = len(operation.operands)
        if position in self.run.windows:
            op = operation.op
            assert isinstance(op, Slice)
            made: Sequence[Value] = [self.window(reads[0], self.run.windows[position], op.sizes)]
        else:
            around = self.run.scan.reads[self.run.first + position][count:]
            known = dict(zip(around, reads[count:], strict=True))
            regions = tuple([copy_region(region, dict(known)) for region in operation.regions])
            types = [result.type for result in operation.results]
            new = Operation(operation.op, tuple(reads[:count]), types, regions, operation.location)
            self.inner.insert(new)
            made = new.results
        for index, value in enumerate(made):
            self.computed[position, index] = value

    def read(self, role: Role) -> Value:
        """What an operand is in the body."""
        if isinstance(role, Same):
            return self.rolling.replaced.get(role.value, role.value)
        if isinstance(role, Result):
            source = role.position, role.index
            return self.register(source, role.initial[::-1]) if role.initial else self.computed[source]
        known = self.found.get(role)
        if known is None:
            form = form_of(role.values)
            assert form is not None
            known = self.found[role] = self.varying(form, role.values[0].type)
        return known

    def register(self, source: Source, history: tuple[Value, ...]) -> Value:
        """The result of ``len(history)`` steps ago, with those after it."""
        for length in range(1, len(history) + 1):
            key = source, history[:length]
            if key not in self.registers:
                start = history[length - 1]
                self.registers[key] = Value(start.type, name=start.name)
        return self.registers[source, history]

    def late(self, source: Source, back: int) -> tuple[Source, tuple[Value, ...]]:
        """The register that after the loop holds a result of the last but ``back - 1`` step."""
        histories = [history for each, history in self.registers if each == source]
        for history in histories:
            if len(history) == back:
                return source, history
        history = max(histories, key=len, default=())
        zero = self.filled(self.computed[source].type)
        history = (*history, *(zero for _ in range(back - len(history))))[:back]
        self.register(source, history)
        return source, history

    # Values that depend on the step

    def varying(self, form: Form, kind: ArrayType) -> Value:
        """A value in the body that is another in each step."""
        b = self.inner
        match form:
            case Constants(numbers):
                value = self.number(numbers, kind.dtype)
                return b.value(Broadcast(kind.dims, ()), value) if kind.dims else value
            case Windows(whole, starts, sizes, dims):
                value = self.window(self.rolling.replaced.get(whole, whole), starts, sizes)
                for each in dims:
                    value = b.value(Reshape(each), value)
                return value
            case Stack(values):
                outer, shape = self.rolling.b, kind.shape
                rows = [outer.value(Reshape((1, *shape)), value) for value in self.rolling.final(values)]
                return self.row(outer.value(Concatenate(0), *rows), shape)

    def number(self, numbers: Line | Array, dtype: DType) -> Value:
        """A number that lies on a line or stands in a table."""
        if not isinstance(numbers, Line):
            return self.row(self.rolling.table(numbers), ())
        value = self.counter
        if numbers.stride != 1:
            value = self.once(Mul(), value, self.whole(numbers.stride))
        if numbers.start:
            value = self.once(Add(), value, self.whole(numbers.start))
        return value if dtype is i64 else self.once(Cast(dtype), value)

    def window(self, whole: Value, starts: Sequence[tuple[int, ...]], sizes: tuple[int, ...]) -> Value:
        """The window that moves over an array; where it starts was tested when its slices were made."""
        places = []
        for column in zip(*starts, strict=True):
            if all(start == column[0] for start in column):
                places.append(self.whole(column[0]))
            else:
                line = line_of(column)
                places.append(self.number(np.array(column, np.int64) if line is None else line, i64))
        return self.inner.value(DynamicSlice(sizes, False), whole, *places)

    def row(self, array: Value, shape: Shape) -> Value:
        """The row of an array that has the number of the step."""
        places = [self.counter, *(self.whole(0) for _ in shape)]
        return self.inner.value(Reshape(shape), self.inner.value(DynamicSlice((1, *shape), False), array, *places))

    def once(self, op: Op, *operands: Value) -> Value:
        """An operation of the body, made once."""
        key = op, operands
        if key not in self.found:
            self.found[key] = self.inner.value(op, *operands)
        return self.found[key]

    def whole(self, number: int) -> Value:
        """An i64 constant before the loop, made once."""
        return self.constant(Full(number, i64, ()))

    def filled(self, kind: ArrayType) -> Value:
        """Zeros before the loop, made once."""
        zero = False if kind.dtype.is_bool else 0.0 if kind.dtype.is_float else 0
        return self.constant(Full(zero, kind.dtype, kind.dims))

    def constant(self, op: Full) -> Value:
        if op not in self.found:
            self.found[op] = self.rolling.b.value(op)
        return self.found[op]
