"""`Tensor`: PyTorch's tensor by name and by print, recorded into the IR and run when it is looked at."""

from __future__ import annotations

import operator as operators
import warnings
from collections.abc import Iterator
from math import prod
from typing import Any, TypeAlias
from weakref import ref

import numpy as np

from pullback.errors import ArgumentError, ArgumentValueError, AutogradError, OutOfBoundsError
from pullback.ir.ops.arithmetic import Cast
from pullback.location import caller
from pullback.tracer import tensor_arithmetic as ar
from pullback.tracer import tensor_elementwise as ew
from pullback.tracer import tensor_index as ix
from pullback.tracer import tensor_product as pr
from pullback.tracer import tensor_reduction as rd
from pullback.tracer import tensor_shape as sh
from pullback.tracer.autograd import Hook, Node, RemovableHandle
from pullback.tracer.backward import run_backward
from pullback.tracer.storage import Version
from pullback.tracer.tensor_apply import DTYPE_WORDS, default_float, number_dtype, written
from pullback.tracer.tensor_base import TensorBase, record, write_recorded
from pullback.tracer.tensor_call import call_numpy
from pullback.tracer.tensor_device import device
from pullback.tracer.tensor_dtype import BY_KIND, Size, TensorDType, int8, int16, int32, int64, kind_of, uint8
from pullback.tracer.tensor_dtype import bool_ as boolean
from pullback.tracer.tensor_dtype import float32 as single
from pullback.tracer.tensor_dtype import float64 as double
from pullback.tracer.tensor_inplace import in_place
from pullback.tracer.tensor_methods import TensorMethods
from pullback.tracer.tensor_text import tensor_text

# Inside the class these names are methods.
Bool: TypeAlias = bool
Int: TypeAlias = int
Float: TypeAlias = float
Number: TypeAlias = "bool | int | float"

_OPERATORS: dict[Any, Any] = {
    np.add: operators.add, np.subtract: operators.sub, np.multiply: operators.mul, np.divide: operators.truediv,
    np.floor_divide: operators.floordiv, np.power: operators.pow, np.remainder: operators.mod, np.less: operators.lt,
    np.less_equal: operators.le, np.greater: operators.gt, np.greater_equal: operators.ge, np.equal: operators.eq,
    np.not_equal: operators.ne,
}  # fmt: skip

_COMPARED = (TensorBase, bool, int, float, np.ndarray, np.generic)
"""What the elements of a tensor are compared with; anything else is another thing as a whole."""


