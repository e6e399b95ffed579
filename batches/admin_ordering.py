"""The page on which people order a batch: say what, see the price, confirm it. Nothing is stored before that."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from batches import ordering_faults as faults
from batches import services
from batches.catalogue import Catalogue, NothingOnOffer, catalogue
from batches.intake import BatchTooLarge, ModelRetired
from batches.models import Batch
from batches.ordering import CODES, Draft, NotAsShown, made_before, place
from batches.ordering_files import to_csv, to_jsonl
from batches.ordering_forms import OrderForm, new_request_id
from batches.ordering_pages import SAMPLE_ITEMS, body_of, command_of, filename_of, price_of
from customers.access import Access, Permission
from customers.models import Mode
from customers.modes import mode_of
from customers.pages import own_organizations, page
from sora2.faults import Invalid
from sora2.pages import Page, file_answer, render, text_of


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.BATCHES_WRITE)
def new_batch(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Order a batch in three steps on one page."""
    now = timezone.now()
    try:
        offer = catalogue(now=now)
    except NothingOnOffer:
        return render(request, "admin/batches/new.html", title="New batch")
    form = _form(request, access, offer)
    if request.method != "POST":
        return _shown(request, form)
    if not form.is_valid() or form.sheet.faults:
        return _shown(request, form, faults=faults.of_rows(form, now))
    draft = _draft(form, access)
    step = request.POST.get("step", "")
    if step == "body":
        return file_answer(body_of(draft), content_type="application/json", filename=filename_of(draft))
    return _confirm(request, form, draft) if step == "confirm" else _priced(request, form, draft)


@require_safe
@page(Permission.BATCHES_WRITE)
def sample_csv(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Hand out a table to fill in; the mark at its start tells Excel that it is UTF-8."""
    body = to_csv(SAMPLE_ITEMS).encode("utf-8-sig")
    return file_answer(body, content_type="text/csv; charset=utf-8", filename="sample.csv")


@require_safe
@page(Permission.BATCHES_WRITE)
def sample_jsonl(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Hand out the same as JSON lines."""
    return file_answer(to_jsonl(SAMPLE_ITEMS).encode(), content_type="application/jsonl", filename="sample.jsonl")


PAGES = [
    Page("batches/new", new_batch, "batch_new"),
    Page("batches/new/sample.csv", sample_csv, "batch_sample_csv"),
    Page("batches/new/sample.jsonl", sample_jsonl, "batch_sample_jsonl"),
]


# --- the steps -----------------------------------------------------------------------------------------------------


def _form(request: HttpRequest, access: Access, offer: Catalogue) -> OrderForm:
    """Return the form as it was sent, or as it is proposed: a customer's in the mode of their switch, ours in test."""
    fresh_id = new_request_id(timezone.now())
    known: dict[str, Any] = {"access": access, "own": own_organizations(request), "catalogue": offer}
    if request.method != "POST":
        mode = Mode.TEST.value if access.organization_ids is None else mode_of(request)
        return OrderForm(
            initial={"request_id": fresh_id, "mode": mode, "customer": text_of(request, "customer")}, **known
        )
    sent = request.POST.dict()
    if sent.get("step") == "new_id":
        sent["request_id"] = fresh_id
    return OrderForm(sent, request.FILES, **known)


def _draft(form: OrderForm, access: Access) -> Draft:
    said = form.cleaned_data
    customer = services.Customer(
        organization=form.organization,
        mode=Mode(said["mode"]),
        actor=access.actor,
        via=services.DASHBOARD,
        reason=said.get("reason", ""),
    )
    return Draft(customer=customer, request_id=said["request_id"], body=form.body)


def _priced(
    request: HttpRequest, form: OrderForm, draft: Draft, *, changed: NotAsShown | None = None
) -> HttpResponseBase:
    """Show the price, or everything that is wrong."""
    try:
        order = draft.read(catalogue=form.catalogue, now=timezone.now())
    except (Invalid, BatchTooLarge, ModelRetired) as error:
        return _shown(request, form, faults=faults.of_order(form, error))
    if order.max_credits is not None and order.credits > order.max_credits:
        form.add_error("max_credits", faults.dearer(order.credits, order.max_credits))
    made = made_before(draft)
    if made is not None:
        form.add_error("request_id", "This request id has made a batch already.")
    if form.errors:
        return _shown(request, form, made=made)
    return _shown(
        request,
        form,
        price=price_of(draft, order, money=form.access.may(Permission.LEDGER_READ)),
        command=command_of(draft),
        changed=changed,
        organization=form.organization,
        mode=draft.customer.mode.value,
    )


def _confirm(request: HttpRequest, form: OrderForm, draft: Draft) -> HttpResponseBase:
    """Accept what was shown, and go to its page."""
    shown = request.POST.get("shown", "")
    try:
        batch, is_new = place(draft=draft, shown=shown, catalogue=form.catalogue, now=timezone.now())
    except NotAsShown as changed:
        return _priced(request, form, draft, changed=changed)
    except tuple(CODES):
        return _priced(request, form, draft)
    except services.Refused as refusal:
        faults.add_refusal(form, refusal, money=form.access.may(Permission.LEDGER_READ))
        return _shown(request, form, made=made_before(draft))
    if is_new:
        messages.success(request, f"Accepted: {batch.credits:,} credits are held.")
    else:
        messages.info(request, "This order was accepted before, and this is its batch. Nothing was frozen again.")
    return HttpResponseRedirect(reverse("admin:batch", args=[batch.pk]))


def _shown(request: HttpRequest, form: OrderForm, *, made: Batch | None = None, **context: Any) -> HttpResponseBase:
    return render(request, "admin/batches/new.html", title="New batch", form=form, made=made, **context)
