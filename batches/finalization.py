"""How a batch ends: finalize_batch_credits, and who calls it when.

Global lock order: batch, then items, then wallet. Nothing slow happens while a wallet is locked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from structlog import get_logger

from batches import proofs
from batches.models import OPEN_STATES, OPEN_STATUSES, Batch, Item, Proof, State, Status
from ledger import services as ledger
from webhooks import services as webhooks
from webhooks.models import EventType, new_event_id

log = get_logger(__name__)

# Served by batches_batch_open and batches_item_open.
ENDED = """
    SELECT b.id FROM batches_batch b
    WHERE b.state IN ('queued', 'processing')
      AND (%(among)s::text[] IS NULL OR b.id = ANY(%(among)s))
      AND NOT EXISTS (SELECT FROM batches_item i WHERE i.batch_id = b.id AND i.status IN ('pending', 'running'))
    ORDER BY b.id
"""


def finalize_batch_credits(*, batch_id: str, now: datetime) -> bool:
    """End a batch whose items have all ended: charge what succeeded, give back the rest, tell the customer.

    One transaction settles and refunds, turns failed items to refunded, sets the final state, fixes the proof and
    writes the `batch.completed` event. Return whether this call did it; a second call does nothing. At commit the
    database refuses a final batch whose entries don't satisfy reserved = settled + refunded.
    """
    with transaction.atomic():
        batch = Batch.objects.select_for_update(no_key=True).get(pk=batch_id)
        if batch.is_final:
            return False
        totals = _close_items(batch, now)
        if totals.open:
            return False
        _settle_and_refund(batch, totals)
        _end(batch, totals, now)
        proof = proofs.fix(batch=batch, items_sha256=totals.items_sha256)
        _tell(batch, proof)
    return True


def finalize_ended(*, now: datetime, among: Iterable[str] | None = None) -> int:
    """Finalize the batches whose last item has ended (of those `among`, or of all); return how many.

    To be called after the commit that ended an item, never inside it: two workers that end the last two items would
    each see the other's still open. The sweep calls it for all, as the worker may have died in between. A batch that
    cannot be finalized keeps no other from it: the sweep comes back to it.
    """
    done = 0
    for batch_id in _ended(among):
        try:
            done += finalize_batch_credits(batch_id=batch_id, now=now)
        except Exception as error:
            log.error("batches.finalize_failed", batch_id=batch_id, exc_info=error)
    return done


def movement_of(batch: Batch, *, actor: str, reason: str) -> ledger.Movement:
    """Return what every entry about a batch says; the customer reads the reason."""
    return ledger.Movement(
        wallet_id=batch.wallet_id, reference=batch.pk, request_id=batch.request_id, actor=actor, reason=reason
    )


def items_in_words(count: int) -> str:
    """Return `1 item`, `10 items`."""
    return f"{count} item{'' if count == 1 else 's'}"


def _ended(among: Iterable[str] | None) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(ENDED, {"among": None if among is None else list(among)})
        return [batch_id for (batch_id,) in cursor.fetchall()]


@dataclass(frozen=True)
class _Totals:
    open: int
    succeeded: int
    failed: int
    settled: int
    refunded: int
    items_sha256: str

    @property
    def state(self) -> State:
        if not self.failed:
            return State.COMPLETED
        return State.PARTIAL if self.succeeded else State.FAILED


def _close_items(batch: Batch, now: datetime) -> _Totals:
    """Turn failed items to refunded in one statement, and add up how the items ended in another."""
    items = Item.objects.filter(batch=batch)
    if items.filter(status__in=OPEN_STATUSES).exists():
        return _Totals(open=1, succeeded=0, failed=0, settled=0, refunded=0, items_sha256="")
    items.filter(status=Status.FAILED).update(status=Status.REFUNDED, refunded_at=now)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT count(*) FILTER (WHERE status = 'succeeded'),
                   count(*) FILTER (WHERE status = 'refunded'),
                   coalesce(sum(credits) FILTER (WHERE status = 'succeeded'), 0)::bigint,
                   coalesce(sum(credits) FILTER (WHERE status = 'refunded'), 0)::bigint,
                   {proofs.ITEMS_SHA256}
            FROM batches_item WHERE batch_id = %s
            """,  # noqa: S608 - a constant of ours.
            [batch.pk],
        )
        succeeded, failed, settled, refunded, items_sha256 = cursor.fetchone()
    return _Totals(0, succeeded, failed, settled, refunded, items_sha256)


def _settle_and_refund(batch: Batch, totals: _Totals) -> None:
    of_all = f"of {items_in_words(batch.total)}"
    if totals.settled:
        settling = movement_of(batch, actor="system", reason=f"{totals.succeeded} {of_all} succeeded")
        ledger.settle(movement=settling, amount=totals.settled)
    if totals.refunded:
        refunding = movement_of(batch, actor="system", reason=f"{totals.failed} {of_all} failed")
        ledger.refund(movement=refunding, amount=totals.refunded)


def _end(batch: Batch, totals: _Totals, now: datetime) -> None:
    """Set the final state on the locked row, and on `batch`."""
    final: Mapping[str, Any] = {
        "state": totals.state,
        "started_at": batch.started_at or now,
        "finished_at": now,
        "succeeded": totals.succeeded,
        "failed": totals.failed,
        "settled": totals.settled,
        "refunded": totals.refunded,
    }
    Batch.objects.filter(pk=batch.pk, state__in=OPEN_STATES).update(**final)
    for name, value in final.items():
        setattr(batch, name, value)


def _tell(batch: Batch, proof: Proof) -> None:
    event_id = new_event_id()
    webhooks.publish(
        organization_id=batch.organization_id,
        mode=batch.mode,
        event_type=EventType.BATCH_COMPLETED,
        event_id=event_id,
        body=proofs.completed_event(batch=batch, proof=proof, event_id=event_id),
        reference=batch.pk,
        extra_url=batch.webhook_url,
    )
