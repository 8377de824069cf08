"""A simplified function in, one LLVM module out: the body, which runs everything, and functions for its larger pieces.

``i64 @body(ptr arguments, ptr results, ptr arena)`` takes arrays of pointers and gives 0, or a failure's status.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.codegen import fusion
from pullback.codegen.blas_call import blas_symbols
from pullback.codegen.body import Body
from pullback.codegen.control import structured
from pullback.codegen.emit_nest import load, repeated, store
from pullback.codegen.failure import Failure, OutOfMemory
from pullback.codegen.kernel import Kernel
from pullback.codegen.liveness import outside
from pullback.codegen.llvm_text import ModuleText
from pullback.codegen.lower.selection import STATUS_BITS
from pullback.codegen.nest import build_all
from pullback.codegen.parts import long_run
from pullback.codegen.places import Compute, RegionPlan, ScalarRun, is_scalar
from pullback.codegen.storage import plan_storage
from pullback.codegen.tape import PEAK, TapeMemory
from pullback.errors import CompileError, UnboundError
from pullback.ir.core import Function, Operation, walk
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.control import Loop
from pullback.ir.ops.decomposition import Decomposition
from pullback.ir.ops.linear_system import Solve

BODY = "body"
SHARED_SINGLE_USES = 8
"""Uses of one elementary function on single numbers from which its code stands apart."""
_WITH_BLAS = (Matmul, Solve, Decomposition)
"""Ops that may call BLAS or LAPACK."""
__all__ = ["BODY", "Kernel", "Program", "build_program"]


@dataclass(frozen=True)
class Program:
    """A module and what running it takes.

    `tape_bytes` is what the tapes of loops come to whose trips are known; a loop whose are not counts as one trip.
    `tape_peak` is where native code notes what the tapes of a call came to.
    """

    module: ModuleText
    kernels: list[Kernel]
    arena_bytes: int
    tape_bytes: int
    tape_peak: np.ndarray[Any, Any]
    failures: list[Failure]
    captured: list[np.ndarray[Any, Any]]
    symbols: dict[str, int]
    cost: int

    @property
    def memory_bytes(self) -> int:
        """Temporary memory of a call; of tapes the most there were in calls so far, if their trips are not known."""
        return self.arena_bytes + max(self.tape_bytes, int(self.tape_peak[()]))

    def error(self, status: int) -> BaseException:
        """The exception that a failing status of the body stands for."""
        return self.failures[(status & ((1 << STATUS_BITS) - 1)) - 1].error(status >> STATUS_BITS)


def build_program(function: Function, *, annotated: bool = False) -> Program:
    """Fuse, plan memory and emit; with the user's source lines as comments if `annotated`.

    Raises: CompileError for an operation without a lowering.
    """
    around = outside(function.body)
    plan, pushes = fusion.plan(function, around), around.pushes
    nests = build_all(plan)
    storage = plan_storage(plan, pushes)
    module = ModuleText(annotated=annotated)
    captured = _captured(function)
    symbols = {f"captured{index}": array.ctypes.data for index, array in enumerate(captured)}
    for name in symbols:
        module.define_global(name, "external global i8")
    f = module.function(BODY, "i64", ("ptr %arguments", "ptr %results", "ptr %arena"), linkage="")
    body = Body(f, storage, nests, pushes)
    body.shared = repeated(_in_registers(plan), SHARED_SINGLE_USES)
    body.structured, body.long_run = structured, long_run
    _emit_body(body, plan, function)
    # One block that calls nothing but plain functions: it begins with "entry" and opened no other.
    module.is_straight = bool(module.plain) and f.block == "entry" and module.functions.keys() - module.libraries.keys() == {
        BODY, *module.plain
    }
    if len(body.failures) >= 1 << STATUS_BITS:
        raise CompileError(f"the function can fail in {len(body.failures)} places, which is more than are told apart")
    if any(isinstance(operation.op, _WITH_BLAS) for operation in walk(function.body)):
        symbols |= blas_symbols()
    symbols |= module.addresses
    tape_bytes = 0 if body.memory is None else body.memory.forecast.peak
    tape_peak = np.zeros((), np.int64)
    symbols[PEAK] = tape_peak.ctypes.data
    return Program(
        module, body.kernels, body.arena_bytes, tape_bytes, tape_peak, body.failures, captured, symbols, body.cost
    )


def _in_registers(plan: RegionPlan) -> Iterator[Operation]:
    """The operations on single numbers, of all regions."""
    for each in plan.walk():
        for step in each.steps:
            if isinstance(step, ScalarRun):
                yield from (item.operation for item in step.items if isinstance(item, Compute))


def _captured(function: Function) -> list[np.ndarray[Any, Any]]:
    """Captured arrays as the code reads them: in C order and aligned."""
    found = []
    for array, value in zip(function.captured, function.captured_arguments, strict=True):
        if array is None:
            raise UnboundError(f"captured array {value.name or '?'}: {value.type} has no data")
        found.append(np.require(array, value.type.dtype.numpy, ["C", "A"]))
    return found


def _emit_body(body: Body, plan: RegionPlan, function: Function) -> None:
    """Fetch arguments, run the steps, hand scalar results over; failures leave by the same door."""
    f = body.f
    first = next((each for each in walk(function.body) if isinstance(each.op, Loop)), None)
    if any(body.pushes.values()) and first is not None:
        operation = first
        body.memory = TapeMemory(f, lambda: str(body.failing(OutOfMemory(operation))))
        f.exit = "exit"

    def from_array(array: str, index: int) -> str:
        return f.ahead(f"load ptr, ptr {f.ahead(f'getelementptr ptr, ptr {array}, i64 {index}')}")

    pointers = {value: f"@captured{index}" for index, value in enumerate(function.captured_arguments)}
    for index, value in enumerate(function.parameters):
        pointers[value] = from_array("%arguments", index)
    for value, pointer in pointers.items():
        if is_scalar(value.type):
            body.scalars[value] = load(f, pointer, value.type.dtype, 1)
        else:
            body.pointers[body.storage.find(value)] = pointer
    for value, index in plan.results.items():
        body.pointers[body.storage.find(value)] = from_array("%results", index)
    body.run(plan)
    for index, value in enumerate(plan.yields):
        if is_scalar(value.type):
            store(f, from_array("%results", index), body.scalar(plan, value), 1)
    f.leave("0")
    if f.exit:
        f.label(f.exit)
        entries = ", ".join(f"[ {status}, %{block} ]" for status, block in f.exits)
        status = f.let(f"phi i64 {entries}")
        assert body.memory is not None
        body.memory.free()
        f.emit(f"ret i64 {status}")

