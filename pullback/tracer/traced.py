"""A traced value: what is known of it, what cannot be asked of it, and how operands are brought into one trace."""
from __future__ import annotations

import operator
from typing import Any, NoReturn, Protocol

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, ConcreteError, TraceError
from pullback.ir.complaint import mark
from pullback.ir.core import Value
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.record import Recorder, current_recorder, escaped
from pullback.tracer.semantics.elementwise import Operand, Weak, promoted, ready, shape_of
from pullback.tracer.semantics.shapes import stack
from pullback.tracer.undefined import NotAnArray


class Memory(Protocol):
    """Where the elements of a traced array are that has no value of its own: see `memory`."""

    def type(self) -> ArrayType: ...

    def read(self, owner: Traced) -> Value: ...

    def write(self, owner: Traced, value: Value) -> None: ...

    def known(self) -> np.ndarray[Any, Any] | None: ...


class Traced:
    """Holds an IR value and the recorder that it belongs to. `weak` marks what was a Python number.

    Its elements may be replaced: as in NumPy, the object is the array. A view, or an array whose elements are still
    known, has a `memory` instead of a value. `depth` is the number of regions that the object was made in.
    `numpy_protocol.TracedArray` adds what NumPy can do with it.
    """

    __slots__ = ("depth", "memory", "own", "recorder", "weak")
    __array_priority__ = 1000.0

    def __init__(
        self, value: Value | None, recorder: Recorder, weak: bool = False, memory: Memory | None = None
    ) -> None:
        self.own = value
        self.recorder = recorder
        self.weak = weak
        self.memory = memory
        self.depth = len(recorder.frames)

    @property
    def value(self) -> Value:
        """The IR value of the elements as they are now."""
        if self.memory is not None:
            return self.memory.read(self)
        assert self.own is not None
        return self.own

    @property
    def type(self) -> ArrayType:
        """Element type and dims."""
        if self.memory is not None:
            return self.memory.type()
        assert self.own is not None
        return self.own.type

    @property
    def state(self) -> Any:
        """What may be put back to undo a write."""
        return self.own, self.memory

    @state.setter
    def state(self, state: Any) -> None:
        self.own, self.memory = state

    def store(self, value: Value) -> None:
        """Replace all elements: an IR value of the same type."""
        if self.memory is not None:
            self.memory.write(self, value)
        else:
            self.recorder.log(self)
            self.own = value

    @property
    def known(self) -> np.ndarray[Any, Any] | None:
        """The elements, while they are those of an array that the trace did not compute."""
        return None if self.memory is None else self.memory.known()

    # What is known of it

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def ndim(self) -> int:
        return self.type.rank

    @property
    def size(self) -> int:
        return self.type.size

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.type.dtype.numpy

    @property
    def itemsize(self) -> int:
        return self.type.dtype.itemsize

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    def __len__(self) -> int:
        if not self.shape:
            raise TraceError("len() of a value without axes", location=caller(), help="x.size is 1")
        return self.shape[0]

    def __repr__(self) -> str:
        return self._shown("r", "") or f"Traced({self.type})"

    def __str__(self) -> str:
        return self._shown("s", "") or repr(self)

    def __format__(self, specification: str) -> str:
        return self._shown("", specification) or repr(self)

    def _shown(self, conversion: str, specification: str) -> str:
        """Where an exception is being made whose message shows this, the mark that stands for it there."""
        recorder = current_recorder()
        if recorder is None or recorder.message is None or recorder is not self.recorder:
            return ""
        recorder.message.append((self, conversion, specification))
        return mark(len(recorder.message) - 1)

    # What cannot be traced

    def _concrete(self, what: str, help: str) -> NoReturn:
        raise ConcreteError(f"{what} needs a number, but {self.type} is only known when the compiled code runs",
                         location=caller(), help=help)  # fmt: skip

    def __bool__(self) -> bool:
        if (known := self.known) is not None:
            return bool(known)
        self._concrete("a Python condition",
                       "use np.where(condition, x, y), or np.maximum and np.minimum for max() and min()")  # fmt: skip

    def __float__(self) -> float:
        if (known := self.known) is not None:
            return float(known)
        self._concrete("float(x), or a function of math,", "leave x as it is, and use np.sin(x) for math.sin(x)")

    def __int__(self) -> int:
        if (known := self.known) is not None:
            return int(known)
        self._concrete("int(x)", "use x.astype(np.int64), or pass the number as static_argnums")

    def __index__(self) -> int:
        if (known := self.known) is not None:
            return operator.index(known)
        self._concrete("an index, a size or a range",
                       "pass an array that is indexed by x as an argument too, or name sizes in static_argnums")

    def __complex__(self) -> complex:
        self._concrete("complex(x)", "complex numbers are not supported")

    def __round__(self, digits: int = 0) -> NoReturn:
        self._concrete("round(x)", "use np.round(x)")

    def item(self, *args: Any) -> Any:
        if (known := self.known) is not None:
            return known.item(*args)
        self._concrete("item()", "leave x as it is: an array without axes serves as a number")

    def tolist(self) -> Any:
        if (known := self.known) is not None:
            return known.tolist()
        self._concrete("tolist()", "return the array and take tolist() of the result")

    def tobytes(self, order: Any = "C") -> Any:
        if (known := self.known) is not None:
            return known.tobytes(order)
        self._concrete("tobytes()", "return the array and take tobytes() of the result")

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if (known := self.known) is not None:
            return np.array(known, dtype)
        self._concrete(
            "np.asarray(x), np.array([x, ...]), or a function that makes an array of x,",
            "use x as it is, np.stack([x, y]) for np.array([x, y]), and make an array that x indexes an argument",
        )  # fmt: skip

    def __hash__(self) -> int:
        raise TraceError("a traced value cannot be a dict key or set element", location=caller(),
                         help="use a Python number or a string as the key")  # fmt: skip

    def __copy__(self) -> Traced:
        return type(self)(self.value, self.recorder, self.weak)

    def __deepcopy__(self, memo: dict[int, Any]) -> Traced:
        return self.__copy__()

    def __reduce__(self) -> NoReturn:
        raise TraceError("a traced value cannot be pickled", location=caller())


