"""What the engine needs of a video provider: four calls with plain values. Adapters live in modules beside this one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from batches.failures import FailureType


@dataclass(frozen=True)
class JobRequest:
    """One video to be made. `client_id` is our own id of this submit: for logs, no provider honours it."""

    model: str
    prompt: str
    seconds: int
    size: str
    client_id: str


@dataclass(frozen=True)
class Accepted:
    """The provider has the job and said its id. `poll_after_seconds` is its hint, if it gave one."""

    job_id: str
    poll_after_seconds: float | None = None


@dataclass(frozen=True)
class NotAccepted:
    """The provider certainly runs no job for this submit: refused, or never reached.

    `detail` is for operators (never a secret); customers see the failure type's own message. `answered` False:
    no HTTP answer came at all, so this says nothing of what the provider thinks of the request.
    """

    failure: FailureType
    detail: str
    retry_after_seconds: float | None = None
    answered: bool = True


@dataclass(frozen=True)
class Ambiguous:
    """Nobody knows whether the provider has the job: it must be looked up, never repeated blindly.

    `answered` True: an HTTP answer came (502, 504, success without an id, ...), though it settled nothing.
    """

    detail: str
    answered: bool = False


SubmitOutcome = Accepted | NotAccepted | Ambiguous


class JobStatus(StrEnum):
    """A job's state at the provider. A state we have never heard of counts as RUNNING."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True)
class Verdict:
    """What the provider said of one job; `failure` and `detail` are set when `status` is FAILED.

    `again` False: it cannot be told whether the job was made and paid, so it may not be ordered once more.
    """

    status: JobStatus
    failure: FailureType | None = None
    detail: str = ""
    poll_after_seconds: float | None = None
    again: bool = True


@dataclass(frozen=True)
class Polled:
    """What one poll brought: a verdict by job id for each job that got one.

    `answered` False: the provider gave no usable answer to any request of this poll.
    """

    verdicts: Mapping[str, Verdict]
    answered: bool


@dataclass(frozen=True)
class ListedJob:
    """A job in the provider's list, with what an ambiguous submit is recognized by."""

    job_id: str
    model: str
    prompt: str
    seconds: int
    size: str
    created_at: datetime


class DownloadFailed(Exception):
    """The output could not be fetched this time. `permanent` says that trying again is useless."""

    def __init__(self, detail: str, *, permanent: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent


class TooLarge(DownloadFailed):
    """The output has more bytes than an output may have."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, permanent=True)


class Provider(Protocol):
    """One adapter, bound to one route. Safe to call from several threads at once; never touches the database."""

    def submit(self, request: JobRequest) -> SubmitOutcome:
        """Ask for one video. Never raises: what went wrong is in the outcome."""
        ...

    def poll(self, job_ids: Sequence[str], *, since: datetime | None = None) -> Polled:
        """Ask for up to 5 000 jobs, the oldest submitted at `since`. Never raises.

        A job that is missing from the verdicts got none this time: it is asked for again.
        """
        ...

    def jobs_since(self, since: datetime) -> Sequence[ListedJob]:
        """Return the jobs created at or after `since`, or none when the provider did not answer. Never raises."""
        ...

    def download(self, job_id: str, target: Path, *, max_bytes: int) -> None:
        """Stream the finished video into the file `target`. Raises DownloadFailed."""
        ...
