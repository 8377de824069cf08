"""Layers of networks as functions: normalization, embedding, padding, resizing, attention, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError, AutogradError, OutOfBoundsError, UnsupportedError
from pullback.ir.core import Builder, Value
from pullback.ir.ops import elementary as e
from pullback.ir.ops import logic as l
from pullback.location import caller
from pullback.tracer.grad_mode import no_grad
from pullback.tracer.semantics import elementwise as s
from pullback.tracer.semantics import indexing, products, shapes
from pullback.tracer.semantics import reductions as sr
from pullback.tracer.tensor_apply import DTYPE_WORDS
from pullback.tracer.tensor_base import Unseen, record
from pullback.tracer.tensor_einsum import einsum
from pullback.tracer.tensor_functional import dropout, without_gradient
from pullback.tracer.tensor_product import matmul
from pullback.tracer.tensor_reduction import softmax
from pullback.tracer.tensor_windows import each_axis, max_pool2d

Array = np.ndarray[Any, Any]


def _normal(b: Builder, x: Value, axes: tuple[int, ...], eps: float) -> Value:
    """Mean 0 and variance 1 over axes."""
    centre = s.sub(b, x, sr.mean(b, x, axes, True))
    spread = sr.mean(b, s.mul(b, centre, centre), axes, True)
    return s.div(b, centre, b.value(e.Sqrt(), s.add(b, spread, eps)))


def _affine(b: Builder, x: Value, given: Sequence[Value], scaled: bool) -> Value:
    """`scaled` and shifted by what is given, a number for each channel."""
    shape = (1, x.type.shape[1]) + (1,) * (x.type.rank - 2)
    numbers = [shapes.reshape(b, each, shape) for each in given]
    if scaled:
        x = s.mul(b, x, numbers.pop(0))
    return s.add(b, x, numbers[0]) if numbers else x


def batch_norm(input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None, training: bool = False,
               momentum: float = 0.1, eps: float = 1e-5) -> Any:  # fmt: skip
    """Mean 0 and variance 1 of each channel (second axis): in training of the batch, which moves the running ones.

    Raises: ArgumentValueError in training with one value a channel, or with one of the running ones alone; AutogradError
    where they are missing otherwise, or require grad.
    """
    axes, scaled = (0, *range(2, len(input.sizes))), weight is not None
    count = prod(input.sizes[axis] for axis in axes)
    running = _running(running_mean, running_var)
    if training:
        if count == 1:
            raise ArgumentValueError(f"Expected more than 1 value per channel when training, got input size "
                                     f"torch.Size({list(input.sizes)})", location=caller())  # fmt: skip
        plain = input.detach()
        _moved(running, momentum, lambda: (plain.mean(axes), plain.var(axes)))
        return record("NativeBatchNormBackward0", lambda b, x, *given: _affine(b, _normal(b, x, axes, eps), given, scaled),
                      input, weight, bias)  # fmt: skip
    if not running:
        raise AutogradError("running_mean must be defined in evaluation mode", location=caller())
    shape = (1, input.sizes[1]) + (1,) * (len(input.sizes) - 2)
    mean, spread = (each.array().reshape(shape) for each in running)

    def rule(b: Any, x: Value, *given: Value) -> Value:
        centre = s.sub(b, x, b.capture(mean.astype(x.type.dtype.numpy)))
        scale = b.capture((1 / np.sqrt(spread + eps)).astype(x.type.dtype.numpy))
        return _affine(b, s.mul(b, centre, scale), given, scaled)

    return record("NativeBatchNormBackward0", rule, input, weight, bias)


def _running(mean: Any, variance: Any) -> tuple[Any, ...]:
    """The running ones, or none. Raises: ArgumentValueError for one alone, AutogradError for one that requires grad."""
    if mean is None and variance is None:
        return ()
    if mean is None or variance is None:
        raise ArgumentValueError("running_mean and running_var must either both be None or neither be None", location=caller())
    without_gradient("native_batch_norm", "running_mean", mean)
    without_gradient("native_batch_norm", "running_var", variance)
    return mean, variance


def _moved(running: Sequence[Any], momentum: float, fresh: Callable[[], Sequence[Any]]) -> None:
    """Move the running ones, if there are any, toward fresh ones."""
    if running:
        with no_grad():
            for each, found in zip(running, fresh(), strict=True):
                each.mul_(1 - momentum).add_(found, alpha=momentum)


def _last_axes(input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None) -> tuple[int, ...]:
    """The axes of the last sizes. Raises: AutogradError where input, weight or bias have others."""
    wanted = tuple(normalized_shape)
    if input.sizes[len(input.sizes) - len(wanted) :] != wanted:
        raise AutogradError(f"Given normalized_shape={list(wanted)}, expected input with shape "
                            f"[*{''.join(f', {size}' for size in wanted)}], but got input of size{list(input.sizes)}",
                            location=caller())  # fmt: skip
    for name, each in (("weight", weight), ("bias", bias)):
        if each is not None and each.sizes != wanted:
            raise AutogradError(f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                                f"{list(each.sizes)} and normalized_shape = {list(wanted)}", location=caller())  # fmt: skip
    return tuple(range(len(input.sizes) - len(wanted), len(input.sizes)))


def layer_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Mean 0 and variance 1 over the last axes, then scaled and shifted. Raises: AutogradError for sizes that do not fit."""
    axes, scaled = _last_axes(input, normalized_shape, weight, bias), weight is not None

    def rule(b: Builder, x: Value, *given: Value) -> Value:
        left = list(given)
        result = _normal(b, x, axes, eps)
        if scaled:
            result = s.mul(b, result, left.pop(0))
        return s.add(b, result, left[0]) if left else result

    return record("NativeLayerNormBackward0", rule, input, weight, bias)


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Mean 0 and variance 1 of each group of channels of each example. Raises: AutogradError where groups do not divide."""
    n, c, *rest = input.sizes
    scaled = weight is not None
    if c % num_groups:
        raise AutogradError(f"Expected number of channels in input to be divisible by num_groups, but got input of shape "
                            f"{list(input.sizes)} and num_groups={num_groups}", location=caller())  # fmt: skip

    def rule(b: Builder, x: Value, *given: Value) -> Value:
        flat = shapes.reshape(b, x, (n, num_groups, c // num_groups * prod(rest)))
        return _affine(b, shapes.reshape(b, _normal(b, flat, (2,), eps), x.type.shape), given, scaled)

    return record("NativeGroupNormBackward0", rule, input, weight, bias)


def instance_norm(input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
                  use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5) -> Any:  # fmt: skip
    """Mean 0 and variance 1 of each channel of each example, which moves the running ones by their means.

    Raises: ArgumentValueError where an example has one value a channel, or as batch_norm does.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = tuple(range(2, len(input.sizes)))
    if prod(input.sizes[2:]) == 1:
        raise ArgumentValueError("Expected more than 1 spatial element when training, got input size "
                                 f"torch.Size({list(input.sizes)})", location=caller())  # fmt: skip
    plain = input.detach()
    _moved(_running(running_mean, running_var), momentum, lambda: (plain.mean(axes).mean(0), plain.var(axes).mean(0)))
    return group_norm(input, input.sizes[1], weight, bias, eps)


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Divided by the root of the mean square over the last axes. Raises: AutogradError for sizes that do not fit."""
    axes = _last_axes(input, normalized_shape, weight)
    least = float(np.finfo(input.dtype_.numpy).eps) if eps is None else eps

    def rule(b: Builder, x: Value, *given: Value) -> Value:
        square = sr.mean(b, s.mul(b, x, x), axes, True)
        found = s.div(b, x, b.value(e.Sqrt(), s.add(b, square, least)))
        return s.mul(b, found, given[0]) if given else found

    return record("FusedRmsNormBackward0", rule, input, weight)


def embedding(input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
              scale_grad_by_freq: bool = False, sparse: bool = False) -> Any:  # fmt: skip
    """Rows of a table by number; the row `padding_idx` gets no gradient. Raises: OutOfBoundsError for a row not there."""
    if not input.dtype_.is_integer:
        raise AutogradError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got "
            f"torch.{DTYPE_WORDS[input.dtype_.name]}Tensor instead (while checking arguments for embedding)", location=caller(),
        )  # fmt: skip
    if max_norm is not None or scale_grad_by_freq:
        raise ArgumentValueError("embedding: max_norm and scale_grad_by_freq are not supported", location=caller(),
                                 help="scale the table before")  # fmt: skip
    index = np.array(input.array())
    count = weight.sizes[0]
    if ((index < 0) | (index >= count)).any():
        raise OutOfBoundsError("index out of range in self", location=caller(), help=f"the table has {count} rows")
    if padding_idx is not None and not -count <= padding_idx < count:
        raise ArgumentValueError("Padding_idx must be within num_embeddings", location=caller(),
                                 help=f"the table has {count} rows")  # fmt: skip
    silent = None if padding_idx is None else padding_idx % count

    def rule(b: Builder, table: Value, places: Value) -> Value:
        rows = indexing.get(b, table, (places,))
        if silent is None:
            return rows
        mask = shapes.expand_dims(b, s.apply(b, l.Equal(), places, silent), -1)
        return s.where(b, s.broadcast_to(b, mask, rows.type.shape), b.value(e.StopGradient(), rows), rows)

    return record("EmbeddingBackward0", rule, weight, Unseen(input.value))


# Padding


def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Any:
    """Elements added at the ends of axes, from the last one on: a pair for each; negative counts cut off.

    Raises: AutogradError where there are too many pairs, too few elements to reflect or repeat, or a value for another mode
    than "constant"; UnsupportedError for other modes.
    """
    rank = len(input.sizes)
    if len(pad) % 2 or len(pad) > 2 * rank:
        raise AutogradError("Padding length must be divisible by 2" if len(pad) % 2 else
                            f"Padding length should be less than or equal to two times the input dimension but got padding "
                            f"length {len(pad)} and input of dimension {rank}", location=caller())  # fmt: skip
    ends = [(0, 0)] * (rank - len(pad) // 2) + [(pad[at], pad[at + 1]) for at in range(len(pad) - 2, -2, -2)]
    if mode == "constant":
        return _constant_pad(input, ends, value or 0.0)
    names = {"reflect": "ReflectionPad", "replicate": "ReplicationPad", "circular": "CircularPad"}
    if mode not in names:
        raise UnsupportedError(f"Unrecognised padding mode {mode}", location=caller(),
                               help="modes are constant, reflect, replicate and circular")  # fmt: skip
    if value is not None and value != 0:
        raise AutogradError(f'Padding mode "{mode}" doesn\'t take in value argument', location=caller())
    for (before, after), size in zip(ends, input.sizes, strict=True):
        if mode == "circular" and max(before, after) > size:
            raise AutogradError("Padding value causes wrapping around more than once.", location=caller())
        if mode == "reflect" and max(before, after) >= size:
            raise AutogradError("Argument #4: Padding size should be less than the corresponding input dimension, but got: "
                                f"padding ({before}, {after}) at dimension of size {size}", location=caller())  # fmt: skip
    index = [_padded_index(size, before, after, mode) for size, (before, after) in zip(input.sizes, ends, strict=True)]

    def rule(b: Builder, x: Value) -> Value:
        for axis, places in enumerate(index):
            if len(places) != x.type.shape[axis]:
                x = indexing.take(b, x, places, axis)
        return x

    return record(f"{names[mode]}{len(pad) // 2}DBackward0", rule, input)


def _padded_index(size: int, before: int, after: int, mode: str) -> Array:
    places = np.arange(-before, size + after)
    if mode == "circular":
        return places % size
    if mode == "replicate":
        return np.clip(places, 0, size - 1)
    return np.asarray((size - 1) - np.abs((size - 1) - np.abs(places)))


def _constant_pad(input: Any, ends: Sequence[tuple[int, int]], value: float) -> Any:
    def rule(b: Builder, x: Value) -> Value:
        for axis, (before, after) in enumerate(ends):
            if before < 0 or after < 0:
                size = x.type.shape[axis] + min(before, 0) + min(after, 0)
                x = shapes.window(b, x, axis, max(-before, 0), size)
        return shapes.pad(b, x, [(max(before, 0), max(after, 0)) for before, after in ends], value)

    return record("ConstantPadNdBackward0", rule, input)


# Other sizes


def _along_axes(name: str, input: Any, matrices: Sequence[Array]) -> Any:
    """Each of the last axes multiplied by a matrix: ``f[out, in]`` of the axis."""
    lead = len(input.sizes) - len(matrices)

    def rule(b: Any, x: Value) -> Value:
        for axis, matrix in enumerate(matrices, lead):
            last = shapes.moveaxis(b, x, axis, -1) if axis < x.type.rank - 1 else x
            found = products.matmul(b, last, b.capture(np.ascontiguousarray(matrix.T.astype(x.type.dtype.numpy))))
            x = shapes.moveaxis(b, found, -1, axis) if axis < x.type.rank - 1 else found
        return x

    return record(name, rule, input)


def _shares(size: int, parts: int) -> Array:
    """The matrix of means of nearly equal parts, which may overlap."""
    matrix = np.zeros((parts, size))
    for place in range(parts):
        start, stop = place * size // parts, -((-(place + 1) * size) // parts)
        matrix[place, start:stop] = 1 / (stop - start)
    return matrix


def _adaptive_mean(rank: int) -> Any:
    def pool(input: Any, output_size: Any) -> Any:
        """Means of so many nearly equal parts of the last axes."""
        given = output_size if isinstance(output_size, tuple | list) else (output_size,) * rank
        sizes = input.sizes[-rank:]
        wanted = [size if each is None else each for size, each in zip(sizes, given, strict=True)]
        if all(each == 1 for each in wanted) and rank > 1:
            return input.mean(tuple(range(-rank, 0)), True)
        matrices = [_shares(*each) for each in zip(sizes, wanted, strict=True)]
        return _along_axes(f"AdaptiveAvgPool{rank}DBackward0", input, matrices)

    return pool


adaptive_avg_pool2d, adaptive_avg_pool3d = _adaptive_mean(2), _adaptive_mean(3)


def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Means of so many nearly equal parts of the last axis."""
    (wanted,) = each_axis(output_size, 1)
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, wanted)).squeeze(-2)


