"""What every tensor is: a view of a storage, a place in the graph, and how operations on tensors are recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, ClassVar, TypeAlias, TypeVar
from weakref import ReferenceType, ref

import numpy as np

from pullback.dtypes import DType
from pullback.errors import AutogradError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.arithmetic import Add, Cast
from pullback.ir.types import ArrayType, Shape
from pullback.location import caller
from pullback.tracer.autograd import AccumulateGrad, Backward, Edge, Hook, Node, Pattern, Recorded, Written, named
from pullback.tracer.contents import known
from pullback.tracer.deferred import Waiting, array_of, settle
from pullback.tracer.grad_mode import is_grad_enabled
from pullback.tracer.recipe import Recipe, Rule, recipe_for, write_recipe
from pullback.tracer.storage import Chain, Layout, Storage, Version, ViewOp, view_array, view_value, written
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.tensor_plan import PLANS, Plan, rule_identity

Array: TypeAlias = "np.ndarray[Any, Any]"
T = TypeVar("T", bound="TensorBase")

_NO_CHAIN = Chain()


class TensorBase(IsTensor):
    """Elements, `requires_grad`, and the step (`grad_fn`, output `output_nr`) that made them.

    A view has a `base` and the chain of view ops that leads from the base's storage to it.
    """

    __slots__ = (
        "__weakref__",
        "_accumulator",
        "_base",
        "_chain",
        "_counter",
        "_grad",
        "_grad_fn",
        "_hooks",
        "_layout",
        "_output_nr",
        "_post_hooks",
        "_read",
        "_read_at",
        "_requires_grad",
        "_retains",
        "_storage",
        "_view_name",
        "_view_of",
        "dtype_",
    )  # fmt: skip
    __array_priority__: ClassVar[float] = 1000.0

    _storage: Storage
    _chain: Chain
    _layout: Layout
    dtype_: DType
    _base: TensorBase | None
    _counter: Version
    _requires_grad: bool
    _grad: TensorBase | None
    _grad_fn: Node | None
    _output_nr: int
    _accumulator: ReferenceType[AccumulateGrad] | None
    _hooks: list[Hook] | None
    _post_hooks: list[Hook] | None
    _retains: bool
    _read: Value | None
    _read_at: int
    _view_of: tuple[Node | None, int, int] | None
    _view_name: str

    @classmethod
    def _new(cls: type[T], storage: Storage, layout: Layout, dtype: DType, version: Version) -> T:
        self = object.__new__(cls)
        self._storage = storage
        self._layout = layout
        self.dtype_ = dtype
        self._counter = version
        self._chain = _NO_CHAIN
        self._base = None
        self._requires_grad = False
        self._grad = None
        self._grad_fn = None
        self._output_nr = 0
        self._accumulator = None
        self._hooks = None
        self._post_hooks = None
        self._retains = False
        self._read = None
        self._read_at = -1
        self._view_of = None
        self._view_name = ""
        return self

    @classmethod
    def of_value(cls: type[T], value: Value, node: Node | None = None, number: int = 0) -> T:
        """A tensor of its own memory; `node` made it."""
        settle(value)
        kind = value.type
        made = cls._new(Storage(value), Layout.contiguous(kind.shape), kind.dtype, Version())
        if node is not None:
            made._grad_fn, made._output_nr, made._requires_grad = node, number, True
        return made

    @classmethod
    def of_array(cls: type[T], array: Array) -> T:
        """A tensor of its own memory with known elements; `array` must not be written to any more."""
        return cls.of_value(known(array))

    # Elements

    @property
    def value(self) -> Value:
        """The elements as they are now."""
        storage = self._storage
        value = storage._value
        if value is not None and not self._chain:
            return value
        if storage.array is not None and value is None:
            # Who has the memory may have given the array another shape.
            return known(view_array(storage.array, self._chain).copy(order="C").reshape(self._layout.shape))
        if self._read is None or self._read_at != storage.writes:
            base = storage.read()
            recipe = view_recipe(self._chain, base)
            self._read = Waiting().put(recipe, [base])[recipe.outputs[0]]
            self._read_at = storage.writes
        return self._read

    def array(self) -> Array:
        """The elements, computed now. Not to be written to."""
        return array_of(self.value)

    def exposed(self) -> Array:
        """The tensor's own memory as an array that shares it."""
        return view_array(self._storage.expose(), self._chain)

    @property
    def sizes(self) -> Shape:
        return self._layout.shape

    # The graph

    @property
    def node(self) -> Node | None:
        """The step that made this tensor, the view taken again if its base was written to."""
        base = self._base
        if base is not None and self._view_name and base.needs_grad and (self._view_of or base.node is not None):
            current = (base.node, base._output_nr, base._counter.count)
            if current != self._view_of:
                self._grad_fn = recorded_node("AsStridedBackward0", base, self._chain)
                self._view_of, self._output_nr, self._requires_grad = current, 0, True
        return self._grad_fn

    @property
    def needs_grad(self) -> bool:
        """Whether gradients flow to this tensor."""
        return self._requires_grad or (self._base is not None and self.node is not None)

    def edge(self) -> Edge:
        """Where a gradient of this tensor goes."""
        node = self._grad_fn if self._base is None else self.node
        if node is not None:
            return node, self._output_nr
        if not self._requires_grad:
            return None, 0
        accumulator = self._accumulator() if self._accumulator is not None else None
        if accumulator is None:
            accumulator = _LEAF_STEP(self)
            self._accumulator = ref(accumulator)
        return accumulator, 0

    def item(self) -> bool | int | float:
        """The only element. Raises: AutogradError where there are more."""
        array = self.array()
        if array.size != 1:
            raise AutogradError(f"a Tensor with {array.size} elements cannot be converted to Scalar", location=caller())
        return array.reshape(()).item()  # type: ignore[no-any-return]

    def accumulate(self, gradient: TensorBase, run: Backward) -> None:
        """Add a gradient to this leaf's (to nothing, if it left the graph since)."""
        if not self._requires_grad:
            return
        if self._grad is None:
            self._grad = gradient if run.create_graph else gradient.of_value(gradient.value)
        elif run.create_graph:
            self._grad = self._grad + gradient  # type: ignore[operator]
        else:
            self._grad.overwrite(Waiting().value(Add(), self._grad.value, gradient.value))
        run.accumulated.append(self)
        for hook in list(self._post_hooks or ()):
            hook(self)

    # Writing

    def overwrite(self, value: Value) -> None:
        """Put other elements in place; the graph is not touched."""
        settle(value)
        self._counter.count += 1
        storage = self._storage
        if storage.array is not None and storage._value is None:
            np.copyto(view_array(storage.array, self._chain), array_of(value))
            storage.writes += 1
        elif self._chain:
            storage.write(written(Waiting(), storage.read(), self._chain, value))
        else:
            storage.write(value)


