"""Derivatives through loops and branches: both modes, to the third order, at poles, and what is saved for them."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from smooth_programs import (
    BISECTION,
    BRANCH_IN_WHILE,
    EULER,
    EXCHANGE,
    FILL,
    LINEAR_WHILE,
    NEIGHBOURS,
    NESTED,
    NEWTON,
    OSCILLATOR,
    PRODUCT,
    RECURRENT,
    RUNGE_KUTTA,
    STRIDES,
    SWAP,
    check_derivatives,
    functions_of,
    program,
)

from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array, Function, Operation, walk
from pullback.ir.interpret import interpret
from pullback.ir.ops.control import For, Loop, Replay, While
from pullback.ir.passes.pipeline import simplify
from pullback.ir.types import TapeType
from pullback.ir.verify import verify

RANDOM = np.random.default_rng(0)


def normal(*shape: int) -> Array:
    return RANDOM.normal(size=shape)


def count(number: int) -> Array:
    return np.array(number)


CASES: list[tuple[str, str, Sequence[Array | float]]] = [
    *(("euler", EULER, (0.3, 1.2, 0.7, 0.1, count(trips))) for trips in (0, 1, 4)),
    ("newton", NEWTON, (7.3,)),
    ("runge_kutta", RUNGE_KUTTA, (normal(3), normal(2), 0.1, count(3))),
    *(("nested", NESTED, (normal(6), 0.7, count(trips))) for trips in (0, 1, 4)),
    ("bisection", BISECTION, (2.0, 1.0, 1.9, 0.3)),
    *(("swap", SWAP, (0.7, normal(2), normal(2), count(trips))) for trips in (0, 1, 3)),
    ("product", PRODUCT, (normal(2, 2), normal(2, 2), count(4))),
    *(("branch", BRANCH_IN_WHILE, (1.3, normal(5), count(trips))) for trips in (0, 9)),
    *(("fill", FILL, (0.7, normal(8), count(trips))) for trips in (0, 2, 8)),
    ("linear", LINEAR_WHILE, (0.7, 0.3)),
    *(("recurrent", RECURRENT, (normal(3, 3), normal(3), normal(3), count(trips))) for trips in (0, 1, 4)),
    ("neighbours", NEIGHBOURS, (normal(20), normal(20, 2), RANDOM.integers(0, 20, (6, 2)), count(6))),
    *(("oscillator", OSCILLATOR, (0.3, 0.9, 1.7, count(trips))) for trips in (0, 1, 3)),
    *(("exchange", EXCHANGE, (0.7, 1.3, -0.4, count(trips))) for trips in (0, 1, 4)),
    *(
        ("strides", STRIDES, (0.7, count(start), count(stop), count(step)))
        for start, stop, step in ((0, 5, 1), (5, 0, -1), (7, -4, -3), (2, 9, 3), (3, 3, 1), (4, 0, 1), (0, 4, -2))
    ),
]


@pytest.mark.parametrize(("name", "text", "arguments"), CASES, ids=[case[0] for case in CASES])
def test_both_modes_to_the_second_order(name: str, text: str, arguments: Sequence[Array]) -> None:
    check_derivatives(functions_of(text), arguments, order=2)


@pytest.mark.parametrize("text", [EULER, NEWTON, FILL, SWAP], ids=["euler", "newton", "fill", "swap"])
def test_third_order(text: str) -> None:
    arguments = next(case[2] for case in CASES[2:] if case[1] is text)
    check_derivatives(functions_of(text), arguments, order=3)


@pytest.mark.sweep
@pytest.mark.parametrize(("name", "text", "arguments"), CASES, ids=[case[0] for case in CASES])
def test_all_to_the_third_order(name: str, text: str, arguments: Sequence[Array]) -> None:
    check_derivatives(functions_of(text), arguments, order=3)


def loops(function: Function) -> list[Operation]:
    return [operation for operation in walk(function.body) if isinstance(operation.op, Loop)]


def simplified_adjoint(text: str, wanted: Sequence[int]) -> Function:
    function = adjoint(functions_of(text), wanted)
    simplify(function)
    verify(function)
    return function


def test_an_euler_step_saves_its_state_alone() -> None:
    function = simplified_adjoint(EULER, [0, 1, 2, 3])
    forward, backward = loops(function)
    assert forward.op == For((1,)) and backward.op == Replay(1, ())
    assert str(forward.results[-1].type) == "tape<f64[]>"
    assert forward.regions[0].yields[-1] is forward.regions[0].arguments[1]


def test_an_iteration_waits_for_one_multiplication() -> None:
    """Of all that an adjoint step computes, one operation lies between the cotangent before and the one after."""
    for text, wanted in ((EULER, [0, 1, 2, 3]), (NEWTON, [0])):
        (backward,) = [loop for loop in loops(simplified_adjoint(text, wanted)) if isinstance(loop.op, Replay)]
        body = backward.regions[0]
        bar, after = body.arguments[1], body.yields[0]
        assert after.owner is not None and after.owner.op.name == "mul" and bar in after.owner.operands
        readers = [operation for operation in body.operations if bar in operation.operands]
        assert all(reader.op.name == "mul" for reader in readers)
        dependent = {reader.result for reader in readers}
        for operation in body.operations:
            if any(operand in dependent for operand in operation.operands):
                assert operation.op.name == "add" and operation.result in body.yields[1:]


def test_two_cotangents_have_slopes_by_each_other() -> None:
    body = loops(simplified_adjoint(OSCILLATOR, [0, 1, 2]))[-1].regions[0]
    depths = dict.fromkeys(body.arguments[3:5], 0)
    for operation in body.operations:
        known = [depths[operand] for operand in operation.operands if operand in depths]
        if known:
            depths[operation.result] = 1 + max(known)
    assert max(depths[value] for value in body.yields) <= 3


def test_factored_cotangents_that_branches_zero_meet_no_pole() -> None:
    text = program("f(%x: f64[], %y: f64[], %n: i64[]) -> (f64[])", """
  %r = for %i0, %n, %i1, %y {saved = ()} { ^(%i: i64[], %a: f64[])
    %s = sqrt %x : f64[]
    %as = mul %a, %s : f64[]
    %b = mul %as, %a : f64[]
    %c = less %i, %i1 : bool[]
    %t = select %c, %a, %b : f64[]
    %u = mul %t, %h : f64[]
    yield %u
  } : f64[]
