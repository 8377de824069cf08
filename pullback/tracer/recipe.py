"""Operations by number instead of by value: what one step of the tensors' graph does, kept to be done again.

Slots are numbered: the inputs, then constants, then the results of the operations in order. A step that comes again
(same rule, same types) has the same recipe, whose operations are put down without asking any type rule; its adjoint is
derived once and is a recipe in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial, wraps
from types import FunctionType
from typing import Any, ParamSpec, TypeAlias, cast

import numpy as np

from pullback.dtypes import DType
from pullback.errors import DerivativeError
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.reverse import pull_back
from pullback.ir.analysis.uses import closed_over, operation_reads
from pullback.ir.clone import copy_region
from pullback.ir.core import Builder, Op, Operation, Region, Value
from pullback.ir.ops.shape import Reshape
from pullback.ir.types import ArrayType
from pullback.tracer.contents import known
from pullback.tracer.unit import Several, Step, several

P = ParamSpec("P")
Rule: TypeAlias = Callable[..., "Value | Sequence[Value]"]
"""Emits operations: takes the builder and the operands' values, gives the result or results."""

MAX_RECIPES = 4096


class Draft(Builder):
    """Collects the operations of a recipe that is being written."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []

    def insert(self, operation: Operation) -> None:
        self.operations.append(operation)

    def capture(self, array: np.ndarray[Any, Any]) -> Value:
        """An outside array, copied: it becomes a constant of the recipe."""
        return known(np.array(array, order="C"))


@dataclass(frozen=True, slots=True)
class Adjoint:
    """A recipe that takes the primal slots `reads` and then the cotangents that are there; it gives `found`: for each
    input asked for the number of its output, None where no gradient arrives. `masked` says which hold zeros on purpose.
    """

    recipe: Recipe
    reads: tuple[int, ...]
    found: tuple[int | None, ...]
    masked: tuple[bool, ...]


@dataclass(eq=False, slots=True)
class Recipe:
    """See the module. `outputs` are slots; `constants` are values from outside that every use shares.

    `whole` is the op that does all steps as one, where none has regions.
    """

    input_types: tuple[ArrayType, ...]
    constants: tuple[Value, ...]
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]
    output_types: tuple[ArrayType, ...]
    whole: Several | None
    adjoints: dict[Any, Adjoint] = field(default_factory=dict)
    kept: dict[tuple[int, ...], frozenset[int]] = field(default_factory=dict)
    patterns: dict[Any, Any] = field(default_factory=dict)
    """The graph's steps that follow this recipe, by what they have in common: see `autograd.Pattern`."""

    @staticmethod
    def of(operations: Sequence[Operation], inputs: Sequence[Value], outputs: Sequence[Value]) -> Recipe:
        """The recipe of operations that lead from inputs to outputs; what else they read is a constant."""
        made = {result for operation in operations for result in operation.results}
        constants = dict.fromkeys(
            value
            for operation in operations
            for value in operation_reads(operation)
            if value not in made and value not in inputs
        )
        constants.update((value, None) for value in outputs if value not in made and value not in inputs)
        number = {value: place for place, value in enumerate((*inputs, *constants))}
        steps = []
        for operation in operations:
            types = tuple([result.type for result in operation.results])
            operands = tuple([number[operand] for operand in operation.operands])
            if operation.regions:
                outer = tuple([(value, number[value]) for value in closed_over(operation.regions)])
                steps.append(Step(operation.op, operands, types, operation, outer))
            else:
                steps.append(Step(operation.op, operands, types))
            for result in operation.results:
                number[result] = len(number)
        types = tuple([value.type for value in inputs])
        whole = several(tuple(steps), (*types, *(value.type for value in constants)))
        return Recipe(types, tuple(constants), tuple(steps), tuple([number[value] for value in outputs]),
                      tuple([value.type for value in outputs]), whole)  # fmt: skip

    def follow(self, b: Builder, inputs: Sequence[Value]) -> list[Value]:
        """Put the operations down; gives the values of all slots."""
        slots: list[Value] = [*inputs, *self.constants]
        insert, location = b.insert, b.location
        for step in self.steps:
            operands = tuple([slots[place] for place in step.operands])
            regions: tuple[Region, ...] = ()
            if step.original is not None:
                replaced = {value: slots[place] for value, place in step.outer}
                regions = tuple([copy_region(region, replaced) for region in step.original.regions])
            operation = Operation(step.op, operands, step.types, regions, location)
            insert(operation)
            slots += operation.results
        return slots

    def flowing(self, places: Sequence[int]) -> set[int]:
        """The slots that depend on the inputs at `places`."""
        found = set(places)
        count = len(self.input_types) + len(self.constants)
        for step in self.steps:
            if any(place in found for place in (*step.operands, *(place for _, place in step.outer))):
                found.update(range(count, count + len(step.types)))
            count += len(step.types)
        return found

    def adjoint(self, active: tuple[int, ...], present: tuple[bool, ...], masked: tuple[bool, ...]) -> Adjoint:
        """Cotangents of the inputs `active` from those of the outputs that are `present`.

        Raises: DerivativeError for an operation without a derivative.
        """
        key = active, present, masked
        found = self.adjoints.get(key)
        if found is None:
            found = self.adjoints[key] = self._derive(active, present, masked)
        return found

    def saved_for(self, active: tuple[int, ...]) -> frozenset[int]:
        """The slots that going back to the inputs `active` may read.

        Raises: DerivativeError for an operation without a derivative.
        """
        found = self.kept.get(active)
        if found is None:
            count = len(self.outputs)
            reads = set(self.adjoint(active, (True,) * count, (False,) * count).reads) if active else set()
            if any(place >= len(self.input_types) and place not in self.outputs for place in reads):
                # A gradient of the gradient goes through what lies between: that is computed from the inputs.
                reads.update(range(len(self.input_types)))
            found = self.kept[active] = frozenset(reads)
        return found

    def _derive(self, active: tuple[int, ...], present: tuple[bool, ...], masked: tuple[bool, ...]) -> Adjoint:
        primal = Draft()
        slots = self.follow(primal, [Value(kind) for kind in self.input_types])
        bars = [Value(kind) if there else None for kind, there in zip(self.output_types, present, strict=True)]
        draft = Draft()
        d = DerivativeBuilder(draft)
        for bar, zeroed in zip(bars, masked, strict=True):
            if bar is not None and zeroed:
                d.masked(bar)
        try:
            gradients = pull_back(d, primal.operations, [slots[place] for place in self.outputs], bars,
                                  [slots[place] for place in active])  # fmt: skip
        except DerivativeError as error:
            raise DerivativeError(error.message, help=error.help) from None
        wanted = [gradient for gradient in gradients if gradient is not None]
        operations = behind(wanted, [*_constants(primal.operations), *draft.operations])
        needed = {value for operation in operations for value in operation_reads(operation)}
        needed.update(wanted)
        remade = {result for operation in operations for result in operation.results}
        fixed = set(self.constants)
        reads = [place for place, value in enumerate(slots) if value in needed and value not in remade and value not in fixed]
        inputs = [*(slots[place] for place in reads), *(bar for bar in bars if bar is not None)]
        places: list[int | None] = []
        outputs: list[Value] = []
        for gradient in gradients:
            if gradient is None:
                places.append(None)
                continue
            if gradient in inputs or gradient in outputs:
                # Each output is a value of its own, so that each can have a gradient of its own.
                gradient = draft.value(Reshape(gradient.type.dims), gradient)
                operations.append(draft.operations[-1])
            places.append(len(outputs))
            outputs.append(gradient)
        zeroed_outputs = tuple([gradient is not None and d.is_masked(gradient) for gradient in gradients])
        return Adjoint(Recipe.of(operations, inputs, outputs), tuple(reads), tuple(places), zeroed_outputs)


