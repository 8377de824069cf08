"""From a Python call to native code: the first call of each kind of arguments compiles, later ones enter directly."""
from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.collection import seldom
from pullback.config import config, log, settings
from pullback.errors import ArgumentError, ArgumentValueError
from pullback.location import caller
from pullback.nested_calls import missed, nested_call
from pullback.runtime.abi import ArgumentKind, ArgumentSpec, ResultTree
from pullback.tracer.calls import traceable
from pullback.tracer.leaf import Leaf, LeafKind, leaves_of
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.trace import Trace, find_recorder, leaf_names, trace
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
    is_flat: bool
    """Whether the arguments are leaves."""
    published: Callable[..., Any]
    """What to call with arguments by position."""
    seconds: float

    def call(self, values: Sequence[Any]) -> Any:
        """Run on leaves of these types, whatever their memory layout."""
        ready = [_ready(value, leaf) for value, leaf in zip(values, self.trace.leaves, strict=True)]
        if self.trace.written:
            return self.change(values, ready)
        results = self.entry(*ready)
        if self.is_direct:
            return results
        return unflatten(self.output, results)

    def change(self, values: Sequence[Any], ready: Sequence[Any]) -> Any:
        """Run a function that changes arguments. Raises: ArgumentValueError for one that must not, or cannot, change."""
        written = self.trace.written
        for number in written:
            self.check_changeable(number, values)
        results = self.entry(*ready)
        count = self.output.leaves
        for number, result in zip(written, results[count:], strict=True):
            np.copyto(values[number], result)
        return unflatten(self.output, results[:count])

    def check_changeable(self, number: int, values: Sequence[Any]) -> None:
        name = self.trace.function.parameters[number].name
        array = values[number]
        if not isinstance(array, np.ndarray) or not array.flags.writeable:
            raise ArgumentValueError(f"assignment destination is read-only: the function changes {name}", location=caller(),
                                     help=f"pass {name}.copy()")  # fmt: skip
        for other, value in enumerate(values):
            if other != number and isinstance(value, np.ndarray) and np.may_share_memory(array, value):
                name_there = self.trace.function.parameters[other].name
                raise ArgumentValueError(f"the function changes {name}, which shares memory with {name_there}",
                                         location=caller(), help=f"pass {name_there}.copy()")  # fmt: skip


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


