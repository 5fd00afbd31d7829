"""Turns the steps of an exchange file into the coded events that verification would publish, in order; decides nothing else."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from contracts.events import (
    ChildrenLinked,
    ChildrenUnlinked,
    Event,
    IncidentCoded,
    ViolationDecided,
    ViolationLinked,
    ViolationUnlinked,
)

NAMESPACE = UUID("6c1f8d0e-5a53-4f6e-9d1c-7b1d3a5f0001")
RECORDED_AT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Names:
    """The ids that stand for the keys of a file in one situation."""

    situation: str

    def incident(self, key: str) -> UUID:
        return uuid5(NAMESPACE, f"{self.situation}/{key}")

    def violation(self, ref: str) -> str:
        incident, key = ref.split("/")
        return f"{self.incident(incident)}/{key}"

    def child(self, ref: str) -> str:
        return uuid5(NAMESPACE, f"{self.situation}/child/{ref}").hex

    def group(self, ref: str) -> str:
        return uuid5(NAMESPACE, f"{self.situation}/group/{ref}").hex


@dataclass
class Coder:
    """Writes events of one situation, counting revisions and ids."""

    names: Names
    made: int = 0
    revisions: dict[str, int] = field(default_factory=dict)

    def incident(self, incident: dict[str, Any]) -> IncidentCoded:
        key = incident["key"]
        self.revisions[key] = self.revisions.get(key, 0) + 1
        core = {
            name: incident[name]
            for name in ("occurred_from", "occurred_to", "ongoing", "place", "violations", "perpetrators")
            if name in incident
        }
        victims = [
            {
                "child": self.names.child(f"{key}/{victim['key']}"),
                **{name: victim[name] for name in ("sex", "age", "violations") if name in victim},
            }
            for victim in incident.get("victims", [])
        ]
        groups = [{**group, "key": self.names.group(f"{key}/{group['key']}")} for group in incident.get("groups", [])]
        return IncidentCoded.model_validate(
            {
                **core,
                "situation": self.names.situation,
                "incident": self.names.incident(key),
                "revision": self.revisions[key],
                "recorded_at": RECORDED_AT,
                "victims": victims,
                "groups": groups,
            },
            strict=False,
        )

    def decision(self, decision: dict[str, Any]) -> ViolationDecided | None:
        if decision["stage"] != "ctfmr":
            return None
        incident, key = decision["violation"].split("/")
        self.made += 1
        return ViolationDecided.model_validate(
            {
                "situation": self.names.situation,
                "incident": self.names.incident(incident),
                "violation": key,
                "decision": uuid5(NAMESPACE, f"{self.names.situation}/decision/{self.made}"),
                "recorded_at": RECORDED_AT,
                **{name: decision[name] for name in ("outcome", "decided_on", "attribution") if name in decision},
            },
            strict=False,
        )

    def link(self, link: dict[str, Any]) -> Event:
        self.made += 1
        kind = link["kind"]
        shared = {
            "situation": self.names.situation,
            "link": uuid5(NAMESPACE, f"{self.names.situation}/link/{self.made}"),
            "recorded_at": RECORDED_AT,
        }
        if "violation" in link:
            model: Any = ViolationLinked if kind == "duplicate" else ViolationUnlinked
            ends = {"violation": self.names.violation(link["violation"]), "of": self.names.violation(link["of"])}
        else:
            model = ChildrenLinked if kind == "same_child" else ChildrenUnlinked
            ends = {"child": self.names.child(link["victim"]), "of": self.names.child(link["of"])}
        event: Event = model(**shared, **ends)
        return event

    def step(self, step: dict[str, Any]) -> Iterator[Event]:
        """Yield the events of one step in the order of its kinds."""
        for incident in step.get("incidents", []):
            yield self.incident(incident)
        for decision in step.get("decisions", []):
            event = self.decision(decision)
            if event is not None:
                yield event
        for link in step.get("links", []):
            yield self.link(link)


def in_situation(document: dict[str, Any], code: str) -> dict[str, Any]:
    """Return the situation of a file under another code."""
    return {**document["situation"], "code": code}


def coder_for(code: str) -> Coder:
    """Return a coder for one situation."""
    return Coder(Names(code))
