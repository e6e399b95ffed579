"""Each figure of credits on each page leads to what explains it: its explanation, or the rows that it sums."""

import re
from collections import defaultdict
from dataclasses import dataclass
from html import unescape
from html.parser import HTMLParser
from urllib.parse import urljoin

import pytest

from tests.dashboard import own_routes, scenes
from tests.people import signed_in
from tests.programs import ROOT
from tests.world import World

LINK = re.compile(r'data-credits="\d+" href="([^"]+)"')

# --- what a page shows ---------------------------------------------------------------------------------------------


@dataclass
class Cell:
    """A figure of credits: what it says, whether it is a link, and the table, part, row and column where it stands."""

    value: int
    linked: bool
    table: int
    foot: bool
    row: int
    column: int


class Amounts(HTMLParser):
    """Finds the figures that `{% amount %}` has made, and the rows that have a link."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells: list[Cell] = []
        self.linked_rows: set[int] = set()
        self.tables: list[int] = []
        self.table_count = self.row = self.column = 0
        self.span, self.foot, self.links = 1, False, 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.table_count += 1
            self.tables.append(self.table_count)
        elif tag == "tr":
            self.row, self.column, self.span = self.row + 1, 0, 0
        elif tag in ("td", "th"):
            self.column, self.span = self.column + self.span, int(given.get("colspan") or 1)
        elif tag in ("tbody", "tfoot"):
            self.foot = tag == "tfoot"
        elif tag == "a":
            self.links += 1
            self.linked_rows |= {self.row} if self.tables else set()
        if "data-credits" in given:
            table = self.tables[-1] if self.tables else 0
            value = int(given["data-credits"] or 0)
            self.cells.append(Cell(value, self.links > 0, table, self.foot, self.row, self.column))

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.tables.pop()
        elif tag == "a":
            self.links -= 1

    @property
    def unexplained(self) -> list[int]:
        """Return the figures that lead nowhere."""
        sums: dict[tuple[int, int], int] = defaultdict(int)
        for cell in self.cells:
            sums[cell.table, cell.column] += 0 if cell.foot else cell.value
        return [
            cell.value
            for cell in self.cells
            if not (
                cell.linked
                or not cell.value
                or (cell.table and cell.row in self.linked_rows)
                or (cell.foot and sums[cell.table, cell.column] == cell.value)
            )
        ]


# Pages whose figures need lead nowhere, and why.
EXPLAINED_THERE = {
    "key": "a budget, which people set, and what is left of it, the difference that stands there",
    "check_detail": "what a check saw then: the rows of that moment are gone, and those of now are the wallets'",
}


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["customer finance", "finance approver"])
def test_each_figure_of_credits_leads_to_what_explains_it(world: World, role: str) -> None:
    client = signed_in(world.people[role])
    own, lost, found = set(own_routes()), {}, 0
    answered: dict[str, int] = {}
    for name, address in scenes(world, client).items():
        if name.partition("-")[0] not in own:
            continue
        text = client.get(address).content.decode()
        page = Amounts(text)
        found += len(page.cells)
        if page.unexplained and name.partition("-")[0] not in EXPLAINED_THERE:
            lost[name] = page.unexplained
        for link in LINK.findall(text):
            where = urljoin(address, unescape(link)).partition("#")[0]
            if where not in answered:
                answered[where] = client.get(where, follow=True).status_code
    assert lost == {}
    assert {where: status for where, status in answered.items() if status != 200} == {}
    assert found > 150
    assert len(answered) > 30


# --- what a template writes ----------------------------------------------------------------------------------------

# A variable of this name holds credits; what else is counted has other names.
CREDITS = re.compile(
    r"\{\{ ?([^{}|]*\b(?:credits|unit_credits|amount|available|available_after|reserved|reserved_after|settled"
    r"|settled_after|refunded|funded|held|low_threshold|brings|takes|budget_credits|used_credits))\|credits\b"
)
# Where such a variable is not a figure that is the sum of rows, and why.
PLAIN = {
    **dict.fromkeys(
        (
            *("invoices/credit_note.html", "invoices/invoice.html", "invoices/papers.html", "invoices/send.html"),
            *("invoices/send_note.html", "quotes/quote.html"),
        ),
        "what is offered or stands on an invoice is in no books yet; what was granted leads to its entry",
    ),
    **dict.fromkeys(("sla/list.html", "sla/report.html"), "how many items were refunded, not how many credits"),
    "batches/billing.html": "the words of the sign-off's checkbox and button, where no link can be",
    "batches/cancel.html": "the words of a button, where no link can be",
    "batches/item_why.html": "the explanation of an item's credits itself",
    "batches/ordering/price.html": "a price before it is ordered: it is in no books, and its lines stand beside it",
    "batches/retry.html": "a price before it is ordered: it is in no books, and its lines stand beside it",
    "catalogue/catalogue.html": "list prices, which people set",
    "catalogue/model.html": "a list price, which people set",
    "catalogue/price_table.html": "list prices, which people set",
    "catalogue/prices_form.html": "list prices, which people set",
    "customers/keys.html": "a budget, which people set",
    "parts/work.html": "numbers of items, not of credits",
    "ledger/entry.html": "the head of the entry's own page",
    "ledger/requests_new.html": "what somebody asks for, which is in no books yet",
    "ledger/requests_one.html": "the head of the request's own page",
    "ledger/requests_terms.html": "what somebody asked for: they say why beside it",
    "ledger/threshold.html": "the threshold, which people set",
    "parts/days.html": "the words of a drawing; the figures stand beside it",
    "pilots/pilot_new.html": "what a pilot would be granted, which is in no books yet",
    "plans/plan.html": "what the package has, which people set",
    "quotes/quote.html": "what is offered, which is in no books yet",
    "why.html": "the explanation itself",
}


def test_credits_are_written_by_the_tag_that_links_them() -> None:
    folder = ROOT / "templates/admin"
    plain = {
        str(path.relative_to(folder)): found
        for path in folder.rglob("*.html")
        if (found := CREDITS.findall(path.read_text()))
    }
    assert {name: found for name, found in plain.items() if name not in PLAIN} == {}
    assert PLAIN.keys() - plain.keys() == set()
