"""Parts of the sparse derivatives by themselves: sets of numbers, what ops read, patterns of random functions, colours."""
from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from smooth_random_programs import random_program

import pullback.ir.ops as _all_ops
from pullback.colouring import colour_columns, colour_stars, plan, symmetric_plan
from pullback.errors import PullbackError
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.analysis.dependence import dependence
from pullback.ir.analysis.index_sets import IndexSets
from pullback.ir.analysis.pattern import Pattern, from_entries
from pullback.ir.core import Array, Function, Region, RegionBuilder, Value
from pullback.ir.interpret import interpret
from pullback.ir.passes.dce import dce
from pullback.ir.passes.pipeline import simplify
from pullback.ir.registry import all_ops
from pullback.ir.types import type_of

assert _all_ops


# Sets


def test_unions_are_those_of_sets() -> None:
    random = np.random.default_rng(2)
    for count in (0, 1, 2, 7, 40):
        table = IndexSets(count)
        known = [set(), *({k} for k in range(count))]
        rows = np.arange(len(known), dtype=np.int32)
        for _ in range(6):
            left, right = (random.integers(len(rows), size=(2, 9)) for _ in range(2))
            merged = table.merge(rows[left], rows[right]).reshape(-1)
            wanted = [known[a] | known[b] for a, b in zip(left.ravel(), right.ravel(), strict=True)]
            owner = random.integers(-1, 5, 30)
            members = random.integers(len(rows), size=30)
            united = table.union(owner, rows[members], 5)
            wanted += [set().union(*(known[m] for m, o in zip(members, owner, strict=True) if o == k)) for k in range(5)]
            rows = np.concatenate([rows, merged, united])
            known += wanted
            bounds, numbers = table.members(rows)
            assert [numbers[a:b].tolist() for a, b in pairwise(bounds)] == [sorted(k) for k in known]
            assert table.lengths(rows).tolist() == [len(each) for each in known]
        assert table.equal(rows, rows[::-1]) == (known == known[::-1])
        assert table.equal(table.merge(rows, rows[::-1]), table.merge(rows[::-1], rows))
        full = [row for row, each in zip(rows.tolist(), known, strict=True) if len(each) == count > 0]
        assert set(full) <= {table.all}, "the set of all has one row"


def test_a_full_table_gives_supersets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pullback.ir.analysis.index_sets.MOST_MEMBERS", 12)
    table = IndexSets(10)
    first = table.merge(np.array([1], np.int32), np.array([2], np.int32))
    assert table.members(first)[1].tolist() == [0, 1]
    assert table.merge(first, np.array([3], np.int32)).tolist() == [table.all]


# Functions


def check_pattern(function: Function, arguments: list[Array], active: list[int]) -> tuple[int, int]:
    """Every element of the Jacobian that is not 0 is in the pattern; gives the numbers of both."""
    derived = pushforward(function, active, keep_values=False)
    dce(derived)
    simplify(derived)
    count = len(function.parameters)
    known = [None if place in active else array for place, array in enumerate(arguments)]
    inputs = range(count, count + len(active))
    pattern = dependence(derived, inputs, [*known, *[None] * len(active), *derived.captured])
    places = np.zeros(pattern.shape, bool)
    places[pattern.rows, pattern.columns] = True
    columns = []
    dots = [np.zeros(arguments[place].shape, arguments[place].dtype) for place in active]
    for dot in dots:
        for place in np.ndindex(dot.shape):
            dot[place] = 1
            found = interpret(derived, [*arguments, *(each.copy() for each in dots)])
            columns.append(np.concatenate([np.zeros(0), *(np.ravel(each) for each in found)]) != 0)
            dot[place] = 0
    nonzero = np.stack(columns, 1) if columns else np.zeros(pattern.shape, bool)
    assert not (nonzero & ~places).any(), f"not in the pattern: {np.argwhere(nonzero & ~places)[:3].tolist()}"
    return int(places.sum()), int(nonzero.sum())


OPS = [op for op in all_ops().values() if not op.regions and op.name != "empty_tape"]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_ops(op: type) -> None:
    """Of every op's samples: with its other operands known, and with none known."""
    for sample in op.samples():  # type: ignore[attr-defined]
        floats = [place for place, array in enumerate(sample.operands) if array.dtype.kind == "f" and array.size <= 60]
        if not sample.differentiable or not floats:
            continue
        region = Region([Value(type_of(array)) for array in sample.operands])
        region.yields = RegionBuilder(region).emit(sample.op, *region.arguments).results
        function = Function("one", region)
        for active in {tuple(floats), *((place,) for place in floats)}:
            check_op(function, list(sample.operands), list(active))


def check_op(function: Function, operands: list[Array], active: list[int]) -> None:
    """What the op itself states, and what its pushforward does, hold all that is not 0."""
    check_pattern(function, operands, active)
    derived = pushforward(function, active, keep_values=False)
    for others in ([None if place in active else array for place, array in enumerate(operands)], [None] * len(operands)):
        stated = dependence(function, active, others)
        places = np.zeros(stated.shape, bool)
        places[stated.rows, stated.columns] = True
        column = 0
        for place in active:
            for element in np.ndindex(operands[place].shape):
                dots = [np.zeros_like(operands[each]) for each in active]
                dots[active.index(place)][element] = 1
                moved = np.concatenate([np.ravel(each) for each in interpret(derived, [*operands, *dots])])
                assert places[np.flatnonzero(moved), column].all(), (function.body.operations[0].op, place, element)
                column += 1


