"""Invoices as papers: what they say is what the rows say, their bytes stay, and no text in them does anything."""

import io
import re
from datetime import datetime

import pytest
from pypdf import PdfReader
from pytest_django import Settings

from customers.models import Mode
from ledger.invoices.amounts import money
from ledger.invoices.paper import invoice_paper
from ledger.models import BillingDetails, Invoice, InvoicePaper, Payment
from ledger.papers import setting
from ledger.papers.invoice import set_invoice
from ledger.papers.texts import BREAK, shown
from tests.factories import Account, fund, make_account
from tests.ledger.clock import turn_to
from tests.ledger.invoice_rows import (
    BUYER,
    PACKAGE,
    Line,
    credit_note,
    draft,
    reread,
    send,
    sent_invoice,
    somebody,
    usage_invoice,
    void,
)
from tests.ledger.test_statement_papers import HOSTILE, read
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db

TAX_NOTE = "Reverse charge: the recipient owes the tax (Article 196 of Directive 2006/112/EC)."


@pytest.fixture
def acme() -> Account:
    return make_account(0, name="Acme Corp & Söhne")


def body(invoice: Invoice) -> bytes:
    return invoice_paper(invoice).body


def said(invoice: Invoice) -> str:
    return read(body(invoice))


def day(invoice: Invoice) -> str:
    assert invoice.issued_at is not None
    return f"{invoice.issued_at.day} {invoice.issued_at:%B %Y}"


# --- what it says --------------------------------------------------------------------------------------------------


def test_an_invoice_says_who_what_how_much_and_how_to_pay(acme: Account) -> None:
    lines: tuple[Line, ...] = (PACKAGE, ("Top-up at list price", 1_000, 61_270, 6_127))
    taxed = {"tax_label": "VAT", "tax_basis_points": 1925, "tax_note": TAX_NOTE, "note": "Thank you."}
    invoice = sent_invoice(acme.organization, *lines, tax=97_429, **taxed)
    paper, text = invoice_paper(invoice), said(invoice)
    assert paper.filename == f"{invoice.number}.pdf"
    assert invoice.due_on is not None
    due = f"{invoice.due_on.day} {invoice.due_on:%B %Y}"
    for words in (
        f"Invoice {invoice.number}",
        "From Sora2 Enterprise Ltd 12 Harbour Road Dublin 2, D02 X285 Ireland Tax id: IE 6388047V",
        "To Acme Corporation Inc. 1 Roadrunner Way Albuquerque, NM 87101 United States Tax id: 85-1234567",
        f"Number {invoice.number} Issued on {day(invoice)} Due on {due} Purchase order PO-4711",
        "Currency US dollar (USD)",
        "Prepaid package of 102,000 credits 102,000 $0.04902 $5,000.00",
        "Top-up at list price 1,000 $0.06127 $61.27",
        "Subtotal $5,061.27 VAT, 19.25 % $974.29 Total due $6,035.56",
        TAX_NOTE,
        "The price of a credit is rounded: the amount is what counts.",
        "Thank you.",
        f"Amount $6,035.56 By {due} To Sora2 Enterprise Ltd IBAN IE29 AIBK 9311 5212 3456 78 BIC AIBKIE2D",
        f"Reference {invoice.number}",
        "The 103,000 credits are granted to your live wallet when this invoice is paid in full. They never expire.",
        "Page 1 of 1",
    ):
        assert words in text, words
    for row in invoice.lines.all():
        assert f"{row.credits:,} $0.0{str(row.unit_micros).rstrip('0')} {money(row.amount_cents, 'USD')}" in text
    assert "DRAFT" not in text
    assert "VOID" not in text


def test_a_usage_invoice_says_that_nothing_is_due(acme: Account) -> None:
    text = said(usage_invoice(acme.organization))
    for words in (
        *(
            "Usage invoice",
            "Month of use October 2026 (UTC)",
            "8,148 $0.04902 $399.41",
            "Prepaid: taken off – – −$399.41",
        ),
        *("Subtotal $0.00 Total due $0.00", "They were paid before: nothing is due.", "Nothing is due."),
    ):
        assert words in text, words
    assert "How to pay" not in text
    assert "Due on" not in text


