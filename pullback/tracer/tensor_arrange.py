"""More shapes of tensors: triangles and diagonals, joins in other directions, repeats, windows, by PyTorch's names."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from itertools import combinations as _combinations
from itertools import pairwise
from typing import Any

import numpy as np

from pullback.errors import AutogradError
from pullback.ir.core import Builder, Value
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing, shapes
from pullback.tracer.tensor_apply import common_shape
from pullback.tracer.tensor_base import TensorBase, record
from pullback.tracer.tensor_dtype import Size
from pullback.tracer.tensor_shape import (
    axis_of,
    cat,
    clone,
    expand,
    flip,
    given_sizes,
    narrow,
    permute,
    reshape,
    stack,
    unsqueeze,
    view,
)
from pullback.tracer.tensor_shape import repeat as tiled


def _triangle(name: str, lower: bool) -> Callable[..., Any]:
    def triangle(input: Any, diagonal: int = 0) -> Any:
        if len(input.sizes) < 2:
            raise AutogradError(f"{name}: input tensor must have at least 2 dimensions", location=caller())
        offset = operator.index(diagonal)

        def rule(b: Any, x: Value) -> Value:
            rows, columns = x.type.shape[-2:]
            inside = np.tri(rows, columns, offset if lower else offset - 1, dtype=bool)
            mask = s.broadcast_to(b, b.capture(inside if lower else ~inside), x.type.shape)
            return s.where(b, mask, x, False if x.type.dtype.is_bool else 0)

        return record(f"{name.title()}Backward0", rule, input)

    triangle.__name__ = name
    return triangle


tril, triu = _triangle("tril", True), _triangle("triu", False)


def diag(input: Any, diagonal: int = 0) -> Any:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix."""
    if len(input.sizes) == 1:
        return diag_embed(input, diagonal)
    if len(input.sizes) != 2:
        raise AutogradError(f"diag(): Supports 1D or 2D tensors. Got {len(input.sizes)}D", location=caller())
    offset = operator.index(diagonal)
    return record("DiagonalBackward0_copy", lambda b, x: shapes.trace_of(b, x, offset), input)


def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last axis on their diagonals."""
    places = np.arange(input.sizes[-1])
    side = input.sizes[-1] + abs(offset)
    spot = np.full((side, side), -1)
    spot[places + max(-offset, 0), places + max(offset, 0)] = places

    def rule(b: Any, x: Value) -> Value:
        chosen = indexing.get(b, x, (Ellipsis, np.maximum(spot, 0)))
        mask = s.broadcast_to(b, b.capture(spot >= 0), chosen.type.shape)
        whole = s.where(b, mask, chosen, False if x.type.dtype.is_bool else 0)
        return shapes.moveaxis(b, whole, (-2, -1), (dim1, dim2)) if (dim1, dim2) != (-2, -1) else whole

    return record("DiagEmbedBackward0", rule, input)


def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix with all elements on its diagonal."""
    return diag_embed(reshape(input, -1), offset)


def block_diag(*tensors: Any) -> Any:
    """Matrices along the diagonal of one."""
    parts = [atleast_2d(each) for each in tensors]
    width = sum(part.sizes[1] for part in parts)
    rows, start = [], 0
    for part in parts:
        count, columns = part.sizes
        zeros = [part.of_array(np.zeros((count, n), part.dtype_.numpy)) for n in (start, width - start - columns)]
        rows.append(cat([zeros[0], part, zeros[1]], 1))
        start += columns
    return cat(rows)


# Axes


