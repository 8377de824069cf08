"""What an adjoint keeps of its primal: the regions of both in, the values to save or compute again out."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

from pullback.ir.ad.flow import UNBOUNDED, Network
from pullback.ir.analysis.uses import own_values, reads, substitute
from pullback.ir.clone import copy_operation
from pullback.ir.core import Operation, Region, Value
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
from pullback.ir.ops.logic import Bitwise, Comparison, IsFinite, Select
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Assemble, Concatenate, Reshape, Slice, Transpose
from pullback.ir.ops.window import DynamicSlice
from pullback.ir.types import ArrayType, TapeType

MOVES = (Creation, Broadcast, Reshape, Transpose, Slice, Assemble, Concatenate, DynamicSlice, Gather)
"""Ops without arithmetic: making their result again costs no more than reading it back."""
ARITHMETIC = (
    Add, Sub, Mul, ZeroMul, Div, Neg, Abs, Sign, Extreme, Cast, Comparison, Bitwise, Select, IsFinite, Sqrt, Rounding, Relu,
    StopGradient,
)  # fmt: skip
"""Ops of one or a few instructions an element."""
LARGEST_NETWORK = 50_000
"""Values among which the cut is searched; beyond, what is needed is saved as it is."""
TAPE_BYTES = 64
UNKNOWN_DIM = 64


@dataclass(frozen=True)
class Residuals:
    """`saved` values of a region and, in order, the operations to run again on them; `free` ones used cost nothing."""

    saved: list[Value]
    recomputed: list[Operation]
    free: set[Value]


def choose(region: Region, adjoint: Region, free: Iterable[Value] = ()) -> Residuals:
    """The cheapest residuals by which `adjoint` can do without the values that `region` itself defines.

    Values of regions around stay visible and cost nothing, as do those in `free`. Of the rest, those with the fewest
    bytes are saved from which cheap operations give what the adjoint reads: a minimum cut between primal and adjoint.
    Cheap are operations that move elements or do exact arithmetic; run on the same bits they give the same bits.
    """
    own, at_hand = set(own_values(region)), set(free)
    needed = list(dict.fromkeys(value for value in reads(adjoint) if value in own))
    involved = _involved(needed, own, at_hand)
    if len(involved) > LARGEST_NETWORK:
        saved = {value for value in needed if value not in at_hand}
    else:
        saved = _cut(needed, involved, at_hand)
    # Walk back from what is needed to what is saved: what lies between is computed again.
    again: set[Operation] = set()
    used: set[Value] = set()
    pending = list(needed)
    while pending:
        value = pending.pop()
        if value in used or value not in own:
            continue
        used.add(value)
        if value not in saved and value not in at_hand:
            assert value.owner is not None
            again.add(value.owner)
            pending.extend(value.owner.operands)
    kept = [value for value in own_values(region) if value in saved]
    recomputed = [operation for operation in region.operations if operation in again]
    return Residuals(kept, recomputed, used & at_hand)


def supply(adjoint: Region, residuals: Residuals, stand_ins: Mapping[Value, Value]) -> None:
    """Let `adjoint` read what `stand_ins` holds for saved and free values, and compute the others at its start."""
    replaced = dict(stand_ins)
    front = []
    for operation in residuals.recomputed:
        front.append(copy_operation(operation, replaced))
        op = front[-1].op
        if isinstance(op, DynamicSlice):
            front[-1].op = replace(op, checked=False)
    substitute(adjoint, replaced)
    adjoint.operations[:0] = front


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


def _involved(needed: list[Value], own: set[Value], at_hand: set[Value]) -> dict[Value, None]:
    """What is needed, and all that cheap operations compute it from."""
    found: dict[Value, None] = {}
    pending = list(needed)
    while pending:
        value = pending.pop()
        if value in found or value not in own or value in at_hand:
            continue
        found[value] = None
        if value.owner is not None and cheap(value.owner):
            pending.extend(value.owner.operands)
    return found


def _cut(needed: list[Value], involved: dict[Value, None], at_hand: set[Value]) -> set[Value]:
    """The values to save: cheapest in bytes, and of equals those nearest to the adjoint.

    Each value is an edge from its making to its use, as wide as its bytes. What cannot be made again comes from the
    source, what the adjoint reads goes to the sink; a cheap operation ties its operands' uses to its result's making.
    """
    number = {value: 2 + 2 * place for place, value in enumerate(involved)}
    network = Network(2 + 2 * len(number))
    for value, made in number.items():
        # Of equals, what moves elements only is made again rather than saved.
        moved = value.owner is not None and isinstance(value.owner.op, MOVES)
        network.edge(made, made + 1, 8 * size_in_bytes(value.type) + (2 if moved else 1))
        if value.owner is None or not cheap(value.owner):
            network.edge(0, made, UNBOUNDED)
            continue
        for operand in dict.fromkeys(value.owner.operands):
            if operand in number:
                network.edge(number[operand] + 1, made, UNBOUNDED)
    for value in needed:
        if value in number:
            network.edge(number[value] + 1, 1, UNBOUNDED)
    beyond = network.sink_side(0, 1)
    return {value for value, made in number.items() if made + 1 in beyond and made not in beyond}
