"""What each coded fact does: it is taken in, to get the next position of its situation and be posted there with its batch."""

from datetime import timedelta
from typing import Final

from aggregation.bookkeeping import Journal
from aggregation.messages import fact_of, json_text, subject_of
from aggregation.store import books, ledger
from aggregation.store.ledger import NewFact
from chassis.errors import Rejected, Unavailable
from chassis.register import Register
from chassis.storage import Handler, Tx
from contracts.events import (
    ChildrenLinked,
    ChildrenUnlinked,
    Event,
    IncidentCoded,
    ViolationDecided,
    ViolationLinked,
    ViolationUnlinked,
)
from contracts.situation import Situation

REGISTER_GRACE: Final = timedelta(seconds=60)
"""The register travels on a topic of its own: a fact may come first. So long it waits for its situation and place, then it is parked."""
CodedFact = IncidentCoded | ViolationDecided | ViolationLinked | ViolationUnlinked | ChildrenLinked | ChildrenUnlinked


class Handlers:
    """The handlers of this service; they know the register, for regions and for what is not registered yet."""

    def __init__(self, register: Register) -> None:
        self._register = register
        self._regions: dict[str, tuple[int, dict[str, str | None]]] = {}

    def by_event(self) -> dict[type[Event], Handler]:
        """Return the handler of every event this service reads."""
        return {
            IncidentCoded: self.incident_coded,
            ViolationDecided: self.violation_decided,
            ViolationLinked: self.violation_linked,
            ViolationUnlinked: self.violation_unlinked,
            ChildrenLinked: self.children_linked,
            ChildrenUnlinked: self.children_unlinked,
        }

    async def incident_coded(self, event: IncidentCoded, tx: Tx) -> None:
        """Count an incident as first recorded or as revised."""
        self._apply(tx, event, region=await self._region(tx, event))

    async def violation_decided(self, event: ViolationDecided, tx: Tx) -> None:
        """Put the task force's newest decision in force (C1)."""
        self._apply(tx, event)

    async def violation_linked(self, event: ViolationLinked, tx: Tx) -> None:
        """Let a duplicate count nowhere while the link stands and its original exists."""
        self._apply(tx, event)

    async def violation_unlinked(self, event: ViolationUnlinked, tx: Tx) -> None:
        """Let a violation count again that is no duplicate after all."""
        self._apply(tx, event)

    async def children_linked(self, event: ChildrenLinked, tx: Tx) -> None:
        """Count two records as one child (C9)."""
        self._apply(tx, event)

    async def children_unlinked(self, event: ChildrenUnlinked, tx: Tx) -> None:
        """Count two records as two children again."""
        self._apply(tx, event)

    async def situation_removed(self, situation: str, tx: Tx) -> None:
        """Forget a scratch situation."""
        await ledger.delete_situation(tx, situation)
        for side in ("counts_a", "counts_b"):
            await books.delete_situation(tx, side, situation)
        self._regions.pop(situation, None)

    def _apply(self, tx: Tx, event: CodedFact, *, region: str | None = None) -> None:
        fact = fact_of(event)
        tx.unit(Journal).add(
            event.situation,
            NewFact(
                event_id=tx.cause,
                kind=event.type,
                subject=subject_of(event),
                fact=fact,
                json=json_text(fact),
                region=region,
                recorded_at=event.recorded_at,
            ),
        )

    async def _region(self, tx: Tx, event: IncidentCoded) -> str | None:
        """Return the region of an incident's place; the register is asked again, as of this transaction, for what it does not know."""
        known = await self._register.find(event.situation)
        if known is None or (event.place is not None and event.place not in self._regions_of(known)):
            known = await self._register.find_in(tx, event.situation)
        if known is None:
            raise _not_yet(tx, event, "situation.unknown")
        if event.place is None:
            return None
        regions = self._regions_of(known)
        if event.place not in regions:
            raise _not_yet(tx, event, "place.unknown")
        return regions[event.place]

    def _regions_of(self, situation: Situation) -> dict[str, str | None]:
        known = self._regions.get(situation.code)
        if known is None or known[0] != situation.version:
            known = situation.version, _regions(situation)
            self._regions[situation.code] = known
        return known[1]


def _regions(situation: Situation) -> dict[str, str | None]:
    """Return the place of level 1 at or above every place; parents stand before their children."""
    regions: dict[str, str | None] = {}
    for place in situation.places:
        above = regions.get(place.parent) if place.parent is not None else None
        regions[place.code] = place.code if place.level == 1 else above
    return regions


def _not_yet(tx: Tx, event: IncidentCoded, code: str) -> Exception:
    """Return what keeps the fact waiting for the register (transient), or parks it once that has taken too long."""
    if tx.now - event.recorded_at < REGISTER_GRACE:
        return Unavailable()
    return Rejected(code)
