"""Elementwise functions of chosen elements: each is applied to all elements, and its result is chosen as they are."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pullback.errors import ShapeError, TraceError
from pullback.ir.core import Value
from pullback.location import caller
from pullback.tracer.chosen.elements import WHAT, Chosen, other_mask, same_mask
from pullback.tracer.numpy_functions.arguments import as_array
from pullback.tracer.record import Recorder
from pullback.tracer.traced import Traced, active


def lead_of(b: Recorder, operands: Sequence[Any]) -> Chosen:
    """One of the chosen operands, with which all fit. Raises: TraceError for two masks or two axes of unknown length."""
    first, *others = [each for each in operands if isinstance(each, Chosen)]
    for other in others:
        if other.from_right != first.from_right:
            raise TraceError(
                f"{WHAT} along two different axes: a table of unknown numbers of rows and columns is not traced",
                location=caller(), help="use np.where(mask, x, 0) for one of them, or a loop over all elements",
            )  # fmt: skip
        if other.mask is not first.mask and not same_mask(b, first, other):
            raise other_mask()
    return first


def fits(lead: Chosen, shape: Sequence[int]) -> None:
    """Raises: ShapeError for an array that has another size than 1 where the number of elements is unknown."""
    if len(shape) >= lead.from_right and shape[-lead.from_right] != 1:
        raise ShapeError(
            f"an array of shape {list(shape)} together with {WHAT}", location=caller(),
            help="choose from that array in the same way: x[mask] * y[mask], x[:n] * y[:n]",
        )  # fmt: skip


def elementwise(function: Callable[..., Any], operands: Sequence[Any], **named: Any) -> Any:
    """``function(*operands, **named)``, at least one of them chosen; the others may be arrays, numbers or None.

    Raises: TraceError and ShapeError for operands that do not fit, see `lead_of` and `fits`.
    """
    names = [name for name, value in named.items() if isinstance(value, Chosen | Traced)]
    if names:
        inner, count, rest = function, len(operands), {name: named[name] for name in named if name not in names}
        operands, named = (*operands, *[named[name] for name in names]), {}

        def function(*arrays: Any) -> Any:
            return inner(*arrays[:count], **dict(zip(names, arrays[count:], strict=True)), **rest)

    b = active()
    lead = lead_of(b, operands)
    arrays = [each if _is_plain(each) else each.values if isinstance(each, Chosen) else as_array(each) for each in operands]
    for given, array in zip(operands, arrays, strict=True):
        if array is not None and not _is_plain(array) and not isinstance(given, Chosen):
            fits(lead, array.shape)
    at = max(array.ndim for array in arrays if not _is_plain(array)) - lead.from_right
    result = function(*arrays, **named)
    if isinstance(result, tuple):
        return tuple([lead.like(each, at) for each in result])
    return lead.like(result, at)


def _is_plain(operand: Any) -> bool:
    """Whether an operand is a number of Python, or none."""
    return operand is None or type(operand) in (float, int, bool)


def laid_out(b: Recorder, c: Chosen, mask: Value, from_right: int) -> Any:
    """The values of chosen elements, to be put where `mask` (``bool[n]``) chooses.

    Raises: TraceError for those of another mask, ShapeError where the unknown axis is another one.
    """
    if c.from_right != from_right:
        raise ShapeError(f"{WHAT} do not fit the places that they are assigned to: axis {c.at} of {c.ndim} has an unknown "
                         "length", location=caller())  # fmt: skip
    if not same_mask(b, c, Chosen(c.values, b.wrap(mask), c.at)):
        raise other_mask()
    return c.values
