"""Why a provider refused, in its own words, and what that means. Pure functions that never raise.

Servers and gateways differ in the details: error codes that are numbers, errors that are a bare text, errors
wrapped into `detail`, another provider's error quoted inside a gateway's. Whatever comes is read as far as it
can be, and doubt stays doubt (docs/decisions/0008-provider-outcomes.md).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batches.failures import FailureType
from batches.providers import Accepted, Ambiguous, NotAccepted, SubmitOutcome
from batches.providers.answers import Answer, bounded_wait, number_of, printable, retry_after_seconds, text_of

# The first line of which a mark occurs in an error's code or type decides. The last words of a line are
# google.rpc.Code's names.
CODES: tuple[tuple[FailureType, tuple[str, ...]], ...] = (
    (
        FailureType.CONTENT_REFUSED,
        ("moderation", "content_policy", "contentpolicy", "content_filter", "safety"),
    ),
    (FailureType.CONTENT_REFUSED, ("sentinel_block", "image_generation_user_error")),
    (
        FailureType.MODEL_RETIRED,
        ("model_not_found", "model_retired", "model_deprecated", "unsupported_model"),
    ),
    (
        FailureType.PROVIDER_AUTH,
        ("api_key", "insufficient_quota", "billing", "authentication", "permission", "unauthenticated"),
    ),
    # A country or a bill that is not as it must be: nothing that another prompt would mend.
    (FailureType.PROVIDER_AUTH, ("failed_precondition",)),
    (FailureType.RATE_LIMITED, ("rate_limit", "ratelimit", "too_many_requests", "resource_exhausted")),
    (FailureType.CAPACITY, ("overloaded", "capacity", "unavailable")),
    (
        FailureType.INVALID_REQUEST,
        ("invalid_value", "invalid_request", "invalid_prompt", "badrequest", "invalid_argument"),
    ),
)
# What a refusal of the content is called in the text of an error, also one that a gateway quotes.
REFUSING_WORDS = (
    *("content policy", "content_policy", "contentpolicy", "content policies", "content_filter"),
    *("moderation system", "moderation_blocked", "sentinel_block", "safety system", "safety filter"),
    *("safety polic", "safety reason", "usage guidelines", "responsible ai", "prohibited content"),
)

# The provider certainly runs no job. 521, 523, 525 and 526 are a gateway that never reached the provider.
NOT_ACCEPTED = {
    401: FailureType.PROVIDER_AUTH,
    402: FailureType.PROVIDER_AUTH,
    403: FailureType.PROVIDER_AUTH,
    429: FailureType.RATE_LIMITED,
    500: FailureType.PROVIDER_ERROR,
    501: FailureType.PROVIDER_ERROR,
    503: FailureType.CAPACITY,
    529: FailureType.CAPACITY,
    521: FailureType.NETWORK_ERROR,
    523: FailureType.NETWORK_ERROR,
    525: FailureType.NETWORK_ERROR,
    526: FailureType.NETWORK_ERROR,
}
NOT_FOLLOWED = {301, 307, 308}
# A gateway may give up on a request that the provider has long taken; 499 is Google's CANCELLED.
GAVE_UP = {408, 499}
# What a server says of a job that it doesn't have, unlike what a router says of an address.
NO_SUCH_JOB = re.compile(r"\b(video|job|task|operation)s?\b", re.IGNORECASE)
# What it says for another reason: the address is wrong, or a gateway no longer knows the model that it routed to.
NOT_THE_JOB = re.compile(r"\b(url|route|model)\b", re.IGNORECASE)
# Wrappers around wrappers end somewhere.
MAX_WRAPPERS = 4


@dataclass(frozen=True)
class ErrorSaid:
    """An error in the provider's words. `asked_pause` is what it says of coming back, in seconds."""

    code: str = ""
    type: str = ""
    param: str = ""
    message: str = ""
    asked_pause: float | None = None

    @property
    def detail(self) -> str:
        """One line for operators."""
        return f"{self.code or self.type}: {self.message}".strip(": ")

    def failure(self) -> FailureType | None:
        """Return the failure that its words name, if any."""
        named = f"{self.code} {self.type}".lower()
        if any(words in self.message.lower() for words in REFUSING_WORDS):
            return FailureType.CONTENT_REFUSED
        return next((failure for failure, marks in CODES if any(mark in named for mark in marks)), None)


