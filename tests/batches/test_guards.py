"""Every guard of the money and of its prices, taken away: what it refuses, and the damage when it is not there."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch, Item, Side
from batches.signing_off import Signer, sign_off
from customers.models import Mode, Organization
from customers.services import create_member, create_staff
from ledger.approvals import request_credits
from ledger.models import Entry, Seal, SealLeaf
from tests.factories import end_batch, make_account, make_batch

pytestmark = [pytest.mark.django_db, pytest.mark.unbooked]


ENTRY = (
    "INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)"
    " VALUES ('{entry}', '{wallet}', '{kind}', {amount}, '{reference}', '', '{actor}', '')"
)
WITHOUT_POSTING = (
    "INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason, seq,"
    " created_at, available_after, reserved_after, settled_after, prev_hash, hash)"
    " VALUES ('led_x', '{wallet}', '{kind}', {amount}, '{reference}', '', 'usr_1', '', {seq}, now(), 0, 0, 0, 'x', 'x')"
)
REQUEST = (
    "INSERT INTO ledger_creditrequest (id, wallet_id, kind, amount, reference, about, request_id, reason, evidence_url,"
    " basis, state, requested_by_id, requested_at, decided_by_id, decided_at, note)"
    " VALUES ('crq_x', '{wallet}', '{kind}', {amount}, '{reference}', '', '', '{reason}', '', '{basis}', '{state}',"
    " {asks}, now(), {decides}, {decided_at}, '')"
)


def entry(**fields: Any) -> str:
    """Return the insert of an entry; what is not said is a grant's."""
    usual = {"entry": "led_x", "wallet": "$wallet", "kind": "grant", "amount": 5, "reference": "x", "actor": "usr_1"}
    return ENTRY.format(**usual | fields)


def unposted(**fields: Any) -> str:
    """Return the insert of an entry with all that posting would fill in."""
    usual = {"wallet": "$wallet", "kind": "grant", "amount": 5, "reference": "x", "seq": 1000}
    return WITHOUT_POSTING.format(**usual | fields)


def request(**fields: Any) -> str:
    """Return the insert of a request; what is not said is an open one of two people."""
    usual = {
        "wallet": "$wallet", "kind": "grant", "amount": 5, "reference": "x", "reason": "why", "basis": "two_people",
        "state": "requested", "asks": "'$asks'", "decides": "NULL", "decided_at": "NULL",
    }  # fmt: skip
    return REQUEST.format(**usual | fields)


@dataclass(frozen=True)
class Guard:
    """What a guard prevents: statements that it refuses, and a query that shows the damage once it is gone.

    `also` are other guards that would prevent the same: they are gone already. `says` is what the refusal says, if it
    does not bear the guard's name. A guard that `acts` refuses nothing: it sees to it that the query shows nothing.
    """

    name: str
    damage: str
    shows: str
    also: tuple[str, ...] = ()
    says: str = ""
    acts: bool = False

    def __str__(self) -> str:
        return self.name


def copy(table: str, where: str = "true", **changed: Any) -> str:
    """Return the insert of a row once more, with other values in the columns that are named."""
    record = f"jsonb_populate_record(t, '{json.dumps(changed)}')"
    return f"INSERT INTO {table} SELECT ({record}).* FROM {table} t WHERE {where}"


def balance(wallet: str = "$wallet", period: str = "2020-02") -> str:
    """Return the insert of what a wallet is said to have had at the end of a month."""
    return copy(
        "ledger_periodbalance", "wallet_id = '$wallet'", id=999, wallet_id=wallet, period_id=period, available=5
    )


def price(**changed: Any) -> str:
    """Return the insert of another price, a copy but for what is changed."""
    return copy("batches_price", "model_id = 'sora-2'", id=999, **changed)


def signature(**changed: Any) -> str:
    """Return the insert of another sign-off, our finance's of the same batch but for what is changed."""
    return copy("batches_signoff", **{"id": "sgn_x", "side": "staff", "note": "by phone", **changed})


POSTING = ("ledger_post",)
AT_COMMIT = ("batches_entry_has_batch", "ledger_entry_has_request", "ledger_wallet_has_its_entry")
DECIDES = "UPDATE ledger_creditrequest SET state = 'approved', decided_by_id = '$decides', decided_at = now()"
APPROVED = {"state": "approved", "decided_at": "now()"}
ALONE = ("ledger_request_has_entry",)
OPEN_REQUEST = "WHERE id = '$request'"
CLOSE = "INSERT INTO ledger_period (month, starts_at, ends_at, closed_at) VALUES"
BY_HAND = ("ledger_wallet_no_direct_change", "ledger_wallet_has_its_entry")
ON = "ledger_wallet WHERE id = '$wallet'"
OPEN, ITEM, FINAL = "id = '$open'", "id = '$item'", "batches_batch WHERE id = '$final'"
TO_FINAL = (
    "UPDATE batches_batch SET state = 'failed', finished_at = now(), succeeded = 0, failed = total, refunded = credits"
    " WHERE id = '$open'"
)
MODEL, NAMED = "batches_cataloguemodel", "WHERE name = 'veo-3'"
FUTURE = f"{CLOSE} ('2999-01', '2020-03-01', '2999-02-01', now())"

KEY = "customers_apikey WHERE id = '$key'"
HELD_BY_KEY = (
    "(SELECT sum(CASE e.kind WHEN 'reserve' THEN e.amount ELSE -e.amount END) FROM credit_ledger e"
    " JOIN credit_ledger r ON r.reference = e.reference AND r.kind = 'reserve'"
    " WHERE e.kind IN ('reserve', 'refund') AND r.actor = '$key')"
)

# What a TRUNCATE ... CASCADE reaches too.
NO_TRUNCATE = tuple(
    f"{table}_no_truncate"
    for table in (
        *("ledger", "ledger_wallet", "ledger_creditrequest", "ledger_period", "ledger_periodbalance"),
        *("ledger_seal", "ledger_sealleaf", "batches_signoff"),
    )
)

