"""Steps in, the memory of every value out: what is written in place, and where temporaries lie in the arena.

Values that share one piece of memory form a class. A value joins the class of another when it is made by changing
that one, at the last moment at which the other is read: the result of dynamic_update and its operand, the state of a
loop before, in and after it, a branch's yield and the operation's result. Arguments of the function are never joined:
the first write copies.
"""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pullback.codegen.lower.decomposition import scratch_bytes, vectors_of
from pullback.codegen.memory_plan import Lifetime, MemoryPlan, plan_memory
from pullback.codegen.places import Group, Opaque, RegionPlan, Structured, is_scalar
from pullback.dtypes import boolean
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.control import For, Loop, Replay
from pullback.ir.ops.reduction import Reduction
from pullback.ir.ops.window import DynamicAdd, DynamicUpdate
from pullback.ir.types import ArrayType

SWAPPED_BYTES = 512
"""The least size of arrays that change places: shorter ones are moved, which leaves addresses constant."""


@dataclass(eq=False)
class Storage:
    """Classes of values; one value stands for each.

    `offsets` are the places in the arena of those that lie there, `sizes` their bytes; `records` those that lie in
    an entry of the record that an iteration pushes. The rest is known from outside: arguments and results.
    `swaps` are, for a loop, arguments of its state and what its body yields for them: two pieces of memory that change
    places in each iteration, because to move the elements would cost as much as to compute them. `scratch` has, for
    operations that need memory while they run, what stands for it in `offsets`; `unread` are results that need not be made.
    """

    parents: dict[Value, Value] = field(default_factory=dict)
    offsets: dict[Value, int] = field(default_factory=dict)
    sizes: dict[Value, int] = field(default_factory=dict)
    records: dict[Value, int] = field(default_factory=dict)
    swaps: dict[Operation, list[tuple[Value, Value]]] = field(default_factory=dict)
    scratch: dict[Operation, Value] = field(default_factory=dict)
    unread: set[Value] = field(default_factory=set)
    arena_bytes: int = 0

    def find(self, value: Value) -> Value:
        """The value that stands for the class of `value`."""
        parents = self.parents
        while (parent := parents.get(value)) is not None:
            if (above := parents.get(parent)) is not None:
                parents[value] = above
            value = parent
        return value

    def join(self, value: Value, other: Value) -> None:
        """Put `value`'s class into that of `other`."""
        value, other = self.find(value), self.find(other)
        if value is not other:
            self.parents[value] = other

    def same(self, value: Value, other: Value) -> bool:
        return self.find(value) is self.find(other)


def plan_storage(plan: RegionPlan, pushes: Mapping[Region, bool]) -> Storage:
    """Decide for a function and all its regions. `pushes` are the regions inside which a tape is kept."""
    storage = Storage()
    region = _Region(plan, storage, pushes)
    region.join_all()
    known = {*plan.region.arguments, *(storage.find(value) for value in plan.results)}
    storage.arena_bytes = region.measure(known)
    region.place(0)
    return storage


