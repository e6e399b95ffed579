"""The pages of pilots: the list, one pilot by its criteria, its failures, its end."""

from typing import Any

from django.contrib import messages
from django.forms import Form
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from customers.access import Access, Permission
from customers.pages import page, person_of
from pilots import pilot_acts
from pilots import pilot_pages as pages
from pilots.criteria import CRITERIA, Status, judge
from pilots.models import Pilot
from pilots.pages import reached_pilot
from pilots.pilot_forms import CloseForm, FailureForm, StartForm, WithdrawForm
from sora2.pages import Page, chips, render, text_of


@require_safe
@page(Permission.PILOTS_READ)
def pilot_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the pilots, by how they stand."""
    wanted = pages.Wanted(status=text_of(request, "status"), customer=text_of(request, "customer"))
    return render(
        request,
        "admin/pilots/pilot_list.html",
        title="Pilots",
        found=pages.pilot_list(access, wanted=wanted, cursor=text_of(request, "after"), now=timezone.now()),
        wanted=wanted,
        statuses=[status.value for status in Status],
        criteria=CRITERIA,
        may_act=access.may(Permission.PILOTS_WRITE),
        chips=chips(request, {"status": "Status", "customer": "Customer"}),
    )


@require_safe
@page(Permission.PILOTS_READ)
def pilot(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show how one pilot stands, by which evidence, and how to help."""
    return _pilot_page(request, access, reached_pilot(access, pilot_id=pilot_id))


@require_POST
@page(Permission.PILOTS_WRITE)
def pilot_failure(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Record that a pilot has failed by one of the conditions that people see."""
    pilot, now = reached_pilot(access, pilot_id=pilot_id), timezone.now()
    form = FailureForm(request.POST, failures=judge(pilot=pilot, now=now).failures)
    if not form.is_valid():
        return _pilot_page(request, access, pilot, failure_form=form)
    given = {"condition": form.cleaned_data["condition"], "note": form.cleaned_data["note"]}
    try:
        done = pilot_acts.record_failure(pilot=pilot, **given, by=person_of(request), now=now)
    except pilot_acts.PilotRefused as error:
        return _back(request, pilot, fault=str(error))
    return _back(request, pilot, done="Recorded." if done else "It was recorded already: nothing was changed.")


@require_POST
@page(Permission.PILOTS_WRITE)
def pilot_failure_withdraw(request: HttpRequest, access: Access, pilot_id: str, failure_id: int) -> HttpResponseBase:
    """Take a recorded failure back."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    failure, form = pages.reached_failure(pilot, failure_id=failure_id), WithdrawForm(request.POST)
    if not form.is_valid():
        return _pilot_page(request, access, pilot, withdraw_form=form, withdraws=failure.pk)
    reason = form.cleaned_data["reason"]
    try:
        done = pilot_acts.withdraw_failure(failure=failure, reason=reason, by=person_of(request), now=timezone.now())
    except pilot_acts.PilotRefused as error:
        return _back(request, pilot, fault=str(error))
    return _back(request, pilot, done="Withdrawn." if done else "It was withdrawn already: nothing was changed.")


@require_POST
@page(Permission.PILOTS_WRITE)
def pilot_start(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Let the clock begin at another time, before it has begun."""
    pilot, now = reached_pilot(access, pilot_id=pilot_id), timezone.now()
    form = StartForm(request.POST, now=now)
    if not form.is_valid():
        return _pilot_page(request, access, pilot, start_form=form)
    given = {"at": form.cleaned_data["at"], "reason": form.cleaned_data["reason"]}
    try:
        done = pilot_acts.move_start(pilot=pilot, **given, by=person_of(request), now=now)
    except pilot_acts.PilotRefused as error:
        form.add_error("at", str(error))
        return _pilot_page(request, access, pilot, start_form=form)
    return _back(request, pilot, done="Moved." if done else "It begins then already: nothing was changed.")


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_WRITE)
def pilot_close(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show what closing a pilot keeps of it, and close it."""
    pilot, now = reached_pilot(access, pilot_id=pilot_id), timezone.now()
    if request.method != "POST":
        return _close_page(request, access, pilot)
    form = CloseForm(request.POST)
    if not form.is_valid():
        return _close_page(request, access, pilot, form=form)
    given = {"seen": form.cleaned_data["seen"], "lesson": form.cleaned_data["lesson"]}
    try:
        done = pilot_acts.close_pilot(pilot=pilot, **given, by=person_of(request), now=now)
    except pilot_acts.PilotRefused as error:
        return _back(request, pilot, fault=f"Nothing was changed. {error}")
    return _back(request, pilot, done="Closed." if done else "It was closed already: nothing was changed.")


_AT = "pilots/<id:pilot_id>"
PAGES = [
    Page("pilots/", pilot_list, "pilot_list"),
    Page(_AT, pilot, "pilot"),
    Page(f"{_AT}/start", pilot_start, "pilot_start"),
    Page(f"{_AT}/failures", pilot_failure, "pilot_failure"),
    Page(f"{_AT}/failures/<int:failure_id>/withdraw", pilot_failure_withdraw, "pilot_failure_withdraw"),
    Page(f"{_AT}/close", pilot_close, "pilot_close"),
]


def _pilot_page(request: HttpRequest, access: Access, pilot: Pilot, **forms: Any) -> HttpResponseBase:
    """Show a pilot; a form that was refused comes along."""
    now = timezone.now()
    found = pages.pilot_page(access, pilot, now=now)
    given = {
        "failure_form": FailureForm(failures=found.judgement.failures),
        "withdraw_form": WithdrawForm(),
        "start_form": StartForm(now=now, initial={"at": pilot.activated_at}),
        **forms,
    }
    return _page(request, "pilot", pilot, found, status=422 if forms else 200, **given)


def _close_page(request: HttpRequest, access: Access, pilot: Pilot, *, form: Form | None = None) -> HttpResponseBase:
    """Show what closing does; a form that was refused comes along."""
    found = pages.pilot_page(access, pilot, now=timezone.now())
    fresh = CloseForm(initial={"seen": found.judgement.status})
    return _page(request, "pilot_close", pilot, found, status=422 if form else 200, form=form or fresh)


def _page(
    request: HttpRequest, name: str, pilot: Pilot, found: pages.PilotPage, *, status: int, **given: Any
) -> HttpResponseBase:
    return render(
        request,
        f"admin/pilots/{name}.html",
        status=status,
        title=f"Pilot of {pilot.organization}",
        pilot=pilot,
        tab="pilot",
        found=found,
        judged=found.judgement,
        **given,
    )


def _back(request: HttpRequest, pilot: Pilot, *, done: str = "", fault: str = "") -> HttpResponseRedirect:
    if fault:
        messages.error(request, fault)
    else:
        messages.success(request, done)
    return HttpResponseRedirect(reverse("admin:pilot", args=[pilot.pk]))