GUARDS = (
    # --- entries ---
    Guard("credit_ledger_actor_given", entry(actor=""), "SELECT FROM credit_ledger WHERE actor = ''", AT_COMMIT),
    Guard(
        "credit_ledger_reference_given",
        entry(reference=""),
        "SELECT FROM credit_ledger WHERE reference = ''",
        AT_COMMIT,
    ),
    Guard(
        "credit_ledger_amount_positive",
        unposted(amount=-5),
        "SELECT FROM credit_ledger WHERE amount < 0",
        (*AT_COMMIT, *POSTING),
    ),
    Guard(
        "credit_ledger_pkey",
        entry(entry="$first"),
        "SELECT FROM credit_ledger GROUP BY entry_id HAVING count(*) > 1",
        AT_COMMIT,
    ),
    Guard(
        "credit_ledger_once",
        unposted(kind="settle", reference="$final"),
        "SELECT FROM credit_ledger WHERE reference = '$final' AND kind = 'settle' HAVING count(*) = 2",
        (*AT_COMMIT, *POSTING),
    ),
    Guard(
        "credit_ledger_seq_once",
        unposted(seq=1),
        "SELECT FROM credit_ledger WHERE wallet_id = '$wallet' AND seq = 1 HAVING count(*) = 2",
        (*AT_COMMIT, *POSTING),
    ),
    Guard(
        "credit_ledger_wallet_id",
        unposted(wallet="wal_none"),
        "SELECT FROM credit_ledger WHERE wallet_id = 'wal_none'",
        (*AT_COMMIT, *POSTING),
        says="fk_ledger_wallet",
    ),
    Guard(
        "ledger_post",
        unposted(),
        "SELECT FROM credit_ledger WHERE entry_id = 'led_x' AND seq = 1000",
        ("ledger_entry_has_request",),
        acts=True,
    ),
    Guard(
        "ledger_no_change",
        "UPDATE credit_ledger SET amount = amount + 1 WHERE entry_id = '$first'",
        "SELECT FROM invariant_entry_fits_hash WHERE subject = '$first'",
        says="append-only",
    ),
    Guard(
        "ledger_no_truncate",
        "TRUNCATE credit_ledger",
        "SELECT FROM invariant_wallet_equals_entries",
        says="append-only",
    ),
    Guard(
        "batches_entry_has_batch",
        entry(kind="reserve", reference="bat_none"),
        "SELECT FROM invariant_entry_has_batch WHERE subject = 'led_x'",
        says="is no batch of this wallet",
    ),
    Guard(
        "ledger_entry_has_request",
        entry(),
        "SELECT FROM invariant_entry_has_request WHERE subject = 'led_x'",
        says="no approved request",
    ),
    # --- wallets ---
    Guard(
        "ledger_wallet_available_not_negative",
        entry(kind="adjustment_out", amount=99_999),
        "SELECT FROM " + ON + " AND available < 0",
        AT_COMMIT,
    ),
    Guard(
        "ledger_wallet_reserved_not_negative",
        "UPDATE ledger_wallet SET reserved = -1 WHERE id = '$wallet'",
        "SELECT FROM " + ON + " AND reserved < 0",
        BY_HAND,
        says="reserved_not_negative",
    ),
    Guard(
        "ledger_wallet_settled_not_negative",
        "UPDATE ledger_wallet SET settled = -1 WHERE id = '$wallet'",
        "SELECT FROM " + ON + " AND settled < 0",
        BY_HAND,
        says="settled_not_negative",
    ),
    Guard(
        "ledger_wallet_low_threshold_not_negative",
        "UPDATE ledger_wallet SET low_threshold = -1",
        "SELECT FROM " + ON + " AND low_threshold < 0",
    ),
    Guard(
        "ledger_wallet_one_per_mode",
        "INSERT INTO ledger_wallet (id, organization_id, mode, available, reserved, settled,"
        " last_seq, prev_hash, head_hash, created_at) SELECT 'wal_x', organization_id, mode, 0, 0, 0, 0,"
        " repeat('0', 64), repeat('0', 64), now() FROM " + ON,
        "SELECT FROM ledger_wallet GROUP BY organization_id, mode HAVING count(*) > 1",
    ),
    Guard(
        "ledger_wallet_pkey",
        "INSERT INTO ledger_wallet (id, organization_id, mode, available, reserved, settled, last_seq,"
        " prev_hash, head_hash, created_at) SELECT id, organization_id, mode, 0, 0, 0, 0, repeat('0', 64),"
        " repeat('0', 64), now() FROM " + ON,
        "SELECT FROM ledger_wallet GROUP BY id HAVING count(*) > 1",
        ("ledger_wallet_one_per_mode", "ledger_wallet_owner"),
    ),
    Guard(
        "ledger_wallet_owner",
        "UPDATE batches_batch SET wallet_id = '$foreign' WHERE id = '$open'",
        "SELECT FROM invariant_entry_has_batch",
        ("batches_batch_terms_are_fixed", "batches_batch_balanced"),
        says="batches_batch_wallet_is_its_own",
    ),
    Guard(
        "ledger_wallet_organization_id",
        "UPDATE ledger_wallet SET organization_id = 'org_none' WHERE id = '$wallet'",
        "SELECT FROM " + ON + " AND organization_id = 'org_none'",
        (*BY_HAND, "batches_batch_wallet_is_its_own"),
        says="ledger_wallet_organization_id",
    ),
    Guard(
        "ledger_wallet_has_its_entry",
        entry(reference="$granted") + " ON CONFLICT DO NOTHING",
        "SELECT FROM invariant_wallet_equals_entries WHERE subject = '$wallet'",
        says="its entry .* is missing",
    ),
    Guard(
        "ledger_wallet_no_direct_change",
        "UPDATE ledger_wallet SET available = available + 1 WHERE id = '$wallet'",
        "SELECT FROM invariant_wallet_equals_entries",
        ("ledger_wallet_has_its_entry",),
        says="only by an entry",
    ),
    Guard(
        "ledger_wallet_no_delete",
        "DELETE FROM ledger_wallet WHERE id = '$unused'",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_wallet WHERE id = '$unused')",
        says="append-only",
    ),
    Guard(
        "ledger_wallet_no_truncate",
        "TRUNCATE ledger_wallet CASCADE",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_wallet)",
        NO_TRUNCATE,
        says="append-only",
    ),
    Guard(
        "ledger_wallet_starts_empty",
        "INSERT INTO ledger_wallet (id, organization_id, mode, available, reserved, settled,"
        " last_seq, prev_hash, head_hash, created_at) SELECT 'wal_x', id, 'live', 77, 0, 0, 0, repeat('0', 64),"
        " repeat('0', 64), now() FROM customers_organization WHERE id = '$without'",
        "SELECT FROM invariant_wallet_equals_entries WHERE subject = 'wal_x'",
        says="only by an entry",
    ),
    Guard(
        "ledger_wallet_open",
        "INSERT INTO ledger_wallet (id, organization_id, mode, available, reserved, settled,"
        " last_seq, prev_hash, head_hash, created_at) SELECT 'wal_x', id, 'play', 0, 0, 0, 0, repeat('0', 64),"
        " repeat('0', 64), now() FROM customers_organization WHERE id = '$without'",
        "SELECT FROM ledger_wallet WHERE mode = 'play'",
        says="there is no mode",
    ),
    Guard(
        "ledger_wallet_judge_threshold",
        "UPDATE ledger_wallet SET low_threshold = 999999 WHERE id = '$wallet'",
        "SELECT FROM " + ON + " AND low_since IS NULL",
        acts=True,
    ),
    # --- requests ---
    Guard(
        "ledger_creditrequest_amount_positive", request(amount=0), "SELECT FROM ledger_creditrequest WHERE amount = 0"
    ),
    Guard(
        "ledger_creditrequest_kind_known",
        request(kind="reserve"),
        "SELECT FROM ledger_creditrequest WHERE kind = 'reserve'",
    ),
    Guard(
        "ledger_creditrequest_state_known",
        request(state="maybe", decides="'$decides'", decided_at="now()"),
        "SELECT FROM ledger_creditrequest WHERE state = 'maybe'",
        ("ledger_creditrequest_moves",),
        says="state_known",
    ),
    Guard(
        "ledger_creditrequest_reason_given", request(reason=""), "SELECT FROM ledger_creditrequest WHERE reason = ''"
    ),
    Guard(
        "ledger_creditrequest_reference_given",
        request(reference=""),
        "SELECT FROM ledger_creditrequest WHERE reference = ''",
    ),
    Guard(
        "ledger_creditrequest_decided_when",
        "UPDATE ledger_creditrequest SET state = 'rejected', decided_by_id = '$decides' " + OPEN_REQUEST,
        "SELECT FROM ledger_creditrequest WHERE state = 'rejected' AND decided_at IS NULL",
    ),
    Guard(
        "ledger_creditrequest_two_people",
        "UPDATE ledger_creditrequest SET state = 'rejected', decided_by_id = requested_by_id, decided_at = now() "
        + OPEN_REQUEST,
        "SELECT FROM ledger_creditrequest WHERE decided_by_id = requested_by_id",
    ),
    Guard(
        "ledger_creditrequest_basis_known",
        request(basis="friend", **APPROVED),
        "SELECT FROM ledger_creditrequest WHERE basis = 'friend'",
        ALONE,
    ),
    Guard(
        "ledger_creditrequest_pilot_cap",
        request(basis="pilot", amount=100_001, wallet="$empty", **APPROVED),
        "SELECT FROM ledger_creditrequest WHERE amount > 100000",
        ALONE,
    ),
    Guard(
        "ledger_creditrequest_pilot_once",
        request(basis="pilot", **APPROVED),
        "SELECT FROM ledger_creditrequest WHERE basis = 'pilot' GROUP BY wallet_id HAVING count(*) = 2",
        ALONE,
    ),
    Guard(
        "ledger_creditrequest_reference_once",
        request(reference="$request"),
        "SELECT FROM ledger_creditrequest GROUP BY reference HAVING count(*) = 2",
    ),
    Guard(
        "ledger_creditrequest_pkey",
        request().replace("crq_x", "$request"),
        "SELECT FROM ledger_creditrequest GROUP BY id HAVING count(*) = 2",
    ),
    Guard(
        "ledger_creditrequest_requested_by_id",
        request(asks="'usr_none'"),
        "SELECT FROM ledger_creditrequest WHERE requested_by_id = 'usr_none'",
        says="fk_customers",
    ),
    Guard(
        "ledger_creditrequest_decided_by_id",
        DECIDES.replace("$decides", "usr_none").replace("approved", "rejected") + " " + OPEN_REQUEST,
        "SELECT FROM ledger_creditrequest WHERE decided_by_id = 'usr_none'",
        says="fk_customers",
    ),
    Guard(
        "ledger_creditrequest_wallet_id",
        request(wallet="wal_none"),
        "SELECT FROM ledger_creditrequest WHERE wallet_id = 'wal_none'",
        says="fk_ledger_wallet",
    ),
    Guard(
        "ledger_creditrequest_moves",
        "UPDATE ledger_creditrequest SET amount = 99 " + OPEN_REQUEST,
        "SELECT FROM ledger_creditrequest WHERE amount = 99",
        says="does not change",
    ),
    Guard(
        "ledger_creditrequest_no_delete",
        "DELETE FROM ledger_creditrequest",
        "SELECT FROM invariant_entry_has_request",
        says="append-only",
    ),
    Guard(
        "ledger_creditrequest_no_truncate",
        "TRUNCATE ledger_creditrequest",
        "SELECT FROM invariant_entry_has_request",
        says="append-only",
    ),
    Guard(
        "ledger_request_has_entry",
        DECIDES + " " + OPEN_REQUEST,
        "SELECT FROM invariant_entry_has_request WHERE subject = '$request'",
        says="its entry is missing",
    ),
    Guard(
        "ledger_creditrequest_of_invoice",
        request(basis="invoice", asks="'$asks'", decides="'$decides'", **APPROVED) + "; " + entry(),
        "SELECT FROM invariant_invoice_credits WHERE subject = 'crq_x'",
        says="has no invoice",
    ),
    Guard(
        "ledger_creditrequest_paid_for",
        "UPDATE ledger_creditrequest SET paid_cents = 5 " + OPEN_REQUEST,
        "SELECT FROM ledger_creditrequest WHERE kind = 'adjustment_in' AND paid_cents > 0",
        ("ledger_creditrequest_moves",),
    ),
    # --- closed months ---
    Guard("ledger_period_close", FUTURE, "SELECT FROM ledger_period WHERE month = '2999-01'", says="is not over"),
    Guard(
        "ledger_period_has_length",
        f"{CLOSE} ('2026-13', '2020-03-01', '2020-02-01', now())",
        "SELECT FROM ledger_period WHERE ends_at < starts_at",
        ("ledger_period_close",),
        says="has_length",
    ),
    Guard(
        "ledger_period_pkey",
        f"{CLOSE} ('2020-02', '2020-03-01', '2020-04-01', now())",
        "SELECT FROM ledger_period WHERE month = '2020-02' HAVING count(*) = 2",
        ("ledger_period_write_balances",),
    ),
    Guard(
        "ledger_period_starts_at_key",
        f"{CLOSE} ('2020-99', '2020-02-01', '2020-04-01', now())",
        "SELECT FROM ledger_period WHERE starts_at = '2020-02-01' HAVING count(*) = 2",
        ("ledger_period_close",),
        says="starts_at",
    ),
    Guard(
        "ledger_period_ends_at_key",
        f"{CLOSE} ('2020-99', '2020-01-01', '2020-03-01', now())",
        "SELECT FROM ledger_period WHERE ends_at = '2020-03-01' HAVING count(*) = 2",
        ("ledger_period_close",),
        says="ends_at",
    ),
    Guard(
        "ledger_period_write_balances",
        f"{CLOSE} ('2020-03', '2020-03-01', '2020-04-01', now())",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_periodbalance WHERE period_id = '2020-03')",
        acts=True,
    ),
    Guard(
        "ledger_period_no_change",
        "UPDATE ledger_period SET ends_at = '2020-02-15'",
        "SELECT FROM ledger_period WHERE ends_at = '2020-02-15'",
        says="append-only",
    ),
    Guard(
        "ledger_period_no_truncate",
        "TRUNCATE ledger_period CASCADE",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_period)",
        NO_TRUNCATE,
        says="append-only",
    ),
    Guard(
        "ledger_periodbalance_by_closing",
        balance(wallet="$late"),
        "SELECT FROM invariant_closed_periods WHERE subject = '$late'",
        says="append-only",
    ),
    Guard(
        "ledger_periodbalance_once",
        balance(),
        "SELECT FROM ledger_periodbalance WHERE wallet_id = '$wallet' HAVING count(*) = 2",
        ("ledger_periodbalance_by_closing",),
        says="balance_once",
    ),
    Guard(
        "ledger_periodbalance_period_id",
        balance(period="1999-01"),
        "SELECT FROM ledger_periodbalance WHERE period_id = '1999-01'",
        ("ledger_periodbalance_by_closing",),
        says="fk_ledger_period",
    ),
    Guard(
        "ledger_periodbalance_wallet_id",
        balance(wallet="wal_none"),
        "SELECT FROM ledger_periodbalance WHERE wallet_id = 'wal_none'",
        ("ledger_periodbalance_by_closing",),
        says="fk_ledger_wallet",
    ),
    Guard(
        "ledger_periodbalance_no_change",
        "UPDATE ledger_periodbalance SET available = 7 WHERE wallet_id = '$wallet'",
        "SELECT FROM invariant_closed_periods",
        says="append-only",
    ),
    Guard(
        "ledger_periodbalance_no_truncate",
        "TRUNCATE ledger_periodbalance",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_periodbalance)",
        says="append-only",
    ),
    # --- seals ---
    Guard("ledger_seal_pkey", copy("ledger_seal"), "SELECT FROM ledger_seal HAVING count(*) = 2"),
    Guard(
        "ledger_seal_no_change",
        "UPDATE ledger_seal SET root = 'x'",
        "SELECT FROM ledger_seal WHERE root = 'x'",
        says="append-only",
    ),
    Guard(
        "ledger_seal_no_truncate",
        "TRUNCATE ledger_seal CASCADE",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_seal)",
        NO_TRUNCATE,
        says="append-only",
    ),
    Guard(
        "ledger_sealleaf_once",
        copy("ledger_sealleaf", "wallet_id = '$wallet'", id=999),
        "SELECT FROM ledger_sealleaf WHERE wallet_id = '$wallet' HAVING count(*) = 2",
    ),
    Guard(
        "ledger_sealleaf_seal_id",
        copy("ledger_sealleaf", "wallet_id = '$wallet'", id=999, seal_id=99),
        "SELECT FROM ledger_sealleaf WHERE seal_id = 99",
        says="fk_ledger_seal",
    ),
    Guard(
        "ledger_sealleaf_wallet_id",
        copy("ledger_sealleaf", "wallet_id = '$wallet'", id=999, wallet_id="wal_none"),
        "SELECT FROM ledger_sealleaf WHERE wallet_id = 'wal_none'",
        says="fk_ledger_wallet",
    ),
    Guard(
        "ledger_sealleaf_no_change",
        "UPDATE ledger_sealleaf SET head_hash = 'x'",
        "SELECT FROM invariant_seals_hold",
        says="append-only",
    ),
    Guard(
        "ledger_sealleaf_no_truncate",
        "TRUNCATE ledger_sealleaf",
        "SELECT WHERE NOT EXISTS (SELECT FROM ledger_sealleaf)",
        says="append-only",
    ),
    # --- batches and items ---
    Guard(
        "batches_batch_pkey",
        copy("batches_batch", OPEN),
        "SELECT FROM batches_batch GROUP BY id HAVING count(*) > 1",
        ("batches_batch_request_id_once",),
    ),
    Guard(
        "batches_batch_request_id_once",
        copy("batches_batch", OPEN, id="bat_x"),
        "SELECT FROM batches_batch GROUP BY organization_id, request_id HAVING count(*) > 1",
        ("batches_batch_balanced",),
    ),
    Guard(
        "batches_batch_not_empty",
        copy("batches_batch", OPEN, id="bat_x", request_id="other", credits=0),
        "SELECT FROM batches_batch WHERE credits = 0",
    ),
    Guard(
        "batches_batch_mode_known",
        copy("batches_batch", OPEN, id="bat_x", request_id="other", mode="play"),
        "SELECT FROM batches_batch WHERE mode = 'play'",
        ("batches_batch_balanced", "batches_batch_wallet_is_its_own"),
    ),
    Guard(
        "batches_batch_state_known",
        "UPDATE batches_batch SET state = 'lost' WHERE id = '$open'",
        "SELECT FROM batches_batch WHERE state = 'lost'",
        ("batches_batch_totals_when_final",),
    ),
    Guard(
        "batches_batch_totals_when_final",
        "UPDATE batches_batch SET state = 'completed' WHERE id = '$open'",
        "SELECT FROM invariant_batch_credits WHERE subject = '$open'",
        ("batches_batch_balanced",),
    ),
    Guard(
        "batches_batch_wallet_is_its_own",
        "UPDATE batches_batch SET wallet_id = '$foreign' WHERE id = '$open'",
        "SELECT FROM invariant_batch_credits WHERE subject = '$open'",
        ("batches_batch_terms_are_fixed", "batches_batch_balanced"),
        says="its_own",
    ),
    Guard(
        "batches_batch_wallet_id",
        "UPDATE batches_batch SET wallet_id = 'wal_none' WHERE id = '$open'",
        "SELECT FROM batches_batch WHERE wallet_id = 'wal_none'",
        ("batches_batch_terms_are_fixed", "batches_batch_balanced", "batches_batch_wallet_is_its_own"),
        says="fk_ledger_wallet",
    ),
    Guard(
        "batches_batch_organization_id",
        "UPDATE batches_batch SET organization_id = 'org_none' WHERE id = '$open'",
        "SELECT FROM batches_batch WHERE organization_id = 'org_none'",
        ("batches_batch_terms_are_fixed", "batches_batch_wallet_is_its_own"),
        says="fk_customers",
    ),
    Guard(
        "batches_batch_balanced",
        TO_FINAL,
        "SELECT FROM invariant_batch_credits WHERE subject = '$open'",
        says="credits unexplained",
    ),
    Guard(
        "batches_batch_end_is_final",
        "UPDATE batches_batch SET finished_at = now() WHERE id = '$final'",
        "SELECT FROM " + FINAL + " AND finished_at = now()",
        says="the batch is final",
    ),
    Guard(
        "batches_batch_state_moves",
        "UPDATE batches_batch SET state = 'queued' WHERE id = '$processing'",
        "SELECT FROM batches_batch WHERE id = '$processing' AND state = 'queued'",
        says="no such move",
    ),
    Guard(
        "batches_batch_terms_are_fixed",
        "UPDATE batches_batch SET credits = credits + 1 WHERE id = '$open'",
        "SELECT FROM invariant_batch_credits WHERE subject = '$open'",
        says="what was accepted",
    ),
    Guard(
        "batches_batch_priority_known",
        "UPDATE batches_batch SET priority = 7 WHERE id = '$open'",
        "SELECT FROM batches_batch WHERE priority = 7",
    ),
    Guard(
        "batches_batch_no_delete",
        "DELETE FROM batches_batch WHERE id = '$final'",
        "SELECT FROM invariant_entry_has_batch",
        ("batches_item_batch_exists", "batches_proof_batch_id", "batches_signoff_batch_id"),
        says="records are kept",
    ),
    Guard(
        "batches_item_pkey",
        copy("batches_item", ITEM),
        "SELECT FROM batches_item GROUP BY id HAVING count(*) > 1",
        ("batches_item_index_once",),
    ),
    Guard(
        "batches_item_index_once",
        copy("batches_item", ITEM, id="itm_x"),
        "SELECT FROM invariant_batch_items WHERE subject = '$open'",
    ),
    Guard(
        "batches_item_batch_exists",
        copy("batches_item", ITEM, id="itm_x", batch_id="bat_none"),
        "SELECT FROM batches_item WHERE batch_id = 'bat_none'",
    ),
    Guard(
        "batches_item_credits_positive",
        copy("batches_item", ITEM, id="itm_x", index=99, credits=0),
        "SELECT FROM batches_item WHERE credits = 0",
    ),
    Guard(
        "batches_item_status_known",
        "UPDATE batches_item SET status = 'lost' WHERE id = '$item'",
        "SELECT FROM batches_item WHERE status = 'lost'",
        ("batches_item_due_while_open", "batches_item_failure_said"),
    ),
    Guard(
        "batches_item_due_while_open",
        "UPDATE batches_item SET due_at = NULL, stage = NULL WHERE id = '$item'",
        "SELECT FROM batches_item WHERE status = 'pending' AND due_at IS NULL",
    ),
    Guard(
        "batches_item_failure_said",
        "UPDATE batches_item SET failure_type = 'timeout' WHERE id = '$item'",
        "SELECT FROM batches_item WHERE status = 'pending' AND failure_type <> ''",
    ),
    Guard(
        "batches_item_refunded_at_when_refunded",
        "UPDATE batches_item SET refunded_at = now() WHERE id = '$item'",
        "SELECT FROM batches_item WHERE status = 'pending' AND refunded_at IS NOT NULL",
    ),
    Guard(
        "batches_item_outcome_is_final",
        "UPDATE batches_item SET status = 'succeeded', failure_type = '', refunded_at = NULL WHERE id = '$refunded'",
        "SELECT FROM invariant_batch_items WHERE subject = '$final'",
        says="the item has ended",
    ),
    Guard(
        "batches_item_status_moves",
        "UPDATE batches_item SET status = 'succeeded', stage = NULL, due_at = NULL,"
        " finished_at = now() WHERE id = '$item'",
        "SELECT FROM invariant_charged_item_has_output WHERE subject = '$item'",
        says="no such move",
    ),
    Guard(
        "batches_item_terms_are_fixed",
        "UPDATE batches_item SET credits = 1 WHERE id = '$item'",
        "SELECT FROM invariant_batch_items WHERE subject = '$open'",
        says="what was accepted",
    ),
    Guard(
        "batches_item_retried_once",
        "UPDATE batches_item SET retry_of_id = '$refunded' WHERE batch_id = '$open'",
        "SELECT FROM batches_item WHERE retry_of_id = '$refunded' HAVING count(*) = 2",
    ),
    Guard(
        "batches_item_retry_of_exists",
        "UPDATE batches_item SET retry_of_id = 'itm_none' WHERE id = '$item'",
        "SELECT FROM batches_item WHERE retry_of_id = 'itm_none'",
    ),
    Guard(
        "batches_item_no_delete",
        "DELETE FROM batches_item WHERE id = '$item'",
        "SELECT FROM invariant_batch_items WHERE subject = '$open'",
        says="records are kept",
    ),
    # --- outputs and proofs ---
    Guard(
        "batches_output_pkey", copy("batches_output"), "SELECT FROM batches_output GROUP BY item_id HAVING count(*) > 1"
    ),
    Guard(
        "batches_output_item_exists",
        copy("batches_output", item_id="itm_none"),
        "SELECT FROM batches_output WHERE item_id = 'itm_none'",
    ),
    Guard(
        "batches_output_not_empty", "UPDATE batches_output SET bytes = 0", "SELECT FROM batches_output WHERE bytes = 0"
    ),
    Guard(
        "batches_output_no_delete",
        "DELETE FROM batches_output",
        "SELECT FROM invariant_charged_item_has_output",
        says="records are kept",
    ),
    Guard(
        "batches_proof_pkey", copy("batches_proof"), "SELECT FROM batches_proof GROUP BY batch_id HAVING count(*) > 1"
    ),
    Guard(
        "batches_proof_batch_id",
        copy("batches_proof", batch_id="bat_none"),
        "SELECT FROM batches_proof WHERE batch_id = 'bat_none'",
        says="fk_batches_batch",
    ),
    Guard(
        "batches_proof_no_change",
        "UPDATE batches_proof SET body = '{}'",
        "SELECT FROM invariant_proof_fits_batch",
        says="a proof never changes",
    ),
    # --- sign-offs ---
    Guard(
        "batches_signoff_pkey",
        signature(id="$signed"),
        "SELECT FROM batches_signoff GROUP BY id HAVING count(*) > 1",
    ),
    Guard(
        "batches_signoff_once_per_side",
        signature(side="customer"),
        "SELECT FROM batches_signoff WHERE side = 'customer' GROUP BY batch_id HAVING count(*) > 1",
    ),
    Guard(
        "batches_signoff_side_known",
        signature(side="nobody"),
        "SELECT FROM batches_signoff WHERE side = 'nobody'",
    ),
    Guard(
        "batches_signoff_staff_says_why",
        signature(note=""),
        "SELECT FROM batches_signoff WHERE side = 'staff' AND note = ''",
    ),
    Guard(
        "batches_signoff_reconciled",
        signature(settled=11),
        "SELECT FROM batches_signoff WHERE reserved <> settled + refunded",
        ("batches_signoff_fits_books",),
    ),
    Guard(
        "batches_signoff_fits_books",
        signature(reserved=30, settled=20),
        "SELECT FROM batches_signoff WHERE reserved = 30",
        says="does not fit its ledger entries",
    ),
    Guard(
        "batches_signoff_batch_id",
        signature(batch_id="bat_none"),
        "SELECT FROM batches_signoff WHERE batch_id = 'bat_none'",
        ("batches_signoff_fits_books",),
    ),
    Guard(
        "batches_signoff_no_change",
        "UPDATE batches_signoff SET note = 'another'",
        "SELECT FROM batches_signoff WHERE note = 'another'",
        says="a sign-off never changes",
    ),
    Guard(
        "batches_signoff_no_truncate",
        "TRUNCATE batches_signoff",
        "SELECT WHERE NOT EXISTS (SELECT FROM batches_signoff)",
        says="sign-offs are kept",
    ),
    # --- what is on offer: routes, models, prices ---
    Guard("batches_route_pkey", copy("batches_route"), "SELECT FROM batches_route GROUP BY name HAVING count(*) > 1"),
    Guard(
        "batches_route_kind_known",
        "UPDATE batches_route SET kind = 'fax' WHERE name = 'openai'",
        "SELECT FROM batches_route WHERE kind = 'fax'",
    ),
    Guard(
        "batches_route_limits_positive",
        "UPDATE batches_route SET submits_per_minute = 0 WHERE name = 'openai'",
        "SELECT FROM batches_route WHERE submits_per_minute = 0",
    ),
    Guard(
        "batches_cataloguemodel_pkey",
        copy("batches_cataloguemodel"),
        "SELECT FROM batches_cataloguemodel GROUP BY name HAVING count(*) > 1",
    ),
    Guard(
        "batches_cataloguemodel_offers_something",
        f"UPDATE {MODEL} SET sizes = '{{}}' {NAMED}",
        f"SELECT FROM {MODEL} {NAMED} AND sizes = '{{}}'",
    ),
    Guard(
        "batches_cataloguemodel_default_is_offered",
        f"UPDATE {MODEL} SET default_seconds = 5 {NAMED}",
        f"SELECT FROM {MODEL} {NAMED} AND default_seconds = 5",
    ),
    Guard(
        "batches_cataloguemodel_deprecated_before_sunset",
        f"UPDATE {MODEL} SET deprecated_at = now(), sunset_at = now() - interval '1 day' {NAMED}",
        f"SELECT FROM {MODEL} {NAMED} AND sunset_at < deprecated_at",
    ),
    Guard(
        "batches_cataloguemodel_route_id",
        f"UPDATE {MODEL} SET route_id = 'none' {NAMED}",
        f"SELECT FROM {MODEL} {NAMED} AND route_id = 'none'",
    ),
    Guard(
        "batches_cataloguemod_replacement_id",
        f"UPDATE {MODEL} SET replacement_id = 'none' {NAMED}",
        f"SELECT FROM {MODEL} {NAMED} AND replacement_id = 'none'",
    ),
    Guard(
        "batches_cataloguemodel_no_delete",
        f"DELETE FROM {MODEL} {NAMED}",
        f"SELECT WHERE NOT EXISTS (SELECT FROM {MODEL} {NAMED})",
        ("batches_price_model_id",),
        says="a model is retired, not deleted",
    ),
    Guard(
        "batches_pricelist_pkey",
        copy("batches_pricelist"),
        "SELECT FROM batches_pricelist GROUP BY version HAVING count(*) > 1",
    ),
    Guard(
        "batches_pricelist_no_change",
        "UPDATE batches_pricelist SET effective_from = now()",
        "SELECT FROM batches_pricelist WHERE effective_from = now()",
        says="a price list never changes",
    ),
    Guard(
        "batches_price_once",
        price(credits=1),
        "SELECT FROM batches_price WHERE model_id = 'sora-2' GROUP BY price_list_id HAVING count(*) > 1",
    ),
    Guard(
        "batches_price_positive",
        price(credits=0),
        "SELECT FROM batches_price WHERE credits = 0",
        ("batches_price_once",),
    ),
    Guard(
        "batches_price_credits_check",
        price(credits=-10),
        "SELECT FROM batches_price WHERE credits < 0",
        ("batches_price_once", "batches_price_positive"),
    ),
    Guard(
        "batches_price_base_seconds_check",
        price(base_seconds=-4),
        "SELECT FROM batches_price WHERE base_seconds < 0",
        ("batches_price_once", "batches_price_positive"),
    ),
    Guard(
        "batches_price_model_id",
        price(model_id="none"),
        "SELECT FROM batches_price WHERE model_id = 'none'",
    ),
    Guard(
        "batches_price_price_list_id",
        price(price_list_id="none"),
        "SELECT FROM batches_price WHERE price_list_id = 'none'",
    ),
    Guard(
        "batches_price_no_change",
        "UPDATE batches_price SET credits = 1 WHERE model_id = 'sora-2'",
        "SELECT FROM batches_price WHERE model_id = 'sora-2' AND credits = 1",
        says="a price never changes",
    ),
    # --- what keys have used ---
    Guard(
        "ledger_count_for_key",
        entry(kind="reserve", actor="$key"),
        f"SELECT FROM {KEY} AND used_credits <> {HELD_BY_KEY}",
        AT_COMMIT,
        acts=True,
    ),
    Guard(
        "customers_apikey_within_budget",
        "UPDATE customers_apikey SET budget_credits = 1 WHERE id = '$key'",
        f"SELECT FROM {KEY} AND used_credits > budget_credits",
    ),
    Guard(
        "customers_apikey_used_not_negative",
        "UPDATE customers_apikey SET used_credits = -1 WHERE id = '$key'",
        f"SELECT FROM {KEY} AND used_credits < 0",
        ("customers_apikey_no_direct_count",),
    ),
    Guard(
        "customers_apikey_no_direct_count",
        "UPDATE customers_apikey SET used_credits = used_credits + 1 WHERE id = '$key'",
        "SELECT FROM invariant_key_budget",
        says="only by an entry",
    ),
    Guard(
        "customers_apikey_starts_unused",
        copy("customers_apikey", "id = '$key'", id="key_x", secret_sha256="x", used_credits=5),
        "SELECT FROM invariant_key_budget",
        says="only by an entry",
    ),
)

