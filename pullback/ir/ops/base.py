"""Bases of ops: Elementwise (rules by partials), Linear (by transpose), Flat (none), and the Terms rules are written in."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from pullback.dtypes import DType, f32, f64
from pullback.errors import DerivativeError, DTypeError, ShapeError
from pullback.ir.core import Array, Builder, Op, Region, Sample, Value
from pullback.ir.ops.scalar import Scalar, ScalarBuilder
from pullback.ir.reads import SAME, Dependence, Known, moved
from pullback.ir.registry import find
from pullback.ir.types import ArrayType


class Term:
    """A value inside a derivative rule, with Python's operators; a number becomes a constant of the same type."""

    __slots__ = ("b", "value")

    def __init__(self, b: Builder, value: Value) -> None:
        self.b = b
        self.value = value

    def apply(self, name: str, *others: Term | float) -> Term:
        """Emit the attribute-free elementwise op called `name` on this term and others."""
        op = find(name)
        assert op is not None, name
        operands = [self.value, *(self.lift(other).value for other in others)]
        return Term(self.b, self.b.value(op(), *operands))

    def lift(self, other: Term | float) -> Term:
        """`other` as a term of this one's type."""
        if isinstance(other, Term):
            return other
        full = find("full")
        assert full is not None
        kind = self.value.type
        constant = full(float(other), kind.dtype, kind.dims)  # type: ignore[call-arg]
        return Term(self.b, self.b.value(constant))

    def __add__(self, other: Term | float) -> Term:
        return self.apply("add", other)

    def __radd__(self, other: float) -> Term:
        return self.lift(other) + self

    def __sub__(self, other: Term | float) -> Term:
        return self.apply("sub", other)

    def __rsub__(self, other: float) -> Term:
        return self.lift(other) - self

    def __mul__(self, other: Term | float) -> Term:
        return self.apply("mul", other)

    def __rmul__(self, other: float) -> Term:
        return self.lift(other) * self

    def __truediv__(self, other: Term | float) -> Term:
        return self.apply("div", other)

    def __rtruediv__(self, other: float) -> Term:
        return self.lift(other) / self

    def __neg__(self) -> Term:
        return self.apply("neg")

    def __gt__(self, other: Term | float) -> Term:
        return self.apply("greater", other)

    def __lt__(self, other: Term | float) -> Term:
        return self.apply("less", other)

    def equals(self, other: Term | float) -> Term:
        return self.apply("equal", other)

    def select(self, if_true: Term | float, if_false: Term | float) -> Term:
        """This bool term chooses; at least one of the two must be a term."""
        known = if_true if isinstance(if_true, Term) else if_false
        assert isinstance(known, Term)
        return self.apply("select", known.lift(if_true), known.lift(if_false))


Partial = Term | float | None


def sample_operands(dtypes: tuple[DType, ...], domains: tuple[tuple[float, float], ...]) -> Iterator[tuple[Array, ...]]:
    """Operands for elementwise ops: sizes that fill vectors, leave remainders, are 1, or are empty."""
    random = np.random.default_rng(7)
    for dtype in dtypes:
        for shape in ((), (1,), (3, 5), (0, 4), (37,)):
            yield tuple(random.uniform(low, high, shape).astype(dtype.numpy) for low, high in domains)


class Flat(Op):
    """Constant wherever it has a derivative: no tangent passes, and no cotangent."""

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        return (None,) * len(results)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        return (None,) * len(operands)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        return (None,) * len(types)


