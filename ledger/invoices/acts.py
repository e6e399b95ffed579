"""What the acts on an invoice share: its row locked, the refusals named, and who did or tried it written down."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from customers.models import User
from customers.services import audit
from ledger.invoices.faults import REFUSALS
from ledger.invoices.models import Invoice
from ledger.services import LedgerError, refusals_named


def locked(invoice: Invoice) -> Invoice:
    """Return an invoice as it is now, with the lock of its row: who acts on it comes one after another."""
    rows = Invoice.objects.select_for_update(no_key=True, of=("self",)).select_related("organization")
    return rows.get(pk=invoice.pk)


@contextmanager
def refusals_audited(invoice: Invoice, by: User | None, action: str) -> Iterator[None]:
    """Write an act that was refused into the audit log, once what it had begun is undone."""
    try:
        with refusals_named(REFUSALS):
            yield
    except LedgerError as error:
        audit_act(invoice, by, action, outcome=error.code)
        raise


def audit_act(invoice: Invoice, by: User | None, action: str, *, outcome: str = "done", **detail: Any) -> None:
    """Write down who did or tried what with an invoice; nobody is the system."""
    audit(
        actor=by.pk if by else "system",
        action=action,
        organization_id=invoice.organization_id,
        subject=invoice.pk,
        outcome=outcome,
        detail={**({"number": invoice.number} if invoice.number else {}), **detail},
    )
