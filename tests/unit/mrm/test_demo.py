"""The demo's incidents have exactly the published figures, and figures that contradict one another are found before anything is made."""

import json
from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from contracts.incident import IncidentReport, check_incident
from contracts.situation import SituationDraft, check_situation
from mrm.demo.comparison import compare, parameters, tables_needed
from mrm.demo.figures import (
    NO_ACTOR,
    UNIDENTIFIED,
    Figures,
    UnreadableFiguresError,
    figures_of,
    line_of,
    name_of,
    published_file,
    read_figures,
)
from mrm.demo.incidents import Load, WindowNotYetError, make_load
from mrm.demo.solver import ContradictionError, solve
from support.recount import recount

TODAY = date(2026, 1, 1)
PUBLISHED = json.loads(published_file())["situations"]


def counted_name(path: tuple[str, ...], load: Load) -> str:
    if path[0] == "by_province":
        return f"by_province.{load.place_codes[path[-1]]}"
    if path[0] == "by_party" or "by" in path:
        line = line_of(path[-1])
        return name_of((*path[:-1], line if line in (UNIDENTIFIED, NO_ACTOR) else load.party_codes[line]))
    return name_of(path)


def assert_exact(figures: Figures) -> Load:
    load = make_load(figures, solve(figures), code="X-1", today=TODAY)
    counts = recount(load, figures.start, figures.end)
    counted = {name_of(path): counts.get(counted_name(path, load), 0) for path in figures.values}
    assert counted == {name_of(path): value for path, value in figures.values.items()}
    return load


def entry(**fields: Any) -> dict[str, Any]:
    return {"id": "X", "situation": "Anywhere", "start": "2024-01-01", "end": "2024-03-31", **fields}


@pytest.mark.parametrize("published", PUBLISHED, ids=[entry["id"] for entry in PUBLISHED])
def test_a_published_situation_comes_out_exactly(published: dict[str, Any]) -> None:
    load = assert_exact(figures_of(published))
    situation = SituationDraft.model_validate_json(json.dumps(load.situation))
    assert check_situation(situation) == []
    for case in load.cases:
        report = IncidentReport.model_validate_json(json.dumps(case.report))
        assert check_incident(report, situation, today=TODAY, first=True) == []


def test_children_who_suffered_two_are_made_from_the_difference() -> None:
    assignment = solve(figures_of(PUBLISHED[0]))
    twice = [child for child in assignment.children if len(child) == 2]
    assert len(assignment.children) == 559
    assert sorted(assignment.units[child[0]].sex or "" for child in twice) == ["female", "male", "male"]
    assert sum(len(child) for child in assignment.children) == 562


def test_some_incidents_hold_several_violations_and_children() -> None:
    load = assert_exact(figures_of(PUBLISHED[0]))
    assert any(len(case.report["violations"]) > 1 for case in load.cases)
    assert any(len(case.report["victims"]) > 1 for case in load.cases)
    assert len({case.incident for case in load.cases}) == len(load.cases)


def test_the_same_code_gives_the_same_load_and_another_code_other_incidents() -> None:
    figures = figures_of(PUBLISHED[3])
    first = make_load(figures, solve(figures), code="A", today=TODAY)
    assert first == make_load(figures, solve(figures), code="A", today=TODAY)
    other = make_load(figures, solve(figures), code="B", today=TODAY)
    assert not {case.incident for case in first.cases} & {case.incident for case in other.cases}


def test_the_rest_is_unknown_unattributed_or_without_place() -> None:
    figures = figures_of(entry(total=10, KM={"n": 6, "boys": 2, "girls": 1, "by": {"A": 4}}, by_province={"North": 7}))
    assignment = solve(figures)
    killed_and_maimed = [unit for unit in assignment.units if unit.type in ("killing", "maiming")]
    assert sum(unit.sex == "unknown" for unit in killed_and_maimed) == 3
    assert sum(unit.line is None for unit in killed_and_maimed) == 2
    assert sum(unit.region is None for unit in assignment.units) == 3
    others = [unit for unit in assignment.units if unit.type not in ("killing", "maiming")]
    assert len(others) == 4
    assert all(unit.sex in (None, "unknown") and unit.line is None for unit in others)


def test_violations_beyond_those_given_are_spread_over_the_other_types() -> None:
    assignment = solve(figures_of(entry(total=30, KM={"n": 5}, DHA={"n": 5})))
    kinds = [unit.type for unit in assignment.units]
    assert sum(kind in ("killing", "maiming") for kind in kinds) == 5
    assert sum(kind == "denial_humanitarian_access" for kind in kinds) == 5
    assert {"recruitment", "sexual_violence", "abduction"} <= set(kinds)


def test_a_child_whose_violations_lie_in_two_regions_is_linked_across_incidents() -> None:
    figures = figures_of(entry(total=2, children=1, RU={"n": 1}, ABD={"n": 1}, by_province={"North": 1, "South": 1}))
    assert len(assert_exact(figures).same_child) == 1


