"""Functions that are defined by an equation: a residual, step or objective in, the solver with implicit derivatives out.

The derivative does not go through the solver. Where ``F(x, p) = 0`` says what x is, it is the x_dot of
``F_x x_dot = -F_p p_dot`` (the implicit function theorem), by one linear system, whatever found x.
"""
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from pullback import transforms
from pullback.api import CompiledFunction, compile_grad, grad
from pullback.errors import ArgumentError, ConvergenceError
from pullback.location import caller
from pullback.solvers import Found, fixed_point, newton, newton_minimum, square_jacobian
from pullback.tracer.callback import ShapeDtypeStruct, pure_callback
from pullback.tracer.calls import traceable
from pullback.tracer.custom import custom_jvp
from pullback.tracer.functional import cond
from pullback.tracer.leaf import leaf_of
from pullback.tracer.record import current_recorder
from pullback.tracer.trace import name_of
from pullback.tracer.tree import flatten, leaves_like, unflatten

Function = Callable[..., Any]
Search = Callable[[Function, Any, float, int], Found]
"""One of our solvers: a function of a vector, where to start, the tolerance, and how many steps it may take."""


def implicit_root(
    residual: Function, solver: Function | None = None, *, host: bool = False, tolerance: float | None = None,
    max_steps: int = 100,
) -> CompiledFunction[..., Any]:  # fmt: skip
    """The function ``solve(x0, *params)`` that gives the x with ``residual(x, *params) == 0`` near `x0`.

    x is a float or an array of floats, the residual has as many elements; params are nests of arrays. Derivatives by the
    params are those of x as the equation defines it, in both modes and to any order; by `x0` they are zero. They need a
    regular Jacobian of the residual at x: where it is singular, they raise `numpy.linalg.LinAlgError` (for a single
    unknown they are infinite or undefined).

    Without `solver`, x is found by Newton's method with halved steps where a whole one would not bring the residual down.
    It ends when a step changes x by less than `tolerance`, relative to its largest element (default: ``eps ** 0.6``).
    ``solver(f, x0, *params)`` may be any code that compiled functions are made of; with `host` it is plain Python, called
    by the compiled code. There `f` is the compiled residual, with ``f.jacobian``::

        def solver(f, x0, *params):
            return scipy.optimize.root(f, x0, args=params, jac=f.jacobian)

    It gives x, or a result of SciPy with an ``x`` that says whether it is a ``success``.

    Raises: ConvergenceError, when called, if x is not found within `max_steps`, or SciPy says so.
    """
    return _implicit("implicit_root", residual, residual, newton, solver, host, _Settings(tolerance, 0.6, max_steps))


def implicit_fixed_point(
    step: Function, solver: Function | None = None, *, host: bool = False, tolerance: float | None = None,
    max_steps: int = 10_000,
) -> CompiledFunction[..., Any]:  # fmt: skip
    """The function ``solve(x0, *params)`` that gives the x with ``step(x, *params) == x``.

    As `implicit_root`, but found by ``x = step(x, *params)`` from `x0` on, until x changes by less than `tolerance`
    (default: ``eps ** 0.75``); a `solver` is given the compiled step. Derivatives need 1 to be no eigenvalue of the step's
    Jacobian, which holds where the iteration converges.
    """

    def residual(x: Any, *params: Any) -> Any:
        return x - traceable(step)(x, *params)

    settings = _Settings(tolerance, 0.75, max_steps)
    return _implicit("implicit_fixed_point", step, residual, fixed_point, solver, host, settings)


def implicit_argmin(
    objective: Function, solver: Function | None = None, *, host: bool = False, tolerance: float | None = None,
    max_steps: int = 200,
) -> CompiledFunction[..., Any]:  # fmt: skip
    """The function ``solve(x0, *params)`` that gives the x at which ``objective(x, *params)``, a float, is least near `x0`.

    As `implicit_root` of the objective's gradient. Without `solver`, x is found by Newton's method, damped as Levenberg
    and Marquardt do so that each step goes down. A `solver` is given the compiled objective, with ``f.grad``,
    ``f.value_and_grad`` and ``f.hessian``::

        def solver(f, x0, *params):
            return scipy.optimize.minimize(f.value_and_grad, x0, args=params, jac=True, method="BFGS")

    Derivatives need a regular Hessian at x: a strict minimum. How exact they are depends on how exact x is.
    """

    def residual(x: Any, *params: Any) -> Any:
        return grad(objective)(x, *params)

    settings = _Settings(tolerance, 0.6, max_steps)
    return _implicit("implicit_argmin", objective, residual, newton_minimum, solver, host, settings)


class _Settings:
    """How exact x shall be: a tolerance, or a power of the dtype's own precision."""

    def __init__(self, tolerance: float | None, power: float, max_steps: int) -> None:
        self._tolerance = tolerance
        self._power = power
        self.max_steps = max_steps

    def tolerance(self, dtype: np.dtype[Any]) -> float:
        return float(np.finfo(dtype).eps) ** self._power if self._tolerance is None else self._tolerance


