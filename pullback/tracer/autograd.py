"""The graph that a tensor remembers, and going back through it: nodes in, gradients out.

A node holds the operations of one recorded step. Its derivative is the IR's own: `pull_back` over those operations,
emitted into the operations that wait, so that forward and backward run as one function.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from pullback.errors import AutogradError
from pullback.ir.ad.build import DerivativeBuilder
from pullback.ir.ad.reverse import pull_back
from pullback.ir.clone import copy_operation
from pullback.ir.core import Operation, Value
from pullback.ir.ops.arithmetic import Cast
from pullback.ir.ops.shape import Reshape
from pullback.location import caller
from pullback.tracer.deferred import Waiting
from pullback.tracer.storage import Version

Edge: TypeAlias = "tuple[Node | None, int]"
Hook: TypeAlias = Callable[..., Any]

SECOND_BACKWARD = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already been "
    "freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify "
    "retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors "
    "after calling backward."
)

_TENSOR_NAMES = {"f32": "FloatTensor", "f64": "DoubleTensor", "i64": "LongTensor", "i32": "IntTensor"}
_sequence = itertools.count()


class Gradient(Protocol):
    """What going back needs of a tensor."""

    @property
    def value(self) -> Value: ...

    def edge(self) -> Edge: ...

    @property
    def needs_grad(self) -> bool: ...

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

    __slots__ = ("__weakref__", "_hooks", "_output_hooks", "_prehooks", "metadata", "next_functions", "sequence")

    def __init__(self, next_functions: tuple[Edge, ...]) -> None:
        self.next_functions = next_functions
        self.sequence = next(_sequence)
        self.metadata: dict[Any, Any] = {}
        self._prehooks: list[Hook] = []
        self._hooks: list[Hook] = []
        self._output_hooks: dict[int, list[Hook]] = {}

    def name(self) -> str:
        """The name of this kind of step."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"

    def register_hook(self, fn: Hook) -> RemovableHandle:
        """Call ``fn(grad_inputs, grad_outputs)`` after this node; what it returns replaces grad_inputs."""
        self._hooks.append(fn)
        return RemovableHandle(self._hooks, fn)

    def register_prehook(self, fn: Hook) -> RemovableHandle:
        """Call ``fn(grad_outputs)`` before this node; what it returns replaces them."""
        self._prehooks.append(fn)
        return RemovableHandle(self._prehooks, fn)

    def hooks_of(self, output: int) -> list[Hook]:
        """Hooks on the gradient of one output: those that a tensor registers."""
        return self._output_hooks.setdefault(output, [])

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        """Gradients of the inputs from those of the outputs."""
        raise NotImplementedError


