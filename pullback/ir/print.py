"""A function in, its text out: what `print_function` writes, `parse_function` reads, letter by letter."""
from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pullback.dtypes import DType
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
    operands = ", ".join([names[operand] for operand in operation.operands])
    results = ", ".join([names[result] for result in operation.results])
    types = ", ".join([str(result.type) for result in operation.results])
    text = f"{results} = {operation.op.name}" if results else operation.op.name
    return f"{text} {operands}".rstrip() + f"{attributes_text(operation.op)} : {types}".rstrip()


class _Printer:
    def __init__(self, locations: bool, source_comments: bool) -> None:
        self.locations = locations
        self.source_comments = source_comments
        self.names: dict[Value, str] = {}
        self.taken: set[str] = set()
        self.count = 0
        self.lines: list[str] = []
        self.commented: tuple[str, int] = ("", 0)

    def function(self, function: Function) -> str:
        parameters = ", ".join(self.argument(value) for value in function.parameters)
        captured = ", ".join(self.argument(value) for value in function.captured_arguments)
        results = ", ".join(str(kind) for kind in function.result_types)
        separator = "; " if captured else ""
        self.lines.append(f"func @{function.name}({parameters}{separator}{captured}) -> ({results}) {{")
        self.body(function.body, "return")
        self.lines.append("}")
        return "\n".join(self.lines) + "\n"

    def argument(self, value: Value) -> str:
        """``%name: type``; the name is the value's own, made unique."""
        base = value.name or "arg"
        name, number = base, 1
        while name in self.taken or not value.name:
            name, value_number = f"{base}_{number}", number
            number = value_number + 1
            if name not in self.taken:
                break
        self.taken.add(name)
        self.names[value] = f"%{name}"
        return f"%{name}: {value.type}"

    def define(self, value: Value) -> str:
        """A number for a result."""
        while str(self.count) in self.taken:
            self.count += 1
        name = self.names[value] = f"%{self.count}"
        self.count += 1
        return name

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
        operands = ", ".join([self.names[operand] for operand in operation.operands])
        results = ", ".join([self.define(result) for result in operation.results])
        text = f"{results} = {operation.op.name}" if results else operation.op.name
        if operands:
            text += " " + operands
        return text + attributes_text(operation.op)

    def comment(self, location: Location, indent: str) -> None:
        if location is UNKNOWN or location.place == self.commented:
            return
        self.commented = location.place
        self.lines.append(f"{indent}// {location.comment()}")

    def tail(self, operation: Operation) -> str:
        """`` : types  loc(...)``."""
        types = ", ".join([str(result.type) for result in operation.results])
        text = f" : {types}" if types else " :"
        if self.locations and operation.location.line:
            text += "  " + location_text(operation.location)
        return text


def attributes_text(op: Op) -> str:
    """`` {name = value, …}`` from the op's fields, or nothing."""
    fields = dataclasses.fields(op)
    if not fields:
        return ""
    return " {" + ", ".join([f"{field.name} = {attribute_text(getattr(op, field.name))}" for field in fields]) + "}"


def attribute_text(value: Any) -> str:
    """One attribute: number, bool, dtype, type, symbol or a tuple of such."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, DType):
        return value.name
    if isinstance(value, ArrayType):
        return str(value)
    if isinstance(value, tuple):
        return "(" + ", ".join([attribute_text(each) for each in value]) + ("," if len(value) == 1 else "") + ")"
    return value if isinstance(value, str) else repr(value)


def location_text(location: Location) -> str:
    """``loc("file":line:column-end "function")``."""
    return (
        f"loc({json.dumps(location.file)}:{location.line}:{location.column}-{location.end_column} "
        f"{json.dumps(location.function)})"
    )
