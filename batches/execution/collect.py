"""Collect: bring a finished video into our storage, and charge it only if it plays and has the length ordered."""

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from structlog import get_logger

from batches import outputs, retention
from batches.catalogue import Route, provider_of
from batches.execution import outcomes
from batches.execution.queue import AttemptNews, Claimed, Move, claim_due, move, renew, tell_attempts
from batches.failures import FailureType
from batches.media import Clip, ProbeUnavailable, Unplayable, probe
from batches.models import Attempt, Output, Stage, Status
from batches.providers import DownloadFailed, TooLarge
from sora2.drain import drain

log = get_logger(__name__)

# Downloads at once from one worker process.
WIDTH = 16
RUN_SECONDS = 120.0
# Renewed while a download takes longer: what a dead worker was fetching is fetched again soon.
LEASE_SECONDS = 30.0
RETRY_SECONDS = 3.0


@dataclass(frozen=True)
class Collected:
    """A video that plays, stored under `video` and `poster`."""

    video: str
    poster: str
    bytes: int
    sha256: str
    duration_ms: int


@dataclass(frozen=True)
class NotCollected:
    """Why there is no usable video.

    `again`: the same file may be fetched later. `anew`: another submit may bring a better one.
    """

    failure: FailureType
    detail: str
    again: bool = False
    anew: bool = False


def collect_due(route: Route, last_claim: Callable[[], None] | None = None) -> int:
    """Collect what is due for a route; return how many items were handled."""
    return drain(
        claim=lambda count: claim_due(
            route=route.name,
            stage=Stage.COLLECT,
            count=count,
            lease_seconds=LEASE_SECONDS,
            now=timezone.now(),
        ),
        act=lambda item: (item, _collect(route, item)),
        record=_record,
        width=WIDTH,
        seconds=RUN_SECONDS,
        renew=lambda items: renew(items=items, lease_seconds=LEASE_SECONDS, now=timezone.now()),
        last_claim=last_claim,
    )


def _collect(route: Route, item: Claimed) -> Collected | NotCollected:
    with tempfile.TemporaryDirectory(prefix="sora2-collect-") as folder:
        video, poster = Path(folder, "video.mp4"), Path(folder, "poster.jpg")
        try:
            provider_of(route).download(item.job_id or "", video, max_bytes=settings.OUTPUT_MAX_BYTES)
            clip = probe(video, expected_seconds=item.seconds, poster=poster)
        except TooLarge as error:
            return NotCollected(FailureType.OUTPUT_INVALID, error.detail, anew=True)
        except DownloadFailed as error:
            failure = FailureType.PROVIDER_ERROR if error.permanent else FailureType.NETWORK_ERROR
            return NotCollected(failure, error.detail, again=not error.permanent)
        except ProbeUnavailable as error:
            return NotCollected(FailureType.INTERNAL_ERROR, str(error), again=True)
        except Unplayable as error:
            return NotCollected(FailureType.OUTPUT_INVALID, str(error), anew=True)
        except OSError as error:
            return NotCollected(FailureType.INTERNAL_ERROR, type(error).__name__, again=True)
        return _kept(item, video, poster, clip)


def _kept(item: Claimed, video: Path, poster: Path, clip: Clip) -> Collected | NotCollected:
    """Store both files. Whatever the storage raises is ours: the item is collected again until its deadline."""
    try:
        return Collected(
            video=_stored(item, video),
            poster=_stored(item, poster),
            bytes=video.stat().st_size,
            sha256=_sha256(video),
            duration_ms=round(clip.duration_seconds * 1000),
        )
    except Exception as error:
        log.error("batches.output_not_stored", attempt_id=item.attempt_id, exc_info=error)
        return NotCollected(FailureType.INTERNAL_ERROR, type(error).__name__, again=True)


def _stored(item: Claimed, path: Path) -> str:
    return outputs.keep(path, batch_id=item.batch_id, attempt_id=item.attempt_id, lease=item.lease)


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _record(results: Sequence[tuple[Claimed, Collected | NotCollected]]) -> None:
    now = timezone.now()
    earlier = outcomes.earlier_failures([item for item, result in results if isinstance(result, NotCollected)])
    moves = [_move(item, result, earlier, now) for item, result in results]
    with transaction.atomic():
        moved = move(moves=moves, now=now)
        kept = [(item, result) for item, result in results if item.claim in moved]
        tell_attempts([news for item, result in kept if (news := _news(item, result, now))])
        collected = [(item, result) for item, result in kept if isinstance(result, Collected)]
        expiries = retention.expiries(batch_ids={item.batch_id for item, _ in collected}, created_at=now)
        Output.objects.bulk_create([_output(item, result, now, expiries[item.batch_id]) for item, result in collected])
        outcomes.tell(moves, moved, now=now)
    outcomes.finish(moves, moved, now=now)


def _move(item: Claimed, result: Collected | NotCollected, earlier: outcomes.Earlier, now: datetime) -> Move:
    if isinstance(result, Collected):
        return Move(item, status=Status.SUCCEEDED)
    if result.again:
        ready_at = item.ready_at or now
        if now < ready_at + timedelta(seconds=settings.COLLECT_DEADLINE_SECONDS):
            return Move(item, stage=Stage.COLLECT, due_at=now + timedelta(seconds=RETRY_SECONDS))
        return outcomes.failed(item, result.failure)
    return (
        outcomes.failed_or_again(item, result.failure, earlier=earlier, now=now)
        if result.anew
        else outcomes.failed(item, result.failure)
    )


def _news(item: Claimed, result: Collected | NotCollected, now: datetime) -> AttemptNews | None:
    if isinstance(result, Collected):
        return AttemptNews(item.attempt_id, Attempt.State.SUCCEEDED, ended_at=now)
    if result.again:
        return None
    return AttemptNews(
        item.attempt_id,
        Attempt.State.FAILED,
        ended_at=now,
        failure_type=result.failure.value,
        detail=result.detail,
    )


def _output(item: Claimed, result: Collected, now: datetime, expires_at: datetime | None) -> Output:
    return Output(
        item_id=item.item_id,
        video=result.video,
        poster=result.poster,
        bytes=result.bytes,
        sha256=result.sha256,
        duration_ms=result.duration_ms,
        created_at=now,
        expires_at=expires_at,
    )
