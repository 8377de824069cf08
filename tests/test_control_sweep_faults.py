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
