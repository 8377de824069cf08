"""Programs with control flow that a sweep of random ones found to go wrong."""
from __future__ import annotations

import numpy as np
from traced import agree


def test_a_bool_first_bound_in_a_loop_that_may_not_run() -> None:
    def f(x):
        while x > 1.0:
            big = x > 4.0
            x = x * 0.5 if big else x * 0.25
        return x

    agree(f, 9.0)
    agree(f, 0.5)


def test_a_numpy_number_of_the_function_is_no_object_that_changes() -> None:
    def f(x):
        k = np.int64(3)
        if x > 1.0:
            k += 1
        return x * k

    agree(f, 2.0)
    agree(f, 0.5)


def test_a_loop_with_an_exit_that_needs_a_number_of_python() -> None:
    def f(x, n):
        made, k = x * 1.0, 1
        for i, value in zip(range(n), x, strict=False):
            if value > 3.0:
                break
            np.add.at(made, [k, k], value * i)
        return np.sum(made)

    agree(f, np.array([1.0, 2.0, 5.0, 4.0]), 3)


def test_a_list_of_computed_places_is_an_index() -> None:
    def f(x, n):
        y = x * 1.0
        total = np.sum(x[[n, n + 1, n]])
        y[[n, 0]] = total
        y[[n, 1]] *= 2.0
        np.add.at(y, [n, 1, n], x[0])
        return np.sum(y * x), x[[[n, 0], [1, n]]]

    agree(f, np.array([1.0, 2.0, 5.0, 4.0]), 2)


def test_an_array_of_lists_of_computed_numbers() -> None:
    def f(c, x):
        m = np.array([[c, 0.0], [1, c]])
        rows = np.array([x, (c, c), [2.0, 3.0]])
        return m @ m, rows, np.asarray([[[c], [2]]]), np.array(((c, c), (1, 2)), np.float32)

    agree(f, 2.0, np.array([1.0, 2.0]))
