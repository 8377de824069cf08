"""Iterations that find an x, as loops of the function that is being traced: see `implicit`."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback import transforms
from pullback.tracer.functional import while_loop
from pullback.tracer.record import Recorder, current_recorder

Function = Callable[..., Any]
GOING, CONVERGED, STALLED = 0, 1, 2


@dataclass(frozen=True)
class Found:
    """Where an iteration ended: x, whether it solves the equation, how many steps it took, and how far off it is.

    `size` is the largest element of `what`.
    """

    x: Any
    converged: Any
    steps: Any
    size: Any
    what: str


def _largest(v: Any) -> Any:
    return np.max(np.abs(v))


def _recorder() -> Recorder:
    recorder = current_recorder()
    assert recorder is not None
    return recorder


def square_jacobian(function: Function, z: Any) -> Any:
    """The Jacobian of a function from vectors to vectors of the same size."""
    return transforms.jacobian(_recorder(), function, 0, False, (z,), {}, None, square_forward=True)


def _is_small(dz: Any, z: Any, tolerance: float) -> Any:
    return _largest(dz) <= tolerance * _largest(z) + np.sqrt(np.finfo(z.dtype).tiny)


def newton(f: Function, z: Any, tolerance: float, max_steps: int) -> Found:
    """A root of `f` by Newton's method; a step is halved until the largest residual is less than before.

    Where no part of a step is of use, rounding is all that is left of the residual if the step is small.
    """
    noise = float(np.sqrt(np.finfo(z.dtype).eps))

    def step(state: Any) -> Any:
        z, fz, steps, _ = state
        dz = -np.linalg.solve(square_jacobian(f, z), fz)
        small = _is_small(dz, z, tolerance)
        size = _largest(fz)

        def shorter(trial: Any) -> Any:
            part = trial[0] * 0.5
            after = z + part * dz
            return part, after, f(after)

        def too_long(trial: Any) -> Any:
            return np.logical_not(_largest(trial[2]) < size) & (trial[0] > 1e-8) & np.logical_not(small)

        whole = z + dz
        _, after, f_after = while_loop(too_long, shorter, (np.ones((), z.dtype), whole, f(whole)))
        better = _largest(f_after) < size
        stalled = np.logical_not(better | small)
        good = small | (_largest(f_after) == 0.0) | (stalled & _is_small(dz, z, noise))
        flag = np.where(good, CONVERGED, np.where(stalled, STALLED, GOING))
        return np.where(stalled, z, after), np.where(stalled, fz, f_after), steps + 1, flag

    first = f(z)
    flag = np.where(_largest(first) == 0.0, CONVERGED, GOING)
    start = (z, first, np.zeros((), np.int64), flag)
    x, fx, steps, flag = while_loop(lambda state: (state[3] == GOING) & (state[2] < max_steps), step, start)
    return Found(x, flag == CONVERGED, steps, _largest(fx), "the largest residual")


def fixed_point(f: Function, z: Any, tolerance: float, max_steps: int) -> Found:
    """A fixed point of `f` by applying it again and again."""

    def step(state: Any) -> Any:
        z, _, steps = state
        after = f(z)
        return after, after - z, steps + 1

    def going(state: Any) -> Any:
        z, dz, steps = state
        # Written so that what is not a number ends it.
        return np.logical_not(_is_small(dz, z, tolerance)) & np.isfinite(_largest(dz)) & (steps < max_steps)

    x, dx, steps = while_loop(going, step, step((z, z, np.zeros((), np.int64))))
    return Found(x, _is_small(dx, x, tolerance), steps, _largest(dx), "the largest change of the last one")


def newton_minimum(f: Function, z: Any, tolerance: float, max_steps: int) -> Found:
    """A minimum of `f` by Newton's method with a multiple of the identity added to the Hessian.

    The multiple, of the Hessian's largest element, grows tenfold when a step does not go down, and shrinks tenfold when it
    does: D. W. Marquardt, An algorithm for least-squares estimation of nonlinear parameters, 1963.
    """
    eps = float(np.finfo(z.dtype).eps)

    def value_and_grad(z: Any) -> Any:
        return transforms.value_and_grad(_recorder(), f, 0, False, (z,), {})

    def step(state: Any) -> Any:
        z, value, slope, damping, steps, _ = state
        hessian = square_jacobian(lambda z: value_and_grad(z)[1], z)
        scale = _largest(hessian)
        dz = -np.linalg.solve(hessian + damping * scale * np.eye(z.size, dtype=z.dtype), slope)
        after = z + dz
        value_after, slope_after = value_and_grad(after)
        level = value_after <= value + 8 * eps * np.abs(value)
        down = (value_after < value) | (level & (_largest(slope_after) < _largest(slope)))
        exact = damping < 1e-4
        good = (exact & _is_small(dz, z, tolerance) & (down | level)) | (_largest(slope_after) == 0.0) & down
        # Where not even the shortest step goes down, rounding is all that is left if an undamped step is short.
        stalled = np.logical_not(down) & (damping > 1e12)
        settled = np.logical_not(down) & exact & _is_small(dz, z, eps**0.5)
        flag = np.where(good | settled, CONVERGED, np.where(stalled, STALLED, GOING))
        damping = np.where(down, np.maximum(damping * 0.1, 10 * eps), damping * 10.0)
        return (np.where(down, after, z), np.where(down, value_after, value), np.where(down, slope_after, slope),
                damping, steps + 1, flag)  # fmt: skip

    value, slope = value_and_grad(z)
    flag = np.where(_largest(slope) == 0.0, CONVERGED, GOING)
    start = (z, value, slope, np.full((), 2e-3, z.dtype), np.zeros((), np.int64), flag)
    x, _, slope, _, steps, flag = while_loop(lambda state: (state[5] == GOING) & (state[4] < max_steps), step, start)
    return Found(x, flag == CONVERGED, steps, _largest(slope), "the largest element of the gradient")
