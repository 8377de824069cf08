"""Tensors with other shapes: views that share memory where PyTorch's do, and joins, which copy."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

from pullback.errors import ArgumentValueError, AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Reshape, Slice, Transpose
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import shapes
from pullback.tracer.storage import Chain, Layout, ViewOp
from pullback.tracer.tensor_apply import promote
from pullback.tracer.tensor_base import TensorBase, record, show, take_view


def given_sizes(sizes: Sequence[Any]) -> tuple[int, ...]:
    """Sizes given one by one or as one sequence."""
    if len(sizes) == 1 and isinstance(sizes[0], list | tuple):
        sizes = sizes[0]
    return tuple([operator.index(size) for size in sizes])


def axis_of(dim: int, rank: int) -> int:
    """A dimension counted from 0. Raises: OutOfBoundsError in PyTorch's words."""
    limit = max(rank, 1)
    if not -limit <= dim < limit:
        raise OutOfBoundsError(f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but got {dim})",
                               location=caller())  # fmt: skip
    return dim % limit


def resolved(tensor: TensorBase, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """Sizes with -1 worked out. Raises: AutogradError where they do not fit."""
    total = prod(tensor.sizes)
    wanted = list(sizes)
    if wanted.count(-1) > 1:
        raise AutogradError("only one dimension can be inferred", location=caller())
    if -1 in wanted:
        rest = prod(size for size in wanted if size != -1)
        if rest and total % rest == 0:
            wanted[wanted.index(-1)] = total // rest
    if prod(wanted) != total or any(size < 0 for size in wanted):
        raise AutogradError(f"shape '{list(sizes)}' is invalid for input of size {total}", location=caller())
    return tuple(wanted)


def view(input: Any, *sizes: Any) -> Any:
    """The same memory under another shape. Raises: AutogradError where that would need a copy."""
    shown = _reshaped(input._layout, resolved(input, given_sizes(sizes)))
    if shown is None:
        raise AutogradError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead.", location=caller(),
        )  # fmt: skip
    return show(input, "ViewBackward0", *shown)


def reshape(input: Any, *sizes: Any) -> Any:
    """A view where the memory allows one, else a copy."""
    shape = resolved(input, given_sizes(sizes))
    shown = _reshaped(input._layout, shape)
    if shown is not None:
        return show(input, "ViewBackward0" if input._layout.is_contiguous else "ReshapeAliasBackward0", *shown)
    return take_view(clone(input), "UnsafeViewBackward0", Reshape(shape))


@lru_cache(maxsize=1 << 12)
def _reshaped(whole: Layout, shape: Shape) -> tuple[Chain, Layout] | None:
    """The view op, and where the elements lie; None where they would have to be copied."""
    op = Reshape(shape)
    layout = whole.through(op)
    return None if layout is None else (Chain((op,)), layout)


def view_as(input: Any, other: Any) -> Any:
    """A view with the other tensor's shape."""
    return view(input, *other.sizes)


def reshape_as(input: Any, other: Any) -> Any:
    """A view or copy with the other tensor's shape."""
    return reshape(input, *other.sizes)


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Axes from `start_dim` to `end_dim` as one."""
    rank = len(input.sizes)
    first, last = axis_of(start_dim, rank), axis_of(end_dim, rank)
    if rank == 0:
        return reshape(input, 1)
    if first == last:
        return input
    sizes = input.sizes
    return reshape(input, *sizes[:first], prod(sizes[first : last + 1]), *sizes[last + 1 :])


def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One axis as several."""
    axis = axis_of(dim, len(input.sizes))
    return view(input, *input.sizes[:axis], *sizes, *input.sizes[axis + 1 :])


def permute(input: Any, *order: Any, dims: Any = None) -> Any:
    """Axes in another order."""
    wanted = given_sizes(order if dims is None else (dims,))
    order = tuple(axis_of(dim, len(input.sizes)) for dim in wanted)
    if len(set(order)) < len(order):
        raise AutogradError("permute(): duplicate dims are not allowed.", location=caller())
    if len(order) != len(input.sizes):
        raise AutogradError(f"permute(sparse_coo): number of dimensions in the tensor input does not match the length of "
                            f"the desired ordering of dimensions i.e. input.dim() = {len(input.sizes)} is not equal to "
                            f"len(dims) = {len(order)}", location=caller())  # fmt: skip
    return show(input, "PermuteBackward0", *_transposed(input._layout, order))


