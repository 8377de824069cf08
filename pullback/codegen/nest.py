"""A fusion group in, loop nests out: what each reads and writes where, with axes merged as far as maps allow."""
from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

from pullback.codegen.index_map import IndexMap, contiguous_strides, squeeze
from pullback.codegen.places import Constant, Copy, Group, Point, RegionPlan, Uniform
from pullback.dtypes import f32
from pullback.ir.core import Operation, Value
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.reduction import ReduceProd, ReduceSum, Reduction
from pullback.ir.types import Shape

FLOAT_LANES = 8
"""Partial sums of a float reduction: element i of a row adds to sum i modulo this, at every vector width."""
FOLD = 16
"""Neighbours of a float32 sum that are folded into a quarter of them before they are widened to float64."""
SHORT_ROW = 64
"""Rows shorter than this (and of no whole groups: see `Reduced.group`) are reduced as one long row with those before."""


@dataclass(frozen=True)
class Access:
    """Memory of `buffer`, read or written at an index map over the nest's iteration space."""

    buffer: Value
    map: IndexMap


@dataclass(frozen=True)
class Reduced:
    """A reduction inside a nest. Its target's map has stride 0 exactly along the reduced axes."""

    operation: Operation
    operand: Value
    target: Access

    @property
    def is_ordered(self) -> bool:
        """Whether the order of combination shows in the bits: float sums and products."""
        return self.operand.type.dtype.is_float and isinstance(self.operation.op, ReduceSum | ReduceProd)

    @property
    def is_folded(self) -> bool:
        """Whether elements are added up in their own precision before they are added to the partial sums."""
        return self.operand.type.dtype == f32 and isinstance(self.operation.op, ReduceSum)

    @property
    def group(self) -> int:
        """Elements after which the order of combination comes again: rows of whole groups may be joined."""
        return FOLD if self.is_folded else FLOAT_LANES

    @property
    def row_axes(self) -> int:
        """How many innermost axes go: together they are a row, combined in registers."""
        count = 0
        for stride in reversed(self.target.map.strides):
            if stride:
                break
            count += 1
        return count

    @property
    def is_repeated(self) -> bool:
        """Whether several rows meet in one result element, in memory."""
        outer = self.target.map.strides[: len(self.target.map.strides) - self.row_axes]
        return 0 in outer


@dataclass
class Nest:
    """Loops over `shape`: read, compute, write, reduce. Axes of size 1 are dropped everywhere."""

    shape: Shape
    operations: list[Operation] = field(default_factory=list)
    reads: dict[Value, Access] = field(default_factory=dict)
    constants: dict[Value, Full] = field(default_factory=dict)
    scalars: dict[Value, Value] = field(default_factory=dict)
    """Arrays of equal elements: the value in registers that each one is."""
    counters: dict[Value, IndexMap] = field(default_factory=dict)
    """Iotas: index maps whose place is the count itself."""
    writes: list[tuple[Value, Access]] = field(default_factory=list)
    adds: list[tuple[Value, Access]] = field(default_factory=list)
    """Values added to what memory holds."""
    reductions: list[Reduced] = field(default_factory=list)
    aliases: dict[Value, Value] = field(default_factory=dict)

    def accesses(self) -> list[Access]:
        """Every access to memory."""
        written = [access for _, access in (*self.writes, *self.adds)]
        return [*self.reads.values(), *written, *(reduced.target for reduced in self.reductions)]

    def buffers(self) -> list[Value]:
        """Every buffer, each once, in a fixed order."""
        return list(dict.fromkeys(access.buffer for access in self.accesses()))

    def cost(self) -> int:
        """Rough nanoseconds of a run."""
        return prod(self.shape) * (1 + len(self.operations)) // 4

    def maps(self) -> list[IndexMap]:
        return [*(access.map for access in self.accesses()), *self.counters.values()]

    def merges(self, axis: int) -> bool:
        """Whether axes `axis` and `axis + 1` are one axis in every map."""
        size = self.shape[axis + 1]
        return all(map.strides[axis] == map.strides[axis + 1] * size for map in self.maps())


def build_all(plan: RegionPlan) -> dict[Group, list[Nest]]:
    """The nests of every group of a region and of those inside it; what they need in memory joins the groups' stores."""
    return {
        step: build(step, each) for each in plan.walk() for step in each.steps if isinstance(step, Group)
    }  # fmt: skip


def build(group: Group, plan: RegionPlan) -> list[Nest]:
    """The nests of a group: one, and one more per float reduction whose fixed order that one cannot keep."""
    nest = Nest(group.shape, aliases=plan.aliases)
    computed = {result for operation in group.operations for result in operation.results}
    for operation in group.operations:
        for operand in operation.operands:
            value = plan.resolve(operand)
            if value not in computed:
                _read(nest, value, plan)
        if isinstance(operation.op, Reduction):
            nest.reductions.append(_reduced(operation, plan))
        else:
            nest.operations.append(operation)
    for value in group.stores:
        nest.writes.append((value, _own(value)))
    nests = [nest]
    for reduced in list(nest.reductions):
        if reduced.is_ordered and _needs_one_row(reduced, group.shape) and not _has_one_row(nest, reduced):
            nest.reductions.remove(reduced)
            nests.append(_alone(nest, reduced, group, plan))
    return [collapsed(each) for each in nests if each.operations or each.writes or each.reductions]