def test_a_record_of_unknown_sex_can_belong_to_a_known_boy() -> None:
    figures = figures_of(entry(children=1, boys=1, unknown=0, RU={"n": 1, "boys": 1}, ABD={"n": 1, "unknown": 1}))
    assert len(assert_exact(figures).same_child) == 1


CONTRADICTIONS: list[tuple[dict[str, Any], set[str]]] = [
    ({"total": 5, "KM": {"n": 6}}, {"total", "KM.n"}),
    ({"KM": {"n": 5, "killed": 2, "maimed": 2}}, {"KM.n", "KM.killed", "KM.maimed"}),
    ({"ASH": {"n": 5, "schools": 3, "hospitals": 3}}, {"ASH.n", "ASH.schools", "ASH.hospitals"}),
    ({"SV": {"n": 3, "boys": 2, "girls": 2}}, {"SV.n", "SV.boys", "SV.girls"}),
    ({"SV": {"n": 5, "boys": 2, "girls": 2, "unknown": 0}}, {"SV.n", "SV.boys", "SV.girls", "SV.unknown"}),
    ({"RU": {"n": 4, "by": {"A": 3, "B": 2}}}, {"RU.n", "RU.by.A", "RU.by.B"}),
    ({"total": 4, "by_province": {"North": 3, "South": 2}}, {"total", "by_province.North", "by_province.South"}),
    ({"total": 4, "by_party": {"A": 5}}, {"total", "by_party.A"}),
    ({"KM": {"by": {"A": 5}}, "by_party": {"A": 4}}, {"KM.by.A", "by_party.A"}),
    ({"children": 5, "boys": 3, "girls": 3}, {"children", "boys", "girls"}),
    ({"children": 5, "boys": 2, "girls": 2, "unknown": 0}, {"children", "boys", "girls", "unknown"}),
    ({"total": 4, "children": 5}, {"total", "children"}),
    ({"children": 0, "KM": {"n": 1}}, {"children", "KM.n"}),
    ({"girls": 0, "KM": {"girls": 1}}, {"girls", "KM.girls"}),
    ({"RU": {"by": {"unidentified men": 1, "Unidentified forces": 2}}}, {"RU.by.unidentified men", "RU.by.Unidentified forces"}),
    (
        {"total": 9, **{code: {"n": 1} for code in ("RU", "KM", "SV", "ASH", "ABD", "DHA")}},
        {"total", "RU.n", "KM.n", "SV.n", "ASH.n", "ABD.n", "DHA.n"},
    ),
]


@pytest.mark.parametrize(("fields", "named"), CONTRADICTIONS, ids=[",".join(sorted(named)) for _, named in CONTRADICTIONS])
def test_a_contradiction_names_the_figures_that_cannot_both_hold(fields: dict[str, Any], named: set[str]) -> None:
    with pytest.raises(ContradictionError) as raised:
        solve(figures_of(entry(late_extra=3, military_use={"schools": 1}, **fields)))
    assert {name_of(path) for path in raised.value.paths} == named
    assert all(name in str(raised.value) for name in named)


# Random situations: incidents counted by the plain recount give marginals that hold by construction.
UNITS = st.lists(
    st.tuples(
        st.sampled_from(["RU", "KM:killed", "KM:maimed", "SV", "ABD", "ASH:schools", "ASH:hospitals", "DHA"]),
        st.sampled_from(["boys", "girls", "unknown"]),
        st.sampled_from(["A", "B", "UXO", "Unidentified group", None]),
        st.sampled_from(["North", "South", None]),
        st.integers(0, 12),  # the child, where it is one
    ),
    max_size=40,
)


