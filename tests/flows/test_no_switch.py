"""There is no switch for one customer: not for freezing, nor refunding, nor idempotency, nor any other invariant.

Nobody can name all the ways in which a switch could be built. So each place where one would have to stand is compared
with a list: the columns that belong to a customer, the code that asks for a plan, the functions of the database. And
the same batch is run by a pilot, by an enterprise, and by a customer that becomes one while it runs.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch
from batches.reconciliation import INVARIANTS
from customers.models import Mode, Organization
from customers.plans import change_plan
from ledger.models import Entry
from ledger.reconciliation import discrepancies
from tests.factories import Account, code_of, end_batch, make_account, order
from tests.pilots.scenes import agreed
from tests.programs import ROOT
from webhooks.models import Event

# --- what belongs to a customer ------------------------------------------------------------------------------------

SECRETS = "secret_encrypted previous_secret_encrypted previous_secret_until"
OWNER = "id organization mode"
# Each column of a customer, and of all that belongs to one directly, by what it is for. Whoever adds one says here what
# it is for. A column that changes for one customer whether credits are frozen, given back, or charged twice has no
# place in this list: what the system promises is promised to everybody.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "customers.Organization": {
        "who it is": "id name created_at",
        "whom we tell": "contact_email technical_emails finance_emails",
        "where the months of its statements begin": "time_zone",
        "limits": "max_items_per_batch rate_limit_per_minute max_open_batches",
        "for how long files of videos are kept, not their records": "retention_days",
        "what was agreed: it sets limits, and how fast our support answers": "plan support_response_hours",
    },
    "customers.PlanChange": {
        "how that came about": "id organization at by contract_reference reason",
        "from what to what": "plan_before plan_after before after",
    },
    "customers.Membership": {"who may do what there": "id user organization role since invited_by"},
    "customers.OneTimeLink": {
        "a link for a person": "id kind organization made_by made_at token_sha256 expires_at used_at withdrawn_at",
        "what it does": "email role user turns_two_step_off",
    },
    "customers.Handover": {
        "secrets behind a link": "id organization title names content_encrypted token_sha256",
        "its life": "made_by made_at expires_at revealed_at withdrawn_at",
    },
    "customers.ApiKey": {
        "whose": f"{OWNER} name hint created_at created_by last_used_at",
        "its secret": "secret_sha256 previous_secret_sha256 previous_secret_until",
        "what it may do, for how long, from where": "scopes expires_at revoked_at allowed_networks",
        "the last refusal": "refused_at refused_address",
        "a limit of the customer's own, on top of all others": "budget_credits used_credits",
    },
    "customers.AuditEvent": {"who did what": f"{OWNER} at actor action subject outcome detail trace_id"},
    "ledger.BillingDetails": {
        "whom an invoice is made out to": "organization legal_name address country tax_id purchase_order changed_at",
        "the tax line": "tax_label tax_basis_points tax_note",
        "until when it is to be paid, and whether each month's use is put on paper": "terms_days usage_invoices",
    },
    "ledger.Invoice": {
        "what it is, and how far": "id organization kind state number month package corrects applied",
        "what it asks for": "currency credits subtotal_cents tax_label tax_basis_points tax_note tax_cents total_cents",
        "what it says": "purchase_order note terms_days due_on buyer seller",
        "its life": "created_by created_at issued_by issued_at paid_by paid_at voided_by voided_at void_reason",
    },
    "ledger.Wallet": {
        "whose": f"{OWNER} created_at",
        "figures, which entries alone move": "available reserved settled funded",
        "the chain of entries": "last_seq last_entry_at prev_hash head_hash closed_until",
        "when to say that credits are low": "low_threshold low_since low_since_told",
    },
    "webhooks.Endpoint": {
        "where to": f"{OWNER} url description created_at moved_at deleted_at",
        "what it is told, if anything": "events enabled disabled_reason",
        "how it fares": "failing_since consecutive_failures paused_until",
        "its secret": SECRETS,
    },
    "webhooks.DefaultSecret": {"the secret of addresses without an endpoint": f"organization {SECRETS}"},
    "webhooks.Event": {"what happened": f"{OWNER} type reference part body created_at"},
    "webhooks.Delivery": {
        "what is told whom": f"{OWNER} event endpoint url lane created_at",
        "how far it is": "state skipped_reason due_at lease attempts_made attempts_before next_trigger",
    },
    "batches.Batch": {
        "whose": f"{OWNER} wallet created_via created_by created_at",
        "the order": "request_id body_sha256 total webhook_url metadata deadline priority retry_of",
        "its price": "credits price_version",
        "how far it is": "state started_at canceled_at finished_at succeeded failed",
        "what became of its credits": "settled refunded",
    },
    "batches.Prober": {
        "our own organization, whose test batches are probes": "id organization key secret_encrypted made_at"
    },
    "pilots.Pilot": {
        "its 48 hours": "id organization credits activated_at deadline",
        "on what it was provisioned": "created_by preflight override_reason",
        "its end": "closed_at closed_by outcome lesson",
    },
    "pilots.Preflight": {
        "a rehearsal and its play customer": "id organization requested_at requested_by started_at ended_at ok checks",
    },
    "pilots.Lead": {
        "whom we talk to": "id company contact_name contact_email organization created_at created_by",
        "how far it is": "stage lost_at lost_reason",
    },
    "pilots.Signal": {"what they asked": "id lead organization code note seen_at recorded_by"},
    "pilots.SalesMail": {
        "what we wrote": "id lead organization template recipients subject body way created_at created_by",
        "its way": "sent_at fault",
    },
}


def test_each_column_of_a_customer_is_listed_with_what_it_is_for() -> None:
    found = {
        model._meta.label: {field.name for field in model._meta.concrete_fields}
        for model in apps.get_models()
        if model is Organization or any(field.related_model is Organization for field in model._meta.concrete_fields)
    }
    listed = {
        model: [name for names in purposes.values() for name in names.split()] for model, purposes in COLUMNS.items()
    }
    assert found == {model: set(names) for model, names in listed.items()}
    assert all(len(names) == len(set(names)) for names in listed.values())


# --- who asks for a plan -------------------------------------------------------------------------------------------

# Whatever takes orders, runs them, moves credits and tells of it. Above them, `pilots` follows a customer.
WORKING_APPS = ("sora2", "customers", "ledger", "webhooks", "batches")
PLAN = {"plan", "support_response_hours", "plan_changes", "Plan", "PlanChange", "customers.plans"}
# The modules that know of plans, and what for.
KNOWING = {
    "customers/models.py": "the columns",
    "customers/plan_models.py": "the columns",
    "customers/plans.py": "the verb that changes them",
    "customers/admin.py": "shown to our people",
    "batches/account_pages.py": "shown on the account page",
    "batches/sla/report.py": "what was promised under a contract is reported to those who have one",
    "sora2/database_role.py": "which columns the system may write",
}


def test_no_code_that_runs_batches_or_moves_credits_asks_for_a_plan() -> None:
    sources = {
        str(path.relative_to(ROOT)): ast.parse(path.read_text())
        for app in WORKING_APPS
        for path in (ROOT / app).rglob("*.py")
        if "migrations" not in path.parts
    }
    assert {"batches/finalization.py", "batches/intake.py", "batches/services.py", "ledger/services.py"} <= set(sources)
    assert {name for name, tree in sources.items() if PLAN & set(_words(tree))} == set(KNOWING)


def _words(tree: ast.AST) -> Iterator[str]:
    """Yield what code names: attributes, what it imports and calls, and each part of a path in a text (`a__plan`)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.keyword) and node.arg:
            yield from node.arg.split("__")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from node.value.split("__")


