"""A function in, fusion groups out: which operations share one loop nest, and which values need memory.

Every operation has a depth: one more than the deepest memory it reads. Elementwise operations and reductions of one
iteration space at one depth become one group; groups of equal depth never depend on each other, so no cycle can
arise. View ops (broadcast, transpose, slice, reshape) cost nothing: they become index maps on their operand's memory.
"""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from pullback.codegen.index_map import IndexMap, squeeze
from pullback.dtypes import ALL, DType
from pullback.ir.core import Function, Operation, Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.reduction import Broadcast, Reduction
from pullback.ir.ops.scalar import Scalar, ScalarBuilder
from pullback.ir.ops.shape import Reshape, Slice, Transpose
from pullback.ir.types import Shape

VIEWS = (Broadcast, Reshape, Slice, Transpose)
MAX_GROUP = 2000
"""Operations in one loop body: beyond, register pressure and compile time grow for nothing."""


@dataclass(frozen=True)
class Copy(Elementwise):
    """Its operand, in memory of its own. Codegen inserts it; it is in no IR text."""

    name: ClassVar[str] = "copy"
    dtypes: ClassVar[tuple[DType, ...]] = ALL

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return operands[0]


@dataclass(frozen=True, slots=True)
class Memory:
    """A value in memory of its own, written at `depth`; arguments are there from the start (depth -1)."""

    depth: int


@dataclass(frozen=True, slots=True)
class View:
    """A value that is an index map on the memory of `base`."""

    base: Value
    map: IndexMap
    depth: int


@dataclass(frozen=True, slots=True)
class Point:
    """A value computed element by element inside a group."""

    group: Group


@dataclass(frozen=True, slots=True)
class Constant:
    """A full or iota: computed anew wherever it is used."""

    op: Full | Iota


Place = Memory | View | Point | Constant


@dataclass(eq=False)
class Group:
    """One kernel: a loop nest over `shape` (axes of size 1 dropped), or one operation with a lowering of its own.

    `stores` are the values it writes to their own memory; `operands` what an opaque operation reads, all contiguous.
    """

    depth: int
    shape: Shape
    operations: list[Operation] = field(default_factory=list)
    stores: dict[Value, None] = field(default_factory=dict)
    opaque: bool = False
    operands: tuple[Value, ...] = ()


@dataclass(eq=False)
class FusionPlan:
    """Groups in running order and where each value lives.

    `aliases` name the value that another one is, element by element; `results` are the values whose memory is a
    numbered result of the function.
    """

    groups: list[Group]
    places: dict[Value, Place]
    aliases: dict[Value, Value]
    results: dict[Value, int]

    def resolve(self, value: Value) -> Value:
        return self.aliases.get(value, value)

    def memory_of(self, value: Value) -> tuple[Value, IndexMap] | None:
        """The value whose memory holds `value`, and its map there; None for what is only computed."""
        match self.places[value]:
            case View(base, map, _):
                return base, map
            case Constant():
                return None
            case Point(group) if value not in group.stores:
                return None
        return value, IndexMap.whole(value.type.shape)


