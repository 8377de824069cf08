"""Questions about tensors and dtypes, settings for all of them, and the old names of tensors by dtype."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import numpy as np

from pullback.errors import ArgumentError
from pullback.location import caller
from pullback.tracer.tensor import Tensor
from pullback.tracer.tensor_apply import category, default_float, promote, result_dtype, set_default_float
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_device import CPU, check_device, device
from pullback.tracer.tensor_dtype import BY_KIND, TensorDType, kind_of
from pullback.tracer.tensor_text import DEFAULT, PRINT_OPTIONS


def numel(input: Any) -> int:
    """Number of elements."""
    return int(input.numel())


def detach(input: Any) -> Any:
    """The same memory, outside of the graph."""
    return input.detach()


def is_floating_point(input: Any) -> bool:
    """Whether the elements are floats."""
    return bool(input.dtype_.is_float)


def is_complex(input: Any) -> bool:
    """False: there are no complex tensors."""
    return False


def result_type(tensor1: Any, tensor2: Any) -> TensorDType:
    """The dtype of the result of an operation on both."""
    return BY_KIND[result_dtype((tensor1, tensor2))]


def promote_types(type1: Any, type2: Any) -> TensorDType:
    """The smallest dtype that both fit into."""
    return BY_KIND[promote(kind_of(type1), kind_of(type2))]


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a result of one dtype may be written into a tensor of another."""
    return category(kind_of(from_)) <= category(kind_of(to))


def get_default_dtype() -> TensorDType:
    """The dtype that Python's floats become."""
    return BY_KIND[default_float()]


def set_default_dtype(d: Any) -> None:
    """Let Python's floats become another float dtype. Raises: ArgumentError for no float."""
    kind = kind_of(d)
    if not kind.is_float:
        raise ArgumentError("only floating-point types are supported as the default type", location=caller())
    set_default_float(kind)


def get_default_device() -> device:
    """The processor."""
    return CPU


def set_default_device(device: Any) -> None:
    """Raises: ArgumentError for another device than the processor."""
    check_device(device)


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None, linewidth: int | None = None,
    profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors are printed from now on; `profile` "default", "short" or "full" sets all at once."""
    options = PRINT_OPTIONS.get()
    if profile is not None:
        options = {
            "default": DEFAULT, "short": replace(DEFAULT, precision=2, edge_items=2),
            "full": replace(DEFAULT, threshold=float("inf")),
        }[profile]  # fmt: skip
    PRINT_OPTIONS.set(replace(
        options, precision=options.precision if precision is None else precision,
        threshold=options.threshold if threshold is None else threshold,
        edge_items=options.edge_items if edgeitems is None else edgeitems,
        line_width=options.line_width if linewidth is None else linewidth, scientific=sci_mode,
    ))  # fmt: skip


_threads: ContextVar[int] = ContextVar("pullback_tensor_threads", default=1)


def get_num_threads() -> int:
    """What set_num_threads was given: it changes nothing here."""
    return _threads.get()


def set_num_threads(count: int) -> None:
    """Kept for programs that ask for it: tensors are computed as the package's settings say."""
    _threads.set(count)


class TypedTensor:
    """``FloatTensor`` and its kin: makes tensors of a dtype, and says of a tensor whether it has that dtype."""

    def __init__(self, name: str, dtype: TensorDType) -> None:
        self.__name__ = name
        self._dtype = dtype

    def __call__(self, *args: Any) -> Tensor:
        if len(args) == 1 and not isinstance(args[0], int):
            source = args[0].array() if isinstance(args[0], TensorBase) else args[0]
            return Tensor.of_array(np.array(source, self._dtype.kind.numpy, order="C"))
        return Tensor.of_array(np.zeros(args if args else (0,), self._dtype.kind.numpy))

    def __instancecheck__(self, value: object) -> bool:
        return isinstance(value, TensorBase) and value.dtype_ == self._dtype.kind

    def __repr__(self) -> str:
        return f"<class 'torch.{self.__name__}'>"

    __str__ = __repr__


_BY_NAME = {
    "FloatTensor": "f32", "DoubleTensor": "f64", "LongTensor": "i64", "IntTensor": "i32", "ShortTensor": "i16",
    "CharTensor": "i8", "ByteTensor": "u8", "BoolTensor": "bool",
}  # fmt: skip


def _typed(name: str) -> TypedTensor:
    return TypedTensor(name, next(dtype for kind, dtype in BY_KIND.items() if kind.name == _BY_NAME[name]))


FloatTensor, DoubleTensor, LongTensor, IntTensor = (
    _typed("FloatTensor"), _typed("DoubleTensor"), _typed("LongTensor"), _typed("IntTensor"))  # fmt: skip
ShortTensor, CharTensor, ByteTensor, BoolTensor = (
    _typed("ShortTensor"), _typed("CharTensor"), _typed("ByteTensor"), _typed("BoolTensor"))  # fmt: skip

__all__ = [
    "BoolTensor", "ByteTensor", "CharTensor", "DoubleTensor", "FloatTensor", "IntTensor", "LongTensor", "ShortTensor",
    "can_cast", "detach", "get_default_device", "get_default_dtype", "get_num_threads", "is_complex", "is_floating_point",
    "numel", "promote_types", "result_type", "set_default_device", "set_default_dtype", "set_num_threads", "set_printoptions",
]  # fmt: skip
