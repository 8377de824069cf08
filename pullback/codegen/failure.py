"""What can go wrong while native code runs: an operation and a number in, the exception for the user out."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pullback.codegen.report import take_report
from pullback.errors import ArgumentValueError, OutOfBoundsError, OutOfMemoryError, SingularError
from pullback.ir.core import Operation
from pullback.ir.ops.check import Check
from pullback.ir.ops.contraction import ScatterAdd
from pullback.ir.ops.control import For
from pullback.ir.ops.decomposition import Decomposition
from pullback.ir.ops.linear_system import Solve
from pullback.ir.ops.sorting import ArgSort
from pullback.ir.ops.window import DynamicAdd, DynamicSlice, DynamicUpdate, out_of_bounds


@dataclass(frozen=True)
class Failure:
    """One way in which an operation can fail: at `axis` of the array that it indexes."""

    operation: Operation
    axis: int = 0

    def error(self, number: int) -> BaseException:
        """The exception, with the user's line; `number` is the index that does not fit."""
        operation, axis = self.operation, self.axis
        dim = operation.operands[0].type.shape[axis] if operation.operands[0].type.rank else 0
        match operation.op:
            case For():
                return ArgumentValueError("the step of a range must not be zero", location=operation.location)
            case DynamicSlice(sizes):
                error = out_of_bounds(number, dim, sizes[axis], axis)
            case DynamicUpdate() | DynamicAdd():
                error = out_of_bounds(number, dim, operation.operands[1].type.shape[axis], axis)
            case ArgSort():
                return OutOfMemoryError(f"there is no memory to sort {number} elements", location=operation.location)
            case Decomposition() as op:
                return op.error(_matrix(operation, number), operation.location)
            case Solve() if axis == 0:
                return _singular(operation, number)
            case Solve():
                return OutOfMemoryError(
                    f"there are no {number} bytes of memory to solve a linear system", location=operation.location
                )
            case ScatterAdd(size):
                error = _out_of_rows(number, size)
            case _:
                error = _out_of_rows(number, dim)
        return OutOfBoundsError(error.message, location=operation.location, help=error.help)


@dataclass(frozen=True)
class OutOfMemory(Failure):
    """The memory for the records of a loop does not grow any more."""

    def error(self, number: int) -> BaseException:
        return OutOfMemoryError(
            "there is no memory for what the derivative of this loop must keep", location=self.operation.location,
            help="give compile_grad a memory_budget, or make fewer iterations",
        )  # fmt: skip


@dataclass(frozen=True)
class Complained(Failure):
    """A check does not hold."""

    def error(self, number: int) -> BaseException:
        """The user's exception; `number` is that of a report with what its message shows, if it shows anything."""
        (_, *shown), op = self.operation.operands, self.operation.op
        assert isinstance(op, Check)
        values: list[np.ndarray[Any, Any]] = []
        if shown:
            if not number:
                return OutOfMemoryError("there is no memory for the values in a message", location=self.operation.location)
            values = take_report(number, [value.type for value in shown])
        return op.raises.exception(values, self.operation.location)


def _singular(operation: Operation, number: int) -> SingularError:
    """`number` counts the pivots of all matrices."""
    n = operation.operands[0].type.shape[-1]
    matrix = _matrix(operation, number // n)
    return SingularError(
        f"{matrix} is singular: elimination meets a zero in column {number % n}", location=operation.location,
        help="check what it is made of, or add a small multiple of the identity matrix",
    )  # fmt: skip


def _matrix(operation: Operation, number: int) -> str:
    """The matrix of a number in the stack that an operation takes first, for a message."""
    kind = operation.operands[0].type
    lead = kind.shape[:-2]
    place = f" at {[int(each) for each in np.unravel_index(number, lead)]} of" if lead else ""
    return f"the matrix{place} {kind}"


def _out_of_rows(index: int, size: int) -> OutOfBoundsError:
    return OutOfBoundsError(
        f"index {index} is out of bounds for an axis of size {size}",
        help=f"indices count from 0 to {size - 1}, or from -{size} to -1",
    )
