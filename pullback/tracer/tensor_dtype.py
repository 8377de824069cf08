"""The dtypes that tensors show, named and printed as PyTorch's: float32, double, long, …"""

from __future__ import annotations

from dataclasses import dataclass

from pullback import dtypes
from pullback.dtypes import DType


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


class Size(tuple[int, ...]):
    """The sizes of a tensor: a tuple that prints as PyTorch's."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def numel(self) -> int:
        """Number of elements."""
        total = 1
        for size in self:
            total *= size
        return total
