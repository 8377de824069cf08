"""Decompositions of matrices: Cholesky, LU for its determinant, QR, eigenvalues, singular values; and the pseudo-inverse.

They are computed by LAPACK's routines that NumPy calls: potrf, getrf, geqrf with orgqr, syevd, and gesdd.
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pullback.errors import DecompositionError, DTypeError, PullbackError, ShapeError, SingularError
from pullback.ir.core import Array, Builder, Op, Region, Sample, Value
from pullback.ir.ops.base import Term, arrays
from pullback.ir.ops.matrix_terms import (
    as_columns,
    as_diagonal,
    as_rows,
    diagonal,
    divided,
    gathered,
    identity,
    lower,
    mirrored,
    over_differences,
    product,
    solved,
    strictly_lower,
    terms,
    total,
    trace,
    turned,
)
from pullback.ir.registry import register
from pullback.ir.types import ArrayType
from pullback.location import UNKNOWN, Location

Values = tuple[Value, ...]
Maybe = tuple[Value | None, ...]


class Decomposition(Op):
    """One operand, a matrix or a stack of them; rules are linear algebra on all of the stack at once."""

    arity: ClassVar[int | None] = 1
    square: ClassVar[bool] = True

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        (a,) = types
        if not a.dtype.is_float:
            raise DTypeError(f"{self.name} takes a float dtype, not {a}")
        if a.rank < 2 or (self.square and a.dims[-1] != a.dims[-2]):
            raise ShapeError(f"{self.name}: {a} is no {'square ' if self.square else ''}matrix")
        return self.results(a)

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        """The types of the parts."""
        raise NotImplementedError

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        (a,) = operands
        try:
            return tuple(np.asarray(part) for part in self.parts(a))
        except np.linalg.LinAlgError:
            raise self.error(f"the matrix of {self.name}, {a.dtype}{list(a.shape)},") from None

    def parts(self, a: Array) -> tuple[Array, ...]:
        """The parts by NumPy. Raises: LinAlgError."""
        raise NotImplementedError

    def error(self, matrix: str, location: Location = UNKNOWN) -> PullbackError:
        """What is raised for a matrix that cannot be decomposed; `matrix` begins the message."""
        return DecompositionError(f"{matrix} cannot be decomposed by {self.name}: the iteration does not converge",
                                  location=location, help="look for NaN and infinity in it")  # fmt: skip

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        """Tangents of the parts, from the operand's."""
        raise NotImplementedError

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        """The operand's cotangent, from those of the parts, None being zero."""
        raise NotImplementedError

    def jvp(self, b: Builder, operands: Values, results: Values, tangents: Maybe) -> Maybe:
        if tangents[0] is None:
            return (None,) * len(results)
        parts = [Term(b, part) for part in results]
        found = self.push(Term(b, operands[0]), parts, Term(b, b.keep_zeros(tangents[0])))
        return tuple([None if each is None else each.value for each in found])

    def pullback(self, b: Builder, operands: Values, results: Values, cotangents: Maybe) -> Maybe:
        found = self.pull(Term(b, operands[0]), [Term(b, part) for part in results], terms(b, *cotangents))
        return (None if found is None else found.value,)

    def batch(self, b: Builder, operands: Values, batched: tuple[bool, ...], size: int) -> Values | None:
        return b.emit(self, *operands).results


def _definite(*shape: int, seed: int = 3) -> Array:
    """Symmetric positive definite matrices with eigenvalues well apart."""
    (x,) = arrays(shape, seed=seed)
    return np.asarray(x @ np.swapaxes(x, -1, -2) / 4 + np.diag(1.0 + np.arange(shape[-1])))


@register
class Cholesky(Decomposition):
    """The lower triangular L with ``L Lᵀ = A``: ``f[..., n, n] -> f[..., n, n]``. Reads the lower triangle of A.

    A matrix that is not positive definite is an error. I. Murray, Differentiation of the Cholesky decomposition,
    arXiv:1602.07527, section 3. The cotangent is that of the lower triangle's elements; zeros above.
    """

    name: ClassVar[str] = "cholesky"

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        return (a,)

    def parts(self, a: Array) -> tuple[Array, ...]:
        return (np.linalg.cholesky(a),)

    def error(self, matrix: str, location: Location = UNKNOWN) -> PullbackError:
        return SingularError(f"{matrix} is not positive definite", location=location,
                             help="check what it is made of, or add a small multiple of the identity matrix")  # fmt: skip

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        (low,) = parts
        inner = divided(solved(low, mirrored(dot)), low, turn=True)
        return (product(low, _halved(inner)),)

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        (low,), (bar,) = parts, bars
        if bar is None:
            return None
        inner = _halved(product(low, bar, turn_x=True))
        return gathered(divided(solved(low, inner, turn=True), low))

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 4, 4), (1, 1), (20, 20), (2, 2, 2, 2)):
            yield Sample(cls(), (_definite(*shape),))
        yield Sample(cls(), (_definite(3, 3).astype(np.float32),))
        yield Sample(cls(), (np.zeros((0, 2, 2)),), False)


