"""A directed graph to be drawn: labelled boxes and the arrows between them, by key."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pullback.errors import ArgumentValueError

# Fill and line colours of the groups, in order of first appearance: light fills that black text can be read on.
_COLOURS = (
    ("#eaf1fb", "#3b6fb6"),
    ("#fdf0e0", "#c7781c"),
    ("#e8f5ec", "#2f8a57"),
    ("#f7eaf3", "#a8488a"),
    ("#f1f1ee", "#6b6b63"),
    ("#fbeae9", "#bf4540"),
    ("#e6f4f6", "#25808f"),
    ("#f0ecfa", "#6e57b5"),
)


@dataclass(frozen=True)
class Node:
    """A box: `key` names it in edges, `label` is its text (lines apart by newlines), a `group` shares one colour."""

    key: str
    label: str
    group: str = ""


@dataclass(frozen=True)
class Edge:
    """An arrow between two nodes, by key, with a text beside it where `label` is not empty."""

    source: str
    target: str
    label: str = ""


@dataclass(frozen=True)
class Graph:
    """Nodes with distinct keys, and edges between them.

    Raises: ArgumentValueError for two nodes with one key, or an edge to none.
    """

    nodes: Sequence[Node]
    edges: Sequence[Edge]

    def __post_init__(self) -> None:
        keys: set[str] = set()
        for node in self.nodes:
            if node.key in keys:
                raise ArgumentValueError(
                    f"graph: two nodes have the key {node.key!r}", help="give each node its own key"
                )
            keys.add(node.key)
        for edge in self.edges:
            for key in (edge.source, edge.target):
                if key not in keys:
                    raise ArgumentValueError(
                        f"graph: an edge from {edge.source!r} to {edge.target!r}, but no node has the key {key!r}",
                        help="add the node, or leave the edge out",
                    )

    def colours(self) -> dict[str, tuple[str, str]]:
        """The fill and line colour of each group, in order of first appearance."""
        groups = dict.fromkeys(node.group for node in self.nodes)
        return {group: _COLOURS[index % len(_COLOURS)] for index, group in enumerate(groups)}


def printable(text: str) -> str:
    """The text without the control characters and lone surrogates that neither XML nor Graphviz can hold."""
    allowed = (c if c in "\n\t" or (ord(c) >= 32 and not 0xD800 <= ord(c) < 0xE000) else "\ufffd" for c in text)
    return "".join("\ufffd" if c in "\ufffe\uffff" else c for c in allowed)
