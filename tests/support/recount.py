"""Counts a made load by plain loops from the rules of counts.md; shares no code with the solver, the generator or aggregation."""

from datetime import date, timedelta
from typing import Any

GRAVE_OF = {
    "recruitment": "RU",
    "killing": "KM",
    "maiming": "KM",
    "sexual_violence": "SV",
    "attack_on_schools": "ASH",
    "attack_on_hospitals": "ASH",
    "abduction": "ABD",
    "denial_humanitarian_access": "DHA",
}
CHILD_TYPES = {"recruitment", "killing", "maiming", "sexual_violence", "abduction"}
SEX_COLUMN = {"male": "boys", "female": "girls", "unknown": "unknown"}


def _add(counts: dict[str, int], name: str, number: int) -> None:
    counts[name] = counts.get(name, 0) + number


def recount(load: Any, start: date, end: date) -> dict[str, int]:  # noqa: PLR0912 - one flat reading of the rules, nothing shared
    """Return every figure that is not zero by a name like those of the file, with lines and regions by their codes."""
    counts: dict[str, int] = {}
    window_end = end + timedelta(days=1)
    region_of = {}
    for place in load.situation["places"]:
        region_of[place["code"]] = place["code"] if place["level"] == 1 else region_of[place["parent"]]
    same = dict(load.same_child)
    children: dict[str, set[str]] = {}
    for case in load.cases:
        report = case.report
        ended = date.fromisoformat(report.get("occurred_to", report["occurred_from"]))
        decided = case.decided_on
        assert date.fromisoformat(report["occurred_from"]) <= case.focal_on <= case.technical_on <= decided
        if not start <= decided < window_end:
            continue
        main = not ended < start
        counting = set()
        for violation in report["violations"]:
            if violation["type"] == "military_use":
                if "military_use_of_school" in violation["details"]["military_use_type"]:
                    _add(counts, "military_use.schools", 1)
                continue
            linked = {"boys": 0, "girls": 0, "unknown": 0}
            for victim in report["victims"]:
                if violation["key"] in victim["violations"]:
                    linked[SEX_COLUMN[victim["sex"]]] += 1
            for group in report["groups"]:
                if violation["key"] in group["violations"]:
                    for column in linked:
                        linked[column] += group.get(column, 0)
            given = {column: violation[column] for column in linked if column in violation}
            tally = {column: given.get(column, 0) for column in linked} if given else linked
            child_type = violation["type"] in CHILD_TYPES
            amount = sum(tally.values()) if child_type else 1
            assert amount > 0
            if not main:
                _add(counts, "late_extra", amount)
                continue
            counting.add(violation["key"])
            grave = GRAVE_OF[violation["type"]]
            _add(counts, "total", amount)
            _add(counts, f"{grave}.n", amount)
            part = {"killing": "killed", "maiming": "maimed", "attack_on_schools": "schools", "attack_on_hospitals": "hospitals"}
            if violation["type"] in part:
                _add(counts, f"{grave}.{part[violation['type']]}", amount)
            if child_type:
                for column, number in tally.items():
                    _add(counts, f"{grave}.{column}", number)
                    assert number >= linked[column]
                    _add(counts, f"{column}", number - linked[column])
                    _add(counts, "children", number - linked[column])
            lines = set()
            for perpetrator in report["perpetrators"]:
                if violation["key"] in perpetrator["violations"]:
                    lines.add(perpetrator.get("party") or "_" + perpetrator["attribution"])
            for line in lines or {"_unattributed"}:
                _add(counts, f"{grave}.by.{line}", amount)
                _add(counts, f"by_party.{line}", amount)
            _add(counts, f"by_province.{region_of[report['place']] if 'place' in report else '_unknown'}", amount)
        for group in report["groups"]:
            if counting & set(group["violations"]):
                for column in ("boys", "girls", "unknown"):
                    _add(counts, column, group.get(column, 0))
                    _add(counts, "children", group.get(column, 0))
        for victim in report["victims"]:
            reference = f"{case.incident}/{victim['key']}"
            root = same.get(reference, reference)
            if counting & set(victim["violations"]):
                children.setdefault(root, set()).add(victim["sex"])
    for sexes in children.values():
        known = sexes - {"unknown"}
        _add(counts, SEX_COLUMN[known.pop()] if len(known) == 1 else "unknown", 1)
        _add(counts, "children", 1)
    return {name: number for name, number in counts.items() if number}
