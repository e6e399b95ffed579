"""Reconciliation over everything: the wallets' invariants and those that tie batches, items and webhooks to them."""

import time
from datetime import datetime

from django.utils import timezone
from structlog import get_logger

from batches.models import Batch, Item
from ledger.models import ReconciliationRun
from ledger.reconciliation import INVARIANTS as WALLET_INVARIANTS
from ledger.reconciliation import Invariant, UnderWay, books_at_one_moment, check, extent, keep_run

log = get_logger(__name__)

TURN_SECONDS = 1.0

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
    Invariant("invariant_item_ends_with_batch", "Items are refunded when their batch ends, and none is open after it."),
    Invariant("invariant_held_by_open_batches", "A wallet holds what its open batches cost."),
    Invariant("invariant_key_budget", "What an API key has used is what its batches hold and were charged."),
    Invariant("invariant_entry_has_batch", "Credits are held, charged and refunded for batches that exist."),
    Invariant(
        "invariant_entry_fits_items",
        "What was charged is what the succeeded items cost, what was refunded what the failed ones cost.",
    ),
    Invariant("invariant_charged_item_has_output", "A charged item has its video in our storage."),
    Invariant(
        "invariant_final_batch_has_proof",
        "A final batch has its proof and exactly one batch.completed event.",
    ),
    Invariant("invariant_proof_fits_batch", "A proof fits its hash, its webhook and its batch."),
    Invariant("invariant_entry_in_proof", "A final batch's entries are those that its proof shows."),
    Invariant("invariant_items_fit_proof", "A final batch's items are those that its proof was made over."),
    Invariant("invariant_end_is_told", "The end of a batch is delivered, or on its way, to its webhook_url."),
    Invariant("invariant_event_reaches_endpoints", "Every event has a delivery to each endpoint that was there."),
    Invariant(
        "invariant_delivery_is_explained",
        "A delivery is pending, delivered by an attempt, given up after attempts, or skipped with its reason.",
    ),
)


def reconcile(*, now: datetime) -> ReconciliationRun:
    """Check every invariant over all data as of one moment, and keep the run. Raises UnderWay."""
    with books_at_one_moment():
        findings = check(INVARIANTS)
        checked = extent(batches=Batch.objects.count(), items=Item.objects.count())
    run = keep_run(started_at=now, extent=checked, findings=findings)
    if not run.explained:
        log.error("reconciliation.unexplained", run=run.pk, rows=run.counts)
    return run


def reconcile_in_turn() -> ReconciliationRun:
    """Check as soon as no other check is under way: for who needs an answer."""
    while True:
        try:
            return reconcile(now=timezone.now())
        except UnderWay:
            time.sleep(TURN_SECONDS)
