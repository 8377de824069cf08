"""Machine code as something Python can call: addresses and specifications go in, callables come out."""
from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from pullback.runtime.abi import ArgumentKind, ArgumentSpec, EntrySpec, ResultTree, layout, self_test

_FAST_CALL_WITH_KEYWORDS = 0x80 | 0x02  # METH_FASTCALL | METH_KEYWORDS
_ALIGNMENT = 64


class NativeFunction:
    """A builtin function around an entry that `codegen.entry` emitted; `call` is the builtin itself.

    `owner` keeps the code at `address` alive. `miss` is called with the arguments that the entry does not take,
    `fail` with the status of a body that gave up; `fail` must raise.

    The builtin lives by itself: whoever holds `call` may drop the NativeFunction. It holds one tuple (its
    ``__self__``) with `miss` and `fail` open to the cycle collector, since `miss` is usually a method of an object
    that holds the builtin. The code must outlive every Python object of such a cycle, whatever order the collector
    takes them apart in. So it is held through an array of objects, which the collector does not look into: it goes
    when the builtin's count of references drops to nothing, and not before. Hence `owner` must not lead back to the
    builtin, or both live forever. The method definition is a `bytes` for the same reason.
    """

    __slots__ = ("call",)

    def __init__(
        self,
        address: int,
        owner: object,
        miss: Callable[..., Any],
        fail: Callable[[int], Any],
        name: str = "native",
        doc: str = "",
    ) -> None:
        texts = (name.encode() + b"\0", doc.encode() + b"\0")
        definition = struct.pack(
            "@PPiP", _data_address(texts[0]), address, _FAST_CALL_WITH_KEYWORDS, _data_address(texts[1])
        )
        hidden = np.empty((), dtype=object)
        hidden[()] = owner
        new_function = ctypes.pythonapi["PyCFunction_NewEx"]
        new_function.restype = ctypes.py_object
        new_function.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
        # Items abi.MISS_ITEM and abi.FAIL_ITEM are the entry's; the others are there to be kept.
        self.call: Callable[..., Any] = new_function(
            _data_address(definition), (miss, fail, hidden, definition, texts), None
        )

    def __call__(self, *args: Any, **keywords: Any) -> Any:
        """Call the builtin; `call` does the same with less ado."""
        return self.call(*args, **keywords)


def _data_address(content: bytes) -> int:
    """Where the bytes of `content` stand; fixed as long as it lives."""
    return ctypes.cast(ctypes.c_char_p(content), ctypes.c_void_p).value or 0


class CtypesEntry:
    """What an entry does, in Python: for interpreters where `abi.self_test` fails, and to check entries against.

    `address` is the body's, not the entry's. `call` is a bound method; `owner`, `miss` and `fail` are as for
    `NativeFunction`.
    """

    def __init__(
        self,
        address: int,
        owner: object,
        spec: EntrySpec,
        miss: Callable[..., Any],
        fail: Callable[[int], Any],
    ) -> None:
        self.spec = spec
        self._body = _body_function(address, release_gil=spec.release_gil)
        self._owner = owner
        self._miss = miss
        self._fail = fail

    def call(self, *args: Any, **keywords: Any) -> Any:
        """Check the arguments, run the body, hand the results back."""
        spec = self.spec
        if keywords or len(args) != len(spec.arguments):
            return self._miss(*args, **keywords)
        arrays = []
        for value, argument in zip(args, spec.arguments, strict=True):
            array = _as_array(value, argument)
            if array is None:
                return self._miss(*args)
            arrays.append(array)
        results = [np.empty(result.shape, result.dtype.numpy) for result in spec.results]
        status = _run(self._body, arrays, results, spec.arena_bytes)
        if status:
            return self._fail(status)
        outputs = [
            array[()] if result.scalar else array for array, result in zip(results, spec.results, strict=True)
        ]
        return _nest(spec.tree, outputs)

    __call__ = call


def _as_array(value: Any, argument: ArgumentSpec) -> np.ndarray[Any, Any] | None:
    """The memory that a body reads for `value`, None if the argument does not fit exactly."""
    dtype = argument.dtype.numpy
    match argument.kind:
        case ArgumentKind.ARRAY:
            if type(value) is np.ndarray:
                fits = value.dtype is dtype and value.shape == argument.shape
                return value if fits and value.flags.c_contiguous and value.flags.aligned else None
            return np.asarray(value) if argument.shape == () and type(value) is dtype.type else None
        case ArgumentKind.PYTHON_FLOAT:
            return np.array(value, dtype) if type(value) is float else None
        case ArgumentKind.PYTHON_INT:
            return np.array(value, dtype) if type(value) is int and -(2**63) <= value < 2**63 else None
        case ArgumentKind.PYTHON_BOOL:
            return np.array(value, dtype) if type(value) is bool else None


def _nest(tree: ResultTree, outputs: Sequence[Any]) -> Any:
    return outputs[tree] if isinstance(tree, int) else tuple(_nest(child, outputs) for child in tree)


def call_body(
    address: int,
    arguments: Sequence[np.ndarray[Any, Any]],
    results: Sequence[np.ndarray[Any, Any]],
    arena_bytes: int,
    *,
    release_gil: bool = False,
) -> int:
    """Run the body at `address` on arrays known to fit it (C-contiguous, aligned, right dtype); give its status."""
    return _run(_body_function(address, release_gil=release_gil), arguments, results, arena_bytes)


def _body_function(address: int, *, release_gil: bool) -> Callable[[Any, Any, int], int]:
    """The body as a ctypes function; ctypes lets other threads run only if told so."""
    return _prototype(release_gil)(address)


@cache
def _prototype(release_gil: bool) -> Callable[[int], Callable[[Any, Any, int], int]]:
    """The type of bodies. Making it takes longer than a short body runs."""
    prototype = ctypes.CFUNCTYPE if release_gil else ctypes.PYFUNCTYPE
    return prototype(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


def _run(
    body: Callable[[Any, Any, int], int],
    arguments: Sequence[np.ndarray[Any, Any]],
    results: Sequence[np.ndarray[Any, Any]],
    arena_bytes: int,
) -> int:
    """Call `body` with the arrays' data pointers and a fresh arena."""
    address = _address_reader()
    arena = np.empty(arena_bytes + _ALIGNMENT, np.uint8) if arena_bytes else None
    arena_address = 0 if arena is None else -(-address(arena) // _ALIGNMENT) * _ALIGNMENT
    argument_pointers = struct.pack(f"@{len(arguments)}P", *[address(array) for array in arguments])
    result_pointers = struct.pack(f"@{len(results)}P", *[address(array) for array in results])
    return body(argument_pointers, result_pointers, arena_address)


@cache
def _address_reader() -> Callable[[np.ndarray[Any, Any]], int]:
    """What tells where an array's data starts: read from the object, where it is laid out as entries count on."""
    if not self_test():
        return lambda array: int(array.__array_interface__["data"][0])
    offset, word_at = layout().array_data, ctypes.c_uint64.from_address
    return lambda array: word_at(id(array) + offset).value
