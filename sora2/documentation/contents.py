"""What the public documentation consists of, in the order of its navigation. What is not here is not public."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

START = "/docs/enterprise"
# What the start page begins with, up to its first heading; lists of pages are made from the rows below.
START_FILE = "docs/enterprise/index.md"


class Group(StrEnum):
    """What the pages of a part are for."""

    START = "Start"
    BUILD = "Build"
    FINANCE = "For finance"
    LOOK_UP = "Look up"
    MORE = "More"


@dataclass(frozen=True)
class Row:
    """A page: its name in addresses, the Markdown file that it is made from, and its title and group.

    A page with a view of its own has no file, but an `elsewhere`, and a `summary` for lists and the search.
    """

    slug: str
    file: str
    title: str
    group: Group
    elsewhere: str = ""
    summary: str = ""

    @property
    def address(self) -> str:
        """Return where the page is."""
        return self.elsewhere or f"{START}/{self.slug}"


ROWS = (
    Row("quick-start", "docs/enterprise/quick-start.md", "Quick start", Group.START),
    Row("concepts", "docs/enterprise/concepts.md", "Concepts", Group.START),
    Row("order-on-a-page", "docs/howto/order.md", "Order on a page", Group.START),
    Row("account", "docs/howto/account.md", "Your account", Group.START),
    Row("sandbox", "docs/howto/sandbox.md", "Sandbox", Group.START),
    Row("node-example", "examples/node/README.md", "An example in Node", Group.START),
    Row("pilot", "docs/enterprise/pilot.md", "Your pilot", Group.START),
    Row("keys", "docs/howto/keys.md", "API keys", Group.BUILD),
    Row("idempotency", "docs/enterprise/idempotency.md", "Idempotency", Group.BUILD),
    Row("webhooks", "docs/howto/webhooks.md", "Receive webhooks", Group.BUILD),
    Row("webhook-addresses", "docs/enterprise/webhook-addresses.md", "Addresses of webhooks", Group.BUILD),
    Row(
        slug="verify-a-webhook",
        file="",
        title="Verify a webhook",
        group=Group.BUILD,
        elsewhere=f"{START}/webhooks/verify",
        summary="Paste a message as your receiver got it: what is wrong with its signature, said by your browser.",
    ),
    Row("retry", "docs/howto/retry.md", "Retry what failed", Group.BUILD),
    Row("limits", "docs/enterprise/limits.md", "Limits", Group.BUILD),
    Row(
        slug="pricing",
        file="",
        title="Prices",
        group=Group.FINANCE,
        elsewhere="/docs/pricing",
        summary="What a video costs in credits, what a credit costs, the prepaid package, and an estimate of yours.",
    ),
    Row("reconciliation", "docs/enterprise/reconciliation.md", "Ledger and reconciliation", Group.FINANCE),
    Row("exports", "docs/howto/export.md", "Export the books", Group.FINANCE),
    Row("verify-the-books", "docs/howto/verify.md", "Verify the books offline", Group.FINANCE),
    Row("api", "docs/reference/api.md", "API", Group.LOOK_UP),
    Row(
        slug="explorer",
        file="",
        title="API explorer",
        group=Group.LOOK_UP,
        elsewhere="/docs/api",
        summary="Every operation with its fields and examples, to be tried out with a test key.",
    ),
    Row("errors", "docs/reference/errors.md", "Errors", Group.LOOK_UP),
    Row("events", "docs/reference/events.md", "Events", Group.LOOK_UP),
    Row("failures", "docs/reference/failures.md", "Failures", Group.LOOK_UP),
    Row("states", "docs/reference/states.md", "States", Group.LOOK_UP),
    Row("glossary", "docs/reference/glossary.md", "Glossary", Group.LOOK_UP),
    Row("people", "docs/howto/people.md", "Look after your people", Group.MORE),
    Row("dashboard-and-api", "docs/enterprise/dashboard-and-api.md", "Dashboard and API", Group.MORE),
    Row("faq", "docs/enterprise/faq.md", "Questions", Group.MORE),
    Row("changelog", "CHANGELOG.md", "Changes", Group.MORE),
)
WRITTEN: Mapping[str, Row] = {row.slug: row for row in ROWS if row.file}
GROUPS = [(group, list(rows)) for group, rows in groupby(ROWS, key=lambda row: row.group)]

# The files that can be downloaded, by language. Others that lie beside them cannot.
EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "node": ("README.md", "batch_basic.ts", "openapi.d.ts", "package.json", "package-lock.json", "tsconfig.json"),
    "python": ("README.md", "batch_basic.py", "requirements.txt"),
}
DOWNLOADS = "/docs/examples"


def row_at(address: str) -> Row:
    """Return the row of a page that has a view of its own."""
    return next(row for row in ROWS if row.address == address)


def neighbours(row: Row) -> tuple[Row | None, Row | None]:
    """Return the pages before and after one."""
    at = ROWS.index(row)
    return ROWS[at - 1] if at else None, ROWS[at + 1] if at + 1 < len(ROWS) else None
