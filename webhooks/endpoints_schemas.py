"""Webhook endpoints in OpenAPI: components, operations, and the event that tests one."""

from typing import Any

from sora2.operations import (
    FLAG,
    INSTANT,
    NUMBER,
    PAGING,
    TEXT,
    UNREADABLE,
    URL,
    Answer,
    Operation,
    Schema,
    choice,
    free_text,
    identifier,
    in_path,
    list_of,
    nullable,
    page,
    query,
    record,
    ref,
    said,
    webhook,
)
from webhooks.endpoints import OVERLAP_HOURS, OVERLAP_HOURS_MOST
from webhooks.guarded import URL_MAX_BYTES
from webhooks.health import HealthState
from webhooks.intake import DESCRIPTION_MAX
from webhooks.models import EventType, default_events
from webhooks.schemas import EXAMPLE_DELIVERY

READ, WRITE = "webhooks:read", "webhooks:write"
ENDPOINT = in_path("endpoint_id", "whe")
COUNT: Schema = {"type": "integer", "minimum": 0}
SECRET: Schema = {
    "type": "string",
    "pattern": "^whsec_[A-Za-z0-9+/]{43}=$",
    "description": "What it signs with. Shown this once: keep it.",
}

_EVENTS = {**list_of(choice(EventType.values), minItems=1), "uniqueItems": True}
_ADDRESS = said(
    {**URL, "maxLength": URL_MAX_BYTES}, "An https:// address. Another endpoint of the mode cannot have it too."
)
_SETTABLE = {
    "url": _ADDRESS,
    "events": said(_EVENTS, f"What it wants to be told; if missing, {', '.join(default_events())}."),
    "description": said(free_text(maxLength=DESCRIPTION_MAX), "Your own words."),
    "enabled": said(FLAG, "Whether anything is sent to it; if missing, true."),
}
_ENDPOINT = {
    "id": identifier("whe"),
    "url": TEXT,
    "events": list_of(TEXT),
    "description": TEXT,
    "enabled": FLAG,
    "disabled_reason": nullable(TEXT),
    "livemode": FLAG,
    "created_at": INSTANT,
    "secret_rotating_until": said(nullable(INSTANT), "Until when the secret of before signs too."),
    "health": ref("WebhookHealth"),
}
DESCRIPTION = "An address that is told of events, and how it does. Its secret is not shown."


def _closed(schema: Schema) -> Schema:
    return {**schema, "additionalProperties": False}


COMPONENTS: dict[str, Schema] = {
    "WebhookEndpoint": record(DESCRIPTION, _ENDPOINT),
    "WebhookEndpointAnswer": record(DESCRIPTION, {"ok": {"const": True}, **_ENDPOINT}),
    "WebhookEndpointCreated": record(
        "The new endpoint, with its secret.", {"ok": {"const": True}, **_ENDPOINT, "secret": SECRET}
    ),
    "WebhookEndpointPage": page("WebhookEndpoint"),
    "WebhookHealth": record(
        "How an endpoint does; the figures are of the attempts that ended in the last 24 hours.",
        state=choice(list(HealthState)),
        failing_since=said(nullable(INSTANT), "When the first of the failures began since anything was taken."),
        consecutive_failures=COUNT,
        paused_until=said(nullable(INSTANT), "Nothing is sent before: it has asked for patience, or was away."),
        next_attempt_at=nullable(INSTANT),
        pending=said(COUNT, "Deliveries that wait."),
        attempts_24h=COUNT,
        success_rate=said(nullable({"type": "number", "minimum": 0, "maximum": 1}), "Null without attempts."),
        p50_ms=nullable(COUNT),
        p95_ms=nullable(COUNT),
        disabled_at=said(nullable(INSTANT), "When it is disabled if it goes on failing; null while it works."),
    ),
    "WebhookEndpointOrder": _closed(
        record(
            "A new endpoint.",
            optional=["events", "description", "enabled"],
            **{name: schema if name == "url" else nullable(schema) for name, schema in _SETTABLE.items()},
        )
    ),
    "WebhookEndpointChange": {
        **_closed(record("What to change.", optional=list(_SETTABLE), **_SETTABLE)),
        "minProperties": 1,
    },
    "WebhookEndpointDeleted": record(ok={"const": True}, id=identifier("whe"), deleted={"const": True}),
    "SecretRotation": _closed(
        record(
            optional=["overlap_hours"],
            overlap_hours=said(
                nullable({**NUMBER, "minimum": 0, "maximum": OVERLAP_HOURS_MOST, "default": OVERLAP_HOURS}),
                "For how long the old secret signs too.",
            ),
        )
    ),
    "RotatedSecret": record(
        ok={"const": True},
        id=identifier("whe"),
        secret=SECRET,
        secret_rotating_until=said(nullable(INSTANT), "Until when the old secret signs too; null if it ended at once."),
    ),
    "ReplayOrder": {
        **_closed(
            record(
                "Which of the ended deliveries to the endpoint: of a time, or those that have not arrived.",
                optional=["created_after", "created_before", "events", "undelivered", "dry_run"],
                created_after=said(nullable(INSTANT), "From this time on (inclusive)."),
                created_before=said(nullable(INSTANT), "Before this time (exclusive)."),
                events=said(nullable(_EVENTS), "If missing, what the endpoint is subscribed to."),
                undelivered=said(nullable(FLAG), "Leave out what has arrived."),
                dry_run=said(nullable(FLAG), "Only count."),
            )
        ),
        "anyOf": [
            {"required": ["created_after"], "properties": {"created_after": TEXT}},
            {"required": ["created_before"], "properties": {"created_before": TEXT}},
            {"required": ["undelivered"], "properties": {"undelivered": {"const": True}}},
        ],
    },
    "ReplayCount": record("How many would be sent.", ok={"const": True}, dry_run={"const": True}, count=COUNT),
    "Replayed": record("How many are sent.", ok={"const": True}, dry_run={"const": False}, count=COUNT),
    "WebhookTest": record(
        "Sent to one endpoint, when it is asked for. Nothing has happened.",
        event={"const": "webhook.test"},
        endpoint_id=identifier("whe"),
        message=TEXT,
        timestamp=said(INSTANT, "When the test was asked for."),
        event_id=identifier("evt"),
        livemode=FLAG,
    ),
}

