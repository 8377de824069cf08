"""A whole way back as one unit: a graph's shape goes in, one recipe of all its steps' adjoints comes out, kept by it.

Where nobody looks on (no hooks, no gradients of gradients) going back through a graph of the same shape puts down the
same operations. They are derived once, by the rules and in the order of `autograd.walk_back`, and put down as one unit.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any, TypeAlias

from pullback.dtypes import DType
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.core import Operation, Value
from pullback.ir.ops.arithmetic import Add, Cast
from pullback.ir.ops.creation import Full
from pullback.ir.types import ArrayType
from pullback.tracer.autograd import AccumulateGrad, Node, Recorded
from pullback.tracer.deferred import ENGINE, MAX_DEPTH
from pullback.tracer.recipe import Draft, Recipe, behind
from pullback.tracer.storage import Layout, Storage, Version
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.unit import Several, Unit

MAX_NODES = 50_000
"""Steps of a graph that are gone back through at once; as many as may wait."""
MAX_WAYS = 512

Key: TypeAlias = tuple[Any, ...]


@dataclass(slots=True)
class _Shape:
    """A graph behind a root: its steps from last to first, the leaves as they are met, and a key that says the rest."""

    steps: list[Recorded]
    leaves: list[AccumulateGrad]
    key: Key


@dataclass(frozen=True, slots=True)
class Way:
    """How to go back through graphs of one shape.

    `saved` says which slots of which step are read; then comes the root's gradient, then the gradients that leaves
    have already, then constants. `outputs` are the slots and layouts of the gradients of the leaves, None where none
    arrives; `reads` are the slots that each step reads, None for those that no gradient comes through.
    """

    whole: Several
    saved: tuple[tuple[int, int], ...]
    constants: tuple[Value, ...]
    outputs: tuple[tuple[int, Layout, DType] | None, ...]
    reads: tuple[tuple[int, ...] | None, ...]


def _shape_of(root: Recorded, number: int, kind: ArrayType) -> _Shape | None:
    """The graph behind output `number` of a step; None if somebody looks on, a step refuses, or it is too large."""
    found: set[Node] = {root}
    steps: list[Recorded] = [root]
    for node in steps:
        if node._hooks or node._prehooks or node._output_hooks or node._freed or node._refusal:
            return None
        for following, _ in node.next_functions:
            if following is None or following in found:
                continue
            found.add(following)
            if isinstance(following, Recorded):
                steps.append(following)
            elif not isinstance(following, AccumulateGrad):
                return None
        if len(found) > MAX_NODES:
            return None
    # A step comes after those that it reads from.
    steps.sort(key=attrgetter("sequence"), reverse=True)
    numbers: dict[Node, int] = {step: place for place, step in enumerate(steps)}
    leaves: list[AccumulateGrad] = []
    parts: list[Any] = [number, kind.dtype]
    for step in steps:
        parts.append(step.pattern)
        for following, output in step.next_functions:
            if following is None:
                continue
            place = numbers.get(following)
            if place is None:
                assert isinstance(following, AccumulateGrad)
                place = numbers[following] = ~len(leaves)
                leaves.append(following)
                parts.append(_arrival(following))
                if parts[-1] is None:
                    return None
            parts += (place, output)
    return _Shape(steps, leaves, tuple(parts))


def _arrival(leaf: AccumulateGrad) -> bool | None:
    """Whether a leaf has a gradient already; None where more happens than adding to it."""
    tensor: Any = leaf.variable
    if leaf._hooks or leaf._prehooks or leaf._output_hooks or tensor._hooks or tensor._post_hooks:
        return None
    return tensor._grad is not None


class _Composer:
    """Writes the recipe of a way: the steps' adjoints one after the other, gradients that meet added up."""

    def __init__(self, shape: _Shape) -> None:
        self.shape = shape
        self.draft = Draft()
        self.derivative = DerivativeBuilder(self.draft)
        self.saved: dict[tuple[int, int], Value] = {}
        self.reads: list[tuple[int, ...] | None] = []
        self.origins: dict[Operation, int] = {}
        self.arrived: dict[Node, dict[int, Value]] = {}

    def deliver(self, node: Node, number: int, gradient: Value) -> None:
        """A gradient of an output arrives."""
        slots = self.arrived.setdefault(node, {})
        before = slots.get(number)
        slots[number] = gradient if before is None else self.derivative.total([before, gradient])

    def step(self, place: int, step: Recorded) -> None:
        """Go back through one step."""
        slots = self.arrived.pop(step, None)
        if slots is None:
            self.reads.append(None)
            return
        recipe, active, draft = step.pattern.recipe, step.pattern.active, self.draft
        bars: list[Value | None] = []
        for number, kind in enumerate(recipe.output_types):
            bar = slots.get(number)
            bars.append(bar if bar is None or bar.type.dtype == kind.dtype else draft.value(Cast(kind.dtype), bar))
        present = tuple([bar is not None for bar in bars])
        masked = tuple([bar is not None and self.derivative.is_masked(bar) for bar in bars])
        adjoint = recipe.adjoint(active, present, masked)
        self.reads.append(adjoint.reads)
        inputs = [
            self.saved.setdefault((place, slot), Value(kind))
            for slot, kind in zip(adjoint.reads, adjoint.recipe.input_types, strict=False)
        ]
        made = adjoint.recipe.follow(draft, [*inputs, *(bar for bar in bars if bar is not None)])
        for source, found, zeroed in zip(active, adjoint.found, adjoint.masked, strict=True):
            if found is None:
                kind = recipe.input_types[source]
                gradient = draft.value(Full(0.0, kind.dtype, kind.dims))
            else:
                gradient = made[adjoint.recipe.outputs[found]]
                if zeroed:
                    self.derivative.masked(gradient)
            shown = step.pattern.places[source]
            assert shown is not None, "what has a gradient is shown"
            following, number = step.next_functions[shown]
            assert following is not None
            self.deliver(following, number, gradient)
        for operation in draft.operations[len(self.origins) :]:
            self.origins[operation] = place

    def way(self, number: int, kind: ArrayType) -> Way | None:
        """The way back from output `number` of the first step; None if it cannot be one unit."""
        shape = self.shape
        bar = Value(kind)
        self.deliver(shape.steps[0], number, bar)
        for place, step in enumerate(shape.steps):
            self.step(place, step)
        before: list[Value] = []
        given: list[Value | None] = []
        for leaf in shape.leaves:
            gradient = self.arrived.get(leaf, {}).get(0)
            if gradient is not None and _arrival(leaf):
                before.append(Value(gradient.type))
                gradient = self.draft.value(Add(), before[-1], gradient)
            given.append(gradient)
        for operation in self.draft.operations[len(self.origins) :]:
            self.origins[operation] = len(shape.steps) - 1
        outputs = [gradient for gradient in given if gradient is not None]
        operations = behind(outputs, self.draft.operations)
        recipe = Recipe.of(operations, [*self.saved.values(), bar, *before], outputs)
        if recipe.whole is None or recipe.whole.depth > MAX_DEPTH:
            return None
        whole = replace(recipe.whole, origins=tuple([self.origins[operation] for operation in operations]))
        remaining = iter(recipe.outputs)
        arrivals = [
            None if each is None else (next(remaining), Layout.contiguous(each.type.shape), each.type.dtype) for each in given
        ]
        return Way(whole, tuple(self.saved), recipe.constants, tuple(arrivals), tuple(self.reads))


