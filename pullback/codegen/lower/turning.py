"""Transposed copies: pointers of matrices stored row by row go in, loops that turn rows into columns come out."""
from __future__ import annotations

from pullback.codegen.emit_nest import count_loop, load, store
from pullback.codegen.llvm_text import FunctionText, memory_type
from pullback.codegen.lower.selection import element
from pullback.dtypes import DType


def turn(f: FunctionText, dtype: DType, source: str, target: str, rows: int, columns: int) -> None:
    """Copy a matrix stored row by row as its transpose."""

    def row(i: str) -> None:
        begin = f.moved(source, memory_type(dtype, 1), f.times(i, columns))
        place = f.moved(target, memory_type(dtype, 1), i)

        def entry(j: str) -> None:
            store(f, element(f, place, dtype, f.times(j, rows)), load(f, element(f, begin, dtype, j), dtype, 1), 1)

        count_loop(f, columns, entry)

    count_loop(f, rows, row)


def turn_in_place(f: FunctionText, dtype: DType, matrix: str, n: int) -> None:
    """Exchange the triangles of a square matrix."""

    def row(before: str) -> None:
        i = f.plus(before, "1")

        def entry(j: str) -> None:
            below, above = (
                element(f, matrix, dtype, f.plus(f.times(x, n), y)) for x, y in ((i, j), (j, i))
            )
            lower, upper = load(f, below, dtype, 1), load(f, above, dtype, 1)
            store(f, below, upper, 1)
            store(f, above, lower, 1)

        count_loop(f, i, entry)

    if n > 1:
        count_loop(f, n - 1, row)
