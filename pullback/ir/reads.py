"""Which elements of an operand each element of a result may depend on: what `Op.dependence` states.

Elements are numbered in C order. Arrays of numbers may have a first axis of lanes (the iterations of the loops around);
where all lanes are alike it has size 1.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.ir.types import ArrayType

Array = np.ndarray[Any, Any]
Known = Callable[[int], "Array | None"]
"""From an operand's number to its elements ``[lanes or 1, ...]``, where they are known; asking makes the answer one
that the pattern rests on."""


@dataclass(frozen=True)
class Reads:
    """A result's elements pick groups, a group holds elements of the operand.

    ``picks: i64[lanes or 1, result size]`` names the group of each element of the result, -1 for none; None: element e
    picks group e. ``groups`` is how many there are and for each ``(group: i64[lanes or 1, m], element: i64[m])`` which
    elements are in them (group -1: in none); None: group e is element e of the operand.
    """

    picks: Array | None = None
    groups: tuple[int, Array, Array] | None = None


SAME = Reads()
"""Element e of the result depends on element e of the operand."""
EVERY = Reads(picks=np.zeros((1, 1), np.int64), groups=(1, np.zeros((1, 1), np.int64), np.zeros(1, np.int64)))
"""Each element depends on all: always right, never sparse. Compared by identity; its arrays are not read."""

Dependence = tuple[Reads | None, ...] | Reads
"""Per operand what is read of it, None for nothing; or one statement for all operands as if they lay end to end."""


def moved(evaluate: Callable[..., tuple[Array, ...]], types: tuple[ArrayType, ...]) -> Reads:
    """Of an op that moves elements, given what it does: found by moving their numbers, counted over all operands."""
    operands, first = [], 1  # counted from 1: what the op fills with zeros comes from nowhere
    for kind in types:
        operands.append(np.arange(first, first + kind.size).reshape(kind.shape))
        first += kind.size
    (result,) = evaluate(*operands)
    return Reads(np.asarray(result).reshape(1, -1) - 1)


def reduced(operand: ArrayType, axes: tuple[int, ...]) -> tuple[int, Array, Array]:
    """The groups in which elements differ along `axes` only."""
    shape = operand.shape
    kept = [1 if axis in axes else size for axis, size in enumerate(shape)]
    count = int(np.prod(kept, dtype=np.int64))
    group = np.broadcast_to(np.arange(count).reshape(kept), shape).reshape(1, -1)
    return count, group, np.arange(operand.size)
