"""Every page of the dashboard, generated from its addresses, with something to see on each.

A new page has to find its parameters in `parameters`, or the tests that look at every page fail.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone

from batches.catalogue import SIMULATOR
from batches.models import Item, Status
from customers.models import Mode
from ledger.models import SealLeaf
from tests.people import signed_in
from tests.world import World
from webhooks.models import Delivery

MODEL_PAGES = ("changelist", "add", "change", "delete", "history")
# Django's own, which show nothing by themselves.
NOT_PAGES = frozenset({"autocomplete", "jsi18n", "view_on_site"})


def routes() -> dict[str, list[str]]:
    """Return the addresses of the admin site by name, each with the names of its parameters."""
    return dict(_routes(admin.site.urls[0]))


def own_routes() -> list[str]:
    """Return the names of the addresses that are not of Django's model pages."""
    models = {name for name, _ in _models()}
    return [name for name in routes() if name not in models and name not in NOT_PAGES]


def addresses(world: World) -> dict[str, str]:
    """Return where each named address of the admin site leads in this world. Acts and files are among them."""
    known, objects = parameters(world), dict(_models())
    found = {}
    for name, wanted in routes().items():
        if name in NOT_PAGES:
            continue
        given = {**known, **known.get(name, {})}
        if name in objects:
            given["object_id"] = objects[name]
        found[name] = reverse(f"admin:{name}", kwargs={parameter: given[parameter] for parameter in wanted})
    return found


def parameters(world: World) -> dict[str, Any]:
    """Return what stands in the addresses by parameter, and under an address's name what differs there."""
    acme, partial = world.acme, world.batches["partial"]
    item = Item.objects.filter(batch=partial, status=Status.SUCCEEDED).earliest("index")
    failing = Delivery.objects.filter(endpoint=world.endpoints["failing"])
    leaf = SealLeaf.objects.get(wallet=acme.wallets[Mode.LIVE])
    return {
        "app_label": "customers",
        "batch_id": partial.pk,
        "day": f"{timezone.now():%Y-%m-%d}",
        "delivery_id": failing.latest("pk").pk,
        "endpoint_id": world.endpoints["failing"].pk,
        "item_id": item.pk,
        "month": world.due,
        "name": SIMULATOR,
        "number": leaf.seal_id,
        "organization_id": acme.organization.pk,
        "request_id": world.requests["waiting"].pk,
        "run_id": world.run.pk,
        "token": world.sink.pk,
        "version": "2026-01-24",
        "catalogue_model": {"name": "sora-2"},
    }


def scenes(world: World) -> dict[str, str]:
    """Return every page by its name, and pages in other states as `name-state`, with their addresses."""
    client = signed_in(world.people["superuser"])
    pages = {name: address for name, address in addresses(world).items() if _is_page(client, name, address)}
    return {**pages, **_other_states(world)}


def _other_states(world: World) -> Mapping[str, str]:
    batch = {name: f"/admin/batches/{batch.pk}" for name, batch in world.batches.items()}
    ledger = f"/admin/ledger/{world.acme.organization.pk}"
    failed = Item.objects.filter(batch=world.batches["partial"], status=Status.REFUNDED).earliest("index")
    return {
        "batch-running": batch["processing"],
        "batch-queued": batch["queued"],
        "batch-failed": batch["failed"],
        "batch-test": batch["test"],
        "batch_billing-running": f"{batch['processing']}/billing",
        "batch_billing-signed": f"{batch['signed']}/billing",
        "batch_webhooks-queued": f"{batch['queued']}/webhooks",
        "item-failed": f"{batch['partial']}/items/{failed.pk}",
        "batch_list-none": "/admin/batches/?customer=nobody",
        "statement-closed": f"{ledger}?month={world.closed}",
        "statement-no_interval": f"{ledger}?month=soon",
        "statement-none": f"{ledger}?kind=adjustment_out&reference=nothing",
        "wallet_list-none": "/admin/ledger/?customer=nobody",
        "wallet_list-test": "/admin/ledger/?mode=test",
        "seal_list-customer": f"/admin/ledger/seals/?customer={world.acme.organization.pk}",
        "period-closed": f"/admin/ledger/periods/{world.closed}",
        "credit_request-approved": f"/admin/ledger/requests/{world.requests['approved'].pk}",
        "credit_request-rejected": f"/admin/ledger/requests/{world.requests['rejected'].pk}",
        "credit_requests-none": "/admin/ledger/requests/?customer=nobody",
        "endpoint-healthy": f"/admin/webhooks/endpoints/{world.endpoints['healthy'].pk}",
        "endpoint_list-none": "/admin/webhooks/?customer=nobody",
        "delivery_list-none": "/admin/webhooks/deliveries/?customer=nobody",
        "missing": "/admin/batches/bat_00000000000000000000000000",
    }


def _is_page(client: Client, name: str, address: str) -> bool:
    """Say whether an address answers with a page; acts refuse GET, files are no pages, and some only lead on."""
    if name == "logout":
        return False
    response = client.get(address)
    assert response.status_code in {200, 302, 403, 405}, (name, address, response.status_code)
    return response.status_code == 200 and response.headers["Content-Type"].startswith("text/html")


def _models() -> Iterator[tuple[str, str]]:
    """Return the names of Django's model pages, each with the key of an object to show."""
    for model in admin.site._registry:
        first = model._default_manager.order_by("pk").values_list("pk", flat=True).first()
        for page in MODEL_PAGES:
            yield f"{model._meta.app_label}_{model._meta.model_name}_{page}", str(first or 1)


def _routes(patterns: Iterable[URLPattern | URLResolver]) -> Iterator[tuple[str, list[str]]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name, list(pattern.pattern.regex.groupindex)
