"""What windows of the last axes give: convolutions and pooling, by the names of PyTorch's ``nn.functional``.

A window is a slice for each place of the kernel; all of them side by side are a matrix, and a convolution one product of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, AutogradError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.shape import Assemble, Slice
from pullback.location import caller
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing, products, shapes
from pullback.tracer.semantics import reductions as sr
from pullback.tracer.tensor_base import record

Sizes = tuple[int, ...]


def each_axis(value: Any, rank: int) -> Sizes:
    """A number for each of the last axes, from one or several."""
    if isinstance(value, int):
        return (value,) * rank
    found = tuple(int(each) for each in value)
    return found * rank if len(found) == 1 else found


def window_counts(sizes: Sizes, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Sizes:
    """How many windows there are along each axis."""
    return tuple(
        max((size - wide * (k - 1) - 1) // step + 1, 0)
        for size, k, step, wide in zip(sizes, kernel, stride, dilation, strict=True)
    )


def padded(b: Builder, x: Value, padding: Sequence[tuple[int, int]], fill: float = 0.0) -> Value:
    """The last axes made longer at both ends."""
    lead = x.type.rank - len(padding)
    return shapes.pad(b, x, [(0, 0)] * lead + list(padding), fill) if any(map(any, padding)) else x


def windows(b: Builder, x: Value, kernel: Sizes, stride: Sizes, dilation: Sizes) -> Value:
    """The places of all windows side by side: ``f[..., *sizes] -> f[..., places, *counts]``."""
    lead = x.type.rank - len(kernel)
    counts = window_counts(x.type.shape[lead:], kernel, stride, dilation)
    parts = []
    for place in product(*map(range, kernel)):
        starts = tuple(offset * wide for offset, wide in zip(place, dilation, strict=True))
        op = Slice((0,) * lead + starts, x.type.shape[:lead] + counts, (1,) * lead + stride)
        parts.append(b.value(op, x))
    return shapes.stack(b, parts, lead) if len(parts) > 1 else shapes.expand_dims(b, parts[0], lead)


def _convolved(b: Builder, x: Value, w: Value, stride: Sizes, padding: Sequence[tuple[int, int]], dilation: Sizes,
               groups: int) -> Value:  # fmt: skip
    """``(f[n, c, ...], f[o, c/groups, ...]) -> f[n, o, ...]``, as one matrix product a group."""
    kernel = w.type.shape[2:]
    columns = windows(b, padded(b, x, padding), kernel, stride, dilation)
    n, c, places, *counts = columns.type.shape
    o = w.type.shape[0]
    # A row for each channel and place of the kernel, a column for each window of each example.
    rows = shapes.reshape(b, shapes.moveaxis(b, columns, 0, 2), (groups, c // groups * places, n * prod(counts)))
    weights = shapes.reshape(b, w, (groups, o // groups, c // groups * places))
    if groups == 1:
        found = products.matmul(b, shapes.squeeze(b, weights, 0), shapes.squeeze(b, rows, 0))
    else:
        found = products.matmul(b, weights, rows)
    return shapes.moveaxis(b, shapes.reshape(b, found, (o, n, *counts)), 0, 1)


def _with_bias(b: Builder, value: Value, bias: Sequence[Value]) -> Value:
    if not bias:
        return value
    shape = (1, bias[0].type.shape[0]) + (1,) * (value.type.rank - 2)
    return s.add(b, value, shapes.reshape(b, bias[0], shape))


def _check(name: str, said: str, input: Any, weight: Any, bias: Any, channels: int, filters: int, rank: int) -> None:
    """Raises: AutogradError for sizes of input or bias that do not fit; `said` begins the message."""
    if len(input.sizes) not in (rank + 1, rank + 2):
        raise AutogradError(f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got input of "
                            f"size: {list(input.sizes)}", location=caller())  # fmt: skip
    found = input.sizes[-rank - 1]
    if found != channels:
        raise AutogradError(
            f"Given {said}, weight of size {list(weight.sizes)}, expected input{list(input.sizes)} to have {channels} "
            f"channels, but got {found} channels instead", location=caller(),
        )  # fmt: skip
    if bias is not None and bias.sizes != (filters,):
        raise AutogradError(
            f"Given {said}, weight of size {list(weight.sizes)}, expected bias to be 1-dimensional with {filters} elements, "
            f"but got bias of size {list(bias.sizes)} instead", location=caller(),
        )  # fmt: skip


def _of_batch(name: str, rule: Any, rank: int, input: Any, *operands: Any) -> Any:
    """A rule of a batch of examples, applied to one, or to a single example without the first axis."""
    if len(input.sizes) == rank + 2:
        return record(name, rule, input, *operands)
    return record(name, rule, input.unsqueeze(0), *operands).squeeze(0)


def _convolution(rank: int) -> Any:
    name = f"conv{rank}d"

    def convolve(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1,
                 groups: int = 1) -> Any:  # fmt: skip
        _check(name, f"groups={groups}", input, weight, bias, weight.sizes[1] * groups, weight.sizes[0], rank)
        steps, wide = each_axis(stride, rank), each_axis(dilation, rank)
        if isinstance(padding, str) and padding not in ("same", "valid"):
            raise AutogradError(f"Invalid padding string: '{padding}'", location=caller(), help="say same, valid or numbers")
        if padding == "same":
            if any(step != 1 for step in steps):
                raise AutogradError("padding='same' is not supported for strided convolutions", location=caller())
            spans = [width * (k - 1) for width, k in zip(wide, weight.sizes[2:], strict=True)]
            ends = [(span // 2, span - span // 2) for span in spans]
        else:
            ends = [(each, each) for each in each_axis(0 if padding == "valid" else padding, rank)]
        sizes = [size + sum(end) for size, end in zip(input.sizes[-rank:], ends, strict=True)]
        spans = [width * (k - 1) + 1 for width, k in zip(wide, weight.sizes[2:], strict=True)]
        if any(size < span for size, span in zip(sizes, spans, strict=True)):
            shown = [" x ".join(map(str, each)) for each in (sizes, spans)]
            raise AutogradError(f"Calculated padded input size per channel: ({shown[0]}). Kernel size: ({shown[1]}). Kernel "
                                "size can't be greater than actual input size", location=caller())  # fmt: skip

        def rule(b: Builder, x: Value, w: Value, *biases: Value) -> Value:
            return _with_bias(b, _convolved(b, x, w, steps, ends, wide, groups), biases)

        return _of_batch("ConvolutionBackward0", rule, rank, input, weight, bias)

    convolve.__name__ = name
    convolve.__doc__ = "Each filter at every place: ``(f[n, c, ...], f[o, c / groups, ...]) -> f[n, o, ...]``."
    return convolve


conv1d, conv2d, conv3d = _convolution(1), _convolution(2), _convolution(3)


def _transposed(rank: int) -> Any:
    name = f"conv_transpose{rank}d"

    def convolve(input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
                 groups: int = 1, dilation: Any = 1) -> Any:  # fmt: skip
        _check(name, "transposed=1", input, weight, bias, weight.sizes[0], weight.sizes[1] * groups, rank)
        steps, wide, more = each_axis(stride, rank), each_axis(dilation, rank), each_axis(output_padding, rank)
        pads, kernel = each_axis(padding, rank), weight.sizes[2:]
        if any(extra >= max(step, width) for extra, step, width in zip(more, steps, wide, strict=True)):
            raise AutogradError("output padding must be smaller than either stride or dilation, but got output_padding "
                                f"{more}, stride {steps}, dilation {wide}", location=caller())  # fmt: skip
        sizes = [(size - 1) * step + width * (k - 1) + 1 + extra - 2 * pad for size, step, width, k, extra, pad in
                 zip(input.sizes[-rank:], steps, wide, kernel, more, pads, strict=True)]  # fmt: skip
        if any(size < 1 for size in sizes):
            shown = [" x ".join(map(str, each)) for each in (input.sizes[-rank:], sizes)]
            raise AutogradError(f"Given input size per channel: ({shown[0]}). Calculated output size per channel: "
                                f"({shown[1]}). Output size is too small", location=caller())  # fmt: skip

        def rule(b: Builder, x: Value, w: Value, *biases: Value) -> Value:
            n, c, *sizes = x.type.shape
            # Zeros between the elements, and around them what a window reaches beyond.
            dims, starts, cuts = [], [], []
            for size, step, width, extra, pad, k in zip(sizes, steps, wide, more, pads, kernel, strict=True):
                edge = width * (k - 1)
                dims.append((size - 1) * step + 1 + 2 * edge + extra)
                starts.append(edge)
                cuts.append((pad, dims[-1] - 2 * pad))
            spread = b.value(Assemble((n, c, *dims), ((0, 0, *starts),), ((1, 1, *steps),)), x)
            op = Slice((0, 0, *(at for at, _ in cuts)), (n, c, *(count for _, count in cuts)), (1,) * (rank + 2))
            inside = b.value(op, spread)
            i, o = w.type.shape[:2]
            grouped = shapes.reshape(b, w, (groups, i // groups, o, *kernel))
            turned = shapes.reshape(b, shapes.swapaxes(b, grouped, 1, 2), (groups * o, i // groups, *kernel))
            flipped = shapes.flip(b, turned, tuple(range(2, rank + 2)))
            return _with_bias(b, _convolved(b, inside, flipped, (1,) * rank, [(0, 0)] * rank, wide, groups), biases)

        return _of_batch("ConvolutionBackward0", rule, rank, input, weight, bias)

    convolve.__name__ = name
    convolve.__doc__ = f"The adjoint of conv{rank}d: ``(f[n, c, ...], f[c, o / groups, ...]) -> f[n, o, ...]``."
    return convolve


conv_transpose1d, conv_transpose2d, conv_transpose3d = _transposed(1), _transposed(2), _transposed(3)


def _pool_sizes(
    name: str, kernel_size: Any, stride: Any, padding: Any, rank: int, ceil_mode: bool
) -> tuple[Sizes, Sizes, Sizes]:
    kernel = each_axis(kernel_size, rank)
    steps = kernel if stride is None or stride == [] else each_axis(stride, rank)
    pads = each_axis(padding, rank)
    if ceil_mode:
        raise ArgumentValueError(f"{name}: ceil_mode is not supported", location=caller(), help="pad the input first")
    if any(2 * pad > k for pad, k in zip(pads, kernel, strict=True)):
        raise AutogradError(f"pad should be at most half of effective kernel size, but got pad={max(pads)}, kernel_size="
                            f"{max(kernel)} and dilation=1", location=caller())  # fmt: skip
    return kernel, steps, pads


def _largest(rank: int) -> Any:
    """Values and indices of the largest element of each window."""
    name = f"MaxPool{rank}DWithIndicesBackward0"

    def pool(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
             return_indices: bool = False, *, name: str = name) -> Any:  # fmt: skip
        kernel, steps, pads = _pool_sizes(f"max_pool{rank}d", kernel_size, stride, padding, rank, ceil_mode)
        wide = each_axis(dilation, rank)
        lead = len(input.sizes) - rank

        def places(b: Builder, x: Value) -> tuple[Value, Value]:
            every = windows(b, padded(b, x, [(pad, pad) for pad in pads], -np.inf), kernel, steps, wide)
            return every, sr.arg_extreme(b, True, every, lead, True)

        def rule(b: Builder, x: Value) -> Value:
            every, index = places(b, x)
            return shapes.squeeze(b, indexing.take_along_axis(b, every, index, lead), lead)

        found = record(name, rule, input)
        if not return_indices:
            return found
        chosen = np.array(record("", lambda b, x: places(b, x)[1], input.detach()).array())[(slice(None),) * lead + (0,)]
        flat: Any = 0
        for axis, size in enumerate(input.sizes[lead:]):
            offset = chosen // prod(kernel[axis + 1 :]) % kernel[axis] * wide[axis] - pads[axis]
            first = np.arange(found.sizes[lead + axis]) * steps[axis]
            flat = flat * size + offset + first.reshape([-1 if each == lead + axis else 1 for each in range(chosen.ndim)])
        return found, input.of_array(np.ascontiguousarray(flat))

    return pool


max_pool2d, max_pool3d = _largest(2), _largest(3)


def max_pool1d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
               return_indices: bool = False) -> Any:  # fmt: skip
    """The largest element of each window of the last axis."""
    pair = [(1, *each_axis(each, 1)) for each in (kernel_size, kernel_size if stride is None else stride, dilation)]
    found = max_pool2d(input.unsqueeze(-2), pair[0], pair[1], (0, *each_axis(padding, 1)), pair[2], ceil_mode, return_indices)
    return (found[0].squeeze(-2), found[1].squeeze(-2)) if return_indices else found.squeeze(-2)


def _mean(rank: int) -> Any:
    def pool(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
             count_include_pad: bool = True, divisor_override: int | None = None) -> Any:  # fmt: skip
        """The mean of each window; elements of the padding count unless `count_include_pad` says otherwise.

        Raises: AutogradError for a divisor of 0.
        """
        if divisor_override == 0:
            raise AutogradError("divisor must be not zero", location=caller())
        kernel, steps, pads = _pool_sizes(f"avg_pool{rank}d", kernel_size, stride, padding, rank, ceil_mode)
        lead = len(input.sizes) - rank
        ends = [(pad, pad) for pad in pads]

        def rule(b: Any, x: Value) -> Value:
            total = sr.total(b, windows(b, padded(b, x, ends), kernel, steps, (1,) * rank), lead)
            if divisor_override is not None or count_include_pad or not any(pads):
                return s.div(b, total, float(divisor_override or prod(kernel)))
            counts: Any = 1.0
            for axis in range(rank):
                real = np.pad(np.ones(x.type.shape[lead + axis]), pads[axis])
                starts = [at * steps[axis] for at in range(total.type.shape[lead + axis])]
                along = np.array([real[start : start + kernel[axis]].sum() for start in starts])
                counts = counts * along.reshape([-1 if each == axis else 1 for each in range(rank)])
            return s.div(b, total, b.capture(np.asarray(counts, x.type.dtype.numpy)))

        return record(f"AvgPool{rank}DBackward0", rule, input)

    return pool


avg_pool2d, avg_pool3d = _mean(2), _mean(3)


def avg_pool1d(input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
               count_include_pad: bool = True) -> Any:  # fmt: skip
    """The mean of each window of the last axis."""
    pair = [(1, *each_axis(each, 1)) for each in (kernel_size, kernel_size if stride is None else stride)]
    found = avg_pool2d(input.unsqueeze(-2), pair[0], pair[1], (0, *each_axis(padding, 1)), ceil_mode, count_include_pad)
    return found.squeeze(-2)


def unfold(input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Any:
    """The windows of images as columns: ``f[n, c, h, w] -> f[n, c * places, windows]``; of one image without n."""
    kernel, wide, pads, steps = (each_axis(each, 2) for each in (kernel_size, dilation, padding, stride))

    def rule(b: Builder, x: Value) -> Value:
        every = windows(b, padded(b, x, [(pad, pad) for pad in pads]), kernel, steps, wide)
        n, c, places, *counts = every.type.shape
        return shapes.reshape(b, every, (n, c * places, prod(counts)))

    return _of_batch("Im2ColBackward0", rule, 2, input)


__all__ = [
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "max_pool1d", "max_pool2d", "max_pool3d", "unfold",
]  # fmt: skip
