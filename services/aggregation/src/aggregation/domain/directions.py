"""Finds by linear programming how numbers that are left out could be others, all relations kept; what to leave out, `disclosure` decides.

A direction is a change of numbers, in whole steps, that keeps every sum. One that can be taken k - 1 times, forwards or backwards,
before a number falls below 1 or a bound breaks, gives each number in it k possible values.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csc_array, hstack

from aggregation.domain.linked import Linked, Name, Terms

_NODES: Final = 100
"""So far a search for whole steps goes where the cheapest direction has broken ones; none was ever needed on our data."""
_WHOLE: Final = 1e-6
_Vector = NDArray[np.float64]


class Directions:
    """The directions of a linked set. The same set gives the same answers."""

    def __init__(self, linked: Linked, *, k: int) -> None:
        self.names = sorted((name for name, value in linked.values.items() if value and name not in linked.shared), key=str)
        self._of: dict[Name, _Part] = {}
        movable = set(self.names)
        relations = [(terms, True) for terms in linked.equalities] + [(terms, False) for terms in linked.bounds]
        relations = [(terms, equality) for terms, equality in relations if terms.keys() & movable]
        for names, own in _parts(self.names, relations):
            part = _Part(names, own, linked, steps=k - 1)
            self._of |= dict.fromkeys(names, part)

    def cheapest(self, name: Name, prices: Mapping[Name, float]) -> frozenset[Name] | None:
        """Return the numbers of the cheapest direction through one; only numbers with a price move. None if there is no direction."""
        return self._of[name].cheapest(name, prices)

    def reach(self, name: Name, *, at_least: int, small: Name, among: Collection[Name]) -> int:
        """Return how many values from `at_least` on a number can have while another is small, if only numbers `among` can be others."""
        return self._of[name].reach(name, at_least, small, among)

    def linked_with(self, name: Name) -> list[Name]:
        """Return every number that relations connect with one, itself too."""
        return self._of[name].names


class _Part:
    """Numbers that relations connect, with their relations as rows of a matrix."""

    def __init__(self, names: list[Name], relations: list[tuple[Terms, bool]], linked: Linked, *, steps: int) -> None:
        self.names = names
        self._steps = steps
        self._index = {name: index for index, name in enumerate(names)}
        self._values = np.array([linked.values[name] for name in names])
        self._above = np.array([np.inf if name in linked.signed else linked.values[name] - 1 for name in names])
        """How far each number can fall."""
        rest = [-sum(factor * linked.values.get(name, 0) for name, factor in terms.items()) for terms, _ in relations]
        self._equal = np.array([equality for _, equality in relations], dtype=bool)
        self._slack = np.array(rest, dtype=float)
        entries = [
            (row, self._index[name], factor)
            for row, (terms, _) in enumerate(relations)
            for name, factor in terms.items()
            if name in self._index
        ]
        row, column, factor = np.array(entries or np.empty((0, 3))).T
        shape = (len(relations), len(names))
        self._matrix = csc_array((factor.astype(float), (row.astype(int), column.astype(int))), shape=shape)

    def cheapest(self, name: Name, prices: Mapping[Name, float]) -> frozenset[Name] | None:
        every = np.array([prices.get(other, np.inf) for other in self.names])
        columns = np.flatnonzero(every < np.inf)
        start = int(np.searchsorted(columns, self._index[name]))
        best, found = np.inf, None
        for backwards in self._splits(self._above[self._index[name]]):
            direction = self._direction(start, columns, every[columns], backwards=backwards)
            if direction is not None and (price := float(every[columns] @ np.abs(direction))) < best - _WHOLE:
                best, found = price, direction
            if best == 0:
                break
        return None if found is None else frozenset(self.names[column] for column in columns[found != 0])

    def reach(self, name: Name, at_least: int, small: Name, among: Collection[Name]) -> int:
        columns = np.array([index for index, other in enumerate(self.names) if other in among])
        least, most = -self._above[columns], np.full(len(columns), float(self._values.max() + self._steps))
        own, other = (int(np.searchsorted(columns, self._index[one])) for one in (name, small))
        least[own] = at_least - self._values[self._index[name]]
        least[other], most[other] = 1 - self._values[self._index[small]], self._steps - self._values[self._index[small]]
        rows = np.where(self._equal, 0, -np.inf), np.where(self._equal, 0, self._slack)
        ends = []
        for sign in (1, -1):
            goal = np.zeros(len(columns))
            goal[own] = sign
            answer = self._solved(self._matrix[:, columns], goal, (least, most), rows)
            if answer is None:
                return 0
            ends.append(int(answer[own]))
        return ends[1] - ends[0] + 1

    def _splits(self, above: float) -> Iterable[int]:
        """Yield how many of the k - 1 steps are taken backwards: all ways for a small number, a few for others."""
        few = {0, self._steps // 2, self._steps}
        return sorted(few) if above >= self._steps else range(int(above) + 1)

    def _direction(self, start: int, columns: NDArray[Any], costs: _Vector, *, backwards: int) -> _Vector | None:
        """Return the cheapest direction in which a number rises by one and which can be taken backwards so many times."""
        forwards = self._steps - backwards
        least, most = -_times(self._above[columns], forwards), _times(self._above[columns], backwards)
        if most[start] < 1:
            return None
        least[start] = most[start] = 1
        low = np.where(self._equal, 0, -_times(self._slack, backwards))
        high = np.where(self._equal, 0, _times(self._slack, forwards))
        return self._change(columns, costs, (least, most), (low, high))

    def _change(
        self, columns: NDArray[Any], costs: _Vector, within: tuple[_Vector, _Vector], rows: tuple[_Vector, _Vector]
    ) -> _Vector | None:
        """Return the cheapest change in whole steps; None if there is none. What has a price is split into its rise and its fall."""
        free, priced = np.flatnonzero(costs == 0), np.flatnonzero(costs)
        matrix, (least, most) = self._matrix[:, columns], within
        goal = np.concatenate([np.zeros(len(free)), costs[priced], costs[priced]])
        low = np.concatenate([least[free], np.maximum(least[priced], 0), np.maximum(-most[priced], 0)])
        high = np.concatenate([most[free], np.maximum(most[priced], 0), np.maximum(-least[priced], 0)])
        answer = self._solved(hstack([matrix[:, free], matrix[:, priced], -matrix[:, priced]], format="csc"), goal, (low, high), rows)
        if answer is None:
            return None
        still, rising, falling = np.split(answer, [len(free), len(free) + len(priced)])
        change = np.zeros(len(columns))
        change[free], change[priced] = still, rising - falling
        return change

    def _solved(self, matrix: csc_array, goal: _Vector, within: tuple[_Vector, _Vector], rows: tuple[_Vector, _Vector]) -> _Vector | None:
        """Return the whole numbers at which a goal is lowest, None if there are none."""
        question: dict[str, Any] = {"c": goal, "bounds": Bounds(*within)}
        if matrix.shape[0]:
            question["constraints"] = LinearConstraint(matrix, *rows)
        answer = milp(**question)
        if answer.x is not None and np.abs(answer.x - np.round(answer.x)).max() > _WHOLE:
            answer = milp(**question, integrality=np.ones(len(goal), dtype=int), options={"node_limit": _NODES})
        return None if answer.x is None else np.round(answer.x)


def _parts(names: list[Name], relations: list[tuple[Terms, bool]]) -> Iterable[tuple[list[Name], list[tuple[Terms, bool]]]]:
    """Yield numbers that no relation connects with others, with their relations."""
    leader = {name: name for name in names}

    def find(name: Name) -> Name:
        while leader[name] != name:
            leader[name] = name = leader[leader[name]]
        return name

    for terms, _ in relations:
        first, *others = (find(name) for name in terms if name in leader)
        for other in others:
            leader[find(other)] = find(first)
    members: dict[Name, list[Name]] = defaultdict(list)
    own: dict[Name, list[tuple[Terms, bool]]] = defaultdict(list)
    for name in names:
        members[find(name)].append(name)
    for relation in relations:
        own[find(next(name for name in relation[0] if name in leader))].append(relation)
    return [(group, own[first]) for first, group in members.items()]


def _times(room: NDArray[Any], steps: int) -> _Vector:
    """Return how far a direction may go in one step if it is taken so many times."""
    return np.floor(room / steps) if steps else np.full(len(room), np.inf)
