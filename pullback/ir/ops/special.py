"""Special functions of statistics: the normal distribution's, the gamma function's, each in float64 inside."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, erfc, factorial, inf, lgamma, log, nan, pi, sqrt
from typing import ClassVar

import numpy as np

from pullback.dtypes import f64
from pullback.ir.core import Array, Sample
from pullback.ir.ops.base import Partial, Term, sample_operands
from pullback.ir.ops.composed import Composed
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder
from pullback.ir.registry import register

_MIDDLE = 3.75
# (1 + 2u) exp(u²) erfc(u) in powers of (u - 3.75) / (u + 3.75): M. Shepherd, J. Laframboise, Chebyshev approximation
# of (1 + 2x) exp(x²) erfc x in 0 <= x < inf, 1981, whose variable this is. Error below 2^-60.
_SCALED = (
    1.2375126308378275, -0.14024059858554697, 0.0035854154854644293, 0.0822767384901452, -0.10880393014174886,
    0.09230432116037748, -0.05869339858963677, 0.028362277418956406, -0.009746579558029276, 0.0017556258528952954,
    0.0002937136655913448, -0.0002901540805408417, 5.164909889268241e-05, 2.238423915508223e-05, -1.1444146237700524e-05,
    -9.73559896736775e-07, 1.751637648849062e-06, -5.7218230603224086e-08, -2.5866850716155884e-07,
    2.3263508708859124e-08, 3.8675334242222354e-08, -3.744210080962018e-09, -5.1739902140113095e-09,
    3.1114333809799254e-10, 4.2514714447963895e-10,
)  # fmt: skip
# log Γ(y) / ((y - 1) (y - 2)) in powers of 2y - 3, for 1 <= y <= 2. Error below 2^-55.
_LOG_GAMMA = (
    0.4831289505409809, -0.07297994795715304, 0.01572785026864124, -0.003913560937626182, 0.0010498186644489656,
    -0.0002945507015196472, 8.510090382507709e-05, -2.5094328668947195e-05, 7.511391134979752e-06, -2.2742474102383936e-06,
    6.948461695085761e-07, -2.1386323384115519e-07, 6.622899723826762e-08, -2.0621027431854287e-08, 6.448537660005262e-09,
    -2.016947955623982e-09, 6.34708063084356e-10, -2.0874620693971093e-10, 6.659994986020335e-11, -1.5395748006420787e-11,
    4.705387815328221e-12, -3.803618166622364e-12, 1.2510413599689193e-12,
)  # fmt: skip


def _bernoulli(count: int) -> list[Fraction]:
    """The numbers B_2, B_4, …"""
    found = [Fraction(1)]
    for m in range(1, 2 * count + 1):
        found.append(-sum((comb(m + 1, k) * found[k] for k in range(m)), Fraction(0)) / (m + 1))
    return found[2::2]


_BERNOULLI = _bernoulli(12)
_STIRLING = tuple(float(b / (2 * k * (2 * k - 1))) for k, b in enumerate(_BERNOULLI[:9], 1))
"""Of log Γ: coefficients of 1 / x^(2k - 1)."""


@dataclass(frozen=True, slots=True)
class _Number:
    """A float64 (or a bool) in the code of an element, with Python's operators."""

    s: ScalarBuilder
    value: Scalar

    def lift(self, other: _Number | float) -> Scalar:
        return other.value if isinstance(other, _Number) else self.s.constant(f64, other)

    def made(self, value: Scalar) -> _Number:
        return _Number(self.s, value)

    def __add__(self, other: _Number | float) -> _Number:
        return self.made(self.s.add(self.value, self.lift(other)))

    def __sub__(self, other: _Number | float) -> _Number:
        return self.made(self.s.sub(self.value, self.lift(other)))

    def __rsub__(self, other: float) -> _Number:
        return self.made(self.s.sub(self.lift(other), self.value))

    def __mul__(self, other: _Number | float) -> _Number:
        return self.made(self.s.mul(self.value, self.lift(other)))

    def __truediv__(self, other: _Number | float) -> _Number:
        return self.made(self.s.div(self.value, self.lift(other)))

    def __rtruediv__(self, other: float) -> _Number:
        return self.made(self.s.div(self.lift(other), self.value))

    def __neg__(self) -> _Number:
        return self.made(self.s.neg(self.value))

    def __abs__(self) -> _Number:
        return self.made(self.s.abs(self.value))

    def __lt__(self, other: float) -> _Number:
        return self.made(self.s.compare(Compare.LT, self.value, self.lift(other)))

    def __le__(self, other: float) -> _Number:
        return self.made(self.s.compare(Compare.LE, self.value, self.lift(other)))

    def __gt__(self, other: float) -> _Number:
        return self.made(self.s.compare(Compare.GT, self.value, self.lift(other)))

    def __ge__(self, other: float) -> _Number:
        return self.made(self.s.compare(Compare.GE, self.value, self.lift(other)))

    def select(self, if_true: _Number | float, if_false: _Number | float) -> _Number:
        return self.made(self.s.select(self.value, self.lift(if_true), self.lift(if_false)))

    def at_most(self, bound: float) -> _Number:
        return self.made(self.s.minimum(self.value, self.lift(bound)))

    def from_nearest(self) -> _Number:
        """What it is more than the nearest integer, a zero with its sign."""
        return (abs(self) < 0.5).select(self, self - self.made(self.s.rint(self.value)))

    def fma(self, factor: _Number | float, term: _Number | float) -> _Number:
        return self.made(self.s.fma(self.value, self.lift(factor), self.lift(term)))

    def elementary(self, function: Elementary) -> _Number:
        return self.made(self.s.elementary(function, self.value))

    def polynomial(self, coefficients: Sequence[float]) -> _Number:
        """By Horner's rule, the constant first."""
        total = self.made(self.lift(coefficients[-1]))
        for each in reversed(coefficients[:-1]):
            total = total.fma(self, each)
        return total