class Ways:
    """Ways back by the shape of the graph; None for shapes whose way cannot be one unit."""

    __slots__ = ("known",)

    def __init__(self) -> None:
        self.known: OrderedDict[Key, Way | None] = OrderedDict()

    def find(self, shape: _Shape, number: int, kind: ArrayType) -> Way | None:
        """The way, known from before or written now. Raises: DerivativeError for an operation without a derivative."""
        found: Way | bool | None = self.known.pop(shape.key, False)
        way = found if not isinstance(found, bool) else _Composer(shape).way(number, kind)
        # The one used last stands last.
        self.known[shape.key] = way
        if len(self.known) > MAX_WAYS:
            self.known.popitem(last=False)
        return way


WAYS = Ways()
"""The process's ways back: they hold no elements but constants."""


def go_back(root: TensorBase, gradient: Value, retain_graph: bool) -> list[TensorBase] | None:
    """Let the leaves accumulate the gradients of a root, all at once; gives the leaves that did.

    None, and nothing is done, where the steps have to be gone through one by one: for hooks, and for errors, which come
    after what happens before them.
    """
    first, number = root.edge()
    if not isinstance(first, Recorded):
        return None
    shape = _shape_of(first, number, gradient.type)
    if shape is None:
        return None
    way = WAYS.find(shape, number, gradient.type)
    if way is None or not _untouched(shape.steps):
        return None
    steps = shape.steps
    tensors: list[Any] = [leaf.variable for leaf in shape.leaves]
    before: list[Any] = []
    for tensor, arrival in zip(tensors, way.outputs, strict=True):
        held = tensor._grad
        if arrival is not None and held is not None:
            if held._layout.shape != arrival[1].shape or held.dtype_ is not arrival[2] or held._storage._value is None:
                # Memory in the open may be that of another gradient as well.
                return None
            before.append(held)
    if len(before) > 1 and len({id(each._storage) for each in before}) < len(before):
        return None
    values = [steps[place].saved[slot] for place, slot in way.saved]
    values.append(gradient)
    values += [each.value for each in before]
    unit = Unit(way.whole, (*values, *way.constants), steps[0].location)
    unit.locations = tuple([step.location for step in steps])
    if not retain_graph:
        for step, reads in zip(steps, way.reads, strict=True):
            if reads is not None:
                step.release(reads)
    reached = [
        (tensor, unit.give(arrival[0]), arrival)
        for tensor, arrival in zip(tensors, way.outputs, strict=True)
        if arrival is not None and tensor._requires_grad
    ]
    if unit.depth > MAX_DEPTH:
        # All together, and not each for itself as it is put in its place.
        ENGINE.run([value for _, value, _ in reached])
    made = type(root)
    for tensor, value, (_, layout, dtype) in reached:
        if tensor._grad is None:
            tensor._grad = made._new(Storage(value), layout, dtype, Version())
        else:
            tensor._grad.overwrite(value)
    return [tensor for tensor, _, _ in reached]


def _untouched(steps: Sequence[Recorded]) -> bool:
    """Whether nothing that steps keep was written to since."""
    for step in steps:
        for version, count, _, _ in step.versions.values():
            if version.count != count:
                return False
    return True
