"""The pages of service levels: what a customer under contract reads as page, CSV and PDF; a pilot reads nothing."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.utils import timezone
from pypdf import PdfReader

from batches.failures import FailureType
from ledger.papers.texts import BREAK
from tests.batches.test_sla_report import HOUR, OCTOBER, ready, under_contract
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, words_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def globex() -> Account:
    return under_contract(make_account(name="Globex #1 & Söhne"), since=OCTOBER)


def page(account: Account) -> str:
    return f"/admin/sla/{account.organization.pk}"


def read(body: bytes) -> str:
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(body)).pages)
    return re.sub(r"\s+", " ", text.replace(BREAK, ""))


def test_a_customer_under_contract_reads_what_was_promised_and_kept(globex: Account) -> None:
    batch = end_batch(make_batch(globex.api, 4), failed={2: FailureType.TIMEOUT})
    assert batch.finished_at is not None
    first = timezone.now().replace(second=0, microsecond=0) - 119 * timedelta(minutes=1)
    ready(first, 120, without=[50], down=[70, 71])
    month = f"{timezone.now():%Y-%m}"
    finance, developer = member(globex.organization), member(globex.organization, "customer developer")
    shown = words_of(finance.get(page(globex), {"month": month}))
    assert "99.9 % " in shown
    assert "3 down, of these 1 not measured" in shown
    assert "✕ not met" in shown
    assert "1 of 1 failed items refunded: 10 credits" in shown
    assert "no probe: nobody measured" in shown
    assert "GET /readyz was answered with 503" in shown
    assert "credits" not in words_of(developer.get(page(globex)))
    # The same as a file, and as a paper.
    rows = list(csv.DictReader(io.StringIO(finance.get(f"{page(globex)}/report.csv").content.decode())))
    figures = {(row["what"], row["unit"]): row["figure"] for row in rows}
    assert figures["down", "minutes"] == "3"
    assert figures["not measured", "minutes"] == "1"
    assert figures["refund coverage", ""] == "100.000 %"
    assert figures["refunded", "credits"] == "10"
    assert [row["figure"] for row in rows if row["what"] == "downtime"] == ["1", "2"]
    assert "credits" not in developer.get(f"{page(globex)}/report.csv").content.decode()
    said = read(finance.get(f"{page(globex)}/report.pdf").content)
    assert "Globex #1 & Söhne" in said
    assert "Credits refunded 10" in said
    assert "So far. The month is not over" in said
    assert "Credits refunded" not in read(developer.get(f"{page(globex)}/report.pdf").content)
    # The way there: from the account, the start page, and the list of ours.
    for address in ("/admin/", f"/admin/customers/{globex.organization.pk}"):
        assert f'href="{page(globex)}"' in finance.get(address).content.decode()


def test_a_paper_of_a_month_that_is_over_has_the_same_bytes_each_time(globex: Account) -> None:
    ready(datetime(2026, 10, 31, tzinfo=UTC), 1440, down=[*range(100, 400, 2)])
    client = staff()
    with time_machine.travel(datetime(2026, 11, 5, 12, tzinfo=UTC), tick=False):
        paper = client.get(f"{page(globex)}/report.pdf", {"month": "2026-10"})
    with time_machine.travel(datetime(2026, 11, 5, 12, 30, tzinfo=UTC), tick=False):
        assert client.get(f"{page(globex)}/report.pdf", {"month": "2026-10"}).content == paper.content
        answer = client.get(page(globex), {"month": "2026-10"})
        shown = words_of(answer)
    assert paper.headers["Content-Disposition"].endswith(f'-{globex.organization.pk}-2026-10.pdf"')
    said = read(paper.content)
    assert "Availability at least 99.9 % 89.583 % no" in said
    assert "… and 50 more stretches" in said
    assert "this paper stays as it is" in said
    assert "89.583 %" in shown
    assert "50 more stretches" in shown
    assert "2026-10-31: 150 of 1,440 minutes down" in answer.content.decode()


def test_a_month_that_is_none_is_refused_and_one_without_a_contract_is_not_there(globex: Account) -> None:
    client = member(globex.organization)
    for part in ("", "/report.csv", "/report.pdf"):
        assert client.get(page(globex) + part, {"month": "soon"}).status_code == 400
        assert client.get(page(globex) + part, {"month": "2026-09"}).status_code == 404


def test_our_people_see_the_service_by_month_and_each_customer_under_contract(globex: Account) -> None:
    client, pilot = staff("support"), make_account(name="Hooli")
    assert "Nothing is measured yet" in words_of(client.get("/admin/sla/"))
    ready(timezone.now().replace(second=0, microsecond=0) - HOUR, 61, down=[5])
    shown = words_of(client.get("/admin/sla/"))
    assert "Globex #1 & Söhne" in shown
    assert "98.275 %" in shown  # 57 of 58 minutes: the last three are not judged.
    assert pilot.organization.name not in shown
    assert "/admin/sla/" in client.get("/admin/customers/").content.decode()
    assert member(globex.organization).get("/admin/sla/").status_code == 404


def test_a_pilot_reads_no_word_of_service_levels_and_has_no_such_page() -> None:
    pilot = make_account(name="Hooli")
    ready(timezone.now().replace(second=0, microsecond=0) - HOUR, 61, down=[5])
    client = member(pilot.organization, "customer admin")
    for address in ("/admin/", f"/admin/customers/{pilot.organization.pk}", "/admin/batches/"):
        text = client.get(address).content.decode()
        assert not re.search(r"\bSLA\b|/sla/|service level|availability|99\.9", text, re.IGNORECASE), address
    for part in ("", "/report.csv", "/report.pdf"):
        for somebody in (client, staff()):
            assert somebody.get(page(pilot) + part).status_code == 404
