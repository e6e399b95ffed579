"""Drafts of invoices: what they add up to, the tax on them, who changes them, and that a form sent twice makes one."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from customers.models import AuditEvent, Organization, User
from ledger.invoices.amounts import tax_of
from ledger.invoices.drafting import Draft, DraftLine, change_draft, draft_invoice, draft_of
from ledger.invoices.faults import InvalidLines, NoBillingDetails, WrongState
from ledger.invoices.models import new_invoice_id
from ledger.models import BillingDetails, Invoice
from ledger.packages import PREPAID
from ledger.services import InvalidText
from sora2.ids import new_id
from sora2.seen import ChangedMeanwhile
from tests.factories import make_account
from tests.markup import form_to, forms_of
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db

PACKAGE = DraftLine("Prepaid package", PREPAID.credits, PREPAID.micros, PREPAID.cents)
TOP_UP = DraftLine("Top-up", 1_000, 61_270, 6_127)


@pytest.fixture
def organization() -> Organization:
    organization = make_account(0).organization
    BillingDetails.objects.create(
        organization=organization,
        legal_name="Acme GmbH",
        address="Hauptstr. 1\n10115 Berlin",
        country="DE",
        purchase_order="PO-7",
        tax_label="VAT",
        tax_basis_points=1_900,
        tax_note="",
        terms_days=14,
    )
    return organization


@pytest.fixture
def clerk() -> User:
    return User.objects.create_user(username=new_id("usr"), is_staff=True)


def draft(organization: Organization, by: User, *lines: DraftLine, **more: Any) -> Invoice:
    made = draft_invoice(organization=organization, lines=lines or (PACKAGE,), package=PREPAID.code, by=by, **more)
    return Invoice.objects.get(pk=made.pk)


def change(invoice: Invoice, by: User, **more: Any) -> bool:
    before = draft_of(invoice)
    return change_draft(invoice=invoice, wanted=replace(before, **more), seen=before.seen, by=by)


def figures(invoice: Invoice) -> tuple[int, ...]:
    invoice.refresh_from_db()
    return invoice.credits, invoice.subtotal_cents, invoice.tax_cents, invoice.total_cents


def test_a_draft_is_made_on_the_terms_of_the_billing_details(organization: Organization, clerk: User) -> None:
    invoice = draft(organization, clerk, PACKAGE, TOP_UP)
    assert (invoice.state, invoice.kind, invoice.currency, invoice.number) == ("draft", "credits", "USD", None)
    assert (invoice.purchase_order, invoice.terms_days, invoice.tax_label, invoice.created_by) == (
        "PO-7",
        14,
        "VAT",
        clerk,
    )
    assert figures(invoice) == (103_000, 506_127, 96_164, 602_291)
    assert draft_of(invoice) == Draft((PACKAGE, TOP_UP), "PO-7", "", 14)
    event = AuditEvent.objects.get(action="invoice.draft")
    assert (event.actor, event.subject, event.detail["lines"][1]["amount_cents"]) == (clerk.pk, invoice.pk, 6_127)


def test_a_form_sent_twice_makes_one_draft(organization: Organization, clerk: User) -> None:
    pk = new_invoice_id()
    first, second = draft(organization, clerk, pk=pk), draft(organization, clerk, TOP_UP, pk=pk)
    assert (first, figures(second)[0]) == (second, PREPAID.credits)
    assert (Invoice.objects.count(), AuditEvent.objects.filter(action="invoice.draft").count()) == (1, 1)
    with pytest.raises(WrongState, match="open it anew"):
        draft(organization, User.objects.create_user(username="other"), pk=pk)


def test_without_billing_details_nothing_is_drafted(clerk: User) -> None:
    with pytest.raises(NoBillingDetails):
        draft(make_account(0).organization, clerk)
    assert not Invoice.objects.exists()


def test_a_change_writes_the_lines_anew_with_the_tax_of_today(organization: Organization, clerk: User) -> None:
    invoice = draft(organization, clerk)
    BillingDetails.objects.update(tax_label="", tax_basis_points=0, tax_note="Reverse charge")
    assert change(invoice, clerk, lines=(TOP_UP,), note="As agreed", terms_days=0, purchase_order="")
    assert figures(invoice) == (1_000, 6_127, 0, 6_127)
    assert (invoice.note, invoice.terms_days, invoice.purchase_order) == ("As agreed", 0, "")
    assert (invoice.tax_label, invoice.tax_note) == ("", "Reverse charge")
    detail = AuditEvent.objects.get(action="invoice.change").detail
    assert detail["old"].keys() == {"lines", "note", "terms_days", "purchase_order"}
    assert (detail["old"]["terms_days"], detail["new"]["terms_days"]) == (14, 0)


def test_the_same_change_twice_is_done_once_and_not_over_somebody_elses(
    organization: Organization, clerk: User
) -> None:
    invoice = draft(organization, clerk)
    before = draft_of(invoice)
    given: dict[str, Any] = {"invoice": invoice, "seen": before.seen, "by": clerk}
    wanted = replace(before, note="Ours")
    assert [change_draft(wanted=wanted, **given), change_draft(wanted=wanted, **given)] == [True, False]
    with pytest.raises(ChangedMeanwhile):
        change_draft(wanted=replace(before, note="Theirs"), **given)
    assert AuditEvent.objects.filter(action="invoice.change").count() == 1


def test_what_is_no_draft_is_not_changed(organization: Organization, clerk: User) -> None:
    invoice = draft(organization, clerk)
    before = draft_of(invoice)
    Invoice.objects.filter(pk=invoice.pk).update(state="void", voided_at=invoice.created_at, void_reason="Wrong")
    with pytest.raises(WrongState, match="only a draft"):
        change_draft(invoice=invoice, wanted=replace(before, note="Late"), seen=before.seen, by=clerk)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "from 1 to 20 lines"),
        ((TOP_UP,) * 21, "from 1 to 20 lines"),
        ((replace(TOP_UP, credits=0),), "Line 1: credits"),
        ((TOP_UP, replace(TOP_UP, amount_cents=0)), "Line 2: an amount"),
        ((replace(TOP_UP, amount_cents=100_000_000_001),), "Line 1: an amount"),
        ((replace(TOP_UP, credits=1_000_000_001),), "Line 1: credits"),
        ((replace(TOP_UP, description=" "),), "say what it is for"),
    ],
)
def test_lines_that_sell_nothing_are_refused(
    organization: Organization, clerk: User, lines: tuple[DraftLine, ...], words: str
) -> None:
    invoice = draft(organization, clerk)
    with pytest.raises(InvalidLines, match=words):
        draft_invoice(organization=organization, lines=lines, package="", by=clerk)
    with pytest.raises(InvalidLines, match=words):
        change(invoice, clerk, lines=lines)
    assert figures(invoice)[0] == PREPAID.credits


def test_texts_that_no_column_holds_and_terms_of_no_length_are_refused(organization: Organization, clerk: User) -> None:
    for more in ({"note": "x" * 601}, {"purchase_order": "x" * 101}, {"note": "\0"}):
        with pytest.raises(InvalidText):
            draft(organization, clerk, **more)
    with pytest.raises(InvalidLines, match="0 to 365"):
        change(draft(organization, clerk), clerk, terms_days=366)


LINES = st.lists(
    st.builds(
        DraftLine,
        description=st.just("Credits"),
        credits=st.integers(1, 1_000_000_000),
        unit_micros=st.integers(0, 10**9),
        amount_cents=st.integers(1, 100_000_000_000),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES, points=st.integers(0, 10_000))
def test_the_parts_always_add_up(organization: Organization, clerk: User, lines: list[DraftLine], points: int) -> None:
    BillingDetails.objects.update(tax_basis_points=points)
    invoice = draft(organization, clerk, *lines)
    credits, subtotal, tax, total = figures(invoice)
    assert (credits, subtotal) == (sum(each.credits for each in lines), sum(each.amount_cents for each in lines))
    assert (tax, total) == (tax_of(subtotal, points), subtotal + tax)


# --- the page ------------------------------------------------------------------------------------------------------


def at(invoice: Invoice) -> str:
    return f"/admin/invoices/{invoice.pk}/change"


def filled(client: Client, invoice: Invoice, **more: str) -> dict[str, Any]:
    fields = form_to(forms_of(client.get(at(invoice))), at(invoice)).fields
    return {**fields, **{name.replace("line_", "line-").replace("__", "-"): value for name, value in more.items()}}


def test_a_draft_is_changed_on_its_page(organization: Organization, clerk: User) -> None:
    invoice, client = draft(organization, clerk), staff("sales ops")
    fields = filled(client, invoice)
    assert (fields["line-0-description"], fields["line-0-amount"]) == ("Prepaid package", "5000.00")
    sent = filled(client, invoice, line_0__amount="4,800.00", line_1__description="Top-up", line_1__credits="1000",
                  line_1__amount="61.27", note="As agreed", terms_days="7")  # fmt: skip
    assert client.post(at(invoice), sent).headers["Location"] == f"/admin/invoices/{invoice.pk}"
    assert figures(invoice) == (103_000, 486_127, 92_364, 578_491)
    assert (invoice.note, invoice.terms_days, invoice.package) == ("As agreed", 7, "")
    assert [each.unit_micros for each in draft_of(invoice).lines] == [47_059, 61_270]
    without = filled(client, invoice, line_0__description="", line_0__credits="", line_0__amount="")
    client.post(at(invoice), without)
    assert draft_of(invoice).lines == (TOP_UP,)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"line_0__credits": "0"}, "greater than or equal to 1"),
        ({"line_0__amount": "0"}, "More than nothing"),
        ({"line_0__amount": "1.234"}, "Write an amount of USD"),
        ({"line_0__description": ""}, "This field is required"),
        ({"line_1__credits": "5"}, "This field is required"),
        ({"line_0__description": "", "line_0__credits": "", "line_0__amount": ""}, "one line at least"),
        ({"terms_days": "366"}, "less than or equal to 365"),
        ({"note": "x" * 601}, "at most 600"),
    ],
)
def test_what_is_wrong_with_a_change_is_said(
    organization: Organization, clerk: User, change: dict[str, str], words: str
) -> None:
    invoice, client = draft(organization, clerk), staff()
    answer = client.post(at(invoice), filled(client, invoice, **change))
    assert (answer.status_code, words in words_of(answer)) == (422, True)
    assert figures(invoice)[0] == PREPAID.credits


def test_two_people_at_a_draft_do_not_overwrite_each_other(organization: Organization, clerk: User) -> None:
    invoice, client = draft(organization, clerk), staff()
    sent = filled(client, invoice, note="Mine")
    change(invoice, clerk, note="Theirs", lines=(TOP_UP, PACKAGE))
    answer = client.post(at(invoice), sent)
    assert answer.status_code == 409
    assert form_to(forms_of(answer), at(invoice)).fields["line-1-credits"] == str(PREPAID.credits)
    assert Invoice.objects.get().note == "Theirs"


def test_who_changes_a_draft_and_what_is_no_draft(organization: Organization, clerk: User) -> None:
    invoice, client = draft(organization, clerk), staff("finance approver")
    sent = filled(client, invoice, note="Late")
    assert [staff(role).get(at(invoice)).status_code for role in ("auditor", "support")] == [403, 403]
    assert member(organization, "customer admin").post(at(invoice), sent).status_code == 403
    Invoice.objects.filter(pk=invoice.pk).update(state="void", voided_at=invoice.created_at, void_reason="Wrong")
    answer = client.post(at(invoice), sent, follow=True)
    assert "only a draft of credits can be changed" in words_of(answer)
    assert Invoice.objects.get().note == ""
