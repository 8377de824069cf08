"""Steps that come again: all that follows from a rule and its operands' types, kept so that only values are looked up.

A plan is found by what tells rules apart and by the operands' sizes and dtypes; following it makes a unit that waits, a
tensor, and (where a gradient flows) a step of the graph, as `tensor_base.record` does from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import FunctionType
from typing import Any

from pullback.dtypes import DType
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.autograd import Edge, Pattern, Recorded, Written, named
from pullback.tracer.deferred import MAX_DEPTH, settle
from pullback.tracer.grad_mode import is_grad_enabled
from pullback.tracer.recipe import Kept, KeyedRule, Recipe, Rule, rule_key
from pullback.tracer.storage import Layout, Storage, Version
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.unit import Several, Unit

MAX_PLANS = 4096

_BACKWARD = "Backward0"
_NOWHERE: Edge = (None, 0)


class Plan:
    """A step with one result whose recipe is one unit. `places` say where each input is shown among `count`."""

    __slots__ = (
        "constants", "count", "dtype", "first", "is_float", "layout", "made_by", "numbers", "output", "patterns", "places",
        "recipe", "step", "whole",
    )  # fmt: skip

    def __init__(self, name: str, recipe: Recipe, places: tuple[int | None, ...], count: int, numbers: DType | None) -> None:
        assert recipe.whole is not None
        kind = recipe.output_types[0]
        self.numbers = kind.dtype if numbers is None else numbers
        """What Python numbers among the operands become."""
        self.recipe = recipe
        self.whole: Several = recipe.whole
        self.constants = recipe.constants
        self.first = len(recipe.input_types)
        self.output = recipe.outputs[0]
        self.layout = Layout.contiguous(kind.shape)
        self.dtype: DType = kind.dtype
        self.is_float = kind.dtype.is_float
        self.places = places
        self.count = count
        self.step: type[Recorded] = named(name, Recorded)
        self.made_by = name.removesuffix(_BACKWARD)
        self.patterns: dict[tuple[int, ...], Pattern] = {}

    @staticmethod
    def fits(recipe: Recipe) -> bool:
        """Whether steps of a recipe can be planned."""
        return recipe.whole is not None and len(recipe.outputs) == 1

    def put(self, values: Sequence[Value]) -> Value:
        """The operations, put down; gives the result."""
        unit = Unit(self.whole, (*values, *self.constants), caller(3))
        value = unit.give(self.output)
        if unit.depth > MAX_DEPTH:
            settle(value)
        return value

    def follow(self, inputs: Sequence[Any], values: Sequence[Value], kind: type[Any], flows: bool) -> Any:
        """The result as a tensor of class `kind`. `inputs` are the tensors behind the values, where there are tensors;
        `flows` says whether one of them requires grad."""
        location = caller(3)
        unit = Unit(self.whole, (*values, *self.constants), location)
        output = self.output
        value = unit.give(output)
        counter = Version()
        made = kind._new(Storage(value), self.layout, self.dtype, counter)
        if flows and self.is_float and is_grad_enabled():
            edges: list[Edge] = []
            active = []
            for place, each in enumerate(inputs):
                edge: Edge = each.edge() if isinstance(each, IsTensor) else _NOWHERE  # type: ignore[attr-defined]
                edges.append(edge)
                if edge[0] is not None:
                    active.append(place)
            pattern = self.patterns.get(key := tuple(active))
            if pattern is None:
                pattern = self.patterns[key] = Pattern.of(self.recipe, self.places, self.count, key)
            saved: dict[int, Value] = {}
            versions: dict[int, Written] = {}
            for place in pattern.reads:
                if place == output:
                    saved[place] = value
                    versions[place] = counter, 0, self.made_by, 0
                elif place < self.first:
                    saved[place] = values[place]
                    each = inputs[place]
                    if isinstance(each, IsTensor):
                        used = each._counter  # type: ignore[attr-defined]
                        versions[place] = used, used.count, *edges[place]
                else:
                    saved[place] = unit[place]
            node: Recorded = self.step.__new__(self.step)
            node.begin(pattern, edges, saved, versions, location)
            made._grad_fn = node
            made._requires_grad = True
        if unit.depth > MAX_DEPTH:
            settle(value)
        return made


def rule_identity(rule: Rule) -> Any:
    """What tells a rule from others while it is kept alive; None where that cannot be told."""
    if type(rule) is Kept:
        return rule
    if type(rule) is FunctionType and not rule.__closure__ and not rule.__defaults__ and not rule.__kwdefaults__:
        return id(rule.__code__)
    return rule.key() if isinstance(rule, KeyedRule) else rule_key(rule)


class Plans:
    """Plans by what tells steps apart, each with its rule: that keeps the code by whose address the plan is found."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: dict[Any, tuple[Plan, Rule]] = {}

    def keep(self, key: Any, plan: Plan, rule: Rule) -> None:
        """Find the plan by this key from now on."""
        if len(self.known) >= MAX_PLANS:
            self.known.clear()
        self.known[key] = plan, rule


PLANS = Plans()
"""The process's plans: they hold no elements."""
