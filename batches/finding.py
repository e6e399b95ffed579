"""Where an id leads: the page of whatever somebody reaches, from the id alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from django.urls import reverse

from batches.models import Batch, Item
from customers.access import Access, Permission
from customers.models import ApiKey
from ledger.models import CreditRequest, Entry, Invoice, Wallet
from sora2.pages import with_query
from webhooks.models import Delivery, Endpoint, Event


@dataclass(frozen=True)
class Place:
    """Where an id leads, and the customer's name."""

    address: str
    who: str


def places(access: Access, ids: Iterable[str]) -> dict[str, Place]:
    """Return the page of each id that somebody reaches; the others are left out."""
    by_prefix: dict[str, set[str]] = defaultdict(set)
    for name in ids:
        by_prefix[name.partition("_")[0]].add(name)
    return {
        name: Place(address, who)
        for prefix, names in by_prefix.items()
        if prefix in LOOKUPS
        for name, address, who in LOOKUPS[prefix](access, names)
    }


def address_of(access: Access, text: str) -> str:
    """Return the page of an id, an invoice's number or a request id; the list of batches where it is not just one."""
    found = places(access, [text]).get(text) or _numbered(access, text)
    if found is not None:
        return found.address
    batches = list(Batch.objects.within(access).filter(request_id=text).values_list("pk", flat=True)[:2])
    return batch_address(batches[0]) if len(batches) == 1 else with_query("admin:batch_list", q=text)


def batch_address(batch_id: str) -> str:
    """Return the address of a batch's page."""
    return reverse("admin:batch", args=[batch_id])


def sign_off_address(batch_id: str) -> str:
    """Return where a batch is signed off."""
    return f"{reverse('admin:batch_billing', args=[batch_id])}#sign-off"


# The id, the address of its page, and the customer's name.
Found = Iterable[tuple[str, str, str]]


def _batches(access: Access, ids: set[str]) -> Found:
    rows = Batch.objects.within(access).filter(pk__in=ids).values_list("pk", "organization__name")
    return [(pk, batch_address(pk), who) for pk, who in rows]


def _items(access: Access, ids: set[str]) -> Found:
    rows = Item.objects.within(access).filter(pk__in=ids).values_list("pk", "batch_id", "batch__organization__name")
    return [(pk, reverse("admin:item", args=[batch_id, pk]), who) for pk, batch_id, who in rows]


def _wallets(access: Access, ids: set[str]) -> Found:
    rows = Wallet.objects.within(access).filter(pk__in=ids)
    for pk, owner, mode, who in rows.values_list("pk", "organization_id", "mode", "organization__name"):
        yield pk, with_query("admin:statement", owner, mode=mode), who


def _organizations(access: Access, ids: set[str]) -> Found:
    rows = Wallet.objects.within(access).filter(organization_id__in=ids)
    owners = rows.values_list("organization_id", "organization__name").distinct()
    return [(pk, reverse("admin:statement", args=[pk]), who) for pk, who in owners]


def _keys(access: Access, ids: set[str]) -> Found:
    rows = ApiKey.objects.within(access).filter(pk__in=ids).values_list("pk", "organization_id", "organization__name")
    return [(pk, reverse("admin:key", args=[owner, pk]), who) for pk, owner, who in rows]


def _entries(access: Access, ids: set[str]) -> Found:
    rows = Entry.objects.within(access).filter(pk__in=ids).values_list("pk", "wallet__organization__name")
    return [(pk, reverse("admin:entry", args=[pk]), who) for pk, who in rows]


def _requests(access: Access, ids: set[str]) -> Found:
    # Their pages are our staff's.
    rows = CreditRequest.objects.within(access) if access.organization_ids is None else CreditRequest.objects.none()
    found = rows.filter(pk__in=ids).values_list("pk", "wallet__organization__name")
    return [(pk, reverse("admin:credit_request", args=[pk]), who) for pk, who in found]


def _invoices(access: Access, ids: set[str]) -> Found:
    found = Invoice.objects.visible(access).filter(pk__in=ids).values_list("pk", "organization__name")
    return [(pk, reverse("admin:invoice", args=[pk]), who) for pk, who in found]


def _numbered(access: Access, number: str) -> Place | None:
    """Return the page of the invoice with this number, if somebody may see credits and reaches it."""
    if not access.may(Permission.LEDGER_READ):
        return None
    found = Invoice.objects.visible(access).filter(number=number.upper()).select_related("organization").first()
    return Place(reverse("admin:invoice", args=[found.pk]), found.organization.name) if found else None


def _endpoints(access: Access, ids: set[str]) -> Found:
    rows = Endpoint.objects.within(access).filter(pk__in=ids).values_list("pk", "organization__name")
    return [(pk, reverse("admin:endpoint", args=[pk]), who) for pk, who in rows]


def _events(access: Access, ids: set[str]) -> Found:
    rows = Event.objects.within(access).filter(pk__in=ids)
    for pk, reference, part, who in rows.values_list("pk", "reference", "part", "organization__name"):
        of_a_batch = reference.startswith("bat_") and not part
        yield pk, _batch_webhooks(reference) if of_a_batch else with_query("admin:delivery_list", about=pk), who


def _deliveries(access: Access, ids: set[str]) -> Found:
    rows = Delivery.objects.within(access).filter(pk__in=ids).values_list("pk", "organization__name")
    return [(pk, reverse("admin:delivery", args=[pk]), who) for pk, who in rows]


def _batch_webhooks(batch_id: str) -> str:
    return reverse("admin:batch_webhooks", args=[batch_id])


# What lies above registers here what it has.
LOOKUPS: dict[str, Callable[[Access, set[str]], Found]] = {
    "bat": _batches,
    "itm": _items,
    "wal": _wallets,
    "org": _organizations,
    "key": _keys,
    "led": _entries,
    "crq": _requests,
    "inv": _invoices,
    "whe": _endpoints,
    "evt": _events,
    "dlv": _deliveries,
}
