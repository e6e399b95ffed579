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
