"""What of a region is needed for what it yields: a region in, its live values out, and what of tapes is read."""
from __future__ import annotations

from collections.abc import Iterable

from pullback.ir.analysis.uses import defined
from pullback.ir.core import Operation, Region, Value, walk
from pullback.ir.loop_parts import LoopParts, take_apart
from pullback.ir.ops.control import If, Loop, Replay
from pullback.ir.types import ArrayType, TapeType


class Cell:
    """One place in the records of tapes of one shape: who writes it, and whether anybody reads it."""

    __slots__ = ("kind", "needed", "producers", "shape")

    def __init__(self, kind: ArrayType) -> None:
        self.kind = kind
        self.needed = False
        self.producers: list[Value] = []
        self.shape = Shape(kind) if isinstance(kind, TapeType) else None


class Shape:
    """The records of all tapes that must have one type, because the same operations write or read them."""

    __slots__ = ("cells", "joined")

    def __init__(self, kind: TapeType) -> None:
        self.joined: Shape | None = None
        self.cells = [Cell(each) for each in kind.record]

    def final(self) -> Shape:
        """The shape that stands for this one now."""
        shape = self
        while shape.joined is not None:
            shape = shape.joined
        return shape

    def join(self, other: Shape) -> None:
        """Make two shapes one."""
        pending = [(self, other)]
        while pending:
            left, right = (each.final() for each in pending.pop())
            if left is right:
                continue
            right.joined = left
            for mine, theirs in zip(left.cells, right.cells, strict=True):
                mine.needed |= theirs.needed
                mine.producers += theirs.producers
                if mine.shape is not None and theirs.shape is not None:
                    pending.append((mine.shape, theirs.shape))

    def pin(self) -> list[Value]:
        """Keep all places; gives what is written to them."""
        producers: list[Value] = []
        for cell in self.cells:
            cell.needed = True
            producers += cell.producers
            if cell.shape is not None:
                producers += cell.shape.final().pin()
        return producers

    def smallest(self) -> int:
        """The cheapest place to keep where none is read and only the number of records counts."""
        sizes = [1 << 30 if isinstance(cell.kind, TapeType) or not all(isinstance(dim, int) for dim in cell.kind.dims)
                 else cell.kind.size * cell.kind.dtype.itemsize for cell in self.final().cells]  # fmt: skip
        return sizes.index(min(sizes))

    def kind(self) -> TapeType:
        """The type without the places that nobody reads."""
        cells = [cell for cell in self.final().cells if cell.needed]
        return TapeType(tuple([cell.kind if cell.shape is None else cell.shape.kind() for cell in cells]))


