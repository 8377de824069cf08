"""Decompositions of matrices by LAPACK: one matrix after the other, on copies in column order.

They are the routines that NumPy calls, on the same numbers, so that signs and rounding are NumPy's: in float64, whatever
the dtype. Only cholesky, which leaves no choice of signs, is given the matrix in row order.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, prod
from types import MappingProxyType
from typing import cast

from pullback.codegen.blas_call import emit_gemm
from pullback.codegen.emit_nest import count_loop, fill_memory, load, store
from pullback.codegen.lapack_routine import (
    INTEGERS,
    INTEGERS_SIZE,
    WORK,
    WORK_SIZE,
    Routine,
    integer_bytes,
    library_with,
)  # fmt: skip
from pullback.codegen.llvm_scalar import LlvmScalarBuilder
from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.lower.selection import STATUS_BITS, element
from pullback.codegen.lower.turning import copy, turn
from pullback.codegen.memory_plan import ALIGNMENT
from pullback.dtypes import DType, boolean, f64
from pullback.ir.core import Op, Operation, Value
from pullback.ir.ops.decomposition import Cholesky, Decomposition, Eigh, Pinv, Qr, SlogDet, Svd
from pullback.ir.ops.scalar import Compare, Elementary, Scalar
from pullback.runtime.blas import BlasLibrary


@dataclass(frozen=True)
class _Way:
    """How the parts of a matrix[m, n] are computed.

    `routines` are called in this order, and take about `work` multiplications for each element and row, or column where
    there are fewer. `scratch` has a number of elements for each array besides the operand and the results, workspace
    apart. `emit` emits what is to be done for one matrix.
    """

    routines: tuple[Routine, ...]
    emit: Callable[[_Matrix], None]
    work: float
    scratch: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class _Matrix:
    """One matrix: pointers to its elements and to the parts it is to get, and to scratch arrays by name."""

    f: FunctionText
    library: BlasLibrary
    dtype: DType
    m: int
    n: int
    scratch: Mapping[str, str]
    source: str
    targets: Sequence[str]
    number: str
    failure: int

    def call(self, routine: Routine) -> str:
        """Call a routine on scratch memory; gives its `info`."""
        return routine.emit(self.f, f64, self.library, self.scratch)

    def take(self) -> None:
        """Copy the matrix to the scratch array "a", in column order."""
        turn(self.f, self.dtype, self.source, self.scratch["a"], self.m, self.n, f64)

    def give(self, name: str, part: int, rows: int, columns: int) -> None:
        """Copy a part from scratch memory, where it is in column order."""
        turn(self.f, f64, self.scratch[name], self.targets[part], columns, rows, self.dtype)

    def check(self, info: str) -> None:
        """Leave with a status, the matrix' number in it, unless `info` is 0."""
        f = self.f
        fine, failed = f.fresh_label("fine"), f.fresh_label("failed")
        f.emit(f"br i1 {f.let(f'icmp eq i64 {info}, 0')}, label %{fine}, label %{failed}")
        f.label(failed)
        f.leave(f.let(f"or i64 {f.let(f'shl i64 {self.number}, {STATUS_BITS}')}, {self.failure}"))
        f.label(fine)


def is_native(operation: Operation) -> bool:
    """Whether a decomposition has native code: the library on this machine must have its routines."""
    return _library(operation) is not None


def vectors_of(operation: Operation) -> tuple[Value, ...]:
    """The results without which a decomposition has less to do: where none is read, their pointers shall be empty."""
    match operation.op:
        case Eigh():
            return operation.results[1:]
        case Svd():
            return operation.results[::2]
    return ()


def scratch_bytes(operation: Operation, values_only: bool) -> int:
    """The scratch memory that `decompose` takes, 0 for an operation that is not decomposed here."""
    if not isinstance(operation.op, Decomposition) or (library := _library(operation)) is None:
        return 0
    return sum(_scratch_sizes(operation, _way(operation, values_only), library).values())


def cost_of(operation: Operation, values_only: bool) -> int:
    """The cost of a native decomposition in units of a kernel's."""
    way, kind = _way(operation, values_only), operation.operands[0].type
    return max(1, int(way.work * kind.size * min(kind.shape[-2:]) / 8))


