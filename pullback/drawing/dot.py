"""A graph in, the same as text for Graphviz out."""
from __future__ import annotations

from collections.abc import Sequence

from pullback.drawing.graph import Edge, Graph, Node, printable


def draw_dot(nodes: Sequence[Node], edges: Sequence[Edge], title: str = "") -> str:
    """The graph as text for Graphviz' ``dot``. Raises: as `draw_svg`."""
    colours = Graph(nodes, edges).colours()
    lines = [f"digraph {_quoted(title or 'graph')} {{"]
    if title:
        lines.append(f"  graph [label={_quoted(title)}, labelloc=t];")
    lines.append('  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=11];')
    lines.append('  edge [fontname="monospace", fontsize=9];')
    for node in nodes:
        fill, line = colours[node.group]
        lines.append(f'  {_quoted(node.key)} [label={_quoted(node.label)}, fillcolor="{fill}", color="{line}"];')
    for edge in edges:
        label = f" [label={_quoted(edge.label)}]" if edge.label else ""
        lines.append(f"  {_quoted(edge.source)} -> {_quoted(edge.target)}{label};")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
