"""Rerolling on random programs that repeat themselves: the same bits, the same gradients, and a loop where there was none."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from effort import calls_of

import pullback as pb
from pullback.compiler import compile_function, optimize
from pullback.dtypes import f64
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.analysis.repeats import repeats
from pullback.ir.clone import copy_function
from pullback.ir.core import Array, Function, Op, Operation, Region, RegionBuilder, Value, walk
from pullback.ir.interpret import interpret
from pullback.ir.ops.arithmetic import Add, Maximum, Mul, Neg, Sub
from pullback.ir.ops.control import For, If
from pullback.ir.ops.creation import Full
from pullback.ir.ops.elementary import Cos, Sin, Tanh
from pullback.ir.ops.logic import Less
from pullback.ir.ops.shape import Concatenate, Reshape, Slice
from pullback.ir.passes.dce import dce
from pullback.ir.passes.reroll import LARGE, WORTH, WORTH_FUSED, WORTH_MEMORY, reroll, rolled_copy
from pullback.ir.print import print_function
from pullback.ir.types import ArrayType
from pullback.ir.verify import verify

UNARY: tuple[Op, ...] = (Sin(), Cos(), Tanh())
BINARY: tuple[Op, ...] = (Add(), Sub(), Mul(), Maximum())
WIDTH = 64
SEEDS = range(56)
WIDE = 40
"""From this seed on steps compute arrays that are too large to be copied one by one."""


class Repeating:
    """A function of a few numbers (or rows) and a matrix, with steps that a random template writes out."""

    def __init__(self, seed: int) -> None:
        self.random = random = np.random.default_rng(seed)
        dims: tuple[int, ...] = ((), (), (3,))[seed % 3] if seed < WIDE else (9, 8)
        kind = ArrayType(f64, dims)
        arguments = [Value(kind, name=name) for name in "xyz"] + [Value(ArrayType(f64, (WIDTH, *dims)), name="w")]
        self.kind, self.matrix = kind, arguments[3]
        self.b = RegionBuilder(Region(arguments))
        self.trips = int(random.integers(10, 30))
        self.history: list[list[Value]] = []
        known = arguments[:3]
        for _ in range(int(random.integers(4))):
            known.append(self.apply(self.below(3), [known[self.below(len(known))] for _ in range(2)]))
        self.outside = known
        self.template = [self.slots(position) for position in range(int(random.integers(2, 7)))]
        own = len(self.template)
        for position in range(own):
            # A sum that is carried keeps all of a step alive.
            before = ("step", own + position - 1) if position else ("back", 0, 2 * own - 1)
            self.template.append((len(UNARY), [before, ("step", position)]))
        starts = [[known[self.below(len(known))] for _ in self.template] for _ in range(3)]
        # Operands that are others than the template says, in a few programs.
        odd = [(self.below(self.trips), self.below(len(self.template))) for _ in range(max(0, self.below(5) - 2))]
        for step in range(self.trips):
            row: list[Value] = []
            for position, (op, sources) in enumerate(self.template):
                operands = [self.operand(source, step, row, starts) for source in sources]
                if (step, position) in odd:
                    earlier = [*known, *row, *(each for before in self.history for each in before)]
                    operands[self.below(2)] = earlier[self.below(len(earlier))]
                row.append(self.apply(op, operands))
            self.history.append(row)
        if seed % 2:
            self.second()
        self.b.region.yields = tuple(self.results())
        self.function = Function("repeating", self.b.region)

    def below(self, count: int) -> int:
        return int(self.random.integers(count))

    def slots(self, position: int) -> tuple[int, list[tuple[Any, ...]]]:
        """The op of a step's operation, and where its operands come from."""
        sources: list[tuple[Any, ...]] = []
        for _ in range(2):
            match self.below(7):
                case 0:
                    sources.append(("outside", self.below(len(self.outside))))
                case 1 | 2 if position:
                    sources.append(("step", self.below(position)))
                case 3:
                    sources.append(("row", self.below(3), self.below(2) + 1))
                case 4:
                    sources.append(("count", self.below(5) - 2, self.below(4)))
                case 5:
                    sources.append(("numbers", self.random.normal(size=[1, 2, 3, 40][self.below(4)])))
                case _:
                    sources.append(("back", self.below(self.below(3) + 1), self.below(8)))
        return self.below(len(UNARY) + len(BINARY)), sources

    def operand(self, source: tuple[Any, ...], step: int, row: list[Value], starts: list[list[Value]]) -> Value:
        match source:
            case ("outside", number):
                return self.outside[number]
            case ("step", position):
                return row[position]
            case ("row", start, stride):
                dims = self.kind.dims
                op = Slice((start + stride * step, *(0 for _ in dims)), (1, *self.kind.shape), (1,) * (1 + len(dims)))
                return self.b.value(Reshape(dims), self.b.value(op, self.matrix))
            case ("count", start, stride):
                return self.b.value(Full(float(start + stride * step), f64, self.kind.dims))
            case ("numbers", numbers):
                return self.b.value(Full(float(numbers[step % len(numbers)]), f64, self.kind.dims))
            case ("back", steps, position):
                position %= len(self.template)
                before = step - 1 - steps
                return self.history[before][position] if before >= 0 else starts[before][position]
        raise AssertionError(source)

    def apply(self, op: int, operands: Sequence[Value]) -> Value:
        if op < len(UNARY):
            return self.b.value(UNARY[op], operands[0])
        made = self.b.value(BINARY[op - len(UNARY)], *operands)
        return self.b.value(Tanh(), made) if isinstance(BINARY[op - len(UNARY)], Mul) else made

    def results(self) -> list[Value]:
        """Results of the last steps, of all steps joined, and of some."""
        found = [self.history[-1][-1]]
        position = self.below(len(self.template))
        if self.below(2):
            found.append(self.history[-1 - self.below(3)][position])
        if self.below(2):
            dims = (1, *self.kind.dims)
            rows = [self.b.value(Reshape(dims), each[position]) for each in self.history]
            if self.below(2):
                rows.reverse()
            if self.below(2):
                rows = [self.b.value(Reshape(dims), self.outside[0]), *rows[self.below(3) :: self.below(2) + 1]]
            if self.below(2):
                others = [self.b.value(Reshape(dims), each[-1]) for each in self.history[: len(rows)]]
                rows = [each for pair in zip(rows, others, strict=False) for each in pair]
            found.append(self.b.value(Concatenate(0), *rows))
        if self.below(4) == 0:
            found.append(self.history[self.below(self.trips)][position])
        return found

    def second(self) -> None:
        """More steps, which read those of the first, one by one or the last, and go on in the place of `history`."""
        first, self.history = self.history, []
        order = first[::-1] if self.below(2) else first
        value, position = first[-1][-1], self.below(len(self.template))
        for row in order:
            product = self.apply(len(UNARY) + 2, [value, row[position]])
            value = self.b.value(Add(), self.b.value(Cos(), product), first[-1][0])
            self.history.append([product] * (len(self.template) - 1) + [value])

    def arguments(self) -> list[Array]:
        return [self.random.normal(size=value.type.shape) for value in self.function.parameters]


