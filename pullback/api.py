"""compile_grad and the derivatives of NumPy functions: everything a user calls on functions."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload
from weakref import WeakSet

import numpy as np

from pullback import transforms
from pullback.config import byte_count
from pullback.dispatch import Dispatcher, Static, with_static
from pullback.errors import ArgumentError
from pullback.inspection import explain, memory, stats
from pullback.ir.ops.elementary import StopGradient
from pullback.location import caller
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.numpy_protocol import wrap
from pullback.tracer.record import Recorder
from pullback.tracer.trace import Trace, find_recorder, name_of
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.tree import flatten, map_leaves

if TYPE_CHECKING:
    from pullback.stages import Lowered

P = ParamSpec("P")
R = TypeVar("R")
Argnums = int | tuple[int, ...]


@dataclass(frozen=True)
class Options:
    """What `compile_grad` is told of the code to make: bytes that gradients may keep, and whether indices are tested."""

    memory_budget: int | None = None
    boundscheck: bool | None = None


DEFAULT = Options()


def _recorder(values: Any) -> Recorder:
    found = find_recorder(flatten(values)[0])
    assert found is not None
    return found


class _Derivative:
    """A derivative of a compiled function, as an attribute: compiled at its first use.

    No data descriptor: once native code exists, the instance's own attribute of the same name is that code.
    """

    def __init__(self, traced: Callable[..., Any], doc: str) -> None:
        self.traced = traced
        self.__doc__ = doc

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        instance.__dict__[self.name] = form = _Form(instance, self.name, self.dispatcher(instance).call)
        return form

    def dispatcher(self, instance: CompiledFunction[..., Any]) -> Dispatcher:
        """What finds or makes the code."""
        return instance._dispatcher(self.name, functools.partial(self.traced, instance))


class _SparseDerivative(_Derivative):
    """A dense derivative as sparse matrices."""

    def dispatcher(self, instance: CompiledFunction[..., Any]) -> Dispatcher:
        return instance._sparse_dispatcher(self.name, self.traced is _traced_hessian)


def _traced_value_and_grad(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    fun, argnums, args, kwargs = f._to_trace(args, kwargs)
    return transforms.value_and_grad(
        _recorder((args, kwargs)), fun, argnums, f.has_aux, args, kwargs, f.options.memory_budget
    )


def _traced_grad(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    value, gradient = _traced_value_and_grad(f, *args, **kwargs)
    return (gradient, value[1]) if f.has_aux else gradient


def _traced_jacobian(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    return _jacobian_in_mode(None, f, *args, **kwargs)


def _traced_jacfwd(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    return _jacobian_in_mode(True, f, *args, **kwargs)


def _traced_jacrev(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    return _jacobian_in_mode(False, f, *args, **kwargs)


def _jacobian_in_mode(forward: bool | None, f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    fun, argnums, args, kwargs = f._to_trace(args, kwargs)
    return transforms.jacobian(_recorder((args, kwargs)), fun, argnums, f.has_aux, args, kwargs, forward)


def _traced_hessian(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    fun, argnums, args, kwargs = f._to_trace(args, kwargs)
    inner = functools.partial(_gradient_in_trace, fun, argnums, f.has_aux)
    return transforms.jacobian(_recorder((args, kwargs)), inner, argnums, f.has_aux, args, kwargs, True)


def _gradient_in_trace(fun: Callable[..., Any], argnums: Argnums, has_aux: bool, *args: Any, **kwargs: Any) -> Any:
    value, gradient = transforms.value_and_grad(_recorder((args, kwargs)), fun, argnums, has_aux, args, kwargs)
    return (gradient, value[1]) if has_aux else gradient


def _traced_hvp(f: CompiledFunction[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    argnums = tuple(range(len(primals)))
    inner = functools.partial(_gradient_in_trace, _value_alone(f), argnums, False)
    moved = transforms.push(_recorder((primals, tangents)), inner, tuple(primals), tuple(tangents))[1]
    return moved[0] if len(primals) == 1 else moved


def _value_alone(f: CompiledFunction[..., Any]) -> Callable[..., Any]:
    """The function without the auxiliary result that it may have."""
    if not f.has_aux:
        return f.__wrapped__
    return lambda *args, **kwargs: f.__wrapped__(*args, **kwargs)[0]


def _traced_jvp(f: CompiledFunction[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    return transforms.push(_recorder((primals, tangents)), f.__wrapped__, tuple(primals), tuple(tangents))


def _traced_pullback(f: CompiledFunction[..., Any], primals: tuple[Any, ...], cotangents: Any) -> Any:
    return transforms.pull(
        _recorder((primals, cotangents)), f.__wrapped__, tuple(primals), cotangents, f.options.memory_budget
    )[1]


_BY_ARGNUMS = ("_entry", "grad", "value_and_grad", "jacobian", "jacfwd", "jacrev", "hessian")
"""Forms that are called as the function is."""


class CompiledFunction(Generic[P, R]):
    """A function of NumPy arrays with native code for itself and for its derivatives.

    Called, it is the function. Code is made at the first call for each combination of argument types and shapes.
    """

    # A call finds the native entry in a slot of this name, without a function of Python in between.
    __slots__ = ("__call__", "__dict__", "__weakref__")
    __name__: str
    __qualname__: str
    if TYPE_CHECKING:

        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    def __init__(
        self, fun: Callable[P, R], argnums: Argnums, argnames: tuple[str, ...], has_aux: bool, static: Static,
        options: Options = DEFAULT,
    ) -> None:  # fmt: skip
        functools.update_wrapper(self, fun)
        self.__wrapped__ = fun
        self.has_aux = has_aux
        self.options = options
        self._signature = _signature(fun)
        self._static = static
        self._chosen = argnums
        self._argnames = argnames
        self._argnums = self._places(argnums, argnames)
        self._dispatchers: dict[str, Dispatcher] = {}
        self._forms: WeakSet[_Form] = WeakSet()
        self._publish("_entry", self._dispatcher("_entry", fun).call)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound to its instance, whose attributes are constants of the code while they stay the same."""
        if instance is None:
            return self
        attributes = getattr(instance, "__dict__", None)
        place, key = f"_compiled_{name_of(self)}", _shown_attributes(attributes)
        if isinstance(attributes, dict) and place in attributes:
            known_key, known = attributes[place]
            if known_key == key:
                return known
        bound: CompiledFunction[..., Any] = CompiledFunction(
            functools.partial(self.__wrapped__, instance), self._chosen, self._argnames, self.has_aux, self._static,
            self.options,
        )  # fmt: skip
        bound.__name__ = name_of(self)
        if isinstance(attributes, dict):
            attributes[place] = (key, bound)
        return bound

    def __reduce__(self) -> Any:
        """Pickled as functions are, by name; a bound one by its instance."""
        if isinstance(self.__wrapped__, functools.partial):
            return getattr, (self.__wrapped__.args[0], self.__name__)
        return self.__qualname__

    def _dispatcher(self, name: str, fun: Callable[..., Any]) -> Dispatcher:
        known = self._dispatchers.get(name)
        if known is None:
            shown = name_of(self) + ("" if name == "_entry" else f"_{name}")
            publish = functools.partial(self._publish, name)
            known = self._dispatchers[name] = Dispatcher(
                fun, shown, self.__doc__ or "", publish=publish, boundscheck=self.options.boundscheck
            )
            if name in _BY_ARGNUMS:
                known.static, known.signature = self._static, self._signature
                known.filled = 0 if name == "_entry" else 1 + max(_as_tuple(self._argnums), default=-1)
        return known

    def _publish(self, name: str, entry: Callable[..., Any]) -> None:
        """Have calls of one form go to `entry`."""
        if name == "_entry":
            self.__call__ = entry  # type: ignore[method-assign]
            return
        self.__dict__[name] = entry
        for each in self._forms:
            if each._name == name:
                each.__call__ = entry  # type: ignore[method-assign]

    def _sparse_dispatcher(self, name: str, is_hessian: bool) -> Dispatcher:
        # Pattern analysis and colouring are loaded where they are asked for.
        from pullback.sparse import SparseDispatcher

        def prepare(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Callable[..., Any], Argnums]:
            fun, argnums, _, _ = self._to_trace(args, kwargs)
            return functools.partial(_gradient_in_trace, fun, argnums, self.has_aux) if is_hessian else fun, argnums

        shown = f"{name_of(self)}_{name}"
        made = SparseDispatcher(
            self.__wrapped__, shown, self.__doc__ or "", self._static, self._signature,
            1 + max(_as_tuple(self._argnums), default=-1), prepare=prepare, has_aux=self.has_aux, is_hessian=is_hessian,
        )  # fmt: skip
        self._dispatchers[name] = made
        return made

    def _places(self, argnums: Argnums, argnames: tuple[str, ...]) -> Argnums:
        """Numbers of the differentiated arguments, from 0 where the signature says how many there are.

        Raises: ArgumentError for a name or number that no positional argument has.
        """
        kinds = () if self._signature is None else self._signature.parameters.values()
        positional = [each.name for each in kinds if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
        is_open = self._signature is None or any(each.kind is each.VAR_POSITIONAL for each in kinds)
        for name in argnames:
            if name not in positional:
                raise ArgumentError(
                    f"argnames names {name!r}, which is no positional argument of {name_of(self)}",
                    location=caller(), help=f"the arguments are {', '.join(positional)}",
                )  # fmt: skip
        if argnames:
            found = tuple([positional.index(name) for name in argnames])
            return found[0] if len(found) == 1 else found
        if is_open or not positional:
            return argnums
        for number in _as_tuple(argnums):
            if not -len(positional) <= number < len(positional):
                raise ArgumentError(
                    f"argnums names argument {number}, but {name_of(self)} takes {len(positional)}",
                    location=caller(),
                )  # fmt: skip
        wrapped = tuple([number % len(positional) for number in _as_tuple(argnums)])
        return wrapped[0] if isinstance(argnums, int) else wrapped

    def _to_trace(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Callable[..., Any], Argnums, tuple[Any, ...], dict[str, Any]]:
        """The function without its static arguments, which of the others it is differentiated by, and those.

        Raises: ArgumentError for a static argument that is differentiated.
        """
        dynamic, dynamic_kwargs, static = self._static.split(args, kwargs, self._signature)
        places = [place for place, _ in static if isinstance(place, int)]
        moved = []
        for number in _as_tuple(self._argnums):
            place = number % len(args) if -len(args) <= number < 0 else number
            if place in places:
                raise ArgumentError(f"argument {place} of {name_of(self)} is static and has no derivative",
                                    location=caller(), help="name another one in argnums")  # fmt: skip
            moved.append(place - sum(each < place for each in places))
        argnums = moved[0] if isinstance(self._argnums, int) else tuple(moved)
        return with_static(self.__wrapped__, static), argnums, dynamic, dynamic_kwargs

    grad = _Derivative(_traced_grad, "The gradient by `argnums`, in the structure of those arguments.")
    value_and_grad = _Derivative(_traced_value_and_grad, "``(value, gradient)`` from one native call.")
    jacobian = _Derivative(_traced_jacobian, "All partial derivatives: the result's axes, then the argument's.")
    jacfwd = _Derivative(_traced_jacfwd, "`jacobian` in forward mode: one pass per argument element.")
    jacrev = _Derivative(_traced_jacrev, "`jacobian` in reverse mode: one pass per result element.")
    hessian = _Derivative(_traced_hessian, "All second partial derivatives of a scalar function.")
    sparse_jacobian = _SparseDerivative(_traced_jacobian, "`jacobian` as matrices of ``scipy.sparse``: see that function.")
    sparse_hessian = _SparseDerivative(_traced_hessian, "`hessian` as matrices of ``scipy.sparse``: see that function.")
    hvp = _Derivative(_traced_hvp, "``hvp(primals, tangents)``: the Hessian times a vector.")
    jvp = _Derivative(_traced_jvp, "``jvp(primals, tangents) -> (value, tangent)``.")
    _pullback = _Derivative(_traced_pullback, "``(primals, cotangents) -> cotangents of the primals``.")

    def vjp(self, *primals: Any) -> tuple[Any, Callable[..., Any]]:
        """The value, and the function from the result's cotangents to those of the primals (a tuple).

        The pullback computes the value anew: nothing is kept between the two but the primals.
        """
        value = self(*primals)  # type: ignore[call-arg]
        return value, functools.partial(self._pullback, primals)

    def differentiated_by(self, *argnums: int) -> CompiledFunction[P, R]:
        """The same function with other arguments to differentiate by; code is made anew."""
        chosen = argnums[0] if len(argnums) == 1 else argnums
        return CompiledFunction(self.__wrapped__, chosen, (), self.has_aux, self._static, self.options)

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Every stage of compilation for arguments like these, as text: see `Lowered`. Nothing is run."""
        from pullback.stages import lowered  # loads the drawing and LLVM's assembly printer

        def traced(name: str) -> Trace:
            if name != "_entry":
                getattr(self, name)  # makes the dispatcher
            return self._dispatchers[name].trace_for(args, kwargs)

        return lowered(functools.partial(traced, "_entry"), functools.partial(traced, "value_and_grad"))

    def stats(self) -> dict[str, Any]:
        """How often and how long each form was compiled: see `inspection.stats`."""
        return stats(self._dispatchers)

    def explain(self) -> str:
        """Why it was compiled, each time."""
        return explain(self._dispatchers)

    def memory(self) -> dict[str, int]:
        """Bytes that a call of each compiled form allocates at its peak: see `inspection.memory`."""
        return memory(self._dispatchers)

    def __repr__(self) -> str:
        return f"<CompiledFunction {name_of(self)}>"


def _as_tuple(argnums: Argnums) -> tuple[int, ...]:
    return (argnums,) if isinstance(argnums, int) else argnums


def _shown_attributes(attributes: Any) -> Any:
    """What a bound function's code depends on of its instance: numbers and texts by value, other objects by identity."""
    if not isinstance(attributes, dict):
        return None
    plain = (bool, int, float, str, bytes, type(None))
    return tuple([(name, type(value), value if isinstance(value, plain) else id(value))
                  for name, value in attributes.items() if not name.startswith("_compiled_")])  # fmt: skip


def _signature(fun: Callable[..., Any]) -> inspect.Signature | None:
    if isinstance(fun, np.ufunc):
        return None  # Its keywords (out, where, casting) have defaults that are no arrays.
    try:
        return inspect.signature(fun)
    except (TypeError, ValueError):
        return None


@overload
def compile_grad(
    fun: Callable[P, R], *, argnums: int | Sequence[int] = 0, argnames: str | Sequence[str] | None = None,
    has_aux: bool = False, static_argnums: int | Sequence[int] = (), static_argnames: str | Sequence[str] = (),
    memory_budget: int | str | None = None, boundscheck: bool | None = None,
) -> CompiledFunction[P, R]: ...  # fmt: skip
@overload
def compile_grad(
    fun: None = None, *, argnums: int | Sequence[int] = 0, argnames: str | Sequence[str] | None = None,
    has_aux: bool = False, static_argnums: int | Sequence[int] = (), static_argnames: str | Sequence[str] = (),
    memory_budget: int | str | None = None, boundscheck: bool | None = None,
) -> Callable[[Callable[P, R]], CompiledFunction[P, R]]: ...  # fmt: skip
def compile_grad(
    fun: Callable[..., Any] | None = None, *, argnums: int | Sequence[int] = 0,
    argnames: str | Sequence[str] | None = None, has_aux: bool = False, static_argnums: int | Sequence[int] = (),
    static_argnames: str | Sequence[str] = (), memory_budget: int | str | None = None,
    boundscheck: bool | None = None,
) -> Any:  # fmt: skip
    """Compile a function of NumPy arrays and its derivatives.

    `argnums` or `argnames` say which arguments derivatives are taken by (nests of arrays and floats). With `has_aux`
    the function returns ``(value, aux)`` and only the value is differentiated. Static arguments are Python values
    that the code is compiled for, one by one; so are defaults of arguments that are not passed. What the function
    reads from outside (globals, closures, attributes of ``self``) is a constant as well, arrays excepted: they are
    read where they lie.

    Gradients through loops keep values of each iteration. With `memory_budget`, in bytes or as text (``"64MB"``), loops
    that would keep more run in segments: the gradient keeps the state at their starts and runs them again.

    With ``boundscheck=False`` native code does not test computed indices of elements and slices: one out of range is
    undefined behaviour. By default `config` says whether it does.

    Raises: ArgumentError if `fun` is no function, or has not the arguments that are named.
    """
    if fun is None:
        return functools.partial(
            compile_grad, argnums=argnums, argnames=argnames, has_aux=has_aux, static_argnums=static_argnums,
            static_argnames=static_argnames, memory_budget=memory_budget, boundscheck=boundscheck,
        )  # fmt: skip
    if not callable(fun):
        raise ArgumentError(f"compile_grad takes a function, not a {type(fun).__name__}", location=caller())
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    static = Static(numbers, _names(static_argnames))
    wanted = argnums if isinstance(argnums, int) else tuple(argnums)
    budget = None if memory_budget is None else byte_count(memory_budget)
    return CompiledFunction(fun, wanted, _names(argnames), has_aux, static, Options(budget, boundscheck))


def _names(given: str | Sequence[str] | None) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())


