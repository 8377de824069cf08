"""Compiled functions that assign into their arguments change the caller's arrays, as in NumPy."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import ArgumentValueError, TraceError

Function = Callable[..., Any]


def element(x: Any) -> Any:
    x[0] = 5.0
    return np.sum(x * x)


def loop(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        x[i] *= 2
        total += x[i] * x[i]
    return total


def branch(x: Any) -> Any:
    if x[0] > 0:
        x[1:] += x[0]
    else:
        x[0] = 3.0
    return np.sum(np.sin(x))


def ufuncs(x: Any) -> Any:
    np.add.at(x, [0, 0], 1.5)
    np.sin(x, out=x)
    return np.sum(x * x)


def augmented(x: Any) -> Any:
    x += 1
    x *= x
    return x.sum()


def view(x: Any) -> Any:
    part = x[1:]
    part *= 3
    y = x
    y[0] = part[0] * 2
    return np.prod(x)


def mask(x: Any) -> Any:
    x[x > 1] = 1.0
    return np.sum(x * x * x)


def while_(x: Any) -> Any:
    n = 0
    while x[0] < 11:
        x *= 2
        n += 1
    return np.sum(x) + n


def sorted_(x: Any) -> Any:
    x.sort()
    return np.sum(x * np.arange(3.0))


def nothing_is_nan(x: Any) -> Any:
    x -= np.log(x - 1.5)
    np.nan_to_num(x, copy=False)
    return np.sum(x)


PROGRAMS = [sorted_, element, loop, branch, ufuncs, augmented, view, mask, while_]
ARGUMENTS = [np.array([0.5, 1.5, 2.5]), np.array([1.25, -0.5, 0.75])]


def test_nan_to_num_in_place() -> None:
    x = np.array([0.5, 1.5, 2.5])
    wanted = x.copy()
    with np.errstate(all="ignore"):
        value = nothing_is_nan(wanted)
    assert pb.compile_grad(nothing_is_nan)(x) == value
    np.testing.assert_array_equal(x, wanted)


@pytest.mark.parametrize("f", PROGRAMS)
@pytest.mark.parametrize("x", ARGUMENTS)
def test_a_call_changes_what_python_changes(f: Function, x: np.ndarray) -> None:
    wanted, changed = x.copy(), x.copy()
    value = f(wanted)
    compiled = pb.compile_grad(f)
    for _ in range(2):
        changed = x.copy()
        np.testing.assert_allclose(compiled(changed), value, rtol=1e-14)
        np.testing.assert_allclose(changed, wanted, rtol=1e-14)


@pytest.mark.parametrize("f", PROGRAMS)
@pytest.mark.parametrize("x", ARGUMENTS)
def test_derivatives_are_by_what_was_passed(f: Function, x: np.ndarray) -> None:
    """grad and value_and_grad run the function: they change the argument, and differentiate by what it held before."""
    wanted = x.copy()
    value = f(wanted)
    changed = x.copy()
    found, gradient = pb.value_and_grad(f)(changed)
    np.testing.assert_allclose(found, value, rtol=1e-14)
    np.testing.assert_allclose(changed, wanted, rtol=1e-14)
    again = x.copy()
    np.testing.assert_array_equal(pb.grad(f)(again), gradient)
    np.testing.assert_allclose(again, wanted, rtol=1e-14)
    for place in range(3):
        step = np.zeros(3)
        step[place] = 1e-6
        difference = (f(x + step) - f(x - step)) / 2e-6
        np.testing.assert_allclose(gradient[place], difference, rtol=1e-6, atol=1e-8)


def test_an_output_argument() -> None:
    @pb.compile_grad
    def f(x: Any, out: Any) -> Any:
        for i in range(len(x)):
            out[i] = x[i] ** 2
        return out.sum()

    x, out = np.arange(4.0), np.zeros(4)
    assert f(x, out) == 14.0
    np.testing.assert_array_equal(out, x**2)
    value, gradient = f.value_and_grad(x, out)
    assert value == 14.0
    np.testing.assert_array_equal(gradient, 2 * x)


def test_arrays_in_structures_and_nothing_returned() -> None:
    @pb.compile_grad
    def f(state: Any, by: Any) -> None:
        state["position"] += by * state["speed"][0]

    position = np.ones(3)
    f({"position": position, "speed": [np.arange(3.0)]}, 2.0)
    np.testing.assert_array_equal(position, [1.0, 3.0, 5.0])


@pytest.mark.parametrize("made", [
    lambda x: x[::2], lambda x: np.asfortranarray(x.reshape(2, 4)), lambda x: x[1:].astype(">f8"),
])  # fmt: skip
def test_any_memory_layout(made: Callable[[np.ndarray], np.ndarray]) -> None:
    @pb.compile_grad
    def f(x: Any) -> Any:
        x *= 2
        return x.sum()

    x = made(np.arange(8.0))
    wanted = x * 2
    assert f(x) == wanted.sum()
    np.testing.assert_array_equal(x, wanted)


def test_inside_of_other_compiled_functions() -> None:
    inner = pb.compile_grad(loop)

    @pb.compile_grad
    def f(x: Any) -> Any:
        y = x * 3
        first = inner(y)
        second, gradient = pb.value_and_grad(loop)(y)
        return first + second + np.sum(gradient * y)

    def plain(x: Any) -> Any:
        y = x * 3
        first = loop(y)
        before = y.copy()
        second = loop(y)
        return first + second + np.sum(8 * before * y)

    x = np.array([0.5, 1.5, 2.5])
    np.testing.assert_allclose(f(x), plain(x.copy()), rtol=1e-14)
    np.testing.assert_array_equal(x, [0.5, 1.5, 2.5])


def test_what_cannot_be_changed_is_refused() -> None:
    @pb.compile_grad
    def f(x: Any, y: Any) -> Any:
        x[0] = 1.0
        return np.sum(x * y)

    x = np.arange(4.0)
    with pytest.raises(ArgumentValueError, match=r"(?s)the function changes x, which shares memory with y.*pass y.copy\(\)"):
        f(x[:3], x[1:])
    x.flags.writeable = False
    with pytest.raises(ValueError, match=r"assignment destination is read-only: the function changes x"):
        f(x, np.ones(4))
    np.testing.assert_array_equal(x, np.arange(4.0))


@pytest.mark.parametrize("form", [
    lambda x: pb.jacobian(augmented)(x), lambda x: pb.hessian(augmented)(x), lambda x: pb.jvp(augmented, (x,), (x,)),
    lambda x: pb.vmap(augmented)(x.reshape(1, 3)), lambda x: pb.hvp(augmented, (x,), (x,)),
])  # fmt: skip
def test_other_forms_leave_arguments_alone(form: Function) -> None:
    with pytest.raises(TraceError, match=r"(?s)assigning into \w+ would change the caller's array.*copy\(\)"):
        form(np.ones(3))
