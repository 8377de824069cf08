"""Programs that choose elements by computed masks and take slices of computed lengths, as users write them."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pullback as pb

Function = Callable[..., Any]
RANDOM = np.random.default_rng(7)
X = np.array([0.7, -1.2, 2.5, 0.3, -0.4, 1.9, -2.2])
Y = RANDOM.normal(size=7)
A, W = RANDOM.normal(size=(7, 3)), RANDOM.normal(size=3)
B = RANDOM.normal(size=(2, 4, 3))


def assign(x: Any, y: Any) -> Any:
    m = x > 0
    z = np.zeros(7)
    z[m] = y[m] * x[m] * 2.0
    z[~m] = -1.0
    return z


def update(x: Any, y: Any) -> Any:
    z = y * 1.0
    z[x > 0] *= y[x > 0]
    z[x < 0] += np.exp(x[x < 0])
    return z


def update_at(x: Any, y: Any) -> Any:
    z = y * 1.0
    np.add.at(z, x > 0, x[x > 0] ** 2)
    return z


def by_places(x: Any, y: Any) -> Any:
    places = np.where(x > 0)[0]
    z = np.zeros(7)
    next_ones = np.flatnonzero(x > 0)
    next_ones += 1
    z[next_ones] = y[next_ones] ** 2
    z[places] += y[places] * x[places]
    z[6 - places] += x[places]
    np.add.at(z, places // 2, y[places])
    return z


def in_place(x: Any, y: Any) -> Any:
    z = x[x > 0]
    same = z
    z *= 2.0
    z += y[x > 0]
    return np.sum(same**2)


def loop(x: Any, y: Any) -> Any:
    total = 0.0
    for level in np.linspace(-1.0, 1.0, 40):
        inside = x > level + 0.01
        total += np.sum(y[inside] * x[inside]) / (1 + inside.sum())
    return total


def branch(x: Any, y: Any) -> Any:
    chosen = x[x > y]
    if chosen.size > 2:
        return np.max(chosen) + len(chosen)
    return np.sum(x)


def many_axes(a: Any, w: Any) -> Any:
    z = np.zeros((7, 3))
    m = a > 0.2
    z[m] = a[m] ** 2
    z[:, w > 0] -= a[:, w > 0] * w[w > 0]
    z[a[:, 0] > 0] += a[a[:, 0] > 0] @ np.outer(w, w)
    z[a[:, 1] > 0, 2] = a[a[:, 1] > 0, 0]
    return z


def set_among_chosen(a: Any, w: Any) -> Any:
    c = a[a[:, 0] > 0]
    c[c[:, 1] > 0] *= 3.0
    c[c > 0.5] = 0.25
    c[c[:, 2] > 0] = w
    d = c[:, 1]
    d += 1.0
    c[:] = c * w[0]
    c.T[...] = c.T**2
    return np.sum(c, axis=0)


def set_pairs(a: Any, w: Any) -> Any:
    rows, columns = np.nonzero(a > 0.3)
    z = np.zeros((7, 3))
    z[rows, columns] = a[rows, columns] ** 2
    z[rows, (columns + 1) % 3] += w[columns]
    np.add.at(z, (rows // 2, columns), a[rows, columns])
    np.maximum.at(z, (rows, columns), 0.2)
    z[rows] *= 1.5
    return z


def clusters(x: Any, centers: Any) -> Any:
    label = np.argmin(np.sum((x[:, None] - centers) ** 2, axis=2), axis=1)
    return np.stack([x[label == k].mean(axis=0) for k in range(2)])


def energy(p: Any) -> Any:
    apart = np.sum((p[:, None] - p) ** 2, axis=2)
    near = (apart > 0) & (apart < 4.0)
    i, j = np.nonzero(np.triu(near))
    return np.sum(np.exp(-np.sqrt(apart[near]))) - np.sum(1 / np.sqrt(np.sum((p[i] - p[j]) ** 2, axis=1)))


def huber(r: Any) -> Any:
    size = np.abs(r)
    near = size <= 1.0
    out = np.empty(7)
    out[near] = 0.5 * r[near] ** 2
    out[~near] = size[~near] - 0.5
    return out


def whittled(x: Any) -> Any:
    count = 0
    while np.sum(x[x > 0]) > 1.0 and count < 50:
        x = x * 0.8
        count += 1
    for _ in range(30):
        above = x > 0.1
        x = x * 1.0
        x[above] -= 0.05 * x[above] ** 2
    chosen = x[x > 0]
    for _ in range(30):
        chosen *= 0.99
    return np.sum(chosen**2)


def heads(x: Any, n: Any) -> Any:
    return np.sum(x[:n] ** 2) + np.sum(x[n:]) * np.sum(x[-n:]) + np.sum(x[:-n] ** 3) + np.sum(x[1:n:2]) + np.sum(x[n::3])


def views(x: Any, n: Any) -> Any:
    z = x * 1.0
    head = z[:n]
    z[0] = 5.0 * x[1]
    head *= 2.0
    tail = head[1:]
    tail += x[0]
    z += 1.0
    head[head > 3] = x[2]
    return np.sum(z**2) + np.sum(head * np.sum(tail))


def views_of_rows(a: Any, n: Any) -> Any:
    z = a * 1.0
    head = z[:n]
    row = head[0]
    row *= 2.0
    z[0] += a[1]
    turned = head.T
    turned += 1.0
    columns = z[:, n - 3 :]
    columns *= a[0, 0]
    return np.sum(z**2) + np.sum(head**2) + np.sum(row) + np.sum(z[:n].ravel() ** 2)


def set_slices(x: Any, n: Any) -> Any:
    z = np.zeros((7, 3))
    z[:n] = x[0]
    z[n:, 1] = x[n:] ** 2
    z[1:n, 0] -= x[1:n]
    z[n:] *= x[n:, None]
    z[2, : n - 3] = x[3]
    return z


def triangle(x: Any) -> Any:
    """The diagonal of Cholesky's factor, and the solution of a system with it."""
    n = 20
    a = 2.0 * np.eye(n) + np.outer(np.cos(np.arange(n) * x[0]), np.cos(np.arange(n) * x[0])) + x[1] ** 2 * np.eye(n)
    low, y = np.zeros((n, n)), np.zeros(n)
    for j in range(n):
        low[j, j] = np.sqrt(a[j, j] - low[j, :j] @ low[j, :j])
        for i in range(j + 1, n):
            low[i, j] = (a[i, j] - low[i, :j] @ low[j, :j]) / low[j, j]
    for i in range(n - 1, -1, -1):
        y[i] = (x[2] - low[i + 1 :, i] @ y[i + 1 :]) / low[i, i]
    return np.sum(np.log(np.diag(low))) + np.sum(y**2)