def test_a_credit_note_says_what_it_corrects_and_what_that_means(acme: Account) -> None:
    corrected = sent_invoice(acme.organization)
    lowers = credit_note(corrected)
    text = said(lowers)
    for words in (
        f"Credit note {lowers.number}",
        f"Corrects invoice {corrected.number} of {day(corrected)}",
        "Total credited $100.00",
        "Agreed discount for the late start of the project",
        f"It lowers what is owed on {corrected.number} by $100.00. You need not pay anything for it.",
    ):
        assert words in text, words
    assert "How to pay" not in text
    Payment.objects.create(
        invoice=corrected, amount_cents=490_000, received_on=day_of(corrected), reference="T1", recorded_by=somebody()
    )
    Invoice.objects.filter(pk=corrected.pk).update(state="paid", paid_by=somebody(), paid_at=corrected.issued_at)
    line: Line = (f"Credit on {corrected.number}", 2_040, 0, 10_000)
    gives_back = draft(acme.organization, line, kind="credit_note", corrects=reread(corrected))
    for note in (gives_back, send(gives_back)):
        assert f"{corrected.number} was paid: we pay $100.00 back to you." in said(note)
        assert "2,040 credits are taken back from your live wallet." in said(note)


def day_of(invoice: Invoice) -> datetime:
    assert invoice.issued_at is not None
    return invoice.issued_at


def test_the_largest_amounts_and_yen_fit(acme: Account) -> None:
    most = 9_223_372_036_854_775_807
    text = said(sent_invoice(acme.organization, ("All there is", most, most, most)))
    assert "All there is 9,223,372,036,854,775,807 $9,223,372,036,854.775807 $92,233,720,368,547,758.07" in text
    assert "Total due $92,233,720,368,547,758.07" in text
    yen = said(sent_invoice(acme.organization, ("Top-up", 100, 7_000_000, 700), currency="JPY"))
    assert "Top-up 100 JPY 7 JPY 700" in yen
    assert "yen (JPY)" in yen
    assert "is rounded" not in yen


def test_many_lines_go_on_over_pages_each_with_its_head(acme: Account) -> None:
    lines = [(f"Line {number} " + "w" * 200, 10, 61_270, number) for number in range(1, 61)]
    invoice = sent_invoice(acme.organization, *lines)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(body(invoice))).pages]
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
    assert all("Amount (USD)" in page for page in pages[:-1])
    text = said(invoice)
    assert all(f"Line {number} " in text for number in range(1, 61))
    assert "Total due $18.30" in text


# --- what it is ----------------------------------------------------------------------------------------------------


def test_what_was_sent_has_the_same_bytes_ever_after(acme: Account, settings: Settings) -> None:
    invoice = sent_invoice(acme.organization)
    BillingDetails.objects.create(organization=acme.organization, **{**BUYER, "legal_name": "Acme Holding"})
    settings.SELLER_LEGAL_NAME = "Somebody Else"
    first = body(invoice)
    kept = InvoicePaper.objects.get()
    assert bytes(kept.body) == first
    # Set anew it is the same too, as long as typst is: nothing in it is of now.
    assert set_invoice(reread(invoice)) == first
    Payment.objects.create(
        invoice=invoice, amount_cents=500_000, received_on=day_of(invoice), reference="T1", recorded_by=somebody()
    )
    Invoice.objects.filter(pk=invoice.pk).update(state="paid", paid_by=somebody(), paid_at=invoice.issued_at)
    assert body(reread(invoice)) == first
    assert PdfReader(io.BytesIO(first)).metadata.creation_date == day_of(invoice).replace(microsecond=0)  # type: ignore[union-attr]


