"""Matrix products: sizes and pointer names go in, emitted calls of the machine's BLAS, or plain loops, come out."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pullback.codegen.llvm_text import FunctionText, literal, memory_type
from pullback.codegen.product import Product
from pullback.codegen.small_product import emit_small, is_small
from pullback.dtypes import DType
from pullback.runtime import blas
from pullback.runtime.blas import BlasLibrary, Flavour

_ROW_ORDER, _AS_IS, _TRANSPOSED = 101, 111, 112  # CblasRowMajor, CblasNoTrans, CblasTrans
_LARGEST_32_BIT = 2**31 - 1
_VECTOR_BYTES = 32


def blas_symbols() -> dict[str, int]:
    """Addresses of the externals that `emit_gemm` may leave in a module, for linking."""
    library = blas.find()
    return {} if library is None else dict(library.addresses)


def emit_gemm(
    function: FunctionText,
    dtype: DType,
    m: int,
    n: int,
    k: int,
    transpose_a: bool,
    transpose_b: bool,
    a: str,
    b: str,
    c: str,
    accumulate: bool = False,
) -> None:
    """Emit a `Product` on the arrays at pointers `a`, `b`, `c`, by the BLAS of this machine, or as code if it is small.

    Any dtype will do: what BLAS does not take (integers, bool as and-or) is looped over. The same text links only
    where `blas.find` gives the same flavour.
    """
    product = Product(dtype, m, n, k, transpose_a, transpose_b, accumulate)
    if is_small(product):
        emit_small(function, product, a, b, c)
    else:
        emit_product(function, product, a, b, c, blas.find())


def emit_product(
    function: FunctionText, product: Product, a: str, b: str, c: str, library: BlasLibrary | None
) -> None:
    """Emit `product` as calls of `library`, or as plain loops where there is none or it does not take the product."""
    if product.m == 0 or product.n == 0:
        return
    if product.k == 0:
        if not product.accumulate:
            _zero(function, product, c)
        return
    if library is None or not _library_takes(product, library.flavour):
        _call_loops(function, product, a, b, c)
    elif product.n == 1:
        rows, columns = (product.k, product.m) if product.transpose_a else (product.m, product.k)
        _gemv(function, product, library.flavour, a, rows, columns, product.transpose_a, b, c)
    elif product.m == 1:  # c = op(B)^T a
        rows, columns = (product.n, product.k) if product.transpose_b else (product.k, product.n)
        _gemv(function, product, library.flavour, b, rows, columns, not product.transpose_b, a, c)
    else:
        _gemm(function, product, library.flavour, a, b, c)


def _library_takes(product: Product, flavour: Flavour) -> bool:
    if not product.dtype.is_float:
        return False
    return flavour is Flavour.CBLAS_ILP64 or max(product.m, product.n, product.k) <= _LARGEST_32_BIT


def _zero(function: FunctionText, product: Product, c: str) -> None:
    """Fill C with zeros."""
    size = product.m * product.n * product.dtype.itemsize
    operands = (("ptr", c), ("i8", "0"), ("i64", str(size)), ("i1", "false"))
    function.call("llvm.memset.p0.i64", "void", operands)


def _routine(dtype: DType, name: str) -> str:
    return blas.symbol(("d" if dtype.itemsize == 8 else "s") + name)


def _gemm(function: FunctionText, product: Product, flavour: Flavour, a: str, b: str, c: str) -> None:
    """A product of two matrices; column order sees every matrix transposed, so there C^T = op(B)^T op(A)^T."""
    dtype, m, n, k = product.dtype, product.m, product.n, product.k
    lead_a, lead_b = (m if product.transpose_a else k), (k if product.transpose_b else n)
    one, beta = 1.0, float(product.accumulate)
    operands: tuple[tuple[str, str], ...]
    match flavour:
        case Flavour.CBLAS_ILP64:
            kind = memory_type(dtype, 1)
            operands = (
                ("i32", str(_ROW_ORDER)), ("i32", _transposition(product.transpose_a)),
                ("i32", _transposition(product.transpose_b)), ("i64", str(m)), ("i64", str(n)), ("i64", str(k)),
                (kind, literal(dtype, one)), ("ptr", a), ("i64", str(lead_a)), ("ptr", b), ("i64", str(lead_b)),
                (kind, literal(dtype, beta)), ("ptr", c), ("i64", str(n)),
            )  # fmt: skip
        case Flavour.FORTRAN_LP64:
            operands = _pointers(
                _letter(function, product.transpose_b), _letter(function, product.transpose_a), _size(function, n),
                _size(function, m), _size(function, k), _number(function, dtype, one), b, _size(function, lead_b),
                a, _size(function, lead_a), _number(function, dtype, beta), c, _size(function, n),
            )  # fmt: skip
    function.call(_routine(dtype, "gemm"), "void", operands)


def _gemv(
    function: FunctionText,
    product: Product,
    flavour: Flavour,
    matrix: str,
    rows: int,
    columns: int,
    transpose: bool,
    x: str,
    y: str,
) -> None:
    """y = M x or M^T x for M stored as [rows, columns]; y is cleared first, for some BLAS scale even its NaNs by 0."""
    dtype = product.dtype
    if not product.accumulate:
        _zero(function, product, y)
    operands: tuple[tuple[str, str], ...]
    match flavour:
        case Flavour.CBLAS_ILP64:
            one = (memory_type(dtype, 1), literal(dtype, 1.0))
            operands = (
                ("i32", str(_ROW_ORDER)), ("i32", _transposition(transpose)), ("i64", str(rows)),
                ("i64", str(columns)), one, ("ptr", matrix), ("i64", str(columns)), ("ptr", x), ("i64", "1"),
                one, ("ptr", y), ("i64", "1"),
            )  # fmt: skip
        case Flavour.FORTRAN_LP64:
            one_pointer, unit = _number(function, dtype, 1.0), _size(function, 1)
            operands = _pointers(
                _letter(function, not transpose), _size(function, columns), _size(function, rows), one_pointer,
                matrix, _size(function, columns), x, unit, one_pointer, y, unit,
            )  # fmt: skip
    function.call(_routine(dtype, "gemv"), "void", operands)


def _transposition(transpose: bool) -> str:
    return str(_TRANSPOSED if transpose else _AS_IS)


def _pointers(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("ptr", name) for name in names)


# Fortran takes everything by pointer: constants stand in the module.


def _letter(function: FunctionText, transpose: bool) -> str:
    letter = "T" if transpose else "N"
    function.module.define_global(f"blas_{letter}", f"internal constant i8 {ord(letter)}")
    return f"@blas_{letter}"


def _size(function: FunctionText, size: int) -> str:
    function.module.define_global(f"blas_size_{size}", f"internal constant i32 {size}")
    return f"@blas_size_{size}"


def _number(function: FunctionText, dtype: DType, value: float) -> str:
    name = f"blas_{dtype}_{value:.0f}"
    function.module.define_global(name, f"internal constant {memory_type(dtype, 1)} {literal(dtype, value)}")
    return f"@{name}"


# No BLAS: c[i, :] += a[i, p] * b[p, :], in vectors along the rows of B where they are contiguous.


def _call_loops(function: FunctionText, product: Product, a: str, b: str, c: str) -> None:
    """Call a function of the module's own that loops, made once for each kind of product."""
    order = ("t" if product.transpose_a else "n") + ("t" if product.transpose_b else "n")
    shape = f"{product.m}_{product.n}_{product.k}_{order}"
    name = f"product_{product.dtype}_{shape}" + ("_add" if product.accumulate else "")
    if name not in function.module.functions:
        loops = function.module.function(name, "void", ("ptr %a", "ptr %b", "ptr %c"))
        _emit_loops(loops, product)
        loops.emit("ret void")
    function.call(name, "void", (("ptr", a), ("ptr", b), ("ptr", c)), declare=False)


