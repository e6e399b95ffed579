"""The pages on which a credit note is drafted on an invoice, and sent by a second person."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.contacts import finance_contacts
from customers.models import Mode
from customers.pages import page, person_of
from ledger.invoices import invoice_pages as pages
from ledger.invoices.credit_notes import creditable, draft_credit_note, effect_seen, send_credit_note
from ledger.invoices.faults import InvalidLines, InvalidMoney, MoreThanOpen
from ledger.invoices.invoice_forms import CreditNoteForm
from ledger.models import Invoice, Wallet
from ledger.services import InvalidText, LedgerError
from sora2.pages import Page, render
from sora2.seen import ChangedMeanwhile

# The field of the form that a refusal is about.
FIELDS: dict[type[LedgerError], str] = {
    InvalidMoney: "amount_cents",
    MoreThanOpen: "amount_cents",
    InvalidLines: "credits",
    InvalidText: "reason",
}


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.INVOICES_WRITE)
def credit_note_new(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Draft a credit note: nothing changes until a second person has sent it."""
    invoice = pages.reached(access, invoice_id=invoice_id)
    form = CreditNoteForm(request.POST if request.method == "POST" else None, invoice=invoice)
    if request.method != "POST":
        return _form_page(request, invoice, form)
    if not form.is_valid():
        return _form_page(request, invoice, form, status=422)
    given = {name: form.cleaned_data[name] for name in ("pk", "amount_cents", "reason")}
    credits = form.cleaned_data.get("credits") or 0
    try:
        note = draft_credit_note(invoice=invoice, credits=credits, by=person_of(request), now=timezone.now(), **given)
    except LedgerError as error:
        field = FIELDS.get(type(error))
        form.add_error(field if field in form.fields else None, str(error))
        return _form_page(request, invoice, form, status=422)
    messages.success(request, "Drafted. Nothing changes until a second person, of finance, sends it.")
    return HttpResponseRedirect(reverse("admin:invoice", args=[note.pk]))


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PAYMENTS_RECORD)
def credit_note_send(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Show what sending a credit note does; a POST sends it."""
    note = pages.reached(access, invoice_id=invoice_id)
    if note.corrects is None:
        raise Http404
    if request.method != "POST":
        return _send_page(request, access, note)
    seen = request.POST.get("seen", "")
    try:
        sent = send_credit_note(note=note, by=person_of(request), now=timezone.now(), seen=seen)
    except ChangedMeanwhile:
        return _send_page(request, access, note, status=409)
    except LedgerError as error:
        messages.error(request, f"Nothing was sent. {error}")
    else:
        messages.success(request, f"Sent as {sent.number}.")
    return HttpResponseRedirect(reverse("admin:invoice", args=[note.pk]))


PAGES = [
    Page("invoices/<id:invoice_id>/credit-note", credit_note_new, "credit_note_new"),
    Page("invoices/<id:invoice_id>/send-credit-note", credit_note_send, "credit_note_send"),
]


def _send_page(request: HttpRequest, access: Access, note: Invoice, status: int = 200) -> HttpResponseBase:
    corrected = pages.reached(access, invoice_id=note.corrects_id or "")
    return render(
        request,
        "admin/invoices/send_note.html",
        status=status,
        title="Send a credit note?",
        invoice=note,
        corrected=corrected,
        seen=effect_seen(corrected),
        meanwhile=status == 409,
        mailed=finance_contacts(note.organization),
        wallet=Wallet.objects.filter(organization=note.organization_id, mode=Mode.LIVE).first(),
        why_not=pages.note_refusal(access, note),
    )


def _form_page(request: HttpRequest, invoice: Invoice, form: CreditNoteForm, **shown: Any) -> HttpResponseBase:
    most = creditable(invoice)
    title = f"Credit note on {invoice}"
    return render(
        request, "admin/invoices/credit_note.html", title=title, invoice=invoice, form=form, most=most, **shown
    )
