"""From an assignment of single violations to incidents as a monitor would report them. Pure, seeded, and every word in them invented."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

from contracts.vocabulary import CHILD_TYPES, Sex, ViolationType
from mrm.demo.figures import NO_ACTOR, UNIDENTIFIED, Figures, line_of
from mrm.demo.solver import Assignment, Unit

TIME_ZONES: Final = {"Afghanistan": "Asia/Kabul", "DRC": "Africa/Lubumbashi"}
"""Of the situations that come with the product; any other is counted in UTC, which changes no figure of whole days."""
_STATE_FORCES: Final = re.compile(r"armed forces|army|police|\b(FARDC|PNC|ANR)\b", re.IGNORECASE)
_DETAILS: Final[dict[ViolationType, tuple[tuple[str, tuple[str, ...]], ...]]] = {
    ViolationType.KILLING: (("weapon_type", ("landmine", "mortar_rocket", "small_arm", "aerial_bomb")),),
    ViolationType.MAIMING: (
        ("weapon_type", ("landmine", "mortar_rocket", "small_arm", "ied_command_wire")),
        ("maiming_consequence", ("permanent_disability", "serious_injury")),
    ),
    ViolationType.RECRUITMENT: (
        ("child_role", ("combatant", "non_combatant")),
        ("recruitment_factor", ("intimidation", "financial_reasons", "conscription")),
    ),
    ViolationType.SEXUAL_VIOLENCE: (("sexual_violence_type", ("rape", "sexual_assault", "forced_marriage")),),
    ViolationType.ABDUCTION: (("abduction_purpose", ("extortion", "forced_labour", "indoctrination")),),
    ViolationType.ATTACK_ON_SCHOOLS: (("facility_attack_type", ("attack_on_school", "threat_of_attack_on_school")),),
    ViolationType.ATTACK_ON_HOSPITALS: (("facility_attack_type", ("attack_on_hospital", "attack_on_medical_personnel")),),
    ViolationType.DENIAL_HUMANITARIAN_ACCESS: (("denial_method", ("travel_restrictions_in_country", "theft", "other")),),
    ViolationType.MILITARY_USE: (
        ("military_use_type", ("military_use_of_school",)),
        ("military_use_purpose", ("barracks", "command_post")),
    ),
    ViolationType.DEPRIVATION_LIBERTY: (),
}
_SOURCES: Final = (("primary_victim", "oral_testimony"), ("primary_witness", "oral_testimony"), ("primary_witness", "written_statement"))


@dataclass(frozen=True, kw_only=True)
class Case:
    """One incident: the report, and the days on which the three stages decide all its violations as verified."""

    incident: str
    report: dict[str, Any]
    focal_on: date
    technical_on: date
    decided_on: date

    @property
    def references(self) -> list[str]:
        """The violations as `incident/key`."""
        return [f"{self.incident}/{violation['key']}" for violation in self.report["violations"]]


@dataclass(frozen=True, kw_only=True)
class Load:
    """All that the demo puts through the system: the register entry, the cases, and which victims are the same child."""

    situation: dict[str, Any]
    cases: tuple[Case, ...]
    same_child: tuple[tuple[str, str], ...]
    party_codes: dict[str, str]
    place_codes: dict[str, str]


class WindowNotYetError(Exception):
    """The window begins in the future: nothing in it can have been decided."""


@dataclass(slots=True)
class _Chunk:
    """A violation in the making: units of one type and line. `child` is set where a child has several violations."""

    type: ViolationType
    line: str | None
    sexes: list[Sex]
    child: str | None = None


@dataclass(slots=True)
class _Draft:
    region: str | None
    late: bool
    chunks: list[_Chunk] = field(default_factory=list)
    child_sex: dict[str, Sex] = field(default_factory=dict)


def make_load(figures: Figures, assignment: Assignment, *, code: str, today: date) -> Load:
    """Return the incidents of an assignment under a situation code; the same arguments give the same load. Raises `WindowNotYetError`."""
    if figures.start > today:
        raise WindowNotYetError
    rng = Random(f"mrm-demo/{figures.id}/incidents")  # noqa: S311 - the same incidents every time is the point
    drafts = [*_drafts_of_children(assignment), *_drafts_of_singles(assignment, rng)]
    drafts += _group([(unit.region, chunk) for unit, chunk in _chunks(assignment.late, rng)], rng, late=True)
    _add_military_use(drafts, assignment.military_use_of_schools)
    rng.shuffle(drafts)
    parties, places = _party_codes(figures), _place_codes(figures)
    writer = _Writer(figures, code=code, last_day=min(figures.end, today), parties=parties, places=places, rng=rng)
    cases = tuple(writer.case(number, draft) for number, draft in enumerate(drafts, 1))
    return Load(
        situation=_situation(figures, code, parties, places),
        cases=cases,
        same_child=tuple(writer.same_child),
        party_codes=parties,
        place_codes=places,
    )


def _drafts_of_children(assignment: Assignment) -> list[_Draft]:
    """Give every child with several violations an incident per region and recorded sex; its records elsewhere are linked to the first."""
    drafts: list[_Draft] = []
    for number, child in enumerate(assignment.children):
        if len(child) < 2:
            continue
        records: dict[tuple[str | None, Sex | None], _Draft] = {}
        for position in child:
            unit = assignment.units[position]
            sex = unit.sex or Sex.UNKNOWN
            name = f"child {number}"
            draft = records.setdefault((unit.region, sex), _Draft(unit.region, late=False, child_sex={name: sex}))
            draft.chunks.append(_Chunk(unit.type, unit.line, [sex], name))
        drafts += records.values()
    return drafts


def _drafts_of_singles(assignment: Assignment, rng: Random) -> list[_Draft]:
    joined = {position for child in assignment.children if len(child) > 1 for position in child}
    units = [unit for position, unit in enumerate(assignment.units) if position not in joined]
    return _group([(unit.region, chunk) for unit, chunk in _chunks(units, rng)], rng, late=False)


def _chunks(units: Iterable[Unit], rng: Random) -> list[tuple[Unit, _Chunk]]:
    """Put units of one type, line and region together: one to four children a violation, always one attack or denial."""
    alike: dict[tuple[str, str, str], list[Unit]] = {}
    for unit in units:
        alike.setdefault((unit.region or "", unit.line or "", unit.type), []).append(unit)
    chunks: list[tuple[Unit, _Chunk]] = []
    for _, members in sorted(alike.items()):
        start = 0
        while start < len(members):
            size = rng.choice((1, 1, 2, 2, 3, 4)) if members[start].type in CHILD_TYPES else 1
            taken = members[start : start + size]
            sexes = [unit.sex for unit in taken if unit.sex is not None]
            chunks.append((taken[0], _Chunk(taken[0].type, taken[0].line, sexes)))
            start += size
    return chunks


def _group(chunks: Sequence[tuple[str | None, _Chunk]], rng: Random, *, late: bool) -> list[_Draft]:
    """Put one to three violations of one region into an incident, those of one line together if possible."""
    by_region: dict[str | None, list[_Chunk]] = {}
    for region, chunk in chunks:
        by_region.setdefault(region, []).append(chunk)
    drafts: list[_Draft] = []
    for region, members in by_region.items():
        rng.shuffle(members)
        members.sort(key=lambda chunk: chunk.line or "")
        start = 0
        while start < len(members):
            size = rng.choice((1, 2, 2, 3))
            drafts.append(_Draft(region, late, members[start : start + size]))
            start += size
    return drafts


def _add_military_use(drafts: list[_Draft], schools: int) -> None:
    """Record military use beside attacks on schools first, then on its own; it never adds to a total (C7)."""
    attacked = [d for d in drafts if not d.late and any(chunk.type is ViolationType.ATTACK_ON_SCHOOLS for chunk in d.chunks)]
    for number in range(schools):
        if number >= len(attacked):
            attacked.append(_Draft(None, late=False))
            drafts.append(attacked[-1])
        line = attacked[number].chunks[0].line if attacked[number].chunks else None
        attacked[number].chunks.append(_Chunk(ViolationType.MILITARY_USE, line, []))


class _Writer:
    def __init__(
        self, figures: Figures, *, code: str, last_day: date, parties: dict[str, str], places: dict[str, str], rng: Random
    ) -> None:
        self._figures, self._code, self._last_day = figures, code, last_day
        self._parties, self._places, self._rng = parties, places, rng
        self._first_record: dict[str, str] = {}
        self.same_child: list[tuple[str, str]] = []

    def case(self, number: int, draft: _Draft) -> Case:
        """Write one incident with its days."""
        rng, figures = self._rng, self._figures
        incident = str(uuid5(NAMESPACE_URL, f"mrm-demo/{self._code}/{number}"))
        first, last = figures.start, self._last_day
        if draft.late:
            ended = first - timedelta(days=rng.randint(1, 300))
            decided = first + timedelta(days=rng.randint(0, (last - first).days))
        else:
            ended = first + timedelta(days=rng.randint(0, (last - first).days))
            decided = ended + timedelta(days=rng.randint(0, (last - ended).days))
        began = ended - timedelta(days=rng.choice((0, 0, 0, 1, 3)))
        vetting = (decided - ended).days
        report: dict[str, Any] = {
            "situation": self._code,
            "key": incident,
            "occurred_from": began.isoformat(),
            "date_precision": "exact" if began == ended else "estimated",
            "narrative": f"Invented report {number}: no real event or person. A monitor would write here in confidence.",
            "narrative_for_sharing": f"Invented report {number}, without names.",
            **self._violations(draft, incident),
            "sources": self._sources(draft),
        }
        if began != ended:
            report["occurred_to"] = ended.isoformat()
        if draft.region is not None:
            report["place"] = f"{self._places[draft.region]}-{rng.choice('AB')}"
        return Case(
            incident=incident,
            report=report,
            focal_on=ended + timedelta(days=vetting // 3),
            technical_on=ended + timedelta(days=2 * vetting // 3),
            decided_on=decided,
        )

    def _violations(self, draft: _Draft, incident: str) -> dict[str, Any]:
        violations: list[dict[str, Any]] = []
        victims: list[dict[str, Any]] = []
        groups: list[dict[str, Any]] = []
        by_child: dict[str, dict[str, Any]] = {}
        for index, chunk in enumerate(draft.chunks, 1):
            key = f"v{index}"
            violation: dict[str, Any] = {"key": key, "type": chunk.type.value, "details": self._details(chunk)}
            if chunk.child is not None:
                if chunk.child not in by_child:
                    by_child[chunk.child] = self._victim(len(victims) + 1, draft.child_sex[chunk.child])
                    victims.append(by_child[chunk.child])
                    self._link(chunk.child, f"{incident}/{by_child[chunk.child]['key']}")
                by_child[chunk.child]["violations"].append(key)
            elif chunk.sexes:
                self._children(chunk, key, violation, victims, groups)
            violations.append(violation)
        return {"violations": violations, "victims": victims, "groups": groups, "perpetrators": self._perpetrators(draft)}

    def _children(
        self, chunk: _Chunk, key: str, violation: dict[str, Any], victims: list[dict[str, Any]], groups: list[dict[str, Any]]
    ) -> None:
        """Record the children of a violation as reports come: listed, listed without a tally, as a group, or only counted."""
        tally = {"boys": chunk.sexes.count(Sex.MALE), "girls": chunk.sexes.count(Sex.FEMALE), "unknown": chunk.sexes.count(Sex.UNKNOWN)}
        way = self._rng.choice(("listed", "listed", "without_tally", "group", "counted"))
        if way != "without_tally":
            violation.update({name: number for name, number in tally.items() if number})
        if way in ("listed", "without_tally"):
            for sex in chunk.sexes:
                victims.append(self._victim(len(victims) + 1, sex))
                victims[-1]["violations"].append(key)
        elif way == "group":
            groups.append({"key": f"g{len(groups) + 1}", **{name: number for name, number in tally.items() if number}, "violations": [key]})

    def _victim(self, number: int, sex: Sex) -> dict[str, Any]:
        victim: dict[str, Any] = {"key": f"c{number}", "sex": sex.value, "violations": []}
        if self._rng.random() < 0.9:
            victim["age"] = self._rng.randint(2, 17)
        return victim

    def _link(self, child: str, record: str) -> None:
        first = self._first_record.setdefault(child, record)
        if first != record:
            self.same_child.append((record, first))

    def _details(self, chunk: _Chunk) -> dict[str, list[str]]:
        details = {name: [self._rng.choice(codes)] for name, codes in _DETAILS[chunk.type]}
        if chunk.line == NO_ACTOR and "weapon_type" in details:
            details["weapon_type"] = ["explosive_remnant_of_war"]
        return details

    def _perpetrators(self, draft: _Draft) -> list[dict[str, Any]]:
        by_line: dict[str, list[str]] = {}
        for index, chunk in enumerate(draft.chunks, 1):
            if chunk.line is not None:
                by_line.setdefault(chunk.line, []).append(f"v{index}")
        return [{**self._attribution(line), "violations": keys} for line, keys in by_line.items()]

    def _attribution(self, line: str) -> dict[str, str]:
        if line in (UNIDENTIFIED, NO_ACTOR):
            return {"attribution": line.removeprefix("_")}
        return {"party": self._parties[line], "attribution": "sole"}

    def _sources(self, draft: _Draft) -> list[dict[str, Any]]:
        keys = [f"v{index}" for index in range(1, len(draft.chunks) + 1)]
        category, kind = self._rng.choice(_SOURCES)
        rated = {"reliability": "high", "credibility": self._rng.choice(("high", "medium")), "violations": keys}
        sources = [{"category": category, "type": kind, "consent": ["share_non_identifiable"], **rated}]
        if self._rng.random() < 0.4:
            sources.append({"category": "secondary", "type": "document", **rated})
        return sources


def _party_codes(figures: Figures) -> dict[str, str]:
    names: dict[str, None] = {}
    for path in figures.values:
        if path[0] == "by_party" or path[1:2] == ("by",):
            names[line_of(path[-1])] = None
    return _codes((name for name in names if name not in (UNIDENTIFIED, NO_ACTOR)), "party")


def _place_codes(figures: Figures) -> dict[str, str]:
    return _codes(figures.under("by_province"), "place")


def _codes(names: Iterable[str], fallback: str) -> dict[str, str]:
    """Make a code from each name; the same code never twice."""
    codes: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        code = re.sub(r"[^a-z0-9]+", "_", name.casefold()).strip("_")[:40] or f"{fallback}_{number}"
        while code in codes.values():
            code = f"{code}_{number}"
        codes[name] = code
    return codes


def _situation(figures: Figures, code: str, parties: dict[str, str], places: dict[str, str]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    for name, place in places.items():
        entries.append({"code": place, "name": name, "level": 1})
        entries += [
            {"code": f"{place}-{letter}", "name": f"{name[:180]}, part {letter}", "level": 2, "parent": place} for letter in ("A", "B")
        ]
    return {
        "code": code,
        "name": f"{figures.situation}, demonstration",
        "time_zone": TIME_ZONES.get(figures.situation, "UTC"),
        "parties": [
            {"code": party, "type": "armed_force" if _STATE_FORCES.search(name) else "armed_group", "name": name}
            for name, party in parties.items()
        ],
        "places": entries,
    }
