"""The statement as a paper: its figures are those of the JSON, its bytes stay, and no text in it does anything."""

import io
import re
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from pypdf import PdfReader

from customers.access import Permission
from customers.models import Mode, Organization
from ledger.intervals import interval_of, month_of
from ledger.models import Entry, Period, Wallet
from ledger.papers import setting, statement
from ledger.papers.setting import PaperUnavailable, set_paper
from ledger.papers.statement import statement_paper
from ledger.papers.texts import BREAK, SHOWN, shown
from ledger.services import Movement, open_wallets, refund, reserve, settle
from ledger.statements import statement_of
from tests.factories import Account, api_with_scopes, code_of, fund, make_account
from tests.ledger.clock import turn_to
from tests.people import member, staff, words_of
from tests.sora2.test_openapi import check

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 15, 9, 30, tzinfo=UTC)
HOSTILE = [
    "#panic() #set page(width: 1pt) #import \"/etc/passwd\" #eval(\"1\")",
    "$ x^2 $ @label <label> `raw` ```raw``` *bold* _it_ ~ \\u{41} \\ // /* ]",
    "= heading\n- list\r\n+ list\t/ term: x",
    "😀🏳️‍🌈 株式会社 שלום مرحبا \u202etxet\u202c \u200b\u2066 e\u0301 \ufffd \U000e0001",
    "x" * 1000,
    "</w:t> {{ data }} {% if %} %PDF-1.7 endstream endobj (\\)",
]  # fmt: skip


def movement(wallet: Wallet, reference: str, **texts: str) -> Movement:
    given = {"request_id": f"order {reference}", "reason": "2 of 3 items succeeded", **texts}
    return Movement(wallet_id=wallet.pk, reference=reference, actor="system", **given)


@pytest.fixture
def acme() -> Account:
    """A customer whose live wallet has entries in September and October 2026."""
    account = make_account(0, name="Acme Corp & Söhne")
    wallet = account.wallets[Mode.LIVE]
    turn_to("2026-09-30T12:00Z")
    fund(wallet, 5000, reference="invoice 9")
    turn_to("2026-10-05T12:00Z")
    for reference in ("bat_1", "bat_2"):
        reserve(movement=movement(wallet, reference), amount=1300)
    settle(movement=movement(wallet, "bat_1"), amount=1100)
    refund(movement=movement(wallet, "bat_1"), amount=200)
    return account


def close(month: str) -> None:
    turn_to("2026-11-02T12:00Z")
    interval = month_of(month)
    Period.objects.create(month=month, starts_at=interval.starts_at, ends_at=interval.ends_at)


def paper(wallet: Wallet, month: str = "2026-10", zone: str = "UTC") -> bytes:
    return statement_paper(statement_of(wallet=wallet, interval=month_of(month, zone)), now=NOW).body


def read(body: bytes) -> str:
    """Return what a paper says, with single spaces."""
    text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(body)).pages)
    return re.sub(r"\s+", " ", text.replace(BREAK, ""))


# --- what it says --------------------------------------------------------------------------------------------------


def test_the_paper_says_what_the_json_says(acme: Account) -> None:
    close("2026-10")
    response = acme.api.get("/statements/2026-10.pdf")
    assert response.status_code == 200
    check(response)
    name = f"statement-{acme.wallets[Mode.LIVE].pk}-2026-10.pdf"
    assert response.headers["Content-Disposition"] == f'attachment; filename="{name}"'
    text, said = read(response.content), acme.api.get("/statements/2026-10").json()
    for words in (
        *("Statement of credits October 2026", "Customer Acme Corp & Söhne", acme.organization.pk, said["wallet_id"]),
        "From 01 October 2026, 00:00:00 until before 01 November 2026, 00:00:00 (UTC)",
        f"{said['from']} – {said['until']}",
        "Closed. No entry can be dated into this interval any more",
        "Opening balance 5,000 0 0 5,000",
        "Reserved for batches 2 2,600 −2,600 +2,600 – –",
        "Settled: items that succeeded 1 1,100 – −1,100 +1,100 –",
        "Refunded: items that failed 1 200 +200 −200 – –",
        "Closing balance 2,600 1,300 1,100 5,000",
        "Available 5,000 − 2,400 = 2,600 2,600 yes",
        "Reserved 0 + 1,300 = 1,300 1,300 yes",
        "Settled 0 + 1,100 = 1,100 1,100 yes",
        "Funded 5,000 + 0 = 5,000 5,000 yes",
        "Opening + movements = closing in every balance",
        "bat_2 order bat_2 2026-10-05 12:00:00 1,300",
        "4 entries, numbers 2 to 5, without a gap.",
        said["head_hash"],
        "Appendix: the entries",
        "Page 1 of 2",
    ):
        assert words in text, words
    assert (said["closing"]["available"], said["closing"]["reserved"], said["closing"]["settled"]) == (2600, 1300, 1100)
    for entry in Entry.objects.filter(wallet=said["wallet_id"], seq__gte=2):
        assert f"{entry.seq} 2026-10-05 12:00:00 {entry.kind} {entry.amount:,}" in text
        assert entry.hash[:12] in text
    assert "TEST" not in text


