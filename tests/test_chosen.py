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
from pullback.errors import PullbackError, TraceError
from pullback.tracer.chosen.array import ELEMENTWISE, FUNCTIONS

from numpy_support import assert_same, gradients_agree  # isort: skip

Function = Callable[..., Any]
Array = np.ndarray[Any, Any]
RANDOM = np.random.default_rng(7)
X = np.array([0.7, -1.2, 2.5, 0.3, -0.4, 1.9, -2.2])
Y = RANDOM.normal(size=7)
A, W = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=3)
B = RANDOM.normal(size=(2, 4, 3))


def numpys(function: Function, *arguments: Any) -> Any:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*arguments)


def assert_agrees(function: Function, *arguments: Any, tolerance: float = 1.0) -> None:
    """A compiled function gives what NumPy gives; its gradient is that of central differences."""
    assert_same(pb.compile_grad(function)(*arguments), numpys(function, *arguments), "value", tolerance)
    if np.asarray(arguments[0]).dtype == np.float64:
        gradients_agree(function, *arguments)


def assign(x: Any, y: Any) -> Any:
    m = x > 0
    z = np.zeros(7)
    z[m] = y[m] * x[m] * 2.0
    z[~m] = -1.0
    return z


def update(x: Any, y: Any) -> Any:
    z = y * 1.0
    z[x > 0] *= y[x > 0]
    z[x < 0] += np.exp(x[x < 0])
    return z


def update_at(x: Any, y: Any) -> Any:
    z = y * 1.0
    np.add.at(z, x > 0, x[x > 0] ** 2)
    return z


