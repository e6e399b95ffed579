"""Every page of the dashboard, generated from its addresses, with something to see on each.

A new page has to find its parameters in `parameters`, or the tests that look at every page fail.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.test import Client
from django.urls import URLPattern, URLResolver, reverse
from django.utils import timezone

from batches.catalogue import SIMULATOR
from batches.models import Item, Status
from customers.models import Mode
from ledger.models import Entry, SealLeaf
from tests.world import World
from webhooks.models import Delivery

MODEL_PAGES = ("changelist", "add", "change", "delete", "history")
LEAD_PAGES = ("lead", "lead_change", "lead_move", "lead_note", "lead_lost", "lead_signal")
# What stands for a parameter in a route: `<id:batch_id>`, and in Django's one regular expression more.
PARAMETER = re.compile(r"\^?\(\?P<(\w+)>[^)]*\)|<(?:\w+:)?(\w+)>")
# Django's own, which show nothing by themselves, or are covered by pages of ours.
NOT_PAGES = frozenset({"app_list", "autocomplete", "jsi18n", "view_on_site"})


def routes() -> dict[str, list[str]]:
    """Return the addresses of the admin site by name, each with the names of its parameters."""
    return {pattern.name or "": list(pattern.pattern.regex.groupindex) for _, pattern in _named(admin.site.urls[0])}


def written() -> dict[str, str]:
    """Return the addresses of the admin site by name as they are written down, with parameters in braces."""
    named = _named(admin.site.urls[0])
    return {pattern.name or "": "/admin/" + PARAMETER.sub(r"{\1\2}", route).rstrip("$") for route, pattern in named}


def own_routes() -> list[str]:
    """Return the names of the addresses that are not of Django's model pages."""
    models = {name for name, _ in _model_pages()}
    return [name for name in routes() if name not in models and name not in NOT_PAGES]


def addresses(world: World) -> dict[str, str]:
    """Return where each named address of the admin site leads in this world. Acts and files are among them."""
    known, objects = parameters(world), {name: _first(model) for name, model in _model_pages()}
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
        "batch_id": partial.pk,
        "day": f"{timezone.now():%Y-%m-%d}",
        "failure_id": world.onboarding.failure.pk,
        "entry_id": Entry.objects.filter(reference=partial.pk, kind=Entry.Kind.SETTLE).latest("pk").pk,
        "figure": "settled",
        "delivery_id": failing.latest("pk").pk,
        "endpoint_id": world.endpoints["failing"].pk,
        "invoice_id": world.billing.sent.pk,
        "item_id": item.pk,
        "link_id": world.invitation.pk,
        "key_id": acme.keys[Mode.LIVE].pk,
        "month": world.due,
        "name": SIMULATOR,
        "handover_id": world.onboarding.handover.pk,
        "lead_id": world.onboarding.lead.pk,
        "mail_id": world.onboarding.mail.pk,
        "number": leaf.seal_id,
        "organization_id": acme.organization.pk,
        "pilot_id": world.onboarding.pilot.pk,
        "preflight_id": world.onboarding.preflight.pk,
        "request_id": world.requests["waiting"].pk,
        "run_id": world.run.pk,
        "token": world.sink.pk,
        "user_id": world.people["customer developer"].pk,
        "version": "2026-01-24",
        # A token that opens nothing: those that do are not kept.
        "join": {"token": "no-such-token"},
        "new_password": {"token": "no-such-token"},
        "handover": {"token": "no-such-token"},
        "invoice_change": {"invoice_id": world.billing.draft.pk},
        "batch_cancel": {"batch_id": world.batches["processing"].pk},
        "catalogue_model": {"name": "sora-2"},
        "payment_id": world.billing.payment.pk,
        "invoice_send": {"invoice_id": world.billing.draft.pk},
        **{name: {"invoice_id": world.billing.partly.pk} for name in ("invoice_payment", "payment_reverse")},
        "credit_note_send": {"invoice_id": world.billing.note_draft.pk},
        # One that is no customer yet: people move it.
        **{name: {"lead_id": world.onboarding.other_lead.pk} for name in LEAD_PAGES},
        "sales_mail": {"mail_id": world.onboarding.unsent.pk},
        "pilot_mail": {"template": "pilot_ready"},
        "lead_mail": {"template": "billing_answer"},
        "pilot_start": {"pilot_id": world.onboarding.scheduled.pk},
    }


def scenes(world: World, client: Client) -> dict[str, str]:
    """Return the address of every page that somebody may open by its name, of other states of it by `name-state`."""
    found = {**addresses(world), **_other_states(world)}
    return {name: address for name, address in found.items() if _is_page(client, name, address)}