def test_of_two_that_set_it_at_once_the_first_is_kept(acme: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = sent_invoice(acme.organization)
    theirs = b"%PDF, as another version of typst would set it"

    def slowly(_invoice: Invoice) -> bytes:
        InvoicePaper.objects.create(invoice=invoice, body=theirs, sha256="0" * 64)
        return b"%PDF, ours"

    monkeypatch.setattr("ledger.invoices.paper.set_invoice", slowly)
    assert body(invoice) == theirs
    assert InvoicePaper.objects.count() == 1


def test_a_draft_and_what_is_void_say_so_on_every_page_and_are_not_kept(acme: Account) -> None:
    lines = [(f"Line {number} " + "w" * 200, 10, 61_270, number) for number in range(1, 31)]
    BillingDetails.objects.create(organization=acme.organization, **BUYER)
    drafted, issued = draft(acme.organization, *lines), sent_invoice(acme.organization, *lines)
    kept = body(issued)
    voided = void(issued, "Made out to the wrong company")
    for invoice, mark in ((drafted, "DRAFT"), (voided, "VOID")):
        first = body(invoice)
        assert body(invoice) == first
        pages = [page.extract_text() for page in PdfReader(io.BytesIO(first)).pages]
        assert len(pages) > 1
        assert all(f"{mark}: not" in page for page in pages)
    assert [bytes(row.body) for row in InvoicePaper.objects.all()] == [kept]
    text = said(voided)
    assert "nothing is to be paid. Why: Made out to the wrong company" in text
    assert "How to pay" not in text
    assert "Total due" not in text
    text = said(drafted)
    for words in ("Number given when it is sent", "Due on 30 days after it is sent", "To Acme Corporation Inc."):
        assert words in text, words
    assert invoice_paper(drafted).filename == f"draft-{drafted.pk}.pdf"


def test_a_draft_for_which_nothing_is_known_yet_can_be_looked_at(acme: Account, settings: Settings) -> None:
    settings.SELLER_LEGAL_NAME = ""
    text = said(draft(acme.organization))
    assert "From (not given yet)" in text
    assert "To (not given yet)" in text


def test_it_is_for_archives_and_screen_readers(acme: Account) -> None:
    for invoice in (draft(acme.organization), sent_invoice(acme.organization)):
        reader = PdfReader(io.BytesIO(body(invoice)))
        about = reader.trailer["/Root"]["/Metadata"].get_data().decode()  # type: ignore[index]
        for mark in ("pdfaid:part>2<", "pdfaid:conformance>A<", "pdfuaid:part>1<"):
            assert mark in about
        assert reader.metadata.title == f"Invoice, {invoice.number or 'Draft'}"  # type: ignore[union-attr]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_only_ever_text(acme: Account, text: str) -> None:
    buyer = {"legal_name": text[:200], "address": text[:600], "country": text[:2], "tax_id": text[:50]}
    invoice = draft(acme.organization, (text[:300], 10, 61_270, 61), tax=3, purchase_order=text[:100], note=text[:600])
    Invoice.objects.filter(pk=invoice.pk).update(tax_label=text[:60], tax_note=text[:200])
    read_back = said(send(invoice, buyer=buyer))
    seen = re.sub(r"\s+", " ", shown(text[:60], longest=600).replace(BREAK, ""))[:40]
    assert read_back.replace(" ", "").count(seen.replace(" ", "")) >= 6
    assert "Total due $0.64" in read_back
    assert re.search(r"Page 1 of [123]\b", read_back)


# --- who gets it ---------------------------------------------------------------------------------------------------


def test_a_customer_gets_what_was_sent_to_them_and_no_draft(acme: Account) -> None:
    invoice, drafted = sent_invoice(acme.organization), draft(acme.organization)
    given_up = void(draft(acme.organization), "Not wanted")
    at = "/admin/invoices/{}/invoice.pdf"
    finance = member(acme.organization)
    response = finance.get(at.format(invoice.pk))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/pdf")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    assert response.content == body(invoice)
    for hidden in (drafted, given_up):
        assert finance.get(at.format(hidden.pk)).status_code == 404
        assert staff("auditor").get(at.format(hidden.pk)).status_code == 200
    assert member(make_account(0, name="Globex").organization).get(at.format(invoice.pk)).status_code == 404
    assert member(acme.organization, "customer developer").get(at.format(invoice.pk)).status_code == 403
    assert staff("support").get(at.format(invoice.pk)).status_code == 403


def test_a_paper_that_cannot_be_set_now_is_to_be_had_soon(acme: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = sent_invoice(acme.organization)
    with monkeypatch.context() as patch:
        patch.setattr(setting, "SETTING_SECONDS", 0.001)
        response = staff().get(f"/admin/invoices/{invoice.pk}/invoice.pdf")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert not InvoicePaper.objects.exists()
    assert staff().get(f"/admin/invoices/{invoice.pk}/invoice.pdf").status_code == 200


def test_the_page_of_papers_has_the_invoices_and_the_last_statements(acme: Account) -> None:
    turn_to("2026-09-30T12:00Z")
    fund(acme.wallets[Mode.LIVE], 5_000)
    invoice = sent_invoice(acme.organization)
    note, drafted = credit_note(invoice), draft(acme.organization)
    address = f"/admin/invoices/papers/{acme.organization.pk}"
    finance = member(acme.organization)
    page = finance.get(address)
    words, html = words_of(page), page.content.decode()
    for row in (f"{invoice.number} 102,000 credits", f"{note.number} correction of {invoice.number}", "September 2026"):
        assert row in words, row
    assert f'href="/admin/invoices/{invoice.pk}/invoice.pdf" download' in html
    assert drafted.pk not in html
    link = re.search(rf'href="(/admin/ledger/{acme.organization.pk}/statement\.pdf[^"]*2026-09[^"]*)"', html)
    assert link is not None
    assert "Statement of credits September 2026" in read(finance.get(link[1].replace("&amp;", "&")).content)
    assert member(make_account(0, name="Globex").organization).get(address).status_code == 404
    assert address in finance.get("/admin/").content.decode()
    empty = words_of(staff().get(f"/admin/invoices/papers/{make_account(0, name='Initech').organization.pk}"))
    assert "An invoice stands here as soon as we have sent it" in empty
