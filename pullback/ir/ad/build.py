"""The builder that derivative rules emit into: it knows which factors are zero on purpose."""
from __future__ import annotations

from pullback.ir.core import Builder, Operation, Value
from pullback.ir.ops.arithmetic import Add, Mul, ZeroMul
from pullback.ir.ops.shape import Assemble


class DerivativeBuilder(Builder):
    """Emits through another builder. `masked` values hold exact zeros where a branch was not taken.

    Scaling such a value by an infinite or undefined partial must leave the zero a zero, so `scale` uses zero_mul
    for it; everything computed from masked cotangents alone is masked in turn.
    """

    def __init__(self, target: Builder) -> None:
        self.target = target
        self._masked: set[Value] = set()

    def insert(self, operation: Operation) -> None:
        self.target.insert(operation)

    def masked(self, value: Value) -> Value:
        self._masked.add(value)
        return value

    def is_masked(self, value: Value) -> bool:
        return value in self._masked

    def scale(self, factor: Value, partial: Value) -> Value:
        if factor in self._masked:
            return self.masked(self.value(ZeroMul(), factor, partial))
        return self.value(Mul(), factor, partial)

    def total(self, parts: list[Value]) -> Value:
        """The sum of contributions, in order; windows into one array become one assemble."""
        windows = [part for part in parts if part.owner is not None and isinstance(part.owner.op, Assemble)]
        if len(windows) > 1:
            parts = [part for part in parts if part not in windows] + [self._assembled(windows)]
        result = parts[0]
        for part in parts[1:]:
            result = self.value(Add(), result, part)
        if all(part in self._masked for part in parts):
            self.masked(result)
        return result

    def _assembled(self, windows: list[Value]) -> Value:
        starts: list[tuple[int, ...]] = []
        steps: list[tuple[int, ...]] = []
        operands: list[Value] = []
        for window in windows:
            assert window.owner is not None and isinstance(window.owner.op, Assemble)
            starts += window.owner.op.starts
            steps += window.owner.op.steps
            operands += window.owner.operands
        whole = self.value(Assemble(windows[0].type.shape, tuple(starts), tuple(steps)), *operands)
        return self.masked(whole) if all(window in self._masked for window in windows) else whole
