"""What rewritten functions call: the user's own functions are rewritten in turn, builtins and NumPy's creators stand in.

`traceable` is the entry: a function in, the same one with traceable control flow out.
"""
from __future__ import annotations

import builtins
from collections.abc import Callable
from functools import partial, reduce
from types import BuiltinFunctionType, BuiltinMethodType, FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np

from pullback.dtypes import ALL
from pullback.errors import ConcreteError
from pullback.tracer import control, creation, exceptions, for_statement, objects
from pullback.tracer.builtin_functions import BUILTINS
from pullback.tracer.chosen.array import CHOOSING
from pullback.tracer.chosen.elements import Chosen
from pullback.tracer.effects import change, is_mutator, is_random, once
from pullback.tracer.numpy_functions.arguments import as_array
from pullback.tracer.numpy_objects import object_stand_in
from pullback.tracer.recursion import is_pure_recursion, remembering
from pullback.tracer.rewrite import rewritten
from pullback.tracer.scipy_functions import stand_in
from pullback.tracer.traced import Traced


def traceable(function: Any) -> Any:
    """A callable with its control flow made traceable, if it is the user's own and its source is at hand."""
    return rewritten(function, RUNTIME)


def call(function: Any, local: bool = True) -> Any:
    """What to call instead of `function`; `local` says that it was reached by a variable of the calling function."""
    if isinstance(function, FunctionType):
        target = REPLACED.get(function) or stand_in(function) or traceable(function)
        return remembering(function, target) if is_pure_recursion(function) else target
    if isinstance(function, MethodType):
        return stand_in(function) or traceable(function)
    if isinstance(function, BuiltinFunctionType | BuiltinMethodType):
        known = REPLACED.get(function)
        if known is not None:
            return known
        owner = function.__self__
        if is_mutator(function):
            change(owner, local, f"calling {function.__name__}")
        elif is_random(function):
            once(f"calling {function.__name__}")
        elif type(owner) is np.ndarray and function.__name__ in ("copy", "astype", "flatten"):
            return creation.creator(function)
        return function
    if isinstance(function, type):
        return REPLACED.get(function) or stand_in(function) or function
    try:
        known = REPLACED.get(function)
    except TypeError:
        known = None
    if known is None and isinstance(function, _OF_NUMPY):
        return partial(stacking, function)
    if known is None and (known := object_stand_in(function)) is not None:
        return known
    return traceable(function) if known is None else known


_OF_NUMPY = (np.ufunc, type(np.mean))


def stacking(function: Any, *args: Any, **named: Any) -> Any:
    """A function of NumPy; lists of traced numbers that it takes for arrays are arrays: NumPy looks for these itself where
    a function takes a sequence of arrays, and tries to make an array of others."""
    try:
        return function(*args, **named)
    except ConcreteError:
        stacked = [as_array(each) if isinstance(each, list | tuple) else each for each in args]
        if not any(isinstance(new, Traced) and new is not old for new, old in zip(stacked, args, strict=True)):
            raise
    return function(*stacked, **named)


def take_(a: Any, indices: Any, *args: Any, **named: Any) -> Any:
    """np.take: NumPy asks the array alone whether it is traced."""
    traced = isinstance(indices, Chosen) or control.is_traced(indices)
    return (CHOOSING[np.take] if traced else np.take)(a, indices, *args, **named)


def map_(function: Any, *iterables: Any) -> Any:
    return builtins.map(call(function), *iterables)


def filter_(function: Any, iterable: Any) -> Any:
    return builtins.filter(function and call(function), iterable)


def reduce_(function: Any, iterable: Any, *initial: Any) -> Any:
    return reduce(call(function), iterable, *initial)


def terms(function: Any, filtered: Callable[[], Any], conditional: Callable[[], Any]) -> Any:
    """What a call of `function` takes from a generator with a condition: of the builtin sum, zeros where a condition
    that is computed does not hold."""
    if function is not builtins.sum:
        return filtered()
    return (each for each in conditional() if each is not control.SKIPPED)


REPLACED: dict[Any, Any] = {
    **BUILTINS, map: map_, filter: filter_, reduce: reduce_,
    **{function: creation.creator(function) for function in creation.CREATORS},
    np.zeros: creation.filled(np.zeros, 0), np.ones: creation.filled(np.ones, 1),
    np.empty: creation.filled(np.empty, 0), np.full: creation.full, np.array: creation.array,
    np.take: take_, np.asarray: creation.as_array, np.ascontiguousarray: creation.as_array,
    **{each.numpy.type: creation.scalar_type(each.numpy.type) for each in ALL},
}  # fmt: skip
"""What rewritten code calls instead of a function."""

RUNTIME = SimpleNamespace(
    call=call, slice=slice, if_=control.if_, guard=control.guard, returned=control.returned, choose=control.choose,
    terms=terms, term=control.term, and_=control.and_,
    or_=control.or_, not_=control.not_, compare=control.compare, assert_=control.assert_,
    raising=exceptions.raising, set_globals=control.set_globals, set_nonlocals=control.set_nonlocals,
    while_=control.while_, for_=for_statement.for_, get_item=objects.get_item,
    set_item=objects.set_item, delete_item=objects.delete_item, set_attribute=objects.set_attribute,
    update=objects.update, update_item=objects.update_item, update_attribute=objects.update_attribute,
)  # fmt: skip
"""The functions that rewritten code calls, by the names that it has for them."""
