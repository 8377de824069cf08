"""Sets of small numbers, millions of them, as rows of one table: arrays of row numbers in, those of unions out.

Row 0 is the empty set, rows 1 to n hold one number each, row n + 1 holds all. A row is never changed. Work is sorting:
O(m log m) for unions that have m members in all.
"""
from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
EMPTY = 0
RECENT = 12
MOST_MEMBERS = 150_000_000
"""Beyond this many stored numbers large sets become the set of all."""


def distinct(keys: Array) -> Array:
    """The different numbers of a flat array, rising. (``np.unique`` hashes, which takes ten times as long.)"""
    if keys.size < 2 or (keys[1:] > keys[:-1]).all():
        return keys
    keys = np.sort(keys)
    fresh: Array = keys[np.concatenate([[True], keys[1:] != keys[:-1]])]
    return fresh


class IndexSets:
    """Sets of numbers below `count`. Unions are exact until the table is full, and supersets from then on."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.all = count + 1 if count > 1 else count
        rows = count + 2
        self._start = np.zeros(max(16, 2 * rows), np.int64)
        self._length = np.zeros(max(16, 2 * rows), np.int64)
        self._entries = np.arange(max(16, count), dtype=np.int32)
        self._start[1 : count + 1] = np.arange(count)
        self._length[1 : count + 1] = 1
        self._length[count + 1] = count
        self._rows, self._used = rows, count
        self._recent: list[tuple[Array, Array]] = []

    def lengths(self, sets: Array) -> Array:
        """How many numbers each set holds."""
        length: Array = self._length[sets]
        return length

    def members(self, sets: Array) -> tuple[Array, Array]:
        """``(bounds, numbers)``: set k of a flat array holds ``numbers[bounds[k]:bounds[k + 1]]``, rising."""
        length = self.lengths(sets)
        bounds = np.concatenate([[0], np.cumsum(length)])
        # Place in the table of each number: the start of its set, and how far the number is from it.
        places = np.repeat(self._start[sets] - bounds[:-1], length) + np.arange(bounds[-1])
        return bounds, self._entries[places]

    def merge(self, left: Array, right: Array) -> Array:
        """The union of two arrays of sets, element by element, broadcast."""
        if left is right:
            return left
        left, right = np.broadcast_arrays(left, right)
        low, high = np.minimum(left, right), np.maximum(left, right)
        easy = (low == EMPTY) | (low == high) | (high == self.all)
        result: Array = high.copy()
        hard = ~easy
        if not hard.any():
            return result
        result[hard] = self._pairs(low[hard].astype(np.int64), high[hard].astype(np.int64))
        return result

    def _pairs(self, low: Array, high: Array) -> Array:
        keys = low * self._rows + high
        if keys.size > 1 and not (keys[1:] > keys[:-1]).all():
            keys, inverse = np.unique(keys, return_inverse=True)
        else:
            inverse = None
        pairs = np.stack([keys // self._rows, keys % self._rows], -1)
        for known, made in self._recent:
            if np.array_equal(known, pairs):
                sets = made
                break
        else:
            sets = self._union(np.repeat(np.arange(len(pairs)), 2), pairs.reshape(-1), len(pairs))
            self._recent = [(pairs, sets), *self._recent[: RECENT - 1]]
        return sets if inverse is None else sets[inverse]

    def union(self, owner: Array, sets: Array, count: int) -> Array:
        """For each k below `count` the union of the sets whose owner is k; those of owner -1 are left out."""
        result = np.zeros(count, np.int32)
        alive = (owner >= 0) & (sets != EMPTY)
        if not alive.any():
            return result
        full = np.zeros(count, bool)
        full[owner[alive & (sets == self.all)]] = True
        result[full] = self.all
        alive &= ~full[owner]
        # Each pair of owner and set once, in order.
        keys = distinct(owner[alive].astype(np.int64) * self._rows + sets[alive])
        owners, members = keys // self._rows, keys % self._rows
        if not keys.size:
            return result
        first = np.concatenate([[True], owners[1:] != owners[:-1]])
        places = np.flatnonzero(first)
        sizes = np.diff(np.append(places, keys.size))
        result[owners[places]] = members[places]
        several = sizes > 1
        if several.any():
            inside = np.repeat(several, sizes)
            numbered = np.repeat(np.cumsum(several) - 1, sizes)[inside]
            result[owners[places[several]]] = self._union(numbered, members[inside], int(several.sum()))
        return result

    def union_of_all(self, sets: Array) -> int:
        """The union of all the sets in an array."""
        members = distinct(sets.reshape(-1))
        return int(self.union(np.zeros(members.size, np.int64), members, 1)[0])

    def _union(self, owner: Array, sets: Array, count: int) -> Array:
        """Unions of at least two different sets each; `owner` rises, and is each number below `count`."""
        length = self._length[sets]
        starts = np.concatenate([[0], np.flatnonzero(owner[1:] != owner[:-1]) + 1])
        if self._used + int(length.sum()) > MOST_MEMBERS:
            return np.full(count, self.all, np.int32)
        numbers = self.members(sets)[1]
        keys = distinct(np.repeat(owner, length) * self.count + numbers)
        owners = keys // self.count
        numbers = keys - owners * self.count
        made = np.bincount(owners, minlength=count)
        # A union that is no larger than its largest part is that part; one of everything is the full row.
        largest = np.maximum.reduceat(length, starts)
        part = np.maximum.reduceat(np.where(length == largest[owner], sets, EMPTY), starts)
        result = np.where(made == self.count, self.all, np.where(made == largest, part, -1)).astype(np.int32)
        new = result < 0
        if new.any():
            result[new] = self._append(made[new], numbers[new[owners]])
        return result

    def _append(self, length: Array, numbers: Array) -> Array:
        """New rows of these lengths; gives their numbers."""
        rows, used = self._rows + length.size, self._used + numbers.size
        if rows > self._start.size:
            self._start = np.resize(self._start, max(rows, 2 * self._start.size))
            self._length = np.resize(self._length, self._start.size)
        if used > self._entries.size:
            self._entries = np.resize(self._entries, max(used, 2 * self._entries.size))
        self._start[self._rows : rows] = self._used + np.cumsum(length) - length
        self._length[self._rows : rows] = length
        self._entries[self._used : used] = numbers
        made = np.arange(self._rows, rows, dtype=np.int32)
        self._rows, self._used = rows, used
        return made

    def equal(self, left: Array, right: Array) -> bool:
        """Whether two arrays of sets hold the same sets, element by element."""
        if left.shape != right.shape:
            left, right = np.broadcast_arrays(left, right)
        differ = left != right
        if not differ.any():
            return True
        left, right = left[differ], right[differ]
        if (self._length[left] != self._length[right]).any():
            return False
        if ((left == self.all) | (right == self.all)).any():
            return False  # the full row is not stored, and no other row is full
        return bool(np.array_equal(self.members(left)[1], self.members(right)[1]))
