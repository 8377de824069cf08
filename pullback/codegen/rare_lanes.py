"""A function of one element in, a function of a vector out that calls it for the few lanes that need it."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.codegen.llvm_text import ModuleText, element_type, memory_type
from pullback.dtypes import DType, boolean

COLD = " cold noinline"
"""Attributes of code that seldom runs: callers then save registers for it where they call, not on the usual path."""
SMALL = f"{COLD} optnone"
"""Attributes of code that is not worth LLVM's time either."""


def struct_type(dtypes: Sequence[DType], lanes: int) -> str:
    """The type of several values together: ``{ <8 x double>, <8 x i64> }``."""
    return f"{{ {', '.join(element_type(each, lanes) for each in dtypes)} }}"


def define_lanes(
    module: ModuleText, name: str, lanes: int, results: Sequence[DType], operands: Sequence[DType]
) -> str:
    """Define, unless the module has it, the function that calls `name` for every lane whose flag is set.

    It takes the flags (bytes), the vectors to give where no flag is set, and the operands. The lanes go through memory
    one by one: this is to be small, not fast. Gives the function's name.
    """
    vectored = f"{name}.x{lanes}"
    if vectored in module.functions:
        return vectored
    kind, single = struct_type(results, lanes), struct_type(results, 1)
    types = [memory_type(boolean, lanes), *(element_type(each, lanes) for each in (*results, *operands))]
    parameters = [(type, f"%x{number}") for number, type in enumerate(types)]
    declared = tuple(f"{type} {text}" for type, text in parameters)
    f = module.function(vectored, kind, declared, attributes=SMALL, library=True)
    slots = []
    for type, text in parameters:
        slots.append(f.let(f"alloca {type}, align 64"))
        f.emit(f"store {type} {text}, ptr {slots[-1]}, align 64")
    flags, found, given = slots[0], slots[1 : 1 + len(results)], slots[1 + len(results) :]
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
    for slot, dtype in zip(given, operands, strict=True):
        type = element_type(dtype, 1)
        elements.append((type, f.let(f"load {type}, ptr {place(slot, type)}")))
    values = f.call(name, single, tuple(elements), declare=False)
    for number, (slot, dtype) in enumerate(zip(found, results, strict=True)):
        type = element_type(dtype, 1)
        f.emit(f"store {type} {f.let(f'extractvalue {single} {values}, {number}')}, ptr {place(slot, type)}")
    f.emit(f"br label %{after}")
    f.label(after)
    f.emit(f"{following} = add i64 {lane}, 1")
    f.emit(f"br i1 {f.let(f'icmp ult i64 {following}, {lanes}')}, label %{head}, label %{done}")
    f.label(done)
    text = "poison"
    for number, (slot, dtype) in enumerate(zip(found, results, strict=True)):
        type = element_type(dtype, lanes)
        text = f.let(f"insertvalue {kind} {text}, {type} {f.let(f'load {type}, ptr {slot}, align 64')}, {number}")
    f.emit(f"ret {kind} {text}")
    return vectored
