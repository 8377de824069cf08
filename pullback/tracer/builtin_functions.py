"""Python's builtins and its math module on traced values, for rewritten code: the same results, recorded."""
from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, ArgumentValueError
from pullback.ir.core import Op
from pullback.ir.ops.creation import Full
from pullback.ir.ops.elementary import Erf, Trunc
from pullback.ir.ops.special import Erfc, Gammaln
from pullback.location import caller
from pullback.tracer.branches import condition_of
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.control import choose, is_traced
from pullback.tracer.iterables import Counting, Enumerate, Reversed, Zip, counting, sequence
from pullback.tracer.loops import record_for
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.shapes import reshape
from pullback.tracer.traced import Traced, active, array_of

LONG = 16
"""Traced arrays of more rows than this are gone through by a loop."""


def range_(*bounds: Any) -> Any:
    if any(is_traced(bound) for bound in bounds):
        return counting(*bounds)
    return range(*bounds)


def _may_stay(iterable: Any) -> bool:
    """Whether an iterable is better kept as it is, because it can be gone through by a loop."""
    return isinstance(iterable, Traced | np.ndarray | range | Counting | Enumerate | Zip | Reversed) and (
        sequence(iterable) is not None
    )


def enumerate_(iterable: Any, start: Any = 0) -> Any:
    return Enumerate(iterable, start) if _may_stay(iterable) else builtins.enumerate(iterable, start)


def zip_(*iterables: Any, strict: bool = False) -> Any:
    if not iterables or not all(_may_stay(each) for each in iterables):
        return builtins.zip(*iterables, strict=strict)
    lengths = [sequence(each).length for each in iterables]
    if strict and not any(is_traced(length) for length in lengths) and len(set(lengths)) > 1:
        raise ArgumentValueError(f"zip() arguments of lengths {', '.join(map(str, lengths))}", location=caller())
    return Zip(iterables)


def reversed_(iterable: Any) -> Any:
    return Reversed(iterable) if _may_stay(iterable) else builtins.reversed(iterable)


def number(value: Any, dtype: dtypes.DType) -> Any:
    """A traced value of one element as a Python number of a kind."""
    b = active()
    found = array_of(b, value)
    if found.type.size != 1:
        raise ArgumentError(f"only arrays of one element can be converted to Python scalars, not {found.type}",
                            location=caller())  # fmt: skip
    found = reshape(b, found, ())
    if not dtype.is_float and found.type.dtype.is_float:
        found = b.value(Trunc(), found)
    made = b.wrap(s.cast(b, found, dtype))
    made.weak = True
    return made


def float_(*args: Any) -> Any:
    return number(args[0], dtypes.f64) if args and is_traced(args[0]) else float(*args)


def int_(*args: Any, **named: Any) -> Any:
    return number(args[0], dtypes.i64) if args and is_traced(args[0]) else int(*args, **named)


def bool_(*args: Any) -> Any:
    if not args or not is_traced(args[0]):
        return bool(*args)
    b = active()
    made = b.wrap(condition_of(b, args[0]))
    made.weak = True
    return made


def round_(value: Any, ndigits: Any = None) -> Any:
    if not is_traced(value):
        return round(value, ndigits)
    if ndigits is not None:
        return np.round(value, ndigits)
    return int_(np.rint(value)) if not value.type.rank else np.rint(value)


def isinstance_(value: Any, kinds: Any) -> bool:
    """``isinstance`` as it would be for what a traced value stands for."""
    if isinstance(value, Chosen) and not isinstance(value, kinds):
        return isinstance(kinds, type | tuple) and issubclass(np.ndarray, kinds)
    if not isinstance(value, Traced) or isinstance(value, kinds):
        return isinstance(value, kinds)
    dtype = value.type.dtype
    if value.type.rank:
        stands_for: type = np.ndarray
    elif value.weak:
        stands_for = float if dtype.is_float else bool if dtype.is_bool else int
    else:
        stands_for = dtype.numpy.type
    return isinstance(kinds, type | tuple) and issubclass(stands_for, kinds)


