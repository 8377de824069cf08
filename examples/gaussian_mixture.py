"""A mixture of Gaussians fitted by maximum likelihood, and error bars from the Hessian: nested parameters, two orders.

    python examples/gaussian_mixture.py

No expectation maximization: the negative log likelihood is written down in NumPy, its gradient drives SciPy's Newton
conjugate gradients with Hessian-vector products, and the inverse Hessian gives standard errors.
"""
from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

import pullback as pb

COMPONENTS = 3


def negative_log_likelihood(theta, x):
    """``(f64[9], f64[n]) -> f64[]``: `theta` holds scores of the weights, means, and logarithms of the deviations."""
    scores, means, log_deviations = theta[:COMPONENTS], theta[COMPONENTS : 2 * COMPONENTS], theta[2 * COMPONENTS :]
    log_weights = scores - np.log(np.sum(np.exp(scores)))
    z = (x[:, None] - means) * np.exp(-log_deviations)
    terms = log_weights - 0.5 * z * z - log_deviations - 0.5 * np.log(2 * np.pi)
    highest = np.max(terms, axis=1)
    return -np.mean(highest + np.log(np.sum(np.exp(terms - highest[:, None]), axis=1)))


objective = pb.compile_grad(negative_log_likelihood)


def main() -> float:
    """Fit and print; gives the largest distance from a true mean, in standard errors."""
    random = np.random.default_rng(11)
    weights, means, deviations = np.array([0.5, 0.3, 0.2]), np.array([-2.0, 1.0, 4.0]), np.array([0.6, 0.5, 0.8])
    which = random.choice(COMPONENTS, size=4000, p=weights)
    x = random.normal(means[which], deviations[which])

    def times_hessian(theta, vector, x):
        return pb.hvp(lambda t: negative_log_likelihood(t, x), (theta,), (vector,))

    curvature = pb.compile_grad(times_hessian)
    start = np.concatenate([np.zeros(COMPONENTS), np.quantile(x, [0.2, 0.6, 0.9]), np.zeros(COMPONENTS)])
    found = minimize(objective.value_and_grad, start, args=(x,), jac=True, hessp=curvature, method="trust-ncg")
    # The scores have one degree of freedom too many, so the inverse is a pseudo-inverse.
    errors = np.sqrt(np.diag(np.linalg.pinv(len(x) * objective.hessian(found.x, x), hermitian=True)))
    print(f"mean negative log likelihood {found.fun:.4f}, {found.nit} Newton steps")
    fitted = np.exp(found.x[:COMPONENTS]) / np.sum(np.exp(found.x[:COMPONENTS]))
    for k in range(COMPONENTS):
        mean, deviation = found.x[COMPONENTS + k], np.exp(found.x[2 * COMPONENTS + k])
        print(f"  weight {fitted[k]:.3f} ({weights[k]})   mean {mean:6.3f} ± {errors[COMPONENTS + k]:.3f} ({means[k]})"
              f"   deviation {deviation:.3f} ({deviations[k]})")  # fmt: skip
    return float(np.max(np.abs(found.x[COMPONENTS : 2 * COMPONENTS] - means) / errors[COMPONENTS : 2 * COMPONENTS]))


if __name__ == "__main__":
    main()
