"""Batches and their items over HTTP."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from batches import intake, operations, proofs, results, retrying, services, stopping
from batches.catalogue import catalogue
from batches.content_api import content, video_of
from batches.failures import FailureType
from batches.models import STATUS_OF_STATE, Batch, BatchQuerySet, Item, State, Status
from batches.problems import not_final
from batches.representations import (
    batch_answer,
    batch_ledger_json,
    batch_url,
    batches_json,
    created_answer,
    item_json,
    life_cycle_headers,
    link_json,
    model_json,
    quote_json,
)
from batches.timeline import timeline_of
from batches.timeline_schemas import SHOW_TIMELINE, timeline_json
from customers.access import Permission
from customers.api import EnterpriseView
from customers.models import Mode
from customers.services import audit
from ledger.models import Entry
from sora2.api import JSON_TYPE, Problem, not_found, problem_of
from sora2.ids import is_id
from sora2.listing import choice_of, created_between, page_of, text_of
from sora2.operations import documented

JSON_LINES_TYPE = "application/jsonl"
# When to ask again for a batch that has not ended.
POLL_SECONDS = 2


class BatchesView(EnterpriseView):
    def scope_of(self, method: str) -> Permission:
        """Return the scope: creating writes, listing reads."""
        return Permission.BATCHES_WRITE if method == "POST" else Permission.BATCHES_READ

    @documented(operations.LIST_BATCHES)
    def get(self, request: Request) -> Response:
        """Answer a page of batches, newest first."""
        batches = _filtered(request, Batch.objects.within(self.access))
        return Response(page_of(request, batches, key="-id", represent=batches_json))

    @documented(operations.CREATE_BATCH)
    def post(self, request: Request) -> Response:
        """Create a batch, or answer the one that the same request made before."""
        request_id = ""
        try:
            body = self.body()
            request_id = intake.request_id_of(body, _id_headers(request))
            return _create(self, request_id, body)
        except services.Refused:
            raise  # The service has written it down.
        except Exception as error:
            _audit_refusal(self, request_id, problem_of(error))
            raise


class QuoteView(EnterpriseView):
    scope = Permission.BATCHES_WRITE

    @documented(operations.QUOTE_BATCH)
    def post(self, _request: Request) -> Response:
        """Answer what a batch would cost."""
        order = _order(self, self.body(), timezone.now())
        quote = services.quote(customer=_customer(self), order=order)
        return Response(quote_json(quote), headers=life_cycle_headers(order.models))


class BatchView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(operations.SHOW_BATCH)
    def get(self, _request: Request, batch_id: str) -> Response:
        """Answer the batch as it now is."""
        batch = _batch(self, batch_id)
        return Response(batch_answer(batch), headers=_polling(batch))


class CancelView(EnterpriseView):
    scope = Permission.BATCHES_WRITE

    @documented(operations.CANCEL_BATCH)
    def post(self, _request: Request, batch_id: str) -> Response:
        """Cancel what was not submitted yet, and answer the batch."""
        batch = _batch(self, batch_id)
        stopping.cancel(batch=batch, actor=self.key.pk, now=timezone.now())
        batch.refresh_from_db()
        return Response(batch_answer(batch))


class RetryView(EnterpriseView):
    scope = Permission.BATCHES_WRITE

    @documented(operations.RETRY_BATCH)
    def post(self, request: Request, batch_id: str) -> Response:
        """Order the refunded items that may succeed anew, or answer the batch that the same request made before."""
        batch = _batch(self, batch_id)
        request_id = ""
        try:
            body = self.body()
            request_id = intake.request_id_of(body, _id_headers(request))
            return _retry(self, batch, request_id, body)
        except services.Refused:
            raise  # The service has written it down.
        except Exception as error:
            _audit_refusal(self, request_id, problem_of(error))
            raise


class ItemsView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(operations.LIST_ITEMS)
    def get(self, request: Request, batch_id: str) -> Response:
        """Answer a page of the batch's items, by index."""
        items = Item.objects.within(self.access).filter(batch=_batch(self, batch_id)).select_related("output")
        if status := choice_of(request, "status", Status.values):
            items = items.filter(status=status)
        if failure_type := choice_of(request, "failure_type", list(FailureType)):
            items = items.filter(failure_type=failure_type)
        if custom_id := text_of(request, "custom_id"):
            items = items.filter(custom_id=custom_id)
        return Response(page_of(request, items, key="index", represent=lambda rows: [item_json(row) for row in rows]))


