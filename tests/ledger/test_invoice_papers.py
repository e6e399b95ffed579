"""Invoices as papers: what they say is what the rows say, their bytes stay, and no text in them does anything."""

import io
import re

import pytest
from pypdf import PdfReader
from pytest_django import Settings

from customers.models import Mode
from ledger.invoices.amounts import money
from ledger.invoices.issuing import void_invoice
from ledger.invoices.paper import invoice_paper
from ledger.models import BillingDetails, Invoice, InvoicePaper, Wallet
from ledger.papers import setting
from ledger.papers.invoice import set_invoice
from ledger.papers.texts import BREAK, shown
from tests.factories import fund, make_account
from tests.invoices import NOW, Desk
from tests.ledger.clock import turn_to
from tests.ledger.invoice_examples import (
    PACKAGE,
    TAX_NOTE,
    Line,
    credit_note,
    drafted,
    make_office,
    sent,
    usage_invoice,
)
from tests.ledger.test_statement_papers import HOSTILE, read
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(settings: Settings) -> Desk:
    return make_office(settings)


def body(invoice: Invoice) -> bytes:
    return invoice_paper(invoice).body


def said(invoice: Invoice) -> str:
    return read(body(invoice))


def day(invoice: Invoice) -> str:
    assert invoice.issued_at is not None
    return f"{invoice.issued_at.day} {invoice.issued_at:%B %Y}"


# --- what it says --------------------------------------------------------------------------------------------------


def test_an_invoice_says_who_what_how_much_and_how_to_pay(desk: Desk) -> None:
    lines: tuple[Line, ...] = (PACKAGE, ("Top-up at list price", 1_000, 61_270, 6_127))
    taxed = {"tax_label": "VAT", "tax_basis_points": 1925, "tax_note": TAX_NOTE, "note": "Thank you."}
    invoice = sent(desk, *lines, tax=97_429, **taxed)
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


def test_a_usage_invoice_says_that_nothing_is_due(desk: Desk) -> None:
    text = said(usage_invoice(desk))
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


def test_a_credit_note_says_what_it_corrects_and_what_that_means(desk: Desk) -> None:
    corrected = sent(desk)
    lowers = credit_note(desk, corrected, 10_000)
    text = said(lowers)
    for words in (
        f"Credit note {lowers.number}",
        f"Corrects invoice {corrected.number} of {day(corrected)}",
        "Total credited $100.00",
        "Why: goodwill",
        f"It lowers what is owed on {corrected.number} by $100.00. You need not pay anything for it.",
    ):
        assert words in text, words
    assert "How to pay" not in text
    assert f"It lowers what is owed on {corrected.number} by $50.00." in said(desk.note(corrected, 5_000))
    desk.pay(corrected, 490_000, "T1")
    corrected.refresh_from_db()
    for note in (desk.note(corrected, 10_000, credits=2_040), credit_note(desk, corrected, 10_000, credits=2_040)):
        assert f"{corrected.number} was paid: we pay $100.00 back to you." in said(note)
        assert "2,040 credits are taken back from your live wallet." in said(note)


def test_the_largest_amounts_and_yen_fit(desk: Desk) -> None:
    most = 9_223_372_036_854_775_807
    text = said(sent(desk, ("All there is", most, most, most)))
    assert "All there is 9,223,372,036,854,775,807 $9,223,372,036,854.775807 $92,233,720,368,547,758.07" in text
    assert "Total due $92,233,720,368,547,758.07" in text
    yen = said(sent(desk, ("Top-up", 100, 7_000_000, 700), currency="JPY"))
    assert "Top-up 100 JPY 7 JPY 700" in yen
    assert "yen (JPY)" in yen
    assert "is rounded" not in yen


