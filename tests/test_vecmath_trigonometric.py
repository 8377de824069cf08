"""sin, cos, tan, arctan, arctan2 and erf where it is hard: huge arguments, near multiples of pi/2, special values."""
from __future__ import annotations

from itertools import product
from math import erf, inf, nan, pi

import numpy as np
import pytest

from pullback.codegen.vecmath.bounds import ULP_BOUNDS
from pullback.compiler import compile_function
from pullback.dtypes import DType, f32, f64
from pullback.ir.core import Array, Function, Region, RegionBuilder, Value
from pullback.ir.ops.elementary import Arctan, Arctan2, Cos, Erf, Sin, Smooth, Tan
from pullback.ir.ops.scalar import Elementary
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


def hard(exponent: int, bits: int) -> float:
    """An integer below 2^bits times 2^exponent, uncommonly near to a multiple of pi/2: from a continued fraction."""
    one = 1 << FRACTION
    rest, older, old = (one << FRACTION + 1 + exponent) // PI % one, 0, 1
    while True:
        quotient, rest = divmod(one * one // rest, one)
        older, old = old, quotient * old + older
        if old >= 2**bits:
            return float(older) * 2.0**exponent


@NEEDS_EXTENDED
@pytest.mark.parametrize("op", [Sin(), Cos(), Tan()], ids=lambda op: op.name)
def test_arguments_near_multiples_of_a_quarter_turn(op: Smooth) -> None:
    # The double nearest of all, relative to it: J.-M. Muller, "Elementary Functions", section 11.
    hardest = 6381956970095103 * 2.0**797
    assert abs(reduced(hardest)[1]) < 2.0**-60
    x = np.array([hardest, np.finfo(float).max, *(hard(exponent, 53) for exponent in range(-50, 970, 4))])
    assert np.median([abs(reduced(each)[1]) for each in x]) < 2.0**-50
    # Small multiples of hard ones are hard too, and many: one product in 2^11 carries into the highest word.
    multiples = np.random.default_rng(2).integers(2**11, 2**12, 6000)
    x = np.concatenate([x, multiples * np.resize([hard(exponent, 41) for exponent in range(13, 970, 5)], 6000)])
    assert errors(native(op, x), reference(op, x)).max() <= ULP_BOUNDS[op.function, f64]
    single = np.array([hard(exponent, 24) for exponent in range(-22, 103)], np.float32)
    assert errors(native(op, single), reference(op, single)).max() <= ULP_BOUNDS[op.function, f32]


@NEEDS_EXTENDED
@pytest.mark.parametrize(("dtype", "limit"), [(f32, 2.0**17), (f64, 2.0**40)], ids=str)
@pytest.mark.parametrize("op", [Sin(), Cos(), Tan()], ids=lambda op: op.name)
def test_where_the_reduction_changes(op: Smooth, dtype: DType, limit: float) -> None:
    x = (limit * np.random.default_rng(4).uniform(0.7, 1.3, 20_000)).astype(dtype.numpy)
    x[:3] = limit, np.nextafter(dtype.numpy.type(limit), 0), np.nextafter(dtype.numpy.type(limit), np.inf)
    wanted = getattr(np, op.name)(x.astype(np.longdouble))
    assert errors(native(op, x), wanted).max() <= ULP_BOUNDS[op.function, dtype]


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


# Arctangents and the error function

SIGNED = (0.0, 5e-324, 1e-300, 1.0, 2.0, 1e300, inf)


@DTYPES
def test_arctan2_in_all_quadrants(dtype: DType) -> None:
    """Zeros, infinities and NaN of both signs in every combination, against NumPy's."""
    with np.errstate(over="ignore"):
        sides = np.array([*SIGNED, *(-side for side in SIGNED), nan]).astype(dtype.numpy)
    y, x = np.array(list(product(sides, sides)), dtype.numpy).T.copy()
    found, wanted = native(Arctan2(), y, x), np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    nearest = wanted.astype(dtype.numpy)
    assert np.isnan(found).sum() == 2 * sides.size - 1
    exact = np.isnan(nearest) | (nearest == 0) | np.isinf(y) | np.isinf(x) | (y == 0) | (x == 0)
    assert_same(found[exact], nearest[exact])
    assert errors(found[~exact], wanted[~exact]).max() <= ULP_BOUNDS[Elementary.ARCTAN2, dtype]


@NEEDS_EXTENDED
@DTYPES
def test_arctan2_of_points_on_rings(dtype: DType) -> None:
    """All directions at all distances, those near the axes and the diagonals among them."""
    random = np.random.default_rng(5)
    angle = np.concatenate([random.uniform(-pi, pi, 20_000), random.integers(-4, 5, 5_000) * pi / 4])
    angle[20_000:] += random.normal(size=5_000) * 2.0 ** random.uniform(-30, -5, 5_000)
    distance = 2.0 ** random.uniform(-100, 100, angle.size)
    y, x = ((distance * side).astype(dtype.numpy) for side in (np.sin(angle), np.cos(angle)))
    wanted = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    assert errors(native(Arctan2(), y, x), wanted).max() <= ULP_BOUNDS[Elementary.ARCTAN2, dtype]


@NEEDS_EXTENDED
@DTYPES
def test_arctan(dtype: DType) -> None:
    random = np.random.default_rng(6)
    signs, border = random.choice([-1, 1], 5_000), 1 + np.arange(-8, 9) * np.finfo(dtype.numpy).epsneg
    x = np.concatenate([random.uniform(-3, 3, 20_000), signs * 2.0 ** random.uniform(-60, 60, 5_000), border])
    x = x.astype(dtype.numpy)
    assert errors(native(Arctan(), x), np.arctan(x.astype(np.longdouble))).max() <= ULP_BOUNDS[Elementary.ARCTAN, dtype]
    ends = np.array([0.0, -0.0, inf, -inf, nan, 1.0, -1.0], dtype.numpy)
    assert_same(native(Arctan(), ends), np.array([0.0, -0.0, pi / 2, -pi / 2, nan, pi / 4, -pi / 4], dtype.numpy))


@DTYPES
def test_error_function(dtype: DType) -> None:
    """Against the C library's double, which may itself be one unit wrong."""
    random = np.random.default_rng(8)
    edges = [1, 3.95, 5.95, np.nextafter(1, 0), np.nextafter(1, 2), 1e-310, 1e-40, 5e-324, 1e30, 0.0, inf]
    x = np.concatenate([random.uniform(-6.5, 6.5, 20_000), edges, np.negative(edges)]).astype(dtype.numpy)
    wanted = np.array([erf(each) for each in x.tolist()])
    slack = 1 if dtype is f64 else 0
    found = native(Erf(), x)
    assert errors(found, wanted).max() <= ULP_BOUNDS[Elementary.ERF, dtype] + slack
    assert np.array_equal(np.signbit(found), np.signbit(x))
    assert np.isnan(native(Erf(), np.array([nan], dtype.numpy))[0])
