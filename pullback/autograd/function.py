"""PyTorch's ``autograd.function``: Function, and the decorator of a backward that is differentiable once."""

from pullback.tracer.grad_function import Function, FunctionNode, once_differentiable

FunctionCtx = FunctionNode

__all__ = ["Function", "FunctionCtx", "once_differentiable"]
