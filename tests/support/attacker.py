"""Somebody who has kept everything that was ever shared and works out, by linear programming, what was left out (C14).

They know every number shown, which are left out, k, every relation between the numbers of a moment, that a zero is never left out,
that every group of numbers left out holds a small one, and of every number whether it is the same as of two moments.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linprog
from scipy.sparse import csr_array

from aggregation.domain.linked import Linked, Name
from aggregation.domain.linking import BEFORE
from aggregation.domain.periods import Window
from aggregation.domain.relations import relations_of, relations_of_summary

PLENTY = 100_000
"""Nothing counted here comes near it; with a ceiling the solver need not tell unbounded from infeasible, which it gets wrong."""


@dataclass(frozen=True)
class Sheet:
    """What was shared at one moment: all its numbers, and which of them were left out."""

    window: Window
    late_inside: bool
    values: Mapping[Any, int]
    left_out: frozenset[Any]
    apart: frozenset[Any] = frozenset()
    """Of these nobody is told whether they have changed."""
    k: int = 0
    """What it was left out under; 0: the attacker's own."""


@dataclass
class Attacker:
    """Collects sheets; `truth` is what is behind every number left out, kept to see that the relations do hold.

    `aims` holds the largest k under which a number was left out, if that is another than `k`; `revealed` the small numbers that a
    later sheet shows as they were when an earlier one left them out, without having been shown before.
    """

    k: int
    truth: dict[Name, int] = field(default_factory=dict)
    known: dict[Name, int] = field(default_factory=dict)
    equalities: list[dict[Name, int]] = field(default_factory=list)
    bounds: list[dict[Name, int]] = field(default_factory=list)
    nulls: list[set[Name]] = field(default_factory=list)
    aims: dict[Name, int] = field(default_factory=dict)
    revealed: set[Name] = field(default_factory=set)
    solved: list["_Part"] | None = None

    @classmethod
    def of(cls, linked: Linked, left_out: Iterable[Name], *, k: int) -> "Attacker":
        """Return one who attacks a single set of numbers."""
        attacker, hidden = cls(k), {name for name in left_out if linked.values.get(name)}
        attacker.truth = {name: linked.values[name] for name in hidden}
        attacker.known = {name: value for name, value in linked.values.items() if name not in hidden}
        attacker.equalities, attacker.bounds = [dict(terms) for terms in linked.equalities], [dict(terms) for terms in linked.bounds]
        attacker.nulls = [hidden]
        return attacker

    def read(self, sheet: Sheet) -> None:
        """Take a sheet in."""
        number, nulls = len(self.nulls), set()

        def place(name: Any) -> Any:
            return (sheet.window.previous(), name[1:]) if name[0] == BEFORE else (sheet.window, name)

        at: dict[Any, Name] = {}
        for name, value in sheet.values.items():
            at[place(name)] = (place(name), value, number) if name in sheet.apart else (place(name), value)
            if name in sheet.left_out:
                nulls.add(at[place(name)])
                self.truth[at[place(name)]] = value
                self.aims[at[place(name)]] = max(sheet.k or self.k, self.aims.get(at[place(name)], 0))
            else:
                if at[place(name)] not in self.known and value < self.aims.get(at[place(name)], 0):
                    self.revealed.add(at[place(name)])
                self.known[at[place(name)]] = value
        own = {name: value for name, value in sheet.values.items() if name[0] != BEFORE}
        groups = [(sheet.window, relations_of(own, late_inside=sheet.late_inside))]
        if len(own) < len(sheet.values):
            groups.append((sheet.window.previous(), relations_of_summary(late_inside=sheet.late_inside)))
        for window, relations in groups:
            for mine, found in zip((self.equalities, self.bounds), relations, strict=True):
                mine += [{at.get((window, name), (window, name)): factor for name, factor in terms.items()} for terms in found]
        self.nulls.append(nulls)
        self.solved = None

    def pinned(self) -> dict[Name, float]:
        """Return the numbers left out that have fewer than k values, and how many; without those that had been shown before."""
        widths = {name: part.high[name] - part.low[name] + 1 for part in self._solved() for name in part.names}
        shown = {(name[0], name[1]) for name in self.known if isinstance(name, tuple)}
        few = {name: width for name, width in widths.items() if width < self.aims.get(name, self.k) - 1e-6}
        few = {name: width for name, width in few.items() if not (self._apart(name) and name[:2] in shown)}
        return few | dict.fromkeys(self.revealed, 1)

    def recognised(self) -> set[Name]:
        """Return the numbers of the newest sheet that are known to be the small one of their group, and so have fewer than k values.

        Left aside are those of a group in which every number is small: it could be no other.
        """
        newest = self.nulls[-1] - self.known.keys()
        return {
            name
            for part in self._solved()
            for name in newest.intersection(part.names)
            if not part.doubtful(name, newest) and any(self.truth[other] >= self.k for other in part.group(name, newest))
        }

    def _apart(self, name: Name) -> bool:
        return isinstance(name, tuple) and len(name) == 3

    def _solved(self) -> list["_Part"]:
        if self.solved is not None:
            return self.solved
        hidden = self.truth.keys() - self.known.keys()
        relations = []
        for equality, group in ((True, self.equalities), (False, self.bounds)):
            for terms in group:
                unknown = {name: factor for name, factor in terms.items() if name in hidden}
                rest = sum(factor * self.known.get(name, 0) for name, factor in terms.items())
                total = rest + sum(factor * self.truth[name] for name, factor in unknown.items())
                assert total == 0 if equality else total <= 0, terms
                if unknown:
                    relations.append((equality, unknown, -rest))
        parts = []
        for names in _parts_of(hidden, relations):
            part = _Part(sorted(names, key=str), [relation for relation in relations if relation[1].keys() & names], self.truth, self.k)
            part.solve()
            parts.append(part)
        self.solved = parts
        return parts


