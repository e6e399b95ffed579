"""The ledger's scheduled work."""

from collections import Counter

from celery import shared_task
from django.utils import timezone
from structlog import get_logger

from customers.models import User
from ledger import days, month_run, seals
from ledger.invoices import mails
from ledger.models import InvoiceMail, LowNotice
from sora2.mailing import send_due
from sora2.slots import slot

log = get_logger(__name__)

# A third of a second for each customer: some thirty thousand.
RUN_SECONDS = 3 * 3600


@shared_task(name="ledger.seal", soft_time_limit=1800, time_limit=1830)
def seal() -> None:
    """Seal the ledger if it is due. What no longer holds stops the sealing until somebody has looked."""
    try:
        made = seals.seal_if_due(now=timezone.now())
    except seals.SealError as error:
        log.error("ledger.seal_refused", error=type(error).__name__, detail=str(error))
        raise
    if made:
        log.info("ledger.sealed", number=made.number, wallets=made.wallets, root=made.root)


@shared_task(name="ledger.days", soft_time_limit=1800, time_limit=1830)
def roll_up_days() -> None:
    """Add to the figures of days what was posted since the last time."""
    days.roll_up()


@shared_task(name="ledger.mail_lows")
def mail_lows() -> None:
    """Send the mails about wallets that have become low: in one process, for a mail server may be slow."""
    with slot("ledger.mail_lows") as ours:
        if ours is not None:
            send_due(LowNotice, now=timezone.now())


@shared_task(name=month_run.TASK, soft_time_limit=RUN_SECONDS, time_limit=RUN_SECONDS + 30)
def run_month() -> None:
    """Run the closed month that somebody asked for, or that a process began and did not survive, if there is one."""
    with slot(month_run.TASK) as ours:
        asked = month_run.asked(now=timezone.now()) if ours else None
        if asked is None:
            return
        done = month_run.run(month=asked.subject, by=User.objects.get(pk=asked.actor))
        tally = Counter(each.outcome.value for each in done)
        log.info("ledger.month_run_ended", month=asked.subject, **tally)


@shared_task(name="ledger.mail_invoices")
def mail_invoices() -> None:
    """Send the mails of invoices with their papers: in one process, for both may be slow."""
    with slot("ledger.mail_invoices") as ours:
        if ours is not None:
            send_due(InvoiceMail, now=timezone.now(), attached=mails.attached)
