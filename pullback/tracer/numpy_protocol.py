"""The traced array that user code sees: Python's operators, ndarray's methods, and NumPy's two protocols."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer import numpy_functions as n
from pullback.tracer.record import Recorder
from pullback.tracer.traced import Traced, active, array_of, lower
from pullback.tracer.ufuncs import PRODUCTS, REDUCTIONS, RULES, elementwise


def call_ufunc(ufunc: np.ufunc, *operands: Any) -> Any:
    """A ufunc on operands of which one at least is traced."""
    b = active()
    if ufunc in PRODUCTS:
        return b.wrap(PRODUCTS[ufunc](b, *[array_of(b, operand) for operand in operands]))
    if ufunc not in RULES:
        raise TraceError(f"np.{ufunc.__name__} is not traced", location=caller(),
                         help="write it in terms of functions that are, or pass its result as an argument")  # fmt: skip
    result = elementwise(b, ufunc, *[lower(b, operand) for operand in operands])
    return tuple(b.wrap(each) for each in result) if isinstance(result, tuple) else b.wrap(result)


class TracedArray(Traced):
    """See `Traced`. Every operation records; nothing is computed."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        dtype = named.pop("dtype", None)
        axis, keepdims = named.pop("axis", 0), named.pop("keepdims", False)
        n.refuse(name, **{key: value for key, value in named.items() if value != (None,)})
        match method:
            case "__call__":
                result = call_ufunc(ufunc, *inputs)
            case "reduce" if ufunc in REDUCTIONS:
                b = active()
                value = array_of(b, inputs[0])
                if dtype is not None:
                    value = n.s.cast(b, value, n.s.known_dtype(dtype))
                return b.wrap(REDUCTIONS[ufunc](b, value, axis, bool(keepdims)))
            case "outer" if ufunc in RULES:
                x, y = inputs
                result = call_ufunc(ufunc, n.reshape(x, (*np.shape(x), *(1,) * np.ndim(y))) if isinstance(x, Traced)
                                    else np.reshape(x, (*np.shape(x), *(1,) * np.ndim(y))), y)  # fmt: skip
            case "accumulate" if ufunc in (np.add, np.multiply):
                return (np.cumsum if ufunc is np.add else np.cumprod)(inputs[0], axis=axis, dtype=dtype)
            case _:
                raise TraceError(f"{name} is not traced", location=caller(), help="use the function it stands for")
        return result if dtype is None else n.astype(result, dtype)

    def __array_function__(self, function: Any, types: Any, args: Any, named: Any) -> Any:
        traced = n.FUNCTIONS.get(function)
        if traced is None:
            name = f"{getattr(function, '__module__', 'numpy').replace('numpy', 'np')}.{function.__name__}"
            raise TraceError(f"{name} is not traced", location=caller(),
                             help="write it in terms of functions that are, or pass its result as an argument")  # fmt: skip
        return traced(*args, **named)

    # Operators

    def __add__(self, other: Any) -> Any:
        return call_ufunc(np.add, self, other)

    def __radd__(self, other: Any) -> Any:
        return call_ufunc(np.add, other, self)

    def __sub__(self, other: Any) -> Any:
        return call_ufunc(np.subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return call_ufunc(np.subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return call_ufunc(np.multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return call_ufunc(np.multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return call_ufunc(np.true_divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return call_ufunc(np.true_divide, other, self)

    def __floordiv__(self, other: Any) -> Any:
        return call_ufunc(np.floor_divide, self, other)

    def __rfloordiv__(self, other: Any) -> Any:
        return call_ufunc(np.floor_divide, other, self)

    def __mod__(self, other: Any) -> Any:
        return call_ufunc(np.remainder, self, other)

    def __rmod__(self, other: Any) -> Any:
        return call_ufunc(np.remainder, other, self)

    def __divmod__(self, other: Any) -> Any:
        return self // other, self % other

    def __pow__(self, other: Any) -> Any:
        return call_ufunc(np.power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return call_ufunc(np.power, other, self)

    def __matmul__(self, other: Any) -> Any:
        return call_ufunc(np.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return call_ufunc(np.matmul, other, self)

    def __and__(self, other: Any) -> Any:
        return call_ufunc(np.bitwise_and, self, other)

    def __rand__(self, other: Any) -> Any:
        return call_ufunc(np.bitwise_and, other, self)

    def __or__(self, other: Any) -> Any:
        return call_ufunc(np.bitwise_or, self, other)

    def __ror__(self, other: Any) -> Any:
        return call_ufunc(np.bitwise_or, other, self)

    def __xor__(self, other: Any) -> Any:
        return call_ufunc(np.bitwise_xor, self, other)

    def __rxor__(self, other: Any) -> Any:
        return call_ufunc(np.bitwise_xor, other, self)

    def __lshift__(self, other: Any) -> Any:
        return call_ufunc(np.left_shift, self, other)

    def __rlshift__(self, other: Any) -> Any:
        return call_ufunc(np.left_shift, other, self)

    def __rshift__(self, other: Any) -> Any:
        return call_ufunc(np.right_shift, self, other)

    def __rrshift__(self, other: Any) -> Any:
        return call_ufunc(np.right_shift, other, self)

    def __neg__(self) -> Any:
        return call_ufunc(np.negative, self)

    def __pos__(self) -> Any:
        return call_ufunc(np.positive, self)

    def __abs__(self) -> Any:
        return call_ufunc(np.absolute, self)

    def __invert__(self) -> Any:
        return call_ufunc(np.invert, self)

    def __lt__(self, other: Any) -> Any:
        return call_ufunc(np.less, self, other)

    def __le__(self, other: Any) -> Any:
        return call_ufunc(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Any:
        return call_ufunc(np.greater, self, other)

    def __ge__(self, other: Any) -> Any:
        return call_ufunc(np.greater_equal, self, other)

    def __eq__(self, other: Any) -> Any:
        return call_ufunc(np.equal, self, other)

    def __ne__(self, other: Any) -> Any:
        return call_ufunc(np.not_equal, self, other)

    __hash__ = Traced.__hash__

    def __getitem__(self, index: Any) -> Any:
        return n.get_item(self, index)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TraceError("iteration over a 0-d array", location=caller())
        return (self[index] for index in range(self.shape[0]))

    # Methods

    @property
    def T(self) -> Any:
        return n.transpose(self)

    @property
    def mT(self) -> Any:
        return np.swapaxes(self, -1, -2)  # type: ignore[call-overload]

    @property
    def flat(self) -> Any:
        return iter(n.ravel(self))

    @property
    def real(self) -> Any:
        return self

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.sum](self, axis, dtype, out, keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.prod](self, axis, dtype, out, keepdims)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.mean](self, axis, dtype, out, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.max](self, axis, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.min](self, axis, out, keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.any](self, axis, out, keepdims)

    def all(self, axis: Any = None, out: Any = None, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.all](self, axis, out, keepdims)

    def var(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.var](self, axis, dtype, out, ddof, keepdims)

    def std(self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.std](self, axis, dtype, out, ddof, keepdims)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.argmax](self, axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        return n.FUNCTIONS[np.argmin](self, axis, out, keepdims=keepdims)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return n.FUNCTIONS[np.cumsum](self, axis, dtype, out)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return n.FUNCTIONS[np.cumprod](self, axis, dtype, out)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        return n.reshape(self, shape[0] if len(shape) == 1 else shape, order)

    def ravel(self, order: str = "C") -> Any:
        return n.ravel(self, order)

    def flatten(self, order: str = "C") -> Any:
        return n.ravel(self, order)

    def transpose(self, *axes: Any) -> Any:
        order = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes or None
        return n.transpose(self, order)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return n.FUNCTIONS[np.swapaxes](self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        return n.FUNCTIONS[np.squeeze](self, axis)

    def repeat(self, repeats: int, axis: Any = None) -> Any:
        return n.FUNCTIONS[np.repeat](self, repeats, axis)

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
        return n.take(self, indices, axis, out, mode)

    def dot(self, other: Any, out: Any = None) -> Any:
        return n.FUNCTIONS[np.dot](self, other, out=out)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return n.diagonal(self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
        return n.trace(self, offset, axis1, axis2, dtype, out)

    def clip(self, min: Any = None, max: Any = None, out: Any = None) -> Any:
        return n.clip(self, min, max, out)

    def round(self, decimals: int = 0, out: Any = None) -> Any:
        return n.FUNCTIONS[np.round](self, decimals, out)

    def astype(self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True) -> Any:
        return n.astype(self, dtype)

    def copy(self, order: str = "C") -> Any:
        return n.copied(self)

    def conj(self) -> Any:
        return self


def wrap(value: Value, recorder: Recorder) -> TracedArray:
    """What user code sees of a value."""
    return TracedArray(value, recorder)
