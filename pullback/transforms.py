"""Derivatives as functions of Python functions: each traces its function inside the trace at hand and inlines what
the IR's own differentiation makes of it, so all of them nest to any order."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.dtypes import i64
from pullback.errors import ArgumentError, DerivativeError
from pullback.ir.ad.batch import batch
from pullback.ir.ad.checkpoint import under_budget
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Function, Operation, Region, walk
from pullback.ir.ops.arithmetic import Cast
from pullback.ir.ops.creation import Iota
from pullback.ir.ops.custom import CustomCall, VjpRule
from pullback.ir.ops.logic import Equal
from pullback.ir.ops.shape import Reshape
from pullback.ir.passes.dce import dce
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.leaf import Leaf, leaves_of
from pullback.tracer.record import Recorder
from pullback.tracer.trace import Trace, call_again, call_inline, leaf_names, name_of, trace
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
        """Numbers of the leaves of the positional arguments `argnums`: see `leaf_positions`."""
        return leaf_positions(self.trace.leaves, self.structure, argnums)

    def nested(self, argnums: Argnums, leaves: Sequence[Any]) -> Any:
        """Leaves of the arguments `argnums` back in their structure."""
        return nested(self.structure, argnums, leaves)


def leaf_positions(leaves: Sequence[Leaf], structure: Structure, argnums: Argnums) -> list[int]:
    """Numbers of the leaves of the positional arguments `argnums`, of all leaves of ``(args, kwargs)``.

    Raises: ArgumentError for an argument that is not there, DerivativeError for leaves that are no floats.
    """
    args = structure.children[0].children
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
        leaf = leaves[position]
        if not leaf.is_float:
            raise DerivativeError(
                f"derivatives are taken by floats, but {label} is {leaf.type.dtype.short_name}",
                location=caller(), help="pass a float (3.0, or x.astype(np.float64)), or leave it out of argnums",
            )  # fmt: skip
    return found


def nested(structure: Structure, argnums: Argnums, leaves: Sequence[Any]) -> Any:
    """Leaves of the arguments `argnums` back in their structure, which is part of that of ``(args, kwargs)``."""
    args = structure.children[0].children
    remaining = list(leaves)
    results = []
    for argnum in [argnums] if isinstance(argnums, int) else argnums:
        count = args[argnum % len(args)].leaves
        results.append(unflatten(args[argnum % len(args)], remaining[:count]))
        del remaining[:count]
    return results[0] if isinstance(argnums, int) else tuple(results)


def call(
    recorder: Recorder, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], *, writes: bool = False
) -> Call:
    """Trace `fun` for arguments of the trace at hand, which it may change if it `writes`."""
    values, structure = flatten((args, kwargs))
    leaves = leaves_of(values, lambda: paths(structure, "args"))
    code = getattr(fun, "__code__", None)
    bound = int(hasattr(fun, "__self__"))
    names = leaf_names(() if code is None else code.co_varnames[bound : code.co_argcount], structure)
    made = trace(fun, leaves, structure, name=name_of(fun), names=names, outer=recorder, writes=writes)
    return Call(recorder, made, values, structure)


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
    made = call(recorder, fun, args, kwargs, writes=True)
    positions = made.positions(argnums)
    value, aux = split_output(made.trace, has_aux)
    types = made.trace.result_types
    if value != LEAF or types[0].dims or not types[0].dtype.is_float:
        shown = ", ".join(str(kind) for kind in types[: value.leaves]) or "nothing"
        raise DerivativeError(
            f"grad needs a function of one float result without axes; {name_of(fun)} gives {shown}", location=caller(),
            help="reduce the result (np.sum, np.mean), or use vjp, jacobian or jvp",
        )  # fmt: skip
    derived = adjoint(_bounded(made, positions, budget), positions, seeded=[0], extend=True)
    results: list[Any] = list(call_inline(recorder, derived, made.trace, made.values, move=True))
    count = len(types)
    for number in made.trace.written:
        np.copyto(made.values[number], results.pop(count))
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
    positions = made.positions(argnums)
    derived = adjoint(_bounded(made, positions, budget), positions, extend=True)
    results = call_inline(
        recorder, derived, made.trace, [*made.values, *_fitting(bars, types, "cotangent")], move=True
    )
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


def jacobian(recorder: Recorder, fun: Callable[..., Any], argnums: Argnums, has_aux: bool, args: tuple[Any, ...],
             kwargs: dict[str, Any], forward: bool | None, square_forward: bool = False) -> Any:  # fmt: skip
    """All partial derivatives of a function of float arrays: the result's axes, then those of the argument.

    In the structure of the results, each in the structure of the arguments. All rows (of a result) or columns (of an
    argument) are found at once, by one derivative mapped over unit vectors: forward if there are fewer columns, or (with
    `square_forward`) as many.
    With `has_aux` it is ``(jacobian of the first result, the second result)``.

    Raises: DerivativeError for results that are no floats.
    """
    made = call(recorder, fun, args, kwargs)
    output, aux = split_output(made.trace, has_aux)
    types = float_results(made.trace, output, name_of(fun))
    positions = made.positions(argnums)
    sources = [made.trace.leaves[position].type for position in positions]
    if forward is None:
        taken, given = (sum(each.size for each in kinds) for kinds in (sources, types))
        forward = taken < given or (square_forward and taken == given)
        forward = forward and not any(_is_reverse_only(each) for each in walk(made.trace.function.body))
    by_result: list[list[Any]] = [[] for _ in types]
    if forward:
        for position, source in zip(positions, sources, strict=True):
            derived = pushforward(some_results(made.trace, len(types)), [position], keep_values=False)
            for blocks, kind, columns in zip(by_result, types, _mapped(made, derived, source), strict=True):
                blocks.append(np.reshape(np.moveaxis(columns, 0, -1), (*kind.shape, *source.shape)))
    else:
        for number, kind in enumerate(types):
            alone = some_results(made.trace, number + 1, number)
            rows = _mapped(made, adjoint(alone, positions, keep_values=False), kind)
            by_result[number] = [np.reshape(row, (*kind.shape, *source.shape))
                                 for row, source in zip(rows, sources, strict=True)]  # fmt: skip
    found = unflatten(output, [made.nested(argnums, blocks) for blocks in by_result])
    if aux is None:
        return found
    results = call_inline(recorder, made.trace.function, made.trace, made.values)
    return found, unflatten(aux, results[len(types) :])


def _is_reverse_only(operation: Operation) -> bool:
    return isinstance(operation.op, CustomCall) and isinstance(operation.op.rule, VjpRule)


def float_results(made: Trace, output: Structure, name: str) -> tuple[ArrayType, ...]:
    """The types of the leading results, which nest as `output`. Raises: DerivativeError for one that is no float."""
    types = made.function.result_types[: output.leaves]
    for kind, path in zip(types, paths(output, "the result"), strict=True):
        if not kind.dtype.is_float:
            raise DerivativeError(f"derivatives are of floats, but {path} of {name} is {kind}", location=caller())
    return types


def some_results(made: Trace, stop: int, start: int = 0) -> Function:
    """The traced function with some of its results only."""
    body = made.function.body
    region = Region(body.arguments, body.operations, body.yields[start:stop])
    return Function(made.function.name, region, made.function.captured)


def _mapped(made: Call, derived: Function, kind: ArrayType) -> list[Any]:
    """A derived function mapped over all unit vectors of its last argument, of this type: results along axis 0."""
    dce(derived)
    recorder = made.recorder
    many, has_axis = batch(derived, [*[False] * (len(derived.parameters) - 1), True], kind.size)
    square = (kind.size, kind.size)
    on_diagonal = recorder.value(Equal(), *(recorder.value(Iota(axis, i64, square)) for axis in (0, 1)))
    units = recorder.value(Reshape((kind.size, *kind.shape)), recorder.value(Cast(kind.dtype), on_diagonal))
    results = call_inline(recorder, many, made.trace, [*made.values, recorder.wrap(units)])
    return [result if each else np.broadcast_to(result, (kind.size, *result.shape))
            for result, each in zip(results, has_axis, strict=True)]  # fmt: skip


def _bounded(made: Call, positions: Sequence[int], budget: int | None) -> Function:
    """The function traced, with loops in segments if there is a budget of bytes for what their adjoints keep."""
    return made.trace.function if budget is None else under_budget(made.trace.function, budget, positions)


def checkpointed(recorder: Recorder, fun: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The result of a call whose adjoint runs it again."""
    made = call(recorder, fun, args, kwargs)
    return unflatten(made.trace.output, call_again(recorder, made.trace, made.values))


