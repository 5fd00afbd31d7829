"""Whole-number flows with lower and upper bounds at least cost: the one method behind the joint assignment. Knows no figure."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

UNBOUNDED: Final = 10**9
"""More than any published figure; stands for "no upper bound"."""


@dataclass(slots=True)
class _Arc:
    to: int
    room: int
    cost: int


@dataclass(slots=True)
class Network:
    """A directed network. Arcs carry whole numbers between their bounds; costs are not negative."""

    _nodes: dict[str, int] = field(default_factory=dict)
    _arcs: list[_Arc] = field(default_factory=list)
    _leaving: list[list[int]] = field(default_factory=list)
    _excess: list[int] = field(default_factory=list)
    _named: list[tuple[str, str, int, int]] = field(default_factory=list)
    _contradiction: bool = False

    def add(self, tail: str, head: str, *, least: int = 0, most: int = UNBOUNDED, cost: int = 0) -> None:
        """Add an arc that must carry at least `least` and at most `most`, each unit at `cost`."""
        if least > most:
            self._contradiction = True
            return
        start, end = self._node(tail), self._node(head)
        self._named.append((tail, head, len(self._arcs), least))
        self._pair(start, end, most - least, cost)
        self._excess[end] += least
        self._excess[start] -= least

    def solve(self) -> dict[tuple[str, str], int] | None:
        """Return what every arc carries in a cheapest circulation (parallel arcs added up); None if there is none."""
        if self._contradiction:
            return None
        source, sink = self._node("(source)"), self._node("(sink)")
        wanted = 0
        for node, surplus in enumerate(list(self._excess)):
            if surplus > 0:
                self._pair(source, node, surplus, 0)
                wanted += surplus
            elif surplus < 0:
                self._pair(node, sink, -surplus, 0)
        while wanted > 0:
            moved = self._augment(source, sink)
            if moved == 0:
                return None
            wanted -= moved
        carried: dict[tuple[str, str], int] = {}
        for tail, head, arc, least in self._named:
            carried[tail, head] = carried.get((tail, head), 0) + least + self._arcs[arc ^ 1].room
        return carried

    def _node(self, name: str) -> int:
        if name not in self._nodes:
            self._nodes[name] = len(self._nodes)
            self._leaving.append([])
            self._excess.append(0)
        return self._nodes[name]

    def _pair(self, start: int, end: int, room: int, cost: int) -> None:
        self._leaving[start].append(len(self._arcs))
        self._arcs.append(_Arc(end, room, cost))
        self._leaving[end].append(len(self._arcs))
        self._arcs.append(_Arc(start, 0, -cost))

    def _augment(self, source: int, sink: int) -> int:
        """Move as much as fits along one cheapest path (Bellman-Ford with a queue); 0 if there is no path."""
        cost = {source: 0}
        arrived_by: dict[int, int] = {}
        queue = deque([source])
        queued = {source}
        while queue:
            node = queue.popleft()
            queued.discard(node)
            for index in self._leaving[node]:
                arc = self._arcs[index]
                price = cost[node] + arc.cost
                if arc.room > 0 and price < cost.get(arc.to, UNBOUNDED * UNBOUNDED):
                    cost[arc.to] = price
                    arrived_by[arc.to] = index
                    if arc.to not in queued:
                        queue.append(arc.to)
                        queued.add(arc.to)
        if sink not in arrived_by:
            return 0
        path = []
        node = sink
        while node != source:
            path.append(arrived_by[node])
            node = self._arcs[arrived_by[node] ^ 1].to
        moved = min(self._arcs[index].room for index in path)
        for index in path:
            self._arcs[index].room -= moved
            self._arcs[index ^ 1].room += moved
        return moved
