"""``x[mask]`` with a computed mask: values are NumPy's, gradients are those of the elements that are chosen."""
from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import overrides

import pullback as pb
from pullback.errors import TraceError
from pullback.tracer.chosen.array import ELEMENTWISE, FUNCTIONS
from pullback.tracer.chosen.elements import WHAT

from chosen_programs import PROGRAMS, RANDOM, X, Y, assign  # isort: skip
from numpy_support import assert_same, gradients_agree  # isort: skip

Function = Callable[..., Any]


def numpys(function: Function, *arguments: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments)


def assert_agrees(function: Function, *arguments: Any, tolerance: float = 1.0) -> None:
    """A compiled function gives what NumPy gives; its gradient is that of central differences."""
    assert_same(pb.compile_grad(function)(*arguments), numpys(function, *arguments), "value", tolerance)
    if np.asarray(arguments[0]).dtype == np.float64:
        gradients_agree(function, *arguments)


def test_of_scipy() -> None:
    special, stats = pytest.importorskip("scipy.special"), pytest.importorskip("scipy.stats")
    logsumexp, softmax, expit, norm = special.logsumexp, special.softmax, special.expit, stats.norm
    assert_agrees(lambda x: logsumexp(x[x > 0]) + np.sum(softmax(x[x > 0]) ** 2), X, tolerance=4.0)
    assert_agrees(lambda x, s: np.sum(norm.logpdf(x[x > 0], 0.1, scale=s) * expit(x[x > 0])), X, 1.3, tolerance=4.0)


def test_every_function_of_numpy_is_known_or_refused_by_name() -> None:
    for function in overrides.get_overridable_numpy_array_functions():
        if function in FUNCTIONS or function in ELEMENTWISE:
            continue
        with pytest.raises(TraceError) as error:
            pb.compile_grad(lambda x: x[x > 0].__array_function__(function, (), (x[x > 0],), {}))(X)  # noqa: B023
        assert f"{function.__name__} of {WHAT} is not traced" in error.value.message


@pytest.mark.parametrize("name", PROGRAMS)
def test_as_numpy(name: str) -> None:
    function, arguments = PROGRAMS[name]
    assert_agrees(function, *arguments, tolerance=4.0)


FACTS: dict[str, Function] = {
    "argmax": lambda x: np.argmax(x[x < 1]) + 10 * x[x > 0].argmin(),
    "any": lambda x: np.any(x[x > 0] > 2),
    "all": lambda x: (x[x > 0] > 0.5).all(),
    "count_nonzero": lambda x: np.count_nonzero(x[x > 0] > 1),
    "size": lambda x: x[x > 0].size,
    "len": lambda x: len(x[x > 0]),
    "shape": lambda x: x[x > 0].shape[0] + np.size(x[x < 0]),
    "sum of bools": lambda x: np.sum(x[x > 0] > 1),
    "mean of integers": lambda x: np.mean(np.flatnonzero(x > 0)),
    "largest place": lambda x: np.max(np.flatnonzero(x > 0)),
    "product of integers": lambda x: np.prod(np.nonzero(x)[0] + 1),
    "isinstance": lambda x: np.sum(x[x > 0]) if isinstance(x[x > 0], np.ndarray) else -1.0,
    "ndim": lambda x: np.sum(x) * x[x > 0].ndim,
    "argwhere": lambda x: np.sum(np.argwhere(x > 0)),
    "float32": lambda x: np.sum(x.astype(np.float32)[x > 0] * 2.0) + np.mean(x.astype(np.float32)[x > 0]),
    "allclose": lambda x: np.allclose(x[x > 0], np.abs(x)[x > 0]),
    "minimum.reduce": lambda x: np.minimum.reduce(x[x > 0]) + np.logaddexp.reduce(x[x > 0]) + np.add.reduce(x[x > 0]),
}


@pytest.mark.parametrize("name", FACTS)
def test_facts(name: str) -> None:
    found, wanted = pb.compile_grad(FACTS[name])(X), numpys(FACTS[name], X)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert np.asarray(found).dtype == np.asarray(wanted).dtype


