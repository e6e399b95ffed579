"""The stand-alone verifier: it passes right books, and names the first thing that is wrong in all others."""

import hashlib
import io
import random
import re
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from batches.failures import FailureType
from batches.proofs import items_jsonl
from customers.models import Mode
from ledger.exports import csv_copy
from ledger.exports.selection import Selection
from ledger.verify_ledger import Entry, Wrong, main, read_ledger
from sora2.canonical import canonical_json
from tests.factories import Account, end_batch, make_batch
from tests.ledger.books import (
    FIELDS,
    PROGRAM,
    STORY,
    WALLET,
    Row,
    books,
    chained,
    export,
    lines,
    mutations,
    run,
    sealed,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """The file of right books."""
    file = tmp_path / "ledger.csv"
    file.write_bytes(export(books()))
    return file


def read(raw: bytes) -> Any:
    return read_ledger(io.BytesIO(raw))


def trouble(raw: bytes) -> str:
    """Return what is wrong with a file, which must be wrong."""
    with pytest.raises(Wrong) as wrong:
        read(raw)
    return str(wrong.value)


def located(raw: bytes) -> int:
    """Return the line that the first wrong row starts in."""
    return int(trouble(raw).removeprefix("line ").split()[0].rstrip(":"))


# --- right books ---------------------------------------------------------------------------------------------------


def test_right_books_pass_with_their_first_and_last_entry(tmp_path: Path) -> None:
    rows = books()
    file = tmp_path / "ledger.csv"
    file.write_bytes(export(rows))
    status, said = run(file)
    assert status == 0
    assert f"6 entries of wallet {WALLET!r}" in said
    for row in (rows[0], rows[-1]):
        assert f"entry {row['seq']}, {row['created_at']}, hash {row['hash']}" in said
    assert "funded 990 = available 900 + reserved 0 + settled 90" in said
    assert "a tail that was cut off, or a history rewritten as a whole, does not show" in said


def test_an_interval_passes_and_says_what_it_continues(tmp_path: Path) -> None:
    rows = books()
    file = tmp_path / "ledger.csv"
    file.write_bytes(export(rows[2:5]))
    status, said = run(file)
    assert status == 0
    assert f"the entry before it, 2, must have the hash {rows[1]['hash']}" in said


def test_a_file_without_entries_says_that_nothing_was_checked(tmp_path: Path) -> None:
    file = tmp_path / "ledger.csv"
    file.write_bytes(export([]))
    status, said = run(file)
    assert (status, "no entries: there was nothing to check" in said) == (0, True)


def test_the_verifier_imports_only_the_standard_library() -> None:
    imported = set(re.findall(r"^(?:from|import) (\w+)", PROGRAM.read_text(), re.M))
    assert imported <= sys.stdlib_module_names


def test_memory_does_not_grow_with_rows() -> None:
    def peak(repeat: int) -> int:
        raw = export(books(repeat))
        tracemalloc.start()
        assert read(raw).count == repeat * len(STORY)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(350)  # Python keeps up to 2 000 tuples that it may use again; from here on it has them.
    assert peak(350) < peak(5) + 100_000


# --- one byte ------------------------------------------------------------------------------------------------------


def test_any_byte_that_is_changed_dropped_or_added_is_found_in_its_row() -> None:
    rows = books()[1:5]
    raw, line = export(rows), 1
    assert read(raw).count == 4
    # The line that the row of each byte starts in.
    starts: list[int] = []
    for record in [export([]), *lines(rows)]:
        starts += [line] * len(record)
        line += record.count(b"\n")
    starts.append(line)
    for at in range(len(raw)):
        for wrong in mutations(raw, at):
            first = next((n for n, byte in enumerate(wrong) if raw[n : n + 1] != bytes([byte])), len(wrong))
            assert located(wrong) == starts[first], (at, wrong)
    for more in (b"\n", b"\r\n", b" ", b"\0", b'"', raw[-100:], b"\x1a"):
        assert located(raw + more) == line


@pytest.mark.parametrize("cut", [1, 2, 3, 30, 200])
def test_a_last_row_that_breaks_off_is_found(cut: int) -> None:
    assert located(export(books())[:-cut]) == 8


def test_an_end_of_line_in_a_text_may_not_change_either() -> None:
    raw = export(books())
    assert located(raw.replace(b"Clips\r\n", b"Clips\n")) == 4
    assert located(raw.replace(b"a\nb", b"a\r\nb")) == 8


@pytest.mark.parametrize(
    ("written", "otherwise"),
    [
        (b",1000,1000,", b',"1000",1000,'),
        (b",1000,1000,", b",01000,1000,"),
        (b",1000,1000,", b",+1000,1000,"),
        (b",1000,1000,", b",1_000,1000,"),
        (b",1000,1000,", ",١٠٠٠,1000,".encode()),
        (b"00:00:01.000001Z", b"00:00:01.000001+00:00"),
        (b"00:00:01.000001Z", b"01:00:01.000001+01:00"),
        (b"00:00:01.000001Z", b"00:00:01.000001z"),
        (b"T00:00:01", b" 00:00:01"),
        (b",bat_1,", b",'bat_1,"),
        (b",bat_1,", b',"bat_1",'),
        (b',"",usr_7', b",,usr_7"),
        (b"'=order+1", b"=order+1"),
        (b"\r\n", b"\n"),
    ],
)
def test_another_way_of_writing_the_same_is_found(written: bytes, otherwise: bytes) -> None:
    raw = export(books())
    assert written in raw
    trouble(raw.replace(written, otherwise))


def test_the_whole_file_in_another_style_is_found() -> None:
    raw = export(books())
    for wrong in (
        b"\xef\xbb\xbf" + raw,
        raw.replace(b"\r\n", b"\n"),
        raw.replace(b",", b";"),
        raw.decode().encode("utf-16"),
        b"",
    ):
        assert located(wrong) == 1


def test_a_file_that_is_one_endless_line_is_refused_without_reading_it_whole() -> None:
    class Endless(io.RawIOBase):
        def readline(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert size > 0
            return b"a" * size

    with pytest.raises(Wrong, match="line 1"):
        read_ledger(Endless())  # type: ignore[arg-type]


# --- rows ----------------------------------------------------------------------------------------------------------


def test_a_row_whose_content_was_changed_does_not_fit_its_hash() -> None:
    rows = books()
    rows[3]["amount"] = "11"
    assert "line 6 (entry 4): its content does not fit its hash" in trouble(export(rows))


@pytest.mark.parametrize("name", [*FIELDS, "prev_hash", "hash"])
def test_no_field_can_be_changed(name: str) -> None:
    rows = books()
    rows[3][name] = rows[2][name] if rows[2][name] != rows[3][name] else rows[3][name] + "1"
    assert located(export(rows)) == 6


def test_a_row_that_was_changed_and_sealed_anew_shows_in_the_next() -> None:
    rows = books()
    rows[3] = {**rows[3], "reason": "better"}
    rows[3]["hash"] = sealed(rows[3])
    assert "line 7 (entry 5): it does not continue the entry before" in trouble(export(rows))


def test_a_row_that_is_missing_shows_in_the_next() -> None:
    rows = books()
    said = trouble(export(rows[:2] + rows[3:]))
    assert said.startswith("line 4 (entry 4): entries are missing before it: entry 3 was due")
    assert "filtered by kind or batch" in said


def test_a_row_twice_rows_swapped_and_rows_of_another_wallet_are_found() -> None:
    rows = books()
    assert "line 4 (entry 2): it comes after entry 2" in trouble(export([*rows[:2], *rows[1:]]))
    assert "line 3 (entry 3): entries are missing" in trouble(export([rows[0], rows[2], rows[1], *rows[3:]]))
    other = chained([{**row, "wallet_id": "wal_other"} for row in rows])
    assert "line 4 (entry 3): it belongs to another wallet" in trouble(export([*rows[:2], *other[2:]]))


def test_an_amount_that_does_not_lead_from_one_balance_to_the_next_is_found_though_the_chain_is_right() -> None:
    rows = books()
    rows[3]["amount"] = "9"
    assert "line 6 (entry 4): its balances do not follow" in trouble(export(chained(rows)))


@pytest.mark.parametrize("name", ["available_after", "reserved_after", "settled_after"])
def test_a_balance_out_of_nothing_is_found_though_the_chain_is_right(name: str) -> None:
    rows = books()
    for row in rows[2:]:
        row[name] = str(int(row[name]) + 1)
    assert "line 4 (entry 3): its balances do not follow" in trouble(export(chained(rows)))
    for row in rows:
        row[name] = str(int(row[name]) + 1000)
    assert "line 2 (entry 1): the first entry of a wallet must start from zero" in trouble(export(chained(rows)))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"kind": "gift"}, "there is no kind 'gift'"),
        ({"amount": "0"}, "must be positive"),
        ({"amount": "-5"}, "must be positive"),
        ({"seq": "0"}, "must be positive"),
        ({"created_at": "2026-02-30T10:00:00.000000Z"}, "created_at is no time"),
        ({"created_at": "2026-01-24T10:00:00Z"}, "created_at is no time"),
        ({"available_after": "-1"}, "a balance is negative"),
        ({"amount": "916"}, "a balance is negative"),
    ],
)
def test_what_no_entry_can_say_is_found_though_the_chain_is_right(changes: Row, what: str) -> None:
    row = {**books()[4], **changes, "kind": changes.get("kind", "adjustment_in")}
    assert f"line 2 (entry {row['seq']}): " in (said := trouble(export(chained([row], "a" * 64))))
    assert what in said


