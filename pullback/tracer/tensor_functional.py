"""Losses and activations: PyTorch's ``nn.functional``, as far as it is functions of tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentValueError, AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops import arithmetic as a
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.ir.ops import reduction as r
from pullback.ir.ops.creation import Full, Iota
from pullback.location import caller
from pullback.tracer.contents import known
from pullback.tracer.deferred import array_of
from pullback.tracer.grad_mode import is_grad_enabled
from pullback.tracer.recipe import kept_rules
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as sr
from pullback.tracer.tensor_apply import Fitted, apply, as_float, own_dtype, own_float_dtype, result_dtype, written
from pullback.tracer.tensor_arithmetic import clamp, mul, rectified, sigmoid, tanh
from pullback.tracer.tensor_base import Unseen, record
from pullback.tracer.tensor_product import addmm, mm, unsafe_view
from pullback.tracer.tensor_random import DEFAULT_GENERATOR
from pullback.tracer.tensor_reduction import log_softmax, logsumexp, softmax

Rule = Callable[..., Value]


def reduction_word(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """mean, sum or none: as `reduction` says, unless one of the two older switches is given, which win.

    Raises: ArgumentValueError for another word.
    """
    if size_average is not None or reduce is not None:
        return "none" if reduce is not None and not reduce else "mean" if size_average is None or size_average else "sum"
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentValueError(f"{reduction} is not a valid value for reduction", location=caller(),
                                 help="say mean, sum or none")  # fmt: skip
    return reduction


def reduced(b: Builder, losses: Value, reduction: str) -> Value:
    """The mean, the sum, or all losses. Raises: ArgumentValueError for another word."""
    reduction = reduction_word(reduction)
    return sr.mean(b, losses) if reduction == "mean" else sr.total(b, losses) if reduction == "sum" else losses


def reduced_by_step(losses: Any, reduction: str) -> Any:
    """As `reduced`, of a tensor, as a step of its own. Raises: ArgumentValueError for another word."""
    reduction = reduction_word(reduction)
    return losses.mean() if reduction == "mean" else losses.sum() if reduction == "sum" else losses


def without_gradient(function: str, argument: str, tensor: Any) -> Value:
    """The value of an argument that a step reads and has no gradient for. Raises: AutogradError where one is asked for."""
    if tensor.needs_grad and is_grad_enabled():
        raise AutogradError(f"The function '{function}' is not differentiable with respect to argument '{argument}'. This "
                            "input cannot have requires_grad True.", location=caller(), help="pass its detach()")  # fmt: skip
    value: Value = tensor.value
    return value


def _loss(name: str, pointwise: Rule) -> Callable[..., Any]:
    def loss(input: Any, target: Any, reduction: str = "mean") -> Any:
        return apply(name, lambda b, x, y: reduced(b, pointwise(b, x, y), reduction), (input, target),
                     as_float(result_dtype((input, target))))  # fmt: skip

    return loss


def _squared(b: Builder, x: Value, y: Value) -> Value:
    rest = b.value(a.Sub(), x, y)
    return b.value(a.Mul(), rest, rest)


def _distance(b: Builder, x: Value, y: Value) -> Value:
    return b.value(a.Abs(), b.value(a.Sub(), x, y))


def _bent(b: Builder, x: Value, y: Value, beta: float, scale: float) -> Value:
    """d²/2 up to `beta`, then beta * (d - beta/2), all times `scale`."""
    size = _distance(b, x, y)
    near = s.mul(b, s.mul(b, size, size), 0.5 * scale)
    far = s.mul(b, s.sub(b, size, 0.5 * beta), beta * scale)
    return s.where(b, s.apply(b, l.Less(), size, beta), near, far)


mse_loss = _loss("MseLossBackward0", _squared)


def l1_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The distance."""
    return reduced_by_step((input - target).abs(), reduction)