def test_an_open_month_says_that_it_is_one_so_far(acme: Account) -> None:
    text = read(paper(acme.wallets[Mode.LIVE]))
    assert "Interim. The interval is still open; the figures are those of 2026-11-15 09:30:00 UTC." in text


def test_a_month_of_another_zone_says_so_by_both_clocks(acme: Account) -> None:
    text = read(acme.api.get("/statements/2026-10.pdf", tz="Europe/Berlin").content)
    assert "(Europe/Berlin)" in text
    assert "2026-09-30T22:00:00.000000Z – 2026-10-31T23:00:00.000000Z" in text


def test_a_month_without_entries_and_a_wallet_without_any(acme: Account) -> None:
    for wallet, month in ((acme.wallets[Mode.LIVE], "2026-08"), (make_account(0).wallets[Mode.LIVE], "2026-10")):
        text = read(paper(wallet, month))
        assert "No entry is dated into this interval." in text
        assert "No credits were held for batches" in text
        assert "Appendix" not in text


def test_play_money_is_marked_on_each_page(acme: Account) -> None:
    turn_to("2026-10-06T12:00Z")
    fund(acme.wallets[Mode.TEST], 500)
    pages = PdfReader(io.BytesIO(acme.test_api.get("/statements/2026-10.pdf").content)).pages
    assert len(pages) == 2
    assert all("TEST: play money" in page.extract_text() for page in pages)


