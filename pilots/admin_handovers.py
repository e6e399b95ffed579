"""The tab of a pilot on which its secrets are handed over, again or anew. A link is shown once, when it is made."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from customers.access import Access, Permission
from customers.handing_over import (
    HandoverUseless,
    SignedInBefore,
    link_of,
    renew,
    withdraw,
)
from customers.issuing import KEYS_MOST, MadeBefore, TooManyKeys
from customers.models import Handover, Mode, Plan
from customers.pages import page
from pilots import handover_pages as pages
from pilots.handing_anew import UnderContract, new_key, new_password
from pilots.models import Pilot
from pilots.pages import reached_pilot
from pilots.provisioning_forms import KeyHandoverForm
from sora2.pages import Page, render, render_once

GONE = "Nothing was changed: it was revealed, withdrawn or wiped meanwhile. Make a new key and hand that over."
MADE_BEFORE = "Nothing was made now: the same form has made its key before. If its link was lost, make a new one."
IN_USE = (
    "Nothing was changed: somebody of theirs has signed in already. Whoever lost their password asks an administrator "
    "of theirs for a link to set a new one; a superuser can make it too."
)
UNDER_CONTRACT = (
    "Nothing was made: this customer is under contract. Its own administrators make its keys and let its people in; "
    "whoever of them is locked out is let in again by a superuser."
)


@require_safe
@page(Permission.PILOTS_READ)
def pilot_handovers(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show what was handed over to a pilot's customer, and what became of it."""
    pilot, now = reached_pilot(access, pilot_id=pilot_id), timezone.now()
    asked = {"name": "Pilot, again", "expires_at": pages.usual_end(pilot, now)}
    return _tab(request, access, pilot, KeyHandoverForm(initial=asked, now=now))


@require_POST
@page(Permission.PILOTS_WRITE)
def handover_renew(request: HttpRequest, access: Access, pilot_id: str, handover_id: str) -> HttpResponseBase:
    """Make a new link for what nobody has revealed yet, and show it this once."""
    pilot, handover = pages.reached_handover(access, pilot_id=pilot_id, handover_id=handover_id)
    try:
        token = renew(handover=handover, actor=access.actor, now=timezone.now())
    except HandoverUseless:
        messages.error(request, GONE)
        return _back(pilot)
    handover.refresh_from_db()
    return _link(request, pilot, handover, token)


@require_POST
@page(Permission.PILOTS_WRITE)
def handover_withdraw(request: HttpRequest, access: Access, pilot_id: str, handover_id: str) -> HttpResponseBase:
    """Wipe what nobody has revealed yet."""
    pilot, handover = pages.reached_handover(access, pilot_id=pilot_id, handover_id=handover_id)
    if withdraw(handover=handover, actor=access.actor, now=timezone.now()):
        messages.success(request, f"Withdrawn: the link to “{handover.title}” opens nothing any more.")
    else:
        messages.error(request, GONE)
    return _back(pilot)


@require_POST
@page(Permission.PILOTS_WRITE)
def handover_new_key(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Make a new key for the customer, and show the link to it this once. The secret is shown to nobody of us."""
    pilot, now = reached_pilot(access, pilot_id=pilot_id), timezone.now()
    form = KeyHandoverForm(request.POST, now=now)
    if not form.is_valid():
        return _tab(request, access, pilot, form)
    try:
        handover, token = new_key(
            pilot=pilot,
            mode=Mode(form.cleaned_data["mode"]),
            order=form.order(),
            key_id=form.cleaned_data["token"],
            actor=access.actor,
            now=now,
        )
    except UnderContract:
        messages.error(request, UNDER_CONTRACT)
        return _back(pilot)
    except MadeBefore:
        messages.info(request, MADE_BEFORE)
        return _back(pilot)
    except TooManyKeys:
        form.add_error("mode", f"There are {KEYS_MOST} usable keys in this mode, the most there can be.")
        return _tab(request, access, pilot, form)
    return _link(request, pilot, handover, token)


@require_POST
@page(Permission.PILOTS_WRITE)
def handover_new_password(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Replace the first password of a customer of whom nobody has signed in yet, and show the link to it this once."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    try:
        made = new_password(pilot=pilot, actor=access.actor, now=timezone.now())
    except UnderContract:
        messages.error(request, UNDER_CONTRACT)
        return _back(pilot)
    except SignedInBefore:
        messages.error(request, IN_USE)
        return _back(pilot)
    return _link(request, pilot, *made)


_AT = "pilots/<id:pilot_id>/handovers"
PAGES = [
    Page(_AT, pilot_handovers, "pilot_handovers"),
    Page(f"{_AT}/new-key", handover_new_key, "handover_new_key"),
    Page(f"{_AT}/new-password", handover_new_password, "handover_new_password"),
    Page(f"{_AT}/<id:handover_id>/renew", handover_renew, "handover_renew"),
    Page(f"{_AT}/<id:handover_id>/withdraw", handover_withdraw, "handover_withdraw"),
]


def _tab(request: HttpRequest, access: Access, pilot: Pilot, form: KeyHandoverForm) -> HttpResponseBase:
    return render(
        request,
        "admin/pilots/handovers.html",
        status=422 if form.errors else 200,
        title=f"Handed over to {pilot.organization}",
        pilot=pilot,
        tab="handovers",
        rows=pages.handed_over(access, pilot, now=timezone.now()),
        form=form,
        may_act=access.may(Permission.PILOTS_WRITE),
        may_make=access.may(Permission.PILOTS_WRITE) and pilot.organization.plan == Plan.PILOT,
    )


def _link(request: HttpRequest, pilot: Pilot, handover: Handover, token: str) -> HttpResponseBase:
    return render_once(
        request,
        "admin/pilots/handover_link.html",
        title="A new link",
        pilot=pilot,
        tab="handovers",
        handover=handover,
        address=link_of(token),
    )


def _back(pilot: Pilot) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:pilot_handovers", args=[pilot.pk]))
