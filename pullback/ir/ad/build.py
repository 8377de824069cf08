"""The builder that derivative rules emit into: it knows which factors are zero on purpose, and sums contributions."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod

from pullback.dtypes import i64
from pullback.ir.core import Array, Builder, Operation, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Add, Mul, ZeroMul
from pullback.ir.ops.base import Linear
from pullback.ir.ops.contraction import ScatterAdd
from pullback.ir.ops.control import For
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Masked
from pullback.ir.ops.shape import Assemble, Reshape
from pullback.ir.ops.window import DynamicAdd, DynamicSlice
from pullback.ir.types import ArrayType, type_of


class DerivativeBuilder(Builder):
    """Emits through another builder. `masked` values hold exact zeros where a branch was not taken.

    Scaling such a value by an infinite or undefined partial must leave the zero a zero, so `scale` uses zero_mul
    for it; everything computed from masked cotangents alone is masked in turn.
    """

    def __init__(self, target: Builder) -> None:
        self.target = target
        self.outermost = target
        self.repeated = False
        self._masked: set[Value] = set()
        self.active: set[Value] | None = None
        """The values whose cotangents are wanted; None for all."""

    def within(self, region: Region, *, repeated: bool = False) -> DerivativeBuilder:
        """A builder into a region that shares what is masked; `repeated`: the region is a loop's body."""
        inner = DerivativeBuilder(RegionBuilder(region))
        inner.repeated = repeated or self.repeated
        inner.location = self.location
        inner.outermost = self.outermost
        inner._masked = self._masked
        return inner

    def insert(self, operation: Operation) -> None:
        self.target.insert(operation)
        if self._masked and isinstance(operation.op, Linear):
            places = operation.op.linear_operands(len(operation.operands))
            if all(operation.operands[place] in self._masked for place in places):
                self._masked.update(operation.results)

    def capture(self, array: Array) -> Value:
        return self.outermost.capture(array)

    def masked(self, value: Value) -> Value:
        self._masked.add(value)
        return value

    def keep_zeros(self, value: Value) -> Value:
        return self.masked(self.value(Masked(), value)) if value in self._masked else value

    def is_masked(self, value: Value) -> bool:
        return value in self._masked

    def all_masked(self, values: Sequence[Value | None]) -> bool:
        """Whether all that there is among values is masked."""
        masked = self._masked
        return bool(masked) and all(value is None or value in masked for value in values)

    def wants(self, value: Value) -> bool:
        return self.active is None or value in self.active

    def zero_on_purpose(self, value: Value | None) -> bool:
        """Whether a tangent or cotangent is no contribution at all, or may hold zeros where a branch was not taken."""
        return value is None or value in self._masked

    def scale(self, factor: Value, partial: Value) -> Value:
        if factor in self._masked:
            return self.masked(self.value(ZeroMul(), factor, partial))
        return self.value(Mul(), factor, partial)

    def sum(self, x: Value, y: Value) -> Value:
        """The sum of two contributions, neither of them a window."""
        result = self.value(Add(), x, y)
        return self.masked(result) if x in self._masked and y in self._masked else result

    def total(self, parts: Sequence[Value], base: Value | None = None) -> Value:
        """The sum of contributions, in order, on top of `base`.

        Static windows into one array become one assemble. Computed windows, and in loops small static ones and few rows,
        are added in place to the sum of the rest: a step then costs the size of the windows, not of the array.
        """
        dense: list[Value] = []
        windows: list[Value] = []
        rows: list[Operation] = []
        places: list[tuple[Value, ...]] = []
        for part in parts:
            if part.owner is not None and isinstance(part.owner.op, Assemble):
                windows.append(part)
            elif part.owner is not None and isinstance(part.owner.op, ScatterAdd) and _few(part.owner):
                rows.append(part.owner)
            elif (chain := _added_to_zeros(part)) is not None:
                places += chain
            else:
                dense.append(part)
        in_place = self.repeated and bool(dense or places or base is not None)
        if windows and in_place and _small(windows):
            places += [place for window in windows for place in self._computed(window)]
        elif windows:
            dense.append(windows[0] if len(windows) == 1 else self._assembled(windows))
        if not in_place:
            dense += [operation.result for operation in rows]
            rows = []
        result = dense[0] if dense else None
        for part in dense[1:]:
            assert result is not None
            result = self.value(Add(), result, part)
        if base is not None:
            result = base if result is None else self.value(Add(), base, result)
        if result is None:
            result = zeros(self, parts[0].type)
        for place in places:
            result = self.value(DynamicAdd(False), result, *place)
        for operation in rows:
            result = self._rows_added(result, *operation.operands)
        if all(part in self._masked for part in parts) and (base is None or base in self._masked):
            self.masked(result)
        return result

    def _rows_added(self, array: Value, index: Value, updates: Value) -> Value:
        """What scatter_add adds up, added in place to an array, row by row: its indices are known to fit."""
        count, shape = index.type.size, array.type.shape[1:]
        flat_index = self.value(Reshape((count,)), index)
        flat = self.value(Reshape((count, *shape)), updates)
        zero, one, end = (self.value(Full(number, i64, ())) for number in (0, 1, count))
        body = Region([Value(one.type), Value(array.type)])
        number, before = body.arguments
        b = self.within(body, repeated=True)
        at = b.value(Reshape(()), b.value(DynamicSlice((1,), False), flat_index, number))
        beside = [zero] * len(shape)
        row = b.value(DynamicSlice((1, *shape), False), flat, number, *beside)
        body.yields = (b.value(DynamicAdd(False), before, row, at, *beside),)
        return self.emit(For(()), zero, end, one, array, regions=(body,)).result

    def _assembled(self, windows: list[Value]) -> Value:
        starts: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        operands: list[Value] = []
        for window in windows:
            assert window.owner is not None and isinstance(window.owner.op, Assemble)
            starts += window.owner.op.starts
            steps += window.owner.op.steps
            operands += window.owner.operands
        whole = self.value(Assemble(windows[0].type.shape, tuple(starts), tuple(steps)), *operands)
        return self.masked(whole) if all(window in self._masked for window in windows) else whole

    def _computed(self, assembled: Value) -> list[tuple[Value, ...]]:
        """The windows of an assemble without steps as operands of dynamic_add."""
        assert assembled.owner is not None and isinstance(assembled.owner.op, Assemble)
        op = assembled.owner.op
        return [
            (operand, *(self.value(Full(start, i64, ())) for start in starts))
            for operand, starts in zip(assembled.owner.operands, op.starts, strict=True)
        ]


