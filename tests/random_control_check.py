"""Compares a random program compiled with the same program run by Python: values, gradients, modes, second order."""
from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from random_control import Program
from traced import traced

import pullback as pb
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array
from pullback.ir.interpret import interpret
from pullback.ir.verify import verify

STEP = 1e-30
"""The step of complex differentiation: so small that its square is nothing."""


class Invalid(Exception):
    """A program that plain Python does not run, or that is not smooth where it is differentiated."""


def check(program: Program, native: bool = True) -> str:
    """Raises what is wrong; gives what the gradient was compared with. Without `native`, by the interpreter alone."""
    loaded = program.load()
    plain = program.fresh()
    try:
        with np.errstate(all="raise"):
            wanted = float(loaded.f(*plain))
    except Exception as error:
        raise Invalid(f"plain Python: {type(error).__name__}") from error
    if not abs(wanted) < 1e8:
        raise Invalid("the value is too large")
    value, gradient = (natively if native else interpreted)(program, loaded)
    sizes = 1.0 + sum(float(np.sum(np.abs(part))) for part in gradient)
    scale = max(1.0, abs(wanted)) * sizes
    near(value, wanted, 1e-13 * scale, "the value")
    if native and program.seed % 3 == 0:
        near(pb.compile_grad(loaded.f)(*program.fresh()), wanted, 1e-13 * scale, "the value alone")
    if native and program.seed % 4 == 0:
        alone, slope = interpreted(program, loaded)
        near(alone, wanted, 1e-13 * scale, "the interpreter's value")
        for number, (one, two) in enumerate(zip(gradient, slope, strict=True)):
            near(one, two, 1e-13 * sizes**2, f"the gradient by argument {number}, compared with the interpreter's")
    found, true = slopes(program)
    if true is not None:
        for number, (one, two) in enumerate(zip(gradient, true[0], strict=True)):
            near(one, two, true[1] * sizes**2, f"the gradient by argument {number} ({found})")
    if native and program.seed % 4 == 1:
        forward(program, loaded.smooth, gradient, sizes)
    if native and program.seed % 8 == 3 and true is not None:
        curvature(program, loaded.smooth)
    return found


def natively(program: Program, loaded: Any) -> tuple[Any, Any]:
    """Value and gradient by compiled code, which leaves the arguments as they are."""
    budget = 200 if program.seed % 5 == 0 else None
    compiled = pb.compile_grad(loaded.f, argnums=tuple(range(program.floats)), memory_budget=budget)
    given = program.fresh()
    value, gradient = compiled.value_and_grad(*given)
    for number, (one, two) in enumerate(zip(given, program.arguments, strict=True)):
        near(one, two, 0.0, f"argument {number} after the call")
    return value, gradient


def interpreted(program: Program, loaded: Any) -> tuple[Any, Any]:
    """Value and gradient by the interpreter, of what the tracer made and of its adjoint, before any pass."""
    function = traced(loaded.f, *program.fresh()).function
    both = adjoint(function, list(range(program.floats)), seeded=[0], keep_values=True)
    verify(both)
    value, *gradient = interpret(both, [np.asarray(each) for each in program.arguments])
    return value, gradient


def near(found: Any, wanted: Any, tolerance: float, what: str) -> None:
    left, right = np.asarray(found), np.asarray(wanted)
    assert left.shape == right.shape, f"{what}: shape {left.shape}, not {right.shape}"
    worst = float(np.max(np.abs(left - right), initial=0.0))
    assert worst <= tolerance, f"{what}: {found!r}, not {wanted!r}; differs by {worst:.3g}, may by {tolerance:.3g}"


def floats(program: Program) -> list[Array]:
    return [np.array(each, float) for each in program.arguments[: program.floats]]


