"""The pipeline on one screen: an IR function is simplified, fused, emitted, compiled, linked; native code comes out."""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pullback.codegen.entry import ENTRY, emit_entry
from pullback.codegen.jit import NativeCode, link_module
from pullback.codegen.program import BODY, Program, build_program
from pullback.config import settings
from pullback.ir.analysis.cost import size_in_bytes
from pullback.ir.clone import copy_function
from pullback.ir.core import Function
from pullback.ir.passes.custom_calls import inline_custom_calls
from pullback.ir.passes.pipeline import simplify
from pullback.ir.types import type_of
from pullback.ir.verify import verify
from pullback.runtime import abi
from pullback.runtime.abi import READABLE_FLAGS, ArgumentSpec, EntrySpec, ResultSpec, ResultTree
from pullback.runtime.handle import CtypesEntry, NativeFunction, call_body

Array = np.ndarray[Any, Any]


@dataclass
class Executable:
    """Native code of one function, with what it came from. Dropping it (and every entry into it) frees the code."""

    traced: Function
    optimized: Function
    program: Program
    code: NativeCode
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def release_gil(self) -> bool:
        """Whether a run is long enough to let other threads in."""
        return self.program.cost > settings().release_gil_above

    @property
    def memory_bytes(self) -> int:
        """What a call allocates at most: its results, temporaries, and what loops keep."""
        return self.program.memory_bytes + sum(map(size_in_bytes, self.optimized.result_types))

    @cached_property
    def _types(self) -> tuple[list[np.dtype[Any]], list[tuple[tuple[int, ...], np.dtype[Any]]]]:
        """The parameters' dtypes, and the results' shapes and dtypes."""
        parameters = [value.type.dtype.numpy for value in self.optimized.parameters]
        return parameters, [(kind.shape, kind.dtype.numpy) for kind in self.optimized.result_types]

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """Run on arrays of exactly the function's types (they are made contiguous); gives new arrays.

        Raises: OutOfBoundsError for an index out of bounds.
        """
        dtypes, shapes = self._types
        arguments = [
            array
            if array.dtype is dtype and array.flags.num & READABLE_FLAGS == READABLE_FLAGS
            else np.require(array, dtype, ["C", "A"])
            for array, dtype in zip(arrays, dtypes, strict=True)
        ]
        results = [np.empty(shape, dtype) for shape, dtype in shapes]
        status = call_body(
            self.code.address(BODY), arguments, results, self.program.arena_bytes, release_gil=self.release_gil
        )
        if status:
            raise self.program.error(status)
        return results


@dataclass(frozen=True)
class CallSpec:
    """How Python calls an executable: argument kinds, which results are NumPy scalars, how results nest."""

    arguments: tuple[ArgumentSpec, ...]
    scalars: tuple[bool, ...]
    tree: ResultTree


def optimize(function: Function) -> Function:
    """A copy of a function, custom calls replaced by what they compute, simplified as the settings say."""
    optimized = copy_function(function)
    inline_custom_calls(optimized)
    if settings().verify:
        verify(optimized)
    if settings().opt:
        simplify(optimized)
    return optimized


def emit(optimized: Function, call: CallSpec | None = None, *, annotated: bool = False) -> Program:
    """The LLVM module of an optimized function, with a native entry if `call` says how Python calls it.

    Raises: CompileError for an operation without native code, UnboundError for captured arrays without data.
    """
    program = build_program(optimized, annotated=annotated)
    if call is not None and abi.self_test():
        results = tuple(
            ResultSpec(kind.dtype, kind.shape, scalar)
            for kind, scalar in zip(optimized.result_types, call.scalars, strict=True)
        )
        release = program.cost > settings().release_gil_above
        spec = EntrySpec(call.arguments, results, call.tree, program.arena_bytes, release)
        emit_entry(program.module, spec, BODY, program.cost)
    return program


def compile_function(function: Function, call: CallSpec | None = None) -> Executable:
    """Simplify a function and make native code of it, with a native entry if `call` says how it is called.

    Raises: CompileError for an operation without native code, UnboundError for captured arrays without data.
    """
    started = time.perf_counter()
    optimized = optimize(function)
    simplified = time.perf_counter()
    program = emit(optimized, call)
    emitted = time.perf_counter()
    exports = [name for name in (BODY, ENTRY) if name in program.module.functions]
    symbols = {**program.symbols, **abi.symbols()}
    code = link_module(program.module, symbols, exports, simplified=[BODY])
    linked = time.perf_counter()
    seconds = {"simplify": simplified - started, "emit": emitted - simplified, "native": linked - emitted}
    return Executable(function, optimized, program, code, seconds)


def native_entry(
    executable: Executable, call: CallSpec, miss: Callable[..., Any], name: str, doc: str = ""
) -> Callable[..., Any]:
    """The callable that enters an executable compiled with `call`; other arguments go to `miss`."""
    program = executable.program

    def fail(status: int) -> Any:
        raise program.error(status)

    owner = (executable.code, program.captured, program.tape_peak)
    if abi.self_test():
        return NativeFunction(executable.code.address(ENTRY), owner, miss, fail, name, doc).call
    results = tuple(
        ResultSpec(kind.dtype, kind.shape, scalar)
        for kind, scalar in zip(executable.optimized.result_types, call.scalars, strict=True)
    )
    spec = EntrySpec(call.arguments, results, call.tree, program.arena_bytes, executable.release_gil)
    return CtypesEntry(executable.code.address(BODY), owner, spec, miss, fail).call


def run(function: Function, arrays: Sequence[Array]) -> list[Array]:
    """Compile a function and run it once. Raises: what compiling and running raise."""
    for array, value in zip(arrays, function.parameters, strict=True):
        assert type_of(array) == value.type, (type_of(array), value.type)
    return compile_function(function)(arrays)
