"""A simplified function in, one LLVM module out: every kernel, and the body that runs them in order.

``i64 @body(ptr arguments, ptr results, ptr arena)`` takes arrays of pointers and gives 0, or a failure's status.
"""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pullback.codegen import fusion
from pullback.codegen.blas_call import blas_symbols
from pullback.codegen.emit_nest import emit_nest
from pullback.codegen.failure import Failure
from pullback.codegen.fusion import FusionPlan, Group
from pullback.codegen.llvm_text import FunctionText, ModuleText
from pullback.codegen.lower import LOWERINGS, failures_of
from pullback.codegen.lower.selection import STATUS_BITS
from pullback.codegen.memory_plan import Lifetime, MemoryPlan, plan_memory
from pullback.codegen.nest import Nest, build
from pullback.errors import CompileError, PullbackError, UnboundError
from pullback.ir.core import Function, Operation, Value
from pullback.ir.ops.contraction import Matmul

BODY = "body"


@dataclass(frozen=True)
class Kernel:
    """One native function: what it does, the buffers it takes pointers to, and those of them that it writes.

    `operations` are those that it computes, in their order.
    """

    title: str
    buffers: list[Value]
    written: list[Value]
    emit: Callable[[FunctionText, dict[Value, str]], None]
    fallible: bool
    cost: int
    operations: tuple[Operation, ...] = ()


@dataclass(frozen=True)
class Program:
    """A module and what running it takes."""

    module: ModuleText
    kernels: list[Kernel]
    arena_bytes: int
    failures: list[Failure]
    captured: list[np.ndarray[Any, Any]]
    symbols: dict[str, int]
    cost: int

    def error(self, status: int) -> PullbackError:
        """The exception that a failing status of the body stands for."""
        return self.failures[(status & ((1 << STATUS_BITS) - 1)) - 1].error(status >> STATUS_BITS)


def build_program(function: Function, *, annotated: bool = False) -> Program:
    """Fuse, plan memory and emit; with the user's source lines as comments if `annotated`.

    Raises: CompileError for an operation without a lowering.
    """
    plan = fusion.plan(function)
    failures: list[Failure] = []
    kernels = [kernel for group in plan.groups for kernel in _kernels(group, plan, failures)]
    memory = plan_memory(_lifetimes(function, kernels, plan))
    module = ModuleText(annotated=annotated)
    names = [_emit_kernel(module, number, kernel) for number, kernel in enumerate(kernels)]
    captured = _captured(function)
    symbols = {f"captured{index}": array.ctypes.data for index, array in enumerate(captured)}
    for name in symbols:
        module.define_global(name, "external global i8")
    _emit_body(module, function, plan, kernels, names, memory)
    if any(isinstance(operation.op, Matmul) for operation in function.body.operations):
        symbols |= blas_symbols()
    cost = sum(kernel.cost for kernel in kernels)
    return Program(module, kernels, memory.size, failures, captured, symbols, cost)


def _captured(function: Function) -> list[np.ndarray[Any, Any]]:
    """Captured arrays as the code reads them: in C order and aligned."""
    found = []
    for array, value in zip(function.captured, function.captured_arguments, strict=True):
        if array is None:
            raise UnboundError(f"captured array {value.name or '?'}: {value.type} has no data")
        found.append(np.require(array, value.type.dtype.numpy, ["C", "A"]))
    return found


def _kernels(group: Group, plan: FusionPlan, failures: list[Failure]) -> list[Kernel]:
    if group.opaque:
        return [_opaque_kernel(group, plan, failures)]
    return [_nest_kernel(nest) for nest in build(group, plan)]


def _nest_kernel(nest: Nest) -> Kernel:
    def emit(f: FunctionText, pointers: dict[Value, str]) -> None:
        emit_nest(f, nest, pointers)

    written = [access.buffer for _, access in nest.writes] + [reduced.target.buffer for reduced in nest.reductions]
    operations = (*nest.operations, *(reduced.operation for reduced in nest.reductions))
    title = f"nest {list(nest.shape)}"
    return Kernel(title, nest.buffers(), written, emit, False, nest.cost(), operations)


