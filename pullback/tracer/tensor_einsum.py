"""einsum and tensordot of tensors, in the steps that PyTorch takes: axes in one order, and a product of matrices a pair."""

from __future__ import annotations

from math import prod
from typing import Any

from pullback.errors import AutogradError
from pullback.location import caller
from pullback.tracer.semantics import products
from pullback.tracer.tensor_arithmetic import mul
from pullback.tracer.tensor_product import bmm, dot, mm
from pullback.tracer.tensor_reduction import sum as total
from pullback.tracer.tensor_shape import diagonal, permute, reshape, unsqueeze, view


def einsum(equation: Any, *operands: Any) -> Any:
    """np.einsum's subscripts on tensors, contracted from left to right. Raises: AutogradError for sizes that differ."""
    parts = list(operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands)
    if not parts:
        raise AutogradError("einsum(): must provide at least one operand", location=caller())
    terms, output = products.parse_subscripts(equation, [len(each.sizes) for each in parts])
    _check_sizes(terms, parts)
    contracted = sorted(set("".join(terms)) - set(output))
    order = [*output, *contracted]
    ready = [_in_order(part, term, order) for part, term in zip(parts, terms, strict=True)]
    if len(ready) == 1:
        axes = tuple(range(len(output), len(order)))
        return total(ready[0], axes) if axes else ready[0]
    counts = [sum(each.sizes[axis] != 1 for each in ready) for axis in range(len(order))]
    while len(ready) > 1:
        left, right = ready[:2]
        ready = [*ready[2:], _contracted(left, right, len(output), counts)]
    return view(ready[0], *ready[0].sizes[: len(output)]) if contracted else ready[0]


def _check_sizes(terms: list[str], parts: list[Any]) -> None:
    seen: dict[str, int] = {}
    for number, (term, part) in enumerate(zip(terms, parts, strict=True)):
        for label, size in zip(term, part.sizes, strict=True):
            before = seen.get(label, 1)
            if size != 1 and before not in (1, size):
                raise AutogradError(f"einsum(): subscript {label} has size {size} for operand {number} which does not "
                                    f"broadcast with previously seen size {before}", location=caller())  # fmt: skip
            seen[label] = max(before, size) if size != 1 else before


def _in_order(part: Any, term: str, order: list[str]) -> Any:
    """An operand with an axis for each label, in order; a label that repeats means the diagonal."""
    labels = list(term)
    place = 0
    while place < len(labels):
        again = labels.index(labels[place], place + 1) if labels[place] in labels[place + 1 :] else None
        if again is None:
            place += 1
            continue
        part = diagonal(part, 0, place, again)
        rank = len(part.sizes)
        part = permute(part, *range(place), rank - 1, *range(place, rank - 1))
        del labels[again]
    for label in order:
        if label not in labels:
            labels.append(label)
            part = unsqueeze(part, len(part.sizes))
    return permute(part, *[labels.index(label) for label in order])


def _contracted(left: Any, right: Any, kept: int, counts: list[int]) -> Any:
    """The product of two operands, summed over the axes that no other has any more; those stay with size 1."""
    shared: list[int] = []
    of_left: list[int] = []
    of_right: list[int] = []
    for axis in range(kept, len(counts)):
        if left.sizes[axis] != 1 and right.sizes[axis] != 1:
            counts[axis] -= 1
            if counts[axis] == 1:
                shared.append(axis)
                counts[axis] = 0
        elif counts[axis] == 1 and (left.sizes[axis] != 1 or right.sizes[axis] != 1):
            (of_left if left.sizes[axis] != 1 else of_right).append(axis)
            counts[axis] = 0
    left = total(left, tuple(of_left), True) if of_left else left
    right = total(right, tuple(of_right), True) if of_right else right
    return _product(left, right, shared) if shared else mul(left, right)


def _product(left: Any, right: Any, summed: list[int]) -> Any:
    """As one product of stacked matrices: axes of both, of the left one, summed ones, axes of the right one."""
    rank = len(left.sizes)
    both: list[int] = []
    of_left: list[int] = []
    of_right: list[int] = []
    for axis in range(rank):
        if axis in summed:
            continue
        wide = left.sizes[axis] != 1, right.sizes[axis] != 1
        (both if all(wide) else of_left if wide[0] else of_right).append(axis)
    sizes = [prod(tensor.sizes[axis] for axis in axes) for tensor, axes in
             ((left, both), (left, of_left), (left, summed), (right, of_right))]  # fmt: skip
    first = reshape(permute(left, *both, *of_left, *summed, *of_right), sizes[0], sizes[1], sizes[2])
    second = reshape(permute(right, *both, *summed, *of_right, *of_left), sizes[0], sizes[2], sizes[3])
    out = [*(left.sizes[axis] for axis in both + of_left), *(1 for _ in summed), *(right.sizes[axis] for axis in of_right)]
    order = [*both, *of_left, *summed, *of_right]
    return permute(view(bmm(first, second), *out), *[order.index(axis) for axis in range(rank)])


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum over pairs of axes: the last ones of a with the first ones of b, or those of two lists.

    Raises: AutogradError for sizes that differ.
    """
    if isinstance(dims, int):
        pairs = list(range(len(a.sizes) - dims, len(a.sizes))), list(range(dims))
    else:
        pairs = tuple([each % len(tensor.sizes) for each in (axes if isinstance(axes, list | tuple) else [axes])]
                      for axes, tensor in zip(dims, (a, b), strict=True))  # type: ignore[assignment]  # fmt: skip
    for first, second in zip(*pairs, strict=True):
        if a.sizes[first] != b.sizes[second]:
            raise AutogradError(f"contracted dimensions need to match, but first has size {a.sizes[first]} in dim {first} and "
                                f"second has size {b.sizes[second]} in dim {second}", location=caller())  # fmt: skip
    if len(pairs[0]) == len(a.sizes) == len(b.sizes):
        return view(dot(reshape(permute(a, *pairs[0]), -1), reshape(permute(b, *pairs[1]), -1)))
    free = [[axis for axis in range(len(tensor.sizes)) if axis not in axes] for tensor, axes in zip((a, b), pairs, strict=True)]
    inner = prod(a.sizes[axis] for axis in pairs[0])
    rows, columns = ([tensor.sizes[axis] for axis in axes] for tensor, axes in zip((a, b), free, strict=True))
    left = reshape(permute(a, *free[0], *pairs[0]), prod(rows), inner)
    right = reshape(permute(b, *pairs[1], *free[1]), inner, prod(columns))
    return view(mm(left, right), *rows, *columns)
