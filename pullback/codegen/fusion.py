"""A function in, the steps of its regions out: which operations share one loop nest, and where each value lives.

Every operation has a depth: one more than the deepest memory it reads. Single elements are computed in registers,
everything of one depth before the loop nests of that depth. Elementwise operations and reductions of one iteration
space at one depth become one group; groups of equal depth never depend on each other, so no cycle can arise. View ops
(broadcast, transpose, slice, reshape) cost nothing: they become index maps on their operand's memory. An operation
with regions is one step; its regions are planned by themselves, what they read from outside being in memory by then.
Checks keep their order with each other and with steps that may fail or may not end: they are of no lower depth than
such steps before them, and such steps after them of no lower depth than they.
"""
from __future__ import annotations

from collections.abc import Sequence

from pullback.codegen.index_map import IndexMap, squeeze
from pullback.codegen.liveness import Outside, outside
from pullback.codegen.places import (
    Compute,
    Constant,
    Copy,
    Group,
    Load,
    Memory,
    Opaque,
    Place,
    Point,
    Push,
    RegionPlan,
    Register,
    ScalarRun,
    Step,
    Structured,
    Uniform,
    View,
    is_scalar,
)  # fmt: skip
from pullback.ir.core import Function, Op, Operation, Region, Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.check import Check
from pullback.ir.ops.contraction import Gather
from pullback.ir.ops.control import Call, Control, EmptyTape, For, If, Replay, While
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.elementary import StopGradient
from pullback.ir.ops.logic import Masked
from pullback.ir.ops.reduction import Broadcast, Reduction
from pullback.ir.ops.shape import Reshape, Slice, Transpose
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate
from pullback.ir.types import Shape

VIEWS = (Broadcast, Reshape, Slice, Transpose)
MAX_GROUP = 6000
"""Operations in one loop body: what does not fit into registers lies on the stack, which must not grow without bound.
Cutting costs far more than it saves: what one group computes for another goes through memory, array by array."""


def plan(function: Function, around: Outside | None = None) -> RegionPlan:
    """Decide steps and places for a function and all its regions; `around` is what `outside` finds of them."""
    planner = _Planner(around or outside(function.body), {}, function.body)
    for value in function.body.arguments:
        planner.places[value] = Register(-1) if is_scalar(value.type) else Memory(-1)
    planner.take(function.body.operations)
    return planner.finish_function()


