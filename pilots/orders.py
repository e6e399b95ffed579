"""What a pilot is to be, and what of it cannot be. pilots.services provisions it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from customers.plans import MOST
from ledger.models import PILOT_CREDITS_MAX
from pilots.models import Lead, Preflight

# How many items of a batch are advised: enough to see one fail, and not a thousand.
ADVISED_LEAST, ADVISED_MOST = 10, 50
NAME_MAX, REASON_MAX, OVERRIDE_MAX = 200, 400, 600
# A pilot has no more than what a contract can agree on.
ITEMS_MAX, RATE_MAX, OPEN_MAX = (
    MOST[name] for name in ("max_items_per_batch", "rate_limit_per_minute", "max_open_batches")
)
# A clock is set for so long ahead at most, and runs for so long.
AHEAD_MOST, HOURS_MOST = timedelta(days=90), 24 * 90
BY_COMMAND = "provisioned by the command, without a fresh preflight"


class InvalidPilot(ValueError):
    """The pilot cannot be provisioned like this; the message says what to change, `field` which part of the order."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class PilotOrder:
    """What a pilot is to be: the customer, its promotional credits, its limits, its webhook address.

    `webhook_url` empty: no endpoint. `sink`: an internal test endpoint instead, whose page shows what arrives.
    `reason` is why the credits are given. The clock starts at `starts_at`, or when the pilot is made; the keys end at
    `key_expires_at`, or never. `override_reason` counts only where no green preflight is fresh. `lead` is who it was.
    """

    name: str
    credits: int
    webhook_url: str = ""
    sink: bool = False
    contact: str = ""
    hours: int = 48
    max_items: int = 50
    rate_limit: int = 60
    max_open_batches: int = 100
    override_reason: str = BY_COMMAND
    technical_emails: Sequence[str] = ()
    finance_emails: Sequence[str] = ()
    reason: str = ""
    starts_at: datetime | None = None
    key_expires_at: datetime | None = None
    lead: Lead | None = None

    def starts(self, now: datetime) -> datetime:
        """Return when the clock starts, of a pilot that is made now."""
        return self.starts_at or now

    def ends(self, now: datetime) -> datetime:
        """Return when the clock has run out."""
        return self.starts(now) + timedelta(hours=self.hours)

    @property
    def advice(self) -> str:
        """Return what is unwise about it, though allowed; the empty text when nothing is."""
        if ADVISED_LEAST <= self.max_items <= ADVISED_MOST:
            return ""
        return (
            f"A batch of a pilot has {ADVISED_LEAST} to {ADVISED_MOST} items: enough to see one refunded, few enough "
            f"to look at each. This one may have {self.max_items:,}."
        )


def basis_of(order: PilotOrder, *, now: datetime) -> Preflight | None:
    """Return the fresh preflight on which this can be provisioned now, None for somebody's word why without.

    Raises InvalidPilot for what cannot be.
    """
    _refuse(order, now)
    preflight = Preflight.objects.fresh(now).first()
    if preflight is None and not order.override_reason.strip():
        raise InvalidPilot("No green preflight is fresh. Run one, or say why it is done without.", "override_reason")
    return preflight


def _refuse(order: PilotOrder, now: datetime) -> None:
    if not order.name.strip() or len(order.name) > NAME_MAX or "\0" in order.name:
        raise InvalidPilot(f"A pilot needs the customer's name, of at most {NAME_MAX} characters.", "name")
    if not 0 < order.credits <= PILOT_CREDITS_MAX:
        raise InvalidPilot(f"A pilot is given 1 to {PILOT_CREDITS_MAX} promotional credits.", "credits")
    if len(order.reason) > REASON_MAX:
        raise InvalidPilot(f"The reason has at most {REASON_MAX} characters.", "reason")
    if len(order.override_reason) > OVERRIDE_MAX:
        raise InvalidPilot(f"The reason has at most {OVERRIDE_MAX} characters.", "override_reason")
    _refuse_limits(order)
    if order.sink and order.webhook_url:
        raise InvalidPilot("Give a webhook URL or ask for the internal test endpoint, not both.", "webhook_url")
    _refuse_times(order, now)
    if order.lead is not None:
        _refuse_lead(order.lead)


def _refuse_limits(order: PilotOrder) -> None:
    if not 1 <= order.max_items <= ITEMS_MAX:
        raise InvalidPilot(f"A batch of a pilot has at most 1 to {ITEMS_MAX} items.", "max_items")
    if order.hours < 1 or order.rate_limit < 1 or order.max_open_batches < 1:
        raise InvalidPilot("Hours, rate limit and open batches are at least 1.", "hours")
    if order.rate_limit > RATE_MAX:
        raise InvalidPilot(f"The rate limit is at most {RATE_MAX:,}.", "rate_limit")
    if order.max_open_batches > OPEN_MAX:
        raise InvalidPilot(f"Open batches are at most {OPEN_MAX:,}.", "max_open_batches")


def _refuse_times(order: PilotOrder, now: datetime) -> None:
    if order.hours > HOURS_MOST:
        raise InvalidPilot(f"The clock of a pilot runs for at most {HOURS_MOST:,} hours.", "hours")
    if order.starts_at is not None and not now <= order.starts_at <= now + AHEAD_MOST:
        raise InvalidPilot(f"The clock starts now, or within {AHEAD_MOST.days} days: not in the past.", "starts_at")
    if order.key_expires_at is not None and order.key_expires_at < order.ends(now):
        raise InvalidPilot("The keys would end before the pilot does.", "key_expires_at")


def _refuse_lead(lead: Lead) -> None:
    if lead.organization_id:
        raise InvalidPilot(f"{lead.company} has its pilot already: it was made from this lead.", "lead")
    if lead.lost_at:
        raise InvalidPilot(f"{lead.company} was given up as a lead. Take it up again first.", "lead")
