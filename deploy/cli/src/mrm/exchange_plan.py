"""What to send, as whom and in which order, so that a situation comes to hold the records of an exchange file. Pure."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final
from uuid import NAMESPACE_URL, UUID, uuid5

from contracts.exchange import DuplicateLink, ExchangeDecision, ExchangeIncident, ExchangeLink, ExchangeStep
from contracts.vocabulary import Stage, Status
from mrm.journey import VERIFIED_BY_DOCUMENTS, VERIFIED_BY_SOURCE

SLOTS: Final = ("focal_point", "technical", "decisions", "import")
"""Who decides: the two earlier stages, the co-chairs by a docket of decisions, or by a docket of imported records."""
_SUFFICIENT_SOURCE: Final = {"category": "primary_victim", "type": "oral_testimony"}
OWN_REASON: Final = "As recorded in the exchange file."
_FILLED_FOR: Final = {
    "technical": "Filled in: the file has a decision of the technical level and none of the focal point before it.",
    "decisions": "Filled in: the file has a decision of the task force and none of this stage before it.",
}
"""Why an earlier stage is filled in, by the slot of the decision that needs it."""
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Planned:
    """A line with the slot it goes into and the place in the file that it comes from."""

    slot: str
    line: Line
    place: str
    dated: bool = True
    """Whether its day is the file's; otherwise it is the day of sending."""


@dataclass(frozen=True, slots=True)
class Round:
    """Decisions of one slot that may be sent together, in order, and where in the file they come from."""

    slot: str
    lines: Sequence[Line]
    places: Sequence[str]


