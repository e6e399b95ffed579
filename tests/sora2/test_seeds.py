"""docs/reference/seeds.md leaves nothing out: each row says where a sentence lives, and its tests exist."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from django.core.management import get_commands
from django.urls import Resolver404, resolve
from django.utils import timezone

from batches import proofs
from batches.models import Batch, Proof
from customers.models import Mode, Organization
from ledger.models import Entry
from pilots.models import KIND_OF, Signal, SignalKind
from sora2.openapi import document
from tests.dashboard import own_routes
from tests.factories import Account, code_of, make_account, make_batch, order
from tests.people import staff, words_of
from tests.sora2.documents import CODE, DOCS, LINK, ROOT, section

PAGE = "reference/seeds.md"
# The sections of the two documents, in their order.
CHECKLIST = (
    *("Objective", "Success criteria", "Preparation", "Deliverables", "Boundary", "Prerequisites"),
    *("Batch parameters", "Status flow", "Webhook verification", "Ledger reconciliation"),
    *("Review", "Failure", "Upgrade signals", "Do not", "Quick reference", "Summary"),
    *("Initial mail", "Success confirmation"),
)
FLOW = (
    *("The five steps", "First cold mail", "Billing answer", "Batch-first", "Financial safety", "Automatic refund"),
    *("Mail after the call", "Pilot set-up", "Pilot mail", "Results mail", "Package", "Welcome mail"),
    *("Objections", "Signals", "The last sentence"),
)
SECTIONS = {"The onboarding checklist": CHECKLIST, "The sales flow": FLOW}
TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")


@dataclass(frozen=True)
class Row:
    """One sentence of a document, by the section that it stands in."""

    section: str
    says: str
    where: str
    shown: str

    def __str__(self) -> str:
        return f"{self.section}: {self.says[:40]}"


def rows(document: str) -> Iterator[Row]:
    """Read the tables below one of the two documents' headings."""
    heading = ""
    for line in section(PAGE, document).splitlines():
        if line.startswith("### "):
            heading = line.removeprefix("### ")
        elif line.startswith("| ") and not line.startswith("| what it says |"):
            says, where, shown = (cell.strip() for cell in line.strip("|").split("|"))
            yield Row(heading, says, where, shown)


ROWS = [row for document in SECTIONS for row in rows(document)]


@cache
def written_in(file: str) -> frozenset[str]:
    """Return the names of a file's tests."""
    body = ast.parse((ROOT / file).read_text()).body
    return frozenset(node.name for node in body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"))


@pytest.mark.parametrize(("document", "sections"), SECTIONS.items())
def test_every_section_of_the_documents_has_its_rows(document: str, sections: tuple[str, ...]) -> None:
    assert tuple(dict.fromkeys(row.section for row in rows(document))) == sections


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_a_row_names_exists(row: Row) -> None:
    places = [*CODE.findall(row.where), *LINK.findall(row.where)]
    assert places, "it lives nowhere"
    assert [place for place in places if not exists(place)] == []
    named = TEST.findall(row.shown)
    assert named or row.shown.startswith("not yet: "), "nothing shows it"
    assert len(named) == len(set(named)), "a test is named twice"
    assert [test for test in named if test[1] not in written_in(test[0])] == []
    rest = re.sub(r"`[^`]*`", "", row.shown).strip()
    assert not rest or rest.startswith("not yet: "), rest


def exists(place: str) -> bool:
    """Say whether there is such a file, command, operation, page or address."""
    if place.startswith("../") or place.endswith(".md"):
        return (DOCS / "reference" / place.partition("#")[0]).resolve().is_file()
    if place.startswith("manage.py "):
        return place.split()[1] in get_commands()
    method, _, path = place.rpartition(" ")
    if method:
        operations = document()["paths"].get(f"/api/enterprise{path}", {})
        return method.lower() in operations
    if place.startswith("/"):
        try:
            return bool(resolve(place))
        except Resolver404:
            return False
    return place in own_routes() or (ROOT / place).is_file()


# --- what nothing else shows -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heading", "said"),
    [
        ("The first batch", "pending → running → succeeded\nrunning → failed → refunded\n"),
        (
            "Day by day",
            "Day 0: Get API key, set up webhook endpoint\n"
            "Day 1: Run first batch (10-50 items)\n"
            "Day 1: Verify webhook receipt\n"
            "Day 2: Check ledger matches webhook\n"
            "Day 2: Share feedback\n",
        ),
        (
            "Day by day",
            "1. Note credits balance before batch\n"
            "2. After batch completes, check:\n"
            "   - Reserved amount\n"
            "   - Settled amount (successful items)\n"
            "   - Refunded amount (failed items)\n"
            "3. Verify: reserved = settled + refunded\n",
        ),
    ],
    ids=["flows", "engineering", "finance"],
)
def test_the_public_page_says_it_word_for_word(heading: str, said: str) -> None:
    assert f"```\n{said}```" in section("enterprise/pilot.md", heading)


def test_the_public_page_says_what_a_pilot_is_about() -> None:
    words = re.sub(r"\s+", " ", (DOCS / "enterprise/pilot.md").read_text())
    assert "It is about whether this system deserves your trust at a larger scale." in words


def test_the_fields_to_confirm_are_in_the_event() -> None:
    asked = [
        field
        for line in section("enterprise/pilot.md", "The first batch").splitlines()
        if line.startswith("- [ ]")
        for field in CODE.findall(line)
    ]
    parts = {"summary": ("total", "succeeded", "failed"), "ledger": ("reserved", "settled", "refunded")}
    assert asked == ["batch_id", *(f"{name}.{each}" for name, every in parts.items() for each in every), "timestamp"]
    batch = Batch(request_id="order-123", state="partial", mode=Mode.LIVE, finished_at=timezone.now())
    sent = json.loads(proofs.completed_event(batch=batch, proof=Proof(sha256="0" * 64), event_id="evt_1"))
    for field in asked:
        found: Any = sent
        for name in field.split("."):
            found = found[name]


@pytest.mark.django_db
def test_a_pilot_takes_fifty_items_and_no_thousand() -> None:
    assert Organization().max_items_per_batch == 50
    api = make_account(credits=100_000).api
    assert code_of(api.post("/video-batch", order(51))) == (422, "batch_too_large")
    assert code_of(api.post("/video-batch", order(1000))) == (422, "batch_too_large")
    assert api.post("/video-batch", order(50)).status_code == 201


@pytest.mark.django_db
def test_a_batch_has_the_three_views(account: Account) -> None:
    client, at = staff(), f"/admin/batches/{make_batch(account.api).pk}"
    for name, address in (("Tasks", at), ("Billing", f"{at}/billing"), ("Webhooks", f"{at}/webhooks")):
        page = client.get(address)
        assert page.status_code == 200
        assert f'<a href="{address}" aria-current="page">{name}</a>' in page.content.decode()
        assert "Tasks Billing Webhooks" in words_of(page)


def test_no_entry_lets_credits_expire() -> None:
    assert set(Entry.Kind) == {"grant", "reserve", "settle", "refund", "adjustment_in", "adjustment_out"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (SignalKind.HEALTH, {"asks_pricing", "asks_pilot", "asks_prepaid", "finance_approves"}),
        (SignalKind.DANGER, {"only_price", "free_thousand", "just_looking"}),
    ],
)
def test_the_signs_of_health_and_danger_are_those_of_the_flow(kind: SignalKind, said: set[str]) -> None:
    assert {code for code in Signal.Code if KIND_OF[code] == kind} == said
