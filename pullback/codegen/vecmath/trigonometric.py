"""sin, cos, tan of every finite argument: quarter turns are taken off, a polynomial on what is left does the rest.

|x| = n pi/2 + r + rest, |r| <= pi/4 (and a little, n being rounded) and `rest` far smaller. Up to a limit that is Cody
and Waite's reduction with fused multiply-adds; beyond, rare elements go through `payne_hanek`.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, shifted_left
from pullback.codegen.vecmath.payne_hanek import Reduced, reduce_large
from pullback.codegen.vecmath.polynomial import constant_last, estrin
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder


@dataclass(frozen=True)
class _Constants:
    """What one dtype needs.

    `parts` add up to pi/2, each rounded. n times the first is taken from |x| exactly: both are multiples of that
    part's last place (or of x's own, for n <= 1), and the difference is below 1.
    """

    limit: float
    """Above it n (2/pi)'s error takes r too far past pi/4, or pi/2 needs a fourth part."""
    parts: tuple[float, float, float]
    sine: tuple[float, ...]
    """(sin r - r) / r^3 in powers of r^2."""
    cosine: tuple[float, ...]
    """((cos r - 1) / r^2 + 1/2) / r^2 in powers of r^2."""
    tangent: tuple[float, ...]
    """(tan r - r) / r^3 in powers of r^2."""


