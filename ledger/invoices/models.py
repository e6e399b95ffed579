"""Invoices, credit notes and what was paid, as rows. Part of ledger.models, which imports it.

Amounts are integer minor units of the currency (`_cents`, whatever the currency calls them). The database numbers an
invoice when it is sent, and fixes it: from then on only its state moves.
"""

from typing import Self

from django.db import models
from django.db.models import Case, F, Func, Q, Value, When
from django.utils import timezone

from customers.access import Access
from customers.models import Organization, OwnedQuerySet, User
from sora2.ids import new_id
from sora2.mailing import Mail

# What a customer may be charged in, with the number of digits behind the point of its minor units (ISO 4217).
CURRENCIES = {"USD": 2, "EUR": 2, "GBP": 2, "CNY": 2, "JPY": 0}
# Of one amount; far below what the columns hold, so that sums and taxes fit too.
CENTS_MOST = 100_000_000_000


def new_invoice_id() -> str:
    return new_id("inv")


def new_payment_id() -> str:
    return new_id("pay")


class BillingDetails(models.Model):
    """Whom an invoice is made out to, and on what terms. An invoice keeps a copy of what stood here when sent."""

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, primary_key=True, related_name="billing_details"
    )
    legal_name = models.CharField(max_length=200)
    address = models.CharField(max_length=600)
    country = models.CharField(max_length=2)
    tax_id = models.CharField(max_length=50, blank=True, default="")
    purchase_order = models.CharField(max_length=100, blank=True, default="")
    # The tax line: what it is called, its rate in hundredths of a percent, and a sentence such as that of a reverse
    # charge. No label: no line.
    tax_label = models.CharField(max_length=60, blank=True, default="")
    tax_basis_points = models.PositiveIntegerField(default=0)
    tax_note = models.CharField(max_length=200, blank=True, default="")
    terms_days = models.PositiveIntegerField(default=30)
    # Whether each month's end makes an invoice of what was used, with nothing due.
    usage_invoices = models.BooleanField(default=False)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "billing details"
        constraints = [
            models.CheckConstraint(condition=Q(tax_basis_points__lte=10_000), name="ledger_billing_tax_is_a_rate"),
            models.CheckConstraint(condition=Q(terms_days__lte=365), name="ledger_billing_terms_within_a_year"),
        ]

    def __str__(self) -> str:
        return f"{self.legal_name} ({self.organization_id})"


class InvoiceNumber(models.Model):
    """The last number of a series in a year: locked and counted on by the database when an invoice is sent."""

    series = models.CharField(max_length=3)
    year = models.IntegerField()
    last = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["series", "year"], name="ledger_invoicenumber_once")]

    def __str__(self) -> str:
        return f"{self.series}-{self.year}-{self.last:04}"


class InvoiceQuerySet(OwnedQuerySet["Invoice"]):
    def issued(self) -> Self:
        """Keep those that have a number: what a customer may see."""
        return self.exclude(number=None)

    def visible(self, access: Access) -> Self:
        """Keep those that somebody reaches and may see: a customer's people see what was sent."""
        rows = self.within(access)
        return rows if access.organization_ids is None else rows.issued()

    def with_open(self) -> Self:
        """Add `open_cents`: what is still to be paid of each; nothing of a draft, and of what is paid or void."""
        counted = Func("id", "total_cents", function="ledger_invoice_open", output_field=models.BigIntegerField())
        is_open = Q(state=Invoice.State.SENT, applied=False)
        return self.annotate(open_cents=Case(When(is_open, then=counted), default=Value(0)))


