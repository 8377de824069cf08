"""Products of arrays: matmul in every combination of ranks, dot, tensordot, einsum."""
from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import combinations
from math import prod
from typing import Any

from pullback import dtypes
from pullback.errors import ArgumentValueError, ShapeError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.contraction import Matmul
from pullback.location import caller
from pullback.tracer.semantics.elementwise import broadcast_shapes, broadcast_to, cast, mul, promoted
from pullback.tracer.semantics.reductions import normal_axis, total
from pullback.tracer.semantics.shapes import integers, reshape, trace_of, transpose


def _pair(b: Builder, x: Value, y: Value) -> tuple[Value, Value]:
    """Both in their common dtype; bools count in int8, as no bool matrix product exists here."""
    dtype = promoted([x, y])
    return cast(b, x, dtype), cast(b, y, dtype)


def matmul(b: Builder, x: Value, y: Value) -> Value:
    """``x @ y``: vectors are rows or columns that vanish again, leading axes broadcast.

    Raises: ShapeError for inner sizes that differ, or an operand without axes.
    """
    if x.type.rank == 0 or y.type.rank == 0:
        raise ShapeError("matmul: operands must have axes", location=caller(), help="use * to multiply by a scalar")
    inner = x.type.shape[-1], y.type.shape[-2 if y.type.rank > 1 else 0]
    if inner[0] != inner[1]:
        raise ShapeError(
            f"matmul: inner sizes differ: {inner[0]} (axis {x.type.rank - 1} of {x.type}) and {inner[1]} "
            f"(axis {max(y.type.rank - 2, 0)} of {y.type})", location=caller(),
            help="transpose one, or check the widths",
        )  # fmt: skip
    was_bool = promoted([x, y]).is_bool
    x, y = _pair(b, x, y)
    if was_bool:
        x, y = cast(b, x, dtypes.i64), cast(b, y, dtypes.i64)
    row, column = x.type.rank == 1, y.type.rank == 1
    left = reshape(b, x, (1, *x.type.shape)) if row else x
    right = reshape(b, y, (*y.type.shape, 1)) if column else y
    result = _stacked(b, left, right)
    shape = list(result.type.shape)
    if column:
        shape.pop(-1)
    if row:
        shape.pop(-1 if column else -2)
    result = reshape(b, result, tuple(shape))
    return cast(b, result, dtypes.boolean) if was_bool else result


def _stacked(b: Builder, x: Value, y: Value) -> Value:
    """Matrices with leading axes."""
    if y.type.rank == 2 and x.type.rank > 2:
        # One matrix for all: the rows of every stack in one product.
        flat = reshape(b, x, (-1, x.type.shape[-1]) if x.type.size else (prod(x.type.shape[:-1]), x.type.shape[-1]))
        return reshape(b, b.value(Matmul(), flat, y), (*x.type.shape[:-1], y.type.shape[-1]))
    lead = broadcast_shapes([x.type.shape[:-2], y.type.shape[:-2]], "leading axes of matmul operands")
    x = broadcast_to(b, x, (*lead, *x.type.shape[-2:]))
    y = broadcast_to(b, y, (*lead, *y.type.shape[-2:]))
    return b.value(Matmul(), x, y)


def dot(b: Builder, x: Value, y: Value) -> Value:
    """np.dot: matmul up to rank 2, multiplication by a scalar, else over the last and the last but one axis."""
    if x.type.rank == 0 or y.type.rank == 0:
        return mul(b, x, y)
    if y.type.rank <= 2 or x.type.rank == 0:
        return matmul(b, x, y)
    return tensordot(b, x, y, ([x.type.rank - 1], [y.type.rank - 2]))


def inner(b: Builder, x: Value, y: Value) -> Value:
    """np.inner: over the last axes."""
    if x.type.rank == 0 or y.type.rank == 0:
        return mul(b, x, y)
    return tensordot(b, x, y, ([x.type.rank - 1], [y.type.rank - 1]))


def vecdot(b: Builder, x: Value, y: Value) -> Value:
    """np.vecdot: over the last axis, leading axes broadcast."""
    return total(b, mul(b, x, y), -1, dtype=promoted([x, y]))


def matvec(b: Builder, x: Value, y: Value) -> Value:
    """np.matvec: ``(t[..., m, n], t[..., n]) -> t[..., m]``."""
    result = matmul(b, x, reshape(b, y, (*y.type.shape, 1)))
    return reshape(b, result, result.type.shape[:-1])


