"""Where a matrix may have entries: index arrays by rows, as SciPy's CSR format has them."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pullback.ir.analysis.index_sets import distinct

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Pattern:
    """In row k at ``columns[bounds[k]:bounds[k + 1]]``, rising.

    What was found of a function holds while the parameters numbered `roots` (captured arrays count on) hold what they did.
    """

    shape: tuple[int, int]
    bounds: Array
    columns: Array
    roots: frozenset[int] = frozenset()

    @property
    def count(self) -> int:
        """How many entries there are."""
        return int(self.columns.size)

    @cached_property
    def rows(self) -> Array:
        """The row of each entry."""
        return np.repeat(np.arange(self.shape[0]), np.diff(self.bounds))

    @cached_property
    def transposed(self) -> Pattern:
        """Columns and rows exchanged."""
        return from_entries((self.shape[1], self.shape[0]), self.columns, self.rows, self.roots)

    @cached_property
    def symmetric(self) -> Pattern:
        """Of a square matrix: with the mirror image of every entry."""
        rows, columns = np.concatenate([self.rows, self.columns]), np.concatenate([self.columns, self.rows])
        return from_entries(self.shape, rows, columns, self.roots)


def from_entries(shape: tuple[int, int], rows: Array, columns: Array, roots: frozenset[int] = frozenset()) -> Pattern:
    """The pattern with these entries, in any order, each once or more often."""
    keys = distinct(rows.astype(np.int64) * max(shape[1], 1) + columns)
    found, across = np.divmod(keys, max(shape[1], 1))
    bounds = np.concatenate([[0], np.cumsum(np.bincount(found, minlength=shape[0]))])
    return Pattern(shape, bounds, across.astype(np.int32), roots)
