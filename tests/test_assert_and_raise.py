"""`assert` and `raise` inside compiled functions."""
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ConcreteError


def test_assert_on_computed_values_is_refused() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        assert x[0] > 0, "positive"
        return np.sum(x)

    with pytest.raises(ConcreteError, match=r"(?s)assert needs a number.*help:") as caught:
        f(np.ones(2))
    assert "test_assert_and_raise.py" in str(caught.value)


def test_assert_on_known_values_is_pythons() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        assert x.ndim == 1, "one axis"
        return np.sum(x)

    assert f(np.ones(2)) == 2
    with pytest.raises(AssertionError, match="one axis"):
        f(np.ones((2, 2)))


def test_raise_in_a_branch_on_computed_values_is_refused() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        if x[0] < 0:
            raise ValueError("negative")
        return np.sum(x)

    with pytest.raises(ConcreteError, match=r"(?s)a branch raises ValueError: negative.*help:") as caught:
        f(np.ones(2))
    assert isinstance(caught.value.__cause__, ValueError) and "if x[0] < 0" in str(caught.value)


def test_raise_in_a_branch_on_known_values_is_pythons() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        if x.ndim != 1:
            raise ValueError("one axis")
        return np.sum(x)

    assert f(np.ones(2)) == 2
    with pytest.raises(ValueError, match=r"^one axis$"):
        f(np.ones((2, 2)))


def _no_rest(x: np.ndarray) -> np.floating:
    if x.ndim != 1:
        raise ValueError("one axis")
    else:
        return np.sum(x)


def _chain(x: np.ndarray) -> np.floating:
    if x.ndim == 2:
        raise ValueError("two axes")
    elif x.ndim == 3:
        raise ValueError("three axes")
    y = x * 2
    return np.sum(y)


def _nested(x: np.ndarray) -> np.floating:
    if x.ndim > 1:
        if x.ndim == 2:
            raise ValueError("two axes")
        raise ValueError("more axes")
    y = x * 2
    if x.size == 0:
        raise ValueError("empty")
    return np.sum(y)


def _in_loop(x: np.ndarray) -> np.floating:
    total = 0.0
    for i in range(x.size):
        if x.ndim != 1:
            raise ValueError("one axis")
        total += x[i]
    return total


def _in_with(x: np.ndarray) -> np.floating:
    with np.errstate(all="ignore"):
        if x.ndim != 1:
            raise ValueError("one axis")
        return np.sum(x)


def _no_result(x: np.ndarray) -> tuple[None, np.floating]:
    def check(size: int) -> None:
        if size != 1:
            raise ValueError("one axis")
        x.sum()

    return check(x.ndim), np.sum(x)


@pytest.mark.parametrize("f", [_no_rest, _chain, _nested, _in_loop, _in_with, _no_result])
def test_what_follows_a_raise_keeps_its_result(f: Callable[..., object]) -> None:
    compiled = pb.compile_grad(f)
    one, two = np.arange(3.0), np.ones((2, 2))
    assert compiled(one) == f(one)
    with pytest.raises(ValueError, match=r"axis|axes"):
        compiled(two)
