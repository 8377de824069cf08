"""custom_jvp and custom_vjp: the user's rules in every derivative, nested, in loops and branches, mapped, on tensors."""
from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import pullback as pb
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.print import print_function

X = np.array([0.3, -0.7, 1.1])
Y = np.array([2.0, 0.5, -1.5])


@pb.custom_vjp
def product(x, y):
    """Its rule is three times off in x, so that it shows whether the rule was used."""
    return np.sin(x) * y


def product_forward(x, y):
    return product(x, y), (np.cos(x), np.sin(x), y)


def product_backward(residuals, bar):
    cosine, sine, y = residuals
    return 3.0 * cosine * y * bar, sine * bar


product.defvjp(product_forward, product_backward)


@pb.custom_jvp
def twice(x):
    """exp, with twice its derivative."""
    return np.exp(x)


@twice.defjvp
def twice_rule(primals, tangents):
    value = twice(*primals)
    return value, 2.0 * value * tangents[0]


def test_outside_of_compiled_functions_they_are_the_functions():
    assert type(product(X, Y)) is np.ndarray
    np.testing.assert_array_equal(product(X, Y), np.sin(X) * Y)
    np.testing.assert_array_equal(product(y=Y, x=X), np.sin(X) * Y)
    assert twice.__name__ == "twice"
    assert product.__doc__.startswith("Its rule")
    np.testing.assert_array_equal(pb.compile_grad(product)(X, Y), np.sin(X) * Y)


def test_reverse_mode():
    f = pb.compile_grad(lambda x, y: np.sum(product(x, y) ** 2), argnums=(0, 1))
    value, (x_bar, y_bar) = f.value_and_grad(X, Y)
    assert value == pytest.approx(np.sum((np.sin(X) * Y) ** 2))
    bar = 2 * np.sin(X) * Y
    np.testing.assert_allclose(x_bar, 3 * bar * np.cos(X) * Y, rtol=1e-14)
    np.testing.assert_allclose(y_bar, bar * np.sin(X), rtol=1e-14)
    _, pull = pb.vjp(product, X, Y)
    np.testing.assert_allclose(pull(Y)[0], 3 * np.cos(X) * Y * Y, rtol=1e-14)
    np.testing.assert_allclose(pb.jacobian(product)(X, Y), np.diag(3 * np.cos(X) * Y), rtol=1e-14)
    np.testing.assert_allclose(pb.jacrev(product, 1)(X, Y), np.diag(np.sin(X)), rtol=1e-14)


def test_forward_mode_and_what_follows_from_it():
    f = pb.compile_grad(lambda x: np.sum(twice(x) * Y))
    value, dot = f.jvp((X,), (Y,))
    assert value == pytest.approx(np.sum(np.exp(X) * Y))
    assert dot == pytest.approx(np.sum(2 * np.exp(X) * Y * Y))
    np.testing.assert_allclose(f.grad(X), 2 * np.exp(X) * Y, rtol=1e-14)
    np.testing.assert_allclose(f.hessian(X), np.diag(4 * np.exp(X) * Y), rtol=1e-14)
    np.testing.assert_allclose(f.hvp((X,), (Y,)), 4 * np.exp(X) * Y * Y, rtol=1e-14)
    third = pb.grad(lambda x: np.sum(pb.grad(lambda x: np.sum(pb.grad(lambda x: np.sum(twice(x)))(x)))(x)))
    np.testing.assert_allclose(third(X), 8 * np.exp(X), rtol=1e-14)
    np.testing.assert_allclose(pb.jacfwd(twice)(X), np.diag(2 * np.exp(X)), rtol=1e-14)


def test_custom_vjp_has_no_forward_mode():
    f = pb.compile_grad(lambda x, y: np.sum(product(x, y)))
    for call in (lambda: f.jvp((X, Y), (X, Y)), lambda: f.jacfwd(X, Y), lambda: f.hessian(X, Y)):
        with pytest.raises(pb.PullbackError, match="custom_vjp function, which forward mode") as caught:
            call()
        assert "product(x, y)" in str(caught.value)
        assert "custom_jvp" in str(caught.value)
    # Where the rule does not call the function again, its own derivative has both modes.
    np.testing.assert_allclose(pb.jacrev(pb.grad(lambda x: np.sum(product(x, Y))))(X), np.diag(-3 * np.sin(X) * Y), rtol=1e-14)


