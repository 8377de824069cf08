"""How many lanes a turn of a loop takes must not show: sums have the same bits in long bodies and in short ones."""
from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.codegen import emit_nest, stages, target


def long_body(x: Any) -> Any:
    return np.tanh(x) * np.exp(-x * x) + np.sin(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(8,), (16,), (24,), (37,), (1000,), (1001,), (7, 40), (40, 7), (3, 5, 64)])
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_sums_of_long_and_short_bodies_are_the_same_bits(dtype: str, shape: tuple[int, ...], axis: int | None) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    values = pb.compile_grad(long_body)(x)
    together = pb.compile_grad(lambda x: (np.sum(long_body(x), axis=axis), np.max(long_body(x), axis=axis)))(x)
    apart = pb.compile_grad(lambda y: (np.sum(y, axis=axis), np.max(y, axis=axis)))(values)
    for left, right in zip(together, apart, strict=True):
        assert np.asarray(left).tobytes() == np.asarray(right).tobytes()


@pytest.mark.parametrize("shape", [(5, 8), (4, 24), (9, 40), (3, 72), (3, 80), (2, 100), (6, 16)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sums_of_rows_are_the_same_bits_where_rows_cannot_be_joined(dtype: str, shape: tuple[int, ...]) -> None:
    """A row vector that is broadcast keeps the rows apart: of whole groups and of others, short ones and long ones."""
    x, row = np.random.default_rng(4).normal(size=shape).astype(dtype), np.linspace(-1, 1, shape[-1]).astype(dtype)
    together = pb.compile_grad(lambda x, row: np.sum(x * row))(x, row)
    apart = pb.compile_grad(np.sum)(x * row)
    assert together.tobytes() == apart.tobytes()


def test_float32_sums_are_folded_once_before_they_are_widened() -> None:
    x = np.random.default_rng(5).normal(size=100_003).astype("float32") + np.float32(0.1)
    exact, size = math.fsum(x.tolist()), math.fsum(np.abs(x).tolist())
    # Two roundings of each four elements, at random, and that of the result.
    assert abs(float(pb.compile_grad(np.sum)(x)) - exact) < 2.0**-24 * (abs(exact) + 2 * size / np.sqrt(x.size / 4))


@pytest.mark.parametrize("width", [16, 32, 64, 128])
def test_every_width_of_registers_gives_the_same_bits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(1).normal(size=203)

    def f(x: Any) -> Any:
        return np.sum(long_body(x)), np.prod(long_body(x) + 1.0), np.min(long_body(x))

    wanted = pb.compile_grad(f)(x)
    lanes = {16: 2, 32: 4, 64: 8, 128: 16}[width]
    monkeypatch.setattr(emit_nest, "turn_lanes", lambda nest: lanes)
    found = pb.compile_grad(f)(x)
    assert [each.tobytes() for each in found] == [each.tobytes() for each in wanted]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [emit_nest.LONG_ROW - 1, emit_nest.LONG_ROW, emit_nest.LONG_ROW + 31])
def test_long_rows_give_the_same_bits(dtype: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn for long rows takes more lanes than a sum has, and the body after it more than one turn elsewhere."""
    x = np.random.default_rng(2).normal(size=(3, size)).astype(dtype)

    def f(x: Any) -> Any:
        y = np.tanh(x) * x
        return y, np.sum(y), np.max(y, axis=1)

    found = pb.compile_grad(f)(x)
    monkeypatch.setattr(emit_nest, "LONG_ROW", 10**9)
    wanted = pb.compile_grad(f)(x)
    assert [each.tobytes() for each in found] == [each.tobytes() for each in wanted]


def staged(x: Any, row: Any, column: Any) -> Any:
    """Several elementary functions: on each other, side by side, with conditions and strides passed on between them."""
    inner = np.exp(-x * x) + row
    outer = np.log1p(inner * inner) * np.tanh(x[:, ::-1] + column)
    small = np.abs(x) < 0.5
    return np.where(small, outer * np.expm1(x), inner - np.sqrt(np.abs(x))), outer > 0.25, inner


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [emit_nest.LONG_ROW + more for more in (-1, 0, 1, 29, stages.STRIP, 700)])
def test_stages_give_the_same_bits(dtype: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(3)
    x, row, column = (random.normal(size=shape).astype(dtype) for shape in ((3, size), (size,), (3, 1)))

    def f(x: Any, row: Any, column: Any) -> Any:
        y, mask, inner = staged(x, row, column)
        return y, mask, np.sum(y), np.sum(inner, axis=1), np.max(y, axis=0), np.any(mask, axis=1)

    def gradients(x: Any, row: Any, column: Any) -> Any:
        return pb.grad(lambda *args: np.sum(staged(*args)[0] ** 2), (0, 1, 2))(x, row, column)

    found = [*pb.compile_grad(f)(x, row, column), *pb.compile_grad(gradients)(x, row, column)]
    monkeypatch.setattr(emit_nest, "LONG_ROW", 10**9)
    wanted = [*pb.compile_grad(f)(x, row, column), *pb.compile_grad(gradients)(x, row, column)]
    assert [each.tobytes() for each in found] == [each.tobytes() for each in wanted]


def test_long_rows_of_several_functions_are_run_in_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """One loop for each elementary function, one for the rest; not where too much would be passed on."""
    x = np.linspace(-1.0, 1.0, emit_nest.LONG_ROW)

    def loops(f: Any) -> int:
        return str(pb.compile_grad(f).lower(x).llvm).count("\nvector")

    def f(x: Any) -> Any:
        return np.tanh(x) * np.exp(x)

    assert loops(f) == 3
    assert loops(lambda x: np.tanh(np.exp(x))) == loops(lambda x: (np.tanh(x), np.exp(x))) == 2
    for alone in (lambda x: np.tanh(x) + x, lambda x: np.sin(x) * np.exp(x), lambda x: np.tanh(x) * np.exp(x) + x**1.7):
        assert loops(alone) == 1
    monkeypatch.setattr(stages, "MOST_PASSED", 1)
    assert loops(f) == 1


def test_registers_are_of_a_known_width() -> None:
    assert target.host().vector_bytes in (16, 32, 64)
