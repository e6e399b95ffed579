"""What a customer's person sees first: credits, the latest batches, the pilot, what needs them, and how to begin."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.http import Http404

from batches.attention import Notice, newest_first
from batches.home import Home, home
from batches.list_pages import Row
from batches.models import Batch
from batches.progress import progress_of
from batches.quick_reference import QuickReference, quick_reference
from customers.access import Access, Permission
from customers.models import Mode, Organization
from ledger.models import Wallet
from ledger.pages import Equation, all_funds
from pilots import reminders
from pilots.pilot_block import PilotBlock, pilot_block
from pilots.quick_start import QuickStart, quick_start

BATCHES_SHOWN = 5


@dataclass(frozen=True)
class Latest:
    """The latest batches, and the credits behind them; None for who may not see those."""

    rows: list[Row]
    funds: Equation | None

    @property
    def running(self) -> int:
        """Return how many of them have not ended."""
        return sum(not row.batch.is_final for row in self.rows)

    @property
    def status(self) -> str:
        """Return the same as is said to who does not see the bars."""
        if not self.running:
            return "None of the latest batches runs"
        return f"{self.running} of the latest batches run{'s' if self.running == 1 else ''}"


@dataclass(frozen=True)
class Start:
    """What the start page of an organization shows of one mode. Parts are None for those who may not see them.

    `wallet` says whether its credits are low. `notices` are what home says too, and what only the customer can mend.
    """

    home: Home
    wallet: Wallet | None
    latest: Latest | None
    pilot: PilotBlock | None
    quick_start: QuickStart | None
    reference: QuickReference | None
    notices: list[Notice]


def chosen(organizations: Sequence[Organization], organization_id: str) -> Organization:
    """Return the organization that is asked for, else the first that somebody belongs to. Raises Http404."""
    found = next((each for each in organizations if organization_id in ("", each.pk)), None)
    if found is None:
        raise Http404
    return found


def start(access: Access, organization: Organization, *, mode: Mode, now: datetime) -> Start:
    """Return what the start page shows of an organization that somebody reaches."""
    own, shown = _narrowed(access, organization, None), _narrowed(access, organization, mode)
    money, work = access.may(Permission.LEDGER_READ), access.may(Permission.BATCHES_READ)
    orders = access.may(Permission.BATCHES_WRITE)
    of_home = home(own, now=now, mode=mode)
    pilot = pilot_block(own, now=now) if work else None
    return Start(
        home=of_home,
        wallet=Wallet.objects.within(shown).first() if money else None,
        latest=_latest(shown, of_home.funds) if work else None,
        pilot=pilot,
        quick_start=quick_start(shown, organization, mode=mode, now=now) if orders else None,
        reference=quick_reference(shown) if money else None,
        notices=_notices(shown, organization, of_home, pilot, now),
    )


def latest(access: Access, organization: Organization, *, mode: Mode) -> Latest:
    """Return what of the start page changes while a batch runs."""
    shown = _narrowed(access, organization, mode)
    return _latest(shown, all_funds(shown, mode=mode) if access.may(Permission.LEDGER_READ) else None)


def _narrowed(access: Access, organization: Organization, mode: Mode | None) -> Access:
    return replace(access, organization_ids=frozenset([organization.pk]), mode=mode.value if mode else None)


def _latest(shown: Access, funds: Equation | None) -> Latest:
    batches = list(Batch.objects.within(shown).order_by("-pk")[:BATCHES_SHOWN])
    progress = progress_of(batches)
    return Latest([Row(batch, progress[batch.pk]) for batch in batches], funds)


def _notices(
    shown: Access, organization: Organization, of_home: Home, pilot: PilotBlock | None, now: datetime
) -> list[Notice]:
    """Return what home says, in its order, then what only the customer can mend."""
    mendable = [
        *(reminders.of_no_endpoint(shown, organization) if shown.may(Permission.WEBHOOKS_READ) else ()),
        *(reminders.of_expiring_keys(shown, organization, now) if shown.may(Permission.ACCOUNT_READ) else ()),
        *(reminders.of_deadline(pilot, now) if pilot else ()),
    ]
    return [*of_home.notices, *newest_first(mendable)]
