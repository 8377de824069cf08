"""Shapes as NumPy changes them: reshape, transpose, join, split, pad, repeat."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any, SupportsIndex

from pullback.errors import ArgumentError, ArgumentValueError, PullbackError, ShapeError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.shape import Assemble, Concatenate, Reshape, Slice, Transpose
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.semantics.elementwise import broadcast_to, cast, number, promoted
from pullback.tracer.semantics.reductions import normal_axes, normal_axis

Integers = SupportsIndex | Sequence[SupportsIndex]


def integers(given: Any) -> tuple[int, ...]:
    """One integer or a sequence of them (a NumPy array of them too) as a tuple.

    Raises: ArgumentError for anything else.
    """
    try:
        if isinstance(given, list | tuple) or getattr(given, "ndim", 0) == 1:
            return tuple([operator.index(each) for each in given])
        return (operator.index(given),)
    except TypeError as error:
        if isinstance(error, PullbackError):
            raise
        raise ArgumentError(f"{given!r} is not an integer or a tuple of integers", location=caller()) from None


def reshape(b: Builder, x: Value, shape: Integers) -> Value:
    """np.reshape in C order; one size may be -1. Raises: ShapeError where the sizes do not fit."""
    wanted = list(integers(shape))
    size = x.type.size
    if wanted.count(-1) > 1:
        raise ShapeError("can only specify one unknown dimension", location=caller())
    if -1 in wanted:
        rest = prod(each for each in wanted if each != -1)
        if rest == 0 or size % rest:
            _misfit(x, wanted)
        wanted[wanted.index(-1)] = size // rest
    if prod(wanted) != size or any(each < 0 for each in wanted):
        _misfit(x, wanted)
    dims = tuple(wanted)
    return x if dims == x.type.dims else b.value(Reshape(dims), x)


def _misfit(x: Value, wanted: Sequence[int]) -> None:
    raise ShapeError(
        f"cannot reshape array of size {x.type.size} (shape {list(x.type.shape)}) into shape {list(wanted)}",
        location=caller(),
    )


def transpose(b: Builder, x: Value, axes: Integers | None = None) -> Value:
    """np.transpose: axes reversed without a list of them. Raises: ArgumentValueError for another set of axes."""
    rank = x.type.rank
    order = tuple(reversed(range(rank))) if axes is None else tuple(normal_axis(axis, rank) for axis in integers(axes))
    if sorted(order) != list(range(rank)):
        raise ArgumentValueError(f"axes {order} do not match an array of {rank} axes", location=caller())
    return x if order == tuple(range(rank)) else b.value(Transpose(order), x)


def swapaxes(b: Builder, x: Value, first: int, second: int) -> Value:
    order = list(range(x.type.rank))
    i, j = normal_axis(first, x.type.rank), normal_axis(second, x.type.rank)
    order[i], order[j] = order[j], order[i]
    return transpose(b, x, order)


def moveaxis(b: Builder, x: Value, source: Integers, destination: Integers) -> Value:
    """np.moveaxis. Raises: ArgumentValueError for two lists of different lengths, or an axis twice."""
    rank = x.type.rank
    sources = [normal_axis(each, rank) for each in integers(source)]
    targets = [normal_axis(each, rank) for each in integers(destination)]
    if len(sources) != len(targets):
        raise ArgumentValueError("source and destination must have as many axes", location=caller())
    for name, axes in (("source", sources), ("destination", targets)):
        if len(set(axes)) != len(axes):
            raise ArgumentValueError(f"repeated axis in {name}", location=caller())
    order = [axis for axis in range(rank) if axis not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(b, x, order)


def expand_dims(b: Builder, x: Value, axis: Integers) -> Value:
    """np.expand_dims."""
    wanted = integers(axis)
    rank = x.type.rank + len(wanted)
    new = normal_axes(wanted, rank)
    sizes = iter(x.type.shape)
    return reshape(b, x, tuple(1 if each in new else next(sizes) for each in range(rank)))


def squeeze(b: Builder, x: Value, axis: Integers | None = None) -> Value:
    """np.squeeze. Raises: ShapeError for an axis of another size than 1."""
    shape = x.type.shape
    if axis is None:
        gone = tuple(each for each, size in enumerate(shape) if size == 1)
    else:
        gone = normal_axes(integers(axis), len(shape))
        for each in gone:
            if shape[each] != 1:
                raise ShapeError(
                    f"cannot select an axis to squeeze out which has size not equal to one: axis {each} of "
                    f"{list(shape)}", location=caller(),
                )  # fmt: skip
    return reshape(b, x, tuple(size for each, size in enumerate(shape) if each not in gone))


def concatenate(b: Builder, parts: Sequence[Value], axis: int | None = 0) -> Value:
    """np.concatenate, after promotion. Raises: ShapeError where the other sizes differ."""
    if not parts:
        raise ArgumentValueError("need at least one array to concatenate", location=caller())
    dtype = promoted(parts)
    values = [cast(b, part, dtype) for part in parts]
    if axis is None:
        values, axis = [reshape(b, value, -1) for value in values], 0
    rank = values[0].type.rank
    if rank == 0:
        raise ShapeError("zero-dimensional arrays cannot be concatenated", location=caller(), help="use np.stack")
    along = normal_axis(axis, rank)
    shapes = [value.type.shape for value in values]
    for shape in shapes:
        if len(shape) != rank or shape[:along] + shape[along + 1 :] != shapes[0][:along] + shapes[0][along + 1 :]:
            raise ShapeError(
                f"all the input array dimensions except for the concatenation axis {along} must match exactly: "
                f"{', '.join(str(list(shape)) for shape in shapes)}", location=caller(),
            )  # fmt: skip
    return values[0] if len(values) == 1 else b.value(Concatenate(along), *values)


def stack(b: Builder, parts: Sequence[Value], axis: int = 0) -> Value:
    """np.stack. Raises: ShapeError where shapes differ."""
    if not parts:
        raise ArgumentValueError("need at least one array to stack", location=caller())
    if len({part.type.shape for part in parts}) > 1:
        shown = ", ".join(str(list(part.type.shape)) for part in parts)
        raise ShapeError(f"all input arrays must have the same shape: {shown}", location=caller())
    along = normal_axis(axis, parts[0].type.rank + 1)
    return concatenate(b, [expand_dims(b, part, along) for part in parts], along)


def at_least(b: Builder, x: Value, rank: int) -> Value:
    """np.atleast_1d, np.atleast_2d."""
    if x.type.rank >= rank:
        return x
    return reshape(b, x, (1,) * (rank - x.type.rank) + x.type.shape)


def window(b: Builder, x: Value, axis: int, start: int, count: int, step: int = 1) -> Value:
    """`count` elements along one axis."""
    shape = x.type.shape
    starts = tuple(start if each == axis else 0 for each in range(len(shape)))
    sizes = tuple(count if each == axis else size for each, size in enumerate(shape))
    steps = tuple(step if each == axis else 1 for each in range(len(shape)))
    return b.value(Slice(starts, sizes, steps), x)


def split(b: Builder, x: Value, sections: Any, axis: int = 0, uneven: bool = False) -> list[Value]:
    """np.split (np.array_split if `uneven`). Raises: ArgumentValueError where it does not divide."""
    along = normal_axis(axis, x.type.rank)
    size = x.type.shape[along]
    if isinstance(sections, list | tuple) or getattr(sections, "ndim", 0) == 1:
        places = [0, *(max(0, min(s if s >= 0 else size + s, size)) for s in integers(sections)), size]
    else:
        count = operator.index(sections)
        if count <= 0 or (size % count and not uneven):
            raise ArgumentValueError(
                f"array split does not result in an equal division: {size} elements in {count} parts",
                location=caller(), help="use np.array_split",
            )  # fmt: skip
        long, extra = divmod(size, count)
        places = [0]
        for part in range(count):
            places.append(places[-1] + long + (part < extra))
    return [window(b, x, along, low, max(0, high - low)) for low, high in pairwise(places)]


def flip(b: Builder, x: Value, axis: int | Sequence[int] | None = None) -> Value:
    """np.flip."""
    axes = normal_axes(axis, x.type.rank)
    shape = x.type.shape
    starts = tuple(max(size - 1, 0) if each in axes else 0 for each, size in enumerate(shape))
    steps = tuple(-1 if each in axes else 1 for each in range(len(shape)))
    return b.value(Slice(starts, shape, steps), x) if x.type.size else x


def roll(b: Builder, x: Value, shift: Integers, axis: Integers | None = None) -> Value:
    """np.roll along axes, or of the flattened array. Raises: ArgumentValueError for shifts that match no axes."""
    if axis is None:
        return reshape(b, roll(b, reshape(b, x, -1), sum(integers(shift)), 0), x.type.shape)
    shifts, axes = integers(shift), integers(axis)
    if len(shifts) != len(axes) and 1 not in (len(shifts), len(axes)):
        raise ArgumentValueError("'shift' and 'axis' should be scalars or 1D sequences", location=caller())
    count = max(len(shifts), len(axes))
    for each, along in zip(shifts * (count // len(shifts)), axes * (count // len(axes)), strict=True):
        x = _rolled(b, x, each, normal_axis(along, x.type.rank))
    return x


def _rolled(b: Builder, x: Value, shift: int, along: int) -> Value:
    size = x.type.shape[along]
    cut = shift % size if size else 0
    if cut == 0:
        return x
    return concatenate(b, [window(b, x, along, size - cut, cut), window(b, x, along, 0, size - cut)], along)


def tile(b: Builder, x: Value, repeats: Integers) -> Value:
    """np.tile."""
    counts = list(integers(repeats))
    rank = max(len(counts), x.type.rank)
    counts = [1] * (rank - len(counts)) + counts
    shape = (1,) * (rank - x.type.rank) + x.type.shape
    spread: Shape = tuple(each for pair in zip(counts, shape, strict=True) for each in pair)
    ones = tuple(each for size in shape for each in (1, size))
    wide = broadcast_to(b, reshape(b, x, ones), spread)
    return reshape(b, wide, tuple(count * size for count, size in zip(counts, shape, strict=True)))


def repeat(b: Builder, x: Value, repeats: SupportsIndex, axis: int | None = None) -> Value:
    """np.repeat by one count. Raises: ArgumentValueError for a count below 0."""
    count = operator.index(repeats)
    if count < 0:
        raise ArgumentValueError("repeats may not contain negative values", location=caller())
    if axis is None or x.type.rank == 0:
        x, axis = reshape(b, x, -1), 0 if axis is None else axis
    along = normal_axis(axis, x.type.rank)
    shape = x.type.shape
    lifted = reshape(b, x, (*shape[: along + 1], 1, *shape[along + 1 :]))
    wide = broadcast_to(b, lifted, (*shape[: along + 1], count, *shape[along + 1 :]))
    return reshape(b, wide, (*shape[:along], shape[along] * count, *shape[along + 1 :]))


def pairs(given: Any, rank: int, what: str = "pad_width") -> list[tuple[Any, Any]]:
    """np.pad's forms of widths and values, one (before, after) per axis: c, (c,), (b, a), ((b, a),), ((b, a), …).

    A dict gives them for the axes it names, and 0 for the others. Raises: ArgumentValueError for other forms.
    """
    if isinstance(given, dict):
        named = {normal_axis(axis, rank): pairs(each, 1, what)[0] for axis, each in given.items()}
        return [named.get(axis, (0, 0)) for axis in range(rank)]
    rows = given.tolist() if hasattr(given, "tolist") else given
    if not isinstance(rows, list | tuple):
        return [(rows, rows)] * rank
    rows = [rows] if not rows or not isinstance(rows[0], list | tuple) else list(rows)
    if any(len(row) not in (1, 2) for row in rows) or len(rows) not in (1, rank):
        raise ArgumentValueError(f"{what} {given} does not fit {rank} axes", location=caller())
    found = [(row[0], row[-1]) for row in rows]
    return found * rank if len(found) == 1 else found


def pad_widths(widths: Any, rank: int) -> list[tuple[int, int]]:
    """np.pad's widths, one (before, after) per axis. Raises: ArgumentValueError if one is negative."""
    found = [(operator.index(before), operator.index(after)) for before, after in pairs(widths, rank)]
    if any(before < 0 or after < 0 for before, after in found):
        raise ArgumentValueError("pad_width cannot contain negative values", location=caller())
    return found


