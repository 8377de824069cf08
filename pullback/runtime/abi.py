"""How native code meets CPython and NumPy: what a call takes and gives, object layouts, and addresses by name."""
from __future__ import annotations

import ctypes
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.runtime.arena import CELL_ADDRESS

ARENA_CELL = "arena_cell"
"""The name of the place where the kept block's address stands: see `arena`."""
KEPT_BYTES = 64 << 20
"""Arenas of more bytes are given back to the system: to fill them takes longer than to map them."""
HEADER_BYTES = 8
"""A block begins with how many bytes it has, an i64."""


class ArgumentKind(Enum):
    """Which Python object an argument must be, exactly: a subclass is another kind of call."""

    ARRAY = "array"
    PYTHON_FLOAT = "float"
    PYTHON_INT = "int"
    PYTHON_BOOL = "bool"


@dataclass(frozen=True)
class ArgumentSpec:
    """One argument of a native function.

    An ARRAY is a C-contiguous, aligned `ndarray` of exactly this dtype and shape; with shape ``()`` a NumPy scalar of
    that dtype will do too. A PYTHON_FLOAT is read as f64, a PYTHON_INT as i64 (a larger one misses), a PYTHON_BOOL as
    one byte.
    """

    kind: ArgumentKind
    dtype: DType
    shape: tuple[int, ...] = ()


@dataclass(frozen=True)
class ResultSpec:
    """One result: a fresh C-contiguous `ndarray`, or with `scalar` (and shape ``()``) a NumPy scalar."""

    dtype: DType
    shape: tuple[int, ...] = ()
    scalar: bool = False


# How results are handed back: the number of a result, or a tuple of such trees.
ResultTree: TypeAlias = int | tuple["ResultTree", ...]


@dataclass(frozen=True)
class EntrySpec:
    """A native function as Python sees it: its arguments, results, how they nest, and its scratch memory in bytes."""

    arguments: tuple[ArgumentSpec, ...]
    results: tuple[ResultSpec, ...]
    tree: ResultTree
    arena_bytes: int = 0
    release_gil: bool = False


@dataclass(frozen=True)
class Layout:
    """Byte offsets inside CPython's and NumPy's objects, from the size of the object header on.

    `payload` is where a float's and a NumPy scalar's value starts, `tuple_items` where a tuple's first item stands.
    """

    type: int
    payload: int
    array_data: int
    array_rank: int
    array_shape: int
    array_dtype: int
    array_flags: int
    tuple_items: int


# Items of the tuple that an entry gets as `self` (`m_self`): whom to call on a miss and on a failure.
MISS_ITEM, FAIL_ITEM = 0, 1

READABLE_FLAGS = 0x101  # NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_ALIGNED: all that reading an argument needs


@cache
def layout() -> Layout:
    """The offsets in this interpreter (free-threaded builds have a larger object header)."""
    header = object.__basicsize__
    return Layout(
        type=header - 8,
        payload=header,
        array_data=header,
        array_rank=header + 8,
        array_shape=header + 16,
        array_dtype=header + 40,
        array_flags=header + 48,
        tuple_items=tuple.__basicsize__,
    )


_NUMPY_API_SLOTS = {"PyArray_NewFromDescr": 94}

_PYTHON_API = (
    "PyObject_Vectorcall", "_PyObject_MakeTpCall", "PyThreadState_Get", "PyTuple_New", "PyLong_FromLongLong",
    "PyLong_AsLongLongAndOverflow", "PyEval_SaveThread", "PyEval_RestoreThread", "Py_IncRef", "Py_DecRef",
    "PyErr_NoMemory",
)  # fmt: skip


def type_symbol(kind: ArgumentKind) -> str:
    """The symbol of the type that an argument of `kind` must have."""
    return {
        ArgumentKind.ARRAY: "numpy_ndarray",
        ArgumentKind.PYTHON_FLOAT: "python_float",
        ArgumentKind.PYTHON_INT: "python_int",
        ArgumentKind.PYTHON_BOOL: "python_bool",
    }[kind]


def scalar_symbol(dtype: DType) -> str:
    """The symbol of the NumPy scalar type of `dtype`."""
    return f"numpy_scalar_{dtype}"


def dtype_symbol(dtype: DType) -> str:
    """The symbol of NumPy's one dtype object for `dtype`."""
    return f"numpy_dtype_{dtype}"


@cache
def symbols() -> Mapping[str, int]:
    """Addresses that an entry may import, by name: types, dtypes, functions of CPython and of NumPy."""
    found: dict[str, int] = {
        "numpy_ndarray": id(np.ndarray),
        "python_float": id(float),
        "python_int": id(int),
        "python_bool": id(bool),
        "python_true": id(True),
        "numpy_true": id(np.True_),
        "numpy_false": id(np.False_),
        "numpy_scalar_alloc": _scalar_alloc(),
        ARENA_CELL: CELL_ADDRESS,
    }
    for dtype in dtypes.ALL:
        found[dtype_symbol(dtype)] = id(dtype.numpy)
        found[scalar_symbol(dtype)] = id(dtype.numpy.type)
    for name in _PYTHON_API:
        if (function := getattr(ctypes.pythonapi, name, None)) is not None:
            found[name] = ctypes.cast(function, ctypes.c_void_p).value or 0
    table = _numpy_api()
    for name, slot in _NUMPY_API_SLOTS.items():
        found[name] = table[slot] or 0
    return MappingProxyType(found)