def ravel(input: Any) -> Any:
    """All elements in one axis."""
    return reshape(input, -1)


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other places, the others keeping their order."""
    rank = len(input.sizes)
    begins = [axis_of(each, rank) for each in (source if isinstance(source, list | tuple) else [source])]
    ends = [axis_of(each, rank) for each in (destination if isinstance(destination, list | tuple) else [destination])]
    order = [axis for axis in range(rank) if axis not in begins]
    for end, begin in sorted(zip(ends, begins, strict=True)):
        order.insert(end, begin)
    return permute(input, *order)


def adjoint(input: Any) -> Any:
    """The last two axes exchanged."""
    return input.transpose(-2, -1)


def fliplr(input: Any) -> Any:
    """The second axis backward."""
    return flip(input, 1)


def flipud(input: Any) -> Any:
    """The first axis backward."""
    return flip(input, 0)


def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """Turned by quarters from the first of `dims` to the second."""
    first, second = (axis_of(each, len(input.sizes)) for each in dims)

    def rule(b: Builder, x: Value) -> Value:
        for _ in range(k % 4):
            x = shapes.flip(b, shapes.swapaxes(b, x, first, second), first)
        return x

    return record("Rot90Backward0", rule, input)


def _at_least(rank: int) -> Callable[..., Any]:
    def at_least(*tensors: Any) -> Any:
        given = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors
        found = tuple(_filled_up(each, rank) for each in given)
        return found[0] if len(tensors) == 1 and given is tensors else found

    return at_least


def _filled_up(tensor: Any, rank: int) -> Any:
    sizes = tensor.sizes
    if len(sizes) >= rank:
        return tensor
    if rank == 3 and len(sizes) == 2:
        return tensor.unsqueeze(-1)
    return reshape(tensor, *((1, *sizes, 1) if rank == 3 and len(sizes) == 1 else (1,) * (rank - len(sizes)) + sizes))


atleast_1d, atleast_2d, atleast_3d = _at_least(1), _at_least(2), _at_least(3)


def broadcast_shapes(*shapes_given: Any) -> Size:
    """What shapes broadcast to."""
    return Size(common_shape([(each,) if isinstance(each, int) else tuple(each) for each in shapes_given]))


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Tensors expanded to their common shape."""
    shape = common_shape([each.sizes for each in tensors])
    return tuple(expand(each, *shape) for each in tensors)


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinates of a grid: each vector along an axis of its own; "xy" exchanges the first two."""
    parts = list(tensors[0] if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else tensors)
    swapped = indexing == "xy" and len(parts) > 1
    if swapped:
        parts[:2] = parts[1::-1]
    shape = [each.numel() for each in parts]
    found = [
        expand(reshape(each, *[-1 if axis == place else 1 for axis in range(len(parts))]), *shape)
        for place, each in enumerate(parts)
    ]
    if swapped:
        found[:2] = found[1::-1]
    return tuple(found)


def cartesian_prod(*tensors: Any) -> Any:
    """All tuples of one element of each vector, a row for each."""
    if len(tensors) == 1:
        return tensors[0]
    return stack([reshape(each, -1) for each in meshgrid(*tensors)], 1)


def combinations(input: Any, r: int = 2) -> Any:
    """All choices of r elements, a row for each."""
    rows = np.array(list(_combinations(range(input.sizes[0]), r)), np.int64).reshape(-1, r)
    return record("IndexBackward0", lambda b, x: indexing.get(b, x, (rows,)), input)


# Joins and parts


def hstack(tensors: Sequence[Any]) -> Any:
    """Side by side along the second axis (vectors: along the first)."""
    parts = [atleast_1d(each) for each in tensors]
    return cat(parts, 0 if len(parts[0].sizes) == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Any:
    """Rows upon each other."""
    return cat([atleast_2d(each) for each in tensors])


def dstack(tensors: Sequence[Any]) -> Any:
    """Along the third axis."""
    return cat([atleast_3d(each) for each in tensors], 2)


def column_stack(tensors: Sequence[Any]) -> Any:
    """Vectors as columns, matrices side by side."""
    return cat([each if len(each.sizes) > 1 else reshape(each, each.numel(), 1) for each in tensors], 1)


def tensor_split(input: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts of an axis: so many of nearly equal size, or cut before the given places."""
    size = input.sizes[axis_of(dim, len(input.sizes))]
    if isinstance(indices_or_sections, int):
        share, more = divmod(size, indices_or_sections)
        cuts = [share * place + min(place, more) for place in range(indices_or_sections + 1)]
    else:
        cuts = [0, *map(int, indices_or_sections), size]
    bounds = [slice(before, after).indices(size) for before, after in pairwise(cuts)]
    return tuple(narrow(input, dim, start, max(stop - start, 0)) for start, stop, _ in bounds)


