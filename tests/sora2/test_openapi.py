"""The OpenAPI document: it is valid, names every endpoint, and real answers are as it says."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.telling import start, tell_ended
from customers.access import SCOPES
from customers.models import Mode
from customers.services import create_api_key
from sora2.api import PROBLEMS
from sora2.openapi import document
from sora2.problem_examples import SAID
from sora2.urls import api_patterns
from tests.batches.offers import change_model, retire
from tests.factories import Account, Api, api_with_scopes, end_batch, end_items, make_account, make_batch, order
from tests.sora2.documents import ROOT
from webhooks import delivery as delivering
from webhooks import endpoints
from webhooks.endpoints import create_endpoint
from webhooks.guarded import Answer
from webhooks.models import Delivery, Event, EventType

HTTP_METHODS = {"get", "post", "put", "patch", "delete"}
# What an answer carries only where there is something to say.
OPTIONAL = {"Idempotent-Replayed", "Retry-After", "Deprecation", "Sunset"}


def strict(schema: Any) -> Any:
    """Return a schema that also refuses what it does not mention."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: strict(part) for name, part in schema.items()}
    if schema.get("type") == "object" and "properties" in schema:
        inner.setdefault("additionalProperties", False)
    return inner


def faults(value: Any, schema: dict[str, Any], *, exact: bool = True) -> list[str]:
    """Return where `value` is not as `schema` says, by the components of the document."""
    whole = {**schema, "components": document()["components"]}
    checker = Draft202012Validator(
        strict(whole) if exact else whole, format_checker=Draft202012Validator.FORMAT_CHECKER
    )
    return [f"{error.json_path}: {error.message}" for error in checker.iter_errors(value)]


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document()["paths"].items():
        for method in HTTP_METHODS & set(item):
            yield method, path, item[method]


def operation(method: str, path: str) -> dict[str, Any]:
    """Return the operation that a request is one of."""
    # `{month}` stands for `2026-10.pdf` too, so the longest that fits is meant.
    for candidate, template, found in sorted(operations(), key=lambda each: -len(each[1])):
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if candidate == method and re.fullmatch(pattern, path):
            return found
    raise AssertionError(f"{method} {path} is not documented")


def check(response: Any) -> None:
    """Hold an answer against the document: status, content type, headers, body."""
    request = response.wsgi_request
    documented = operation(request.method.lower(), request.path)["responses"]
    assert str(response.status_code) in documented, f"{response.status_code} of {request.path} is not documented"
    answer = documented[str(response.status_code)]
    usual, *others = answer["content"]
    content_type = response.headers["Content-Type"]
    assert content_type in (usual, *others)
    if content_type == usual:
        assert set(answer["headers"]) - set(response.headers) <= OPTIONAL
    if content_type.endswith("json"):
        # A problem's schema is put together of two, so neither may refuse what the other knows.
        exact = content_type == "application/json"
        assert faults(response.json(), answer["content"][content_type]["schema"], exact=exact) == []


def test_the_document_is_valid_openapi_3_1(client: Client) -> None:
    response = client.get("/openapi.json")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    found = response.json()
    assert found["openapi"].startswith("3.1")
    validate(found)


def test_it_is_the_same_the_second_time() -> None:
    assert document() == document()


def test_it_names_every_endpoint() -> None:
    routes = [str(pattern.pattern) for pattern in api_patterns]
    templates = {re.sub(r"<str:(\w+)>", r"{\1}", f"/api/enterprise/{route}") for route in routes}
    assert set(document()["paths"]) == templates


def test_every_operation_needs_a_key_and_says_what_it_refuses() -> None:
    names = []
    for _, _, found in operations():
        assert found["security"] == [{"ApiKey": []}]
        assert {"401", "403", "429", "503"} <= set(found["responses"])
        names.append(found["operationId"])
    assert len(names) == len(set(names))
    assert document()["components"]["securitySchemes"]["ApiKey"]["name"] == "X-API-Key"


