"""The threshold below which a wallet is low: set by its customer's administrator, or for them by our finance."""

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from customers.access import Access, Permission
from customers.models import Mode
from customers.pages import page
from ledger import lows
from ledger.models import Wallet
from sora2.pages import Page

THRESHOLD_MAX = 10**15


# Our finance, of every wallet; a customer's administrator, of their own.
MAY_SET = (Permission.CREDITS_REQUEST, Permission.ACCOUNT_WRITE)


def may_set_threshold(access: Access) -> bool:
    """Say whether somebody may set the thresholds of the wallets that they reach."""
    return any(access.may(permission) for permission in MAY_SET)


@require_POST
@page(*MAY_SET)
def set_threshold(request: HttpRequest, access: Access, organization_id: str) -> HttpResponseBase:
    """Set the threshold of one wallet; empty takes it away. Leads back to the account if it was set there."""
    mode = request.POST.get("mode", Mode.LIVE.value)
    wallets = Wallet.objects.within(access).filter(organization_id=organization_id)
    wallet = wallets.filter(mode=mode).first() if mode in Mode.values else None
    if wallet is None:
        raise Http404
    text = request.POST.get("threshold", "").strip()
    if text and not (text.isascii() and text.isdigit() and len(text) <= 16 and int(text) <= THRESHOLD_MAX):
        messages.error(request, "The threshold is a whole number of credits, or empty for none. Nothing was changed.")
    else:
        lows.set_threshold(wallet=wallet, threshold=int(text) if text else None, actor=access.actor)
        words = f"low below {int(text):,} credits" if text else "no threshold, never low"
        messages.success(request, f"{mode.capitalize()} wallet: {words}.")
    if request.POST.get("back") == "account":
        return HttpResponseRedirect(reverse("admin:account", args=[organization_id]))
    return HttpResponseRedirect(f"{reverse('admin:statement', args=[organization_id])}?mode={mode}")


PAGES = [Page("ledger/<id:organization_id>/threshold", set_threshold, "set_threshold")]
