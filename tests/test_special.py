"""Functions of ``scipy.special`` inside compiled functions."""
from __future__ import annotations

import numpy as np
import pytest

import pullback as pb
from pullback.errors import TraceError

special = pytest.importorskip("scipy.special")
X = np.linspace(-6.0, 6.0, 101)


@pytest.mark.parametrize(
    ("name", "slope"),
    [
        ("erf", lambda x: 2 / np.sqrt(np.pi) * np.exp(-x * x)),
        ("expit", lambda x: special.expit(x) * special.expit(-x)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_value_and_gradient(name: str, slope: object, dtype: type) -> None:
    assert callable(slope)
    ufunc, x = getattr(special, name), X.astype(dtype)
    tolerance = 1e-14 if dtype is np.float64 else 1e-6
    f = pb.compile_grad(lambda x: ufunc(x))
    assert f(x).dtype == dtype
    np.testing.assert_allclose(f(x), ufunc(x), rtol=tolerance)
    total = pb.compile_grad(lambda x: np.sum(ufunc(x)))
    np.testing.assert_allclose(total.grad(x), slope(x), rtol=10 * tolerance, atol=tolerance)


def test_others_are_refused() -> None:
    with pytest.raises(TraceError, match="gamma"):
        pb.compile_grad(lambda x: special.gamma(x))(X)
