"""implicit_root, implicit_fixed_point, implicit_argmin: solutions, and derivatives that are those of the equation."""
from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize

import pullback as pb

RANDOM = np.random.default_rng(0)
A = RANDOM.normal(size=(20, 3))
B = RANDOM.normal(size=20)
LABELS = (A @ np.array([1.0, -2.0, 0.5]) + 0.5 * RANDOM.normal(size=20) > 0.0).astype(np.float64)


def numeric(f, x, step=1e-5):
    """Central differences along each element of x, in the result's axes and then those of x."""
    x = np.asarray(x, np.float64)
    columns = []
    for place in np.ndindex(x.shape):
        moved = np.zeros(x.shape)
        moved[place] = step
        columns.append((np.asarray(f(x + moved)) - np.asarray(f(x - moved))) / (2 * step))
    return np.stack(columns, axis=-1).reshape((*np.shape(columns[0]), *x.shape))


square_root = pb.implicit_root(lambda x, a: x * x - a)
cosine = pb.implicit_fixed_point(lambda x, a: np.cos(a * x))
ridge = pb.implicit_argmin(lambda w, decay, a, b: np.sum((a @ w - b) ** 2) + decay * np.sum(w**2))


def test_square_root_to_the_third_order():
    f = lambda a: square_root(1.0, a)  # noqa: E731
    value = square_root(1.0, 2.0)
    assert type(value) is np.float64
    assert value == pytest.approx(np.sqrt(2.0), rel=1e-15)
    first = 0.5 * 2.0**-0.5
    assert square_root.grad(1.0, 2.0) == pytest.approx(first, rel=1e-14)
    assert pb.jvp(f, (2.0,), (3.0,))[1] == pytest.approx(3.0 * first, rel=1e-14)
    assert pb.hessian(f)(2.0) == pytest.approx(-0.25 * 2.0**-1.5, rel=1e-14)
    assert pb.grad(pb.grad(f))(2.0) == pytest.approx(-0.25 * 2.0**-1.5, rel=1e-14)
    assert pb.grad(pb.grad(pb.grad(f)))(2.0) == pytest.approx(0.375 * 2.0**-2.5, rel=1e-13)
    assert pb.jacfwd(pb.jacfwd(pb.jacfwd(f)))(2.0) == pytest.approx(0.375 * 2.0**-2.5, rel=1e-13)
    # From the other side it is the other root.
    assert square_root(-1.0, 2.0) == pytest.approx(-np.sqrt(2.0), rel=1e-15)
    assert square_root.grad(-1.0, 2.0) == pytest.approx(-first, rel=1e-14)


def test_the_start_has_no_derivative():
    start, a = pb.grad(square_root, (0, 1))(1.0, 2.0)
    assert start == 0.0
    assert a != 0.0
    assert pb.jvp(square_root, (1.0, 2.0), (1.0, 0.0))[1] == 0.0


