"""PyTorch's ``backends``, for programs that ask what there is: ``backends.mps.is_available()`` is False."""

from pullback import cuda as mkl
from pullback import cuda as mps

__all__ = ["mkl", "mps"]
