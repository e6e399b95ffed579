"""An invoice, a usage invoice or a credit note as a paper: its rows, in the words in which finance files them.

What it says depends on what was fixed when it was sent, and on nothing that happens later but that it became void.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from ledger.intervals import month_of
from ledger.invoices.amounts import money, percent, unit_price
from ledger.invoices.faults import NoSeller
from ledger.invoices.models import CURRENCIES, BillingDetails, Invoice, InvoiceLine
from ledger.invoices.seller import seller
from ledger.packages import MICROS
from ledger.papers.setting import set_paper
from ledger.papers.texts import shown
from sora2.countries import countries
from sora2.templatetags.figures import credits

TEMPLATE = "invoice.typ"
# No column of the rows is longer; the foot has one line.
TEXT_MAX, FOOT_MAX = 600, 80

Kind, State = Invoice.Kind, Invoice.State
TITLES: Mapping[str, str] = {Kind.CREDITS: "Invoice", Kind.USAGE: "Usage invoice", Kind.CREDIT_NOTE: "Credit note"}
TOTALS: Mapping[str, str] = {Kind.CREDITS: "Total due", Kind.USAGE: "Total due", Kind.CREDIT_NOTE: "Total credited"}
CURRENCY_NAMES: Mapping[str, str] = {
    "USD": "US dollar",
    "EUR": "euro",
    "GBP": "pound sterling",
    "CNY": "renminbi yuan",
    "JPY": "yen",
}
MARKS: Mapping[str, str] = {
    State.DRAFT: "DRAFT: not sent, not to be paid",
    State.VOID: "VOID: not to be paid",
}


def set_invoice(invoice: Invoice) -> bytes:
    """Return an invoice as PDF, the same bytes each time until it is changed. Raises PaperUnavailable.

    To be called outside of any transaction: it takes up to seconds.
    """
    made_at = invoice.voided_at or invoice.issued_at or invoice.created_at
    return set_paper(TEMPLATE, _data(invoice), made_at=made_at)


def _data(invoice: Invoice) -> dict[str, Any]:
    lines, name = list(invoice.lines.order_by("position")), invoice.number or "Draft"
    buyer = _buyer(invoice)
    return {
        "title": TITLES[invoice.kind],
        "subtitle": name,
        "mark": MARKS.get(invoice.state, ""),
        "stamp": invoice.state.upper() if invoice.state in MARKS else "",
        "foot": f"{name} · {shown(buyer.get('legal_name', ''), longest=FOOT_MAX)}",
        "seller": _party(_seller(invoice)),
        "buyer": _party(buyer),
        "facts": _facts(invoice),
        "currency": invoice.currency,
        "lines": [_line(each, invoice.currency) for each in lines],
        "sums": _sums(invoice),
        "total": ["Total" if invoice.state == State.VOID else TOTALS[invoice.kind], _total(invoice)],
        "under": [
            shown(each, longest=TEXT_MAX)
            for each in (invoice.tax_note, _rounded(lines, invoice.currency), invoice.note)
            if each
        ],
        "paying": _paying(invoice),
        "sentences": _sentences(invoice),
    }


# --- who -----------------------------------------------------------------------------------------------------------


def _seller(invoice: Invoice) -> Mapping[str, str]:
    """Return who sends it: as it was when it was sent; of a draft as the settings say now."""
    if invoice.number:
        kept: Mapping[str, str] = invoice.seller
        return kept
    try:
        return seller().as_json()
    except NoSeller:
        return {}


def _buyer(invoice: Invoice) -> Mapping[str, str]:
    """Return whom it is made out to: as it was when it was sent; of a draft as it is now."""
    if invoice.number:
        kept: Mapping[str, str] = invoice.buyer
        return kept
    names = ("legal_name", "address", "country", "tax_id")
    return BillingDetails.objects.filter(organization=invoice.organization_id).values(*names).first() or {}


def _party(said: Mapping[str, str]) -> list[str]:
    """Return a name and what stands below it, line by line; the first is there even where nothing is known."""
    tax_id = said.get("tax_id")
    below = [
        *said.get("address", "").splitlines(),
        countries().get(said.get("country", ""), said.get("country", "")),
        f"Tax id: {tax_id}" if tax_id else "",
        said.get("email", ""),
    ]
    name = shown(said.get("legal_name", ""), longest=TEXT_MAX) or "(not given yet)"
    return [name, *(shown(each, longest=TEXT_MAX) for each in below if each.strip())]


# --- what ----------------------------------------------------------------------------------------------------------


def _facts(invoice: Invoice) -> list[list[str]]:
    corrects = invoice.corrects
    facts = {
        "Number": invoice.number or "given when it is sent",
        "Issued on": _day(invoice.issued_at),
        "Due on": _due(invoice) if invoice.kind == Kind.CREDITS else "",
        "Corrects invoice": f"{corrects.number} of {_day(corrects.issued_at)}" if corrects else "",
        "Month of use": month_of(invoice.month).label if invoice.month else "",
        "Purchase order": shown(invoice.purchase_order, longest=TEXT_MAX),
        "Currency": f"{CURRENCY_NAMES[invoice.currency]} ({invoice.currency})",
    }
    return [[word, said] for word, said in facts.items() if said]


def _due(invoice: Invoice) -> str:
    return _day(invoice.due_on) or f"{invoice.terms_days} days after it is sent"


def _line(line: InvoiceLine, currency: str) -> list[str]:
    return [
        shown(line.description, longest=TEXT_MAX),
        credits(line.credits) if line.credits else "–",
        unit_price(line.unit_micros, currency) if line.unit_micros else "–",
        money(line.amount_cents, currency),
    ]


def _sums(invoice: Invoice) -> list[list[str]]:
    """Return what stands between the lines and the total."""
    sums = [["Subtotal", money(invoice.subtotal_cents, invoice.currency)]]
    if invoice.tax_label:
        label = f"{shown(invoice.tax_label, longest=TEXT_MAX)}, {percent(invoice.tax_basis_points)}"
        sums.append([label, money(invoice.tax_cents, invoice.currency)])
    return sums


def _rounded(lines: list[InvoiceLine], currency: str) -> str:
    """Say so where the price of a credit, times the credits, is not quite the amount."""
    cent = MICROS // 10 ** CURRENCIES[currency]
    exact = all(line.credits * line.unit_micros == line.amount_cents * cent for line in lines if line.unit_micros)
    return "" if exact else "The price of a credit is rounded: the amount is what counts."


def _total(invoice: Invoice) -> str:
    return money(invoice.total_cents, invoice.currency)


# --- the words -----------------------------------------------------------------------------------------------------


def _paying(invoice: Invoice) -> list[tuple[str, list[str]]]:
    """Say where to, by when and with which reference the total is paid."""
    if invoice.kind != Kind.CREDITS or invoice.state == State.VOID:
        return []
    bank = _seller(invoice).get("bank", "").splitlines()
    return [
        ("Amount", [_total(invoice)]),
        ("By", [_due(invoice)]),
        ("To", [shown(each, longest=TEXT_MAX) for each in bank if each.strip()] or ["(not given yet)"]),
        ("Reference", [invoice.number or "its number"]),
    ]


def _sentences(invoice: Invoice) -> list[str]:
    if invoice.state == State.VOID:
        why = shown(invoice.void_reason, longest=TEXT_MAX)
        return [f"Void since {_day(invoice.voided_at)}, nothing is to be paid. Why: {why}"]
    if invoice.kind == Kind.USAGE:
        return ["Nothing is due."]
    if invoice.kind == Kind.CREDIT_NOTE:
        return _of_credit_note(invoice)
    return [
        f"The {credits(invoice.credits)} credits are granted to your live wallet when this invoice is paid in full. "
        "They never expire."
    ]


def _of_credit_note(invoice: Invoice) -> list[str]:
    corrected, amount = invoice.corrects, _total(invoice)
    if corrected is None:
        return []
    # Of a draft the corrected invoice says what sending it would do.
    if invoice.applied or (not invoice.number and corrected.state == State.SENT):
        said = [f"It lowers what is owed on {corrected.number} by {amount}. You need not pay anything for it."]
    else:
        said = [f"{corrected.number} was paid: we pay {amount} back to you."]
    if invoice.credits:
        said.append(f"{credits(invoice.credits)} credits are taken back from your live wallet.")
    return said


def _day(at: datetime | date | None) -> str:
    """Return a day as it is read, by the clock of UTC; nothing for none."""
    if at is None:
        return ""
    day = at.astimezone(UTC) if isinstance(at, datetime) else at
    return f"{day.day} {day:%B %Y}"
