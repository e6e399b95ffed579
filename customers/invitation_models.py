"""The links by which a customer's people come in as rows. Part of customers.models, which imports this.

Whoever holds a link can use it, once and for 72 hours. Only the SHA-256 of its token is stored, so nobody can read it
here; a new link for the same purpose takes the place of the old one in its row.
"""

import secrets
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from sora2.canonical import sha256_hex
from sora2.ids import new_id

LINK_LIFE = timedelta(hours=72)
TOKEN_BYTES = 32


def new_link_id() -> str:
    return new_id("lnk")


class OneTimeLinkQuerySet(models.QuerySet["OneTimeLink"]):
    def open(self) -> Self:
        """Keep the links that were neither used nor withdrawn; they may have expired."""
        return self.filter(used_at=None, withdrawn_at=None)

    def good(self, now: datetime) -> Self:
        """Keep the links that can be used."""
        return self.open().filter(expires_at__gt=now)

    def with_token(self, token: str, kind: "OneTimeLink.Kind") -> Self:
        """Keep the link of this token."""
        return self.filter(token_sha256=sha256_hex(token), kind=kind)


class OneTimeLink(models.Model):
    """An invitation into an organization with a role; or leave for one of its people to set a new password."""

    class Kind(models.TextChoices):
        INVITATION = "invitation"
        PASSWORD = "password"  # noqa: S105 - what the link is for.

    id = models.CharField(primary_key=True, max_length=30, default=new_link_id, editable=False)
    kind = models.CharField(max_length=10, choices=Kind)
    organization = models.ForeignKey("customers.Organization", on_delete=models.PROTECT, related_name="links")
    made_by = models.ForeignKey("customers.User", on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(default=timezone.now, editable=False)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, editable=False)
    withdrawn_at = models.DateTimeField(null=True, editable=False)
    # Of an invitation: whom it was made for, in lower case, and what they become.
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=20, blank=True)
    # Whose new password it is for; of an invitation that was used, who came.
    user = models.ForeignKey("customers.User", on_delete=models.PROTECT, null=True, related_name="+")
    turns_two_step_off = models.BooleanField(default=False)

    objects = OneTimeLinkQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=Q(kind="invitation", used_at=None, withdrawn_at=None),
                name="customers_onetimelink_one_open_invitation",
            ),
            models.UniqueConstraint(
                fields=["user"],
                condition=Q(kind="password", used_at=None, withdrawn_at=None),
                name="customers_onetimelink_one_open_password",
            ),
            models.CheckConstraint(
                condition=Q(
                    kind="invitation",
                    role__in=["customer admin", "customer finance", "customer developer"],
                    turns_two_step_off=False,
                )
                & ~Q(email="")
                | Q(kind="password", email="", role="", user__isnull=False),
                name="customers_onetimelink_kind_whole",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.pk}"

    def state(self, now: datetime) -> str:
        """Say whether an open link can still be used: `open`, or `expired`."""
        return "open" if self.expires_at > now else "expired"


def new_token() -> str:
    """Return a token of 256 random bits, as it stands in an address."""
    return secrets.token_urlsafe(TOKEN_BYTES)
