"""What rewritten functions call to read and change items and attributes: arrays by the tracer, the rest by Python."""
from __future__ import annotations

import builtins
import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.location import caller
from pullback.tracer import assign
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.effects import change
from pullback.tracer.numpy_functions.joining import in_brackets
from pullback.tracer.traced import Traced, active, outside

slice = builtins.slice

IN_PLACE: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.iadd, "Sub": operator.isub, "Mult": operator.imul, "Div": operator.itruediv,
    "FloorDiv": operator.ifloordiv, "Mod": operator.imod, "Pow": operator.ipow, "MatMult": operator.imatmul,
    "BitAnd": operator.iand, "BitOr": operator.ior, "BitXor": operator.ixor, "LShift": operator.ilshift,
    "RShift": operator.irshift,
}  # fmt: skip

UFUNCS: dict[str, np.ufunc] = {
    "Add": np.add, "Sub": np.subtract, "Mult": np.multiply, "Div": np.true_divide, "FloorDiv": np.floor_divide,
    "Mod": np.remainder, "Pow": np.power, "MatMult": np.matmul, "BitAnd": np.bitwise_and, "BitOr": np.bitwise_or,
    "BitXor": np.bitwise_xor, "LShift": np.left_shift, "RShift": np.right_shift,
}  # fmt: skip


def is_computed(index: Any) -> bool:
    """Whether an index has a part that is only known when the code runs."""
    if index is None or type(index) is int:
        return False
    if isinstance(index, Traced | Chosen):
        return not isinstance(index, Traced) or index.known is None
    if isinstance(index, tuple):
        return any(is_computed(part) for part in index)
    if isinstance(index, slice):
        return is_computed(index.start) or is_computed(index.stop) or is_computed(index.step)
    return False


def get_item(owner: Any, index: Any) -> Any:
    """``owner[index]``; an array of the outside, or a list of numbers, may have a computed index."""
    if type(index) is int or isinstance(owner, Traced):
        return owner[index]
    if owner is np.r_ or owner is np.c_:
        return in_brackets(owner, index)
    if not is_computed(index):
        return owner[index]
    if type(owner) is np.ndarray:
        b = active()
        return b.wrap(b.capture(outside(owner)))[index]
    if type(owner) in (list, tuple) and owner and isinstance(index, Traced):
        kind = type(owner[0])
        if kind in (int, float) and all(type(each) is kind for each in owner):
            b = active()
            found = b.wrap(b.capture(np.array(owner, np.int64 if kind is int else np.float64)))[index]
            found.weak = True
            return found
    return owner[index]


def set_item(value: Any, owner: Any, index: Any, local: bool) -> None:
    """``owner[index] = value``. Raises: TraceError for an array of the outside."""
    if isinstance(owner, np.ndarray) and (not local or is_computed(index) or is_computed(value)):
        raise TraceError(
            "assigning into an array that the traced function did not make" if not local else
            "assigning a traced value into an array that was not made by np.zeros and its kin in the traced function",
            location=caller(), help="make a copy of it in the function: x = x.copy()",
        )  # fmt: skip
    change(owner, local, "an item")
    owner[index] = value


def delete_item(owner: Any, index: Any, local: bool) -> None:
    """``del owner[index]``."""
    change(owner, local, "an item")
    del owner[index]


def set_attribute(value: Any, owner: Any, name: str, local: bool) -> None:
    """``owner.name = value``."""
    change(owner, local, f"attribute {name!r}")
    setattr(owner, name, value)


def update(name: str, value: Any, other: Any, local: bool) -> Any:
    """What ``value += other`` binds the variable to."""
    if not isinstance(value, Traced | Chosen | int | float | str | tuple | np.generic):
        change(value, local, "the content")
    return IN_PLACE[name](value, other)


def update_item(name: str, owner: Any, index: Any, other: Callable[[], Any], local: bool) -> None:
    """``owner[index] += other``."""
    if isinstance(owner, Traced):
        assign.update_item(UFUNCS[name], owner, index, other())
        return
    set_item(IN_PLACE[name](get_item(owner, index), other()), owner, index, local)


def update_attribute(name: str, owner: Any, attribute: str, other: Callable[[], Any], local: bool) -> None:
    """``owner.attribute += other``."""
    set_attribute(IN_PLACE[name](getattr(owner, attribute), other()), owner, attribute, local)
