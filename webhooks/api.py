"""The log of webhook deliveries over HTTP."""

from rest_framework.request import Request
from rest_framework.response import Response

from customers.access import Permission
from customers.api import EnterpriseView
from sora2.api import not_found
from sora2.ids import is_id
from sora2.listing import choice_of, page_of, text_of
from sora2.operations import documented
from webhooks.models import Delivery, DeliveryQuerySet, EventType
from webhooks.representations import delivery_json
from webhooks.schemas import LIST_DELIVERIES, SHOW_DELIVERY


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
        deliveries = Delivery.objects.within(self.access).whole()
        delivery = deliveries.filter(pk=delivery_id).first() if is_id(delivery_id, "dlv") else None
        if delivery is None:
            raise not_found()
        return Response(delivery_json(delivery))


def _filtered(request: Request, deliveries: DeliveryQuerySet) -> DeliveryQuerySet:
    if batch_id := text_of(request, "batch_id"):
        deliveries = deliveries.about(batch_id)
    if state := choice_of(request, "state", Delivery.State.values):
        deliveries = deliveries.filter(state=state)
    if event := choice_of(request, "event", EventType.values):
        deliveries = deliveries.filter(event__type=event)
    match choice_of(request, "undelivered", ("true", "false")):
        case "true":
            deliveries = deliveries.exclude(state=Delivery.State.DELIVERED)
        case "false":
            deliveries = deliveries.filter(state=Delivery.State.DELIVERED)
    return deliveries