class _Special(Composed):
    """A function whose code is `compute`, in float64 whatever its operand is."""

    def compute(self, x: _Number) -> _Number:
        """The value at x."""
        raise NotImplementedError

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        wide = x if x.dtype == f64 else s.cast(x, f64)
        found = self.compute(_Number(s, wide)).value
        return found if x.dtype == f64 else s.cast(found, x.dtype)

    @staticmethod
    def by_element(function: Callable[[float], float], x: Array) -> Array:
        return np.array([function(each) for each in x.ravel().tolist()], np.float64).astype(x.dtype).reshape(x.shape)


def _scaled(u: _Number) -> _Number:
    """exp(u²) erfc(u) for u >= 0."""
    place = (u > 1e17).select(1.0, (u - _MIDDLE) / (u + _MIDDLE))
    return place.polynomial(_SCALED) / (u + u + 1.0)


def _tail(u: _Number, square: _Number, rest: _Number) -> _Number:
    """erfc(u) for u >= 0, where ``square + rest`` is u² without its rounding."""
    power = (-square).elementary(Elementary.EXP)
    return power.fma(-rest, power) * _scaled(u)


def _half_tail(x: _Number) -> _Number:
    """The probability beyond |x| on one side of the normal distribution."""
    a = abs(x).at_most(40.0)
    square = a * a
    return _tail(a * sqrt(0.5), square * 0.5, a.fma(a, -square) * 0.5) * 0.5


@register
class Erfc(_Special):
    """1 - erf(x), exact far out too: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "erfc"
    ulp: ClassVar[float] = 5
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-4.0, 6.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (self.by_element(erfc, *operands),)

    def compute(self, x: _Number) -> _Number:
        u = abs(x).at_most(30.0)
        square = u * u
        tail = _tail(u, square, u.fma(u, -square))
        return (x < 0.0).select(2.0 - tail, tail)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return ((-(x * x)).apply("exp") * (-2.0 / sqrt(pi)),)


@register
class Ndtr(_Special):
    """The normal distribution function, exact far out too: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "ndtr"
    ulp: ClassVar[float] = 5
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-3.0, 3.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (self.by_element(lambda x: 0.5 * erfc(-x * sqrt(0.5)), *operands),)

    def compute(self, x: _Number) -> _Number:
        tail = _half_tail(x)
        return (x > 0.0).select(1.0 - tail, tail)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return ((x * x * -0.5).apply("exp") * (1.0 / sqrt(2.0 * pi)),)


_HAZARD_SLOPE = (1.0, -1.0, 6.0, -50.0, 518.0, -6354.0, 89782.0)
"""Of ``h (x + h)`` for the `NormalHazard` h: coefficients of 1 / x^2k, for x far below 0."""


def _far(x: float) -> float:
    """How the tail far out differs from the density over -x."""
    square = 1.0 / (x * x)
    return 3.0 * square * square - square


