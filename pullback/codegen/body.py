"""Planned regions in, the code of one native function out: steps in order, single elements in registers, arrays in memory."""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import cast

from pullback.codegen.emit_nest import copy_memory, emit_nest, load, store
from pullback.codegen.failure import Complained, Failure
from pullback.codegen.host_call import COST as HOST_COST
from pullback.codegen.host_call import HostFailure, emit_host_call, needs_python, trampoline_of
from pullback.codegen.index_map import IndexMap
from pullback.codegen.kernel import Kernel
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, element_type, memory_type
from pullback.codegen.lower import LOWERINGS, Lowering, failures_of
from pullback.codegen.lower.decomposition import cost_of
from pullback.codegen.lower.selection import check_bounds
from pullback.codegen.nest import Access, Nest, copying
from pullback.codegen.places import (
    Compute,
    Constant,
    Group,
    Load,
    Opaque,
    Push,
    RegionPlan,
    ScalarRun,
    Structured,
    is_scalar,
)  # fmt: skip
from pullback.codegen.report import make_report, status_with_report
from pullback.codegen.storage import Storage
from pullback.codegen.tape import Tape, TapeMemory, layout
from pullback.errors import CompileError
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.check import Check
from pullback.ir.ops.contraction import Matmul
from pullback.ir.ops.control import EmptyTape
from pullback.ir.ops.decomposition import Decomposition
from pullback.ir.ops.linear_system import Solve
from pullback.ir.ops.scalar import Elementary, Scalar
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.types import TapeType

INLINE_ELEMENTS = 64
"""Nests of at most so many elements stand where they are used, longer ones in functions of their own."""
STACK_BYTES = 256
"""Temporaries of at most so many bytes lie on the stack, where LLVM can take them apart into registers."""
STACK_TOTAL = 8192
LONGEST_BODY = 2000
"""Lines of LLVM of a function from which its short nests, too, stand in functions of their own: LLVM's time for one
grows faster than its length."""
LONGEST_RUN = 1000
"""Operations in registers, in one run, up to which they are one piece of code."""
LONG = 10_000
"""How many trips a loop is taken to make that does not say."""

Parts = list[tuple[str, str]]
"""A value in registers as LLVM has it: types and texts; a tape has three."""


