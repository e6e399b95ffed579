"""What the pages of customers show: the list of them, and what an account is, with its open batches and its wallets."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, OuterRef, Subquery

from batches.models import Batch, BatchQuerySet
from customers.access import Access, Permission
from customers.account_pages import reached_organization, with_counts
from customers.models import ApiKey, ApiKeyQuerySet, Membership, Mode, Organization
from customers.plans import Agreement, agreement_of
from ledger.models import LowNotice, Wallet
from sora2.pages import Rows, rows_after

CUSTOMERS_SHOWN = 50
MAILS_SHOWN = 10


def customer_list(access: Access, *, name: str, cursor: str, now: datetime) -> Rows[Organization]:
    """Return customers that somebody reaches, the newest first; with a name: those that have it in theirs, or as id.

    Each has `people_count` and `key_count`, and `available` credits in live mode for who may see credits.
    """
    rows = with_counts(Organization.objects.within(access), now=now)
    if access.may(Permission.LEDGER_READ):
        live = Wallet.objects.filter(organization=OuterRef("pk"), mode=Mode.LIVE)
        rows = rows.annotate(available=Subquery(live.values("available")))
    return rows_after(rows.matching(name) if name else rows, key="-id", cursor=cursor, size=CUSTOMERS_SHOWN)


@dataclass(frozen=True)
class Account:
    """A customer as its account page shows it. Keys and open batches are counted by mode.

    Wallets and mails about them are empty for those who may not see credits.
    """

    organization: Organization
    people: int
    keys: Mapping[str, int]
    open: Mapping[str, int]
    wallets: list[Wallet]
    mails: list[LowNotice]
    agreement: Agreement


def account(access: Access, *, organization_id: str, now: datetime) -> Account:
    """Return what a customer's account page shows. Raises Http404."""
    organization = reached_organization(access, organization_id=organization_id)
    wallets, mails = Wallet.objects.none(), LowNotice.objects.none()
    if access.may(Permission.LEDGER_READ):
        wallets = Wallet.objects.within(access).filter(organization=organization).order_by("mode")
        mails = LowNotice.objects.within(access).filter(wallet__organization=organization).order_by("-pk")
    return Account(
        organization=organization,
        people=Membership.objects.filter(organization=organization, user__is_active=True).count(),
        keys=_by_mode(ApiKey.objects.within(access).usable(now).filter(organization=organization)),
        open=_by_mode(Batch.objects.within(access).open().filter(organization=organization)),
        wallets=list(wallets),
        mails=list(mails[:MAILS_SHOWN]),
        agreement=agreement_of(organization),
    )


def _by_mode(rows: ApiKeyQuerySet | BatchQuerySet) -> dict[str, int]:
    counts = dict(rows.order_by().values_list("mode").annotate(Count("pk")))
    return {mode: counts.get(mode, 0) for mode in Mode.values}
