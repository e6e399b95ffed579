"""Pictures of papers, for the documents: bin/screenshots --docs runs this, the tests do not.

They are made of the PDF files, by pdftoppm of poppler-utils: what is seen is what a customer opens.
"""

import io
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from PIL import Image
from pytest_django import Settings

from customers.models import Mode
from ledger.intervals import month_of
from ledger.invoices.paper import invoice_paper
from ledger.models import Period, Wallet
from ledger.papers.statement import statement_paper
from ledger.services import refund, reserve, settle
from ledger.statements import statement_of
from tests.factories import fund
from tests.invoices import NOW, Desk
from tests.ledger.clock import turn_to
from tests.ledger.invoice_examples import TAX_NOTE, credit_note, drafted, make_office, sent, usage_invoice
from tests.ledger.test_statement_papers import movement

pytestmark = [pytest.mark.django_db, pytest.mark.unbooked]

DOTS_PER_INCH, COLOURS = 80, 64


@pytest.mark.skipif("SORA2_PICTURES" not in os.environ, reason="only the documents have pictures of papers")
def test_pictures_of_papers(settings: Settings) -> None:
    folder = Path(os.environ["SORA2_PICTURES"]) / "papers"
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in _papers(make_office(settings)).items():
        picture = subprocess.run(
            ["pdftoppm", "-png", "-r", str(DOTS_PER_INCH), "-f", "1", "-l", "1"],
            input=body,
            capture_output=True,
            check=True,
        ).stdout
        image = Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        image.save(folder / f"{name}.png", optimize=True)


def _papers(desk: Desk) -> Mapping[str, bytes]:
    wallet = Wallet.objects.get(organization=desk.organization, mode=Mode.LIVE)
    statement = _statement(wallet)
    invoice = sent(desk, tax_label="VAT", tax_note=TAX_NOTE)
    draft = drafted(desk)
    desk.pay(invoice, invoice.total_cents, "T1")
    invoice.refresh_from_db()
    note = credit_note(desk, invoice, 10_000, credits=2_040)
    made = {"invoice": invoice, "usage_invoice": usage_invoice(desk), "credit_note": note, "draft": draft}
    return {"statement": statement, **{name: invoice_paper(each).body for name, each in made.items()}}


def _statement(wallet: Wallet) -> bytes:
    """Return the statement of a month in which two batches ran."""
    turn_to("2026-09-12T12:00Z")
    fund(wallet, 12_000, reference="INV-2026-0001")
    turn_to("2026-10-05T12:00Z")
    for reference, failed in (("bat_1", 97), ("bat_2", 0)):
        reserve(movement=movement(wallet, reference), amount=4_850)
        settle(movement=movement(wallet, reference), amount=4_850 - failed)
        if failed:
            refund(movement=movement(wallet, reference), amount=failed)
    turn_to("2026-11-02T12:00Z")
    month = month_of("2026-10")
    Period.objects.create(month=month.month, starts_at=month.starts_at, ends_at=month.ends_at)
    return statement_paper(statement_of(wallet=wallet, interval=month), now=NOW).body
