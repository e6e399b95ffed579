"""The pages of the routes, for our own people: how each does, pausing one, its limits, and where it goes."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from batches import offering
from batches.models import ProviderRoute
from batches.offering_history import OF_ROUTES, history
from batches.route_forms import LimitsForm, ProviderForm
from batches.route_pages import RouteState, all_routes, route_state
from customers.access import Access, Permission
from customers.pages import page, refuse_customers
from sora2.pages import Page, line_of, render, text_of


@require_safe
@page(Permission.BATCHES_READ)
def route_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show every route, how it does, and how much it has to do."""
    refuse_customers(request)
    return render(
        request,
        "admin/catalogue/routes.html",
        title="Routes",
        states=all_routes(now=timezone.now()),
        may_make=access.may(Permission.ROUTES_WRITE),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.ROUTES_WRITE)
def route_new(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Make a route. Models take it once they are changed to."""
    refuse_customers(request)
    if request.method != "POST":
        return _new_page(request, ProviderForm(route=ProviderRoute()))
    form = ProviderForm(request.POST, route=ProviderRoute())
    if not form.is_valid():
        return _new_page(request, form)
    made = form.changed()
    offering.save_route(route=made, actor=access.actor, new_key=form.key)
    messages.success(request, f"Made the route {made.pk}. No model takes it yet.")
    return _to(made.pk)


@require_safe
@page(Permission.BATCHES_READ)
def route(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """Show one route, with the forms that change it."""
    refuse_customers(request)
    return _route_page(request, access, route_state(name=name, now=timezone.now()))


@require_POST
@page(Permission.ROUTES_OPERATE)
def route_limits(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """Set how much a route may be given at once."""
    refuse_customers(request)
    state = route_state(name=name, now=timezone.now())
    form = LimitsForm(request.POST, route=state.row)
    if not form.is_valid():
        return _route_page(request, access, state, limits=form)
    offering.save_route(route=form.changed(), actor=access.actor)
    messages.success(request, f"Saved the limits of {name}.")
    return _to(name)


@require_POST
@page(Permission.ROUTES_OPERATE)
def route_pause(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """Submit nothing to a route any more, until it is resumed."""
    refuse_customers(request)
    state, now = route_state(name=name, now=timezone.now()), timezone.now()
    reason = line_of(request, "reason")
    try:
        offering.pause_route(name=state.name, reason=reason, actor=access.actor, now=now)
    except offering.OfferRefused as error:
        messages.error(request, f"{error} Nothing was changed.")
    else:
        messages.success(request, f"Paused {name}: {state.load.waiting:,} items wait until it is resumed.")
    return _to(name)


@require_POST
@page(Permission.ROUTES_OPERATE)
def route_resume(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """Submit to a route again."""
    refuse_customers(request)
    state = route_state(name=name, now=timezone.now())
    offering.resume_route(name=state.name, actor=access.actor)
    messages.success(request, f"Resumed {name}: {state.load.waiting:,} waiting items go on, as its limits allow.")
    return _to(name)


@require_POST
@page(Permission.ROUTES_WRITE)
def route_provider(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """Change where a route goes, and its key."""
    refuse_customers(request)
    state = route_state(name=name, now=timezone.now())
    form = ProviderForm(request.POST, route=state.row)
    if not form.is_valid():
        return _route_page(request, access, state, provider=form)
    offering.save_route(route=form.changed(), actor=access.actor, new_key=form.key)
    messages.success(request, f"Saved {name}. Workers take it up with their next round.")
    return _to(name)


def _route_page(request: HttpRequest, access: Access, state: RouteState, **forms: Any) -> HttpResponseBase:
    """Show a route; forms that were refused come along."""
    operate, write = access.may(Permission.ROUTES_OPERATE), access.may(Permission.ROUTES_WRITE)
    return render(
        request,
        "admin/catalogue/route.html",
        title=f"Route {state.name}",
        state=state,
        may_operate=operate,
        limits=forms.get("limits") or (LimitsForm(route=state.row) if operate else None),
        provider=forms.get("provider") or (ProviderForm(route=state.row) if write else None),
        history=history(of=[OF_ROUTES], subject=state.name, cursor=text_of(request, "after")),
    )


def _new_page(request: HttpRequest, form: ProviderForm) -> HttpResponseBase:
    return render(request, "admin/catalogue/route_new.html", title="A new route", form=form)


def _to(name: str) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("admin:route", args=[name]))


PAGES = [
    Page("routes/", route_list, "route_list"),
    Page("routes/new", route_new, "route_new"),
    Page("routes/<str:name>", route, "route"),
    Page("routes/<str:name>/limits", route_limits, "route_limits"),
    Page("routes/<str:name>/pause", route_pause, "route_pause"),
    Page("routes/<str:name>/resume", route_resume, "route_resume"),
    Page("routes/<str:name>/provider", route_provider, "route_provider"),
]