class _Accumulating(AccumulateGrad):
    """AccumulateGrad under its own name alone."""

    __slots__ = ()


_LEAF_STEP = named("AccumulateGrad", _Accumulating)


def recorded_node(name: str, base: TensorBase, chain: Chain) -> Node:
    """The step that takes a chain of views of a base."""
    value = base.value
    recipe = view_recipe(chain, value)
    step: Recorded = named(name, Recorded)([base.edge()], recipe, Waiting().put(recipe, [value]), {}, caller())
    return step


def view_recipe(chain: Chain, value: Value) -> Recipe:
    """The recipe of a chain of views."""
    return _chain_recipe(chain, value.type.dtype, value.type.shape)


@lru_cache(maxsize=1 << 10)
def _chain_recipe(chain: Chain, dtype: DType, shape: Shape) -> Recipe:
    return write_recipe(lambda b, x: view_value(b, x, chain), [ArrayType(dtype, shape)])


@dataclass(frozen=True, slots=True)
class Unseen:
    """A value that a step reads and that is no input of its: a mask, an index, a number that PyTorch does not count."""

    value: Value


Operand: TypeAlias = "TensorBase | Value | Unseen | None"
"""A tensor; a value that shows as an input without a gradient; one that does not show; nothing, which shows."""


def record(name: str, rule: Rule, *operands: Operand, template: TensorBase | None = None) -> Any:
    """Apply a rule to operands (those that are not None) and remember the step if one of them requires grad."""
    identity = rule_identity(rule)
    parts: list[Any] = [name, identity]
    inputs: list[TensorBase | Value | Unseen] = []
    values: list[Value] = []
    flows = False
    first: TensorBase | None = None
    for each in operands:
        if isinstance(each, TensorBase):
            parts += (each._layout.shape, each.dtype_)
            values.append(each.value)
            flows = flows or each.needs_grad
            inputs.append(each)
            if first is None:
                first = each
        elif each is None:
            parts.append(None)
        else:
            if isinstance(each, Unseen):
                parts.append(Unseen)
                value = each.value
            else:
                value = each
            parts += (value.type.dtype, value.type.dims)
            inputs.append(each)
            values.append(value)
    key = tuple(parts)
    found = None if identity is None else PLANS.known.get(key)
    if found is None:
        recipe = recipe_for(rule, values)
        if identity is None or not Plan.fits(recipe):
            (result,) = record_many(name, rule, *operands, template=template)
            return result
        found = Plan(name, recipe, *shown_places(operands), None), rule
        PLANS.keep(key, *found)
    return found[0].follow(inputs, values, type(template if first is None else first), flows)


