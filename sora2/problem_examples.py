"""An example of every error that the API answers, for OpenAPI."""

from typing import Any

from sora2.api import PROBLEMS

HOST, TRACE_ID = "https://api.example.com", "trc_01kadf7q2m3n4p5r6s7t8v9w0x"

# What the example of a code says, and the members that such an error has of its own. Without a line here an example
# says its title, which every code has.
SAID: dict[str, tuple[str, dict[str, Any]]] = {
    "malformed_json": ('The body must be a JSON object: {"…": …}.', {}),
    "request_id_required": (
        "Send a request id of your own: request_id in the body, or the header X-Request-Id or Idempotency-Key.",
        {},
    ),
    "request_id_conflict": ("Several request ids were sent, and they differ. Send one.", {}),
    "invalid_api_key": (
        "Send a valid API key in the header X-API-Key. This one is missing, malformed, revoked, expired, or may not be "
        "used from your address.",
        {},
    ),
    "insufficient_credits": (
        "The batch costs 100 credits, 60 are available: 40 are missing.",
        {"required": 100, "available": 60, "shortfall": 40},
    ),
    "key_budget_exceeded": (
        "The batch costs 100 credits; this key has a budget of 500, of which 60 are left. Refunds come back to it. "
        "Send a smaller batch, or use another key.",
        {"required": 100, "budget": 500, "used": 440, "remaining": 60},
    ),
    "insufficient_scope": (
        "This key does not have the scope ledger:read. Use a key that has it.",
        {"scope": "ledger:read"},
    ),
    "not_found": ("There is no such object for this key. Check the id, and the key's mode.", {}),
    "method_not_allowed": ('Method "PUT" not allowed. The header Allow names those that are.', {}),
    "batch_final": ("The batch has ended: there is nothing left to cancel.", {}),
    "batch_not_final": ("The batch has not ended: retry it when its failed items are refunded.", {}),
    "already_retried": (
        "Each item is tried anew once, and those of this batch were. Retry the batch that they are in, if need be.",
        {"retried_in": "bat_01kadf7q2m3n4p5r6s7t8v9w0y"},
    ),
    "model_retired": ("sora-1 is not offered any more. Take sora-2 instead.", {"replacement": "sora-2"}),
    "payload_too_large": ("A body has at most 16 MiB. Split the batch.", {}),
    "unsupported_media_type": ("Send the body as application/json, in UTF-8.", {}),
    "range_not_satisfiable": ("The content has 1048576 bytes; the range lies outside.", {}),
    "validation_error": (
        "One fault was found; nothing was stored. `errors` says where each is and what to do.",
        {
            "errors": [
                {"pointer": "/items/17/seconds", "code": "not_offered", "detail": "sora-2 makes clips of 4, 8, 12."}
            ]
        },
    ),
    "batch_too_large": (
        "The batch has 60 items, at most 50 are allowed. Split it.",
        {"items": 60, "limit": 50},
    ),
    "max_credits_exceeded": (
        "The batch costs 100 credits; its max_credits is 90.",
        {"required": 100, "max_credits": 90},
    ),
    "nothing_to_retry": (
        "No item of this batch was refunded after a failure that may not come again. Change what failed, and send it.",
        {},
    ),
    "request_id_reused": (
        "This request id made a batch from another body. Send the same body, or take a new request id.",
        {},
    ),
    "rate_limited": ("At most 60 requests in 60 seconds. Go on in 12 s.", {}),
    "too_many_open_batches": ("At most 100 batches may be open at once. Wait until one has ended.", {"limit": 100}),
    "internal_error": ("Something failed on our side. Tell us the trace id.", {}),
    "service_unavailable": (
        "The service cannot reach its data for the moment. Send the same request again: "
        "the same request id never makes two batches.",
        {},
    ),
}


def problem_examples() -> dict[str, dict[str, Any]]:
    """Return the component `examples`: one for each code, by its name."""
    return {code: {"summary": title, "value": _example(code)} for code, (_, title) in PROBLEMS.items()}


def _example(code: str) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    detail, own = SAID.get(code, (f"{title}.", {}))
    return {
        "ok": False,
        "type": f"{HOST}/docs/errors#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "trace_id": TRACE_ID,
        **own,
    }