def test_in_loops_and_branches():
    def run(x, f):
        total = 0.0
        for _ in range(4):
            x = f(x) * 0.1
            if np.sum(x) > 0.3:
                total = total + np.sum(f(x))
            else:
                total = total - np.sum(x)
        return total + np.sum(x)

    def by_hand(x):
        """The same in steps of forward mode with numbers: (value, tangent) along each axis."""
        dots = np.eye(3)
        total, moved = 0.0, np.zeros(3)
        for _ in range(4):
            x, dots = np.exp(x) * 0.1, dots * (2 * np.exp(x) * 0.1)
            if np.sum(x) > 0.3:
                total, moved = total + np.sum(np.exp(x)), moved + dots @ (2 * np.exp(x))
            else:
                total, moved = total - np.sum(x), moved - dots @ np.ones(3)
        return total + np.sum(x), moved + dots @ np.ones(3)

    for start in (X, X - 1.0):
        value, gradient = pb.value_and_grad(lambda x: run(x, twice))(start)
        expected, slope = by_hand(start)
        assert value == pytest.approx(expected)
        np.testing.assert_allclose(gradient, slope, rtol=1e-12)
        np.testing.assert_allclose(pb.jacfwd(lambda x: run(x, twice))(start), slope, rtol=1e-12)
    twice_by_vjp = pb.custom_vjp(np.exp)
    twice_by_vjp.defvjp(lambda x: (np.exp(x), np.exp(x)), lambda value, bar: (2.0 * value * bar,))
    np.testing.assert_allclose(pb.grad(lambda x: run(x, twice_by_vjp))(X), by_hand(X)[1], rtol=1e-12)


def test_while_loops():
    def f(x):
        n = 0
        while np.sum(x) < 5.0:
            x = twice(x)
            n += 1
        return np.sum(x)

    steps, x, slope = 0, X, np.ones(3)
    while np.sum(x) < 5.0:
        steps, slope, x = steps + 1, slope * 2 * np.exp(x), np.exp(x)
    assert steps > 1
    np.testing.assert_allclose(pb.grad(f)(X), slope, rtol=1e-12)


def test_a_rule_counts_where_the_function_has_no_derivative():
    """Straight-through estimators: the function is flat, or goes through integers."""

    @pb.custom_vjp
    def step(x):
        return (x > 0.0).astype(np.float64)

    step.defvjp(lambda x: (step(x), None), lambda _, bar: (bar,))

    @pb.custom_jvp
    def rounded(x):
        return x.astype(np.int64).astype(np.float64)

    rounded.defjvp(lambda primals, tangents: (rounded(*primals), tangents[0]))
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(step(x) * Y))(X), Y)
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(rounded(x) * Y))(X), Y)
    assert pb.jvp(lambda x: np.sum(rounded(x)), (X,), (Y,))[1] == pytest.approx(np.sum(Y))

    def through_a_loop(x):
        for _ in range(3):
            x = step(x) * x
        return np.sum(x)

    np.testing.assert_array_equal(pb.grad(through_a_loop)(np.array([2.0, -1.0])), [27.0, 0.0])


def test_vmap():
    many = np.stack([X, 2 * X])
    mapped = pb.vmap(product, (0, None))
    np.testing.assert_allclose(mapped(many, Y), np.sin(many) * Y, rtol=1e-14)
    x_bar, y_bar = pb.grad(lambda x, y: np.sum(mapped(x, y) ** 2), (0, 1))(many, Y)
    bar = 2 * np.sin(many) * Y
    np.testing.assert_allclose(x_bar, 3 * bar * np.cos(many) * Y, rtol=1e-13)
    np.testing.assert_allclose(y_bar, np.sum(bar * np.sin(many), axis=0), rtol=1e-13)
    # The map outside and inside of the derivative.
    np.testing.assert_allclose(pb.vmap(pb.grad(lambda x: np.sum(product(x, Y) ** 2)))(many), x_bar, rtol=1e-13)
    np.testing.assert_allclose(pb.vmap(pb.grad(lambda x: np.sum(twice(x))))(many), 2 * np.exp(many), rtol=1e-13)
    np.testing.assert_allclose(pb.grad(lambda x: np.sum(pb.vmap(twice)(x)))(many), 2 * np.exp(many), rtol=1e-13)
    second = pb.hessian(lambda x: np.sum(pb.vmap(twice)(x)))(many)
    np.testing.assert_allclose(second.reshape(6, 6), np.diag(4 * np.exp(many.ravel())), rtol=1e-13)


def test_loops_and_branches_in_rules():
    f = pb.custom_vjp(np.sin)

    def forward(x):
        kept = x
        while np.sum(kept) < 10.0:
            kept = kept + 1.0
        return np.sin(x), kept

    def backward(kept, bar):
        total = np.zeros(3)
        for place in range(3):
            if kept[place] > 4.0:
                total[place] = kept[place] * bar[place]
        return (total,)

    f.defvjp(forward, backward)
    kept = X + np.ceil((10.0 - np.sum(X)) / 3.0)
    found = pb.grad(lambda x: np.sum(f(x) * Y))(X)
    np.testing.assert_allclose(found, np.where(kept > 4.0, kept * Y, 0.0), rtol=1e-14)
    assert 0.0 in found
    assert np.any(found != 0.0)