def shown_places(operands: Sequence[Any]) -> tuple[tuple[int | None, ...], int]:
    """Per recipe input where it is shown among a step's inputs, and how many those are."""
    places: list[int | None] = []
    shown = 0
    for each in operands:
        if isinstance(each, Unseen):
            places.append(None)
            continue
        if each is not None:
            places.append(shown)
        shown += 1
    return tuple(places), shown


def record_many(name: str, rule: Rule, *operands: Operand, template: TensorBase | None = None) -> list[Any]:
    """As `record`, for rules with several results; those that are no floats require no grad."""
    tensors = [each for each in operands if isinstance(each, TensorBase)]
    kind: Any = type(tensors[0] if tensors else template)
    b = Waiting()
    values = values_of(operands)
    recipe = recipe_for(rule, values)
    slots = b.put(recipe, values)
    made = [kind.of_value(slots[place]) for place in recipe.outputs]
    if not (is_grad_enabled() and any(each.needs_grad for each in tensors) and any(each.dtype_.is_float for each in made)):
        return made
    edges, places, versions = connected(operands)
    for number, (output, tensor) in enumerate(zip(recipe.outputs, made, strict=True)):
        versions[output] = (tensor._counter, 0, name.removesuffix(_BACKWARD), number)
    count = sum(not isinstance(each, Unseen) for each in operands)
    node = named(name, Recorded)(edges, recipe, slots, versions, b.location, places, count)
    for number, tensor in enumerate(made):
        if tensor.dtype_.is_float:
            tensor._grad_fn, tensor._output_nr, tensor._requires_grad = node, number, True
    return made


def values_of(operands: Sequence[Operand]) -> list[Value]:
    """The values of operands, those of a recipe's inputs."""
    return [each if isinstance(each, Value) else each.value for each in operands if each is not None]


def connected(operands: Sequence[Operand]) -> tuple[list[Edge], list[int | None], dict[int, Written]]:
    """Per recipe input where its gradient goes and where that is shown, and the versions of those that are tensors."""
    edges: list[Edge] = []
    places: list[int | None] = []
    versions: dict[int, Written] = {}
    shown = 0
    for each in operands:
        if isinstance(each, Unseen):
            edges.append((None, 0))
            places.append(None)
            continue
        if each is not None:
            edge = each.edge() if isinstance(each, TensorBase) else (None, 0)
            if isinstance(each, TensorBase):
                versions[len(edges)] = written_by(each, edge)
            edges.append(edge)
            places.append(shown)
        shown += 1
    return edges, places, versions


