"""The programs of `tests/seeds`, autograd tutorials written for PyTorch, print here what they print there."""
from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pullback

PROGRAMS = sorted((Path(__file__).parent / "seeds").glob("*.py"))


def fixed_randn() -> Any:
    """The numbers that were drawn when the expected texts were recorded."""
    state = np.random.RandomState(0)

    def randn(*shape: int, **keywords: Any) -> Any:
        return pullback.tensor(state.standard_normal(shape).astype(np.float32), **keywords)

    return randn


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.stem)
def test_program_prints_what_pytorch_printed(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", pullback)
    monkeypatch.setattr(pullback, "randn", fixed_randn())
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program.read_text(), program.name, "exec"), {"__name__": "__main__"})
    text = re.sub(r"0x[0-9a-fA-F]+", "0x…", printed.getvalue())
    assert text == program.with_suffix(".golden").read_text()
