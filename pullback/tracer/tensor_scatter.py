"""Writing by index into a copy: scatter, index_add and their kin. Indices are looked at, as those of ``tensor[index]``."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.errors import AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.arithmetic import Div, FloorDivide
from pullback.ir.ops.contraction import ScatterAdd
from pullback.ir.ops.logic import Select
from pullback.ir.ops.shape import Reshape, Slice
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing
from pullback.tracer.tensor_apply import DTYPE_WORDS, fit
from pullback.tracer.tensor_base import TensorBase, record
from pullback.tracer.tensor_shape import axis_of

Array = np.ndarray[Any, Any]


def placed(b: Any, x: Value, places: Array, new: Value) -> Value:
    """`x` with elements replaced: `places` numbers, for each element of `new`, the one of x; the last write wins."""
    if not places.size:
        return x
    source = np.full(x.type.size, -1)
    source[places.reshape(-1)] = np.arange(places.size)
    flat = b.value(Reshape((places.size,)), new)
    chosen = indexing.get(b, flat, (np.maximum(source, 0),))
    mask = b.capture((source >= 0).reshape(x.type.shape))
    return b.value(Select(), mask, b.value(Reshape(x.type.shape), chosen), x)  # type: ignore[no-any-return]


def added(b: Any, x: Value, places: Array, new: Value) -> Value:
    """`x` with elements added to it: `places` numbers, for each element of `new`, the one of x."""
    if not places.size:
        return x
    flat = b.value(Reshape((places.size,)), new)
    index = indexing.constant_index(b, np.asarray(places, np.int64).reshape(-1))
    total = b.value(ScatterAdd(x.type.size), index, flat)
    return s.add(b, x, b.value(Reshape(x.type.shape), total))


def _numbered(input: Any) -> Array:
    """The number of every element."""
    return np.arange(input.numel()).reshape(input.sizes)


def _checked(index: Array, size: int) -> Array:
    outside = index[(index < 0) | (index >= size)]
    if outside.size:
        raise OutOfBoundsError(f"index {int(outside.flat[0])} is out of bounds for dimension with size {size}",
                               location=caller())  # fmt: skip
    return index


def _scattered(input: Any, dim: int, index: Any) -> Array:
    """The numbers of the elements that `index` along an axis names."""
    along = axis_of(dim, len(input.sizes))
    known = np.array(index.array())
    if not input.sizes:
        return np.zeros(known.shape, np.int64)
    if known.size and known.ndim != len(input.sizes):
        raise AutogradError("Index tensor must have the same number of dimensions as self tensor", location=caller())
    _checked(known, input.sizes[along])
    parts: list[Any] = list(np.indices(known.shape, sparse=True))
    parts[along] = known
    return np.asarray(_numbered(input)[tuple(parts)])


def _source(b: Builder, values: tuple[Value, ...], number: Any, x: Value, shape: tuple[int, ...]) -> Value:
    """The elements to write: the part of a tensor that the index covers, or a number everywhere."""
    if not values:
        return fit(b, number, x.type.dtype, shape)
    value = values[0]
    if value.type.rank == len(shape) and value.type.shape != shape and all(
        size <= have for size, have in zip(shape, value.type.shape, strict=True)
    ):
        value = b.value(Slice((0,) * len(shape), shape, (1,) * len(shape)), value)
    return fit(b, value, x.type.dtype, shape)


def _same_dtype(name: str, input: Any, src: Any) -> None:
    if isinstance(src, TensorBase) and src.dtype_ != input.dtype_:
        raise AutogradError(f"{name}(): Expected self.dtype to be equal to src.dtype", location=caller())


def scatter(input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """Elements of `src` (or one number) put where `index` says along an axis; with `reduce` added or multiplied."""
    if reduce not in (None, "add", "multiply"):
        raise AutogradError("reduce argument must be either add or multiply.", location=caller())
    given = src if value is None else value
    _same_dtype("scatter", input, given)
    places = _scattered(input, dim, index)
    tensors = [given] if isinstance(given, TensorBase) else []
    if reduce == "multiply":
        return _multiplied(input, places, given, tensors)

    def rule(b: Builder, x: Value, *values: Value) -> Value:
        new = _source(b, values, given, x, places.shape)
        return added(b, x, places, new) if reduce == "add" else placed(b, x, places, new)

    return record(f"ScatterBackward{0 if tensors else 1}", rule, input, *tensors)


def _multiplied(input: Any, places: Array, given: Any, tensors: list[Any]) -> Any:
    if len(np.unique(places)) < places.size:
        raise AutogradError("scatter with reduce='multiply' takes an index that names each element once", location=caller(),
                            help="multiply by a tensor made by gather instead")  # fmt: skip

    def rule(b: Builder, x: Value, *values: Value) -> Value:
        factors = placed(b, s.number(b, 1, x.type.dtype, x.type.shape), places, _source(b, values, given, x, places.shape))
        return s.mul(b, x, factors)

    return record("ScatterBackward2", rule, input, *tensors)


def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """Elements of `src` added where `index` says along an axis."""
    _same_dtype("scatter", input, src)
    places = _scattered(input, dim, index)

    def rule(b: Builder, x: Value, *values: Value) -> Value:
        return added(b, x, places, _source(b, values, None, x, places.shape))

    return record("ScatterAddBackward0", rule, input, src)


def scatter_reduce(input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """As scatter_add for "sum", and the mean for "mean". Raises: AutogradError for other reductions."""
    if reduce not in ("sum", "mean"):
        raise AutogradError(f"scatter_reduce with reduce={reduce!r} is not supported", location=caller(),
                            help="reduce is 'sum' or 'mean'")  # fmt: skip
    _same_dtype("scatter", input, src)
    places = _scattered(input, dim, index)
    counts = np.bincount(places.reshape(-1), minlength=input.numel()).reshape(input.sizes)
    keeps = np.ones(input.sizes, bool) if include_self else counts == 0

    def rule(b: Any, x: Value, *values: Value) -> Value:
        base = s.where(b, b.capture(keeps), x, 0)
        total = added(b, base, places, _source(b, values, None, x, places.shape))
        if reduce == "sum":
            return total
        divisor = np.maximum(counts + (keeps & include_self), 1).astype(x.type.dtype.numpy)
        return b.value(Div() if x.type.dtype.is_float else FloorDivide(), total, b.capture(divisor))  # type: ignore[no-any-return]

    return record("ScatterReduceBackward0", rule, input, src)


def _indexed(input: Any, dim: int, index: Any) -> Array:
    """The numbers of the elements of places of an axis."""
    along = axis_of(dim, len(input.sizes))
    known = np.array(index.array()).reshape(-1)
    size = input.sizes[along] if input.sizes else 1
    if ((known < 0) | (known >= size)).any():
        raise OutOfBoundsError("index out of range in self", location=caller(), help=f"the axis has size {size}")
    return np.take(_numbered(input), known, along) if input.sizes else np.zeros(known.shape, np.int64)


def _same_source(name: str, source: Any, input: Any, places: Array) -> None:
    """Raises: AutogradError for a source of another dtype, or of other sizes than the places have."""
    if input.dtype_ != source.dtype_:
        raise AutogradError(f"{name}(): self and source expected to have the same dtype, but got (self) "
                            f"{DTYPE_WORDS[input.dtype_.name]} and (source) {DTYPE_WORDS[source.dtype_.name]}",
                            location=caller())  # fmt: skip
    if source.sizes != places.shape and source.numel() * places.size != 1:
        raise AutogradError(f"{name}(): source has sizes {list(source.sizes)}, the places that index names "
                            f"{list(places.shape)}", location=caller())  # fmt: skip


def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Any:
    """alpha * source added to places of an axis."""
    places = _indexed(input, dim, index)
    _same_source("index_add_", source, input, places)

    def rule(b: Builder, x: Value, y: Value) -> Value:
        new = fit(b, y if alpha == 1 else s.mul(b, y, alpha), x.type.dtype, places.shape)
        return added(b, x, places, new)

    return record("IndexAddBackward0", rule, input, source)


def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """Places of an axis replaced by those of `source`."""
    places = _indexed(input, dim, index)
    _same_source("index_copy_", source, input, places)
    return record("IndexCopyBackward0", lambda b, x, y: placed(b, x, places, fit(b, y, x.type.dtype, places.shape)), input,
                  source)  # fmt: skip


def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """Places of an axis replaced by one number."""
    places = _indexed(input, dim, index)
    tensors = [value] if isinstance(value, TensorBase) else []

    def rule(b: Builder, x: Value, *values: Value) -> Value:
        return placed(b, x, places, fit(b, values[0] if values else value, x.type.dtype, places.shape))

    return record(f"IndexFillBackward{len(tensors)}", rule, input, *tensors)


def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """``input[indices] = values`` in a copy; with `accumulate` they are added."""
    known = tuple(slice(None) if each is None else np.array(each.array()) for each in indices)
    places = _numbered(input)[known]
    return record("IndexPutBackward0", lambda b, x, y: (added if accumulate else placed)(
        b, x, places, fit(b, y, x.type.dtype, places.shape)), input, values)  # fmt: skip


def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """Elements replaced by their number in the flattened tensor."""
    places = np.array(index.array())
    places = np.where(places < 0, places + input.numel(), places)
    return record("PutBackward0", lambda b, x, y: (added if accumulate else placed)(b, x, places, y), input, source)


def take(input: Any, index: Any) -> Any:
    """Elements by their number in the flattened tensor."""
    known = np.array(index.array())
    return record("TakeBackward0", lambda b, x: indexing.take(b, x, known), input)


def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """The elements where a mask holds replaced by the first ones of `source`, in order."""
    places = np.flatnonzero(np.broadcast_to(mask.array(), input.sizes))
    if source.dtype_ != input.dtype_:
        raise AutogradError("masked_scatter: expected self and source to have same dtypes but got "
                            f"{DTYPE_WORDS[input.dtype_.name]} and {DTYPE_WORDS[source.dtype_.name]}",
                            location=caller())  # fmt: skip
    if places.size > source.numel():
        raise AutogradError("Number of elements of source < number of ones in mask", location=caller())

    def rule(b: Builder, x: Value, y: Value) -> Value:
        flat = b.value(Reshape((y.type.size,)), y)
        return placed(b, x, places, b.value(Slice((0,), (places.size,), (1,)), flat))

    return record("MaskedScatterBackward0", rule, input, source)


def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """Elements along an axis by index, broadcast along the others; without `dim`, of the flattened tensor."""
    known = np.array(indices.array())
    if dim is None:
        return record("GatherBackward0", lambda b, x: indexing.take(b, x, known.reshape(-1)), input)
    along = axis_of(dim, len(input.sizes))
    return record("GatherBackward0", lambda b, x: indexing.take_along_axis(b, x, known, along), input)


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """Where the elements are not 0: a row for each, or an index for each axis."""
    found = np.nonzero(np.array(input.array()).reshape(input.sizes or (1,)))
    if as_tuple:
        return tuple(input.of_array(np.asarray(each, np.int64)) for each in found)
    rows = np.stack(found, 1).astype(np.int64)
    return input.of_array(np.ascontiguousarray(rows if input.sizes else rows[:, :0]))


argwhere = nonzero

__all__ = [
    "argwhere", "index_add", "index_copy", "index_fill", "index_put", "masked_scatter", "nonzero", "put", "scatter",
    "scatter_add", "scatter_reduce", "take", "take_along_dim",
]  # fmt: skip