@register
class LogNdtr(_Special):
    """The logarithm of the normal distribution function: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "log_ndtr"
    ulp: ClassVar[float] = 6
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-5.0, 3.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        def value(x: float) -> float:
            if x < -35.0:
                return -0.5 * x * x - log(-x) - 0.5 * log(2.0 * pi) + float(np.log1p(_far(x)))
            return log(0.5 * erfc(-x * sqrt(0.5))) if x < 0 else float(np.log1p(-0.5 * erfc(x * sqrt(0.5))))

        return (self.by_element(value, *operands),)

    def compute(self, x: _Number) -> _Number:
        below = (_scaled(abs(x) * sqrt(0.5)) * 0.5).elementary(Elementary.LOG) - x * x * 0.5
        return (x < 0.0).select(below, (-_half_tail(x)).elementary(Elementary.LOG1P))

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (operands[0].apply("normal_hazard"),)


@register
class NormalHazard(_Special):
    """Density over distribution function of the normal distribution, what `LogNdtr` grows by: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "normal_hazard"
    ulp: ClassVar[float] = 8
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-3.0, 3.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        def value(x: float) -> float:
            if x < -35.0:
                return -x / (1.0 + _far(x))
            return float(np.exp(-0.5 * min(abs(x), 1e100) ** 2)) / sqrt(2.0 * pi) / (0.5 * erfc(-x * sqrt(0.5)))

        return (self.by_element(value, *operands),)

    def compute(self, x: _Number) -> _Number:
        below = sqrt(2.0 / pi) / _scaled(abs(x) * sqrt(0.5))
        a = abs(x).at_most(40.0)
        square = a * a
        power = (square * -0.5).elementary(Elementary.EXP)
        density = power.fma(a.fma(a, -square) * -0.5, power) * (1.0 / sqrt(2.0 * pi))
        return (x < 0.0).select(below, density / (1.0 - _half_tail(x)))

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        """``-result (x + result)``; far out, where little is left of the sum, by its series in 1 / x²."""
        (x,) = operands
        border = -30.0 if x.value.type.dtype == f64 else -8.0
        far = x < border
        inverse = 1.0 / far.select(x, border)
        square = inverse * inverse
        series = x.lift(_HAZARD_SLOPE[-1])
        for coefficient in reversed(_HAZARD_SLOPE[:-1]):
            series = series * square + coefficient
        near = (far.apply("logical_or", x > 40.0)).select(0.0, x)
        return (-far.select(series, result * (near + result)),)


def _log_gamma(x: _Number) -> _Number:
    """For x > 0: a polynomial from 1 to 2, to there by products up to 10; beyond by Stirling's series."""
    small = x < 1.0
    y, product = x, x.made(x.lift(1.0))
    for _ in range(8):
        large = y >= 2.0
        y = large.select(y - 1.0, y)
        product = large.select(product * y, product)
    beyond = small.select(x, y - 1.0)
    near = (beyond + beyond - 1.0).polynomial(_LOG_GAMMA) * (beyond * (beyond - 1.0))
    moved = small.select(x, product).elementary(Elementary.LOG)
    near = small.select(near - moved, near + moved)
    logarithm = x.elementary(Elementary.LOG)
    inverse = 1.0 / x
    series = (inverse * inverse).polynomial(_STIRLING) * inverse
    far = (x - 0.5) * (logarithm - 1.0) + (0.5 * log(2.0 * pi) - 0.5) + series
    return (x < 10.0).select(near, far)


