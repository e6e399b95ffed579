"""Read what a person pasted or uploaded into items of the API, each with the row that it stands in.

What an item may say is for batches.intake to judge. Here is only what makes a text no list of items: what is wrong with
it is said of its row, and the other rows are read all the same.
"""

import csv
import difflib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db.models import TextChoices

from batches.intake import ITEM_FIELDS, MAX_ITEMS

# A text beyond this is refused. The API takes 16 MiB; what is left is for the marks that JSON adds.
MOST_BYTES = 12 * 2**20
COLUMNS = ("prompt", "model", "seconds", "size", "custom_id")
METADATA = "metadata."
SEPARATORS = (",", ";", "\t")
WHOLE = re.compile(r"[0-9]{1,9}")
ENDINGS = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}


class Kind(TextChoices):
    """How items are written."""

    LINES = "lines", "Prompts, one on each line"
    BLOCKS = "blocks", "Prompts of several lines, an empty line between two"
    CSV = "csv", "A table (CSV): the first row names the columns"
    JSONL = "jsonl", "JSON, one item of the API on each line"


class NotText(Exception):
    """The file holds no text that could be read; the words say what to do."""


@dataclass(frozen=True)
class RowFault:
    """What is wrong with a row, or a cell of it. `where` and `column` are empty for the whole text."""

    row: int
    where: str
    column: str
    detail: str


@dataclass(frozen=True)
class Place:
    """The row of an item: its number, and in words."""

    row: int
    where: str


@dataclass
class Sheet:
    """The items in a text, each with its place, and what is wrong with the text itself."""

    kind: Kind
    items: list[Any] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        """Say whether there are more items than any batch may have: the rest is not read."""
        return len(self.items) > MAX_ITEMS

    def add(self, item: Any, row: int, where: str) -> None:
        """Add an item."""
        self.items.append(item)
        self.places.append(Place(row, where))

    def fault(self, row: int, where: str, detail: str, column: str = "") -> None:
        """Note what is wrong with a row."""
        self.faults.append(RowFault(row, where, column, detail))


def kind_of(filename: str) -> Kind | None:
    """Return how a file of this name is written; None when the name does not tell."""
    return next((Kind(kind) for ending, kind in ENDINGS.items() if filename.lower().endswith(ending)), None)


def text_of(raw: bytes) -> str:
    """Return a file's bytes as text, with `\\n` as the only end of a line. Raises NotText."""
    if raw.startswith(b"PK\x03\x04"):
        raise NotText("it is a workbook or a ZIP. In Excel, save it as “CSV UTF-8 (comma delimited)”.")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        detail = f"it is not in UTF-8 (line {line}). In Excel, save it as “CSV UTF-8 (comma delimited)”."
        raise NotText(detail) from error
    if "\0" in text:
        raise NotText("it is no text: it contains NUL. Save it as CSV or JSON lines in UTF-8.")
    return with_plain_ends(text)


