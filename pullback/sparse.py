"""Sparse Jacobians and Hessians: a compiled function's arguments in, ``scipy.sparse.csr_array`` out.

The first call for a kind of arguments finds the pattern from the IR and colours it; later ones are one native call.
"""
from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pullback.colouring import Plan, plan, symmetric_plan
from pullback.compressed import Compressed, common_dtype
from pullback.config import log
from pullback.dispatch import Dispatcher, Specialization, call_spec
from pullback.errors import DerivativeError, MissingPackageError
from pullback.ir.ad.forward import pushforward
from pullback.ir.analysis.dependence import dependence
from pullback.ir.analysis.pattern import Pattern
from pullback.ir.core import walk
from pullback.ir.ops.custom import CustomCall
from pullback.ir.passes.dce import dce
from pullback.ir.passes.pipeline import simplify
from pullback.location import caller
from pullback.tracer.leaf import Leaf
from pullback.tracer.tensor_mark import IsTensor
from pullback.tracer.trace import Trace, find_recorder, leaf_names, trace
from pullback.tracer.tree import LEAF, Structure, flatten, unflatten
from pullback.transforms import Argnums, float_results, leaf_positions, nested, some_results, split_output

if TYPE_CHECKING:
    from pullback.ir.types import ArrayType

Array = np.ndarray[Any, Any]
Prepare = Callable[[tuple[Any, ...], dict[str, Any]], tuple[Callable[..., Any], Argnums]]
"""From a call's arguments to the function to trace, and by which of the arguments that are traced it is differentiated."""
MOST_ELEMENTS = 500_000_000
"""Elements of all products together, beyond which the matrix counts as not sparse."""


def require_scipy() -> Any:
    """SciPy's ``sparse``. Raises: MissingPackageError that says how to get it."""
    try:
        from scipy import sparse
    except ImportError:
        raise MissingPackageError(
            "sparse derivatives need SciPy, which is not installed", location=caller(), help="pip install scipy"
        ) from None
    return sparse


@dataclass(frozen=True)
class Block:
    """The derivatives of one result by one argument: its entries' place among all, and their index arrays."""

    start: int
    stop: int
    shape: tuple[int, int]
    bounds: Array
    columns: Array
    dtype: np.dtype[Any]

    def matrix(self, sparse: Any, entries: Array) -> Any:
        """The matrix, which shares nothing with others."""
        data = entries[self.start : self.stop].astype(self.dtype)
        made = sparse.csr_array((data, self.columns.copy(), self.bounds.copy()), shape=self.shape)
        made.has_canonical_format = True
        return made


@dataclass
class SparseSpecialization(Specialization):
    """A sparse derivative compiled for one kind of arguments, and for what its pattern rests on."""

    pattern: Pattern
    plan: Plan
    blocks: list[list[Block]]
    rests_on: list[tuple[int | Array, Array]]
    """Leaves (by number) and captured arrays that the pattern was read from, with what they held."""
    wrap: Callable[[list[list[Any]], Sequence[Any]], Any]
    renew: Callable[[Sequence[Any]], SparseSpecialization]

    def call(self, values: Sequence[Any]) -> Any:
        if not all(_same(_elements(values, place), held) for place, held in self.rests_on):
            # Other indices than those that the pattern was found for: everything is found again, and kept instead.
            self.__dict__.update(self.renew(values).__dict__)
        entries, *after = super().call(values)
        sparse = require_scipy()
        return self.wrap([[block.matrix(sparse, entries) for block in row] for row in self.blocks], after)


def _elements(values: Sequence[Any], place: int | Array) -> Array:
    return np.asarray(values[place] if isinstance(place, int) else place)


def _same(array: Array, held: Array) -> bool:
    return np.array_equal(array, held, equal_nan=held.dtype.kind == "f")


