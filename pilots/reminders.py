"""What a customer is reminded of on their start page, beside what home says: what only they can do something about."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.urls import reverse

from batches.attention import NOTICES_SHOWN, Notice
from customers.access import Access
from customers.key_pages import SOON
from customers.models import ApiKey, Organization
from pilots.criteria import Status
from pilots.pilot_block import PilotBlock
from sora2.pages import with_query
from sora2.templatetags.figures import duration
from webhooks.models import Endpoint

DEADLINE_NEAR = timedelta(hours=12)


def of_no_endpoint(shown: Access, organization: Organization) -> Iterable[Notice]:
    """Nobody is told by itself when a batch ends."""
    if not Endpoint.objects.present().within(shown).exists():
        sentence = f"There is no {shown.mode} webhook endpoint yet: nobody is told when a batch ends."
        address = with_query("admin:endpoint_list", mode=shown.mode or "")
        yield Notice(sentence, organization.name, organization.created_at, address)


def of_expiring_keys(shown: Access, organization: Organization, now: datetime) -> Iterable[Notice]:
    """Keys that are to be replaced soon, as their own page says too."""
    keys = ApiKey.objects.within(shown).usable(now).filter(expires_at__lte=now + SOON)
    for key in keys.order_by("expires_at", "pk")[:NOTICES_SHOWN]:
        if key.expires_at is not None:
            when = f"{key.expires_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            sentence = f"The key {key} expires on {when}: give what uses it another one before that."
            yield Notice(sentence, organization.name, key.expires_at, reverse("admin:key_list", args=[organization.pk]))


def of_deadline(pilot: PilotBlock, now: datetime) -> Iterable[Notice]:
    """The pilot's clock has nearly run out, and something is missing."""
    judged = pilot.judgement
    deadline = judged.pilot.deadline
    may_succeed = judged.status in (Status.RUNNING, Status.FAILED) and judged.pilot.closed_at is None
    if may_succeed and timedelta() <= deadline - now <= DEADLINE_NEAR:
        sentence = f"The pilot's deadline is in {duration(deadline - now)}, and not all three criteria are met."
        yield Notice(sentence, "", deadline, "#pilot")
