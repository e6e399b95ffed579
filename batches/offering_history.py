"""What was changed of routes, models and prices: who, when, and what it was before, as the audit log has it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import Q
from django.urls import reverse

from customers.models import AuditEvent
from customers.naming import names_for_staff
from sora2.pages import Rows, rows_after

CHANGES_SHOWN = 20

# By the action: what was done, and the page of what it was done to.
ACTIONS: Mapping[str, tuple[str, str]] = {
    "route.create": ("made the route", "admin:route"),
    "route.change": ("changed the route", "admin:route"),
    "route.pause": ("paused the route", "admin:route"),
    "route.resume": ("resumed the route", "admin:route"),
    "model.create": ("made the model", "admin:catalogue_model"),
    "model.change": ("changed the model", "admin:catalogue_model"),
    "prices.publish": ("wrote the price list", "admin:price_list"),
}
# Fields whose names are not what the forms call them.
FIELDS: Mapping[str, str] = {
    "api_key": "key",
    "api_key_variable": "key's variable",
    "base_url": "address",
    "default_seconds": "usual length",
    "deprecated_at": "deprecated from",
    "max_in_flight": "in flight, at most",
    "position": "place in the list",
    "provider_model": "provider's name",
    "seconds": "lengths",
    "submits_per_minute": "submits a minute, at most",
    "sunset_at": "retired from",
}
OF_ROUTES, OF_MODELS, OF_PRICES = "route.", "model.", "prices."


@dataclass(frozen=True)
class Line:
    """One field that changed, in words; `before` is empty where there was nothing."""

    field: str
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """One change: when, by whom, what was done to what, field by field, and what was said about it."""

    at: datetime
    who: str
    actor: str
    act: str
    subject: str
    address: str
    lines: list[Line]
    said: str


@dataclass(frozen=True)
class History:
    """Some changes, newest first, and where the older ones are."""

    changes: list[Change]
    page: Rows[AuditEvent]


def history(*, of: Iterable[str], subject: str = "", cursor: str = "") -> History:
    """Return the changes of some kinds (OF_ROUTES, …), all or those of one subject."""
    kinds = Q()
    for prefix in of:
        kinds |= Q(action__in=[action for action in ACTIONS if action.startswith(prefix)])
    # Served by customers_audit_by_org: these belong to no customer, and most events do.
    events = AuditEvent.objects.filter(kinds, organization=None)
    if subject:
        events = events.filter(subject=subject)
    page = rows_after(events, key="-id", cursor=cursor, size=CHANGES_SHOWN)
    names = names_for_staff(event.actor for event in page.rows)
    return History([_change(event, names) for event in page.rows], page)


def lines_of(changes: Mapping[str, Any]) -> list[Line]:
    """Return changes as `offering.changes_between` tells them, in words; fields that stayed empty are left out."""
    lines = [
        Line(FIELDS.get(name, name.replace("_", " ")), _in_words(pair[0]), _in_words(pair[1]))
        for name, pair in changes.items()
        if isinstance(pair, list) and len(pair) == 2
    ]
    return sorted((line for line in lines if line.before != line.after), key=lambda line: line.field)


def _change(event: AuditEvent, names: Mapping[str, str]) -> Change:
    act, page = ACTIONS[event.action]
    detail = event.detail
    from_when = detail.get("effective_from")
    said = [f"in force from {_in_words(from_when)}" if from_when else "", str(detail.get("reason") or "")]
    return Change(
        at=event.at,
        who=names.get(event.actor, event.actor),
        actor=event.actor,
        act=act,
        subject=event.subject,
        address=reverse(page, args=[event.subject]),
        lines=lines_of(detail.get("changes") or {}),
        said=" · ".join(filter(None, said)),
    )


def _in_words(value: Any) -> str:
    """Return a plain JSON value as it reads: lists with commas, times in UTC."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) and "T" in value else None
    except ValueError:
        at = None
    return str(value) if at is None or at.tzinfo is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
