"""Reading and writing ``tensor[index]``: views for integers and slices, copies for arrays and masks."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError, ArgumentValueError, AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.logic import Select
from pullback.ir.ops.shape import Reshape, Slice
from pullback.location import caller
from pullback.tracer.contents import known
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing, shapes
from pullback.tracer.tensor_apply import DTYPE_WORDS, common_shape, constant, fit, sizes_of
from pullback.tracer.tensor_base import TensorBase, Unseen, record, take_view, write_recorded
from pullback.tracer.tensor_scatter import placed
from pullback.tracer.tensor_shape import axis_of, select, sliced, unsqueeze


def _parts(input: Any, index: Any) -> list[Any]:
    """The index with the ellipsis written out. Raises: OutOfBoundsError for too many parts."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [_known_part(part) for part in parts]
    used = sum(_axes(part) for part in parts)
    rank = len(input.sizes)
    if rank == 0 and parts and isinstance(parts[0], int) and not isinstance(parts[0], bool):
        raise OutOfBoundsError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim "
            "tensor to a number", location=caller(),
        )  # fmt: skip
    if rank == 0 and parts and isinstance(parts[0], slice):
        raise OutOfBoundsError("slice() cannot be applied to a 0-dim tensor.", location=caller())
    if used > rank:
        raise OutOfBoundsError(f"too many indices for tensor of dimension {rank}", location=caller())
    full = [slice(None)] * (rank - used)
    for place, part in enumerate(parts):
        if part is Ellipsis:
            rest = [each for each in parts[place + 1 :] if each is not Ellipsis]
            return parts[:place] + full + rest
    return parts + full


def _known_part(part: Any) -> Any:
    """A sequence (of integers, bools, tensors of one element) as an array; bytes as a mask; a single bool as Python's."""
    if isinstance(part, TensorBase):
        mask = part.bool() if part.dtype_ == dtypes.u8 else part  # type: ignore[attr-defined]
        return bool(mask) if mask.dtype_.is_bool and not mask.sizes else mask
    if not isinstance(part, list | tuple | range):
        return part
    plain = [each.item() if isinstance(each, TensorBase) else each for each in part]
    array = np.asarray(plain)
    return array.astype(np.int64) if array.size == 0 else array


