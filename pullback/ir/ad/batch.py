"""A function of single cases in, the function of many at once out: some arguments and results get a new first axis.

Each op states how it maps over such an axis (`Op.batch`). Branches and loops whose conditions and bounds are the same
for all cases map what is in their regions; what no rule covers runs in a loop, case after case.
"""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from pullback.dtypes import i64
from pullback.ir.ad.custom_batch import batched_custom_call
from pullback.ir.analysis.uses import operation_reads
from pullback.ir.clone import copy_operation, inline
from pullback.ir.core import Builder, Function, Operation, Region, RegionBuilder, Value
from pullback.ir.ops.base import alike
from pullback.ir.ops.control import Call, Control, For, If, Replay
from pullback.ir.ops.creation import Full
from pullback.ir.ops.custom import CustomCall
from pullback.ir.ops.shape import Reshape
from pullback.ir.ops.window import DynamicSlice, DynamicUpdate
from pullback.ir.types import ArrayType, TapeType


def batch(function: Function, batched: Sequence[bool], size: int) -> tuple[Function, tuple[bool, ...]]:
    """The function of `size` cases, and which of its results have the new axis; the others are alike for all cases.

    `batched` says which parameters have it; captured arrays never do.
    """
    region = Region([
        Value(_with_axis(value.type, size) if has_axis else value.type, name=value.name)
        for value, has_axis in zip(function.parameters, batched, strict=True)
    ] + [Value(value.type, name=value.name) for value in function.captured_arguments])  # fmt: skip
    flags = [*batched, *[False] * len(function.captured)]
    b = RegionBuilder(region)
    name = f"{function.name}_batch"
    try:
        mapped = _Batch(size)
        mapped.values.update(zip(function.body.arguments, region.arguments, strict=True))
        mapped.many.update(value for value, has_axis in zip(region.arguments, flags, strict=True) if has_axis)
        for operation in function.body.operations:
            mapped.operation(b, operation)
        region.yields = tuple([mapped.values[value] for value in function.body.yields])
        return Function(name, region, function.captured), tuple([value in mapped.many for value in region.yields])
    except _TapeOfCase:
        region.operations = []
        cases = [value for value, has_axis in zip(region.arguments, flags, strict=True) if has_axis]

        def whole(inner: Builder, singles: dict[Value, Value]) -> list[Value]:
            return inline(inner, function, [singles.get(value, value) for value in region.arguments])

        region.yields = tuple(_one_by_one(b, size, cases, function.result_types, whole))
        return Function(name, region, function.captured), (True,) * len(region.yields)


class _TapeOfCase(Exception):
    """A tape would be needed per case: the whole function must run case after case."""


