"""How a reduction combines: its accumulator's type and start, one step, and the last steps across lanes."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pullback import dtypes
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, element_type, literal
from pullback.codegen.nest import FLOAT_LANES, Reduced
from pullback.dtypes import DType
from pullback.ir.core import Op
from pullback.ir.ops.reduction import ReduceAll, ReduceAny, ReduceMax, ReduceMin, ReduceProd, ReduceSum
from pullback.ir.ops.scalar import Scalar


@dataclass(frozen=True)
class Accumulator:
    """`lanes` partial results of `dtype`. Float sums and products are kept in float64, in a number of lanes that is always
    the same, so that the order never depends on what else the loop does.

    Of a `group` of elements, halves are combined until they are as many as the lanes: float32 sums have groups larger
    than that, because to widen each element to float64 costs more than to add it.
    """

    op: Op
    element: DType
    dtype: DType
    lanes: int
    group: int

    @property
    def type(self) -> str:
        """Its type in registers and on the stack."""
        return element_type(self.dtype, self.lanes)

    def start(self, dtype: DType) -> float | int | bool:
        """What changes nothing when combined: for sums -0.0, because 0.0 + -0.0 is not -0.0."""
        match self.op:
            case ReduceSum():
                return -0.0 if dtype.is_float else 0
            case ReduceProd():
                return 1
            case ReduceAny():
                return False
            case ReduceAll():
                return True
            case ReduceMax():
                return float("-inf") if dtype.is_float else -(1 << dtype.bits - 1) if dtype.is_signed else 0
            case ReduceMin():
                bits = dtype.bits - 1 if dtype.is_signed else dtype.bits
                return float("inf") if dtype.is_float else (1 << bits) - 1
        raise TypeError(f"{self.op.name} is no reduction")

    @property
    def identity(self) -> str:
        """The accumulator's start as text."""
        one = literal(self.dtype, self.start(self.dtype))
        return one if self.lanes == 1 else f"splat ({element_type(self.dtype, 1)} {one})"

    @property
    def memory_identity(self) -> str:
        """The start of an element in memory."""
        return _byte(self.element, literal(self.element, self.start(self.element)))

    @property
    def over_nothing(self) -> str:
        """The result over no elements."""
        value = 0 if isinstance(self.op, ReduceSum) else self.start(self.element)
        return _byte(self.element, literal(self.element, value))

    def combine(self, s: LlvmScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
        """One step, lane by lane."""
        match self.op:
            case ReduceSum():
                return s.add(x, y)
            case ReduceProd():
                return s.mul(x, y)
            case ReduceMax():
                return s.maximum(x, y)
            case ReduceMin():
                return s.minimum(x, y)
            case ReduceAny():
                return s.bit_or(x, y)
        return s.bit_and(x, y)

    def accumulate(self, f: FunctionText, total: Scalar, value: Scalar, lanes: int) -> str:
        """Combine `lanes` new elements; missing lanes are filled with what changes nothing."""
        width = -(-lanes // self.group) * self.group
        if lanes < width:
            value = self._widened(f, value, lanes, width)
        s = LlvmScalarBuilder(f, self.lanes)
        for start in range(0, width, self.group):
            part = value if width == self.group else _lanes(f, value, width, start, self.group)
            total = self.combine(s, total, s.cast(self._halved(f, part, self.group, self.lanes), self.dtype))
        return total.text

    def _widened(self, f: FunctionText, value: Scalar, lanes: int, width: int) -> Scalar:
        one, narrow = element_type(self.element, 1), element_type(self.element, lanes)
        start = literal(self.element, self.start(self.element))
        if lanes == 1:
            text = f.let(f"insertelement <{width} x {one}> splat ({one} {start}), {one} {value.text}, i64 0")
            return Scalar(text, self.element)
        order = ", ".join(f"i32 {lane if lane < lanes else lanes}" for lane in range(width))
        text = f.let(
            f"shufflevector {narrow} {value.text}, {narrow} splat ({one} {start}), <{width} x i32> <{order}>"
        )
        return Scalar(text, self.element)

    def narrowed(self, lanes: int) -> Accumulator:
        """One of the several accumulators that take turns where a turn has so many lanes: not for larger groups."""
        return self if self.group > self.lanes else replace(self, lanes=min(self.lanes, lanes), group=min(self.group, lanes))

    def parts(self, f: FunctionText, text: str, lanes: int) -> list[str]:
        """This accumulator taken apart into several of so many lanes."""
        if lanes == self.lanes:
            return [text]
        whole = Scalar(text, self.dtype)
        return [_lanes(f, whole, self.lanes, start, lanes).text for start in range(0, self.lanes, lanes)]

    def joined(self, f: FunctionText, parts: Sequence[str]) -> str:
        """Accumulators put together again, a power of two of them."""
        texts, width = list(parts), self.lanes // len(parts)
        while len(texts) > 1:
            kind = element_type(self.dtype, width)
            order = ", ".join(f"i32 {lane}" for lane in range(2 * width))
            texts = [
                f.let(f"shufflevector {kind} {left}, {kind} {right}, <{2 * width} x i32> <{order}>")
                for left, right in zip(texts[::2], texts[1::2], strict=True)
            ]
            width *= 2
        return texts[0]

    def horizontal(self, f: FunctionText, value: Scalar) -> Scalar:
        """All lanes into one, by halves."""
        return self._halved(f, value, self.lanes, 1)

    def _halved(self, f: FunctionText, value: Scalar, width: int, least: int) -> Scalar:
        """`width` lanes into `least`: the upper half combines with the lower one, and so on."""
        while width > least:
            half = width // 2
            s = LlvmScalarBuilder(f, half)
            value = self.combine(s, _lanes(f, value, width, 0, half), _lanes(f, value, width, half, half))
            width = half
        return value


def _byte(dtype: DType, text: str) -> str:
    return {"true": "1", "false": "0"}[text] if dtype.is_bool else text


def _lanes(f: FunctionText, value: Scalar, width: int, start: int, count: int) -> Scalar:
    """`count` neighbouring lanes of a vector."""
    kind = element_type(value.dtype, width)
    if count == 1:
        return Scalar(f.let(f"extractelement {kind} {value.text}, i64 {start}"), value.dtype)
    order = ", ".join(f"i32 {start + lane}" for lane in range(count))
    return Scalar(
        f.let(f"shufflevector {kind} {value.text}, {kind} poison, <{count} x i32> <{order}>"), value.dtype
    )


def accumulator(reduced: Reduced, lanes: int) -> Accumulator:
    """The accumulator of a reduction in a nest of so many lanes."""
    op, element = reduced.operation.op, reduced.operation.result.type.dtype
    if not reduced.is_ordered:
        return Accumulator(op, element, element, lanes, lanes)
    return Accumulator(op, element, dtypes.f64, reduced.group // 4 if reduced.is_folded else FLOAT_LANES, reduced.group)
