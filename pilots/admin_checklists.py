"""The pages of checklists: of a pilot, both sides, and the preflight."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from customers.access import Access, Permission
from customers.pages import is_staff, page, person_of
from pilots import preflight, ticking
from pilots.checklist_facts import Facts
from pilots.checklist_items import THEIRS
from pilots.checklists import Sides, checklists, item_of
from pilots.criteria import judge
from pilots.models import Pilot, Tick
from pilots.pages import reached_pilot
from pilots.pilot_block import MAY_TICK
from pilots.preflight_pages import preflights
from sora2.pages import Page, line_of, render, text_of, with_query

NOTE_MAX = 600


@require_safe
@page(Permission.PILOTS_READ)
def pilot_checklists(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show the checklists of both sides."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    facts = Facts(judge(pilot=pilot, now=timezone.now()))
    ticks = tuple(Tick.Side) if access.may(Permission.PILOTS_WRITE) else ()
    return render(
        request,
        "admin/pilots/checklists.html",
        title=f"Pilot of {pilot.organization}",
        pilot=pilot,
        tab="checklists",
        groups=checklists(facts, shown=access, ticks=ticks),
        facts=facts,
        note_max=NOTE_MAX,
    )


@require_POST
@page(Permission.PILOTS_WRITE)
def pilot_tick(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Tick a line of either side, or take its tick back."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    _tick(request, pilot, sides=tuple(Tick.Side))
    return HttpResponseRedirect(reverse("admin:pilot_checklists", args=[pilot.pk]))


@require_POST
@page(*MAY_TICK)
def own_tick(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Tick a line of the customer's side, or take its tick back: for the customer's own people, on their start page."""
    if is_staff(request):
        raise Http404
    pilot = reached_pilot(access, pilot_id=pilot_id)
    _tick(request, pilot, sides=(THEIRS,))
    return HttpResponseRedirect(f"{with_query('admin:index', organization=pilot.organization_id)}#to-do")


@require_safe
@page(Permission.PILOTS_READ)
def preflight_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the runs of the preflight, and one of them check by check."""
    found = preflights(run=text_of(request, "run"), cursor=text_of(request, "after"), now=timezone.now())
    may_run = access.may(Permission.PILOTS_WRITE)
    return render(request, "admin/pilots/preflight_list.html", title="Preflight", found=found, may_run=may_run)


@require_POST
@page(Permission.PILOTS_WRITE)
def preflight_run(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Ask for a run of the preflight, unless one waits or runs."""
    _, is_new = preflight.ask(by=access.actor, now=timezone.now())
    if not is_new:
        messages.info(request, "One waits or runs already: it is the one that is shown.")
    return HttpResponseRedirect(reverse("admin:preflight_list"))


def _tick(request: HttpRequest, pilot: Pilot, *, sides: Sides) -> None:
    """Do what the form of a line asks for. Raises Http404 for a line that is none of these sides, or of no person."""
    item = item_of(request.POST.get("item", ""), sides)
    if item is None:
        raise Http404
    by, now = person_of(request), timezone.now()
    if request.POST.get("act") == "undo":
        done = ticking.undo(pilot=pilot, item=item, by=by, now=now)
        said = f"Taken back: {item.words}." if done else "Nothing was changed: it was taken back before."
    else:
        note = line_of(request, "note")[:NOTE_MAX]
        done = ticking.tick(pilot=pilot, item=item, by=by, now=now, note=note)
        said = f"Ticked: {item.words}." if done else "Nothing was changed: it was ticked before."
    messages.success(request, said)


PAGES = [
    Page("pilots/<id:pilot_id>/checklists", pilot_checklists, "pilot_checklists"),
    Page("pilots/<id:pilot_id>/checklists/tick", pilot_tick, "pilot_tick"),
    Page("pilots/<id:pilot_id>/own-checklist/tick", own_tick, "own_tick"),
    Page("pilots/preflight", preflight_list, "preflight_list"),
    Page("pilots/preflight/run", preflight_run, "preflight_run"),
]
