"""Every op of the registry, from its own samples: type, value, native code, derivatives of both modes and orders."""
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import pullback.ir.ops
from pullback.codegen.vecmath.bounds import ULP_BOUNDS
from pullback.compiler import compile_function
from pullback.dtypes import BY_NAME, f64
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Array, Function, Region, RegionBuilder, Sample, Value
from pullback.ir.interpret import interpret
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.composed import Composed
from pullback.ir.ops.control import Control
from pullback.ir.ops.elementary import Smooth
from pullback.ir.parse import parse_function
from pullback.ir.print import print_function
from pullback.ir.registry import all_ops
from pullback.ir.types import type_of
from pullback.ir.verify import verify

assert pullback.ir.ops
OPS = {name: op for name, op in all_ops().items() if not issubclass(op, Control)}
SAMPLES = [(name, number, sample) for name, op in OPS.items() for number, sample in enumerate(op.samples())]
DIFFERENTIABLE = [
    (name, number, sample)
    for name, number, sample in SAMPLES
    if sample.differentiable and all(array.dtype == np.float64 for array in sample.operands if array.dtype.kind == "f")
]

ROUNDED = ("reduce_sum", "reduce_prod", "matmul", "scatter_add", "solve", "slogdet", "cholesky", "eigh", "svd", "qr", "pinv")
"""Ops that add in an order of their own, or in that of whichever LAPACK is there."""


def identify(value: object) -> str | None:
    return value if isinstance(value, str) else None


def operands_of(sample: Sample) -> list[Array]:
    return [np.asarray(array) for array in sample.operands]


def function_of(sample: Sample) -> Function:
    region = Region([Value(type_of(array), name=f"x{n}") for n, array in enumerate(operands_of(sample))])
    region.yields = RegionBuilder(region).emit(sample.op, *region.arguments).results
    return Function("sample", region)


def ulp_distance(found: Array, wanted: Array) -> float:
    """The largest distance in units of the last place of `wanted`; equal infinities and NaNs are at 0."""
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    if same.all():
        return 0.0
    spacing = np.spacing(np.abs(wanted[~same]))
    return float(np.max(np.abs(found[~same].astype(np.float64) - wanted[~same]) / spacing))


def effect(run: Callable[[], object]) -> object:
    """What running an op for its effect does: an exception, by type and arguments, or nothing."""
    try:
        run()
    except Exception as error:
        return type(error), repr(error.args)
    return None


def test_every_op_has_samples() -> None:
    for name, op in OPS.items():
        assert list(op.samples()), name


@pytest.mark.parametrize(("name", "number", "sample"), SAMPLES, ids=identify)
def test_native_is_numpy(name: str, number: int, sample: Sample) -> None:
    """The lowering gives NumPy's values: to the bit, or within the bound stated for an elementary function."""
    function = function_of(sample)
    verify(function)
    arguments = operands_of(sample)
    if sample.op.effect:
        assert effect(lambda: compile_function(function)(arguments)) == effect(lambda: interpret(function, arguments))
        return
    wanted = interpret(function, arguments)[0]
    found = compile_function(function)(arguments)[0]
    assert type_of(wanted) == type_of(found) == function.result_types[0]
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted)
        return
    if isinstance(sample.op, Smooth) or name == "pow":
        function_name = sample.op.function if isinstance(sample.op, Smooth) else None
        bounds = [
            bound
            for (key, dtype), bound in ULP_BOUNDS.items()
            if dtype.numpy == wanted.dtype and (key is function_name or (function_name is None and key.value == name))
        ]
        # NumPy's own error comes on top of ours; our sigmoid, softplus and logaddexp references are compositions.
        assert ulp_distance(found, wanted) <= bounds[0] + 3
    elif isinstance(sample.op, Composed):
        assert ulp_distance(found, wanted) <= sample.op.ulp + 3
    elif isinstance(sample.op, Elementwise) or name not in ROUNDED:
        np.testing.assert_array_equal(found, wanted)
    else:
        tolerance = 1e-12 if wanted.dtype == np.float64 else 1e-5
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPS)
def test_text_round_trip(name: str) -> None:
    for sample in list(OPS[name].samples())[:6]:
        text = print_function(function_of(sample))
        assert print_function(parse_function(text)) == text


def directions(arrays: list[Array]) -> Iterator[Array]:
    random = np.random.default_rng(1)
    for array in arrays:
        yield np.asarray(random.normal(size=array.shape))


@pytest.mark.parametrize(("name", "number", "sample"), DIFFERENTIABLE, ids=identify)
def test_derivatives(name: str, number: int, sample: Sample) -> None:
    """jvp = finite differences, <bar, J dot> = <J^T bar, dot>, and the same once more for the adjoint itself."""
    function = function_of(sample)
    arguments = operands_of(sample)
    active = [index for index, array in enumerate(arguments) if array.dtype == np.float64]
    check_derivatives(function, arguments, active)
    backward = adjoint(function, active, keep_values=False)
    verify(backward)
    bars = [np.asarray(np.random.default_rng(5).normal(size=kind.shape)) for kind in function.result_types]
    check_derivatives(backward, [*arguments, *bars], active)


def check_derivatives(function: Function, arguments: list[Array], active: list[int]) -> None:
    if not function.result_types or not active or any(kind.dtype != f64 for kind in function.result_types):
        return
    forward = pushforward(function, active, keep_values=False)
    backward = adjoint(function, active, keep_values=False)
    dots = list(directions([arguments[index] for index in active]))
    moved = interpret(forward, [*arguments, *dots])
    bars = list(directions(moved))
    pulled = compile_function(backward)([*arguments, *bars])
    left = sum(float(np.sum(bar * dot)) for bar, dot in zip(bars, moved, strict=True))
    right = sum(float(np.sum(dot * bar)) for dot, bar in zip(dots, pulled, strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-8, atol=1e-9)
    step = 1e-6
    shifted = []
    for sign in (1, -1):
        at = list(arguments)
        for index, dot in zip(active, dots, strict=True):
            at[index] = arguments[index] + sign * step * dot
        shifted.append(interpret(function, at))
    for above, below, dot in zip(*shifted, moved, strict=True):
        np.testing.assert_allclose((above - below) / (2 * step), dot, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if issubclass(op, Elementwise)])
def test_lanes_give_the_same_bits(name: str) -> None:
    """An element has the same bits alone, in full vectors, and in a remainder of any length."""
    for sample in OPS[name].samples():
        if not isinstance(sample.op, Elementwise) or not sample.operands or np.asarray(sample.operands[0]).size < 30:
            continue
        arguments = [np.resize(array, 37) for array in operands_of(sample)]
        whole = compile_function(function_of(Sample(sample.op, tuple(arguments))))(arguments)[0]
        for start, stop in ((0, 1), (1, 8), (8, 24), (24, 37), (36, 37)):
            parts = [array[start:stop].copy() for array in arguments]
            part = compile_function(function_of(Sample(sample.op, tuple(parts))))(parts)[0]
            assert part.tobytes() == whole[start:stop].tobytes(), (name, start, stop)


def test_dtypes_are_the_stated_ones() -> None:
    assert sorted(BY_NAME) == sorted(["bool", *(f"{k}{w}" for k in "iu" for w in (8, 16, 32, 64)), "f32", "f64"])
