"""What the pages of pilots share: which pilot or lead somebody reaches, and how a signal is recorded."""

from datetime import datetime

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from customers.access import Access
from customers.models import Organization
from customers.pages import person_of
from pilots.lead_forms import SignalForm
from pilots.models import OPENS_TRANSITION, Lead, Pilot, Signal
from pilots.signals import SignalRefused, record_signal


def reached_pilot(access: Access, *, pilot_id: str) -> Pilot:
    """Return a pilot that somebody reaches, with its organization. Raises Http404."""
    pilots = Pilot.objects.within(access).select_related("organization", "preflight", "closed_by")
    return get_object_or_404(pilots, pk=pilot_id)


def leads_of(access: Access) -> QuerySet[Lead]:
    """Return the leads that somebody reaches: our own people all of them, customers none."""
    return Lead.objects.all() if access.organization_ids is None else Lead.objects.none()


def reached_lead(access: Access, *, lead_id: str) -> Lead:
    """Return a lead that somebody reaches, with its organization and pilot. Raises Http404."""
    leads = leads_of(access).select_related("organization__pilot", "created_by")
    return get_object_or_404(leads, pk=lead_id)


def record_from(
    request: HttpRequest,
    form: SignalForm,
    *,
    lead: Lead | None,
    organization: Organization | None,
    back: HttpResponseRedirect,
    now: datetime,
) -> HttpResponseRedirect | None:
    """Write a signal down, and lead `back` or to the plan that it opens; None when the form says what is wrong."""
    if not form.is_valid():
        return None
    code = Signal.Code(form.cleaned_data["code"])
    said = {"note": form.cleaned_data["note"], "seen_at": form.cleaned_data["seen_at"]}
    try:
        record_signal(lead=lead, organization=organization, code=code, **said, by=person_of(request), now=now)
    except SignalRefused as error:
        form.add_error("seen_at", str(error))
        return None
    pilot: Pilot | None = getattr(organization, "pilot", None)
    if code in OPENS_TRANSITION and pilot is not None:
        messages.success(request, "Recorded. The transition from pilot to Enterprise is open; nothing was sent.")
        return HttpResponseRedirect(reverse("admin:pilot_plan", args=[pilot.pk]))
    messages.success(request, "Recorded. Nothing was sent, and nothing else has changed.")
    return back
