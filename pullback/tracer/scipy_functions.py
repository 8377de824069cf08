"""SciPy's Python functions on traced values: a function of SciPy in, what stands in for it out; SciPy is never imported.

Its ufuncs come by NumPy's protocol, see `special`. What is not known here runs as it is, and says so where it needs numbers.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from math import log, pi, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentValueError, ConcreteError, ShapeError, TraceError
from pullback.ir.core import Op
from pullback.ir.ops.special import LogNdtr, Ndtr, Polygamma
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.chosen.elementwise import elementwise
from pullback.tracer.chosen.reductions import log_sum_of_powers
from pullback.tracer.control import is_traced
from pullback.tracer.numpy_functions.arguments import as_array
from pullback.tracer.numpy_functions.refused import DEFAULT
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as r
from pullback.tracer.traced import active, array_of
from pullback.tracer.tree import flatten


def _elementwise(op: Op, x: Any) -> Any:
    b = active()
    value = array_of(b, x)
    return b.wrap(b.value(op, value if value.type.dtype.is_float else s.cast(b, value, dtypes.f64)))


# scipy.special


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    if isinstance(a, Chosen) and b is None and not return_sign:
        return log_sum_of_powers(a, axis if axis is not None else tuple(range(a.ndim)), keepdims=keepdims)
    if return_sign:
        raise TraceError("scipy.special.logsumexp with return_sign=True is not traced", location=caller(), help="leave it out")
    a, recorder = as_array(a), active()
    if b is None:
        return recorder.wrap(r.logsumexp(recorder, array_of(recorder, a), axis, keepdims))
    b = as_array(b)
    a = np.broadcast_to(a, np.broadcast_shapes(a.shape, b.shape))
    top = recorder.wrap(r.logsumexp(recorder, array_of(recorder, np.where(b == 0, -np.inf, a)), axis, True))
    top = np.where(np.isfinite(top), top, 0.0)
    powers = np.exp(a - top)
    powers = np.where((b == 0) & np.isinf(powers), 0.0, powers)
    total = np.log(np.sum(b * powers, axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis=tuple(range(total.ndim)) if axis is None else axis)


def softmax(x: Any, axis: Any = None) -> Any:
    return np.exp(log_softmax(x, axis))


def log_softmax(x: Any, axis: Any = None) -> Any:
    return x - logsumexp(x, axis, keepdims=True)


def polygamma(n: Any, x: Any) -> Any:
    if is_traced(n) or np.ndim(n):
        raise TraceError("scipy.special.polygamma of an order that is computed is not traced", location=caller(),
                         help="give one integer")  # fmt: skip
    if n < 0 or n != int(n):
        raise ArgumentValueError(f"scipy.special.polygamma: the order must be an integer from 0 on, not {n}", location=caller())
    return _elementwise(Polygamma(int(n)), x)


# scipy.stats.norm


def _standard(x: Any, loc: Any, scale: Any) -> Any:
    """In float64, as SciPy computes it; NaN where there is no such distribution."""
    return np.where(as_array(scale) > 0, (as_array(x).astype(np.float64) - as_array(loc)) / as_array(scale), np.nan)


def _pdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z = _standard(x, loc, scale)
    return np.exp(-z * z / 2) / (sqrt(2 * pi) * as_array(scale))


def _logpdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    z = _standard(x, loc, scale)
    return -z * z / 2 - 0.5 * log(2 * pi) - np.log(as_array(scale))


def _cdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _elementwise(Ndtr(), _standard(x, loc, scale))


def _sf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _elementwise(Ndtr(), -_standard(x, loc, scale))


def _logcdf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _elementwise(LogNdtr(), _standard(x, loc, scale))


def _logsf(x: Any, loc: Any = 0, scale: Any = 1) -> Any:
    return _elementwise(LogNdtr(), -_standard(x, loc, scale))


# scipy.linalg


def cholesky(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.cholesky(as_array(a), upper=not lower)


def cho_factor(a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: Any, b: Any, overwrite_b: bool = False, check_finite: bool = True) -> Any:
    c, lower = c_and_lower
    return solve_triangular(c, solve_triangular(c, b, 0 if lower else 1, lower), 1 if lower else 0, lower)


def solve_triangular(
    a: Any, b: Any, trans: Any = 0, lower: bool = False, unit_diagonal: bool = False, overwrite_b: bool = False,
    check_finite: bool = True,
) -> Any:  # fmt: skip
    """Reads one triangle of a."""
    a = as_array(a)
    if a.ndim != 2:
        raise ShapeError(f"scipy.linalg.solve_triangular: {a.dtype}{list(a.shape)} is no matrix", location=caller())
    half = (np.tril if lower else np.triu)(a, (-1 if lower else 1) if unit_diagonal else 0)
    if unit_diagonal:
        half = half + np.eye(a.shape[0])
    return np.linalg.solve(half if trans in (0, "N") else half.T, as_array(b))


def inv(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.inv(as_array(a))


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    return np.linalg.det(as_array(a))


# scipy.integrate


def trapezoid(y: Any, x: Any = None, dx: float = 1.0, axis: int = -1) -> Any:
    return np.trapezoid(as_array(y), x, dx, axis)


_FUNCTIONS: Mapping[tuple[str, str], Callable[..., Any]] = MappingProxyType({
    **{("special", each.__name__): each for each in (logsumexp, softmax, log_softmax, polygamma)},
    **{("linalg", each.__name__): each for each in (cholesky, cho_factor, cho_solve, solve_triangular, inv, det)},
    ("integrate", "trapezoid"): trapezoid,
})  # fmt: skip
_NORMAL: Mapping[str, Callable[..., Any]] = MappingProxyType({
    "pdf": _pdf, "logpdf": _logpdf, "cdf": _cdf, "sf": _sf, "logcdf": _logcdf, "logsf": _logsf,
})  # fmt: skip


_IMPLICIT = "pb.implicit_root, implicit_fixed_point and implicit_argmin take it as their solver, and have derivatives"
_RULE = "write the rule as a loop or a sum over fixed points, np.polynomial.legendre.leggauss for example"
_WAYS_OUT: Mapping[str, str] = MappingProxyType({
    **dict.fromkeys(("brentq", "bisect", "newton", "root", "root_scalar", "fsolve", "minimize", "minimize_scalar",
                     "least_squares", "fixed_point", "curve_fit"), _IMPLICIT),
    **dict.fromkeys(("quad", "dblquad", "nquad", "fixed_quad", "quad_vec"), _RULE),
    **dict.fromkeys(("solve_ivp", "odeint", "ode"), "write the steps as a loop: Runge and Kutta's, for example"),
    "cdist": "use np.linalg.norm(x[:, None] - y[None], axis=-1)", "pdist": "use rows x[i], x[j] of np.triu_indices",
    "simpson": "write it as np.sum(weights * y)", "expm": "sum its series, with squaring, in a loop",
    "convolve2d": "sum shifted slices, or use np.lib.stride_tricks.sliding_window_view",
})  # fmt: skip
_DEFAULT = f"{DEFAULT}; pb.pure_callback calls it, and custom_jvp states its derivative"


def stand_in(function: Any) -> Callable[..., Any] | None:
    """What a function or class of SciPy is on traced values, and itself on others; None for somebody else's.

    One that is not known raises TraceError where it needs numbers.
    """
    module = getattr(function, "__module__", None) or ""
    if not module.startswith("scipy."):
        return None
    is_elementwise = False
    part, name = module.split(".")[1], function.__name__
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, type):
        known, shown = _FUNCTIONS.get((part, name)), f"scipy.{part}.{name}"
    else:
        kind = type(owner).__name__.removesuffix("_gen")
        known, shown = _NORMAL.get(name) if kind == "norm" else None, f"scipy.{part}.{kind}.{name}"
        is_elementwise = known is not None

    def standing_in(*args: Any, **named: Any) -> Any:
        leaves = flatten((args, named))[0]
        chosen = next((leaf for leaf in leaves if isinstance(leaf, Chosen)), None)
        if chosen is not None and known in (logsumexp, softmax, log_softmax):
            return known(*args, **named)
        if chosen is not None:
            if known is None or not is_elementwise:
                chosen.refuse(shown)
            return elementwise(known, args, **named)
        if known is not None and any(is_traced(leaf) for leaf in leaves):
            return known(*args, **named)
        try:
            return function(*args, **named)
        except ConcreteError:
            help = _WAYS_OUT.get(name, _DEFAULT)
            raise TraceError(f"{shown} is not traced", location=caller(), help=help) from None

    return standing_in
