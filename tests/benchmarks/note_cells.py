"""The note for Quix Streams and Faust: what one incident adds to the fourteen tables of a window. Nothing but the standard library.

Sections 2 and 3 of the counting rules, written once more, for one window that is known beforehand and without links between violations or
children. They keep an incident's case, in short form, and its cells with it; `note_of` adds the cells of all incidents up at the end.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
TALLIED = ("killing", "maiming", "recruitment", "sexual_violence", "abduction")
INCIDENTS = ("attack_on_schools", "attack_on_hospitals", "denial_humanitarian_access")
COUNTED = frozenset((*TALLIED, *INCIDENTS))
PARTS = ("verified", "late", "unverified")
PENDING = ("report_pending_verification", None, None)
UNVERIFIED = frozenset(("report_pending_verification", "reported_not_verified"))
COLUMNS = ("boys", "girls", "unknown")
COLUMN_OF = {"male": 0, "female": 1, "unknown": 2}


def keep(case: Json, event: Json, plan: Json) -> Json:
    """Take one more event of an incident into its case and find its cells again."""
    if "decision" in event:
        attribution = event.get("attribution")
        lines = None if attribution is None else lines_of(attribution)
        case.setdefault("decisions", {})[event["violation"]] = (event["outcome"], event.get("decided_on"), lines)
    else:
        case |= coded(event, plan["regions"])
    return case | cells_of(case, plan["from"], plan["to"])


def coded(event: Json, regions: Json) -> Json:
    """Return what the note needs of an incident's coded facts."""
    begun, members = event["occurred_from"], event["victims"] + event["groups"]
    violations = []
    for violation in event["violations"]:
        key, kind = violation["key"], violation["type"]
        tally = sizes_of(violation)
        if kind in TALLIED and violation.keys().isdisjoint(COLUMNS):
            linked = [sizes_of(member) for member in members if key in member["violations"]]
            tally = [sum(column) for column in zip((0, 0, 0), *linked, strict=True)]
        violations.append((key, kind, tally, lines_of([entry for entry in event["perpetrators"] if key in entry["violations"]])))
    return {
        "begun": begun,
        "ended": None if event.get("ongoing") else event.get("occurred_to") or begun,
        "region": regions.get(event.get("place")) or "_unknown",
        "violations": violations,
        "members": [
            ([member.get("age"), member["sex"]] if "sex" in member else sizes_of(member), member["violations"])
            for member in members
            if len(member["violations"]) > 1
        ],
    }


def sizes_of(entry: Json) -> list[int]:
    """Return boys, girls and children of unknown sex of a tally, a group or a victim."""
    if "sex" in entry:
        return [int(COLUMN_OF[entry["sex"]] == column) for column in range(3)]
    return [entry.get(column, 0) for column in COLUMNS]


def lines_of(entries: list[Json]) -> list[str]:
    """Return the lines by party that a violation stands under, besides `_all`."""
    lines = {entry["party"] for entry in entries if entry["attribution"] in ("sole", "joint", "crossfire")}
    return [*lines, *{f"_{entry['attribution']}" for entry in entries if entry["attribution"] != "sole"}] or ["_unattributed"]


def cells_of(case: Json, start: str, end: str) -> Json:
    """Return an incident's cells in the window, and its children and groups with two or more verified violations."""
    cells, verified, decisions = [], {}, case.get("decisions", {})
    for key, kind, tally, reported in case.get("violations", ()):
        outcome, decided, lines = decisions.get(key, PENDING)
        ended = case["ended"]
        if kind not in COUNTED:
            continue
        if outcome == "verified":
            if decided is None or not start <= decided < end:
                continue
            verified[key] = kind
            part = 1 if ended is not None and quarter_of(decided) > quarter_of(ended) else 0
        elif outcome in UNVERIFIED and (case["begun"] < end if ended is None else start <= ended < end):
            part = 2
        else:
            continue
        cells.append((part, kind, tally, reported if lines is None else lines))
    multiple = []
    for who, keys in case.get("members", ()):
        kinds = sorted(verified[key] for key in keys if key in verified)
        if len(kinds) > 1:
            multiple.append((who, kinds))
    return {"cells": cells, "multiple": multiple}


def quarter_of(day: str) -> tuple[str, int]:
    """Return the calendar quarter of a day."""
    return day[:4], (int(day[5:7]) - 1) // 3


def note_of(cases: Iterable[Json]) -> Json:
    """Add all cells up to the fourteen tables."""
    note: Json = {f"{part}_{table}": {} for part in PARTS for table in ("children", "incidents", "by_party", "by_region")}
    children, groups = [], []

    def add(table: str, row: str, column: str, number: int) -> None:
        if number:
            into = note[table].setdefault(row, Counter())
            into[column] += number
            into["total"] += number

    for case in cases:
        for part, kind, tally, lines in case["cells"]:
            name, amount = PARTS[part], sum(tally) if kind in TALLIED else 1
            if kind in INCIDENTS:
                table = note[f"{name}_incidents"]
                table[kind] = table.get(kind, 0) + 1
            elif amount:
                for column, number in zip(COLUMNS, tally, strict=True):
                    note[f"{name}_children"].setdefault(kind, dict.fromkeys((*COLUMNS, "total"), 0))
                    add(f"{name}_children", kind, column, number)
            for line in ("_all", *lines):
                add(f"{name}_by_party", line, kind, amount)
            add(f"{name}_by_region", case["region"], kind, amount)
        for who, kinds in case["multiple"]:
            (children if len(who) == 2 else groups).append((who, kinds))
    children.sort(key=lambda child: (child[0][0] is None, child[0][0] or 0, child[0][1], child[1]))
    note["children_multiple"] = [{"sex": sex, "age": age, "violations": kinds} for (age, sex), kinds in children]
    note["groups_multiple"] = [dict(zip(COLUMNS, sizes, strict=True)) | {"violations": kinds} for sizes, kinds in sorted(groups)]
    return note
