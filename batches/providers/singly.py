"""Asking a provider for jobs one by one: at once, but not too many, and no longer than it answers."""

import time
from bisect import bisect_right
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

from batches.failures import FailureType
from batches.providers import JobStatus, Verdict
from batches.providers.answers import Answer
from batches.providers.refusals import says_gone
from batches.providers.transport import NoAnswer

THREADS = 16
# Requests of one poll: with 16 threads and 100 ms each they take two seconds.
MOST = 320
# After so many requests without an answer the provider is left in peace. One is too few: a single job that its
# provider chokes on must not hide all others.
MOST_SILENCES = 5


class Singly:
    """Asks `ask` for each of some jobs. It returns None for no verdict, and raises NoAnswer."""

    def __init__(self, ask: Callable[[str], Verdict | None]) -> None:
        self._ask = ask
        self._asked_up_to = ""

    def verdicts(self, job_ids: Collection[str], *, until: float) -> dict[str, Verdict]:
        """Return the verdicts on up to MOST of these jobs, until `time.monotonic()` says `until`."""
        silences: list[str] = []

        def ask(job_id: str) -> Verdict | None:
            if len(silences) >= MOST_SILENCES or time.monotonic() > until:
                return None
            try:
                return self._ask(job_id)
            except NoAnswer:
                silences.append(job_id)
                return None

        turn = self._turn(job_ids)
        if len(turn) <= 1:
            said = [ask(job_id) for job_id in turn]
        else:
            with ThreadPoolExecutor(max_workers=THREADS) as pool:
                said = list(pool.map(ask, turn))
        return {job_id: verdict for job_id, verdict in zip(turn, said, strict=True) if verdict}

    def _turn(self, job_ids: Collection[str]) -> Sequence[str]:
        """Return whose turn it is: who was left out the last time comes first."""
        ordered = sorted(job_ids)
        if len(ordered) <= MOST:
            return ordered
        start = bisect_right(ordered, self._asked_up_to)
        turn = (ordered[start:] + ordered[:start])[:MOST]
        self._asked_up_to = turn[-1]
        return turn


def gone_or_silent(answer: Answer) -> Verdict | None:
    """Read an answer that is not the job asked for: the provider has no such job, or gives no verdict.

    Raises NoAnswer when it is in trouble. Whether a job that is gone was made and paid, nobody can tell.
    """
    if says_gone(answer):
        return Verdict(JobStatus.FAILED, FailureType.PROVIDER_ERROR, "job is gone", again=False)
    if answer.status == 429 or answer.status >= 500:
        raise NoAnswer
    return None
