"""Every operation of the API, asked by whoever has no right to: it is refused, by everyone in the same words.

What belongs to somebody else is in test_isolation_api.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from customers.access import SCOPES, Permission
from customers.api import EnterpriseView
from customers.keys import new_secret
from customers.models import ApiKey, Mode
from customers.services import create_api_key, revoke_api_key
from sora2.openapi import document
from sora2.urls import api_patterns
from tests.factories import BASE, Account, Api, api_with_scopes, make_account, make_batch

pytestmark = pytest.mark.django_db

Operation = tuple[str, str]

# Every operation, and the scope that it asks for.
SCOPE_OF: dict[Operation, Permission] = {
    ("POST", "/video-batch"): Permission.BATCHES_WRITE,
    ("POST", "/video-batch/quote"): Permission.BATCHES_WRITE,
    ("GET", "/video-batch"): Permission.BATCHES_READ,
    ("GET", "/video-batch/{batch_id}"): Permission.BATCHES_READ,
    ("GET", "/video-batch/{batch_id}/items"): Permission.BATCHES_READ,
    ("GET", "/video-batch/{batch_id}/items/{item_id}"): Permission.BATCHES_READ,
    ("GET", "/video-batch/{batch_id}/items/{item_id}/content"): Permission.BATCHES_READ,
    ("POST", "/video-batch/{batch_id}/cancel"): Permission.BATCHES_WRITE,
    ("POST", "/video-batch/{batch_id}/retry"): Permission.BATCHES_WRITE,
    ("GET", "/video-batch/{batch_id}/ledger"): Permission.LEDGER_READ,
    ("GET", "/video-batch/{batch_id}/proof"): Permission.LEDGER_READ,
    ("GET", "/video-batch/{batch_id}/proof/items.jsonl"): Permission.LEDGER_READ,
    ("GET", "/video-batch/{batch_id}/results.jsonl"): Permission.BATCHES_READ,
    ("GET", "/video-batch/{batch_id}/timeline"): Permission.BATCHES_READ,
    ("GET", "/pilot"): Permission.BATCHES_READ,
    ("GET", "/models"): Permission.BATCHES_READ,
    ("GET", "/wallet"): Permission.LEDGER_READ,
    ("GET", "/ledger"): Permission.LEDGER_READ,
    ("GET", "/ledger.csv"): Permission.LEDGER_READ,
    ("GET", "/ledger.xlsx"): Permission.LEDGER_READ,
    ("GET", "/ledger.beancount"): Permission.LEDGER_READ,
    ("GET", "/statements/{month}"): Permission.LEDGER_READ,
    ("GET", "/statements/{month}.csv"): Permission.LEDGER_READ,
    ("GET", "/statements/{month}.pdf"): Permission.LEDGER_READ,
    ("GET", "/seals"): Permission.LEDGER_READ,
    ("GET", "/seals/{number}"): Permission.LEDGER_READ,
    ("GET", "/webhook-endpoints"): Permission.WEBHOOKS_READ,
    ("POST", "/webhook-endpoints"): Permission.WEBHOOKS_WRITE,
    ("GET", "/webhook-endpoints/{endpoint_id}"): Permission.WEBHOOKS_READ,
    ("PATCH", "/webhook-endpoints/{endpoint_id}"): Permission.WEBHOOKS_WRITE,
    ("DELETE", "/webhook-endpoints/{endpoint_id}"): Permission.WEBHOOKS_WRITE,
    ("POST", "/webhook-endpoints/{endpoint_id}/test"): Permission.WEBHOOKS_WRITE,
    ("POST", "/webhook-endpoints/{endpoint_id}/rotate-secret"): Permission.WEBHOOKS_WRITE,
    ("POST", "/webhook-endpoints/{endpoint_id}/replay"): Permission.WEBHOOKS_WRITE,
    ("GET", "/webhook-deliveries"): Permission.WEBHOOKS_READ,
    ("GET", "/webhook-deliveries/{delivery_id}"): Permission.WEBHOOKS_READ,
    ("POST", "/webhook-deliveries/{delivery_id}/redeliver"): Permission.WEBHOOKS_WRITE,
    ("GET", "/keys"): Permission.KEYS_WRITE,
    ("POST", "/keys"): Permission.KEYS_WRITE,
    ("GET", "/keys/{key_id}"): Permission.KEYS_WRITE,
    ("POST", "/keys/{key_id}/rotate"): Permission.KEYS_WRITE,
    ("POST", "/keys/{key_id}/revoke"): Permission.KEYS_WRITE,
}
IDS = {
    "batch_id": "bat_x",
    "item_id": "itm_x",
    "delivery_id": "dlv_x",
    "endpoint_id": "whe_x",
    "key_id": "key_x",
    "month": "2026-10",
    "number": "1",
}


def documented() -> set[Operation]:
    """Return the operations of the OpenAPI document."""
    return {
        (method.upper(), path.removeprefix(BASE))
        for path, operations in document()["paths"].items()
        for method in operations
        if method in EnterpriseView.http_method_names
    }


def send(api: Api, operation: Operation) -> Any:
    """Ask for an operation, of an object that does not exist and with a body that cannot be read."""
    method, template = operation
    body = b"{" if method in ("POST", "PATCH") else b""
    return api.send(method, template.format(**IDS), body, "application/json")


def test_the_table_names_every_operation() -> None:
    assert SCOPE_OF.keys() == documented()


def test_every_operation_is_judged_by_the_same_frame() -> None:
    views = [getattr(pattern.callback, "view_class", object) for pattern in api_patterns]
    assert all(issubclass(view, EnterpriseView) for view in views)


# --- keys that are none --------------------------------------------------------------------------------------------


def secrets_that_open_nothing(account: Account) -> Iterator[tuple[str, str | None]]:
    """Yield what can be wrong with a key, and such a key's secret."""
    made: dict[str, Any] = {"organization": account.organization, "mode": Mode.LIVE, "name": "no", "scopes": SCOPES}
    now, good = timezone.now(), account.secrets[Mode.LIVE]
    revoked, revoked_secret = create_api_key(**made)
    revoke_api_key(key=revoked, now=now)
    rotated, rotated_secret = create_api_key(**made)
    ApiKey.objects.filter(pk=rotated.pk).update(
        secret_sha256="new", previous_secret_sha256=rotated.secret_sha256, previous_secret_until=now
    )
    yield "no key", None
    yield "malformed", good[:-1]
    yield "bad checksum", good[:-1] + ("0" if good[-1] != "0" else "1")
    yield "unknown", new_secret("live")
    yield "revoked", revoked_secret
    yield "rotated away", rotated_secret
    yield "expired", create_api_key(**made, expires_at=now - timedelta(seconds=1))[1]
    yield "from elsewhere", create_api_key(**made, allowed_networks=["203.0.113.0/24"])[1]