def by_places(x: Any, y: Any) -> Any:
    places = np.where(x > 0)[0]
    z = np.zeros(7)
    z[places] = y[places] * x[places]
    z[6 - places] += x[places]
    np.add.at(z, places // 2, y[places])
    return z


def in_place(x: Any, y: Any) -> Any:
    z = x[x > 0]
    same = z
    z *= 2.0
    z += y[x > 0]
    return np.sum(same**2)


def loop(x: Any, y: Any) -> Any:
    total = 0.0
    for level in np.linspace(-1.0, 1.0, 40):
        inside = x > level + 0.01
        total += np.sum(y[inside] * x[inside]) / (1 + inside.sum())
    return total


def branch(x: Any, y: Any) -> Any:
    chosen = x[x > y]
    if chosen.size > 2:
        return np.max(chosen) + len(chosen)
    return np.sum(x)


def many_axes(a: Any, w: Any) -> Any:
    z = np.zeros((7, 3))
    m = a > 0.2
    z[m] = a[m] ** 2
    z[:, w > 0] -= a[:, w > 0] * w[w > 0]
    z[a[:, 0] > 0] += a[a[:, 0] > 0] @ np.outer(w, w)
    z[a[:, 1] > 0, 2] = a[a[:, 1] > 0, 0]
    return z


def set_among_chosen(a: Any, w: Any) -> Any:
    c = a[a[:, 0] > 0]
    c[c[:, 1] > 0] *= 3.0
    c[c > 0.5] = 0.25
    c[c[:, 2] > 0] = w
    d = c[:, 1]
    d += 1.0
    c[:] = c * w[0]
    c.T[...] = c.T**2
    return np.sum(c, axis=0)


def set_pairs(a: Any, w: Any) -> Any:
    rows, columns = np.nonzero(a > 0.3)
    z = np.zeros((7, 3))
    z[rows, columns] = a[rows, columns] ** 2
    z[rows, (columns + 1) % 3] += w[columns]
    np.add.at(z, (rows // 2, columns), a[rows, columns])
    np.maximum.at(z, (rows, columns), 0.2)
    z[rows] *= 1.5
    return z


def clusters(x: Any, centers: Any) -> Any:
    label = np.argmin(np.sum((x[:, None] - centers) ** 2, axis=2), axis=1)
    return np.stack([x[label == k].mean(axis=0) for k in range(2)])


def energy(p: Any) -> Any:
    apart = np.sum((p[:, None] - p) ** 2, axis=2)
    near = (apart > 0) & (apart < 4.0)
    i, j = np.nonzero(np.triu(near))
    return np.sum(np.exp(-np.sqrt(apart[near]))) - np.sum(1 / np.sqrt(np.sum((p[i] - p[j]) ** 2, axis=1)))


def huber(r: Any) -> Any:
    size = np.abs(r)
    near = size <= 1.0
    out = np.empty(7)
    out[near] = 0.5 * r[near] ** 2
    out[~near] = size[~near] - 0.5
    return out


def whittled(x: Any) -> Any:
    count = 0
    while np.sum(x[x > 0]) > 1.0 and count < 50:
        x = x * 0.8
        count += 1
    for _ in range(30):
        above = x > 0.1
        x = x * 1.0
        x[above] -= 0.05 * x[above] ** 2
    chosen = x[x > 0]
    for _ in range(30):
        chosen *= 0.99
    return np.sum(chosen**2)


PROGRAMS: dict[str, tuple[Function, tuple[Any, ...]]] = {
    "sum": (lambda x: x[x > 0].sum(), (X,)),
    "mean of squares": (lambda x, y: np.mean(x[y > 0] ** 2), (X, Y)),
    "function": (lambda x: np.sum(np.sin(x[x > 0]) * np.exp(-x[x > 0])), (X,)),
    "dot": (lambda x, y: np.dot(x[x > 0], y[x > 0]) + x[x < 0] @ y[x < 0] + np.inner(x[x > 0], x[x > 0]), (X, Y)),
    "nonzero": (lambda x, y: np.sum(x[np.nonzero(y > 0)[0]] ** 3), (X, Y)),
    "flatnonzero": (lambda x, y: np.sum(y[np.flatnonzero(x > 0)] * x[(x > 0).nonzero()[0]]), (X, Y)),
    "scalars": (lambda x, a, b: np.sum((x[x > 0] * a - b) / a), (X, 2.0, 0.5)),
    "extremes": (lambda x: np.max(x[x < 1]) * np.min(x[x > -1]) + x[x > 0].min(), (X,)),
    "spread": (lambda x: np.std(x[x > 0]) + np.var(x[x < 0], ddof=1) + x[x > 0].std(ddof=1), (X,)),
    "prod": (lambda x: np.prod(x[x > 0]) + x[x < 0].prod(), (X,)),
    "norm": (lambda x: np.linalg.norm(x[x > 0]) + np.linalg.norm(x[x > 0], 1) + np.linalg.norm(x[x < 0], np.inf), (X,)),
    "average": (lambda x, y: np.average(x[x > 0], weights=np.exp(y[x > 0])), (X, Y)),
    "ptp": (lambda x: np.ptp(x[x > 0]), (X,)),
    "running": (lambda x: np.sum(np.log(np.cumsum(x[x > 0])) * np.cumprod(x[x > 0])), (X,)),
    "where": (lambda x, y: np.sum(np.where(x[x > 0] > 1, x[x > 0], y[x > 0])), (X, Y)),
    "clip": (lambda x, y: np.sum(np.clip(x[x > 0], 0.5, None) * np.maximum(y[x > 0], 0.1)), (X, Y)),
    "twice": (lambda x, y: np.sum(x[x > 0][y[x > 0] > 0] ** 2), (X, Y)),
    "items": (lambda x: x[x > 0][0] * x[x > 0][-1] + x[x < 0][1] ** 2, (X,)),
    "slices": (lambda x: np.sum(x[x > 0][1:]) + np.sum(x[x > 0][:-1] ** 2) + np.sum(x[x > 0][::2]), (X,)),
    "count": (lambda x: np.sum(x[x > 0]) / x[x > 0].size + len(x[x > 0]) * x[0], (X,)),
    "two axes": (lambda a: np.sum(a[a > 0] ** 2) + np.max(a[a < 1]), (A,)),
    "rows": (lambda a, w: np.sum(a[a[:, 0] > 0] * w, axis=0), (A, W)),
    "rows, over columns": (lambda a, w: np.sum(np.sqrt(np.sum(a[a[:, 0] > 0] ** 2, axis=1)) * a[a[:, 0] > 0, 1]), (A, W)),
    "columns": (lambda a, w: np.sum(a[:, w > -0.5] * w[w > -0.5], axis=1), (A, W)),
    "rows by a vector": (lambda a, w: np.sum(np.tanh(a[a[:, 0] > 0] @ w)), (A, W)),
    "normal equations": (lambda a, y: a[y > 0].T @ a[y > 0], (A, Y)),
    "right side": (lambda a, y: a[y > 0].T @ y[y > 0], (A, Y)),
    "mean of rows": (lambda a, y: np.mean(a[y > 0], axis=0), (A, Y)),
    "covariance of rows": (lambda a, y: np.var(a[y > 0], axis=0, keepdims=True), (A, Y)),
    "new axis": (lambda x, w: np.sum(x[x > 0][:, None] * w, axis=0), (X, W)),
    "reshaped": (lambda x, w: np.sum(x[x > 0].reshape(-1, 1) * w + np.outer(x[x > 0], w), axis=0), (X, W)),
    "flat": (lambda a, y: np.max(a[y > 0].ravel()) + np.sum(a[y > 0].reshape(-1) ** 2), (A, Y)),
    "joined": (lambda x, y: np.sum(np.concatenate([x[x > 0], y[y > 0], y]) ** 2), (X, Y)),
    "stacked": (lambda x, y: np.sum(np.stack([x[x > 0], y[x > 0]], axis=1) @ np.array([1.0, 2.0])), (X, Y)),
    "by pairs": (lambda a: np.sum(a[np.nonzero(a > 0)] * np.nonzero(a > 0)[1]), (A,)),
    "compress": (lambda x, y: np.sum(np.compress(y > 0, x) ** 2) + x.compress(y > 0).sum(), (X, Y)),
    "extract": (lambda x, y: np.sum(np.extract(y < 0, x)), (X, Y)),
    "take": (lambda x, y: np.sum(np.take(x, np.flatnonzero(y > 0)) ** 2), (X, Y)),
    "nan": (lambda x, y: np.nansum(np.where(x[x > 0] > 1, np.nan, y[x > 0])), (X, Y)),
    "interp": (lambda x, y: np.sum(np.interp(x[x > 0], np.arange(7.0), y)), (X, Y)),
    "integers": (lambda x: np.sum((x[x > 0] * 10 + 0.5).astype(np.int64)) * np.sum(x), (X,)),
    "builtins": (lambda x: sum(x[x > 0]) + max(x[x > 0]) - min(x[x < 0]), (X,)),
    "assign": (assign, (X, Y)),
    "update": (update, (X, Y)),
    "update at": (update_at, (X, Y)),
    "by places": (by_places, (X, Y)),
    "in place": (in_place, (X, Y)),
    "loop": (loop, (X, Y)),
    "branch": (branch, (X, Y)),
    "many axes": (many_axes, (A, W)),
    "set among chosen": (set_among_chosen, (A, W)),
    "set pairs": (set_pairs, (A, W)),
    "clusters": (clusters, (A, A[:2] + 0.1)),
    "energy": (energy, (A,)),
    "huber": (huber, (X,)),
    "whittled": (whittled, (X,)),
    "of outside": (lambda x: np.sum(Y[x > 0] * x[x > 0]) + np.sum(np.take(Y, np.flatnonzero(x > 0)) * x[x > 0]), (X,)),
    "three axes": (lambda b: np.sum(b[:, b[0, :, 0] > 0, 1], axis=1) + np.sum(b[b[:, :, 0] > 0]), (B,)),
    "numbers first": (lambda b: b[0, b[0, :, 0] > 0].sum(axis=0) + b[b[:, 0, 0] > 0, :, 1].sum(), (B,)),
    "products of several axes": (lambda b, w: np.sum(np.cos(b[:, b[0, :, 0] > 0] @ w), axis=1), (B, W)),
    "columns of a product": (lambda a, w: np.sum(np.cos(np.outer(w, w) @ a[a[:, 0] > 0].T), axis=1), (A, W)),
    "polyval": (lambda x: np.sum(np.polyval(x[:3], x[x > 0])), (X,)),
    "select": (lambda x, y: np.sum(np.select([x[x > 0] > 2, x[x > 0] > 1], [x[x > 0], y[x > 0] * 3], 0.5)), (X, Y)),
    "normalized rows": (lambda a: np.sum(a[a[:, 0] > 0] / np.sum(a[a[:, 0] > 0] ** 2, axis=1, keepdims=True), axis=0), (A,)),
    "clip by arrays": (lambda x, y: np.sum(x[x > 0].clip(min=y[x > 0]) + np.clip(x[x > 0], a_min=None, a_max=y[0])), (X, Y)),
    "scan": (lambda x: pb.fori_loop(0, 3, lambda i, total: total + np.sum(x[x > i]), 0.0), (X,)),
}


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
        assert f"{function.__name__} of the elements that a computed mask chooses is not traced" in error.value.message


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


def carried(x: Any) -> Any:
    chosen = x[x > 0]
    while np.sum(x) < 10:
        chosen = chosen * 2.0
        x = x + 1.0
    return np.sum(chosen)


def joined(x: Any) -> Any:
    chosen = x[x > 1] if x[0] > 0 else x[x < 1]
    return np.sum(chosen)


def through_slices(x: Any) -> Any:
    chosen = x[x > 0]
    part = chosen[1:]
    chosen += 1.0
    return np.sum(part)


def other_places(x: Any) -> Any:
    z = np.zeros(7)
    z[x > 0] = x[x < 0]
    return z


def assigned_to_a_slice(x: Any) -> Any:
    z = np.zeros(7)
    z[:4] = x[x > 0]
    return z


def whole_values(x: Any) -> Any:
    z = np.zeros(7)
    z[x > 0] = x
    return z


REFUSED: dict[str, tuple[Function, str, str]] = {
    "returned": (lambda x: x[x > 0], "the result is the elements that a computed mask chooses", "np.where(mask, x, 0)"),
    "returned places": (lambda x: np.nonzero(x), "the result[0] is the elements", "np.where(mask, x, 0) and the mask"),
    "other mask": (lambda x: np.sum(x[x > 0] * x[x < 0]), "those that another mask chooses", "name the mask once"),
    "whole array": (lambda x: np.sum(x[x > 0] * x), "an array of shape [7] together with the elements", "x[mask] * y[mask]"),
    "two unknown axes": (lambda x: np.sum(x[x > 0][:, None] * x[x > 0]), "along two different axes", "np.where(mask, x, 0)"),
    "sort": (lambda x: np.sort(x[x > 0])[0], "np.sort of the elements", "np.where(mask, x, np.inf) to sort"),
    "median": (lambda x: np.median(x[x > 0]), "np.median of the elements", "np.where(mask, x, 0)"),
    "diff": (lambda x: np.sum(np.diff(x[x > 0])), "np.diff of the elements", "np.where(mask, x, 0)"),
    "einsum": (lambda x: np.einsum("i,i", x[x > 0], x[x > 0]), "np.einsum of the elements", "np.where(mask, x, 0)"),
    "iteration": (lambda x: list(x[x > 0]), "a loop over the items of the elements", "an if in the loop"),
    "float": (lambda x: float(x[x > 0]), "float() of the elements", "x[mask][0]"),
    "truth": (lambda x: 1.0 if x[x > 0] else 0.0, "the truth of the elements", "x.any(), x.all()"),
    "list": (lambda x: x[x > 0].tolist(), "tolist() of the elements", "return sums"),
    "attribute": (lambda x: x[x > 0].strides, "the attribute strides of the elements", "np.where(mask, x, 0)"),
    "out": (lambda x: np.add(x[x > 0], 1.0, out=x[x > 0]), "np.add with out= is not traced", "assign the result instead"),
    "outer": (lambda x: np.sum(np.add.outer(x[x > 0], x)), "np.add.outer of the elements", "np.where(mask, x, 0)"),
    "one side of a product": (lambda x: x[x > 0] @ x, "matmul: a sum over the elements", "x[mask] @ y[mask]"),
    "reshape": (lambda x: np.sum(x[x > 0].reshape(2, 2)), "a reshape without -1", "x.reshape(-1, 3)"),
    "other values": (other_places, "together with those that another mask chooses", "name the mask once"),
    "whole values": (whole_values, "assigning an array of shape (7,) to the elements", "values[mask]"),
    "carried": (carried, "chosen is an array of the elements that a computed mask chooses before the loop", "keeps its type"),
    "joined": (joined, "an array of the elements that a computed mask chooses after", "same type and shape"),
    "written after a slice": (through_slices, "of which a part was taken before", ".copy()"),
    "two masks in one index": (lambda x: np.sum(np.outer(x, x)[x > 0, x > 0]), "together with other arrays", "one after"),
    "backward": (lambda x: np.sum(x[x > 0][::-1]), "a slice that goes backward of the elements", "np.where(mask, x, 0)"),
    "mask of another shape": (lambda x: np.sum(x[x[:3] > 0]), "boolean index did not match indexed array along axis 0", ""),
    "transform": (lambda x: np.sum(pb.grad(np.sum)(x[x > 0])), "is the elements that a computed mask chooses", "where(mask"),
    "assigned to a slice": (assigned_to_a_slice, "cannot be used here", "np.where(mask, x, 0)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    function, message, help = REFUSED[name]
    with pytest.raises(PullbackError) as raised:
        pb.compile_grad(function)(X)
    assert message in raised.value.message
    assert help in raised.value.help
    assert "test_chosen.py" in str(raised.value)
