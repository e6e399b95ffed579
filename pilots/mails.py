"""The verbs of sales' mails: what may not go out, send, copy, send again.

A mail is a row first, committed, and then goes to the mail server, outside of any transaction. Whoever dies in between
leaves a row that says so, and a person decides whether to send it again: it may have arrived.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import IntegrityError, transaction
from structlog import get_logger

from customers.models import Plan, User
from customers.services import audit
from pilots.boundary import BOUNDARY
from pilots.mail_links import MARK, PASTED, NothingToHandOver, with_links, without_places
from pilots.mail_promises import promises_in
from pilots.mail_templates import Draft
from pilots.models import SalesMail
from sora2.redaction import masked
from sora2.seen import check_seen

log = get_logger(__name__)

RECIPIENTS_MOST = 10
FAULT_MAX = 300
HANDED = "Given to the mail server"
# In brackets, from a letter on: [Date], and not a list of JSON. And the documents' own: {{Date}}.
PLACEHOLDER = re.compile(r"\[[^\W\d_][^\[\]{}]{0,120}\](?!\()|\{\{.{0,120}?\}\}", re.DOTALL)
SECRET = re.compile(r"(?:s2_(?:live|test)|whsec)_[\w+/=-]{6,}", re.IGNORECASE)


class MailRefused(ValueError):
    """The mail does not go out like this; `faults` say what is wrong, and what to do."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__(" ".join(faults))
        self.faults = list(faults)


class WrittenBefore(Exception):
    """The same form has written its mail before: nothing was done now."""


class AlreadySent(Exception):
    """The mail server has taken this mail: it is not sent again."""


@dataclass(frozen=True)
class Letter:
    """A mail as somebody wrote it, from a draft. The form that it comes from has given it its id."""

    id: str
    draft: Draft
    recipients: list[str]
    subject: str
    body: str


def send(*, letter: Letter, by: User, now: datetime) -> SalesMail:
    """Keep a mail and send it; `sent_at` or `fault` of what is returned say how that went.

    Raises MailRefused, WrittenBefore.
    """
    mail, text = _keep(letter, SalesMail.Way.SENT, by, now)
    _post(mail, text, by=by, now=now)
    return mail


def copy(*, letter: Letter, by: User, now: datetime) -> tuple[SalesMail, str]:
    """Keep a mail that somebody sends in a way of their own; return it, and its text this once.

    Raises MailRefused, WrittenBefore.
    """
    return _keep(letter, SalesMail.Way.COPIED, by, now)


def send_again(*, mail: SalesMail, seen: str, by: User, now: datetime) -> SalesMail:
    """Send a mail that no mail server has taken; its one-time links are made anew.

    Raises MailRefused, AlreadySent, or ChangedMeanwhile when it is not as it was `seen` any more.
    """
    mail, text = _take_again(mail, seen, by, now)
    _post(mail, text, by=by, now=now)
    return mail


def faults_of(letter: Letter) -> list[str]:
    """Return why a letter may not go out, empty if it may."""
    draft, body = letter.draft, letter.body
    both = f"{letter.subject}\n{body}"
    is_enterprise = draft.organization is not None and draft.organization.plan == Plan.ENTERPRISE
    faults = [*draft.missing, *_of_form(letter), *_of_secrets(both)]
    if draft.template.is_paper and not is_enterprise and BOUNDARY not in body:
        faults.append(f"The boundary statement must stand in it word for word, in its three lines: “{BOUNDARY}”")
    promises = [promise for promise in promises_in(both) if promise.kind.ever or not is_enterprise]
    return [*faults, *map(str, promises)]


def seen_of(mail: SalesMail) -> list[str]:
    """Return what a form to send again was opened for."""
    return [mail.pk, mail.fault, str(mail.sent_at)]


# --- what may not go out -------------------------------------------------------------------------------------------


def _of_form(letter: Letter) -> list[str]:
    faults = []
    if not 1 <= len(letter.recipients) <= RECIPIENTS_MOST:
        faults.append(f"A mail goes to 1 to {RECIPIENTS_MOST} people; these are {len(letter.recipients)}.")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in letter.subject):
        faults.append("The subject is one line, without control characters.")
    if MARK in letter.subject:
        faults.append(f"{MARK} has its place in the text, not in the subject.")
    text = without_places(f"{letter.subject}\n{letter.body}")
    open_ones = dict.fromkeys(" ".join(found.split()) for found in PLACEHOLDER.findall(text))
    if open_ones:
        faults.append(f"Not filled in yet: {', '.join(open_ones)}. Write what belongs there, or take it out.")
    return faults