def _emit_loops(loops: FunctionText, product: Product) -> None:
    """Each element of C sums over k in order, whatever the width: equal bits for vector lanes and remainders."""
    m, n, k = product.m, product.n, product.k
    width = 1 if product.transpose_b else _VECTOR_BYTES // product.dtype.itemsize
    whole = n - n % width
    if not product.accumulate:
        _zero(loops, product, "%c")
    with _loop(loops, 0, m, 1) as i, _loop(loops, 0, k, 1) as p:
        element = _element(loops, p, m, i) if product.transpose_a else _element(loops, i, k, p)
        scale = _load(loops, product.dtype, 1, "%a", element)
        if whole:
            with _loop(loops, 0, whole, width) as j:
                _add_product(loops, product, i, p, j, scale, width)
        if whole < n:
            with _loop(loops, whole, n, 1) as j:
                _add_product(loops, product, i, p, j, scale, 1)


def _add_product(loops: FunctionText, product: Product, i: str, p: str, j: str, scale: str, width: int) -> None:
    """c[i, j] += scale * b[p, j] for `width` neighbours j."""
    dtype, n = product.dtype, product.n
    kind = memory_type(dtype, width)
    if width > 1:
        single = loops.let(f"insertelement {kind} poison, {memory_type(dtype, 1)} {scale}, i64 0")
        scale = loops.let(f"shufflevector {kind} {single}, {kind} poison, <{width} x i32> zeroinitializer")
    other = _element(loops, j, product.k, p) if product.transpose_b else _element(loops, p, n, j)
    term = loops.let(f"{_multiply(dtype)} {kind} {scale}, {_load(loops, dtype, width, '%b', other)}")
    target = _element(loops, i, n, j)
    total = loops.let(f"{_add(dtype)} {kind} {_load(loops, dtype, width, '%c', target)}, {term}")
    where = _pointer(loops, dtype, "%c", target)
    loops.emit(f"store {kind} {total}, ptr {where}, align {dtype.itemsize}")