class Liveness:
    """Live values of a region and all inside it: what its yields are computed from. Linear in the number of operations.

    A carried value is live if its last result is, or an iteration needs it for something live; a place in a tape's
    records is needed if a live value comes off it. Tapes from around the region, and those that it yields, keep all.
    """

    def __init__(self, region: Region) -> None:
        self.live: set[Value] = set()
        self.parts: dict[Operation, LoopParts] = {}
        self.taken_off: dict[Operation, list[tuple[Value, list[Value]]]] = {}
        self.running: dict[Operation, None] = {}
        self.effects: dict[Operation, None] = {}
        """Operations that are run for what they do, and those around them."""
        self.shapes: dict[Value, Shape] = {}
        self._regions: dict[Value, tuple[Operation, int]] = {}
        self._carried: dict[Value, tuple[Operation, int]] = {}
        self._read: dict[Value, tuple[Value, int]] = {}
        self._pending: list[Value] = []
        self._inside = set(defined(region))
        for operation in walk(region):
            if isinstance(operation.op, Loop):
                self._loop(operation)
            elif operation.regions:
                self._branches(operation)
        for value, shape in self.shapes.items():
            if value not in self._inside or value in region.yields:
                self._need(shape.final().pin())
        self._need(region.yields)
        self._keep_effects(region)
        self._mark()
        while self._count_records():
            self._mark()

    def shape(self, value: Value) -> Shape:
        """The shape of a tape."""
        found = self.shapes.get(value)
        if found is None:
            assert isinstance(value.type, TapeType)
            found = self.shapes[value] = Shape(value.type)
        return found.final()

    def drivers(self, operation: Operation) -> list[bool]:
        """Which drivers of a loop stay: bounds all, tapes those that something live comes off, at least one."""
        if not isinstance(operation.op, Replay):
            return [True] * len(self.parts[operation].drivers)
        kept = [any(value in self.live for value in record) for _, record in self.taken_off[operation]]
        return kept if any(kept) else [place == 0 for place in range(len(kept))]

    def _same(self, values: Iterable[Value], others: Iterable[Value]) -> None:
        for value, other in zip(values, others, strict=True):
            if isinstance(value.type, TapeType):
                self.shape(value).join(self.shape(other))

    def _branches(self, operation: Operation) -> None:
        operands = operation.operands[1:] if isinstance(operation.op, If) else operation.operands
        for region in operation.regions:
            self._same(operation.results, region.yields)
            self._same(operands, region.arguments)
            for number, argument in enumerate(region.arguments):
                self._regions[argument] = operation, number

    def _loop(self, operation: Operation) -> None:
        parts = self.parts[operation] = take_apart(operation)
        for number in range(len(parts.arguments)):
            arguments = [parts.arguments[number]]
            if parts.condition is not None:
                arguments.append(parts.condition.arguments[number])
            for value in (*arguments, parts.results[number]):
                self._carried[value] = operation, number
                self._same([parts.initial[number], parts.yields[number]], [value, value])
        for tape, record in zip(parts.tapes, parts.records, strict=True):
            for cell, value in zip(self.shape(tape).cells, record, strict=True):
                cell.producers.append(value)
                if cell.shape is not None:
                    cell.shape.final().join(self.shape(value))
        self.taken_off[operation] = parts.taken_off()
        for tape, record in self.taken_off[operation]:
            for place, (cell, value) in enumerate(zip(self.shape(tape).cells, record, strict=True)):
                self._read[value] = tape, place
                if cell.shape is not None:
                    cell.shape.final().join(self.shape(value))

    def _keep_effects(self, region: Region) -> None:
        """Operations that are run for what they do are needed, and so are those whose regions they are in."""
        around: dict[Operation, Operation] = {}
        found = []
        for operation in walk(region):
            around.update((each, operation) for inner in operation.regions for each in inner.operations)
            if operation.op.effect:
                found.append(operation)
        for operation in found:
            self._need(operation.operands)
            self.effects[operation] = None
            while (outer := around.get(operation)) is not None and outer not in self.effects:
                operation = outer
                self.effects[operation] = None
                if operation in self.parts:
                    self._run(operation, None)
                elif isinstance(operation.op, If):
                    self._need(operation.operands[:1])

    def _need(self, values: Iterable[Value]) -> None:
        for value in values:
            if value not in self.live:
                self.live.add(value)
                self._pending.append(value)

    def _mark(self) -> None:
        """Follow what is live to what it is computed from."""
        while self._pending:
            value = self._pending.pop()
            owner = value.owner
            if value in self._carried:
                self._run(*self._carried[value])
            elif value in self._read:
                tape, place = self._read[value]
                cell = self.shape(tape).cells[place]
                cell.needed = True
                self._need([tape, *cell.producers])
            elif value in self._regions:
                operation, number = self._regions[value]
                self._need([operation.operands[number + 1 if isinstance(operation.op, If) else number]])
            elif owner is None or value not in self._inside:
                continue
            elif owner in self.parts:
                self._run(owner, None)
            elif owner.regions:
                self._need(owner.operands[:1] if isinstance(owner.op, If) else ())
                self._need(region.yields[value.index] for region in owner.regions)
            else:
                self._need(owner.operands)

    def _run(self, operation: Operation, number: int | None) -> None:
        """A loop runs, for a carried value or for a tape."""
        parts = self.parts[operation]
        self.running[operation] = None
        if not isinstance(operation.op, Replay):
            self._need(parts.drivers)
        if parts.condition is not None:
            self._need(parts.condition.yields)
        if number is not None:
            self._need(each[number] for each in (parts.initial, parts.arguments, parts.yields, parts.results))

    def _count_records(self) -> bool:
        """Tapes that only tell a replay how often to run need one place in their records; whether any was missing."""
        for operation in self.running:
            parts = self.parts[operation]
            self._need(driver for driver, kept in zip(parts.drivers, self.drivers(operation), strict=True) if kept)
        for value in list(self.shapes):
            shape = self.shape(value)
            if value in self.live and not any(cell.needed for cell in shape.cells):
                cell = shape.cells[shape.smallest()]
                cell.needed = True
                self._need(cell.producers)
        return bool(self._pending)
