"""Counts again, independently: plain Python over lists, written from the counting page alone; it shares no code with the product.

An act is ("incident", {...}), ("decision", {...}) or ("link", {...}) as in an exchange file. What is known at a moment is the acts up
to it. Slow and obvious on purpose.
"""
# ruff: noqa: ANN001, ANN201, ANN204, PLR0911, PLR0912 - lists of dictionaries as the file has them, and one long list of tables

from copy import copy
from datetime import date, timedelta

CHILD_TYPES = ["killing", "maiming", "recruitment", "sexual_violence", "abduction"]
INCIDENT_TYPES = ["attack_on_schools", "attack_on_hospitals", "denial_humanitarian_access"]
COUNTED = CHILD_TYPES + INCIDENT_TYPES
GRAVE = {
    "recruitment_and_use": ["recruitment"],
    "killing_and_maiming": ["killing", "maiming"],
    "sexual_violence": ["sexual_violence"],
    "attacks_on_schools_and_hospitals": ["attack_on_schools", "attack_on_hospitals"],
    "abduction": ["abduction"],
    "denial_of_humanitarian_access": ["denial_humanitarian_access"],
}
COLUMN = {"male": "boys", "female": "girls", "unknown": "unknown"}
BANDS = [("0_5", 0, 5), ("6_10", 6, 10), ("11_13", 11, 13), ("14_17", 14, 17)]
QUARTER_RULE_TABLES = ["children_multiple", "groups_multiple"] + [
    f"{part}_{what}" for part in ("verified", "late", "unverified") for what in ("children", "incidents", "by_party", "by_region")
]


def acts_of(document, steps=None):
    """The acts of a file's first steps in their order."""
    acts = []
    for step in document["steps"][:steps]:
        acts += [("incident", incident) for incident in step.get("incidents", [])]
        acts += [("decision", decision) for decision in step.get("decisions", [])]
        acts += [("link", link) for link in step.get("links", [])]
    return acts


def day(text):
    return date.fromisoformat(text) if text else None


