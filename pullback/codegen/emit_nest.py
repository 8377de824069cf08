"""A loop nest in, LLVM text out: scalar loops outside, vectors along the last axis, a narrower body for the rest.

The remainder runs the same instructions on exactly as many lanes as are left, so every element gets the same bits
wherever it lies.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import cast

from pullback.codegen import target
from pullback.codegen.index_map import IndexMap
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, element_type, memory_type
from pullback.codegen.nest import FLOAT_LANES, Nest, Reduced
from pullback.codegen.reduce import Accumulator, accumulator
from pullback.codegen.stages import STRIP, Stage, is_periodic, stages
from pullback.dtypes import DType, f32, i64
from pullback.ir.core import Operation, Value
from pullback.ir.ops.arithmetic import Pow
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.elementary import Smooth
from pullback.ir.ops.scalar import Elementary, Scalar


def vector_lanes(nest: Nest) -> int:
    """Lanes of the main loop: 64 bytes of the widest float that is computed with, the same on every host."""
    values = [*nest.reads, *nest.constants, *nest.scalars, *(operation.result for operation in nest.operations)]
    return 16 if any(value.type.dtype == f32 for value in values) else FLOAT_LANES


LONG_BODY = 120
"""Work, an elementary function counting 20, from which a turn takes one register's width: half the code to compile.