@dataclass(eq=False)
class _Region:
    """One region. `lent` are outer values that it may overwrite after their last use in it; `bound` are values whose
    memory receives the yield of that number: the arguments of a loop's state, or what a branch's result has joined.
    `copied` are arguments that are copied to memory of the region's own when it starts."""

    plan: RegionPlan
    storage: Storage
    pushes: Mapping[Region, bool]
    lent: set[Value] = field(default_factory=set)
    bound: dict[Value, int] = field(default_factory=dict)
    copied: tuple[Value, ...] = ()
    last: dict[Value, int] = field(default_factory=dict)
    inner: dict[int, list[_Region]] = field(default_factory=dict)
    chains: dict[int, set[Value]] = field(default_factory=dict)
    memory: MemoryPlan = field(default_factory=lambda: MemoryPlan({}, 0))
    probes: dict[Value, int] = field(default_factory=dict)
    swapped: set[Value] = field(default_factory=set)

    def __post_init__(self) -> None:
        plan = self.plan
        for position, step in enumerate(plan.steps):
            for value in (*plan.read(step), *plan.written(step)):
                self.last[value] = position
        for value in plan.yields:
            if not is_scalar(value.type) and (memory := plan.memory_of(value)) is not None:
                self.last[memory[0]] = len(plan.steps)

    # What may share memory

    def join_all(self) -> None:
        """Join classes, here and in the regions inside."""
        for value, index in self.bound.items():
            self.chains[index] = self.chain(value, self.plan.yields[index])
        for position, step in enumerate(self.plan.steps):
            match step:
                case Opaque(_, operation, _) if isinstance(operation.op, DynamicUpdate | DynamicAdd):
                    self.update(position, operation)
                case Group() | Opaque():
                    self.replace(position, step)
                case Structured(_, operation) if isinstance(operation.op, Loop):
                    self.loop(position, step)
                case Structured():
                    self.branches(position, step)

    def is_lasting(self, value: Value) -> bool:
        """Whether this region must leave the memory of `value` alone: it belongs to somebody outside."""
        return value not in self.plan.makers and value not in self.lent and value not in self.bound

    def may_overwrite(self, value: Value, by: Value, position: int) -> bool:
        """Whether the step at `position` may make `by` in the memory of `value`, which nothing reads afterwards."""
        if self.is_lasting(value) or self.last.get(value, -1) > position:
            return False
        if by.type.dtype != value.type.dtype or by.type.size != value.type.size:
            return False
        for bound, index in self.bound.items():
            if self.storage.same(bound, value):
                return by in self.chains[index]
        return True

    def update(self, position: int, operation: Operation) -> None:
        """dynamic_update and dynamic_add write into their operand, unless the window lies in it as well."""
        whole, window = operation.operands[:2]
        if is_scalar(whole.type):
            return
        base = self.plan.whole_of(whole)
        other = None if is_scalar(window.type) else self.plan.memory_of(window)
        if base is None or (other is not None and other[0] is base):
            return
        if self.may_overwrite(base, operation.result, position):
            self.storage.join(operation.result, base)

    def replace(self, position: int, step: Group | Opaque) -> None:
        """What a step computes anew may be written over an old state that nobody reads any more."""
        for value, index in self.bound.items():
            target = self.plan.yields[index]
            if self.plan.makers.get(target) != position or not self.may_overwrite(value, target, position):
                continue
            if any(self.storage.same(target, other) for other in self.bound):
                # What is yielded several times is made in the memory of one state, and copied to the others.
                continue
            if self.last.get(value, -1) < position or (isinstance(step, Group) and self.reads_in_order(step, value)):
                self.storage.join(target, value)

    def reads_in_order(self, group: Group, base: Value) -> bool:
        """Whether each pass of a group's loop nest reads just those elements of `base` that it writes, and first."""
        for operation in group.operations:
            if isinstance(operation.op, Reduction):
                return False
            for operand in operation.operands:
                memory = None if is_scalar(operand.type) else self.plan.memory_of(operand)
                if memory is not None and memory[0] is base and self.plan.whole_of(operand) is not base:
                    return False
        return True

    def chain(self, start: Value, end: Value) -> set[Value]:
        """The values that lead from `start` to `end`, each made by changing the one before; empty if none do."""
        found: set[Value] = set()
        value = self.plan.whole_of(end)
        while value is not None and value is not start:
            if value in found:
                return set()
            found.add(value)
            donors = self.donors(value, start)
            value = start if start in donors else next(iter(donors), None)
        return found if value is start else set()

    def donors(self, value: Value, start: Value) -> list[Value]:
        """Values of this region in whose memory `value` might be made."""
        position = self.plan.makers.get(value)
        step = None if position is None else self.plan.steps[position]
        match step:
            case Opaque(_, operation, _) if isinstance(operation.op, DynamicUpdate | DynamicAdd):
                return known(self.plan, [operation.operands[0]])
            case Structured(_, operation, operands) if isinstance(operation.op, Loop):
                return known(self.plan, [initial(operation, operands, value.index)])
            case Structured():
                return origins(step, value.index)
            case Group() | Opaque():
                return [start]
        return []

    def loop(self, position: int, step: Structured) -> None:
        """A loop's state: its result and its body's argument are one, and what it starts from where that is dead."""
        operation, body, storage = step.operation, step.plans[-1], self.storage
        accesses = list(self.plan.read(step))
        bound: dict[Value, int] = {}
        for index, argument in enumerate(state_arguments(operation)):
            result = operation.results[index]
            if is_scalar(argument.type):
                continue
            storage.join(argument, result)
            bound[argument] = index
            for start in known(self.plan, [initial(operation, step.operands, index)]):
                if accesses.count(start) == 1 and self.may_overwrite(start, result, position):
                    storage.join(result, start)
        copied = record_arguments(operation) if self.pushes[body.region] else ()
        made = [_Region(plan, storage, self.pushes) for plan in step.plans[:-1]]
        made.append(_Region(body, storage, self.pushes, set(), bound, copied))
        self.inner[position] = made
        for region in made:
            region.join_all()
        if not self.pushes[body.region]:
            self.record(operation, body, bound)
        made[-1].swap(operation)

    def record(self, operation: Operation, body: RegionPlan, bound: Iterable[Value]) -> None:
        """What a body computes for its records is made there, unless it is made in the state."""
        storage = self.storage
        taken = {storage.find(value) for value in bound}
        count = len(state_arguments(operation))
        for index, value in enumerate(body.yields[count:]):
            found = storage.find(value)
            if not is_scalar(value.type) and value in body.makers and found not in taken:
                storage.records.setdefault(found, index)

    def swap(self, operation: Operation) -> None:
        """A large array of the next state that is made in memory of its own changes places with the old one."""
        storage = self.storage
        arguments = state_arguments(operation)
        taken = {storage.find(argument) for argument in arguments if not is_scalar(argument.type)}
        taken.update(storage.records)
        for argument, value in zip(arguments, self.plan.yields, strict=False):
            if is_scalar(argument.type) or value not in self.plan.makers or storage.find(value) in taken:
                continue
            if value.type.size * value.type.dtype.itemsize >= SWAPPED_BYTES:
                taken.add(storage.find(value))
                storage.swaps.setdefault(operation, []).append((argument, value))
                self.swapped.add(storage.find(value))

    def branches(self, position: int, step: Structured) -> None:
        """Results of a branch: in the memory of what one of the branches changes or passes on, if that is dead."""
        operation, plans, storage = step.operation, step.plans, self.storage
        lent = {
            value for value in self.plan.read(step) if self.last[value] == position and not self.is_lasting(value)
        }  # fmt: skip
        bound: dict[Value, int] = {}
        for index, result in enumerate(operation.results):
            if is_scalar(result.type):
                continue
            for origin in origins(step, index):
                free = origin in lent and origin not in bound and passed_on(plans, origin) <= {index}
                if free and self.may_overwrite(origin, result, position):
                    storage.join(result, origin)
                    bound[origin] = index
                    break
        # What receives a yield of this region may only be changed on the way there.
        kept = {storage.find(value) for value in self.bound}
        lent = {value for value in lent if storage.find(value) not in kept and value not in bound}
        made = [_Region(plan, storage, self.pushes, lent, dict(bound)) for plan in plans]
        self.inner[position] = made
        for region in made:
            region.join_all()
            region.yield_into(operation.results, bound)

    def yield_into(self, results: tuple[Value, ...], bound: Mapping[Value, int]) -> None:
        """Have what a branch yields made in the memory of the result, if it has none that is known outside."""
        storage = self.storage
        outer = {storage.find(value) for value in (*self.lent, *self.bound, *results) if not is_scalar(value.type)}
        for index, value in enumerate(self.plan.yields):
            if is_scalar(value.type) or index in bound.values() or value not in self.plan.makers:
                continue
            if storage.find(value) not in outer:
                storage.join(value, results[index])
                outer.add(storage.find(value))

    # Where in the arena

    def measure(self, known: set[Value]) -> int:
        """Give the temporaries of this region, and of those inside, offsets from the region's start; the bytes needed.

        `known` are classes that have their memory; it learns those that get theirs here.
        """
        storage, plan = self.storage, self.plan
        lifetimes: dict[Value, Lifetime] = {}
        for value, first in (*((each, -1) for each in self.copied if not is_scalar(each.type)), *plan.makers.items()):
            found = storage.find(value)
            if found in storage.records or (found in known and found not in lifetimes):
                continue
            known.add(found)
            size = value.type.size * value.type.dtype.itemsize
            before = lifetimes.get(found, Lifetime(first, first, size))
            last = max(before.last, self.last.get(value, first))
            if found in self.swapped:
                first, last = -1, len(plan.steps)
            lifetimes[found] = Lifetime(min(before.first, first), last, size)
        storage.sizes.update((value, life.size) for value, life in lifetimes.items())
        for position, step in enumerate(plan.steps):
            if not isinstance(step, Opaque):
                continue
            vectors = vectors_of(step.operation)
            values_only = bool(vectors) and all(self.last.get(each) == position for each in vectors)
            if values_only:
                storage.unread.update(vectors)
            if size := scratch_bytes(step.operation, values_only):
                memory = storage.scratch[step.operation] = Value(ArrayType(boolean, ()))
                lifetimes[memory] = Lifetime(position, position, size)
        for position, regions in self.inner.items():
            # All that a step's regions need is one temporary, there while the step runs.
            size = max(region.measure(known) for region in regions)
            if size:
                probe = Value(ArrayType(boolean, ()))
                lifetimes[probe] = Lifetime(position, position, size)
                self.probes[probe] = position
        self.memory = plan_memory(lifetimes)
        return self.memory.size

    def place(self, start: int) -> None:
        """Make the offsets those of the whole arena."""
        for value, offset in self.memory.offsets.items():
            if value in self.probes:
                for region in self.inner[self.probes[value]]:
                    region.place(start + offset)
            else:
                self.storage.offsets[value] = start + offset