def counted_marginals(units: list[tuple[str, str, str | None, str | None, int]]) -> dict[str, Any]:
    found: dict[str, Any] = {code: {"n": 0, "by": {}} for code in ("RU", "KM", "SV", "ASH", "ABD", "DHA")}
    found |= {"total": len(units), "by_party": {}, "by_province": {}, "late_extra": len(units) // 3}
    found["KM"] |= {"killed": 0, "maimed": 0}
    found["ASH"] |= {"schools": 0, "hospitals": 0}
    children: dict[int, str] = {}
    for kind, sex, party, province, child in units:
        code, _, part = kind.partition(":")
        block = found[code]
        block["n"] += 1
        if part:
            block[part] += 1
        if code not in ("ASH", "DHA"):
            own = children.setdefault(child, sex)
            block[own] = block.get(own, 0) + 1
        if party is not None:
            block["by"][party] = block["by"].get(party, 0) + 1
            found["by_party"][party] = found["by_party"].get(party, 0) + 1
        if province is not None:
            found["by_province"][province] = found["by_province"].get(province, 0) + 1
    found |= {sex: list(children.values()).count(sex) for sex in ("boys", "girls", "unknown")}
    found["children"] = len(children)
    return found


def without(found: Mapping[str, Any], dropped: set[int]) -> dict[str, Any]:
    figures = figures_of(entry(**found))
    kept: dict[str, Any] = {}
    for number, (path, value) in enumerate(figures.values.items()):
        if number in dropped:
            continue
        block = kept
        for step in path[:-1]:
            block = block.setdefault(step, {})
        block[path[-1]] = value
    return kept


@settings(max_examples=150, deadline=None)
@given(UNITS, st.sets(st.integers(0, 60)))
def test_any_figures_counted_from_incidents_can_be_made_again(units: list[Any], dropped: set[int]) -> None:
    assert_exact(figures_of(entry(**without(counted_marginals(units), dropped))))


@settings(max_examples=150, deadline=None)
@given(UNITS, st.integers(0, 200), st.integers(-3, 3), st.sets(st.integers(0, 60)))
def test_any_changed_figure_is_either_made_exactly_or_named_in_a_smallest_contradiction(
    units: list[Any], which: int, change: int, dropped: set[int]
) -> None:
    found = figures_of(entry(**without(counted_marginals(units), dropped)))
    assume(found.values)
    path = list(found.values)[which % len(found.values)]
    changed = Figures(
        id="X",
        situation="X",
        start=found.start,
        end=found.end,
        document="",
        values={**found.values, path: max(0, found.values[path] + change)},
    )
    try:
        assert_exact(changed)
    except ContradictionError as contradiction:
        named = frozenset(contradiction.paths)
        assert path in named
        for one in named:
            assert_exact(changed.only(named - {one}))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("{", "JSON"),
        ('{"situations": 3}', "situations"),
        (json.dumps({"situations": [entry(), entry()]}), "--id"),
        (json.dumps(entry(total=-1)), "total"),
        (json.dumps(entry(total=True)), "total"),
        (json.dumps(entry(KM={"by": {"A": "3"}})), "KM.by.A"),
        (json.dumps(entry(KM=4)), "KM"),
        (json.dumps({**entry(), "start": "soon"}), "start"),
        (json.dumps({**entry(), "end": "2023-01-01"}), "end"),
        (json.dumps({**entry(), "id": 5}), "id"),
    ],
)
def test_an_unreadable_file_names_the_field(text: str, field: str) -> None:
    with pytest.raises(UnreadableFiguresError, match=field):
        read_figures(text, None)


def test_fields_without_a_table_and_null_are_ignored() -> None:
    figures = figures_of(entry(total=None, KM={"n": 1, "cause": {"mines": 1}, "boys": None}, note="x", DHA={"boys": 3}))
    assert dict(figures.values) == {("KM", "n"): 1}


def test_a_window_that_has_not_begun_cannot_be_made() -> None:
    figures = figures_of({**entry(total=1), "start": "2030-01-01", "end": "2030-12-31"})
    with pytest.raises(WindowNotYetError):
        make_load(figures, solve(figures), code="X", today=TODAY)


def test_no_decision_lies_in_the_future_of_a_window_still_open() -> None:
    figures = figures_of({**entry(total=50), "start": "2025-12-01", "end": "2026-12-31"})
    load = make_load(figures, solve(figures), code="X", today=TODAY)
    assert all(figures.start <= case.decided_on <= TODAY for case in load.cases)
    days = sorted(case.decided_on for case in load.cases)
    assert all(earlier <= later for earlier, later in pairwise(days))


def test_every_figure_has_a_place_in_the_answers_and_a_missing_number_is_zero() -> None:
    published = entry(
        total=9, children=5, boys=2, girls=2, unknown=1, late_extra=4, by_party={"Group A": 3, "UXO": 1}, by_province={"North": 6},
        military_use={"schools": 2},
        KM={"n": 5, "killed": 2, "maimed": 3, "boys": 2, "by": {"unidentified men": 1}},
        ASH={"n": 4, "schools": 4, "hospitals": 0},
    )  # fmt: skip
    figures = figures_of(published)
    load = make_load(figures, solve(figures), code="X", today=TODAY)
    answers: dict[str, Any] = {
        "summary": {
            "violations": 9,
            "by_grave_violation": {"killing_and_maiming": 5, "attacks_on_schools_and_hospitals": 4},
            "children": {"boys": 2, "girls": 2, "unknown": 1, "total": 5},
            "late": {"violations": 4},
        },
        "verified_children": {"killing": {"boys": 1, "total": 2}, "maiming": {"boys": 1, "total": 3}},
        "verified_incidents": {"attack_on_schools": 4},
        "by_grave_violation_and_party": {"killing_and_maiming": {"_unidentified": 1, "_all": 5}},
        "verified_by_party": {"group_a": {"killing": 3, "total": 3}, "_no_actor": {"total": 1}},
        "verified_by_region": {"north": {"total": 6}},
        "context": {"military_use": {"military_use_of_school": 2, "total": 2}},
    }
    assert set(tables_needed(figures)) == set(answers)
    compared = compare(figures, load, answers)
    assert [one.name for one in compared if one.difference] == []
    assert len(compared) == len(figures.values)
    answers["verified_by_region"] = {}
    assert [(one.name, one.difference) for one in compare(figures, load, answers) if one.difference] == [("by_province.North", -6)]


def test_the_window_of_every_query_is_half_open_and_late_is_beside() -> None:
    assert parameters(figures_of(PUBLISHED[0])) == {"from": "2024-01-01", "to": "2025-01-01", "late_rule": "window", "late": "beside"}