def _numpy_api() -> ctypes.Array[ctypes.c_void_p]:
    """NumPy's table of C functions."""
    get_pointer = ctypes.pythonapi["PyCapsule_GetPointer"]
    get_pointer.restype = ctypes.c_void_p
    get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    address = get_pointer(np._core._multiarray_umath._ARRAY_API, None)  # type: ignore[attr-defined]
    return (ctypes.c_void_p * (max(_NUMPY_API_SLOTS.values()) + 1)).from_address(address)


_TYPE_ALLOC_SLOT = 47  # Py_tp_alloc in typeslots.h, part of the stable ABI


def _scalar_alloc() -> int:
    """The allocator that NumPy's number types share (what PyArray_Scalar itself uses), 0 if they do not share one."""
    get_slot = ctypes.pythonapi["PyType_GetSlot"]
    get_slot.restype = ctypes.c_void_p
    get_slot.argtypes = [ctypes.py_object, ctypes.c_int]
    slots = {get_slot(dtype.numpy.type, _TYPE_ALLOC_SLOT) for dtype in dtypes.ALL if not dtype.is_bool}
    return int(slots.pop() or 0) if len(slots) == 1 else 0


@cache
def self_test() -> bool:
    """True if the offsets and functions do on real objects what entries count on; else calls go through ctypes."""
    if ctypes.sizeof(ctypes.c_void_p) != 8 or not all(symbols().values()):
        return False
    if not set(_PYTHON_API) - {"PyObject_Vectorcall"} <= symbols().keys():
        return False
    return _objects_are_as_expected() and _scalars_can_be_made() and _arrays_can_be_made()


def _objects_are_as_expected() -> bool:
    """Arrays, floats, NumPy scalars and tuples have their fields where `layout` says."""
    offsets = layout()
    array = np.arange(6, dtype=np.float64).reshape(2, 3)
    strided = np.zeros((4, 4), dtype=np.float32).T[1:]
    for sample in (array, strided):
        flags = sample.flags
        expected_flags = (1 if flags.c_contiguous else 0) | (2 if flags.f_contiguous else 0)
        expected_flags |= (0x100 if flags.aligned else 0) | (0x400 if flags.writeable else 0)
        shape = _word(sample, offsets.array_shape)
        if (
            _word(sample, offsets.type) != id(np.ndarray)
            or _word(sample, offsets.array_data) != sample.__array_interface__["data"][0]
            or _word(sample, offsets.array_rank) & 0xFFFFFFFF != sample.ndim
            or tuple((ctypes.c_int64 * 2).from_address(shape)) != sample.shape
            or _word(sample, offsets.array_dtype) != id(sample.dtype)
            or _word(sample, offsets.array_flags) & 0x503 != expected_flags
        ):
            return False
    pair = (array, strided)
    if _word(pair, offsets.tuple_items) != id(array) or _word(pair, offsets.tuple_items + 8) != id(strided):
        return False
    if ctypes.string_at(id(1234.5678) + offsets.payload, 8) != struct.pack("=d", 1234.5678):
        return False
    for dtype in dtypes.ALL:
        value = dtype.numpy.type(1 if dtype.is_bool else 77)
        if ctypes.string_at(id(value) + offsets.payload, dtype.itemsize) != value.tobytes():
            return False
    return True


def _word(value: object, offset: int) -> int:
    """The eight bytes at `offset` of an object."""
    return int(ctypes.c_uint64.from_address(id(value) + offset).value)


def _scalars_can_be_made() -> bool:
    """The shared allocator gives a NumPy scalar whose value may be written at the payload."""
    allocate = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_ssize_t)(symbols()["numpy_scalar_alloc"])
    for dtype in dtypes.ALL:
        if dtype.is_bool:
            continue
        value = dtype.numpy.type(113)
        made = allocate(dtype.numpy.type, 0)
        ctypes.memmove(id(made) + layout().payload, value.tobytes(), dtype.itemsize)
        if type(made) is not type(value) or made != value or made.dtype is not value.dtype:
            return False
    return True


def _arrays_can_be_made() -> bool:
    """PyArray_NewFromDescr makes a fresh C-ordered array and takes over one reference to the dtype."""
    make = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.py_object, ctypes.py_object, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p,
        ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p,
    )(symbols()["PyArray_NewFromDescr"])  # fmt: skip
    for dtype in dtypes.ALL:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(dtype.numpy))
        shape = (ctypes.c_int64 * 3)(2, 3, 4)
        array: Any = make(np.ndarray, dtype.numpy, 3, ctypes.addressof(shape), None, None, 0, None)
        if type(array) is not np.ndarray or array.shape != (2, 3, 4) or array.dtype is not dtype.numpy:
            return False
        if not (array.flags.c_contiguous and array.flags.owndata and array.flags.writeable):
            return False
    return True