class Tensor(TensorMethods):
    """A multi-dimensional array that remembers how it was made; see the module `pullback` for how to make one.

    ``Tensor(2, 3)`` has these sizes, ``Tensor([1, 2])`` these elements, both in the default float.
    """

    __slots__ = ("__dict__",)

    def __new__(cls, *args: Any) -> Tensor:
        kind = default_float().numpy
        if len(args) == 1 and not isinstance(args[0], Int):
            return cls.of_array(np.array(args[0].array() if isinstance(args[0], TensorBase) else args[0], kind))
        return cls.of_array(np.zeros(args if args else (0,), kind))

    def __init__(self, *args: Any) -> None:
        pass

    # What it is

    @property
    def shape(self) -> Size:
        return Size(self.sizes)

    def size(self, dim: Int | None = None) -> Any:
        """All sizes, or that of one axis."""
        if dim is not None and not self.sizes:
            raise OutOfBoundsError(f"Dimension specified as {dim} but tensor has no dimensions", location=caller())
        return Size(self.sizes) if dim is None else self.sizes[sh.axis_of(dim, len(self.sizes))]

    @property
    def dtype(self) -> TensorDType:
        return BY_KIND[self.dtype_]

    @property
    def ndim(self) -> Int:
        return len(self.sizes)

    def dim(self) -> Int:
        """Number of axes."""
        return len(self.sizes)

    def numel(self) -> Int:
        """Number of elements."""
        return prod(self.sizes)

    nelement = numel

    def element_size(self) -> Int:
        """Bytes an element."""
        return self.dtype_.itemsize

    @property
    def nbytes(self) -> Int:
        return self.numel() * self.dtype_.itemsize

    @property
    def itemsize(self) -> Int:
        return self.dtype_.itemsize

    def stride(self, dim: Int | None = None) -> Any:
        """Elements between neighbours along each axis."""
        strides = self._layout.strides
        return strides if dim is None else strides[sh.axis_of(dim, len(strides))]

    def storage_offset(self) -> Int:
        """Where in its storage it begins, in elements."""
        return self._layout.offset

    def is_contiguous(self) -> Bool:
        return self._layout.is_contiguous

    def is_floating_point(self) -> Bool:
        return self.dtype_.is_float

    @property
    def _version(self) -> Int:
        return self._counter.count

    def data_ptr(self) -> Int:
        """The address of the first element."""
        return int(self.exposed().__array_interface__["data"][0])

    def __len__(self) -> Int:
        if not self.sizes:
            raise ArgumentError("len() of a 0-d tensor", location=caller())
        return self.sizes[0]

    def __repr__(self) -> str:
        node = self.node
        return tensor_text(self.array(), requires_grad=self.needs_grad, default_dtype=default_float().numpy,
                           grad_fn_name=None if node is None else type(node).__name__)  # fmt: skip

    def __format__(self, specification: str) -> str:
        return format(self.item(), specification) if not self.sizes else object.__format__(self, specification)

    def __hash__(self) -> Int:
        return id(self)

    # Looking at elements

    def tolist(self) -> Any:
        """Nested lists of the elements."""
        return self.array().tolist()

    def numpy(self, *, force: Bool = False) -> np.ndarray[Any, Any]:
        """The memory as an array that shares it. Raises: AutogradError for a tensor that requires grad."""
        if self.needs_grad:
            if force:
                return self.detach().numpy()
            raise AutogradError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.",
                                location=caller())  # fmt: skip
        return self.exposed()

    def __array__(self, dtype: Any = None, copy: Bool | None = None) -> np.ndarray[Any, Any]:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            if copy is False:
                raise ValueError("a conversion of dtype needs a copy")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __bool__(self) -> Bool:
        if self.numel() > 1:
            raise AutogradError("Boolean value of Tensor with more than one value is ambiguous", location=caller())
        if self.numel() == 0:
            raise AutogradError("Boolean value of Tensor with no values is ambiguous", location=caller())
        return bool(self.item())

    def _only(self) -> Number:
        if self.numel() != 1:
            raise ArgumentValueError("only one element tensors can be converted to Python scalars", location=caller())
        return self.item()

    def __float__(self) -> Float:
        return float(self._only())

    def __int__(self) -> Int:
        return int(self._only())

    def __index__(self) -> Int:
        if self.dtype_.is_float or self.numel() != 1:
            raise ArgumentError("only integer tensors of a single element can be converted to an index", location=caller())
        return int(self.item())

    def __iter__(self) -> Iterator[Any]:
        if not self.sizes:
            raise ArgumentError("iteration over a 0-d tensor", location=caller())
        return iter(sh.unbind(self))

    def __contains__(self, element: Any) -> Bool:
        if not isinstance(element, TensorBase | Bool | Int | Float):
            raise AutogradError("Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
                                f"{type(element)}.", location=caller())  # fmt: skip
        return bool(np.any(self.array() == (element.array() if isinstance(element, TensorBase) else element)))

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.numpy().__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[Int, Int]:
        return (1, 0)

    def __buffer__(self, flags: Int) -> memoryview:
        return memoryview(self.numpy())  # type: ignore[arg-type]

    # The graph

    @property
    def requires_grad(self) -> Bool:
        return self.needs_grad

    @requires_grad.setter
    def requires_grad(self, wanted: Bool) -> None:
        self.requires_grad_(wanted)

    def requires_grad_(self, requires_grad: Bool = True) -> Tensor:
        """Ask for (or give up) gradients of this leaf. Raises: AutogradError for integers, or a result."""
        if requires_grad and not self.dtype_.is_float:
            raise AutogradError("only Tensors of floating point dtype can require gradients", location=caller())
        if not requires_grad and self.node is not None:
            raise AutogradError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a "
                "subgraph that doesn't require differentiation use var_no_grad = var.detach().", location=caller(),
            )  # fmt: skip
        if requires_grad and self.node is None:
            # A view that asks for gradients of its own is a leaf of its own.
            self._view_name = ""
        self._requires_grad = requires_grad or self.node is not None
        return self

    @property
    def grad_fn(self) -> Node | None:
        return self.node

    @property
    def is_leaf(self) -> Bool:
        return self.node is None

    @property
    def output_nr(self) -> Int:
        return self._output_nr

    @property
    def grad(self) -> Any:
        if self._grad is None and self.node is not None and not self._retains:
            warnings.warn(
                "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad attribute won't be "
                "populated during autograd.backward(). If you indeed want the .grad field to be populated for a non-leaf "
                "Tensor, use .retain_grad() on the non-leaf Tensor. If you access the non-leaf Tensor by mistake, make sure "
                "you access the leaf Tensor instead.", UserWarning, stacklevel=2,
            )  # fmt: skip
        return self._grad

    @grad.setter
    def grad(self, gradient: Any) -> None:
        if gradient is not None:
            if not isinstance(gradient, TensorBase):
                raise ArgumentError(f"assigned grad expected to be a Tensor or None but got grad of type "
                                    f"{type(gradient).__name__}", location=caller())  # fmt: skip
            if gradient.dtype_ != self.dtype_:
                words = DTYPE_WORDS[gradient.dtype_.name].lower(), DTYPE_WORDS[self.dtype_.name]
                raise AutogradError(
                    f"attempting to assign a gradient with dtype '{words[0]}' to a tensor with grad_dtype '{words[1]}'. The "
                    "gradient must match the tensor's grad_dtype (defaults to the tensor's dtype).", location=caller(),
                )  # fmt: skip
            if gradient.sizes != self.sizes:
                raise AutogradError(
                    f"attempting to assign a gradient of size '{list(gradient.sizes)}' to a tensor of size "
                    f"'{list(self.sizes)}'. Please ensure that the gradient and the tensor are the same size",
                    location=caller(),
                )  # fmt: skip
        self._grad = gradient

    def backward(self, gradient: Any = None, retain_graph: Bool | None = None, create_graph: Bool = False,
                 inputs: Any = None) -> None:  # fmt: skip
        """Add the gradients of this tensor to `grad` of the leaves (or of `inputs`).

        Raises: AutogradError in PyTorch's words: for more than one element without `gradient`, a tensor that requires
        no grad, a graph already freed, or a saved tensor that was written to.
        """
        run_backward((self,), (gradient,), retain_graph, create_graph, inputs)

    def detach(self) -> Tensor:
        """The same memory, outside of the graph."""
        return self._aliased(self._counter)

    def detach_(self) -> Tensor:
        """Leave the graph. Raises: AutogradError for a view that is part of one."""
        if self._base is not None and self._view_name:
            raise AutogradError("Can't detach views in-place. Use detach() instead.", location=caller())
        self._grad_fn, self._requires_grad = None, False
        self._base, self._view_name = None, ""
        return self

    def _aliased(self, version: Version) -> Tensor:
        twin = self._new(self._storage, self._layout, self.dtype_, version)
        twin._chain = self._chain
        return twin

    @property
    def data(self) -> Tensor:
        """The same memory, outside of the graph and of its version count."""
        return self._aliased(Version())

    @data.setter
    def data(self, other: Tensor) -> None:
        self._storage, self._chain, self._layout, self.dtype_ = (
            other._storage,
            other._chain,
            other._layout,
            other.dtype_,
        )

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is no leaf."""
        if not self.needs_grad:
            raise AutogradError("can't retain_grad on Tensor that has requires_grad=False", location=caller())
        node = self.node
        if node is None or self._retains:
            return
        self._retains = True
        itself = ref(self)

        def keep(gradient: Any) -> None:
            tensor = itself()
            if tensor is not None:
                before = tensor._grad
                tensor._grad = gradient.clone() if before is None else before + gradient

        node.hooks_of(self._output_nr).append(keep)

    @property
    def retains_grad(self) -> Bool:
        return self._retains

    def register_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(grad)`` whenever a gradient of this tensor is computed; what it returns replaces the gradient."""
        if not self.needs_grad:
            raise AutogradError("cannot register a hook on a tensor that doesn't require gradient", location=caller())
        node = self.node
        if node is not None:
            hooks = node.hooks_of(self._output_nr)
        else:
            self._hooks = hooks = self._hooks if self._hooks is not None else []
        hooks.append(hook)
        return RemovableHandle(hooks, hook)

    def register_post_accumulate_grad_hook(self, hook: Hook) -> RemovableHandle:
        """Call ``hook(tensor)`` once this leaf's gradient is complete."""
        if self.node is not None:
            raise AutogradError("post accumulate grad hooks cannot be registered on non-leaf tensors", location=caller())
        self._post_hooks = hooks = self._post_hooks if self._post_hooks is not None else []
        hooks.append(hook)
        return RemovableHandle(hooks, hook)

    # Operators

    __add__ = __radd__ = add = ar.add
    __sub__ = sub = subtract = ar.sub
    __rsub__ = ar.rsub
    __mul__ = __rmul__ = mul = multiply = ar.mul
    __truediv__ = div = divide = true_divide = ar.div
    __rtruediv__ = ar.rdiv
    __floordiv__ = floor_divide = ar.floor_divide
    __mod__ = remainder = ar.remainder
    __pow__ = pow = ar.pow
    __rpow__ = ar.rpow
    __matmul__ = matmul = pr.matmul
    __neg__ = neg = negative = ar.neg
    __abs__ = abs = absolute = ar.abs
    __lt__ = lt = less = ar.lt
    __le__ = le = less_equal = ar.le
    __gt__ = gt = greater = ar.gt
    __ge__ = ge = greater_equal = ar.ge
    __and__ = __rand__ = bitwise_and = ar.bitwise_and
    __or__ = __ror__ = bitwise_or = ar.bitwise_or
    __xor__ = __rxor__ = bitwise_xor = ar.bitwise_xor
    __invert__ = bitwise_not = ar.bitwise_not
    eq, ne = ar.eq, ar.ne
    __getitem__ = ix.get
    __setitem__ = ix.put

    def __eq__(self, other: object) -> Any:
        return ar.eq(self, other) if isinstance(other, _COMPARED) else NotImplemented

    def __ne__(self, other: object) -> Any:
        return ar.ne(self, other) if isinstance(other, _COMPARED) else NotImplemented

    def __pos__(self) -> Tensor:
        return self

    def __rmatmul__(self, other: Any) -> Any:
        return pr.matmul(self.of_array(np.array(other)), self)

    def __rfloordiv__(self, other: Any) -> Any:
        return ar.floor_divide(self.of_array(np.array(other, number_dtype(other).numpy)), self)

    def __rmod__(self, other: Any) -> Any:
        return ar.remainder(other, self)

    def __rlshift__(self, other: Any) -> Any:
        return ew.bitwise_left_shift(self.of_array(np.array(other)), self)

    # Functions as methods

    exp, expm1, log, log1p, sqrt, rsqrt = ar.exp, ar.expm1, ar.log, ar.log1p, ar.sqrt, ar.rsqrt
    sin, cos, tan, sinh, cosh, tanh, atan = ar.sin, ar.cos, ar.tan, ar.sinh, ar.cosh, ar.tanh, ar.atan
    arctan, atan2, arctan2, sigmoid, erf, relu = ar.atan, ar.atan2, ar.atan2, ar.sigmoid, ar.erf, ar.relu
    sign, floor, ceil, trunc, round, square, reciprocal = (
        ar.sign, ar.floor, ar.ceil, ar.trunc, ar.round, ar.square, ar.reciprocal)  # fmt: skip
    maximum, minimum, clamp, clip, logaddexp, fmod = ar.maximum, ar.minimum, ar.clamp, ar.clamp, ar.logaddexp, ar.fmod
    logical_and, logical_or, logical_xor, logical_not = ar.logical_and, ar.logical_or, ar.logical_xor, ar.logical_not
    sum, mean, prod, var, std, max, min, amax, amin = (
        rd.sum, rd.mean, rd.prod_of, rd.var, rd.std, rd.max, rd.min, rd.amax, rd.amin)  # fmt: skip
    argmax, argmin, all, any, norm, logsumexp = rd.argmax, rd.argmin, rd.all, rd.any, rd.norm, rd.logsumexp
    softmax, log_softmax, cumsum, cumprod, trace, count_nonzero = (
        rd.softmax, rd.log_softmax, rd.cumsum, rd.cumprod, rd.trace, rd.count_nonzero)  # fmt: skip
    mm, mv, dot, bmm, addmm, outer, ger = pr.mm, pr.mv, pr.dot, pr.bmm, pr.addmm, pr.outer, pr.outer
    view, reshape, flatten, unflatten, permute, transpose, t = (
        sh.view, sh.reshape, sh.flatten, sh.unflatten, sh.permute, sh.transpose, sh.t)  # fmt: skip
    view_as, reshape_as, swapaxes, swapdims = sh.view_as, sh.reshape_as, sh.transpose, sh.transpose
    squeeze, unsqueeze, expand, expand_as, broadcast_to, narrow = (
        sh.squeeze, sh.unsqueeze, sh.expand, sh.expand_as, sh.broadcast_to, sh.narrow)  # fmt: skip
    select, split, chunk, unbind, diagonal = sh.select, sh.split, sh.chunk, sh.unbind, sh.diagonal
    clone, contiguous, repeat, flip, roll = sh.clone, sh.contiguous, sh.repeat, sh.flip, sh.roll
    gather, index_select, masked_select, masked_fill = ix.gather, ix.index_select, ix.masked_select, ix.masked_fill

    @property
    def T(self) -> Any:
        return sh.reversed_axes(self)

    @property
    def mT(self) -> Any:
        if len(self.sizes) < 2:
            raise AutogradError("tensor.mT is only supported on matrices or batches of matrices. Got "
                                f"{len(self.sizes)}-D tensor.", location=caller())  # fmt: skip
        return sh.transpose(self, -2, -1)

    H = mH = mT

    def where(self, condition: Any, other: Any) -> Any:
        """Itself where the condition holds, else other."""
        return ar.where(condition, self, other)

    # Dtypes

    def to(self, *args: Any, dtype: Any = None, device: Any = None, non_blocking: Bool = False, copy: Bool = False,
           memory_format: Any = None) -> Any:  # fmt: skip
        """The same in another dtype (``to(float64)``, ``to(other_tensor)``); devices are the processor alone.

        Of two truth values at the end the second is `copy`, the first `non_blocking`, which has no effect here, as
        `memory_format` has none.
        """
        flags = [each for each in args if isinstance(each, Bool)]
        copy = copy or flags[1:] == [True]
        for each in args:
            if isinstance(each, TensorDType):
                dtype = each
            elif isinstance(each, TensorBase):
                dtype = BY_KIND[each.dtype_]
            elif isinstance(each, type):
                dtype = BY_KIND[kind_of(each)]
            elif not isinstance(each, Bool):
                self._here(each)
        if device is not None:
            self._here(device)
        kind = None if dtype is None else kind_of(dtype)
        if kind is None or kind == self.dtype_:
            return sh.clone(self) if copy else self
        return record("ToCopyBackward0", lambda b, x: b.value(Cast(kind), x), self)

    def _here(self, wanted: Any) -> None:
        """Raises: UnavailableError for another device than the processor."""
        if device(wanted).type != "cpu":
            self.cuda()

    def type(self, dtype: Any = None) -> Any:
        """The name of its kind (``torch.FloatTensor``), or the same in another dtype, given as one or by such a name."""
        if dtype is None:
            return f"torch.{DTYPE_WORDS[self.dtype_.name]}Tensor"
        if isinstance(dtype, TensorDType):
            return self.to(dtype)
        name = getattr(dtype, "__name__", str(dtype)).rsplit(".", 1)[-1].removesuffix("Tensor")
        found = next((kind for kind in BY_KIND if DTYPE_WORDS[kind.name] == name), None)
        if found is None:
            raise ArgumentValueError(f"invalid type: '{dtype}'", location=caller())
        return self.to(BY_KIND[found])

    def float(self) -> Any:
        return self.to(single)

    def double(self) -> Any:
        return self.to(double)

    def int(self) -> Any:
        return self.to(int32)

    def long(self) -> Any:
        return self.to(int64)

    def bool(self) -> Any:
        return self.to(boolean)

    def short(self) -> Any:
        return self.to(int16)

    def byte(self) -> Any:
        return self.to(uint8)

    def char(self) -> Any:
        return self.to(int8)

    def type_as(self, other: Any) -> Any:
        return self.to(other.dtype)

    def cpu(self) -> Tensor:
        return self

    # In place

    add_, sub_ = ar.add_to, ar.subtract_from

    def mul_(self, other: Any) -> Any:
        return written("MulBackward0", ar._mul, self, other)

    def div_(self, other: Any) -> Any:
        if not self.dtype_.is_float:
            raise AutogradError("result type Float can't be cast to the desired output type "
                                f"{DTYPE_WORDS[self.dtype_.name]}", location=caller())  # fmt: skip
        return written("DivBackward0", ar._div, self, other)

    pow_ = __ipow__ = in_place(ar.pow)

    def copy_(self, src: Any, non_blocking: Any = False) -> Any:
        """Take over the elements of another tensor."""
        return write_recorded(self, "CopyBackwards", ix.whole(src), *([src] if isinstance(src, TensorBase) else []))

    def fill_(self, value: Any) -> Any:
        """Every element the same."""
        if isinstance(value, TensorBase):
            return write_recorded(self, "FillBackward3", ix.whole(value), value)
        return write_recorded(self, "FillBackward2", ix.whole(value))

    def zero_(self) -> Any:
        """Every element 0."""
        return write_recorded(self, "ZeroBackward0", ix.whole(0))

    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_

    # NumPy

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **named: Any) -> Any:
        operator = _OPERATORS.get(ufunc)
        if operator is not None and method == "__call__" and not named and isinstance(inputs[0], np.generic):
            # An operator between a number of NumPy and a tensor: a number as any other.
            return operator(inputs[0].item(), inputs[1])
        return call_numpy(getattr(ufunc, method), inputs, named)

    def __array_function__(self, function: Any, types: Any, args: Any, named: Any) -> Any:
        return call_numpy(function, args, named)
