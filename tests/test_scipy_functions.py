"""SciPy's Python functions and more of the math module inside compiled functions: their values, slopes, and ways out."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import TraceError

scipy = pytest.importorskip("scipy")
integrate, linalg = pytest.importorskip("scipy.integrate"), pytest.importorskip("scipy.linalg")
special, stats = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.stats")
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(4, 4))
SPD = X @ X.T + np.eye(4)
B = RANDOM.normal(size=4)
FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "logsumexp": (lambda x: special.logsumexp(x), X), "of rows": (lambda x: special.logsumexp(x, axis=1, keepdims=True), X),
    "weighted": (lambda x: special.logsumexp(x, axis=0, b=np.array([[1.0], [2.0], [0.0], [0.5]])), X),
    "a large term of weight zero": (lambda x: special.logsumexp(x + np.array([900.0, 0, 0, 0]), axis=1, b=[0, 2, 1, -0.1]), X),
    "softmax": (lambda x: special.softmax(x, axis=1), X), "softmax of all": (lambda x: special.softmax(x), X),
    "log_softmax": (lambda x: special.log_softmax(x, axis=0), X),
    "polygamma": (lambda x: special.polygamma(2, x), SPD[0] ** 2 + 1),
    "norm.cdf": (lambda x: stats.norm.cdf(x), X), "norm.pdf": (lambda x: stats.norm.pdf(x, 0.5, scale=2.0), X),
    "norm.logpdf": (lambda x: stats.norm.logpdf(x, loc=x[0], scale=2.0), X),
    "norm.sf": (lambda x: stats.norm.sf(x, 1.0, 0.3), X),
    "norm.logcdf": (lambda x: stats.norm.logcdf(10 * x), X), "norm.logsf": (lambda x: stats.norm.logsf(x), X),
    "cholesky": (lambda x: linalg.cholesky(x @ x.T + np.eye(4)), X),
    "lower cholesky": (lambda x: linalg.cholesky(x @ x.T + np.eye(4), lower=True), X),
    "cho_solve": (lambda x: linalg.cho_solve(linalg.cho_factor(x @ x.T + np.eye(4)), B), X),
    "lower cho_solve": (lambda x: linalg.cho_solve(linalg.cho_factor(x @ x.T + np.eye(4), lower=True), x), X),
    "solve_triangular": (lambda x: linalg.solve_triangular(x + 2 * np.eye(4), B), X),
    "lower": (lambda x: linalg.solve_triangular(x + 2 * np.eye(4), x, lower=True), X),
    "transposed": (lambda x: linalg.solve_triangular(x + 2 * np.eye(4), B, trans="T"), X),
    "unit diagonal": (lambda x: linalg.solve_triangular(x, B, lower=True, unit_diagonal=True), X),
    "inv": (lambda x: linalg.inv(x, check_finite=False), X), "det": (lambda x: linalg.det(x), X),
    "det of a list": (lambda x: linalg.det([[x[0], 1.0], [2.0, x[1]]]), B), "inv by place": (lambda x: linalg.inv(x, False), X),
    "trapezoid": (lambda x: integrate.trapezoid(x[0], x=np.array([0.0, 0.3, 1.0, 2.0])), X),
    "erf": (lambda x: math.erf(x[0]) + math.erfc(x[1]) + math.lgamma(x[2]), np.array([0.3, 1.2, 2.4])),
    "hypot": (lambda x: math.hypot(x[0], x[1], x[2]) + math.hypot(x[2]) + math.dist(x, [1.0, 2.0, 3.0]), B[:3]),
    "sums": (lambda x: math.fsum(x[k] for k in range(3)) * math.prod([x[0], x[1]], start=2) + math.fsum([1.0, 2]), B),
    "remainder": (lambda x: math.remainder(x[0], 0.7) + math.remainder(x[1], x[2]), np.array([2.0, -5.5, 1.1])),
    "sorted": (lambda x: sorted(x)[1] * sorted([x[0], x[1], 0.1], reverse=True)[0], B),
    "sorted numbers": (lambda x: x[sorted([2, 0, 1], key=lambda k: -k)[0]], B),
    "isclose": (lambda x: x[0] if math.isclose(x[0], x[0] + 1e-12) and not math.isclose(x[0], x[1]) else x[2], B),
}  # fmt: skip
if hasattr(math, "sumprod"):
    FUNCTIONS["sumprod"] = (lambda x: math.sumprod(x, [1.0, 2.0, 3.0, 4.0]), B)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_slopes(name: str) -> None:
    function, x = FUNCTIONS[name]
    expected, found = function(x), pb.compile_grad(function)(x)
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-13)
    weights = np.cos(np.arange(np.size(expected))).reshape(np.shape(expected))
    total = pb.compile_grad(lambda x: np.sum(weights * function(x)))
    way = np.random.default_rng(1).normal(size=x.shape)
    slope = np.sum(weights * (function(x + 1e-6 * way) - function(x - 1e-6 * way))) / 2e-6
    np.testing.assert_allclose(np.sum(total.grad(x) * way), slope, rtol=1e-6, atol=1e-8)


def test_infinities_in_a_weighted_sum() -> None:
    f = pb.compile_grad(lambda x, b: special.logsumexp(x, b=b))
    for x, b in (([-np.inf, -np.inf], [1.0, 2.0]), ([np.inf, 1.0], [1.0, 2.0]), ([np.inf, 1.0], [0.0, 2.0])):
        assert f(np.array(x), np.array(b)) == special.logsumexp(x, b=b)
    weights = pb.grad(lambda b: special.logsumexp(np.array([1.0, 0.3]), b=b))(np.array([0.0, 2.0]))
    np.testing.assert_allclose(weights, [np.exp(0.7) / 2, 0.5])


def test_the_normal_distribution_is_float64_and_has_a_positive_scale() -> None:
    for name in ("pdf", "logpdf", "cdf", "sf", "logcdf", "logsf"):
        function = getattr(stats.norm, name)
        f = pb.compile_grad(lambda x, scale, function=function: function(x, 0.5, scale))
        narrow = X.astype(np.float32)
        assert f(narrow, 2.0).dtype == function(narrow, 0.5, 2.0).dtype == np.float64
        np.testing.assert_allclose(f(narrow, 2.0), function(narrow, 0.5, 2.0), rtol=1e-12)
        for scale in (0.0, -2.0):
            assert np.isnan(f(X, scale)).all()


def test_halves_are_rounded_to_even_in_a_remainder() -> None:
    x, y = np.array([0.5, 1.5, 2.5, -0.5, -1.5, 3.0, 1e9]), np.array([1.0, 1.0, 1.0, 1.0, 1.0, -2.0, 0.7])
    for left, right in zip(x, y, strict=True):
        assert pb.compile_grad(lambda x, y: math.remainder(x, y))(left, right) == math.remainder(left, right)


def test_values_that_are_no_traced_ones_go_to_scipy() -> None:
    @pb.compile_grad
    def f(x: Any) -> Any:
        return x * stats.norm.ppf(0.975) * special.logsumexp([0.0, 1.0]) * linalg.expm(np.eye(2))[0, 0]

    expected = stats.norm.ppf(0.975) * special.logsumexp([0.0, 1.0]) * np.e
    np.testing.assert_allclose(f(2.0), 2 * expected)


@pytest.mark.parametrize(("name", "call"), [
    ("scipy.stats.norm.ppf", lambda x: stats.norm.ppf(x)), ("scipy.stats.gamma.logpdf", lambda x: stats.gamma.logpdf(x, 2.0)),
    ("return_sign", lambda x: special.logsumexp(x, return_sign=True)), ("order", lambda x: special.polygamma(x, x)),
])  # fmt: skip
def test_others_are_named_at_the_users_line(name: str, call: Any) -> None:
    with pytest.raises(TraceError, match=name) as raised:
        pb.compile_grad(call)(INSIDE)
    assert "test_scipy_functions.py" in str(raised.value)


@pytest.mark.parametrize("order", [-1, 1.5])
def test_orders_of_polygamma_that_are_none(order: float) -> None:
    with pytest.raises(ValueError, match=f"must be an integer from 0 on, not {order}"):
        pb.compile_grad(lambda x: special.polygamma(order, x))(INSIDE)


def test_ways_out_of_solvers_and_quadrature() -> None:
    from scipy.optimize import brentq

    for call, way_out in ((lambda a: brentq(lambda x: x * x - a, 0.0, 5.0), "implicit_root"),
                          (lambda a: integrate.quad(lambda t: t * a, 0, 1)[0], "leggauss")):  # fmt: skip
        with pytest.raises(TraceError, match="is not traced") as raised:
            pb.compile_grad(call)(2.0)
        assert way_out in str(raised.value)
        assert "test_scipy_functions.py" in str(raised.value)


def test_series_of_polynomials() -> None:
    series = (np.polynomial.Polynomial([1.0, 2.0, 3.0], domain=[0, 4]), np.polynomial.Chebyshev([1, 2, 3]),
              np.polynomial.Legendre([0.5, 1.0, 0.0, 2.0]))  # fmt: skip

    def f(x: Any) -> Any:
        return sum((np.sum(each(x)) for each in series), series[0](2.0))

    x = np.array([0.2, 1.3])
    np.testing.assert_allclose(pb.compile_grad(f)(x), f(x), rtol=1e-14)
    np.testing.assert_allclose(pb.grad(f)(x), sum(each.deriv()(x) for each in series), rtol=1e-13)


INSIDE = np.array([0.2, 0.7])
