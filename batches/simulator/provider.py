"""What the provider does with each request: the routes, the scripts and the dice. No sockets here."""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from batches.failures import FailureType
from batches.simulator import clips, wire
from batches.simulator.chance import Dice
from batches.simulator.jobs import Job, JobStore, NewJob
from batches.simulator.marks import Script, UnplayableMark, script_of
from batches.simulator.wire import ApiError

# The hint how soon to look again: what is left of the job, within these bounds.
POLL_AFTER_MS = (100, 5000)
# What every clip shows where all are the same.
SAME_PROMPT = "A clip"
VARIANTS = {"thumbnail": ("WEBP", "image/webp"), "spritesheet": ("JPEG", "image/jpeg")}


class DropConnection(Exception):
    """The connection is to be closed without an answer."""


class ResetConnection(DropConnection):
    """The same, and the client is to see a reset."""


class GatewayDown(Exception):
    """Answer as a gateway that could not reach the provider: status 521, a page of HTML."""


@dataclass(frozen=True)
class Options:
    """How the provider behaves where a prompt doesn't say.

    Rates are from 0 to 1: of jobs that fail, are refused, hang, or bring a file that doesn't play; of submits that are
    answered 429; of requests that are answered 500, reset, or answered over up to `slow_seconds`; of downloads that
    break off. `seed` repeats the dice. With `same_clip`, all clips of one length and size are one file. Without `hints`
    nobody is told when to look again.
    """

    latency_seconds: float = 0.3
    failure_rate: float = 0.0
    refusal_rate: float = 0.0
    hang_rate: float = 0.0
    corrupt_rate: float = 0.0
    rate_limit_rate: float = 0.0
    error_rate: float = 0.0
    reset_rate: float = 0.0
    slow_rate: float = 0.0
    truncate_rate: float = 0.0
    slow_seconds: float = 5.0
    seed: int | None = None
    same_clip: bool = False
    hints: bool = True
    api_key: str = ""


@dataclass(frozen=True)
class Request:
    """One HTTP request; header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """One HTTP answer. Its body takes `slow_seconds`, and breaks off after `cut_at` bytes if that is given."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    slow_seconds: float = 0.0
    cut_at: int | None = None


# What a submit is answered for a failure that shows at once.
REFUSALS: dict[FailureType, Callable[[], Exception]] = {
    FailureType.INVALID_REQUEST: lambda: ApiError(
        400, "Invalid value: 'prompt' cannot be filmed.", code="invalid_value", param="prompt"
    ),
    FailureType.RATE_LIMITED: lambda: ApiError(
        429,
        "Rate limit reached for requests.",
        code="rate_limit_exceeded",
        kind="rate_limit_error",
        retry_after_seconds=1,
    ),
    FailureType.CAPACITY: lambda: ApiError(
        503, "The server is overloaded.", code="server_overloaded", kind="server_error", retry_after_seconds=1
    ),
    FailureType.PROVIDER_AUTH: lambda: ApiError(401, "Incorrect API key provided.", code="invalid_api_key"),
    FailureType.MODEL_RETIRED: lambda: ApiError(
        404, "The model does not exist or has been retired.", code="model_not_found", param="model"
    ),
    FailureType.NETWORK_ERROR: GatewayDown,
    FailureType.AMBIGUOUS_SUBMIT: DropConnection,
}
# What a job that was taken ends with.
JOB_ERRORS = {
    FailureType.CONTENT_REFUSED: ("moderation_blocked", "Your request was blocked by our moderation system."),
    FailureType.PROVIDER_ERROR: ("internal_error", "The video could not be generated."),
}


