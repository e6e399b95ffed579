"""What tests of the engine share: a funded customer, a batch from prompts, and a loop that plays all workers."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from django.utils import timezone

from batches import intake, services, stopping
from batches.catalogue import SIMULATOR, Route, catalogue, routes
from batches.execution.collect import collect_due
from batches.execution.lookup import look_up_due
from batches.execution.poll import poll_due
from batches.execution.submit import submit_due
from batches.models import Batch
from customers.models import Mode, Organization
from ledger.models import Wallet
from ledger.services import open_wallets
from sora2.ids import new_id
from tests.factories import fund


def customer_with(credits: int, *, mode: Mode = Mode.LIVE, **limits: int) -> services.Customer:
    """Return a new customer whose wallet of `mode` holds `credits`."""
    organization = Organization.objects.create(name="Acme", **{"max_items_per_batch": 10_000, **limits})
    wallet = open_wallets(organization=organization)[mode]
    fund(wallet, credits)
    return services.Customer(organization, mode, actor="key_test")


def wallet_of(customer: services.Customer) -> Wallet:
    return Wallet.objects.get(organization=customer.organization, mode=customer.mode)


def order_of(prompts: Sequence[str], **fields: Any) -> tuple[intake.BatchOrder, str]:
    """Return the order for these prompts (clips of the default length) and its hash."""
    body = {"items": [{"prompt": prompt} for prompt in prompts], **fields}
    now = timezone.now()
    return intake.read_order(body, max_items=10_000, catalogue=catalogue(now=now), now=now), intake.body_sha256(body)


def submit(customer: services.Customer, prompts: Sequence[str], **fields: Any) -> Batch:
    """Submit a batch of these prompts under a new request id."""
    order, sha256 = order_of(prompts, **fields)
    batch, made = services.submit(
        customer=customer, request_id=new_id("req"), body_sha256=sha256, order=order, now=timezone.now()
    )
    assert made
    return batch


def the_route(name: str = SIMULATOR, **changes: Any) -> Route:
    """Return a route, the simulator's unless it is named, changed for a test."""
    return replace(next(route for route in routes() if route.name == name), **changes)


def one_turn(route: Route) -> None:
    """Run each stage once, and what the sweep does."""
    stopping.fail_what_must_not_be_submitted(now=timezone.now())
    submit_due(route)
    poll_due(route)
    collect_due(route)
    look_up_due(route)


def drive(batch: Batch, *, route: str = SIMULATOR, seconds: float = 30.0) -> Batch:
    """Run all stages until the batch is final; fail when it takes longer than `seconds`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        one_turn(the_route(route))
        batch.refresh_from_db()
        if batch.is_final:
            return batch
        time.sleep(0.05)
    raise AssertionError(f"{batch.pk} is still {batch.state} after {seconds} s")
