"""Vector mathematics against references of higher precision: bounds in ulp, special values, every float32."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import product
from math import inf, nan, pi
from typing import Any

import numpy as np
import pytest
from scipy import special

import pullback.ir.ops
from pullback.codegen.vecmath import FUNCTIONS
from pullback.codegen.vecmath.bounds import ULP_BOUNDS
from pullback.compiler import Executable, compile_function
from pullback.dtypes import DType, f32, f64
from pullback.ir.core import Array, Function, Op, Region, RegionBuilder, Value
from pullback.ir.ops.base import Elementwise
from pullback.ir.ops.elementary import Smooth
from pullback.ir.ops.scalar import Elementary
from pullback.ir.registry import all_ops
from pullback.ir.types import ArrayType

assert pullback.ir.ops
Wide = np.longdouble
needs_wide = pytest.mark.skipif(np.finfo(Wide).nmant < 63, reason="long double is no wider than double here")
BY_FUNCTION: dict[Elementary, type[Op]] = {
    op.function: op for op in all_ops().values() if issubclass(op, Smooth) and op is not Smooth
} | {Elementary.POW: all_ops()["pow"]}


def arity(function: Elementary) -> int:
    op = BY_FUNCTION[function]
    assert issubclass(op, Elementwise)
    return op.arity


UNARY = [key for key in ULP_BOUNDS if arity(key[0]) == 1]


def identify(value: object) -> str:
    return value.value if isinstance(value, Elementary) else str(value)


@cache
def native(function: Elementary, dtype: DType, size: int) -> Executable:
    """The function over 1-d arrays of `size` elements, as machine code."""
    op = BY_FUNCTION[function]
    region = Region([Value(ArrayType(dtype, (size,)), name=f"x{n}") for n in range(arity(function))])
    region.yields = RegionBuilder(region).emit(op(), *region.arguments).results
    return compile_function(Function("sample", region))


def run(function: Elementary, dtype: DType, *operands: Array) -> Array:
    return native(function, dtype, operands[0].size)(list(operands))[0]


# References, for operands of a wider type


def wide_sigmoid(x: Array) -> Array:
    decayed = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, np.ones_like(x), decayed) / (1 + decayed))


def wide_logaddexp(x: Array, y: Array) -> Array:
    distance = np.where(x == y, np.zeros_like(x), np.abs(x - y))
    return np.asarray(np.where(x > y, x, y) + np.log1p(np.exp(-distance)))


def wide_softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def wide_erf(x: Array) -> Array:
    """2/sqrt(π) exp(-x²) (x + 2 x³/3 + 4 x⁵/15 + …): all terms have one sign, so nothing cancels. SciPy's for float64."""
    if x.dtype == np.float64:
        return np.asarray(special.erf(x))
    near = np.clip(x, -7, 7)
    term = near * np.exp(-near * near) * 2 / np.sqrt(np.arctan(x.dtype.type(1)) * 4)
    total = term
    for n in range(1, 200):
        term = term * (2 * near * near) / (2 * n + 1)
        total = total + term
    return np.asarray(np.where(np.abs(x) > 6.9, np.sign(x), total))


REFERENCES: dict[Elementary, Callable[..., Array]] = {
    Elementary.EXP: np.exp, Elementary.EXPM1: np.expm1, Elementary.LOG: np.log, Elementary.LOG1P: np.log1p,
    Elementary.SIN: np.sin, Elementary.COS: np.cos, Elementary.TAN: np.tan,
    Elementary.SINH: np.sinh, Elementary.COSH: np.cosh, Elementary.TANH: np.tanh,
    Elementary.ARCTAN: np.arctan, Elementary.ARCTAN2: np.arctan2, Elementary.POW: np.power,
    Elementary.LOGADDEXP: wide_logaddexp, Elementary.SIGMOID: wide_sigmoid, Elementary.SOFTPLUS: wide_softplus,
    Elementary.ERF: wide_erf,
}  # fmt: skip


def check(function: Elementary, dtype: DType, operands: tuple[Array, ...], wider: Any) -> float:
    """The largest error of native code in ulp, against the reference in the type `wider`."""
    return error_in_ulp(function, dtype, operands, run(function, dtype, *operands), wider)


