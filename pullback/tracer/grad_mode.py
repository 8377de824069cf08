"""Whether operations on tensors are recorded for derivatives here: no_grad, enable_grad, set_grad_enabled."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

_enabled: ContextVar[bool] = ContextVar("pullback_grad_enabled", default=True)


def is_grad_enabled() -> bool:
    """Whether operations on tensors that require grad are recorded in this thread or task."""
    return _enabled.get()


class _Mode:
    """A context manager, and a decorator of functions and generator functions."""

    def __init__(self, enabled: bool) -> None:
        self._wanted = enabled
        self._before: list[bool] = []

    def __enter__(self) -> None:
        self._before.append(_enabled.get())
        _enabled.set(self._wanted)

    def __exit__(self, *exception: object) -> None:
        _enabled.set(self._before.pop())

    def __call__(self, function: F) -> F:
        wanted = self._wanted
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generated(*args: Any, **kwargs: Any) -> Any:
                with _Mode(wanted):
                    iterator = function(*args, **kwargs)
                while True:
                    with _Mode(wanted):
                        try:
                            item = next(iterator)
                        except StopIteration as stop:
                            return stop.value
                    yield item

            return generated  # type: ignore[return-value]

        @functools.wraps(function)
        def within(*args: Any, **kwargs: Any) -> Any:
            with _Mode(wanted):
                return function(*args, **kwargs)

        return within  # type: ignore[return-value]


anomalies: ContextVar[str] = ContextVar("pullback_anomalies", default="")
"""What is looked for on the way back: nothing, "on" (nothing as well), or "nan"."""


class set_detect_anomaly:
    """Look for NaN in gradients at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = anomalies.get()
        anomalies.set(("nan" if check_nan else "on") if mode else "")

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exception: object) -> None:
        anomalies.set(self._before)


class detect_anomaly(set_detect_anomaly):
    """In the block, a gradient with a NaN in it is an error that names the step."""

    def __init__(self, check_nan: bool = True) -> None:
        warnings.warn("Anomaly Detection has been enabled. This mode will increase the runtime and should only be enabled for "
                      "debugging.", UserWarning, stacklevel=2)  # fmt: skip
        self._before, self._wanted = anomalies.get(), "nan" if check_nan else "on"

    def __enter__(self) -> None:
        anomalies.set(self._wanted)


def is_anomaly_enabled() -> bool:
    """Whether gradients are looked at for NaN."""
    return bool(anomalies.get())


class no_grad(_Mode):
    """Operations inside are not recorded: ``with no_grad(): …`` or ``@no_grad()``."""

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        self._wanted = False
        self._before = []

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        # `@no_grad` without parentheses decorates as well.
        return super().__new__(cls) if function is None else _Mode(False)(function)


class enable_grad(_Mode):
    """Operations inside are recorded again: ``with enable_grad(): …`` or ``@enable_grad()``."""

    def __init__(self, function: Callable[..., Any] | None = None) -> None:
        super().__init__(True)

    def __new__(cls, function: Callable[..., Any] | None = None) -> Any:
        return super().__new__(cls) if function is None else _Mode(True)(function)


class inference_mode(_Mode):
    """As no_grad: ``with inference_mode(): …`` or ``@inference_mode()``. Its tensors may be used as any others later."""

    def __init__(self, mode: bool | Callable[..., Any] = True) -> None:
        super().__init__(not mode)
        self._outer_inference: list[bool] = []

    def __new__(cls, mode: bool | Callable[..., Any] = True) -> Any:
        return super().__new__(cls) if isinstance(mode, bool) else _Mode(False)(mode)

    def __enter__(self) -> None:
        self._outer_inference.append(_inference.get())
        _inference.set(not self._wanted)
        self._before.append(_enabled.get())
        # inference_mode(False) inside of no_grad does not record.
        _enabled.set(self._wanted and (_enabled.get() or self._outer_inference[-1]))

    def __exit__(self, *exception: object) -> None:
        _inference.set(self._outer_inference.pop())
        super().__exit__(*exception)


_inference: ContextVar[bool] = ContextVar("pullback_inference", default=False)


def is_inference_mode_enabled() -> bool:
    """Whether this runs inside of inference_mode."""
    return _inference.get()


class set_grad_enabled(_Mode):
    """Switch recording at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self.mode = bool(mode)
        self._outer = _enabled.get()
        _enabled.set(self._wanted)

    def __enter__(self) -> None:
        self._before.append(self._outer)
        _enabled.set(self._wanted)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    def __call__(self, function: F) -> F:
        _enabled.set(self._outer)
        return super().__call__(function)
