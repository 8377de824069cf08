"""Operations with regions in, native branches and loops out.

The state of a loop is in registers (a phi for each element) or in memory that keeps its place: what the body yields
is made there, or moved there when the body is done.
"""
from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from pullback.codegen.body import LONG, Body, Parts
from pullback.codegen.emit_nest import copy_memory
from pullback.codegen.failure import Failure
from pullback.codegen.llvm_text import FunctionText, is_number
from pullback.codegen.places import RegionPlan, Structured, is_scalar
from pullback.codegen.record import Records
from pullback.codegen.storage import initial, record_arguments, state_arguments
from pullback.ir.core import Value
from pullback.ir.ops.control import Call, For, If, Replay, While
from pullback.ir.types import TapeType


def structured(body: Body, plan: RegionPlan, step: Structured) -> None:
    """Emit an operation with regions."""
    body.f.source(step.operation.location)
    match step.operation.op:
        case If():
            branch(body, plan, step)
        case Call():
            body.run(step.plans[0])
            move_yields(body, step.plans[0], step.operation.results)
            for result, value in zip(step.operation.results, step.plans[0].yields, strict=True):
                if is_scalar(result.type):
                    body.define(result, [text for _, text in body.parts(step.plans[0], value)])
        case For():
            for_loop(body, plan, step)
        case Replay():
            replay(body, plan, step)
        case While():
            while_loop(body, plan, step)


def branch(body: Body, plan: RegionPlan, step: Structured) -> None:
    """``if``: one of two regions; what they yield meets in phis, or in the results' memory."""
    f = body.f
    condition = body.scalar(plan, step.operands[0]).text
    labels = [f.fresh_label("then"), f.fresh_label("else")]
    meet = f.fresh_label("endif")
    f.emit(f"br i1 {condition}, label %{labels[0]}, label %{labels[1]}")
    ends: list[tuple[str, list[Parts]]] = []
    results = step.operation.results
    for label, inner in zip(labels, step.plans, strict=True):
        f.label(label)
        body.run(inner)
        move_yields(body, inner, results)
        found = [body.parts(inner, value) if is_scalar(value.type) else [] for value in inner.yields]
        ends.append((f.block, found))
        f.emit(f"br label %{meet}")
    f.label(meet)
    for index, result in enumerate(results):
        if is_scalar(result.type):
            pairs = [(parts[index], block) for block, parts in ends]
            body.define(result, _phis(f, pairs))


def _phis(f: FunctionText, ends: Sequence[tuple[Parts, str]]) -> list[str]:
    """One phi for each part of a value; equal parts need none."""
    names = []
    for place, (kind, text) in enumerate(ends[0][0]):
        if all(parts[place][1] == text for parts, _ in ends):
            names.append(text)
            continue
        entries = ", ".join(f"[ {parts[place][1]}, %{block} ]" for parts, block in ends)
        names.append(f.let(f"phi {kind} {entries}"))
    return names


def move_yields(body: Body, plan: RegionPlan, targets: Sequence[Value], apart: Collection[Value] = ()) -> None:
    """Move the arrays that a region yields to the memory of `targets`, unless they were made there.

    Targets `apart` get theirs in another way. A target's memory may hold what is still to be moved elsewhere; there is
    always an order in which it is not.
    """
    storage = body.storage
    pending = []
    for value, target in zip(plan.yields, targets, strict=False):
        if is_scalar(value.type) or target in apart:
            continue
        memory = plan.memory_of(value)
        source = None if memory is None else storage.find(memory[0])
        if plan.whole_of(value) is None or source is not storage.find(target):
            pending.append((value, source, target))
    while pending:
        blocked = [source for _, source, _ in pending]
        ready = [move for move in pending if blocked.count(storage.find(move[2])) == 0]
        assert ready, "moves that wait for each other"
        for move in ready:
            body.materialize(plan, move[0], body.pointer(move[2]))
        pending = [move for move in pending if move not in ready]


def start_state(body: Body, plan: RegionPlan, step: Structured) -> Parts:
    """Put what a loop starts from into its state's memory; gives the parts that are in registers, in order."""
    parts: Parts = []
    for index, argument in enumerate(state_arguments(step.operation)):
        value = initial(step.operation, step.operands, index)
        if is_scalar(argument.type):
            parts += body.parts(plan, value)
            continue
        start = plan.whole_of(value)
        if start is None or not body.storage.same(start, argument):
            body.materialize(plan, value, body.pointer(argument))
    return parts


def define_state(body: Body, values: Sequence[Value], texts: Sequence[str]) -> None:
    """Say what the values of a state that are in registers consist of."""
    place = 0
    for value in values:
        if is_scalar(value.type):
            count = 3 if isinstance(value.type, TapeType) else 1
            body.define(value, texts[place : place + count])
            place += count


