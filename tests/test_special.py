"""Functions of ``scipy.special`` inside compiled functions."""
from __future__ import annotations

from decimal import Decimal

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


FAR = np.concatenate([np.linspace(-30.0, 30.0, 241), [0.0, -0.0, np.inf, -np.inf, np.nan]])
INSIDE = np.linspace(0.01, 0.99, 50)
POSITIVE = np.concatenate([np.linspace(0.02, 30.0, 300), [1.0, 2.0, 1e-200, 1e200]])
OF_ONE = {
    "erfc": (special.erfc, FAR), "ndtr": (special.ndtr, FAR), "log_ndtr": (special.log_ndtr, FAR),
    "gammaln": (special.gammaln, POSITIVE), "psi": (special.psi, POSITIVE), "gammaln, negative": (special.gammaln, -INSIDE - 3),
    "psi, negative": (special.psi, -INSIDE - 2), "log1p": (special.log1p, INSIDE), "expm1": (special.expm1, INSIDE),
    "entr": (special.entr, np.array([0.0, 0.3, 1.0, 2.0, -1.0])), "logit": (special.logit, INSIDE),
    "logit near its zero": (special.logit, 0.5 + np.array([1e-12, 0.0, -1e-9])),
    "log_expit": (special.log_expit, np.linspace(-40.0, 40.0, 81)),
}  # fmt: skip
PAIRS = np.array([(x, y) for x in (0.0, 0.2, 1.5, -1.0, np.nan) for y in (0.0, 0.7, 3.0, -0.5, np.inf, np.nan)]).T


@pytest.mark.parametrize("name", OF_ONE)
def test_functions_of_one_number(name: str) -> None:
    ufunc, x = OF_ONE[name]
    np.testing.assert_allclose(pb.compile_grad(ufunc)(x), ufunc(x), rtol=2e-12, atol=1e-14)
    narrow = x[np.abs(x) < 1e30].astype(np.float32)
    found = pb.compile_grad(ufunc)(narrow)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, ufunc(narrow), rtol=2e-5, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in OF_ONE if "zero" not in name])
def test_slopes_of_the_first_and_second_order(name: str) -> None:
    ufunc, x = OF_ONE[name]
    x = x[(np.abs(x) < 20) & (np.abs(x) > 0.05) & np.isfinite(ufunc(x))]
    f = pb.compile_grad(lambda x: np.sum(ufunc(x)))
    step = 1e-6 * np.abs(x)
    slope, tolerance = f.grad(x), 1e-7
    np.testing.assert_allclose(slope, (ufunc(x + step) - ufunc(x - step)) / (2 * step), rtol=1e-6, atol=tolerance)
    second = f.hvp((x,), (np.ones_like(x),))
    np.testing.assert_allclose(second, (f.grad(x + step) - f.grad(x - step)) / (2 * step), rtol=1e-6, atol=tolerance)


def test_tails_keep_their_digits() -> None:
    """By the continued fraction of the tail, and squares without rounding: SciPy has 2 digits less here."""
    u = np.array([5.1, 10.3, 20.7, 23.9])
    fraction = u.copy()
    for k in range(200, 0, -1):
        fraction = u + k / 2 / fraction
    powers = np.array([float((-(Decimal(each) ** 2)).exp()) for each in u.tolist()])
    np.testing.assert_allclose(pb.compile_grad(special.erfc)(u), powers / np.sqrt(np.pi) / fraction, rtol=3e-15)


def test_poles_have_numpys_infinities() -> None:
    x = np.array([0.0, -0.0, -1.0, -6.0, -1e17, -1e300, -np.inf])
    np.testing.assert_array_equal(pb.compile_grad(special.psi)(x), special.psi(x))
    np.testing.assert_array_equal(pb.compile_grad(special.gammaln)(x), np.full(7, np.inf))
    for order in (1, 2, 3):
        found = pb.compile_grad(lambda x, order=order: special.polygamma(order, x))(x)
        sign = -1 if order == 2 else 1
        np.testing.assert_array_equal(found[[0, 2, 3, 4, 5]], np.full(5, sign * np.inf))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 4e-13), (np.float32, 3e-6)])
def test_the_second_derivative_of_log_ndtr_far_out(dtype: type, tolerance: float) -> None:
    """Mills' ratio as a continued fraction: h = u + 1 / (u + 2 / (u + 3 / …)), and h - u without a difference."""
    u = np.concatenate([np.geomspace(4.0, 1e9, 90), [7.999, 8.001, 29.99, 30.01]]).astype(dtype)
    rest = np.zeros(u.size)
    for k in range(300, 0, -1):
        rest = k / (u.astype(np.float64) + rest)
    f = pb.compile_grad(lambda x: np.sum(special.log_ndtr(x)))
    np.testing.assert_allclose(f.hvp((-u,), (np.ones_like(u),)), -(u + rest) * rest, rtol=tolerance)
    ends = np.array([np.inf, -np.inf], dtype)
    np.testing.assert_array_equal(f.hvp((ends,), (np.ones_like(ends),)), [0.0, -1.0])


def test_slopes_of_logit_at_its_ends() -> None:
    slope = pb.grad(lambda x: np.sum(special.logit(x)))(np.array([0.0, 0.25, 1.0]))
    np.testing.assert_allclose(slope, [np.inf, 16 / 3, np.inf])


@pytest.mark.parametrize("ufunc", [special.xlogy, special.xlog1py, special.rel_entr, special.kl_div])
def test_functions_of_two_numbers(ufunc: np.ufunc) -> None:
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(pb.compile_grad(ufunc)(*PAIRS), ufunc(*PAIRS), rtol=1e-13)
        x, y = np.array([0.3, 1.2, 2.0]), np.array([0.8, 0.1, 3.0])
        by_x, by_y = pb.grad(lambda x, y: np.sum(ufunc(x, y)), (0, 1))(x, y)
        np.testing.assert_allclose(by_x, (ufunc(x + 1e-6, y) - ufunc(x - 1e-6, y)) / 2e-6, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(by_y, (ufunc(x, y + 1e-6) - ufunc(x, y - 1e-6)) / 2e-6, rtol=1e-8, atol=1e-8)


def test_entropy_where_a_probability_is_zero() -> None:
    p = np.array([0.0, 0.25, 0.75])
    assert np.isfinite(pb.grad(lambda p: np.sum(special.xlogy(p, p)))(p)).all()
    np.testing.assert_allclose(pb.grad(lambda p, q: special.xlogy(p, q))(0.0, 0.5), np.log(0.5))


@pytest.mark.parametrize(("name", "way_out"), [("gamma", "gammaln"), ("ndtri", "implicit_root"), ("jv", "write it in terms")])
def test_others_are_refused(name: str, way_out: str) -> None:
    ufunc = getattr(special, name)
    with pytest.raises(TraceError, match=name) as raised:
        pb.compile_grad(lambda x: ufunc(*[x] * ufunc.nin))(X)
    assert way_out in str(raised.value)
