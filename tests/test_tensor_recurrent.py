"""Loops of the user's around tensors: compiled as loops, forward and backward, whatever the number of steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.compiler import optimize
from pullback.ir.core import Function, walk
from pullback.ir.ops.control import For
from pullback.tracer import deferred
from pullback.tracer.deferred import ENGINE


def leaf(*sizes: int, seed: int) -> Any:
    return pb.tensor(np.random.default_rng(seed).normal(size=sizes) * 0.3, dtype=pb.float32).requires_grad_()


def recurrent(steps: int, seed: int) -> tuple[list[Any], Any]:
    """A network with a state, of arrays that are too large to be copied one by one."""
    leaves = [leaf(8, 12, seed=seed), leaf(12, 12, seed=seed + 1), leaf(12, seed=seed + 2)]
    inputs = pb.tensor(np.random.default_rng(9).normal(size=(steps, 6, 8)), dtype=pb.float32)
    state = pb.zeros(6, 12)
    for step in range(steps):
        state = pb.tanh(inputs[step] @ leaves[0] + state @ leaves[1] + leaves[2])
    return leaves, (state * state).mean()


def solver(steps: int, seed: int) -> tuple[list[Any], Any]:
    """A Runge-Kutta method of second order, all states of which are compared with what was measured."""
    leaves = [leaf(2, 20, seed=seed), leaf(20, seed=seed + 1), leaf(20, 2, seed=seed + 2)]
    state, states = pb.tensor(np.random.default_rng(8).normal(size=(40, 2)), dtype=pb.float32), []
    measured = pb.tensor(np.random.default_rng(7).normal(size=(steps, 40, 2)), dtype=pb.float32)

    def slope(y: Any) -> Any:
        return pb.tanh((y**3) @ leaves[0] + leaves[1]) @ leaves[2]

    for _ in range(steps):
        state = state + 0.1 * slope(state + 0.05 * slope(state))
        states.append(state)
    return leaves, (pb.stack(states) - measured).abs().mean()


@pytest.mark.parametrize("program", [recurrent, solver])
def test_steps_become_loops_with_the_same_bits(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Function] = []
    # The compiler is connected when something is computed first.
    pb.ones(2).exp().tolist()
    compile = ENGINE.compile

    def keep(function: Function) -> Any:
        compiled.append(function)
        return compile(function)

    monkeypatch.setattr(ENGINE, "compile", keep)
    found = []
    for _ in range(3):
        leaves, loss = program(41, 0)
        loss.backward()
        found.append([loss.item(), *(each.grad.tolist() for each in leaves)])
    # The first time operation by operation, then as one function.
    assert found[0] == found[1] == found[2]
    whole = [optimize(function) for function in compiled if len(function.body.operations) > 300]
    assert len(whole) == 1
    operations = list(walk(whole[0].body))
    assert sum(isinstance(each.op, For) for each in operations) == 2
    assert len(operations) < 260


def test_operations_are_compiled_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """In what order they are found, from the results down, depends on what reads them."""
    x, y = pb.ones(3), pb.full((3,), 2.0)
    first = x * y
    second = first.exp()
    third = x + y
    graph = deferred._collect([(third * second + first).value])
    names = [operation.op.name for operation in graph.function().body.operations]
    assert names == ["mul", "exp", "add", "mul", "add"]


def test_large_graphs_that_are_no_loops_run_operation_by_operation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "MOST_COMPILED", 150)
    steps = [lambda y, z: y + z, lambda y, z: y * z, lambda y, z: (y - z).tanh(), lambda y, z: y.sin()]
    numbers = np.random.default_rng(0).integers(0, 4, 300).tolist()
    x = leaf(5, seed=1)
    found = []
    for _ in range(3):
        x.grad = None
        values = [x, x * 0.5]
        for number in numbers:
            values.append(steps[number](values[-1], values[-1 - number % len(values)]))
        loss = values[-1].tanh().sum()
        loss.backward()
        found.append((loss.item(), x.grad.tolist()))
    last = next(reversed(ENGINE.graphs.values()))
    assert last.count == 3 and last.is_too_large and last.runner is None
    assert found[0] == found[1] == found[2]
