"""Matrix products emitted for every BLAS flavour, and without one, against NumPy."""
from __future__ import annotations

import ctypes
import itertools
import os

import numpy as np
import pytest

from pullback import dtypes
from pullback.codegen import blas_call, jit
from pullback.codegen.llvm_text import ModuleText
from pullback.codegen.product import Product
from pullback.codegen.small_product import is_small
from pullback.runtime import blas
from pullback.runtime.blas import BlasLibrary

LIBRARIES = {"bundled": blas.find_bundled, "scipy": blas.find_scipy, "none": lambda: None}
SIZES = [(3, 4, 5), (1, 6, 7), (6, 1, 7), (1, 1, 9), (5, 3, 1), (1, 1, 1), (17, 19, 23)]


@pytest.fixture(params=LIBRARIES)
def library(request):
    found = LIBRARIES[request.param]()
    if found is None and request.param != "none":
        pytest.skip(f"no {request.param} BLAS here")
    return found


def run_products(
    products: list[Product], library: BlasLibrary | None, emit=blas_call.emit_product
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Compile the products into one module, run each on random data; pairs of (got, expected)."""
    module = ModuleText()
    for index, product in enumerate(products):
        function = module.function(f"run{index}", "void", ("ptr %x", "ptr %y", "ptr %z"), linkage="")
        emit(function, product, "%x", "%y", "%z", library)
        function.emit("ret void")
    symbols = {} if library is None else dict(library.addresses)
    code = jit.link(str(module), symbols, [f"run{index}" for index in range(len(products))], verify=True)
    generator = np.random.default_rng(0)
    pairs = []
    for index, product in enumerate(products):
        dtype = product.dtype.numpy

        def sample(rows: int, columns: int, dtype: np.dtype = dtype) -> np.ndarray:
            return generator.integers(-3 if dtype.kind in "if" else 0, 4, (rows, columns)).astype(dtype)

        a = sample(product.k, product.m) if product.transpose_a else sample(product.m, product.k)
        b = sample(product.n, product.k) if product.transpose_b else sample(product.k, product.n)
        c = sample(product.m, product.n)
        if not product.accumulate and product.dtype.is_float:
            c[...] = np.nan  # fresh memory may hold anything
        expected = (a.T if product.transpose_a else a) @ (b.T if product.transpose_b else b)
        if product.accumulate:
            expected = expected + c
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(code.address(f"run{index}"))
        call(a.ctypes.data, b.ctypes.data, c.ctypes.data)
        pairs.append((c, expected))
    return pairs


@pytest.mark.parametrize("dtype", [dtypes.f64, dtypes.f32], ids=str)
def test_every_shape_and_order(library, dtype):
    products = [
        Product(dtype, *sizes, *flags)
        for sizes in SIZES
        for flags in itertools.product((False, True), repeat=3)
    ]
    for product, (got, expected) in zip(products, run_products(products, library), strict=True):
        np.testing.assert_array_equal(got, expected, err_msg=str(product))  # small integers: sums are exact


@pytest.mark.parametrize("dtype", [dtypes.f64, dtypes.f32], ids=str)
def test_small_products_are_straight_code(dtype):
    sizes = [*SIZES[:-1], (2, 2, 2), (4, 4, 4), (8, 8, 8), (10, 1, 10), (1, 16, 3), (16, 1, 16), (10, 10, 1), (3, 16, 2),
             (7, 3, 4), (1, 5, 2), (16, 1, 3)]  # fmt: skip
    products = [Product(dtype, *each, *flags) for each in sizes for flags in itertools.product((False, True), repeat=3)]
    products = [product for product in products if is_small(product)]

    def emit(function, product, a, b, c, library):
        blas_call.emit_gemm(
            function, product.dtype, product.m, product.n, product.k, product.transpose_a, product.transpose_b, a, b, c,
            product.accumulate,
        )  # fmt: skip

    for product, (got, expected) in zip(products, run_products(products, None, emit), strict=True):
        np.testing.assert_array_equal(got, expected, err_msg=str(product))
    assert not any(is_small(Product(dtype, *each)) for each in ((17, 1, 2), (16, 16, 16), (3, 0, 2)))


@pytest.mark.parametrize("dtype", [dtypes.i64, dtypes.i32, dtypes.u8, dtypes.boolean], ids=str)
def test_other_dtypes_are_looped_over(library, dtype):
    products = [Product(dtype, 5, 9, 4), Product(dtype, 2, 3, 4, True, True)]
    for got, expected in run_products(products, library):
        np.testing.assert_array_equal(got, expected)


def test_empty_products(library):
    products = [
        Product(dtypes.f64, 2, 3, 0),
        Product(dtypes.f64, 2, 3, 0, accumulate=True),
        Product(dtypes.f64, 0, 3, 2),
        Product(dtypes.f32, 3, 0, 2),
    ]
    for got, expected in run_products(products, library):
        np.testing.assert_array_equal(got, expected)


def test_flavours_agree_on_large_products():
    product = Product(dtypes.f64, 70, 80, 90, False, True)
    for find in LIBRARIES.values():
        ((got, expected),) = run_products([product], find())
        np.testing.assert_array_equal(got, expected)


def test_equal_products_share_their_loops():
    module = ModuleText()
    function = module.function("run", "void", ("ptr %x", "ptr %y", "ptr %z"), linkage="")
    for _ in range(3):
        blas_call.emit_product(function, Product(dtypes.f64, 3, 3, 3), "%x", "%y", "%z", None)
    assert len(module.functions) == 2


def test_emit_gemm_uses_the_library_found():
    module = ModuleText()
    function = module.function("run", "void", ("ptr %x", "ptr %y", "ptr %z"), linkage="")
    blas_call.emit_gemm(function, dtypes.f64, 8, 8, 8, False, False, "%x", "%y", "%z")
    function.emit("ret void")
    assert jit.link(str(module), blas_call.blas_symbols(), ["run"]).address("run")


def test_thread_count():
    found = blas.find_bundled()
    if found is None or found.thread_setter is None:
        pytest.skip("no setter")
    try:
        assert found.set_thread_count(1)
    finally:
        found.set_thread_count(os.cpu_count() or 1)
    assert not BlasLibrary(found.flavour, "none", {}).set_thread_count(1)