def state_arguments(operation: Operation) -> list[Value]:
    """The arguments of a loop's body that are its state."""
    arguments = operation.regions[-1].arguments
    return arguments[len(arguments) - (len(operation.operands) - _leading(operation)) :]


def record_arguments(operation: Operation) -> tuple[Value, ...]:
    """The arguments of a replay's body that are its records."""
    arguments = operation.regions[-1].arguments
    count = len(arguments) - len(state_arguments(operation))
    return tuple(arguments[:count]) if isinstance(operation.op, Replay) else ()


def initial(operation: Operation, operands: tuple[Value, ...], index: int) -> Value:
    """What a loop's state starts from."""
    return operands[_leading(operation) + index]


def _leading(operation: Operation) -> int:
    """Operands of a loop before its state."""
    match operation.op:
        case For():
            return 3
        case Replay(tapes):
            return tapes
    return 0


def known(plan: RegionPlan, values: Iterable[Value]) -> list[Value]:
    """Those of some arrays that are all of a memory."""
    found = (plan.whole_of(value) for value in values)
    return [value for value in found if value is not None]


def origins(step: Structured, index: int) -> list[Value]:
    """Values around a branch that its yields of a number are, or are made from by changing them."""
    found: dict[Value, None] = {}
    for plan in step.plans:
        value: Value | None = plan.whole_of(plan.yields[index])
        while value is not None and value in plan.makers:
            maker = plan.steps[plan.makers[value]]
            match maker:
                case Opaque(_, operation, _) if isinstance(operation.op, DynamicUpdate | DynamicAdd):
                    value = plan.whole_of(operation.operands[0])
                case Structured(_, operation, operands) if isinstance(operation.op, Loop):
                    value = plan.whole_of(initial(operation, operands, value.index))
                case Structured():
                    value = next(iter(origins(maker, value.index)), None)
                case _:
                    value = None
        if value is not None:
            found[value] = None
    return list(found)


def passed_on(plans: Iterable[RegionPlan], value: Value) -> set[int]:
    """The numbers of the yields that lie in the memory of an outer value."""
    return {
        index
        for plan in plans
        for index, each in enumerate(plan.yields)
        if not is_scalar(each.type) and (memory := plan.memory_of(each)) is not None and memory[0] is value
    }