def test_the_hash_before_is_a_hash() -> None:
    row = {**books()[4], "prev_hash": "a" * 63}
    assert "prev_hash is no hash" in trouble(export([{**row, "hash": sealed(row)}]))
    row["prev_hash"] = "A" * 64
    assert "prev_hash is no hash" in trouble(export([{**row, "hash": sealed(row)}]))


def test_times_must_rise() -> None:
    rows = books()
    rows[3]["created_at"] = rows[2]["created_at"]
    assert "line 6 (entry 4): it is not dated after the entry before" in trouble(export(chained(rows)))


def test_the_first_entry_continues_nothing() -> None:
    assert "must start from zero" in trouble(export(chained(books(), "a" * 64)))


# --- the command line ----------------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_not_checked(tmp_path: Path) -> None:
    status, said = run(tmp_path / "nothing.csv")
    assert (status, said.startswith("NOT CHECKED")) == (2, True)
    assert run()[0] == 2
    assert run("proof")[0] == 2


def test_what_a_forger_wrote_cannot_run_on_the_auditors_terminal(ledger: Path) -> None:
    ledger.write_bytes(export(chained([{**books()[0], "kind": "\x1b[2J\x07"}])))
    status, said = run(ledger)
    assert (status, "\x1b" in said, "\\x1b[2J" in said) == (1, False, True)


