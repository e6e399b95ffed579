"""The mails of invoices: written in the transaction that sends, pays or voids one, sent soon after with its paper."""

from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string

from customers.contacts import finance_contacts
from customers.models import Mode
from ledger.invoices.models import Invoice, InvoiceMail
from ledger.invoices.paper import invoice_paper
from ledger.papers.setting import CONTENT_TYPE
from sora2 import bell
from sora2.mailing import Attachment, Mail

TEMPLATES = {
    Invoice.Kind.CREDITS: "mail/ledger/invoice.txt",
    Invoice.Kind.USAGE: "mail/ledger/invoice_usage.txt",
    Invoice.Kind.CREDIT_NOTE: "mail/ledger/invoice_credit_note.txt",
}
RECEIPT, VOID = "mail/ledger/invoice_receipt.txt", "mail/ledger/invoice_void.txt"


def queue_mail(*, invoice: Invoice, now: datetime) -> None:
    """Write the mail that brings an invoice which has just been numbered, in the caller's transaction."""
    _queue(TEMPLATES[Invoice.Kind(invoice.kind)], invoice, now)


def queue_receipt(*, invoice: Invoice, now: datetime) -> None:
    """Write the mail that says that an invoice of credits is paid in full, in the caller's transaction."""
    _queue(RECEIPT, invoice, now)


def queue_void(*, invoice: Invoice, now: datetime) -> None:
    """Write the mail that says that an invoice which was sent is void, in the caller's transaction."""
    _queue(VOID, invoice, now)


def attached(mail: Mail) -> list[Attachment]:
    """Return the paper of a mail's invoice. Raises PaperUnavailable. To be called outside of any transaction."""
    invoice = Invoice.objects.select_related("corrects").get(mails=mail.pk)
    paper = invoice_paper(invoice)
    return [Attachment(paper.filename, paper.body, CONTENT_TYPE)]


def _queue(template: str, invoice: Invoice, now: datetime) -> None:
    organization = invoice.organization
    context = {
        "invoice": invoice,
        "organization": organization,
        "corrected": invoice.corrects,
        "bank": str(invoice.seller.get("bank", "")).splitlines(),
        "ledger": f"{settings.PUBLIC_BASE_URL}/admin/ledger/{organization.pk}?mode={Mode.LIVE.value}",
        "page": f"{settings.PUBLIC_BASE_URL}/admin/invoices/{invoice.pk}",
        "papers": f"{settings.PUBLIC_BASE_URL}/admin/invoices/papers/{organization.pk}",
        "support": settings.SUPPORT_EMAIL,
    }
    subject, _, body = render_to_string(template, context).partition("\n")
    InvoiceMail.objects.create(
        invoice=invoice,
        recipients=finance_contacts(organization),
        subject=subject.strip(),
        body=body.strip() + "\n",
        created_at=now,
        due_at=now,
    )
    bell.ring("ledger.mail_invoices")
