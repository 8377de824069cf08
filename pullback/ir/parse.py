"""The IR's text in, functions out; comments are skipped, locations kept."""
from __future__ import annotations

import dataclasses
import json
import re
from typing import Any, NoReturn

import pullback.ir.ops as _all_ops
from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ParseError, PullbackError
from pullback.ir.core import Function, Op, Operation, Region, Value
from pullback.ir.registry import all_ops, find
from pullback.ir.types import ArrayType, Dim, TapeType
from pullback.location import UNKNOWN, Location

assert _all_ops

_TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<value>%[\w.]+)|(?P<symbol>@[\w.]+)"""
    r"""|(?P<number>-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+|\d+|inf\b|nan\b))|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<mark>->|[(){}\[\]<>,:;=^-])"""
)
_Token = tuple[str, str, int]


def parse_function(text: str) -> Function:
    """The one function of a text. Raises: ParseError with line, column and a caret."""
    functions = parse_functions(text)
    if len(functions) != 1:
        raise ParseError(f"expected one function, found {len(functions)}")
    return functions[0]


def parse_functions(text: str) -> list[Function]:
    """All functions of a text, captured arrays unbound. Raises: ParseError."""
    parser = _Parser(text)
    functions = []
    while parser.peek()[0] != "end":
        functions.append(parser.function())
    return functions


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[_Token] = []
        position = 0
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                self.fail("this is no part of the IR", position)
            if match.lastgroup != "skip":
                self.tokens.append((str(match.lastgroup), match.group(), position))
            position = match.end()
        self.tokens.append(("end", "end of text", position))
        self.place = 0
        self.values: dict[str, Value] = {}
        self.types: dict[str, ArrayType] = {}

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        """Raises: ParseError that shows the place."""
        at = self.tokens[self.place][2] if position is None else position
        line_start = self.text.rfind("\n", 0, at) + 1
        line_end = self.text.find("\n", at)
        line = self.text[line_start : line_end if line_end >= 0 else len(self.text)]
        number, column = self.text.count("\n", 0, at) + 1, at - line_start
        raise ParseError(f"line {number}, column {column + 1}: {message}\n  {line}\n  {' ' * column}^")

    def peek(self) -> _Token:
        return self.tokens[self.place]

    def take(self, kind: str, text: str | None = None) -> str:
        """The next token, which must be of a kind. Raises: ParseError."""
        token = self.tokens[self.place]
        if token[0] != kind or (text is not None and token[1] != text):
            self.fail(f"expected {text or kind}, found {token[1]!r}")
        self.place += 1
        return token[1]

    def found(self, text: str) -> bool:
        """Take the next token if it is this mark or word."""
        token = self.tokens[self.place]
        if token[1] == text and token[0] in ("mark", "word"):
            self.place += 1
            return True
        return False

    def function(self) -> Function:
        self.values = {}
        self.take("word", "func")
        name = self.take("symbol")[1:]
        self.take("mark", "(")
        parameters = self.arguments()
        captured = self.arguments() if self.found(";") else []
        self.take("mark", ")")
        self.take("mark", "->")
        self.take("mark", "(")
        results = self.type_list()
        self.take("mark", ")")
        self.take("mark", "{")
        region = Region([*parameters, *captured])
        self.body(region, "return")
        if tuple(value.type for value in region.yields) != tuple(results):
            self.fail(f"@{name} returns other types than it says")
        return Function(name, region, [None] * len(captured))

    def arguments(self) -> list[Value]:
        found: list[Value] = []
        while self.peek()[0] == "value":
            name = self.take("value")
            self.take("mark", ":")
            value = Value(self.value_type(), name=name[1:])
            self.define(name, value)
            found.append(value)
            if not self.found(","):
                break
        return found

    def define(self, name: str, value: Value) -> None:
        if name in self.values:
            self.fail(f"{name} is defined twice")
        self.values[name] = value

    def use(self) -> Value:
        name = self.take("value")
        value = self.values.get(name)
        if value is None:
            self.place -= 1
            self.fail(f"{name} is not defined")
        return value

    def value_type(self) -> ArrayType:
        """``f64[n, 3]`` or ``tape<f64[], f64[3]>``."""
        start = self.place
        if self.found("tape"):
            self.take("mark", "<")
            record = self.type_list()
            self.take("mark", ">")
            return TapeType(tuple(record))
        name = self.take("word")
        dtype = dtypes.BY_NAME.get(name)
        if dtype is None:
            self.place = start
            self.fail(f"{name} is no dtype")
        self.take("mark", "[")
        dims: list[Dim] = []
        while self.peek()[1] != "]":
            token = self.peek()
            dims.append(int(self.take("number")) if token[0] == "number" else self.take("word"))
            if not self.found(","):
                break
        self.take("mark", "]")
        return ArrayType(dtype, tuple(dims))

    def type_list(self) -> list[ArrayType]:
        found: list[ArrayType] = []
        while self.peek()[0] == "word" and (self.peek()[1] in dtypes.BY_NAME or self.peek()[1] == "tape"):
            found.append(self.value_type())
            if not self.found(","):
                break
        return found

    def body(self, region: Region, end: str) -> None:
        """Operations until the word that ends the region, and its closing brace."""
        while not self.found(end):
            region.operations.append(self.operation())
        yields: list[Value] = []
        while self.peek()[0] == "value":
            yields.append(self.use())
            if not self.found(","):
                break
        region.yields = tuple(yields)
        self.take("mark", "}")

    def operation(self) -> Operation:
        names: list[str] = []
        while self.peek()[0] == "value":
            names.append(self.take("value"))
            if not self.found(","):
                break
        if names:
            self.take("mark", "=")
        start = self.place
        name = self.take("word")
        cls = find(name)
        if cls is None:
            self.place = start
            close = sorted(all_ops(), key=lambda known: (known[:2] != name[:2], abs(len(known) - len(name))))[:3]
            self.fail(f"there is no op called {name}; do you mean {', '.join(close)}?")
        operands: list[Value] = []
        while self.peek()[0] == "value":
            operands.append(self.use())
            if not self.found(","):
                break
        op = self.attributes(cls)
        regions: list[Region] = []
        while self.peek()[1] == "{":
            regions.append(self.region())
        self.take("mark", ":")
        types = self.type_list()
        location = self.location()
        if len(types) != len(names):
            self.fail(f"{name} has {len(names)} results and {len(types)} types")
        try:
            inferred = op.infer(*[operand.type for operand in operands], regions=tuple(regions))
        except (PullbackError, ValueError, TypeError) as error:
            self.place = start
            self.fail(getattr(error, "message", str(error)))
        if inferred != tuple(types):
            self.place = start
            self.fail(f"{name} gives {', '.join(map(str, inferred))}, not {', '.join(map(str, types))}")
        made = Operation(op, tuple(operands), types, tuple(regions), location)
        for result, value in zip(names, made.results, strict=True):
            self.define(result, value)
        return made

    def region(self) -> Region:
        """``{ ^(arguments) … yield … }``; it nests as deep as the text does."""
        self.take("mark", "{")
        self.take("mark", "^")
        self.take("mark", "(")
        region = Region(self.arguments())
        self.take("mark", ")")
        self.body(region, "yield")
        return region

    def attributes(self, cls: type[Op]) -> Op:
        fields = dataclasses.fields(cls)
        if not fields:
            return cls()
        self.take("mark", "{")
        values = []
        for position, field in enumerate(fields):
            if position:
                self.take("mark", ",")
            self.take("word", field.name)
            self.take("mark", "=")
            values.append(self.attribute())
        self.take("mark", "}")
        return cls(*values)

    def attribute(self) -> Any:
        kind, text, _ = self.peek()
        if kind == "number":
            self.place += 1
            return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
        if kind == "word":
            if self.tokens[self.place + 1][1] in ("[", "<"):
                return self.value_type()
            self.place += 1
            if text in ("true", "false"):
                return text == "true"
            if text in ("inf", "nan"):
                return float(text)
            return _dtype_or_symbol(text)
        self.take("mark", "(")
        items = []
        while self.peek()[1] != ")":
            items.append(self.attribute())
            if not self.found(","):
                break
        self.take("mark", ")")
        return tuple(items)

    def location(self) -> Location:
        if not self.found("loc"):
            return UNKNOWN
        self.take("mark", "(")
        file = json.loads(self.take("string"))
        self.take("mark", ":")
        line = int(self.take("number"))
        self.take("mark", ":")
        column = int(self.take("number"))
        # "4-9" reads as the numbers 4 and -9.
        end = -int(self.take("number"))
        function = json.loads(self.take("string"))
        self.take("mark", ")")
        return Location(str(file), line, column, end, str(function))


def _dtype_or_symbol(text: str) -> DType | str:
    return dtypes.BY_NAME.get(text, text)
