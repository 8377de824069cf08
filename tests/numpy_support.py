"""Comparison of a compiled function with NumPy itself: dtype, shape, kind of result, values; and of gradients."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pullback as pb

TOLERANCE = {"float64": 2e-12, "float32": 3e-6}


def assert_same(found: Any, wanted: Any, label: str, tolerance: float = 1.0) -> None:
    """`found` is what NumPy gives: exact in bools and integers, within rounding in floats."""
    if isinstance(wanted, tuple | list):
        assert isinstance(found, tuple | list) and len(found) == len(wanted), label
        for place, (each, other) in enumerate(zip(found, wanted, strict=True)):
            assert_same(each, other, f"{label}[{place}]", tolerance)
        return
    expected = np.asarray(wanted)
    assert np.asarray(found).dtype == expected.dtype, f"{label}: {np.asarray(found).dtype}, not {expected.dtype}"
    assert np.shape(found) == expected.shape, f"{label}: shape {np.shape(found)}, not {expected.shape}"
    if expected.ndim:
        assert type(found) is np.ndarray and found.flags.writeable, label
    else:
        assert isinstance(found, np.generic), f"{label}: a {type(found).__name__}, not a NumPy scalar"
    if expected.dtype.kind == "f":
        limit = TOLERANCE[expected.dtype.name] * tolerance
        np.testing.assert_allclose(found, expected, limit, limit, err_msg=label)
        signs = np.signbit(found) == np.signbit(expected)
        assert np.all(signs | (expected != 0) | np.isnan(expected)), f"{label}: the sign of a zero"
    else:
        np.testing.assert_array_equal(found, expected, err_msg=label)


def agree(cases: Sequence[Callable[..., Any]], arguments: Sequence[Any], tolerance: float = 1.0) -> None:
    """All cases, compiled as one function of the arguments, give what NumPy gives."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wanted = [case(*arguments) for case in cases]
    found = pb.compile_grad(lambda *args: tuple([case(*args) for case in cases]))(*arguments)
    for place, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert_same(one, other, f"case {place}", tolerance)


def gradients_agree(function: Callable[..., Any], *arguments: Any, rtol: float = 1e-6, atol: float = 1e-8) -> None:
    """The gradient of the sum of `function`, weighted at random, is that of central differences in NumPy itself.

    Arguments that are no floats are left alone.
    """
    random = np.random.default_rng(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = random.uniform(0.5, 2.0, np.shape(function(*arguments)))
        numbers = tuple(number for number, argument in enumerate(arguments) if np.asarray(argument).dtype.kind == "f")
        compiled = pb.compile_grad(lambda *args: np.sum(function(*args) * weights), argnums=numbers)
        for number, found in zip(numbers, compiled.grad(*arguments), strict=True):
            argument = arguments[number]
            numeric = np.zeros(np.shape(argument))
            for place in np.ndindex(np.shape(argument)):
                step = np.zeros(np.shape(argument))
                step[place] = 1e-6
                ends = [np.sum(function(*arguments[:number], argument + sign * step, *arguments[number + 1 :]) * weights)
                        for sign in (1, -1)]  # fmt: skip
                numeric[place] = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(found, numeric, rtol=max(rtol, 1e-6), atol=max(atol, 2e-8))