def test_the_command_says_the_same(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("verify_ledger", str(ledger))
    assert capsys.readouterr().out == run(ledger)[1]
    ledger.write_bytes(export(books()[1:2] + books()[3:]))
    with pytest.raises(CommandError, match=r"line 3 \(entry 4\)") as refused:
        call_command("verify_ledger", str(ledger))
    assert refused.value.returncode == 1
    with pytest.raises(CommandError, match=r"nothing\.csv") as unread:
        call_command("verify_ledger", "nothing.csv")
    assert unread.value.returncode == 2


# --- what the system itself writes ---------------------------------------------------------------------------------


def exported(account: Account, mode: Mode = Mode.LIVE) -> bytes:
    """Return the system's own export of a wallet."""
    return b"".join(csv_copy.blocks(Selection(wallet=account.wallets[mode]).fixed()))


@pytest.mark.django_db
def test_the_systems_own_export_passes(account: Account) -> None:
    for request_id in ("=1+1", "'", 'a"b', "a,b", "\t", "ünï 株 😀", "\\.", "NULL", " "):
        end_batch(make_batch(account.api, 3, request_id=request_id), failed={0: FailureType.TIMEOUT})
    found = read(exported(account))
    assert (found.count, found.first.seq, found.last.seq) == (28, 1, 28)
    assert found.last.after == account.figures()


@pytest.mark.django_db
def test_a_proof_passes_with_its_items(account: Account, tmp_path: Path) -> None:
    for number, failed in enumerate([{}, {1: FailureType.TIMEOUT}, dict.fromkeys(range(3), FailureType.CAPACITY)]):
        batch = end_batch(make_batch(account.api, 3, request_id=f"order {number}"), failed=failed)
        proof, items = tmp_path / "proof.json", tmp_path / "items.jsonl"
        proof.write_text(batch.proof.body)
        items.write_text("".join(items_jsonl(batch)))
        status, said = run("proof", proof, items)
        assert status == 0
        assert f"sha256 {batch.proof.sha256}" in said
        assert "3 items" in said
        assert "items were NOT checked" in run("proof", proof)[1]
        call_command("verify_proof", str(proof), str(items), stdout=io.StringIO())


# --- proofs --------------------------------------------------------------------------------------------------------


def proof_of(rows: list[Row], items: bytes) -> dict[str, Any]:
    numbers = [name for name, kind in Entry.__annotations__.items() if kind is int]
    return {
        "batch_id": "bat_1",
        "request_id": "=order+1",
        "organization_id": "org_1",
        "livemode": True,
        "state": "partial",
        "finalized_at": "2026-01-24T10:00:03.000000Z",
        "summary": {"total": 10, "succeeded": 9, "failed": 1},
        "ledger": {"reserved": 100, "settled": 90, "refunded": 10},
        "entries": [{n: int(v) if n in numbers else v for n, v in row.items()} for row in rows],
        "items_count": 10,
        "items_sha256": hashlib.sha256(items).hexdigest(),
    }


def item_lines(**changes: Any) -> bytes:
    items = [{"credits": 10, "id": f"itm_{n}", "index": n, "status": "succeeded"} for n in range(10)]
    items[4]["status"] = "refunded"
    items[7].update(changes)
    return "".join(f"{canonical_json(item)}\n" for item in items).encode()


@pytest.fixture
def proof_trouble(tmp_path: Path) -> Callable[..., str]:
    """Return what is said about a proof, which must be wrong, and its items."""

    def check(proof: Any, items: bytes | None = None) -> str:
        file, lines = tmp_path / "proof.json", tmp_path / "items.jsonl"
        file.write_bytes(proof if isinstance(proof, bytes) else canonical_json(proof).encode())
        lines.write_bytes(items or b"")
        status, said = run("proof", file, *([lines] if items is not None else []))
        assert status == 1, said
        return said

    return check


def test_a_proof_made_by_hand_passes(tmp_path: Path) -> None:
    file, items = tmp_path / "proof.json", tmp_path / "items.jsonl"
    file.write_text(canonical_json(proof_of(books()[1:4], item_lines())))
    items.write_bytes(item_lines())
    assert run("proof", file, items)[0] == 0


def test_any_byte_of_a_proof_that_changes_its_form_is_found(tmp_path: Path) -> None:
    """A byte in a text that nothing else is bound to, such as an id, shows in the proof's own hash: the webhook's."""
    file = tmp_path / "proof.json"
    raw = canonical_json(proof_of(books()[1:4], item_lines())).encode()
    chance = random.Random(5)
    free = [m.span(1) for m in re.finditer(rb'"(?:organization_id|items_sha256|finalized_at)":"([^"]*)"', raw)]
    livemode = raw.index(b'"livemode":') + 11
    for at in range(len(raw)):
        if any(start <= at <= end for start, end in free) or livemode <= at < livemode + 4:
            continue
        file.write_bytes(chance.choice(list(mutations(raw, at))))
        assert main(["proof", str(file)]) == 1, at
    for whole in (
        raw[:-1],
        raw[:1000],
        raw + b"\n",
        b" " + raw,
        b"\xef\xbb\xbf" + raw,
        raw.replace(b":", b": "),
        raw.decode().encode("utf-16"),
    ):
        file.write_bytes(whole)
        assert main(["proof", str(file)]) == 1


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"ledger": {"reserved": 100, "settled": 91, "refunded": 10}}, "reserved 100 is not settled 91 + refunded 10"),
        ({"ledger": {"reserved": 100, "settled": 91, "refunded": 9}}, "the settle is 90, but the totals say 91"),
        ({"ledger": {"reserved": 90, "settled": 100, "refunded": -10}}, "no figure may be negative"),
        ({"summary": {"total": 10, "succeeded": 9, "failed": 2}}, "total is not succeeded + failed"),
        ({"items_count": 9}, "or not items_count"),
        ({"state": "completed"}, "it must be 'partial'"),
        ({"state": "processing"}, "it must be 'partial'"),
        ({"summary": {"total": 10, "succeeded": 10, "failed": 0}}, "it must be 'completed'"),
        ({"summary": {"total": 10, "succeeded": 0, "failed": 10}}, "it must be 'failed'"),
        ({"finalized_at": "2026-01-24"}, "finalized_at is no time"),
        ({"livemode": 1}, "livemode must be of the type bool"),
        ({"items_count": True}, "items_count must be of the type int"),
        ({"more": 1}, "exactly the members"),
        ({"request_id": "order"}, "entries/0: it is about another batch"),
        ({"batch_id": "bat_2"}, "entries/0: it is about another batch"),
        ({"entries": []}, "entries: the reserve is 0"),
        ({"entries": ["x"]}, "entries/0: it must be an object"),
    ],
)  # fmt: skip
def test_a_proof_that_does_not_add_up_is_refused(
    change: dict[str, Any], what: str, proof_trouble: Callable[..., str]
) -> None:
    assert what in proof_trouble({**proof_of(books()[1:4], item_lines()), **change})


