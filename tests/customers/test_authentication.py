"""Whose key a request carries, and what that key may."""

from datetime import timedelta

import pytest
from django.urls import resolve
from django.utils import timezone

from customers.access import SCOPES, Permission
from customers.api import EnterpriseView
from customers.keys import new_secret
from customers.models import ApiKey, Mode
from customers.services import create_api_key, revoke_api_key
from sora2.urls import api_patterns
from tests.factories import BASE, Account, Api, api_with_scopes, order

pytestmark = pytest.mark.django_db


def test_a_key_opens_its_own_wallet(account: Account) -> None:
    assert account.api.get("/wallet").json()["livemode"] is True
    assert account.test_api.get("/wallet").json()["livemode"] is False


def test_every_unusable_secret_is_refused_with_the_same_body(account: Account) -> None:
    now = timezone.now()
    revoked, revoked_secret = create_api_key(organization=account.organization, mode=Mode.LIVE, name="r")
    revoke_api_key(key=revoked, now=now)
    _, expired_secret = create_api_key(
        organization=account.organization,
        mode=Mode.LIVE,
        name="e",
        expires_at=now - timedelta(seconds=1),
    )
    good = account.secrets[Mode.LIVE]
    broken = good[:-1] + ("0" if good[-1] != "0" else "1")
    secrets = [
        None,
        "",
        "x",
        broken,
        good.upper(),
        new_secret("live"),
        revoked_secret,
        expired_secret,
        "ключ",
        "s2_live_" + "é" * 36,
    ]
    bodies = []
    for secret in secrets:
        response = Api(secret).get("/wallet")
        assert response.status_code == 401
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.headers["WWW-Authenticate"]
        assert "RateLimit-Limit" not in response.headers
        body = response.json()
        assert body.pop("trace_id") == response.headers["X-Trace-Id"]
        bodies.append(body)
    assert bodies[0]["code"] == "invalid_api_key"
    assert all(body == bodies[0] for body in bodies)


def test_authentication_comes_before_everything_else() -> None:
    anonymous = Api(None)
    assert anonymous.send("DELETE", "/video-batch").status_code == 401
    assert anonymous.send("POST", "/video-batch", b"{", "text/plain").status_code == 401
    assert anonymous.get("/video-batch/nonsense").status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/video-batch", Permission.BATCHES_WRITE),
        ("POST", "/video-batch/quote", Permission.BATCHES_WRITE),
        ("GET", "/video-batch", Permission.BATCHES_READ),
        ("GET", "/video-batch/{batch}", Permission.BATCHES_READ),
        ("GET", "/video-batch/{batch}/items", Permission.BATCHES_READ),
        ("GET", "/video-batch/{batch}/items/{item}", Permission.BATCHES_READ),
        ("GET", "/video-batch/{batch}/items/{item}/content", Permission.BATCHES_READ),
        ("POST", "/video-batch/{batch}/cancel", Permission.BATCHES_WRITE),
        ("POST", "/video-batch/{batch}/retry", Permission.BATCHES_WRITE),
        ("GET", "/video-batch/{batch}/results.jsonl", Permission.BATCHES_READ),
        ("GET", "/video-batch/{batch}/timeline", Permission.BATCHES_READ),
        ("GET", "/pilot", Permission.BATCHES_READ),
        ("GET", "/video-batch/{batch}/ledger", Permission.LEDGER_READ),
        ("GET", "/video-batch/{batch}/proof", Permission.LEDGER_READ),
        ("GET", "/video-batch/{batch}/proof/items.jsonl", Permission.LEDGER_READ),
        ("GET", "/models", Permission.BATCHES_READ),
        ("GET", "/wallet", Permission.LEDGER_READ),
        ("GET", "/ledger", Permission.LEDGER_READ),
        ("GET", "/ledger.csv", Permission.LEDGER_READ),
        ("GET", "/ledger.xlsx", Permission.LEDGER_READ),
        ("GET", "/ledger.beancount", Permission.LEDGER_READ),
        ("GET", "/statements/2026-10", Permission.LEDGER_READ),
        ("GET", "/statements/2026-10.csv", Permission.LEDGER_READ),
        ("GET", "/statements/2026-10.pdf", Permission.LEDGER_READ),
        ("GET", "/seals", Permission.LEDGER_READ),
        ("GET", "/seals/1", Permission.LEDGER_READ),
        ("GET", "/webhook-endpoints", Permission.WEBHOOKS_READ),
        ("POST", "/webhook-endpoints", Permission.WEBHOOKS_WRITE),
        ("GET", "/webhook-endpoints/{endpoint}", Permission.WEBHOOKS_READ),
        ("PATCH", "/webhook-endpoints/{endpoint}", Permission.WEBHOOKS_WRITE),
        ("DELETE", "/webhook-endpoints/{endpoint}", Permission.WEBHOOKS_WRITE),
        ("POST", "/webhook-endpoints/{endpoint}/test", Permission.WEBHOOKS_WRITE),
        ("POST", "/webhook-endpoints/{endpoint}/rotate-secret", Permission.WEBHOOKS_WRITE),
        ("POST", "/webhook-endpoints/{endpoint}/replay", Permission.WEBHOOKS_WRITE),
        ("GET", "/webhook-deliveries", Permission.WEBHOOKS_READ),
        ("GET", "/webhook-deliveries/{delivery}", Permission.WEBHOOKS_READ),
        ("POST", "/webhook-deliveries/{delivery}/redeliver", Permission.WEBHOOKS_WRITE),
    ],
)
def test_an_endpoint_asks_for_its_scope_and_no_other(
    account: Account, method: str, path: str, scope: Permission
) -> None:
    path = path.format(batch="bat_x", item="itm_x", delivery="dlv_x", endpoint="whe_x")
    body = b"{" if method in ("POST", "PATCH") else b""
    lacking = api_with_scopes(account.organization, set(SCOPES) - {scope})
    refused = lacking.send(method, path, body, "application/json")
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert refused.json()["scope"] == scope
    assert scope in refused.json()["detail"]
    allowed = api_with_scopes(account.organization, [scope]).send(method, path, body, "application/json")
    assert allowed.status_code in (200, 400, 404)


METHODS = [method for method in EnterpriseView.http_method_names if method != "head"]


def test_every_endpoint_is_in_that_table() -> None:
    marks = test_an_endpoint_asks_for_its_scope_and_no_other.pytestmark  # type: ignore[attr-defined]
    table = next(mark for mark in marks if mark.name == "parametrize").args[1]
    ids = {"batch": "b", "item": "i", "delivery": "d", "endpoint": "e"}
    named = {(method, resolve(f"{BASE}{path.format(**ids)}").func) for method, path, _ in table}
    views = {pattern.callback: getattr(pattern.callback, "view_class", object) for pattern in api_patterns}
    methods = {(method.upper(), view) for view, made in views.items() for method in METHODS if hasattr(made, method)}
    assert named == methods
    assert all(issubclass(view, EnterpriseView) for view in views.values())


def test_a_scope_is_looked_at_before_the_body(account: Account) -> None:
    reader = api_with_scopes(account.organization, [Permission.BATCHES_READ])
    assert reader.send("POST", "/video-batch", b"{", "text/plain").status_code == 403


def test_the_time_of_the_last_use_is_kept(account: Account) -> None:
    account.api.post("/video-batch/quote", order())
    assert ApiKey.objects.get(pk=account.keys[Mode.LIVE].pk).last_used_at is not None
