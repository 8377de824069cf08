"""The entries of a sparse matrix of derivatives as an IR function: few products with all vectors at once, and a gather.

A function and a plan of colours in; out comes the function of the same arguments whose first result is the entries.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.colouring import Plan
from pullback.dtypes import DType, from_numpy, i64
from pullback.ir.ad.batch import batch
from pullback.ir.ad.forward import pushforward
from pullback.ir.ad.reverse import adjoint
from pullback.ir.clone import inline
from pullback.ir.core import Function, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Cast
from pullback.ir.ops.contraction import Gather
from pullback.ir.ops.creation import Full, Iota
from pullback.ir.ops.logic import Equal
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Concatenate, Reshape, Slice
from pullback.ir.passes.dce import dce
from pullback.ir.types import ArrayType

Array = np.ndarray[Any, Any]


@dataclass
class Compressed:
    """Makes the function. `function` has the float results that are differentiated, by the parameters `positions`."""

    function: Function
    positions: Sequence[int]
    plan: Plan
    entries: DType

    def build(self, whole: Function) -> Function:
        """``(parameters) -> (t[entries], results...)``: the results are those of `whole` after `function`'s."""
        extra = [self.plan.column_colours, self.plan.row_colours, self.plan.source]
        region = Region([Value(each.type, name=each.name) for each in self.function.body.arguments])
        first = len(self.function.captured)
        stand_ins = [Value(ArrayType(i64, each.shape), name=f"c{first + k}") for k, each in enumerate(extra)]
        region.arguments += stand_ins
        b = RegionBuilder(region)
        self.b, self.arguments = b, region.arguments[: len(self.function.body.arguments)]
        column_colours, row_colours, source = stand_ins
        sources = [self.function.parameters[place].type for place in self.positions]
        results = list(self.function.result_types)
        parts = []
        if self.plan.source.size and self.plan.columns:
            derived = pushforward(self.function, self.positions, keep_values=False)
            parts.append(self._products(derived, sources, column_colours, self.plan.columns))
        if self.plan.source.size and self.plan.rows:
            derived = adjoint(self.function, self.positions, keep_values=False)
            parts.append(self._products(derived, results, row_colours, self.plan.rows))
        if not parts:
            parts.append(b.value(Full(0.0, self.entries, (1,))))
        flat = b.value(Concatenate(0), *parts) if len(parts) > 1 else parts[0]
        after = inline(b, whole, self.arguments)[len(results) :]
        region.yields = (b.value(Gather(), flat, source), *after)
        return Function(f"{self.function.name}_entries", region, [*self.function.captured, *extra])

    def _products(self, derived: Function, kinds: Sequence[ArrayType], colours: Value, count: int) -> Value:
        """The results of a derived function for `count` seeds, one after the other, each seed's end to end."""
        dce(derived)
        places = len(self.function.parameters)
        many, has_axis = batch(derived, [*[False] * places, *[True] * len(kinds)], count)
        seeds = self._seeds(kinds, colours, count)
        # Deriving has dropped captured arrays that nothing reads.
        captured = {id(array): value for array, value in zip(self.function.captured, self.arguments[places:], strict=True)}
        operands = [*self.arguments[:places], *seeds, *(captured[id(array)] for array in many.captured)]
        found = inline(self.b, many, operands)
        rows = []
        for value, is_many in zip(found, has_axis, strict=True):
            if not is_many:
                value = self.b.value(Broadcast((count, *value.type.dims), tuple(range(1, value.type.rank + 1))), value)
            rows.append(self._cast(self.b.value(Reshape((count, value.type.size // count)), value)))
        whole = self.b.value(Concatenate(1), *rows) if len(rows) > 1 else rows[0]
        return self.b.value(Reshape((whole.type.size,)), whole)

    def _cast(self, value: Value) -> Value:
        return value if value.type.dtype == self.entries else self.b.value(Cast(self.entries), value)

    def _seeds(self, kinds: Sequence[ArrayType], colours: Value, count: int) -> list[Value]:
        """For each argument to be seeded ``[count, ...]``: seed c is 1 where the colour is c."""

        seeds, start = [], 0
        for kind in kinds:
            shape = (count, kind.size)
            mine = self.b.value(Slice((start,), (kind.size,), (1,)), colours)
            same = self.b.value(Equal(), self.b.value(Iota(0, i64, shape)), self.b.value(Broadcast(shape, (1,)), mine))
            seeds.append(self.b.value(Reshape((count, *kind.dims)), self.b.value(Cast(kind.dtype), same)))
            start += kind.size
        return seeds


def common_dtype(kinds: Sequence[ArrayType]) -> DType:
    """The dtype that holds the values of all of these types."""
    found = from_numpy(np.result_type(*(kind.dtype.numpy for kind in kinds)))
    assert found is not None
    return found
