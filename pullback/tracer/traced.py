"""A traced value: what is known of it, what cannot be asked of it, and how operands are brought into one trace."""
from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pullback.errors import ArgumentError, TraceError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.record import Recorder
from pullback.tracer.semantics.elementwise import Operand, Weak, promoted, ready, shape_of
from pullback.tracer.semantics.shapes import stack


class Traced:
    """Holds an IR value and the recorder that it belongs to. `weak` marks what was a Python number.

    `numpy_protocol.TracedArray` adds what NumPy can do with it.
    """

    __slots__ = ("recorder", "value", "weak")
    __array_priority__ = 1000.0

    def __init__(self, value: Value, recorder: Recorder, weak: bool = False) -> None:
        self.value = value
        self.recorder = recorder
        self.weak = weak

    # What is known of it

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.type.shape

    @property
    def ndim(self) -> int:
        return self.value.type.rank

    @property
    def size(self) -> int:
        return self.value.type.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.value.type.dtype.numpy

    @property
    def itemsize(self) -> int:
        return self.value.type.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TraceError("len() of unsized object", location=caller())
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Traced({self.value.type})"

    # What cannot be traced

    def _concrete(self, what: str, help: str) -> NoReturn:
        raise TraceError(f"{what} needs a number, but {self.value.type} is only known when the compiled code runs",
                         location=caller(), help=help)  # fmt: skip

    def __bool__(self) -> bool:
        self._concrete("a Python condition", "use np.where(condition, x, y), which computes both and chooses")

    def __float__(self) -> float:
        self._concrete("float(x)", "leave x as it is, or use x.astype(np.float64)")

    def __int__(self) -> int:
        self._concrete("int(x)", "use x.astype(np.int64)")

    def __index__(self) -> int:
        self._concrete("an index or a range", "index an array with x itself, or pass the number as static_argnums")

    def __complex__(self) -> complex:
        self._concrete("complex(x)", "complex numbers are not supported")

    def item(self, *args: Any) -> NoReturn:
        self._concrete("item()", "return the array and take item() of the result")

    def tolist(self) -> NoReturn:
        self._concrete("tolist()", "return the array and take tolist() of the result")

    def __array__(self, *args: Any, **keywords: Any) -> NoReturn:
        self._concrete("np.asarray(x), or a NumPy function that is not traced,",
                       "use x as it is: NumPy functions take traced values directly")  # fmt: skip

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TraceError("array assignment is not traced", location=caller(),
                         help="build the array with np.where, np.concatenate or np.stack")  # fmt: skip

    def __hash__(self) -> int:
        raise TraceError("a traced value cannot be a dict key or set element", location=caller())

    def __copy__(self) -> Traced:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        return self


def innermost(values: list[Any]) -> Recorder:
    """The recorder deepest inside of those that the traced among `values` belong to."""
    best: Recorder | None = None
    for value in values:
        if isinstance(value, Traced):
            if best is None or best.encloses(value.recorder):
                best = value.recorder
            elif not value.recorder.encloses(best):
                raise TraceError("values of two separate traces meet", location=caller(),
                                 help="a traced value was stored outside of the function that made it")  # fmt: skip
    if best is None:
        raise TraceError("no traced value among the operands", location=caller())
    return best


def lower(recorder: Recorder, value: Any) -> Operand:
    """An operand of an operation: a value of this trace, or a Python number as it is."""
    if isinstance(value, Traced):
        inner = value.value
        if value.recorder is not recorder:
            inner = lift_through(recorder, value)
        return Weak(inner) if value.weak else inner
    if type(value) in (bool, int, float):
        return value  # type: ignore[no-any-return]
    if isinstance(value, np.ndarray | np.generic):
        return recorder.capture(np.asarray(value))
    if isinstance(value, list | tuple):
        if any(isinstance(each, Traced | list | tuple) for each in value):
            return stacked(recorder, value)
        return recorder.capture(np.asarray(value))
    raise ArgumentError(f"a {type(value).__name__} cannot be combined with a traced array", location=caller(),
                        help="use arrays, numbers, or nested lists of them")  # fmt: skip


def lift_through(recorder: Recorder, value: Traced) -> Value:
    """A value of an enclosing trace, handed inward level by level."""
    chain = []
    step: Recorder | None = recorder
    while step is not None and step is not value.recorder:
        chain.append(step)
        step = step.outer
    if step is None:
        raise TraceError("a traced value is used outside of the function that made it", location=caller(),
                         help="return it from the function instead of storing it outside")  # fmt: skip
    inner = value.value
    for each in reversed(chain):
        inner = each.lift(inner)
    return inner


def stacked(recorder: Recorder, values: Any) -> Value:
    """A nested list of traced values and numbers as one array: np.array([x, 2 * x])."""
    operands = [lower(recorder, value) for value in values]
    dtype = promoted(operands)
    return stack(recorder, [ready(recorder, each, dtype, shape_of(each)) for each in operands])


def array_of(recorder: Recorder, value: Any) -> Value:
    """`value` as an IR value, Python numbers with their own dtype."""
    operand = lower(recorder, value)
    if isinstance(operand, Weak):
        return operand.value
    return operand if isinstance(operand, Value) else recorder.capture(np.asarray(operand))
