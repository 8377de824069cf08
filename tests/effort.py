"""How much work something is, told so that it does not depend on the machine."""
from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls_of(run: Callable[[], object]) -> int:
    """How many functions a run calls, Python's and built-in ones."""
    counted = 0

    def count_call(frame: Any, event: str, argument: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    sys.setprofile(count_call)
    try:
        run()
    finally:
        sys.setprofile(None)
    return counted
