"""Making tensors: from data, filled, counted, random."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from pullback import dtypes
from pullback.dtypes import DType
from pullback.errors import ArgumentError, ArgumentValueError, AutogradError
from pullback.location import caller
from pullback.tracer.storage import Layout, Storage, Version
from pullback.tracer.tensor import Tensor
from pullback.tracer.tensor_apply import default_float
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_device import check_device
from pullback.tracer.tensor_dtype import kind_of
from pullback.tracer.tensor_random import stream_of


def _float(dtype: Any) -> DType:
    """The element type asked for, or the default float."""
    return default_float() if dtype is None else kind_of(dtype)


def _ready(array: np.ndarray[Any, Any], requires_grad: bool, device: Any = None) -> Tensor:
    if device is not None:
        check_device(device)
    made = Tensor.of_array(array)
    if not requires_grad:
        return made
    if not made.dtype_.is_float:
        raise AutogradError("Only Tensors of floating point and complex dtype can require gradients", location=caller())
    return made.requires_grad_()


def _sizes(size: tuple[Any, ...], name: str = "zeros", named: Any = None) -> tuple[int, ...]:
    """Sizes given one by one, as one sequence, or by name. Raises: ArgumentError, AutogradError for what are none."""
    given = named if named is not None else size[0] if len(size) == 1 and isinstance(size[0], list | tuple) else size
    try:
        found = tuple([operator.index(each) for each in (given if isinstance(given, list | tuple) else (given,))])
    except TypeError:
        raise ArgumentError(f"{name}(): argument 'size' (position 1) must be tuple of ints, not {type(given[0]).__name__}",
                            location=caller()) from None  # fmt: skip
    if any(each < 0 for each in found):
        raise AutogradError(f"{name}: Dimension size must be non-negative.", location=caller())
    return found


def tensor(data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
           pin_memory: bool = False) -> Tensor:  # fmt: skip
    """A tensor with a copy of `data`: numbers, nested lists, arrays, tensors. Floats of Python become float32."""
    if isinstance(data, TensorBase):
        array = np.array(data.array())
    elif isinstance(data, np.ndarray | np.generic):
        array = np.array(data, order="C")
    else:
        array = _of_lists(data)
        if dtype is None and array.dtype.kind == "f":
            array = array.astype(default_float().numpy)
    if dtype is not None:
        array = array.astype(kind_of(dtype).numpy)
    if dtypes.from_numpy(array.dtype) is None:
        raise ArgumentError(
            f"can't convert an array of dtype {array.dtype} to a tensor", location=caller(),
            help="the supported dtypes are float32, float64, the integers and bool",
        )  # fmt: skip
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(array.shape)
    return _ready(array, requires_grad, device)


def _of_lists(data: Any) -> np.ndarray[Any, Any]:
    """Floats as float64, whatever the default float: it is not for this to round them."""

    def plain(each: Any) -> Any:
        if isinstance(each, TensorBase):
            return each.array().tolist()
        return [plain(inner) for inner in each] if isinstance(each, list | tuple | range) else each

    values = plain(data)
    try:
        array = np.array(values)
    except ValueError:
        array = np.array(None)
    if array.dtype.kind == "f":
        return array
    if array.dtype.kind not in "biu":
        _refuse(values)
    return array if array.dtype.kind == "b" else array.astype(np.int64)


def _refuse(values: Any, depth: int = 0) -> None:
    """Raises: what PyTorch raises for data that no tensor is made of."""
    if isinstance(values, str):
        raise ArgumentError(f"new(): invalid data type '{type(values).__name__}'", location=caller())
    if not isinstance(values, list):
        if not isinstance(values, bool | int | float | np.generic):
            raise AutogradError(f"Could not infer dtype of {type(values).__name__}", location=caller())
        return
    for each in values:
        _refuse(each, depth + 1)
    lengths = [len(each) if isinstance(each, list) else -1 for each in values]
    for length in lengths:
        if length != lengths[0]:
            if lengths[0] < 0:
                raise ArgumentError("must be real number, not list", location=caller())
            if length < 0:
                raise ArgumentError(f"expected sequence of length {lengths[0]} at dim {depth + 1} (got scalar)",
                                    location=caller())  # fmt: skip
            raise ArgumentValueError(f"expected sequence of length {lengths[0]} at dim {depth + 1} (got {length})",
                                     location=caller())  # fmt: skip


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """As `tensor`, but a tensor of that dtype is given back as it is, and an array's memory is shared."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype_ == kind_of(dtype) else data.to(dtype)
    if isinstance(data, np.ndarray) and (dtype is None or data.dtype == kind_of(dtype).numpy):
        return from_numpy(data)
    return tensor(data, dtype=dtype)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """As `as_tensor`; with `copy` the memory is never shared."""
    made = as_tensor(obj, dtype, device)
    made = made.clone() if copy else made
    return made.requires_grad_() if requires_grad else made


