"""Where tensors live, how they lie in memory, and the limits of their dtypes, told as PyTorch tells them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentError, AutogradError
from pullback.location import caller
from pullback.tracer.tensor_dtype import TensorDType

_ELSEWHERE = ("cuda", "mps", "xpu", "meta", "hip", "xla", "mkldnn", "vulkan", "privateuseone")


@dataclass(frozen=True, repr=False)
class device:
    """``device("cpu")``: the processor's memory, the only place there is.

    Raises: AutogradError for a kind of device that nobody knows.
    """

    type: str
    index: int | None = None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:
        if isinstance(type, device):
            type, index = type.type, type.index
        kind, _, number = str(type).partition(":")
        if kind != "cpu" and kind not in _ELSEWHERE:
            raise AutogradError("Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, "
                                "lazy, vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: "
                                f"{kind}", location=caller())  # fmt: skip
        object.__setattr__(self, "type", kind)
        object.__setattr__(self, "index", int(number) if number else index)

    def __repr__(self) -> str:
        return f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __enter__(self) -> device:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


CPU = device("cpu")


def check_device(wanted: Any) -> None:
    """Raises: ArgumentError for another device than the processor."""
    if wanted is not None and device(wanted).type != "cpu":
        raise ArgumentError(f"there is no device {wanted}: tensors live in the processor's memory", location=caller())


class layout:
    """How a tensor lies in memory."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


strided = layout("strided")


class memory_format(layout):
    """In which order axes lie in memory: of tensors here, the order they are shown in."""


contiguous_format, preserve_format = memory_format("contiguous_format"), memory_format("preserve_format")


class finfo:
    """Limits of a float dtype: `eps`, `max`, `min`, `tiny`, `resolution`, `bits`."""

    def __init__(self, type: TensorDType | None = None) -> None:
        kind = dtypes.f32 if type is None else type.kind
        if not kind.is_float:
            raise ArgumentError("torch.finfo() requires a floating point input type. Use torch.iinfo to handle 'torch.finfo'",
                                location=caller())  # fmt: skip
        found = np.finfo(kind.numpy)
        self.bits, self.eps, self.max, self.min = found.bits, float(found.eps), float(found.max), float(found.min)
        self.tiny = self.smallest_normal = float(found.tiny)
        self.resolution, self.dtype = float(found.resolution), kind.short_name

    def __repr__(self) -> str:
        named = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{each}={getattr(self, each):g}' for each in named)}, dtype={self.dtype})"


class iinfo:
    """Limits of an integer dtype: `max`, `min`, `bits`."""

    def __init__(self, type: TensorDType) -> None:
        found = np.iinfo(type.kind.numpy)
        self.bits, self.max, self.min, self.dtype = found.bits, int(found.max), int(found.min), type.kind.short_name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min}, max={self.max}, dtype={self.dtype})"

__all__ = [
    "contiguous_format", "device", "finfo", "iinfo", "layout", "memory_format", "preserve_format", "strided",
]  # fmt: skip