HIDDEN: dict[str, Function] = {
    "sqrt": lambda x, w: np.sum(np.sqrt(x[x > 0])),
    "log": lambda x, w: np.sum(np.log(x[x > 0]) * w),
    "division": lambda x, w: np.sum(w / x[x > 0]),
    "power": lambda x, w: np.sum(x[x > 0] ** w),
    "a parameter's pole": lambda x, w: np.sum(np.log(x[x > 0] - 0.05) ** 2 * w),
    "mean": lambda x, w: np.mean(np.log(w * x[x > 0])),
    "var": lambda x, w: np.var(np.sqrt(x[x > 0] - 0.2) * w),
    "max": lambda x, w: np.max(np.sqrt(x[x > 0]) * w),
    "running": lambda x, w: np.sum(np.log(np.cumsum(np.sqrt(x[x > 0])) * w)),
    "products": lambda x, w: np.dot(np.sqrt(x[x > 0]), np.log(x[x > 0])) * w,
    "rows": lambda x, w: np.sum(np.log(x[x > 0][:, None] @ np.ones((1, 2)) * w)),
    "rows by a parameter": lambda x, w: np.sum(np.log(x[x > 0])[:, None] @ (np.ones((1, 2)) * w)),
    "assigned": lambda x, w: np.sum(_logs(x, w) ** 2),
    "norm": lambda x, w: np.linalg.norm(np.sqrt(x[x > 0]) * w),
    "chosen again": lambda x, w: np.sum(np.sqrt(x[x > 0][x[x > 0] > 0.3] - 0.3) * w),
    "places": lambda x, w: np.sum(np.log(x[np.flatnonzero(x > 0)]) * w),
}


def _logs(x: Any, w: Any) -> Any:
    z = np.zeros(x.shape)
    z[x > 0] = np.log(x[x > 0]) * w
    return z


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_not_chosen_has_no_part(name: str) -> None:
    """Its values and derivatives are infinite or NaN: the gradient is that of the chosen elements by themselves."""
    function = HIDDEN[name]
    x = np.array([4.0, 0.0, -1.0, 1.5, np.nan, 0.25, -np.inf, 0.0])
    on = np.flatnonzero(x > 0)
    alone = pb.compile_grad(lambda y, w: function(y, w), argnums=(0, 1))
    value, (by_y, by_w) = alone.value_and_grad(x[on], 1.3)
    assert np.isfinite(value) and np.all(np.isfinite(by_y))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        compiled = pb.compile_grad(function, argnums=(0, 1))
        found, (by_x, by_w_too) = compiled.value_and_grad(x, 1.3)
        tangent = np.where(x > 0, 1.0, 0.5)
        _, forward = pb.jvp(lambda x: function(x, 1.3), (x,), (tangent,))
        product = pb.hvp(lambda x: function(x, 1.3), (x,), (tangent,))
    np.testing.assert_allclose(found, value, rtol=1e-12)
    np.testing.assert_allclose(by_w_too, by_w, rtol=1e-12)
    expected = np.zeros(8)
    expected[on] = by_y
    np.testing.assert_allclose(by_x, expected, rtol=1e-12)
    np.testing.assert_allclose(forward, np.sum(by_y), rtol=1e-12)
    second = np.zeros(8)
    second[on] = pb.hvp(lambda y: function(y, 1.3), (x[on],), (np.ones(len(on)),))
    np.testing.assert_allclose(product, second, rtol=1e-10, atol=1e-12)


