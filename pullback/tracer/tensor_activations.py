"""More activations, by the names of PyTorch's ``nn.functional``."""

from __future__ import annotations

from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, AutogradError
from pullback.ir.core import Builder, Value
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import shapes
from pullback.tracer.tensor_apply import apply
from pullback.tracer.tensor_arithmetic import mul, relu, tanh
from pullback.tracer.tensor_base import record
from pullback.tracer.tensor_functional import _activated, dropout, elu, hardtanh, leaky_relu, selu
from pullback.tracer.tensor_inplace import in_place, into
from pullback.tracer.tensor_random import DEFAULT_GENERATOR
from pullback.tracer.tensor_reduction import softmax
from pullback.tracer.tensor_shape import axis_of


def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """x above 0, alpha * (exp(x / alpha) - 1) below."""

    def rule(b: Builder, x: Value) -> Value:
        negative = s.apply(b, l.LessEqual(), x, 0.0)
        below = s.mul(b, b.value(e.Expm1(), s.div(b, s.where(b, negative, x, 0.0), alpha)), alpha)
        return s.where(b, negative, below, x)

    return _activated("CeluBackward0", rule, input, inplace)


def mish(input: Any, inplace: bool = False) -> Any:
    """x * tanh(softplus(x))."""
    return _activated("MishBackward0", lambda b, x: s.mul(b, x, b.value(e.Tanh(), b.value(e.Softplus(), x))), input, inplace)


def _ramp(b: Builder, x: Value) -> Value:
    """From 0 at -3 to 1 at 3, with the slope 0 at both ends."""
    low, high = s.apply(b, l.LessEqual(), x, -3.0), s.apply(b, l.GreaterEqual(), x, 3.0)
    return s.where(b, low, 0.0, s.where(b, high, 1.0, s.div(b, s.add(b, x, 3.0), 6.0)))


def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """(x + 3) / 6 between -3 and 3, 0 below and 1 above."""
    return _activated("HardsigmoidBackward0", _ramp, input, inplace)


def hardswish(input: Any, inplace: bool = False) -> Any:
    """x * hardsigmoid(x)."""

    def rule(b: Builder, x: Value) -> Value:
        low, high = s.apply(b, l.LessEqual(), x, -3.0), s.apply(b, l.GreaterEqual(), x, 3.0)
        return s.where(b, low, -0.0, s.where(b, high, x, s.div(b, s.mul(b, x, s.add(b, x, 3.0)), 6.0)))

    return _activated("HardswishBackward0", rule, input, inplace)


def softsign(input: Any) -> Any:
    """x / (1 + |x|)."""
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return input - tanh(input)


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """Moved by lambd toward 0, and 0 within lambd of it. Raises: AutogradError for a negative lambd."""
    if lambd < 0:
        raise AutogradError(f"lambda must be greater or equal to 0, but found to be {lambd}.", location=caller())

    def rule(b: Builder, x: Value) -> Value:
        high, low = s.apply(b, l.Greater(), x, lambd), s.apply(b, l.Less(), x, -lambd)
        return s.where(b, high, s.sub(b, x, lambd), s.where(b, low, s.add(b, x, lambd), 0.0))

    return apply("SoftshrinkBackward0", rule, (input,), input.dtype_)


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """0 within lambd of 0, else x."""

    def rule(b: Builder, x: Value) -> Value:
        return s.where(b, s.apply(b, l.LessEqual(), s.absolute(b, x), lambd), 0.0, x)

    return apply("HardshrinkBackward0", rule, (input,), input.dtype_)


def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """x above the threshold, else `value`."""
    rule = lambda b, x: s.where(b, s.apply(b, l.LessEqual(), x, threshold), value, x)  # noqa: E731
    return _activated("ThresholdBackward0", rule, input, inplace)


def softmin(input: Any, dim: int | None = None, dtype: Any = None) -> Any:
    """softmax(-x)."""
    return softmax(-input, dim, dtype)


