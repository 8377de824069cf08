"""A call whose derivative is stated by rules of its own, instead of being that of what it computes."""
from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from pullback.errors import ShapeError, UnboundError
from pullback.ir.core import Function, Opaque, Region
from pullback.ir.ops.control import Control
from pullback.ir.registry import register
from pullback.ir.types import ArrayType


class Rule(Opaque):
    """What a custom call computes: `primal`, a function that captures nothing.

    Its first `count` parameters are the call's arguments; the rest is what it closes over, which has no derivative.
    Rules with one `key` are of one function, called with arguments of the same types.
    """

    def __init__(self, name: str, key: Hashable, primal: Function, count: int) -> None:
        super().__init__(name)
        self.key = key
        self.primal = primal
        self.count = count

    @property
    def arguments(self) -> tuple[ArrayType, ...]:
        """Types of the call's arguments."""
        return tuple([value.type for value in self.primal.parameters[: self.count]])

    @property
    def floats(self) -> list[int]:
        """Numbers of the arguments that have derivatives."""
        return [place for place, kind in enumerate(self.arguments) if kind.dtype.is_float]


class JvpRule(Rule):
    """A rule of forward mode; reverse mode follows, as it is linear in the tangents."""

    def pushforward(self) -> Function:
        """``(arguments..., tangents of the float ones...) -> tangents of the float results``."""
        raise NotImplementedError


@dataclass(frozen=True)
class Halves:
    """The two halves of a rule of reverse mode.

    `forward`: ``(arguments...) -> (results..., residuals...)``. `backward`: ``(residuals..., cotangents of the float
    results...) -> cotangents``; `found` says for each argument which of these is its own, None where it is zero.
    """

    forward: Function
    backward: Function
    found: tuple[int | None, ...]


class VjpRule(Rule):
    """A rule of reverse mode."""

    def halves(self) -> Halves:
        raise NotImplementedError


@register
@dataclass(frozen=True)
class CustomCall(Control):
    """``(a...) -> types``: what `rule` says, computed by its primal and differentiated by its rule.

    It stays one operation until code is made; then its primal stands in its place.
    """

    name: ClassVar[str] = "custom_call"
    regions: ClassVar[int] = 0
    rule: Opaque
    types: tuple[ArrayType, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        if isinstance(self.rule, Rule):
            taken = tuple([value.type for value in self.rule.primal.parameters])
            if taken != types or self.rule.primal.result_types != self.types:
                raise ShapeError(f"custom_call: {self.rule.name} takes ({', '.join(map(str, taken))}), "
                                 f"not ({', '.join(map(str, types))})")  # fmt: skip
        return self.types

    def bound(self) -> Rule:
        """The rule. Raises: UnboundError where only its name is known."""
        if not isinstance(self.rule, Rule):
            raise UnboundError(f"the function {self.rule.name} is known by its name only")
        return self.rule