def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Squared near 0 (over 2 beta), linear beyond beta. Raises: AutogradError for a negative beta."""
    if beta < 0:
        raise AutogradError("smooth_l1_loss does not support negative values for beta.", location=caller())
    if beta == 0:
        return l1_loss(input, target, reduction)
    return _loss("SmoothL1LossBackward0", lambda b, x, y: _bent(b, x, y, beta, 1.0 / beta))(input, target, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Half the square near 0, linear beyond delta. Raises: AutogradError where delta is not above 0."""
    if delta <= 0:
        raise AutogradError("huber_loss does not support non-positive values for delta.", location=caller())
    return _loss("HuberLossBackward0", lambda b, x, y: _bent(b, x, y, delta, 1.0))(input, target, reduction)


def _soft_cross_entropy(b: Builder, x: Value, y: Value) -> Value:
    """softplus(x) - x * y: the logistic loss without overflow."""
    return b.value(a.Sub(), b.value(e.Softplus(), x), b.value(a.Mul(), x, y))


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """The logistic loss of logits and targets in [0, 1]. Raises: ArgumentValueError for sizes that differ."""
    if input.sizes != target.sizes:
        raise ArgumentValueError(f"Target size ({_size(target)}) must be the same as input size ({_size(input)})",
                                 location=caller())  # fmt: skip
    given = (("weight", weight), ("pos_weight", pos_weight))
    unseen = [Unseen(without_gradient("binary_cross_entropy_with_logits", argument, each)) for argument, each in given
              if each is not None]  # fmt: skip

    def rule(b: Builder, x: Value, y: Value, *weights: Value) -> Value:
        left = list(weights)
        factor = left.pop(0) if weight is not None else None
        if pos_weight is None:
            losses = _soft_cross_entropy(b, x, y)
        else:
            scale = s.add(b, s.mul(b, s.sub(b, left.pop(0), 1.0), y), 1.0)
            rest = s.mul(b, s.sub(b, 1.0, y), x)
            losses = s.add(b, rest, s.mul(b, scale, b.value(e.Softplus(), s.negative(b, x))))
        return reduced(b, losses if factor is None else s.mul(b, losses, factor), reduction)

    kind = as_float(result_dtype((input, target)))
    return record("BinaryCrossEntropyWithLogitsBackward0", Fitted(rule, kind, input.sizes), input, target, *unseen)


def _size(input: Any) -> str:
    return f"torch.Size({list(input.sizes)})"


