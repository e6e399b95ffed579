"""Test batches as probes: one video of play money through the whole system, ordered as a customer orders.

They belong to an organization of our own, in its test mode. No customer's figures and no live totals have them.
"""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import connection, transaction

from batches.models import OPEN_STATES, Batch, State
from batches.sla.asking import order_batch
from batches.sla.models import MINUTE, Probe, Prober, minute_of
from customers.access import Permission
from customers.issuing import KeyOrder, issue_from_us
from customers.models import Mode, Organization
from ledger.services import open_wallets
from sora2.crypto import UnreadableSecret, decrypt, encrypt

NAME = "Sora2 availability (internal)"
PROMPT = "A lighthouse, seen from the sea"
# Their videos are looked at by nobody.
RETENTION_DAYS = 1
# A trial's request id names the minute in which it was ordered: two at once order the same one.
FORM = "sla-%Y-%m-%dT%H:%MZ"
# Somebody else's batch of the organization has another id.
OF_A_TRIAL = r"^sla-\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\dZ$"
# Of one that has not ended in time a next one is ordered, so that few are open at once.
LOOKED_AT = 10


def judge_trials(*, now: datetime) -> None:
    """Write down of each trial what came of it, once that is known."""
    for batch in _unjudged():
        if batch.state in OPEN_STATES and now - batch.created_at <= _in_time():
            continue
        fault = _fault(batch)
        took = batch.finished_at - batch.created_at if batch.finished_at else None
        _record(
            minute=_minute_of(batch),
            seen=now,
            fault=fault,
            latency_ms=int(took.total_seconds() * 1000) if took else None,
        )


def order_trial(*, now: datetime, base: str) -> None:
    """Order a trial when it is time: some minutes after the last, and at once after one that failed."""
    if not _is_due(now):
        return
    prober, minute = _prober(now), minute_of(now)
    body = {"request_id": f"{minute.astimezone(UTC):{FORM}}", "items": [{"prompt": PROMPT}]}
    answer = order_batch(base, secret=decrypt(prober.secret_encrypted), body=body)
    if not answer.ok:
        _record(minute=minute, seen=now, fault=answer.detail, latency_ms=answer.latency_ms)


# --- when, and whose -----------------------------------------------------------------------------------------------


def _is_due(now: datetime) -> bool:
    minute = minute_of(now)
    last = Probe.objects.of_batches().order_by("-minute").first()
    if last is not None and last.minute > minute - (_interval() if last.ok else MINUTE):
        return False
    return not any(batch.created_at > now - _interval() for batch in _unjudged())


def _unjudged() -> list[Batch]:
    """Return the latest trials of which nothing is written down yet."""
    prober = _last_prober()
    if prober is None:
        return []
    trials = Batch.objects.filter(
        organization=prober.organization_id, mode=Mode.TEST, request_id__regex=OF_A_TRIAL
    ).order_by("-pk")[:LOOKED_AT]
    by_minute = {_minute_of(batch): batch for batch in trials}
    judged = Probe.objects.of_batches().filter(minute__in=by_minute).values_list("minute", flat=True)
    return [by_minute[minute] for minute in by_minute.keys() - set(judged)]


def _last_prober() -> Prober | None:
    return Prober.objects.order_by("-pk").select_related("organization", "key").first()


def _prober(now: datetime) -> Prober:
    """Return our organization with a key that works; made when there is none, one at a time."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('batches_slaprober'))")
        last = _last_prober()
        if last is not None and last.key.is_usable(now) and _is_readable(last):
            return last
        return _new_prober(last.organization if last else _new_organization(), now)


def _new_organization() -> Organization:
    organization = Organization.objects.create(name=NAME, retention_days=RETENTION_DAYS)
    open_wallets(organization=organization)
    return organization


def _new_prober(organization: Organization, now: datetime) -> Prober:
    order = KeyOrder(
        name="Availability",
        scopes=[Permission.BATCHES_READ, Permission.BATCHES_WRITE],
        expires_at=None,
        budget_credits=None,
        allowed_networks=[],
    )
    key, secret = issue_from_us(organization=organization, mode=Mode.TEST, order=order, now=now)
    return Prober.objects.create(organization=organization, key=key, secret_encrypted=encrypt(secret), made_at=now)


def _is_readable(prober: Prober) -> bool:
    try:
        return bool(decrypt(prober.secret_encrypted))
    except UnreadableSecret:
        return False


# --- what came of it -----------------------------------------------------------------------------------------------


def _fault(batch: Batch) -> str:
    """Say why a trial did not go through in time; nothing when it did."""
    if batch.finished_at is None:
        return f"{batch.pk} was not completed within {settings.SLA_BATCH_SECONDS:g} s"
    took = batch.finished_at - batch.created_at
    if batch.state != State.COMPLETED:
        kinds = batch.items.exclude(failure_type="").values_list("failure_type", flat=True)
        return f"{batch.pk} ended as {batch.state}: {', '.join(kinds)}"
    if took > _in_time():
        return f"{batch.pk} took {took.total_seconds():.0f} s, more than {settings.SLA_BATCH_SECONDS:g} s"
    return ""


def _record(*, minute: datetime, seen: datetime, fault: str, latency_ms: int | None) -> None:
    """Write down what came of the trial of a minute; it holds until it is too old, or the next one is known."""
    holds_from = minute_of(seen)
    Probe.objects.record(
        Probe(
            minute=minute,
            kind=Probe.Kind.BATCH,
            ok=not fault,
            latency_ms=latency_ms,
            detail=fault,
            holds_from=holds_from,
            holds_until=minute_of(minute + 2 * _interval() + _in_time()),
        )
    )


def _minute_of(batch: Batch) -> datetime:
    return datetime.strptime(batch.request_id, FORM).replace(tzinfo=UTC)


def _interval() -> timedelta:
    return timedelta(minutes=settings.SLA_BATCH_MINUTES)


def _in_time() -> timedelta:
    return timedelta(seconds=settings.SLA_BATCH_SECONDS)
