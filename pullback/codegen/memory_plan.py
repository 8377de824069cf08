"""Kernels in order in, a place in one arena for every temporary out: memory is reused once its last reader is done."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pullback.ir.core import Value

ALIGNMENT = 64
"""Bytes: a cache line, and the widest vector."""


@dataclass(frozen=True)
class Lifetime:
    """Kernel numbers from the first write to the last use of a temporary, and its size in bytes."""

    first: int
    last: int
    size: int


@dataclass(frozen=True)
class MemoryPlan:
    """Offsets in bytes of each temporary, and the arena's size."""

    offsets: Mapping[Value, int]
    size: int


def plan_memory(lifetimes: Mapping[Value, Lifetime]) -> MemoryPlan:
    """Give each temporary the lowest gap that is free while it lives (first fit, in order of first write)."""
    offsets: dict[Value, int] = {}
    live: list[tuple[int, int, int]] = []
    size = 0
    for value, life in sorted(lifetimes.items(), key=lambda item: item[1].first):
        live = [held for held in live if held[2] >= life.first]
        wanted = -(-max(life.size, 1) // ALIGNMENT) * ALIGNMENT
        offset = _first_gap(sorted(live), wanted)
        offsets[value] = offset
        live.append((offset, offset + wanted, life.last))
        size = max(size, offset + wanted)
    return MemoryPlan(offsets, size)


def _first_gap(held: Sequence[tuple[int, int, int]], wanted: int) -> int:
    """The lowest offset with `wanted` free bytes."""
    offset = 0
    for start, end, _ in held:
        if start - offset >= wanted:
            break
        offset = max(offset, end)
    return offset
