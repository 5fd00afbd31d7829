"""An incident as it is reported and as it is counted, and every reason to refuse one at the door (counts.md section 1)."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Literal, Protocol
from uuid import UUID

from pydantic import Field

from contracts import vocabulary
from contracts.model import Code, Count, Day, FieldError, Key, Name, Short, Text, Wire
from contracts.situation import SituationPart
from contracts.vocabulary import CHILD_TYPES, TALLIED_TYPES, WITH_PARTY, Attribution, Sex, ViolationType

Links = Annotated[list[Key], Field(max_length=200)]
"""Keys of violations of the same incident."""


class Violation(Wire):
    """One alleged violation. A tally part that is absent is 0; a tally without any part is taken from linked victims and groups."""

    key: Key
    type: ViolationType
    boys: Count | None = None
    girls: Count | None = None
    unknown: Count | None = None
    details: Annotated[dict[Short, Annotated[list[Short], Field(max_length=100)]], Field(max_length=50)] = {}


class Victim(Wire):
    """An individual child by a key that identifies nobody; the age is in whole years at the date of the violation."""

    key: Key
    sex: Sex
    age: Annotated[int, Field(ge=0, le=200)] | None = None
    violations: Links


class Group(Wire):
    """A group of children known only by its size."""

    key: Key
    boys: Count = 0
    girls: Count = 0
    unknown: Count = 0
    violations: Links


class Perpetrator(Wire):
    """A party's reported part in some violations."""

    party: Code | None = None
    attribution: Attribution
    violations: Links


class AttributionEntry(Wire):
    """One entry of a decision's own attribution list."""

    party: Code | None = None
    attribution: Attribution


class Source(Wire):
    """A source of information by category and type (lists `source_category`, `source_type`)."""

    category: Short
    type: Short
    violations: Links


class IncidentCore(Wire):
    """What counts of an incident. Days are inclusive and in the situation's time zone."""

    occurred_from: Day
    occurred_to: Day | None = None
    ongoing: Literal[True] | None = None
    place: Code | None = None
    violations: Annotated[list[Violation], Field(max_length=200)]
    victims: Annotated[Sequence[Victim], Field(max_length=1_000)] = []
    groups: Annotated[list[Group], Field(max_length=200)] = []
    perpetrators: Annotated[Sequence[Perpetrator], Field(max_length=200)] = []
    sources: Annotated[Sequence[Source], Field(max_length=200)] = []


class Coordinates(Wire):
    """WGS 84 degrees; strictly confidential."""

    latitude: Annotated[float, Field(ge=-90, le=90, strict=False)]
    longitude: Annotated[float, Field(ge=-180, le=180, strict=False)]


class ReportedVictim(Victim):
    """A victim with what only the opened case shows."""

    coded_id: Short | None = None
    name: Short | None = None
    age_band: Short | None = None
    vulnerabilities: Annotated[list[Short], Field(max_length=20)] = []
    consent: Annotated[list[Short], Field(max_length=10)] = []


class ReportedPerpetrator(Perpetrator):
    """A perpetrator with a confidential description (unit, commander)."""

    description: Text | None = None


class ReportedSource(Source):
    """A source with its ratings (list `rating`), consent (list `consent`) and confidential identity."""

    name: Short | None = None
    contact: Short | None = None
    reliability: Short | None = None
    credibility: Short | None = None
    consent: Annotated[list[Short], Field(max_length=10)] = []


class Evidence(Wire):
    """A reference to an evidence file by its SHA-256 in hex."""

    key: Key
    description: Short | None = None
    media_type: Short | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    violations: Links = []


class Response(Wire):
    """What was done (list `response_type`)."""

    type: Short
    description: Text | None = None
    violations: Links = []


class IncidentReport(IncidentCore):
    """A whole incident as a monitor submits it (product.md section 4); all but the coded core is strictly confidential."""

    situation: Code
    key: UUID
    revision: Annotated[int, Field(ge=1, le=10_000)] | None = None
    date_precision: Literal["exact", "estimated", "month", "year"] | None = None
    place_type: Short | None = None
    place_description: Text | None = None
    coordinates: Coordinates | None = None
    narrative: Text | None = None
    narrative_for_sharing: Text | None = None
    collected_by: Name | None = None
    victims: Annotated[list[ReportedVictim], Field(max_length=1_000)] = []
    perpetrators: Annotated[list[ReportedPerpetrator], Field(max_length=200)] = []
    sources: Annotated[list[ReportedSource], Field(max_length=200)] = []
    evidence: Annotated[list[Evidence], Field(max_length=100)] = []
    response: Annotated[list[Response], Field(max_length=100)] = []


class _Linked(Protocol):
    @property
    def violations(self) -> list[str]: ...


