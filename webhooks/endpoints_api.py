"""Webhook endpoints over HTTP: make, change and delete them, rotate their secrets, send tests, send again."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

import webhooks.problems  # noqa: F401 - registers what refusals mean.
from customers.access import Permission
from customers.api import EnterpriseView
from sora2.api import not_found
from sora2.ids import is_id
from sora2.listing import choice_of, page_of
from sora2.operations import documented
from sora2.times import timestamp
from webhooks import endpoints, endpoints_schemas, intake, replay
from webhooks.models import Endpoint
from webhooks.representations import (
    delivery_answer,
    delivery_url,
    endpoint_answer,
    endpoint_url,
    endpoints_json,
)


class _ReadOrWrite(EnterpriseView):
    def scope_of(self, method: str) -> Permission:
        """Return the scope: looking reads, everything else writes."""
        return Permission.WEBHOOKS_READ if method in ("GET", "HEAD") else Permission.WEBHOOKS_WRITE


class EndpointsView(_ReadOrWrite):
    @documented(endpoints_schemas.LIST_ENDPOINTS)
    def get(self, request: Request) -> Response:
        """Answer a page of endpoints with their health, newest first."""
        found = Endpoint.objects.within(self.access).present()
        if enabled := choice_of(request, "enabled", ("true", "false")):
            found = found.filter(enabled=enabled == "true")
        return Response(page_of(request, found, key="-id", represent=_with_health))

    @documented(endpoints_schemas.CREATE_ENDPOINT)
    def post(self, _request: Request) -> Response:
        """Create an endpoint, and answer it with its secret, this once."""
        fields = intake.read_endpoint(self.body())
        owner: dict[str, Any] = {"organization": self.key.organization, "mode": self.key.mode}
        endpoint, secret = endpoints.create_endpoint(**owner, **fields, actor=self.access.actor)
        answer = endpoint_answer(endpoint, now=timezone.now(), secret=secret)
        return Response(answer, status=201, headers={"Location": endpoint_url(endpoint)})


class EndpointView(_ReadOrWrite):
    @documented(endpoints_schemas.SHOW_ENDPOINT)
    def get(self, _request: Request, endpoint_id: str) -> Response:
        """Answer one endpoint with its health."""
        return Response(endpoint_answer(_endpoint(self, endpoint_id), now=timezone.now()))

    @documented(endpoints_schemas.CHANGE_ENDPOINT)
    def patch(self, _request: Request, endpoint_id: str) -> Response:
        """Change what the body names, and answer the endpoint as it now is."""
        endpoint = _endpoint(self, endpoint_id)
        changes = intake.read_changes(self.body())
        changed = endpoints.change_endpoint(endpoint=endpoint, actor=self.access.actor, **changes)
        return Response(endpoint_answer(changed, now=timezone.now()))

    @documented(endpoints_schemas.DELETE_ENDPOINT)
    def delete(self, _request: Request, endpoint_id: str) -> Response:
        """Delete the endpoint; its deliveries stay on record."""
        endpoint = _endpoint(self, endpoint_id)
        endpoints.delete_endpoint(endpoint=endpoint, actor=self.access.actor, now=timezone.now())
        return Response({"ok": True, "id": endpoint.pk, "deleted": True})


class TestView(EnterpriseView):
    scope = Permission.WEBHOOKS_WRITE

    @documented(endpoints_schemas.TEST_ENDPOINT)
    def post(self, _request: Request, endpoint_id: str) -> Response:
        """Send a test, and answer its delivery: as it ended, or as it is after some seconds."""
        endpoint = _endpoint(self, endpoint_id)
        sent = endpoints.send_test(endpoint=endpoint, actor=self.access.actor, now=timezone.now())
        delivery = endpoints.end_of_test(sent)
        if delivery.due_at is None:
            return Response(delivery_answer(delivery))
        return Response(delivery_answer(delivery), status=202, headers={"Location": delivery_url(delivery)})


class RotateSecretView(EnterpriseView):
    scope = Permission.WEBHOOKS_WRITE

    @documented(endpoints_schemas.ROTATE_SECRET)
    def post(self, _request: Request, endpoint_id: str) -> Response:
        """Give the endpoint a new secret, and answer it, this once."""
        endpoint, now = _endpoint(self, endpoint_id), timezone.now()
        hours = intake.read_overlap_hours(self.optional_body())
        actor = self.access.actor
        secret = endpoints.rotate_secret(endpoint=endpoint, overlap_hours=hours, actor=actor, now=now)
        endpoint.refresh_from_db()
        until = timestamp(endpoint.rotates_until(now))
        return Response({"ok": True, "id": endpoint.pk, "secret": secret, "secret_rotating_until": until})


class ReplayView(EnterpriseView):
    scope = Permission.WEBHOOKS_WRITE

    @documented(endpoints_schemas.REPLAY)
    def post(self, _request: Request, endpoint_id: str) -> Response:
        """Send a range of deliveries again, or only count it."""
        endpoint = _endpoint(self, endpoint_id)
        order = intake.read_replay(self.body(), endpoint=endpoint)
        if order.dry_run:
            return Response({"ok": True, "dry_run": True, "count": order.wanted.deliveries().count()})
        count = replay.replay(wanted=order.wanted, actor=self.access.actor, now=timezone.now())
        return Response({"ok": True, "dry_run": False, "count": count}, status=202)


def _endpoint(view: EnterpriseView, endpoint_id: str) -> Endpoint:
    found = Endpoint.objects.within(view.access).present()
    endpoint = found.filter(pk=endpoint_id).first() if is_id(endpoint_id, "whe") else None
    if endpoint is None:
        raise not_found()
    return endpoint


def _with_health(endpoints: Sequence[Endpoint]) -> list[dict[str, Any]]:
    return endpoints_json(endpoints, now=timezone.now())