def written_by(tensor: TensorBase, edge: Edge) -> Written:
    """The version of an operand as it is used now."""
    return tensor._counter, tensor._counter.count, *edge


_BACKWARD = "Backward0"


def take_view(tensor: T, name: str, *ops: ViewOp, strides: tuple[int, ...] | None = None) -> T:
    """A tensor that shows a part of another one's memory; the ops lead from it to the view.

    `strides` are told where axes of size 1 make them a matter of taste.
    """
    return show(tensor, name, *_viewed(tensor._layout, ops, strides))


@lru_cache(maxsize=1 << 12)
def _viewed(whole: Layout, ops: tuple[ViewOp, ...], strides: tuple[int, ...] | None) -> tuple[Chain, Layout]:
    layout: Layout | None = whole
    for op in ops:
        assert layout is not None
        layout = layout.through(op)
    assert layout is not None, "the caller checks that a reshape needs no copy"
    return Chain(ops), layout if strides is None else Layout(layout.shape, strides, layout.offset)


def show(tensor: T, name: str, ops: Chain, layout: Layout) -> T:
    """A view as `take_view` gives it, of a layout that is known."""
    view = tensor._new(tensor._storage, layout, tensor.dtype_, tensor._counter)
    base = tensor if tensor._base is None else tensor._base
    view._chain = Chain((*tensor._chain, *ops)) if tensor._chain else ops
    if not is_grad_enabled():
        # What happens to such a view is nobody's gradient: writing to it leaves the base's graph alone.
        return view
    view._base = base
    view._view_name = name
    if tensor.needs_grad:
        operand = tensor.value
        recipe, pattern, step = _view_step(name, ops, operand.type.dtype, operand.type.shape)
        b = Waiting()
        slots = b.put(recipe, [operand])
        view._grad_fn = node = step.__new__(step)
        node.begin(pattern, (tensor.edge(),), {place: slots[place] for place in pattern.reads}, {}, b.location)
        view._requires_grad = True
        view._view_of = (base.node, base._output_nr, base._counter.count)
        view._read, view._read_at = slots[recipe.outputs[0]], tensor._storage.writes
    return view


@lru_cache(maxsize=1 << 12)
def _view_step(name: str, chain: Chain, dtype: DType, shape: Shape) -> tuple[Recipe, Pattern, type[Recorded]]:
    """What a step by a chain of views does, by the name of its class."""
    recipe = _chain_recipe(chain, dtype, shape)
    return recipe, Pattern.of(recipe, (0,), 1, (0,)), named(name, Recorded)


def check_writable(target: TensorBase) -> None:
    """Raises: AutogradError for a leaf that requires grad, a view of one, or a view that shows elements more than once."""
    if is_grad_enabled():
        base = target._base
        if target.needs_grad and target.node is None:
            raise AutogradError(
                "a leaf Variable that requires grad is being used in an in-place operation.", location=caller(),
                help="write under no_grad(), or to a clone()",
            )  # fmt: skip
        if base is not None and base.needs_grad and base.node is None:
            raise AutogradError(
                "a view of a leaf Variable that requires grad is being used in an in-place operation.", location=caller(),
                help="write under no_grad(), or to a clone()",
            )  # fmt: skip
    layout = target._layout
    if any(stride == 0 and size > 1 for stride, size in zip(layout.strides, layout.shape, strict=True)):
        raise AutogradError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory location. "
            "Please clone() the tensor before performing the operation.", location=caller(),
        )  # fmt: skip


def check_unshared(target: TensorBase, operands: Sequence[Any]) -> None:
    """As `check_writable`, and as to operands that share the memory, for what is not remembered: where both may matter.

    Raises: AutogradError, see there.
    """
    if target._chain or target._base is not None:
        check_writable(target)
    storage = target._storage
    for each in operands:
        if isinstance(each, TensorBase) and each._storage is storage:
            _check_overlap(target, each)