@dataclass(eq=False)
class SparseDispatcher(Dispatcher):
    """One sparse derivative of a function: its Jacobian, or with `is_hessian` that of its gradient."""

    prepare: Prepare | None = None
    has_aux: bool = False
    is_hessian: bool = False

    def miss(self, *args: Any, **kwargs: Any) -> Any:
        """As for dense derivatives. Raises: DerivativeError inside a trace and for tensors, which hold no matrices of SciPy."""
        leaves = flatten((args, kwargs))[0]
        if find_recorder(leaves) is not None or any(isinstance(leaf, IsTensor) for leaf in leaves):
            raise DerivativeError(
                "sparse derivatives are made of arrays, outside of compiled functions", location=caller(),
                help="sparse=False can be compiled and recorded, products (jvp, vjp, hvp) too",
            )  # fmt: skip
        require_scipy()
        return super().miss(*args, **kwargs)

    def specialize(
        self, leaves: tuple[Leaf, ...], structure: Structure, args: Any, kwargs: Any, static: Any
    ) -> Specialization:
        """Trace, find the pattern, colour it, compile."""
        reason = self._reason(leaves, static)
        self.reasons.append(reason)
        log("recompile", "%s: %s", self.name, reason)
        assert self.prepare is not None
        fun, argnums = self.prepare(args, kwargs)
        dynamic, dynamic_kwargs, _ = self.split(args, kwargs)
        names = leaf_names(() if self.signature is None or static else tuple(self.signature.parameters), structure)
        traced = trace(fun, leaves, structure, name=self.name, names=names)
        return self._make(traced, argnums, structure, flatten((dynamic, dynamic_kwargs))[0])

    def _make(
        self, traced: Trace, argnums: Argnums, structure: Structure, values: Sequence[Any]
    ) -> SparseSpecialization:
        # Code generation is loaded by the first call: importing the package stays cheap.
        from pullback.compiler import compile_function, native_entry

        started = time.perf_counter()
        output, aux = split_output(traced, self.has_aux)
        types = float_results(traced, output, self.name)
        positions = leaf_positions(traced.leaves, structure, argnums)
        # Rules of the user's own need not be derivatives of anything: their Hessian need not be symmetric.
        has_rules = any(isinstance(operation.op, CustomCall) for operation in walk(traced.function.body))
        matrix = _Matrix(traced, types, positions, self.is_hessian and not has_rules)
        pattern, watched = matrix.pattern(values)
        chosen, blocks = matrix.divided(pattern)
        compressed = Compressed(some_results(traced, len(types)), positions, chosen, matrix.dtype)
        whole = compressed.build(traced.function)
        after = Structure(tuple, (), (LEAF,) * len(whole.result_types))
        compiled = Trace(whole, traced.leaves, traced.lifted, after)
        call = call_spec(compiled)
        executable = compile_function(whole, call)

        def renew(new_values: Sequence[Any]) -> SparseSpecialization:
            self.reasons.append("other elements in arrays that the pattern rests on")
            return self._make(traced, argnums, structure, new_values)

        def wrap(found: list[list[Any]], others: Sequence[Any]) -> Any:
            result = unflatten(output, [nested(structure, argnums, row) for row in found])
            return result if aux is None else (result, unflatten(aux, others))

        rests_on = [(place, _elements(values, place).copy()) for place in watched]
        log("trace", "%s: %d entries in %s by %d forward and %d reverse products", self.name, pattern.count, pattern.shape,
            chosen.columns, chosen.rows)  # fmt: skip
        entry = native_entry(executable, call, self.miss, self.name, self.doc)
        return SparseSpecialization(
            compiled, executable, entry, after, False, False, entry, time.perf_counter() - started, pattern=pattern,
            plan=chosen, blocks=blocks, rests_on=rests_on, wrap=wrap, renew=renew,
        )  # fmt: skip


@dataclass
class _Matrix:
    """The matrix of all derivatives of a trace's leading results, of these types, by the leaves at `positions`."""

    traced: Trace
    types: tuple[ArrayType, ...]
    positions: list[int]
    is_symmetric: bool

    @cached_property
    def sources(self) -> list[ArrayType]:
        return [self.traced.leaves[position].type for position in self.positions]

    @property
    def dtype(self) -> Any:
        """That of the entries as they are computed."""
        return common_dtype([*self.types, *self.sources])

    def pattern(self, values: Sequence[Any]) -> tuple[Pattern, list[int | Array]]:
        """Where there may be entries, found from the function's pushforward: what depends on which tangent.

        And the leaves (by number) and captured arrays whose elements were looked at for that.

        Raises: DerivativeError for a matrix that is not sparse.
        """
        derived = pushforward(some_results(self.traced, len(self.types)), self.positions, keep_values=False)
        dce(derived)
        simplify(derived)
        count = len(self.traced.leaves)
        known: list[Array | None] = [None if k in self.positions else np.asarray(values[k]) for k in range(count)]
        inputs = range(count, count + len(self.positions))
        arguments = [*known, *[None] * len(inputs), *derived.captured]
        found = dependence(derived, inputs, arguments)
        watched = [root if root < count else arguments[root] for root in sorted(found.roots)]  # tangents are never known
        known_only = [each for each in watched if each is not None]
        return found.symmetric if self.is_symmetric else found, known_only

    def divided(self, pattern: Pattern) -> tuple[Plan, list[list[Block]]]:
        """How the entries are found, block after block, and the blocks: a row of them per result."""
        chosen = symmetric_plan(pattern) if self.is_symmetric else plan(pattern)
        most = max(chosen.columns, chosen.rows) * max(pattern.shape)
        if most > MOST_ELEMENTS:
            raise DerivativeError(
                f"the derivative is not sparse: {pattern.count} entries in {pattern.shape[0]} x {pattern.shape[1]} take "
                f"{chosen.columns} forward and {chosen.rows} reverse products", location=caller(),
                help="use products with it (jvp, vjp, hvp)",
            )  # fmt: skip
        row_starts, column_starts = (np.cumsum([0, *(kind.size for kind in kinds)]) for kinds in (self.types, self.sources))
        # The block of each entry; of empty ones the last, as the entry lies in what follows.
        down = np.searchsorted(row_starts, pattern.rows, "right") - 1
        across = np.searchsorted(column_starts, pattern.columns, "right") - 1
        number = down * len(self.sources) + across
        order = np.argsort(number, kind="stable")
        ends = np.cumsum(np.bincount(number, minlength=len(self.types) * len(self.sources)))
        blocks: list[list[Block]] = []
        for k, result in enumerate(self.types):
            blocks.append([])
            for j, source in enumerate(self.sources):
                stop = int(ends[k * len(self.sources) + j])
                start = stop - int(np.count_nonzero(number == k * len(self.sources) + j))
                inside = order[start:stop]
                lengths = np.bincount(pattern.rows[inside] - row_starts[k], minlength=result.size)
                bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(_index_dtype(pattern))
                columns = (pattern.columns[inside] - column_starts[j]).astype(_index_dtype(pattern))
                blocks[-1].append(Block(start, stop, (result.size, source.size), bounds, columns, result.dtype.numpy))
        return Plan(chosen.column_colours, chosen.row_colours, chosen.source[order]), blocks


def _index_dtype(pattern: Pattern) -> Any:
    return np.int32 if max(pattern.count, *pattern.shape) < 2**31 else np.int64
