"""What a failing check shows: values of its operands, written by native code to memory of their own, read back here.

A report is numbered by its address without the last four bits, which are 0: so it fits into a status.
"""
from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.lower.selection import STATUS_BITS
from pullback.codegen.tape import layout
from pullback.ir.types import ArrayType

_ALIGNMENT_BITS = 4


def make_report(f: FunctionText, size: int) -> str:
    """A pointer to memory for a report of so many bytes, null if there is none."""
    return f.call("malloc", "ptr", (("i64", str(max(1, size))),))


def status_with_report(f: FunctionText, report: str, failure: str) -> str:
    """The status of a failure with a report."""
    address = f.let(f"ptrtoint ptr {report} to i64")
    return f.let(f"or i64 {f.let(f'shl i64 {address}, {STATUS_BITS - _ALIGNMENT_BITS}')}, {failure}")


def take_report(number: int, types: Sequence[ArrayType]) -> list[np.ndarray[Any, Any]]:
    """The values of report `number`, whose memory is given back."""
    address, found = number << _ALIGNMENT_BITS, layout(types)
    values = []
    for kind, offset in zip(types, found.offsets, strict=True):
        data = ctypes.string_at(address + offset, kind.size * kind.dtype.itemsize)
        values.append(np.frombuffer(data, kind.dtype.numpy).reshape(kind.shape))
    free = ctypes.CDLL(None).free
    free.argtypes, free.restype = [ctypes.c_void_p], None
    free(address)
    return values
