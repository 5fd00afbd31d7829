"""What of a file stands in its situation: an import goes on behind it, and what is not of the file is named."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from contracts.exchange import ExchangeFile
from mrm.exchange_plan import Plan
from mrm.exchange_standing import Standing, standing_of

Records = list[dict[str, Any]]
TODAY = date(2026, 1, 1)
SITUATION = {"code": "S", "name": "S", "time_zone": "UTC", "parties": [{"code": "force", "type": "armed_force", "name": "Force"}]}


def incident(key: str, **fields: Any) -> dict[str, Any]:
    return {
        "key": key,
        "occurred_from": "2024-01-10",
        "violations": [{"key": "k1", "type": "killing"}],
        "victims": [{"key": "c1", "sex": "male", "violations": ["k1"]}],
        **fields,
    }


def decision(violation: str, stage: str = "ctfmr", **fields: Any) -> dict[str, Any]:
    return {"violation": violation, "stage": stage, "outcome": "verified", "decided_on": "2024-02-01", **fields}


FILE = ExchangeFile.model_validate_json(
    json.dumps(
        {
            "format": "mrm-exchange/1",
            "situation": SITUATION,
            "steps": [
                {
                    "incidents": [incident("i1"), incident("i2")],
                    "decisions": [
                        decision("i1/k1", attribution=[{"party": "force", "attribution": "sole"}]),
                        {"violation": "i2/k1", "stage": "technical", "outcome": "verified"},
                        decision("i2/k1"),
                    ],
                    "links": [{"kind": "same_child", "victim": "i2/c1", "of": "i1/c1"}],
                },
                {
                    "incidents": [incident("i1", ongoing=True)],
                    "decisions": [decision("i1/k1", outcome="not_mrm")],
                    "links": [{"kind": "not_same_child", "victim": "i1/c1", "of": "i2/c1"}],
                },
            ],
        }
    )
)


def plan() -> Plan:
    return Plan(situation="S", today=TODAY, vetted=False, keep_ids=True)


ONE, TWO = plan().incident_id("i1"), plan().incident_id("i2")


def recorded_incident(key: str, **fields: Any) -> dict[str, Any]:
    """Return a report as the service writes it: absent fields null, pseudonyms for the keys of children."""
    found = incident(key, occurred_to=None, ongoing=None, place=None, groups=[], perpetrators=[], sources=[], note=None)
    found["violations"] = [{"key": "k1", "type": "killing", "boys": None, "girls": None, "unknown": None, "details": {}}]
    found["victims"] = [{"key": f"pseudonym-{key}", "sex": "male", "age": None, "violations": ["k1"]}]
    return {"recorded": 1, "incident": {**found, "key": plan().incident_id(key), **fields}}


def recorded_decision(violation: str, stage: str = "ctfmr", **fields: Any) -> dict[str, Any]:
    return {"recorded": 1, "decision": decision(violation, stage, **{"attribution": None, **fields})}


def recorded_link(kind: str, victim: str, of: str) -> dict[str, Any]:
    return {"recorded": 1, "link": {"kind": kind, "victim": victim, "of": of}}


def everything() -> Records:
    """Return what is recorded when the whole file has come through; the filled-in day was that of the import."""
    return [
        recorded_incident("i2"),
        recorded_incident("i1"),
        recorded_decision(f"{TWO}/k1", "focal_point", decided_on="2025-12-30"),
        recorded_decision(f"{TWO}/k1", "technical", decided_on="2025-12-30"),
        recorded_decision(f"{ONE}/k1", attribution=[{"party": "force", "attribution": "sole"}]),
        recorded_decision(f"{TWO}/k1"),
        recorded_link("same_child", f"{TWO}/pseudonym-i2", f"{ONE}/pseudonym-i1"),
        recorded_incident("i1", ongoing=True),
        recorded_decision(f"{ONE}/k1", outcome="not_mrm"),
        recorded_link("not_same_child", f"{TWO}/pseudonym-i2", f"{ONE}/pseudonym-i1"),
    ]


def standing(records: Records) -> Standing:
    return standing_of(FILE, plan, records)


def sent(known: Standing) -> list[tuple[str, str]]:
    """Return what the import still sends beside reports: slot and file reference of decisions, kinds of links."""
    rest = Plan(situation="S", today=TODAY, vetted=False, keep_ids=True, decided=dict(known.decided), linked=known.linked)
    found: list[tuple[str, str]] = []
    for number, step in enumerate(FILE.steps):
        rest.reports(step)
        found += [(one.slot, rest.file_reference(line["violation"])) for one in rest.rounds(step, number) for line in one.lines]
        links, places = rest.links(step, number)
        found += [(link["kind"], place) for link, place in zip(links, places, strict=True)]
    return found


def test_nothing_stands_in_an_empty_situation() -> None:
    assert standing([]) == Standing()
    assert len(sent(standing([]))) == 7


@pytest.mark.parametrize("count", range(11))
def test_an_import_goes_on_behind_whatever_stands(count: int) -> None:
    known = standing(everything()[:count])
    assert known.strangers == ()
    assert known.size == count
    recorded = sum("incident" not in record for record in everything()[:count])
    assert len(sent(known)) == 7 - recorded


def test_a_decision_is_left_out_in_its_place_only() -> None:
    known = standing(everything()[:6])
    assert sent(known) == [("same_child", "steps[0].links[0]"), ("import", "i1/k1"), ("not_same_child", "steps[1].links[0]")]


STRANGERS: dict[str, tuple[Callable[[Records], object], str]] = {
    "an incident of nobody here": (lambda r: r[0]["incident"].update(key="x"), "incident x"),
    "another day": (lambda r: r[1]["incident"].update(occurred_from="2024-01-11"), "steps[0].incidents[0]"),
    "another child": (lambda r: r[1]["incident"]["victims"][0].update(age=3), "steps[0].incidents[0]"),
    "a revision the file has otherwise": (lambda r: r[7]["incident"].update(ongoing=None), "steps[1].incidents[0]"),
    "a revision the file has not": (lambda r: r.append(recorded_incident("i2")), "steps[0].incidents[1]"),
    "another outcome": (lambda r: r[4]["decision"].update(outcome="not_mrm"), "i1/k1"),
    "another stage": (lambda r: r[4]["decision"].update(stage="technical"), "i1/k1"),
    "another day of the task force": (lambda r: r[5]["decision"].update(decided_on="2024-02-02"), "i2/k1"),
    "another attribution": (lambda r: r[4]["decision"].update(attribution=[]), "i1/k1"),
    "one more decision": (lambda r: r.append(recorded_decision(f"{TWO}/k1", outcome="not_mrm")), "i2/k1"),
    "another link": (lambda r: r[6]["link"].update(of=f"{TWO}/k1"), "i2/c1 and i2/k1"),
    "one more link": (lambda r: r.append(recorded_link("same_child", f"{TWO}/pseudonym-i2", f"{ONE}/pseudonym-i1")), "i2/c1 and i1/c1"),
}


@pytest.mark.parametrize("name", list(STRANGERS))
def test_what_is_not_of_the_file_is_named(name: str) -> None:
    change, expected = STRANGERS[name]
    records = everything()
    change(records)
    assert any(stranger.startswith(expected) for stranger in standing(records).strangers), standing(records).strangers
