"""Sorting along an axis, NaN last: the order, the values in it."""
from __future__ import annotations

from pullback.ir.core import Builder, Value
from pullback.ir.ops.contraction import Gather
from pullback.ir.ops.sorting import ArgSort
from pullback.tracer.semantics.indexing import take_along_axis
from pullback.tracer.semantics.reductions import normal_axis
from pullback.tracer.semantics.shapes import swapaxes


def arg_sort(b: Builder, x: Value, axis: int = -1) -> Value:
    """np.argsort, stable: ``t[..., n, ...] -> i64[..., n, ...]``."""
    along, last = normal_axis(axis, x.type.rank), x.type.rank - 1
    if along == last:
        return b.value(ArgSort(), x)
    return swapaxes(b, b.value(ArgSort(), swapaxes(b, x, along, last)), along, last)


def sort(b: Builder, x: Value, axis: int = -1) -> Value:
    """np.sort; a cotangent goes back to where its element came from."""
    order = arg_sort(b, x, axis)
    return b.value(Gather(), x, order) if x.type.rank == 1 else take_along_axis(b, x, order, axis)
