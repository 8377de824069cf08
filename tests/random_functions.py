"""Random IR functions, well typed and cheap to run, and arguments for them: for tests of everything that takes IR."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

import pullback.ir.ops as _all_ops
from pullback.dtypes import ALL, DType, boolean, f32, f64, i32, i64, u8
from pullback.ir.core import Array, Function, Op, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Cast, Pow, Remainder, ZeroMul
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.contraction import Gather, Matmul, ScatterAdd
from pullback.ir.ops.control import Call, For, If, While
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.elementary import Smooth
from pullback.ir.ops.logic import Less, Select
from pullback.ir.ops.reduction import (
    ArgMax,
    ArgMin,
    Broadcast,
    ReduceAll,
    ReduceAny,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    ReduceSum,
)
from pullback.ir.ops.shape import Assemble, Concatenate, Reshape, Slice, Transpose
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.registry import all_ops
from pullback.ir.types import ArrayType
from pullback.location import Location

assert _all_ops
SCALAR = ArrayType(i64, ())
SHAPES = ((), (1,), (3,), (8,), (2, 3), (3, 1), (4, 4), (2, 1, 3), (0,), (2, 0))
ELEMENTWISE = [op for op in all_ops().values() if issubclass(op, Elementwise) and op not in (Cast, Select)]
SPECIAL = (0.0, -0.0, 1.0, -1.0, 2.0, 0.5, float("inf"), float("-inf"), float("nan"), 1e-320, 1e300)
FILES = ("model.py", 'a "quoted".py', "C:\\work\\net.py", "größe µ.py", "line\nbreak.py", "")


class FunctionMaker(RegionBuilder):
    """Appends random operations to a region; `values` are those that may be read where it stands."""

    def __init__(
        self, random: np.random.Generator, region: Region, values: Sequence[Value], leave_out: tuple[type[Op], ...]
    ) -> None:
        super().__init__(region)
        self.random = random
        self.values = list(values)
        self.leave_out = leave_out
        self.elementwise = [op for op in ELEMENTWISE if not issubclass(op, leave_out)]

    def below(self, count: int) -> int:
        return int(self.random.integers(count))

    def add(self, op: Op, *operands: Value, regions: tuple[Region, ...] = ()) -> Value:
        """Emit an operation whose results may be read from now on."""
        if self.below(4) == 0:
            line = self.below(90) + 1
            self.location = Location(FILES[self.below(len(FILES))], line, 4, 4 + self.below(9), "f\"λ\\")
        results = self.emit(op, *operands, regions=regions).results
        self.values += results
        return results[0]

    def value_of(self, kind: ArrayType) -> Value:
        """A value of a type: one that is there, or a new constant."""
        fitting = [value for value in self.values if value.type == kind]
        if fitting and self.below(8):
            return fitting[-1 - min(self.below(len(fitting)), self.below(len(fitting)))]
        return self.constant(kind)

    def constant(self, kind: ArrayType) -> Value:
        if kind.dtype.is_bool:
            return self.add(Full(bool(self.below(2)), kind.dtype, kind.dims))
        if kind.dtype.is_float:
            number = SPECIAL[self.below(len(SPECIAL))] if self.below(3) == 0 else float(self.random.normal())
            return self.add(Full(number, kind.dtype, kind.dims))
        return self.add(Full(self.below(5) - (2 if kind.dtype.is_signed else 0), kind.dtype, kind.dims))

    def any_value(self) -> Value:
        return self.values[-1 - min(self.below(len(self.values)), self.below(len(self.values)))]

    def index_below(self, size: int, dims: tuple[int, ...]) -> Value:
        """An i64 array of numbers in 0..size-1, computed from another."""
        kind = ArrayType(i64, dims)
        return self.add(Remainder(), self.value_of(kind), self.add(Full(size, i64, dims)))

    # One step each: an operation, or nothing where no operand fits.

    def compute(self) -> None:
        op = self.elementwise[self.below(len(self.elementwise))]
        dtype = op.dtypes[self.below(len(op.dtypes))]
        fitting = [value for value in self.values if value.type.dtype == dtype]
        kind = fitting[self.below(len(fitting))].type if fitting else ArrayType(dtype, (3,))
        self.add(op(), *[self.value_of(kind) for _ in range(op.arity)])

    def choose(self) -> None:
        x = self.any_value()
        self.add(Select(), self.value_of(x.type.with_dtype(boolean)), x, self.value_of(x.type))

    def cast(self) -> None:
        # A float beyond the integer's range has no stated result, so only floats and bools are made of floats.
        x = self.any_value()
        targets = (f32, f64, boolean) if x.type.dtype.is_float else ALL
        self.add(Cast(targets[self.below(len(targets))]), x)

    def count(self) -> None:
        shape = SHAPES[1 + self.below(len(SHAPES) - 1)]
        self.add(Iota(self.below(len(shape)), (f64, f32, i64, i32, u8)[self.below(5)], shape))

    def move(self) -> None:
        x = self.any_value()
        shape, rank = x.type.shape, x.type.rank
        match self.below(6):
            case 0:
                same_size = [each for each in SHAPES if ArrayType(f64, each).size == x.type.size]
                self.add(Reshape(same_size[self.below(len(same_size))] if same_size else (x.type.size,)), x)
            case 1:
                self.add(Transpose(tuple(int(axis) for axis in self.random.permutation(rank))), x)
            case 2:
                self.add(Slice(*self.window(shape)), x)
            case 3:
                place = self.below(rank + 1)
                axes = tuple(axis + (axis >= place) for axis in range(rank))
                self.add(Broadcast((*shape[:place], self.below(4), *shape[place:]), axes), x)
            case 4 if rank:
                axis = self.below(rank)
                self.add(Concatenate(axis), *[self.value_of(x.type) for _ in range(1 + self.below(3))])
            case 5 if not x.type.dtype.is_bool:
                starts, sizes, steps = self.window(shape)
                parts = [self.value_of(x.type.with_shape(sizes)) for _ in range(1 + self.below(2))]
                self.add(Assemble(shape, (starts,) * len(parts), (steps,) * len(parts)), *parts)

    def window(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Starts, sizes and steps of a part of an array."""
        starts, sizes, steps = [], [], []
        for dim in shape:
            step = (1, 1, 2, 3, -1, -2)[self.below(6)]
            size = self.below(-(-dim // abs(step)) + 1)
            reach = abs(step) * max(size - 1, 0)
            low = self.below(dim - reach) if dim > reach else 0
            starts.append(low + reach if step < 0 else low)
            sizes.append(size)
            steps.append(step)
        return tuple(starts), tuple(sizes), tuple(steps)

    def reduce(self) -> None:
        x = self.any_value()
        axes = tuple(axis for axis in range(x.type.rank) if self.below(2))
        if x.type.dtype.is_bool:
            self.add((ReduceAny, ReduceAll)[self.below(2)](axes), x)
        elif all(x.type.shape[axis] for axis in axes):
            self.add((ReduceSum, ReduceSum, ReduceProd, ReduceMax, ReduceMin)[self.below(5)](axes), x)
        if x.type.rank and x.type.shape[-1]:
            self.add((ArgMax, ArgMin)[self.below(2)](x.type.rank - 1), x)

    def contract(self) -> None:
        matrices = [value for value in self.values if value.type.rank == 2 and not value.type.dtype.is_bool]
        if not matrices:
            return
        x = matrices[self.below(len(matrices))]
        m, k = x.type.shape
        flags = (bool(self.below(2)), bool(self.below(2)))
        inner, n = m if flags[0] else k, (1, 3, 4)[self.below(3)]
        y = self.value_of(x.type.with_shape((n, inner) if flags[1] else (inner, n)))
        self.add(Matmul(*flags), x, y)

    def index(self) -> None:
        x = self.any_value()
        if not x.type.rank or not x.type.shape[0] or x.type.dtype.is_bool:
            return
        shape = x.type.shape
        match self.below(4):
            case 0:
                self.add(Gather(), x, self.index_below(shape[0], ((), (2,), (2, 2))[self.below(3)]))
            case 1:
                self.add(ScatterAdd(5), self.index_below(5, shape[:1]), x)
            case 2:
                sizes = tuple(self.below(dim) + 1 if dim else 0 for dim in shape)
                self.add(DynamicSlice(sizes, bool(self.below(2))), x, *self.starts(shape, sizes))
            case 3:
                sizes = tuple(self.below(dim) + 1 if dim else 0 for dim in shape)
                op = (DynamicUpdate, DynamicAdd)[self.below(2)](bool(self.below(2)))
                self.add(op, x, self.value_of(x.type.with_shape(sizes)), *self.starts(shape, sizes))

    def starts(self, shape: tuple[int, ...], sizes: tuple[int, ...]) -> list[Value]:
        return [self.index_below(dim - size + 1, ()) for dim, size in zip(shape, sizes, strict=True)]

    # Regions

    def inner(self, arguments: Sequence[Value], steps: int) -> FunctionMaker:
        made = FunctionMaker(self.random, Region(arguments), [*self.values, *arguments], self.leave_out)
        made.steps(steps, depth=2)
        return made

    def control(self) -> None:
        state = [self.any_value() for _ in range(1 + self.below(2))]
        types = [value.type for value in state]

        def arguments() -> list[Value]:
            return [Value(kind, name=("a", "x0", "", "3")[self.below(4)]) for kind in types]

        def body(*extra: Value) -> Region:
            made = self.inner([*extra, *arguments()], 3)
            made.region.yields = tuple(made.value_of(kind) for kind in types)
            return made.region

        match self.below(4):
            case 0:
                self.add(Call(), *state, regions=(body(),))
            case 1:
                self.add(If(), self.value_of(ArrayType(boolean, ())), *state, regions=(body(), body()))
            case 2:
                start, stop, step = self.index_below(2, ()), self.index_below(4, ()), self.add(Full(1, i64, ()))
                self.add(For(), start, stop, step, *state, regions=(body(Value(SCALAR, name="i")),))
            case 3:
                self.loop(state, types)

    def loop(self, state: list[Value], types: list[ArrayType]) -> None:
        """A while that counts to at most 3."""
        condition = FunctionMaker(self.random, Region([Value(SCALAR), *map(Value, types)]), self.values, self.leave_out)
        limit = condition.add(Full(self.below(4), i64, ()))
        condition.region.yields = (condition.add(Less(), condition.region.arguments[0], limit),)
        body = self.inner([Value(SCALAR, name="n"), *map(Value, types)], 3)
        one = body.add(Full(1, i64, ()))
        count = body.add(all_ops()["add"](), body.region.arguments[0], one)
        body.region.yields = (count, *(body.value_of(kind) for kind in types))
        start = self.add(Full(0, i64, ()))
        self.add(While(), start, *state, regions=(condition.region, body.region))

    def steps(self, count: int, depth: int = 0, regions: bool = True) -> None:
        kinds = [self.compute, self.compute, self.compute, self.compute, self.choose, self.cast, self.count, self.move,
                 self.move, self.reduce, self.contract, self.index]  # fmt: skip
        if regions and depth < 2:
            kinds.append(self.control)
        for _ in range(count):
            kinds[self.below(len(kinds))]()


def random_function(
    seed: int, size: int = 25, *, regions: bool = True, leave_out: tuple[type[Op], ...] = (), captured: int = 1
) -> Function:
    """A function of a few parameters, `captured` captured arrays and about `size` operations.

    No op of `leave_out` is in it. With captured arrays its data is bound.
    """
    random = np.random.default_rng(seed)
    parameters = []
    for number in range(2 + int(random.integers(3))):
        dtype = (f64, f64, f32, i64, boolean, i32, u8)[int(random.integers(7))]
        parameters.append(Value(ArrayType(dtype, SHAPES[int(random.integers(len(SHAPES)))]), name=f"x{number}"))
    kinds = [ArrayType(f64, SHAPES[int(random.integers(len(SHAPES)))]) for _ in range(captured)]
    bound = [Value(kind, name="c") for kind in kinds]
    maker = FunctionMaker(random, Region([*parameters, *bound]), [*parameters, *bound], leave_out)
    maker.steps(size, regions=regions)
    count = 1 + int(random.integers(3))
    maker.region.yields = tuple(maker.any_value() for _ in range(count))
    arrays = [random.normal(size=kind.shape) for kind in kinds]
    return Function("random", maker.region, arrays)


def random_arguments(function: Function, seed: int, *, special: bool = False) -> list[Array]:
    """Arguments for a function; with `special`, some elements are zeros of both signs, infinities and NaNs."""
    random = np.random.default_rng(seed)
    return [random_array(random, value.type.dtype, value.type.shape, special) for value in function.parameters]


def random_array(random: np.random.Generator, dtype: DType, shape: tuple[int, ...], special: bool = False) -> Array:
    """An array of small numbers of a dtype."""
    if dtype.is_float:
        array = np.asarray(random.normal(size=shape))
        if special:
            chosen = random.choice(np.array(SPECIAL), size=shape)
            array = np.where(random.random(shape) < 0.4, chosen, array)
        with np.errstate(all="ignore"):
            return np.asarray(array).astype(dtype.numpy)
    low = -3 if dtype.is_signed else 0
    return np.asarray(random.integers(low, 2 if dtype.is_bool else 5, size=shape)).astype(dtype.numpy)


INEXACT = (Smooth, Pow)
"""Elementwise ops that are not rounded correctly."""
assert ZeroMul in ELEMENTWISE
