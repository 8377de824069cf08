"""How far a result may lie from the true value, in units in its last place; `tests/test_vecmath.py` checks each."""
from __future__ import annotations

from collections.abc import Mapping
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
from pullback.dtypes import DType
from pullback.ir.ops.scalar import Elementary

ULP_BOUNDS: Mapping[tuple[Elementary, DType], float] = MappingProxyType({
    **exponential.BOUNDS,
    **logarithm.BOUNDS,
    **hyperbolic.BOUNDS,
    **logistic.BOUNDS,
    **power.BOUNDS,
    **trigonometric.BOUNDS,
    **arctangent.BOUNDS,
    **error_function.BOUNDS,
})  # fmt: skip
"""Largest error in ulp over all finite operands, subnormal results included.

logaddexp adds two terms that may cancel: its unit is the last place of the result or of the larger operand, whichever
is larger in magnitude.
"""
