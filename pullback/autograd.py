"""PyTorch's ``autograd`` by its names: grad, backward, Function, grad modes."""

from pullback.tracer.backward import gradients_of as grad
from pullback.tracer.backward import run_backward as backward
from pullback.tracer.grad_function import Function
from pullback.tracer.grad_mode import enable_grad, no_grad, set_grad_enabled

__all__ = ["Function", "backward", "enable_grad", "grad", "no_grad", "set_grad_enabled"]
