"""Whether operations on tensors are recorded for derivatives here: no_grad, enable_grad, set_grad_enabled."""

from __future__ import annotations

import functools
import inspect
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


class set_grad_enabled(_Mode):
    """Switch recording at once; as a context manager, until the end of the block."""

    def __init__(self, mode: bool) -> None:
        super().__init__(bool(mode))
        self._outer = _enabled.get()
        _enabled.set(self._wanted)

    def __enter__(self) -> None:
        self._before.append(self._outer)
        _enabled.set(self._wanted)

    def __call__(self, function: F) -> F:
        _enabled.set(self._outer)
        return super().__call__(function)
