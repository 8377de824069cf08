"""Python's garbage collector while a function is compiled: it looks for cycles less often."""
from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG = 100_000
"""New objects after which the collector runs meanwhile; CPython's own number is 700 (3.11) or 2,000."""


@contextmanager
def seldom() -> Iterator[None]:
    """Have the collector run seldom: IR lives until it is compiled, and walking it again and again finds nothing.

    A process that collects even less often by itself, or not at all, is left alone.
    """
    before = gc.get_threshold()
    if not 0 < before[0] < YOUNG:
        yield
        return
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        if gc.get_threshold()[0] == YOUNG:
            gc.set_threshold(*before)
