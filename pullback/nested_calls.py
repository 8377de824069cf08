"""Calls whose arguments or results nest: a structure in, functions out that take trees of it apart and put them together.

They are made once for a structure, and look at nothing but what may differ from one call to the next.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pullback.tracer.tree import Structure, remade

Take = Callable[[Any, list[Any]], bool]
Make = Callable[[Iterator[Any]], Any]


class Missed(Exception):
    """Leaves that native code was not made for."""


def missed(*leaves: Any) -> Any:
    """Raises: Missed."""
    raise Missed


def taker(structure: Structure) -> Take:
    """Appends a tree's leaves to a list; gives whether the tree has the structure (leaves may be anything)."""
    kind: Any = structure.type
    keys = structure.keys
    children = [taker(child) for child in structure.children]
    count = len(children)

    def leaf(tree: Any, leaves: list[Any]) -> bool:
        leaves.append(tree)
        return True

    def nothing(tree: Any, leaves: list[Any]) -> bool:
        return tree is None

    def sequence(tree: Any, leaves: list[Any]) -> bool:
        if type(tree) is not kind or len(tree) != count:
            return False
        fits = True
        for take, child in zip(children, tree, strict=True):
            fits = fits and take(child, leaves)
        return fits

    def mapping(tree: Any, leaves: list[Any]) -> bool:
        if type(tree) is not kind or tuple(tree) != keys:
            return False
        fits = True
        for take, child in zip(children, tree.values(), strict=True):
            fits = fits and take(child, leaves)
        return fits

    def record(tree: Any, leaves: list[Any]) -> bool:
        fits = type(tree) is kind
        for take, name in zip(children, keys, strict=True):
            fits = fits and take(getattr(tree, name), leaves)
        return fits

    if kind is None:
        return leaf
    if kind is type(None):
        return nothing
    if issubclass(kind, tuple | list):
        return sequence
    return mapping if issubclass(kind, dict) else record


def maker(structure: Structure) -> Make:
    """Puts a tree together from an iterator over its leaves."""
    kind: Any = structure.type
    keys = structure.keys
    children = [maker(child) for child in structure.children]

    def nothing(leaves: Iterator[Any]) -> Any:
        return None

    def sequence(leaves: Iterator[Any]) -> Any:
        return kind([make(leaves) for make in children])

    def named(leaves: Iterator[Any]) -> Any:
        return kind(*[make(leaves) for make in children])

    def mapping(leaves: Iterator[Any]) -> Any:
        plain = dict(zip(keys, [make(leaves) for make in children], strict=True))
        return plain if kind is dict else kind(plain)

    def record(leaves: Iterator[Any]) -> Any:
        return remade(kind, dict(zip(keys, [make(leaves) for make in children], strict=True)))

    if kind is None:
        return next
    if kind is type(None):
        return nothing
    if kind is tuple or kind is list:
        return sequence
    if issubclass(kind, tuple):
        return named
    return mapping if issubclass(kind, dict) else record


def nested_call(
    arguments: Structure, output: Structure | None, entry: Callable[..., Any], miss: Callable[..., Any]
) -> Callable[..., Any]:
    """The function that calls `entry` with the leaves of its arguments, which nest as `arguments` says.

    With an `output` the entry gives that one's leaves. `miss` is called where anything does not fit.
    """
    take = taker(arguments)
    make = None if output is None else maker(output)

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves: list[Any] = []
        if kwargs or not take(args, leaves):
            return miss(*args, **kwargs)
        try:
            results = entry(*leaves)
        except Missed:
            return miss(*args)
        return results if make is None else make(iter(results))

    return call
