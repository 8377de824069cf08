"""Random functions with loops, branches, windows and tapes: integers and comparisons only, so that results are exact."""
from __future__ import annotations

from random import Random

from pullback.dtypes import boolean, i64
from pullback.ir.core import Function, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Add, Maximum, Mul, Neg, Remainder, Sub
from pullback.ir.ops.contraction import Gather, ScatterAdd
from pullback.ir.ops.control import Call, EmptyTape, For, If, Replay, While
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.logic import Less, LogicalNot, Select
from pullback.ir.ops.reduction import ArgMax, Broadcast, ReduceMax, ReduceSum
from pullback.ir.ops.shape import Assemble, Concatenate, Reshape, Slice, Transpose
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.types import ArrayType, TapeType

COUNT = ArrayType(i64, ())
TRUTH = ArrayType(boolean, ())
SHAPES = ((), (1,), (3,), (2, 3), (20,), (9, 11))
KINDS = [ArrayType(i64, shape) for shape in SHAPES]


class Programs:
    """Makes functions. `scope` is what the region under construction sees, innermost last."""

    kinds = KINDS

    def __init__(self, random: Random, size: int) -> None:
        self.random = random
        self.size = size
        self.scope: list[Value] = []
        self.depth = 0

    def function(self) -> Function:
        region = Region([Value(kind, name=f"x{number}") for number, kind in enumerate(self.kinds)])
        self.scope = list(region.arguments)
        self.fill(region, self.size)
        kinds = [self.random.choice(self.kinds) for _ in range(self.random.randint(1, 4))]
        region.yields = tuple(self.of(RegionBuilder(region), kind) for kind in kinds)
        return Function("random", region)

    def fill(self, region: Region, size: int) -> None:
        b = RegionBuilder(region)
        for _ in range(size):
            self.scope += self.step(b)

    # Values

    def some(self, b: RegionBuilder, kind: ArrayType) -> Value:
        """A value of a type, rather a recent one; a constant where there is none."""
        known = [value for value in self.scope if value.type == kind]
        if not known or self.random.random() < 0.1:
            if isinstance(kind, TapeType):
                return known[-1] if known else b.value(EmptyTape(kind.record))
            if kind == TRUTH:
                return b.value(Less(), self.some(b, COUNT), self.some(b, COUNT))
            return b.value(Full(self.random.randint(-3, 3), i64, kind.dims))
        return self.random.choice(known[-4:] if self.random.random() < 0.7 else known)

    of = some

    def index(self, b: RegionBuilder, count: int) -> Value:
        """A number in 0..count - 1."""
        return b.value(Remainder(), self.some(b, COUNT), b.value(Full(count, i64, ())))

    def array(self, b: RegionBuilder) -> Value:
        return self.some(b, self.random.choice(self.kinds[1:]))

    # Operations

    def step(self, b: RegionBuilder) -> list[Value]:
        if self.depth < 3 and self.random.random() < 0.3:
            return self.random.choice([self.branch, self.loop, self.loop, self.repeat, self.block])(b)
        return [self.random.choice([
            self.compute, self.compute, self.compute, self.move, self.reduce, self.window, self.window, self.rows, self.build,
        ])(b)]  # fmt: skip

    def compute(self, b: RegionBuilder) -> Value:
        kind = self.random.choice(self.kinds)
        x, y = self.some(b, kind), self.some(b, kind)
        match self.random.randrange(6):
            case 0:
                return b.value(Neg(), x)
            case 1:
                return b.value(Less(), self.some(b, COUNT), self.some(b, COUNT))
            case 2:
                chosen = b.value(Broadcast(kind.dims, ()), self.some(b, TRUTH)) if kind.dims else self.some(b, TRUTH)
                return b.value(Select(), b.value(LogicalNot(), chosen), x, y)
        return b.value(self.random.choice([Add(), Sub(), Mul(), Maximum()]), x, y)

    def move(self, b: RegionBuilder) -> Value:
        match self.random.randrange(5):
            case 0:
                return b.value(Broadcast(self.random.choice(SHAPES[2:]), ()), self.some(b, COUNT))
            case 1:
                matrix = self.some(b, ArrayType(i64, (2, 3)))
                return b.value(Reshape((2, 3)), b.value(Transpose((1, 0)), matrix))
            case 2:
                return b.value(Broadcast((2, 3), (1,)), self.some(b, ArrayType(i64, (3,))))
            case 3:
                row = self.some(b, ArrayType(i64, (20,)))
                step = self.random.choice([1, 2, -1, -3])
                start = self.random.randint(6, 13)
                return b.value(Slice((start,), (3,), (step,)), row)
        row = self.some(b, ArrayType(i64, (20,)))
        return b.value(Reshape(()), b.value(Slice((self.random.randrange(20),), (1,), (1,)), row))

    def reduce(self, b: RegionBuilder) -> Value:
        x = self.array(b)
        match self.random.randrange(4):
            case 0:
                return b.value(ReduceSum((0,)), self.some(b, ArrayType(i64, (2, 3))))
            case 1:
                return b.value(ArgMax(0), self.some(b, ArrayType(i64, (20,))))
            case 2:
                return b.value(ReduceMax(tuple(range(x.type.rank))), x)
        return b.value(ReduceSum(tuple(range(x.type.rank))), x)

    def window(self, b: RegionBuilder) -> Value:
        x = self.array(b)
        sizes = tuple(self.random.choice([1, 1, dim, max(1, dim // 2)]) for dim in x.type.shape)
        starts = [self.index(b, dim - size + 1) for dim, size in zip(x.type.shape, sizes, strict=True)]
        checked = self.random.random() < 0.5
        if self.random.random() < 0.35:
            return b.value(DynamicSlice(sizes, checked), x, *starts)
        if self.random.random() < 0.4:
            other = [self.index(b, dim - size + 1) for dim, size in zip(x.type.shape, sizes, strict=True)]
            window = b.value(DynamicSlice(sizes, checked), x, *other)
        elif self.random.random() < 0.3:
            window = b.value(Slice((0,) * x.type.rank, sizes, (1,) * x.type.rank), x)
        else:
            window = b.value(Broadcast(sizes, ()), self.some(b, COUNT))
        return b.value(self.random.choice([DynamicUpdate(checked), DynamicAdd(checked)]), x, window, *starts)

    def rows(self, b: RegionBuilder) -> Value:
        x = self.array(b)
        if self.random.random() < 0.5:
            return b.value(Gather(), x, self.index(b, x.type.shape[0]))
        index = b.value(Iota(0, i64, (3,)))
        return b.value(ScatterAdd(20), index, self.some(b, ArrayType(i64, (3,))))

    def build(self, b: RegionBuilder) -> Value:
        if self.random.random() < 0.5:
            ones = [self.some(b, ArrayType(i64, (1,))) for _ in range(3)]
            return b.value(Concatenate(0), *ones)
        parts = (self.some(b, ArrayType(i64, (3,))), self.some(b, ArrayType(i64, (1,))))
        return b.value(Assemble((20,), ((2,), (self.random.randrange(20),)), ((5,), (1,))), *parts)

    # Regions

    def inside(self, arguments: list[Value], kinds: list[ArrayType]) -> Region:
        """A region that yields these types."""
        region = Region(arguments)
        outer, self.scope = self.scope, [*self.scope, *arguments]
        self.depth += 1
        self.fill(region, self.random.randint(0, 5))
        region.yields = tuple(self.some(RegionBuilder(region), kind) for kind in kinds)
        self.depth -= 1
        self.scope = outer
        return region

    def values(self, b: RegionBuilder) -> list[Value]:
        return [self.some(b, self.random.choice(self.kinds)) for _ in range(self.random.randint(0, 3))]

    def branch(self, b: RegionBuilder) -> list[Value]:
        operands = self.values(b)
        kinds = [self.random.choice([*self.kinds, *(each.type for each in operands)]) for _ in range(2)]
        regions = [self.inside([Value(each.type) for each in operands], kinds) for _ in range(2)]
        return list(b.emit(If(), self.some(b, TRUTH), *operands, regions=tuple(regions)).results)

    def block(self, b: RegionBuilder) -> list[Value]:
        operands = self.values(b)
        region = self.inside([Value(each.type) for each in operands], [self.random.choice(self.kinds) for _ in range(2)])
        return list(b.emit(Call(), *operands, regions=(region,)).results)

    def loop(self, b: RegionBuilder) -> list[Value]:
        """A counted loop, and now and then a replay of what it keeps."""
        state = self.values(b)
        tapes = [value.type for value in self.scope if isinstance(value.type, TapeType)][-2:]
        records = [
            [self.random.choice([*self.kinds, TRUTH, *tapes]) for _ in range(self.random.randint(1, 2))]
            for _ in range(self.random.choice([0, 0, 1, 2]))
        ]
        kinds = [each.type for each in state]
        arguments = [Value(COUNT), *(Value(kind) for kind in kinds)]
        body = self.inside(arguments, [*kinds, *(kind for record in records for kind in record)])
        first, last = self.index(b, 4), self.index(b, 5)
        step = b.value(Full(self.random.choice([1, 1, 1, -1, 2]), i64, ()))
        saved = tuple(len(record) for record in records)
        results = list(b.emit(For(saved), first, last, step, *state, regions=(body,)).results)
        for tape in results[len(state) :]:
            if self.random.random() < 0.8:
                results += self.again(b, tape)
        return results

    def again(self, b: RegionBuilder, tape: Value) -> list[Value]:
        state = self.values(b)
        kinds = [each.type for each in state]
        assert isinstance(tape.type, TapeType)
        saved = [self.random.choice(self.kinds)] if self.random.random() < 0.3 else []
        body = self.inside([Value(kind) for kind in (*tape.type.record, *kinds)], [*kinds, *saved])
        return list(b.emit(Replay(1, (1,) * len(saved)), tape, *state, regions=(body,)).results)

    def repeat(self, b: RegionBuilder) -> list[Value]:
        """A while loop that counts in its state."""
        state = [b.value(Full(0, i64, ())), *self.values(b)]
        kinds = [each.type for each in state]
        condition = Region([Value(kind) for kind in kinds])
        cb = RegionBuilder(condition)
        limit = cb.value(Full(self.random.randint(0, 3), i64, ()))
        condition.yields = (cb.value(Less(), condition.arguments[0], limit),)
        records = [self.random.choice(self.kinds) for _ in range(self.random.choice([0, 1, 2]))]
        tapes = [value.type for value in self.scope if isinstance(value.type, TapeType)]
        if tapes and records:
            records.append(self.random.choice(tapes))
        body = self.inside([Value(kind) for kind in kinds], [*kinds, *records])
        bb = RegionBuilder(body)
        count = bb.value(Add(), body.arguments[0], bb.value(Full(1, i64, ())))
        body.yields = (count, *body.yields[1:])
        saved = (len(records),) if records else ()
        results = list(b.emit(While(saved), *state, regions=(condition, body)).results)
        if records:
            results += self.again(b, results[-1])
        return results


class Versions(Programs):
    """Functions about versions of arrays of one type: written, mirrored, passed on, exchanged, kept, in dense mixture."""

    def __init__(self, random: Random, size: int) -> None:
        super().__init__(random, size)
        self.row = ArrayType(i64, (random.choice([3, 6, 70]),))
        self.kinds = [COUNT, self.row, self.row]

    def array(self, b: RegionBuilder) -> Value:
        return self.some(b, self.row)

    def values(self, b: RegionBuilder) -> list[Value]:
        return [self.array(b) for _ in range(self.random.randint(1, 3))]

    def step(self, b: RegionBuilder) -> list[Value]:
        if self.depth < 3 and self.random.random() < 0.35:
            return self.random.choice([self.branch, self.branch, self.loop, self.repeat, self.block])(b)
        return [self.random.choice([self.write, self.write, self.write, self.mirror, self.mix, self.total])(b)]

    def write(self, b: RegionBuilder) -> Value:
        """A window of one version, replaced or added to."""
        x = self.array(b)
        (dim,) = self.row.shape
        size = self.random.choice([1, 2, dim // 2, dim])
        start = self.index(b, dim - size + 1)
        match self.random.randrange(4):
            case 0:
                window = b.value(Broadcast((size,), ()), self.some(b, COUNT))
            case 1:
                window = b.value(DynamicSlice((size,), True), self.array(b), self.index(b, dim - size + 1))
            case 2:
                window = b.value(Slice((dim - size,), (size,), (1,)), self.array(b))
            case _:
                window = b.value(Slice((dim - 1,), (size,), (-1,)), self.array(b))
        return b.value(self.random.choice([DynamicUpdate(True), DynamicUpdate(True), DynamicAdd(True)]), x, window, start)

    def mirror(self, b: RegionBuilder) -> Value:
        (dim,) = self.row.shape
        return b.value(Slice((dim - 1,), (dim,), (-1,)), self.array(b))

    def mix(self, b: RegionBuilder) -> Value:
        return b.value(self.random.choice([Add(), Sub()]), self.array(b), self.array(b))

    def total(self, b: RegionBuilder) -> Value:
        weights = b.value(Iota(0, i64, self.row.dims))
        return b.value(ReduceSum((0,)), b.value(Mul(), weights, self.array(b)))