TABLES = (
    *("credit_ledger", "ledger_wallet", "ledger_creditrequest", "ledger_period", "ledger_periodbalance"),
    *("ledger_seal", "ledger_sealleaf"),
    *("batches_batch", "batches_item", "batches_output", "batches_proof", "batches_signoff"),
    *("batches_route", "batches_cataloguemodel", "batches_pricelist", "batches_price"),
    "customers_apikey",
)
NO_MONEY = {
    "batches_batch_failed_check": "a number of items",
    "batches_batch_succeeded_check": "a number of items",
    "batches_batch_total_check": "a number of items",
    "batches_batch_retry_of_id": "where a batch comes from",
    "batches_item_attempts_made_check": "a number of attempts",
    "batches_item_index_check": "an order",
    "batches_item_seconds_check": "a length",
    "batches_item_custom_id_once": "the customer's own name of an item",
    "batches_output_duration_ms_check": "a length",
    "batches_route_max_in_flight_check": "a number of items",
    "batches_route_submits_per_minute_check": "a number of items",
    "batches_cataloguemodel_deadline_seconds_check": "a length of time",
    "batches_cataloguemodel_default_seconds_check": "a length, and one of those on offer",
    "batches_cataloguemodel_position_check": "an order",
    "batches_price_pkey": "a number without a meaning",
    "customers_apikey_mode_known": "what is looked at when a wallet is opened",
    "customers_apikey_organization_id": "whose it is",
    "customers_apikey_pkey": "which it is",
    "customers_apikey_previous_secret_once": "a secret",
    "customers_apikey_secret_sha256_key": "a secret",
    "batches_signoff_signed_by_id": "who it was",
    "ledger_period_closed_by_id": "who it was",
    "ledger_periodbalance_pkey": "a number without a meaning",
    "ledger_sealleaf_pkey": "a number without a meaning",
}

