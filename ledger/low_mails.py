"""The mail that a customer's finance gets when a live wallet falls below its threshold: one for each crossing."""

from datetime import datetime

from django.conf import settings
from django.template.loader import render_to_string

from customers.contacts import finance_contacts
from customers.models import Mode
from ledger.models import LowNotice, Wallet
from sora2 import bell


def write_mail(*, wallet: Wallet, now: datetime) -> None:
    """Write the mail about a wallet that is low, in the transaction that ticks the crossing off; of a live one only."""
    if wallet.mode != Mode.LIVE or wallet.low_since is None:
        return
    organization = wallet.organization
    context = {
        "organization": organization,
        "wallet": wallet,
        "dashboard": f"{settings.PUBLIC_BASE_URL}/admin/ledger/{organization.pk}",
        "account": f"{settings.PUBLIC_BASE_URL}/admin/customers/{organization.pk}",
        "support": settings.SUPPORT_EMAIL,
    }
    subject, _, body = render_to_string("mail/ledger/low.txt", context).partition("\n")
    LowNotice.objects.create(
        wallet=wallet,
        low_since=wallet.low_since,
        recipients=finance_contacts(organization),
        subject=subject.strip(),
        body=body.strip() + "\n",
        created_at=now,
        due_at=now,
    )
    bell.ring("ledger.mail_lows")
