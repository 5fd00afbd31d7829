"""Random histories of a situation as acts of an exchange file: reports, revisions, decisions of every stage, links and undoings.

Two authors: one whose acts may be anything that the ledger must be able to count, one who writes only what the door lets in.
"""

import random
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import Any

SITUATION: dict[str, Any] = {
    "code": "XRA",
    "name": "Random",
    "time_zone": "Asia/Kabul",
    "parties": [{"code": f"party_{number}", "type": "armed_group", "name": f"Party {number}"} for number in range(4)],
    "places": [
        {"code": "X", "name": "Country", "level": 0},
        {"code": "X1", "name": "North", "level": 1, "parent": "X"},
        {"code": "X2", "name": "South", "level": 1},
        {"code": "X11", "name": "Town", "level": 2, "parent": "X1"},
        {"code": "X111", "name": "Quarter", "level": 3, "parent": "X11"},
        {"code": "X9", "name": "Nowhere", "level": 2},
    ],
}
CHILD_TYPES = ["killing", "maiming", "recruitment", "sexual_violence", "abduction"]
TYPES = CHILD_TYPES * 2 + ["attack_on_schools", "attack_on_hospitals", "denial_humanitarian_access", "military_use", "deprivation_liberty"]
DETAILS = {
    "weapon_type": ["landmine", "small_arm", "mortar_rocket"],
    "military_use_type": ["military_use_of_school", "military_use_of_hospital"],
    "abduction_purpose": ["extortion", "unknown"],
}
OUTCOMES = ["verified"] * 8 + [
    "report_pending_verification",
    "reported_not_verified",
    "reported_not_verified",
    "not_mrm",
    "verification_found_that_incident_did_not_occur",
]
KINDS = ["sole", "sole", "joint", "joint", "crossfire", "alleged", "unidentified", "no_actor"]
Act = tuple[str, dict[str, Any]]
FIRST, LAST = date(2021, 9, 1), date(2023, 2, 28)
TABLES = [
    f"{part}_{what}" for part in ("verified", "late", "unverified") for what in ("children", "incidents", "by_party", "by_region")
] + [
    "children_multiple",
    "groups_multiple",
    "summary",
    "by_grave_violation_and_party",
    "by_grave_violation_and_parties",
    "by_detail",
    "ages",
    "context",
    "trend",
    "exceptions",
]


