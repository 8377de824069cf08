"""A function that calls itself on the same values again and again is traced once for each: what it gave is handed out.

Expansion of a determinant meets each minor many times; traced as written, it would take as long as it has terms.
Only functions whose code shows that they change nothing are taken so, and only on numbers.
"""
from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FunctionType
from typing import Any

import numpy as np

from pullback.tracer.effects import MUTATORS
from pullback.tracer.record import current_recorder
from pullback.tracer.traced import Traced
from pullback.tracer.tree import flatten, unflatten

PURE_BUILTINS = frozenset((
    "abs", "all", "any", "bool", "divmod", "enumerate", "float", "int", "len", "list", "max", "min", "pow", "range",
    "reversed", "round", "sorted", "sum", "tuple", "zip",
))  # fmt: skip
_CHANGING = ("STORE_ATTR", "STORE_SUBSCR", "STORE_GLOBAL", "DELETE", "IMPORT", "YIELD", "RAISE", "SETUP_WITH", "BEFORE_WITH")
_MUTATORS = frozenset(name for names in MUTATORS.values() for name in names)


def is_pure_recursion(function: FunctionType) -> bool:
    """Whether a function calls itself, and its code (which closes over nothing) changes nothing that anybody else sees."""
    code = function.__code__
    return not code.co_freevars and function.__name__ in code.co_names and _is_pure(code, function)


@lru_cache(maxsize=1 << 10)
def _is_pure(code: CodeType, function: FunctionType) -> bool:
    for inner in _codes(code):
        for instruction in dis.get_instructions(inner):
            if instruction.opname.startswith(_CHANGING):
                return False
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and not _is_known(str(instruction.argval), function):
                return False
        if _MUTATORS & set(inner.co_names):
            return False
    return True


def _is_known(name: str, function: FunctionType) -> bool:
    """Whether a global name stands for the function itself, for NumPy, a pure builtin or a plain number."""
    found = function.__globals__.get(name, getattr(builtins, name, None))
    if found is function or found is np:
        return True
    return (name in PURE_BUILTINS and found is getattr(builtins, name)) or isinstance(found, int | float | str)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A function's code and that of comprehensions and functions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def remembering(function: FunctionType, target: Callable[..., Any]) -> Callable[..., Any]:
    """`target` (what `function` was rewritten to), which answers from memory where it can."""

    def called(*args: Any, **kwargs: Any) -> Any:
        recorder = current_recorder()
        values, structure = flatten((args, kwargs))
        key = [_identity(value) for value in values]
        if recorder is None or None in key:
            return target(*args, **kwargs)
        # What is computed in a branch or loop is not there outside of it.
        place = function, id(recorder.region), structure, tuple(key)
        known = recorder.remembered.get(place)
        if known is None:
            result = target(*args, **kwargs)
            leaves, shape = flatten(result)
            if all(_identity(leaf) is not None for leaf in leaves):
                recorder.remembered[place] = leaves, shape, (args, kwargs, recorder.region)
            return result
        return unflatten(known[1], known[0])

    return called


def _identity(value: Any) -> Any:
    """What makes a number the same one; None for what may change, or has axes."""
    if isinstance(value, Traced):
        own = value.own
        if value.memory is not None or own is None or own.type.dims:
            return None
        return "traced", own, value.weak
    if type(value) in (int, float, bool, str, type(None)):
        return type(value), repr(value)
    return None
