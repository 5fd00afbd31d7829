"""Placeholders are filled from the snapshot's tables and from nothing else."""

import pytest

from contracts.bundle.narrative import Position, UnknownPlaceholderError, fill, placeholder

TABLES = {
    "summary": {"violations": 1647, "by_grave_violation": {"abduction": 2}},
    "verified_children": {"killing": {"boys": 2, "girls": 1, "unknown": 0, "total": 3}},
    "verified_incidents": {"attack_on_schools": 4},
    "by_detail.weapon_type": {"killing": {"land.mine": 7}},
    "by_grave_violation_and_party": {"abduction": {"force.1": 5, "group 1": 6}},
    "by_grave_violation_and_parties": {"abduction": [{"lines": ["a"], "n": 8}]},
    "other": {"text": "12", "yes": True, "nothing": None},
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("nothing to fill { } }{ 5", "nothing to fill { } }{ 5"),
        ("{{summary.violations}}", "1,647"),
        ("a {{ summary.violations }} b {{summary/by_grave_violation/abduction}}.", "a 1,647 b 2."),
        ("{{verified_children.killing.boys + verified_children.killing.girls}}", "3"),
        ("{{verified_children.maiming.boys}} {{verified_incidents.denial_humanitarian_access}}", "0 0"),
        ("{{by_grave_violation_and_party/abduction/force.1}} {{by_grave_violation_and_party.abduction.group 1}}", "5 6"),
        ("{{by_grave_violation_and_parties.abduction.0.n}}", "8"),
        ("{{by_detail.weapon_type/killing/land.mine}}", "7"),
    ],
)
def test_a_known_placeholder_is_its_figure(text: str, filled: str) -> None:
    assert fill(text, TABLES) == filled


@pytest.mark.parametrize(
    "text",
    [
        "{{}}",
        "{{summary}}",
        "{{summary.}}",
        "{{summary.violation}}",
        "{{summary.by_grave_violation}}",
        "{{violations}}",
        "{{other.text}}",
        "{{other.yes}}",
        "{{other.nothing}}",
        "{{verified_children.kiling.boys}}",
        "{{verified_children.military_use.boys}}",
        "{{verified_incidents.killing}}",
        "{{by_grave_violation_and_parties.abduction.1.n}}",
        "{{by_grave_violation_and_parties.abduction.-1.n}}",
        "{{by_grave_violation_and_parties.abduction.²}}",
        "{{summary.violations + summary.wrong}}",
        "{{summary.violations - summary.violations}}",
        "{{summary.violations",
        "summary.violations}}",
        "{{{{summary.violations}}}}",
        "{{summary\n.violations}}",
        "{{__class__.x}}",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(UnknownPlaceholderError):
        fill(text, TABLES)


def test_every_refused_placeholder_is_named_by_its_position() -> None:
    with pytest.raises(UnknownPlaceholderError) as refused:
        fill("{{a.b}} ok {{summary.violations}}\n  {{c.d}}\nén {{e", TABLES)
    assert refused.value.positions == [Position(1, 1), Position(2, 3), Position(3, 4)]


@pytest.mark.parametrize("path", [("summary", "violations"), ("by_grave_violation_and_party", "abduction", "force.1")])
def test_a_written_placeholder_is_read_again(path: tuple[str, ...]) -> None:
    node: object = TABLES
    for step in path:
        node = node[step]  # type: ignore[index]
    assert fill(placeholder(path), TABLES) == f"{node:,}"


@pytest.mark.parametrize("code", ["a{b", "a}}", "a + b", "a "])
def test_a_code_that_no_placeholder_can_hold_is_refused_in_writing(code: str) -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        placeholder(("by_grave_violation_and_party", code))