def _halved(x: Term) -> Term:
    """The lower triangle with half of the diagonal."""
    return (lower(x) + strictly_lower(x)) * 0.5


@register
class SlogDet(Decomposition):
    """Sign and logarithm of the absolute value of the determinant: ``f[..., n, n] -> f[...], f[...]``.

    0 and -inf for a singular matrix, which has no derivative here. M. B. Giles, 2008 (see `Solve`), section 2.2.3.
    """

    name: ClassVar[str] = "slogdet"

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        return (a.with_shape(a.dims[:-2]),) * 2

    def parts(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.slogdet(a))

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        return None, trace(solved(a, dot))

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        bar = bars[1]
        if bar is None:
            return None
        n = a.value.type.shape[-1]
        return solved(a, as_diagonal(as_columns(bar, n)), turn=True)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 4, 4), (1, 1), (20, 20)):
            (x,) = arrays(shape)
            yield Sample(cls(), (x + 3 * np.eye(shape[-1])[::-1],))
        yield Sample(cls(), (_definite(3, 3).astype(np.float32),))
        yield Sample(cls(), (np.zeros((2, 2)),), False)


@register
@dataclass(frozen=True)
class Eigh(Decomposition):
    """Eigenvalues in rising order, and eigenvectors in columns: ``f[..., n, n] -> f[..., n], f[..., n, n]``.

    Reads one triangle of a symmetric matrix, and the cotangent is that of its elements. Derivatives of the vectors are
    infinite or NaN where eigenvalues are equal, and hold for vectors whose sign stays. M. B. Giles, 2008 (see `Solve`),
    section 3.1.
    """

    name: ClassVar[str] = "eigh"
    upper: bool = False

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        return a.with_shape(a.dims[:-1]), a

    def parts(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.eigh(a, "U" if self.upper else "L"))

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        values, vectors = parts
        inner = product(vectors, product(mirrored(turned(dot) if self.upper else dot), vectors), turn_x=True)
        return diagonal(inner), product(vectors, over_differences(values) * inner)

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        values, vectors = parts
        of_values = None if bars[0] is None else as_diagonal(bars[0])
        of_vectors = None if bars[1] is None else over_differences(values) * product(vectors, bars[1], turn_x=True)
        inner = total(of_values, of_vectors)
        if inner is None:
            return None
        found = gathered(product(product(vectors, inner), vectors, turn_y=True))
        return turned(found) if self.upper else found

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 4, 4), (1, 1), (7, 7)):
            yield Sample(cls(), (_definite(*shape),))
        yield Sample(cls(True), (_definite(3, 3) + np.tril(arrays((3, 3))[0], -1),))
        yield Sample(cls(), (_definite(3, 3).astype(np.float32),))


@register
class Svd(Decomposition):
    """The reduced singular value decomposition ``U diag(s) Vᵀ``: ``f[..., m, n] -> f[..., m, k], f[..., k], f[..., k, n]``.

    k is the smaller of m and n; s falls. Derivatives of U and V are infinite or NaN where singular values are equal,
    those of the longer one also where one is zero. J. Townsend, Differentiating the singular value decomposition, 2016.
    """

    name: ClassVar[str] = "svd"
    square: ClassVar[bool] = False

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        *lead, m, n = a.shape
        k = min(m, n)
        return a.with_shape((*lead, m, k)), a.with_shape((*lead, k)), a.with_shape((*lead, k, n))

    def parts(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.svd(a, full_matrices=False))

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        u, s, v = parts
        m, n = a.value.type.shape[-2:]
        k = min(m, n)
        inner = product(product(u, dot, turn_x=True), v, turn_y=True)
        by_column, by_row = inner * as_rows(s, k), inner * as_columns(s, k)
        gaps = over_differences(s * s)
        u_dot = product(u, gaps * (by_column + turned(by_column)))
        v_dot = product(gaps * (by_row + turned(by_row)), v, turn_x=True)
        if m > n:
            u_dot = u_dot + (product(dot, v, turn_y=True) - product(u, inner)) / as_rows(s, m)
        elif n > m:
            v_dot = v_dot + (product(u, dot, turn_x=True) - product(inner, v)) / as_columns(s, n)
        return u_dot, diagonal(inner), v_dot

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        u, s, v = parts
        u_bar, s_bar, v_bar = bars
        m, n = a.value.type.shape[-2:]
        k = min(m, n)
        inner = None if s_bar is None else as_diagonal(s_bar)
        if u_bar is not None:
            left = over_differences(s * s) * product(u, u_bar, turn_x=True)
            inner = total(inner, (left + turned(left)) * as_rows(s, k))
        if v_bar is not None:
            right = over_differences(s * s) * product(v, v_bar, turn_y=True)
            inner = total(inner, (right + turned(right)) * as_columns(s, k))
        if inner is None:
            return None
        found = product(product(u, inner), v)
        if u_bar is not None and m > n:
            outside = u_bar / as_rows(s, m)
            found = found + product(outside - product(u, product(u, outside, turn_x=True)), v)
        if v_bar is not None and n > m:
            outside = v_bar / as_columns(s, n)
            found = found + product(u, outside - product(product(outside, v, turn_y=True), v))
        return found

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 4, 3), (1, 1), (3, 5), (5, 1)):
            (x,) = arrays(shape)
            yield Sample(cls(), (x + 3 * np.eye(*shape[-2:]) * np.arange(1, shape[-1] + 1),))
        yield Sample(cls(), (_definite(3, 3).astype(np.float32),))


