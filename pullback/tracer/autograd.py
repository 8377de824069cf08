"""The graph that a tensor remembers, and going back through it: nodes in, gradients out.

A node holds the recipe of one recorded step. Its derivative is the IR's own, a recipe in turn, whose operations are put
down among those that wait, so that forward and backward run as one function.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from pullback.errors import ArgumentError, AutogradError
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.core import Value
from pullback.ir.ops.arithmetic import Cast
from pullback.ir.ops.contraction import ScatterAdd
from pullback.ir.ops.shape import Assemble
from pullback.ir.ops.window import DynamicAdd
from pullback.ir.types import ArrayType
from pullback.location import Location, caller
from pullback.tracer.deferred import Slots, Waiting, array_of, take_apart
from pullback.tracer.grad_mode import anomalies
from pullback.tracer.recipe import Adjoint, Recipe, joint_recipe
from pullback.tracer.storage import Version
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.unit import Unit

current_walk: ContextVar[tuple[int, Collection[Any]]] = ContextVar("pullback_walk")
"""The way back under way, for hooks: its number, and the nodes that it may come by."""

Edge: TypeAlias = "tuple[Node | None, int]"
Hook: TypeAlias = Callable[..., Any]

SECOND_BACKWARD = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)

_TENSOR_NAMES = {"f32": "FloatTensor", "f64": "DoubleTensor", "i64": "LongTensor", "i32": "IntTensor"}
_BY_OPERANDS = ("DivBackward0",)
"""Steps whose results may be written to: PyTorch's derivative reads the operands alone; here what was read is kept."""
_sequence = itertools.count()
_walks = itertools.count()

Written: TypeAlias = "tuple[Version, int, Node | str | None, int]"
"""A tensor's version counter, its count when the tensor was used, and what made it: a step or its name, which output."""


class Gradient(Protocol):
    """What going back needs of a tensor."""

    @property
    def value(self) -> Value: ...

    def edge(self) -> Edge: ...

    @property
    def needs_grad(self) -> bool: ...

    _hooks: list[Hook] | None

    def accumulate(self, gradient: Any, run: Backward) -> None: ...

    @classmethod
    def of_value(cls, value: Value, node: Node | None = None, number: int = 0) -> Gradient: ...

    @classmethod
    def of_array(cls, array: np.ndarray[Any, Any]) -> Gradient: ...


class RemovableHandle:
    """What registering a hook gives: `remove` takes the hook away again."""

    def __init__(self, hooks: list[Hook], hook: Hook) -> None:
        self._hooks = hooks
        self._hook = hook

    def remove(self) -> None:
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


class Node:
    """A step of the graph; its class is named as PyTorch names it (``AddBackward0``).

    `next_functions` pairs the node behind each input with the number of the output there that the input was.
    """

    __slots__ = ("__weakref__", "_hooks", "_metadata", "_output_hooks", "_prehooks", "next_functions", "sequence")

    # Few steps have hooks: their lists are made when they are asked for.
    _metadata: dict[Any, Any] | None
    _prehooks: list[Hook] | None
    _hooks: list[Hook] | None
    _output_hooks: dict[int, list[Hook]] | None

    def __init__(self, next_functions: tuple[Edge, ...]) -> None:
        self.next_functions = next_functions
        self.sequence = next(_sequence)
        self._metadata = self._prehooks = self._hooks = self._output_hooks = None

    @property
    def metadata(self) -> dict[Any, Any]:
        """A place for the user's own notes."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def name(self) -> str:
        """The name of this kind of step."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {hex(id(self))}>"

    def register_hook(self, fn: Hook) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after this node; what it returns replaces grad_inputs."""
        if self._hooks is None:
            self._hooks = []
        self._hooks.append(fn)
        return RemovableHandle(self._hooks, fn)

    def register_prehook(self, fn: Hook) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before this node; what it returns replaces them."""
        if self._prehooks is None:
            self._prehooks = []
        self._prehooks.append(fn)
        return RemovableHandle(self._prehooks, fn)

    def hooks_of(self, output: int) -> list[Hook]:
        """Hooks on the gradient of one output: those that a tensor registers."""
        if self._output_hooks is None:
            self._output_hooks = {}
        return self._output_hooks.setdefault(output, [])

    @property
    def output_count(self) -> int:
        """How many outputs this step has; 0 where nobody counts them."""
        return 0

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        """Gradients of the inputs from those of the outputs."""
        raise NotImplementedError


