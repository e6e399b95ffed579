"""What left us in an attempt: its headers as they were sent, and how the receiver's engineer verifies it."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from webhooks.bodies import Body
from webhooks.guarded import HEADERS
from webhooks.models import Attempt
from webhooks.snippets import Signed, Snippet, snippets_of

VERIFY_PAGE = "/docs/enterprise/webhooks/verify"
# With these nothing left us.
UNSENT = frozenset({"forbidden_target", "dns", "tls", "connection_refused", "unreachable", "no_secret"})


@dataclass(frozen=True)
class Head:
    """The headers of one attempt, as they were sent; empty if its signature is not known, or was not kept."""

    attempt: Attempt
    headers: dict[str, str]

    @property
    def lines(self) -> str:
        """Return them as they stand in a message."""
        return "\n".join(f"{name}: {value}" for name, value in self.headers.items())

    @property
    def was_sent(self) -> bool:
        """Say whether anything may have left us: with some errors nothing has."""
        return self.attempt.error not in UNSENT


@dataclass(frozen=True)
class Check:
    """How to verify an attempt: programs, the whole message, and the page of ours with all of it filled in."""

    attempt: Attempt
    snippets: list[Snippet]
    message: str
    address: str


def head_of(attempt: Attempt, *, event_id: str) -> Head:
    """Return the headers of an attempt to send an event."""
    if not attempt.signature:
        return Head(attempt, {})
    timestamp = str(int(attempt.at.timestamp()))
    signed = {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": attempt.signature}
    return Head(attempt, {**HEADERS, **signed})


def check_of(heads: Sequence[Head], body: Body) -> Check | None:
    """Return how to verify the first of these that was sent, as far as its signature was kept; None without one."""
    head = next((head for head in heads if head.headers and head.was_sent), None)
    if head is None:
        return None
    named = {name: head.headers[f"webhook-{name}"] for name in ("id", "timestamp", "signature")}
    filled = named if body.exact is None else {**named, "body": body.exact}
    return Check(
        attempt=head.attempt,
        snippets=snippets_of(Signed(named["id"], int(named["timestamp"]), named["signature"], body.exact)),
        message=f"{head.lines}\n\n{body.exact or ''}",
        # What stands after the # stays in the browser.
        address=f"{VERIFY_PAGE}#{urlencode(filled, quote_via=quote)}",
    )
