"""Losses, activations and layers, by PyTorch's names."""

from pullback.tracer import tensor_activations, tensor_functional, tensor_layers, tensor_losses, tensor_windows
from pullback.tracer.tensor_activations import *  # noqa: F403
from pullback.tracer.tensor_functional import *  # noqa: F403
from pullback.tracer.tensor_layers import *  # noqa: F403
from pullback.tracer.tensor_losses import *  # noqa: F403
from pullback.tracer.tensor_windows import *  # noqa: F403

__all__ = [
    *tensor_activations.__all__, *tensor_functional.__all__, *tensor_layers.__all__, *tensor_losses.__all__,
    *tensor_windows.__all__,
]  # fmt: skip
