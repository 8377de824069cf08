"""Where values live and in what steps a region runs: the vocabulary of planning, shared by fusion, storage, emission."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from pullback.codegen.index_map import IndexMap
from pullback.dtypes import ALL, DType
from pullback.ir.core import Operation, Region, Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.reduction import Reduction
from pullback.ir.ops.scalar import Scalar, ScalarBuilder
from pullback.ir.ops.shape import Reshape
from pullback.ir.types import ArrayType, Shape


@dataclass(frozen=True)
class Copy(Elementwise):
    """Its operand, in memory of its own. Codegen inserts it; it is in no IR text."""

    name: ClassVar[str] = "copy"
    dtypes: ClassVar[tuple[DType, ...]] = ALL

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return operands[0]


def is_scalar(kind: ArrayType) -> bool:
    """Whether a value of this type is held in registers: one element of any rank, or a tape."""
    return not kind.dims or all(dim == 1 for dim in kind.dims)


@dataclass(frozen=True, slots=True)
class Register:
    """One element (or a tape) in registers, there from `depth` on."""

    depth: int


@dataclass(frozen=True, slots=True)
class Memory:
    """A value in memory of its own, written at `depth`; what comes from outside is there from the start (-1)."""

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


@dataclass(frozen=True, slots=True)
class Uniform:
    """An array whose every element is the value of `scalar`, there from `depth` on."""

    scalar: Value
    depth: int


Place = Register | Memory | View | Point | Constant | Uniform


@dataclass(frozen=True, slots=True)
class Load:
    """One element read from memory: `value` is element 0 of `map` in `base`."""

    value: Value
    base: Value
    map: IndexMap


@dataclass(eq=False, slots=True)
class Compute:
    """An operation in registers; `operands` are its operands, an array among them ready in memory."""

    operation: Operation
    operands: Sequence[Value]


@dataclass(eq=False)
class ScalarRun:
    """Everything of one depth that happens in registers, in order."""

    depth: int
    items: list[Compute | Load] = field(default_factory=list)


@dataclass(eq=False)
class Group:
    """Loop nests over `shape` (axes of size 1 dropped). `stores` are the values it writes to their own memory."""

    depth: int
    shape: Shape
    operations: list[Operation] = field(default_factory=list)
    stores: dict[Value, None] = field(default_factory=dict)


@dataclass(eq=False)
class Opaque:
    """One operation with a lowering of its own; `operands` are its operands, ready as it wants them."""

    depth: int
    operation: Operation
    operands: tuple[Value, ...]


@dataclass(eq=False)
class Structured:
    """An operation with regions, a plan for each; `free` is what its regions read from outside."""

    depth: int
    operation: Operation
    operands: tuple[Value, ...]
    free: tuple[Value, ...]
    plans: list[RegionPlan]


@dataclass(eq=False)
class Push:
    """An array written into entry `index` of this iteration's records, while it is still there to be read."""

    depth: int
    value: Value
    index: int


Step = ScalarRun | Group | Opaque | Structured | Push


@dataclass(eq=False)
class RegionPlan:
    """Steps in running order and where each value lives that the region sees.

    `aliases` name the value that another one is, element by element, for all regions of a function. `yields` are those
    of the region, resolved. `results` (of a whole function) are the values whose memory is a numbered result.
    """

    region: Region
    steps: list[Step]
    places: dict[Value, Place]
    aliases: dict[Value, Value]
    yields: tuple[Value, ...]
    results: dict[Value, int] = field(default_factory=dict)

    def resolve(self, value: Value) -> Value:
        return self.aliases.get(value, value)

    def memory_of(self, value: Value) -> tuple[Value, IndexMap] | None:
        """The value whose memory holds `value`, and its map there; None for what is in no memory."""
        base, shape = self.resolve(value), value.type.shape
        match self.places[base]:
            case View(viewed, map, _):
                # An alias may have other axes of size 1 than what it stands for.
                aliased = map if map.shape == shape else map.through(Reshape(shape))
                assert aliased is not None
                return viewed, aliased
            case Constant() | Uniform() | Register():
                return None
            case Point(group) if base not in group.stores:
                return None
        return base, IndexMap.whole(shape)

    def whole_of(self, value: Value) -> Value | None:
        """The value whose memory is just that of `value`: all of it, in C order."""
        memory = self.memory_of(value)
        if memory is None:
            return None
        base, map = memory
        same = base.type.size == value.type.size and base.type.dtype == value.type.dtype
        return base if same and map.offset == 0 and map.is_contiguous else None

    def read(self, step: Step) -> Iterator[Value]:
        """The values whose memory a step reads, once for every way in which it does."""
        match step:
            case ScalarRun(_, items):
                yield from (item.base for item in items if isinstance(item, Load))
                operands = [
                    each
                    for item in items
                    if isinstance(item, Compute) and not isinstance(item.operation.op, Elementwise)
                    for each in item.operands
                ]
            case Group(_, _, operations):
                operands = [operand for operation in operations for operand in operation.operands]
            case Opaque(_, _, found):
                operands = list(found)
            case Structured(_, _, found, free, _):
                operands = [*found, *free]
            case Push(_, value, _):
                operands = [value]
        for operand in operands:
            if not is_scalar(operand.type) and (memory := self.memory_of(operand)) is not None:
                yield memory[0]

    def written(self, step: Step) -> Iterator[Value]:
        """The values that a step writes to memory of their own."""
        match step:
            case Group(_, _, operations, stores):
                yield from stores
                for operation in operations:
                    if isinstance(operation.op, Reduction) and not is_scalar(operation.result.type):
                        yield operation.result
            case Opaque() | Structured():
                for result in step.operation.results:
                    if not is_scalar(result.type):
                        yield result

    def walk(self) -> Iterator[RegionPlan]:
        """This plan and those of all regions inside."""
        yield self
        for step in self.steps:
            if isinstance(step, Structured):
                for plan in step.plans:
                    yield from plan.walk()

    @cached_property
    def makers(self) -> dict[Value, int]:
        """The number of the step that writes a value to memory."""
        return {value: number for number, step in enumerate(self.steps) for value in self.written(step)}
