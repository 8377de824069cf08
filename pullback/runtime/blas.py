"""The BLAS already on the machine: nothing goes in, addresses of its and LAPACK's routines come out, by our names."""
from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

ROUTINES = ("dgemm", "sgemm", "dgemv", "sgemv")
LAPACK_ROUTINES = tuple(
    kind + name for name in ("gesv", "potrf", "getrf", "syevd", "gesdd", "geqrf", "orgqr") for kind in "ds"
)  # fmt: skip
"""Called by Fortran's interface in every flavour, sizes being as wide as the flavour says."""


class Flavour(Enum):
    """How a routine is called, and so what stands in the code that calls it.

    CBLAS_ILP64: row or column order by a first argument, 64-bit sizes by value. FORTRAN_LP64: column order, everything
    by pointer, 32-bit sizes.
    """

    CBLAS_ILP64 = "cblas64"
    FORTRAN_LP64 = "fortran32"


@dataclass(frozen=True)
class BlasLibrary:
    """A BLAS in memory. `addresses` has an entry ``blas_NAME`` for every one of `ROUTINES`, and
    for those of `LAPACK_ROUTINES` that it brings along.

    `thread_setter` is the address of a C function ``void (int)`` that sets how many threads it uses, or None.
    """

    flavour: Flavour
    origin: str
    addresses: Mapping[str, int]
    thread_setter: int | None = None

    def set_thread_count(self, count: int) -> bool:
        """Let the library use `count` threads; False if it has no such setting."""
        if self.thread_setter is None:
            return False
        ctypes.CFUNCTYPE(None, ctypes.c_int)(self.thread_setter)(count)
        return True


def symbol(routine: str) -> str:
    """Our name for a routine, whatever the library calls it."""
    return f"blas_{routine}"


@cache
def find() -> BlasLibrary | None:
    """The BLAS that NumPy brought along, else the one behind SciPy, else None."""
    return find_bundled() or find_scipy()


# (routine, routine of LAPACK, thread setter) as the bundled libraries name them, newest first.
_BUNDLED_NAMES = (
    ("scipy_cblas_{}64_", "scipy_{}_64_", "scipy_openblas_set_num_threads64_"),
    ("cblas_{}64_", "{}_64_", "openblas_set_num_threads64_"),
)


def find_bundled() -> BlasLibrary | None:
    """The OpenBLAS inside NumPy's wheel, called by its C interface with 64-bit sizes."""
    for path in _bundled_libraries():
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for pattern, lapack, setter in _BUNDLED_NAMES:
            addresses = {symbol(routine): _address(library, pattern.format(routine)) for routine in ROUTINES}
            if all(addresses.values()):
                solvers = {symbol(routine): _address(library, lapack.format(routine)) for routine in LAPACK_ROUTINES}
                addresses |= {name: address for name, address in solvers.items() if address}
                found = MappingProxyType(addresses)
                return BlasLibrary(Flavour.CBLAS_ILP64, path.name, found, _address(library, setter) or None)
    return None


def _bundled_libraries() -> Iterator[Path]:
    """Where wheels keep it: beside the package on Linux and Windows, inside it on macOS."""
    package = Path(np.__file__).parent
    for folder in (package.parent / "numpy.libs", package / ".dylibs"):
        if folder.is_dir():
            yield from sorted(path for path in folder.iterdir() if "openblas" in path.name)


def _address(library: ctypes.CDLL, name: str) -> int:
    """Where a function of a library stands, 0 if there is none."""
    function = getattr(library, name, None)
    return 0 if function is None else ctypes.cast(function, ctypes.c_void_p).value or 0


def find_scipy() -> BlasLibrary | None:
    """The BLAS that SciPy links to, through the table it keeps for Cython: Fortran's interface with 32-bit sizes."""
    try:
        from scipy.linalg import cython_blas, cython_lapack
    except ImportError:
        return None
    table: Mapping[str, Any] = cython_blas.__pyx_capi__
    if not table.keys() >= set(ROUTINES):
        return None
    lapack: Mapping[str, Any] = cython_lapack.__pyx_capi__
    known = {**{name: table[name] for name in ROUTINES}, **{name: lapack[name] for name in LAPACK_ROUTINES if name in lapack}}
    get_name = ctypes.pythonapi["PyCapsule_GetName"]
    get_name.restype = ctypes.c_char_p
    get_name.argtypes = [ctypes.py_object]
    get_pointer = ctypes.pythonapi["PyCapsule_GetPointer"]
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    addresses = {symbol(name): int(get_pointer(each, get_name(each))) for name, each in known.items()}
    return BlasLibrary(Flavour.FORTRAN_LP64, "scipy.linalg.cython_blas", MappingProxyType(addresses))
