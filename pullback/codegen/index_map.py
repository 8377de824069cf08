"""Where elements lie: affine maps from an iteration index to a place in a buffer, composed through view ops."""
from __future__ import annotations

from dataclasses import dataclass

from pullback.ir.core import Op
from pullback.ir.ops.reduction import Broadcast
from pullback.ir.ops.shape import Reshape, Slice, Transpose
from pullback.ir.types import Shape


def contiguous_strides(shape: Shape) -> tuple[int, ...]:
    """Elements between neighbours along each axis of an array in C order."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


@dataclass(frozen=True, slots=True)
class IndexMap:
    """Element ``index`` of an array of `shape` lies `offset` + sum(strides * index) elements into its buffer."""

    shape: Shape
    offset: int
    strides: tuple[int, ...]

    @staticmethod
    def whole(shape: Shape) -> IndexMap:
        """All of a buffer, in C order."""
        return IndexMap(shape, 0, contiguous_strides(shape))

    @property
    def is_contiguous(self) -> bool:
        """C order without gaps (axes of size 1 and empty arrays do not matter)."""
        if 0 in self.shape:
            return True
        expected = contiguous_strides(self.shape)
        return all(
            size == 1 or stride == wanted
            for size, stride, wanted in zip(self.shape, self.strides, expected, strict=True)
        )

    def squeezed(self) -> IndexMap:
        """Without the axes of size 1."""
        kept = [axis for axis, size in enumerate(self.shape) if size != 1]
        return IndexMap(
            tuple(self.shape[axis] for axis in kept), self.offset, tuple(self.strides[axis] for axis in kept)
        )

    def through(self, op: Op) -> IndexMap | None:
        """The map of a view op's result, given its operand's; None where it is not affine (some reshapes)."""
        match op:
            case Transpose(axes):
                return IndexMap(
                    tuple(self.shape[axis] for axis in axes), self.offset, tuple(self.strides[axis] for axis in axes)
                )
            case Slice(starts, sizes, steps):
                offset = self.offset
                if 0 not in sizes:
                    offset += sum(start * stride for start, stride in zip(starts, self.strides, strict=True))
                strides = tuple(step * stride for step, stride in zip(steps, self.strides, strict=True))
                return IndexMap(sizes, offset, strides)
            case Broadcast(dims, axes):
                strides_of = dict(zip(axes, self.strides, strict=True))
                shape = tuple(dim for dim in dims if isinstance(dim, int))
                return IndexMap(shape, self.offset, tuple(strides_of.get(axis, 0) for axis in range(len(dims))))
            case Reshape(dims):
                return self._reshaped(tuple(dim for dim in dims if isinstance(dim, int)))
        raise TypeError(f"{op.name} is no view")

    def _reshaped(self, shape: Shape) -> IndexMap | None:
        if self.is_contiguous:
            return IndexMap(shape, self.offset, contiguous_strides(shape))
        kept = self.squeezed()
        if tuple(size for size in shape if size != 1) != kept.shape:
            return None
        strides = iter(kept.strides)
        return IndexMap(shape, self.offset, tuple(0 if size == 1 else next(strides) for size in shape))


def squeeze(shape: Shape) -> Shape:
    """A shape without its axes of size 1: the iteration space that a value belongs to."""
    return tuple(size for size in shape if size != 1)
