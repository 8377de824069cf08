"""LLVM text goes in, callable machine code comes out; dropping the result frees the code."""
from __future__ import annotations

import ctypes
import ctypes.util
import re
import sys
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from types import MappingProxyType
from typing import Any

from pullback.codegen import target
from pullback.codegen.llvm_text import ModuleText
from pullback.errors import CompileError

# What LLVM's code generator may call for an instruction, and what emitted code calls for memory.
_LIBRARY_FUNCTIONS = (
    "memset", "memcpy", "memmove", "memcmp", "malloc", "realloc", "free", "fmod", "fmodf", "fma", "fmaf", "ldexp", "ldexpf",
    "floor", "floorf", "ceil", "ceilf", "trunc", "truncf", "rint", "rintf", "nearbyint", "nearbyintf", "round",
    "roundf", "roundeven", "roundevenf",
)  # fmt: skip


class NativeCode:
    """Linked machine code. Whoever calls an address must hold this object: the code goes when it goes.

    `text` is the LLVM assembly, `objects` the relocatable objects it became.
    """

    def __init__(
        self, text: str, objects: Sequence[bytes], tracker: Any, addresses: Mapping[str, int], held: object = None
    ) -> None:
        self.held = held  # what the code calls
        self.text = text
        self.objects = tuple(objects)
        self._tracker = tracker
        self._addresses = dict(addresses)

    def address(self, name: str) -> int:
        """Where the exported function `name` starts.

        Raises: CompileError if `name` was not exported.
        """
        try:
            return self._addresses[name]
        except KeyError:
            raise CompileError(f"{name!r} is not exported; the exports are {sorted(self._addresses)}") from None

    @cached_property
    def assembly(self) -> str:
        """The machine's assembly, compiled again from the text when first asked for."""
        return compile_assembly(self.text)


def compile_assembly(text: str) -> str:
    """The machine's assembly of LLVM assembly.

    Raises: CompileError with LLVM's message if the text does not parse.
    """
    host = target.host()
    with _parse(text, verify=False) as module, host.lock:
        return str(host.machine.emit_assembly(module))


def compile_object(
    text: str, *, verify: bool = False, simplified: Sequence[str] = (), plain: bool = False
) -> bytes:
    """Compile LLVM assembly to a relocatable object for this machine, without any optimizations if `plain`.

    `verify` runs LLVM's own verifier first: slow, and only codegen's bugs can fail it. Functions that are to be
    `simplified` have their variables on the stack turned into registers first, and what that shows to be idle removed.

    Raises: CompileError with LLVM's message if the text does not parse or verify.
    """
    host = target.host()
    with _parse(text, verify=verify) as module, host.lock:
        for name in simplified:
            _simplify(module.get_function(name), host)
        if not simplified or _is_valid(module):
            return bytes((host.plain if plain else host.machine).emit_object(module))
    with _parse(text, verify=verify) as module, host.lock:
        return bytes(host.machine.emit_object(module))


def _is_valid(module: Any) -> bool:
    """Whether LLVM's verifier finds nothing: on invalid code its code generator aborts the process."""
    try:
        module.verify()
    except RuntimeError:
        return False
    return True


def _simplify(function: Any, host: target.Target) -> None:
    """Run the few cheap passes that pay for code in registers.

    LLVM 22 merges vectors that are stored high end first into code that uses values before their definition, so what
    comes out must be verified.
    """
    from llvmlite import binding

    builder = binding.create_pass_builder(host.machine, binding.create_pipeline_tuning_options())
    passes = binding.create_new_function_pass_manager()
    passes.add_sroa_pass()
    passes.run(function, builder)


def link_objects(
    objects: Sequence[bytes], symbols: Mapping[str, int], exports: Sequence[str], text: str = "", held: object = None
) -> NativeCode:
    """Load objects, which may call each other, their externals bound to the addresses in `symbols` (the C library's
    functions are known).

    Each library has an LLJIT of its own: on a shared one every library linked leaks some 10 KiB.

    Raises: CompileError if an external is not in `symbols` or an export is not defined.
    """
    from llvmlite import binding

    builder = binding.JITLibraryBuilder()
    for each in objects:
        builder.add_object_img(each)
    for name, address in {**library_symbols(), **symbols}.items():
        if any(name.encode() in each for each in objects):
            builder.import_symbol(name, address)
    for name in exports:
        builder.export_symbol(name)
    host = target.host()
    try:
        with host.lock:
            compiler = binding.create_lljit_compiler(host.machine, suppress_errors=True)
            tracker = builder.link(compiler, "code")
    except RuntimeError as error:
        unknown = sorted(_externals(text) - {*library_symbols(), *symbols})
        raise CompileError(f"linking failed: {error}; externals without an address: {unknown}") from error
    return NativeCode(text, objects, tracker, {name: tracker[name] for name in exports}, held)


def link(text: str, symbols: Mapping[str, int], exports: Sequence[str], *, verify: bool = False) -> NativeCode:
    """Compile LLVM assembly and load it: `compile_object`, then `link_objects`.

    Raises: CompileError with LLVM's message.
    """
    return link_objects([compile_object(text, verify=verify)], symbols, exports, text)


def link_module(
    module: ModuleText, symbols: Mapping[str, int], exports: Sequence[str], simplified: Sequence[str] = ()
) -> NativeCode:
    """Compile a module and load it; its library functions are compiled once for the whole process.

    Raises: CompileError with LLVM's message.
    """
    main, plain, libraries = module.apart()
    held = {name: library_code(text, name) for name, text in libraries.items()}
    objects = [compile_object(main, simplified=simplified)] if main else []
    if plain:
        objects.append(compile_object(plain, plain=True))
    known = {**symbols, **{name: code.address(name) for name, code in held.items()}}
    return link_objects(objects, known, exports, str(module), held)


@cache
def library_code(text: str, name: str) -> NativeCode:
    """Code of a function that many modules call."""
    return link(text, {}, [name])


def _parse(text: str, *, verify: bool) -> Any:
    """The module that `text` says, in a context of its own (a shared one would only grow)."""
    from llvmlite import binding

    target.host()  # initialises LLVM for this machine
    try:
        module = binding.parse_assembly(text, context=binding.create_context())
        if verify:
            module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM refused the text: {error}") from error
    return module


def _externals(text: str) -> set[str]:
    """Names that the text declares and does not define, intrinsics left out."""
    functions = re.findall(r"^declare [^@]*@([\w.$-]+)\(", text, re.MULTILINE)
    variables = re.findall(r"^@([\w.$-]+) = external ", text, re.MULTILINE)
    return {name for name in (*functions, *variables) if not name.startswith("llvm.")}


@cache
def library_symbols() -> Mapping[str, int]:
    """Addresses of the C library's functions that generated code may call, by name."""
    libraries = [ctypes.CDLL(name) for name in _library_names()]
    found: dict[str, int] = {}
    for name in _LIBRARY_FUNCTIONS:
        for library in libraries:
            if (function := getattr(library, name, None)) is not None:
                found[name] = ctypes.cast(function, ctypes.c_void_p).value or 0
                break
    return MappingProxyType(found)


def _library_names() -> list[str | None]:
    """Where to look for the C library: the process itself, then the mathematics library by name."""
    if sys.platform == "win32":
        return ["ucrtbase", "vcruntime140"]
    if sys.platform == "darwin":
        return [None, "/usr/lib/libSystem.B.dylib"]
    mathematics = "libm.so.6" if sys.platform == "linux" else None
    return [None, mathematics or ctypes.util.find_library("m")]
