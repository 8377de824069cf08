"""Where in the user's source an operation came from: found cheaply when recorded, read when shown."""
from __future__ import annotations

import linecache
import sys
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from types import CodeType


@dataclass(frozen=True, slots=True)
class Location:
    """A range of one source line: columns count characters from 0, `end_column` is one past the end, 0, 0 unknown."""

    file: str
    line: int
    column: int = 0
    end_column: int = 0
    function: str = ""

    def source(self) -> str:
        """The source line, without its end, or the empty text."""
        return linecache.getline(self.file, self.line).rstrip("\n")

    @property
    def place(self) -> tuple[str, int]:
        """The line, whatever the columns."""
        return self.file, self.line

    def comment(self) -> str:
        """``file:line: source``, on one line."""
        return f"{Path(self.file).name}:{self.line}: {self.source().strip()}"

    def excerpt(self) -> str:
        """``file:line in function:   source`` with carets below the range."""
        name = Path(self.file).name
        head = f"  {name}:{self.line}" + (f" in {self.function}" if self.function else "") + ":   "
        source = self.source()
        stripped = source.lstrip()
        if not stripped:
            return head.rstrip()
        lines = [head + stripped]
        if self.end_column > self.column:
            indent = len(source) - len(stripped)
            lines.append(" " * (len(head) + self.column - indent) + "^" * (self.end_column - self.column))
        return "\n".join(lines)


UNKNOWN = Location("", 0)

_PACKAGE = str(Path(__file__).parent) + "/"


MAX_PLACES = 1 << 16

_places: dict[tuple[int, int], tuple[CodeType, Location]] = {}
"""Locations by the address of the code and the instruction: hashing code itself goes through all its constants. An entry
keeps its code, so that no other code comes to stand at the address."""


def _resolve(code: CodeType, instruction: int) -> Location:
    """The location of one bytecode instruction; Python 3.10 knows the line only."""
    lines = (line for start, end, line in code.co_lines() if start <= instruction < end)
    line = next(lines, None) or code.co_firstlineno
    column = end_column = 0
    if hasattr(code, "co_positions"):
        start, end, column_found, end_found = next(islice(code.co_positions(), instruction // 2, None))
        if start is not None and column_found is not None and end_found is not None:
            line = start
            raw = linecache.getline(code.co_filename, start).encode()
            column = len(raw[:column_found].decode(errors="replace"))
            end_column = len(raw[:end_found].decode(errors="replace")) if end == start else len(raw.decode().rstrip())
    return Location(code.co_filename, line, column, end_column, code.co_name)


@lru_cache(maxsize=1 << 12)
def _is_internal(file: str) -> bool:
    """Whether frames of `file` belong to this package, NumPy or SciPy, not to the user."""
    if file.startswith(_PACKAGE):
        return not file.startswith(_PACKAGE + "demo/")
    return "/numpy/" in file or "-packages/scipy/" in file or file.startswith("<frozen") or "/contextlib.py" in file


def caller(skipped: int = 1) -> Location:
    """The innermost frame that is the user's own; the first `skipped` are known not to be."""
    frame = sys._getframe(skipped)
    while frame is not None:
        code = frame.f_code
        if not _is_internal(code.co_filename):
            key = id(code), frame.f_lasti
            found = _places.get(key)
            if found is not None:
                return found[1]
            if len(_places) >= MAX_PLACES:
                _places.clear()
            location = _resolve(code, frame.f_lasti)
            _places[key] = code, location
            return location
        if frame.f_back is None:
            break
        frame = frame.f_back
    return UNKNOWN