def _of_secrets(text: str) -> list[str]:
    """Find secrets, and links that open a door, as they look: with nothing invisible within."""
    shown = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in ("Cf", "Mn"))
    faults = []
    if SECRET.search(shown):
        faults.append(f"A key or secret stands in it. A mail is no place for one: write {MARK}, and it goes as a link.")
    if PASTED.search(shown):
        faults.append(f"A one-time link stands in it, and would be kept. Write {MARK}: a new one is made at sending.")
    return faults


# --- keeping and sending -------------------------------------------------------------------------------------------


def _keep(letter: Letter, way: SalesMail.Way, by: User, now: datetime) -> tuple[SalesMail, str]:
    """Write the row, with links without their tokens; return it and the text that goes out."""
    if SalesMail.objects.filter(pk=letter.id).exists():
        raise WrittenBefore
    faults = faults_of(letter)
    if faults:
        raise MailRefused(faults)
    try:
        return _kept(letter, way, by, now)
    except NothingToHandOver as error:
        raise MailRefused([str(error)]) from error
    except IntegrityError as error:
        if "pilots_salesmail_pkey" not in str(error):
            raise
        raise WrittenBefore from error


@transaction.atomic(durable=True)
def _kept(letter: Letter, way: SalesMail.Way, by: User, now: datetime) -> tuple[SalesMail, str]:
    draft = letter.draft
    linked = with_links(letter.body + "\n", organization=draft.organization, actor=by.pk, now=now)
    is_sent = way == SalesMail.Way.SENT
    mail = SalesMail.objects.create(
        id=letter.id,
        lead=draft.lead,
        organization=draft.organization,
        template=draft.template.slug,
        recipients=letter.recipients,
        subject=letter.subject,
        body=linked.kept,
        way=way,
        created_at=now,
        created_by=by,
        fault=_handed(now) if is_sent else "",
    )
    _audit(mail, by, "send" if is_sent else "copy", linked.handover_ids)
    return mail, linked.text


def _take_again(mail: SalesMail, seen: str, by: User, now: datetime) -> tuple[SalesMail, str]:
    try:
        return _taken_again(mail, seen, by, now)
    except NothingToHandOver as error:
        raise MailRefused([str(error)]) from error


@transaction.atomic(durable=True)
def _taken_again(mail: SalesMail, seen: str, by: User, now: datetime) -> tuple[SalesMail, str]:
    taken = SalesMail.objects.select_for_update(of=("self",)).select_related("organization").get(pk=mail.pk)
    if taken.sent_at or taken.way != SalesMail.Way.SENT:
        raise AlreadySent
    check_seen(seen_of(taken), seen)
    linked = with_links(taken.body, organization=taken.organization, actor=by.pk, now=now)
    taken.fault = _handed(now)
    taken.save(update_fields=["fault"])
    _audit(taken, by, "send", linked.handover_ids, again=True)
    return taken, linked.text


def _post(mail: SalesMail, text: str, *, by: User, now: datetime) -> None:
    """Give a mail to the mail server, and note what it said."""
    answer_to = by.email or settings.SUPPORT_EMAIL
    try:
        EmailMessage(mail.subject, text, to=mail.recipients, reply_to=[answer_to]).send()
    except Exception as error:
        log.error("sales_mail.not_sent", mail=mail.pk, exc_info=error)
        # What a server says of a mail may quote it, links and all.
        mail.fault = masked(f"The mail server did not take it: {type(error).__name__}: {error}")[:FAULT_MAX]
    else:
        mail.sent_at, mail.fault = now, ""
    mail.save(update_fields=["sent_at", "fault"])


def _handed(now: datetime) -> str:
    """Return what stands there until the mail server has answered, and for ever if nobody noted its answer."""
    return f"{HANDED} at {now:%Y-%m-%d %H:%M:%S} UTC, and its answer was not noted"


def _audit(mail: SalesMail, by: User, act: str, handover_ids: list[str], **more: bool) -> None:
    detail = {"template": mail.template, "recipients": mail.recipients, "handovers": handover_ids, **more}
    audit(
        actor=by.pk,
        action=f"sales_mail.{act}",
        organization_id=mail.organization_id,
        subject=mail.pk,
        detail=detail,
    )
