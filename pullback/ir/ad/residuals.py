"""What an adjoint keeps of its primal: the regions of both in, the values to save or compute again out."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from pullback.ir.ad.flow import UNBOUNDED, Network
from pullback.ir.analysis.cost import cheap, is_move, size_in_bytes
from pullback.ir.analysis.uses import own_values, reads, substitute
from pullback.ir.clone import copy_operation
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.window import DynamicSlice

LARGEST_NETWORK = 50_000
"""Values among which the cut is searched; beyond, what is needed is saved as it is."""


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
        moved = value.owner is not None and is_move(value.owner)
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
