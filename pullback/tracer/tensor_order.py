"""Order of elements: sort, topk, median, running extremes, distinct elements, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np

from pullback import dtypes
from pullback.errors import AutogradError, OutOfBoundsError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.elementary import StopGradient
from pullback.ir.ops.logic import Equal
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing, reductions, shapes, sorting
from pullback.tracer.tensor_arithmetic import where
from pullback.tracer.tensor_base import TensorBase, record, record_many
from pullback.tracer.tensor_elementwise import isnan
from pullback.tracer.tensor_pairs import named_results
from pullback.tracer.tensor_shape import axis_of, stack

Sorted, TopK, KthValue, Median, Mode, Cummax, Cummin, AMinMax = (
    named_results("sort"), named_results("topk"), named_results("kthvalue"), named_results("median"), named_results("mode"),
    named_results("cummax"), named_results("cummin"), named_results("aminmax", "min", "max"),
)  # fmt: skip


def _order(b: Builder, x: Value, along: int, descending: bool) -> Value:
    """The stable order; descending, NaN comes first and equal elements keep theirs."""
    if not descending:
        return sorting.arg_sort(b, x, along)
    size = x.type.shape[along]
    order = sorting.arg_sort(b, shapes.flip(b, x, along), along)
    return s.sub(b, s.number(b, size - 1, dtypes.i64, order.type.shape), shapes.flip(b, order, along))


def _ordered(name: str, input: Any, along: int, descending: bool, start: int, count: int, drop: bool) -> list[Any]:
    """`count` places of the order from `start` on: values and indices."""

    def rule(b: Builder, x: Value) -> list[Value]:
        if x.type.rank == 0:
            return [x, s.number(b, 0, dtypes.i64)]
        order = shapes.window(b, _order(b, x, along, descending), along, start, count)
        found = [indexing.take_along_axis(b, x, order, along), order]
        return [shapes.squeeze(b, each, along) for each in found] if drop else found

    return record_many(name, rule, input)


def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Elements in order along an axis, and where they were; NaN counts as the largest."""
    along = axis_of(dim, len(input.sizes))
    size = input.sizes[along] if input.sizes else 1
    return Sorted(*_ordered("SortBackward0", input, along, descending, 0, size, False))


def msort(input: Any) -> Any:
    """Sorted along the first axis."""
    return sort(input, 0)[0]


def argsort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Where the elements in order were."""
    return sort(input, dim, descending)[1]


def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The `k` largest (or smallest) elements along an axis, and where they were.

    Raises: AutogradError for more than there are.
    """
    along = axis_of(dim, len(input.sizes))
    if k < 0 or k > (input.sizes[along] if input.sizes else 1):
        raise AutogradError("selected index k out of range", location=caller())
    return TopK(*_ordered("TopkBackward0", input, along, largest, 0, k, False))


def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The k-th smallest element along an axis (from 1), and where it was. Raises: AutogradError for other k."""
    along = axis_of(dim, len(input.sizes))
    if not 1 <= k <= (input.sizes[along] if input.sizes else 1):
        raise AutogradError("kthvalue(): selected number k out of range for dimension " + str(along), location=caller())
    return KthValue(*_ordered("KthvalueBackward0", input, along, False, k - 1, 1, not keepdim))


def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The lower one of the middle elements: of all, or along an axis with its place. NaN wins."""
    if dim is None:
        values = np.array(input.array()).reshape(-1)
        if not values.size:
            return input.of_array(np.array(np.nan, input.dtype_.numpy))
        if not input.dtype_.is_float:
            return input.of_array(np.array(values[_middle(values)]))
        return record("MedianBackward0", partial(_shared, values[_middle(values)]), input)
    along = axis_of(dim, len(input.sizes))
    if not input.sizes:
        return Median(*_ordered("MedianBackward1", input, 0, False, 0, 1, True))
    places = np.apply_along_axis(_middle, along, np.array(input.array()))
    return Median(*_picked("MedianBackward1", input, places, along, keepdim))


def _shared(number: Any, b: Builder, x: Value) -> Value:
    """A number that some elements equal, with a gradient shared among them."""
    if not np.isfinite(number):
        return s.number(b, float(number), x.type.dtype)
    equals = s.apply(b, Equal(), x, number.item())
    share = s.cast(b, reductions.total(b, equals), x.type.dtype)
    mean = s.div(b, reductions.total(b, s.where(b, equals, x, 0)), share)
    # The mean of equal numbers may be rounded: its value is taken away again.
    return s.add(b, s.number(b, number.item(), x.type.dtype), s.sub(b, mean, b.value(StopGradient(), mean)))


