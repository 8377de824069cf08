"""Arrays that may be the same, depending on what ran: Python's numbers or an error, never others."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from random_aliases import random_aliases
from traced import run

import pullback as pb


def chosen_of_chosen(x, c):
    a, b = x * 1.0, x * 2.0
    q = a if c > 0 else b
    r = x * 3.0
    if c > 0.5:
        r = q
    r[0] = 9
    return np.sum(a)


def chosen_of_chosen_read(x, c):
    a, b = x * 1.0, x * 2.0
    q = a if c > 0 else b
    r = x * 3.0
    if c > 0.5:
        r = q
    a[0] = 9
    return np.sum(r)


def chosen_in_loop(x, c):
    a, b, r = x * 1.0, x * 2.0, x * 3.0
    while c < 4:
        q = a if c > 0 else b
        r = q
        c += 1
    r[0] = 9
    return np.sum(a)


def loop_in_loop(x, c):
    a, r = x * 1.0, x * 3.0
    while c < 4:
        k = 0
        while k < c:
            r = a
            k += 1
        c += 1
    a[0] = 9
    return np.sum(r)


def branch_in_loop(x, c):
    a, r = x * 1.0, x * 3.0
    while c < 4:
        if c > 1:
            a[0] = c
            r = a
        c += 1
    r[0] = 9
    return np.sum(a)


def handed_on(x, c):
    a = x * 1.0
    p, q, r = x * 1.0, x * 2.0, x * 3.0
    while c < 4:
        p, q, r = q, r, a
        c += 1
    p[0] = 9
    return np.sum(a)


def handed_on_read(x, c):
    a = x * 1.0
    p, q, r = x * 1.0, x * 2.0, x * 3.0
    while c < 4:
        p, q, r = q, r, a
        c += 1
    a[0] = 9
    return np.sum(p)


def kept_before(x, c):
    p, q = x * 1.0, x * 2.0
    keep = p
    while c < 4:
        p, q = q, p
        c += 1
    q[0] = 9
    return np.sum(keep)


def kept_before_read(x, c):
    p, q = x * 1.0, x * 2.0
    keep = p
    while c < 4:
        p, q = q, p
        c += 1
    keep[0] = 9
    return np.sum(q) + np.sum(p)


def same_from_the_start(x, c):
    p = x * 1.0
    q = p
    total = 0.0
    while c < 4:
        p[0] += 1
        total += q[0]
        if c > 100:
            p, q = x * 1.0, x * 2.0
        c += 1
    return total


def rewritten_after(x, c):
    a, b = x * 1.0, x * 2.0
    q = a if c > 0 else b
    q[0] = 9
    np.multiply(b, 2.0, out=a)
    return np.sum(q)


def stale_rewritten(x, c):
    a, b = x * 1.0, x * 2.0
    q = a if c > 0 else b
    r = a if c > 0 else b
    r[0] = 3
    np.multiply(x, 2.0, out=q)
    return np.sum(r)


def rows_in_branch(x, c):
    y = np.outer(x, x)
    while c < 4:
        c += 1
        for row in y:
            if c > 2:
                x = row
                y[0] *= 0.5
    x = x * 1.0 if c < 0 else x
    y[-1, 1] = 7
    return np.sum(x)


def in_a_list(x, c):
    a, b = x * 1.0, x * 2.0
    pair = [a, b] if c > 0 else [b, a]
    chosen = pair[0] if c < 100 else pair[1]
    chosen[0] = 9
    return np.sum(a)


def best_so_far(x, c):
    x, best = x * 1.0, x * 1.0
    while c < 6:
        x = np.sin(x)
        if np.sum(x) > c - 4:
            best = x
        c += 1
    x[0] = 4
    return np.sum(best)


UNKNOWN = [
    chosen_of_chosen, chosen_of_chosen_read, chosen_in_loop, loop_in_loop, branch_in_loop, handed_on, handed_on_read,
    kept_before, kept_before_read, same_from_the_start, rewritten_after, stale_rewritten, rows_in_branch, in_a_list,
    best_so_far,
]  # fmt: skip


@pytest.mark.parametrize("fun", UNKNOWN, ids=lambda fun: fun.__name__)
def test_one_of_two_arrays_is_not_read_after_the_other_was_written(fun: Callable[..., Any]) -> None:
    for c in (-1.0, 0.75, 1.0, 2.0):
        x = np.array([1.0, 2.0, 3.0, 4.0])
        wanted = fun(x.copy(), c)
        try:
            found = run(fun, x, c)
        except pb.PullbackError as error:
            assert "may be" in str(error) or "are one array" in str(error)
        else:
            assert found == wanted


def two_buffers(x, c):
    old, new = x * 1.0, x * 1.0
    while c < 6:
        new[1:-1] = 0.5 * (old[:-2] + old[2:]) * c
        old, new = new, old
        c += 1
    return np.sum(old)


def two_buffers_in_branch(x, c):
    old, new = x * 1.0, x * 1.0
    while c < 6:
        if c > 1:
            new[1:-1] = 0.5 * (old[:-2] + old[2:]) * c
            old, new = new, old
        c += 1
    return np.sum(old)


def three_buffers(x, c):
    p, q, r = x * 1.0, x * 2.0, x * 3.0
    while c < 4:
        p, q, r = q, r, p
        c += 1
    p[0] = 9
    return np.sum(p) + 2 * np.sum(q) + 3 * np.sum(r)


def swapped_after(x, c):
    old, new = x * 1.0, x * 2.0
    if c > 0:
        old, new = new, old
    new[0] = 9
    return np.sum(old) - np.sum(new)


def copied(x, c):
    x, best = x * 1.0, x * 1.0
    while c < 6:
        x[0] += 1
        if np.sum(x) > c - 4:
            best = x.copy()
        c += 1
    best[0] *= 2
    return np.sum(best) + np.sum(x)


@pytest.mark.parametrize("fun", [two_buffers, two_buffers_in_branch, three_buffers, swapped_after, copied],
                         ids=lambda fun: fun.__name__)  # fmt: skip
def test_arrays_that_change_places_stay_apart(fun: Callable[..., Any]) -> None:
    for c in (-1.0, 1.0, 2.0, 9.0):
        x = np.array([1.0, 2.0, 3.0, 4.0])
        assert run(fun, x, c) == pytest.approx(fun(x.copy(), c), rel=1e-14)


def agrees(seed: int) -> bool:
    """Whether a random program of aliases is taken. Raises: AssertionError for other numbers than Python's."""
    source, fun = random_aliases(seed)
    x = np.array([1.0, 2.0, 3.0, 5.0])
    taken = False
    for c in (seed % 6, (seed + 3) % 6):
        wanted = fun(x.copy(), c)
        try:
            found = run(fun, x, c)
        except pb.PullbackError as error:
            assert "may be" in str(error) or "are one array" in str(error), f"{error}\n{source}"
            return False
        assert found == pytest.approx(wanted, rel=1e-12), f"seed {seed}, c {c}\n{source}"
        taken = True
    return taken


def test_random_programs_of_aliases() -> None:
    assert sum(agrees(seed) for seed in range(60)) > 20


@pytest.mark.sweep
def test_many_random_programs_of_aliases() -> None:
    assert sum(agrees(seed) for seed in range(60, 5000)) > 1000
