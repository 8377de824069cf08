"""A function in, its text out: what `print_function` writes, `parse_function` reads, letter by letter."""
from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from pullback.ir.attributes import attributes_text
from pullback.ir.core import Function, Op, Operation, Region, Value
from pullback.ir.types import ArrayType
from pullback.location import UNKNOWN, Location


def print_function(function: Function, *, locations: bool = True, source_comments: bool = False) -> str:
    """The text of a function: locations behind each operation unless switched off.

    With `source_comments` the user's source line stands as a comment above the first operation of each line.
    """
    return _Printer(locations, source_comments).function(function)


def value_names(function: Function) -> dict[Value, str]:
    """What the text of a function calls each of its values: ``%x``, ``%3``."""
    printer = _Printer(False, False)
    printer.function(function)
    return printer.names


def operation_text(operation: Operation, names: Mapping[Value, str]) -> str:
    """One operation as the text of its function has it, without location and regions."""
    printer = _Printer(False, False)
    return printer.call(operation, names) + printer.tail(operation)


class _Printer:
    def __init__(self, locations: bool, source_comments: bool) -> None:
        self.locations = locations
        self.source_comments = source_comments
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.repeats: dict[str, int] = {}
        self.count = 0
        self.type_texts: dict[ArrayType, str] = {}
        self.op_texts: dict[Op, tuple[str, str]] = {}
        self.location_texts: dict[Location, str] = {UNKNOWN: ""}
        self.lines: list[str] = []
        self.commented: tuple[str, int] = ("", 0)

    def function(self, function: Function) -> str:
        parameters = ", ".join(self.argument(value) for value in function.parameters)
        captured = ", ".join(self.argument(value) for value in function.captured_arguments)
        results = ", ".join(str(kind) for kind in function.result_types)
        separator = "; " if captured else ""
        self.lines.append(f"func @{printable(function.name)}({parameters}{separator}{captured}) -> ({results}) {{")
        self.body(function.body, "return")
        self.lines.append("}")
        return "\n".join(self.lines) + "\n"

    def argument(self, value: Value) -> str:
        """``%name: type``; the name is the value's own, made unique. Results have numbers, so no name is one."""
        base = printable(value.name or "arg")
        name = base
        while name in self.taken:
            self.repeats[base] = self.repeats.get(base, 0) + 1
            name = f"{base}_{self.repeats[base]}"
        self.taken.add(name)
        self.names[value] = f"%{name}"
        return f"%{name}: {value.type}"

    def body(self, region: Region, end: str) -> None:
        """The operations of a region and of those inside it, without recursion."""
        stack: list[tuple[Iterator[Operation], Region, str, Operation | None, int]] = []
        stack.append((iter(region.operations), region, end, None, 0))
        while stack:
            operations, current, word, parent, number = stack.pop()
            indent = "  " * (len(stack) + 1)
            for operation in operations:
                if operation.regions:
                    self.lines.append(indent + self.head(operation, indent) + " {" + self.header(operation.regions[0]))
                    stack.append((operations, current, word, parent, number))
                    inner = operation.regions[0]
                    stack.append((iter(inner.operations), inner, "yield", operation, 0))
                    break
                self.lines.append(indent + self.head(operation, indent) + self.tail(operation))
            else:
                shown = ", ".join(self.names[value] for value in current.yields)
                self.lines.append(f"{indent}{word} {shown}".rstrip())
                if parent is None:
                    continue
                outer = indent[2:]
                if number + 1 < len(parent.regions):
                    inner = parent.regions[number + 1]
                    self.lines.append(outer + "} {" + self.header(inner))
                    stack.append((iter(inner.operations), inner, "yield", parent, number + 1))
                else:
                    self.lines.append(outer + "}" + self.tail(parent))

    def header(self, region: Region) -> str:
        """A region's arguments."""
        return f" ^({', '.join(self.argument(value) for value in region.arguments)})"

    def head(self, operation: Operation, indent: str) -> str:
        """``%0 = name %operands {attributes}``."""
        if self.source_comments:
            self.comment(operation.location, indent)
        for result in operation.results:
            self.names[result] = f"%{self.count}"
            self.count += 1
        return self.call(operation, self.names)

    def call(self, operation: Operation, names: Mapping[Value, str]) -> str:
        text = self.op_texts.get(operation.op)
        if text is None:
            text = self.op_texts[operation.op] = operation.op.name, attributes_text(operation.op)
        name, attributes = text
        operands = ", ".join([names[operand] for operand in operation.operands])
        results = ", ".join([names[result] for result in operation.results])
        return f"{results}{' = ' if results else ''}{name}{' ' if operands else ''}{operands}{attributes}"

    def comment(self, location: Location, indent: str) -> None:
        if location is UNKNOWN or location.place == self.commented:
            return
        self.commented = location.place
        self.lines.append(f"{indent}// {location.comment()}")

    def tail(self, operation: Operation) -> str:
        """`` : types  loc(...)``."""
        text = " : " + ", ".join([self.type_text(result.type) for result in operation.results])
        if self.locations and operation.location.line:
            return f"{text}  {self.location_text(operation.location)}"
        return text.rstrip()

    def type_text(self, kind: ArrayType) -> str:
        known = self.type_texts.get(kind)
        if known is None:
            known = self.type_texts[kind] = str(kind)
        return known

    def location_text(self, location: Location) -> str:
        known = self.location_texts.get(location)
        if known is None:
            known = self.location_texts[location] = location_text(location)
        return known


def printable(name: str) -> str:
    """`name` as the text may hold it: letters, digits, _ and dots, not beginning with a digit."""
    cleaned = re.sub(r"[^\w.]", "_", name)
    return "_" + cleaned if cleaned[:1].isdigit() else cleaned


def location_text(location: Location) -> str:
    """``loc("file":line:column-end "function")``."""
    return (
        f"loc({json.dumps(location.file)}:{location.line}:{location.column}-{location.end_column} "
        f"{json.dumps(location.function)})"
    )