def error_in_ulp(
    function: Elementary, dtype: DType, operands: tuple[Array, ...], found: Array, wider: Any
) -> float:
    """The largest error, after checking signs of zero and NaNs. Infinity counts as the next power of two."""
    with np.errstate(all="ignore"):
        wanted = REFERENCES[function](*[operand.astype(wider) for operand in operands])
        nearest = wanted.astype(dtype.numpy)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(nearest))
    zero = (found == 0) & (wanted == 0)
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(nearest[zero]))
    limit = np.finfo(dtype.numpy)
    beyond = wider(2.0) ** limit.maxexp
    unit = np.abs(nearest)
    if function is Elementary.LOGADDEXP:
        unit = np.maximum(unit, np.abs(np.maximum(*operands)))
    with np.errstate(all="ignore"):
        unit = np.spacing(np.minimum(unit, limit.max)).astype(wider)
        error = np.abs(np.clip(found, -beyond, beyond) - np.clip(wanted, -beyond, beyond)) / unit
    error[np.isnan(error)] = 0
    return float(error.max())


# Samples


def spread(dtype: DType, random: np.random.Generator, count: int = 12_000) -> Array:
    """Positive and negative numbers: uniform in ranges of several sizes, all exponents, subnormals, near 1."""
    limits = np.finfo(dtype.numpy)
    signs = random.choice([-1.0, 1.0], count)
    lowest = limits.minexp - limits.nmant
    parts = [random.uniform(-width, width, count) for width in (1e-3, 0.1, 1, 5, 30, 110, 750)]
    parts.append(signs * np.exp2(random.uniform(lowest, limits.maxexp - 0.001, count)))
    parts.append(signs * np.exp2(random.uniform(lowest, limits.minexp, count)))
    parts.append(signs * np.exp2(random.uniform(-limits.nmant - 2, 8, count)))
    parts.append(signs + random.normal(size=count) * np.exp2(random.uniform(-limits.nmant, -3, count)))
    # About the ends of what exp and its relatives can represent.
    for end in (708.39, 709.78, 710.47, 745.13, 87.34, 88.72, 89.41, 103.97):
        parts.append(signs[:500] * end + random.uniform(-0.5, 0.5, 500))
    # About multiples of ln 2 / 2 and of π / 4, where reductions change over.
    multiples = random.integers(-64, 65, count)
    parts.append(multiples * np.log(2) / 2 + random.normal(size=count) * 1e-3)
    parts.append(multiples * pi / 4 + random.normal(size=count) * 1e-6)
    return np.concatenate(parts).astype(dtype.numpy)


def operand_sets(function: Elementary, dtype: DType) -> Iterator[tuple[Array, ...]]:
    random = np.random.default_rng(11)
    x = spread(dtype, random)
    if arity(function) == 1:
        yield (x,)
        return
    yield x, random.permutation(x)
    with np.errstate(over="ignore"):
        yield (x, (x * np.exp2(random.uniform(-3, 3, x.size))).astype(dtype.numpy))
    if function is Elementary.POW:
        # Results all over the range: y = t / log(x) for bases near 1 and far from it.
        results = random.uniform(-745, 710, x.size) if dtype is f64 else random.uniform(-104, 89, x.size)
        for width in (0.01, 1.0, 20.0):
            base = np.exp(random.normal(size=x.size) * width).astype(dtype.numpy)
            base[base == 1] = 2
            yield (base, (results / np.log(base.astype(np.float64))).astype(dtype.numpy))
        yield (x, np.rint(random.normal(size=x.size) * 9).astype(dtype.numpy))
    if function is Elementary.LOGADDEXP:
        y = random.uniform(-60, 0, x.size).astype(dtype.numpy)
        yield (y, (np.exp(y) * random.normal(size=x.size)).astype(dtype.numpy))
        yield tuple(random.uniform(-3, 3, (2, x.size)).astype(dtype.numpy))
        yield tuple(random.uniform(-0.8, 0, (2, x.size)).astype(dtype.numpy))


def test_every_function_has_code_and_bounds() -> None:
    assert set(FUNCTIONS) == set(Elementary)
    assert set(ULP_BOUNDS) == set(product(FUNCTIONS, (f32, f64)))
    assert max(ULP_BOUNDS.values()) <= 4