class Elementwise(Op):
    """Results have the operands' shape; all operands share one shape and (unless a subclass says else) one dtype."""

    arity: ClassVar[int] = 1
    dtypes: ClassVar[tuple[DType, ...]] = (f32, f64)
    """Element types taken."""
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0),)
    """Per operand, the range that samples are drawn from; one entry serves all."""

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        if len(types) != self.arity:
            raise ShapeError(f"{self.name} takes {self.arity} operands, not {len(types)}")
        first = types[0]
        for other in types:
            if other is not first and other.dims != first.dims:
                raise ShapeError(f"{self.name}: shapes differ: {', '.join(map(str, types))}")
        self.check_dtypes(types)
        dtype = self.result_dtype(types)
        return (first if dtype is first.dtype else ArrayType(dtype, first.dims),)

    def check_dtypes(self, types: tuple[ArrayType, ...]) -> None:
        """Raises: DTypeError if the operands' dtypes are not taken."""
        dtype = types[0].dtype
        if dtype not in self.dtypes:
            raise DTypeError(f"{self.name} does not take {dtype}")
        for other in types:
            if other.dtype is not dtype:
                raise DTypeError(f"{self.name}: dtypes differ: {', '.join(map(str, types))}")

    def result_dtype(self, types: tuple[ArrayType, ...]) -> DType:
        return types[-1].dtype

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        """One element's code."""
        raise NotImplementedError

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        """Partial derivatives by each operand; None where it is zero everywhere or the operand is no float."""
        raise DerivativeError(f"{self.name} has no derivative rule")

    def _scaled(self, b: Builder, factor: Value, partial: Partial) -> Value | None:
        if partial is None:
            return None
        if isinstance(partial, Term):
            return b.scale(factor, partial.value)
        if partial == 1.0:
            return factor
        if partial == -1.0:
            return (-Term(b, factor)).value
        return (Term(b, factor) * partial).value

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None or not results[0].type.dtype.is_float:
            return (None,) * len(operands)
        partials = self.partials(tuple([Term(b, operand) for operand in operands]), Term(b, results[0]))
        return tuple([
            self._scaled(b, cotangent, partial) if b.wants(operand) else None
            for operand, partial in zip(operands, partials, strict=True)
        ])

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        if not results[0].type.dtype.is_float:
            return (None,)
        partials = self.partials(tuple([Term(b, operand) for operand in operands]), Term(b, results[0]))
        total: Value | None = None
        for tangent, partial in zip(tangents, partials, strict=True):
            if tangent is None or (part := self._scaled(b, tangent, partial)) is None:
                continue
            total = part if total is None else (Term(b, total) + Term(b, part)).value
        return (total,)

    def batch(
        self, b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int
    ) -> tuple[Value, ...] | None:
        return (b.value(self, *alike(b, operands, batched, size)),)

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        return tuple([SAME if kind.dtype.is_float else None for kind in types])

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        domains = cls.domains if len(cls.domains) == cls.arity else cls.domains * cls.arity
        for operands in sample_operands(cls.dtypes, domains):
            yield Sample(cls(), operands, operands[0].dtype.kind == "f")


class Linear(Op):
    """One result, linear in each of `linear_operands` together; the rest are indices or the like."""

    fills: ClassVar[bool] = False
    """Whether the result has zeros that are no element of an operand."""

    def linear_operands(self, count: int) -> tuple[int, ...]:
        """Positions of the operands in which the op is linear."""
        return tuple(range(count))

    def transpose(self, b: Builder, operands: tuple[Value, ...], cotangent: Value) -> tuple[Value | None, ...]:
        """Cotangents of the operands, from the result's."""
        raise NotImplementedError

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        (cotangent,) = cotangents
        if cotangent is None or not results[0].type.dtype.is_float:
            return (None,) * len(operands)
        return self.transpose(b, operands, cotangent)

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        linear = self.linear_operands(len(operands))
        if not results[0].type.dtype.is_float or all(tangents[index] is None for index in linear):
            return (None,)
        full = find("full")
        assert full is not None
        inputs = list(operands)
        for index in linear:
            kind = operands[index].type
            zeros = full(0.0, kind.dtype, kind.dims)  # type: ignore[call-arg]
            inputs[index] = tangents[index] or b.value(zeros)
        result = b.value(self, *inputs)
        filled = self.fills or any(tangents[index] is None for index in linear)
        return (b.masked(result) if filled else result,)


class Movement(Linear):
    """Every element of the result is an element of an operand, or 0, whatever the operands hold."""

    def dependence(self, types: tuple[ArrayType, ...], result: ArrayType, known: Known) -> Dependence:
        return moved(self.evaluate, types)


def alike(b: Builder, operands: tuple[Value, ...], batched: tuple[bool, ...], size: int) -> list[Value]:
    """The operands of a batch, those without its axis repeated along it."""
    broadcast: Any = find("broadcast")

    def repeated(value: Value) -> Value:
        return b.value(broadcast((size, *value.type.dims), tuple(range(1, value.type.rank + 1))), value)

    return [
        operand if has_axis else repeated(operand) for operand, has_axis in zip(operands, batched, strict=True)
    ]


def arrays(*shapes: tuple[int, ...], dtype: DType = f64, seed: int = 3) -> tuple[Array, ...]:
    """Random operands for samples: floats in -2..2, integers in 0..9, bools."""
    random = np.random.default_rng(seed)
    return tuple(
        (random.uniform(-2, 2, shape) if dtype.is_float else random.integers(0, 2 if dtype.is_bool else 10, shape))
        .astype(dtype.numpy)
        for shape in shapes
    )