def test_many_lines_go_on_over_pages_each_with_its_head(desk: Desk) -> None:
    lines = [(f"Line {number} " + "for a team " * 8, 10, 61_270, number) for number in range(1, 61)]
    invoice = sent(desk, *lines)
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(body(invoice))).pages]
    assert len(pages) > 2
    for number, page in enumerate(pages, 1):
        assert f"Page {number} of {len(pages)}" in page
    assert all("Amount (USD)" in page for page in pages[:-1])
    text = said(invoice)
    assert all(f"Line {number} " in text for number in range(1, 61))
    assert "Total due $18.30" in text


# --- what it is ----------------------------------------------------------------------------------------------------


def test_what_was_sent_has_the_same_bytes_ever_after(desk: Desk, settings: Settings) -> None:
    invoice = sent(desk)
    first = body(invoice)
    assert bytes(InvoicePaper.objects.get().body) == first
    BillingDetails.objects.update(legal_name="Acme Holding")
    settings.SELLER_LEGAL_NAME = "Somebody Else"
    # Set anew it is the same too, as long as typst is: nothing in it is of now.
    assert set_invoice(invoice) == first
    desk.pay(invoice, 500_000, "T1")
    invoice.refresh_from_db()
    assert invoice.state == "paid"
    assert body(invoice) == first
    made = PdfReader(io.BytesIO(first)).metadata
    assert made is not None
    assert made.creation_date == invoice.issued_at.replace(microsecond=0)  # type: ignore[union-attr]


def test_of_two_that_set_it_at_once_the_first_is_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = sent(desk)
    theirs = b"%PDF, as another version of typst would set it"

    def slowly(_invoice: Invoice) -> bytes:
        InvoicePaper.objects.create(invoice=invoice, body=theirs, sha256="0" * 64)
        return b"%PDF, ours"

    monkeypatch.setattr("ledger.invoices.paper.set_invoice", slowly)
    assert body(invoice) == theirs
    assert InvoicePaper.objects.count() == 1


def test_a_draft_and_what_is_void_say_so_on_every_page_and_are_not_kept(desk: Desk) -> None:
    lines = [(f"Line {number}", 10, 61_270, number) for number in range(1, 41)]
    draft, issued = drafted(desk, *lines), sent(desk, *lines)
    kept = body(issued)
    void = void_invoice(invoice=issued, by=desk.ann, reason="Made out to the wrong company", now=NOW)
    texts = {}
    for invoice, mark in ((draft, "DRAFT"), (void, "VOID")):
        first = body(invoice)
        texts[mark] = read(first)
        assert body(invoice) == first
        pages = [page.extract_text() for page in PdfReader(io.BytesIO(first)).pages]
        assert len(pages) > 1
        assert all(f"{mark}: not" in page for page in pages)
    assert [bytes(row.body) for row in InvoicePaper.objects.all()] == [kept]
    text = texts["VOID"]
    assert "nothing is to be paid. Why: Made out to the wrong company" in text
    assert "How to pay" not in text
    assert "Total due" not in text
    for words in ("Number given when it is sent", "Due on 30 days after it is sent", "To Acme Corporation Inc."):
        assert words in texts["DRAFT"], words
    assert invoice_paper(draft).filename == f"draft-{draft.pk}.pdf"


@pytest.mark.owner
def test_a_draft_for_which_nothing_is_known_yet_can_be_looked_at(desk: Desk, settings: Settings) -> None:
    settings.SELLER_LEGAL_NAME = ""
    BillingDetails.objects.all().delete()
    text = said(drafted(desk))
    assert "From (not given yet)" in text
    assert "To (not given yet)" in text


def test_it_is_for_archives_and_screen_readers(desk: Desk) -> None:
    for invoice in (drafted(desk), sent(desk)):
        reader = PdfReader(io.BytesIO(body(invoice)))
        about = reader.trailer["/Root"]["/Metadata"].get_data().decode()  # type: ignore[index]
        for mark in ("pdfaid:part>2<", "pdfaid:conformance>A<", "pdfuaid:part>1<"):
            assert mark in about
        assert reader.metadata.title == f"Invoice, {invoice.number or 'Draft'}"  # type: ignore[union-attr]