@dataclass(eq=False, slots=True)
class Pattern:
    """What steps of one recipe have in common; there is one object for each way.

    `places` say where each input is shown among the `count` of `next_functions`, `active` which of them have a gradient,
    `reads` the slots that going back may read.
    """

    recipe: Recipe
    places: tuple[int | None, ...]
    count: int
    active: tuple[int, ...]
    reads: tuple[int, ...]
    in_order: bool
    """Whether every input is shown, in order."""

    @staticmethod
    def of(recipe: Recipe, places: tuple[int | None, ...], count: int, active: tuple[int, ...]) -> Pattern:
        """The pattern. Raises: DerivativeError for an operation without a derivative."""
        key = places, count, active
        found: Pattern | None = recipe.patterns.get(key)
        if found is None:
            reads = tuple(sorted(recipe.saved_for(active)))
            found = recipe.patterns[key] = Pattern(recipe, places, count, active, reads, places == tuple(range(count)))
        return found


class Recorded(Node):
    """A step that follows a recipe: it keeps those values of the recipe's slots that its adjoint reads."""

    __slots__ = ("_freed", "_refusal", "location", "pattern", "saved", "versions")

    def __init__(
        self, edges: Sequence[Edge], recipe: Recipe, slots: Slots, versions: dict[int, Written], location: Location,
        places: Sequence[int | None] | None = None, count: int | None = None,
    ) -> None:  # fmt: skip
        """`edges` belong to the recipe's inputs; `places` say where each is shown among the `count` of `next_functions`."""
        pattern = Pattern.of(
            recipe, tuple(range(len(edges))) if places is None else tuple(places), len(edges) if count is None else count,
            tuple([place for place, (node, _) in enumerate(edges) if node is not None]),
        )  # fmt: skip
        self.begin(pattern, edges, {place: slots[place] for place in pattern.reads},
                   {place: versions[place] for place in pattern.reads if place in versions}, location)  # fmt: skip

    def begin(
        self, pattern: Pattern, edges: Sequence[Edge], saved: dict[int, Value], versions: dict[int, Written],
        location: Location,
    ) -> None:  # fmt: skip
        """Be a step of a known pattern, with values and versions of all that the pattern reads."""
        if pattern.in_order:
            shown = edges
        else:
            shown = [(None, 0)] * pattern.count
            for edge, place in zip(edges, pattern.places, strict=True):
                if place is not None:
                    shown[place] = edge
        # As in Node.__init__.
        self.next_functions = tuple(shown)
        self.sequence = next(_sequence)
        self._metadata = self._prehooks = self._hooks = self._output_hooks = None
        self.pattern = pattern
        self.location = location
        self._refusal = ""
        self._freed = False
        self.saved = saved
        for value in saved.values():
            value.contents.holders += 1
        self.versions = versions

    @property
    def recipe(self) -> Recipe:
        """What the step did."""
        return self.pattern.recipe

    @property
    def output_count(self) -> int:
        return len(self.recipe.outputs)

    def refuse(self, message: str) -> None:
        """Going back through this step is an error with this message."""
        self._refusal = message

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        recipe, active = self.pattern.recipe, self.pattern.active
        self.check_usable()
        bars = [None if each is None else run.fitting(each.value, kind) for each, kind in
                zip(gradients, recipe.output_types, strict=True)]  # fmt: skip
        present = tuple([bar is not None for bar in bars])
        masked = tuple([bar is not None and run.builder.is_masked(bar) for bar in bars])
        adjoint = recipe.adjoint(active, present, masked)
        self.check_versions(adjoint.reads)
        there = [bar for bar in bars if bar is not None]
        if run.create_graph:
            made = self._differentiable(run, adjoint, [each for each in gradients if each is not None], there)
        else:
            run.waiting.location = self.location
            slots = run.waiting.put(adjoint.recipe, [*(self.saved[place] for place in adjoint.reads), *there])
            made = [run.wrap(slots[place]) for place in adjoint.recipe.outputs]
        results: list[Gradient | None] = [None] * len(self.next_functions)
        for input_place, number, zeroed in zip(active, adjoint.found, adjoint.masked, strict=True):
            place = self.pattern.places[input_place]
            assert place is not None, "what has a gradient is shown"
            if number is None:
                kind = recipe.input_types[input_place]
                results[place] = run.zeros(kind.shape, kind.dtype)
                continue
            results[place] = made[number]
            if zeroed:
                run.builder.masked(made[number].value)
        if not run.retain_graph:
            self.release(adjoint.reads)
        return results

    def check_usable(self) -> None:
        """Raises: AutogradError where there is no way back through this step, or no more."""
        if self._refusal:
            raise AutogradError(self._refusal, location=caller())
        if self._freed:
            raise AutogradError(SECOND_BACKWARD, location=caller())

    def check_versions(self, reads: Sequence[int]) -> None:
        """Raises: AutogradError where a tensor that the gradient reads was written to since."""
        for place, (version, count, source, number) in self.versions.items():
            given = place < len(self.recipe.input_types)
            if version.count != count and place in reads and (given or self.name() not in _BY_OPERANDS):
                kind = self.saved[place].type
                if version.writer and given:
                    maker, number = version.writer, 0
                else:
                    step = isinstance(source, Node) and not isinstance(source, AccumulateGrad)
                    maker = source if isinstance(source, str) else source.name() if step else ""  # type: ignore[union-attr]
                words = f", which is output {number} of {maker}," if maker else ""
                what = f"[torch.{_TENSOR_NAMES[kind.dtype.name]} {list(kind.shape)}]{words}"
                raise AutogradError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"{what} is at version {version.count}; expected version {count} instead. Hint: enable anomaly "
                    "detection to find the operation that failed to compute its gradient, with "
                    "torch.autograd.set_detect_anomaly(True, check_nan=False).", location=caller(),
                )  # fmt: skip

    def release(self, reads: Sequence[int]) -> None:
        """Give back what was saved; a step that reads nothing can be gone through again."""
        self._freed = bool(reads)
        self._forget()

    def _forget(self) -> None:
        for value in self.saved.values():
            value.contents.holders -= 1
        self.saved, self.versions = {}, {}

    def __del__(self) -> None:
        if self.saved:
            self._forget()

    def _differentiable(
        self, run: Backward, adjoint: Adjoint, gradients: Sequence[Gradient], bars: Sequence[Value]
    ) -> list[Gradient]:
        """The gradients as tensors that remember where they come from: what is read, and the outputs' gradients."""
        recipe, count = self.recipe, len(self.recipe.input_types)
        within = any(place >= count and place not in recipe.outputs for place in adjoint.reads)
        if within:
            places: Sequence[int] = range(count)
            whole = joint_recipe(recipe, adjoint)
        else:
            places, whole = adjoint.reads, adjoint.recipe
        edges: list[Edge] = []
        for place in places:
            shown = self.pattern.places[place] if place < count else None
            if place >= count:
                edges.append((self, recipe.outputs.index(place)))
            else:
                edges.append((None, 0) if shown is None else self.next_functions[shown])
        edges += [gradient.edge() for gradient in gradients]
        run.waiting.location = self.location
        inputs = [*(self.saved[place] for place in places), *bars]
        slots = run.waiting.put(whole, inputs)
        versions = {number: self.versions[place] for number, place in enumerate(places) if place in self.versions}
        node = named("MulBackward0", Recorded)(edges, whole, slots, versions, self.location)
        flowing = whole.flowing([number for number, (edge, _) in enumerate(edges) if edge is not None])
        return [
            run.recorded(slots[place], node, number) if place in flowing else run.wrap(slots[place])
            for number, place in enumerate(whole.outputs)
        ]


