"""PyTorch's ``func`` by its names, for functions of tensors: grad, vjp, jvp, jacrev, jacfwd, hessian, vmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pullback.autograd.functional import _forward, _gradients, _rows_of, _zeros
from pullback.errors import ArgumentValueError, AutogradError
from pullback.location import caller
from pullback.tracer.autograd import AccumulateGrad, _reachable
from pullback.tracer.grad_mode import enable_grad
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_random import DEFAULT_GENERATOR
from pullback.tracer.tensor_shape import stack, unbind
from pullback.tracer.tree import flatten, unflatten

Argnums = int | tuple[int, ...]


def _fresh(tensor: Any) -> Any:
    """A tensor to differentiate by: a step of the outer graph where there is one, else a leaf of its own."""
    return tensor.view_as(tensor) if tensor.needs_grad else tensor.detach().requires_grad_()


def _left(result: Any, fresh: list[Any]) -> Any:
    """A result outside of the graph, unless that leads to leaves other than our own."""
    tensor: Any = result
    if not isinstance(result, TensorBase) or not result.needs_grad:
        return tensor
    node = tensor.edge()[0]
    leaves = {} if node is None else _reachable([node])
    others = any(isinstance(each, AccumulateGrad) and all(each.variable is not mine for mine in fresh) for each in leaves)
    return tensor if others else tensor.detach()


def _differentiated(args: tuple[Any, ...], argnums: Argnums) -> tuple[tuple[Any, ...], Any, list[Any], Any]:
    """Arguments with those of `argnums` made fresh: the arguments, the fresh ones' leaves and structure."""
    chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    leaves, structure = flatten(tuple(args[place] for place in chosen))
    fresh = [_fresh(each) for each in leaves]
    changed = list(args)
    for place, value in zip(chosen, unflatten(structure, fresh), strict=True):
        changed[place] = value
    return tuple(changed), structure, fresh, isinstance(argnums, int)


