"""The pages of credit requests, for our own people: list, ask, look at one, approve or reject."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.pages import page, person_of, refuse_customers
from ledger import credit_pages as pages
from ledger.approvals import InvalidPaid, UnknownSubject, approve, complete, reject, request_credits
from ledger.credit_forms import CreditRequestForm
from ledger.models import OUTSIDE_KINDS, CreditRequest, Entry
from ledger.services import AlreadyPosted, InsufficientCredits, InvalidAmount, LedgerError
from sora2.ids import is_id
from sora2.pages import Page, chips, line_of, render, text_of

# The field of the form that a refusal is about.
FIELDS: dict[type[LedgerError], str] = {
    AlreadyPosted: "reference",
    UnknownSubject: "about",
    InvalidAmount: "amount",
    InvalidPaid: "paid",
}


@require_safe
@page(Permission.LEDGER_READ)
def request_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show who asked for credits, what waits for a decision first."""
    refuse_customers(request)
    wanted = pages.Wanted(
        mode=text_of(request, "mode") or Mode.LIVE.value,
        state=text_of(request, "state"),
        customer=text_of(request, "customer"),
        kind=text_of(request, "kind"),
    )
    return render(
        request,
        "admin/ledger/requests.html",
        title="Credit requests",
        found=pages.request_list(access, wanted=wanted, cursor=text_of(request, "after")),
        wanted=wanted,
        modes=Mode.values,
        states=CreditRequest.State.values,
        kinds=[kind.value for kind in OUTSIDE_KINDS],
        may_ask=access.may(Permission.CREDITS_REQUEST),
        chips=chips(request, {"state": "State", "customer": "Customer", "kind": "Kind"}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.CREDITS_REQUEST)
def request_new(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Ask for credits in two steps: say what, look at the effect in figures, confirm."""
    if request.method != "POST":
        given = {name: text_of(request, name) for name in CreditRequestForm.base_fields}
        return _form_page(request, CreditRequestForm(access=access, initial={k: v for k, v in given.items() if v}))
    form = CreditRequestForm(request.POST, access=access)
    step = request.POST.get("step", "")
    if not form.is_valid() or step == "change":
        return _form_page(request, form)
    return _ask(request, form) if step == "confirm" else _preview(request, form)


@require_safe
@page(Permission.LEDGER_READ)
def request_detail(request: HttpRequest, access: Access, request_id: str) -> HttpResponseBase:
    """Show a request: who asked and why, its effect in figures, and what became of it."""
    refuse_customers(request)
    found = pages.detail(access, request_id=request_id)
    return render(
        request,
        "admin/ledger/requests_one.html",
        title="Credit request",
        found=found,
        asked=found.request,
        wallet=found.request.wallet,
    )


@require_POST
@page(Permission.CREDITS_APPROVE)
def request_approve(request: HttpRequest, access: Access, request_id: str) -> HttpResponseBase:
    """Approve a request: its entry is posted."""
    asked = pages.reached(access, request_id=request_id)
    try:
        approve(request=asked, decided_by=person_of(request), note=line_of(request, "note"))
    except LedgerError as error:
        messages.error(request, _refusal(error, asked))
    else:
        messages.success(request, "Approved: the entry is posted.")
    return _to(asked)


@require_POST
@page(Permission.CREDITS_APPROVE)
def request_reject(request: HttpRequest, access: Access, request_id: str) -> HttpResponseBase:
    """Reject a request: nothing is posted, and its reference is free again."""
    asked = pages.reached(access, request_id=request_id)
    try:
        reject(request=asked, decided_by=person_of(request), note=line_of(request, "note"))
    except LedgerError as error:
        messages.error(request, _refusal(error, asked))
    else:
        messages.success(request, "Rejected: nothing was posted.")
    return _to(asked)


PAGES = [
    Page("ledger/requests/", request_list, "credit_requests"),
    Page("ledger/requests/new", request_new, "credit_request_new"),
    Page("ledger/requests/<id:request_id>", request_detail, "credit_request"),
    Page("ledger/requests/<id:request_id>/approve", request_approve, "credit_request_approve"),
    Page("ledger/requests/<id:request_id>/reject", request_reject, "credit_request_reject"),
]


def _to(asked: CreditRequest) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:credit_request", args=[asked.pk]))


def _form_page(request: HttpRequest, form: CreditRequestForm, **shown: Any) -> HttpResponseBase:
    return render(request, "admin/ledger/requests_new.html", title="Ask for credits", form=form, **shown)


def _preview(request: HttpRequest, form: CreditRequestForm) -> HttpResponseBase:
    """Show what would be asked for, or why it cannot be."""
    asked = form.cleaned_data
    draft = CreditRequest(
        wallet=form.wallet,
        kind=asked["kind"],
        amount=asked["amount"],
        reference=asked["reference"],
        about=asked["about"],
        reason=asked["reason"],
        evidence_url=asked["evidence_url"],
        paid_cents=asked["paid_cents"],
        currency=asked["currency"],
        basis=CreditRequest.Basis.TWO_PEOPLE,
    )
    try:
        complete(draft)
    except LedgerError as error:
        form.add_error(FIELDS.get(type(error)), str(error))
        return _form_page(request, form)
    effect = pages.effect(draft.wallet, kind=draft.kind, amount=draft.amount)
    return _form_page(request, form, draft=draft, effect=effect)


def _ask(request: HttpRequest, form: CreditRequestForm) -> HttpResponseBase:
    """Ask for what was shown. The preview gave it its id, so that a double click asks once."""
    asked, pk = form.cleaned_data, request.POST.get("pk", "")
    try:
        made = request_credits(
            wallet=form.wallet,
            kind=Entry.Kind(asked["kind"]),
            amount=asked["amount"],
            reason=asked["reason"],
            requested_by=person_of(request),
            evidence_url=asked["evidence_url"],
            reference=asked["reference"],
            about=asked["about"],
            paid_cents=asked["paid_cents"],
            currency=asked["currency"],
            pk=pk if is_id(pk, "crq") else "",
        )
    except LedgerError as error:
        form.add_error(FIELDS.get(type(error)), str(error))
        return _form_page(request, form)
    messages.success(request, "Asked. Nothing is posted until a second person approves it.")
    return _to(made)


def _refusal(error: LedgerError, asked: CreditRequest) -> str:
    """Say what was refused, and that it changed nothing."""
    if not isinstance(error, InsufficientCredits):
        return f"Nothing was changed. {error}"
    asked.wallet.refresh_from_db()
    return (
        f"Nothing was changed: {asked.amount:,} credits were to be taken out, and {asked.wallet.available:,} are "
        "available. The request stays open."
    )
