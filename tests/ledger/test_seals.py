"""Seals in the system: what they are over, what stops them, their files, and what only they show."""

import base64
import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from customers.models import Mode
from ledger import merkle, seal_keys, seals, verify_ledger
from ledger.exports import csv_copy
from ledger.exports.selection import Selection
from ledger.models import Seal, SealLeaf, Wallet
from ledger.tasks import seal as seal_task
from sora2.canonical import canonical_json, sha256_hex
from sora2.celery import app
from tests.connections import at_once
from tests.factories import Account, api_with_scopes, make_account, make_batch
from tests.ledger.books import PROGRAM, run
from tests.people import member, staff, words_of
from tests.sora2.test_openapi import check

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def folder(settings: Settings, tmp_path: Path) -> Path:
    """Where the files of this test's seals are; seals are due at any time."""
    settings.SEAL_SECONDS = 0
    settings.SEAL_DIR = tmp_path / "seals"
    return tmp_path / "seals"


def sealed() -> Seal:
    return seals.seal(now=NOW)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what a seal is over -------------------------------------------------------------------------------------------


def test_a_seal_is_over_the_heads_of_all_wallets_that_have_entries(account: Account) -> None:
    make_account(0, name="Bare")
    made = sealed()
    wallets = sorted(Wallet.objects.filter(last_seq__gt=0), key=lambda wallet: wallet.pk)
    leaves = [f"{w.pk},{w.last_seq},{w.head_hash}".encode() for w in wallets]
    assert (made.number, made.wallets) == (1, 2)
    assert made.root == merkle.root(leaves).hex()
    assert json.loads(made.body) == {
        "format": "sora2-ledger-seal-1",
        "number": 1,
        "previous": "0" * 64,
        "root": made.root,
        "sealed_at": "2026-01-24T12:00:00.000000Z",
        "wallets": 2,
    }
    assert made.body == canonical_json(json.loads(made.body))


def test_each_seal_names_the_one_before(account: Account) -> None:
    first, second = sealed(), sealed()
    assert (second.number, second.previous) == (2, sha256_hex(first.body))


def test_a_wallet_that_has_not_moved_gets_no_new_leaf(account: Account) -> None:
    other = make_account(name="Globex")
    sealed()
    make_batch(account.api)
    second = sealed()
    assert SealLeaf.objects.filter(seal=1).count() == 4
    assert [leaf.wallet_id for leaf in SealLeaf.objects.filter(seal=2)] == [account.wallets[Mode.LIVE].pk]
    assert second.wallets == 4
    assert {head.wallet_id for head in seals.heads_under(2)} >= {wallet.pk for wallet in other.wallets.values()}


def test_the_heads_under_an_old_seal_stay_those_of_then(account: Account) -> None:
    first = sealed()
    before = seals.heads_under(1)
    make_batch(account.api)
    sealed()
    assert seals.heads_under(1) == before != seals.heads_under(2)
    assert merkle.root([head.leaf for head in before]).hex() == first.root


def test_a_seal_over_nothing_can_be_made_on_demand() -> None:
    assert (sealed().wallets, Seal.objects.get().root) == (0, sha256_hex(""))


def test_on_schedule_nothing_is_sealed_that_has_not_changed(account: Account, folder: Path) -> None:
    first = seals.seal_if_due(now=NOW)
    assert first is not None
    assert seals.seal_if_due(now=NOW) is None
    make_batch(account.api)
    second = seals.seal_if_due(now=NOW)
    assert second is not None
    assert files(folder) == ["seal-00000001.json", "seal-00000002.json"]


def test_the_schedule_stands_in_the_last_seal(account: Account, settings: Settings) -> None:
    settings.SEAL_SECONDS = 3600
    assert seals.seal_if_due(now=NOW) is not None
    make_batch(account.api)
    assert seals.seal_if_due(now=NOW + timedelta(seconds=3599)) is None
    second = seals.seal_if_due(now=NOW + timedelta(seconds=3600))
    assert second is not None
    assert second.number == 2


