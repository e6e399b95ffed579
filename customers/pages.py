"""Who may see which page. The admin site only asks for a login; every view and model page asks here for the rest."""

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponseBase

from customers.access import Access, Permission
from customers.models import Organization, User
from customers.sessions import lacks_second_step
from sora2.pages import render

NOBODY = Access(actor="", organization_ids=frozenset(), mode=None, permissions=frozenset())

WORDS = {
    Permission.BATCHES_READ: "to see batches",
    Permission.BATCHES_WRITE: "to change batches",
    Permission.LEDGER_READ: "to see credits",
    Permission.WEBHOOKS_READ: "to see webhooks",
    Permission.WEBHOOKS_WRITE: "to change webhooks",
    Permission.KEYS_WRITE: "to make and revoke API keys",
    Permission.BATCHES_SIGN_OFF: "to sign batches off",
    Permission.ACCOUNT_READ: "to see an account: its people, keys and settings",
    Permission.ACCOUNT_WRITE: "to change an account's settings",
    Permission.PEOPLE_WRITE: "to invite people, and to change what they may do",
    Permission.CREDITS_REQUEST: "to ask for credits",
    Permission.CREDITS_APPROVE: "to decide about credits",
    Permission.PERIODS_CLOSE: "to close a month",
    Permission.CATALOGUE_WRITE: "to change models and prices",
    Permission.ROUTES_OPERATE: "to pause a route, and set its limits",
    Permission.ROUTES_WRITE: "to change where a route goes",
    Permission.AUDIT_READ: "to see the audit log",
    Permission.PILOTS_READ: "to see pilots and leads",
    Permission.PILOTS_WRITE: "to run pilots, and to change plans",
    Permission.INVOICES_WRITE: "to write invoices, and to say whom they are made out to",
    Permission.PAYMENTS_RECORD: "to record payments",
}

View = Callable[..., HttpResponseBase]


def access_of(request: HttpRequest) -> Access:
    """Return what the person who asks may reach; read once per request.

    Nothing, as long as the second step of signing in is required of them and has not been taken.
    """
    known = vars(request)
    if "_access" not in known:
        user = getattr(request, "user", None)
        if isinstance(user, User) and user.is_active and not lacks_second_step(request, user):
            known["_access"] = user.access()
        else:
            known["_access"] = NOBODY
    access: Access = known["_access"]
    return access


def person_of(request: HttpRequest) -> User:
    """Return the person who asks, once a permission was checked: only a person can have one. Raises Http404."""
    if not isinstance(request.user, User):
        raise Http404
    return request.user


def is_staff(request: HttpRequest) -> bool:
    """Say whether one of our own people asks: they reach every organization."""
    return access_of(request).organization_ids is None


def refuse_customers(request: HttpRequest) -> None:
    """Keep customers' people out of what is for our own people alone: for them it is not there. Raises Http404."""
    if not is_staff(request):
        raise Http404


def may_enter(access: Access) -> bool:
    """Say whether somebody may see pages at all: our staff, and whoever belongs to a customer."""
    return access.organization_ids is None or bool(access.organization_ids)


def own_organizations(request: HttpRequest) -> list[Organization]:
    """Return the customers that the person who asks belongs to; none for staff, who belong to us."""
    access = access_of(request)
    return [] if access.organization_ids is None else list(Organization.objects.within(access).order_by("name"))


def page(permission: Permission, *others: Permission) -> Callable[[View], View]:
    """Guard a view: it is called with the request and the access, once `permission` or one of the others is granted.

    Without the permission the answer is 403. What the view does not find (Http404) is 404, in the same words
    whether it belongs to somebody else or to nobody.
    """

    def guard(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, **given: Any) -> HttpResponseBase:
            access = access_of(request)
            if not any(access.may(each) for each in (permission, *others)):
                return refused(request, permission)
            try:
                return view(request, access, **given)
            except Http404:
                return missing(request)

        return guarded

    return guard


def refused(request: HttpRequest, permission: Permission) -> HttpResponseBase:
    """Answer 403, in words."""
    return render(request, "admin/refused.html", status=403, title="Not for your role", wanted=WORDS[permission])


def missing(request: HttpRequest) -> HttpResponseBase:
    """Answer 404, in words."""
    return render(request, "admin/missing.html", status=404, title="Nothing here")


if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[Model]
else:
    _ModelAdmin = admin.ModelAdmin


class ReadOnlyAdmin(_ModelAdmin):
    """Django's own pages of a model: for staff with `permission`, to look at only.

    The fields in `money` are for those who may see credits.
    """

    permission: ClassVar[Permission] = Permission.BATCHES_READ
    money: ClassVar[frozenset[str]] = frozenset()
    actions = None
    list_per_page = 50
    show_full_result_count = False

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return self._shown(request, super().get_fields(request, obj))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self._shown(request, super().get_list_display(request))

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Let filter by what the list offers. Django would by any column: a hash can be guessed letter by letter."""
        return lookup.partition("__")[0] in self.list_filter and super().lookup_allowed(lookup, value, request)

    def _shown(self, request: HttpRequest, fields: Iterable[Any]) -> list[Any]:
        hidden = frozenset() if access_of(request).may(Permission.LEDGER_READ) else self.money
        return [field for field in fields if field not in hidden]

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - Django's.
        return is_staff(request) and access_of(request).may(self.permission)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - Django's signature.
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - the same.
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:  # noqa: ARG002 - the same.
        return False
