"""Drafts of invoices: what credits are to be sold, at what price, until somebody sends it or gives it up.

A draft bears the tax line of its customer's billing details, as they are now: when these change, it follows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from django.db import transaction

from customers.models import Organization, User
from ledger.invoices.acts import audit_act
from ledger.invoices.amounts import tax_of
from ledger.invoices.faults import InvalidLines, NoBillingDetails, WrongState
from ledger.invoices.models import CENTS_MOST, BillingDetails, Invoice, InvoiceLine, new_invoice_id
from ledger.packages import LIST_PRICE
from ledger.services import refuse_unfit
from sora2.seen import check_seen, seen_name

LINES_MOST = 20
# Of one line.
CREDITS_MOST = 1_000_000_000
TERMS_DAYS_MOST = 365


@dataclass(frozen=True)
class DraftLine:
    """Credits and what they cost, in minor units; `unit_micros` is the price of one, in millionths, to be read."""

    description: str
    credits: int
    unit_micros: int
    amount_cents: int


@dataclass(frozen=True)
class Draft:
    """What may be changed of a draft."""

    lines: tuple[DraftLine, ...]
    purchase_order: str
    note: str
    terms_days: int

    @property
    def seen(self) -> str:
        """Return a name for a draft as it is: another has another."""
        return seen_name(asdict(self))


@transaction.atomic
def draft_invoice(
    *,
    organization: Organization,
    lines: Sequence[DraftLine],
    package: str,
    by: User,
    note: str = "",
    purchase_order: str | None = None,
    pk: str = "",
) -> Invoice:
    """Draft an invoice of credits, on the terms of the customer's billing details.

    `package` is the code of what is bought, empty for a top-up; a purchase order of None is the one that stands in the
    details. Who gives the new invoice's `pk` may ask twice, and gets the draft that the first call made. Raises
    NoBillingDetails, InvalidLines, InvalidText, WrongState.
    """
    details = _locked_details(organization.pk)
    order = details.purchase_order if purchase_order is None else purchase_order
    draft = Draft(tuple(lines), purchase_order=order, note=note, terms_days=details.terms_days)
    _refuse(draft)
    refuse_unfit(Invoice, package=package)
    invoice, made = Invoice.objects.get_or_create(
        pk=pk or new_invoice_id(),
        defaults={
            "organization": organization,
            "created_by": by,
            "kind": Invoice.Kind.CREDITS,
            "currency": LIST_PRICE.currency,
            "package": package,
            **_figures(draft, details),
        },
    )
    if made:
        _write_lines(invoice, draft)
        audit_act(invoice, by, "invoice.draft", package=package, **asdict(draft))
    if (invoice.organization_id, invoice.created_by_id) != (organization.pk, by.pk):
        raise WrongState("This form was used for another invoice: open it anew.")
    return invoice


def draft_of(invoice: Invoice) -> Draft:
    """Return what may be changed of a draft, as it is."""
    lines = (DraftLine(each.description, each.credits, each.unit_micros, each.amount_cents) for each in _lines(invoice))
    return Draft(tuple(lines), invoice.purchase_order, invoice.note, invoice.terms_days)


@transaction.atomic
def change_draft(*, invoice: Invoice, wanted: Draft, seen: str, by: User) -> bool:
    """Change a draft of credits if it is still as it was `seen`; say whether that changes anything.

    What it is already, it stays: sent twice, it is done once. Raises WrongState, ChangedMeanwhile, InvalidLines,
    InvalidText.
    """
    _refuse(wanted)
    details = _locked_details(invoice.organization_id)
    locked = Invoice.objects.select_for_update(no_key=True).get(pk=invoice.pk)
    if locked.kind != Invoice.Kind.CREDITS or locked.state != Invoice.State.DRAFT:
        raise WrongState(f"{locked} is {locked.state}: only a draft of credits can be changed.")
    before = draft_of(locked)
    if before == wanted:
        return False
    check_seen(asdict(before), seen)
    figures = _figures(wanted, details)
    same = (locked.credits, locked.subtotal_cents) == (figures["credits"], figures["subtotal_cents"])
    # Other credits, or another price, are no package any more.
    Invoice.objects.filter(pk=locked.pk).update(package=locked.package if same else "", **figures)
    if before.lines != wanted.lines:
        locked.lines.all().delete()
        _write_lines(locked, wanted)
    old, new = asdict(before), asdict(wanted)
    changed = [name for name in new if new[name] != old[name]]
    was, is_now = ({name: each[name] for name in changed} for each in (old, new))
    audit_act(locked, by, "invoice.change", old=was, new=is_now)
    return True


def retax(*, details: BillingDetails) -> int:
    """Let the drafts of a customer bear the tax line that its details have now; return how many there are.

    Called in the transaction that changes the details.
    """
    drafts = Invoice.objects.filter(
        organization=details.organization_id, kind=Invoice.Kind.CREDITS, state=Invoice.State.DRAFT
    )
    for draft in (found := list(drafts.select_for_update(no_key=True).order_by("pk"))):
        Invoice.objects.filter(pk=draft.pk).update(**_tax(draft.subtotal_cents, details))
    return len(found)


def _refuse(draft: Draft) -> None:
    refuse_unfit(Invoice, purchase_order=draft.purchase_order, note=draft.note)
    if not 0 <= draft.terms_days <= TERMS_DAYS_MOST:
        raise InvalidLines(f"Days to pay are from 0 to {TERMS_DAYS_MOST}.")
    if not 0 < len(draft.lines) <= LINES_MOST:
        raise InvalidLines(f"An invoice has from 1 to {LINES_MOST} lines.")
    for number, line in enumerate(draft.lines, start=1):
        refuse_unfit(InvoiceLine, description=line.description)
        if not line.description.strip():
            raise InvalidLines(f"Line {number}: say what it is for.")
        if not 0 < line.credits <= CREDITS_MOST:
            raise InvalidLines(f"Line {number}: credits are from 1 to {CREDITS_MOST:,}.")
        if not 0 < line.amount_cents <= CENTS_MOST:
            raise InvalidLines(f"Line {number}: an amount is more than nothing, and at most {CENTS_MOST // 100:,}.")


def _locked_details(organization_id: str) -> BillingDetails:
    """Return a customer's billing details, which nobody changes before we are done; they are locked before a draft."""
    rows = BillingDetails.objects.select_for_update(no_key=True).filter(organization=organization_id)
    if found := rows.first():
        return found
    raise NoBillingDetails("Say first whom this customer's invoices are made out to: its billing details.")


def _figures(draft: Draft, details: BillingDetails) -> dict[str, Any]:
    """Return the columns of an invoice that a draft sets: its sums with the tax on them, and its terms."""
    return {
        "credits": sum(line.credits for line in draft.lines),
        "purchase_order": draft.purchase_order,
        "note": draft.note,
        "terms_days": draft.terms_days,
        **_tax(sum(line.amount_cents for line in draft.lines), details),
    }


def _tax(subtotal_cents: int, details: BillingDetails) -> dict[str, Any]:
    tax_cents = tax_of(subtotal_cents, details.tax_basis_points)
    return {
        "subtotal_cents": subtotal_cents,
        "tax_label": details.tax_label,
        "tax_basis_points": details.tax_basis_points,
        "tax_note": details.tax_note,
        "tax_cents": tax_cents,
        "total_cents": subtotal_cents + tax_cents,
    }


def _lines(invoice: Invoice) -> Iterable[InvoiceLine]:
    return invoice.lines.order_by("position")


def _write_lines(invoice: Invoice, draft: Draft) -> None:
    InvoiceLine.objects.bulk_create(
        InvoiceLine(invoice=invoice, position=position, **asdict(line))
        for position, line in enumerate(draft.lines, start=1)
    )
