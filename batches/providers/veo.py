"""The adapter for Google's Veo behind the Gemini API: each job is a long-running operation."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from batches.failures import FailureType
from batches.providers import (
    Ambiguous,
    DownloadFailed,
    JobRequest,
    JobStatus,
    ListedJob,
    NotAccepted,
    Polled,
    SubmitOutcome,
    TooLarge,
    Verdict,
    outputs,
)
from batches.providers.singly import Singly, gone_or_silent
from batches.providers.transport import MaybeSent, NoAnswer, NotSent, Timeouts, Transport
from batches.providers.veo_wire import body_of, is_of, output_of, submit_outcome, verdict_of

# A poll ends within this and one more request: leases on what is asked for are longer.
ASKING_SECONDS = 40.0


class Veo:
    """A `Provider` for one base URL (such as `https://generativelanguage.googleapis.com/v1beta`) and key."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        connect_timeout_seconds: float = 5.0,
        submit_timeout_seconds: float = 30.0,
        read_timeout_seconds: float = 20.0,
        download_timeout_seconds: float = 300.0,
    ) -> None:
        timeouts = Timeouts(
            connect=connect_timeout_seconds,
            submit=submit_timeout_seconds,
            read=read_timeout_seconds,
            download=download_timeout_seconds,
        )
        self._http = Transport(base_url, api_key, timeouts, key_header="x-goog-api-key")
        self._singly = Singly(self._verdict)

    def submit(self, request: JobRequest) -> SubmitOutcome:
        """Ask for one video. Never raises: what went wrong is in the outcome."""
        body = body_of(request)
        if body is None:
            return NotAccepted(FailureType.INVALID_REQUEST, f"no video of size {request.size}")
        path = f"/models/{quote(request.model, safe='')}:predictLongRunning"
        try:
            answer = self._http.post(path, body, {"Content-Type": "application/json"})
        except NotSent as error:
            return NotAccepted(FailureType.NETWORK_ERROR, str(error), answered=False)
        except MaybeSent as error:
            return Ambiguous(str(error))
        return submit_outcome(answer, now=datetime.now(UTC))

    def poll(self, job_ids: Sequence[str], *, since: datetime | None = None) -> Polled:  # noqa: ARG002 - no list.
        """Ask for these jobs, one by one and a few hundred at most; the others come first next time. Never raises."""
        verdicts = self._singly.verdicts(set(job_ids), until=time.monotonic() + ASKING_SECONDS)
        return Polled(verdicts, answered=bool(verdicts) or not job_ids)

    def jobs_since(self, since: datetime) -> Sequence[ListedJob]:  # noqa: ARG002 - no list.
        """Return none: an operation does not say what was asked for, so no job can be recognized."""
        return []

    def download(self, job_id: str, target: Path, *, max_bytes: int) -> None:
        """Stream the finished video into the file `target`. Raises DownloadFailed, leaving no file.

        Addresses are good for two days, and asked for anew each time.
        """
        output = self._output(job_id)
        if isinstance(output, str):
            outputs.download(self._http, output, target, max_bytes=max_bytes)
        elif len(output) > max_bytes:
            raise TooLarge(f"{len(output)} bytes are more than {max_bytes}")
        else:
            target.write_bytes(output)

    def _output(self, job_id: str) -> str | bytes:
        try:
            operation = self._http.get(_path(job_id)).json()
        except NoAnswer as error:
            raise DownloadFailed(str(error)) from None
        if operation is None or verdict_of(operation).status != JobStatus.SUCCEEDED:
            raise DownloadFailed("the operation did not answer with a video")
        output = output_of(operation)
        if output is None or (isinstance(output, str) and not output.startswith(("https://", "http://"))):
            raise DownloadFailed("the video has no address that can be called", permanent=True)
        return output

    def _verdict(self, job_id: str) -> Verdict | None:
        """Ask for one job. Raises NoAnswer when there is no point in asking for others now."""
        answer = self._http.get(_path(job_id))
        operation = answer.json()
        if answer.status == 200 and operation is not None and is_of(operation, job_id):
            return verdict_of(operation)
        return gone_or_silent(answer)


def _path(job_id: str) -> str:
    return f"/{quote(job_id, safe='/')}"
