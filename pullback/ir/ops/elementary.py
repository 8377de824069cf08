"""Elementary functions of floats; accuracy in ulp is stated and checked in codegen/vecmath."""
from __future__ import annotations

from collections.abc import Iterator
from math import pi, sqrt
from typing import ClassVar

import numpy as np

from pullback.ir.core import Array, Builder, Sample, Value
from pullback.ir.ops.base import Elementwise, Partial, Term
from pullback.ir.ops.scalar import Compare, Elementary, Scalar, ScalarBuilder
from pullback.ir.registry import register


class Smooth(Elementwise):
    """A function that vecmath emits."""

    function: ClassVar[Elementary]

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.elementary(self.function, *operands)


@register
class Sqrt(Elementwise):
    """Correctly rounded: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "sqrt"
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.5, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.sqrt(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.sqrt(*operands)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (0.5 / result,)


@register
class Exp(Smooth):
    """``f[...] -> f[...]``."""

    name: ClassVar[str] = "exp"
    function: ClassVar[Elementary] = Elementary.EXP

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.exp(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (result,)


@register
class Expm1(Smooth):
    """exp(x) - 1 without cancellation: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "expm1"
    function: ClassVar[Elementary] = Elementary.EXPM1

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.expm1(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (result + 1.0,)


@register
class Log(Smooth):
    """``f[...] -> f[...]``."""

    name: ClassVar[str] = "log"
    function: ClassVar[Elementary] = Elementary.LOG
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((0.2, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.log(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 / operands[0],)


@register
class Log1p(Smooth):
    """log(1 + x) without cancellation: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "log1p"
    function: ClassVar[Elementary] = Elementary.LOG1P
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-0.8, 4.0),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.log1p(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 / (operands[0] + 1.0),)


@register
class Sin(Smooth):
    """Of radians: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "sin"
    function: ClassVar[Elementary] = Elementary.SIN

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.sin(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (operands[0].apply("cos"),)


@register
class Cos(Smooth):
    """Of radians: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "cos"
    function: ClassVar[Elementary] = Elementary.COS

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.cos(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (-operands[0].apply("sin"),)


@register
class Tan(Smooth):
    """Of radians: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "tan"
    function: ClassVar[Elementary] = Elementary.TAN
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-1.2, 1.2),)

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.tan(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (result * result + 1.0,)


@register
class Sinh(Smooth):
    """``f[...] -> f[...]``."""

    name: ClassVar[str] = "sinh"
    function: ClassVar[Elementary] = Elementary.SINH

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.sinh(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (operands[0].apply("cosh"),)


@register
class Cosh(Smooth):
    """``f[...] -> f[...]``."""

    name: ClassVar[str] = "cosh"
    function: ClassVar[Elementary] = Elementary.COSH

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.cosh(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (operands[0].apply("sinh"),)


@register
class Tanh(Smooth):
    """``f[...] -> f[...]``."""

    name: ClassVar[str] = "tanh"
    function: ClassVar[Elementary] = Elementary.TANH

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.tanh(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 - result * result,)


@register
class Arctan(Smooth):
    """In radians: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "arctan"
    function: ClassVar[Elementary] = Elementary.ARCTAN

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arctan(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (1.0 / (operands[0] * operands[0] + 1.0),)


@register
class Arctan2(Smooth):
    """Angle of the point (x, y) in radians, of derivative 0 at the origin: ``(f[...] y, f[...] x) -> f[...]``."""

    name: ClassVar[str] = "arctan2"
    arity: ClassVar[int] = 2
    function: ClassVar[Elementary] = Elementary.ARCTAN2
    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-2.0, 2.0), (0.3, 2.0))

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.arctan2(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        y, x = operands
        # Not by the square, which underflows long before the distance does. Undefined at the origin: 0 there.
        distance = x.apply("hypot", y)
        origin = distance.equals(0.0)
        return origin.select(0.0, (x / distance) / distance), origin.select(0.0, -((y / distance) / distance))


@register
class Logaddexp(Smooth):
    """log(exp(x) + exp(y)) without overflow: ``(f[...], f[...]) -> f[...]``."""

    name: ClassVar[str] = "logaddexp"
    arity: ClassVar[int] = 2
    function: ClassVar[Elementary] = Elementary.LOGADDEXP

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.logaddexp(*operands),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        x, y = operands
        # sigmoid(x - y), not exp(x - result): exact complements, and one evaluation less to round.
        return (x - y).apply("sigmoid"), (y - x).apply("sigmoid")


@register
class Sigmoid(Smooth):
    """1 / (1 + exp(-x)): ``f[...] -> f[...]``."""

    name: ClassVar[str] = "sigmoid"
    function: ClassVar[Elementary] = Elementary.SIGMOID

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        (x,) = operands
        decayed = np.exp(-np.abs(x))
        return (np.where(x >= 0, 1, decayed).astype(x.dtype) / (1 + decayed),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (result * (1.0 - result),)


@register
class Softplus(Smooth):
    """log(1 + exp(x)) without overflow: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "softplus"
    function: ClassVar[Elementary] = Elementary.SOFTPLUS

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        (x,) = operands
        return (np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (operands[0].apply("sigmoid"),)


@register
class Erf(Smooth):
    """The error function: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "erf"
    function: ClassVar[Elementary] = Elementary.ERF

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        from math import erf

        (x,) = operands
        return (np.array([erf(each) for each in x.ravel().tolist()], dtype=x.dtype).reshape(x.shape),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        (x,) = operands
        return ((-(x * x)).apply("exp") * (2.0 / sqrt(pi)),)


@register
class Relu(Elementwise):
    """x, or 0 where x < 0, as in PyTorch: ``f[...] -> f[...]``. Its derivative at 0 is 0; NaN and -0.0 stay, and at NaN
    derivatives pass."""

    name: ClassVar[str] = "relu"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        (x,) = operands
        return (np.where(x < 0, np.zeros_like(x), x),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        (x,) = operands
        return s.select(s.compare(Compare.LT, x, s.constant(x.dtype, 0.0)), s.constant(x.dtype, 0.0), x)

    def _routed(self, b: Builder, x: Value, factor: Value | None) -> tuple[Value | None]:
        if factor is None:
            return (None,)
        return (b.masked(Term(b, x).apply("less_equal", 0.0).select(0.0, Term(b, factor)).value),)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        return self._routed(b, operands[0], cotangents[0])

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        return self._routed(b, operands[0], tangents[0])


@register
class StopGradient(Elementwise):
    """Its operand, through which no derivative passes: ``f[...] -> f[...]``."""

    name: ClassVar[str] = "stop_gradient"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (operands[0],)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return operands[0]

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (None,)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for sample in super().samples():
            yield Sample(sample.op, sample.operands, differentiable=False)


class Rounding(Elementwise):
    """To whole numbers: ``f[...] -> f[...]``; flat, so the derivative is 0."""

    domains: ClassVar[tuple[tuple[float, float], ...]] = ((-9.0, 9.0),)

    def partials(self, operands: tuple[Term, ...], result: Term) -> tuple[Partial, ...]:
        return (None,)


@register
class Floor(Rounding):
    """Down."""

    name: ClassVar[str] = "floor"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.floor(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.floor(*operands)


@register
class Ceil(Rounding):
    """Up."""

    name: ClassVar[str] = "ceil"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.ceil(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.ceil(*operands)


@register
class Trunc(Rounding):
    """Toward 0."""

    name: ClassVar[str] = "trunc"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.trunc(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.trunc(*operands)


@register
class Rint(Rounding):
    """To nearest, ties to even."""

    name: ClassVar[str] = "rint"

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return (np.rint(*operands),)

    def lower(self, s: ScalarBuilder, *operands: Scalar) -> Scalar:
        return s.rint(*operands)
