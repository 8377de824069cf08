"""Decompositions of matrices by LAPACK: one matrix after the other, on copies in column order.

They are the routines that NumPy calls, on the same numbers, so that signs and rounding are NumPy's; only cholesky, which
leaves no choice of signs, spares the copy.
"""
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, prod
from types import MappingProxyType

from pullback.codegen.emit_nest import copy_memory, count_loop, fill_memory, load, store
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
from pullback.codegen.llvm_text import FunctionText, memory_type
from pullback.codegen.lower.selection import STATUS_BITS, element
from pullback.codegen.lower.turning import turn
from pullback.codegen.memory_plan import ALIGNMENT
from pullback.dtypes import DType, boolean
from pullback.ir.core import Op, Operation
from pullback.ir.ops.decomposition import Cholesky, Decomposition, SlogDet
from pullback.ir.ops.scalar import Elementary, Scalar
from pullback.runtime.blas import BlasLibrary


@dataclass(frozen=True)
class _Way:
    """How the parts of a matrix[m, n] are computed.

    `routines` are called in this order, and take about `work` multiplications for each element and row, or column where
    there are fewer. `scratch` has a number of elements for each array besides the operand and the
    results, workspace apart. `emit` emits what is to be done for one matrix.
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
    way: _Way
    scratch: Mapping[str, str]
    source: str
    targets: Sequence[str]
    number: str
    failure: int

    def call(self, routine: Routine, **places: str) -> str:
        """Call a routine, some of whose operands are not in scratch memory; gives its `info`."""
        return routine.emit(self.f, self.dtype, self.library, {**self.scratch, **places})

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
    return _way(operation) is not None and _library(operation) is not None


def scratch_bytes(operation: Operation) -> int:
    """The scratch memory that `decompose` takes, 0 for an operation that is not decomposed here."""
    if not isinstance(operation.op, Decomposition) or (way := _way(operation)) is None:
        return 0
    library = _library(operation)
    return 0 if library is None else sum(_scratch_sizes(operation, way, library).values())


def cost_of(operation: Operation) -> int:
    """The cost of a native decomposition in units of a kernel's."""
    way, kind = _way(operation), operation.operands[0].type
    assert way is not None
    return max(1, int(way.work * kind.size * min(kind.shape[-2:]) / 8))


