"""What compiling did, for people: every stage as text, counts and times, reasons, memory."""
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pullback.dispatch import Dispatcher, Specialization
from pullback.ir.print import print_function


@dataclass
class Lowered:
    """The stages of one function for one kind of arguments, each a text made when asked for.

    ``ir`` is the function as traced, ``adjoint`` value and gradient before simplification, ``optimized`` after it;
    ``kernels``, ``llvm`` and ``asm`` are the native code of value and gradient, or of the function alone where it
    has no gradient (``value`` holds those stages of the function alone).
    """

    value: Specialization
    _gradient: Callable[[], Specialization]

    @cached_property
    def gradient(self) -> Specialization:
        """Value and gradient, compiled. Raises: DerivativeError for a function that has none."""
        return self._gradient()

    @property
    def ir(self) -> str:
        return print_function(self.value.trace.function, source_comments=True)

    @property
    def adjoint(self) -> str:
        return print_function(self.gradient.trace.function, source_comments=True)

    @property
    def optimized(self) -> str:
        return print_function(self.gradient.executable.optimized, source_comments=True)

    @property
    def kernels(self) -> str:
        return self.gradient.executable.kernels

    @property
    def llvm(self) -> str:
        return self.gradient.executable.code.text

    @property
    def asm(self) -> str:
        return self.gradient.executable.code.assembly


def lowered(value: Specialization, gradient: Callable[[], Specialization]) -> Lowered:
    """The stages of a compiled function and of its gradient."""
    return Lowered(value, gradient)


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
    """Bytes of temporary memory that a call of each form takes, the largest specialization's."""
    return {
        _shown(name): max(each.executable.program.arena_bytes for each in dispatcher.specializations.values())
        for name, dispatcher in dispatchers.items()
        if dispatcher.specializations
    }
