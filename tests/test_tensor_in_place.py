"""Methods that write into their tensor, or into a view of another: gradients as those of the same without writing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pullback as pb

ELEMENTS = [[0.5, 1.5], [2.5, 0.3]]
FACTORS = [[1.2, 0.7], [0.4, 2.0]]
VIEWS: dict[str, Callable[[Any], Any]] = {
    "itself": lambda x: x,
    "row": lambda x: x[1],
    "column": lambda x: x[:, 0],
    "transposed": lambda x: x.t(),
    "flat": lambda x: x.view(-1),
}
METHODS: list[tuple[str, tuple[Any, ...]]] = [
    *((name, ()) for name in ("exp", "log", "log1p", "sqrt", "rsqrt", "sin", "tanh", "sigmoid", "relu", "abs", "reciprocal")),
    ("pow", (2,)), ("pow", (2.5,)), ("clamp", (1.0,)), ("fmod", (2,)), ("remainder", (2,)), ("cumsum", (0,)),
    *((name, ("other",)) for name in ("add", "sub", "mul", "div", "pow", "atan2", "fmod")),
    ("lerp", ("other", 0.3)), ("addcmul", ("other", "other")), ("addcdiv", ("other", "other")),
]  # fmt: skip


def double(numbers: Any) -> Any:
    return pb.tensor(numbers, dtype=pb.float64, requires_grad=True)


def gradients(view: Callable[[Any], Any], write: Callable[[Any, list[Any]], Any], args: tuple[Any, ...]) -> list[Any]:
    x, w = double(ELEMENTS), double(FACTORS)
    y = x * 1
    shown = view(y)
    write(shown, [view(w) if each == "other" else each for each in args])
    assert shown._version == y._version == 1
    (y * y + 2 * y).sum().backward()
    return [[] if each.grad is None else each.grad.flatten().tolist() for each in (x, w)] + [y.flatten().tolist()]


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("name", "args"), METHODS, ids=lambda part: part if isinstance(part, str) else "")
def test_writing_is_what_the_function_gives(name: str, args: tuple[Any, ...], view: str) -> None:
    def aside(shown: Any, operands: list[Any]) -> None:
        shown.copy_(getattr(shown.clone(), name)(*operands))

    expected = gradients(VIEWS[view], aside, args)
    # The first time steps are planned, the second time plans and ways back are followed.
    for _ in range(2):
        found = gradients(VIEWS[view], lambda shown, operands: getattr(shown, name + "_")(*operands), args)
        for one, two in zip(found, expected, strict=True):
            assert one == pytest.approx(two, rel=1e-12)


@pytest.mark.parametrize("name", ["sin", "exp"])
def test_writing_again_without_a_graph_is_seen(name: str) -> None:
    for _ in range(2):
        x = double([0.5, 1.5])
        y = x * 1
        z = (y * y).sum()
        with pb.no_grad():
            getattr(y, name + "_")()
            y.mul_(2)
        assert y._version == 2
        with pytest.raises(RuntimeError, match="is at version 2; expected version 0"):
            z.backward()


def test_a_quotient_may_be_written_to() -> None:
    for _ in range(2):
        x, w = double([2.0, 3.0]), double([4.0, 5.0])
        y = x / w
        y += 1
        y.sum().backward()
        assert x.grad.tolist() == [1 / 4, 1 / 5]
        assert w.grad.tolist() == pytest.approx([-2 / 16, -3 / 25])
    y = double([1.0]) / w[:1]
    z = y.exp()
    z += 1
    with pytest.raises(RuntimeError, match="output 0 of"):
        z.backward()


def test_numbers_asked_for_as_doubles_are_not_rounded_on_the_way() -> None:
    assert pb.tensor([0.1, 0.3], dtype=pb.float64).tolist() == [0.1, 0.3]
    assert pb.tensor([[0.1, 2]]).dtype is pb.tensor([]).dtype is pb.float32
