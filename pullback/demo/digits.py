"""The digits that ship with the package in, images as float64 arrays with their labels out."""
from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from pullback.errors import ArgumentValueError

_BRIGHTEST = 16


@dataclass(frozen=True, eq=False)
class Digits:
    """Handwritten digits: `images` ``f64[n, 64]``, rows of 8 by 8 pixels in 0..1, and `labels` ``i64[n]``, 0 to 9."""

    images: np.ndarray[Any, np.dtype[np.float64]]
    labels: np.ndarray[Any, np.dtype[np.int64]]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray[Any, Any] | slice) -> Digits:
        """The digits of these rows, in their order."""
        return Digits(self.images[rows], self.labels[rows])


def load() -> Digits:
    """All 1,797 digits of E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.

    Source: doi 10.24432/C50P49, CC BY 4.0; see ``data/DIGITS_LICENSE.md``.
    """
    source = resources.files("pullback") / "data" / "digits.npz"
    with source.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images = arrays["images"].astype(np.float64) / _BRIGHTEST
        labels = arrays["labels"].astype(np.int64)
    return Digits(images, labels)


def split(digits: Digits, *, held_out: float = 0.2, seed: int = 0) -> tuple[Digits, Digits]:
    """The digits to learn from and those held out, shuffled by `seed`: the same for the same seed, everywhere.

    `held_out` is the share, between 0 and 1, that is kept apart; it is rounded to whole digits.

    Raises: ArgumentValueError where one of the two parts would be empty.
    """
    count = round(len(digits) * held_out)
    if not 0 < count < len(digits):
        raise ArgumentValueError(
            f"split: held_out={held_out} of {len(digits)} digits leaves one part empty",
            help="choose a share between 0 and 1, such as 0.2",
        )
    # RandomState's stream is frozen by NumPy's compatibility policy; that of default_rng may change.
    order = np.random.RandomState(seed).permutation(len(digits))
    return digits.take(order[count:]), digits.take(order[:count])
