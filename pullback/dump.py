"""A dump command's options in, the text of a stage out."""
from __future__ import annotations

import importlib.util
import inspect
import re
import sys
import traceback
from argparse import Namespace
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

from pullback.api import CompiledFunction, compile_grad
from pullback.argument_text import argument
from pullback.errors import DerivativeError, ParseError, PullbackError, UsageError, UserCodeError
from pullback.ir.ad.reverse import adjoint
from pullback.ir.core import Function
from pullback.ir.parse import parse_functions
from pullback.location import UNKNOWN, Location
from pullback.stages import STAGES, Lowered, Stages

T = TypeVar("T")

FORMATS = ("text", "dot", "svg", "html")


def dump(options: Namespace) -> str:
    """The stage and format that `options` name. Raises: UsageError for what is not there, UserCodeError for code that
    fails when it is imported or traced, and what tracing and compiling raise."""
    _one_of(options.stage, STAGES, "stage")
    _one_of(options.format, FORMATS, "format")
    path, _, name = _split(options.source)
    if path.suffix == ".ir":
        if options.args:
            raise UsageError("--args is for Python functions: IR states its types itself")
        lowered = _lowered_ir(_read_ir(path, name), options.argnums or [0])
    else:
        if not name:
            raise UsageError(f"{path} names no function", help=f"write {path}:FUNCTION")
        lowered = _lowered_python(path, name, options)
    match options.format:
        case "text":
            return _guarded(lambda: lowered.text(options.stage))
        case "html":
            return _guarded(lambda: lowered.page(options.stage))
        case _:
            return _guarded(lambda: lowered.picture(options.stage, options.format))


def _one_of(value: str, known: tuple[str, ...], what: str) -> None:
    if value not in known:
        close = get_close_matches(value, known, 1)
        hint = f"do you mean {close[0]}? " if close else ""
        raise UsageError(f"there is no {what} {value!r}", help=f"{hint}the {what}s are {', '.join(known)}")


def _split(source: str) -> tuple[Path, str, str]:
    """``FILE:NAME``; a colon with nothing but a path behind it (as in ``C:\\x.py``) belongs to the file."""
    file, colon, name = source.rpartition(":")
    if not colon or not re.fullmatch(r"[\w.]+", name) or Path(source).is_file():
        file, colon, name = source, "", ""
    path = Path(file)
    if path.suffix not in (".py", ".ir"):
        raise UsageError(f"{source!r} is neither FILE.py:FUNCTION nor FILE.ir")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    return path, colon, name


def _lowered_python(path: Path, name: str, options: Namespace) -> Lowered:
    found: Any = _imported(path)
    for part in name.split("."):
        scope = found
        found = getattr(scope, part, None)
        if found is None:
            names = getattr(scope, "__dict__", {})
            functions = [key for key, value in names.items() if callable(value) and not key.startswith("_")]
            close = get_close_matches(part, functions, 3, 0.4) or functions[:5]
            raise UsageError(f"there is no function {name} in {path}",
                             help=f"do you mean {', '.join(close)}?" if close else "")  # fmt: skip
    if not callable(found):
        raise UsageError(f"{name} in {path} is a {type(found).__name__} and no function")
    args, kwargs = _arguments(options.args)
    _check_call(found, name, args, kwargs)
    compiled = found if isinstance(found, CompiledFunction) else compile_grad(found)
    if options.argnums is not None:
        for argnum in options.argnums:
            if not 0 <= argnum < len(args):
                raise UsageError(f"--argnums {argnum}: there are {len(args)} arguments, counted from 0")
        compiled = compiled.differentiated_by(*options.argnums)
    return compiled.lower(*args, **kwargs)


def _check_call(function: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Raises: UsageError for arguments that the function does not take."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        raise UsageError(f"{name}{signature}: {error}", help='state a type for each argument: --args "f64[3]" "f64[]" '
                         "or name=TYPE") from None  # fmt: skip


def _imported(path: Path) -> ModuleType:
    """The module of a file, which can import its neighbours as if it were run."""
    name = path.stem
    specification = importlib.util.spec_from_file_location(name, path.resolve())
    assert specification is not None and specification.loader is not None, path
    module = importlib.util.module_from_spec(specification)
    sys.modules.setdefault(name, module)  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))
    _guarded(lambda: specification.loader.exec_module(module))  # type: ignore[union-attr]
    return module


def _arguments(texts: list[str]) -> tuple[list[Any], dict[str, Any]]:
    """Values for ``TYPE`` and ``name=TYPE``."""
    args, kwargs = [], {}
    for text in texts:
        named = re.match(r"\s*([A-Za-z_]\w*)\s*=", text)
        try:
            if named is not None:
                kwargs[named.group(1)] = argument(text[named.end() :])
            else:
                args.append(argument(text))
        except PullbackError as error:
            raise UsageError(error.message, help=error.help) from None
    return args, kwargs


def _guarded(work: Callable[[], T]) -> T:
    """What the user's code gives. Raises: UserCodeError with the user's line for what it raises."""
    try:
        return work()
    except PullbackError:
        raise
    except (Exception, SystemExit) as error:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _is_ours(frame.filename)]
        place = UNKNOWN
        if isinstance(error, SyntaxError) and error.filename and error.lineno:
            place = Location(error.filename, error.lineno)
        elif frames:
            place = Location(frames[-1].filename, frames[-1].lineno or 0, function=frames[-1].name)
        shown = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UserCodeError(f"the code to compile fails with {shown}", location=place) from error


def _is_ours(file: str) -> bool:
    package = str(Path(__file__).parent)
    return file.startswith(("<frozen", package)) or "/numpy/" in file


def _read_ir(path: Path, name: str) -> Function:
    try:
        functions = parse_functions(path.read_text(encoding="utf-8"))
    except ParseError as error:
        raise UsageError(f"{path}: {error.message}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    names = [function.name for function in functions]
    if not functions:
        raise UsageError(f"{path} holds no function")
    if not name and len(functions) > 1:
        raise UsageError(f"{path} holds {len(functions)} functions", help=f"choose one: {path}:{names[0]}")
    if name and name not in names:
        raise UsageError(f"there is no function @{name} in {path}", help=f"it holds {', '.join(names)}")
    function = functions[names.index(name) if name else 0]
    # No stage looks at captured data: the code takes it by address.
    function.captured = [np.zeros(value.type.shape, value.type.dtype.numpy) for value in function.captured_arguments]
    return function


def _lowered_ir(function: Function, argnums: list[int]) -> Lowered:
    def gradient() -> Stages:
        kinds = function.result_types
        if not kinds or kinds[0].dims or not kinds[0].dtype.is_float:
            raise DerivativeError(
                f"the adjoint needs a function whose first result is a float without axes; @{function.name} gives "
                f"{', '.join(map(str, kinds)) or 'nothing'}"
            )
        for argnum in argnums:
            if not 0 <= argnum < len(function.parameters):
                raise UsageError(f"--argnums {argnum}: @{function.name} takes {len(function.parameters)} arguments")
            kind = function.parameters[argnum].type
            if not kind.dtype.is_float:
                raise DerivativeError(f"derivatives are taken by floats, but argument {argnum} of @{function.name} is "
                                      f"{kind}")  # fmt: skip
        return Stages(adjoint(function, argnums, seeded=[0]))

    return Lowered(lambda: Stages(function), gradient, value_only=True)