@lru_cache(maxsize=1 << 12)
def _transposed(whole: Layout, order: tuple[int, ...]) -> tuple[Chain, Layout]:
    op = Transpose(order)
    layout = whole.through(op)
    assert layout is not None, "every order of axes has strides"
    return Chain((op,)), layout


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged."""
    rank = len(input.sizes)
    order = list(range(rank))
    first, second = axis_of(dim0, rank), axis_of(dim1, rank)
    if rank:
        order[first], order[second] = order[second], order[first]
    return show(input, "TransposeBackward0", *_transposed(input._layout, tuple(order)))


def t(input: Any) -> Any:
    """The transpose of a matrix."""
    rank = len(input.sizes)
    if rank > 2:
        raise AutogradError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D", location=caller())
    return show(input, "TBackward0", *_transposed(input._layout, tuple(reversed(range(rank)))))


def reversed_axes(input: Any) -> Any:
    """``T``: all axes in reverse."""
    return show(input, "PermuteBackward0", *_transposed(input._layout, tuple(reversed(range(len(input.sizes))))))


def unsqueeze(input: Any, dim: int) -> Any:
    """A new axis of size 1."""
    axis = axis_of(dim, len(input.sizes) + 1)
    sizes, strides = input.sizes, input._layout.strides
    step = sizes[axis] * strides[axis] if axis < len(sizes) else 1
    new = (*strides[:axis], step, *strides[axis:])
    return take_view(input, "UnsqueezeBackward0", Reshape((*sizes[:axis], 1, *sizes[axis:])), strides=new)


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without axes of size 1 (those of `dim`)."""
    rank = len(input.sizes)
    chosen = range(rank) if dim is None else [axis_of(each, rank) for each in (dim if isinstance(dim, list | tuple) else [dim])]
    name = "SqueezeBackward0" if dim is None else "SqueezeBackward2" if isinstance(dim, tuple) else "SqueezeBackward1"
    return _kept(input, name, [axis for axis, size in enumerate(input.sizes) if axis not in chosen or size != 1])


def _kept(input: Any, name: str, axes: Sequence[int]) -> Any:
    """A view of some axes, the others being of size 1."""
    shape = tuple(input.sizes[axis] for axis in axes)
    return take_view(input, name, Reshape(shape), strides=tuple(input._layout.strides[axis] for axis in axes))


def expand(input: Any, *sizes: Any) -> Any:
    """Axes of size 1 shown again and again; -1 keeps a size."""
    wanted = list(given_sizes(sizes))
    lead = len(wanted) - len(input.sizes)
    have = (1,) * max(lead, 0) + input.sizes
    for axis, (size, own) in enumerate(zip(wanted, have, strict=False)):
        wanted[axis] = own if size == -1 else size
        if lead < 0 or (own not in (1, wanted[axis])) or (size == -1 and axis < lead):
            raise AutogradError(
                f"The expanded size of the tensor ({size}) must match the existing size ({own}) at non-singleton dimension "
                f"{axis}.  Target sizes: {list(given_sizes(sizes))}.  Tensor sizes: {list(input.sizes)}", location=caller(),
            )  # fmt: skip
    kept = tuple(axis for axis, own in enumerate(have) if axis >= lead and own == wanted[axis])
    ops: list[ViewOp] = [Reshape(tuple(have[axis] for axis in kept))]
    if kept != tuple(range(len(wanted))):
        ops.append(Broadcast(tuple(wanted), kept))
    return take_view(input, "ExpandBackward0", *ops)


def expand_as(input: Any, other: Any) -> Any:
    """Expanded to the other tensor's shape."""
    return expand(input, *other.sizes)


def broadcast_to(input: Any, shape: Any) -> Any:
    """As `expand`."""
    return expand(input, *shape)


def narrow(input: Any, dim: int, start: int, length: int) -> Any:
    """`length` elements of one axis from `start` on."""
    if not input.sizes:
        raise AutogradError("narrow() cannot be applied to a 0-dim tensor.", location=caller())
    axis = axis_of(dim, len(input.sizes))
    size = input.sizes[axis]
    first = start + size if start < 0 else start
    if not 0 <= first <= size or length < 0 or first + length > size:
        raise AutogradError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).", location=caller())
    return sliced(input, axis, first, length)