def decompose(
    f: FunctionText, operation: Operation, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Matrix by matrix; the last operand is a pointer to scratch memory if the operation takes any."""
    kind = operation.operands[0].type
    *lead, m, n = kind.shape
    way, library, batches = _way(operation), _library(operation), prod(lead)
    assert way is not None and library is not None
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
            element(f, pointer, kind.dtype, f.times(number, size)) for pointer, size in zip(results, sizes, strict=True)
        ]
        way.emit(_Matrix(f, library, kind.dtype, m, n, way, scratch, source, targets, number, failure))

    if batches == 1:
        one("0")
    else:
        count_loop(f, batches, one)


def _library(operation: Operation) -> BlasLibrary | None:
    way, kind = _way(operation), operation.operands[0].type
    names = [] if way is None else [routine.name for routine in way.routines]
    return library_with(names, kind.dtype, max(kind.shape[-2:]))


def _way(operation: Operation) -> _Way | None:
    make = _WAYS.get(type(operation.op))
    return None if make is None else make(operation.op, *operation.operands[0].type.shape[-2:])


def _scratch_sizes(operation: Operation, way: _Way, library: BlasLibrary) -> dict[str, int]:
    """Bytes of each scratch array, workspace included."""
    kind = operation.operands[0].type
    if kind.size == 0:
        return {}
    counts = dict(way.scratch)
    for routine in way.routines:
        asked = routine.workspace(kind.dtype, library)
        for name, size in ((WORK, WORK_SIZE), (INTEGERS, INTEGERS_SIZE)):
            if name in routine.operands:
                counts[name] = max(counts.get(name, 0), asked.get(size, 0))
    widths = dict.fromkeys((INTEGERS, "pivots"), integer_bytes(library))
    return {
        name: -(-count * widths.get(name, kind.dtype.itemsize) // ALIGNMENT) * ALIGNMENT for name, count in counts.items()
    }  # fmt: skip


def _cholesky(op: Op, m: int, n: int) -> _Way:
    """The lower triangle by rows is the upper one by columns, and so is L."""
    factor = Routine("potrf", "U", (n, "l", n))

    def emit(matrix: _Matrix) -> None:
        f, (target,), width = matrix.f, matrix.targets, matrix.dtype.itemsize
        copy_memory(f, target, matrix.source, n * n * width)
        matrix.check(matrix.call(factor, l=target))

        def row(i: str) -> None:
            diagonal = element(f, target, matrix.dtype, f.times(i, n + 1))
            rest = f.let(f"sub i64 {n - 1}, {i}")
            above = f.moved(diagonal, "i8", str(width))
            operands = (("ptr", above), ("i8", "0"), ("i64", f.times(rest, width)), ("i1", "false"))
            f.call("llvm.memset.p0.i64", "void", operands)

        if n > 1:
            count_loop(f, n - 1, row)

    return _Way((factor,), emit, 1 / 6)


def _slogdet(op: Op, m: int, n: int) -> _Way:
    """The sum of the logarithms of U's diagonal; the sign changes with each of its signs and each exchange of rows."""
    factors = Routine("getrf", "", (n, n, "a", n, "pivots"))

    def emit(matrix: _Matrix) -> None:
        f, (sign, log), dtype, a = matrix.f, matrix.targets, matrix.dtype, matrix.scratch["a"]
        kind, bits = memory_type(dtype, 1), f"i{8 * integer_bytes(matrix.library)}"
        s = LlvmScalarBuilder(f, 1, frozenset({Elementary.LOG}))
        turn(f, dtype, matrix.source, a, n, n)
        info = matrix.call(factors)
        store(f, sign, s.constant(dtype, 1), 1)
        store(f, log, s.constant(dtype, 0), 1)

        def entry(i: str) -> None:
            pivot = f.let(f"load {bits}, ptr {f.moved(matrix.scratch['pivots'], bits, i)}, align 4")
            row = f.let(f"sub {bits} {pivot}, 1")
            column = i if bits == "i64" else f.let(f"trunc i64 {i} to i32")
            each = load(f, element(f, a, dtype, f.times(i, n + 1)), dtype, 1)
            exchanged = f.let(f"icmp ne {bits} {row}, {column}")
            negative = f.let(f"fcmp olt {kind} {each.text}, 0.0")
            before = load(f, sign, dtype, 1)
            changes = Scalar(f.let(f"xor i1 {exchanged}, {negative}"), boolean)
            store(f, sign, s.select(changes, s.neg(before), before), 1)
            size = s.elementary(Elementary.LOG, s.select(Scalar(negative, boolean), s.neg(each), each))
            store(f, log, s.add(load(f, log, dtype, 1), size), 1)

        singular, regular, done = (f.fresh_label(hint) for hint in ("singular", "regular", "done"))
        f.emit(f"br i1 {f.let(f'icmp eq i64 {info}, 0')}, label %{regular}, label %{singular}")
        f.label(singular)
        store(f, sign, s.constant(dtype, 0), 1)
        store(f, log, s.constant(dtype, -inf), 1)
        f.emit(f"br label %{done}")
        f.label(regular)
        count_loop(f, n, entry)
        f.emit(f"br label %{done}")
        f.label(done)

    return _Way((factors,), emit, 1 / 3, {"a": n * n, "pivots": n})


_WAYS: Mapping[type[Op], Callable[[Op, int, int], _Way]] = MappingProxyType({
    Cholesky: _cholesky, SlogDet: _slogdet,
})  # fmt: skip
_OF_NOTHING: Mapping[type[Op], tuple[str, ...]] = MappingProxyType({SlogDet: ("1.0", "0.0")})
"""The results for matrices without elements, where these have any."""