""", "%r")
    assert gradient(text, [0.0, 3.0, count(1)]) == [0.0, 0.5]
    assert gradient(text, [4.0, 3.0, count(2)]) == [0.25 * 1.5 * 1.5 * 0.5, 1.5]


def test_counters_and_conditions_are_not_saved() -> None:
    """The counter is counted back; the branch taken is known from what was compared."""
    function = simplified_adjoint(BRANCH_IN_WHILE, [0, 1])
    forward = loops(function)[0]
    assert isinstance(forward.op, While)
    assert str(forward.results[-1].type) == "tape<f64[], f64[], f64[]>"


def test_a_state_is_saved_once_though_two_iterations_use_it() -> None:
    """tanh's slope is that of its result, which is what the next iteration starts with."""
    function = simplified_adjoint(RECURRENT, [0, 1, 2])
    assert str(loops(function)[0].results[-1].type) == "tape<f64[3]>"


def test_values_that_only_change_places_are_not_saved() -> None:
    function = simplified_adjoint(EXCHANGE, [0, 1, 2])
    assert str(loops(function)[0].results[-1].type) == "tape<bool[]>"


def test_a_loop_of_known_trips_without_residuals_has_no_tape() -> None:
    function = simplified_adjoint(NESTED, [0, 1])
    assert [str(loop.op) for loop in loops(function)] == [
        "For(saved=(2,))", "For(saved=())", "Replay(tapes=1, saved=())", "For(saved=())"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "large"),
    [(FILL, "f64[8]"), (NESTED, "f64[6]"), (BRANCH_IN_WHILE, "f64[5]"), (NEIGHBOURS, "f64[20")],
)
def test_adjoint_steps_touch_windows_only(text: str, large: str) -> None:
    """No iteration of the adjoint adds, makes or saves whole arrays."""
    function = simplified_adjoint(text, [0, 1])
    for loop in loops(function):
        for operation in walk(loop.regions[-1]):
            if any(str(result.type).startswith(large) for result in operation.results):
                assert operation.op.name in ("dynamic_add", "dynamic_update", "if", "for"), operation
        for result in loop.results:
            if isinstance(result.type, TapeType):
                assert large not in str(result.type)


