"""``x[index] = value`` and its kin on traced arrays: each gives the array that owns the elements another IR value."""
from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import DTypeError, LengthError, ShapeError, TraceError
from pullback.ir.core import Value
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.chosen.places import has_chosen, has_mask
from pullback.tracer.chosen.stores import by_mask, by_places
from pullback.tracer.memory import Known, View, root_of
from pullback.tracer.record import Recorder
from pullback.tracer.rows import rows_of
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics.indexing import expand
from pullback.tracer.semantics.shapes import reshape
from pullback.tracer.traced import Traced, active, array_of, lower
from pullback.tracer.undefined import Unusable
from pullback.tracer.windows import Place, place_of, plain


def get_item(x: Traced, index: Any, with_arrays: Callable[[Traced, Any], Any]) -> Any:
    """``x[index]``: a view where NumPy has one, else a copy; `with_arrays` reads by integer arrays and masks."""
    b = active()
    try:
        place = place_of(b, x.type, index)
    except LengthError:
        return with_arrays(x, plain(index))
    if place is None:
        return with_arrays(x, plain(index))
    known = x.known
    if known is not None and not place.is_computed and not place.shape:
        return known[plain(index)]
    if x.recorder is not b:
        return b.wrap(place.read(b, array_of(b, x)))
    whole = x.value
    part = place.read(b, whole)
    made = b.wrap(part)
    if place.shape:
        made.state = (None, View(x, place, part.type, whole, part, b.region))
    return made


def target(x: Traced) -> Recorder:
    """The recorder, if `x` may be written here. Raises: TraceError for an array of a trace around this one."""
    b = active()
    if x.recorder is not b:
        raise TraceError("assigning into an array of the function around this one, whose derivative is taken here",
                         location=caller(), help="return the new elements, and assign them outside")  # fmt: skip
    return b


def set_item(x: Traced, index: Any, value: Any) -> None:
    """``x[index] = value``. Raises: ShapeError for a value that does not fit, OutOfBoundsError, TraceError."""
    b = target(x)
    if set_known(b, x, index, value):
        return
    try:
        place = place_of(b, x.type, index)
    except LengthError:
        x[index][...] = value  # type: ignore[index]
        return
    if place is None:
        set_by_arrays(b, x, plain(index), value)
        return
    if isinstance(value, Traced) and isinstance(value.memory, View):
        view = value.memory
        if view.base is x and isinstance(view.part, Place) and view.part.same_as(place):
            return
    x.store(place.write(b, x.value, fitted(b, value, x.type.dtype, place.shape)))


def set_known(b: Recorder, x: Traced, index: Any, value: Any) -> bool:
    """Write known elements into a known array, in NumPy; whether that could be done."""
    root = root_of(x)
    if not isinstance(root.memory, Known) or root.depth != b.depth or x.known is None:
        return False
    index = plain(index)
    if isinstance(value, Traced):
        value = value.known
    if value is None or _is_traced(index) or _is_traced(value):
        return False
    root.state = (None, Known(root.memory.writable()))
    elements = x.known
    assert elements is not None
    elements[index] = value
    return True


def _is_traced(tree: Any) -> bool:
    if isinstance(tree, slice):
        return any(isinstance(each, Traced) for each in (tree.start, tree.stop, tree.step))
    if isinstance(tree, tuple | list):
        return any(_is_traced(each) for each in tree)
    return isinstance(tree, Traced | Chosen)


def fitted(b: Recorder, value: Any, dtype: dtypes.DType, shape: Shape) -> Value:
    """A value in the dtype and shape of the elements that it replaces. Raises: ShapeError for another shape."""
    operand = lower(b, value)
    have = s.shape_of(operand)
    extra = len(have) - len(shape)
    if extra > 0 and all(size == 1 for size in have[:extra]):
        operand = reshape(b, s.value_of(operand), have[extra:])  # type: ignore[arg-type]
        have = have[extra:]
    fits = len(have) <= len(shape) and all(
        size in (1, wanted) for size, wanted in zip(have[::-1], shape[::-1], strict=False)
    )
    if not fits:
        raise ShapeError(f"could not broadcast input array from shape {_shown(have)} into shape {_shown(shape)}",
                         location=caller())  # fmt: skip
    return s.ready(b, operand, dtype, shape)


