"""Named results of operations that give several tensors, printed as PyTorch's ``torch.return_types``."""

from __future__ import annotations

from typing import Any


class Named(tuple[Any, ...]):
    """A tuple whose places have names: ``found.values``, ``found.indices``."""

    __slots__ = ()
    title = ""
    names: tuple[str, ...] = ()

    def __new__(cls, *found: Any) -> Named:
        return super().__new__(cls, found)

    def __getattr__(self, name: str) -> Any:
        if name in self.names:
            return self[self.names.index(name)]
        raise AttributeError(f"'torch.return_types.{self.title}' object has no attribute {name!r}")

    def __repr__(self) -> str:
        parts = ",\n".join(f"{name}={value!r}" for name, value in zip(self.names, self, strict=True))
        return f"torch.return_types.{self.title}(\n{parts})"


def named_results(title: str, *names: str) -> type[Named]:
    """The class of an operation's results."""
    return type(title, (Named,), {"__slots__": (), "title": title, "names": names or ("values", "indices")})