_CONSTANTS: Mapping[DType, _Constants] = MappingProxyType({
    # |r| <= pi/4 + 2^-11; errors relative to sin r, cos r, tan r: 2^-57.9, 2^-63.9, 2^-57.6.
    f64: _Constants(
        2.0**40,
        (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
        (
            -0.1666666666666663, 0.00833333333332184, -0.00019841269829358506,
            2.7557313538499568e-06, -2.505073438601824e-08, 1.5895433057100752e-10,
        ),
        (
            0.041666666666666595, -0.001388888888887332, 2.4801587288979098e-05,
            -2.755731420834558e-07, 2.087570399226555e-09, -1.1358667037131237e-11,
        ),
        (
            0.3333333333333338, 0.13333333333325342, 0.053968253972903175, 0.02186948839931928, 0.008863237922216376,
            0.0035921008844605243, 0.0014560455186803135, 0.0005888646563243887, 0.00024375152062150766,
            8.355504054927787e-05, 6.723527873213839e-05, -2.566002697521384e-05, 4.8666394783513895e-05,
            -2.4293405655384073e-05, 9.80432868413105e-06,
        ),
    ),
    # |r| <= pi/4 + 2^-7; errors relative to sin r, cos r, tan r: 2^-27.8, 2^-32.7, 2^-29.3.
    f32: _Constants(
        2.0**17,
        (1.5707963705062866, -4.371138828673793e-08, -1.7151245100058819e-15),
        (-0.16666653752326965, 0.008332106284797192, -0.00019507882825564593),
        (0.04166664555668831, -0.0013887297827750444, 2.4430084522464313e-05),
        (
            0.3333335220813751, 0.1333257108926773, 0.05407097190618515, 0.021222682669758797,
            0.010995272547006607, -0.00011832905875053257, 0.00448130676522851,
        ),
    ),
})  # fmt: skip


def _reduce(s: ScalarBuilder, magnitude: Scalar) -> Reduced:
    """Cody and Waite's reduction of |x| up to the limit."""
    dtype = magnitude.dtype
    constants = _CONSTANTS[dtype]
    rounder = s.constant(dtype, FORMATS[dtype].rounder)
    rounded = s.fma(magnitude, s.constant(dtype, 0.6366197723675814), rounder)
    n = s.sub(rounded, rounder)
    first, second, third = constants.parts
    exact = s.fma(n, s.constant(dtype, -first), magnitude)
    # n times the second part, and what its rounding and the third part leave; then r with its rounding error, exact
    # because `exact` is a multiple of a larger unit than `taken`, or within a factor of two of it.
    taken = s.mul(n, s.constant(dtype, second))
    left = s.fma(n, s.constant(dtype, -third), s.fma(n, s.constant(dtype, -second), taken))
    r = s.sub(exact, taken)
    rest = s.add(s.sub(s.sub(exact, r), taken), left)
    return Reduced(r, rest, s.bits(rounded))


def _sine(s: ScalarBuilder, reduced: Reduced, square: Scalar) -> Scalar:
    """sin(r + rest), to first order in `rest` at slope 1: it only tells where r is small."""
    r = reduced.r
    series = estrin(s, square, _CONSTANTS[r.dtype].sine)
    return s.add(r, s.fma(s.mul(square, r), series, reduced.rest))


def _cosine(s: ScalarBuilder, reduced: Reduced, square: Scalar) -> Scalar:
    """cos r, which `rest` hardly moves."""
    dtype = reduced.r.dtype
    series = estrin(s, square, _CONSTANTS[dtype].cosine)
    return s.fma(square, s.fma(square, series, s.constant(dtype, -0.5)), s.constant(dtype, 1.0))


def _tangent(s: ScalarBuilder, reduced: Reduced) -> Scalar:
    """tan(r + rest), to first order in `rest` at slope 1 + r^2."""
    r = reduced.r
    square = s.mul(r, r)
    series = constant_last(s, square, _CONSTANTS[r.dtype].tangent)
    return s.add(r, s.fma(s.mul(square, r), series, s.fma(square, reduced.rest, reduced.rest)))


def _signed(s: ScalarBuilder, value: Scalar, sign: Scalar) -> Scalar:
    """`value`, negated where the top bit of `sign` is set."""
    top = s.bit_and(sign, s.constant(sign.dtype, FORMATS[value.dtype].sign_mask))
    return s.from_bits(s.bit_xor(s.bits(value), top))


def _to_top(s: ScalarBuilder, quarters: Scalar, bit: int) -> Scalar:
    """Bit 0 or 1 of the quarter turns, moved to the top."""
    return shifted_left(s, quarters, quarters.dtype.bits - 1 - bit)


def _is_odd(s: ScalarBuilder, quarters: Scalar) -> Scalar:
    return s.compare(Compare.LT, _to_top(s, quarters, 0), s.constant(quarters.dtype, 0))


def _sin(s: ScalarBuilder, x: Scalar, reduced: Reduced) -> Scalar:
    """sin x: through the quarters it is sin r, cos r, -sin r, -cos r, and the sign of x on top."""
    square = s.mul(reduced.r, reduced.r)
    value = s.select(_is_odd(s, reduced.quarters), _cosine(s, reduced, square), _sine(s, reduced, square))
    return _signed(s, value, s.bit_xor(_to_top(s, reduced.quarters, 1), s.bits(x)))


def _cos(s: ScalarBuilder, x: Scalar, reduced: Reduced) -> Scalar:
    """cos x: through the quarters it is cos r, -sin r, -cos r, sin r."""
    square = s.mul(reduced.r, reduced.r)
    value = s.select(_is_odd(s, reduced.quarters), _sine(s, reduced, square), _cosine(s, reduced, square))
    following = s.add(reduced.quarters, s.constant(reduced.quarters.dtype, 1))
    return _signed(s, value, _to_top(s, following, 1))


def _tan(s: ScalarBuilder, x: Scalar, reduced: Reduced) -> Scalar:
    """tan x: tan r, or -1 / tan r in odd quarters, and the sign of x on top."""
    tangent = _tangent(s, reduced)
    inverse = s.div(s.constant(x.dtype, 1.0), tangent)
    value = s.select(_is_odd(s, reduced.quarters), inverse, tangent)
    return _signed(s, value, s.bit_xor(_to_top(s, reduced.quarters, 0), s.bits(x)))


Finish = Callable[[ScalarBuilder, Scalar, Reduced], Scalar]
"""Takes x and its reduced magnitude, gives the function of x."""


def _reduce_large(s: ScalarBuilder, x: Scalar) -> tuple[Scalar, ...]:
    """r, rest and quarters of an x of any size from 1 on."""
    dtype = x.dtype
    reduced = reduce_large(s, s.cast(x, f64))
    r = s.cast(reduced.r, dtype)
    rest = s.add(s.sub(reduced.r, s.cast(r, f64)), reduced.rest)
    return r, s.cast(rest, dtype), s.cast(reduced.quarters, FORMATS[dtype].integer)


def _trigonometric(finish: Finish, s: ScalarBuilder, x: Scalar) -> Scalar:
    magnitude = s.abs(x)
    usual = _reduce(s, magnitude)
    is_large = s.compare(Compare.GT, magnitude, s.constant(x.dtype, _CONSTANTS[x.dtype].limit))
    name = f"reduce_large_{x.dtype}"
    r, rest, quarters = s.rarely(is_large, (usual.r, usual.rest, usual.quarters), name, _reduce_large, x)
    return finish(s, x, Reduced(r, rest, quarters))


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({
    Elementary.SIN: partial(_trigonometric, _sin),
    Elementary.COS: partial(_trigonometric, _cos),
    Elementary.TAN: partial(_trigonometric, _tan),
})

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.SIN, f32): 1.5, (Elementary.SIN, f64): 1.5,
    (Elementary.COS, f32): 1.5, (Elementary.COS, f64): 1.5,
    (Elementary.TAN, f32): 2.2, (Elementary.TAN, f64): 2.2,
})  # fmt: skip