@pytest.mark.django_db(transaction=True)
def test_many_who_seal_at_once_make_one_chain(account: Account, folder: Path) -> None:
    made = at_once(*[sealed] * 4)
    assert sorted(seal.number for seal in made if isinstance(seal, Seal)) == [1, 2, 3, 4]
    assert seals.check_all() == 4
    make_batch(account.api)
    found = at_once(*[lambda: seals.seal_if_due(now=NOW)] * 4)
    assert sorted(type(seal).__name__ for seal in found) == ["NoneType", "NoneType", "NoneType", "Seal"]
    assert seals.check_all() == 5
    assert len(files(folder)) == 5


@pytest.mark.parametrize("table", ["ledger_seal", "ledger_sealleaf"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET wallets = 1", "DELETE FROM {}"])
@pytest.mark.owner
def test_seals_cannot_be_changed(account: Account, table: str, statement: str) -> None:
    sealed()
    statement = statement.replace("wallets", "seq") if table == "ledger_sealleaf" else statement
    with pytest.raises(DatabaseError, match="append-only"):
        connection.cursor().execute(statement.format(table))


# --- files ---------------------------------------------------------------------------------------------------------


def test_a_seal_is_written_to_a_file_that_nobody_changes(account: Account, folder: Path) -> None:
    made = sealed()
    file = folder / "seal-00000001.json"
    assert files(folder) == [file.name]
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    said = json.loads(file.read_text())
    assert said == {"key_id": made.key_id, "seal": json.loads(made.body), "signature": made.signature}
    assert file.read_text() == canonical_json(said) + "\n"


def test_a_file_that_a_crash_left_unwritten_is_written_by_the_next_run(account: Account, folder: Path) -> None:
    sealed()
    whole = (folder / "seal-00000001.json").read_bytes()
    (folder / "seal-00000001.json").unlink()
    (folder / ".seal-draft").write_bytes(whole[:10])
    assert seals.seal_if_due(now=NOW) is None
    assert (folder / "seal-00000001.json").read_bytes() == whole


def test_a_file_that_was_changed_stops_the_sealing(account: Account, folder: Path) -> None:
    sealed()
    make_batch(account.api)
    file = folder / "seal-00000001.json"
    file.chmod(0o644)
    file.write_bytes(file.read_bytes().replace(b"2026", b"2025"))
    with pytest.raises(seals.FileChanged, match=r"seal-00000001\.json does not say"):
        sealed()
    assert Seal.objects.count() == 1


@pytest.mark.owner
def test_a_file_whose_seal_is_gone_from_the_database_stops_the_sealing(account: Account, folder: Path) -> None:
    sealed()
    make_batch(account.api)
    sealed()
    as_owner("DELETE FROM ledger_sealleaf WHERE seal_id = 2", "DELETE FROM ledger_seal WHERE number = 2")
    with pytest.raises(seals.FileChanged, match=r"seal-00000002\.json: the database does not know"):
        sealed()


def test_a_seal_whose_file_cannot_be_written_is_made_and_its_file_follows(account: Account, folder: Path) -> None:
    folder.parent.joinpath("seals").write_text("in the way")
    with pytest.raises(OSError, match="seals"):
        sealed()
    folder.unlink()
    assert seals.seal_if_due(now=NOW) is None
    assert len(files(folder)) == Seal.objects.count() == 1


# --- what stops the sealing ----------------------------------------------------------------------------------------


def as_owner(*statements: str) -> None:
    """Do what no role but the tables' owner can: with triggers off."""
    tables = ("credit_ledger", "ledger_wallet", "ledger_seal", "ledger_sealleaf")
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            cursor.execute(statement)
        for table in tables:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute(ALWAYS)
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


# As the migrations leave them.
ALWAYS = """
    DO $$ DECLARE each record; BEGIN
        FOR each IN SELECT tgrelid::regclass AS t, tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'
            AND tgrelid IN ('credit_ledger'::regclass, 'ledger_wallet'::regclass, 'ledger_seal'::regclass,
                            'ledger_sealleaf'::regclass) AND tgname <> 'batches_entry_has_batch'
        LOOP EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', each.t, each.tgname); END LOOP;
    END $$
"""
CUT = """
    DELETE FROM credit_ledger WHERE wallet_id = '{wallet}' AND seq > 1;
    UPDATE ledger_wallet w SET available = e.available_after, reserved = e.reserved_after, settled = e.settled_after,
        last_seq = e.seq, last_entry_at = e.created_at, prev_hash = e.prev_hash, head_hash = e.hash
    FROM credit_ledger e WHERE w.id = '{wallet}' AND e.wallet_id = w.id AND e.seq = 1
"""
# A chain that is as good as the one before, over another story.
REWRITE = """
    DO $$ DECLARE each credit_ledger; before text := repeat('0', 64); BEGIN
        FOR each IN SELECT * FROM credit_ledger WHERE wallet_id = '{wallet}' ORDER BY seq LOOP
            each.reason := 'as it should have been';
            each.prev_hash := before;
            before := ledger_entry_hash(before, each.wallet_id, each.seq, each.entry_id, each.created_at, each.kind,
                each.amount, each.available_after, each.reserved_after, each.settled_after, each.reference,
                each.request_id, each.actor, each.reason);
            UPDATE credit_ledger SET reason = each.reason, prev_hash = each.prev_hash, hash = before
            WHERE entry_id = each.entry_id;
            UPDATE ledger_wallet SET prev_hash = each.prev_hash, head_hash = before WHERE id = each.wallet_id;
        END LOOP;
    END $$
"""
FORGERIES = {
    "cut": CUT,
    "rewritten": REWRITE,
    "reset": "UPDATE ledger_wallet SET last_seq = 1 WHERE id = '{wallet}'",
}


@pytest.fixture
def wallet(account: Account) -> Wallet:
    """A live wallet with a grant and two reserves."""
    for number in range(2):
        make_batch(account.api, request_id=f"order {number}")
    return Wallet.objects.get(pk=account.wallets[Mode.LIVE].pk)


@pytest.mark.unbooked
@pytest.mark.parametrize("how", FORGERIES)
def test_a_history_that_is_not_the_sealed_one_is_not_sealed_over(how: str, wallet: Wallet, folder: Path) -> None:
    sealed()
    as_owner(FORGERIES[how].format(wallet=wallet.pk))
    with pytest.raises(seals.HistoryChanged, match=f"wallet {wallet.pk} no longer has the entry 3 that seal 1"):
        sealed()
    with pytest.raises(CommandError, match=f"HistoryChanged: .*{wallet.pk}"):
        call_command("seal_ledger", "--check")
    assert Seal.objects.count() == 1


@pytest.mark.unbooked
def test_the_task_fails_loudly_when_history_has_changed(
    wallet: Wallet, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sealed()
    as_owner(CUT.format(wallet=wallet.pk))
    with pytest.raises(seals.HistoryChanged):
        seal_task()
    assert "ledger.seal_refused" in caplog.text
    assert wallet.pk in caplog.text
    assert files(folder) == ["seal-00000001.json"]


@pytest.mark.unbooked
def test_a_head_that_is_no_entry_is_not_sealed(wallet: Wallet) -> None:
    as_owner(f"UPDATE ledger_wallet SET head_hash = repeat('a', 64) WHERE id = '{wallet.pk}'")
    with pytest.raises(seals.HistoryChanged, match=wallet.pk):
        sealed()
    assert not Seal.objects.exists()


@pytest.mark.unbooked
@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger_seal SET root = repeat('a', 64)",
        "UPDATE ledger_seal SET wallets = wallets + 1",
        "UPDATE ledger_seal SET sealed_at = sealed_at + interval '1 second'",
        "UPDATE ledger_seal SET previous = repeat('a', 64)",
        "UPDATE ledger_seal SET body = replace(body, '20', '19')",
        "UPDATE ledger_seal SET signature ="
        " overlay(signature PLACING CASE left(signature, 1) WHEN 'x' THEN 'y' ELSE 'x' END FROM 1)",
        "UPDATE ledger_seal SET key_id = repeat('a', 16)",
        "UPDATE ledger_sealleaf SET seq = 2, head_hash = (SELECT hash FROM credit_ledger WHERE wallet_id ="
        " '{wallet}' AND seq = 2) WHERE wallet_id = '{wallet}'",
        "DELETE FROM ledger_sealleaf WHERE wallet_id = '{wallet}'",
        "UPDATE ledger_sealleaf SET head_hash = repeat('a', 64) WHERE wallet_id = '{wallet}'",
    ],
)
def test_a_seal_that_was_changed_in_the_database_stops_the_sealing(change: str, wallet: Wallet, folder: Path) -> None:
    sealed()
    as_owner(change.format(wallet=wallet.pk))
    # Neither is a file written from it.
    (folder / "seal-00000001.json").unlink()
    with pytest.raises(seals.SealError):
        sealed()
    assert Seal.objects.count() == 1
    if "ledger_sealleaf" not in change:
        assert files(folder) == []


@pytest.mark.owner
def test_a_seal_in_the_middle_that_was_changed_is_found_by_the_check(wallet: Wallet, folder: Path) -> None:
    for _ in range(3):
        sealed()
    said = json.loads(Seal.objects.get(number=2).body)
    body = canonical_json({**said, "sealed_at": "2026-01-24T12:00:01.000000Z"})
    signature, _ = seal_keys.sign(body)
    as_owner(
        "UPDATE ledger_seal SET sealed_at = sealed_at + interval '1 second',"
        f" body = '{body}', signature = '{signature}' WHERE number = 2"
    )
    with pytest.raises(seals.SealChanged, match="seal 3 does not continue"):
        seals.check_all()


# --- keys ----------------------------------------------------------------------------------------------------------


def test_seals_of_a_retired_key_hold_as_long_as_it_is_known(account: Account, settings: Settings) -> None:
    old = seal_keys.public_keys()[0]
    sealed()
    settings.SEAL_SIGNING_KEY = base64.b64encode(os.urandom(32)).decode()
    with pytest.raises(seals.SealChanged, match="SEAL_RETIRED_KEYS"):
        sealed()
    settings.SEAL_RETIRED_KEYS = [old.text]
    second = sealed()
    assert second.key_id == seal_keys.public_keys()[0].id != old.id
    assert seals.check_all() == 2


def test_the_public_keys_are_published_to_anybody(client: Client, settings: Settings) -> None:
    settings.SEAL_RETIRED_KEYS = [base64.b64encode(bytes(range(32))).decode()]
    said = client.get("/.well-known/sora2-seal-keys.json").json()
    assert [key["algorithm"] for key in said["keys"]] == ["Ed25519", "Ed25519"]
    assert said["keys"][1]["public_key"] == settings.SEAL_RETIRED_KEYS[0]
    assert settings.SEAL_SIGNING_KEY not in str(said)


# --- what a customer gets ------------------------------------------------------------------------------------------


def test_the_api_lists_seals_and_gives_each_with_the_path_of_the_keys_wallet(account: Account) -> None:
    for name in "bcdef":
        make_account(name=name)
    first, second = sealed(), sealed()
    listed = account.api.get("/seals", limit=1).json()
    assert [seal["number"] for seal in listed["data"]] == [2]
    assert account.api.get("/seals", cursor=listed["next_cursor"]).json()["data"] == [
        {
            "number": 1,
            "sealed_at": "2026-01-24T12:00:00.000000Z",
            "wallets": 12,
            "root": first.root,
            "previous": "0" * 64,
            "key_id": first.key_id,
        }
    ]
    for api, mode in ((account.api, Mode.LIVE), (account.test_api, Mode.TEST)):
        said = api.get(f"/seals/{second.number}").json()
        wallet = Wallet.objects.get(pk=account.wallets[mode].pk)
        assert said["wallet"] == {"wallet_id": wallet.pk, "seq": wallet.last_seq, "hash": wallet.head_hash}
        assert list(said) == sorted(said)


def test_answers_are_as_documented(account: Account) -> None:
    sealed()
    for response in (account.api.get("/seals"), account.api.get("/seals/1"), account.api.get("/seals/2")):
        check(response)


@pytest.mark.parametrize("number", ["2", "0", "x", "-1", "1.0", "١", "9" * 30])
def test_a_seal_that_is_not_there_is_not_found(account: Account, number: str) -> None:
    sealed()
    assert account.api.get(f"/seals/{number}").status_code == 404


def test_a_wallet_without_entries_has_no_path(account: Account) -> None:
    bare = make_account(0, name="Bare")
    sealed()
    assert bare.api.get("/seals/1").status_code == 404
    assert len(bare.api.get("/seals").json()["data"]) == 1


def test_a_key_needs_the_scope(account: Account) -> None:
    sealed()
    api = api_with_scopes(account.organization, [])
    assert api.get("/seals").status_code == api.get("/seals/1").status_code == 403


def test_the_page_lists_seals_with_the_files_of_ones_own_wallets(account: Account) -> None:
    globex = make_account(name="Globex")
    sealed()
    client = member(account.organization)
    response = client.get("/admin/ledger/seals/")
    assert "Acme live · Acme test" in words_of(response)
    assert "Globex" not in words_of(response)
    address = f"/admin/ledger/{account.organization.pk}/seals/1"
    assert address in response.content.decode()
    said = client.get(address, {"mode": "test"})
    assert said.json()["wallet"]["wallet_id"] == account.wallets[Mode.TEST].pk
    assert f"seal-00000001-{account.wallets[Mode.TEST].pk}.json" in said.headers["Content-Disposition"]
    assert client.get(f"/admin/ledger/{globex.organization.pk}/seals/1").status_code == 404
    assert client.get("/admin/ledger/seals/1").content == seals.file_of(Seal.objects.get()).read_bytes()
    for missing in ("/admin/ledger/seals/2", f"/admin/ledger/{account.organization.pk}/seals/2"):
        assert client.get(missing).status_code == 404


def test_the_verifier_can_be_had_from_the_page(account: Account) -> None:
    client = member(account.organization)
    assert "/admin/ledger/verify_ledger.py" in client.get("/admin/ledger/seals/").content.decode()
    assert client.get("/admin/ledger/verify_ledger.py").content == PROGRAM.read_bytes()


def test_staff_choose_a_customer(account: Account) -> None:
    sealed()
    address, client = "/admin/ledger/seals/", staff()
    assert "Acme" not in words_of(client.get(address))
    assert "Acme live · Acme test" in words_of(client.get(address, {"customer": account.organization.pk}))
    assert "There is no customer with this id" in words_of(client.get(address, {"customer": "org_x"}))
    assert client.get(f"/admin/ledger/{account.organization.pk}/seals/1").status_code == 200
    assert staff("support").get(address).status_code == 403


def test_the_page_says_how_the_first_seal_is_made() -> None:
    assert "No seals yet" in words_of(staff().get("/admin/ledger/seals/"))


def test_the_page_takes_as_many_queries_whatever_there_is(account: Account, django_assert_num_queries: Any) -> None:
    client, address = member(account.organization), "/admin/ledger/seals/"
    sealed()
    with django_assert_num_queries(6):
        client.get(address)
    for _ in range(3):
        sealed()
    with django_assert_num_queries(6):
        client.get(address)


# --- commands and the task -----------------------------------------------------------------------------------------


def test_the_command_seals_and_says_where(account: Account, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("seal_ledger")
    made = Seal.objects.get()
    assert capsys.readouterr().out.splitlines() == [
        "seal 1 over 2 wallets",
        f"root {made.root}",
        f"file {folder / 'seal-00000001.json'}",
    ]
    call_command("seal_ledger", "--check")
    assert "✓ 1 seal" in capsys.readouterr().out


def test_the_check_misses_no_file(account: Account, folder: Path) -> None:
    sealed()
    sealed()
    (folder / "seal-00000001.json").unlink()
    with pytest.raises(CommandError, match=r"FileChanged: .*seal-00000001\.json is missing") as refused:
        call_command("seal_ledger", "--check")
    assert refused.value.returncode == 1
    assert files(folder) == ["seal-00000002.json"]


def test_the_task_seals_what_has_changed(account: Account, folder: Path) -> None:
    for _ in range(2):
        seal_task()
    assert files(folder) == ["seal-00000001.json"]
    assert abs((timezone.now() - Seal.objects.get().sealed_at).total_seconds()) < 3600


def test_beat_rings_for_it_at_least_once_a_minute(settings: Settings) -> None:
    entry = settings.CELERY_BEAT_SCHEDULE["ledger.seal"]
    assert entry["task"] == seal_task.name in app.tasks
    assert entry["schedule"] <= 60


# --- with the verifier ---------------------------------------------------------------------------------------------


@pytest.fixture
def kept(wallet: Wallet, account: Account, folder: Path, tmp_path: Path) -> list[str]:
    """What an auditor kept of two seals: the verifier's options with seals, path and key. The ledger goes first."""
    sealed()
    make_batch(account.api, request_id="more")
    sealed()
    path, keys = tmp_path / "mine.json", tmp_path / "keys.json"
    path.write_bytes(account.api.get("/seals/2").content)
    keys.write_bytes(Client().get("/.well-known/sora2-seal-keys.json").content)
    return ["--seal", *map(str, sorted(folder.iterdir())), "--path", str(path), "--key", str(keys)]


def export(wallet: Wallet, tmp_path: Path) -> str:
    file = tmp_path / "ledger.csv"
    file.write_bytes(b"".join(csv_copy.blocks(Selection(wallet=wallet).fixed())))
    return str(file)


def test_the_verifier_passes_the_systems_own_books_and_seals(wallet: Wallet, kept: list[str], tmp_path: Path) -> None:
    status, said = run(export(wallet, tmp_path), *kept)
    assert (status, said.count("signed by")) == (0, 2)
    assert "entry 4 is the one that was sealed" in said


@pytest.mark.unbooked
@pytest.mark.parametrize(("how", "said"), [("cut", "tail was cut off"), ("rewritten", "history was rewritten")])
def test_what_the_owner_does_to_the_books_shows_with_a_seal_and_only_with_one(
    how: str, said: str, wallet: Wallet, kept: list[str], tmp_path: Path
) -> None:
    as_owner(FORGERIES[how].format(wallet=wallet.pk))
    ledger = export(wallet, tmp_path)
    assert run(ledger)[0] == 0
    status, found = run(ledger, *kept)
    assert (status, said in found) == (1, True)


@pytest.mark.unbooked
def test_an_owner_who_seals_the_rewritten_books_anew_has_not_the_key(
    wallet: Wallet, account: Account, kept: list[str], folder: Path, tmp_path: Path, settings: Settings
) -> None:
    as_owner(REWRITE.format(wallet=wallet.pk), "DELETE FROM ledger_sealleaf", "DELETE FROM ledger_seal")
    settings.SEAL_DIR = tmp_path / "elsewhere"
    settings.SEAL_SIGNING_KEY = base64.b64encode(os.urandom(32)).decode()
    sealed()
    forged = tmp_path / "forged.json"
    forged.write_bytes(account.api.get("/seals/1").content)
    ledger, key = export(wallet, tmp_path), kept[-1]
    assert run(ledger, "--path", forged)[0] == 0
    assert run(ledger, "--path", forged, "--key", key)[0] == 1
    # And with the key, there would be two seals of one number.
    assert "two different seals" in run(ledger, *kept[:-2], "--seal", forged)[1]


def test_ten_thousand_wallets_are_a_tree_of_fourteen_levels() -> None:
    leaves = [f"wal_{number:026},1,{'a' * 64}".encode() for number in range(10_000)]
    root, path = merkle.root(leaves), merkle.path(leaves, 7_777)
    assert len(path) == 14
    assert verify_ledger.merkle_root(leaves[7_777], 7_777, 10_000, path) == root.hex()
