"""The verbs of a key: issue, rotate; over the API by another key, and on a page by a person. (Rename and revoke are
customers.services' own.)

No key hands out more than it has: neither a scope, nor a mode, nor a longer life, nor a place to be used from. A budget
is handed over, not copied: what a new key gets, the key that made it has no longer. Whoever rotates another key learns
its secret, so that one must not be worth more than their own.

A person is bound by their role alone. But a page may be sent twice, and a secret is shown once: so each form says what
it was opened for, the id of the key that it makes or the secret that it replaces, and is taken once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from customers import keys
from customers.access import Permission
from customers.addresses import covers
from customers.models import ApiKey, Mode, Organization
from customers.services import audit_key, create_api_key
from sora2.faults import Fault
from sora2.seen import check_seen, seen_name
from sora2.times import timestamp

# Usable ones of an organization in one mode.
KEYS_MOST = 100
OVERLAP_HOURS, OVERLAP_HOURS_MOST = 24, 168


class TooManyKeys(ValueError):
    """The organization has as many usable keys in this mode as it may have."""

    limit = KEYS_MOST


class BudgetShort(ValueError):
    """The key has less left of its budget than it would hand over."""


class KeyEnded(ValueError):
    """The key is revoked or has expired: a new secret would not work."""


class WorthMore(ValueError):
    """The key can do something that the one that asks cannot."""


class MadeBefore(ValueError):
    """The key of this id exists: it was made by the same form."""


@dataclass(frozen=True)
class KeyOrder:
    """What a new key is to be; its organization and mode are those of the key that asks."""

    name: str
    scopes: Sequence[Permission]
    expires_at: datetime | None
    budget_credits: int | None
    allowed_networks: Sequence[str]


def beyond(maker: ApiKey, order: KeyOrder) -> Iterator[Fault]:
    """Yield what an order asks for that `maker` has not itself, each with its JSON pointer."""
    for index, scope in enumerate(order.scopes):
        if not maker.access().may(scope):
            yield Fault(f"/scopes/{index}", "exceeds_own", f"Your own key does not have the scope {scope}.")
    if maker.expires_at is not None and (order.expires_at is None or order.expires_at > maker.expires_at):
        detail = f"Your own key expires at {timestamp(maker.expires_at)}; this one cannot be good for longer."
        yield Fault("/expires_at", "exceeds_own", detail)
    if not covers(maker.allowed_networks, order.allowed_networks):
        detail = f"Stay within the networks of your own key: {', '.join(maker.allowed_networks)}."
        yield Fault("/allowed_networks", "exceeds_own", detail)
    remaining = maker.remaining_credits
    if remaining is None:
        return
    if order.budget_credits is None:
        detail = f"Your own key has a budget: say how much of the {remaining} that are left the new key gets."
        yield Fault("/budget_credits", "required", detail)
    elif order.budget_credits > remaining:
        detail = f"Of your own key's budget {remaining} are left, which is the most that you can hand over."
        yield Fault("/budget_credits", "exceeds_own", detail)


def issue(*, maker: ApiKey, order: KeyOrder, now: datetime) -> tuple[ApiKey, str]:
    """Make a key as ordered and return it with its secret, which cannot be shown again.

    What beyond() says of the order must have been looked at. Raises TooManyKeys, BudgetShort.
    """
    with transaction.atomic():
        organization = _in_turn(maker.organization_id)
        _check_room(organization, Mode(maker.mode), now)
        key, secret = _create(organization, Mode(maker.mode), order, actor=maker.pk, now=now)
        _hand_over_budget(maker, order.budget_credits)
    return key, secret


@transaction.atomic
def issue_by_person(
    *, organization: Organization, mode: Mode, order: KeyOrder, key_id: str, actor: str, now: datetime
) -> tuple[ApiKey, str]:
    """Make a key that a person has ordered, and return it with its secret, which cannot be shown again.

    `key_id` is the id that it will have: a second order of the same makes nothing. Raises MadeBefore, TooManyKeys.
    """
    locked = _in_turn(organization.pk)
    if ApiKey.objects.filter(pk=key_id).exists():
        raise MadeBefore
    _check_room(locked, mode, now)
    return _create(locked, mode, order, actor=actor, key_id=key_id, now=now)


@transaction.atomic
def issue_from_us(
    *, organization: Organization, mode: Mode, order: KeyOrder, now: datetime, actor: str = "system"
) -> tuple[ApiKey, str]:
    """Make a key that no other key has asked for, and return it with its secret: an organization's first, for one."""
    return _create(organization, mode, order, actor=actor, now=now)


