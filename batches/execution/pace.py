"""How soon a job is asked for again: by the provider's hint, else by the job's age.

After a tenth of its age: so a finished job waits to be found for a tenth of its time at most, whatever kind of job it
is, and costs a few dozen questions. The list answers for a hundred jobs at once, so many jobs are asked for in common
rounds, which are apart by as much as keeps the requests to a provider under some two dozen a second.
"""

from datetime import datetime

from django.conf import settings

from batches.providers import Verdict

# Whatever a provider hints: asking more often than this is of no use to anybody.
HINT_LEAST_SECONDS = 0.1
LEAST_SECONDS = 0.25
SHARE_OF_AGE = 0.1
# Of a round, for each hundred jobs in flight: one request.
SECONDS_PER_PAGE, PAGE = 0.04, 100
# A provider that does not answer is asked ever more rarely, up to this.
UNANSWERED_MOST_SECONDS = 30.0


def first_pause(hint_seconds: float | None) -> float:
    """Return after how many seconds a job is asked for the first time."""
    return max(hint_seconds or min(LEAST_SECONDS, settings.POLL_SECONDS), HINT_LEAST_SECONDS)


def round_seconds(in_flight: int) -> float:
    """Return how far rounds over so many jobs are apart at least."""
    most: float = settings.POLL_SECONDS
    return min(max(LEAST_SECONDS, in_flight / PAGE * SECONDS_PER_PAGE), most)


def pause(
    verdict: Verdict, *, submitted_at: datetime, now: datetime, in_flight: int, silent_since: datetime | None
) -> float:
    """Return after how many seconds a job that still runs is asked for again, of so many that are in flight.

    `silent_since` is since when the provider has not answered, None if it does.
    """
    of_age = min(SHARE_OF_AGE * (now - submitted_at).total_seconds(), settings.POLL_SECONDS)
    seconds = max(verdict.poll_after_seconds or of_age, round_seconds(in_flight))
    if silent_since is None:
        return max(seconds, HINT_LEAST_SECONDS)
    return max(seconds, min((now - silent_since).total_seconds() / 2, UNANSWERED_MOST_SECONDS))
