"""Money: one wallet per organization and mode, and the append-only table `credit_ledger`.

The database does the posting (migration 0002): inserting an entry locks its wallet, moves the credits, numbers and
chains the row. Nothing in Python computes a balance.
"""

from typing import Self

from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from customers.models import Mode, Organization, OwnedQuerySet, User
from ledger.day_models import WalletDay
from ledger.invoices.models import (
    BillingDetails,
    GeneralLedgerAccount,
    Invoice,
    InvoiceLine,
    InvoiceMail,
    InvoiceNumber,
    InvoicePaper,
    MonthFile,
    Payment,
)
from ledger.low_models import LowNotice
from sora2.ids import new_id

# Django finds an app's models here.
__all__ = [
    "OUTSIDE_KINDS",
    "PILOT_CREDITS_MAX",
    "BillingDetails",
    "CreditRequest",
    "CreditRequestQuerySet",
    "Entry",
    "EntryQuerySet",
    "GeneralLedgerAccount",
    "Invoice",
    "InvoiceLine",
    "InvoiceMail",
    "InvoiceNumber",
    "InvoicePaper",
    "LowNotice",
    "MonthFile",
    "Payment",
    "Period",
    "PeriodBalance",
    "PeriodBalanceQuerySet",
    "ReconciliationRun",
    "Seal",
    "SealLeaf",
    "Wallet",
    "WalletDay",
    "WalletQuerySet",
]

# Promotional credits that one pilot may be given; more needs a paid invoice or two people. The database knows it too.
PILOT_CREDITS_MAX = 100_000


def new_wallet_id() -> str:
    return new_id("wal")


def new_entry_id() -> str:
    return new_id("led")


def new_credit_request_id() -> str:
    return new_id("crq")


class WalletQuerySet(OwnedQuerySet["Wallet"]):
    pass


class Wallet(models.Model):
    """The credits of an organization in one mode: funded = available + reserved + settled, none negative."""

    id = models.CharField(primary_key=True, max_length=30, default=new_wallet_id, editable=False)
    # Served by ledger_wallet_one_per_mode.
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="wallets", db_index=False)
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
    # No entry is dated before this any more: the end of the last month that was closed.
    closed_until = models.DateTimeField(null=True, editable=False)
    # Below the threshold since when (by posting), and which of these crossings has been told to the customer.
    low_threshold = models.BigIntegerField(null=True, blank=True)
    low_since = models.DateTimeField(null=True, editable=False)
    low_since_told = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = WalletQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "mode"], name="ledger_wallet_one_per_mode"),
            models.CheckConstraint(condition=Q(available__gte=0), name="ledger_wallet_available_not_negative"),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="ledger_wallet_reserved_not_negative"),
            models.CheckConstraint(condition=Q(settled__gte=0), name="ledger_wallet_settled_not_negative"),
            models.CheckConstraint(condition=Q(low_threshold__gte=0), name="ledger_wallet_low_threshold_not_negative"),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(low_since__isnull=False), name="ledger_wallet_low"),
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
    # Served by credit_ledger_seq_once.
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="entries", db_index=False)
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
            models.CheckConstraint(condition=~Q(reference=""), name="credit_ledger_reference_given"),
            models.CheckConstraint(condition=~Q(actor=""), name="credit_ledger_actor_given"),
            models.UniqueConstraint(fields=["wallet", "seq"], name="credit_ledger_seq_once"),
            # One of each kind per reference; what is about a reference is found by it too.
            models.UniqueConstraint(fields=["reference", "kind"], name="credit_ledger_once"),
        ]
        # The newest of one kind, which may be rare.
        indexes = [models.Index(fields=["wallet", "kind", "seq"], name="credit_ledger_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} ({self.reference})"


# Credits that come from outside, or go there.
OUTSIDE_KINDS = (Entry.Kind.GRANT, Entry.Kind.ADJUSTMENT_IN, Entry.Kind.ADJUSTMENT_OUT)


class CreditRequestQuerySet(OwnedQuerySet["CreditRequest"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class CreditRequest(models.Model):
    """Why credits come in or go out: behind every grant and adjustment stands one, approved.

    On the basis of two people, one asks and another decides; the database refuses the same person. A pilot's
    promotional credits (within the cap, once) and a sandbox's play money are approved by what they are. A paid invoice
    takes two people as well: one sent it, another recorded that it was paid (a credit note: one drafted, another sent
    it); the reference is its id.
    """

    class State(models.TextChoices):
        REQUESTED = "requested"  # -> APPROVED, REJECTED
        APPROVED = "approved"
        REJECTED = "rejected"

    class Basis(models.TextChoices):
        TWO_PEOPLE = "two_people"
        PILOT = "pilot"
        SANDBOX = "sandbox"
        INVOICE = "invoice"

    id = models.CharField(primary_key=True, max_length=30, default=new_credit_request_id, editable=False)
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="credit_requests")
    kind = models.CharField(
        max_length=14,
        choices=[(each, each.label) for each in OUTSIDE_KINDS],
    )
    amount = models.BigIntegerField()
    # The reference of the entry: a grant's own (an invoice, a pilot), else the id of this request.
    reference = models.CharField(max_length=300)
    # What an adjustment is about, such as the batch that goodwill is given for, and the customer's own id of it.
    about = models.CharField(max_length=300, blank=True, default="")
    request_id = models.CharField(max_length=255, blank=True, default="")
    reason = models.CharField(max_length=600)
    evidence_url = models.URLField(max_length=1000, blank=True, default="")
    basis = models.CharField(max_length=10, choices=Basis)
    # What was paid for a grant by two people, in minor units net of tax; 0: promotional. An invoice has its own.
    paid_cents = models.BigIntegerField(default=0, db_default=0)
    currency = models.CharField(max_length=3, default="USD", db_default="USD")
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    requested_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    requested_at = models.DateTimeField(default=timezone.now, editable=False)
    decided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    decided_at = models.DateTimeField(null=True, editable=False)
    note = models.CharField(max_length=600, blank=True, default="")

    objects = CreditRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["grant", "adjustment_in", "adjustment_out"]),
                name="ledger_creditrequest_kind_known",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["requested", "approved", "rejected"]), name="ledger_creditrequest_state_known"
            ),
            models.CheckConstraint(condition=Q(amount__gt=0), name="ledger_creditrequest_amount_positive"),
            models.CheckConstraint(condition=~Q(reference=""), name="ledger_creditrequest_reference_given"),
            models.CheckConstraint(condition=~Q(reason=""), name="ledger_creditrequest_reason_given"),
            models.CheckConstraint(
                condition=(Q(state="requested", decided_at=None, decided_by=None))
                | (~Q(state="requested") & Q(decided_at__isnull=False)),
                name="ledger_creditrequest_decided_when",
            ),
            models.CheckConstraint(
                condition=~Q(basis__in=["two_people", "invoice"])
                | (
                    Q(requested_by__isnull=False)
                    & (Q(state="requested") | (Q(decided_by__isnull=False) & ~Q(decided_by=F("requested_by"))))
                ),
                name="ledger_creditrequest_two_people",
            ),
            models.CheckConstraint(
                condition=Q(basis="two_people")
                | Q(basis__in=["pilot", "sandbox"], kind="grant", state="approved")
                | Q(basis="invoice", kind__in=["grant", "adjustment_out"], state="approved"),
                name="ledger_creditrequest_basis_known",
            ),
            models.CheckConstraint(
                condition=Q(paid_cents=0) | Q(paid_cents__gt=0, basis="two_people", kind="grant"),
                name="ledger_creditrequest_paid_for",
            ),
            models.CheckConstraint(
                condition=~Q(basis="pilot") | Q(amount__lte=PILOT_CREDITS_MAX), name="ledger_creditrequest_pilot_cap"
            ),
            models.UniqueConstraint(
                fields=["wallet"], condition=Q(basis="pilot"), name="ledger_creditrequest_pilot_once"
            ),
            models.UniqueConstraint(
                fields=["reference"], condition=~Q(state="rejected"), name="ledger_creditrequest_reference_once"
            ),
        ]
        indexes = [
            models.Index(fields=["id"], condition=Q(state="requested"), name="ledger_creditrequest_open"),
            models.Index(fields=["about"], condition=~Q(about=""), name="ledger_creditrequest_about"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.amount} ({self.state})"


class Period(models.Model):
    """A month (in UTC) that finance has closed: no entry is dated into it any more.

    Inserting one closes it: the database locks the wallets, moves their `closed_until`, and writes the balances.
    """

    month = models.CharField(primary_key=True, max_length=7, help_text="such as 2026-10")
    starts_at = models.DateTimeField(unique=True)
    ends_at = models.DateTimeField(unique=True)
    closed_at = models.DateTimeField(default=timezone.now)
    closed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(ends_at__gt=F("starts_at")), name="ledger_period_has_length"),
        ]

    def __str__(self) -> str:
        return self.month


