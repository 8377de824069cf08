"""More losses, by the names of PyTorch's ``nn.functional``, in the steps that PyTorch takes."""

from __future__ import annotations

from math import log, pi
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.location import caller
from pullback.tracer.deferred import array_of
from pullback.tracer.grad_mode import no_grad
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import reductions as sr
from pullback.tracer.tensor_apply import DTYPE_WORDS, apply
from pullback.tracer.tensor_arithmetic import mul, where
from pullback.tracer.tensor_base import Unseen, record
from pullback.tracer.tensor_elementwise import clamp_min, xlogy
from pullback.tracer.tensor_functional import nll_loss, reduced, reduced_by_step, reduction_word, without_gradient
from pullback.tracer.tensor_index import masked_fill
from pullback.tracer.tensor_reduction import log_softmax


def _scaled(tensor: Any, factor: float) -> Any:
    """factor * tensor, a step that shows the tensor alone."""
    return apply("MulBackward1", lambda b, x: s.mul(b, x, factor), (tensor,), tensor.dtype_)


def _over(tensor: Any, divisor: float) -> Any:
    """tensor / divisor, a step that shows the tensor alone."""
    return apply("DivBackward1", lambda b, x: s.div(b, x, divisor), (tensor,), tensor.dtype_)


def _along_classes(weight: Any, rank: int, axis: int) -> Any:
    """A number for each class, in the shape of logits."""
    return weight if rank == 1 or axis == rank - 1 else weight.view(*[-1 if each == axis else 1 for each in range(rank)])


def cross_entropy(input: Any, target: Any, weight: Any = None, size_average: Any = None, ignore_index: int = -100,
                  reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0) -> Any:  # fmt: skip
    """Of logits with class numbers, or with a probability per class: ``(f[n, c, ...], i64[n, ...])``, ``(f[c], i64[])``.

    Raises: OutOfBoundsError for a class that is not there, ArgumentValueError for sizes that do not fit, AutogradError for
    settings that do not.
    """
    reduction = reduction_word(reduction, size_average, reduce)
    rank = len(input.sizes)
    axis = 1 if rank > 1 else 0
    if not 0 <= label_smoothing <= 1:
        raise AutogradError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}", location=caller())
    if target.dtype_.is_float:
        if ignore_index >= 0:
            raise AutogradError("ignore_index is not supported for floating point target", location=caller())
        if input.sizes == target.sizes:
            return _of_probabilities(input, target, weight, reduction, label_smoothing, axis)
        raise AutogradError(f"expected target dtype to be Long or Byte, but got {DTYPE_WORDS[target.dtype_.name]}",
                            location=caller(), help="probabilities have the sizes of the logits")  # fmt: skip
    logs = log_softmax(input, axis)
    plain = nll_loss(logs, target, weight, None, ignore_index, None, reduction)
    if label_smoothing == 0:
        return plain
    weighted = logs if weight is None else mul(logs, _along_classes(weight, rank, axis))
    ignored = np.array(target.array()) == ignore_index
    spread = masked_fill(-weighted.sum(axis), target.of_array(ignored), 0.0)
    if reduction == "mean":
        counts = ~ignored if weight is None else np.array(weight.array())[np.where(ignored, 0, target.array())] * ~ignored
        spread = spread.sum() / float(counts.sum())
    elif reduction == "sum":
        spread = spread.sum()
    return _scaled(plain, 1 - label_smoothing) + _scaled(spread, label_smoothing / input.sizes[axis])


def _of_probabilities(input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float, axis: int) -> Any:
    classes = input.sizes[axis]
    wanted = target if label_smoothing == 0 else target * (1 - label_smoothing) + label_smoothing / classes
    products = mul(log_softmax(input, axis), wanted)
    if weight is not None:
        products = mul(products, _along_classes(weight, len(input.sizes), axis))
    if reduction == "none":
        return -products.sum(axis)
    total = -products.sum()
    return _over(total, input.numel() // classes) if reduction == "mean" else total


def kl_div(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
           log_target: bool = False) -> Any:  # fmt: skip
    """target * (log target - input), 0 where the target is 0; "batchmean" is the sum over the size of the first axis."""
    if reduction != "batchmean" or size_average is not None or reduce is not None:
        reduction = reduction_word(reduction, size_average, reduce)
    losses = target.exp() * (target - input) if log_target else xlogy(target, target) - target * input
    if reduction == "batchmean":
        return losses.sum() / (input.sizes[0] if input.sizes else 1)
    return reduced_by_step(losses, reduction)


def poisson_nll_loss(input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: Any = None,
                     eps: float = 1e-8, reduce: Any = None, reduction: str = "mean") -> Any:  # fmt: skip
    """Of counts with their mean, or its logarithm."""
    reduction = reduction_word(reduction, size_average, reduce)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * pi * target).log()
        losses = losses + masked_fill(stirling, target <= 1, 0.0)
    return reduced_by_step(losses, reduction)


