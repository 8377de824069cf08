"""What a ufunc emits by a plan learned in the trace is what it emits when its operands are looked at one by one."""
from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, reduce
from itertools import product
from typing import Any

import numpy as np
import pytest
from effort import calls_of
from traced import run, traced

import pullback as pb
from pullback.errors import EscapedError, PullbackError
from pullback.ir.core import Value
from pullback.ir.print import print_function
from pullback.ir.types import type_of
from pullback.ir.verify import verify
from pullback.tracer import ufunc_calls, ufunc_plans
from pullback.tracer.leaf import leaves_of
from pullback.tracer.numpy_protocol import TracedArray
from pullback.tracer.record import Recorder, recording
from pullback.tracer.trace import trace
from pullback.tracer.tree import flatten
from pullback.tracer.ufuncs import RULES

KINDS = ("bool", "uint8", "int64", "uint64", "float32", "float64")
SHAPES = ((), (3,), (2, 3))
WEAK = (0.25, 3, True)
NUMBERS: tuple[Any, ...] = (
    0.5, 0.0, -0.0, 2.0, -1.5, float("nan"), float("inf"), 1e300, 2, 0, 1, -1, -2, 300, 1 << 63, 10**400, True, False,
    np.float64(0.5), np.float32(2.0), np.int64(3), np.full(3, 0.5), np.array(0.5),
)  # fmt: skip
BY_NAME: dict[str, Callable[..., Any]] = {
    name: getattr(operator, name)
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "lshift", "rshift",
                 "lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert")
}  # fmt: skip
BY_NAME.update({ufunc.__name__: ufunc for ufunc in RULES})
UNARY = {name for name in BY_NAME if getattr(BY_NAME[name], "nin", 2) == 1} | {"neg", "pos", "abs", "invert"}


