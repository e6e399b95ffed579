"""Billing details: who changes what of them, what is refused, and that they change no invoice that was sent."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from customers.models import AuditEvent, Organization, User
from ledger.invoices.billing import Buyer, InvalidDetails, TaxTerms, change_details, details_of, seen_of
from ledger.invoices.drafting import DraftLine, draft_invoice
from ledger.models import BillingDetails, Invoice
from ledger.packages import PREPAID
from sora2.countries import countries
from sora2.ids import new_id
from sora2.seen import ChangedMeanwhile
from tests.factories import make_account
from tests.markup import form_to, forms_of
from tests.people import member, signed_in, staff, words_of

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
ACME = Buyer("Acme GmbH", "Hauptstr. 1\n10115 Berlin", "DE", "DE123", "PO-7", usage_invoices=True)
VAT = TaxTerms("VAT", 1_900, "", 14)
LINE = DraftLine("Prepaid package", PREPAID.credits, PREPAID.micros, PREPAID.cents)


@pytest.fixture
def organization() -> Organization:
    return make_account(0).organization


@pytest.fixture
def clerk() -> User:
    return User.objects.create_superuser(username=new_id("usr"))


def change(organization: Organization, by: User, buyer: Buyer = ACME, terms: TaxTerms | None = VAT) -> bool:
    seen = seen_of(details_of(organization))
    return change_details(organization=organization, buyer=buyer, terms=terms, seen=seen, by=by, now=NOW)


def at(organization: Organization) -> str:
    return f"/admin/invoices/billing/{organization.pk}"


def filled(client: Client, organization: Organization, **more: str) -> dict[str, Any]:
    return {**form_to(forms_of(client.get(at(organization))), at(organization)).fields, **more}


# --- the service ---------------------------------------------------------------------------------------------------


def test_details_are_kept_with_who_changed_them_from_what(organization: Organization, clerk: User) -> None:
    assert details_of(organization) is None
    assert [change(organization, clerk), change(organization, clerk)] == [True, False]
    assert change(organization, clerk, replace(ACME, tax_id=""), terms=None)
    row = BillingDetails.objects.get()
    assert (row.legal_name, row.tax_id, row.tax_label, row.terms_days, row.changed_at) == (
        "Acme GmbH",
        "",
        "VAT",
        14,
        NOW,
    )
    first, second = AuditEvent.objects.filter(action="billing.change").order_by("pk")
    assert (first.actor, first.detail["old"], first.detail["new"]["country"]) == (clerk.pk, {}, "DE")
    assert second.detail == {"old": {"tax_id": "DE123"}, "new": {"tax_id": ""}}


def test_what_was_changed_unseen_is_not_changed_over(organization: Organization, clerk: User) -> None:
    seen = seen_of(details_of(organization))
    change(organization, clerk)
    with pytest.raises(ChangedMeanwhile):
        change_details(
            organization=organization,
            buyer=replace(ACME, country="FR"),
            terms=None,
            seen=seen,
            by=clerk,
            now=NOW,
        )


@pytest.mark.parametrize(
    ("buyer", "terms", "words"),
    [
        (replace(ACME, legal_name=" "), VAT, "legal_name"),
        (replace(ACME, address=""), VAT, "address"),
        (replace(ACME, country="XX"), VAT, "country"),
        (ACME, replace(VAT, tax_basis_points=10_001), "tax_basis_points"),
        (ACME, replace(VAT, tax_label=""), "tax_label"),
        (ACME, replace(VAT, terms_days=366), "terms_days"),
    ],
)
def test_details_that_no_invoice_can_bear_are_refused(
    organization: Organization, clerk: User, buyer: Buyer, terms: TaxTerms, words: str
) -> None:
    with pytest.raises(InvalidDetails, match=words):
        change(organization, clerk, buyer, terms)
    assert not BillingDetails.objects.exists()


def test_drafts_follow_with_their_tax_line_and_what_was_sent_does_not(organization: Organization, clerk: User) -> None:
    change(organization, clerk)
    draft, sent = (
        draft_invoice(organization=organization, lines=[LINE], package=PREPAID.code, by=clerk) for _ in range(2)
    )
    Invoice.objects.filter(pk=sent.pk).update(state="sent", issued_by=clerk)
    change(organization, clerk, ACME, TaxTerms("", 0, "Reverse charge", 30))
    draft.refresh_from_db()
    sent.refresh_from_db()
    assert (draft.tax_label, draft.tax_note, draft.tax_cents, draft.total_cents) == ("", "Reverse charge", 0, 500_000)
    assert (sent.tax_label, sent.tax_note, sent.tax_cents, sent.total_cents) == ("VAT", "", 95_000, 595_000)
    assert AuditEvent.objects.filter(action="billing.change").latest("pk").detail["drafts"] == 1


def test_countries_are_those_of_the_standard() -> None:
    known = countries()
    assert (known["DE"], known["US"], known["JP"]) == ("Germany", "United States", "Japan")
    assert 245 <= len(known) <= 255
    assert all(len(code) == 2 and code.isupper() for code in known)


# --- the page ------------------------------------------------------------------------------------------------------


def test_finance_fills_in_all_of_it(organization: Organization) -> None:
    client = staff()
    assert "Nothing is known yet. Fill in the form" in words_of(client.get(at(organization)))
    sent = filled(client, organization, legal_name="Acme  GmbH", address="Hauptstr. 1\r\n\r\n10115 Berlin ",
                  country="DE", tax_label="VAT", tax_basis_points="8.25 %", terms_days="0")  # fmt: skip
    assert client.post(at(organization), sent).status_code == 302
    found = details_of(organization)
    assert found is not None
    assert (found.buyer.legal_name, found.buyer.address) == ("Acme GmbH", "Hauptstr. 1\n10115 Berlin")
    assert (found.terms, found.buyer.usage_invoices) == (TaxTerms("VAT", 825, "", 0), False)
    text = words_of(client.get(at(organization)))
    assert "Hauptstr. 1 10115 Berlin Germany" in text
    assert "Tax VAT 8.25 %" in text
    assert "To be paid at once" in text
    again = client.post(at(organization), filled(client, organization), follow=True)
    assert "Nothing to change" in words_of(again)


def test_a_customers_administrator_changes_everything_but_the_tax_and_the_terms(
    organization: Organization, clerk: User
) -> None:
    change(organization, clerk)
    client = member(organization, "customer admin")
    sent = filled(client, organization, legal_name="Acme SE")
    assert not {"tax_label", "tax_basis_points", "tax_note", "terms_days"} & sent.keys()
    client.post(at(organization), {**sent, "tax_label": "none", "tax_basis_points": "0", "terms_days": "365"})
    found = details_of(organization)
    assert found is not None
    assert (found.buyer, found.terms) == (replace(ACME, legal_name="Acme SE"), VAT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"country": "XX"}, "Select a valid choice"),
        ({"legal_name": ""}, "This field is required"),
        ({"tax_basis_points": "19.123"}, "Write a rate from 0 to 100"),
        ({"tax_basis_points": "101"}, "Write a rate from 0 to 100"),
        ({"tax_label": "", "tax_basis_points": "5"}, "Say what the tax is called"),
        ({"terms_days": "366"}, "less than or equal to 365"),
        ({"address": "a\0"}, "Null characters"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    organization: Organization, clerk: User, change: dict[str, str], words: str
) -> None:
    client = signed_in(clerk)
    before = {"legal_name": "Acme", "address": "Here", "country": "US"}
    answer = client.post(at(organization), filled(client, organization, **{**before, **change}))
    assert (answer.status_code, words in words_of(answer)) == (422, True)
    assert not BillingDetails.objects.exists()


def test_two_people_at_the_form_do_not_overwrite_each_other(organization: Organization, clerk: User) -> None:
    client = signed_in(clerk)
    sent = filled(client, organization, legal_name="Mine", address="Here", country="US")
    change(organization, clerk)
    answer = client.post(at(organization), sent)
    assert answer.status_code == 409
    assert "Somebody has changed these details meanwhile" in words_of(answer)
    again = form_to(forms_of(answer), at(organization)).fields
    assert client.post(at(organization), again).status_code == 302
    assert BillingDetails.objects.get().legal_name == "Mine"


def test_who_sees_and_who_changes(organization: Organization, clerk: User) -> None:
    change(organization, clerk)
    sent = filled(signed_in(clerk), organization, legal_name="Other")
    see_only = [staff("auditor"), member(organization, "customer finance")]
    for client in see_only:
        page = client.get(at(organization))
        assert (page.status_code, "Acme GmbH" in words_of(page)) == (200, True)
        assert [form for form in forms_of(page) if form.method == "post" and "legal_name" in form.fields] == []
        assert client.post(at(organization), sent).status_code == 403
    nobodys = [staff("support"), member(organization, "customer developer")]
    assert [client.get(at(organization)).status_code for client in nobodys] == [403, 403]
    stranger = member(make_account(0).organization, "customer admin")
    assert [stranger.get(at(organization)).status_code, stranger.post(at(organization), sent).status_code] == [404, 404]
    assert staff("sales ops").post(at(organization), sent).status_code == 302
    assert timezone.now() >= BillingDetails.objects.get().changed_at > NOW