def pad(b: Builder, x: Value, widths: Any, fill: Any = 0) -> Value:
    """np.pad with constants, also other ones for each end. Raises: ArgumentValueError for widths that do not fit."""
    sizes, fills = pad_widths(widths, x.type.rank), pairs(fill, x.type.rank, "constant_values")
    zero = all(each == 0 for pair in fills for each in pair)
    if zero:
        dims = tuple(before + size + after for (before, after), size in zip(sizes, x.type.shape, strict=True))
        starts, steps = tuple(before for before, _ in sizes), (1,) * x.type.rank
        return b.value(Assemble(dims, (starts,), (steps,)), x) if dims != x.type.shape else x
    for axis, (counts, values) in enumerate(zip(sizes, fills, strict=True)):
        parts = [number(b, value, x.type.dtype, _with_size(x.type.shape, axis, count)) for value, count in
                 zip(values, counts, strict=True)]  # fmt: skip
        x = concatenate(b, [parts[0], x, parts[1]], axis)
    return x


def _with_size(shape: Shape, axis: int, size: int) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def trace_of(b: Builder, x: Value, offset: int = 0) -> Value:
    """The diagonals' elements of the last two axes: ``t[..., n, m] -> t[..., k]``."""
    *lead, rows, columns = x.type.shape
    start = offset if offset >= 0 else -offset * columns
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    flat = reshape(b, x, (*lead, rows * columns))
    return window(b, flat, len(lead), min(start, max(rows * columns - 1, 0)), count, columns + 1)


def diagonal_matrix(b: Builder, x: Value, offset: int = 0) -> Value:
    """np.diag of a vector."""
    (size,) = x.type.shape
    side = size + abs(offset)
    start = offset if offset >= 0 else -offset * side
    flat = b.value(Assemble((side * side,), ((start,),), ((side + 1,),)), x)
    return reshape(b, flat, (side, side))


def difference(b: Builder, x: Value, axis: int = -1) -> tuple[Value, Value]:
    """Neighbours along an axis: all but the first, and all but the last."""
    along = normal_axis(axis, x.type.rank)
    size = x.type.shape[along]
    count = max(size - 1, 0)
    return window(b, x, along, min(1, size), count), window(b, x, along, 0, count)
