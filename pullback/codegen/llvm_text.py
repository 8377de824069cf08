"""LLVM assembly as text: one module, its functions, its declarations; nothing here knows what is computed."""
from __future__ import annotations

import re
import struct
from functools import cache

from pullback.dtypes import DType
from pullback.location import UNKNOWN, Location

_NAME = re.compile(r"@([\w.]+)")


@cache
def element_type(dtype: DType, lanes: int) -> str:
    """The type of a value in registers: ``double``, ``<8 x double>``, ``<8 x i1>`` for bool."""
    if dtype.is_bool:
        name = "i1"
    elif dtype.is_float:
        name = "double" if dtype.itemsize == 8 else "float"
    else:
        name = f"i{dtype.bits}"
    return name if lanes == 1 else f"<{lanes} x {name}>"


@cache
def memory_type(dtype: DType, lanes: int) -> str:
    """The type of a value in memory: as in registers, but a bool is a byte."""
    if dtype.is_bool:
        return "i8" if lanes == 1 else f"<{lanes} x i8>"
    return element_type(dtype, lanes)


def literal(dtype: DType, value: bool | int | float) -> str:
    """One element as text; floats as the sixteen hexadecimal digits LLVM wants, exact to the bit."""
    if dtype.is_bool:
        return "true" if value else "false"
    if dtype.is_float:
        if dtype.itemsize == 4:
            value = struct.unpack("<f", struct.pack("<f", _to_single(float(value))))[0]
        return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
    return str(int(value))


def _to_single(value: float) -> float:
    """`value` rounded to float32, infinite beyond its range (struct would refuse)."""
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


class ModuleText:
    """A module under construction: declarations (each once: a second is a parse error), globals and functions.

    An `annotated` one shows the user's source lines as comments; code that is compiled has none, so that it is the
    same text wherever the user's lines stand.
    """

    def __init__(self, *, annotated: bool = False) -> None:
        self.annotated = annotated
        self.declarations: dict[str, str] = {}
        self.globals: dict[str, str] = {}
        self.functions: dict[str, FunctionText] = {}
        self.libraries: dict[str, str] = {}
        """Declarations of the functions that are the same in every module."""
        self.plain: dict[str, str] = {}
        """Declarations of the functions that LLVM's optimizations win nothing for."""
        self.is_straight = False
        """Whether each instruction outside library functions runs once a call, so that all of them are plain."""
        self.closed: dict[str, str] = {}
        """Texts of those that came with `include`, as `apart` gives them."""
        self.addresses: dict[str, int] = {}
        """Where externals stand that only this module calls."""

    def declare(self, name: str, result: str, parameters: tuple[str, ...]) -> None:
        """Declare an external function or intrinsic."""
        self.declarations.setdefault(name, f"declare {result} @{name}({', '.join(parameters)})")

    def define_global(self, name: str, text: str) -> None:
        """Define a global, given everything after the equals sign."""
        self.globals.setdefault(name, f"@{name} = {text}")

    def function(
        self, name: str, result: str, parameters: tuple[str, ...], linkage: str = "internal ", attributes: str = "",
        *, library: bool = False, plain: bool = False,
    ) -> FunctionText:  # fmt: skip
        """Start a function; `parameters` are ``type %name`` texts, `attributes` come on top of ``nounwind``.

        A `library` function is the same in every module that has it, so that `apart` need not compile it again. A
        `plain` one wins nothing by LLVM's optimizations: `apart` puts it into a module that is compiled without any.
        Its values are numbered in the order in which `let` gives them, which LLVM reads faster than names.
        """
        linkage = "" if plain else linkage
        header = f"define {linkage}{result} @{name}({', '.join(parameters)}){attributes}"
        function = FunctionText(self, header, numbered=plain)
        self.functions[name] = function
        if plain:
            types = ", ".join(parameter.rsplit(" %", 1)[0] for parameter in parameters)
            self.plain[name] = f"declare {result} @{name}({types}) nounwind"
        if library:
            types = ", ".join(parameter.rsplit(" %", 1)[0] for parameter in parameters)
            cold = " cold" if "cold" in attributes else ""
            self.libraries[name] = f"declare {result} @{name}({types}){cold} nounwind"
        return function

    def include(self, name: str, library: ModuleText) -> None:
        """Take over all that a module has which was made for its library function `name`. It stays as it is."""
        if name not in library.closed:
            library.closed[name] = library._closed(name)
        self.closed[name] = library.closed[name]
        self.declarations.update(library.declarations)
        self.globals.update(library.globals)
        self.functions.update(library.functions)
        self.libraries.update(library.libraries)

    def apart(self) -> tuple[str, str, dict[str, str]]:
        """The module's text without its library functions and plain functions, that of the plain functions (either is
        empty if there are none), and for each library function that is called from these a text of its own."""
        texts = [(name, text) for name, text in self._texts() if name not in self.libraries]
        own = [text for name, text in texts if not self._is_plain(name)]
        plain = [text for name, text in texts if self._is_plain(name)]
        main, called = self._alone(own, [*self.plain.values()] if own else [])
        rest, more = self._alone(plain, [])
        return main, rest, {name: self.closed.get(name) or self._closed(name) for name in (*called, *more)}

    def _is_plain(self, name: str) -> bool:
        return self.is_straight or name in self.plain

    def _alone(self, texts: list[str], declared: list[str]) -> tuple[str, list[str]]:
        """Functions as a module of their own, with what they read besides, and the library functions that they call."""
        if not texts:
            return "", []
        named = dict.fromkeys(name for text in texts for name in _NAME.findall(text))
        called = [name for name in named if name in self.libraries]
        read = [text for name, text in self.globals.items() if name in named]
        outside = [*read, *self.declarations.values(), *(self.libraries[name] for name in called), *declared]
        return "\n".join([*outside, *texts]) + "\n", called

    def _texts(self) -> list[tuple[str, str]]:
        return [(name, str(function)) for name, function in self.functions.items()]

    def _closed(self, name: str) -> str:
        """The text of a function, visible from outside, and of all that it mentions."""
        texts = {**self.globals, **self.declarations, **dict(self._texts())}
        texts[name] = texts[name].replace("define internal ", "define ", 1)
        found: dict[str, None] = {}
        pending = [name]
        while pending:
            each = pending.pop()
            if each in texts and each not in found:
                found[each] = None
                pending += _NAME.findall(texts[each])
        return "\n".join(texts[each] for each in texts if each in found) + "\n"

    def __str__(self) -> str:
        parts = [*self.globals.values(), *self.declarations.values(), *map(str, self.functions.values())]
        return "\n".join(parts) + "\n"