def binary_cross_entropy(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """-(y log x + (1 - y) log(1 - x)), the logarithms kept above -100 as PyTorch does."""
    if input.sizes != target.sizes:
        raise ArgumentValueError(
            f"Using a target size ({_size(target)}) that is different to the input size ({_size(input)}) is deprecated. Please "
            "ensure they have the same size.", location=caller(),
        )  # fmt: skip

    def bounded(b: Builder, x: Value) -> Value:
        value = b.value(e.Log(), x)
        return s.where(b, s.apply(b, l.Less(), value, -100.0), -100.0, value)

    def rule(b: Builder, x: Value, y: Value, *weights: Value) -> Value:
        hit = s.mul(b, y, bounded(b, x))
        miss = s.mul(b, s.sub(b, 1.0, y), bounded(b, s.sub(b, 1.0, x)))
        losses = s.negative(b, s.add(b, hit, miss))
        return reduced(b, s.mul(b, losses, weights[0]) if weights else losses, reduction)

    unseen = [] if weight is None else [Unseen(without_gradient("binary_cross_entropy", "weight", weight))]
    kind = as_float(result_dtype((input, target)))
    return record("BinaryCrossEntropyBackward0", Fitted(rule, kind, input.sizes), input, target, *unseen)


def nll_loss(input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
             reduce: Any = None, reduction: str = "mean") -> Any:  # fmt: skip
    """Minus the log probability of each target class: ``(f[n, c, ...], i64[n, ...])``, or ``(f[c], i64[])``."""
    reduction = reduction_word(reduction, size_average, reduce)
    sizes = input.sizes
    rank = len(sizes)
    if rank == 3 or rank > 4:
        # As an image of one row, so does PyTorch.
        n, c, *rest = sizes
        found = nll_loss(input.reshape(n, c, 1, -1), target.reshape(n, 1, -1), weight, None, ignore_index, None, reduction)
        return found.view(n, *rest) if reduction == "none" else found
    classes = sizes[1 if rank > 1 else 0]
    classes_asked = target.value
    chosen = array_of(classes_asked)
    every = not 0 <= ignore_index < classes and _are_all_below(chosen, classes)
    if not every:
        kept = chosen != ignore_index
        every = bool(kept.all())
        outside = kept & ((chosen < 0) | (chosen >= classes))
        if outside.any():
            raise OutOfBoundsError(f"Target {int(chosen[outside].flat[0])} is out of bounds.", location=caller(),
                                   help=f"classes go from 0 to {classes - 1}")  # fmt: skip
    if rank > 1 and sizes[0] != (target.sizes or (1,))[0]:
        raise ArgumentValueError(f"Expected input batch_size ({sizes[0]}) to match target batch_size "
                                 f"({(target.sizes or (1,))[0]}).", location=caller())  # fmt: skip
    if every and weight is None and chosen.ndim == 1 and rank == 2:
        # What the lines below come to for rows of classes.
        return record("NllLossBackward0", _losses_of_classes(reduction), input, Unseen(classes_asked))
    kept = chosen != ignore_index
    shares = np.ones(classes) if weight is None else array_of(without_gradient("nll_loss_forward", "weight", weight))
    if shares.shape != (classes,):
        raise AutogradError(f"weight tensor should be defined either for all {classes} classes or no classes but got weight "
                            f"tensor of shape: {list(shares.shape)}", location=caller())  # fmt: skip
    scale = shares[np.where(kept, chosen, 0)] * kept
    one_hot = _one_hot(np.where(kept, chosen, 0), classes, input.dtype_.numpy) * _expanded(scale, rank)
    factors = known(np.ascontiguousarray(-one_hot.astype(input.dtype_.numpy)))
    name = "NllLossBackward0" if rank < 3 else "NllLoss2DBackward0"
    return record(name, _picked_losses(1 if rank > 1 else 0, reduction), input, Unseen(factors))


@kept_rules
def _picked_losses(axis: int, reduction: str) -> Rule:
    """The rule of log probabilities and factors: minus the weight where a class is asked for, -0.0 elsewhere."""

    def rule(b: Builder, x: Value, picked: Value) -> Value:
        # A class not asked for contributes nothing, even where its probability is 0.
        chosen_here = s.apply(b, l.NotEqual(), picked, 0.0)
        losses = s.mul(b, s.where(b, chosen_here, x, 0.0), picked)
        each = sr.reduce(b, r.ReduceSum, losses, axis, False)
        if reduction == "mean":
            total = s.cast(b, sr.total(b, picked), x.type.dtype)
            return s.div(b, sr.total(b, each), s.negative(b, total))
        return reduced(b, each, reduction)

    return rule


@kept_rules
def _losses_of_classes(reduction: str) -> Rule:
    """As `_picked_losses`, for rows of log probabilities and the number of the class that each row is asked for."""

    def rule(b: Builder, x: Value, chosen: Value) -> Value:
        shape, dtype = x.type.shape, x.type.dtype
        # Numbers of classes were seen to be small: compared as wide as floats are, they fill vectors as floats do.
        counter = dtypes.i32 if shape[1] < 1 << 31 else dtypes.i64
        asked = b.value(r.Broadcast(shape, (0,)), s.cast(b, chosen, counter))
        hit = b.value(l.Equal(), b.value(Iota(1, counter, shape)), asked)
        factors = b.value(l.Select(), hit, b.value(Full(-1.0, dtype, shape)), b.value(Full(-0.0, dtype, shape)))
        return _picked_losses(1, reduction)(b, x, factors)

    return rule


_UNSIGNED = {np.dtype(f"i{size}"): np.dtype(f"u{size}") for size in (1, 2, 4, 8)}


def _are_all_below(numbers: Any, bound: int) -> bool:
    """Whether there are numbers, all from 0 on and below a bound."""
    # A negative number read without its sign is a large one.
    unsigned = _UNSIGNED.get(numbers.dtype)
    return numbers.size > 0 and unsigned is not None and int(np.maximum.reduce(numbers.view(unsigned), axis=None)) < bound


def _one_hot(chosen: Any, classes: int, dtype: Any) -> Any:
    hot = np.eye(classes, dtype=dtype)[chosen]
    return np.moveaxis(hot, -1, 1) if chosen.ndim > 1 else hot


def _expanded(scale: Any, rank: int) -> Any:
    return scale if rank == 1 else np.expand_dims(scale, 1)


# Activations


def _floats(name: str, rule: Rule) -> Callable[..., Any]:
    return lambda input: apply(name, rule, (input,), own_float_dtype)


def _activated(name: str, rule: Rule, input: Any, inplace: bool, written_name: str = "") -> Any:
    """An activation of `input`, or one that is written into it."""
    return written(written_name or name, rule, input) if inplace else apply(name, rule, (input,), own_dtype)


def relu(input: Any, inplace: bool = False) -> Any:
    """max(x, 0); the derivative at 0 is 0."""
    return _activated("ReluBackward0", rectified, input, inplace)


def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """x above 0, slope * x below."""
    rule = lambda b, x: s.where(b, s.apply(b, l.Greater(), x, 0.0), x, s.mul(b, x, negative_slope))  # noqa: E731
    return _activated("LeakyReluBackward0", rule, input, inplace, "LeakyReluBackward1")


def elu(input: Any, alpha: float = 1.0, inplace: bool = False, *, scale: float = 1.0) -> Any:
    """x above 0, alpha * (exp(x) - 1) below."""

    def rule(b: Builder, x: Value) -> Value:
        # As in PyTorch, NaN is not below 0: its gradient passes.
        negative = s.apply(b, l.LessEqual(), x, 0.0)
        below = s.mul(b, b.value(e.Expm1(), s.where(b, negative, x, 0.0)), alpha)
        result = s.where(b, negative, below, x)
        return result if scale == 1 else s.mul(b, result, scale)

    return _activated("EluBackward0", rule, input, inplace, "EluBackward1")


def selu(input: Any, inplace: bool = False) -> Any:
    """elu with the two constants that keep mean and variance."""
    return elu(input, 1.6732632423543772, inplace, scale=1.0507009873554805)


def silu(input: Any, inplace: bool = False) -> Any:
    """x * sigmoid(x)."""
    return _activated("SiluBackward0", lambda b, x: s.mul(b, x, b.value(e.Sigmoid(), x)), input, inplace)


def gelu(input: Any, approximate: str = "none") -> Any:
    """x times the normal distribution's share below x, exactly ("none") or by "tanh".

    Raises: AutogradError for another word.
    """
    if approximate not in ("none", "tanh"):
        raise AutogradError("approximate argument must be either none or tanh.", location=caller())

    def exact(b: Builder, x: Value) -> Value:
        share = s.add(b, b.value(e.Erf(), s.mul(b, x, 0.7071067811865476)), 1.0)
        return s.mul(b, s.mul(b, x, 0.5), share)

    def by_tanh(b: Builder, x: Value) -> Value:
        cubed = s.mul(b, s.mul(b, s.mul(b, x, x), x), 0.044715)
        share = s.add(b, b.value(e.Tanh(), s.mul(b, s.add(b, x, cubed), 0.7978845608028654)), 1.0)
        return s.mul(b, s.mul(b, x, 0.5), share)

    return _floats("GeluBackward0", by_tanh if approximate == "tanh" else exact)(input)


def softplus(input: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """log(1 + exp(beta x)) / beta; linear above the threshold."""

    def rule(b: Builder, x: Value) -> Value:
        scaled = s.mul(b, x, beta) if beta != 1 else x
        soft = b.value(e.Softplus(), scaled)
        soft = s.div(b, soft, beta) if beta != 1 else soft
        return s.where(b, s.apply(b, l.Greater(), scaled, threshold), x, soft)

    return _floats("SoftplusBackward0", rule)(input)


def _log_sigmoid(b: Builder, x: Value) -> Value:
    return s.negative(b, b.value(e.Softplus(), s.negative(b, x)))


logsigmoid = _floats("LogSigmoidBackward0", _log_sigmoid)


def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """Between two bounds; unlike that of clamp, the derivative at a bound is 0."""

    def rule(b: Builder, x: Value) -> Value:
        # At a bound the value is x itself (of zeros, that with the sign of x), which has no derivative there.
        low, high = s.apply(b, l.Less(), x, min_val), s.apply(b, l.Greater(), x, max_val)
        value = s.cast(b, s.where(b, low, min_val, s.where(b, high, max_val, x)), x.type.dtype)
        outside = [s.apply(b, l.LessEqual(), x, min_val), s.apply(b, l.GreaterEqual(), x, max_val)]
        return s.where(b, b.value(l.LogicalOr(), *outside), b.value(e.StopGradient(), value), x)

    return _activated("HardtanhBackward0", rule, input, inplace)


def relu6(input: Any, inplace: bool = False) -> Any:
    """Between 0 and 6."""
    return hardtanh(input, 0.0, 6.0, inplace)


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """input @ weight.T + bias: ``(f[..., k], f[n, k], f[n]) -> f[..., n]``."""
    k = input.sizes[-1]
    rows = input.numel() // k if k else 0
    if k != weight.sizes[-1]:
        raise AutogradError(f"mat1 and mat2 shapes cannot be multiplied ({rows}x{k} and "
                            f"{weight.sizes[-1]}x{weight.sizes[0]})", location=caller())  # fmt: skip
    flat = input if len(input.sizes) == 2 else input.reshape(rows, k)
    product = mm(flat, weight.t()) if bias is None else addmm(bias, flat, weight.t())
    if flat is input:
        return product
    shape = (*input.sizes[:-1], weight.sizes[0])
    return unsafe_view(product, *shape) if bias is None else product.view(*shape)


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Elements to 0 with probability p, the others scaled to keep the mean."""
    if not 0 <= p <= 1:
        raise ArgumentValueError(f"dropout probability has to be between 0 and 1, but got {p}", location=caller())
    if not training or p == 0:
        return input
    kept = DEFAULT_GENERATOR.uniform(input.sizes, np.float64) < 1 - p
    factor = 0.0 if p == 1 else 1.0 / (1.0 - p)
    factors = input.of_array(np.asarray(kept * factor, input.dtype_.numpy))
    return input.mul_(factors) if inplace else mul(input, factors)


def normalize(input: Any, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Any:
    """Divided by its p-norm along `dim` (at least eps)."""
    return input / clamp(input.norm(p, dim, True), eps, name="ClampMinBackward0").expand_as(input)


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """A 1 at the place that each number names, in int64. Raises: AutogradError for a number without a place."""
    chosen = tensor.array()
    classes = int(chosen.max()) + 1 if num_classes < 0 else num_classes
    if (chosen < 0).any():
        raise AutogradError("Class values must be non-negative.", location=caller())
    if (chosen >= classes).any():
        raise AutogradError("Class values must be smaller than num_classes.", location=caller())
    return tensor.of_array(np.eye(classes, dtype=np.int64)[chosen])


__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "dropout", "elu", "gelu", "hardtanh",
    "huber_loss", "l1_loss", "leaky_relu", "linear", "log_softmax", "logsigmoid", "logsumexp",
    "mse_loss", "nll_loss", "normalize", "one_hot", "relu", "relu6", "selu", "sigmoid", "silu", "smooth_l1_loss", "softmax",
    "softplus", "tanh",
]  # fmt: skip
