"""Custom calls of many cases at once: a call in, the call whose function and rule have the axis of the cases out."""
from __future__ import annotations

from collections.abc import Callable, Sequence

from pullback.ir.clone import copy_function
from pullback.ir.core import Builder, Function, Operation, RegionBuilder, Value
from pullback.ir.ops.base import alike
from pullback.ir.ops.custom import CustomCall, Halves, JvpRule, Rule, VjpRule
from pullback.ir.ops.reduction import ReduceSum

Batch = Callable[[Function, Sequence[bool], int], "tuple[Function, tuple[bool, ...]]"]
"""`batch`, handed in: primals and rules hold operations of all kinds."""


def batched_custom_call(
    b: Builder, operation: Operation, operands: Sequence[Value], flags: tuple[bool, ...], size: int, batch: Batch
) -> tuple[Value, ...]:
    """Emit the call for all cases; every result has the axis. `flags` say which operands have it."""
    assert isinstance(operation.op, CustomCall)
    rule = operation.op.bound()
    kind = _BatchedJvp if isinstance(rule, JvpRule) else _BatchedVjp
    made: Rule = kind(rule, flags, size, batch)
    return b.emit(CustomCall(made, made.primal.result_types), *operands).results


class _Batched(Rule):
    """What both kinds have in common: the rule of one case, and which arguments have the axis."""

    def __init__(self, inner: Rule, flags: tuple[bool, ...], size: int, batch: Batch) -> None:
        primal = _everywhere(*batch(inner.primal, flags, size), size)
        super().__init__(inner.name, ("batch", inner.key, flags[: inner.count], size), primal, inner.count)
        self.inner = inner
        self.flags = flags[: inner.count]
        self.size = size
        self.batch = batch


class _BatchedJvp(_Batched, JvpRule):
    def pushforward(self) -> Function:
        inner = self.inner
        assert isinstance(inner, JvpRule)
        flags = [*self.flags, *(self.flags[place] for place in inner.floats)]
        return _everywhere(*self.batch(inner.pushforward(), flags, self.size), self.size)


class _BatchedVjp(_Batched, VjpRule):
    def halves(self) -> Halves:
        inner, size, batch = self.inner, self.size, self.batch
        assert isinstance(inner, VjpRule)
        halves = inner.halves()
        count = len(inner.primal.result_types)
        forward, has_axis = batch(halves.forward, self.flags, size)
        forward = _everywhere(forward, (*has_axis[:count], *[True] * (len(has_axis) - count)), size)
        bars = len(halves.backward.parameters) - (len(has_axis) - count)
        backward, summed = batch(halves.backward, [*has_axis[count:], *[True] * bars], size)
        backward = _everywhere(backward, summed, size)
        b = RegionBuilder(backward.body)
        yields = list(backward.body.yields)
        for place, number in enumerate(halves.found):
            if number is not None and not self.flags[place]:
                # All cases read the one argument.
                yields[number] = b.value(ReduceSum((0,)), yields[number])
        backward.body.yields = tuple(yields)
        return Halves(forward, backward, halves.found)


def _everywhere(function: Function, has_axis: Sequence[bool], size: int) -> Function:
    """The function with the axis on all of its results."""
    made = copy_function(function)
    b = RegionBuilder(made.body)
    made.body.yields = tuple(alike(b, made.body.yields, tuple(has_axis), size))
    return made
