"""Batches over HTTP: what is accepted, what is refused and how, and what a batch looks like on its way."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.files.storage import default_storage
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from batches import services
from batches.failures import FailureType
from batches.models import Batch, Item
from customers.models import AuditEvent, Mode
from ledger.models import Entry
from sora2.api import Problem, json_object
from tests.factories import VIDEO, Account, Api, end_batch, end_items, make_account, make_batch, order

pytestmark = pytest.mark.django_db

MIB = 2**20


def code_of(response: Any) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json"
    body = response.json()
    assert list(body)[:7] == ["ok", "type", "title", "status", "detail", "code", "trace_id"]
    assert (body["ok"], body["status"]) == (False, response.status_code)
    assert body["type"].endswith(f"/docs/errors#{body['code']}")
    assert body["trace_id"] == response.headers["X-Trace-Id"]
    return response.status_code, body["code"]


def nothing_is_stored() -> bool:
    return (
        not Batch.objects.exists() and not Item.objects.exists() and not Entry.objects.filter(kind="reserve").exists()
    )


# --- creating ------------------------------------------------------------------------------------------------------


def test_the_answer_to_a_creation_is_as_documented(account: Account) -> None:
    body = order(10, metadata={"campaign": "autumn"}, webhook_url="https://example.com/hook")
    response = account.api.post("/video-batch", body)
    batch = Batch.objects.get()
    url = f"{settings.PUBLIC_BASE_URL}/api/enterprise/video-batch/{batch.pk}"
    assert response.status_code == 201
    assert response.headers["Location"] == url
    assert response.headers["Content-Type"] == "application/json"
    assert "Idempotent-Replayed" not in response.headers
    answer = response.json()
    created_at = answer.pop("created_at")
    assert datetime.fromisoformat(created_at) == batch.created_at
    assert created_at.endswith("Z")
    assert json.dumps(answer) == json.dumps(
        {
            "ok": True,
            "batch_id": batch.pk,
            "status": "pending",
            "state": "queued",
            "request_id": "order-1",
            "livemode": True,
            "started_at": None,
            "finished_at": None,
            "deadline": None,
            "created_via": "api",
            "summary": {"total": 10, "pending": 10, "running": 0, "succeeded": 0, "failed": 0},
            "ledger": {"reserved": 100, "settled": 0, "refunded": 0},
            "failures": [],
            "metadata": {"campaign": "autumn"},
            "price_version": batch.price_version,
            "retry_of": None,
            "webhook_url": "https://example.com/hook",
            "links": {
                "self": url,
                "items": f"{url}/items",
                "dashboard": f"{settings.PUBLIC_BASE_URL}/admin/batches/{batch.pk}",
            },
        }
    )
    assert account.figures() == (900, 100, 0)


def test_a_test_key_spends_the_test_wallet(account: Account) -> None:
    assert account.test_api.post("/video-batch", order()).json()["livemode"] is False
    assert account.figures(Mode.TEST) == (990, 10, 0)
    assert account.figures(Mode.LIVE) == (1000, 0, 0)


def test_a_batch_that_costs_too_much_stores_an_audit_event_and_nothing_else() -> None:
    account = make_account(60)
    response = account.api.post("/video-batch", order(10))
    assert code_of(response) == (402, "insufficient_credits")
    body = response.json()
    assert (body["required"], body["available"], body["shortfall"]) == (100, 60, 40)
    assert nothing_is_stored()
    assert AuditEvent.objects.filter(organization=account.organization, actor=account.keys[Mode.LIVE].pk).count() == 1


def test_every_fault_of_the_whole_batch_is_told(account: Account) -> None:
    body = order(3, webhook_url="ftp://example.com", colour="red")
    body["items"][1] |= {"seconds": 5, "model": "sora-2"}
    body["items"][2] |= {"prompt": "a\0b", "camera": 1}
    response = account.api.post("/video-batch", body)
    assert code_of(response) == (422, "validation_error")
    faults = response.json()["errors"]
    assert {"/items/1/seconds", "/items/2/prompt", "/items/2/camera", "/colour", "/webhook_url"} == {
        fault["pointer"] for fault in faults
    }
    assert all(set(fault) == {"pointer", "code", "detail"} for fault in faults)
    assert nothing_is_stored()
    audited = AuditEvent.objects.get()
    assert (audited.action, audited.subject, audited.outcome) == ("batch.submit", "order-1", "validation_error")
    assert audited.trace_id == response.headers["X-Trace-Id"]


def test_at_most_a_hundred_faults_are_told(account: Account) -> None:
    body = {"request_id": "r", "items": [{}] * 50 + [{}] * 0, **{f"unknown_{n}": 1 for n in range(100)}}
    assert len(account.api.post("/video-batch", body).json()["errors"]) == 100


@pytest.mark.parametrize(
    ("limits", "body", "expected"),
    [
        ({"max_items_per_batch": 2}, order(3), (422, "batch_too_large")),
        ({}, order(2, max_credits=19), (422, "max_credits_exceeded")),
        ({"max_open_batches": 0}, order(1), (429, "too_many_open_batches")),
        ({}, order(0), (422, "validation_error")),
        ({}, order(1, request_id=None), (400, "request_id_required")),
        ({}, order(1, request_id=""), (400, "request_id_required")),
        ({}, order(1, request_id="x" * 256), (422, "validation_error")),
        ({}, order(1, request_id=17), (422, "validation_error")),
        ({}, order(1, request_id=["a"]), (422, "validation_error")),
        ({}, order(1, **{"x-request-id": "other"}), (400, "request_id_conflict")),
        ({}, order(1, deadline="2020-01-01T00:00:00Z"), (422, "validation_error")),
        ({}, order(1, max_credits=10**40), (422, "validation_error")),
    ],
)
def test_what_is_refused(limits: dict[str, int], body: dict[str, Any], expected: tuple[int, str]) -> None:
    response = make_account(1000, "Acme", **limits).api.post("/video-batch", body)
    assert code_of(response) == expected
    assert nothing_is_stored()
    assert ("Retry-After" in response.headers) == (expected[0] == 429)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"text"',
        b"null",
        b"\xff",
        b'{"request_id": "\xff"}',
        b'{"request_id": "a", "max_credits": NaN}',
        b'{"request_id": "a", "max_credits": Infinity}',
        b'{"request_id": "a", "max_credits": 1e999}',
        b'{"request_id": "a", "max_credits": ' + b"9" * 5000 + b"}",
        b'{"request_id": "\\ud800"}',
        b'{"request_id": "a", "items": [{"prompt": "\\udfff"}]}',
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"[" * 100_000,
        b'\xef\xbb\xbf{"request_id": "a"}',
    ],
)
def test_what_is_no_json_object_is_malformed(account: Account, raw: bytes) -> None:
    response = account.api.send("POST", "/video-batch", raw, "application/json")
    assert code_of(response) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ('APPLICATION/JSON; charset="UTF-8"', 201),
        ("application/json; charset=latin-1", 415),
        ("application/json; charset=utf-16", 415),
        ("application/jsonl", 415),
        ("text/json", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("nonsense", 415),
        ("", 415),
    ],
)
def test_only_json_in_utf_8_is_read(account: Account, content_type: str, status: int) -> None:
    response = account.api.send("POST", "/video-batch", json.dumps(order()).encode(), content_type)
    assert response.status_code == status
    if status == 415:
        assert code_of(response) == (415, "unsupported_media_type")


def test_a_body_over_the_limit_is_refused(account: Account) -> None:
    response = account.api.send("POST", "/video-batch", b" " * (16 * MIB + 1), "application/json")
    assert code_of(response) == (413, "payload_too_large")


def test_a_body_of_exactly_the_limit_is_read(account: Account) -> None:
    raw = json.dumps(order()).encode()
    raw += b" " * (16 * MIB - len(raw))
    assert account.api.send("POST", "/video-batch", raw, "application/json").status_code == 201


@pytest.mark.parametrize("length", [str(16 * MIB + 1), "9" * 5000])
def test_a_body_that_says_it_is_too_large_is_not_read(length: str) -> None:
    class Unread(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("the body was read")

    request = wsgi_request(Unread(), CONTENT_LENGTH=length)
    with pytest.raises(Problem) as refused:
        json_object(request)
    assert refused.value.code == "payload_too_large"


def test_a_chunked_body_is_read_to_its_end_and_within_the_limit() -> None:
    chunked = {"HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True}
    assert json_object(wsgi_request(BytesIO(b'{"a": 1}'), **chunked)) == {"a": 1}
    with pytest.raises(Problem) as refused:
        json_object(wsgi_request(BytesIO(b" " * (16 * MIB + 1)), **chunked))
    assert refused.value.code == "payload_too_large"


def wsgi_request(body: BytesIO, **environ: Any) -> WSGIRequest:
    base = {"REQUEST_METHOD": "POST", "wsgi.input": body, "CONTENT_TYPE": "application/json", "SERVER_NAME": "x"}
    return WSGIRequest({**base, "SERVER_PORT": "80", **environ})


def test_creating_ten_thousand_items_takes_as_many_statements_as_ten() -> None:
    account = make_account(1_000_000, max_items_per_batch=10_000)
    account.api.get("/wallet")  # The first use of a key is noted.
    statements = []
    for number, items in enumerate((10, 10_000)):
        with CaptureQueriesContext(connection) as captured:
            response = account.api.post("/video-batch", order(items, request_id=f"order-{number}"))
        assert response.status_code == 201
        statements.append([query["sql"].split()[0] for query in captured])
    assert statements[0] == statements[1]
    assert Item.objects.count() == 10_010


# --- idempotency ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({"request_id": "order-9"}, {}),
        ({"x-request-id": "order-9"}, {}),
        ({}, {"X-Request-Id": "order-9"}),
        ({}, {"Idempotency-Key": "order-9"}),
        ({}, {"Idempotency-Key": '"order-9"'}),
        (
            {"request_id": "order-9", "x-request-id": "order-9"},
            {"X-Request-Id": "order-9", "Idempotency-Key": '"order-9"'},
        ),
    ],
)
def test_a_request_id_is_the_same_in_each_of_its_places(
    account: Account, fields: dict[str, str], headers: dict[str, str]
) -> None:
    first = account.api.post("/video-batch", order(2, request_id="order-9"))
    again = account.api.post("/video-batch", {**order(2, request_id=None), **fields}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json() == first.json()
    assert (Batch.objects.count(), Entry.objects.filter(kind="reserve").count()) == (1, 1)


@pytest.mark.parametrize(
    "headers", [{"X-Request-Id": "other"}, {"Idempotency-Key": "other"}, {"Idempotency-Key": '"other"'}]
)
def test_different_request_ids_are_a_conflict(account: Account, headers: dict[str, str]) -> None:
    response = account.api.post("/video-batch", order(), headers=headers)
    assert code_of(response) == (400, "request_id_conflict")
    assert nothing_is_stored()


def test_a_header_in_utf_8_equals_the_same_text_in_the_body(account: Account) -> None:
    sent = "bestellung-ä-✓"
    as_wsgi_has_it = sent.encode().decode("latin-1")
    response = account.api.post("/video-batch", order(request_id=sent), headers={"X-Request-Id": as_wsgi_has_it})
    assert response.status_code == 201
    assert response.json()["request_id"] == sent


def test_another_body_under_the_same_id_is_refused_and_audited(account: Account) -> None:
    make_batch(account.api, 2)
    response = account.api.post("/video-batch", order(3))
    assert code_of(response) == (422, "request_id_reused")
    assert Batch.objects.count() == 1
    assert AuditEvent.objects.get().outcome == "request_id_reused"


def test_the_order_of_keys_does_not_make_another_body(account: Account) -> None:
    raw = b'{"request_id": "r", "metadata": {"a": "1", "b": "2"}, "items": [{"prompt": "x", "seconds": 4}]}'
    turned = b'{"items": [{"seconds": 4, "prompt": "x"}], "metadata": {"b": "2", "a": "1"}, "request_id": "r"}'
    assert account.api.send("POST", "/video-batch", raw, "application/json").status_code == 201
    assert account.api.send("POST", "/video-batch", turned, "application/json").status_code == 200


def test_a_replay_answers_even_when_the_body_would_be_refused_today(account: Account) -> None:
    soon = (timezone.now() + timedelta(hours=1)).isoformat()
    batch = make_batch(account.api, 5, deadline=soon)
    account.organization.max_items_per_batch = 1
    account.organization.max_open_batches = 0
    account.organization.save()
    response = account.api.post("/video-batch", order(5, deadline=soon))
    assert (response.status_code, response.json()["batch_id"]) == (200, batch.pk)


def test_a_replay_shows_the_batch_as_it_now_is(account: Account) -> None:
    end_batch(make_batch(account.api, 2), failed={1: FailureType.TIMEOUT})
    response = account.api.post("/video-batch", order(2))
    assert response.status_code == 200
    assert (response.json()["state"], response.json()["ledger"]["refunded"]) == ("partial", 10)


def test_a_request_id_belongs_to_an_organization_and_mode(account: Account) -> None:
    other = make_account(name="Other")
    answers = [api.post("/video-batch", order()) for api in (account.api, account.test_api, other.api)]
    assert [answer.status_code for answer in answers] == [201, 201, 201]


def at_once(api: Api, *bodies: dict[str, Any]) -> list[Any]:
    """Post the bodies at the same moment, each on a connection of its own."""
    start = threading.Barrier(len(bodies))

    def post(body: dict[str, Any]) -> Any:
        try:
            connection.ensure_connection()
            start.wait(10)
            return api.post("/video-batch", body)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(post, bodies))


@pytest.mark.django_db(transaction=True)
def test_twenty_equal_requests_at_once_make_one_batch_and_one_reserve() -> None:
    account = make_account(100)
    answers = at_once(account.api, *[order(10)] * 20)
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["batch_id"] for answer in answers}) == 1
    assert (Batch.objects.count(), Item.objects.count()) == (1, 10)
    assert [entry.amount for entry in Entry.objects.filter(kind="reserve", wallet__mode="live")] == [100]
    assert account.figures() == (0, 100, 0)


@pytest.mark.django_db(transaction=True)
def test_two_batches_at_once_on_a_wallet_that_can_pay_for_one() -> None:
    account = make_account(100)
    answers = at_once(account.api, order(10, request_id="a"), order(10, request_id="b"))
    assert sorted(answer.status_code for answer in answers) == [201, 402]
    refused = next(answer.json() for answer in answers if answer.status_code == 402)
    assert (refused["required"], refused["available"], refused["shortfall"]) == (100, 0, 100)
    assert account.figures() == (0, 100, 0)


# --- quote and catalogue -------------------------------------------------------------------------------------------


def test_a_quote_prices_by_model_and_length_and_stores_nothing(account: Account) -> None:
    body = order(2, request_id=None)
    body["items"] += [{"prompt": "x", "model": "veo-3", "seconds": 6}, {"prompt": "y", "seconds": 12}]
    response = account.api.post("/video-batch/quote", body)
    assert response.status_code == 200
    answer = response.json()
    assert list(answer) == ["ok", "credits", "available", "sufficient", "lines", "price_version"]
    assert (answer["credits"], answer["available"], answer["sufficient"]) == (20 + 73 + 30, 1000, True)
    assert answer["lines"] == [
        {"model": "sora-2", "seconds": 4, "count": 2, "unit_credits": 10, "credits": 20},
        {"model": "sora-2", "seconds": 12, "count": 1, "unit_credits": 30, "credits": 30},
        {"model": "veo-3", "seconds": 6, "count": 1, "unit_credits": 73, "credits": 73},
    ]
    assert nothing_is_stored()
    assert not AuditEvent.objects.exists()


def test_a_quote_of_faults_tells_them(account: Account) -> None:
    assert code_of(account.api.post("/video-batch/quote", {"items": [{}]})) == (422, "validation_error")


def test_a_quote_says_when_the_credits_do_not_suffice() -> None:
    assert make_account(5).api.post("/video-batch/quote", order()).json()["sufficient"] is False


def test_the_catalogue_lists_models_with_prices(account: Account) -> None:
    answer = account.api.get("/models").json()
    assert answer["next_cursor"] is None
    assert [(m["name"], m["credits"], m["base_seconds"], m["seconds"], m["status"]) for m in answer["data"]] == [
        ("sora-2", 10, 4, [4, 8, 12], "active"),
        ("sora-2-pro", 30, 4, [4, 8, 12], "active"),
        ("veo-3", 97, 8, [4, 6, 8], "active"),
    ]


# --- a batch on its way --------------------------------------------------------------------------------------------


def test_a_batch_shows_its_progress_and_then_its_totals(account: Account) -> None:
    batch = make_batch(account.api, 8)
    services.start(batch_ids=[batch.pk], now=timezone.now())
    end_items(
        batch, succeeded=[0, 1], failed={2: FailureType.TIMEOUT, 3: FailureType.CAPACITY, 4: FailureType.CAPACITY}
    )
    response = account.api.get(f"/video-batch/{batch.pk}")
    assert int(response.headers["Retry-After"]) > 0
    answer = response.json()
    assert (answer["state"], answer["status"]) == ("processing", "running")
    assert answer["summary"] == {"total": 8, "pending": 3, "running": 0, "succeeded": 2, "failed": 3}
    assert answer["ledger"] == {"reserved": 80, "settled": 0, "refunded": 0}
    ids = {item.index: item.pk for item in batch.items.all()}
    assert answer["failures"] == [
        {"type": "capacity", "count": 2, "sample_item_ids": [ids[3], ids[4]]},
        {"type": "timeout", "count": 1, "sample_item_ids": [ids[2]]},
    ]

    end_items(batch, succeeded=[5, 6, 7])
    assert services.finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    response = account.api.get(f"/video-batch/{batch.pk}")
    assert "Retry-After" not in response.headers
    final = response.json()
    assert (final["state"], final["status"]) == ("partial", "partial")
    assert final["summary"] == {"total": 8, "pending": 0, "running": 0, "succeeded": 5, "failed": 3}
    assert final["ledger"] == {"reserved": 80, "settled": 50, "refunded": 30}
    assert final["failures"] == answer["failures"]
    assert final["finished_at"].endswith("Z")


def test_at_most_five_items_stand_for_a_kind_of_failure(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 7), failed=dict.fromkeys(range(7), FailureType.TIMEOUT))
    (failure,) = account.api.get(f"/video-batch/{batch.pk}").json()["failures"]
    assert failure["count"] == 7
    first = list(batch.items.order_by("index").values_list("pk", flat=True)[:5])
    assert failure["sample_item_ids"] == first


@pytest.mark.parametrize(
    "address", ["nonsense", "bat_x", "bat_" + "0" * 26, "bat_%00", "bat_" + "I" * 26, "%F0%9F%90%88"]
)
def test_what_does_not_exist_is_not_found(account: Account, address: str) -> None:
    batch = make_batch(account.api)
    for path in ("", "/items", "/ledger", "/proof", "/proof/items.jsonl", "/items/itm_x"):
        assert code_of(account.api.get(f"/video-batch/{address}{path}")) == (404, "not_found")
    assert code_of(account.api.post(f"/video-batch/{address}/cancel")) == (404, "not_found")
    item_address = f"/video-batch/{batch.pk}/items/{address.replace('bat_', 'itm_')}"
    assert code_of(account.api.get(item_address)) == (404, "not_found")
    assert code_of(account.api.get(f"{item_address}/content")) == (404, "not_found")


def test_an_item_is_found_only_in_its_own_batch(account: Account) -> None:
    first, second = make_batch(account.api), make_batch(account.api, request_id="order-2")
    item = first.items.get()
    assert account.api.get(f"/video-batch/{first.pk}/items/{item.pk}").status_code == 200
    assert account.api.get(f"/video-batch/{second.pk}/items/{item.pk}").status_code == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_not_allowed(account: Account, method: str) -> None:
    response = account.api.send(method, "/video-batch", b"{}", "application/json")
    assert code_of(response) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD, POST"


def test_what_a_client_accepts_does_not_matter(account: Account) -> None:
    for accept in ("text/html", "application/xml", "nonsense"):
        response = account.api.get("/wallet", headers={"Accept": accept}, format="xml")
        assert (response.status_code, response.headers["Content-Type"]) == (200, "application/json")


# --- lists ---------------------------------------------------------------------------------------------------------


def test_a_list_of_a_hundred_batches_takes_a_constant_number_of_queries(
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    account = make_account(10_000)
    for number in range(100):
        batch = make_batch(account.api, 2, request_id=f"order-{number}")
        if number % 3 == 0:
            end_batch(batch, failed={0: FailureType.TIMEOUT})
    with django_assert_max_num_queries(4):
        answer = account.api.get("/video-batch", limit=100).json()
    assert len(answer["data"]) == 100
    assert answer["data"][0]["batch_id"] == batch.pk
    assert sum(len(batch["failures"]) for batch in answer["data"]) == 34
    assert "ok" not in answer["data"][0]


def test_pages_hold_still_while_batches_are_added(account: Account) -> None:
    made = [make_batch(account.api, request_id=f"order-{number}").pk for number in range(5)]
    first = account.api.get("/video-batch", limit=2).json()
    make_batch(account.api, request_id="later")
    second = account.api.get("/video-batch", limit=2, cursor=first["next_cursor"]).json()
    third = account.api.get("/video-batch", limit=2, cursor=second["next_cursor"]).json()
    assert [b["batch_id"] for page in (first, second, third) for b in page["data"]] == made[::-1]
    assert third["next_cursor"] is None


def test_batches_are_filtered(account: Account) -> None:
    ended = end_batch(make_batch(account.api, request_id="a"), failed={0: FailureType.TIMEOUT})
    running = make_batch(account.api, request_id="b")
    services.start(batch_ids=[running.pk], now=timezone.now())

    def found(**query: str) -> list[str]:
        return [batch["batch_id"] for batch in account.api.get("/video-batch", query).json()["data"]]

    assert found() == [running.pk, ended.pk]
    assert found(state="failed") == found(status="failed") == found(request_id="a") == [ended.pk]
    assert found(state="processing") == found(status="running") == [running.pk]
    assert found(status="succeeded") == found(request_id="unknown") == []
    at = running.created_at.astimezone(UTC).isoformat()
    assert found(created_after=at) == [running.pk]
    assert found(created_before=at) == [ended.pk]
    assert found(created_after="0001-01-01T00:00:00-14:00", created_before="9999-12-31T00:00:00Z") == [
        running.pk,
        ended.pk,
    ]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"limit": "9" * 5000}, {"limit": "-1"}, {"limit": "١"},
        {"limit": ""}, {"cursor": "x"}, {"cursor": "MQ=="}, {"cursor": "\0"}, {"cursor": ""}, {"cursor": "é"},
        {"state": "done"}, {"status": "refunded"}, {"state": "\0"}, {"request_id": "a\0b"},
        {"created_after": "yesterday"}, {"created_after": "2026-01-01"}, {"created_before": "2026-01-01T00:00:00"},
        {"created_after": "0001-01-01T00:00:00+14:00"}, {"created_before": "9999-12-31T23:59:59-14:00"},
        {"created_after": "\0"},
    ],
)  # fmt: skip
def test_a_parameter_that_cannot_be_understood_is_refused(account: Account, query: dict[str, str]) -> None:
    response = account.api.get("/video-batch", query)
    assert code_of(response) == (422, "validation_error")
    (name,) = query
    assert response.json()["errors"][0]["pointer"] == f"?{name}"


# --- items ---------------------------------------------------------------------------------------------------------


def test_an_item_is_as_documented(account: Account) -> None:
    body = order(0)
    body["items"] = [{"prompt": "A cat", "custom_id": "sku-1", "metadata": {"sku": "1"}, "seconds": 8}, {"prompt": "B"}]
    batch = Batch.objects.get(pk=account.api.post("/video-batch", body).json()["batch_id"])
    end_batch(batch, failed={1: FailureType.CONTENT_REFUSED})
    good, bad = batch.items.order_by("index")
    url = f"{settings.PUBLIC_BASE_URL}/api/enterprise/video-batch/{batch.pk}/items/{good.pk}/content"
    answer = account.api.get(f"/video-batch/{batch.pk}/items/{good.pk}").json()
    times = [answer.pop(name) for name in ("created_at", "started_at", "finished_at")]
    assert all(at.endswith("Z") for at in times)
    assert json.dumps(answer) == json.dumps(
        {
            "id": good.pk,
            "index": 0,
            "custom_id": "sku-1",
            "status": "succeeded",
            "model": "sora-2",
            "prompt": "A cat",
            "seconds": 8,
            "size": "1280x720",
            "metadata": {"sku": "1"},
            "credits": 20,
            "attempts": 1,
            "failure": None,
            "output": {
                "url": url,
                "content_type": "video/mp4",
                "bytes": len(VIDEO),
                "sha256": good.output.sha256,
                "duration_seconds": 4.0,
                "expires_at": None,
            },
            "refunded_at": None,
        }
    )
    failed = account.api.get(f"/video-batch/{batch.pk}/items/{bad.pk}").json()
    assert (failed["status"], failed["custom_id"], failed["output"]) == ("refunded", None, None)
    assert failed["failure"]["type"] == "content_refused"
    assert failed["failure"]["retryable"] is False
    assert failed["failure"]["message"]
    assert failed["refunded_at"].endswith("Z")


def test_items_come_by_index_and_are_filtered(
    account: Account, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    body = order(25)
    body["items"][7]["custom_id"] = "sku-7"
    batch = Batch.objects.get(pk=account.api.post("/video-batch", body).json()["batch_id"])
    end_batch(batch, failed={3: FailureType.TIMEOUT, 4: FailureType.CAPACITY})
    path = f"/video-batch/{batch.pk}/items"
    with django_assert_max_num_queries(4):
        first = account.api.get(path, limit=20).json()
    second = account.api.get(path, limit=20, cursor=first["next_cursor"]).json()
    assert [item["index"] for page in (first, second) for item in page["data"]] == list(range(25))

    def found(**query: str) -> list[int]:
        return [item["index"] for item in account.api.get(path, query).json()["data"]]

    assert found(status="refunded") == [3, 4]
    assert found(failure_type="capacity") == [4]
    assert found(custom_id="sku-7") == [7]
    assert found(custom_id="unknown") == []
    for wrong in (
        {"status": "done"},
        {"failure_type": "x"},
        {"custom_id": "\0"},
        {"cursor": "YmF0Xw=="},
        {"cursor": "LTE="},
    ):
        assert code_of(account.api.get(path, **wrong)) == (422, "validation_error")


# --- content -------------------------------------------------------------------------------------------------------


@pytest.fixture
def video(account: Account) -> str:
    """The address of a video."""
    batch = end_batch(make_batch(account.api))
    return str(account.api.get(f"/video-batch/{batch.pk}/items").json()["data"][0]["output"]["url"])


def test_content_is_the_whole_video(account: Account, video: str) -> None:
    response = account.api.get(video)
    assert (response.status_code, b"".join(response.streaming_content)) == (200, VIDEO)
    assert response.headers["Content-Type"] == "video/mp4"
    assert response.headers["Content-Length"] == str(len(VIDEO))
    assert response.headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-99", 0, 99),
        ("bytes=100-100", 100, 100),
        ("bytes=10000-", 10_000, len(VIDEO) - 1),
        ("bytes=-5", len(VIDEO) - 5, len(VIDEO) - 1),
        ("bytes=0-999999999", 0, len(VIDEO) - 1),
        ("bytes=-999999999", 0, len(VIDEO) - 1),
    ],
)
def test_content_comes_in_ranges(account: Account, video: str, asked: str, first: int, last: int) -> None:
    response = account.api.get(video, headers={"Range": asked})
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes {first}-{last}/{len(VIDEO)}"
    assert response.headers["Content-Length"] == str(last - first + 1)
    assert b"".join(response.streaming_content) == VIDEO[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={len(VIDEO)}-", "bytes=-0", "bytes=99999999-999999999"])
def test_a_range_outside_is_not_satisfiable(account: Account, video: str, asked: str) -> None:
    response = account.api.get(video, headers={"Range": asked})
    assert code_of(response) == (416, "range_not_satisfiable")
    assert response.headers["Content-Range"] == f"bytes */{len(VIDEO)}"


@pytest.mark.parametrize(
    "asked", ["bytes=5-1", "bytes=a-b", "lines=1-2", "bytes=0-1,5-6", "bytes=" + "9" * 5000 + "-", ""]
)
def test_what_is_no_single_range_is_answered_with_the_whole(account: Account, video: str, asked: str) -> None:
    response = account.api.get(video, headers={"Range": asked})
    assert (response.status_code, b"".join(response.streaming_content)) == (200, VIDEO)


def test_a_range_of_another_version_is_answered_with_the_whole(account: Account, video: str) -> None:
    etag = account.api.get(video).headers["ETag"]
    same = account.api.get(video, headers={"Range": "bytes=0-1", "If-Range": etag})
    other = account.api.get(video, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert (same.status_code, other.status_code) == (206, 200)


def test_head_answers_the_length_and_no_body(account: Account, video: str) -> None:
    response = account.api.send("HEAD", video)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Length"] == str(len(VIDEO))


def test_an_item_without_a_video_has_no_content(account: Account) -> None:
    batch = make_batch(account.api)
    response = account.api.get(f"/video-batch/{batch.pk}/items/{batch.items.get().pk}/content")
    assert code_of(response) == (404, "not_found")


def test_a_video_that_is_lost_is_our_failure(account: Account, video: str) -> None:
    default_storage.delete(Item.objects.get().output.video)
    assert code_of(account.api.get(video)) == (500, "internal_error")


# --- cancel, ledger, proof -----------------------------------------------------------------------------------------


def test_canceling_ends_what_was_not_submitted(account: Account) -> None:
    batch = make_batch(account.api, 3)
    response = account.api.post(f"/video-batch/{batch.pk}/cancel")
    assert response.status_code == 200
    answer = response.json()
    assert (answer["ok"], answer["state"], answer["ledger"]["refunded"]) == (True, "failed", 30)
    assert answer["failures"][0]["type"] == "canceled"
    assert code_of(account.api.post(f"/video-batch/{batch.pk}/cancel")) == (409, "batch_final")
    assert account.figures() == (1000, 0, 0)


def test_canceling_leaves_what_was_submitted(account: Account) -> None:
    batch = make_batch(account.api, 2)
    Item.objects.filter(batch=batch, index=0).update(status="running", stage="poll", attempts_made=1)
    answer = account.api.post(f"/video-batch/{batch.pk}/cancel").json()
    assert answer["summary"] == {"total": 2, "pending": 0, "running": 1, "succeeded": 0, "failed": 1}
    assert answer["ledger"] == {"reserved": 20, "settled": 0, "refunded": 0}


def test_the_ledger_of_a_batch_is_balanced_once_it_has_ended(account: Account) -> None:
    batch = make_batch(account.api, 3)
    path = f"/video-batch/{batch.pk}/ledger"
    open_ = account.api.get(path).json()
    assert [entry["kind"] for entry in open_["entries"]] == ["reserve"]
    assert open_["totals"] == {"reserved": 30, "settled": 0, "refunded": 0, "held": 30}
    assert open_["balanced"] is False
    end_batch(batch, failed={0: FailureType.TIMEOUT})
    final = account.api.get(path).json()
    assert list(final) == ["ok", "batch_id", "entries", "totals", "balanced"]
    assert [(entry["kind"], entry["amount"]) for entry in final["entries"]] == [
        ("reserve", 30),
        ("settle", 20),
        ("refund", 10),
    ]
    assert final["totals"] == {"reserved": 30, "settled": 20, "refunded": 10, "held": 0}
    assert final["balanced"] is True


def test_a_proof_is_served_as_the_bytes_that_were_fixed(account: Account) -> None:
    batch = make_batch(account.api, 3)
    path = f"/video-batch/{batch.pk}/proof"
    assert code_of(account.api.get(path)) == (409, "batch_not_final")
    assert code_of(account.api.get(f"{path}/items.jsonl")) == (409, "batch_not_final")
    end_batch(batch, failed={0: FailureType.TIMEOUT})
    response = account.api.get(path)
    assert response.headers["Content-Type"] == "application/json"
    assert sha256(response.content).hexdigest() == batch.proof.sha256
    items = b"".join(account.api.get(f"{path}/items.jsonl").streaming_content)
    assert sha256(items).hexdigest() == response.json()["items_sha256"]
    assert items.count(b"\n") == response.json()["items_count"] == 3
    assert response.json()["entries"] == account.api.get(f"/video-batch/{batch.pk}/ledger").json()["entries"]


def test_without_the_broker_a_batch_is_accepted_all_the_same(
    account: Account, settings: Settings, django_capture_on_commit_callbacks: Any
) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with django_capture_on_commit_callbacks(execute=True):
        assert account.api.post("/video-batch", order()).status_code == 201
