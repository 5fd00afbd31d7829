"""The printed report: the figures and the narrative laid out by typst, without a network, system fonts or a clock of its own."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import typst

from contracts.bundle.manifest import Approval, Figures
from contracts.bundle.sheets import CHILD_COLUMNS, INCIDENT_COLUMNS, Cell, line_name, ordered_lines
from contracts.vocabulary import GRAVE_VIOLATIONS, label

_SEXES = ("boys", "girls", "unknown", "total")
_MEMO = ("_joint", "_crossfire")
_TITLES = {"annual": "Annual report input"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What is printed. `narrative` is titles and texts with their figures filled in."""

    submission: str
    product: str
    figures: Figures
    narrative: Sequence[tuple[str, str]]
    digest: str
    approvals: Sequence[Approval]
    created_at: datetime


def pdf(report: Report) -> bytes:
    """Return the report, the same bytes for the same report: as PDF/A, or as plain PDF if a name needs a letter that no font here has."""
    data = json.dumps(_printable(_content(report)), ensure_ascii=False)
    try:
        return _compiled(data, report.created_at, standard="a-2b")
    except typst.TypstError:
        return _compiled(data, report.created_at, standard=None)


def _compiled(data: str, created_at: datetime, *, standard: Literal["a-2b"] | None) -> bytes:
    return typst.compile(
        _template(),
        format="pdf",
        font_paths=_fonts(),
        sys_inputs={"data": data},
        pdf_standards=standard,
        timestamp=int(created_at.timestamp()),
    )


def _printable(node: Any) -> Any:  # noqa: ANN401 - JSON
    """Leave out what cannot be printed, such as control characters; line ends stay."""
    if isinstance(node, dict):
        return {key: _printable(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_printable(value) for value in node]
    if isinstance(node, str):
        return "".join(letter for letter in node if letter.isprintable() or letter in "\n\t\u200c\u200d\u200e\u200f")
    return node


@cache
def _template() -> bytes:
    return (files("export.report") / "report.typ").read_bytes()


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=False)


def _content(report: Report) -> dict[str, Any]:
    figures = report.figures
    tables = figures.tables
    inside = figures.params.get("late") == "inside"
    return {
        "title": f"Children and armed conflict: {figures.situation.name}",
        "product": _TITLES[report.product],
        "period": _period(figures),
        "late_heading": "of which late" if inside else "Late (earlier periods)",
        "late_note": (
            "Late: decided in the period, occurred before it; here inside the figures."
            if inside
            else "Late: decided in the period, occurred before it; stands beside the figures and is not part of them."
        ),
        "key": _key_figures(tables["summary"]),
        "narrative": [{"section": title, "paragraphs": _paragraphs(text)} for title, text in report.narrative],
        "tables": [
            table for table in (_by_violation(tables), _children(tables), _types(tables), _parties(figures), _context(tables)) if table
        ],
        "exceptions": _exceptions(tables),
        "provenance": [
            ["Submission", report.submission],
            ["Situation", f"{figures.situation.name} ({figures.situation.code}), days in {figures.situation.time_zone}"],
            ["Figures", f"snapshot {figures.snapshot}, position {figures.position}, as of {_instant(figures.as_of)}"],
            ["Counting rules", f"{figures.rules}; {', '.join(f'{key}: {value}' for key, value in sorted(figures.params.items()))}"],
            ["Content approved (SHA-256)", report.digest],
            *(
                [
                    f"Approved, {'United Nations' if approval.role == 'cochair_un' else 'UNICEF'} co-chair",
                    f"{approval.name}, {_instant(approval.approved_at)}",
                ]
                for approval in report.approvals
            ),
        ],
        "created": _instant(report.created_at),
        "date": [report.created_at.year, report.created_at.month, report.created_at.day],
    }


def _key_figures(summary: dict[str, Any]) -> list[list[str]]:
    children = summary["children"]
    by_sex = ", ".join(
        f"{children[column]:,} {word}"
        for column, word in (("boys", "boys"), ("girls", "girls"), ("unknown", "sex unknown"))
        if children[column]
    )
    return [
        [f"{summary['violations']:,}", "verified grave violations", ""],
        [f"{children['total']:,}", "children affected, each once", by_sex],
        [f"{summary['late']['violations']:,}", "late violations", "verified in the period, occurred before"],
    ]


def _by_violation(tables: dict[str, Any]) -> dict[str, Any]:
    columns = [tables["summary"], tables["summary"]["late"]]
    header = ["Violation", "Verified", "LATE"]
    note = ""
    if "summary_previous" in tables:
        columns.append(tables["summary_previous"])
        header.append("Verified in the period before")
        note = "The period before is as long as this one and ends where this one begins."
    rows: list[list[Cell]] = [
        [label("grave_violation", code), *(column["by_grave_violation"][code] for column in columns)] for code in GRAVE_VIOLATIONS
    ]
    total: list[Cell] = ["All grave violations", *(column["violations"] for column in columns)]
    return _table("Verified grave violations", header, rows, total=total, note=note)


