"""Stored files that no record names, found and removed: a result that was dropped leaves them.

A worker that was thought to be dead stores its video after another one's counts; one that dies between storing and
recording leaves a video that is fetched and stored again.
"""

import re
import time
from datetime import datetime, timedelta

from django.db.models import Q
from structlog import get_logger

from batches import outputs
from batches.models import FINAL_STATES, Batch, Output
from batches.storage import store
from customers.models import AuditEvent
from customers.services import audit

log = get_logger(__name__)

# What one run takes, in seconds and batches at most.
RUN_SECONDS = 60.0
RUN_BATCHES = 2000
# By then whoever held a claim of the batch is long gone: a task ends within minutes.
AGE = timedelta(days=1)
# Only what a collecting worker has written is ever taken for an orphan.
OUR_FILE = re.compile(r".*/att_[0-9a-z]{26}[^/]*\.(mp4|jpg)")
ACTION = "outputs.swept"

# When a batch ended, and its id: batches are looked at in this order, each once.
Place = tuple[datetime, str]


def remove_orphans(*, now: datetime, seconds: float = RUN_SECONDS) -> int:
    """Delete the files that no output names, of batches that ended a day ago or earlier; return how many.

    The audit log says how far this went: what is left is for the next run. A storage that does not answer ends the run.
    """
    until = time.monotonic() + seconds
    through, looked_at, removed = None, 0, 0
    for place in _ended_after(_reached(), now):
        try:
            removed += _remove_orphans_of(place[1])
        except Exception as error:
            log.error("batches.orphans_not_looked_for", batch_id=place[1], exc_info=error)
            break
        through, looked_at = place, looked_at + 1
        if time.monotonic() > until:
            break
    if through is not None:
        said = {"through": [through[0].isoformat(), through[1]], "batches": looked_at, "files": removed}
        audit(actor="system", action=ACTION, detail=said)
    return removed


def _reached() -> Place | None:
    """Return the last batch that was looked at. Served by customers_audit_by_org."""
    last = AuditEvent.objects.filter(organization=None, action=ACTION).order_by("-at", "-pk").first()
    if last is None:
        return None
    ended_at, batch_id = last.detail["through"]
    return datetime.fromisoformat(ended_at), batch_id


def _ended_after(reached: Place | None, now: datetime) -> list[Place]:
    """Return the next batches. There is no index for it: batches are few beside videos, and this is asked seldom."""
    rows = Batch.objects.filter(state__in=FINAL_STATES, finished_at__lte=now - AGE)
    if reached is not None:
        ended_at, batch_id = reached
        rows = rows.filter(Q(finished_at__gt=ended_at) | Q(finished_at=ended_at, pk__gt=batch_id))
    found = rows.order_by("finished_at", "pk").values_list("finished_at", "pk")[:RUN_BATCHES]
    return [(ended_at, batch_id) for ended_at, batch_id in found if ended_at is not None]


def _remove_orphans_of(batch_id: str) -> int:
    """The files are listed before the records are read: whatever is stored in between is not among them."""
    names = [name for name in store().names_in(outputs.folder_of(batch_id)) if OUR_FILE.fullmatch(name)]
    if not names:
        return 0
    kept = Output.objects.filter(item__batch=batch_id, purged_at=None).values_list("video", "poster")
    named = {name for pair in kept for name in pair}
    return sum(_remove(name) for name in names if name not in named)


def _remove(name: str) -> bool:
    """One that cannot be deleted is logged, and left to whoever reads that: it holds up no other."""
    try:
        outputs.delete([name])
    except Exception as error:
        log.error("batches.orphan_not_removed", file=name, exc_info=error)
        return False
    log.info("batches.orphan_removed", file=name)
    return True
