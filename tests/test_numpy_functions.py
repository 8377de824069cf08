"""NumPy's functions, compiled, are NumPy's own: dtype, shape, values, in the forms that people call them in."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import overrides
from numpy_support import agree

import pullback as pb
from pullback.errors import TraceError
from pullback.tracer import assign
from pullback.tracer.chosen.array import CHOOSING
from pullback.tracer.chosen.array import FUNCTIONS as OF_CHOSEN
from pullback.tracer.numpy_functions.table import FUNCTIONS

R = np.random.default_rng(8)
X = R.uniform(-2, 2, (3, 4))
Y = R.uniform(0.5, 2, (4,))
T = R.uniform(-1, 1, (2, 3, 4))
N = R.integers(-5, 9, (3, 4))
U = R.integers(0, 250, (3, 4)).astype(np.uint8)
B = R.uniform(size=(3, 4)) > 0.4
S = np.float64(1.25)
E = np.zeros((0, 3))
NAN = np.array([[1.0, np.nan, -2.0, 0.5], [np.nan, np.nan, np.nan, 3.0], [0.0, 1.0, 2.0, -0.5]])
MASK = np.array([[True, False, True, True], [False, True, False, True], [True, True, True, False]])
SORTED = np.array([-1.5, -0.5, 0.0, 0.0, 0.75, 1.5])

Case = Callable[..., Any]
# Each case takes (x, y, t, n, u, b, s, e, w): f64[3,4], f64[4], f64[2,3,4], i64[3,4], u8[3,4], bool[3,4], a NumPy
# scalar, an empty array, and f64[3,4] with NaN.
CASES: dict[str, list[Case]] = {
    "sum": [
        lambda x, *_: np.sum(x), lambda x, *_: x.sum(0), lambda x, *_: np.sum(x, axis=-1, keepdims=True),
        lambda x, y, t, *_: np.sum(t, (0, -1)), lambda x, *_: np.sum(x, axis=()), lambda x, *_: np.sum(x, where=MASK),
        lambda x, *_: np.sum(x, axis=1, initial=3), lambda x, *_: np.sum(x, dtype=np.float32),
        lambda x, y, t, n, u, b, s, e, w: (np.sum(n), np.sum(u), np.sum(u, dtype=np.uint8), np.sum(b), np.sum(b, 0)),
        lambda x, y, t, n, u, b, s, e, w: (np.sum(e), np.sum(e, 0), np.sum(e, 1), np.sum(s), np.sum(b, dtype=bool)),
        lambda x, y, t, n, u, b, s, *_: (np.sum(s, 0), np.max(s, -1), np.argmax(s, 0), np.cumsum(s, 0)),
        lambda x, y, t, n, u, b, s, *_: (np.any(s, 0), np.add.reduce(s), np.logaddexp.reduce(s), np.repeat(s, 2, -1),
                                         np.take(s, [0, 0], 0), np.argsort(s)),
        lambda x, y, t, n, u, b, *_: np.sum(x, where=b, axis=0), lambda x, *_: np.sum(x.astype(np.float32), 0),
    ],
    "prod": [
        lambda x, *_: np.prod(x), lambda x, *_: x.prod(1, keepdims=True), lambda x, *_: np.prod(x, where=MASK, initial=2),
        lambda x, y, t, n, u, b, s, e, w: (np.prod(n, 0), np.prod(u), np.prod(b), np.prod(e), np.prod(e, 0)),
        lambda x, y, t, n, u, b, *_: (np.prod(b, dtype=bool), np.prod(u, 0, dtype=np.int16)),
    ],
    "mean": [
        lambda x, *_: np.mean(x), lambda x, *_: x.mean(0), lambda x, *_: np.mean(x, (0, 1), keepdims=True),
        lambda x, y, t, n, u, b, *_: (np.mean(n), np.mean(u, 0), np.mean(b), np.mean(x, where=b), np.mean(n, where=b)),
        lambda x, y, t, n, *_: (np.mean(x, dtype=np.float32), np.mean(n, dtype=np.float32), np.mean(x, dtype=int)),
        lambda x, *_: (np.mean(x.astype(np.float32)), np.mean(x.astype(np.float32), 1, where=MASK)),
    ],
    "var": [
        lambda x, *_: np.var(x), lambda x, *_: x.var(0, ddof=1), lambda x, *_: np.var(x, axis=1, keepdims=True),
        lambda x, y, t, n, u, b, *_: (np.var(n), np.var(u, 0), np.var(b), np.var(x, where=b), np.var(x, 0, where=MASK)),
        lambda x, *_: np.var(x, 0, ddof=3), lambda x, *_: np.var(x, 0, mean=np.mean(x, 0, keepdims=True)),
        lambda x, *_: (np.var(x, correction=1), np.var(x.astype("f4")), np.var(x, dtype="f4", axis=0)),
        lambda x, *_: np.var(x, 0, ddof=1, where=MASK, keepdims=True),
    ],
    "std": [
        lambda x, *_: np.std(x), lambda x, *_: x.std(-1, ddof=1), lambda x, *_: np.std(x, (0, 1), keepdims=True),
        lambda x, y, t, n, u, b, *_: (np.std(n), np.std(u, 0), np.std(x, where=b)),
    ],
    "max": [
        lambda x, *_: (np.max(x), x.max(0), np.amax(x, 1, keepdims=True), np.max(x, initial=9.0), np.max(x, 0, initial=-9)),
        lambda x, y, t, n, u, b, s, e, w: (np.max(n), np.max(u, 0), np.max(b, 1), np.max(e, 0, initial=1.5), np.max(w, 0)),
        lambda x, y, t, *_: (np.max(t, (0, 2)), np.max(x, where=MASK, initial=-5), np.max(x, axis=())),
    ],
    "min": [
        lambda x, *_: (np.min(x), x.min(0), np.amin(x, 1, keepdims=True), np.min(x, initial=-9.0)),
        lambda x, y, t, n, u, b, s, e, w: (np.min(n), np.min(u, 0), np.min(b, 1), np.min(w, 1), np.min(e, 0, initial=2)),
        lambda x, *_: np.min(x, axis=0, where=MASK, initial=5.0),
    ],
    "any": [
        lambda x, y, t, n, u, b, *_: (np.any(b), b.any(0), np.any(x, 1, keepdims=True), np.any(n), np.any(b, where=MASK)),
        lambda x, y, t, n, u, b, s, e, w: (np.any(e), np.any(e, 0), np.any(w, 0)),
    ],
    "all": [
        lambda x, y, t, n, u, b, *_: (np.all(b), b.all(0), np.all(x, (0, 1), keepdims=True), np.all(n, 1)),
        lambda x, y, t, n, u, b, s, e, w: (np.all(e), np.all(e, 0), np.all(b, 0, where=MASK)),
    ],
    "argmax": [
        lambda x, *_: (np.argmax(x), x.argmax(0), np.argmax(x, 1, keepdims=True), np.argmax(x, keepdims=True)),
        lambda x, y, t, n, u, b, s, e, w: (np.argmax(n, -1), np.argmax(u), np.argmax(b, 1), np.argmax(w, 0)),
    ],
    "argmin": [
        lambda x, *_: (np.argmin(x), x.argmin(1), np.argmin(x, 0, keepdims=True)),
        lambda x, y, t, n, u, b, s, e, w: (np.argmin(n, -1), np.argmin(u), np.argmin(b), np.argmin(w)),
    ],
    "counting": [
        lambda x, y, t, n, u, b, *_: (np.count_nonzero(b), np.count_nonzero(n, 0), np.count_nonzero(x, 1, keepdims=True)),
        lambda x, y, t, n, *_: (np.ptp(x), np.ptp(n, 0), np.ptp(x, 1, keepdims=True)),
    ],
    "average": [
        lambda x, y, *_: (np.average(x), np.average(x, 1, y), np.average(x, weights=np.abs(x)), np.average(x, 0)),
        lambda x, y, *_: (np.average(x, axis=1, weights=y, returned=True), np.average(x, returned=True)),
        lambda x, y, t, n, *_: (np.average(n, 0), np.average(n, 1, weights=[1, 2, 3, 4]), np.average(x, 1, y, keepdims=True)),
        lambda x, y, t, *_: np.average(t, axis=(2, 0), weights=np.arange(8.0).reshape(4, 2) + 1),
    ],
    "nan": [
        lambda x, y, t, n, u, b, s, e, w: (np.nansum(w), np.nansum(w, 0), np.nanprod(w, 1), np.nansum(n), np.nansum(w, 1)),
        lambda x, y, t, n, u, b, s, e, w: (np.nanmax(w), np.nanmin(w, 0), np.nanmax(w, 1, keepdims=True), np.nanmax(n, 0)),
        lambda x, y, t, n, u, b, s, e, w: (np.nanmean(w), np.nanmean(w, 0), np.nanmean(n), np.nanmean(w, 1, keepdims=True)),
        lambda x, y, t, n, u, b, s, e, w: (np.nanvar(w), np.nanvar(w, 0, ddof=1), np.nanstd(w, 1), np.nanstd(w, 0)),
        lambda x, y, t, n, u, b, s, e, w: (np.nanargmax(w), np.nanargmin(w, 1), np.nancumsum(w), np.nancumprod(w, 0)),
        lambda x, y, t, n, u, b, s, e, w: (np.nansum(w, where=MASK), np.nanmean(w, where=MASK), np.nanmax(w, 0, initial=0)),
    ],
    "cumulative": [
        lambda x, *_: (np.cumsum(x), x.cumsum(0), np.cumsum(x, -1), np.cumprod(x), x.cumprod(1)),
        lambda x, y, t, n, u, b, *_: (np.cumsum(n, 0), np.cumsum(u), np.cumsum(b, 1), np.cumprod(u, 0, dtype=np.uint8)),
        lambda x, y, t, n, u, b, s, e, w: (np.cumsum(e), np.cumsum(e, 0), np.cumsum(x, dtype=np.float32), np.cumsum(s)),
    ],
    "differences": [
        lambda x, y, *_: (np.diff(x), np.diff(x, axis=0), np.diff(y, 2), np.diff(y, 0), np.diff(y, 5)),
        lambda x, y, t, n, u, b, *_: (np.diff(n), np.diff(u), np.diff(b), np.diff(y, prepend=0.0, append=[1.0, 2.0])),
        lambda x, y, *_: (np.diff(x, axis=0, prepend=0), np.diff(x, append=x[:, :2]), np.ediff1d(x), np.ediff1d(y, 9, 8)),
        lambda x, y, t, n, *_: (np.ediff1d(n, to_begin=[1, 2]), np.ediff1d(x, to_end=y)),
    ],
    "integrals": [
        lambda x, y, *_: (np.trapezoid(y), np.trapezoid(x, axis=0), np.trapezoid(x, dx=0.5), np.trapezoid(x, y)),
        lambda x, y, t, n, *_: (np.trapezoid(n), np.trapezoid(y, np.cumsum(np.abs(y))), np.trapezoid(x, np.abs(x), axis=1)),
        lambda x, y, t, *_: (np.gradient(y), np.gradient(x), np.gradient(x, 0.5, axis=1), np.gradient(t, axis=(2, 0))),
        lambda x, y, t, n, *_: (np.gradient(y, [0.0, 1.0, 3.0, 3.5]), np.gradient(n), np.gradient(x, 2.0, 0.1)),
        lambda x, y, *_: (np.gradient(y, edge_order=2), np.gradient(y, [0.0, 1.0, 3.0, 3.5], edge_order=2)),
        lambda x, y, *_: (np.gradient(x.astype(np.float32)), np.unwrap(x * 4), np.unwrap(x * 9, axis=0, period=3.0)),
    ],
    "statistics": [
        lambda x, y, t, n, *_: (np.cov(x), np.cov(x, rowvar=False), np.cov(y), np.cov(n, bias=True), np.cov(x, ddof=0)),
        lambda x, y, *_: (np.cov(x[0], x[1]), np.corrcoef(x), np.corrcoef(x[0], y), np.cov(x.astype("f4"))),
    ],
    "norms": [
        lambda x, y, t, n, *_: (np.linalg.norm(x), np.linalg.norm(y), np.linalg.norm(n), np.linalg.norm(x, axis=1)),
        lambda x, y, *_: [np.linalg.norm(y, p) for p in (1, 2, 3, 0, np.inf, -np.inf, 0.5, -1, 2.5)],
        lambda x, *_: [np.linalg.norm(x, p) for p in ("fro", 1, -1, np.inf, -np.inf)],
        lambda x, y, t, *_: [np.linalg.norm(t, p, (2, 0)) for p in ("fro", 1, -1, np.inf, None)],
        lambda x, y, t, *_: (np.linalg.norm(x, axis=0, keepdims=True), np.linalg.norm(t, axis=(0, 1), keepdims=True)),
        lambda x, y, t, *_: (np.linalg.norm(t, 1, axis=(0, 2), keepdims=True), np.linalg.norm(x.astype("f4"))),
        lambda x, y, t, *_: (np.linalg.vector_norm(t), np.linalg.vector_norm(t, axis=(0, 2), ord=3, keepdims=True)),
        lambda x, y, t, *_: (np.linalg.matrix_norm(t), np.linalg.matrix_norm(t, ord=1, keepdims=True)),
    ],
    "reshape": [
        lambda x, y, t, *_: (x.reshape(12), x.reshape(2, -1), np.reshape(t, (4, 6)), t.reshape((-1,)), x.ravel()),
        lambda x, y, t, n, u, b, s, e, w: (e.reshape(3, 0), x.reshape(np.int64(6), 2), s.reshape(1, 1), t.flatten()),
        lambda x, y, t, *_: (np.expand_dims(x, 1), np.expand_dims(x, (0, -1)), x[None].squeeze(), np.squeeze(x[:1], 0)),
        lambda x, y, t, n, u, b, s, *_: (np.atleast_1d(s), np.atleast_2d(y, s), np.atleast_3d(y), np.atleast_3d(x, t)),
        lambda x, y, t, *_: (np.resize(x, (2, 3)), np.resize(y, 10), np.ravel(x, order="K"), x.flat[3]),
    ],
    "transpose": [
        lambda x, y, t, *_: (x.T, t.T, t.mT, t.transpose(1, 2, 0), np.transpose(t, [2, 0, 1]), t.transpose((0, 2, 1)), y.T),
        lambda x, y, t, *_: (np.swapaxes(t, 0, -1), t.swapaxes(1, 2), np.moveaxis(t, 0, -1), np.moveaxis(t, [0, 1], [-1, 0])),
        lambda x, y, t, *_: (np.rollaxis(t, 2), np.rollaxis(t, 0, 3), np.rollaxis(t, -1, 1), np.permute_dims(t, (1, 0, 2))),
        lambda x, y, t, *_: (np.matrix_transpose(t), np.linalg.matrix_transpose(x), np.moveaxis(t, -1, 0)),
    ],
    "flip": [
        lambda x, y, t, *_: (np.flip(x), np.flip(t, (0, 2)), np.flip(t, 1), np.fliplr(x), np.flipud(x), np.flip(y, -1)),
        lambda x, y, t, *_: [np.rot90(x, k) for k in range(-1, 4)] + [np.rot90(t, 1, (2, 0))],
        lambda x, y, t, *_: (np.roll(x, 2), np.roll(x, -1, 0), np.roll(x, (1, 2), (0, 1)), np.roll(x, 1, (0, 1)),
                             np.roll(y, 9)),
    ],
    "repeat": [
        lambda x, y, t, *_: (np.tile(x, 2), np.tile(y, (2, 1, 2)), np.tile(x, (3, 1)), np.tile(t, (2, 2))),
        lambda x, y, *_: (np.repeat(x, 2), x.repeat(3, 1), np.repeat(x, [0, 2, 1], axis=0), np.repeat(y, [1, 0, 2, 1])),
        lambda x, y, t, *_: (np.broadcast_to(y, (3, 4)), *np.broadcast_arrays(x, y, 2.0), np.broadcast_to(y[:, None], (4, 2))),
    ],
    "pad": [
        lambda x, y, *_: (np.pad(x, 1), np.pad(x, ((1, 0), (0, 2))), np.pad(y, (2, 1), constant_values=(5, -1)),
                          np.pad(x, (1, 2))),
        lambda x, y, t, n, *_: (np.pad(n, 1, constant_values=7), np.pad(x, ((1, 2),), mode="edge"), np.pad(y, 2, "reflect")),
        lambda x, y, *_: (np.pad(y, (3, 2), mode="wrap"), np.pad(x, ((2, 0), (1, 3)), "symmetric")),
        lambda x, y, t, n, u, b, *_: (np.pad(b, 1), np.pad(u, 1, "constant", constant_values=((1, 2), (3, 4)))),
    ],
    "diagonals": [
        lambda x, y, t, *_: (np.diag(y), np.diag(y, 1), np.diag(y, -2), np.diag(x), np.diag(x, 2), np.diag(x, -1),
                             np.diag(x, 9)),
        lambda x, y, t, n, *_: (np.diagonal(t), t.diagonal(1, 1, 2), np.diagonal(t, -1, 2, 0), np.trace(x), n.trace(1)),
        lambda x, y, t, *_: (np.tril(x), np.triu(t, 1), np.tril(x, -1), np.triu(x, -1), np.tril(y), np.diagflat(x),
                             np.diagflat(y, 1)),
        lambda x, y, t, *_: (np.linalg.diagonal(t), np.linalg.trace(t), np.trace(t, axis1=1, axis2=2),
                             np.linalg.diagonal(t, offset=1)),
        lambda x, y, t, *_: (np.lib.stride_tricks.sliding_window_view(y, 2),
                             np.lib.stride_tricks.sliding_window_view(x, (2, 3))),
        lambda x, y, t, *_: (np.lib.stride_tricks.sliding_window_view(t, 2, axis=1),),
    ],
    "join": [
        lambda x, y, t, n, *_: (np.concatenate([x, x + 1]), np.concatenate((x, n), axis=1), np.concatenate([x, n], axis=None)),
        lambda x, y, t, n, *_: (np.concat([x, x], 1), np.stack([y, y * 2]), np.stack([x, x], axis=-1), np.stack([n[0], y])),
        lambda x, y, t, *_: (np.vstack([x, y]), np.hstack([x, x]), np.hstack([y, y]), np.dstack([x, x]),
                             np.column_stack([y, x.T])),
        lambda x, y, t, *_: (np.append(x, y), np.append(x, [[1.0, 2, 3, 4]], 0), np.block([[x, x], [x, x]]), np.block([y, y])),
        lambda x, y, t, n, *_: (np.block([[np.eye(2), x[:2]], [x.T[:, :2], x.T[:, [0, 1, 2, 0]]]]),
                                np.concatenate([n, n], dtype="f4")),
        lambda x, y, t, n, u, b, s, *_: (np.stack([s, 2.0, s]), np.concatenate(list(x)), np.concatenate(x),
                                         np.vstack(x)),
    ],
    "split": [
        lambda x, y, *_: (np.split(x, 2, 1), np.split(y, [1, 3]), np.array_split(y, 3), np.hsplit(x, 2), np.vsplit(x, 3)),
        lambda x, y, t, *_: (np.dsplit(t, 2), np.split(x, [2, 1]), np.unstack(x), np.unstack(t, axis=1), np.array_split(x, 2)),
        lambda x, y, *_: (np.delete(x, 1, 0), np.delete(x, [0, 2], 1), np.delete(x, slice(None, None, 2), 1), np.delete(y, -1)),
        lambda x, y, *_: (np.insert(x, 1, 5, 0), np.insert(y, [1, 3], [7.0, 8.0]), np.insert(x, 2, y[:3], 1),
                          np.insert(x, 0, y)),
        lambda x, y, *_: (np.insert(x, [1], [[1.0], [2.0], [3.0]], 1), np.insert(y, slice(0, 2), 9),
                          np.insert(x, [0, 2], y, axis=0)),
        lambda x, y, *_: (np.meshgrid(y, x[0, :3]), np.meshgrid(y, y[:2], y[:3], indexing="ij"),
                          np.meshgrid(y, y, sparse=True)),
        lambda x, y, t, n, *_: (*np.ix_(n[0], n[1, :2]), np.apply_along_axis(np.sum, 0, x), np.apply_along_axis(np.flip, 1, x)),
        lambda x, y, t, n, *_: (np.apply_along_axis(lambda v: np.outer(v, v), 1, t)),
    ],
    "dot": [
        lambda x, y, t, n, u, b, *_: (np.dot(x, y), y @ y, x @ x.T, np.matmul(t, x.T), np.dot(t, y), np.dot(y, x.T), x.dot(y)),
        lambda x, y, t, n, u, b, *_: (n @ n.T, u @ u.T, b @ b.T, np.dot(x, 2.0), np.dot(t, np.ones((2, 4, 3))), t @ t.mT),
        lambda x, y, t, n, *_: (np.inner(x, x), np.inner(y, y), np.inner(t, x), np.outer(y, x), np.vdot(x, x), n @ y),
        lambda x, y, t, *_: (np.tensordot(x, t, ([0, 1], [1, 2])), np.tensordot(x, y, 1), np.tensordot(y, y, 0),
                             np.tensordot(t, t, 3)),
        lambda x, y, t, *_: (np.vecdot(x, y), np.vecdot(t, t, axis=1), np.linalg.vecdot(x, x, axis=0),
                             np.tensordot(t, x, (-1, -1))),
        lambda x, y, t, *_: (np.ones((2, 3)) @ x, np.dot(np.ones(3), x), np.matmul(np.arange(3), x),
                             np.matmul(x, y, dtype="f4")),
        lambda x, y, t, n, u, b, s, e, w: (e @ np.ones((3, 2)), e.T @ e, np.dot(e, e.T), np.linalg.matmul(x, x.T),
                                           np.zeros((2, 0)) @ e),
    ],
    "einsum": [
        lambda x, y, t, *_: (np.einsum("ij,j->i", x, y), np.einsum("ij->ji", x), np.einsum("ij,kj", x, x),
                             np.einsum("i,i", y, y)),
        lambda x, y, t, *_: (np.einsum("...j,j->...", t, y), np.einsum("bij,ij->b", t, x), np.einsum("ij,ij->ij", x, x)),
        lambda x, y, t, *_: (np.einsum("bij,bkj->bik", t, t), np.einsum("ij,jk,kl->il", x, x.T, x), np.einsum("ij->", x)),
        lambda x, y, t, n, *_: (np.einsum("ii", n[:, :3]), np.einsum("ii->i", x[:, :3]), np.einsum("ij,i,j->", x, y[:3], y)),
        lambda x, y, t, *_: (np.einsum(x, [0, 1], y, [1], [0]), np.einsum("...ij->...ji", t),
                             np.einsum("ij...,j", x[:, :, None], y)),
        lambda x, y, t, *_: (np.einsum("i,j->ij", y, y), np.einsum("ij,ij->i", x, x), np.einsum("ij,jk", x[:, :1], x[:1])),
        lambda x, y, t, n, u, b, *_: (np.einsum("ij,ij->i", u, u), np.einsum("ij,kj->ik", b, b),
                                      np.einsum("ij,j", x, y, optimize=True)),
    ],
    "products": [
        lambda x, y, t, n, *_: (np.kron(x, y), np.kron(y, x[:2, :2]), np.kron(n, n), np.kron(y[:2], y)),
        lambda x, y, t, *_: (np.cross(x[:, :3], x[:, 1:]), np.cross(x.T, y[:3]), np.cross(t, t + 1, axis=1),
                             np.cross(y[1:], y[:3])),
        lambda x, y, t, *_: (np.cross(x, x[::-1] * 2, axisa=0, axisb=0), np.cross(x, x + 1, 0, 0, 0),
                             np.linalg.cross(x[:, :3], y[:3])),
        lambda x, y, t, n, *_: [np.convolve(a, v, m) for m in ("full", "same", "valid") for a,
                                v in ((x[0], y[:3]), (y[:2], x[0]))],
        lambda x, y, t, n, *_: [np.correlate(a, v, m) for m in ("full", "same", "valid") for a,
                                v in ((x[0], y[:3]), (y[:2], x[0]))],
        lambda x, y, t, n, *_: (np.convolve(n[0], n[1]), np.convolve(x.ravel(), np.tile(y, 10)),
                                np.convolve(np.tile(y, 20), np.tile(y, 10), "same")),
        lambda x, y, t, n, *_: [np.linalg.matrix_power(x[:, :3], k) for k in (0, 1, 2,
            5)] + [np.linalg.multi_dot([x, x.T, x, y])],
        lambda x, y, t, n, *_: (np.polyval(y, x), np.polyval([1, 2, 3], n), np.vander(y), np.vander(n[0], 3),
                                np.vander(y, 3, True), np.vander(y, 0)),
        lambda x, y, t, n, *_: (np.polyadd(y, y[:2]), np.polysub(y[:2], y), np.polyder(y), np.polyder(y, 2), np.polyint(y),
                                np.polyint(y, 2, [1, 2])),
    ],
    "choice": [
        lambda x, y, t, n, u, b, *_: (np.where(b, x, 0), np.where(x > 0, x, y), np.where(n, 1, 2), np.where(b, n, 1.5),
                                      np.where(MASK, u, 1)),
        lambda x, y, t, n, u, b, *_: (np.select([x > 1, x < 0], [x, n], 7), np.select([b], [u]),
                                      np.select([MASK, b], [1.5, x])),
        lambda x, y, t, n, u, b, *_: (np.choose(b.astype(int), [x, y]), np.choose(n, [x, 1, y], mode="clip"),
                                      np.choose(n, [n, u], mode="wrap")),
        lambda x, y, t, n, *_: (np.piecewise(x, [x < 0, x > 1], [lambda v: -v, lambda v: v * v, 0.5]),
                                np.piecewise(n, [n > 2], [5, np.abs]), np.piecewise(y, y > 1, [0, 1])),
        lambda x, y, t, n, u, *_: (np.clip(x, -1, 1), np.clip(n, 0, None), x.clip(max=0.5), np.clip(x, y, 2),
                                   np.clip(u, -1, 300), u.clip(3, 9)),
        lambda x, y, t, n, *_: (np.clip(n, 0.5, 2.5), np.clip(x, min=0), np.clip(x, None, y), np.clip(n, np.int8(0), 3)),
    ],
    "take": [
        lambda x, y, t, n, *_: (np.take(x, 3), np.take(x, [0, 2], axis=0), x.take([[1, -1]], 1), np.take(y, n, mode="clip")),
        lambda x, y, t, n, *_: (np.take(y, n, mode="wrap"), np.take(x, (0, 1), 1), np.take(x, n % 3, axis=0)),
        lambda x, y, t, n, *_: (np.take_along_axis(x, np.argmax(x, 1)[:, None], 1), np.take_along_axis(x, n % 3, 0)),
        lambda x, y, t, n, *_: (np.take_along_axis(y, n[0] % 4, axis=None), np.take_along_axis(x, np.array([[1]]), 1)),
        lambda x, y, *_: (np.compress([True, False, True], x, 0), np.extract(MASK, x), x.compress([0, 1, 1, 0], axis=1)),
        lambda x, y, t, n, *_: (np.isin(n, [1, 3]), np.isin(n, [1, 3], invert=True), np.isin(x, x[0])),
    ],
    "search": [
        lambda x, y, t, n, u, b, s, e, w: [np.searchsorted(SORTED, v, side) for side in ("left", "right") for v in (x, s, w,
            n)],
        lambda x, y, t, n, u, b, s, e, w: [np.searchsorted(np.arange(50.0) / 10 - 2, v, side) for side in ("left",
            "right") for v in (x, w)],
        lambda x, y, t, n, *_: (np.digitize(x, SORTED), np.digitize(n, [5, 3, 0]), np.digitize(x, SORTED, right=True),
                                np.digitize(n, [0, 3], True)),
        lambda x, y, *_: (np.searchsorted(np.cumsum(y), x), np.cumsum(y).searchsorted(2.0), np.digitize(x, SORTED[::-1])),
        lambda x, y, t, n, u, b, s, e, w: (np.interp(x, [-1, 0, 1], [2.0, 3, 1]), np.interp(s, np.cumsum(y), x[0]),
                                           np.interp(w, [0, 1], [5, 6])),
        lambda x, y, t, n, *_: (np.interp(x, [-1, 0, 1], [2, 3, 1], left=-9, right=9), np.interp(n, [0.0], [3.0]),
                                np.interp(x, [0, 1], [1, 2], period=1.5)),
        lambda x, y, *_: (np.interp(x, np.arange(60.0) / 10 - 3, np.arange(60.0) ** 2),
                          np.bincount([0, 2, 2, 5], weights=y, minlength=8)),
        lambda x, y, *_: np.bincount(np.array([1, 0, 1, 1]), weights=y),
    ],
    "sorting": [
        lambda x, y, t, n, u, b, s, e, w: (np.sort(x), np.sort(x, 0), np.sort(x, None), np.sort(n), np.sort(b), np.sort(u, 0),
                                           np.sort(w), np.sort(e)),
        lambda x, y, t, n, u, b, s, e, w: (np.argsort(x), x.argsort(0), np.argsort(w, axis=None), np.argsort(n, kind="stable"),
                                           np.sort(t, 1)),
        lambda x, y, t, n, *_: (np.lexsort((n[0] % 2, n[1])), np.lexsort((x, n % 3)), np.partition(y, 1)[1],
                                np.argpartition(y, 2)[2]),
        lambda x, y, t, n, u, b, s, e, w: (np.median(x), np.median(x, 0), np.median(t, (0, 2), keepdims=True), np.median(n, 1),
                                           np.median(w, 1), np.median(x[:2], 0)),
        lambda x, y, t, n, u, b, s, e, w: (np.nanmedian(w), np.nanmedian(w, 0), np.nanmedian(w, 1, keepdims=True),
                                           np.nanmedian(n), np.median(u), np.median(e)),
        lambda x, y, t, n, u, b, s, e, w: (np.quantile(x, 0.3), np.quantile(x, [0.1, 0.9], axis=0), np.quantile(n, 0.5, axis=1),
                                           np.percentile(x, 25, axis=1, keepdims=True)),
        lambda x, y, t, n, *_: [np.quantile(x, [0, 0.2, 0.55, 1], axis=1, method=m) for m in ("linear", "lower", "higher",
            "nearest", "midpoint", "hazen", "weibull", "median_unbiased", "normal_unbiased")],
        lambda x, y, t, n, u, b, s, e, w: (np.nanquantile(w, 0.3, axis=1), np.nanpercentile(w, [10, 90]),
                                           np.percentile(t, [[5, 50], [75, 95]], (0, 1)), np.quantile(w, 0.5, axis=1)),
        lambda x, y, t, n, *_: (np.quantile(x.astype("f4"), 0.3), np.quantile(x.astype("f4"), [0.3], axis=0),
                                np.percentile(x.astype("f4"), 30), np.median(x.astype("f4"), 1)),
    ],
    "values": [
        lambda x, y, t, n, *_: (np.round(x), x.round(2), np.round(x * 100, -1), np.around(x, 1), np.round(n), np.round(n, -1),
                                np.fix(x)),
        lambda x, y, t, n, u, b, s, e, w: (np.nan_to_num(w), np.nan_to_num(w / 0.0, nan=7, posinf=1, neginf=-1),
                                           np.nan_to_num(n), np.nan_to_num(x / 0)),
        lambda x, y, t, n, *_: (np.sinc(x), np.sinc(n), np.real(x), np.imag(x), x.imag, x.conj(), np.isreal(x),
                                np.iscomplex(x)),
        lambda x, y, t, n, u, b, s, e, w: (np.isclose(x, x + 1e-9), np.isclose(w, w, equal_nan=True), np.isclose(n, n + 0.1),
                                           np.isclose(x / 0, np.inf)),
        lambda x, y, t, n, u, b, s, e, w: (np.allclose(x, x), np.array_equal(x, x + 1), np.array_equiv(x, x[:1]),
                                           np.array_equal(w, w, equal_nan=True)),
        lambda x, y, t, n, *_: (np.isposinf(x / 0), np.isneginf(x / 0), np.astype(x, np.int32), x.astype("f4"), n.astype(bool),
                                x.copy(), np.copy(n)),
    ],
    "creation": [
        lambda x, y, t, n, *_: (np.zeros_like(x), np.ones_like(n), np.ones_like(n, dtype="f4"), np.full_like(x, 3),
                                np.full_like(n, 2.7), np.zeros_like(x, shape=5)),
        lambda x, y, t, n, u, b, s, e, w: (np.full_like(x, s), np.full_like(x, y), np.linspace(0, s, 5), np.linspace(y, 2, 3),
                                           np.linspace(s, 3, 1), np.linspace(y, x, 4, axis=1)),
        lambda x, y, t, n, u, b, s, e, w: (np.linspace(0, s, 5, endpoint=False), np.linspace(s, 9, 4, retstep=True),
                                           np.linspace(n[0], 9, 3), np.linspace(0, s * 8, 5, dtype=int)),
        lambda x, y, t, n, u, b, s, e, w: (np.logspace(0, s, 4), np.logspace(y, 1, 3, base=2.0), np.linspace(s, s, 0)),
    ],
}  # fmt: skip
ARGUMENTS = (X, Y, T, N, U, B, S, E, NAN)


@pytest.mark.parametrize("name", CASES)
def test_is_numpy(name: str) -> None:
    agree(CASES[name], ARGUMENTS)


def test_pad_by_axis() -> None:
    """NumPy 2.2 does not take this yet; the compiled function does whatever the version."""
    np.testing.assert_array_equal(pb.compile_grad(lambda x: np.pad(x, {0: (1, 2)}))(X), np.pad(X, ((1, 2), (0, 0))))


# Deprecated long ago, and no longer there in NumPy 2.4.
GONE = {
    **dict.fromkeys((np.quantile, np.percentile, np.nanquantile, np.nanpercentile), ("interpolation",)),
    np.corrcoef: ("bias", "ddof"),
}


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    try:
        found = inspect.signature(function).parameters.values()
        return [each for each in found if each.name not in GONE.get(function, ())]
    except ValueError:
        return None


TRACED = {
    **{(function, "of traced arrays"): traced for function, traced in FUNCTIONS.items()},
    **{(function, "of chosen elements"): traced for function, traced in OF_CHOSEN.items()},
}


@pytest.mark.parametrize(("function", "what"), TRACED, ids=lambda each: getattr(each, "__name__", each))
def test_signature_is_numpys(function: Callable[..., Any], what: str) -> None:
    """Every argument that NumPy's function takes, by name or place, the traced one takes too."""
    wanted, found = parameters(function), parameters(TRACED[function, what])
    if wanted is None or found is None:
        return
    anything = {each.kind for each in found}
    places = [each for each in found if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    names = {each.name for each in found if each.kind in (each.KEYWORD_ONLY, each.POSITIONAL_OR_KEYWORD)}
    place = 0
    for each in wanted:
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD):
            if each.VAR_POSITIONAL not in anything:
                assert place < len(places), f"no place for {each.name}"
                if each.kind is each.POSITIONAL_OR_KEYWORD:
                    assert places[place].name == each.name
                assert places[place].default is not each.empty or each.default is each.empty, each.name
            place += 1
        elif each.kind is each.KEYWORD_ONLY:
            assert each.name in names or each.VAR_KEYWORD in anything, each.name
        else:
            assert each.kind in anything, each.name


def test_every_function_of_numpy_is_traced_or_has_a_way_out() -> None:
    for function in overrides.get_overridable_numpy_array_functions():
        if function in FUNCTIONS or function in CHOOSING or function in assign.FUNCTIONS:
            continue
        with pytest.raises(TraceError) as error:
            pb.compile_grad(lambda x: x.__array_function__(function, (type(x),), (x,), {}))(Y)  # noqa: B023
        assert f"{function.__name__} is not traced" in error.value.message
        assert error.value.help and "test_numpy_functions.py" in str(error.value)
