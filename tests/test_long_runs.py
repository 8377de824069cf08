"""Long runs of single numbers are cut into functions: the same bits come out, whatever lies in the run."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import body, jit, parts


def chain(x: Any, count: int = 420) -> Any:
    """Products and sums of what lies far back, numbers from memory, and elementary functions now and then."""
    values = [x[0], x[1], x[2]]
    for number in range(count):
        if number % 10 == 7:
            values.append(np.tanh(values[-1] + values[number // 2]))
        elif number % 3 == 0:
            values.append(values[-1] * 0.9 + values[number // 2] * values[number // 3])
        elif number % 3 == 1:
            values.append(np.where(values[-1] > values[-3], values[-1] * 0.8, -values[-3]))
        else:
            values.append(0.7 * values[-2] - x[number % 3] * values[-1])
    return values[-1] + values[5] * values[count // 2]


def indexed(x: Any, places: Any) -> Any:
    """Computed indices, which may fail, between long pieces."""
    total = chain(x, 200)
    picked = x[places[0]] * total
    return chain(x * picked, 200) + x[places[1]] + picked


def repeated(x: Any, trips: Any) -> Any:
    """A long run in the body of a loop that keeps a tape."""
    total = 0.0
    for _ in range(trips):
        total = total * 0.5 + chain(x * (1.0 + 0.01 * total), 200)
    return total


def guarded(x: Any) -> Any:
    """A check between long pieces."""
    first = chain(x, 200)
    assert first < 1e6, first
    return chain(x, 300) * first


X = np.array([0.3, -0.7, 0.9])
CASES = {
    "chain": (chain, (X,)), "indexed": (indexed, (X, np.array([2, 1]))), "repeated": (repeated, (X, 3)),
    "guarded": (guarded, (X,)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_cut_runs_give_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    f, args = CASES[name]
    # Short, so that many values go from one part to another through memory and places are used again.
    monkeypatch.setattr(parts, "PART", 23)
    monkeypatch.setattr(body, "LONGEST_RUN", 50)
    cut = pb.compile_grad(f)
    value, gradient = cut.value_and_grad(*args)
    assert cut.stats()["value_and_grad"]["kernels"] > 10
    monkeypatch.setattr(body, "LONGEST_RUN", 10**9)
    whole_value, whole_gradient = pb.compile_grad(f).value_and_grad(*args)
    assert value == whole_value
    np.testing.assert_allclose(value, f(*args), rtol=1e-12)
    np.testing.assert_array_equal(gradient, whole_gradient)


def test_a_long_run_is_cut() -> None:
    made = pb.compile_grad(chain)
    value, gradient = made.value_and_grad(X)
    np.testing.assert_allclose(value, chain(X), rtol=1e-12)
    assert made.stats()["value_and_grad"]["kernels"] > 5
    step = 1e-6
    for place in range(3):
        shift = step * (np.arange(3) == place)
        np.testing.assert_allclose(gradient[place], (chain(X + shift) - chain(X - shift)) / (2 * step), rtol=1e-4, atol=1e-7)


def plain(x: Any, count: int = 1300) -> Any:
    """Nothing but sums, differences and products, in no pattern that a loop could follow."""
    values = [x[0], x[1], x[2]]
    for number in range(count):
        first, second = values[(number * 7919) % len(values)], values[(number * 104729 + 3) % len(values)]
        match number % 11 % 4:
            case 0:
                values.append(first * second + 0.25 * values[-1])
            case 1:
                values.append(values[-1] - 0.5 * first)
            case 2:
                values.append(x[number % 3] * first - second)
            case _:
                values.append(-(values[-1] * x[number % 3]))
    return values[-1] + values[-2] * values[-3]


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each object was compiled without optimizations."""
    found: list[bool] = []
    compiled = jit.compile_object

    def noted(text: str, **options: Any) -> bytes:
        found.append(options.get("plain", False))
        return compiled(text, **options)

    monkeypatch.setattr(jit, "compile_object", noted)
    return found


def test_plain_arithmetic_is_compiled_without_optimizations(levels: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """All of a program that is one block goes into one object; what comes out has the same bits."""
    made = pb.compile_grad(plain)
    value, gradient = made.value_and_grad(X)
    assert levels == [True]
    monkeypatch.setattr(body, "LONGEST_RUN", 10**9)
    levels.clear()
    whole_value, whole_gradient = pb.compile_grad(plain).value_and_grad(X)
    assert levels == [False]
    assert value == whole_value == plain(X) == made(X)
    np.testing.assert_array_equal(gradient, whole_gradient)


def test_what_runs_more_than_once_is_optimized(levels: list[bool]) -> None:
    """A long run beside a loop or a way out: only its parts are compiled without optimizations."""
    rows = np.linspace(0.0, 1.0, 300).reshape(100, 3)

    def beside(x: Any) -> Any:
        return plain(x, 4000) + np.sum(np.cos(rows @ x))

    def after_a_loop(x: Any) -> Any:
        return plain(x * np.mean(np.cos(rows @ x)), 4000)

    def before_a_check(x: Any) -> Any:
        found = plain(x, 4000)
        assert found < 1e300, found
        return found

    for f in (beside, after_a_loop, before_a_check):
        levels.clear()
        value = pb.compile_grad(f)(X)
        assert levels[-2:] == [False, True]
        np.testing.assert_allclose(value, f(X), rtol=1e-12)


def test_an_index_out_of_bounds_is_told_between_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "LONGEST_RUN", 50)
    with pytest.raises(IndexError, match="out of bounds"):
        pb.compile_grad(indexed)(X, np.array([3, 0]))


def tree(spot: Any, up: Any, steps: int = 24) -> Any:
    """An option by backward induction on arrays that get shorter: every step has loops of its own."""
    prices = spot * up ** np.arange(steps, -steps - 1, -2)
    value = np.maximum(100.0 - prices, 0.0)
    for step in range(steps - 1, -1, -1):
        prices = prices[: step + 1] / up
        value = np.maximum(0.99 * (0.4 * value[:-1] + 0.6 * value[1:]), 100.0 - prices)
    return value[0]


def longest_function(llvm: str) -> int:
    return max(len(part.splitlines()) for part in llvm.split("\ndefine ")[1:])


def test_short_nests_of_a_long_function_stand_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """LLVM takes more than linear time in the length of a function."""
    args = 97.0, 1.02
    monkeypatch.setattr(body, "LONGEST_BODY", 10**9)
    whole = pb.compile_grad(tree, argnums=(0, 1))
    value, gradient = whole.value_and_grad(*args)
    assert longest_function(whole.lower(*args).llvm) > 6000
    monkeypatch.setattr(body, "LONGEST_BODY", 200)
    cut = pb.compile_grad(tree, argnums=(0, 1))
    assert cut.value_and_grad(*args) == (value, gradient)
    assert longest_function(cut.lower(*args).llvm) < 2200
    np.testing.assert_allclose(value, tree(*args), rtol=1e-13)
    for place in range(2):
        shift = 1e-6 * (np.arange(2) == place)
        slope = (tree(*(args + shift)) - tree(*(args - shift))) / 2e-6
        np.testing.assert_allclose(gradient[place], slope, rtol=1e-5)
