"""What is known of the numbers that are about to be shared: the relations between them, and what was shared before (C14).

A number that is the same as of two moments is treated as one, as if everybody were told which numbers have not changed: what is shown
now would tell what was left out then, and the other way round. So what an earlier release left out stays protected too.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from aggregation.domain.disclosure import Reason, suppress
from aggregation.domain.linked import Linked, Name, Terms
from aggregation.domain.linking import BEFORE, Number
from aggregation.domain.periods import Window
from aggregation.domain.relations import relations_of, relations_of_summary

_Place = tuple[Window, Number]
_WAS: Final = "was"
_GROWTH: Final = "growth"


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The numbers of the tables shared together of one window as of one moment, with those of the window before."""

    window: Window
    late_inside: bool
    values: Mapping[Number, int]
    left_out: frozenset[Number] = frozenset()
    """Those that an earlier release did not show."""
    complete: bool = True
    """False if not even we know any more what it did not show."""
    k: int = 0
    """The threshold under which an earlier release left."""

    def windows(self) -> list[Window]:
        """Return the windows that these are numbers of."""
        return [self.window, self.window.previous()] if any(name[0] == BEFORE for name in self.values) else [self.window]


def threshold_for(now: Numbers, earlier: Iterable[Numbers], *, k: int) -> int:
    """Return the threshold to share under: that of the situation, or the largest under which anything of the same windows has left.

    A lower one would show what was left out then.
    """
    windows = set(now.windows())
    return max([k, *(numbers.k for numbers in earlier if not windows.isdisjoint(numbers.windows()))])


def suppress_linked(now: Numbers, earlier: Sequence[Numbers], *, k: int) -> dict[Number, Reason]:
    """Return which numbers to leave out now, with reasons, for people who know `earlier`."""
    originals: dict[Name, Number] = {_place(now.window, name): name for name in now.values}
    return {originals[name]: reason for name, reason in suppress(linked_set(now, earlier, k=k), k=k).items()}


def linked_set(now: Numbers, earlier: Sequence[Numbers], *, k: int) -> Linked:
    """Return the numbers by window and name, and with them what was shared of the same windows before.

    Numbers of different windows are not linked: windows that are shared do not overlap, so no violation that has a day is in two of
    them, and nothing shared covers both. Children and ongoing reports may be in both, but no relation follows from that.
    """
    return _Knowledge(now, earlier, k=k).linked()


def _place(window: Window, name: Number) -> _Place:
    return (window.previous(), name[1:]) if name[0] == BEFORE else (window, name)


def _relations(numbers: Numbers) -> Iterator[tuple[bool, dict[_Place, int]]]:
    """Yield every relation between numbers as of one moment, and whether it is an equality."""
    own = {name: value for name, value in numbers.values.items() if name[0] != BEFORE}
    both = [(numbers.window, relations_of(own, late_inside=numbers.late_inside))]
    if len(own) < len(numbers.values):
        both.append((numbers.window.previous(), relations_of_summary(late_inside=numbers.late_inside)))
    for window, groups in both:
        for group, equality in zip(groups, (True, False), strict=True):
            for terms in group:
                yield equality, {(window, name): factor for name, factor in terms.items()}


class _Knowledge:
    """Collects what is known. A number that was another as of an earlier moment is a number of its own."""

    def __init__(self, now: Numbers, earlier: Sequence[Numbers], *, k: int) -> None:
        windows = set(now.windows())
        self._now = {_place(now.window, name): value for name, value in now.values.items()}
        self._k = k
        self._values = dict[Name, int](self._now.items())
        self._shown_before: dict[_Place, set[int]] = defaultdict(set)
        self._hidden_before: dict[_Place, set[int]] = defaultdict(set)
        for numbers in earlier:
            for name, value in numbers.values.items():
                place = _place(numbers.window, name)
                if value and place[0] in windows:
                    (self._hidden_before if name in numbers.left_out else self._shown_before)[place].add(value)
        self._equalities: list[Terms] = []
        self._bounds: list[Terms] = []
        for equality, terms in _relations(now):
            (self._equalities if equality else self._bounds).append(dict[Name, int](terms.items()))
        for numbers in earlier:
            self._relate(numbers, windows)

    def linked(self) -> Linked:
        """Return all of it."""
        signed = self._growths()
        return Linked(
            values=self._values,
            equalities=self._equalities,
            bounds=self._bounds,
            shared={(*place, _WAS, value) for place, values in self._shown_before.items() for value in values},
            unchanged={place for place, value in self._now.items() if value in self._shown_before[place]},
            close={place for place, value in self._now.items() if value and self._near(value, self._shown_before[place])},
            unseen=self._values.keys() - self._now.keys(),
            signed=signed,
        )

    def _growths(self) -> set[Name]:
        """Add how far a number that was left out before has changed, if by less than k: that is a small number itself."""
        found: set[Name] = set()
        for place, values in self._hidden_before.items():
            value = self._now.get(place, 0)
            for before in self._near(value, values - self._shown_before[place]) if value else ():
                growth = (*place, _GROWTH, before)
                self._values[growth] = value - before
                self._equalities.append({place: 1, self._version(place, before): -1, growth: -1})
                found.add(growth)
        return found

    def _near(self, value: int, others: Iterable[int]) -> list[int]:
        return [other for other in others if 0 < abs(value - other) < self._k]

    def _relate(self, numbers: Numbers, windows: Set[Window]) -> None:
        """Add what held between the numbers of an earlier release, as they were then."""
        values = {_place(numbers.window, name): value for name, value in numbers.values.items()}
        for equality, terms in _relations(numbers) if numbers.complete else ():
            if next(iter(terms))[0] in windows:
                versions = {self._version(place, values.get(place, 0)): factor for place, factor in terms.items()}
                (self._equalities if equality else self._bounds).append(versions)

    def _version(self, place: _Place, value: int) -> Name:
        """Return the name of a number of an earlier release: today's if it was left out and has not changed."""
        if value == self._now.get(place, 0) and value not in self._shown_before[place]:
            return place
        name = (*place, _WAS, value)
        self._values[name] = value
        return name
