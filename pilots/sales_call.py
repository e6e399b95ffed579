"""The three sentences of the technical call, each with what it means, and the detail for whoever asks."""

from dataclasses import dataclass

from pilots.sales_claims import Claim, Shown

SERVICES, ENDINGS = "tests/batches/test_services.py", "tests/batches/test_endings.py"
STATES = Shown("States", docs="states")
BATCHES = Shown("Batches", page="batch_list")
LEDGER = Shown("Ledger", page="wallet_list")
CHECKS = Shown("All checks", page="checks")
FAILURES = Shown("Failures", docs="failures")


@dataclass(frozen=True)
class Sentence:
    """One of the three: say it as it stands, explain it, and give the detail if asked."""

    code: str
    title: str
    words: str
    explained: tuple[Claim, ...]
    detail_title: str
    detail: tuple[Claim, ...]


SENTENCES = (
    Sentence(
        "batch-first",
        "Batch-first architecture",
        "We are batch-first, not request-first.",
        (
            Claim("A single API call is not production in batches as an enterprise needs it."),
            Claim("The system was designed for batches from the start.", BATCHES),
            Claim(
                "Submitted once, executed as a batch, settled as one.",
                Shown("Quick start", docs="quick-start"),
                "tests/flows/test_main_job.py::test_a_batch_goes_in_and_a_verified_webhook_and_balanced_books_come_out",
            ),
        ),
        "Technical detail",
        (
            Claim(
                "The states of a batch: queued → processing → completed | partial | failed.",
                STATES,
                f"{SERVICES}::test_the_final_state_says_how_the_items_ended",
            ),
            Claim(
                "Each item is executed on its own: one that fails does not touch the others.",
                BATCHES,
                f"{ENDINGS}::test_an_item_is_charged_or_refunded_once",
            ),
            Claim(
                "How many items are in flight is controlled for each route, so no provider downstream is flooded.",
                Shown("Routes", page="route_list"),
                "tests/batches/test_gate.py::test_no_more_is_in_flight_than_the_route_allows",
            ),
        ),
    ),
    Sentence(
        "financial-safety",
        "Financial safety",
        "We freeze credits so finance never gets surprised.",
        (
            Claim(
                "Freezing: as a batch is created, its whole cost is reserved.",
                LEDGER,
                f"{SERVICES}::test_submitting_freezes_the_whole_cost",
            ),
            Claim(
                "Settling: what succeeded, at the price that was fixed then, is charged. Nothing else is.",
                LEDGER,
                f"{SERVICES}::test_finalizing_charges_what_succeeded_and_gives_back_the_rest",
            ),
            Claim(
                "Refunding: what failed is given back by itself, and nobody has to do anything.",
                FAILURES,
                "tests/batches/test_execution.py::test_a_failed_item_is_refunded",
            ),
        ),
        "For finance",
        (
            Claim(
                "Every movement of credits stands in credit_ledger, and the database lets nobody change it.",
                LEDGER,
                "tests/ledger/test_posting.py::test_the_books_cannot_be_changed_by_hand",
            ),
            Claim(
                "The dashboard reconciles it all: reserved = settled + refunded, batch by batch, and every credit.",
                CHECKS,
                "tests/batches/test_reconciliation.py::test_sound_books_have_no_row",
            ),
            Claim(
                "Month-end is there: statements as PDF and CSV, closed months, and a checklist for their finance.",
                Shown("Months", page="period_list"),
                "tests/batches/test_month_end.py::test_a_month_of_which_all_is_done_is_ready_to_be_filed",
            ),
            Claim(
                "Invoices are written by our finance; a grant in the ledger names the invoice that it stands for.",
                Shown("Credit requests", page="credit_requests"),
                "tests/ledger/test_grant_credits.py",
            ),
        ),
    ),
    Sentence(
        "automatic-refund",
        "Automatic refund",
        "Every failure refunds automatically.",
        (
            Claim(
                "A network error, a failure of the model, a timeout: refunded by itself.",
                FAILURES,
                f"{ENDINGS}::test_every_kind_of_failure_is_among_the_endings",
            ),
            Claim("No ticket to write, nobody to ask.", Shown("Ledger and reconciliation", docs="reconciliation")),
            Claim(
                "100 % of what failed is refunded. In a pilot say it as what the system does. That it is an SLA is "
                "said to an Enterprise customer only: it is in their contract.",
                CHECKS,
                "tests/batches/test_reconciliation.py::test_a_failed_item_that_was_not_refunded_when_its_batch_ended",
            ),
        ),
        "Technical detail",
        (
            Claim(
                "Workers find by themselves what has failed, also what a dead worker has left.",
                FAILURES,
                f"{SERVICES}::test_a_batch_left_unfinalized_by_a_dead_worker_is_found",
            ),
            Claim(
                "finalize_batch_credits works the refund out, in the one transaction that ends the batch.",
                STATES,
                f"{SERVICES}::test_finalizing_twice_moves_no_credit",
            ),
            Claim(
                "The refund is in the wallet as the batch ends, and can be used at once.",
                LEDGER,
                f"{SERVICES}::test_finalizing_charges_what_succeeded_and_gives_back_the_rest",
            ),
        ),
    ),
)
