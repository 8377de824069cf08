"""PyTorch's ``autograd.functional``: derivatives of functions of tensors, as tensors or tuples of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.errors import ArgumentError, AutogradError
from pullback.location import caller
from pullback.tracer.backward import gradients_of
from pullback.tracer.grad_mode import enable_grad
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_shape import reshape, stack

Tensors = tuple[Any, ...]


def _tuple(values: Any, name: str, argument: str, given: bool = True) -> tuple[bool, Tensors]:
    """Tensors as a tuple, and whether they were one. Raises: ArgumentError for anything else."""
    several = isinstance(values, tuple | list) if given else isinstance(values, tuple)
    found = tuple(values) if several else (values,)
    for place, each in enumerate(found):
        if not isinstance(each, TensorBase):
            what = f"The {argument} {'' if given else 'of the user-provided function '}given to {name}"
            kind = "given " + argument if given else "given outputs of the user-provided function"
            if several:
                raise ArgumentError(f"{what} must be either a Tensor or a tuple of Tensors but the value at index {place} has "
                                    f"type {type(each)}.", location=caller())  # fmt: skip
            raise ArgumentError(f"{what} must be either a Tensor or a tuple of Tensors but the {kind} has type {type(each)}.",
                                location=caller())  # fmt: skip
    return several, found


def _leaves(inputs: Tensors, create_graph: bool) -> Tensors:
    """Inputs that require grad: views of the given ones where the graph goes on, else leaves of their own."""
    if create_graph:
        return tuple(each.view_as(each) if each.needs_grad else each.detach().requires_grad_() for each in inputs)
    return tuple(each.detach().requires_grad_() for each in inputs)


def _run(name: str, func: Callable[..., Any], inputs: Tensors) -> tuple[bool, Tensors]:
    return _tuple(func(*inputs), name, "outputs", given=False)


def _finished(values: Tensors, create_graph: bool, several: bool) -> Any:
    found = values if create_graph else tuple(each.detach() for each in values)
    return found if several else found[0]


def _zeros(tensor: Any) -> Any:
    return tensor.of_array(np.zeros(tensor.sizes, tensor.dtype_.numpy))


def _checked_outputs(outputs: Tensors, strict: bool) -> None:
    for place, output in enumerate(outputs):
        if strict and not output.needs_grad:
            raise AutogradError(
                f"Output {place} of the user-provided function does not require gradients. The outputs must be computed in a "
                "differentiable manner from the input when running in strict mode.", location=caller(),
            )  # fmt: skip


def _gradients(outputs: Sequence[Any], inputs: Tensors, cotangents: Sequence[Any], create_graph: bool,
               strict: bool = False) -> Tensors:  # fmt: skip
    """Gradients of those outputs that require grad; zeros where an input has no part in them."""
    pairs = [(output, v) for output, v in zip(outputs, cotangents, strict=True) if output.needs_grad]
    found: Tensors = (None,) * len(inputs)
    if pairs:
        found = gradients_of([each for each, _ in pairs], inputs, [v for _, v in pairs], True, create_graph,
                             allow_unused=True)  # fmt: skip
    for place, each in enumerate(found):
        if strict and each is None:
            raise AutogradError(
                f"The output of the user-provided function is independent of input {place}. This is not allowed in strict "
                "mode.", location=caller(),
            )  # fmt: skip
    return tuple(_zeros(tensor) if each is None else each for tensor, each in zip(inputs, found, strict=True))


def _vectors(v: Any, tensors: Tensors, name: str, what: str) -> Tensors:
    """The vector(s) given, one for each tensor; ones for a single element. Raises: AutogradError where they do not fit."""
    if v is None:
        if len(tensors) != 1 or tensors[0].numel() != 1:
            if what == "input":
                raise AutogradError("The vector v can only be None if the input to the user-provided function is a single "
                                    "Tensor with a single element.", location=caller())  # fmt: skip
            raise AutogradError("The vector v can only be None if the user-provided function returns a single Tensor with a "
                                "single element.", location=caller())  # fmt: skip
        return (tensors[0].of_array(np.ones(tensors[0].sizes, tensors[0].dtype_.numpy)),)
    _, found = _tuple(v, name, "v")
    if len(found) != len(tensors):
        raise AutogradError(f"v is a tuple of invalid length: should be {len(tensors)} but got {len(found)}.",
                            location=caller())  # fmt: skip
    for place, (each, tensor) in enumerate(zip(found, tensors, strict=True)):
        if each.sizes != tensor.sizes:
            entry = f"Entry {place} in " if len(found) > 1 else ""
            raise AutogradError(f"{entry}v has invalid size: should be torch.Size({list(tensor.sizes)}) but got "
                                f"torch.Size({list(each.sizes)}).", location=caller())  # fmt: skip
    return found


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The value and v times the Jacobian."""
    with enable_grad():
        many, given = _tuple(inputs, "vjp", "inputs")
        leaves = _leaves(given, create_graph)
        several, outputs = _run("vjp", func, leaves)
        _checked_outputs(outputs, strict)
        vectors = _vectors(v, outputs, "vjp", "output")
        found = _gradients(outputs, leaves, vectors, create_graph, strict)
    return _finished(outputs, create_graph, several), _finished(found, create_graph, many)


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The value and the Jacobian times v, by going back twice."""
    with enable_grad():
        _, given = _tuple(inputs, "jvp", "inputs")
        leaves = _leaves(given, create_graph)
        vectors = _vectors(v, given, "jvp", "input")
        several, outputs = _run("jvp", func, leaves)
        _checked_outputs(outputs, strict)
        found = _forward(outputs, leaves, vectors, create_graph, strict=strict)
    return _finished(outputs, create_graph, several), _finished(found, create_graph, several)


def _forward(outputs: Tensors, leaves: Tensors, vectors: Tensors, create_graph: bool,
             dummies: Tensors | None = None, strict: bool = False) -> Tensors:  # fmt: skip
    """The Jacobian times vectors: v times the Jacobian is linear in v, and its transpose is what is wanted."""
    dummies = tuple(_zeros(output).requires_grad_() for output in outputs) if dummies is None else dummies
    pulled = _gradients(outputs, leaves, dummies, True, strict)
    return _gradients(pulled, dummies, vectors, create_graph)


def jacobian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
             vectorize: bool = False, strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """Derivatives of every output by every input: sizes of the output, then those of the input.

    `vectorize` and `strategy` have no effect: the numbers are the same. Raises: ArgumentError for a function of anything but
    tensors.
    """
    with enable_grad():
        many, given = _tuple(inputs, "jacobian", "inputs")
        leaves = _leaves(given, create_graph)
        several, outputs = _run("jacobian", func, leaves)
        _checked_outputs(outputs, strict)
        rows = tuple(_rows_of(output, leaves, create_graph, strict) for output in outputs)
    if not create_graph:
        rows = tuple(tuple(each.detach() for each in row) for row in rows)
    if many:
        return rows if several else rows[0]
    return tuple(row[0] for row in rows) if several else rows[0][0]


def _rows_of(output: Any, leaves: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The Jacobian of one output by each input."""
    count = output.numel()
    columns: list[list[Any]] = [[] for _ in leaves]
    flat = reshape(output, count)
    for place in range(count):
        unit = np.zeros(count, output.dtype_.numpy)
        unit[place] = 1
        for column, found in zip(columns, _gradients((flat,), leaves, (output.of_array(unit),), create_graph, strict),
                                 strict=True):  # fmt: skip
            column.append(found)
    return tuple(
        reshape(stack(column), *output.sizes, *leaf.sizes) if column else
        leaf.of_array(np.zeros((*output.sizes, *leaf.sizes), leaf.dtype_.numpy))
        for column, leaf in zip(columns, leaves, strict=True)
    )  # fmt: skip


