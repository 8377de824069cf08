"""Define-by-run: `Tensor` as those know it who know PyTorch, and a compiled NumPy function as one node of its graph.

    python examples/tensors.py
"""
from __future__ import annotations

import numpy as np

import pullback as pb


def gradients() -> None:
    """What is recorded, and what `backward` leaves in the leaves."""
    x = pb.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = (x * x).sum()
    print(y)
    y.backward()
    print(x.grad)


def second_order() -> None:
    """A gradient that was itself recorded."""
    x = pb.tensor(0.5, requires_grad=True)
    (first,) = pb.autograd.grad(pb.sin(x), x, create_graph=True)
    (second,) = pb.autograd.grad(first, x)
    print(first, second)


@pb.compile_grad(argnums=(0, 1))
def squared_error(w, b, x, y):
    """Plain NumPy, compiled with its gradient; called with tensors it is one node of their graph."""
    return np.mean((x @ w + b - y) ** 2)


def regression() -> float:
    """A line fitted by gradient descent; gives the slope's error."""
    random = np.random.default_rng(0)
    inputs = random.normal(size=(200, 1))
    x, y = pb.from_numpy(inputs), pb.from_numpy(3.0 * inputs[:, 0] - 1.0 + 0.01 * random.normal(size=200))
    w = pb.zeros(1, dtype=pb.double, requires_grad=True)
    b = pb.zeros((), dtype=pb.double, requires_grad=True)
    for step in range(60):
        loss = squared_error(w, b, x, y)
        loss.backward()
        with pb.no_grad():
            for parameter in (w, b):
                parameter -= 0.2 * parameter.grad
                parameter.grad = None
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.5f}")
    print(f"y = {w.item():.3f} x + {b.item():.3f}")
    return abs(w.item() - 3.0)


def main() -> float:
    gradients()
    second_order()
    return regression()


if __name__ == "__main__":
    main()
