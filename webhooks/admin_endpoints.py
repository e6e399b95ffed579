"""The pages of the endpoints: the Webhooks tab, one endpoint and what can be done about it, and default secrets."""

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.modes import chips_of, listed_mode
from customers.pages import is_staff, page
from sora2.pages import Page, chips, render, render_once, text_of
from sora2.seen import ChangedMeanwhile
from webhooks import endpoint_pages as pages
from webhooks.endpoint_forms import ReplayForm, RotateForm
from webhooks.endpoints import change_endpoint, send_test
from webhooks.models import DefaultSecret, Delivery, Endpoint, EventType
from webhooks.replay import EndpointDisabled, replay
from webhooks.rotation import rotate_seen, rotate_seen_default

ENABLE_FIRST = "Nothing was sent: the endpoint is disabled. Enable it first."
ROTATED = (
    "Nothing was changed: the secret was rotated after this page was opened, perhaps by the same form, sent twice. "
    "A new secret is shown only once; if it was lost, rotate it again."
)


@require_safe
@page(Permission.WEBHOOKS_READ)
def endpoint_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the endpoints, by customer, mode and state."""
    wanted = pages.WantedEndpoints(
        customer=text_of(request, "customer"), mode=listed_mode(request), state=text_of(request, "state")
    )
    return render(
        request,
        "admin/webhooks/endpoints.html",
        title="Webhooks",
        found=pages.endpoint_list(access, wanted=wanted, cursor=text_of(request, "after"), now=timezone.now()),
        wanted=wanted,
        states=pages.STATES.items(),
        modes=Mode.values,
        by_customer=is_staff(request),
        may_act=access.may(Permission.WEBHOOKS_WRITE),
        chips=chips_of(request, {"state": "State", "mode": "Mode", "customer": "Customer"}),
    )


@require_safe
@page(Permission.WEBHOOKS_READ)
def endpoint(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Show one endpoint: how it does, what follows from it, its deliveries, and what can be done."""
    return _endpoint_page(request, access, endpoint_id)


