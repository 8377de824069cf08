"""Windows at computed places: what was just written is known, and adding to a window is one operation."""
from __future__ import annotations

from dataclasses import replace

from pullback.ir.core import Function, Operation, Value
from pullback.ir.ops.arithmetic import NUMBERS, Add
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.rewrite import Rewriter, Rules, rewrite


def windows(function: Function) -> bool:
    """Join reads and writes of the same window, keeping every bit.

        %0 = dynamic_slice %x, %i {sizes = (1,), checked = true} : f64[1]      // =>  %0 = dynamic_add %x, %w, %i …
        %1 = add %0, %w : f64[1]                                                      return %0
        %2 = dynamic_update %x, %1, %i {checked = false} : f64[3]
        return %2
    """
    return rewrite(function, RULES)


def read_of_write(operation: Operation, rewriter: Rewriter) -> Value | None:
    """Reading the window that was just written gives what was written."""
    whole, *starts = operation.operands
    written = whole.owner
    if written is None or not isinstance(written.op, DynamicUpdate):
        return None
    _, window, *places = written.operands
    return window if window.type == operation.result.type and places == starts else None


def write_over_write(operation: Operation, rewriter: Rewriter) -> Value | None:
    """Of two writes to one window the first has no effect."""
    whole, window, *starts = operation.operands
    written = whole.owner
    if written is None or not isinstance(written.op, DynamicUpdate):
        return None
    under, other, *places = written.operands
    if other.type != window.type or places != starts:
        return None
    op = operation.op
    assert isinstance(op, DynamicUpdate)
    return rewriter.value(replace(op, checked=op.checked or written.op.checked), under, window, *starts)


def write_of_sum(operation: Operation, rewriter: Rewriter) -> Value | None:
    """Writing what was read plus something adds it: x[i] = x[i] + w is x[i] += w, to the bit."""
    whole, window, *starts = operation.operands
    added = window.owner
    if added is None or not isinstance(added.op, Add) or whole.type.dtype not in NUMBERS:
        return None
    for read, other in (added.operands, added.operands[::-1]):
        owner = read.owner
        if owner is not None and isinstance(owner.op, DynamicSlice) and list(owner.operands) == [whole, *starts]:
            op = operation.op
            assert isinstance(op, DynamicUpdate)
            return rewriter.value(DynamicAdd(op.checked or owner.op.checked), whole, other, *starts)
    return None


RULES: Rules = {
    DynamicSlice: (read_of_write,),
    DynamicUpdate: (write_over_write, write_of_sum),
}