class _Planner:
    def __init__(self, function: Function) -> None:
        self.places: dict[Value, Place] = {value: Memory(-1) for value in function.body.arguments}
        self.aliases: dict[Value, Value] = {}
        self.groups: list[Group] = []
        self.open: dict[tuple[int, Shape], Group] = {}

    def finish(self, yields: tuple[Value, ...]) -> FusionPlan:
        """Give every result memory of its own and put the groups in order."""
        results: dict[Value, int] = {}
        for index, output in enumerate(yields):
            value = self.aliases.get(output, output)
            place = self.places[value]
            own = isinstance(place, Point) or (isinstance(place, Memory) and place.depth >= 0)
            if not own or value in results:
                value = self.copy(value)
            self.to_memory(value)
            results[value] = index
        self.groups.sort(key=lambda group: group.depth)
        return FusionPlan(self.groups, self.places, self.aliases, results)

    def available(self, value: Value) -> int:
        """The depth of the group that writes `value`; -1 where it is there from the start."""
        match self.places[value]:
            case Memory(depth) | View(_, _, depth):
                return depth
            case Point(group):
                return group.depth
            case Constant():
                return -1

    def group(self, depth: int, shape: Shape) -> Group:
        """The open group of a depth and iteration space."""
        group = self.open.get((depth, shape))
        if group is None or len(group.operations) >= MAX_GROUP:
            group = self.open[depth, shape] = Group(depth, shape)
            self.groups.append(group)
        return group

    def join(self, operation: Operation, shape: Shape) -> Group:
        """Put an elementwise operation or reduction into the earliest group that can hold it."""
        depth = 0
        operands = [self.aliases.get(operand, operand) for operand in operation.operands]
        for operand in operands:
            place = self.places[operand]
            match place:
                case Point(group):
                    joins = self.open.get((group.depth, shape)) is group and len(group.operations) < MAX_GROUP
                    depth = max(depth, group.depth if joins else group.depth + 1)
                case Constant():
                    pass
                case _:
                    depth = max(depth, place.depth + 1)
        group = self.group(depth, shape)
        for operand in operands:
            place = self.places[operand]
            if isinstance(place, Point) and place.group is not group:
                self.to_memory(operand)
        group.operations.append(operation)
        return group

    def copy(self, value: Value) -> Value:
        """A new value that is a copy of `value` in memory of its own."""
        operation = Operation(Copy(), (value,), (value.type,))
        result = operation.result
        self.places[result] = Point(self.join(operation, squeeze(value.type.shape)))
        self.to_memory(result)
        return result

    def to_memory(self, value: Value) -> None:
        """Have a value that a group computes written by it."""
        place = self.places[value]
        if isinstance(place, Point):
            place.group.stores[value] = None

    def contiguous(self, value: Value) -> Value:
        """`value`, or a copy of it, that lies in memory in C order."""
        value = self.aliases.get(value, value)
        place = self.places[value]
        if isinstance(place, Constant) or (isinstance(place, View) and not place.map.is_contiguous):
            return self.copy(value)
        self.to_memory(value)
        return value

    def place(self, operation: Operation) -> None:
        """Decide where an operation's results live."""
        op = operation.op
        match op:
            case Full() | Iota():
                self.places[operation.result] = Constant(op)
            case Elementwise():
                self.places[operation.result] = Point(self.join(operation, squeeze(operation.result.type.shape)))
            case Reduction() if squeeze(operation.operands[0].type.shape) != squeeze(operation.result.type.shape):
                group = self.join(operation, squeeze(operation.operands[0].type.shape))
                self.places[operation.result] = Memory(group.depth)
            case Reduction():
                # Nothing but axes of size 1 goes: a reshape.
                self.view(operation, Reshape(operation.result.type.dims))
            case Broadcast() | Reshape() | Slice() | Transpose():
                self.view(operation, op)
            case _:
                operands = tuple(self.contiguous(operand) for operand in operation.operands)
                depth = 1 + max((self.available(operand) for operand in operands), default=-1)
                self.groups.append(Group(depth, (), [operation], opaque=True, operands=operands))
                for result in operation.results:
                    self.places[result] = Memory(depth)

    def view(self, operation: Operation, op: Broadcast | Reshape | Slice | Transpose) -> None:
        """Make a view op's result an alias, a constant, or an index map on memory."""
        operand, result = self.aliases.get(operation.operands[0], operation.operands[0]), operation.result
        place = self.places[operand]
        if isinstance(place, Constant) and isinstance(place.op, Full):
            self.places[result] = Constant(Full(place.op.value, place.op.dtype, result.type.dims))
            return
        same_points = squeeze(operand.type.shape) == squeeze(result.type.shape)
        if isinstance(place, Point) and isinstance(op, Reshape) and same_points:
            self.aliases[result] = operand
            return
        if isinstance(place, Constant):
            operand = self.copy(operand)
        self.to_memory(operand)
        # What stands for the operand may have other axes of size 1 than the operand itself.
        shape = operation.operands[0].type.shape
        map = place.map if isinstance(place, View) else IndexMap.whole(operand.type.shape)
        aliased = map.through(Reshape(shape))
        moved = None if aliased is None else aliased.through(op)
        if moved is None:
            operand = self.copy(operand)
            moved = IndexMap.whole(shape).through(op)
            assert moved is not None
        base = self.places[operand]
        self.places[result] = View(base.base if isinstance(base, View) else operand, moved, self.available(operand))


def plan(function: Function) -> FusionPlan:
    """Decide groups and places for a function without regions."""
    planner = _Planner(function)
    for operation in function.body.operations:
        planner.place(operation)
    return planner.finish(function.body.yields)