def _other_states(world: World) -> Mapping[str, str]:
    batch = {name: f"/admin/batches/{batch.pk}" for name, batch in world.batches.items()}
    ledger = f"/admin/ledger/{world.acme.organization.pk}"
    people = f"/admin/customers/{world.acme.organization.pk}/people"
    developer, admin = world.people["customer developer"].pk, world.people["customer admin"].pk
    keys = f"/admin/customers/{world.acme.organization.pk}/keys"
    failed = Item.objects.filter(batch=world.batches["partial"], status=Status.REFUNDED).earliest("index")
    return {
        "batch-running": batch["processing"],
        "batch-queued": batch["queued"],
        "batch-failed": batch["failed"],
        "batch-test": batch["test"],
        "batch_billing-running": f"{batch['processing']}/billing",
        "batch_billing-signed": f"{batch['signed']}/billing",
        "batch_why-reserved": f"{batch['partial']}/why/reserved",
        "batch_why-refunded": f"{batch['partial']}/why/refunded",
        "batch_why-held": f"{batch['processing']}/why/held",
        "batch_webhooks-queued": f"{batch['queued']}/webhooks",
        "item-failed": f"{batch['partial']}/items/{failed.pk}",
        **{f"invoice-{name}": f"/admin/invoices/{found.pk}" for name, found in world.billing.invoices.items()},
        "invoice_list-overdue": "/admin/invoices/?state=overdue",
        "batch_list-none": "/admin/batches/?customer=nobody",
        "statement-closed": f"{ledger}?month={world.closed}",
        "statement-no_interval": f"{ledger}?month=soon",
        "wallet_why-available": f"{ledger}/why/available",
        "wallet_why-reserved": f"{ledger}/why/reserved",
        "wallet_why-funded": f"{ledger}/why/funded",
        "totals_why-month": f"/admin/ledger/why/funded?month={world.closed}",
        "statement-none": f"{ledger}?kind=adjustment_out&reference=nothing",
        "month_end-current": f"{ledger}/month-end?month={timezone.now():%Y-%m}",
        "month_end-closed": f"{ledger}/month-end?month={world.closed}",
        "quote-top_up": f"/admin/quotes/{world.acme.organization.pk}?what=top_up&credits=50",
        "quote-two": f"/admin/quotes/{world.globex.organization.pk}?count=2",
        "pilot_list-none": "/admin/pilots/?customer=nobody",
        "pilot-scheduled": f"/admin/pilots/{world.onboarding.scheduled.pk}",
        "pilot_close-scheduled": f"/admin/pilots/{world.onboarding.scheduled.pk}/close",
        "wallet_list-none": "/admin/ledger/?customer=nobody",
        "wallet_list-test": "/admin/ledger/?mode=test",
        "seal_list-customer": f"/admin/ledger/seals/?customer={world.acme.organization.pk}",
        "period-closed": f"/admin/ledger/periods/{world.closed}",
        "credit_request-approved": f"/admin/ledger/requests/{world.requests['approved'].pk}",
        "credit_request-rejected": f"/admin/ledger/requests/{world.requests['rejected'].pk}",
        "credit_requests-none": "/admin/ledger/requests/?customer=nobody",
        "key-rotating": f"{keys}/{world.keys['rotating'].pk}",
        "key-revoked": f"{keys}/{world.keys['revoked'].pk}",
        "key_list-ended": f"{keys}?show=ended",
        "key_list-test": f"{keys}?mode=test",
        "key_new-test": f"{keys}/new?mode=test",
        "endpoint-healthy": f"/admin/webhooks/endpoints/{world.endpoints['healthy'].pk}",
        "endpoint_list-none": "/admin/webhooks/?customer=nobody",
        "delivery_list-none": "/admin/webhooks/deliveries/?customer=nobody",
        "member_role-effect": f"{people}/{developer}/role?role=customer+finance",
        "member_role-last": f"{people}/{admin}/role?role=customer+finance",
        "member_remove-last": f"{people}/{admin}/remove",
        "account-enterprise": f"/admin/customers/{world.globex.organization.pk}",
        "customer_plan-enterprise": f"/admin/customers/{world.globex.organization.pk}/plan",
        "lead-customer": f"/admin/leads/{world.onboarding.lead.pk}",
        "lead_list-none": "/admin/leads/?customer=nobody",
        "lead_list-lost": "/admin/leads/?show=lost",
        "sales_mail-sent": f"/admin/mails/{world.onboarding.mail.pk}",
        "pilot_mail-not_yet": f"/admin/pilots/{world.onboarding.pilot.pk}/mails/welcome_enterprise",
        "join-useless": "/admin/join/no-such-token",
        "handover-useless": "/admin/secret/no-such-token",
        "pilot_new-lead": f"/admin/pilots/new?lead={world.onboarding.other_lead.pk}",
        "index-missing": "/admin/batches/bat_00000000000000000000000000",
    }


def _is_page(client: Client, name: str, address: str) -> bool:
    """Say whether an address answers with a page; acts refuse GET, files are no pages, and some only lead on."""
    if name == "logout":
        return False
    response = client.get(address)
    shown = {200, 400, 404} if "-" in name else {200}
    return response.status_code in shown and response.headers["Content-Type"].startswith("text/html")


def _model_pages() -> Iterator[tuple[str, type[Model]]]:
    """Return the names of Django's model pages, each with its model."""
    for model in admin.site._registry:
        for page in MODEL_PAGES:
            yield f"{model._meta.app_label}_{model._meta.model_name}_{page}", model


def _first(model: type[Model]) -> str:
    """Return the key of an object to show."""
    return str(model._default_manager.order_by("pk").values_list("pk", flat=True).first() or 1)


def _named(patterns: Iterable[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _named(pattern.url_patterns, route)
        elif pattern.name:
            yield route, pattern
