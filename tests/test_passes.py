"""Passes on random functions: valid, the same bits, nothing left to do; and the driver that applies rules."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from golden_cases import Case, all_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from random_functions import random_arguments, random_function
from test_golden_ir import same_bits

from pullback.config import config
from pullback.dtypes import f64
from pullback.errors import VerifyError
from pullback.ir.ad.reverse import adjoint
from pullback.ir.clone import copy_function, inline
from pullback.ir.core import Array, Function, Operation, Region, RegionBuilder, Value, walk
from pullback.ir.interpret import interpret
from pullback.ir.ops.arithmetic import Add, Mul, Neg, Pow
from pullback.ir.ops.control import Call
from pullback.ir.ops.creation import Full
from pullback.ir.ops.elementary import Cos, Exp, Sin
from pullback.ir.parse import parse_function
from pullback.ir.passes.algebra import algebra
from pullback.ir.passes.canonicalize import canonicalize
from pullback.ir.passes.cse import cse
from pullback.ir.passes.dce import count, dce
from pullback.ir.passes.fold import fold
from pullback.ir.passes.pipeline import STRAIGHT_PASSES, local, local_rules, simplify, straight, trim
from pullback.ir.print import print_function
from pullback.ir.rewrite import Rewriter, rewrite
from pullback.ir.types import ArrayType
from pullback.ir.verify import verify
from pullback.location import UNKNOWN, Location

SCALAR = ArrayType(f64, ())
ALL = [canonicalize, algebra, fold, cse, dce, simplify, straight, trim]


def chain(length: int, step: Callable[[RegionBuilder, Value], Value]) -> Function:
    """x, step(x), step(step(x)), …; the last is returned."""
    region = Region([Value(SCALAR, name="x")])
    b = RegionBuilder(region)
    value = region.arguments[0]
    for _ in range(length):
        value = step(b, value)
    region.yields = (value,)
    return Function("chain", region)


def results(function: Function, seed: int) -> list[list[Array]]:
    return [interpret(function, random_arguments(function, seed, special=special)) for special in (False, True)]


@pytest.mark.parametrize("run", ALL, ids=lambda run: run.__name__)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_random_functions_keep_their_meaning(run: Callable[[Function], bool], seed: int) -> None:
    """After a pass the function is valid, gives the same bits, and the pass has nothing left to do."""
    function = random_function(seed, 30, leave_out=(Pow,))
    given_text = print_function(function)
    wanted = results(function, seed)
    changed = run(function)
    verify(function)
    text = print_function(function)
    assert changed == (text != given_text)
    for found, each in zip(results(function, seed), wanted, strict=True):
        same_bits(found, each)
    assert not run(function), "a second run changed something"
    assert print_function(function) == text


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_passes_in_any_order(seed: int) -> None:
    """Whatever the order, the meaning is kept to the bit; pow is kept within its bound."""
    function = random_function(seed, 25, leave_out=(Pow,))
    wanted = results(function, seed)
    for place in np.random.default_rng(seed).permutation(len(ALL)):
        ALL[place](function)
        verify(function)
    for found, each in zip(results(function, seed), wanted, strict=True):
        same_bits(found, each)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_one_walk_leaves_nothing_to_its_parts(seed: int) -> None:
    """`simplify` does not look again at straight-line code that was walked once, nor after dead code has gone."""
    function = random_function(seed, 40, regions=False)
    straight(function)
    assert not local(function) and not cse(function)
    dce(function)
    assert not local(function) and not cse(function)


def test_trimmed_code_has_a_small_adjoint() -> None:
    """Of signs as factors nothing is left, and equal products have one cotangent."""
    function = parse_function(
        "func @f(%x: f64[], %y: f64[]) -> (f64[]) {\n"
        "  %0 = full {value = -1.0, dtype = f64, dims = ()} : f64[]\n  %1 = mul %0, %x : f64[]\n"
        "  %2 = mul %1, %y : f64[]\n  %3 = full {value = 1.0, dtype = f64, dims = ()} : f64[]\n"
        "  %4 = mul %y, %3 : f64[]\n  %5 = neg %x : f64[]\n  %6 = mul %5, %4 : f64[]\n"
        "  %7 = add %2, %6 : f64[]\n  return %7\n}"
    )
    derived = adjoint(function, [0, 1], seeded=[0])
    dce(derived)
    names = sorted(operation.op.name for operation in derived.body.operations)
    # -x, its product with y, twice that; the cotangent 1, twice it, by each factor, and the sign.
    assert names == ["add", "add", "full", "mul", "mul", "mul", "neg", "neg"]
    with config(opt=0):
        whole = adjoint(function, [0, 1], seeded=[0])
    operands = [np.asarray(2.5), np.asarray(-1.5)]
    for found, wanted in zip(interpret(derived, operands), interpret(whole, operands), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-15)


def test_passes_log_and_verify(caplog: pytest.LogCaptureFixture) -> None:
    function = chain(3, lambda b, x: b.value(Neg(), x))
    with config(verify=True, log=("passes",)), caplog.at_level("INFO", "pullback.passes"):
        assert simplify(function)
    assert len(caplog.records) >= len(STRAIGHT_PASSES) and "straight: changed" in caplog.text


def test_copies_are_independent() -> None:
    function = random_function(5, 40)
    text = print_function(function)
    copy = copy_function(function, "other")
    assert print_function(copy) == text.replace("@random", "@other") and copy.captured == function.captured
    simplify(copy)
    assert print_function(function) == text
    verify(function)


def test_inlined_twice() -> None:
    inner = parse_function("func @g(%x: f64[]) -> (f64[], f64[]) {\n  %0 = sin %x : f64[]\n  return %0, %x\n}")
    region = Region([Value(SCALAR, name="x")])
    b = RegionBuilder(region)
    once, same = inline(b, inner, region.arguments)
    twice, _ = inline(b, inner, [once])
    region.yields = (twice, same)
    function = Function("f", region)
    verify(function)
    assert same is region.arguments[0]
    found = interpret(function, [np.array(0.5)])
    assert [float(each) for each in found] == [np.sin(np.sin(0.5)), 0.5]


# The driver


def test_emitted_operations_get_the_line_of_what_they_replace() -> None:
    function = chain(2, lambda b, x: b.value(Sin(), x))
    lines = [Location("a.py", 1, 0, 1, "f"), UNKNOWN]
    for operation, location in zip(function.body.operations, lines, strict=True):
        operation.location = location

    def sin_by_cos(operation: Operation, rewriter: Rewriter) -> Value:
        (x,) = operation.operands
        quarter = rewriter.value(Full(-np.pi / 2, f64, ()))
        return rewriter.value(Cos(), rewriter.value(Add(), x, quarter))

    assert rewrite(function, {Sin: (sin_by_cos,)})
    verify(function)
    assert [operation.location for operation in function.body.operations] == [lines[0]] * 3 + [lines[1]] * 3


def test_rules_see_what_rules_emit() -> None:
    """exp(x) becomes cos(cos(x)), each cos becomes neg: within one call of the driver."""
    function = chain(1, lambda b, x: b.value(Exp(), x))
    assert rewrite(function, {
        Exp: (lambda operation, r: r.value(Cos(), r.value(Cos(), *operation.operands)),),
        Cos: (lambda operation, r: r.value(Neg(), *operation.operands),),
    })  # fmt: skip
    assert [operation.op for operation in function.body.operations] == [Neg(), Neg()]
    verify(function)


def test_first_matching_rule_wins_and_none_means_no_match() -> None:
    function = chain(1, lambda b, x: b.value(Exp(), x))
    asked = []

    def no_match(operation: Operation, rewriter: Rewriter) -> Value | None:
        asked.append(operation.op)
        return None

    assert rewrite(function, {Exp: (no_match, lambda operation, r: operation.operands[0], no_match)})
    assert asked == [Exp()] and function.body.yields == (function.body.arguments[0],)
    assert not rewrite(function, {Exp: (no_match,)})


def test_operations_with_several_results() -> None:
    text = """func @f(%x: f64[]) -> (f64[], f64[]) {
      %0, %1 = call %x { ^(%a: f64[])
        %2 = sin %a : f64[]
        yield %2, %a
      } : f64[], f64[]
      return %1, %0
    }"""
    function = parse_function(text)

    def swap(operation: Operation, rewriter: Rewriter) -> tuple[Value, ...]:
        x = operation.operands[0]
        return rewriter.value(Cos(), x), x

    assert rewrite(function, {Call: (swap,)})
    assert [float(each) for each in interpret(function, [np.array(0.3)])] == [0.3, np.cos(0.3)]


def test_rules_without_end_are_stopped() -> None:
    function = chain(1, lambda b, x: b.value(Add(), x, x))

    def exchanged(operation: Operation, rewriter: Rewriter) -> Value:
        return rewriter.value(Add(), *reversed(operation.operands))

    with pytest.raises(VerifyError, match="rewriting does not end: the last rule was exchanged"):
        rewrite(function, {Add: (exchanged,)})


# Size: no recursion over operations, and effort that grows with their number


@pytest.mark.parametrize("step", [
    lambda b, x: b.value(Neg(), x), lambda b, x: b.value(Sin(), x), lambda b, x: b.value(Mul(), x, b.value(Full(1.0, f64, ()))),
    lambda b, x: b.value(Add(), x, b.value(Neg(), x)),
], ids=["neg", "sin", "mul", "add_neg"])  # fmt: skip
def test_long_chains(step: Callable[[RegionBuilder, Value], Value]) -> None:
    function = chain(10_000, step)
    simplify(function)
    verify(function)
    assert not simplify(function)
    interpret(function, [np.array(0.5)])


def test_effort_grows_with_the_number_of_operations() -> None:
    """Rules are offered a number of operations in proportion to the length of a chain."""
    offered = []

    def offer(operation: Operation, rewriter: Rewriter) -> Value | None:
        offered.append(operation)
        inner = operation.operands[0].owner
        return inner.operands[0] if inner is not None and isinstance(inner.op, Neg) else None

    counts = []
    for length in (1000, 4000):
        offered.clear()
        rewrite(chain(length, lambda b, x: b.value(Neg(), x)), {Neg: (offer,)})
        counts.append(len(offered))
    assert counts[1] <= 4.1 * counts[0]


def test_a_long_body_of_a_loop_has_fuel() -> None:
    """The fuel is counted for the operations inside regions too."""
    inner = chain(30_000, lambda b, x: b.value(Neg(), x))
    region = Region([Value(SCALAR, name="x")])
    region.yields = RegionBuilder(region).emit(Call(), *region.arguments, regions=(inner.body,)).results
    function = Function("f", region)
    assert algebra(function) and canonicalize(function) is False
    dce(function)
    assert count(function) == sum(1 for _ in walk(function.body)) == 1


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.file.stem}{case.number}")
def test_rules_match_where_their_sources_say(case: Case) -> None:
    """What a rule is not offered, it would not match: the same comes out when every operation is offered to all rules."""
    quick, slow = parse_function(case.given), parse_function(case.given)
    local(quick)
    rewrite(slow, local_rules())
    assert print_function(quick) == print_function(slow)
