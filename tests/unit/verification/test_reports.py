"""What of a report stands in clear, what it lacks, and when a revision comes too late."""

import json
from datetime import date
from typing import Any
from uuid import UUID

from contracts.incident import IncidentReport
from contracts.situation import Place, Situation
from verification.domain.reports import CodedReport, code_report, precedes_a_decision

SITUATION = Situation(
    code="XAA",
    name="Example",
    time_zone="Asia/Kabul",
    places=[Place(code="XA01", name="North", level=1), Place(code="XA0102", name="Town", level=2, parent="XA01")],
    recipients={},
    version=1,
)


def coded(**changes: Any) -> CodedReport:
    document = {
        "situation": "XAA",
        "key": str(UUID(int=1)),
        "occurred_from": "2024-01-23",
        "place": "XA0102",
        "narrative": "CANARY narrative",
        "violations": [{"key": "k1", "type": "killing", "details": {"weapon_type": ["landmine"]}}],
        "victims": [{"key": "c1", "sex": "male", "age": 9, "name": "CANARY name", "violations": ["k1"]}],
        "perpetrators": [{"attribution": "unidentified", "violations": ["k1"]}],
        "sources": [
            {
                "category": "primary_witness",
                "type": "oral_testimony",
                "reliability": "high",
                "credibility": "high",
                "name": "CANARY source",
                "violations": ["k1"],
            }
        ],
        **changes,
    }
    return code_report(IncidentReport.model_validate_json(json.dumps(document)), SITUATION)


def test_a_complete_report_lacks_nothing_and_shows_its_region_only() -> None:
    report = coded()
    assert (report.region, report.violations[0].incomplete) == ("XA01", ())
    assert (report.violations[0].boys, report.violations[0].girls, report.violations[0].unknown) == (1, 0, 0)
    assert (report.violations[0].primary_sources, report.violations[0].secondary_sources) == (1, 0)


def test_nothing_confidential_is_coded() -> None:
    assert "CANARY" not in repr(coded())
    assert "XA0102" not in repr(coded())


def test_what_is_missing_is_named_in_order() -> None:
    bare = coded(
        place=None,
        narrative=None,
        violations=[{"key": "k1", "type": "killing", "unknown": 2}],
        victims=[],
        perpetrators=[],
        sources=[],
    )
    assert bare.violations[0].incomplete == ("place", "narrative", "sources", "perpetrators", "details", "sex")
    assert bare.region is None


def test_sources_that_are_only_secondary_or_unrated() -> None:
    report = coded(sources=[{"category": "secondary", "type": "document", "violations": ["k1"]}])
    assert report.violations[0].incomplete == ("primary_source", "ratings")
    assert (report.violations[0].primary_sources, report.violations[0].secondary_sources) == (0, 1)


def test_a_source_counts_for_the_violations_it_is_linked_to() -> None:
    two = [{"key": "k1", "type": "killing", "boys": 1}, {"key": "k2", "type": "attack_on_schools"}]
    report = coded(violations=two)
    assert [violation.primary_sources for violation in report.violations] == [1, 0]
    assert "details" not in report.violations[1].incomplete


def test_a_revision_precedes_no_decision_on_its_own_first_day() -> None:
    assert not precedes_a_decision(coded(), {"k1": date(2024, 1, 23)})
    assert precedes_a_decision(coded(), {"k1": date(2024, 1, 22)})


def test_decisions_on_what_a_revision_leaves_out_do_not_matter() -> None:
    assert not precedes_a_decision(coded(), {"k2": date(2020, 1, 1)})
