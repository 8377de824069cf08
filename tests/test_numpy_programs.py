"""Random programs over NumPy's functions: compiled they give NumPy's values, and gradients are finite differences."""
from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pullback as pb

UNARY: list[Callable[[Any], Any]] = [
    np.sin, np.cos, np.tanh, np.arctan, np.arcsinh, np.square, np.negative, np.abs, np.expm1, np.floor,
    lambda x: np.exp(np.minimum(x, 2.0)), lambda x: np.log1p(np.abs(x)), lambda x: np.sqrt(x * x + 1),
    lambda x: np.cbrt(x * x + 1),
    lambda x: np.log2(np.abs(x) + 0.5), lambda x: 1 / (1 + x * x), lambda x: x**3, lambda x: np.sinc(x),
    lambda x: np.clip(x, -1.0, 0.7),
    lambda x: x.T, lambda x: x.ravel(), lambda x: x[::-1], lambda x: x[..., ::2], lambda x: x[..., None], lambda x: x[-1],
    lambda x: x[[0, -1, 0]],
    lambda x: np.cumsum(x), lambda x: np.cumsum(x, -1), lambda x: np.cumprod(np.tanh(x), 0), lambda x: np.diff(x),
    lambda x: np.sort(x, -1),
    lambda x: np.flip(x), lambda x: np.roll(x, 1), lambda x: np.pad(x, 1), lambda x: np.pad(x, 2, "reflect"), np.tril,
    np.squeeze,
    lambda x: np.repeat(x, 2, -1), lambda x: np.tile(x, 2), lambda x: np.sum(x, 0), lambda x: np.mean(x, -1, keepdims=True),
    lambda x: np.max(x, 0),
    lambda x: np.min(x), lambda x: np.prod(x, -1), lambda x: np.var(x, 0), lambda x: np.std(x), lambda x: np.linalg.norm(x),
    lambda x: np.median(x, 0),
    lambda x: np.logaddexp.reduce(x), lambda x: np.where(x > 0, x, x * 0.1), lambda x: np.where(x > 0.1, np.log(x), 0.0),
    lambda x: x - np.mean(x),
    lambda x: np.take_along_axis(x, np.argsort(x, -1), -1), lambda x: x[np.argmax(x, 0)], lambda x: np.take(x, [0, 1, 0]),
    lambda x: np.split(x, 2)[1],
    lambda x: np.einsum("ij->ji", x), lambda x: np.einsum("ii->", x), lambda x: np.diag(x), lambda x: np.trapezoid(x),
    lambda x: np.gradient(x, axis=0),
    lambda x: np.interp(x, [-1.0, 0.0, 2.0], [0.5, -0.5, 1.0]), lambda x: np.convolve(x, [1.0, 0.5, -1.0]),
    lambda x: np.outer(x, x), lambda x: x @ x.T,
]  # fmt: skip
BINARY: list[Callable[[Any, Any], Any]] = [
    np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.hypot, np.arctan2, np.logaddexp, np.matmul, np.outer,
    lambda x, y: x / (1 + y * y), lambda x, y: (np.abs(x) + 1) ** np.tanh(y), lambda x, y: np.where(x > y, x, y * y),
    lambda x, y: np.concatenate([x, y]), lambda x, y: np.stack([x, y], -1), lambda x, y: np.dot(x, y), lambda x,
    y: np.inner(x, y),
    lambda x, y: np.tensordot(x, y, 1), lambda x, y: np.einsum("ij,j", x, y), lambda x, y: np.where(x > 0, x, 0) * y, lambda x,
    y: np.kron(x, y),
    lambda x, y: x % (np.abs(y) + 1), lambda x, y: np.select([x > 0.5, y > 0], [x, y], 0.25), lambda x,
    y: np.heaviside(x, 0.5) * y,
]  # fmt: skip
Step = tuple[int, int, int]
STEPS = st.tuples(st.integers(0, len(UNARY) + 2 * len(BINARY) - 1), st.integers(0, 9), st.integers(0, 9))


def apply(step: Step, values: Sequence[Any]) -> Any:
    operation, first, second = step
    x, y = values[first % len(values)], values[second % len(values)]
    return UNARY[operation](x) if operation < len(UNARY) else BINARY[(operation - len(UNARY)) % len(BINARY)](x, y)


def run(steps: Sequence[Step], values: Sequence[Any]) -> Any:
    """A number: the sum of all that the steps compute from each other."""
    values = list(values)
    total = sum((np.sum(value) for value in values), 0.0)
    for step in steps:
        values.append(apply(step, values))
        total = total + np.mean(values[-1])
    return total


def usable(steps: Sequence[Step], arguments: Sequence[Any]) -> list[Step]:
    """The steps that NumPy can take, with results of moderate size."""
    values, kept = list(arguments), []
    for step in steps:
        try:
            with np.errstate(all="ignore"):
                result = apply(step, values)
        except (ValueError, IndexError, TypeError):
            continue
        if result.size and result.size <= 200 and np.all(np.abs(result) < 100):
            values.append(result)
            kept.append(step)
    return kept


def check(steps: Sequence[Step], seed: int) -> None:
    random = np.random.default_rng(seed)
    arguments = [random.uniform(-1.5, 1.5, (3, 4)), random.uniform(-1.5, 1.5, (4,)), np.float64(random.uniform(-1, 1))]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        steps = usable(steps, arguments)
        compiled = pb.compile_grad(lambda *args: run(steps, args), argnums=(0, 1, 2))
        value, gradients = compiled.value_and_grad(*arguments)
        np.testing.assert_allclose(value, run(steps, arguments), rtol=1e-11, atol=1e-11)
        directions = [random.normal(size=np.shape(each)) for each in arguments]
        slope = sum(np.sum(gradient * each) for gradient, each in zip(gradients, directions, strict=True))
        slopes = []
        for size in (1e-6, 3e-7):
            ends = [run(steps, [each + sign * size * way for each,
                                way in zip(arguments, directions, strict=True)]) for sign in (1, -1)]
            slopes.append((ends[0] - ends[1]) / (2 * size))
        # A kink between the two ends shows in that the two sizes disagree.
        if abs(slopes[0] - slopes[1]) < 1e-5 * (1 + abs(slopes[1])):
            np.testing.assert_allclose(slope, slopes[1], rtol=1e-5, atol=1e-5)


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=1, max_size=8), st.integers(0, 1000))
def test_random_programs(steps: list[Step], seed: int) -> None:
    check(steps, seed)


@pytest.mark.sweep
@settings(max_examples=3000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(STEPS, min_size=2, max_size=16), st.integers(0, 10**9))
def test_many_random_programs(steps: list[Step], seed: int) -> None:
    check(steps, seed)
