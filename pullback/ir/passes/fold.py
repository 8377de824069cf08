"""Constant folding."""
from __future__ import annotations

import numpy as np

from pullback.ir.core import Function, Operation, Value
from pullback.ir.ops.arithmetic import Pow
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
    return rewrite(function, _rules())


def fold_constant(operation: Operation, rewriter: Rewriter) -> Value | None:
    """An elementwise operation on constants is a constant."""
    constants = [constant(operand) for operand in operation.operands]
    known = [each for each in constants if each is not None]
    if len(known) < len(constants):
        return None
    arrays = [np.asarray(each.value, each.dtype.numpy) for each in known]
    with np.errstate(all="ignore"):
        (result,) = operation.op.evaluate(*arrays)
    kind = operation.result.type
    return rewriter.value(Full(np.asarray(result).item(), kind.dtype, kind.dims))


def _rules() -> Rules:
    inexact = Smooth | Composed | Pow
    exact = (op for op in all_ops().values() if issubclass(op, Elementwise) and not issubclass(op, inexact))
    return dict.fromkeys(exact, (fold_constant,))
