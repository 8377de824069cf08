"""A Python function in, the same function with traceable control flow out: found in its source, rewritten, recompiled.

The new function shares globals, closure cells and defaults with the old one and keeps its name, file and lines.
Functions of the standard library, of installed packages and of this package stay what they are.
"""
from __future__ import annotations
import __future__

import ast
import functools
import linecache
import sysconfig
import types
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, MethodType
from typing import Any

from pullback.tracer.expressions import RUNTIME, no_arguments
from pullback.tracer.scopes import MOVED, has_yield
from pullback.tracer.syntax import Rewriter

PACKAGE = str(Path(__file__).parent.parent)
FUTURE = functools.reduce(int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names))
FACTORY = "_pb_factory"


@lru_cache(maxsize=1 << 12)
def is_library(file: str) -> bool:
    """Whether a file belongs to the standard library, an installed package, or this package (its demo aside)."""
    if file.startswith(PACKAGE + "/"):
        return not file.startswith(PACKAGE + "/demo/")
    if file.startswith("<frozen") or "/site-packages/" in file or "/dist-packages/" in file:
        return True
    paths = sysconfig.get_paths()
    return any(file.startswith(paths[name] + "/") for name in ("stdlib", "platstdlib"))


def rewritten(function: Any, runtime: Any) -> Any:
    """A callable whose control flow can be traced; what is no Python function of the user's comes back as it is.

    `runtime` holds the functions that rewritten code calls.
    """
    if isinstance(function, FunctionType):
        return rewritten_function(function, runtime)
    if isinstance(function, MethodType):
        inner = rewritten(function.__func__, runtime)
        return function if inner is function.__func__ else MethodType(inner, function.__self__)
    if type(function) is functools.partial:
        inner = rewritten(function.func, runtime)
        return function if inner is function.func else functools.partial(inner, *function.args, **function.keywords)
    if callable(function) and not isinstance(function, type):
        call = type(function).__call__
        if not isinstance(call, FunctionType):
            return function
        inner = rewritten_function(call, runtime)
        return function if inner is call else MethodType(inner, function)
    return function


