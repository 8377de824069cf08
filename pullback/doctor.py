"""Nothing in, a report on the machine out: versions, processor, BLAS, whether native code works, settings."""
from __future__ import annotations

import dataclasses
import os
import platform
import struct
import sys
import time
from collections.abc import Iterator
from importlib import metadata

import numpy as np

import pullback
from pullback.api import compile_grad
from pullback.codegen import target
from pullback.config import VARIABLES, settings
from pullback.errors import PullbackError
from pullback.runtime import abi, blas

# Features that decide how fast vector code is, as LLVM names them, widest first.
_VECTOR_FEATURES = ("avx512f", "avx512dq", "avx2", "fma", "avx", "sse4.2", "sve2", "sve", "neon", "v")
_WIDTHS = {"avx512f": 64, "avx2": 32, "avx": 32, "neon": 16, "sse4.2": 16}  # bytes
_THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def report() -> str:
    """The report, a finding a line."""
    lines = [f"{title + ':':15} {text}" for title, text in _findings()]
    return "\n".join(lines)


def _findings() -> Iterator[tuple[str, str]]:
    yield "pullback", f"{pullback.__version__} in {os.path.dirname(pullback.__file__)}"
    yield "Python", f"{platform.python_version()} ({platform.python_implementation()}, {8 * struct.calcsize('P')} bit)"
    yield "system", f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"
    yield "NumPy", np.__version__
    try:
        yield "llvmlite", f"{_version('llvmlite')}, LLVM {target.llvm_version()}"
    except (ImportError, OSError) as error:
        yield "llvmlite", f"FAILS, so there is no native code: {error}"
    else:
        yield from _processor()
        yield "native code", _native_code()
    yield "BLAS", _blas()
    yield "native entry", _native_entry()
    for name in ("networkx", "scipy", "torch", "jax"):
        yield name, _version(name)
    for field in dataclasses.fields(settings()):
        yield "setting", f"{field.name} = {getattr(settings(), field.name)!r}"
    for name in sorted(os.environ):
        if name.startswith("PULLBACK_") or name in _THREAD_VARIABLES:
            known = name in VARIABLES or name in _THREAD_VARIABLES
            yield "environment", f"{name}={os.environ[name]}" + ("" if known else " (no such variable is read)")


def _processor() -> Iterator[tuple[str, str]]:
    host = target.host()
    have = {feature[1:] for feature in host.features.split(",") if feature.startswith("+")}
    found = [feature for feature in _VECTOR_FEATURES if feature in have]
    width = next((f"{_WIDTHS[feature]} bytes wide, " for feature in found if feature in _WIDTHS), "")
    yield "target", f"{host.triple}, {host.cpu}"
    yield "vectors", f"{width}features {', '.join(found) or 'as the processor name says'}"


def _blas() -> str:
    library = blas.find()
    if library is None:
        return "not found: matrix products have no native code (install NumPy from its wheel, or SciPy)"
    threads = "" if library.thread_setter else "; its number of threads cannot be set from here"
    return f"{library.origin} ({library.flavour.value}){threads}"


def _native_code() -> str:
    """Compile a small function with its gradient, run it, and compare."""
    x = np.linspace(-1.0, 2.0, 37)
    started = time.perf_counter()
    try:
        value, gradient = compile_grad(lambda x: np.sum(x * x * 0.5)).value_and_grad(x)
    except PullbackError as error:
        return f"FAILS: {error.message}"
    seconds = time.perf_counter() - started
    if not (np.isclose(value, 0.5 * (x @ x)) and np.array_equal(gradient, x)):
        return "FAILS: wrong numbers"
    return f"works (compiled and run in {1e3 * seconds:.0f} ms)"


def _native_entry() -> str:
    if abi.self_test():
        return "self-test passes: Python calls native code directly"
    return f"self-test fails on {sys.implementation.name} {platform.python_version()}: calls go through ctypes, slower"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
