"""The exception of a check: a user's exception in, one like it for each call that fails out, with what was computed."""
from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

import numpy as np

from pullback.errors import CheckError
from pullback.location import UNKNOWN, Location


@dataclass(frozen=True)
class Hole:
    """Where an exception's argument has the value of an operand of the check, and how it is written there.

    `conversion` is ``r`` or ``s``, or else a specification says how, as in a format string; a `weak` value is a Python number.
    """

    operand: int
    conversion: str = ""
    specification: str = ""
    weak: bool = False

    def __repr__(self) -> str:
        how = f"!{self.conversion}" if self.conversion else f":{self.specification}" if self.specification else ""
        return f"<{self.operand}{how}>"

    def value(self, values: Sequence[Any]) -> Any:
        """What stands in the hole: a number for what has no axes."""
        array = np.asarray(values[self.operand])
        return array.item() if self.weak else array[()]

    def text(self, values: Sequence[Any]) -> str:
        """What is written in the hole."""
        value = self.value(values)
        match self.conversion:
            case "r":
                return repr(value)
            case "s":
                return str(value)
        return format(value, self.specification)


@dataclass(frozen=True)
class Complaint:
    """What a check raises. `text` says it in the IR; `error` has arguments with `holes`, marked in texts by `mark`.

    A complaint read from text has no `error`; then a CheckError with that text is raised.
    """

    text: str
    error: BaseException | None = field(default=None, compare=False, repr=False)
    holes: tuple[Hole, ...] = field(default=(), compare=False, repr=False)

    @classmethod
    def of(cls, error: BaseException, holes: Sequence[Hole]) -> Complaint:
        """The complaint that raises exceptions like `error`."""
        shown = ", ".join(repr(_filled(argument, {mark(place): repr(hole) for place, hole in enumerate(holes)}))
                          for argument in error.args)  # fmt: skip
        error.__traceback__ = None
        return cls(f"{type(error).__name__}({shown})", error, tuple(holes))

    def exception(self, values: Sequence[Any], location: Location) -> BaseException:
        """The exception for the operands' values, with the user's line as its traceback."""
        if self.error is None:
            return CheckError(self.text, location=location)
        texts = {mark(place): hole.text(values) for place, hole in enumerate(self.holes)}
        arguments = [_filled(argument, texts, values) for argument in self.error.args]
        kind = type(self.error)
        # A class of the user's may take other arguments than those that its exceptions keep.
        own: object = kind.__init__
        made = kind.__new__(kind, *arguments) if isinstance(own, FunctionType) else kind(*arguments)
        made.args = tuple(arguments)
        made.__dict__.update({name: _filled(value, texts, values) for name, value in self.error.__dict__.items()})
        made.__cause__ = self.error.__cause__
        made.__suppress_context__ = self.error.__suppress_context__
        return _raised_at(made, location)


def mark(place: int) -> str:
    """How a text says that hole number `place` is here."""
    return f"\0{place}\0"


def _filled(argument: Any, texts: Mapping[str, str], values: Sequence[Any] | None = None) -> Any:
    """An exception's argument with its holes filled; without values, holes that are no text stay."""
    match argument:
        case Hole():
            return argument if values is None else argument.value(values)
        case str() if "\0" in argument:
            for hole, text in texts.items():
                argument = argument.replace(hole, text)
            return argument
        case list() | tuple() if type(argument) in (list, tuple):
            return type(argument)([_filled(each, texts, values) for each in argument])
        case dict() if type(argument) is dict:
            return {key: _filled(each, texts, values) for key, each in argument.items()}
    return argument


def _raised_at(error: BaseException, location: Location) -> BaseException:
    """An exception as it is after being raised on the user's line, so that its traceback ends there."""
    if location is UNKNOWN:
        return error
    name = ast.Name("error", ast.Load())
    statement = ast.Raise(name, None)
    for node in (name, statement):
        node.lineno = node.end_lineno = location.line
        node.col_offset, node.end_col_offset = location.column, max(location.column, location.end_column)
    code = compile(ast.Module([statement], []), location.file, "exec").replace(co_name=location.function or "<module>")
    cause, suppressed = error.__cause__, error.__suppress_context__
    try:
        FunctionType(code, {"error": error})()
    except BaseException as raised:
        assert raised is error and raised.__traceback__ is not None
        raised.__cause__, raised.__suppress_context__ = cause, suppressed
        return raised.with_traceback(raised.__traceback__.tb_next)
    raise AssertionError("unreachable")
