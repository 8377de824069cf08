"""Making tensors: from data, filled, counted, random."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError, AutogradError
from pullback.location import caller
from pullback.tracer.storage import Layout, Storage, Version
from pullback.tracer.tensor import Tensor
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_dtype import BY_KIND, TensorDType
from pullback.tracer.tensor_dtype import float32 as default_float


def _kind(dtype: Any) -> DType:
    """The element type of a tensor dtype. Raises: ArgumentError for anything else."""
    if isinstance(dtype, TensorDType):
        return dtype.kind
    raise ArgumentError(f"dtype must be a dtype of tensors (pullback.float32, …), not {dtype!r}", location=caller())


def _ready(array: np.ndarray[Any, Any], requires_grad: bool) -> Tensor:
    made = Tensor.of_array(array)
    return made.requires_grad_() if requires_grad else made


def _sizes(size: tuple[Any, ...]) -> tuple[int, ...]:
    given = size[0] if len(size) == 1 and isinstance(size[0], list | tuple) else size
    return tuple([operator.index(each) for each in given])


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor with a copy of `data`: numbers, nested lists, arrays, tensors. Floats of Python become float32."""
    if isinstance(data, TensorBase):
        array = np.array(data.array())
    elif isinstance(data, np.ndarray | np.generic):
        array = np.array(data, order="C")
    else:
        array = _of_lists(data)
    if dtype is not None:
        array = array.astype(_kind(dtype).numpy)
    if dtypes.from_numpy(array.dtype) is None:
        raise ArgumentError(
            f"can't convert an array of dtype {array.dtype} to a tensor", location=caller(),
            help="the supported dtypes are float32, float64, the integers and bool",
        )  # fmt: skip
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(array.shape)
    return _ready(array, requires_grad)


