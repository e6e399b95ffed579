"""Whom a customer's invoices are made out to, by themselves or by us, and the tax and the terms, by us alone."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from django.db import transaction

from customers.models import Organization, User
from customers.services import audit
from ledger.invoices.amounts import BASIS_POINTS
from ledger.invoices.drafting import TERMS_DAYS_MOST, retax
from ledger.invoices.faults import InvoiceError
from ledger.invoices.models import BillingDetails
from ledger.services import refuse_unfit
from sora2.countries import countries
from sora2.seen import check_seen, seen_name


class InvalidDetails(InvoiceError):
    """These billing details cannot stand on an invoice; the message says which of them, and why."""

    code = "invalid_details"


@dataclass(frozen=True)
class Buyer:
    """Whom invoices are made out to, as the customer says. `country` is a code of ISO 3166-1; only that has none."""

    legal_name: str
    address: str
    country: str
    tax_id: str = ""
    purchase_order: str = ""
    usage_invoices: bool = False


@dataclass(frozen=True)
class TaxTerms:
    """What we say of the customer's invoices: the tax line (without a label there is none) and the days to pay."""

    tax_label: str = ""
    tax_basis_points: int = 0
    tax_note: str = ""
    terms_days: int = 30


@dataclass(frozen=True)
class Details:
    """All of a customer's billing details."""

    buyer: Buyer
    terms: TaxTerms


def details_of(organization: Organization) -> Details | None:
    """Return a customer's billing details; None as long as nobody gave any."""
    row = BillingDetails.objects.filter(organization=organization).first()
    return _read(row) if row else None


def seen_of(details: Details | None) -> str:
    """Return a name for the details as they are, or for none: others have another."""
    return seen_name(_named(details))


@transaction.atomic
def change_details(
    *, organization: Organization, buyer: Buyer, terms: TaxTerms | None, seen: str, by: User, now: datetime
) -> bool:
    """Set a customer's billing details if they are as they were `seen`; say whether that changes anything.

    Terms of None stay as they are. Open drafts follow with their tax line; what was sent stays as it is. What is set
    already is set: sent twice, it is done once. Raises ChangedMeanwhile, InvalidDetails, InvalidText.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)  # Also while there is no row yet.
    before = details_of(organization)
    wanted = Details(buyer, terms or (before.terms if before else TaxTerms()))
    _refuse(wanted)
    if before == wanted:
        return False
    check_seen(_named(before), seen)
    row, _ = BillingDetails.objects.update_or_create(
        organization=organization, defaults={**asdict(wanted.buyer), **asdict(wanted.terms), "changed_at": now}
    )
    drafts = retax(details=row)
    _audit(organization, by, before, wanted, drafts)
    return True


def _read(row: BillingDetails) -> Details:
    buyer, terms = ({name: getattr(row, name) for name in each.__annotations__} for each in (Buyer, TaxTerms))
    return Details(Buyer(**buyer), TaxTerms(**terms))


def _named(details: Details | None) -> dict[str, Any]:
    return {**asdict(details.buyer), **asdict(details.terms)} if details else {}


def _refuse(details: Details) -> None:
    buyer, terms = details.buyer, details.terms
    texts = {name: text for name, text in _named(details).items() if isinstance(text, str)}
    refuse_unfit(BillingDetails, **texts)
    for name in ("legal_name", "address"):
        if not texts[name].strip():
            raise InvalidDetails(f"{name}: an invoice says whom it is made out to, and where they are.")
    if buyer.country not in countries():
        raise InvalidDetails("country: a code of two letters, such as US or DE.")
    if not 0 <= terms.tax_basis_points <= BASIS_POINTS:
        raise InvalidDetails("tax_basis_points: a rate is from 0 to 100 percent.")
    if terms.tax_basis_points and not terms.tax_label:
        raise InvalidDetails("tax_label: say what the tax is called, such as VAT.")
    if not 0 <= terms.terms_days <= TERMS_DAYS_MOST:
        raise InvalidDetails(f"terms_days: from 0 to {TERMS_DAYS_MOST}.")


def _audit(organization: Organization, by: User, before: Details | None, after: Details, drafts: int) -> None:
    old, new = _named(before), _named(after)
    changed = [name for name in new if before is None or new[name] != old[name]]
    audit(
        actor=by.pk,
        action="billing.change",
        organization_id=organization.pk,
        subject=organization.pk,
        detail={
            "old": {name: old[name] for name in changed if name in old},
            "new": {name: new[name] for name in changed},
            **({"drafts": drafts} if drafts else {}),
        },
    )