def joint_recipe(recipe: Recipe, adjoint: Adjoint) -> Recipe:
    """What gives an adjoint's results from the primal's inputs and the cotangents."""
    draft = Draft()
    inputs = [Value(kind) for kind in recipe.input_types]
    bars = [Value(kind) for kind in adjoint.recipe.input_types[len(adjoint.reads) :]]
    slots = recipe.follow(draft, inputs)
    results = adjoint.recipe.follow(draft, [*(slots[place] for place in adjoint.reads), *bars])
    return Recipe.of(draft.operations, [*inputs, *bars], [results[place] for place in adjoint.recipe.outputs])


def _constants(operations: Sequence[Operation]) -> list[Operation]:
    """Operations that are computed from nothing: they are made again rather than kept."""
    made: set[Value] = set()
    found = []
    for operation in operations:
        if not operation.regions and all(operand in made for operand in operation.operands):
            made.update(operation.results)
            found.append(operation)
    return found


def behind(wanted: Sequence[Value], operations: Sequence[Operation]) -> list[Operation]:
    """Those of the operations, in order, that the wanted values are computed by."""
    needed = set(wanted)
    kept = []
    for operation in reversed(operations):
        if any(result in needed for result in operation.results):
            kept.append(operation)
            needed.update(operation_reads(operation))
    return kept[::-1]


