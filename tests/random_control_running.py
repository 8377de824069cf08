"""Runs random programs in plain Python so that their decisions are noted, on floats or on complex numbers."""
from __future__ import annotations

import builtins
from typing import Any

import numpy as np


class Notes:
    """What a run decided, in order. `complex` says that new arrays are to hold complex numbers."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.complex = False
        self.ties = False

    def tie(self, one: Any, two: Any) -> None:
        """Two numbers between which is decided: equal ones that move differently are a tie."""
        self.ties |= bool(np.any((np.real(one) == np.real(two)) & (np.imag(one) != np.imag(two))))

    def note(self, value: Any) -> Any:
        """A condition's value, noted."""
        self.taken.append(np.asarray(value).tobytes())
        return value

    def names(self) -> dict[str, Any]:
        """What the program sees."""
        return {"np": Library(self), "_noted": self.note, "abs": self.absolute, "int": self.whole, "max": self.most,
                "min": self.least}  # fmt: skip

    def absolute(self, value: Any) -> Any:
        if not np.iscomplexobj(value):
            self.note(np.asarray(value) > 0)
            return np.abs(value)
        self.tie(value, 0.0)
        return value * np.where(self.note(np.real(value) > 0), 1.0, -1.0)

    def whole(self, value: Any) -> int:
        found = builtins.int(np.real(value))
        self.taken.append(found)
        return found

    def most(self, one: Any, two: Any) -> Any:
        self.tie(one, two)
        return two if self.note(np.real(two) > np.real(one)) else one

    def least(self, one: Any, two: Any) -> Any:
        self.tie(one, two)
        return two if self.note(np.real(two) < np.real(one)) else one


class Library:
    """NumPy, but for what decides and for what makes arrays of floats."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self.abs = notes.absolute

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def maximum(self, one: Any, two: Any) -> Any:
        self._notes.tie(one, two)
        return np.where(self._notes.note(np.real(one) > np.real(two)), one, two)

    def minimum(self, one: Any, two: Any) -> Any:
        self._notes.tie(one, two)
        return np.where(self._notes.note(np.real(one) < np.real(two)), one, two)

    def max(self, array: Any) -> Any:
        return array[self.argmax(array)]

    def min(self, array: Any) -> Any:
        return array[self.argmax(-array)]

    def argmax(self, array: Any) -> Any:
        real = np.real(array)
        place = np.argmax(real)
        self._notes.taken.append(builtins.int(place))
        self._notes.tie(array, array[place])
        return place

    def _made(self, array: Any) -> Any:
        return array.astype(complex) if self._notes.complex and array.dtype.kind == "f" else array

    def zeros(self, *args: Any) -> Any:
        return self._made(np.zeros(*args))

    def ones(self, *args: Any) -> Any:
        return self._made(np.ones(*args))

    def full(self, *args: Any) -> Any:
        return self._made(np.full(*args))

    def zeros_like(self, array: Any) -> Any:
        return self._made(np.zeros_like(array))

    def linspace(self, *args: Any) -> Any:
        return self._made(np.linspace(*args))

    def array(self, items: Any) -> Any:
        return self._made(np.array(items))

    def stack(self, items: Any) -> Any:
        return self._made(np.stack(items))

    def where(self, *args: Any) -> Any:
        return self._made(np.where(*args))
