"""What `x[mask]` and `x[:n]` are where mask or n are computed: all elements of x, and which of them are there.

Nothing is compressed. Operations are done on all elements; whatever takes elements together (a sum, a product of matrices)
or leaves (an assignment) selects those that the mask chooses. So the cotangents of the others are exactly 0, and what a
select leaves out has no part in a derivative, infinite or NaN as it may be: see the tests of masks.
"""
from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pullback.dtypes import boolean
from pullback.errors import ConcreteError, TraceError
from pullback.ir.complaint import Complaint, Hole
from pullback.ir.core import Op, Value, has_attributes
from pullback.ir.ops.check import Check
from pullback.location import caller
from pullback.tracer.masked import spread
from pullback.tracer.record import Recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.traced import Traced, active, array_of
from pullback.tracer.undefined import NotAnArray

WHAT = "elements whose number is only known when the compiled code runs"
WAY_OUT = "use np.where(mask, x, 0), or where=mask in np.sum, np.mean and their kin"


class Chosen(NotAnArray):
    """``(t[before, n, rest], bool[n])``: an array whose axis `at` has those of n places that the mask chooses.

    Elements of `values` beside the mask are of no meaning; `mask` is never written. `places` is what `values` held when
    each element was its own place along the axis, as np.flatnonzero gives it.
    """

    __slots__ = ("at", "mask", "places", "values")
    __array_priority__ = 1001.0
    values: Any
    mask: Any

    def __init__(self, values: Traced, mask: Traced, at: int, places: Value | None = None) -> None:
        self.values = values
        self.mask = mask
        self.at = at
        self.places = places

    def like(self, values: Any, at: int | None = None, mask: Any = None) -> Any:
        """Other elements chosen in the same way, if nothing else is said."""
        return type(self)(values, self.mask if mask is None else mask, self.at if at is None else at)

    def copy(self, order: str = "C") -> Any:
        return self.like(self.values.copy())

    def astype(self, dtype: Any, *args: Any, **named: Any) -> Any:
        return self.like(self.values.astype(dtype, *args, **named))

    # What is known of it

    @property
    def ndim(self) -> int:
        return len(self.values.shape)

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def itemsize(self) -> int:
        return int(self.dtype.itemsize)

    @property
    def is_place(self) -> bool:
        """Whether each element is its own place along the axis."""
        return self.places is not None and self.values.value is self.places

    @property
    def count(self) -> Any:
        """How many places are chosen, as a traced Python integer."""
        found = np.sum(self.mask)
        found.weak = True
        return found

    @property
    def shape(self) -> tuple[Any, ...]:
        sizes = self.values.shape
        return (*sizes[: self.at], self.count, *sizes[self.at + 1 :])

    @property
    def size(self) -> Any:
        sizes = self.values.shape
        rows = 1
        for size in (*sizes[: self.at], *sizes[self.at + 1 :]):
            rows *= size
        return self.count * rows

    @property
    def from_right(self) -> int:
        """The axis of unknown length, counted from 1 at the last one: NumPy broadcasts from there."""
        return self.ndim - self.at

    def __repr__(self) -> str:
        return f"<{WHAT} of {self.values.type}>"

    # What cannot be traced

    def fail(self, *args: Any, **named: Any) -> NoReturn:
        """Raises: TraceError."""
        raise TraceError(f"{WHAT} cannot be used here", location=caller(), help=WAY_OUT)

    def refuse(self, what: str, help: str = WAY_OUT) -> NoReturn:
        """Raises: TraceError for `what` is not traced."""
        raise TraceError(f"{what} of {WHAT} is not traced", location=caller(), help=help)

    def returned(self, path: str) -> NoReturn:
        """Raises: TraceError for elements that a function returns, with the line that chose them."""
        owner = self.mask.value.owner
        raise TraceError(f"the {path} has {WHAT}", location=caller() if owner is None else owner.location,
                         help="return sums of them, np.where(mask, x, 0) and the mask, or a slice as x[i:i + 3], with a length "
                         "that is a number")  # fmt: skip

    def _concrete(self, what: str, help: str) -> NoReturn:
        raise ConcreteError(f"{what} of {WHAT}", location=caller(), help=help)

    def __len__(self) -> int:
        self._concrete("len()", "use x.size, or np.count_nonzero(mask)")

    def __iter__(self) -> NoReturn:
        self._concrete("a loop over the items", "loop over all elements, with an if in the loop")

    def __bool__(self) -> bool:
        self._concrete("the truth", "use x.any(), x.all(), or x.size > 0")

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        self._concrete("an ndarray", "leave them as they are, or " + WAY_OUT)

    def __float__(self) -> float:
        self._concrete("float()", "take an element, x[mask][0], or a sum")

    def __int__(self) -> int:
        self._concrete("int()", "take an element, x[mask][0], or a sum")

    def __index__(self) -> int:
        self._concrete("an index, a size or a range", "take an element, x[mask][0]")

    def item(self, *args: Any) -> NoReturn:
        self._concrete("item()", "take an element, x[mask][0]")

    def tolist(self) -> NoReturn:
        self._concrete("tolist()", "return sums, or np.where(mask, x, 0) and the mask")

    def __contains__(self, item: Any) -> NoReturn:
        self._concrete("`in`", "use np.any(x[mask] == item)")

    def __hash__(self) -> int:
        raise TraceError(f"{WHAT} cannot be a dict key or set element", location=caller())

    def __reduce__(self) -> NoReturn:
        raise TraceError("a traced value cannot be pickled", location=caller())


