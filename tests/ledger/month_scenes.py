"""A month over which three customers go: one who used what was paid and what was not, one who used nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime

from customers.models import Mode, Organization, User
from customers.services import create_staff
from ledger.approvals import approve
from ledger.models import BillingDetails, CreditRequest, Entry, Wallet
from ledger.periods import close_period
from ledger.reconciliation import INVARIANTS, check, extent, keep_run
from ledger.services import Movement, open_wallets, refund, reserve, settle
from sora2.ids import new_id
from tests.factories import fund
from tests.ledger.clock import turn_to

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Customers:
    """Live wallets: Acme's used 400 in October, Globex's nothing; Quiet's has no entry. `ada` is of our finance."""

    acme: Wallet
    globex: Wallet
    quiet: Wallet
    ada: User


def make_customers() -> Customers:
    """Let three customers have an October, in which Acme used 300 promotional credits and 100 that were paid."""
    turn_to("2026-09-20T12:00Z")
    acme, globex, quiet = (
        open_wallets(organization=Organization.objects.create(name=name)) for name in ("Acme", "Globex", "Quiet")
    )
    live = acme[Mode.LIVE]
    fund(live, 500)
    use(live, "bat_september", 200)
    turn_to("2026-10-05T12:00Z")
    buy(live, 2_000, cents=10_000, reference="TR-77")
    use(live, "bat_october", 400)
    fund(acme[Mode.TEST], 1_000)
    fund(globex[Mode.LIVE], 50)
    turn_to("2026-11-01T12:00Z")
    use(live, "bat_november", 70)
    turn_to(NOW.isoformat())
    ada, _ = create_staff(username="ada", role="finance")
    close_period(month="2026-09", closed_by=ada, now=NOW)
    return Customers(live, globex[Mode.LIVE], quiet[Mode.LIVE], ada)


def bill(wallet: Wallet) -> None:
    """Let a customer want usage invoices."""
    BillingDetails.objects.create(
        organization=wallet.organization,
        legal_name="Acme Corporation Inc.",
        address="1 Roadrunner Way",
        country="US",
        purchase_order="PO-9",
        tax_label="VAT",
        tax_basis_points=1900,
        usage_invoices=True,
    )


def buy(wallet: Wallet, credits: int, *, cents: int, reference: str) -> None:
    """Grant credits that were paid for, by two people."""
    asks, decides = (create_staff(username=new_id("usr"), role=role)[0] for role in ("finance", "finance approver"))
    request = CreditRequest.objects.create(
        wallet=wallet,
        kind=Entry.Kind.GRANT,
        amount=credits,
        reference=reference,
        reason="Paid by transfer",
        basis=CreditRequest.Basis.TWO_PEOPLE,
        paid_cents=cents,
        requested_by=asks,
    )
    approve(request=request, decided_by=decides)


def use(wallet: Wallet, reference: str, credits: int) -> None:
    """Let a batch use credits, and give ten back."""
    movement = Movement(wallet_id=wallet.pk, reference=reference, request_id="", actor="system")
    reserve(movement=movement, amount=credits + 10)
    settle(movement=movement, amount=credits)
    refund(movement=movement, amount=10)


def check_books(at: datetime = NOW) -> None:
    """Check the wallets as reconciliation does, and keep that."""
    keep_run(started_at=at, extent=extent(batches=0, items=0), findings=check(INVARIANTS))
