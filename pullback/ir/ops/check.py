"""The one op that is run for what it does: `check`, which raises a user's exception unless a condition holds."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback.dtypes import boolean
from pullback.errors import DTypeError
from pullback.ir.complaint import Complaint, Hole, mark
from pullback.ir.core import Array, Builder, Region, Sample, Value
from pullback.ir.ops.base import Flat
from pullback.ir.ops.reduction import ReduceAll
from pullback.ir.registry import register
from pullback.ir.types import ArrayType
from pullback.location import UNKNOWN, Location


@register
@dataclass(frozen=True)
class Check(Flat):
    """``(bool[], a...) -> ()``: goes on if the condition holds, else raises; the other operands fill in the message.

    Operations that may fail or may not end keep their order with it.
    """

    raises: Complaint
    name: ClassVar[str] = "check"
    least: ClassVar[int] = 1
    effect: ClassVar[bool] = True

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        if types[0] != ArrayType(boolean, ()):
            raise DTypeError(f"check: the condition must be bool[], not {types[0]}")
        return ()

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        self.run(operands, UNKNOWN)
        return ()

    def run(self, operands: Sequence[Array], location: Location) -> None:
        """Raises: the exception, from the user's line, unless the condition holds."""
        if not operands[0]:
            raise self.raises.exception(operands[1:], location)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        condition = b.value(ReduceAll((0,)), operands[0]) if batched[0] else operands[0]
        return b.emit(self, condition, *operands[1:]).results

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for holds in (True, False):
            yield Sample(cls(Complaint("ValueError('negative')")), (np.array(holds),), False)
            shown = Complaint.of(ValueError(f"{mark(0)} and", Hole(1)), [Hole(0, "r"), Hole(1)])
            yield Sample(cls(shown), (np.array(holds), np.arange(3.0), np.array(7)), False)
