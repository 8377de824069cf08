"""From a Python call to native code: the first call of each kind of arguments compiles, later ones enter directly."""
from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.config import log, settings
from pullback.errors import ArgumentError
from pullback.location import caller
from pullback.runtime.abi import ArgumentKind, ArgumentSpec, ResultTree
from pullback.tracer.leaf import Leaf, LeafKind, leaves_of
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.trace import Trace, find_recorder, trace
from pullback.tracer.tree import LEAF, Structure, flatten, paths, unflatten

if TYPE_CHECKING:
    from pullback.compiler import CallSpec, Executable

_KINDS = {
    LeafKind.ARRAY: ArgumentKind.ARRAY, LeafKind.FLOAT: ArgumentKind.PYTHON_FLOAT,
    LeafKind.INT: ArgumentKind.PYTHON_INT, LeafKind.BOOL: ArgumentKind.PYTHON_BOOL,
}  # fmt: skip


@dataclass
class Specialization:
    """A function compiled for one kind of arguments. `entry` takes the argument leaves; results nest as `output`."""

    trace: Trace
    executable: Executable
    entry: Callable[..., Any]
    output: Structure
    is_direct: bool
    """Whether the entry's own tuples are the function's result: then nothing is left to do in Python."""
    seconds: float

    def call(self, values: Sequence[Any]) -> Any:
        """Run on leaves of these types, whatever their memory layout."""
        ready = [_ready(value, leaf) for value, leaf in zip(values, self.trace.leaves, strict=True)]
        results = self.entry(*ready)
        if self.is_direct:
            return results
        return unflatten(self.output, results)


def _ready(value: Any, leaf: Leaf) -> Any:
    """A leaf as the entry takes it: C order, aligned, native byte order, exactly an ndarray."""
    if leaf.kind is LeafKind.ARRAY:
        array = np.require(value, leaf.type.dtype.numpy, ["C", "A"])
        # np.require makes one axis of none, and keeps the dtype object of an equal dtype.
        array = array.reshape(leaf.type.shape).view(np.ndarray)
        return array if array.dtype is leaf.type.dtype.numpy else array.astype(leaf.type.dtype.numpy)
    if leaf.kind is LeafKind.INT and not -(2**63) <= value < 2**63:
        raise ArgumentError(f"the Python integer {value} does not fit 64 bits", location=caller())
    return value


