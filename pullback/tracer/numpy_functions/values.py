"""NumPy's functions of values one by one, and arrays made like others: round, isclose, astype, zeros_like, linspace."""
from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, DTypeError
from pullback.location import caller
from pullback.tracer.numpy_functions.arguments import Functions, as_array, index_of, newer, refuse
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import shapes
from pullback.tracer.traced import Traced, active, array_of, lower


def rounded(a: Any, decimals: int = 0, out: Any = None) -> Any:
    """np.round: to decimals after the point, or before it where `decimals` is negative."""
    refuse("round", out=out)
    a = as_array(a)
    digits = index_of(decimals)
    if a.dtype.kind != "f" and digits >= 0:
        if a.dtype.kind == "b":
            raise DTypeError("np.round of bool is float16 in NumPy, which is not supported", location=caller(),
                             help="use x.astype(np.float32) first")  # fmt: skip
        return np.copy(a)
    if digits == 0:
        return np.rint(a)
    factor = 10.0 ** abs(digits)
    result = np.rint(a * factor) / factor if digits > 0 else np.rint(a / factor) * factor
    return result.astype(a.dtype)


def fix(x: Any, out: Any = None) -> Any:
    refuse("fix", out=out)
    return np.trunc(x)


def nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    x = as_array(x)
    if x.dtype.kind != "f":
        return np.copy(x) if copy else x
    limits = np.finfo(x.dtype)
    high, low = (float(limit) if each is None else each for each, limit in ((posinf, limits.max), (neginf, limits.min)))
    result = np.where(np.isnan(x), nan, np.where(x == np.inf, high, np.where(x == -np.inf, low, x))).astype(x.dtype)
    if copy:
        return result
    x[...] = result
    return x


def sinc(x: Any) -> Any:
    """sin(pi x) / (pi x), 1 at 0."""
    x = as_array(x)
    if x.dtype.kind != "f":
        x = x.astype(np.float64)
    zero = x == 0
    angle = np.where(zero, 1.0, x) * np.pi
    return np.where(zero, 1.0, np.sin(angle) / angle)


def is_close(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: bool = False) -> Any:
    a, b = as_array(a), as_array(b)
    b = b if b.dtype.kind == "f" else b.astype(np.float64)
    near = np.logical_and(np.abs(a - b) <= atol + rtol * np.abs(b), np.isfinite(b))
    result = np.logical_or(near, a == b)
    return np.logical_or(result, np.logical_and(np.isnan(a), np.isnan(b))) if equal_nan else result


def all_close(a: Any, b: Any, rtol: Any = 1.0e-5, atol: Any = 1.0e-8, equal_nan: bool = False) -> Any:
    """np.allclose, as a traced bool."""
    return np.all(is_close(a, b, rtol, atol, equal_nan))


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Any:
    """np.array_equal, as a traced bool where the shapes are equal."""
    if np.shape(a1) != np.shape(a2):
        return False
    same = np.equal(a1, a2)
    return np.all(np.logical_or(same, np.logical_and(np.isnan(a1), np.isnan(a2))) if equal_nan else same)


def array_equiv(a1: Any, a2: Any) -> Any:
    try:
        np.broadcast_shapes(np.shape(a1), np.shape(a2))
    except ValueError:
        return False
    return np.all(np.equal(a1, a2))


def signed_infinity(positive: bool) -> Callable[..., Any]:
    """np.isposinf and np.isneginf."""

    def found(x: Any, out: Any = None) -> Any:
        refuse("isposinf" if positive else "isneginf", out=out)
        return np.equal(x, np.inf if positive else -np.inf)

    return found


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Any:
    refuse("astype", device=device)
    if not copy and isinstance(x, Traced) and x.dtype == np.dtype(dtype):
        return x
    b = active()
    return b.wrap(s.cast(b, array_of(b, x), s.known_dtype(dtype)))


def real(val: Any) -> Any:
    """Its argument: no complex numbers are traced."""
    return as_array(val)


def real_if_close(a: Any, tol: Any = 100) -> Any:
    return as_array(a)


def imaginary(val: Any) -> Any:
    return np.zeros(np.shape(val), as_array(val).dtype)


def is_real(x: Any) -> Any:
    return np.ones(np.shape(x), bool)


