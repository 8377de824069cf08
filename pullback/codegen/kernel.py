"""What native code is made of, for people and for estimates: one record for each piece that is emitted."""
from __future__ import annotations

from dataclasses import dataclass

from pullback.ir.core import Operation, Value


@dataclass(frozen=True)
class Kernel:
    """One piece of native code: what it does, the buffers it reads and writes, and those of them that it writes.

    `operations` are those that it computes, in their order. `function` is where it stands: a function of its own, or
    the body. `cost` is a rough number of nanoseconds of one run.
    """

    title: str
    buffers: list[Value]
    written: list[Value]
    cost: int
    operations: tuple[Operation, ...]
    function: str