class Swaps:
    """Arrays of a loop's state whose memory changes places with that of the next state, their pointers going round."""

    def __init__(self, body: Body, step: Structured) -> None:
        self.body = body
        self.pairs = body.storage.swaps.get(step.operation, [])
        self.classes = [body.storage.find(value) for pair in self.pairs for value in pair]
        self.homes = [body.pointer(value) for pair in self.pairs for value in pair]

    @property
    def arguments(self) -> list[Value]:
        return [argument for argument, _ in self.pairs]

    def rounds(self) -> Parts:
        """What goes round: for each pair the state's pointer and the other one."""
        return [("ptr", home) for home in self.homes]

    def begin(self, names: Sequence[str]) -> None:
        """The pointers of this iteration."""
        self.body.pointers.update(zip(self.classes, names, strict=True))

    def following(self, names: Sequence[str]) -> list[str]:
        """The pointers of the next iteration."""
        return [names[place ^ 1] for place in range(len(names))]

    def end(self, names: Sequence[str]) -> None:
        """Back to where the state is to be after the loop: a copy if it ends elsewhere."""
        f = self.body.f
        self.body.pointers.update(zip(self.classes, self.homes, strict=True))
        for number, (argument, _) in enumerate(self.pairs):
            home, last = self.homes[2 * number], names[2 * number]
            away, back = f.fresh_label("away"), f.fresh_label("home")
            f.emit(f"br i1 {f.let(f'icmp eq ptr {home}, {last}')}, label %{back}, label %{away}")
            f.label(away)
            copy_memory(f, home, last, argument.type.size * argument.type.dtype.itemsize)
            f.emit(f"br label %{back}")
            f.label(back)


def next_state(body: Body, inner: RegionPlan, step: Structured, swaps: Swaps) -> list[str]:
    """Move the arrays of the next state to their memory; gives the parts that are in registers."""
    arguments = state_arguments(step.operation)
    values = inner.yields[: len(arguments)]
    move_yields(body, inner, arguments, swaps.arguments)
    return [text for value in values if is_scalar(value.type) for _, text in body.parts(inner, value)]


def for_loop(body: Body, plan: RegionPlan, step: Structured) -> None:
    """``for``: a counted loop."""
    f = body.f
    start, stop, stride = (body.scalar(plan, operand).text for operand in step.operands[:3])
    trips = trip_count(body, step, start, stop, stride)
    counter = step.operation.regions[0].arguments[0]

    def begin(index: str) -> None:
        place = f.let(f"mul i64 {index}, {stride}") if stride != "1" else index
        body.define(counter, [f.plus(start, place)])

    counted(body, plan, step, trips, begin)


def replay(body: Body, plan: RegionPlan, step: Structured) -> None:
    """``replay``: a counted loop that walks down its tapes side by side."""
    op = step.operation.op
    assert isinstance(op, Replay) and body.memory is not None
    tapes = [body.tapes[plan.resolve(operand)] for operand in step.operands[: op.tapes]]
    kinds = [operand.type for operand in step.operands[: op.tapes]]
    cursors: list[str] = []
    arguments = record_arguments(step.operation)
    memory, records = body.memory, Records(body)
    copies = body.pushes[step.plans[0].region]

    def begin(index: str) -> None:
        place = 0
        for cursor, kind in zip(cursors, kinds, strict=True):
            assert isinstance(kind, TapeType)
            records.read(memory.start(), cursor, kind, arguments[place : place + len(kind.record)], copies)
            place += len(kind.record)

    def advance() -> list[str]:
        start = memory.start()
        return [records.before(start, cursor, tape) for cursor, tape in zip(cursors, tapes, strict=True)]

    counted(body, plan, step, tapes[0].count, begin, [tape.position for tape in tapes], cursors, advance)


