"""The verbs about who: create an organization, its people and keys; find out whose key this is; write the audit log."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import Group
from django.db import models, transaction
from django.utils import timezone

from customers import keys
from customers.access import DEFAULT_SCOPES, STAFF_ROLES, Permission
from customers.addresses import Address, is_allowed
from customers.models import ApiKey, AuditEvent, Membership, Mode, Organization, User, new_key_id
from sora2.tracing import current_trace_id

# A key's `last_used_at` is written at most once in this time, so that reading costs no write.
LAST_USED_PRECISION = timedelta(minutes=1)
# A key that comes from elsewhere is written down at most once in this time.
REFUSAL_PRECISION = timedelta(minutes=10)

RETENTION_DAYS_MAX = 36_500


class InvalidApiKey(Exception):
    """The secret is missing, malformed, unknown, revoked, expired, or may not be used from there.

    Which of these is nobody's business.
    """


class NoStaff(Exception):
    """Nobody of our staff has this name; the message says so."""


def create_api_key(
    *,
    organization: Organization,
    mode: Mode,
    name: str,
    scopes: Iterable[Permission] = DEFAULT_SCOPES,
    expires_at: datetime | None = None,
    budget_credits: int | None = None,
    allowed_networks: Sequence[str] = (),
    created_by: str = "system",
    key_id: str = "",
    now: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Create a key and return it with its secret, which is not stored and cannot be shown again.

    For whoever has written down why; customers.issuing writes it down itself.
    """
    secret = keys.new_secret(mode)
    key = ApiKey.objects.create(
        pk=key_id or new_key_id(),
        organization=organization,
        mode=mode,
        name=name,
        secret_sha256=keys.fingerprint(secret),
        hint=keys.hint(secret),
        scopes=[str(scope) for scope in scopes],
        created_at=now or timezone.now(),
        expires_at=expires_at,
        budget_credits=budget_credits,
        allowed_networks=list(allowed_networks),
        created_by=created_by,
    )
    return key, secret


def api_key_of_secret(*, secret: str, address: Address | None, now: datetime) -> ApiKey:
    """Return the usable key with this secret, if it may be used from there; its organization is loaded.

    The secret of before a rotation is as good until its overlap ends. Raises InvalidApiKey.
    """
    if not keys.is_well_formed(secret):
        raise InvalidApiKey
    rows = ApiKey.objects.usable(now).with_secret(keys.fingerprint(secret), now)
    key = rows.select_related("organization").first()
    if key is None:
        raise InvalidApiKey
    if not is_allowed(address, key.allowed_networks):
        _note_refusal(key, address, now)
        raise InvalidApiKey
    if key.last_used_at is None or now - key.last_used_at > LAST_USED_PRECISION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key


@transaction.atomic
def revoke_api_key(*, key: ApiKey, now: datetime, actor: str = "system", reason: str = "") -> bool:
    """Make the key useless from this moment, with all its secrets; say whether it was not revoked before."""
    if not ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=now):
        return False
    audit_key(key, actor=actor, act="revoke", **({"reason": reason} if reason else {}))
    return True


@transaction.atomic
def rename_api_key(*, key: ApiKey, name: str, actor: str) -> bool:
    """Give a key another name; say whether that changes anything."""
    old = ApiKey.objects.select_for_update(no_key=True).get(pk=key.pk).name
    if old == name:
        return False
    ApiKey.objects.filter(pk=key.pk).update(name=name)
    key.name = name
    audit_key(key, actor=actor, act="rename", old=old)
    return True


@transaction.atomic
def create_member(*, organization: Organization, username: str, email: str, role: str) -> tuple[User, str]:
    """Create a customer's person with a role there; return them with their password, shown this once."""
    password = secrets.token_urlsafe(15)
    user = User.objects.create_user(username=username, email=email, password=password)
    Membership.objects.create(user=user, organization=organization, role=role)
    return user, password


@transaction.atomic
def create_staff(*, username: str, role: str, password: str | None = None, actor: str = "system") -> tuple[User, str]:
    """Create a member of staff with one of the staff roles; return them with their password. Raises ValueError."""
    if role not in STAFF_ROLES:
        raise ValueError(f"There is no staff role {role!r}; choose one of: {', '.join(STAFF_ROLES)}.")
    password = password or secrets.token_urlsafe(15)
    user = User.objects.create_user(username=username, password=password, is_staff=True)
    group, _ = Group.objects.get_or_create(name=role)
    user.groups.add(group)
    audit(actor=actor, action="staff.create", subject=user.pk, detail={"username": username, "role": role})
    return user, password


def staff_named(name: str) -> User:
    """Return active staff by username or id: who a command is run by. Raises NoStaff."""
    found = User.objects.filter(models.Q(username=name) | models.Q(pk=name), is_active=True, is_staff=True).first()
    if found is None:
        raise NoStaff(f"{name!r} is no active member of staff.")
    return found


def end_sessions(*, user: User, now: datetime) -> None:
    """End all sessions of a person that began before now; for whoever writes down why."""
    User.objects.filter(pk=user.pk).update(sessions_ended_at=now)


@transaction.atomic
def set_retention(*, organization: Organization, days: int | None, actor: str) -> bool:
    """Set for how many days the organization's videos are kept (None: for ever); say whether that changes anything.

    The dates of the videos that exist are batches.retention's to change: call it, not this. Raises ValueError.
    """
    if days is not None and not 1 <= days <= RETENTION_DAYS_MAX:
        raise ValueError(f"Videos are kept for 1 to {RETENTION_DAYS_MAX:,} days, or for ever.")
    before = Organization.objects.select_for_update(no_key=True).get(pk=organization.pk).retention_days
    if before == days:
        return False
    Organization.objects.filter(pk=organization.pk).update(retention_days=days)
    audit(
        actor=actor,
        action="organization.retention",
        organization_id=organization.pk,
        subject=organization.pk,
        detail={"old": before, "new": days},
    )
    return True


def audit(
    *,
    actor: str,
    action: str,
    organization_id: str | None = None,
    mode: str = "",
    subject: str = "",
    outcome: str = "done",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write one audit event. `subject` is the id of what was acted on, `detail` plain JSON without secrets."""
    AuditEvent.objects.create(
        actor=actor,
        action=action,
        organization_id=organization_id,
        mode=mode,
        subject=subject,
        outcome=outcome,
        detail=dict(detail or {}),
        trace_id=current_trace_id(),
    )


def audit_key(key: ApiKey, *, actor: str, act: str, outcome: str = "done", **detail: Any) -> None:
    """Write one audit event about a key. Never a secret."""
    audit(
        actor=actor,
        action=f"key.{act}",
        organization_id=key.organization_id,
        mode=key.mode,
        subject=key.pk,
        outcome=outcome,
        detail={"name": key.name, "hint": key.hint, **detail},
    )


@transaction.atomic
def _note_refusal(key: ApiKey, address: Address | None, now: datetime) -> None:
    """Write down that a key came from elsewhere, at most once in ten minutes: who guesses, fills no table."""
    told = ApiKey.objects.filter(pk=key.pk).exclude(refused_at__gt=now - REFUSAL_PRECISION)
    said = str(address or "")
    if told.update(refused_at=now, refused_address=said):
        audit_key(key, actor=key.pk, act="use", outcome="address_not_allowed", address=said)
