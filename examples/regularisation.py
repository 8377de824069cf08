"""How strongly to regularise a logistic regression: the gradient of the validation error goes through the training.

    python examples/regularisation.py

Each weight has a strength of its own, and the features beyond the first four are noise. `implicit_argmin` trains by
Newton's method in native code; its derivative is that of the minimum (the implicit function theorem), not of the
iterations. SciPy's solver does the same where it is called from compiled code.
"""
from __future__ import annotations

import numpy as np
from scipy.optimize import minimize, minimize_scalar

import pullback as pb

FEATURES, SAMPLES = 12, 120


def error(weights, x, y):
    """The mean cross entropy of labels 0 and 1."""
    z = x @ weights
    return np.mean(np.logaddexp(0.0, z) - y * z)


def objective(weights, logarithms, x, y):
    """What training minimises; strengths are given as logarithms, so that they stay positive."""
    return error(weights, x, y) + np.sum(np.exp(logarithms) * weights**2)


def by_scipy(f, start, *params):
    """A solver in plain Python, which compiled code calls."""
    return minimize(f.value_and_grad, start, args=params, jac=True, method="BFGS", options={"gtol": 1e-7})


train = pb.implicit_argmin(objective)
train_by_scipy = pb.implicit_argmin(objective, by_scipy, host=True)


@pb.compile_grad
def validation(logarithms, x, y):
    """The error on the second half of the samples after training on the first."""
    half = SAMPLES // 2
    weights = train(np.zeros(FEATURES), logarithms, x[:half], y[:half])
    return error(weights, x[half:], y[half:])


@pb.compile_grad
def validation_of_one(logarithm, x, y):
    """The same with one strength for all weights, and SciPy's solver."""
    half = SAMPLES // 2
    weights = train_by_scipy(np.zeros(FEATURES), logarithm, x[:half], y[:half])
    return error(weights, x[half:], y[half:])


def main() -> float:
    """Choose and print; gives how far the best single strength is from what a search without gradients finds."""
    random = np.random.default_rng(2)
    x = random.normal(size=(SAMPLES, FEATURES))
    truth = np.concatenate([[2.0, -1.5, 1.0, 1.0], np.zeros(FEATURES - 4)])
    y = (random.uniform(size=SAMPLES) < 1.0 / (1.0 + np.exp(-x @ truth))).astype(float)

    def value_and_slope(logarithm):
        value, slope = validation_of_one.value_and_grad(float(logarithm[0]), x, y)
        return value, np.array([slope])

    one = minimize(value_and_slope, [-4.0], jac=True, method="BFGS", options={"gtol": 1e-6})
    search = minimize_scalar(lambda logarithm: validation_of_one(float(logarithm), x, y), (-6.0, -3.0), tol=1e-10)
    print(f"one strength:    validation error {one.fun:.4f} at log strength {one.x[0]:.4f} with {one.nfev} gradients")
    print(f"                 (search without gradients: {search.fun:.4f} at {search.x:.4f} with {search.nfev} trainings)")
    start = np.full(FEATURES, one.x[0])
    each = minimize(validation.value_and_grad, start, args=(x, y), jac=True, method="L-BFGS-B", bounds=[(-9, 3)] * FEATURES)
    print(f"one per feature: validation error {each.fun:.4f} with {each.nfev} gradients")
    print(f"  log strengths of true features  {np.round(each.x[:4], 1)}")
    print(f"  log strengths of noise features {np.round(each.x[4:], 1)}")
    return float(abs(one.x[0] - search.x))


if __name__ == "__main__":
    main()
