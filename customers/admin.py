"""The pages of who: accounts' settings, people and keys, and Django's own pages of the same, which are read-only."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode

from customers import admin_account, admin_keys, admin_people
from customers.access import Permission
from customers.models import ApiKey, Membership, Organization, User
from customers.pages import ReadOnlyAdmin, access_of, person_of

PAGES = [*admin_account.PAGES, *admin_people.PAGES, *admin_keys.PAGES]


class AuditedAdmin(ReadOnlyAdmin):
    """Pages that lead to the audit log, for whoever may see that."""

    filtered_by: ClassVar[str]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        """Return the fields, the link to the log among them where it leads somewhere."""
        fields = super().get_fields(request, obj)
        return [name for name in fields if name != "acts" or access_of(request).may(Permission.AUDIT_READ)]

    @admin.display(description="audit log")
    def acts(self, row: Model) -> str:
        """Return a link to what was done by them, or for them."""
        query = urlencode({self.filtered_by: row.pk})
        return format_html('<a href="{}?{}">who did what</a>', reverse("admin:audit_log"), query)


@admin.register(Organization)
class OrganizationAdmin(AuditedAdmin):
    filtered_by = "customer"
    fields = [
        "id",
        "name",
        "contact_email",
        "technical_emails",
        "finance_emails",
        "time_zone",
        "plan",
        "support_response_hours",
        "max_items_per_batch",
        "rate_limit_per_minute",
        "max_open_batches",
        "retention",
        "acts",
        "created_at",
    ]
    readonly_fields = ["kept", "retention", "acts"]
    list_display = ["name", "id", "contact_email", "max_open_batches", "created_at"]
    search_fields = ["id", "name", "contact_email"]
    ordering = ["-id"]

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """Show the link that changes the retention to superusers: the others find nothing behind it."""
        fields = super().get_fields(request, obj)
        superuser = person_of(request).is_superuser
        return fields if superuser else ["kept" if field == "retention" else field for field in fields]

    @admin.display(description="videos are kept")
    def kept(self, organization: Organization) -> str:
        """Say for how long."""
        days = organization.retention_days
        return f"for {days:,} days" if days else "for ever"

    @admin.display(description="videos are kept")
    def retention(self, organization: Organization) -> str:
        """Say for how long, with the form that changes it."""
        address = reverse("admin:retention", args=[organization.pk])
        return format_html('{} · <a href="{}">change</a>', self.kept(organization), address)


@admin.register(User)
class UserAdmin(AuditedAdmin):
    filtered_by = "person"
    fields = [
        *("id", "username", "email", "is_active", "is_staff", "is_superuser", "groups"),
        *("last_login", "date_joined", "acts"),
    ]
    readonly_fields = ["acts"]
    list_display = ["username", "id", "email", "is_active", "is_staff", "last_login"]
    list_filter = ["is_staff", "is_active", "groups"]
    search_fields = ["id", "username", "email"]
    ordering = ["username"]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    fields = ["user", "organization", "role"]
    list_display = ["user", "organization", "role"]
    list_filter = ["role"]
    list_select_related = ["user", "organization"]
    search_fields = ["user__username", "organization__name", "organization__id"]
    ordering = ["pk"]


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    money = frozenset({"budget_credits", "used_credits"})
    fields = [
        "id",
        "organization",
        "mode",
        "name",
        "hint",
        "scopes",
        "created_at",
        "expires_at",
        "revoked_at",
        "last_used_at",
        "created_by",
        "budget_credits",
        "used_credits",
        "allowed_networks",
        "refused_at",
        "refused_address",
        "previous_secret_until",
    ]
    list_display = ["name", "hint", "organization", "mode", "created_at", "revoked_at", "last_used_at", "used_credits"]
    list_filter = ["mode"]
    list_select_related = ["organization"]
    search_fields = ["id", "name", "organization__name", "organization__id"]
    ordering = ["-id"]
