"""The webhooks' pages: what came to an internal test endpoint. Endpoints and deliveries have modules of their own."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponseBase
from django.views.decorators.http import require_safe

from customers.access import Access, Permission
from customers.pages import ReadOnlyAdmin, page
from sora2.pages import Page, render
from webhooks import admin_deliveries, admin_endpoint_forms, admin_endpoints, pages
from webhooks.models import Delivery, Endpoint, Event


@require_safe
@page(Permission.WEBHOOKS_READ)
def sink(request: HttpRequest, access: Access, token: str) -> HttpResponseBase:
    """Show what came to an internal test endpoint, and whether it verified."""
    found = pages.sunk(access, token=token)
    return render(request, "admin/webhooks/sink.html", title="Webhook test endpoint", found=found)


PAGES = [
    *admin_endpoints.PAGES,
    *admin_endpoint_forms.PAGES,
    *admin_deliveries.PAGES,
    Page("sinks/<str:token>", sink, "sink"),
]


class WebhooksAdmin(ReadOnlyAdmin):
    permission = Permission.WEBHOOKS_READ


@admin.register(Endpoint)
class EndpointAdmin(WebhooksAdmin):
    fields = ["id", "organization", "mode", "url", "events", "description", "enabled", "disabled_reason", "created_at"]
    list_display = ["id", "organization", "mode", "url", "enabled", "created_at"]
    list_filter = ["mode", "enabled"]
    list_select_related = ["organization"]
    search_fields = ["id", "url", "organization__id", "organization__name"]
    ordering = ["-id"]


@admin.register(Event)
class EventAdmin(WebhooksAdmin):
    money = frozenset({"body"})
    fields = ["id", "organization", "mode", "type", "reference", "body", "created_at"]
    list_display = ["id", "type", "reference", "organization", "mode", "created_at"]
    list_filter = ["type", "mode"]
    list_select_related = ["organization"]
    search_fields = ["id", "reference"]
    ordering = ["-id"]


@admin.register(Delivery)
class DeliveryAdmin(WebhooksAdmin):
    fields = ["id", "event", "endpoint", "url", "state", "skipped_reason", "due_at", "attempts_made", "created_at"]
    list_display = ["id", "event", "url", "state", "attempts_made", "due_at", "created_at"]
    list_filter = ["state"]
    list_select_related = ["event"]
    search_fields = ["id", "event__id", "event__reference", "url"]
    ordering = ["-id"]
