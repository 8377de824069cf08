"""Out-of-line code for few elements, and tables of constants: the same values at every width, in every mixture."""
from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from pullback.codegen.emit_nest import load, store
from pullback.codegen.jit import link
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import ModuleText
from pullback.dtypes import DType, f32, f64, i64
from pullback.ir.ops.scalar import Compare, Scalar, ScalarBuilder, Table

WIDTHS = (1, 3, 8, 13, 16)


def run(
    code: Callable[[LlvmScalarBuilder, Scalar, Scalar], Scalar], dtype: DType, lanes: int, x: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """`code` on one vector of `lanes` elements of each operand."""
    module = ModuleText()
    f = module.function("body", "void", ("ptr %x", "ptr %y", "ptr %result"), linkage="")
    result = code(LlvmScalarBuilder(f, lanes), load(f, "%x", dtype, lanes), load(f, "%y", dtype, lanes))
    store(f, "%result", result, lanes)
    f.emit("ret void")
    native = link(str(module), {}, ["body"], verify=True)
    found = np.zeros(lanes, result.dtype.numpy)
    body = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(native.address("body"))
    body(*(each.ctypes.data for each in (x, y, found)))
    return found


def apart(s: LlvmScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
    """With t = x / y + (x - y) where x > 8, else x + y + 1: (x - y) x where t < 0, else t y."""

    def divide(s: ScalarBuilder, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
        return s.div(x, y), s.sub(x, y)

    def subtract(s: ScalarBuilder, x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
        return s.sub(x, y), s.bits(x)

    for _ in range(2):  # the second time finds the functions defined
        large = s.compare(Compare.GT, x, s.constant(x.dtype, 8.0))
        usual = s.add(x, y), s.constant(x.dtype, 1.0)
        first, second = s.rarely(large, usual, f"divide_{x.dtype}", divide, x, y)
        total = s.add(first, second)
        negative = s.compare(Compare.LT, total, s.constant(x.dtype, 0.0))
        last, pattern = s.rarely(negative, (total, s.bits(y)), f"subtract_{x.dtype}", subtract, x, y)
    return s.mul(last, s.from_bits(pattern))


@pytest.mark.parametrize("dtype", [f32, f64], ids=str)
@pytest.mark.parametrize("lanes", WIDTHS)
def test_rare_elements_are_chosen_one_by_one(dtype: DType, lanes: int) -> None:
    random = np.random.default_rng(lanes)
    for bound in (1.0, 9.0, 30.0):
        x = random.uniform(-bound, bound, lanes).astype(dtype.numpy)
        y = random.uniform(-3.0, 3.0, lanes).astype(dtype.numpy)
        total = np.where(x > 8, x / y + (x - y), x + y + 1)
        wanted = np.where(total < 0, (x - y) * x, total * y)
        np.testing.assert_array_equal(run(apart, dtype, lanes, x, y), wanted)


@pytest.mark.parametrize("lanes", WIDTHS)
def test_table_is_read_lane_by_lane(lanes: int) -> None:
    table = Table("squares", f64, tuple(float(number * number) for number in range(20)))
    places = np.arange(lanes, dtype=np.int64)[::-1] + 4

    def code(s: LlvmScalarBuilder, x: Scalar, y: Scalar) -> Scalar:
        return s.lookup(table, x)

    np.testing.assert_array_equal(run(code, i64, lanes, places.copy(), places.copy()), (places * places).astype(float))