def test_the_entries_of_a_proof_are_checked_like_those_of_a_ledger(proof_trouble: Callable[..., str]) -> None:
    rows = books()[1:4]
    proof = proof_of(rows, item_lines())

    def said(entries: list[Any]) -> str:
        return proof_trouble({**proof, "entries": entries})

    first, second, third = proof["entries"]
    assert "entries/1: its content does not fit its hash" in said([first, {**second, "amount": 80}, third])
    assert "entries/2: a batch has no settle here, or none more" in said([first, second, second])
    assert "entries/0: it: kind must be of the type str" in said([{**first, "kind": []}, second, third])
    assert "entries/1: it is of another wallet than the one before, or out of order" in said([third, first, second])
    assert "entries: the settle is 0, but the totals say 90" in said([first, third])
    broken = proof_of([*rows[:1], *chained(rows[1:], "a" * 64)], item_lines())
    assert "entries/1: it does not continue the entry before" in proof_trouble(broken)


@pytest.mark.parametrize(
    ("items", "what"),
    [
        (item_lines(credits=9), "9 items have succeeded, with 89 credits; the proof says 9, with 90"),
        (item_lines(status="refunded"), "8 items have succeeded, with 80 credits"),
        (item_lines(status="failed"), "line 8: an item has succeeded or was refunded"),
        (item_lines(credits=-10), "line 8: an item has succeeded or was refunded, and its credits are not negative"),
        (item_lines(index=8), "line 8: item 7 was due, not 8"),
        (item_lines(id="itm_x"), "the file's SHA-256 is not"),
        (item_lines(more=1), "line 8 must be an object with exactly"),
        (item_lines()[:-1], "line 10"),
        (item_lines() + b"\n", "line 11"),
        (item_lines().replace(b'"index":7', b'"index": 7'), "line 8: this is not the canonical JSON"),
        (b"".join(item_lines().splitlines(keepends=True)[:9]), "8 items have succeeded"),
        (b"", "0 items have succeeded"),
    ],
)
def test_items_that_are_not_those_of_the_proof_are_refused(
    items: bytes, what: str, proof_trouble: Callable[..., str]
) -> None:
    said = proof_trouble(proof_of(books()[1:4], item_lines()), items)
    assert f"items.jsonl: {what}" in said
