"""Checkpoints and loops in segments: the same bits, the same derivatives, and tapes that stay within a budget."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smooth_programs import (
    BISECTION,
    BRANCH_IN_WHILE,
    EULER,
    FILL,
    NESTED,
    NEWTON,
    RUNGE_KUTTA,
    STRIDES,
    check_derivatives,
    functions_of,
    program,
)
from smooth_random_programs import random_program

from pullback.ir import interpret as interpreter
from pullback.ir.ad.checkpoint import under_budget
from pullback.ir.ad.reverse import adjoint
from pullback.ir.ad.segments import Segments
from pullback.ir.analysis.uses import reads
from pullback.ir.core import Array, Function, walk
from pullback.ir.interpret import interpret
from pullback.ir.ops.control import Checkpoint, Loop
from pullback.ir.passes.pipeline import simplify
from pullback.ir.verify import verify

RANDOM = np.random.default_rng(3)


def count(number: int) -> Array:
    return np.array(number)


CASES: list[tuple[str, str, Sequence[Array | float]]] = [
    *(("euler", EULER, (0.3, 1.2, 0.7, 0.1, count(trips))) for trips in (0, 1, 2, 3, 23)),
    ("newton", NEWTON, (7.3,)),
    ("nested", NESTED, (RANDOM.normal(size=6), 0.7, count(5))),
    ("bisection", BISECTION, (2.0, 1.0, 1.9, 0.3)),
    *(("branch", BRANCH_IN_WHILE, (1.3, RANDOM.normal(size=5), count(trips))) for trips in (0, 1, 11)),
    ("fill", FILL, (0.7, RANDOM.normal(size=8), count(8))),
    *(("strides", STRIDES, (0.7, count(a), count(b), count(c))) for a, b, c in ((9, -7, -3), (2, 9, 3), (4, 0, 1))),
]


@pytest.mark.parametrize(("name", "text", "arguments"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("budget", [5000, 100_000])
def test_segments(name: str, text: str, arguments: Sequence[Any], budget: int) -> None:
    function = functions_of(text)
    split = under_budget(function, budget)
    verify(split)
    inputs = [np.asarray(each) for each in arguments]
    for found, wanted in zip(interpret(split, inputs), interpret(function, inputs), strict=True):
        assert found.tobytes() == wanted.tobytes()
    check_derivatives(split, arguments, order=2 if text in (EULER, NEWTON) else 1)


@pytest.mark.parametrize(("name", "text", "arguments"), CASES[:7], ids=[case[0] for case in CASES[:7]])
def test_the_smallest_budget(name: str, text: str, arguments: Sequence[Any]) -> None:
    check_derivatives(under_budget(functions_of(text), 1), arguments)


def test_checkpoints_nest_in_derivatives() -> None:
    function = functions_of(RUNGE_KUTTA.replace("call %", "checkpoint %"))
    check_derivatives(function, (RANDOM.normal(size=3), RANDOM.normal(size=2), 0.1, count(3)), order=3)


def test_the_adjoint_of_a_checkpoint_keeps_nothing_of_it() -> None:
    text = program("f(%x: f64[4], %y: f64[4]) -> (f64[4])", """
  %a = checkpoint %x { ^(%u: f64[4])
    %s = sin %u : f64[4]
    %t = exp %s : f64[4]
    %v = mul %t, %y : f64[4]
    yield %v
  } : f64[4]
  %r = exp %a : f64[4]
