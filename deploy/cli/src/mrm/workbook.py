"""Reads the cells of a bundle's workbook back with the standard library alone; for checking it, not for showing it."""

import io
import re
import zipfile
import zlib
from typing import Final
from xml.etree import ElementTree as ET

from contracts.bundle.manifest import BundleError
from contracts.bundle.sheets import Cell

MAX_INFLATED_BYTES: Final = 128 * 1024 * 1024
_SPACE: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_CELL: Final = re.compile(r"([A-Z]{1,3})([1-9][0-9]{0,6})")
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")

Cells = dict[tuple[int, int], Cell]
"""Cells that are not empty, by row and column from 0."""


def read_workbook(raw: bytes) -> dict[str, Cells]:
    """Return the cells of every sheet by its name; raises BundleError when it is no such workbook."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MAX_INFLATED_BYTES:
                raise BundleError("It unpacks to more than a workbook of a bundle may.")
            book = _parse(_member(archive, "xl/workbook.xml"))
            names = [sheet.attrib["name"] for sheet in book.iter(f"{_SPACE}sheet")]
            return {name: _cells(_parse(_member(archive, f"xl/worksheets/sheet{index}.xml"))) for index, name in enumerate(names, start=1)}
    except (
        zipfile.BadZipFile,
        zlib.error,
        ET.ParseError,
        LookupError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
    ) as error:
        if isinstance(error, BundleError):
            raise
        raise BundleError("It is not a workbook that can be read.") from None


def cells_of(rows: list[tuple[Cell, ...]]) -> Cells:
    """Return rows as the cells that a workbook of them has."""
    return {(row, column): cell for row, cells in enumerate(rows) for column, cell in enumerate(cells) if cell != ""}


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        content = member.read(MAX_INFLATED_BYTES + 1)
    if len(content) > MAX_INFLATED_BYTES:
        raise BundleError("It unpacks to more than a workbook of a bundle may.")
    return content


def _parse(xml: bytes) -> ET.Element:
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        raise BundleError("It holds XML that no workbook of a bundle has.")
    return ET.fromstring(xml)  # noqa: S314 - without a document type nothing can be expanded


def _cells(sheet: ET.Element) -> Cells:
    cells: Cells = {}
    for cell in sheet.iter(f"{_SPACE}c"):
        place = _CELL.fullmatch(cell.attrib["r"])
        if place is None or cell.find(f"{_SPACE}f") is not None:
            raise BundleError("It holds a cell that no workbook of a bundle has.")
        value = _value(cell)
        if value != "":
            cells[int(place[2]) - 1, _column(place[1])] = value
    return cells


def _value(cell: ET.Element) -> Cell:
    if cell.attrib.get("t") == "inlineStr":
        text = "".join(part.text or "" for part in cell.iter(f"{_SPACE}t"))
        return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text)
    number = cell.findtext(f"{_SPACE}v")
    if cell.attrib.get("t", "n") != "n":
        raise BundleError("It holds a cell that no workbook of a bundle has.")
    return int(number) if number is not None else ""


def _column(letters: str) -> int:
    column = 0
    for letter in letters:
        column = column * 26 + ord(letter) - ord("A") + 1
    return column - 1
