"""API keys in OpenAPI: components and operations."""

from typing import Any

from customers.access import SCOPES
from customers.intake import CREDITS_MAX, NAME_MAX, NETWORKS_MOST
from customers.issuing import OVERLAP_HOURS, OVERLAP_HOURS_MOST
from customers.models import Mode
from sora2.operations import (
    CREDITS,
    FLAG,
    INSTANT,
    NUMBER,
    PAGING,
    TEXT,
    UNREADABLE,
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
    record,
    ref,
    said,
    text,
)

SCOPE = "keys:write"
KEY = in_path("key_id", "key")
SECRET: Schema = {
    "type": "string",
    "pattern": "^s2_(live|test)_[0-9A-Za-z]{36}$",
    "description": "What to send in `X-API-Key`. Shown this once: keep it.",
}
# Not blank, and no NUL.
NAME = r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
_SCOPES = {**list_of(choice(SCOPES), minItems=1), "uniqueItems": True}
_KEY = {
    "id": identifier("key"),
    "name": TEXT,
    "hint": said(TEXT, "How its secret begins."),
    "mode": choice(Mode.values),
    "livemode": FLAG,
    "scopes": list_of(TEXT),
    "created_at": INSTANT,
    "created_by": said(nullable(TEXT), "The key that made it, or who of us did."),
    "expires_at": nullable(INSTANT),
    "revoked_at": nullable(INSTANT),
    "last_used_at": said(nullable(INSTANT), "To the minute."),
    "budget_credits": said(nullable(CREDITS), "What its batches may hold and be charged together; null: no limit."),
    "used_credits": said(CREDITS, "What they hold and were charged: reserved less refunded."),
    "remaining_credits": nullable(CREDITS),
    "allowed_networks": said(list_of(TEXT), "From where it may be used; empty: from anywhere."),
    "last_refused": said(
        nullable(record(at=INSTANT, address=nullable(TEXT))),
        "When it was last refused because of where it came from, to ten minutes, and the address we saw.",
    ),
    "secret_rotating_until": said(nullable(INSTANT), "Until when the secret of before works too."),
}
DESCRIPTION = "An API key. Its secret is not shown."


def _closed(schema: Schema) -> Schema:
    return {**schema, "additionalProperties": False}


COMPONENTS: dict[str, Schema] = {
    "Key": record(DESCRIPTION, _KEY),
    "KeyAnswer": record(DESCRIPTION, {"ok": {"const": True}, **_KEY}),
    "KeyWithSecret": record("The key with its new secret.", {"ok": {"const": True}, **_KEY, "secret": SECRET}),
    "KeyPage": page("Key"),
    "KeyOrder": _closed(
        record(
            "A new key, of the mode of the key that asks. It can have nothing that this one has not itself.",
            optional=["expires_at", "budget_credits", "allowed_networks"],
            name=said(text(minLength=1, maxLength=NAME_MAX, pattern=NAME), "Your own words."),
            scopes=said(_SCOPES, "What it may do."),
            expires_at=said(nullable(INSTANT), "If missing, when the key that asks expires."),
            budget_credits=said(
                nullable({**CREDITS, "maximum": CREDITS_MAX}),
                "What its batches may hold and be charged together. Comes off the budget of the key that asks, "
                "if that has one; it is needed then.",
            ),
            allowed_networks=said(
                nullable(list_of(free_text(minLength=1), maxItems=NETWORKS_MOST)),
                "Networks such as 203.0.113.0/24, or addresses. If missing, those of the key that asks.",
            ),
        )
    ),
    "KeyRotation": _closed(
        record(
            optional=["overlap_hours"],
            overlap_hours=said(
                nullable({**NUMBER, "minimum": 0, "maximum": OVERLAP_HOURS_MOST, "default": OVERLAP_HOURS}),
                "For how long the old secret works too.",
            ),
        )
    ),
}

