"""Who guesses passwords is locked out for a while, by name and address, and by address alone. django-axes counts.

Never by the name alone: a stranger who knows a name could keep its owner out for ever. See decision 0029.
"""

from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network
from typing import Any

from axes.attempts import get_cool_off_threshold
from axes.handlers.database import AxesDatabaseHandler
from axes.helpers import get_client_username
from axes.models import AccessAttempt
from django.conf import settings
from django.db.models import Max, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from customers.addresses import client_address
from customers.models import User
from customers.services import audit
from sora2.pages import render

# Whoever has one address of IPv6 mostly has all of its /64.
IPV6_PREFIX = 64


class Counter(AxesDatabaseHandler):  # type: ignore[misc] # axes says no types.
    """Counts failures of a name from an address, and lets an address have more of them, whatever the names."""

    def get_failures(self, request: HttpRequest, credentials: dict[str, Any] | None = None) -> int:
        """Return the failures that count against the limit of a name from an address (axes' hook)."""
        of_pair = int(super().get_failures(request, credentials))
        of_address = _recent(request).aggregate(failures=Sum("failures_since_start"))["failures"] or 0
        return settings.AXES_FAILURE_LIMIT if of_address >= settings.SIGN_IN_FAILURES_PER_ADDRESS else of_pair


def address_of(request: HttpRequest) -> str | None:
    """Return where a request comes from, as failures are counted: of IPv6 the network; None if nobody can say."""
    address = client_address(request.META)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, IPV6_PREFIX), strict=False).network_address)
    return str(address) if address else None


def locked_out(request: HttpRequest, _response: HttpResponse, credentials: dict[str, Any] | None) -> HttpResponse:
    """Answer whoever is locked out: how long, and whom to ask (axes' hook)."""
    wait = max(_locked_until(request, credentials) - timezone.now(), timedelta(seconds=1))
    page: Any = render(
        request,
        "admin/account/locked.html",
        status=429,
        title="Locked for a while",
        wait=wait,
        support=settings.SUPPORT_EMAIL,
    )
    page.headers["Retry-After"] = str(int(wait.total_seconds()) + 1)
    return page.render()  # type: ignore[no-any-return]


def note_failure(request: HttpRequest, *, username: str, act: str) -> None:
    """Write down that a password was refused, or that this locked somebody out.

    What comes while somebody is locked out is not written: who guesses, fills no table.
    """
    tried, locked = hasattr(request, "axes_updated"), getattr(request, "axes_locked_out", False)
    counted = getattr(request, "axes_failures_since_start", None) is not None
    if not tried or (locked and not counted):
        return
    known = User.objects.filter(username=username).first()
    audit(
        actor=known.pk if known and act != "session.sign_in" else "nobody",
        action=act,
        subject=known.pk if known else "",
        outcome="locked" if locked else "refused" if counted else "no_organization",
        detail={"username": username[:150], "address": address_of(request) or ""},
    )


def _recent(request: HttpRequest) -> Any:
    """Return the failures that still count from the address of this request."""
    since = get_cool_off_threshold(request)
    return AccessAttempt.objects.filter(ip_address=address_of(request), attempt_time__gte=since)


def _locked_until(request: HttpRequest, credentials: dict[str, Any] | None) -> datetime:
    """Return when this name may try again from this address; nothing that comes before then makes it longer."""
    last = _recent(request)
    if (last.aggregate(failures=Sum("failures_since_start"))["failures"] or 0) < settings.SIGN_IN_FAILURES_PER_ADDRESS:
        last = last.filter(username=get_client_username(request, credentials))
    at: datetime = last.aggregate(at=Max("attempt_time"))["at"] or timezone.now()
    return at + settings.AXES_COOLOFF_TIME