_known_recipes: dict[Any, Recipe] = {}


def recipe_for(rule: Rule, values: Sequence[Value]) -> Recipe:
    """The recipe of a rule on operands of these types: known from before, or written now."""
    identity = rule_key(rule)
    key = None if identity is None else (identity, tuple([value.type for value in values]))
    found = None if key is None else _known_recipes.get(key)
    if found is None:
        found = write_recipe(rule, [value.type for value in values])
        if key is not None:
            if len(_known_recipes) >= MAX_RECIPES:
                _known_recipes.clear()
            _known_recipes[key] = found
    return found


def write_recipe(rule: Rule, types: Sequence[ArrayType]) -> Recipe:
    """Run a rule on values that stand for operands of these types."""
    draft = Draft()
    inputs = [Value(kind) for kind in types]
    results = rule(draft, *inputs)
    outputs: list[Value] = []
    for result in [results] if isinstance(results, Value) else results:
        distinct = result not in inputs and result not in outputs
        outputs.append(result if distinct else draft.value(Reshape(result.type.dims), result))
    return Recipe.of(draft.operations, inputs, outputs)


MOST_KEYED = 4096
"""Bytes of an array that may tell rules apart by its elements."""

_PLAIN = (int, float, str, bool, type(None), DType, Op)


class KeyedRule:
    """A rule that says itself what tells it from others."""

    __slots__ = ()

    def key(self) -> Any:
        """Equal for rules that emit the same; None where that cannot be told."""
        raise NotImplementedError

    def __call__(self, b: Builder, *values: Value) -> Value:
        raise NotImplementedError


class Kept(KeyedRule):
    """A rule that is told from others by being itself: `kept_rules` gives one object for equal arguments."""

    __slots__ = ("rule",)

    def __init__(self, rule: Callable[..., Value]) -> None:
        self.rule = rule

    def key(self) -> Any:
        return self

    def __call__(self, b: Builder, *values: Value) -> Value:
        return self.rule(b, *values)


def kept_rules(factory: Callable[P, Callable[..., Value]]) -> Callable[P, Kept]:
    """Decorator of functions of arguments that can be hashed (no floats: zeros have signs) that give a rule."""

    @wraps(factory)
    def kept(*args: P.args, **named: P.kwargs) -> Kept:
        return Kept(factory(*args, **named))

    return cast("Callable[P, Kept]", lru_cache(maxsize=1 << 8, typed=True)(kept))


def rule_key(rule: Any) -> Any:
    """What tells a rule from others: its code and the plain values it closes over; None where it closes over more.

    Lists and arrays count as what they hold now: a rule does not change them, and is not kept for another call.
    """
    kind = type(rule)
    if kind is FunctionType:
        if rule.__kwdefaults__:
            return None
        closure, defaults = rule.__closure__, rule.__defaults__
        if not closure and not defaults:
            return rule.__code__
        inner = rule_key((*[cell.cell_contents for cell in closure or ()], *(defaults or ())))
        return None if inner is None else (rule.__code__, inner)
    if kind is int or kind is bool:
        return kind, rule
    if kind is tuple:
        parts: list[Any] = ["tuple"]
        for each in rule:
            part = "none" if each is None else rule_key(each)
            if part is None:
                return None
            parts.append(part)
        return tuple(parts)
    if isinstance(rule, KeyedRule):
        return rule.key()
    if kind is list or kind is slice:
        inner = rule_key(tuple(rule) if kind is list else (rule.start, rule.stop, rule.step))
        return None if inner is None else (kind, inner)
    if kind is np.ndarray:
        return (kind, rule.shape, rule.dtype.str, rule.tobytes()) if rule.nbytes <= MOST_KEYED else None
    if isinstance(rule, _PLAIN):
        # Of text one more layer: it must not be taken for a mark; of numbers the text, which tells zeros apart.
        return (str, rule) if isinstance(rule, str) else (kind, repr(rule)) if isinstance(rule, float | int) else rule
    if isinstance(rule, tuple):
        return rule_key((kind, tuple(rule)))
    if isinstance(rule, partial):
        return rule_key((rule.func, *rule.args)) if not rule.keywords else None
    return rule if isinstance(rule, type) else None
