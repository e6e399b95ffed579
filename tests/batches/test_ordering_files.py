"""What a person pastes or uploads becomes items with their rows, however it was saved; what cannot be read is said."""

import csv
import io
import json
from typing import Any

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from batches.intake import MAX_ITEMS
from batches.ordering_files import (
    COLUMNS,
    ENDINGS,
    MOST_BYTES,
    Kind,
    NotText,
    Sheet,
    kind_of,
    read,
    text_of,
    to_csv,
    to_jsonl,
    with_plain_ends,
)


def table(raw: bytes | str) -> Sheet:
    return read(text_of(raw.encode() if isinstance(raw, str) else raw), Kind.CSV)


def told(sheet: Sheet) -> list[tuple[str, str]]:
    return [(fault.where, fault.column) for fault in sheet.faults]


def prompts(sheet: Sheet) -> list[str]:
    return [item["prompt"] for item in sheet.items]


# --- round trips ---------------------------------------------------------------------------------------------------

# What a cell can say: not nothing, not NUL, and one kind of line end.
words = st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), min_size=1, max_size=40).filter(
    lambda text: bool(text.strip())
)
keys = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=8)
items = st.fixed_dictionaries(
    {"prompt": words},
    optional={
        "model": st.sampled_from(["sora-2", "veo-3"]),
        "seconds": st.integers(1, 99),
        "size": st.sampled_from(["1280x720", "720x1280"]),
        "custom_id": words,
        "metadata": st.dictionaries(keys, words, min_size=1, max_size=3),
    },
)


@given(st.lists(items, min_size=1, max_size=8), st.booleans(), st.booleans())
def test_items_written_as_csv_are_read_as_they_were(order: list[dict[str, Any]], bom: bool, plain_ends: bool) -> None:
    text = to_csv(order)
    if plain_ends:
        text = with_plain_ends(text)
    sheet = table(text.encode("utf-8-sig" if bom else "utf-8"))
    assert (sheet.items, sheet.faults) == (order, [])


