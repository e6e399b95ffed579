"""`ledger.xlsx`: a workbook for spreadsheets. Texts are texts whatever they start with, figures are numbers."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.worksheet import Worksheet

from ledger.exports.csv_copy import BLOCK_BYTES
from ledger.exports.selection import Selected
from ledger.representations import entry_json

# A sheet has 1,048,576 rows, and one of them is the head.
ROWS_PER_SHEET = 1_048_575
# Spreadsheets calculate with 15 digits; a longer number stays exact as a text.
EXACT = 10**15
WIDTHS = {
    "wallet_id": 32,
    "seq": 9,
    "entry_id": 32,
    "created_at": 28,
    "kind": 15,
    "amount": 12,
    "available_after": 15,
    "reserved_after": 15,
    "settled_after": 15,
    "reference": 32,
    "request_id": 24,
    "actor": 32,
    "reason": 40,
    "prev_hash": 20,
    "hash": 20,
}
# When a workbook was made is part of its bytes; those of the same entries are the same.
MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)


def blocks(selected: Selected) -> Iterator[bytes]:
    """Yield the file, once all of it is written to a temporary one. Memory does not grow with the rows."""
    with tempfile.TemporaryDirectory(prefix="ledger-xlsx-") as folder:
        path = Path(folder) / "ledger.xlsx"
        _write(path, selected)
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block


def _write(path: Path, selected: Selected) -> None:
    options = {"constant_memory": True, "tmpdir": str(path.parent), "use_zip64": True}
    with xlsxwriter.Workbook(str(path), options) as workbook:
        workbook.set_properties({"title": f"Ledger of {selected.wallet.pk}", "created": MADE_AT})
        bold = workbook.add_format({"bold": True})
        sheet = _new_sheet(workbook, bold)
        for number, entry in enumerate(selected.in_order()):
            row = number % ROWS_PER_SHEET
            if number and not row:
                sheet = _new_sheet(workbook, bold)
            for column, value in enumerate(entry_json(entry).values()):
                _write_cell(sheet, row + 1, column, value)


def _new_sheet(workbook: xlsxwriter.Workbook, bold: Format) -> Worksheet:
    sheet = workbook.add_worksheet(f"Ledger {len(workbook.worksheets()) + 1}")
    sheet.freeze_panes(1, 0)
    for column, (name, width) in enumerate(WIDTHS.items()):
        sheet.set_column(column, column, width)
        sheet.write_string(0, column, name, bold)
    return sheet


def _write_cell(sheet: Worksheet, row: int, column: int, value: str | int) -> None:
    if isinstance(value, int) and abs(value) < EXACT:
        sheet.write_number(row, column, value)
    else:
        sheet.write_string(row, column, str(value))
