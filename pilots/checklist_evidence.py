"""What the system sees of each line of a checklist, from what is known of the pilot."""

from collections.abc import Callable
from dataclasses import dataclass

from django.urls import reverse
from django.utils.text import Truncator

from batches.finding import batch_address, sign_off_address
from batches.models import Batch
from customers.access import Permission
from pilots.checklist_facts import Facts
from sora2.pages import with_query
from webhooks.trail import host_of


@dataclass(frozen=True)
class Seen:
    """What the system sees of a line: whether it is done, in words, and the evidence's page, which `needs` opens."""

    done: bool
    words: str
    address: str = ""
    needs: Permission = Permission.BATCHES_READ


Sight = Callable[[Facts], Seen | None]


def by_preflight(name: str) -> Sight:
    """Look at a check of the preflight."""

    def see(facts: Facts) -> Seen | None:
        preflight, check = facts.preflight, facts.preflight_check(name)
        if preflight is None or check is None:
            return None
        address = with_query("admin:preflight_list", run=preflight.pk)
        return Seen(check["ok"], check["detail"], address, Permission.PILOTS_READ)

    return see


def by_key(facts: Facts) -> Seen | None:
    """Look whether the customer has a live key in hand."""
    address = reverse("admin:key_list", args=[facts.organization_id])
    if facts.key_used:
        return Seen(True, "a live key was used", address, Permission.ACCOUNT_READ)
    if facts.handed_over:
        return Seen(True, "handed over: the one-time link was opened", address, Permission.ACCOUNT_READ)
    return Seen(False, "no live key was used, and no one-time link opened yet", address, Permission.ACCOUNT_READ)


def by_mail(name: str) -> Sight:
    """Look for a mail that went out with something of IN_MAILS."""

    def see(facts: Facts) -> Seen | None:
        address = reverse("admin:pilot_mails", args=[facts.pilot.pk])
        at = facts.mailed[name]
        return Seen(True, f"in a mail of {at:%Y-%m-%d %H:%M} UTC", address, Permission.PILOTS_READ) if at else None

    return see


def by_endpoint(facts: Facts) -> Seen | None:
    """Look for an endpoint of the customer's own."""
    if facts.endpoint is None:
        return None
    address = reverse("admin:endpoint", args=[facts.endpoint.pk])
    return Seen(True, host_of(facts.endpoint.url), address, Permission.WEBHOOKS_READ)


def by_any_batch(facts: Facts) -> Seen | None:
    """Look for a live batch."""
    batch = facts.batch
    return Seen(True, _name(batch), batch_address(batch.pk)) if batch else None


def by_sized_batch(facts: Facts) -> Seen | None:
    """Look for a live batch of the advised size."""
    if batch := facts.sized_batch:
        return Seen(True, f"{_name(batch)}: {batch.total} items", batch_address(batch.pk))
    if batch := facts.batch:
        return Seen(False, f"{_name(batch)} has {batch.total} items", batch_address(batch.pk))
    return None


def by_metadata(facts: Facts) -> Seen | None:
    """Look whether the items of that batch can be told apart."""
    batch = facts.sized_batch
    if batch is None:
        return None
    words = "by metadata or custom_id" if facts.is_distinguishable else "some items have none, or the same"
    return Seen(facts.is_distinguishable, f"{_name(batch)}: {words}", batch_address(batch.pk))


def by_delivery(facts: Facts) -> Seen | None:
    """Look whether batch.completed arrived."""
    attempt = facts.received
    if attempt is None:
        return None
    address = reverse("admin:delivery", args=[attempt.delivery_id])
    words = f"{attempt.at:%Y-%m-%d %H:%M:%S} UTC, answered {attempt.status_code}"
    return Seen(True, words, address, Permission.WEBHOOKS_READ)


def by_body(facts: Facts) -> Seen | None:
    """Look into the body that was delivered."""
    attempt = facts.received
    if attempt is None:
        return None
    address = reverse("admin:delivery", args=[attempt.delivery_id])
    lacking = facts.missing_fields
    words = f"it lacks {', '.join(lacking)}" if lacking else "all of them are in the body that was delivered"
    return Seen(not lacking, words, address, Permission.WEBHOOKS_READ)


def by_sign_off(facts: Facts) -> Seen | None:
    """Look for a sign-off."""
    signed = facts.signed
    if signed is None:
        return None
    equation = f"{signed.reserved:,} = {signed.settled:,} + {signed.refunded:,}"
    words = f"{equation}, signed off {signed.signed_at:%Y-%m-%d %H:%M} UTC"
    return Seen(True, words, sign_off_address(signed.batch_id), Permission.LEDGER_READ)


def by_answers(facts: Facts) -> Seen | None:
    """Look for the answers of the review."""
    if not facts.answers:
        return None
    address = reverse("admin:pilot_review", args=[facts.pilot.pk])
    words = f"{facts.answers} answer{'' if facts.answers == 1 else 's'} recorded"
    return Seen(True, words, address, Permission.PILOTS_READ)


def _name(batch: Batch) -> str:
    return Truncator(batch.request_id).chars(40)