def is_complex(x: Any) -> Any:
    return np.zeros(np.shape(x), bool)


def result_type(*arrays_and_dtypes: Any) -> np.dtype[Any]:
    probes = [each.value.type.dtype.numpy.type(0).item() if isinstance(each, Traced) and each.weak
              else each.dtype if isinstance(each, Traced) else each for each in arrays_and_dtypes]  # fmt: skip
    return np.result_type(*probes)


def common_type(*arrays: Any) -> Any:
    return np.common_type(*(np.empty(0, as_array(each).dtype) for each in arrays))


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> bool:
    source, target = (each.dtype if isinstance(each, Traced) else each for each in (from_, to))
    return np.can_cast(source, target, casting)


def full_like(a: Any, fill_value: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None,
              *, device: Any = None) -> Any:  # fmt: skip
    refuse("full_like", device=device)
    b = active()
    source = array_of(b, a)
    wanted = source.type.dtype if dtype is None else s.known_dtype(dtype)
    dims = source.type.shape if shape is None else shapes.integers(shape)
    return b.wrap(s.ready(b, lower(b, fill_value), wanted, dims))


def like(value: float) -> Callable[..., Any]:
    """np.zeros_like, np.ones_like and np.empty_like: arrays of constants, which are not traced."""

    def made(
        a: Any, dtype: Any = None, order: Any = "K", subok: bool = True, shape: Any = None, *, device: Any = None
    ) -> Any:
        return full_like(a, value, dtype, shape=shape, device=device)

    return made


def linspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, retstep: bool = False, dtype: Any = None,
             axis: int = 0, *, device: Any = None) -> Any:  # fmt: skip
    refuse("linspace", device=device)
    count = index_of(num)
    if count < 0:
        raise ArgumentValueError(f"np.linspace: number of samples, {count}, must be non-negative", location=caller())
    first, last = np.broadcast_arrays(as_array(start), as_array(stop))
    first, last = (each if each.dtype.kind == "f" else each.astype(np.float64) for each in (first, last))
    parts = count - 1 if endpoint else count
    step = (last - first) / float(parts) if parts > 0 else (last - first) * np.nan
    places = np.reshape(np.arange(count, dtype=step.dtype), (-1, *(1,) * step.ndim))
    values = first + places * (step if parts > 0 else last - first)
    if endpoint and count > 1:
        values = np.where(places == count - 1, last, values)
    if dtype is not None:
        values = (np.floor(values) if np.dtype(dtype).kind in "iu" else values).astype(dtype)
    values = np.moveaxis(values, 0, axis) if axis else values
    return (values, step) if retstep else values


def logspace(start: Any, stop: Any, num: Any = 50, endpoint: bool = True, base: Any = 10.0, dtype: Any = None,
             axis: int = 0) -> Any:  # fmt: skip
    exponents = linspace(start, stop, num, endpoint, axis=axis)
    if np.ndim(base):
        base = np.expand_dims(base, axis)
    powers = np.power(base, exponents)
    return powers if dtype is None else powers.astype(dtype)


def text_of(a: Any, *parameters: Any, **named: Any) -> str:
    """np.array_repr and its kin: a traced value has a type to show, and no elements."""
    return repr(a)


VALUES: Functions = MappingProxyType({
    np.round: rounded, np.around: rounded, np.fix: fix, np.nan_to_num: nan_to_num, np.sinc: sinc,
    np.isclose: is_close, np.allclose: all_close, np.array_equal: array_equal, np.array_equiv: array_equiv,
    np.isposinf: signed_infinity(True), np.isneginf: signed_infinity(False),
    np.real: real, np.imag: imaginary, np.isreal: is_real, np.iscomplex: is_complex, np.real_if_close: real_if_close,
    np.isrealobj: lambda x: True, np.iscomplexobj: lambda x: False,
    np.result_type: result_type, np.common_type: common_type, np.can_cast: can_cast,
    np.zeros_like: like(0), np.ones_like: like(1), np.empty_like: like(0), np.full_like: full_like,
    np.linspace: linspace, np.logspace: logspace,
    np.array_repr: text_of, np.array_str: text_of, np.array2string: text_of,
    **newer(np, astype=astype),
})  # fmt: skip
