"""PyTorch's ``autograd`` by its names: grad, backward, Function, grad modes, and the modules functional and graph."""

from pullback.autograd import function, functional, grad_mode, graph
from pullback.autograd.gradient_check import GradcheckError, gradcheck, gradgradcheck
from pullback.tracer.backward import gradients_of as grad
from pullback.tracer.backward import run_backward as backward
from pullback.tracer.grad_function import Function
from pullback.tracer.grad_mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    no_grad,
    set_detect_anomaly,
    set_grad_enabled,
)
from pullback.tracer.tensor_creation import variable as Variable

__all__ = [
    "Function", "GradcheckError", "Variable", "backward", "detect_anomaly", "enable_grad", "function", "functional", "grad",
    "grad_mode", "gradcheck", "gradgradcheck", "graph", "inference_mode", "no_grad", "set_detect_anomaly", "set_grad_enabled",
]  # fmt: skip
