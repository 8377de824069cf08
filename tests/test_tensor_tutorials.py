"""Whole tutorials as sessions: every statement shows what it showed with PyTorch 2.13, random numbers included."""
from __future__ import annotations

import math
import warnings
from pathlib import Path

import pytest
from session import NUMBER, session

TUTORIALS = sorted((Path(__file__).parent / "tutorials").glob("*.py"))


def close(found: str, expected: str) -> bool:
    """Equal but for the last digits of floats."""
    if NUMBER.sub("#", found).split() != NUMBER.sub("#", expected).split():
        return False
    pairs = zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True)
    return all(
        left == right or ("." in right and math.isclose(float(left), float(right), rel_tol=5e-4, abs_tol=1.5e-4))
        for left, right in pairs
    )


@pytest.mark.parametrize("program", TUTORIALS, ids=lambda program: program.stem)
def test_every_statement_shows_what_pytorch_showed(program: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = session(program.read_text(), "pullback").split("\n>>> ")
    expected = program.with_suffix(".golden").read_text().split("\n>>> ")
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert close(one, two), f"\n>>> {one}\nPyTorch:\n>>> {two}"
