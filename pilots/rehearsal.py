"""Rehearse a pilot on the running system: the whole loop, with an organization of its own and play data."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.utils import timezone

from batches.reconciliation import reconcile_in_turn
from pilots import loop
from pilots.services import PilotOrder, Provisioned, provision_pilot

CREDITS = 100


@dataclass(frozen=True)
class Rehearsed:
    """A rehearsal in which every check held."""

    provisioned: Provisioned
    batch_id: str
    ledger: dict[str, int]
    seconds: float

    @property
    def dashboard_url(self) -> str:
        """Return the batch's page."""
        return f"{settings.PUBLIC_BASE_URL}/admin/batches/{self.batch_id}/billing"


def rehearse(*, tell: Callable[[str], None], progress: loop.Progress) -> Rehearsed:
    """Go through the loop; `tell` gets a line for each step done, `progress` a passing word on what is awaited.

    Raises StepFailed.
    """
    started = time.monotonic()
    given = PilotOrder(name="Demo Studio", credits=CREDITS, sink=True, rate_limit=600)
    provisioned = provision_pilot(order=given, actor="system", now=timezone.now())
    tell(f"Pilot provisioned with {CREDITS} credits, key {provisioned.api_key[:12]}…")
    api = loop.Api(provisioned.api_key)
    before, credits = api.get("/wallet"), loop.quote(api)
    batch_id = loop.order(api, credits)
    tell(f"Batch {batch_id} of {len(loop.PROMPTS)} items accepted, {credits} credits frozen")
    batch, seen = loop.observe(api, batch_id, credits=credits, progress=progress)
    tell(f"Status seen: {seen}")
    endpoint_id, secret = provisioned.webhook_endpoint_id, provisioned.webhook_secret or ""
    event = loop.receive(endpoint_id=endpoint_id, secret=secret, batch=batch, progress=progress)
    tell("Webhook batch.completed received, its signature verified")
    loop.check_books(api, event, before)
    tell(f"Proof and wallet agree; {_every_credit()}")
    return Rehearsed(provisioned, batch_id, batch["ledger"], time.monotonic() - started)


def _every_credit() -> str:
    run = reconcile_in_turn()
    if not run.explained:
        raise loop.StepFailed(f"Not every credit is explained: {run.discrepancies}")
    return f"every credit is explained ({run.batches} batches, {run.entries} entries)"