def active() -> Recorder:
    """The recorder that the user's call goes to, with his line noted. Raises: TraceError when no trace is under way."""
    recorder = current_recorder()
    if recorder is None:
        raise escaped()
    recorder.note()
    return recorder


def lower(recorder: Recorder, value: Any) -> Operand:
    """An operand of an operation: a value of this trace, or a Python number as it is.

    Raises: TraceError for a value of a trace that is over, ArgumentError for what no array is made of.
    """
    if isinstance(value, Traced):
        inner = value.value if value.recorder is recorder else lift_through(recorder, value)
        return Weak(inner) if value.weak else inner
    kind = type(value)
    if kind is float or kind is int or kind is bool:
        return value  # type: ignore[no-any-return]
    if isinstance(value, np.ndarray | np.generic):
        return recorder.capture(outside(value))
    if isinstance(value, list | tuple):
        if any(isinstance(each, Traced | list | tuple) for each in value):
            return stacked(recorder, value)
        return recorder.capture(outside(np.asarray(value)))
    if isinstance(value, NotAnArray):
        value.fail()
    help = "use arrays, numbers, or nested lists of them"
    if kind is complex:
        help = "complex numbers are not supported: keep real and imaginary parts in arrays of their own"
    raise ArgumentError(f"a {kind.__name__} cannot be combined with a traced array", location=caller(), help=help)


def outside(value: Any) -> np.ndarray[Any, Any]:
    """An array that was not traced, fit to be captured. Raises: ArgumentError for what the IR has no type for."""
    if isinstance(value, np.ma.MaskedArray | np.matrix):
        raise ArgumentError(f"a {type(value).__name__} cannot be combined with a traced array", location=caller(),
                            help="convert it to a plain array outside of the traced function")  # fmt: skip
    if dtypes.from_numpy(value.dtype) is None:
        known = ", ".join(each.short_name for each in dtypes.ALL)
        raise ArgumentError(f"an array of dtype {value.dtype} cannot be combined with a traced array",
                            location=caller(), help=f"use astype with one of {known}")  # fmt: skip
    return value if isinstance(value, np.ndarray) else np.asarray(value)


def lift_through(recorder: Recorder, value: Traced) -> Value:
    """A value of an enclosing trace, handed inward level by level. Raises: TraceError if its trace is not around."""
    chain = []
    step: Recorder | None = recorder
    while step is not None and step is not value.recorder:
        chain.append(step)
        step = step.outer
    if step is None:
        raise escaped()
    inner = value.value
    for each in reversed(chain):
        inner = each.lift(inner)
    return inner


def stacked(recorder: Recorder, values: Any) -> Value:
    """A nested list of traced values and numbers as one array."""
    operands = [lower(recorder, value) for value in values]
    dtype = promoted(operands)
    return stack(recorder, [ready(recorder, each, dtype, shape_of(each)) for each in operands])


def array_of(recorder: Recorder, value: Any) -> Value:
    """`value` as an IR value, Python numbers with their own dtype."""
    operand = lower(recorder, value)
    if isinstance(operand, Weak):
        return operand.value
    return operand if isinstance(operand, Value) else ready(recorder, operand, promoted([operand]), ())
