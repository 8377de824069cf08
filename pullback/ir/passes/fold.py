"""Constant folding."""
from __future__ import annotations

from math import isfinite

import numpy as np

from pullback.dtypes import DType
from pullback.ir.core import Function, Operation, Value
from pullback.ir.ops.arithmetic import Cast, Pow
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.composed import Composed
from pullback.ir.ops.creation import Full
from pullback.ir.ops.elementary import Smooth
from pullback.ir.passes.canonicalize import constant
from pullback.ir.registry import all_ops
from pullback.ir.rewrite import Rewriter, Rules, rewrite


def fold(function: Function) -> bool:
    """Compute elementwise operations on constants now.

    Only what is rounded correctly is folded: an elementary function is native code's to compute, so that a folded
    and an unfolded one give the same bits.

        %0 = full {value = 2.0, dtype = f64, dims = ()} : f64[]     // =>  %0 = full {value = 4.0, …} : f64[]
        %1 = mul %0, %0 : f64[]                                            return %0
        return %1
    """
    return rewrite(function, rules())


def fold_constant(operation: Operation, rewriter: Rewriter) -> Value | None:
    """An elementwise operation on constants is a constant, unless NumPy leaves its result open."""
    known: list[Full] = []
    for operand in operation.operands:
        full = constant(operand)
        if full is None:
            return None
        known.append(full)
    if isinstance(operation.op, Cast) and not _in_range(known[0].value, operation.op.dtype):
        return None
    with np.errstate(all="ignore"):
        arrays = [np.asarray(each.value, each.dtype.numpy) for each in known]
        (result,) = operation.op.evaluate(*arrays)
    kind = operation.result.type
    return rewriter.value(Full(np.asarray(result).item(), kind.dtype, kind.dims))


def _in_range(value: float, dtype: DType) -> bool:
    """Whether a cast to `dtype` has a result that does not depend on the processor."""
    if not dtype.is_integer or not isinstance(value, float):
        return True
    bits = dtype.bits - dtype.is_signed
    return isfinite(value) and (-(1 << bits) if dtype.is_signed else 0) <= int(value) < 1 << bits


def rules() -> Rules:
    """The rule for every op that it is for."""
    inexact = Smooth | Composed | Pow
    exact = (op for op in all_ops().values() if issubclass(op, Elementwise) and not issubclass(op, inexact))
    return dict.fromkeys(exact, (fold_constant,))
