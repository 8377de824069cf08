"""Assignment into arrays in traced functions: items, slices, views, masks, in place, and who sees what was written."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from traced import agree, run, traced

import pullback as pb
from pullback.config import config
from pullback.errors import DTypeError, OutOfBoundsError, ShapeError, TraceError
from pullback.ir.core import walk

X = np.arange(6.0) + 1.0
A = np.arange(12.0).reshape(3, 4)


def count(fun: Any, *args: Any) -> dict[str, int]:
    """How often each operation occurs, regions included."""
    found: dict[str, int] = {}
    for operation in walk(traced(fun, *args).function.body):
        found[operation.op.name] = found.get(operation.op.name, 0) + 1
    return found


# One item or slice


@pytest.mark.parametrize("index", [
    0, -1, (1, 2), (-1, -4), slice(1, None), slice(None, None, 2), slice(None, None, -1), (slice(0, 2), slice(1, 4, 2)),
    (Ellipsis, 1), (slice(None), -1), (None, 0), Ellipsis, slice(3, 1), (2, slice(3, 0, -2)), (slice(2, 0, -1), 1),
], ids=str)  # fmt: skip
def test_known_places(index: Any) -> None:
    def f(x: Any, v: Any) -> Any:
        y = x.copy()
        y[index] = v
        z = x * 2.0
        z[index] += v
        w = np.zeros((3, 4))
        w[index] = x[index] * v
        return x, y, z, w, y[index]

    agree(f, A, 0.5)


def test_computed_places() -> None:
    def f(x: Any, i: Any, j: Any) -> Any:
        y = np.zeros((3, 4))
        y[i] = x[j]
        y[i, j] = 7.0
        y[j, 1:3] += x[i, i : i + 2]
        y[:, j] *= 2.0
        y[i, ::2] = x[j, ::-2]
        y[..., i : i + 1] -= 1.0
        return y, x[i, j], x[i][j], y[i : i + 1, j : j + 2]

    for i, j in ((0, 1), (2, 0), (1, 2)):
        agree(f, A, i, j)


def test_negative_computed_places() -> None:
    def f(x: Any, i: Any) -> Any:
        y = x.copy()
        y[i] = 0.0
        y[i - 1] += x[i]
        return y

    for i in (-1, -6, 0, 5):
        if i != -6:
            agree(f, X, i)


def test_broadcasting_and_dtypes() -> None:
    def f(x: Any) -> Any:
        y = np.zeros((3, 4), np.float32)
        y[1] = x[0]
        y[:, 0] = [1, 2, 3]
        z = np.zeros(4, int)
        z[:] = x[1] * 1.5
        z[0] = 2.9
        m = np.ones((2, 2), bool)
        m[0] = x[0, :2] > 1.0
        y[0] = x[2:3]
        return y, z, m

    agree(f, A)


def test_swap_and_unpack_into_items() -> None:
    def f(x: Any, i: Any) -> Any:
        y = x.copy()
        y[i], y[0] = y[0], y[i]
        (y[1], *rest), y[2] = (x[5], x[4], x[3]), x[0]
        y[3] = y[4] = x[1]
        return y, rest

    agree(f, X, 5)


# Views


def test_views_are_written_through() -> None:
    def f(x: Any, i: Any) -> Any:
        y = x.copy()
        row = y[i]
        row += 1.0
        row[1:][0] = 5.0
        column = y[:, 2]
        column[...] = x[:, 0]
        y.T[1, 0] = 9.0
        y.reshape(-1)[3] = 8.0
        np.swapaxes(y, 0, 1)[3] *= 2.0
        np.ravel(y)[::5] -= 1.0
        y[::-1][0] = np.flip(y, 1)[1]
        np.squeeze(y[None], 0)[2, 2] = -1.0
        y.flat[0] = 3.0
        return x, y, row, column

    for i in (0, 2):
        agree(f, A, i)


def test_views_see_what_is_written() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(6)
        part, scalar = y[2:5], y[3]
        y[3] = x[0]
        copied = part.copy()
        y[2] = x[1]
        return part, scalar, copied, y

    agree(f, X)


def test_reshape_of_a_transposed_array_is_a_copy() -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        flat = y.T.reshape(-1)
        flat[0] = 100.0
        other = y[:, :2].reshape(-1)
        other[0] = 50.0
        return y, flat, other

    agree(f, A)


def test_two_names_of_one_array() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        z = y
        z[0] = 5.0
        z += 1.0
        w = y + 0.0
        w[1] = 0.0
        return y, z, w

    agree(f, X)


def test_known_arrays_stay_known() -> None:
    def f(x: Any) -> Any:
        sizes = np.array([1, 2, 3])
        sizes[0] = 4
        order = np.arange(3)[::-1]
        total = x * 0.0
        for size in sizes:
            total = total + np.ones(size).sum() * x[order[0]]
        return total, sizes, order + 1

    agree(f, X)


# Masks and index arrays


def test_masks() -> None:
    known = np.array([True, False, True])

    def f(x: Any) -> Any:
        y = x.copy()
        y[y > 4.0] = 0.0
        y[y < 2.0] += 10.0
        y[x[:, 0] > 2.0] = x[0]
        y[known] *= 0.5
        y[known, 1] = [7.0, 8.0]
        y[:, np.array([True, False, False, True])] -= 1.0
        return y

    agree(f, A)


def test_index_arrays() -> None:
    rows = np.array([0, 2, 0])

    def f(x: Any, k: Any) -> Any:
        y = x.copy()
        y[rows] = x[::-1]
        y[rows, [1, 2, 1]] += 1.0
        y[[1], 1:3] = 5.0
        z = x.copy()
        z[k] = x[rows]
        z[k, 1] = [1.0, 2.0, 3.0]
        z[:, k] -= 1.0
        w = np.zeros((2, 3, 4))
        w[:, rows, 1:3] = x[:, :2]
        w[0, :, k] += 2.0
        b = np.zeros(3, bool)
        b[rows[:2]] = x[0, :2] > 0.0
        b[k[:1]] = x[0, 3] > 5.0
        return y, z, w, b

    agree(f, A, np.array([1, -1, 1]))


def test_ufunc_at() -> None:
    index = np.array([0, 2, 0, -1])

    def f(x: Any, k: Any) -> Any:
        y, z = x.copy(), x.copy()
        np.add.at(y, index, 1.0)
        np.add.at(y, k, x[:4])
        np.subtract.at(y, k, x[1])
        np.multiply.at(z, k, 2.0)
        np.maximum.at(z, index, x[2:])
        np.negative.at(z, k[:2])
        np.add.at(z, 1, x[0])
        np.add.at(z, slice(0, 3), x[3:])
        w = np.zeros((3, 4))
        np.add.at(w, (index % 3, [0, 1, 0, 1]), x[:4])
        return y, z, w

    agree(f, X, np.array([1, 1, 5, -6]))


# In place


def test_in_place_operators() -> None:
    def f(x: Any) -> Any:
        y = x.copy()
        y += 1.0
        y -= x * 0.5
        y *= y
        y /= 3.0
        y **= 2
        y //= 0.5
        y %= 7.0
        z = np.ones((2, 3), int)
        z += x[:3] > 1.5
        z <<= 2
        z ^= 1
        z |= 8
        z &= 13
        w = np.eye(6)
        w @= np.diag(x)
        return y, z, w

    agree(f, X)


def test_out_and_copyto() -> None:
    def f(x: Any) -> Any:
        y, z, w = np.empty(6), np.zeros(()), np.zeros((2, 6))
        np.exp(x, out=y)
        np.add(y, 1.0, y)
        np.sum(x, out=z)
        np.divmod(x, 2.0, out=(w[0], w[1]))
        v = np.zeros(6)
        np.copyto(v, x, where=x > 2.0)
        np.putmask(v, v > 4.0, 0.5)
        u = np.zeros((3, 3))
        np.fill_diagonal(u, x[:3])
        u.fill(2.0)
        np.fill_diagonal(u, x[0])
        np.put(v, [0, 2], x[1])
        return y, z, w, v, u

    agree(f, X)


# Loops and branches


def test_filling_an_array_in_a_loop() -> None:
    def f(x: Any, n: Any) -> Any:
        y = np.zeros(40)
        for i in range(n):
            y[i] = x * i
        for i in range(1, 40):
            y[i] += y[i - 1] * 0.5
        return y

    agree(f, 0.5, 25)
    found = count(f, 0.5, 25)
    assert found["for"] == 2
    assert found["dynamic_update"] == 1
    assert found["dynamic_add"] == 1


def test_loop_counters_need_no_checks() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(40)
        for i in range(1, 39):
            for j in range(i):
                y[i] += x[i - 1] * x[i + 1] + x[j] + x[(i + j) % 40] + x[i // 2]
        return y

    text = [op.op for op in walk(traced(f, np.arange(40.0)).function.body) if op.op.name.startswith("dynamic")]
    assert text
    assert not any(op.checked for op in text)  # type: ignore[attr-defined]
    agree(f, np.arange(40.0))


def test_rows_in_loops() -> None:
    def f(x: Any) -> Any:
        y = np.zeros((20, 3))
        for i in range(20):
            row = y[i]
            row += x[i]
            row[0] = row[1:].sum()
        for each in y:
            each *= 2.0
        return y

    agree(f, np.sin(np.arange(60.0)).reshape(20, 3))
    assert count(f, np.zeros((20, 3)))["for"] == 2


def test_assignment_in_branches() -> None:
    def f(x: Any, i: Any) -> Any:
        y = np.zeros(6)
        z = np.ones(6)
        if x[i] > 3.0:
            y[i] = x[i]
            y *= 2.0
        else:
            z[i] -= x[i]
            y = z + 1.0
        return y, z

    for i in (0, 5):
        agree(f, X, i)


def test_buffers_that_change_places() -> None:
    def f(x: Any, n: Any) -> Any:
        u, new = x.copy(), np.zeros(6)
        for _ in range(n):
            new[1:-1] = u[1:-1] + 0.1 * (u[2:] - 2.0 * u[1:-1] + u[:-2])
            new[0], new[-1] = u[0], u[-1]
            u, new = new, u
        return u

    for n in (1, 2, 7):
        agree(f, X * X, n)


def test_inner_loop_that_writes_what_the_outer_one_binds_anew() -> None:
    def f(x: Any, n: Any) -> Any:
        y, t = x * 1.0, 0
        k = 0
        while k < n and t < 100.0:
            k += 1
            for i in range(n):
                y[i] += 0.5
                t = t + y[i]
            y = y * 0.5
        return y, t

    for n in (0, 1, 4):
        agree(lambda x, n: f(x, n)[0], X, n)


def test_histogram_and_sieve_and_sort() -> None:
    def histogram(k: Any, w: Any) -> Any:
        found = np.zeros(5)
        for i in range(len(k)):
            found[k[i]] += w[i]
        return found

    def sieve(n: Any) -> Any:
        prime = np.ones(50, bool)
        prime[:2] = False
        for i in range(2, 8):
            if prime[i]:
                for j in range(i * i, n, i):
                    prime[j] = False
        return prime

    def sort(x: Any) -> Any:
        y = x.copy()
        for i in range(1, len(y)):
            j = i
            while j > 0 and y[j - 1] > y[j]:
                y[j - 1], y[j] = y[j], y[j - 1]
                j -= 1
        return y

    agree(histogram, np.arange(12) % 5, np.arange(12.0))
    agree(sieve, 50)
    agree(sort, np.array([3.0, 1.0, 2.0, 9.0, -1.0, 4.0, 4.0, 0.0, 8.0, 7.0]))


def test_function_that_writes_its_argument() -> None:
    def f(x: Any, n: Any) -> Any:
        def put(target: Any, k: Any) -> None:
            target[k] = x[k] * 2.0

        y = np.zeros(6)
        for i in range(n):
            put(y, i)
        return y

    agree(f, X, 4)


# Who may see what was written


def test_alias_of_a_joined_array() -> None:
    def write_after(x: Any) -> Any:
        y = x * 2.0
        z = y  # noqa: F841
        if x[0] > 0.0:
            y = y + 1.0
        y[0] = 5.0
        return y

    def read_alias(x: Any) -> Any:
        y = x * 2.0
        z = y
        if x[0] > 0.0:
            y = y + 1.0
        y[0] = 5.0
        return y, z

    def read_joined(x: Any) -> Any:
        y = x * 2.0
        z = y
        if x[0] > 0.0:
            z = x * 3.0
        y[0] = 5.0
        return z

    agree(write_after, X)
    for fun in (read_alias, read_joined):
        with pytest.raises(TraceError, match="may be the same"):
            traced(fun, X)


def test_alias_of_a_loop_variable() -> None:
    def f(x: Any, n: Any) -> Any:
        y = x * 2.0
        z = y
        for i in range(n):
            y[i] = 0.0
            y = y + z[0]
        return y

    with pytest.raises(TraceError, match=r"may be the same|not known"):
        traced(f, X, 3)


def test_view_kept_beyond_its_loop() -> None:
    def f(x: Any, n: Any, late: bool) -> Any:
        y = np.zeros((6, 6))
        row = y[0]
        for i in range(n):
            row = y[i]
            row[i] = x[i]
        if late:
            y[0, 0] = 1.0
        return row, y

    agree(lambda x, n: f(x, n, False), X, 4)
    with pytest.raises(TraceError, match="may be the same array as another one that has been changed"):
        traced(lambda x, n: f(x, n, True), X, 4)


def test_arguments_are_not_written() -> None:
    for fun in (
        lambda x: x.__setitem__(0, 1.0), lambda x: x.__iadd__(1.0), lambda x: x[1:].__setitem__(0, 1.0),
        lambda x: np.add.at(x, 0, 1.0), lambda x: np.exp(x, out=x), lambda x: x.T.fill(1.0),
    ):  # fmt: skip
        with pytest.raises(TraceError, match=r"assigning into x0 would change the caller's array(.|\n)*x0\.copy\(\)"):
            traced(fun, X)


TABLE = np.zeros(6)


def test_arrays_of_the_outside_are_not_written() -> None:
    def f(x: Any) -> Any:
        TABLE[0] = 1.0
        return x

    def g(x: Any) -> Any:
        TABLE[0] = x[0]
        return x

    def h(x: Any) -> Any:
        np.add.at(TABLE, 0, x[0])
        return x

    def k(x: Any) -> Any:
        y = TABLE
        for i in range(20):
            y[i % 6] = x[0]
            y = y + 1.0
        return y

    for fun in (f, g, h, k):
        with pytest.raises(TraceError, match=r"outside|did not make|was not made"):
            traced(fun, X)
    assert not TABLE.any()


# Errors


def test_index_errors() -> None:
    def f(x: Any, i: Any) -> Any:
        y = np.zeros(4)
        y[i] = x[i + 1]
        return y

    with pytest.raises(IndexError, match="index 6 is out of bounds for axis 0 with size 6"):
        run(f, X, 5)
    with pytest.raises(IndexError, match=r"index 4 is out of bounds for axis 0 with size 4(.|\n)*test_assignment.py"):
        run(f, X, 4)
    with pytest.raises(IndexError, match="index -5 is out of bounds"):
        run(f, X, -5)
    for known in (lambda x: x[6], lambda x: x.copy().__setitem__(6, 1.0), lambda x: x[0, 0], lambda x: x[[7]]):
        with pytest.raises(OutOfBoundsError):
            traced(known, X)


def test_checks_can_be_turned_off() -> None:
    def f(x: Any, i: Any) -> Any:
        y = x.copy()
        y[i] = x[i + 1]
        return y

    with config(boundscheck=False):
        ops = [op.op for op in walk(traced(f, X, 3).function.body) if op.op.name.startswith("dynamic")]
    assert ops
    assert not any(op.checked for op in ops)  # type: ignore[attr-defined]


@pytest.mark.parametrize(("fun", "error", "text"), [
    (lambda x, k: np.zeros(3).__setitem__(0, x), ShapeError, "from shape (6,) into shape ()"),
    (lambda x, k: x.copy().__setitem__(slice(0, 2), x), ShapeError, "from shape (6,) into shape (2,)"),
    (lambda x, k: np.zeros(3, int).__iadd__(x[:3]), DTypeError, "'add' output from float64 to int64"),
    (lambda x, k: x.copy().__iadd__(np.ones((2, 6))), ShapeError, "non-broadcastable output operand"),
    (lambda x, k: x.copy().__setitem__(x > 2.0, x), TraceError, "how many they are is only known"),
    (lambda x, k: x[k:], TraceError, "elements whose number is only known"),
    (lambda x, k: x.copy().__setitem__((x > 2.0, 0), 1.0), IndexError, ""),
], ids=range(7))  # fmt: skip
def test_what_does_not_fit(fun: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error) as raised:
        traced(fun, X, 2)
    assert text in str(raised.value)
    assert "test_assignment.py" in str(raised.value)


def test_boundscheck_of_one_function() -> None:
    def f(x: Any, i: Any) -> Any:
        return x[i] * 2

    x = np.arange(8.0)
    checked, unchecked = pb.compile_grad(f), pb.compile_grad(f, boundscheck=False)
    assert checked(x, 3) == unchecked(x, 3) == 6.0
    np.testing.assert_array_equal(unchecked.grad(x, 3), checked.grad(x, 3))
    with pytest.raises(IndexError, match="index 5 is out of bounds"):
        checked(x[:4], 5)
    bodies = [each.lower(x, 3).llvm.split("@body(")[1].split("\n}")[0] for each in (checked, unchecked)]
    assert "outside" in bodies[0] and "outside" not in bodies[1]
    with config(boundscheck=False), pytest.raises(IndexError):
        pb.compile_grad(f, boundscheck=True)(x, 9)
