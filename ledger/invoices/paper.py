"""The paper of an invoice: set once after it was sent, and kept, so that nothing changes what a customer has filed."""

import hashlib

from ledger.invoices.models import Invoice, InvoicePaper
from ledger.papers.invoice import set_invoice
from ledger.papers.setting import Paper

KEPT = (Invoice.State.SENT, Invoice.State.PAID)


def invoice_paper(invoice: Invoice) -> Paper:
    """Return an invoice as PDF. Raises PaperUnavailable. To be called outside of any transaction.

    What was sent has the same bytes ever after. A draft, and what is void, is set each time, and marked.
    """
    body = _kept(invoice) if invoice.state in KEPT else set_invoice(invoice)
    return Paper(body, f"{invoice.number or f'draft-{invoice.pk}'}.pdf")


def _kept(invoice: Invoice) -> bytes:
    papers = InvoicePaper.objects.filter(invoice=invoice)
    if not papers.exists():
        body = set_invoice(invoice)
        made = InvoicePaper(invoice=invoice, body=body, sha256=hashlib.sha256(body).hexdigest())
        # Where somebody else was first, theirs is kept: it may have been sent already.
        InvoicePaper.objects.bulk_create([made], ignore_conflicts=True)
    return bytes(papers.get().body)