# Names of foreign keys end in a hash that Django chose.
THERE = """
    SELECT regexp_replace(conname, '_[0-9a-f]{8}_fk.*$', '') FROM pg_constraint
    WHERE conrelid = ANY(%(tables)s::regclass[]) AND contype IN ('c', 'f', 'p', 'u')
    UNION SELECT tgname FROM pg_trigger WHERE tgrelid = ANY(%(tables)s::regclass[]) AND NOT tgisinternal
    UNION SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = ANY(%(tables)s::regclass[]) AND indisunique
"""
REMOVAL = """
    SELECT format('ALTER TABLE %%s DISABLE TRIGGER %%I', tgrelid::regclass, tgname)
    FROM pg_trigger WHERE tgname = %(name)s AND NOT tgisinternal
    UNION ALL SELECT format('ALTER TABLE %%s DROP CONSTRAINT %%I CASCADE', conrelid::regclass, conname)
    FROM pg_constraint WHERE contype <> 't' AND regexp_replace(conname, '_[0-9a-f]{8}_fk.*$', '') = %(name)s
    UNION ALL SELECT format('DROP INDEX %%s CASCADE', c.oid::regclass) FROM pg_class c
    WHERE c.relname = %(name)s
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.conname = %(name)s)
"""


@pytest.fixture
def names() -> dict[str, str]:
    """Books with something of everything, and the ids of it."""
    account, foreign = make_account(), make_account(name="Globex")
    empty = make_account(0, name="Initech")
    without = Organization.objects.create(name="Without wallets")
    wallet = account.wallets[Mode.LIVE]
    run(f"{CLOSE} ('2020-02', '2020-02-01', '2020-03-01', now())")
    late, unused = make_account(name="Late"), make_account(0, name="Umbrella")
    opened = make_batch(account.api, 2)
    processing = make_batch(account.api, 1, request_id="processing")
    Batch.objects.filter(pk=processing.pk).update(state="processing", started_at=timezone.now())
    final = end_batch(make_batch(account.api, 2, request_id="final"), failed={0: FailureType.TIMEOUT})
    asks, decides = (create_staff(username=role, role=role)[0] for role in ("finance", "finance approver"))
    request = request_credits(
        wallet=wallet, kind=Entry.Kind.ADJUSTMENT_IN, amount=5, reason="goodwill", requested_by=asks
    )
    wallet.refresh_from_db()
    seal = Seal.objects.create(
        number=1, sealed_at=timezone.now(), wallets=1, root="", previous="", body="", signature="", key_id=""
    )
    SealLeaf.objects.create(seal=seal, wallet=wallet, seq=wallet.last_seq, head_hash=wallet.head_hash)
    person, _ = create_member(organization=account.organization, username="f", email="", role="customer finance")
    signer = Signer(person, Side.CUSTOMER, "customer finance")
    signed, _ = sign_off(batch=final, signer=signer, note="", now=timezone.now())
    settle_constraints()
    return {
        "wallet": wallet.pk,
        "foreign": foreign.wallets[Mode.LIVE].pk,
        "empty": empty.wallets[Mode.LIVE].pk,
        "late": late.wallets[Mode.LIVE].pk,
        "unused": unused.wallets[Mode.LIVE].pk,
        "without": without.pk,
        "first": Entry.objects.get(wallet=wallet, seq=1).pk,
        "granted": Entry.objects.get(wallet=wallet, seq=1).reference,
        "open": opened.pk,
        "processing": processing.pk,
        "final": final.pk,
        "item": Item.objects.get(batch=opened, index=0).pk,
        "refunded": Item.objects.get(batch=final, index=0).pk,
        "key": account.keys[Mode.LIVE].pk,
        "signed": signed.pk,
        "request": request.pk,
        "asks": asks.pk,
        "decides": decides.pk,
    }