_ID = "01kadf7q2m3n4p5r6s7t8v9w0x"
EXAMPLE_ORDER: dict[str, Any] = {
    "url": "https://example.com/hook",
    "events": ["batch.completed", "credits.low"],
    "description": "Orders",
}
EXAMPLE_ENDPOINT: dict[str, Any] = {
    "ok": True,
    "id": f"whe_{_ID}",
    **EXAMPLE_ORDER,
    "enabled": True,
    "disabled_reason": None,
    "livemode": True,
    "created_at": "2026-01-24T10:00:00.000000Z",
    "secret_rotating_until": None,
    "health": {
        "state": "healthy",
        "failing_since": None,
        "consecutive_failures": 0,
        "paused_until": None,
        "next_attempt_at": None,
        "pending": 0,
        "attempts_24h": 0,
        "success_rate": None,
        "p50_ms": None,
        "p95_ms": None,
        "disabled_at": None,
    },
}
EXAMPLE_ENDPOINT_PAGE: dict[str, Any] = {
    "ok": True,
    "data": [{name: value for name, value in EXAMPLE_ENDPOINT.items() if name != "ok"}],
    "next_cursor": None,
}
# Not a secret: the base64 of 32 zeros.
EXAMPLE_SECRET = f"whsec_{'A' * 43}="
EXAMPLE_TESTED: dict[str, Any] = {
    **EXAMPLE_DELIVERY,
    "event": "webhook.test",
    "batch_id": None,
    "state": "delivered",
    "next_attempt_at": None,
    "attempts": [
        {**EXAMPLE_DELIVERY["attempts"][0], "trigger": "test", "status_code": 200, "response": "thanks"},
    ],
}
EXAMPLE_TEST: dict[str, Any] = {
    "event": "webhook.test",
    "endpoint_id": f"whe_{_ID}",
    "message": "This is a test. Nothing has happened.",
    "timestamp": "2026-01-24T10:00:00.000000Z",
    "event_id": f"evt_{_ID}",
    "livemode": True,
}

WEBHOOKS: dict[str, Schema] = {
    "webhook.test": webhook("onWebhookTest", "A test of one endpoint", ref("WebhookTest"), EXAMPLE_TEST),
}

