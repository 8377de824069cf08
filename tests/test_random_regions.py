"""Random programs of nested loops, branches and updates: derivatives and passes, without a mismatch."""
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smooth_programs import check_derivatives
from smooth_random_programs import random_program

from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.clone import copy_function
from pullback.ir.core import Array, Function
from pullback.ir.interpret import interpret
from pullback.ir.passes.pipeline import PASSES, simplify
from pullback.ir.verify import verify

seeds = st.integers(0, 2**31)
FLOATS = [0, 1, 2, 3]


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_derivatives(seed: int) -> None:
    function, arguments = random_program(seed)
    verify(function)
    check_derivatives(function, arguments, tolerance=1e-5)


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_derivatives_of_derivatives(seed: int) -> None:
    function, arguments = random_program(seed, size=5)
    check_derivatives(function, arguments, order=2, tolerance=1e-5)


@settings(max_examples=5, deadline=None)
@given(seeds)
def test_deeper_nesting(seed: int) -> None:
    function, arguments = random_program(seed, size=8, depth=3)
    check_derivatives(function, arguments, tolerance=1e-5)


def check_passes(function: Function, arguments: list[Array]) -> Function:
    """Every pass leaves valid IR that gives the same bits; all of them together come to an end; gives the outcome."""
    wanted = interpret(function, arguments)
    result = copy_function(function)
    for run in PASSES:
        run(result)
        verify(result)
        for found, value in zip(interpret(result, arguments), wanted, strict=True):
            assert found.tobytes() == value.tobytes(), run.__name__
    simplify(result)
    verify(result)
    assert not simplify(result)
    return result


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_passes(seed: int) -> None:
    """On programs, their adjoints, the tangents of those, and the adjoints of those."""
    function, arguments = random_program(seed)
    random = np.random.default_rng(seed)

    def like(kinds: list[Array]) -> list[Array]:
        return [np.asarray(random.normal(size=each.shape)) for each in kinds]

    values = interpret(function, arguments)
    simple = check_passes(function, arguments)
    backward, bars = adjoint(simple, FLOATS), like(values)
    check_passes(backward, [*arguments, *bars])
    dots = like(arguments[:4])
    check_passes(pushforward(backward, FLOATS), [*arguments, *bars, *dots])
    found = interpret(backward, [*arguments, *bars])
    check_passes(adjoint(backward, FLOATS), [*arguments, *bars, *like(found)])


@pytest.mark.sweep
@pytest.mark.parametrize("start", range(0, 4000, 500))
def test_many(start: int) -> None:
    for seed in range(start, start + 500):
        function, arguments = random_program(seed)
        check_derivatives(function, arguments, tolerance=1e-5)
