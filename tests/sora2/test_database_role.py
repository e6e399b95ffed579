"""The role that the system runs as may do what the code does, and the database itself refuses it everything else."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any

import pytest
from django.apps import apps
from django.core.checks import Tags, run_checks
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from customers.access import DEFAULT_SCOPES
from customers.issuing import KeyOrder, issue, rotate
from customers.models import ApiKey, Mode
from customers.services import InvalidApiKey, api_key_of_secret, create_staff, revoke_api_key
from ledger import lows
from ledger.approvals import approve, reject, request_credits
from ledger.models import Entry, Period
from ledger.services import InsufficientCredits, Movement, reserve
from sora2.checks import check_role
from sora2.database_grants import differences
from sora2.database_role import EVERY, TABLES
from tests.factories import end_batch, make_account, make_batch

pytestmark = [pytest.mark.django_db, pytest.mark.owner]

ROLE = "the_role_of_a_test"
INSUFFICIENT_PRIVILEGE = "42501"


@pytest.fixture
def role(db: None) -> str:
    """The role, made by the command; it is gone with the test's transaction."""
    call_command("database_role", ROLE, stdout=io.StringIO())
    return ROLE


@contextmanager
def signed_in(role: str = ROLE) -> Iterator[None]:
    """Be the role as if this session had logged in as it, which a mere SET ROLE could leave again."""
    execute(f'SET SESSION AUTHORIZATION "{role}"')
    yield
    execute("RESET SESSION AUTHORIZATION")


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def values(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return [value for (value,) in cursor.fetchall()]


def assert_refused(sql: str) -> None:
    """Check that the role lacks the privilege: what a trigger or a constraint refuses has got past that."""
    with signed_in(), pytest.raises(DatabaseError) as refusal, transaction.atomic():
        execute(sql)
    assert getattr(refusal.value.__cause__, "sqlstate", None) == INSUFFICIENT_PRIVILEGE, refusal.value


def columns_of(table: str) -> list[str]:
    """Return the columns that can be written at all."""
    written = "attnum > 0 AND NOT attisdropped AND attgenerated = ''"
    return values(f"SELECT attname FROM pg_attribute WHERE attrelid = '{table}'::regclass AND {written}")


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_names_every_table_and_no_other() -> None:
    """A new model needs a line in sora2/database_role.py: without one, nothing could be read from its table."""
    models = apps.get_models(include_auto_created=True)
    assert TABLES.keys() == {model._meta.db_table for model in models} | {"django_migrations"}


@pytest.mark.parametrize("table", TABLES)
def test_the_list_names_columns_that_exist(table: str) -> None:
    rights = TABLES[table]
    assert {*rights.insert, *rights.update} - {"*"} <= set(columns_of(table))


def test_an_entry_is_inserted_with_what_is_given_and_nothing_else() -> None:
    computed = {"seq", "created_at", "available_after", "reserved_after", "settled_after", "prev_hash", "hash"}
    assert set(TABLES["credit_ledger"].insert) == set(columns_of("credit_ledger")) - computed


def test_what_runs_as_the_owner_looks_for_tables_where_ours_are() -> None:
    """Without a fixed path, whoever calls it could have it take another table for ours."""
    loose = values(
        "SELECT proname FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND prosecdef"
        " AND NOT coalesce('search_path=' || current_schema() || ', pg_temp' = ANY(proconfig), false)"
    )
    assert loose == []


# --- the command ---------------------------------------------------------------------------------------------------


def test_the_role_has_exactly_the_rights_of_the_list(role: str) -> None:
    assert differences(role=role) == (set(), set())


def test_a_new_role_may_log_in_and_has_no_password(role: str) -> None:
    assert values(f"SELECT rolcanlogin AND rolpassword IS NULL FROM pg_authid WHERE rolname = '{role}'") == [True]


@pytest.mark.parametrize(
    "given",
    [
        "GRANT UPDATE, DELETE ON credit_ledger TO {role}",
        "GRANT UPDATE (available) ON ledger_wallet TO {role}",
        "GRANT DELETE ON batches_batch TO PUBLIC",
        "GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO {role}",
        "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}",
        "GRANT EXECUTE ON FUNCTION ledger_post() TO PUBLIC",
        "GRANT UPDATE ON invariant_chain_intact TO {role}",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        "GRANT CREATE ON SCHEMA public TO {role} WITH GRANT OPTION",
        "DO $$ BEGIN EXECUTE format('GRANT ALL ON DATABASE %I TO {role}, PUBLIC', current_database()); END $$",
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO {role}; CREATE TABLE of_the_next_release (id int)",
    ],
)
def test_run_again_it_takes_back_what_was_given_meanwhile(role: str, given: str) -> None:
    execute(given.format(role=role))
    assert differences(role=role)[0]
    call_command("database_role", role, stdout=io.StringIO())
    assert differences(role=role) == (set(), set())


def test_run_again_it_gives_back_what_is_missing(role: str) -> None:
    execute(f"REVOKE SELECT ON ledger_wallet FROM {role}; REVOKE USAGE ON SCHEMA public FROM PUBLIC, {role}")
    assert differences(role=role)[1]
    call_command("database_role", role, stdout=io.StringIO())
    assert differences(role=role) == (set(), set())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("ALTER ROLE {role} SUPERUSER", "SUPERUSER"),
        ("ALTER ROLE {role} CREATEROLE", "CREATEROLE"),
        ("DO $$ BEGIN EXECUTE format('GRANT %I TO {role}', current_user); END $$", "the rights of"),
        ("GRANT pg_write_all_data TO {role}", "UPDATE on credit_ledger"),
        ("CREATE SCHEMA elsewhere; GRANT CREATE ON SCHEMA elsewhere TO {role}", "CREATE on the schema elsewhere"),
    ],
)
def test_what_it_cannot_take_back_it_names_and_changes_nothing(role: str, given: str, named: str) -> None:
    execute(given.format(role=role))
    execute(f"REVOKE SELECT ON pilots_pilot FROM {role}")
    before = differences(role=role)
    with pytest.raises(CommandError, match=f"must not have: .*{named}"):
        call_command("database_role", role)
    assert differences(role=role) == before


