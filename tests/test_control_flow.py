"""Python's own control flow in traced functions: the same results as Python gives, loops that stay loops."""
from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from traced import agree, run, traced

import pullback as pb
from pullback.ir.core import walk
from pullback.tracer import rewrite

X = np.arange(6.0) - 2.0


def count(fun: Any, *args: Any) -> dict[str, int]:
    """How often each operation occurs, regions included."""
    found: dict[str, int] = {}
    for operation in walk(traced(fun, *args).function.body):
        found[operation.op.name] = found.get(operation.op.name, 0) + 1
    return found


# Branches


def sign_of(x: float) -> float:
    if x > 0.0:
        y = x * 2.0
    elif x < -1.0:
        y = -x
    else:
        y = 0.0
    return y


def early(x: float) -> float:
    if x > 2.0:
        return x
    x = x + 1.0
    if x < 0.0:
        return -x
    if x == 0.0:
        return 7.0
    return x * x


def nested_early(x: float, y: float) -> float:
    if x > 0.0:
        if y > 0.0:
            return x * y
        z = y - 1.0
        if z < -3.0:
            return z
    else:
        z = x
    return z + 0.5


def conditions(x: float, y: float) -> Any:
    a = x > 0.0 and y > 0.0
    b = x > 0.0 or y > 0.0
    c = not x > 0.0
    d = -1.0 < x <= y < 3.0
    e = x if x > y else y
    f = x and y
    g = x or y
    return a, b, c, d, e, f, g, 1.0 if x else 2.0


@pytest.mark.parametrize("x", [-3.0, -1.0, -0.5, 0.0, 1.5, 3.0])
def test_branches(x: float) -> None:
    agree(sign_of, x)
    agree(early, x)
    for y in (-4.0, 0.0, 2.0):
        agree(nested_early, x, y)
        agree(conditions, x, y)


def test_known_conditions_stay_python() -> None:
    def f(x: Any, scale: Any = None) -> Any:
        if scale is None:
            scale = 2.0
        kind = "a" if isinstance(x, np.ndarray) and x.ndim == 1 else "b"
        if kind == "a" and 0 < len(x) < 10:
            return x * scale
        raise AssertionError

    agree(f, X)
    assert set(count(f, X)) <= {"mul", "full", "broadcast"}


def test_second_operand_is_not_computed_in_vain() -> None:
    def f(x: Any, i: Any) -> Any:
        return 1.0 if i < 6 and x[i] > 0.0 else 2.0

    for i in (0, 5, 6, 100):
        agree(f, X, i)


def test_loop_with_an_exit_inside_of_a_branch() -> None:
    def f(x: Any, n: int) -> Any:
        s = 0.0
        if x[0] > 0.0:
            for i in range(n):
                if x[i] > 2.0:
                    break
                if x[i] < 1.0:
                    continue
                s = s + x[i]
        return s

    for x in (X, X + 2.5, -X):
        agree(f, x, 6)


def test_tuples_and_lists_and_dicts_in_branches() -> None:
    def f(x: Any) -> Any:
        if x[0] > 0.0:
            pair, named = (x, 1.0), {"a": [x[1], 2.0]}
        else:
            pair, named = (x + 1.0, 2.0), {"a": [x[2], 3.0]}
        return pair, named

    agree(f, X)
    agree(f, -X)


def test_variable_of_one_branch_only() -> None:
    def f(x: float) -> float:
        if x > 0.0:
            inner = x * 2.0
            y = inner + 1.0
        else:
            y = x
        return y

    agree(f, 1.0)
    agree(f, -1.0)


# Loops


def total(x: Any, n: int) -> Any:
    s = 0
    for i in range(n):
        s = s + x[i] * i
    return s


def backward(x: Any, n: int) -> Any:
    s = 0.0
    for i in range(n - 1, -1, -1):
        s = s * 0.5 + x[i]
    for i in range(0, n, 2):
        s = s + x[i]
    return s


