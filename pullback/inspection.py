"""What compiling did, for people: counts and times, reasons, memory."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pullback.dispatch import Dispatcher


def _shown(name: str) -> str:
    return "value" if name == "_entry" else name


def stats(dispatchers: Mapping[str, Dispatcher]) -> dict[str, Any]:
    """Per form: how many specializations, their operations and kernels, and seconds spent compiling by phase."""
    found: dict[str, Any] = {}
    for name, dispatcher in dispatchers.items():
        made = list(dispatcher.specializations.values())
        phases: dict[str, float] = {}
        for each in made:
            for phase, seconds in each.executable.seconds.items():
                phases[phase] = phases.get(phase, 0.0) + seconds
        found[_shown(name)] = {
            "specializations": len(made),
            "operations": sum(len(each.executable.optimized.body.operations) for each in made),
            "kernels": sum(len(each.executable.program.kernels) for each in made),
            "seconds": sum(each.seconds for each in made),
            "phases": phases,
        }
    return found


def explain(dispatchers: Mapping[str, Dispatcher]) -> str:
    """Every compilation and its reason, a line each."""
    lines = [f"{_shown(name)}: {reason}" for name, each in dispatchers.items() for reason in each.reasons]
    return "\n".join(lines) if lines else "not compiled yet"


def memory(dispatchers: Mapping[str, Dispatcher]) -> dict[str, int]:
    """Bytes that a call of each form allocates at its peak, the largest specialization's: results, temporaries, tapes.

    A tape is what a loop keeps for its derivative. Where its length depends on the arguments, it is taken to be as long
    as the longest so far: native code notes that. What is set aside for a tape of such a length, but not touched, is up
    to a quarter more. Temporaries of up to 64 MiB stay with the process for the next call of any function, and are counted
    for each. Not counted are what a BLAS allocates for itself, once for the process, and copies of arguments
    that are not aligned and in C order.
    """
    return {
        _shown(name): max(each.executable.memory_bytes for each in dispatcher.specializations.values())
        for name, dispatcher in dispatchers.items()
        if dispatcher.specializations
    }
