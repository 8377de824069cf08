"""Copies that may turn rows into columns and change the dtype: pointers of matrices stored row by row in, loops out."""
from __future__ import annotations

from pullback.codegen.emit_nest import copy_memory, count_loop, load, store
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, is_number, memory_type
from pullback.codegen.lower.selection import element
from pullback.dtypes import DType


def turn(
    f: FunctionText, dtype: DType, source: str, target: str, rows: int, columns: int, wanted: DType | None = None
) -> None:
    """Copy a matrix as its transpose, with elements of dtype `wanted` if it is given."""
    wanted = wanted or dtype
    s = LlvmScalarBuilder(f, 1)

    def row(i: str) -> None:
        begin = f.moved(source, memory_type(dtype, 1), f.times(i, columns))
        place = f.moved(target, memory_type(wanted, 1), i)

        def entry(j: str) -> None:
            found = s.cast(load(f, element(f, begin, dtype, j), dtype, 1), wanted)
            store(f, element(f, place, wanted, f.times(j, rows)), found, 1)

        count_loop(f, columns, entry)

    count_loop(f, rows, row)


def copy(f: FunctionText, dtype: DType, source: str, wanted: DType, target: str, count: int | str) -> None:
    """Copy so many elements, at least one, to elements of another dtype."""
    s = LlvmScalarBuilder(f, 1)

    def entry(i: str) -> None:
        store(f, element(f, target, wanted, i), s.cast(load(f, element(f, source, dtype, i), dtype, 1), wanted), 1)

    if dtype == wanted and is_number(str(count)):
        copy_memory(f, target, source, int(count) * dtype.itemsize)
    else:
        count_loop(f, count, entry)
