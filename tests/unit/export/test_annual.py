"""The sentence patterns of the annual report."""

import copy
from datetime import date
from typing import Any

import pytest

from contracts.bundle.manifest import Window
from contracts.bundle.narrative import fill
from export.report.annual import narrative
from support.bundles import AFGHANISTAN, SMALL, children, figures, six


def told(tables: dict[str, Any] | None = None, **changes: Any) -> dict[str, str]:
    shown = figures(tables, **changes)
    return {section.section: fill(section.text, shown.tables) for section in narrative(shown)}


def test_the_published_situation_reads_like_the_report() -> None:
    assert told() == {
        "Overview": "The United Nations verified 1,647 grave violations against 559 children (434 boys, 125 girls) and 244 grave "
        "violations that occurred in previous years.",
        "Recruitment and use": "Recruitment and use of 11 children (11 boys), attributed to Taliban (11).",
        "Killing and maiming": "Killing (180) and maiming (363) of 543 children (422 boys, 121 girls), attributed to Pakistan armed forces "
        "(50), Taliban (22), ISIL-KP (10), NRF (4), NRF and Taliban jointly (3) and unidentified perpetrators (454).",
        "Sexual violence": "Sexual violence against 6 children (2 boys, 4 girls), attributed to Taliban (5) and unidentified "
        "perpetrators (1).",
        "Attacks on schools and hospitals": "Attacks on schools (48) and hospitals (87), attributed to Taliban (128), NRF (1) and "
        "unidentified perpetrators (6).",
        "Abduction": "Abduction of 2 children (1 boy, 1 girl), attributed to Taliban (2).",
        "Denial of humanitarian access": "950 incidents of the denial of humanitarian access to children, attributed to Taliban (941) and "
        "unidentified perpetrators (9).",
        "Recorded beside the six grave violations": "Military use of schools and hospitals: 31 (military use of school 31). 4 children "
        "(3 boys, 1 girl) deprived of liberty for alleged association with parties to the conflict.",
    }


def test_every_figure_is_a_placeholder() -> None:
    for section in narrative(figures()):
        outside = "".join(part.split("}}")[-1] for part in section.text.split("{{"))
        assert not any(letter.isdigit() for letter in outside), section.text


def test_zero_items_are_left_out() -> None:
    sections = told(SMALL)
    assert list(sections) == ["Overview", "Recruitment and use", "Denial of humanitarian access"]
    assert sections["Overview"] == "The United Nations verified 3 grave violations against 2 children (1 boy, 1 girl)."
    assert sections["Denial of humanitarian access"] == "1 incident of the denial of humanitarian access to children."


def test_nothing_verified_is_said() -> None:
    nothing = {"violations": 0, "by_grave_violation": six(), "children": children(0, 0)}
    assert told({"summary": nothing | {"late": nothing}}) == {
        "Overview": "The United Nations verified no grave violations against children in the period."
    }


def test_only_late_violations_are_said() -> None:
    nothing = {"violations": 0, "by_grave_violation": six(), "children": children(0, 0)}
    late = {"violations": 1, "by_grave_violation": six(dha=1), "children": children(0, 0)}
    assert told({"summary": nothing | {"late": late}})["Overview"] == (
        "The United Nations verified 0 grave violations and 1 grave violation that occurred in previous years."
    )


def test_late_inside_and_other_windows_are_worded_so() -> None:
    inside = told(params={"late": "inside", "late_rule": "window"})["Overview"]
    assert inside.endswith(", including 244 grave violations that occurred in previous years.")
    month = told(window=Window(from_=date(2024, 2, 1), to=date(2024, 3, 1)))["Overview"]
    assert month.endswith(" and 244 grave violations that occurred before the period.")


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["nrf", "taliban", "_joint"], "NRF and Taliban jointly (2)"),
        (["nrf", "pak", "taliban", "_joint"], "NRF, Pakistan armed forces and Taliban jointly (2)"),
        (["nrf", "taliban", "_crossfire"], "crossfire between NRF and Taliban (2)"),
        (["nrf", "_unidentified", "_crossfire"], "crossfire involving NRF and unidentified perpetrators (2)"),
        (["_unattributed"], "perpetrators not recorded (2)"),
        (["_no_actor"], "no actor (explosive remnants of war) (2)"),
        (["_alleged"], "alleged perpetrators only (2)"),
        ([], "perpetrators not recorded (2)"),
        (["unheard of"], "unheard of (2)"),
    ],
)
def test_a_set_of_parties_is_named_as_a_set(lines: list[str], words: str) -> None:
    tables = SMALL | {"by_grave_violation_and_parties": {"recruitment_and_use": [{"lines": lines, "n": 2}]}}
    assert told(tables)["Recruitment and use"].endswith(f" {words}.")


def test_without_the_sets_the_lines_are_used_and_their_overlap_is_said() -> None:
    tables = copy.deepcopy(AFGHANISTAN)
    del tables["by_grave_violation_and_parties"]
    text = told(tables)
    assert text["Killing and maiming"].endswith("A violation attributed to several parties stands under each of them.")
    assert "several" not in text["Abduction"]


def test_a_name_cannot_be_read_as_a_placeholder() -> None:
    text = told(parties={"taliban": "{{summary.violations}}", "pak": "a\nb"})
    assert "((summary.violations)) (11)" in text["Recruitment and use"]
    assert "a b (50)" in text["Killing and maiming"]


def test_codes_that_no_placeholder_can_hold_still_give_their_figure() -> None:
    tables = SMALL | {"by_grave_violation_and_party": {"recruitment_and_use": {"a{b}": 2, "_all": 2}}}
    assert told(tables, parties={"a{b}": "Name"})["Recruitment and use"].endswith("attributed to Name (2).")
