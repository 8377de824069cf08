"""Random numbers as PyTorch draws them on a processor: the Mersenne twister in, uniform and normal numbers out.

The same seed gives the numbers that PyTorch gives, up to the last bits of logarithm, sine and cosine. (M. Matsumoto and
T. Nishimura, Mersenne Twister, 1998; G. E. P. Box and M. E. Muller, A Note on the Generation of Random Normal Deviates, 1958.)
"""

from __future__ import annotations

import operator
from math import prod, tau
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_BLOCK = 16


class Generator:
    """A stream of random numbers, set by `manual_seed`."""

    def __init__(self, device: Any = None) -> None:
        self._kept: float | None = None
        self.manual_seed(67280421310721)

    def __repr__(self) -> str:
        return f"<torch._C.Generator object at {hex(id(self))}>"

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed: the same numbers follow."""
        self._seed = operator.index(seed)
        self._twister = np.random.RandomState(self._seed & 0xFFFFFFFF)._bit_generator
        self._kept = None
        return self

    def seed(self) -> int:
        """Start again from a seed that nobody chose, and tell it."""
        self.manual_seed(int(np.random.SeedSequence().generate_state(1, np.uint64)[0]))
        return self._seed

    def initial_seed(self) -> int:
        """The seed that the stream began with."""
        return self._seed

    def get_state(self) -> Any:
        """Where the stream is."""
        return self._seed, self._kept, self._twister.state

    def set_state(self, state: Any) -> Generator:
        """Go on from where a stream was."""
        self._seed, self._kept, self._twister.state = state
        return self

    def is_at(self, state: Any) -> bool:
        """Whether nothing was drawn since the stream was there."""
        seed, kept, twister = self.get_state()
        place, other = twister["state"], state[2]["state"]
        same_numbers = place["pos"] == other["pos"] and np.array_equal(place["key"], other["key"])
        return (seed, kept) == state[:2] and same_numbers

    def bits(self, count: int) -> Array:
        """So many 32-bit numbers, as uint64."""
        return np.asarray(self._twister.random_raw(count), np.uint64).reshape(count)

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Numbers in [0, 1): 24 random bits each in float32, 53 in float64."""
        count = prod(shape)
        if np.dtype(dtype) == np.float32:
            drawn = (self.bits(count) & np.uint64((1 << 24) - 1)).astype(np.float32) * np.float32(2.0**-24)
        else:
            drawn = self._wide(count)
        return drawn.reshape(shape)

    def _wide(self, count: int) -> Array:
        pairs = self.bits(2 * count).reshape(count, 2)
        whole = (pairs[:, 0] << np.uint64(32)) | pairs[:, 1]
        return (whole & np.uint64((1 << 53) - 1)).astype(np.float64) * 2.0**-53

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """Normal numbers of mean 0 and deviation 1: in blocks of 16, fewer than that one by one in float64."""
        count = prod(shape)
        if count < _BLOCK:
            return np.array([self._one_normal() for _ in range(count)], np.float64).astype(dtype).reshape(shape)
        drawn = self.uniform((count,), dtype)
        whole = count - count % _BLOCK
        drawn[:whole] = _normal_blocks(drawn[:whole])
        if whole < count:
            drawn[-_BLOCK:] = _normal_blocks(self.uniform((_BLOCK,), dtype))
        return drawn.reshape(shape)

    def _one_normal(self) -> float:
        if self._kept is not None:
            found, self._kept = self._kept, None
            return found
        first, second = self._wide(2)
        radius, angle = float(np.sqrt(-2.0 * np.log1p(-second))), tau * float(first)
        self._kept = radius * float(np.sin(angle))
        return radius * float(np.cos(angle))

    def integers(self, low: int, high: int, shape: tuple[int, ...]) -> Array:
        """Integers from `low` below `high`."""
        count, span = prod(shape), high - low
        if span >= 1 << 32:
            pairs = self.bits(2 * count).reshape(count, 2)
            drawn = ((pairs[:, 0] << np.uint64(32)) | pairs[:, 1]) % np.uint64(span)
        else:
            drawn = self.bits(count) % np.uint64(span)
        return (drawn.astype(np.int64) + low).reshape(shape)

    def permutation(self, count: int) -> Array:
        """The numbers below `count` in random order."""
        order = np.arange(count)
        for place, drawn in enumerate(self.bits(max(count - 1, 0)).tolist()):
            other = place + drawn % (count - place)
            order[place], order[other] = order[other], order[place]
        return order


def _normal_blocks(uniform: Array) -> Array:
    """The method of Box and Muller on each block: its first half gives radii, its second angles."""
    halves = uniform.reshape(-1, 2, _BLOCK // 2)
    one, turn = uniform.dtype.type(1), uniform.dtype.type(tau)
    radius = np.sqrt(uniform.dtype.type(-2) * np.log(one - halves[:, 0]))
    angle = turn * halves[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)


DEFAULT_GENERATOR = Generator()
"""What random tensors are drawn from unless `generator` names another stream."""
DEFAULT_GENERATOR.seed()


def stream_of(generator: Generator | None) -> Generator:
    """The stream asked for, or the default one."""
    return DEFAULT_GENERATOR if generator is None else generator


def manual_seed(seed: int) -> Generator:
    """Start the default stream of random numbers from a seed."""
    return DEFAULT_GENERATOR.manual_seed(seed)


def initial_seed() -> int:
    """The seed that the default stream began with."""
    return DEFAULT_GENERATOR.initial_seed()


def seed() -> int:
    """Start the default stream from a seed that nobody chose."""
    return DEFAULT_GENERATOR.seed()


def get_rng_state() -> Any:
    """Where the default stream is."""
    return DEFAULT_GENERATOR.get_state()


def set_rng_state(new_state: Any) -> None:
    """Let the default stream go on from where one was."""
    DEFAULT_GENERATOR.set_state(new_state)

__all__ = [
    "Generator", "get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state",
]  # fmt: skip
