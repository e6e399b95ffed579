"""The lines of a pilot's checklists, as data.

They are those of the onboarding document: the internal preparation, what a customer is given on day 0, what they
prepare, what they do on day 1 and 2, and the review.
"""

from dataclasses import dataclass

from pilots.checklist_evidence import (
    Sight,
    by_answers,
    by_any_batch,
    by_body,
    by_delivery,
    by_endpoint,
    by_key,
    by_mail,
    by_metadata,
    by_preflight,
    by_sign_off,
    by_sized_batch,
)
from pilots.models import Tick
from pilots.preflight_checks import IN_TIME

OURS, THEIRS = Tick.Side.STAFF, Tick.Side.CUSTOMER


@dataclass(frozen=True)
class Item:
    """A line: whose it is, how it gets done, whether a person may tick it, and what the system sees of it."""

    key: str
    side: Tick.Side
    words: str
    how: str
    by_hand: bool = False
    see: Sight | None = None


_RUN = "Run the preflight, and mend what it names."
_MAIL = "Send the mail in which it is, under Mails."
LISTS: tuple[tuple[str, str, tuple[Item, ...]], ...] = (
    (
        "Before",
        "Internal preparation",
        (
            Item("docs", OURS, "/docs/enterprise is accessible", _RUN, see=by_preflight("docs")),
            Item("schema", OURS, "/openapi.json is accessible", _RUN, see=by_preflight("schema")),
            Item("node", OURS, "Node example batch_basic.ts runs", _RUN, see=by_preflight("node")),
            Item("sink", OURS, "Internal webhook test endpoint receives events", _RUN, see=by_preflight("sink")),
            Item("dashboard", OURS, "Credits ledger is visible in dashboard", _RUN, see=by_preflight("dashboard")),
            Item("in_time", OURS, "The flow is completed in 10 minutes", _RUN, see=by_preflight(IN_TIME)),
        ),
    ),
    (
        "Day 0",
        "Deliverables to the customer",
        (
            Item(
                "pilot_key",
                OURS,
                "Pilot API key, with scoped permissions and prepaid credits",
                "Send the one-time link of the pilot, and see that it is opened.",
                see=by_key,
            ),
            Item("webhook_guide", OURS, "Webhook configuration guide", _MAIL, by_hand=True, see=by_mail("guide")),
            Item("node_example", OURS, "Node.js example batch_basic.ts", _MAIL, by_hand=True, see=by_mail("example")),
            Item(
                "boundary",
                OURS,
                "Pilot boundary statement, verbatim",
                "Send a mail that holds it word for word, under Mails.",
                see=by_mail("boundary"),
            ),
        ),
    ),
    (
        "Day 0",
        "Customer prerequisites",
        (
            Item(
                "https_endpoint",
                THEIRS,
                "HTTPS webhook endpoint configured",
                "Add it on the page Webhooks, or with POST /webhook-endpoints.",
                see=by_endpoint,
            ),
            Item(
                "raw_payloads",
                THEIRS,
                "Able to log or store raw webhook payloads",
                "Keep each body as it came, byte for byte: the signature is over those.",
                by_hand=True,
            ),
            Item(
                "request_id",
                THEIRS,
                "Unique request_id prepared (any string)",
                "Choose a text that you have not used before, such as order-123.",
                by_hand=True,
                see=by_any_batch,
            ),
        ),
    ),
    (
        "Day 1",
        "Run a batch, and take its webhook",
        (
            Item(
                "batch_size",
                THEIRS,
                "Batch of 10–50 items",
                "Order it with a live key, or on a page.",
                see=by_sized_batch,
            ),
            Item(
                "metadata",
                THEIRS,
                "Each item has distinguishable metadata",
                "Give each item a custom_id, or metadata that no other item has.",
                by_hand=True,
                see=by_metadata,
            ),
            Item(
                "request_id_used",
                THEIRS,
                "request_id used for idempotency",
                "Send it with the batch: the same one again makes no second batch.",
                see=by_any_batch,
            ),
            Item(
                "status_flow",
                THEIRS,
                "Status flow witnessed: pending → running → succeeded, or running → failed → refunded",
                "Watch the batch's page, or ask GET /video-batch/{batch_id} while it runs.",
                by_hand=True,
            ),
            Item(
                "webhook_received",
                THEIRS,
                "batch.completed received",
                "Answer it with a 2xx at your own endpoint; Deliveries says why none arrived.",
                see=by_delivery,
            ),
            Item(
                "fields_there",
                OURS,
                "The webhook has all required fields",
                "It is checked in what was delivered, once it was.",
                see=by_body,
            ),
            Item(
                "fields_read",
                THEIRS,
                "Required fields confirmed: batch_id; summary.total, succeeded, failed; ledger.reserved, settled, "
                "refunded; timestamp",
                "Read them in the message that your system has kept.",
                by_hand=True,
            ),
        ),
    ),
    (
        "Day 2",
        "Reconcile, and look back",
        (
            Item(
                "ledger_reconciled",
                THEIRS,
                "Ledger reconciled: reserved = settled + refunded",
                "Finance signs a live batch off on its page Billing.",
                see=by_sign_off,
            ),
            Item(
                "review",
                OURS,
                "Post-pilot review held",
                "Ask the questions under Review and signals, and write the answers down.",
                see=by_answers,
            ),
        ),
    ),
)
