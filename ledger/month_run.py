"""The run of a closed month: what each customer files is made, once, and what was made before is compared.

One customer after the other, each in a transaction of its own: a run that is killed goes on where it was, and nothing
is made twice. Who asked for a run, and how it ended, stands in the audit log; a worker takes up what was asked for and
has not ended. It takes some 0.3 s for each customer, most of it for the paper, and memory for some customers at a time.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.db import connection, transaction
from django.db.models import Count, Exists, Max, OuterRef, Q
from django.utils import timezone

from customers.models import AuditEvent, Mode, User
from customers.services import audit
from ledger import month_files
from ledger.checklists import counted
from ledger.models import BillingDetails, MonthFile, Period, PeriodBalance, PeriodBalanceQuerySet, Wallet
from ledger.papers.setting import PaperUnavailable
from ledger.services import LedgerError
from sora2 import bell

TASK = "ledger.month_run"
ASKED, ENDED = "period.run", "period.run_end"
# Whoever was at it is gone by then, and nobody took it up: it may be asked for anew.
DEAD_AFTER = timedelta(hours=6)
PAGE_CUSTOMERS = 100
# More customers than these, with what is wrong, are counted in the audit log, not named.
NAMED = 50


class NotRun(LedgerError):
    """The run was not begun."""


class NotYetClosed(NotRun):
    """The month is open, or lies before the first that was closed."""

    code = "not_closed"


class UnderWay(NotRun):
    """A run has not ended yet; two at once would only make the same."""

    code = "under_way"


class Outcome(StrEnum):
    """What a run did for a customer."""

    MADE = "made"
    SAME = "same"
    DIFFERS = "differs"
    FAILED = "failed"


# What of these events counts: one that was refused has begun nothing, and every end is one.
OUTCOMES = {ASKED: ["done"], ENDED: ["done", "stopped", Outcome.DIFFERS.value, Outcome.FAILED.value]}


@dataclass(frozen=True)
class Done:
    """What a run did for one customer, and in words what was made, what differs, or what failed."""

    wallet: Wallet
    outcome: Outcome
    says: str
    file: MonthFile | None = None


@dataclass(frozen=True)
class Progress:
    """How far a month is: of its customers how many have their files, and of the usage invoices how many are made.

    `asked` is the run that has not ended, `ended` the end of the last one; None if there is none.
    """

    made: int
    customers: int
    invoices: int
    wanted: int
    asked: AuditEvent | None
    ended: AuditEvent | None

    @property
    def is_complete(self) -> bool:
        """Say whether everything is made."""
        return self.made == self.customers


def ask(*, month: str, by: User, now: datetime) -> None:
    """Ask a worker to run a closed month. Raises NotYetClosed, UnderWay."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtext('ledger_month_run'))")
        if event := asked(now=now):
            raise UnderWay(f"A run of {event.subject} is under way since {event.at:%Y-%m-%d %H:%M} UTC.")
        _begin(month, by)
        bell.ring(TASK)


def asked(*, now: datetime) -> AuditEvent | None:
    """Return the run that was asked for last, unless it has ended. Served by customers_audit_by_action."""
    begun, ended = (
        AuditEvent.objects.filter(action=action, outcome__in=OUTCOMES[action]).order_by("-at", "-id").first()
        for action in (ASKED, ENDED)
    )
    if begun is None or begun.at < now - DEAD_AFTER or (ended and (ended.at, ended.pk) > (begun.at, begun.pk)):
        return None
    return begun


def begin(*, month: str, by: User) -> Iterator[Done]:
    """Run a closed month here and now: yield what is done for each customer. Raises NotYetClosed."""
    _begin(month, by)
    return run(month=month, by=by)


def run(*, month: str, by: User) -> Iterator[Done]:
    """Make what is missing, then compare what was there before; yield what is done for each customer.

    However it ends, but for a killed process, the audit log says how.
    """
    tally: Counter[Outcome] = Counter()
    wrong: list[str] = []
    outcome = "stopped"
    try:
        for done in _each(Period.objects.get(month=month), by):
            tally[done.outcome] += 1
            if done.outcome in (Outcome.DIFFERS, Outcome.FAILED) and len(wrong) < NAMED:
                wrong.append(f"{done.wallet.organization}: {done.says}")
            yield done
        outcome = next((each.value for each in (Outcome.DIFFERS, Outcome.FAILED) if tally[each]), "done")
    finally:
        figures = {each.value: tally[each] for each in Outcome}
        audit(actor=by.pk, action=ENDED, subject=month, outcome=outcome, detail={**figures, "wrong": wrong})