class Pair(NamedTuple):
    first: np.ndarray
    second: float


def test_nests_of_arguments_results_and_residuals():
    @pb.custom_vjp
    def f(weights, count):
        return Pair(weights["a"] * count, np.sum(weights["b"])), {"count": count + 1}

    def forward(weights, count):
        return f(weights, count), {"count": count, "nest": (weights["a"], [weights["b"]])}

    def backward(residuals, bars):
        pair, rest = bars
        assert rest["count"] is None
        return {"a": pair.first * residuals["count"] * 10.0, "b": pair.second * residuals["nest"][1][0]}, None

    f.defvjp(forward, backward)

    def loss(weights, count):
        pair, rest = f(weights, count)
        return np.sum(pair.first * X) + 3.0 * pair.second + 0.0 * rest["count"]

    value, gradient = pb.value_and_grad(loss)({"a": X, "b": Y}, 2)
    assert value == pytest.approx(2 * np.sum(X * X) + 3 * np.sum(Y))
    np.testing.assert_allclose(gradient["a"], 20.0 * X, rtol=1e-14)
    np.testing.assert_allclose(gradient["b"], 3.0 * Y, rtol=1e-14)


def test_none_is_a_cotangent_and_a_tangent_of_zeros():
    f = pb.custom_vjp(lambda x, y: x * y)
    f.defvjp(lambda x, y: (x * y, x), lambda x, bar: (None, x * bar))
    x_bar, y_bar = pb.grad(lambda x, y: np.sum(f(x, y)), (0, 1))(X, Y)
    np.testing.assert_array_equal(x_bar, np.zeros(3))
    np.testing.assert_array_equal(y_bar, X)
    g = pb.custom_jvp(lambda x, n: x * n)
    g.defjvps(lambda dot, value, x, n: dot * n * 10.0, None)
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(g(x, 3)))(X), np.full(3, 30.0))
    np.testing.assert_array_equal(pb.grad(lambda n: np.sum(g(X, n)))(3.0), 0.0)
    h = pb.custom_jvp(np.sin)
    h.defjvp(lambda primals, tangents: (np.sin(primals[0]), None))
    np.testing.assert_array_equal(pb.grad(lambda x: np.sum(h(x)))(X), np.zeros(3))


def test_settings():
    f = pb.custom_vjp(lambda fun, x, power: fun(x) ** power, nondiff_argnums=(0, 2))

    def forward(fun, x, power):
        return fun(x) ** power, x

    def backward(fun, power, x, bar):
        return (bar * 100.0 * power * fun(x),)

    f.defvjp(forward, backward)
    np.testing.assert_allclose(pb.grad(lambda x: np.sum(f(np.sin, x, 2)))(X), 200.0 * np.sin(X), rtol=1e-14)
    with pytest.raises(pb.PullbackError, match="named in nondiff_argnums, but is computed"):
        pb.grad(lambda x: np.sum(f(np.sin, x, np.sum(x))))(X)
    with pytest.raises(pb.PullbackError, match="nondiff_argnums if it is a setting"):
        pb.grad(lambda x: np.sum(twice("a") + x))(X)


def test_arrays_from_outside():
    weights = np.array([1.0, 2.0, 3.0])
    factors = np.array([[10.0, 0.0, 0.0], [0.0, 20.0, 0.0], [0.0, 0.0, 30.0]])
    f = pb.custom_jvp(lambda x: weights * x)
    f.defjvp(lambda primals, tangents: (f(*primals), factors @ tangents[0]))
    expected = np.diag(factors)

    def looped(x):
        for _ in range(2):
            x = f(x)
        return np.sum(x)

    np.testing.assert_allclose(pb.grad(lambda x: np.sum(f(x)))(X), expected)
    np.testing.assert_allclose(pb.grad(looped)(X), expected**2)
    np.testing.assert_allclose(pb.jacfwd(looped)(X), expected**2)
    np.testing.assert_allclose(pb.hessian(lambda x: np.sum(f(x) * f(x)))(X), 2 * factors**2)


def test_tensors():
    for _ in range(3):  # the third time the graph is native code
        x = pb.tensor(X, dtype=pb.double, requires_grad=True)
        np.testing.assert_allclose(twice(x).detach().numpy(), np.exp(X), rtol=1e-14)
        (twice(x) * 3.0).sum().backward()
        np.testing.assert_allclose(x.grad.numpy(), 6.0 * np.exp(X), rtol=1e-14)


