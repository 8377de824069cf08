"""The IR's text in, tokens out; and the place of an error shown with line, column and a caret."""
from __future__ import annotations

import re
from typing import NoReturn

from pullback.errors import ParseError

# Attributes, types and locations are one token each: they repeat, and each text is read once.
_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*)*(?:"""
    r"""(?P<value>%[\w.]+)|(?P<attributes>\{\s*[A-Za-z_]\w*\s*=[^{}]*\})|(?P<mark>->|[(){}<>,:;=^])"""
    r"""|(?P<type>(?:bool|[iuf][0-9]+)\[[^\]\n]*\])"""
    r"""|(?P<location>loc\("(?:[^"\\\n]|\\.)*":[0-9]+:[0-9]+-[0-9]+\ "(?:[^"\\\n]|\\.)*"\))"""
    r"""|(?P<text>"(?:[^"\\\n]|\\.)*")"""
    r"""|(?P<number>-?(?:[0-9]+\.[0-9]*(?:e[+-]?[0-9]+)?|[0-9]+e[+-]?[0-9]+|[0-9]+|inf\b|nan\b))"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<symbol>@[\w.]+)|(?P<end>\Z)|(?P<bad>\S))""",
    re.VERBOSE,
)


class Tokens:
    """The tokens of ``text[start:stop]``: kind, text and position of each; `place` is the next one."""

    def __init__(self, text: str, start: int = 0, stop: int | None = None) -> None:
        self.text = text
        self.place = 0
        self.tokens: list[tuple[str, str, int]] = []
        for match in _TOKEN.finditer(text, start, len(text) if stop is None else stop):
            kind = str(match.lastgroup)
            self.tokens.append((kind, match[kind], match.start(kind)))
            # A text can only be an attribute: what stands in braces, read by itself.
            if kind == "bad" or (kind == "text" and stop is None):
                help = '; a location is loc("file":line:column-end "function")' if match[kind][0] == '"' else ""
                self.fail(f"this is no part of the IR{help}", match.start(kind))

    def fail(self, message: str, position: int | None = None) -> NoReturn:
        """Raises: ParseError that shows the place, by default that of the next token."""
        at = self.position if position is None else position
        start = self.text.rfind("\n", 0, at) + 1
        end = self.text.find("\n", at)
        line = self.text[start : end if end >= 0 else len(self.text)]
        number, column = self.text.count("\n", 0, at) + 1, at - start
        blank = "".join("\t" if letter == "\t" else " " for letter in line[:column])
        raise ParseError(f"line {number}, column {column + 1}: {message}\n  {line}\n  {blank}^")

    @property
    def position(self) -> int:
        """Where the next token begins."""
        return self.tokens[self.place][2]

    def peek(self) -> str:
        """The kind of the next token."""
        return self.tokens[self.place][0]

    def take(self, kind: str, what: str = "") -> str:
        """The next token, which must be of a kind. Raises: ParseError saying what was expected."""
        found, text, _ = self.tokens[self.place]
        if found != kind:
            self.fail(f"expected {what or 'a ' + kind}, found {text or 'the end of the text'}")
        self.place += 1
        return text

    def expect(self, text: str) -> None:
        """Take the next token, which must be this mark or word. Raises: ParseError."""
        if not self.found(text):
            self.fail(f"expected {text}, found {self.tokens[self.place][1] or 'the end of the text'}")

    def found(self, text: str) -> bool:
        """Take the next token if it is this mark or word."""
        if self.tokens[self.place][1] != text:
            return False
        self.place += 1
        return True
