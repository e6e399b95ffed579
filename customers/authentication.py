"""Whose key this is, and whether it may: for REST framework, in terms of our keys and scopes."""

from typing import TYPE_CHECKING, Any

import structlog
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.views import APIView

from customers.models import ApiKey
from customers.services import InvalidApiKey, api_key_of_secret
from sora2.api import Problem

if TYPE_CHECKING:
    from customers.api import EnterpriseView

HEADER = "X-API-Key"


class ApiKeyAuthentication(BaseAuthentication):
    """Authenticate by the header X-API-Key; `request.auth` is the key. Raises Problem 401, the same for all faults."""

    def authenticate(self, request: Request) -> tuple[None, ApiKey]:
        """Return the usable key; there is no user."""
        try:
            key = api_key_of_secret(secret=request.headers.get(HEADER, ""), now=timezone.now())
        except InvalidApiKey:
            raise invalid_api_key() from None
        structlog.contextvars.bind_contextvars(organization_id=key.organization_id, api_key_id=key.pk)
        return None, key


class HasScope(BasePermission):
    """Deny a key without the scope that the view asks for. Raises Problem 403 naming it."""

    def has_permission(self, request: Request, view: "APIView | EnterpriseView") -> bool:
        """Return True, or raise."""
        scope = view.scope_of(request.method or "")  # type: ignore[union-attr]
        key: Any = request.auth
        if not key.access().may(scope):
            detail = f"This key does not have the scope {scope}. Use a key that has it."
            raise Problem(403, "insufficient_scope", detail, scope=str(scope))
        return True


def invalid_api_key() -> Problem:
    """Return the one answer to a secret that is missing, malformed, unknown, revoked or expired."""
    detail = f"Send a valid API key in the header {HEADER}. This one is missing, malformed, revoked or expired."
    return Problem(401, "invalid_api_key", detail, headers={"WWW-Authenticate": f'ApiKey header="{HEADER}"'})