def halves(x: float) -> Any:
    steps = 0
    while x > 1.0:
        x = x / 2.0
        steps += 1
    else:
        steps += 10
    return x, steps


def newton(a: float) -> float:
    x = a
    while True:
        new = 0.5 * (x + a / x)
        if abs(new - x) < 1e-12:
            break
        x = new
    return new


def bisect(a: float) -> Any:
    low, high = 0.0, a
    for k in range(200):  # noqa: B007
        middle = 0.5 * (low + high)
        if high - low < 1e-9:
            break
        if middle * middle > a:
            high = middle
        else:
            low = middle
    else:
        k = -1
    return middle, k


def find(x: Any, wanted: float) -> int:
    for i in range(6):
        if x[i] == wanted:
            return i
    return -1


def skip(x: Any, n: int) -> Any:
    s = 0.0
    i = 0
    while i < n:
        i += 1
        if x[i - 1] < 0.0:
            continue
        if x[i - 1] > 2.0:
            break
        s += x[i - 1]
    else:
        s = s + 100.0
    return s, i


@pytest.mark.parametrize("n", [1, 3, 6])
def test_loops_with_computed_bounds(n: int) -> None:
    for fun in (total, backward, skip):
        agree(fun, X, n)
    assert count(total, X, n)["for"] == 1


def test_loop_that_may_not_run() -> None:
    assert run(total, X, 0) == 0.0
    assert run(backward, X, 0) == 0.0
    agree(skip, X, 0)


@pytest.mark.parametrize("x", [0.5, 1.0, 7.0, 100.0])
def test_while_loops(x: float) -> None:
    agree(halves, x)
    agree(newton, x)
    agree(bisect, x)
    assert count(newton, x)["while"] == 1


@pytest.mark.parametrize("wanted", [-2.0, 0.0, 3.0, 9.0])
def test_return_out_of_a_loop(wanted: float) -> None:
    agree(find, X, wanted)


def test_long_loops_stay_loops_and_short_ones_do_not() -> None:
    def f(x: Any) -> Any:
        for _ in range(1000):
            x = x * 0.99 + np.exp(-x)
        return x

    def g(x: Any) -> Any:
        for _ in range(3):
            x = x * 0.5
        return x

    agree(f, X)
    agree(g, X)
    assert count(f, X)["for"] == 1
    assert sum(count(f, X).values()) < 20
    assert "for" not in count(g, X)


def test_rows_of_arrays() -> None:
    table = np.arange(60.0).reshape(20, 3)

    def f(x: Any) -> Any:
        s = 0.0
        for row in x:
            s = s + row * row
        for i, (a, b) in enumerate(zip(x, table)):  # noqa: B905
            s = s + a * b * i
        for a in reversed(x):
            s = 0.5 * s + a
        for k in reversed(range(20)):
            s = s + table[k]
        return s

    agree(f, np.cos(table))
    assert count(f, table)["for"] == 4


def test_loop_variable_after_the_loop() -> None:
    def f(x: Any, n: int) -> Any:
        for i in range(20):  # noqa: B007
            x = x * 0.9
        for j in range(n):
            x = x + j
        return x, i, j

    agree(f, X, 4)


def test_lists_as_state() -> None:
    def rk4(y: Any, h: float) -> Any:
        def f(y: Any) -> Any:
            return [y[1], -y[0] + 0.1 * y[1] * (1.0 - y[0] * y[0])]

        for _ in range(50):
            k1 = f(y)
            k2 = f([a + 0.5 * h * b for a, b in zip(y, k1)])  # noqa: B905
            k3 = f([a + 0.5 * h * b for a, b in zip(y, k2)])  # noqa: B905
            k4 = f([a + h * b for a, b in zip(y, k3)])  # noqa: B905
            y = [y[i] + h / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]) for i in range(2)]
        return y

    agree(rk4, [1.0, 0.5], 0.05)
    assert count(rk4, [1.0, 0.5], 0.05)["for"] == 1


