"""sin, cos, tan, arctan, arctan2 and erf where it is hard: huge arguments, near multiples of pi/2, special values."""
from __future__ import annotations

import numpy as np
import pytest

from pullback.codegen.vecmath.bounds import ULP_BOUNDS
from pullback.compiler import compile_function
from pullback.dtypes import DType, f32, f64
from pullback.ir.core import Array, Function, Region, RegionBuilder, Value
from pullback.ir.ops.elementary import Cos, Sin, Smooth, Tan
from pullback.ir.types import type_of

DTYPES = pytest.mark.parametrize("dtype", [f32, f64], ids=str)
NEEDS_EXTENDED = pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="the reference needs 80-bit floats")


def native(op: Smooth, *operands: Array) -> Array:
    region = Region([Value(type_of(array)) for array in operands])
    region.yields = RegionBuilder(region).emit(op, *region.arguments).results
    return compile_function(Function("sample", region))(list(operands))[0]


def errors(found: Array, wanted: Array) -> Array:
    """Distances in units in the last place of `found`'s dtype; `wanted` is more precise."""
    spacing = np.spacing(np.abs(wanted).astype(found.dtype)).astype(wanted.dtype)
    return np.abs(found.astype(wanted.dtype) - wanted) / spacing


# Exact references: pi in whole numbers

FRACTION = 1300
"""Bits after the binary point: 2^-1300 of pi, times a quotient below 2^1024, leaves over 200 bits of a remainder."""


def inverse_tangent(denominator: int, one: int) -> int:
    power, total, sign, k = one // denominator, 0, 1, 1
    while power:
        total += sign * power // k
        power, sign, k = power // denominator**2, -sign, k + 2
    return total


PI = (16 * inverse_tangent(5, 1 << FRACTION + 64) - 4 * inverse_tangent(239, 1 << FRACTION + 64)) >> 64


def reduced(x: float) -> tuple[int, np.longdouble]:
    """The nearest multiple of pi/2 to x, modulo 4, and what is left of x, to the last bit of an 80-bit float."""
    numerator, denominator = float(x).as_integer_ratio()
    scaled = (numerator << FRACTION) // denominator
    quarter, left = divmod(2 * scaled + PI // 2, PI)
    left = left - PI // 2
    shift = max(left.bit_length() - 64, 0)
    top = np.longdouble(left >> shift >> 32) * 2**32 + np.longdouble(left >> shift & 0xFFFFFFFF)
    return quarter % 4, np.ldexp(top, shift - FRACTION - 1)


def reference(op: Smooth, x: Array) -> Array:
    wanted = []
    for each in x.tolist():
        quarter, left = reduced(each)
        sine, cosine = np.sin(left), np.cos(left)
        sine, cosine = [(sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine)][quarter]
        wanted.append(sine if isinstance(op, Sin) else cosine if isinstance(op, Cos) else sine / cosine)
    return np.array(wanted, np.longdouble)


def spread(dtype: DType, count: int) -> Array:
    """Arguments of every size, and what is nearest to multiples of pi/2 of every size."""
    random = np.random.default_rng(7)
    largest = np.log2(float(np.finfo(dtype.numpy).max))
    anywhere = random.choice([-1.0, 1.0], count) * 2.0 ** random.uniform(-30, largest, count)
    near = [
        float(int(random.integers(2**20, 2**21)) * int(2.0**exponent) * PI >> FRACTION + 1)
        for exponent in np.linspace(0, largest - 23, count // 2)
    ]
    small = random.integers(1, 2**24, count // 2) * (np.pi / 2)
    return np.concatenate([anywhere, near, small]).astype(dtype.numpy)


@NEEDS_EXTENDED
@DTYPES
@pytest.mark.parametrize("op", [Sin(), Cos(), Tan()], ids=lambda op: op.name)
def test_arguments_of_every_size(op: Smooth, dtype: DType) -> None:
    x = spread(dtype, 600)
    found = errors(native(op, x), reference(op, x))
    assert found.max() <= ULP_BOUNDS[op.function, dtype], x[found.argmax()]


@NEEDS_EXTENDED
@pytest.mark.parametrize("op", [Sin(), Cos(), Tan()], ids=lambda op: op.name)
def test_hardest_and_bordering_arguments(op: Smooth) -> None:
    # The double nearest to a multiple of pi/2, relative to it: J.-M. Muller, "Elementary Functions", section 11.
    hardest = 6381956970095103 * 2.0**797
    border = 2.0**40
    x = np.array([hardest, -hardest, border, np.nextafter(border, 0), np.nextafter(border, 1e99), np.finfo(float).max])
    assert abs(reduced(hardest)[1]) < 2.0**-60
    assert errors(native(op, x), reference(op, x)).max() <= ULP_BOUNDS[op.function, f64]
    single = np.array([2.0**17, np.nextafter(np.float32(2**17), 1e9), 16367173 * 2.0**72, 3.4028235e38], np.float32)
    assert errors(native(op, single), reference(op, single)).max() <= ULP_BOUNDS[op.function, f32]


@DTYPES
@pytest.mark.parametrize("op", [Sin(), Cos(), Tan()], ids=lambda op: op.name)
def test_large_neighbours_change_nothing(op: Smooth, dtype: DType) -> None:
    random = np.random.default_rng(3)
    usual = random.uniform(-50, 50, 64).astype(dtype.numpy)
    mixed = usual.copy()
    mixed[::3] *= 1e30
    mixed[1] = np.inf
    alone = native(op, usual)
    found = native(op, mixed)
    same = mixed == usual
    assert 0 < same.sum() < 64
    assert found[same].tobytes() == alone[same].tobytes()
    singles = np.array([native(op, mixed[place : place + 1])[0] for place in (0, 1, 3, 6)])
    assert found[[0, 1, 3, 6]].tobytes() == singles.tobytes()


def assert_same(found: Array, wanted: Array) -> None:
    """Equal with their signs, NaN for NaN."""
    np.testing.assert_array_equal(found, wanted)
    numbers = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(wanted[numbers]))


@DTYPES
def test_special_values_of_periodic_functions(dtype: DType) -> None:
    tiny = np.finfo(dtype.numpy).smallest_subnormal
    x = np.array([0.0, -0.0, tiny, -tiny, np.inf, -np.inf, np.nan], dtype.numpy)
    odd = np.array([0.0, -0.0, tiny, -tiny, np.nan, np.nan, np.nan], dtype.numpy)
    assert_same(native(Sin(), x), odd)
    assert_same(native(Tan(), x), odd)
    assert_same(native(Cos(), x), np.array([1, 1, 1, 1, np.nan, np.nan, np.nan], dtype.numpy))
