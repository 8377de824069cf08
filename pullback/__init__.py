"""pullback: a compiler for gradients of plain NumPy functions and define-by-run Tensors.

Public names are loaded from their modules when they are first asked for: importing the package costs little beside NumPy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pullback.config import config
from pullback.errors import PullbackError

if TYPE_CHECKING:
    from pullback import autograd, nn
    from pullback.api import (
        CompiledFunction,
        checkpoint,
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
        vmap,
    )
    from pullback.implicit import implicit_argmin, implicit_fixed_point, implicit_root
    from pullback.tensors import *  # noqa: F403
    from pullback.tracer.callback import ShapeDtypeStruct, pure_callback
    from pullback.tracer.custom import custom_jvp, custom_vjp
    from pullback.tracer.functional import associative_scan, cond, fori_loop, scan, while_loop

__version__ = "0.1.0"

_FUNCTION_NAMES = (
    "CompiledFunction", "checkpoint", "compile_grad", "grad", "gradcheck", "hessian", "hvp", "jacfwd", "jacobian", "jacrev",
    "jvp", "linearize", "stop_gradient", "value_and_grad", "vjp", "vmap",
)  # fmt: skip
_CONTROL_NAMES = ("associative_scan", "cond", "fori_loop", "scan", "while_loop")
_CUSTOM_NAMES = ("custom_jvp", "custom_vjp")
_CALLBACK_NAMES = ("ShapeDtypeStruct", "pure_callback")
_IMPLICIT_NAMES = ("implicit_argmin", "implicit_fixed_point", "implicit_root")
_TENSOR_NAMES = (
    "Generator", "Size", "Tensor", "abs", "add", "addmm", "all", "amax", "amin", "any", "arange", "argmax", "argmin",
    "as_tensor", "atan", "atan2", "bernoulli", "bmm", "bool", "broadcast_to", "cat", "ceil", "chunk", "clamp", "clone",
    "cos", "cosh", "count_nonzero", "cumprod", "cumsum", "diagonal", "div", "dot", "double", "dtype", "einsum", "empty",
    "empty_like", "enable_grad", "eq", "erf", "exp", "expm1", "eye", "flatten", "flip", "float", "float32", "float64",
    "floor", "floor_divide", "fmod", "from_dlpack", "from_numpy", "full", "full_like", "gather", "ge", "gt",
    "index_select", "int", "int8", "int16", "int32", "int64", "is_grad_enabled", "is_tensor", "le", "linspace", "log",
    "log1p", "log_softmax", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logspace",
    "logsumexp", "long", "lt", "manual_seed", "masked_fill", "masked_select", "matmul", "max", "maximum", "mean", "min",
    "minimum", "mm", "mul", "mv", "narrow", "ne", "neg", "no_grad", "norm", "normal", "ones", "ones_like", "outer",
    "permute", "pow", "prod", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "reciprocal", "relu",
    "remainder", "reshape", "roll", "round", "rsqrt", "select", "set_grad_enabled", "short", "sigmoid", "sign", "sin",
    "sinh", "softmax", "split", "sqrt", "square", "squeeze", "stack", "std", "sub", "sum", "t", "tan", "tanh", "tensor",
    "tensordot", "trace", "transpose", "trunc", "uint8", "uint16", "uint32", "uint64", "unbind", "unsqueeze", "var",
    "where", "zeros", "zeros_like",
)  # fmt: skip

_HOMES = {
    **dict.fromkeys(_FUNCTION_NAMES, "pullback.api"),
    **dict.fromkeys(_CONTROL_NAMES, "pullback.tracer.functional"),
    **dict.fromkeys(_CALLBACK_NAMES, "pullback.tracer.callback"),
    **dict.fromkeys(_IMPLICIT_NAMES, "pullback.implicit"),
    **dict.fromkeys(_CUSTOM_NAMES, "pullback.tracer.custom"),
    **dict.fromkeys(_TENSOR_NAMES, "pullback.tensors"),
}
"""The module that defines each public name."""

__all__ = [
    "CompiledFunction", "PullbackError", "ShapeDtypeStruct", "associative_scan", "autograd", "checkpoint", "compile_grad",
    "cond", "config", "custom_jvp", "custom_vjp", "fori_loop", "grad", "gradcheck", "hessian", "hvp", "implicit_argmin",
    "implicit_fixed_point", "implicit_root", "jacfwd", "jacobian", "jacrev", "jvp", "linearize", "nn", "pure_callback",
    "scan", "stop_gradient", "value_and_grad", "vjp", "vmap", "while_loop", *_TENSOR_NAMES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in ("autograd", "nn"):
        return import_module(f"pullback.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pullback' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