def decompose(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Matrix by matrix. The last operand is a pointer to scratch memory if the operation takes any.

    Results of `vectors_of` that are not wanted have empty pointers.
    """
    kind = operation.operands[0].type
    *lead, m, n = kind.shape
    way, library, batches = _way(operation, "" in results), _library(operation), prod(lead)
    assert library is not None
    if batches * m * n == 0:
        for result, value in zip(results, _OF_NOTHING.get(type(operation.op), ()), strict=False):
            fill_memory(f, result, batches, kind.dtype, value)
        return
    scratch, start = {}, 0
    for name, size in _scratch_sizes(operation, way, library).items():
        scratch[name] = f.moved(operands[-1], "i8", str(start))
        start += size
    sizes = [prod(each.type.shape[len(lead) :]) for each in operation.results]

    def one(number: str) -> None:
        source = element(f, operands[0], kind.dtype, f.times(number, m * n))
        targets = [
            element(f, pointer, kind.dtype, f.times(number, size)) if pointer else ""
            for pointer, size in zip(results, sizes, strict=True)
        ]
        way.emit(_Matrix(f, library, kind.dtype, m, n, scratch, source, targets, number, failure))

    if batches == 1:
        one("0")
    else:
        count_loop(f, batches, one)


def _library(operation: Operation) -> BlasLibrary | None:
    kind = operation.operands[0].type
    return library_with([routine.name for routine in _way(operation).routines], f64, max(kind.shape[-2:]))


def _way(operation: Operation, values_only: bool = False) -> _Way:
    m, n = operation.operands[0].type.shape[-2:]
    match operation.op:
        case Eigh() as op:
            return _eigh(op, n, values_only)
        case Svd():
            return _svd(m, n, values_only)
    return _WAYS[type(operation.op)](operation.op, m, n)


def _scratch_sizes(operation: Operation, way: _Way, library: BlasLibrary) -> dict[str, int]:
    """Bytes of each scratch array, workspace included."""
    kind = operation.operands[0].type
    if kind.size == 0:
        return {}
    counts = dict(way.scratch)
    for routine in way.routines:
        asked = routine.workspace(f64, library)
        for name, size in ((WORK, WORK_SIZE), (INTEGERS, INTEGERS_SIZE)):
            if name in routine.operands:
                counts[name] = max(counts.get(name, 0), asked.get(size, 0))
    widths = dict.fromkeys((INTEGERS, "pivots"), integer_bytes(library))
    return {
        name: -(-count * widths.get(name, f64.itemsize) // ALIGNMENT) * ALIGNMENT for name, count in counts.items()
    }  # fmt: skip


def _cholesky(op: Op, m: int, n: int) -> _Way:
    """The lower triangle by rows is the upper one by columns, and so is L."""
    factor = Routine("potrf", "U", (n, "a", n))

    def emit(matrix: _Matrix) -> None:
        f, (target,), dtype, a = matrix.f, matrix.targets, matrix.dtype, matrix.scratch["a"]

        def copy_triangle(source: str, kind: DType, target: str, wanted: DType) -> None:
            def row(i: str) -> None:
                start = f.times(i, n)
                copy(f, kind, element(f, source, kind, start), wanted, element(f, target, wanted, start), f.plus(i, "1"))

            count_loop(f, n, row)

        copy_triangle(matrix.source, dtype, a, f64)
        matrix.check(matrix.call(factor))
        fill_memory(f, target, n * n, dtype, "0.0")
        copy_triangle(a, f64, target, dtype)

    return _Way((factor,), emit, 1 / 6, {"a": n * n})


def _slogdet(op: Op, m: int, n: int) -> _Way:
    """The sum of the logarithms of U's diagonal; the sign changes with each of its signs and each exchange of rows."""
    factors = Routine("getrf", "", (n, n, "a", n, "pivots"))

    def emit(matrix: _Matrix) -> None:
        f, a, found = matrix.f, matrix.scratch["a"], matrix.scratch["found"]
        bits = f"i{8 * integer_bytes(matrix.library)}"
        s = LlvmScalarBuilder(f, 1, frozenset({Elementary.LOG}))
        sign, log = found, f.moved(found, "double", "1")
        matrix.take()
        info = matrix.call(factors)
        store(f, sign, s.constant(f64, 1), 1)
        store(f, log, s.constant(f64, 0), 1)

        def entry(i: str) -> None:
            pivot = f.let(f"load {bits}, ptr {f.moved(matrix.scratch['pivots'], bits, i)}, align 4")
            row = f.let(f"sub {bits} {pivot}, 1")
            column = i if bits == "i64" else f.let(f"trunc i64 {i} to i32")
            each = load(f, element(f, a, f64, f.times(i, n + 1)), f64, 1)
            exchanged = f.let(f"icmp ne {bits} {row}, {column}")
            negative = f.let(f"fcmp olt double {each.text}, 0.0")
            before = load(f, sign, f64, 1)
            changes = Scalar(f.let(f"xor i1 {exchanged}, {negative}"), boolean)
            store(f, sign, s.select(changes, s.neg(before), before), 1)
            size = s.elementary(Elementary.LOG, s.select(Scalar(negative, boolean), s.neg(each), each))
            store(f, log, s.add(load(f, log, f64, 1), size), 1)

        singular, regular, done = (f.fresh_label(hint) for hint in ("singular", "regular", "done"))
        f.emit(f"br i1 {f.let(f'icmp eq i64 {info}, 0')}, label %{regular}, label %{singular}")
        f.label(singular)
        store(f, sign, s.constant(f64, 0), 1)
        store(f, log, s.constant(f64, -inf), 1)
        f.emit(f"br label %{done}")
        f.label(regular)
        count_loop(f, n, entry)
        f.emit(f"br label %{done}")
        f.label(done)
        for part, place in enumerate((sign, log)):
            copy(f, f64, place, matrix.dtype, matrix.targets[part], 1)

    return _Way((factors,), emit, 1 / 3, {"a": n * n, "pivots": n, "found": 2})


def _eigh(op: Eigh, n: int, values_only: bool) -> _Way:
    """Vectors are made in the place of the matrix."""
    letters = ("N" if values_only else "V") + ("U" if op.upper else "L")
    reduced = Routine("syevd", letters, (n, "a", n, "values", WORK, WORK_SIZE, INTEGERS, INTEGERS_SIZE))

    def emit(matrix: _Matrix) -> None:
        matrix.take()
        matrix.check(matrix.call(reduced))
        copy(matrix.f, f64, matrix.scratch["values"], matrix.dtype, matrix.targets[0], n)
        if not values_only:
            matrix.give("a", 1, n, n)

    return _Way((reduced,), emit, 4 / 3 if values_only else 9, {"a": n * n, "values": n})


def _svd_routine(m: int, n: int, values_only: bool = False) -> tuple[Routine, dict[str, int]]:
    """The routine and the scratch memory for its operands."""
    k = min(m, n)
    routine = Routine("gesdd", "N" if values_only else "S", (m, n, "a", m, "s", "u", m, "v", k, WORK, WORK_SIZE, INTEGERS))
    u, v = (1, 1) if values_only else (m * k, k * n)
    return routine, {"a": m * n, "s": k, "u": u, "v": v, INTEGERS: 8 * k}


def _svd(m: int, n: int, values_only: bool) -> _Way:
    (routine, scratch), k = _svd_routine(m, n, values_only), min(m, n)

    def emit(matrix: _Matrix) -> None:
        matrix.take()
        matrix.check(matrix.call(routine))
        copy(matrix.f, f64, matrix.scratch["s"], matrix.dtype, matrix.targets[1], k)
        if not values_only:
            matrix.give("u", 0, m, k)
            matrix.give("v", 2, k, n)

    return _Way((routine,), emit, 8 / 3 if values_only else 20, scratch)


def _qr(op: Op, m: int, n: int) -> _Way:
    """R is the upper triangle of what geqrf leaves; what it leaves below becomes Q."""
    factor = Routine("geqrf", "", (m, n, "a", m, "tau", WORK, WORK_SIZE))
    expand = Routine("orgqr", "", (m, n, n, "a", m, "tau", WORK, WORK_SIZE))

    def emit(matrix: _Matrix) -> None:
        f, dtype, a, (_, r) = matrix.f, matrix.dtype, matrix.scratch["a"], matrix.targets
        b = LlvmScalarBuilder(f, 1)
        matrix.take()
        matrix.call(factor)
        fill_memory(f, r, n * n, dtype, "0.0")

        def column(j: str) -> None:
            start = element(f, a, f64, f.times(j, m))
            target = element(f, r, dtype, j)

            def entry(i: str) -> None:
                found = load(f, element(f, start, f64, i), f64, 1)
                store(f, element(f, target, dtype, f.times(i, n)), b.cast(found, dtype), 1)

            count_loop(f, f.plus(j, "1"), entry)

        count_loop(f, n, column)
        matrix.call(expand)
        matrix.give("a", 0, m, n)

    return _Way((factor, expand), emit, 2, {"a": m * n, "tau": n})


def _pinv(op: Op, m: int, n: int) -> _Way:
    """``V diag(1/s) Uᵀ``, with 0 for the inverse of what `cutoff` says is 0."""
    cutoff, (routine, arrays), k = cast(Pinv, op).cutoff, _svd_routine(m, n), min(m, n)

    def emit(matrix: _Matrix) -> None:
        f, scratch = matrix.f, matrix.scratch
        b = LlvmScalarBuilder(f, 1)
        matrix.take()
        matrix.check(matrix.call(routine))
        least = b.mul(load(f, scratch["s"], f64, 1), b.constant(f64, cutoff))

        def scale(i: str) -> None:
            value = load(f, element(f, scratch["s"], f64, i), f64, 1)
            inverse = b.div(b.constant(f64, 1), value)
            factor = b.select(b.compare(Compare.GT, value, least), inverse, b.constant(f64, 0))
            vector = element(f, scratch["u"], f64, f.times(i, m))

            def entry(j: str) -> None:
                place = element(f, vector, f64, j)
                store(f, place, b.mul(factor, load(f, place, f64, 1)), 1)

            count_loop(f, m, entry)

        count_loop(f, k, scale)
        # In column order the transpose of the result, which is the result in row order.
        emit_gemm(f, f64, n, m, k, False, False, scratch["v"], scratch["u"], scratch["a"])
        copy(f, f64, scratch["a"], matrix.dtype, matrix.targets[0], n * m)

    return _Way((routine,), emit, 21, arrays)


_WAYS: Mapping[type[Op], Callable[[Op, int, int], _Way]] = MappingProxyType({
    Cholesky: _cholesky, SlogDet: _slogdet, Qr: _qr, Pinv: _pinv,
})  # fmt: skip
_OF_NOTHING: Mapping[type[Op], tuple[str, ...]] = MappingProxyType({SlogDet: ("1.0", "0.0")})
"""The results for matrices without elements, where these have any."""