class Author:
    """Writes acts that may follow those written before. The same source of randomness writes the same history.

    Days and idle links are as wild as the ledger must bear: a decision may be older than its incident, an undone link may lie idle.
    """

    def __init__(self, rng: random.Random, situation: dict[str, Any] = SITUATION) -> None:
        self.rng = rng
        self.situation = situation
        self.today = date.max
        self.acts: list[Act] = []
        self.held: dict[str, dict[str, Any]] = {}
        self.duplicates: list[tuple[str, str]] = []
        self.same: list[tuple[str, str]] = []

    def day(self) -> date:
        """Return a day, often one near a quarter's edge."""
        if self.rng.random() < 0.4:
            edge = self.rng.choice([date(2021, 12, 31), date(2022, 1, 1), date(2022, 3, 31), date(2022, 4, 1), date(2022, 7, 1)])
            return edge + timedelta(days=self.rng.choice([-1, 0, 0, 1]))
        return FIRST + timedelta(days=self.rng.randrange((LAST - FIRST).days))

    def act(self) -> Act:
        """Write one act."""
        makers = [self.report, self.report, self.revision, self.decision, self.decision, self.decision, self.link, self.link, self.undoing]
        return self.write(self.rng.choice(makers)) or self._written(self.report())

    def write(self, maker: Callable[[], Act | None]) -> Act | None:
        """Write one act of a kind, if one of it may follow."""
        act = maker()
        return None if act is None else self._written(act)

    def _written(self, act: Act) -> Act:
        self.acts.append(act)
        return act

    def report(self) -> Act:
        return self._keep(f"i{len(self.held)}", first=True)

    def revision(self) -> Act | None:
        return self.revise(self.rng.choice(sorted(self.held))) if self.held else None

    def revise(self, key: str) -> Act:
        """Write an incident anew."""
        return self._keep(key, first=False)

    def decision(self) -> Act | None:
        violations = self._refs("violations")
        if not violations:
            return None
        violation = self.rng.choice(violations)
        decision: dict[str, Any] = {
            "violation": violation,
            "stage": self.rng.choice(["ctfmr"] * 6 + ["technical", "focal_point"]),
            "outcome": self.rng.choice(OUTCOMES),
        }
        if self.rng.random() < 0.95:
            decision["decided_on"] = self._decided_on(violation).isoformat()
        if self.rng.random() < 0.25:
            decision["attribution"] = [self._entry() for _ in range(self.rng.randrange(3))]
        return "decision", decision

    def link(self) -> Act | None:
        duplicate = self.rng.random() < 0.5
        refs = self._refs("violations" if duplicate else "victims")
        if len(refs) < 2:
            return None
        one, of = self.rng.sample(refs, 2)
        if not duplicate and self.same and self.rng.random() < 0.4:  # a chain grows at one of its ends
            of = self.rng.choice(self.same)[1]
            if of not in refs or of == one:
                return None
        if duplicate:
            if self._reaches(of, one) or (one, of) in self.duplicates:
                return None
            self.duplicates.append((one, of))
            return "link", {"kind": "duplicate", "violation": one, "of": of}
        if (one, of) in self.same or (of, one) in self.same:
            return None
        self.same.append((one, of))
        return "link", {"kind": "same_child", "victim": one, "of": of}

    def undoing(self) -> Act | None:
        duplicates, same = self._undoable(self.duplicates, "violations"), self._undoable(self.same, "victims")
        if duplicates and self.rng.random() < 0.5:
            one, of = self.rng.choice(duplicates)
            self.duplicates.remove((one, of))
            return "link", {"kind": "not_duplicate", "violation": one, "of": of}
        if same:
            one, of = self.rng.choice(same)
            self.same.remove((one, of))
            one, of = self.rng.choice([(one, of), (of, one)])
            return "link", {"kind": "not_same_child", "victim": one, "of": of}
        return None

    def question(self, tables: Sequence[str] = TABLES) -> tuple[str, str, str, dict[str, str]]:
        """Return a table, a window and parameters."""
        table = self.rng.choice(tables)
        start, end = sorted((self.day(), self.day()))
        if self.rng.random() < 0.3:
            start, end = date(2022, 1, 1), self.rng.choice([date(2022, 1, 1), date(2022, 4, 1), date(2023, 1, 1), date(2031, 1, 1)])
        params: dict[str, str] = {}
        if self.rng.random() < 0.5:
            params["late"] = self.rng.choice(["inside", "beside"])
        if self.rng.random() < 0.5:
            params["late_rule"] = self.rng.choice(["quarter", "window"])
        if table == "by_detail" or self.rng.random() < 0.1:  # a parameter without effect on the table is accepted
            params["field"] = self.rng.choice(sorted(DETAILS))
        if table == "trend" or self.rng.random() < 0.1:
            params["by"] = self.rng.choice(["month", "quarter", "year"])
        return table, start.isoformat(), end.isoformat(), params

    def _keep(self, key: str, *, first: bool) -> Act:
        incident = self._incident(key, least=1 if first else 0)
        self.held[key] = incident
        return "incident", incident

    def _incident(self, key: str, *, least: int) -> dict[str, Any]:
        rng = self.rng
        keys = rng.sample(["k1", "k2", "k3"], rng.randrange(least, 4))
        start = self._begun(key, keys)
        incident: dict[str, Any] = {"key": key, "occurred_from": start.isoformat()}
        kind = rng.random()
        if kind < 0.2:
            incident["ongoing"] = True
        elif kind < 0.5:
            incident["occurred_to"] = min(start + timedelta(days=rng.choice([0, 1, 20, 120])), self.today).isoformat()
        if self.situation["places"] and rng.random() < 0.85:
            incident["place"] = rng.choice(self.situation["places"])["code"]
        incident["victims"] = [self._victim(f"c{number}", keys) for number in rng.sample(range(4), rng.randrange(4))]
        incident["groups"] = [
            {"key": f"g{number}", **self._sizes(3), "violations": self._some(keys)} for number in rng.sample(range(2), rng.randrange(3))
        ]
        incident["perpetrators"] = [{**self._entry(), "violations": self._some(keys)} for _ in range(rng.randrange(4))]
        incident["violations"] = [self._violation(name, incident) for name in keys]
        return incident

    def _victim(self, key: str, keys: list[str]) -> dict[str, Any]:
        victim: dict[str, Any] = {"key": key, "sex": self.rng.choice(["male", "female", "unknown"]), "violations": self._some(keys)}
        if self.rng.random() < 0.7:
            victim["age"] = self.rng.randrange(18)
        return victim

    def _violation(self, key: str, incident: dict[str, Any]) -> dict[str, Any]:
        violation: dict[str, Any] = {"key": key, "type": self.rng.choice(TYPES)}
        linked = {"boys": 0, "girls": 0, "unknown": 0}
        for victim in incident["victims"]:
            linked[{"male": "boys", "female": "girls", "unknown": "unknown"}[victim["sex"]]] += key in victim["violations"]
        for group in incident["groups"]:
            for column in linked:
                linked[column] += group.get(column, 0) if key in group["violations"] else 0
        if self.rng.random() < 0.6 or not sum(linked.values()):
            tally = {column: number + self.rng.choice([0, 0, 1, 2]) for column, number in linked.items()}
            if not sum(tally.values()):
                tally["unknown"] = 1
            violation |= {column: number for column, number in tally.items() if number or self.rng.random() < 0.3}
        details = {
            name: self.rng.sample(codes, self.rng.randrange(len(codes))) for name, codes in DETAILS.items() if self.rng.random() < 0.5
        }
        return violation | ({"details": details} if details else {})

    def _sizes(self, most: int) -> dict[str, int]:
        return {column: self.rng.randrange(most) for column in ("boys", "girls", "unknown") if self.rng.random() < 0.7}

    def _entry(self) -> dict[str, Any]:
        kind = self.rng.choice(KINDS)
        entry: dict[str, Any] = {"attribution": kind}
        if kind not in ("unidentified", "no_actor"):
            entry["party"] = self.rng.choice(self.situation["parties"])["code"]
        return entry

    def _some(self, keys: list[str]) -> list[str]:
        return [key for key in keys if self.rng.random() < 0.6]

    def _begun(self, key: str, keys: list[str]) -> date:  # noqa: ARG002 - of what, the lawful author asks
        return self.day()

    def _decided_on(self, violation: str) -> date:  # noqa: ARG002 - of what, the lawful author asks
        return self.day()

    def _undoable(self, pairs: list[tuple[str, str]], what: str) -> list[tuple[str, str]]:  # noqa: ARG002 - of what, the lawful author asks
        return pairs

    def _refs(self, what: str) -> list[str]:
        return [f"{key}/{entry['key']}" for key, incident in self.held.items() for entry in incident[what]]

    def _reaches(self, start: str, end: str) -> bool:
        return start == end or any(self._reaches(of, end) for one, of in self.duplicates if one == start)


class LawfulAuthor(Author):
    """Writes only what intake and verification let in: no decision older than its incident, no undoing of what nothing holds now."""

    def __init__(self, rng: random.Random, situation: dict[str, Any], *, today: date) -> None:
        super().__init__(rng, situation)
        self.today = today
        self.decided: dict[str, date] = {}
        """The first day decided of every violation that was ever held."""

    def day(self) -> date:
        """Return a day, seldom today: the last that there is in the situation's time zone."""
        return self.today if self.rng.random() < 0.02 else super().day()

    def _begun(self, key: str, keys: list[str]) -> date:
        decided = [self.decided[ref] for ref in (f"{key}/{violation}" for violation in keys) if ref in self.decided]
        return min([self.day(), *decided])

    def _decided_on(self, violation: str) -> date:
        begun = date.fromisoformat(self.held[violation.partition("/")[0]]["occurred_from"])
        day = max(self.day(), begun)
        self.decided[violation] = min(day, self.decided.get(violation, day))
        return day

    def _undoable(self, pairs: list[tuple[str, str]], what: str) -> list[tuple[str, str]]:
        held = set(self._refs(what))
        return [pair for pair in pairs if held.issuperset(pair)]
