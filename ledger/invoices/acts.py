"""What the acts on an invoice share: its row locked, the refusals named, and who did or tried it written down."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from customers.models import User
from customers.services import audit
from ledger.approvals import SamePerson
from ledger.invoices.faults import LinesDiffer, MoreThanOpen, NotReversible, ReferenceUsed, WrongState
from ledger.invoices.models import Invoice
from ledger.services import LedgerError, refusals_named

# The database's refusals, by the names of their constraints.
REFUSALS: Mapping[str, type[LedgerError]] = {
    "ledger_invoice_state_moves": WrongState,
    "ledger_invoice_sent_is_fixed": WrongState,
    "ledger_invoice_paid_in_full": WrongState,
    "ledger_invoice_void_unpaid": WrongState,
    "ledger_invoiceline_of_draft": WrongState,
    "ledger_payment_of_sent": WrongState,
    "ledger_creditnote_of_invoice": WrongState,
    "ledger_invoice_lines_add_up": LinesDiffer,
    "ledger_invoice_asks_for_money": LinesDiffer,
    "ledger_payment_within_open": MoreThanOpen,
    "ledger_creditnote_within_invoice": MoreThanOpen,
    "ledger_payment_reference_once": ReferenceUsed,
    "ledger_payment_reversal_fits": NotReversible,
    "ledger_payment_two_people": SamePerson,
    "ledger_invoice_paid_two_people": SamePerson,
    "ledger_invoice_credit_note_two_people": SamePerson,
}


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
