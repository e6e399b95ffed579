"""The pages of invoices: who sees which, and what stands on them. Every address: tests.dashboard."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from customers.models import User
from ledger.invoices.credit_notes import send_credit_note
from ledger.invoices.drafting import DraftLine, change_draft, draft_of
from ledger.invoices.issuing import seen_of
from ledger.models import Invoice
from tests.invoices import Desk, make_desk
from tests.people import member, signed_in, staff, superuser, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(db: Any) -> Desk:
    return make_desk()


def address(invoice: Invoice, act: str = "") -> str:
    return f"/admin/invoices/{invoice.pk}{f'/{act}' if act else ''}"


def test_a_customer_sees_what_it_owes_and_until_when_and_no_draft(desk: Desk) -> None:
    sent, draft, void = desk.sent(), desk.draft(), desk.void()
    client = member(desk.organization, "customer finance")
    words = words_of(client.get(address(sent)))
    assert "You owe $5,000.00" in words
    assert f"until {sent.due_on:%Y-%m-%d}" in words
    assert "the live wallet gets 102,000 credits" in words
    assert "What can be done" not in words
    assert "Audit trail" not in words
    assert client.get(address(draft)).status_code == 404
    assert "nothing is owed for it" in words_of(client.get(address(void)))
    listed = words_of(client.get("/admin/invoices/"))
    assert str(sent.number) in listed
    assert "draft" not in listed
    assert member(make_desk(name="Other").organization).get(address(sent)).status_code == 404


def test_a_payment_shows_its_effect_then_grants_and_twice_is_once(desk: Desk) -> None:
    invoice, client = desk.sent(), staff("finance")
    shown = client.get(address(invoice, "payment"))
    assert 'value="5000.00"' in shown.content.decode()
    form = {"amount_cents": "5,000.00", "received_on": f"{timezone.now():%Y-%m-%d}", "reference": "DE-1"}
    preview = words_of(client.post(address(invoice, "payment"), {**form, "step": "preview"}))
    assert "the live wallet gets 102,000 credits more: 0 → 102,000" in preview
    assert desk.state(invoice) == "sent"
    for _ in range(2):
        done = client.post(address(invoice, "payment"), {**form, "step": "confirm"}, follow=True)
        assert "is paid, and the wallet has 102,000 credits more" in words_of(done)
    assert "got 102,000 credits for it" in words_of(client.get(address(invoice)))


def test_a_payment_that_does_not_fit_comes_back_with_its_form(desk: Desk) -> None:
    invoice, client = desk.sent(), staff("finance")
    today = f"{timezone.now():%Y-%m-%d}"
    for form, words in (
        ({"amount_cents": "5000.01", "received_on": today, "reference": "DE-1"}, "is more than"),
        ({"amount_cents": "1", "received_on": "2099-01-01", "reference": "DE-1"}, "has not come yet"),
        ({"amount_cents": "much", "received_on": today, "reference": ""}, "Write an amount of USD"),
    ):
        for step in ("preview", "confirm"):
            answer = client.post(address(invoice, "payment"), {**form, "step": step})
            assert answer.status_code == 422
            assert words in words_of(answer)
    assert not invoice.payments.exists()


def test_who_sent_an_invoice_reads_why_somebody_else_records_the_payment(desk: Desk) -> None:
    client = superuser()
    invoice = desk.draft()
    assert "Once it is paid, somebody else records that here" in words_of(
        client.post(address(invoice, "send"), {"seen": seen_of(invoice)}, follow=True)
    )
    assert "Record a payment: You sent this invoice" in words_of(client.get(address(invoice)))
    form = {"amount_cents": "1", "received_on": "2026-01-24", "reference": "DE-1", "step": "confirm"}
    answer = client.post(address(invoice, "payment"), form)
    assert (answer.status_code, invoice.payments.count()) == (422, 0)
    sales = staff("sales ops")
    assert "Your role does not record payments" in words_of(sales.get(address(invoice)))
    assert sales.get(address(invoice, "payment")).status_code == 403
    assert "does not write invoices" in words_of(staff("auditor").get(address(desk.draft())))


def test_what_was_changed_after_it_was_looked_at_is_not_sent_unseen(desk: Desk) -> None:
    draft, client = desk.draft(), superuser()
    seen = client.get(address(draft, "send")).context["seen"]
    terms = draft_of(draft)
    dear = DraftLine("Prepaid package", 999_000, 5_005, terms.lines[0].amount_cents)
    assert change_draft(invoice=draft, wanted=replace(terms, lines=(dear,)), seen=terms.seen, by=desk.ann)
    for said in ({"seen": seen}, {}):
        answer = client.post(address(draft, "send"), said)
        assert (answer.status_code, desk.state(draft)) == (409, "draft")
    assert "999,000 credits, once all of it was paid" in words_of(answer)
    client.post(address(draft, "send"), {"seen": answer.context["seen"]})
    assert desk.state(draft) == "sent"


def test_a_credit_note_is_drafted_and_sent_by_two_on_their_pages(desk: Desk) -> None:
    invoice, one = desk.paid(), superuser()
    shown = one.get(address(invoice, "credit-note"))
    form = shown.context["form"]
    body = {"pk": form["pk"].value(), "amount_cents": "2500", "credits": "51000", "reason": "Half of it"}
    for _ in range(2):
        made = one.post(address(invoice, "credit-note"), body)
    note = Invoice.objects.get(corrects=invoice)
    assert made.headers["Location"] == address(note)
    assert "You wrote this credit note" in words_of(one.get(address(note)))
    assert "Nothing was sent" in words_of(one.post(address(note, "send-credit-note"), follow=True))
    other = staff("finance")
    shown = other.get(address(note, "send-credit-note"))
    assert "51,000 credits are taken out of the live wallet at once: 102,000 are available" in words_of(shown)
    seen = {"seen": shown.context["seen"]}
    assert "Sent as CN-" in words_of(other.post(address(note, "send-credit-note"), seen, follow=True))
    assert "$2,500.00 is to be paid back" in words_of(other.get(address(note)))
    too_much = one.post(address(invoice, "credit-note"), {**body, "pk": form["pk"].value(), "amount_cents": "x"})
    assert too_much.status_code == 422


def test_a_credit_note_gives_no_money_back_that_came_after_somebody_looked(desk: Desk) -> None:
    invoice, client = desk.sent(), staff("finance")
    note = desk.note(invoice, 500_000)
    seen = client.get(address(note, "send-credit-note")).context["seen"]
    desk.pay(invoice, 500_000, "DE-1")
    answer = client.post(address(note, "send-credit-note"), {"seen": seen})
    assert (answer.status_code, desk.state(note)) == (409, "draft")
    assert "Nothing was sent" in words_of(answer)
    assert "The money is to be paid back" in words_of(answer)
    client.post(address(note, "send-credit-note"), {"seen": answer.context["seen"]})
    assert desk.state(note) == "sent"


def test_what_is_void_or_reversed_says_why(desk: Desk) -> None:
    client, invoice = staff("finance"), desk.sent()
    payment = desk.pay(invoice, 100, "DE-1")
    undo = address(invoice, f"payments/{payment.pk}/reverse")
    assert "$5,000.00 are open on" in words_of(client.get(undo))
    assert client.post(undo, {"reason": ""}).status_code == 422
    assert "Reversed" in words_of(client.post(undo, {"reason": "Another customer's"}, follow=True))
    assert "reversed: Another customer's" in words_of(client.get(address(invoice)))
    assert client.post(address(invoice, "void"), {"reason": " "}).status_code == 422
    assert "It is void" in words_of(client.post(address(invoice, "void"), {"reason": "They left"}, follow=True))


def test_the_list_is_narrowed_and_adds_up_what_is_open(desk: Desk) -> None:
    desk.draft()
    partly, paid, void = desk.sent(), desk.paid(), desk.void()
    desk.pay(partly, 100_000, "DE-1")
    send_credit_note(note=desk.note(paid, 30_000), by=desk.bea, now=timezone.now())
    overdue = desk.sent(due_on=timezone.now().date() - timedelta(days=1))
    client = staff("finance")

    def listed(**query: str) -> str:
        return words_of(client.get("/admin/invoices/", query))

    assert str(partly.number) in listed(state="partly paid")
    assert str(overdue.number) not in listed(state="partly paid")
    assert str(overdue.number) in listed(state="overdue")
    assert str(partly.number) not in listed(state="overdue")
    assert str(void.number) in listed(state="void")
    assert "No invoice fits" in listed(customer="nobody")
    every = listed()
    assert "$9,000.00" in every
    assert "−$300.00" in every
    assert f"on {paid.number}" in listed(kind="credit_note")


def test_an_invoice_is_found_by_its_number_and_its_id_by_whom_it_is_for(desk: Desk) -> None:
    sent, draft = desk.sent(), desk.draft()
    own, other = member(desk.organization), member(make_desk(name="Other").organization)
    inside = signed_in(User.objects.create_superuser("root"))
    for client, text, leads in (
        (inside, str(sent.number), True),
        (inside, draft.pk, True),
        (own, str(sent.number).lower(), True),
        (own, sent.pk, True),
        (own, draft.pk, False),
        (other, str(sent.number), False),
    ):
        found = client.get("/admin/find", {"id": text, "q": text}).headers["Location"]
        assert found.startswith("/admin/invoices/inv_") == leads, (text, found)
