"""The OpenAI Videos wire format, provider's side: requests read and checked, jobs and errors written.

https://platform.openai.com/docs/api-reference/videos, plus what real servers add: any model, other sizes.
"""

import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import SuspiciousOperation
from django.http.multipartparser import MultiPartParser, MultiPartParserError

from batches.simulator.jobs import KEPT_SECONDS, Job

DEFAULTS = {"model": "sora-2", "seconds": "4", "size": "720x1280"}
MAX_PROMPT = 32_000
MAX_SECONDS = 60
SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")
SIDES = range(64, 4097, 2)
MAX_PIXELS = 4096 * 2304


class ApiError(Exception):
    """An answer that is an error of the format: `{"error": {message, type, param, code}}`."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = "invalid_request_error",
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
        self.headers = {} if retry_after_seconds is None else {"Retry-After": str(retry_after_seconds)}


@dataclass(frozen=True)
class Create:
    """A checked request for a video."""

    model: str
    prompt: str
    seconds: int
    size: str


def read_create(content_type: str, body: bytes) -> Create:
    """Read the body of POST /v1/videos, JSON or form. Raises ApiError 400 naming what is wrong first."""
    fields = _form(content_type, body) if content_type.startswith("multipart/form-data") else _json(body)
    given = {name: fields.get(name) or default for name, default in DEFAULTS.items()}
    return Create(
        model=_text(given["model"], "model", at_most=200),
        prompt=_text(fields.get("prompt"), "prompt", at_most=MAX_PROMPT),
        seconds=_seconds(given["seconds"]),
        size=size_text(given["size"]),
    )


def read_page(query: Mapping[str, str]) -> tuple[str | None, int, bool]:
    """Read a list's query: (after, limit, newest first). Raises ApiError 400."""
    limit, order = query.get("limit", "20"), query.get("order", "desc")
    if not re.fullmatch(r"\d{1,3}", limit) or not 1 <= int(limit) <= 100:
        raise _invalid("limit", "must be an integer from 1 to 100")
    if order not in ("asc", "desc"):
        raise _invalid("order", "must be 'asc' or 'desc'")
    return query.get("after"), int(limit), order == "desc"


def size_text(value: object) -> str:
    """Check a size such as `1280x720`. Raises ApiError 400."""
    match = SIZE.fullmatch(value) if isinstance(value, str) else None
    if (
        not match
        or not all(int(side) in SIDES for side in match.groups())
        or int(match[1]) * int(match[2]) > MAX_PIXELS
    ):
        raise _invalid("size", "must be WIDTHxHEIGHT, both even and from 64 to 4096")
    return match[0]


def video_object(job: Job, now: float) -> dict[str, Any]:
    """Return the job as the format's `video` object."""
    status = job.status(now)
    done = status in ("completed", "failed")
    failed = {"code": job.error_code, "message": job.error_message} if status == "failed" else None
    return {
        "id": job.id,
        "object": "video",
        "created_at": int(job.created_at),
        "completed_at": int(job.ends_at) if done and job.ends_at is not None else None,
        "expires_at": int(job.created_at + KEPT_SECONDS) if status == "completed" else None,
        "model": job.model,
        "progress": job.progress(now),
        "prompt": job.prompt,
        "seconds": str(job.seconds),
        "size": job.size,
        "status": status,
        "error": failed,
        "remixed_from_video_id": None,
    }


def video_list(jobs: list[Job], *, has_more: bool, now: float) -> dict[str, Any]:
    """Return a page of the list."""
    return {
        "object": "list",
        "data": [video_object(job, now) for job in jobs],
        "first_id": jobs[0].id if jobs else None,
        "last_id": jobs[-1].id if jobs else None,
        "has_more": has_more,
    }


def _json(body: bytes) -> Mapping[str, object]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise ApiError(400, "We could not parse the JSON body of your request.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The body of your request must be a JSON object.")
    return value


def _form(content_type: str, body: bytes) -> Mapping[str, object]:
    """Read a form's fields. Reference images are thrown away (no upload handler): we paint from words."""
    meta = {"CONTENT_TYPE": content_type, "CONTENT_LENGTH": str(len(body))}
    try:
        fields, _files = MultiPartParser(meta, io.BytesIO(body), [], "utf-8").parse()
    except (MultiPartParserError, SuspiciousOperation):
        raise ApiError(400, "We could not parse the form in your request.") from None
    return {name: fields.get(name) for name in fields}


def _text(value: object, name: str, *, at_most: int) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= at_most:
        raise _invalid(name, f"must be a text of 1 to {at_most} characters")
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may carry half a surrogate pair.
        raise _invalid(name, "must be valid Unicode") from None
    return value


def _seconds(value: object) -> int:
    text = str(value) if isinstance(value, str | int) else ""
    if not re.fullmatch(r"\d{1,2}", text) or not 1 <= int(text) <= MAX_SECONDS:
        raise _invalid("seconds", f"must be a whole number from 1 to {MAX_SECONDS}")
    return int(text)


def _invalid(param: str, must: str) -> ApiError:
    return ApiError(400, f"Invalid value: '{param}' {must}.", code="invalid_value", param=param)