@require_POST
@page(Permission.WEBHOOKS_WRITE)
def endpoint_test(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Send a test and show its delivery."""
    reached = pages.reached_endpoint(access, endpoint_id=endpoint_id, present=True)
    if not reached.enabled:
        messages.error(request, ENABLE_FIRST)
        return _to(endpoint_id)
    delivery = send_test(endpoint=reached, actor=access.actor, now=timezone.now())
    messages.success(request, "Sent a test. What comes of it shows here in a moment.")
    return HttpResponseRedirect(reverse("admin:delivery", args=[delivery.pk]))


@require_POST
@page(Permission.WEBHOOKS_WRITE)
def endpoint_switch(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Enable an endpoint, or disable it."""
    reached = pages.reached_endpoint(access, endpoint_id=endpoint_id, present=True)
    enabled = request.POST.get("enabled") == "yes"
    try:
        change_endpoint(endpoint=reached, actor=access.actor, enabled=enabled)
    except Endpoint.DoesNotExist as error:  # Deleted at this very moment.
        raise Http404 from error
    if enabled:
        messages.success(request, "Enabled. Send a test; what it has missed is sent only when you replay it.")
    else:
        messages.success(request, "Disabled. What is for it is kept, and can be replayed once it is enabled.")
    return _to(endpoint_id)


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.WEBHOOKS_WRITE)
def endpoint_replay(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Send messages again in three steps: say which, look at how many there are, confirm."""
    reached, now = pages.reached_endpoint(access, endpoint_id=endpoint_id, present=True), timezone.now()
    asked = request.POST if request.method == "POST" else request.GET if "see" in request.GET else None
    form = ReplayForm(asked, endpoint=reached, now=now)
    if asked is None or not form.is_valid():
        return _replay_page(request, reached, form)
    wanted = form.range()
    if request.method != "POST":
        return _replay_page(request, reached, form, wanted=wanted, outcomes=pages.outcomes(wanted))
    try:
        count = replay(wanted=wanted, actor=access.actor, now=now)
    except EndpointDisabled:
        messages.error(request, ENABLE_FIRST)
        return _to(endpoint_id)
    are = "1 message is" if count == 1 else f"{count:,} messages are"
    messages.success(request, f"{are} sent again, from now on. How far that is shows below.")
    return _to(endpoint_id)


@require_POST
@page(Permission.WEBHOOKS_WRITE)
def endpoint_rotate(request: HttpRequest, access: Access, endpoint_id: str) -> HttpResponseBase:
    """Give an endpoint a new secret, and show it this once."""
    reached, form = pages.reached_endpoint(access, endpoint_id=endpoint_id, present=True), RotateForm(request.POST)
    if not form.is_valid():
        return _endpoint_page(request, access, endpoint_id, rotate=form)
    try:
        secret = rotate_seen(endpoint=reached, actor=access.actor, now=timezone.now(), **form.cleaned_data)
    except Endpoint.DoesNotExist as error:
        raise Http404 from error
    except ChangedMeanwhile:
        messages.error(request, ROTATED)
        return _to(endpoint_id)
    reached.refresh_from_db()
    return shown_once(request, secret, of=reached.organization.name, endpoint=reached, row=reached)


@require_safe
@page(Permission.WEBHOOKS_READ)
def default_secret(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Show what is known of an organization's default secret, and the form that rotates it."""
    return _default_page(
        request, access, pages.secret_page(access, organization_id=organization_id, now=timezone.now())
    )


@require_POST
@page(Permission.WEBHOOKS_WRITE)
def default_secret_rotate(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Give an organization a new default secret, and show it this once."""
    now, form = timezone.now(), RotateForm(request.POST)
    found = pages.secret_page(access, organization_id=organization_id, now=now)
    if not form.is_valid():
        return _default_page(request, access, found, rotate=form)
    try:
        secret = rotate_seen_default(organization=found.organization, actor=access.actor, now=now, **form.cleaned_data)
    except DefaultSecret.DoesNotExist as error:
        raise Http404 from error
    except ChangedMeanwhile:
        messages.error(request, ROTATED)
        return HttpResponseRedirect(reverse("admin:default_secret", args=[organization_id]))
    row = DefaultSecret.objects.get(organization=found.organization)
    return shown_once(request, secret, of=found.organization.name, organization=found.organization, row=row)


def _endpoint_page(
    request: HttpRequest, access: Access, endpoint_id: str, *, rotate: RotateForm | None = None
) -> HttpResponseBase:
    """Show an endpoint; a form that was refused comes along."""
    state, event = text_of(request, "state"), text_of(request, "event")
    found = pages.endpoint_page(
        access, endpoint_id=endpoint_id, state=state, event=event, cursor=text_of(request, "after"), now=timezone.now()
    )
    return render(
        request,
        "admin/webhooks/endpoint.html",
        title=f"Endpoint of {found.endpoint.organization}",
        found=found,
        state=found.state,
        endpoint=found.endpoint,
        may_act=access.may(Permission.WEBHOOKS_WRITE) and not found.state.is_deleted,
        rotate=rotate or RotateForm(initial={"seen": found.seen}),
        wanted={"state": state, "event": event},
        states=Delivery.State.values,
        events=EventType.values,
        chips=chips(request, {"state": "State", "event": "Event"}),
    )


def _replay_page(request: HttpRequest, endpoint: Endpoint, form: ReplayForm, **shown: Any) -> HttpResponseBase:
    return render(
        request, "admin/webhooks/replay.html", title="Replay", endpoint=endpoint, form=form, now=form.now, **shown
    )


def _default_page(
    request: HttpRequest, access: Access, found: pages.SecretPage, *, rotate: RotateForm | None = None
) -> HttpResponseBase:
    return render(
        request,
        "admin/webhooks/default_secret.html",
        title=f"Default secret of {found.organization}",
        found=found,
        may_act=access.may(Permission.WEBHOOKS_WRITE) and found.row is not None,
        rotate=rotate or RotateForm(initial={"seen": found.seen}),
    )


def shown_once(request: HttpRequest, secret: str, **shown: Any) -> HttpResponseBase:
    """Show a new secret: of an `endpoint`, or the default one; `row` says what became of the one before."""
    return render_once(request, "admin/webhooks/secret.html", title="A new secret", secret=secret, **shown)


def _to(endpoint_id: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:endpoint", args=[endpoint_id]))


PAGES = [
    Page("webhooks/", endpoint_list, "endpoint_list"),
    Page("webhooks/endpoints/<id:endpoint_id>", endpoint, "endpoint"),
    Page("webhooks/endpoints/<id:endpoint_id>/test", endpoint_test, "endpoint_test"),
    Page("webhooks/endpoints/<id:endpoint_id>/switch", endpoint_switch, "endpoint_switch"),
    Page("webhooks/endpoints/<id:endpoint_id>/replay", endpoint_replay, "endpoint_replay"),
    Page("webhooks/endpoints/<id:endpoint_id>/rotate", endpoint_rotate, "endpoint_rotate"),
    Page("webhooks/secrets/<id:organization_id>", default_secret, "default_secret"),
    Page("webhooks/secrets/<id:organization_id>/rotate", default_secret_rotate, "default_secret_rotate"),
]