LIST_ENDPOINTS = Operation(
    name="listWebhookEndpoints",
    tag="Webhooks",
    summary="List webhook endpoints with their health, newest first",
    scope=READ,
    parameters=[query("enabled", choice(["true", "false"]), "Only those that are, or are not."), *PAGING],
    answers={200: Answer("A page of endpoints.", ref("WebhookEndpointPage"), example=EXAMPLE_ENDPOINT_PAGE)},
    errors=["validation_error"],
)
CREATE_ENDPOINT = Operation(
    name="createWebhookEndpoint",
    tag="Webhooks",
    summary="Create a webhook endpoint",
    scope=WRITE,
    request=ref("WebhookEndpointOrder"),
    request_example=EXAMPLE_ORDER,
    answers={
        201: Answer(
            "The endpoint was created. Its secret is shown this once.",
            ref("WebhookEndpointCreated"),
            headers={"Location": "The address of the endpoint."},
            example={**EXAMPLE_ENDPOINT, "secret": EXAMPLE_SECRET},
        )
    },
    errors=[*UNREADABLE, "validation_error"],
)
SHOW_ENDPOINT = Operation(
    name="showWebhookEndpoint",
    tag="Webhooks",
    summary="Show a webhook endpoint with its health",
    scope=READ,
    parameters=[ENDPOINT],
    answers={200: Answer("The endpoint.", ref("WebhookEndpointAnswer"), example=EXAMPLE_ENDPOINT)},
    errors=["not_found"],
)
CHANGE_ENDPOINT = Operation(
    name="changeWebhookEndpoint",
    tag="Webhooks",
    summary="Change a webhook endpoint, or switch it on or off",
    scope=WRITE,
    parameters=[ENDPOINT],
    request=ref("WebhookEndpointChange"),
    request_example={"enabled": True},
    answers={200: Answer("The endpoint as it now is.", ref("WebhookEndpointAnswer"), example=EXAMPLE_ENDPOINT)},
    errors=[*UNREADABLE, "not_found", "validation_error"],
)
DELETE_ENDPOINT = Operation(
    name="deleteWebhookEndpoint",
    tag="Webhooks",
    summary="Delete a webhook endpoint; its deliveries stay on record",
    scope=WRITE,
    parameters=[ENDPOINT],
    answers={
        200: Answer(
            "The endpoint was deleted.",
            ref("WebhookEndpointDeleted"),
            example={"ok": True, "id": f"whe_{_ID}", "deleted": True},
        )
    },
    errors=["not_found"],
)
TEST_ENDPOINT = Operation(
    name="testWebhookEndpoint",
    tag="Webhooks",
    summary="Send the event webhook.test to an endpoint, once",
    scope=WRITE,
    parameters=[ENDPOINT],
    answers={
        200: Answer(
            "The delivery of the test, which has ended: `skipped` where the endpoint is disabled.",
            ref("WebhookDeliveryAnswer"),
            example=EXAMPLE_TESTED,
        ),
        202: Answer(
            "The delivery of the test, which has not ended within five seconds.",
            ref("WebhookDeliveryAnswer"),
            headers={"Location": "The address of the delivery: look there how it ended."},
            example={
                **EXAMPLE_TESTED,
                "state": "pending",
                "next_attempt_at": EXAMPLE_DELIVERY["created_at"],
                "attempts": [],
            },
        ),
    },
    errors=["not_found"],
)
ROTATE_SECRET = Operation(
    name="rotateWebhookSecret",
    tag="Webhooks",
    summary="Give an endpoint a new secret; the old one signs too for a while",
    scope=WRITE,
    parameters=[ENDPOINT],
    request=ref("SecretRotation"),
    request_required=False,
    request_example={"overlap_hours": OVERLAP_HOURS},
    answers={
        200: Answer(
            "The new secret, shown this once.",
            ref("RotatedSecret"),
            example={
                "ok": True,
                "id": f"whe_{_ID}",
                "secret": EXAMPLE_SECRET,
                "secret_rotating_until": "2026-01-25T10:00:00.000000Z",
            },
        )
    },
    errors=[*UNREADABLE, "not_found", "validation_error"],
)
REPLAY = Operation(
    name="replayWebhooks",
    tag="Webhooks",
    summary="Send the deliveries of a time, or what has not arrived, to an endpoint again",
    scope=WRITE,
    parameters=[ENDPOINT],
    request=ref("ReplayOrder"),
    request_example={"created_after": "2026-01-24T00:00:00Z", "undelivered": True, "dry_run": True},
    answers={
        200: Answer(
            "With `dry_run`: how many would be sent again.",
            ref("ReplayCount"),
            example={"ok": True, "dry_run": True, "count": 17},
        ),
        202: Answer(
            "They are sent again, each event under the same id.",
            ref("Replayed"),
            example={"ok": True, "dry_run": False, "count": 17},
        ),
    },
    errors=[*UNREADABLE, "not_found", "validation_error"],
)