def _opaque_kernel(group: Group, plan: FusionPlan, failures: list[Failure]) -> Kernel:
    (operation,) = group.operations
    lowering = LOWERINGS.get(type(operation.op))
    if lowering is None:
        raise CompileError(f"{operation.op.name} has no native code yet", location=operation.location)
    failure = len(failures) + 1
    failures += [Failure(operation, axis) for axis in range(failures_of(operation))]
    fallible = failure <= len(failures)
    sources = [plan.memory_of(operand) for operand in group.operands]
    bases = [source[0] for source in sources if source is not None]
    offsets = [source[1].offset for source in sources if source is not None]

    def emit(f: FunctionText, pointers: dict[Value, str]) -> None:
        f.source(operation.location)
        operands = []
        for operand, base, offset in zip(operation.operands, bases, offsets, strict=True):
            size = offset * operand.type.dtype.itemsize
            pointer = pointers[base]
            operands.append(f.let(f"getelementptr i8, ptr {pointer}, i64 {size}") if size else pointer)
        lowering(f, operation, operands, [pointers[result] for result in operation.results], failure)

    cost = prod(operation.result.type.shape)
    if isinstance(operation.op, Matmul):
        x = operation.operands[0].type
        cost = cost * x.shape[-2 if operation.op.transpose_x else -1] // 8
    buffers = list(dict.fromkeys([*bases, *operation.results]))
    return Kernel(operation.op.name, buffers, list(operation.results), emit, fallible, cost, (operation,))


def _lifetimes(function: Function, kernels: Sequence[Kernel], plan: FusionPlan) -> dict[Value, Lifetime]:
    outside = {*function.body.arguments, *plan.results}
    lifetimes: dict[Value, Lifetime] = {}
    for number, kernel in enumerate(kernels):
        for buffer in kernel.buffers:
            if buffer in outside:
                continue
            known = lifetimes.get(buffer)
            size = buffer.type.size * buffer.type.dtype.itemsize
            lifetimes[buffer] = Lifetime(known.first if known else number, number, size)
    return lifetimes


def _emit_kernel(module: ModuleText, number: int, kernel: Kernel) -> str:
    """Define a kernel's function; every pointer is to memory that no other one overlaps, or only read."""
    name = f"kernel{number}"
    pointers = {buffer: f"%p{index}" for index, buffer in enumerate(kernel.buffers)}
    parameters = tuple(f"ptr noalias {pointer}" for pointer in pointers.values())
    f = module.function(name, "i64", parameters)
    kernel.emit(f, pointers)
    f.emit("ret i64 0")
    return name


def _emit_body(
    module: ModuleText,
    function: Function,
    plan: FusionPlan,
    kernels: Sequence[Kernel],
    names: Sequence[str],
    memory: MemoryPlan,
) -> None:
    f = module.function(BODY, "i64", ("ptr %arguments", "ptr %results", "ptr %arena"), linkage="")
    pointers: dict[Value, str] = {}
    used = {buffer for kernel in kernels for buffer in kernel.buffers}

    def from_array(value: Value, array: str, index: int) -> None:
        if value in used:
            slot = f.let(f"getelementptr ptr, ptr {array}, i64 {index}")
            pointers[value] = f.let(f"load ptr, ptr {slot}")

    for index, value in enumerate(function.parameters):
        from_array(value, "%arguments", index)
    for index, value in enumerate(function.captured_arguments):
        pointers[value] = f"@captured{index}"
    for value, index in plan.results.items():
        from_array(value, "%results", index)
    for value, offset in memory.offsets.items():
        pointers[value] = f.let(f"getelementptr i8, ptr %arena, i64 {offset}")
    for kernel, name in zip(kernels, names, strict=True):
        operands = tuple(("ptr", pointers[buffer]) for buffer in kernel.buffers)
        status = f.call(name, "i64", operands, declare=False)
        if kernel.fallible:
            good, bad = f.fresh_label("good"), f.fresh_label("bad")
            f.emit(f"br i1 {f.let(f'icmp eq i64 {status}, 0')}, label %{good}, label %{bad}")
            f.label(bad)
            f.emit(f"ret i64 {status}")
            f.label(good)
    f.emit("ret i64 0")
