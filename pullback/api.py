"""compile_grad and the derivatives of NumPy functions: everything a user calls on functions."""
from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

import numpy as np

from pullback import transforms
from pullback.dispatch import Dispatcher
from pullback.errors import ArgumentError
from pullback.inspection import explain, memory, stats
from pullback.ir.ops.elementary import StopGradient
from pullback.location import caller
from pullback.tracer.numpy_protocol import wrap
from pullback.tracer.record import Recorder
from pullback.tracer.trace import Trace, find_recorder
from pullback.tracer.traced import Traced, array_of
from pullback.tracer.tree import flatten, map_leaves

if TYPE_CHECKING:
    from pullback.stages import Lowered

P = ParamSpec("P")
R = TypeVar("R")
Argnums = int | tuple[int, ...]


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
        call = instance._dispatcher(self.name, functools.partial(self.traced, instance)).miss
        instance.__dict__[self.name] = call
        return call


def _traced_value_and_grad(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    recorder = _recorder((args, kwargs))
    return transforms.value_and_grad(recorder, f.__wrapped__, f._argnums_of(args), f.has_aux, args, kwargs)


def _traced_grad(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    value, gradient = _traced_value_and_grad(f, *args, **kwargs)
    return (gradient, value[1]) if f.has_aux else gradient


def _traced_jacobian(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    return transforms.jacobian(_recorder((args, kwargs)), f.__wrapped__, f._argnums_of(args), args, kwargs, None)


def _traced_hessian(f: CompiledFunction[..., Any], *args: Any, **kwargs: Any) -> Any:
    argnums = f._argnums_of(args)
    inner = functools.partial(_gradient_in_trace, f.__wrapped__, argnums)
    return transforms.jacobian(_recorder((args, kwargs)), inner, argnums, args, kwargs, True)


def _gradient_in_trace(fun: Callable[..., Any], argnums: Argnums, *args: Any, **kwargs: Any) -> Any:
    return transforms.value_and_grad(_recorder((args, kwargs)), fun, argnums, False, args, kwargs)[1]


def _traced_hvp(f: CompiledFunction[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    argnums = tuple(range(len(primals)))
    inner = functools.partial(_gradient_in_trace, f.__wrapped__, argnums)
    moved = transforms.push(_recorder((primals, tangents)), inner, tuple(primals), tuple(tangents))[1]
    return moved[0] if len(primals) == 1 else moved


def _traced_jvp(f: CompiledFunction[..., Any], primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    return transforms.push(_recorder((primals, tangents)), f.__wrapped__, tuple(primals), tuple(tangents))


def _traced_pullback(f: CompiledFunction[..., Any], primals: tuple[Any, ...], cotangents: Any) -> Any:
    return transforms.pull(_recorder((primals, cotangents)), f.__wrapped__, tuple(primals), cotangents)[1]


class CompiledFunction(Generic[P, R]):
    """A function of NumPy arrays with native code for itself and for its derivatives.

    Called, it is the function. Code is made at the first call for each combination of argument types and shapes.
    """

    def __init__(
        self, fun: Callable[P, R], argnums: Argnums, argnames: str | Sequence[str] | None, has_aux: bool,
        static_argnums: tuple[int, ...], static_argnames: tuple[str, ...],
    ) -> None:  # fmt: skip
        functools.update_wrapper(self, fun)
        self.__wrapped__ = fun
        self.has_aux = has_aux
        self._signature = _signature(fun)
        self._argnums = argnums
        self._argnames = (argnames,) if isinstance(argnames, str) else tuple(argnames or ())
        self._static_argnums = static_argnums
        self._static_argnames = static_argnames
        self._dispatchers: dict[str, Dispatcher] = {}
        self._entry: Callable[..., Any] = self._dispatcher("_entry", fun).miss

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return cast(R, self._entry(*args, **kwargs))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method: bound to its instance, which is a static argument."""
        if instance is None:
            return self
        return CompiledFunction(
            functools.partial(self.__wrapped__, instance), self._argnums, self._argnames, self.has_aux,  # type: ignore[arg-type]
            self._static_argnums, self._static_argnames,
        )  # fmt: skip

    def _dispatcher(self, name: str, fun: Callable[..., Any]) -> Dispatcher:
        known = self._dispatchers.get(name)
        if known is None:
            plain = name in ("_entry", "grad", "value_and_grad", "jacobian", "hessian")
            shown = transforms.name_of(self) + ("" if name == "_entry" else f"_{name}")
            attributes = self.__dict__

            def publish(entry: Callable[..., Any]) -> None:
                attributes[name] = entry

            known = self._dispatchers[name] = Dispatcher(
                fun, shown, self.__doc__ or "", self._static_argnums if plain else (),
                self._static_argnames if plain else (), self._signature if plain else None, publish,
            )  # fmt: skip
        return known

    def _argnums_of(self, args: tuple[Any, ...]) -> Argnums:
        """Positions of the differentiated arguments."""
        if not self._argnames:
            return self._argnums
        names = list(self._signature.parameters) if self._signature is not None else []
        for name in self._argnames:
            if name not in names[: len(args)]:
                raise ArgumentError(f"argnames names {name!r}, which is no positional argument of {self.__name__}",
                                    location=caller(), help=f"the arguments are {', '.join(names)}")  # fmt: skip
        found = tuple(names.index(name) for name in self._argnames)
        return found[0] if len(found) == 1 else found

    grad = _Derivative(_traced_grad, "The gradient by `argnums`, in the structure of those arguments.")
    value_and_grad = _Derivative(_traced_value_and_grad, "``(value, gradient)`` from one native call.")
    jacobian = _Derivative(_traced_jacobian, "All partial derivatives: the result's axes, then the argument's.")
    hessian = _Derivative(_traced_hessian, "All second partial derivatives of a scalar function.")
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
        return CompiledFunction(
            self.__wrapped__, chosen, None, self.has_aux, self._static_argnums, self._static_argnames
        )  # fmt: skip

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """Every stage of compilation for arguments like these, as text: see `Lowered`. Nothing is run."""
        from pullback.stages import lowered  # loads the drawing and LLVM's assembly printer

        def traced(name: str) -> Trace:
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
        """Bytes of temporary memory per compiled form: see `inspection.memory`."""
        return memory(self._dispatchers)

    def __repr__(self) -> str:
        return f"<CompiledFunction {transforms.name_of(self)}>"


def _signature(fun: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(fun)
    except (TypeError, ValueError):
        return None


@overload
def compile_grad(fun: Callable[P, R], **options: Any) -> CompiledFunction[P, R]: ...
@overload
def compile_grad(fun: None = None, **options: Any) -> Callable[[Callable[P, R]], CompiledFunction[P, R]]: ...
def compile_grad(
    fun: Callable[..., Any] | None = None, *, argnums: Argnums = 0, argnames: str | Sequence[str] | None = None,
    has_aux: bool = False, static_argnums: int | Sequence[int] = (), static_argnames: str | Sequence[str] = (),
) -> Any:  # fmt: skip
    """Compile a function of NumPy arrays and its derivatives.

    `argnums` or `argnames` say which arguments derivatives are taken by (nests of arrays and floats). With `has_aux`
    the function returns ``(value, aux)`` and only the value is differentiated. Static arguments are Python values
    that the code is compiled for, one by one.

    Raises: ArgumentError if `fun` is no function.
    """
    if fun is None:
        return functools.partial(
            compile_grad, argnums=argnums, argnames=argnames, has_aux=has_aux, static_argnums=static_argnums,
            static_argnames=static_argnames,
        )  # fmt: skip
    if not callable(fun):
        raise ArgumentError(f"compile_grad takes a function, not a {type(fun).__name__}", location=caller())
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    wanted = argnums if isinstance(argnums, int) else tuple(argnums)
    return CompiledFunction(fun, wanted, argnames, has_aux, numbers, names)


def _compiled(fun: Callable[..., Any], **options: Any) -> CompiledFunction[..., Any]:
    source = fun.__wrapped__ if isinstance(fun, CompiledFunction) else fun
    return cast("CompiledFunction[..., Any]", compile_grad(source, **options))


def grad(fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that computes the gradient of `fun`, a function with one float result."""
    return _Transformed(_compiled(fun, argnums=argnums, has_aux=has_aux), "grad")


def value_and_grad(fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False) -> Callable[..., Any]:
    """The function that computes ``(value, gradient)`` of `fun`."""
    return _Transformed(_compiled(fun, argnums=argnums, has_aux=has_aux), "value_and_grad")


def jacobian(fun: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes all partial derivatives, in the cheaper mode."""
    return _Transformed(_compiled(fun, argnums=argnums), "jacobian")


def jacfwd(fun: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """`jacobian` in forward mode: one pass per argument element."""
    return _jacobian_by(fun, argnums, True)


def jacrev(fun: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """`jacobian` in reverse mode: one pass per result element."""
    return _jacobian_by(fun, argnums, False)


def _jacobian_by(fun: Callable[..., Any], argnums: Argnums, forward: bool) -> Callable[..., Any]:
    source = fun.__wrapped__ if isinstance(fun, CompiledFunction) else fun

    def derived(*args: Any, **kwargs: Any) -> Any:
        return transforms.jacobian(_recorder((args, kwargs)), source, argnums, args, kwargs, forward)

    functools.update_wrapper(derived, source)
    return compile_grad(derived)


def hessian(fun: Callable[..., Any], argnums: Argnums = 0) -> Callable[..., Any]:
    """The function that computes all second partial derivatives of a scalar function."""
    return _Transformed(_compiled(fun, argnums=argnums), "hessian")


class _Transformed:
    """One derivative of a compiled function as a callable of its own; inside a trace it records instead."""

    def __init__(self, compiled: CompiledFunction[..., Any], name: str) -> None:
        functools.update_wrapper(self, compiled.__wrapped__)
        self._compiled = compiled
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._compiled, self._name)(*args, **kwargs)


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


def stop_gradient(x: Any) -> Any:
    """`x`, as a constant for every derivative."""

    def stopped(leaf: Any) -> Any:
        if not isinstance(leaf, Traced) or not leaf.value.type.dtype.is_float:
            return leaf
        return wrap(leaf.recorder.value(StopGradient(), array_of(leaf.recorder, leaf)), leaf.recorder)

    return map_leaves(stopped, x)


def gradcheck(
    fun: Callable[..., Any], inputs: Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3
) -> bool:
    """Whether the gradients of a scalar function agree with central differences at `inputs` (float64 arrays).

    Raises: ArgumentError naming the largest difference where they do not.
    """
    arrays = [np.array(each, np.float64) for each in inputs]
    compiled = _compiled(fun, argnums=tuple(range(len(arrays))))
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
