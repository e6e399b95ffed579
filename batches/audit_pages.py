"""The audit log as a page and as a file: who did what, when, on what, how it ended, and why."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib.admin.utils import quote
from django.db.models import Q
from django.urls import reverse

from batches.audit_words import in_words
from batches.finding import places
from batches.offering_history import ACTIONS as OFFERS
from customers.access import Access
from customers.models import AuditEvent, AuditEventQuerySet, Organization, User
from customers.naming import names_for_staff
from ledger import month_run
from ledger.exports.csv_copy import guarded_text
from sora2.times import timestamp

SHOWN = 50
CHUNK = 2000
NOT_DONE = "not done"
COLUMNS = (
    *("at", "actor", "name", "action", "outcome", "organization_id", "organization", "mode", "subject"),
    *("why", "detail", "trace_id"),
)
# Acts whose subject is a month.
OF_MONTHS = ("period.close", month_run.ASKED, month_run.ENDED)
# Where a detail says why.
REASONS = ("reason", "note")


@dataclass(frozen=True)
class Wanted:
    """What the page is filtered by; each may be empty. `person` is a name or the id of whoever acted."""

    person: str = ""
    customer: str = ""
    action: str = ""
    outcome: str = ""
    subject: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Line:
    """One event as the page shows it; `address` is the page of what it was done to, if there is one."""

    event: AuditEvent
    who: str
    act: str
    address: str
    why: str
    details: list[tuple[str, str]]


@dataclass(frozen=True)
class Log:
    """Some events, newest first, and the cursor of those that follow; `start` says that none came before."""

    lines: list[Line]
    next: str | None
    start: bool


class SeveralCustomers(Exception):
    """The words fit several customers; they are in `found`."""

    def __init__(self, found: list[Organization]) -> None:
        super().__init__(f"{len(found)} customers")
        self.found = found


def events(access: Access, wanted: Wanted) -> AuditEventQuerySet:
    """Return the events that fit, newest first. Raises SeveralCustomers."""
    found = AuditEvent.objects.within(access)
    if wanted.person:
        named = User.objects.filter(username=wanted.person).values_list("pk", flat=True).first()
        found = found.filter(actor=named or wanted.person)
    if wanted.customer:
        found = found.filter(organization=_customer(wanted.customer))
    if wanted.outcome == NOT_DONE:
        found = found.filter(~Q(outcome="done"))
    elif wanted.outcome:
        found = found.filter(outcome=wanted.outcome)
    same = {"action": wanted.action, "subject": wanted.subject, "at__gte": wanted.since, "at__lt": wanted.until}
    return found.filter(**{name: value for name, value in same.items() if value}).order_by("-at", "-id")


def log(access: Access, *, wanted: Wanted, cursor: str = "") -> Log:
    """Return a page of the log. The cursor is the last event's id. Raises SeveralCustomers."""
    found, last = events(access, wanted), _event(cursor)
    if last is not None:
        # The first condition is what an index finds, the second what is left of that very moment.
        found = found.filter(at__lte=last.at).filter(Q(at__lt=last.at) | Q(id__lt=last.pk))
    rows = list(found.select_related("organization")[: SHOWN + 1])
    shown = rows[:SHOWN]
    return Log(_lines(access, shown), str(shown[-1].pk) if len(rows) > SHOWN else None, start=last is None)


def csv_lines(found: AuditEventQuerySet) -> Iterator[bytes]:
    """Yield events as CSV, as they come from the database; no text in it is a formula to a spreadsheet."""
    yield _row(COLUMNS)
    rows = found.select_related("organization").iterator(chunk_size=CHUNK)
    while chunk := list(islice(rows, CHUNK)):
        names = names_for_staff(event.actor for event in chunk)
        yield b"".join(_row(_cells(event, names)) for event in chunk)


def _customer(text: str) -> str:
    """Return the id of the one customer that the words name, or an id that is nobody's."""
    found = list(Organization.objects.filter(Q(pk=text) | Q(name__icontains=text)).order_by("name", "pk")[:20])
    exact = [each for each in found if text in (each.pk, each.name)]
    fitting = exact or found
    if len(fitting) > 1:
        raise SeveralCustomers(fitting)
    return fitting[0].pk if fitting else text


def _event(cursor: str) -> AuditEvent | None:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        return None
    return AuditEvent.objects.filter(pk=cursor).first()


def _lines(access: Access, rows: list[AuditEvent]) -> list[Line]:
    names, known = names_for_staff(event.actor for event in rows), places(access, {event.subject for event in rows})
    return [
        Line(
            event=event,
            who=names.get(event.actor, ""),
            act=in_words(event.action),
            address=known[event.subject].address if event.subject in known else _other_page(event),
            why=_why(event.detail),
            details=[(name.replace("_", " "), _in_words(value)) for name, value in event.detail.items()],
        )
        for event in rows
    ]


def _other_page(event: AuditEvent) -> str:
    """Return the page of what has no id of its own kind, or only a page of Django's."""
    if event.action in OFFERS:
        return reverse(OFFERS[event.action][1], args=[event.subject])
    if event.action in OF_MONTHS:
        return reverse("admin:period", args=[event.subject])
    is_person = event.subject.startswith("usr_")
    return reverse("admin:customers_user_change", args=[quote(event.subject)]) if is_person else ""


def _why(detail: Mapping[str, Any]) -> str:
    return next((str(detail[name]) for name in REASONS if detail.get(name)), "")


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _cells(event: AuditEvent, names: Mapping[str, str]) -> list[str]:
    return [
        *(timestamp(event.at) or "", event.actor, names.get(event.actor, ""), event.action, event.outcome),
        *(event.organization_id or "", event.organization.name if event.organization else "", event.mode),
        *(event.subject, _why(event.detail), json.dumps(event.detail, ensure_ascii=False), event.trace_id),
    ]


class _Line:
    """Takes what csv.writer writes, and is that line."""

    text = ""

    def write(self, text: str) -> None:
        self.text += text


def _row(cells: Iterable[str]) -> bytes:
    line = _Line()
    csv.writer(line).writerow(guarded_text(cell) for cell in cells)
    return line.text.encode()
