"""Matrix products: floats by BLAS, integers by a plain loop."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from pullback.codegen.blas_call import emit_gemm
from pullback.codegen.emit_nest import count_loop, load, store
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, memory_type
from pullback.codegen.lower.selection import element
from pullback.ir.core import Operation
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.scalar import Scalar


def matmul(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """One product per leading index."""
    op = cast(Matmul, operation.op)
    x, y = (operand.type for operand in operation.operands)
    result = operation.result.type
    batches = prod(result.shape[:-2])
    m, n = result.shape[-2:]
    k = x.shape[-2] if op.transpose_x else x.shape[-1]
    if m * n * batches == 0:
        return

    def product(batch: str) -> None:
        a, b, c = (
            pointer if batches == 1 else element(f, pointer, kind.dtype, f.let(f"mul i64 {batch}, {size}"))
            for pointer, kind, size in ((operands[0], x, m * k), (operands[1], y, k * n), (results[0], result, m * n))
        )
        if result.dtype.is_float:
            emit_gemm(f, result.dtype, m, n, k, op.transpose_x, op.transpose_y, a, b, c)
        else:
            _plain(f, op, operation, m, n, k, a, b, c)

    if batches == 1:
        product("0")
    else:
        count_loop(f, batches, product)


def _plain(f: FunctionText, op: Matmul, operation: Operation, m: int, n: int, k: int, a: str, b: str, c: str) -> None:
    """Row by column, one element at a time."""
    dtype = operation.result.type.dtype
    s = LlvmScalarBuilder(f, 1)
    slot = f.alloca(memory_type(dtype, 1))

    def entry(position: str) -> None:
        i, j = f.let(f"udiv i64 {position}, {n}"), f.let(f"urem i64 {position}, {n}")
        store(f, slot, s.constant(dtype, 0), 1)

        def term(step: str) -> None:
            left = _place(f, (step, i) if op.transpose_x else (i, step), m if op.transpose_x else k)
            right = _place(f, (j, step) if op.transpose_y else (step, j), k if op.transpose_y else n)
            factors = [load(f, element(f, base, dtype, at), dtype, 1) for base, at in ((a, left), (b, right))]
            product = s.mul(*factors)
            store(f, slot, s.add(load(f, slot, dtype, 1), product), 1)

        if k:
            count_loop(f, k, term)
        store(f, element(f, c, dtype, position), Scalar(load(f, slot, dtype, 1).text, dtype), 1)

    count_loop(f, m * n, entry)


def _place(f: FunctionText, index: tuple[str, str], width: int) -> str:
    """Position of element (row, column) in a matrix of so many columns."""
    row, column = index
    return f.let(f"add i64 {f.let(f'mul i64 {row}, {width}')}, {column}")
