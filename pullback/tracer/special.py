"""One of SciPy's special functions in, its rule out: they are ufuncs, known here by name, and SciPy is never imported."""
from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType

import numpy as np

from pullback.ir.core import Builder, Op, Value
from pullback.ir.ops.base import Term
from pullback.ir.ops.elementary import Erf, Expm1, Log1p, Sigmoid
from pullback.ir.ops.special import Erfc, Gammaln, LogNdtr, Ndtr, Polygamma

Rule = Callable[..., Value]


def _op(op: Op) -> Rule:
    return lambda b, *values: b.value(op, *values)


def _terms(function: Callable[..., Term]) -> Rule:
    def rule(b: Builder, *values: Value) -> Value:
        return function(*[Term(b, value) for value in values]).value

    return rule


def _inside(x: Term, y: Term, lowest: float) -> Term:
    """y, or 1 where x is 0 and y such that 0 times its logarithm is to be 0."""
    ends = (y.apply("less_equal", lowest)).apply("logical_or", y.equals(inf))
    return x.equals(0.0).apply("logical_and", ends).select(lowest + 1.0, y)


def _xlogy(x: Term, y: Term) -> Term:
    return x * _inside(x, y, 0.0).apply("log")


def _xlog1py(x: Term, y: Term) -> Term:
    return x * _inside(x, y, -1.0).apply("log1p")


def _entropy(x: Term) -> Term:
    return (x < 0.0).select(-inf, -_xlogy(x, x))


def _relative_entropy(x: Term, y: Term) -> Term:
    inside = (x > 0.0).apply("logical_and", y > 0.0)
    quotient = inside.select(x, 1.0) / inside.select(y, 1.0)
    none = x.equals(0.0).apply("logical_and", y.apply("greater_equal", 0.0))
    undefined = x.apply("not_equal", x).apply("logical_or", y.apply("not_equal", y))
    return inside.select(x * quotient.apply("log"), none.select(0.0, undefined.select(x + y, inf)))


def _divergence(x: Term, y: Term) -> Term:
    return _relative_entropy(x, y) - x + y


def _logit(x: Term) -> Term:
    """By log1p around 1/2, where both logarithms are about log 1/2."""
    middle = (x > 0.25).apply("logical_and", x < 0.75)
    part = middle.select(x, 0.5) * 2.0 - 1.0
    rest = middle.select(0.5, x)
    return middle.select(part.apply("log1p") - (-part).apply("log1p"), rest.apply("log") - (-rest).apply("log1p"))


def _log_expit(x: Term) -> Term:
    return -((-x).apply("softplus"))


RULES: Mapping[str, Rule] = MappingProxyType({
    "erf": _op(Erf()), "erfc": _op(Erfc()), "expit": _op(Sigmoid()), "ndtr": _op(Ndtr()), "log_ndtr": _op(LogNdtr()),
    "gammaln": _op(Gammaln()), "psi": _op(Polygamma(0)), "log1p": _op(Log1p()), "expm1": _op(Expm1()),
    "xlogy": _terms(_xlogy), "xlog1py": _terms(_xlog1py), "entr": _terms(_entropy), "rel_entr": _terms(_relative_entropy),
    "kl_div": _terms(_divergence), "logit": _terms(_logit), "log_expit": _terms(_log_expit),
})  # fmt: skip
"""What each does, by SciPy's name, with operands of one float dtype and shape."""


def special_rule(ufunc: np.ufunc) -> Rule | None:
    """The rule that computes ``scipy.special``'s `ufunc` as exactly as it does, None where there is none.

    Only what is exact to a few ulp everywhere belongs here: ``betaln`` by way of ``gammaln`` has no digit right where its
    operands differ much in size.
    """
    module = sys.modules.get("scipy.special")
    rule = RULES.get(ufunc.__name__)
    return rule if rule is not None and getattr(module, ufunc.__name__, None) is ufunc else None
