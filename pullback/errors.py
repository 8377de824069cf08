"""Every exception of the project: what happened, the user's own line with a caret, and the way out."""
from __future__ import annotations

import numpy as np

from pullback.location import UNKNOWN, Location


class PullbackError(Exception):
    """Base of all errors that `pullback` raises on purpose.

    `message` states the fact with its values, `location` is the user's line, `help` is the way out.
    """

    def __init__(self, message: str, *, location: Location = UNKNOWN, help: str = "") -> None:
        self.message = message
        self.location = location
        self.help = help
        super().__init__(message)

    def __str__(self) -> str:
        parts = [self.message]
        if self.location is not UNKNOWN:
            parts.append(self.location.excerpt())
        if self.help:
            parts.append(f"  help: {self.help}")
        return "\n".join(parts)


class ShapeError(PullbackError, ValueError):
    """Shapes do not fit each other."""


class DTypeError(PullbackError, TypeError):
    """An element type that an operation does not take."""


class TraceError(PullbackError, TypeError):
    """Python code that cannot be traced."""


class EscapedError(TraceError):
    """A traced value that is used where its trace is not under way."""


class ConcreteError(TraceError):
    """Python asks for a number that is only known when the compiled code runs."""


class LengthError(ConcreteError):
    """A slice of a length that is only known when the compiled code runs, where that cannot be."""


class CarryError(TraceError):
    """A loop's variable that changes its type, its shape or its nesting from one iteration to the next."""


class CheckError(PullbackError, AssertionError):
    """A check of IR that was read from text does not hold: of the exception that it raises only the text is known."""


class EffectError(TraceError):
    """A Python object that a loop or branch on traced values would change once, and not each time it runs."""


class ArgumentError(PullbackError, TypeError):
    """A call with arguments that do not fit the function."""


class ArgumentValueError(PullbackError, ValueError):
    """An argument of the right type with an unusable value."""


class OutOfBoundsError(PullbackError, IndexError):
    """An index beyond the end of its axis."""


class SingularError(PullbackError, np.linalg.LinAlgError):
    """A matrix without an inverse in a linear system, or one for `cholesky` that is not positive definite."""


class DecompositionError(PullbackError, np.linalg.LinAlgError):
    """A matrix that a decomposition does not come to an end for."""


class OutOfMemoryError(PullbackError, MemoryError):
    """Native code asked the system for memory and got none."""


class ParseError(PullbackError, ValueError):
    """Text that is not the IR's."""


class VerifyError(PullbackError, ValueError):
    """IR that breaks its own rules: a bug in a pass, or text written by hand."""


class UnboundError(PullbackError, ValueError):
    """A captured array whose data is not at hand (IR read from text)."""


class DerivativeError(PullbackError, TypeError):
    """A derivative that does not exist or is not defined for the request."""


class CallbackError(PullbackError, TypeError):
    """A Python function that compiled code calls gave something else than was stated."""


class ConvergenceError(PullbackError, RuntimeError):
    """An iteration that ended without a solution."""


class CompileError(PullbackError, RuntimeError):
    """LLVM refused what codegen wrote: a bug in codegen."""


class AutogradError(PullbackError, RuntimeError):
    """Misuse of `Tensor`'s autograd, in PyTorch's own words."""


class ConfigError(PullbackError, ValueError):
    """An unknown setting or an unusable value for one."""


class UsageError(PullbackError, ValueError):
    """A command line that names what is not there, or is written wrongly."""


class UserCodeError(PullbackError, RuntimeError):
    """The user's own code failed while a command ran it."""


class MissingPackageError(PullbackError, ImportError):
    """A package that only some of the work needs is not installed."""


class GradcheckError(PullbackError, RuntimeError):
    """A gradient that differs from what differences say."""


class UnavailableError(PullbackError, AssertionError):
    """A device that is not there."""


class UnsupportedError(PullbackError, NotImplementedError):
    """An operation that is not there for an element type."""