def loops(function: Function) -> int:
    return sum(isinstance(operation.op, For) for operation in walk(function.body))


def same_bits(found: Sequence[Array], wanted: Sequence[Array]) -> None:
    for left, right in zip(found, wanted, strict=True):
        assert left.shape == right.shape and left.tobytes() == right.tobytes(), (left, right)


def rolled(function: Function) -> Function:
    result = copy_function(function)
    reroll(result, worth=8)
    verify(result)
    return result


def test_most_are_rolled() -> None:
    """Of programs whose steps are not all alike, some are too short then."""
    counts = [loops(rolled(Repeating(seed).function)) for seed in SEEDS]
    assert sum(count > 0 for count in counts) >= 0.8 * len(SEEDS)
    assert sum(count > 1 for count in counts[:WIDE]) >= 0.2 * WIDE
    # What a second loop reads of a first one, row by row.
    assert sum(count > 1 for count in counts[WIDE:]) >= 0.2 * len(counts[WIDE:])


@pytest.mark.parametrize("seed", SEEDS)
def test_interpreted(seed: int) -> None:
    """What is rolled means the same to the bit; a second run finds nothing."""
    program = Repeating(seed)
    verify(program.function)
    result = rolled(program.function)
    for _ in range(2):
        arguments = program.arguments()
        same_bits(interpret(result, arguments), interpret(program.function, arguments))
    text = print_function(result)
    assert not reroll(result, worth=8)
    assert print_function(result) == text


