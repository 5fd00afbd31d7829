"""The bundle: the same in gives the same out, in every form the same figures."""

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path

import openpyxl
import pytest
from pypdf import PdfReader

from aggregation.domain.tables import TABLES
from contracts.bundle.archive import read_archive
from contracts.bundle.dsse import SignedManifest
from contracts.bundle.manifest import MANIFEST, SIGNATURES, NarrativeSource, Section
from contracts.bundle.sheets import sheet_names, sheet_of
from contracts.bundle.sums import contradictions
from export.bundle import bundle_files
from mrm.bundle_checks import check_bundle
from mrm.workbook import cells_of, read_workbook
from support.bundles import AFGHANISTAN, CREATED_AT, SMALL, approvals, content, figures, keys, signed
from support.pure_counting import PureHouse

EXCHANGE = Path(__file__).parents[2] / "data" / "exchange"


def test_two_builds_are_the_same_byte_for_byte() -> None:
    of = content()
    one, two = (bundle_files(of, approvals=approvals(of), created_at=CREATED_AT) for _ in range(2))
    assert one == two
    first, second = (dict(read_archive(signed(of).raw)) for _ in range(2))
    assert {name for name in first if first[name] != second[name]} == {SIGNATURES}
    ed25519 = [SignedManifest.model_validate_json(files[SIGNATURES]).signatures[0] for files in (first, second)]
    assert ed25519[0] == ed25519[1]


def test_a_later_moment_changes_nothing_but_what_says_so() -> None:
    of = content()
    later = datetime(2026, 1, 1, tzinfo=UTC)
    one = bundle_files(of, approvals=approvals(of), created_at=CREATED_AT)
    two = bundle_files(of, approvals=approvals(of), created_at=later)
    assert {name for name in one if one[name] != two[name]} == {"figures.xlsx", "report.pdf"}


def test_the_manifest_says_what_the_bundle_is() -> None:
    of = content()
    manifest = json.loads(dict(read_archive(signed(of).raw))[MANIFEST])
    assert {key: manifest[key] for key in manifest if key not in ("files", "approvals")} == {
        "format": "mrm-bundle/1",
        "submission": str(of.submission),
        "product": "annual",
        "situation": {"code": "AFG", "name": "Afghanistan", "time_zone": "Asia/Kabul"},
        "window": {"from": "2024-01-01", "to": "2025-01-01"},
        "rules": "counts/1",
        "params": {"late": "beside", "late_rule": "window"},
        "as_of": "2025-02-01T12:00:00Z",
        "position": 3201,
        "snapshot": str(figures().snapshot),
        "previous": None,
        "created_at": "2025-03-04T10:30:00.250000Z",
    }
    assert [(one["role"], one["name"], one["digest"]) for one in manifest["approvals"]] == [
        ("cochair_un", "Amina Ó Briain", of.digest),
        ("cochair_unicef", "Björn Åkesson", of.digest),
    ]


def test_the_workbook_opens_and_holds_the_tables() -> None:
    files = dict(read_archive(signed(content()).raw))
    book = openpyxl.load_workbook(io.BytesIO(files["figures.xlsx"]), data_only=False)
    names = sheet_names(AFGHANISTAN)
    assert book.sheetnames == ["about", *names.values()]
    for table, name in names.items():
        sheet = sheet_of(table, figures())
        cells = [tuple("" if cell is None else cell for cell in row) for row in book[name].iter_rows(values_only=True)]
        assert cells == [sheet.header, sheet.tags, *sheet.rows], table
        assert list(csv.reader(io.StringIO(files[f"tables/{table}.csv"].decode(), newline=""))) == [
            [str(cell) for cell in row] for row in cells
        ]
    about = {row[0]: row[1] for row in book["about"].iter_rows(values_only=True)}
    assert (about["Situation"], about["Position"]) == ("Afghanistan", 3201)


