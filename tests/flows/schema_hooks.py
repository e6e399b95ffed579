"""What an OpenAPI document cannot say, told to schemathesis: it loads this file as its hooks, in a process of its own.

A schema describes one request by itself. Whether a valid one is accepted depends on more: on what is in the catalogue,
on other requests, on the clock. `before_call` makes a valid request meet that, so that positive_data_acceptance says
something about this API; `filter_failure` accepts the refusals that remain, by their stable codes. No check is off.
"""

import datetime as dt
import itertools
import os
import re
import uuid
from collections.abc import Callable
from typing import Any

import schemathesis
from schemathesis import Case, DeserializationContext, HookContext
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.openapi.checks import RejectedPositiveData

Body = dict[str, Any]
AnyCase = Case[Any]

# The key that all requests are sent with: revoking it, or giving it another secret, would end the run.
OWN_KEY_ID = os.environ.get("SCHEMA_OWN_KEY_ID", "")
# A port of loopback where nobody listens: no test calls another machine.
NOWHERE = "http://127.0.0.1:9"
# By model of the default catalogue: its seconds and sizes. A document that is the same for everybody cannot list them.
OFFER = {
    "sora-2": ((4, 8, 12), ("1280x720", "720x1280")),
    "sora-2-pro": ((4, 8, 12), ("1280x720", "720x1280", "1792x1024", "1024x1792")),
}
# Enough to show that lists work; each item is a clip that is rendered, and paid.
MOST_ITEMS = 3
ID_HEADERS = ("x-request-id", "idempotency-key")
# Refusals of valid requests, by what they depend on.
DEPENDS_ON_MORE = {
    "insufficient_credits": "what the wallet holds",
    "key_budget_exceeded": "what the key has used",
    "max_credits_exceeded": "prices",
    "batch_too_large": "the organization's limit, which is below that of the document",
    "model_retired": "the catalogue",
    "too_many_open_batches": "other batches",
    "nothing_to_retry": "what became of the batch's items",
    "range_not_satisfiable": "the size of the video",
}
# The same for faults: operation and pointer.
FAULTS_BY_MORE = {
    ("redeliverWebhook", ""): "its endpoint may be disabled or deleted",
    ("createWebhookEndpoint", ""): "an organization has so many endpoints at most",
    ("createWebhookEndpoint", "/url"): "another endpoint may have the address",
    ("changeWebhookEndpoint", "/url"): "another endpoint may have the address",
    ("replayWebhooks", ""): "its endpoint may be disabled",
    ("createKey", ""): "an organization has so many keys at most",
    ("rotateKey", ""): "it may be revoked, or worth more than the key that asks",
}

_numbers = itertools.count(1)
_cursors: dict[str, str] = {}


@schemathesis.deserializer("application/jsonl")
def json_lines(_context: DeserializationContext, response: Response) -> str:
    """Take lines of JSON as the text that the document says they are."""
    return str(response.text)


@schemathesis.hook
def before_call(_context: HookContext, case: AnyCase, _kwargs: dict[str, Any]) -> None:
    """Let a valid request meet the state of the system."""
    if OWN_KEY_ID and OWN_KEY_ID in case.path_parameters.values() and case.method != "GET":
        case.path_parameters["key_id"] = f"key_{'0' * 26}"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    _meet_query(case)
    if isinstance(case.body, dict):
        _meet_body(case, case.body)


@schemathesis.hook
def after_call(_context: HookContext, case: AnyCase, response: Response) -> None:
    """Remember a cursor of each list: only one that an answer gave is valid."""
    if response.status_code == 200 and response.headers["content-type"] == ["application/json"]:
        answer = response.json()
        if isinstance(answer, dict) and answer.get("next_cursor"):
            _cursors[case.operation.label] = answer["next_cursor"]


@schemathesis.hook
def filter_failure(_context: HookContext, failure: Failure, case: AnyCase, response: Response) -> bool:
    """Drop the failure of a valid request that was refused for what no schema knows; keep all others."""
    if not isinstance(failure, RejectedPositiveData):
        return True
    problem = response.json()
    if problem["code"] != "validation_error":
        return problem["code"] not in DEPENDS_ON_MORE
    name = case.operation.definition.raw.get("operationId")
    return not all((name, fault["pointer"]) in FAULTS_BY_MORE for fault in problem["errors"])


def _meet_query(case: AnyCase) -> None:
    if "cursor" in case.query:
        cursor = _cursors.get(case.operation.label)
        if cursor is None:
            del case.query["cursor"]
        else:
            case.query["cursor"] = cursor
    if case.query.get("tz"):
        case.query["tz"] = "Europe/Berlin"


def _meet_body(case: AnyCase, body: Body) -> None:
    if isinstance(body.get("items"), list):
        body["items"] = [_meet_item(item, index) for index, item in enumerate(body["items"][:MOST_ITEMS])]
    for name, value in FIELDS.items():
        if body.get(name) is not None:
            body[name] = value(body)
    if any(parameter.name.lower() == "x-request-id" for parameter in case.operation.headers):
        _give_request_id(case, body)


def _meet_item(item: Body, index: int) -> Body:
    """Order what is on offer; at most one item of a batch has a custom_id, which is unique there."""
    model = item.get("model") if item.get("model") in OFFER else "sora-2"
    seconds, sizes = OFFER[str(model)]
    met = {**item, "prompt": re.sub(r"\[\[", "[", str(item["prompt"]))}
    if "model" in item:
        met["model"] = model
    if item.get("seconds") is not None:
        met["seconds"] = seconds[0]
    if item.get("size") is not None:
        met["size"] = sizes[len(str(item["size"])) % len(sizes)]
    if index and item.get("custom_id") is not None:
        met["custom_id"] = None
    return met


def _give_request_id(case: AnyCase, body: Body) -> None:
    """Send one new request id, in one of the four places where it may stand."""
    request_id = f"schema-{uuid.uuid4()}"
    for name in [name for name in case.headers if name.lower() in ID_HEADERS]:
        del case.headers[name]
    body.pop("request_id", None)
    body.pop("x-request-id", None)
    place = next(_numbers) % 4
    if place < 2:
        body[("request_id", "x-request-id")[place]] = request_id
    else:
        case.headers[("X-Request-Id", "Idempotency-Key")[place - 2]] = request_id


def _tomorrow(_body: Body) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(days=1)).isoformat()


def _address(_body: Body) -> str:
    return f"{NOWHERE}/{next(_numbers)}"


def _after_the_other(body: Body) -> Any:
    return "2100-01-01T00:00:00Z" if body.get("created_after") else body["created_before"]


def _before_the_other(body: Body) -> Any:
    return "2020-01-01T00:00:00Z" if body.get("created_before") else body["created_after"]


# What fields are given, where a valid request has them.
FIELDS: dict[str, Callable[[Body], Any]] = {
    "deadline": _tomorrow,
    "expires_at": _tomorrow,
    "url": _address,
    "webhook_url": _address,
    "created_after": _before_the_other,
    "created_before": _after_the_other,
    "allowed_networks": lambda _body: ["127.0.0.1"],
}