@pytest.mark.parametrize(
    "trick", ["o.plan", "f(organization__plan=1)", "F('organization__plan')", "getattr(o, 'plan')"]
)
def test_whoever_asks_for_a_plan_is_found(trick: str) -> None:
    assert "plan" in set(_words(ast.parse(trick)))


@pytest.mark.django_db
def test_no_function_of_the_database_asks_for_a_plan_and_none_reads_a_customer() -> None:
    asks = r"customers_organization|support_response_hours|\mplan\M"
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~* %s"
            " UNION ALL SELECT viewname FROM pg_views WHERE schemaname = 'public' AND definition ~* %s",
            [asks, asks],
        )
        assert cursor.fetchall() == []
        cursor.execute("SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosrc ~ 'ledger'")
        assert cursor.fetchone()[0] > 3


# --- the same batch ------------------------------------------------------------------------------------------------


def make_enterprise(account: Account) -> None:
    assert change_plan(**agreed(account.organization))


def nothing(_: Account) -> None:
    """Leave a customer in its pilot."""


# What happens to a customer before its batch, and while it runs.
PATHS: Mapping[str, tuple[Callable[[Account], None], Callable[[Account], None]]] = {
    "a pilot": (nothing, nothing),
    "an enterprise": (make_enterprise, nothing),
    "becomes an enterprise while its batch runs": (nothing, make_enterprise),
}
LIFE = [
    ("accepted", 201, (70, 30, 0)),
    ("sent again", 200, (70, 30, 0)),
    ("the same request id for another order", (422, "request_id_reused"), (70, 30, 0)),
    ("more than there is", (402, "insufficient_credits"), {"required": 80, "available": 70, "shortfall": 10}),
    ("refused whole", 1, (70, 30, 0)),
    ("ended", ("partial", 20, 10), (80, 0, 20)),
    ("finalized again", False, (80, 0, 20)),
    ("sent again after the end", 200, (80, 0, 20)),
    ("entries", [("grant", 100), ("reserve", 30), ("settle", 20), ("refund", 10)]),
    ("told", ["batch.completed"]),
    ("proven", 200),
    ("discrepancies", []),
]