def test_list_that_grows_is_written_out() -> None:
    def f(x: Any) -> Any:
        seen = []
        for i in range(12):
            x = x * 0.5
            if i % 3 == 0:
                seen.append(x)
        return np.stack(seen)

    agree(f, X)


def test_counter_that_python_needs_is_written_out() -> None:
    weights = [np.eye(6) * k for k in range(10)]

    def f(x: Any) -> Any:
        for i in range(10):
            x = weights[i] @ x + np.zeros(6)[: i + 1].sum() + x[i // 2]
        return x

    agree(f, X)


def test_nested_loops_and_state_found_late() -> None:
    def f(a: Any, b: Any) -> Any:
        n, m = a.shape
        best = 0
        for i in range(n):
            s = 0
            for j in range(m):
                t = 0
                for k in range(m):
                    t = t + a[i, k] * b[k, j]
                s = s + t * t
            best = max(best, s)
        return best

    a = np.sin(np.arange(120.0)).reshape(10, 12)
    agree(f, a, np.cos(np.arange(144.0)).reshape(12, 12))
    assert count(f, a, np.eye(12))["for"] == 3


def test_triangular_loop_and_integers() -> None:
    def f(x: Any) -> Any:
        s, odd = 0.0, 0
        for i in range(6):
            for j in range(i):
                s += x[i] * x[j]
            if i % 2 == 1 and i > 0:
                odd += i // 2
        return s, odd

    agree(f, X)


def test_python_numbers_that_become_traced() -> None:
    def f(x: Any) -> Any:
        error, k = 1.0, 0
        while error > 1e-10:
            new = 0.5 * (x + 2.0 / x)
            error = np.abs(new - x)
            x, k = new, k + 1
        return x, k

    agree(f, np.float64(1.0))


def test_plain_loops_stay_plain() -> None:
    def f(x: Any) -> Any:
        size = 0
        for k in range(20):
            size += k
        names = [f"v{k}" for k in range(30) if k % 2]
        for name in names:
            x = x + len(name)
        return x * np.ones(size)[0], len(names)

    agree(f, X)


def test_while_on_a_python_counter_becomes_a_loop() -> None:
    def f(x: Any) -> Any:
        k = 0
        while k < 2000:
            x = x + np.exp(-x) / (k + 1)
            k += 1
        return x, k

    agree(f, X)
    assert count(f, X)["while"] == 1


def test_walrus_in_a_condition() -> None:
    def f(x: float) -> Any:
        steps = 0
        while (y := x * x) > 1.0:
            x = x * 0.5
            steps += 1
        return y, steps

    agree(f, 10.0)
    agree(f, 0.5)


# Functions


def factorial(n: int, x: Any) -> Any:
    if n == 0:
        return 1.0
    return factorial(n - 1, x) * (x + n)


class Cell:
    """Has methods, and private attributes."""

    def __init__(self, rate: float) -> None:
        self.__rate = rate

    def step(self, x: Any) -> Any:
        return x * self.__rate if x.sum() > 0.0 else x

    def __call__(self, x: Any) -> Any:
        if x[0] > 0.0:
            return self.step(x)
        return -x


class Child(Cell):
    def step(self, x: Any) -> Any:
        if x[1] > 0.0:
            return super().step(x)
        return x


def test_functions_that_are_called() -> None:
    def helper(x: Any, limit: float = 1.0, *, scale: float = 2.0) -> Any:
        while x > limit:
            x = x / scale
        return x

    agree(lambda x: helper(x, scale=3.0) + helper(x), 10.0)
    agree(lambda x: functools.partial(helper, limit=2.0)(x), 10.0)
    agree(lambda x: factorial(4, x), 0.5)
    for kind in (Cell, Child):
        agree(kind(3.0), X + 3.0)
        agree(kind(3.0), X)
        agree(kind(3.0).step, X + 1.5)
    agree(lambda x: list(map(lambda y: y if y > 0.0 else -y, [x, -x])), 2.0)  # noqa: C417


def test_two_lambdas_in_a_line() -> None:
    first, second = (lambda x: 1.0 if x > 0.0 else 2.0), (lambda x: 3.0 if x > 0.0 else 4.0)
    assert (run(first, 1.0), run(second, 1.0)) == (1.0, 3.0)
    assert (run(first, -1.0), run(second, -1.0)) == (2.0, 4.0)


def test_lambdas_that_differ_in_constants_only() -> None:
    """Python 3.10 does not say where in a line a lambda stands: then what it compiles to has to tell."""
    pair = (lambda x: x * 2.0 if x > 0.0 else x, lambda x: x * 3.0 if x > 0.0 else x)
    assert [pb.compile_grad(each).grad(1.0) for each in pair] == [2.0, 3.0]
    inner = (lambda x: [(lambda y: y * 0.0)(x)], lambda x: [(lambda y: y * -0.0)(x)])
    texts = (lambda: ["<a>"], lambda: ["<b>"])
    codes = [each.__code__ for each in (*pair, *inner, *texts)]
    assert [[rewrite.same_code(one, other) for other in codes] for one in codes] == np.eye(6, dtype=bool).tolist()
    nested = compile("f = lambda x: [(lambda y: y * 0.0)(x)]", "elsewhere", "exec").co_consts[0]
    assert rewrite.same_code(nested, codes[2])



def test_closures_and_nonlocal() -> None:
    def f(x: float) -> Any:
        calls = 0.0

        def step(y: float) -> float:
            nonlocal calls
            if y > 0.0:
                calls = calls + 1.0
                return y * 0.5
            return y

        for _ in range(3):
            x = step(x)
        return x, calls

    agree(f, 3.0)
    agree(f, -3.0)


def test_builtins() -> None:
    def f(x: Any, n: Any) -> Any:
        a, b = x[0], x[1]
        results = [max(a, b), min(a, b, 0.5), sum(x), sum([a, b]), abs(a), round(a), int(b), float(n), bool(a)]
        results += [math.sin(a), math.sqrt(abs(b)), math.floor(a), math.atan2(a, b), math.log(abs(a) + 1.0, 2.0)]
        results += [any(each > 1.0 for each in x), all([a > b, b > 0.0]), len(x), pow(a, 2), divmod(n, 3)]
        results += [isinstance(a, float), isinstance(n, int), isinstance(x, np.ndarray)]
        return results

    agree(f, X, 7)
    agree(f, -X, -7)
    agree(lambda x: sum(x) + max(x) - min(x), np.cos(np.arange(40.0)))


class State(NamedTuple):
    position: Any
    velocity: Any


def test_scalar_types_are_casts() -> None:
    def f(x: float, n: int) -> Any:
        return np.float32(x) * 2, np.float64(n), np.int64(x), np.bool_(n), np.float64([x, n]) * x, np.float64(2) * np.float64()

    for x in (2.7, -0.3):
        for mine, plain in zip(run(f, x, 3), f(x, 3), strict=True):
            assert mine.dtype == plain.dtype and np.array_equal(mine, plain)


def test_named_tuples_as_state() -> None:
    def f(x: Any, n: int) -> Any:
        state = State(x, 0.0 * x)
        for _ in range(n):
            state = State(state.position + 0.1 * state.velocity, state.velocity - 0.1 * state.position)
        return state

    agree(f, X, 5)


def test_compiled_functions_inside_of_compiled_functions() -> None:
    inner = pb.compile_grad(sign_of)
    assert run(lambda x: inner(x) + 1.0, 2.0) == 5.0
    assert run(lambda x: pb.grad(sign_of)(x), 2.0) == 2.0


def test_docstring_defaults_and_name_are_kept() -> None:
    from pullback.tracer.calls import traceable

    def f(x: Any, y: float = 3.0, *, z: float = 4.0) -> Any:
        """Text."""
        return x if x > y else z

    new = traceable(f)
    assert new is not f
    assert (new.__doc__, new.__name__, new.__defaults__, new.__kwdefaults__) == ("Text.", "f", (3.0,), {"z": 4.0})
    assert new(5.0) == 5.0
    assert new(1.0) == 4.0
