"""Functions that assert and raise, in a module of their own: pytest writes its own texts into the asserts of a test's."""
from __future__ import annotations

from typing import Any

import numpy as np


class Refusal(Exception):
    """An exception whose arguments are not those that it is made with."""

    def __init__(self, what: str, value: object) -> None:
        super().__init__(f"{what}: {value}")
        self.what = what


def positive(x: Any) -> Any:
    assert x[0] > 0
    return np.sum(np.sqrt(x))


def with_text(x: Any) -> Any:
    assert np.all(x > 0), f"x must be positive, and is {x} with a least of {x.min():.3f}"
    return np.sum(np.sqrt(x))


def one_side(x: Any) -> Any:
    if x[0] < 0:
        raise ValueError("negative", x[0])
    y = x * 2
    y[1] = x[0]
    return np.sum(y * y)


def other_side(x: Any) -> Any:
    if x[0] >= 0:
        y = x * 3
    else:
        raise Refusal("negative", x[0])
    return np.sum(y * y)


def chain(x: Any) -> Any:
    if x[0] > 1:
        return np.sum(x)
    elif x[0] > 0:
        return np.sum(x * x)
    elif x[0] > -1:
        raise ValueError("small")
    raise ValueError


def both_sides(x: Any) -> Any:
    if x[0] < 0:
        if x[1] < 0:
            raise ValueError(f"two are negative: {x[0]!r} and {x[1]!s}")
        else:
            raise TypeError("one is negative")
    return np.sum(x)


def in_a_loop(x: Any) -> Any:
    total = 0.0
    for i in range(len(x)):
        if x[i] < 0:
            raise ValueError(f"element {i} is {x[i]:+.1e}")
        total += np.sqrt(x[i]) * x[i]
    return total


def in_a_long_loop(x: Any) -> Any:
    total = x[0] * 0
    for i in range(1000):
        total += x[i % 3] * x[i % 3]
        assert total < 2000, i
    return total


def in_a_while(x: Any) -> Any:
    y = x[0]
    while y < 10:
        y = y * 1.5 + x[1]
        if y < x[0]:
            raise ArithmeticError(f"{y:.3f} shrinks")
    return y


def before_a_loop_without_end(x: Any) -> Any:
    y = x[0]
    assert y > 0
    while y < 10:
        y = y * 2
    return y * x[1]


def before_an_index(x: Any) -> Any:
    i = (x[0] * 10).astype(np.int64)
    if i > 2 or i < 0:
        raise KeyError("no such row")
    return x[i] * x[1]


def after_an_index(x: Any) -> Any:
    y = x[(x[0] * 10).astype(np.int64)]
    assert y > 0, "after"
    return y * y


def late_and_before_an_index(x: Any) -> Any:
    assert np.sum(x) > 0, "sum"
    return x[(x[0] * -10).astype(np.int64) % 40 - 3] * x[1]


def late_and_before_a_loop_without_end(x: Any) -> Any:
    assert np.sum(x) > 0, "sum"
    y, step = x[0], x[0] + x[1] + x[2]
    while y < 10:
        y = y + step
    return y * x[1]


def early_and_after_a_late_index(x: Any) -> Any:
    y = x[np.sum(x > 0)]
    assert x[0] > 0.15, "after"
    return y * y


def late_in_a_branch(x: Any) -> Any:
    y = x[0] * x[1]
    if np.sum(x) < 0:
        if x[0] < -2:
            raise ValueError("in a branch")
        y = y * 2
    z = x[(x[0] * x[0] * 2).astype(np.int64) % 18]
    return y * z


def not_found(x: Any) -> Any:
    for i in range(len(x)):
        if x[i] > 1:
            return x[i] * x[0]
    raise LookupError("nothing above 1")


def _checked(x: Any) -> Any:
    if x < 0:
        raise ValueError(f"negative: {x}")
    return np.sqrt(x)


def in_functions_called(x: Any) -> Any:
    return sum(_checked(each) for each in x) * _checked(x[0])


def deep(x: Any) -> Any:
    def refuse(value: Any) -> None:
        raise Refusal("deep", value)

    if x[0] > 0:
        y = x * x
    else:
        refuse(x[0])
    return np.sum(y)


def from_another(x: Any) -> Any:
    if x[0] < 0:
        raise ValueError("negative") from KeyError("cause")
    return np.sum(x)


def outer_state(x: Any) -> Any:
    parts = [x[0]]
    if x[1] < 0:
        raise ValueError("negative")
    parts.append(x[1] * x[0])
    return sum(parts)


def many(x: Any) -> Any:
    if x[0] < 0:
        raise ValueError("first")
    if x[1] >= 0:
        y = x * 2
    else:
        raise ValueError("second")
    if x[2] < 0:
        raise ValueError("third")
    return np.sum(y)


def nested_values(x: Any) -> Any:
    if x[0] < 0:
        raise ValueError(["list", x[0]], (x[1], "tuple"))
    return np.sum(x)


PROGRAMS = [
    positive, with_text, one_side, other_side, chain, both_sides, in_a_loop, in_a_long_loop, in_a_while,
    before_a_loop_without_end, before_an_index, after_an_index, late_and_before_an_index,
    late_and_before_a_loop_without_end, early_and_after_a_late_index, late_in_a_branch, not_found, in_functions_called, deep,
    from_another, outer_state, many, nested_values,
]  # fmt: skip
ARGUMENTS = [
    np.array([0.1, 1.5, 2.0]), np.array([0.2, 0.0, 0.5]), np.array([-0.5, 1.0, 2.0]), np.array([0.1, -2.0, 1.0]),
    np.array([-3.0, -1.0, 2.0]), np.array([3.0, 1.0, -2.0]), np.array([1.5, 0.3, -0.2]),
]  # fmt: skip