def len_(value: Any) -> Any:
    """How many elements a mask chooses is a number that is computed."""
    return value.shape[0] if isinstance(value, Chosen) else len(value)


def sum_(iterable: Any, /, start: Any = 0) -> Any:
    if isinstance(iterable, Chosen):
        return start + np.sum(iterable, axis=0)
    if not isinstance(iterable, Traced) or iterable.known is not None or len(iterable) <= LONG:
        return sum(iterable, start)
    b = active()
    count = len(iterable)
    ends = tuple(b.value(Full(end, dtypes.i64, ())) for end in (1, count, 1))
    first = start + iterable[0]  # type: ignore[index]
    (total,) = record_for(b, ends, ["sum"], [first], lambda i, total: [total + iterable[i]], counts=range(1, count))  # type: ignore[arg-type, index]
    return total


def _extreme(largest: bool) -> Callable[..., Any]:
    plain: Callable[..., Any] = max if largest else min

    def extreme(*args: Any, **named: Any) -> Any:
        if len(args) == 1 and isinstance(args[0], Chosen) and args[0].ndim == 1 and not named:
            return (np.max if largest else np.min)(args[0])
        if len(args) == 1 and isinstance(args[0], Traced):
            items: Any = args[0]
            if items.known is None and items.type.rank == 1 and len(items) > LONG and not named:
                return (np.max if largest else np.min)(items)
            args = (list(items),)
        elif len(args) == 1:
            args = (list(args[0]),)
        values = args[0] if len(args) == 1 else args
        if named or not any(is_traced(value) for value in values):
            return plain(*args, **named)
        return reduce(lambda x, y: choose(y > x if largest else y < x, lambda: y, lambda: x), values)

    return extreme


def _truth(all_of: bool) -> Callable[[Iterable[Any]], Any]:
    plain: Callable[..., Any] = all if all_of else any

    def truth(iterable: Iterable[Any]) -> Any:
        if isinstance(iterable, Chosen) and iterable.ndim == 1:
            return (np.all if all_of else np.any)(iterable)
        if isinstance(iterable, Traced):
            if iterable.known is None and iterable.type.rank == 1:
                return (np.all if all_of else np.any)(iterable)
            return plain(iterable)
        found: Any = all_of
        for item in iterable:
            if is_traced(item):
                item = bool_(item)
                found = item if found is all_of else (np.logical_and if all_of else np.logical_or)(found, item)
            elif bool(item) is not all_of:
                return not all_of
        return found

    return truth


def _math(function: Callable[..., Any], *, gives: dtypes.DType = dtypes.f64) -> Callable[..., Callable[..., Any]]:
    """A function of math by one of NumPy: of Python numbers, and giving one."""

    def outer(plain: Callable[..., Any]) -> Callable[..., Any]:
        def applied(*args: Any) -> Any:
            if not any(is_traced(arg) for arg in args):
                return plain(*args)
            return number(function(*[float_(arg) for arg in args]), gives)

        return applied

    return outer


def _log(x: Any, base: Any = None) -> Any:
    return np.log(x) if base is None else np.log(x) / np.log(base)


def _special(op: Op) -> Callable[..., Any]:
    return lambda x: active().wrap(active().value(op, array_of(active(), x)))


def _hypot(*sizes: Any) -> Any:
    return reduce(np.hypot, sizes) if len(sizes) > 1 else np.abs(sizes[0])


def _remainder(x: Any, y: Any) -> Any:
    """IEEE 754's: x less the nearest multiple of y."""
    rest = np.fmod(x, y)
    halves = np.abs(rest) * 2 - np.abs(y)
    odd = np.fmod(np.trunc(x / y), 2) != 0
    return np.where((halves > 0) | ((halves == 0) & odd), rest - np.copysign(y, rest), rest)


def _of_items(plain: Callable[..., Any], function: Callable[..., Any]) -> Callable[..., Any]:
    """A function of math that takes sequences: of Python numbers, and giving one."""

    def applied(*args: Any, **named: Any) -> Any:
        items = [list(arg) for arg in args]
        if not any(is_traced(item) for each in items for item in (*each, *named.values())):
            return plain(*items, **named)
        return function(*items, **named)

    return applied


