"""The OpenAI Videos wire format, client's side: what an answer means. Pure functions that never raise.

Servers and gateways of this format differ in the details: error codes that are numbers, errors that are a
bare text, states nobody has heard of. Whatever comes is read as far as it can be, and doubt stays doubt.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from batches.failures import FailureType
from batches.providers import Accepted, Ambiguous, JobStatus, ListedJob, NotAccepted, SubmitOutcome, Verdict
from batches.providers.transport import Answer

# Gateways pack their own routing into ids; 512 characters hold the longest we have seen.
JOB_ID = re.compile(r"(?!\.+$)[\x21-\x7e]{1,512}")
MAX_DETAIL = 500
MAX_WAIT_SECONDS = 3600.0

SUCCEEDED = {"completed", "succeeded"}
FAILED = {"failed", "error", "cancelled", "canceled", "expired", "rejected"}

# The first line that occurs in an error's code or type decides.
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
        ("invalid_api_key", "insufficient_quota", "billing", "authentication", "permission"),
    ),
    (FailureType.RATE_LIMITED, ("rate_limit", "ratelimit", "too_many_requests")),
    (FailureType.CAPACITY, ("overloaded", "capacity", "unavailable")),
    (FailureType.INVALID_REQUEST, ("invalid_value", "invalid_request", "invalid_prompt", "badrequest")),
)
# Gateways put the provider's refusal into their own error's text.
REFUSING_WORDS = ("content policy", "content_policy", "contentpolicy", "moderation system", "safety system")

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
# A gateway may give up on a request that the provider has long taken.
GATEWAY_GAVE_UP = 408


@dataclass(frozen=True)
class ErrorSaid:
    """An error in the provider's words."""

    code: str = ""
    type: str = ""
    param: str = ""
    message: str = ""

    @property
    def detail(self) -> str:
        """One line for operators."""
        return printable(f"{self.code or self.type}: {self.message}")

    def failure(self) -> FailureType | None:
        """Return the failure that its code names, if any."""
        named = f"{self.code} {self.type}".lower()
        if any(words in self.message.lower() for words in REFUSING_WORDS):
            return FailureType.CONTENT_REFUSED
        return next((failure for failure, marks in CODES if any(mark in named for mark in marks)), None)


def submit_outcome(answer: Answer, *, now: datetime) -> SubmitOutcome:
    """Say what the answer to a create means: the job is taken, certainly not taken, or nobody knows."""
    said = answer.json()
    if 200 <= answer.status < 300:
        job_id = id_of(said)
        if job_id is None:
            return Ambiguous(printable(f"{answer.status} without a job: {answer.body[:200]!r}"))
        return Accepted(job_id, poll_after_seconds(answer.headers))
    error = read_error(said)
    failure = _refusal(answer.status, error)
    detail = printable(f"{answer.status} {error.detail}")
    if failure is None:
        return Ambiguous(detail)
    return NotAccepted(failure, detail, retry_after_seconds(answer.headers, now=now))


def verdict_of(job: Mapping[str, Any], headers: Mapping[str, str]) -> Verdict:
    """Read a `video` object. An error beats the state `completed`; an unknown state is RUNNING."""
    status = _said(job.get("status")).lower()
    if status in FAILED or (status in SUCCEEDED and job.get("error")):
        error = read_error(job)
        failure = error.failure() or FailureType.PROVIDER_ERROR
        return Verdict(JobStatus.FAILED, failure, printable(f"{status} {error.detail}"))
    state = JobStatus.SUCCEEDED if status in SUCCEEDED else JobStatus.RUNNING
    return Verdict(state, poll_after_seconds=poll_after_seconds(headers))