def vecmat(b: Builder, x: Value, y: Value) -> Value:
    """np.vecmat: ``(t[..., n], t[..., n, m]) -> t[..., m]``."""
    result = matmul(b, reshape(b, x, (*x.type.shape[:-1], 1, x.type.shape[-1])), y)
    return reshape(b, result, (*result.type.shape[:-2], result.type.shape[-1]))


def outer(b: Builder, x: Value, y: Value) -> Value:
    """np.outer of the flattened operands."""
    return mul(b, reshape(b, x, (x.type.size, 1)), reshape(b, y, (1, y.type.size)))


def tensordot(b: Builder, x: Value, y: Value, axes: Any = 2) -> Value:
    """np.tensordot. Raises: ShapeError where the paired sizes differ."""
    left, right = _paired_axes(axes, x.type.rank, y.type.rank)
    sizes = [x.type.shape[axis] for axis in left], [y.type.shape[axis] for axis in right]
    if sizes[0] != sizes[1]:
        raise ShapeError(f"tensordot: sizes {sizes[0]} and {sizes[1]} of the paired axes differ", location=caller())
    x, y = _pair(b, x, y)
    free_x = [axis for axis in range(x.type.rank) if axis not in left]
    free_y = [axis for axis in range(y.type.rank) if axis not in right]
    k = prod(sizes[0])
    shape_x, shape_y = [x.type.shape[axis] for axis in free_x], [y.type.shape[axis] for axis in free_y]
    rows = reshape(b, transpose(b, x, [*free_x, *left]), (prod(shape_x), k))
    columns = reshape(b, transpose(b, y, [*right, *free_y]), (k, prod(shape_y)))
    return reshape(b, matmul(b, rows, columns), (*shape_x, *shape_y))


def _paired_axes(axes: Any, rank_x: int, rank_y: int) -> tuple[list[int], list[int]]:
    """The axes of each operand that tensordot sums over, from their number or from two lists of them."""
    if hasattr(axes, "__index__"):
        count = operator.index(axes)
        if not 0 <= count <= min(rank_x, rank_y):
            raise ArgumentValueError(
                f"tensordot over {count} axes of arrays of {rank_x} and {rank_y}", location=caller()
            )
        return list(range(rank_x - count, rank_x)), list(range(count))
    first, second = axes
    left = [normal_axis(axis, rank_x) for axis in integers(first)]
    right = [normal_axis(axis, rank_y) for axis in integers(second)]
    return left, right


def einsum(b: Builder, subscripts: str, operands: Sequence[Value]) -> Value:
    """np.einsum of subscripts as text; more than two operands are combined in the order that computes least.

    Raises: ArgumentValueError for subscripts that do not fit the operands.
    """
    labels, output = parse_subscripts(subscripts, [operand.type.rank for operand in operands])
    sizes: dict[str, int] = {}
    for label, operand in zip(labels, operands, strict=True):
        for letter, size in zip(label, operand.type.shape, strict=True):
            if sizes.setdefault(letter, size) != size and 1 not in (sizes[letter], size):
                raise ShapeError(f"einsum: axis {letter} has sizes {sizes[letter]} and {size}", location=caller())
            sizes[letter] = max(sizes[letter], size) if size else size
    if any(letter not in sizes for letter in output) or len(set(output)) < len(output):
        raise ArgumentValueError(
            f"einsum: output {output!r} names an axis that is not there, or one twice", location=caller()
        )
    terms = [
        _diagonal(b, *_without_ones(b, label, operand, sizes)) for label, operand in zip(labels, operands, strict=True)
    ]
    while len(terms) > 1:
        first, second = _cheapest(terms, output, sizes)
        y, x = terms.pop(second), terms.pop(first)
        later = set(output).union(*(label for label, _ in terms))
        terms.append(_contract(b, *x, *y, later))
    label, value = _sum_out(b, *terms[0], set(output))
    return transpose(b, value, [label.index(letter) for letter in output])


