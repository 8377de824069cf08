"""Python objects that a loop or branch on traced values changes: it is recorded once, so only its own ones may change."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from types import CellType, FunctionType, MethodType
from typing import Any

from pullback.errors import EffectError
from pullback.location import caller
from pullback.tracer.record import current_recorder
from pullback.tracer.traced import Traced
from pullback.tracer.undefined import Unusable

MAX_OBJECTS = 200_000

MUTATORS = {
    list: {"append", "extend", "insert", "remove", "pop", "clear", "sort", "reverse"},
    dict: {"update", "pop", "popitem", "clear", "setdefault"},
    set: {"add", "discard", "remove", "pop", "clear", "update", "difference_update", "intersection_update",
          "symmetric_difference_update"},
}  # fmt: skip


def is_mutator(method: Any) -> bool:
    """Whether a bound builtin method changes the list, dict, set or deque that it belongs to."""
    owner = getattr(method, "__self__", None)
    for kind, names in MUTATORS.items():
        if isinstance(owner, kind):
            return method.__name__ in names
    if type(owner).__module__ == "collections":
        return method.__name__ not in ("copy", "count", "index", "most_common", "elements", "keys", "values", "items", "get")
    return False


def is_random(function: Any) -> bool:
    """Whether a function of a library gives something else each time, or takes the next item of an iterator."""
    owner = getattr(function, "__self__", None)
    modules = {str(getattr(function, "__module__", "") or ""), str(type(owner).__module__)}
    return function in (next, input) or any(
        module in ("random", "time") or module.startswith("numpy.random") for module in modules
    )


def change(owner: Any, local: bool, what: str) -> None:
    """State that an object is about to be changed. Raises: EffectError where that would happen once, not each time."""
    recorder = current_recorder()
    if isinstance(owner, Unusable):
        owner.fail()
    if recorder is None or not recorder.frames or isinstance(owner, Traced):
        return
    if not local or any(reaches(frame.outside.objects, owner) for frame in recorder.frames):
        raise EffectError(
            f"{what} of a {type(owner).__name__} from outside of a loop or branch on traced values, which is recorded "
            "once", location=caller(),
            help="use an array of np.zeros and assign into it, or make the list anew: xs = [*xs, x]",
        )  # fmt: skip


def once(what: str) -> None:
    """State that a call gives something else each time. Raises: EffectError inside of a loop or branch."""
    recorder = current_recorder()
    if recorder is not None and recorder.frames:
        raise EffectError(f"{what} in a loop or branch on traced values, which is recorded once", location=caller(),
                          help="call it before, for as many numbers as are needed, and index them")  # fmt: skip


def reaches(roots: Iterable[Any], wanted: Any) -> bool:
    """Whether an object can be reached from others, by way of containers and attributes.

    Raises: EffectError when there are too many objects to tell.
    """
    seen: set[int] = set()
    stack = list(roots)
    while stack:
        item = stack.pop()
        if item is wanted:
            return True
        if isinstance(item, Traced | Unusable | str | bytes | int | float | type(None)) or id(item) in seen:
            continue
        seen.add(id(item))
        if len(seen) > MAX_OBJECTS:
            raise EffectError("too many Python objects to tell which of them a loop changes", location=caller())
        stack += inside(item)
    return False


def inside(item: Any) -> list[Any]:
    """What a container or an object holds."""
    if isinstance(item, list | tuple | set | frozenset):
        return list(item)
    if isinstance(item, dict):
        return list(item.values())
    if isinstance(item, FunctionType):
        return list(item.__closure__ or ())
    if isinstance(item, MethodType):
        return [item.__self__, item.__func__]
    if isinstance(item, CellType):
        try:
            return [item.cell_contents]
        except ValueError:
            return []
    found = []
    if type(item).__module__ not in ("builtins", "numpy") and not isinstance(item, type):
        if hasattr(item, "__dict__"):
            found += list(vars(item).values())
        if dataclasses.is_dataclass(item):
            found += [getattr(item, field.name, None) for field in dataclasses.fields(item)]
        found += [getattr(item, name, None) for name in getattr(type(item), "__slots__", ()) if isinstance(name, str)]
    return found