def _fsum(items: list[Any]) -> Any:
    return reduce(operator.add, [float_(item) for item in items], 0.0)


def _product(items: list[Any], *, start: Any = 1) -> Any:
    return reduce(operator.mul, items, start)


def _distance(p: list[Any], q: list[Any]) -> Any:
    if len(p) != len(q):
        raise ArgumentValueError("both points must have the same number of dimensions", location=caller())
    squares = [(float_(x) - float_(y)) ** 2 for x, y in zip(p, q, strict=True)]
    return number(np.sqrt(reduce(operator.add, squares)), dtypes.f64)


def _sum_of_products(p: list[Any], q: list[Any]) -> Any:
    if len(p) != len(q):
        raise ArgumentValueError("inputs are not the same length", location=caller())
    return reduce(operator.add, [x * y for x, y in zip(p, q, strict=True)], 0)


_OF_ITEMS: dict[str, Callable[..., Any]] = {
    "fsum": _fsum, "prod": _product, "dist": _distance, "sumprod": _sum_of_products,
}  # fmt: skip


def sorted_(iterable: Any, /, *, key: Any = None, reverse: bool = False) -> Any:
    items = list(iterable)
    if key is not None or not any(is_traced(item) for item in items):
        return sorted(items, key=key, reverse=reverse)
    in_order = list(np.sort(np.stack(items)))
    return in_order[::-1] if reverse else in_order


def isclose_(a: Any, b: Any, *, rel_tol: Any = 1e-9, abs_tol: Any = 0.0) -> Any:
    if not any(is_traced(each) for each in (a, b, rel_tol, abs_tol)):
        return math.isclose(a, b, rel_tol=rel_tol, abs_tol=abs_tol)
    distance, size = np.abs(a - b), np.maximum(np.abs(a), np.abs(b))
    return bool_((a == b) | ((distance <= np.maximum(rel_tol * size, abs_tol)) & (size < math.inf)))


_OF_MATH: dict[str, tuple[Callable[..., Any], dtypes.DType]] = {
    **{name: (getattr(np, name), dtypes.f64) for name in (
        "sin", "cos", "tan", "sinh", "cosh", "tanh", "exp", "expm1", "log1p", "log2", "log10", "sqrt", "fabs",
        "copysign", "fmod", "degrees", "radians")},
    **{name: (getattr(np, name.replace("a", "arc", 1)), dtypes.f64) for name in (
        "asin", "acos", "atan", "atan2", "asinh", "acosh", "atanh")},
    "hypot": (_hypot, dtypes.f64), "remainder": (_remainder, dtypes.f64),
    "erf": (_special(Erf()), dtypes.f64), "erfc": (_special(Erfc()), dtypes.f64), "lgamma": (_special(Gammaln()), dtypes.f64),
    "log": (_log, dtypes.f64), "pow": (np.power, dtypes.f64), "exp2": (np.exp2, dtypes.f64), "cbrt": (np.cbrt, dtypes.f64),
    "floor": (np.floor, dtypes.i64), "ceil": (np.ceil, dtypes.i64), "trunc": (np.trunc, dtypes.i64),
    "isnan": (np.isnan, dtypes.boolean), "isinf": (np.isinf, dtypes.boolean), "isfinite": (np.isfinite, dtypes.boolean),
}  # fmt: skip

BUILTINS: dict[Any, Callable[..., Any]] = {
    range: range_, enumerate: enumerate_, zip: zip_, reversed: reversed_, float: float_, int: int_, bool: bool_,
    round: round_, isinstance: isinstance_, sum: sum_, max: _extreme(True), min: _extreme(False), all: _truth(True),
    any: _truth(False), len: len_, sorted: sorted_, math.isclose: isclose_,
    **{getattr(math, name): _of_items(getattr(math, name), function)
       for name, function in _OF_ITEMS.items() if hasattr(math, name)},
    **{getattr(math, name): _math(function, gives=gives)(getattr(math, name))
       for name, (function, gives) in _OF_MATH.items() if hasattr(math, name)},
}  # fmt: skip
"""What rewritten code calls instead of a builtin function."""
