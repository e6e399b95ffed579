"""The forms with which invoices are settled: a payment, a credit note, and why something is undone."""

from datetime import date
from typing import Any

from django import forms

from ledger.invoices.fields import AmountField
from ledger.invoices.models import Invoice, new_invoice_id
from sora2.forms import NewIdField, OneLine, PlainForm, text_input, whole_number


class ReasonForm(PlainForm):
    """Why something is undone."""

    reason = OneLine(
        label="Reason",
        max_length=600,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It stays with the invoice for good.",
    )


class PaymentForm(PlainForm):
    """What the bank's statement says of an invoice that was read with_open()."""

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

    def __init__(self, *given: Any, invoice: Invoice, today: date) -> None:
        initial = {"amount_cents": invoice.open_cents, "received_on": today.isoformat()}
        super().__init__(*given, initial=initial)
        self.today = today
        self.fields["amount_cents"] = AmountField(currency=invoice.currency)
        self.order_fields(["amount_cents"])

    def clean_received_on(self) -> date:
        """Refuse a day that has not come."""
        day: date = self.cleaned_data["received_on"]
        if day > self.today:
            raise forms.ValidationError("This day has not come yet.")
        return day


class CreditNoteForm(PlainForm):
    """What is to be credited, and why."""

    pk = NewIdField(new_invoice_id, salt="credit note")
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
        help_text = "With the tax that the invoice bears."
        self.fields["amount_cents"] = AmountField(currency=invoice.currency, help_text=help_text)
        self.order_fields(["amount_cents"])
