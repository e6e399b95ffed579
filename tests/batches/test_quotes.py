"""The page of a quote: what credits cost a customer and buy at today's prices, and the draft that comes of it."""

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.quoting import offer_of, top_up_of
from customers.models import Organization
from ledger.models import BillingDetails, Invoice, InvoiceLine
from ledger.packages import PREPAID
from sora2.ids import new_id
from tests.as_role import as_owner
from tests.factories import make_account
from tests.markup import forms_of
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def organization() -> Organization:
    return make_account(0, name="Acme").organization


def details(organization: Organization, **more: Any) -> BillingDetails:
    given = {"legal_name": "Acme GmbH", "address": "Hauptstr. 1", "country": "DE", **more}
    return BillingDetails.objects.create(organization=organization, **given)


def at(organization: Organization, query: str = "") -> str:
    return f"/admin/quotes/{organization.pk}{query}"


def quoted(organization: Organization, query: str = "", client: Client | None = None) -> str:
    return words_of((client or staff()).get(at(organization, query)))


def mail_of(page: Any) -> str:
    [text] = re.findall(r'<pre class="raw">(.*?)</pre>', page.content.decode(), flags=re.DOTALL)
    return " ".join(str(text).split())


def draft(client: Client, address: str) -> Any:
    [form] = [form for form in forms_of(client.get(address)) if form.method == "post" and "pk" in form.fields]
    return client.post(address, form.fields)


def test_the_package_is_quoted_as_the_sales_document_shows_it(organization: Organization) -> None:
    text = quoted(organization)
    for words in (
        "Prepaid package of 102,000 credits, which never expire $5,000.00",
        "Total $5,000.00",
        "$0.04902, 20 % below the list price",
        "sora-2 4 s 10 ~10,200 ~$0.49",
        "veo-3 8 s 97 ~1,050 ~$4.76",
        f"up to {organization.rate_limit_per_minute:,} a minute",
    ):
        assert words in text, words
    mail = mail_of(staff().get(at(organization)))
    for words in (
        "Absolutely! Here's what the $5,000 prepaid package includes:",
        "~1,050 Veo videos or ~10,200 Sora videos",
        "Effective price: ~$4.76 per Veo video (20% discount)",
        "Credits never expire: use at your pace",
        "Rate limits: increased to [custom limit] / minute",
        "1. I'll send the invoice",
    ):
        assert words in mail, words


def test_several_packages_and_a_top_up_of_any_size_are_quoted(organization: Organization) -> None:
    Organization.objects.update(plan="enterprise", rate_limit_per_minute=1_200)
    two = staff().get(at(organization, "?what=package&count=2"))
    assert "2 × prepaid package of 102,000 credits, which never expire $10,000.00" in words_of(two)
    assert "veo-3 8 s 97 ~2,100 ~$4.76" in words_of(two)
    assert "what 2 × the $5,000 prepaid package includes: Package details: - Credits: 204,000" in mail_of(two)
    assert "Rate limits: 1,200 / minute" in mail_of(two)
    top_up = staff().get(at(organization, "?what=top_up&credits=50"))
    assert "Top-up of 50 credits at the list price, which never expire $3.06" in words_of(top_up)
    assert "$0.06127, the list price" in words_of(top_up)
    assert "sora-2 4 s 10 fewer than 10 –" in words_of(top_up)
    assert "a top-up of 50 credits for $3.06 includes: Details: - Credits: 50 - Credits never" in mail_of(top_up)
    assert "$61,270,000" in quoted(organization, "?what=top_up&credits=1000000000")


@pytest.mark.parametrize(
    "query", ["?what=package&count=0", "?what=package&count=1001", "?what=top_up", "?what=top_up&credits=1000000001",
              "?what=gift", "?what=package&count=", "?what=top_up&credits=1e3"],
)  # fmt: skip
def test_what_cannot_be_bought_is_refused_in_words(organization: Organization, query: str) -> None:
    answer = staff().get(at(organization, query))
    assert answer.status_code == 422
    assert "✕" in words_of(answer)
    assert "What it costs" not in words_of(answer)


