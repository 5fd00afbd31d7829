"""The product's counting rules on lists in memory: no database, the rows of every incident cell by cell."""

from typing import Any

from aggregation import messages
from aggregation.domain import children
from aggregation.domain.children import AffectedGroups, MultipleGroup, Suffered
from aggregation.domain.counting import Cell, Flaw, Material
from aggregation.domain.incident import Incident, MemberKind, Posting, Standing, keys_of, rows_of
from aggregation.domain.periods import LateRule
from aggregation.domain.questions import Question, question_for
from aggregation.domain.tables import TABLES, Need
from contracts.vocabulary import CHILD_TYPES, COUNTED_TYPES
from support.exchange_events import Coder, Names
from support.oracle import acts_of


class PureHouse:
    """A file's first steps, posted by the domain; refs are the file's own."""

    def __init__(self, document: dict[str, Any], steps: int) -> None:
        regions: dict[str, str | None] = {}
        for place in document["situation"]["places"]:
            regions[place["code"]] = place["code"] if place["level"] == 1 else regions.get(place.get("parent"))
        coded: dict[str, Any] = {}
        decisions: dict[str, dict[str, Any]] = {}
        duplicates: list[tuple[str, str]] = []
        self.edges: list[tuple[str, str]] = []
        coder = Coder(Names("XPURE"))
        for kind, act in acts_of(document, steps):
            if kind == "incident":
                fact = messages.fact_of(coder.incident(act))
                coded[act["key"]] = messages.coded_from(fact, region=regions.get(act.get("place")))
            elif kind == "decision":
                event = coder.decision(act)
                if event is not None:
                    incident, key = act["violation"].split("/")
                    decisions.setdefault(incident, {})[key] = messages.decision_from(messages.fact_of(event))
            elif act["kind"] in ("duplicate", "not_duplicate"):
                pair = (act["violation"], act["of"])
                (duplicates.append if act["kind"] == "duplicate" else duplicates.remove)(pair)
            else:
                one, other = sorted((coder.names.child(act["victim"]), coder.names.child(act["of"])))
                (self.edges.append if act["kind"] == "same_child" else self.edges.remove)((one, other))
        held = {f"{key}/{violation}" for key, incident in coded.items() for violation in keys_of(incident)}
        hidden = {one for one, of in duplicates if of in held}
        rows = [
            rows_of(
                Incident(
                    id=key,
                    coded=incident,
                    decisions=decisions.get(key, {}),
                    suppressed={ref.split("/")[1] for ref in hidden if ref.split("/")[0] == key},
                )
            )
            for key, incident in coded.items()
        ]
        self.postings = [posting for one in rows for posting in one.postings]
        self.memberships = [membership for one in rows for membership in one.memberships]
        self.records = [record for one in rows for record in one.records]

    def answer(self, table: str, start: str, end: str, params: dict[str, str] | None = None) -> Any:
        known = TABLES[table]
        question = question_for(known, {"from": start, "to": end, **(params or {})})
        field = question.field if known.asks_field else known.field
        parts = question.window.parts(question.by) if Need.PARTS in known.needs else []
        cells = [
            Cell(
                type=row.type,
                late=self.late(row, question),
                region=row.region,
                lines=row.lines,
                codes=dict(row.details).get(field or "", ()),
                part=next((index for index, part in enumerate(parts) if row.decided_on in part), 0) if parts else 0,
                amount=row.amount,
                tally=row.tally,
                beyond=row.beyond,
            )
            for row in self.postings
            if row.standing is known.standing and self.inside(row, question)
        ]
        members = [row for row in self.memberships if row.standing is Standing.VERIFIED and self.inside(row, question)]
        suffered = [
            Suffered(record=row.member, violation=row.violation, type=row.type, late=self.late(row, question), sex=row.sex, age=row.age)
            for row in members
            if row.kind is MemberKind.VICTIM and row.type in COUNTED_TYPES and row.sex is not None
        ]
        found = children.children_of(suffered, edges=self.edges, records=self.records)
        groups = {row.member: [other for other in members if other.member == row.member] for row in members if row.kind is MemberKind.GROUP}
        material = Material(
            cells=cells,
            parts=parts,
            late_inside=question.late_inside,
            affected=[child for child in map(children.affected, found) if child],
            multiple_children=[child for child in map(children.multiple, found) if child],
            groups=[self.group(mine, question) for mine in groups.values()],
            multiple_groups=[multiple for name, mine in groups.items() if (multiple := self.multiple_group(name, mine))],
            flaws=[flaw for row in self.postings if (flaw := self.flaw(row))],
        )
        return known.render(material)

    def inside(self, row: Any, question: Question) -> bool:
        window = question.window
        if row.standing is Standing.VERIFIED:
            return row.decided_on is not None and row.decided_on in window
        if row.ended_on is None:
            return bool(row.occurred_from < window.end and window.start < window.end)
        return row.ended_on in window

    def late(self, row: Any, question: Question) -> bool:
        if row.standing is not Standing.VERIFIED:
            return False
        return bool(row.late_by_quarter if question.late_rule is LateRule.QUARTER else row.ended_on < question.window.start)

    def group(self, mine: list[Any], question: Question) -> AffectedGroups:
        counted = [row for row in mine if row.type in CHILD_TYPES]
        return AffectedGroups(
            size=mine[0].size,
            on_time=any(not self.late(row, question) for row in counted),
            late=any(self.late(row, question) for row in counted),
        )

    def multiple_group(self, name: str, mine: list[Any]) -> MultipleGroup | None:
        types = {row.violation: row.type for row in mine if row.type in COUNTED_TYPES}
        if len(types) < 2:
            return None
        return MultipleGroup(id=name, size=mine[0].size, types=tuple(sorted(types.values())), violations=tuple(sorted(types)))

    def flaw(self, row: Posting) -> Flaw | None:
        if row.standing is not Standing.VERIFIED:
            return None
        lacks = (
            ("decided_on", row.decided_on is None),
            ("place", row.region is None),
            ("attribution", row.lines == ("_unattributed",)),
        )
        missing = tuple(name for name, missing in lacks if missing)
        return Flaw(violation=row.violation, missing=missing) if missing else None
