"""The pages on which a pilot becomes an enterprise and an enterprise gets new terms, with how these came about."""

from dataclasses import dataclass
from functools import partial
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.account_pages import reached_organization
from customers.models import Organization
from customers.pages import page, person_of, refused
from customers.plans import change_plan
from pilots.models import Pilot
from pilots.pages import reached_pilot
from pilots.plan_forms import PlanForm
from pilots.plan_pages import PlanPage, effect_of, plan_page
from pilots.upgrading import upgrade
from sora2.pages import Page, render
from sora2.seen import ChangedMeanwhile


@dataclass(frozen=True)
class _Place:
    """Where a plan is shown: beside its pilot, or beside its account."""

    organization: Organization
    pilot: Pilot | None

    @property
    def frame(self) -> dict[str, Any]:
        """Return what the tabs around it need."""
        shown = {"organization": self.organization, "tab": "plan"}
        return {**shown, "pilot": self.pilot} if self.pilot else shown

    @property
    def template(self) -> str:
        return "admin/pilots/plan.html" if self.pilot else "admin/customers/plan.html"

    @property
    def address(self) -> str:
        if self.pilot:
            return reverse("admin:pilot_plan", args=[self.pilot.pk])
        return reverse("admin:customer_plan", args=[self.organization.pk])


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_READ)
def pilot_plan(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show a pilot's plan, its terms and how they came about; a POST makes it an enterprise, in two steps."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    return _answer(request, access, _Place(pilot.organization, pilot))


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.PILOTS_READ)
def customer_plan(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show the same of any customer."""
    return _answer(request, access, _Place(reached_organization(access, organization_id=organization_id), None))


PAGES = [
    Page("pilots/<id:pilot_id>/plan", pilot_plan, "pilot_plan"),
    Page("customers/<id:organization_id>/plan", customer_plan, "customer_plan"),
]


def _answer(request: HttpRequest, access: Access, place: _Place) -> HttpResponseBase:
    found, may_act = plan_page(place.organization), access.may(Permission.PILOTS_WRITE)
    if request.method != "POST":
        form = _form(found) if may_act and not found.why_not else None
        return _show(request, place, found, form=form, may_act=may_act)
    if not may_act:
        return refused(request, Permission.PILOTS_WRITE)
    if found.why_not:
        messages.error(request, f"Nothing was changed. {found.why_not}")
        return _show(request, place, found, may_act=True, status=409)
    form = _form(found, request.POST)
    if not form.is_valid():
        return _show(request, place, found, form=form, may_act=True, status=422)
    step = request.POST.get("step", "")
    if step == "confirm":
        return _agree(request, place, found, form)
    effect = None if step == "change" else effect_of(found, form.terms(), now=timezone.now())
    return _show(request, place, found, form=form, may_act=True, effect=effect)


def _agree(request: HttpRequest, place: _Place, found: PlanPage, form: PlanForm) -> HttpResponseBase:
    """Agree on what was shown: once, however often it is confirmed."""
    given = {name: form.cleaned_data[name] for name in ("contract_reference", "reason", "seen")}
    lesson = form.cleaned_data.get("lesson", "")
    act = partial(upgrade, lesson=lesson) if found.is_pilot else change_plan
    try:
        changed = act(
            organization=place.organization,
            terms=form.terms(),
            by=person_of(request),
            now=timezone.now(),
            **given,
        )
    except ChangedMeanwhile:
        place.organization.refresh_from_db()
        found = plan_page(place.organization)
        again = _form(found, {**request.POST.dict(), "seen": found.agreement.seen})
        return _show(request, place, found, form=again, may_act=True, meanwhile=True, status=409)
    done = "Done: the terms hold from the next request on."
    messages.success(request, done if changed else "Nothing to change: this is how it is agreed.")
    return HttpResponseRedirect(place.address)


def _form(found: PlanPage, *given: Any) -> PlanForm:
    closes = found.is_pilot and found.pilot is not None and found.pilot.closed_at is None
    return PlanForm(*given, agreement=found.agreement, closes_pilot=closes)


def _show(
    request: HttpRequest,
    place: _Place,
    found: PlanPage,
    *,
    may_act: bool,
    form: PlanForm | None = None,
    status: int = 200,
    **shown: Any,
) -> HttpResponseBase:
    return render(
        request,
        place.template,
        status=status,
        title=f"Plan of {place.organization}",
        found=found,
        form=form,
        may_act=may_act,
        support=settings.SUPPORT_EMAIL,
        **place.frame,
        **shown,
    )
