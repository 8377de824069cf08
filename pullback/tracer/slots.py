"""Types of variables that control flow carries: what two branches, or two iterations, have in common."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError
from pullback.ir.core import Value
from pullback.ir.ops.creation import Full
from pullback.ir.types import ArrayType
from pullback.tracer.chosen.elements import WHAT, Chosen
from pullback.tracer.leaf import LeafKind, leaf_of
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.sharing import Shared
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.undefined import Unusable


@dataclass(frozen=True, slots=True)
class Slot:
    """The type of a carried value; a `weak` one is a Python number."""

    type: ArrayType
    weak: bool

    def __str__(self) -> str:
        return f"{self.type} (a Python number)" if self.weak else str(self.type)


def slot_of(leaf: Any) -> Slot | None:
    """The slot that a variable's leaf fits, None for what is no array or number.

    Raises: TraceError for an unusable variable.
    """
    if isinstance(leaf, Unusable):
        leaf.fail()
    try:
        found = leaf_of(leaf, "")
    except ArgumentError:
        return None
    return Slot(found.type, found.kind is not LeafKind.ARRAY)


def described(leaf: Any) -> str:
    """A leaf in a message: its type, or what it is."""
    slot = slot_of(leaf)
    if slot is not None:
        return str(slot)
    if isinstance(leaf, Chosen):
        return f"an array with {WHAT}"
    return repr(leaf) if isinstance(leaf, str | bytes) else f"a {type(leaf).__name__}"


def join(first: Slot, second: Slot) -> Slot | None:
    """NumPy's promotion of both; None where shapes differ."""
    if first == second:
        return first
    if first.type.dims != second.type.dims:
        return None
    dtype = dtypes.from_numpy(np.result_type(_probe(first), _probe(second)))
    return None if dtype is None else Slot(first.type.with_dtype(dtype), first.weak and second.weak)


def _probe(slot: Slot) -> Any:
    dtype = slot.type.dtype
    if not slot.weak or dtype.is_bool:
        return dtype.numpy
    return 0.0 if dtype.is_float else 0


def widen(carried: Slot, result: Slot) -> Slot | None:
    """The slot for a value that starts as `carried` and is a `result` after an iteration; None if there is none.

    Python numbers take the type of what they meet. An array's own dtype may only grow into that of the result.
    """
    joined = join(carried, result)
    if joined is None or carried.weak or result.weak or joined.type == result.type:
        return joined
    return None


def as_value(recorder: Recorder, leaf: Any, slot: Slot) -> Value:
    """A leaf as a value of its slot."""
    return s.cast(recorder, array_of(recorder, leaf), slot.type.dtype)


def zeros(recorder: Recorder, slot: Slot) -> Value:
    """What stands for a variable that has no value yet, and that nobody reads."""
    return recorder.value(Full(slot.type.dtype.numpy.type().item(), slot.type.dtype, slot.type.dims))


def wrapped(recorder: Recorder, value: Value, slot: Slot, bases: Sequence[Traced] = ()) -> Any:
    """A value as user code sees it. It may be the same array as `bases`: writing to one of them concerns the others."""
    made = recorder.wrap(value)
    made.weak = slot.weak
    if bases and slot.type.rank:
        made.state = (None, Shared(value, [(base, base.state) for base in bases]))
    return made


def is_same(left: Any, right: Any) -> bool:
    """Whether a leaf that is not carried stayed what it was."""
    if left is right:
        return True
    plain = isinstance(left, str | bytes | int | float | bool | type)
    return plain and type(left) is type(right) and bool(left == right)