def quarter(of):
    return (of.year, (of.month + 2) // 3)


class Oracle:
    def __init__(self, situation, acts):
        self.places = {place["code"]: place for place in situation["places"]}
        self.incidents = {}
        self.decision = {}
        self.duplicates = []
        self.same = []
        self.known_children = None
        for kind, act in acts:
            if kind == "incident":
                self.incidents[act["key"]] = act
            elif kind == "decision":
                if act["stage"] == "ctfmr":
                    self.decision[act["violation"]] = act
            elif act["kind"] == "duplicate":
                self.duplicates.append((act["violation"], act["of"]))
            elif act["kind"] == "not_duplicate":
                self.duplicates.remove((act["violation"], act["of"]))
            elif act["kind"] == "same_child":
                self.same.append({act["victim"], act["of"]})
            else:
                self.same.remove({act["victim"], act["of"]})
        self.violations = [
            self.describe(incident, violation) for incident in self.incidents.values() for violation in incident["violations"]
        ]
        held = {violation["ref"] for violation in self.violations}
        hidden = {one for one, of in self.duplicates if one in held and of in held}
        self.counting = [violation for violation in self.violations if violation["ref"] not in hidden]
        self.records = {
            f"{incident['key']}/{victim['key']}": victim for incident in self.incidents.values() for victim in incident.get("victims", [])
        }

    def describe(self, incident, violation):
        ref = f"{incident['key']}/{violation['key']}"
        decision = self.decision.get(ref)
        victims = [victim for victim in incident.get("victims", []) if violation["key"] in victim["violations"]]
        groups = [group for group in incident.get("groups", []) if violation["key"] in group["violations"]]
        linked = dict.fromkeys(("boys", "girls", "unknown"), 0)
        for victim in victims:
            linked[COLUMN[victim["sex"]]] += 1
        for group in groups:
            for column in linked:
                linked[column] += group.get(column, 0)
        if any(column in violation for column in linked):
            tally = {column: violation.get(column, 0) for column in linked}
        elif violation["type"] in CHILD_TYPES or violation["type"] == "deprivation_liberty":
            tally = dict(linked)
        else:
            tally = dict.fromkeys(linked, 0)
        if decision is not None and decision.get("attribution") is not None:
            entries = decision["attribution"]
        else:
            entries = [entry for entry in incident.get("perpetrators", []) if violation["key"] in entry["violations"]]
        return {
            "ref": ref,
            "type": violation["type"],
            "status": decision["outcome"] if decision else "report_pending_verification",
            "decided_on": day(decision.get("decided_on")) if decision else None,
            "occurred_from": day(incident["occurred_from"]),
            "ongoing": bool(incident.get("ongoing")),
            "occurred_to": day(incident.get("occurred_to")) or day(incident["occurred_from"]),
            "tally": tally,
            "beyond": {column: tally[column] - linked[column] for column in linked},
            "victims": [f"{incident['key']}/{victim['key']}" for victim in victims],
            "groups": [(f"{incident['key']}/{group['key']}", group) for group in groups],
            "amount": sum(tally.values()) if violation["type"] in CHILD_TYPES else 1,
            "lines": self.lines(entries),
            "entries": entries,
            "region": self.region(incident.get("place")),
            "details": violation.get("details", {}),
        }

    def region(self, place):
        while place is not None:
            if self.places[place]["level"] == 1:
                return place
            place = self.places[place].get("parent")
        return None

    def lines(self, entries):
        lines = []
        for entry in entries:
            kind = entry["attribution"]
            if kind in ("sole", "joint", "crossfire"):
                lines.append(entry["party"])
            if kind in ("joint", "crossfire", "alleged", "unidentified", "no_actor"):
                lines.append("_" + kind)
        if not entries:
            lines = ["_unattributed"]
        return sorted(set(lines))

    # sets of a window

    def verified(self, start, end, types=COUNTED):
        return [
            violation
            for violation in self.counting
            if violation["type"] in types
            and violation["status"] == "verified"
            and violation["decided_on"] is not None
            and start <= violation["decided_on"] < end
        ]

    def is_late(self, violation, start, rule):
        ended = violation["decided_on"] if violation["ongoing"] else violation["occurred_to"]
        if rule == "window":
            return ended < start
        return quarter(violation["decided_on"]) > quarter(ended)

    def unverified(self, start, end):
        found = []
        for violation in self.counting:
            if violation["type"] not in COUNTED or violation["status"] not in ("report_pending_verification", "reported_not_verified"):
                continue
            if violation["ongoing"]:
                if not violation["occurred_from"] < end:
                    continue
                ended = end - timedelta(days=1)
            else:
                ended = violation["occurred_to"]
            if start <= ended < end:
                found.append(violation)
        return found

    # children

    def children(self):
        """All distinct children as sets of records."""
        if self.known_children is not None:
            return self.known_children
        groups = [{record} for record in self.records]
        for pair in self.same:
            if pair <= set(self.records):
                touched = [group for group in groups if group & pair]
                groups = [group for group in groups if not group & pair] + [set().union(*touched)]
        self.known_children = groups
        return groups

    def sex(self, child):
        known = {self.records[record]["sex"] for record in child} - {"unknown"}
        return known.pop() if len(known) == 1 else "unknown"

    def age(self, child, violations):
        linked = {record for violation in violations for record in violation["victims"]}
        ages = [self.records[record]["age"] for record in child & linked if self.records[record].get("age") is not None]
        return min(ages) if ages else None

    def children_in(self, violations):
        linked = {record for violation in violations for record in violation["victims"]}
        return [child for child in self.children() if child & linked]

    def groups_in(self, violations):
        return {name: group for violation in violations for name, group in violation["groups"]}

    def children_affected(self, violations):
        violations = [violation for violation in violations if violation["type"] in CHILD_TYPES]
        result = {"boys": 0, "girls": 0, "unknown": 0}
        for child in self.children_in(violations):
            result[COLUMN[self.sex(child)]] += 1
        for group in self.groups_in(violations).values():
            for column in ("boys", "girls", "unknown"):
                result[column] += group.get(column, 0)
        for violation in violations:
            for column in ("boys", "girls", "unknown"):
                result[column] += violation["beyond"][column]
        return {**result, "total": sum(result.values())}

    # tables

    def answer(self, table, start, end, params=None):
        start, end, params = day(start), day(end), params or {}
        rule = params.get("late_rule", "quarter" if table in QUARTER_RULE_TABLES else "window")
        verified = self.verified(start, end)
        late = [violation for violation in verified if self.is_late(violation, start, rule)]
        on_time = [violation for violation in verified if not self.is_late(violation, start, rule)]
        main = verified if params.get("late") == "inside" else on_time
        part, _, what = table.partition("_")
        if what in ("children", "incidents", "by_party", "by_region") and part in ("verified", "late", "unverified"):
            chosen = {"verified": main, "late": late, "unverified": self.unverified(start, end)}[part]
            return getattr(self, "of_" + what)(chosen)
        if table == "summary":
            return {**self.head(main), "late": self.head(late)}
        if table == "by_grave_violation_and_party":
            return {
                grave: rows
                for grave, types in GRAVE.items()
                if (rows := self.amounts([v for v in main if v["type"] in types], lambda v: [*v["lines"], "_all"]))
            }
        if table == "by_grave_violation_and_parties":
            answer = {}
            for grave, types in GRAVE.items():
                sets = {}
                for violation in main:
                    if violation["type"] in types:
                        key = tuple(violation["lines"])
                        sets[key] = sets.get(key, 0) + violation["amount"]
                if sets:
                    answer[grave] = [{"lines": list(k), "n": n} for k, n in sorted(sets.items(), key=lambda item: (-item[1], item[0]))]
            return answer
        if table == "by_detail":
            return {
                kind: rows
                for kind in COUNTED
                if (rows := self.amounts([v for v in main if v["type"] == kind], lambda v: self.codes(v, params["field"])))
            }
        if table == "ages":
            counted = [violation for violation in main if violation["type"] in CHILD_TYPES]
            answer = {}
            for child in self.children_in(counted):
                age = self.age(child, counted)
                band = next((name for name, low, high in BANDS if age is not None and low <= age <= high), "unknown")
                answer[band] = answer.get(band, 0) + 1
            return answer
        if table == "context":
            beside = self.verified(start, end, ["military_use", "deprivation_liberty"])
            uses = [violation for violation in beside if violation["type"] == "military_use"]
            deprived = [violation["tally"] for violation in beside if violation["type"] == "deprivation_liberty"]
            liberty = {column: sum(tally[column] for tally in deprived) for column in ("boys", "girls", "unknown")}
            return {
                "military_use": {**self.amounts(uses, lambda v: self.codes(v, "military_use_type")), "total": len(uses)},
                "deprivation_liberty": {**liberty, "total": sum(liberty.values())},
            }
        if table == "trend":
            return [
                {"from": first.isoformat(), "to": last.isoformat(), **self.numbers(self.verified(first, last))}
                for first, last in self.parts(start, end, params.get("by", "quarter"))
            ]
        if table == "children_multiple":
            return self.multiple_children(verified)
        if table == "groups_multiple":
            return self.multiple_groups(verified)
        assert table == "exceptions", table
        return self.flaws()

    def amounts(self, violations, keys):
        counts = {}
        for violation in violations:
            for key in keys(violation):
                counts[key] = counts.get(key, 0) + violation["amount"]
        return counts

    def of_children(self, violations):
        answer = {}
        for kind in CHILD_TYPES:
            mine = [violation for violation in violations if violation["type"] == kind]
            if mine:
                row = {column: sum(violation["tally"][column] for violation in mine) for column in ("boys", "girls", "unknown")}
                answer[kind] = {**row, "total": sum(row.values())}
        return answer

    def of_incidents(self, violations):
        return self.amounts([violation for violation in violations if violation["type"] in INCIDENT_TYPES], lambda v: [v["type"]])

    def of_by_party(self, violations):
        lines = {line for violation in violations for line in [*violation["lines"], "_all"]}
        return {
            line: self.amounts([v for v in violations if line == "_all" or line in v["lines"]], lambda v: [v["type"], "total"])
            for line in lines
        }

    def of_by_region(self, violations):
        regions = {violation["region"] for violation in violations}
        return {
            region or "_unknown": self.amounts([v for v in violations if v["region"] == region], lambda v: [v["type"], "total"])
            for region in regions
        }

    def codes(self, violation, field):
        return set(violation["details"].get(field, [])) or {"_none"}

    def head(self, violations):
        return {**self.numbers(violations), "children": self.children_affected(violations)}

    def numbers(self, violations):
        return {
            "violations": sum(violation["amount"] for violation in violations),
            "by_grave_violation": {
                grave: sum(violation["amount"] for violation in violations if violation["type"] in types) for grave, types in GRAVE.items()
            },
        }

    def parts(self, start, end, by):
        length = {"month": 1, "quarter": 3, "year": 12}[by]
        first = start
        while first < end:
            last = first + timedelta(days=1)
            while not (last.day == 1 and (last.month - 1) % length == 0):
                last += timedelta(days=1)
            yield first, min(last, end)
            first = last

    def multiple_children(self, violations):
        found = []
        for child in self.children():
            mine = [violation for violation in violations if child & set(violation["victims"])]
            if len(mine) >= 2:
                found.append({"sex": self.sex(child), "age": self.age(child, mine), "violations": sorted(v["type"] for v in mine)})
        return sorted(found, key=lambda c: (c["age"] is None, c["age"] or 0, c["sex"], c["violations"]))

    def multiple_groups(self, violations):
        found = []
        for name, group in self.groups_in(violations).items():
            mine = [violation for violation in violations if name in [other for other, _ in violation["groups"]]]
            if len(mine) >= 2:
                sizes = {column: group.get(column, 0) for column in ("boys", "girls", "unknown")}
                found.append({**sizes, "violations": sorted(v["type"] for v in mine)})
        return sorted(found, key=lambda g: (g["boys"], g["girls"], g["unknown"], g["violations"]))

    def flaws(self):
        found = []
        for violation in self.counting:
            if violation["status"] == "verified":
                missing = [
                    name
                    for name, lacks in (
                        ("decided_on", violation["decided_on"] is None),
                        ("place", violation["region"] is None),
                        ("attribution", not violation["entries"]),
                    )
                    if lacks
                ]
                if missing:
                    found.append({"violation": violation["ref"], "missing": missing})
        return sorted(found, key=lambda flaw: flaw["violation"])

    # contributors

    def only(self, violation):
        """The same moment as if one violation alone counted: of an amount, its share."""
        alone = copy(self)
        alone.counting = [violation]
        return alone

    def behind(self, table, start, end, params, path):
        """The violations through which the children of a number of `summary` or `ages` are counted."""
        first, last, params = day(start), day(end), params or {}
        rule = params.get("late_rule", "window")
        verified = self.verified(first, last, CHILD_TYPES)
        if path[0] == "late":
            chosen = [violation for violation in verified if self.is_late(violation, first, rule)]
        elif params.get("late") == "inside":
            chosen = verified
        else:
            chosen = [violation for violation in verified if not self.is_late(violation, first, rule)]
        found = set()
        for child in self.children_in(chosen):
            age = self.age(child, chosen)
            band = next((name for name, low, high in BANDS if age is not None and low <= age <= high), "unknown")
            if path[-1] in ("total", COLUMN[self.sex(child)]) if table == "summary" else path[-1] == band:
                found |= {violation["ref"] for violation in chosen if child & set(violation["victims"])}
        if table == "summary":
            columns = ["boys", "girls", "unknown"] if path[-1] == "total" else [path[-1]]
            for violation in chosen:
                sizes = [violation["beyond"], *(group for _, group in violation["groups"])]
                if any(size.get(column, 0) for size in sizes for column in columns):
                    found.add(violation["ref"])
        return found