def noted_run(program: Program, moved: list[Array]) -> tuple[Any, list[Any]]:
    """The plain program's value elsewhere, and what it decided."""
    function, notes = program.noting()
    notes.complex = any(np.iscomplexobj(each) for each in moved)
    given = [each.copy() if each.ndim else each[()] for each in moved]
    value = function(*given, *program.arguments[program.floats :])
    return value, [*notes.taken, notes.ties]


def slopes(program: Program) -> tuple[str, tuple[list[Array], float] | None]:
    """The gradient by a complex step, else by differences, with a tolerance; None where there is no telling."""
    start = floats(program)
    _, taken = noted_run(program, start)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parts = []
            for number, array in enumerate(start):
                part = np.zeros(array.shape)
                for place in np.ndindex(array.shape):
                    moved = [each.astype(complex) for each in start]
                    moved[number][place] += 1j * STEP
                    value, decided = noted_run(program, moved)
                    if decided != taken:
                        return "at a tie", None
                    part[place] = np.imag(value) / STEP
                parts.append(part)
        return "complex step", (parts, 1e-12)
    except (TypeError, np.exceptions.ComplexWarning):
        return differences(program, start, taken)


def differences(program: Program, start: list[Array], taken: list[Any]) -> tuple[str, tuple[list[Array], float] | None]:
    """Central differences with Richardson's extrapolation."""
    parts = []
    for number, array in enumerate(start):
        part = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            slope = []
            for step in (1e-4, 2e-4):
                ends = []
                for end in (step, -step):
                    moved = [each.copy() for each in start]
                    moved[number][place] += end
                    value, decided = noted_run(program, moved)
                    if decided != taken:
                        return "near a tie", None
                    ends.append(float(value))
                slope.append((ends[0] - ends[1]) / (2 * step))
            part[place] = (4 * slope[0] - slope[1]) / 3
        parts.append(part)
    return "differences", (parts, 1e-6)


def directions(program: Program) -> list[Array]:
    random = np.random.default_rng(program.seed)
    return [np.asarray(random.normal(size=array.shape)) for array in floats(program)]


def forward(program: Program, smooth: Any, gradient: Any, sizes: float) -> None:
    """Forward mode gives the derivative along a direction that reverse mode gives."""
    dots = directions(program)
    given = [each.copy() if each.ndim else float(each) for each in floats(program)]
    tangents = [each if each.ndim else float(each) for each in dots]
    _, moved = pb.jvp(smooth, tuple(given), tuple(tangents))
    along = sum(float(np.sum(bar * dot)) for bar, dot in zip(gradient, dots, strict=True))
    near(moved, along, 1e-12 * sizes**2, "jvp, compared with the gradient")


def curvature(program: Program, smooth: Any) -> None:
    """hvp against differences of the gradient, where the same is decided all along."""
    start, dots = floats(program), directions(program)
    _, taken = noted_run(program, start)
    compiled = pb.compile_grad(smooth, argnums=tuple(range(program.floats)))

    def as_given(arrays: list[Array]) -> tuple[Any, ...]:
        return tuple(each.copy() if each.ndim else float(each) for each in arrays)

    slope = []
    for step in (1e-4, 2e-4):
        ends = []
        for end in (step, -step):
            moved = [each + end * dot for each, dot in zip(start, dots, strict=True)]
            if noted_run(program, moved)[1] != taken:
                return
            ends.append(compiled.grad(*as_given(moved)))
        slope.append([(above - below) / (2 * step) for above, below in zip(*ends, strict=True)])
    curved = pb.compile_grad(smooth).hvp(as_given(start), as_given(dots))
    curved = curved if program.floats > 1 else (curved,)
    for number, (near_slope, far_slope, found) in enumerate(zip(*slope, curved, strict=True)):
        allowed = 1e-6 * (1 + float(np.max(np.abs(found), initial=0.0)))
        allowed += float(np.max(np.abs(near_slope - far_slope), initial=0.0))
        near(found, (4 * near_slope - far_slope) / 3, allowed, f"the second derivative by argument {number}")
