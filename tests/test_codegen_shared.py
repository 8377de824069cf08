"""Elementary functions that a nest uses often are called, not written out: the same bits, and less code."""
from __future__ import annotations

import numpy as np
import pytest

from pullback.compiler import compile_function
from pullback.dtypes import BY_NAME
from pullback.ir.core import Function, Region, RegionBuilder, Value
from pullback.ir.ops.arithmetic import Add, Mul, Pow
from pullback.ir.ops.elementary import Exp, Sin
from pullback.ir.types import ArrayType


def powers(op: Exp | Sin | Pow, dtype: str, size: int, uses: int) -> Function:
    """The sum of an op of x, 2 x, 4 x, …"""
    region = Region([Value(ArrayType(BY_NAME[dtype], (size,)), name="x")])
    b = RegionBuilder(region)
    x = region.arguments[0]
    total = None
    for _ in range(uses):
        part = b.value(op, x, x) if isinstance(op, Pow) else b.value(op, x)
        total = part if total is None else b.value(Add(), b.value(Mul(), total, x), part)
        x = b.value(Add(), x, x)
    assert total is not None
    region.yields = (total,)
    return Function("powers", region)


@pytest.mark.parametrize("dtype", ["f32", "f64"])
@pytest.mark.parametrize("op", [Exp(), Sin(), Pow()], ids=lambda op: op.name)
def test_calls_give_the_same_bits(op: Exp | Sin | Pow, dtype: str) -> None:
    x = np.linspace(0.01, 3.0, 45).astype(BY_NAME[dtype].numpy)
    called = compile_function(powers(op, dtype, 45, 5))
    assert f"@{op.name}_{dtype}.x" in called.code.text
    wanted, at = None, x
    for _ in range(5):
        part = compile_function(powers(op, dtype, 45, 1))([at])[0]
        wanted = part if wanted is None else wanted * at + part
        at = at + at
    assert called([x])[0].tobytes() == wanted.tobytes()


def test_few_uses_are_written_out() -> None:
    assert "@exp_f64.x" not in compile_function(powers(Exp(), "f64", 100, 2)).code.text
    assert "@exp_f64.x" in compile_function(powers(Exp(), "f64", 100, 4)).code.text


def test_single_numbers_call_what_is_used_often() -> None:
    x = np.array([0.37])
    few, many = (compile_function(powers(Sin(), "f64", 1, uses)) for uses in (7, 9))
    assert "call double @sin_f64.x1" not in few.code.text
    assert "call double @sin_f64.x1" in many.code.text
    # The same as of arrays, whose elements are computed by vectors.
    wanted = compile_function(powers(Sin(), "f64", 45, 9))([np.full(45, 0.37)])[0]
    assert many([x])[0].tobytes() == wanted[:1].tobytes()
