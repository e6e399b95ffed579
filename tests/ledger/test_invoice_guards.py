"""What the database refuses of invoices, whoever writes: each by hand. And what is found when its triggers are off."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from string import Template

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from customers.models import Mode
from ledger.invoices.credit_notes import send_credit_note
from ledger.models import Wallet
from ledger.reconciliation import INVARIANTS, discrepancies
from tests.as_role import as_owner
from tests.invoices import NOW, make_desk

pytestmark = pytest.mark.django_db

SENT = "UPDATE ledger_invoice SET state = 'sent'"
PAY = (
    "INSERT INTO ledger_payment (id, invoice_id, amount_cents, received_on, reference, reverses_id, reason,"
    " recorded_by_id, recorded_at) VALUES ('pay_x', {}, {}, '2026-01-24', 'DE-9', {}, {}, '$bea', now())"
)
REQUEST = (
    "INSERT INTO ledger_creditrequest (id, wallet_id, kind, amount, reference, about, request_id, reason, evidence_url,"
    " basis, state, requested_by_id, requested_at, decided_by_id, decided_at, note)"
    " VALUES ('crq_x', '$wallet', 'grant', 102000, '{}', '', '', 'why', '', 'invoice', 'approved', '$ann', now(),"
    " '$bea', now(), '')"
)
ENTRY = (
    "INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)"
    " VALUES ('led_x', '$wallet', 'grant', 102000, '{}', '', 'usr_1', '')"
)


def another(**columns: str) -> str:
    """Return the insert of one more invoice, like the draft but for these columns."""
    given = {"id": "inv_x", **columns}
    record = f"(jsonb_populate_record(t, '{json.dumps(given)}')).*"
    return f"INSERT INTO ledger_invoice SELECT {record} FROM ledger_invoice t WHERE id = '$draft'"


def paid(invoice: str, cents: int, reverses: str = "NULL", reason: str = "''") -> str:
    return PAY.format(f"'${invoice}'", cents, reverses, reason)


def settled(invoice: str, **columns: str) -> str:
    """Return the update that says that an invoice was paid, by Bea."""
    given = {"state": "'paid'", "paid_at": "now()", "paid_by_id": "'$bea'", **columns}
    return f"UPDATE ledger_invoice SET {', '.join(f'{k} = {v}' for k, v in given.items())} WHERE id = '${invoice}'"


# The constraint that says no, and what it says no to.
REFUSED: list[tuple[str, str]] = [
    ("ledger_invoice_starts_draft", another(state="sent", number="INV-1999-0001", issued_at="1999-01-01")),
    ("ledger_invoice_draft_is_plain", another(number="INV-1999-0001")),
    ("ledger_invoice_draft_is_plain", another(paid_at="1999-01-01")),
    ("ledger_invoice_draft_is_plain", "UPDATE ledger_invoice SET number = 'INV-1999-0001' WHERE id = '$draft'"),
    ("ledger_invoice_state_moves", settled("draft")),
    ("ledger_invoice_state_moves", "UPDATE ledger_invoice SET state = 'sent' WHERE id = '$paid'"),
    ("ledger_invoice_draft_is_plain", "UPDATE ledger_invoice SET state = 'draft' WHERE id = '$sent'"),
    ("ledger_invoice_state_moves", "UPDATE ledger_invoice SET state = 'sent' WHERE id = '$void'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET tax_note = 'x' WHERE id = '$sent'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET number = 'INV-1999-0001' WHERE id = '$sent'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET due_on = '1999-01-01' WHERE id = '$sent'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET paid_by_id = '$cat' WHERE id = '$paid'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET void_reason = 'other' WHERE id = '$void'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET organization_id = '$other' WHERE id = '$draft'"),
    ("ledger_invoice_sent_is_fixed", "UPDATE ledger_invoice SET corrects_id = '$paid' WHERE id = '$note'"),
    # Sending.
    ("ledger_invoice_lines_add_up", f"{SENT}, subtotal_cents = 1, total_cents = 1 WHERE id = '$draft'"),
    ("ledger_invoice_lines_add_up", f"{SENT}, credits = 1, issued_by_id = '$ann' WHERE id = '$draft'"),
    ("ledger_invoice_asks_for_money", f"{SENT} WHERE id = '$draft'"),
    ("ledger_invoice_credit_note_two_people", f"{SENT}, applied = true, issued_by_id = '$ann' WHERE id = '$note'"),
    ("ledger_creditnote_of_invoice", f"{SENT}, issued_by_id = '$bea' WHERE id = '$note'"),
    ("ledger_creditnote_of_invoice", f"{SENT}, applied = true, issued_by_id = '$bea' WHERE id = '$back'"),
    ("ledger_creditnote_of_invoice", f"{SENT}, applied = true, issued_by_id = '$ann' WHERE id = '$draft'"),
    ("ledger_creditnote_within_invoice", f"{SENT}, applied = true, issued_by_id = '$bea' WHERE id = '$toomuch'"),
    ("ledger_invoice_makes_its_credits", f"{SENT}, issued_by_id = '$bea' WHERE id = '$back'"),
    # Paid and void.
    ("ledger_invoice_paid_in_full", settled("sent")),
    ("ledger_invoice_paid_in_full", f"{paid('sent', 500_000)}; {settled('sent', paid_by_id='NULL')}"),
    ("ledger_invoice_paid_two_people", f"{paid('sent', 500_000)}; {settled('sent').replace('$bea', '$ann')}"),
    ("ledger_invoice_makes_its_credits", f"{paid('sent', 500_000)}; {settled('sent')}"),
    (
        "ledger_invoice_void_unpaid",
        "UPDATE ledger_invoice SET state = 'void', voided_at = now(), void_reason = 'x' WHERE id = '$partly'",
    ),
    # Credits that no paid invoice stands behind, and those of an invoice, twice.
    ("ledger_invoice_makes_its_credits", f"{REQUEST.format('$sent')}; {ENTRY.format('$sent')}"),
    ("ledger_invoice_makes_its_credits", f"{REQUEST.format('inv_none')}; {ENTRY.format('inv_none')}"),
    ("ledger_creditrequest_reference_once", REQUEST.format("$paid")),
    ("credit_ledger_once", ENTRY.format("$paid")),
    # Lines.
    ("ledger_invoiceline_of_draft", "UPDATE ledger_invoiceline SET amount_cents = 1 WHERE invoice_id = '$sent'"),
    ("ledger_invoiceline_of_draft", "DELETE FROM ledger_invoiceline WHERE invoice_id = '$sent'"),
    ("ledger_invoiceline_of_draft", "UPDATE ledger_invoiceline SET invoice_id = '$sent' WHERE invoice_id = '$draft'"),
    ("ledger_invoiceline_of_draft", "UPDATE ledger_invoiceline SET invoice_id = '$note' WHERE invoice_id = '$draft'"),
    # Payments.
    *(("ledger_payment_of_sent", paid(name, 1)) for name in ("draft", "paid", "void", "applied", "inv_none")),
    ("ledger_payment_within_open", paid("sent", 500_001)),
    ("ledger_payment_within_open", paid("partly", 400_001)),
    ("ledger_payment_two_people", paid("sent", 1).replace("$bea", "$ann")),
    ("ledger_payment_reversal_fits", paid("sent", -100_000, "'$payment'", "'x'")),
    ("ledger_payment_reversal_fits", paid("partly", -99_999, "'$payment'", "'x'")),
    ("ledger_payment_amount", paid("partly", -100_000)),
    ("ledger_payment_amount", paid("partly", -100_000, "'$payment'")),
    ("ledger_append_only", "UPDATE ledger_payment SET amount_cents = 1"),
    ("ledger_append_only", "DELETE FROM ledger_payment"),
    # History.
    ("ledger_append_only", "DELETE FROM ledger_invoice WHERE id = '$draft'"),
    *(
        ("ledger_append_only", f"TRUNCATE {table} CASCADE")
        for table in ("ledger_invoice", "ledger_invoiceline", "ledger_payment", "ledger_invoicepaper")
    ),
    (
        "ledger_invoicepaper_of_sent",
        "INSERT INTO ledger_invoicepaper (invoice_id, body, sha256, made_at) VALUES ('$draft', '', '', now())",
    ),
    ("ledger_append_only", "UPDATE ledger_invoicepaper SET sha256 = 'x'"),
]  # fmt: skip

# What is done behind the triggers' back, and the view that finds it.
FOUND: list[tuple[str, str, str]] = [
    ("invariant_invoice_numbers", "$sent", "UPDATE ledger_invoice SET number = 'INV-1999-0001' WHERE id = '$sent'"),
    (
        "invariant_invoice_numbers",
        "$sent",
        "UPDATE ledger_invoice SET issued_at = now() + '1 h' WHERE id = '$paid'",
    ),
    ("invariant_invoice_numbers", "$newest", "UPDATE ledger_invoicenumber SET last = 77 WHERE series = 'INV'"),
    ("invariant_invoice_lines", "$sent", "UPDATE ledger_invoiceline SET amount_cents = 1 WHERE invoice_id = '$sent'"),
    ("invariant_invoice_lines", "$sent", "DELETE FROM ledger_invoiceline WHERE invoice_id = '$sent'"),
    ("invariant_invoice_paid", "$sent", settled("sent")),
    ("invariant_invoice_paid", "$paid", "DELETE FROM ledger_payment WHERE invoice_id = '$paid'"),
    ("invariant_invoice_paid", "$partly", paid("partly", 400_000)),
    ("invariant_invoice_paid", "$void", paid("void", 1)),
    ("invariant_invoice_paid", "$sent", settled("sent", state="'sent'", applied="true")),
    ("invariant_invoice_credits", "$sent", settled("sent")),
    ("invariant_invoice_credits", "$paid", "UPDATE ledger_invoice SET credits = 1 WHERE id = '$paid'"),
    ("invariant_invoice_credits", "$paid", "UPDATE ledger_invoice SET paid_by_id = '$cat' WHERE id = '$paid'"),
    ("invariant_invoice_credits", "$granted", "UPDATE ledger_invoice SET state = 'sent' WHERE id = '$paid'"),
    ("invariant_invoice_credits", "$granted", "DELETE FROM ledger_invoice WHERE id = '$paid'"),
]


@pytest.fixture
def ids() -> dict[str, str]:
    """An invoice in each state, by the services, and drafts of credit notes."""
    desk, other = make_desk(), make_desk(name="Other")
    invoices = {"draft": desk.draft(), "paid": desk.paid(), "sent": desk.sent(), "void": desk.void()}
    invoices["partly"] = desk.sent()
    payment = desk.pay(invoices["partly"], 100_000, "DE-1")
    invoices["applied"] = send_credit_note(note=desk.note(desk.sent(), 1), by=desk.bea, now=NOW)
    invoices["newest"] = desk.sent()
    invoices |= {"note": desk.note(invoices["sent"], 100), "toomuch": desk.note(invoices["partly"], 400_000)}
    desk.pay(invoices["partly"], 1, "DE-2")
    invoices["back"] = desk.note(invoices["paid"], 100, credits=10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT id FROM ledger_creditrequest WHERE basis = 'invoice'")
        [(granted,)] = cursor.fetchall()
        cursor.execute(
            "INSERT INTO ledger_invoicepaper (invoice_id, body, sha256, made_at) VALUES (%s, '', '', now())",
            [invoices["sent"].pk],
        )
    settle()
    return {
        **{name: invoice.pk for name, invoice in invoices.items()},
        **{"ann": desk.ann.pk, "bea": desk.bea.pk, "cat": desk.cat.pk, "other": other.organization.pk},
        "wallet": Wallet.objects.get(organization=desk.organization, mode=Mode.LIVE).pk,
        "payment": payment.pk,
        "granted": granted,
        "inv_none": "inv_none",
    }


@pytest.mark.owner
def test_the_database_refuses_what_no_invoice_may_be(ids: Mapping[str, str]) -> None:
    said = []
    for constraint, statement in REFUSED:
        refusal = refusal_of(Template(statement).substitute(ids))
        if refusal != constraint:
            said.append(f"{statement}\n  is refused by {refusal}, not by {constraint}")
    assert said == [], "\n".join(said)


@pytest.mark.owner
def test_what_is_done_behind_the_triggers_is_found_and_names_the_invoice(ids: Mapping[str, str]) -> None:
    said = []
    for view, subject, statement in FOUND:
        with unguarded():
            run(Template(statement).substitute(ids))
            found = {each.subject for each in discrepancies(one for one in INVARIANTS if one.view == view)}
        if Template(subject).substitute(ids) not in found:
            said.append(f"{statement}\n  is not found by {view}: {found}")
    assert said == [], "\n".join(said)


def refusal_of(statement: str) -> str | None:
    """Do something, and what is checked at its commit; return the constraint that refuses it, and take it back."""
    try:
        with transaction.atomic():
            run(statement)
            settle()
            transaction.set_rollback(True)
    except DatabaseError as error:
        cause = error.__cause__
        return cause.diag.constraint_name if isinstance(cause, psycopg.Error) else str(error)
    return None


@contextmanager
def unguarded() -> Iterator[None]:
    """Take triggers and foreign keys away for a piece of a transaction, which is taken back."""
    with transaction.atomic():
        for table in ("ledger_invoice", "ledger_invoiceline", "ledger_payment", "ledger_creditrequest"):
            run(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        yield
        transaction.set_rollback(True)


def run(statement: str) -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute(statement)


def settle() -> None:
    run("SET CONSTRAINTS ALL IMMEDIATE")
    run("SET CONSTRAINTS ALL DEFERRED")
