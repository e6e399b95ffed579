"""What a pilot lacks, and what to do about it: for the customer, by the calls of the API; for our people, in words."""

from collections.abc import Sequence
from datetime import UTC
from enum import StrEnum

from pilots.evidence import Evidence, Status
from pilots.models import Pilot
from webhooks.models import Attempt
from webhooks.trail import host_of


class Missing(StrEnum):
    """What is missing next."""

    START = "start"
    BATCH = "batch"
    END = "end"
    UNCANCELED = "uncanceled"
    ENDPOINT = "endpoint"
    RECEIPT = "receipt"
    ACCEPTANCE = "acceptance"
    SIGNER = "signer"
    SIGN_OFF = "sign_off"
    TIME = "time"
    REVIEW = "review"
    NOTHING = "nothing"


# What their engineers do; the API and the start page say it.
_RUN = "Run a live batch to its end: POST /video-batch with a live key."
_TAKE = "Take batch.completed at your own endpoint with a 2xx: GET /webhook-deliveries says why none arrived yet."
_SIGN = "Have your finance sign off a live batch on its Billing page: reserved = settled + refunded."
NEXT = {
    Missing.BATCH: _RUN,
    Missing.END: "Wait for the end of your live batch: GET /video-batch/{batch_id} shows how far it is.",
    Missing.UNCANCELED: f"{_RUN} The one that was canceled does not count.",
    Missing.ENDPOINT: "Give us your own HTTPS endpoint with POST /webhook-endpoints, and replay what it has missed.",
    Missing.RECEIPT: _TAKE,
    Missing.ACCEPTANCE: _TAKE,
    Missing.SIGNER: _SIGN,
    Missing.SIGN_OFF: _SIGN,
    Missing.TIME: "All three criteria are met, but not before the deadline: agree with your contact how to go on.",
    Missing.REVIEW: "All three criteria are met: go through the review with your contact.",
    Missing.NOTHING: "The pilot is closed: your contact says how to go on.",
}
ENDS = frozenset({Missing.START, Missing.TIME, Missing.REVIEW, Missing.NOTHING})

# What our people do.
HELP = {
    Missing.START: "The clock has not begun. Go through what the customer prepares until then, or move the start.",
    Missing.BATCH: "They have not ordered a live batch yet. Ask whether the key has arrived, and go through the quick "
    "start with their engineer: it takes ten minutes.",
    Missing.END: "Their batch {batch} is not over yet. Wait for it; if it stays open, look at its items.",
    Missing.UNCANCELED: "Their batch {batch} was canceled, and does not count. Ask why; they order another one.",
    Missing.ENDPOINT: "They have no live endpoint of their own that is switched on; our test endpoint does not count. "
    "Ask their engineer for an HTTPS address. What it has missed can be replayed.",
    Missing.RECEIPT: "Their endpoint is there, and took no batch.completed yet. Look at the deliveries: one may be "
    "on its way, or was skipped and can be sent again.",
    Missing.ACCEPTANCE: "{host} did not take batch.completed: {answer}. Send their engineer the answer, and send the "
    "delivery again once it is mended.",
    Missing.SIGNER: "Nobody of theirs who may sign off has ever signed in. Ask their administrator to let finance in; "
    "or our finance signs off for them, with a note.",
    Missing.SIGN_OFF: "They can sign in, and have not signed off. Go through the batch's Billing page with their "
    "finance; or ours signs off for them, with a note.",
    Missing.TIME: "All three are met, but not in time. Agree how to go on, and close the pilot with what we learned.",
    Missing.REVIEW: "All three are met in time. Send the confirmation, hold the review, and close the pilot.",
    Missing.NOTHING: "It is closed.",
}


def missing_of(found: Evidence, *, met: Sequence[bool], is_closed: bool) -> Missing:
    """Return what a pilot lacks next. `met` are the three criteria."""
    ran, received, _ = met
    if is_closed:
        return Missing.NOTHING
    if found.status == Status.SUCCEEDED:
        return Missing.REVIEW
    if found.status == Status.SCHEDULED:
        return Missing.START
    if all(met):
        return Missing.TIME
    if not ran:
        return Missing.END if found.open else Missing.UNCANCELED if found.canceled else Missing.BATCH
    if not received:
        return Missing.ACCEPTANCE if found.refused else Missing.RECEIPT if found.has_endpoint else Missing.ENDPOINT
    return Missing.SIGN_OFF if found.signer_came else Missing.SIGNER


def next_step(missing: Missing, pilot: Pilot, *, over: bool) -> str:
    """Return what the customer does next."""
    if missing == Missing.START:
        at = f"{pilot.activated_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return f"Your pilot starts at {at}. Until then, try everything with your test key: it does not count."
    passed = "The deadline has passed: agree with your contact how to go on. "
    return passed + NEXT[missing] if over and missing not in ENDS else NEXT[missing]


def help_with(missing: Missing, found: Evidence, *, over: bool) -> str:
    """Return how our people help."""
    batch = found.open if missing == Missing.END else found.canceled
    refused = found.refused
    words = HELP[missing].format(
        batch=batch.request_id if batch else "",
        host=host_of(refused.delivery.url) if refused else "",
        answer=answer_of(refused) if refused else "",
    )
    passed = "The time is over: agree how to go on, and close the pilot with what we learned. "
    return passed + words if over and missing not in ENDS else words


def answer_of(attempt: Attempt) -> str:
    """Return what an address answered, in a few words."""
    code = f"HTTP {attempt.status_code}" if attempt.status_code else "no answer"
    return f"{code} ({attempt.error.replace('_', ' ')})" if attempt.error else code