Axes = Any
"""An axis, or None, for every leaf; or a nest of such in the structure of the arguments, as far as that is needed."""


def vectorize(
    recorder: Recorder, fun: Callable[..., Any], in_axes: Axes, out_axes: Axes, args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:  # fmt: skip
    """`fun` for every place along the axes `in_axes` of its arguments; its results along `out_axes`.

    Raises: ArgumentError for axes that are not there, differ in size, or do not nest as the arguments do.
    """
    values, structure = flatten((args, kwargs))
    positional, keywords = structure.children
    places = [place for number, child in enumerate(positional.children) for place in paths(child, f"argument {number}")]
    for key, child in zip(keywords.keys, keywords.children, strict=True):
        places += paths(child, f"argument {key}")
    axes = [*_axes_of(in_axes, positional, "in_axes"), *[0] * keywords.leaves]
    leaves = leaves_of(values, lambda: places)
    singles, sizes = [], {}
    for leaf, axis, place in zip(leaves, axes, places, strict=True):
        if axis is None:
            singles.append(leaf)
            continue
        dims = leaf.type.dims
        if not -len(dims) <= axis < len(dims):
            raise ArgumentError(f"vmap: {place} is a {leaf.type}, which has no axis {axis}", location=caller(),
                                help="in_axes=None passes an argument as it is to every case")  # fmt: skip
        sizes[place] = dims[axis]
        rest = [dim for other, dim in enumerate(dims) if other != axis % len(dims)]
        singles.append(Leaf(leaf.type.with_shape(rest), leaf.kind))
    if len(set(sizes.values())) != 1:
        shown = ", ".join(f"{size} ({place})" for place, size in sizes.items()) or "none"
        raise ArgumentError(f"vmap needs axes of one size; there are {shown}", location=caller())
    made = Call(recorder, trace(fun, singles, structure, name=name_of(fun), outer=recorder), values, structure)
    flags = [*(axis is not None for axis in axes), *[False] * len(made.trace.lifted)]
    many, has_axis = batch(made.trace.function, flags, int(next(iter(sizes.values()))))
    moved = [value if axis is None else np.moveaxis(value, axis, 0) for value, axis in zip(values, axes, strict=True)]
    results = call_inline(recorder, many, made.trace, moved)
    wanted = _axes_of(out_axes, made.trace.output, "out_axes")
    size = int(next(iter(sizes.values())))
    complete = [_with_axis(*each, size) for each in zip(results, has_axis, wanted, strict=True)]
    return unflatten(made.trace.output, complete)


def _with_axis(result: Any, has_axis: bool, wanted: int | None, size: int) -> Any:
    """A result with the axis of the cases where it is wanted. Raises: ArgumentError where that cannot be."""
    if wanted is None:
        if has_axis:
            raise ArgumentError("vmap: out_axes is None for a result that differs from case to case", location=caller())
        return result
    rank = result.ndim + (not has_axis)
    if not -rank <= wanted < rank:
        raise ArgumentError(f"vmap: out_axes is {wanted} for a result with {rank} axes", location=caller())
    return np.moveaxis(result if has_axis else np.broadcast_to(result, (size, *result.shape)), 0, wanted)


def _axes_of(axes: Axes, structure: Structure, name: str) -> list[int | None]:
    """The axis of each leaf. Raises: ArgumentError unless `axes` nest as the leaves do, or less deep."""
    if axes is None or isinstance(axes, int):
        return [axes] * structure.leaves
    children = axes.values() if isinstance(axes, dict) else axes if isinstance(axes, list | tuple) else ()
    fits = len(children) == len(structure.children) > 0
    if isinstance(axes, dict):
        fits = fits and set(axes) == set(structure.keys)
        children = [axes[key] for key in structure.keys] if fits else []
    if not fits or structure.type is None:
        raise ArgumentError(f"vmap: {name} {axes!r} do not nest as what they are for", location=caller(),
                            help="give one number or None, or one for each of them")  # fmt: skip
    pairs = zip(children, structure.children, strict=True)
    return [axis for each, child in pairs for axis in _axes_of(each, child, name)]
