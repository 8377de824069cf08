"""The compiler for the engine that runs tensors: a function of operations that wait goes in, its native code comes out."""

from __future__ import annotations

from collections.abc import Sequence

from pullback.errors import ShapeError
from pullback.ir.core import Array, Function
from pullback.tracer.deferred import Runner


def compile_waiting(function: Function) -> Runner:
    """Native code for a function of arrays of fixed shapes."""
    # Loaded when the first tensors are looked at.
    from pullback.compiler import CallSpec, compile_function, native_entry
    from pullback.runtime.abi import ArgumentKind, ArgumentSpec

    arguments = [ArgumentSpec(ArgumentKind.ARRAY, each.type.dtype, each.type.shape) for each in function.parameters]
    count = len(function.result_types)
    call = CallSpec(tuple(arguments), (False,) * count, tuple(range(count)))
    executable = compile_function(function, call)
    # Nobody asks for what was recorded, which may be long where loops have taken its place.
    executable.traced = executable.optimized

    def miss(*arrays: Array) -> Sequence[Array]:
        # Arrays that do not lie as the entry takes them are brought to that form.
        for array, argument in zip(arrays, arguments, strict=True):
            if array.shape != argument.shape:
                raise ShapeError(f"the memory of a tensor of shape {argument.shape} has got another shape: {array.shape}",
                                 help="reshape the tensor, not the array that shares its memory")  # fmt: skip
        return executable(arrays)

    entry = native_entry(executable, call, miss, "tensors")
    return lambda arrays: entry(*arrays)
