"""Rows by index (gather, scatter_add) and the index of an extreme (argmax, argmin)."""
from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from pullback import dtypes
from pullback.codegen.emit_nest import copy_memory, count_loop, fill_memory, load, store
from pullback.codegen.index_map import IndexMap
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, memory_type
from pullback.dtypes import DType
from pullback.ir.core import Operation
from pullback.ir.ops.reduction import ArgExtreme, ArgMax
from pullback.ir.ops.scalar import Compare, Scalar

STATUS_BITS = 20
"""A failing kernel returns the offending index above these bits and its failure number, at least 1, in them."""


def element(f: FunctionText, pointer: str, dtype: DType, index: str) -> str:
    """A pointer to element `index`."""
    return f.let(f"getelementptr {memory_type(dtype, 1)}, ptr {pointer}, i64 {index}")


def _checked_index(f: FunctionText, pointer: str, position: str, size: int, failure: int) -> str:
    """An index from memory; leaves the kernel with a status if it is out of bounds."""
    index = load(f, element(f, pointer, dtypes.i64, position), dtypes.i64, 1).text
    check_bounds(f, index, size, failure)
    return index


def check_bounds(f: FunctionText, index: str, size: int, failure: int) -> None:
    """Leave the kernel with a status unless the index lies in 0..size - 1."""
    fits = f.let(f"icmp ult i64 {index}, {size}")
    good, bad = f.fresh_label("inside"), f.fresh_label("outside")
    f.emit(f"br i1 {fits}, label %{good}, label %{bad}")
    f.label(bad)
    status = f.let(f"shl i64 {index}, {STATUS_BITS}")
    status = f.let(f"or i64 {status}, {failure}")
    f.leave(status)
    f.label(good)


def gather(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Copy the chosen rows."""
    x, index = (operand.type for operand in operation.operands)
    row = prod(x.shape[1:])

    def body(position: str) -> None:
        chosen = _checked_index(f, operands[1], position, x.shape[0], failure)
        source = element(f, operands[0], x.dtype, f.let(f"mul i64 {chosen}, {row}"))
        target = element(f, results[0], x.dtype, f.let(f"mul i64 {position}, {row}"))
        if row == 1:
            store(f, target, load(f, source, x.dtype, 1), 1)
        elif row:
            size = row * x.dtype.itemsize
            copy_memory(f, target, source, size)

    if index.size:
        count_loop(f, index.size, body)


def scatter_add(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Zeros, then add each update to its row, in order."""
    index = operation.operands[0].type
    kind = operation.result.type
    dtype = kind.dtype
    row = prod(kind.shape[1:])
    fill_memory(f, results[0], kind.size, dtype, "0.0" if dtype.is_float else "0")

    def add(target: str, source: str, lanes: int) -> None:
        total = LlvmScalarBuilder(f, lanes).add(load(f, target, dtype, lanes), load(f, source, dtype, lanes))
        store(f, target, total, lanes)

    def body(position: str) -> None:
        chosen = _checked_index(f, operands[0], position, kind.shape[0], failure)
        target = element(f, results[0], dtype, f.let(f"mul i64 {chosen}, {row}"))
        source = element(f, operands[1], dtype, f.let(f"mul i64 {position}, {row}"))
        lanes = 8
        main = row - row % lanes

        def vectors(block: str) -> None:
            offset = f.let(f"mul i64 {block}, {lanes}")
            add(element(f, target, dtype, offset), element(f, source, dtype, offset), lanes)

        if main:
            count_loop(f, main // lanes, vectors)
        if row > main:
            add(element(f, target, dtype, str(main)), element(f, source, dtype, str(main)), row - main)

    if index.size:
        count_loop(f, index.size, body)


def arg_extreme(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """The first extreme along an axis, NaN counting as the extreme."""
    op = cast(ArgExtreme, operation.op)
    kind = operation.operands[0].type
    dtype, map = kind.dtype, IndexMap.whole(kind.shape)
    size, stride = kind.shape[op.axis], map.strides[op.axis]
    outer = prod(kind.shape[: op.axis])
    if outer * stride == 0:
        return
    s = LlvmScalarBuilder(f, 1)
    predicate = Compare.GT if isinstance(op, ArgMax) else Compare.LT
    best_slot = f.alloca(memory_type(dtype, 1))
    index_slot = f.alloca("i64")

    def line(position: str) -> None:
        block = f.let(f"udiv i64 {position}, {stride}")
        within = f.let(f"urem i64 {position}, {stride}")
        start = f.let(f"mul i64 {block}, {size * stride}")
        first = element(f, operands[0], dtype, f.let(f"add i64 {start}, {within}"))
        store(f, best_slot, load(f, first, dtype, 1), 1)
        store(f, index_slot, Scalar("0", dtypes.i64), 1)

        def candidate(step: str) -> None:
            here = load(f, element(f, first, dtype, f.let(f"mul i64 {step}, {stride}")), dtype, 1)
            best = load(f, best_slot, dtype, 1)
            wins = s.compare(predicate, here, best)
            if dtype.is_float:
                undefined = s.bit_and(s.compare(Compare.NE, here, here), s.compare(Compare.EQ, best, best))
                wins = s.bit_or(wins, undefined)
            store(f, best_slot, s.select(wins, here, best), 1)
            index = load(f, index_slot, dtypes.i64, 1)
            store(f, index_slot, s.select(wins, Scalar(step, dtypes.i64), index), 1)

        count_loop(f, size, candidate)
        store(f, element(f, results[0], dtypes.i64, position), load(f, index_slot, dtypes.i64, 1), 1)

    count_loop(f, outer * stride, line)
