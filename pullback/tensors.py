"""The names of PyTorch that `pullback` offers for tensors, and the compiler connected to the engine that runs them."""
from __future__ import annotations

from pullback.compiler import compile_function
from pullback.ir.core import Function
from pullback.tracer.deferred import ENGINE, Runner
from pullback.tracer.grad_mode import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from pullback.tracer.tensor import Tensor
from pullback.tracer.tensor_arithmetic import (
    abs, add, atan, atan2, ceil, clamp, cos, cosh, div, eq, erf, exp, expm1, floor, floor_divide, fmod, ge, gt, le, log, log1p,
    logaddexp, logical_and, logical_not, logical_or, logical_xor, lt, maximum, minimum, mul, ne, neg, pow, reciprocal, relu,
    remainder, round, rsqrt, sigmoid, sign, sin, sinh, sqrt, square, sub, tan, tanh, trunc, where,
)  # fmt: skip
from pullback.tracer.tensor_creation import (
    Generator, arange, as_tensor, bernoulli, empty, empty_like, eye, from_dlpack, from_numpy, full, full_like, is_tensor,
    linspace, logspace, manual_seed, normal, ones, ones_like, rand, rand_like, randint, randn, randn_like, randperm, tensor,
    zeros, zeros_like,
)  # fmt: skip
from pullback.tracer.tensor_dtype import (
    Size, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
)  # fmt: skip
from pullback.tracer.tensor_dtype import TensorDType as dtype
from pullback.tracer.tensor_dtype import bool_ as bool
from pullback.tracer.tensor_index import gather, index_select, masked_fill, masked_select
from pullback.tracer.tensor_product import addmm, bmm, dot, einsum, matmul, mm, mv, outer, tensordot
from pullback.tracer.tensor_reduction import (
    all, amax, amin, any, argmax, argmin, count_nonzero, cumprod, cumsum, log_softmax, logsumexp, max, mean, min, norm,
    softmax, std, sum, trace, var,
)  # fmt: skip
from pullback.tracer.tensor_reduction import prod_of as prod
from pullback.tracer.tensor_shape import (
    broadcast_to, cat, chunk, clone, diagonal, flatten, flip, narrow, permute, reshape, roll, select, split, squeeze, stack, t,
    transpose, unbind, unsqueeze,
)  # fmt: skip

float, double, long, int, short = float32, float64, int64, int32, int16


def _compile(function: Function) -> Runner:
    return compile_function(function)


ENGINE.compile = _compile

__all__ = [
    "Generator", "Size", "Tensor", "abs", "add", "addmm", "all", "amax", "amin", "any", "arange", "argmax",
    "argmin", "as_tensor", "atan", "atan2", "bernoulli", "bmm", "bool", "broadcast_to", "cat", "ceil", "chunk",
    "clamp", "clone", "cos", "cosh", "count_nonzero", "cumprod", "cumsum", "diagonal", "div", "dot", "double",
    "dtype", "einsum", "empty", "empty_like", "enable_grad", "eq", "erf", "exp", "expm1", "eye", "flatten", "flip",
    "float", "float32", "float64", "floor", "floor_divide", "fmod", "from_dlpack", "from_numpy", "full",
    "full_like", "gather", "ge", "gt", "index_select", "int", "int16", "int32", "int64", "int8", "is_grad_enabled",
    "is_tensor", "le", "linspace", "log", "log1p", "log_softmax", "logaddexp", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logspace", "logsumexp", "long", "lt", "manual_seed", "masked_fill",
    "masked_select", "matmul", "max", "maximum", "mean", "min", "minimum", "mm", "mul", "mv", "narrow", "ne", "neg",
    "no_grad", "norm", "normal", "ones", "ones_like", "outer", "permute", "pow", "prod", "rand", "rand_like",
    "randint", "randn", "randn_like", "randperm", "reciprocal", "relu", "remainder", "reshape", "roll", "round",
    "rsqrt", "select", "set_grad_enabled", "short", "sigmoid", "sign", "sin", "sinh", "softmax", "split", "sqrt",
    "square", "squeeze", "stack", "std", "sub", "sum", "t", "tan", "tanh", "tensor", "tensordot", "trace",
    "transpose", "trunc", "uint16", "uint32", "uint64", "uint8", "unbind", "unsqueeze", "var", "where", "zeros",
    "zeros_like",
]  # fmt: skip
