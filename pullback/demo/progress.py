"""Steps done in, a line that moves (on a terminal) or a few plain lines (elsewhere) out, on stderr."""
from __future__ import annotations

import sys
import time
from typing import TextIO

from pullback.config import settings

_PLAIN_LINES = 5  # in all, where lines do not move
_REFRESH = 0.05  # seconds between two changes of a moving line
_BAR = 24  # characters


class Progress:
    """The progress of work with about `total` steps. Use in a ``with`` block, which ends the line."""

    def __init__(self, title: str, total: int, stream: TextIO | None = None) -> None:
        self.title = title
        self.total = max(1, total)
        self.stream = sys.stderr if stream is None else stream
        wanted = settings().progress
        self.moves = self.stream.isatty() if wanted is None else wanted
        self._last_shown = float("-inf")
        self._plain = 0
        self._width = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self.moves and self._width:
            self.stream.write("\r" + " " * self._width + "\r")
            self.stream.flush()

    def update(self, step: int, text: str) -> None:
        """Show that `step` steps are done, and `text`."""
        share = min(1.0, step / self.total)
        if self.moves:
            now = time.monotonic()
            if now - self._last_shown < _REFRESH and step < self.total:
                return
            self._last_shown = now
            bar = "#" * round(share * _BAR)
            line = f"  {self.title} [{bar:{_BAR}}] {text}"
            self.stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        elif share * _PLAIN_LINES >= self._plain + 1:
            self._plain = int(share * _PLAIN_LINES)
            self.stream.write(f"  {self.title} {step}: {text}\n")
        self.stream.flush()
