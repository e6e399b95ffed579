"""What is behind each page: the calls of the API that give the same or do the same, or why there is none.

A page is called by its name in the admin site. Its entry is a list of calls, written as sora2.calls.call() says, or a
sentence for whoever looks for a call in vain. tests/flows/test_behind.py makes every call that a page shows.
"""

from collections.abc import Mapping, Sequence

from sora2.calls import Call, call

OURS = "No call: this page is for our own people, and the API is for customers."
SIGNING_IN = "No call: people sign in, and a program has its key."
PEOPLE = "No call: people are let in by people, here."
ACCOUNT = "No call: an account's settings are changed by people, here."
INVOICES = "No call: invoices are papers for people, here and by mail."
NEW_ENDPOINT = call("POST /webhook-endpoints", {"url": "https://example.com/hook", "events": ["batch.completed"]})
NEW_KEY = call("POST /keys", {"name": "Nightly renders", "scopes": ["batches:read", "batches:write"]})
CATALOGUE = [call("GET /models")]
ENTRIES = "created_after={found.statement.interval.starts_at}&created_before={found.statement.interval.ends_at}"
ENTRIES += "&kind={asked.kind}&batch_id={asked.reference}"
MONTH = "/statements/{found.statement.interval.month}"
ZONE = "tz={found.statement.interval.zone}"
SAMPLE = {"items": [{"prompt": "A cat playing piano, studio light"}]}

