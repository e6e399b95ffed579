"""Why an invoice is refused; nothing has changed then."""

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