def test_the_figures_are_those_of_the_catalogue_and_of_every_size() -> None:
    now = timezone.now()
    for count in (1, 2, 7):
        offer = offer_of(count, now=now)
        for each in offer.equivalents:
            assert each.clips == count * PREPAID.credits // each.model.credits // 10 * 10
            assert offer.percent_below == 20
    assert {each.cents for each in top_up_of(1, now=now).equivalents} == {None}


def test_the_tax_line_of_the_customer_is_in_the_total(organization: Organization) -> None:
    assert "No tax is in it, and nothing can be invoiced" in quoted(organization)
    details(organization, tax_label="VAT", tax_basis_points=825, purchase_order="PO-7", terms_days=14)
    text = quoted(organization)
    assert "VAT 8.25 % $412.50 Total $5,412.50" in text
    assert "Acme GmbH, to be paid within 14 days, purchase order PO-7" in text


def test_the_button_drafts_what_was_quoted_once(organization: Organization) -> None:
    details(organization, purchase_order="PO-7")
    client, address = staff("sales ops"), at(organization, "?what=package&count=2")
    [form] = [form for form in forms_of(client.get(address)) if "pk" in form.fields]
    first, second = client.post(address, form.fields), client.post(address, form.fields)
    invoice = Invoice.objects.get()
    assert first.headers["Location"] == second.headers["Location"] == f"/admin/invoices/{invoice.pk}"
    assert (invoice.package, invoice.credits, invoice.total_cents, invoice.purchase_order) == (
        "prepaid-5000",
        204_000,
        1_000_000,
        "PO-7",
    )
    line = InvoiceLine.objects.get()
    assert (line.credits, line.unit_micros, line.amount_cents) == (204_000, 49_020, 1_000_000)
    assert draft(client, at(organization, "?what=top_up&credits=7")).status_code == 302
    top_up = Invoice.objects.latest("pk")
    assert (top_up.package, top_up.credits, top_up.total_cents) == ("", 7, 43)
    assert InvoiceLine.objects.get(invoice=top_up).unit_micros == 61_270


def test_nothing_is_drafted_without_details_or_from_a_form_of_elsewhere(organization: Organization) -> None:
    row, client = details(organization), staff()
    [form] = [form for form in forms_of(client.get(at(organization))) if "pk" in form.fields]
    assert client.post(at(organization), {"pk": "inv_made_up"}).status_code == 422
    with as_owner():
        row.delete()
    answer = client.post(at(organization), form.fields)
    assert answer.status_code == 409
    assert "Nothing was drafted. Say first whom" in words_of(answer)
    assert not Invoice.objects.exists()


def test_who_sees_a_quote_and_who_drafts(organization: Organization) -> None:
    details(organization)
    seen = {role: staff(role).get(at(organization)).status_code for role in ("auditor", "sales ops", "support")}
    assert seen == {"auditor": 200, "sales ops": 200, "support": 403}
    assert "Draft the invoice" not in quoted(organization, client=staff("auditor"))
    assert staff("auditor").post(at(organization)).status_code == 403
    own = member(organization, "customer admin")
    assert [own.get(page).status_code for page in (at(organization), "/admin/quotes/")] == [404, 404]
    assert staff().get(f"/admin/quotes/{new_id('org')}").status_code == 404


def test_the_customer_of_a_quote_is_found_by_name(organization: Organization) -> None:
    others = [make_account(0, name=f"Globex {number}").organization for number in range(3)]
    client = staff()
    assert f'href="/admin/quotes/{organization.pk}"' in client.get("/admin/quotes/").content.decode()
    found = client.get("/admin/quotes/?customer=globex")
    assert all(each.pk in found.content.decode() for each in others)
    assert organization.pk not in found.content.decode()
    assert "No such customer" in words_of(client.get("/admin/quotes/?customer=nobody"))


def test_a_quote_takes_the_same_few_queries_for_every_size(organization: Organization) -> None:
    details(organization)
    client = staff()
    client.get(at(organization))
    counts = []
    for query in ("", "?what=package&count=1000"):
        with CaptureQueriesContext(
            connection,
        ) as captured:
            client.get(at(organization, query))
        counts.append(len(captured))
    assert counts[0] == counts[1]
