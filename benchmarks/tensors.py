"""Training steps of small networks, written once in PyTorch's words: by pullback and (where installed) by PyTorch.

    python benchmarks/tensors.py

Both sides run the same program single-threaded in this process on the same data; their losses are compared before anything
is timed. Times of a step are CPU seconds of the process, the minimum over interleaved rounds; beside them stands the time
of the first three steps, compilation included.
"""
from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterator
from typing import Any

from conditions import measure

# isort: split
import numpy as np

import pullback
from pullback.nn import functional

Model = tuple[list[Any], Callable[[], Any]]
"""Parameters, and what computes the loss from them."""


class Side:
    """One library, and numbers that are the same for every library."""

    def __init__(self, torch: Any, functional: Any) -> None:
        self.torch, self.functional, self.random = torch, functional, np.random.default_rng(0)

    def data(self, *sizes: int) -> Any:
        return self.torch.tensor(self.random.normal(size=sizes).astype("float32"))

    def classes(self, most: int, *sizes: int) -> Any:
        return self.torch.tensor(self.random.integers(0, most, sizes))

    def parameter(self, *sizes: int, size: float = 0.1) -> Any:
        return (size * self.data(*sizes)).detach().requires_grad_()


def perceptron(t: Side) -> Model:
    """Two layers, 64 examples of 64 numbers."""
    x, y = t.data(64, 64), t.classes(10, 64)
    w = [t.parameter(64, 128), t.parameter(128), t.parameter(128, 10), t.parameter(10)]
    return w, lambda: t.functional.cross_entropy(t.functional.relu(x @ w[0] + w[1]) @ w[2] + w[3], y)


def convolutional(t: Side) -> Model:
    """Two convolutions with pooling, 32 pictures of 8 by 8."""
    f, x, y = t.functional, t.data(32, 1, 8, 8), t.classes(10, 32)
    w = [t.parameter(8, 1, 3, 3), t.parameter(8), t.parameter(16, 8, 3, 3), t.parameter(16), t.parameter(64, 10),
         t.parameter(10)]  # fmt: skip

    def loss() -> Any:
        h = f.max_pool2d(f.relu(f.conv2d(x, w[0], w[1], padding=1)), 2)
        h = f.max_pool2d(f.relu(f.conv2d(h, w[2], w[3], padding=1)), 2)
        return f.cross_entropy(h.flatten(1) @ w[4] + w[5], y)

    return w, loss


def attention(t: Side) -> Model:
    """One block of a transformer of width 32 with four heads, 8 texts of 16 words."""
    f, words, wanted = t.functional, t.classes(20, 8, 16), t.classes(20, 128)
    table, place, out = t.parameter(20, 32, size=1), t.parameter(16, 32), t.parameter(32, 20)
    q, k, v, o = (t.parameter(32, 32, size=0.2) for _ in range(4))
    wide, narrow = t.parameter(32, 128, size=0.2), t.parameter(128, 32)
    norms = [(t.torch.ones(32).requires_grad_(), t.torch.zeros(32).requires_grad_()) for _ in range(2)]
    later = t.torch.tril(t.torch.ones(16, 16)) == 0

    def loss() -> Any:
        h = f.embedding(words, table) + place
        z = f.layer_norm(h, (32,), *norms[0])
        queries, keys, values = [(z @ each).view(8, 16, 4, 8).transpose(1, 2) for each in (q, k, v)]
        weights = (queries @ keys.transpose(-2, -1) / 8**0.5).masked_fill(later, float("-inf")).softmax(-1)
        h = h + (weights @ values).transpose(1, 2).reshape(8, 16, 32) @ o
        h = h + f.gelu(f.layer_norm(h, (32,), *norms[1]) @ wide) @ narrow
        return f.cross_entropy((h @ out).view(128, 20), wanted)

    return [table, place, q, k, v, o, wide, narrow, out, *(each for pair in norms for each in pair)], loss


def recurrent(t: Side) -> Model:
    """A network with a state of 32 numbers, written as a loop over 50 steps, 16 examples."""
    xs, y = t.data(50, 16, 8), t.data(16, 1)
    w = [t.parameter(8, 32), t.parameter(32, 32), t.parameter(32), t.parameter(32, 1)]

    def loss() -> Any:
        h = t.torch.zeros(16, 32)
        for x in xs:
            h = t.torch.tanh(x @ w[0] + h @ w[1] + w[2])
        return ((h @ w[3] - y) ** 2).mean()

    return w, loss


def differential(t: Side) -> Model:
    """A differential equation that a network states, by 20 steps of Runge and Kutta's method, from 20 points."""
    start, measured = t.data(20, 2), t.data(20, 20, 2)
    w = [t.parameter(2, 50), t.parameter(50), t.parameter(50, 2), t.parameter(2)]

    def slope(y: Any) -> Any:
        return t.torch.tanh(y**3 @ w[0] + w[1]) @ w[2] + w[3]

    def loss() -> Any:
        y, states = start, []
        for _ in range(20):
            a = slope(y)
            b = slope(y + 0.01 * a)
            c = slope(y + 0.01 * b)
            y = y + 0.02 / 6 * (a + 2 * b + 2 * c + slope(y + 0.02 * c))
            states.append(y)
        return (t.torch.stack(states) - measured).abs().mean()

    return w, loss


def steps(side: Side, program: Callable[[Side], Model]) -> Callable[[], float]:
    """A step of training with Adam, which gives the loss."""
    parameters, loss = program(side)
    optimizer = side.torch.optim.Adam(parameters, lr=1e-3)

    def step() -> float:
        optimizer.zero_grad()
        found = loss()
        found.backward()
        optimizer.step()
        return float(found.item())

    return step


def sides() -> Iterator[tuple[str, Side]]:
    yield "pullback", Side(pullback, functional)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        yield "torch", Side(torch, torch.nn.functional)


def main() -> None:
    for program in (perceptron, convolutional, attention, recurrent, differential):
        running: dict[str, Callable[[], object]] = {}
        first: dict[str, float] = {}
        losses: dict[str, list[float]] = {}
        for name, side in sides():
            running[name] = step = steps(side, program)
            start = time.process_time()
            losses[name] = [step() for _ in range(3)]
            first[name] = time.process_time() - start
        for name, found in losses.items():
            np.testing.assert_allclose(found, losses["pullback"], rtol=1e-4, err_msg=name)
        times = measure(running, calls=5)
        print(f"{program.__name__}: {program.__doc__}")
        for name, seconds in times.items():
            ratio = "" if name == "pullback" else f"   pullback takes {times['pullback'] / seconds:.2f} of it"
            print(f"  {name:10} {seconds * 1e3:8.2f} ms, the first three steps {first[name] * 1e3:6.0f} ms{ratio}")
        print()


if __name__ == "__main__":
    main()
