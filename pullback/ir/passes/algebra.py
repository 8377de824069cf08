"""Identities that hold to the last bit, for signed zeros, infinities and NaNs too; nothing is ever reassociated."""
from __future__ import annotations

from math import copysign, frexp, isfinite

from pullback.ir.core import Function, Op, Operation, Value
from pullback.ir.ops.arithmetic import Add, Div, Mul, Neg, Pow, Sub, ZeroMul
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import LogicalNot, Select
from pullback.ir.ops.shape import Transpose
from pullback.ir.passes.canonicalize import constant, source
from pullback.ir.rewrite import Rewriter, Rules, Sources, rewrite


def algebra(function: Function) -> bool:
    """Replace operations by cheaper ones that give the same bits.

        %0 = full {value = 2.0, dtype = f64, dims = ()} : f64[]     // =>  %0 = mul %x, %x : f64[]
        %1 = pow %x, %0 : f64[]                                            return %0
        return %1
    """
    return rewrite(function, RULES)


def same_as(value: Value, number: float) -> bool:
    """Whether `value` is the constant `number`, the sign of zero included."""
    full = constant(value)
    return full is not None and full.value == number and copysign(1.0, full.value) == copysign(1.0, number)


def filled(rewriter: Rewriter, number: float, like: Value) -> Value:
    kind = like.type
    return rewriter.value(Full(number if kind.dtype.is_float else int(number), kind.dtype, kind.dims))