def rotate(*, asker: ApiKey, key: ApiKey, overlap_hours: int, now: datetime) -> tuple[ApiKey, str]:
    """Give a key a new secret and return both; the old one works too for some hours, 0 to 168.

    Its id, budget and batches stay. Two secrets work at most: one that was on its way out before ends at once.
    Raises KeyEnded, WorthMore.
    """
    if _is_worth_more(key, asker):
        raise WorthMore
    with transaction.atomic():
        locked = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
        return locked, _replace_secret(locked, overlap_hours=overlap_hours, actor=asker.pk, now=now)


def seen_of(key: ApiKey) -> str:
    """Return a name for the key's secret as it is now; it says nothing about it."""
    return seen_name(key.secret_sha256)


@transaction.atomic
def rotate_by_person(*, key: ApiKey, seen: str, overlap_hours: int, actor: str, now: datetime) -> tuple[ApiKey, str]:
    """Give a key a new secret as rotate() does, if its secret is still the one that the person has seen.

    Raises ChangedMeanwhile, KeyEnded.
    """
    locked = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk)
    check_seen(locked.secret_sha256, seen)
    return locked, _replace_secret(locked, overlap_hours=overlap_hours, actor=actor, now=now)


def _in_turn(organization_id: str) -> Organization:
    """Lock the organization: its keys are made one at a time, so that the limit holds."""
    return Organization.objects.select_for_update(no_key=True).get(pk=organization_id)


def _check_room(organization: Organization, mode: Mode, now: datetime) -> None:
    if ApiKey.objects.usable(now).filter(organization=organization, mode=mode).count() >= KEYS_MOST:
        raise TooManyKeys


def _replace_secret(locked: ApiKey, *, overlap_hours: int, actor: str, now: datetime) -> str:
    """Give a locked key a new secret and return that. Raises KeyEnded."""
    if not 0 <= overlap_hours <= OVERLAP_HOURS_MOST:
        raise ValueError(f"The old secret works for 0 to {OVERLAP_HOURS_MOST} hours.")
    if not locked.is_usable(now):
        raise KeyEnded
    secret = keys.new_secret(locked.mode)
    locked.previous_secret_sha256 = locked.secret_sha256 if overlap_hours else None
    locked.previous_secret_until = now + timedelta(hours=overlap_hours) if overlap_hours else None
    locked.secret_sha256, locked.hint = keys.fingerprint(secret), keys.hint(secret)
    locked.save(update_fields=["secret_sha256", "hint", "previous_secret_sha256", "previous_secret_until"])
    audit_key(locked, actor=actor, act="rotate", overlap_hours=overlap_hours)
    return secret


def _create(
    organization: Organization, mode: Mode, order: KeyOrder, *, actor: str, now: datetime, key_id: str = ""
) -> tuple[ApiKey, str]:
    key, secret = create_api_key(
        organization=organization,
        mode=mode,
        name=order.name,
        scopes=order.scopes,
        expires_at=order.expires_at,
        budget_credits=order.budget_credits,
        allowed_networks=order.allowed_networks,
        created_by=actor,
        key_id=key_id,
        now=now,
    )
    audit_key(
        key,
        actor=actor,
        act="create",
        scopes=key.scopes,
        expires_at=timestamp(key.expires_at),
        budget_credits=key.budget_credits,
        allowed_networks=key.allowed_networks,
    )
    return key, secret


def _hand_over_budget(maker: ApiKey, credits: int | None) -> None:
    """Take what a new key gets off the budget of its maker, if that has one. Raises BudgetShort."""
    if maker.budget_credits is None:
        return
    enough = ApiKey.objects.filter(pk=maker.pk, budget_credits__gte=F("used_credits") + (credits or 0))
    if credits is None or not enough.update(budget_credits=F("budget_credits") - credits):
        raise BudgetShort


def _is_worth_more(key: ApiKey, asker: ApiKey) -> bool:
    """Say whether `key` can do something that `asker` cannot."""
    if key.pk == asker.pk:
        return False
    outlives = asker.expires_at is not None and (key.expires_at is None or key.expires_at > asker.expires_at)
    # Of a key that it has made itself, the asker has handed over the budget, and seen the secret.
    richer = asker.budget_credits is not None and key.created_by != asker.pk
    return (
        not set(key.scopes) <= set(asker.scopes)
        or not covers(asker.allowed_networks, key.allowed_networks)
        or outlives
        or richer
    )