class Recorded(Node):
    """A step made of IR operations: `outputs` computed from `inputs`."""

    __slots__ = ("_freed", "_refusal", "inputs", "operations", "outputs", "versions")

    def __init__(
        self, next_functions: tuple[Edge, ...], operations: Sequence[Operation], inputs: Sequence[Value],
        outputs: Sequence[Value], versions: list[tuple[Value, Version, int, str]],
    ) -> None:  # fmt: skip
        super().__init__(next_functions)
        self.operations = list(operations)
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.versions = versions
        self._freed = False
        self._refusal = ""

    def refuse(self, message: str) -> None:
        """Going back through this step is an error with this message."""
        self._refusal = message

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        if self._refusal:
            raise AutogradError(self._refusal, location=caller())
        if self._freed:
            raise AutogradError(SECOND_BACKWARD, location=caller())
        emitted = run.waiting.operations
        before = len(emitted)
        bars = [None if each is None else run.own(each.value, kind.type) for each, kind in
                zip(gradients, self.outputs, strict=True)]  # fmt: skip
        start = len(emitted)
        active = [place for place, (node, _) in enumerate(self.next_functions) if node is not None]
        found = pull_back(run.builder, self.operations, self.outputs, bars, [self.inputs[place] for place in active])
        reads = self._reads(emitted[start:], found)
        self._check_versions(reads)
        results: list[Gradient | None] = [None] * len(self.inputs)
        if run.create_graph:
            made = self._differentiable(run, start, gradients, bars, found)
        else:
            made = [None if value is None else run.wrap(value) for value in found]
        for place, gradient in zip(active, made, strict=True):
            kind = self.inputs[place].type
            results[place] = run.zeros(kind.shape, kind.dtype) if gradient is None else gradient
        if not run.retain_graph:
            self._release(reads)
        del emitted[before:]
        return results

    def _reads(self, new: Sequence[Operation], found: Sequence[Value | None]) -> set[Value]:
        """Values of the step itself that the gradients are computed from."""
        emitted = set(new)
        reads = {value for value in found if value is not None}
        stack = list(reads)
        while stack:
            owner = stack.pop().owner
            if owner is not None and owner in emitted:
                fresh = [operand for operand in owner.operands if operand not in reads]
                reads.update(fresh)
                stack += fresh
        saved = {*self.inputs, *(result for operation in self.operations for result in operation.results)}
        return (reads & saved) - self._made_of_nothing()

    def _made_of_nothing(self) -> set[Value]:
        """Constants of the step: they are not saved, since they can be made again."""
        constants: set[Value] = set()
        for operation in self.operations:
            if all(operand in constants for operand in operation.operands):
                constants.update(operation.results)
        return constants

    def _check_versions(self, reads: set[Value]) -> None:
        """Raises: AutogradError where a tensor that the gradient reads was written to since."""
        for value, version, count, producer in self.versions:
            if version.count != count and value in reads:
                kind = value.type
                what = f"[torch.{_TENSOR_NAMES[kind.dtype.name]} {list(kind.shape)}]{producer}"
                raise AutogradError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"{what} is at version {version.count}; expected version {count} instead. Hint: enable anomaly "
                    "detection to find the operation that failed to compute its gradient, with "
                    "torch.autograd.set_detect_anomaly(True, check_nan=False).", location=caller(),
                )  # fmt: skip

    def _release(self, reads: set[Value]) -> None:
        """Give back what was saved; a step that saves nothing can be gone through again."""
        if reads:
            self._freed = True
            self.operations, self.inputs, self.outputs = [], [], []
        else:
            self._forget()
        self.versions = []

    def _forget(self) -> None:
        """Keep the operations without the values that they were computed from."""
        replaced: dict[Value, Value] = {}
        for value in self.inputs:
            replaced.setdefault(value, Value(value.type))
        constants = self._made_of_nothing()
        self.operations = [
            operation if operation.results[0] in constants else copy_operation(operation, replaced)
            for operation in self.operations
        ]
        self.inputs = [replaced[value] for value in self.inputs]
        self.outputs = [replaced.get(value, value) for value in self.outputs]

    def _differentiable(
        self, run: Backward, start: int, gradients: Sequence[Gradient | None], bars: Sequence[Value | None],
        found: Sequence[Value | None],
    ) -> list[Gradient | None]:  # fmt: skip
        """The gradients as tensors that remember where they come from: the inputs and the outputs' gradients."""
        edges, inputs = list(self.next_functions), list(self.inputs)
        for gradient, bar in zip(gradients, bars, strict=True):
            if gradient is not None and bar is not None:
                edges.append(gradient.edge())
                inputs.append(bar)
        flowing = self._flowing(run.waiting.operations[start:], inputs, edges)
        outputs: list[Value] = []
        for value in found:
            if value is not None:
                outputs.append(run.apart(value) if value in inputs or value in outputs else value)
        operations = [*self.operations, *run.waiting.operations[start:]]
        node = named("MulBackward0", Recorded)(tuple(edges), operations, inputs, outputs, self.versions)
        numbers = itertools.count()
        made: list[Gradient | None] = []
        for value in found:
            number = next(numbers) if value is not None else 0
            if value is None:
                made.append(None)
            elif value in flowing:
                made.append(run.recorded(outputs[number], node, number))
            else:
                made.append(run.wrap(outputs[number]))
        return made

    def _flowing(self, emitted: Sequence[Operation], inputs: Sequence[Value], edges: Sequence[Edge]) -> set[Value]:
        """Values through which a gradient of the gradients can flow."""
        flowing = {value for value, (node, _) in zip(inputs, edges, strict=True) if node is not None}
        for operation in (*self.operations, *emitted):
            if any(operand in flowing for operand in operation.operands):
                flowing.update(operation.results)
        return flowing


class AccumulateGrad(Node):
    """Where a leaf's gradient arrives: `variable` is the leaf."""

    __slots__ = ("variable",)

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

    def apart(self, value: Value) -> Value:
        """The same elements as a value of its own."""
        return self.waiting.value(Reshape(value.type.dims), value)

    def own(self, value: Value, kind: Any) -> Value:
        """A gradient as a value that is no input as well, in the dtype of what it belongs to."""
        if value.type.dtype != kind.dtype:
            return self.builder.value(Cast(kind.dtype), value)
        copy = self.apart(value)
        return self.builder.masked(copy) if self.builder.is_masked(value) else copy

    def total(self, first: Gradient, second: Gradient) -> Gradient:
        """The sum of two gradients of one output."""
        if self.create_graph:
            return first + second  # type: ignore[operator, no-any-return]
        return self.wrap(self.builder.total([first.value, second.value]))

    def hooked(self, hooks: Sequence[Hook], gradient: Gradient) -> Gradient:
        """The gradient after a tensor's hooks."""
        for hook in list(hooks):
            changed = hook(gradient)
            if changed is not None:
                gradient = changed
        return gradient


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
    return captured


def _visit(
    run: Backward, node: Node, slots: list[Gradient | None], captures: Sequence[tuple[int, int]],
    captured: list[Gradient | None], accumulate: bool, targets: Any, needed: set[Node] | None,
) -> Sequence[Gradient | None]:  # fmt: skip
    """One node: hooks, captures, its derivative."""
    outputs = len(node.outputs) if isinstance(node, Recorded) and node.outputs else len(slots)
    slots.extend([None] * (outputs - len(slots)))
    for hook in list(node._prehooks):
        changed = hook(tuple(slots))
        if changed is not None:
            slots = list(changed) if isinstance(changed, tuple) else [changed]
    for number, hooks in node._output_hooks.items():
        gradient = slots[number] if number < len(slots) else None
        if gradient is not None:
            slots[number] = run.hooked(hooks, gradient)
    for number, place in captures:
        captured[place] = slots[number] if number < len(slots) else None
    if isinstance(node, AccumulateGrad):
        if accumulate and (targets is None or node in targets):
            node.apply(run, slots)
        return ()
    if needed is not None and not any(following in needed for following, _ in node.next_functions):
        return ()
    results = node.apply(run, slots)
    for hook in list(node._hooks):
        changed = hook(tuple(results), tuple(slots))
        if changed is not None:
            results = list(changed) if isinstance(changed, tuple) else [changed]
    return results
