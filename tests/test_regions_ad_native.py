"""Derivatives of loops and branches as native code: what the interpreter computes, values to the last bit."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smooth_programs import functions_of
from smooth_random_programs import random_program
from test_regions_ad import CASES

from pullback.compiler import compile_function
from pullback.ir.ad.checkpoint import under_budget
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array, Function
from pullback.ir.interpret import interpret

NAMES = sorted({name for name, _, _ in CASES})


def numbers(kinds: Sequence[Array], seed: int) -> list[Array]:
    random = np.random.default_rng(seed)
    return [np.asarray(random.normal(size=each.shape)) for each in kinds]


def check_native(function: Function, argument_lists: Sequence[Sequence[Array]]) -> list[list[Array]]:
    """Native code gives what the interpreter does, but for elementary functions' last bits; gives its results."""
    run = compile_function(function)
    found = [run(arguments) for arguments in argument_lists]
    for results, arguments in zip(found, argument_lists, strict=True):
        for result, wanted in zip(results, interpret(function, arguments), strict=True):
            scale = np.max(np.abs(wanted), initial=1e-3) if wanted.dtype.kind == "f" else 0
            np.testing.assert_allclose(result, wanted, rtol=1e-10, atol=1e-12 * scale)
    return found


def floats_of(arguments: Sequence[Array]) -> list[int]:
    return [place for place, array in enumerate(arguments) if array.dtype == np.float64]


@pytest.mark.parametrize("name", NAMES)
def test_first_derivatives(name: str) -> None:
    """The value beside its gradient or tangent has the bits that it has alone."""
    cases = [[np.asarray(each) for each in arguments] for case, _, arguments in CASES if case == name]
    function = functions_of(next(text for case, text, _ in CASES if case == name))
    wanted = floats_of(cases[0])
    values = check_native(function, cases)
    outputs = [value for value in values[0] if value.dtype == np.float64]
    bars, dots = numbers(outputs, 1), numbers([cases[0][place] for place in wanted], 2)
    pulled = check_native(adjoint(function, wanted), [[*case, *bars] for case in cases])
    pushed = check_native(pushforward(function, wanted), [[*case, *dots] for case in cases])
    for results in (pulled, pushed):
        for each, value in zip(results, values, strict=True):
            assert [left.tobytes() for left in each[: len(value)]] == [right.tobytes() for right in value]


@pytest.mark.parametrize("name", ["bisection", "branch", "euler", "exchange", "fill", "newton"])
@pytest.mark.parametrize("outer", [adjoint, pushforward], ids=["reverse", "forward"])
def test_second_derivatives(name: str, outer: object) -> None:
    text, arguments = next((text, arguments) for case, text, arguments in reversed(CASES) if case == name)
    function, inputs = functions_of(text), [np.asarray(each) for each in arguments]
    wanted = floats_of(inputs)
    inner = adjoint(function, wanted)
    inputs += numbers([each for each in interpret(function, inputs) if each.dtype == np.float64], 1)
    if outer is adjoint:
        results = numbers([each for each in interpret(inner, inputs) if each.dtype == np.float64], 2)
        check_native(adjoint(inner, wanted), [[*inputs, *results]])
    else:
        check_native(pushforward(inner, wanted), [[*inputs, *numbers([inputs[place] for place in wanted], 2)]])


@pytest.mark.parametrize("name", ["branch", "euler", "nested"])
def test_under_a_budget(name: str) -> None:
    cases = [[np.asarray(each) for each in arguments] for case, _, arguments in CASES if case == name]
    function = under_budget(functions_of(next(text for case, text, _ in CASES if case == name)), 5000)
    outputs = [value for value in interpret(function, cases[0]) if value.dtype == np.float64]
    check_native(adjoint(function, floats_of(cases[0])), [[*case, *numbers(outputs, 1)] for case in cases])


def check_random(seed: int) -> None:
    function, arguments = random_program(seed)
    values = check_native(function, [arguments])[0]
    bars, dots = numbers(values, 1), numbers(arguments[:4], 2)
    backward = adjoint(function, [0, 1, 2, 3])
    check_native(backward, [[*arguments, *bars]])
    check_native(pushforward(function, [0, 1, 2, 3]), [[*arguments, *dots]])
    if seed % 4 == 0:
        check_native(pushforward(backward, [0, 1, 2, 3]), [[*arguments, *bars, *dots]])
        results = numbers(interpret(backward, [*arguments, *bars]), 3)
        check_native(adjoint(backward, [0, 1, 2, 3]), [[*arguments, *bars, *results]])


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**31))
def test_random_programs(seed: int) -> None:
    check_random(seed)


@pytest.mark.sweep
@pytest.mark.parametrize("start", range(0, 1000, 100))
def test_many_random_programs(start: int) -> None:
    for seed in range(start, start + 100):
        check_random(seed)
