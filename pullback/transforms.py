"""Derivatives as functions of Python functions: each traces its function inside the trace at hand and inlines what
the IR's own differentiation makes of it, so all of them nest to any order."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ArgumentError, DerivativeError
from pullback.ir.ad.checkpoint import under_budget
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Function
from pullback.ir.passes.dce import dce
from pullback.location import caller
from pullback.tracer.leaf import leaves_of
from pullback.tracer.record import Recorder
from pullback.tracer.trace import Trace, call_again, call_inline, trace
from pullback.tracer.tree import LEAF, Structure, flatten, paths, unflatten

Argnums = int | tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A call of a function inside a trace: its flattened arguments and what tracing it gave."""

    recorder: Recorder
    trace: Trace
    values: list[Any]
    structure: Structure

    def positions(self, argnums: Argnums) -> list[int]:
        """Numbers of the leaves of the positional arguments `argnums`.

        Raises: ArgumentError for an argument that is not there, DerivativeError for leaves that are no floats.
        """
        args = self.structure.children[0].children
        wanted = [argnums] if isinstance(argnums, int) else list(argnums)
        found: list[int] = []
        labels: list[str] = []
        for argnum in wanted:
            if not -len(args) <= argnum < len(args):
                raise ArgumentError(f"argnums names argument {argnum} of a call with {len(args)}", location=caller())
            start = sum(child.leaves for child in args[: argnum % len(args)])
            found += range(start, start + args[argnum % len(args)].leaves)
            labels += paths(args[argnum % len(args)], f"argument {argnum % len(args)}")
        for position, label in zip(found, labels, strict=True):
            leaf = self.trace.leaves[position]
            if not leaf.is_float:
                raise DerivativeError(
                    f"derivatives are taken by floats, but {label} is {leaf.type.dtype.short_name}",
                    location=caller(), help="pass a float (3.0, or x.astype(np.float64)), or leave it out of argnums",
                )  # fmt: skip
        return found

    def nested(self, argnums: Argnums, leaves: Sequence[Any]) -> Any:
        """Leaves of the arguments `argnums` back in their structure."""
        args = self.structure.children[0].children
        remaining = list(leaves)
        results = []
        for argnum in [argnums] if isinstance(argnums, int) else argnums:
            count = args[argnum % len(args)].leaves
            results.append(unflatten(args[argnum % len(args)], remaining[:count]))
            del remaining[:count]
        return results[0] if isinstance(argnums, int) else tuple(results)