class _Batch:
    """What stands for each value of the function of one case; `many` are those (new) values that have the axis.

    A tape of records with the axis is in `many` too; all of its values then have it.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.values: dict[Value, Value] = {}
        self.many: set[Value] = set()

    def operation(self, b: Builder, operation: Operation) -> None:
        """Emit what computes an operation's results for all cases."""
        b.location = operation.location
        read = [self.values[value] for value in operation_reads(operation)]
        if not any(value in self.many for value in read):
            copy = copy_operation(operation, self.values)
            b.insert(copy)
            return
        operands = tuple([self.values[operand] for operand in operation.operands])
        if isinstance(operation.op, Control):
            results = self.control(b, operation, operands)
        else:
            results = operation.op.batch(b, operands, tuple([value in self.many for value in operands]), self.size)
        if results is None:
            results = self.loop(b, operation)
        self.many.update(results)
        self.values.update(zip(operation.results, results, strict=True))

    def loop(self, b: Builder, operation: Operation) -> tuple[Value, ...]:
        """One operation, case after case."""
        read = [value for value in operation_reads(operation) if self.values[value] in self.many]
        if any(isinstance(value.type, TapeType) for value in (*read, *operation.results)):
            raise _TapeOfCase

        def single(inner: Builder, singles: dict[Value, Value]) -> list[Value]:
            replaced = {**self.values, **{value: singles[self.values[value]] for value in read}}
            copy = copy_operation(operation, replaced)
            inner.insert(copy)
            return list(copy.results)

        cases = [self.values[value] for value in read]
        return tuple(_one_by_one(b, self.size, cases, [result.type for result in operation.results], single))

    # Regions that run alike for all cases

    def control(self, b: Builder, operation: Operation, operands: tuple[Value, ...]) -> tuple[Value, ...] | None:
        """Branches and loops that take the same way for all cases; None for others."""
        match operation.op:
            case CustomCall():
                flags = tuple([value in self.many for value in operands])
                return batched_custom_call(b, operation, operands, flags, self.size, batch)
            case Call():
                regions = [self.region(operation.regions[0], operands)]
                leading: tuple[Value, ...] = ()
            case If() if operands[0] not in self.many:
                regions = [self.region(region, operands[1:]) for region in operation.regions]
                leading = operands[:1]
            case For() if not any(value in self.many for value in operands[:3]):
                return self.repeat(b, operation, operands, 3, [ArrayType(i64, ())], [False])
            case Replay(tapes):
                records: list[ArrayType] = []
                written: list[bool] = []
                for tape in operands[:tapes]:
                    assert isinstance(tape.type, TapeType)
                    records += tape.type.record
                    written += [tape in self.many] * len(tape.type.record)
                return self.repeat(b, operation, operands, tapes, records, written)
            case _:
                return None
        for region in regions:
            inner = RegionBuilder(region)
            region.yields = tuple([self.everywhere(inner, value) for value in region.yields])
            region.arguments = []
        return b.emit(operation.op, *leading, regions=tuple(regions)).results

    def region(self, region: Region, arguments: Sequence[Value]) -> Region:
        """A region that closes over what stands for its arguments."""
        self.values.update(zip(region.arguments, arguments, strict=True))
        made = Region()
        inner = RegionBuilder(made)
        for operation in region.operations:
            self.operation(inner, operation)
        made.yields = tuple([self.values[value] for value in region.yields])
        return made

    def repeat(
        self, b: Builder, operation: Operation, operands: tuple[Value, ...], drivers: int,
        given: Sequence[ArrayType], flags: Sequence[bool],
    ) -> tuple[Value, ...]:  # fmt: skip
        """A loop whose body runs equally often for all cases: all of its state gets the axis, and all that it saves."""
        (body,) = operation.regions
        state = [self.everywhere(b, value) for value in operands[drivers:]]
        arguments = [Value(kind) for kind in given]
        carried = [Value(value.type) for value in state]
        self.many.update(value for value, has_axis in zip(arguments, flags, strict=True) if has_axis)
        self.many.update(carried)
        made = self.region(body, [*arguments, *carried])
        made.arguments = [*arguments, *carried]
        inner = RegionBuilder(made)
        made.yields = tuple([self.everywhere(inner, value) for value in made.yields])
        return b.emit(operation.op, *operands[:drivers], *state, regions=(made,)).results

    def everywhere(self, b: Builder, value: Value) -> Value:
        """A value with the axis, repeated along it if it has not got it."""
        if value in self.many:
            return value
        if isinstance(value.type, TapeType):
            raise _TapeOfCase
        (repeated,) = alike(b, (value,), (False,), self.size)
        self.many.add(repeated)
        return repeated


def _with_axis(kind: ArrayType, size: int) -> ArrayType:
    return kind.with_shape((size, *kind.dims))


def _one_by_one(
    b: Builder, size: int, cases: Sequence[Value], types: Iterable[ArrayType],
    single: Callable[[Builder, dict[Value, Value]], list[Value]],
) -> Sequence[Value]:  # fmt: skip
    """A loop over the axis: `single` emits the results of one case, given its part of each of `cases`."""
    results = [_with_axis(kind, size) for kind in types]
    empty = [b.value(Full(_nothing(kind), kind.dtype, kind.dims)) for kind in results]
    if size == 0:
        return empty
    zero, one, stop = (b.value(Full(number, i64, ())) for number in (0, 1, size))
    body = Region([Value(ArrayType(i64, ()), name="case"), *(Value(kind) for kind in results)])
    inner = RegionBuilder(body)
    inner.location = b.location
    number, so_far = body.arguments[0], body.arguments[1:]

    def place(kind: ArrayType) -> list[Value]:
        return [number, *[zero] * (kind.rank - 1)]

    singles = {}
    for value in cases:
        shape = value.type.shape[1:]
        part = inner.value(DynamicSlice((1, *shape), False), value, *place(value.type))
        singles[value] = inner.value(Reshape(shape), part)
    for index, result in enumerate(single(inner, singles)):
        row = inner.value(Reshape((1, *result.type.shape)), result)
        so_far[index] = inner.value(DynamicUpdate(False), so_far[index], row, *place(so_far[index].type))
    body.yields = tuple(so_far)
    return b.emit(For(), zero, stop, one, *empty, regions=(body,)).results


def _nothing(kind: ArrayType) -> float | int | bool:
    return 0.0 if kind.dtype.is_float else False if kind.dtype.is_bool else 0

