"""The books as files: read back whole, the same each time, and proved by the tools that others use."""

import csv
import hashlib
import io
import itertools
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from beancount import loader
from beancount.core import data
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.utils.escape import unescape

from customers.access import Permission
from customers.models import Mode, Organization, User
from ledger import services
from ledger.approvals import approve, request_credits
from ledger.exports import csv_copy, selection, xlsx
from ledger.exports.formats import BEANCOUNT, CSV, FORMATS, XLSX, Format, download
from ledger.exports.selection import Selection
from ledger.models import Entry, Wallet
from ledger.services import Movement, open_wallets
from sora2.times import timestamp
from tests.as_role import as_owner
from tests.connections import at_once
from tests.factories import Account, api_with_scopes, code_of, end_batch, fund, make_account, make_batch
from tests.people import member, staff, words_of
from tests.sora2.documents import ROOT
from tests.sora2.documents import blocks as code_blocks

pytestmark = pytest.mark.django_db

HEADER = (
    "wallet_id,seq,entry_id,created_at,kind,amount,available_after,reserved_after,settled_after,reference,request_id,"
    "actor,reason,prev_hash,hash"
)
SEALED = HEADER.split(",")[:-2]
NASTY = [
    *("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'quoted", "''", "'", '"', 'say "hi", friend', "\\.", "\\N"),
    *("\\", "two\nlines\r\nand\rmore", " spaces ", "größe 🎬 \u2028 \x01 \x7f", "\ufeff=1", "_x0041_", "%s {0} %"),
]
DAYS = ["2100-01-31T23:59:59Z", "2100-02-01T00:00:00Z", "2100-02-02T12:00:00Z", "2100-12-31T23:00:00Z"]


# --- books to export -----------------------------------------------------------------------------------------------


@pytest.fixture
def wallet() -> Wallet:
    """An empty live wallet."""
    return open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.LIVE]


def hold(wallet: Wallet, reference: str, text: str, amount: int = 1) -> None:
    """Reserve credits, with `text` in every field that somebody chooses."""
    about = Movement(
        wallet_id=wallet.pk, reference=reference, actor=text[:40] or "system", request_id=text, reason=text
    )
    services.reserve(movement=about, amount=amount)


def bring(wallet: Wallet, kind: Entry.Kind, amount: int, reference: str = "") -> Entry:
    """Bring credits in, or take them out, by two people."""
    asks, decides = (User.objects.get_or_create(username=name)[0] for name in ("asks", "decides"))
    request = request_credits(
        wallet=wallet, kind=kind, amount=amount, reference=reference, reason="For a test", requested_by=asks
    )
    return approve(request=request, decided_by=decides)


def wait_until(wallet: Wallet, at: str) -> None:
    """Make the wallet's next entry one of this time, as if its last one had been written just before."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("ALTER TABLE ledger_wallet DISABLE TRIGGER ledger_wallet_no_direct_change")
        cursor.execute(
            "UPDATE ledger_wallet SET last_entry_at = %s::timestamptz - interval '1 microsecond' WHERE id = %s",
            [at, wallet.pk],
        )
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute("ALTER TABLE ledger_wallet ENABLE ALWAYS TRIGGER ledger_wallet_no_direct_change")


@pytest.fixture
def books(wallet: Wallet) -> Wallet:
    """A wallet with entries of every kind on four days."""
    for day, at in enumerate(DAYS):
        wait_until(wallet, at)
        bring(wallet, Entry.Kind.GRANT, 1000, f"invoice {day}")
        hold(wallet, f"bat_{day}", NASTY[day], 100)
        about = Movement(wallet_id=wallet.pk, reference=f"bat_{day}", actor="system", request_id=NASTY[-day])
        services.settle(movement=about, amount=90)
        services.refund(movement=about, amount=10)
        bring(wallet, Entry.Kind.ADJUSTMENT_IN, 7)
        bring(wallet, Entry.Kind.ADJUSTMENT_OUT, 3 + day)
        hold(wallet, f"open_{day}", "", 50)
    return wallet


def made(wallet: Wallet, file_format: Format, **asked: Any) -> bytes:
    return b"".join(file_format.blocks(Selection(wallet=wallet, **asked).fixed()))


def rows_of(text: bytes) -> list[dict[str, str]]:
    """Read a CSV as the documentation says: one leading ' is the guard."""
    rows = list(csv.DictReader(io.StringIO(text.decode(), newline="")))
    return [{name: value.removeprefix("'") for name, value in row.items()} for row in rows]


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# --- CSV -----------------------------------------------------------------------------------------------------------


