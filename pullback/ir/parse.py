"""The IR's text in, functions out; comments are skipped, locations kept."""
from __future__ import annotations

import json
import re
from collections.abc import Sequence
from difflib import get_close_matches

import pullback.ir.ops as _all_ops
from pullback.errors import ParseError, PullbackError
from pullback.ir.attributes import at_type, has_attributes, integer, parse_attributes, take_type
from pullback.ir.core import Function, Op, Operation, Region, Value
from pullback.ir.registry import all_ops, find
from pullback.ir.tokens import Tokens
from pullback.ir.types import ArrayType
from pullback.ir.verify import infer
from pullback.location import UNKNOWN, Location

assert _all_ops

MAX_NESTING = 60
"""Regions inside regions: deeper ones are refused here, before anything that recurses over them meets a limit."""
_STRING = r'("(?:[^"\\]|\\.)*")'
_LOCATION = re.compile(rf"loc\({_STRING}:(\d+):(\d+)-(\d+) {_STRING}\)")


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
    while parser.peek() != "end":
        functions.append(parser.function())
    return functions


class _Parser(Tokens):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.values: dict[str, Value] = {}
        self.nesting = 0
        self.known_ops: dict[tuple[type[Op], str], Op] = {}
        self.known_locations: dict[str, Location] = {}

    def function(self) -> Function:
        """``func @name(parameters; captured) -> (types) { operations return values }``."""
        self.values = {}
        self.expect("func")
        name = self.take("symbol", "the function's name, as @name")[1:]
        self.expect("(")
        parameters = self.arguments()
        captured = self.arguments() if self.found(";") else []
        self.expect(")")
        self.expect("->")
        self.expect("(")
        results = self.types()
        self.expect(")")
        self.expect("{")
        region = Region([*parameters, *captured])
        end = self.body(region, "return")
        if tuple(value.type for value in region.yields) != tuple(results):
            self.fail(f"@{name} returns {_listed(region.yields)}, not what it says: {_types_listed(results)}", end)
        return Function(name, region, [None] * len(captured))

    def arguments(self) -> list[Value]:
        """``%x: type, …``, perhaps none."""
        found: list[Value] = []
        while self.peek() == "value":
            place = self.place
            name = self.take("value")
            self.expect(":")
            value = Value(take_type(self), name=name[1:])
            self.define(name, value, place)
            found.append(value)
            if not self.found(","):
                break
        return found

    def define(self, name: str, value: Value, place: int) -> None:
        if name in self.values:
            self.fail(f"{name} is defined twice", self.tokens[place][2])
        self.values[name] = value

    def uses(self) -> tuple[Value, ...]:
        """``%a, %b, …``, perhaps none."""
        found: list[Value] = []
        while self.peek() == "value":
            value = self.values.get(self.tokens[self.place][1])
            if value is None:
                self.fail(f"{self.tokens[self.place][1]} is not defined here")
            found.append(value)
            self.place += 1
            if not self.found(","):
                break
        return tuple(found)

    def types(self) -> list[ArrayType]:
        """Types with commas between, perhaps none."""
        found: list[ArrayType] = []
        while at_type(self):
            found.append(take_type(self))
            if not self.found(","):
                break
        return found

    def body(self, region: Region, end: str) -> int:
        """Operations until the word that ends the region, and its closing brace; gives where that word stands."""
        while not self.found(end):
            region.operations.append(self.operation())
        position = self.tokens[self.place - 1][2]
        region.yields = self.uses()
        self.expect("}")
        return position

    def operation(self) -> Operation:
        """``%0, %1 = name %a, %b {attributes} { regions } : types loc(…)``."""
        first = self.place
        names: list[str] = []
        while self.peek() == "value":
            names.append(self.take("value"))
            if not self.found(","):
                break
        if names:
            self.expect("=")
        start = self.position
        cls = self.op_class()
        operands = self.uses()
        op = self.attributes(cls)
        regions: list[Region] = []
        while self.found("{"):
            regions.append(self.region())
        self.expect(":")
        types = tuple(self.types())
        location = self.location()
        if len(types) != len(names):
            self.fail(f"{cls.name} has {len(names)} results and {len(types)} types", start)
        try:
            inferred = infer(op, operands, tuple(regions))
        except PullbackError as error:
            self.fail(error.message, start)
        if inferred != types:
            self.fail(f"{cls.name} gives {_types_listed(inferred)}, not {_types_listed(types)}", start)
        made = Operation(op, operands, types, tuple(regions), location)
        for number, (name, value) in enumerate(zip(names, made.results, strict=True)):
            self.define(name, value, first + 2 * number)
        return made

    def op_class(self) -> type[Op]:
        name = self.take("word", "an operation")
        cls = find(name)
        if cls is None:
            self.place -= 1
            close = get_close_matches(name, all_ops())
            self.fail(f"there is no op called {name}" + (f"; do you mean {' or '.join(close)}?" if close else ""))
        return cls

    def attributes(self, cls: type[Op]) -> Op:
        """The op, with the attributes that follow. Raises: ParseError."""
        kind, text, position = self.tokens[self.place]
        if kind != "attributes":
            if has_attributes(cls):
                self.fail(f"expected the attributes of {cls.name}, found {text or 'the end of the text'}")
            return cls()
        self.place += 1
        op = self.known_ops.get((cls, text))
        if op is None:
            inside = Tokens(self.text, position + 1, position + len(text) - 1)
            op = self.known_ops[cls, text] = parse_attributes(cls, inside)
        return op

    def region(self) -> Region:
        """``{ ^(arguments) operations yield values }``, its brace taken; its values are known only inside."""
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            self.fail(f"regions nest deeper than {MAX_NESTING}")
        outside = len(self.values)
        self.expect("^")
        self.expect("(")
        region = Region(self.arguments())
        self.expect(")")
        self.body(region, "yield")
        while len(self.values) > outside:
            self.values.popitem()
        self.nesting -= 1
        return region

    def location(self) -> Location:
        """``loc("file":line:column-end "function")``, if it is there."""
        if self.peek() != "location":
            return UNKNOWN
        text = self.take("location")
        known = self.known_locations.get(text)
        if known is None:
            known = self.known_locations[text] = self._read_location(text)
        return known

    def _read_location(self, text: str) -> Location:
        match = _LOCATION.fullmatch(text)
        assert match is not None, text
        file, line, column, end, function = match.groups()
        try:
            names = [str(json.loads(name)) for name in (file, function)]
        except ValueError:
            self.place -= 1
            self.fail("a name in this location is no JSON string")
        numbers = [integer(self, number) for number in (line, column, end)]
        return Location(names[0], numbers[0], numbers[1], numbers[2], names[1])


def _types_listed(types: Sequence[ArrayType]) -> str:
    return ", ".join(map(str, types)) or "nothing"


def _listed(values: Sequence[Value]) -> str:
    return _types_listed([value.type for value in values])
