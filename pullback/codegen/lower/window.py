"""Windows at computed places: dynamic_slice copies one out, dynamic_update and dynamic_add write one."""
from __future__ import annotations

from collections.abc import Sequence

from pullback import dtypes
from pullback.codegen.emit_nest import copy_memory, emit_nest, load
from pullback.codegen.index_map import IndexMap, contiguous_strides
from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.lower.selection import check_bounds, element
from pullback.codegen.nest import Access, Nest, collapsed
from pullback.ir.core import Operation, Value
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.types import Shape


def dynamic_slice(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Copy the window out."""
    whole, window = operation.operands[0], operation.result
    source = window_pointer(f, operation, operands[0], operands[1:], whole, window.type.shape, failure)
    inside = IndexMap(window.type.shape, 0, contiguous_strides(whole.type.shape))
    target = window, IndexMap.whole(window.type.shape), results[0]
    copy_elements(f, window.type.shape, (whole, inside, source), target)


def dynamic_write(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Copy the array, then replace the window or add to it."""
    whole, window = operation.operands[:2]
    shape = whole.type.shape
    target = window_pointer(f, operation, results[0], operands[2:], whole, window.type.shape, failure)
    size = whole.type.size * whole.type.dtype.itemsize
    copy_memory(f, results[0], operands[0], size)
    inside = IndexMap(window.type.shape, 0, contiguous_strides(shape))
    copy_elements(
        f, window.type.shape, (window, IndexMap.whole(window.type.shape), operands[1]), (whole, inside, target),
        add=isinstance(operation.op, DynamicAdd),
    )  # fmt: skip


def window_pointer(
    f: FunctionText, operation: Operation, base: str, starts: Sequence[str], whole: Value, sizes: Shape, failure: int
) -> str:
    """A pointer to the window's first element; leaves the kernel with a status if a checked window does not fit."""
    op = operation.op
    assert isinstance(op, DynamicSlice | DynamicUpdate | DynamicAdd)
    total = "0"
    shape = whole.type.shape
    for axis, (pointer, stride) in enumerate(zip(starts, contiguous_strides(shape), strict=True)):
        start = load(f, pointer, dtypes.i64, 1).text
        if op.checked:
            check_bounds(f, start, shape[axis] - sizes[axis] + 1, failure + axis)
        total = f.let(f"add i64 {total}, {f.let(f'mul i64 {start}, {stride}')}")
    return element(f, base, whole.type.dtype, total)


def copy_elements(
    f: FunctionText, shape: Shape, source: tuple[Value, IndexMap, str], target: tuple[Value, IndexMap, str],
    *, add: bool = False,
) -> None:  # fmt: skip
    """Copy (or add) elements from one place to another; each is a buffer, the map of the window there, its pointer."""
    if 0 in shape:
        return
    buffer, map, pointer = source
    into, into_map, into_pointer = target
    nest = Nest(tuple(size for size in shape if size != 1))
    nest.reads[buffer] = Access(buffer, map.squeezed())
    (nest.adds if add else nest.writes).append((buffer, Access(into, into_map.squeezed())))
    emit_nest(f, collapsed(nest), {buffer: pointer, into: into_pointer})
