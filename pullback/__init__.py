"""pullback: a compiler for gradients of plain NumPy functions and define-by-run Tensors."""

from pullback import autograd, nn
from pullback.api import (
    CompiledFunction,
    compile_grad,
    grad,
    gradcheck,
    hessian,
    hvp,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linearize,
    stop_gradient,
    value_and_grad,
    vjp,
)
from pullback.config import config
from pullback.errors import PullbackError
from pullback.tensors import *  # noqa: F403
from pullback.tensors import __all__ as _tensor_names
from pullback.tracer.functional import associative_scan, cond, fori_loop, scan, while_loop

__version__ = "0.1.0"

__all__ = [
    "CompiledFunction", "PullbackError", "associative_scan", "compile_grad", "cond", "config", "fori_loop", "grad",
    "gradcheck", "hessian", "hvp", "jacfwd", "jacobian", "jacrev", "jvp", "linearize", "scan", "stop_gradient",
    "value_and_grad", "vjp", "while_loop", "autograd", "nn", *_tensor_names,
]  # fmt: skip
