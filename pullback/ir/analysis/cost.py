"""What operations cost, roughly: an operation or a type in, whether it is cheap or how many bytes it takes out."""
from __future__ import annotations

from math import prod

from pullback.ir.core import Operation
from pullback.ir.ops.arithmetic import (
    Abs,
    Add,
    Cast,
    Div,
    Extreme,
    FloorDivide,
    Mul,
    Neg,
    Remainder,
    Sign,
    Sub,
    ZeroMul,
)
from pullback.ir.ops.contraction import Gather
from pullback.ir.ops.creation import Creation
from pullback.ir.ops.elementary import Relu, Rounding, Sqrt, StopGradient
from pullback.ir.ops.logic import Bitwise, Comparison, IsFinite, Masked, Select
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Assemble, Concatenate, Reshape, Slice, Transpose
from pullback.ir.ops.window import DynamicSlice
from pullback.ir.types import ArrayType, TapeType

MOVES = (Creation, Broadcast, Reshape, Transpose, Slice, Assemble, Concatenate, DynamicSlice, Gather)
"""Ops without arithmetic: making their result again costs no more than reading it back."""
ARITHMETIC = (
    Add, Sub, Mul, ZeroMul, Div, Neg, Abs, Sign, Extreme, Cast, Comparison, Bitwise, Select, IsFinite, Masked, Sqrt, Rounding,
    Relu, StopGradient,
)  # fmt: skip
"""Ops of one or a few instructions an element."""
TAPE_BYTES = 64
UNKNOWN_DIM = 64


def is_move(operation: Operation) -> bool:
    """Whether an operation moves or makes elements without arithmetic: whoever reads its result can do so instead."""
    return isinstance(operation.op, MOVES)


def is_view(operation: Operation) -> bool:
    """Whether an operation gives a whole array by moves alone: fused with its readers it takes no memory."""
    return is_move(operation) and any(dim != 1 for result in operation.results for dim in result.type.dims)


def cheap(operation: Operation) -> bool:
    """Whether computing an operation again is about as fast as reading its result from memory."""
    op = operation.op
    return isinstance(op, MOVES + ARITHMETIC) or (
        isinstance(op, FloorDivide | Remainder) and operation.result.type.dtype.is_integer
    )


def size_in_bytes(kind: ArrayType) -> int:
    """Bytes that a value takes in a record; dims that are not known count as `UNKNOWN_DIM`."""
    if isinstance(kind, TapeType):
        return TAPE_BYTES
    return kind.dtype.itemsize * prod(dim if isinstance(dim, int) else UNKNOWN_DIM for dim in kind.dims)