@dataclass(slots=True, kw_only=True)
class Plan:
    """Turns the steps of one file into requests for one situation, remembering what earlier steps have sent.

    With `vetted`, the earlier stages that a file leaves out are filled in and incidents without a source get one, as `mrm check` does;
    without it, decisions of the task force enter as imported records, as they stand, and only a decision of the technical level
    without one of the focal point before it has that filled in.
    """

    situation: str
    today: date
    vetted: bool
    keep_ids: bool = False
    """Whether a key that is a UUID is kept as the incident's id."""
    decided: dict[str, int] = field(default_factory=dict)
    """By the file's name of a violation, how many of its first decisions are recorded already and not sent again."""
    linked: int = 0
    """How many of the first links are recorded already and not sent again."""
    incidents: int = 0
    revisions: int = 0
    _newest: dict[str, ExchangeIncident] = field(default_factory=dict)
    _revision: dict[str, int] = field(default_factory=dict)
    _spoken: dict[str, set[str]] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)

    def incident_id(self, key: str) -> str:
        """Return the id that stands for a key of the file."""
        made = key if self.keep_ids and _is_uuid(key) else str(uuid5(NAMESPACE_URL, f"mrm-exchange/{self.situation}/{key}"))
        self._keys[made] = key
        return made

    def reference(self, reference: str) -> str:
        """Return the service's name of `incident/key`."""
        incident, _, key = reference.partition("/")
        return f"{self.incident_id(incident)}/{key}"

    def file_reference(self, reference: str) -> str:
        """Return the file's name of what a service names `incident/key`."""
        incident, _, key = reference.partition("/")
        return f"{self._keys.get(incident, incident)}/{key}"

    def reports(self, step: ExchangeStep) -> list[dict[str, Any]]:
        """Return the reports of a step; a key of an earlier step is the next revision of its incident."""
        reports = []
        for incident in step.incidents:
            number = self._revision.get(incident.key, 0) + 1
            self._revision[incident.key] = number
            self._newest[incident.key] = incident
            self.incidents += number == 1
            self.revisions += number > 1
            reports.append(self._report(incident, number))
        return reports

    def _report(self, incident: ExchangeIncident, number: int) -> dict[str, Any]:
        body = incident.model_dump(mode="json", exclude_none=True, exclude={"key", "note"})
        body |= {"situation": self.situation, "key": self.incident_id(incident.key)}
        if number > 1:
            body["revision"] = number
        if self.vetted and not incident.sources and incident.violations:
            body["sources"] = [{**_SUFFICIENT_SOURCE, "violations": [violation.key for violation in incident.violations]}]
        return body

    def rounds(self, step: ExchangeStep, number: int = 0) -> Iterator[Round]:
        """Yield the decisions of a step in as few rounds as keep, violation by violation, the order in which they are written."""
        waiting: dict[str, deque[Planned]] = {}
        for planned in self.lines(step, number):
            violation = self.file_reference(planned.line["violation"])
            if self.decided.get(violation, 0):
                self.decided[violation] -= 1
            else:
                waiting.setdefault(violation, deque()).append(planned)
        while waiting:
            for slot in SLOTS:
                taken = [planned for queue in waiting.values() for planned in _take(queue, slot)]
                if taken:
                    yield Round(slot, [planned.line for planned in taken], [planned.place for planned in taken])
            waiting = {violation: queue for violation, queue in waiting.items() if queue}

    def lines(self, step: ExchangeStep, number: int = 0) -> Iterator[Planned]:
        """Yield the decisions of a step, the `number`th from 0, in its order, with the earlier ones that they need filled in."""
        for index, decision in enumerate(step.decisions):
            yield from self._with_earlier_stages(decision, f"steps[{number}].decisions[{index}]")

    def _with_earlier_stages(self, decision: ExchangeDecision, place: str) -> Iterator[Planned]:
        slot = self._slot(decision)
        spoken = self._spoken.setdefault(decision.violation, set())
        earlier = {"focal_point": (), "technical": ("focal_point",), "decisions": ("focal_point", "technical"), "import": ()}[slot]
        if slot == "decisions" and "technical" in spoken:
            earlier = ()
        for stage in earlier:
            if stage not in spoken:
                spoken.add(stage)
                yield self._planned(decision, place, slot=stage, needed_by=slot)
        spoken.add(slot)
        yield self._planned(decision, place, slot=slot)

    def _slot(self, decision: ExchangeDecision) -> str:
        match decision.stage:
            case Stage.FOCAL_POINT | Stage.TECHNICAL:
                return decision.stage.value
            case Stage.CTFMR:
                return "decisions" if self.vetted and decision.decided_on is not None else "import"

    def _planned(self, decision: ExchangeDecision, place: str, *, slot: str, needed_by: str | None = None) -> Planned:
        """Plan a decision, or the earlier stage's that a decision of the slot `needed_by` cannot do without."""
        line: Line = {
            "violation": self.reference(decision.violation),
            "outcome": decision.outcome.value,
            "reason": OWN_REASON if needed_by is None else _FILLED_FOR[needed_by],
        }
        day = decision.decided_on or (None if slot == "import" else self.today)
        if day is not None:
            line["decided_on"] = day.isoformat()
        if decision.outcome is Status.VERIFIED and slot != "import":
            line["criteria"] = VERIFIED_BY_SOURCE if self._has_primary_source(decision.violation) else VERIFIED_BY_DOCUMENTS
        if needed_by is None and decision.attribution is not None:
            line["attribution"] = [entry.model_dump(mode="json", exclude_none=True) for entry in decision.attribution]
        return Planned(slot, line, place, dated=slot == "import" or decision.decided_on is not None)

    def _has_primary_source(self, violation: str) -> bool:
        incident, _, key = violation.partition("/")
        sources = self._newest[incident].sources
        if not sources:
            return self.vetted
        return any(source.category.startswith("primary") and key in source.violations for source in sources)

    def links(self, step: ExchangeStep, number: int = 0) -> tuple[list[Line], list[str]]:
        """Return the links of a step, the `number`th from 0, in their order, and where in the file they come from."""
        skipped = min(self.linked, len(step.links))
        self.linked -= skipped
        kept = range(skipped, len(step.links))
        return [self._link(step.links[index]) for index in kept], [f"steps[{number}].links[{index}]" for index in kept]

    def _link(self, link: ExchangeLink) -> dict[str, Any]:
        name, item = ("violation", link.violation) if isinstance(link, DuplicateLink) else ("victim", link.victim)
        return {"kind": link.kind, name: self.reference(item), "of": self.reference(link.of)}


def _take(queue: deque[Planned], slot: str) -> Iterator[Planned]:
    while queue and queue[0].slot == slot:
        yield queue.popleft()


def _is_uuid(key: str) -> bool:
    """Tell whether a key is a UUID in the one form in which services write it."""
    try:
        return str(UUID(key)) == key
    except ValueError:
        return False
