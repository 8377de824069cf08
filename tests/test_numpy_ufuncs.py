"""Every ufunc on every kind of operand is NumPy's own: promotion by NEP 50, special values, methods, operators."""
from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy_support import agree

import pullback as pb
from pullback.errors import DTypeError, PullbackError
from pullback.tracer.ufuncs import RULES

FLOATS = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 0.3, -0.7, 2.5, -3.0, 1.0])
OTHERS = np.array([1.5, 0.4, -np.inf, 2.0, 0.7, -0.0, np.nan, -2.5, 2.0, -1.0])
INTEGERS, MORE = np.array([0, 1, 5, 7, 3, 120, 2, 9, 4, 6]), np.array([3, 0, 1, 2, 7, 4, 1, 5, 2, 0])
SIGNS = np.array([1, -1, 1, -1, -1, 1, -1, 1, 1, -1])
DTYPES = ("bool", "int8", "uint8", "int16", "int32", "uint32", "int64", "uint64", "float32", "float64")
PYTHON: dict[str, Any] = {"Python float": 0.75, "Python int": 3, "Python bool": True}


def operand(kind: str, second: bool = False) -> Any:
    if kind in PYTHON:
        return PYTHON[kind]
    dtype = np.dtype(kind)
    if dtype.kind == "f":
        return (OTHERS if second else FLOATS).astype(dtype)
    values = MORE if second else INTEGERS
    if dtype.kind == "b":
        return values % 2 == 1
    return (values * SIGNS if dtype.kind == "i" and not second else values).astype(dtype)


