"""The annual report's sentence patterns: the narrative a draft begins with. Every figure in it is a placeholder.

Bracketed numbers are by the exact set of parties, so they add up to the head figure (C8); parties in descending order, unidentified
perpetrators on their own at the end, zero items omitted.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from contracts.bundle.manifest import Figures, Section
from contracts.bundle.narrative import placeholder
from contracts.bundle.sheets import LINE_NAMES
from contracts.vocabulary import GRAVE_VIOLATIONS, label

_SEXES: Final = (("boys", "boy", "boys"), ("girls", "girl", "girls"), ("unknown", "sex unknown", "sex unknown"))
_WITHOUT_PARTY: Final = {
    "_unidentified": "unidentified perpetrators",
    "_alleged": "alleged perpetrators only",
    "_no_actor": "no actor (explosive remnants of war)",
    "_unattributed": "perpetrators not recorded",
}
_SETS: Final = "by_grave_violation_and_parties"
_LINES: Final = "by_grave_violation_and_party"
_SHARED_NOTE: Final = " A violation attributed to several parties stands under each of them."


def narrative(figures: Figures) -> list[Section]:
    """Return the narrative that a draft begins with, a section for what is not zero; `summary` must be among the tables."""
    sections = [Section(section="Overview", text=_overview(figures))]
    for code in GRAVE_VIOLATIONS:
        text = _violation(code, figures)
        if text is not None:
            sections.append(Section(section=label("grave_violation", code), text=text))
    context = _context(figures.tables)
    if context:
        sections.append(Section(section="Recorded beside the six grave violations", text=context))
    return sections


def _overview(figures: Figures) -> str:
    summary = figures.tables["summary"]
    if not summary["violations"] and not summary["late"]["violations"]:
        return "The United Nations verified no grave violations against children in the period."
    text = f"The United Nations verified {placeholder(('summary', 'violations'))} grave {_noun(summary['violations'], 'violation')}"
    children = summary["children"]
    if children["total"]:
        text += f" against {_children(('summary', 'children'), children['total'])}{_brackets([('summary', 'children')], [children])}"
    late = summary["late"]["violations"]
    if late:
        joined = ", including" if figures.params.get("late") == "inside" else " and"
        earlier = "in previous years" if _is_calendar_year(figures) else "before the period"
        text += f"{joined} {placeholder(('summary', 'late', 'violations'))} grave {_noun(late, 'violation')} that occurred {earlier}"
    return f"{text}."


def _violation(code: str, figures: Figures) -> str | None:
    tables = figures.tables
    total = tables["summary"]["by_grave_violation"][code]
    if not total:
        return None
    head = _HEADS[code](tables, total)
    sets, shared = _attributed(code, figures, total)
    return f"{head}{f', {sets}' if sets else ''}.{_SHARED_NOTE if shared else ''}"


def _of_children(opening: str, code: str, kind: str, tables: Mapping[str, Any], total: int) -> str:
    children = _children(("summary", "by_grave_violation", code), total)
    return f"{opening} {children}{_by_sex((kind,), tables)}"


def _killing_and_maiming(tables: Mapping[str, Any], total: int) -> str:
    cell = ("summary", "by_grave_violation", "killing_and_maiming")
    acts = _acts((("Killing", "killing"), ("Maiming", "maiming")), "verified_children", tables, "total")
    return f"{acts or 'Killing and maiming'} of {_children(cell, total)}{_by_sex(('killing', 'maiming'), tables)}"


def _attacks(tables: Mapping[str, Any], _: int) -> str:
    kinds = (("schools", "attack_on_schools"), ("hospitals", "attack_on_hospitals"))
    acts = _acts(kinds, "verified_incidents", tables, None)
    cell = placeholder(("summary", "by_grave_violation", "attacks_on_schools_and_hospitals"))
    return f"Attacks on {acts}" if acts else f"Attacks on schools and hospitals ({cell})"


def _denial(_: Mapping[str, Any], total: int) -> str:
    cell = placeholder(("summary", "by_grave_violation", "denial_of_humanitarian_access"))
    return f"{cell} {_noun(total, 'incident')} of the denial of humanitarian access to children"


_HEADS: Final = {
    "recruitment_and_use": lambda tables, total: _of_children(
        "Recruitment and use of", "recruitment_and_use", "recruitment", tables, total
    ),
    "killing_and_maiming": _killing_and_maiming,
    "sexual_violence": lambda tables, total: _of_children("Sexual violence against", "sexual_violence", "sexual_violence", tables, total),
    "attacks_on_schools_and_hospitals": _attacks,
    "abduction": lambda tables, total: _of_children("Abduction of", "abduction", "abduction", tables, total),
    "denial_of_humanitarian_access": _denial,
}


def _acts(kinds: Sequence[tuple[str, str]], table: str, tables: Mapping[str, Any], column: str | None) -> str:
    """Write the parts of a violation with their figures, `Killing ({k}) and maiming ({m})`; empty without the table by type."""
    if table not in tables:
        return ""
    parts: list[str] = []
    for word, kind in kinds:
        cell = tables[table].get(kind)
        if cell:
            name = word if not parts else word.lower()
            parts.append(f"{name} ({placeholder((table, kind) if column is None else (table, kind, column))})")
    return " and ".join(parts)


def _by_sex(kinds: Sequence[str], tables: Mapping[str, Any]) -> str:
    rows = [
        (("verified_children", kind), tables["verified_children"][kind]) for kind in kinds if kind in tables.get("verified_children", {})
    ]
    return _brackets([path for path, _ in rows], [row for _, row in rows])


def _brackets(paths: Sequence[tuple[str, ...]], rows: Sequence[Mapping[str, int]]) -> str:
    parts: list[str] = []
    for column, one, many in _SEXES:
        amount = sum(row[column] for row in rows)
        if amount:
            cells = [(*path, column) for path, row in zip(paths, rows, strict=True) if row[column]]
            parts.append(f"{placeholder(*cells)} {one if amount == 1 else many}")
    return f" ({', '.join(parts)})" if parts else ""


def _attributed(code: str, figures: Figures, total: int) -> tuple[str, bool]:
    """Write who a violation is attributed to, and whether the numbers are by line and so may exceed the head figure."""
    entries: list[tuple[list[str], int, tuple[str, ...]]]
    sets = figures.tables.get(_SETS, {}).get(code)
    lines = figures.tables.get(_LINES, {}).get(code, {})
    if sets is not None:
        entries = [(entry["lines"], entry["n"], (_SETS, code, str(index), "n")) for index, entry in enumerate(sets)]
    else:
        entries = [([line], n, (_LINES, code, line)) for line, n in lines.items() if line not in ("_all", "_joint", "_crossfire")]
    entries = sorted((entry for entry in entries if entry[1]), key=lambda entry: (_is_without_party(entry[0]), -entry[1], entry[0]))
    named = [f"{_who(lines, figures)} ({_figure(path, n)})" for lines, n, path in entries if not _is_without_party(lines)]
    nameless = [f"{_who(lines, figures)} ({_figure(path, n)})" for lines, n, path in entries if _is_without_party(lines)]
    text = f"attributed to {_listed(named + nameless)}" if named else f"by {_listed(nameless)}" if nameless else ""
    return text, sets is None and bool(entries) and sum(n for _, n, _ in entries) != total


def _is_without_party(lines: Sequence[str]) -> bool:
    return all(line in LINE_NAMES for line in lines)


def _who(lines: Sequence[str], figures: Figures) -> str:
    """Name an exact set of lines: `A and B jointly`, `crossfire between A and B`."""
    parties = [_plain(figures.parties.get(line, line)) for line in lines if line not in LINE_NAMES]
    others = [_WITHOUT_PARTY[line] for line in lines if line in _WITHOUT_PARTY]
    names = _listed(parties + others) or _WITHOUT_PARTY["_unattributed"]
    if "_crossfire" in lines:
        return f"crossfire between {names}" if len(parties) > 1 else f"crossfire involving {names}"
    return f"{names} jointly" if "_joint" in lines else names


def _context(tables: Mapping[str, Any]) -> str:
    context = tables.get("context")
    if context is None:
        return ""
    sentences = []
    use = context["military_use"]
    if use.get("total"):
        codes = [(code, use[code]) for code in sorted(use) if code not in ("total", "_none") and use[code]]
        of_which = ", ".join(f"{_use_label(code)} {_figure(('context', 'military_use', code), n)}" for code, n in codes)
        cell = placeholder(("context", "military_use", "total"))
        sentences.append(f"Military use of schools and hospitals: {cell}{f' ({of_which})' if of_which else ''}.")
    liberty = context["deprivation_liberty"]
    if liberty["total"]:
        path = ("context", "deprivation_liberty")
        children = _children((*path, "total"), liberty["total"])
        sentences.append(
            f"{children}{_brackets([path], [liberty])} deprived of liberty for alleged association with parties to the conflict."
        )
    return " ".join(sentences)


def _use_label(code: str) -> str:
    try:
        return label("military_use_type", code).lower()
    except KeyError:
        return _plain(code)


def _children(path: tuple[str, ...], amount: int) -> str:
    cell = path if path[-1] == "total" or "by_grave_violation" in path else (*path, "total")
    return f"{placeholder(cell)} {'child' if amount == 1 else 'children'}"


def _figure(path: tuple[str, ...], amount: int) -> str:
    """Write a figure's placeholder, or the figure itself where the register's code cannot stand in one."""
    try:
        return placeholder(path)
    except ValueError:
        return f"{amount:,}"


def _noun(amount: int, one: str) -> str:
    return one if amount == 1 else f"{one}s"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names) if len(names) <= 2 else f"{', '.join(names[:-1])} and {names[-1]}"


def _plain(name: str) -> str:
    """Keep a name of the register from being read as a placeholder or breaking the text."""
    return "".join(letter if letter.isprintable() else " " for letter in name).replace("{", "(").replace("}", ")")


def _is_calendar_year(figures: Figures) -> bool:
    start = figures.window.from_
    return figures.window.to == date(start.year + 1, 1, 1) and start == date(start.year, 1, 1)
