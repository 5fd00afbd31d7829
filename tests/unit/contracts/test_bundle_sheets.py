"""Tables as rows: what is left out is a zero, what must always stand stands, and no text becomes a formula."""

import csv
import io
from typing import Any

from contracts.bundle.sheets import csv_bytes, sheet_names, sheet_of
from support.bundles import AFGHANISTAN, children, figures


def rows(name: str, tables: dict[str, Any], **changes: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_bytes(sheet_of(name, figures(tables, **changes))).decode(), newline="")))


def test_a_table_by_party_always_has_the_nameless_lines_and_the_distinct_total() -> None:
    shown = rows("verified_by_party", {"verified_by_party": {"pak": {"killing": 1, "total": 1}, "_all": {"killing": 1, "total": 1}}})
    assert [row[0] for row in shown[2:]] == ["pak", "_unidentified", "_unattributed", "_all"]
    assert [row[-1] for row in shown[2:]] == ["1", "0", "0", "1"]
    assert shown[0][:4] == ["Party line", "Name", "Recruitment or use", "Killing"]
    assert all(tag.startswith("#") for tag in shown[1])


def test_parties_stand_in_descending_order_before_the_nameless() -> None:
    shown = rows("by_grave_violation_and_party", AFGHANISTAN)
    assert [row[0] for row in shown[2:]] == ["taliban", "pak", "iskp", "nrf", "_unidentified", "_unattributed", "_joint", "_all"]
    assert shown[2][1] == "Taliban"
    assert shown[-1][2:] == ["11", "543", "6", "135", "2", "950"]


def test_zeros_that_a_table_leaves_out_are_written() -> None:
    assert rows("verified_incidents", {"verified_incidents": {"attack_on_schools": 2}})[2:] == [
        ["attack_on_schools", "Attack on school(s) or protected education personnel", "2"],
        ["attack_on_hospitals", "Attack on hospital(s) or protected medical personnel", "0"],
        ["denial_humanitarian_access", "Denial of humanitarian access", "0"],
    ]
    assert [row[2:] for row in rows("verified_children", {"verified_children": {"killing": children(1, 2, 3)}})[2:4]] == [
        ["0", "0", "0", "0"],
        ["1", "2", "3", "6"],
    ]


def test_a_name_cannot_become_a_formula() -> None:
    table = {"verified_by_party": {"pak": {"killing": 1, "total": 1}, "_all": {"killing": 1, "total": 1}}}
    for name in ("=HYPERLINK(1)", "+1", "-1", "@x"):
        assert rows("verified_by_party", table, parties={"pak": name})[2][1] == f"'{name}"


def test_names_with_quotes_line_ends_and_other_scripts_survive() -> None:
    name = 'Ομάδα "A", كابل\r\n武装'
    table = {"verified_by_party": {"pak": {"killing": 1, "total": 1}, "_all": {"killing": 1, "total": 1}}}
    assert rows("verified_by_party", table, parties={"pak": name})[2][1] == name


def test_a_table_of_unknown_form_is_written_leaf_by_leaf() -> None:
    assert rows("later", {"later": {"b": [1, {"c": "x"}], "a": None, "d": True}})[2:] == [
        ["a", ""],
        ["b/0", "1"],
        ["b/1/c", "x"],
        ["d", "True"],
    ]


def test_sheet_names_fit_and_are_never_the_same() -> None:
    tables = {f"by_detail.{'long' * 10}_{end}": {} for end in "abc"} | {"summary": {}, "about": {}}
    names = sheet_names(tables)
    assert len(set(names.values())) == len(tables)
    assert all(len(name) <= 31 for name in names.values())
    assert next(iter(names)) == "summary"
    assert "about" not in names.values()
