"""Settings: from the environment at import, changed for a while by `with pullback.config(...)`."""
from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pullback.errors import ConfigError
from pullback.location import caller

VARIABLES = ("PULLBACK_LOG", "PULLBACK_OPT", "PULLBACK_PROGRESS", "PULLBACK_VERIFY")
LOGS = ("passes", "recompile", "trace")


@dataclass(frozen=True)
class Settings:
    """What may be set.

    `opt`: 0 leaves the IR as traced, 1 (default) simplifies it. `verify`: check the IR after every pass.
    `boundscheck`: native code tests indices that are computed (else an index out of range is undefined behaviour).
    `log`: names of the loggers under ``pullback.`` to switch on (`LOGS`).
    `progress`: whether long work shows a line that moves; None (default) where stderr is a terminal.
    `release_gil_above`: estimated nanoseconds of work from which a call lets other threads run.
    """

    opt: int = 1
    boundscheck: bool = True
    verify: bool = False
    log: tuple[str, ...] = ()
    progress: bool | None = None
    release_gil_above: int = 20_000


def _checked(wanted: Settings) -> Settings:
    """The same settings. Raises: ConfigError for a value that a setting cannot have."""

    def require(fits: bool, name: str, possible: str) -> None:
        if not fits:
            raise ConfigError(f"{name} must be {possible}, not {getattr(wanted, name)!r}", location=caller())

    require(type(wanted.opt) is int and wanted.opt in (0, 1), "opt", "0 or 1")
    require(isinstance(wanted.boundscheck, bool), "boundscheck", "True or False")
    require(isinstance(wanted.verify, bool), "verify", "True or False")
    named = isinstance(wanted.log, tuple) and all(name in LOGS for name in wanted.log)
    require(named, "log", f"a tuple of names out of {', '.join(LOGS)}")
    require(wanted.progress is None or isinstance(wanted.progress, bool), "progress", "True, False or None")
    above = type(wanted.release_gil_above) is int and wanted.release_gil_above >= 0
    require(above, "release_gil_above", "a number of nanoseconds, 0 or more")
    return wanted


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Settings as PULLBACK_* variables state them; an empty one counts as not set.

    Raises: ConfigError that names the variable, for a value it cannot have.
    """
    found: dict[str, Any] = {}
    if opt := environment.get("PULLBACK_OPT"):
        if opt not in ("0", "1"):
            raise ConfigError(f"PULLBACK_OPT must be 0 or 1, not {opt!r}")
        found["opt"] = int(opt)
    for variable, name in (("PULLBACK_VERIFY", "verify"), ("PULLBACK_PROGRESS", "progress")):
        if text := environment.get(variable):
            if text not in ("0", "1"):
                raise ConfigError(f"{variable} must be 0 or 1, not {text!r}")
            found[name] = text == "1"
    if log := environment.get("PULLBACK_LOG"):
        names = tuple(name.strip() for name in log.split(",") if name.strip())
        for name in names:
            if name not in LOGS:
                raise ConfigError(f"PULLBACK_LOG names {name!r}", help=f"the logs are {', '.join(LOGS)}")
        found["log"] = names
    return Settings(**found)


_INITIAL = from_environment(os.environ)
_current: ContextVar[Settings] = ContextVar("pullback_settings", default=_INITIAL)


def settings() -> Settings:
    """The settings in force here."""
    return _current.get()


@contextmanager
def config(**changes: Any) -> Iterator[Settings]:
    """Change settings for the duration of a ``with`` block (of this thread or task only).

    Raises: ConfigError for an unknown name, or a value that a setting cannot have.
    """
    names = {field.name for field in dataclasses.fields(Settings)}
    for name in changes:
        if name not in names:
            raise ConfigError(f"unknown setting {name!r}", location=caller(),
                              help=f"the settings are {', '.join(sorted(names))}")  # fmt: skip
    token = _current.set(_checked(dataclasses.replace(_current.get(), **changes)))
    try:
        yield _current.get()
    finally:
        _current.reset(token)


_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


def byte_count(size: int | str) -> int:
    """A number of bytes, or a text like ``"64MB"`` (10^6), ``"1.5 GiB"`` (2^30), as a number of bytes.

    Raises: ConfigError for anything else, or none at all.
    """
    if isinstance(size, str):
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", size)
        unit = None if match is None else _UNITS.get(match[2].lower())
        if match is not None and unit is not None and float(match[1]) * unit >= 1:
            return int(float(match[1]) * unit)
    elif type(size) is int and size >= 1:
        return size
    raise ConfigError(f"{size!r} is no size in bytes", location=caller(), help='write a number, or a text like "64MB"')


def log(name: str, message: str, *values: object) -> None:
    """Write to logger ``pullback.name`` if `log` names it; formatting costs nothing otherwise."""
    if name in _current.get().log:
        import logging  # takes as long to import as all of this package's core

        logger = logging.getLogger(f"pullback.{name}")
        if not logging.getLogger().handlers and not logger.handlers:
            logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
        logger.log(logging.INFO, message, *values)
