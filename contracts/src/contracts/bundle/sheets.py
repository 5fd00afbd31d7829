"""Each table as rows of text and numbers, the same in CSV, workbook and report; a zero that a table leaves out is written here."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.bundle.manifest import Figures
from contracts.bundle.shapes import base_of
from contracts.vocabulary import GRAVE_VIOLATIONS, label

Cell = str | int

COLUMNS: Final = (
    "recruitment",
    "killing",
    "maiming",
    "sexual_violence",
    "attack_on_schools",
    "attack_on_hospitals",
    "abduction",
    "denial_humanitarian_access",
)
"""The eight counted types in report order."""
CHILD_COLUMNS: Final = ("recruitment", "killing", "maiming", "sexual_violence", "abduction")
INCIDENT_COLUMNS: Final = ("attack_on_schools", "attack_on_hospitals", "denial_humanitarian_access")
LINE_NAMES: Final = {
    "_alleged": "Alleged only",
    "_unidentified": "Unidentified perpetrators",
    "_no_actor": "No actor (explosive remnants of war)",
    "_unattributed": "Unattributed",
    "_joint": "of which joint (memo)",
    "_crossfire": "of which crossfire (memo)",
    "_all": "All violations, each once",
    "_unknown": "Region unknown",
}
ALWAYS: Final = ("_unidentified", "_unattributed", "_all")
"""Lines that every rendered table by party carries, a zero too (C8)."""
ABOUT_SHEET: Final = "about"
MAX_SHEET_NAME: Final = 31
_ORDER: Final = (
    "summary",
    "by_grave_violation_and_party",
    "verified_children",
    "verified_incidents",
    "verified_by_party",
    "verified_by_region",
)
_LAST: Final = ("_alleged", "_unidentified", "_no_actor", "_unattributed", "_joint", "_crossfire", "_all")
_SEX_COLUMNS: Final = (
    ("boys", "#affected+children+m"),
    ("girls", "#affected+children+f"),
    ("unknown", "#affected+children+i"),
    ("total", "#affected+children"),
)


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table as rows. `tags` are the HXL hashtags of the columns."""

    header: tuple[str, ...]
    tags: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def sheet_of(name: str, figures: Figures) -> Sheet:
    """Return one table of the figures as rows; the tables must have their form (`shapes.misshapen`)."""
    data = figures.tables[name]
    render = _RENDER.get(base_of(name))
    return render(data, figures) if render is not None else _any(data, figures)


def sheet_names(tables: Mapping[str, Any]) -> dict[str, str]:
    """Return the workbook's sheet for each table, in their order: at most 31 characters, none twice."""
    names: dict[str, str] = {}
    for table in sorted(tables, key=lambda table: (_ORDER.index(table) if table in _ORDER else len(_ORDER), table)):
        name = table[:MAX_SHEET_NAME]
        if name in names.values() or name == ABOUT_SHEET:
            name = f"{table[: MAX_SHEET_NAME - 4]}~{len(names)}"
        names[table] = name
    return names


def about_rows(figures: Figures) -> list[tuple[str, Cell]]:
    """Return what the figures are of, as pairs of a label and a value."""
    return [
        ("Situation", figures.situation.name),
        ("Situation code", figures.situation.code),
        ("Time zone", figures.situation.time_zone),
        ("From (inclusive)", figures.window.from_.isoformat()),
        ("To (exclusive)", figures.window.to.isoformat()),
        ("Counting rules", figures.rules),
        *((f"Parameter {key}", value) for key, value in sorted(figures.params.items())),
        ("Known as of", figures.as_of.isoformat()),
        ("Position", figures.position),
        ("Snapshot", str(figures.snapshot)),
        ("Note", "Lines by party do not add up: a violation of several parties stands under each. Its total counts each violation once."),
    ]


