"""Programs with control flow that a sweep of random ones found to go wrong."""
from __future__ import annotations

import numpy as np
import pytest
from traced import agree, traced

import pullback as pb


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
        k, total = 2, 0.0
        for _, value in zip(range(n), x, strict=False):
            if value > 3.0:
                break
            if len(x) > 100:
                k = 3
            total = total + np.sum(x[:k]) * value
        return total

    agree(f, np.array([1.0, 2.0, 5.0, 4.0]), 3)


def test_an_alias_that_nobody_reads_after_a_branch_is_no_error() -> None:
    def after_a_loop(x, c):
        y = x * 1.0
        if c > 0:
            for value in x:
                same = y
                same[0] += value
                if value > 3.0:
                    break
            rest = y[1:]
            rest[0] = c
        return np.sum(y)

    def after_a_branch(x, c):
        p = x * 2.0
        if c > 0:
            q = p
            if x[0] > 0:
                q = x * 3.0  # noqa: F841
            p[0] = c
        return np.sum(p)

    for c in (1.0, -1.0):
        agree(after_a_loop, np.array([1.0, 2.0, 5.0, 4.0]), c)
        agree(after_a_branch, np.array([1.0, 2.0, 5.0, 4.0]), c)


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


def test_what_each_iteration_binds_anew_may_change_its_kind() -> None:
    def f(x, n):
        k, total = 0, 0.0
        scratch = x[0]
        while True:
            k += 1
            scratch = x[:2] * k
            weigh = lambda w: w * k  # noqa: B023, E731
            if k > n:
                break
            total += weigh(np.sum(scratch))
        for j in range(n):
            scratch = np.outer(x, x) + j
            total += np.sum(scratch)
        return total

    agree(f, np.array([1.0, 2.0, 5.0, 4.0]), 3)
    agree(f, np.array([1.0, 2.0, 5.0, 4.0]), 0)


@pytest.mark.parametrize("reads", ["in the loop", "in its condition", "after it", "is None"])
def test_a_variable_that_changes_its_kind_and_is_read_says_so(reads: str) -> None:
    def inside(x, n):
        scratch = x[0]
        while n > 0:
            n -= 1
            if n > 1:
                scratch = x[:2] * n
            x = x + np.sum(scratch)
        return np.sum(x)

    def condition(x, n):
        scratch = x[0]
        while np.sum(scratch) < n:
            scratch = x[:2] * n
        return np.sum(x)

    def after(x, n):
        scratch = x[0]
        while n > 0:
            n -= 1
            scratch = x[:2] * n
        return np.sum(scratch)

    def none(x, n):
        best = None
        while n > 0:
            n -= 1
            if best is None:
                best = x * n
            x = x + best
        return np.sum(x)

    chosen = {"in the loop": inside, "in its condition": condition, "after it": after, "is None": none}[reads]
    with pytest.raises(pb.PullbackError, match=r"scratch is|best is"):
        traced(chosen, np.array([1.0, 2.0]), 3)


def test_a_function_that_binds_what_is_around_it_among_variables_without_a_value() -> None:
    def f(x, n):
        total = 0.0
        for value in x:
            if n > 2:
                late = value * 2.0
                total += late

            def add(w):
                nonlocal total
                total = total + w
                return total

            total += add(value)
        return total

    agree(f, np.array([1.0, 2.0]), 3)


def test_out_that_may_be_one_of_several_arrays_says_so() -> None:
    def f(x, n):
        a, q, r = x * 1.0, x * 2.0, x * 3.0
        for _ in range(2):
            if n > 1:
                q += q[1]
            else:
                r, a = a, a
            np.add(q, 1.0, out=r)
        return np.sum(q)

    with pytest.raises(pb.PullbackError, match="may be"):
        traced(f, np.array([1.0, 2.0]), 2)


def test_an_item_of_a_variable_without_a_value_says_what_it_lacks() -> None:
    def f(x, n):
        if n > 2:
            y = x * 2.0
        if n > 1:
            y[0] = x[1]
        return np.sum(x)

    with pytest.raises(pb.PullbackError, match="y has no value after one of the branches"):
        traced(f, np.array([1.0, 2.0]), 2)