def test_the_csv_is_the_bytes_of_the_contract(wallet: Wallet) -> None:
    fund(wallet, 100, reference="=invoice 7")
    hold(wallet, "bat_1", 'order, "1"', 60)
    first, second = Entry.objects.filter(wallet=wallet).order_by("seq")
    text = '"order, ""1"""'
    assert made(wallet, CSV).decode() == (
        f"{HEADER}\r\n"
        f'{wallet.pk},1,{first.pk},{timestamp(first.created_at)},grant,100,100,0,0,\'=invoice 7,"",system,"",'
        f"{'0' * 64},{first.hash}\r\n"
        f"{wallet.pk},2,{second.pk},{timestamp(second.created_at)},reserve,60,40,60,0,bat_1,{text},{text},{text},"
        f"{first.hash},{second.hash}\r\n"
    )


def test_an_empty_wallet_has_a_header_line(wallet: Wallet) -> None:
    assert made(wallet, CSV).decode() == f"{HEADER}\r\n"


def check_csv(wallet: Wallet) -> None:
    """Read the file back: every field is there, every hash fits, and no cell is one that a spreadsheet runs."""
    text = made(wallet, CSV)
    cells = itertools.chain.from_iterable(csv.reader(io.StringIO(text.decode(), newline="")))
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]
    rows, prev_hash = rows_of(text), "0" * 64
    for row, entry in zip(rows, Entry.objects.filter(wallet=wallet).order_by("seq"), strict=True):
        texts = (entry.reference, entry.request_id, entry.actor, entry.reason)
        assert (row["reference"], row["request_id"], row["actor"], row["reason"]) == texts
        digests = [hashlib.sha256(row[name].encode()).hexdigest() for name in SEALED]
        assert row["prev_hash"] == prev_hash
        assert row["hash"] == hashlib.sha256((prev_hash + "".join(digests)).encode()).hexdigest() == entry.hash
        prev_hash = row["hash"]


def test_whatever_a_text_contains_it_reads_back_and_fits_its_hash(wallet: Wallet) -> None:
    fund(wallet, len(NASTY))
    for number, text in enumerate(NASTY):
        hold(wallet, f"{text}{number}", text)
    check_csv(wallet)


TEXTS = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(st.one_of(st.sampled_from(NASTY), TEXTS), max_size=8))
def test_random_texts_read_back_from_every_format(db: None, texts: list[str]) -> None:
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.LIVE]
    fund(wallet, 10)
    for number, text in enumerate(texts):
        hold(wallet, f"{text}{number} {wallet.pk}", text)
    check_csv(wallet)
    _, read, errors = parsed(made(wallet, BEANCOUNT))
    assert ([entry.meta["request_id"] for entry in read[1:]], errors) == (texts, [])
    ((_, _, *rows),) = sheets_of(made(wallet, XLSX))
    assert [unescape(row[10].value or "") for row in rows] == texts


def test_a_closed_interval_gives_the_same_bytes_whatever_is_posted_later(books: Wallet) -> None:
    asked = {"created_after": day("2100-02-01"), "created_before": day("2100-12-31")}
    before = {ending: made(books, each, **asked) for ending, each in FORMATS.items()}
    hold(books, "bat_later", "later")
    assert {ending: made(books, each, **asked) for ending, each in FORMATS.items()} == before
    assert [row["seq"] for row in rows_of(before["csv"])] == [str(seq) for seq in range(8, 22)]