def _few(operation: Operation) -> bool:
    """Whether a scatter_add changes less than a quarter of its rows."""
    return 4 * operation.operands[0].type.size < operation.result.type.shape[0]


class WholeBuilder(RegionBuilder):
    """Appends to the region of a function that is being derived; `captured` are arrays that it reads besides."""

    def __init__(self, region: Region) -> None:
        super().__init__(region)
        self.captured: dict[int, tuple[Array, Value]] = {}

    def capture(self, array: Array) -> Value:
        known = self.captured.get(id(array))
        if known is None:
            known = self.captured[id(array)] = array, Value(type_of(array), name=f"r{len(self.captured)}")
        return known[1]

    def complete(self, captured: Sequence[Array | None]) -> list[Array | None]:
        """Give the region arguments for what was captured, after those for the arrays `captured` before; gives all."""
        self.region.arguments += [value for _, value in self.captured.values()]
        return [*captured, *(array for array, _ in self.captured.values())]


def is_window(part: Value) -> bool:
    """Whether a contribution is zeros but for windows or rows that can be added in place."""
    if part.owner is None:
        return False
    kind = type(part.owner.op)
    return kind is Assemble or kind is ScatterAdd or (kind is DynamicAdd and _added_to_zeros(part) is not None)


def _added_to_zeros(value: Value) -> list[tuple[Value, ...]] | None:
    """The windows and starts of a chain of dynamic_add that begins with zeros; None for anything else."""
    chain: list[tuple[Value, ...]] = []
    while value.owner is not None and isinstance(value.owner.op, DynamicAdd):
        chain.append(value.owner.operands[1:])
        value = value.owner.operands[0]
    is_zero = value.owner is not None and isinstance(value.owner.op, Full) and value.owner.op.value == 0
    return chain[::-1] if chain and is_zero else None


def _small(windows: list[Value]) -> bool:
    """Whether the windows of assembles are contiguous and cover less than half of the array together."""
    covered = 0
    for window in windows:
        assert window.owner is not None and isinstance(window.owner.op, Assemble)
        if any(step != 1 for steps in window.owner.op.steps for step in steps):
            return False
        covered += sum(prod(operand.type.shape) for operand in window.owner.operands)
    return 2 * covered < windows[0].type.size


def zeros(b: Builder, kind: ArrayType) -> Value:
    """A constant 0 of a type."""
    return b.value(Full(0.0, kind.dtype, kind.dims))


def ones(b: Builder, kind: ArrayType) -> Value:
    """A constant 1 of a type."""
    return b.value(Full(1.0, kind.dtype, kind.dims))
