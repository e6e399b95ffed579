"""Carry an operation out on the real services, as the API, the admin or a worker does, and note what it answered."""

import hashlib
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.utils import timezone

from batches import finalization, services, stopping
from batches.execution.queue import Claimed
from batches.intake import BatchOrder, ItemOrder
from batches.model_check.dying import Died, dying
from batches.model_check.items import Key
from batches.model_check.plan import (
    PEOPLE,
    WALLETS,
    Ask,
    Cancel,
    Close,
    Decide,
    Finalize,
    Grant,
    Late,
    Submit,
    Sweep,
    Turn,
    Word,
)
from batches.model_check.rules import OPEN_BATCHES_MAX, batch_name
from batches.model_check.steps import STAGES, Run, told_now
from batches.model_check.working import DEADLINE, EXPIRED, claim, known_of, report, start
from batches.models import Batch
from customers.models import Mode, Organization, User
from ledger.approvals import approve, reject, request_credits
from ledger.models import CreditRequest, Entry, Period, Wallet
from ledger.periods import close_period, due
from ledger.services import LedgerError, Movement, grant_on_basis, open_wallets
from sora2.ids import new_id

# Long ago: there are months enough to close.
FIRST_MONTH = "1990-01"


@dataclass
class World:
    """The customers and people of a run, under the names that the plan gives them, and what its workers hold."""

    customers: Mapping[str, services.Customer]
    wallets: Mapping[str, Wallet]
    people: Mapping[str, User]
    began_at: datetime
    # Months before this were closed before.
    closed_until: datetime
    # Tells the references of this run from those of others in the same database.
    prefix: str = field(default_factory=lambda: new_id("run"))
    # What was claimed and may yet be reported on, and which operation each lease is of.
    held: dict[Key, Claimed] = field(default_factory=dict)
    leases: dict[uuid.UUID, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def wallet_names(self) -> dict[str, str]:
        """Return the plan's name of each wallet by its id."""
        return {wallet.pk: name for name, wallet in self.wallets.items()}

    def reference_of(self, name: str) -> str:
        """Return the reference or request id that stands for a name of the plan."""
        return f"{self.prefix}: {name}"

    def name_of(self, reference: str) -> str:
        """Return the plan's name for a reference or request id."""
        return reference.removeprefix(f"{self.prefix}: ")

    def batch(self, wallet: str, order: str) -> Batch | None:
        """Return the batch that an order made, if it did."""
        customer = self.customers[wallet]
        return Batch.objects.filter(
            organization=customer.organization, mode=customer.mode, request_id=self.reference_of(order)
        ).first()

    def hold(self, held: Mapping[Key, Claimed]) -> None:
        """Keep what a worker has claimed."""
        with self._lock:
            self.held |= held
            self.leases |= {item.lease: number for (number, *_), item in held.items()}


def make_world() -> World:
    """Create two customers with empty wallets, and people who may decide on credits; close a month to begin with."""
    organizations = {
        name: Organization.objects.create(name=f"Model {name}", max_open_batches=OPEN_BATCHES_MAX) for name in "AB"
    }
    wallets = {name: open_wallets(organization=organization) for name, organization in organizations.items()}
    owners = {name: (name.split()[0], Mode(name.split()[1])) for name in WALLETS}
    people = {name: User.objects.create_user(username=new_id("usr")) for name in PEOPLE}
    last = Period.objects.order_by("-ends_at").first()
    if last is None:
        last = close_period(month=FIRST_MONTH, closed_by=people[PEOPLE[0]], now=timezone.now())
    return World(
        customers={
            name: services.Customer(organizations[owner], mode, actor="key_model")
            for name, (owner, mode) in owners.items()
        },
        wallets={name: wallets[owner][mode] for name, (owner, mode) in owners.items()},
        people=people,
        began_at=timezone.now(),
        closed_until=last.ends_at,
    )


def perform(world: World, run: Run) -> None:
    """Carry out an operation, and note in `run` what it answered, or that it died."""
    try:
        with dying(run.planned.death):
            run.said = _answer(world, run)
    except Died:
        run.said = None
    except (LedgerError, stopping.BatchFinal) as refusal:
        run.said = type(refusal).__name__
    except services.Refused as refusal:
        run.said = refusal.code
    except Exception as error:
        run.said = f"failed: {type(error).__name__}: {error}"


def _answer(world: World, run: Run) -> str:
    match run.planned.operation:
        case Turn() as turn:
            return _take_turn(world, run, turn)
        case Late(words=words):
            _report(world, run.late, words)
            return "done"
        case Sweep(past_deadlines=past_deadlines):
            return _sweep(EXPIRED if past_deadlines else timedelta())
        case act:
            return _act(world, act)


def _act(world: World, act: Grant | Ask | Decide | Close | Submit | Cancel | Finalize) -> str:
    match act:
        case Grant():
            return _grant(world, act)
        case Ask():
            return _ask(world, act)
        case Decide():
            return _decide(world, act)
        case Close():
            return _close(world)
        case Submit():
            return _submit(world, act)
        case Cancel(wallet=wallet, order=order):
            return _cancel(world.batch(wallet, order))
        case Finalize(wallet=wallet, order=order):
            return _finalize(world.batch(wallet, order))


# --- credits -------------------------------------------------------------------------------------------------------


def _grant(world: World, asked: Grant) -> str:
    wallet = world.wallets[asked.wallet]
    basis = CreditRequest.Basis.SANDBOX if wallet.mode == Mode.TEST else CreditRequest.Basis.PILOT
    reference = world.reference_of(asked.reference)
    movement = Movement(wallet_id=wallet.pk, reference=reference, actor="system", reason=reference)
    grant_on_basis(movement=movement, amount=asked.amount, basis=basis)
    return "granted"


def _ask(world: World, asked: Ask) -> str:
    reference = world.reference_of(asked.reference)
    request_credits(
        wallet=world.wallets[asked.wallet],
        kind=Entry.Kind(asked.kind),
        amount=asked.amount,
        # An adjustment's reference is its own id: it is found again by its reason.
        reason=reference,
        reference=reference if asked.kind == "grant" else "",
        requested_by=world.people[asked.person],
    )
    return "asked"


def _decide(world: World, decided: Decide) -> str:
    reference = world.reference_of(decided.reference)
    request = CreditRequest.objects.filter(reason=reference).order_by("-pk").first()
    if request is None:
        return "nothing there"
    if not decided.approve:
        reject(request=request, decided_by=world.people[decided.person])
        return "rejected"
    approve(request=request, decided_by=world.people[decided.person])
    return "approved"


def _close(world: World) -> str:
    month = due(now=timezone.now())
    close_period(month=month.month, closed_by=world.people[PEOPLE[0]], now=timezone.now())
    return "closed"


# --- batches -------------------------------------------------------------------------------------------------------


def _submit(world: World, order: Submit) -> str:
    name = batch_name(order.wallet, order.order)
    items = [
        ItemOrder(f"{name} #{index}", "sora-2", 4, "1280x720", custom_id="", metadata={}, credits=price)
        for index, price in enumerate(order.prices)
    ]
    _, is_made = services.submit(
        customer=world.customers[order.wallet],
        request_id=world.reference_of(order.order),
        body_sha256=hashlib.sha256(repr(order.prices).encode()).hexdigest(),
        order=BatchOrder(
            items, price_version="model", deadline=world.began_at + DEADLINE if order.has_deadline else None
        ),
        now=timezone.now(),
    )
    return "made" if is_made else "replayed"


def _cancel(batch: Batch | None) -> str:
    if batch is None:
        return "nothing there"
    return f"canceled {stopping.cancel(batch=batch, actor='key_model', now=timezone.now())}"


def _finalize(batch: Batch | None) -> str:
    if batch is None:
        return "nothing there"
    is_ours = finalization.finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    return "finalized" if is_ours else "not finalized"


def _sweep(ahead: timedelta) -> str:
    now = timezone.now() + ahead
    stopping.fail_what_must_not_be_submitted(now=now)
    finalization.finalize_ended(now=now)
    return "done"


# --- workers -------------------------------------------------------------------------------------------------------


def _take_turn(world: World, run: Run, turn: Turn) -> str:
    claimed = claim(turn)
    run.claimed = {name: known_of(item) for name, item in claimed.items()}
    if claimed:
        world.hold({(run.number, turn.stage, *name): item for name, item in claimed.items()})
        start(turn, claimed.values())
        for _ in range(1 + turn.twice):
            _report(world, told_now(turn, run.keys), turn.words)
    return "done"


def _report(world: World, keys: Sequence[Key], words: Sequence[Word]) -> None:
    """Let the workers of each stage say what became of their items."""
    for stage in STAGES:
        told = [(world.held[key], words[key[3] % len(words)]) for key in keys if key[1] == stage]
        if told:
            report(stage, told)