class Invoice(models.Model):
    """An invoice or a credit note. A draft may be changed; what was sent may not.

    `buyer` and `seller` are the names and addresses as they were when it was sent.
    """

    class Kind(models.TextChoices):
        CREDITS = "credits"  # Credits to be paid for; they are granted when it is paid.
        USAGE = "usage"  # What was used in a month, with nothing due: it was paid before.
        CREDIT_NOTE = "credit_note"  # Lowers what is owed on an invoice, or gives back what was paid.

    class State(models.TextChoices):
        DRAFT = "draft"  # -> SENT, VOID (without a number)
        SENT = "sent"  # -> PAID, VOID
        PAID = "paid"
        VOID = "void"

    id = models.CharField(primary_key=True, max_length=30, default=new_invoice_id, editable=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="invoices")
    kind = models.CharField(max_length=11, choices=Kind)
    state = models.CharField(max_length=5, choices=State, default=State.DRAFT)
    # Such as INV-2026-0001, or CN-2026-0001: without gaps in each year (of UTC), given when it is sent.
    number = models.CharField(max_length=20, null=True, unique=True, editable=False)  # noqa: DJ001 - drafts have none.
    currency = models.CharField(max_length=3, choices=[(each, each) for each in CURRENCIES])
    # The code of the package that is bought, empty for a top-up; what is granted when it is paid (a credit note: what
    # is taken back when it is sent).
    package = models.CharField(max_length=40, blank=True, default="")
    credits = models.BigIntegerField(default=0)
    subtotal_cents = models.BigIntegerField(default=0)
    tax_label = models.CharField(max_length=60, blank=True, default="")
    tax_basis_points = models.PositiveIntegerField(default=0)
    tax_note = models.CharField(max_length=200, blank=True, default="")
    tax_cents = models.BigIntegerField(default=0)
    total_cents = models.BigIntegerField(default=0)
    purchase_order = models.CharField(max_length=100, blank=True, default="")
    note = models.CharField(max_length=600, blank=True, default="")
    terms_days = models.PositiveIntegerField(default=30)
    due_on = models.DateField(null=True)
    buyer = models.JSONField(default=dict)
    seller = models.JSONField(default=dict)
    # The month of a usage invoice; the invoice that a credit note corrects, and whether it lowered what was still owed
    # (else there is money to give back).
    month = models.CharField(max_length=7, blank=True, default="")
    corrects = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="credit_notes")
    applied = models.BooleanField(default=False)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    issued_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    issued_at = models.DateTimeField(null=True, editable=False)
    paid_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    paid_at = models.DateTimeField(null=True, editable=False)
    voided_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    voided_at = models.DateTimeField(null=True, editable=False)
    void_reason = models.CharField(max_length=600, blank=True, default="")

    # Of rows that were read with_open().
    open_cents: int

    objects = InvoiceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(kind__in=["credits", "usage", "credit_note"]), name="ledger_invoice_kind"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["draft", "sent", "paid", "void"]), name="ledger_invoice_state"
            ),
            models.CheckConstraint(
                condition=Q(subtotal_cents__gte=0, tax_cents__gte=0, credits__gte=0), name="ledger_invoice_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(total_cents=F("subtotal_cents") + F("tax_cents")), name="ledger_invoice_adds_up"
            ),
            models.CheckConstraint(
                condition=Q(state="draft", number=None)
                | Q(state="void")
                | Q(state__in=["sent", "paid"], number__isnull=False, issued_at__isnull=False, due_on__isnull=False),
                name="ledger_invoice_sent_has_number",
            ),
            models.CheckConstraint(
                condition=~Q(state="paid") | Q(paid_at__isnull=False), name="ledger_invoice_paid_when"
            ),
            models.CheckConstraint(
                condition=~Q(state="void") | (Q(voided_at__isnull=False) & ~Q(void_reason="")),
                name="ledger_invoice_void_why",
            ),
            models.CheckConstraint(
                condition=Q(kind="credit_note", corrects__isnull=False) | (~Q(kind="credit_note") & Q(corrects=None)),
                name="ledger_invoice_credit_note_corrects",
            ),
            models.CheckConstraint(
                condition=Q(kind="usage", credits=0, total_cents=0) & ~Q(month="") | (~Q(kind="usage") & Q(month="")),
                name="ledger_invoice_usage_owes_nothing",
            ),
            # Nobody gives money or credits back alone.
            models.CheckConstraint(
                condition=~Q(kind="credit_note") | Q(issued_by=None) | ~Q(issued_by=F("created_by")),
                name="ledger_invoice_credit_note_two_people",
            ),
            # Whoever asked for the money does not say that it has come.
            models.CheckConstraint(
                condition=~Q(kind="credits") | Q(paid_by=None) | ~Q(paid_by=F("issued_by")),
                name="ledger_invoice_paid_two_people",
            ),
            models.UniqueConstraint(
                fields=["organization", "month", "currency"],
                condition=Q(kind="usage") & ~Q(state="void"),
                name="ledger_invoice_usage_once",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="ledger_invoice_by_org"),
            models.Index(fields=["due_on"], condition=Q(state="sent"), name="ledger_invoice_open"),
        ]

    def __str__(self) -> str:
        return self.number or f"draft {self.pk}"


