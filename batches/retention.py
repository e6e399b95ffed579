"""How long videos are kept: each customer's policy, and the purge that deletes files and keeps the records.

Deleting a file twice is no error, and a row is marked only when its files are gone: whoever dies in between leaves it
due, and two at once do the same work twice. Files that no record names are removed by batches.orphans.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from structlog import get_logger

from batches import outputs
from batches.models import Output
from customers.models import Organization
from customers.services import set_retention

log = get_logger(__name__)

# What one run takes at most: far below the limit of a task.
PURGE_SECONDS = 150.0
CHUNK = 200
# Outputs deleted at once from one process.
WIDTH = 16

# --- the policy ----------------------------------------------------------------------------------------------------

# Within the transaction that stores outputs: a policy that is being changed is waited for, and one that is changed
# right after finds these rows.
_POLICIES = """
    SELECT b.id, o.retention_days
    FROM batches_batch b JOIN customers_organization o ON o.id = b.organization_id
    WHERE b.id = ANY(%s)
    FOR SHARE OF o
"""

# The rows are locked in the order in which the purge locks them. A customer's million takes some fifteen seconds, in
# which what is collected for that customer waits, or is collected once more.
_REDATE = """
    WITH kept AS (
        SELECT o.item_id
        FROM batches_batch b
        JOIN batches_item i ON i.batch_id = b.id
        JOIN batches_output o ON o.item_id = i.id
        WHERE b.organization_id = %(organization)s AND o.purged_at IS NULL
          AND o.expires_at IS DISTINCT FROM o.created_at + %(kept_for)s::interval
        ORDER BY o.item_id
        FOR NO KEY UPDATE OF o
    )
    UPDATE batches_output o SET expires_at = o.created_at + %(kept_for)s::interval
    FROM kept WHERE o.item_id = kept.item_id
"""


def expiries(*, batch_ids: Iterable[str], created_at: datetime) -> Mapping[str, datetime | None]:
    """Return by batch when an output that is stored now expires; to be called in the transaction that stores it."""
    ids = sorted(set(batch_ids))
    if not ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_POLICIES, [ids])
        return {batch_id: created_at + timedelta(days=days) if days else None for batch_id, days in cursor.fetchall()}


def change_retention(*, organization: Organization, days: int | None, actor: str) -> int:
    """Keep a customer's videos for `days` (None: for ever), also those that exist; return how many got another date.

    What is purged stays purged. What is older is due for the purge at once. Raises ValueError.
    """
    with transaction.atomic():
        if not set_retention(organization=organization, days=days, actor=actor):
            return 0
        kept_for = f"{days * 24} hours" if days else None
        return _changed(_REDATE, {"organization": organization.pk, "kept_for": kept_for})


@dataclass(frozen=True)
class Kept:
    """A customer's videos that are kept, and those among them that a policy would delete at once."""

    videos: int
    too_old: int


def kept(*, organization: Organization, days: int | None, now: datetime) -> Kept:
    """Return how many videos a customer has, and how many of them are older than `days`."""
    rows = Output.objects.filter(item__batch__organization=organization, purged_at=None)
    too_old = rows.filter(created_at__lte=now - timedelta(days=days)).count() if days else 0
    return Kept(videos=rows.count(), too_old=too_old)


# --- the purge -----------------------------------------------------------------------------------------------------

_MARK = """
    WITH gone AS (
        SELECT item_id FROM batches_output WHERE item_id = ANY(%s) AND purged_at IS NULL
        ORDER BY item_id FOR NO KEY UPDATE
    )
    UPDATE batches_output o SET purged_at = %s FROM gone WHERE o.item_id = gone.item_id
"""


def purge_outputs(*, now: datetime, seconds: float = PURGE_SECONDS) -> int:
    """Delete the files of the outputs that have expired, those first that did so first; return how many were purged.

    What the storage does not delete stays due, is logged, and holds up nothing else. A policy that is made longer at
    this very moment comes too late for the chunk under way.
    """
    until = time.monotonic() + seconds
    purged = 0
    after: Output | None = None
    with ThreadPoolExecutor(max_workers=WIDTH) as pool:
        while time.monotonic() < until and (due := _due(now, after)):
            faults = list(pool.map(_delete, due))
            gone = [output.pk for output, fault in zip(due, faults, strict=True) if fault is None]
            purged += _mark(gone, now)
            _tell([fault for fault in faults if fault is not None])
            after = due[-1]
    if purged:
        log.info("batches.outputs_purged", count=purged)
    return purged


def _due(now: datetime, after: Output | None) -> Sequence[Output]:
    """Served by batches_output_to_purge."""
    rows = Output.objects.filter(expires_at__lte=now, purged_at=None)
    if after is not None:
        same = Q(expires_at=after.expires_at, pk__gt=after.pk)
        rows = rows.filter(same | Q(expires_at__gt=after.expires_at), expires_at__gte=after.expires_at)
    return list(rows.order_by("expires_at", "pk")[:CHUNK])


def _delete(output: Output) -> Exception | None:
    try:
        outputs.delete([output.video, output.poster])
    except Exception as error:
        return error
    return None


def _mark(item_ids: Sequence[str], now: datetime) -> int:
    if not item_ids:
        return 0
    return _changed(_MARK, [list(item_ids), now])


def _changed(sql: str, values: Any) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        count: int = cursor.rowcount
        return count


def _tell(faults: Sequence[Exception]) -> None:
    if faults:
        log.error("batches.outputs_not_purged", count=len(faults), exc_info=faults[0])
