"""Digits in, a network with one hidden layer fitted to them out: define-by-run Tensors and Adam, written by hand."""
from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

import pullback as pb
from pullback.demo.digits import Digits
from pullback.demo.progress import Progress

HIDDEN, PIXELS, CLASSES = 128, 64, 10
EPOCHS, BATCH = 30, 128
_RATE, _FIRST, _SECOND, _TINY = 1e-2, 0.9, 0.999, 1e-8  # Adam's first step size and its decay rates


class Network:
    """``[n, 64] -> [n, 10]``: two matrix products with a bias each, a relu between."""

    def __init__(self, seed: int) -> None:
        # RandomState's stream is frozen by NumPy's compatibility policy, so the same seed gives the same network.
        random = np.random.RandomState(seed)

        def normal(rows: int, columns: int) -> Any:
            return pb.tensor(random.normal(0.0, rows**-0.5, (rows, columns)).astype(np.float32), requires_grad=True)

        self.parameters = [
            normal(PIXELS, HIDDEN), pb.zeros(HIDDEN, requires_grad=True),
            normal(HIDDEN, CLASSES), pb.zeros(CLASSES, requires_grad=True),
        ]  # fmt: skip

    def __call__(self, images: Any) -> Any:
        w1, b1, w2, b2 = self.parameters
        return pb.relu(images @ w1 + b1) @ w2 + b2


class Adam:
    """Steps against the gradients, scaled by running means of the gradients and of their squares.

    After D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, 2015; the rate falls to 0 over `total`
    steps.
    """

    def __init__(self, parameters: list[Any], total: int) -> None:
        self.parameters = parameters
        self.total = total
        self.first = [pb.zeros_like(each) for each in parameters]
        self.second = [pb.zeros_like(each) for each in parameters]
        self.count = 0

    def step(self) -> None:
        """One step for all parameters, whose gradients are then forgotten."""
        self.count += 1
        rate = _RATE * (1 - self.count / self.total)
        rate *= (1 - _SECOND**self.count) ** 0.5 / (1 - _FIRST**self.count)
        with pb.no_grad():
            for parameter, first, second in zip(self.parameters, self.first, self.second, strict=True):
                gradient = parameter.grad
                first.mul_(_FIRST).add_((1 - _FIRST) * gradient)
                second.mul_(_SECOND).add_((1 - _SECOND) * gradient * gradient)
                parameter -= rate * first / (second.sqrt() + _TINY)
                parameter.grad = None


@dataclass(frozen=True)
class Fit:
    """What fitting gave: the mean losses of each epoch, steps and seconds, held-out accuracy."""

    training: list[float]
    held_out: list[float]
    steps: int
    seconds: float
    accuracy: float


def fit(training: Digits, held_out: Digits, seed: int, epochs: int = EPOCHS) -> Fit:
    """Run over the training digits `epochs` times, in batches shuffled by `seed`."""
    network = Network(seed)
    adam = Adam(network.parameters, epochs * (len(training) // BATCH))
    random = np.random.RandomState(seed + 1)
    images, labels = pb.tensor(held_out.images.astype(np.float32)), pb.tensor(held_out.labels)
    losses: list[float] = []
    held_out_losses: list[float] = []
    began = time.perf_counter()
    with Progress("epoch", epochs) as progress:
        for epoch in range(epochs):
            total = 0.0
            for batch in _batches(random.permutation(len(training))):
                digits = training.take(batch)
                scores = network(pb.tensor(digits.images.astype(np.float32)))
                loss = pb.nn.functional.cross_entropy(scores, pb.tensor(digits.labels))
                loss.backward()
                adam.step()
                total += loss.item() * len(batch)
            losses.append(total / len(training))
            with pb.no_grad():
                held_out_losses.append(pb.nn.functional.cross_entropy(network(images), labels).item())
            progress.update(epoch + 1, f"loss {losses[-1]:.4f}, held out {held_out_losses[-1]:.4f}")
    seconds = time.perf_counter() - began
    with pb.no_grad():
        accuracy = (network(images).argmax(dim=1) == labels).float().mean().item()
    return Fit(losses, held_out_losses, adam.count, seconds, accuracy)


def _batches(order: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The order in pieces of `BATCH`; what is left over waits for another epoch, so that shapes stay the same."""
    return [order[start : start + BATCH] for start in range(0, len(order) - BATCH + 1, BATCH)]
