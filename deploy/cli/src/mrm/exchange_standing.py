"""What of an exchange file stands in its situation already, so that an import that was ended goes on, and what is not of the file. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from contracts.exchange import ExchangeFile, ExchangeIncident
from contracts.vocabulary import Stage
from mrm.exchange_plan import Line, Plan, Planned
from mrm.exchange_records import Record, without_absent

_STAGES: Final = {"decisions": Stage.CTFMR.value, "import": Stage.CTFMR.value}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a situation holds of a file, and in words what it holds beside it."""

    reports: int = 0
    decided: Mapping[str, int] = field(default_factory=dict)
    """By the file's name of a violation, how many of the decisions that the plan has for it are recorded."""
    linked: int = 0
    """How many of the plan's links are made or undone."""
    strangers: Sequence[str] = ()

    @property
    def size(self) -> int:
        """How many records stand."""
        return self.reports + sum(self.decided.values()) + self.linked


def standing_of(document: ExchangeFile, plan: Callable[[], Plan], records: Iterable[Record]) -> Standing:
    """Compare what is recorded, in its order, with what the plan of a file sends in its order."""
    expected = _Expected.of(document, plan())
    for record in records:
        if "incident" in record:
            expected.take_incident(record["incident"])
        elif "decision" in record:
            expected.take_decision(record["decision"])
        else:
            expected.take_link(record["link"])
    names = expected.plan.file_reference
    decided = {names(reference): count for reference, count in expected.decided.items()}
    return Standing(sum(expected.reported.values()), decided, expected.linked, tuple(expected.strangers))


@dataclass(slots=True)
class _Expected:
    """The plan of a whole file, and how far the records read so far follow it."""

    plan: Plan
    incidents: dict[str, list[tuple[str, ExchangeIncident]]] = field(default_factory=dict)
    decisions: dict[str, list[Planned]] = field(default_factory=dict)
    links: list[Line] = field(default_factory=list)
    reported: dict[str, int] = field(default_factory=dict)
    decided: dict[str, int] = field(default_factory=dict)
    linked: int = 0
    children: dict[str, str] = field(default_factory=dict)
    """The file's key of a child, by the reference with its pseudonym: reports keep their victims in order."""
    strangers: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, document: ExchangeFile, plan: Plan) -> "_Expected":
        """Plan every step of a file."""
        expected = cls(plan)
        for number, step in enumerate(document.steps):
            for index, incident in enumerate(step.incidents):
                place = f"steps[{number}].incidents[{index}]"
                expected.incidents.setdefault(plan.incident_id(incident.key), []).append((place, incident))
            plan.reports(step)
            for planned in plan.lines(step):
                expected.decisions.setdefault(planned.line["violation"], []).append(planned)
            expected.links += plan.links(step)[0]
        return expected

    def take_incident(self, entry: Mapping[str, Any]) -> None:
        """Take a recorded report or revision."""
        incident = entry["key"]
        number = self.reported.get(incident, 0)
        versions = self.incidents.get(incident, [])
        if not versions:
            self.strangers.append(f"incident {incident}: not in the file")
            return
        if number == len(versions):
            self.strangers.append(f"{versions[-1][0]}: revised since, which the file does not know")
            return
        place, written = versions[number]
        recorded = ExchangeIncident.model_validate_json(json.dumps(without_absent(entry)))
        if _coded(recorded) != _coded(written):
            self.strangers.append(f"{place}: recorded with other content")
        for known, child in zip(recorded.victims, written.victims, strict=False):
            self.children[f"{incident}/{known.key}"] = f"{incident}/{child.key}"
        self.reported[incident] = number + 1

    def take_decision(self, entry: Mapping[str, Any]) -> None:
        """Take a recorded decision."""
        violation = entry["violation"]
        number = self.decided.get(violation, 0)
        planned = self.decisions.get(violation, [])
        if number < len(planned) and _same_decision(entry, planned[number]):
            self.decided[violation] = number + 1
        else:
            self.strangers.append(f"{self.plan.file_reference(violation)}: decided otherwise than in the file")

    def take_link(self, entry: Mapping[str, Any]) -> None:
        """Take a recorded link or its undoing."""
        name = "violation" if "violation" in entry else "victim"
        ends = [self.children.get(entry[end], entry[end]) for end in (name, "of")]
        planned = self.links[self.linked] if self.linked < len(self.links) else {}
        same_ends = [planned.get(name), planned.get("of")]
        if planned.get("kind") == entry["kind"] and (ends == same_ends or (name == "victim" and ends[::-1] == same_ends)):
            self.linked += 1
        else:
            first, second = (self.plan.file_reference(end) for end in ends)
            self.strangers.append(f"{first} and {second}: linked or parted otherwise than in the file")


def _coded(incident: ExchangeIncident) -> dict[str, Any]:
    """Return what can be compared: services know children and groups by pseudonyms."""
    dumped: dict[str, Any] = incident.model_dump(mode="json", exclude_none=True, exclude_defaults=True, exclude={"key", "note"})
    for child in (*dumped.get("victims", ()), *dumped.get("groups", ())):
        del child["key"]
    return {name: value for name, value in dumped.items() if value != []}


def _same_decision(recorded: Mapping[str, Any], planned: Planned) -> bool:
    """Compare; the day of an earlier stage that a file leaves out is the day of its import, whichever that was."""
    line = planned.line
    if (recorded["stage"], recorded["outcome"]) != (_STAGES.get(planned.slot, planned.slot), line["outcome"]):
        return False
    if planned.dated and recorded.get("decided_on") != line.get("decided_on"):
        return False
    return bool(without_absent(recorded.get("attribution")) == line.get("attribution"))
