"""Losses and activations, by PyTorch's names."""

from pullback.tracer.tensor_functional import *  # noqa: F403
from pullback.tracer.tensor_functional import __all__ as __all__