@needs_wide
@pytest.mark.parametrize(("function", "dtype"), ULP_BOUNDS, ids=identify)
def test_error_is_bounded(function: Elementary, dtype: DType) -> None:
    for operands in operand_sets(function, dtype):
        assert check(function, dtype, operands, Wide) <= ULP_BOUNDS[function, dtype]


@pytest.mark.parametrize("function", [function for function, dtype in UNARY if dtype is f32], ids=identify)
def test_float32_patterns(function: Elementary) -> None:
    """Every 4099th float32 of all there are."""
    x = np.arange(0, 2**32, 4099, dtype=np.uint64).astype(np.uint32).view(np.float32)
    assert check(function, f32, (x,), np.float64) <= ULP_BOUNDS[function, f32]


@pytest.mark.sweep
@pytest.mark.parametrize("function", [function for function, dtype in UNARY if dtype is f32], ids=identify)
def test_every_float32(function: Elementary, record_property: Callable[[str, object], None]) -> None:
    """All 2**32 of them, in chunks; the largest error is recorded and printed (see it with -s)."""
    chunk, largest = 2**20, 0.5
    offsets = np.arange(chunk, dtype=np.uint32)
    for start in range(0, 2**32, chunk):
        x = (offsets + np.uint32(start)).view(np.float32)
        with np.errstate(all="ignore"):
            nearest = REFERENCES[function](x.astype(np.float64)).astype(np.float32)
        # Where the bits are those of the rounded reference, the error is half a unit.
        found = run(function, f32, x)
        differ = (found.view(np.int32) != nearest.view(np.int32)) & ~(np.isnan(found) & np.isnan(nearest))
        if differ.any():
            largest = max(largest, error_in_ulp(function, f32, (x[differ],), found[differ], np.float64))
            assert largest <= ULP_BOUNDS[function, f32], hex(start)
    record_property("ulp", largest)
    print(f"{function.value}: largest error {largest:.3f} ulp")


# Special values

EDGES = (
    0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 0.5, -0.5, 2.5, -2.5, 1e4, -1e4, 1e30, -1e30, inf, -inf, nan,
)  # fmt: skip


@needs_wide
@pytest.mark.parametrize(("function", "dtype"), ULP_BOUNDS, ids=identify)
def test_edges(function: Elementary, dtype: DType) -> None:
    """Zeros, infinities, NaN, the smallest and the largest numbers, in all combinations."""
    limits = np.finfo(dtype.numpy)
    ends = [limits.smallest_subnormal, limits.smallest_normal, limits.max, 1 + limits.eps, 1 - limits.epsneg, 1e-30]
    edges = [*EDGES, *ends, *(-end for end in ends)]
    operands = np.array(list(product(edges, repeat=arity(function))), dtype.numpy).T
    assert check(function, dtype, tuple(np.ascontiguousarray(row) for row in operands), Wide) <= 4