class SimulatedProvider:
    """Answers requests from a job store, a clock and options."""

    def __init__(self, store: JobStore, options: Options, *, clock: Callable[[], float]) -> None:
        self._store = store
        self._options = options
        self._clock = clock
        self._clips = clips.ClipCache()
        self._dice = Dice(options.seed, turn=store.last_number())

    def answer(self, request: Request) -> Reply:
        """Answer one request. Raises DropConnection when it gets no answer."""
        if (request.method, request.path) == ("GET", "/healthz"):
            return _json({"status": "ok"})
        reset = self._dice.hits(self._options.reset_rate)
        if reset and self._dice.hits(0.5):
            raise ResetConnection  # Nothing was done.
        reply = self._answer(request)
        if reset:
            raise ResetConnection  # What was asked for is done.
        if self._dice.hits(self._options.slow_rate):
            return replace(reply, slow_seconds=self._dice.up_to(self._options.slow_seconds))
        return reply

    def close(self) -> None:
        """Stop what is being made."""
        self._clips.close()

    def _answer(self, request: Request) -> Reply:
        try:
            return self._route(request)
        except ApiError as error:
            return _json(error.body, status=error.status, headers=error.headers)
        except GatewayDown:
            page = b"<html><body><h1>521: Web server is down</h1></body></html>"
            return Reply(521, page, content_type="text/html")

    def _route(self, request: Request) -> Reply:
        self._authenticate(request)
        self._stumble()
        match (request.method, request.path.strip("/").split("/")):
            case ("POST", ["v1", "videos"]):
                return self._create(request)
            case ("GET", ["v1", "videos"]):
                return self._list(request)
            case ("GET", ["v1", "videos", job_id]):
                return self._show(self._job(job_id))
            case ("DELETE", ["v1", "videos", job_id]):
                return self._delete(self._job(job_id))
            case ("GET", ["v1", "videos", job_id, "content"]):
                return self._content(self._job(job_id), request.query.get("variant", "video"))
            case _:
                raise ApiError(404, f"Invalid URL ({request.method} {request.path})")

    def _authenticate(self, request: Request) -> None:
        if not self._options.api_key:
            return
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self._options.api_key}".encode()):
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    def _stumble(self) -> None:
        if self._dice.hits(self._options.error_rate):
            raise ApiError(500, "The server had an error while processing your request.", kind="server_error")

    def _create(self, request: Request) -> Reply:
        asked = wire.read_create(request.headers.get("content-type", ""), request.body)
        try:
            script = script_of(asked.prompt)
        except UnplayableMark as error:
            raise ApiError(400, str(error), code="invalid_value", param="prompt") from error
        failure = script.failure_at(self._submit_number(request, asked.prompt, script)) or self._bad_luck()
        if failure in REFUSALS:
            raise REFUSALS[failure]()
        new = self._job_for(asked, script, failure, request.headers.get("x-client-request-id", ""))
        job = self._store.add(new, now=self._clock())
        if script.ambiguous:
            raise DropConnection
        return self._show(job)

    def _submit_number(self, request: Request, prompt: str, script: Script) -> int:
        """Count per item where the caller names it (`<item>.<attempt>`), else per prompt, in a cycle."""
        if not script.first:
            return 0
        item = request.headers.get("x-client-request-id", "").rpartition(".")[0]
        key = f"item:{item}" if item else f"prompt:{hashlib.sha256(prompt.encode()).hexdigest()}"
        return self._store.next_submit(key, steps=len(script.first), cycle=not item)

    def _bad_luck(self) -> FailureType | None:
        """Roll for each kind of trouble that a submit can meet; the first that comes up is it."""
        kinds = (
            (FailureType.RATE_LIMITED, self._options.rate_limit_rate),
            (FailureType.PROVIDER_ERROR, self._options.failure_rate),
            (FailureType.CONTENT_REFUSED, self._options.refusal_rate),
            (FailureType.TIMEOUT, self._options.hang_rate),
            (FailureType.OUTPUT_INVALID, self._options.corrupt_rate),
        )
        return next((kind for kind, rate in kinds if self._dice.hits(rate)), None)

    def _job_for(self, asked: wire.Create, script: Script, failure: FailureType | None, client_id: str) -> NewJob:
        latency = self._options.latency_seconds if script.slow_seconds is None else script.slow_seconds
        code, message = JOB_ERRORS.get(failure, (None, None)) if failure else (None, None)
        return NewJob(
            model=asked.model,
            prompt=asked.prompt,
            seconds=asked.seconds,
            size=asked.size,
            work_seconds=None if failure is FailureType.TIMEOUT else latency,
            error_code=code,
            error_message=message,
            bad_output=failure is FailureType.OUTPUT_INVALID,
            client_id=client_id,
        )

    def _show(self, job: Job) -> Reply:
        now = self._clock()
        least, most = POLL_AFTER_MS
        left_ms = most if job.ends_at is None else int((job.ends_at - now) * 1000) + 1
        hint = {"openai-poll-after-ms": str(min(most, max(least, left_ms)))}
        return _json(wire.video_object(job, now), headers=hint if self._options.hints else {})

    def _list(self, request: Request) -> Reply:
        after, limit, newest_first = wire.read_page(request.query)
        start = self._job(after) if after else None
        jobs = self._store.page(after=start, limit=limit + 1, newest_first=newest_first)
        return _json(wire.video_list(jobs[:limit], has_more=len(jobs) > limit, now=self._clock()))

    def _delete(self, job: Job) -> Reply:
        if job.status(self._clock()) not in ("completed", "failed"):
            raise ApiError(400, "Only a completed or failed video can be deleted.")
        self._store.delete(job.id)
        return _json({"id": job.id, "object": "video.deleted", "deleted": True})

    def _content(self, job: Job, variant: str) -> Reply:
        now = self._clock()
        if variant != "video" and variant not in VARIANTS:
            raise ApiError(400, "Invalid value: 'variant'.", code="invalid_value", param="variant")
        if job.status(now) != "completed":
            raise ApiError(404, "Video is not ready yet, use GET /v1/videos/{video_id} to check status.")
        if job.expired(now):
            raise ApiError(404, "The files of this video have expired.")
        reply = self._file(job, variant)
        if self._dice.hits(self._options.truncate_rate):
            return replace(reply, cut_at=int(self._dice.up_to(len(reply.body))))
        return reply

    def _file(self, job: Job, variant: str) -> Reply:
        if job.bad_output:
            return Reply(200, clips.BAD_OUTPUT, content_type="video/mp4")
        painted = replace(job, prompt=SAME_PROMPT) if self._options.same_clip else job
        return self._video(painted) if variant == "video" else self._still(painted, *VARIANTS[variant])

    def _video(self, job: Job) -> Reply:
        width, height = (int(side) for side in job.size.split("x"))
        made = self._clips.get(
            ("video", job.prompt, job.seconds, job.size),
            lambda: clips.video(job.prompt, seconds=job.seconds, width=width, height=height),
        )
        return Reply(200, made, content_type="video/mp4")

    def _still(self, job: Job, image_format: str, content_type: str) -> Reply:
        width, height = (int(side) for side in job.size.split("x"))
        made = self._clips.get(
            (image_format, job.prompt, job.size),
            lambda: clips.still(job.prompt, width=width, height=height, image_format=image_format),
        )
        return Reply(200, made, content_type=content_type)

    def _job(self, job_id: str) -> Job:
        job = self._store.get(job_id)
        if job is None:
            raise ApiError(404, f"Video with id '{job_id}' not found.")
        return job


def _json(value: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers=headers or {})