def outcome(ufunc: np.ufunc, *operands: Any) -> str:
    """Whether NumPy has a loop for the operands, in dtypes that are supported here."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            result = ufunc(*operands)
        except (TypeError, ValueError):
            return "refused"
    results = result if isinstance(result, tuple) else (result,)
    return "float16" if any(each.dtype == np.float16 for each in results) else "fine"


def check(ufunc: np.ufunc, kinds: list[tuple[str, ...]]) -> None:
    fine = []
    for each in kinds:
        operands = [operand(kind, place == 1) for place, kind in enumerate(each)]
        if outcome(ufunc, *operands) == "fine":
            fine.append(operands)
        else:
            with pytest.raises((DTypeError, PullbackError)):
                pb.compile_grad(lambda *args: ufunc(*args))(*operands)
    flat = [value for operands in fine for value in operands]
    cases = [lambda *args, start=start: ufunc(*args[start : start + ufunc.nin])
             for start in range(0, len(flat), ufunc.nin)]  # fmt: skip
    agree(cases, flat)


@pytest.mark.parametrize("ufunc", [ufunc for ufunc in RULES if ufunc.nin == 1], ids=lambda ufunc: ufunc.__name__)
def test_unary(ufunc: np.ufunc) -> None:
    # NumPy leaves the reciprocal of the integer 0 to the machine.
    kinds = PYTHON if ufunc is np.reciprocal else (*DTYPES, *PYTHON)
    check(ufunc, [(kind,) for kind in kinds])


def test_reciprocal_of_integers() -> None:
    agree([np.reciprocal], [np.array([1, -1, 2, -7, 100])])
    agree([np.reciprocal], [np.array([1, 2, 255], np.uint8)])


PAIRS = [
    ("float64", "float64"), ("float32", "float32"), ("float32", "Python float"), ("Python int", "float32"),
    ("float32", "int64"), ("int64", "int64"), ("int8", "Python int"), ("uint8", "int8"), ("uint8", "uint8"),
    ("bool", "bool"), ("bool", "Python int"), ("Python bool", "uint8"), ("int64", "uint64"), ("uint64", "int64"),
    ("Python float", "int32"), ("int16", "float32"), ("Python float", "Python int"),
]  # fmt: skip
BINARY = [ufunc for ufunc in RULES if ufunc.nin == 2]


@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_binary(ufunc: np.ufunc) -> None:
    check(ufunc, PAIRS)


@pytest.mark.sweep
@pytest.mark.parametrize("ufunc", BINARY, ids=lambda ufunc: ufunc.__name__)
def test_binary_of_all_dtypes(ufunc: np.ufunc) -> None:
    pairs = list(product((*DTYPES, *PYTHON), repeat=2))
    for start in range(0, len(pairs), 20):
        check(ufunc, pairs[start : start + 20])


X = np.random.default_rng(4).uniform(-2, 2, (3, 4))
N = np.random.default_rng(4).integers(0, 9, (3, 4))
A = np.arange(3.0)
REDUCIBLE = (np.add, np.multiply, np.maximum, np.minimum, np.fmax, np.fmin, np.logical_and, np.logical_or,
             np.logical_xor, np.logaddexp, np.hypot)  # fmt: skip


@pytest.mark.parametrize("ufunc", REDUCIBLE, ids=lambda ufunc: ufunc.__name__)
def test_reduce_and_accumulate(ufunc: np.ufunc) -> None:
    agree(
        [
            lambda x, n: (ufunc.reduce(x), ufunc.reduce(x, 1), ufunc.reduce(x, axis=-1, keepdims=True)),
            lambda x, n: (ufunc.reduce(x, (0, 1)), ufunc.reduce(x, axis=None), ufunc.reduce(n, 1)),
            lambda x, n: (ufunc.accumulate(x), ufunc.accumulate(x, axis=1), ufunc.accumulate(n, 1)),
            lambda x, n: (ufunc.outer(x, A), ufunc.outer(A, x), ufunc.outer(x[0], n)),
        ],
        (X, N), tolerance=5,
    )  # fmt: skip


def test_methods_with_options() -> None:
    mask = X > 0
    agree(
        [
            lambda x, n: (np.add.reduce(x, where=mask), np.add.reduce(n, dtype=np.float32), np.add.reduce(x, initial=4)),
            lambda x, n: (np.maximum.reduce(x, initial=1.0), np.multiply.reduce(x, 1, where=mask, initial=2)),
            lambda x, n: (np.add.accumulate(n, dtype=np.float64), np.bitwise_or.reduce(n), np.bitwise_and.reduce(n, 1)),
            lambda x, n: (np.bitwise_xor.accumulate(n), np.hypot.reduce(x[:0]), np.logical_and.reduce(x[:0])),
            lambda x, n: (np.multiply.outer(n, n, dtype=np.float32), np.less.outer(x[0], x[1])),
            lambda x, n: (np.add(x, n, dtype=np.float32, casting="unsafe"), np.add(n, n, dtype=np.float64)),
            lambda x, n: (np.sqrt(n, dtype=np.float32), np.multiply(n, 2, dtype=np.uint8, casting="unsafe")),
        ],
        (X, N),
    )  # fmt: skip


OPERATORS = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
INTEGER_OPERATORS = [operator.and_, operator.or_, operator.xor, operator.lshift, operator.rshift]


@pytest.mark.parametrize("apply", [*OPERATORS, divmod], ids=lambda apply: apply.__name__)
def test_operators(apply: Callable[..., Any]) -> None:
    """Either side traced; the other an array, a NumPy scalar, a Python number."""
    others: list[Any] = [np.abs(X) + 0.5, np.float64(1.5), np.float32(2.0), 2, 0.75, True, np.arange(1, 5), N[:, :1] + 1]
    agree([lambda x, other=other: apply(np.abs(x), other) for other in others], (X,))
    agree([lambda x, other=other: apply(other, np.abs(x)) for other in others], (X,))
    agree([lambda x, other=other: apply(other, x) for other in others[:4]], (X.astype(np.float32) + 5,))


@pytest.mark.parametrize("apply", INTEGER_OPERATORS, ids=lambda apply: apply.__name__)
def test_integer_operators(apply: Callable[..., Any]) -> None:
    others: list[Any] = [N[0], np.int64(3), 2, True, np.uint8(5)]
    agree([lambda n, other=other: (apply(n, other), apply(other, n)) for other in others], (N,))


def test_matmul_and_unary_operators() -> None:
    agree([
        lambda x, n, b: (x @ x.T, A @ x, x.T @ A, np.ones((2, 3)) @ x, n @ n.T),
        lambda x, n, b: (-x, +x, abs(x), ~n, ~b, -n, abs(n), divmod(n, 3), divmod(7, n + 1)),
    ], (X, N, X > 0))  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_power_of_one_half_is_the_square_root(dtype: Any) -> None:
    """Of arrays: NumPy takes the root there, and the power for a number."""

    def f(x: Any) -> Any:
        y = x * 1
        y **= 0.5
        return x**0.5, x ** np.float64(0.5).astype(x.dtype), y, x[1] ** 0.5, x[3] ** 0.5

    x = FLOATS.astype(dtype)
    with np.errstate(invalid="ignore"):
        wanted = f(x)
    for found, value in zip(pb.compile_grad(f)(x), wanted, strict=True):
        np.testing.assert_array_equal(found, value)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(value))


WEAK: list[Callable[..., Any]] = [
    lambda i, f, t, a: (a * (f * 2.0), a + (f + i), a * (i / 2), a ** (i - 1), a - f * f - 1, (f < 1) * a),
    lambda i, f, t, a: (i + 1, i / 2, i // 2, i % 2, i**2, i * f, t + t, t * 3, -t, t & t, t | i, ~i, ~t, abs(t)),
    lambda i, f, t, a: (f // 0.5, f % 0.3, f**i, 2**i, i**-1, -f, abs(-f), i << 2, i ^ 5, f > 1, i == 3, 2 - i, 1 / i),
    lambda i, f, t, a: (a * t, np.where(a > 1, i, f), np.maximum(a, f), np.add(f, 1.0), np.multiply(i, 2), np.sqrt(f)),
    lambda i, f, t, a: (np.full_like(a, f), np.clip(a, None, f), np.sum(f), np.float32(2) * f, np.uint8(2) * i),
    lambda i, f, t, a: (divmod(i, 2), divmod(f, 0.4), a[:1] * divmod(f, 0.4)[0], f + True, t < i),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int8])
def test_python_numbers_stay_weak(dtype: Any) -> None:
    """What is computed from Python numbers alone takes the dtype of what it meets, as in plain Python."""
    agree(WEAK, (3, 0.75, True, np.array([1, 2, 3], dtype)))