def tile(input: Any, *dims: Any) -> Any:
    """Copies side by side along the last axes."""
    counts = given_sizes(dims)
    return tiled(input, (1,) * (len(input.sizes) - len(counts)) + counts)


def repeat_interleave(input: Any, repeats: Any, dim: int | None = None) -> Any:
    """Each place of an axis (of the flattened tensor) several times in a row."""
    source = reshape(input, -1) if dim is None else input
    along = 0 if dim is None else axis_of(dim, len(source.sizes))
    if isinstance(repeats, int):
        sizes = source.sizes
        shown = expand(unsqueeze(source, along + 1), *sizes[: along + 1], repeats, *sizes[along + 1 :])
        return view(clone(shown), *sizes[:along], sizes[along] * repeats, *sizes[along + 1 :])
    counts = np.array(repeats.array()) if isinstance(repeats, TensorBase) else repeats
    index = np.repeat(np.arange(source.sizes[along]), counts)
    return record("IndexSelectBackward0", lambda b, x: indexing.take(b, x, index, along), source)


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of an axis, the places of each in a new last axis. Unlike PyTorch's, a copy."""
    along = axis_of(dimension, len(input.sizes))
    have = input.sizes[along] if input.sizes else 1
    if size > have:
        raise AutogradError(f"maximum size for tensor at dimension {along} is {have} but size is {size}", location=caller())
    index = np.arange(0, have - size + 1, step)[:, None] + np.arange(size)

    def rule(b: Builder, x: Value) -> Value:
        windows = indexing.take(b, x, index, along)
        return shapes.moveaxis(b, windows, along + 1, -1)

    return record("UnfoldBackward0", rule, input)


def diff(input: Any, n: int = 1, dim: int = -1) -> Any:
    """Differences of neighbours along an axis, n times; of bools, whether they differ."""
    for _ in range(n):
        size = input.sizes[axis_of(dim, len(input.sizes))]
        rest = max(size - 1, 0)
        later, earlier = narrow(input, dim, size - rest, rest), narrow(input, dim, 0, rest)
        input = later ^ earlier if input.dtype_.is_bool else later - earlier
    return input


def trapezoid(y: Any, x: Any = None, *, dx: float = 1.0, dim: int = -1) -> Any:
    """The integral by the trapezoidal rule along an axis; a vector `x` lies along that axis."""
    rank = len(y.sizes)
    along = axis_of(dim, rank)
    size = y.sizes[along]
    sums = narrow(y, dim, 1, size - 1) + narrow(y, dim, 0, size - 1)
    if x is None:
        return (sums.sum(dim) / 2.0) * dx
    places = reshape(x, -1, *(1,) * (rank - 1 - along)) if len(x.sizes) == 1 else x
    return (diff(places, 1, along - rank) * sums).sum(dim) / 2.0


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """Powers of a vector's elements, a column for each exponent."""
    count = x.sizes[0] if N is None else N
    powers = [x**each for each in range(count)]
    return stack(powers if increasing else powers[::-1], 1)

__all__ = [
    "adjoint", "atleast_1d", "atleast_2d", "atleast_3d", "block_diag", "broadcast_shapes", "broadcast_tensors",
    "cartesian_prod", "column_stack", "combinations", "diag", "diag_embed", "diagflat", "diff", "dstack", "fliplr", "flipud",
    "hstack", "meshgrid", "movedim", "ravel", "repeat_interleave", "rot90", "tensor_split", "tile", "trapezoid", "tril",
    "triu", "vander", "vstack",
]  # fmt: skip