def test_a_text_is_only_ever_text(desk: Desk) -> None:
    code, markup, blocks, foreign, long, of_pdf = HOSTILE
    BillingDetails.objects.update(legal_name=markup[:200], address=f"{code}\n{blocks}\n{of_pdf}", tax_id=foreign[:50])
    texts = {"purchase_order": code[:100], "note": long[:600], "tax_label": markup[:60], "tax_note": foreign[:200]}
    lines = [(text[:300], 10, 61_270, 61) for text in HOSTILE]
    read_back = said(sent(desk, *lines, tax=3, **texts)).replace(" ", "")
    for text in HOSTILE:
        seen = re.sub(r"\s+", "", shown(text[:50], longest=600).replace(BREAK, ""))[:40]
        assert read_back.count(seen) >= 2, text
    assert "Totaldue$3.69" in read_back
    assert re.search(r"Page1of[123]", read_back)


# --- who gets it ---------------------------------------------------------------------------------------------------


def test_a_customer_gets_what_was_sent_to_them_and_no_draft(desk: Desk) -> None:
    invoice, draft = sent(desk), drafted(desk)
    given_up = void_invoice(invoice=drafted(desk), by=desk.ann, reason="Not wanted", now=NOW)
    at = "/admin/invoices/{}/invoice.pdf"
    finance = member(desk.organization)
    response = finance.get(at.format(invoice.pk))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/pdf")
    assert response.headers["Content-Disposition"] == f'attachment; filename="{invoice.number}.pdf"'
    assert response.content == body(invoice)
    for hidden in (draft, given_up):
        assert finance.get(at.format(hidden.pk)).status_code == 404
        assert staff("auditor").get(at.format(hidden.pk)).status_code == 200
    assert member(make_account(0, name="Globex").organization).get(at.format(invoice.pk)).status_code == 404
    assert member(desk.organization, "customer developer").get(at.format(invoice.pk)).status_code == 403
    assert staff("support").get(at.format(invoice.pk)).status_code == 403


def test_a_paper_that_cannot_be_set_now_is_to_be_had_soon(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    invoice = sent(desk)
    with monkeypatch.context() as patch:
        patch.setattr(setting, "SETTING_SECONDS", 0.001)
        response = staff().get(f"/admin/invoices/{invoice.pk}/invoice.pdf")
        assert (response.status_code, response.headers["Retry-After"]) == (503, "5")
        assert not InvoicePaper.objects.exists()
    assert staff().get(f"/admin/invoices/{invoice.pk}/invoice.pdf").status_code == 200


def test_the_page_of_papers_has_the_invoices_and_the_last_statements(desk: Desk) -> None:
    turn_to("2026-09-30T12:00Z")
    fund(Wallet.objects.get(organization=desk.organization, mode=Mode.LIVE), 5_000)
    invoice = sent(desk)
    note, draft = credit_note(desk, invoice, 10_000), drafted(desk)
    address = f"/admin/invoices/papers/{desk.organization.pk}"
    finance = member(desk.organization)
    page = finance.get(address)
    words, html = words_of(page), page.content.decode()
    for row in (f"{invoice.number} 102,000 credits", f"{note.number} correction of {invoice.number}", "September 2026"):
        assert row in words, row
    assert f'href="/admin/invoices/{invoice.pk}/invoice.pdf" download' in html
    assert draft.pk not in html
    link = re.search(rf'href="(/admin/ledger/{desk.organization.pk}/statement\.pdf[^"]*2026-09[^"]*)"', html)
    assert link is not None
    assert "Statement of credits September 2026" in read(finance.get(link[1].replace("&amp;", "&")).content)
    assert member(make_account(0, name="Globex").organization).get(address).status_code == 404
    assert address in finance.get("/admin/").content.decode()
    empty = words_of(staff().get(f"/admin/invoices/papers/{make_account(0, name='Initech').organization.pk}"))
    assert "An invoice stands here as soon as we have sent it" in empty
