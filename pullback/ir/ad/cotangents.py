"""Contributions to cotangents as they come in, and their sums: values in, their cotangents so far out."""
from __future__ import annotations

from collections.abc import Mapping

from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.tapes import total
from pullback.ir.core import Value


class Cotangents:
    """The contributions to each value's cotangent that were found so far, on top of a `base` for some.

    A base is what a sum starts with: the sum so far that a loop carries. Adding to it in place is cheap.
    """

    def __init__(self, d: DerivativeBuilder, bases: Mapping[Value, Value]) -> None:
        self.d = d
        self.bases = dict(bases)
        self.parts: dict[Value, list[Value]] = {}

    def __contains__(self, value: Value) -> bool:
        """Whether there is any contribution."""
        return value in self.parts or value in self.bases

    def add(self, value: Value, part: Value) -> None:
        """One more contribution."""
        self.parts.setdefault(value, []).append(part)

    def take(self, value: Value) -> Value | None:
        """The sum of all so far, which is then forgotten; None if there is none."""
        parts = self.parts.pop(value, None)
        base = self.bases.pop(value, None)
        if parts is None:
            return base
        return parts[0] if base is None and len(parts) == 1 else total(self.d, parts, base)

    def restore(self, value: Value, sum_so_far: Value) -> None:
        """Put back a sum that was taken, with more added to it."""
        assert value not in self.parts and value not in self.bases
        self.bases[value] = sum_so_far