def _of_lists(data: Any) -> np.ndarray[Any, Any]:
    def plain(each: Any) -> Any:
        if isinstance(each, TensorBase):
            return each.array().tolist()
        return [plain(inner) for inner in each] if isinstance(each, list | tuple | range) else each

    try:
        array = np.array(plain(data))
    except ValueError:
        raise ArgumentError("expected sequences of equal lengths at every depth", location=caller()) from None
    if array.size == 0 and array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype.kind == "f":
        return array.astype(np.float64 if isinstance(data, np.float64) else np.float32)
    if array.dtype.kind not in "biu":
        raise ArgumentError(f"could not make a tensor of {type(data).__name__}", location=caller())
    return array if array.dtype.kind == "b" else array.astype(np.int64)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """As `tensor`, but a tensor of that dtype is given back as it is, and an array's memory is shared."""
    if isinstance(data, Tensor) and (dtype is None or data.dtype == dtype):
        return data
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == _kind(dtype).numpy):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def from_numpy(array: Any) -> Tensor:
    """A tensor that shares an array's memory. Raises: ArgumentError for what is no array of a known dtype."""
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"expected np.ndarray (got {type(array).__name__})", location=caller())
    kind = dtypes.from_numpy(array.dtype)
    if kind is None or not array.dtype.isnative:
        raise ArgumentError(f"can't convert np.ndarray of type {array.dtype}", location=caller(),
                            help="use astype with a supported dtype of native byte order")  # fmt: skip
    strides = tuple(step // array.itemsize for step in array.strides)
    return Tensor._new(Storage(None, array), Layout(array.shape, strides), kind, Version())


def from_dlpack(source: Any) -> Tensor:
    """A tensor that shares the memory of an array of another library."""
    return from_numpy(np.from_dlpack(source))


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Every element `fill_value`."""
    kind = _kind(dtype) if dtype is not None else _natural(fill_value)
    return _ready(np.full(_sizes((size,)) if not isinstance(size, int) else (size,), fill_value, kind.numpy), requires_grad)


def _natural(value: Any) -> DType:
    return dtypes.boolean if isinstance(value, bool) else dtypes.i64 if isinstance(value, int) else dtypes.f32


def zeros(*size: Any, dtype: Any = default_float, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Every element 0."""
    return _ready(np.zeros(_sizes(size), _kind(dtype or default_float).numpy), requires_grad)


def ones(*size: Any, dtype: Any = default_float, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Every element 1."""
    return _ready(np.ones(_sizes(size), _kind(dtype or default_float).numpy), requires_grad)


empty = zeros


def _like(input: Any, dtype: Any) -> DType:
    return input.dtype_ if dtype is None else _kind(dtype)


def zeros_like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros in the shape of a tensor."""
    return _ready(np.zeros(input.sizes, _like(input, dtype).numpy), requires_grad)


def ones_like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones in the shape of a tensor."""
    return _ready(np.ones(input.sizes, _like(input, dtype).numpy), requires_grad)


empty_like = zeros_like


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in the shape of a tensor."""
    return _ready(np.full(input.sizes, fill_value, _like(input, dtype).numpy), requires_grad)


def arange(start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Counts from `start` (0 if alone) below `end`."""
    if end is None:
        start, end = 0, start
    if step == 0 or (end - start) * step < 0:
        words = "step must be nonzero" if step == 0 else "upper bound and lower bound inconsistent with step sign"
        raise AutogradError(words, location=caller())
    natural = dtypes.f32 if any(isinstance(each, float) for each in (start, end, step)) else dtypes.i64
    kind = natural if dtype is None else _kind(dtype)
    count = int(np.ceil((end - start) / step))
    return _ready((start + np.arange(count) * step).astype(kind.numpy), requires_grad)


def linspace(start: float, end: float, steps: int, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both included."""
    kind = dtypes.f32 if dtype is None else _kind(dtype)
    return _ready(np.linspace(start, end, steps).astype(kind.numpy), requires_grad)


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None) -> Tensor:
    """Powers of `base`, their exponents evenly spaced."""
    kind = dtypes.f32 if dtype is None else _kind(dtype)
    return _ready(np.logspace(start, end, steps, base=base).astype(kind.numpy), False)


def eye(n: int, m: int | None = None, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal."""
    return _ready(np.eye(n, m, dtype=(_kind(dtype) if dtype is not None else dtypes.f32).numpy), requires_grad)


class Generator:
    """A stream of random numbers, set by `manual_seed`; the numbers are NumPy's, not PyTorch's."""

    def __init__(self) -> None:
        self._stream = np.random.default_rng()
        self._seed = 0

    def manual_seed(self, seed: int) -> Generator:
        """Start again from a seed: the same numbers follow."""
        self._seed = operator.index(seed)
        self._stream = np.random.default_rng(self._seed % (1 << 64))
        return self

    def initial_seed(self) -> int:
        """The seed that the stream began with."""
        return self._seed

    @property
    def stream(self) -> np.random.Generator:
        """NumPy's generator."""
        return self._stream


DEFAULT_GENERATOR = Generator()
"""What random tensors are drawn from unless `generator` names another stream."""


def manual_seed(seed: int) -> Generator:
    """Start the default stream of random numbers from a seed."""
    return DEFAULT_GENERATOR.manual_seed(seed)


def _stream(generator: Generator | None) -> np.random.Generator:
    return (generator or DEFAULT_GENERATOR).stream


def rand(*size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform in [0, 1)."""
    kind = dtypes.f32 if dtype is None else _kind(dtype)
    return _ready(np.asarray(_stream(generator).random(_sizes(size), kind.numpy)), requires_grad)


def randn(*size: Any, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Normal with mean 0 and deviation 1."""
    kind = dtypes.f32 if dtype is None else _kind(dtype)
    return _ready(np.asarray(_stream(generator).standard_normal(_sizes(size), kind.numpy)), requires_grad)


def randint(low: int, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Integers from `low` (0 if alone) below `high`."""
    if size is None:
        low, high, size = 0, low, high
    kind = dtypes.i64 if dtype is None else _kind(dtype)
    return _ready(np.asarray(_stream(generator).integers(low, high, _sizes((size,)))).astype(kind.numpy), requires_grad)


def randperm(n: int, *, generator: Any = None) -> Tensor:
    """The numbers below `n` in random order."""
    return _ready(_stream(generator).permutation(n).astype(np.int64), False)


def bernoulli(input: Any, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element states, else 0."""
    drawn = _stream(generator).random(input.sizes) < input.array()
    return _ready(np.asarray(drawn, input.dtype_.numpy), False)


def normal(mean: Any, std: Any, size: Any = None, *, generator: Any = None) -> Tensor:
    """Normal with the given mean and deviation, numbers or tensors."""
    plain: list[Any] = [each.array() if isinstance(each, TensorBase) else each for each in (mean, std)]
    shape = _sizes((size,)) if size is not None else np.broadcast_shapes(*(np.shape(each) for each in plain))
    return _ready(np.asarray(_stream(generator).normal(plain[0], plain[1], size=shape), np.float32), False)


def _random_like(draw: Any) -> Any:
    def like(input: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        made: Tensor = draw(*input.sizes, dtype=BY_KIND[_like(input, dtype)], requires_grad=requires_grad)
        return made

    return like


rand_like, randn_like = _random_like(rand), _random_like(randn)


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor."""
    return isinstance(value, TensorBase)