def parts(function: Function) -> set[int]:
    """Everything of a function that a pass may change."""
    operations = list(walk(function.body))
    regions = [function.body, *(region for operation in operations for region in operation.regions)]
    values = [value for region in regions for value in region.arguments]
    values += [value for operation in operations for value in operation.results]
    return {id(each) for each in (*operations, *regions, *values)}


@pytest.mark.parametrize("seed", SEEDS)
def test_rolled_copies(seed: int) -> None:
    """What is rolled while it is copied is what a copy becomes; the function itself stays as it is."""
    function = Repeating(seed).function
    before, captured = print_function(function), len(function.captured)
    copy = rolled_copy(function, worth=8)
    verify(copy)
    assert print_function(copy) == print_function(rolled(function))
    assert print_function(function) == before and len(function.captured) == captured
    assert not parts(copy) & parts(function)
    # What nobody reads stands in the way of steps that are alike, unless it does not count.
    for place in range(len(function.body.operations) - 1, 0, -5 - seed % 3):
        operand = function.body.operations[place].results[0]
        function.body.operations.insert(place + 1, Operation(Neg(), (operand,), (operand.type,)))
    dead = print_function(function)
    pruned = copy_function(function)
    dce(pruned)
    reroll(pruned, worth=8)
    assert print_function(rolled_copy(function, worth=8, dead=False)) == print_function(pruned)
    assert print_function(function) == dead


@pytest.mark.parametrize("seed", SEEDS)
def test_derivatives(seed: int) -> None:
    """Both modes of the loop agree with those of straight-line code; what is not needed for them may be rounded else."""
    program = Repeating(seed)
    result = rolled(program.function)
    arguments = program.arguments()
    random = np.random.default_rng(seed)
    bars = [random.normal(size=kind.shape) for kind in result.result_types]
    dots = [random.normal(size=each.shape) for each in arguments]
    with pb.config(opt=0):
        wanted = interpret(adjoint(program.function, [0, 1, 2, 3]), [*arguments, *bars])
        moved = interpret(pushforward(program.function, [0, 1, 2, 3]), [*arguments, *dots])
        found = interpret(adjoint(result, [0, 1, 2, 3]), [*arguments, *bars])
        pushed = interpret(pushforward(result, [0, 1, 2, 3]), [*arguments, *dots])
    for left, right in zip([*found, *pushed], [*wanted, *moved], strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(right).max(initial=0)))


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_native(seed: int) -> None:
    """The same in native code: values to the bit, gradients to rounding."""
    program = Repeating(seed)
    result = rolled(program.function)
    arguments = program.arguments()
    with pb.config(opt=0):
        wanted = compile_function(program.function)(arguments)
        slopes = compile_function(adjoint(program.function, [0, 3], seeded=[]))(arguments)
        plain = adjoint(program.function, [0, 1, 2, 3])
    same_bits(compile_function(result)(arguments), wanted)
    bars = [np.ones(kind.shape) for kind in result.result_types]
    found = compile_function(adjoint(result, [0, 1, 2, 3]))([*arguments, *bars])
    same_bits(found[: len(wanted)], wanted)
    assert all(not each.any() for each in slopes[len(wanted) :])
    for left, right in zip(found, interpret(plain, [*arguments, *bars]), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(right).max(initial=0)))


@pytest.mark.parametrize("numbers", [[-0.0, *range(1, 20)], [*range(20)], [0.1 * each for each in range(20)]])
def test_signs_of_zeros(numbers: list[float]) -> None:
    """A constant that counts is only made out of the step where that gives its bits."""
    x = Value(ArrayType(f64, ()), name="x")
    b = RegionBuilder(Region([x]))
    rows = [b.value(Reshape((1,)), b.value(Mul(), x, b.value(Full(float(each), f64, ())))) for each in numbers]
    b.region.yields = (b.value(Concatenate(0), *rows),)
    function = Function("products", b.region)
    result = rolled(function)
    assert loops(result)
    for each in (1.5, -1.5):
        same_bits(interpret(result, [np.array(each)]), interpret(function, [np.array(each)]))


