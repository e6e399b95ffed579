"""The mails of invoices: written with what they tell, sent once, and never without their paper."""

from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import transaction
from pytest_django import Settings

from batches.doctor import examine
from customers.models import Organization
from ledger.invoices.issuing import send_invoice
from ledger.invoices.mails import attached
from ledger.invoices.paper import invoice_paper
from ledger.models import InvoiceMail
from ledger.papers import setting
from ledger.tasks import mail_invoices
from sora2.mailing import oldest_unsent, send_due
from tests.invoices import NOW, Desk
from tests.ledger.invoice_examples import credit_note, drafted, make_office, sent, usage_invoice

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(settings: Settings) -> Desk:
    settings.PUBLIC_BASE_URL = "https://sora2.example"
    office = make_office(settings)
    Organization.objects.update(finance_emails=["books@acme.example", "ap@acme.example"])
    office.organization.refresh_from_db()
    return office


def words(row: InvoiceMail) -> str:
    return " ".join(f"{row.subject} {row.body}".split())


def test_sending_an_invoice_writes_its_mail_or_neither_is_done(desk: Desk) -> None:
    draft = drafted(desk)
    with transaction.atomic():
        send_invoice(invoice=draft, by=desk.ann, now=NOW)
        transaction.set_rollback(True)
    assert not InvoiceMail.objects.exists()
    invoice = send_invoice(invoice=draft, by=desk.ann, now=NOW)
    assert send_invoice(invoice=draft, by=desk.ann, now=NOW) == invoice
    row, due = InvoiceMail.objects.get(), invoice.due_on
    assert due is not None
    assert row.recipients == ["books@acme.example", "ap@acme.example"]
    assert row.subject == f"Invoice {invoice.number}: $5,000.00, due {due.day} {due:%B %Y}"
    for said in (
        f"attached is invoice {invoice.number} for Acme, as PDF.",
        *("Total $5,000.00 (USD)", "Purchase order PO-4711", "Credits 102,000"),
        "To Sora2 Enterprise Ltd IBAN IE29 AIBK 9311 5212 3456 78 BIC AIBKIE2D",
        f"Reference {invoice.number}",
        "They never expire.",
        f"https://sora2.example/admin/invoices/{invoice.pk}",
        f"https://sora2.example/admin/invoices/papers/{desk.organization.pk}",
        "Questions? billing@sora2.example",
    ):
        assert said in words(row), said


def test_what_is_paid_is_told_once_with_the_paper_as_it_was(desk: Desk) -> None:
    invoice = sent(desk)
    first = invoice_paper(invoice).body
    desk.pay(invoice, 200_000, "a part")
    desk.pay(invoice, 300_000, "the rest")
    desk.pay(invoice, 300_000, "the rest")
    _, receipt = InvoiceMail.objects.order_by("pk")
    assert receipt.subject == f"Invoice {invoice.number} is paid: 102,000 credits are in your wallet"
    assert f"invoice {invoice.number} of Acme is paid in full." in words(receipt)
    assert f"https://sora2.example/admin/ledger/{desk.organization.pk}?mode=live" in words(receipt)
    assert attached(receipt)[0].content == first


def test_who_got_an_invoice_is_told_that_it_is_void(desk: Desk) -> None:
    invoice = desk.void()
    _, told = InvoiceMail.objects.order_by("pk")
    assert told.subject == f"Invoice {invoice.number} is void: nothing is owed for it"
    assert "Please do not pay it. Why a wrong address" in words(told)
    [paper] = attached(told)
    assert paper.content == invoice_paper(invoice).body


def test_credit_notes_and_usage_invoices_have_their_own_words(desk: Desk) -> None:
    used, invoice = usage_invoice(desk), sent(desk)
    lowers = credit_note(desk, invoice, 10_000)
    desk.pay(invoice, 490_000, "all")
    invoice.refresh_from_db()
    gives_back = credit_note(desk, invoice, 10_000, credits=2_040)
    for about, subject, said in (
        (used, f"Usage invoice {used.number} for 2026-10: nothing due", "You need not pay anything"),
        (lowers, f"Credit note {lowers.number} on invoice {invoice.number}: $100.00", "you owe that much less"),
        (
            gives_back,
            f"Credit note {gives_back.number} on invoice {invoice.number}: $100.00",
            f"Credits 2,040, taken back from your live wallet What it means: {invoice.number} was paid, so we pay",
        ),
    ):
        row = InvoiceMail.objects.get(invoice=about)
        assert row.subject == subject
        assert said in words(row)
        assert "How to pay" not in row.body


def test_a_mail_goes_out_once_with_its_paper(desk: Desk) -> None:
    invoice = sent(desk)
    InvoiceMail.objects.update(due_at=NOW - timedelta(days=365))
    mail_invoices()
    mail_invoices()
    (outgoing,) = mail.outbox
    paper = (f"{invoice.number}.pdf", invoice_paper(invoice).body, "application/pdf")
    assert [tuple(each) for each in outgoing.attachments] == [paper]
    assert oldest_unsent(InvoiceMail) is None


def test_a_mail_waits_for_its_paper_and_for_the_mail_server(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sent(desk)
    now, later = NOW, NOW + timedelta(minutes=10)
    with monkeypatch.context() as patch:
        patch.setattr(setting, "SETTING_SECONDS", 0.001)
        assert send_due(InvoiceMail, now=now, attached=attached) == 0
    assert oldest_unsent(InvoiceMail) == now
    assert ("not_mailed", "invoices") in {(each.kind, each.subject) for each in examine(now=later)}

    def broken(message: EmailMessage) -> int:
        raise OSError("no mail server")

    with monkeypatch.context() as patch:
        patch.setattr(EmailMessage, "send", broken)
        assert send_due(InvoiceMail, now=later, attached=attached) == 0
    assert send_due(InvoiceMail, now=later, attached=attached) == 0
    assert mail.outbox == []
    assert send_due(InvoiceMail, now=later + timedelta(minutes=10), attached=attached) == 1
    assert oldest_unsent(InvoiceMail) is None