def test_values_that_a_function_closes_over():
    def inner(x, y):
        f = pb.custom_vjp(lambda x: x * y)
        f.defvjp(lambda x: (x, x), lambda x, bar: (7.0 * bar,))
        return np.sum(f(x))

    assert pb.compile_grad(inner)(X, Y) == pytest.approx(np.sum(X * Y))
    np.testing.assert_array_equal(pb.grad(inner, 0)(X, Y), np.full(3, 7.0))
    with pytest.raises(pb.PullbackError, match="a value that it closes over"):
        pb.grad(inner, 1)(X, Y)

    def reading(x, y):
        f = pb.custom_vjp(lambda x: x * 2.0)
        f.defvjp(lambda x: (x * 2.0, None), lambda _, bar: (y * bar,))
        return np.sum(f(x))

    with pytest.raises(pb.PullbackError, match=r"rule of _lambda_ reads a value that the function around it computes"):
        pb.grad(reading, 0)(X, Y)

    def late(x):
        for k in (1.0, 2.0):
            f = pb.custom_vjp(lambda x: x * k)  # noqa: B023
            f.defvjp(lambda x: (x * k, None), lambda _, bar: (k * bar,))  # noqa: B023
            x = f(x)
        return np.sum(x)

    with pytest.raises(pb.PullbackError, match="closes over k, which has changed since the call"):
        pb.grad(late)(X)


def test_errors_of_rules():
    bare = pb.custom_jvp(np.sin)
    with pytest.raises(pb.PullbackError, match=r"no derivative rule yet.*|help: state it by @f\.defjvp"):
        pb.compile_grad(lambda x: bare(x))(X)
    with pytest.raises(pb.PullbackError, match="takes a function, not a int"):
        pb.custom_vjp(3)

    def made(forward, backward):
        f = pb.custom_vjp(lambda x: x * 2.0)
        f.defvjp(forward, backward)
        return pb.grad(lambda x: np.sum(f(x)))

    good = lambda x: (x * 2.0, x)  # noqa: E731
    bad = {
        r"must give a pair \(value, residuals\)": (lambda x: x * 2.0, lambda x, bar: (bar,)),
        "a tuple with one cotangent for each of 1 arguments": (good, lambda x, bar: bar),
        r"gives f64\[\] for the cotangent\[0\], which belongs to a f64\[3\]": (good, lambda x, bar: (np.sum(bar),)),
        r"gives f64\[\] for the value, which belongs to a f64\[3\]": (lambda x: (np.sum(x), x), lambda x, bar: (bar,)),
    }
    for message, (forward, backward) in bad.items():
        with pytest.raises(pb.PullbackError, match=message):
            made(forward, backward)(X)
    f = pb.custom_vjp(lambda xs: xs[0] * xs[1])
    f.defvjp(lambda xs: (xs[0] * xs[1], None), lambda _, bar: ((bar, bar, bar),))
    with pytest.raises(pb.PullbackError, match="does not nest the cotangent as the function does") as caught:
        pb.grad(lambda x: np.sum(f((x, x))))(X)
    assert "f((x, x))" in str(caught.value)
    f = pb.custom_jvp(lambda x: x * 2.0)
    f.defjvp(lambda primals, tangents: (f(*primals), np.sum(tangents[0])))
    with pytest.raises(pb.PullbackError, match=r"gives f64\[\] for the tangent"):
        pb.grad(lambda x: np.sum(f(x)))(X)


def test_stages():
    """Text knows a custom call by its name; the interpreter and native code know what it computes."""
    f = pb.compile_grad(lambda x: np.sum(twice(x)))
    lowered = f.lower(X)
    assert "custom_call %x {rule = twice, types = (f64[3],)}" in lowered.ir
    assert "custom_call" not in lowered.optimized
    f(X)
    traced = f._dispatchers["_entry"].specializations.popitem()[1].trace.function
    np.testing.assert_allclose(interpret(traced, [X])[0], np.sum(np.exp(X)), rtol=1e-14)
    text = print_function(traced)
    again = parse_function(text)
    assert print_function(again) == text
    with pytest.raises(pb.PullbackError, match="known by its name only"):
        interpret(again, [X])


def test_the_function_runs_once_where_its_rule_calls_it():
    """What the rule asks of the function on the same arguments is the result at hand."""
    f = pb.compile_grad(lambda x: np.sum(twice(x)))
    assert f.lower(X).optimized.count(" exp ") == 1
    looped = pb.compile_grad(lambda x: np.sum(pb.fori_loop(0, 3, lambda i, x: twice(x), x)))
    assert looped.lower(X).adjoint.count("custom_call") == 1