def read_error(said: Mapping[str, Any] | None) -> ErrorSaid:
    """Read `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}` or an error without a wrapper."""
    error = _unwrapped(said)
    if not isinstance(error, Mapping):
        return ErrorSaid(message=text_of(error))
    details = _google_details(error)
    kinds = (error.get("type"), _google_status(error), *(detail.get("reason") for detail in details))
    return ErrorSaid(
        code=text_of(error.get("code")),
        type=" ".join(text_of(kind) for kind in kinds if kind),
        param=text_of(error.get("param")),
        message=text_of(error.get("message") or error.get("detail")),
        asked_pause=next((pause for detail in details if (pause := _pause(detail)) is not None), None),
    )


def outcome_of(answer: Answer, *, job_id: str | None, poll_after_seconds: float | None, now: datetime) -> SubmitOutcome:
    """Say what the answer to a create means; `job_id` is the one that it names, if any."""
    if 200 <= answer.status < 300:
        if job_id is None:
            return Ambiguous(printable(f"{answer.status} without a job: {answer.body[:200]!r}"), answered=True)
        return Accepted(job_id, poll_after_seconds)
    error = read_error(answer.json())
    failure = refusal(answer.status, error)
    detail = printable(f"{answer.status} {error.detail}")
    if failure is None:
        return Ambiguous(detail, answered=True)
    header_pause = retry_after_seconds(answer.headers, now=now)
    return NotAccepted(failure, detail, error.asked_pause if header_pause is None else header_pause)


def refusal(status: int, error: ErrorSaid) -> FailureType | None:
    """Return why the provider took no job, or None if it may have taken it."""
    if status in NOT_ACCEPTED and status >= 500:
        return NOT_ACCEPTED[status]
    if status in NOT_FOLLOWED:
        return FailureType.PROVIDER_ERROR
    if not 400 <= status < 500 or status in GAVE_UP:
        return None
    if status in (404, 410):
        return _missing(status, error)
    named = error.failure()
    if status in NOT_ACCEPTED:
        outranks = (FailureType.CONTENT_REFUSED, FailureType.PROVIDER_AUTH)
        return named if named in outranks else NOT_ACCEPTED[status]
    return named or FailureType.INVALID_REQUEST


def says_gone(answer: Answer) -> bool:
    """Say whether the provider itself has no such job. A router's 404 is a wrong address, not a missing job."""
    said = answer.json()
    if answer.status not in (404, 410) or said is None:
        return False
    message = read_error(said).message
    if isinstance(said.get("error"), Mapping):
        return NOT_THE_JOB.search(message) is None
    return NO_SUCH_JOB.search(message) is not None


def _unwrapped(said: object) -> object:
    for _ in range(MAX_WRAPPERS):
        if isinstance(said, Mapping) and "error" in said:
            said = said["error"]
        elif isinstance(said, Mapping) and isinstance(said.get("detail"), Mapping):
            said = said["detail"]
    return said


def _missing(status: int, error: ErrorSaid) -> FailureType:
    """Tell a model that is gone from a base URL that is wrong: the latter is no news about the model."""
    about_model = "model" in f"{error.code} {error.param} {error.message}".lower()
    return FailureType.MODEL_RETIRED if status == 410 or about_model else FailureType.PROVIDER_ERROR


def _google_status(error: Mapping[str, Any]) -> str:
    """Return the `status` of a google.rpc.Status, such as `NOT_FOUND`; that of a job, `failed`, is none."""
    status = text_of(error.get("status"))
    return status if status.isupper() else ""


def _google_details(error: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the `details` of a google.rpc.Status: ErrorInfo with a `reason`, RetryInfo, and others."""
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, Mapping)] if isinstance(details, list) else []


def _pause(detail: Mapping[str, Any]) -> float | None:
    """Read a RetryInfo's `retryDelay`, such as `17s` or `3.5s`."""
    seconds = number_of(text_of(detail.get("retryDelay")).removesuffix("s"))
    return None if seconds is None else bounded_wait(seconds)
