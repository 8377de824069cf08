"""A Python function and example arguments in, an IR function out: the function runs once, on traced arguments."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.errors import ArgumentError, TraceError
from pullback.ir.clone import inline, move_in
from pullback.ir.core import Function, Region, RegionBuilder, Value
from pullback.ir.ops.control import Checkpoint
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.calls import traceable
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.leaf import Leaf, LeafKind, leaf_of
from pullback.tracer.memory import argument
from pullback.tracer.numpy_protocol import TracedArray, wrap
from pullback.tracer.record import Recorder, current_recorder, escaped, recording
from pullback.tracer.traced import Traced, array_of, lift_through
from pullback.tracer.tree import LEAF, Structure, flatten, paths, unflatten


@dataclass(frozen=True)
class Trace:
    """A traced function. Its parameters are the argument leaves, then `lifted` values of the traces around.

    `output` is how results nest. `written` are the numbers of the leaves whose arrays the function changes; what these
    hold at its end are the last results of `function`, and no part of `output`.
    """

    function: Function
    leaves: tuple[Leaf, ...]
    lifted: tuple[Traced, ...]
    output: Structure
    written: tuple[int, ...] = ()

    @property
    def result_types(self) -> tuple[ArrayType, ...]:
        """Types of what the function returns."""
        return self.function.result_types[: self.output.leaves]


def name_of(fun: Callable[..., Any]) -> str:
    """A function's name as the IR may print it."""
    name = getattr(fun, "__name__", type(fun).__name__)
    return "".join(letter if letter.isalnum() or letter == "_" else "_" for letter in name)


def leaf_names(parameters: Sequence[str], structure: Structure) -> list[str]:
    """A name for each leaf of the positional arguments, from those of the parameters: ``w``, or ``w0``, ``w1``, …"""
    names: list[str] = []
    for name, child in zip(parameters, structure.children[0].children, strict=False):
        names += [name] if child == LEAF else [f"{name}{index}" for index in range(child.leaves)]
    return names


def trace(
    fun: Callable[..., Any],
    leaves: Sequence[Leaf],
    structure: Structure,
    *,
    name: str,
    names: Sequence[str] = (),
    outer: Recorder | None = None,
    writes: bool = False,
) -> Trace:
    """Run `fun` once on traced arguments; `structure` is that of ``(args, kwargs)``.

    With `writes` it may assign into its arguments.

    Raises: TraceError with the user's line for what cannot be traced.
    """
    recorder = Recorder(TracedArray, outer)
    parameters = []
    for index, leaf in enumerate(leaves):
        parameters.append(Value(leaf.type, name=names[index] if index < len(names) else f"x{index}"))
    traced = [
        TracedArray(value, recorder, leaf.kind is not LeafKind.ARRAY)
        for value, leaf in zip(parameters, leaves, strict=True)
    ]
    for array in traced:
        if not writes and array.own is not None and array.type.rank:
            array.state = (None, argument(array.own, array.own.name))
    args, kwargs = unflatten(structure, traced)
    with recording(recorder):
        result = traceable(fun)(*args, **kwargs)
        results, output = flatten(result)
        yields = [_result(recorder, value, path) for value, path in zip(results, paths(output, "result"), strict=True)]
        written = [
            number for number, (array, value) in enumerate(zip(traced, parameters, strict=True))
            if array.memory is not None or array.own is not value
        ] if writes else []  # fmt: skip
        yields += [traced[number].value for number in written]
        function, lifted = recorder.finish(name, parameters, yields)
    around = tuple(TracedArray(value, outer) for value in lifted) if outer is not None else ()
    return Trace(function, tuple(leaves), around, output, tuple(written))


def _result(recorder: Recorder, value: Any, path: str) -> Value:
    """A result leaf as a value; what was not computed from arguments is a constant."""
    if isinstance(value, Traced):
        return value.value if value.recorder is recorder else lift_through(recorder, value)
    if isinstance(value, Chosen):
        value.returned(path)
    try:
        leaf_of(value, path)
    except ArgumentError as error:
        raise TraceError(
            f"the {error.message.replace('arguments are', 'results are')}", location=error.location,
            help="return arrays and numbers only",
        ) from None  # fmt: skip
    return array_of(recorder, value)


def find_recorder(values: Sequence[Any]) -> Recorder | None:
    """The trace under way, which a nested call becomes part of: its function may close over traced values.

    Raises: TraceError if one of `values` was traced but no trace is under way.
    """
    recorder = current_recorder()
    if recorder is None and any(isinstance(value, Traced) for value in values):
        raise escaped()
    return recorder


def call_inline(
    recorder: Recorder, made: Function, traced: Trace, values: Sequence[Any], *, move: bool = False
) -> list[TracedArray]:
    """Insert a function derived from a trace into another trace; `values` are its leading arguments.

    With `move` its own operations go there, and it is good for nothing afterwards; else copies of them.
    """
    operands = [array_of(recorder, value) for value in (*values[: len(traced.leaves)], *traced.lifted)]
    operands += [array_of(recorder, value) for value in values[len(traced.leaves) :]]
    operands += [recorder.capture(_bound(array)) for array in made.captured]
    return [wrap(value, recorder) for value in (move_in if move else inline)(recorder, made, operands)]


def call_again(recorder: Recorder, traced: Trace, values: Sequence[Any]) -> list[TracedArray]:
    """Insert a traced function as a checkpoint: its adjoint runs it again."""
    operands = [array_of(recorder, value) for value in (*values, *traced.lifted)]
    operands += [recorder.capture(_bound(array)) for array in traced.function.captured]
    region = Region()
    region.yields = tuple(inline(RegionBuilder(region), traced.function, operands))
    recorder.location = caller()
    return [wrap(value, recorder) for value in recorder.emit(Checkpoint(), regions=(region,)).results]


def _bound(array: Any) -> np.ndarray[Any, Any]:
    if array is None:
        raise TraceError("a captured array has no data")
    return np.asarray(array)