@pytest.mark.parametrize("guard", GUARDS, ids=str)
def test_a_guard_prevents_damage_that_happens_without_it(guard: Guard, names: Mapping[str, str]) -> None:
    damage, shows = (Template(text).substitute(names) for text in (guard.damage, guard.shows))
    remove(*(name for name in guard.also if name != guard.name))
    if guard.acts:
        with transaction.atomic():
            run(damage)
            assert not run(shows)
            transaction.set_rollback(True)
    else:
        with pytest.raises(DatabaseError, match=guard.says or guard.name), transaction.atomic():
            run_and_settle(damage)
    remove(guard.name)
    run_and_settle(damage)
    assert run(shows)


def test_every_guard_of_the_money_is_among_them() -> None:
    there = {name for (name,) in run(THERE, tables=list(TABLES))}
    assert there - NO_MONEY.keys() == {guard.name for guard in GUARDS}


def remove(*names: str) -> None:
    """Take guards away, for the rest of the test's transaction."""
    for name in names:
        for (removal,) in run(REMOVAL, name=name):
            run(removal)


def run(statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Run a statement and return the rows that it brings."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description is not None else []


def run_and_settle(statement: str) -> None:
    """Run a statement, and what is checked at its commit."""
    run(statement)
    settle_constraints()


def settle_constraints() -> None:
    """Check now what is checked at commit."""
    run("SET CONSTRAINTS ALL IMMEDIATE")
    run("SET CONSTRAINTS ALL DEFERRED")
