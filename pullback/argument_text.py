"""The text of an argument in, a value of that type out: ``f64[100, 50]``, ``{'w': f64[3], 'b': float}``."""
from __future__ import annotations

import re
from typing import Any, NoReturn

import numpy as np

from pullback import dtypes
from pullback.errors import ArgumentValueError

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?))|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<string>'[^']*'|"[^"]*")|(?P<mark>[\[\](){},:]))"""
)
_PYTHON = {"float": 0.0, "int": 0, "bool": False, "True": True, "False": False, "None": None}


def argument(text: str) -> Any:
    """A value of the type that `text` states: zeros where it states a type, the value itself where it is a literal.

    An array is an element type of the IR and sizes in brackets, ``float``, ``int`` and ``bool`` are Python numbers;
    tuples, lists and dicts of these are written as in Python. An array takes no memory, whatever its size.

    Raises: ArgumentValueError that shows where the text is wrong.
    """
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []
        position, end = 0, len(text.rstrip())
        while position < end:
            found = _TOKEN.match(text, position)
            if found is None:
                self.fail(f"{text[position:].strip()[:1]!r} is not understood", position)
            kind = found.lastgroup or ""
            self.tokens.append((kind, found.group(kind), found.start(kind)))
            position = found.end()
        self.tokens.append(("end", "the end", end))
        self.place = 0

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        """Raises: ArgumentValueError that shows the place."""
        at = self.tokens[self.place][2] if position is None else position
        raise ArgumentValueError(
            f"argument {self.text!r}, column {at + 1}: {message}",
            help="an argument is a type such as f64[100,50], f32[] or i64[4,4], a Python type (float, int, bool), a "
            "number, or a tuple, list or dict of these",
        )

    def found(self, mark: str) -> bool:
        """Take the next token if it is this mark."""
        if self.tokens[self.place][:2] == ("mark", mark):
            self.place += 1
            return True
        return False

    def whole(self) -> Any:
        result = self.value()
        if self.tokens[self.place][0] != "end":
            self.fail(f"{self.tokens[self.place][1]!r} is left over")
        return result

    def value(self) -> Any:
        kind, text, _ = self.tokens[self.place]
        self.place += 1
        match kind, text:
            case "number", _:
                return _number(text)
            case "string", _:
                return text[1:-1]
            case "word", _ if text in dtypes.BY_NAME and self.tokens[self.place][:2] == ("mark", "["):
                return self.array(dtypes.BY_NAME[text])
            case "word", _ if text in _PYTHON:
                return _PYTHON[text]
            case "mark", "(":
                items, comma = self.items(")")
                return items[0] if len(items) == 1 and not comma else tuple(items)
            case "mark", "[":
                return self.items("]")[0]
            case "mark", "{":
                return self.entries()
        self.place -= 1
        if kind == "word" and text in dtypes.BY_NAME:
            self.fail(f"{text} needs its sizes: {text}[3], or {text}[] for a scalar", self.tokens[self.place][2])
        for dtype in dtypes.ALL:
            if text == dtype.short_name:
                self.fail(f"{text} is written {dtype.name}")
        if kind == "word":
            self.fail(f"{text!r} is no element type; those are {', '.join(dtypes.BY_NAME)}")
        self.fail(f"expected a type, found {text if kind == 'end' else repr(text)}")

    def array(self, dtype: dtypes.DType) -> np.ndarray[Any, Any]:
        """Zeros of the sizes that follow in brackets."""
        self.found("[")
        shape: list[int] = []
        while not self.found("]"):
            kind, text, _ = self.tokens[self.place]
            if kind == "word":
                self.fail(f"the size {text!r} must be a number: code is made for known shapes")
            if kind != "number" or not text.isdigit():
                self.fail(f"expected a size or ']', found {text if kind == 'end' else repr(text)}")
            shape.append(int(text))
            self.place += 1
            if not self.found(",") and self.tokens[self.place][:2] != ("mark", "]"):
                self.fail(f"expected ',' or ']', found {self.tokens[self.place][1]!r}")
        try:
            return np.broadcast_to(np.zeros((), dtype.numpy), shape)
        except ValueError as error:
            self.fail(f"NumPy has no such array: {error}")

    def items(self, end: str) -> tuple[list[Any], bool]:
        """Values up to the closing mark, and whether a comma stands before it."""
        found: list[Any] = []
        comma = False
        while not self.found(end):
            if found and not comma:
                self.fail(f"expected ',' or {end!r}, found {self.tokens[self.place][1]!r}")
            found.append(self.value())
            comma = self.found(",")
        return found, comma

    def entries(self) -> dict[Any, Any]:
        """``key: value`` up to the closing brace; a key without quotes is a string too."""
        found: dict[Any, Any] = {}
        comma = True
        while not self.found("}"):
            kind, text, _ = self.tokens[self.place]
            if not comma:
                self.fail(f"expected ',' or '}}', found {text!r}")
            if kind not in ("word", "string", "number"):
                self.fail(f"expected a key, found {text if kind == 'end' else repr(text)}")
            self.place += 1
            if not self.found(":"):
                self.fail(f"expected ':' after key {text!r}")
            key = text if kind == "word" else text[1:-1] if kind == "string" else _number(text)
            found[key] = self.value()
            comma = self.found(",")
        return found


def _number(text: str) -> int | float:
    return int(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)
