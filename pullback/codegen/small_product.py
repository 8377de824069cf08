"""Matrix products of a few elements as straight code: sizes and pointer names in, multiplications and additions out.

A call of a library takes longer than such a product. The smallest stand where they are used, so that LLVM can keep
the matrices in registers; the others in a function for each kind of product.
"""
from __future__ import annotations

from collections.abc import Callable

from pullback.codegen.emit_nest import load, splat, store
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText, element_type, memory_type
from pullback.codegen.product import Product
from pullback.dtypes import DType
from pullback.ir.ops.scalar import Scalar

INLINE_TERMS = 64
"""Products of at most so many terms stand where they are used."""
_WIDEST = 16
_MOST_STEPS = 128
_MOST_GATHERED = 64
_SCALAR_TERMS = 4


def is_small(product: Product) -> bool:
    """Whether straight code is the better way: at most some hundred vector instructions."""
    m, n, k = product.m, product.n, product.k
    if not product.dtype.is_float or 0 in (m, n, k) or max(m, n, k) > _WIDEST:
        return False
    if n == 1 or m == 1:
        return True
    return m * k * -(-n // 8) <= _MOST_STEPS and (not product.transpose_b or n * k <= _MOST_GATHERED)


def emit_small(function: FunctionText, product: Product, a: str, b: str, c: str) -> None:
    """Emit a small product of the arrays at `a` and `b` into that at `c`; a multiplication and its addition are one."""
    if product.m * product.n * product.k <= INLINE_TERMS:
        _Small(function, product, a, b, c).emit()
        return
    order = ("t" if product.transpose_a else "n") + ("t" if product.transpose_b else "n")
    name = f"small_{product.dtype}_{product.m}_{product.n}_{product.k}_{order}" + ("_add" if product.accumulate else "")
    if name not in function.module.functions:
        made = function.module.function(name, "void", ("ptr noalias %a", "ptr noalias %b", "ptr noalias %c"))
        _Small(made, product, "%a", "%b", "%c").emit()
        made.emit("ret void")
    function.call(name, "void", (("ptr", a), ("ptr", b), ("ptr", c)), declare=False)


class _Small:
    """One product being emitted."""

    def __init__(self, function: FunctionText, product: Product, a: str, b: str, c: str) -> None:
        self.function = function
        self.product = product
        self.a, self.b, self.c = a, b, c
        self.dtype: DType = product.dtype

    def emit(self) -> None:
        product = self.product
        m, n, k = product.m, product.n, product.k
        if n == 1 and not product.transpose_a:
            self.dots(self.a, self.b, m)
        elif n == 1:
            self.row(0, m, lambda p: self.vector(self.a, p * m, m), lambda p: self.vector(self.b, p, 1))
        elif m == 1 and product.transpose_b:
            self.dots(self.b, self.a, n)
        else:
            columns = [
                self.vector(self.b, p, n, k) if product.transpose_b else self.vector(self.b, p * n, n) for p in range(k)
            ]
            for i in range(m):
                places = [p * m + i if product.transpose_a else i * k + p for p in range(k)]
                self.row(i * n, n, columns.__getitem__, lambda p, at=places: self.vector(self.a, at[p], 1))  # type: ignore[misc]

    def vector(self, pointer: str, place: int, lanes: int, stride: int = 1) -> Scalar:
        """Elements from a place on."""
        f = self.function
        return load(f, f.moved(pointer, memory_type(self.dtype, 1), str(place)), self.dtype, lanes, stride)

    def row(self, place: int, lanes: int, vector: Callable[[int], Scalar], factor: Callable[[int], Scalar]) -> None:
        """Elements of C from `place` on: the sum over p of a vector times one factor."""
        f = self.function
        s = LlvmScalarBuilder(f, lanes)
        total = self.vector(self.c, place, lanes) if self.product.accumulate else None
        for p in range(self.product.k):
            many = splat(f, factor(p), lanes)
            total = s.mul(vector(p), many) if total is None else s.fma(vector(p), many, total)
        assert total is not None
        store(f, f.moved(self.c, memory_type(self.dtype, 1), str(place)), total, lanes)

    def dots(self, matrix: str, vector: str, rows: int) -> None:
        """C is each row of a matrix times one vector."""
        f, k = self.function, self.product.k
        one, many = element_type(self.dtype, 1), element_type(self.dtype, rows)
        results = "poison"
        whole = self.vector(vector, 0, k) if k > _SCALAR_TERMS else None
        singles = [self.vector(vector, p, 1) for p in range(k)] if whole is None else []
        for row in range(rows):
            if whole is not None:
                dot = self.lane_sum(LlvmScalarBuilder(f, k).mul(self.vector(matrix, row * k, k), whole))
            else:
                s = LlvmScalarBuilder(f, 1)
                dot = s.mul(self.vector(matrix, row * k, 1), singles[0])
                for p in range(1, k):
                    dot = s.fma(self.vector(matrix, row * k + p, 1), singles[p], dot)
            results = dot.text if rows == 1 else f.let(f"insertelement {many} {results}, {one} {dot.text}, i64 {row}")
        total = Scalar(results, self.dtype)
        if self.product.accumulate:
            total = LlvmScalarBuilder(f, rows).add(self.vector(self.c, 0, rows), total)
        store(f, self.c, total, rows)

    def lane_sum(self, value: Scalar) -> Scalar:
        """The sum of the k lanes of a product, four at a time; lanes that are missing are -0.0, which changes nothing."""
        f, k = self.function, self.product.k
        kind = element_type(self.dtype, k)
        one = element_type(self.dtype, 1)
        parts = []
        for start in range(0, k, 4):
            order = ", ".join(f"i32 {start + lane if start + lane < k else k}" for lane in range(4))
            text = f"shufflevector {kind} {value.text}, {kind} splat ({one} -0.0), <4 x i32> <{order}>"
            parts.append(Scalar(f.let(text), self.dtype))
        s = LlvmScalarBuilder(f, 4)
        total = parts[0]
        for part in parts[1:]:
            total = s.add(total, part)
        four, two = element_type(self.dtype, 4), element_type(self.dtype, 2)
        low, high = (
            Scalar(f.let(f"shufflevector {four} {total.text}, {four} poison, <2 x i32> <i32 {x}, i32 {y}>"), self.dtype)
            for x, y in ((0, 1), (2, 3))
        )
        pair = LlvmScalarBuilder(f, 2).add(low, high)
        ends = [Scalar(f.let(f"extractelement {two} {pair.text}, i64 {lane}"), self.dtype) for lane in (0, 1)]
        return LlvmScalarBuilder(f, 1).add(*ends)
