"""Lowerings of the operations that are no loop nest of their own: one function per op, found by `lowering`."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.lower import contraction, decomposition, linear_system, movement, selection, sorting
from pullback.ir.core import Op, Operation
from pullback.ir.ops.contraction import Gather, Matmul, ScatterAdd
from pullback.ir.ops.decomposition import Cholesky, Eigh, Pinv, Qr, SlogDet, Svd
from pullback.ir.ops.linear_system import Solve
from pullback.ir.ops.reduction import ArgMax, ArgMin
from pullback.ir.ops.shape import Assemble, Concatenate
from pullback.ir.ops.sorting import ArgSort

Lowering = Callable[[FunctionText, Operation, Sequence[str], Sequence[str], int], None]
"""Takes the function to emit into, the operation, its operands' and results' pointers, and its failure number.

An operation with scratch memory (see `decomposition.scratch_bytes`) has the pointer to it behind those of its operands.
Results that need not be made have empty pointers."""

LOWERINGS: Mapping[type[Op], Lowering] = {
    Matmul: contraction.matmul,
    Gather: selection.gather,
    ScatterAdd: selection.scatter_add,
    ArgMax: selection.arg_extreme,
    ArgMin: selection.arg_extreme,
    ArgSort: sorting.arg_sort,
    Solve: linear_system.solve,
    **dict.fromkeys((Cholesky, SlogDet, Eigh, Svd, Qr, Pinv), decomposition.decompose),
    Assemble: movement.assemble,
    Concatenate: movement.concatenate,
}



def failures_of(operation: Operation) -> int:
    """In how many ways an operation can fail at run time: one per axis that is indexed and checked, or for memory.

    A solve has two: a singular matrix, and no memory. A decomposition may find no parts."""
    match operation.op:
        case Gather() | ScatterAdd() | ArgSort() | Cholesky() | Eigh() | Svd() | Pinv():
            return 1
        case Solve():
            return 2
    return 0
