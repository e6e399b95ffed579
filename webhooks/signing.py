"""Signatures by Standard Webhooks 1.0 (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`."""

import base64
import re
import secrets as random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook, WebhookVerificationError
from standardwebhooks.webhooks import EmptyWebhookSecretError

HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")

# What the library says, in the words of `verify`.
_REASONS = {
    "Message timestamp too old": "timestamp too old",
    "Message timestamp too new": "timestamp too new",
    "Invalid Signature Headers": "malformed webhook-timestamp",
}


def new_secret() -> str:
    """Return a new secret: `whsec_` and the base64 of 32 random bytes."""
    return "whsec_" + base64.b64encode(random.token_bytes(32)).decode()


def signature_headers(*, event_id: str, body: str, secrets: Sequence[str], at: datetime) -> dict[str, str]:
    """Return the three headers that sign `body` at the time `at` (aware), once with each of `secrets`.

    While a secret rotates both sign, and a receiver that knows either is content.
    """
    # The library takes the wall clock of any datetime for UTC, and signs the text "b'…'" when given bytes.
    at = at.astimezone(UTC)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(event_id, at, body) for secret in secrets),
    }


def verify(*, secrets: Sequence[str], headers: Mapping[str, str], body: bytes) -> str:
    """Return "" when one of `secrets` signed this within five minutes of now, else which part is wrong.

    That is one of: `missing header NAME`, `malformed NAME`, `body is not UTF-8`, `timestamp too old`,
    `timestamp too new`, `no matching signature`. Never raises, whatever arrived.
    """
    given = {name.lower(): value for name, value in headers.items()}
    wrong = _malformed(given, body)
    if wrong:
        return wrong
    reasons = [_verify_one(secret, given, body) for secret in secrets]
    return "" if "" in reasons else next(iter(reasons), "no matching signature")


def _malformed(headers: Mapping[str, str], body: bytes) -> str:
    for name in HEADERS:
        if not headers.get(name):
            return f"missing header {name}"
    if not re.fullmatch(r"[0-9]{1,12}", headers["webhook-timestamp"]):
        return "malformed webhook-timestamp"
    if not all(_is_signature(part) for part in headers["webhook-signature"].split(" ")):
        return "malformed webhook-signature"
    try:
        body.decode()
    except UnicodeDecodeError:
        return "body is not UTF-8"
    return ""


def _is_signature(part: str) -> bool:
    version, _, signature = part.partition(",")
    try:
        return bool(version and base64.b64decode(signature, validate=True))
    except ValueError:
        return False


def _verify_one(secret: str, headers: Mapping[str, str], body: bytes) -> str:
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except WebhookVerificationError as error:
        return _REASONS.get(str(error), "no matching signature")
    except (ValueError, EmptyWebhookSecretError):  # A secret that is none signs nothing.
        return "no matching signature"
    return ""