def test_it_is_for_the_tables_owner(role: str) -> None:
    with signed_in(), pytest.raises(CommandError, match="Connect as the tables' owner"):
        call_command("database_role", "another")


def test_printing_changes_nothing_and_what_is_printed_makes_the_same_role() -> None:
    printed = io.StringIO()
    call_command("database_role", ROLE, "--print", stdout=printed)
    assert values(f"SELECT rolname FROM pg_roles WHERE rolname = '{ROLE}'") == []
    execute(printed.getvalue())
    assert differences(role=ROLE) == (set(), set())


def test_a_name_is_taken_as_it_is(db: None) -> None:
    name = 'Robert"; DROP TABLE credit_ledger; --'
    call_command("database_role", name, stdout=io.StringIO())
    assert differences(role=name) == (set(), set())


# --- what it can do ------------------------------------------------------------------------------------------------


def test_the_verbs_work_for_the_role(role: str) -> None:
    with signed_in():
        asks, decides = (create_staff(username=name, role=name)[0] for name in ("finance", "finance approver"))
        account = make_account(credits=100)
        wallet = account.wallets[Mode.LIVE]
        end_batch(make_batch(account.api, 3))
        wanted: Any = {
            "wallet": wallet,
            "kind": Entry.Kind.ADJUSTMENT_IN,
            "amount": 5,
            "reason": "x",
            "requested_by": asks,
        }
        approve(request=request_credits(**wanted), decided_by=decides)
        reject(request=request_credits(**wanted), decided_by=decides)
        lows.set_threshold(wallet=wallet, threshold=1000, actor=asks.pk)
        assert [lows.tick_off(wallet=low) for low in lows.untold()] == [True]
        maker, now = account.keys[Mode.LIVE], timezone.now()
        ordered = KeyOrder("x", DEFAULT_SCOPES, expires_at=None, budget_credits=5, allowed_networks=["203.0.113.0/24"])
        made, _ = issue(maker=maker, order=ordered, now=now)
        _, secret = rotate(asker=maker, key=made, overlap_hours=1, now=now)
        with pytest.raises(InvalidApiKey):
            api_key_of_secret(secret=secret, address=ip_address("198.51.100.7"), now=now)
        second, _ = issue(maker=made, order=replace(ordered, budget_credits=2), now=now)
        assert (ApiKey.objects.get(pk=made.pk).remaining_credits, second.budget_credits) == (3, 2)
        make_batch(account.test_api, 50)  # More than there is: the sandbox is filled.
        revoke_api_key(key=maker, now=now)
        Period.objects.create(
            month="2026-01",
            starts_at=datetime(2026, 1, 1, tzinfo=UTC),
            ends_at=datetime(2026, 2, 1, tzinfo=UTC),
        )
        execute("SET CONSTRAINTS ALL IMMEDIATE")
    assert account.figures() == (75, 0, 30)


