"""The form with which finance asks for credits."""

from typing import Any

from django import forms
from django.core.validators import URLValidator
from django.db.models import BigIntegerField

from customers.access import Access
from customers.models import Mode, Organization
from ledger.invoices.amounts import parse_amount
from ledger.invoices.faults import InvalidMoney
from ledger.invoices.models import CURRENCIES
from ledger.models import OUTSIDE_KINDS, CreditRequest, Entry, Wallet
from ledger.packages import LIST_PRICE
from sora2.forms import OneLine, PlainForm, text_input
from sora2.ids import is_id

WORDS = {
    Entry.Kind.GRANT: "grant: credits that were paid for or promised",
    Entry.Kind.ADJUSTMENT_IN: "adjustment in: goodwill, or a correction in the customer's favour",
    Entry.Kind.ADJUSTMENT_OUT: "adjustment out: a correction that takes credits back",
}


def longest(name: str) -> int:
    """Return how many characters a text of a request may have."""
    return int(CreditRequest._meta.get_field(name).max_length or 0)  # type: ignore[union-attr]


class CreditRequestForm(PlainForm):
    """What is asked for. After `is_valid`, `wallet` is the one that the customer and the mode name."""

    wallet: Wallet

    organization = forms.CharField(label="Customer", max_length=200, help_text="Its id, or its whole name.")
    mode = forms.ChoiceField(label="Mode", choices=[(mode.value, mode.value) for mode in Mode])
    kind = forms.ChoiceField(label="Kind", choices=[(kind.value, WORDS[kind]) for kind in OUTSIDE_KINDS])
    amount = forms.IntegerField(
        label="Credits",
        min_value=1,
        max_value=BigIntegerField.MAX_BIGINT,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
        error_messages={"invalid": "Write a whole number without separators, such as 5000."},
    )
    paid = forms.CharField(
        label="Paid, net of tax",
        required=False,
        max_length=30,
        widget=text_input(inputmode="decimal"),
        help_text="Of a grant: what was paid for it, such as 5000.00. Empty: it is promotional, and brings no revenue.",
    )
    currency = forms.ChoiceField(
        label="In", required=False, choices=[(each, each) for each in CURRENCIES], initial=LIST_PRICE.currency
    )
    reference = forms.CharField(
        label="Reference",
        required=False,
        max_length=longest("reference"),
        help_text="Of a grant: what it comes from, such as the invoice's number. A reference grants once.",
    )
    about = forms.CharField(
        label="About",
        required=False,
        max_length=longest("about"),
        help_text="Of an adjustment: the id of the batch that it is for.",
    )
    reason = OneLine(
        label="Reason",
        max_length=longest("reason"),
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="It is sealed in the ledger for good, and the customer reads it.",
    )
    evidence_url = forms.URLField(
        label="Evidence",
        assume_scheme="https",
        max_length=longest("evidence_url"),
        validators=[URLValidator(schemes=["http", "https"])],
        widget=forms.TextInput(attrs={"inputmode": "url", "placeholder": "https://"}),
        help_text="A link to the invoice, the contract or the ticket. Only our own people see it.",
    )

    def __init__(self, *given: Any, access: Access, **more: Any) -> None:
        super().__init__(*given, **more)
        self.access = access
        asked = self.data.get("organization") or self.initial.get("organization") or ""
        if is_id(asked, "org") and (named := Organization.objects.filter(pk=asked).first()):
            self.fields["organization"].help_text = named.name

    def clean(self) -> dict[str, Any]:
        """Find the wallet."""
        cleaned: dict[str, Any] = self.cleaned_data
        if {"organization", "mode"} <= cleaned.keys():
            self._find_wallet(cleaned["organization"], cleaned["mode"])
        cleaned["currency"] = cleaned.get("currency") or LIST_PRICE.currency
        cleaned["paid_cents"] = self._paid_cents(cleaned)
        return cleaned

    def _paid_cents(self, cleaned: dict[str, Any]) -> int:
        try:
            return parse_amount(cleaned["paid"], cleaned["currency"]) if cleaned.get("paid") else 0
        except InvalidMoney as error:
            self.add_error("paid", str(error))
            return 0

    def _find_wallet(self, text: str, mode: str) -> None:
        found = list(Organization.objects.named(text)[:2])
        if len(found) > 1:
            self.add_error("organization", "More than one customer has this name: give the id.")
            return
        wallets = Wallet.objects.within(self.access).select_related("organization")
        wallet = wallets.filter(organization__in=found, mode=mode).first()
        if wallet is None:
            self.add_error("organization", "There is no customer with this id or name.")
            return
        self.wallet = wallet
