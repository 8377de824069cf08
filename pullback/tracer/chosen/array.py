"""The chosen elements that user code sees: Python's operators, ndarray's methods, and NumPy's two protocols."""
from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from pullback.errors import ArgumentValueError, DTypeError, ShapeError, TraceError
from pullback.location import caller
from pullback.tracer.chosen import places, products, reductions, shapes
from pullback.tracer.chosen.elements import WAY_OUT, WHAT, Chosen
from pullback.tracer.chosen.elementwise import elementwise
from pullback.tracer.numpy_functions import selection
from pullback.tracer.numpy_functions.arguments import Functions, NotGiven, given, known, newer, refuse
from pullback.tracer.semantics.reductions import normal_axis
from pullback.tracer.traced import Traced, active, array_of
from pullback.tracer.ufuncs import PRODUCTS

_IN_ORDER = "sums and products do not need an order; else use np.where(mask, x, 0), or np.where(mask, x, np.inf) to sort"


class ChosenArray(NDArrayOperatorsMixin, Chosen):
    """See `Chosen`. Every operation records; nothing is computed. Operators are ufuncs, those in place with ``out=``."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        out = named.pop("out", None)
        if isinstance(out, tuple) and len(out) == 1 and isinstance(out[0], ChosenArray):
            out[0].store(getattr(ufunc, method)(*inputs, **named), ufunc.__name__)
            return out[0]
        refuse(ufunc.__name__, out=out)
        if method == "reduce":
            return reductions.reduce_by(ufunc, inputs[0], **named)
        if method == "accumulate":
            return reductions.accumulate_by(ufunc, inputs[0], **named)
        if method != "__call__":
            self.refuse(f"np.{ufunc.__name__}.{method}")
        if ufunc in products.PRODUCT_UFUNCS:
            return products.PRODUCT_UFUNCS[ufunc](*inputs, **named)
        if ufunc in PRODUCTS:
            self.refuse(f"np.{ufunc.__name__}", "use x @ y")
        return elementwise(ufunc, inputs, **named)

    def __array_function__(self, function: Any, types: Any, args: Any, named: Any) -> Any:
        if function in ELEMENTWISE and (function is not np.where or len(args) == 3):
            return elementwise(function, args, **named)
        if function not in FUNCTIONS:
            module = (getattr(function, "__module__", None) or "numpy").replace("numpy", "np", 1)
            self.refuse(f"{module}.{function.__name__}", _IN_ORDER if function in IN_ORDER else WAY_OUT)
        return FUNCTIONS[function](*args, **named)

    __hash__ = Chosen.__hash__

    def store(self, result: Any, name: str) -> None:
        """Replace the elements. Raises: ShapeError and DTypeError for those that do not fit."""
        same = isinstance(result, Chosen) and result.at == self.at and result.values.shape == self.values.shape
        if not same:
            raise ShapeError(f"np.{name} in place of {WHAT}: the result has another shape", location=caller())
        if not np.can_cast(result.dtype, self.dtype, "same_kind"):
            raise DTypeError(f"Cannot cast ufunc '{name}' output from {result.dtype} to {self.dtype} with casting rule "
                             "'same_kind'", location=caller(), help="use x = x + y")  # fmt: skip
        self.values[...] = result.values.astype(self.dtype)

    def __getitem__(self, index: Any) -> Any:
        return places.item(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, Chosen) and index.dtype.kind == "b":
            places.set_narrowed(self, index, value)
        elif index is Ellipsis or (isinstance(index, slice) and index == slice(None)):
            self.store(np.where(True, value, self).astype(self.dtype), "copyto")
        else:
            self.refuse("assigning to some", "assign by a mask of them: y[y > 2] = value")

    def __getattr__(self, name: str) -> NoReturn:
        if hasattr(np.ndarray, name) and not name.startswith("__"):
            raise TraceError(f"the attribute {name} of {WHAT} is not known", location=caller(), help=WAY_OUT)
        raise AttributeError(f"{WHAT} have no attribute {name!r}")

    # Attributes and methods of an ndarray, in the order of NumPy's manual

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def real(self) -> Any:
        return self

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Any:
        return shapes.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def ravel(self, order: str = "C") -> Any:
        return shapes.ravel(self, order)

    def flatten(self, order: str = "C") -> Any:
        return shapes.ravel(self, order).copy()

    def transpose(self, *axes: Any) -> Any:
        return FUNCTIONS[np.transpose](self, None if not axes else axes[0] if len(axes) == 1 else axes)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return FUNCTIONS[np.swapaxes](self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        return shapes.squeeze(self, axis)

    def fill(self, value: Any) -> None:
        self[...] = value

    def nonzero(self) -> Any:
        return nonzero(self)

    def dot(self, b: Any, out: Any = None) -> Any:
        return products.dot(self, b, out)

    def clip(self, min: Any = None, max: Any = None, out: Any = None, **named: Any) -> Any:
        refuse("clip", out=out)
        return elementwise(np.clip, (self, min, max), **named)

    def round(self, decimals: int = 0, out: Any = None) -> Any:
        refuse("round", out=out)
        return elementwise(np.round, (self,), decimals=decimals)

    def conj(self) -> Any:
        return self

    def conjugate(self) -> Any:
        return self

    def sum(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.sum](self, *args, **named)

    def prod(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.prod](self, *args, **named)

    def mean(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.mean](self, *args, **named)

    def var(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.var](self, *args, **named)

    def std(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.std](self, *args, **named)

    def max(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.max](self, *args, **named)

    def min(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.min](self, *args, **named)

    def any(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.any](self, *args, **named)

    def all(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.all](self, *args, **named)

    def argmax(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.argmax](self, *args, **named)

    def argmin(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.argmin](self, *args, **named)

    def cumsum(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.cumsum](self, *args, **named)

    def cumprod(self, *args: Any, **named: Any) -> Any:
        return FUNCTIONS[np.cumprod](self, *args, **named)


# Functions that give chosen elements


def _array(a: Any) -> Any:
    """An array of the outside as a traced one."""
    if isinstance(a, Chosen | Traced):
        return a
    b = active()
    return b.wrap(array_of(b, a))


def _is_known(a: Any) -> bool:
    return not isinstance(a, Chosen) and (not isinstance(a, Traced) or a.known is not None)


def nonzero(a: Any) -> Any:
    """np.nonzero: of chosen elements, their places among these."""
    if _is_known(a):
        return np.nonzero(known("nonzero", "the array", a))
    if not isinstance(a, Chosen):
        return places.nonzero(ChosenArray, a)
    if a.ndim > 1:
        a.refuse("np.nonzero of several axes", "use np.nonzero of each axis by itself")
    return (a.like(reductions.ranks(a.mask))[np.not_equal(a, 0)],)


def flatnonzero(a: Any) -> Any:
    """np.flatnonzero."""
    return nonzero(np.ravel(a))[0]


def argwhere(a: Any) -> Any:
    """np.argwhere: a row of places for each true element."""
    found = nonzero(a)
    return np.stack(found, 1)


def where(condition: Any, x: Any = NotGiven, y: Any = NotGiven, /) -> Any:
    """np.where; of one argument it is np.nonzero."""
    return nonzero(condition) if x is NotGiven and y is NotGiven else selection.where(condition, x, y)


def compress(condition: Any, a: Any, axis: Any = None, out: Any = None) -> Any:
    """np.compress; a condition that is computed must have the axis' length."""
    if _is_known(condition):
        return selection.compress(condition, a, axis, out)
    refuse("compress", out=out)
    if axis is None:
        a, axis = np.ravel(a), 0
    return _array(a)[(*(slice(None),) * normal_axis(axis, np.ndim(a)), np.not_equal(condition, 0))]


