"""custom_jvp and custom_vjp: a function and the user's rules for its derivative in, a function that records both out.

A rule is traced when a derivative is taken, and not before: it may call the function that it belongs to.
"""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, Generic, NoReturn, ParamSpec, TypeVar

from pullback.errors import ArgumentError, DerivativeError, EscapedError
from pullback.ir.core import Function, Value
from pullback.ir.ops.custom import CustomCall, Halves, JvpRule, Rule, VjpRule
from pullback.ir.types import ArrayType
from pullback.location import caller
from pullback.tracer.calls import traceable
from pullback.tracer.leaf import Leaf, LeafKind, leaves_of
from pullback.tracer.record import Recorder, current_recorder
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.slots import is_same
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.trace import name_of, trace
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.tree import Structure, flatten, leaves_like, paths, unflatten
from pullback.tracer.undefined import UNDEFINED

P = ParamSpec("P")
R = TypeVar("R")


class _Custom(Generic[P, R]):
    """What custom_jvp and custom_vjp have in common: how a call is recorded."""

    def __init__(self, fun: Callable[P, R], nondiff_argnums: Sequence[int] = ()) -> None:
        if not callable(fun):
            raise ArgumentError(f"{type(self).__name__} takes a function, not a {type(fun).__name__}", location=caller())
        functools.update_wrapper(self, fun)
        self.fun = fun
        self.nondiff_argnums = tuple(nondiff_argnums)

    def rules(self) -> tuple[Callable[..., Any], ...]:
        """The user's rules. Raises: ArgumentError if there are none."""
        raise NotImplementedError

    def rule(self, call: _Call, primal: Function) -> Rule:
        raise NotImplementedError

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        given = self._positional(args, kwargs)
        recorder = current_recorder()
        if recorder is None:
            if any(isinstance(leaf, IsTensor) for leaf in flatten(given)[0]):
                from pullback.tracer.tensor_call import call_numpy  # loaded with the tensors

                return call_numpy(self, given, {})  # type: ignore[no-any-return]
            return self.fun(*given)  # type: ignore[call-arg]
        return self._record(recorder, given)  # type: ignore[no-any-return]

    def _positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        if not kwargs:
            return args
        try:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"{name_of(self)}: {error}", location=caller()) from None
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(f"{name_of(self)} has a derivative rule, and takes no arguments by keyword only",
                                location=caller())  # fmt: skip
        return bound.args

    def _record(self, recorder: Recorder, given: tuple[Any, ...]) -> Any:
        """One operation for the call. Raises: ArgumentError for arguments that are no arrays."""
        rules = self.rules()
        recorder.note()
        fixed = {place % len(given): given[place] for place in self.nondiff_argnums if -len(given) <= place < len(given)}
        for place, value in fixed.items():
            if any(isinstance(leaf, Traced) for leaf in flatten(value)[0]):
                raise ArgumentError(f"argument {place} of {name_of(self)} is named in nondiff_argnums, but is computed",
                                    location=caller(), help="leave it out there")  # fmt: skip
        args = tuple([value for place, value in enumerate(given) if place not in fixed])
        values, structure = flatten((args, {}))
        nests = enumerate(structure.children[0].children)
        labels = [path for place, child in nests for path in paths(child, f"argument {place}")]
        try:
            leaves = leaves_of(values, lambda: labels)
        except ArgumentError as error:
            raise ArgumentError(error.message, location=error.location,
                                help="name it in nondiff_argnums if it is a setting") from None  # fmt: skip
        made = trace(functools.partial(_filled, self.fun, fixed), leaves, structure, name=name_of(self), outer=recorder)
        primal = Function(made.function.name, made.function.body)
        call = _Call(self, fixed, tuple(leaves), structure, made.output, primal.result_types,
                     tuple([_Cells.of(function) for function in (self.fun, *rules)]))  # fmt: skip
        rule = self.rule(call, primal)
        operands = [array_of(recorder, value) for value in (*values, *made.lifted)]
        operands += [recorder.capture(array) for array in made.function.captured if array is not None]
        recorder.location = caller()
        results = recorder.emit(CustomCall(rule, primal.result_types), *operands).results
        return unflatten(made.output, [recorder.wrap(result) for result in results])


