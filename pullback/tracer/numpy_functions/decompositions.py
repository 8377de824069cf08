"""NumPy's decompositions of matrices on traced values, and what is made of them: determinants, least squares, ranks."""
from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, ShapeError, TraceError
from pullback.ir.ops.decomposition import Cholesky, Decomposition, Eigh, Pinv, Qr, SlogDet, Svd
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import Functions, NotGiven, as_array, newer
from pullback.tracer.traced import Traced, active, array_of

_ONE = np.eye(1)
_SlogDet, _Eigh = type(np.linalg.slogdet(_ONE)), type(np.linalg.eigh(_ONE))
_Qr, _Svd = type(np.linalg.qr(_ONE)), type(np.linalg.svd(_ONE))
"""NumPy's named tuples."""


def _matrix(name: str, a: Any, *, square: bool = True) -> Any:
    """A matrix, or a stack of them, of floats. Raises: ShapeError for anything else."""
    a = as_array(a)
    if a.ndim < 2 or (square and a.shape[-1] != a.shape[-2]):
        found = f"{a.dtype}{list(a.shape)}"
        raise ShapeError(f"np.linalg.{name}: {found} is no {'square ' if square else ''}matrix", location=caller())
    return a if a.dtype.kind == "f" else a.astype(np.float64)


def _parts(op: Decomposition, a: Any) -> list[Any]:
    b = active()
    return [b.wrap(part) for part in b.emit(op, array_of(b, a)).results]


def _symmetric(name: str, a: Any, uplo: str) -> list[Any]:
    """Eigenvalues and eigenvectors."""
    if uplo.upper() not in ("L", "U"):
        raise ArgumentValueError(f"np.linalg.{name}: UPLO must be 'L' or 'U', not {uplo!r}", location=caller())
    return _parts(Eigh(uplo.upper() == "U"), _matrix(name, a))


def cholesky(a: Any, /, *, upper: bool = False) -> Any:
    a = _matrix("cholesky", a)
    (low,) = _parts(Cholesky(), np.swapaxes(a, -1, -2) if upper else a)
    return np.swapaxes(low, -1, -2) if upper else low


def slogdet(a: Any) -> Any:
    return _SlogDet(*_parts(SlogDet(), _matrix("slogdet", a)))


def det(a: Any) -> Any:
    """np.linalg.det: by its formula up to 3 rows, so that it has a derivative where it is 0; else from slogdet."""
    a = _matrix("det", a)
    match a.shape[-1]:
        case 0:
            return np.ones(a.shape[:-2], a.dtype)
        case 1:
            return a[..., 0, 0]
        case 2:
            return a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]
        case 3:
            return np.sum(a[..., 0, :] * np.cross(a[..., 1, :], a[..., 2, :]), axis=-1)
        case _:
            sign, log = _parts(SlogDet(), a)
            return sign * np.exp(log)


def eigh(a: Any, UPLO: str = "L") -> Any:
    return _Eigh(*_symmetric("eigh", a, UPLO))


def eigvalsh(a: Any, UPLO: str = "L") -> Any:
    return _symmetric("eigvalsh", a, UPLO)[0]


def qr(a: Any, mode: str = "reduced") -> Any:
    """np.linalg.qr of matrices that have no more columns than rows."""
    a = _matrix("qr", a, square=False)
    m, n = a.shape[-2:]
    if m < n:
        raise TraceError(f"np.linalg.qr of a matrix of {m} rows and {n} columns is not traced", location=caller(),
                         help="decompose its first columns: np.linalg.qr(a[:, :a.shape[0]])")  # fmt: skip
    if mode not in ("reduced", "r") and not (mode == "complete" and m == n):
        raise TraceError(f"np.linalg.qr in mode {mode!r} is not traced", location=caller(), help="use mode='reduced'")
    q, r = _parts(Qr(), a)
    return r if mode == "r" else _Qr(q, r)


def _general(name: str, hermitian: bool) -> None:
    if hermitian:
        raise TraceError(f"np.linalg.{name} with hermitian=True is not traced", location=caller(), help="leave it out")


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False) -> Any:
    """np.linalg.svd without the columns that belong to no singular value."""
    a = _matrix("svd", a, square=False)
    _general("svd", hermitian)
    if compute_uv and full_matrices and a.shape[-1] != a.shape[-2]:
        raise TraceError(
            f"np.linalg.svd of a matrix of {a.shape[-2]} rows and {a.shape[-1]} columns with full_matrices=True is not traced",
            location=caller(), help="use full_matrices=False: the columns beyond have no derivative",
        )  # fmt: skip
    u, values, v = _parts(Svd(), a)
    return _Svd(u, values, v) if compute_uv else values


def svdvals(x: Any, /) -> Any:
    return svd(x, compute_uv=False)


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, *, rtol: Any = NotGiven) -> Any:
    a = _matrix("pinv", a, square=False)
    _general("pinv", hermitian)
    if rcond is not None and rtol is not NotGiven and rtol is not None:
        raise ArgumentValueError("np.linalg.pinv: rtol and rcond cannot both be given", location=caller())
    cutoff = rcond if rcond is not None else None if rtol is NotGiven else rtol
    if cutoff is None:
        cutoff = 1e-15 if rtol is NotGiven else max(a.shape[-2:]) * np.finfo(a.dtype).eps
    return _parts(Pinv(_number("pinv", "rcond", cutoff)), a)[0]