def _scalar(name: str, func: Callable[..., Any], inputs: Tensors) -> Any:
    several, outputs = _tuple(func(*inputs), name, "outputs", given=False)
    if several or outputs[0].numel() != 1:
        if several:
            raise AutogradError(f"The function given to {name} should return a single Tensor", location=caller())
        raise AutogradError(f"The Tensor returned by the function given to {name} should contain a single element",
                            location=caller())  # fmt: skip
    return outputs[0]


def hessian(func: Callable[..., Any], inputs: Any, create_graph: bool = False, strict: bool = False,
            vectorize: bool = False, outer_jacobian_strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """Second derivatives of a function with one element: sizes of one input, then those of the other. `vectorize` and
    `outer_jacobian_strategy` have no effect: the numbers are the same.
    """
    many, given = _tuple(inputs, "hessian", "inputs")

    def slopes(*leaves: Any) -> Tensors:
        output = _scalar("hessian", func, leaves)
        return _gradients((output,), leaves, (None,), True, strict)

    found = jacobian(slopes, given, create_graph, strict)
    return found if many else found[0][0]


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The value and v times the Hessian."""
    with enable_grad():
        many, given = _tuple(inputs, "vhp", "inputs")
        leaves = _leaves(given, create_graph)
        vectors = _vectors(v, given, "vhp", "input")
        output = _scalar("vhp", func, leaves)
        slopes = _gradients((output,), leaves, (None,), True, strict)
        for place, slope in enumerate(slopes):
            if strict and not slope.needs_grad:
                raise AutogradError("While computing the hessian, found that the jacobian of the user-provided function with "
                                    f"respect to input {place} is independent of the input. This is not allowed in strict "
                                    "mode.", location=caller())  # fmt: skip
        found = _gradients(slopes, leaves, vectors, create_graph)
    return _finished((output,), create_graph, False), _finished(found, create_graph, many)


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The value and the Hessian times v: the same numbers as vhp, the Hessian being symmetric."""
    return vhp(func, inputs, v, create_graph, strict)


__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]
