"""Whose key this is, and whether it may: for REST framework, in terms of our keys and scopes."""

from typing import Protocol, cast

import structlog
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from customers.access import Permission
from customers.addresses import client_address
from customers.models import ApiKey
from customers.services import InvalidApiKey, api_key_of_secret
from sora2.api import Problem

HEADER = "X-API-Key"


class Scoped(Protocol):
    """A view that says which scope a request needs. (REST framework imports this module before it has views.)"""

    def scope_of(self, method: str) -> Permission:
        """Return the scope that a request with this method needs."""


class ApiKeyAuthentication(BaseAuthentication):
    """Authenticate by the header X-API-Key; `request.auth` is the key. Raises Problem 401, the same for all faults."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey]:
        """Return the usable key; there is no user."""
        secret, address = request.headers.get(HEADER, ""), client_address(request.META)
        try:
            key = api_key_of_secret(secret=secret, address=address, now=timezone.now())
        except InvalidApiKey:
            raise invalid_api_key() from None
        structlog.contextvars.bind_contextvars(organization_id=key.organization_id, api_key_id=key.pk)
        return None, key


class HasScope(BasePermission):
    """Deny a key without the scope that the view asks for. Raises Problem 403 naming it."""

    def has_permission(self, request: Request, view: Scoped) -> bool:  # type: ignore[override]
        """Return True, or raise."""
        scope = view.scope_of(request.method or "")
        if not cast(ApiKey, request.auth).access().may(scope):
            detail = f"This key does not have the scope {scope}. Use a key that has it."
            raise Problem("insufficient_scope", detail, scope=str(scope))
        return True


def invalid_api_key() -> Problem:
    """Return the one answer to a secret that is missing, malformed, unknown, revoked, expired, or from elsewhere."""
    detail = (
        f"Send a valid API key in the header {HEADER}. This one is missing, malformed, unknown, revoked or expired, "
        "or may not be used from your address."
    )
    return Problem("invalid_api_key", detail, headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'})