def _multiply(dtype: DType) -> str:
    return "fmul" if dtype.is_float else "and" if dtype.is_bool else "mul"


def _add(dtype: DType) -> str:
    return "fadd" if dtype.is_float else "or" if dtype.is_bool else "add"


def _element(loops: FunctionText, row: str, columns: int, column: str) -> str:
    return loops.let(f"add i64 {loops.let(f'mul i64 {row}, {columns}')}, {column}")


def _pointer(loops: FunctionText, dtype: DType, base: str, element: str) -> str:
    return loops.let(f"getelementptr inbounds {memory_type(dtype, 1)}, ptr {base}, i64 {element}")


def _load(loops: FunctionText, dtype: DType, width: int, base: str, element: str) -> str:
    where = _pointer(loops, dtype, base, element)
    return loops.let(f"load {memory_type(dtype, width)}, ptr {where}, align {dtype.itemsize}")


@contextmanager
def _loop(function: FunctionText, start: int, stop: int, step: int) -> Iterator[str]:
    """A counting loop of at least one turn around what the ``with`` block emits; gives the counter's name."""
    before, body, after = function.block, function.fresh_label("loop"), function.fresh_label("after")
    function.emit(f"br label %{body}")
    function.label(body)
    counter = function.fresh()
    position = len(function.lines)
    function.emit("")
    yield counter
    following = function.let(f"add i64 {counter}, {step}")
    last = function.block  # known only now: the block emitted in between may have loops of its own
    function.lines[position] = f"  {counter} = phi i64 [ {start}, %{before} ], [ {following}, %{last} ]"
    more = function.let(f"icmp ult i64 {following}, {stop}")
    function.emit(f"br i1 {more}, label %{body}, label %{after}")
    function.label(after)
