"""Integer scalars as sums: what two computed indices differ by, and between which numbers an index must lie."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pullback.ir.core import Value
from pullback.ir.ops.arithmetic import Add, Cast, FloorDivide, Maximum, Minimum, Mul, Neg, Remainder, Sub
from pullback.ir.ops.creation import Full
from pullback.ir.ops.logic import Select

Bounds = tuple[int, int]
BEYOND = 1 << 62
UNKNOWN: Bounds = (-BEYOND, BEYOND)
MAX_DEPTH = 40


@dataclass(frozen=True)
class Affine:
    """``constant`` plus each value times its factor."""

    factors: Mapping[Value, int]
    constant: int

    def plus(self, other: Affine, sign: int = 1) -> Affine:
        factors = dict(self.factors)
        for value, factor in other.factors.items():
            factors[value] = factors.get(value, 0) + sign * factor
        return Affine({value: f for value, f in factors.items() if f}, self.constant + sign * other.constant)

    def times(self, factor: int) -> Affine:
        return Affine({value: f * factor for value, f in self.factors.items() if factor}, self.constant * factor)


def constant(value: int) -> Affine:
    return Affine({}, value)


def affine(value: Value, depth: int = 0) -> Affine:
    """The sum that an integer scalar is; what is none is a term of its own."""
    owner = value.owner
    term = Affine({value: 1}, 0)
    if owner is None or depth > MAX_DEPTH or value.type.dims or not value.type.dtype.is_integer:
        return term
    match owner.op:
        case Full(value=number):
            return constant(int(number))
        case Add():
            return affine(owner.operands[0], depth + 1).plus(affine(owner.operands[1], depth + 1))
        case Sub():
            return affine(owner.operands[0], depth + 1).plus(affine(owner.operands[1], depth + 1), -1)
        case Neg():
            return affine(owner.operands[0], depth + 1).times(-1)
        case Mul():
            left, right = (affine(operand, depth + 1) for operand in owner.operands)
            if not left.factors:
                return right.times(left.constant)
            return left.times(right.constant) if not right.factors else term
        case Cast() if owner.operands[0].type.dtype == value.type.dtype:
            return affine(owner.operands[0], depth + 1)
    return term


def bounds(value: Value, known: Mapping[Value, Bounds], depth: int = 0) -> Bounds:
    """Least and largest number that an integer scalar can be, given those of loop counters (which do not overflow)."""
    total = affine(value)
    low = high = total.constant
    for term, factor in total.factors.items():
        least, most = known.get(term) or _of_operation(term, known, depth)
        if least <= -BEYOND or most >= BEYOND:
            # One open end stays open.
            ends = (least <= -BEYOND, most >= BEYOND)
            below, above = ends if factor > 0 else ends[::-1]
            low = -BEYOND if below or low <= -BEYOND else low + factor * (least if factor > 0 else most)
            high = BEYOND if above or high >= BEYOND else high + factor * (most if factor > 0 else least)
            continue
        low = low if low <= -BEYOND else low + min(factor * least, factor * most)
        high = high if high >= BEYOND else high + max(factor * least, factor * most)
    return max(low, -BEYOND), min(high, BEYOND)


def _of_operation(value: Value, known: Mapping[Value, Bounds], depth: int) -> Bounds:
    owner = value.owner
    if owner is None or depth > MAX_DEPTH or value.type.dims or not value.type.dtype.is_integer:
        return UNKNOWN
    match owner.op:
        case Remainder():
            low, high = bounds(owner.operands[1], known, depth + 1)
            return (0, high - 1) if low > 0 and high < BEYOND else UNKNOWN
        case FloorDivide():
            low, high = bounds(owner.operands[0], known, depth + 1)
            by, most = bounds(owner.operands[1], known, depth + 1)
            if by == most and by > 0 and low > -BEYOND and high < BEYOND:
                return low // by, high // by
            return (0, BEYOND) if low >= 0 and by > 0 else UNKNOWN
        case Maximum() | Minimum():
            (a, b), (c, d) = (bounds(operand, known, depth + 1) for operand in owner.operands)
            return (max(a, c), max(b, d)) if isinstance(owner.op, Maximum) else (min(a, c), min(b, d))
        case Select():
            (a, b), (c, d) = (bounds(operand, known, depth + 1) for operand in owner.operands[1:])
            return min(a, c), max(b, d)
    return UNKNOWN
