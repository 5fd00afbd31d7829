"""Small-cell suppression (C14): which numbers of a linked set of tables must be left out so that no small one can be worked out again.

A number from 1 to k - 1 is left out (primary), and so are as few others as protect it (complementary). The proof for every small number
is a direction (`directions`) through numbers that are left out: so whoever knows all that is published, every relation, and that a zero
is never left out still finds k possible values for it. Where all that is linked with it is small, the null itself says 1 to k - 1.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from math import log
from typing import Final

from aggregation.domain.directions import Directions
from aggregation.domain.linked import Linked, Name, Terms


class Reason(StrEnum):
    """Why a number is left out. Not to be published: how many are small would tell more than the gaps themselves."""

    PRIMARY = "primary"
    COMPLEMENTARY = "complementary"
    DIFFERENCE = "difference"
    """It differs by less than k from what was shared of it before."""
    WITHHELD = "withheld"
    """Nothing that has changed protects a number, so others are left out too: some that were shared before, else all that is linked."""


_COMPANIONS: Final = 8
"""So many numbers are tried as the one that could have been small instead."""


def suppress(linked: Linked, *, k: int) -> dict[Name, Reason]:
    """Return the numbers to leave out, with reasons."""
    names = dict[Name, Name](enumerate(sorted(linked.values, key=str)))
    found = _Suppression(_renamed(linked, {name: number for number, name in names.items()}), k=k).result()
    return {names[number]: reason for number, reason in found.items()}


def _renamed(linked: Linked, number: Mapping[Name, Name]) -> Linked:
    """Return the same with numbers for names, which are compared and looked up millions of times."""

    def renamed(relations: Iterable[Terms]) -> list[Terms]:
        return [{number[name]: factor for name, factor in terms.items() if name in number} for terms in relations]

    def chosen(some: Iterable[Name]) -> frozenset[Name]:
        return frozenset(number[name] for name in some if name in number)

    return Linked(
        values={number[name]: value for name, value in linked.values.items()},
        equalities=renamed(linked.equalities),
        bounds=renamed(linked.bounds),
        shared=chosen(linked.shared),
        unchanged=chosen(linked.unchanged),
        close=chosen(linked.close),
        unseen=chosen(linked.unseen),
        signed=chosen(linked.signed),
    )


class _Suppression:
    """Leaves out what is small, then what protects it at the lowest price, and takes back what turns out not to be needed."""

    def __init__(self, linked: Linked, *, k: int) -> None:
        self._linked = linked
        self._k = k
        self._directions = Directions(linked, k=k)
        movable = self._directions.names
        self._sensitive = [
            name for name in movable if name not in linked.unchanged and (abs(linked.values[name]) < k or name in linked.close)
        ]
        self._unseen = set(linked.unseen)
        self._left_out = dict.fromkeys(self._sensitive, Reason.PRIMARY)
        self._left_out |= {name: Reason.DIFFERENCE for name in self._sensitive if linked.values[name] >= k}
        largest = max((abs(linked.values[name]) for name in movable), default=1)
        self._prices = {name: 1 + 2 * log(1 + abs(linked.values[name])) / log(1 + largest) for name in movable}
        """One for a number, and up to two more for how much it is worth: sums are looked at first."""
        self._proofs: list[frozenset[Name]] = []
        self._beside: dict[Name, set[Name]] = defaultdict(set)
        """The numbers that stand in a relation with one."""
        for terms in (*linked.equalities, *linked.bounds):
            for name in terms:
                self._beside[name] |= terms.keys()

    def result(self) -> dict[Name, Reason]:
        """Return what is left out of what could be shown; also a small number that was shared while k was lower, which nothing protects."""
        withheld = self._protect()
        self._take_back()
        self._keep_doubt()
        for name in withheld:
            self._left_out |= dict.fromkeys(self._directions.linked_with(name), Reason.WITHHELD)
        for name in self._linked.unchanged:
            if 0 < self._linked.values.get(name, 0) < self._k:
                self._left_out.setdefault(name, Reason.PRIMARY)
        return {name: reason for name, reason in self._left_out.items() if name not in self._unseen}

    def _protect(self) -> list[Name]:
        """Find a proof for every small number, the largest first; returns those that nothing protects."""
        proven: set[Name] = set()
        without = []
        for name in sorted(self._sensitive, key=lambda entry: (-abs(self._linked.values[entry]), str(entry))):
            if name in proven:
                continue
            proof = self._proof(name)
            if proof is None:
                without.append(name)
                continue
            self._proofs.append(proof)
            proven |= proof
            for other in proof - self._unseen:
                self._left_out.setdefault(other, Reason.WITHHELD if other in self._linked.unchanged else Reason.COMPLEMENTARY)
        return without

    def _proof(self, name: Name) -> frozenset[Name] | None:
        """Return the cheapest proof; one through numbers that have not changed since they were shared only if there is no other."""
        prices = {other: 0 if other in self._left_out or other in self._unseen else price for other, price in self._prices.items()}
        changed = {other: price for other, price in prices.items() if other not in self._linked.unchanged}
        return self._directions.cheapest(name, changed) or self._directions.cheapest(name, prices)

    def _take_back(self) -> None:
        """Show again what can be shown: every proof through it is replaced by one through numbers that stay left out."""
        taken = [name for name, reason in self._left_out.items() if reason is Reason.COMPLEMENTARY]
        for name in sorted(taken, key=lambda entry: (-self._prices[entry], str(entry))):
            others = (self._left_out.keys() | (self._unseen & self._prices.keys())) - {name}
            kept = [proof for proof in self._proofs if name not in proof]
            lost = frozenset().union(*(proof for proof in self._proofs if name in proof)).intersection(self._sensitive)
            proofs = self._prove(lost.difference(*kept), among=others)
            if proofs is not None:
                del self._left_out[name]
                self._proofs = kept + proofs

    def _prove(self, names: Iterable[Name], *, among: Collection[Name]) -> list[frozenset[Name]] | None:
        """Return a proof for each number among those left out, None if one has none."""
        prices = dict.fromkeys(among, 0.0)
        proofs: list[frozenset[Name]] = []
        for name in sorted(names, key=str):
            if any(name in proof for proof in proofs):
                continue
            proof = self._directions.cheapest(name, prices)
            if proof is None:
                return None
            proofs.append(proof)
        return proofs

    def _keep_doubt(self) -> None:
        """See that nobody can tell which of the numbers left out was the small one: another that it could be is left out too if need be."""
        for name in sorted(self._sensitive, key=str):
            if name in self._unseen or self._linked.values[name] >= self._k:
                continue
            group = self._group(name)
            if self._could_be_large(name, group):
                continue
            shown = set[Name]().union(*(self._beside[other] for other in group)) & self._prices.keys()
            shown -= self._left_out.keys() | self._unseen | set(self._linked.unchanged)
            for other in sorted(shown, key=lambda entry: (self._prices[entry], str(entry)))[:_COMPANIONS]:
                if self._could_be_large(name, group | {other}):
                    self._left_out[other] = Reason.COMPLEMENTARY
                    break

    def _could_be_large(self, name: Name, group: set[Name]) -> bool:
        """Tell whether a small number has k values if everybody knows that some number of its group is small."""
        value = self._linked.values[name]
        proof = next((proof for proof in self._proofs if name in proof), frozenset())
        others = sorted(group - {name}, key=lambda entry: (self._linked.values[entry], str(entry)))
        if any(self._linked.values[other] < self._k and other not in proof for other in others):
            return True
        among = (self._left_out.keys() | (self._unseen & self._prices.keys()) | group) & self._prices.keys()
        return any(self._directions.reach(name, at_least=self._k, small=other, among=among) >= value for other in others[:_COMPANIONS])

    def _group(self, start: Name) -> set[Name]:
        """Return the numbers left out that relations connect with one, through numbers left out."""
        left_out = self._left_out.keys() - self._unseen
        found, waiting = {start}, [start]
        while waiting:
            new = (self._beside[waiting.pop()] & left_out) - found
            found |= new
            waiting += new
        return found
