"""The records of one loop: what an iteration leaves on the pile, and how a replay finds it again.

The tapes that a loop keeps share one piece of the pile for each iteration: their records lie in it one after the
other. A loop that knows its trips takes all pieces at once. A while loop takes one at a time; where tapes of loops
inside it lie between its pieces, each record is preceded by the position of the one before (a link).
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from pullback.codegen.body import Body, Parts
from pullback.codegen.emit_nest import copy_memory, load, store
from pullback.codegen.llvm_text import is_number
from pullback.codegen.places import RegionPlan, Structured, is_scalar
from pullback.codegen.storage import state_arguments
from pullback.codegen.tape import Layout, Tape, TapeMemory, layout
from pullback.dtypes import i64
from pullback.ir.core import Operation, Value
from pullback.ir.ops.control import Loop, While
from pullback.ir.ops.scalar import Scalar
from pullback.ir.types import ArrayType, TapeType


@dataclass
class Records:
    """Emits what concerns the tapes of one loop; without tapes it emits next to nothing.

    `layouts` are those of each tape's record, `places` their offsets in a piece of `size` bytes. `start` is the
    position of the first piece where all are taken at once, `here` that of the present one.
    """

    body: Body
    operation: Operation | None = None
    layouts: list[Layout] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    size: int = 0
    linked: bool = False
    pops: bool = False
    direct: bool = False
    start: str = "0"
    here: str = "0"
    outer: list[str] = field(default_factory=list)
    seen: int = 0

    @classmethod
    def of(cls, body: Body, step: Structured) -> Records:
        """The records of a loop's step."""
        operation, inner = step.operation, step.plans[-1].region
        assert isinstance(operation.op, Loop)
        records = operation.op.records(inner.yields)[1]
        pushes = body.pushes[inner]
        keeps = any(isinstance(value.type, TapeType) for value in inner.yields)
        linked = isinstance(operation.op, While) and pushes and keeps
        made = cls(body, operation, linked=linked, pops=pushes and not keeps, direct=not pushes)
        for record in records:
            found = layout([value.type for value in record])
            made.size += 8 if linked else 0
            made.layouts.append(found)
            made.places.append(made.size)
            made.size += found.size
        return made

    @property
    def memory(self) -> TapeMemory:
        assert self.body.memory is not None
        return self.body.memory

    # The pieces of a counted loop

    def reserve(self, trips: str) -> None:
        """Take the pieces of all iterations."""
        if self.layouts:
            self.start = self.memory.reserve_each(trips, self.size)

    def begin(self, index: str) -> str:
        """Begin iteration `index` of a counted loop; gives the pile's mark for `end`."""
        f = self.body.f
        if self.layouts:
            self.here = f.plus(self.start, f.times(index, self.size))
        return self.opened()

    def opened(self) -> str:
        """Have what the body makes for its records made there, if the pile does not move meanwhile."""
        body = self.body
        self.outer = body.records
        if body.memory is not None:
            self.seen = body.memory.forecast.used
        if self.layouts and self.direct:
            base = self.memory.start()
            body.records = [self.address(base, place) for place in self.entries()]
        return self.memory.mark() if self.pops else ""

    def entries(self) -> list[int]:
        """Where each value of the records lies in a piece."""
        return [place + offset for found, place in zip(self.layouts, self.places, strict=True) for offset in found.offsets]

    def address(self, base: str, place: int) -> str:
        f = self.body.f
        return f.moved(base, "i8", f.plus(self.here, str(place)))

    def finish(self, inner: RegionPlan) -> None:
        """Write what is not there yet of the present records: registers, and arrays that were made elsewhere."""
        body = self.body
        if not self.layouts:
            return
        assert self.operation is not None
        base = self.memory.start()
        values = inner.yields[len(state_arguments(self.operation)) :]
        for index, (value, place) in enumerate(zip(values, self.entries(), strict=True)):
            if is_scalar(value.type):
                target = self.address(base, place)
                for number, (_, text) in enumerate(body.parts(inner, value)):
                    dtype = i64 if isinstance(value.type, TapeType) else value.type.dtype
                    store(body.f, body.f.moved(target, "i8", str(8 * number)), Scalar(text, dtype), 1)
                continue
            own = value in inner.makers
            if self.direct and (not own or body.storage.records.get(body.storage.find(value)) == index):
                continue
            body.materialize(inner, value, self.address(base, place))

    def end(self, mark: str, trips: str = "") -> None:
        """End the iteration: drop what the body left on the pile beside its records."""
        self.body.records = self.outer
        if self.body.memory is not None:
            count = int(trips) if is_number(trips) else 1
            self.body.memory.forecast.repeat(self.seen, count, pops=self.pops)
        if mark:
            self.memory.release(mark)

    # The pieces of a while loop: their number and the position of the last one go round

    def rounds(self) -> Parts:
        return [("i64", "0"), ("i64", "0")] if self.layouts else []

    def push(self, rounds: Sequence[str]) -> str:
        """Take a piece for this iteration; gives the pile's mark for `end`."""
        f = self.body.f
        if self.layouts:
            self.here = self.memory.reserve(str(self.size))
            self.memory.forecast.take(self.size)
            if self.linked:
                base = self.memory.start()
                for place in self.places:
                    before = Scalar(f.plus(rounds[1], str(place)), i64)
                    store(f, self.address(base, place - 8), before, 1)
        return self.opened()

    def following(self, rounds: Sequence[str]) -> list[str]:
        return [self.body.f.let(f"add i64 {rounds[0]}, 1"), self.here] if self.layouts else []

    # The tapes

    def no_tapes(self, operation: Operation) -> None:
        """The tapes of a loop that makes no trip."""
        for result in operation.results:
            if isinstance(result.type, TapeType):
                self.body.tapes[result] = Tape("0", "0", "1")

    def define_counted(self, trips: str) -> None:
        """Say where the tapes of a counted loop are."""
        f = self.body.f
        if self.layouts:
            last = f.plus(self.start, f.times(f.plus(trips, "-1"), self.size))
            self.define(last, trips)

    def define_pushed(self, rounds: Sequence[str]) -> None:
        """Say where the tapes of a while loop are."""
        if self.layouts:
            self.define(rounds[1], rounds[0])

    def define(self, last: str, count: str) -> None:
        assert self.operation is not None
        stride = "0" if self.linked else str(self.size)
        tapes = [result for result in self.operation.results if isinstance(result.type, TapeType)]
        for result, place in zip(tapes[len(tapes) - len(self.places) :], self.places, strict=True):
            self.body.tapes[result] = Tape(self.body.f.plus(last, str(place)), count, stride)

    # Reading

    def read(self, base: str, cursor: str, kind: ArrayType, arguments: Sequence[Value], copies: bool) -> None:
        """Say where a record's values are: in registers, or in the pile (copied from there if the pile may move)."""
        body, f = self.body, self.body.f
        assert isinstance(kind, TapeType)
        for argument, offset in zip(arguments, layout(kind.record).offsets, strict=True):
            pointer = f.moved(base, "i8", f.plus(cursor, str(offset)))
            if isinstance(argument.type, TapeType):
                texts = [load(f, f.moved(pointer, "i8", str(8 * number)), i64, 1).text for number in range(3)]
                body.define(argument, texts)
            elif is_scalar(argument.type):
                body.define(argument, [load(f, pointer, argument.type.dtype, 1).text])
            elif copies:
                size = argument.type.size * argument.type.dtype.itemsize
                copy_memory(f, body.pointer(argument), pointer, size)
            else:
                body.pointers[argument] = pointer

    def before(self, base: str, cursor: str, tape: Tape) -> str:
        """The position of the record before the one at `cursor`."""
        f = self.body.f
        if tape.stride.isdigit() and tape.stride != "0":
            return f.let(f"sub i64 {cursor}, {tape.stride}")
        link = f.moved(base, "i8", f.plus(cursor, "-8"))
        if tape.stride == "0":
            return load(f, link, i64, 1).text
        follow, step, ready = f.fresh_label("link"), f.fresh_label("stride"), f.fresh_label("before")
        f.emit(f"br i1 {f.let(f'icmp eq i64 {tape.stride}, 0')}, label %{follow}, label %{step}")
        f.label(follow)
        linked = load(f, link, i64, 1).text
        f.emit(f"br label %{ready}")
        f.label(step)
        strided = f.let(f"sub i64 {cursor}, {tape.stride}")
        f.emit(f"br label %{ready}")
        f.label(ready)
        return f.let(f"phi i64 [ {linked}, %{follow} ], [ {strided}, %{step} ]")