def rewritten_function(function: FunctionType, runtime: Any) -> FunctionType:
    """See `rewritten`."""
    code = function.__code__
    if is_library(code.co_filename) or RUNTIME in code.co_freevars:
        return function
    new = rewritten_code(code, code.co_filename, function.__qualname__)
    if new is None:
        return function
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    cells[RUNTIME] = types.CellType(runtime)
    if any(name not in cells for name in new.co_freevars):
        return function
    closure = tuple([cells[name] for name in new.co_freevars])
    made = FunctionType(new, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__qualname__ = function.__qualname__
    made.__dict__.update(function.__dict__)
    return made


@lru_cache(maxsize=1 << 12)
def rewritten_code(code: CodeType, file: str, qualified_name: str) -> CodeType | None:
    """The code of a function, rewritten; None without its source. (Equal codes may come from different files.)"""
    found = find_definition(code)
    if found is None or (isinstance(found, ast.FunctionDef) and has_yield(found.body)):
        return None
    parts = qualified_name.split(".")
    owner = parts[-2] if len(parts) > 1 and parts[-2] != "<locals>" else ""
    # A tree of its own: rewriting changes it.
    definition = copied(found)
    if isinstance(definition, ast.Lambda):
        body = ast.copy_location(ast.Return(definition.body), definition.body)
        definition = as_function(definition, code.co_name, body)
    definition.decorator_list = []
    definition.returns = None
    name = definition.name = "_pb_function"
    definition.args = without_values(definition.args)
    new = Rewriter(owner).outermost(definition)
    factory = as_function(new, FACTORY, new)
    factory.args = no_arguments()
    factory.args.args = [ast.arg(each) for each in dict.fromkeys([*code.co_freevars, RUNTIME])]
    module = ast.fix_missing_locations(ast.Module([factory], []))
    compiled = compile(module, file, "exec", code.co_flags & FUTURE, dont_inherit=True)
    (outer,) = [each for each in inner_codes(compiled) if each.co_name == FACTORY]
    (inner,) = [each for each in inner_codes(outer) if each.co_name == name]
    return renamed(inner, code.co_name)


def as_function(node: ast.Lambda | ast.FunctionDef, name: str, body: ast.stmt) -> ast.FunctionDef:
    """A definition of a function with the arguments of another one."""
    made = ast.FunctionDef(name=name, args=node.args, body=[body], decorator_list=[], returns=None)
    if "type_params" in ast.FunctionDef._fields:
        made.type_params = []  # type: ignore[attr-defined]
    return ast.copy_location(made, node)


def without_values(arguments: ast.arguments) -> ast.arguments:
    """Parameters whose defaults and annotations do not count: the function's own ones are used."""
    arguments.defaults = [ast.Constant(None) for _ in arguments.defaults]
    arguments.kw_defaults = [each and ast.Constant(None) for each in arguments.kw_defaults]
    for node in ast.walk(arguments):
        if isinstance(node, ast.arg):
            node.annotation = None
    return arguments


def renamed(code: CodeType, name: str) -> CodeType:
    """The code with functions that rewriting made up named as the function that they come from."""
    constants = []
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            constant = renamed(constant, name if constant.co_name.startswith(MOVED) else constant.co_name)
        constants.append(constant)
    return code.replace(co_name=name, co_consts=tuple(constants))


def inner_codes(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


# Finding the source


@lru_cache(maxsize=256)
def parsed(file: str, source: str) -> ast.Module | None:
    """A file's syntax tree."""
    try:
        return ast.parse(source, file)
    except (SyntaxError, ValueError):
        return None


def find_definition(code: CodeType) -> ast.FunctionDef | ast.Lambda | None:
    """The definition that a function's code was compiled from; None if the source is not at hand, or has changed."""
    linecache.checkcache(code.co_filename)
    lines = linecache.getlines(code.co_filename)
    if not lines:
        return None
    module = parsed(code.co_filename, "".join(lines))
    if module is None:
        return None
    if code.co_name == "<lambda>":
        return find_lambda(module, code)
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef) and node.name == code.co_name and first_line(node) == code.co_firstlineno:
            return node if same_parameters(node.args, code) else None
    return None


def first_line(node: ast.FunctionDef) -> int:
    """The line that a code object counts as its first: that of the first decorator."""
    return node.decorator_list[0].lineno if node.decorator_list else node.lineno


def same_parameters(arguments: ast.arguments, code: CodeType) -> bool:
    names = [each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
    own = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    # Private names of a class are stored with the name of the class.
    return len(names) == len(own) and all(
        have == name or (name.startswith("__") and have.endswith(name)) for name, have in zip(names, own, strict=True)
    )


def find_lambda(module: ast.Module, code: CodeType) -> ast.Lambda | None:
    """The lambda that a code object was compiled from: by its place, else by comparing what it compiles to."""
    lambdas = [node for node in ast.walk(module) if isinstance(node, ast.Lambda)]
    candidates = [node for node in lambdas
                  if node.lineno == code.co_firstlineno and same_parameters(node.args, code)]  # fmt: skip
    if len(candidates) == 1:
        return candidates[0]
    if hasattr(code, "co_positions"):
        lines = linecache.getlines(code.co_filename)
        inside = [node for node in candidates if holds(node, code, lines)]
        # The innermost one around all of the code's places.
        if inside:
            return max(inside, key=lambda node: (node.lineno, node.col_offset))
    for node in candidates:
        made = compile(ast.Expression(node), code.co_filename, "eval", code.co_flags & FUTURE, dont_inherit=True)
        if any(same_code(each, code) for each in inner_codes(made)):
            return node
    return None


def same_code(one: CodeType, other: CodeType) -> bool:
    """Whether two code objects do the same, wherever they stand: names that say where that is do not count."""
    if (one.co_code, one.co_names, len(one.co_consts)) != (other.co_code, other.co_names, len(other.co_consts)):
        return False
    named = False
    for first, second in zip(one.co_consts, other.co_consts, strict=True):
        inner = isinstance(first, CodeType) and isinstance(second, CodeType)
        if inner:
            if not same_code(first, second):
                return False
        # Behind a function's code Python 3.10 has its name, which says where it stands: f.<locals>.<lambda>. As for the
        # rest, 0.0 equals -0.0 and 1 equals True, but they are not the same.
        elif not (named and isinstance(first, str) and isinstance(second, str)) and repr(first) != repr(second):
            return False
        named = inner
    return True


def holds(node: ast.Lambda, code: CodeType, lines: list[str]) -> bool:
    """Whether every place of a code object lies in a lambda's body."""
    body = node.body
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    found = False
    for line, end_line, column, end_column in code.co_positions():
        if line is None or column is None or end_column is None or column == end_column == 0:
            continue
        if not (start <= (line, column) and (end_line, end_column) <= end):
            return False
        found = True
    return found


def copied(node: Any) -> Any:
    """A deep copy of a syntax tree, positions included."""
    if isinstance(node, list):
        return [copied(each) for each in node]
    if not isinstance(node, ast.AST):
        return node
    made = type(node)(**{name: copied(value) for name, value in ast.iter_fields(node)})
    return ast.copy_location(made, node)
