"""A routine of LAPACK: its operands by number and by name go in; a call of it, and the workspace that it asks for, come out.

By Fortran's interface: everything by pointer, and behind the operands the lengths of those that are letters.
"""
from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pullback.codegen.llvm_text import FunctionText
from pullback.dtypes import DType
from pullback.runtime import blas
from pullback.runtime.blas import BlasLibrary, Flavour

WORK, INTEGERS = "work", "integers"
"""Operands that are workspace, of the matrix' dtype and of the library's integers."""
WORK_SIZE, INTEGERS_SIZE = "size of work", "size of integers"
"""Operands that say how much of it there is. A routine that takes no size of integers asks for none."""
_LARGEST_32_BIT = 2**31 - 1


def library_with(names: Sequence[str], dtype: DType, largest: int) -> BlasLibrary | None:
    """The library, if it has all these routines and its integers are wide enough for sizes up to `largest`."""
    library = blas.find()
    if library is None or any(symbol_of(name, dtype) not in library.addresses for name in names):
        return None
    return library if library.flavour is Flavour.CBLAS_ILP64 or largest <= _LARGEST_32_BIT else None


def symbol_of(name: str, dtype: DType) -> str:
    """Our name for the routine that takes this dtype."""
    return blas.symbol(("d" if dtype.itemsize == 8 else "s") + name)


def integer_bytes(library: BlasLibrary) -> int:
    """How wide its integers are."""
    return 8 if library.flavour is Flavour.CBLAS_ILP64 else 4


@dataclass(frozen=True)
class Routine:
    """One use of a routine: `letters` are its leading operands, then come numbers and names; `info` is the last."""

    name: str
    letters: str
    operands: tuple[int | str, ...]

    def workspace(self, dtype: DType, library: BlasLibrary) -> dict[str, int]:
        """What the routine wants `WORK_SIZE` and `INTEGERS_SIZE` to be, counted in elements; nothing if it takes neither."""
        if WORK_SIZE not in self.operands:
            return {}
        work, integers = _asked(self, dtype, library.addresses[symbol_of(self.name, dtype)], integer_bytes(library))
        return {WORK_SIZE: work, INTEGERS_SIZE: integers}

    def emit(self, f: FunctionText, dtype: DType, library: BlasLibrary, pointers: Mapping[str, str]) -> str:
        """Emit the call, `pointers` saying where the named operands are; gives its `info` as an i64."""
        kind = f"i{8 * integer_bytes(library)}"
        sizes = self.workspace(dtype, library)

        def number(value: int) -> str:
            name = f"lapack_{kind}_{value}"
            f.module.define_global(name, f"internal constant {kind} {value}")
            return f"@{name}"

        def letter(value: str) -> str:
            f.module.define_global(f"lapack_{value}", f"internal constant i8 {ord(value)}")
            return f"@lapack_{value}"

        texts = [letter(each) for each in self.letters]
        for operand in self.operands:
            given = sizes.get(operand, operand) if isinstance(operand, str) else operand
            texts.append(pointers[given] if isinstance(given, str) else number(given))
        info = f.alloca(kind)
        lengths = (("i64", "1"),) * len(self.letters)
        f.call(symbol_of(self.name, dtype), "void", (*(("ptr", each) for each in (*texts, info)), *lengths))
        found = f.let(f"load {kind}, ptr {info}, align 4")
        return found if kind == "i64" else f.let(f"sext i32 {found} to i64")


@cache
def _asked(routine: Routine, dtype: DType, address: int, width: int) -> tuple[int, int]:
    """Have the routine say how much it wants of `WORK` and `INTEGERS`, which it does for sizes of -1."""
    integer = ctypes.c_int64 if width == 8 else ctypes.c_int32
    work = (ctypes.c_double if dtype.itemsize == 8 else ctypes.c_float)(0.0)
    named: dict[str, Any] = {WORK: work, INTEGERS: integer(0), WORK_SIZE: integer(-1), INTEGERS_SIZE: integer(-1)}
    unread = ctypes.c_int64(0)
    passed: list[Any] = [ctypes.c_char(ord(each)) for each in routine.letters]
    passed += [integer(each) if isinstance(each, int) else named.get(each, unread) for each in routine.operands]
    info = integer(0)
    lengths = [ctypes.c_size_t(1) for _ in routine.letters]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * (len(passed) + 1), *[ctypes.c_size_t] * len(lengths))(address)
    function(*(ctypes.addressof(each) for each in (*passed, info)), *lengths)
    assert info.value == 0, (routine, info.value)
    # A float32 may be a little less than the number that was meant.
    wanted = int(work.value)
    spare = wanted >> 22 if dtype.itemsize == 4 else 0
    return max(1, wanted + spare), max(1, int(named[INTEGERS].value))
