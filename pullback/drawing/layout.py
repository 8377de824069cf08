"""A graph in, the places of its boxes in a layered drawing and the routes of its edges out.

Four steps, each near linear in nodes and edges: layers (every edge points down), corners (an edge over several layers
passes through one point in each), order in a layer (each node near the mean of its neighbours), and places (the nearest
to that mean that keeps boxes apart). After K. Sugiyama, S. Tagawa and M. Toda, Methods for visual understanding of
hierarchical system structures, 1981.
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from pullback.drawing.graph import Edge, Graph, Node

CHARACTER_WIDTH = 7.25  # of a monospaced font of 12 pixels, with a little to spare
LINE_HEIGHT = 15.0
PADDING = 9.0
MARGIN = 16.0
_GAP = 22.0  # between boxes of one layer
_LAYER_GAP = 40.0
_SWEEPS = 8
_CORNERS_PER_EDGE = 4  # on average; the longest edges go straight once these are used up


@dataclass
class Place:
    """A box, or a corner of a long edge (`node` is None), while its layer and position are being found."""

    node: Node | None
    width: float = 0.0
    height: float = 0.0
    layer: int = 0
    order: int = 0
    x: float = 0.0  # of the centre
    y: float = 0.0  # of the upper side
    above: list[Place] = field(default_factory=list)
    below: list[Place] = field(default_factory=list)


@dataclass(frozen=True)
class Route:
    """An edge and the places it passes, from its upper to its lower end; `upward` where the arrow points up."""

    edge: Edge
    through: list[Place]
    upward: bool


@dataclass(frozen=True)
class Layout:
    """Boxes and routes on a sheet of `width` by `height` pixels, margins included."""

    boxes: list[Place]
    routes: list[Route]
    width: float
    height: float


def lay_out(graph: Graph) -> Layout:
    """Places for all nodes and edges; an edge that closes a cycle points up."""
    places = {node.key: _box(node) for node in graph.nodes}
    routes = _assign_layers(places, graph.edges, _ranks(graph))
    layers = _layers(places, routes)
    _order(layers)
    _set_places(layers)
    width, height = _extent(layers)
    return Layout(list(places.values()), routes, width, height)


def _box(node: Node) -> Place:
    lines = node.label.split("\n")
    width = max(32.0, CHARACTER_WIDTH * max(map(len, lines)) + 2 * PADDING)
    return Place(node, width, LINE_HEIGHT * len(lines) + PADDING)


def _ranks(graph: Graph) -> dict[str, int]:
    """A number for each key: edges go up in it, but for those that close a cycle.

    Nodes without unnumbered sources come first; where there is none, the earliest in the list breaks its cycle.
    """
    targets: dict[str, list[str]] = {node.key: [] for node in graph.nodes}
    missing = dict.fromkeys(targets, 0)
    for edge in graph.edges:
        if edge.source != edge.target:
            targets[edge.source].append(edge.target)
            missing[edge.target] += 1
    ranks: dict[str, int] = {}
    ready = [key for key in reversed(targets) if missing[key] == 0]
    remaining = iter(targets)
    while len(ranks) < len(targets):
        key = ready.pop() if ready else next(each for each in remaining if each not in ranks)
        if key in ranks:
            continue
        ranks[key] = len(ranks)
        for target in reversed(targets[key]):
            missing[target] -= 1
            if missing[target] == 0 and target not in ranks:
                ready.append(target)
    return ranks


def _assign_layers(places: dict[str, Place], edges: Sequence[Edge], ranks: Mapping[str, int]) -> list[Route]:
    """Sets the layer of each box, one below its lowest source, and gives the routes, their corners still missing."""
    routes = []
    for edge in edges:
        upward = ranks[edge.source] > ranks[edge.target]
        ends = [places[edge.source], places[edge.target]]
        routes.append(Route(edge, ends[::-1] if upward else ends, upward))
    for route in routes:
        upper, lower = route.through
        if upper is not lower:
            upper.below.append(lower)
            lower.above.append(upper)
    by_rank = sorted(places, key=ranks.__getitem__)
    for key in by_rank:
        place = places[key]
        place.layer = 1 + max((each.layer for each in place.above), default=-1)
    # A node without sources, such as a constant, belongs just above its first use and not at the very top.
    for place in places.values():
        if not place.above and place.below:
            place.layer = min(each.layer for each in place.below) - 1
    return routes


def _layers(places: dict[str, Place], routes: list[Route]) -> list[list[Place]]:
    """The places of each layer, corners of long edges among them; sets the neighbours in adjacent layers."""
    layers: list[list[Place]] = [[] for _ in range(1 + max((place.layer for place in places.values()), default=-1))]
    for place in places.values():
        place.above, place.below = [], []
        layers[place.layer].append(place)
    # Corners go to the shortest edges first: they would otherwise be quadratic in number.
    budget = _CORNERS_PER_EDGE * len(routes) + 64
    for route in sorted(routes, key=lambda each: each.through[-1].layer - each.through[0].layer):
        upper, lower = route.through
        corners = max(0, lower.layer - upper.layer - 1)
        if upper is lower or corners > budget:
            continue
        budget -= corners
        for layer in range(upper.layer + 1, lower.layer):
            corner = Place(None, width=4.0, layer=layer)
            layers[layer].append(corner)
            route.through.insert(-1, corner)
        for one, other in pairwise(route.through):
            one.below.append(other)
            other.above.append(one)
    return layers


def _order(layers: list[list[Place]]) -> None:
    """Sorts each layer by the mean position of the neighbours, downwards and upwards in turn, to have few crossings."""
    for layer in layers:
        _number(layer)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            layer.sort(key=_mean_order_above if downwards else _mean_order_below)
            _number(layer)


def _number(layer: list[Place]) -> None:
    for index, place in enumerate(layer):
        place.order = index


def _mean_order_above(place: Place) -> float:
    return sum(each.order for each in place.above) / len(place.above) if place.above else place.order


def _mean_order_below(place: Place) -> float:
    return sum(each.order for each in place.below) / len(place.below) if place.below else place.order


def _set_places(layers: list[list[Place]]) -> None:
    """Sets `x` and `y`: in each layer the boxes keep their order and come as near to their neighbours as they can."""
    y = MARGIN
    for layer in layers:
        height = max(place.height for place in layer)
        x = 0.0
        for place in layer:
            place.y = y + (height - place.height) / 2
            place.x = x + place.width / 2
            x += place.width + _GAP
        y += height + _LAYER_GAP
    for sweep in range(2 * _SWEEPS):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            wanted = []
            for place in layer:
                neighbours = place.above if downwards else place.below
                if sweep >= _SWEEPS:
                    neighbours = place.above + place.below
                wanted.append(sum(each.x for each in neighbours) / len(neighbours) if neighbours else place.x)
            _move(layer, wanted)


def _move(layer: list[Place], wanted: list[float]) -> None:
    """Puts the places of a layer where the sum of squared distances to `wanted` is least, none overlapping.

    With the gaps subtracted this is isotonic regression, solved by pooling adjacent violators in one run.
    """
    offsets, offset = [], 0.0
    for left, right in zip([None, *layer], layer, strict=False):
        offset += 0.0 if left is None else (left.width + right.width) / 2 + _GAP
        offsets.append(offset)
    pools: list[tuple[float, int]] = []
    for target, own in zip(wanted, offsets, strict=True):
        mean, count = target - own, 1
        while pools and pools[-1][0] >= mean:
            earlier, size = pools.pop()
            mean = (earlier * size + mean * count) / (size + count)
            count += size
        pools.append((mean, count))
    index = 0
    for mean, count in pools:
        for _ in range(count):
            layer[index].x = mean + offsets[index]
            index += 1


def _extent(layers: list[list[Place]]) -> tuple[float, float]:
    """Shifts all places to the right of the margin; the width and height that they fill, margins included."""
    everything = [place for layer in layers for place in layer]
    if not everything:
        return 2 * MARGIN, 2 * MARGIN
    left = min(place.x - place.width / 2 for place in everything)
    for place in everything:
        place.x += MARGIN - left
    right = max(place.x + place.width / 2 for place in everything)
    return right + MARGIN, max(place.y + place.height for place in everything) + MARGIN