@pytest.mark.parametrize("few", [0, 3000], ids=["together", "one by one"])
@pytest.mark.parametrize("group", range(6))
def test_random_functions(group: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops, branches and windows, of first and second order; and not far more than what is not 0."""
    monkeypatch.setattr("pullback.ir.analysis.dependence_loops.FEW", few)
    if few == 0:
        monkeypatch.setattr("pullback.ir.analysis.dependence_loops.MANY", 0)
    entries = nonzero = 0
    for seed in range(20 * group, 20 * group + 20):
        function, arguments = random_program(seed)
        active = [place for place, value in enumerate(function.parameters) if value.type.dtype.is_float]
        scalars = [place for place, kind in enumerate(function.result_types) if kind.dtype.is_float and not kind.dims]
        checked = [check_pattern(function, arguments, active)]
        if scalars:
            checked.append(check_pattern(adjoint(function, active, seeded=scalars[:1], keep_values=False), arguments, active))
        entries += sum(each[0] for each in checked)
        nonzero += sum(each[1] for each in checked)
    assert entries <= 1.5 * nonzero


# Colours


def random_pattern(random: np.random.Generator, m: int, n: int, density: float) -> Pattern:
    rows, columns = np.nonzero(random.uniform(size=(m, n)) < density)
    return from_entries((m, n), rows, columns)


def recovered(pattern: Pattern, matrix: Array, find: Callable[[Pattern], object]) -> Array:
    """The matrix, from its products with the sums of columns and rows of one colour."""
    chosen = find(pattern)
    column_sums = [matrix @ (chosen.column_colours == k) for k in range(chosen.columns)]  # type: ignore[attr-defined]
    row_sums = [(chosen.row_colours == k) @ matrix for k in range(chosen.rows)]  # type: ignore[attr-defined]
    flat = np.concatenate([np.zeros(0), *column_sums, *row_sums])
    found = np.zeros(pattern.shape)
    found[pattern.rows, pattern.columns] = flat[chosen.source]  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("seed", range(40))
def test_matrices_are_recovered(seed: int) -> None:
    random = np.random.default_rng(seed)
    m, n = (int(random.integers(1, 25)) for _ in range(2))
    pattern = random_pattern(random, m, n, random.choice([0.02, 0.1, 0.4, 1.0]))
    for lines in range(int(random.integers(3))):
        if lines < m:
            rows = np.concatenate([pattern.rows, np.full(n, lines)])
            pattern = from_entries((m, n), rows, np.concatenate([pattern.columns, np.arange(n)]))
    for each in (pattern, pattern.transposed):
        matrix = np.zeros(each.shape)
        matrix[each.rows, each.columns] = random.integers(1, 99, each.count)
        np.testing.assert_array_equal(recovered(each, matrix, plan), matrix)
    square = random_pattern(random, n, n, random.choice([0.03, 0.1, 0.3])).symmetric
    matrix = np.zeros((n, n))
    matrix[square.rows, square.columns] = random.integers(1, 99, square.count)
    matrix = matrix + matrix.T
    np.testing.assert_array_equal(recovered(square, matrix, symmetric_plan), matrix)


def test_numbers_of_colours() -> None:
    n = 2000
    for width in (1, 2, 3):
        offsets = np.arange(-width, width + 1)
        rows, columns = np.repeat(np.arange(n), 2 * width + 1), (np.arange(n)[:, None] + offsets).reshape(-1)
        inside = (columns >= 0) & (columns < n)
        band = from_entries((n, n), rows[inside], columns[inside])
        assert colour_columns(band).max() == 2 * width
        assert symmetric_plan(band).columns <= 2 * width + 1
    rows = np.concatenate([np.arange(n), np.zeros(n, int)])
    columns = np.concatenate([np.arange(n), np.arange(n)])
    arrow = from_entries((n, n), rows, columns)
    assert (plan(arrow).columns, plan(arrow).rows) == (0, 2)
    assert colour_stars(arrow.symmetric).max() == 1
    both = plan(arrow.symmetric)
    assert both.columns + both.rows == 3


def test_stars_of_trees_and_grids() -> None:
    """Neighbours differ and no path of four has two colours, which is what the recovery rests on; trees take three."""
    random = np.random.default_rng(5)
    child = np.arange(1, 300)
    parent = (random.uniform(size=299) * child).astype(int)
    tree = from_entries((300, 300), child, parent).symmetric
    assert colour_stars(tree).max() + 1 <= 5
    place = np.arange(400).reshape(20, 20)
    rows = np.concatenate([place[1:].ravel(), place[:, 1:].ravel()])
    columns = np.concatenate([place[:-1].ravel(), place[:, :-1].ravel()])
    grid = from_entries((400, 400), rows, columns).symmetric
    assert colour_stars(grid).max() + 1 <= 8


def test_what_fits_no_window_is_no_dependence() -> None:
    """An index that would be out of bounds is an error when it runs, whatever the pattern."""
    from pullback.ir.ops.window import window_places

    places = window_places((5,), (2,), [np.array([-1, 0, 3, 4])])
    assert places.tolist() == [[-1, -1], [0, 1], [3, 4], [-1, -1]]
    with pytest.raises(PullbackError):
        interpret(_sliced_at(4), [np.zeros(5)])


def _sliced_at(start: int) -> Function:
    from pullback.dtypes import i64
    from pullback.ir.ops.creation import Full
    from pullback.ir.ops.window import DynamicSlice

    region = Region([Value(type_of(np.zeros(5)))])
    b = RegionBuilder(region)
    region.yields = (b.value(DynamicSlice((2,), True), region.arguments[0], b.value(Full(start, i64, ()))),)
    return Function("sliced", region)
