"""Maximum flow, and with it minimum cuts: a network of edges with capacities in, the sink's side of the cut out."""
from __future__ import annotations

UNBOUNDED = 1 << 60
"""The capacity of edges that no cut goes through."""


class Network:
    """A directed network on nodes 0 … count - 1, cut by Dinic's algorithm.

    Source: E. A. Dinic, Algorithm for solution of a problem of maximum flow in a network with power estimation, 1970.
    Networks here are shallow, where it takes few phases; loading networkx alone would take longer than most cuts.
    """

    def __init__(self, count: int) -> None:
        self.edges: list[list[int]] = [[] for _ in range(count)]
        """Per node, the numbers of its outgoing edges; edge e ^ 1 is e backward."""
        self.ends: list[int] = []
        self.capacity: list[int] = []

    def edge(self, start: int, end: int, capacity: int) -> None:
        """Add an edge."""
        for node, other, width in ((start, end, capacity), (end, start, 0)):
            self.edges[node].append(len(self.ends))
            self.ends.append(other)
            self.capacity.append(width)

    def sink_side(self, source: int, sink: int) -> set[int]:
        """The nodes on the sink's side of the minimum cut that lies nearest to the sink."""
        while (levels := self._levels(source, sink)) is not None:
            self._saturate(source, sink, levels)
        side = {sink}
        pending = [sink]
        while pending:
            for edge in self.edges[pending.pop()]:
                node = self.ends[edge]
                if node not in side and self.capacity[edge ^ 1] > 0:
                    side.add(node)
                    pending.append(node)
        return side

    def _levels(self, source: int, sink: int) -> list[int] | None:
        """Distances from the source along edges with room; None if the sink is out of reach."""
        levels = [-1] * len(self.edges)
        levels[source] = 0
        queue = [source]
        for node in queue:
            for edge in self.edges[node]:
                end = self.ends[edge]
                if levels[end] < 0 and self.capacity[edge] > 0:
                    levels[end] = levels[node] + 1
                    queue.append(end)
        return levels if levels[sink] >= 0 else None

    def _saturate(self, source: int, sink: int, levels: list[int]) -> None:
        """Push flow along shortest paths until each has a full edge: depth first, never trying an edge twice."""
        tried = [0] * len(self.edges)
        path: list[int] = []
        node = source
        while True:
            if node == sink:
                room = min(self.capacity[edge] for edge in path)
                for edge in path:
                    self.capacity[edge] -= room
                    self.capacity[edge ^ 1] += room
                full = next(place for place, edge in enumerate(path) if self.capacity[edge] == 0)
                node = self.ends[path[full] ^ 1]
                del path[full:]
            elif tried[node] < len(self.edges[node]):
                edge = self.edges[node][tried[node]]
                end = self.ends[edge]
                if self.capacity[edge] > 0 and levels[end] == levels[node] + 1:
                    path.append(edge)
                    node = end
                else:
                    tried[node] += 1
            elif path:
                node = self.ends[path.pop() ^ 1]
                tried[node] += 1
            else:
                return