def test_the_verifier_reads_every_text_that_a_workbook_can_hold() -> None:
    awkward = {"pak": "_x0041_ =1+1 <b>&amp;\t\n", "taliban": " spaces ", "nrf": "كابل 😀", "iskp": "http://x"}
    shown = figures(parties=awkward)
    files = dict(read_archive(signed(content(shown)).raw))
    sheets = read_workbook(files["figures.xlsx"])
    sheet = sheet_of("by_grave_violation_and_party", shown)
    assert sheets["by_grave_violation_and_party"] == cells_of([sheet.header, sheet.tags, *sheet.rows])
    assert all(check.ok for check in check_bundle(signed(content(shown)).raw, keys().trust))


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def test_the_report_says_the_figures_the_narrative_and_who_approved() -> None:
    of = content()
    pdf = bundle_files(of, approvals=approvals(of), created_at=CREATED_AT)["report.pdf"]
    text = text_of(pdf)
    for said in (
        "Children and armed conflict: Afghanistan",
        "1 January 2024 to 31 December 2024",
        "The United Nations verified 1,647 grave violations against 559 children",
        "All grave violations 1,647 244",
        "All children 559 43",
        "Taliban 11 25 5 128 2 941 1,112",
        "Unidentified perpetrators 0 454 1 6 0 9 470",
        "Unattributed 0 0 0 0 0 0 0",
        "All violations, each once 11 543 6 135 2 950 1,647",
        "The lines do not add up to the last one",
        "Military use of schools and hospitals 31",
        "Amina Ó Briain, 4 March 2025, 10:10 UTC",
        of.digest,
    ):
        assert said in text, said
    facts = PdfReader(io.BytesIO(pdf)).metadata
    assert facts is not None
    assert (facts.title, facts.creation_date) == ("Children and armed conflict: Afghanistan", datetime(2025, 3, 4, tzinfo=UTC))


def test_the_report_is_an_archive_document() -> None:
    of = content()
    pdf = bundle_files(of, approvals=approvals(of), created_at=CREATED_AT)["report.pdf"]
    assert b"pdfaid" in pdf


@pytest.mark.parametrize("name", ["طالبان", "武装部队", "😀", "\x1b[2J", "#let x = 1 $x$ *b* _i_ `c` <a> @b \\ // /*", "\u200f\u202e"])
def test_no_name_or_text_hinders_the_report_or_is_read_as_markup(name: str) -> None:
    shown = figures(parties={"taliban": name}, places={"AF01": name})
    shown = shown.model_copy(update={"situation": shown.situation.model_copy(update={"name": name})})
    text = "".join(letter for letter in name if letter.isprintable()) or "empty"
    of = content(shown, NarrativeSource(sections=[Section(section=text, text=f"{text}\n\n{text}")]))
    files = bundle_files(of, approvals=approvals(of), created_at=CREATED_AT)
    assert files["report.pdf"].startswith(b"%PDF")
    if name.startswith("#let"):
        assert name in text_of(files["report.pdf"])


def test_the_late_part_can_be_inside() -> None:
    of = content(figures(SMALL, params={"late": "inside", "late_rule": "window"}))
    text = text_of(bundle_files(of, approvals=approvals(of), created_at=CREATED_AT)["report.pdf"])
    assert "of which late" in text


@pytest.mark.parametrize("file", ["example", "history1", "G1"])
def test_whatever_the_rules_count_becomes_a_bundle_that_verifies(file: str) -> None:
    document = json.loads((EXCHANGE / f"{file}.json").read_text("utf-8"))
    house = PureHouse(document, len(document["steps"]))
    start, end = min(query["from"] for query in document["queries"]), max(query["to"] for query in document["queries"])
    params = {"late": "beside", "late_rule": "window"}
    tables = {name: house.answer(name, start, end, params) for name, table in TABLES.items() if not table.asks_field}
    tables |= {"by_detail.weapon_type": house.answer("by_detail", start, end, params | {"field": "weapon_type"})}
    tables |= {"summary_previous": house.answer("summary", "2000-01-01", "2001-01-01", params)}
    assert contradictions(tables, params=params) == []
    shown = figures(json.loads(json.dumps(tables)), params=params, parties={})
    checks = check_bundle(signed(content(shown)).raw, keys().trust)
    assert all(check.ok for check in checks), checks