def add_zero(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x + (-0.0) is x for floats (x + 0.0 is not: -0.0 + 0.0 is 0.0); x + 0 is x for integers."""
    x, y = operation.operands
    return x if same_as(y, -0.0 if x.type.dtype.is_float else 0) else None


def sub_zero(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x - 0 is x."""
    x, y = operation.operands
    return x if same_as(y, 0.0) else None


def add_negated(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x + (-y) is x - y."""
    x, y = operation.operands
    negated = source(y, Neg)
    return None if negated is None else rewriter.value(Sub(), x, *negated.operands)


def negated_add(operation: Operation, rewriter: Rewriter) -> Value | None:
    """(-x) + y is y - x."""
    x, y = operation.operands
    negated = source(x, Neg)
    return None if negated is None else rewriter.value(Sub(), y, *negated.operands)


def sub_from_own_negation(operation: Operation, rewriter: Rewriter) -> Value | None:
    """(-x) * y - x * y is -(x * y + x * y): the derivative of -x * x has this form."""
    x, y = operation.operands
    negative, positive = source(x, Mul), source(y, Mul)
    if negative is None or positive is None:
        return None
    for factor, other in (negative.operands, negative.operands[::-1]):
        negated = source(factor, Neg)
        if negated is not None and positive.operands in ((*negated.operands, other), (other, *negated.operands)):
            return rewriter.value(Neg(), rewriter.value(Add(), y, y))
    return None


def mul_one(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x * 1 and x / 1 are x, x * -1 and x / -1 are -x."""
    x, y = operation.operands
    return _by_one(x, y, rewriter)


def one_mul(operation: Operation, rewriter: Rewriter) -> Value | None:
    """1 * x is x, -1 * x is -x."""
    x, y = operation.operands
    return _by_one(y, x, rewriter)


def _by_one(x: Value, other: Value, rewriter: Rewriter) -> Value | None:
    factor = constant(other)
    if factor is None or factor.value not in (1, -1):
        return None
    return x if factor.value == 1 else rewriter.value(Neg(), x)


def integer_mul_zero(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x * 0 is 0, for integers only."""
    x, y = operation.operands
    return y if not x.type.dtype.is_float and same_as(y, 0) else None


def mul_of_negations(operation: Operation, rewriter: Rewriter) -> Value | None:
    """(-x) * (-y) is x * y."""
    x, y = (source(operand, Neg) for operand in operation.operands)
    return None if x is None or y is None else rewriter.value(operation.op, *x.operands, *y.operands)


def div_by_power_of_two(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x / 2**k is x * 2**-k: both are exact scalings, or round alike."""
    x, y = operation.operands
    full = constant(y)
    if full is None or not isfinite(full.value) or full.value == 0 or abs(frexp(full.value)[0]) != 0.5:
        return None
    limit = 2.0**100 if x.type.dtype.itemsize == 4 else 2.0**1000
    if not 1 / limit < abs(full.value) < limit:
        return None
    return rewriter.value(Mul(), x, filled(rewriter, 1.0 / full.value, x))


def double_negation(operation: Operation, rewriter: Rewriter) -> Value | None:
    """-(-x) is x."""
    inner = source(operation.operands[0], Neg)
    return None if inner is None else inner.operands[0]


def double_not(operation: Operation, rewriter: Rewriter) -> Value | None:
    """not not x is x."""
    inner = source(operation.operands[0], LogicalNot)
    return None if inner is None else inner.operands[0]


def simple_pow(operation: Operation, rewriter: Rewriter) -> Value | None:
    """x to a constant power: 2 is x * x, 1 is x, 0 is 1, -1 is 1 / x; each is closer than what `pow` promises."""
    x, y = operation.operands
    full = constant(y)
    if full is None:
        return None
    is_float = x.type.dtype.is_float
    if full.value == 2:
        return rewriter.value(Mul(), x, x)
    if full.value == 1:
        return x
    if full.value == 0:
        return filled(rewriter, 1.0, x)
    if full.value == -1 and is_float:
        return rewriter.value(Div(), filled(rewriter, 1.0, x), x)
    return None


def decided_select(operation: Operation, rewriter: Rewriter) -> Value | None:
    """select by a constant, or between equals, is decided."""
    condition, x, y = operation.operands
    full = constant(condition)
    if full is not None:
        return x if full.value else y
    return x if x is y else None


def constant_zero_mul(operation: Operation, rewriter: Rewriter) -> Value | None:
    """zero_mul of a constant 0 is that; of another constant, or by a positive one, it is a product."""
    x, y = operation.operands
    full = constant(x)
    if full is not None:
        return rewriter.value(Mul(), x, y) if full.value != 0 else x
    finite = constant(y)
    return rewriter.value(Mul(), x, y) if finite is not None and isfinite(finite.value) and finite.value > 0 else None


def transposed_operand(operation: Operation, rewriter: Rewriter) -> Value | None:
    """matmul of a matrix whose last two axes are swapped is matmul with the flag."""
    op = operation.op
    assert isinstance(op, Matmul)
    operands, flags = list(operation.operands), [op.transpose_x, op.transpose_y]
    for side, operand in enumerate(operands):
        inner = source(operand, Transpose)
        if inner is None:
            continue
        assert isinstance(inner.op, Transpose)
        rank = len(inner.op.axes)
        if inner.op.axes == (*range(rank - 2), rank - 1, rank - 2):
            operands[side], flags[side] = inner.operands[0], not flags[side]
    if operands == list(operation.operands):
        return None
    return rewriter.value(Matmul(*flags), *operands)


RULES: Rules = {
    Add: (add_zero, add_negated, negated_add),
    Sub: (sub_zero, sub_from_own_negation),
    Mul: (mul_one, one_mul, integer_mul_zero, mul_of_negations),
    Div: (mul_one, div_by_power_of_two),
    Neg: (double_negation,),
    LogicalNot: (double_not,),
    Pow: (simple_pow,),
    Select: (decided_select,),
    ZeroMul: (constant_zero_mul,),
    Matmul: (transposed_operand,),
}

_CONSTANT: frozenset[type[Op]] = frozenset((Full,))
SOURCES: Sources = {
    **dict.fromkeys((Add, Mul, Div, Neg), _CONSTANT | {Neg}),
    Sub: _CONSTANT | {Neg, Mul},
    **dict.fromkeys((Pow, ZeroMul), _CONSTANT),
    LogicalNot: _CONSTANT | {LogicalNot},
}
"""What an operand must be computed by for one of the rules above, `constant_right` or `fold_constant` to match."""