def life(account: Account, meanwhile: Callable[[Account], None]) -> list[tuple[Any, ...]]:
    """Return what a customer of 100 credits sees of a batch of three videos, one of which fails."""
    api, body = account.api, order(3)
    seen: list[tuple[Any, ...]] = [
        ("accepted", (first := api.post("/video-batch", body)).status_code, account.figures())
    ]
    seen.append(("sent again", api.post("/video-batch", body).status_code, account.figures()))
    other = code_of(api.post("/video-batch", order(2)))
    seen.append(("the same request id for another order", other, account.figures()))
    refused = api.post("/video-batch", order(8, request_id="too-much"))
    shortage = {name: refused.json()[name] for name in ("required", "available", "shortfall")}
    seen.append(("more than there is", code_of(refused), shortage))
    seen.append(("refused whole", Batch.objects.filter(organization=account.organization).count(), account.figures()))
    meanwhile(account)
    batch = end_batch(Batch.objects.get(pk=first.json()["batch_id"]), failed={1: FailureType.PROVIDER_ERROR})
    seen.append(("ended", (batch.state, batch.settled, batch.refunded), account.figures()))
    again = finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    seen.append(("finalized again", bool(again), account.figures()))
    seen.append(("sent again after the end", api.post("/video-batch", body).status_code, account.figures()))
    entries = Entry.objects.filter(wallet=account.wallets[Mode.LIVE]).order_by("seq")
    seen.append(("entries", [(kind, abs(amount)) for kind, amount in entries.values_list("kind", "amount")]))
    told = Event.objects.filter(organization=account.organization).values_list("type", flat=True)
    seen.append(("told", sorted(set(told))))
    seen.append(("proven", api.get(f"/video-batch/{batch.pk}/proof").status_code))
    return [*seen, ("discrepancies", discrepancies(INVARIANTS))]


@pytest.mark.django_db
@pytest.mark.parametrize("path", PATHS)
def test_a_batch_is_frozen_refunded_and_made_once_whatever_the_plan(path: str) -> None:
    before, meanwhile = PATHS[path]
    account = make_account(100)
    before(account)
    assert life(account, meanwhile) == LIFE
