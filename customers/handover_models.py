"""Secrets that wait to be handed over by a one-time link, as rows. Part of customers.models, which imports this.

Whoever holds the link can reveal them, once and until it ends. Of its token only the SHA-256 is stored; the content is
encrypted, and wiped as soon as it was revealed, withdrawn, or has waited for too long.
"""

from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from sora2.canonical import sha256_hex
from sora2.ids import new_id


def new_handover_id() -> str:
    return new_id("hnd")


class HandoverQuerySet(models.QuerySet["Handover"]):
    def open(self) -> Self:
        """Keep those whose content is still there; their links may have ended."""
        return self.exclude(content_encrypted="")

    def good(self, now: datetime) -> Self:
        """Keep those that can be revealed."""
        return self.open().filter(expires_at__gt=now)

    def with_token(self, token: str) -> Self:
        """Keep the one of this token."""
        return self.filter(token_sha256=sha256_hex(token))


class Handover(models.Model):
    """Some secrets under a title, for whoever holds the link. `names` says what is in it, such as `Live API key`."""

    id = models.CharField(primary_key=True, max_length=30, default=new_handover_id, editable=False)
    organization = models.ForeignKey("customers.Organization", on_delete=models.PROTECT, related_name="handovers")
    title = models.CharField(max_length=100)
    names = models.JSONField(default=list)
    content_encrypted = models.TextField(editable=False)
    token_sha256 = models.CharField(max_length=64, unique=True, editable=False)
    made_by = models.CharField(max_length=40)
    made_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    revealed_at = models.DateTimeField(null=True, editable=False)
    withdrawn_at = models.DateTimeField(null=True, editable=False)

    objects = HandoverQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(content_encrypted="") | Q(revealed_at=None, withdrawn_at=None),
                name="customers_handover_wiped",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} of {self.organization_id}"

    def state(self, now: datetime) -> str:
        """Return `open`, `revealed`, `withdrawn` or `expired`."""
        if self.revealed_at:
            return "revealed"
        if self.withdrawn_at:
            return "withdrawn"
        return "open" if self.content_encrypted and self.expires_at > now else "expired"
