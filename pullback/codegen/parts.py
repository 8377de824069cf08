"""A long run of operations in registers in, calls of functions that do a part of it each out.

LLVM's register allocation and scheduling take more than linear time in the length of a block, and nothing of it is of
use where far more values are alive than there are registers. What one part computes for another goes through memory.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from pullback.codegen.body import Body
from pullback.codegen.emit_nest import load, store
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, memory_type
from pullback.codegen.one_line import Lowered, Lowerings
from pullback.codegen.places import Compute, Load, RegionPlan, ScalarRun, Structured
from pullback.ir.core import Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.scalar import Scalar

PART = 150
"""Items of a part that LLVM optimizes."""
PLAIN_PARTS = 6
"""How many times longer others are: their values stay on the stack, in no order that would need thought."""
_SLOT_BYTES = 8
_PLAIN_LINES = 1.5
"""Lines of LLVM for the arithmetic of an item, on average, up to which a part wins nothing by LLVM's optimizations."""

Item = Compute | Load


@dataclass(frozen=True, slots=True)
class Piece:
    """Items that follow each other, what each becomes (None: a load, or not known), and whether they are arithmetic of
    about one instruction each."""

    items: list[Item]
    lowered: list[Lowered | None]
    plain: bool


def long_run(body: Body, plan: RegionPlan, run: ScalarRun) -> None:
    """Emit a run in pieces."""
    _LongRun(body, plan, run).emit()