def test_keplers_equation():
    """E - e sin E = M: dE/dM = 1 / (1 - e cos E), dE/de = sin E / (1 - e cos E)."""
    anomaly = pb.implicit_root(lambda x, mean, e: x - e * np.sin(x) - mean)
    mean, e = np.linspace(0.1, 3.0, 7), 0.3
    found = anomaly(mean, mean, e)
    np.testing.assert_allclose(found - e * np.sin(found), mean, rtol=1e-14)
    by_mean, by_e = pb.jacobian(anomaly, (1, 2))(mean, mean, e)
    slope = 1.0 / (1.0 - e * np.cos(found))
    np.testing.assert_allclose(by_mean, np.diag(slope), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(by_e, np.sin(found) * slope, rtol=1e-13)
    second = pb.hessian(lambda m: anomaly(m, m, e))(2.0)
    x = anomaly(2.0, 2.0, e)
    assert second == pytest.approx(-e * np.sin(x) / (1.0 - e * np.cos(x)) ** 3, rel=1e-12)


def test_fixed_point():
    x = cosine(0.5, 0.9)
    assert x == pytest.approx(np.cos(0.9 * x), rel=1e-11)
    sine = np.sin(0.9 * x)
    assert cosine.grad(0.5, 0.9) == pytest.approx(-x * sine / (1.0 + 0.9 * sine), rel=1e-11)
    second = numeric(lambda a: cosine.grad(0.5, float(a)), 0.9)
    assert pb.hessian(lambda a: cosine(0.5, a))(0.9) == pytest.approx(second, rel=1e-7)
    matrix = 0.1 * RANDOM.normal(size=(4, 4))
    linear = pb.implicit_fixed_point(lambda x, m, b: m @ x + b)
    b = RANDOM.normal(size=4)
    np.testing.assert_allclose(linear(np.zeros(4), matrix, b), np.linalg.solve(np.eye(4) - matrix, b), rtol=1e-11)
    by_b = pb.jacobian(linear, 2)(np.zeros(4), matrix, b)
    np.testing.assert_allclose(by_b, np.linalg.inv(np.eye(4) - matrix), rtol=1e-11, atol=1e-14)


def test_ridge_regression():
    w = ridge(np.zeros(3), 0.5, A, B)
    matrix = A.T @ A + 0.5 * np.eye(3)
    np.testing.assert_allclose(w, np.linalg.solve(matrix, A.T @ B), rtol=1e-12)
    slope = -np.linalg.solve(matrix, w)
    for jacobian in (pb.jacfwd, pb.jacrev):
        np.testing.assert_allclose(jacobian(ridge, 1)(np.zeros(3), 0.5, A, B), slope, rtol=1e-11)
    by_b = pb.jacobian(ridge, 3)(np.zeros(3), 0.5, A, B)
    np.testing.assert_allclose(by_b, np.linalg.solve(matrix, A.T), rtol=1e-10, atol=1e-13)
    by_a = pb.jacobian(ridge, 2)(np.zeros(3), 0.5, A, B)
    np.testing.assert_allclose(by_a, numeric(lambda a: ridge(np.zeros(3), 0.5, a, B), A), rtol=1e-6, atol=1e-8)
    second = pb.hessian(lambda decay: np.sum(ridge(np.zeros(3), decay, A, B)))(0.5)
    assert second == pytest.approx(np.sum(2.0 * np.linalg.solve(matrix, np.linalg.solve(matrix, w))), rel=1e-10)


def cross_entropy(weights, decay, x, labels):
    z = x @ weights
    return np.mean(np.logaddexp(0.0, z) - labels * z) + np.exp(decay) * np.sum(weights**2)


def by_scipy(f, x0, *params):
    return scipy.optimize.minimize(f.value_and_grad, x0, args=params, jac=True, method="BFGS", options={"gtol": 1e-10})


def test_hyperparameter_of_a_logistic_regression():
    """The validation loss by the logarithm of the decay, through the training."""
    train = pb.implicit_argmin(cross_entropy)
    train_by_scipy = pb.implicit_argmin(cross_entropy, by_scipy, host=True)

    def validation(decay, solve):
        w = solve(np.zeros(3), decay, A[:12], LABELS[:12])
        return cross_entropy(w, -50.0, A[12:], LABELS[12:])

    found = [pb.value_and_grad(lambda decay: validation(decay, solve))(-2.0) for solve in (train, train_by_scipy)]  # noqa: B023
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)

    def from_scratch(decay):
        w = scipy.optimize.minimize(cross_entropy, np.zeros(3), (decay, A[:12], LABELS[:12]), tol=1e-12).x
        return cross_entropy(w, -50.0, A[12:], LABELS[12:])

    assert found[0][0] == pytest.approx(from_scratch(-2.0), rel=1e-8)
    assert found[0][1] == pytest.approx((from_scratch(-1.99) - from_scratch(-2.01)) / 0.02, rel=1e-3)
    second = pb.hessian(lambda decay: validation(decay, train))(-2.0)
    slope = pb.grad(lambda decay: validation(decay, train))
    assert second == pytest.approx((slope(-2.0 + 1e-5) - slope(-2.0 - 1e-5)) / 2e-5, rel=1e-6)
    curve = pb.hessian(lambda decay: validation(decay, train_by_scipy))(-2.0)
    assert curve == pytest.approx(second, rel=1e-5)