def counted(
    body: Body, plan: RegionPlan, step: Structured, trips: str, begin: Callable[[str], None],
    first: Sequence[str] = (), cursors: list[str] | None = None, advance: Callable[[], list[str]] = list,
) -> None:  # fmt: skip
    """A loop of so many trips (an i64, not negative). `begin` defines what each trip has beside the state.

    `first` are more i64 that go round: `cursors` learns their names, `advance` gives those of the next trip.
    """
    f = body.f
    inner = step.plans[-1]
    operation = step.operation
    arguments = state_arguments(operation)
    parts = start_state(body, plan, step)
    results = operation.results[: len(arguments)]
    if trips == "0":
        define_state(body, results, [text for _, text in parts])
        Records(body).no_tapes(operation)
        return
    records = Records.of(body, step)
    records.reserve(trips)
    swaps = Swaps(body, step)
    parts = [*swaps.rounds(), *parts]
    held = len(swaps.homes)
    weight, body.weight = body.weight, body.weight * (int(trips) if is_number(trips) else LONG)
    before, head, done = f.block, f.fresh_label("loop"), f.fresh_label("done")
    known = is_number(trips)
    f.emit(f"br label %{head}" if known else f"br i1 {f.let(f'icmp ne i64 {trips}, 0')}, label %{head}, label %{done}")
    f.label(head)
    rounds: Parts = [("i64", "0"), *(("i64", text) for text in first), *parts]
    names = [f.fresh() for _ in rounds]
    place = len(f.lines)
    index, moving = names[0], names[1 : 1 + len(first)]
    if cursors is not None:
        cursors[:] = moving
    state = names[1 + len(first) :]
    swaps.begin(state[:held])
    define_state(body, arguments, state[held:])
    mark = records.begin(index)
    begin(index)
    body.run(inner)
    records.finish(inner)
    after = [*swaps.following(state[:held]), *next_state(body, inner, step, swaps)]
    records.end(mark, trips)
    following = [f.let(f"add i64 {index}, 1"), *advance(), *after]
    more = f.let(f"icmp ult i64 {following[0]}, {trips}")
    last = f.block
    f.emit(f"br i1 {more}, label %{head}, label %{done}")
    f.lines[place:place] = [
        f"  {name} = phi {kind} [ {text}, %{before} ], [ {again}, %{last} ]"
        for name, (kind, text), again in zip(names, rounds, following, strict=True)
    ]
    f.label(done)
    ends = after
    if not known:
        again_parts = [(kind, text) for (kind, _), text in zip(parts, after, strict=True)]
        ends = _phis(f, [(parts, before), (again_parts, last)])
    body.weight = weight
    swaps.end(ends[:held])
    define_state(body, results, ends[held:])
    records.define_counted(trips)


def trip_count(body: Body, step: Structured, start: str, stop: str, stride: str) -> str:
    """How many numbers a range has. A step of 0 leaves the function."""
    f = body.f
    if all(is_number(text) for text in (start, stop, stride)) and stride != "0":
        return str(len(range(int(start), int(stop), int(stride))))
    if stride == "1":
        some = f.let(f"icmp sgt i64 {stop}, {start}")
        return f.let(f"select i1 {some}, i64 {f.let(f'sub i64 {stop}, {start}')}, i64 0")
    if not is_number(stride) or stride == "0":
        bad, good = f.fresh_label("standing"), f.fresh_label("moving")
        f.emit(f"br i1 {f.let(f'icmp eq i64 {stride}, 0')}, label %{bad}, label %{good}")
        f.label(bad)
        f.leave(str(body.failing(Failure(step.operation))))
        f.label(good)
    up = f.let(f"icmp sgt i64 {stride}, 0")
    low, high = (f.let(f"select i1 {up}, i64 {x}, i64 {y}") for x, y in ((start, stop), (stop, start)))
    size = f.let(f"select i1 {up}, i64 {stride}, i64 {f.let(f'sub i64 0, {stride}')}")
    some = f.let(f"icmp sgt i64 {high}, {low}")
    span = f.let(f"sub i64 {high}, {low}")
    last = f.let(f"udiv i64 {f.let(f'add i64 {span}, -1')}, {size}")
    return f.let(f"select i1 {some}, i64 {f.let(f'add i64 {last}, 1')}, i64 0")


def while_loop(body: Body, plan: RegionPlan, step: Structured) -> None:
    """``while``: the condition first, then the body, until it does not hold."""
    f = body.f
    operation = step.operation
    condition, inner = step.plans
    arguments = state_arguments(operation)
    parts = start_state(body, plan, step)
    records = Records.of(body, step)
    swaps = Swaps(body, step)
    weight, body.weight = body.weight, body.weight * LONG
    before, head, again, done = f.block, f.fresh_label("while"), f.fresh_label("body"), f.fresh_label("done")
    f.emit(f"br label %{head}")
    f.label(head)
    rounds: Parts = [*records.rounds(), *swaps.rounds(), *parts]
    names = [f.fresh() for _ in rounds]
    place = len(f.lines)
    count = len(records.rounds())
    pointers, state = names[count : count + len(swaps.homes)], names[count + len(swaps.homes) :]
    swaps.begin(pointers)
    define_state(body, arguments, state)
    body.run(condition)
    holds = body.scalar(condition, condition.yields[0]).text
    f.emit(f"br i1 {holds}, label %{again}, label %{done}")
    f.label(again)
    mark = records.push(names[:count])
    body.run(inner)
    records.finish(inner)
    after = next_state(body, inner, step, swaps)
    records.end(mark)
    following = [*records.following(names[:count]), *swaps.following(pointers), *after]
    last = f.block
    f.emit(f"br label %{head}")
    f.lines[place:place] = [
        f"  {name} = phi {kind} [ {text}, %{before} ], [ {next_text}, %{last} ]"
        for name, (kind, text), next_text in zip(names, rounds, following, strict=True)
    ]
    f.label(done)
    body.weight = weight
    swaps.end(pointers)
    define_state(body, operation.results[: len(arguments)], state)
    records.define_pushed(names[:count])