def test_regions_of_what_is_not_rolled_are_copied() -> None:
    x = Value(ArrayType(f64, ()), name="x")
    b = RegionBuilder(Region([x]))
    value = x
    for _ in range(24):
        value = b.value(Sin(), b.value(Mul(), value, x))
    regions = (Region(), Region())
    for region, op in zip(regions, (Sin(), Cos()), strict=True):
        region.yields = (RegionBuilder(region).value(op, value),)
    b.region.yields = (b.emit(If(), b.value(Less(), value, x), regions=regions).results[0],)
    function = Function("branch", b.region)
    before = print_function(function)
    copy = rolled_copy(function, worth=8)
    verify(copy)
    assert loops(copy) == 1
    assert print_function(function) == before
    assert not parts(copy) & parts(function)
    same_bits(interpret(copy, [np.array(0.3)]), interpret(function, [np.array(0.3)]))


@pytest.mark.parametrize("variant", ["which result", "which branch"])
def test_branches_that_differ(variant: str) -> None:
    """Steps are alike if all in their regions is, and if they read the same result of what has several."""
    x = Value(ArrayType(f64, ()), name="x")
    b = RegionBuilder(Region([x]))
    value = x
    for step in range(24):
        regions = []
        for op in (Sin(), Cos() if variant == "which branch" and step % 3 else Tanh()):
            regions.append(Region())
            inner = RegionBuilder(regions[-1])
            regions[-1].yields = (inner.value(op, value), inner.value(Neg(), value))
        condition = b.value(Less(), value, x)
        value = b.emit(If(), condition, regions=tuple(regions)).results[step % 2 if variant == "which result" else 0]
    b.region.yields = (value,)
    function = Function("branches", b.region)
    result = rolled(function)
    assert loops(result) == 1
    for each in (0.3, -1.5):
        same_bits(interpret(result, [np.array(each)]), interpret(function, [np.array(each)]))


# What is worth it


def chain(op: Op, steps: int, size: int) -> Function:
    """``x = op(x) * y + 0.1``, again and again."""
    kind = ArrayType(f64, (size,) if size else ())
    x, y = Value(kind, name="x"), Value(kind, name="y")
    b = RegionBuilder(Region([x, y]))
    value = x
    for _ in range(steps):
        value = b.value(Add(), b.value(Mul(), b.value(op, value), y), b.value(Full(0.1, f64, kind.dims)))
    b.region.yields = (value,)
    return Function("chain", b.region)


