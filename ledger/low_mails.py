"""The mail that a customer's finance gets when a live wallet falls below its threshold: one for each crossing."""

from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string

from customers.contacts import finance_contacts
from customers.models import Mode
from ledger.models import LowNotice, Wallet


def mail_about(*, wallet: Wallet, now: datetime) -> LowNotice | None:
    """Return the mail about a wallet that is low, to be saved as its crossing is ticked off; of a live one only."""
    if wallet.mode != Mode.LIVE or wallet.low_since is None:
        return None
    organization = wallet.organization
    context = {
        "organization": organization,
        "wallet": wallet,
        "dashboard": f"{settings.PUBLIC_BASE_URL}/admin/ledger/{organization.pk}?mode={wallet.mode}",
        "account": f"{settings.PUBLIC_BASE_URL}/admin/customers/{organization.pk}",
        "support": settings.SUPPORT_EMAIL,
    }
    subject, _, body = render_to_string("mail/ledger/low.txt", context).partition("\n")
    return LowNotice(
        wallet=wallet,
        low_since=wallet.low_since,
        recipients=finance_contacts(organization),
        subject=subject.strip(),
        body=body.strip() + "\n",
        created_at=now,
        due_at=now,
    )
