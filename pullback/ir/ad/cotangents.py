"""Contributions to cotangents as they come in, and their sums: values in, their cotangents so far out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from pullback.ir.ad.build import DerivativeBuilder, is_window
from pullback.ir.ad.tapes import total
from pullback.ir.core import Value
from pullback.ir.types import TapeType


class Cotangents:
    """The contributions to each value's cotangent that were found so far, on top of a `base` for some.

    A base is what a sum starts with: the sum so far that a loop carries. It is added to last, once, so that an iteration
    waits for one addition on the one before. Whole contributions are added up as they come, so that few are alive at a
    time; windows wait, because together they are one operation.
    """

    def __init__(self, d: DerivativeBuilder, bases: Mapping[Value, Value]) -> None:
        self.d = d
        self.bases = dict(bases)
        self.whole: dict[Value, Value] = {}
        self.others: dict[Value, list[Value]] = {}

    def __contains__(self, value: Value) -> bool:
        """Whether there is any contribution."""
        return value in self.whole or value in self.others or value in self.bases

    def any_of(self, values: Sequence[Value]) -> bool:
        """Whether there is any contribution to one of some values."""
        return not (
            self.whole.keys().isdisjoint(values)
            and self.others.keys().isdisjoint(values)
            and self.bases.keys().isdisjoint(values)
        )

    def add(self, value: Value, part: Value) -> None:
        """One more contribution."""
        if isinstance(part.type, TapeType) or is_window(part):
            self.others.setdefault(value, []).append(part)
        elif value in self.whole:
            self.whole[value] = self.d.sum(self.whole[value], part)
        else:
            self.whole[value] = part

    def take(self, value: Value) -> Value | None:
        """The sum of all so far, which is then forgotten; None if there is none."""
        whole = self.whole.pop(value, None)
        if whole is not None and value not in self.others and value not in self.bases:
            return whole
        parts = [] if whole is None else [whole]
        parts += self.others.pop(value, [])
        base = self.bases.pop(value, None)
        if not parts:
            return base
        return parts[0] if base is None and len(parts) == 1 else total(self.d, parts, base)

    def restore(self, value: Value, sum_so_far: Value) -> None:
        """Put back a sum that was taken, with more added to it."""
        assert value not in self
        self.bases[value] = sum_so_far