@pytest.mark.parametrize("op, size, least", [
    (Sin(), 0, WORTH), (Neg(), 0, WORTH), (Sin(), 1000, WORTH), (Neg(), LARGE - 1, WORTH),
    (Neg(), 1000, WORTH_FUSED), (Neg(), 100_000, WORTH_MEMORY), (Sin(), 100_000, WORTH_MEMORY),
])  # fmt: skip
def test_cost_rule(op: Op, size: int, least: int) -> None:
    """Cheap steps on arrays are left to be fused, up to a point."""
    enough = -(-least // 3) + 1
    few, many = chain(op, enough - 1, size), chain(op, enough, size)
    assert not reroll(few)
    assert not loops(few)
    assert reroll(many)
    assert loops(many) == 1


# What the search costs


def test_stretches() -> None:
    """Where tokens repeat, whatever the period, and nothing where they do not."""
    found = repeats([9, 8, *[1, 2, 3] * 10, 7, *[4] * 5, *[1, 1, 2, 1, 2] * 4, 6])
    best = {each.period: (each.start, each.stop) for each in reversed(found)}
    assert best[3] == (2, 32)
    assert best[1] == (33, 38)
    assert best[5] == (38, 58)
    random = np.random.default_rng(0)
    assert not [each for each in repeats(random.integers(1000, size=3000).tolist()) if each.gain >= 4]


def irregular(operations: int, ops: Sequence[Op]) -> Function:
    """Operations whose operands lie anywhere among the 40 before."""
    random = np.random.default_rng(1)
    x = Value(ArrayType(f64, ()), name="x")
    b = RegionBuilder(Region([x]))
    values = [x]
    for _ in range(operations):
        op = ops[int(random.integers(len(ops)))]
        values.append(b.value(op, *[values[-1 - int(random.integers(min(40, len(values))))] for _ in range(2)]))
    b.region.yields = (values[-1],)
    return Function("irregular", b.region)


@pytest.mark.parametrize("ops", [BINARY, BINARY[:1]], ids=["of several ops", "of one op"])
def test_effort_is_linear(ops: Sequence[Op]) -> None:
    """Without anything to be found, four times the operations take four times as many calls."""

    def calls(operations: int) -> int:
        function = irregular(operations, ops)
        done: list[bool] = []
        effort = calls_of(lambda: done.append(reroll(function)))
        assert done == [False]
        return effort

    calls(100)
    assert calls(16_000) < 4.6 * calls(4_000)


def test_what_is_rolled_costs_few_calls_an_operation() -> None:
    """Compiling a loop that was written out takes a few calls for each of its operations before it is a loop again."""

    def calls(steps: int) -> int:
        x, a = Value(ArrayType(f64, ()), name="x"), Value(ArrayType(f64, ()), name="a")
        b = RegionBuilder(Region([x, a]))
        value = x
        for _ in range(steps):
            value = b.value(Add(), b.value(Mul(), value, a), b.value(Sin(), value))
        b.region.yields = (value,)
        made: list[Function] = []
        effort = calls_of(lambda: made.append(optimize(Function("chain", b.region))))
        assert loops(made[0]) == 1
        return effort

    calls(100)
    assert calls(1100) - calls(100) < 3000 * 30


# Programs


PROGRAMS = """
import functools
import numpy as np

def recurrence(steps):
    return lambda x, a: functools.reduce(lambda c, _: c * a + np.sin(c), range(steps), x)

def euler(steps):
    def f(x, v):
        for _ in range(steps):
            x, v = x + 0.01 * v, v - 0.01 * np.sin(x)
        return x * v
    return f

def reads(steps):
    def f(x, s):
        for k in range(steps):
            s = s * 0.5 + np.tanh(x[k]) * s
        return s
    return f

def stacked(steps):
    def f(x, a):
        out = []
        for k in range(steps):
            x = x * a + np.sin(x) / (k + 1)
            out.append(x)
        return np.sum(np.stack(out) ** 2)
    return f

def written(steps):
    def f(x, s):
        out = np.zeros_like(x)
        for k in range(steps):
            s = np.cos(s) + x[k]
            out[k] = s * k
        return np.sum(out * x)
    return f
"""


def program(name: str, steps: int) -> Any:
    """A function that `exec` made, whose loops are therefore written out."""
    scope: dict[str, Any] = {}
    exec(PROGRAMS, scope)
    return scope[name](steps)


@pytest.mark.parametrize("name", ["recurrence", "euler", "reads", "stacked", "written"])
def test_programs(name: str) -> None:
    """Eight times the steps are as much code, and mean what they did."""
    sizes = []
    for steps in (128, 1024):
        f = pb.compile_grad(program(name, steps))
        first = np.linspace(0.1, 0.9, steps) if name in ("reads", "written") else 0.3
        lowered = f.lower(first, 0.7)
        sizes.append([len(text.splitlines()) for text in (lowered.optimized, lowered.adjoint, lowered.llvm)])
        value, slope = f.value_and_grad(first, 0.7)
        assert value == f(first, 0.7)
        np.testing.assert_allclose(value, program(name, steps)(first, 0.7), rtol=1e-9)
        step = 1e-6
        moved = [f(first + sign * step, 0.7) for sign in (1, -1)]
        np.testing.assert_allclose(np.sum(slope), (moved[0] - moved[1]) / (2 * step), rtol=1e-4, atol=1e-7)
    assert sizes[0] == sizes[1]


def test_higher_orders() -> None:
    """Derivatives of derivatives, and along a new axis."""
    f = pb.compile_grad(program("euler", 60))
    with pb.config(opt=0):
        plain = pb.compile_grad(program("euler", 60))
        wanted = plain.hessian(0.3, 0.7), plain.hvp((0.3, 0.7), (1.0, 2.0))[0]
    np.testing.assert_allclose(f.hessian(0.3, 0.7), wanted[0], rtol=1e-10)
    np.testing.assert_allclose(f.hvp((0.3, 0.7), (1.0, 2.0))[0], wanted[1], rtol=1e-10)
    g = pb.compile_grad(lambda x: np.sum(pb.vmap(program("euler", 60))(x, x)))
    x = np.linspace(0.1, 0.4, 3)
    slopes = [(f(each + 1e-6, each + 1e-6) - f(each - 1e-6, each - 1e-6)) / 2e-6 for each in x]
    np.testing.assert_allclose(g.grad(x), slopes, rtol=1e-6)
