"""Ops that are one LLVM instruction an element: an op and its operands' dtypes in, the instruction to be filled in out."""
from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, ModuleText
from pullback.dtypes import DType
from pullback.ir.core import Operation, has_attributes
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.scalar import Elementary, Scalar

_PLACES = ("\x01", "\x02", "\x03")
"""What stands for operands while an op is lowered for its instruction: no text of LLVM's has these."""


@dataclass(frozen=True, slots=True)
class Lowered:
    """What an op becomes: so many `lines`, and if it is one, that with ``%s`` for each operand in order, else ""."""

    template: str
    lines: int


class Lowerings:
    """What elementwise ops become on single numbers, each found once, by lowering it."""

    def __init__(self, module: ModuleText, shared: Collection[Elementary]) -> None:
        self.module = module
        self.shared = shared
        self._known: dict[tuple[object, ...], Lowered] = {}

    def find(self, operation: Operation) -> Lowered:
        """What an operation (of an elementwise op) becomes."""
        op, operands = operation.op, operation.operands
        # Comparing classes is cheaper where that is all there is.
        kind: Any = type(op)
        if has_attributes(kind):
            kind = op
        key: tuple[object, ...]
        if len(operands) == 2:
            key = (kind, operands[0].type.dtype, operands[1].type.dtype)
        else:
            key = (kind, *[operand.type.dtype for operand in operands])
        found = self._known.get(key)
        if found is None:
            assert isinstance(op, Elementwise)
            found = self._known[key] = self._lower(op, [operand.type.dtype for operand in operation.operands])
        return found

    def _lower(self, op: Elementwise, dtypes: list[DType]) -> Lowered:
        f = FunctionText(self.module, "")
        operands = [Scalar(place, dtype) for place, dtype in zip(_PLACES, dtypes, strict=False)]
        if len(operands) < len(dtypes):
            return Lowered("", len(dtypes))
        result = op.lower(LlvmScalarBuilder(f, 1, self.shared), *operands)
        if len(f.lines) != 1 or f.beginning:
            return Lowered("", len(f.lines))
        name, _, text = f.lines[0].partition(" = ")
        if result.text != name.strip():
            return Lowered("", 1)
        if [letter for letter in text if letter in _PLACES] != list(_PLACES[: len(operands)]):
            return Lowered("", 1)
        text = text.replace("%", "%%")
        for place in _PLACES:
            text = text.replace(place, "%s")
        return Lowered(text, 1)
