"""What the pages show of customers: the list of them, and what an account is."""

from dataclasses import dataclass

from django.http import Http404

from customers.access import Access
from customers.models import Organization
from sora2.pages import Rows, rows_after

CUSTOMERS_SHOWN = 50


def customer_list(access: Access, *, name: str, cursor: str) -> Rows[Organization]:
    """Return customers that somebody reaches, the newest first; with a name: those that have it in theirs, or as id."""
    rows = Organization.objects.within(access)
    return rows_after(rows.matching(name) if name else rows, key="-id", cursor=cursor, size=CUSTOMERS_SHOWN)


def reached_organization(access: Access, *, organization_id: str) -> Organization:
    """Return a customer that somebody reaches. Raises Http404."""
    organization = Organization.objects.within(access).filter(pk=organization_id).first()
    if organization is None:
        raise Http404
    return organization


@dataclass(frozen=True)
class Account:
    """A customer as its account page shows it."""

    organization: Organization


def account(access: Access, *, organization_id: str) -> Account:
    """Return what a customer's account page shows. Raises Http404."""
    return Account(reached_organization(access, organization_id=organization_id))
