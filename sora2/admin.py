"""The admin site: the apps' own pages first, Django's model pages under Settings."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, URLResolver, path, register_converter, reverse
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from sora2.pages import ObjectIdConverter, Page

register_converter(ObjectIdConverter, "id")


class Section(NamedTuple):
    """A main section as the navigation shows it."""

    name: str
    address: str
    active: bool


class Sora2AdminSite(admin.AdminSite):
    """Django's admin for staff, with pages that customers' people see too, for their own organization."""

    site_title = site_header = "Sora2 Enterprise"
    index_title = "Settings"
    index_template = "admin/settings.html"
    site_url = None
    enable_nav_sidebar = False

    def register(
        self,
        model_or_iterable: type[Model] | Iterable[type[Model]],
        admin_class: "type[ModelAdmin[Any]] | None" = None,
        **options: Any,
    ) -> None:
        """Take pages that are read-only. What other packages bring is left out: it could be changed there unseen."""
        from customers.pages import ReadOnlyAdmin

        if admin_class is not None and issubclass(admin_class, ReadOnlyAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def has_permission(self, request: HttpRequest) -> bool:
        """Say whether this person may enter, having signed in wholly. What they may see is decided by each page."""
        from customers.pages import access_of, may_enter

        return may_enter(access_of(request))

    def get_urls(self) -> list[URLPattern | URLResolver]:
        """Put our pages before Django's: `batches/` is our list, and Django would quote the `_` in our ids."""
        from customers import handover_pages, join_pages, signing_in, two_step_pages

        parts = (signing_in, two_step_pages, join_pages, handover_pages)
        doors = [path(p.route, p.view, name=p.name) for part in parts for p in part.OPEN_PAGES]
        own = [path(p.route, self.admin_view(p.view, p.cacheable), name=p.name) for p in _pages()]
        own.append(path("settings/", self.admin_view(self.settings_page), name="settings"))
        return [*doors, *own, *super().get_urls()]

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the sign-in page."""
        from customers.signing_in import sign_in

        given = {**self.each_context(request), "app_path": request.get_full_path(), **(extra_context or {})}
        return sign_in(request, given)  # type: ignore[return-value]

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        """Let somebody change their own password."""
        from customers.signing_in import change_password

        return change_password(request, {**self.each_context(request), **(extra_context or {})})

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:  # type: ignore[override]  # noqa: ARG002
        """Show finance's home to our staff, their start page to a customer's people."""
        from batches.admin import home
        from customers.pages import is_staff
        from pilots.admin import start

        return home(request) if is_staff(request) else start(request)  # type: ignore[return-value]

    @method_decorator(require_safe)
    def settings_page(self, request: HttpRequest) -> HttpResponseBase:
        """Show the pages of what is on offer and Django's list of model pages, to staff."""
        from customers.access import Permission
        from customers.pages import access_of, is_staff, missing

        if not is_staff(request):
            return missing(request)
        access = access_of(request)
        shown = {
            "may_see_offer": access.may(Permission.BATCHES_READ),
            "may_see_audit": access.may(Permission.AUDIT_READ),
        }
        return super().index(request, shown)

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[dict[str, Any]]:
        """Return Django's own model pages, which are staff's."""
        from customers.pages import is_staff

        return super().get_app_list(request, app_label) if is_staff(request) else []

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        """Add to Django's context what the frame of every page shows."""
        from customers.modes import switch_of
        from customers.pages import access_of, is_staff, own_organizations

        if not self.has_permission(request):
            return super().each_context(request)
        return {
            **super().each_context(request),
            "sections": _sections(request),
            "organizations": own_organizations(request),
            "viewer_may": access_of(request).permissions,
            "switch": "" if is_staff(request) else switch_of(request).value,
        }


def _pages() -> list[Page]:
    # The apps register with this site while it is made, so they are imported when its addresses are first asked for.
    from batches.admin import PAGES as BATCHES
    from batches.admin_accounts import PAGES as ACCOUNTS
    from batches.admin_audit import PAGES as AUDIT
    from batches.admin_catalogue import PAGES as CATALOGUE
    from batches.admin_keys import PAGES as KEYS
    from batches.admin_quotes import PAGES as QUOTES
    from batches.admin_routes import PAGES as ROUTES
    from batches.sla.admin import PAGES as SLA
    from customers.admin import PAGES as CUSTOMERS
    from customers.modes import PAGES as MODES
    from customers.signing_in import PAGES as SIGNING_IN
    from customers.two_step_pages import PAGES as TWO_STEP
    from ledger.admin import PAGES as LEDGER
    from ledger.invoices.admin import PAGES as INVOICES
    from ledger.revenue.admin import PAGES as REVENUE
    from pilots.admin import PAGES as PILOTS
    from webhooks.admin import PAGES as WEBHOOKS

    return [
        *SIGNING_IN,
        *TWO_STEP,
        *MODES,
        *BATCHES,
        *AUDIT,
        *CATALOGUE,
        *ROUTES,
        *LEDGER,
        *INVOICES,
        *QUOTES,
        *REVENUE,
        *WEBHOOKS,
        *ACCOUNTS,
        *CUSTOMERS,
        *KEYS,
        *PILOTS,
        *SLA,
    ]


def _sections(request: HttpRequest) -> list[Section]:
    from customers.access import Permission
    from customers.pages import access_of, is_staff

    access, home = access_of(request), reverse("admin:index")
    # The first page of each section, and what belongs to it though it stands elsewhere: by name, or all below.
    elsewhere = ["catalogue", "route_list", "audit_log", "retention/"]
    shown = [
        ("Home", ["index", "reconciliations/"], True),
        ("Batches", ["batch_list"], access.may(Permission.BATCHES_READ)),
        ("Ledger", ["wallet_list"], access.may(Permission.LEDGER_READ)),
        ("Invoices", ["invoice_list", "quotes/", "revenue/"], access.may(Permission.LEDGER_READ)),
        ("Webhooks", ["endpoint_list", "sinks/"], access.may(Permission.WEBHOOKS_READ)),
        ("Pilots", ["pilot_list", "leads/", "mails/"], access.may(Permission.PILOTS_READ)),
        (
            "Customers" if is_staff(request) else "Account",
            ["customer_list", "sla/"],
            access.may(Permission.ACCOUNT_READ),
        ),
        ("Settings", ["settings", *elsewhere], is_staff(request)),
    ]
    sections = [
        (name, [f"{home}{page}" if page.endswith("/") else reverse(f"admin:{page}") for page in pages])
        for name, pages, granted in shown
        if granted
    ]
    return [
        Section(name, first, request.path == first or request.path.startswith((*others, *({first} - {home}))))
        for name, (first, *others) in sections
    ]
