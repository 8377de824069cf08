"""Gradients compared with differences, by PyTorch's names: gradcheck, gradgradcheck."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, GradcheckError
from pullback.location import caller
from pullback.tracer.backward import gradients_of
from pullback.tracer.grad_mode import enable_grad, no_grad
from pullback.tracer.tensor_base import TensorBase

Array = np.ndarray[Any, Any]


def _outputs(func: Callable[..., Any], inputs: tuple[Any, ...]) -> list[Any]:
    """The results that can have gradients."""
    found = func(*inputs)
    return [each for each in (found if isinstance(found, tuple | list) else (found,)) if each.dtype_.is_float]


def _numerical(func: Callable[..., Any], inputs: tuple[Any, ...], place: int, eps: float) -> list[Array]:
    """Jacobians of all outputs by one input, from central differences: a row for each element of the input."""
    centre = np.array(inputs[place].array())
    rows: list[list[Array]] = []
    for number in range(centre.size):
        ends = []
        for step in (eps, -eps):
            moved = centre.copy()
            moved.reshape(-1)[number] += step
            changed = (*inputs[:place], inputs[place].of_array(moved), *inputs[place + 1 :])
            with no_grad():
                ends.append([np.array(each.array(), np.float64).reshape(-1) for each in _outputs(func, changed)])
        rows.append([(after - before) / (2 * eps) for after, before in zip(*ends, strict=True)])
    return [np.array([row[output] for row in rows]).reshape(centre.size, -1) for output in range(len(rows[0]))] if rows else []


def _analytical(output: Any, tensor: Any) -> Array:
    """The Jacobian of one output by one input, a row for each element of the input."""
    columns = []
    for number in range(output.numel()):
        unit = np.zeros(output.numel(), output.dtype_.numpy)
        unit[number] = 1
        found = None
        if output.needs_grad:
            (found,) = gradients_of(output, tensor, output.of_array(unit.reshape(output.sizes)), True, allow_unused=True)
        columns.append(np.zeros(tensor.numel()) if found is None else np.array(found.array(), np.float64).reshape(-1))
    return np.array(columns).reshape(output.numel(), tensor.numel()).T


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False,
    check_batched_grad: bool = False, fast_mode: bool = False,
) -> bool:  # fmt: skip
    """Whether gradients by the inputs that require grad agree with central differences.

    All elements of the Jacobians are compared, once: the settings after `raise_exception`, for faster or further checks, have
    no effect.

    Raises: GradcheckError where they do not (with `raise_exception`), ArgumentValueError without such inputs.
    """
    given = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    wanted = [place for place, each in enumerate(given) if isinstance(each, TensorBase) and each.needs_grad]
    if not wanted:
        raise ArgumentValueError("gradcheck expects at least one input tensor to require gradient, but none of them have "
                                 "requires_grad=True.", location=caller())  # fmt: skip
    outputs = _outputs(func, given)
    for place in wanted:
        numerical = _numerical(func, given, place, eps)
        for number, (output, expected) in enumerate(zip(outputs, numerical, strict=False)):
            found = _analytical(output, given[place])
            if np.allclose(found, expected, rtol, atol):
                continue
            if raise_exception:
                raise GradcheckError(f"Jacobian mismatch for output {number} with respect to input {place},\n"
                                     f"numerical:{expected}\nanalytical:{found}\n")  # fmt: skip
            return False
    return True


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5,
    rtol: float = 1e-3, gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0,
    check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    fast_mode: bool = False,
) -> bool:  # fmt: skip
    """As gradcheck, of the gradients, by the inputs and by what comes back to the outputs; `eps`, `atol`, `rtol` and
    `raise_exception` are as there, the other settings have no effect.
    """
    given = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    outputs = _outputs(func, given)
    stream = np.random.default_rng(0)
    if grad_outputs is None:
        drawn = [each.of_array(stream.uniform(0.1, 1.0, each.sizes).astype(each.dtype_.numpy)) for each in outputs]
        seeds = tuple(each.requires_grad_() for each in drawn)
    else:
        seeds = tuple(grad_outputs) if isinstance(grad_outputs, tuple | list) else (grad_outputs,)

    def ready(each: Any, original: Any) -> Any:
        wanting = isinstance(each, TensorBase) and original.needs_grad and not each.needs_grad
        return each.requires_grad_() if wanting else each

    def slopes(*everything: Any) -> tuple[Any, ...]:
        values = tuple(ready(each, original) for each, original in zip(everything[: len(given)], given, strict=True))
        results = _outputs(func, values)
        wanted = [each for each, original in zip(values, given, strict=True)
                  if isinstance(original, TensorBase) and original.needs_grad]  # fmt: skip
        found = gradients_of(results, wanted, everything[len(given) :], create_graph=True, allow_unused=True)
        return tuple(each for each in found if each is not None)

    with_graph = _with_graph(slopes)
    return gradcheck(with_graph, (*given, *seeds), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception)


def _with_graph(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that records its steps even where others do not."""
    def recorded(*values: Any) -> Any:
        with enable_grad():
            return function(*values)

    return recorded


__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]
