"""Settings: from the environment at import, changed for a while by `with pullback.config(...)`."""
from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """What may be set.

    `opt`: 0 leaves the IR as traced, 1 (default) simplifies it. `verify`: check the IR after every pass.
    `boundscheck`: native code tests indices that are computed (else an index out of range is undefined behaviour).
    `log`: names of the loggers under ``pullback.`` to switch on (trace, recompile, passes).
    `release_gil_above`: estimated nanoseconds of work from which a call lets other threads run.
    """

    opt: int = 1
    boundscheck: bool = True
    verify: bool = False
    log: tuple[str, ...] = ()
    release_gil_above: int = 20_000


def _from_environment() -> Settings:
    """Settings as PULLBACK_* variables state them."""
    found: dict[str, Any] = {}
    if (opt := os.environ.get("PULLBACK_OPT")) is not None:
        if opt not in ("0", "1"):
            raise ConfigError(f"PULLBACK_OPT must be 0 or 1, not {opt!r}")
        found["opt"] = int(opt)
    if (verify := os.environ.get("PULLBACK_VERIFY")) is not None:
        found["verify"] = verify not in ("", "0")
    if log := os.environ.get("PULLBACK_LOG"):
        found["log"] = tuple(name.strip() for name in log.split(",") if name.strip())
    return Settings(**found)


_INITIAL = _from_environment()
_current: ContextVar[Settings] = ContextVar("pullback_settings", default=_INITIAL)


def settings() -> Settings:
    """The settings in force here."""
    return _current.get()


@contextmanager
def config(**changes: Any) -> Iterator[Settings]:
    """Change settings for the duration of a ``with`` block (of this thread or task only).

    Raises: ConfigError for an unknown name.
    """
    names = {field.name for field in dataclasses.fields(Settings)}
    for name in changes:
        if name not in names:
            raise ConfigError(f"unknown setting {name!r}", help=f"the settings are {', '.join(sorted(names))}")
    token = _current.set(dataclasses.replace(_current.get(), **changes))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


def log(name: str, message: str, *values: object) -> None:
    """Write to logger ``pullback.name`` if `log` names it; formatting costs nothing otherwise."""
    if name in _current.get().log:
        logger = logging.getLogger(f"pullback.{name}")
        if not logging.getLogger().handlers and not logger.handlers:
            logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        logger.log(logging.INFO, message, *values)