@register
class Qr(Decomposition):
    """``A = Q R``, Q with orthonormal columns, R upper triangular: ``f[..., m, n] -> f[..., m, n], f[..., n, n]``, m >= n.

    S. F. Walter, L. Lehmann, R. Lamour, On evaluating higher-order derivatives of the QR decomposition of tall
    matrices, 2012; reverse mode by M. Seeger et al., Auto-differentiating linear algebra, arXiv:1710.08717.
    """

    name: ClassVar[str] = "qr"
    square: ClassVar[bool] = False

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        *lead, m, n = a.shape
        if m < n:
            raise ShapeError(f"qr: {a} has more columns than rows")
        return a, a.with_shape((*lead, n, n))

    def parts(self, a: Array) -> tuple[Array, ...]:
        return tuple(np.linalg.qr(a))

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        q, r = parts
        moved = divided(dot, r)
        inner = product(q, moved, turn_x=True)
        below = strictly_lower(inner)
        turn = below - turned(below)
        return product(q, turn - inner) + moved, product(inner - turn, r)

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        q, r = parts
        q_bar, r_bar = bars
        inner = total(
            None if r_bar is None else product(r, r_bar, turn_y=True),
            None if q_bar is None else -product(q_bar, q, turn_x=True),
        )
        if inner is None:
            return None
        found = total(q_bar, product(q, mirrored(inner)))
        assert found is not None
        return divided(found, r, turn=True)

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 4, 3), (1, 1), (5, 1)):
            (x,) = arrays(shape)
            yield Sample(cls(), (x + 3 * np.eye(*shape[-2:]),))
        yield Sample(cls(), (_definite(3, 3).astype(np.float32),))


@register
@dataclass(frozen=True)
class Pinv(Decomposition):
    """The pseudo-inverse of Moore and Penrose: ``f[..., m, n] -> f[..., n, m]``.

    Singular values up to `cutoff` times the largest are taken to be 0. The derivative holds where the rank stays the
    same. G. H. Golub, V. Pereyra, The differentiation of pseudo-inverses and nonlinear least squares problems, 1973.
    """

    name: ClassVar[str] = "pinv"
    square: ClassVar[bool] = False
    cutoff: float = 1e-15

    def results(self, a: ArrayType) -> tuple[ArrayType, ...]:
        *lead, m, n = a.shape
        return (a.with_shape((*lead, n, m)),)

    def parts(self, a: Array) -> tuple[Array, ...]:
        return (np.linalg.pinv(a, rcond=self.cutoff),)

    def push(self, a: Term, parts: list[Term], dot: Term) -> tuple[Term | None, ...]:
        (p,) = parts
        left, right = product(p, p, turn_y=True), product(p, p, turn_x=True)
        beside, within = self._projections(a, p)
        return (
            -product(product(p, dot), p)
            + product(product(left, dot, turn_y=True), beside)
            + product(product(within, dot, turn_y=True), right),
        )

    def pull(self, a: Term, parts: list[Term], bars: list[Term | None]) -> Term | None:
        (p,), (bar,) = parts, bars
        if bar is None:
            return None
        left, right = product(p, p, turn_y=True), product(p, p, turn_x=True)
        beside, within = self._projections(a, p)
        return (
            -product(product(p, bar, turn_x=True), p, turn_y=True)
            + product(product(beside, bar, turn_y=True), left)
            + product(product(right, bar, turn_y=True), within)
        )

    @staticmethod
    def _projections(a: Term, p: Term) -> tuple[Term, Term]:
        """1 - A A⁺ and 1 - A⁺ A."""
        outer, inner = product(a, p), product(p, a)
        return identity(outer) - outer, identity(inner) - inner

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        for shape in ((3, 3), (2, 4, 3), (1, 1), (3, 5), (5, 1)):
            (x,) = arrays(shape)
            yield Sample(cls(), (x + 3 * np.eye(*shape[-2:]),))
        yield Sample(cls(), (_definite(3, 3).astype(np.float32),))
