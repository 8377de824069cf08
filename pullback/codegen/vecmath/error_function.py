"""erf: an odd polynomial up to 1, beyond it 1 - exp(p(|x|)), where p approximates log(1 - erf)."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pullback.codegen.vecmath.binary import FORMATS, at_most
from pullback.codegen.vecmath.exponential import growth, power_of_two, reduce
from pullback.codegen.vecmath.polynomial import constant_last, estrin
from pullback.dtypes import DType, f32, f64
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder


@dataclass(frozen=True)
class _Constants:
    inner: tuple[float, ...]
    """erf x / x - 1 in powers of x^2, for |x| <= 1."""
    outer: tuple[float, ...]
    """log(1 - erf x) in powers of x - 1, for 1 <= x <= `flat`."""
    flat: float
    """erf is 1 from here up."""


_CONSTANTS: Mapping[DType, _Constants] = MappingProxyType({
    # Errors, relative to erf: 2^-56.0 up to 1, 2^-55.4 beyond.
    f64: _Constants(
        (
            0.12837916709551256, -0.37612638903183343, 0.11283791670936955, -0.026866170641960584,
            0.005223977596754516, -0.0008548325486227837, 0.00012055280543518649, -1.4924466737272024e-05,
            1.6444166495211648e-06, -1.6184130930795387e-07, 1.3617378153777743e-08, -7.609212461162688e-10,
        ),
        (
            -1.8496055099332482, -2.638967514234783, -0.8431072563591641, -0.041561098028932326,
            0.010033825211668597, -0.001977901384369839, 0.00023731700948681286, 2.6294976338996097e-05,
            -2.7196718056763977e-05, 9.668651837666224e-06, -2.1295299238637143e-06, 2.0324820343026488e-07,
            5.875259006034181e-08, -3.364409493810317e-08, 8.579155815946494e-09, -1.3286626043217774e-09,
            1.202231891217457e-10, -4.902453352389337e-12,
        ),
        5.95,
    ),
    # Errors, relative to erf: 2^-29.4 up to 1, 2^-26.6 beyond.
    f32: _Constants(
        (
            0.12837916612625122, -0.3761262595653534, 0.11283578723669052, -0.026853347197175026,
            0.005187162198126316, -0.0007997853099368513, 7.806903158780187e-05,
        ),
        (
            -1.8496055603027344, -2.638962745666504, -0.8431723713874817, -0.041262224316596985,
            0.009452713653445244, -0.001481058425270021, 9.008520282804966e-05,
        ),
        3.95,
    ),
})  # fmt: skip


def _outer(s: ScalarBuilder, magnitude: Scalar) -> Scalar:
    """erf |x| for |x| >= 1."""
    dtype = magnitude.dtype
    constants, one = _CONSTANTS[dtype], s.constant(dtype, 1.0)
    beyond = s.sub(at_most(s, magnitude, constants.flat), one)
    reduced = reduce(s, constant_last(s, beyond, constants.outer), bias=FORMATS[dtype].bias)
    factor = power_of_two(s, reduced.bits, dtype)
    return s.sub(one, s.fma(growth(s, reduced), factor, factor))


def erf(s: ScalarBuilder, x: Scalar) -> Scalar:
    """Both approximations, and for each element the one that holds."""
    magnitude = s.abs(x)
    inner = s.fma(x, estrin(s, s.mul(x, x), _CONSTANTS[x.dtype].inner), x)
    is_inner = s.compare(Compare.LT, magnitude, s.constant(x.dtype, 1.0))
    return s.select(is_inner, inner, s.copysign(_outer(s, magnitude), x))


FUNCTIONS: Mapping[Elementary, Callable[..., Scalar]] = MappingProxyType({Elementary.ERF: erf})

BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    (Elementary.ERF, f32): 1.25, (Elementary.ERF, f64): 1.25,
})  # fmt: skip
