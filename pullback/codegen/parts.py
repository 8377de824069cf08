"""A long run of operations in registers in, calls of functions that do a part of it each out.

LLVM's register allocation and scheduling take more than linear time in the length of a block, and nothing of it is of
use where far more values are alive than there are registers. What one part computes for another goes through memory.
"""
from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from pullback.codegen.body import Body
from pullback.codegen.emit_nest import load, store
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, memory_type
from pullback.codegen.places import Compute, Load, RegionPlan, ScalarRun, Structured
from pullback.ir.core import Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.scalar import Scalar

PART = 150
"""Items of a part."""
_SLOT_BYTES = 8
_PLAIN_LINES = 1.5
"""Lines of LLVM for the arithmetic of an item, on average, up to which a part wins nothing by LLVM's optimizations."""

Item = Compute | Load


def long_run(body: Body, plan: RegionPlan, run: ScalarRun) -> None:
    """Emit a run in pieces."""
    _LongRun(body, plan, cut(run)).emit()


def cut(run: ScalarRun) -> list[list[Item]]:
    """A run's items in order; what is longer than `PART` of them stands by itself where it may be a part's code."""
    pieces: list[list[Item]] = []
    for plain, items in groupby(run.items, _is_plain):
        found = list(items)
        count = -(-len(found) // PART) if plain else 1
        size = -(-len(found) // count)
        pieces += [found[start : start + size] for start in range(0, len(found), size)]
    return pieces


def _is_plain(item: Item) -> bool:
    """Whether an item needs nothing but its operands: it can neither fail nor leave."""
    return isinstance(item, Load) or isinstance(item.operation.op, Elementwise)


class _LongRun:
    """Emits the parts of one run. `slots` are the places in memory of values that go from one piece to another."""

    def __init__(self, body: Body, plan: RegionPlan, pieces: Sequence[list[Item]]) -> None:
        self.body = body
        self.plan = plan
        self.pieces = pieces
        self.slots: dict[Value, int] = {}
        self.count = 0
        self.free: list[int] = []
        self.last = self._last_reads()

    def _last_reads(self) -> dict[Value, int]:
        """The number of the last piece that reads a value; one more than there are for what is read after the run."""
        last: dict[Value, int] = {}
        resolve = self.plan.resolve
        for number, piece in enumerate(self.pieces):
            for item in piece:
                if isinstance(item, Compute):
                    last.update((resolve(operand), number) for operand in item.operands)
        own = {item.operation for piece in self.pieces for item in piece if isinstance(item, Compute)}
        after = len(self.pieces)
        for operation in self.plan.region.operations:
            if operation not in own:
                last.update((resolve(operand), after) for operand in operation.operands)
        for step in self.plan.steps:
            if isinstance(step, Structured):
                last.update((resolve(value), after) for value in (*step.operands, *step.free))
        last.update((resolve(value), after) for value in (*self.plan.yields, *self.plan.region.yields))
        return last

    def emit(self) -> None:
        """Emit the run; what is read after it is in registers then."""
        body = self.body
        for number, piece in enumerate(self.pieces):
            if len(piece) > 1 and _is_plain(piece[0]):
                self.part(number, piece)
            else:
                for item in piece:
                    self.fetch(item.operands if isinstance(item, Compute) else ())
                body.scalar_items(self.plan, piece)
            for value in [value for value in self.slots if self.last[value] <= number]:
                self.free.append(self.slots.pop(value))
        self.fetch(list(self.slots))

    def fetch(self, values: Sequence[Value]) -> None:
        """Have values in registers of the body."""
        f, scalars = self.body.f, self.body.scalars
        for value in map(self.plan.resolve, values):
            if value in self.slots and value not in scalars:
                scalars[value] = load(f, self.place(f, self.body.spill, value), value.type.dtype, 1)

    def part(self, number: int, piece: list[Item]) -> None:
        """Define piece `number` as a function, and call it."""
        body, plan = self.body, self.plan
        pointers = {text: f"%p{place}" for place, text in enumerate(dict.fromkeys(
            body.pointer(item.base) for item in piece if isinstance(item, Load)
        ))}  # fmt: skip
        name = f"part{len(body.kernels)}"
        parameters = ("ptr noalias %slots", *(f"ptr {parameter}" for parameter in pointers.values()))
        f = body.f.module.function(name, "void", parameters, attributes=" noinline")
        s = LlvmScalarBuilder(f, 1, body.shared)
        local: dict[Value, Scalar] = {}
        lines = 0
        for item in piece:
            if isinstance(item, Load):
                value, dtype = item.value, item.value.type.dtype
                pointer = f.moved(pointers[body.pointer(item.base)], memory_type(dtype, 1), str(item.map.offset))
                found = load(f, pointer, dtype, 1)
            else:
                f.source(item.operation.location)
                value, op = item.operation.result, item.operation.op
                assert isinstance(op, Elementwise)
                operands = [self.read(f, local, plan.resolve(operand)) for operand in item.operands]
                before = len(f.lines)
                found = op.lower(s, *operands)
                lines += len(f.lines) - before
            local[value] = found
            if self.last.get(value, number) > number:
                self.save(f, "%slots", value, found)
        if lines <= _PLAIN_LINES * len(piece):
            f.header += " optnone"
        f.emit("ret void")
        passed = (("ptr", body.spill), *(("ptr", text) for text in pointers))
        body.f.call(name, "void", passed, declare=False)
        body.note_scalars(plan, piece, name)

    def read(self, f: FunctionText, local: dict[Value, Scalar], value: Value) -> Scalar:
        """A value in a part that `local` values are known in; what only the body has goes there through memory."""
        found = local.get(value)
        if found is None:
            if value not in self.slots:
                known = self.body.scalar(self.plan, value)
                if not known.text.startswith("%"):
                    return known
                self.save(self.body.f, self.body.spill, value, known)
            found = local[value] = load(f, self.place(f, "%slots", value), value.type.dtype, 1)
        return found

    def save(self, f: FunctionText, base: str, value: Value, found: Scalar) -> None:
        """Write a value to a place of its own."""
        if self.free:
            self.slots[value] = self.free.pop()
        else:
            self.slots[value] = self.count
            self.count += 1
            self.body.spilled_bytes = max(self.body.spilled_bytes, _SLOT_BYTES * self.count)
        store(f, self.place(f, base, value), found, 1)

    def place(self, f: FunctionText, base: str, value: Value) -> str:
        return f.moved(base, "i8", str(_SLOT_BYTES * self.slots[value]))
