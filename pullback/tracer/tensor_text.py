"""An array and what autograd knows of it in, the text that PyTorch 2.13 prints for such a tensor out.

All numbers of a tensor share one style. Floats that are all whole print as ``3.``, others with four decimals, and
both in scientific notation when they lie too far apart. Every number is padded on the left to one width, so columns
line up; rows are broken at 80 characters, and of more than 1000 elements only the three at each end of an axis show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

_PREFIX = "tensor("


@dataclass(frozen=True)
class PrintOptions:
    """How tensors are printed: the arguments of ``torch.set_printoptions``, with its default profile.

    `precision` counts decimals, `threshold` is the largest number of elements printed in full, `edge_items` how many
    are kept at each end of an axis beyond it, `line_width` is in characters, and `scientific` forces scientific
    notation on or off; None decides by the numbers.
    """

    precision: int = 4
    threshold: float = 1000
    edge_items: int = 3
    line_width: int = 80
    scientific: bool | None = None


DEFAULT = PrintOptions()
PRINT_OPTIONS: ContextVar[PrintOptions] = ContextVar("pullback_print_options", default=DEFAULT)
"""How tensors are printed now."""
_FLOAT32: np.dtype[Any] = np.dtype(np.float32)


def tensor_text(
    values: np.ndarray[Any, Any],
    *,
    requires_grad: bool,
    grad_fn_name: str | None,
    default_dtype: np.dtype[Any] = _FLOAT32,
    options: PrintOptions | None = None,
) -> str:
    """The text of a tensor, letter by letter as PyTorch 2.13 writes it.

    `grad_fn_name` is the name of the node that made the tensor (``AddBackward0``), None for a leaf; a dtype is named
    when the reader could not guess it: all but `default_dtype`, ``int64`` and ``bool``.
    """
    options = PRINT_OPTIONS.get() if options is None else options
    suffixes = []
    if values.size == 0:
        if values.ndim != 1:
            suffixes.append(f"size={values.shape}")
        dtype_is_plain = values.dtype == default_dtype
        body = "[]"
    else:
        dtype_is_plain = values.dtype in (default_dtype, np.dtype(np.int64), np.dtype(np.bool_))
        body = _body(values, options)
    if not dtype_is_plain:
        suffixes.append(f"dtype=torch.{values.dtype.name}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(_PREFIX + body, suffixes, options.line_width) + ")"


def _with_suffixes(text: str, suffixes: Sequence[str], line_width: int) -> str:
    """`text` and its comma-separated suffixes; one that no longer fits in the line begins a new one."""
    # One more than the last line holds: a text without a line break counts its missing break too.
    used = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if used + len(suffix) + 2 > line_width:
            text += ",\n" + " " * len(_PREFIX) + suffix
            used = len(_PREFIX) + len(suffix)
        else:
            text += ", " + suffix
            used += len(suffix) + 2
    return text


def _body(values: np.ndarray[Any, Any], options: PrintOptions) -> str:
    """The bracketed numbers, without prefix and suffixes."""
    shown, cut = values, (False,) * values.ndim
    if values.size > options.threshold:
        shown, cut = _ends(values, options.edge_items)
    numbers = shown.ravel().tolist()
    texts = _float_texts(numbers, options) if values.dtype.kind == "f" else [str(number) for number in numbers]
    # A number that is not finite, or zero, does not widen a column of floats: only the others were measured.
    measured = [
        text
        for text, number in zip(texts, numbers, strict=True)
        if values.dtype.kind != "f" or (isfinite(number) and number != 0)
    ]
    width = max(map(len, measured), default=1)
    padded = iter([text.rjust(width) for text in texts])
    return _nested(padded, shown.shape, cut, width, len(_PREFIX), options)


def _ends(values: np.ndarray[Any, Any], edge_items: int) -> tuple[np.ndarray[Any, Any], tuple[bool, ...]]:
    """The first and last `edge_items` along every axis, and which axes lost something."""
    cut = tuple(size > 2 * edge_items for size in values.shape)
    for axis, axis_is_cut in enumerate(cut):
        if axis_is_cut:
            size = values.shape[axis]
            values = values.take([*range(edge_items), *range(size - edge_items, size)], axis=axis)
    return values, cut


def _float_texts(numbers: Sequence[float], options: PrintOptions) -> list[str]:
    """The numbers in the one style that suits them all."""
    counted = [number for number in numbers if isfinite(number) and number != 0]
    whole = all(number.is_integer() for number in counted)
    scientific = options.scientific
    if scientific is None:
        magnitudes = [abs(number) for number in counted] or [1.0]
        least, most = min(magnitudes), max(magnitudes)
        scientific = most / least > 1000.0 or most > 1.0e8 or (not whole and least < 1.0e-4)
    elif not counted:
        scientific = False
    if scientific:
        return [f"{number:.{options.precision}e}" for number in numbers]
    if whole:
        return [f"{number:.0f}." if isfinite(number) else str(number) for number in numbers]
    return [f"{number:.{options.precision}f}" for number in numbers]


def _nested(
    texts: Iterator[str], shape: Sequence[int], cut: Sequence[bool], width: int, indent: int, options: PrintOptions
) -> str:
    """Brackets around the next texts in row-major order: rows of a matrix on lines, matrices apart by blank lines."""
    if not shape:
        return next(texts)
    if len(shape) == 1:
        parts = [next(texts) for _ in range(shape[0])]
    else:
        parts = [_nested(texts, shape[1:], cut[1:], width, indent + 1, options) for _ in range(shape[0])]
    if cut[0]:
        parts.insert(options.edge_items, " ..." if len(shape) == 1 else "...")
    margin = " " * (indent + 1)
    if len(shape) > 1:
        return "[" + ("," + "\n" * (len(shape) - 1) + margin).join(parts) + "]"
    in_line = max(1, (options.line_width - indent) // (width + 2))
    lines = [", ".join(parts[start : start + in_line]) for start in range(0, len(parts), in_line)]
    return "[" + (",\n" + margin).join(lines) + "]"