def sliced(input: TensorBase, axis: int, start: int, length: int, step: int = 1, name: str = "SliceBackward0") -> Any:
    """A slice of one axis as a view."""
    return show(input, name, *_sliced(input._layout, axis, start, length, step))


@lru_cache(maxsize=1 << 12)
def _sliced(whole: Layout, axis: int, start: int, length: int, step: int) -> tuple[Chain, Layout]:
    op = _window(whole.shape, axis, start, length, step)
    layout = whole.through(op)
    assert layout is not None, "a slice has a stride"
    return Chain((op,)), layout


def _window(shape: Shape, axis: int, start: int, length: int, step: int) -> Slice:
    """The slice of one axis."""
    rank = len(shape)
    starts = tuple(start if each == axis and length else 0 for each in range(rank))
    sizes = tuple(length if each == axis else size for each, size in enumerate(shape))
    return Slice(starts, sizes, tuple(step if each == axis else 1 for each in range(rank)))


def select(input: Any, dim: int, index: int) -> Any:
    """One place of an axis, which goes. Raises: OutOfBoundsError beyond it."""
    if not input.sizes:
        raise OutOfBoundsError("select() cannot be applied to a 0-dim tensor.", location=caller())
    axis = axis_of(dim, len(input.sizes))
    size = input.sizes[axis]
    if not -size <= index < size:
        raise OutOfBoundsError(f"index {index} is out of bounds for dimension {axis} with size {size}", location=caller())
    return show(input, "SelectBackward0", *_selected(input._layout, axis, index % size))


@lru_cache(maxsize=1 << 12)
def _selected(whole: Layout, axis: int, index: int) -> tuple[Chain, Layout]:
    """The view ops of one place of an axis, and where it lies: a loop takes the same places again and again."""
    shape, strides = (each[:axis] + each[axis + 1 :] for each in (whole.shape, whole.strides))
    chain = Chain((_window(whole.shape, axis, index, 1, 1), Reshape(shape)))
    return chain, Layout(shape, strides, whole.offset + index * whole.strides[axis])


