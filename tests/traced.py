"""How tests run traced functions: by the reference interpreter, on what the tracer made of them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.ir.core import Function
from pullback.ir.interpret import interpret
from pullback.ir.parse import parse_function
from pullback.ir.print import print_function
from pullback.ir.verify import verify
from pullback.tracer.leaf import leaves_of
from pullback.tracer.trace import Trace, trace
from pullback.tracer.tree import flatten, unflatten


def traced(fun: Callable[..., Any], *args: Any) -> Trace:
    """A function traced for arguments like these, and valid."""
    values, structure = flatten((args, {}))
    made = trace(fun, leaves_of(values, structure), structure, name=getattr(fun, "__name__", "f").strip("<>"))
    verify(made.function)
    return made


def run(fun: Callable[..., Any], *args: Any) -> Any:
    """What the traced function gives for these arguments, its text having been read again."""
    made = traced(fun, *args)
    values, _ = flatten((args, {}))
    text = print_function(made.function)
    function = made.function
    if not function.captured:
        function = parse_function(text)
        assert print_function(function) == text
    results = interpret(function, [np.asarray(value) for value in values])
    return unflatten(made.output, [result if result.ndim else result[()] for result in results])


def operations(function: Function) -> list[str]:
    """Names of the operations outside of all regions."""
    return [operation.op.name for operation in function.body.operations]


def agree(fun: Callable[..., Any], *args: Any) -> None:
    """Plain Python and the traced function give the same, in values, shapes and dtypes of arrays."""
    expected, structure = flatten(fun(*[np.copy(arg) if isinstance(arg, np.ndarray) else arg for arg in args]))
    found, made = flatten(run(fun, *args))
    assert made == structure
    for left, right in zip(expected, found, strict=True):
        assert np.shape(left) == np.shape(right)
        if isinstance(left, np.ndarray | np.generic):
            assert left.dtype == np.asarray(right).dtype
        np.testing.assert_allclose(right, left, rtol=1e-13, atol=1e-13)
