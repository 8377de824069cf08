"""What cannot be done with elements whose number is only known when the code runs says so, with the line and a way out."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError
from pullback.tracer.chosen.elements import WHAT

from chosen_programs import X  # isort: skip

Function = Callable[..., Any]


def carried(x: Any) -> Any:
    chosen = x[x > 0]
    while np.sum(x) < 10:
        chosen = chosen * 2.0
        x = x + 1.0
    return np.sum(chosen)


def joined(x: Any) -> Any:
    chosen = x[x > 1] if x[0] > 0 else x[x < 1]
    return np.sum(chosen)


def shift(x: Any) -> Any:
    """A number that is only known when the code runs: 4 for X."""
    return np.sum(x > 0)


def flattened_and_written(x: Any) -> Any:
    z = np.outer(x, x)
    part = z[:, : shift(x)].ravel()
    z += 1.0
    return np.sum(part)


def other_places(x: Any) -> Any:
    z = np.zeros(7)
    z[x > 0] = x[x < 0]
    return z


def assigned_to_a_slice(x: Any) -> Any:
    z = np.zeros(7)
    z[:4] = x[x > 0]
    return z


def whole_values(x: Any) -> Any:
    z = np.zeros(7)
    z[x > 0] = x
    return z


TWO = "elements that two masks choose, or slices of different bounds, side by side"
def other_dtype(x: Any) -> Any:
    count = np.flatnonzero(x > 0)
    count += x[x > 0]
    return np.sum(count)


def other_dtype_assigned(x: Any) -> Any:
    z = np.arange(7)
    z[x > 0] += x[x > 0]
    return z


def other_shape(x: Any) -> Any:
    chosen = x[x > 0]
    chosen += np.ones((2, 1))
    return np.sum(chosen)


REFUSED: dict[str, tuple[Function, str, str]] = {
    "returned": (lambda x: x[x > 0], f"the result has {WHAT}", "np.where(mask, x, 0)"),
    "returned places": (lambda x: np.nonzero(x), f"the result[0] has {WHAT}", "np.where(mask, x, 0) and the mask"),
    "other mask": (lambda x: np.sum(x[x > 0] * x[x < 0]), TWO, "name the mask once"),
    "whole array": (lambda x: np.sum(x[x > 0] * x), f"an array of shape [7] together with {WHAT}", "x[mask] * y[mask]"),
    "two unknown axes": (lambda x: np.sum(x[x > 0][:, None] * x[x > 0]), "along two different axes", "np.where(mask, x, 0)"),
    "sort": (lambda x: np.sort(x[x > 0])[0], f"np.sort of {WHAT}", "np.where(mask, x, np.inf) to sort"),
    "median": (lambda x: np.median(x[x > 0]), f"np.median of {WHAT}", "np.where(mask, x, 0)"),
    "diff": (lambda x: np.sum(np.diff(x[x > 0])), f"np.diff of {WHAT}", "np.where(mask, x, 0)"),
    "einsum": (lambda x: np.einsum("i,i", x[x > 0], x[x > 0]), f"np.einsum of {WHAT}", "np.where(mask, x, 0)"),
    "iteration": (lambda x: list(x[x > 0]), f"a loop over the items of {WHAT}", "an if in the loop"),
    "float": (lambda x: float(x[x > 0]), f"float() of {WHAT}", "x[mask][0]"),
    "truth": (lambda x: 1.0 if x[x > 0] else 0.0, f"the truth of {WHAT}", "x.any(), x.all()"),
    "list": (lambda x: x[x > 0].tolist(), f"tolist() of {WHAT}", "return sums"),
    "attribute": (lambda x: x[x > 0].strides, f"the attribute strides of {WHAT}", "np.where(mask, x, 0)"),
    "out": (lambda x: np.add(x[x > 0], 1.0, out=x.copy()), "np.add with out= is not traced", "assign the result instead"),
    "outer": (lambda x: np.sum(np.add.outer(x[x > 0], x)), f"np.add.outer of {WHAT}", "np.where(mask, x, 0)"),
    "one side of a product": (lambda x: x[x > 0] @ x, f"matmul: a sum over {WHAT}", "x[mask] @ y[mask]"),
    "reshape": (lambda x: np.sum(x[x > 0].reshape(2, 2)), "a reshape without -1", "x.reshape(-1, 3)"),
    "other values": (other_places, TWO, "name the mask once"),
    "whole values": (whole_values, "assigning an array of shape (7,) to the elements", "values[mask]"),
    "carried": (carried, f"chosen is an array with {WHAT} before the loop", "keeps its type"),
    "joined": (joined, f"an array with {WHAT} after", "same type and shape"),
    "flattened, and written": (flattened_and_written, "is a view, and the array was changed since", "keep a copy"),
    "shifted": (lambda x: np.sum(x[: shift(x)] * x[1 : shift(x) + 1]), "slices of different bounds", "same bounds"),
    "two slices": (lambda x: np.sum(np.outer(x, x)[: shift(x), shift(x) :]), "two slices of lengths that are only", "loop"),
    "backward with bounds": (lambda x: np.sum(x[shift(x) :: -1]), "that goes backward", "slice forward"),
    "other dtype in place": (other_dtype, "Cannot cast ufunc 'add' output from float64 to int64", "x = x + y"),
    "other dtype assigned": (other_dtype_assigned, "Cannot cast ufunc 'add' output from float64 to int64", "x = x + y"),
    "other shape in place": (other_shape, "np.add in place of", ""),
    "two masks in one index": (lambda x: np.sum(np.outer(x, x)[x > 0, x > 0]), "together with other arrays", "one after"),
    "backward": (lambda x: np.sum(x[x > 0][::-1]), f"a slice that goes backward of {WHAT}", "np.where(mask, x, 0)"),
    "mask of another shape": (lambda x: np.sum(x[x[:3] > 0]), "boolean index did not match indexed array along axis 0", ""),
    "transform": (lambda x: np.sum(pb.grad(np.sum)(x[x > 0])), f"has {WHAT}", "where(mask"),
    "assigned to a slice": (assigned_to_a_slice, "cannot be used here", "np.where(mask, x, 0)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    function, message, help = REFUSED[name]
    with pytest.raises(PullbackError) as raised:
        pb.compile_grad(function)(X)
    assert message in raised.value.message
    assert help in raised.value.help
    assert "test_chosen_errors.py" in str(raised.value)