def csv_bytes(sheet: Sheet) -> bytes:
    """Return the table as CSV (RFC 4180, UTF-8): a row of headings, a row of HXL tags, the rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    for row in (sheet.header, sheet.tags, *sheet.rows):
        writer.writerow([_harmless(cell) for cell in row])
    return text.getvalue().encode()


def ordered_lines(lines: Mapping[str, int]) -> list[str]:
    """Return the lines of a table by party: parties in descending order, then those without a party, memo lines, and all."""
    named = sorted((line for line in lines if line not in _LAST), key=lambda line: (-lines[line], line))
    return named + [line for line in _LAST if line in lines or line in ALWAYS]


def line_name(line: str, figures: Figures) -> str:
    """Return how a line is called in print."""
    return LINE_NAMES.get(line) or figures.parties.get(line) or line


def _harmless(cell: Cell) -> Cell:
    """Keep a spreadsheet from reading a text as a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _children(data: Mapping[str, Mapping[str, int]], _: Figures) -> Sheet:
    return Sheet(
        ("Violation type", "Name", "Boys", "Girls", "Sex unknown", "Children"),
        ("#event+type+code", "#event+type+name", *(tag for _, tag in _SEX_COLUMNS)),
        tuple(
            (kind, label("violation_type", kind), *(data.get(kind, {}).get(column, 0) for column, _ in _SEX_COLUMNS))
            for kind in CHILD_COLUMNS
        ),
    )


def _incidents(data: Mapping[str, int], _: Figures) -> Sheet:
    return Sheet(
        ("Violation type", "Name", "Incidents"),
        ("#event+type+code", "#event+type+name", "#event+num"),
        tuple((kind, label("violation_type", kind), data.get(kind, 0)) for kind in INCIDENT_COLUMNS),
    )


def _by_party(data: Mapping[str, Mapping[str, int]], figures: Figures) -> Sheet:
    totals = {line: row.get("total", 0) for line, row in data.items()}
    return _wide(("Party line", "Name"), ("#group+code", "#group+name"), ordered_lines(totals), data, lambda line: line_name(line, figures))


def _by_region(data: Mapping[str, Mapping[str, int]], figures: Figures) -> Sheet:
    lines = sorted(data, key=lambda line: (line == "_unknown", line))
    return _wide(
        ("Region", "Name"),
        ("#adm1+code", "#adm1+name"),
        lines,
        data,
        lambda line: LINE_NAMES.get(line) or figures.places.get(line) or line,
    )


def _wide(
    header: tuple[str, str], tags: tuple[str, str], lines: Sequence[str], data: Mapping[str, Mapping[str, int]], name: Callable[[str], str]
) -> Sheet:
    return Sheet(
        (*header, *(label("violation_type", kind) for kind in COLUMNS), "Total"),
        (*tags, *(f"#indicator+{kind}+num" for kind in COLUMNS), "#indicator+violations+num"),
        tuple((line, name(line), *(data.get(line, {}).get(kind, 0) for kind in (*COLUMNS, "total"))) for line in lines),
    )


def _summary(data: Mapping[str, Any], _: Figures) -> Sheet:
    rows: list[tuple[Cell, ...]] = [("violations", "Grave violations", data["violations"], data["late"]["violations"])]
    rows += [
        (code, label("grave_violation", code), data["by_grave_violation"][code], data["late"]["by_grave_violation"][code])
        for code in GRAVE_VIOLATIONS
    ]
    names = {"boys": "Boys", "girls": "Girls", "unknown": "Children, sex unknown", "total": "Children affected, each once"}
    rows += [(f"children/{column}", name, data["children"][column], data["late"]["children"][column]) for column, name in names.items()]
    return Sheet(
        ("Measure", "Name", "Figure", "Late part"),
        ("#indicator+code", "#indicator+name", "#indicator+num", "#indicator+late+num"),
        tuple(rows),
    )


def _grave_by_party(data: Mapping[str, Mapping[str, int]], figures: Figures) -> Sheet:
    totals: dict[str, int] = {}
    for lines in data.values():
        for line, amount in lines.items():
            totals[line] = totals.get(line, 0) + amount
    return Sheet(
        ("Party line", "Name", *(label("grave_violation", code) for code in GRAVE_VIOLATIONS)),
        ("#group+code", "#group+name", *(f"#indicator+{code}+num" for code in GRAVE_VIOLATIONS)),
        tuple(
            (line, line_name(line, figures), *(data.get(code, {}).get(line, 0) for code in GRAVE_VIOLATIONS))
            for line in ordered_lines(totals)
        ),
    )


def _grave_by_parties(data: Mapping[str, Sequence[Mapping[str, Any]]], figures: Figures) -> Sheet:
    return Sheet(
        ("Grave violation", "Name", "Party lines", "Names", "Figure"),
        ("#event+type+code", "#event+type+name", "#group+code+list", "#group+name+list", "#indicator+num"),
        tuple(
            (
                code,
                label("grave_violation", code),
                " ".join(entry["lines"]),
                "; ".join(line_name(line, figures) for line in entry["lines"]),
                entry["n"],
            )
            for code in GRAVE_VIOLATIONS
            for entry in data.get(code, [])
        ),
    )