def _middle(values: Any) -> int:
    order = np.argsort(values, kind="stable")
    missing = np.flatnonzero(values != values)
    return int(missing[0] if missing.size else order[(len(values) - 1) // 2])


def _picked(name: str, input: Any, places: Any, along: int, keepdim: bool) -> list[Any]:
    """One element along an axis by its place, with the place."""
    known = np.expand_dims(np.asarray(places, np.int64), along)

    def rule(b: Builder, x: Value) -> Value:
        found = indexing.take_along_axis(b, x, known, along)
        return found if keepdim else shapes.squeeze(b, found, along)

    return [record(name, rule, input), input.of_array(known if keepdim else known.squeeze(along))]


def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent element along an axis (of several the least), and its last place."""
    along = axis_of(dim, len(input.sizes))
    if not input.sizes:
        return Mode(*_ordered("ModeBackward0", input, 0, False, 0, 1, True))

    def last_place(values: Any) -> int:
        found, counts = np.unique(values, return_counts=True)
        return int(np.flatnonzero(values == found[np.argmax(counts)])[-1])

    places = np.apply_along_axis(last_place, along, np.array(input.array()))
    return Mode(*_picked("ModeBackward0", input, places, along, keepdim))


def _running(name: str, largest: bool, results: type[Any]) -> Callable[..., Any]:
    def running(input: Any, dim: int) -> Any:
        along = axis_of(dim, len(input.sizes))
        values = np.moveaxis(np.array(input.array()), along, -1) if input.sizes else np.array(input.array())
        places = np.zeros(values.shape, np.int64)
        for place in range(1, values.shape[-1] if values.ndim else 0):
            before = np.take_along_axis(values, places[..., place - 1, None], -1)[..., 0]
            now = values[..., place]
            better = (now >= before) if largest else (now <= before)
            places[..., place] = np.where(better | (now != now), place, places[..., place - 1])
        known = np.ascontiguousarray(np.moveaxis(places, -1, along)) if input.sizes else places

        def rule(b: Builder, x: Value) -> Value:
            return indexing.take_along_axis(b, x, known, along) if x.type.rank else x

        return results(record(name, rule, input), input.of_array(known))

    return running


cummax, cummin = _running("CummaxBackward0", True, Cummax), _running("CumminBackward0", False, Cummin)


def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The least and the largest element."""
    axes = () if dim is None else (dim,)
    return AMinMax(input.amin(*axes, keepdim=keepdim), input.amax(*axes, keepdim=keepdim))


def quantile(input: Any, q: Any, dim: int | None = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """The value below which a share `q` of the elements lies, in linear interpolation.

    NaN where there is one. Raises: OutOfBoundsError for shares outside of 0 to 1; AutogradError for integers, for nothing, and
    for another interpolation than "linear", "lower", "higher", "midpoint", "nearest".
    """
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise AutogradError("quantile() interpolation must be one of linear, lower, higher, midpoint or nearest, but got "
                            f"{interpolation}", location=caller())  # fmt: skip
    if not input.dtype_.is_float:
        raise AutogradError("quantile() input tensor must be either float or double dtype", location=caller())
    if 0 in input.sizes:
        raise AutogradError("quantile() input tensor must be non-empty", location=caller())
    shares = np.asarray(q.array() if isinstance(q, TensorBase) else q, np.float64)
    if shares.ndim > 1:
        raise AutogradError("quantile() q must be a scalar or 1D tensor", location=caller())
    if ((shares < 0) | (shares > 1)).any():
        raise OutOfBoundsError("quantile() q values must be in the range [0, 1]", location=caller())
    rank = len(input.sizes)
    flat = dim is None
    source = input.reshape(-1) if dim is None else input
    along = 0 if dim is None else axis_of(dim, rank)
    ordered = sort(source, along)[0]
    last = ordered.select(along, -1) if source.sizes else ordered
    missing = bool(np.isnan(last.array()).any())
    found = []
    for share in shares.reshape(-1):
        place = float(share) * (source.sizes[along] - 1)
        low = int(np.ceil(place) if interpolation == "higher" else np.round(place) if interpolation == "nearest" else place)
        weight = place - low if interpolation == "linear" else 0.5 if interpolation == "midpoint" and place != low else 0.0
        value = ordered.select(along, low)
        if weight:
            value = value.lerp(ordered.select(along, low + 1), weight)
        if missing:
            value = where(isnan(last), last, value)
        if keepdim:
            value = value.reshape([1] * rank) if flat else value.unsqueeze(along)
        found.append(value)
    return stack(found) if shares.ndim else found[0]


def unique(input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False,
           dim: int | None = None) -> Any:  # fmt: skip
    """The distinct elements in order; with their places in the input and their counts where asked for."""
    found = np.unique(np.array(input.array()), return_inverse=True, return_counts=True, axis=dim, equal_nan=False)
    values, inverse, counts = (input.of_array(np.ascontiguousarray(each)) for each in found)
    if dim is None:
        inverse = inverse.reshape(input.sizes)
    results = [values, *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    return results[0] if len(results) == 1 else tuple(results)


def unique_consecutive(input: Any, return_inverse: bool = False, return_counts: bool = False) -> Any:
    """Each run of equal elements once."""
    values = np.array(input.array()).reshape(-1)
    begins = np.concatenate([[True], values[1:] != values[:-1]]) if values.size else np.zeros(0, bool)
    starts = np.flatnonzero(begins)
    counts = np.diff(np.append(starts, values.size))
    inverse = (np.cumsum(begins) - 1).reshape(input.sizes)
    parts = [values[begins], *([inverse] if return_inverse else []), *([counts] if return_counts else [])]
    results = [input.of_array(np.ascontiguousarray(each)) for each in parts]
    return results[0] if len(results) == 1 else tuple(results)


def searchsorted(sorted_sequence: Any, input: Any, *, right: bool = False, side: str | None = None) -> Any:
    """Where each element would go in an ordered sequence, or in that of its row. Raises: AutogradError for sides at odds."""
    if side not in (None, "left", "right") or (right and side == "left"):
        raise AutogradError("torch.searchsorted(): side and right can't be set to opposites, got side of "
                            f"{side} while right was {right}", location=caller())  # fmt: skip
    chosen: Literal["left", "right"] = "right" if right or side == "right" else "left"
    values = np.asarray(input.array() if isinstance(input, TensorBase) else input)
    sequence = sorted_sequence.array()
    if sequence.ndim == 1:
        return sorted_sequence.of_array(np.asarray(np.searchsorted(sequence, values, chosen), np.int64))
    if sequence.shape[:-1] != values.shape[:-1]:
        raise AutogradError("torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 dimensions of "
                            "boundaries tensor and input value tensor must match", location=caller())  # fmt: skip
    found = np.empty(values.shape, np.int64)
    for row in np.ndindex(sequence.shape[:-1]):
        found[row] = np.searchsorted(sequence[row], values[row], chosen)
    return sorted_sequence.of_array(found)


def bucketize(input: Any, boundaries: Any, *, right: bool = False) -> Any:
    """The number of the bucket between boundaries that each element is in."""
    return searchsorted(boundaries, input, right=right)


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 on occurs; with `weights`, their sums. Raises: AutogradError for other numbers."""
    values = np.array(input.array())
    if values.ndim != 1 or not input.dtype_.is_integer or (values < 0).any():
        raise AutogradError("bincount only supports 1-d non-negative integral inputs.", location=caller())
    if weights is None:
        return input.of_array(np.asarray(np.bincount(values, None, minlength), np.int64))
    kind = weights.dtype_ if weights.dtype_.is_float else dtypes.f64
    return input.of_array(np.bincount(values, np.array(weights.array()), minlength).astype(kind.numpy))


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of `bins` equal parts from `min` to `max` (of the elements, if both are the same)."""
    if min > max:
        raise AutogradError("torch.histc: max must be larger than min", location=caller())
    values = np.array(input.array()).reshape(-1)
    ends = (float(values.min()), float(values.max())) if min == max and values.size else (min, max)
    return input.of_array(np.histogram(values, bins, ends)[0].astype(input.dtype_.numpy))

__all__ = [
    "aminmax", "argsort", "bincount", "bucketize", "cummax", "cummin", "histc", "kthvalue", "median", "mode", "msort",
    "quantile", "searchsorted", "sort", "topk", "unique", "unique_consecutive",
]  # fmt: skip