def gradient(text: str, arguments: Sequence[Array | float]) -> list[float]:
    function = functions_of(text)
    floats = [place for place, value in enumerate(arguments) if np.asarray(value).dtype == np.float64]
    derived = adjoint(function, floats, seeded=[0], keep_values=False)
    found = [float(each) for each in interpret(derived, [np.asarray(each) for each in arguments])]
    for place, wanted in zip(floats, found, strict=True):
        forward = pushforward(function, [place], keep_values=False)
        dot = interpret(forward, [*(np.asarray(each) for each in arguments), np.array(1.0)])[0]
        assert float(dot) == wanted or (np.isnan(dot) and np.isnan(wanted)), place
    return found


def test_a_loop_not_entered_contributes_nothing() -> None:
    """sqrt has an infinite slope at 0; a loop of no trips does not use it."""
    text = program("f(%x: f64[], %y: f64[], %n: i64[]) -> (f64[])", """
  %s = sqrt %x : f64[]
  %r = for %i0, %n, %i1, %y {saved = ()} { ^(%i: i64[], %a: f64[])
    %b = mul %a, %s : f64[]
    yield %b
  } : f64[]
""", "%r")
    assert gradient(text, [0.0, 3.0, count(0)]) == [0.0, 1.0]
    assert gradient(text, [4.0, 3.0, count(1)]) == [0.75, 2.0]


def test_a_branch_not_taken_contributes_nothing() -> None:
    text = program("f(%x: f64[], %y: f64[]) -> (f64[])", """
  %s = sqrt %x : f64[]
  %q = div %y, %x : f64[]
  %c = greater %x, %z : bool[]
  %r = if %c, %s { ^(%a: f64[])
    %b = mul %a, %q : f64[]
    yield %b
  } { ^(%d: f64[])
    yield %y
  } : f64[]
""", "%r")
    assert gradient(text, [0.0, 3.0]) == [0.0, 1.0]
    assert gradient(text, [4.0, 3.0]) == [-3.0 / 16, 0.5]


def test_a_cotangent_that_starts_at_zero_meets_no_pole() -> None:
    """%b goes through a pole in the last iteration, after which nothing reads it; %a reads it before."""
    text = program("f(%x: f64[], %n: i64[]) -> (f64[])", """
  %r, %q = for %i0, %n, %i1, %e, %x {saved = ()} { ^(%i: i64[], %a: f64[], %b: f64[])
    %a2 = mul %a, %b : f64[]
    %b2 = sub %b, %e : f64[]
    %b3 = sqrt %b2 : f64[]
    yield %a2, %b3
  } : f64[], f64[]
""", "%r")
    assert gradient(text, [1.0, count(1)]) == [1.0]
    assert gradient(text, [2.0, count(2)]) == [2.0]


def test_a_tangent_that_starts_at_zero_meets_no_pole() -> None:
    """The first sqrt is of a constant 0: whatever its slope, nothing flows through it."""
    text = program("f(%x: f64[], %n: i64[]) -> (f64[])", """
  %r = for %i0, %n, %i1, %z {saved = ()} { ^(%i: i64[], %a: f64[])
    %s = sqrt %a : f64[]
    %t = add %s, %x : f64[]
    yield %t
  } : f64[]
""", "%r")
    (found,) = gradient(text, [4.0, count(2)])
    assert found == 1.25


def test_a_zero_that_an_iteration_makes_meets_no_pole() -> None:
    """Where the select drops %a, its cotangent is 0 for all iterations before, whatever their slopes."""
    text = program("f(%x: f64[], %n: i64[]) -> (f64[])", """
  %r = for %i0, %n, %i1, %x {saved = ()} { ^(%i: i64[], %a: f64[])
    %c = equal %i, %i1 : bool[]
    %s = sqrt %a : f64[]
    %t = select %c, %e, %s : f64[]
    yield %t
  } : f64[]
""", "%r")
    assert gradient(text, [0.0, count(2)]) == [0.0]
    assert gradient(text, [0.0, count(4)]) == [0.0]