def test_softmax_regression_of_several_classes():
    """x is a matrix: its axes are kept."""
    classes = np.eye(3)[np.argmax(A + 0.1 * RANDOM.normal(size=A.shape), axis=1)]

    def loss(w, decay):
        z = A @ w
        top = np.max(z, axis=1, keepdims=True)
        logs = np.log(np.sum(np.exp(z - top), axis=1)) + top[:, 0]
        return np.mean(logs - np.sum(z * classes, axis=1)) + decay * np.sum(w * w)

    train = pb.implicit_argmin(loss)
    w = train(np.zeros((3, 3)), 0.1)
    assert w.shape == (3, 3)
    assert np.max(np.abs(pb.grad(loss)(w, 0.1))) < 1e-12
    jacobian = pb.jacobian(train, 1)(np.zeros((3, 3)), 0.1)
    np.testing.assert_allclose(jacobian, numeric(lambda d: train(w, float(d)), 0.1), rtol=1e-6, atol=1e-8)


def circle(x, radius, shift):
    return np.stack([x[0] ** 2 + x[1] ** 2 - radius**2, x[1] - np.sin(x[0]) - shift["up"]])


def test_systems_and_nested_params():
    solve = pb.implicit_root(circle)
    x = solve(np.ones(2), 1.5, {"up": 0.2})
    np.testing.assert_allclose(circle(x, 1.5, {"up": 0.2}), np.zeros(2), atol=1e-14)
    f = pb.compile_grad(lambda p: solve(np.ones(2), p[0], {"up": p[1]}))
    p = np.array([1.5, 0.2])
    np.testing.assert_allclose(f.jacobian(p), numeric(f, p), rtol=1e-8)
    np.testing.assert_allclose(f.jacfwd(p), f.jacrev(p), rtol=1e-13)
    first = pb.compile_grad(lambda p: solve(np.ones(2), p[0], {"up": p[1]})[0])
    np.testing.assert_allclose(first.hessian(p), numeric(first.grad, p), rtol=1e-7)
    gradient = pb.grad(lambda shift: solve(np.ones(2), 1.5, shift)[1])({"up": 0.2})
    assert gradient["up"] == pytest.approx(f.jacobian(p)[1, 1], rel=1e-13)


def test_params_that_are_no_floats():
    solve = pb.implicit_root(lambda x, n, a: x**n - a)
    assert solve(1.0, 3, 8.0) == pytest.approx(2.0)
    assert pb.grad(solve, 2)(1.0, 3, 8.0) == pytest.approx(1.0 / 12.0, rel=1e-13)
    constant = pb.implicit_root(lambda x, n: x * n - 6.0)
    assert constant(1.0, 3) == pytest.approx(2.0)
    assert pb.grad(lambda y: y * constant(y, 3))(1.0) == pytest.approx(2.0)


def root_by_scipy(f, x0, *params):
    return scipy.optimize.root(f, x0, args=params, jac=f.jacobian, tol=1e-11)


def newton_by_hand(f, x0, *params):
    x = x0
    for _ in range(30):
        x = x - np.linalg.solve(f.jacobian(x, *params), f(x, *params))
    return x


@pytest.mark.parametrize(("solver", "host"), [(root_by_scipy, True), (newton_by_hand, False), (newton_by_hand, True)])
def test_other_solvers(solver, host):
    solve = pb.implicit_root(circle, solver, host=host)
    ours = pb.implicit_root(circle)
    shift = {"up": 0.2}
    np.testing.assert_allclose(solve(np.ones(2), 1.5, shift), ours(np.ones(2), 1.5, shift), rtol=1e-10)

    def loss(radius, solve):
        x = solve(np.ones(2), radius, shift)
        return np.sum(x**2 * np.array([1.0, 3.0]))

    for derivative in (pb.grad, pb.hessian, pb.jacfwd):
        found, expected = (derivative(lambda radius: loss(radius, each))(1.5) for each in (solve, ours))  # noqa: B023
        assert found == pytest.approx(expected, rel=1e-8)