def grad_and_value(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function of the same arguments: the gradient by those of `argnums`, and the value.

    Raises: AutogradError where the value is no tensor of one element without axes.
    """

    def slopes(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            changed, structure, fresh, single = _differentiated(args, argnums)
            result = func(*changed, **kwargs)
            output, aux = result if has_aux else (result, None)
            if not isinstance(output, TensorBase) or output.sizes:
                what = f"tensor with {len(output.sizes)} dims" if isinstance(output, TensorBase) else f"{type(output)}"
                raise AutogradError(f"Expected f(*args) to return a scalar tensor, got {what}. Maybe you wanted to use the vjp "
                                    "or jacrev APIs instead?", location=caller())  # fmt: skip
            found = _gradients((output,), tuple(fresh), (None,), True)
        kept = unflatten(structure, [_left(each, fresh) for each in found])
        gradient = kept[0] if single else kept
        value = _left(output, fresh)
        return (gradient, (value, _all_left(aux, fresh))) if has_aux else (gradient, value)

    return slopes


def _all_left(values: Any, fresh: list[Any]) -> Any:
    leaves, structure = flatten(values)
    return unflatten(structure, [_left(each, fresh) for each in leaves])


def grad(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function of the same arguments that gives the gradient by those of `argnums`."""
    both = grad_and_value(func, argnums, has_aux)

    def slopes(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return slopes


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value, and the function that takes cotangents of it to those of the arguments."""
    with enable_grad():
        changed, structure, fresh, _ = _differentiated(primals, tuple(range(len(primals))))
        result = func(*changed)
    output, aux = result if has_aux else (result, None)
    outputs, _ = flatten(output)

    def pullback(cotangents: Any) -> Any:
        given, _ = flatten(cotangents)
        found = _gradients(outputs, tuple(fresh), given, True)
        return unflatten(structure, [_left(each, fresh) for each in found])

    value = _all_left(output, fresh)
    return (value, pullback, _all_left(aux, fresh)) if has_aux else (value, pullback)


def jvp(func: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """The value, and its derivative along tangents."""
    with enable_grad():
        changed, _, fresh, _ = _differentiated(tuple(primals), tuple(range(len(primals))))
        output = func(*changed)
        outputs, structure = flatten(output)
        dummies = tuple(_zeros(each).requires_grad_() for each in outputs)
        found = _forward(tuple(outputs), tuple(fresh), tuple(flatten(tuple(tangents))[0]), True, dummies)
        fresh = [*fresh, *dummies]
    return _all_left(output, fresh), unflatten(structure, [_left(each, fresh) for each in found])


def jacrev(func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function of the same arguments that gives the Jacobian by those of `argnums`."""

    def slopes(*args: Any, **kwargs: Any) -> Any:
        with enable_grad():
            changed, structure, fresh, single = _differentiated(args, argnums)
            result = func(*changed, **kwargs)
            output, aux = result if has_aux else (result, None)
            outputs, outer = flatten(output)
            rows = []
            for each in outputs:
                found = _rows_of(each, tuple(fresh), True, False)
                kept = unflatten(structure, [_left(part, fresh) for part in found])
                rows.append(kept[0] if single else kept)
        whole = unflatten(outer, rows)
        return (whole, _all_left(aux, fresh)) if has_aux else whole

    return slopes


jacfwd = jacrev


def hessian(func: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """A function of the same arguments that gives the second derivatives by those of `argnums`."""
    return jacrev(jacrev(func, argnums), argnums)


def vmap(func: Callable[..., Any], in_dims: Any = 0, out_dims: Any = 0, randomness: str = "error",
         *, chunk_size: int | None = None) -> Callable[..., Any]:  # fmt: skip
    """A function of one case applied to each place of an axis; the cases are run one after the other, in no chunks.

    Random numbers are other ones in each case (`randomness` "different"), the same ("same"), or an error.
    Raises: ArgumentValueError for axes of different sizes; AutogradError for random numbers that were not allowed.
    """
    if randomness not in ("error", "different", "same"):
        raise AutogradError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}",
                            location=caller())  # fmt: skip
    if chunk_size is not None and chunk_size <= 0:
        raise ArgumentValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})", location=caller())

    def mapped(*args: Any, **kwargs: Any) -> Any:
        dims = in_dims if isinstance(in_dims, tuple | list) else (in_dims,) * len(args)
        flat, structures, axes = [], [], []
        for value, dim in zip(args, dims, strict=True):
            leaves, structure = flatten(value)
            flat.append(leaves)
            structures.append(structure)
            axes.append([dim] * len(leaves) if dim is None or isinstance(dim, int) else flatten(dim)[0])
        sizes = {leaf.sizes[axis] for leaves, along in zip(flat, axes, strict=True)
                 for leaf, axis in zip(leaves, along, strict=True) if axis is not None}  # fmt: skip
        if len(sizes) != 1:
            raise ArgumentValueError("vmap: Expected all tensors to have the same size in the mapped dimension, got sizes "
                                     f"{sorted(sizes)} for the mapped dimension", location=caller())  # fmt: skip
        (count,) = sizes
        parts = [[unbind(leaf, axis) if axis is not None else (leaf,) * count for leaf, axis in zip(leaves, along, strict=True)]
                 for leaves, along in zip(flat, axes, strict=True)]  # fmt: skip
        found = []
        outer: Any = None
        before = DEFAULT_GENERATOR.get_state()
        for place in range(count):
            if randomness == "same":
                DEFAULT_GENERATOR.set_state(before)
            case = [unflatten(structure, [part[place] for part in each]) for structure, each in
                    zip(structures, parts, strict=True)]  # fmt: skip
            leaves, outer = flatten(func(*case, **kwargs))
            found.append(leaves)
            if randomness == "error" and not DEFAULT_GENERATOR.is_at(before):
                raise AutogradError("vmap: called random operation while in randomness error mode. Please either use the "
                                    "'same' or 'different' randomness flags on vmap or perform the randomness operation out "
                                    "of vmap", location=caller())  # fmt: skip
        ends = out_dims if isinstance(out_dims, tuple | list) else (out_dims,) * len(found[0])
        return unflatten(outer, [stack(column, dim) for column, dim in zip(zip(*found, strict=True), ends, strict=True)])

    return mapped


__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "vjp", "vmap"]