Shorter bodies are up to a fifth faster with two.
"""


LONG_ROW = 16_384
"""Elements of a row from which the nest may take more time to compile: for turns of 128 bytes, or for stages."""
WIDE_BODY = {4: LONG_BODY, 8: 40}
"""Work below which it is worth it, by bytes of an element: of float64, one elementary function and what is about it."""


def turn_lanes(nest: Nest) -> int:
    """Lanes of one turn of the main loop: one register of the host's, or all of `vector_lanes` where the body is short.

    Two registers for each value cost twice the time to compile, and in a long body spill for nothing; sums that are folded
    need all of a group in one turn. Over long rows,
    short bodies with elementary functions get twice `vector_lanes`: they are chains of dependent operations, and the
    more chains stand side by side, the less the processor waits.
    """
    work = sum(20 if isinstance(operation.op, Smooth | Pow) else 1 for operation in nest.operations)
    lanes, register = vector_lanes(nest), target.host().vector_bytes
    if work >= LONG_BODY and not any(reduced.is_folded for reduced in nest.reductions):
        return max(2, lanes * register // 64)
    if register < 32 or nest.shape[-1] < LONG_ROW or not 20 <= work < WIDE_BODY[64 // lanes]:
        return lanes
    enough = is_periodic(nest.operations) or any(isinstance(operation.op, Pow) for operation in nest.operations)
    return lanes if enough else 2 * lanes


SHARED_USES = 4
"""Uses of one elementary function from which its code stands apart: it takes long to compile, and a call little."""


def repeated(operations: Iterable[Operation], least: int = SHARED_USES) -> frozenset[Elementary]:
    """The elementary functions that operations use at `least` so often."""
    counts = Counter(
        operation.op.function if isinstance(operation.op, Smooth) else Elementary.POW
        for operation in operations
        if isinstance(operation.op, (Smooth, Pow))
    )
    return frozenset(function for function, count in counts.items() if count >= least)


STRAIGHT_BODIES = 8
"""A nest of at most so many bodies may be emitted without loops."""


def body_count(nest: Nest) -> int:
    """How often the innermost body is run."""
    if not nest.shape:
        return 1
    return prod(nest.shape[:-1]) * -(-nest.shape[-1] // vector_lanes(nest))


def emit_nest(
    function: FunctionText, nest: Nest, pointers: Mapping[Value, str], scalars: Mapping[Value, Scalar], *,
    straight: bool = False,
) -> None:  # fmt: skip
    """Emit the whole nest at the function's current place; `pointers` name the buffers, `scalars` what is in registers.

    A `straight` nest that is small enough is emitted without loops, every address a constant distance from a buffer's.
    """
    emitter = _Emitter(function, nest, pointers, scalars, straight and body_count(nest) <= STRAIGHT_BODIES)
    emitter.fill()
    if 0 not in nest.shape:
        emitter.axis(0, {})


@dataclass
class _Row:
    """The row being emitted: where it lies, the single elements that are the same all over it, its accumulators.

    In strips, the one at hand begins at `start`, and `passed` says where what earlier stages pass on stands.
    """

    indices: dict[int, str]
    fixed: dict[Value, Scalar]
    kinds: dict[Value, Accumulator]
    start: str = "0"
    passed: dict[Value, str] = field(default_factory=dict)


@dataclass
class _Emitter:
    function: FunctionText
    nest: Nest
    pointers: Mapping[Value, str]
    scalars: Mapping[Value, Scalar]
    straight: bool
    lanes: int = field(init=False)
    shared: frozenset[Elementary] = field(init=False)
    slots: dict[Value, str] = field(default_factory=dict)
    """Stack slots of the row accumulators between rows."""

    def __post_init__(self) -> None:
        self.lanes = vector_lanes(self.nest)
        self.shared = repeated(self.nest.operations)

    # Memory

    def fill(self) -> None:
        """Start results that rows are combined into in memory; results over nothing get what nothing gives."""
        empty = 0 in self.nest.shape
        for reduced in self.nest.reductions:
            if reduced.row_axes:
                self.slots[reduced.target.buffer] = self.function.alloca(accumulator(reduced, self.lanes).type, 64)
            if empty or reduced.is_repeated:
                kind = accumulator(reduced, self.lanes)
                text = kind.over_nothing if empty else kind.memory_identity
                fill_memory(
                    self.function, self.pointers[reduced.target.buffer], reduced.operation.result.type.size,
                    reduced.operation.result.type.dtype, text,
                )  # fmt: skip

    def place(self, pointer: str, dtype: DType, map: IndexMap, indices: Mapping[int, str]) -> str:
        """A pointer to the element at the given indices (axes left out are at 0)."""
        f = self.function
        total = str(map.offset)
        for axis, index in indices.items():
            total = f.plus(total, f.times(index, map.strides[axis]))
        return f.moved(pointer, memory_type(dtype, 1), total)

    # Loops

    def axis(self, axis: int, indices: dict[int, str]) -> None:
        """Loop over one axis; the last one is the row of vectors."""
        f, nest = self.function, self.nest
        rank = len(nest.shape)
        beginning = [r for r in nest.reductions if r.row_axes and rank - r.row_axes == axis]
        for reduced in beginning:
            kind = accumulator(reduced, self.lanes)
            f.emit(f"store {kind.type} {kind.identity}, ptr {self.slots[reduced.target.buffer]}, align 64")
        if rank == 0:
            self.row_body(1, None, _Row(indices, {}, {}), {}, {}, Stage(nest.operations, []))
        elif axis == rank - 1:
            self.row(axis, indices)
        elif self.straight:
            for index in range(nest.shape[axis]):
                self.axis(axis + 1, {**indices, axis: str(index)})
        else:
            count_loop(f, nest.shape[axis], lambda index: self.axis(axis + 1, {**indices, axis: index}))
        for reduced in beginning:
            self.finish(reduced, indices)

    def finish(self, reduced: Reduced, indices: dict[int, str]) -> None:
        """Combine the lanes of a row's accumulator and give its element to memory."""
        f, kind = self.function, accumulator(reduced, self.lanes)
        slot = self.slots[reduced.target.buffer]
        lanes = Scalar(f.let(f"load {kind.type}, ptr {slot}, align 64"), kind.dtype)
        total = kind.horizontal(f, lanes)
        dtype = reduced.operation.result.type.dtype
        scalar = LlvmScalarBuilder(f, 1)
        total = scalar.cast(total, dtype)
        pointer = self.place(self.pointers[reduced.target.buffer], dtype, reduced.target.map, indices)
        if reduced.is_repeated:
            total = kind.combine(scalar, load(f, pointer, dtype, 1), total)
        store(f, pointer, total, 1)

    def row(self, axis: int, indices: dict[int, str]) -> None:
        """The last axis: a loop of full vectors, then one body of exactly the lanes that are left."""
        f, nest = self.function, self.nest
        size = nest.shape[axis]
        parts = [whole := Stage(nest.operations, [])]
        if size >= LONG_ROW and not self.shared:
            parts = stages(nest)
        # Stages have chains enough side by side.
        turn = turn_lanes(nest) if len(parts) == 1 else self.lanes
        main = size - size % max(self.lanes, turn)
        kinds = {r.target.buffer: accumulator(r, self.lanes) for r in nest.reductions if r.row_axes}
        row = _Row(indices, self.hoist(axis, indices), kinds)
        current = {
            buffer: f.let(f"load {kind.type}, ptr {self.slots[buffer]}, align 64") for buffer, kind in kinds.items()
        }
        if main == self.lanes or self.straight:
            for start in range(0, main, self.lanes):
                current = self.row_body(self.lanes, str(start), row, current, kinds, whole)
        elif len(parts) > 1:
            current = self.strips(parts, main, row, current)
        elif main:
            current = self.vector_loop(turn, "0", str(main), row, current, whole)
        if size > main:
            current = self.row_body(size - main, str(main), row, current, kinds, whole)
        for buffer, kind in kinds.items():
            f.emit(f"store {kind.type} {current[buffer]}, ptr {self.slots[buffer]}, align 64")

    def strips(self, parts: Sequence[Stage], main: int, row: _Row, current: dict[Value, str]) -> dict[Value, str]:
        """Elements from 0 to `main`, strip by strip, each stage by stage; what is passed on stands on the stack."""
        f = self.function
        row.passed = {
            value: f.alloca(f"[{STRIP} x {memory_type(value.type.dtype, 1)}]", 64) for part in parts for value in part.passed
        }
        before, head, done = f.block, f.fresh_label("strip"), f.fresh_label("rest")
        f.emit(f"br label %{head}")
        f.label(head)
        row.start = f.fresh()
        totals = {buffer: f.fresh() for buffer in current}
        place = len(f.lines)
        stop = f.let(f"add i64 {row.start}, {STRIP}")
        if main % STRIP:
            stop = f.let(f"select i1 {f.let(f'icmp ult i64 {stop}, {main}')}, i64 {stop}, i64 {main}")
        for part in parts[:-1]:
            self.vector_loop(self.lanes, row.start, stop, row, {}, part)
        after = self.vector_loop(self.lanes, row.start, stop, row, totals, parts[-1])
        f.emit(f"br i1 {f.let(f'icmp ult i64 {stop}, {main}')}, label %{head}, label %{done}")
        heads = [f"  {row.start} = phi i64 [ 0, %{before} ], [ {stop}, %{f.block} ]"]
        for buffer, name in totals.items():
            kind = row.kinds[buffer].type
            heads.append(f"  {name} = phi {kind} [ {current[buffer]}, %{before} ], [ {after[buffer]}, %{f.block} ]")
        f.lines[place:place] = heads
        f.label(done)
        row.passed = {}
        return after

    def vector_loop(
        self, lanes: int, start: str, stop: str, row: _Row, current: dict[Value, str], part: Stage
    ) -> dict[Value, str]:
        """A stage of the elements from `start` to `stop`, in turns of `lanes`, accumulators in registers.

        A turn may take fewer lanes than an accumulator has. Then the accumulator is several, which take turns: each
        element is added where it would be with full lanes.
        """
        f, kinds = self.function, {buffer: row.kinds[buffer] for buffer in current}
        narrow = {buffer: kind.narrowed(lanes) for buffer, kind in kinds.items()}
        parts = {buffer: kind.parts(f, current[buffer], narrow[buffer].lanes) for buffer, kind in kinds.items()}
        before, head, done = f.block, f.fresh_label("vector"), f.fresh_label("rest")
        f.emit(f"br label %{head}")
        f.label(head)
        index = f.fresh()
        phis = {buffer: [f.fresh() for _ in each] for buffer, each in parts.items()}
        place = len(f.lines)
        after = self.row_body(lanes, index, row, {buffer: names[0] for buffer, names in phis.items()}, narrow, part)
        turned = {buffer: [*names[1:], after[buffer]] for buffer, names in phis.items()}
        following = f.let(f"add i64 {index}, {lanes}")
        more = f.let(f"icmp ult i64 {following}, {stop}")
        f.emit(f"br i1 {more}, label %{head}, label %{done}")
        heads = [f"  {index} = phi i64 [ {start}, %{before} ], [ {following}, %{f.block} ]"]
        for buffer, names in phis.items():
            kind = narrow[buffer].type
            for name, first, again in zip(names, parts[buffer], turned[buffer], strict=True):
                heads.append(f"  {name} = phi {kind} [ {first}, %{before} ], [ {again}, %{f.block} ]")
        f.lines[place:place] = heads
        f.label(done)
        return {buffer: kind.joined(f, turned[buffer]) for buffer, kind in kinds.items()}

    def hoist(self, axis: int, indices: dict[int, str]) -> dict[Value, Scalar]:
        """Loads that the last axis does not move, as single elements."""
        fixed = {}
        for value, access in self.nest.reads.items():
            if access.map.strides[axis] == 0:
                dtype = value.type.dtype
                pointer = self.place(self.pointers[access.buffer], dtype, access.map, indices)
                fixed[value] = load(self.function, pointer, dtype, 1)
        return fixed

    # The body

    def row_body(
        self, lanes: int, index: str | None, row: _Row, current: dict[Value, str], kinds: Mapping[Value, Accumulator],
        part: Stage,
    ) -> dict[Value, str]:  # fmt: skip
        """Read, compute, write, accumulate for `lanes` elements from `index` on; gives the new accumulators.

        A stage that passes values on does only that with them.
        """
        f, last = self.function, len(self.nest.shape) - 1
        s = LlvmScalarBuilder(f, lanes, self.shared, from_memory=not is_periodic(part.operations))
        here = row.indices if index is None else {**row.indices, last: index}
        offset = f.let(f"sub i64 {index}, {row.start}") if row.passed else "0"
        values = self.inputs(s, here, row, part, offset)
        for operation in part.operations:
            f.source(operation.location)
            operands = [values[self.nest.aliases.get(operand, operand)] for operand in operation.operands]
            values[operation.result] = cast(Elementwise, operation.op).lower(s, *operands)
        for value in part.passed:
            dtype = value.type.dtype
            store(f, f.moved(row.passed[value], memory_type(dtype, 1), offset), values[value], lanes)
        return {} if part.passed else self.outputs(s, here, values, current, kinds)

    def needed(self, part: Stage) -> dict[Value, None]:
        """The values that a stage reads and does not make."""
        nest = self.nest
        read = [nest.aliases.get(value, value) for operation in part.operations for value in operation.operands]
        if not part.passed:
            read += [value for value, _ in (*nest.writes, *nest.adds)]
            read += [reduced.operand for reduced in nest.reductions]
        made = {operation.result for operation in part.operations}
        return dict.fromkeys(value for value in read if value not in made)

    def inputs(
        self, s: LlvmScalarBuilder, here: Mapping[int, str], row: _Row, part: Stage, offset: str
    ) -> dict[Value, Scalar]:
        """What a stage reads; what earlier ones pass on stands at an `offset` in the strip."""
        f, nest, lanes = self.function, self.nest, s.lanes
        last = len(nest.shape) - 1
        values: dict[Value, Scalar] = {}
        for value in self.needed(part):
            dtype = value.type.dtype
            if value in nest.constants:
                values[value] = s.constant(dtype, nest.constants[value].value)
            elif value in nest.scalars:
                values[value] = splat(f, self.scalars[nest.scalars[value]], lanes)
            elif value in nest.counters:
                values[value] = self.count(s, nest.counters[value], here, dtype)
            elif value in row.fixed:
                values[value] = splat(f, row.fixed[value], lanes)
            elif value in nest.reads:
                access = nest.reads[value]
                pointer = self.place(self.pointers[access.buffer], dtype, access.map, here)
                values[value] = load(f, pointer, dtype, lanes, access.map.strides[last] if lanes > 1 else 1)
            else:
                values[value] = load(f, f.moved(row.passed[value], memory_type(dtype, 1), offset), dtype, lanes)
        return values

    def outputs(
        self, s: LlvmScalarBuilder, here: Mapping[int, str], values: Mapping[Value, Scalar], current: dict[Value, str],
        kinds: Mapping[Value, Accumulator],
    ) -> dict[Value, str]:  # fmt: skip
        """Write and accumulate; gives the new accumulators."""
        f, nest, lanes = self.function, self.nest, s.lanes
        last = len(nest.shape) - 1
        for value, access in nest.writes:
            dtype = value.type.dtype
            pointer = self.place(self.pointers[access.buffer], dtype, access.map, here)
            store(f, pointer, values[value], lanes, access.map.strides[last] if lanes > 1 else 1)
        for value, access in nest.adds:
            dtype = value.type.dtype
            pointer = self.place(self.pointers[access.buffer], dtype, access.map, here)
            stride = access.map.strides[last] if lanes > 1 else 1
            store(f, pointer, s.add(load(f, pointer, dtype, lanes, stride), values[value]), lanes, stride)
        after = {}
        for reduced in nest.reductions:
            f.source(reduced.operation.location)
            element, buffer = values[reduced.operand], reduced.target.buffer
            if reduced.row_axes:
                kind = kinds[buffer]
                after[buffer] = kind.accumulate(f, Scalar(current[buffer], kind.dtype), element, lanes)
                continue
            kind = accumulator(reduced, self.lanes)
            dtype = reduced.operation.result.type.dtype
            pointer = self.place(self.pointers[buffer], dtype, reduced.target.map, here)
            stride = reduced.target.map.strides[last] if lanes > 1 else 1
            store(f, pointer, kind.combine(s, load(f, pointer, dtype, lanes, stride), element), lanes, stride)
        return after

    def count(self, s: LlvmScalarBuilder, map: IndexMap, here: Mapping[int, str], dtype: DType) -> Scalar:
        """An iota's elements: the index map's place, as numbers."""
        f = self.function
        total = str(map.offset)
        for axis, index in here.items():
            total = f.plus(total, f.times(index, map.strides[axis]))
        start = splat(f, Scalar(total, i64), s.lanes)
        step = map.strides[-1] if map.strides else 0
        if s.lanes > 1 and step:
            steps = ", ".join(f"i64 {lane * step}" for lane in range(s.lanes))
            start = Scalar(f.let(f"add <{s.lanes} x i64> {start.text}, <{steps}>"), i64)
        return s.cast(start, dtype)