def test_an_interval_includes_its_start_and_not_its_end(books: Wallet) -> None:
    second = Entry.objects.get(wallet=books, seq=2).created_at
    fourth = Entry.objects.get(wallet=books, seq=4).created_at

    def numbers(**asked: Any) -> list[int]:
        return [int(row["seq"]) for row in rows_of(made(books, CSV, **asked))]

    assert numbers(created_after=second, created_before=fourth) == [2, 3]
    assert numbers(created_before=second) == [1]
    assert numbers(created_after=day("2101-01-01")) == numbers(created_before=day("1999-01-01")) == []
    assert numbers(created_after=fourth, created_before=second) == []
    assert numbers(kind="settle") == [3, 10, 17, 24]
    assert numbers(reference="bat_1", created_before=fourth) == []
    assert numbers(reference="bat_1") == [9, 10, 11]


def test_it_comes_in_blocks(books: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_copy, "BLOCK_BYTES", 1000)
    sizes = [len(block) for block in CSV.blocks(Selection(wallet=books).fixed())]
    assert len(sizes) > 5
    assert max(sizes) < 2000


# --- streaming -----------------------------------------------------------------------------------------------------


def long_books(wallet: Wallet) -> None:
    """Write more than all the buffers between the database and a reader hold."""
    fund(wallet, 2000)
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)
               SELECT 'led_' || n, %s, 'reserve', 1, 'bat_' || n, '', 'system', repeat('x', 1000)
               FROM generate_series(2, 1500) n""",
            [wallet.pk],
        )


def copies_running() -> int:
    """Ask on another connection how many COPYs the database is sending."""

    def ask() -> int:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^\\s*COPY .*credit_ledger' AND state = 'active'"
                " AND pid <> pg_backend_pid()"
            )
            return int(cursor.fetchone()[0])

    (found,) = at_once(ask)
    assert isinstance(found, int), found
    return found


@pytest.mark.django_db(transaction=True)
@pytest.mark.owner
def test_a_reader_who_goes_away_ends_the_copy_and_leaves_the_connection_usable(wallet: Wallet) -> None:
    long_books(wallet)
    # Closed also when a check fails: an open COPY would keep the connection, and whoever comes after waiting.
    with closing(download(Selection(wallet=wallet).fixed(), CSV)) as response:
        next(iter(response))
        assert copies_running() == 1
    assert copies_running() == 0
    assert Entry.objects.filter(wallet=wallet).count() == 1500
    assert not connection.in_atomic_block


@pytest.mark.django_db(transaction=True)
def test_a_slow_reader_holds_nobody_up(wallet: Wallet) -> None:
    long_books(wallet)
    with closing(CSV.blocks(Selection(wallet=wallet).fixed())) as reading:  # type: ignore[type-var]
        first = next(reading)
        assert at_once(lambda: hold(wallet, "bat_meanwhile", "")) == [None]
        assert len(rows_of(first + b"".join(reading))) == 1500


def test_it_is_made_where_statements_are_logged_too(books: Wallet) -> None:
    bare = made(books, CSV)
    with CaptureQueriesContext(connection):
        assert made(books, CSV) == bare


# --- Beancount -----------------------------------------------------------------------------------------------------


def bean_check(text: bytes, tmp_path: Path) -> "subprocess.CompletedProcess[str]":
    """Run the real tool on a file."""
    (tmp_path / "ledger.beancount").write_bytes(text)
    tool = Path(sys.executable).with_name("bean-check")
    return subprocess.run([tool, "ledger.beancount"], cwd=tmp_path, capture_output=True, text=True, check=False)


def parsed(text: bytes) -> tuple[list[Any], list[data.Transaction], list[str]]:
    """Return the directives, the entries among them, and what Beancount holds against them."""
    directives, errors, _ = loader.load_string(text.decode())
    entries = [each for each in directives if isinstance(each, data.Transaction) and "seq" in each.meta]
    return directives, entries, [error.message for error in errors]


def amount_of(units: Any) -> int:
    assert units is not None
    assert units.number is not None
    return int(units.number)


SELECTIONS: list[dict[str, Any]] = [
    {},
    {"created_after": day("2100-02-01"), "created_before": day("2100-02-03")},
    {"created_after": day("2100-06-01"), "created_before": day("2100-07-01")},
    {"created_before": day("2000-01-01")},
    {"kind": "settle"},
    {"reference": "bat_2", "created_after": day("2100-02-01")},
    {"kind": "refund", "reference": "open_1"},
]


@pytest.mark.parametrize("asked", SELECTIONS, ids=str)
def test_bean_check_passes(books: Wallet, tmp_path: Path, asked: dict[str, Any]) -> None:
    text = made(books, BEANCOUNT, **asked)
    run = bean_check(text, tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    _, entries, _ = parsed(text)
    assert [int(entry.meta["seq"]) for entry in entries] == [
        int(row["seq"]) for row in rows_of(made(books, CSV, **asked))
    ]


def test_bean_check_passes_on_an_empty_wallet(wallet: Wallet, tmp_path: Path) -> None:
    run = bean_check(made(wallet, BEANCOUNT), tmp_path)
    assert (run.returncode, run.stderr) == (0, "")


def without(text: bytes, seq: str) -> bytes:
    """Return a file without one entry."""
    directives = text.decode().split("\n\n")
    left = [each for each in directives if f"\n  seq: {seq}\n" not in each]
    assert len(left) == len(directives) - 1
    return "\n\n".join(left).encode()


@pytest.mark.parametrize("asked", [SELECTIONS[0], SELECTIONS[1], SELECTIONS[4], SELECTIONS[5]], ids=str)
def test_a_file_without_any_one_of_its_entries_does_not_balance(books: Wallet, asked: dict[str, Any]) -> None:
    text = made(books, BEANCOUNT, **asked)
    _, entries, errors = parsed(text)
    assert entries
    assert not errors
    for entry in entries:
        _, left, errors = parsed(without(text, entry.meta["seq"]))
        assert len(left) == len(entries) - 1
        assert errors, entry


def test_bean_check_fails_without_an_entry(books: Wallet, tmp_path: Path) -> None:
    run = bean_check(without(made(books, BEANCOUNT), "9"), tmp_path)
    assert run.returncode != 0
    assert "Balance failed for 'Assets:Credits:Available'" in run.stderr


def test_balances_are_asserted_after_each_day_as_the_entries_say(books: Wallet) -> None:
    directives, _, _ = parsed(made(books, BEANCOUNT))
    said = {
        (each.date.isoformat(), each.account): amount_of(each.amount)
        for each in directives
        if isinstance(each, data.Balance)
    }
    for after, seq in (("2100-02-01", 7), ("2100-02-02", 14), ("2100-02-03", 21), ("2101-01-01", 28)):
        last = Entry.objects.get(wallet=books, seq=seq)
        assert said[after, "Assets:Credits:Available"] == last.available_after
        assert said[after, "Assets:Credits:Reserved"] == last.reserved_after
        assert said[after, "Expenses:Credits:Settled"] == last.settled_after
        funded = last.available_after + last.reserved_after + last.settled_after
        assert said[after, "Equity:Credits:Funded"] == -funded
    assert len(said) == 16


def test_an_entry_keeps_its_texts_and_links_to_its_batch(books: Wallet) -> None:
    _, entries, _ = parsed(made(books, BEANCOUNT))
    for read, entry in zip(entries, Entry.objects.filter(wallet=books).order_by("seq"), strict=True):
        assert (read.narration, read.meta["entry_id"], read.meta["hash"]) == (entry.kind, entry.pk, entry.hash)
        assert (read.meta["reference"], read.meta["reason"]) == (entry.reference, entry.reason)
        assert (read.meta["request_id"], read.meta["actor"]) == (entry.request_id, entry.actor)
        assert read.meta["created_at"] == timestamp(entry.created_at)
        assert read.links == ({entry.reference} if " " not in entry.reference else set())
        assert sorted(amount_of(posting.units) for posting in read.postings) == [-entry.amount, entry.amount]


def test_a_text_of_many_lines_stays_on_one_because_beancount_2_refuses_more_than_64(wallet: Wallet) -> None:
    fund(wallet, 1)
    hold(wallet, "bat_1", "\n" * 70)
    assert '\n  reason: "{}"\n'.format("\\n" * 70) in made(wallet, BEANCOUNT).decode()


# --- XLSX ----------------------------------------------------------------------------------------------------------


def sheets_of(text: bytes) -> list[list[tuple[Any, ...]]]:
    workbook = openpyxl.load_workbook(io.BytesIO(text))
    return [list(sheet.iter_rows()) for sheet in workbook.worksheets]


def test_a_workbook_has_figures_as_numbers_and_texts_as_texts(books: Wallet) -> None:
    bring(books, Entry.Kind.GRANT, 10**15, "=HYPERLINK(1)")
    workbook = openpyxl.load_workbook(io.BytesIO(made(books, XLSX)))
    assert workbook.properties.created == xlsx.MADE_AT.replace(tzinfo=None)
    (sheet,) = workbook.worksheets
    assert sheet.freeze_panes == "A2"
    head, *rows = sheet.iter_rows()
    assert [cell.value for cell in head] == HEADER.split(",")
    assert len(rows) == 29
    for row, entry in zip(rows, Entry.objects.filter(wallet=books).order_by("seq"), strict=True):
        cells = {str(name.value): cell for name, cell in zip(head, row, strict=True)}
        assert cells["seq"].value == entry.seq
        assert cells["created_at"].value == timestamp(entry.created_at)
        assert cells["hash"].value == entry.hash
        assert unescape(str(cells["request_id"].value or "")) == entry.request_id
        assert {cell.data_type for cell in row} <= {"n", "s", "inlineStr"}
    assert rows[0][5].value == 1000
    assert rows[-1][5].value == str(10**15)
    assert rows[-1][9].value == "=HYPERLINK(1)"


def test_more_rows_than_a_sheet_holds_go_on_in_another(books: Wallet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "ROWS_PER_SHEET", 14)
    monkeypatch.setattr(selection, "PAGE_ROWS", 5)
    sheets = sheets_of(made(books, XLSX))
    assert [[row[1].value for row in sheet] for sheet in sheets] == [
        ["seq", *range(1, 15)],
        ["seq", *range(15, 29)],
    ]


def test_a_workbook_leaves_no_temporary_file(books: Wallet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    reading = XLSX.blocks(Selection(wallet=books).fixed())
    assert next(reading).startswith(b"PK")
    assert list(tmp_path.iterdir())
    reading.close()  # type: ignore[attr-defined]
    assert not list(tmp_path.iterdir())


# --- over HTTP -----------------------------------------------------------------------------------------------------

ENDINGS = sorted(FORMATS)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_over_http_is_named_typed_and_kept_out_of_caches(account: Account, ending: str) -> None:
    response = account.api.get(f"/ledger.{ending}")
    wallet = account.wallets[Mode.LIVE]
    assert response.status_code == 200
    assert response.headers["Content-Type"] == FORMATS[ending].content_type
    assert response.headers["Content-Disposition"] == f'attachment; filename="ledger-{wallet.pk}.{ending}"'
    assert response.headers["Cache-Control"] == "private, no-store"
    assert response.getvalue() == made(wallet, FORMATS[ending])


# Django takes the end of a HEAD's stream for the end of the request, and closes a connection that is in a transaction.
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", ENDINGS)
def test_head_has_the_headers_and_makes_no_file(account: Account, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the file was made")

    monkeypatch.setattr(selection.Selected, "entries", never)
    for response in (account.api.send("HEAD", f"/ledger.{ending}"), staff().head(page_of(account, ending))):
        assert response.status_code == 200
        assert response.headers["Content-Type"] == FORMATS[ending].content_type
        assert response.getvalue() == b""


def test_the_filters_of_the_list_are_those_of_the_files(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 2))
    make_batch(account.api, request_id="b")
    at = timestamp(Entry.objects.get(wallet=account.wallets[Mode.LIVE], seq=3).created_at)
    for query in ({}, {"kind": "reserve"}, {"batch_id": batch.pk}, {"created_after": at}, {"created_before": at}):
        listed = [str(entry["seq"]) for entry in account.api.get("/ledger", query).json()["data"]]
        rows = rows_of(account.api.get("/ledger.csv", query).getvalue())
        assert [row["seq"] for row in rows] == listed[::-1]
        _, entries, errors = parsed(account.api.get("/ledger.beancount", query).getvalue())
        assert ([str(entry.meta["seq"]) for entry in entries], errors) == (listed[::-1], [])
        ((_, *cells),) = sheets_of(account.api.get("/ledger.xlsx", query).getvalue())
        assert [str(row[1].value) for row in cells] == listed[::-1]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("query", [{"kind": "gift"}, {"batch_id": "\0"}, {"created_after": "2026-10-01"}])
def test_a_filter_that_is_not_understood_is_refused(account: Account, ending: str, query: dict[str, str]) -> None:
    assert code_of(account.api.get(f"/ledger.{ending}", query)) == (422, "validation_error")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_key_without_the_scope_gets_no_file(account: Account, ending: str) -> None:
    api = api_with_scopes(account.organization, set(Permission) - {Permission.LEDGER_READ})
    assert code_of(api.get(f"/ledger.{ending}")) == (403, "insufficient_scope")


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_of_another_organization_or_mode_is_in_a_file(account: Account, ending: str) -> None:
    end_batch(make_batch(account.api, 2))
    other = make_account(name="Other")
    for reads in (other.api, account.test_api, account.api):
        wallet = reads.get("/ledger").json()["data"][0]["wallet_id"]
        ids = ids_in(reads.get(f"/ledger.{ending}").getvalue(), ending)
        assert ids == {entry.pk for entry in Entry.objects.filter(wallet=wallet)}
        assert len(ids) == (3 if wallet == account.wallets[Mode.LIVE].pk else 1)


def ids_in(text: bytes, ending: str) -> set[str]:
    """Return the ids of the entries in a file."""
    if ending == "csv":
        return {row["entry_id"] for row in rows_of(text)}
    if ending == "beancount":
        return {entry.meta["entry_id"] for entry in parsed(text)[1]}
    return {str(row[2].value) for sheet in sheets_of(text) for row in sheet[1:]}


# --- in the dashboard ----------------------------------------------------------------------------------------------


def page_of(account: Account, ending: str) -> str:
    return f"/admin/ledger/{account.organization.pk}/export.{ending}"


@pytest.mark.parametrize("ending", ENDINGS)
def test_finance_and_the_customers_own_people_download_what_is_filtered(account: Account, ending: str) -> None:
    batch = make_batch(account.test_api)
    query = {"mode": "test", "kind": "reserve", "reference": batch.pk, "created_after": "2020-01-01"}
    for client in (staff("finance"), staff("auditor"), member(account.organization)):
        response = client.get(page_of(account, ending), query)
        assert response.headers["Content-Type"] == FORMATS[ending].content_type
        assert response.headers["Content-Disposition"].startswith("attachment")
        assert ids_in(response.getvalue(), ending) == {Entry.objects.get(kind="reserve").pk}
        assert ids_in(client.get(page_of(account, ending)).getvalue(), ending) == {
            Entry.objects.get(wallet=account.wallets[Mode.LIVE]).pk
        }


def test_who_may_not_see_credits_downloads_none(account: Account) -> None:
    address = page_of(account, "csv")
    assert staff("support").get(address).status_code == 403
    assert member(account.organization, "customer developer").get(address).status_code == 403
    assert member(make_account(name="Other").organization).get(address).status_code == 404
    assert staff().get(address, {"mode": "neither"}).status_code == 404
    assert staff().post(address).status_code == 405


@pytest.mark.parametrize("query", [{"kind": "gift"}, {"created_after": "soon"}, {"created_before": "2026-13-01"}])
def test_a_file_is_never_of_more_than_was_asked_for(account: Account, query: dict[str, str]) -> None:
    response = staff().get(page_of(account, "csv"), query)
    assert response.status_code == 400
    assert next(iter(query.values())) in words_of(response) or next(iter(query)) in words_of(response)


# --- on the command line -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_command_writes_the_same_file(books: Wallet, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"books.{ending}"
    asked = ["--from", "2100-02-01", "--until", "2100-02-02T13:00:00+01:00", "--format", ending]
    call_command("export_ledger", books.organization_id, *asked, "--output", str(path))
    assert path.read_bytes() == made(
        books, FORMATS[ending], created_after=day("2100-02-01"), created_before=day("2100-02-02T12:00:00")
    )
    assert list(tmp_path.iterdir()) == [path]


def test_the_command_writes_to_standard_output(books: Wallet, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    call_command("export_ledger", books.organization_id)
    assert capfdbinary.readouterr().out == made(books, CSV)


def test_the_command_exports_one_mode(books: Wallet, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    call_command("export_ledger", books.organization_id, "--mode", "test")
    assert capfdbinary.readouterr().out.decode() == f"{HEADER}\r\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["org_nobody"], "There is no customer 'org_nobody' with a live wallet"),
        (["ORG", "--from", "October"], "'October' is no day or time: write it like 2026-10-01"),
        (["ORG", "--from", "2026-10-02", "--until", "2026-10-01"], "2026-10-01 does not come after 2026-10-02"),
        (["ORG", "--output", "/nowhere/books.csv"], "Nothing was written to /nowhere/books.csv: No such file"),
        (["ORG", "--format", "pdf"], "invalid choice: 'pdf'"),
    ],
)
def test_the_command_says_what_is_wrong(books: Wallet, arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match="^[^\n]*" + said.replace("(", "\\(")):
        call_command("export_ledger", *[books.organization_id if each == "ORG" else each for each in arguments])


def test_an_export_that_fails_leaves_the_file_of_before(
    books: Wallet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "books.csv"
    path.write_text("of before")
    monkeypatch.setattr(csv_copy, "COPY", "COPY (SELECT 1/0 FROM ({entries}) e) TO STDOUT (FORMAT csv)")
    with pytest.raises(Exception, match="division by zero"):
        call_command("export_ledger", books.organization_id, "--output", str(path))
    assert [each.read_text() for each in tmp_path.iterdir()] == ["of before"]


# --- as documented -------------------------------------------------------------------------------------------------


def test_the_documented_program_reads_the_csv(books: Wallet, tmp_path: Path) -> None:
    (program,) = code_blocks("howto/export.md", "Read the CSV", "python")
    (tmp_path / "read.py").write_text(program)
    (tmp_path / "ledger.csv").write_bytes(made(books, CSV))
    run = subprocess.run([sys.executable, "read.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    last = Entry.objects.filter(wallet=books).order_by("-seq")[0]
    assert run.stdout == f"28 entries, 360 credits settled, {last.available_after} available\n"


@pytest.mark.parametrize("asked", SELECTIONS[:2], ids=str)
def test_the_offline_verifier_accepts_the_csv(books: Wallet, tmp_path: Path, asked: dict[str, Any]) -> None:
    (tmp_path / "ledger.csv").write_bytes(made(books, CSV, **asked))
    command = [sys.executable, str(ROOT / "ledger/verify_ledger.py"), "ledger.csv"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