_ID = "01kadf7q2m3n4p5r6s7t8v9w0x"
EXAMPLE_ORDER: dict[str, Any] = {
    "name": "Nightly renders",
    "scopes": ["batches:write", "batches:read"],
    "expires_at": "2027-01-24T10:00:00Z",
    "budget_credits": 5000,
    "allowed_networks": ["203.0.113.0/24"],
}
EXAMPLE_KEY: dict[str, Any] = {
    "ok": True,
    "id": f"key_{_ID}",
    "name": "Nightly renders",
    "hint": "s2_live_4fQz",
    "mode": "live",
    "livemode": True,
    "scopes": ["batches:write", "batches:read"],
    "created_at": "2026-01-24T10:00:00.000000Z",
    "created_by": "key_01kadf7q2m3n4p5r6s7t8v9w0y",
    "expires_at": "2027-01-24T10:00:00.000000Z",
    "revoked_at": None,
    "last_used_at": None,
    "budget_credits": 5000,
    "used_credits": 0,
    "remaining_credits": 5000,
    "allowed_networks": ["203.0.113.0/24"],
    "last_refused": None,
    "secret_rotating_until": None,
}
EXAMPLE_PAGE: dict[str, Any] = {
    "ok": True,
    "data": [{name: value for name, value in EXAMPLE_KEY.items() if name != "ok"}],
    "next_cursor": None,
}
# Not a secret: its checksum is wrong.
EXAMPLE_SECRET = f"s2_live_4fQz{'0' * 32}"

LIST_KEYS = Operation(
    name="listKeys",
    tag="Keys",
    summary="List the API keys of the mode, newest first; never a secret",
    scope=SCOPE,
    parameters=[*PAGING],
    answers={200: Answer("A page of keys.", ref("KeyPage"), example=EXAMPLE_PAGE)},
    errors=["validation_error"],
)
CREATE_KEY = Operation(
    name="createKey",
    tag="Keys",
    summary="Create an API key that can do no more than the one that asks",
    scope=SCOPE,
    request=ref("KeyOrder"),
    request_example=EXAMPLE_ORDER,
    answers={
        201: Answer(
            "The key was created. Its secret is shown this once.",
            ref("KeyWithSecret"),
            headers={"Location": "The address of the key."},
            example={**EXAMPLE_KEY, "secret": EXAMPLE_SECRET},
        )
    },
    errors=[*UNREADABLE, "validation_error"],
)
SHOW_KEY = Operation(
    name="showKey",
    tag="Keys",
    summary="Show an API key",
    scope=SCOPE,
    parameters=[KEY],
    answers={200: Answer("The key.", ref("KeyAnswer"), example=EXAMPLE_KEY)},
    errors=["not_found"],
)
ROTATE_KEY = Operation(
    name="rotateKey",
    tag="Keys",
    summary="Give an API key a new secret; the old one works too for a while",
    scope=SCOPE,
    parameters=[KEY],
    request=ref("KeyRotation"),
    request_required=False,
    request_example={"overlap_hours": OVERLAP_HOURS},
    answers={
        200: Answer(
            "The key with its new secret, shown this once.",
            ref("KeyWithSecret"),
            example={
                **EXAMPLE_KEY,
                "secret_rotating_until": "2026-01-25T10:00:00.000000Z",
                "secret": EXAMPLE_SECRET,
            },
        )
    },
    errors=[*UNREADABLE, "not_found", "validation_error"],
)
REVOKE_KEY = Operation(
    name="revokeKey",
    tag="Keys",
    summary="Revoke an API key, from the next request on; twice changes nothing",
    scope=SCOPE,
    parameters=[KEY],
    answers={
        200: Answer(
            "The key as it now is.",
            ref("KeyAnswer"),
            example={**EXAMPLE_KEY, "revoked_at": "2026-01-24T10:00:00.000000Z"},
        )
    },
    errors=["not_found"],
)
