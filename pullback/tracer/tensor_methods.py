"""Methods of tensors that are functions elsewhere: what `Tensor` has beside its operators and its place in the graph."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from pullback.errors import ArgumentError, AutogradError, UnavailableError
from pullback.location import caller
from pullback.tracer import tensor_arithmetic as ar
from pullback.tracer import tensor_arrange as an
from pullback.tracer import tensor_elementwise as ew
from pullback.tracer import tensor_index as ix
from pullback.tracer import tensor_linalg as la
from pullback.tracer import tensor_order as od
from pullback.tracer import tensor_product as pr
from pullback.tracer import tensor_random as rn
from pullback.tracer import tensor_reduction as rd
from pullback.tracer import tensor_scatter as sc
from pullback.tracer import tensor_shape as sh
from pullback.tracer.autograd import Recorded, named
from pullback.tracer.tensor_base import TensorBase, check_writable
from pullback.tracer.tensor_device import CPU, check_device, device, layout, strided
from pullback.tracer.tensor_dtype import kind_of
from pullback.tracer.tensor_inplace import in_place


class TensorMethods(TensorBase):
    """See the functions of the same names."""

    __slots__ = ()

    # Elementwise

    acos, asin, asinh, acosh, atanh = ew.acos, ew.asin, ew.asinh, ew.acosh, ew.atanh
    arccos, arcsin, arcsinh, arccosh, arctanh = ew.acos, ew.asin, ew.asinh, ew.acosh, ew.atanh
    exp2, log2, log10, erfc, frac, sinc = ew.exp2, ew.log2, ew.log10, ew.erfc, ew.frac, ew.sinc
    lgamma, digamma = ew.lgamma, ew.digamma
    deg2rad, rad2deg, sgn, logit, positive = ew.deg2rad, ew.rad2deg, ew.sgn, ew.logit, ew.positive
    isnan, isinf, isfinite, isposinf, isneginf, isreal = (
        ew.isnan, ew.isinf, ew.isfinite, ew.isposinf, ew.isneginf, ew.isreal)  # fmt: skip
    signbit, nan_to_num, isclose, allclose, equal, is_nonzero = (
        ew.signbit, ew.nan_to_num, ew.isclose, ew.allclose, ew.equal, ew.is_nonzero)  # fmt: skip
    xlogy, fmax, fmin, hypot, logaddexp2, copysign, heaviside = (
        ew.xlogy, ew.fmax, ew.fmin, ew.hypot, ew.logaddexp2, ew.copysign, ew.heaviside)  # fmt: skip
    ldexp, float_power, lerp, addcmul, addcdiv, dist = (
        ew.ldexp, ew.float_power, ew.lerp, ew.addcmul, ew.addcdiv, ew.dist)  # fmt: skip
    clamp_min, clamp_max, fix, not_equal = ew.clamp_min, ew.clamp_max, ar.trunc, ar.ne
    __lshift__ = bitwise_left_shift = ew.bitwise_left_shift
    __rshift__ = bitwise_right_shift = ew.bitwise_right_shift

    # Reductions and order

    nansum, nanmean, logcumsumexp = rd.nansum, rd.nanmean, rd.logcumsumexp
    sort, argsort, msort, topk, kthvalue, median, mode = (
        od.sort, od.argsort, od.msort, od.topk, od.kthvalue, od.median, od.mode)  # fmt: skip
    cummax, cummin, aminmax, quantile = od.cummax, od.cummin, od.aminmax, od.quantile
    unique, unique_consecutive, bincount, histc = od.unique, od.unique_consecutive, od.bincount, od.histc

    # Shapes

    tril, triu, diag, diag_embed, diagflat = an.tril, an.triu, an.diag, an.diag_embed, an.diagflat
    ravel, movedim, moveaxis, adjoint, fliplr, flipud, rot90 = (
        an.ravel, an.movedim, an.movedim, an.adjoint, an.fliplr, an.flipud, an.rot90)  # fmt: skip
    tensor_split, tile, repeat_interleave, unfold, diff = (
        an.tensor_split, an.tile, an.repeat_interleave, an.unfold, an.diff)  # fmt: skip
    split_with_sizes = sh.split

    # By index

    scatter, scatter_add, scatter_reduce = sc.scatter, sc.scatter_add, sc.scatter_reduce
    index_add, index_copy, index_fill, index_put, put = (
        sc.index_add, sc.index_copy, sc.index_fill, sc.index_put, sc.put)  # fmt: skip
    take, take_along_dim, masked_scatter, nonzero, argwhere = (
        sc.take, sc.take_along_dim, sc.masked_scatter, sc.nonzero, sc.argwhere)  # fmt: skip

    # Products

    baddbmm, addmv, addr, inner, vdot, cross, kron = la.baddbmm, la.addmv, la.addr, la.inner, la.vdot, la.cross, la.kron
    matrix_power, inverse = la.matrix_power, la.inv

    # In place

    exp_, expm1_, log_, log1p_, sqrt_, rsqrt_ = (
        in_place(each) for each in (ar.exp, ar.expm1, ar.log, ar.log1p, ar.sqrt, ar.rsqrt))  # fmt: skip
    sin_, cos_, tan_, sinh_, cosh_, tanh_, atan_ = (
        in_place(each) for each in (ar.sin, ar.cos, ar.tan, ar.sinh, ar.cosh, ar.tanh, ar.atan))  # fmt: skip
    sigmoid_, erf_, relu_, sign_, floor_, ceil_, trunc_, round_ = (
        in_place(each) for each in (ar.sigmoid, ar.erf, ar.relu, ar.sign, ar.floor, ar.ceil, ar.trunc, ar.round))  # fmt: skip
    neg_, abs_, reciprocal_, square_, atan2_, fmod_ = (
        in_place(each) for each in (ar.neg, ar.abs, ar.reciprocal, ar.square, ar.atan2, ar.fmod))  # fmt: skip
    clamp_, floor_divide_, remainder_, logical_and_, logical_or_, logical_not_ = (
        in_place(each) for each in (
            ar.clamp, ar.floor_divide, ar.remainder, ar.logical_and, ar.logical_or, ar.logical_not))  # fmt: skip
    bitwise_and_, bitwise_or_, bitwise_xor_, bitwise_not_ = (
        in_place(each) for each in (ar.bitwise_and, ar.bitwise_or, ar.bitwise_xor, ar.bitwise_not))  # fmt: skip
    eq_, ne_, lt_, le_, gt_, ge_ = (in_place(each) for each in (ar.eq, ar.ne, ar.lt, ar.le, ar.gt, ar.ge))
    acos_, asin_, log2_, log10_, exp2_, frac_, logit_ = (
        in_place(each) for each in (ew.acos, ew.asin, ew.log2, ew.log10, ew.exp2, ew.frac, ew.logit))  # fmt: skip
    clamp_min_, clamp_max_, lerp_, addcmul_, addcdiv_, nan_to_num_ = (
        in_place(each) for each in (ew.clamp_min, ew.clamp_max, ew.lerp, ew.addcmul, ew.addcdiv, ew.nan_to_num))  # fmt: skip
    cumsum_, cumprod_, tril_, triu_, masked_fill_ = (
        in_place(each) for each in (rd.cumsum, rd.cumprod, an.tril, an.triu, ix.masked_fill))  # fmt: skip
    scatter_, scatter_add_, scatter_reduce_, index_add_, index_copy_, index_fill_, index_put_ = (
        in_place(each) for each in (sc.scatter, sc.scatter_add, sc.scatter_reduce, sc.index_add, sc.index_copy,
                                    sc.index_fill, sc.index_put))  # fmt: skip
    put_, masked_scatter_, addmm_, baddbmm_, addmv_ = (
        in_place(each) for each in (sc.put, sc.masked_scatter, pr.addmm, la.baddbmm, la.addmv))  # fmt: skip
    negative_, absolute_, clip_, arctan_, fix_ = neg_, abs_, clamp_, atan_, trunc_
    __iand__, __ior__, __ixor__, __ifloordiv__, __imod__ = bitwise_and_, bitwise_or_, bitwise_xor_, floor_divide_, remainder_

    def fill_diagonal_(self, fill_value: Any) -> Any:
        """One number on the diagonal."""
        places = np.zeros(self.sizes, bool)
        np.fill_diagonal(places, True)
        return self.masked_fill_(self.of_array(places), fill_value)

    # Views in place: the tensor becomes the view

    def _becomes(self, view: Any) -> Any:
        if self._base is not None:
            raise AutogradError("the shape of a view cannot be changed in place", location=caller(),
                                help="use the method without the underscore")  # fmt: skip
        check_writable(self)
        node = view._grad_fn
        if node is not None:
            # PyTorch numbers the step that works in place as the next one.
            step: Recorded = named(node.name().replace("Backward0", "Backward1"), Recorded)(
                node.next_functions, node.recipe, {}, {}, node.location)  # fmt: skip
            self._grad_fn, self._output_nr = step, 0
        self._chain, self._layout = view._chain, view._layout
        self._counter.count += 1
        self._read, self._read_at = None, -1
        return self

    def unsqueeze_(self, dim: int) -> Any:
        """As unsqueeze, of the tensor itself."""
        return self._becomes(sh.unsqueeze(self, dim))

    def squeeze_(self, dim: Any = None) -> Any:
        """As squeeze, of the tensor itself."""
        return self._becomes(sh.squeeze(self, dim))

    def t_(self) -> Any:
        """As t, of the tensor itself."""
        return self._becomes(sh.t(self))

    def transpose_(self, dim0: int, dim1: int) -> Any:
        """As transpose, of the tensor itself."""
        return self._becomes(sh.transpose(self, dim0, dim1))

    # Random numbers in place

    def _drawn(self, array: Any) -> Any:
        check_writable(self)
        return self.copy_(self.of_array(np.asarray(array, self.dtype_.numpy)))  # type: ignore[attr-defined]

    def uniform_(self, a: float = 0, b: float = 1, *, generator: Any = None) -> Any:
        """Uniform numbers from `a` to `b`."""
        return self._drawn(rn.stream_of(generator).uniform(self.sizes, self.dtype_.numpy) * self.dtype_.numpy.type(b - a) + a)

    def normal_(self, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
        """Normal numbers."""
        return self._drawn(rn.stream_of(generator).normal(self.sizes, self.dtype_.numpy) * self.dtype_.numpy.type(std) + mean)

    def bernoulli_(self, p: Any = 0.5, *, generator: Any = None) -> Any:
        """1 with probability p (of each element, if that is a tensor), else 0."""
        chances, kind = (p.array(), p.dtype_.numpy) if isinstance(p, TensorBase) else (p, np.float64)
        return self._drawn(rn.stream_of(generator).uniform(self.sizes, kind) < chances)

    def random_(self, *limits: int | None, generator: Any = None) -> Any:
        """Integers below `to`, or from `from` below `to`; without `to` (or None), all that the dtype holds exactly."""
        low, high = (0, *limits) if len(limits) == 1 else limits or (0, None)
        if high is None:
            kind = self.dtype_
            most = 1 if kind.is_bool else 2 << np.finfo(kind.numpy).nmant if kind.is_float else int(np.iinfo(kind.numpy).max)
            high = most + 1
        if low is None or low >= high:
            raise ArgumentError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}", location=caller(),
                help="give the number that is not reached last")  # fmt: skip
        return self._drawn(rn.stream_of(generator).integers(low, high, self.sizes))

    def exponential_(self, lambd: float = 1, *, generator: Any = None) -> Any:
        """Waiting times of mean 1 / lambd."""
        return self._drawn(-np.log1p(-rn.stream_of(generator).uniform(self.sizes, np.float64)) / lambd)

    # Others like this one

    def _new_filled(self, size: tuple[Any, ...], number: Any, dtype: Any, device: Any, requires_grad: bool) -> Any:
        check_device(device)
        kind = self.dtype_ if dtype is None else kind_of(dtype)
        made: Any = self.of_array(np.full(sh.given_sizes(size), number, kind.numpy))
        return made.requires_grad_() if requires_grad else made

    def new_zeros(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        """Zeros of the same dtype."""
        return self._new_filled(size, 0, dtype, device, requires_grad)

    def new_ones(self, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        """Ones of the same dtype."""
        return self._new_filled(size, 1, dtype, device, requires_grad)

    new_empty = new_zeros

    def new_full(self, size: Any, fill_value: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        """One value, in the same dtype."""
        return self._new_filled((size,), fill_value, dtype, device, requires_grad)

    def new_tensor(self, data: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:
        """A copy of data in the same dtype."""
        check_device(device)
        kind = self.dtype_ if dtype is None else kind_of(dtype)
        source = data.array() if isinstance(data, TensorBase) else data
        made: Any = self.of_array(np.array(source, kind.numpy, order="C"))
        return made.requires_grad_() if requires_grad else made

    # Where it lives

    @property
    def device(self) -> device:
        return CPU

    @property
    def layout(self) -> layout:
        return strided

    is_cpu = property(lambda self: True)
    is_cuda = is_sparse = is_mps = is_quantized = is_meta = is_nested = property(lambda self: False)
    name = names = property(lambda self: None)

    def get_device(self) -> int:
        """-1, the processor."""
        return -1

    def is_complex(self) -> bool:
        return False

    def is_signed(self) -> bool:
        return self.dtype_.is_float or self.dtype_.is_signed

    def is_same_size(self, other: Any) -> bool:
        """Whether sizes are the same."""
        return bool(self.sizes == other.sizes)

    def ndimension(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    def cuda(self, device: Any = None, non_blocking: bool = False) -> NoReturn:
        """Raises: UnavailableError."""
        raise UnavailableError("Torch not compiled with CUDA enabled", location=caller(),
                               help="tensors live in the processor's memory")  # fmt: skip

    def untyped_storage(self) -> Memory:
        """Its memory and that of its base and other views."""
        return Memory(self._storage.expose())

    def __reversed__(self) -> Any:
        return sh.flip(self, 0) if self.sizes else self

    def __delitem__(self, index: Any) -> NoReturn:
        raise ArgumentError("Tensor does not support deleting items", location=caller())

    def _is_view(self) -> bool:
        return self._base is not None

    # Copies of the object

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if self.node is not None:
            raise AutogradError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If "
                "you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see "
                "https://github.com/pytorch/pytorch/pull/103001", location=caller(),
            )  # fmt: skip
        made = memo[id(self)] = self.of_array(np.array(self.array(), order="C"))
        made._requires_grad = self._requires_grad
        made._grad = None if self._grad is None else self._grad.__deepcopy__(memo)  # type: ignore[attr-defined]
        return made

    def __reduce__(self) -> Any:
        return rebuilt, (type(self), np.array(self.array(), order="C"), self.needs_grad)


class Memory:
    """The memory of tensors: where it is, and how many bytes."""

    def __init__(self, array: Any) -> None:
        self._array = array

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._array.__array_interface__["data"][0])

    def nbytes(self) -> int:
        """Number of bytes."""
        return int(self._array.nbytes)

    size = __len__ = nbytes


def rebuilt(kind: type[Any], array: Any, requires_grad: bool) -> Any:
    """A tensor as it was pickled: elements and whether it requires grad."""
    made = kind.of_array(array)
    return made.requires_grad_() if requires_grad else made