# --- what it cannot ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_no_row_changes_goes_or_comes_in_a_way_that_the_list_does_not_name(role: str, table: str) -> None:
    rights = TABLES[table]
    columns = columns_of(table)
    forbidden = [f"TRUNCATE {table}", *([] if rights.delete else [f"DELETE FROM {table}"])]
    if rights.update != EVERY:
        forbidden += [f'UPDATE {table} SET "{name}" = NULL' for name in columns if name not in rights.update]
    if rights.insert != EVERY:
        forbidden += [f'INSERT INTO {table} ("{name}") VALUES (NULL)' for name in columns if name not in rights.insert]
    for sql in forbidden:
        assert_refused(sql)


RECORDS = (
    *("credit_ledger", "ledger_wallet", "ledger_creditrequest", "ledger_period", "ledger_periodbalance"),
    *("ledger_seal", "ledger_sealleaf", "batches_batch", "batches_item", "batches_output", "batches_proof"),
    *("webhooks_event", "customers_auditevent"),
)
FIXED = {
    "credit_ledger": "amount",
    "ledger_period": "ends_at",
    "ledger_periodbalance": "available",
    "ledger_seal": "root",
    "ledger_sealleaf": "head_hash",
    "batches_output": "sha256",
    "batches_proof": "body",
    "webhooks_event": "body",
    "customers_auditevent": "detail",
}
FIGURES = (
    *("available", "reserved", "settled", "last_seq", "last_entry_at", "prev_hash", "head_hash"),
    *("closed_until", "low_since", "organization_id", "mode"),
)


@pytest.mark.parametrize(
    "sql",
    [
        *(f"DELETE FROM {table}" for table in RECORDS),
        *(f"TRUNCATE {table} CASCADE" for table in RECORDS),
        *(f"UPDATE {table} SET {content} = {content}" for table, content in FIXED.items()),
        *(f"UPDATE ledger_wallet SET {figure} = {figure}" for figure in FIGURES),
        *(f"UPDATE ledger_creditrequest SET {term} = {term}" for term in ("amount", "wallet_id", "requested_by_id")),
        *(f"UPDATE batches_item SET {term} = {term}" for term in ("credits", "prompt", "batch_id")),
        *(f"UPDATE batches_batch SET {term} = {term}" for term in ("credits", "wallet_id", "total")),
        "UPDATE customers_apikey SET scopes = scopes",
    ],
)
def test_what_is_a_record_stays(role: str, sql: str) -> None:
    """Said once more by hand: a list that allows too much must not pass because it is the list."""
    assert_refused(sql)