class PeriodBalanceQuerySet(OwnedQuerySet["PeriodBalance"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class PeriodBalance(models.Model):
    """A wallet at the end of a closed month: its figures, and the last entry that is dated before that end."""

    period = models.ForeignKey(Period, on_delete=models.PROTECT, related_name="balances")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="+")
    available = models.BigIntegerField()
    reserved = models.BigIntegerField()
    settled = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    head_hash = models.CharField(max_length=64)

    objects = PeriodBalanceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["period", "wallet"], name="ledger_periodbalance_once"),
        ]

    def __str__(self) -> str:
        return f"{self.wallet_id} at the end of {self.period_id}"


class Seal(models.Model):
    """A signed Merkle root over the heads of all wallets, chained to the seal before."""

    number = models.BigIntegerField(primary_key=True)
    sealed_at = models.DateTimeField()
    wallets = models.BigIntegerField()
    root = models.CharField(max_length=64)
    previous = models.CharField(max_length=64)
    body = models.TextField()
    signature = models.CharField(max_length=88)
    key_id = models.CharField(max_length=16)

    def __str__(self) -> str:
        return f"seal {self.number}"


class SealLeafQuerySet(OwnedQuerySet["SealLeaf"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class SealLeaf(models.Model):
    """A wallet's head under a seal, stored only where it differs from the wallet's leaf before."""

    seal = models.ForeignKey(Seal, on_delete=models.PROTECT, related_name="leaves")
    wallet = models.ForeignKey(Wallet, on_delete=models.PROTECT, related_name="+")
    seq = models.BigIntegerField()
    head_hash = models.CharField(max_length=64)

    objects = SealLeafQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "seal"], name="ledger_sealleaf_once"),
        ]

    def __str__(self) -> str:
        return f"{self.wallet_id} at {self.seq}"


class ReconciliationRun(models.Model):
    """One check of every invariant over all data, with what it found."""

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    batches = models.BigIntegerField()
    entries = models.BigIntegerField()
    items = models.BigIntegerField(default=0)
    # Of the live wallets, as they stood: funded, available, reserved, settled.
    figures = models.JSONField(default=dict)
    # The broken promises by the view's name, all of them; of each, at most 100 rows are listed in `discrepancies`.
    counts = models.JSONField(default=dict)
    discrepancies = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="ledger_run_newest")]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M} {len(self.discrepancies)} discrepancies"

    @property
    def explained(self) -> bool:
        """Say whether this run found every credit explained."""
        return not self.discrepancies
