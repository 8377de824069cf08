"""The IR's nouns: Op, Value, Operation, Region, Function. Strict SSA; loops and branches are ops with regions."""
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar

import numpy as np

from pullback.errors import DerivativeError
from pullback.ir.reads import EVERY, Dependence, Known
from pullback.ir.types import ArrayType
from pullback.location import UNKNOWN, Location

Array = np.ndarray[Any, Any]


class Value:
    """What an operation computes, or an argument of a region (then `owner` is None).

    `contents` is for whoever runs operations as they come: what is known of the elements. No pass reads it.
    """

    __slots__ = ("__weakref__", "contents", "index", "name", "owner", "type")

    def __init__(self, type: ArrayType, owner: Operation | None = None, index: int = 0, name: str = "") -> None:
        self.type = type
        self.owner = owner
        self.index = index
        self.name = name
        self.contents: Any = None

    def __repr__(self) -> str:
        return f"<Value {self.name or hex(id(self))}: {self.type}>"


class Operation:
    """One use of an op: operands in, results out, regions inside, and the user's line it came from."""

    __slots__ = ("__weakref__", "location", "op", "operands", "regions", "results")

    def __init__(
        self,
        op: Op,
        operands: tuple[Value, ...],
        types: Sequence[ArrayType],
        regions: tuple[Region, ...] = (),
        location: Location = UNKNOWN,
    ) -> None:
        self.op = op
        self.operands = operands
        self.regions = regions
        self.location = location
        if len(types) == 1:
            self.results: tuple[Value, ...] = (Value(types[0], self),)
        else:
            self.results = tuple([Value(type, self, index) for index, type in enumerate(types)])

    @property
    def result(self) -> Value:
        """The only result."""
        (result,) = self.results
        return result

    def __repr__(self) -> str:
        return f"<Operation {self.op.name}>"


class Region:
    """Arguments, operations in order, and the values that the region yields at its end."""

    __slots__ = ("arguments", "operations", "yields")

    def __init__(
        self, arguments: Sequence[Value] = (), operations: Sequence[Operation] = (), yields: Sequence[Value] = ()
    ) -> None:
        self.arguments = list(arguments)
        self.operations = list(operations)
        self.yields = tuple(yields)


class Opaque:
    """An attribute that is an object of its own: printed by its `name`, which is all that text knows of it."""

    def __init__(self, name: str) -> None:
        self.name = name


class Function:
    """A named region closed over nothing: its last arguments stand for captured arrays, bound by pointer.

    `captured` holds one array per captured argument, None where the IR was read from text.
    """

    __slots__ = ("body", "captured", "name")

    def __init__(self, name: str, body: Region, captured: Sequence[Array | None] = ()) -> None:
        self.name = name
        self.body = body
        self.captured = list(captured)

    @property
    def parameters(self) -> list[Value]:
        """The arguments that a caller passes."""
        return self.body.arguments[: len(self.body.arguments) - len(self.captured)]

    @property
    def captured_arguments(self) -> list[Value]:
        return self.body.arguments[len(self.body.arguments) - len(self.captured) :]

    @property
    def result_types(self) -> tuple[ArrayType, ...]:
        return tuple(value.type for value in self.body.yields)


class Builder:
    """Whatever operations can be emitted into; `location` is given to each."""

    location: Location = UNKNOWN

    def emit(self, op: Op, *operands: Value, regions: tuple[Region, ...] = ()) -> Operation:
        """Check operands against the op's type rule and make the operation. Raises: what `Op.infer` raises."""
        types = op.infer(*[operand.type for operand in operands], regions=regions)
        operation = Operation(op, operands, types, regions, self.location)
        self.insert(operation)
        return operation

    def insert(self, operation: Operation) -> None:
        """Take a finished operation. The base class lets it float: it lives as long as its results do."""

    def value(self, op: Op, *operands: Value) -> Value:
        """Emit an op with one result and give that."""
        return self.emit(op, *operands).results[0]

    def capture(self, array: Array) -> Value:
        """The value that stands for an outside array."""
        raise NotImplementedError

    def wants(self, value: Value) -> bool:
        """Whether a cotangent of `value` is of any use: if not, a rule may leave it out."""
        return True

    def scale(self, factor: Value, partial: Value) -> Value:
        """``factor * partial``, in derivatives: builders there know which factors are zero on purpose."""
        raise NotImplementedError

    def masked(self, value: Value) -> Value:
        """State that `value` holds exact zeros where a branch was not taken; gives `value`."""
        return value

    def keep_zeros(self, value: Value) -> Value:
        """`value`; if it was stated to be masked, so that derivatives of what is emitted know of it."""
        return value


class RegionBuilder(Builder):
    """Appends to a region."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def insert(self, operation: Operation) -> None:
        self.region.operations.append(operation)


@dataclass(frozen=True)
class Op:
    """What an operation does. A frozen dataclass: its fields are the attributes, typed, printed and compared.

    A subclass without attributes of its own is one by inheritance and needs no decorator (each costs an import 0.5 ms).

    A subclass states its type rule (`infer`), its meaning (`evaluate`) and its derivative (`jvp` and `pullback`,
    or less in the bases Elementwise, Linear and Flat).
    """

    name: ClassVar[str] = ""
    arity: ClassVar[int | None] = None
    """How many operands it takes; None: any number from `least` on that its type rule allows."""
    least: ClassVar[int] = 0
    regions: ClassVar[int] = 0
    """How many regions it has."""
    effect: ClassVar[bool] = False
    """Whether it is run for what it does (raise an exception), though it has no result that anybody could read."""

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        """Result types. Raises: ShapeError or DTypeError for operands that do not fit."""
        raise NotImplementedError

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        """The meaning, in NumPy."""
        raise NotImplementedError

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        """Tangents of the results; None is a tangent that is zero everywhere."""
        raise DerivativeError(f"{self.name} has no derivative rule")

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        """Cotangents of the operands; None is a cotangent that is zero everywhere."""
        raise DerivativeError(f"{self.name} has no derivative rule")

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        """The results for `size` cases at once, along a new first axis, which the `batched` operands have.

        None where the op has no rule for these: then a loop does case after case.
        """
        return None

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        """Which elements of its operands each element of a float result may depend on.

        Never less than is so, whatever the operands hold; by default all. For operands that pick elements (indices,
        conditions) it is None: that they are computed from the inputs too changes no derivative.
        """
        return tuple([EVERY if kind.dtype.is_float else None for kind in types])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        """Operands on which every test of the op table runs this op."""
        return iter(())


@cache
def has_attributes(kind: type[Any]) -> bool:
    """Whether it takes more than its class to tell an op of this class. To look into an instance's dict would make one."""
    return bool(fields(kind))


@dataclass(frozen=True)
class Sample:
    """An op with operands to try it on. `differentiable`: compare derivatives with finite differences there."""

    op: Op
    operands: tuple[Array, ...]
    differentiable: bool = True


def walk(region: Region) -> Iterator[Operation]:
    """Every operation of a region and of the regions inside, in order, without recursion."""
    stack = [iter(region.operations)]
    while stack:
        for operation in stack[-1]:
            yield operation
            if operation.regions:
                stack.extend(iter(inner.operations) for inner in reversed(operation.regions))
                break
        else:
            stack.pop()