def _children(tables: dict[str, Any]) -> dict[str, Any]:
    summary = tables["summary"]
    names = ("Boys", "Girls", "Sex unknown")
    late = summary["late"]["children"]
    rows: list[list[Cell]] = [[name, summary["children"][sex], late[sex]] for name, sex in zip(names, _SEXES[:3], strict=True)]
    return _table(
        "Children affected",
        ["", "Children", "LATE"],
        rows,
        total=["All children", summary["children"]["total"], late["total"]],
        note="Each child once, whatever the number of violations; so this is not the sum of a column of violations.",
    )


def _types(tables: dict[str, Any]) -> dict[str, Any] | None:
    if "verified_children" not in tables or "verified_incidents" not in tables:
        return None
    children, incidents = tables["verified_children"], tables["verified_incidents"]
    rows: list[list[Cell]] = [
        [label("violation_type", kind), *(children[kind][sex] for sex in _SEXES)] for kind in CHILD_COLUMNS if kind in children
    ]
    rows += [[label("violation_type", kind), "", "", "", incidents[kind]] for kind in INCIDENT_COLUMNS if kind in incidents]
    if not rows:
        return None
    return _table(
        "By type and sex",
        ["Type", "Boys", "Girls", "Sex unknown", "Total"],
        rows,
        note="Attacks and the denial of humanitarian access count incidents, the others children.",
    )


def _parties(figures: Figures) -> dict[str, Any] | None:
    table = figures.tables.get("by_grave_violation_and_party")
    if table is None:
        return None
    totals: dict[str, int] = {}
    for lines in table.values():
        for line, amount in lines.items():
            totals[line] = totals.get(line, 0) + amount

    def row(line: str) -> list[Cell]:
        return [line_name(line, figures), *(table.get(code, {}).get(line, 0) for code in GRAVE_VIOLATIONS), totals.get(line, 0)]

    lines = ordered_lines(totals)
    rows = [row(line) for line in lines if line not in (*_MEMO, "_all") or (line in _MEMO and totals[line])]
    return _table(
        "By party",
        [LINE_HEADING, "RU", "KM", "SV", "ASH", "ABD", "DHA", "All"],
        rows,
        total=row("_all"),
        note="The lines do not add up to the last one: a violation of several parties stands under each of them, and the last line counts "
        "each violation once. RU recruitment and use, KM killing and maiming, SV sexual violence, ASH attacks on schools and hospitals, "
        "ABD abduction, DHA denial of humanitarian access.",
    )


LINE_HEADING = "Attributed to"


def _context(tables: dict[str, Any]) -> dict[str, Any] | None:
    context = tables.get("context")
    if context is None:
        return None
    use, liberty = context["military_use"], context["deprivation_liberty"]
    rows: list[list[Cell]] = [["Military use of schools and hospitals", use.get("total", 0)]]
    rows += [[f"    {_use(code)}", use[code]] for code in sorted(use) if code != "total"]
    rows += [["Children deprived of liberty for alleged association", liberty["total"]]]
    return _table("Recorded beside the six", ["", "Figure"], rows, note="Never part of a total above.")


def _use(code: str) -> str:
    try:
        return label("military_use_type", code)
    except KeyError:
        return "Kind not recorded"


def _exceptions(tables: dict[str, Any]) -> str:
    count = len(tables.get("exceptions", []))
    if not count:
        return ""
    return f"{count:,} verified violations lack a date, a region or an attribution; they are listed in the exceptions table of the bundle."


def _table(title: str, header: list[str], rows: list[list[Cell]], *, total: list[Cell] | None = None, note: str = "") -> dict[str, Any]:
    return {
        "title": title,
        "header": header,
        "rows": [[_text(cell) for cell in row] for row in rows],
        "total": [_text(cell) for cell in total] if total else None,
        "note": note,
    }


def _text(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else cell


def _paragraphs(text: str) -> list[str]:
    return [paragraph.strip() for paragraph in text.replace("\r\n", "\n").split("\n\n") if paragraph.strip()]


def _period(figures: Figures) -> str:
    start, end = figures.window.from_, figures.window.to
    return f"{_day(start)} to {_day(max(start, end - timedelta(days=1)))}"


def _day(day: date) -> str:
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"


def _instant(instant: datetime) -> str:
    return f"{_day(instant.date())}, {instant:%H:%M} UTC"


_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")
