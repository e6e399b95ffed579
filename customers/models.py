"""Who: organizations, their people and their API keys, and the log of who did what."""

from datetime import datetime
from typing import Self, TypeVar

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Value
from django.utils import timezone

from customers.access import SCOPES, Access, permissions_of_role
from customers.handover_models import Handover as Handover
from customers.invitation_models import OneTimeLink as OneTimeLink
from customers.plan_models import Plan as Plan
from customers.plan_models import PlanChange as PlanChange
from customers.two_step_models import Authenticator as Authenticator
from customers.two_step_models import RecoveryCode as RecoveryCode
from sora2.ids import is_id, new_id

M = TypeVar("M", bound=models.Model)


class Mode(models.TextChoices):
    """Live work costs real credits; test work spends the sandbox wallet on the simulator."""

    LIVE = "live"
    TEST = "test"


class OwnedQuerySet(models.QuerySet[M]):
    """Rows that belong to an organization, in a mode. The one place where what somebody may reach is filtered."""

    # Where organization and mode stand, as seen from the model; a child names the path through its parent.
    organization_path = "organization_id"
    mode_path = "mode"

    def within(self, access: Access) -> Self:
        """Keep the rows that `access` reaches: its organizations, and its mode."""
        rows = self
        if access.organization_ids is not None:
            rows = rows.filter(**{f"{self.organization_path}__in": access.organization_ids})
        if access.mode is not None:
            rows = rows.filter(**{self.mode_path: access.mode})
        return rows


def new_organization_id() -> str:
    return new_id("org")


def new_user_id() -> str:
    return new_id("usr")


def new_key_id() -> str:
    return new_id("key")


class User(AbstractUser):  # type: ignore[django-manager-missing] # django-otp says no types.
    """A person who signs in: our staff (by group), or a customer's own (by membership)."""

    id = models.CharField(primary_key=True, max_length=30, default=new_user_id, editable=False)
    # Sessions that began before this are over (see customers.sessions).
    sessions_ended_at = models.DateTimeField(null=True, editable=False)

    def access(self) -> Access:
        """Return what this person may reach: everything that a staff role grants, or their own organizations."""
        if self.is_staff:
            roles = [name for (name,) in self.groups.values_list("name")]
            return Access.of_staff(actor=self.pk, roles=roles, superuser=self.is_superuser)
        memberships = list(self.memberships.all())
        granted = [permissions_of_role(membership.role) for membership in memberships]
        return Access(
            actor=self.pk,
            organization_ids=frozenset(membership.organization_id for membership in memberships),
            mode=None,
            # Who has different roles in two organizations may do what both allow, and nothing of one in the other.
            permissions=frozenset.intersection(*granted) if granted else frozenset(),
        )


class OrganizationQuerySet(models.QuerySet["Organization"]):
    def within(self, access: Access) -> Self:
        """Keep the organizations that `access` reaches."""
        return self if access.organization_ids is None else self.filter(pk__in=access.organization_ids)

    def matching(self, text: str) -> Self:
        """Keep the one with this id, and those that have this in their names, in letters of any case."""
        return self.filter(models.Q(pk=text) | models.Q(name__icontains=text))

    def named(self, text: str) -> Self:
        """Keep the one with this id, or those whose whole name this is, in letters of any case."""
        return self.filter(pk=text) if is_id(text, "org") else self.filter(name__iexact=text)


