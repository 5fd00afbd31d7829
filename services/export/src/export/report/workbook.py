"""The figures as an Excel workbook: one sheet per table, the same rows as the CSV files, made byte for byte the same each time."""

import io
from collections.abc import Sequence
from datetime import datetime

import xlsxwriter

from contracts.bundle.manifest import Figures
from contracts.bundle.sheets import ABOUT_SHEET, Cell, about_rows, sheet_names, sheet_of

_NARROW, _WIDE, _NUMBER = 14, 44, "#,##0"


def workbook(figures: Figures, *, created_at: datetime) -> bytes:
    """Return the workbook of these figures. Texts are written as texts: none can become a formula or a link."""
    target = io.BytesIO()
    book = xlsxwriter.Workbook(
        target,
        {"constant_memory": True, "in_memory": False, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False},
    )
    book.set_properties({"title": f"{figures.situation.name}: figures", "created": created_at.replace(tzinfo=None)})
    bold = book.add_format({"bold": True, "text_wrap": True, "valign": "top"})
    faint = book.add_format({"italic": True, "font_color": "#777777"})
    number = book.add_format({"num_format": _NUMBER})
    about = book.add_worksheet(ABOUT_SHEET)
    about.set_column(0, 0, _WIDE // 2)
    about.set_column(1, 1, _WIDE * 2)
    for index, pair in enumerate(about_rows(figures)):
        _write(about, index, pair, bold=None, number=number)
    for table, name in sheet_names(figures.tables).items():
        sheet = sheet_of(table, figures)
        page = book.add_worksheet(name)
        page.freeze_panes(2, 0)
        page.set_column(0, 1, _WIDE // 2)
        page.set_column(2, max(2, len(sheet.header) - 1), _NARROW)
        _write(page, 0, sheet.header, bold=bold, number=number)
        _write(page, 1, sheet.tags, bold=faint, number=number)
        for index, row in enumerate(sheet.rows, start=2):
            _write(page, index, row, bold=None, number=number)
    book.close()
    return target.getvalue()


def _write(page: xlsxwriter.worksheet.Worksheet, row: int, cells: Sequence[Cell], *, bold: object, number: object) -> None:
    for column, cell in enumerate(cells):
        if isinstance(cell, int):
            page.write_number(row, column, cell, number)
        elif cell:
            page.write_string(row, column, cell, bold)