@pytest.mark.parametrize(
    "sql",
    [
        # to change the books by another way
        "INSERT INTO ledger_wallet (id) VALUES ('wal_1') ON CONFLICT (id) DO UPDATE SET available = 1",
        "MERGE INTO credit_ledger e USING ledger_wallet w ON e.wallet_id = w.id WHEN MATCHED THEN DELETE",
        "COPY credit_ledger (entry_id, wallet_id, hash) FROM STDIN",
        "SELECT FROM credit_ledger FOR UPDATE",
        "LOCK TABLE credit_ledger IN EXCLUSIVE MODE",
        # to be rid of the triggers
        "SET session_replication_role = replica",
        "ALTER TABLE credit_ledger DISABLE TRIGGER ledger_no_change",
        "ALTER TABLE credit_ledger DISABLE TRIGGER ALL",
        "DROP TRIGGER ledger_no_change ON credit_ledger",
        "ALTER TABLE ledger_wallet DROP CONSTRAINT ledger_wallet_available_not_negative",
        "DROP TABLE credit_ledger",
        "ALTER TABLE credit_ledger OWNER TO CURRENT_USER",
        "ALTER TABLE credit_ledger INHERIT ledger_wallet",
        # to say something else in our name
        "CREATE OR REPLACE FUNCTION ledger_post() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "ALTER FUNCTION ledger_post() SET search_path = pg_temp",
        "DROP FUNCTION ledger_refuse_change() CASCADE",
        "CREATE OR REPLACE VIEW invariant_chain_intact AS SELECT ''::text AS subject, ''::text AS detail WHERE false",
        "CREATE RULE quiet AS ON INSERT TO credit_ledger DO INSTEAD NOTHING",
        "CREATE TRIGGER mine BEFORE UPDATE ON ledger_wallet EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        # to have a place of its own, from where it could lay traps
        "CREATE TEMPORARY TABLE credit_ledger (amount int)",
        "SELECT 1 AS amount INTO TEMPORARY credit_ledger",
        "CREATE TEMPORARY VIEW credit_ledger AS SELECT 1 AS amount",
        "CREATE FUNCTION pg_temp.mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE FUNCTION mine() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TABLE mine (id int)",
        "CREATE SCHEMA mine",
        # to call what runs as the owner
        "SELECT ledger_post()",
        "SELECT ledger_close_period()",
        # to become somebody else
        "SET ROLE postgres",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "CREATE ROLE mine",
        "GRANT postgres TO CURRENT_USER",
        # to leave the database
        "COPY credit_ledger TO PROGRAM 'cat'",
        "COPY credit_ledger TO '/tmp/books'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
def test_there_is_no_way_round(role: str, sql: str) -> None:
    assert_refused(sql)


def test_it_cannot_give_itself_a_right(role: str) -> None:
    with signed_in():
        execute("GRANT UPDATE ON ledger_wallet TO CURRENT_USER")  # PostgreSQL only warns that it gave nothing.
    assert differences(role=role) == (set(), set())


# --- where others may make temporary tables ------------------------------------------------------------------------
# A deployment that took TEMPORARY from nobody still has the walls behind it.


@pytest.fixture
def trapper(role: str) -> str:
    """The role with the right to make temporary tables, whose names PostgreSQL looks at first."""
    execute(f"DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO {role}', current_database()); END $$")
    return role


def test_a_wallet_of_the_same_name_pays_for_nothing(trapper: str) -> None:
    wallet = make_account(credits=10).wallets[Mode.LIVE]
    movement = Movement(wallet_id=wallet.pk, reference="bat_1", actor="system")
    with signed_in():
        execute("CREATE TEMPORARY TABLE ledger_wallet AS SELECT * FROM public.ledger_wallet")
        execute("UPDATE ledger_wallet SET available = 1000000")
        with pytest.raises(InsufficientCredits):
            reserve(movement=movement, amount=11)


def test_a_view_of_the_same_name_excuses_no_batch(trapper: str) -> None:
    batch = make_batch(make_account().api)
    end = "state = 'failed', finished_at = now(), succeeded = 0, failed = 1, refunded = 10"
    with signed_in():
        execute("CREATE TEMPORARY VIEW invariant_batch_credits AS SELECT ''::text AS subject, '' AS detail WHERE false")
        with pytest.raises(DatabaseError, match=batch.pk), transaction.atomic():
            execute(f"UPDATE batches_batch SET {end} WHERE id = '{batch.pk}'; SET CONSTRAINTS ALL IMMEDIATE")


def test_a_trigger_of_its_own_moves_no_wallet(trapper: str) -> None:
    """The guard of the wallets lets through what a trigger does: the missing privilege does not."""
    make_account()
    with signed_in(), transaction.atomic():
        execute("CREATE TEMPORARY TABLE trap (id int)")
        execute(
            "CREATE FUNCTION pg_temp.spring() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN UPDATE public.ledger_wallet SET available = 1000000; RETURN NEW; END'"
        )
        execute("CREATE TRIGGER trap BEFORE INSERT ON trap FOR EACH ROW EXECUTE FUNCTION pg_temp.spring()")
    assert_refused("INSERT INTO trap VALUES (1)")


@pytest.mark.parametrize("function", ["ledger_post", "ledger_close_period"])
def test_what_runs_as_the_owner_cannot_be_tied_to_a_table_of_its_own(trapper: str, function: str) -> None:
    with signed_in():
        execute("CREATE TEMPORARY TABLE trap (LIKE credit_ledger)")
    assert_refused(f"CREATE TRIGGER trap BEFORE INSERT ON trap FOR EACH ROW EXECUTE FUNCTION public.{function}()")


# --- the warning ---------------------------------------------------------------------------------------------------


def test_running_as_the_owner_is_warned_of_outside_development(settings: Settings, role: str) -> None:
    settings.DEBUG = False
    [warning] = check_role(databases=["default"])
    assert warning.id == "sora2.W001"
    assert not warning.is_serious()
    with signed_in():
        assert check_role(databases=["default"]) == []


@pytest.mark.parametrize("way", ["GRANT {owner} TO {role}", "ALTER ROLE {role} SUPERUSER"])
def test_who_can_become_the_owner_is_warned_of_too(settings: Settings, role: str, way: str) -> None:
    settings.DEBUG = False
    [owner] = values("SELECT quote_ident(current_user)")
    execute(way.format(owner=owner, role=role))
    with signed_in():
        assert [warning.id for warning in check_role(databases=["default"])] == ["sora2.W001"]


def test_in_development_it_is_not_warned_of(settings: Settings) -> None:
    settings.DEBUG = True
    assert check_role(databases=["default"]) == []


def test_migrating_as_the_owner_is_not_warned_of(settings: Settings) -> None:
    settings.DEBUG = False
    checks: Any = {"tags": [Tags.database], "databases": ["default"]}
    assert "sora2.W001" not in {message.id for message in run_checks(**checks)}
    assert "sora2.W001" in {message.id for message in run_checks(**checks, include_deployment_checks=True)}
