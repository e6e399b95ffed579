"""The form with which a draft of an invoice is changed: its terms, and a row for each of its lines."""

from typing import Any

from django import forms
from django.http import QueryDict

from ledger.invoices.drafting import CREDITS_MOST, LINES_MOST, TERMS_DAYS_MOST, Draft, DraftLine
from ledger.invoices.fields import AmountField
from ledger.invoices.models import Invoice, InvoiceLine
from ledger.packages import micros_of
from sora2.forms import OneLine, PlainForm, text_input, whole_number


class DraftForm(PlainForm):
    """The terms of a draft. `seen` is the draft that the form was opened with."""

    purchase_order = OneLine(
        label="Purchase order",
        required=False,
        max_length=int(Invoice._meta.get_field("purchase_order").max_length or 0),
        widget=text_input(),
        help_text="The customer's own number for it. It stands on the invoice.",
    )
    note = OneLine(
        label="Note",
        required=False,
        max_length=int(Invoice._meta.get_field("note").max_length or 0),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="For the customer. It stands below the lines.",
    )
    terms_days = whole_number(
        "Days to pay", least=0, most=TERMS_DAYS_MOST, help_text="From the day on which it is sent; 0: at once."
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)


class LineForm(PlainForm):
    """A line; one without anything in it is left out."""

    description = OneLine(
        label="For", max_length=int(InvoiceLine._meta.get_field("description").max_length or 0), widget=text_input()
    )
    credits = whole_number("Credits", most=CREDITS_MOST)

    def __init__(self, *given: Any, currency: str, **more: Any) -> None:
        super().__init__(*given, **more)
        self.currency = currency
        self.fields["amount"] = AmountField(currency=currency)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing stands in it."""
        return not any(str(self[name].value() or "").strip() for name in self.fields)

    def anew(self) -> "LineForm":
        """Return its row as it is before anybody has written in it."""
        return LineForm(currency=self.currency, prefix=self.prefix)

    def line(self) -> DraftLine:
        """Return the line that is wanted."""
        credits, cents = self.cleaned_data["credits"], self.cleaned_data["amount"]
        return DraftLine(self.cleaned_data["description"], credits, micros_of(cents=cents, credits=credits), cents)


class DraftForms:
    """The form of a draft, whole: `head` for its terms, and `lines`, of which the last is for another one."""

    def __init__(self, data: QueryDict | None, *, draft: Draft, currency: str) -> None:
        self.head = DraftForm(data, initial={**vars(draft), "seen": draft.seen})
        self.lines = [
            LineForm(data, currency=currency, prefix=f"line-{number}", initial=each)
            for number, each in enumerate([*map(_initial, draft.lines), {}][:LINES_MOST])
        ]
        self.fault = ""

    def draft(self) -> Draft | None:
        """Return the draft that is wanted; None where something is wrong."""
        filled = [each for each in self.lines if not each.is_empty]
        # Shown again, a line that was left empty has no faults.
        self.lines = [each.anew() if each.is_empty else each for each in self.lines]
        if not filled:
            self.fault = "An invoice has one line at least."
        valid = [each.is_valid() for each in (self.head, *filled)]
        if not all(valid) or not filled:
            return None
        said = self.head.cleaned_data
        lines = tuple(each.line() for each in filled)
        return Draft(lines, said["purchase_order"], said["note"], said["terms_days"])


def _initial(line: DraftLine) -> dict[str, Any]:
    return {"description": line.description, "credits": line.credits, "amount": line.amount_cents}