@given(st.lists(items, min_size=1, max_size=8), st.sampled_from(",;\t"))
def test_the_separator_is_found(order: list[dict[str, Any]], separator: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(csv.reader(io.StringIO(to_csv(order), "")))
    assert table(out.getvalue()).items == order


@given(st.lists(items, max_size=8))
def test_items_written_as_json_lines_are_read_as_they_were(order: list[dict[str, Any]]) -> None:
    assert read(to_jsonl(order), Kind.JSONL).items == order


@given(st.text(), st.sampled_from(list(Kind)))
def test_no_text_is_too_strange_to_be_read(text: str, kind: Kind) -> None:
    sheet = read(with_plain_ends(text), kind)
    assert len(sheet.items) == len(sheet.places)


# --- lines and blocks ----------------------------------------------------------------------------------------------


def test_each_line_is_a_prompt_and_keeps_its_number() -> None:
    sheet = read("\n  A cat \n\nA dog\n", Kind.LINES)
    assert prompts(sheet) == ["A cat", "A dog"]
    assert [place.where for place in sheet.places] == ["line 2", "line 4"]


def test_blocks_are_prompts_of_several_lines() -> None:
    sheet = read("\nA cat\n  that plays  \n \n\nA dog", Kind.BLOCKS)
    assert prompts(sheet) == ["A cat\n  that plays", "A dog"]
    assert [place.where for place in sheet.places] == ["line 2", "line 6"]


# --- CSV -----------------------------------------------------------------------------------------------------------


def test_rows_are_numbered_as_a_spreadsheet_does() -> None:
    sheet = table('prompt,seconds\r\n\r\n"A cat\r\nthat plays",8\r\n,\r\nA dog,\r\n')
    assert sheet.items == [{"prompt": "A cat\nthat plays", "seconds": 8}, {"prompt": "A dog"}]
    assert [place.where for place in sheet.places] == ["row 3", "row 5 (line 6)"]


def test_columns_come_in_any_order_and_case() -> None:
    sheet = table("metadata.SKU; Custom_ID;PROMPT \n1;7;Hi")
    assert sheet.items == [{"metadata": {"SKU": "1"}, "custom_id": "7", "prompt": "Hi"}]


def test_nothing_is_taken_off_a_prompt() -> None:
    assert prompts(table("prompt,size\n'=A1 ,\n")) == ["'=A1 "]


def test_what_is_no_whole_number_is_left_to_the_reader_of_orders() -> None:
    sheet = table("prompt,seconds\na,8\nb,8.5\nc,eight\nd,²\ne," + "9" * 5000)
    assert [item["seconds"] for item in sheet.items] == [8, "8.5", "eight", "²", "9" * 5000]


def test_a_column_that_there_is_not_is_told_with_what_is_meant() -> None:
    sheet = table("prompt,secnds,notes,prompt\nA cat,8,x,y\n")
    assert told(sheet) == [("row 1", "secnds"), ("row 1", "notes"), ("row 1", "prompt")]
    assert "Did you mean seconds?" in sheet.faults[0].detail
    assert "metadata.notes" in sheet.faults[1].detail
    assert sheet.items == [{"prompt": "A cat"}]


def test_a_table_without_prompts_is_one_fault() -> None:
    sheet = table("\nA cat\nA dog\n")
    assert told(sheet) == [("row 2", "A cat"), ("row 2", "")]
    assert sheet.items == []


def test_too_many_cells_are_a_fault_of_the_row() -> None:
    sheet = table("prompt,seconds\nA cat, grey,8\nA dog,4,,\n")
    assert told(sheet) == [("row 2", "")]


@pytest.mark.parametrize("text", ['prompt\nA\n"A cat\nA dog\n', 'prompt\nA\n"A" cat\n'])
def test_a_quotation_mark_that_is_not_closed_is_told_where_it_opens(text: str) -> None:
    sheet = table(text)
    assert told(sheet) == [("row 3", "")]
    assert prompts(sheet) == ["A"]


def test_an_endless_cell_is_a_fault_and_not_a_crash() -> None:
    assert told(table('prompt\n"' + "x" * 200_000 + '"\n')) == [("row 2", "")]


@pytest.mark.parametrize("kind", list(Kind))
def test_an_empty_text_has_no_items(kind: Kind) -> None:
    assert read(" \n\n", kind).items == []


@pytest.mark.parametrize("kind", list(Kind))
def test_no_more_is_read_than_says_that_it_is_too_much(kind: Kind) -> None:
    one = {Kind.LINES: "a\n", Kind.BLOCKS: "a\n\n", Kind.CSV: "a\n", Kind.JSONL: '{"prompt": "a"}\n'}[kind]
    text = ("prompt\n" if kind == Kind.CSV else "") + one * (MAX_ITEMS + 100)
    assert len(read(text, kind).items) == MAX_ITEMS + 1


# --- JSON lines ----------------------------------------------------------------------------------------------------


def test_a_line_that_is_no_json_is_told_and_the_others_are_read() -> None:
    sheet = read('{"prompt": "A cat"}\n\n{"prompt": \n{"prompt": "A dog"}\n7\n', Kind.JSONL)
    assert told(sheet) == [("line 3", "")]
    assert sheet.items == [{"prompt": "A cat"}, {"prompt": "A dog"}, 7]
    assert [place.row for place in sheet.places] == [1, 4, 5]


def test_a_deep_line_is_a_fault_and_not_a_crash() -> None:
    assert told(read("[" * 100_000, Kind.JSONL)) == [("line 1", "")]
    assert read(json.dumps({"prompt": "é"}), Kind.JSONL).items == [{"prompt": "é"}]


# --- files ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"PK\x03\x04rest", "workbook"),
        ("prompt\nKätzchen\n".encode("latin-1"), "not in UTF-8 (line 2)"),
        ("prompt\nA cat\n".encode("utf-16"), "not in UTF-8 (line 1)"),
        (b"prompt\nA\0cat\n", "NUL"),
    ],
)
def test_what_is_no_text_is_refused_with_what_to_do(raw: bytes, words: str) -> None:
    with pytest.raises(NotText) as refusal:
        text_of(raw)
    assert words in str(refusal.value)
    assert "CSV" in str(refusal.value)


def test_the_ending_of_a_file_says_how_it_is_written() -> None:
    names = ["a.CSV", "a.tsv", "a.jsonl", "a.ndjson", "a.txt", "a.xls", "csv"]
    assert [kind_of(name) for name in names] == [Kind.CSV, Kind.CSV, Kind.JSONL, Kind.JSONL, Kind.LINES, None, None]


def test_the_documentation_names_every_column_and_ending() -> None:
    text = (settings.BASE_DIR / "docs/howto/order.md").read_text()
    assert [column for column in COLUMNS if f"| `{column}` |" not in text] == []
    assert [ending for ending in ENDINGS if f"`{ending}`" not in text] == []
    assert f"{MOST_BYTES // 2**20} MiB at most" in text