def _shown(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"


# Masks and index arrays


def set_by_arrays(b: Recorder, x: Traced, index: Any, value: Any) -> None:
    """``x[index] = value`` with arrays in the index; where an element is named twice, the last value counts."""
    if has_mask(index):
        by_mask(b, x, index, value)
        return
    if has_chosen(index):
        by_places(b, x, index, value, operator.setitem)
        return
    rows = rows_of(b, x.type, expand(index, x.type.rank))
    news = rows.by_rows(b, fitted(b, value, x.type.dtype, rows.shape))
    whole = x.value
    x.store(rows.write(b, whole, rows.replaced(b, rows.read(b, whole), news)))


# In place


def update_item(ufunc: np.ufunc, x: Traced, index: Any, value: Any) -> None:
    """``x[index] += value`` and its kin, `index` evaluated once."""
    b = target(x)
    index = plain(index)
    try:
        place = place_of(b, x.type, index)
    except LengthError:
        part = x[index]  # type: ignore[index]
        part[...] = in_place(ufunc, part, value)
        return
    if place is not None and ufunc in (np.add, np.subtract) and not set_known_possible(b, x, index, value):
        operand = lower(b, value)
        if s.promoted([x.value, operand]) == x.type.dtype and not x.type.dtype.is_bool:
            part = fitted(b, value, x.type.dtype, place.shape)
            summed = place.add(b, x.value, part if ufunc is np.add else s.negative(b, part))
            if summed is not None:
                x.store(summed)
                return
    x[index] = in_place(ufunc, x[index], value)  # type: ignore[index]


def set_known_possible(b: Recorder, x: Traced, index: Any, value: Any) -> bool:
    """Whether ``x[index] = value`` is for NumPy to do."""
    root = root_of(x)
    known = isinstance(root.memory, Known) and root.depth == b.depth and x.known is not None
    return known and not _is_traced(index) and (not isinstance(value, Traced) or value.known is not None)


def in_place(ufunc: np.ufunc, x: Any, value: Any) -> Any:
    """``x += value`` for an array with axes: its elements change, its dtype and shape stay.

    Raises: DTypeError where the result cannot be cast to x's dtype, ShapeError where it has another shape.
    """
    result = ufunc(x, value)
    if isinstance(result, Chosen):
        return _kept_chosen(x, result, ufunc.__name__)
    if not isinstance(x, Traced) or not x.type.rank:
        return result
    b = target(x)
    if np.shape(result) != x.shape:
        raise ShapeError(f"non-broadcastable output operand with shape {_shown(x.shape)} doesn't match the broadcast "
                         f"shape {_shown(np.shape(result))}", location=caller())  # fmt: skip
    if set_known(b, x, Ellipsis, result):
        return x
    x.store(kept_dtype(b, x.type.dtype, result, ufunc.__name__))
    return x


def _kept_chosen(x: Any, result: Chosen, name: str) -> Any:
    """What an operation in place gives of chosen elements, to be put where they came from. Raises: DTypeError, ShapeError."""
    if not isinstance(x, Chosen):
        result.refuse(f"np.{name} in place of an array", "choose from both: x[mask] += y[mask]")
    b = active()
    return result.like(b.wrap(kept_dtype(b, x.values.type.dtype, result.values, name)))


def kept_dtype(b: Recorder, dtype: dtypes.DType, result: Any, name: str = "add") -> Value:
    """A result as it is stored into an array of `dtype`. Raises: DTypeError for one of another kind, as NumPy."""
    value = array_of(b, result)
    if not np.can_cast(value.type.dtype.numpy, dtype.numpy, "same_kind"):
        raise DTypeError(f"Cannot cast ufunc '{name}' output from {value.type.dtype.short_name} to {dtype.short_name} "
                         "with casting rule 'same_kind'", location=caller(), help="use x = x + y")  # fmt: skip
    return s.cast(b, value, dtype)


def store_result(out: Any, result: Any, casting: str = "same_kind") -> Any:
    """``out=``: elements of a result into a traced array of the same shape.

    Raises: TraceError for an array of the outside, ShapeError and DTypeError for one that does not fit.
    """
    if isinstance(out, Unusable):
        out.fail()
    if not isinstance(out, Traced):
        raise TraceError("out= names an array that was not made in the traced function", location=caller(),
                         help="leave it out, or make it with np.zeros or np.empty in the function")  # fmt: skip
    b = target(out)
    if np.shape(result) != out.shape:
        raise ShapeError(f"out= has shape {_shown(out.shape)} for a result of shape {_shown(np.shape(result))}",
                         location=caller())  # fmt: skip
    out.store(s.cast(b, array_of(b, result), out.type.dtype) if casting == "unsafe" else
              kept_dtype(b, out.type.dtype, result))  # fmt: skip
    return out


def at(ufunc: np.ufunc, x: Any, index: Any, value: Any = None) -> None:
    """``ufunc.at(x, index, value)``: as often as an element is named.

    Raises: TraceError for an array of the outside.
    """
    if not isinstance(x, Traced):
        raise TraceError(f"np.{ufunc.__name__}.at changes an array that was not made in the traced function",
                         location=caller(), help="make a copy of it in the function: x = x.copy()")  # fmt: skip
    b = target(x)
    index = plain(index)
    if place_of(b, x.type, index) is not None or has_mask(index):
        if ufunc.nin == 1:
            set_item(x, index, ufunc(x[index]))  # type: ignore[index]
        else:
            update_item(ufunc, x, index, value)
        return
    if has_chosen(index):
        by_places(b, x, index, value, ufunc.at if ufunc.nin == 2 else lambda x, index, _: ufunc.at(x, index))
        return
    rows = rows_of(b, x.type, expand(index, x.type.rank))
    whole = x.value
    matrix = rows.read(b, whole)
    news = None if ufunc.nin == 1 else rows.by_rows(b, fitted(b, value, x.type.dtype, rows.shape))
    if ufunc in (np.add, np.subtract) and news is not None and not x.type.dtype.is_bool:
        changed = rows.added(b, matrix, news if ufunc is np.add else s.negative(b, news))
    else:
        changed = rows.updated(b, matrix, news, lambda *old: kept_dtype(b, x.type.dtype, ufunc(*old), ufunc.__name__))
    x.store(rows.write(b, whole, changed))


def copy_to(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """np.copyto."""
    if not isinstance(dst, Traced):
        raise TraceError("np.copyto into an array that was not made in the traced function", location=caller(),
                         help="make a copy of it in the function: x = x.copy()")  # fmt: skip
    b = target(dst)
    value = fitted(b, src, s.promoted([lower(b, src)]), dst.shape)
    if not np.can_cast(value.type.dtype.numpy, dst.dtype, casting):  # type: ignore[arg-type]
        raise DTypeError(f"Cannot cast array data from {value.type.dtype.short_name} to {dst.dtype} according to the "
                         f"rule '{casting}'", location=caller())  # fmt: skip
    value = s.cast(b, value, dst.type.dtype)
    if where is not True:
        value = s.where(b, s.ready(b, lower(b, where), dtypes.boolean, dst.shape), value, dst.value)
    dst.store(value)


def put_where(a: Any, mask: Any, values: Any) -> None:
    """np.putmask for one value, or values at every element."""
    b = target(_own(a, "putmask"))
    chosen = s.ready(b, lower(b, mask), dtypes.boolean, a.shape)
    a.store(s.where(b, chosen, fitted(b, values, a.type.dtype, a.shape), a.value))


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """np.fill_diagonal of a matrix that is not taller than wide, or square in all axes."""
    target(_own(a, "fill_diagonal"))
    if a.ndim < 2 or (a.ndim > 2 and len(set(a.shape)) > 1) or (wrap and a.shape[0] > a.shape[1]):
        raise ShapeError(f"fill_diagonal of shape {_shown(a.shape)} is not traced", location=caller(),
                         help="assign with an index: a[i, i] = val")  # fmt: skip
    count = np.arange(min(a.shape))
    a[(count,) * a.ndim] = val


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """np.put, one value per index or one for all."""
    target(_own(a, "put"))
    if mode != "raise":
        raise TraceError(f"np.put with mode={mode!r} is not traced", location=caller(), help="clip the indices first")
    a.reshape(-1)[ind] = v


def _own(a: Any, name: str) -> Traced:
    if not isinstance(a, Traced):
        raise TraceError(f"np.{name} changes an array that was not made in the traced function", location=caller(),
                         help="make a copy of it in the function: x = x.copy()")  # fmt: skip
    return a


def store_results(outs: Sequence[Any], result: Any, casting: str) -> Any:
    """``out=`` of a ufunc, which may have several results."""
    if len(outs) == 1:
        return store_result(outs[0], result, casting)
    pairs = zip(outs, result, strict=True)
    return tuple(each if out is None else store_result(out, each, casting) for out, each in pairs)


FUNCTIONS: Mapping[Any, Callable[..., Any]] = MappingProxyType({
    np.copyto: copy_to, np.putmask: put_where, np.fill_diagonal: fill_diagonal, np.put: put,
})  # fmt: skip
"""Functions of NumPy that change an argument."""
