"""The forms of a quote: what is to be bought, and the button that drafts its invoice."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms

from batches.quoting import Offer, offer_of, top_up_of
from ledger.invoices.drafting import CREDITS_MOST
from ledger.invoices.models import new_invoice_id
from sora2.forms import NewIdField, PlainForm, whole_number

PACKAGE, TOP_UP = "package", "top_up"
PACKAGES_MOST = 1_000


class QuoteForm(PlainForm):
    """How many prepaid packages, or how many credits at the list price; without anything, one package."""

    what = forms.ChoiceField(
        label="What",
        choices=[(PACKAGE, "prepaid package"), (TOP_UP, "top-up at the list price")],
        error_messages={"invalid_choice": "Choose the package or a top-up."},
    )
    count = whole_number("Packages", most=PACKAGES_MOST, required=False)
    credits = whole_number("Credits of a top-up", most=CREDITS_MOST, required=False)

    def __init__(self, data: Mapping[str, Any]) -> None:
        given = {name: data[name] for name in self.base_fields if name in data}
        super().__init__({"what": PACKAGE, "count": "1", **given})

    def clean(self) -> dict[str, Any]:
        """Ask for the number that is needed."""
        said = super().clean() or {}
        needed = "count" if said.get("what") == PACKAGE else "credits"
        if not said.get(needed) and needed not in self.errors:
            self.add_error(needed, "Say how many.")
        return said

    def offer(self, *, now: datetime) -> Offer | None:
        """Return what is asked for; None where something is wrong."""
        if not self.is_valid():
            return None
        said = self.cleaned_data
        return offer_of(said["count"], now=now) if said["what"] == PACKAGE else top_up_of(said["credits"], now=now)


class DraftButton(PlainForm):
    """The id of the invoice that is to be drafted: sent twice, it makes one."""

    pk = NewIdField(new_invoice_id, salt="invoice draft")
