"""Polynomials with constant coefficients: an argument and c[0], c[1], … go in, c[0] + c[1] x + c[2] x² + … comes out.

Every step is a fused multiply-add, so a polynomial has one rounding a coefficient. Put the terms that must be exact
(the leading 1, or x itself) outside, and add the polynomial to them last.
"""
from __future__ import annotations

from collections.abc import Sequence

from pullback.ir.ops.scalar import Scalar, ScalarBuilder


def estrin(s: ScalarBuilder, x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """Estrin's scheme: neighbours join pairwise, so the chain is as long as the logarithm of the degree.

    It costs one multiplication more than Horner's for each squaring of x, which the shorter wait repays.
    """
    terms = [s.constant(x.dtype, coefficient) for coefficient in coefficients]
    power = x
    while len(terms) > 1:
        joined = [s.fma(high, power, low) for low, high in zip(terms[::2], terms[1::2], strict=False)]
        terms = joined + terms[2 * len(joined) :]
        if len(terms) > 1:
            power = s.mul(power, power)
    return terms[0]


def halved(s: ScalarBuilder, x: Scalar, square: Scalar, coefficients: Sequence[float]) -> Scalar:
    """Horner's scheme for the even and for the odd terms, given x² as well: no multiplication beside the fused ones.

    For about ten coefficients the chain is longer than Estrin's by one step, and there are two instructions less.
    """
    even, odd = (
        [s.constant(x.dtype, coefficient) for coefficient in half] for half in (coefficients[::2], coefficients[1::2])
    )
    totals = []
    for last, *others in (reversed(even), reversed(odd)):
        total = last
        for each in others:
            total = s.fma(total, square, each)
        totals.append(total)
    return s.fma(x, totals[1], totals[0])


def constant_last(s: ScalarBuilder, x: Scalar, coefficients: Sequence[float]) -> Scalar:
    """Estrin's scheme for all but c[0], which is added last: one rounding of the result's size instead of several.

    For results that are no small correction of something larger, and where the rest is smaller than c[0].
    """
    first, *rest = coefficients
    return s.fma(x, estrin(s, x, rest), s.constant(x.dtype, first))
