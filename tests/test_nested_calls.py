"""Calls with arguments and results that nest: the same whether by the first way or by the short one, for whatever comes."""
from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import pullback as pb
from pullback.nested_calls import maker, taker
from pullback.tracer.tree import flatten


class Pair(NamedTuple):
    first: Any
    second: Any


@dataclass
class Layer:
    weight: Any
    bias: Any


TREES = [
    {"w": np.ones(2), "b": [1.0, (2.0, None)]}, Pair(1.0, [np.zeros(3)]), Layer(np.ones(1), {"x": 1.0}), [], (), {}, None, 3.0,
    OrderedDict([("z", 1.0), ("a", Pair(2.0, 3.0))]), [Layer(1.0, Layer(2.0, ())), {"k": {}}],
]  # fmt: skip


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_taken_apart_and_put_together(tree: Any) -> None:
    wanted, structure = flatten(tree)
    leaves: list[Any] = []
    assert taker(structure)(tree, leaves)
    assert all(one is two for one, two in zip(leaves, wanted, strict=True))
    made = maker(structure)(iter(leaves))
    assert flatten(made)[1] == structure and repr(made) == repr(tree) and type(made) is type(tree)


@pytest.mark.parametrize("tree", TREES, ids=str)
def test_other_trees_are_not_taken(tree: Any) -> None:
    take = taker(flatten(tree)[1])
    for other in (*TREES, {"b": 1.0, "w": 2.0}, {"w": 1.0}, [1.0], (1.0,), OrderedDict(w=1, b=2), Pair(1.0, 2.0)):
        leaves: list[Any] = []
        same = flatten(other)[1] == flatten(tree)[1]
        if flatten(tree)[1].type is not None:
            assert take(other, leaves) == same, other


def loss(p: dict[str, Any], x: Any, scale: float = 2.0) -> Any:
    return np.sum((p["w"] @ x + p["b"][0]) ** 2) * scale


def test_every_kind_of_call_after_the_first() -> None:
    f = pb.value_and_grad(loss)
    p, x = {"w": np.ones((3, 4)), "b": [np.arange(3.0)]}, np.arange(4.0)
    first, gradient = f(p, x)
    for _ in range(2):
        for arguments, named in (
            ((p, x), {}), ((p, x, 3.0), {}), ((p,), {"x": x}), ((p, x), {"scale": 4.0}), ((p, x[::-1].copy()[::-1]), {}),
            ((OrderedDict(p), x), {}), (({"b": p["b"], "w": p["w"]}, x), {}), (({**p, "b": tuple(p["b"])}, x), {}),
            (({**p, "b": [1.0]}, x), {}), (({"w": np.ones((2, 4)), "b": [np.arange(2.0)]}, x), {}),
            (({**p, "w": p["w"].astype(np.float32)}, x), {}),
        ):  # fmt: skip
            value, found = f(*arguments, **named)
            np.testing.assert_allclose(value, loss(*arguments, **named))
            assert type(found) is type(arguments[0]) and list(found) == list(arguments[0])
    again, same = f(p, x)
    assert again == first
    np.testing.assert_array_equal(same["w"], gradient["w"])
    with pytest.raises(TypeError):
        f(p)


def test_results_nest_and_methods_know_their_instance() -> None:
    class Model:
        def __init__(self, power: int) -> None:
            self.power = power

        @pb.compile_grad
        def f(self, layer: Layer) -> Any:
            return {"sum": np.sum(layer.weight**self.power), "all": Pair(layer.bias, [layer.weight])}

    for power in (2, 3):
        model = Model(power)
        for _ in range(3):
            found = model.f(Layer(np.arange(3.0), 5.0))
            assert found["sum"] == np.sum(np.arange(3.0) ** power)
            assert type(found["all"]) is Pair and found["all"].first == 5.0


def test_names_taken_before_the_first_call_become_fast() -> None:
    f = pb.compile_grad(lambda x: np.sum(x * x))
    before = f.value_and_grad
    f.value_and_grad(np.ones(3))
    assert type(before.__call__).__name__ == "builtin_function_or_method"
    assert before(np.ones(3))[0] == 3.0
    gradient = pb.grad(f)
    assert pb.grad(f)(np.ones(3)).tolist() == gradient(np.ones(3)).tolist() == [2.0, 2.0, 2.0]


def test_in_a_trace_and_with_tensors_after_the_first_call() -> None:
    f = pb.value_and_grad(loss)
    p, x = {"w": np.ones((3, 4)), "b": [np.arange(3.0)]}, np.arange(4.0)
    f(p, x)

    def outer(x: Any) -> Any:
        value, gradient = f({"w": p["w"] * x[0], "b": p["b"]}, x)
        return value + np.sum(gradient["w"])

    found = pb.grad(outer)(x)
    step = 1e-6 * np.eye(4)
    wanted = [(outer(x + each) - outer(x - each)) / 2e-6 for each in step]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