def test_books_that_do_not_add_up_say_so(acme: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    found = statement_of(wallet=acme.wallets[Mode.LIVE], interval=month_of("2026-10"))
    wrong = type(found)(**{**vars(found), "opening": type(found.opening)(5001, 0, 0)})
    text = read(statement_paper(wrong, now=NOW).body)
    assert "Opening and movements differ from the closing available credits by 1." in text
    assert "5,001 − 2,400 = 2,601 2,600 no" in text
    assert "These books do not add up." in text


def test_many_entries_and_reserves_are_counted_and_left_to_the_csv(
    acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statement, "ENTRIES_MAX", 3)
    monkeypatch.setattr(statement, "RESERVES_MAX", 1)
    wallet = acme.wallets[Mode.LIVE]
    for number in range(3, 6):
        reserve(movement=movement(wallet, f"bat_{number}"), amount=10)
    text = read(paper(wallet))
    assert "The 7 entries are not printed here; a paper shows 3 at most." in text
    assert (
        "GET /api/enterprise/ledger.csv?created_after=2026-10-01T00:00:00.000000Z"
        "&created_before=2026-11-01T00:00:00.000000Z"
    ) in text.replace(" ", "").replace("GET/api", "GET /api")
    assert "… and 3 more, which hold 30 credits: the CSV lists them all." in text
    assert "Appendix" not in text


def test_the_longest_paper_stays_bounded(acme: Account) -> None:
    wallet, long = acme.wallets[Mode.LIVE], "W" * 250
    rows = [
        Entry(
            wallet=wallet, seq=seq, created_at=NOW, kind="adjustment_out", amount=10**15, available_after=10**15,
            reserved_after=10**15, settled_after=10**15, reference=long, request_id=long, reason=long * 4,
            hash="ab" * 32,
        )
        for seq in range(statement.ENTRIES_MAX)
    ]  # fmt: skip
    found = statement_of(wallet=wallet, interval=month_of("2026-10"))
    body = set_paper(statement.TEMPLATE, statement._data(found, rows, NOW), made_at=NOW)
    assert len(body) < 10_000_000
    assert len(PdfReader(io.BytesIO(body)).pages) < 200


# --- its bytes -----------------------------------------------------------------------------------------------------


def test_of_a_closed_month_the_bytes_are_the_same_each_time(acme: Account) -> None:
    close("2026-10")
    first = acme.api.get("/statements/2026-10.pdf").content
    turn_to("2026-12-24T12:00Z")
    fund(acme.wallets[Mode.LIVE], 7, reference="invoice 11")
    assert acme.api.get("/statements/2026-10.pdf").content == first
    assert PdfReader(io.BytesIO(first)).metadata.creation_date == datetime(2026, 11, 1, tzinfo=UTC)  # type: ignore[union-attr]


def test_it_is_for_archives_and_screen_readers_and_brings_its_fonts(acme: Account) -> None:
    reader = PdfReader(io.BytesIO(paper(acme.wallets[Mode.LIVE])))
    about = reader.trailer["/Root"]["/Metadata"].get_data().decode()  # type: ignore[index]
    assert "<pdfaid:part>2</pdfaid:part>" in about
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in about
    assert "<pdfuaid:part>1</pdfuaid:part>" in about
    assert reader.metadata.title == "Statement of credits, October 2026"  # type: ignore[union-attr]
    fonts = {
        str(font.get_object()["/BaseFont"]).partition("+")[2].partition("-")[0]
        for page in reader.pages
        for font in page["/Resources"]["/Font"].values()  # type: ignore[index]
    }
    assert fonts == {"LibertinusSerif", "DejaVuSansMono"}


# --- texts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HOSTILE)
def test_a_text_is_only_ever_text(text: str) -> None:
    organization = Organization.objects.create(name=text[:200])
    wallet = open_wallets(organization=organization)[Mode.LIVE]
    turn_to("2026-10-05T12:00Z")
    fund(wallet, 100, reference=text[:300])
    given = {"request_id": text[:255], "reason": text}
    reserve(movement=movement(wallet, f"bat {text}"[:300], **given), amount=10)
    said = read(paper(wallet))
    for longest in (200, 80):
        seen = re.sub(r"\s+", " ", shown(text[:200], longest=longest).replace(BREAK, ""))
        assert seen[:60].replace(" ", "") in said.replace(" ", "")
    assert "Opening balance 0 0 0 0" in said
    assert re.search(r"Page 1 of [23]\b", said)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\nlines\t ", "two lines"),
        ("e\u0301", "é"),
        ("😀", "[U+1F600]"),
        ("\u202eabc", "[U+202E]abc"),
        ("שלום", "[U+05E9][U+05DC][U+05D5][U+05DD]"),
        ("x" * 10_000, "x" * 49 + "…"),
        ("\0", "[U+0000]"),
        ("Ünïcödé Ελληνικά Кириллица €100 “x” – …", "Ünïcödé Ελληνικά Кириллица €100 “x” – …"),
    ],
)
def test_how_a_text_is_shown(text: str, expected: str) -> None:
    assert shown(text, longest=50).replace(BREAK, "") == expected


def test_the_fonts_have_every_character_that_is_shown() -> None:
    characters = [chr(code) for first, last in SHOWN for code in range(first, last + 1)]
    assert {unicodedata.bidirectional(each) for each in characters}.isdisjoint({"R", "AL", "RLE", "RLO", "RLI"})
    text = shown(" ".join(characters), longest=10_000)
    assert "[U+" not in text
    found = statement_of(wallet=make_account(0).wallets[Mode.LIVE], interval=month_of("2026-10"))
    data = {**statement._data(found, [], NOW), "customer": text, "organization": text, "head": text}
    assert set_paper(statement.TEMPLATE, data, made_at=NOW).startswith(b"%PDF")


# --- when it cannot be set -----------------------------------------------------------------------------------------