class custom_jvp(_Custom[P, R]):
    """A function with a forward rule of its own: ``@custom_jvp``, then ``@f.defjvp`` on the rule. As in JAX.

    ``rule(primals, tangents) -> (value, tangent)`` must be linear in the tangents, which nest as the primals do (None
    for integers and bools); the reverse mode follows from it. Derivatives of the rule are those of higher orders, so
    that it may call `f` again. The value that a derivative comes with is the function's own, not the rule's.

    Arguments numbered in `nondiff_argnums` are Python values, handed to the rule first.
    """

    _rule: Callable[..., Any] | None = None

    def defjvp(self, rule: Callable[..., Any]) -> Callable[..., Any]:
        """State the rule; gives it."""
        self._rule = rule
        return rule

    def defjvps(self, *rules: Callable[..., Any] | None) -> None:
        """State a rule for each argument, ``rule(tangent, value, *args) -> tangent``; None where it is zero."""
        if self.nondiff_argnums:
            raise ArgumentError("defjvps does not go with nondiff_argnums", location=caller(), help="use defjvp")

        def together(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            value = self(*primals)  # type: ignore[call-arg]
            pairs = [(rule, tangent) for rule, tangent in zip(rules, tangents, strict=True) if tangent is not None]
            parts = [traceable(rule)(tangent, value, *primals) for rule, tangent in pairs if rule is not None]
            return value, functools.reduce(lambda left, right: left + right, parts) if parts else None

        self._rule = together

    def rules(self) -> tuple[Callable[..., Any], ...]:
        if self._rule is None:
            raise ArgumentError(f"{name_of(self)} has no derivative rule yet", location=caller(),
                                help="state it by @f.defjvp")  # fmt: skip
        return (self._rule,)

    def rule(self, call: _Call, primal: Function) -> Rule:
        return _Jvp(call, primal)


class custom_vjp(_Custom[P, R]):
    """A function with a reverse rule of its own: ``@custom_vjp``, then ``f.defvjp(forward, backward)``. As in JAX.

    ``forward(*args) -> (value, residuals)`` and ``backward(residuals, cotangent) -> (a cotangent for each argument)``, in
    a tuple, None standing for zeros. Forward mode (jvp, jacfwd, hessian) is an error. `forward` runs when a gradient
    is taken, besides the function; the value is the function's own.

    Arguments numbered in `nondiff_argnums` are Python values: `forward` takes them in their places, `backward` first.
    """

    _halves: tuple[Callable[..., Any], Callable[..., Any]] | None = None

    def defvjp(self, forward: Callable[..., Any], backward: Callable[..., Any]) -> None:
        """State the rule."""
        self._halves = forward, backward

    def rules(self) -> tuple[Callable[..., Any], ...]:
        if self._halves is None:
            raise ArgumentError(f"{name_of(self)} has no derivative rule yet", location=caller(),
                                help="state it by f.defvjp(forward, backward)")  # fmt: skip
        return self._halves

    def rule(self, call: _Call, primal: Function) -> Rule:
        return _Vjp(call, primal)


def _filled(fun: Callable[..., Any], fixed: dict[int, Any], *args: Any) -> Any:
    """A call with the fixed arguments in their places."""
    whole = list(args)
    for place in sorted(fixed):
        whole.insert(place, fixed[place])
    return traceable(fun)(*whole)


@dataclass(frozen=True)
class _Cells:
    """What a function's closure held when it was called: its rule must see the same."""

    function: Any
    contents: tuple[Any, ...]

    @staticmethod
    def of(function: Any) -> _Cells:
        return _Cells(function, _contents(function))

    def check(self) -> None:
        """Raises: DerivativeError if something else is there now: a derivative would be that of another function."""
        names = _code_of(self.function).co_freevars if self.contents else ()
        for name, before, now in zip(names, self.contents, _contents(self.function), strict=True):
            if not is_same(before, now):
                raise DerivativeError(
                    f"{name_of(self.function)} closes over {name}, which has changed since the call",
                    help=f"make {name} an argument of the function, or a default: lambda x, {name}={name}: ...",
                )  # fmt: skip


def _plain(function: Any) -> Any:
    return function.__func__ if isinstance(function, MethodType) else function


def _code_of(function: Any) -> Any:
    return _plain(function).__code__


def _contents(function: Any) -> tuple[Any, ...]:
    function = _plain(function)
    if not isinstance(function, FunctionType):
        return ()
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:
            found.append(UNDEFINED)
    return tuple(found)


@dataclass(frozen=True)
class _Call:
    """A call of a custom function: how its arguments and results nest, and what its rules are given."""

    custom: _Custom[..., Any]
    fixed: dict[int, Any]
    leaves: tuple[Leaf, ...]
    structure: Structure
    output: Structure
    types: tuple[ArrayType, ...]
    cells: tuple[_Cells, ...]

    @property
    def name(self) -> str:
        return name_of(self.custom)

    @property
    def key(self) -> Any:
        fixed = tuple([(place, id(value)) for place, value in sorted(self.fixed.items())])
        return self.custom, fixed, self.structure, self.leaves

    @property
    def arguments(self) -> Structure:
        """How the positional arguments nest."""
        return self.structure.children[0]

    @property
    def settings(self) -> list[Any]:
        return [value for _, value in sorted(self.fixed.items())]

    @property
    def float_types(self) -> list[ArrayType]:
        return [kind for kind in self.types if kind.dtype.is_float]

    def refuse(self, message: str) -> NoReturn:
        raise DerivativeError(f"the derivative rule of {self.name} {message}")

    def pair(self, result: Any, what: str) -> tuple[Any, Any]:
        """A rule's result, which must be two. Raises: DerivativeError."""
        if not isinstance(result, tuple | list) or len(result) != 2:
            self.refuse(f"must give a pair ({what})")
        return result[0], result[1]

    def fitting(self, structure: Structure, tree: Any, types: Sequence[ArrayType], what: str) -> list[Value | None]:
        """Leaves of a rule's result in the types of what they belong to. Raises: DerivativeError where they do not fit."""
        recorder = current_recorder()
        assert recorder is not None
        leaves = leaves_like(structure, tree)
        if leaves is None:
            self.refuse(f"does not nest {what} as the function does")
        found: list[Value | None] = []
        for leaf, kind, path in zip(leaves, types, paths(structure, what), strict=True):
            if leaf is None or not kind.dtype.is_float:
                found.append(None if leaf is None else array_of(recorder, leaf))
                continue
            value = array_of(recorder, leaf)
            if value.type.dims != kind.dims or not value.type.dtype.is_float:
                self.refuse(f"gives {value.type} for {path}, which belongs to a {kind}")
            found.append(s.cast(recorder, value, kind.dtype))
        return found

    def values(self, tree: Any) -> list[Value]:
        """The function's value as the rule gives it: it must have the function's types."""
        found = self.fitting(self.output, tree, self.types, "the value")
        if any(value is None or value.type.dims != kind.dims for value, kind in zip(found, self.types, strict=True)):
            self.refuse("gives a value that is not the function's")
        return [value for value in found if value is not None]

    def trace(self, run: Callable[..., Any], leaves: Sequence[Leaf], name: str) -> Function:
        """Trace what a rule does with flat arguments."""
        for cells in self.cells:
            cells.check()
        try:
            return trace(run, leaves, _flat(len(leaves)), name=f"{self.name}_{name}").function
        except EscapedError as error:
            raise EscapedError(
                f"the derivative rule of {self.name} reads a value that the function around it computes",
                location=error.location, help="pass the value as an argument",
            ) from None  # fmt: skip


def _flat(count: int) -> Structure:
    """How so many arguments nest in a call."""
    return flatten(((0,) * count, {}))[1]


class _Jvp(JvpRule):
    """The rule of one call of a custom_jvp function."""

    def __init__(self, call: _Call, primal: Function) -> None:
        super().__init__(call.name, call.key, primal, len(call.leaves))
        self.call = call
        self._pushforward: Function | None = None

    def pushforward(self) -> Function:
        if self._pushforward is None:
            self._pushforward = self._trace()
        return self._pushforward

    def _trace(self) -> Function:
        call = self.call
        (rule,) = call.custom.rules()

        def run(*flat: Any) -> Any:
            primals, dots = flat[: self.count], iter(flat[self.count :])
            tangents = [next(dots) if leaf.is_float else None for leaf in call.leaves]
            given = unflatten(call.arguments, primals), unflatten(call.arguments, tangents)
            value, moved = call.pair(traceable(rule)(*call.settings, *given), "value, tangent")
            call.values(value)
            recorder = current_recorder()
            assert recorder is not None
            found = call.fitting(call.output, moved, call.types, "the tangent")
            return tuple([
                recorder.wrap(s.number(recorder, 0.0, kind.dtype, kind.shape) if dot is None else dot)
                for dot, kind in zip(found, call.types, strict=True) if kind.dtype.is_float
            ])  # fmt: skip

        return call.trace(run, [*call.leaves, *(leaf for leaf in call.leaves if leaf.is_float)], "jvp")


class _Vjp(VjpRule):
    """The rule of one call of a custom_vjp function."""

    def __init__(self, call: _Call, primal: Function) -> None:
        super().__init__(call.name, call.key, primal, len(call.leaves))
        self.call = call
        self._halves: Halves | None = None

    def halves(self) -> Halves:
        if self._halves is None:
            self._halves = self._trace()
        return self._halves

    def _trace(self) -> Halves:
        call = self.call
        forward, backward = call.custom.rules()
        residuals: list[Structure] = []
        found: list[int | None] = []

        def run_forward(*flat: Any) -> Any:
            args = unflatten(call.arguments, flat)
            value, kept = call.pair(_filled(forward, call.fixed, *args), "value, residuals")
            recorder = current_recorder()
            assert recorder is not None
            leaves, structure = flatten(kept)
            residuals.append(structure)
            return (*(recorder.wrap(each) for each in call.values(value)), *leaves)

        def run_backward(*flat: Any) -> Any:
            count = residuals[0].leaves
            bars = iter(flat[count:])
            cotangents = unflatten(call.output, [next(bars) if kind.dtype.is_float else None for kind in call.types])
            given = traceable(backward)(*call.settings, unflatten(residuals[0], flat[:count]), cotangents)
            width = len(call.arguments.children)
            if not isinstance(given, tuple | list) or len(given) != width:
                call.refuse(f"must give a tuple with one cotangent for each of {width} arguments")
            recorder = current_recorder()
            assert recorder is not None
            types = [leaf.type for leaf in call.leaves]
            results: list[Any] = []
            for value, kind in zip(call.fitting(call.arguments, given, types, "the cotangent"), types, strict=True):
                if value is None or not kind.dtype.is_float:
                    found.append(None)
                else:
                    found.append(len(results))
                    results.append(recorder.wrap(value))
            return tuple(results)

        first = call.trace(run_forward, call.leaves, "forward")
        kept = [Leaf(kind, LeafKind.ARRAY) for kind in (*first.result_types[len(call.types) :], *call.float_types)]
        second = call.trace(run_backward, kept, "backward")
        return Halves(first, second, tuple(found))
