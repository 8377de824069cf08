"""Functions for networks, by PyTorch's names: see `functional`."""

from pullback.nn import functional

__all__ = ["functional"]
