"""Money: one wallet per organization and mode, and the append-only table `credit_ledger`.

The database does the posting (migration 0002): inserting an entry locks its wallet, moves the credits, numbers and
chains the row. Nothing in Python computes a balance.
"""

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from customers.models import Mode, Organization, OwnedQuerySet
from sora2.ids import new_id


def new_wallet_id() -> str:
    return new_id("wal")


def new_entry_id() -> str:
    return new_id("led")


class WalletQuerySet(OwnedQuerySet["Wallet"]):
    pass


class Wallet(models.Model):
    """The credits of an organization in one mode: funded = available + reserved + settled, none negative."""

    id = models.CharField(primary_key=True, max_length=30, default=new_wallet_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="wallets")
    mode = models.CharField(max_length=4, choices=Mode)
    available = models.BigIntegerField(default=0, editable=False)
    reserved = models.BigIntegerField(default=0, editable=False)
    settled = models.BigIntegerField(default=0, editable=False)
    funded = models.GeneratedField(
        expression=F("available") + F("reserved") + F("settled"),
        output_field=models.BigIntegerField(),
        db_persist=True,
    )
    last_seq = models.BigIntegerField(default=0, editable=False)
    last_entry_at = models.DateTimeField(null=True, editable=False)
    prev_hash = models.CharField(max_length=64, default="0" * 64, editable=False)
    head_hash = models.CharField(max_length=64, default="0" * 64, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WalletQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "mode"], name="ledger_wallet_one_per_mode"),
            models.CheckConstraint(condition=Q(mode__in=["live", "test"]), name="ledger_wallet_mode_known"),
            models.CheckConstraint(condition=Q(available__gte=0), name="ledger_wallet_available_not_negative"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="ledger_wallet_reserved_not_negative"),
            models.CheckConstraint(condition=Q(settled__gte=0), name="ledger_wallet_settled_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.pk} ({self.mode})"


class EntryQuerySet(OwnedQuerySet["Entry"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"

    def about(self, reference: str) -> Self:
        """Keep the entries with this reference, in the order in which they were written."""
        return self.filter(reference=reference).order_by("wallet_id", "seq")


class Entry(models.Model):
    """One movement of credits between two buckets. Rows are inserted, and never anything else.

    Only `wallet`, `kind`, `amount`, `reference`, `request_id`, `actor` and `reason` are given; the trigger fills the
    rest, whatever was passed.
    """

    class Kind(models.TextChoices):
        GRANT = "grant"
        RESERVE = "reserve"
        SETTLE = "settle"
        REFUND = "refund"
        ADJUSTMENT_IN = "adjustment_in"
        ADJUSTMENT_OUT = "adjustment_out"

    id = models.CharField(primary_key=True, max_length=30, default=new_entry_id, db_column="entry_id")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="entries")
    seq = models.BigIntegerField()
    created_at = models.DateTimeField()
    kind = models.CharField(max_length=14, choices=Kind)
    amount = models.BigIntegerField()
    available_after = models.BigIntegerField()
    reserved_after = models.BigIntegerField()
    settled_after = models.BigIntegerField()
    reference = models.CharField(max_length=300)
    request_id = models.CharField(max_length=255, blank=True, default="")
    actor = models.CharField(max_length=40)
    reason = models.CharField(max_length=1000, blank=True, default="")
    prev_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    objects = EntryQuerySet.as_manager()

    class Meta:
        db_table = "credit_ledger"
        verbose_name_plural = "entries"
        constraints = [
            models.CheckConstraint(condition=Q(amount__gt=0), name="credit_ledger_amount_positive"),
            models.CheckConstraint(
                condition=Q(kind__in=["grant", "reserve", "settle", "refund", "adjustment_in", "adjustment_out"]),
                name="credit_ledger_kind_known",
            ),
            models.CheckConstraint(condition=~Q(reference=""), name="credit_ledger_reference_given"),
            models.CheckConstraint(condition=~Q(actor=""), name="credit_ledger_actor_given"),
            models.UniqueConstraint(fields=["wallet", "seq"], name="credit_ledger_seq_once"),
            models.UniqueConstraint(fields=["reference"], condition=Q(kind="grant"), name="credit_ledger_grant_once"),
            models.UniqueConstraint(
                fields=["reference"], condition=Q(kind="reserve"), name="credit_ledger_reserve_once"
            ),
            models.UniqueConstraint(fields=["reference"], condition=Q(kind="settle"), name="credit_ledger_settle_once"),
            models.UniqueConstraint(fields=["reference"], condition=Q(kind="refund"), name="credit_ledger_refund_once"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} ({self.reference})"


class ReconciliationRun(models.Model):
    """One check of every invariant over all data, with what it found."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    batches = models.BigIntegerField()
    entries = models.BigIntegerField()
    discrepancies = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="ledger_run_newest")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {len(self.discrepancies)} discrepancies"

    @property
    def explained(self) -> bool:
        """Say whether this run found every credit explained."""
        return not self.discrepancies