def test_loops_and_branches_in_what_the_user_gives():
    def power(x, n):
        """x ** n in steps, of which the compiled code knows the number only."""
        value = 1.0
        for _ in range(n):
            value = value * x
        return value

    def residual(x, n, a):
        if a < 0.0:
            return power(x, n) + a
        return power(x, n) - a

    def heron(f, x0, n, a):
        x = x0
        while abs(f(x, n, a)) > 1e-13:
            x = x - f(x, n, a) / f.jacobian(x, n, a)
        return x

    def step(x, n, a):
        return x - 0.1 * residual(x, n, a)

    def objective(x, n, a):
        value = -abs(a) * x
        for _ in range(1):
            value = value + power(x, n + 1) / (n + 1)
        return value

    solvers = (pb.implicit_root(residual), pb.implicit_root(residual, heron), pb.implicit_fixed_point(step),
               pb.implicit_argmin(objective))  # fmt: skip
    for solve in solvers:
        for a in (2.0, -2.0):
            assert solve(1.0, 3, a) == pytest.approx(2.0 ** (1 / 3), rel=1e-11)
            assert pb.grad(solve, 2)(1.0, 3, a) == pytest.approx(np.sign(a) * 2.0 ** (-2 / 3) / 3, rel=1e-10)
            second = -2.0 / 9.0 * 2.0 ** (-5 / 3)
            assert pb.hessian(lambda a: solve(1.0, 3, a))(a) == pytest.approx(second, rel=1e-9)  # noqa: B023


def test_a_solver_on_the_host_runs_once_for_a_gradient():
    calls = []

    def solver(f, x0, *params):
        calls.append(params)
        return scipy.optimize.brentq(lambda x: f(x, *params), 0.0, 10.0, xtol=1e-14)

    solve = pb.implicit_root(lambda x, a: x * x - a, solver, host=True)
    assert solve.value_and_grad(0.0, 2.0) == pytest.approx((np.sqrt(2.0), 0.5 / np.sqrt(2.0)), rel=1e-12)
    assert calls == [(2.0,)]
    calls.clear()
    assert pb.hessian(solve, 1)(0.0, 2.0) == pytest.approx(-0.25 * 2.0**-1.5, rel=1e-12)
    assert len(calls) == 1


def test_host_solver_of_a_fixed_point():
    solve = pb.implicit_fixed_point(
        lambda x, a: np.cos(a * x), lambda f, x0, a: scipy.optimize.fixed_point(f, x0, (a,), xtol=1e-14), host=True
    )
    assert solve(0.5, 0.9) == pytest.approx(cosine(0.5, 0.9), rel=1e-11)
    assert solve.grad(0.5, 0.9) == pytest.approx(cosine.grad(0.5, 0.9), rel=1e-10)


def test_in_loops_branches_and_with_the_start_carried_on():
    """Implicit Euler for x' = -x^3 + p: each step is a root, started from the last x."""
    step = pb.implicit_root(lambda new, old, p: new - old - 0.1 * (p - new**3))

    def run(p):
        x = p * 0.0
        for k in range(12):
            if k > 3:
                x = step(x, x, p)
            else:
                x = step(x, x, 2.0 * p)
        return np.sum(x * x)

    def by_hand(p):
        x = 0.0
        for k in range(12):
            x = scipy.optimize.brentq(lambda new: new - x - 0.1 * (p * (1 + (k <= 3)) - new**3), -5.0, 5.0, xtol=1e-15)  # noqa: B023
        return x * x

    value, gradient = pb.value_and_grad(run)(0.7)
    assert value == pytest.approx(by_hand(0.7), rel=1e-11)
    assert gradient == pytest.approx((by_hand(0.7001) - by_hand(0.6999)) / 2e-4, rel=1e-6)
    slope = pb.grad(run)
    assert pb.hessian(run)(0.7) == pytest.approx((slope(0.70001) - slope(0.69999)) / 2e-5, rel=1e-6)

    def until(p):
        x = 0.0
        while x < 0.5:
            x = step(x, x, p)
        return x

    assert pb.grad(until)(0.7) == pytest.approx(numeric(lambda p: pb.compile_grad(until)(float(p)), 0.7), rel=1e-7)