def extract(condition: Any, arr: Any) -> Any:
    """np.extract."""
    if _is_known(condition):
        return selection.extract(condition, arr)
    return _array(np.ravel(arr))[np.not_equal(np.ravel(condition), 0)]


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """np.take, of chosen places too, or of one of the chosen elements."""
    if not isinstance(a, Chosen) and not isinstance(indices, Chosen):
        return selection.take(a, indices, axis, out, mode)
    refuse("take", out=out)
    if mode != "raise":
        (a if isinstance(a, Chosen) else indices).refuse(f"np.take with mode={mode!r}", "clip the indices first")
    if axis is None:
        a, axis = np.ravel(a), 0
    return _array(a)[(*(slice(None),) * normal_axis(axis, np.ndim(a)), indices)]


def clip(a: Any, a_min: Any = NotGiven, a_max: Any = NotGiven, out: Any = None, *, min: Any = NotGiven,
         max: Any = NotGiven, **named: Any) -> Any:  # fmt: skip
    refuse("clip", out=out)
    bounds = [given(new if old is NotGiven else old, None) for old, new in ((a_min, min), (a_max, max))]
    return elementwise(np.clip, (a, *bounds), **named)


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """np.select: the first condition that holds chooses."""
    if len(condlist) != len(choicelist) or not len(condlist):
        raise ArgumentValueError(f"np.select: {len(condlist)} conditions for {len(choicelist)} choices", location=caller())
    count = len(condlist)
    return elementwise(lambda *all: np.select(all[:count], all[count:-1], all[-1]), (*condlist, *choicelist, default))