PROGRAMS: dict[str, tuple[Function, tuple[Any, ...]]] = {
    "sum": (lambda x: x[x > 0].sum(), (X,)),
    "mean of squares": (lambda x, y: np.mean(x[y > 0] ** 2), (X, Y)),
    "function": (lambda x: np.sum(np.sin(x[x > 0]) * np.exp(-x[x > 0])), (X,)),
    "dot": (lambda x, y: np.dot(x[x > 0], y[x > 0]) + x[x < 0] @ y[x < 0] + np.inner(x[x > 0], x[x > 0]), (X, Y)),
    "nonzero": (lambda x, y: np.sum(x[np.nonzero(y > 0)[0]] ** 3), (X, Y)),
    "flatnonzero": (lambda x, y: np.sum(y[np.flatnonzero(x > 0)] * x[(x > 0).nonzero()[0]]), (X, Y)),
    "scalars": (lambda x, a, b: np.sum((x[x > 0] * a - b) / a), (X, 2.0, 0.5)),
    "extremes": (lambda x: np.max(x[x < 1]) * np.min(x[x > -1]) + x[x > 0].min(), (X,)),
    "spread": (lambda x: np.std(x[x > 0]) + np.var(x[x < 0], ddof=1) + x[x > 0].std(ddof=1), (X,)),
    "prod": (lambda x: np.prod(x[x > 0]) + x[x < 0].prod(), (X,)),
    "norm": (lambda x: np.linalg.norm(x[x > 0]) + np.linalg.norm(x[x > 0], 1) + np.linalg.norm(x[x < 0], np.inf), (X,)),
    "average": (lambda x, y: np.average(x[x > 0], weights=np.exp(y[x > 0])), (X, Y)),
    "ptp": (lambda x: np.ptp(x[x > 0]), (X,)),
    "running": (lambda x: np.sum(np.log(np.cumsum(x[x > 0])) * np.cumprod(x[x > 0])), (X,)),
    "where": (lambda x, y: np.sum(np.where(x[x > 0] > 1, x[x > 0], y[x > 0])), (X, Y)),
    "clip": (lambda x, y: np.sum(np.clip(x[x > 0], 0.5, None) * np.maximum(y[x > 0], 0.1)), (X, Y)),
    "twice": (lambda x, y: np.sum(x[x > 0][y[x > 0] > 0] ** 2), (X, Y)),
    "items": (lambda x: x[x > 0][0] * x[x > 0][-1] + x[x < 0][1] ** 2, (X,)),
    "slices": (lambda x: np.sum(x[x > 0][1:]) + np.sum(x[x > 0][:-1] ** 2) + np.sum(x[x > 0][::2]), (X,)),
    "count": (lambda x: np.sum(x[x > 0]) / x[x > 0].size + len(x[x > 0]) * x[0], (X,)),
    "two axes": (lambda a: np.sum(a[a > 0] ** 2) + np.max(a[a < 1]), (A,)),
    "rows": (lambda a, w: np.sum(a[a[:, 0] > 0] * w, axis=0), (A, W)),
    "rows, over columns": (lambda a, w: np.sum(np.sqrt(np.sum(a[a[:, 0] > 0] ** 2, axis=1)) * a[a[:, 0] > 0, 1]), (A, W)),
    "columns": (lambda a, w: np.sum(a[:, w > -0.5] * w[w > -0.5], axis=1), (A, W)),
    "rows by a vector": (lambda a, w: np.sum(np.tanh(a[a[:, 0] > 0] @ w)), (A, W)),
    "normal equations": (lambda a, y: a[y > 0].T @ a[y > 0], (A, Y)),
    "right side": (lambda a, y: a[y > 0].T @ y[y > 0], (A, Y)),
    "mean of rows": (lambda a, y: np.mean(a[y > 0], axis=0), (A, Y)),
    "covariance of rows": (lambda a, y: np.var(a[y > 0], axis=0, keepdims=True), (A, Y)),
    "new axis": (lambda x, w: np.sum(x[x > 0][:, None] * w, axis=0), (X, W)),
    "reshaped": (lambda x, w: np.sum(x[x > 0].reshape(-1, 1) * w + np.outer(x[x > 0], w), axis=0), (X, W)),
    "flat": (lambda a, y: np.max(a[y > 0].ravel()) + np.sum(a[y > 0].reshape(-1) ** 2), (A, Y)),
    "joined": (lambda x, y: np.sum(np.concatenate([x[x > 0], y[y > 0], y]) ** 2), (X, Y)),
    "stacked": (lambda x, y: np.sum(np.stack([x[x > 0], y[x > 0]], axis=1) @ np.array([1.0, 2.0])), (X, Y)),
    "by pairs": (lambda a: np.sum(a[np.nonzero(a > 0)] * np.nonzero(a > 0)[1]), (A,)),
    "compress": (lambda x, y: np.sum(np.compress(y > 0, x) ** 2) + x.compress(y > 0).sum(), (X, Y)),
    "extract": (lambda x, y: np.sum(np.extract(y < 0, x)), (X, Y)),
    "take": (lambda x, y: np.sum(np.take(x, np.flatnonzero(y > 0)) ** 2), (X, Y)),
    "nan": (lambda x, y: np.nansum(np.where(x[x > 0] > 1, np.nan, y[x > 0])), (X, Y)),
    "interp": (lambda x, y: np.sum(np.interp(x[x > 0], np.arange(7.0), y)), (X, Y)),
    "integers": (lambda x: np.sum((x[x > 0] * 10 + 0.5).astype(np.int64)) * np.sum(x), (X,)),
    "builtins": (lambda x: sum(x[x > 0]) + max(x[x > 0]) - min(x[x < 0]), (X,)),
    "assign": (assign, (X, Y)),
    "update": (update, (X, Y)),
    "update at": (update_at, (X, Y)),
    "by places": (by_places, (X, Y)),
    "in place": (in_place, (X, Y)),
    "loop": (loop, (X, Y)),
    "branch": (branch, (X, Y)),
    "many axes": (many_axes, (A, W)),
    "set among chosen": (set_among_chosen, (A, W)),
    "set pairs": (set_pairs, (A, W)),
    "clusters": (clusters, (A, A[:2] + 0.1)),
    "energy": (energy, (A,)),
    "huber": (huber, (X,)),
    "whittled": (whittled, (X,)),
    "heads": (heads, (X, 3)),
    "heads of nothing": (heads, (X, 0)),
    "heads of all": (heads, (X, 50)),
    "heads from the end": (heads, (X, -2)),
    "heads from before": (heads, (X, -50)),
    "views": (views, (X, 4)),
    "views of rows": (views_of_rows, (A, 4)),
    "set slices": (set_slices, (X, 4)),
    "set no slices": (set_slices, (X, 0)),
    "triangle": (triangle, (X,)),
    "rows of a slice": (lambda a, n: np.sum(a[:n] @ a[0]) + np.sum(a[:n, 1] * a[:n, 0]) + np.max(a[n:]), (A, 4)),
    "chosen of a slice": (lambda x, n: np.sum(x[:n][x[:n] > 0] ** 2), (X, 4)),
    "running to a place": (lambda x, n: np.cumsum(x[:n])[-1] * np.std(x[:n]) / len(x[:n]), (X, 4)),
    "of outside": (lambda x: np.sum(Y[x > 0] * x[x > 0]) + np.sum(np.take(Y, np.flatnonzero(x > 0)) * x[x > 0]), (X,)),
    "three axes": (lambda b: np.sum(b[:, b[0, :, 0] > 0, 1], axis=1) + np.sum(b[b[:, :, 0] > 0]), (B,)),
    "numbers first": (lambda b: b[0, b[0, :, 0] > 0].sum(axis=0) + b[b[:, 0, 0] > 0, :, 1].sum(), (B,)),
    "products of several axes": (lambda b, w: np.sum(np.cos(b[:, b[0, :, 0] > 0] @ w), axis=1), (B, W)),
    "columns of a product": (lambda a, w: np.sum(np.cos(np.outer(w, w) @ a[a[:, 0] > 0].T), axis=1), (A, W)),
    "polyval": (lambda x: np.sum(np.polyval(x[:3], x[x > 0])), (X,)),
    "select": (lambda x, y: np.sum(np.select([x[x > 0] > 2, x[x > 0] > 1], [x[x > 0], y[x > 0] * 3], 0.5)), (X, Y)),
    "normalized rows": (lambda a: np.sum(a[a[:, 0] > 0] / np.sum(a[a[:, 0] > 0] ** 2, axis=1, keepdims=True), axis=0), (A,)),
    "clip by arrays": (lambda x, y: np.sum(x[x > 0].clip(min=y[x > 0]) + np.clip(x[x > 0], a_min=None, a_max=y[0])), (X, Y)),
    "scan": (lambda x: pb.fori_loop(0, 3, lambda i, total: total + np.sum(x[x > i]), 0.0), (X,)),
}