@dataclass(frozen=True)
class Static:
    """Which arguments are Python values that code is compiled for: by number (negative from the end) or by name."""

    argnums: tuple[int, ...] = ()
    argnames: tuple[str, ...] = ()

    def split(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], signature: inspect.Signature | None
    ) -> tuple[tuple[Any, ...], dict[str, Any], tuple[tuple[int | str, Any], ...]]:
        """Arguments without the static ones, and those, each with its place or name."""
        if not self.argnums and not self.argnames:
            return args, kwargs, ()
        kinds = () if signature is None else signature.parameters.values()
        parameters = [each.name for each in kinds if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
        count = len(parameters) or len(args)
        places = {number % count if count else number for number in self.argnums}
        names = {*self.argnames, *(parameters[place] for place in places if place < len(parameters))}
        places |= {place for place, name in enumerate(parameters) if name in names}
        found: list[tuple[int | str, Any]] = [(place, args[place]) for place in sorted(places) if place < len(args)]
        found += [(name, kwargs[name]) for name in sorted(names) if name in kwargs]
        dynamic = tuple([value for place, value in enumerate(args) if place not in places])
        return dynamic, {name: value for name, value in kwargs.items() if name not in names}, tuple(found)


def with_static(fun: Callable[..., Any], static: tuple[tuple[int | str, Any], ...]) -> Callable[..., Any]:
    """The function of the traced arguments alone."""
    if not static:
        return fun
    places = {place: value for place, value in static if isinstance(place, int)}
    names = {name: value for name, value in static if isinstance(name, str)}

    def closed(*args: Any, **kwargs: Any) -> Any:
        whole = list(args)
        for place in sorted(places):
            whole.insert(place, places[place])
        return traceable(fun)(*whole, **kwargs, **names)

    closed.__name__ = getattr(fun, "__name__", type(fun).__name__)
    return closed


@dataclass(eq=False)
class Dispatcher:
    """One compiled function of any argument types.

    `call` is what to call. `publish` is told the fastest callable whenever there is a better one: a native entry that
    comes back to `miss` for arguments it does not know.
    """

    fun: Callable[..., Any]
    name: str
    doc: str = ""
    static: Static = Static()
    signature: inspect.Signature | None = None
    filled: int = 0
    """Leading parameters whose defaults are traced; other defaults stay what they are in Python."""
    publish: Callable[[Callable[..., Any]], None] | None = None
    boundscheck: bool | None = None
    """Whether native code tests computed indices; None leaves it to the settings."""
    specializations: dict[Any, Specialization] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    traces: dict[Any, Trace] = field(default_factory=dict)
    """What calls with tensors have traced."""
    places: tuple[int, ...] = ()
    entries: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    """Native entries by the number of arguments and the static ones among them, at `places`."""

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Enter the native code for these static arguments, or find out what there is to do."""
        if self.entries and not kwargs:
            static = tuple([args[place] for place in self.places if place < len(args)])
            try:
                entry = self.entries.get((len(args), _typed(static)))
            except TypeError:  # one without a hash: `miss` says so
                entry = None
            if entry is not None:
                return entry(*[value for place, value in enumerate(args) if place not in self.places])
        return self.miss(*args, **kwargs)

    def miss(self, *args: Any, **kwargs: Any) -> Any:
        """Find or make the specialization for these arguments, and call it."""
        given = args if not kwargs else None
        args, kwargs = self.bound(args, kwargs)
        dynamic, dynamic_kwargs, static = self.split(args, kwargs)
        values, structure = flatten((dynamic, dynamic_kwargs))
        if find_recorder(values) is not None:
            return traceable(self.fun)(*args, **kwargs)
        if any(isinstance(value, IsTensor) for value in values):
            return self.of_tensors(values, structure, static)
        leaves = tuple(leaves_of(values, lambda: self.labels(structure, static)))
        key = (structure, leaves, _typed(static), settings().opt, self.tests_bounds())
        known = self.specializations.get(key)
        if known is None:
            known = self.specializations[key] = self.specialize(leaves, structure, args, kwargs, static)
        if self.publish is not None and not kwargs and not known.trace.written:
            if not static:
                self.publish(known.published)
            elif known.is_direct and known.is_flat and given is not None and len(given) == len(args):
                self.places = tuple([place for place, _ in static])
                self.entries[len(args), _typed(tuple([value for _, value in static]))] = known.entry
        return known.call(values)

    def again(self, static: Any, *dynamic: Any) -> Any:
        """A call whose dynamic arguments did not fit the native code for these static ones."""
        args = list(dynamic)
        for place, value in static:
            args.insert(place, value)
        return self.miss(*args)

    def of_tensors(self, values: list[Any], structure: Structure, static: Any) -> Any:
        """A call with tensors: one step of their graph, whose gradient is this function's adjoint."""
        from pullback.tracer.tensor_call import record_trace, tensor_leaf  # loaded with the tensors

        labels = self.labels(structure, static)
        leaves = tuple([tensor_leaf(value, label) for value, label in zip(values, labels, strict=True)])
        key = (structure, leaves, _typed(static))
        made = self.traces.get(key)
        if made is None:
            made = self.traces[key] = self.trace(leaves, structure, static, writes=False)
        return record_trace(made, f"{self.name}Backward", values)

    def labels(self, structure: Structure, static: Any) -> list[str]:
        """How a user would write each leaf of the traced arguments: ``w['bias'][0]``."""
        gone = {place for place, _ in static}
        names = [] if self.signature is None else list(self.signature.parameters)
        names = [name for place, name in enumerate(names) if place not in gone]
        positional, keywords = structure.children
        found = []
        for place, child in enumerate(positional.children):
            found += paths(child, names[place] if place < len(names) else f"argument {place}")
        for name, child in zip(keywords.keys, keywords.children, strict=True):
            found += paths(child, name)
        return found

    def bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments by position as far as the signature allows.

        Raises: ArgumentError for arguments that do not fit the signature.
        """
        if self.signature is None:
            return args, kwargs
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {error}", location=caller()) from None
        for name, parameter in islice(self.signature.parameters.items(), self.filled):
            if parameter.default is not parameter.empty:
                bound.arguments.setdefault(name, parameter.default)
        return bound.args, bound.kwargs

    def split(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
        """Arguments to trace, with static ones taken out, and those.

        Raises: ArgumentError for a static argument without a hash.
        """
        dynamic, dynamic_kwargs, static = self.static.split(args, kwargs, self.signature)
        for name, value in static:
            try:
                hash(value)
            except TypeError:
                raise ArgumentError(
                    f"static argument {name!r} of {self.name} is a {type(value).__name__}, which has no hash",
                    location=caller(), help="use a tuple or a frozen dataclass",
                ) from None  # fmt: skip
        return dynamic, dynamic_kwargs, static

    def trace(self, leaves: Sequence[Leaf], structure: Structure, static: Any, writes: bool = True) -> Trace:
        """Trace for argument leaves; parameters are named as the function names them."""
        names = leaf_names(() if self.signature is None or static else tuple(self.signature.parameters), structure)
        with config(boundscheck=self.tests_bounds()):
            return trace(with_static(self.fun, static), leaves, structure, name=self.name, names=names, writes=writes)

    def tests_bounds(self) -> bool:
        return settings().boundscheck if self.boundscheck is None else self.boundscheck

    def trace_for(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Trace:
        """The trace for arguments like these; nothing is compiled or kept."""
        args, kwargs = self.bound(args, kwargs)
        dynamic, dynamic_kwargs, static = self.split(args, kwargs)
        values, structure = flatten((dynamic, dynamic_kwargs))
        return self.trace(leaves_of(values, lambda: self.labels(structure, static)), structure, static)

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
        with seldom():
            traced = self.trace(leaves, structure, static)
            call = call_spec(traced)
            executable = compile_function(traced.function, call)
        direct = not traced.written and _result_tree(traced.output) is not None
        flat = all(child == LEAF for child in structure.children[0].children)
        if direct and flat:
            published = entry = native_entry(
                executable, call, partial(self.again, static) if static else self.miss, self.name, self.doc
            )
        else:
            entry = native_entry(executable, call, missed, self.name, self.doc)
            published = nested_call(structure.children[0], None if direct else traced.output, entry, self.miss)
        seconds = time.perf_counter() - started
        log("trace", "%s: %d operations in %.1f ms", self.name, len(traced.function.body.operations), 1e3 * seconds)
        return Specialization(traced, executable, entry, traced.output, direct, flat, published, seconds)

    def _reason(self, leaves: Sequence[Leaf], static: Any) -> str:
        shown = ", ".join(f"{leaf.type}" + ("" if leaf.kind is LeafKind.ARRAY else " (Python)") for leaf in leaves)
        text = f"({shown})" + (f" with {static}" if static else "")
        return f"first call: {text}" if not self.specializations else f"new argument types: {text}"


def _typed(value: Any) -> Any:
    """A static value as a key that keeps 1, 1.0 and True apart."""
    if isinstance(value, tuple):
        return tuple([_typed(each) for each in value])
    return type(value), value.hex() if type(value) is float else value


def call_spec(traced: Trace) -> CallSpec:
    """How Python calls what a traced function is compiled to."""
    from pullback.compiler import CallSpec

    types = traced.function.result_types
    tree = None if traced.written else _result_tree(traced.output)
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
