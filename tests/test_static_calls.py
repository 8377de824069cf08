"""Calls with static arguments enter native code without a detour, and find their way when arguments change."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb


@pb.compile_grad(static_argnums=(1,))
def scaled(x: Any, power: Any, y: Any) -> Any:
    return np.sum(x**power * y)


def test_static_arguments_choose_the_code() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 1.0, 0.5])
    for power in (2, 3, 2.0, 2, True, 1, 3):
        for _ in range(3):
            assert scaled(x, power, y) == np.sum(x**power * y)
            np.testing.assert_allclose(scaled.grad(x, power, y), power * x ** (power - 1.0) * y)


def test_dynamic_arguments_may_change() -> None:
    for size in (3, 4, 3):
        x = np.arange(1.0, size + 1)
        assert scaled(x, 2, 1.5) == np.sum(x**2 * 1.5)
        assert scaled(x.astype(np.float32), 2, x) == np.sum(x.astype(np.float32) ** 2 * x)
        assert scaled(x[::-1], 2, x) == np.sum(x[::-1] ** 2 * x)
        assert scaled(x, power=2, y=x) == np.sum(x**2 * x)


def test_a_static_argument_without_a_hash_is_named() -> None:
    x = np.ones(2)
    scaled(x, 2, x)
    with pytest.raises(pb.PullbackError, match="which has no hash"):
        scaled(x, [2], x)