@dataclass(eq=False)
class Dispatcher:
    """One compiled function of any argument types.

    `call` is what to call. `publish` is told the fastest callable whenever there is a better one: a native entry that
    comes back to `miss` for arguments it does not know.
    """

    fun: Callable[..., Any]
    name: str
    doc: str = ""
    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()
    signature: inspect.Signature | None = None
    publish: Callable[[Callable[..., Any]], None] | None = None
    specializations: dict[Any, Specialization] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    traces: dict[Any, Trace] = field(default_factory=dict)
    """What calls with tensors have traced."""

    def miss(self, *args: Any, **kwargs: Any) -> Any:
        """Find or make the specialization for these arguments, and call it."""
        args, kwargs = self.bound(args, kwargs)
        dynamic, dynamic_kwargs, static = self.split(args, kwargs)
        values, structure = flatten((dynamic, dynamic_kwargs))
        if find_recorder(values) is not None:
            return self.fun(*args, **kwargs)
        if any(isinstance(value, IsTensor) for value in values):
            return self.of_tensors(values, structure, static)
        leaves = tuple(leaves_of(values, structure, self.name))
        key = (structure, leaves, static, settings().opt, settings().boundscheck)
        known = self.specializations.get(key)
        if known is None:
            known = self.specializations[key] = self.specialize(leaves, structure, args, kwargs, static)
        flat = all(child is LEAF or child == LEAF for child in structure.children[0].children)
        if known.is_direct and self.publish is not None and not static and not kwargs and flat:
            self.publish(known.entry)
        return known.call(values)

    def of_tensors(self, values: list[Any], structure: Structure, static: Any) -> Any:
        """A call with tensors: one step of their graph, whose gradient is this function's adjoint."""
        from pullback.tracer.tensor_call import record_trace, tensor_leaf  # loaded with the tensors

        leaves = tuple([tensor_leaf(value, path) for value, path in zip(values, paths(structure, self.name), strict=True)])
        key = (structure, leaves, static)
        made = self.traces.get(key)
        if made is None:
            made = self.traces[key] = self.trace(leaves, structure, static)
        return record_trace(made, f"{self.name}Backward", values)

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments by position as far as the signature allows, defaults filled in."""
        if self.signature is None:
            return args, kwargs
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {error}", location=caller()) from None
        bound.apply_defaults()
        return bound.args, bound.kwargs

    def split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        """Arguments to trace, with static ones taken out, and those."""
        places = {number % len(args) if args else number for number in self.static_argnums}
        names = set(self.static_argnames)
        if self.signature is not None:
            for place, name in enumerate(list(self.signature.parameters)[: len(args)]):
                if name in names:
                    places.add(place)
        static = tuple((place, args[place]) for place in sorted(places) if place < len(args))
        static += tuple((name, kwargs[name]) for name in sorted(names) if name in kwargs)
        for name, value in static:
            if getattr(type(value), "__hash__", None) is None:
                raise ArgumentError(f"static argument {name!r} of {self.name} is a {type(value).__name__}, which has "
                                    "no hash", location=caller(), help="use a tuple or a frozen dataclass")  # fmt: skip
        dynamic = tuple(value for place, value in enumerate(args) if place not in places)
        return dynamic, {name: value for name, value in kwargs.items() if name not in names}, static

    def with_static(self, static: Any) -> Callable[..., Any]:
        """The function of the traced arguments alone."""
        if not static:
            return self.fun
        places = {place: value for place, value in static if isinstance(place, int)}
        names = {name: value for name, value in static if isinstance(name, str)}

        def closed(*args: Any, **kwargs: Any) -> Any:
            whole = list(args)
            for place in sorted(places):
                whole.insert(place, places[place])
            return self.fun(*whole, **kwargs, **names)

        return closed

    def trace(self, leaves: Sequence[Leaf], structure: Structure, static: Any) -> Trace:
        """Trace for argument leaves; parameters are named as the function names them."""
        names: list[str] = []
        if self.signature is not None and not static:
            for name, child in zip(self.signature.parameters, structure.children[0].children, strict=False):
                names += [name] if child == LEAF else [f"{name}{index}" for index in range(child.leaves)]
        return trace(self.with_static(static), leaves, structure, name=self.name, names=names)

    def trace_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Trace:
        """The trace for arguments like these; nothing is compiled or kept."""
        args, kwargs = self.bound(args, kwargs)
        dynamic, dynamic_kwargs, static = self.split(args, kwargs)
        values, structure = flatten((dynamic, dynamic_kwargs))
        return self.trace(leaves_of(values, structure, self.name), structure, static)

    def specialize(
        self, leaves: tuple[Leaf, ...], structure: Structure, args: Any, kwargs: Any, static: Any
    ) -> Specialization:
        """Trace and compile."""
        # Code generation is loaded by the first call: importing the package stays cheap.
        from pullback.compiler import compile_function, native_entry

        started = time.perf_counter()
        reason = self._reason(leaves, static)
        self.reasons.append(reason)
        log("recompile", "%s: %s", self.name, reason)
        traced = self.trace(leaves, structure, static)
        call = call_spec(traced)
        executable = compile_function(traced.function, call)
        entry = native_entry(executable, call, self.miss, self.name, self.doc)
        direct = _result_tree(traced.output) is not None
        seconds = time.perf_counter() - started
        log("trace", "%s: %d operations in %.1f ms", self.name, len(traced.function.body.operations), 1e3 * seconds)
        return Specialization(traced, executable, entry, traced.output, direct, seconds)

    def _reason(self, leaves: Sequence[Leaf], static: Any) -> str:
        shown = ", ".join(f"{leaf.type}" + ("" if leaf.kind is LeafKind.ARRAY else " (Python)") for leaf in leaves)
        text = f"({shown})" + (f" with {static}" if static else "")
        return f"first call: {text}" if not self.specializations else f"new argument types: {text}"


def call_spec(traced: Trace) -> CallSpec:
    """How Python calls what a traced function is compiled to."""
    from pullback.compiler import CallSpec

    types = traced.function.result_types
    tree = _result_tree(traced.output)
    arguments = tuple(ArgumentSpec(_KINDS[leaf.kind], leaf.type.dtype, leaf.type.shape) for leaf in traced.leaves)
    scalars = tuple(not kind.dims for kind in types)
    return CallSpec(arguments, scalars, tuple(range(len(types))) if tree is None else tree)


def _result_tree(structure: Structure) -> ResultTree | None:
    """The structure as nested tuples of result numbers, or None where it holds anything else."""
    count = 0

    def nested(node: Structure) -> ResultTree | None:
        nonlocal count
        if node.type is None:
            count += 1
            return count - 1
        if node.type is not tuple:
            return None
        children = [nested(child) for child in node.children]
        known = tuple(child for child in children if child is not None)
        return known if len(known) == len(children) else None

    return nested(structure)
