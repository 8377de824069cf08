"""What tells a tensor from everything else, for code that must not load the tensors to ask."""

from __future__ import annotations


class IsTensor:
    """Base of every tensor."""

    __slots__ = ()
