"""Mails that must not be lost: a row first, in the transaction of what it tells; sent after, and kept.

A mail is sent once, but for a process that dies between the mail server's yes and its own note of it: then it is sent
again ten minutes later. The other way round it might never be sent.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from django.contrib.postgres.fields import ArrayField
from django.core.mail import EmailMessage
from django.db import models, transaction
from django.db.models import Min
from structlog import get_logger

log = get_logger(__name__)

# Whoever takes a mail may die before it is sent: then it is due again.
SENDING = timedelta(minutes=10)
MAILS_AT_ONCE = 50


class Attachment(NamedTuple):
    """A file that goes with a mail."""

    filename: str
    content: bytes
    content_type: str


class Mail(models.Model):
    """A mail as it was written. What it is about, and that it is written once, is each table's own."""

    recipients = ArrayField(models.EmailField())
    subject = models.CharField(max_length=300)
    body = models.TextField()
    created_at = models.DateTimeField()
    # When it is to be sent, or sent again: whoever takes it moves this on.
    due_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


def nothing(_mail: Mail) -> Sequence[Attachment]:
    """Attach nothing."""
    return ()


def send_due(table: type[Mail], *, now: datetime, attached: Callable[[Mail], Sequence[Attachment]] = nothing) -> int:
    """Send the mails of a table that are due; return how many went out. What can't be sent is tried again later.

    `attached` returns the files that go with a mail; where it cannot, the mail is not sent without them.
    """
    sent = 0
    for mail in _taken(table, now):
        try:
            EmailMessage(mail.subject, mail.body, to=mail.recipients, attachments=attached(mail)).send()
        except Exception as error:
            log.error("mail.not_sent", table=table._meta.db_table, mail=mail.pk, exc_info=error)
        else:
            table._default_manager.filter(pk=mail.pk).update(sent_at=now)
            sent += 1
    return sent


def oldest_unsent(table: type[Mail]) -> datetime | None:
    """Return since when a mail of a table waits, None when none does."""
    at: datetime | None = table._default_manager.filter(sent_at=None).aggregate(at=Min("created_at"))["at"]
    return at


def _taken(table: type[Mail], now: datetime) -> list[Mail]:
    rows = table._default_manager
    with transaction.atomic():
        due = rows.filter(sent_at=None, due_at__lte=now).order_by("due_at").select_for_update(skip_locked=True)
        ids = [mail.pk for mail in due[:MAILS_AT_ONCE]]
        rows.filter(pk__in=ids).update(due_at=now + SENDING)
    return list(rows.filter(pk__in=ids).order_by("pk"))
