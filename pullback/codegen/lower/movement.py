"""Concatenate and assemble: each operand's elements are stored, or added, at its place in the result."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from pullback.codegen.emit_nest import emit_nest, fill_memory
from pullback.codegen.index_map import IndexMap
from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.nest import Access, Nest, collapsed
from pullback.ir.core import Operation
from pullback.ir.ops.shape import Assemble, Concatenate, Slice


def concatenate(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Operands side by side."""
    op = cast(Concatenate, operation.op)
    starts = op.starts([operand.type for operand in operation.operands])
    steps = [(1,) * len(start) for start in starts]
    _place(f, operation, operands, results[0], starts, steps, overlapping=False)


def assemble(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Zeros, then each operand in its window."""
    op = cast(Assemble, operation.op)
    kind = operation.result.type
    shapes = [operand.type.shape for operand in operation.operands]
    overlapping = op.overlapping(shapes)
    covered = sum(prod(shape) for shape in shapes)
    if overlapping or covered < kind.size:
        zero = "0.0" if kind.dtype.is_float else "0"
        fill_memory(f, results[0], kind.size, kind.dtype, zero)
    _place(f, operation, operands, results[0], list(op.starts), list(op.steps), overlapping)


def _place(
    f: FunctionText,
    operation: Operation,
    operands: Sequence[str],
    result: str,
    starts: Sequence[tuple[int, ...]],
    steps: Sequence[tuple[int, ...]],
    overlapping: bool,
) -> None:
    whole = IndexMap.whole(operation.result.type.shape)
    for operand, pointer, start, step in zip(operation.operands, operands, starts, steps, strict=True):
        shape = operand.type.shape
        if 0 in shape:
            continue
        window = whole.through(Slice(start, shape, step))
        assert window is not None
        nest = Nest(tuple(size for size in shape if size != 1))
        nest.reads[operand] = Access(operand, IndexMap.whole(shape).squeezed())
        target = (operand, Access(operation.result, window.squeezed()))
        if overlapping:
            nest.adds.append(target)
        else:
            nest.writes.append(target)
        emit_nest(f, collapsed(nest), {operand: pointer, operation.result: result}, {}, straight=True)
