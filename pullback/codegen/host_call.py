"""host_call (and decompositions without LAPACK): pointers of operands and results go into arrays, these to a trampoline."""
from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pullback.codegen.failure import Failure
from pullback.codegen.llvm_text import FunctionText
from pullback.codegen.lower.decomposition import is_native
from pullback.errors import PullbackError
from pullback.ir.core import Array, Operation, Value
from pullback.ir.ops.decomposition import Decomposition
from pullback.ir.ops.host import HostCall
from pullback.location import UNKNOWN
from pullback.runtime.host_call import Kind, Trampoline

COST = 10_000
"""What a call of Python costs, in units of a kernel's."""


@dataclass(frozen=True)
class HostFailure(Failure):
    """The Python function raised an exception, which is handed on as it is."""

    trampoline: Trampoline | None = None

    def error(self, number: int) -> BaseException:
        assert self.trampoline is not None
        error = self.trampoline.take_error()
        if isinstance(error, PullbackError) and error.location is UNKNOWN:
            error.location = self.operation.location
        return error


def needs_python(operation: Operation) -> bool:
    """Whether an operation is a call of Python: of the user's function, or of NumPy where no library has its routines."""
    op = operation.op
    return isinstance(op, HostCall) or (isinstance(op, Decomposition) and not is_native(operation))


def trampoline_of(operation: Operation) -> Trampoline:
    """What native code calls for an operation: the user's function, or of a decomposition its meaning in NumPy."""

    def kinds(values: Sequence[Value]) -> list[Kind]:
        return [(value.type.dtype.numpy, value.type.shape) for value in values]

    return Trampoline(_function_of(operation), kinds(operation.operands), kinds(operation.results))


def _function_of(operation: Operation) -> Callable[[list[Array]], Sequence[Array]]:
    """What an operation does in Python."""
    op = operation.op
    if isinstance(op, HostCall):
        function, types = op.bound(), op.types
        return lambda arrays: function.call(arrays, types)
    return lambda arrays: op.evaluate(*arrays)


def emit_host_call(
    f: FunctionText, trampoline: Trampoline, operands: Sequence[str], results: Sequence[str], failure: int
) -> None:
    """Emit the call; leaves with the failure's status if the function raised."""
    name = f"host{len(f.module.addresses)}"
    f.module.addresses[name] = trampoline.address
    arrays = [_in_array(f, pointers) for pointers in (operands, results)]
    status = f.call(name, "i64", (("ptr", arrays[0]), ("ptr", arrays[1])))
    raised, fine = f.fresh_label("raised"), f.fresh_label("fine")
    f.emit(f"br i1 {f.let(f'icmp eq i64 {status}, 0')}, label %{fine}, label %{raised}")
    f.label(raised)
    f.leave(str(failure))
    f.label(fine)


def _in_array(f: FunctionText, pointers: Sequence[str]) -> str:
    array = f.alloca(f"[{max(1, len(pointers))} x ptr]")
    for place, pointer in enumerate(pointers):
        f.emit(f"store ptr {pointer}, ptr {f.moved(array, 'ptr', str(place))}, align 8")
    return array
