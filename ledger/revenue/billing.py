"""What happened to invoices in an interval, and what was open of them at its ends. Read from their rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from django.db import connection


class Happened(StrEnum):
    """What happened to an invoice or a credit note."""

    SENT = "invoice"
    VOIDED = "void"
    PAID = "payment"
    APPLIED = "applied_credit_note"
    CREDITED = "credit_note"
    REPAID = "repayment"


class Key(NamedTuple):
    """Whose amounts these are, and in which currency; empty for credits for which nothing was paid."""

    organization_id: str
    currency: str


@dataclass(frozen=True)
class Event:
    """Something that happened: when, to which document, for how much net of tax, and the tax.

    Of a payment `net` is the whole amount. `reference` is the bank's, `day` the one on which the money moved there.
    """

    at: datetime
    happened: Happened
    key: Key
    document: str
    number: str
    buyer: str
    net: int
    tax: int
    reference: str
    day: str


@dataclass(frozen=True)
class Standing:
    """What was open at an instant: owed to us, billed with credits not granted yet, and promised to be given back."""

    receivables: int = 0
    billed: int = 0
    refunds: int = 0


# An invoice that is voided owes nothing more: what applied credit notes had left of it goes. One that a credit note
# lowered to nothing has nothing left, so that its being void moves nothing.
EVENTS = """
    WITH left_over AS (
        SELECT i.id, i.subtotal_cents - coalesce(sum(n.subtotal_cents), 0)::bigint AS net,
               i.tax_cents - coalesce(sum(n.tax_cents), 0)::bigint AS tax
        FROM ledger_invoice i
        LEFT JOIN ledger_invoice n ON n.corrects_id = i.id AND n.applied AND n.number IS NOT NULL
        WHERE i.voided_at >= %(starts_at)s AND i.voided_at < %(ends_at)s
        GROUP BY i.id
    ), moved AS (
        SELECT issued_at AS at,
               CASE WHEN kind = 'credits' THEN 'invoice' WHEN applied THEN 'applied_credit_note' ELSE 'credit_note' END
                   AS happened,
               id, subtotal_cents AS net, tax_cents AS tax, '' AS reference, NULL::date AS day
        FROM ledger_invoice
        WHERE kind IN ('credits', 'credit_note') AND number IS NOT NULL
          AND issued_at >= %(starts_at)s AND issued_at < %(ends_at)s
        UNION ALL
        SELECT i.voided_at, 'void', i.id, l.net, l.tax, '', NULL
        FROM ledger_invoice i JOIN left_over l ON l.id = i.id
        WHERE i.kind = 'credits' AND i.state = 'void' AND i.number IS NOT NULL
        UNION ALL
        SELECT p.recorded_at, CASE i.kind WHEN 'credit_note' THEN 'repayment' ELSE 'payment' END,
               p.invoice_id, p.amount_cents, 0, p.reference, p.received_on
        FROM ledger_payment p JOIN ledger_invoice i ON i.id = p.invoice_id
        WHERE p.recorded_at >= %(starts_at)s AND p.recorded_at < %(ends_at)s
    )
    SELECT m.at, m.happened, i.organization_id, i.currency, i.id, i.number, coalesce(i.buyer ->> 'legal_name', ''),
           m.net, m.tax, m.reference, coalesce(m.day::text, '')
    FROM moved m JOIN ledger_invoice i ON i.id = m.id
    WHERE (m.net, m.tax) <> (0, 0)