class ItemView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(operations.SHOW_ITEM)
    def get(self, _request: Request, batch_id: str, item_id: str) -> Response:
        """Answer one item."""
        return Response(item_json(_item(self, batch_id, item_id)))


class ContentView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(operations.ITEM_CONTENT)
    def get(self, request: Request, batch_id: str, item_id: str) -> HttpResponseBase:
        """Answer the video's bytes, or a range of them; or an address that gives them without the key."""
        item = _item(self, batch_id, item_id)
        output = video_of(item)
        if choice_of(request, "url", ["1"]):
            return Response(link_json(item, output, now=timezone.now()))
        return content(output, request)


class ResultsView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(operations.RESULTS)
    def get(self, _request: Request, batch_id: str) -> HttpResponseBase:
        """Stream every item, one a line."""
        batch = _batch(self, batch_id)
        return StreamingHttpResponse(results.blocks(batch), content_type=JSON_LINES_TYPE, headers=_polling(batch))


class TimelineView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(SHOW_TIMELINE)
    def get(self, _request: Request, batch_id: str) -> Response:
        """Answer what happened to the batch, in order."""
        batch = _batch(self, batch_id)
        return Response(timeline_json(timeline_of(batch)), headers=_polling(batch))


class BatchLedgerView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(operations.BATCH_LEDGER)
    def get(self, _request: Request, batch_id: str) -> Response:
        """Answer the batch's entries and their totals."""
        batch = _batch(self, batch_id)
        return Response(batch_ledger_json(batch, list(Entry.objects.within(self.access).about(batch.pk))))


class ProofView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(operations.SHOW_PROOF)
    def get(self, _request: Request, batch_id: str) -> HttpResponse:
        """Answer the exact bytes of the proof."""
        return HttpResponse(_final_batch(self, batch_id).proof.body, content_type=JSON_TYPE)


class ProofItemsView(EnterpriseView):
    scope = Permission.LEDGER_READ

    @documented(operations.PROOF_ITEMS)
    def get(self, _request: Request, batch_id: str) -> HttpResponseBase:
        """Stream the exact bytes whose hash the proof carries."""
        batch = _final_batch(self, batch_id)
        return StreamingHttpResponse(proofs.items_jsonl(batch), content_type=JSON_LINES_TYPE)


class ModelsView(EnterpriseView):
    scope = Permission.BATCHES_READ

    @documented(operations.LIST_MODELS)
    def get(self, _request: Request) -> Response:
        """Answer the catalogue."""
        offer = catalogue(now=timezone.now())
        models = [model_json(model, offer.price_version) for model in offer.models.values()]
        return Response({"ok": True, "data": models, "next_cursor": None})


# --- creating ------------------------------------------------------------------------------------------------------


def _customer(view: EnterpriseView) -> services.Customer:
    return services.Customer(organization=view.key.organization, mode=Mode(view.key.mode), actor=view.key.pk)


def _id_headers(request: Request) -> dict[str, str]:
    """Return the headers that may carry the request id: as UTF-8, like the body, where they are that."""
    return {name: _as_utf8(request.headers.get(name, "")) for name in ("X-Request-Id", "Idempotency-Key")}


def _as_utf8(header: str) -> str:
    """Undo that WSGI takes every header for Latin-1."""
    try:
        return header.encode("latin-1").decode()
    except UnicodeError:
        return header


