"""Elementary functions as our own vector code: an `Elementary` and operands in, instructions out.

Each family stands in a module of its own with a table of its functions; `bounds` states how accurate they are.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pullback.codegen.vecmath import (
    arctangent,
    error_function,
    exponential,
    hyperbolic,
    logarithm,
    logistic,
    power,
    trigonometric,
)
from pullback.ir.ops.scalar import Elementary, Scalar, ScalarBuilder

Emitter = Callable[..., Scalar]
"""Takes the builder and the operands, all of one float dtype, and gives the result of that dtype."""

FUNCTIONS: Mapping[Elementary, Emitter] = MappingProxyType({
    **exponential.FUNCTIONS,
    **logarithm.FUNCTIONS,
    **hyperbolic.FUNCTIONS,
    **logistic.FUNCTIONS,
    **power.FUNCTIONS,
    **trigonometric.FUNCTIONS,
    **arctangent.FUNCTIONS,
    **error_function.FUNCTIONS,
})  # fmt: skip
"""Every function of `Elementary` that has code."""


def emit_elementary(s: ScalarBuilder, function: Elementary, *operands: Scalar) -> Scalar:
    """Emit one function of float32 or float64 operands."""
    return FUNCTIONS[function](s, *operands)
