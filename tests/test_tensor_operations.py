"""Every operation on tensors shows what PyTorch showed: value, dtype, step and gradients, from recorded texts."""
from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from tensor_expressions import GROUPS, expressions, show

import pullback

RECORDED = Path(__file__).parent / "pytorch"
NUMBER = re.compile(r"-?(?:\d+\.?\d*(?:e[-+]?\d+)?|inf)|nan")


def wanted() -> list[str]:
    return [text for group in GROUPS for text in (RECORDED / f"{group}.txt").read_text().rstrip("\n").split("\n\n")]


def same(found: str, expected: str) -> bool:
    """Equal texts, numbers within float32's rounding."""
    if NUMBER.sub("#", found) != NUMBER.sub("#", expected):
        return False
    pairs = zip(NUMBER.findall(found), NUMBER.findall(expected), strict=True)
    return all(
        left == right or math.isclose(float(left), float(right), rel_tol=2e-4, abs_tol=2e-6) for left, right in pairs
    )


def test_all_expressions_are_recorded() -> None:
    assert [text.split("\n")[0] for text in wanted()] == [each for group in GROUPS for each in expressions(group)]


@pytest.mark.parametrize("expected", wanted(), ids=lambda text: text.split("\n")[0])
def test_shows_what_pytorch_showed(expected: str) -> None:
    expression = expected.split("\n")[0]
    found = show(pullback, expression)
    assert same(found, expected), f"\n{found}\n  PyTorch:\n{expected}"