class AccumulateGrad(Node):
    """Where a leaf's gradient arrives: `variable` is the leaf."""

    __slots__ = ("variable",)

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __init__(self, variable: Gradient) -> None:
        super().__init__(())
        self.variable = variable
        self.sequence = 1 << 62  # as early as possible

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        (gradient,) = gradients
        if gradient is not None:
            self.variable.accumulate(gradient, run)
        return []


@cache
def named(name: str, base: type[Any]) -> type[Any]:
    """The class of steps called `name`: PyTorch shows steps by their class's name."""
    return type(name, (base,), {"__slots__": (), "__module__": "pullback"})


class Backward:
    """One walk back through the graph."""

    def __init__(self, root: Gradient, retain_graph: bool, create_graph: bool) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.waiting = Waiting()
        self.builder = DerivativeBuilder(self.waiting)
        self._kind = type(root)
        self.accumulated: list[Gradient] = []

    def wrap(self, value: Value) -> Gradient:
        """A gradient as a tensor."""
        return self._kind.of_value(value)

    def zeros(self, sizes: tuple[int, ...], kind: Any) -> Gradient:
        """A gradient of zeros."""
        return self._kind.of_array(np.zeros(sizes, kind.numpy))

    def recorded(self, value: Value, node: Node, number: int) -> Gradient:
        """A gradient as a tensor that `node` made."""
        return self._kind.of_value(value, node, number)

    def fitting(self, value: Value, kind: ArrayType) -> Value:
        """A gradient in the dtype of what it belongs to."""
        if value.type.dtype == kind.dtype:
            return value
        return self.waiting.value(Cast(kind.dtype), value)

    def total(self, first: Gradient, second: Gradient) -> Gradient:
        """The sum of two gradients of one output."""
        if self.create_graph:
            return first + second  # type: ignore[operator, no-any-return]
        parts = [first.value, second.value]
        for part in parts:
            owner = part.owner
            if isinstance(owner, Unit) and isinstance(owner.op_of(part.index), Assemble | ScatterAdd | DynamicAdd):
                # Windows of an array are put together, which takes a look at how they were made.
                take_apart(owner)
        total = self.wrap(self.builder.total(parts))
        self.waiting.let_go()
        return total

    def hooked(self, hooks: Sequence[Hook], gradient: Gradient) -> Gradient:
        """The gradient after a tensor's hooks."""
        for hook in list(hooks):
            gradient = after_hook(hook, gradient)
        return gradient


