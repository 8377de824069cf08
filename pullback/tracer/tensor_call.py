"""Functions of NumPy arrays called with tensors: traced, and recorded as one step of the tensors' graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pullback.ir.clone import inline
from pullback.ir.core import Builder, Value
from pullback.tracer.contents import known
from pullback.tracer.leaf import Leaf, LeafKind, leaf_of
from pullback.tracer.tensor_base import TensorBase, record_many
from pullback.tracer.trace import Trace, trace
from pullback.tracer.tree import flatten, unflatten


def tensor_leaf(value: Any, path: str = "") -> Leaf:
    """What a leaf is to traced code; a tensor is an array."""
    if isinstance(value, TensorBase):
        return Leaf(value.value.type, LeafKind.ARRAY)
    return leaf_of(value, path)


def record_trace(made: Trace, name: str, values: Sequence[Any]) -> Any:
    """Record a traced function of argument leaves `values`, of which one at least is a tensor, as one step."""
    tensors = [value for value in values if isinstance(value, TensorBase)]
    captured = [known(np.array(array, order="C")) for array in made.function.captured]

    def rule(b: Builder, *operands: Value) -> list[Value]:
        remaining = iter(operands)
        arguments = [
            next(remaining) if isinstance(value, TensorBase) else known(np.array(value, leaf.type.dtype.numpy, order="C"))
            for value, leaf in zip(values, made.leaves, strict=True)
        ]
        return inline(b, made.function, [*arguments, *captured])

    return unflatten(made.output, record_many(name, rule, *tensors))


def call_numpy(function: Callable[..., Any], args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """A function of NumPy on tensors, by NumPy's rules: ``np.sin(t)``, ``np.sum(t, axis=0)``."""
    leaves, structure = flatten((tuple(args), kwargs))
    places = [place for place, leaf in enumerate(leaves) if isinstance(leaf, TensorBase)]
    tensors = [leaves[place] for place in places]

    def of_tensors(*traced: Any) -> Any:
        filled = list(leaves)
        for place, value in zip(places, traced, strict=True):
            filled[place] = value
        inner_args, inner_kwargs = unflatten(structure, filled)
        return function(*inner_args, **inner_kwargs)

    name = getattr(function, "__name__", "function")
    inner = flatten((tuple(tensors), {}))[1]
    made = trace(of_tensors, [tensor_leaf(each) for each in tensors], inner, name=name)
    return record_trace(made, f"{name.capitalize()}Backward0", tensors)
