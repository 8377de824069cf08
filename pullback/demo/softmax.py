"""Digits in, a softmax regression fitted to them out: a NumPy function, its compiled gradient, and SciPy's L-BFGS-B."""
from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

import pullback as pb
from pullback.demo.digits import Digits
from pullback.demo.progress import Progress
from pullback.errors import MissingPackageError

Array = np.ndarray[Any, Any]

PIXELS, CLASSES = 64, 10
MAX_ITERATIONS = 200
_WEIGHT_DECAY = 1e-4
_TIMED_CALLS = 101


@pb.compile_grad
def loss(parameters, images, chosen):  # type: ignore[no-untyped-def]
    """``(f64[650], f64[n, 64], f64[n, 10]) -> f64[]``: the mean cross entropy, and a little for large weights.

    `parameters` are weights ``[64, 10]``, then biases; `chosen` has a 1 in the column of each row's digit.
    """
    weights = parameters[: PIXELS * CLASSES].reshape(PIXELS, CLASSES)
    scores = images @ weights + parameters[PIXELS * CLASSES :]
    highest = np.max(scores, axis=1, keepdims=True)
    exponentials = np.exp(scores - highest)
    log_likelihood = np.sum((scores - highest) * chosen, axis=1) - np.log(np.sum(exponentials, axis=1))
    return _WEIGHT_DECAY * np.sum(weights * weights) - np.mean(log_likelihood)


@dataclass(frozen=True)
class Fit:
    """What fitting gave: parameters, losses before and after each iteration, calls and seconds, held-out accuracy."""

    parameters: Array
    training: list[float]
    held_out: list[float]
    calls: int
    seconds: float
    accuracy: float


def fit(training: Digits, held_out: Digits) -> Fit:
    """Start at zero and minimise. Raises: MissingPackageError without SciPy."""
    minimize = require_scipy()
    chosen, held_out_chosen = one_hot(training.labels), one_hot(held_out.labels)
    losses: list[float] = []
    held_out_losses: list[float] = []
    with Progress("iteration", MAX_ITERATIONS) as progress:

        def note(parameters: Array) -> None:
            losses.append(float(loss(parameters, training.images, chosen)))
            held_out_losses.append(float(loss(parameters, held_out.images, held_out_chosen)))
            progress.update(len(losses), f"loss {losses[-1]:.4f}, held out {held_out_losses[-1]:.4f}")

        start = np.zeros(PIXELS * CLASSES + CLASSES)
        note(start)
        began = time.perf_counter()
        result = minimize(
            loss.value_and_grad, start, args=(training.images, chosen), jac=True, method="L-BFGS-B", callback=note,
            options={"maxiter": MAX_ITERATIONS},
        )  # fmt: skip
        seconds = time.perf_counter() - began
    accuracy = float(np.mean(predicted(result.x, held_out.images) == held_out.labels))
    return Fit(result.x, losses, held_out_losses, int(result.nfev), seconds, accuracy)


def require_scipy() -> Callable[..., Any]:
    """SciPy's ``minimize``. Raises: MissingPackageError that says how to get it."""
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise MissingPackageError(
            "the demonstration needs SciPy, which is not installed",
            help="pip install scipy, or in a clone of this repository: pip install '.[scipy]'",
        ) from None
    return minimize  # type: ignore[no-any-return]


def one_hot(labels: Array) -> Array:
    """``i64[n] -> f64[n, 10]``: a 1 in the column that each label names."""
    return np.eye(CLASSES)[labels]


def predicted(parameters: Array, images: Array) -> Array:
    """The digit that each image most likely shows."""
    weights = parameters[: PIXELS * CLASSES].reshape(PIXELS, CLASSES)
    return np.asarray(np.argmax(images @ weights + parameters[PIXELS * CLASSES :], axis=1))


@dataclass(frozen=True)
class Timing:
    """Median seconds of one call: value and gradient by native code, the value alone by NumPy."""

    gradient: float
    numpy_forward: float


def timing(fitted: Fit, training: Digits) -> Timing:
    """Time both on the training digits, in turns."""
    chosen = one_hot(training.labels)
    arguments = (fitted.parameters, training.images, chosen)
    plain = loss.__wrapped__
    sides = (loss.value_and_grad, plain)
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(_TIMED_CALLS):
        for side, found in zip(sides, times, strict=True):
            began = time.perf_counter()
            side(*arguments)
            found.append(time.perf_counter() - began)
    return Timing(median(times[0]), median(times[1]))