def parse_subscripts(subscripts: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of each operand's axes and of the result's, an ellipsis spelled out in letters of its own.

    Raises: ArgumentValueError for subscripts that do not fit operands of these ranks.
    """
    text = subscripts.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    labels = inputs.split(",")
    if len(labels) != len(ranks):
        raise ArgumentValueError(
            f"einsum {subscripts!r} names {len(labels)} operands, not {len(ranks)}", location=caller()
        )
    named = inputs.replace("...", "").replace(",", "") + output.replace("...", "")
    if not named.isalpha() and named:
        raise ArgumentValueError(f"einsum: {subscripts!r} holds other characters than letters", location=caller())
    hidden = [rank - len(label) + 3 if "..." in label else 0 for label, rank in zip(labels, ranks, strict=True)]
    spare = [chr(0x370 + place) for place in range(max([*hidden, 0]))]
    spelled = []
    for label, rank, count in zip(labels, ranks, hidden, strict=True):
        whole = label.replace("...", "".join(spare[len(spare) - count :])) if count >= 0 else label
        if len(whole) != rank:
            raise ArgumentValueError(
                f"einsum: {label!r} does not name the axes of an array of {rank}", location=caller()
            )
        spelled.append(whole)
    if arrow:
        return spelled, output.replace("...", "".join(spare))
    joined = "".join(labels).replace(".", "")
    return spelled, "".join(spare) + "".join(sorted(letter for letter in set(joined) if joined.count(letter) == 1))


def _without_ones(b: Builder, label: str, value: Value, sizes: dict[str, int]) -> tuple[str, Value]:
    """Axes of size 1 dropped where another operand has more: they are broadcast."""
    kept = [axis for axis, letter in enumerate(label) if value.type.shape[axis] == sizes[letter]]
    if len(kept) == len(label):
        return label, value
    return "".join(label[axis] for axis in kept), reshape(b, value, tuple(value.type.shape[axis] for axis in kept))


def _cheapest(terms: Sequence[tuple[str, Value]], output: str, sizes: dict[str, int]) -> tuple[int, int]:
    """The pair whose product grows the least over its operands (greedy, as np.einsum_path does it)."""
    best: tuple[float, tuple[int, int]] | None = None
    for first, second in combinations(range(len(terms)), 2):
        rest = set(output).union(*(label for place, (label, _) in enumerate(terms) if place not in (first, second)))
        kept = (set(terms[first][0]) | set(terms[second][0])) & rest
        growth = prod(sizes[letter] for letter in kept) - terms[first][1].type.size - terms[second][1].type.size
        work = prod(sizes[letter] for letter in set(terms[first][0]) | set(terms[second][0]))
        score = growth + 1e-12 * work
        if best is None or score < best[0]:
            best = score, (first, second)
    assert best is not None
    return best[1]


def _diagonal(b: Builder, label: str, value: Value) -> tuple[str, Value]:
    """Axes named twice become their diagonal."""
    for letter in set(label):
        while label.count(letter) > 1:
            first = label.index(letter)
            second = label.index(letter, first + 1)
            rest = [axis for axis in range(len(label)) if axis not in (first, second)]
            value = trace_of(b, transpose(b, value, [*rest, first, second]))
            label = "".join(label[axis] for axis in rest) + letter
    return label, value


def _sum_out(b: Builder, label: str, value: Value, kept: set[str]) -> tuple[str, Value]:
    gone = tuple(axis for axis, letter in enumerate(label) if letter not in kept)
    if not gone:
        return label, value
    return "".join(letter for letter in label if letter in kept), total(b, value, gone, dtype=value.type.dtype)


def _contract(b: Builder, left: str, x: Value, right: str, y: Value, later: set[str]) -> tuple[str, Value]:
    """Two operands by one batched matrix product, or elementwise and summed where that would multiply single rows."""
    left, x = _sum_out(b, left, x, later | set(right))
    right, y = _sum_out(b, right, y, later | set(left))
    x, y = _pair(b, x, y)
    shared = [letter for letter in left if letter in right]
    batch = [letter for letter in shared if letter in later]
    lost = [letter for letter in shared if letter not in later]
    free_x = [letter for letter in left if letter not in shared]
    free_y = [letter for letter in right if letter not in shared]
    size = dict(zip(left + right, x.type.shape + y.type.shape, strict=True))

    def sizes(letters: list[str]) -> list[int]:
        return [size[letter] for letter in letters]

    kept = [*batch, *free_x, *free_y]
    if not lost or (batch and not (free_x and free_y)):
        order = [*kept, *lost]
        sides = []
        for label, value in ((left, x), (right, y)):
            axes = [label.index(letter) for letter in order if letter in label]
            sides.append(reshape(b, transpose(b, value, axes), [size[each] if each in label else 1 for each in order]))
        product = mul(b, *sides)
        summed = tuple(range(len(kept), len(order)))
        return "".join(kept), total(b, product, summed, dtype=product.type.dtype) if summed else product
    rows = transpose(b, x, [left.index(letter) for letter in (*batch, *free_x, *lost)])
    columns = transpose(b, y, [right.index(letter) for letter in (*batch, *lost, *free_y)])
    rows = reshape(b, rows, (*sizes(batch), prod(sizes(free_x)), prod(sizes(lost))))
    columns = reshape(b, columns, (*sizes(batch), prod(sizes(lost)), prod(sizes(free_y))))
    result = matmul(b, rows, columns)
    return "".join(kept), reshape(b, result, sizes(kept))
