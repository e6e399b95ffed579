"""Reconciliation over everything: the wallets' invariants and those that tie batches, items and webhooks to them."""

from datetime import datetime

from batches.models import Batch
from ledger.models import ReconciliationRun
from ledger.reconciliation import INVARIANTS as WALLET_INVARIANTS
from ledger.reconciliation import Invariant, discrepancies, keep_run

INVARIANTS = (
    *WALLET_INVARIANTS,
    Invariant(
        "invariant_batch_credits",
        "A batch's entries are its reserve, and once final reserved = settled + refunded.",
    ),
    Invariant(
        "invariant_batch_items",
        "A batch's figures are those of its items: succeeded charged, failed refunded.",
    ),
    Invariant("invariant_batch_has_items", "Every batch has items."),
    Invariant("invariant_held_by_open_batches", "A wallet holds what its open batches cost."),
    Invariant("invariant_entry_has_batch", "Credits are held, charged and refunded for batches that exist."),
    Invariant("invariant_charged_item_has_output", "A charged item has its video in our storage."),
    Invariant(
        "invariant_final_batch_has_proof",
        "A final batch has its proof and exactly one batch.completed event.",
    ),
)


def reconcile(*, now: datetime) -> ReconciliationRun:
    """Check every invariant over all data and keep the run."""
    found = discrepancies(INVARIANTS)
    return keep_run(started_at=now, batches=Batch.objects.count(), found=found)
