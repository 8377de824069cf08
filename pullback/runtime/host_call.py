"""Python functions as native code calls them: a function and the types of its arrays in, an address out."""
from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Kind = tuple[np.dtype[Any], tuple[int, ...]]

_PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)


class Trampoline:
    """``i64 (ptr arguments, ptr results)`` at `address`, which must not be called once this object is gone.

    It takes arrays of pointers to arrays in C order, copies the arguments, calls `function` on them with the interpreter
    locked, and copies what it gives. It returns 0, or 1 after an exception, which `take_error` then gives.
    """

    def __init__(self, function: Callable[[list[Array]], Sequence[Array]], arguments: Sequence[Kind],
                 results: Sequence[Kind]) -> None:  # fmt: skip
        self._function = function
        self._arguments = tuple(arguments)
        self._results = tuple(results)
        self._errors: dict[int, BaseException] = {}
        self._callback = _PROTOTYPE(self._run)

    @property
    def address(self) -> int:
        return ctypes.cast(self._callback, ctypes.c_void_p).value or 0

    def take_error(self) -> BaseException:
        """The exception of the call in this thread that returned 1."""
        return self._errors.pop(threading.get_ident())

    def _run(self, arguments: int, results: int) -> int:
        try:
            pointers = _pointers(arguments, len(self._arguments))
            values = [_view(pointer, *kind).copy() for pointer, kind in zip(pointers, self._arguments, strict=True)]
            found = self._function(values)
            pointers = _pointers(results, len(self._results))
            for pointer, kind, value in zip(pointers, self._results, found, strict=True):
                _view(pointer, *kind)[...] = value
        except BaseException as error:  # even KeyboardInterrupt: native code must return first
            self._errors[threading.get_ident()] = error
            return 1
        return 0


def _pointers(address: int, count: int) -> list[int]:
    return [each or 0 for each in (ctypes.c_void_p * count).from_address(address)] if count else []


def _view(address: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """The array in memory at an address."""
    size = prod(shape) * dtype.itemsize
    if not size:
        return np.empty(shape, dtype)
    memory: Any = (ctypes.c_char * size).from_address(address)
    return np.frombuffer(memory, np.uint8).view(dtype).reshape(shape)
