"""A form about one customer: our own people name it, a customer's person chooses among their own organizations."""

from collections.abc import Sequence
from typing import Any

from django import forms

from customers.access import Access
from customers.models import Organization
from sora2.forms import PlainForm, text_input


class OwnerForm(PlainForm):
    """For whom something is; who belongs to one organization only is not asked. After `is_valid`: `organization`."""

    organization: Organization

    customer = forms.CharField(
        label="Customer", widget=text_input(), error_messages={"required": "Say for which customer."}
    )

    def __init__(self, *given: Any, access: Access, own: Sequence[Organization], **more: Any) -> None:
        super().__init__(*given, **more)
        self.access, self.own = access, own
        if self.is_staff:
            self.fields["customer"].help_text = self._named() or "Its id, or its whole name."
        elif len(own) == 1:
            del self.fields["customer"]
        else:
            self.fields["customer"] = forms.ChoiceField(label="For", choices=[(one.pk, one.name) for one in own])

    @property
    def is_staff(self) -> bool:
        """Say whether one of our own people fills it in."""
        return self.access.organization_ids is None

    def clean(self) -> dict[str, Any]:
        """Find the customer."""
        if not self.is_staff:
            chosen = self.cleaned_data.get("customer")
            found = [one for one in self.own if len(self.own) == 1 or one.pk == chosen]
        elif text := self.cleaned_data.get("customer"):
            found = list(Organization.objects.named(text)[:2])
            if len(found) > 1:
                self.add_error("customer", "More than one customer has this name: give the id.")
            elif not found:
                self.add_error("customer", "There is no customer with this id or name.")
        else:
            found = []
        if len(found) == 1:
            self.organization = found[0]
        return self.cleaned_data

    def _named(self) -> str:
        """Return the name of a customer that was given by its id."""
        asked = self.data.get("customer") or self.initial.get("customer") or ""
        return Organization.objects.filter(pk=asked).values_list("name", flat=True).first() or "" if asked else ""
