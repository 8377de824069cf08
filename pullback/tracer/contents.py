"""What is known of a value of the tensors' world: its array once there is one, and who holds it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from pullback.ir.core import Value
from pullback.ir.types import type_of

Array: TypeAlias = "np.ndarray[Any, Any]"


class Contents:
    """What is known of a value: its `array` (never written to), how many storages hold it, how deep it waits (0: it does
    not)."""

    __slots__ = ("array", "depth", "holders")

    def __init__(self, array: Array | None = None, depth: int = 0) -> None:
        self.array = array
        self.holders = 0
        self.depth = depth


def known(array: Array, name: str = "") -> Value:
    """A value whose contents are `array`, which nobody may write to from now on."""
    value = Value(type_of(array), name=name)
    value.contents = Contents(array)
    return value
