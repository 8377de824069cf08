"""The words in which an op says what it does to one element; codegen turns them into instructions."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pullback.dtypes import DType


@dataclass(frozen=True, slots=True)
class Scalar:
    """One element (or one lane-vector of elements) inside a kernel: its name in the emitted text and its dtype."""

    text: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Table:
    """Constants in memory, in a module once under `name`."""

    name: str
    dtype: DType
    values: tuple[int | float, ...]


class Compare(Enum):
    """Comparison predicates. On floats all but NE are false when an operand is NaN."""

    LT = "lt"
    LE = "le"
    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"


class Elementary(Enum):
    """Functions that codegen/vecmath provides for float32 and float64, with their bounds stated there."""

    EXP = "exp"
    EXPM1 = "expm1"
    LOG = "log"
    LOG1P = "log1p"
    SIN = "sin"
    COS = "cos"
    TAN = "tan"
    SINH = "sinh"
    COSH = "cosh"
    TANH = "tanh"
    ARCTAN = "arctan"
    ARCTAN2 = "arctan2"
    POW = "pow"
    LOGADDEXP = "logaddexp"
    SIGMOID = "sigmoid"
    SOFTPLUS = "softplus"
    ERF = "erf"


class ScalarBuilder(Protocol):
    """What one element's code is built from. Operands of a two-operand method have one dtype, also its result's.

    Every method gives the same bits for a scalar, for each lane of a vector, and for a remainder.
    """

    def constant(self, dtype: DType, value: bool | int | float) -> Scalar: ...
    def add(self, x: Scalar, y: Scalar) -> Scalar: ...
    def sub(self, x: Scalar, y: Scalar) -> Scalar: ...
    def mul(self, x: Scalar, y: Scalar) -> Scalar: ...
    def div(self, x: Scalar, y: Scalar) -> Scalar:
        """Float division, or C's truncating integer division (the divisor must not be 0, nor min/-1)."""

    def rem(self, x: Scalar, y: Scalar) -> Scalar:
        """C's fmod on floats, or the integer remainder with the sign of x (the divisor must not be 0)."""

    def neg(self, x: Scalar) -> Scalar: ...
    def fma(self, x: Scalar, y: Scalar, z: Scalar) -> Scalar:
        """x * y + z with one rounding (floats only)."""

    def abs(self, x: Scalar) -> Scalar: ...
    def sqrt(self, x: Scalar) -> Scalar: ...
    def floor(self, x: Scalar) -> Scalar: ...
    def ceil(self, x: Scalar) -> Scalar: ...
    def trunc(self, x: Scalar) -> Scalar: ...
    def rint(self, x: Scalar) -> Scalar:
        """Nearest integer, ties to even."""

    def copysign(self, x: Scalar, sign: Scalar) -> Scalar: ...
    def minimum(self, x: Scalar, y: Scalar) -> Scalar:
        """NaN if either is NaN, as np.minimum."""

    def maximum(self, x: Scalar, y: Scalar) -> Scalar: ...
    def compare(self, predicate: Compare, x: Scalar, y: Scalar) -> Scalar: ...
    def select(self, condition: Scalar, x: Scalar, y: Scalar) -> Scalar: ...
    def bit_and(self, x: Scalar, y: Scalar) -> Scalar: ...
    def bit_or(self, x: Scalar, y: Scalar) -> Scalar: ...
    def bit_xor(self, x: Scalar, y: Scalar) -> Scalar: ...
    def bit_not(self, x: Scalar) -> Scalar: ...
    def shift_left(self, x: Scalar, y: Scalar) -> Scalar: ...
    def shift_right(self, x: Scalar, y: Scalar) -> Scalar:
        """Arithmetic on signed integers, logical on unsigned."""

    def shift_right_logical(self, x: Scalar, y: Scalar) -> Scalar: ...
    def bits(self, x: Scalar) -> Scalar:
        """The bits of a float as the signed integer of its width."""

    def from_bits(self, x: Scalar) -> Scalar:
        """The float whose bits a signed integer of its width holds."""

    def cast(self, x: Scalar, dtype: DType) -> Scalar:
        """NumPy's astype: float to integer truncates (out of range is unspecified), anything to bool is != 0."""

    def elementary(self, function: Elementary, *operands: Scalar) -> Scalar: ...
    def lookup(self, table: Table, index: Scalar) -> Scalar:
        """The constant at place `index`, an integer from 0 to one less than the table's size."""

    def rarely(
        self, condition: Scalar, usual: tuple[Scalar, ...], name: str, rare: Rare, *operands: Scalar
    ) -> tuple[Scalar, ...]:
        """`rare` of the operands where `condition` holds, `usual` elsewhere; both are as many values, of equal dtypes.

        The code of `rare` is laid out once in a module, as a function `name` of one element, and branched around where
        the condition holds for none. `name` must stand for the pair of `rare` and the operands' dtypes.
        """


Rare = Callable[..., tuple[Scalar, ...]]
"""Takes a builder and operands, as an `Elementary` function's code does; gives any number of values."""