def tally_of(violation: Violation, incident: IncidentCore) -> tuple[int, int, int]:
    """Return (boys, girls, unknown) of a violation: as given, or from its linked victims and groups where none is given (C4).

    Types that carry no children that count answer with the casualties noted on them.
    """
    if violation.boys is not None or violation.girls is not None or violation.unknown is not None:
        return violation.boys or 0, violation.girls or 0, violation.unknown or 0
    if violation.type in TALLIED_TYPES:
        return linked_children(violation.key, incident)
    return 0, 0, 0


def linked_children(key: str, incident: IncidentCore) -> tuple[int, int, int]:
    """Return (boys, girls, unknown) of the victims and groups linked to one violation."""
    sexes = [victim.sex for victim in incident.victims if key in victim.violations]
    groups = [group for group in incident.groups if key in group.violations]
    return (
        sexes.count(Sex.MALE) + sum(group.boys for group in groups),
        sexes.count(Sex.FEMALE) + sum(group.girls for group in groups),
        sexes.count(Sex.UNKNOWN) + sum(group.unknown for group in groups),
    )


def check_incident(incident: IncidentCore, situation: SituationPart, *, today: date, first: bool) -> list[FieldError]:
    """Return every reason to refuse an incident at the door, in the order of its fields; nothing else is required.

    `today` is the day in the situation's time zone. `first` is False for a revision, which may hold no violation.
    """
    return [
        *_check_days(incident, today),
        *_check_place(incident, situation),
        *_check_violations(incident, first=first),
        *_check_children(incident),
        *_check_perpetrators(incident, situation),
        *_check_codes("sources", incident.sources, (("category", "source_category"), ("type", "source_type"))),
        *_check_links(incident),
        *(_check_confidential(incident) if isinstance(incident, IncidentReport) else ()),
    ]


def _check_days(incident: IncidentCore, today: date) -> Iterable[FieldError]:
    if incident.occurred_from > today:
        yield FieldError("occurred_from", "in_future", "The day lies in the future of the situation's time zone; correct it.")
    if incident.ongoing and incident.occurred_to is not None:
        yield FieldError("ongoing", "contradiction", "An ongoing incident has no last day; remove `ongoing` or `occurred_to`.")
    if incident.occurred_to is not None:
        if incident.occurred_to < incident.occurred_from:
            yield FieldError("occurred_to", "before_start", "The last day lies before the first; correct one of them.")
        if incident.occurred_to > today:
            yield FieldError("occurred_to", "in_future", "The day lies in the future of the situation's time zone; correct it.")


def _check_place(incident: IncidentCore, situation: SituationPart) -> Iterable[FieldError]:
    if incident.place is not None and all(place.code != incident.place for place in situation.places):
        yield FieldError(
            "place",
            "unknown_code",
            "This place is not in the situation's register; choose one from it or leave the field out.",
        )


def _check_violations(incident: IncidentCore, *, first: bool) -> Iterable[FieldError]:
    if first and not incident.violations:
        yield FieldError("violations", "too_few", "A first report needs at least one violation.")
    seen: set[str] = set()
    for index, violation in enumerate(incident.violations):
        field = f"violations[{index}]"
        if violation.key in seen:
            yield FieldError(f"{field}.key", "twice", "Another violation of this incident has this key; give each its own.")
        seen.add(violation.key)
        given = violation.boys is not None or violation.girls is not None or violation.unknown is not None
        if given:
            tally, linked = tally_of(violation, incident), linked_children(violation.key, incident)
            for name, stated, needed in zip(("boys", "girls", "unknown"), tally, linked, strict=True):
                if stated < needed:
                    yield FieldError(
                        f"{field}.{name}",
                        "does_not_cover",
                        "More children of this sex are linked to the violation than its tally holds; raise it.",
                    )
        if violation.type in CHILD_TYPES and sum(tally_of(violation, incident)) == 0:
            yield FieldError(field, "no_child", "This type counts children: give a tally, or link a victim or a group to it.")
        for name, chosen in violation.details.items():
            if name not in vocabulary.list_names():
                yield FieldError(f"{field}.details", "unknown_code", "A detail is not the name of a code list; correct it.")
            elif not set(chosen) <= vocabulary.codes(name):
                yield FieldError(f"{field}.details.{name}", "unknown_code", "A code is not in this list; choose codes from the list.")


def _check_children(incident: IncidentCore) -> Iterable[FieldError]:
    seen: set[str] = set()
    for index, victim in enumerate(incident.victims):
        if victim.key in seen:
            yield FieldError(
                f"victims[{index}].key",
                "twice",
                "Another victim or group of this incident has this key; give each its own.",
            )
        seen.add(victim.key)
        if victim.age is not None and victim.age > 17:
            yield FieldError(f"victims[{index}].age", "not_a_child", "A child is under 18; correct the age or leave the person out.")
    seen_groups: set[str] = set()
    for index, group in enumerate(incident.groups):
        if group.key in seen_groups:
            yield FieldError(
                f"groups[{index}].key",
                "twice",
                "Another victim or group of this incident has this key; give each its own.",
            )
        seen_groups.add(group.key)