def test_a_paper_that_takes_too_long_is_given_up(acme: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "SETTING_SECONDS", 0.001)
    response = acme.api.get("/statements/2026-10.pdf")
    assert code_of(response) == (503, "service_unavailable")
    assert response.headers["Retry-After"]
    check(response)
    page = staff().get(f"/admin/ledger/{acme.organization.pk}/statement.pdf", {"month": "2026-10"})
    assert page.status_code == 503


def test_what_fails_says_nothing_of_the_customer(acme: Account, caplog: pytest.LogCaptureFixture) -> None:
    data = {**statement._data(statement_of(wallet=acme.wallets[Mode.LIVE], interval=month_of("2026-10")), [], NOW)}
    with pytest.raises(PaperUnavailable):
        set_paper(statement.TEMPLATE, {**data, "customer": "SECRET 😀 SECRET"}, made_at=NOW)
    assert "papers.failed" in caplog.text
    assert "SECRET" not in caplog.text


def test_only_so_many_papers_are_set_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(setting, "WAIT_SECONDS", 0.01)
    taken = [setting._places.acquire(blocking=False) for _ in range(setting.AT_ONCE)]
    try:
        assert all(taken)
        with pytest.raises(PaperUnavailable):
            set_paper(statement.TEMPLATE, {}, made_at=NOW)
    finally:
        for _ in taken:
            setting._places.release()


def test_the_typesetter_needs_nothing_of_ours_and_gets_no_secret() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import runpy; print(sorted(runpy.run_path({str(setting.TYPESETTER)!r})))"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "main" in done.stdout
    assert not {name for name in setting.PASSED_ON if "KEY" in name or "URL" in name or "SECRET" in name}


# --- who gets it ---------------------------------------------------------------------------------------------------


def test_a_key_gets_the_paper_of_its_own_wallet_and_needs_the_scope(acme: Account) -> None:
    stranger = make_account(0, name="Globex")
    assert "Acme" not in read(stranger.api.get("/statements/2026-10.pdf").content)
    reader = api_with_scopes(acme.organization, [Permission.BATCHES_READ])
    assert code_of(reader.get("/statements/2026-10.pdf")) == (403, "insufficient_scope")
    assert code_of(acme.api.get("/statements/2026-10.pdf", tz="Mars/Base")) == (422, "validation_error")


def page(client: Client, account: Account, query: Mapping[str, Any]) -> Any:
    return client.get(f"/admin/ledger/{account.organization.pk}/statement.pdf", query)


def test_the_ledger_page_links_to_the_paper_of_what_it_shows(acme: Account) -> None:
    address = f"/admin/ledger/{acme.organization.pk}"
    shown_page = member(acme.organization).get(address, {"month": "2026-10", "tz": "Europe/Berlin"})
    link = re.search(rf'href="({address}/statement\.pdf[^"]*)"', shown_page.content.decode())
    assert link is not None
    response = member(acme.organization).get(link[1].replace("&amp;", "&"))
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/pdf")
    assert "October 2026" in read(response.content)
    assert "Europe/Berlin" in read(response.content)
    assert "PDF" in words_of(shown_page)


def test_any_interval_can_be_had_on_paper(acme: Account) -> None:
    for query, words in (
        ({"month": "all"}, "Everything"),
        ({"from": "2026-10-01", "until": "2026-10-06"}, "From 2026-10-01 until before 2026-10-06"),
        ({"from": "2026-10-05T12:00"}, "From 2026-10-05T12:00+00:00 on"),
    ):
        response = page(staff(), acme, query)
        assert response.status_code == 200
        assert words in read(response.content)
    assert interval_of("", "").name == "Everything"


def test_the_paper_on_the_page_is_for_who_sees_the_credits(acme: Account) -> None:
    stranger = make_account(0, name="Globex")
    assert page(member(stranger.organization), acme, {}).status_code == 404
    assert page(member(acme.organization, "customer developer"), acme, {}).status_code == 403
    assert page(staff("support"), acme, {}).status_code == 403
    assert page(staff("auditor"), acme, {"month": "2026-10"}).status_code == 200
    assert page(staff(), acme, {"month": "2026-13"}).status_code == 400