def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The largest elements of so many equal parts. Raises: ArgumentValueError where the sizes do not divide."""
    wanted, sizes = each_axis(output_size, 2), input.sizes[-2:]
    if any(size % parts for size, parts in zip(sizes, wanted, strict=True)):
        raise ArgumentValueError(f"adaptive_max_pool2d: sizes {sizes} are no multiples of {wanted}", location=caller(),
                                 help="pad the input first")  # fmt: skip
    kernel = tuple(size // parts for size, parts in zip(sizes, wanted, strict=True))
    return max_pool2d(input, kernel, return_indices=return_indices, name="AdaptiveMaxPool2DBackward0")


def interpolate(input: Any, size: Any = None, scale_factor: Any = None, mode: str = "nearest",
                align_corners: bool | None = None) -> Any:  # fmt: skip
    """The last axes in other sizes, by the nearest element ("nearest") or between two ("linear", "bilinear").

    Raises: ArgumentValueError unless there is one of size and scale_factor, or for align_corners of "nearest";
    UnsupportedError for other modes, or a mode that is another rank's.
    """
    rank = len(input.sizes) - 2
    have = input.sizes[2:]
    if (size is None) == (scale_factor is None):
        raise ArgumentValueError("either size or scale_factor should be defined" if size is None else
                                 "only one of size or scale_factor should be defined", location=caller())  # fmt: skip
    if size is None:
        factors = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor,) * rank
        wanted = tuple(int(each * factor) for each, factor in zip(have, factors, strict=True))
        steps = [1 / factor for factor in factors]
    else:
        wanted = each_axis(size, rank)
        steps = [old / new for old, new in zip(have, wanted, strict=True)]
    if mode == "nearest":
        if align_corners is not None:
            raise ArgumentValueError("align_corners option can only be set with the interpolating modes: linear | bilinear",
                                     location=caller())  # fmt: skip
        # In float32, as PyTorch: where a place falls on the border of two elements, rounding decides.
        index = [np.minimum((np.arange(new, dtype=np.float32) * np.float32(step)).astype(int), old - 1)
                 for old, new, step in zip(have, wanted, steps, strict=True)]  # fmt: skip

        def rule(b: Builder, x: Value) -> Value:
            for axis, places in enumerate(index, 2):
                x = indexing.take(b, x, places, axis)
            return x

        return record(f"UpsampleNearest{rank}DBackward0", rule, input)
    ranks = {"linear": 1, "bilinear": 2}
    if ranks.get(mode) != rank:
        raise UnsupportedError(f"interpolate: mode {mode!r} is not supported for {rank + 2} axes", location=caller(),
                               help="modes are nearest, linear of 3 axes and bilinear of 4")  # fmt: skip
    matrices = [_between(*each, bool(align_corners)) for each in zip(have, wanted, steps, strict=True)]
    return _along_axes(f"Upsample{mode.title()}{rank}DBackward0", input, matrices)


def _between(old: int, new: int, step: float, corners: bool) -> Array:
    """The matrix of weights of the two nearest elements."""
    count = np.arange(new)
    places = count * ((old - 1) / max(new - 1, 1)) if corners else np.maximum((count + 0.5) * step - 0.5, 0)
    low = np.minimum(places.astype(int), old - 1)
    high, share = np.minimum(low + 1, old - 1), np.minimum(places - low, 1)
    matrix = np.zeros((new, old))
    np.add.at(matrix, (count, low), 1 - share)
    np.add.at(matrix, (count, high), share)
    return matrix


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels as finer places: ``f[..., c * r * r, h, w] -> f[..., c, h * r, w * r]``."""
    *lead, c, h, w = input.sizes
    r = upscale_factor

    def rule(b: Builder, x: Value) -> Value:
        apart = shapes.reshape(b, x, (*lead, c // (r * r), r, r, h, w))
        n = len(lead)
        order = (*range(n + 1), n + 3, n + 1, n + 4, n + 2)
        return shapes.reshape(b, shapes.transpose(b, apart, order), (*lead, c // (r * r), h * r, w * r))

    return record("PixelShuffleBackward0", rule, input)


def scaled_dot_product_attention(query: Any, key: Any, value: Any, attn_mask: Any = None, dropout_p: float = 0.0,
                                 is_causal: bool = False, scale: float | None = None) -> Any:  # fmt: skip
    """softmax(query @ key.T * scale + mask) @ value; the scale is 1 / sqrt of the last size unless given.

    A query for which `attn_mask` leaves nothing gives zeros. Raises: AutogradError for both kinds of mask.
    """
    factor = query.sizes[-1] ** -0.5 if scale is None else scale
    scores = matmul(query, key.transpose(-2, -1)) * factor
    if attn_mask is None:
        if is_causal:
            rows, columns = scores.sizes[-2:]
            scores = scores.masked_fill(query.of_array(~np.tri(rows, columns, dtype=bool)), float("-inf"))
        return matmul(dropout(softmax(scores, -1), dropout_p), value)
    if is_causal:
        raise AutogradError("_scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True",
                            location=caller())  # fmt: skip
    if attn_mask.dtype_.is_bool:
        scores = scores.masked_fill(attn_mask.logical_not(), float("-inf"))
    else:
        scores = scores + attn_mask
    nothing = (scores == float("-inf")).all(-1, True)
    shares = softmax(scores.masked_fill(nothing, 0.0), -1).masked_fill(nothing, 0.0)
    return matmul(dropout(shares, dropout_p), value)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """x1 @ weight[k] @ x2 for each k: ``(f[..., i], f[..., j], f[k, i, j]) -> f[..., k]``."""
    found = einsum("...i,kij,...j->...k", input1, weight, input2)
    return found if bias is None else found + bias


__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool2d", "batch_norm", "bilinear",
    "embedding", "group_norm", "instance_norm", "interpolate", "layer_norm", "pad", "pixel_shuffle", "rms_norm",
    "scaled_dot_product_attention",
]  # fmt: skip