def test_vmap():
    many = np.array([2.0, 3.0, 5.0])
    mapped = pb.vmap(square_root, (None, 0))
    np.testing.assert_allclose(mapped(1.0, many), np.sqrt(many), rtol=1e-14)
    np.testing.assert_allclose(pb.grad(lambda a: np.sum(mapped(1.0, a)))(many), 0.5 / np.sqrt(many), rtol=1e-13)
    np.testing.assert_allclose(pb.vmap(pb.grad(lambda a: square_root(1.0, a)))(many), 0.5 / np.sqrt(many), rtol=1e-13)
    sides = np.stack([B, 2 * B])
    paths = pb.vmap(ridge, (None, None, None, 0))(np.zeros(3), 0.5, A, sides)
    np.testing.assert_allclose(paths, np.linalg.solve(A.T @ A + 0.5 * np.eye(3), A.T @ sides.T).T, rtol=1e-11)
    slopes = pb.jacobian(lambda decay: pb.vmap(ridge, (None, None, None, 0))(np.zeros(3), decay, A, sides))(0.5)
    alone = [pb.jacobian(ridge, 1)(np.zeros(3), 0.5, A, side) for side in sides]
    np.testing.assert_allclose(slopes, alone, rtol=1e-11)
    by_scipy = pb.implicit_root(lambda x, a: x * x - a, root_by_scipy, host=True)
    np.testing.assert_allclose(pb.vmap(by_scipy, (None, 0))(1.0, many), np.sqrt(many), rtol=1e-12)


def test_nested():
    """The minimum over y of a function that is itself defined by a root, and a root of a gradient of one."""
    inner = pb.implicit_root(lambda x, y: x**3 + x - y)
    outer = pb.implicit_argmin(lambda y, p: (inner(0.5, y) - p) ** 2 + 0.1 * y**2)
    y = outer(1.0, 0.8)
    assert pb.grad(lambda y: (inner(0.5, y) - 0.8) ** 2 + 0.1 * y**2)(y) == pytest.approx(0.0, abs=1e-13)
    assert outer.grad(1.0, 0.8) == pytest.approx(numeric(lambda p: outer(1.0, float(p)), 0.8), rel=1e-7)


def test_single_precision():
    value = square_root(np.float32(1.0), np.float32(2.0))
    assert value.dtype == np.float32
    assert value == pytest.approx(np.sqrt(2.0), rel=1e-6)
    gradient = square_root.grad(np.float32(1.0), np.float32(2.0))
    assert gradient.dtype == np.float32
    assert gradient == pytest.approx(0.5 / np.sqrt(2.0), rel=1e-5)
    w = ridge(np.zeros(3, np.float32), np.float32(0.5), A.astype(np.float32), B.astype(np.float32))
    assert w.dtype == np.float32
    np.testing.assert_allclose(w, ridge(np.zeros(3), 0.5, A, B), rtol=1e-3)
    fixed = cosine(np.float32(0.5), np.float32(0.9))
    assert fixed.dtype == np.float32
    assert fixed == pytest.approx(cosine(0.5, 0.9), rel=1e-5)


def test_hard_starts():
    """Newton's whole steps overshoot from here; damped ones do not go to the maximum between two minima."""
    arctangent = pb.implicit_root(lambda x, a: np.arctan(x) - a)
    assert arctangent(5.0, 0.3) == pytest.approx(np.tan(0.3), rel=1e-13)
    double_well = pb.implicit_argmin(lambda x, a: (x * x - a) ** 2)
    assert double_well(0.1, 2.0) == pytest.approx(np.sqrt(2.0), rel=1e-10)
    assert double_well.grad(0.1, 2.0) == pytest.approx(0.5 / np.sqrt(2.0), rel=1e-10)
    rosenbrock = pb.implicit_argmin(lambda x, a: (a - x[0]) ** 2 + 100.0 * (x[1] - x[0] ** 2) ** 2)
    np.testing.assert_allclose(rosenbrock(np.array([-1.2, 1.0]), 1.5), [1.5, 2.25], rtol=1e-9)
    np.testing.assert_allclose(pb.jacobian(rosenbrock, 1)(np.array([-1.2, 1.0]), 1.5), [1.0, 3.0], rtol=1e-7)
    small = pb.implicit_root(lambda x, a: x * x - a)
    assert small(0.5, 1e-18) == pytest.approx(1e-9, rel=1e-9)
    assert pb.implicit_root(lambda x, a: np.sin(x) * a)(0.5, 2.0) == 0.0
    assert square_root(np.sqrt(2.0), 2.0) == pytest.approx(np.sqrt(2.0), rel=1e-15)
    assert square_root(3.0, 9.0) == 3.0