def test_a_key_that_is_none_is_refused_everywhere_in_the_same_words(account: Account) -> None:
    said = without_trace(Api(None).get("/wallet"))
    assert (said["status"], said["code"]) == (401, "invalid_api_key")
    for fault, secret in secrets_that_open_nothing(account):
        for operation in SCOPE_OF:
            response = send(Api(secret), operation)
            assert response.status_code == 401, (fault, operation)
            assert response.headers["Content-Type"] == "application/problem+json"
            assert response.headers["WWW-Authenticate"]
            assert "RateLimit-Limit" not in response.headers
            assert response.json()["trace_id"] == response.headers["X-Trace-Id"]
            assert without_trace(response) == said, (fault, operation)


def without_trace(response: Any) -> dict[str, Any]:
    return {name: value for name, value in response.json().items() if name != "trace_id"}


# --- scopes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_without_a_scope_is_refused_by_what_asks_for_it_and_by_nothing_else(scope: Permission) -> None:
    organization = make_account(rate_limit_per_minute=1000).organization
    lacking, only = (api_with_scopes(organization, scopes) for scopes in (set(SCOPES) - {scope}, [scope]))
    for operation, needed in SCOPE_OF.items():
        refused, taken = (lacking, only) if needed == scope else (only, lacking)
        response = send(refused, operation)
        assert response.status_code == 403, operation
        assert (response.json()["code"], response.json()["scope"]) == ("insufficient_scope", needed), operation
        assert needed in response.json()["detail"]
        assert send(taken, operation).status_code in (200, 400, 404), operation


# --- what every answer carries -------------------------------------------------------------------------------------


def answers(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield one answer of each kind, each asked for by a page of another host."""
    client = Client(headers={"X-API-Key": account.secrets[Mode.LIVE], "Origin": "https://evil.example"})
    client.raise_request_exception = False
    make_batch(account.api)
    for path in ("/wallet", "/video-batch", "/ledger.csv", "/nonsense", "/video-batch/nonsense"):
        yield client.get(f"{BASE}{path}")
    yield client.options(f"{BASE}/wallet", headers={"Access-Control-Request-Method": "GET"})
    yield client.post(f"{BASE}/video-batch", "{", content_type="application/json")
    yield client.post(f"{BASE}/wallet")
    yield Client(headers={"Origin": "https://evil.example"}).get(f"{BASE}/wallet")
    monkeypatch.setattr("ledger.api.wallet_json", None)
    failed = client.get(f"{BASE}/wallet")
    assert failed.status_code == 500
    yield failed


def test_no_answer_is_for_a_page_of_another_host_or_for_a_cache(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = set()
    for response in answers(account, monkeypatch):
        statuses.add(response.status_code)
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert "no-store" in response.headers["Cache-Control"]
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert not response.cookies
    assert statuses == {200, 400, 401, 404, 405, 500}


def test_the_document_is_open_to_pages_of_other_hosts() -> None:
    response = Client(headers={"Origin": "https://docs.example"}).get("/openapi.json")
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_no_operation_reads_a_body_that_is_too_large(account: Account) -> None:
    api = api_with_scopes(account.organization, SCOPES)
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    assert limit == 16 * 2**20
    reading = [operation for operation in SCOPE_OF if _reads(operation)]
    assert len(reading) > 5
    for method, template in reading:
        if "{" in template:
            continue
        response = api.send(method, template, b" " * (limit + 1), "application/json")
        assert (response.status_code, response.json()["code"]) == (413, "payload_too_large"), template
    fits = api.send("POST", "/video-batch", b" " * limit, "application/json")
    assert fits.json()["code"] == "malformed_json"


def _reads(operation: Operation) -> bool:
    method, template = operation
    return "requestBody" in document()["paths"][f"{BASE}{template}"][method.lower()]


def test_every_parameter_of_a_path_has_a_value_here() -> None:
    assert {name for _, template in SCOPE_OF for name in re.findall(r"{(\w+)}", template)} == IDS.keys()
