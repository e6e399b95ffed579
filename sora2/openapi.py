"""`/openapi.json`: the OpenAPI 3.1 document of the whole API. It is the same for everybody, and made once."""

import functools
from typing import Any

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator

from batches import events_schemas as events
from batches import schemas as batches
from batches import timeline_schemas as timeline
from customers import keys_schemas as keys
from ledger import schemas as ledger
from ledger import seals_schemas as seals
from ledger import statements_schemas as statements
from pilots import schemas as pilots
from sora2.api import BASE_PATH, PROBLEMS
from sora2.operations import CREDITS, NUMBER, TEXT, URL, Schema, choice, list_of, nullable, record, said
from sora2.problem_examples import problem_examples
from webhooks import endpoints_schemas as endpoints
from webhooks import schemas as webhooks

INTRODUCTION = """\
Batches of video jobs on prepaid credits. The whole cost of a batch is frozen when it is accepted; each item runs on its
own; only what succeeded is charged, the rest is refunded.

**Keys.** Send yours in the header `X-API-Key`. Each operation names the scope that it needs. A test key (`s2_test_…`)
spends the test wallet and runs on a simulator; what is of the other mode, or of somebody else, is 404.

**Errors** are RFC 9457 `application/problem+json` with a stable `code` and a `trace_id`, which is also the header
`X-Trace-Id` of every answer. Beside those that an operation names, a method that an address does not have is 405
`method_not_allowed`, and a failure on our side 500 `internal_error`.

**Sending again.** Where no answer came, send the same request with the same request id: it never makes two batches.

**Pages.** A list answers `next_cursor`; pass it as `cursor` until it is null. Lists stay stable while rows are added.

**Pace.** `RateLimit-*` on every answer say what is left; `Retry-After` says when to ask again, also for a batch that
has not ended.
"""
TAGS = {
    "Batches": "Price, create, follow, cancel and retry batches of videos.",
    "Items": "The videos of a batch, one by one, and their files.",
    "Ledger": "Every movement of credits: the wallet, its entries, statements, seals, and the proof of a batch.",
    "Keys": "The keys of the organization: make, rotate and revoke them.",
    "Models": "What can be made, and what it costs.",
    "Pilot": "How a pilot stands.",
    "Webhooks": "Where events are sent, how they arrived, and how they are sent again.",
}
PROBLEM = record(
    "An error (RFC 9457). `code` is stable; further members depend on it.",
    optional=[
        *("errors", "scope", "required", "available", "shortfall", "max_credits", "items", "limit"),
        *("replacement", "retried_in", "budget", "used", "remaining"),
    ],
    ok={"const": False},
    type=URL,
    title=TEXT,
    status={"type": "integer", "minimum": 400, "maximum": 599},
    detail=said(TEXT, "What happened and what to do."),
    code=choice(list(PROBLEMS)),
    trace_id=said(TEXT, "Also the header X-Trace-Id. Tell it to support."),
    errors=list_of(record(pointer=said(TEXT, "A JSON pointer, or `?name` of a parameter."), code=TEXT, detail=TEXT)),
    scope=TEXT,
    required=CREDITS,
    available=CREDITS,
    shortfall=CREDITS,
    budget=said(CREDITS, "Of the key; `used` and `remaining` are of it."),
    used=CREDITS,
    remaining=CREDITS,
    max_credits=CREDITS,
    items=NUMBER,
    limit=NUMBER,
    replacement=said(nullable(TEXT), "The model to take instead of one that is retired."),
    retried_in=said(nullable(TEXT), "The batch in which items were tried anew already."),
)
HEADERS: dict[str, Schema] = {
    "X-Trace-Id": {"schema": TEXT, "description": "The id of this HTTP request."},
    "RateLimit-Limit": {"schema": NUMBER, "description": "Requests in 60 seconds."},
    "RateLimit-Remaining": {"schema": NUMBER, "description": "What is left of them."},
    "RateLimit-Reset": {"schema": NUMBER, "description": "Seconds until more are free."},
    "Retry-After": {"schema": NUMBER, "description": "When to try again, in seconds."},
}


@require_safe
def openapi_json(_request: HttpRequest) -> JsonResponse:
    """Answer the document, to anybody."""
    return JsonResponse(document(), headers={"Access-Control-Allow-Origin": "*"})


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    return {**_paths(), "servers": [{"url": settings.PUBLIC_BASE_URL}]}


@functools.lru_cache(maxsize=1)
def _paths() -> dict[str, Any]:
    """Collect what the views say of themselves, and add what they share."""
    found = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return {
        "openapi": settings.SPECTACULAR_SETTINGS["OAS_VERSION"],
        "info": {**found["info"], "description": INTRODUCTION},
        "tags": [{"name": name, "description": description} for name, description in TAGS.items()],
        "paths": {path: operations for path, operations in found["paths"].items() if path.startswith(BASE_PATH)},
        "webhooks": {**events.WEBHOOKS, **endpoints.WEBHOOKS},
        "components": {
            "schemas": {
                "Problem": PROBLEM,
                **batches.COMPONENTS,
                **timeline.COMPONENTS,
                **events.COMPONENTS,
                **ledger.COMPONENTS,
                **seals.COMPONENTS,
                **statements.COMPONENTS,
                **pilots.COMPONENTS,
                **webhooks.COMPONENTS,
                **endpoints.COMPONENTS,
                **keys.COMPONENTS,
            },
            "examples": problem_examples(),
            "headers": HEADERS,
            "securitySchemes": {
                "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`s2_live_…`"}
            },
        },
    }
