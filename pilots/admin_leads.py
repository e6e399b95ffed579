"""The pages of leads: the list by stages, a new one, one lead, and what is done about it."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from customers.access import Access, Permission
from customers.pages import page, person_of
from pilots import lead_pages as pages
from pilots import leads, sales_help
from pilots.lead_forms import STAGES, ContactForm, LeadForm, LostForm, MoveForm, NoteForm, SignalForm
from pilots.models import Lead
from pilots.pages import reached_lead, record_from
from sora2.ids import is_id
from sora2.pages import Page, chips, render, text_of
from sora2.seen import ChangedMeanwhile, seen_name


@require_safe
@page(Permission.PILOTS_READ)
def lead_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the leads by their stages."""
    stage, show = text_of(request, "stage"), text_of(request, "show")
    wanted = pages.Wanted(
        stage=stage if stage in STAGES else "", lost=show == "lost", customer=text_of(request, "customer")
    )
    return render(
        request,
        "admin/pilots/lead_list.html",
        title="Leads",
        found=pages.lead_list(access, wanted=wanted, cursor=text_of(request, "after")),
        wanted=wanted,
        may_act=access.may(Permission.PILOTS_WRITE),
        chips=chips(request, {"stage": "Stage", "show": "Show", "customer": "Customer"}),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_WRITE)
