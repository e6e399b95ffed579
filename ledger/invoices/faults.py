"""Why an invoice is refused; nothing has changed then."""

from collections.abc import Mapping

from ledger.approvals import SamePerson
from ledger.services import LedgerError


class InvoiceError(LedgerError):
    """An invoice cannot be made, sent, paid or voided as asked for."""

    code = "invoice_refused"


class InvalidMoney(InvoiceError):
    """What was written is no amount of the currency, or one that is not allowed here."""

    code = "invalid_money"


class WrongState(InvoiceError):
    """The invoice is in a state in which this cannot be done."""

    code = "wrong_state"


class NoSeller(InvoiceError):
    """Nobody has said yet who sends our invoices: the settings SELLER_*."""

    code = "no_seller"


class NoBillingDetails(InvoiceError):
    """Nobody has said yet whom this customer's invoices are made out to."""

    code = "no_billing_details"


class InvalidLines(InvoiceError):
    """A line of an invoice, or a term of it, is not one that can be agreed."""

    code = "invalid_lines"


class LinesDiffer(InvoiceError):
    """The lines do not come to what the invoice asks for, or there is nothing to pay."""

    code = "lines_differ"


class MoreThanOpen(InvoiceError):
    """More would be paid or credited than is open, or than was paid for what is given back."""

    code = "more_than_open"


class ReferenceUsed(InvoiceError):
    """The bank's reference stands on this invoice already, for another payment."""

    code = "reference_used"


class NotReversible(InvoiceError):
    """This payment cannot be reversed any more: what it paid for was granted, or it is itself a reversal."""

    code = "not_reversible"


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
