"""The page of the review after a pilot and of the signals, and the help for sales."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from customers.access import Access, Permission
from customers.pages import page, person_of
from pilots import review, sales_help
from pilots.lead_forms import SignalForm
from pilots.models import Lead, Pilot
from pilots.pages import reached_pilot, record_from
from pilots.review_forms import AnswerForm
from pilots.review_pages import review_page
from sora2.pages import Page, render


@require_safe
@page(Permission.PILOTS_READ)
def pilot_review(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Show the review after a pilot, and the signals."""
    return _review_page(request, access, reached_pilot(access, pilot_id=pilot_id))


@require_POST
@page(Permission.PILOTS_WRITE)
def review_answer(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Record what somebody of the customer has answered to a question."""
    pilot = reached_pilot(access, pilot_id=pilot_id)
    question = review.BY_CODE.get(request.POST.get("question", ""))
    if question is None:
        # There is no form for what is not to be asked: whoever sends one anyway is told so.
        return _review_page(request, access, pilot, fault="Nothing was recorded: this is not asked in a review.")
    form = AnswerForm(request.POST, question=question)
    if not form.is_valid():
        return _review_page(request, access, pilot, answer=form)
    answer = review.record_answer(
        pilot=pilot,
        question=question.code,
        answer=form.answered,
        answered_by=form.cleaned_data["answered_by"],
        by=person_of(request),
        now=timezone.now(),
    )
    if question.code == review.UNEXPLAINED_MONEY and review.is_yes(answer):
        messages.warning(request, "Recorded. Money that is unexplained comes first: look at the checks now.")
    else:
        messages.success(request, "Recorded.")
    return _to(pilot)


@require_POST
@page(Permission.PILOTS_WRITE)
def signal_record(request: HttpRequest, access: Access, pilot_id: str) -> HttpResponseBase:
    """Write down a signal of a customer; one that opens the transition leads to the plan."""
    pilot, now = reached_pilot(access, pilot_id=pilot_id), timezone.now()
    form = SignalForm(request.POST, now=now)
    lead = Lead.objects.filter(organization=pilot.organization).first()
    done = record_from(request, form, lead=lead, organization=pilot.organization, back=_to(pilot), now=now)
    return done or _review_page(request, access, pilot, signal=form)


@require_safe
@page(Permission.PILOTS_READ)
def show_sales_help(request: HttpRequest, access: Access) -> HttpResponseBase:  # noqa: ARG001 - every page is given it.
    """Show what to say, and what not."""
    return render(request, "admin/pilots/sales_help.html", title="What to say", help=sales_help.everything())


PAGES = [
    Page("pilots/<id:pilot_id>/review", pilot_review, "pilot_review"),
    Page("pilots/<id:pilot_id>/review/answer", review_answer, "review_answer"),
    Page("pilots/<id:pilot_id>/review/signal", signal_record, "signal_record"),
    Page("pilots/help", show_sales_help, "sales_help"),
]


def _review_page(
    request: HttpRequest,
    access: Access,
    pilot: Pilot,
    *,
    fault: str = "",
    answer: AnswerForm | None = None,
    signal: SignalForm | None = None,
) -> HttpResponseBase:
    """Show the review; a form that was refused comes along."""
    return render(
        request,
        "admin/pilots/review.html",
        status=422 if fault or answer or signal else 200,
        title=f"Pilot of {pilot.organization}",
        pilot=pilot,
        tab="review",
        found=review_page(pilot, refused=answer),
        signal=signal or SignalForm(now=timezone.now()),
        fault=fault,
        help=sales_help.everything(),
        may_act=access.may(Permission.PILOTS_WRITE),
    )


def _to(pilot: Pilot) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:pilot_review", args=[pilot.pk]))