class Organization(models.Model):
    """A customer. The limits are its own; the invariants of the system are nobody's to switch off."""

    id = models.CharField(primary_key=True, max_length=30, default=new_organization_id, editable=False)
    name = models.CharField(max_length=200)
    contact_email = models.EmailField(blank=True)
    # Who is told of trouble with webhooks, and who of credits; where there is nobody, the contact is.
    technical_emails = ArrayField(
        models.EmailField(), default=list, db_default=Value([], ArrayField(models.EmailField())), blank=True
    )
    finance_emails = ArrayField(
        models.EmailField(), default=list, db_default=Value([], ArrayField(models.EmailField())), blank=True
    )
    # An IANA name: where the months of its statements begin and end, unless another is asked for.
    time_zone = models.CharField(max_length=50, default="UTC", db_default="UTC")
    max_items_per_batch = models.PositiveIntegerField(default=50)
    rate_limit_per_minute = models.PositiveIntegerField(default=60)
    max_open_batches = models.PositiveIntegerField(default=100)
    # Days after which a video's files are deleted; null keeps them.
    retention_days = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # Set by customers.plans alone, which writes the history too.
    plan = models.CharField(max_length=10, choices=Plan, default=Plan.PILOT, db_default=Plan.PILOT, editable=False)
    # Of an enterprise: within how many hours a question to our support is answered.
    support_response_hours = models.PositiveIntegerField(null=True, editable=False)

    objects = OrganizationQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(plan="pilot", support_response_hours=None) | models.Q(plan="enterprise"),
                name="customers_organization_plan_whole",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A customer's person in their organization, with one role there."""

    class Role(models.TextChoices):
        ADMIN = "customer admin"
        FINANCE = "customer finance"
        DEVELOPER = "customer developer"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role)
    # Null where nobody wrote it down: since when, and by whom they were invited.
    since = models.DateTimeField(null=True, default=timezone.now, editable=False)
    invited_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+", editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "organization"], name="customers_membership_once"),
            models.CheckConstraint(
                condition=models.Q(role__in=["customer admin", "customer finance", "customer developer"]),
                name="customers_membership_role_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role} of {self.organization_id}"


class ApiKeyQuerySet(OwnedQuerySet["ApiKey"]):
    def usable(self, now: datetime) -> Self:
        """Keep the keys that are neither revoked nor expired."""
        return self.filter(revoked_at=None).exclude(expires_at__lte=now)

    def ended(self, now: datetime) -> Self:
        """Keep the keys that are revoked or have expired."""
        return self.filter(models.Q(revoked_at__isnull=False) | models.Q(expires_at__lte=now))

    def with_secret(self, sha256: str, now: datetime) -> Self:
        """Keep the key whose secret this is, or was until a rotation whose overlap has not ended."""
        before = models.Q(previous_secret_sha256=sha256, previous_secret_until__gt=now)
        return self.filter(models.Q(secret_sha256=sha256) | before)


class ApiKey(models.Model):
    """A key of an organization, in one mode. Only the SHA-256 of its secret is stored, and of the one before.

    `used_credits` is what its batches hold and what they were charged. The database counts it as the entries come (see
    ledger, migration 0015), and refuses what goes over the budget; nobody else may write it.
    """

    id = models.CharField(primary_key=True, max_length=30, default=new_key_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="keys")
    mode = models.CharField(max_length=4, choices=Mode)
    name = models.CharField(max_length=100)
    secret_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=20, editable=False)
    scopes = ArrayField(models.CharField(max_length=30))
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    # Who made it: another key, a person, or `system`.
    created_by = models.CharField(max_length=40, blank=True, default="", db_default="", editable=False)
    budget_credits = models.BigIntegerField(null=True, blank=True)
    used_credits = models.BigIntegerField(default=0, db_default=0, editable=False)
    # In CIDR notation; empty: from anywhere. And the last refusal that was written down (see customers.addresses).
    allowed_networks = ArrayField(
        models.CharField(max_length=43), default=list, db_default=Value([], ArrayField(models.CharField())), blank=True
    )
    refused_at = models.DateTimeField(null=True, blank=True, editable=False)
    refused_address = models.CharField(max_length=45, blank=True, default="", db_default="", editable=False)
    previous_secret_sha256 = models.CharField(max_length=64, null=True, editable=False)  # noqa: DJ001 - null is "none", unique otherwise.
    previous_secret_until = models.DateTimeField(null=True, editable=False)

    objects = ApiKeyQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(mode__in=["live", "test"]), name="customers_apikey_mode_known"),
            models.CheckConstraint(condition=models.Q(used_credits__gte=0), name="customers_apikey_used_not_negative"),
            models.CheckConstraint(
                condition=models.Q(budget_credits=None) | models.Q(used_credits__lte=models.F("budget_credits")),
                name="customers_apikey_within_budget",
            ),
            models.UniqueConstraint(
                fields=["previous_secret_sha256"],
                condition=models.Q(previous_secret_sha256__isnull=False),
                name="customers_apikey_previous_secret_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.hint}…)"

    @property
    def remaining_credits(self) -> int | None:
        """Return what is left of the budget; None without one."""
        return None if self.budget_credits is None else self.budget_credits - self.used_credits

    def is_usable(self, now: datetime) -> bool:
        """Say whether the key is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or self.expires_at > now)

    def rotates_until(self, now: datetime) -> datetime | None:
        """Return until when the secret of before works too; None if there is none that does."""
        until = self.previous_secret_until
        return until if until and until > now else None

    def access(self) -> Access:
        """Return what a request with this key may reach: one organization, one mode, the key's scopes."""
        return Access(
            actor=self.pk,
            organization_ids=frozenset([self.organization_id]),
            mode=self.mode,
            permissions=frozenset(scope for scope in SCOPES if scope in self.scopes),
        )


class AuditEventQuerySet(OwnedQuerySet["AuditEvent"]):
    pass


class AuditEvent(models.Model):
    """Somebody did something, or was refused. Written, never changed: the database refuses updates and deletes."""

    at = models.DateTimeField(default=timezone.now, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, null=True, related_name="+")
    mode = models.CharField(max_length=4, blank=True)
    actor = models.CharField(max_length=40)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=300, blank=True)
    outcome = models.CharField(max_length=60, default="done")
    detail = models.JSONField(default=dict)
    trace_id = models.CharField(max_length=64, blank=True)

    objects = AuditEventQuerySet.as_manager()

    class Meta:
        # Each filter of the audit log has the index that serves it, in the order of its pages.
        indexes = [
            models.Index(fields=["organization", "-at"], name="customers_audit_by_org"),
            models.Index(fields=["-at", "-id"], name="customers_audit_by_at"),
            models.Index(fields=["actor", "-at", "-id"], name="customers_audit_by_actor"),
            models.Index(fields=["action", "-at", "-id"], name="customers_audit_by_action"),
            models.Index(
                fields=["subject", "-at", "-id"], condition=~models.Q(subject=""), name="customers_audit_by_subject"
            ),
            models.Index(fields=["-at", "-id"], condition=~models.Q(outcome="done"), name="customers_audit_not_done"),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M:%S} {self.actor} {self.action} {self.outcome}"