def progress(*, month: str, now: datetime) -> Progress:
    """Return how far a closed month is."""
    file = MonthFile.objects.filter(period=OuterRef("period"), wallet=OuterRef("wallet"))
    wants = BillingDetails.objects.filter(organization=OuterRef("wallet__organization"), usage_invoices=True)
    counts = (
        _customers(month)
        .annotate(is_made=Exists(file), wants=Exists(wants))
        .aggregate(
            customers=Count("pk"),
            made=Count("pk", filter=Q(is_made=True)),
            to_come=Count("pk", filter=Q(is_made=False, wants=True)),
        )
    )
    invoices = MonthFile.objects.filter(period=month, usage_invoice__isnull=False).count()
    under_way = asked(now=now)
    # Served by customers_audit_by_subject.
    ends = AuditEvent.objects.filter(subject=month, action=ENDED)
    return Progress(
        made=counts["made"],
        customers=counts["customers"],
        invoices=invoices,
        wanted=invoices + counts["to_come"],
        asked=under_way if under_way and under_way.subject == month else None,
        ended=ends.order_by("-at", "-id").first(),
    )


def _begin(month: str, by: User) -> None:
    if not Period.objects.filter(month=month).exists():
        raise NotYetClosed(f"{month} is not closed: close it first, then make its files.")
    audit(actor=by.pk, action=ASKED, subject=month)


def _each(period: Period, by: User) -> Iterator[Done]:
    before = MonthFile.objects.filter(period=period).aggregate(last=Max("pk"))["last"]
    for wallet in _missing(period):
        yield _make(period, wallet, by)
    for file in _made(period, through=before or 0):
        yield _compare(file)


def _customers(month: str) -> PeriodBalanceQuerySet:
    """Return the ends of the live wallets that have an entry up to the end of a closed month."""
    return PeriodBalance.objects.filter(period=month, wallet__mode=Mode.LIVE, last_seq__gt=0)


def _missing(period: Period) -> Iterator[Wallet]:
    """Yield the wallets whose files were not made yet, some in memory at a time."""
    file = MonthFile.objects.filter(period=period, wallet=OuterRef("wallet"))
    ends = _customers(period.month).exclude(Exists(file)).select_related("wallet__organization").order_by("wallet_id")
    seen = ""
    while page := list(ends.filter(wallet_id__gt=seen)[:PAGE_CUSTOMERS]):
        yield from (end.wallet for end in page)
        seen = page[-1].wallet_id


def _made(period: Period, *, through: int) -> Iterator[MonthFile]:
    """Yield the files that were fixed before this run, some in memory at a time."""
    files = MonthFile.objects.filter(period=period, pk__lte=through)
    files = files.select_related("wallet__organization", "usage_invoice").order_by("pk")
    seen = 0
    while page := list(files.filter(pk__gt=seen)[:PAGE_CUSTOMERS]):
        yield from page
        seen = page[-1].pk


def _make(period: Period, wallet: Wallet, by: User) -> Done:
    try:
        file = month_files.fix(period=period, wallet=wallet, by=by, now=timezone.now())
    except (LedgerError, PaperUnavailable) as error:
        return Done(wallet, Outcome.FAILED, _words(error))
    if file is None:
        return Done(wallet, Outcome.SAME, "another run has just made it")
    invoice = f", usage invoice {file.usage_invoice}" if file.usage_invoice else ""
    entries = counted(file.entries, "entry", "entries")
    return Done(wallet, Outcome.MADE, f"statement and CSV of {entries}{invoice}", file)


def _compare(file: MonthFile) -> Done:
    try:
        found = month_files.differences(file, now=timezone.now())
    except (LedgerError, PaperUnavailable) as error:
        return Done(file.wallet, Outcome.FAILED, _words(error), file)
    if found:
        return Done(file.wallet, Outcome.DIFFERS, " ".join(found), file)
    return Done(file.wallet, Outcome.SAME, "the same as fixed", file)


def _words(error: Exception) -> str:
    return str(error) or "The paper cannot be set for the moment: run it again in a while."
