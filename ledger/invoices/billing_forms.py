"""The form of billing details: for a customer's own people without the tax and the terms, which are ours."""

from dataclasses import asdict
from typing import Any

from django import forms
from django.http import QueryDict

from ledger.invoices.billing import Buyer, Details, TaxTerms, seen_of
from ledger.invoices.drafting import TERMS_DAYS_MOST
from ledger.invoices.fields import RateField
from ledger.invoices.models import BillingDetails
from sora2.countries import countries
from sora2.forms import OneLine, PlainForm, text_input, whole_number


def longest(name: str) -> int:
    """Return how many characters a text of the billing details may have."""
    return int(BillingDetails._meta.get_field(name).max_length or 0)  # type: ignore[union-attr]


class BillingForm(PlainForm):
    """Whom invoices are made out to; `ours` shows the tax and the terms too. `seen` is what it was opened with."""

    legal_name = OneLine(
        label="Legal name",
        max_length=longest("legal_name"),
        widget=text_input(),
        help_text="As it stands in the register, such as Acme Corporation Inc.",
    )
    address = forms.CharField(
        label="Address",
        max_length=longest("address"),
        widget=forms.Textarea(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"}),
        help_text="Street, city and postal code, as on an envelope; without the country.",
    )
    country = forms.ChoiceField(label="Country")
    tax_id = OneLine(
        label="Tax id",
        required=False,
        max_length=longest("tax_id"),
        widget=text_input(),
        help_text="VAT number, EIN or the like, where the company has one.",
    )
    purchase_order = OneLine(
        label="Purchase order",
        required=False,
        max_length=longest("purchase_order"),
        widget=text_input(),
        help_text="Stands on the invoices that are drafted from now on.",
    )
    usage_invoices = forms.BooleanField(
        label="Usage invoices",
        required=False,
        help_text="Each month's end makes an invoice of what was used, with nothing due: it was paid before.",
    )
    tax_label = OneLine(
        label="Tax",
        required=False,
        max_length=longest("tax_label"),
        widget=text_input(),
        help_text="What the tax line is called, such as VAT. Empty: no tax line.",
    )
    tax_basis_points = RateField(
        label="Rate, %",
        required=False,
        widget=text_input(inputmode="decimal"),
        help_text="With up to two digits, such as 19 or 8.25.",
    )
    tax_note = OneLine(
        label="Tax note",
        required=False,
        max_length=longest("tax_note"),
        widget=text_input(),
        help_text="A sentence that stands below it, such as that of a reverse charge.",
    )
    terms_days = whole_number(
        "Days to pay",
        least=0,
        most=TERMS_DAYS_MOST,
        help_text=f"From the day of the invoice, 0 to {TERMS_DAYS_MOST}; of the invoices drafted from now on.",
    )
    seen = forms.CharField(widget=forms.HiddenInput, required=False)

    def __init__(self, *given: Any, details: Details | None, ours: bool) -> None:
        terms = details.terms if details else TaxTerms()
        initial = {**(asdict(details.buyer) if details else {}), **asdict(terms), "seen": seen_of(details)}
        super().__init__(*given, initial=initial)
        choices = [("", "choose"), *((code, f"{name} ({code})") for code, name in countries().items())]
        self.fields["country"].choices = choices  # type: ignore[attr-defined]
        if not ours:
            for name in asdict(TaxTerms()):
                del self.fields[name]

    def clean_address(self) -> str:
        """Return the lines that say something."""
        lines = (line.strip() for line in self.cleaned_data["address"].splitlines())
        return "\n".join(filter(None, lines))

    def clean(self) -> dict[str, Any]:
        """Refuse a rate of a tax without a name."""
        said = super().clean() or {}
        if said.get("tax_basis_points") and not said.get("tax_label"):
            self.add_error("tax_label", "Say what the tax is called, such as VAT.")
        return said

    def buyer(self) -> Buyer:
        """Return whom invoices are to be made out to."""
        return Buyer(**{name: self.cleaned_data[name] for name in Buyer.__annotations__})

    def terms(self) -> TaxTerms | None:
        """Return the tax and the terms; None where they are not asked for."""
        if "terms_days" not in self.fields:
            return None
        return TaxTerms(**{name: self.cleaned_data[name] for name in TaxTerms.__annotations__})

    def show_again(self, details: Details | None) -> None:
        """Let the form be sent again by who has seen how the details are now."""
        if isinstance(self.data, QueryDict):
            self.data = {**self.data.dict(), "seen": seen_of(details)}
