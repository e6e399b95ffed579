"""The log of webhook deliveries over HTTP, and how one is sent again. Endpoints are in webhooks.endpoints_api."""

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

import webhooks.problems  # noqa: F401 - registers what refusals mean.
from customers.access import Permission
from customers.api import EnterpriseView
from sora2.api import not_found
from sora2.ids import is_id
from sora2.listing import choice_of, created_between, page_of, text_of
from sora2.operations import documented
from webhooks import replay
from webhooks.models import Delivery, DeliveryQuerySet, EventType
from webhooks.representations import delivery_answer, delivery_json
from webhooks.schemas import LIST_DELIVERIES, REDELIVER, SHOW_DELIVERY


class DeliveriesView(EnterpriseView):
    scope = Permission.WEBHOOKS_READ

    @documented(LIST_DELIVERIES)
    def get(self, request: Request) -> Response:
        """Answer a page of deliveries, newest first."""
        deliveries = _filtered(request, Delivery.objects.within(self.access).whole())
        page = page_of(request, deliveries, key="-id", represent=lambda rows: [delivery_json(row) for row in rows])
        return Response(page)


class DeliveryView(EnterpriseView):
    scope = Permission.WEBHOOKS_READ

    @documented(SHOW_DELIVERY)
    def get(self, _request: Request, delivery_id: str) -> Response:
        """Answer one delivery with its attempts."""
        return Response(delivery_answer(_delivery(self, delivery_id)))


class RedeliverView(EnterpriseView):
    scope = Permission.WEBHOOKS_WRITE

    @documented(REDELIVER)
    def post(self, _request: Request, delivery_id: str) -> Response:
        """Send the event again, unless it is being sent at this moment, and answer the delivery as it now is."""
        delivery = _delivery(self, delivery_id)
        replay.redeliver(delivery=delivery, actor=self.access.actor, now=timezone.now())
        return Response(delivery_answer(_delivery(self, delivery_id)), status=202)


def _delivery(view: EnterpriseView, delivery_id: str) -> Delivery:
    deliveries = Delivery.objects.within(view.access).whole()
    delivery = deliveries.filter(pk=delivery_id).first() if is_id(delivery_id, "dlv") else None
    if delivery is None:
        raise not_found()
    return delivery


def _filtered(request: Request, deliveries: DeliveryQuerySet) -> DeliveryQuerySet:
    if batch_id := text_of(request, "batch_id"):
        deliveries = deliveries.about(batch_id)
    if endpoint_id := text_of(request, "endpoint_id"):
        deliveries = deliveries.filter(endpoint_id=endpoint_id)
    if state := choice_of(request, "state", Delivery.State.values):
        deliveries = deliveries.filter(state=state)
    if event := choice_of(request, "event", EventType.values):
        deliveries = deliveries.of_type(event)
    match choice_of(request, "undelivered", ("true", "false")):
        case "true":
            deliveries = deliveries.exclude(state=Delivery.State.DELIVERED)
        case "false":
            deliveries = deliveries.filter(state=Delivery.State.DELIVERED)
    return created_between(request, deliveries, prefix="dlv")
