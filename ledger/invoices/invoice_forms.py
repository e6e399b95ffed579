"""The forms with which invoices are settled: a payment, a credit note, and why something is undone."""

from datetime import date
from typing import Any

from django import forms

from ledger.invoices.amounts import decimal_text, parse_amount
from ledger.invoices.faults import InvalidMoney
from ledger.invoices.models import Invoice, new_invoice_id
from sora2.forms import NewIdField, OneLine, PlainForm, text_input, whole_number


class MoneyField(forms.CharField):
    """An amount in the currency of an invoice, which is set before it is read."""

    currency = "USD"

    def __init__(self, **more: Any) -> None:
        super().__init__(max_length=30, widget=text_input(inputmode="decimal"), **more)

    def clean(self, value: Any) -> int:
        """Return the amount in minor units."""
        try:
            return parse_amount(super().clean(value), self.currency)
        except InvalidMoney as error:
            raise forms.ValidationError(str(error), code="invalid") from error


class ReasonForm(PlainForm):
    """Why something is undone."""

    reason = OneLine(
        label="Reason",
        max_length=600,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stays with the invoice for good.",
    )


class PaymentForm(PlainForm):
    """What the bank's statement says."""

    amount_cents = MoneyField(label="Amount")
    received_on = forms.DateField(
        label="Received on",
        widget=text_input(placeholder="2026-12-31"),
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": "Write a day such as 2026-12-31."},
    )
    reference = OneLine(
        label="Bank reference",
        max_length=140,
        widget=text_input(),
        help_text="As the bank's statement has it. The same reference is recorded once.",
    )

    def __init__(self, *given: Any, invoice: Invoice, open_cents: int, today: date) -> None:
        initial = {"amount_cents": decimal_text(open_cents, invoice.currency), "received_on": today.isoformat()}
        super().__init__(*given, initial=initial)
        self.today = today
        _in_currency(self, invoice)

    def clean_received_on(self) -> date:
        """Refuse a day that has not come."""
        day: date = self.cleaned_data["received_on"]
        if day > self.today:
            raise forms.ValidationError("This day has not come yet.")
        return day


class CreditNoteForm(PlainForm):
    """What is to be credited, and why."""

    pk = NewIdField(new_invoice_id, salt="credit note")
    amount_cents = MoneyField(label="Amount", help_text="With the tax that the invoice bears.")
    credits = whole_number("Credits taken back", least=0, initial=0, most=10**12, required=False)
    reason = OneLine(
        label="Reason",
        max_length=600,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stands on the credit note, and the customer reads it.",
    )

    def __init__(self, *given: Any, invoice: Invoice) -> None:
        super().__init__(*given)
        if invoice.state != Invoice.State.PAID:
            del self.fields["credits"]
        _in_currency(self, invoice)


def _in_currency(form: forms.Form, invoice: Invoice) -> None:
    field = form.fields["amount_cents"]
    if isinstance(field, MoneyField):
        field.currency, field.label = invoice.currency, f"Amount, {invoice.currency}"
