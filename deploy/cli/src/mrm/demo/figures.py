"""The published figures of one situation, read from a file like `situations.json`, each by its dotted name. Nothing is judged here."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

GRAVE: Final = {
    "RU": "recruitment_and_use",
    "KM": "killing_and_maiming",
    "SV": "sexual_violence",
    "ASH": "attacks_on_schools_and_hospitals",
    "ABD": "abduction",
    "DHA": "denial_of_humanitarian_access",
}
"""The short names of the file and the codes of list `grave_violation`, in report order."""
CHILD: Final = ("RU", "KM", "SV", "ABD")
"""Those of the six that count children."""
SEXES: Final = ("boys", "girls", "unknown")
SPLITS: Final = {"KM": ("killed", "maimed"), "ASH": ("schools", "hospitals")}
"""The two parts that make up the whole of two of the six."""
UNIDENTIFIED: Final = "_unidentified"
NO_ACTOR: Final = "_no_actor"

Path_ = tuple[str, ...]
"""A figure by the steps of its dotted name, such as `("KM", "by", "Taliban")`; a party's name may itself hold a dot."""


class UnreadableFiguresError(Exception):
    """The file cannot be read as published figures; the text says where and why."""


def name_of(path: Path_) -> str:
    """Return the dotted name of a figure, as it stands in the output."""
    return ".".join(path)


def line_of(party: str) -> str:
    """Return the line under which a published party name is counted: a reserved one, or the name itself for a party of its own."""
    if party.casefold().startswith("unidentified"):
        return UNIDENTIFIED
    if party.casefold() == "uxo":
        return NO_ACTOR
    return party


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of one situation and window. `start` and `end` are both inclusive, as published."""

    id: str
    situation: str
    start: date
    end: date
    document: str
    values: Mapping[Path_, int]

    def get(self, *path: str) -> int | None:
        """Return one figure, None if it is not given."""
        return self.values.get(path)

    def under(self, *prefix: str) -> dict[str, int]:
        """Return the figures of one breakdown by the last step of their names."""
        return {path[-1]: value for path, value in self.values.items() if path[:-1] == prefix}

    def only(self, paths: frozenset[Path_]) -> "Figures":
        """Return the same situation with some of its figures."""
        kept = {path: value for path, value in self.values.items() if path in paths}
        return Figures(id=self.id, situation=self.situation, start=self.start, end=self.end, document=self.document, values=kept)


def published_file() -> str:
    """Return the text of the situations that come with the product."""
    return files("mrm").joinpath("data/situations.json").read_text("utf-8")


def read_figures(text: str, wanted: str | None) -> Figures:
    """Read one situation of a file by its id; a file with a single situation needs none. Raises `UnreadableFiguresError`."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UnreadableFiguresError("The file is not JSON; give a file of the shape of situations.json.") from error
    entries = document.get("situations", [document]) if isinstance(document, dict) else document
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnreadableFiguresError("`situations` must be a list of objects.")
    found = [entry for entry in entries if wanted is None or entry.get("id") == wanted]
    if len(found) != 1:
        known = ", ".join(str(entry.get("id")) for entry in entries)
        raise UnreadableFiguresError(f"Choose one situation of the file with --id: {known}.")
    return figures_of(found[0])


def load_figures(path: Path | None, wanted: str | None) -> Figures:
    """Read one situation from a file, or from those that come with the product, there AFG-2024 if none is named."""
    if path is None:
        return read_figures(published_file(), wanted or "AFG-2024")
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableFiguresError("The file cannot be read; check its name and that it is UTF-8.") from error
    return read_figures(text, wanted)


def figures_of(entry: Mapping[str, Any]) -> Figures:
    """Read the figures of one situation's object. Fields that no table answers are ignored; null means not given."""
    start, end = _day(entry, "start"), _day(entry, "end")
    if end < start:
        raise UnreadableFiguresError("`end` lies before `start`; correct one of them.")
    if not isinstance(entry.get("id"), str) or not entry["id"]:
        raise UnreadableFiguresError("`id` must be a text that names the situation.")
    values: dict[Path_, int] = {}
    for name in ("total", "children", *SEXES, "late_extra"):
        _take(values, entry, (name,))
    for code in GRAVE:
        block = _block(entry, (code,))
        names = ("n", *(SEXES if code in CHILD else ()), *SPLITS.get(code, ()))
        for name in names:
            _take(values, block, (code, name))
        by = _block(block, (code, "by"))
        for party in by:
            _take(values, by, (code, "by", party))
    for breakdown in ("by_party", "by_province"):
        block = _block(entry, (breakdown,))
        for name in block:
            _take(values, block, (breakdown, name))
    _take(values, _block(entry, ("military_use",)), ("military_use", "schools"))
    return Figures(
        id=entry["id"],
        situation=str(entry.get("situation", entry["id"])),
        start=start,
        end=end,
        document=str(entry.get("document", "")),
        values=values,
    )


def _day(entry: Mapping[str, Any], name: str) -> date:
    try:
        return date.fromisoformat(entry[name])
    except (KeyError, TypeError, ValueError) as error:
        raise UnreadableFiguresError(f"`{name}` must be a day such as 2024-01-31.") from error


def _block(entry: Mapping[str, Any], path: Path_) -> Mapping[str, Any]:
    block = entry.get(path[-1])
    if block is None:
        return {}
    if not isinstance(block, dict):
        raise UnreadableFiguresError(f"`{name_of(path)}` must be an object.")
    return block


def _take(values: dict[Path_, int], block: Mapping[str, Any], path: Path_) -> None:
    value = block.get(path[-1])
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise UnreadableFiguresError(f"`{name_of(path)}` must be a whole number from 0 to 1000000.")
    values[path] = value
