"""Small-cell suppression (C14): which numbers of a linked set of tables must be left out so that no small one can be worked out again.

A number from 1 to k - 1 is left out (primary), and so are as few others as protect it (complementary). The proof for every number left
out is a direction: a change of +1 and -1 in numbers left out that keeps every sum, and that can be taken k - 1 times without any number
falling below 1 or breaking a bound. So whoever knows all that is published, every relation, and that a zero is never left out still finds
k possible values for it.
"""

import heapq
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Final

Name = Hashable
Terms = Mapping[Name, int]
SEARCHED: Final = 4_000
"""So many partial directions are looked at before a whole linked part is left out."""


class Reason(StrEnum):
    """Why a number is left out."""

    PRIMARY = "primary"
    COMPLEMENTARY = "complementary"
    DIFFERENCE = "difference"
    """It differs by less than k from what was shared of the same window before."""
    WITHHELD = "withheld"
    """Nothing smaller protects it: the whole linked part is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """Numbers and what everybody knows to hold between them: equalities (terms add up to 0) and bounds (terms add up to 0 or less)."""

    values: Mapping[Name, int]
    equalities: list[Terms] = field(default_factory=list)
    bounds: list[Terms] = field(default_factory=list)


def suppress(linked: Linked, *, k: int, known: Mapping[Name, Collection[int]] | None = None) -> dict[Name, Reason]:
    """Return the numbers to leave out, with reasons. `known` holds what was shared before; unchanged, it protects nothing."""
    known = known or {}
    small = {name: Reason.PRIMARY for name, value in linked.values.items() if 0 < value < k}
    for name, shared in known.items():
        if linked.values.get(name) and any(0 < abs(linked.values[name] - before) < k for before in shared):
            small.setdefault(name, Reason.DIFFERENCE)
    search = _Search(linked, k=k, fixed={name for name, shared in known.items() if linked.values.get(name) in shared} - small.keys())
    left_out: dict[Name, Reason] = dict(small)
    proven: set[Name] = set()
    for name in sorted(small, key=lambda entry: (-linked.values.get(entry, 0), str(entry))):
        if name in proven or not linked.values.get(name):
            continue
        direction = search.direction(name, left_out)
        if direction is None:
            for other in search.part(name):
                left_out.setdefault(other, Reason.WITHHELD)
                proven.add(other)
            continue
        for other in direction:
            left_out.setdefault(other, Reason.COMPLEMENTARY)
        proven |= direction
    return left_out


class _Search:
    """Finds the cheapest direction through a number; cost is how many numbers it would leave out in addition, small ones first."""

    def __init__(self, linked: Linked, *, k: int, fixed: Collection[Name]) -> None:
        self._values = {name: value for name, value in linked.values.items() if value}
        self._equalities = [self._present(terms) for terms in linked.equalities]
        self._bounds = [self._present(terms) for terms in linked.bounds]
        self._largest = max(self._values.values(), default=1)
        self._k = k
        self._fixed = fixed
        self._sums: Mapping[Name, list[int]] = defaultdict(list)
        for index, terms in enumerate(self._equalities):
            for name in terms:
                self._sums[name].append(index)

    def direction(self, start: Name, left_out: Collection[Name]) -> set[Name] | None:
        """Return the numbers of the cheapest direction in which `start` rises, None if none is found."""
        order = count()
        heap: list[tuple[float, int, dict[Name, int], dict[int, int]]] = [(0, next(order), {start: 1}, self._imbalance({}, start, 1))]
        for _ in range(SEARCHED):
            if not heap:
                return None
            cost, _, steps, imbalance = heapq.heappop(heap)
            if not imbalance:
                if self._room(steps, 1) + self._room(steps, -1) >= self._k - 1:
                    return set(steps)
                continue
            for name, step in self._repairs(steps, imbalance):
                longer = {**steps, name: step}
                if self._space(longer, 1) + self._space(longer, -1) < self._k - 1:
                    continue  # whatever follows, it stays too narrow
                price = 0.0 if name in left_out else 1 + 2 * self._values[name] / self._largest
                entry = (cost + price, next(order), longer, self._imbalance(imbalance, name, step))
                heapq.heappush(heap, entry)
        return None

    def part(self, start: Name) -> set[Name]:
        """Return every number that relations connect with one."""
        found, waiting = {start}, [start]
        groups = [*self._equalities, *self._bounds]
        while waiting:
            name = waiting.pop()
            for terms in groups:
                if name in terms:
                    waiting += [other for other in terms if other not in found]
                    found |= terms.keys()
        return found

    def _present(self, terms: Terms) -> dict[Name, int]:
        return {name: factor for name, factor in terms.items() if name in self._values}

    def _imbalance(self, before: Mapping[int, int], name: Name, step: int) -> dict[int, int]:
        after = dict(before)
        for index in self._sums[name]:
            after[index] = after.get(index, 0) + self._equalities[index][name] * step
        return {index: gap for index, gap in after.items() if gap}

    def _repairs(self, steps: Mapping[Name, int], imbalance: Mapping[int, int]) -> Iterable[tuple[Name, int]]:
        """Yield what narrows the first broken sum."""
        index = min(imbalance)
        for name, factor in self._equalities[index].items():
            step = -1 if factor * imbalance[index] > 0 else 1
            if name not in steps and name not in self._fixed:
                yield name, step

    def _space(self, steps: Mapping[Name, int], sign: int) -> int:
        """Return how many times a direction can be taken, forwards or backwards, before a number falls below 1; k - 1 is enough."""
        return min([self._k - 1, *(self._values[name] - 1 for name, step in steps.items() if sign * step < 0)])

    def _room(self, steps: Mapping[Name, int], sign: int) -> int:
        """Return the same with regard to bounds too."""
        room = self._space(steps, sign)
        for terms in self._bounds:
            rise = sign * sum(factor * steps.get(name, 0) for name, factor in terms.items())
            if rise > 0:
                room = min(room, -sum(factor * self._values[name] for name, factor in terms.items()) // rise)
        return room


def count_reasons(left_out: Mapping[Name, Reason]) -> dict[str, int]:
    """Return how many numbers are left out for each reason, zeros too."""
    counts = {reason.value: 0 for reason in Reason}
    for reason in left_out.values():
        counts[reason.value] += 1
    return counts
