"""Random smooth functions of nested loops, branches and array updates, with arguments for them: for tests of derivatives.

Values stay bounded and away from poles, so that finite differences tell right from wrong.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pullback.dtypes import boolean, f64, i64
from pullback.ir.core import Array, Function, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Add, Cast, Mul, Remainder, Sub
from pullback.ir.ops.control import Call, For, If, While
from pullback.ir.ops.creation import Full
from pullback.ir.ops.elementary import Cos, Sin, Tanh
from pullback.ir.ops.logic import Less, LogicalAnd, Select
from pullback.ir.ops.reduction import Broadcast, ReduceSum
from pullback.ir.ops.shape import Reshape, Slice
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.types import ArrayType

SCALAR, ARRAY, COUNT, FLAG = ArrayType(f64, ()), ArrayType(f64, (4,)), ArrayType(i64, ()), ArrayType(boolean, ())
WINDOW = ArrayType(f64, (1,))


class Maker(RegionBuilder):
    """Appends random statements to a region; `values` are those that may be read where it stands."""

    def __init__(self, random: np.random.Generator, region: Region, values: Sequence[Value], depth: int) -> None:
        super().__init__(region)
        self.random = random
        self.values = list(values)
        self.depth = depth

    def below(self, count: int) -> int:
        return int(self.random.integers(count))

    def pick(self, kind: ArrayType) -> Value:
        """A value of a type, one of the last ones more often than not."""
        known = [value for value in self.values if value.type == kind]
        if not known:
            return self.constant(kind)
        return known[-1 - min(self.below(len(known)), self.below(len(known)))]

    def constant(self, kind: ArrayType) -> Value:
        number: float | int | bool
        if kind.dtype.is_float:
            number = round(float(self.random.uniform(-1, 1)), 3)
        else:
            number = bool(self.below(2)) if kind.dtype.is_bool else self.below(4)
        return self.value(Full(number, kind.dtype, kind.dims))

    def keep(self, value: Value) -> None:
        self.values.append(value)

    def index(self) -> Value:
        """A number from 0 to 3."""
        return self.value(Remainder(), self.pick(COUNT), self.value(Full(4, i64, ())))

    def statements(self, count: int) -> None:
        flat: list[Callable[[], None]] = [
            self.arithmetic, self.arithmetic, self.function, self.read, self.read, self.write, self.write, self.reduce,
            self.spread, self.choose, self.counted, self.compare,
        ]  # fmt: skip
        nested: list[Callable[[], None]] = [self.loop, self.loop, self.repeat, self.branch, self.branch, self.group]
        for _ in range(count):
            kinds = flat + nested * 2 if self.depth else flat
            kinds[self.below(len(kinds))]()

    def arithmetic(self) -> None:
        kind = (SCALAR, ARRAY)[self.below(2)]
        op = (Add(), Sub(), Mul(), Mul())[self.below(4)]
        result = self.value(op, self.pick(kind), self.pick(kind))
        self.keep(self.value(Tanh(), result) if self.below(2) else self.value(Sin(), result))

    def function(self) -> None:
        op = (Sin(), Cos(), Tanh())[self.below(3)]
        self.keep(self.value(op, self.pick((SCALAR, ARRAY)[self.below(2)])))

    def read(self) -> None:
        array = self.pick(ARRAY)
        if self.below(4):
            window = self.value(DynamicSlice((1,), True), array, self.index())
        else:
            window = self.value(Slice((self.below(4),), (1,), (1,)), array)
        self.keep(self.value(Reshape(()), window))

    def write(self) -> None:
        window = self.value(Reshape((1,)), self.pick(SCALAR))
        op = (DynamicUpdate(True), DynamicUpdate(False), DynamicAdd(True))[self.below(3)]
        result = self.value(op, self.pick(ARRAY), window, self.index())
        self.keep(self.value(Sin(), result) if isinstance(op, DynamicAdd) else result)

    def reduce(self) -> None:
        self.keep(self.value(Tanh(), self.value(ReduceSum((0,)), self.pick(ARRAY))))

    def spread(self) -> None:
        self.keep(self.value(Broadcast((4,), ()), self.pick(SCALAR)))

    def choose(self) -> None:
        self.keep(self.value(Select(), self.pick(FLAG), self.pick(SCALAR), self.pick(SCALAR)))

    def counted(self) -> None:
        self.keep(self.value(Sin(), self.value(Cast(f64), self.pick(COUNT))))

    def compare(self) -> None:
        kind = (SCALAR, COUNT)[self.below(2)]
        self.keep(self.value(Less(), self.pick(kind), self.pick(kind)))

    def inside(self, arguments: Sequence[Value]) -> tuple[Region, Maker]:
        region = Region(arguments)
        return region, Maker(self.random, region, [*self.values, *arguments], self.depth - 1)

    def kinds(self) -> list[ArrayType]:
        return [(SCALAR, SCALAR, ARRAY, COUNT)[self.below(4)] for _ in range(1 + self.below(3))]

    def bounded(self, kind: ArrayType) -> Value:
        """A value to carry on; counts stay small."""
        value = self.pick(kind)
        return self.value(Remainder(), value, self.value(Full(5, i64, ()))) if kind == COUNT else value

    def finish(self, region: Region, kinds: Sequence[ArrayType]) -> None:
        self.statements(1 + self.below(4))
        region.yields = tuple(self.bounded(kind) for kind in kinds)

    def loop(self) -> None:
        kinds = self.kinds()
        initial = [self.pick(kind) for kind in kinds]
        region, inner = self.inside([Value(COUNT), *(Value(kind) for kind in kinds)])
        inner.finish(region, kinds)
        step = self.value(Full((1, 1, 2, -1, -2)[self.below(5)], i64, ()))
        bounds = [self.pick(COUNT), self.pick(COUNT)]
        self.values += self.emit(For(), *bounds, step, *initial, regions=(region,)).results

    def repeat(self) -> None:
        """At most a few trips, fewer where the values say so; some count by adding a constant, others anyhow."""
        kinds = self.kinds()
        initial = [self.value(Full(0, i64, ())), *(self.pick(kind) for kind in kinds)]
        condition, tested = self.inside([Value(COUNT), *(Value(kind) for kind in kinds)])
        more = tested.value(Less(), condition.arguments[0], tested.value(Full(1 + self.below(4), i64, ())))
        if self.below(2):
            tested.statements(1)
            more = tested.value(LogicalAnd(), more, tested.pick(FLAG))
        condition.yields = (more,)
        region, inner = self.inside([Value(COUNT), *(Value(kind) for kind in kinds)])
        count = inner.value(Add(), region.arguments[0], inner.value(Full(1, i64, ())))
        inner.finish(region, kinds)
        region.yields = (count, *region.yields)
        self.values += self.emit(While(), *initial, regions=(condition, region)).results

    def branch(self) -> None:
        kinds = self.kinds()
        operands = [self.pick(kind) for kind in kinds[: self.below(2)]]
        regions = []
        for _ in range(2):
            region, inner = self.inside([Value(operand.type) for operand in operands])
            if self.below(4):
                inner.statements(1 + self.below(4))
            region.yields = tuple(inner.bounded(kind) for kind in kinds)
            regions.append(region)
        self.values += self.emit(If(), self.pick(FLAG), *operands, regions=tuple(regions)).results

    def group(self) -> None:
        kinds = self.kinds()
        operands = [self.pick(kind) for kind in kinds[:1]]
        region, inner = self.inside([Value(operand.type) for operand in operands])
        inner.finish(region, kinds)
        self.values += self.emit(Call(), *operands, regions=(region,)).results


def random_program(seed: int, *, size: int = 6, depth: int = 2) -> tuple[Function, list[Array]]:
    """A function of two scalars, two arrays, two counts and a flag; its last values of each kind are its results."""
    random = np.random.default_rng(seed)
    kinds = [SCALAR, SCALAR, ARRAY, ARRAY, COUNT, COUNT, FLAG]
    region = Region([Value(kind, name=f"x{place}") for place, kind in enumerate(kinds)])
    maker = Maker(random, region, region.arguments, depth)
    maker.statements(size)
    region.yields = (maker.pick(SCALAR), maker.pick(ARRAY), maker.pick(SCALAR))
    arguments: list[Array] = [np.asarray(random.uniform(-1, 1, kind.shape)) for kind in kinds[:4]]
    arguments += [np.array(random.integers(0, 5)) for _ in range(2)] + [np.array(bool(random.integers(2)))]
    return Function("random", region), arguments
