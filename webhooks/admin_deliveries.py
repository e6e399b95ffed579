"""The pages of the deliveries: the log, and one delivery, which can be sent again."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from customers.access import Access, Permission
from customers.models import Mode
from customers.modes import chips_of, listed_mode
from customers.pages import is_staff, page
from sora2.pages import Page, render, text_of
from webhooks import delivery_pages as pages
from webhooks.models import Delivery, EventType
from webhooks.replay import EndpointDeleted, EndpointDisabled, redeliver

CHIPS = {
    "customer": "Customer",
    "mode": "Mode",
    "state": "State",
    "event": "Event",
    "endpoint": "Endpoint",
    "about": "About",
    "undelivered": "Undelivered",
}


@require_safe
@page(Permission.WEBHOOKS_READ)
def delivery_list(request: HttpRequest, access: Access) -> HttpResponseBase:
    """Show the log of deliveries, newest first."""
    said = {name: text_of(request, name) for name in CHIPS}
    # What is named has a mode of its own, wherever the switch stands.
    mode = said["mode"] if said["about"] or said["endpoint"] else listed_mode(request)
    wanted = pages.Wanted(**{**said, "mode": mode})
    return render(
        request,
        "admin/webhooks/deliveries.html",
        title="Webhook deliveries",
        found=pages.log(
            access, wanted=wanted, cursor=text_of(request, "after"), now=timezone.now(), size=pages.DELIVERIES_SHOWN
        ),
        wanted=wanted,
        modes=Mode.values,
        states=Delivery.State.values,
        events=[*EventType.values, pages.ALL_BUT_TESTS],
        by_customer=is_staff(request),
        choices=[] if is_staff(request) else pages.endpoints_to_choose(access, wanted),
        may_act=access.may(Permission.WEBHOOKS_WRITE),
        chips=chips_of(request, CHIPS),
    )


@require_safe
@page(Permission.WEBHOOKS_READ)
def delivery(request: HttpRequest, access: Access, delivery_id: str) -> HttpResponseBase:
    """Show one delivery: what is sent, and what came of each attempt."""
    found = pages.delivery_page(access, delivery_id=delivery_id, now=timezone.now())
    return render(
        request,
        "admin/webhooks/delivery.html",
        title=f"Delivery of {found.carried.delivery.event.type}",
        found=found,
        carried=found.carried,
        delivery=found.carried.delivery,
        may_act=access.may(Permission.WEBHOOKS_WRITE),
    )


@require_POST
@page(Permission.WEBHOOKS_WRITE)
def delivery_redeliver(request: HttpRequest, access: Access, delivery_id: str) -> HttpResponseBase:
    """Send a delivery again, or now; its page shows what comes of it."""
    reached = pages.reached_delivery(access, delivery_id=delivery_id)
    try:
        sent = redeliver(delivery=reached, actor=access.actor, now=timezone.now())
    except EndpointDeleted:
        messages.error(request, "Nothing was sent: its endpoint was deleted.")
    except EndpointDisabled:
        messages.error(request, "Nothing was sent: its endpoint is disabled. Enable it first.")
    else:
        if sent:
            messages.success(request, "It is sent again. What comes of it shows here in a moment.")
        else:
            messages.info(request, "An attempt is under way already. See what comes of it first.")
    return HttpResponseRedirect(reverse("admin:delivery", args=[delivery_id]))


PAGES = [
    Page("webhooks/deliveries/", delivery_list, "delivery_list"),
    Page("webhooks/deliveries/<id:delivery_id>", delivery, "delivery"),
    Page("webhooks/deliveries/<id:delivery_id>/redeliver", delivery_redeliver, "delivery_redeliver"),
]
