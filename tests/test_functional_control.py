"""cond, while_loop, fori_loop, scan and associative_scan: inside of traces as outside of them."""
from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from traced import agree, operations, run, traced

import pullback as pb
from pullback.errors import ArgumentError, ArgumentValueError, CarryError, TraceError

X = np.arange(1.0, 6.0)


def test_cond_runs_one_of_two() -> None:
    def f(x: Any) -> Any:
        return pb.cond(x[0] > 2.0, lambda a: {"y": a * 2.0, "n": 1}, lambda a: {"y": a - 1.0, "n": 2}, x)

    agree(f, X)
    agree(f, X + 3.0)
    assert "if" in operations(traced(f, X).function)


def test_cond_of_a_known_condition_is_plain() -> None:
    def f(x: Any) -> Any:
        return pb.cond(True, lambda a: a * 2.0, lambda a: a.undefined, x)

    assert "if" not in operations(traced(f, X).function)
    agree(f, X)


def test_cond_promotes_numbers() -> None:
    def f(x: Any) -> Any:
        return pb.cond(x[0] > 2.0, lambda: 1, lambda: x[1])

    assert run(f, X) == 2.0
    assert run(f, X + 2.0) == 1.0


def test_cond_of_different_shapes() -> None:
    def f(x: Any) -> Any:
        return pb.cond(x[0] > 2.0, lambda: x, lambda: x[:2])

    with pytest.raises(ArgumentError, match=r"f64\[5\] after one branch .* f64\[2\] after the other"):
        traced(f, X)


def test_fori_loop_with_a_computed_bound() -> None:
    def f(x: Any, n: Any) -> Any:
        return pb.fori_loop(0, n, lambda i, v: v + x[i] * i, 0)

    assert operations(traced(f, X, 3).function).count("for") == 1
    for n in (1, 4, 5):
        agree(f, X, n)
    assert run(f, X, 0) == 0.0


def test_fori_loop_records_its_body_once() -> None:
    calls = []

    def body(i: Any, v: Any) -> Any:
        calls.append(i)
        return np.exp(-v)

    agree(lambda x: pb.fori_loop(0, 1000, body, x), X)
    assert len(calls) == 1001


def test_while_loop() -> None:
    def f(x: Any) -> Any:
        return pb.while_loop(lambda s: np.sum(s[0]) < 100.0, lambda s: (s[0] * 1.5, s[1] + 1), (x, 0))

    agree(f, X)
    agree(f, X * 100.0)


@pytest.mark.parametrize("reverse", [False, True])
def test_scan(reverse: bool) -> None:
    def f(x: Any, w: Any) -> Any:
        def step(carry: Any, each: Any) -> Any:
            number, row = each
            return carry + number * row, {"c": carry, "p": number * carry[0]}

        return pb.scan(step, np.zeros(3), (x, w), reverse=reverse)

    w = np.arange(15.0).reshape(5, 3)
    agree(f, X, w)
    assert operations(traced(f, X, w).function).count("for") == 1


def test_scan_without_xs_and_without_ys() -> None:
    agree(lambda x: pb.scan(lambda c, _: (c * 2.0, None), x, None, length=3), X)


def test_nested_loops() -> None:
    def f(x: Any, n: Any) -> Any:
        def outer(i: Any, total: Any) -> Any:
            return pb.fori_loop(0, i + 1, lambda j, t: t + x[j] * x[i], total)

        return pb.fori_loop(0, n, outer, 0)

    agree(f, X, 4)


def test_closures_and_nested_derivatives() -> None:
    def f(x: Any, n: Any) -> Any:
        slope = pb.grad(lambda y: np.sum(y * y * x))
        return pb.fori_loop(0, n, lambda i, y: y - 0.01 * slope(y), x)

    y = X.copy()
    for _ in range(3):
        y = y - 0.02 * y * X
    np.testing.assert_allclose(run(f, X, 3), y, rtol=1e-14)


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan(size: int, reverse: bool) -> None:
    x = np.arange(1.0, 2.0 * size + 1.0).reshape(2, size)
    expected = np.cumsum(x[:, ::-1], axis=1)[:, ::-1] if reverse else np.cumsum(x, axis=1)

    def f(x: Any) -> Any:
        return pb.associative_scan(np.add, x, reverse=reverse, axis=1)

    np.testing.assert_allclose(f(x), expected)
    np.testing.assert_allclose(run(f, x), expected)


def test_associative_scan_of_pairs() -> None:
    def f(a: Any, b: Any) -> Any:
        return pb.associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (a, b))

    a, b = np.linspace(0.5, 1.5, 7), np.linspace(-1.0, 1.0, 7)
    y, expected = 0.0, []
    for factor, offset in zip(a, b, strict=True):
        y = factor * y + offset
        expected.append(y)
    np.testing.assert_allclose(run(f, a, b)[1], expected)


def test_loop_whose_shape_changes() -> None:
    with pytest.raises(CarryError, match=r"init_val is f64\[5\] before the loop and f64\[10\] after an iteration"):
        traced(lambda x, n: pb.fori_loop(0, n, lambda i, v: np.concatenate([v, v]), x), X, 3)
    with pytest.raises(CarryError, match=r"init_val\[0\] is f64\[5\] before the loop and 'a' after"):
        traced(lambda x, n: pb.fori_loop(0, n, lambda i, v: ("a", v[1]), (x, x)), X, 3)


def test_value_that_leaves_its_loop() -> None:
    found = []

    def f(x: Any, n: Any) -> Any:
        pb.fori_loop(0, n, lambda i, v: (operator.iadd(found, [v * 2.0]), v)[1], x)
        return found[0]

    with pytest.raises(TraceError, match="inside of a loop or branch is used outside of it"):
        traced(f, X, 3)


def test_scan_of_unequal_sizes() -> None:
    with pytest.raises(ArgumentValueError, match=r"numbers of steps differ \(xs\[0\]: 5, xs\[1\]: 4\)"):
        pb.scan(lambda c, x: (c, x), 0.0, (X, X[1:]))
    with pytest.raises(ArgumentError, match="xs or a length"):
        pb.scan(lambda c, x: (c, x), 0.0)
