"""The pages on which people make an endpoint, change it, and delete it."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.views.decorators.http import require_http_methods

from customers.access import Access, Permission
from customers.models import Mode
from customers.modes import mode_for_form, mode_of
from customers.pages import own_organizations, page
from sora2.pages import Page, render, text_of
from sora2.seen import ChangedMeanwhile
from webhooks import endpoint_pages as pages
from webhooks.admin_endpoints import shown_once
from webhooks.changing import change_seen, seen_value
from webhooks.endpoint_forms import ChangeForm, EndpointForm
from webhooks.endpoints import TooManyEndpoints, UrlTaken, create_endpoint, delete_endpoint
from webhooks.guarded import ForbiddenTarget
from webhooks.models import Endpoint, Sink
from webhooks.sinks import create_only_sink
from webhooks.snippets import RECEIVERS

CHANGED = {
    "url": "The address is changed. What waits goes there now: send a test.",
    "events": "The events are changed, from now on: what happened before is sent only when you replay it.",
    "description": "The description is changed.",
}
MADE_ALREADY = (
    "No second one was made. If you have just made it: its secret was shown once, after that. If it is lost, rotate it "
    "on that endpoint's page."
)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.WEBHOOKS_WRITE)
def endpoint_new(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Make an endpoint, and show its secret this once."""
    known: dict[str, Any] = {"access": access, "own": own_organizations(request)}
    if request.method != "POST":
        mode = mode_for_form(request, mode_of(request))
        proposed = {"mode": mode, "customer": text_of(request, "organization")}
        return _new_page(request, EndpointForm(initial=proposed, **known))
    if request.POST.get("instead") in Mode.values:
        return _new_page(request, EndpointForm(initial=_in_the_other_mode(request), **known))
    form = EndpointForm(request.POST, at_a_sink="sink" in request.POST and settings.WEBHOOK_SINK_ENABLED, **known)
    made = _made(form, access)
    if made is None:
        return _new_page(request, form)
    endpoint, secret = made
    sink = Sink.objects.filter(endpoint=endpoint).first()
    shown = {"row": endpoint, "is_new": True, "sink": sink, "receivers": RECEIVERS}
    return shown_once(request, secret, of=endpoint.organization.name, endpoint=endpoint, **shown)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.WEBHOOKS_WRITE)