class InvoiceLine(models.Model):
    """One line of an invoice; the lines add up to its subtotal. `credits` of a usage line are those that were used."""

    # Served by ledger_invoiceline_once.
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="lines", db_index=False)
    position = models.PositiveIntegerField()
    description = models.CharField(max_length=300)
    credits = models.BigIntegerField(default=0)
    # What one credit costs, in millionths of the currency, to be read; the amount is what counts.
    unit_micros = models.BigIntegerField(default=0)
    amount_cents = models.BigIntegerField()

    class Meta:
        ordering = ["position"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "position"], name="ledger_invoiceline_once"),
            models.CheckConstraint(condition=Q(credits__gte=0), name="ledger_invoiceline_credits_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_id} {self.position}: {self.amount_cents}"


class PaymentQuerySet(OwnedQuerySet["Payment"]):
    organization_path = "invoice__organization_id"


class Payment(models.Model):
    """Money that came for an invoice, or went back on a credit note. A mistake is reversed by another payment."""

    id = models.CharField(primary_key=True, max_length=30, default=new_payment_id, editable=False)
    # Served by ledger_payment_reference_once.
    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="payments", db_index=False)
    amount_cents = models.BigIntegerField()
    received_on = models.DateField()
    # The bank's reference: with it the same payment is recorded once, also when the form is sent twice.
    reference = models.CharField(max_length=140)
    reverses = models.OneToOneField("self", on_delete=models.PROTECT, null=True, related_name="reversal")
    reason = models.CharField(max_length=600, blank=True, default="")
    recorded_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(reverses=None, amount_cents__gt=0)
                | (Q(reverses__isnull=False, amount_cents__lt=0) & ~Q(reason="")),
                name="ledger_payment_amount",
            ),
            models.CheckConstraint(condition=~Q(reference=""), name="ledger_payment_reference_given"),
            models.UniqueConstraint(
                fields=["invoice", "reference"], condition=Q(reverses=None), name="ledger_payment_reference_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_id}: {self.amount_cents} ({self.reference})"


class InvoicePaper(models.Model):
    """The PDF of an invoice as it was sent: made once, and the same bytes ever after."""

    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, primary_key=True, related_name="paper")
    body = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return f"{self.invoice_id} {self.sha256[:12]}"


class InvoiceMail(Mail):
    """A mail with an invoice's paper."""

    invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, related_name="mails")

    class Meta:
        indexes = [models.Index(fields=["due_at"], condition=Q(sent_at=None), name="ledger_invoicemail_due")]


class GeneralLedgerAccount(models.Model):
    """The account of the company's general ledger that takes what is booked for a purpose; see ledger.revenue."""

    purpose = models.CharField(primary_key=True, max_length=40)
    code = models.CharField(max_length=40)
    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class MonthFileQuerySet(OwnedQuerySet["MonthFile"]):
    organization_path = "wallet__organization_id"
    mode_path = "wallet__mode"


class MonthFile(models.Model):
    """What a customer files of a closed month, fixed by its hashes, made once by the month-end run."""

    # Served by ledger_monthfile_once.
    period = models.ForeignKey("ledger.Period", on_delete=models.PROTECT, related_name="files", db_index=False)
    wallet = models.ForeignKey("ledger.Wallet", on_delete=models.PROTECT, related_name="month_files")
    entries = models.BigIntegerField()
    statement_sha256 = models.CharField(max_length=64)
    ledger_csv_sha256 = models.CharField(max_length=64)
    usage_invoice = models.ForeignKey(Invoice, on_delete=models.PROTECT, null=True, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)

    objects = MonthFileQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["period", "wallet"], name="ledger_monthfile_once")]

    def __str__(self) -> str:
        return f"{self.wallet_id} {self.period_id}"