def variable(data: Any, requires_grad: bool = False) -> Tensor:
    """What was once wrapped around a tensor: the tensor itself."""
    made = as_tensor(data)
    return made.requires_grad_() if requires_grad else made


def scalar_tensor(s: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor without axes."""
    return _ready(np.array(s, _float(dtype).numpy), requires_grad, device)


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


def full(size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, layout: Any = None,
         requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Every element `fill_value`."""
    value = fill_value.item() if isinstance(fill_value, TensorBase) else fill_value
    kind = kind_of(dtype) if dtype is not None else _natural(value)
    return _ready(np.full(_sizes((size,), "full"), value, kind.numpy), requires_grad, device)


def _natural(value: Any) -> DType:
    return dtypes.boolean if isinstance(value, bool) else dtypes.i64 if isinstance(value, int) else default_float()


def _filled(name: str, number: int, doc: str) -> Any:
    def filled(*shape: Any, size: Any = None, dtype: Any = None, device: Any = None, layout: Any = None,
               requires_grad: bool = False, pin_memory: bool = False, out: Any = None) -> Tensor:  # fmt: skip
        array = np.full(_sizes(shape, name, size), number, _float(dtype).numpy)
        if out is not None:
            return out.copy_(Tensor.of_array(array))  # type: ignore[no-any-return]
        return _ready(array, requires_grad, device)

    filled.__name__, filled.__doc__ = name, doc
    return filled


zeros, ones = _filled("zeros", 0, "Every element 0."), _filled("ones", 1, "Every element 1.")
empty = _filled("empty", 0, "Elements that nobody set: 0.")


def _like(input: Any, dtype: Any) -> DType:
    return input.dtype_ if dtype is None else kind_of(dtype)


def _filled_like(name: str, number: int, doc: str) -> Any:
    def like(input: Any, *, dtype: Any = None, device: Any = None, layout: Any = None, requires_grad: bool = False,
             memory_format: Any = None) -> Tensor:  # fmt: skip
        return _ready(np.full(input.sizes, number, _like(input, dtype).numpy), requires_grad, device)

    like.__name__, like.__doc__ = name, doc
    return like


zeros_like = _filled_like("zeros_like", 0, "Zeros in the shape of a tensor.")
ones_like = _filled_like("ones_like", 1, "Ones in the shape of a tensor.")
empty_like = _filled_like("empty_like", 0, "Elements that nobody set, in the shape of a tensor: 0.")


def full_like(input: Any, fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """One value in the shape of a tensor."""
    return _ready(np.full(input.sizes, fill_value, _like(input, dtype).numpy), requires_grad, device)


def arange(start: Any = 0, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None, layout: Any = None,
           requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Counts from `start` (0 if alone) below `end`."""
    if end is None:
        start, end = 0, start
    start, end, step = (each.item() if isinstance(each, TensorBase) else each for each in (start, end, step))
    if step == 0 or (end - start) * step < 0:
        words = "step must be nonzero" if step == 0 else "upper bound and lower bound inconsistent with step sign"
        raise AutogradError(words, location=caller())
    natural = default_float() if any(isinstance(each, float) for each in (start, end, step)) else dtypes.i64
    kind = natural if dtype is None else kind_of(dtype)
    count = int(np.ceil((end - start) / step))
    return _ready((start + np.arange(count) * step).astype(kind.numpy), requires_grad, device)


def range_(start: float = 0, end: float | None = None, step: float = 1, *, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Counts from `start` to `end`, that included, in floats."""
    first, last = (0, start) if end is None else (start, end)
    count = int((last - first) / step) + 1
    return _ready((first + np.arange(count) * step).astype(_float(dtype).numpy), requires_grad, device)


def linspace(start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """`steps` numbers evenly spaced from `start` to `end`, both included."""
    first, last = (each.item() if isinstance(each, TensorBase) else each for each in (start, end))
    kind = _float(dtype)
    if steps < 2 or not kind.is_float:
        return _ready(np.linspace(first, last, steps).astype(kind.numpy), requires_grad, device)
    # From both ends, in the dtype itself: so does PyTorch.
    number: Any = kind.numpy.type
    step = (number(last) - number(first)) / number(steps - 1)
    count = np.arange(steps).astype(kind.numpy)
    values = np.where(np.arange(steps) < steps // 2, number(first) + step * count, number(last) - step * count[::-1])
    return _ready(np.asarray(values, kind.numpy), requires_grad, device)


def logspace(start: float, end: float, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Powers of `base`, their exponents evenly spaced."""
    return _ready(np.logspace(start, end, steps, base=base).astype(_float(dtype).numpy), requires_grad, device)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones on the diagonal."""
    return _ready(np.eye(n, m, dtype=_float(dtype).numpy), requires_grad, device)


def _triangle_indices(of: Any) -> Any:
    def indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
        return _ready(np.stack(of(row, offset, col)).astype(np.int64), False, device)

    return indices


tril_indices, triu_indices = _triangle_indices(np.tril_indices), _triangle_indices(np.triu_indices)


def hann_window(window_length: int, periodic: bool = True, *, dtype: Any = None) -> Tensor:
    """The raised cosine."""
    if window_length == 1:
        return _ready(np.ones(1, _float(dtype).numpy), False)
    count = np.arange(window_length)
    span = max(window_length if periodic else window_length - 1, 1)
    return _ready((0.5 - 0.5 * np.cos(2 * np.pi * count / span)).astype(_float(dtype).numpy), False)


def rand(*shape: Any, size: Any = None, generator: Any = None, dtype: Any = None, device: Any = None, layout: Any = None,
         requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Uniform in [0, 1)."""
    return _ready(stream_of(generator).uniform(_sizes(shape, "rand", size), _float(dtype).numpy), requires_grad, device)


def randn(*shape: Any, size: Any = None, generator: Any = None, dtype: Any = None, device: Any = None, layout: Any = None,
          requires_grad: bool = False, pin_memory: bool = False) -> Tensor:  # fmt: skip
    """Normal with mean 0 and deviation 1."""
    return _ready(stream_of(generator).normal(_sizes(shape, "randn", size), _float(dtype).numpy), requires_grad, device)


def randint(low: int = 0, high: Any = None, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None,
            requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Integers from `low` (0 if alone) below `high`. Raises: AutogradError where there are none."""
    if size is None or high is None:
        low, high, size = (0, low, high if size is None else size)
    if low >= high:
        raise AutogradError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}", location=caller())
    kind = dtypes.i64 if dtype is None else kind_of(dtype)
    drawn = stream_of(generator).integers(low, high, _sizes((size,), "randint"))
    return _ready(np.asarray(drawn).astype(kind.numpy), requires_grad, device)


def randperm(n: int, *, generator: Any = None, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The numbers below `n` in random order."""
    kind = dtypes.i64 if dtype is None else kind_of(dtype)
    return _ready(stream_of(generator).permutation(n).astype(kind.numpy), requires_grad, device)


def bernoulli(input: Any, p: float | None = None, *, generator: Any = None) -> Tensor:
    """1 with the probability that each element (or `p`) states, else 0."""
    chances = input.array() if p is None else p
    drawn = stream_of(generator).uniform(input.sizes, np.float32 if p is None else np.float64) < chances
    return _ready(np.asarray(drawn, input.dtype_.numpy), False)


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Any = None) -> Tensor:
    """Places drawn with the probabilities that each row states. Raises: AutogradError for more than there are."""
    weights = np.asarray(input.array(), np.float64)
    if not replacement and num_samples > (weights > 0).sum(-1).min():
        raise AutogradError("cannot sample n_sample > prob_dist.size(-1) samples without replacement", location=caller())
    stream = stream_of(generator)
    if replacement:
        sums = np.cumsum(weights, -1)
        drawn = stream.uniform((*input.sizes[:-1], num_samples), np.float64)[..., None] * sums[..., None, -1:]
        return _ready((drawn >= sums[..., None, :]).sum(-1).astype(np.int64), False)
    waits = -np.log1p(-stream.uniform(input.sizes, np.float64))
    with np.errstate(divide="ignore"):
        order = np.argsort(waits / weights, -1, kind="stable")
    return _ready(np.ascontiguousarray(order[..., :num_samples]), False)


def normal(mean: Any = 0.0, std: Any = 1.0, size: Any = None, *, generator: Any = None, dtype: Any = None, device: Any = None,
           requires_grad: bool = False) -> Tensor:  # fmt: skip
    """Normal with the given mean and deviation, numbers or tensors."""
    plain: list[Any] = [each.array() if isinstance(each, TensorBase) else each for each in (mean, std)]
    shape = _sizes((size,)) if size is not None else np.broadcast_shapes(*(np.shape(each) for each in plain))
    kind = next((each.dtype_ for each in (mean, std) if isinstance(each, TensorBase)), _float(dtype))
    drawn = stream_of(generator).normal(shape, kind.numpy)
    return _ready(np.asarray(drawn * plain[1] + plain[0], kind.numpy), requires_grad, device)


def _random_like(draw: str) -> Any:
    def like(input: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, generator: Any = None,
             memory_format: Any = None) -> Tensor:  # fmt: skip
        array = getattr(stream_of(generator), draw)(input.sizes, _like(input, dtype).numpy)
        return _ready(array, requires_grad, device)

    return like


rand_like, randn_like = _random_like("uniform"), _random_like("normal")


def randint_like(input: Any, low: int, high: int | None = None, *, dtype: Any = None) -> Tensor:
    """Integers in the shape of a tensor."""
    begin, end = (0, low) if high is None else (low, high)
    return _ready(stream_of(None).integers(begin, end, input.sizes).astype(_like(input, dtype).numpy), False)


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, TensorBase)
