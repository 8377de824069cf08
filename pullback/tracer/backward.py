"""Where going back begins: checks in PyTorch's words, first gradients, and what backward and autograd.grad give."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from pullback.dtypes import DType
from pullback.errors import ArgumentValueError, AutogradError
from pullback.ir.core import Value
from pullback.ir.types import Shape
from pullback.location import caller
from pullback.tracer.autograd import Backward, walk_back
from pullback.tracer.contents import known
from pullback.tracer.deferred import ENGINE
from pullback.tracer.grad_mode import _Mode, anomalies
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_shape import stack
from pullback.tracer.way_back import go_back


def first_gradients(roots: Sequence[TensorBase], gradients: Sequence[Any]) -> list[TensorBase]:
    """A gradient for each root: as given, or 1. Raises: AutogradError where neither will do."""
    found = []
    for place, (root, gradient) in enumerate(zip(roots, gradients, strict=True)):
        if not root.needs_grad:
            raise AutogradError(f"element {place} of tensors does not require grad and does not have a grad_fn",
                                location=caller())  # fmt: skip
        if gradient is None:
            if prod(root.sizes) != 1:
                raise AutogradError("grad can be implicitly created only for scalar outputs", location=caller(),
                                    help="reduce it (sum, mean), or pass gradient=")  # fmt: skip
            found.append(root.of_value(_ones(root.sizes, root.dtype_)))
            continue
        if not isinstance(gradient, TensorBase):
            gradient = root.of_array(np.array(gradient, root.dtype_.numpy))
        if gradient.sizes != root.sizes:
            raise AutogradError(
                f"Mismatch in shape: grad_output[{place}] has a shape of torch.Size({list(gradient.sizes)}) and "
                f"output[{place}] has a shape of torch.Size({list(root.sizes)}).", location=caller(),
            )  # fmt: skip
        found.append(gradient)
    return found


@lru_cache(maxsize=1 << 6)
def _ones(sizes: Shape, dtype: DType) -> Value:
    """One element, 1: a single value for all who begin with it."""
    return known(np.ones(sizes, dtype.numpy))


def sequence_of(values: Any) -> list[Any]:
    """One tensor, or several, as a list."""
    return [values] if isinstance(values, TensorBase) else list(values)


def run_backward(tensors: Any, grad_tensors: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
                 inputs: Any = None) -> None:  # fmt: skip
    """Let the gradients of the roots arrive at all leaves, or at `inputs`."""
    roots = sequence_of(tensors)
    given = [None] * len(roots) if grad_tensors is None else sequence_of(grad_tensors)
    first = first_gradients(roots, given)
    wanted = None if inputs is None else sequence_of(inputs)
    if wanted is not None and not wanted:
        raise AutogradError("`inputs` argument to `backward()` cannot be empty.", location=caller())
    retained = create_graph if retain_graph is None else retain_graph
    reached: list[Any] | None = None
    if wanted is None and not create_graph and len(roots) == 1 and not anomalies.get():
        reached = go_back(roots[0], first[0].value, retained)
    if reached is None:
        run = Backward(roots[0], retained, create_graph)
        with _Mode(create_graph):
            captured = walk_back(run, roots, first, wanted, accumulate=True)
            for tensor, gradient in zip(wanted or (), captured, strict=False):
                if gradient is not None and tensor.node is not None:
                    tensor.accumulate(gradient, run)
        reached = list(run.accumulated)
    if not create_graph:
        # In the order of arrival: in another order each time, the same graph would be another one to the engine.
        waiting = dict.fromkeys([tensor._grad.value for tensor in reached if tensor._grad is not None])
        if waiting:
            # The roots with them: looking at the loss later would compute once more what lies below it.
            waiting.update([(tensor.value, None) for tensor in roots])
        ENGINE.run([value for value in waiting if value.contents.array is None])


def gradients_of(
    outputs: Any, inputs: Any, grad_outputs: Any = None, retain_graph: bool | None = None, create_graph: bool = False,
    only_inputs: bool = True, allow_unused: bool | None = None, is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:  # fmt: skip
    """``autograd.grad``: the gradients of outputs by inputs, without touching any ``grad``.

    With `is_grads_batched` each of `grad_outputs` has one more axis in front, and so have the results. As in PyTorch,
    `only_inputs` has no effect.
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentValueError("Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
                                 "allow_unused=False.", location=caller())  # fmt: skip
    if is_grads_batched:
        return _batched(outputs, inputs, sequence_of(grad_outputs), retain_graph, create_graph, bool(allow_unused),
                        materialize_grads)  # fmt: skip
    tensors, wanted = sequence_of(outputs), sequence_of(inputs)
    given = [None] * len(tensors) if grad_outputs is None else sequence_of(grad_outputs)
    first = first_gradients(tensors, given)
    for tensor in wanted:
        if not tensor.needs_grad:
            raise AutogradError("One of the differentiated Tensors does not require grad", location=caller())
    run = Backward(tensors[0], create_graph if retain_graph is None else retain_graph, create_graph)
    with _Mode(create_graph):
        found = walk_back(run, tensors, first, wanted, accumulate=False)
    results: list[Any] = []
    for place, (tensor, gradient) in enumerate(zip(wanted, found, strict=True)):
        if gradient is None and materialize_grads:
            gradient = tensor.of_array(np.zeros(tensor.sizes, tensor.dtype_.numpy))
        elif gradient is None and not allow_unused:
            raise AutogradError(
                f"The differentiated Tensor at index {place} appears to not have been used in the graph. Set "
                "allow_unused=True if this is the desired behavior.", location=caller(),
            )  # fmt: skip
        results.append(gradient)
    return tuple(results)


def _batched(outputs: Any, inputs: Any, grad_outputs: Sequence[Any], retain_graph: bool | None, create_graph: bool,
             allow_unused: bool, materialize_grads: bool) -> tuple[Any, ...]:  # fmt: skip
    """One walk back for each place of the first axis of the outputs' gradients."""
    rows = []
    count = grad_outputs[0].sizes[0]
    for place in range(count):
        given = [each[place] for each in grad_outputs]
        retained = True if place < count - 1 else retain_graph
        rows.append(gradients_of(outputs, inputs, given, retained, create_graph, True, allow_unused, False, materialize_grads))
    return tuple(None if column[0] is None else stack(column) for column in zip(*rows, strict=True))
