"""The adapter for servers that speak the OpenAI Videos format: hosted ones, gateways, and our simulator."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any, Literal
from urllib.parse import quote

from urllib3.filepost import encode_multipart_formdata

from batches.failures import FailureType
from batches.providers import Ambiguous, JobRequest, JobStatus, ListedJob, NotAccepted, SubmitOutcome, Verdict
from batches.providers.openai_wire import id_of, listed_job_of, page_of, submit_outcome, verdict_of
from batches.providers.transport import MaybeSent, NoAnswer, NotSent, Timeouts, Transport

PAGE_SIZE = 100
# Up to this many jobs are asked for one by one: as fast as the list, and the answers carry a polling hint.
ASKED_SINGLY = 3
# Pages read beyond those that the jobs would fill if they were the newest.
SPARE_PAGES = 2
MAX_PAGES_BACK = 50
POLL_THREADS = 8
# A poll or a look at the list ends within this and one more request: leases on what is asked for are longer.
ASKING_SECONDS = 40.0
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
        self._no_list_until = 0.0

    def submit(self, request: JobRequest) -> SubmitOutcome:
        """Ask for one video. Never raises: what went wrong is in the outcome."""
        body, content_type = _encoded(request, self._body_format)
        headers = {"Content-Type": content_type, "X-Client-Request-Id": request.client_id}
        try:
            answer = self._http.post("/videos", body, headers)
        except NotSent as error:
            return NotAccepted(FailureType.NETWORK_ERROR, str(error))
        except MaybeSent as error:
            return Ambiguous(str(error))
        return submit_outcome(answer, now=datetime.now(UTC))

    def poll(self, job_ids: Sequence[str]) -> Mapping[str, Verdict]:
        """Return what the provider says of these jobs. A job that is missing got no verdict. Never raises.

        Many jobs are read off the list, newest first; those not found there are asked for one by one.
        """
        found: dict[str, Verdict] = {}
        wanted = set(job_ids)
        until = time.monotonic() + ASKING_SECONDS
        try:
            if len(wanted) > ASKED_SINGLY and time.monotonic() >= self._no_list_until:
                found = self._verdicts_from_list(wanted, until)
        except NoList:
            self._no_list_until = time.monotonic() + NO_LIST_SECONDS
        except NoAnswer:
            return {}  # A provider in trouble isn't helped by a hundred more requests.
        return found | self._verdicts_one_by_one(sorted(wanted - found.keys()), until)

    def jobs_since(self, since: datetime) -> Sequence[ListedJob]:
        """Return the jobs created at or after `since`, newest first; none if the provider didn't answer.

        The format's times are whole seconds, so jobs of the second that `since` lies in are all returned.
        """
        start = since.replace(microsecond=0)
        found: list[ListedJob] = []
        try:
            for page in self._pages(MAX_PAGES_BACK, time.monotonic() + ASKING_SECONDS):
                jobs = [listed for job in page if (listed := listed_job_of(job))]
                found += [job for job in jobs if job.created_at >= start]
                if any(job.created_at < start for job in jobs):
                    break
        except NoAnswer:
            return []
        return found

    def download(self, job_id: str, target: Path, *, max_bytes: int) -> None:
        """Stream the finished video into the file `target`. Raises DownloadFailed, leaving no file."""
        self._http.download(f"{_path(job_id)}/content", target, max_bytes=max_bytes)

    def _pages(self, most: int, until: float) -> Iterator[Sequence[Mapping[str, Any]]]:
        """Yield up to `most` pages of the list, newest first, while there is time. Raises NoAnswer, or NoList."""
        after: str | None = None
        for _ in range(most):
            if time.monotonic() > until:
                return
            params = {"limit": str(PAGE_SIZE), "order": "desc"} | ({"after": after} if after else {})
            answer = self._http.get("/videos", params)
            page = page_of(answer)
            if page is None:
                raise NoList if answer.status in NO_LIST_STATUSES and not after else NoAnswer
            jobs, next_after = page
            yield jobs
            if next_after is None or next_after == after:
                return
            after = next_after

    def _verdicts_from_list(self, wanted: set[str], until: float) -> dict[str, Verdict]:
        found: dict[str, Verdict] = {}
        for page in self._pages(len(wanted) // PAGE_SIZE + 1 + SPARE_PAGES, until):
            found |= {job["id"]: verdict_of(job, {}) for job in page if job["id"] in wanted}
            if len(found) == len(wanted):
                break
        return found

    def _verdicts_one_by_one(self, job_ids: Sequence[str], until: float) -> dict[str, Verdict]:
        """Ask for each job until the time is up or the provider stops answering."""
        stop = Event()

        def ask(job_id: str) -> Verdict | None:
            if stop.is_set() or time.monotonic() > until:
                return None
            try:
                return self._verdict(job_id)
            except NoAnswer:
                stop.set()
                return None

        if len(job_ids) <= 1:
            return _known(job_ids, map(ask, job_ids))
        with ThreadPoolExecutor(max_workers=POLL_THREADS) as pool:
            return _known(job_ids, pool.map(ask, job_ids))

    def _verdict(self, job_id: str) -> Verdict | None:
        """Ask for one job. Raises NoAnswer when there is no point in asking for others now."""
        answer = self._http.get(_path(job_id))
        said = answer.json()
        # Any other 404 (a page of HTML, {"detail": "Not Found"}) is a wrong address, not a missing job.
        if answer.status == 404 and said is not None and isinstance(said.get("error"), dict):
            return Verdict(JobStatus.FAILED, FailureType.PROVIDER_ERROR, "job is gone", again=False)
        if answer.status == 429 or answer.status >= 500:
            raise NoAnswer
        if answer.status != 200 or said is None or id_of(said) != job_id:
            return None
        return verdict_of(said, answer.headers)


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


def _known(job_ids: Iterable[str], verdicts: Iterable[Verdict | None]) -> dict[str, Verdict]:
    return {job_id: verdict for job_id, verdict in zip(job_ids, verdicts, strict=True) if verdict}