@contextmanager
def slowly() -> Iterator[None]:
    """Nothing is learned in this context."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ufunc_calls, "learn", lambda *given: None)
        yield


@contextmanager
def counted() -> Iterator[list[ufunc_plans.Plan]]:
    """The plans that are taken in this context."""
    taken: list[ufunc_plans.Plan] = []
    emit = ufunc_plans.Plan.emit

    def counting(self: ufunc_plans.Plan, *given: Any) -> Any:
        taken.append(self)
        return emit(self, *given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ufunc_plans.Plan, "emit", counting)
        yield taken


def record(function: Callable[..., Any], unary: bool) -> tuple[str, list[Any]]:
    """What a function emits for all pairs of operands, twice, with its lines; and what it raises."""
    recorder = Recorder(TracedArray)
    examples = [(np.ones(shape, kind), False) for kind in KINDS for shape in SHAPES[: 3 if "f" in kind else 2]]
    examples += [(np.asarray(number), True) for number in WEAK]
    # Two of each type: a plan has to hold for other operands than those it was learned from.
    parameters = [Value(type_of(array)) for _ in range(2) for array, _ in examples]
    weak = [is_weak for _, is_weak in examples] * 2
    operands = [TracedArray(*each) for each in zip(parameters, [recorder] * len(weak), weak, strict=True)]
    half = len(examples)
    pairs: list[tuple[Any, ...]] = [(x,) for x in operands]
    if not unary:
        pairs = [*product(operands[:half], operands[half:]), *product(operands[half:], operands[:half])]
        pairs += [pair for x in operands[:half] for number in NUMBERS for pair in ((x, number), (number, x))]
        pairs += [(x, x) for x in operands]
        pairs += [pair for x in operands[half:] for number in NUMBERS for pair in ((x, number), (number, x))]
    found: list[Any] = []
    with recording(recorder):
        for pair in pairs:
            before = len(recorder.region.operations)
            try:
                results = function(*pair)
            except (PullbackError, TypeError) as error:
                found.append(f"{type(error).__name__}: {error}")
                continue
            for result in results if isinstance(results, tuple) else (results,):
                found.append(f"{result.value.type} {result.weak} {result.depth}")
            found += [each.location for each in recorder.region.operations[before:]]
        yields = [result for each in recorder.region.operations for result in each.results]
        made, _ = recorder.finish("f", parameters, yields)
    verify(made)
    return print_function(made), found


@pytest.mark.parametrize("name", BY_NAME)
def test_plans_emit_what_is_emitted_without_them(name: str) -> None:
    with slowly(), counted() as taken:
        expected = record(BY_NAME[name], name in UNARY)
    assert not taken
    with counted() as taken:
        found = record(BY_NAME[name], name in UNARY)
    assert found == expected
    # Only what gives its operand as it is, or two results, has nothing to learn.
    assert bool(taken) == (name not in ("positive", "divmod", "modf"))


def chain(steps: int) -> Callable[..., Any]:
    return lambda x, a: reduce(lambda c, _: 2.0 * c * a + np.sin(c) - 1, range(steps), x)


@pytest.mark.parametrize("arguments", [(0.3, 0.5), (np.ones(3), np.ones(3)), (np.ones((2, 3)), 0.5), (np.ones(3, "f4"), 2)])
def test_a_chain_is_planned_after_its_first_steps(arguments: tuple[Any, ...]) -> None:
    with counted() as taken:
        found = traced(chain(20), *arguments)
    assert len(taken) >= 18 * 5
    with slowly():
        expected = traced(chain(20), *arguments)
    assert print_function(found.function, source_comments=True) == print_function(expected.function, source_comments=True)


def test_an_operation_takes_few_calls() -> None:
    calls_of(lambda: traced(chain(20), 0.3, 0.5))
    few, many = [calls_of(partial(traced_alone, chain(steps))) for steps in (100, 1100)]
    assert many - few < 1000 * 7 * 22


def traced_alone(fun: Callable[..., Any]) -> None:
    values, structure = flatten(((0.3, 0.5), {}))
    trace(fun, leaves_of(values, structure), structure, name="f")


def test_views_are_read_where_they_are_used_and_writes_are_seen() -> None:
    def fun(x: Any) -> Any:
        y = x * 1.0
        first, rest = y[:2], y[2:]
        total = first * rest
        y[0] = 5.0
        total = total + first * rest
        y += 1.0
        return total * 1.0 + first * rest

    with counted() as taken:
        found = print_function(traced(fun, np.arange(4.0)).function)
    assert taken
    with slowly():
        assert found == print_function(traced(fun, np.arange(4.0)).function)
    np.testing.assert_array_equal(run(fun, np.arange(4.0)), fun(np.arange(4.0)))


def test_arrays_that_are_known_stay_known() -> None:
    def fun(k: Any) -> Any:
        places = np.arange(3)
        total = k * (k + 1) + (k - 1) + k
        doubled = places + (places + places)
        other = np.negative(k) - np.negative(total)
        seen.extend([doubled, np.negative(places), -places] if isinstance(total, TracedArray) else [])
        return total * doubled[1] + np.negative(places)[2] * -other

    seen: list[Any] = []
    np.testing.assert_array_equal(run(fun, np.arange(3)), fun(np.arange(3)))
    assert [each.known.tolist() for each in seen] == [[0, 3, 6], [0, -1, -2], [0, -1, -2]]


def test_what_a_ufunc_gives_is_no_python_number_any_more() -> None:
    def fun(x: Any, y: Any, array: Any) -> Any:
        weak, strong = x + y, np.add(x, y)
        return [each * array for each in (weak, strong, weak + y, np.add(strong, y), np.add(x, weak), x + weak)]

    found = run(fun, 0.5, 0.25, np.ones(3, np.float32))
    assert [each.dtype for each in found] == ["f4", "f8", "f4", "f8", "f8", "f4"]


def test_a_trace_inside_a_trace_has_plans_of_its_own() -> None:
    def fun(x: Any) -> Any:
        y = x * x * x

        def inner(z: Any) -> Any:
            return z * (z * z) + y * z + z * x + x * z + np.sin(z) + np.sin(x)

        return pb.grad(inner)(y) + x * y * y

    x = np.array(1.3)
    y = x**3
    expected = 3 * y * y + y + 2 * x + np.cos(y) + x * y * y
    assert pb.compile_grad(fun)(x) == pytest.approx(expected, rel=1e-14)
    slope = 18 * x**5 + 3 * x**2 + 2 - np.sin(y) * 3 * x**2 + 7 * x**6
    assert pb.grad(fun)(x) == pytest.approx(slope, rel=1e-14)


@pytest.mark.parametrize("function", [np.sin, operator.neg, operator.mul, lambda x: x * (x + x) * x])
def test_values_of_an_enclosing_trace_are_lifted_whatever_was_learned(function: Callable[..., Any]) -> None:
    kind = type_of(np.ones(3))
    outer = Recorder(TracedArray)
    inner = Recorder(TracedArray, outer)
    mine, others = [[Value(kind) for _ in range(2)] for _ in range(2)]
    x, y = [TracedArray(value, inner) for value in mine]
    u, v = [TracedArray(value, outer) for value in others]
    pairs = [(x, y), (y, x), (u, x), (x, v), (u, v), (x, y)]
    unary = function is not operator.mul
    with recording(outer), recording(inner):
        results = [function(pair[0]) if unary else function(*pair) for pair in pairs]
        made, lifted = inner.finish("f", mine, [each.value for each in results])
    verify(made)
    assert lifted == (others[:1] if unary else others)


def test_a_value_that_escaped_is_refused_though_there_is_a_plan() -> None:
    kept: list[Any] = []

    def fun(x: Any) -> Any:
        kept.append(x * x + x)
        return x * (x + x) * (x + x)

    traced(fun, 0.5)
    with pytest.raises(EscapedError):
        kept[0] * kept[0]
    with pytest.raises(EscapedError):
        np.sin(kept[0])

    def other(x: Any) -> Any:
        return x * x * (x + x) * kept[0] * x

    with pytest.raises(EscapedError):
        traced(other, 0.5)


def test_each_call_has_its_own_line() -> None:
    def fun(x: Any) -> Any:
        y = x * x
        y = y * x
        y = (y *
             x)
        return y * y * x

    lines = [each.location for each in traced(fun, 0.5).function.body.operations]
    with slowly():
        assert lines == [each.location for each in traced(fun, 0.5).function.body.operations]
    assert len(lines) == 5
    assert len(set(lines)) == (5 if sys.version_info >= (3, 11) else 4)  # before, no columns
