"""`assert` and `raise` inside compiled functions: what Python raises for the same arguments, compiled code raises."""
from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import raising_programs
from raising_programs import (
    ARGUMENTS,
    PROGRAMS,
    before_a_loop_without_end,
    in_a_long_loop,
    in_a_loop,
    in_a_while,
    one_side,
    other_side,
    positive,
    with_text,
)
from traced import operations, run, traced

import pullback as pb
from pullback.errors import CheckError, TraceError
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.passes.pipeline import simplify
from pullback.ir.print import print_function

Function = Callable[..., Any]


def outcome(f: Function, *arguments: Any) -> Any:
    """What a call gives: its value, or the exception's type and arguments."""
    try:
        return f(*arguments)
    except Exception as error:
        cause = error.__cause__
        return type(error), [repr(each) for each in error.args], vars(error), type(cause), getattr(cause, "args", ())


def is_failure(found: object) -> bool:
    return isinstance(found, tuple) and len(found) == 5 and isinstance(found[0], type)


def same(found: Any, wanted: Any) -> None:
    """Two outcomes are the same."""
    if not is_failure(wanted):
        assert not is_failure(found), found
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
    elif issubclass(wanted[0], IndexError):
        assert issubclass(found[0], IndexError)
    else:
        assert found == wanted


@pytest.mark.parametrize("f", PROGRAMS)
def test_compiled_code_raises_what_python_raises(f: Function) -> None:
    compiled = pb.compile_grad(f)
    failures = 0
    for x in ARGUMENTS:
        with np.errstate(all="ignore"):
            wanted = outcome(f, x) if f is not before_a_loop_without_end or x[0] > 0 else outcome(positive, x)
        same(outcome(compiled, x), wanted)
        failed = is_failure(wanted)
        failures += failed
        found = outcome(compiled.value_and_grad, x)
        same(found if failed else found[0], wanted)
        gradient = outcome(compiled.grad, x)
        forward = outcome(lambda at: pb.jvp(f, (at,), (np.array([1.0, 2.0, 3.0]),)), x)
        if failed:
            same(gradient, wanted)
            same(forward, wanted)
        else:
            np.testing.assert_allclose(forward[1], gradient @ [1.0, 2.0, 3.0], rtol=1e-12)
    assert 0 < failures < len(ARGUMENTS)


@pytest.mark.parametrize("f", PROGRAMS)
def test_the_interpreter_raises_what_python_raises(f: Function) -> None:
    made = traced(f, ARGUMENTS[0]).function
    simplify(made)
    for x in ARGUMENTS:
        if f is before_a_loop_without_end and x[0] <= 0:
            continue
        with np.errstate(all="ignore"):
            wanted = outcome(f, x)
        found = outcome(lambda at: interpret(made, [at])[0], x)
        same(found, wanted)


def test_values_are_run_as_read_from_text() -> None:
    x = np.array([1.0, 2.0])
    assert run(one_side, x) == one_side(x)
    with pytest.raises(CheckError, match=r"ValueError\('negative', <0>\)"):
        run_on(one_side, x, -x)


def run_on(f: Function, sample: np.ndarray, x: np.ndarray) -> Any:
    """A function traced for one argument, read from its text, and run on another."""
    function = parse_function(print_function(traced(f, sample).function))
    return interpret(function, [x])


def test_a_side_that_raises_costs_no_branch() -> None:
    """The rest of the function is not in a branch, and the message is no work where nothing fails."""
    made = traced(with_text, ARGUMENTS[0]).function
    simplify(made)
    assert operations(made)[-2:] == ["sqrt", "reduce_sum"]
    assert "reduce_min" not in [operation.op.name for operation in made.body.operations]


def test_the_traceback_ends_on_the_users_line() -> None:
    compiled = pb.compile_grad(in_a_loop)
    with pytest.raises(ValueError, match=r"^element 1 is -2.0e\+00$") as caught:
        compiled(ARGUMENTS[3])
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert last.filename == raising_programs.__file__ and last.name == "in_a_loop"
    assert last.line is not None and last.line.startswith("raise ValueError(f")


def test_each_failing_call_raises_an_exception_of_its_own() -> None:
    compiled = pb.compile_grad(other_side)
    found = [outcome(compiled, np.array([-value, 1.0, 1.0])) for value in (1.0, 2.0)]
    assert [each[1] for each in found] == [["'negative: -1.0'"], ["'negative: -2.0'"]]
    assert found[0][2] == {"what": "negative"}


