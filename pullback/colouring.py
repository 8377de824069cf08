"""Sparsity patterns in, colours out: columns (or rows) of one colour are found by one derivative along their sum.

A. H. Gebremedhin, F. Manne and A. Pothen, What Color Is Your Jacobian? Graph Coloring for Computing Derivatives, SIAM
Review 47 (2005): partial distance-2 colouring of columns, star colouring of symmetric matrices. Colours already met
are kept as bits of a Python integer, so that greedy colouring takes time linear in the number of entries.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.ir.analysis.pattern import Pattern, from_entries

Array = np.ndarray[Any, Any]
CYCLES = 4
"""How many numbers of colours are tried for colouring columns in turn."""
FEW = 6
"""So few colours of columns in turn are taken as they are."""


@dataclass(frozen=True, eq=False)
class Plan:
    """How the entries of a matrix are found from its products with few vectors.

    ``column_colours`` and ``row_colours`` number the products in which a column (forward) or row (reverse) takes part,
    -1: in none. Entry k is element ``source[k]`` of ``[columns' products [colour, row], rows' products [colour, column]]``,
    each flat, end to end.
    """

    column_colours: Array
    row_colours: Array
    source: Array

    @property
    def columns(self) -> int:
        """The number of products with columns."""
        return _count(self.column_colours)

    @property
    def rows(self) -> int:
        """The number of products with rows."""
        return _count(self.row_colours)


def _count(colours: Array) -> int:
    return int(colours.max(initial=-1)) + 1


def plan(pattern: Pattern) -> Plan:
    """The cheapest way that is found: by columns, by rows, or by columns with some rows (or columns) apart."""
    turned = pattern.transposed
    by_column, by_row = np.diff(pattern.bounds), np.diff(turned.bounds)
    apart_rows, apart_columns = _apart(by_column), _apart(by_row)
    least = min(int(by_column.max(initial=0)), int(by_row.max(initial=0)))
    mixed = [(cost, is_row, count) for is_row, (cost, count) in ((True, apart_rows), (False, apart_columns)) if count]
    if mixed and 2 * min(mixed)[0] <= least:
        _, is_row, count = min(mixed)
        lengths = by_column if is_row else by_row
        return _with_some_apart(pattern, np.argsort(-lengths, kind="stable")[:count], is_row)
    # A side is worth colouring while it may need fewer colours than the other has got.
    columns = rows = None
    if by_column.max(initial=0) <= by_row.max(initial=0):
        columns = colour_columns(pattern)
        if by_row.max(initial=0) < _count(columns):
            rows = colour_columns(turned)
    else:
        rows = colour_columns(turned)
        if by_column.max(initial=0) <= _count(rows):
            columns = colour_columns(pattern)
    none = (np.full(pattern.shape[1], -1), np.full(pattern.shape[0], -1))
    if rows is None or (columns is not None and _count(columns) <= _count(rows)):
        assert columns is not None
        return Plan(columns, none[1], columns[pattern.columns] * pattern.shape[0] + pattern.rows)
    return Plan(none[0], rows, rows[pattern.rows] * pattern.shape[1] + pattern.columns)


def _apart(lengths: Array) -> tuple[int, int]:
    """The least number of products if the longest lines are left to the other side, and how many lines those are."""
    falling = np.sort(lengths)[::-1]
    costs = np.append(falling, 0) + np.arange(falling.size + 1)
    best = int(np.argmin(costs))
    return int(costs[best]), best


def _with_some_apart(pattern: Pattern, apart: Array, is_row: bool) -> Plan:
    """Long rows by products with rows, all else by products with columns; or long columns by products with columns."""
    m, n = pattern.shape
    chosen = np.zeros(m if is_row else n, bool)
    chosen[apart] = True
    by_row = chosen[pattern.rows] if is_row else ~chosen[pattern.columns]
    parts = [from_entries((m, n), pattern.rows[part], pattern.columns[part]) for part in (~by_row, by_row)]
    columns, rows = colour_columns(parts[0]), colour_columns(parts[1].transposed)
    # What has no entry to be found takes no part: it would add to entries that have.
    columns[np.diff(parts[0].transposed.bounds) == 0] = -1
    rows[np.diff(parts[1].bounds) == 0] = -1
    forward = columns[pattern.columns] * m + pattern.rows
    reverse = _count(columns) * m + rows[pattern.rows] * n + pattern.columns
    return Plan(columns, rows, np.where(by_row, reverse, forward))


def symmetric_plan(pattern: Pattern) -> Plan:
    """Of a symmetric matrix, each entry found in its place or in that of its mirror image: by star colouring."""
    n = pattern.shape[1]
    # A colouring of columns is a star colouring, though seldom the least one.
    cyclic = _in_turn(pattern, int(np.diff(pattern.bounds).max(initial=0)))
    found = [] if cyclic is None else [cyclic]
    if cyclic is None or _count(cyclic) > FEW:
        found.append(colour_stars(pattern))
    colours = min(found, key=_count)
    place = colours[pattern.columns] * n + pattern.rows
    order = np.argsort(place, kind="stable")
    met = place[order]
    again = np.concatenate([[False], met[1:] == met[:-1]])
    alone = np.empty(place.size, bool)
    alone[order] = ~again & ~np.append(again[1:], False) if place.size else again[:0]
    mirrored = colours[pattern.rows] * n + pattern.columns
    return Plan(colours, np.full(n, -1), np.where(alone, place, mirrored))


def colour_columns(pattern: Pattern) -> Array:
    """A colour per column, such that no row has entries in two columns of one colour."""
    n, least = pattern.shape[1], int(np.diff(pattern.bounds).max(initial=0))
    cyclic = _in_turn(pattern, least)
    if cyclic is not None and _count(cyclic) <= least:
        return cyclic
    found = [] if cyclic is None else [cyclic]
    degrees = np.diff(pattern.transposed.bounds)
    for order in (range(n), np.argsort(-degrees, kind="stable").tolist()):
        found.append(_greedy(pattern, order))
        if _count(found[-1]) <= least:
            break
    return min(found, key=_count)


def _in_turn(pattern: Pattern, least: int) -> Array | None:
    """Columns coloured 0, 1, …, p - 1 over and over, for the least p (near `least`) that does: right for bands."""
    m, n = pattern.shape
    if least == 0:
        return np.zeros(n, np.int64)
    for p in range(least, least + CYCLES):
        if m * p > 20 * pattern.count + 1000:
            return None
        seen = np.zeros(m * p, bool)
        seen[pattern.rows * p + pattern.columns % p] = True
        if int(seen.sum()) == pattern.count:
            return np.arange(n) % p
    return None


def _greedy(pattern: Pattern, order: Iterable[int]) -> Array:
    """Column after column the least colour that none of its rows has met."""
    bounds, rows = pattern.transposed.bounds.tolist(), pattern.transposed.columns.tolist()
    met = [0] * pattern.shape[0]
    colours = [0] * pattern.shape[1]
    for column in order:
        mine = rows[bounds[column] : bounds[column + 1]]
        forbidden = 0
        for row in mine:
            forbidden |= met[row]
        bit = ~forbidden & (forbidden + 1)
        for row in mine:
            met[row] |= bit
        colours[column] = bit.bit_length() - 1
    return np.array(colours, np.int64)


def colour_stars(pattern: Pattern) -> Array:
    """A colour per vertex of the graph of a symmetric matrix: neighbours differ, and so do some two of any path of four.

    Then each entry (i, j) stands alone in row i among the columns of colour j, or in row j among those of colour i.
    """
    bounds, columns = pattern.bounds.tolist(), pattern.columns.tolist()
    order = np.argsort(-np.diff(pattern.bounds), kind="stable").tolist()
    return _stars(bounds, columns, order)


def _stars(bounds: Sequence[int], columns: Sequence[int], order: Sequence[int]) -> Array:
    """Greedily, vertices of many neighbours first.

    A star is a vertex, its hub, with two or more neighbours of one colour. Forbidden for v are the colours of its
    neighbours; those of hubs whose star an edge to a neighbour would make longer; and, where two neighbours have one
    colour, so that v becomes a hub, those of all their neighbours.
    """
    count = len(bounds) - 1
    colours = [-1] * count
    around = [0] * count  # colours of a vertex's neighbours, as bits
    hubs = [0] * count  # colours of those neighbours that are hubs of stars with leaves of the vertex's colour
    first: dict[tuple[int, int], int] = {}  # a neighbour of each vertex, by colour
    for vertex in order:
        neighbours = [each for each in columns[bounds[vertex] : bounds[vertex + 1]] if each != vertex]
        coloured = [each for each in neighbours if colours[each] >= 0]
        forbidden = met = twice = 0
        for each in coloured:
            bit = 1 << colours[each]
            twice |= met & bit
            met |= bit
            forbidden |= bit | hubs[each]
        if twice:
            for each in coloured:
                if twice >> colours[each] & 1:
                    forbidden |= around[each]
        bit = ~forbidden & (forbidden + 1)
        colour = colours[vertex] = bit.bit_length() - 1
        for each in neighbours:
            around[each] |= bit
        for each in coloured:
            theirs = colours[each]
            if twice >> theirs & 1:
                hubs[each] |= bit
        for each in neighbours:
            other = first.setdefault((each, colour), vertex)
            if other != vertex and colours[each] >= 0:
                # `each` is the hub of a star now, of which the vertex and the other one are leaves.
                hubs[vertex] |= 1 << colours[each]
                hubs[other] |= 1 << colours[each]
    return np.array(colours, np.int64)