def with_plain_ends(text: str) -> str:
    """Return the text with `\\n` as the only end of a line: a browser sends others than a file has."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read(text: str, kind: Kind) -> Sheet:
    """Read the items in a text, up to one more than a batch may have."""
    sheet = Sheet(kind)
    _READERS[kind](sheet, text)
    return sheet


def to_csv(items: Iterable[Mapping[str, Any]]) -> str:
    """Return items as the CSV that `read` takes: what an item does not say is an empty cell."""
    rows = [_cells(item) for item in items]
    used = dict.fromkeys(name for row in rows for name in row)
    names = [name for name in COLUMNS if name in used or name == "prompt"]
    names += [name for name in used if name not in COLUMNS]
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def to_jsonl(items: Iterable[Mapping[str, Any]]) -> str:
    """Return items as JSON lines."""
    return "".join(f"{msgspec.json.encode(item).decode()}\n" for item in items)


# --- lines and blocks ----------------------------------------------------------------------------------------------


def _read_lines(sheet: Sheet, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if prompt := line.strip():
            sheet.add({"prompt": prompt}, number, f"line {number}")
        if sheet.is_full:
            return


def _read_blocks(sheet: Sheet, text: str) -> None:
    block: list[str] = []
    for number, line in enumerate([*text.split("\n"), ""], start=1):
        if line.strip():
            block.append(line.rstrip())
        elif block:
            first = number - len(block)
            sheet.add({"prompt": "\n".join(block).strip()}, first, f"line {first}")
            block = []
        if sheet.is_full:
            return


# --- JSON lines ----------------------------------------------------------------------------------------------------


def _read_jsonl(sheet: Sheet, text: str) -> None:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"line {number}"
        try:
            sheet.add(msgspec.json.decode(line), number, where)
        except (msgspec.DecodeError, RecursionError) as error:
            sheet.fault(number, where, f'It is not JSON ({error}). A line is an item: {{"prompt": "A cat"}}.')
        if sheet.is_full:
            return


# --- CSV -----------------------------------------------------------------------------------------------------------


def _read_csv(sheet: Sheet, text: str) -> None:
    rows = _rows(sheet, text, _separator(text))
    row, where, header = next(rows, (0, "", []))
    names = _names(sheet, row, where, header)
    if "prompt" not in names:
        return
    for row, where, cells in rows:
        if len(cells) > len(names) and any(cells[len(names) :]):
            detail = (
                f"It has {len(cells)} cells and the first row {len(names)}: a cell that contains the separator stands "
                "in quotation marks."
            )
            sheet.fault(row, where, detail)
        sheet.add(_item(names, cells), row, where)
        if sheet.is_full:
            return


def _rows(sheet: Sheet, text: str, separator: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the rows that are not empty with their numbers: as a spreadsheet counts them, empty ones too."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    row = line = 0
    try:
        for row, cells in enumerate(reader, start=1):
            first, line = line + 1, reader.line_num
            if any(cell.strip() for cell in cells):
                yield row, _in_words(row, first), cells
    except csv.Error:
        detail = "A quotation mark is not closed, or something follows it. Inside a cell, a quotation mark is doubled."
        sheet.fault(row + 1, _in_words(row + 1, line + 1), detail)


def _in_words(row: int, line: int) -> str:
    return f"row {row}" if row == line else f"row {row} (line {line})"


def _separator(text: str) -> str:
    """Return the separator that makes the most known columns of the first row."""
    return max(SEPARATORS, key=lambda separator: _known(text, separator))


def _known(text: str, separator: str) -> int:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        header = next((cells for cells in rows if any(cell.strip() for cell in cells)), [])
    except csv.Error:
        return 0
    return sum(_name(cell) in COLUMNS or _name(cell).startswith(METADATA) for cell in header)


def _name(cell: str) -> str:
    """Return a column's name; that of a key of the metadata keeps its case."""
    name = cell.strip()
    if name.lower().startswith(METADATA):
        return METADATA + name[len(METADATA) :]
    return name.lower()


def _names(sheet: Sheet, row: int, where: str, header: Sequence[str]) -> list[str]:
    """Return the columns' names; those that there are not, or twice, are faults and the empty text."""
    names: list[str] = []
    for cell in header:
        name = _name(cell)
        if name in names and name:
            sheet.fault(row, where, "This column stands here twice.", name)
        elif name in COLUMNS or (name.startswith(METADATA) and name != METADATA):
            names.append(name)
            continue
        elif name:
            sheet.fault(row, where, f"There is no such column. {suggestion(name, COLUMNS, METADATA)}", cell.strip())
        names.append("")
    if header and "prompt" not in names:
        sheet.fault(row, where, f"The first row names the columns, and none is prompt. Columns: {', '.join(COLUMNS)}.")
    return names


def suggestion(name: str, known: Iterable[str] = ITEM_FIELDS, metadata: str = "") -> str:
    """Return what is perhaps meant by a name that there is not."""
    close = difflib.get_close_matches(name.lower().replace(" ", "_"), sorted(known), n=1)
    if close:
        return f"Did you mean {close[0]}?"
    return f"Remove it, or call it {metadata}{name} to keep it with the item." if metadata else "Remove it."


def _item(names: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """Return the item in a row. An empty cell says nothing; the customer's own texts stay as they are."""
    item: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    for name, cell in zip(names, cells, strict=False):
        if not name or not cell.strip():
            continue
        if name.startswith(METADATA):
            metadata[name[len(METADATA) :]] = cell
        elif name in ("prompt", "custom_id"):
            item[name] = cell
        else:
            text = cell.strip()
            item[name] = int(text) if name == "seconds" and WHOLE.fullmatch(text) else text
    if metadata:
        item["metadata"] = metadata
    return item


def _cells(item: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: value for name, value in item.items() if name != "metadata"}
    return own | {f"{METADATA}{key}": value for key, value in item.get("metadata", {}).items()}


_READERS = {Kind.LINES: _read_lines, Kind.BLOCKS: _read_blocks, Kind.JSONL: _read_jsonl, Kind.CSV: _read_csv}
