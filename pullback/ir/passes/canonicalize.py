"""One form for what can be said in several: operations that move nothing go, chains of moves become one."""
from __future__ import annotations

from pullback.ir.core import Function, Op, Operation, Value
from pullback.ir.ops.arithmetic import Add, Cast, Mul
from pullback.ir.ops.creation import Full
from pullback.ir.ops.reduction import Broadcast, ReduceAll, ReduceAny, ReduceMax, ReduceMin, ReduceProd, ReduceSum
from pullback.ir.ops.shape import Assemble, Concatenate, Reshape, Slice, Transpose
from pullback.ir.rewrite import Rewriter, Rules, rewrite


def canonicalize(function: Function) -> bool:
    """Remove moves that move nothing, join moves of moves, and move constants by making them anew.

        %0 = transpose %x {axes = (1, 0)} : f64[3, 2]     // =>  return %x
        %1 = transpose %0 {axes = (1, 0)} : f64[2, 3]
        return %1
    """
    return rewrite(function, RULES)


def source(value: Value, kind: type[Op]) -> Operation | None:
    """The operation that computes `value`, if its op is of this kind."""
    owner = value.owner
    return owner if owner is not None and isinstance(owner.op, kind) else None


def constant(value: Value) -> Full | None:
    """The constant that `value` is."""
    owner = value.owner
    return owner.op if owner is not None and type(owner.op) is Full else None


def same_type(operation: Operation, rewriter: Rewriter) -> Value | None:
    """reshape(x) of x's own shape is x; so are a cast to its dtype and a broadcast along no axis."""
    (operand,) = operation.operands
    return operand if operand.type == operation.result.type else None


def moved_constant(operation: Operation, rewriter: Rewriter) -> Value | None:
    """reshape, transpose, broadcast or slice of a constant is a constant."""
    full = constant(operation.operands[0])
    return None if full is None else rewriter.value(Full(full.value, full.dtype, operation.result.type.dims))


def reshape_of_reshape(operation: Operation, rewriter: Rewriter) -> Value | None:
    """reshape(reshape(x)) is reshape(x)."""
    inner = source(operation.operands[0], Reshape)
    return None if inner is None else rewriter.value(operation.op, *inner.operands)


def identity_transpose(operation: Operation, rewriter: Rewriter) -> Value | None:
    """transpose(x) that leaves every axis is x."""
    assert isinstance(operation.op, Transpose)
    return operation.operands[0] if operation.op.axes == tuple(range(len(operation.op.axes))) else None


def transpose_of_transpose(operation: Operation, rewriter: Rewriter) -> Value | None:
    """transpose(transpose(x)) is one transpose."""
    inner = source(operation.operands[0], Transpose)
    if inner is None:
        return None
    assert isinstance(operation.op, Transpose) and isinstance(inner.op, Transpose)
    return rewriter.value(Transpose(tuple(inner.op.axes[axis] for axis in operation.op.axes)), *inner.operands)


def broadcast_of_broadcast(operation: Operation, rewriter: Rewriter) -> Value | None:
    """broadcast(broadcast(x)) is one broadcast."""
    inner = source(operation.operands[0], Broadcast)
    if inner is None:
        return None
    assert isinstance(operation.op, Broadcast) and isinstance(inner.op, Broadcast)
    axes = tuple(operation.op.axes[axis] for axis in inner.op.axes)
    return rewriter.value(Broadcast(operation.op.dims, axes), *inner.operands)


def whole_slice(operation: Operation, rewriter: Rewriter) -> Value | None:
    """slice(x) of everything, forward, is x."""
    assert isinstance(operation.op, Slice)
    op, operand = operation.op, operation.operands[0]
    forward = all(step == 1 for step, size in zip(op.steps, op.sizes, strict=True) if size > 1)
    return operand if op.sizes == operand.type.dims and forward and not any(op.starts) else None


def slice_of_slice(operation: Operation, rewriter: Rewriter) -> Value | None:
    """slice(slice(x)) is one slice."""
    inner = source(operation.operands[0], Slice)
    if inner is None:
        return None
    outer, op = operation.op, inner.op
    assert isinstance(outer, Slice) and isinstance(op, Slice)
    starts = tuple(a + b * c for a, b, c in zip(op.starts, op.steps, outer.starts, strict=True))
    steps = tuple(a * b for a, b in zip(op.steps, outer.steps, strict=True))
    if 0 in outer.sizes:
        return None
    return rewriter.value(Slice(starts, outer.sizes, steps), *inner.operands)


def single_concatenate(operation: Operation, rewriter: Rewriter) -> Value | None:
    """concatenate of one is that one."""
    return operation.operands[0] if len(operation.operands) == 1 else None


def covering_assemble(operation: Operation, rewriter: Rewriter) -> Value | None:
    """assemble of one operand that covers everything, forward, is that operand."""
    op = operation.op
    assert isinstance(op, Assemble)
    if len(operation.operands) != 1 or operation.operands[0].type.dims != op.dims or any(op.starts[0]):
        return None
    return operation.operands[0] if all(step == 1 for step in op.steps[0]) else None


def reduce_nothing(operation: Operation, rewriter: Rewriter) -> Value | None:
    """A reduction over no axes is its operand."""
    return operation.operands[0] if not getattr(operation.op, "axes", True) else None


def constant_right(operation: Operation, rewriter: Rewriter) -> Value | None:
    """add and mul take their constant on the right."""
    left, right = operation.operands
    if constant(left) is None or constant(right) is not None:
        return None
    return rewriter.value(operation.op, right, left)


def exact_cast_of_cast(operation: Operation, rewriter: Rewriter) -> Value | None:
    """cast(cast(x)) where the inner one loses nothing is one cast."""
    inner = source(operation.operands[0], Cast)
    if inner is None:
        return None
    narrow, wide = inner.operands[0].type.dtype, inner.result.type.dtype
    widening = narrow.is_bool or (narrow.kind is wide.kind and narrow.itemsize <= wide.itemsize)
    if not widening or operation.result.type.dtype.is_bool:
        return None
    return rewriter.value(operation.op, *inner.operands)


RULES: Rules = {
    Reshape: (same_type, moved_constant, reshape_of_reshape),
    Transpose: (identity_transpose, moved_constant, transpose_of_transpose),
    Broadcast: (same_type, moved_constant, broadcast_of_broadcast),
    Slice: (whole_slice, moved_constant, slice_of_slice),
    Cast: (same_type, exact_cast_of_cast),
    Concatenate: (single_concatenate,),
    Assemble: (covering_assemble,),
    Add: (constant_right,),
    Mul: (constant_right,),
    **dict.fromkeys((ReduceSum, ReduceProd, ReduceMax, ReduceMin, ReduceAny, ReduceAll), (reduce_nothing,)),
}
