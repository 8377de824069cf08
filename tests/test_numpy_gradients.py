"""Gradients of NumPy's functions against central differences of NumPy itself, and at the points where care is needed."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy_support import gradients_agree

import pullback as pb

R = np.random.default_rng(11)
X = R.uniform(-0.9, 0.9, (3, 4))
Y = R.uniform(0.4, 0.9, (4,))
P = R.uniform(0.3, 2.0, (3, 4))
N = np.array([[0, 2, 1, 3], [3, 3, 0, 1], [1, 1, 2, 0]])
NAN = np.where(np.array([[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0]]) == 1, np.nan, X)
MASK = N > 1

Case = Callable[..., Any]
OF_X: dict[str, Case] = {
    "arcsin": np.arcsin, "arccos": np.arccos, "arctan": np.arctan, "arcsinh": np.arcsinh, "arctanh": np.arctanh,
    "arccosh": lambda x: np.arccosh(x + 2), "cbrt": np.cbrt, "exp2": np.exp2, "sinc": np.sinc, "reciprocal": np.reciprocal,
    "log2": lambda x: np.log2(x + 1), "log10": lambda x: np.log10(x + 1), "tan": np.tan, "sinh": np.sinh,
    "square": np.square, "absolute": np.abs, "fabs": np.fabs, "degrees": np.degrees, "deg2rad": np.deg2rad,
    "copysign": lambda x: np.copysign(x, -X), "fmod": lambda x: np.fmod(x, 0.37), "remainder": lambda x: x % 0.37,
    "modf": lambda x: np.modf(3 * x)[0], "heaviside": lambda x: x * np.heaviside(x, 0.5), "nan_to_num": np.nan_to_num,
    "clip": lambda x: np.clip(x, -0.5, 0.4), "round": lambda x: x + np.round(x, 1), "sign": lambda x: x * np.sign(x),
    "cumsum": lambda x: np.cumsum(x, 1), "cumprod": lambda x: np.cumprod(x, 0), "cumsum flat": np.cumsum,
    "prod": lambda x: np.prod(x, 1), "var": lambda x: np.var(x, 0, ddof=1), "std": np.std, "max": lambda x: np.max(x, 1),
    "min": np.min, "ptp": lambda x: np.ptp(x, 0), "var where": lambda x: np.var(x, 0, where=MASK | (X > 0)),
    "norm": np.linalg.norm, "norm 1": lambda x: np.linalg.norm(x, 1, 1), "norm 3": lambda x: np.linalg.norm(x, 3, 0),
    "norm inf": lambda x: np.linalg.norm(x, np.inf), "norm -1": lambda x: np.linalg.norm(x, -1, 1),
    "cov": np.cov, "corrcoef": np.corrcoef, "diff": lambda x: np.diff(x, 2), "gradient": lambda x: np.gradient(x, axis=1),
    "gradient of 2": lambda x: np.gradient(x, [0, 1, 3, 4.0], axis=1, edge_order=2), "trapezoid": np.trapezoid,
    "unwrap": lambda x: np.unwrap(x * 9), "tril": np.tril, "diag": lambda x: np.diag(x, 1),
    "diag of vector": lambda x: np.diag(x[0], -1),
    "trace": lambda x: np.trace(x, 1), "roll": lambda x: np.roll(x, (1, 2), (0, 1)),
    "pad": lambda x: np.pad(x, ((1, 2), (0, 1))),
    "pad edge": lambda x: np.pad(x, 2, "edge"), "pad reflect": lambda x: np.pad(x, 2, "reflect"), "rot90": np.rot90,
    "pad wrap": lambda x: np.pad(x, ((3, 2), (4, 5)), "wrap"), "pad symmetric": lambda x: np.pad(x, 2, "symmetric"),
    "repeat": lambda x: np.repeat(x, [2, 0, 3], axis=0), "tile": lambda x: np.tile(x, (2, 2)),
    "resize": lambda x: np.resize(x, 30),
    "windows": lambda x: np.lib.stride_tricks.sliding_window_view(x, (2, 2)) ** 2, "flip": np.flip,
    "delete": lambda x: np.delete(x, 1, 1),
    "take_along_axis": lambda x: np.take_along_axis(x, N[:, :2], 1), "take": lambda x: np.take(x, N),
    "matrix_power": lambda x: np.linalg.matrix_power(x[:, :3], 3),
    "block": lambda x: np.block([[x, x**2], [np.ones((3, 8))]]),
    "split": lambda x: np.split(x, 2, 1)[1] * np.array_split(x, 2, 1)[0],
    "einsum of one": lambda x: np.einsum("ii->i", x[:, :3]), "multi_dot": lambda x: np.linalg.multi_dot([x, x.T, x]),
    "meshgrid": lambda x: np.multiply(*np.meshgrid(x[0], x[1])),
    "apply_along_axis": lambda x: np.apply_along_axis(np.cumprod, 1, x),
    "select": lambda x: np.select([x > 0.3, x < -0.2], [x**2, np.sin(x)], 0.5),
    "piecewise": lambda x: np.piecewise(x, [x < 0], [np.exp, np.cos]),
    "logaddexp.reduce": lambda x: np.logaddexp.reduce(x, axis=1), "maximum.accumulate": lambda x: np.maximum.accumulate(x, 1),
    "hypot.reduce": lambda x: np.hypot.reduce(x, 1), "where": lambda x: np.where(MASK, x**3, -x),
    "vander": lambda x: np.vander(x[0], 4),
    "searchsorted": lambda x: x * np.searchsorted([-0.5, 0.0, 0.5], x), "linspace": lambda x: np.linspace(x[0], x[1], 5),
    "insert": lambda x: np.insert(x, 1, x[0] * 2, axis=0), "bincount": lambda x: np.bincount(N.ravel(), weights=x.ravel() ** 2),
    "average": lambda x: np.average(x, axis=1, weights=[1.0, 2, 3, 4]), "polyder": lambda x: np.polyder(x[0]),
    "polyint": lambda x: np.polyint(x[0]),
    "sort": lambda x: np.sort(x, 0) ** 2, "sort flat": lambda x: np.sort(x, None), "median": lambda x: np.median(x, 1),
    "quantile": lambda x: np.quantile(x, [0.2, 0.7], axis=1), "percentile": lambda x: np.percentile(x, 33),
    "float32": lambda x: (x * 2) ** 2, "mean where": lambda x: np.mean(x, 1, where=N < 3),
    "sum initial": lambda x: np.sum(x**2, 0, initial=3.0),
}  # fmt: skip
OF_TWO: dict[str, Case] = {
    "hypot": np.hypot, "logaddexp2": np.logaddexp2, "arctan2": np.arctan2, "power": lambda x, y: np.abs(x) ** y,
    "float_power": lambda x, y: np.float_power(y, x), "maximum": np.maximum, "fmin": np.fmin, "divide": np.divide,
    "dot": lambda x, y: x @ y, "einsum": lambda x, y: np.einsum("ij,ij,j->i", x, x, y), "tensordot": lambda x,
    y: np.tensordot(x, y, 0),
    "kron": np.kron, "cross": lambda x, y: np.cross(x[:, :3], y[1:]), "convolve": lambda x, y: np.convolve(x[0], y[:3], "same"),
    "long convolve": lambda x, y: np.convolve(np.tile(x.ravel(), 4), np.tile(y, 9)), "polyval": lambda x, y: np.polyval(y, x),
    "inner": np.inner, "outer": np.outer, "interp by x": lambda x, y: np.interp(x, np.cumsum(y) - 1.5, y),
    "interp of 50": lambda x, y: np.interp(x, np.arange(50.0) / 20 - 1, np.cumsum(np.tile(y, 13)[:50])),
    "trapezoid over x": lambda x, y: np.trapezoid(x, np.cumsum(y)), "gradient over x": lambda x,
    y: np.gradient(x, np.cumsum(y), axis=1),
    "average by weights": lambda x, y: np.average(x, axis=1, weights=y), "correlate": lambda x, y: np.correlate(x[1], y[:2]),
    "vecdot": np.vecdot, "linspace between": lambda x, y: np.linspace(x, y, 4, endpoint=False), "logspace": lambda x,
    y: np.logspace(x, y, 3),
    "choose": lambda x, y: np.choose(N % 2, [x, y]), "append": lambda x, y: np.append(x, y) ** 2,
}  # fmt: skip


@pytest.mark.parametrize("name", OF_X)
def test_of_one(name: str) -> None:
    gradients_agree(OF_X[name], X)


@pytest.mark.parametrize("name", OF_TWO)
def test_of_two(name: str) -> None:
    gradients_agree(OF_TWO[name], X, Y)


def gradient(function: Case, *arguments: Any) -> Any:
    return pb.grad(lambda *args: np.sum(function(*args)))(*arguments)


def test_functions_that_skip_nan_give_it_no_gradient() -> None:
    known = ~np.isnan(NAN)
    np.testing.assert_array_equal(gradient(np.nansum, NAN), known * 1.0)
    np.testing.assert_allclose(gradient(lambda x: np.nanmean(x, 0), NAN), known / known.sum(0))
    for function, plain in ((np.nanvar, np.var), (np.nanstd, np.std), (np.nanmax, np.max), (np.nanprod, np.prod)):
        found = gradient(function, NAN)
        np.testing.assert_allclose(found[known], gradient(plain, NAN[known]), rtol=1e-12, atol=1e-15)
        assert (found[~known] == 0).all()


ZERO = np.zeros(3)
AWKWARD: list[tuple[str, Case, Any, Any]] = [
    ("norm at 0", np.linalg.norm, ZERO, ZERO),
    ("norm of rows, one of them 0", lambda x: np.linalg.norm(x, axis=1), np.array([[3.0, 4.0], [0.0, 0.0]]),
     [[0.6, 0.8], [0, 0]]),
    ("norm 3 at 0", lambda x: np.linalg.norm(x, 3), ZERO, ZERO),
    ("norm 1/2 at 0", lambda x: np.linalg.norm(x, 0.5), np.array([0.0, 1.0]), [0.0, 1.0]),
    ("std of constants", np.std, np.full(4, 2.5), np.zeros(4)),
    ("nanstd of constants", np.nanstd, np.array([1.0, np.nan, 1.0]), np.zeros(3)),
    ("hypot at the origin", lambda x: np.hypot(x, 0.0), ZERO, ZERO),
    ("hypot on an axis", lambda x: np.hypot(x, 0.0), np.array([-2.0, 1e-200, 1e200]), [-1.0, 1.0, 1.0]),
    ("arctan2 at the origin", lambda x: np.arctan2(x, x), ZERO, ZERO),
    ("arctan2 of little", lambda x: np.arctan2(x, 1e-200), np.array([0.0]), [1e200]),
    ("sinc at 0", np.sinc, ZERO, ZERO),
    ("where of a root", lambda x: np.where(x > 0, np.sqrt(x), 0), np.array([0.0, 4.0, -1.0]), [0, 0.25, 0]),
    ("where of a logarithm", lambda x: np.where(x > 0, np.log(x), x), np.array([0.0, 4.0]), [1, 0.25]),
    ("product with zeros", np.prod, np.array([2.0, 0.0, 3.0]), [0, 6, 0]),
    ("product with two zeros", np.prod, np.array([0.0, 0.0, 3.0]), [0, 0, 0]),
    ("cumprod with a zero", np.cumprod, np.array([2.0, 0.0, 3.0]), [1, 8, 0]),
    ("power 2 at 0", lambda x: x**2, ZERO, ZERO), ("power 0 at 0", lambda x: x**0, ZERO, ZERO),
    ("power 1 at 0", lambda x: x**1.0, ZERO, np.ones(3)),
    ("absolute at 0", np.abs, ZERO, ZERO),
    ("maximum of equals", lambda x: np.maximum(x, 0.0), ZERO, np.full(3, 0.5)),
    ("max of equals", np.max, np.array([1.0, 2.0, 2.0]), [0, 0.5, 0.5]),
    ("arcsin at 0", np.arcsin, ZERO, np.ones(3)), ("arcsinh at 0", np.arcsinh, ZERO, np.ones(3)),
    ("arctanh at 0", np.arctanh, ZERO, np.ones(3)), ("fmod at 0", lambda x: np.fmod(x, 2.0), ZERO, np.ones(3)),
    ("copysign at 0", lambda x: np.copysign(x, 1.0), np.array([0.0, -0.0]), [1, -1]),
    ("arcsinh of much", np.arcsinh, np.array([1e300, -1e300]), [1e-300, 1e-300]),
    ("logaddexp of far", lambda x: np.logaddexp(x, -x), np.array([800.0, -800.0]), [1, -1]),
    ("logsumexp of far", np.logaddexp.reduce, np.array([1000.0, 0.0]), [1, 0]),
    ("clip at its bounds", lambda x: np.clip(x, -1, 1), np.array([-1.0, 1.0, 3.0]), [0.5, 0.5, 0]),
    ("take twice", lambda x: x[[0, 0, 1]], np.ones(3), [2, 1, 0]),
    ("interp at a knot", lambda x: np.interp(x, [0.0, 1, 2], [0.0, 1, 5]), np.array([1.0, -1.0, 3.0]), [4, 0, 0]),
    ("variance of one", np.var, np.array([3.0]), [0]), ("sign", np.sign, np.ones(2), [0, 0]),
    ("floor", np.floor, np.ones(2), [0, 0]), ("integers on the way", lambda x: x * x.astype(int), np.array([2.5]), [2]),
    ("comparison on the way", lambda x: x * (x > 1), np.array([0.5, 2.0]), [0, 1]),
    ("empty sum", lambda x: np.sum(x[:0]) + x[0], np.ones(2), [1, 0]),
]  # fmt: skip


@pytest.mark.parametrize(("function", "at", "wanted"), [each[1:] for each in AWKWARD], ids=[each[0] for each in AWKWARD])
def test_awkward_points(function: Case, at: Any, wanted: Any) -> None:
    np.testing.assert_allclose(gradient(function, at), wanted, rtol=1e-12, atol=1e-300)


def test_infinite_slopes_are_infinite() -> None:
    """Where the derivative has no finite value it is infinite, not undefined."""
    for function, at in ((np.sqrt, 0.0), (np.cbrt, 0.0), (np.arcsin, 1.0), (np.log, 0.0), (np.arctanh, 1.0)):
        assert gradient(function, np.array([at]))[0] == np.inf
    assert gradient(np.arccos, np.array([1.0]))[0] == -np.inf


def test_second_derivatives_of_composed_functions() -> None:
    for function in (np.hypot, np.arctan2, np.logaddexp2):
        hessian = pb.hessian(lambda z: function(z[0], z[1]))  # noqa: B023
        for at in (np.array([3.0, 3.0]), np.array([1.0, -2.0])):
            numeric = [(pb.grad(lambda z: function(z[0], z[1]))(at + step) -  # noqa: B023
                        pb.grad(lambda z: function(z[0], z[1]))(at - step)) / 2e-6  # noqa: B023
                       for step in 1e-6 * np.eye(2)]  # fmt: skip
            np.testing.assert_allclose(hessian(at), numeric, rtol=1e-7, atol=1e-8)


def test_float32_gradients_are_float32() -> None:
    at = X.astype(np.float32)
    for function in (np.linalg.norm, np.var, lambda x: np.cumsum(x)[-1], lambda x: np.sum(x * 2.0),
                     lambda x: np.sum(np.hypot(x, 1))):
        compiled = pb.compile_grad(function)
        value, found = compiled.value_and_grad(at)
        assert value.dtype == np.float32 and found.dtype == np.float32
        np.testing.assert_allclose(found, pb.grad(function)(X), rtol=2e-5, atol=1e-6)
