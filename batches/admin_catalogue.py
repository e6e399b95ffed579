"""The pages of the catalogue, for our own people: models, their prices, and the history of both."""

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from batches import catalogue_pages as pages
from batches import offering
from batches.catalogue_forms import ModelForm, PricesForm
from batches.models import CatalogueModel
from batches.offering_history import OF_MODELS, OF_PRICES, OF_ROUTES, history, lines_of
from customers.access import Access, Permission
from customers.pages import page, refuse_customers, refused
from sora2.pages import Page, render, text_of


@require_safe
@page(Permission.BATCHES_READ)
def catalogue(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the models, the price lists, and who changed what."""
    refuse_customers(request)
    now = timezone.now()
    return render(
        request,
        "admin/catalogue/catalogue.html",
        title="Catalogue",
        offers=pages.offers(now=now),
        lists=pages.price_lists(now=now),
        history=history(of=[OF_MODELS, OF_PRICES, OF_ROUTES], cursor=text_of(request, "after")),
        may_change=access.may(Permission.CATALOGUE_WRITE),
    )


# --- models --------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.CATALOGUE_WRITE)
def model_new(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Make a model in two steps: say what, look at it, confirm."""
    refuse_customers(request)
    now = timezone.now()
    if request.method == "POST":
        return _write(request, access, CatalogueModel(), now)
    return _form_page(request, ModelForm(model=CatalogueModel(), now=now))


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.BATCHES_READ)
def model(request: HttpRequest, access: Access, name: str) -> HttpResponseBase:
    """Show a model; change it in two steps, with the effect in figures between them."""
    refuse_customers(request)
    now = timezone.now()
    found = pages.offer(name=name, now=now)
    if request.method != "POST":
        may_change = access.may(Permission.CATALOGUE_WRITE)
        return render(
            request,
            "admin/catalogue/model.html",
            title=f"Model {name}",
            offer=found,
            waiting=pages.waiting_of(model=name),
            money=access.may(Permission.LEDGER_READ),
            history=history(of=[OF_MODELS], subject=name, cursor=text_of(request, "after")),
            form=ModelForm(model=found.row, now=now) if may_change else None,
        )
    if not access.may(Permission.CATALOGUE_WRITE):
        return refused(request, Permission.CATALOGUE_WRITE)
    return _write(request, access, found.row, now)


def _write(request: HttpRequest, access: Access, row: CatalogueModel, now: datetime) -> HttpResponseBase:
    """Show what a change does, or make it, or say why not."""
    form = ModelForm(request.POST, model=row, now=now)
    step = request.POST.get("step", "")
    if not form.is_valid() or step == "change":
        return _form_page(request, form)
    after = form.changed()
    before = None if form.is_new else row
    try:
        offering.refuse_impossible(after)
        if step != "confirm":
            lines = lines_of(offering.changes_between(before, after))
            return _form_page(request, form, lines=lines, effects=pages.effects(before=before, after=after, now=now))
        moved = offering.save_model(model=after, actor=access.actor)
    except offering.OfferRefused as error:
        form.add_error(None, str(error))
        return _form_page(request, form)
    went = f" {moved:,} waiting items went over to {after.route_id}." if moved else ""
    messages.success(request, f"Saved {after.pk}.{went}")
    return HttpResponseRedirect(reverse("admin:catalogue_model", args=[after.pk]))


def _form_page(request: HttpRequest, form: ModelForm, **shown: Any) -> HttpResponseBase:
    title = "A new model" if form.is_new else f"Change {form.model.pk}"
    return render(request, "admin/catalogue/model_form.html", title=title, form=form, **shown)


# --- prices --------------------------------------------------------------------------------------------------------


@require_safe
@page(Permission.BATCHES_READ)
def price_list(request: HttpRequest, access: Access, version: str) -> HttpResponseBase:
    """Show a price list beside the one before it. Nothing changes it."""
    refuse_customers(request)
    now = timezone.now()
    found = pages.price_list(version=version, now=now)
    return render(
        request,
        "admin/catalogue/price_list.html",
        title=f"Price list {version}",
        found=found,
        changes=pages.changes_of(prices=found.prices, now=now),
        may_change=access.may(Permission.CATALOGUE_WRITE),
    )


@require_http_methods(["GET", "HEAD", "POST"])
@page(Permission.CATALOGUE_WRITE)
def prices_new(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Write a price list in two steps: the prices, what a clip of each length will cost, confirm."""
    refuse_customers(request)
    now = timezone.now()
    offers = pages.to_be_priced(now=now)
    if request.method != "POST":
        return _prices_page(request, PricesForm(offers=offers, now=now), now)
    form = PricesForm(request.POST, offers=offers, now=now)
    step = request.POST.get("step", "")
    if not form.is_valid() or step == "change":
        return _prices_page(request, form, now)
    if step == "confirm":
        return _publish(request, access, form, now)
    return _prices_page(request, form, now, changes=pages.changes_to(new=form.prices(), now=now))


def _publish(request: HttpRequest, access: Access, form: PricesForm, now: datetime) -> HttpResponseBase:
    try:
        made = offering.publish_prices(
            version=form.cleaned_data["version"],
            prices=form.prices(),
            effective_from=form.cleaned_data["effective_from"],
            reason=form.cleaned_data["reason"],
            actor=access.actor,
            now=now,
        )
    except offering.OfferRefused as error:
        form.add_error(None, str(error))
        return _prices_page(request, form, now)
    messages.success(
        request, f"Written: in force from {made.effective_from:%Y-%m-%d %H:%M:%S} UTC on. It never changes."
    )
    return HttpResponseRedirect(reverse("admin:price_list", args=[made.pk]))


def _prices_page(request: HttpRequest, form: PricesForm, now: datetime, **shown: Any) -> HttpResponseBase:
    lists = pages.price_lists(now=now)
    return render(
        request,
        "admin/catalogue/prices_form.html",
        title="A new price list",
        form=form,
        coming=[each.prices for each in lists if each.state == "to come"],
        **shown,
    )


PAGES = [
    Page("catalogue/", catalogue, "catalogue"),
    Page("catalogue/models/new", model_new, "catalogue_model_new"),
    Page("catalogue/models/<str:name>", model, "catalogue_model"),
    Page("catalogue/prices/new", prices_new, "prices_new"),
    Page("catalogue/prices/<str:version>", price_list, "price_list"),
]