def filled(c: Chosen, value: Any) -> Any:
    """All elements, a number in place of those that are not chosen."""
    b = active()
    whole = array_of(b, c.values)
    other = s.number(b, value, whole.type.dtype, whole.type.shape)
    return b.wrap(s.where(b, spread(b, array_of(b, c.mask), whole.type.shape, c.at), whole, other))


def with_places(c: Chosen) -> Any:
    """The same, with one place at least: where there is none, one that is not chosen."""
    if c.values.shape[c.at]:
        return c
    b = active()
    shape = (*c.values.shape[: c.at], 1, *c.values.shape[c.at + 1 :])
    return c.like(b.wrap(b.capture(np.zeros(shape, c.dtype))), mask=b.wrap(b.capture(np.zeros(1, bool))))


def same_mask(b: Recorder, one: Chosen, two: Chosen) -> bool:
    """Whether two masks are known to be equal: they are one value, or computed alike, as in ``x[x > 0] * y[x > 0]``."""
    return computed_alike(array_of(b, one.mask), array_of(b, two.mask))


def computed_alike(one: Value, two: Value) -> bool:
    """Whether two values come from the same ops, in the same order, on the same values."""
    stack, seen = [(one, two)], set()
    while stack:
        pair = stack.pop()
        left, right = pair
        if left is right or pair in seen:
            continue
        seen.add(pair)
        first, second = left.owner, right.owner
        if first is None or second is None or left.index != right.index or first.regions or second.regions:
            return False
        if _tells(first.op) != _tells(second.op):
            return False
        if len(first.operands) != len(second.operands) or left.type != right.type:
            return False
        stack += zip(first.operands, second.operands, strict=True)
    return True


def _tells(op: Op) -> Any:
    """What tells an op: its class, or itself if it has attributes."""
    kind: Any = type(op)
    return op if has_attributes(kind) else kind


def other_mask() -> TraceError:
    """The error for two masks, or two slices."""
    return TraceError(
        "elements that two masks choose, or slices of different bounds, side by side: which of them meet is only known when "
        "the compiled code runs", location=caller(),
        help="name the mask once, m = x > 0, and choose by it everywhere, give slices the same bounds, or use "
        "np.where(mask, x, 0)",
    )  # fmt: skip


def check(b: Recorder, holds: Any, error: BaseException, *shown: Any) -> None:
    """Raise `error` when the compiled code runs and `holds` is false; marks in its message stand for `shown`."""
    holes = [Hole(place, weak=True) for place in range(len(shown))]
    complaint = Complaint.of(error, holes)
    b.emit(Check(complaint), s.cast(b, array_of(b, holds), boolean), *[array_of(b, each) for each in shown])


def check_some(c: Chosen, message: str) -> None:
    """Raise a ValueError when the compiled code runs and nothing is chosen."""
    check(active(), np.any(c.mask), ValueError(message))