def test_messages_of_threads_do_not_mix() -> None:
    compiled = pb.compile_grad(one_side)
    compiled(np.ones(3))
    wrong: list[object] = []

    def work(number: int) -> None:
        x = np.array([-float(number), 1.0, 1.0])
        for _ in range(200):
            found = outcome(compiled, x)
            if found[1] != ["'negative'", f"np.float64({-float(number)})"]:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_checks_hold_for_every_case_of_a_batch() -> None:
    many_at_once = pb.vmap(one_side)
    x = np.abs(np.random.default_rng(3).normal(size=(5, 3)))
    np.testing.assert_allclose(many_at_once(x), [one_side(each) for each in x])
    x[3, 0] = -1.0
    with pytest.raises(ValueError, match="negative"):
        many_at_once(x)


@pytest.mark.parametrize("f", [in_a_long_loop, in_a_while, in_a_loop])
def test_checks_in_loops_with_a_memory_budget_and_second_derivatives(f: Function) -> None:
    small = pb.compile_grad(f, memory_budget=1000)
    plain = pb.compile_grad(f)
    x, bad = np.array([0.1, 0.5, 0.2]), np.array([40.0, -50.0, -1.0])
    if f is in_a_while:
        bad = np.array([1.0, -3.0, 0.0])
    np.testing.assert_array_equal(small.grad(x), plain.grad(x))
    assert is_failure(outcome(f, bad))
    for g in (small.grad, plain.hessian, lambda at: pb.hvp(f, (at,), (at,))):
        assert is_failure(outcome(g, bad)), g
        assert not is_failure(outcome(g, x)), g


def test_checkpoint_runs_checks() -> None:
    def f(x: Any) -> Any:
        return np.sum(pb.checkpoint(one_side)(x) * x)

    compiled = pb.compile_grad(f)
    assert not is_failure(outcome(compiled.grad, np.ones(3)))
    assert outcome(compiled.grad, -np.ones(3))[0] is ValueError


def test_conditions_on_known_values_are_pythons() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        assert x.ndim == 1, "one axis"
        if x.size > 2:
            raise ValueError("long")
        return np.sum(x)

    assert f(np.ones(2)) == 2
    with pytest.raises(AssertionError, match=r"^one axis$"):
        f(np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"^long$"):
        f(np.ones(3))


def test_a_branch_that_fails_without_raise_is_refused() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        if x[0] < 0:
            return {}["missing"]
        return np.sum(x)

    with pytest.raises(TraceError, match=r"(?s)a branch raises KeyError: 'missing'.*help:") as caught:
        f(np.ones(2))
    assert isinstance(caught.value.__cause__, KeyError) and "if x[0] < 0" in str(caught.value)


def test_assert_inside_of_try_is_refused() -> None:
    @pb.compile_grad
    def f(x: np.ndarray) -> np.floating:
        try:
            assert x[0] > 0
        except AssertionError:
            return x[1]
        return np.sum(x)

    with pytest.raises(TraceError, match=r"(?s)inside of try.*help:"):
        f(np.ones(2))


def _no_rest(x: np.ndarray) -> np.floating:
    if x.ndim != 1:
        raise ValueError("one axis")
    else:
        return np.sum(x)


def _elif(x: np.ndarray) -> np.floating:
    if x.ndim == 2:
        raise ValueError("two axes")
    elif x.ndim == 3:
        raise ValueError("three axes")
    y = x * 2
    return np.sum(y)


def _nested(x: np.ndarray) -> np.floating:
    if x.ndim > 1:
        if x.ndim == 2:
            raise ValueError("two axes")
        raise ValueError("more axes")
    y = x * 2
    if x.size == 0:
        raise ValueError("empty")
    return np.sum(y)


def _in_loop(x: np.ndarray) -> np.floating:
    total = 0.0
    for i in range(x.size):
        if x.ndim != 1:
            raise ValueError("one axis")
        total += x[i]
    return total


def _in_with(x: np.ndarray) -> np.floating:
    with np.errstate(all="ignore"):
        if x.ndim != 1:
            raise ValueError("one axis")
        return np.sum(x)


def _no_result(x: np.ndarray) -> tuple[None, np.floating]:
    def check(size: int) -> None:
        if size != 1:
            raise ValueError("one axis")
        x.sum()

    return check(x.ndim), np.sum(x)


@pytest.mark.parametrize("f", [_no_rest, _elif, _nested, _in_loop, _in_with, _no_result])
def test_what_follows_a_raise_keeps_its_result(f: Function) -> None:
    compiled = pb.compile_grad(f)
    one, two = np.arange(3.0), np.ones((2, 2))
    assert compiled(one) == f(one)
    with pytest.raises(ValueError, match=r"axis|axes"):
        compiled(two)
