"""``x[...]`` in every form that NumPy has, of known and of traced indices: values, gradients, errors."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_support import agree, gradients_agree

import pullback as pb
from pullback.errors import OutOfBoundsError, TraceError

R = np.random.default_rng(5)
X = R.uniform(-2, 2, (5, 4))
T = R.uniform(-2, 2, (3, 5, 4))
PLACES = np.array([0, 3, -1, 2])
ROWS, COLUMNS = np.array([[0], [2], [4]]), np.array([1, -1])
MASK = X > 0

KNOWN: list[Any] = [
    2, -1, (1, 2), (-1, -1), slice(None), slice(1, 3), slice(None, None, -1), slice(4, 0, -2), slice(3, 1), slice(-9, 9),
    (slice(None), 1), (slice(1, None), slice(None, None, 2)), ..., (..., 0), (0, ...), (..., None), None,
    (None, slice(None), None, 2), (slice(None), None), [0, 2], [[0, 1], [2, 3]], [], PLACES, np.abs(PLACES).astype(np.uint8),
    np.array(2),
    np.int8(3), (PLACES, 0), (0, PLACES), (PLACES, PLACES), (PLACES, slice(None, 2)), (slice(None), PLACES),
    (slice(1, 4), [0, -1, 1]),
    (ROWS, COLUMNS), (ROWS, slice(None)), (PLACES[:, None], None, 1), (None, PLACES), (PLACES, None),
    (slice(None), [True, False, True, True]),
    MASK, MASK[:, 0], (slice(None), MASK[0]), (MASK[:, 0], 1), (2, MASK[2]), [True, False, False, True, True],
    np.ix_([0, 2], [1, 3]), (np.array([], int), 1), (slice(0, 0), 1), np.zeros((5, 4), bool),
]  # fmt: skip
DEEPER: list[Any] = [
    1, (0, 1, 2), (slice(None), PLACES), (0, slice(None), PLACES), (slice(None), 1, PLACES),
    (PLACES[:3] % 3, slice(None), PLACES[:3]),
    ([0, 2], slice(1, 3), [1, 2]), (..., PLACES), (PLACES[:2] % 2, ..., PLACES[:2]), (None, [0, 1], slice(None), [2, 3]),
    (slice(None), MASK), ([0, 1, 2], 1), (0, MASK), (slice(None), ROWS, COLUMNS), (ROWS % 3, slice(None), COLUMNS),
    (1, slice(None), [3, 0]), ([1], 2, slice(None)), (slice(None), 2, None, [1, 0]), (PLACES % 3, PLACES, PLACES), (0, ..., 1),
]  # fmt: skip


def identify(index: Any) -> str:
    return str(index).replace("\n", "")


def test_known_indices() -> None:
    agree([lambda x, t, index=index: x[index] for index in KNOWN], (X, T))
    agree([lambda x, t, index=index: t[index] for index in DEEPER], (X, T))
    agree([lambda x, t, index=index: x.astype(np.int8)[index] for index in KNOWN[::3]], (X, T))


def test_gradients_of_known_indices() -> None:
    cases = [index for index in KNOWN if X[index].size]
    gradients_agree(lambda x: np.concatenate([np.ravel(np.sin(x[index])) for index in cases]), X)
    gradients_agree(lambda t: np.concatenate([np.ravel(t[index] ** 2) for index in DEEPER]), T)


def test_traced_indices() -> None:
    """Integers and arrays that the function computes or is given; negative ones count from the end."""
    agree(
        [
            lambda x, t, i, k: (x[k], x[i], x[i, k], x[k, i], x[i, i], x[:, k], x[:, i], x[i, 1:3]),
            lambda x, t, i, k: (x[i[:, None], COLUMNS], x[i, None], t[k - 1, :, i], t[:, i, k], x[i % 3, 1], x[-k]),
            lambda x, t, i, k: (x[np.argmax(x, 0)], x[np.argmax(x, 0), np.arange(4)], x[np.int8(1) * i], t[0][i]),
            lambda x, t, i, k: (x[[k, 0, 1]], x[k, [k, k]], x.ravel()[i], t[..., k], x[i.astype(np.uint8) % 4]),
        ],
        (X, T, PLACES, 1),
    )  # fmt: skip


def test_gradients_of_traced_indices() -> None:
    compiled = pb.compile_grad(lambda x, i: np.sum(x[i] * np.arange(16.0).reshape(4, 4)) + np.sum(x[i, i % 4] ** 2))
    wanted = np.zeros_like(X)
    np.add.at(wanted, PLACES, np.arange(16.0).reshape(4, 4))
    np.add.at(wanted, (PLACES, PLACES % 4), 2 * X[PLACES, PLACES % 4])
    np.testing.assert_allclose(compiled.grad(X, PLACES), wanted)


@pytest.mark.parametrize(
    ("index", "error", "text"),
    [
        (7, OutOfBoundsError, "index 7 is out of bounds for axis 0 with size 5"),
        ((0, -5), OutOfBoundsError, "index -5 is out of bounds for axis 1 with size 4"),
        ([0, 9], OutOfBoundsError, "index 9 is out of bounds for axis 0 with size 5"),
        ((0, 0, 0), OutOfBoundsError, "too many indices for array: array is 2-dimensional, but 3 were indexed"),
        ((..., ...), OutOfBoundsError, "an index can only have a single ellipsis"),
        (1.5, OutOfBoundsError, "only integers, slices"), ("a", OutOfBoundsError, "only integers, slices"),
        (np.array([1.0]), OutOfBoundsError, "arrays used as indices must be of integer"),
        (np.ones(3, bool), OutOfBoundsError, "boolean index did not match indexed array along axis 0; size of axis is 5"),
        ((slice(None), np.ones(5, bool)), OutOfBoundsError, "along axis 1; size of axis is 4 but size of corresponding"),
        (True, TraceError, "indexing by a single bool"),
    ],
    ids=identify,
)  # fmt: skip
def test_wrong_indices(index: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        pb.compile_grad(lambda x: x[index])(X)
    assert text in str(raised.value)
    assert "test_numpy_indexing.py" in str(raised.value)


@pytest.mark.parametrize(
    "function", [lambda x, i: x[i], lambda x, i: x[0, i], lambda x, i: x[i, i], lambda x, i: np.take(x, i, axis=0)]
)
def test_traced_index_out_of_bounds(function: Any) -> None:
    """Found when the compiled code runs, with the line."""
    compiled = pb.compile_grad(function)
    for index in (np.array([0, 5]), np.array([-6, 1])):
        with pytest.raises(OutOfBoundsError) as raised:
            compiled(X[:5], index)
        assert "out of bounds" in str(raised.value) and "test_numpy_indexing.py" in str(raised.value)
    compiled(X, np.array([0, 3]))


def test_traced_mask_and_slice_say_what_to_do() -> None:
    for function, help in (
        (lambda x, k: x[x > 0], "np.where(mask, x, 0)"), (lambda x, k: x[1:k], "a slice as x[i:i + 3]"),
        (lambda x, k: x[x], ""),
    ):  # fmt: skip
        with pytest.raises((TraceError, OutOfBoundsError)) as raised:
            pb.compile_grad(function)(X, 2)
        assert help in raised.value.help
