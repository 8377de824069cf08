"""`assert` inside compiled functions."""
from __future__ import annotations

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
    assert "test_assert.py" in str(caught.value)


def test_assert_on_known_values_is_pythons() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        assert x.ndim == 1, "one axis"
        return np.sum(x)

    assert f(np.ones(2)) == 2
    with pytest.raises(AssertionError, match="one axis"):
        f(np.ones((2, 2)))
