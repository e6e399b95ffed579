"""API keys over HTTP: list, make, rotate and revoke them. What a key may hand out is said in customers.issuing."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

import customers.problems  # noqa: F401 - registers what refusals mean.
from customers import intake, issuing, keys_schemas
from customers.access import Permission
from customers.api import EnterpriseView
from customers.models import ApiKey
from customers.representations import key_answer, key_url, keys_json
from customers.services import revoke_api_key
from sora2.api import not_found
from sora2.ids import is_id
from sora2.listing import page_of
from sora2.operations import documented


class KeysView(EnterpriseView):
    scope = Permission.KEYS_WRITE

    @documented(keys_schemas.LIST_KEYS)
    def get(self, request: Request) -> Response:
        """Answer a page of keys, newest first."""
        return Response(page_of(request, ApiKey.objects.within(self.access), key="-id", represent=_now_json))

    @documented(keys_schemas.CREATE_KEY)
    def post(self, _request: Request) -> Response:
        """Create a key, and answer it with its secret, this once."""
        now = timezone.now()
        order = intake.read_key(self.body(), maker=self.key, now=now)
        key, secret = issuing.issue(maker=self.key, order=order, now=now)
        return Response(key_answer(key, now=now, secret=secret), status=201, headers={"Location": key_url(key)})


class KeyView(EnterpriseView):
    scope = Permission.KEYS_WRITE

    @documented(keys_schemas.SHOW_KEY)
    def get(self, _request: Request, key_id: str) -> Response:
        """Answer one key."""
        return Response(key_answer(_key(self, key_id), now=timezone.now()))


class RotateView(EnterpriseView):
    scope = Permission.KEYS_WRITE

    @documented(keys_schemas.ROTATE_KEY)
    def post(self, _request: Request, key_id: str) -> Response:
        """Give the key a new secret, and answer it with that, this once."""
        key, now = _key(self, key_id), timezone.now()
        hours = intake.read_overlap_hours(self.optional_body())
        rotated, secret = issuing.rotate(asker=self.key, key=key, overlap_hours=hours, now=now)
        return Response(key_answer(rotated, now=now, secret=secret))


class RevokeView(EnterpriseView):
    scope = Permission.KEYS_WRITE

    @documented(keys_schemas.REVOKE_KEY)
    def post(self, _request: Request, key_id: str) -> Response:
        """Make the key useless at once, and answer it; a key may revoke itself."""
        key, now = _key(self, key_id), timezone.now()
        revoke_api_key(key=key, now=now, actor=self.access.actor)
        key.refresh_from_db()
        return Response(key_answer(key, now=now))


def _key(view: EnterpriseView, key_id: str) -> ApiKey:
    found = ApiKey.objects.within(view.access)
    key = found.filter(pk=key_id).first() if is_id(key_id, "key") else None
    if key is None:
        raise not_found()
    return key


def _now_json(keys: Sequence[ApiKey]) -> list[dict[str, Any]]:
    return keys_json(keys, now=timezone.now())