def _create(view: EnterpriseView, request_id: str, body: Mapping[str, Any]) -> Response:
    sha256, customer, now = intake.body_sha256(body), _customer(view), timezone.now()
    batch = services.replay(customer=customer, request_id=request_id, body_sha256=sha256)
    if batch is not None:
        return _replayed(batch)
    order = _order(view, body, now)
    batch, made = services.submit(customer=customer, request_id=request_id, body_sha256=sha256, order=order, now=now)
    return _created(batch, life_cycle_headers(order.models)) if made else _replayed(batch)


def _order(view: EnterpriseView, body: Mapping[str, Any], now: datetime) -> intake.BatchOrder:
    limit = view.key.organization.max_items_per_batch
    return intake.read_order(body, max_items=limit, catalogue=catalogue(now=now), now=now)


def _retry(view: EnterpriseView, batch: Batch, request_id: str, body: Mapping[str, Any]) -> Response:
    sha256, customer, now = intake.retry_sha256(body, batch_id=batch.pk), _customer(view), timezone.now()
    replay = services.replay(customer=customer, request_id=request_id, body_sha256=sha256)
    if replay is not None:
        return _replayed(replay)
    offer = catalogue(now=now)
    again, made = retrying.retry(
        customer=customer,
        batch=batch,
        request_id=request_id,
        body_sha256=sha256,
        max_credits=intake.read_retry(body, catalogue=offer),
        catalogue=offer,
        now=now,
    )
    return _created(again) if made else _replayed(again)


def _audit_refusal(view: EnterpriseView, request_id: str, problem: Problem) -> None:
    """Write down that an order was refused. What failed on our side is in the logs."""
    if problem.status >= 500:
        return
    audit(
        actor=view.key.pk,
        action="batch.submit",
        organization_id=view.key.organization_id,
        mode=view.key.mode,
        subject=request_id,
        outcome=problem.code,
    )


def _created(batch: Batch, headers: Mapping[str, str] | None = None) -> Response:
    return Response(created_answer(batch), status=201, headers={"Location": batch_url(batch.pk), **(headers or {})})


def _replayed(batch: Batch) -> Response:
    return Response(batch_answer(batch), headers={"Idempotent-Replayed": "true"})


def _polling(batch: Batch) -> dict[str, str]:
    """Return the header that says when to ask again for a batch that has not ended."""
    return {} if batch.is_final else {"Retry-After": str(POLL_SECONDS)}


# --- finding -------------------------------------------------------------------------------------------------------


def _filtered(request: Request, batches: BatchQuerySet) -> BatchQuerySet:
    if state := choice_of(request, "state", State.values):
        batches = batches.filter(state=state)
    if status := choice_of(request, "status", list(STATUS_OF_STATE.values())):
        batches = batches.filter(state__in=[s for s, said in STATUS_OF_STATE.items() if said == status])
    if request_id := text_of(request, "request_id"):
        batches = batches.filter(request_id=request_id)
    return created_between(request, batches, prefix="bat")


def _batch(view: EnterpriseView, batch_id: str) -> Batch:
    batches = Batch.objects.within(view.access)
    batch = batches.filter(pk=batch_id).first() if is_id(batch_id, "bat") else None
    if batch is None:
        raise not_found()
    return batch


def _final_batch(view: EnterpriseView, batch_id: str) -> Batch:
    batch = _batch(view, batch_id)
    if not batch.is_final:
        raise not_final()
    return batch


def _item(view: EnterpriseView, batch_id: str, item_id: str) -> Item:
    if not (is_id(batch_id, "bat") and is_id(item_id, "itm")):
        raise not_found()
    items = Item.objects.within(view.access).select_related("output")
    item = items.filter(pk=item_id, batch_id=batch_id).first()
    if item is None:
        raise not_found()
    return item
