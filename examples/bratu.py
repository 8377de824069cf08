"""A nonlinear boundary value problem of 10,000 unknowns by Newton's method, with sparse Jacobians.

    python examples/bratu.py

Bratu's problem, u'' + c exp(u) = 0 on (0, 1) with u = 0 at both ends, by second-order differences. Its solution is known:
u(x) = 2 log(cosh(a) / cosh(a (1 - 2 x))), where cosh(a) = 4 a / sqrt(2 c).
"""
from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.sparse.linalg import spsolve

import pullback as pb

UNKNOWNS, STRENGTH = 10_000, 1.0


def residual(u):
    """``f64[n] -> f64[n]``: how far the differences are from the equation. Row i has three unknowns in it."""
    h = 1.0 / (len(u) + 1)
    out = np.zeros(len(u))
    for i in range(len(u)):
        left = u[i - 1] if i > 0 else 0.0
        right = u[i + 1] if i < len(u) - 1 else 0.0
        out[i] = left - 2.0 * u[i] + right + h**2 * STRENGTH * np.exp(u[i])
    return out


def solution(x):
    """The lower of the two solutions."""
    a = brentq(lambda a: np.sqrt(2.0 * STRENGTH) * np.cosh(a) - 4.0 * a, 0.0, 1.0)
    return 2.0 * np.log(np.cosh(a) / np.cosh(a * (1.0 - 2.0 * x)))


def main() -> float:
    """Solve and print; gives the largest error."""
    value, jacobian = pb.compile_grad(residual), pb.jacobian(residual, sparse=True)
    u = np.zeros(UNKNOWNS)
    for step in range(6):
        left_over = value(u)
        print(f"step {step}: largest residual {np.max(np.abs(left_over)):.2e}")
        if np.max(np.abs(left_over)) < 1e-15:
            break
        u -= spsolve(jacobian(u).tocsc(), left_over)
    entries = jacobian(u).nnz
    error = float(np.max(np.abs(u - solution(np.arange(1, UNKNOWNS + 1) / (UNKNOWNS + 1)))))
    print(f"{entries} entries in a Jacobian of {UNKNOWNS} x {UNKNOWNS}")
    print(f"largest error {error:.1e}")
    return error


if __name__ == "__main__":
    main()