def splat(f: FunctionText, value: Scalar, lanes: int) -> Scalar:
    """One element in every lane."""
    if lanes == 1:
        return value
    one, many = element_type(value.dtype, 1), element_type(value.dtype, lanes)
    single = f.let(f"insertelement {many} poison, {one} {value.text}, i64 0")
    return Scalar(
        f.let(f"shufflevector {many} {single}, {many} poison, <{lanes} x i32> zeroinitializer"), value.dtype
    )


def load(f: FunctionText, pointer: str, dtype: DType, lanes: int, stride: int = 1) -> Scalar:
    """Elements from memory; a strided vector is put together lane by lane."""
    if lanes > 1 and stride != 1:
        kind = element_type(dtype, lanes)
        text = "poison"
        for lane in range(lanes):
            single = load(f, step(f, pointer, dtype, lane * stride), dtype, 1)
            text = f.let(f"insertelement {kind} {text}, {element_type(dtype, 1)} {single.text}, i64 {lane}")
        return Scalar(text, dtype)
    kind = memory_type(dtype, lanes)
    text = f.let(f"load {kind}, ptr {pointer}, align {dtype.itemsize}")
    if dtype.is_bool:
        zero = "0" if lanes == 1 else "zeroinitializer"
        text = f.let(f"icmp ne {kind} {text}, {zero}")
    return Scalar(text, dtype)


