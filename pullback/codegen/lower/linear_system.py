"""solve: one system per leading index, each on a copy of its matrix."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from pullback.codegen.emit_nest import copy_memory, count_loop
from pullback.codegen.lapack_call import emit_elimination, emit_gesv, system_library
from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.lower.selection import STATUS_BITS, element
from pullback.codegen.lower.turning import turn
from pullback.ir.core import Operation
from pullback.ir.ops.linear_system import Solve

STACK_BYTES = 2048
"""Scratch memory up to this size is on the stack."""


def solve(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Solve system by system; leaves with a status for a singular matrix, or (the next one) without memory."""
    transpose = cast(Solve, operation.op).transpose
    *lead, n, k = operation.result.type.shape
    dtype, batches = operation.result.type.dtype, prod(lead)
    if batches * n * k == 0:
        return
    library = system_library(dtype, n, k)
    # LAPACK has matrices in column order; a single right side is the same in both.
    turned = library is not None and k > 1
    sizes = (n * n * dtype.itemsize, n * k * dtype.itemsize if turned else 0, 8 * n if library else 0)
    total = sum(sizes)
    scratch = f.alloca(f"[{total} x i8]", 16) if total <= STACK_BYTES else _allocated(f, total, failure + 1)
    a, pivots, columns = (f.moved(scratch, "i8", str(start)) for start in (0, sizes[0], sizes[0] + sizes[2]))

    def system(number: str) -> None:
        matrix, right, target = (
            element(f, pointer, dtype, f.times(number, size))
            for pointer, size in ((operands[0], n * n), (operands[1], n * k), (results[0], n * k))
        )
        if transpose is (library is None):
            turn(f, dtype, matrix, a, n, n)
        else:
            copy_memory(f, a, matrix, n * n * dtype.itemsize)
        b = columns if turned else target
        if turned:
            turn(f, dtype, right, b, n, k)
        else:
            copy_memory(f, b, right, n * k * dtype.itemsize)
        if library is None:
            pivot = emit_elimination(f, dtype, n, k, a, b)
        else:
            pivot = emit_gesv(f, dtype, n, k, a, b, pivots, library)
        solved, singular = f.fresh_label("solved"), f.fresh_label("singular")
        f.emit(f"br i1 {f.let(f'icmp eq i64 {pivot}, 0')}, label %{solved}, label %{singular}")
        f.label(singular)
        _release(f, scratch, total)
        place = f.plus(f.times(number, n), f.let(f"sub i64 {pivot}, 1"))
        f.leave(f.let(f"or i64 {f.let(f'shl i64 {place}, {STATUS_BITS}')}, {failure}"))
        f.label(solved)
        if turned:
            turn(f, dtype, b, target, k, n)

    if batches == 1:
        system("0")
    else:
        count_loop(f, batches, system)
    _release(f, scratch, total)


def _allocated(f: FunctionText, size: int, failure: int) -> str:
    """Memory from the heap; leaves with a status if there is none."""
    scratch = f.call("malloc", "ptr", (("i64", str(size)),))
    none, some = f.fresh_label("none"), f.fresh_label("some")
    f.emit(f"br i1 {f.let(f'icmp eq ptr {scratch}, null')}, label %{none}, label %{some}")
    f.label(none)
    f.leave(str((size << STATUS_BITS) | failure))
    f.label(some)
    return scratch


def _release(f: FunctionText, scratch: str, size: int) -> None:
    if size > STACK_BYTES:
        f.call("free", "void", (("ptr", scratch),))
