"""What an exchange file must satisfy beyond its shape: every refusal of counts.md section 1, across its steps, before anything is sent."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from contracts import vocabulary
from contracts.exchange import DuplicateLink, ExchangeDecision, ExchangeFile, ExchangeIncident, ExchangeLink, ExchangeQuery
from contracts.incident import check_attribution, check_incident
from contracts.model import FieldError, field_errors
from contracts.plain_json import ambiguities
from contracts.situation import SituationPart, check_situation

GHN_TABLES: Final = frozenset(
    f"{part}_{kind}" for part in ("verified", "late", "unverified") for kind in ("children", "incidents", "by_party", "by_region")
) | {"children_multiple", "groups_multiple"}
"""The fourteen tables of the GHN."""
TABLES: Final = GHN_TABLES | {"summary", "by_grave_violation_and_party", "by_detail", "ages", "context", "trend", "exceptions"}
"""Every table of counts.md section 3."""
PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "late_rule": frozenset({"quarter", "window"}),
    "late": frozenset({"beside", "inside"}),
    "by": frozenset({"quarter", "month", "year"}),
    "field": vocabulary.list_names(),
}
"""The parameters a query may carry beside its window and moment, and their values."""


def read_exchange(raw: str | bytes, *, now: datetime) -> tuple[ExchangeFile | None, list[FieldError]]:
    """Read an exchange file; return it, or None with every refusal that its text, its shape or its steps meet.

    `now` is an aware instant. The file is the reader's own: a field that is not known is named.
    """
    unclear = ambiguities(raw)
    if unclear:
        return None, unclear
    try:
        document = ExchangeFile.model_validate_json(raw)
    except ValidationError as error:
        return None, field_errors(error, name_unknown=True)
    errors = check_exchange(document, now=now)
    return (None, errors) if errors else (document, [])


def check_exchange(document: ExchangeFile, *, now: datetime) -> list[FieldError]:
    """Return every reason to refuse a file, each step judged on what the steps and entries before it left."""
    errors = [replace(error, field=f"situation.{error.field}") for error in check_situation(document.situation)]
    if errors:
        return errors
    today = now.astimezone(ZoneInfo(document.situation.time_zone)).date()
    ledger = _Ledger(situation=document.situation, today=today)
    for number, step in enumerate(document.steps):
        path = f"steps[{number}]"
        errors += ledger.take_incidents(step.incidents, f"{path}.incidents")
        for index, decision in enumerate(step.decisions):
            errors += ledger.take_decision(decision, f"{path}.decisions[{index}]")
        for index, link in enumerate(step.links):
            errors += ledger.take_link(link, f"{path}.links[{index}]")
    for index, query in enumerate(document.queries):
        errors += _check_query(query, len(document.steps), f"queries[{index}]")
    return errors


def _within(path: str, errors: Iterable[FieldError]) -> Iterator[FieldError]:
    for error in errors:
        yield replace(error, field=f"{path}.{error.field}")


@dataclass(slots=True)
class _Ledger:
    """What is held at one moment while the steps are read."""

    situation: SituationPart
    today: date
    incidents: dict[str, ExchangeIncident] = field(default_factory=dict)
    decided_on: dict[str, date] = field(default_factory=dict)
    """The earliest day decided per violation ever held; it stays when a revision leaves the violation out."""
    standing: set[tuple[str, str, str]] = field(default_factory=set)
    originals: dict[str, set[str]] = field(default_factory=dict)

    def take_incidents(self, incidents: Iterable[ExchangeIncident], path: str) -> Iterator[FieldError]:
        """Take a step's incidents; a key of an earlier step is a revision."""
        in_step: set[str] = set()
        for index, incident in enumerate(incidents):
            here = f"{path}[{index}]"
            if incident.key in in_step:
                yield FieldError(f"{here}.key", "twice", "This key stands twice in one step; put the revision into a later step.")
            in_step.add(incident.key)
            first = incident.key not in self.incidents
            yield from _within(here, check_incident(incident, self.situation, today=self.today, first=first))
            for violation in incident.violations:
                decided = self.decided_on.get(f"{incident.key}/{violation.key}")
                if decided is not None and decided < incident.occurred_from:
                    yield FieldError(
                        f"{here}.occurred_from",
                        "after_decision",
                        "A violation of this incident was decided before this day; correct one of the days.",
                    )
                    break
            self.incidents[incident.key] = incident

    def take_decision(self, decision: ExchangeDecision, path: str) -> Iterator[FieldError]:
        """Take a decision on a violation that its incident holds at this moment."""
        for index, entry in enumerate(decision.attribution or ()):
            yield from check_attribution(f"{path}.attribution[{index}]", entry.party, entry.attribution, self.situation)
        incident = self._holding(decision.violation, "violations")
        if incident is None:
            yield _unknown(f"{path}.violation")
            return
        day = decision.decided_on
        if day is None:
            return
        if day < incident.occurred_from:
            yield FieldError(
                f"{path}.decided_on", "before_incident", "The decision is older than the first day of the incident; correct it."
            )
        if day > self.today:
            yield FieldError(f"{path}.decided_on", "in_future", "The day lies in the future of the situation's time zone; correct it.")
        self.decided_on[decision.violation] = min(day, self.decided_on.get(decision.violation, day))

    def take_link(self, link: ExchangeLink, path: str) -> Iterator[FieldError]:
        """Make or undo a link. Links that lie idle stand and count in the search for circles."""
        duplicate = isinstance(link, DuplicateLink)
        name, kind, part = ("violation", "duplicate", "violations") if duplicate else ("victim", "same_child", "victims")
        item = link.violation if isinstance(link, DuplicateLink) else link.victim
        unknown = [f"{path}.{end}" for end, ref in ((name, item), ("of", link.of)) if self._holding(ref, part) is None]
        if unknown:
            yield from map(_unknown, unknown)
            return
        if item == link.of:
            yield FieldError(f"{path}.of", "link_to_itself", "Both ends are the same; name two different ones.")
            return
        ends = (item, link.of) if duplicate else tuple(sorted((item, link.of)))
        pair = (kind, ends[0], ends[1])
        if link.kind != kind:
            yield from self._undo(pair, path)
        else:
            yield from self._make(pair, path)

    def _make(self, pair: tuple[str, str, str], path: str) -> Iterator[FieldError]:
        kind, item, of = pair
        if pair in self.standing:
            yield FieldError(path, "link_stands", "This link already stands; leave it out.")
        elif kind == "duplicate" and self._leads_to(of, item):
            yield FieldError(path, "duplicate_circle", "The original is itself a duplicate of this violation; undo that link first.")
        else:
            self.standing.add(pair)
            if kind == "duplicate":
                self.originals.setdefault(item, set()).add(of)

    def _undo(self, pair: tuple[str, str, str], path: str) -> Iterator[FieldError]:
        if pair not in self.standing:
            yield FieldError(path, "link_absent", "No such link stands; there is nothing to undo.")
            return
        self.standing.discard(pair)
        self.originals.get(pair[1], set()).discard(pair[2])

    def _leads_to(self, start: str, goal: str) -> bool:
        reached, ahead = {start}, [start]
        while ahead:
            here = ahead.pop()
            if here == goal:
                return True
            fresh = self.originals.get(here, set()) - reached
            reached |= fresh
            ahead += fresh
        return False

    def _holding(self, reference: str, part: str) -> ExchangeIncident | None:
        """Return the incident of a reference if it holds the violation or victim now."""
        incident_key, _, key = reference.partition("/")
        incident = self.incidents.get(incident_key)
        if incident is None or all(entry.key != key for entry in getattr(incident, part)):
            return None
        return incident


