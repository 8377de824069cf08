"""The dtypes that tensors show, named and printed as PyTorch's: float32, double, long, …"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError
from pullback.location import caller


@dataclass(frozen=True, repr=False)
class TensorDType:
    """An element type of tensors; `kind` is the IR's."""

    kind: DType

    def __repr__(self) -> str:
        return f"torch.{self.kind.short_name}"

    @property
    def is_floating_point(self) -> bool:
        return self.kind.is_float

    @property
    def is_signed(self) -> bool:
        return self.kind.is_float or self.kind.is_signed

    @property
    def itemsize(self) -> int:
        """Bytes an element."""
        return self.kind.itemsize


bool_ = TensorDType(dtypes.boolean)
int8, int16, int32, int64 = (TensorDType(each) for each in (dtypes.i8, dtypes.i16, dtypes.i32, dtypes.i64))
uint8, uint16, uint32, uint64 = (TensorDType(each) for each in (dtypes.u8, dtypes.u16, dtypes.u32, dtypes.u64))
float32, float64 = TensorDType(dtypes.f32), TensorDType(dtypes.f64)

BY_KIND = {each.kind: each for each in (
    bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float32, float64)}  # fmt: skip


_OF_PYTHON = {float: float64, int: int64, bool: bool_}


def kind_of(dtype: Any) -> DType:
    """The element type of a tensor dtype, or of Python's float, int, bool. Raises: ArgumentError for anything else."""
    if isinstance(dtype, TensorDType):
        return dtype.kind
    if isinstance(dtype, type) and dtype in _OF_PYTHON:
        return _OF_PYTHON[dtype].kind
    raise ArgumentError(f"dtype must be a dtype of tensors (pullback.float32, …), not {dtype!r}", location=caller())


class Size(tuple[int, ...]):
    """The sizes of a tensor: a tuple that prints as PyTorch's."""

    __slots__ = ()

    def __add__(self, other: Any) -> Any:
        return Size(tuple(self) + tuple(other))

    def __radd__(self, other: Any) -> Any:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, count: Any) -> Any:
        return Size(tuple(self) * count)

    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> Any:
        found = tuple(self)[index]
        return Size(found) if isinstance(index, slice) else found

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def numel(self) -> int:
        """Number of elements."""
        total = 1
        for size in self:
            total *= size
        return total