def cut(run: ScalarRun, lowerings: Lowerings) -> list[Piece]:
    """A run's items in order, in pieces.

    Only what may be a part's code stands in pieces of `PART` items, or of some times more if it is plain arithmetic.
    """
    pieces: list[Piece] = []
    for closed, items in groupby(run.items, _is_closed):
        found = list(items)
        if not closed:
            pieces.append(Piece(found, [None] * len(found), False))
            continue
        lowered = [lowerings.find(item.operation) if isinstance(item, Compute) else None for item in found]
        size = -(-len(found) // -(-len(found) // PART))
        starts = range(0, len(found), size)
        for plain, similar in groupby(starts, lambda start: _is_plain(lowered[start : start + size])):  # noqa: B023
            joined = list(similar)
            for start in joined[:: PLAIN_PARTS if plain else 1]:
                stop = min(start + size * (PLAIN_PARTS if plain else 1), joined[-1] + size)
                pieces.append(Piece(found[start:stop], lowered[start:stop], plain))
    return pieces


def _is_closed(item: Item) -> bool:
    """Whether an item needs nothing but its operands: it can neither fail nor leave."""
    return isinstance(item, Load) or isinstance(item.operation.op, Elementwise)


def _is_plain(lowered: Sequence[Lowered | None]) -> bool:
    """Whether the items of a part are about one instruction each."""
    return sum([each.lines for each in lowered if each is not None]) <= _PLAIN_LINES * len(lowered)


class _LongRun:
    """Emits the parts of one run. `slots` are the places in memory of values that go from one piece to another."""

    def __init__(self, body: Body, plan: RegionPlan, run: ScalarRun) -> None:
        self.body = body
        self.plan = plan
        self.pieces = cut(run, Lowerings(body.f.module, body.shared))
        self.slots: dict[Value, int] = {}
        self.count = 0
        self.free: list[int] = []
        self.last = self._last_reads()

    def _last_reads(self) -> dict[Value, int]:
        """The number of the last piece that reads a value; one more than there are for what is read after the run."""
        last: dict[Value, int] = {}
        aliases = self.plan.aliases
        own = set()
        for number, piece in enumerate(self.pieces):
            for item in piece.items:
                if isinstance(item, Compute):
                    own.add(item.operation)
                    for operand in item.operands:
                        last[aliases.get(operand, operand)] = number
        after = len(self.pieces)
        for operation in self.plan.region.operations:
            if operation not in own:
                for operand in operation.operands:
                    last[aliases.get(operand, operand)] = after
        for step in self.plan.steps:
            if isinstance(step, Structured):
                last.update((self.plan.resolve(value), after) for value in (*step.operands, *step.free))
        last.update((self.plan.resolve(value), after) for value in (*self.plan.yields, *self.plan.region.yields))
        return last

    def emit(self) -> None:
        """Emit the run; what is read after it is in registers then."""
        body = self.body
        for number, piece in enumerate(self.pieces):
            if len(piece.items) > 1 and _is_closed(piece.items[0]):
                self.part(number, piece)
            else:
                for item in piece.items:
                    self.fetch(item.operands if isinstance(item, Compute) else ())
                body.scalar_items(self.plan, piece.items)
            for value in [value for value in self.slots if self.last[value] <= number]:
                self.free.append(self.slots.pop(value))
        self.fetch(list(self.slots))

    def fetch(self, values: Sequence[Value]) -> None:
        """Have values in registers of the body."""
        f, scalars = self.body.f, self.body.scalars
        for value in map(self.plan.resolve, values):
            if value in self.slots and value not in scalars:
                scalars[value] = load(f, self.place(f, self.body.spill, value), value.type.dtype, 1)

    def part(self, number: int, piece: Piece) -> None:
        """Define piece `number` as a function, and call it."""
        body, plan = self.body, self.plan
        pointers = {text: f"%p{place}" for place, text in enumerate(dict.fromkeys(
            body.pointer(item.base) for item in piece.items if isinstance(item, Load)
        ))}  # fmt: skip
        name = f"part{len(body.kernels)}"
        parameters = ("ptr noalias %slots", *(f"ptr {parameter}" for parameter in pointers.values()))
        attributes = " noinline optnone" if piece.plain else " noinline"
        module = body.f.module
        f = module.function(name, "void", parameters, attributes=attributes, plain=piece.plain)
        s = LlvmScalarBuilder(f, 1, body.shared)
        aliases, last = plan.aliases, self.last
        local: dict[Value, str] = {}
        for item, lowered in zip(piece.items, piece.lowered, strict=True):
            if isinstance(item, Load):
                value, dtype = item.value, item.value.type.dtype
                pointer = f.moved(pointers[body.pointer(item.base)], memory_type(dtype, 1), str(item.map.offset))
                text = load(f, pointer, dtype, 1).text
            else:
                operation = item.operation
                if module.annotated:
                    f.source(operation.location)
                value = operation.results[0]
                operands = []
                for operand in item.operands:
                    known = aliases.get(operand, operand)
                    operands.append(local.get(known) or self.read(f, local, known))
                if lowered is not None and lowered.template:
                    text = f.let(lowered.template % tuple(operands))
                else:
                    text = self.lower(s, item, operands)
            local[value] = text
            if last.get(value, number) > number:
                self.save(f, "%slots", value, text)
        f.emit("ret void")
        passed = (("ptr", body.spill), *(("ptr", text) for text in pointers))
        body.f.call(name, "void", passed, declare=False)
        body.note_scalars(plan, piece.items, name)

    def lower(self, s: LlvmScalarBuilder, item: Compute, operands: Sequence[str]) -> str:
        """An operation that is more than one instruction, or none."""
        op = item.operation.op
        assert isinstance(op, Elementwise)
        pairs = zip(operands, item.operands, strict=True)
        return op.lower(s, *[Scalar(text, operand.type.dtype) for text, operand in pairs]).text

    def read(self, f: FunctionText, local: dict[Value, str], value: Value) -> str:
        """A value that is not yet among a part's `local` ones; what only the body has goes there through memory."""
        if value not in self.slots:
            known = self.body.scalar(self.plan, value)
            if not known.text.startswith("%"):
                return known.text
            self.save(self.body.f, self.body.spill, value, known.text)
        found = local[value] = load(f, self.place(f, "%slots", value), value.type.dtype, 1).text
        return found

    def save(self, f: FunctionText, base: str, value: Value, text: str) -> None:
        """Write a value to a place of its own."""
        if self.free:
            self.slots[value] = self.free.pop()
        else:
            self.slots[value] = self.count
            self.count += 1
            self.body.spilled_bytes = max(self.body.spilled_bytes, _SLOT_BYTES * self.count)
        store(f, self.place(f, base, value), Scalar(text, value.type.dtype), 1)

    def place(self, f: FunctionText, base: str, value: Value) -> str:
        offset = _SLOT_BYTES * self.slots[value]
        return f.let(f"getelementptr i8, ptr {base}, i64 {offset}") if offset else base