def test_every_code_is_documented_somewhere() -> None:
    said = set(re.findall(r"`(\w+)`", json.dumps([found["responses"] for *_, found in operations()])))
    assert set(PROBLEMS) - said == {"method_not_allowed", "internal_error"}


def contents() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Return every body of the document: where it is, its content type, and what is said of it."""
    webhooks = [item["post"] for item in document()["webhooks"].values()]
    for found in [*(found for *_, found in operations()), *webhooks]:
        for name, part in [("request", found.get("requestBody")), *found["responses"].items()]:
            for content_type, media in (part or {}).get("content", {}).items():
                yield f"{found['operationId']} {name}", content_type, media


def examples_of(media: dict[str, Any]) -> list[Any]:
    """Return the examples of a body: its own, those of its schema, and those of components."""
    own = [media["example"]] if "example" in media else []
    shared = [part["$ref"].rpartition("/")[2] for part in media.get("examples", {}).values()]
    components = document()["components"]["examples"]
    return [*own, *media["schema"].get("examples", []), *(components[name]["value"] for name in shared)]


def test_examples_are_as_their_schemas_say() -> None:
    for where, content_type, media in contents():
        for example in examples_of(media):
            # A problem's schema is put together of two, so neither may refuse what the other knows.
            exact = content_type != "application/problem+json"
            assert faults(example, media["schema"], exact=exact) == [], where


def test_every_body_has_an_example_except_files_that_nobody_reads() -> None:
    without = {where for where, _, media in contents() if not examples_of(media)}
    files = {where for where, _, media in contents() if "contentMediaType" in media["schema"]}
    assert without == files


def test_every_error_of_an_operation_has_an_example_for_each_code() -> None:
    for where, content_type, media in contents():
        if content_type == "application/problem+json":
            codes = media["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert [example["code"] for example in examples_of(media)] == codes, where


def test_every_code_has_an_example_and_says_what_to_do() -> None:
    examples = document()["components"]["examples"]
    assert examples.keys() == PROBLEMS.keys()
    assert examples.keys() >= SAID.keys()
    problem = document()["components"]["schemas"]["Problem"]
    for code, example in examples.items():
        assert faults(example["value"], problem) == []
        assert (example["value"]["status"], example["value"]["title"]) == PROBLEMS[code]


def test_tags_and_parameters_are_described() -> None:
    described = {tag["name"] for tag in document()["tags"] if tag["description"]}
    assert {tag for *_, found in operations() for tag in found["tags"]} <= described
    for *_, found in operations():
        assert all(parameter["description"] for parameter in found["parameters"]), found["operationId"]


@pytest.mark.django_db
def test_what_is_sent_is_as_documented() -> None:
    schema = {"$ref": "#/components/schemas/BatchOrder"}
    assert faults(order(3), schema) == []
    refused: list[Any] = [{"items": []}, order(1, colour="red"), order(1, max_credits=0), {"items": [{"prompt": ""}]}]
    for wrong in refused:
        assert faults(wrong, schema)


@pytest.mark.django_db
def test_real_answers_are_as_documented(account: Account) -> None:
    create_endpoint(organization=account.organization, mode=Mode.LIVE, url="https://example.com/hook")
    api = account.api
    full = order(3, metadata={"a": "b"}, webhook_url="https://example.com/own", max_credits=100)
    for _ in range(2):
        check(api.post("/video-batch", full))
    running = make_batch(api, 2, request_id="open")
    batch = end_batch(make_batch(api, 3, request_id="ended"), failed={1: FailureType.CAPACITY})
    delivery = Delivery.objects.about(batch.pk).first()
    assert delivery is not None
    for path in (
        "/video-batch",
        f"/video-batch/{running.pk}",
        f"/video-batch/{batch.pk}",
        f"/video-batch/{batch.pk}/items",
        *(f"/video-batch/{batch.pk}/items/{item.pk}" for item in batch.items.all()),
        f"/video-batch/{batch.pk}/items/{batch.items.get(index=0).pk}/content",
        f"/video-batch/{batch.pk}/items/{batch.items.get(index=0).pk}/content?url=1",
        f"/video-batch/{running.pk}/results.jsonl",
        f"/video-batch/{batch.pk}/results.jsonl",
        f"/video-batch/{running.pk}/timeline",
        f"/video-batch/{batch.pk}/timeline",
        f"/video-batch/{running.pk}/ledger",
        f"/video-batch/{batch.pk}/ledger",
        f"/video-batch/{batch.pk}/proof",
        f"/video-batch/{batch.pk}/proof/items.jsonl",
        "/models",
        "/wallet",
        "/ledger",
        "/ledger.csv",
        "/ledger.xlsx",
        "/ledger.beancount",
        "/webhook-deliveries",
        f"/webhook-deliveries/{delivery.pk}",
    ):
        response = api.get(path)
        assert response.status_code == 200
        check(response)
    check(api.post("/video-batch/quote", order(2, request_id=None)))
    check(api.post(f"/video-batch/{running.pk}/cancel"))
    schema = {"$ref": "#/components/schemas/BatchCompleted"}
    assert faults(json.loads(delivery.event.body), schema) == []


@pytest.mark.django_db
def test_webhook_endpoints_are_as_documented(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "TEST_WAIT_SECONDS", 0.0)
    api = account.api
    made = api.post("/webhook-endpoints", {"url": "https://example.com/hook", "events": list(ALL_EVENTS)})
    path = f"/webhook-endpoints/{made.json()['id']}"
    delivery = end_and_deliver(account)
    wrong = {"url": "", "events": ["x"]}
    answers = [
        (made, 201),
        (api.get("/webhook-endpoints"), 200),
        (api.get(path), 200),
        (api.patch(path, {"description": "mine"}), 200),
        (api.post(f"{path}/rotate-secret", {"overlap_hours": 3}), 200),
        (api.get(path), 200),
        (api.post(f"{path}/test"), 202),
        (api.post(f"{path}/replay", {"undelivered": True, "dry_run": True}), 200),
        (api.post(f"{path}/replay", {"created_after": "2026-01-01T00:00:00Z"}), 202),
        (api.post(f"/webhook-deliveries/{delivery.pk}/redeliver"), 202),
        (api.get(f"/webhook-deliveries/{delivery.pk}"), 200),
        (api.post("/webhook-endpoints", wrong), 422),
        (api.post("/webhook-endpoints", {"url": "https://example.com/hook"}), 422),
        (api.get("/webhook-endpoints", enabled="x"), 422),
        (api.patch(path, {}), 422),
        (api.post(f"{path}/rotate-secret", {"overlap_hours": -1}), 422),
        (api.post(f"{path}/replay", {}), 422),
        (api.patch(path, {"enabled": False}), 200),
        (api.post(f"{path}/test"), 200),
        (api.post(f"{path}/replay", {"undelivered": True}), 422),
        (api.post(f"/webhook-deliveries/{delivery.pk}/redeliver"), 422),
        (api.delete(path), 200),
        (api.delete(path), 404),
        (api.patch(path, {"enabled": True}), 404),
        (api.post(f"{path}/test"), 404),
        (api.post("/webhook-deliveries/nonsense/redeliver"), 404),
    ]
    for response, status in answers:
        assert response.status_code == status, response.content
        check(response)


def end_and_deliver(account: Account) -> Delivery:
    """End a batch, and return the delivery that tells of it; it has failed once, with all that an attempt can have."""
    batch = end_batch(make_batch(account.api))
    (claimed,) = delivering.claim(count=1, now=timezone.now())
    answer = Answer(status_code=503, error="timeout", duration_ms=7, response="later")
    delivering.record([(claimed, answer)], now=timezone.now())
    return Delivery.objects.about(batch.pk).get()


@pytest.mark.parametrize(
    ("component", "right", "wrong"),
    [
        (
            "WebhookEndpointOrder",
            [{"url": "https://e.com"}, {"url": "https://e.com", "events": None, "description": "", "enabled": False}],
            [{}, {"url": None}, {"url": "https://e.com", "events": ["batch.ended"]}, {"url": "https://e.com", "a": 1}],
        ),
        (
            "WebhookEndpointChange",
            [{"enabled": True}, {"events": ["credits.low", "batch.started"]}],
            [{}, {"enabled": None}, {"events": []}, {"events": ["credits.low"] * 2}, {"description": "x" * 201}],
        ),
        ("SecretRotation", [{}, {"overlap_hours": 0}, {"overlap_hours": 168}], [{"overlap_hours": 169}, {"hours": 1}]),
        (
            "ReplayOrder",
            [{"undelivered": True}, {"created_after": "2026-01-01T00:00:00Z", "undelivered": False, "dry_run": True}],
            [{}, {"undelivered": False}, {"events": ["credits.low"]}, {"undelivered": True, "state": "skipped"}],
        ),
    ],
)
def test_what_is_sent_about_webhooks_is_as_documented(component: str, right: list[Any], wrong: list[Any]) -> None:
    schema = {"$ref": f"#/components/schemas/{component}"}
    assert [faults(body, schema) for body in right] == [[]] * len(right)
    assert all(faults(body, schema) for body in wrong)


ALL_EVENTS = [event.value for event in EventType if event != EventType.WEBHOOK_TEST]


@pytest.mark.django_db
def test_what_we_send_is_as_documented(account: Account) -> None:
    endpoint, _ = create_endpoint(
        organization=account.organization, mode=Mode.LIVE, url="https://example.com/hook", events=ALL_EVENTS
    )
    batch, now = make_batch(account.api, 2, metadata={"a": "b"}), timezone.now()
    start(batch_ids=[batch.pk], now=now)
    end_items(batch, succeeded=[0], failed={1: FailureType.CAPACITY})
    tell_ended(item_ids=[item.pk for item in batch.items.all()], now=now)
    finalize_batch_credits(batch_id=batch.pk, now=now)
    endpoints.send_test(endpoint=endpoint, actor="test", now=now)
    schemas = {
        name: item["post"]["requestBody"]["content"]["application/json"]["schema"]
        for name, item in document()["webhooks"].items()
    }
    assert schemas.keys() == set(EventType.values)
    for event in Event.objects.all():
        assert faults(json.loads(event.body), schemas[event.type]) == []
    assert {event.type for event in Event.objects.all()} == set(EventType.values) - {EventType.CREDITS_LOW}


@pytest.mark.django_db
def test_a_retry_is_as_documented(account: Account) -> None:
    api = account.api
    schema = {"$ref": "#/components/schemas/RetryOrder"}
    refused: list[Any] = [{"request_id": ""}, {"request_id": "r", "max_credits": 0}, {"request_id": "r", "items": []}]
    assert faults({"request_id": "again", "max_credits": 100}, schema) == []
    assert all(faults(wrong, schema) for wrong in refused)
    failed = {0: FailureType.TIMEOUT}
    batch = end_batch(make_batch(api, 2, priority="low", metadata={"a": "b"}), failed=failed)
    fine = end_batch(make_batch(api, 2, request_id="fine"))
    running = make_batch(api, 2, request_id="open")
    path = f"/video-batch/{batch.pk}/retry"
    made, replayed = (api.post(path, {"request_id": "again", "max_credits": 100}) for _ in range(2))
    assert (made.status_code, replayed.status_code) == (201, 200)
    answers = [
        (made, None),
        (replayed, None),
        (api.post(path, {"request_id": "once more"}), "already_retried"),
        (api.post(path, {"request_id": "again"}), "request_id_reused"),
        (api.post(path, {}), "request_id_required"),
        (api.post(path, {"request_id": "r", "colour": "red"}), "validation_error"),
        (api.post(f"/video-batch/{fine.pk}/retry", {"request_id": "r"}), "nothing_to_retry"),
        (api.post(f"/video-batch/{running.pk}/retry", {"request_id": "r"}), "batch_not_final"),
        (api.post("/video-batch/nonsense/retry", {"request_id": "r"}), "not_found"),
    ]
    for response, code in answers:
        assert response.json().get("code") == code
        check(response)


@pytest.mark.django_db
def test_keys_are_as_documented(account: Account) -> None:
    api = api_with_scopes(account.organization, SCOPES)
    full = {
        "name": "Full",
        "scopes": ["batches:write"],
        "expires_at": "2999-01-01T00:00:00Z",
        "budget_credits": 5,
        "allowed_networks": ["203.0.113.0/24"],
    }
    made = api.post("/keys", full)
    path = f"/keys/{made.json()['id']}"
    assert Api(made.json()["secret"]).get("/models").status_code == 401
    _, poor = create_api_key(organization=account.organization, mode=Mode.LIVE, name="Poor", budget_credits=5)
    answers = [
        (made, 201),
        (api.get("/keys"), 200),
        (api.post(f"{path}/rotate", {"overlap_hours": 3}), 200),
        (api.post(f"{path}/rotate"), 200),
        (api.get(path), 200),
        (api.post(f"{path}/revoke"), 200),
        (api.post(f"{path}/rotate"), 422),
        (api.post("/keys", {"name": "", "scopes": ["x"]}), 422),
        (api.get("/keys", limit=0), 422),
        (api.get("/keys/nonsense"), 404),
        (account.api.get("/keys"), 403),
        (Api(poor).post("/video-batch", order(1)), 402),
    ]
    for response, status in answers:
        assert response.status_code == status, response.content
        check(response)
    schema = {"$ref": "#/components/schemas/KeyOrder"}
    assert faults(full, schema) == faults({"name": "x", "scopes": ["ledger:read"], "expires_at": None}, schema) == []
    wrong: list[Any] = [{}, {**full, "scopes": []}, {**full, "name": " "}, {**full, "mode": "live"}]
    assert all(faults(body, schema) for body in wrong)


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/video-batch", "/video-batch/quote"])
def test_the_life_of_a_model_is_as_documented(account: Account, path: str) -> None:
    api, now = account.api, timezone.now()
    change_model("sora-2", deprecated_at=now, sunset_at=now + timedelta(days=1), replacement_id="veo-3")
    warned = api.post(path, order(1, priority="high"))
    assert {"Deprecation", "Sunset"} <= set(warned.headers)
    check(warned)
    check(api.get("/models"))
    retire("sora-2", replacement="veo-3")
    gone = api.post(path, order(1, request_id="late"))
    assert (gone.status_code, gone.json()["replacement"]) == (410, "veo-3")
    check(gone)
    check(api.get("/models"))


def test_every_member_of_a_problem_is_documented() -> None:
    """They are what Problem is given beside its code, its detail and its headers."""
    given = set()
    for app in ("batches", "customers", "ledger", "webhooks"):
        for path in (ROOT / app).glob("*.py"):
            for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
                if ast.unparse(call.func) == "Problem":
                    given |= {keyword.arg for keyword in call.keywords if keyword.arg}
    assert given - {"headers"} <= set(document()["components"]["schemas"]["Problem"]["properties"])


@pytest.mark.django_db
def test_real_refusals_are_as_documented(account: Account) -> None:
    api = account.api
    batch = make_batch(api)
    refused = [
        Api(None).get("/wallet"),
        make_account(rate_limit_per_minute=0).api.get("/wallet"),
        make_account(5).api.post("/video-batch", order()),
        make_account(max_items_per_batch=1).api.post("/video-batch", order(2)),
        api.post("/video-batch", order(2)),
        api.post("/video-batch", order(2, request_id=None)),
        api.post("/video-batch", order(1, **{"x-request-id": "b"})),
        api.post("/video-batch", order(1, request_id="c", max_credits=1)),
        api.post("/video-batch", {"request_id": "d", "items": [{}]}),
        api.send("POST", "/video-batch", b"[", "application/json"),
        api.send("POST", "/video-batch", b"{}", "text/plain"),
        api.get("/video-batch", limit="x"),
        api.get("/video-batch/nonsense"),
        api.get(f"/video-batch/{batch.pk}/proof"),
        api.get(f"/video-batch/{batch.pk}/items/{batch.items.get().pk}/content"),
    ]
    for response in refused:
        assert response.status_code >= 400
        check(response)
