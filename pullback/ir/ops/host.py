"""Calls of Python functions from compiled code."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pullback.dtypes import f32, i64
from pullback.errors import CallbackError, DerivativeError, UnboundError
from pullback.ir.core import Array, Builder, Op, Opaque, Region, Sample, Value
from pullback.ir.ops.base import arrays
from pullback.ir.registry import register
from pullback.ir.types import ArrayType, type_of


class HostFunction(Opaque):
    """A Python function of arrays, which it may keep and change, that gives a sequence of arrays or numbers."""

    def __init__(self, name: str, function: Callable[..., Sequence[Any]]) -> None:
        super().__init__(name)
        self.function = function

    def call(self, operands: Sequence[Array], types: Sequence[ArrayType]) -> list[Array]:
        """Run it. Raises: CallbackError for results of other types than stated; whatever the function raises."""
        found = self.function(*operands)
        if len(found) != len(types):
            raise CallbackError(f"{self.name} gives {len(found)} results, not the {len(types)} that were stated")
        return [self._checked(result, kind) for result, kind in zip(found, types, strict=True)]

    def _checked(self, result: Any, kind: ArrayType) -> Array:
        if type(result) in (bool, int, float) and not kind.dims:
            if type(result) is float and not kind.dtype.is_float:
                raise CallbackError(f"{self.name} gives a float where {kind} was stated")
            return np.asarray(result, kind.dtype.numpy)
        array = np.asarray(result)
        if array.shape != kind.shape or array.dtype != kind.dtype.numpy:
            raise CallbackError(
                f"{self.name} gives {array.dtype}{list(array.shape)} where {kind} was stated",
                help="state the shapes and dtypes that it gives, or convert its results",
            )
        return array


@register
@dataclass(frozen=True)
class HostCall(Op):
    """``(a...) -> types``: what a Python function gives, which is taken to depend on its operands alone."""

    name: ClassVar[str] = "host_call"
    function: Opaque
    types: tuple[ArrayType, ...]

    def infer(self, *types: ArrayType, regions: tuple[Region, ...] = ()) -> tuple[ArrayType, ...]:
        return self.types

    def bound(self) -> HostFunction:
        """The function. Raises: UnboundError where only its name is known."""
        if not isinstance(self.function, HostFunction):
            raise UnboundError(f"the function {self.function.name} is known by its name only")
        return self.function

    def evaluate(self, *operands: Array) -> tuple[Array, ...]:
        return tuple(self.bound().call([np.array(operand) for operand in operands], self.types))

    def jvp(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], tangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        self._refuse(results)
        return (None,) * len(results)

    def pullback(
        self, b: Builder, operands: tuple[Value, ...], results: tuple[Value, ...], cotangents: tuple[Value | None, ...]
    ) -> tuple[Value | None, ...]:
        self._refuse(results)
        return (None,) * len(operands)

    def _refuse(self, results: tuple[Value, ...]) -> None:
        if any(result.type.dtype.is_float for result in results):
            raise DerivativeError(
                f"{self.function.name} is called by pure_callback, which has no derivative",
                help="wrap the call in a function with custom_jvp or custom_vjp, which states one, or use stop_gradient",
            )

    @classmethod
    def samples(cls) -> Iterator[Sample]:
        turned = HostFunction("turned", lambda x, n: (np.sin(x).T, x.sum() + n))
        for shape, dtype in (((3, 4), np.float64), ((0, 2), np.float64), ((37, 1), np.float32)):
            x = arrays(shape, dtype=f32)[0].astype(dtype)
            types = type_of(x.T), type_of(x.sum())
            yield Sample(cls(turned, types), (x, np.asarray(2, dtype)), False)
        counted = HostFunction("counted", lambda x: (int(x > 0.5),))
        yield Sample(cls(counted, (ArrayType(i64, ()),)), (np.asarray(0.75),), False)