def listed_job_of(job: Mapping[str, Any]) -> ListedJob | None:
    """Read an entry of the list, or None when it lacks what a job is recognized by."""
    job_id, created_at, prompt = id_of(job), _time(job.get("created_at")), job.get("prompt")
    seconds = _number(job.get("seconds"))
    if job_id is None or created_at is None or seconds is None or not isinstance(prompt, str):
        return None
    return ListedJob(
        job_id=job_id,
        model=_said(job.get("model")),
        prompt=prompt,
        seconds=int(seconds),
        size=_said(job.get("size")),
        created_at=created_at,
    )


def page_of(answer: Answer) -> tuple[Sequence[Mapping[str, Any]], str | None] | None:
    """Read a page of the list: its jobs, and the id after which the next page starts (None on the last)."""
    said = answer.json() if answer.status == 200 else None
    if said is None or not isinstance(said.get("data"), list):
        return None
    jobs = [job for job in said["data"] if isinstance(job, dict) and id_of(job)]
    last = said.get("last_id") or (jobs[-1]["id"] if jobs else None)
    return jobs, last if said.get("has_more") is True and isinstance(last, str) else None


def id_of(job: Mapping[str, Any] | None) -> str | None:
    """Return the job's id if it has one that can be stored and asked for."""
    job_id = job.get("id") if job else None
    return job_id if isinstance(job_id, str) and JOB_ID.fullmatch(job_id) else None


def read_error(said: Mapping[str, Any] | None) -> ErrorSaid:
    """Read `{"error": {…}}`, `{"error": "text"}`, `{"detail": …}` or an error without a wrapper."""
    error = said.get("error", said) if said else None
    if not isinstance(error, Mapping):
        return ErrorSaid(message=_said(error))
    code, kind, param = (_said(error.get(name)) for name in ("code", "type", "param"))
    message = _said(error.get("message") or error.get("detail"))
    return ErrorSaid(code=code, type=kind, param=param, message=message)


def retry_after_seconds(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Read Retry-After: seconds or an HTTP date (RFC 9110, 10.2.3); at most an hour."""
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is None:
        try:
            seconds = (parsedate_to_datetime(text).replace(tzinfo=UTC) - now).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return None
    return min(MAX_WAIT_SECONDS, max(0.0, seconds))


def poll_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read the hint `openai-poll-after-ms`; at most an hour."""
    ms = _number(headers.get("openai-poll-after-ms"))
    return None if ms is None else min(MAX_WAIT_SECONDS, max(0.0, ms / 1000))


def printable(text: str) -> str:
    """Return `text` on one line, short, without what a database or a terminal would choke on."""
    line = "".join(char if char.isprintable() else " " for char in text[: 2 * MAX_DETAIL])
    return line.strip(" :")[:MAX_DETAIL]


def _refusal(status: int, error: ErrorSaid) -> FailureType | None:
    """Return why the provider took no job, or None if it may have taken it."""
    if status in NOT_ACCEPTED and status >= 500:
        return NOT_ACCEPTED[status]
    if status in NOT_FOLLOWED:
        return FailureType.PROVIDER_ERROR
    if not 400 <= status < 500 or status == GATEWAY_GAVE_UP:
        return None
    if status in (404, 410):
        return _missing(status, error)
    named = error.failure()
    if status in NOT_ACCEPTED:
        outranks = (FailureType.CONTENT_REFUSED, FailureType.PROVIDER_AUTH)
        return named if named in outranks else NOT_ACCEPTED[status]
    return named or FailureType.INVALID_REQUEST


def _missing(status: int, error: ErrorSaid) -> FailureType:
    """Tell a model that is gone from a base URL that is wrong: the latter is no news about the model."""
    about_model = "model" in f"{error.code} {error.param} {error.message}".lower()
    return FailureType.MODEL_RETIRED if status == 410 or about_model else FailureType.PROVIDER_ERROR


def _said(value: object) -> str:
    """Return a value of JSON as text, whatever it is."""
    try:
        return "" if value is None else str(value)
    except RecursionError:
        return "too deep"


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _time(value: object) -> datetime | None:
    seconds = _number(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None
