"""`Function`: a step whose forward and backward the user writes, as PyTorch's ``autograd.Function``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from pullback.errors import ArgumentError, AutogradError
from pullback.location import caller
from pullback.tracer.autograd import SECOND_BACKWARD, Backward, Edge, Gradient, Node, named
from pullback.tracer.grad_mode import _Mode, is_grad_enabled
from pullback.tracer.storage import Version
from pullback.tracer.tensor_base import TensorBase
from pullback.tracer.tensor_reduction import sum as tensor_sum


class FunctionNode(Node):
    """A step of a user's Function, and the `ctx` that its forward and backward share."""

    __slots__ = (
        "__dict__", "_dirty", "_freed", "_function", "_materialize", "_non_differentiable", "_saved", "_saved_versions",
        "_sizes", "_templates", "needs_input_grad",
    )  # fmt: skip

    def __init__(self, function: type[Function], next_functions: tuple[Edge, ...], needs: tuple[bool, ...],
                 sizes: tuple[tuple[int, ...] | None, ...]) -> None:  # fmt: skip
        super().__init__(next_functions)
        self._sizes = sizes
        self._function = function
        self.needs_input_grad = needs
        self._saved: tuple[Any, ...] = ()
        self._saved_versions: list[tuple[Version, int] | None] = []
        self._materialize = True
        self._non_differentiable: set[int] = set()
        self._dirty: tuple[Any, ...] = ()
        self._templates: list[tuple[Any, Any]] = []
        self._freed = False

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep tensors (or None) for backward; it checks that nobody wrote to them since.

        Raises: ArgumentError for anything else.
        """
        for place, each in enumerate(tensors):
            if not isinstance(each, TensorBase | None):
                raise ArgumentError(f"save_for_backward can only save variables, but argument {place} is of type "
                                    f"{type(each).__name__}", location=caller(),
                                    help="keep other things as attributes of ctx")  # fmt: skip
        self._saved = tensors
        self._saved_versions = [
            (each._counter, each._counter.count) if isinstance(each, TensorBase) else None for each in tensors
        ]

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What save_for_backward was given. Raises: AutogradError once freed, or written to."""
        if self._freed:
            raise AutogradError(SECOND_BACKWARD, location=caller())
        for tensor, entry in zip(self._saved, self._saved_versions, strict=True):
            if entry is not None and entry[0].count != entry[1]:
                raise AutogradError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"[torch.{'FloatTensor' if tensor.dtype_.itemsize == 4 else 'DoubleTensor'} {list(tensor.sizes)}] is at "
                    f"version {entry[0].count}; expected version {entry[1]} instead.", location=caller(),
                )  # fmt: skip
        return self._saved

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """These results have no gradient."""
        self._non_differentiable = {id(each) for each in tensors}

    def mark_dirty(self, *tensors: Any) -> None:
        """These inputs are written to by forward."""
        self._dirty = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether a gradient that nobody gave arrives as zeros (True) or as None."""
        self._materialize = value

    @property
    def output_count(self) -> int:
        return len(self._templates)

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        if self._freed:
            raise AutogradError(SECOND_BACKWARD, location=caller())
        given: list[Any] = []
        for gradient, (kind, sizes) in zip(gradients, self._templates, strict=False):
            if gradient is None and self._materialize and kind is not None:
                gradient = run.zeros(sizes, kind)
            given.append(gradient)
        with _Mode(run.create_graph):
            found = self._function.backward(self, *given)
        results = list(found) if isinstance(found, tuple) else [found]
        count = len(self._sizes)
        extra = [each for each in results[count:] if each is not None]
        if len(results) < count or extra:
            raise AutogradError(
                f"function {type(self).__name__} returned an incorrect number of gradients (expected {count}, got "
                f"{len(results)})", location=caller(),
            )  # fmt: skip
        if not run.retain_graph and self._saved:
            self._freed, self._saved, self._saved_versions = True, (), []
        tensors = [place for place, sizes in enumerate(self._sizes) if sizes is not None]
        return [self._fitting(place, results[place]) for place in tensors]

    def _fitting(self, place: int, gradient: Any) -> Any:
        """A gradient in the sizes of its input. Raises: AutogradError where it has others."""
        sizes = self._sizes[place]
        if gradient is None or sizes is None or not self.needs_input_grad[place]:
            return None
        if not isinstance(gradient, TensorBase):
            raise ArgumentError(f"expected Variable or None (got {type(gradient).__name__})", location=caller())
        if gradient.sizes == sizes:
            return gradient
        lead = len(gradient.sizes) - len(sizes)
        if lead < 0 or any(mine not in (1, size) for mine, size in zip(sizes, gradient.sizes[lead:], strict=True)):
            raise AutogradError(
                f"Function {type(self).__name__} returned an invalid gradient at index {place} - got {list(gradient.sizes)} "
                f"but expected shape compatible with {list(sizes)}", location=caller(),
            )  # fmt: skip
        axes = (*range(lead), *(lead + axis for axis, size in enumerate(sizes) if size == 1 != gradient.sizes[lead + axis]))
        return tensor_sum(gradient, axes, True).reshape(sizes)


class Function:
    """Subclass it with static methods ``forward(ctx, …)`` and ``backward(ctx, *gradients)``; call ``apply``.

    Or ``forward(…)`` without ctx and ``setup_context(ctx, inputs, output)``.
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The value. To be overridden."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Gradients of the inputs from those of the results. To be overridden."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with backward "
            "mode AD."
        )

    setup_context: Callable[..., None] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raises: AutogradError: forward is called by apply."""
        raise AutogradError(
            "Legacy autograd function with non-static forward method is deprecated. Please use new-style autograd function "
            "with static forward method. (Example: https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)",
            location=caller(), help="call apply",
        )  # fmt: skip

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward, and remember backward if an argument requires grad."""
        tensors = [each for each in args if isinstance(each, TensorBase)]
        needs = tuple(isinstance(each, TensorBase) and each.needs_grad for each in args)
        active = is_grad_enabled() and any(needs)
        edges = tuple(each.edge() if active else (None, 0) for each in tensors)
        sizes = tuple(each.sizes if isinstance(each, TensorBase) else None for each in args)
        node = named(f"{cls.__name__}Backward", FunctionNode)(cls, edges, needs, sizes)
        with _Mode(False):
            if cls.setup_context is None:
                output = cls.forward(node, *args, **kwargs)
            else:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, output)
        outputs: Sequence[Any] = output if isinstance(output, tuple) else (output,)
        results = []
        for number, each in enumerate(outputs):
            if isinstance(each, TensorBase):
                node._templates.append((each.dtype_, each.sizes))
                each = _made(node, number, each, tensors) if active else each
            else:
                node._templates.append((None, None))
            results.append(each)
        return tuple(results) if isinstance(output, tuple) else results[0]