class Body:
    """The function under construction and where its values are.

    `scalars` and `tapes` hold values in registers. `pointers` are those of classes of values (see `Storage`), by what
    stands for the class.
    """

    def __init__(
        self, f: FunctionText, storage: Storage, nests: Mapping[Group, list[Nest]], pushes: Mapping[Region, bool]
    ) -> None:
        self.f = f
        self.storage = storage
        self.nests = nests
        self.pushes = pushes
        self.scalars: dict[Value, Scalar] = {}
        self.tapes: dict[Value, Tape] = {}
        self.pointers: dict[Value, str] = {}
        self.records: list[str] = []
        self.failures: list[Failure] = []
        self.kernels: list[Kernel] = []
        self.cost = 0
        self.weight = 1
        self.stack = 0
        self.shared: frozenset[Elementary] = frozenset()
        self.spilled_bytes = 0
        self._spill = ""
        self.memory: TapeMemory | None = None
        self.structured: Callable[[Body, RegionPlan, Structured], None]
        self.long_run: Callable[[Body, RegionPlan, ScalarRun], None]

    # Where values are

    def pointer(self, value: Value) -> str:
        """A pointer to the memory of a value that has memory of its own."""
        whole = self.storage.find(value)
        found = self.pointers.get(whole)
        if found is None:
            if whole in self.storage.records:
                return self.records[self.storage.records[whole]]
            size = self.storage.sizes[whole]
            if size <= STACK_BYTES and self.stack + size <= STACK_TOTAL:
                self.stack += size
                found = self.f.alloca(f"[{max(1, value.type.size)} x {memory_type(value.type.dtype, 1)}]", 32)
            else:
                found = self.f.ahead(f"getelementptr i8, ptr %arena, i64 {self.storage.offsets[whole]}")
            self.pointers[whole] = found
        return found

    def source(self, plan: RegionPlan, value: Value) -> tuple[str, IndexMap]:
        """A pointer to the memory that holds a value, and the value's map there."""
        memory = plan.memory_of(value)
        assert memory is not None, value
        return self.pointer(memory[0]), memory[1]

    def first_element(self, plan: RegionPlan, value: Value) -> str:
        """A pointer to a value that lies in memory in C order."""
        pointer, map = self.source(plan, value)
        return self.f.moved(pointer, memory_type(value.type.dtype, 1), str(map.offset))

    def scalar(self, plan: RegionPlan, value: Value) -> Scalar:
        """A value of one element."""
        value = plan.resolve(value)
        found = self.scalars.get(value)
        if found is None:
            place = plan.places[value]
            assert isinstance(place, Constant), (value, place)
            number = place.op.value if hasattr(place.op, "value") else 0
            return LlvmScalarBuilder(self.f, 1).constant(place.op.dtype, number)
        return found

    def parts(self, plan: RegionPlan, value: Value) -> Parts:
        """What a value in registers consists of."""
        if isinstance(value.type, TapeType):
            return self.tapes[plan.resolve(value)].parts()
        scalar = self.scalar(plan, value)
        return [(element_type(scalar.dtype, 1), scalar.text)]

    def define(self, value: Value, texts: Sequence[str]) -> None:
        """Say what a value in registers consists of."""
        if isinstance(value.type, TapeType):
            self.tapes[value] = Tape(*texts)
        else:
            self.scalars[value] = Scalar(texts[0], value.type.dtype)

    # Failures

    def failing(self, failure: Failure) -> int:
        """A failure's number in a status."""
        self.failures.append(failure)
        return len(self.failures)

    # Steps

    def run(self, plan: RegionPlan) -> None:
        """Emit a region's steps."""
        for step in plan.steps:
            match step:
                case ScalarRun():
                    self.scalar_run(plan, step)
                case Group():
                    for nest in self.nests[step]:
                        self.nest(nest)
                    for operation in step.operations:
                        self.fetch(operation.result)
                case Opaque():
                    self.opaque(plan, step)
                case Structured():
                    self.structured(self, plan, step)
                case Push(_, value, index):
                    self.materialize(plan, value, self.records[index])

    def note(self, title: str, reads: Sequence[Value], written: Sequence[Value], cost: int,
             operations: Sequence[Operation], function: str = "") -> None:  # fmt: skip
        """Keep a record of what is emitted."""
        buffers = list(dict.fromkeys([*reads, *written]))
        self.kernels.append(Kernel(title, buffers, list(written), cost, tuple(operations), function or "body"))
        self.cost += cost * self.weight

    def scalar_run(self, plan: RegionPlan, run: ScalarRun) -> None:
        """Operations in registers; very many in several functions."""
        if len(run.items) <= LONGEST_RUN:
            self.scalar_items(plan, run.items)
        else:
            self.long_run(self, plan, run)

    def scalar_items(self, plan: RegionPlan, items: Sequence[Compute | Load]) -> None:
        """Operations in registers, here."""
        f = self.f
        s = LlvmScalarBuilder(f, 1, self.shared)
        for item in items:
            if isinstance(item, Load):
                dtype = item.value.type.dtype
                pointer = f.moved(self.pointer(item.base), memory_type(dtype, 1), str(item.map.offset))
                self.scalars[item.value] = load(f, pointer, dtype, 1)
                continue
            operation = item.operation
            f.source(operation.location)
            if isinstance(operation.op, Elementwise):
                operands = [self.scalar(plan, operand) for operand in item.operands]
                self.scalars[operation.result] = operation.op.lower(s, *operands)
            elif isinstance(operation.op, Check):
                self.check(plan, item)
            elif isinstance(operation.op, EmptyTape):
                self.tapes[operation.result] = Tape("0", "0", "1")
            else:
                self.pick(plan, item)
        if items:
            self.note_scalars(plan, items)

    def note_scalars(self, plan: RegionPlan, items: Sequence[Compute | Load], function: str = "") -> None:
        """Keep a record of operations in registers."""
        reads = list(plan.read(ScalarRun(0, list(items))))
        operations = [item.operation for item in items if isinstance(item, Compute)]
        self.note("scalars", reads, [], max(1, len(items) // 2), operations, function)

    @property
    def spill(self) -> str:
        """A pointer to memory for single values, behind all that is in the arena."""
        if not self._spill:
            self._spill = self.f.ahead(f"getelementptr i8, ptr %arena, i64 {self.storage.arena_bytes}")
        return self._spill

    @property
    def arena_bytes(self) -> int:
        """What the arena comes to."""
        return self.storage.arena_bytes + self.spilled_bytes

    def check(self, plan: RegionPlan, item: Compute) -> None:
        """Leave the function unless the first operand holds, with a report of the others."""
        f = self.f
        condition, *shown = item.operands
        bad, good = f.fresh_label("bad"), f.fresh_label("good")
        f.emit(f"br i1 {self.scalar(plan, condition).text}, label %{good}, label %{bad}")
        f.label(bad)
        status = str(self.failing(Complained(item.operation)))
        if shown:
            record = layout([value.type for value in shown])
            report = make_report(f, record.size)
            none, some = f.fresh_label("none"), f.fresh_label("some")
            f.emit(f"br i1 {f.let(f'icmp eq ptr {report}, null')}, label %{none}, label %{some}")
            f.label(none)
            f.leave(status)
            f.label(some)
            for value, offset in zip(shown, record.offsets, strict=True):
                target = f.moved(report, "i8", str(offset))
                if is_scalar(value.type):
                    store(f, target, self.scalar(plan, value), 1)
                else:
                    self.materialize(plan, value, target)
            status = status_with_report(f, report, status)
        f.leave(status)
        f.label(good)

    def pick(self, plan: RegionPlan, item: Compute) -> None:
        """dynamic_slice and gather of one element."""
        operation, (whole, *starts) = item.operation, item.operands
        single = is_scalar(whole.type)
        pointer, map = ("", IndexMap.whole(whole.type.shape)) if single else self.source(plan, whole)
        checked = not isinstance(operation.op, DynamicSlice) or operation.op.checked
        place = str(map.offset)
        for axis, start in enumerate(starts):
            index = self.scalar(plan, start).text
            if checked:
                check_bounds(self.f, index, whole.type.shape[axis], self.failing(Failure(operation, axis)))
            place = self.f.plus(place, self.f.times(index, map.strides[axis]))
        dtype = operation.result.type.dtype
        if single:
            self.scalars[operation.result] = self.scalar(plan, whole)
            return
        self.scalars[operation.result] = load(self.f, self.f.moved(pointer, memory_type(dtype, 1), place), dtype, 1)

    def slot(self, value: Value) -> str:
        """Stack memory for one element of a value's type."""
        return self.f.alloca(memory_type(value.type.dtype, 1))

    def spilled(self, plan: RegionPlan, value: Value) -> str:
        """A pointer to a value that lies in memory in C order, or a copy of it if it is in registers."""
        if not is_scalar(value.type):
            return self.first_element(plan, value)
        slot = self.slot(value)
        store(self.f, slot, self.scalar(plan, value), 1)
        return slot

    def target(self, value: Value) -> str:
        """Where a step writes its result: a stack slot for one element, which `fetch` reads afterwards."""
        if is_scalar(value.type):
            whole = self.storage.find(value)
            if whole not in self.pointers:
                self.pointers[whole] = self.slot(value)
            return self.pointers[whole]
        return self.pointer(value)

    def fetch(self, value: Value) -> None:
        """Read a result of one element from the slot that `target` gave, if there is one."""
        if is_scalar(value.type) and value in self.pointers:
            self.scalars[value] = load(self.f, self.pointers.pop(value), value.type.dtype, 1)

    def nest(self, nest: Nest, pointers: Mapping[Value, str] | None = None) -> None:
        """A loop nest: here, or in a function of its own that is called here; `pointers` know better than `pointer`."""
        f = self.f
        known = {buffer: (pointers or {}).get(buffer) or self.target(buffer) for buffer in nest.buffers()}
        scalars = {scalar: self.scalars[scalar] for scalar in nest.scalars.values()}
        here = prod(nest.shape) <= INLINE_ELEMENTS and len(f.lines) < LONGEST_BODY
        name = "body" if here else f"kernel{len(self.kernels)}"
        if name == "body":
            emit_nest(f, nest, known, scalars, straight=True)
        else:
            self.outlined(name, nest, known, scalars)
        written = [access.buffer for _, access in (*nest.writes, *nest.adds)]
        written += [reduced.target.buffer for reduced in nest.reductions]
        operations = (*nest.operations, *(reduced.operation for reduced in nest.reductions))
        reads = [access.buffer for access in nest.reads.values()]
        self.note(f"nest {list(nest.shape)}", reads, written, nest.cost(), operations, name)

    def outlined(self, name: str, nest: Nest, pointers: Mapping[Value, str], scalars: Mapping[Value, Scalar]) -> None:
        """Define a nest's function and call it; every pointer is to memory that no other one overlaps, or only read."""
        names = {text: f"%p{number}" for number, text in enumerate(dict.fromkeys(pointers.values()))}
        values = {value: Scalar(f"%s{number}", each.dtype) for number, (value, each) in enumerate(scalars.items())}
        parameters = [f"ptr noalias {parameter}" for parameter in names.values()]
        parameters += [f"{element_type(each.dtype, 1)} {each.text}" for each in values.values()]
        kernel = self.f.module.function(name, "void", tuple(parameters))
        emit_nest(kernel, nest, {buffer: names[text] for buffer, text in pointers.items()}, values)
        kernel.emit("ret void")
        operands = [("ptr", text) for text in names]
        operands += [(element_type(each.dtype, 1), each.text) for each in scalars.values()]
        self.f.call(name, "void", tuple(operands), declare=False)

    def materialize(self, plan: RegionPlan, value: Value, pointer: str) -> None:
        """Write an array, wherever it lives, in C order to a place that nothing of it overlaps."""
        memory = plan.memory_of(value)
        if memory is not None and memory[1].is_contiguous:
            copy_memory(self.f, pointer, self.first_element(plan, value), value.type.size * value.type.dtype.itemsize)
            self.cost += value.type.size // 8 * self.weight
            return
        target = Value(value.type)
        nest = copying(value, plan, Access(target, IndexMap.whole(value.type.shape)))
        self.nest(nest, {target: pointer})

    # Operations with a lowering of their own

    def opaque(self, plan: RegionPlan, step: Opaque) -> None:
        """One operation."""
        operation = step.operation
        self.f.source(operation.location)
        if isinstance(operation.op, DynamicSlice | DynamicUpdate | DynamicAdd):
            self.window(plan, step)
        elif needs_python(operation):
            self.host_call(plan, step)
        else:
            lowering = LOWERINGS.get(type(operation.op))
            if lowering is None:
                raise CompileError(f"{operation.op.name} has no native code yet", location=operation.location)
            failures = failures_of(operation)
            failure = len(self.failures) + 1
            self.failures += [Failure(operation, axis) for axis in range(failures)]
            operands = [self.spilled(plan, operand) for operand in step.operands]
            if (scratch := self.storage.scratch.get(operation)) is not None:
                operands.append(self.f.ahead(f"getelementptr i8, ptr %arena, i64 {self.storage.offsets[scratch]}"))
            results = ["" if result in self.storage.unread else self.target(result) for result in operation.results]
            if failures or len(self.f.lines) < LONGEST_BODY:
                lowering(self.f, operation, operands, results, failure)
            else:
                self.apart(lowering, operation, operands, results)
        for result in operation.results:
            self.fetch(result)
        cost = prod(operation.results[0].type.shape) if operation.results else 0
        if needs_python(operation):
            cost = HOST_COST
        elif isinstance(operation.op, Matmul):
            x = operation.operands[0].type
            cost = cost * x.shape[-2 if operation.op.transpose_x else -1] // 8
        elif isinstance(operation.op, Decomposition):
            cost = cost_of(operation, not self.storage.unread.isdisjoint(operation.results))
        elif isinstance(operation.op, Solve):
            n = operation.operands[0].type.shape[-1]
            cost = max(1, (cost + operation.operands[0].type.size // 3) * n // 8)
        elif isinstance(operation.op, DynamicUpdate | DynamicAdd):
            cost = operation.operands[1].type.size
        self.note(operation.op.name, list(plan.read(step)), list(plan.written(step)), cost, [operation])

    def apart(
        self, lowering: Lowering, operation: Operation, operands: Sequence[str], results: Sequence[str]
    ) -> None:  # fmt: skip
        """An operation that cannot fail, in a function of its own that is called here."""
        name = f"kernel{len(self.kernels)}"
        names = {text: f"%p{number}" for number, text in enumerate(dict.fromkeys((*operands, *results)))}
        own = self.f.module.function(name, "void", tuple(f"ptr {parameter}" for parameter in names.values()))
        lowering(own, operation, [names[text] for text in operands], [names[text] for text in results], 0)
        own.emit("ret void")
        self.f.call(name, "void", tuple(("ptr", text) for text in names), declare=False)

    def host_call(self, plan: RegionPlan, step: Opaque) -> None:
        """A call of Python."""
        operation = step.operation
        trampoline = trampoline_of(operation)
        failure = self.failing(HostFailure(operation, trampoline=trampoline))
        operands = [self.spilled(plan, operand) for operand in step.operands]
        emit_host_call(self.f, trampoline, operands, [self.target(result) for result in operation.results], failure)

    def window(self, plan: RegionPlan, step: Opaque) -> None:
        """dynamic_slice, dynamic_update, dynamic_add; the latter two write their operand's memory where they may."""
        operation, (whole, *rest) = step.operation, step.operands
        result = operation.result
        slices = isinstance(operation.op, DynamicSlice)
        window = result if slices else rest[0]
        starts = rest if slices else rest[1:]
        places = self.starts(plan, operation, whole, window, starts)
        if is_scalar(whole.type):
            value = self.scalar(plan, window)
            if isinstance(operation.op, DynamicAdd):
                value = LlvmScalarBuilder(self.f, 1).add(self.scalar(plan, whole), value)
            self.scalars[result] = value
            return
        if slices:
            pointer, map = self.source(plan, whole)
            inside = IndexMap(window.type.shape, map.offset, map.strides)
            nest = Nest(tuple(size for size in window.type.shape if size != 1))
            nest.reads[window] = Access(whole, inside.squeezed())
            nest.writes.append((window, Access(result, IndexMap.whole(window.type.shape).squeezed())))
            self.nest(nest, {whole: self.shifted(pointer, whole, map, places), result: self.pointer(result)})
            return
        target = self.pointer(result)
        base = plan.whole_of(whole)
        if base is None or not self.storage.same(base, result):
            self.materialize(plan, whole, target)
        map = IndexMap.whole(whole.type.shape)
        place = self.shifted(target, whole, map, places)
        if is_scalar(window.type):
            value = self.scalar(plan, window)
            if isinstance(operation.op, DynamicAdd):
                value = LlvmScalarBuilder(self.f, 1).add(load(self.f, place, value.dtype, 1), value)
            store(self.f, place, value, 1)
            return
        inside = IndexMap(window.type.shape, 0, map.strides)
        buffer = Value(whole.type)
        adds = isinstance(operation.op, DynamicAdd)
        self.nest(copying(window, plan, Access(buffer, inside), add=adds), {buffer: place})

    def starts(
        self, plan: RegionPlan, operation: Operation, whole: Value, window: Value, starts: Sequence[Value]
    ) -> list[str]:
        """Where a window begins along each axis; a checked one that does not fit leaves the function."""
        op = cast(DynamicSlice, operation.op)
        places = [self.scalar(plan, start).text for start in starts]
        if op.checked:
            for axis, (place, dim, size) in enumerate(zip(places, whole.type.shape, window.type.shape, strict=True)):
                check_bounds(self.f, place, dim - size + 1, self.failing(Failure(operation, axis)))
        return places

    def shifted(self, pointer: str, whole: Value, map: IndexMap, places: Sequence[str]) -> str:
        """A pointer moved to computed indices of an array."""
        total = "0"
        for place, stride in zip(places, map.strides, strict=True):
            total = self.f.plus(total, self.f.times(place, stride))
        return self.f.moved(pointer, memory_type(whole.type.dtype, 1), total)

