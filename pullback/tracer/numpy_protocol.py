"""The traced array that user code sees: Python's operators, ndarray's methods, and NumPy's two protocols."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from pullback.errors import TraceError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer import assign
from pullback.tracer.chosen.array import CHOOSING, ChosenArray
from pullback.tracer.chosen.places import choose, gather, has_chosen, has_mask, has_range, ranged
from pullback.tracer.creation import fresh
from pullback.tracer.memory import known_arrays
from pullback.tracer.numpy_functions import selection, shapes, values
from pullback.tracer.numpy_functions.refused import refuse_attribute, refuse_function
from pullback.tracer.numpy_functions.table import FUNCTIONS
from pullback.tracer.record import Recorder
from pullback.tracer.traced import Traced
from pullback.tracer.ufunc_calls import by_operator, call_method
from pullback.tracer.ufunc_plans import of_one, of_two
from pullback.tracer.undefined import NotAnArray
from pullback.tracer.views import FLIPS, OTHERS, PERMUTATIONS, RESHAPES, viewed


def unary(ufunc: np.ufunc) -> Callable[..., Any]:
    """``-self``."""

    def operator(self: Traced) -> Any:
        planned = of_one(ufunc, self, True)
        return _operate(ufunc, self) if planned is None else planned

    return operator


def forward(ufunc: np.ufunc) -> Callable[..., Any]:
    """``self + other``."""

    def operator(self: Traced, other: Any, *more: Any) -> Any:
        planned = None if more else of_two(ufunc, self, other, True)
        return _operate(ufunc, self, other, *more) if planned is None else planned

    return operator


def backward(ufunc: np.ufunc) -> Callable[..., Any]:
    """``other + self``."""

    def operator(self: Traced, other: Any) -> Any:
        planned = of_two(ufunc, other, self, True)
        return _operate(ufunc, other, self) if planned is None else planned

    return operator


def _operate(ufunc: np.ufunc, *operands: Any) -> Any:
    """An operator whose operands are looked at one by one."""
    if (known := known_arrays(operands)) is not None:
        return fresh(ufunc(*known))
    return by_operator(ufunc, *operands)


def in_place(ufunc: np.ufunc) -> Callable[..., Any]:
    """``self += other``: an array with axes changes its elements; a number is bound anew."""

    def operator(self: Traced, other: Any) -> Any:
        return assign.in_place(ufunc, self, other) if self.type.rank else NotImplemented

    return operator


def _with_arrays(x: Traced, index: Any) -> Any:
    """``x[index]`` with arrays in the index."""
    if has_mask(index):
        return choose(ChosenArray, x, index)
    if has_range(index):
        return ranged(ChosenArray, x, index)
    return gather(x, index) if has_chosen(index) else selection.get_item(x, index)


class TracedArray(Traced):
    """See `Traced`. Every operation records; nothing is computed."""

    __slots__ = ()

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **named: Any) -> Any:
        if method == "__call__" and not named and len(inputs) <= 2:
            first, *more = inputs
            planned = of_two(ufunc, first, more[0], False) if more else of_one(ufunc, first, False)
            if planned is not None:
                return planned
        if method == "at":
            assign.at(ufunc, *inputs)
            return None
        if any(isinstance(each, NotAnArray) for each in inputs):
            return NotImplemented
        out = named.pop("out", None)
        if (known := known_arrays(inputs)) is not None:
            result = fresh(getattr(ufunc, method)(*known, **named))
        else:
            result = call_method(ufunc, method, inputs, named)
        return result if out is None else assign.store_results(out, result, named.get("casting", "same_kind"))

    def __array_function__(self, function: Any, types: Any, args: Any, named: Any) -> Any:
        if not all(issubclass(kind, Traced | np.ndarray) for kind in types):
            return NotImplemented
        if function in assign.FUNCTIONS:
            return assign.FUNCTIONS[function](*args, **named)
        traced = CHOOSING.get(function) or FUNCTIONS.get(function)
        if traced is None:
            refuse_function(function)
        if isinstance(named.get("out"), Traced):
            out = named.pop("out")
            return assign.store_result(out, traced(*args, **named))
        result = traced(*args, **named)
        if function in RESHAPES or function in PERMUTATIONS or function in FLIPS or function in OTHERS:
            return viewed(function, args[0] if args else None, result, *args[1:], **named)
        return result

    __add__, __radd__ = forward(np.add), backward(np.add)
    __sub__, __rsub__ = forward(np.subtract), backward(np.subtract)
    __mul__, __rmul__ = forward(np.multiply), backward(np.multiply)
    __truediv__, __rtruediv__ = forward(np.true_divide), backward(np.true_divide)
    __floordiv__, __rfloordiv__ = forward(np.floor_divide), backward(np.floor_divide)
    __mod__, __rmod__ = forward(np.remainder), backward(np.remainder)
    __divmod__, __rdivmod__ = forward(np.divmod), backward(np.divmod)
    __pow__, __rpow__ = forward(np.power), backward(np.power)
    __matmul__, __rmatmul__ = forward(np.matmul), backward(np.matmul)
    __and__, __rand__ = forward(np.bitwise_and), backward(np.bitwise_and)
    __or__, __ror__ = forward(np.bitwise_or), backward(np.bitwise_or)
    __xor__, __rxor__ = forward(np.bitwise_xor), backward(np.bitwise_xor)
    __lshift__, __rlshift__ = forward(np.left_shift), backward(np.left_shift)
    __rshift__, __rrshift__ = forward(np.right_shift), backward(np.right_shift)
    __neg__, __pos__, __abs__ = unary(np.negative), unary(np.positive), unary(np.absolute)
    __invert__ = unary(np.invert)
    __lt__, __le__ = forward(np.less), forward(np.less_equal)
    __gt__, __ge__ = forward(np.greater), forward(np.greater_equal)
    __eq__, __ne__ = forward(np.equal), forward(np.not_equal)
    __hash__ = Traced.__hash__
    __iadd__, __isub__, __imul__ = in_place(np.add), in_place(np.subtract), in_place(np.multiply)
    __itruediv__, __ifloordiv__ = in_place(np.true_divide), in_place(np.floor_divide)
    __imod__, __ipow__, __imatmul__ = in_place(np.remainder), in_place(np.power), in_place(np.matmul)
    __iand__, __ior__, __ixor__ = in_place(np.bitwise_and), in_place(np.bitwise_or), in_place(np.bitwise_xor)
    __ilshift__, __irshift__ = in_place(np.left_shift), in_place(np.right_shift)

    def __getitem__(self, index: Any) -> Any:
        return assign.get_item(self, index, _with_arrays)

    def __setitem__(self, index: Any, value: Any) -> None:
        assign.set_item(self, index, value)

    def __getattr__(self, name: str) -> Any:
        refuse_attribute(name)

    def __iter__(self) -> Iterator[Any]:
        if not self.shape:
            raise TraceError("iteration over a 0-d array", location=caller())
        return (self[index] for index in range(self.shape[0]))

    # Attributes and methods of an ndarray, in the order of NumPy's manual

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def mT(self) -> Any:
        return viewed(np.swapaxes, self, shapes.matrix_transpose(self), -1, -2)

    @property
    def flat(self) -> Any:
        return self.ravel()

    @flat.setter
    def flat(self, value: Any) -> None:
        assign.set_item(self.ravel(), Ellipsis, value)

    @property
    def real(self) -> Any:
        return self

    @property
    def imag(self) -> Any:
        return values.imaginary(self)

    def astype(
        self, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True
    ) -> Any:
        if not np.can_cast(self.dtype, dtype, casting):  # type: ignore[arg-type]
            raise TraceError(
                f"cannot cast {self.value.type} to {np.dtype(dtype)} by the rule {casting!r}", location=caller()
            )
        return values.astype(self, dtype, copy=copy)

    def copy(self, order: str = "C") -> Any:
        return shapes.copied(self)

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> Any:
        return viewed(np.reshape, self, shapes.reshape(self, shape[0] if len(shape) == 1 else shape, order))

    def ravel(self, order: str = "C") -> Any:
        return viewed(np.ravel, self, shapes.ravel(self, order))

    def flatten(self, order: str = "C") -> Any:
        return shapes.ravel(self, order)

    def transpose(self, *axes: Any) -> Any:
        order = None if not axes else axes[0] if len(axes) == 1 else axes
        return viewed(np.transpose, self, shapes.transpose(self, order), order)

    def swapaxes(self, axis1: int, axis2: int) -> Any:
        return viewed(np.swapaxes, self, shapes.swapaxes(self, axis1, axis2), axis1, axis2)

    def squeeze(self, axis: Any = None) -> Any:
        return viewed(np.squeeze, self, shapes.squeeze(self, axis))

    def fill(self, value: Any) -> None:
        assign.set_item(self, Ellipsis, value)

    def take(self, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
        return CHOOSING[np.take](self, indices, axis, out, mode)

    def repeat(self, repeats: Any, axis: Any = None) -> Any:
        return shapes.repeat(self, repeats, axis)

    def choose(self, choices: Any, out: Any = None, mode: str = "raise") -> Any:
        return selection.choose(self, choices, out, mode)

    def compress(self, condition: Any, axis: Any = None, out: Any = None) -> Any:
        return CHOOSING[np.compress](condition, self, axis, out)

    def nonzero(self) -> Any:
        return CHOOSING[np.nonzero](self)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
        return viewed(np.diagonal, self, shapes.diagonal(self, offset, axis1, axis2))

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None) -> Any:
        return shapes.trace(self, offset, axis1, axis2, dtype, out)

    def argsort(self, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> Any:
        return FUNCTIONS[np.argsort](self, axis, kind, order)

    def sort(self, axis: Any = -1, kind: Any = None, order: Any = None, *, stable: Any = None) -> None:
        self[...] = FUNCTIONS[np.sort](self, axis, kind, order)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> Any:
        return selection.searchsorted(self, v, side, sorter)

    def dot(self, b: Any, out: Any = None) -> Any:
        return FUNCTIONS[np.dot](self, b, out=out)

    def clip(self, min: Any = None, max: Any = None, out: Any = None, **named: Any) -> Any:
        return selection.clip(self, min, max, out, **named)

    def round(self, decimals: int = 0, out: Any = None) -> Any:
        return values.rounded(self, decimals, out)

    def conj(self) -> Any:
        return self

    def conjugate(self) -> Any:
        return self

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **named: Any) -> Any:
        return FUNCTIONS[np.sum](self, axis, dtype, out, keepdims, **named)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **named: Any) -> Any:
        return FUNCTIONS[np.prod](self, axis, dtype, out, keepdims, **named)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False, **named: Any) -> Any:
        return FUNCTIONS[np.mean](self, axis, dtype, out, keepdims, **named)

    def var(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, **named: Any
    ) -> Any:
        return FUNCTIONS[np.var](self, axis, dtype, out, ddof, keepdims, **named)

    def std(
        self, axis: Any = None, dtype: Any = None, out: Any = None, ddof: float = 0, keepdims: Any = False, **named: Any
    ) -> Any:
        return FUNCTIONS[np.std](self, axis, dtype, out, ddof, keepdims, **named)

    def max(self, axis: Any = None, out: Any = None, keepdims: Any = False, **named: Any) -> Any:
        return FUNCTIONS[np.max](self, axis, out, keepdims, **named)

    def min(self, axis: Any = None, out: Any = None, keepdims: Any = False, **named: Any) -> Any:
        return FUNCTIONS[np.min](self, axis, out, keepdims, **named)

    def any(self, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        return FUNCTIONS[np.any](self, axis, out, keepdims, where=where)

    def all(self, axis: Any = None, out: Any = None, keepdims: Any = False, *, where: Any = True) -> Any:
        return FUNCTIONS[np.all](self, axis, out, keepdims, where=where)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        return FUNCTIONS[np.argmax](self, axis, out, keepdims=keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: Any = False) -> Any:
        return FUNCTIONS[np.argmin](self, axis, out, keepdims=keepdims)

    def cumsum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return FUNCTIONS[np.cumsum](self, axis, dtype, out)

    def cumprod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        return FUNCTIONS[np.cumprod](self, axis, dtype, out)


def wrap(value: Value | None, recorder: Recorder) -> TracedArray:
    """What user code sees of a value."""
    return TracedArray(value, recorder)
