"""Nothing of one organization, or of the other mode, is reachable with another's key, at any endpoint."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import resolve

from batches.models import Batch, Item
from customers.access import SCOPES
from customers.models import ApiKey, Mode
from ledger.models import Wallet
from sora2.api import JSON_TYPE
from sora2.openapi import document
from sora2.urls import api_patterns
from tests.factories import BASE, Account, Api, api_with_scopes, code_of, end_batch, make_account, make_batch
from webhooks import endpoints
from webhooks.models import Delivery, Endpoint

pytestmark = pytest.mark.django_db

# Every address that names an object, and every list, as (method, path, what a list is asked for).
OBJECTS = [
    ("GET", "/video-batch/{batch}"),
    ("GET", "/video-batch/{batch}/items"),
    ("GET", "/video-batch/{batch}/items/{item}"),
    ("GET", "/video-batch/{batch}/items/{item}/content"),
    ("POST", "/video-batch/{open}/cancel"),
    ("POST", "/video-batch/{batch}/retry"),
    ("GET", "/video-batch/{batch}/results.jsonl"),
    ("GET", "/video-batch/{batch}/timeline"),
    ("GET", "/video-batch/{batch}/ledger"),
    ("GET", "/video-batch/{batch}/proof"),
    ("GET", "/video-batch/{batch}/proof/items.jsonl"),
    ("GET", "/webhook-endpoints/{endpoint}"),
    ("PATCH", "/webhook-endpoints/{endpoint}"),
    ("DELETE", "/webhook-endpoints/{endpoint}"),
    ("POST", "/webhook-endpoints/{endpoint}/test"),
    ("POST", "/webhook-endpoints/{endpoint}/rotate-secret"),
    ("POST", "/webhook-endpoints/{endpoint}/replay"),
    ("GET", "/webhook-deliveries/{delivery}"),
    ("POST", "/webhook-deliveries/{delivery}/redeliver"),
    ("GET", "/keys/{key}"),
    ("POST", "/keys/{key}/rotate"),
    ("POST", "/keys/{key}/revoke"),
]
# What their owner is answered to an empty body, where that is not 200.
ANSWERED: dict[str, tuple[int, str | None]] = {
    "POST /video-batch/{batch}/retry": (400, "request_id_required"),
    "PATCH /webhook-endpoints/{endpoint}": (422, "validation_error"),
    "POST /webhook-endpoints/{endpoint}/test": (202, None),
    "POST /webhook-endpoints/{endpoint}/replay": (422, "validation_error"),
    "POST /webhook-deliveries/{delivery}/redeliver": (202, None),
}
LISTS = ["/video-batch", "/ledger", "/webhook-endpoints", "/webhook-deliveries", "/keys"]
# They name no object: what they show is the key's own.
FILES = ["/ledger.csv", "/ledger.xlsx", "/ledger.beancount"]
OWN = ["/video-batch", "/video-batch/quote", "/models", "/wallet", "/ledger", *FILES]
OWN += [
    "/webhook-endpoints",
    "/webhook-deliveries",
    "/keys",
    "/statements/2026-10",
    "/pilot",
    "/statements/2026-10.csv",
    "/statements/2026-10.pdf",
    "/seals",
    "/seals/1",
]

# Each with every scope.
STRANGERS: dict[str, Callable[[Account], Api]] = {
    "another organization": lambda _: api_of(make_account(name="Stranger"), Mode.LIVE),
    "another organization's test mode": lambda _: api_of(make_account(name="Stranger"), Mode.TEST),
    "the other mode": lambda account: api_of(account, Mode.TEST),
}


def api_of(account: Account, mode: Mode = Mode.LIVE) -> Api:
    """Return the API with a new key of the account that may do everything."""
    return api_with_scopes(account.organization, SCOPES, mode)


@dataclass(frozen=True)
class Things:
    """What an organization has in live mode."""

    batch: Batch
    open: Batch
    item: Item
    delivery: Delivery
    endpoint: Endpoint
    key: ApiKey

    def path(self, template: str) -> str:
        """Return a path with the ids filled in."""
        return template.format(**{name: getattr(self, name).pk for name in PREFIXES})


@pytest.fixture
def things(account: Account, monkeypatch: pytest.MonkeyPatch) -> Things:
    """A batch that has ended with its webhook, and an open one. Nobody waits for the end of a test."""
    monkeypatch.setattr(endpoints, "TEST_WAIT_SECONDS", 0.0)
    endpoint, _ = endpoints.create_endpoint(
        organization=account.organization, mode=Mode.LIVE, url="https://example.com/hook"
    )
    batch = end_batch(make_batch(account.api, 2))
    running = make_batch(account.api, request_id="order-2")
    return Things(
        batch,
        running,
        batch.items.get(index=0),
        Delivery.objects.about(batch.pk).get(),
        endpoint,
        account.keys[Mode.LIVE],
    )


def test_the_tables_name_every_endpoint() -> None:
    paths = [*(template.format(**PREFIXES) for _, template in OBJECTS), *OWN]
    assert {resolve(f"{BASE}{path}").func for path in paths} == {pattern.callback for pattern in api_patterns}


def test_objects_are_named_with_every_method() -> None:
    named = {(method, resolve(f"{BASE}{template.format(**PREFIXES)}").func) for method, template in OBJECTS}
    documented = {
        (method.upper(), resolve(path).func)
        for path, methods in document()["paths"].items()
        for method in methods
        if "_id}" in path
    }
    assert named == documented


@pytest.mark.parametrize(("method", "template"), OBJECTS)
def test_the_owner_reaches_it(account: Account, things: Things, method: str, template: str) -> None:
    response = api_of(account).send(
        method, things.path(template), b"{}" if method in ("POST", "PATCH") else b"", JSON_TYPE
    )
    assert (response.status_code, code(response)) == ANSWERED.get(f"{method} {template}", (200, None))


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize(("method", "template"), OBJECTS)
def test_a_stranger_gets_the_answer_to_what_does_not_exist(
    account: Account, things: Things, stranger: str, method: str, template: str
) -> None:
    api, before = STRANGERS[stranger](account), telling()
    response = api.send(method, things.path(template))
    missing = api.send(method, template.format(**{n: f"{p}_{'0' * 26}" for n, p in PREFIXES.items()}))
    assert response.status_code == missing.status_code == 404
    assert without_trace(response.json()) == without_trace(missing.json())
    assert Batch.objects.get(pk=things.open.pk).state == "queued"
    assert telling() == before


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize(("method", "template"), [row for row in OBJECTS if row[1].count("{") > 1])
def test_each_id_of_a_path_is_looked_at(
    account: Account, things: Things, stranger: str, method: str, template: str
) -> None:
    """Neither one's own batch with somebody else's item opens anything, nor the other way round."""
    foreign = end_batch(make_batch(STRANGERS[stranger](account), 2, request_id="foreign"))
    mixed = [(things.batch.pk, foreign.items.get(index=0).pk), (foreign.pk, things.item.pk)]
    for batch_id, item_id in mixed:
        path = template.format(batch=batch_id, item=item_id)
        assert code_of(api_of(account).send(method, path)) == (404, "not_found")


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("path", LISTS)
def test_a_list_shows_a_stranger_nothing(account: Account, things: Things, stranger: str, path: str) -> None:
    api = STRANGERS[stranger](account)
    filters: list[dict[str, str]] = [{}, {"request_id": "order-1"}, {"batch_id": things.batch.pk}]
    shown = "".join(str(api.get(path, query).json()["data"]) for query in filters)
    assert api_of(account).get(path).json()["data"]
    named = (things.batch, things.open, things.delivery, things.endpoint, things.key, account.wallets[Mode.LIVE])
    assert not [thing for thing in named if thing.pk in shown]


def test_a_cursor_of_another_opens_nothing(account: Account, things: Things) -> None:
    cursor = account.api.get("/video-batch", limit=1).json()["next_cursor"]
    assert make_account(name="Stranger").api.get("/video-batch", cursor=cursor).json()["data"] == []


def test_each_key_sees_its_own_wallet(account: Account, things: Things) -> None:
    test_wallet = Wallet.objects.get(pk=account.wallets[Mode.TEST].pk)
    assert account.api.get("/wallet").json()["reserved"] == 10
    assert account.test_api.get("/wallet").json()["available"] == test_wallet.available == 1000


PREFIXES = {"batch": "bat", "open": "bat", "item": "itm", "delivery": "dlv", "endpoint": "whe", "key": "key"}


def code(response: Any) -> str | None:
    """Return the code of a problem, or None for whatever else was answered."""
    return code_of(response)[1] if response.status_code >= 400 else None


def telling() -> list[Any]:
    """Return all that there is of endpoints and deliveries, and of keys but for their last use."""
    keys = ApiKey.objects.order_by("pk").values("pk", "secret_sha256", "revoked_at")
    return [*keys, *Endpoint.objects.order_by("pk").values(), *Delivery.objects.order_by("pk").values()]


def without_trace(body: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in body.items() if name != "trace_id"}
