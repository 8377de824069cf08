"""What cannot be traced raises, with the user's line, a caret below it and a way out; nothing is silently detached."""
from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pullback as pb
from pullback.errors import PullbackError, TraceError

X = np.arange(1.0, 7.0).reshape(2, 3)
OUTSIDE = np.zeros((2, 3))
MATRIX = np.zeros((2, 3)).view(np.matrix)
NAMES: dict[Any, int] = {}


def changed_in_place(x: Any) -> Any:
    global OUTSIDE
    OUTSIDE += x
    return OUTSIDE


def changed_by_index(x: Any) -> Any:
    OUTSIDE[0] = x[0]
    return OUTSIDE


# Each case: a function of f64[2, 3], words of the message, words of the help.
REFUSED: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "condition on an array": (
        lambda x: 1.0 if x > 0 else 2.0,
        "truth value of an array", ""),
    "sorted": (
        lambda x: sorted(x[0], key=abs),
        "a Python condition needs a number, but bool[]", "np.where"),
    "membership": (
        lambda x: 1.0 in x,
        "a Python condition needs a number", "np.where"),
    "complex": (
        lambda x: complex(x[0, 0]),
        "complex(x) needs a number", "not supported"),
    "range of a float": (
        lambda x: [x for _ in range(x[0, 0])],
        "range", "astype"),
    "size": (
        lambda x: np.zeros(x[0, 0].astype(int)),
        "an index, a size or a range needs a number, but i64[]", "static_argnums"),
    "number of samples": (
        lambda x: np.linspace(0, 1, x[0, 0].astype(int)),
        "an index, a size or a range needs a number", "static_argnums"),
    "item": (
        lambda x: x[0, 0].item(),
        "item() needs a number", "serves as a number"),
    "tolist": (
        lambda x: x.tolist(),
        "tolist()", "return the array"),
    "random numbers around it": (
        lambda x: np.random.default_rng(0).normal(x),
        "needs a number, but f64[2, 3] is only known when the compiled code runs", "np.stack"),
    "r_ with a setting": (
        lambda x: np.r_["0,2", x[0], x[1]],
        "np.r_ with a text", "use np.stack"),
    "array by a list": (
        lambda x: np.ones(2) * [x[0, 0], x[0, 1]],
        "a function that makes an array of x", "np.stack"),
    "percent format": (
        lambda x: "%f" % x[0, 0],  # noqa: UP031
        "float(x)", "np.sin(x)"),
    "dict key": (
        lambda x: NAMES[x],
        "cannot be a dict key", "string as the key"),
    "pickle": (
        lambda x: pickle.dumps(x),
        "cannot be pickled", ""),
    "outside array changed in place": (
        changed_in_place,
        "not made in the traced function", ""),
    "outside array changed by index": (
        changed_by_index,
        "", ""),
    "copyto": (
        lambda x: np.copyto(OUTSIDE, x),
        "np.copyto into an array that was not made in the traced function", "copy"),
    "put": (
        lambda x: np.put(OUTSIDE, 0, x[0, 0]),
        "np.put changes an array that was not made in the traced function", "copy"),
    "place": (
        lambda x: np.place(OUTSIDE, x > 0, x[0]),
        "np.place is not traced", "np.where"),
    "add.at": (
        lambda x: np.add.at(OUTSIDE, 0, x[0]),
        "np.add.at changes an array that was not made in the traced function", "copy"),
    "out= of a ufunc": (
        lambda x: np.sin(x, out=OUTSIDE),
        "out= names an array that was not made in the traced function", "leave it out"),
    "out= by place": (
        lambda x: np.add(x, x, OUTSIDE),
        "out= names an array that was not made in the traced function", "leave it out"),
    "out= of a function": (
        lambda x: np.sum(x, axis=0, out=OUTSIDE[0]),
        "np.sum with out= is not traced", "assign the result instead: y = np.sum(...)"),
    "out= of a method": (
        lambda x: x.max(0, OUTSIDE[0]),
        "np.max with out= is not traced", "assign the result instead"),
    "where= of a ufunc": (
        lambda x: np.log(x, where=x > 0),
        "np.log with where= is not traced", "np.where(mask, result, other)"),
    "masked array": (
        lambda x: x + np.ma.masked_array(np.zeros((2, 3))),
        "a MaskedArray cannot be combined", "plain array"),
    "matrix": (
        lambda x: x + MATRIX,
        "a matrix cannot be combined", "plain array"),
    "object array": (
        lambda x: x + np.array([1, None, 2]),
        "an array of dtype object cannot be combined", "astype"),
    "complex number": (
        lambda x: x * 1j,
        "a complex cannot be combined", ""),
    "complex array": (
        lambda x: np.ones(3, complex) - x,
        "an array of dtype complex128 cannot be combined", "astype"),
    "complex dtype": (
        lambda x: x.astype(complex),
        "dtype complex128 is not supported", "use one of bool, int8"),
    "float16": (
        lambda x: x.astype(np.float16),
        "dtype float16 is not supported", "float32"),
    "float16 by promotion": (
        lambda x: np.sin(x.astype(np.int8)),
        "np.sin of int8 is float16 in NumPy", "x.astype(np.float32)"),
    "dates": (
        lambda x: x + np.datetime64(1, "s"),
        "datetime64", ""),
    "text": (
        lambda x: x + "a",
        "a str cannot be combined", "arrays, numbers, or nested lists"),
    "imaginary number": (
        lambda x: x + 1j * x,
        "a complex cannot be combined", "complex numbers are not supported"),
    "vectorize": (
        lambda x: np.vectorize(lambda t: t + 1.0)(x),
        "np.vectorize is not traced", "pb.vmap"),
    "None": (
        lambda x: x * None,
        "a NoneType cannot be combined", ""),
    "eigenvalues": (
        lambda x: np.linalg.eigvals(x @ x.T),
        "np.linalg.eigvals is not traced", "of symmetric matrices use np.linalg.eigh"),
    "whole svd": (
        lambda x: np.linalg.svd(np.outer(x, x[:1])),
        "full_matrices=True is not traced", "use full_matrices=False"),
    "qr of a broad matrix": (
        lambda x: np.linalg.qr(np.outer(x[:1], x)),
        "rows and", "np.linalg.qr(a[:, :a.shape[0]])"),
    "Fourier transform": (
        lambda x: np.fft.fft(x),
        "np.fft.fft is not traced", "complex numbers"),
    "unique": (
        lambda x: np.unique(x),
        "np.unique is not traced", "depends on values"),
    "repeat by values": (
        lambda x: np.repeat(x, x[0].astype(int)),
        "np.repeat with repeats that the traced function computes", "static_argnums"),
    "save": (
        lambda x: np.save("x.npy", x),
        "np.save is not traced", "return the array"),
    "frexp": (
        lambda x: np.frexp(x),
        "np.frexp is not traced", "np.log2"),
    "reduceat": (
        lambda x: np.add.reduceat(x, [0, 1]),
        "np.add.reduceat is not traced", "slices"),
    "Fortran order": (
        lambda x: x.reshape(6, order="F"),
        "np.reshape in order 'F' is not traced", "transpose first"),
    "pad mode": (
        lambda x: np.pad(x, 1, "linear_ramp"),
        "np.pad with mode 'linear_ramp' is not traced", "'constant'"),
    "bits as another type": (
        lambda x: x.view(np.int64),
        "the attribute view of a traced array is not known", "x.astype(dtype)"),
    "strides": (
        lambda x: x.strides,
        "the attribute strides of a traced array is not known", "no memory of its own"),
    "length of a number": (
        lambda x: len(x[0, 0]),
        "len() of", ""),
    "iteration over a number": (
        lambda x: list(x[0, 0]),
        "iteration over a 0-d array", ""),
    "shapes": (
        lambda x: x + np.zeros(2),
        "operands of np.add of shapes [2, 3] and [2] do not broadcast", "counted from the last axis"),
    "matmul": (
        lambda x: x @ x,
        "matmul: inner sizes differ: 3 (axis 1 of f64[2, 3]) and 2 (axis 0 of f64[2, 3])", "transpose"),
    "reshape": (
        lambda x: x.reshape(5),
        "cannot reshape array of size 6 (shape [2, 3]) into shape [5]", ""),
    "axis": (
        lambda x: np.sum(x, 2),
        "axis 2 is out of bounds for array of dimension 2", "axes go from 0 to 1"),
    "axis that is no integer": (
        lambda x: np.sum(x, "rows"),
        "an axis is an integer, not 'rows'", ""),
    "bools subtracted": (
        lambda x: (x > 0) - (x > 1),
        "np.subtract is not defined for bool and bool", "np.logical_xor"),
    "bits of floats": (
        lambda x: x & 1,
        "np.bitwise_and is not defined for float64", ""),
    "too large an integer": (
        lambda x: x.astype(np.uint8) + 300,
        "Python integer 300 out of bounds for uint8", "wider dtype"),
    "negative power of integers": (
        lambda x: x.astype(int) ** -1,
        "integers to negative integer powers", "x.astype(float)"),
    "maximum of nothing": (
        lambda x: np.max(x[:0]),
        "zero-size array to reduction operation maximum", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    function, message, help = REFUSED[name]
    kept = OUTSIDE.copy()
    for call in (pb.compile_grad(function), pb.compile_grad(lambda x: np.sum(function(x))).grad):
        with pytest.raises(PullbackError) as raised:
            call(X)
        error = raised.value
        text = str(error)
        assert message in error.message
        assert help in error.help
        assert "test_tracing_errors.py:" in text and " in " in text
        if sys.version_info < (3, 11):
            continue  # it does not say where in a line
        lines = text.splitlines()
        carets = [line for line in lines if set(line.strip()) == {"^"}]
        assert carets, text
        source = lines[lines.index(carets[0]) - 1]
        marked = source[len(carets[0]) - len(carets[0].lstrip()) : len(carets[0])]
        assert marked.strip(), text
    np.testing.assert_array_equal(OUTSIDE, kept)


def test_traced_value_that_is_kept() -> None:
    kept: list[Any] = []

    @pb.compile_grad
    def keeper(x: Any) -> Any:
        kept.append(x * 2)
        return x

    keeper(X)
    for use in (
        lambda: kept[0] + 1, lambda: np.sin(kept[0]), lambda: pb.compile_grad(lambda y: y + kept[0])(X),
        lambda: kept[0][0], lambda: keeper(kept[0]), lambda: np.sum(kept[0]),
    ):  # fmt: skip
        with pytest.raises(TraceError, match="used outside of the function that made it") as raised:
            use()
        assert "return it from the function" in raised.value.help
    assert repr(kept[0]) == "Traced(f64[2, 3])"


def test_text_shows_the_type() -> None:
    seen: list[str] = []

    @pb.compile_grad
    def shown(x: Any) -> Any:
        seen.extend([f"{x}", str(x[0]), repr(x.astype(np.int32)), f"{x[0, 0]:.3f}", np.array_repr(x), np.array2string(x)])
        return x

    shown(X)
    assert seen == [
        "Traced(f64[2, 3])", "Traced(f64[3])", "Traced(i32[2, 3])", "Traced(f64[])", "Traced(f64[2, 3])",
        "Traced(f64[2, 3])",
    ]  # fmt: skip


def test_what_is_nowhere_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="a traced array has no attribute 'colour'"):
        pb.compile_grad(lambda x: x.colour)(X)
    assert pb.compile_grad(lambda x: x * hasattr(x, "colour"))(X).sum() == 0
