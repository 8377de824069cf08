"""Large functions: nothing recurses over operations, and effort grows as their number does."""
from __future__ import annotations

import itertools
import random
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from effort import calls_of

from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.clone import copy_function
from pullback.ir.core import Function
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.passes.dce import count
from pullback.ir.passes.pipeline import simplify
from pullback.ir.print import print_function
from pullback.ir.verify import verify
from pullback.tracer.leaf import leaf_of
from pullback.tracer.trace import trace
from pullback.tracer.tree import flatten

X, Y = np.linspace(0.1, 0.9, 3), np.linspace(1.0, 2.0, 3)


def program(steps: int) -> Callable[..., Any]:
    """Five operations a step, each step of two of the last values: never in the same order, or they would be rolled up."""

    def f(x: Any, y: Any) -> Any:
        choice = random.Random(0)
        last = [x, y]
        for _ in itertools.repeat(None, steps):
            first, second = choice.choice(last), last[-1]
            last = [*last[-6:], (np.sin(first) * second + first / 1.5) * 0.4]
        return np.sum(last[-1])

    return f


def traced(operations: int) -> Function:
    values, structure = flatten(((X, Y), {}))
    leaves = [leaf_of(value, "") for value in values]
    return trace(program(operations // 5), leaves, structure, name="long").function


def through_everything(operations: int) -> dict[str, float]:
    """Trace, print, parse, verify, differentiate in both modes and simplify: seconds of each."""
    seconds = {}

    def timed(name: str, run: Callable[[], Any]) -> Any:
        started = time.process_time()
        result = run()
        seconds[name] = time.process_time() - started
        return result

    function = timed("trace", lambda: traced(operations))
    assert count(function) >= operations
    text = timed("print", lambda: print_function(function))
    back = timed("parse", lambda: parse_function(text))
    timed("verify", lambda: verify(back))
    assert print_function(back) == text
    backward = timed("adjoint", lambda: adjoint(function, [0, 1], seeded=[0]))
    forward = timed("pushforward", lambda: pushforward(function, [0, 1]))
    wanted = interpret(backward, [X, Y])
    timed("simplify", lambda: simplify(backward))
    verify(backward)
    verify(forward)
    for found, each in zip(interpret(backward, [X, Y]), wanted, strict=True):
        np.testing.assert_allclose(found, each, rtol=1e-12, atol=1e-300)
    assert count(function) < count(backward) < 5 * count(function)
    copy_function(backward)
    return seconds


def test_twenty_thousand_operations() -> None:
    """At the default recursion limit, however deep a chain is."""
    assert sys.getrecursionlimit() <= 1000
    through_everything(20_000)


def test_effort_is_linear() -> None:
    """Four times the operations take four times as many calls of functions, Python's and built-in ones."""

    def calls(operations: int) -> int:
        return calls_of(lambda: through_everything(operations))

    calls(100)
    assert calls(4_000) < 4.3 * calls(1_000)


@pytest.mark.sweep
def test_a_hundred_thousand_operations() -> None:
    """In under 30 s all together, on an idle processor of 2021."""
    seconds = through_everything(100_000)
    print({name: round(each, 2) for name, each in seconds.items()}, round(sum(seconds.values()), 1))
    assert sys.getrecursionlimit() <= 1000
