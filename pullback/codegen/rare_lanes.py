"""A function of one element in, a function of a vector out that calls it for the few lanes that need it."""
from __future__ import annotations

from collections.abc import Sequence

from pullback import dtypes
from pullback.codegen.llvm_text import ModuleText, element_type, memory_type
from pullback.dtypes import DType

COLD = " cold noinline"
"""Attributes of code that seldom runs: callers then save registers for it where they call, not on the usual path."""


def define_lanes(module: ModuleText, name: str, lanes: int, dtype: DType, operands: Sequence[DType]) -> str:
    """Define, unless the module has it, the function that calls `name` for every lane whose flag is set.

    It takes the flags (bytes), the vector to give where no flag is set, and the operands; what it gives is also of
    `dtype`. The lanes go through memory one by one: this is to be small, not fast. Gives the function's name.
    """
    vectored = f"{name}.x{lanes}"
    if vectored in module.functions:
        return vectored
    kind, one = element_type(dtype, lanes), element_type(dtype, 1)
    types = [memory_type(dtypes.boolean, lanes), kind, *(element_type(each, lanes) for each in operands)]
    parameters = [(type, f"%x{number}") for number, type in enumerate(types)]
    f = module.function(vectored, kind, tuple(f"{type} {text}" for type, text in parameters), attributes=COLD)
    slots = []
    for type, text in parameters:
        slots.append(f.let(f"alloca {type}, align 64"))
        f.emit(f"store {type} {text}, ptr {slots[-1]}, align 64")
    flags, result, *given = slots
    head, call, after, done = (f.fresh_label(hint) for hint in ("lane", "call", "next", "done"))
    f.emit(f"br label %{head}")
    f.label(head)
    lane, following = f.fresh(), f.fresh()
    f.emit(f"{lane} = phi i64 [ 0, %entry ], [ {following}, %{after} ]")

    def place(slot: str, type: str) -> str:
        return f.let(f"getelementptr {type}, ptr {slot}, i64 {lane}")

    flag = f.let(f"load i8, ptr {place(flags, 'i8')}")
    f.emit(f"br i1 {f.let(f'icmp ne i8 {flag}, 0')}, label %{call}, label %{after}")
    f.label(call)
    elements = []
    for slot, each in zip(given, operands, strict=True):
        type = element_type(each, 1)
        elements.append((type, f.let(f"load {type}, ptr {place(slot, type)}")))
    f.emit(f"store {one} {f.call(name, one, tuple(elements), declare=False)}, ptr {place(result, one)}")
    f.emit(f"br label %{after}")
    f.label(after)
    f.emit(f"{following} = add i64 {lane}, 1")
    f.emit(f"br i1 {f.let(f'icmp ult i64 {following}, {lanes}')}, label %{head}, label %{done}")
    f.label(done)
    f.emit(f"ret {kind} {f.let(f'load {kind}, ptr {result}, align 64')}")
    return vectored