def store(f: FunctionText, pointer: str, value: Scalar, lanes: int, stride: int = 1) -> None:
    """Elements to memory; bools become bytes."""
    dtype = value.dtype
    if lanes > 1 and stride != 1:
        for lane in range(lanes):
            one = f.let(f"extractelement {element_type(dtype, lanes)} {value.text}, i64 {lane}")
            store(f, step(f, pointer, dtype, lane * stride), Scalar(one, dtype), 1)
        return
    kind, text = memory_type(dtype, lanes), value.text
    if dtype.is_bool:
        text = f.let(f"zext {element_type(dtype, lanes)} {text} to {kind}")
    f.emit(f"store {kind} {text}, ptr {pointer}, align {dtype.itemsize}")


def step(f: FunctionText, pointer: str, dtype: DType, elements: int) -> str:
    """A pointer moved by a constant number of elements."""
    if elements == 0:
        return pointer
    return f.moved(pointer, memory_type(dtype, 1), str(elements))


def count_loop(f: FunctionText, count: int | str, body: Callable[[str], None]) -> None:
    """``for index in range(count)``, count, a number or an i64, at least 1; `body` takes the index's name."""
    before, head, done = f.block, f.fresh_label("loop"), f.fresh_label("done")
    f.emit(f"br label %{head}")
    f.label(head)
    index, place = f.fresh(), len(f.lines)
    body(index)
    following = f.let(f"add i64 {index}, 1")
    more = f.let(f"icmp ult i64 {following}, {count}")
    f.emit(f"br i1 {more}, label %{head}, label %{done}")
    f.lines.insert(place, f"  {index} = phi i64 [ 0, %{before} ], [ {following}, %{f.block} ]")
    f.label(done)


def fill_memory(f: FunctionText, pointer: str, count: int, dtype: DType, text: str) -> None:
    """Write one element's literal `count` times."""
    if count == 0:
        return
    kind = memory_type(dtype, 1)
    lanes = 16

    def vectors(index: str) -> None:
        offset = f.times(index, lanes)
        place = f.moved(pointer, kind, offset)
        f.emit(f"store <{lanes} x {kind}> splat ({kind} {text}), ptr {place}, align {dtype.itemsize}")

    if lanes <= count < STRAIGHT_BODIES * lanes:
        for index in range(count // lanes):
            vectors(str(index))
    elif count >= lanes:
        count_loop(f, count // lanes, vectors)
    for element in range(count - count % lanes, count):
        f.emit(f"store {kind} {text}, ptr {step(f, pointer, dtype, element)}, align {dtype.itemsize}")


def copy_memory(f: FunctionText, target: str, source: str, size: int) -> None:
    """Copy so many bytes from one place to another that does not overlap it."""
    operands = (("ptr", target), ("ptr", source), ("i64", str(size)), ("i1", "false"))
    f.call("llvm.memcpy.p0.p0.i64", "void", operands)
