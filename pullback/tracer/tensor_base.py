"""What every tensor is: a view of a storage, a place in the graph, and how operations on tensors are recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, ClassVar, TypeAlias, TypeVar
from weakref import ReferenceType, ref

import numpy as np

from pullback.dtypes import DType
from pullback.errors import AutogradError
from pullback.ir.clone import copy_operation
from pullback.ir.core import Value
from pullback.ir.ops.arithmetic import Add, Cast
from pullback.ir.ops.shape import Reshape
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.autograd import AccumulateGrad, Backward, Edge, Hook, Node, Recorded, named
from pullback.tracer.deferred import Waiting, array_of, known, settle
from pullback.tracer.grad_mode import is_grad_enabled
from pullback.tracer.storage import Layout, Storage, Version, ViewOp, view_array, view_value, written
from pullback.tracer.tensor_mark import IsTensor

Array: TypeAlias = "np.ndarray[Any, Any]"
Rule: TypeAlias = Callable[..., Value]
"""Emits operations: takes the builder and the operands' values, gives the result's value."""
T = TypeVar("T", bound="TensorBase")


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
    _chain: tuple[ViewOp, ...]
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

    def __init__(self) -> None:
        raise TypeError("use tensor(data)")

    @classmethod
    def _new(cls: type[T], storage: Storage, layout: Layout, dtype: DType, version: Version) -> T:
        self = object.__new__(cls)
        self._storage = storage
        self._layout = layout
        self.dtype_ = dtype
        self._counter = version
        self._chain = ()
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
        if not self._chain and storage.array is None:
            return storage.read()
        if storage.array is not None and storage._value is None:
            return known(np.array(view_array(storage.array, self._chain), order="C"))
        if self._read is None or self._read_at != storage.writes:
            self._read = view_value(Waiting(), storage.read(), self._chain)
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
        node = self.node
        if node is not None:
            return node, self._output_nr
        if not self._requires_grad:
            return None, 0
        accumulator = self._accumulator() if self._accumulator is not None else None
        if accumulator is None:
            accumulator = named("AccumulateGrad", _Accumulating)(self)
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
        for hook in list(self._hooks or ()):
            changed = hook(gradient)
            if changed is not None:
                gradient = changed
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


def distinct(b: Waiting, values: Sequence[Value]) -> list[Value]:
    """Values of which no two are the same: each operand has a gradient of its own."""
    seen: set[Value] = set()
    result = []
    for value in values:
        if value in seen:
            value = b.value(Reshape(value.type.dims), value)
        seen.add(value)
        result.append(value)
    return result


def recorded_node(name: str, base: TensorBase, chain: tuple[ViewOp, ...]) -> Node:
    """The step that takes a chain of views of a base."""
    b = Waiting()
    value = base.value
    result = view_value(b, value, chain)
    step: Recorded = named(name, Recorded)((base.edge(),), b.operations, [value], [result], [])
    return step


def record(name: str, rule: Rule, *operands: TensorBase | None, template: TensorBase | None = None) -> Any:
    """Apply a rule to tensors and remember the step if one of them requires grad.

    None stands for an operand that is no tensor: it has an entry in `next_functions` and no value.
    """
    tensors = [each for each in operands if each is not None]
    kind = type(tensors[0] if tensors else template)
    b = Waiting()
    values = [each.value for each in tensors]
    active = is_grad_enabled() and any(each.needs_grad for each in tensors)
    if not active:
        return kind.of_value(rule(b, *values))  # type: ignore[union-attr]
    values = distinct(b, values)
    b.operations.clear()
    result = rule(b, *values)
    if not result.type.dtype.is_float:
        return kind.of_value(result)  # type: ignore[union-attr]
    if result in values:
        result = b.value(Reshape(result.type.dims), result)
    node = make_node(name, b, operands, values, [result])
    made = kind.of_value(result, node)  # type: ignore[union-attr]
    node.versions.append((result, made._counter, 0, f", which is output 0 of {name.removesuffix(_BACKWARD)},"))
    return made


def record_many(name: str, rule: Callable[..., Sequence[Value]], *operands: TensorBase) -> list[Any]:
    """As `record`, for rules with several results; those that are no floats require no grad."""
    kind = type(operands[0])
    b = Waiting()
    values = [each.value for each in operands]
    if not (is_grad_enabled() and any(each.needs_grad for each in operands)):
        return [kind.of_value(value) for value in rule(b, *values)]
    values = distinct(b, values)
    b.operations.clear()
    results: list[Value] = []
    for result in rule(b, *values):
        results.append(b.value(Reshape(result.type.dims), result) if result in values or result in results else result)
    node = make_node(name, b, operands, values, results)
    return [
        kind.of_value(result, node, number) if result.type.dtype.is_float else kind.of_value(result)
        for number, result in enumerate(results)
    ]


def make_node(
    name: str, b: Waiting, operands: Sequence[TensorBase | None], values: Sequence[Value], results: Sequence[Value]
) -> Recorded:
    """The step of what `b` emitted."""
    edges: list[Edge] = []
    inputs: list[Value] = []
    versions: list[tuple[Value, Version, int, str]] = []
    remaining = iter(values)
    for operand in operands:
        if operand is None:
            edges.append((None, 0))
            inputs.append(_NOTHING)
            continue
        value = next(remaining)
        edge = operand.edge()
        edges.append(edge)
        inputs.append(value)
        made_by = "" if edge[0] is None or operand.node is None else f", which is output {edge[1]} of {edge[0].name()},"
        versions.append((value, operand._counter, operand._counter.count, made_by))
    node: Recorded = named(name, Recorded)(tuple(edges), b.operations, inputs, results, versions)
    return node


_BACKWARD = "Backward0"
_NOTHING = known(np.zeros((), np.float32))


def take_view(tensor: T, name: str, *ops: ViewOp, strides: tuple[int, ...] | None = None) -> T:
    """A tensor that shows a part of another one's memory; the ops lead from it to the view.

    `strides` are told where axes of size 1 make them a matter of taste.
    """
    layout: Layout | None = tensor._layout
    for op in ops:
        assert layout is not None
        layout = layout.through(op)
    assert layout is not None, "the caller checks that a reshape needs no copy"
    if strides is not None:
        layout = Layout(layout.shape, strides, layout.offset)
    view = tensor._new(tensor._storage, layout, tensor.dtype_, tensor._counter)
    base = tensor if tensor._base is None else tensor._base
    view._chain = (*tensor._chain, *ops)
    if not is_grad_enabled():
        # What happens to such a view is nobody's gradient: writing to it leaves the base's graph alone.
        return view
    view._base = base
    view._view_name = name
    if tensor.needs_grad:
        operand = tensor.value
        b = Waiting()
        shown = view_value(b, operand, ops)
        if shown is operand:
            shown = b.value(Reshape(shown.type.dims), shown)
        view._grad_fn = make_node(name, b, (tensor,), [operand], [shown])
        view._requires_grad = True
        view._view_of = (base.node, base._output_nr, base._counter.count)
        view._read, view._read_at = shown, tensor._storage.writes
    return view


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


def write_recorded(target: T, name: str, rule: Rule, *operands: TensorBase | None) -> T:
    """Replace the target's elements by a rule of it (its first operand) and others, and remember the step.

    Raises: AutogradError for a leaf that requires grad, or a view that shows elements more than once.
    """
    tensors = [each for each in operands if each is not None]
    check_writable(target)
    for each in tensors:
        _check_overlap(target, each)
    active = is_grad_enabled() and (target.needs_grad or any(each.needs_grad for each in tensors))
    b = Waiting()
    values = [target.value, *(each.value for each in tensors)]
    if active:
        values = distinct(b, values)
        b.operations.clear()
    result = rule(b, *values)
    if result.type.shape != target.sizes:
        raise AutogradError(
            f"output with shape {list(target.sizes)} doesn't match the broadcast shape {list(result.type.shape)}",
            location=caller(),
        )
    if result.type.dtype != target.dtype_:
        result = b.value(Cast(target.dtype_), result)
    if not active:
        target.overwrite(result)
        return target
    if result in values:
        result = b.value(Reshape(result.type.dims), result)
    if target._base is None:
        node = make_node(name, b, (target, *operands), values, [result])
        # The old elements are kept for this step alone: writing to the tensor does not spoil them.
        node.versions = [entry for entry in node.versions if entry[0] is not values[0]]
        target.overwrite(result)
        target._grad_fn, target._output_nr, target._requires_grad = node, 0, True
        made_by = f", which is output 0 of {name.removesuffix(_BACKWARD)},"
        node.versions.append((result, target._counter, target._counter.count, made_by))
        return target
    _write_view(target, b, result, values, operands)
    return target


def _write_view(
    view: TensorBase, b: Waiting, result: Value, values: Sequence[Value], operands: Sequence[TensorBase | None]
) -> None:
    """The base takes the step (its new elements depend on its old ones and the operands); the view is taken again."""
    base = view._base
    assert base is not None
    whole = base.value
    outer = Waiting()
    (entry,) = distinct(outer, [whole]) if whole not in values else [outer.value(Reshape(whole.type.dims), whole)]
    # The step begins with the base: the view's old elements are read from it, so that they carry its gradient.
    chained = Waiting()
    old = view_value(chained, entry, view._chain)
    replaced = {values[0]: old}
    copies = [copy_operation(operation, replaced) for operation in b.operations]
    new = written(tail := Waiting(), entry, view._chain, replaced.get(result, result))
    for operation in copies:
        chained.insert(operation)
    for operation in tail.operations:
        chained.operations.append(operation)
    node = make_node("CopySlices", chained, (base, *operands), [entry, *values[1:]], [new])
    node.versions = [each for each in node.versions if each[0] is not entry]
    view._storage.write(new)
    view._counter.count += 1
    base._grad_fn, base._output_nr, base._requires_grad = node, 0, True
    view._view_name, view._view_of = "AsStridedBackward0", None