def after_hook(hook: Hook, gradient: Any) -> Any:
    """A gradient after a tensor's hook. Raises: ArgumentError, AutogradError where that gives what cannot stand for it."""
    changed = hook(gradient)
    if changed is None:
        return gradient
    if not isinstance(changed, IsTensor):
        raise ArgumentError(f"expected Variable, but hook returned '{type(changed).__name__}'", location=caller())
    if changed.value.type.shape != gradient.value.type.shape:  # type: ignore[attr-defined]
        raise AutogradError(f"hook '{getattr(hook, '__name__', type(hook).__name__)}' has changed the size of value",
                            location=caller())  # fmt: skip
    return changed


def _reachable(roots: Sequence[Node]) -> dict[Node, int]:
    """Every node behind the roots, with the number of edges that lead to it."""
    counts: dict[Node, int] = dict.fromkeys(roots, 0)
    stack = list(counts)
    while stack:
        node = stack.pop()
        for following, _ in node.next_functions:
            if following is None:
                continue
            if following not in counts:
                counts[following] = 0
                stack.append(following)
            counts[following] += 1
    return counts


def _leading_to(counts: dict[Node, int], wanted: set[Node]) -> set[Node]:
    """Nodes from which a wanted one can be reached."""
    behind: dict[Node, list[Node]] = {}
    for node in counts:
        for following, _ in node.next_functions:
            if following is not None:
                behind.setdefault(following, []).append(node)
    found = {node for node in wanted if node in counts}
    stack = list(found)
    while stack:
        for node in behind.get(stack.pop(), ()):
            if node not in found:
                found.add(node)
                stack.append(node)
    return found


