"""The op registry: an op's printed name to its class, so that text can be read back."""
from __future__ import annotations

from typing import TypeVar

from pullback.ir.core import Op

_OPS: dict[str, type[Op]] = {}
_OpType = TypeVar("_OpType", bound=type[Op])


def register(cls: _OpType) -> _OpType:
    """Class decorator: make an op known by its name."""
    if cls.name in _OPS:
        raise ValueError(f"two ops are called {cls.name}")
    _OPS[cls.name] = cls
    return cls


def find(name: str) -> type[Op] | None:
    """The op class called `name`, or None."""
    return _OPS.get(name)


def all_ops() -> dict[str, type[Op]]:
    """Every registered op by name, sorted."""
    return dict(sorted(_OPS.items()))
