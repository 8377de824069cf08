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
    from pullback import accelerator, autograd, backends, cuda, func, linalg, nn, optim, special
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

_MODULES = ("accelerator", "autograd", "backends", "cuda", "func", "linalg", "nn", "optim", "special")
_FUNCTION_NAMES = (
    "CompiledFunction", "checkpoint", "compile_grad", "grad", "gradcheck", "hessian", "hvp", "jacfwd", "jacobian", "jacrev",
    "jvp", "linearize", "stop_gradient", "value_and_grad", "vjp", "vmap",
)  # fmt: skip
_CONTROL_NAMES = ("associative_scan", "cond", "fori_loop", "scan", "while_loop")
_CUSTOM_NAMES = ("custom_jvp", "custom_vjp")
_CALLBACK_NAMES = ("ShapeDtypeStruct", "pure_callback")
_IMPLICIT_NAMES = ("implicit_argmin", "implicit_fixed_point", "implicit_root")
_TENSOR_NAMES = (
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "Generator", "IntTensor", "LongTensor",
    "ShortTensor", "Size", "Tensor", "abs", "absolute", "acos", "acosh", "add", "addcdiv", "addcmul", "addmm", "addmv",
    "addr", "adjoint", "all", "allclose", "alpha_dropout", "amax", "amin", "aminmax", "any", "arange", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argsort", "argwhere", "as_tensor", "asarray",
    "asin", "asinh", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "atleast_3d", "avg_pool1d", "baddbmm",
    "batch_norm", "bernoulli", "bilinear", "binary_cross_entropy_with_logits", "bincount", "bitwise_and",
    "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block_diag", "bmm", "bool",
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "bucketize", "can_cast", "cartesian_prod", "cat", "cdist",
    "ceil", "celu", "celu_", "chain_matmul", "chunk", "clamp", "clamp_max", "clamp_min", "clip", "clone", "column_stack",
    "combinations", "concat", "concatenate", "contiguous_format", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "copysign", "cos", "cosh", "cosine_similarity", "count_nonzero", "cross",
    "cummax", "cummin", "cumprod", "cumsum", "deg2rad", "detach", "device", "diag", "diag_embed", "diagflat", "diagonal",
    "diff", "digamma", "dist", "div", "divide", "dot", "double", "dropout", "dstack", "dtype", "e", "einsum", "embedding",
    "empty", "empty_like", "enable_grad", "eq", "equal", "erf", "erfc", "exp", "exp2", "expm1", "eye", "finfo", "fix",
    "flatten", "flip", "fliplr", "flipud", "float", "float32", "float64", "float_power", "floor", "floor_divide", "fmax",
    "fmin", "fmod", "frac", "from_dlpack", "from_numpy", "full", "full_like", "gather", "ge", "ger", "get_default_device",
    "get_default_dtype", "get_num_threads", "get_rng_state", "greater", "greater_equal", "group_norm", "gt", "hann_window",
    "hardshrink", "heaviside", "histc", "hstack", "hypot", "iinfo", "index_add", "index_copy", "index_fill", "index_put",
    "index_select", "inf", "inference_mode", "initial_seed", "inner", "instance_norm", "int", "int16", "int32", "int64",
    "int8", "inverse", "is_anomaly_enabled", "is_complex", "is_floating_point", "is_grad_enabled",
    "is_inference_mode_enabled", "is_nonzero", "is_tensor", "isclose", "isfinite", "isinf", "isnan", "isneginf", "isposinf",
    "isreal", "kl_div", "kron", "kthvalue", "layer_norm", "layout", "ldexp", "le", "lerp", "less", "less_equal", "lgamma",
    "linspace", "log", "log10", "log1p", "log2", "log_softmax", "logaddexp", "logaddexp2", "logcumsumexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logit", "logspace", "logsumexp", "long", "lt", "manual_seed", "masked_fill",
    "masked_scatter", "masked_select", "matmul", "matrix_power", "max", "max_pool1d", "max_pool2d", "max_pool3d", "maximum",
    "mean", "median", "memory_format", "meshgrid", "min", "minimum", "mm", "mode", "moveaxis", "movedim", "msort", "mul",
    "multinomial", "multiply", "mv", "nan", "nan_to_num", "nanmean", "nansum", "narrow", "ne", "neg", "negative", "no_grad",
    "nonzero", "norm", "normal", "not_equal", "numel", "ones", "ones_like", "outer", "pairwise_distance", "permute", "pi",
    "pixel_shuffle", "polygamma", "positive", "pow", "prelu", "preserve_format", "prod", "promote_types", "put", "quantile",
    "rad2deg", "rand", "rand_like", "randint", "randint_like", "randn", "randn_like", "randperm", "range", "ravel",
    "reciprocal", "relu", "relu_", "remainder", "repeat_interleave", "reshape", "result_type", "rms_norm", "roll", "rot90",
    "round", "row_stack", "rrelu", "rsqrt", "rsub", "scalar_tensor", "scatter", "scatter_add", "scatter_reduce",
    "searchsorted", "seed", "select", "selu", "selu_", "set_default_device", "set_default_dtype", "set_grad_enabled",
    "set_num_threads", "set_printoptions", "set_rng_state", "sgn", "short", "sigmoid", "sign", "signbit", "sin", "sinc",
    "sinh", "slogdet", "softmax", "sort", "split", "split_with_sizes", "sqrt", "square", "squeeze", "stack", "std",
    "std_mean", "strided", "sub", "subtract", "sum", "swapaxes", "swapdims", "t", "take", "take_along_dim", "tan", "tanh",
    "tensor", "tensor_split", "tensordot", "threshold", "threshold_", "tile", "topk", "trace", "transpose", "trapezoid",
    "trapz", "tril", "tril_indices", "triu", "triu_indices", "true_divide", "trunc", "uint16", "uint32", "uint64", "uint8",
    "unbind", "unflatten", "unique", "unique_consecutive", "unsqueeze", "vander", "var", "var_mean", "vdot", "vstack",
    "where", "xlogy", "zeros", "zeros_like",
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
    "CompiledFunction", "PullbackError", "ShapeDtypeStruct", "accelerator", "associative_scan", "autograd", "backends",
    "checkpoint", "compile_grad", "cond", "config", "cuda", "custom_jvp", "custom_vjp", "fori_loop", "func", "grad",
    "gradcheck", "hessian", "hvp", "implicit_argmin", "implicit_fixed_point", "implicit_root", "jacfwd", "jacobian", "jacrev",
    "jvp", "linalg", "linearize", "nn", "optim", "pure_callback", "scan", "special", "stop_gradient", "value_and_grad", "vjp",
    "vmap", "while_loop",
    *_TENSOR_NAMES,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"pullback.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'pullback' has no attribute {name!r}")
    value = getattr(import_module(home), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
