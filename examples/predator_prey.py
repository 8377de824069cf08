"""Rates of a predator-prey model fitted to noisy counts: a gradient through every step of a Runge-Kutta integration.

    python examples/predator_prey.py

The model is A. J. Lotka's and V. Volterra's, x' = a x - b x y, y' = d x y - c y. The integrator is the classical one of
fourth order, written with a Python loop; SciPy's L-BFGS-B gets value and gradient from one native call.
"""
from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

import pullback as pb

STEP, STEPS, SUBSTEPS = 0.5, 40, 10
TRUE_RATES = np.array([1.1, 0.4, 0.4, 0.1])


def slope(prey, predators, rates):
    """How fast both change."""
    a, b, c, d = rates
    meetings = prey * predators
    return a * prey - b * meetings, d * meetings - c * predators


def integrate(prey, predators, rates):
    """``-> f64[40, 2]``: the state after each step. The loops become loops of native code, and so do their adjoints."""
    states = np.zeros((STEPS, 2))
    h = STEP / SUBSTEPS
    for step in range(STEPS):
        for _ in range(SUBSTEPS):
            x1, y1 = slope(prey, predators, rates)
            x2, y2 = slope(prey + 0.5 * h * x1, predators + 0.5 * h * y1, rates)
            x3, y3 = slope(prey + 0.5 * h * x2, predators + 0.5 * h * y2, rates)
            x4, y4 = slope(prey + h * x3, predators + h * y3, rates)
            prey = prey + h / 6.0 * (x1 + 2.0 * x2 + 2.0 * x3 + x4)
            predators = predators + h / 6.0 * (y1 + 2.0 * y2 + 2.0 * y3 + y4)
        states[step, 0] = prey
        states[step, 1] = predators
    return states


@pb.compile_grad
def misfit(logarithms, counts):
    """The mean squared error of the logarithms of the counts; parameters are logarithms, so that they stay positive."""
    parameters = np.exp(logarithms)
    states = integrate(parameters[0], parameters[1], parameters[2:])
    return np.mean((np.log(states) - np.log(counts)) ** 2)


def main() -> float:
    """Fit and print; gives the largest relative error of a rate."""
    random = np.random.default_rng(3)
    noise = np.exp(0.01 * random.normal(size=(STEPS, 2)))
    counts = integrate(10.0, 5.0, TRUE_RATES) * noise
    guess = np.log(np.array([8.0, 6.0, 0.9, 0.3, 0.5, 0.12]))
    found = minimize(misfit.value_and_grad, guess, args=(counts,), jac=True, method="L-BFGS-B")
    rates = np.exp(found.x[2:])
    print(f"misfit {misfit(guess, counts):.4f} -> {found.fun:.6f} with {found.nfev} gradients")
    for name, rate, truth in zip("abcd", rates, TRUE_RATES, strict=True):
        print(f"  {name} = {rate:.4f}   (true {truth})")
    made = misfit.stats()["value_and_grad"]
    print(f"compiled in {made['seconds']:.2f} s: {made['operations']} operations in {made['kernels']} kernels")
    return float(np.max(np.abs(rates / TRUE_RATES - 1)))


if __name__ == "__main__":
    main()