def walk_back(
    run: Backward, roots: Sequence[Gradient], gradients: Sequence[Gradient], wanted: Sequence[Gradient] | None,
    accumulate: bool,
) -> list[Gradient | None]:  # fmt: skip
    """Carry gradients from the roots back; gives those that arrive at `wanted`, or lets all leaves accumulate theirs."""
    buffers: dict[Node, list[Gradient | None]] = {}

    def deliver(edge: Edge, gradient: Gradient) -> None:
        node, number = edge
        assert node is not None
        slots = buffers.setdefault(node, [])
        slots.extend([None] * (number + 1 - len(slots)))
        before = slots[number]
        slots[number] = gradient if before is None else run.total(before, gradient)

    for root, gradient in zip(roots, gradients, strict=True):
        deliver(root.edge(), gradient)
    counts = _reachable(list(buffers))
    captures: dict[Node, list[tuple[int, int]]] = {}
    for place, tensor in enumerate(wanted or ()):
        node, number = tensor.edge()
        assert node is not None
        captures.setdefault(node, []).append((number, place))
    needed = None if wanted is None else _leading_to(counts, set(captures))
    captured: list[Gradient | None] = [None] * len(wanted or ())
    ready = [(-node.sequence, id(node), node) for node, count in counts.items() if count == 0]
    heapq.heapify(ready)
    outer = current_walk.set((next(_walks), counts if needed is None else needed))
    try:
        while ready:
            _, _, node = heapq.heappop(ready)
            slots = buffers.pop(node, None)
            results: Sequence[Gradient | None] = ()
            if slots is not None and (needed is None or node in needed):
                results = _visit(run, node, slots, captures.get(node, ()), captured, wanted is None or accumulate,
                                 captures.keys() if wanted is not None else None, needed)  # fmt: skip
            for place, edge in enumerate(node.next_functions):
                following = edge[0]
                if following is None:
                    continue
                result = results[place] if place < len(results) else None
                if result is not None:
                    deliver(edge, result)
                counts[following] -= 1
                if counts[following] == 0:
                    heapq.heappush(ready, (-following.sequence, id(following), following))
    finally:
        current_walk.reset(outer)
    return captured


def _visit(
    run: Backward, node: Node, slots: list[Gradient | None], captures: Sequence[tuple[int, int]],
    captured: list[Gradient | None], accumulate: bool, targets: Any, needed: set[Node] | None,
) -> Sequence[Gradient | None]:  # fmt: skip
    """One node: hooks, captures, its derivative."""
    slots.extend([None] * (node.output_count - len(slots)))
    for hook in list(node._prehooks or ()):
        changed = hook(tuple(slots))
        if changed is not None:
            slots = list(changed) if isinstance(changed, tuple) else [changed]
    for number, hooks in (node._output_hooks or {}).items():
        gradient = slots[number] if number < len(slots) else None
        if gradient is not None:
            slots[number] = run.hooked(hooks, gradient)
    if isinstance(node, AccumulateGrad) and slots[0] is not None:
        slots[0] = run.hooked(node.variable._hooks or (), slots[0])
    for number, place in captures:
        captured[place] = slots[number] if number < len(slots) else None
    if isinstance(node, AccumulateGrad):
        if accumulate and (targets is None or node in targets):
            node.apply(run, slots)
            for hook in list(node._hooks or ()):
                hook((), tuple(slots))
        return ()
    if needed is not None and not any(following in needed for following, _ in node.next_functions):
        return ()
    results = node.apply(run, slots)
    if anomalies.get() == "nan":
        _check_numbers(node, results)
    for hook in list(node._hooks or ()):
        changed = hook(tuple(results), tuple(slots))
        if changed is not None:
            results = list(changed) if isinstance(changed, tuple) else [changed]
    return results


def _check_numbers(node: Node, results: Sequence[Gradient | None]) -> None:
    """Raises: AutogradError for a gradient with a NaN in it, where anomalies are looked for."""
    for place, result in enumerate(results):
        if result is not None and np.isnan(array_of(result.value)).any():
            raise AutogradError(f"Function '{node.name()}' returned nan values in its {place}th output.", location=caller())
