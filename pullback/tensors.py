"""The names of PyTorch that `pullback` offers for tensors, and the compiler connected to the engine that runs them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from pullback.tensor_code import compile_waiting
from pullback.tracer import (
    tensor_about,
    tensor_arithmetic,
    tensor_arrange,
    tensor_device,
    tensor_elementwise,
    tensor_linalg,
    tensor_order,
    tensor_product,
    tensor_random,
    tensor_scatter,
)
from pullback.tracer.deferred import ENGINE
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
from pullback.tracer.tensor_activations import (
    alpha_dropout,
    celu,
    celu_,
    hardshrink,
    prelu,
    relu_,
    rrelu,
    selu_,
    threshold,
    threshold_,
)
from pullback.tracer.tensor_arithmetic import (
    abs,
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
from pullback.tracer.tensor_einsum import einsum, tensordot
from pullback.tracer.tensor_elementwise import *  # noqa: F403
from pullback.tracer.tensor_functional import binary_cross_entropy_with_logits, dropout, selu
from pullback.tracer.tensor_index import gather, index_select, masked_fill, masked_select
from pullback.tracer.tensor_layers import (
    batch_norm,
    bilinear,
    embedding,
    group_norm,
    instance_norm,
    layer_norm,
    pixel_shuffle,
    rms_norm,
)
from pullback.tracer.tensor_linalg import *  # noqa: F403
from pullback.tracer.tensor_losses import cosine_similarity, kl_div, pairwise_distance
from pullback.tracer.tensor_order import *  # noqa: F403
from pullback.tracer.tensor_product import addmm, bmm, dot, mm, mv, outer
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
from pullback.tracer.tensor_windows import (
    avg_pool1d,
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)

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
fix = trunc
ger = outer
greater = gt
greater_equal = ge
inverse = tensor_linalg.inv
less = lt
less_equal = le
moveaxis = tensor_arrange.movedim
negative = neg
not_equal = ne
range = range_
row_stack = tensor_arrange.vstack
split_with_sizes = split
swapaxes = transpose
swapdims = transpose
trapz = tensor_arrange.trapezoid


def _with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with ``out=``, a tensor that takes the result over."""

    @functools.wraps(function)
    def computed(input: Any, other: Any, *, out: Any = None, **options: Any) -> Any:
        tensor = other if not isinstance(input, Tensor) and isinstance(other, Tensor) else None
        first = input if tensor is None else tensor.new_tensor(input, dtype=tensor_about.result_type(input, tensor))
        found = function(first, other, **options)
        return found if out is None else out.copy_(found)

    return computed


add, sub, mul, div, matmul = (_with_out(each) for each in (
    tensor_arithmetic.add, tensor_arithmetic.sub, tensor_arithmetic.mul, tensor_arithmetic.div, tensor_product.matmul,
))  # fmt: skip

subtract, multiply, divide = sub, mul, div

ENGINE.compile = compile_waiting

__all__ = [
    "Size", "Tensor", "abs", "absolute", "add", "addmm", "all", "alpha_dropout", "amax", "amin", "any", "arange", "arccos",
    "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "as_tensor", "asarray", "atan",
    "atan2", "avg_pool1d", "batch_norm", "bernoulli", "bilinear", "binary_cross_entropy_with_logits", "bitwise_and",
    "bitwise_not", "bitwise_or", "bitwise_xor", "bmm", "bool", "broadcast_to", "cat", "ceil", "celu", "celu_", "chunk",
    "clamp", "clip", "clone", "concat", "concatenate", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "cos", "cosh", "cosine_similarity", "count_nonzero", "cumprod", "cumsum", "diagonal", "div", "divide",
    "dot", "double", "dropout", "dtype", "e", "einsum", "embedding", "empty", "empty_like", "enable_grad", "eq", "erf", "exp",
    "expm1", "eye", "fix", "flatten", "flip", "float", "float32", "float64", "floor", "floor_divide", "fmod", "from_dlpack",
    "from_numpy", "full", "full_like", "gather", "ge", "ger", "greater", "greater_equal", "group_norm", "gt", "hann_window",
    "hardshrink", "index_select", "inf", "inference_mode", "instance_norm", "int", "int16", "int32", "int64", "int8",
    "inverse", "is_anomaly_enabled", "is_grad_enabled", "is_inference_mode_enabled", "is_tensor", "kl_div", "layer_norm",
    "le", "less", "less_equal", "linspace", "log", "log1p", "log_softmax", "logaddexp", "logcumsumexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logspace", "logsumexp", "long", "lt", "masked_fill", "masked_select",
    "matmul", "max", "max_pool1d", "max_pool2d", "max_pool3d", "maximum", "mean", "min", "minimum", "mm", "moveaxis", "mul",
    "multinomial", "multiply", "mv", "nan", "nanmean", "nansum", "narrow", "ne", "neg", "negative", "no_grad", "norm",
    "normal", "not_equal", "ones", "ones_like", "outer", "pairwise_distance", "permute", "pi", "pixel_shuffle", "pow",
    "prelu", "prod", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "range", "reciprocal",
    "relu", "relu_", "remainder", "reshape", "rms_norm", "roll", "round", "row_stack", "rrelu", "rsqrt", "scalar_tensor",
    "select", "selu", "selu_", "set_grad_enabled", "short", "sigmoid", "sign", "sin", "sinh", "softmax", "split",
    "split_with_sizes", "sqrt", "square", "squeeze", "stack", "std", "std_mean", "sub", "subtract", "sum", "swapaxes",
    "swapdims", "t", "tan", "tanh", "tensor", "tensordot", "threshold", "threshold_", "trace", "transpose", "trapz",
    "tril_indices", "triu_indices", "trunc", "uint16", "uint32", "uint64", "uint8", "unbind", "unflatten", "unsqueeze", "var",
    "var_mean", "where", "zeros", "zeros_like",
    *tensor_about.__all__, *tensor_arrange.__all__, *tensor_device.__all__, *tensor_elementwise.__all__,
    *tensor_linalg.__all__, *tensor_order.__all__, *tensor_random.__all__, *tensor_scatter.__all__,
]  # fmt: skip
