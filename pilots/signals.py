"""Signals: what a customer said or asked by itself, written down.

They are observed and not pushed: recording one sends nothing and changes nothing. The one thing that follows from two
of them is that the transition from pilot to enterprise is open, for a person to make.
"""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from customers.models import Organization, User
from customers.services import audit
from pilots.models import KIND_OF, OPENS_TRANSITION, Lead, Signal, SignalKind

NOTE_MAX = 600
DANGERS = [code for code, kind in KIND_OF.items() if kind == SignalKind.DANGER]


class SignalRefused(ValueError):
    """The signal was not recorded; the message says why."""


@transaction.atomic
def record_signal(
    *,
    lead: Lead | None = None,
    organization: Organization | None = None,
    code: Signal.Code,
    note: str = "",
    seen_at: datetime,
    by: User,
    now: datetime,
) -> Signal:
    """Write down what was seen of a lead, a customer, or both; the same twice is one. Raises SignalRefused."""
    if lead is None and organization is None:
        raise SignalRefused("A signal is about a lead or a customer.")
    if seen_at > now:
        raise SignalRefused("It was not seen yet: write a time that has passed.")
    if len(note) > NOTE_MAX:
        raise SignalRefused(f"A note has at most {NOTE_MAX} characters.")
    _lock(lead, organization)
    signal, made = Signal.objects.get_or_create(
        lead=lead, organization=organization, code=code, note=note, seen_at=seen_at, defaults={"recorded_by": by}
    )
    if made:
        about = organization.pk if organization else None
        subject = lead.pk if lead else str(about)
        audit(actor=by.pk, action="signal.record", organization_id=about, subject=subject, detail={"code": code})
    return signal


def about_lead(lead: Lead) -> QuerySet[Signal]:
    """Return what was seen of a lead, and of the customer that it became."""
    ours = Q(lead=lead)
    return Signal.objects.filter(ours | Q(organization=lead.organization_id) if lead.organization_id else ours)


def about_organization(organization: Organization) -> QuerySet[Signal]:
    """Return what was seen of a customer, and of the lead that it was."""
    return Signal.objects.filter(Q(organization=organization) | Q(lead__organization=organization))


def transition_opened_by(organization: Organization) -> Signal | None:
    """Return the signal that has opened the transition from pilot to enterprise; None as long as there is none."""
    asked = about_organization(organization).filter(code__in=OPENS_TRANSITION).select_related("recorded_by")
    return asked.order_by("seen_at", "pk").first()


def dangers_of_leads(leads: Collection[Lead]) -> dict[str, Signal]:
    """Return the latest danger signal of each of these leads that has one, by the lead's id."""
    own = {lead.organization_id: lead.pk for lead in leads if lead.organization_id}
    about = Q(lead__in=[lead.pk for lead in leads]) | Q(organization__in=list(own))
    found = Signal.objects.filter(about, code__in=DANGERS).order_by("seen_at", "pk")
    return {signal.lead_id or own[str(signal.organization_id)]: signal for signal in found}


def _lock(lead: Lead | None, organization: Organization | None) -> None:
    """Let who records the same at the same time wait: a form that is sent twice writes one row."""
    if lead is not None:
        Lead.objects.select_for_update(no_key=True).get(pk=lead.pk)
    elif organization is not None:
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
