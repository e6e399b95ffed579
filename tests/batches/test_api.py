"""Creating batches over HTTP: what is accepted, what is refused and how."""

import json
from datetime import datetime
from io import BytesIO
from typing import Any

import pytest
from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from batches.models import Batch, Item
from customers.models import AuditEvent, Mode
from ledger.models import Entry
from sora2.api import Problem, json_object
from tests.factories import Account, code_of, make_account, order

pytestmark = pytest.mark.django_db

MIB = 2**20


def nothing_is_stored() -> bool:
    reserves = Entry.objects.filter(kind="reserve")
    return not (Batch.objects.exists() or Item.objects.exists() or reserves.exists())


# --- creating --------------------------------------------------------------------------------------------------------


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


def test_the_order_of_the_pilot_mail_is_taken(account: Account) -> None:
    body = {
        "items": [{"prompt": f"A cat playing piano, {number}", "model": "sora-2"} for number in range(20)],
        "webhook_url": "https://your-domain.com/webhook",
        "x-request-id": "pilot-1769248800",
    }
    response = account.api.post("/video-batch", body)
    assert response.status_code == 201
    answer = response.json()
    assert answer["batch_id"].startswith("bat_")
    assert (answer["state"], answer["request_id"], answer["summary"]["total"]) == ("queued", "pilot-1769248800", 20)
    assert answer["webhook_url"] == "https://your-domain.com/webhook"


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


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ({"items": [{"prompt": "a"}]}, "request_id_required"),
        ({"request_id": "a", "x-request-id": "b"}, "request_id_conflict"),
        ({"request_id": 5}, "validation_error"),
        ([], "malformed_json"),
    ],
)
def test_every_refusal_leaves_an_audit_event(account: Account, body: object, outcome: str) -> None:
    assert account.api.post("/video-batch", body).status_code in (400, 422)
    assert AuditEvent.objects.get().outcome == outcome


def test_a_prompt_may_be_anything_that_is_not_empty(account: Account) -> None:
    assert account.api.post("/video-batch", {"request_id": "r", "items": [{"prompt": " "}]}).status_code == 201


def test_faults_that_do_not_depend_on_an_unknown_model_are_told_with_it(account: Account) -> None:
    item = {"prompt": "a", "model": "zz", "custom_id": "", "metadata": 5}
    faults = account.api.post("/video-batch", {"request_id": "r", "items": [item]}).json()["errors"]
    assert {fault["pointer"] for fault in faults} == {"/items/0/model", "/items/0/custom_id", "/items/0/metadata"}


@pytest.mark.parametrize("deadline", ["29991201T000000Z", "2999-W50-1T00:00:00Z", "2999-12-01T00:00Z", "2999-12-01"])
def test_a_deadline_is_rfc_3339(account: Account, deadline: str) -> None:
    assert account.api.post("/video-batch", order(1, deadline=deadline)).status_code == 422


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


# --- quote and catalogue ---------------------------------------------------------------------------------------------


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