def check_attribution(field: str, party: str | None, attribution: Attribution, situation: SituationPart) -> Iterable[FieldError]:
    """Yield what is wrong with one party and the kind of its attribution."""
    if attribution in WITH_PARTY and party is None:
        yield FieldError(f"{field}.party", "missing", "This kind of attribution needs a party; name it or choose `unidentified`.")
    if attribution not in WITH_PARTY and party is not None:
        yield FieldError(f"{field}.party", "contradiction", "This kind of attribution has no party; remove it.")
    if party is not None and all(entry.code != party for entry in situation.parties):
        yield FieldError(f"{field}.party", "unknown_code", "This party is not in the situation's register; choose one from it.")


def _check_perpetrators(incident: IncidentCore, situation: SituationPart) -> Iterable[FieldError]:
    for index, perpetrator in enumerate(incident.perpetrators):
        yield from check_attribution(f"perpetrators[{index}]", perpetrator.party, perpetrator.attribution, situation)


def _check_codes(field: str, entries: Sequence[Wire], lists: Sequence[tuple[str, str]]) -> Iterable[FieldError]:
    for index, entry in enumerate(entries):
        for attribute, name in lists:
            value = getattr(entry, attribute)
            chosen = value if isinstance(value, list) else [] if value is None else [value]
            if not set(chosen) <= vocabulary.codes(name):
                yield FieldError(f"{field}[{index}].{attribute}", "unknown_code", f"Choose from the code list `{name}`.")


def _check_links(incident: IncidentCore) -> Iterable[FieldError]:
    keys = {violation.key for violation in incident.violations}
    linked: list[tuple[str, Sequence[_Linked]]] = [
        ("victims", incident.victims),
        ("groups", incident.groups),
        ("perpetrators", incident.perpetrators),
        ("sources", incident.sources),
    ]
    if isinstance(incident, IncidentReport):
        linked += [("evidence", incident.evidence), ("response", incident.response)]
    for name, entries in linked:
        for index, entry in enumerate(entries):
            if not keys.issuperset(entry.violations):
                yield FieldError(
                    f"{name}[{index}].violations",
                    "unknown_reference",
                    "A key named here is not one of this incident's violations; correct it.",
                )


def _check_confidential(report: IncidentReport) -> Iterable[FieldError]:
    yield from _check_codes(
        "victims",
        report.victims,
        (("age_band", "age_band"), ("vulnerabilities", "vulnerability"), ("consent", "consent")),
    )
    yield from _check_codes("sources", report.sources, (("reliability", "rating"), ("credibility", "rating"), ("consent", "consent")))
    yield from _check_codes("response", report.response, (("type", "response_type"),))
    if report.place_type is not None and report.place_type not in vocabulary.codes("place_type"):
        yield FieldError("place_type", "unknown_code", "Choose from the code list `place_type`.")


def hints(report: IncidentReport) -> list[FieldError]:
    """Return what is missing for verification though the report is accepted; shown to the monitor, never a refusal."""
    found: list[FieldError] = []
    if report.place is None:
        found.append(FieldError("place", "incomplete", "Without a place the report stands under no region; add it when you know it."))
    if report.narrative is None:
        found.append(FieldError("narrative", "incomplete", "Say what happened; reviewers need it to verify."))
    linked_sources = {key for source in report.sources for key in source.violations}
    linked_parties = {key for perpetrator in report.perpetrators for key in perpetrator.violations}
    for index, violation in enumerate(report.violations):
        if violation.key not in linked_sources:
            found.append(FieldError(f"violations[{index}]", "incomplete", "No source is linked; verification needs a primary source."))
        if violation.key not in linked_parties:
            found.append(
                FieldError(
                    f"violations[{index}]",
                    "incomplete",
                    "No perpetrator is linked; choose `unidentified` if none is known.",
                )
            )
        if violation.type in CHILD_TYPES and not violation.details:
            found.append(FieldError(f"violations[{index}].details", "incomplete", "Details such as the weapon or purpose are missing."))
    for index, source in enumerate(report.sources):
        if source.reliability is None or source.credibility is None:
            found.append(
                FieldError(
                    f"sources[{index}]",
                    "incomplete",
                    "Rate the source's reliability and the information's credibility.",
                )
            )
    for index, victim in enumerate(report.victims):
        if victim.sex is Sex.UNKNOWN:
            found.append(FieldError(f"victims[{index}].sex", "incomplete", "The sex is unknown; say it when you learn it."))
    return found