class _Planner:
    """Plans one region; `aliases` are shared with the planners of all other regions of the function."""

    def __init__(self, around: Outside, aliases: dict[Value, Value], region: Region) -> None:
        self.around = around
        self.aliases = aliases
        self.region = region
        self.places: dict[Value, Place] = {}
        self.steps: list[Step] = []
        self.runs: dict[int, ScalarRun] = {}
        self.registers: dict[int, Register] = {}
        self.open: dict[tuple[int, Shape], Group] = {}
        self.checked = 0
        """The least depth of what may fail or not end, after the checks so far."""
        self.latest = 0
        """The least depth of a check, after what may fail or not end so far."""

    # What a finished region is

    def finish(self, results: dict[Value, int] | None = None) -> RegionPlan:
        """The plan, its steps in order: by depth, registers first, then as they were made."""
        steps: list[Step] = [*self.runs.values(), *self.steps]
        steps.sort(key=lambda step: step.depth)
        yields = tuple(self.resolve(value) for value in self.region.yields)
        return RegionPlan(self.region, steps, self.places, self.aliases, yields, results or {})

    def finish_function(self) -> RegionPlan:
        """Give every array result memory of its own."""
        results: dict[Value, int] = {}
        yields = []
        for index, output in enumerate(self.region.yields):
            value = self.resolve(output)
            if not is_scalar(value.type):
                if not self.is_own(value) or value in results:
                    value = self.copy(value)
                self.to_memory(value)
                results[value] = index
            yields.append(value)
        made = self.finish(results)
        made.yields = tuple(yields)
        return made

    def finish_region(self, carried: Sequence[Value], records: int, pushes: bool) -> RegionPlan:
        """Make what the region yields ready to be moved to where it goes.

        `carried` are the arguments that the yields replace (for branches, none); the last `records` yields go on a
        tape, early where nothing inside the region pushes (`pushes`) and so the tape's memory stays where it is.
        """
        yields = []
        state = len(self.region.yields) - records
        for index, output in enumerate(self.region.yields):
            value = self.resolve(output)
            yields.append(value)
            if is_scalar(value.type):
                continue
            self.to_memory(value)
            if index >= state:
                if not pushes and not self.is_own(value):
                    self.steps.append(Push(self.ready(value), value, index - state))
                continue
            place = self.places[value]
            match place:
                case Memory(-1):
                    moves = value in carried and carried[index] is not value
                case View(base, _, depth):
                    moves = base in carried or (depth < 0 and not carried)
                case _:
                    moves = False
            if moves:
                # Another one's old value: it may be overwritten before this one is moved.
                yields[-1] = self.copy(value)
        made = self.finish()
        made.yields = tuple(yields)
        return made

    # Values

    def resolve(self, value: Value) -> Value:
        return self.aliases.get(value, value)

    def is_own(self, value: Value) -> bool:
        """Whether a value has memory of its own that this region writes."""
        place = self.places[value]
        return isinstance(place, Point) or (isinstance(place, Memory) and place.depth >= 0)

    def ready(self, value: Value) -> int:
        """The depth from which on a value can be read, from memory or registers."""
        match self.places[self.resolve(value)]:
            case Register(depth) | Uniform(_, depth):
                return max(depth, 0)
            case Memory(depth) | View(_, _, depth):
                return depth + 1
            case Point(group):
                return group.depth + 1
            case Constant():
                return 0

    def to_memory(self, value: Value) -> None:
        """Have a value that a group computes written by it."""
        value = self.resolve(value)
        place = self.places[value]
        if isinstance(place, Point):
            place.group.stores[value] = None

    def copy(self, value: Value) -> Value:
        """A new value that is a copy of `value` in memory of its own."""
        operation = Operation(Copy(), (value,), (value.type,))
        result = operation.result
        self.places[result] = Point(self.join(operation, squeeze(value.type.shape)))
        self.to_memory(result)
        return result

    def in_memory(self, value: Value) -> Value:
        """`value`, or a copy of it, that lies in memory in some order."""
        place = self.places[self.resolve(value)]
        if isinstance(place, Constant | Uniform):
            return self.copy(value)
        self.to_memory(value)
        return value

    def contiguous(self, value: Value) -> Value:
        """`value`, or a copy of it, that lies in memory in C order, or in registers."""
        if is_scalar(value.type):
            return value
        value = self.in_memory(value)
        place = self.places[self.resolve(value)]
        return self.copy(value) if isinstance(place, View) and not place.map.is_contiguous else value

    # Steps

    def run(self, depth: int) -> ScalarRun:
        """What happens in registers at a depth."""
        found = self.runs.get(depth)
        if found is None:
            found = self.runs[depth] = ScalarRun(depth)
        return found

    def group(self, depth: int, shape: Shape) -> Group:
        """The open group of a depth and iteration space."""
        group = self.open.get((depth, shape))
        if group is None or len(group.operations) >= MAX_GROUP:
            group = self.open[depth, shape] = Group(depth, shape)
            self.steps.append(group)
        return group

    def join(self, operation: Operation, shape: Shape) -> Group:
        """Put an elementwise operation or reduction into the earliest group that can hold it."""
        depth = 0
        operands = [self.resolve(operand) for operand in operation.operands]
        for operand in operands:
            place = self.places[operand]
            if isinstance(place, Point):
                group = place.group
                joins = self.open.get((group.depth, shape)) is group and len(group.operations) < MAX_GROUP
                depth = max(depth, group.depth if joins else group.depth + 1)
            else:
                depth = max(depth, self.ready(operand))
        group = self.group(depth, shape)
        for operand in operands:
            place = self.places[operand]
            if isinstance(place, Point) and place.group is not group:
                self.to_memory(operand)
        group.operations.append(operation)
        return group

    def take(self, operations: Sequence[Operation]) -> None:
        """Plan operations in order."""
        for operation in operations:
            results = operation.results
            if len(results) == 1 and is_scalar(results[0].type):
                if isinstance(operation.op, Elementwise):
                    self.elementwise(operation)
                    continue
                if self.place_scalar(operation):
                    continue
            self.place(operation)

    def elementwise(self, operation: Operation) -> None:
        """An elementwise operation on single numbers: the most frequent one of all."""
        aliases, places = self.aliases, self.places
        depth = 0
        operands = []
        for each in operation.operands:
            operand = aliases.get(each, each)
            operands.append(operand)
            place = places[operand]
            if type(place) is Register:
                if place.depth > depth:
                    depth = place.depth
            elif type(place) is not Constant:
                depth = max(depth, self.ready(operand))
        self.compute(operation, operands, depth)

    def compute(self, operation: Operation, operands: Sequence[Value], depth: int) -> None:
        """Put an operation into the run of a depth, its result in registers."""
        register = self.registers.get(depth)
        if register is None:
            register = self.registers[depth] = Register(depth)
        self.places[operation.results[0]] = register
        self.run(depth).items.append(Compute(operation, operands))

    def place_scalar(self, operation: Operation) -> bool:
        """Plan an operation whose result stays in registers, if it is one that gives it there; whether it is."""
        result, op = operation.result, operation.op
        match op:
            case Full():
                self.places[result] = Constant(op)
            case Iota():
                self.places[result] = Constant(Full(0, op.dtype, op.dims))
            case EmptyTape():
                self.in_registers(operation, operation.operands)
            case DynamicSlice() | Gather():
                whole, *starts = operation.operands
                self.in_registers(operation, (whole if is_scalar(whole.type) else self.in_memory(whole), *starts))
            case Reduction() if is_scalar(operation.operands[0].type):
                self.alias(result, operation.operands[0])
            case Broadcast() | Reshape() | Slice() | Transpose():
                self.element(operation, op)
            case _:
                return False
        return True

    def in_registers(self, operation: Operation, operands: Sequence[Value]) -> None:
        """An operation in registers that may read arrays in memory."""
        depth = max((self.ready(operand) for operand in operands), default=0)
        if isinstance(operation.op, DynamicSlice | Gather):
            depth = max(depth, self.checked)
            self.latest = max(self.latest, depth)
        self.compute(operation, operands, depth)

    def alias(self, value: Value, other: Value) -> None:
        """Have `value` stand for `other`, which has the same elements."""
        other = self.resolve(other)
        self.aliases[value] = other
        self.places[value] = self.places[other]

    def element(self, operation: Operation, op: Broadcast | Reshape | Slice | Transpose) -> None:
        """A view of one element."""
        operand, result = self.resolve(operation.operands[0]), operation.result
        place = self.places[operand]
        if is_scalar(operand.type):
            self.alias(result, operand)
            return
        moved = self.moved(operation, place, op)
        if isinstance(place, Uniform):
            self.alias(result, place.scalar)
        elif isinstance(place, Constant) and isinstance(place.op, Full):
            self.places[result] = Constant(Full(place.op.value, place.op.dtype, result.type.dims))
        elif moved is None or isinstance(place, Constant):
            self.copy_first(operation, op)
        else:
            self.to_memory(operand)
            depth = self.ready(operand)
            self.places[result] = Register(depth)
            base = place.base if isinstance(place, View) else operand
            self.run(depth).items.append(Load(result, base, moved))

    def copy_first(self, operation: Operation, op: Broadcast | Reshape | Slice | Transpose) -> None:
        """A view of a copy of the operand, where none of the operand itself can be."""
        copied = self.copy(operation.operands[0])
        view = Operation(op, (copied,), (operation.result.type,))
        if is_scalar(operation.result.type):
            self.element(view, op)
        else:
            self.view(view, op)
        self.places[operation.result] = self.places[view.result]
        self.aliases[operation.result] = self.resolve(view.result)

    def place(self, operation: Operation) -> None:
        """Plan an operation with an array for a result, or with a lowering of its own."""
        op = operation.op
        match op:
            case Full() | Iota():
                self.places[operation.result] = Constant(op)
            case Masked() | StopGradient():
                self.aliases[operation.result] = self.aliases.get(operation.operands[0], operation.operands[0])
            case Elementwise():
                self.places[operation.result] = Point(self.join(operation, squeeze(operation.result.type.shape)))
            case Reduction() if squeeze(operation.operands[0].type.shape) != squeeze(operation.result.type.shape):
                group = self.join(operation, squeeze(operation.operands[0].type.shape))
                scalar = is_scalar(operation.result.type)
                self.places[operation.result] = Register(group.depth + 1) if scalar else Memory(group.depth)
            case Reduction():
                # Nothing but axes of size 1 goes: a reshape.
                self.view(operation, Reshape(operation.result.type.dims))
            case Broadcast() | Reshape() | Slice() | Transpose():
                self.view(operation, op)
            case Check():
                self.check(operation)
            case Control():
                self.structured(operation)
            case DynamicSlice():
                self.opaque(operation, (self.in_memory(operation.operands[0]), *operation.operands[1:]))
            case DynamicUpdate() | DynamicAdd():
                for operand in operation.operands[:2]:
                    self.to_memory(operand)
                self.opaque(operation, operation.operands)
            case _:
                self.opaque(operation, [self.contiguous(operand) for operand in operation.operands])

    def check(self, operation: Operation) -> None:
        """A check; whatever array its message shows is written to memory."""
        operands = tuple(operand if is_scalar(operand.type) else self.in_memory(operand) for operand in operation.operands)
        depth = max(self.checked, self.latest, *(self.ready(operand) for operand in operands))
        self.checked = depth
        self.run(depth).items.append(Compute(operation, operands))

    def in_order(self, depth: int, checks: bool = False) -> int:
        """The depth of a step that may fail or not end, and which perhaps contains checks."""
        depth = max(depth, self.checked, self.latest if checks else 0)
        self.latest = max(self.latest, depth + 1)
        if checks:
            self.checked = depth + 1
        return depth

    def opaque(self, operation: Operation, operands: Sequence[Value]) -> None:
        """One operation, one step."""
        depth = max((self.ready(operand) for operand in operands), default=0)
        depth = self.in_order(depth)
        self.steps.append(Opaque(depth, operation, tuple(operands)))
        self.give(operation, depth)

    def give(self, operation: Operation, depth: int) -> None:
        """Say where the results of a step are."""
        for result in operation.results:
            self.places[result] = Register(depth + 1) if is_scalar(result.type) else Memory(depth)

    def view(self, operation: Operation, op: Broadcast | Reshape | Slice | Transpose) -> None:
        """Make a view op's result an alias, a constant, or an index map on memory."""
        operand, result = self.resolve(operation.operands[0]), operation.result
        place = self.places[operand]
        match place:
            case Register(depth):
                self.places[result] = Uniform(operand, depth)
                return
            case Uniform():
                self.places[result] = place
                return
            case Constant(Full(value, dtype, _)):
                self.places[result] = Constant(Full(value, dtype, result.type.dims))
                return
            case Constant():
                self.copy_first(operation, op)
                return
        same_points = squeeze(operand.type.shape) == squeeze(result.type.shape)
        if isinstance(place, Point) and isinstance(op, Reshape) and same_points:
            self.alias(result, operand)
            return
        moved = self.moved(operation, place, op)
        if moved is None:
            self.copy_first(operation, op)
            return
        self.to_memory(operand)
        base = place.base if isinstance(place, View) else operand
        self.places[result] = View(base, moved, self.ready(operand) - 1)

    def moved(self, operation: Operation, place: Place, op: Op) -> IndexMap | None:
        """Where a view of its operand's memory lies in it; None where that is no index map."""
        map = place.map if isinstance(place, View) else IndexMap.whole(self.resolve(operation.operands[0]).type.shape)
        # What stands for the operand may have other axes of size 1 than the operand itself.
        aliased = map.through(Reshape(operation.operands[0].type.dims))
        return None if aliased is None else aliased.through(op)

    # Operations with regions

    def structured(self, operation: Operation) -> None:
        """Plan the regions; whatever array they read from outside is written to memory."""
        operands = tuple(self.resolve(operand) for operand in operation.operands)
        around = (value for region in operation.regions for value in self.around.free[region])
        free = tuple(dict.fromkeys(self.resolve(value) for value in around))
        for value in (*operands, *free):
            self.to_memory(value)
        depth = max((self.ready(value) for value in (*operands, *free)), default=0)
        depth = self.in_order(depth, any(self.around.checks[region] for region in operation.regions))
        plans = self.regions(operation, operands)
        self.steps.append(Structured(depth, operation, operands, free, plans))
        self.give(operation, depth)

    def regions(self, operation: Operation, operands: tuple[Value, ...]) -> list[RegionPlan]:
        op, regions = operation.op, operation.regions
        match op:
            case If():
                return [self.inner(region, dict(zip(region.arguments, operands[1:], strict=True)), [])
                        for region in regions]  # fmt: skip
            case Call():
                return [self.inner(regions[0], dict(zip(regions[0].arguments, operands, strict=True)), [])]
            case While():
                # The condition sees the state that the body is about to replace.
                state = regions[1].arguments
                condition = self.inner(regions[0], dict(zip(regions[0].arguments, state, strict=True)), state)
                return [condition, self.inner(regions[1], {}, state, sum(op.saved))]
            case For():
                return [self.inner(regions[0], {}, regions[0].arguments[1:], sum(op.saved))]
            case Replay():
                count = len(regions[0].arguments) - (len(operands) - op.tapes)
                return [self.inner(regions[0], {}, regions[0].arguments[count:], sum(op.saved))]
        raise TypeError(f"{op.name} has no regions to plan")

    def inner(
        self, region: Region, passed: dict[Value, Value], carried: Sequence[Value], records: int = 0
    ) -> RegionPlan:
        """The plan of a region; its arguments stand for what is `passed`, or have places of their own."""
        planner = _Planner(self.around, self.aliases, region)
        for value in self.around.free[region]:
            planner.places[value] = planner.see(self.resolve(value), self)
        for argument in dict.fromkeys((*carried, *region.arguments)):
            if argument in passed:
                continue
            planner.places[argument] = Register(-1) if is_scalar(argument.type) else Memory(-1)
        for argument, value in passed.items():
            if value not in planner.places:
                planner.see(value, self)
            planner.alias(argument, value)
        planner.take(region.operations)
        if carried and carried[0] not in region.arguments:
            return planner.finish()
        return planner.finish_region(carried, records, self.around.pushes[region])

    def see(self, value: Value, outer: _Planner) -> Place:
        """Take over a value's place from the region around: there from the start."""
        place = outer.places[value]
        match place:
            case Register():
                place = Register(-1)
            case Uniform(scalar, _):
                self.places[scalar] = Register(-1)
                place = Uniform(scalar, -1)
            case View(base, map, _):
                place = View(base, map, -1)
            case Memory() | Point():
                place = Memory(-1)
        self.places[value] = place
        return place

