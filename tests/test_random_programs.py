"""Random NumPy programs, compiled: the same bits however they are entered, NumPy's values, and true derivatives."""
from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_programs import Program, is_double, numpy_program
from traced import traced

import pullback as pb
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array, Function
from pullback.ir.interpret import interpret
from pullback.tracer.tree import flatten

QUICK = 60
SWEEP = 2000
GROUP = 10


def bits(values: Any) -> list[tuple[Any, ...]]:
    """Dtype, shape and bytes of every leaf."""
    return [(np.asarray(leaf).dtype, np.shape(leaf), np.asarray(leaf).tobytes()) for leaf in flatten(values)[0]]


def close(found: Any, wanted: Any, tolerance: float) -> None:
    """Equal within `tolerance` of the largest element."""
    for left, right in zip(flatten(found)[0], flatten(wanted)[0], strict=True):
        assert np.asarray(left).dtype == np.asarray(right).dtype and np.shape(left) == np.shape(right)
        scale = max(1.0, float(np.max(np.abs(right), initial=0.0)))
        np.testing.assert_allclose(left, right, rtol=0, atol=tolerance * scale)


def check(seed: int) -> None:
    program = numpy_program(seed)
    try:
        _check(program, 1e-9 if is_double(program) else 2e-3)
    except Exception as error:
        error.add_note(repr(program)) if hasattr(error, "add_note") else None
        raise


def _check(program: Program, tolerance: float) -> None:
    arguments = program.arguments
    argnums = tuple(range(len(arguments)))
    compiled = pb.compile_grad(program, argnums=argnums, has_aux=True)
    value = compiled(*arguments)
    both, gradient = compiled.value_and_grad(*arguments)
    assert bits(both) == bits(value), "f(x) and value_and_grad(x) differ in bits"
    alone, aux = compiled.grad(*arguments)
    assert bits(alone) == bits(gradient), "grad(x) and value_and_grad(x) differ in bits"
    assert bits(aux) == bits(value[1]), "the auxiliary results of grad(x) differ in bits"
    assert bits(compiled(*arguments)) == bits(value), "a second call gives other bits"
    with np.errstate(all="ignore"):
        close(value, program(*arguments), tolerance)
    check_derivatives(program, gradient, tolerance)
    if program.seed % 8 < 2:
        with pb.config(opt=0):
            plain, plain_gradient = compiled.value_and_grad(*arguments)
        close(plain, value, tolerance * 0.1)
        close(plain_gradient, gradient, tolerance)
    if program.seed % 8 in (1, 6):
        # Strided and Fortran-ordered arguments go another way in; the numbers are the same.
        twisted = [np.asfortranarray(np.repeat(array, 2, axis=0)[::2]) if array.ndim else array for array in arguments]
        assert bits(compiled.value_and_grad(*twisted)) == bits((both, gradient))


def check_derivatives(program: Program, gradient: Any, tolerance: float) -> None:
    """<bar, J dot> = <J^T bar, dot>; the gradient is that of the interpreter, and of central differences."""
    arguments = program.arguments
    function = traced(program.value, *arguments).function
    active = list(range(len(arguments)))
    random = np.random.default_rng(program.seed)
    dots = [np.asarray(random.normal(size=array.shape)).astype(array.dtype) for array in arguments]
    forward = pushforward(function, active, keep_values=False)
    backward = adjoint(function, active, seeded=[0], keep_values=False)
    (moved,) = interpret(forward, [*arguments, *dots])
    pulled = interpret(backward, arguments)
    close(tuple(pulled), gradient, tolerance)
    along = sum(float(np.vdot(bar, dot)) for bar, dot in zip(pulled, dots, strict=True))
    sizes = sum(float(np.sum(np.abs(bar * dot))) for bar, dot in zip(pulled, dots, strict=True))
    assert abs(float(moved) - along) <= tolerance * max(1.0, sizes)
    if not is_double(program):
        return
    differences(function, arguments, dots, along, sizes)
    second = pushforward(backward, active, keep_values=False)
    curved = interpret(second, [*arguments, *dots])
    check_curvature(backward, arguments, dots, curved)


def differences(function: Function, arguments: Any, dots: list[Array], along: float, sizes: float) -> None:
    def at(step: float) -> float:
        moved = [array + step * dot for array, dot in zip(arguments, dots, strict=True)]
        return float(interpret(function, moved)[0])

    step = 1e-5
    # Two steps show how far differences can be trusted.
    near, far = ((at(h) - at(-h)) / (2 * h) for h in (step, 2 * step))
    assert abs(near - along) <= 1e-6 * max(1.0, sizes) + 2 * abs(near - far), (near, along)


def check_curvature(backward: Function, arguments: Any, dots: list[Array], curved: list[Array]) -> None:
    def at(step: float) -> list[Array]:
        return interpret(backward, [array + step * dot for array, dot in zip(arguments, dots, strict=True)])

    def slopes(h: float) -> list[Array]:
        return [(above - below) / (2 * h) for above, below in zip(at(h), at(-h), strict=True)]

    for near, far, found in zip(slopes(1e-5), slopes(2e-5), curved, strict=True):
        scale = max(1.0, float(np.max(np.abs(found), initial=0.0)))
        allowed = 2e-6 * scale + 2 * float(np.max(np.abs(near - far), initial=0.0))
        np.testing.assert_allclose(found, near, rtol=0, atol=allowed)


@pytest.mark.parametrize("group", range(QUICK // GROUP))
def test_programs(group: int) -> None:
    for seed in range(group * GROUP, (group + 1) * GROUP):
        check(seed)


@pytest.mark.sweep
@pytest.mark.parametrize("group", range(QUICK // GROUP, SWEEP // GROUP))
def test_many_programs(group: int) -> None:
    for seed in range(group * GROUP, (group + 1) * GROUP):
        check(seed)