def lead_new(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Make a lead; of a company or an e-mail that there is already, only once that was seen."""
    if request.method != "POST":
        return _new_page(request, LeadForm(), Lead().pk)
    form, pk = LeadForm(request.POST), request.POST.get("pk", "")
    pk = pk if is_id(pk, "lea") else Lead().pk
    if not form.is_valid():
        return _new_page(request, form, pk, status=422)
    contact = {name: form.cleaned_data[name] for name in leads.CONTACT}
    same = leads.alike(company=contact["company"], contact_email=contact["contact_email"], beside=pk)
    if same and request.POST.get("step") != "confirm":
        return _new_page(request, form, pk, same=same)
    draft = Lead(pk=pk, **contact)
    made = leads.create_lead(draft=draft, note=form.cleaned_data["note"], by=person_of(request), now=timezone.now())
    messages.success(request, f"Made: {made.company} stands at cold mail.")
    return _to(made)


@require_safe
@page(Permission.PILOTS_READ)
def lead(request: HttpRequest, access: Access, lead_id: str) -> HttpResponseBase:
    """Show a lead: how it came here, what was written and seen, and what to say now."""
    return _lead_page(request, access, reached_lead(access, lead_id=lead_id))


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_WRITE)
def lead_change(request: HttpRequest, access: Access, lead_id: str) -> HttpResponseBase:
    """Change the company's name or the contact."""
    found = reached_lead(access, lead_id=lead_id)
    contact = leads.contact_of(found)
    if request.method != "POST":
        return _change_page(request, found, ContactForm(initial=contact), seen_name(contact))
    form, seen = ContactForm(request.POST), request.POST.get("seen", "")
    if not form.is_valid():
        return _change_page(request, found, form, seen, status=422)
    try:
        changed = leads.change_contact(lead=found, contact=form.cleaned_data, seen=seen, by=person_of(request))
    except ChangedMeanwhile:
        form.add_error(None, f"It was changed meanwhile, to: {', '.join(contact.values())}. Save again to set yours.")
        return _change_page(request, found, form, seen_name(contact), status=422)
    messages.success(request, "Saved." if changed else "Nothing was changed.")
    return _to(found)


@require_POST
@page(Permission.PILOTS_WRITE)
def lead_move(request: HttpRequest, access: Access, lead_id: str) -> HttpResponseBase:
    """Move a lead to another stage."""
    found = reached_lead(access, lead_id=lead_id)
    form = MoveForm(request.POST, lead=found)
    if not form.is_valid():
        return _lead_page(request, access, found, move=form)
    stage = Lead.Stage(form.cleaned_data["stage"])
    given = {"seen": request.POST.get("seen", ""), "note": form.cleaned_data["note"]}
    try:
        leads.move(lead=found, stage=stage, by=person_of(request), now=timezone.now(), **given)
    except leads.LeadRefused as error:
        form.add_error(None, str(error))
        return _lead_page(request, access, found, move=form)
    messages.success(request, f"Moved: {found.company} is at {STAGES[stage]}.")
    return _to(found)


@require_POST
@page(Permission.PILOTS_WRITE)
def lead_note(request: HttpRequest, access: Access, lead_id: str) -> HttpResponseBase:
    """Write something down about a lead."""
    found, form = reached_lead(access, lead_id=lead_id), NoteForm(request.POST)
    if not form.is_valid():
        return _lead_page(request, access, found, note=form)
    leads.note_down(lead=found, note=form.cleaned_data["note"], by=person_of(request), now=timezone.now())
    messages.success(request, "Written down.")
    return _to(found)


@require_POST
@page(Permission.PILOTS_WRITE)
def lead_lost(request: HttpRequest, access: Access, lead_id: str) -> HttpResponseBase:
    """Give a lead up, or take it up again: what the form says."""
    found, form = reached_lead(access, lead_id=lead_id), LostForm(request.POST)
    if not form.is_valid():
        return _lead_page(request, access, found, lost=form)
    reason, by, now = form.cleaned_data["reason"], person_of(request), timezone.now()
    try:
        if request.POST.get("lost") == "no":
            changed, done = leads.take_up(lead=found, note=reason, by=by, now=now), "Taken up again."
        else:
            changed, done = leads.lose(lead=found, reason=reason, by=by, now=now), "Lost, with your reason."
    except leads.LeadRefused as error:
        form.add_error("reason", str(error))
        return _lead_page(request, access, found, lost=form)
    messages.success(request, done if changed else "Nothing was changed: it was so before.")
    return _to(found)


@require_POST
@page(Permission.PILOTS_WRITE)
def lead_signal(request: HttpRequest, access: Access, lead_id: str) -> HttpResponseBase:
    """Write down a signal of a lead, and of the customer that it became."""
    found, now = reached_lead(access, lead_id=lead_id), timezone.now()
    form = SignalForm(request.POST, now=now)
    done = record_from(request, form, lead=found, organization=found.organization, back=_to(found), now=now)
    return done or _lead_page(request, access, found, signal=form)


PAGES = [
    Page("leads/", lead_list, "lead_list"),
    Page("leads/new", lead_new, "lead_new"),
    Page("leads/<id:lead_id>", lead, "lead"),
    Page("leads/<id:lead_id>/change", lead_change, "lead_change"),
    Page("leads/<id:lead_id>/move", lead_move, "lead_move"),
    Page("leads/<id:lead_id>/note", lead_note, "lead_note"),
    Page("leads/<id:lead_id>/lost", lead_lost, "lead_lost"),
    Page("leads/<id:lead_id>/signals", lead_signal, "lead_signal"),
]


def _new_page(request: HttpRequest, form: LeadForm, pk: str, *, status: int = 200, **shown: Any) -> HttpResponseBase:
    return render(request, "admin/pilots/lead_new.html", status=status, title="A new lead", form=form, pk=pk, **shown)


def _change_page(
    request: HttpRequest, found: Lead, form: ContactForm, seen: str, *, status: int = 200
) -> HttpResponseBase:
    return render(
        request,
        "admin/pilots/lead_change.html",
        status=status,
        title=f"Contact of {found.company}",
        lead=found,
        form=form,
        seen=seen,
    )


def _lead_page(request: HttpRequest, access: Access, found: Lead, **refused: Any) -> HttpResponseBase:
    """Show a lead; a form that was refused comes along by its name."""
    forms = {
        "move": MoveForm(lead=found),
        "note": NoteForm(),
        "lost": LostForm(),
        "signal": SignalForm(now=timezone.now()),
    }
    return render(
        request,
        "admin/pilots/lead.html",
        status=422 if refused else 200,
        title=found.company,
        lead=found,
        found=pages.lead_page(found, why_not_moved=leads.why_not_moved(found)),
        help=sales_help.for_stage(found.stage),
        forms=forms | refused,
        may_act=access.may(Permission.PILOTS_WRITE),
    )


def _to(found: Lead) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:lead", args=[found.pk]))
