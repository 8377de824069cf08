"""Operations that write their result into their first operand: ``exp_``, ``clamp_``, ``index_add_`` and their kin.

The operation is recorded as it would be without writing; then its result becomes the operand's elements, and its step the
one that made the operand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pullback.errors import AutogradError
from pullback.ir.core import Builder, Value
from pullback.ir.ops.arithmetic import Cast
from pullback.location import caller
from pullback.tracer.autograd import Recorded
from pullback.tracer.grad_mode import is_grad_enabled
from pullback.tracer.tensor_apply import DTYPE_WORDS, category
from pullback.tracer.tensor_base import check_writable, record, write_recorded


def in_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that writes what `function` gives into its first operand, and gives that back."""

    @functools.wraps(function)
    def written(self: Any, *args: Any, **kwargs: Any) -> Any:
        check_writable(self)
        return into(self, function(self, *args, **kwargs))

    written.__name__ = written.__qualname__ = function.__name__ + "_"
    written.__doc__ = f"As {function.__name__}, written into the tensor itself."
    return written


def into(target: Any, result: Any) -> Any:
    """Let `target` hold a result computed from it. Raises: AutogradError where its dtype or sizes do not allow that."""
    if category(result.dtype_) > category(target.dtype_):
        raise AutogradError(f"result type {DTYPE_WORDS[result.dtype_.name]} can't be cast to the desired output type "
                            f"{DTYPE_WORDS[target.dtype_.name]}", location=caller())  # fmt: skip
    if result.sizes != target.sizes:
        raise AutogradError(f"output with shape {list(target.sizes)} doesn't match the broadcast shape {list(result.sizes)}",
                            location=caller())  # fmt: skip
    if result.dtype_ != target.dtype_:
        kind = target.dtype_
        result = record("ToCopyBackward0", lambda b, x: b.value(Cast(kind), x), result)
    node = result.node
    if isinstance(node, Recorded):
        # What the step keeps of the target are its old elements: writing now does not spoil them.
        for place, (counter, *_) in list(node.versions.items()):
            if counter is target._counter:
                del node.versions[place]
                break
    if target._base is not None or not is_grad_enabled() or not isinstance(node, Recorded):
        return write_recorded(target, "CopyBackwards", _taken, result)
    number = result._output_nr
    target.overwrite(result.value)
    target._grad_fn, target._output_nr, target._requires_grad = node, number, True
    name = node.name().removesuffix("Backward0")
    target._counter.writer = name
    output = node.recipe.outputs[number]
    if output in node.saved:
        node.versions[output] = (target._counter, target._counter.count, name, number)
    return target


def _taken(b: Builder, x: Value, y: Value) -> Value:
    return y