def _number(name: str, argument: str, value: Any) -> float:
    if isinstance(value, Traced):
        raise TraceError(f"np.linalg.{name} with {argument} that is computed is not traced", location=caller(),
                         help="give a number")  # fmt: skip
    return float(value)


def lstsq(a: Any, b: Any, rcond: Any = None) -> Any:
    """np.linalg.lstsq, by the pseudo-inverse. Residuals are those of a matrix of full rank."""
    a, b = _matrix("lstsq", a, square=False), as_array(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or b.shape[0] != a.shape[0]:
        raise ShapeError(f"np.linalg.lstsq: {list(b.shape)} is no right side for {list(a.shape)}", location=caller())
    m, n = a.shape
    dtype = np.result_type(a.dtype, b.dtype)
    a, b = a.astype(dtype), b.astype(dtype)
    cutoff = max(m, n) * float(np.finfo(dtype).eps) if rcond is None else _number("lstsq", "rcond", rcond)
    x = np.matmul(pinv(a, cutoff), b)
    values = svdvals(a)
    rest = b - np.matmul(a, x)
    residuals = np.atleast_1d(np.sum(rest * rest, axis=0)) if m > n else np.zeros(0, x.dtype)
    return x, residuals, np.count_nonzero(values > cutoff * values[0]).astype(np.int32), values


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Any:
    a = as_array(A)
    _general("matrix_rank", hermitian)
    if a.ndim < 2:
        return np.any(a != 0).astype(np.int64)
    values = svdvals(a)
    if tol is None:
        rtol = max(a.shape[-2:]) * np.finfo(values.dtype).eps if rtol is None else rtol
        tol = np.max(values, axis=-1, initial=0.0) * rtol
    return np.count_nonzero(values > as_array(tol)[..., None], axis=-1)


def cond(x: Any, p: Any = None) -> Any:
    """np.linalg.cond."""
    x = _matrix("cond", x, square=False)
    if p in (None, 2, -2):
        values = svdvals(x)
        large, small = values[..., 0], values[..., -1]
        return np.where(large > 0, small / large if p == -2 else large / small, np.inf)
    return np.linalg.norm(x, p, (-2, -1)) * np.linalg.norm(np.linalg.inv(x), p, (-2, -1))


def polyfit(x: Any, y: Any, deg: Any, rcond: Any = None, full: bool = False, w: Any = None, cov: Any = False) -> Any:
    """np.polyfit, by the pseudo-inverse of the scaled Vandermonde matrix, as NumPy scales it."""
    if full or cov:
        raise TraceError(f"np.polyfit with {'full' if full else 'cov'}= is not traced", location=caller(), help="leave it out")
    x, y = as_array(x) + 0.0, as_array(y) + 0.0
    if np.ndim(deg):
        raise TraceError("np.polyfit with a list of degrees is not traced", location=caller(), help="give the highest degree")
    if deg < 0:
        raise ArgumentValueError(f"np.polyfit: the degree must not be negative: {deg}", location=caller())
    matrix, right = np.vander(x, deg + 1), y
    if w is not None:
        matrix = matrix * as_array(w)[:, None]
        right = right * (as_array(w)[:, None] if right.ndim == 2 else w)
    scale = np.sqrt(np.sum(matrix * matrix, axis=0))
    cutoff = x.shape[0] * float(np.finfo(x.dtype).eps) if rcond is None else _number("polyfit", "rcond", rcond)
    found = np.matmul(pinv(matrix / scale, cutoff), right)
    return found / (scale if right.ndim == 1 else scale[:, None])


def _by_singular_values(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def norm(x: Any, axes: tuple[int, int], keepdims: bool) -> Any:
        values = svdvals(np.moveaxis(as_array(x), axes, (-2, -1)))
        found = reduce(values, axis=-1)
        return np.expand_dims(found, axes) if keepdims else found

    return norm


SPECTRAL_NORMS: dict[Any, Callable[..., Any]] = {
    2: _by_singular_values(np.max), -2: _by_singular_values(np.min), "nuc": _by_singular_values(np.sum),
}
"""np.linalg.norm of matrices, in the orders that need singular values."""

DECOMPOSITIONS: Functions = MappingProxyType({
    np.linalg.cholesky: cholesky, np.linalg.slogdet: slogdet, np.linalg.det: det,
    np.linalg.eigh: eigh, np.linalg.eigvalsh: eigvalsh, np.linalg.qr: qr, np.linalg.svd: svd, np.linalg.pinv: pinv,
    np.linalg.lstsq: lstsq, np.linalg.matrix_rank: matrix_rank, np.linalg.cond: cond, np.polyfit: polyfit,
    **newer(np.linalg, svdvals=svdvals),
})  # fmt: skip
