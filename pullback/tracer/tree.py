"""Nested arguments and results: a tuple, list, dict, named tuple or dataclass in, its leaves and its structure out."""
from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Structure:
    """How leaves nest: a node's Python type, its keys (dict keys or field names), its children; None for a leaf."""

    type: type | None
    keys: tuple[Any, ...] = ()
    children: tuple[Structure, ...] = ()

    @property
    def leaves(self) -> int:
        """Number of leaves below."""
        return 1 if self.type is None else sum(child.leaves for child in self.children)

    def __hash__(self) -> int:
        # Most are leaves, which are all alike.
        return 0 if self.type is None else hash((self.type, self.keys, self.children))


LEAF = Structure(None)


def flatten(tree: Any) -> tuple[list[Any], Structure]:
    """Leaves from left to right, dicts in their own order, and the structure."""
    leaves: list[Any] = []
    return leaves, _flatten(tree, leaves)


@lru_cache(maxsize=256)
def _may_nest(kind: type) -> bool:
    """Whether objects of a class may have anything below them."""
    return issubclass(kind, tuple | dict) or dataclasses.is_dataclass(kind)


def _flatten(tree: Any, leaves: list[Any]) -> Structure:
    kind: Any = type(tree)
    if tree is None:
        return Structure(type(None))
    if kind is tuple or kind is list:
        children = []
        for child in tree:
            inner: Any = type(child)
            if child is None or inner is list or inner is tuple or _may_nest(inner):
                children.append(_flatten(child, leaves))
            else:
                leaves.append(child)
                children.append(LEAF)
        return Structure(kind, (), tuple(children))
    if not _may_nest(kind):
        leaves.append(tree)
        return LEAF
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return Structure(kind, (), tuple([_flatten(child, leaves) for child in tree]))
    if isinstance(tree, dict):
        keys = tuple(tree)
        return Structure(kind, keys, tuple([_flatten(tree[key], leaves) for key in keys]))
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        names = tuple(field.name for field in dataclasses.fields(tree))
        return Structure(kind, names, tuple([_flatten(getattr(tree, name), leaves) for name in names]))
    leaves.append(tree)
    return LEAF


def unflatten(structure: Structure, leaves: Sequence[Any]) -> Any:
    """The tree of a structure with other leaves."""
    return _unflatten(structure, iter(leaves))


def _unflatten(structure: Structure, leaves: Iterator[Any]) -> Any:
    kind = structure.type
    if kind is None:
        return next(leaves)
    if kind is type(None):
        return None
    children = [_unflatten(child, leaves) for child in structure.children]
    if kind is tuple or kind is list:
        return kind(children)
    if issubclass(kind, tuple):
        return kind(*children)
    if issubclass(kind, dict):
        plain = dict(zip(structure.keys, children, strict=True))
        return plain if kind is dict else kind(plain)
    return remade(kind, dict(zip(structure.keys, children, strict=True)))


def remade(kind: type, fields: dict[str, Any]) -> Any:
    """A dataclass instance with these fields, whatever its __init__ takes."""
    instance: Any = object.__new__(kind)
    for name, value in fields.items():
        object.__setattr__(instance, name, value)
    return instance


def leaves_like(structure: Structure, tree: Any) -> list[Any] | None:
    """The leaves of a tree that nests as `structure` says, None for each leaf below a None; None if it does not nest so.

    Tuples and lists may stand for each other.
    """
    if tree is None:
        return [None] * structure.leaves
    if structure.type is None:
        return [tree]
    if isinstance(tree, dict):
        children = [tree[key] for key in structure.keys if key in tree]
    elif dataclasses.is_dataclass(tree):
        children = [getattr(tree, name) for name in structure.keys if hasattr(tree, name)]
    else:
        children = list(tree) if isinstance(tree, tuple | list) else []
    if len(children) != len(structure.children):
        return None
    found: list[Any] = []
    for child, each in zip(structure.children, children, strict=True):
        inner = leaves_like(child, each)
        if inner is None:
            return None
        found += inner
    return found


def map_leaves(function: Callable[..., Any], tree: Any) -> Any:
    """The tree with `function` applied to each leaf."""
    leaves, structure = flatten(tree)
    return unflatten(structure, [function(leaf) for leaf in leaves])


def paths(structure: Structure, root: str) -> list[str]:
    """How each leaf is reached: ``w['bias'][0]``."""
    if structure.type is None:
        return [root]
    found: list[str] = []
    for index, child in enumerate(structure.children):
        if issubclass(structure.type, dict):
            step = f"[{structure.keys[index]!r}]"
        elif structure.keys:
            step = f".{structure.keys[index]}"
        else:
            step = f"[{index}]"
        found += paths(child, root + step)
    return found