def gaussian_nll_loss(input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
                      reduction: str = "mean") -> Any:  # fmt: skip
    """Of numbers with their mean and variance: one below eps counts as eps, and has the gradient that it would have there.

    Raises: ArgumentValueError for a negative variance.
    """
    if isinstance(var, int | float):
        var = input.new_full(input.sizes, float(var))
    if (var.array() < 0).any():
        raise ArgumentValueError("var has negative entry/entries", location=caller())
    spread = (var.unsqueeze(-1) if var.sizes == input.sizes[:-1] != input.sizes else var).clone()
    with no_grad():
        spread.clamp_(min=eps)
    losses = 0.5 * (spread.log() + (input - target) ** 2 / spread)
    return reduced_by_step(losses + 0.5 * log(2 * pi) if full else losses, reduction)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along an axis, their norms at least eps."""
    first, second = (each / clamp_min(each.norm(2, dim, True), eps) for each in (x1, x2))
    return (first * second).sum(dim)


def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None,
                          reduce: Any = None, reduction: str = "mean") -> Any:  # fmt: skip
    """1 - cosine for pairs marked 1, the cosine above the margin for those marked -1."""
    reduction = reduction_word(reduction, size_average, reduce)
    tiny = 1e-12
    product = (input1 * input2).sum(-1)
    squares = ((input1 * input1).sum(-1) + tiny) * ((input2 * input2).sum(-1) + tiny)
    cosine = product / squares.sqrt()
    apart = where(target == -1, clamp_min(cosine - margin, 0), 0.0)
    return reduced_by_step(where(target == 1, 1 - cosine, 0.0) + apart, reduction)


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
                         reduction: str = "mean") -> Any:  # fmt: skip
    """Distances marked 1, and what those marked -1 lack to the margin."""
    reduction = reduction_word(reduction, size_average, reduce)
    return reduced_by_step(where(target != 1, clamp_min(margin - input, 0), 0.0) + where(target != -1, input, 0.0), reduction)


def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None,
                        reduce: Any = None, reduction: str = "mean") -> Any:  # fmt: skip
    """What the first lacks to being larger (marked 1) or smaller (marked -1) than the second by the margin."""
    reduction = reduction_word(reduction, size_average, reduce)
    lead = -target * (input1 - input2)
    return reduced_by_step(clamp_min(lead + margin if margin else lead, 0), reduction)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last axis."""
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2, eps: float = 1e-6, swap: bool = False,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Any:  # fmt: skip
    """What the distance to the negative lacks to that to the positive and the margin."""
    reduction = reduction_word(reduction, size_average, reduce)
    near, far = pairwise_distance(anchor, positive, p, eps), pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduced_by_step(clamp_min(margin + near - far, 0), reduction)


def soft_margin_loss(input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = "mean") -> Any:
    """log(1 + exp(-target * input))."""
    reduction = reduction_word(reduction, size_average, reduce)

    def rule(b: Builder, x: Value, y: Value) -> Value:
        return reduced(b, b.value(e.Softplus(), s.negative(b, s.mul(b, x, y))), reduction)

    return record("SoftMarginLossBackward0", rule, input, Unseen(without_gradient("soft_margin_loss", "target", target)))


def multi_margin_loss(input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, size_average: Any = None,
                      reduce: Any = None, reduction: str = "mean") -> Any:  # fmt: skip
    """How much other classes come within the margin of the target's, to the power p, over the number of classes.

    Raises: ArgumentValueError where p is not 1 or 2, OutOfBoundsError for a class that is not there.
    """
    reduction = reduction_word(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentValueError("only p == 1 and p == 2 supported", location=caller())
    classes = input.sizes[-1]
    chosen = target.array()
    if ((chosen < 0) | (chosen >= classes)).any():
        raise OutOfBoundsError("target out of range", location=caller(), help=f"classes go from 0 to {classes - 1}")
    hot = np.eye(classes, dtype=bool)[chosen]
    factors = None if weight is None else array_of(without_gradient("multi_margin_loss", "weight", weight))[chosen]

    def rule(b: Any, x: Value) -> Value:
        mask = b.capture(hot)
        own = sr.total(b, s.where(b, mask, x, 0.0), -1, True)
        lack = s.add(b, s.sub(b, x, own), margin)
        lack = s.where(b, b.value(l.LogicalOr(), mask, s.apply(b, l.LessEqual(), lack, 0.0)), 0.0, lack)
        lack = s.mul(b, lack, lack) if p == 2 else lack
        each = s.div(b, sr.total(b, lack, -1), float(classes))
        if factors is not None:
            each = s.mul(b, each, b.capture(factors.astype(x.type.dtype.numpy)))
        return reduced(b, each, reduction)

    return record("MultiMarginLossBackward0", rule, input)


def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
                                reduction: str = "mean") -> Any:  # fmt: skip
    """The logistic loss of each class, their mean."""
    reduction = reduction_word(reduction, size_average, reduce)

    def logs(x: Any) -> Any:
        rule = lambda b, v: s.negative(b, b.value(e.Softplus(), s.negative(b, v)))  # noqa: E731
        return apply("LogSigmoidBackward0", rule, (x,), x.dtype_)

    losses = -(target * logs(input) + (1 - target) * logs(-input))
    losses = losses if weight is None else losses * weight
    return reduced_by_step(losses.sum(-1) / input.sizes[-1], reduction)


__all__ = [
    "cosine_embedding_loss", "cosine_similarity", "cross_entropy", "gaussian_nll_loss", "hinge_embedding_loss", "kl_div",
    "margin_ranking_loss", "multi_margin_loss", "multilabel_soft_margin_loss", "pairwise_distance", "poisson_nll_loss",
    "soft_margin_loss", "triplet_margin_loss",
]  # fmt: skip
