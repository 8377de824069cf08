"""Random Python programs with control flow, compiled: Python's values, true gradients, the same in both modes."""
from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from random_control import random_control
from random_control_check import Invalid, check

import pullback as pb

QUICK = 24
SWEEP = 10_000
GROUP = 50
DOCUMENTED = (
    "may be the same", "may be the array", "are one array",  # which array a variable holds depends on what ran
    "needs a number", "is recorded once", "has no value after one", "after an iteration", "after the other",
    "is bound by a function", "a branch raises",
)  # fmt: skip
"""Parts of messages of programs that are refused for a reason that users are told of."""


def passes(seed: int) -> bool:
    """Check the program of a seed; False if it is refused, or no program. Raises: AssertionError for what is wrong."""
    program = random_control(seed)
    try:
        check(program, native=seed % 4 < 2)
    except Invalid:
        return False
    except pb.PullbackError as error:
        assert any(part in str(error) for part in DOCUMENTED), f"{error}\n{program.source}"
        return False
    except Exception as error:
        raise AssertionError(f"seed {seed}: {error}\n{program.source}{program.arguments}") from error
    return True


@settings(max_examples=QUICK, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32))
def test_drawn_programs(seed: int) -> None:
    passes(seed)


def test_most_programs_are_taken() -> None:
    assert sum(passes(seed) for seed in range(10)) >= 7


@pytest.mark.sweep
@pytest.mark.parametrize("group", range(SWEEP // GROUP))
def test_many_programs(group: int) -> None:
    for seed in range(group * GROUP, (group + 1) * GROUP):
        passes(seed)
