"""Google's Veo as long-running operations: what is sent, and what an answer means. Pure functions that never raise.

https://ai.google.dev/gemini-api/docs/video and the converters of googleapis/python-genai; what differs from the
documents was looked up in the reports of those who called it (docs/decisions/0018-veo.md).
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from batches.failures import FailureType
from batches.providers import JobRequest, JobStatus, SubmitOutcome, Verdict
from batches.providers.answers import Answer, number_of, printable, text_of
from batches.providers.refusals import ErrorSaid, outcome_of, read_error

# An operation's name becomes a path, of which no segment may be empty or lead up.
NAME = re.compile(r"(?!(.*/)?\.*(/|$))[\x21-\x7e]{1,512}")
# What the sizes of our catalogue are called here.
SIZES = {
    "1280x720": ("16:9", "720p"),
    "720x1280": ("9:16", "720p"),
    "1920x1080": ("16:9", "1080p"),
    "1080x1920": ("9:16", "1080p"),
}
# Google's own examples ask that often; the fastest video takes 11 seconds.
POLL_AFTER_SECONDS = 10.0
# google.rpc.Code, by which the error of an operation goes. What is not here is the provider's own trouble.
RPC_CODES = {
    3: "INVALID_ARGUMENT",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    14: "UNAVAILABLE",
    16: "UNAUTHENTICATED",
}
VIDEO_FIELDS = ("uri", "encodedVideo", "gcsUri", "bytesBase64Encoded")
# The error of an operation whose request was taken: what is said of safety is said of the content.
SAFETY = re.compile(r"safety|sensitive|violat", re.IGNORECASE)


def body_of(request: JobRequest) -> bytes | None:
    """Return the body that asks for one video, or None if it cannot be made in this size.

    The length is a number, whatever the documents say. One is asked for in so many words: some models make two.
    """
    if request.size not in SIZES:
        return None
    aspect_ratio, resolution = SIZES[request.size]
    parameters = {
        "aspectRatio": aspect_ratio,
        "resolution": resolution,
        "durationSeconds": request.seconds,
        "sampleCount": 1,
    }
    return json.dumps({"instances": [{"prompt": request.prompt}], "parameters": parameters}).encode()


def submit_outcome(answer: Answer, *, now: datetime) -> SubmitOutcome:
    """Say what the answer to a create means."""
    return outcome_of(answer, job_id=name_of(answer.json()), poll_after_seconds=POLL_AFTER_SECONDS, now=now)


def name_of(operation: Mapping[str, Any] | None) -> str | None:
    """Return the operation's name, which is the job's id, if it is one that can be asked for."""
    name = operation.get("name") if operation else None
    return name if isinstance(name, str) and NAME.fullmatch(name) else None


def is_of(operation: Mapping[str, Any], job_id: str) -> bool:
    """Say whether this is the operation that was asked for. Gateways cut its name short, or leave it out."""
    name = operation.get("name")
    if name is None:
        return isinstance(operation.get("done"), bool)
    return text_of(name).rpartition("/")[2] == job_id.rpartition("/")[2]


def verdict_of(operation: Mapping[str, Any]) -> Verdict:
    """Read an operation. Done without an error and without a video, as the content filter leaves it, is a failure."""
    if operation.get("done") is not True:
        return Verdict(JobStatus.RUNNING, poll_after_seconds=POLL_AFTER_SECONDS)
    if operation.get("error"):
        error = _operation_error(operation)
        return _failed(error.failure() or FailureType.PROVIDER_ERROR, error.detail)
    if _videos(operation):
        return Verdict(JobStatus.SUCCEEDED)
    response = _response(operation)
    reasons = response.get("raiMediaFilteredReasons")
    if reasons or number_of(response.get("raiMediaFilteredCount")):
        return _failed(FailureType.CONTENT_REFUSED, f"filtered: {text_of(reasons)}")
    return _failed(FailureType.PROVIDER_ERROR, "done without a video")


def output_of(operation: Mapping[str, Any]) -> str | bytes | None:
    """Return the first video of an operation: its address, or its bytes when they came along."""
    for video in _videos(operation):
        inline = video.get("encodedVideo") or video.get("bytesBase64Encoded")
        return _decoded(inline) if inline else text_of(video.get("uri") or video.get("gcsUri"))
    return None


def _operation_error(operation: Mapping[str, Any]) -> ErrorSaid:
    """Read the google.rpc.Status of an operation, of which often only a number and a text are there."""
    said = read_error(operation)
    code = number_of(said.code)
    named = replace(said, type=said.type or RPC_CODES.get(int(code) if code is not None else 0, ""))
    if "INVALID_ARGUMENT" in named.type and SAFETY.search(named.message):
        return replace(named, type="safety")
    return named


def _failed(failure: FailureType, detail: str) -> Verdict:
    return Verdict(JobStatus.FAILED, failure, printable(detail))


def _response(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what was made: the Gemini API wraps it once more, Vertex AI doesn't."""
    response = operation.get("response")
    wrapped = response.get("generateVideoResponse", response) if isinstance(response, Mapping) else None
    return wrapped if isinstance(wrapped, Mapping) else {}


def _videos(operation: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the videos: `generatedSamples[].video` of the Gemini API, `videos[]` of Vertex AI."""
    response = _response(operation)
    samples = [sample.get("video") for sample in _mappings(response.get("generatedSamples"))]
    videos = _mappings([*samples, *_mappings(response.get("videos"))])
    return [video for video in videos if any(video.get(name) for name in VIDEO_FIELDS)]


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _decoded(inline: object) -> bytes | None:
    try:
        return base64.b64decode(text_of(inline))
    except ValueError:
        return None