SPECIAL: dict[Elementary, tuple[tuple[float, ...], ...]] = {
    Elementary.EXP: ((0, 1), (-0.0, 1), (inf, inf), (-inf, 0), (nan, nan), (1e4, inf), (-1e4, 0)),
    Elementary.EXPM1: ((0, 0), (-0.0, -0.0), (inf, inf), (-inf, -1), (nan, nan), (1e4, inf), (-1e4, -1)),
    Elementary.LOG: ((0, -inf), (-0.0, -inf), (1, 0), (inf, inf), (-inf, nan), (-1, nan), (-1e-40, nan), (nan, nan)),
    Elementary.LOG1P: ((0, 0), (-0.0, -0.0), (-1, -inf), (-2, nan), (inf, inf), (-inf, nan), (nan, nan)),
    Elementary.SINH: ((0, 0), (-0.0, -0.0), (inf, inf), (-inf, -inf), (nan, nan), (1e4, inf), (-1e4, -inf)),
    Elementary.COSH: ((0, 1), (-0.0, 1), (inf, inf), (-inf, inf), (nan, nan), (1e4, inf), (-1e4, inf)),
    Elementary.TANH: ((0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1), (nan, nan), (1e4, 1), (-1e4, -1)),
    Elementary.SIGMOID: ((0, 0.5), (-0.0, 0.5), (inf, 1), (-inf, 0), (nan, nan), (1e4, 1), (-1e4, 0)),
    Elementary.SOFTPLUS: ((inf, inf), (-inf, 0), (nan, nan), (1e4, 1e4), (-1e4, 0)),
    Elementary.LOGADDEXP: (
        (inf, inf, inf), (-inf, -inf, -inf), (inf, -inf, inf), (-inf, inf, inf), (nan, 1, nan), (1, nan, nan),
        (inf, nan, nan), (-inf, 3, 3), (3, -inf, 3), (1e4, -1e4, 1e4), (0, -1e4, 0),
    ),
    Elementary.POW: (
        (nan, 0, 1), (nan, -0.0, 1), (1, nan, 1), (1, inf, 1), (1, -inf, 1), (nan, 1, nan), (2, nan, nan),
        (-1, nan, nan), (-1, inf, 1), (-1, -inf, 1), (0, 3, 0), (-0.0, 3, -0.0), (-0.0, 2, 0), (-0.0, 0.5, 0),
        (0, -3, inf), (-0.0, -3, -inf), (-0.0, -2, inf), (0, inf, 0), (0, -inf, inf), (0.5, inf, 0), (0.5, -inf, inf),
        (2, inf, inf), (2, -inf, 0), (-2, inf, inf), (-2, -inf, 0), (inf, 2, inf), (inf, -2, 0), (-inf, 3, -inf),
        (-inf, 2, inf), (-inf, -3, -0.0), (-inf, -2, 0), (-inf, 0.5, inf), (-8, 1 / 3, nan), (-2, 3, -8), (-2, 2, 4),
        (-2, -3, -0.125), (-1e-30, -2.5, nan), (-2, 1e30, inf),
    ),
    Elementary.SIN: ((0, 0), (-0.0, -0.0), (inf, nan), (-inf, nan), (nan, nan)),
    Elementary.COS: ((0, 1), (-0.0, 1), (inf, nan), (-inf, nan), (nan, nan)),
    Elementary.TAN: ((0, 0), (-0.0, -0.0), (inf, nan), (-inf, nan), (nan, nan)),
    Elementary.ERF: ((0, 0), (-0.0, -0.0), (inf, 1), (-inf, -1), (nan, nan), (30, 1), (-30, -1)),
    Elementary.ARCTAN: ((0, 0), (-0.0, -0.0), (nan, nan), (inf, pi / 2), (-inf, -pi / 2)),
    Elementary.ARCTAN2: (
        (0, 1, 0), (-0.0, 1, -0.0), (0, -1, pi), (-0.0, -1, -pi), (0, 0, 0), (0, -0.0, pi), (-0.0, -0.0, -pi),
        (1, 0, pi / 2), (-1, -0.0, -pi / 2), (inf, inf, pi / 4), (-inf, -inf, -3 * pi / 4), (1, inf, 0),
        (-1, inf, -0.0), (nan, 1, nan), (1, nan, nan),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("function", "dtype"), ULP_BOUNDS, ids=identify)
def test_special_values(function: Elementary, dtype: DType) -> None:
    """Results that are known exactly, signs of zeros included."""
    rows = np.array(SPECIAL[function]).T
    found = run(function, dtype, *(row.astype(dtype.numpy) for row in rows[:-1]))
    np.testing.assert_array_equal(found, rows[-1].astype(dtype.numpy))
    np.testing.assert_array_equal(np.signbit(found[found == 0]), np.signbit(rows[-1][found == 0]))


@pytest.mark.parametrize("dtype", (f32, f64), ids=identify)
def test_powers_of_integers_are_exact(dtype: DType) -> None:
    """Where x ** y is a whole number that fits, it is that number."""
    bases, exponents = np.meshgrid(np.arange(-9.0, 10), np.arange(0.0, 7))
    x, y = bases.ravel().astype(dtype.numpy), exponents.ravel().astype(dtype.numpy)
    np.testing.assert_array_equal(run(Elementary.POW, dtype, x, y), x.astype(np.int64) ** y.astype(np.int64))