BEHIND: Mapping[str, Sequence[Call] | str] = {
    "index": [call("GET /wallet"), call("GET /video-batch"), call("GET /pilot", when="found.pilot")],
    # Batches.
    "batch_list": [
        call("GET /video-batch?state={asked.state}&created_after={asked.from}&created_before={asked.until}"),
    ],
    "batch_new": [
        call("GET /models"),
        call("POST /video-batch/quote", SAMPLE),
        call("POST /video-batch", {"request_id": "order-123", **SAMPLE}),
    ],
    "batch": [
        call("GET /video-batch/{batch_id}"),
        call(
            "GET /video-batch/{batch_id}/items"
            "?status={api_status}&failure_type={choice.failure}&custom_id={choice.custom_id}"
        ),
        call("GET /video-batch/{batch_id}/results.jsonl"),
        call("GET /video-batch/{batch_id}/timeline"),
        call("POST /video-batch/{batch_id}/cancel", when="head.may_cancel"),
        call("POST /video-batch/{batch_id}/retry", {"request_id": "retry-of-{batch_id}"}, when="head.retryable"),
    ],
    "batch_billing": [
        call("GET /video-batch/{batch_id}/ledger"),
        call("GET /video-batch/{batch_id}/proof", when="batch.is_final"),
        call("GET /video-batch/{batch_id}/proof/items.jsonl", when="batch.is_final"),
    ],
    "batch_why": [call("GET /video-batch/{batch_id}/ledger")],
    "batch_totals_why": [call("GET /video-batch")],
    "batch_webhooks": [call("GET /webhook-deliveries?batch_id={batch_id}")],
    "batch_cancel": [call("POST /video-batch/{batch_id}/cancel")],
    "batch_retry": [call("POST /video-batch/{batch_id}/retry", {"request_id": "{found.request_id}"})],
    "item": [
        call("GET /video-batch/{batch_id}/items/{item_id}"),
        call("GET /video-batch/{batch_id}/items/{item_id}/content", when="found.output and not found.output.purged_at"),
    ],
    "retention": OURS,
    # The ledger.
    "wallet_list": [call("GET /wallet")],
    "ledger_day": [call("GET /ledger?created_after={found.day}&created_before={found.after}")],
    "statement": [
        call("GET /wallet"),
        call(f"GET {MONTH}?{ZONE}"),
        call(f"GET {MONTH}.csv?{ZONE}"),
        call(f"GET {MONTH}.pdf?{ZONE}"),
        call(f"GET /ledger?{ENTRIES}"),
        call(f"GET /ledger.csv?{ENTRIES}"),
        call(f"GET /ledger.xlsx?{ENTRIES}"),
        call(f"GET /ledger.beancount?{ENTRIES}"),
    ],
    "month_end": [
        call("GET /statements/{found.month.month}?tz={found.month.zone}"),
        call("GET /statements/{found.month.month}.pdf?tz={found.month.zone}"),
    ],
    "wallet_why": [call("GET /wallet")],
    "totals_why": [call("GET /wallet")],
    "entry": [call("GET /ledger?batch_id={entry.reference}")],
    "seal_list": [call("GET /seals"), call("GET /seals/{found.rows.0.number}")],
    "credit_requests": OURS,
    "credit_request": OURS,
    "credit_request_new": OURS,
    "period_list": OURS,
    "period": OURS,
    # Webhooks.
    "endpoint_list": [call("GET /webhook-endpoints"), NEW_ENDPOINT],
    "endpoint_new": [NEW_ENDPOINT],
    "endpoint_change": [call("PATCH /webhook-endpoints/{endpoint_id}", {"events": "{endpoint.events}"})],
    "endpoint_delete": [call("DELETE /webhook-endpoints/{endpoint_id}")],
    "endpoint": [
        call("GET /webhook-endpoints/{endpoint_id}", when="not state.is_deleted"),
        call("GET /webhook-deliveries?endpoint_id={endpoint_id}&state={wanted.state}&event={wanted.event}"),
        call("POST /webhook-endpoints/{endpoint_id}/test", when="endpoint.enabled"),
        call("PATCH /webhook-endpoints/{endpoint_id}", {"enabled": False}, when="endpoint.enabled"),
        call("PATCH /webhook-endpoints/{endpoint_id}", {"enabled": True}, when="may_act and not endpoint.enabled"),
        call("POST /webhook-endpoints/{endpoint_id}/rotate-secret", {"overlap_hours": 24}, when="may_act"),
    ],
    "endpoint_replay": [
        call(
            "POST /webhook-endpoints/{endpoint_id}/replay",
            {
                "created_after": "{wanted.created_after}",
                "created_before": "{wanted.created_before}",
                "events": "{wanted.events}",
                "undelivered": "{wanted.undelivered}",
                "dry_run": True,
            },
            when="wanted",
        ),
        call(
            "POST /webhook-endpoints/{endpoint_id}/replay",
            {"undelivered": True, "dry_run": True},
            when="not wanted",
        ),
    ],
    "default_secret": "No call: this secret is looked after here. An endpoint has its own, and calls for it.",
    "delivery_list": [
        call(
            "GET /webhook-deliveries?batch_id={wanted.about_batch}&endpoint_id={wanted.endpoint}&state={wanted.state}"
            "&event={wanted.event}&undelivered={wanted.is_undelivered}"
        ),
    ],
    "delivery": [
        call("GET /webhook-deliveries/{delivery_id}"),
        call("POST /webhook-deliveries/{delivery_id}/redeliver", when="carried.act"),
    ],
    "sink": "No call: this endpoint is ours, for trying things out. Your own one knows what it got.",
    # Pilots.
    # Invoices.
    "invoice_list": INVOICES,
    "invoice": INVOICES,
    "quote_list": OURS,
    "quote": OURS,
    "invoice_change": OURS,
    "billing_details": ACCOUNT,
    # Quotes and drafts.
    # Credit notes and payments.
    **dict.fromkeys(
        (
            *("invoice_send", "invoice_void", "invoice_payment", "payment_reverse"),
            *("credit_note_new", "credit_note_send", "receivables"),
        ),
        OURS,
    ),
    # Revenue.
    "revenue": OURS,
    "revenue_month": OURS,
    "revenue_lots": OURS,
    "gl_accounts": OURS,
    # Service levels.
    # Pilots.
    "pilot_list": OURS,
    "pilot_new": OURS,
    "pilot": OURS,
    "pilot_close": OURS,
    "pilot_checklists": OURS,
    "preflight_list": OURS,
    "pilot_mails": OURS,
    "pilot_mail": OURS,
    "lead_mail": OURS,
    "sales_mail": OURS,
    "lead_list": OURS,
    "lead_new": OURS,
    "lead": OURS,
    "lead_change": OURS,
    "pilot_review": OURS,
    "sales_help": OURS,
    "pilot_plan": OURS,
    "customer_plan": OURS,
    "pilot_handovers": OURS,
    # Customers.
    "customer_list": "No call: a key belongs to one organization, and knows no other.",
    "account": ACCOUNT,
    "account_settings": ACCOUNT,
    "people": PEOPLE,
    "member_role": PEOPLE,
    "member_remove": PEOPLE,
    "member_password": PEOPLE,
    "key_list": [call("GET /keys"), NEW_KEY],
    "key_new": [NEW_KEY],
    "key": [
        call("GET /keys/{key_id}"),
        call("POST /keys/{key_id}/rotate", {"overlap_hours": 24}, when="may_act and usable"),
    ],
    "key_revoke": [call("POST /keys/{key_id}/revoke")],
    # What is on offer.
    "catalogue": CATALOGUE,
    "catalogue_model": CATALOGUE,
    "catalogue_model_new": OURS,
    "price_list": CATALOGUE,
    "prices_new": OURS,
    "route_list": OURS,
    "route": OURS,
    "route_new": OURS,
    # What is behind everything.
    "settings": OURS,
    "checks": OURS,
    "check_detail": OURS,
    "audit_log": OURS,
    # The doors.
    "login": SIGNING_IN,
    "login_code": SIGNING_IN,
    "join": SIGNING_IN,
    "handover": "No call: what a link holds is shown to people, once.",
    "two_step": SIGNING_IN,
    "password_change": SIGNING_IN,
    "password_change_done": SIGNING_IN,
}
