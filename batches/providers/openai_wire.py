"""The OpenAI Videos wire format, client's side: what an answer means. Pure functions that never raise.

https://platform.openai.com/docs/api-reference/videos, and what servers and gateways make of it: vLLM-Omni answers
a failed job with the failure's HTTP status, SGLang's list has no `has_more`, LiteLLM packs its routing into ids.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batches.failures import FailureType
from batches.providers import JobStatus, ListedJob, SubmitOutcome, Verdict
from batches.providers.answers import Answer, bounded_wait, number_of, printable, text_of, time_of
from batches.providers.refusals import outcome_of, read_error, refusal

# Gateways pack their own routing into ids; 512 characters hold the longest we have seen.
JOB_ID = re.compile(r"(?!\.+$)[\x21-\x7e]{1,512}")
# LiteLLM's ids: `video_` and in base64 `litellm:custom_llm_provider:…;model_id:…;video_id:…`.
LITELLM_PREFIX = "video_"
LITELLM_ID = re.compile(rb"litellm:[^;]*;model_id:[^;]*;video_id:([\x21-\x7e]+)")
PAGE_SIZE = 100

SUCCEEDED = {"completed", "succeeded"}
FAILED = {"failed", "error", "cancelled", "canceled", "expired", "rejected"}


@dataclass(frozen=True)
class Page:
    """A page of the list: its jobs, and the id after which the next page starts (None on the last)."""

    jobs: Sequence[Mapping[str, Any]]
    next_after: str | None
    headers: Mapping[str, str]

    def verdicts(self, wanted: Mapping[str, str]) -> dict[str, Verdict]:
        """Return what it says of the jobs that are `wanted`; a polling hint holds for all of them."""
        asked = ((wanted.get(job["id"]) or wanted.get(own_id(job["id"])), job) for job in self.jobs)
        return {job_id: verdict_of(job, self.headers) for job_id, job in asked if job_id}

    def is_before(self, instant: datetime) -> bool:
        """Say whether every job on it was made before `instant`."""
        times = [time_of(job.get("created_at")) for job in self.jobs]
        return all(time is not None and time < instant for time in times)


def submit_outcome(answer: Answer, *, now: datetime) -> SubmitOutcome:
    """Say what the answer to a create means: the job is taken, certainly not taken, or nobody knows."""
    hint = poll_after_seconds(answer.headers)
    return outcome_of(answer, job_id=id_of(answer.json()), poll_after_seconds=hint, now=now)


def verdict_of(job: Mapping[str, Any], headers: Mapping[str, str]) -> Verdict:
    """Read a `video` object. An error beats the state `completed`; an unknown state is RUNNING."""
    status = text_of(job.get("status")).lower()
    if status in FAILED or (status in SUCCEEDED and _says_something(job.get("error"))):
        error = read_error(job)
        # vLLM-Omni's codes are HTTP statuses.
        by_status = refusal(int(error.code), error) if re.fullmatch("[0-9]{3}", error.code) else None
        failure = error.failure() or by_status or FailureType.PROVIDER_ERROR
        return Verdict(JobStatus.FAILED, failure, printable(f"{status} {error.detail}"))
    state = JobStatus.SUCCEEDED if status in SUCCEEDED else JobStatus.RUNNING
    return Verdict(state, poll_after_seconds=poll_after_seconds(headers))


def listed_job_of(job: Mapping[str, Any]) -> ListedJob | None:
    """Read an entry of the list, or None when it lacks what a job is recognized by.

    An id that a gateway made is left out too: the same job may have got another id when it was created, so
    nobody could tell whether an attempt has it already.
    """
    job_id, created_at, prompt = id_of(job), time_of(job.get("created_at")), job.get("prompt")
    seconds = number_of(job.get("seconds"))
    if job_id is None or created_at is None or seconds is None or not isinstance(prompt, str):
        return None
    if own_id(job_id) != job_id:
        return None
    return ListedJob(
        job_id=job_id,
        model=text_of(job.get("model")),
        prompt=prompt,
        seconds=int(seconds),
        size=text_of(job.get("size")),
        created_at=created_at,
    )


def page_of(answer: Answer) -> Page | None:
    """Read a page of the list. Without `has_more`, a full page is taken to have a next one."""
    said = answer.json() if answer.status == 200 else None
    if said is None or not isinstance(said.get("data"), list):
        return None
    jobs = [job for job in said["data"] if isinstance(job, dict) and id_of(job)]
    last = said.get("last_id") or (jobs[-1]["id"] if jobs else None)
    more = said.get("has_more")
    goes_on = more is True or (more is None and len(said["data"]) >= PAGE_SIZE)
    return Page(jobs, last if goes_on and isinstance(last, str) else None, answer.headers)


def id_of(job: Mapping[str, Any] | None) -> str | None:
    """Return the job's id if it has one that can be stored and asked for."""
    job_id = job.get("id") if job else None
    return job_id if isinstance(job_id, str) and JOB_ID.fullmatch(job_id) else None


def own_id(job_id: str) -> str:
    """Return the provider's own id out of one that LiteLLM made: that gateway gives one job several ids."""
    if not job_id.startswith(LITELLM_PREFIX):
        return job_id
    try:
        made = LITELLM_ID.fullmatch(base64.b64decode(f"{job_id.removeprefix(LITELLM_PREFIX)}=="))
    except ValueError:  # Not base64.
        return job_id
    return made[1].decode() if made else job_id


def wanted_ids(job_ids: Iterable[str]) -> dict[str, str]:
    """Return our id of each job by every id that a list may show it under."""
    ids = list(job_ids)
    return {own_id(job_id): job_id for job_id in ids} | {job_id: job_id for job_id in ids}


def poll_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Read the hint `openai-poll-after-ms`; at most an hour."""
    ms = number_of(headers.get("openai-poll-after-ms"))
    return None if ms is None else bounded_wait(ms / 1000)


def _says_something(error: object) -> bool:
    """Tell an error from the empty one that some servers put into every job."""
    return any(error.values()) if isinstance(error, Mapping) else bool(error)