def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts of one axis: of a size each (the last may be smaller), or of given sizes."""
    axis = axis_of(dim, len(input.sizes))
    size = input.sizes[axis]
    name = "SplitBackward0" if isinstance(split_size_or_sections, int) else "SplitWithSizesBackward0"
    if isinstance(split_size_or_sections, int):
        step = split_size_or_sections
        if step == 0 and size:
            raise AutogradError(f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}",
                                location=caller())  # fmt: skip
        if step <= 0:
            raise AutogradError(f"split expects split_size be non-negative, but got split_size={step}", location=caller())
        lengths = [min(step, size - start) for start in range(0, size, step)] or [0]
    else:
        lengths = [operator.index(each) for each in split_size_or_sections]
        if sum(lengths) != size:
            raise AutogradError(f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's size at "
                                f"dimension {axis}), but got split_sizes={lengths}", location=caller())  # fmt: skip
    parts, start = [], 0
    for length in lengths:
        parts.append(sliced(input, axis, start, length, name=name))
        start += length
    return tuple(parts)


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most so many parts of equal size, the last one smaller. Raises: AutogradError for none."""
    if chunks <= 0:
        raise AutogradError(f"chunk expects `chunks` to be greater than 0, got: {chunks}", location=caller())
    size = input.sizes[axis_of(dim, len(input.sizes))]
    return split(input, max(1, -(-size // chunks)), dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """Every place of an axis."""
    axis = axis_of(dim, len(input.sizes))
    return tuple(show(input, "UnbindBackward0", *_selected(input._layout, axis, index)) for index in range(input.sizes[axis]))


def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two axes, last: a view, but of memory where these axes do not lie evenly behind each other.

    Raises: AutogradError for one axis given twice.
    """
    rank = len(input.sizes)
    first, second = axis_of(dim1, rank), axis_of(dim2, rank)
    if first == second:
        raise AutogradError(f"diagonal dimensions cannot be identical {dim1}, {dim2}", location=caller())
    ops = _diagonal_ops(input, offset, first, second) or _diagonal_ops(input, -offset, second, first)
    if ops is not None:
        return take_view(input, "DiagonalBackward0", *ops)
    axes = (first, second)
    return record("DiagonalBackward0", lambda b, x: shapes.trace_of(b, shapes.moveaxis(b, x, axes, (-2, -1)), offset), input)


def _diagonal_ops(input: Any, offset: int, first: int, second: int) -> list[ViewOp] | None:
    """The two axes last, as one, and every so manieth element of that; None where their memory does not allow it."""
    lead = [axis for axis in range(len(input.sizes)) if axis not in (first, second)]
    sizes = tuple(input.sizes[axis] for axis in lead)
    rows, columns = input.sizes[first], input.sizes[second]
    start = offset if offset >= 0 else -offset * columns
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    zeros, ones = (0,) * len(lead), (1,) * len(lead)
    ops: list[ViewOp] = [Transpose((*lead, first, second)), Reshape((*sizes, rows * columns))]
    layout = input._layout.through(ops[0]).through(ops[1])
    if layout is None or not count:
        return None
    return [*ops, Slice((*zeros, start), (*sizes, count), (*ones, columns + 1))]


# Copies


def clone(input: Any) -> Any:
    """The same elements in memory of their own."""
    return record("CloneBackward0", lambda b, x: x, input)


def contiguous(input: Any) -> Any:
    """Itself if it lies in C order, else a copy that does."""
    return input if input._layout.is_contiguous else clone(input)


def _joined(name: str, join: Any) -> Any:
    def joined(tensors: Sequence[Any], dim: int = 0) -> Any:
        parts = list(tensors)
        if not parts:
            if name == "stack":
                raise AutogradError("stack expects a non-empty TensorList", location=caller())
            raise ArgumentValueError("torch.cat(): expected a non-empty list of Tensors", location=caller())
        dtype = parts[0].dtype_
        for part in parts[1:]:
            dtype = promote(dtype, part.dtype_)

        def rule(b: Builder, *values: Value) -> Value:
            return join(b, [s.cast(b, value, dtype) for value in values], dim)  # type: ignore[no-any-return]

        return record("CatBackward0" if name == "cat" else "StackBackward0", rule, *parts)

    return joined


def _cat(b: Builder, values: list[Value], dim: int) -> Value:
    # An empty tensor of one axis joins with anything.
    kept = [value for value in values if value.type.shape != (0,)] or values[:1]
    axis = axis_of(dim, kept[0].type.rank)
    first = kept[0].type.shape
    for place, value in enumerate(kept):
        shape = value.type.shape
        if len(shape) != len(first):
            raise AutogradError(f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}",
                                location=caller())  # fmt: skip
        for each, (size, wanted) in enumerate(zip(shape, first, strict=True)):
            if each != axis and size != wanted:
                raise AutogradError(f"Sizes of tensors must match except in dimension {axis}. Expected size {wanted} but got "
                                    f"size {size} for tensor number {place} in the list.", location=caller())  # fmt: skip
    return shapes.concatenate(b, kept, axis)


def _stack(b: Builder, values: list[Value], dim: int) -> Value:
    first = values[0].type.shape
    for place, value in enumerate(values):
        if value.type.shape != first:
            raise AutogradError(f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                                f"{list(value.type.shape)} at entry {place}", location=caller())  # fmt: skip
    return shapes.stack(b, values, axis_of(dim, len(first) + 1))


cat, stack = _joined("cat", _cat), _joined("stack", _stack)


def repeat(input: Any, *sizes: Any) -> Any:
    """Copies side by side along every axis."""
    counts = given_sizes(sizes)
    if len(counts) < len(input.sizes):
        raise AutogradError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor",
                            location=caller())  # fmt: skip
    return record("RepeatBackward0", lambda b, x: shapes.tile(b, x, counts), input)


def flip(input: Any, *axes_given: Any, dims: Any = None) -> Any:
    """Axes backward."""
    axes = [axis_of(dim, len(input.sizes)) for dim in given_sizes(axes_given if dims is None else (dims,))]
    return record("FlipBackward0", lambda b, x: shapes.flip(b, x, axes), input)


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Elements moved around an axis (or the flattened tensor)."""
    if dims is None and not isinstance(shifts, int):
        shifts = shifts[0]
    pairs = [(shifts, dims)] if isinstance(shifts, int) else list(zip(shifts, dims, strict=True))

    def rule(b: Builder, x: Value) -> Value:
        for shift, dim in pairs:
            x = shapes.roll(b, x, shift, dim[0] if isinstance(dim, list | tuple) else dim)
        return x

    return record("RollBackward0", rule, input)
