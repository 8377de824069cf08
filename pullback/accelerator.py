"""PyTorch's ``accelerator``, for programs that ask whether there is one: there is none."""

from pullback.cuda import device_count, is_available

__all__ = ["device_count", "is_available"]
