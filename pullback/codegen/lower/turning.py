"""Copies that may turn rows into columns and change the dtype: pointers of matrices stored row by row in, loops out."""
from __future__ import annotations

from pullback.codegen.emit_nest import copy_memory, count_loop, load, store
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, is_number, memory_type
from pullback.codegen.lower.selection import element
from pullback.dtypes import DType

LANES = 8
"""Rows that are turned at once."""


def turn(
    f: FunctionText, dtype: DType, source: str, target: str, rows: int, columns: int, wanted: DType | None = None
) -> None:
    """Copy a matrix as its transpose, with elements of dtype `wanted` if it is given."""
    kind, main = wanted or dtype, rows - rows % LANES

    def several(first: str, lanes: int) -> None:
        """So many rows at once: what is read here and there is written side by side."""
        s = LlvmScalarBuilder(f, lanes)
        begin = f.moved(source, memory_type(dtype, 1), f.times(first, columns))
        place = f.moved(target, memory_type(kind, 1), first)

        def entry(j: str) -> None:
            found = s.cast(load(f, element(f, begin, dtype, j), dtype, lanes, columns), kind)
            store(f, element(f, place, kind, f.times(j, rows)), found, lanes)

        count_loop(f, columns, entry)

    if main:
        count_loop(f, main // LANES, lambda block: several(f.times(block, LANES), LANES))
    if rows > main:
        several(str(main), rows - main)


def copy(f: FunctionText, dtype: DType, source: str, wanted: DType, target: str, count: int | str) -> None:
    """Copy so many elements, at least one, to elements of another dtype."""
    s = LlvmScalarBuilder(f, 1)

    def entry(i: str) -> None:
        store(f, element(f, target, wanted, i), s.cast(load(f, element(f, source, dtype, i), dtype, 1), wanted), 1)

    if dtype == wanted and is_number(str(count)):
        copy_memory(f, target, source, int(count) * dtype.itemsize)
    else:
        count_loop(f, count, entry)