def test_no_convergence_says_so():
    no_root = pb.implicit_root(lambda x, a: x * x + a)

    @pb.compile_grad
    def f(a):
        return no_root(1.0, a) * 2.0  # here

    for call in (f, f.grad):
        with pytest.raises(RuntimeError, match=r"no convergence after \d+ iterations: the largest residual is 2") as caught:
            call(2.0)
        assert "# here" in str(caught.value)
        assert "implicit_root" in str(caught.value)
        assert isinstance(caught.value, pb.PullbackError)
    with pytest.raises(RuntimeError, match="after 3 iterations"):
        pb.implicit_root(lambda x, a: x * x - a, max_steps=3)(1e6, 2.0)
    with pytest.raises(RuntimeError, match="no convergence after 10000 iterations: the largest change"):
        pb.implicit_fixed_point(lambda x, a: -x + a)(0.0, 1.0)
    with pytest.raises(RuntimeError, match=r"no convergence after .* nan"):
        pb.implicit_fixed_point(lambda x, a: np.log(x) * a)(0.5, 1.0)
    with pytest.raises(RuntimeError, match="implicit_argmin: no convergence"):
        pb.implicit_argmin(lambda x, a: -(x**2) * a)(0.5, 1.0)
    with pytest.raises(RuntimeError, match="the solver did not converge"):
        pb.implicit_root(lambda x, a: x * x + a, root_by_scipy, host=True)(1.0, 2.0)
    # A branch that is not taken does not complain.
    guarded = pb.compile_grad(lambda a: no_root(1.0, a) if a < 0.0 else a)
    assert guarded.grad(2.0) == 1.0
    assert guarded(-4.0) == pytest.approx(2.0)


def test_what_has_no_implicit_derivative():
    double = pb.implicit_root(lambda x, a: np.stack([(x[0] - a) ** 2, x[1] - a]), lambda f, x0, a: x0 * 0.0 + a)
    np.testing.assert_allclose(double(np.ones(2), 2.0), [2.0, 2.0])
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        pb.jacobian(double, 1)(np.ones(2), 2.0)
    with pytest.raises(np.linalg.LinAlgError, match="singular"):
        pb.implicit_root(lambda x, a: np.stack([x[0] + x[1] - a, x[0] + x[1]]))(np.ones(2), 1.0)

    def closing_over(a):
        return pb.implicit_root(lambda x: x * x - a)(1.0)

    assert pb.compile_grad(closing_over)(2.0) == pytest.approx(np.sqrt(2.0))
    with pytest.raises(pb.PullbackError, match="a value that it closes over"):
        pb.grad(closing_over)(2.0)


def test_misuse():
    with pytest.raises(pb.PullbackError, match="x0 is i64"):
        square_root(1, 2.0)
    with pytest.raises(pb.PullbackError, match=r"gives \[2\] for an x of \[3\]"):
        pb.implicit_root(lambda x, a: x[:2] - a)(np.ones(3), 1.0)
    with pytest.raises(pb.PullbackError, match="cannot be called"):
        pb.implicit_root(3)
    with pytest.raises(pb.PullbackError, match="there is none"):
        pb.implicit_root(np.sin, host=True)
    with pytest.raises(pb.PullbackError, match=r"solver gives \[2\] for an x of \[3\]"):
        pb.implicit_root(lambda x, a: x - a, lambda f, x0, a: x0[:2])(np.ones(3), 1.0)
    with pytest.raises(pb.PullbackError, match="one float result"):
        pb.implicit_argmin(lambda x, a: x - a)(np.ones(3), 1.0)


def test_tensors():
    a = pb.tensor(2.0, dtype=pb.double, requires_grad=True)
    root = square_root(pb.tensor(1.0, dtype=pb.double), a)
    (root * 3.0).backward()
    assert float(root.detach().numpy()) == pytest.approx(np.sqrt(2.0))
    assert float(a.grad.numpy()) == pytest.approx(1.5 / np.sqrt(2.0))