def _context(data: Mapping[str, Any], _: Figures) -> Sheet:
    use, liberty = data["military_use"], data["deprivation_liberty"]
    rows: list[tuple[Cell, ...]] = [("military_use", code, use[code]) for code in sorted(use, key=lambda code: (code == "total", code))]
    rows += [("deprivation_liberty", column, liberty[column]) for column, _ in _SEX_COLUMNS]
    return Sheet(
        ("Recorded beside the six", "Of which", "Figure"), ("#event+type+code", "#event+detail+code", "#indicator+num"), tuple(rows)
    )


def _trend(data: Sequence[Mapping[str, Any]], _: Figures) -> Sheet:
    return Sheet(
        ("From (inclusive)", "To (exclusive)", "Violations", *(label("grave_violation", code) for code in GRAVE_VIOLATIONS)),
        ("#date+start", "#date+end", "#indicator+violations+num", *(f"#indicator+{code}+num" for code in GRAVE_VIOLATIONS)),
        tuple(
            (part["from"], part["to"], part["violations"], *(part["by_grave_violation"][code] for code in GRAVE_VIOLATIONS))
            for part in data
        ),
    )


def _multiple_children(data: Sequence[Mapping[str, Any]], _: Figures) -> Sheet:
    return Sheet(
        ("Sex", "Age", "Violations"),
        ("#affected+sex", "#affected+age", "#event+type+list"),
        tuple((row["sex"], "" if row["age"] is None else row["age"], " ".join(row["violations"])) for row in data),
    )


def _multiple_groups(data: Sequence[Mapping[str, Any]], _: Figures) -> Sheet:
    return Sheet(
        ("Boys", "Girls", "Sex unknown", "Violations"),
        (*(tag for _, tag in _SEX_COLUMNS[:3]), "#event+type+list"),
        tuple((row["boys"], row["girls"], row["unknown"], " ".join(row["violations"])) for row in data),
    )


def _exceptions(data: Sequence[Mapping[str, Any]], _: Figures) -> Sheet:
    return Sheet(
        ("Violation", "Missing"),
        ("#meta+id", "#meta+missing"),
        tuple((row["violation"], " ".join(row["missing"])) for row in data),
    )


def _by_detail(data: Mapping[str, Mapping[str, int]], _: Figures) -> Sheet:
    return Sheet(
        ("Violation type", "Code", "Figure"),
        ("#event+type+code", "#event+detail+code", "#indicator+num"),
        tuple((kind, code, data[kind][code]) for kind in COLUMNS if kind in data for code in sorted(data[kind])),
    )


def _ages(data: Mapping[str, int], _: Figures) -> Sheet:
    return Sheet(("Age band", "Children"), ("#affected+age+band", "#affected+children"), tuple(sorted(data.items())))


def _any(data: object, _: Figures) -> Sheet:
    """Write a table whose form is not known here, a row for each leaf."""
    rows: list[tuple[Cell, ...]] = []

    def walk(node: object, path: str) -> None:
        if isinstance(node, dict):
            for key in sorted(node):
                walk(node[key], f"{path}/{key}" if path else str(key))
        elif isinstance(node, list):
            for index, value in enumerate(node):
                walk(value, f"{path}/{index}" if path else str(index))
        else:
            rows.append((path, node if isinstance(node, int) and not isinstance(node, bool) else "" if node is None else str(node)))

    walk(data, "")
    return Sheet(("Cell", "Value"), ("#indicator+code", "#indicator+value"), tuple(rows))


_RENDER: Final[dict[str, Callable[[Any, Figures], Sheet]]] = {
    **{f"{part}_children": _children for part in ("verified", "late", "unverified")},
    **{f"{part}_incidents": _incidents for part in ("verified", "late", "unverified")},
    **{f"{part}_by_party": _by_party for part in ("verified", "late", "unverified")},
    **{f"{part}_by_region": _by_region for part in ("verified", "late", "unverified")},
    "summary": _summary,
    "summary_previous": _summary,
    "by_detail": _by_detail,
    "by_grave_violation_and_party": _grave_by_party,
    "by_grave_violation_and_parties": _grave_by_parties,
    "context": _context,
    "trend": _trend,
    "children_multiple": _multiple_children,
    "groups_multiple": _multiple_groups,
    "exceptions": _exceptions,
    "ages": _ages,
}
