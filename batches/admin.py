"""The pages of batches, and home: each checks the permission, makes one call, and presents."""

from typing import Any

from django.contrib import admin, messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST, require_safe

from batches import (
    admin_acts,
    admin_items,
    admin_list,
    admin_month_end,
    admin_ordering,
    admin_retention,
    admin_sign_off,
    admin_why,
    head_pages,
    pages,
    proofs,
    reconciliation_pages,
    results,
)
from batches.finding import address_of
from batches.home import home as home_of
from batches.models import Attempt, Batch, Item, Proof
from batches.reconciliation import reconcile
from customers.access import Access, Permission
from customers.pages import ReadOnlyAdmin, access_of, is_staff, page, person_of, refuse_customers
from customers.services import audit
from ledger.reconciliation import UnderWay
from sora2.pages import Page, render, text_of

# --- home ----------------------------------------------------------------------------------------------------------


@require_safe
def home(request: HttpRequest) -> HttpResponseBase:
    """Show our staff finance's home; what somebody may not see is left out."""
    access = access_of(request)
    return render(
        request,
        "admin/home.html",
        title="Home",
        home=home_of(access, now=timezone.now()),
        access=access,
        may_check=_may_check(request),
    )


@require_POST
@page(Permission.LEDGER_READ)
def check(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Check every invariant over all data now; for staff only."""
    refuse_customers(request)
    try:
        run = reconcile(now=timezone.now())
    except UnderWay:
        messages.info(request, "A check is under way. What it finds will be here when it ends.")
        return HttpResponseRedirect(reverse("admin:index"))
    outcome = "done" if run.explained else "unexplained"
    audit(actor=access_of(request).actor, action="ledger.check", subject=str(run.pk), outcome=outcome)
    if run.explained:
        messages.success(request, "Checked just now: every credit is explained.")
    else:
        messages.error(request, "Checked just now: credits are unexplained. Each is listed below.")
    return HttpResponseRedirect(reverse("admin:index"))


@require_safe
def find(request: HttpRequest) -> HttpResponseBase:
    """Go to the page of an id, or of a request id."""
    text = text_of(request, "q")
    return HttpResponseRedirect(address_of(access_of(request), text) if text else reverse("admin:index"))


@require_safe
@page(Permission.LEDGER_READ)
def checks(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Show the checks over everything, all or those that found something; to staff only."""
    refuse_customers(request)
    unexplained = bool(text_of(request, "unexplained"))
    runs = reconciliation_pages.checks(unexplained=unexplained, cursor=text_of(request, "after"))
    return render(
        request,
        "admin/reconciliations.html",
        title="Checks",
        rows=runs,
        lines=reconciliation_pages.lines(runs.rows),
        unexplained=unexplained,
    )


@require_safe
@page(Permission.LEDGER_READ)
def check_detail(request: HttpRequest, access: Access, run_id: int) -> HttpResponseBase:
    """Show one check in full; to staff only."""
    refuse_customers(request)
    return render(
        request, "admin/reconciliation.html", title="Check", check=reconciliation_pages.check(access, run_id=run_id)
    )


def _may_check(request: HttpRequest) -> bool:
    return is_staff(request) and access_of(request).may(Permission.LEDGER_READ)


# --- the tabs ------------------------------------------------------------------------------------------------------


@require_safe
@page(Permission.BATCHES_READ)
def batch_tasks(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:
    """Show a batch's items."""
    head = head_pages.head(access, batch_id=batch_id)
    choice = pages.Choice(
        **{name: text_of(request, name) for name in ("show", "failure", "custom_id", "model", "seconds")}
    )
    items = pages.tasks(head.batch, choice=choice, cursor=text_of(request, "after"))
    api_status = choice.status_of(head.batch)
    return _tab(request, access, head, "tasks", items=items, choice=choice, api_status=api_status)


@require_safe
@page(Permission.LEDGER_READ)
def batch_billing(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:
    """Show what a batch cost, entry by entry, and its proof."""
    head = head_pages.head(access, batch_id=batch_id)
    found = pages.billing(access, person_of(request), head.batch, head.entries or [])
    return _tab(request, access, head, "billing", billing=found)


@require_safe
@page(Permission.WEBHOOKS_READ)
def batch_webhooks(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:
    """Show what was told about a batch, and every attempt to deliver it."""
    head = head_pages.head(access, batch_id=batch_id)
    return _tab(
        request,
        access,
        head,
        "webhooks",
        told=pages.told(access, head.batch, now=timezone.now()),
        may_act=access.may(Permission.WEBHOOKS_WRITE),
    )


def _tab(request: HttpRequest, access: Access, head: head_pages.Head, tab: str, **context: Any) -> HttpResponseBase:
    return render(
        request,
        f"admin/batches/{tab}.html",
        title=f"Batch {head.batch.request_id}",
        head=head,
        batch=head.batch,
        tab=tab,
        money=access.may(Permission.LEDGER_READ),
        telling=access.may(Permission.WEBHOOKS_READ),
        inside=is_staff(request),
        **context,
    )


# --- files -----------------------------------------------------------------------------------------------------


@require_safe
@page(Permission.LEDGER_READ)
def batch_proof(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Hand out the exact text of a batch's proof."""
    batch = head_pages.reached(access, batch_id=batch_id)
    proof = Proof.objects.filter(batch=batch).first()
    if proof is None:
        raise Http404
    return _download(HttpResponse(proof.body, content_type="application/json"), f"{batch_id}.proof.json")


@require_safe
@page(Permission.LEDGER_READ)
def batch_items(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Hand out the items that a proof's hash is of."""
    batch = head_pages.reached(access, batch_id=batch_id)
    if not batch.is_final:
        raise Http404
    lines = StreamingHttpResponse(proofs.items_jsonl(batch), content_type="application/jsonl")
    return _download(lines, f"{batch_id}.items.jsonl")


@require_GET
@page(Permission.BATCHES_READ)
def batch_results(request: HttpRequest, access: Access, batch_id: str) -> HttpResponseBase:  # noqa: ARG001 - a view's.
    """Hand out every item of a batch as it now is, one a line; its credits to who may see those."""
    batch = head_pages.reached(access, batch_id=batch_id)
    audit(
        actor=access.actor,
        action="batch.results",
        organization_id=batch.organization_id,
        mode=batch.mode,
        subject=batch.pk,
    )
    lines = StreamingHttpResponse(
        results.blocks(batch, money=access.may(Permission.LEDGER_READ)), content_type="application/jsonl"
    )
    return _download(lines, f"{batch_id}.results.jsonl")


def _download(response: HttpResponseBase, filename: str) -> HttpResponseBase:
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    return response


PAGES = [
    Page("check", check, "check"),
    Page("reconciliations/", checks, "checks"),
    Page("reconciliations/<int:run_id>", check_detail, "check_detail"),
    Page("find", find, "find"),
    *admin_list.PAGES,
    *admin_ordering.PAGES,
    *admin_acts.PAGES,
    Page("batches/<id:batch_id>", batch_tasks, "batch"),
    Page("batches/<id:batch_id>/billing", batch_billing, "batch_billing"),
    Page("batches/<id:batch_id>/webhooks", batch_webhooks, "batch_webhooks"),
    Page("batches/<id:batch_id>/results.jsonl", batch_results, "batch_results"),
    Page("batches/<id:batch_id>/proof", batch_proof, "batch_proof"),
    Page("batches/<id:batch_id>/proof/items.jsonl", batch_items, "batch_items"),
    *admin_items.PAGES,
    *admin_retention.PAGES,
    *admin_sign_off.PAGES,
    *admin_month_end.PAGES,
    *admin_why.PAGES,
]


# --- Django's own pages --------------------------------------------------------------------------------------------


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    fields = [
        "id", "organization", "mode", "request_id", "state", "total", "succeeded", "failed", "created_via",
        "created_by", "created_at", "started_at", "canceled_at", "deadline", "finished_at", "metadata", "webhook_url",
    ]  # fmt: skip
    list_display = ["id", "organization", "mode", "request_id", "state", "total", "created_at"]
    list_filter = ["state", "mode"]
    list_select_related = ["organization"]
    search_fields = ["id", "request_id", "organization__id", "organization__name"]
    ordering = ["-id"]


@admin.register(Item)
class ItemAdmin(ReadOnlyAdmin):
    fields = [
        "id", "batch", "index", "custom_id", "prompt", "model", "seconds", "size", "metadata", "route", "status",
        "stage", "due_at", "attempts_made", "failure_type", "created_at", "started_at", "deadline_at", "finished_at",
        "refunded_at",
    ]  # fmt: skip
    list_display = ["id", "batch", "index", "status", "stage", "route", "model", "due_at"]
    list_filter = ["status", "stage", "route", "model", "failure_type"]
    list_select_related = ["batch"]
    search_fields = ["id", "batch__id", "custom_id"]
    ordering = ["-id"]


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    fields = [
        "id", "item", "number", "route", "provider_job_id", "state", "submitted_at", "accepted_at", "ready_at",
        "ended_at", "failure_type", "detail",
    ]  # fmt: skip
    list_display = ["id", "item", "number", "route", "provider_job_id", "state", "submitted_at", "ended_at"]
    list_filter = ["state", "route", "failure_type"]
    list_select_related = ["item"]
    search_fields = ["id", "item__id", "provider_job_id"]
    ordering = ["-id"]