def _implicit(
    kind: str, function: Function, residual: Function, search: Search, solver: Function | None, host: bool, settings: _Settings
) -> CompiledFunction[..., Any]:  # fmt: skip
    """The solver: `function` is what the user gave, `residual` what is zero at x."""
    for name, given in (("its function", function), ("solver", solver)):
        if given is not None and not callable(given):
            raise ArgumentError(f"{kind}: {name} is a {type(given).__name__}, which cannot be called", location=caller())
    if host and solver is None:
        raise ArgumentError(f"{kind}: host says how the solver is called, but there is none", location=caller())
    compiled = compile_grad(function)

    def solve(x0: Any, *params: Any) -> Any:
        shape, dtype = _check_start(kind, x0)
        if solver is None:
            found = search(_of_vectors(kind, function, shape, params), np.reshape(x0, -1),
                           settings.tolerance(dtype), settings.max_steps)  # fmt: skip
            return np.reshape(_checked(kind, found, dtype), shape)
        if host:
            run = functools.partial(_on_host, kind, solver, compiled)
            return pure_callback(run, ShapeDtypeStruct(shape, dtype), x0, *params)
        return _like(kind, traceable(solver)(compiled, x0, *params), shape, dtype)

    solve.__name__ = f"{kind}_of_{name_of(function)}"
    solve.__doc__ = f"The x of {kind} of {name_of(function)}, found from `x0` for `params`."
    custom = custom_jvp(solve)

    def rule(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        x0, *params = primals
        x = custom(x0, *params)
        return x, _moved(residual, x, tuple(params), tangents[1:])

    custom.defjvp(rule)
    # By the first of the params, unless derivatives are asked for by others.
    return compile_grad(custom, argnums=1)


def _check_start(kind: str, x0: Any) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """The shape and dtype of x. Raises: ArgumentError for anything but floats."""
    leaf = leaf_of(x0, "x0")
    if not leaf.is_float or not leaf.type.size:
        raise ArgumentError(f"{kind}: x0 is {leaf.type}, but x is made of floats", location=caller(),
                            help="pass floats: 1.0, or np.zeros(n)")  # fmt: skip
    return leaf.type.shape, leaf.type.dtype.numpy


def _of_vectors(kind: str, function: Function, shape: tuple[int, ...], params: tuple[Any, ...]) -> Function:
    """The function of x as a vector. What is no float alone (an objective's value) comes out as a vector too."""

    def of_vector(z: Any) -> Any:
        value = traceable(function)(np.reshape(z, shape), *params)
        if np.shape(value) == () and kind == "implicit_argmin":
            return value
        if np.size(value) != np.size(z):
            raise ArgumentError(
                f"{kind}: the function gives {list(np.shape(value))} for an x of {list(shape)}: as many equations as "
                "unknowns are needed", location=caller(),
            )  # fmt: skip
        return np.reshape(value, -1)

    return of_vector


def _like(kind: str, x: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """What a solver gives, in the shape and dtype of x. Raises: ArgumentError for another number of elements."""
    if np.size(x) != int(np.prod(shape)):
        raise ArgumentError(f"{kind}: the solver gives {list(np.shape(x))} for an x of {list(shape)}", location=caller())
    array = np.reshape(x, shape)
    return array if array.dtype == dtype else array.astype(dtype)


def _on_host(kind: str, solver: Function, compiled: CompiledFunction[..., Any], x0: Any, *params: Any) -> Any:
    """A solver that is plain Python. Raises: ConvergenceError where a result of SciPy says that there is none."""
    found = solver(compiled, x0, *params)
    if hasattr(found, "x") and hasattr(found, "success"):
        if not found.success:
            raise ConvergenceError(f"{kind}: the solver did not converge: {getattr(found, 'message', '')}")
        found = found.x
    return _like(kind, found, np.shape(x0), np.asarray(x0).dtype)


def _checked(kind: str, found: Found, dtype: np.dtype[Any]) -> Any:
    """What a solver of ours found; compiled code raises ConvergenceError where that is no solution."""

    def fail(x: Any, steps: Any, size: Any) -> Any:
        raise ConvergenceError(
            f"{kind}: no convergence after {int(steps)} iterations: {found.what} is {float(size):.6g}",
            help="start nearer to the solution, raise max_steps or the tolerance, or give a solver",
        )

    like = ShapeDtypeStruct(found.x.shape, dtype)
    return cond(found.converged, lambda: found.x, lambda: pure_callback(fail, like, found.x, found.steps, found.size))


def _moved(residual: Function, x: Any, params: tuple[Any, ...], tangents: tuple[Any, ...]) -> Any:
    """x's tangent, from those of the params (None for those that have none)."""
    recorder = current_recorder()
    assert recorder is not None
    leaves, structure = flatten(params)
    dots = leaves_like(structure, tangents)
    assert dots is not None
    places = [place for place, dot in enumerate(dots) if dot is not None]
    if not places:
        return np.zeros(x.shape, x.dtype)
    n = x.size

    def of_params(*moving: Any) -> Any:
        whole = list(leaves)
        for place, value in zip(places, moving, strict=True):
            whole[place] = value
        return np.reshape(traceable(residual)(x, *unflatten(structure, whole)), (n,))

    pushed = transforms.push(recorder, of_params, tuple(leaves[place] for place in places),
                             tuple(dots[place] for place in places))[1]  # fmt: skip
    matrix = square_jacobian(_of_vectors("", residual, x.shape, params), np.reshape(x, (n,)))
    if n == 1:
        return np.reshape(-pushed / matrix[0], x.shape)
    return np.reshape(-np.linalg.solve(matrix, pushed), x.shape)