class FunctionText:
    """One function under construction; `let` names a result, `label` opens a block.

    The results of a `numbered` one have numbers, as LLVM gives them to what has no name: `let` alone makes them, in order.
    `ahead` and `alloca` put what they emit at the function's beginning, where everything can see it.
    """

    def __init__(self, module: ModuleText, header: str, *, numbered: bool = False) -> None:
        self.module = module
        self.header = header
        self.prefix = "%" if numbered else "%v"
        self.beginning: list[str] = []
        self.lines: list[str] = []
        self.block = "entry"
        self.exit = ""
        self.exits: list[tuple[str, str]] = []
        self._count = -1 if numbered else 0
        self._blocks = 0
        self._source = UNKNOWN

    def source(self, location: Location) -> None:
        """Say from which line of the user's the code that follows comes: a comment if the module has them."""
        if self.module.annotated and location.line and location.place != self._source.place:
            self._source = location
            self.emit(f"; {location.comment()}")

    def fresh(self) -> str:
        """A new value name."""
        assert self.prefix == "%v", "values of a numbered function are defined in order"
        self._count += 1
        return f"%v{self._count}"

    def fresh_label(self, hint: str) -> str:
        """A new block name (use with `label` and in branches as ``%name``)."""
        self._blocks += 1
        return f"{hint}{self._blocks}"

    def emit(self, line: str) -> None:
        self.lines.append("  " + line)

    def let(self, expression: str) -> str:
        """Emit ``%v = expression`` and give the name."""
        self._count += 1
        name = f"{self.prefix}{self._count}"
        self.lines.append(f"  {name} = {expression}")
        return name

    def ahead(self, expression: str) -> str:
        """``%v = expression`` at the function's beginning."""
        name = self.fresh()
        self.beginning.append(f"  {name} = {expression}")
        return name

    def alloca(self, kind: str, alignment: int = 8) -> str:
        """Stack memory for the whole call."""
        return self.ahead(f"alloca {kind}, align {alignment}")

    def plus(self, x: str, y: str) -> str:
        """The sum of two i64, computed here if both are numbers."""
        if is_number(x) and is_number(y):
            return str(int(x) + int(y))
        return y if x == "0" else x if y == "0" else self.let(f"add i64 {x}, {y}")

    def times(self, x: str, factor: int) -> str:
        """An i64 times a number, computed here if it is one itself."""
        if is_number(x):
            return str(int(x) * factor)
        return x if factor == 1 else self.let(f"mul i64 {x}, {factor}") if factor else "0"

    def moved(self, pointer: str, kind: str, places: str) -> str:
        """A pointer so many elements of a type further on."""
        return pointer if places == "0" else self.let(f"getelementptr {kind}, ptr {pointer}, i64 {places}")

    def leave(self, status: str) -> None:
        """End the block and the function with a status: at the block `exit` if there is one, which takes it."""
        if self.exit:
            self.exits.append((status, self.block))
            self.emit(f"br label %{self.exit}")
        else:
            self.emit(f"ret i64 {status}")

    def label(self, name: str) -> None:
        """Start block `name`; the block before must have ended with a terminator."""
        self.lines.append(f"{name}:")
        self.block = name
        self._source = UNKNOWN

    def call(self, name: str, result: str, operands: tuple[tuple[str, str], ...], declare: bool = True) -> str:
        """Call function `name` with (type, value) operands; a ``void`` result gives the empty text."""
        if declare:
            self.module.declare(name, result, tuple(kind for kind, _ in operands))
        text = f"call {result} @{name}({', '.join(f'{kind} {value}' for kind, value in operands)})"
        if result == "void":
            self.emit(text)
            return ""
        return self.let(text)

    def __str__(self) -> str:
        return self.header + " nounwind {\nentry:\n" + "\n".join([*self.beginning, *self.lines]) + "\n}"


def is_number(text: str) -> bool:
    """Whether an operand is a number, not the name of a value."""
    return text.lstrip("-").isdigit()
