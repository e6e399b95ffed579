"""What a customer is told about credits: once for each time that a wallet falls below its threshold.

By the event `credits.low`, and of a live wallet by a mail too.
"""

import json
from datetime import datetime

from django.db import transaction
from structlog import get_logger

from customers.models import Mode
from ledger import low_mails, lows
from ledger.models import Wallet
from sora2 import bell
from sora2.times import timestamp
from webhooks import services as webhooks
from webhooks.models import EventType, new_event_id

log = get_logger(__name__)


def tell_low_credits(*, now: datetime) -> int:
    """Publish `credits.low` for each wallet that has become low since, and write the mails; return how many.

    One transaction each notes the crossing as told, and writes event and mail: it is told once, whoever dies in
    between. One that cannot be told keeps no other from it.
    """
    told = 0
    for wallet in lows.untold():
        try:
            told += _tell(wallet, now)
        except Exception as error:
            log.error("batches.credits_low_failed", wallet_id=wallet.pk, exc_info=error)
    return told


def low_credits_event(*, wallet: Wallet, event_id: str, now: datetime) -> str:
    """Return the exact body of `credits.low`, keys in the order in which the documentation shows them."""
    return json.dumps(
        {
            "event": EventType.CREDITS_LOW.value,
            "organization_id": wallet.organization_id,
            "wallet_id": wallet.pk,
            "available": wallet.available,
            "threshold": wallet.low_threshold,
            "since": timestamp(wallet.low_since),
            "timestamp": timestamp(now),
            "event_id": event_id,
            "livemode": wallet.mode == Mode.LIVE,
        }
    )


def _tell(wallet: Wallet, now: datetime) -> bool:
    # Made before: from the tick on the wallet is locked.
    mail, event_id = low_mails.mail_about(wallet=wallet, now=now), new_event_id()
    body = low_credits_event(wallet=wallet, event_id=event_id, now=now)
    with transaction.atomic():
        if not lows.tick_off(wallet=wallet):
            return False
        webhooks.publish(
            organization_id=wallet.organization_id,
            mode=wallet.mode,
            event_type=EventType.CREDITS_LOW,
            event_id=event_id,
            body=body,
            reference=wallet.pk,
        )
        if mail is not None:
            mail.save()
            bell.ring("ledger.mail_lows")
    return True
