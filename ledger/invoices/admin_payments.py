"""The pages on which finance records what came for an invoice, or went back, and takes a mistake back."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.models import Mode
from customers.pages import page, person_of
from ledger.invoices import invoice_pages as pages
from ledger.invoices.faults import InvalidMoney, MoreThanOpen, ReferenceUsed
from ledger.invoices.invoice_forms import PaymentForm, ReasonForm
from ledger.invoices.payments import record_payment, reverse_payment
from ledger.models import Invoice, Payment, Wallet
from ledger.services import InvalidText, LedgerError
from sora2.pages import Page, render

# The field of the form that a refusal is about.
FIELDS: dict[type[LedgerError], str] = {
    InvalidMoney: "amount_cents",
    MoreThanOpen: "amount_cents",
    ReferenceUsed: "reference",
    InvalidText: "reference",
}


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PAYMENTS_RECORD)
def invoice_payment(request: HttpRequest, access: Access, invoice_id: str) -> HttpResponseBase:
    """Record a payment in two steps: say what came, look at what it does to the wallet, confirm."""
    invoice = pages.reached(access, invoice_id=invoice_id)
    asked = request.POST if request.method == "POST" else None
    form = PaymentForm(asked, invoice=invoice, today=timezone.now().date())
    if asked is None or asked.get("step") == "change":
        return _form_page(request, access, invoice, form)
    if not form.is_valid():
        return _form_page(request, access, invoice, form, status=422)
    act = _record if asked.get("step") == "confirm" else _preview
    return act(request, access, invoice, form)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PAYMENTS_RECORD)
def payment_reverse(request: HttpRequest, access: Access, invoice_id: str, payment_id: str) -> HttpResponseBase:
    """Ask why a payment is to be taken back; a POST does it."""
    rows = Payment.objects.within(access).select_related("invoice__organization")
    payment = get_object_or_404(rows, pk=payment_id, invoice=invoice_id)
    form = ReasonForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        status = 422 if request.method == "POST" else 200
        invoice = pages.reached(access, invoice_id=invoice_id)
        shown = {
            "payment": payment,
            "invoice": invoice,
            "form": form,
            "after": invoice.open_cents + payment.amount_cents,
        }
        return render(request, "admin/invoices/reverse.html", title="Reverse a payment", status=status, **shown)
    try:
        reverse_payment(payment=payment, reason=form.cleaned_data["reason"], by=person_of(request), now=timezone.now())
    except LedgerError as error:
        messages.error(request, f"Nothing was changed. {error}")
    else:
        messages.success(request, "Reversed: what it paid is open again.")
    return HttpResponseRedirect(reverse("admin:invoice", args=[invoice_id]))


PAGES = [
    Page("invoices/<id:invoice_id>/payment", invoice_payment, "invoice_payment"),
    Page("invoices/<id:invoice_id>/payments/<id:payment_id>/reverse", payment_reverse, "payment_reverse"),
]


def _form_page(
    request: HttpRequest, access: Access, invoice: Invoice, form: PaymentForm, *, status: int = 200, **shown: Any
) -> HttpResponseBase:
    return render(
        request,
        "admin/invoices/payment.html",
        status=status,
        title=f"Payment of {invoice}",
        invoice=invoice,
        form=form,
        why_not=pages.payment_refusal(access, invoice),
        **shown,
    )


def _preview(request: HttpRequest, access: Access, invoice: Invoice, form: PaymentForm) -> HttpResponseBase:
    """Show what the payment leaves open, and what the wallet gets if that is nothing."""
    left = invoice.open_cents - form.cleaned_data["amount_cents"]
    if left < 0:
        form.add_error("amount_cents", "It is more than is open.")
        return _form_page(request, access, invoice, form, status=422)
    wallet = Wallet.objects.filter(organization=invoice.organization_id, mode=Mode.LIVE).first()
    available = wallet.available if wallet else 0
    gets = invoice.credits if not left and invoice.kind == Invoice.Kind.CREDITS else 0
    effect = {"left": left, "gets": gets, "before": available, "after": available + gets}
    return _form_page(request, access, invoice, form, effect=effect, said=form.cleaned_data)


def _record(request: HttpRequest, access: Access, invoice: Invoice, form: PaymentForm) -> HttpResponseBase:
    given = {name: form.cleaned_data[name] for name in ("amount_cents", "received_on", "reference")}
    try:
        record_payment(invoice=invoice, by=person_of(request), now=timezone.now(), **given)
    except LedgerError as error:
        form.add_error(FIELDS.get(type(error)), str(error))
        return _form_page(request, access, invoice, form, status=422)
    invoice = pages.reached(access, invoice_id=invoice.pk)
    messages.success(request, _done(invoice))
    return HttpResponseRedirect(reverse("admin:invoice", args=[invoice.pk]))


def _done(invoice: Invoice) -> str:
    if invoice.state != Invoice.State.PAID:
        return "Recorded. The rest is still open."
    if invoice.kind == Invoice.Kind.CREDIT_NOTE:
        return "Recorded: all of it went back."
    return f"Recorded: {invoice.number} is paid, and the wallet has {invoice.credits:,} credits more."