def _axes(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    if isinstance(part, TensorBase):
        return len(part.sizes) if part.dtype_.is_bool else 1
    if isinstance(part, np.ndarray) and part.dtype == bool:
        return part.ndim
    return 1


def _is_basic(part: Any) -> bool:
    if isinstance(part, TensorBase):
        return not part.sizes and part.dtype_.is_integer
    return part is None or (isinstance(part, slice | int | np.integer) and not isinstance(part, bool))


def _basic(input: Any, parts: list[Any], only: bool = False) -> Any:
    """A view by integers, slices and None, a step for each as in PyTorch; `only` where a slice is all of the index."""
    result, axis, place = input, 0, -1
    for part in parts:
        if part is None:
            result = unsqueeze(result, axis)
            axis += 1
            continue
        place += 1
        size = result.sizes[axis]
        if not isinstance(part, slice):
            number = int(part.item()) if isinstance(part, TensorBase) else operator.index(part)
            if not -size <= number < size:
                raise OutOfBoundsError(f"index {number} is out of bounds for dimension {place} with size {size}",
                                       location=caller())  # fmt: skip
            result = select(result, axis, number)
            continue
        bounds = slice(*(each.item() if isinstance(each, TensorBase) else each for each in (part.start, part.stop, part.step)))
        if bounds.step is not None and bounds.step <= 0:
            raise ArgumentValueError("step must be greater than zero", location=caller(), help="flip() reverses an axis")
        start, stop, step = bounds.indices(size)
        count = len(range(start, stop, step))
        if count != size or step != 1 or (only and axis == 0):
            result = sliced(result, axis, start, count, step if count else 1)
        axis += 1
    if result is not input:
        return result
    return take_view(result, "AliasBackward0", Reshape(result.sizes), strides=result._layout.strides)


def _apart(input: Any, parts: list[Any]) -> tuple[Any, list[Any]]:
    """Integers and None taken first, where arrays are in the index as well: what remains is slices and arrays."""
    first = [_is_basic(part) and not isinstance(part, slice) for part in parts]
    if not any(first):
        return input, parts
    basic = [[part] if now else [slice(None)] * _axes(part) for part, now in zip(parts, first, strict=True)]
    kept = [slice(None) if part is None else part for part, now in zip(parts, first, strict=True) if part is None or not now]
    return _basic(input, [each for part in basic for each in part]), kept


def _advanced(parts: list[Any]) -> list[Any]:
    """Parts as NumPy takes them: integer tensors as values, masks as arrays."""
    ready: list[Any] = []
    for part in parts:
        if isinstance(part, TensorBase):
            if part.dtype_.is_float:
                raise OutOfBoundsError("tensors used as indices must be long, int, byte or bool tensors", location=caller())
            # Indices are looked at: what lies outside is an error here and now.
            ready.append(np.array(part.array()))
        elif isinstance(part, slice | int | np.integer | np.ndarray) or part is None:
            ready.append(part)
        elif isinstance(part, str):
            raise ArgumentError("new(): invalid data type 'str'", location=caller())
        else:
            raise OutOfBoundsError("only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
                                   f"indices (got {type(part).__name__})", location=caller())  # fmt: skip
    shapes = [each.shape for each in ready if isinstance(each, np.ndarray) and each.dtype != bool]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        shown = ", ".join(str(list(shape)) for shape in shapes)
        raise OutOfBoundsError("shape mismatch: indexing tensors could not be broadcast together with shapes " + shown,
                               location=caller()) from None  # fmt: skip
    return ready


def _range_checked(input: Any, parts: list[Any]) -> None:
    axis = 0
    for part in parts:
        if isinstance(part, np.ndarray) and part.dtype != bool and part.size:
            size = input.sizes[axis]
            outside = part[(part < -size) | (part >= size)]
            if outside.size:
                raise OutOfBoundsError(f"index {int(outside.flat[0])} is out of bounds for dimension {axis} with size {size}",
                                       location=caller())  # fmt: skip
        if isinstance(part, np.ndarray) and part.dtype == bool:
            for offset, size in enumerate(part.shape):
                if size != input.sizes[axis + offset]:
                    raise OutOfBoundsError(
                        f"The shape of the mask {list(part.shape)} at index {offset} does not match the shape of the indexed "
                        f"tensor {list(input.sizes)} at index {axis + offset}", location=caller(),
                    )  # fmt: skip
        axis += _axes(part)


def get(input: Any, index: Any) -> Any:
    """``input[index]``."""
    if type(index) is int and input._layout.shape:
        return select(input, 0, index)
    parts = _parts(input, index)
    if any(isinstance(part, bool) for part in parts):
        input, parts = _with_truth(input, parts)
    if all(_is_basic(part) for part in parts):
        return _basic(input, parts, isinstance(index, slice))
    input, parts = _apart(input, parts)
    ready = _advanced(parts)
    _range_checked(input, ready)
    arrays: list[Any] = []
    for place, part in reversed(list(enumerate(ready))):
        if isinstance(part, np.ndarray):
            found = part.nonzero() if part.dtype == bool else (part,)
            ready[place : place + 1] = [_ARRAY] * len(found)
            arrays[:0] = found
    return record("IndexBackward0", _at(tuple(ready)), input, *[Unseen(known(np.ascontiguousarray(each))) for each in arrays])


_ARRAY = "array"
"""Stands for an array in an index."""


def _at(parts: tuple[Any, ...]) -> Any:
    """The rule of an index, whose arrays are operands."""

    def rule(b: Builder, x: Value, *arrays: Value) -> Value:
        given = iter(arrays)
        return indexing.get(b, x, tuple([next(given) if part is _ARRAY else part for part in parts]))

    return rule


def _with_truth(input: Any, parts: list[Any]) -> tuple[Any, list[Any]]:
    """True and False in an index: a new axis of size 1, or 0."""
    shown = _basic(input, [None if isinstance(part, bool) else slice(None) for part in parts for _ in range(_width(part))])
    return shown, [np.array([part]) if isinstance(part, bool) else slice(None) if part is None else part for part in
                   (each if each is not None else slice(None) for each in parts)]  # fmt: skip


def _width(part: Any) -> int:
    return 1 if isinstance(part, bool) or part is None else _axes(part)


def put(input: Any, index: Any, value: Any) -> None:
    """``input[index] = value``. Raises: ArgumentError for a value that is no tensor, number or array."""
    parts = _parts(input, index)
    if any(isinstance(part, bool) for part in parts):
        input, parts = _with_truth(input, parts)
    if not isinstance(value, TensorBase | bool | int | float | np.ndarray | np.generic):
        raise ArgumentError(f"can't assign a {type(value).__name__} to a torch.{DTYPE_WORDS[input.dtype_.name]}Tensor",
                            location=caller())  # fmt: skip
    other = value if isinstance(value, TensorBase | bool | int | float) else input.of_array(np.array(value))
    if all(_is_basic(part) for part in parts):
        target = _basic(input, parts)
        if index is Ellipsis and not isinstance(other, TensorBase):
            write_recorded(input, "FillBackward3", _copied(other), *_shown(input, other))
            return
        write_recorded(target, "CopySlices", _copied(other), *_shown(input, other))
        return
    input, parts = _apart(input, parts)
    ready = _advanced(parts)
    _range_checked(input, ready)
    fills = len(ready) == 1 and isinstance(ready[0], np.ndarray) and ready[0].dtype == bool and not sizes_of(other)
    if fills and not isinstance(other, TensorBase):
        _masked(input, ready[0], other)
        return
    # Where each element of the whole goes: the places that the index shows, last write wins.
    places = np.arange(int(np.prod(input.sizes))).reshape(input.sizes)[tuple(ready)]

    _assignable(other, places.shape, None if fills else input.dtype_)

    def rule(b: Any, x: Value, *values: Value) -> Value:
        return placed(b, x, places, fit(b, values[0] if values else other, x.type.dtype, places.shape))  # type: ignore[arg-type]

    write_recorded(input, "IndexPutBackward0", rule, *_shown(input, other))


def _assignable(other: Any, shape: tuple[int, ...], dtype: DType | None) -> None:
    """Raises: AutogradError for a tensor of another dtype, or that does not broadcast to what is assigned to."""
    if dtype is not None and isinstance(other, TensorBase) and other.dtype_ != dtype:
        raise AutogradError("Index put requires the source and destination dtypes match, got "
                            f"{DTYPE_WORDS[dtype.name]} for the destination and {DTYPE_WORDS[other.dtype_.name]} for the "
                            "source.", location=caller())  # fmt: skip
    sizes = sizes_of(other)
    if len(sizes) > len(shape) or any(size not in (1, have) for size, have in
                                      zip(reversed(sizes), reversed(shape), strict=False)):  # fmt: skip
        raise AutogradError(f"shape mismatch: value tensor of shape {list(sizes)} cannot be broadcast to indexing result of "
                            f"shape {list(shape)}", location=caller())  # fmt: skip


def _shown(input: Any, other: Any) -> list[Any]:
    """What is assigned as an input of the step: PyTorch makes a tensor of a number too."""
    return [other] if isinstance(other, TensorBase) else [constant(other, input.dtype_)]


def _copied(other: Any) -> Any:
    def rule(b: Builder, x: Value, *values: Value) -> Value:
        new = values[0] if values else other
        shape = x.type.shape
        if values and len(new.type.shape) > len(shape):
            kept = new.type.shape[len(new.type.shape) - len(shape) :]
            if new.type.size == np.prod(kept):
                new = b.value(Reshape(kept), new)
        if values and any(
            size not in (1, wanted) for size, wanted in zip(reversed(new.type.shape), reversed(shape), strict=False)
        ):
            have = new.type.shape
            axis = max(axis for axis in range(-len(have), 0) if have[axis] not in (1, shape[axis])) + len(shape)
            raise AutogradError(
                f"The expanded size of the tensor ({shape[axis]}) must match the existing size "
                f"({have[axis - len(shape)]}) at non-singleton dimension {axis}.  Target sizes: {list(shape)}.  Tensor sizes: "
                f"{list(have)}", location=caller(),
            )  # fmt: skip
        return fit(b, new, x.type.dtype, shape)

    return rule


def whole(other: Any) -> Any:
    """The rule of `copy_`: the other's elements, broadcast."""

    def rule(b: Builder, x: Value, *values: Value) -> Value:
        if values:
            broadcast_shape = common_shape([x.type.shape, values[0].type.shape])
            if broadcast_shape != x.type.shape:
                raise AutogradError(f"output with shape {list(x.type.shape)} doesn't match the broadcast shape "
                                    f"{list(broadcast_shape)}", location=caller())  # fmt: skip
        return fit(b, values[0] if values else other, x.type.dtype, x.type.shape)

    return rule


def _masked(input: Any, mask: Any, number: Any) -> None:
    def rule(b: Any, x: Value, number: Value) -> Value:
        lead = b.capture(mask.reshape(mask.shape + (1,) * (x.type.rank - mask.ndim)))
        chosen = s.broadcast_to(b, lead, x.type.shape)
        return b.value(Select(), chosen, fit(b, number, x.type.dtype, x.type.shape), x)  # type: ignore[no-any-return]

    write_recorded(input, "IndexPutBackward0", rule, constant(number, input.dtype_))


def gather(input: Any, dim: int, index: Any) -> Any:
    """Elements of one axis, chosen for each place."""
    along = axis_of(dim, len(input.sizes))
    places = np.array(index.array())
    if places.ndim != len(input.sizes):
        raise AutogradError("Index tensor must have the same number of dimensions as input tensor", location=caller())
    size = input.sizes[along] if input.sizes else 1
    outside = places[(places < 0) | (places >= size)]
    if outside.size:
        raise AutogradError(f"index {int(outside.flat[0])} is out of bounds for dimension {along} with size {size}",
                            location=caller(), help="gather takes indices from 0 on")  # fmt: skip

    def rule(b: Builder, x: Value, places: Value) -> Value:
        cut = tuple(size if axis == along else places.type.shape[axis] for axis, size in enumerate(x.type.shape))
        window = b.value(Slice((0,) * len(cut), cut, (1,) * len(cut)), x)
        return indexing.take_along_axis(b, window, places, along)

    return record("GatherBackward0", rule, input, Unseen(index.value))


def index_select(input: Any, dim: int, index: Any) -> Any:
    """Places of one axis, in another order."""
    along = axis_of(dim, len(input.sizes))
    places = np.array(index.array())
    size = input.sizes[along] if input.sizes else 1
    if ((places < 0) | (places >= size)).any():
        raise OutOfBoundsError("index out of range in self", location=caller(), help=f"indices go from 0 to {size - 1}")

    def rule(b: Builder, x: Value, places: Value) -> Value:
        return indexing.take(b, x, shapes.reshape(b, places, -1), along) if x.type.rank else x

    return record("IndexSelectBackward0", rule, input, Unseen(index.value))


def masked_select(input: Any, mask: Any) -> Any:
    """The elements where a mask holds, in one axis."""
    shape = common_shape([input.sizes, mask.sizes])
    places = np.flatnonzero(np.broadcast_to(mask.array(), shape))

    def rule(b: Builder, x: Value, places: Value) -> Value:
        return indexing.take(b, s.broadcast_to(b, x, shape), places)

    return record("MaskedSelectBackward0", rule, input, Unseen(known(places)))


def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`value` where a mask holds, else the input. Raises: AutogradError for a mask that holds no bools."""
    if not mask.dtype_.is_bool:
        raise AutogradError("masked_fill_ only supports boolean masks, but got mask with dtype "
                            f"{mask.dtype_.short_name}", location=caller())  # fmt: skip
    number = value.value if isinstance(value, TensorBase) else constant(value, input.dtype_)
    return record("MaskedFillBackward0", _filled, Unseen(mask.value), input, Unseen(number))


def _filled(b: Builder, mask: Value, x: Value, value: Value) -> Value:
    shape = common_shape([x.type.shape, mask.type.shape])
    return b.value(Select(), s.broadcast_to(b, mask, shape), *(fit(b, each, x.type.dtype, shape) for each in (value, x)))