def test_division_of_integers() -> None:
    function = pb.compile_grad(lambda x, n: np.sum(x * 7 // n[n != 0]) + np.sum(7 % n[n != 0]))
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        assert function(3, np.array([0, 2, 0, -3])) == 10 + -7 + 1 + -2


def test_nothing_chosen() -> None:
    x = -np.abs(X)
    for function in (lambda x: np.sum(x[x > 0]), lambda x: np.prod(x[x > 0]), lambda x: np.dot(x[x > 0], x[x > 0])):
        value, gradient = pb.compile_grad(function).value_and_grad(x)
        assert value == function(x)
        np.testing.assert_array_equal(gradient, np.zeros(7))
    assert np.isnan(pb.compile_grad(lambda x: np.mean(x[x > 0]))(x))
    for name in ("max", "min"):
        compiled = pb.compile_grad(lambda x, name=name: getattr(x[x > 0], name)())
        for call in (compiled, compiled.grad, compiled.value_and_grad):
            with pytest.raises(ValueError, match=f"zero-size array to reduction operation {name}imum which has no identity"):
                call(x)
        assert np.isfinite(compiled(X))
    with pytest.raises(ValueError, match="attempt to get argmax of an empty sequence"):
        pb.compile_grad(lambda x: np.argmax(x[x > 0]))(x)
    with pytest.raises(IndexError, match="index 0 is out of bounds for axis 0 with size 0"):
        pb.compile_grad(lambda x: x[x > 0][0]).grad(x)
    with pytest.raises(IndexError, match="index -5 is out of bounds for axis 0 with size 4"):
        pb.compile_grad(lambda x: x[x > 0][-5])(X)


def test_no_places() -> None:
    """Of an array without elements nothing can be chosen: what fails then fails when it is run, not where it is not."""
    x = np.zeros(0)
    functions: tuple[Function, ...] = (
        lambda x: np.max(x[x > 0]) if x[x > 0].size else np.sum(x),
        lambda x: np.argmin(x[x > 0]) if np.any(x > 0) else np.sum(x),
        lambda x: x[x > 0][0] + x[x > 0][-1] if len(x[x > 0]) else np.sum(x),
        lambda x: np.sum(x[x > 0]) + np.prod(x[x > 0]) + np.cumsum(x[x > 0]).sum() + x[x > 0] @ x[x > 0],
        lambda x: np.linalg.norm(x[x > 0]) + np.sum(x[np.flatnonzero(x > 0)]),
    )
    for function in functions:
        value, gradient = pb.compile_grad(lambda x, function=function: function(x) * 1.0).value_and_grad(x)
        assert value == numpys(function, x)
        assert gradient.shape == (0,)
    with pytest.raises(ValueError, match="zero-size array to reduction operation maximum which has no identity"):
        pb.compile_grad(lambda x: np.max(x[x > 0]))(x)
    with pytest.raises(IndexError, match="index 0 is out of bounds for axis 0 with size 0"):
        pb.compile_grad(lambda x: x[x > 0][0])(x)

    def write(x: Any, y: Any) -> Any:
        z = x * 1.0
        z[np.flatnonzero(y > 0)] = 2.0
        return np.sum(z) + np.sum(x[np.flatnonzero(y > 0)])

    assert pb.compile_grad(write)(x, -np.ones(3)) == 0.0
    with pytest.raises(IndexError, match="out of bounds for axis 0 with size 0"):
        pb.compile_grad(write)(x, np.ones(3))


def test_places_outside() -> None:
    """A chosen index outside of the array is an IndexError, one that is not chosen is nothing."""

    @pb.compile_grad
    def read(x: Any, shift: Any) -> Any:
        return np.sum(x[np.flatnonzero(x > 0) + shift])

    @pb.compile_grad
    def write(x: Any, shift: Any) -> Any:
        z = np.zeros(7)
        z[np.flatnonzero(x > 0) + shift] = 1.0
        return z

    assert read(X, 1) == np.sum(X[np.flatnonzero(X > 0) + 1])
    np.testing.assert_array_equal(write(X, 1), [0, 1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(write(X, -1), [0, 1, 1, 0, 1, 0, 1])
    with pytest.raises(IndexError, match="index 7 is out of bounds for an axis of size 7"):
        read(X, 2)
    with pytest.raises(IndexError, match="index 7 is out of bounds for axis 0 with size 7"):
        write(X, 2)


def test_transforms() -> None:
    def function(x: Any, w: Any) -> Any:
        return np.sum(np.exp(x[x > w] * w)) + np.max(x[x > w])

    points = RANDOM.normal(size=(5, 7))
    mapped = pb.vmap(function, (0, None))(points, 0.1)
    np.testing.assert_allclose(mapped, [function(x, 0.1) for x in points])
    gradients = pb.vmap(pb.grad(function), (0, None))(points, 0.1)
    np.testing.assert_allclose(gradients, [pb.grad(function)(x, 0.1) for x in points])
    np.testing.assert_allclose(pb.jacobian(lambda x: assign(x, Y))(X), np.diag(np.where(X > 0, 2 * Y, 0.0)))
    np.testing.assert_allclose(pb.hessian(lambda x: np.sum(x[x > 0] ** 3))(X), np.diag(np.where(X > 0, 6 * X, 0.0)))
    inner = pb.compile_grad(lambda x, w: np.sum(pb.grad(lambda w: np.sum(x[x > 0] * w**2))(w) * x[x > 0]))
    np.testing.assert_allclose(inner(X, 3.0), 6 * np.sum(X[X > 0]) ** 2)
    np.testing.assert_allclose(inner.grad(X, 3.0), np.where(X > 0, 12 * np.sum(X[X > 0]), 0.0))


def test_lengths_and_masks_mapped() -> None:
    def by_length(x: Any, n: Any) -> Any:
        return np.sum(x[:n] ** 2) + np.max(x[n:])

    def by_mask(x: Any, m: Any) -> Any:
        return np.mean(x[m] ** 2) + x[m].min()

    points, lengths = RANDOM.normal(size=(4, 7)), np.array([1, 2, 3, 6])
    masks = points > np.median(points)
    masks[:, 0] = True
    for function, others in ((by_length, lengths), (by_mask, masks)):
        each = [pb.grad(function)(x, other) for x, other in zip(points, others, strict=True)]
        np.testing.assert_allclose(pb.vmap(pb.grad(function))(points, others), each)


def test_triangle_to_the_second_order() -> None:
    """Slices in nested loops that stay loops: Hessians, with and without a budget, are those of LAPACK's determinant."""

    def matrix(x: Any) -> Any:
        wave = np.cos(np.arange(20) * x[0])
        return (2.0 + x[1] ** 2) * np.eye(20) + np.outer(wave, wave)

    def by_loops(x: Any) -> Any:
        a, low = matrix(x), np.zeros((20, 20))
        for j in range(20):
            low[j, j] = np.sqrt(a[j, j] - low[j, :j] @ low[j, :j])
            for i in range(j + 1, 20):
                low[i, j] = (a[i, j] - low[i, :j] @ low[j, :j]) / low[j, j]
        return np.sum(np.log(np.diag(low)))

    def by_lapack(x: Any) -> Any:
        return np.linalg.slogdet(matrix(x))[1] / 2

    x = np.array([0.3, 0.8])
    compiled = pb.compile_grad(by_loops)
    np.testing.assert_allclose(compiled.hessian(x), pb.hessian(by_lapack)(x), rtol=1e-8)
    np.testing.assert_allclose(pb.jvp(by_loops, (x,), (x,))[1], pb.jvp(by_lapack, (x,), (x,))[1], rtol=1e-9)
    assert "for" in compiled.lower(x).ir, "written out"


def test_arguments_that_change() -> None:
    def doubled(x: Any) -> Any:
        x[x > 0] *= 2.0
        x[: np.sum(x > 0)] += 1.0
        return np.sum(x)

    changed, wanted = X.copy(), X.copy()
    assert pb.compile_grad(doubled)(changed) == pytest.approx(doubled(wanted))
    np.testing.assert_array_equal(changed, wanted)


def test_closed_over() -> None:
    """Chosen elements of a function around, in the derivative of a function inside."""

    @pb.compile_grad
    def outer(x: Any, w: Any) -> Any:
        chosen = x[x > 0]
        return pb.grad(lambda w: np.sum(np.sin(chosen * w)))(w)

    np.testing.assert_allclose(outer(X, 0.5), np.sum(X[X > 0] * np.cos(0.5 * X[X > 0])))


def test_stop_gradient() -> None:
    compiled = pb.compile_grad(lambda x: np.sum(pb.stop_gradient(x[x > 0]) * x[x > 0]))
    np.testing.assert_array_equal(compiled.grad(X), np.where(X > 0, X, 0.0))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_random_masks(dtype: Any, data: st.DataObject) -> None:
    """Any mask over the first axes: values as NumPy gives them, gradients as where(mask, ...) has them."""
    shape = tuple(data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    axes = data.draw(st.integers(1, len(shape)))
    kind = data.draw(st.sampled_from(["random", "none", "all"]))
    random = np.random.default_rng(data.draw(st.integers(0, 1000)))
    x = random.uniform(0.5, 2.0, shape).astype(dtype)
    level = random.normal(size=shape[:axes])
    level = {"random": level, "none": -np.abs(level) - 1, "all": np.abs(level) + 1}[kind]
    y = random.normal(size=shape).astype(dtype)

    def value(x: Any, level: Any, y: Any) -> Any:
        m = level > 0
        z = y * 1
        z[m] = np.sin(x[m]) * y[m]
        z[m] += x[m]
        return np.sum(z * y) + np.sum(np.log(x[m])) + np.sum(np.sum(x[m], axis=0) ** 2)

    def alike(x: Any, level: Any, y: Any) -> Any:
        m = np.reshape(level > 0, (*shape[:axes], *(1,) * (len(shape) - axes)))
        z = np.where(m, np.sin(x) * y + x, y)
        rest = np.sum(np.where(m, x, 0), axis=tuple(range(axes)))
        return np.sum(z * y) + np.sum(np.where(m, np.log(x), 0)) + np.sum(rest**2)

    found, gradients = pb.compile_grad(value, argnums=(0, 2)).value_and_grad(x, level, y)
    wanted, others = pb.compile_grad(alike, argnums=(0, 2)).value_and_grad(x, level, y)
    limit = 1e-10 if dtype is np.float64 else 2e-4
    assert np.asarray(found).dtype == dtype
    np.testing.assert_allclose(found, value(x, level, y), rtol=limit, atol=limit)
    np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit)
    for one, other in zip(gradients, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=limit, atol=limit)


def test_out_is_chosen_elements() -> None:
    def f(x: Any) -> Any:
        y = x[x > 0]
        z = y * 2.0
        np.multiply(y, z, out=z)
        z += np.exp(y)
        z **= 2
        return np.sum(z)

    x = np.array([0.3, -1.0, 2.0])
    value, slope = pb.compile_grad(f).value_and_grad(x)
    np.testing.assert_allclose(value, f(x), rtol=1e-14)
    z = 2 * x**2 + np.exp(x)
    np.testing.assert_allclose(slope, np.where(x > 0, 2 * z * (4 * x + np.exp(x)), 0.0), rtol=1e-13)