"""

# What each invoice and each credit note had left at each instant. Credits are granted by an entry with its id.
STANDINGS = """
    SELECT t.number - 1, i.organization_id, i.currency,
           coalesce(sum(d.total - d.void_total - d.paid) FILTER (WHERE i.kind = 'credits'), 0)::bigint,
           coalesce(sum(d.net - d.void_net) FILTER (WHERE i.kind = 'credits' AND g.at IS NULL), 0)::bigint,
           coalesce(sum(i.total_cents - d.paid) FILTER (WHERE i.kind = 'credit_note' AND NOT i.applied), 0)::bigint
    FROM unnest(%(instants)s::timestamptz[]) WITH ORDINALITY AS t (at, number)
    JOIN ledger_invoice i ON i.number IS NOT NULL AND i.issued_at < t.at AND i.kind IN ('credits', 'credit_note')
    CROSS JOIN LATERAL (
        SELECT i.total_cents - coalesce(sum(n.total_cents) FILTER (WHERE n.issued_at < t.at), 0) AS total,
               i.subtotal_cents - coalesce(sum(n.subtotal_cents) FILTER (WHERE n.issued_at < t.at), 0) AS net,
               CASE WHEN i.voided_at < t.at THEN i.total_cents - coalesce(sum(n.total_cents), 0) ELSE 0 END
                   AS void_total,
               CASE WHEN i.voided_at < t.at THEN i.subtotal_cents - coalesce(sum(n.subtotal_cents), 0) ELSE 0 END
                   AS void_net,
               (SELECT coalesce(sum(p.amount_cents), 0) FROM ledger_payment p
                WHERE p.invoice_id = i.id AND p.recorded_at < t.at) AS paid
        FROM ledger_invoice n WHERE n.corrects_id = i.id AND n.applied AND n.number IS NOT NULL
    ) d
    LEFT JOIN LATERAL (
        SELECT created_at AS at FROM credit_ledger
        WHERE reference = i.id AND kind = 'grant' AND created_at < t.at
        OFFSET 0
    ) g ON true
    GROUP BY t.number, i.organization_id, i.currency
"""

# Net amounts of paid invoices, less what lowered them, by currency; and the numbers of those without their credits.
PAID = """
    SELECT i.currency,
           coalesce(sum(i.subtotal_cents - n.cents) FILTER (WHERE e.created_at < %(at)s), 0)::bigint,
           coalesce(array_agg(i.number ORDER BY i.number) FILTER (WHERE e.created_at IS NULL AND i.credits > 0), '{}')
    FROM ledger_invoice i
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(subtotal_cents), 0) AS cents
        FROM ledger_invoice WHERE corrects_id = i.id AND applied AND number IS NOT NULL
    ) n
    LEFT JOIN LATERAL (
        SELECT created_at FROM credit_ledger
        WHERE reference = i.id AND kind = 'grant' AND amount = i.credits
        OFFSET 0
    ) e ON true
    WHERE i.kind = 'credits' AND i.state = 'paid'
    GROUP BY i.currency
"""


@dataclass(frozen=True)
class Paid:
    """Paid invoices in one currency: what their credits cost, and the numbers of those whose credits are missing."""

    cents: int
    without_credits: tuple[str, ...]


def events_between(starts_at: datetime, ends_at: datetime) -> list[Event]:
    """Return what happened to invoices in an interval, in no order. Usage invoices owe nothing and move nothing."""
    with connection.cursor() as cursor:
        cursor.execute(EVENTS, {"starts_at": starts_at, "ends_at": ends_at})
        return [
            Event(at, Happened(happened), Key(organization_id, currency), *rest)
            for at, happened, organization_id, currency, *rest in cursor.fetchall()
        ]


def standings_at(instants: Sequence[datetime]) -> Sequence[Mapping[Key, Standing]]:
    """Return what was open of all invoices just before each of these instants, where anything was."""
    found: list[dict[Key, Standing]] = [{} for _ in instants]
    with connection.cursor() as cursor:
        cursor.execute(STANDINGS, {"instants": list(instants)})
        for number, organization_id, currency, *figures in cursor.fetchall():
            found[number][Key(organization_id, currency)] = Standing(*figures)
    return found


def paid_before(at: datetime) -> dict[str, Paid]:
    """Return, by currency, what was paid by invoices for the credits that were granted before an instant."""
    with connection.cursor() as cursor:
        cursor.execute(PAID, {"at": at})
        return {currency: Paid(cents, tuple(missing)) for currency, cents, missing in cursor.fetchall()}