class _Part:
    """Numbers left out that relations connect, attacked together."""

    def __init__(self, names: list[Name], relations: list[Any], truth: Mapping[Name, int], k: int) -> None:
        self.names, self.k = names, k
        self.relations, self.truth = relations, truth
        self.index = {name: number for number, name in enumerate(names)}
        rows: dict[bool, Any] = {}
        sides: dict[bool, list[int]] = {}
        for equality in (True, False):
            mine = [(unknown, side) for kind, unknown, side in relations if kind is equality]
            entries = [(row, self.index[name], factor) for row, (unknown, _) in enumerate(mine) for name, factor in unknown.items()]
            row, column, factor = np.array(entries or np.empty((0, 3)), dtype=int).T
            rows[equality] = csr_array((factor, (row, column)), shape=(len(mine), len(names))) if mine else None
            sides[equality] = [side for _, side in mine]
        self.system = {
            "A_eq": rows[True],
            "b_eq": sides[True] or None,
            "A_ub": rows[False],
            "b_ub": sides[False] or None,
            "method": "highs",
        }
        self.points = [np.array([truth[name] for name in names], dtype=float)]
        self.low: dict[Name, float] = {}
        self.high: dict[Name, float] = {}

    def solve(self) -> None:
        """Find how low and how high each number can be; every answer is a possibility for all of them."""
        for name in self.names:
            if self._width(name) < self.k - 1 - 1e-6:
                for sign in (-1, 1):
                    assert self._extreme({name: sign}, {}), "the truth itself is possible"
        seen = np.array(self.points)
        for name, column in self.index.items():
            self.low[name], self.high[name] = seen[:, column].min(), seen[:, column].max()

    def doubtful(self, name: Name, nulls: set[Name]) -> bool:
        """Tell whether a number has k values if some number of its group must be small."""
        group = self.group(name, nulls)
        value, least = self.truth[name], self.k - 1
        if value >= self.k or any(self._witness(name, other) for other in group):
            return True
        below = least - np.ceil(self.low[name] - 1e-6) + 1
        for other in sorted(group, key=lambda entry: (self.truth[entry], str(entry))):
            limits = {other: (1, least), name: (self.k, PLENTY)}
            low, high = self._extreme({name: 1}, limits), self._extreme({name: -1}, limits)
            if low is not None and high is not None and below + np.floor(high + 1e-6) - np.ceil(low - 1e-6) + 1 >= self.k:
                return True
        return False

    def _witness(self, name: Name, other: Name) -> bool:
        """From the truth, where `other` is small, a straight way leads to k - 1 more, and `other` stays small on it."""
        if self.truth[other] >= self.k:
            return False
        reached = self.truth[name] + self.k - 1
        return any(point[self.index[name]] >= reached and point[self.index[other]] <= self.k - 1 for point in self.points)

    def group(self, start: Name, nulls: set[Name]) -> set[Name]:
        """Return the other numbers left out that relations connect with one, through numbers left out."""
        found, waiting = {start}, [start]
        while waiting:
            name = waiting.pop()
            for _, unknown, _ in self.relations:
                if name in unknown:
                    new = (unknown.keys() & nulls) - found
                    found |= new
                    waiting += new
        return found - {start}

    def _width(self, name: Name) -> float:
        column = np.array([point[self.index[name]] for point in self.points])
        return float(column.max() - column.min())

    def _extreme(self, goal: dict[Name, int], limits: dict[Name, tuple[int, int]]) -> float | None:
        vector = np.zeros(len(self.names))
        for name, factor in goal.items():
            vector[self.index[name]] = factor
        bounds = [limits.get(name, (1, PLENTY)) for name in self.names]
        answer = linprog(vector, bounds=bounds, **self.system)
        if answer.status != 0:
            return None
        self.points.append(answer.x)
        return float(abs(answer.fun))


def _parts_of(names: set[Name], relations: list[Any]) -> list[set[Name]]:
    """Numbers that no relation connects are attacked on their own."""
    parts = [{name} for name in names]
    for _, unknown, _ in relations:
        touched = [part for part in parts if part & unknown.keys()]
        if len(touched) > 1:
            parts = [part for part in parts if not part & unknown.keys()] + [set().union(*touched)]
    return parts