def endpoint_change(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Change the address, the events or the description of an endpoint, each for itself."""
    reached = pages.reached_endpoint(access, endpoint_id=endpoint_id, present=True)
    what = request.POST.get("what", "")
    if request.method != "POST" or what not in ChangeForm.FIELDS:
        return _change_page(request, reached)
    form = ChangeForm(request.POST, name=what)
    if not form.is_valid() or not _changed(form, reached, access):
        return _change_page(request, reached, refused=form)
    messages.success(request, CHANGED[what])
    return HttpResponseRedirect(reverse("admin:endpoint", args=[endpoint_id]))


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.WEBHOOKS_WRITE)
def endpoint_delete(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Say what deleting an endpoint does, and delete it."""
    if request.method != "POST":
        reached = pages.reached_endpoint(access, endpoint_id=endpoint_id, present=True)
        found = pages.at_stake(reached, now=timezone.now())
        return render(request, "admin/webhooks/delete.html", title="Delete an endpoint", endpoint=reached, found=found)
    reached = pages.reached_endpoint(access, endpoint_id=endpoint_id)
    try:
        delete_endpoint(endpoint=reached, actor=access.actor, now=timezone.now())
    except Endpoint.DoesNotExist:
        messages.info(request, "It was deleted before, perhaps by the same form, sent twice.")
    else:
        messages.success(request, "Deleted. Nothing is sent to it any more; its deliveries stay on record.")
    return HttpResponseRedirect(reverse("admin:endpoint", args=[endpoint_id]))


PAGES = [
    Page("webhooks/endpoints/new", endpoint_new, "endpoint_new"),
    Page("webhooks/endpoints/<id:endpoint_id>/change", endpoint_change, "endpoint_change"),
    Page("webhooks/endpoints/<id:endpoint_id>/delete", endpoint_delete, "endpoint_delete"),
]


# --- a new one -----------------------------------------------------------------------------------------------------


def _new_page(request: HttpRequest, form: EndpointForm) -> HttpResponseBase:
    return render(
        request,
        "admin/webhooks/new.html",
        title="New endpoint",
        form=form,
        mode=form["mode"].value() or "",
        other_mode=form.other_mode.value,
        may_be_sink=settings.WEBHOOK_SINK_ENABLED and form["mode"].value() == Mode.TEST,
    )


def _in_the_other_mode(request: HttpRequest) -> dict[str, Any]:
    """Return what was typed, for a form in the mode that is wanted instead."""
    typed = {name: request.POST.get(name, "") for name in ("customer", "url", "description")}
    return {**typed, "events": request.POST.getlist("events"), "mode": request.POST["instead"]}


def _made(form: EndpointForm, access: Access) -> tuple[Endpoint, str] | None:
    """Make the endpoint; None when it was refused, which the form says."""
    if not form.is_valid():
        return None
    said: dict[str, Any] = {"organization": form.organization, "actor": access.actor, **form.said}
    try:
        return create_only_sink(**said)[1:] if form.at_a_sink else create_endpoint(**said)
    except ForbiddenTarget as error:
        form.add_error(None if form.at_a_sink else "url", str(error))
    except UrlTaken as error:
        form.add_error("url", _taken(error, MADE_ALREADY))
    except TooManyEndpoints as error:
        detail = f"There are {error.limit} endpoints in this mode, as many as there may be. Delete one of them first."
        form.add_error(None, detail)
    return None


def _taken(error: UrlTaken, more: str) -> str:
    if error.endpoint_id is None:
        return "Another endpoint had this address a moment ago. Send it again."
    address = reverse("admin:endpoint", args=[error.endpoint_id])
    return format_html('There is <a href="{}">an endpoint at this address</a> already. {}', address, more)


# --- a change ------------------------------------------------------------------------------------------------------


def _change_page(request: HttpRequest, endpoint: Endpoint, *, refused: ChangeForm | None = None) -> HttpResponseBase:
    """Show a form for each field; one that was refused comes with what was typed."""
    shown = {name: _change_form(endpoint, name) for name in ChangeForm.FIELDS}
    if refused is not None:
        shown[refused.name] = refused
    return render(
        request,
        "admin/webhooks/change.html",
        title="Change an endpoint",
        endpoint=endpoint,
        forms=shown,
        found=pages.at_stake(endpoint, now=timezone.now()),
    )


def _change_form(endpoint: Endpoint, name: str) -> ChangeForm:
    initial = {"what": name, "seen": seen_value(endpoint, name), "value": getattr(endpoint, name)}
    return ChangeForm(name=name, initial=initial)


def _changed(form: ChangeForm, endpoint: Endpoint, access: Access) -> bool:
    """Change the field; say at the form why not."""
    said = {**form.cleaned_data}
    try:
        change_seen(endpoint=endpoint, name=form.name, value=said["value"], seen=said["seen"], actor=access.actor)
    except Endpoint.DoesNotExist as error:  # Deleted at this very moment.
        raise Http404 from error
    except ForbiddenTarget as error:
        form.add_error("value", str(error))
    except UrlTaken as error:
        form.add_error("value", _taken(error, "Nothing was changed."))
    except ChangedMeanwhile:
        endpoint.refresh_from_db()
        now = getattr(endpoint, form.name)
        shown = ", ".join(now) if isinstance(now, list) else now or "empty"
        form.add_error(
            "value", f"Nothing was changed: somebody has changed it since you opened this page, to: {shown}."
        )
        # What was typed stays; sent once more, it is meant in spite of that.
        form.data = {**said, "seen": seen_value(endpoint, form.name)}
    return not form.errors
