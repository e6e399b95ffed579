"""The adapter for servers that speak the OpenAI Videos format: hosted ones, gateways, and our simulator."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from urllib3.filepost import encode_multipart_formdata

from batches.failures import FailureType
from batches.providers import (
    Ambiguous,
    JobRequest,
    ListedJob,
    NotAccepted,
    Polled,
    SubmitOutcome,
    Verdict,
    outputs,
)
from batches.providers.openai_wire import (
    PAGE_SIZE,
    Page,
    id_of,
    listed_job_of,
    own_id,
    page_of,
    submit_outcome,
    verdict_of,
    wanted_ids,
)
from batches.providers.singly import Singly, gone_or_silent
from batches.providers.transport import MaybeSent, NoAnswer, NotSent, Timeouts, Transport

# Up to this many jobs are asked for one by one: as fast as the list, and the answers carry a polling hint.
ASKED_SINGLY = 3
# A poll reads at most so many pages: twice what the jobs would fill, as others may use the same key, and a few.
SPARE_PAGES = 3
# The provider's clock may differ from ours by this much.
CLOCK_SKEW = timedelta(seconds=30)
MAX_PAGES_BACK = 50
# A poll or a look at the list ends within this and one more request: leases on what is asked for are longer. The
# list gets the first part, so that something is left for the jobs that it lacks.
ASKING_SECONDS = 40.0
LISTING_SECONDS = 30.0
# A server without the list is asked for it again after this time; it may have been updated.
NO_LIST_SECONDS = 300.0
NO_LIST_STATUSES = {400, 404, 405, 410, 422, 501}

BodyFormat = Literal["json", "form"]


class NoList(NoAnswer):
    """The provider cannot list its jobs."""


class OpenAIVideos:
    """A `Provider` for one base URL (such as `https://host/v1`) and key.

    `body_format` is what a create is sent as; vLLM-Omni wants "form", all others take "json".
    """

    def __init__(
        self,
        base_url: str,
        api_key: str = "",
        *,
        body_format: BodyFormat = "json",
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
        self._http = Transport(base_url, api_key, timeouts)
        self._body_format = body_format
        self._singly = Singly(self._verdict)
        self._no_list_until = 0.0

    def submit(self, request: JobRequest) -> SubmitOutcome:
        """Ask for one video. Never raises: what went wrong is in the outcome."""
        try:
            body, content_type = _encoded(request, self._body_format)
        except UnicodeEncodeError:
            return NotAccepted(FailureType.INVALID_REQUEST, "half a surrogate pair cannot be sent in a form")
        headers = {"Content-Type": content_type, "X-Client-Request-Id": request.client_id}
        try:
            answer = self._http.post("/videos", body, headers)
        except NotSent as error:
            return NotAccepted(FailureType.NETWORK_ERROR, str(error), answered=False)
        except MaybeSent as error:
            return Ambiguous(str(error))
        return submit_outcome(answer, now=datetime.now(UTC))

    def poll(self, job_ids: Sequence[str], *, since: datetime | None = None) -> Polled:
        """Ask for up to 5 000 jobs, the oldest submitted at `since`. Never raises.

        They are read off the list, newest first; a few hundred of those not found there are asked for one by one.
        """
        until = time.monotonic() + ASKING_SECONDS
        wanted, missing = wanted_ids(job_ids), set(job_ids)
        verdicts: dict[str, Verdict] = {}
        answered = not job_ids
        try:
            for page in self._pages_for(len(missing), since):
                answered = True
                found = page.verdicts(wanted)
                verdicts |= found
                missing -= found.keys()
                if not missing:
                    break
        except NoList:
            self._no_list_until = time.monotonic() + NO_LIST_SECONDS
        except NoAnswer:  # A provider in trouble isn't helped by hundreds of more requests.
            return Polled(verdicts, answered)
        singles = self._singly.verdicts(missing, until=until)
        return Polled(verdicts | singles, answered or bool(singles))

    def jobs_since(self, since: datetime) -> Sequence[ListedJob]:
        """Return the jobs created at or after `since`, newest first; none if the provider didn't answer.

        The format's times are whole seconds, so jobs of the second that `since` lies in are all returned.
        """
        start = since.replace(microsecond=0)
        found: list[ListedJob] = []
        try:
            for page in self._pages(MAX_PAGES_BACK):
                jobs = [listed for job in page.jobs if (listed := listed_job_of(job))]
                found += [job for job in jobs if job.created_at >= start]
                if any(job.created_at < start for job in jobs):
                    break
        except NoAnswer:
            return []
        return found

    def download(self, job_id: str, target: Path, *, max_bytes: int) -> None:
        """Stream the finished video into the file `target`. Raises DownloadFailed, leaving no file."""
        outputs.download(self._http, f"{self._http.base_url}{_path(job_id)}/content", target, max_bytes=max_bytes)

    def _pages_for(self, count: int, since: datetime | None) -> Iterator[Page]:
        """Yield the pages on which so many jobs may be, made at or after `since`. Raises NoAnswer, or NoList."""
        if count <= ASKED_SINGLY or time.monotonic() < self._no_list_until:
            return
        for page in self._pages(2 * (count // PAGE_SIZE + 1) + SPARE_PAGES):
            yield page
            if since is not None and page.is_before(since - CLOCK_SKEW):
                return

    def _pages(self, most: int) -> Iterator[Page]:
        """Yield up to `most` pages of the list, newest first, while there is time. Raises NoAnswer, or NoList."""
        until = time.monotonic() + LISTING_SECONDS
        after: str | None = None
        for _ in range(most):
            if time.monotonic() > until:
                return
            params = {"limit": str(PAGE_SIZE), "order": "desc"} | ({"after": after} if after else {})
            answer = self._http.get("/videos", params)
            page = page_of(answer)
            if page is None:
                raise NoList if answer.status in NO_LIST_STATUSES and not after else NoAnswer
            yield page
            if page.next_after is None or page.next_after == after:
                return
            after = page.next_after

    def _verdict(self, job_id: str) -> Verdict | None:
        """Ask for one job. Raises NoAnswer when there is no point in asking for others now."""
        answer = self._http.get(_path(job_id))
        said = answer.json()
        their_id = id_of(said)
        # Whatever the status: vLLM-Omni answers a failed job with the failure's own.
        if said is not None and their_id is not None and own_id(their_id) == own_id(job_id):
            return verdict_of(said, answer.headers)
        return gone_or_silent(answer)


def _encoded(request: JobRequest, body_format: BodyFormat) -> tuple[bytes, str]:
    fields = {
        "model": request.model,
        "prompt": request.prompt,
        "seconds": str(request.seconds),
        "size": request.size,
    }
    if body_format == "form":
        return encode_multipart_formdata(fields)
    return json.dumps(fields).encode(), "application/json"


def _path(job_id: str) -> str:
    return f"/videos/{quote(job_id, safe='')}"