def _made(node: FunctionNode, number: int, result: Any, inputs: Sequence[Any]) -> Any:
    """A result with its place in the graph; one that is an input as well becomes a tensor of its own."""
    if id(result) in node._non_differentiable or not result.dtype_.is_float:
        return result
    dirty = any(result is each for each in node._dirty)
    if dirty and result.needs_grad and result.node is None:
        raise AutogradError("a leaf Variable that requires grad has been used in an in-place operation.", location=caller())
    if not dirty and any(result is each for each in inputs):
        result = result._aliased(result._counter)
    result._grad_fn, result._output_nr, result._requires_grad = node, number, True
    return result


class DelayedError(Node):
    """Where going back ends with an error: the gradient of what was differentiable once."""

    __slots__ = ()

    def apply(self, run: Backward, gradients: list[Gradient | None]) -> list[Gradient | None]:
        raise AutogradError("trying to differentiate twice a function that was marked with @once_differentiable",
                            location=caller())  # fmt: skip


def once_differentiable(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator of a backward that cannot be differentiated again."""

    def wrapped(ctx: Any, *gradients: Any) -> Any:
        with _Mode(False):
            found = function(ctx, *gradients)
        sources = [each for each in gradients if isinstance(each, TensorBase) and each.needs_grad]
        if not (is_grad_enabled() and sources):
            return found
        node = named("Error", DelayedError)(tuple(each.edge() for each in sources))
        results = found if isinstance(found, tuple) else (found,)
        marked = tuple([each.of_value(each.value, node) if isinstance(each, TensorBase) else each for each in results])
        return marked if isinstance(found, tuple) else marked[0]

    wrapped.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return wrapped
