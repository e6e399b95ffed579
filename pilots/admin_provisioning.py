"""The page on which a pilot is provisioned. What becomes of its secrets is pilots.admin_handovers."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.models import Organization
from customers.pages import page
from ledger.models import PILOT_CREDITS_MAX
from pilots.models import Lead, Preflight
from pilots.orders import PilotOrder, basis_of
from pilots.provisioning_forms import PilotForm
from pilots.services import SANDBOX_CREDITS, InvalidPilot, PilotMadeBefore, provision_pilot
from sora2.pages import Page, render, render_once, text_of
from webhooks.guarded import ForbiddenTarget

MADE_BEFORE = (
    "Nothing was made now: this is the pilot that the same form has made before. Its links were shown once; if they "
    "were lost, make new ones here."
)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_WRITE)
def pilot_new(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Provision a pilot in two steps: say what, look at the effect in figures, confirm."""
    now, lead = timezone.now(), _lead(request)
    preflight = Preflight.objects.fresh(now).first()
    fresh = preflight is not None
    if request.method != "POST":
        return _form(request, PilotForm(initial=_of_lead(lead), lead=lead, fresh=fresh, now=now), preflight)
    form = PilotForm(request.POST, lead=lead, fresh=fresh, now=now)
    step = request.POST.get("step", "")
    if not form.is_valid() or step == "change":
        return _form(request, form, preflight)
    if step == "confirm":
        return _provision(request, access, form, preflight, now)
    return _preview(request, form, preflight, now)


PAGES = [
    Page("pilots/new", pilot_new, "pilot_new"),
]


def _lead(request: HttpRequest) -> Lead | None:
    """Return the lead whose pilot it is to be, if one is named. Raises Http404."""
    named = text_of(request, "lead")
    return get_object_or_404(Lead, pk=named) if named else None


def _of_lead(lead: Lead | None) -> dict[str, str]:
    if lead is None:
        return {}
    return {"name": lead.company, "contact": lead.contact_email, "technical_emails": lead.contact_email}


def _form(
    request: HttpRequest, form: PilotForm, preflight: Preflight | None, *, order: PilotOrder | None = None, **shown: Any
) -> HttpResponseBase:
    return render(
        request,
        "admin/pilots/pilot_new.html",
        status=422 if form.errors else 200,
        title="Provision a pilot",
        form=form,
        lead=form.lead,
        preflight=preflight,
        order=order,
        most=PILOT_CREDITS_MAX,
        sandbox=SANDBOX_CREDITS,
        **shown,
    )


def _preview(request: HttpRequest, form: PilotForm, preflight: Preflight | None, now: datetime) -> HttpResponseBase:
    """Show what would be made, or why it cannot be."""
    order = form.order()
    try:
        basis_of(order, now=now)
    except InvalidPilot as error:
        form.blame(error.field, str(error))
        return _form(request, form, preflight)
    same = Organization.objects.filter(name__iexact=order.name).first()
    return _form(request, form, preflight, order=order, starts=order.starts(now), ends=order.ends(now), same=same)


def _provision(
    request: HttpRequest, access: Access, form: PilotForm, preflight: Preflight | None, now: datetime
) -> HttpResponseBase:
    """Make what was shown, and show the links to its secrets this once."""
    pilot_id = form.cleaned_data["token"]
    try:
        made = provision_pilot(order=form.order(), actor=access.actor, now=now, pilot_id=pilot_id, by_link=True)
    except PilotMadeBefore:
        messages.info(request, MADE_BEFORE)
        return HttpResponseRedirect(reverse("admin:pilot_handovers", args=[pilot_id]))
    except (InvalidPilot, ForbiddenTarget) as error:
        form.blame(error.field if isinstance(error, InvalidPilot) else "webhook_url", str(error))
        return _form(request, form, preflight)
    return render_once(
        request,
        "admin/pilots/provisioned.html",
        title="The pilot is made",
        pilot=made.pilot,
        links=made.links,
        tab="handovers",
    )