def _unknown(path: str) -> FieldError:
    return FieldError(path, "unknown_reference", "Nothing of this name is held at this moment of the file; correct the reference.")


def _check_query(query: ExchangeQuery, steps: int, path: str) -> Iterator[FieldError]:
    if query.table not in TABLES:
        yield FieldError(f"{path}.table", "unknown_code", "There is no such table; see the list of tables.")
    if query.to < query.from_:
        yield FieldError(f"{path}.to", "reversed_window", "`from` lies after `to`; correct one of them.")
    if query.after_step is not None and query.after_step > steps:
        yield FieldError(f"{path}.after_step", "unknown_reference", "The file has fewer steps; name one of them.")
    for name, value in query.params.items():
        if name not in PARAMETERS:
            yield FieldError(f"{path}.params.{name}", "unknown_field", "This parameter is not known; remove it or correct its name.")
        elif value not in PARAMETERS[name]:
            yield FieldError(f"{path}.params.{name}", "unknown_code", "This value is not one the parameter knows; correct it.")
    if query.table == "by_detail" and "field" not in query.params:
        yield FieldError(f"{path}.params.field", "missing", "`by_detail` needs the name of a code list as `field`.")


def document_of(exchange: ExchangeFile) -> dict[str, Any]:
    """Return an exchange file as its JSON document, without absent fields and empty lists."""
    dumped: dict[str, Any] = exchange.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return dumped