""", "%r")
    derived = adjoint(functions_of(text), [0, 1])
    simplify(derived)
    first, second = [each for each in walk(derived.body) if isinstance(each.op, Checkpoint)]
    assert len(first.results) == 1
    inside = [operation.op.name for operation in walk(second.regions[0])]
    assert "sin" in inside and "exp" in inside
    assert not set(first.results) & set(reads(second.regions[0]))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([3000, 100_000]))
def test_random_programs(seed: int, budget: int) -> None:
    function, arguments = random_program(seed, size=5)
    split = under_budget(function, budget)
    verify(split)
    for found, wanted in zip(interpret(split, arguments), interpret(function, arguments), strict=True):
        assert found.tobytes() == wanted.tobytes()
    check_derivatives(split, arguments, tolerance=1e-5)


class Meter:
    """Watches the interpreter: the longest that each loop's tapes got, in bytes, and how many iterations ran sines."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.longest: dict[object, int] = {}
        self.sines = 0
        step = interpreter._Interpreter.step
        meter = self

        def watched(self: Any, op: Loop, body: Any, arguments: Any, tapes: Any) -> Any:
            given = step(self, op, body, arguments, tapes)
            for place, tape in enumerate(tapes):
                size = len(tape) * sum(np.asarray(each).nbytes for each in tape[0] if isinstance(each, np.ndarray))
                meter.longest[body, place] = max(size, meter.longest.get((body, place), 0))
            meter.sines += any(operation.op.name == "sin" for operation in body.operations)
            return given

        monkeypatch.setattr(interpreter._Interpreter, "step", watched)

    @property
    def bytes(self) -> int:
        """As much as all tapes take together, if they were all full at once."""
        return sum(self.longest.values())


SINES = program("sines(%x: f64[], %n: i64[]) -> (f64[])", """
  %r = for %i0, %n, %i1, %x {saved = ()} { ^(%i: i64[], %a: f64[])
    %s = sin %a : f64[]
    yield %s
  } : f64[]
""", "%r")
ENDLESS = program("endless(%x: f64[], %n: i64[]) -> (f64[])", """
  %r, %k = while %x, %i0 {saved = ()} { ^(%a0: f64[], %k0: i64[])
    %c = less %k0, %n : bool[]
    yield %c
  } { ^(%a: f64[], %k1: i64[])
    %s = sin %a : f64[]
    %k2 = add %k1, %i1 : i64[]
    yield %s, %k2
  } : f64[], i64[]
""", "%r")


def gradient_of(function: Function) -> Function:
    derived = adjoint(function, [0], seeded=[0], keep_values=False)
    simplify(derived)
    return derived


@pytest.mark.parametrize("text", [SINES, ENDLESS], ids=["for", "while"])
@pytest.mark.parametrize(("trips", "budget", "times"), [(2000, 40_000, 1), (2000, 6_000, 2), (2000, 1_500, 3)])
def test_tapes_stay_within_the_budget(
    text: str, trips: int, budget: int, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Iterations run once and, per level of segments, once more."""
    monkeypatch.setattr("pullback.ir.ad.checkpoint.EXPECTED_TRIPS", trips)
    split = under_budget(functions_of(text), budget)
    plain, under = gradient_of(functions_of(text)), gradient_of(split)
    inputs = [np.array(0.9), count(trips)]
    (wanted,) = interpret(plain, inputs)
    meter = Meter(monkeypatch)
    (found,) = interpret(under, inputs)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    assert meter.bytes <= budget
    assert trips <= meter.sines <= times * trips or (text is ENDLESS and meter.sines <= 2 * trips)


def test_a_loop_that_fits_runs_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of known trips it is left alone; of unknown ones, the part that fits has no checkpoint."""
    known = SINES.replace("for %i0, %n,", "for %i0, %i5,")
    assert not any(isinstance(each.op, Checkpoint) for each in walk(under_budget(functions_of(known), 1000).body))
    under = gradient_of(under_budget(functions_of(SINES), 100_000))
    meter = Meter(monkeypatch)
    interpret(under, [np.array(0.9), count(100)])
    assert meter.sines == 100


def test_what_is_not_asked_for_is_not_measured() -> None:
    """By %x the loop is linear and keeps nothing, so that it needs no segments; by %w it does."""
    text = program("f(%x: f64[], %w: f64[], %n: i64[]) -> (f64[])", """
  %r = for %i0, %n, %i1, %x {saved = ()} { ^(%i: i64[], %a: f64[])
    %b = mul %a, %w : f64[]
    yield %b
  } : f64[]
""", "%r")
    for wanted, segments in (([0], False), ([1], True), (None, True)):
        split = under_budget(functions_of(text), 1000, wanted)
        assert any(isinstance(each.op, Checkpoint) for each in walk(split.body)) == segments


def test_sizes_of_segments() -> None:
    segments = Segments(10, 3, 3, 100)
    assert [segments.size(level) for level in (1, 2, 3)] == [10, 30, 90]