def copying(value: Value, plan: RegionPlan, target: Access, *, add: bool = False) -> Nest:
    """The nest that writes a value, wherever it lives, to (or adds it at) a map of its shape in a buffer."""
    nest = Nest(squeeze(value.type.shape))
    value = plan.resolve(value)
    _read(nest, value, plan)
    (nest.adds if add else nest.writes).append((value, Access(target.buffer, target.map.squeezed())))
    return collapsed(nest)


def _read(nest: Nest, value: Value, plan: RegionPlan) -> None:
    place = plan.places[value]
    if isinstance(place, Uniform):
        nest.scalars[value] = place.scalar
        return
    if isinstance(place, Constant):
        match place.op:
            case Full():
                nest.constants[value] = place.op
            case Iota(counted):
                strides = tuple(int(axis == counted) for axis in range(value.type.rank))
                nest.counters[value] = IndexMap(value.type.shape, 0, strides).squeezed()
        return
    memory = plan.memory_of(value)
    assert memory is not None, value
    nest.reads[value] = Access(memory[0], memory[1].squeezed())


def _own(value: Value) -> Access:
    return Access(value, IndexMap.whole(value.type.shape).squeezed())


def _reduced(operation: Operation, plan: RegionPlan) -> Reduced:
    """A reduction with its target's map spread over the squeezed axes of its operand."""
    op = operation.op
    assert isinstance(op, Reduction)
    strides = list(contiguous_strides(operation.result.type.shape))
    shape = operation.operands[0].type.shape
    spread = tuple(0 if axis in op.axes else strides.pop(0) for axis in range(len(shape)))
    target = Access(operation.result, IndexMap(shape, 0, spread).squeezed())
    return Reduced(operation, plan.resolve(operation.operands[0]), target)


def _needs_one_row(reduced: Reduced, shape: Shape) -> bool:
    return reduced.row_axes > 1 and shape[-1] < SHORT_ROW and shape[-1] % reduced.group != 0


def _has_one_row(nest: Nest, reduced: Reduced) -> bool:
    last = len(nest.shape) - 1
    return all(nest.merges(axis) for axis in range(last - reduced.row_axes + 1, last))


def _alone(nest: Nest, reduced: Reduced, group: Group, plan: RegionPlan) -> Nest:
    """A nest that only reduces what the first nest writes (or both read)."""
    operand = reduced.operand
    if operand in nest.counters or (operand in nest.reads and not nest.reads[operand].map.is_contiguous):
        copied = Operation(Copy(), (operand,), (operand.type,))
        nest.operations.append(copied)
        group.operations.append(copied)
        operand = copied.result
        plan.places[operand] = Point(group)
        reduced = replace(reduced, operand=operand)
    alone = Nest(nest.shape, reductions=[reduced], aliases=nest.aliases)
    if operand in nest.constants:
        alone.constants[operand] = nest.constants[operand]
    elif operand in nest.scalars:
        alone.scalars[operand] = nest.scalars[operand]
    elif operand in nest.reads:
        alone.reads[operand] = nest.reads[operand]
    else:
        if operand not in group.stores:
            group.stores[operand] = None
            nest.writes.append((operand, _own(operand)))
        alone.reads[operand] = _own(operand)
    return alone


def collapsed(nest: Nest) -> Nest:
    """The nest with every two neighbouring axes merged that all maps, and the order of sums, allow to be one."""
    if 0 in nest.shape:
        return nest
    # A long row of no whole groups starts its lanes anew: it must not be joined to the row before.
    ordered = [r for r in nest.reductions if r.is_ordered and r.row_axes > 1 and not _needs_one_row(r, nest.shape)]
    keep_rows = any(nest.shape[-1] % each.group for each in ordered)
    last = len(nest.shape) - 1
    groups: list[list[int]] = [[0]] if nest.shape else []
    for axis in range(last):
        if nest.merges(axis) and not (keep_rows and axis + 1 == last):
            groups[-1].append(axis + 1)
        else:
            groups.append([axis + 1])
    shape = tuple(prod(nest.shape[axis] for axis in axes) for axes in groups)

    def moved(map: IndexMap) -> IndexMap:
        return IndexMap(shape, map.offset, tuple(map.strides[axes[-1]] for axes in groups))

    def access(each: Access) -> Access:
        return Access(each.buffer, moved(each.map))

    return replace(
        nest,
        shape=shape,
        reads={value: access(each) for value, each in nest.reads.items()},
        counters={value: moved(map) for value, map in nest.counters.items()},
        writes=[(value, access(each)) for value, each in nest.writes],
        adds=[(value, access(each)) for value, each in nest.adds],
        reductions=[replace(each, target=access(each.target)) for each in nest.reductions],
    )
