"""The billing of the world's first customer: its details, and an invoice in each state."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from customers.models import Organization, User
from ledger.models import BillingDetails, Invoice

ADDRESS = "1 Roadrunner Way\nAlbuquerque, NM 87101"


@dataclass(frozen=True)
class Billing:
    """What was made, by state."""

    details: BillingDetails
    draft: Invoice
    sent: Invoice


def make_billing(organization: Organization, people: Mapping[str, User], now: datetime) -> Billing:
    """Make a customer's billing details and invoices."""
    details = BillingDetails.objects.create(
        organization=organization,
        legal_name="Acme Corporation Inc.",
        address=ADDRESS,
        country="US",
        tax_id="85-1234567",
    )
    draft, sent = (
        Invoice.objects.create(
            organization=organization,
            kind=Invoice.Kind.CREDITS,
            currency="USD",
            package="prepaid-5000",
            credits=102_000,
            subtotal_cents=500_000,
            total_cents=500_000,
            created_by=people["sales ops"],
            created_at=now,
        )
        for _ in range(2)
    )
    Invoice.objects.filter(pk=sent.pk).update(
        state=Invoice.State.SENT,
        number=f"INV-{now:%Y}-0001",
        issued_by=people["sales ops"],
        issued_at=now,
        due_on=(now + timedelta(days=30)).date(),
    )
    sent.refresh_from_db()
    return Billing(details, draft, sent)
