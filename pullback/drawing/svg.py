"""A graph in, its layered drawing as SVG out: a document of its own, or a part of a larger picture."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from pullback.drawing.graph import Edge, Graph, Node, printable
from pullback.drawing.layout import CHARACTER_WIDTH, LINE_HEIGHT, MARGIN, PADDING, Place, Route, lay_out


@dataclass(frozen=True)
class Drawing:
    """SVG elements that fill the rectangle from 0, 0 to `width`, `height`, in pixels."""

    body: str
    width: float
    height: float


def draw_svg(nodes: Sequence[Node], edges: Sequence[Edge], title: str = "") -> str:
    """A complete SVG document that shows the graph from top to bottom, with the names of the groups below it.

    A cycle is drawn with an arrow that points up.

    Raises: ArgumentValueError for two nodes with one key, or an edge to none.
    """
    drawing = draw(Graph(nodes, edges))
    head = LINE_HEIGHT + MARGIN if title else 0.0
    width = max(drawing.width, CHARACTER_WIDTH * len(title) * 1.2 + 2 * MARGIN)
    height = drawing.height + head
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
    ]
    if title:
        text = _clean(title)
        parts.append(f"<title>{text}</title>")
        parts.append(
            f'<text x="{MARGIN:.0f}" y="{MARGIN + 12:.0f}" font-family="sans-serif" font-size="14" '
            f'font-weight="bold" fill="#222222">{text}</text>'
        )
    parts.append(f'<g transform="translate({(width - drawing.width) / 2:.1f} {head:.1f})">')
    parts += [drawing.body, "</g>", "</svg>", ""]
    return "\n".join(parts)


def draw(graph: Graph) -> Drawing:
    """The graph as SVG elements, to be placed into a larger picture."""
    layout, colours = lay_out(graph), graph.colours()
    width, height = layout.width, layout.height
    parts = ['<g font-family="ui-monospace, Menlo, Consolas, \'DejaVu Sans Mono\', monospace" font-size="12">']
    parts += [_edge_svg(route) for route in layout.routes]
    parts += [_box_svg(place, place.node, colours) for place in layout.boxes if place.node is not None]
    legend = [(name, colour) for name, colour in colours.items() if name]
    x, y = MARGIN, height
    for name, (fill, line) in legend:
        advance = CHARACTER_WIDTH * len(name) + 34
        if x > MARGIN and x + advance > max(width, 320.0):
            x, y = MARGIN, y + LINE_HEIGHT + 4
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="12" height="12" rx="3" fill="{fill}" stroke="{line}"/>')
        parts.append(f'<text x="{x + 17:.1f}" y="{y + 10:.1f}" fill="#444444">{_clean(name)}</text>')
        x += advance
        width = max(width, x)
    parts.append("</g>")
    return Drawing("\n".join(parts), width, y + (LINE_HEIGHT + MARGIN if legend else 0.0))


def _clean(text: str) -> str:
    return escape(printable(text))


def _box_svg(place: Place, node: Node, colours: Mapping[str, tuple[str, str]]) -> str:
    fill, line = colours[node.group]
    left = place.x - place.width / 2
    parts = [
        f'<rect x="{left:.1f}" y="{place.y:.1f}" width="{place.width:.1f}" height="{place.height:.1f}" rx="5" '
        f'fill="{fill}" stroke="{line}"/>'
    ]
    for index, text in enumerate(node.label.split("\n")):
        y = place.y + PADDING / 2 + LINE_HEIGHT * index + 11.5
        parts.append(
            f'<text x="{place.x:.1f}" y="{y:.1f}" text-anchor="middle" fill="#222222">{_clean(text)}</text>'
        )
    return "\n".join(parts)


def _edge_svg(route: Route) -> str:
    """A smooth line through the corners of an edge, and its arrow head, drawn as a triangle of its own."""
    first, last = route.through[0], route.through[-1]
    if first is last:
        return _loop_svg(first)
    points = [(first.x, first.y + first.height)]
    points += [(corner.x, corner.y) for corner in route.through[1:-1]]
    points.append((last.x, last.y))
    tip = points[0] if route.upward else points[-1]
    back = 6.0 if route.upward else -6.0
    # The line ends at the base of the head, so that the head stays sharp.
    points[0 if route.upward else -1] = (tip[0], tip[1] + back)
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for (x, y), (next_x, next_y) in pairwise(points):
        middle = (y + next_y) / 2
        path.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
    parts = [f'<path d="{" ".join(path)}" fill="none" stroke="#8a8f98" stroke-width="1.2"/>', _head_svg(tip, back)]
    if route.edge.label:
        (x, y), (next_x, next_y) = points[0], points[1]
        parts.append(
            f'<text x="{(x + next_x) / 2 + 5:.1f}" y="{(y + next_y) / 2 + 3:.1f}" font-size="10" '
            f'fill="#6b7078">{_clean(route.edge.label)}</text>'
        )
    return "\n".join(parts)


def _loop_svg(place: Place) -> str:
    """An edge from a box to itself, beside its right side."""
    x, upper, lower = place.x + place.width / 2, place.y + place.height * 0.3, place.y + place.height * 0.8
    path = f"M{x:.1f} {upper:.1f} C{x + 16:.1f} {upper:.1f} {x + 16:.1f} {lower:.1f} {x:.1f} {lower:.1f}"
    return f'<path d="{path}" fill="none" stroke="#8a8f98" stroke-width="1.2"/>'


def _head_svg(tip: tuple[float, float], back: float) -> str:
    x, y = tip
    return f'<path d="M{x:.1f} {y:.1f} L{x - 3.5:.1f} {y + back:.1f} L{x + 3.5:.1f} {y + back:.1f} Z" fill="#8a8f98"/>'
