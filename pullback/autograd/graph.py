"""PyTorch's ``autograd.graph``: steps, edges between them, hooks on the gradients of several tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from pullback.errors import ArgumentValueError, AutogradError
from pullback.location import caller
from pullback.tracer.autograd import Node, current_walk
from pullback.tracer.tensor_base import TensorBase


class GradientEdge(NamedTuple):
    """Where the gradient of a tensor goes: a step, and the number of its output."""

    node: Node
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: TensorBase) -> GradientEdge:
    """The edge of a tensor. Raises: AutogradError for one that requires no grad."""
    node, number = tensor.edge()
    if node is None:
        raise AutogradError("It is not possible to get the gradient edge for a Tensor that does not require gradients",
                            location=caller())  # fmt: skip
    return GradientEdge(node, number)


def increment_version(tensor: TensorBase | Sequence[TensorBase]) -> None:
    """Count a write to a tensor that happened behind its back."""
    for each in [tensor] if isinstance(tensor, TensorBase) else tensor:
        each._counter.count += 1


class _MultiHandle:
    """Takes away the hooks of several tensors."""

    def __init__(self, handles: Sequence[Any]) -> None:
        self._handles = handles

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> _MultiHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def register_multi_grad_hook(tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all") -> _MultiHandle:
    """Call ``fn(grads)`` once per backward when the gradients of all tensors that it comes by are there, None for others; in
    mode "any" ``fn(grad)`` at the first one.

    Raises: ArgumentValueError for another mode.
    """
    if mode not in ("all", "any"):
        raise ArgumentValueError(f"Expects mode to be one of ('all', 'any') but got {mode}", location=caller())
    nodes = [tensor.edge()[0] for tensor in tensors]
    arrived: dict[int, Any] = {}
    seen = -1

    def hook_of(place: int) -> Callable[[Any], None]:
        def hook(gradient: Any) -> None:
            nonlocal seen
            number, passed = current_walk.get()
            first, seen = number != seen, number
            if mode == "any":
                if first:
                    fn(gradient)
                return
            if first:
                arrived.clear()
            arrived[place] = gradient
            if len(arrived) == sum(node in passed for node in nodes):
                gradients = [arrived.get(each) for each in range(len(tensors))]
                arrived.clear()
                fn(gradients)

        return hook

    return _MultiHandle([tensor.register_hook(hook_of(place)) for place, tensor in enumerate(tensors)])


__all__ = ["GradientEdge", "Node", "get_gradient_edge", "increment_version", "register_multi_grad_hook"]
