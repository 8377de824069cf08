"""Programs as scientists, engineers and analysts write them: NumPy's values, and slopes that are finite differences."""
from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pullback as pb

RANDOM = np.random.default_rng(0)
PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int]] = {}


def program(*args: Any, active: int = 1) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Try a function on arguments, of which the first `active` are differentiated."""

    def keep(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[function.__name__] = function, args, active
        return function

    return keep


def exponential(a: Any, b: Any, length: Any, size: Any) -> Any:
    difference = a[:, None, :] - b[None, :, :]
    return size**2 * np.exp(-0.5 * np.sum((difference / length) ** 2, axis=-1))


@program(np.array([0.1, 0.2, -1.0]), RANDOM.normal(size=(12, 2)), RANDOM.normal(size=12))
def gaussian_process(theta: Any, x: Any, y: Any) -> Any:
    length, size, noise = np.exp(theta)
    covariance = exponential(x, x, length, size) + noise**2 * np.eye(len(x))
    low = np.linalg.cholesky(covariance)
    weights = np.linalg.solve(low.T, np.linalg.solve(low, y))
    sign, log_determinant = np.linalg.slogdet(covariance)
    likelihood = 0.5 * y @ weights + np.sum(np.log(np.diag(low))) + 0.5 * len(x) * np.log(2 * np.pi)
    return likelihood + 1e-3 * sign * log_determinant


@program(101.3, 0.02, 0.25, 100.0, active=4)
def american_option(spot: Any, rate: Any, volatility: Any, strike: Any, steps: int = 15) -> Any:
    dt = 1.0 / steps
    up = np.exp(volatility * np.sqrt(dt))
    p = (np.exp(rate * dt) - 1 / up) / (up - 1 / up)
    prices = spot * up ** np.arange(steps, -1, -1) * (1 / up) ** np.arange(0, steps + 1)
    value = np.maximum(strike - prices, 0)
    for i in range(steps - 1, -1, -1):
        value[: i + 1] = np.exp(-rate * dt) * (p * value[: i + 1] + (1 - p) * value[1 : i + 2])
        prices = prices[: i + 1] / up
        value = np.maximum(value[: i + 1], strike - prices)
    return value[0]


@program(100.0, 105.0, 0.02, 0.3, active=4)
def black_scholes(spot: Any, strike: Any, rate: Any, volatility: Any) -> Any:
    def normal(x: Any) -> Any:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    d = (math.log(spot / strike) + (rate + volatility**2 / 2)) / volatility
    return spot * normal(d) - strike * math.exp(-rate) * normal(d - volatility)


@program(np.array([0.04, 1.5, 0.04, 0.3, -0.6]), RANDOM.normal(size=(2, 20, 30)))
def heston(theta: Any, z: Any) -> Any:
    start, pull, level, wobble, correlation = theta
    prices, variance, dt = 100.0 * np.ones(30), start * np.ones(30), 1 / 20
    for t in range(20):
        second = correlation * z[0, t] + np.sqrt(1 - correlation**2) * z[1, t]
        positive = np.maximum(variance, 0.0)
        prices *= np.exp(-0.5 * positive * dt + np.sqrt(positive * dt) * z[0, t])
        variance += pull * (level - positive) * dt + wobble * np.sqrt(positive * dt) * second
    return np.mean(np.maximum(prices - 100, 0))


@program(0.3, 2.0, active=2)
def pendulum_with_an_event(angle: Any, length: Any) -> Any:
    speed, t, dt = 0.0, 0.0, 1e-2
    while True:
        speed_new = speed - dt * 9.81 / length * np.sin(angle)
        angle_new = angle + dt * speed_new
        if angle_new < 0:
            t = t + angle / (angle - angle_new) * dt
            break
        angle, speed = angle_new, speed_new
        t += dt
        if t > 10:
            raise RuntimeError("no crossing")
    return t


@program(RANDOM.normal(size=(3, 3)), RANDOM.normal(size=(10, 3)), active=2)
def viterbi(moves: Any, emissions: Any) -> Any:
    steps, states = emissions.shape
    best, source = np.zeros((steps, states)), np.zeros((steps, states), dtype=int)
    best[0] = emissions[0]
    for t in range(1, steps):
        for k in range(states):
            scores = best[t - 1] + moves[:, k]
            source[t, k] = np.argmax(scores)
            best[t, k] = scores[source[t, k]] + emissions[t, k]
    path = np.zeros(steps, dtype=int)
    path[-1] = np.argmax(best[-1])
    for t in range(steps - 2, -1, -1):
        path[t] = source[t + 1, path[t + 1]]
    return emissions[np.arange(steps), path].sum() + moves[path[:-1], path[1:]].sum() + best[-1].max()


@program(RANDOM.normal(size=8), RANDOM.normal(size=9), active=2)
def time_warping(a: Any, b: Any) -> Any:
    table = np.full((len(a) + 1, len(b) + 1), np.inf)
    table[0, 0] = 0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            table[i, j] = (a[i - 1] - b[j - 1]) ** 2 + min(table[i - 1, j], table[i, j - 1], table[i - 1, j - 1])
    return table[-1, -1]


@program(np.ones(8) + 0.1 * RANDOM.normal(size=8))
def finite_elements(stiffness: Any) -> Any:
    n, h = len(stiffness) + 1, 1.0 / len(stiffness)
    elements = np.column_stack([np.arange(n - 1), np.arange(1, n)])
    matrix, load = np.zeros((n, n)), np.zeros(n)
    for number, (left, right) in enumerate(elements):
        matrix[np.ix_([left, right], [left, right])] += stiffness[number] / h * np.array([[1, -1], [-1, 1]])
        np.add.at(load, elements[number], h / 2)
    moved = np.zeros(n)
    moved[1:] = np.linalg.solve(matrix[1:, 1:], load[1:])
    return load @ moved


@dataclass
class Layer:
    weights: np.ndarray
    bias: np.ndarray

    def __call__(self, x: Any) -> Any:
        return x @ self.weights + self.bias


@program([Layer(RANDOM.normal(size=(3, 5)), np.zeros(5)), Layer(RANDOM.normal(size=(5, 1)), np.ones(1))],
         RANDOM.normal(size=(7, 3)), np.sign(RANDOM.normal(size=7)))  # fmt: skip
def network_of_dataclasses(layers: Any, x: Any, y: Any) -> Any:
    for layer in layers[:-1]:
        x = np.tanh(layer(x))
    margins = 1 - y * layers[-1](x)[:, 0]
    return sum(margin**2 for margin in margins if margin > 0) + 0.01 * np.linalg.norm(layers[0].weights, "nuc")


class Particle:
    def __init__(self, place: Any, speed: Any) -> None:
        self.place, self.speed, self.history = place, speed, []

    def step(self, dt: float, spring: Any) -> None:
        self.speed = self.speed - spring * self.place * dt
        self.place = self.place + self.speed * dt
        self.history.append(self.place)

    @property
    def energy(self) -> Any:
        return 0.5 * self.speed**2


@program(1.0, 2.0, active=2)
def particles(start: Any, spring: Any) -> Any:
    group = [Particle(start, 0.0), Particle(2 * start, 0.1)]
    for _ in range(20):
        for each in group:
            each.step(0.05, spring)
    pairs = [a * b for a, b in itertools.pairwise(group[0].history)]
    return sum(each.energy for each in group) + np.mean(group[0].history) + np.max(pairs) + np.std(list(pairs), ddof=1)


@program(np.array([0.1, 0.1, 0.8]), RANDOM.normal(size=50))
def garch(theta: Any, returns: Any) -> Any:
    base, shock, memory = theta
    variance = np.empty(len(returns))
    variance[0] = np.var(returns)
    for t in range(1, len(returns)):
        variance[t] = base + shock * returns[t - 1] ** 2 + memory * variance[t - 1]
    return 0.5 * np.sum(np.log(2 * np.pi) + np.log(variance) + returns**2 / variance)


@program(RANDOM.normal(size=(5, 5)), RANDOM.normal(size=5))
def explained_variance(x: Any, way: Any) -> Any:
    values, vectors = np.linalg.eigh(np.cov(x))
    line = np.polyfit(np.arange(5.0), x[0], 1)
    return np.sum(values[-2:]) / np.sum(values) + (vectors[:, -1] @ way) ** 2 + np.polyval(line, 6.0)


def shifted(tree: Any, ways: Any, size: float) -> Any:
    """Arguments moved along the directions that `ways` draws for their arrays and numbers."""
    if isinstance(tree, list | tuple):
        return type(tree)(shifted(each, ways, size) for each in tree)
    if isinstance(tree, Layer):
        return Layer(shifted(tree.weights, ways, size), shifted(tree.bias, ways, size))
    return tree + size * ways(np.shape(tree))


def inner(tree: Any, ways: Any) -> float:
    """The slope that a gradient promises along the same directions."""
    if isinstance(tree, list | tuple):
        return sum(inner(each, ways) for each in tree)
    if isinstance(tree, Layer):
        return inner(tree.weights, ways) + inner(tree.bias, ways)
    return float(np.sum(tree * ways(np.shape(tree))))


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    function, args, active = PROGRAMS[name]
    value, gradients = pb.value_and_grad(function, tuple(range(active)))(*args)
    np.testing.assert_allclose(value, function(*args), rtol=1e-10)
    np.testing.assert_allclose(pb.compile_grad(function)(*args), value, rtol=1e-12)
    generator, step = np.random.default_rng(1), 1e-6
    slope = inner(gradients, lambda shape: generator.normal(size=shape))
    np.testing.assert_allclose(slope, (moved(function, args, active, step) - moved(function, args, active, -step)) / (2 * step),
                               rtol=2e-6, atol=1e-7)  # fmt: skip


def moved(function: Callable[..., Any], args: tuple[Any, ...], active: int, size: float) -> Any:
    """The value for arguments moved by `size` in the directions of one seed."""
    generator = np.random.default_rng(1)
    return function(*shifted(args[:active], lambda shape: generator.normal(size=shape), size), *args[active:])


def test_sums_with_a_condition() -> None:
    def of_positive(x: Any) -> Any:
        negative = sum((each for row in (x, x) for each in row if each < 0 if each > -1), 2.0)
        return sum(np.sqrt(each) for each in x if each > 0) + negative

    x = np.array([0.5, -0.7, 2.0, -3.0, 1.0])
    np.testing.assert_allclose(pb.compile_grad(of_positive)(x), of_positive(x))
    np.testing.assert_allclose(pb.grad(of_positive)(x), [0.5 / np.sqrt(0.5), 2.0, 0.5 / np.sqrt(2.0), 0.0, 0.5])

    def of_known(x: Any) -> Any:
        def sum(items: Any) -> Any:  # not the builtin: it sees the items that are left
            return [*items]

        left = sum(x[k] for k in range(5) if k % 2)
        return left[0] * left[1] * len(left)

    assert pb.compile_grad(of_known)(x) == of_known(x)
    assert pb.compile_grad(lambda x: x[0] * sum(k for k in range(6) if k != 3))(x) == 6.0


def test_brackets_that_join() -> None:
    def f(x: Any) -> Any:
        row = np.r_[0.0, x, x[0], [x[1], 2.0], 1:3, 0:1:3j]
        return np.sum(row * np.arange(len(row))) + np.sum(np.c_[x, x**2, np.arange(3)] @ np.c_[x] * np.c_[[x[0]]])

    x = np.array([0.3, 1.2, -0.4])
    np.testing.assert_allclose(pb.compile_grad(f)(x), f(x), rtol=1e-13)
    shift = 1e-6 * np.array([1.0, 0.5, -0.3])
    slope = (f(x + shift) - f(x - shift)) / 2e-6
    np.testing.assert_allclose(pb.grad(f)(x) @ shift / 1e-6, slope, rtol=1e-7)
    narrow = x.astype(np.float32)
    for joined in (lambda x: np.r_[x, 1.5], lambda x: np.c_[x, 2 * x], lambda x: np.r_[x, np.float64(1.5)]):
        assert pb.compile_grad(joined)(narrow).dtype == joined(narrow).dtype


def test_lists_of_computed_numbers_are_arrays_to_numpy() -> None:
    def f(x: Any) -> Any:
        parts = [x[0] * x[1], x[1] ** 2, np.sin(x[2])]
        rows = [[x[0], 1.0], (x[1], x[2])]
        total = np.sum(parts) + np.mean(parts) + np.max(parts) + np.std(parts) + np.prod(np.exp(parts))
        total += np.dot(parts, [1, 2, 3]) + np.linalg.norm(parts) + np.median(parts)
        return total + np.cumsum(parts)[1] + np.trapezoid(parts) + np.linalg.det(rows)

    x = np.array([0.3, 1.2, -0.4])
    np.testing.assert_allclose(pb.compile_grad(f)(x), f(x), rtol=1e-13)
    for place in range(3):
        shift = 1e-6 * (np.arange(3) == place)
        np.testing.assert_allclose(pb.grad(f)(x)[place], (f(x + shift) - f(x - shift)) / 2e-6, rtol=1e-7)