def interp(x: Any, xp: Any, fp: Any, *more: Any, **named: Any) -> Any:
    """np.interp at chosen places."""
    if not isinstance(x, Chosen):
        (xp if isinstance(xp, Chosen) else fp).refuse("np.interp by a table", "give it the whole table")
    return x.like(np.interp(x.values, xp, fp, *more, **named))


def polyval(p: Any, x: Any) -> Any:
    """np.polyval at chosen places, by Horner's rule."""
    if not isinstance(x, Chosen):
        p.refuse("np.polyval of coefficients", "give it all coefficients")
    result = np.zeros_like(x)
    for place in range(np.shape(p)[0]):
        result = result * x + p[place]
    return result


def of_dtypes(function: Any) -> Callable[..., Any]:
    """A function of dtypes alone, np.result_type for example."""
    return lambda *args, **named: function(*[each.values if isinstance(each, Chosen) else each for each in args], **named)


def without_nan(function: Any) -> Callable[..., Any]:
    """np.nansum and its kin over all elements: of those that are no NaN."""

    def reduced(a: Any, axis: Any = None, *args: Any, **named: Any) -> Any:
        if axis is not None and not (a.ndim == 1 and axis in (0, -1)):
            a.refuse("a reduction that skips NaN along one of several axes", "use np.where(np.isnan(x), 0, x)")
        line = reductions.flat(a)
        return function(line[np.logical_not(np.isnan(line))], 0, *args, **named)

    return reduced


ELEMENTWISE: frozenset[Any] = frozenset({
    np.where, np.round, np.around, np.fix, np.nan_to_num, np.sinc, np.isclose, np.isposinf, np.isneginf, np.real, np.imag,
    np.isreal, np.iscomplex, np.real_if_close, np.zeros_like, np.ones_like, np.empty_like, np.full_like,
})  # fmt: skip
"""Functions of NumPy that do with each element the same, beside ufuncs; np.where with all of its arguments."""

IN_ORDER: frozenset[Any] = frozenset({
    np.sort, np.argsort, np.partition, np.argpartition, np.median, np.percentile, np.quantile, np.diff, np.ediff1d,
    np.trapezoid, np.gradient, np.searchsorted, np.convolve, np.correlate, np.nanmedian, np.lexsort, np.roll,
})  # fmt: skip

CHOOSING: Functions = MappingProxyType({
    np.nonzero: nonzero, np.flatnonzero: flatnonzero, np.argwhere: argwhere, np.where: where, np.compress: compress,
    np.extract: extract, np.take: take,
})  # fmt: skip
"""Functions of NumPy whose result is chosen by what is computed: of any traced arrays."""

FUNCTIONS: Functions = MappingProxyType({
    **reductions.REDUCTIONS, **products.PRODUCTS, **shapes.SHAPES, **CHOOSING,
    np.clip: clip, np.select: select, np.interp: interp, np.polyval: polyval,
    **{getattr(np, f"nan{name}"): without_nan(getattr(np, name)) for name in ("sum", "prod", "mean", "var", "std")},
    **{each: of_dtypes(each) for each in (np.result_type, np.common_type, np.can_cast, np.isrealobj, np.iscomplexobj)},
    **newer(np, astype=lambda x, dtype, /, **named: x.astype(dtype)),
})  # fmt: skip
"""What functions of NumPy do where an argument is chosen, beside `ELEMENTWISE`."""
