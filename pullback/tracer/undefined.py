"""What a variable holds that has no value, or one that depends on what ran and is not known to be usable."""
from __future__ import annotations

from typing import Any, NoReturn

from pullback.errors import TraceError
from pullback.location import Location, caller


class Undefined:
    """A variable without a value."""

    def __repr__(self) -> str:
        return "UNDEFINED"


UNDEFINED = Undefined()


class NotAnArray:
    """What stands where an array might, and is none: `fail` says why it cannot be used."""

    __slots__ = ()

    def fail(self, *args: Any, **named: Any) -> NoReturn:
        """Raises: TraceError."""
        raise NotImplementedError


class Unusable(NotAnArray):
    """Stands for a variable whose value cannot be told, until someone uses it: then it raises `reason`."""

    __slots__ = ("help", "location", "reason")

    def __init__(self, reason: str, help: str = "", location: Location | None = None) -> None:
        self.reason = reason
        self.help = help
        self.location = caller() if location is None else location

    def fail(self, *args: Any, **named: Any) -> NoReturn:
        """Raises: TraceError."""
        raise TraceError(self.reason, location=self.location, help=self.help)

    def __getattr__(self, name: str) -> NoReturn:
        if name in ("__array_priority__", "__array_interface__", "__array_struct__"):
            raise AttributeError(name)
        self.fail()

    __call__ = __bool__ = __iter__ = __len__ = __getitem__ = __setitem__ = __contains__ = fail
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = fail
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __matmul__ = __rmatmul__ = fail
    __and__ = __rand__ = __or__ = __ror__ = __xor__ = __rxor__ = __neg__ = __pos__ = __abs__ = __invert__ = fail
    __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = fail
    __float__ = __int__ = __index__ = __str__ = __format__ = fail
    __array__ = __array_ufunc__ = __array_function__ = fail
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<unusable: {self.reason}>"


def is_defined(value: Any) -> bool:
    """Whether a variable has a value."""
    return value is not UNDEFINED and not isinstance(value, Unusable)
