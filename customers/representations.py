"""Keys as the outside world sees them. Never a secret, but for the one answer that shows a new one."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings

from customers.models import ApiKey, Mode
from sora2.api import BASE_PATH
from sora2.times import timestamp


def keys_json(keys: Sequence[ApiKey], *, now: datetime) -> list[dict[str, Any]]:
    """Return keys as the rows of a list."""
    return [_key_json(key, now) for key in keys]


def key_answer(key: ApiKey, *, now: datetime, secret: str | None = None) -> dict[str, Any]:
    """Return one key as an answer of its own, with its secret when that is new."""
    return {"ok": True, **_key_json(key, now), **({"secret": secret} if secret else {})}


def key_url(key: ApiKey) -> str:
    """Return the absolute address of a key in our API."""
    return f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/keys/{key.pk}"


def _key_json(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "id": key.pk,
        "name": key.name,
        "hint": key.hint,
        "mode": key.mode,
        "livemode": key.mode == Mode.LIVE,
        "scopes": key.scopes,
        "created_at": timestamp(key.created_at),
        "created_by": key.created_by or None,
        "expires_at": timestamp(key.expires_at),
        "revoked_at": timestamp(key.revoked_at),
        "last_used_at": timestamp(key.last_used_at),
        "budget_credits": key.budget_credits,
        "used_credits": key.used_credits,
        "remaining_credits": key.remaining_credits,
        "allowed_networks": key.allowed_networks,
        "last_refused": _last_refused(key),
        "secret_rotating_until": timestamp(key.rotates_until(now)),
    }


def _last_refused(key: ApiKey) -> dict[str, Any] | None:
    if key.refused_at is None:
        return None
    return {"at": timestamp(key.refused_at), "address": key.refused_address or None}