def call(recorder: Recorder, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call:
    """Trace `fun` for arguments of the trace at hand."""
    values, structure = flatten((args, kwargs))
    leaves = leaves_of(values, lambda: paths(structure, "args"))
    return Call(recorder, trace(fun, leaves, structure, name=name_of(fun), outer=recorder), values, structure)


def name_of(fun: Callable[..., Any]) -> str:
    """A function's name as the IR may print it."""
    name = getattr(fun, "__name__", type(fun).__name__)
    return "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name)


def split_output(made: Trace, has_aux: bool) -> tuple[Structure, Structure | None]:
    """The structure of the value, and that of the auxiliary results. Raises: DerivativeError if there are none."""
    if not has_aux:
        return made.output, None
    if made.output.type is not tuple or len(made.output.children) != 2:
        raise DerivativeError("with has_aux=True the function must return a pair (value, aux)", location=caller())
    return made.output.children[0], made.output.children[1]


def value_and_grad(
    recorder: Recorder, fun: Callable[..., Any], argnums: Argnums, has_aux: bool, args: tuple[Any, ...],
    kwargs: dict[str, Any], budget: int | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """The value (with its aux) and the gradients of a scalar function; what is kept for them takes `budget` bytes.

    Raises: DerivativeError for a value that is no float scalar.
    """
    made = call(recorder, fun, args, kwargs)
    positions = made.positions(argnums)
    value, aux = split_output(made.trace, has_aux)
    types = made.trace.function.result_types
    if value != LEAF or types[0].dims or not types[0].dtype.is_float:
        shown = ", ".join(str(kind) for kind in types[: value.leaves]) or "nothing"
        raise DerivativeError(
            f"grad needs a function of one float result without axes; {name_of(fun)} gives {shown}", location=caller(),
            help="reduce the result (np.sum, np.mean), or use vjp, jacobian or jvp",
        )  # fmt: skip
    derived = adjoint(_bounded(made, budget), positions, seeded=[0])
    results: list[Any] = list(call_inline(recorder, derived, made.trace, made.values))
    count = len(types)
    primal = results[0] if aux is None else (results[0], unflatten(aux, results[1:count]))
    return primal, made.nested(argnums, results[count:])


def pull(
    recorder: Recorder, fun: Callable[..., Any], primals: tuple[Any, ...], cotangents: Any, budget: int | None = None
) -> tuple[Any, tuple[Any, ...]]:
    """The value, and the cotangents of all (float) primals for those of the results; within `budget` bytes.

    Raises: ArgumentError for cotangents that do not nest as the results do.
    """
    made = call(recorder, fun, primals, {})
    bars, structure = flatten(cotangents)
    if structure != made.trace.output:
        raise ArgumentError("the cotangents must nest as the results do", location=caller())
    types = made.trace.function.result_types
    bars = [bar for bar, kind in zip(bars, types, strict=True) if kind.dtype.is_float]
    argnums = tuple(range(len(primals)))
    derived = adjoint(_bounded(made, budget), made.positions(argnums))
    results = call_inline(recorder, derived, made.trace, [*made.values, *_fitting(bars, types, "cotangent")])
    return unflatten(made.trace.output, results[: len(types)]), made.nested(argnums, results[len(types) :])


def push(
    recorder: Recorder, fun: Callable[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Any, Any]:
    """The value, and its tangent for those of the primals.

    Raises: ArgumentError for tangents that do not nest as the primals do.
    """
    made = call(recorder, fun, primals, {})
    dots, structure = flatten(tuple(tangents))
    if structure != made.structure.children[0]:
        raise ArgumentError("the tangents must nest as the primals do", location=caller())
    positions = made.positions(tuple(range(len(primals))))
    derived = pushforward(made.trace.function, positions)
    dots = _fitting(dots, [made.trace.leaves[position].type for position in positions], "tangent")
    results = call_inline(recorder, derived, made.trace, [*made.values, *dots])
    types = made.trace.function.result_types
    moving = iter(results[len(types) :])
    moved = [
        next(moving) if kind.dtype.is_float else np.zeros(kind.shape, kind.dtype.numpy) for kind in types
    ]
    return unflatten(made.trace.output, results[: len(types)]), unflatten(made.trace.output, moved)


def _fitting(values: Sequence[Any], types: Sequence[Any], what: str) -> list[Any]:
    """Tangents or cotangents in the shape and dtype of what they belong to. Raises: ArgumentError for other shapes."""
    fitting = []
    for value, kind in zip(values, [kind for kind in types if kind.dtype.is_float], strict=True):
        if np.shape(value) != kind.shape:
            raise ArgumentError(f"a {what} of shape {list(np.shape(value))} for a {kind}", location=caller())
        array = value if hasattr(value, "recorder") else np.asarray(value)
        fitting.append(array.astype(kind.dtype.numpy) if array.dtype != kind.dtype.numpy else array)
    return fitting


def jacobian(recorder: Recorder, fun: Callable[..., Any], argnums: Argnums, args: tuple[Any, ...],
             kwargs: dict[str, Any], forward: bool | None) -> Any:  # fmt: skip
    """All partial derivatives of an array function: result axes, then those of the argument.

    One pullback per result element or one pushforward per argument element, whichever are fewer.
    """
    made = call(recorder, fun, args, kwargs)
    if made.trace.output != LEAF:
        raise DerivativeError("jacobian needs a function with one array as its result", location=caller())
    kind = made.trace.function.result_types[0]
    positions = made.positions(argnums)
    sizes = [made.trace.leaves[position].type for position in positions]
    if forward is None:
        forward = sum(each.size for each in sizes) < kind.size
    blocks = []
    if forward:
        for position, source in zip(positions, sizes, strict=True):
            derived = pushforward(made.trace.function, [position], keep_values=False)
            dce(derived)
            columns = [call_inline(recorder, derived, made.trace, [*made.values, unit])[0] for unit in units(source)]
            rows = np.stack(columns, axis=-1) if columns else np.zeros((*kind.shape, 0), kind.dtype.numpy)
            blocks.append(np.reshape(rows, (*kind.shape, *source.shape)))
        return made.nested(argnums, blocks)
    derived = adjoint(made.trace.function, positions, keep_values=False)
    dce(derived)
    pulled = [call_inline(recorder, derived, made.trace, [*made.values, unit]) for unit in units(kind)]
    for index, source in enumerate(sizes):
        rows = np.stack([each[index] for each in pulled]) if pulled else np.zeros((0, *source.shape))
        blocks.append(np.reshape(rows, (*kind.shape, *source.shape)))
    return made.nested(argnums, blocks)


def _bounded(made: Call, budget: int | None) -> Function:
    """The function traced, with loops in segments if there is a budget of bytes for what their adjoints keep."""
    return made.trace.function if budget is None else under_budget(made.trace.function, budget)


def checkpointed(recorder: Recorder, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a call whose adjoint runs it again."""
    made = call(recorder, fun, args, kwargs)
    return unflatten(made.trace.output, call_again(recorder, made.trace, made.values))


def units(kind: Any) -> list[np.ndarray[Any, Any]]:
    """The unit vectors of a type."""
    return list(np.eye(kind.size, dtype=kind.dtype.numpy).reshape(kind.size, *kind.shape))