def _compiled(fun: Callable[..., Any], argnums: Argnums | None = None, has_aux: bool = False) -> CompiledFunction[..., Any]:
    """A function compiled, by other arguments if any are named; a compiled one keeps its static arguments."""
    if not isinstance(fun, CompiledFunction):
        return compile_grad(fun, argnums=0 if argnums is None else argnums, has_aux=has_aux)
    if argnums is None:
        return fun
    return CompiledFunction(fun.__wrapped__, argnums, (), has_aux, fun._static, fun.options)


def grad(fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that computes the gradient of `fun`, a function with one float result."""
    return _Form(_compiled(fun, argnums, has_aux), "grad")


def value_and_grad(fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that computes ``(value, gradient)`` of `fun`."""
    return _Form(_compiled(fun, argnums, has_aux), "value_and_grad")


def jacobian(fun: Callable[..., Any], argnums: Argnums = 0, *, sparse: bool = False) -> Callable[..., Any]:
    """The function that computes all partial derivatives, in the cheaper mode.

    With `sparse` they come as ``scipy.sparse.csr_array`` of ``[result size, argument size]``, elements in C order, one
    for each result and argument. Where entries may be is found from the function's operations, once for each kind of
    arguments (and anew when indices that the function reads have changed). Columns that meet in no row are computed
    together: see Gebremedhin, Manne and Pothen, SIAM Review 47 (2005).

    Raises: with `sparse`, when called, MissingPackageError without SciPy; DerivativeError for a matrix that is too full
    to be written down, and inside a compiled function.
    """
    return _Form(_compiled(fun, argnums), "sparse_jacobian" if sparse else "jacobian")


def jacfwd(fun: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """`jacobian` in forward mode: one pass per argument element."""
    return _Form(_compiled(fun, argnums), "jacfwd")


def jacrev(fun: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """`jacobian` in reverse mode: one pass per result element."""
    return _Form(_compiled(fun, argnums), "jacrev")


def hessian(fun: Callable[..., Any], argnums: Argnums = 0, *, sparse: bool = False) -> Callable[..., Any]:
    """The function that computes all second partial derivatives of a scalar function.

    With `sparse` they come as ``scipy.sparse.csr_array`` of ``[argument size, argument size]``: see `jacobian`. An entry
    is computed in its place or in that of its mirror image.
    """
    return _Form(_compiled(fun, argnums), "sparse_hessian" if sparse else "hessian")


def vmap(fun: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
    """`fun` for many cases at once: for every place along the axes `in_axes` of its arguments, as one function.

    `in_axes` is an axis for all positional arguments, or a tuple with an axis for each; None passes an argument as it
    is to every case, and a nest of axes says it leaf by leaf. Keyword arguments are mapped over axis 0. Results have
    the new axis at `out_axes`, None stating that a result is the same for all cases.

    Raises: ArgumentError, when called, for axes that are not there or differ in size.
    """
    source = fun.__wrapped__ if isinstance(fun, CompiledFunction) else fun

    @functools.wraps(source)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        return transforms.vectorize(_recorder((args, kwargs)), source, in_axes, out_axes, args, kwargs)

    return compile_grad(mapped)


class _Form:
    """One derivative of a compiled function as a callable of its own; inside a trace it records instead.

    Its calls go to native code as soon as there is any, whoever made that.
    """

    __slots__ = ("__call__", "__dict__", "__weakref__")
    if TYPE_CHECKING:

        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def __init__(self, compiled: CompiledFunction[..., Any], name: str, call: Callable[..., Any] | None = None) -> None:
        functools.update_wrapper(self, compiled.__wrapped__)
        self._compiled = compiled
        self._name = name
        self.__call__ = call or getattr(compiled, name)  # type: ignore[method-assign]
        compiled._forms.add(self)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else _Form(self._compiled.__get__(instance, owner), self._name)


def vjp(fun: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """``(value, pullback)``; the pullback takes the result's cotangents and gives a tuple of the primals'."""
    return _compiled(fun).vjp(*primals)


def jvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """``(value, tangent)`` along the given tangents of the primals."""
    return cast("tuple[Any, Any]", _compiled(fun).jvp(tuple(primals), tuple(tangents)))


def linearize(fun: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """``(value, pushforward)``; the pushforward takes the primals' tangents and gives the result's."""
    compiled = _compiled(fun)

    def pushforward(*tangents: Any) -> Any:
        return compiled.jvp(primals, tangents)[1]

    return compiled(*primals), pushforward


def hvp(fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a vector, forward over reverse."""
    return _compiled(fun).hvp(tuple(primals), tuple(tangents))


def checkpoint(fun: Callable[P, R]) -> Callable[P, R]:
    """`fun`, of whose inner values gradients keep none: they run it again from what it reads.

    Less memory for one more run of `fun`. Outside of compiled functions it is `fun`.
    """

    @functools.wraps(fun)
    def again(*args: P.args, **kwargs: P.kwargs) -> R:
        recorder = find_recorder(flatten((args, kwargs))[0])
        return fun(*args, **kwargs) if recorder is None else transforms.checkpointed(recorder, fun, args, kwargs)

    return again


def stop_gradient(x: Any) -> Any:
    """`x`, as a constant for every derivative."""

    def stopped(leaf: Any) -> Any:
        if isinstance(leaf, Chosen):
            return leaf.like(stopped(leaf.values))
        if not isinstance(leaf, Traced) or not leaf.value.type.dtype.is_float:
            return leaf
        made = wrap(leaf.recorder.value(StopGradient(), array_of(leaf.recorder, leaf)), leaf.recorder)
        made.weak = leaf.weak
        return made

    return map_leaves(stopped, x)


def gradcheck(
    fun: Callable[..., Any], inputs: Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3
) -> bool:
    """Whether the gradients of a scalar function agree with central differences at `inputs` (float64 arrays).

    Raises: ArgumentError naming the largest difference where they do not.
    """
    arrays = [np.array(each, np.float64) for each in inputs]
    compiled = _compiled(fun, tuple(range(len(arrays))))
    gradients = compiled.grad(*arrays)
    for position, (array, gradient) in enumerate(zip(arrays, gradients, strict=True)):
        for place in np.ndindex(array.shape):
            kept = array[place]
            array[place] = kept + eps
            above = float(compiled(*arrays))
            array[place] = kept - eps
            below = float(compiled(*arrays))
            array[place] = kept
            numeric = (above - below) / (2 * eps)
            if not np.isclose(gradient[place], numeric, rtol=rtol, atol=atol):
                raise ArgumentError(f"gradient of argument {position} at {place}: {gradient[place]} by the adjoint, "
                                    f"{numeric} by central differences", location=caller())  # fmt: skip
    return True