def glu(input: Any, dim: int = -1) -> Any:
    """The first half along an axis times the sigmoid of the second. Raises: AutogradError for an odd size."""
    along = axis_of(dim, len(input.sizes))
    size = input.sizes[along] if input.sizes else 0
    if size % 2 or not input.sizes:
        raise AutogradError(f"Halving dimension must be even, but dimension {dim} is size {size}", location=caller())

    def rule(b: Builder, x: Value) -> Value:
        first, second = (shapes.window(b, x, along, place, size // 2) for place in (0, size // 2))
        return s.mul(b, first, b.value(e.Sigmoid(), second))

    return record("GluBackward0", rule, input)


def prelu(input: Any, weight: Any) -> Any:
    """x above 0, weight * x below: one weight, or one for each place of the second axis. Raises: AutogradError otherwise."""
    count = weight.numel()
    channels = input.sizes[1] if len(input.sizes) > 1 else 1
    if count not in (1, channels):
        raise AutogradError(
            f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and channel size = "
            f"{channels}.", location=caller(),
        )  # fmt: skip
    shape = tuple(count if axis == 1 else 1 for axis in range(len(input.sizes)))
    shown = weight if weight.sizes == shape else weight.reshape(shape)

    def rule(b: Builder, x: Value, w: Value) -> Value:
        return s.where(b, s.apply(b, l.Greater(), x, 0), x, s.mul(b, w, x))

    return record("PreluKernelBackward0", rule, input, shown)


def rrelu(input: Any, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False, inplace: bool = False) -> Any:
    """x above 0, a slope times x below: the middle of the bounds, in training a random one between them.

    Raises: AutogradError where the lower bound is above the upper one.
    """
    if lower > upper:
        raise AutogradError("Lower bound should be less than or equal to the upper bound", location=caller())
    if not training:
        slope = (lower + upper) / 2
        rule = lambda b, x: s.where(b, s.apply(b, l.Greater(), x, 0.0), x, s.mul(b, x, slope))  # noqa: E731
        return _activated("LeakyReluBackward0", rule, input, inplace)
    slopes = DEFAULT_GENERATOR.uniform(input.sizes, input.dtype_.numpy) * (upper - lower) + lower
    drawn = input.of_array(np.asarray(slopes, input.dtype_.numpy))
    found = mul(input, (input <= 0) * drawn + (input > 0))
    return into(input, found) if inplace else found


def gumbel_softmax(logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Any:
    """A sample that is nearly one class; with `hard` exactly one, with the gradient of the soft one. As in PyTorch, `eps` has
    no effect.
    """
    drawn = -np.log(-np.log1p(-DEFAULT_GENERATOR.uniform(logits.sizes, np.float64)) + 1e-300)
    soft = softmax((logits + logits.of_array(drawn.astype(logits.dtype_.numpy))) / tau, dim)
    if not hard:
        return soft
    chosen = soft.detach().argmax(dim, True)
    return logits.new_zeros(logits.sizes).scatter(dim, chosen, 1.0) - soft.detach() + soft


def _channels(rank: int) -> Any:
    def dropped(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        """Whole channels to 0 with probability p, the others scaled to keep the mean."""
        if not training or p == 0:
            return input
        # Of three axes, dropout2d takes the first for the batch, as PyTorch does.
        lead = 2 if rank == 2 else len(input.sizes) - rank
        mask = dropout(input.new_ones(*input.sizes[:lead], *(1,) * (len(input.sizes) - lead)), p, True)
        return input.mul_(mask) if inplace else mul(input, mask)

    return dropped


dropout1d, dropout2d, dropout3d = _channels(1), _channels(2), _channels(3)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """dropout for selu: mean and variance stay as they are. Raises: ArgumentValueError for no probability."""
    if not 0 <= p <= 1:
        raise ArgumentValueError(f"dropout probability has to be between 0 and 1, but got {p}", location=caller())
    if not training or p == 0:
        return input
    if p == 1:
        return mul(input, input.new_zeros(input.sizes))
    floor = -1.7580993408473766
    kept = input.of_array(np.asarray(DEFAULT_GENERATOR.uniform(input.sizes, np.float64) < 1 - p))
    scale = 1 / np.sqrt((floor**2 * p + 1) * (1 - p))
    result = input.where(kept, input.new_full(input.sizes, floor)) * float(scale) + float(-scale * floor * p)
    return into(input, result) if inplace else result


relu_, elu_, selu_, celu_, leaky_relu_, hardtanh_, threshold_ = (
    in_place(each) for each in (relu, elu, selu, celu, leaky_relu, hardtanh, threshold))  # fmt: skip

__all__ = [
    "alpha_dropout", "celu", "celu_", "dropout1d", "dropout2d", "dropout3d", "elu_", "glu", "gumbel_softmax", "hardshrink",
    "hardsigmoid", "hardswish", "hardtanh_", "leaky_relu_", "mish", "prelu", "relu_", "rrelu", "selu_", "softmin", "softshrink",
    "softsign", "tanhshrink", "threshold", "threshold_",
]  # fmt: skip
