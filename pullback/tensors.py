"""The names of PyTorch that `pullback` offers for tensors, and the compiler connected to the engine that runs them."""

from __future__ import annotations

import math

from pullback.ir.core import Function
from pullback.tracer import (
    tensor_about,
    tensor_arrange,
    tensor_device,
    tensor_elementwise,
    tensor_linalg,
    tensor_order,
    tensor_random,
    tensor_scatter,
)
from pullback.tracer.deferred import ENGINE, Runner
from pullback.tracer.grad_mode import (
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from pullback.tracer.tensor import Tensor
from pullback.tracer.tensor_about import *  # noqa: F403
from pullback.tracer.tensor_arithmetic import (
    abs,
    add,
    atan,
    atan2,
    bitwise_and,
    bitwise_not,
    bitwise_or,
    bitwise_xor,
    ceil,
    clamp,
    cos,
    cosh,
    div,
    eq,
    erf,
    exp,
    expm1,
    floor,
    floor_divide,
    fmod,
    ge,
    gt,
    le,
    log,
    log1p,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    lt,
    maximum,
    minimum,
    mul,
    ne,
    neg,
    pow,
    reciprocal,
    relu,
    remainder,
    round,
    rsqrt,
    sigmoid,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    sub,
    tan,
    tanh,
    trunc,
    where,
)  # fmt: skip
from pullback.tracer.tensor_arrange import *  # noqa: F403
from pullback.tracer.tensor_creation import (
    arange,
    as_tensor,
    asarray,
    bernoulli,
    empty,
    empty_like,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    hann_window,
    is_tensor,
    linspace,
    logspace,
    multinomial,
    normal,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randint_like,
    randn,
    randn_like,
    randperm,
    range_,
    scalar_tensor,
    tensor,
    tril_indices,
    triu_indices,
    zeros,
    zeros_like,
)  # fmt: skip
from pullback.tracer.tensor_device import *  # noqa: F403
from pullback.tracer.tensor_dtype import (
    Size,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)  # fmt: skip
from pullback.tracer.tensor_dtype import TensorDType as dtype
from pullback.tracer.tensor_dtype import bool_ as bool
from pullback.tracer.tensor_elementwise import *  # noqa: F403
from pullback.tracer.tensor_index import gather, index_select, masked_fill, masked_select
from pullback.tracer.tensor_linalg import *  # noqa: F403
from pullback.tracer.tensor_order import *  # noqa: F403
from pullback.tracer.tensor_product import addmm, bmm, dot, einsum, matmul, mm, mv, outer, tensordot
from pullback.tracer.tensor_random import *  # noqa: F403
from pullback.tracer.tensor_reduction import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    count_nonzero,
    cumprod,
    cumsum,
    log_softmax,
    logcumsumexp,
    logsumexp,
    max,
    mean,
    min,
    nanmean,
    nansum,
    norm,
    softmax,
    std,
    std_mean,
    sum,
    trace,
    var,
    var_mean,
)  # fmt: skip
from pullback.tracer.tensor_reduction import prod_of as prod
from pullback.tracer.tensor_scatter import *  # noqa: F403
from pullback.tracer.tensor_shape import (
    broadcast_to,
    cat,
    chunk,
    clone,
    diagonal,
    flatten,
    flip,
    narrow,
    permute,
    reshape,
    roll,
    select,
    split,
    squeeze,
    stack,
    t,
    transpose,
    unbind,
    unflatten,
    unsqueeze,
)  # fmt: skip

float, double, long, int, short = float32, float64, int64, int32, int16
pi, e, inf, nan = math.pi, math.e, math.inf, math.nan
absolute = abs
arccos = tensor_elementwise.acos
arccosh = tensor_elementwise.acosh
arcsin = tensor_elementwise.asin
arcsinh = tensor_elementwise.asinh
arctan = atan
arctan2 = atan2
arctanh = tensor_elementwise.atanh
clip = clamp
concat = cat
concatenate = cat
divide = div
fix = trunc
ger = outer
greater = gt
greater_equal = ge
inverse = tensor_linalg.inv
less = lt
less_equal = le
moveaxis = tensor_arrange.movedim
multiply = mul
negative = neg
not_equal = ne
range = range_
row_stack = tensor_arrange.vstack
split_with_sizes = split
subtract = sub
swapaxes = transpose
swapdims = transpose
trapz = tensor_arrange.trapezoid


def _compile(function: Function) -> Runner:
    # Loaded when the first tensors are looked at.
    from pullback.compiler import compile_function

    return compile_function(function)


ENGINE.compile = _compile

__all__ = [
    "Size", "Tensor", "abs", "absolute", "add", "addmm", "all", "amax", "amin", "any", "arange", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "as_tensor", "asarray", "atan", "atan2",
    "bernoulli", "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "bmm", "bool", "broadcast_to", "cat", "ceil",
    "chunk", "clamp", "clip", "clone", "concat", "concatenate", "cos", "cosh", "count_nonzero", "cumprod", "cumsum",
    "diagonal", "div", "divide", "dot", "double", "dtype", "e", "einsum", "empty", "empty_like", "enable_grad", "eq", "erf",
    "exp", "expm1", "eye", "fix", "flatten", "flip", "float", "float32", "float64", "floor", "floor_divide", "fmod",
    "from_dlpack", "from_numpy", "full", "full_like", "gather", "ge", "ger", "greater", "greater_equal", "gt", "hann_window",
    "index_select", "inf", "inference_mode", "int", "int16", "int32", "int64", "int8", "inverse", "is_anomaly_enabled",
    "is_grad_enabled", "is_inference_mode_enabled", "is_tensor", "le", "less", "less_equal", "linspace", "log", "log1p",
    "log_softmax", "logaddexp", "logcumsumexp", "logical_and", "logical_not", "logical_or", "logical_xor", "logspace",
    "logsumexp", "long", "lt", "masked_fill", "masked_select", "matmul", "max", "maximum", "mean", "min", "minimum", "mm",
    "moveaxis", "mul", "multinomial", "multiply", "mv", "nan", "nanmean", "nansum", "narrow", "ne", "neg", "negative",
    "no_grad", "norm", "normal", "not_equal", "ones", "ones_like", "outer", "permute", "pi", "pow", "prod", "rand",
    "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "range", "reciprocal", "relu", "remainder",
    "reshape", "roll", "round", "row_stack", "rsqrt", "scalar_tensor", "select", "set_grad_enabled", "short", "sigmoid",
    "sign", "sin", "sinh", "softmax", "split", "split_with_sizes", "sqrt", "square", "squeeze", "stack", "std", "std_mean",
    "sub", "subtract", "sum", "swapaxes", "swapdims", "t", "tan", "tanh", "tensor", "tensordot", "trace", "transpose",
    "trapz", "tril_indices", "triu_indices", "trunc", "uint16", "uint32", "uint64", "uint8", "unbind", "unflatten",
    "unsqueeze", "var", "var_mean", "where", "zeros", "zeros_like",
    *tensor_about.__all__, *tensor_arrange.__all__, *tensor_device.__all__, *tensor_elementwise.__all__,
    *tensor_linalg.__all__, *tensor_order.__all__, *tensor_random.__all__, *tensor_scatter.__all__,
]  # fmt: skip