def _check_overlap(target: TensorBase, other: TensorBase) -> None:
    """Raises: AutogradError where an operand shares a part of the memory that is written to, but not all of it."""
    if other._storage is not target._storage:
        return
    mine, theirs = target._layout, other._layout
    if (mine.shape, mine.strides, mine.offset) == (theirs.shape, theirs.strides, theirs.offset):
        return
    if not (mine.is_dense and theirs.is_dense):
        return
    low, high = mine.offset, mine.offset + prod(mine.shape)
    first, last = theirs.offset, theirs.offset + prod(theirs.shape)
    if first < high and low < last and (first, last) != (low, high):
        raise AutogradError(
            "unsupported operation: some elements of the input tensor and the written-to tensor refer to a single memory "
            "location. Please clone() the tensor before performing the operation.", location=caller(),
        )  # fmt: skip


def write_recorded(target: T, name: str, rule: Rule, *operands: Operand) -> T:
    """Replace the target's elements by a rule of it (its first operand) and others, and remember the step.

    Raises: AutogradError for a leaf that requires grad, or a view that shows elements more than once.
    """
    tensors = [each for each in operands if isinstance(each, TensorBase)]
    check_writable(target)
    for each in tensors:
        _check_overlap(target, each)
    b = Waiting()
    values = values_of((target, *operands))
    recipe = recipe_for(rule, values)
    kind = recipe.output_types[0]
    if kind.shape != target.sizes:
        raise AutogradError(
            f"output with shape {list(target.sizes)} doesn't match the broadcast shape {list(kind.shape)}", location=caller()
        )
    if not (is_grad_enabled() and (target.needs_grad or any(each.needs_grad for each in tensors))):
        result = b.put(recipe, values)[recipe.outputs[0]]
        target.overwrite(result if kind.dtype == target.dtype_ else b.value(Cast(target.dtype_), result))
        return target
    edges, places, versions = connected((target, *operands))
    count = sum(not isinstance(each, Unseen) for each in (target, *operands))
    # The target's old elements are kept for this step alone: writing to it does not spoil them.
    versions.pop(0)
    if target._base is not None:
        _write_view(target, recipe, values[1:], edges[1:], versions, places, count)
        return target
    slots = b.put(recipe, values)
    node = named(name, Recorded)(edges, recipe, slots, versions, b.location, places, count)
    target.overwrite(slots[recipe.outputs[0]])
    target._grad_fn, target._output_nr, target._requires_grad = node, 0, True
    target._counter.writer = name.removesuffix(_BACKWARD)
    if recipe.outputs[0] in node.saved:
        node.versions[recipe.outputs[0]] = (target._counter, target._counter.count, name.removesuffix(_BACKWARD), 0)
    return target


def _write_view(
    view: TensorBase, recipe: Recipe, others: Sequence[Value], edges: Sequence[Edge], versions: dict[int, Written],
    places: Sequence[int | None], count: int,
) -> None:  # fmt: skip
    """The base takes the step (its new elements depend on its old ones and the operands); the view is taken again."""
    base, chain = view._base, view._chain
    assert base is not None

    def rule(b: Builder, whole: Value, *values: Value) -> Value:
        # The view's old elements are read from the base, so that they carry its gradient.
        slots = recipe.follow(b, [view_value(b, whole, chain), *values])
        return written(b, whole, chain, slots[recipe.outputs[0]])

    values = [base.value, *others]
    whole = write_recipe(rule, [value.type for value in values])
    b = Waiting()
    slots = b.put(whole, values)
    base_edge = base.edge()
    view._storage.write(slots[whole.outputs[0]])
    view._counter.count += 1
    view._counter.writer = "torch::autograd::CopySlices"
    node = named("CopySlices", Recorded)([base_edge, *edges], whole, slots, versions, b.location, places, count)
    base._grad_fn, base._output_nr, base._requires_grad = node, 0, True
    view._view_name, view._view_of = "AsStridedBackward0", None