@register
class Gammaln(_Special):
    """log |Γ(x)|, infinite at 0, negative integers and -inf: ``f[...] -> f[...]``. Near its zeros at negative x: absolute."""

    name: ClassVar[str] = "gammaln"
    ulp: ClassVar[float] = 12
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((2.3, 20.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        def value(x: float) -> float:
            return inf if (x <= 0 and x == np.floor(x)) or x > 2.5e305 else lgamma(x)

        return (self.by_element(value, *operands),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        # Away from its zeros, where math.lgamma has few digits.
        for domain in (*cls.domains, (0.05, 0.7), (-3.7, -3.3)):
            for operands in sample_operands(cls.dtypes, (domain,)):
                yield Sample(cls(), operands)
        yield Sample(cls(), (np.array([0.0, -0.0, -1.0, -7.0, inf, -inf, 1e-300, 1.0, 2.0]),), False)

    def compute(self, x: _Number) -> _Number:
        def reflected(s: ScalarBuilder, value: Scalar) -> tuple[Scalar, ...]:
            # Γ(a) Γ(-a) = -π / (a sin πa)
            a = abs(_Number(s, value))
            sine = abs(a.from_nearest() * pi).elementary(Elementary.SIN)
            logs = a.elementary(Elementary.LOG) + sine.elementary(Elementary.LOG)
            return ((sine > 0.0).select(log(pi) - logs - _log_gamma(a), inf).value,)

        negative = x <= 0.0
        (found,) = x.s.rarely(negative.value, (_log_gamma(x).value,), "gammaln_reflected", reflected, x.value)
        return x.made(found)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return (Term(x.b, x.b.value(Polygamma(0), x.value)),)


@register
@dataclass(frozen=True)
class Polygamma(_Special):
    """The derivative of log Γ number `order` + 1: ``f[...] -> f[...]``. Near zeros: exact to about 1e-15.

    At negative integers NaN for order 0, else infinite. By the recurrence, the asymptotic series and, for negative x, the
    reflection: NIST Digital Library of Mathematical Functions, 5.15.
    """

    name: ClassVar[str] = "polygamma"
    ulp: ClassVar[float] = 40
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((1.8, 9.0),)
    order: int = 0

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        (x,) = operands
        with np.errstate(all="ignore"):
            wide = x.astype(np.longdouble)
            turned = np.where(wide <= 0, 1 - wide, wide)
            n, shift = self.order, 40
            total = sum((1 / (turned + k) ** (n + 1) for k in range(shift)), np.zeros_like(wide))
            z = turned + shift
            first = -np.log(z) if n == 0 else factorial(n - 1) / z**n
            series = first + factorial(n) / (2 * z ** (n + 1))
            for k, coefficient in enumerate(_series(n), 1):
                series = series + float(coefficient) / z ** (2 * k + n)
            value = (-1) ** (n + 1) * (factorial(n) * total + series)
            rest = np.where(np.abs(wide) < 0.5, wide, wide - np.rint(wide))
            if n == 0:
                rest = np.where((wide < 0) & (rest == 0), np.nan, rest)
            cotangent = 1 / np.tan(np.pi * rest)
            slope = np.zeros_like(wide)
            for power, factor in enumerate(_cotangents(n)):
                slope += factor * cotangent**power if factor else 0.0
            reflected = (-1) ** n * value - slope
        return (np.where(wide <= 0, reflected, value).astype(x.dtype),)

    def compute(self, x: _Number) -> _Number:
        n, shift = self.order, 10 + 2 * self.order
        negative = x <= 0.0
        turned = negative.select(1.0 - x, x)
        total = x.made(x.lift(0.0))
        for k in reversed(range(shift)):
            total = total + _power(1.0 / (turned + float(k)), n + 1)
        z = turned + float(shift)
        inverse = 1.0 / z
        square = inverse * inverse
        series = square.polynomial([float(each) for each in _series(n)]) * _power(inverse, n + 2)
        first = -z.elementary(Elementary.LOG) if n == 0 else _power(inverse, n) * float(factorial(n - 1))
        found = first + (_power(inverse, n + 1) * (0.5 * factorial(n)) + series + total * float(factorial(n)))
        value = found if n % 2 else -found
        rest = x.from_nearest()
        if n == 0:
            rest = (x <= -1.0).select((abs(rest) > 0.0).select(rest, nan), rest)
        slope = (1.0 / (rest * pi).elementary(Elementary.TAN)).polynomial(_cotangents(n))
        reflected = (-value if n % 2 else value) - slope
        return negative.select(reflected, value)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return (Term(x.b, x.b.value(Polygamma(self.order + 1), x.value)),)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for order in range(4):
            for domain in (*cls.domains, (-0.8, -0.6)):
                for operands in sample_operands(cls.dtypes, (domain,)):
                    yield Sample(cls(order), operands)
            yield Sample(cls(order), (np.array([0.0, -1.0, -7.0, inf, -inf, np.nan, 0.5]),), False)


def _series(n: int) -> list[Fraction]:
    """B_2k (2k + n - 1)! / (2k)!: what goes with 1 / z^(2k + n)."""
    return [b * Fraction(factorial(2 * k + n - 1), factorial(2 * k)) for k, b in enumerate(_BERNOULLI, 1)]


def _cotangents(n: int) -> list[float]:
    """The n-th derivative of π cot πx as a polynomial in cot πx, the constant first."""
    found = np.polynomial.Polynomial([0.0, 1.0])
    for _ in range(n):
        found = -found.deriv() * np.polynomial.Polynomial([1.0, 0.0, 1.0])
    return [float(each) * pi ** (n + 1) for each in found.coef]


def _power(x: _Number, exponent: int) -> _Number:
    found = x
    for _ in range(exponent - 1):
        found = found * x
    return found
