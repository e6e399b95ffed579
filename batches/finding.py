"""Where an id leads: the page of whatever somebody reaches, from the id alone."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from django.urls import reverse
from django.utils.http import urlencode

from batches.models import Batch, Item
from customers.access import Access
from ledger.models import CreditRequest, Entry, Wallet
from webhooks.models import Delivery, Endpoint, Event


def addresses(access: Access, ids: Iterable[str]) -> dict[str, str]:
    """Return the address of the page of each id that somebody reaches; the others are left out."""
    by_prefix: dict[str, set[str]] = defaultdict(set)
    for name in ids:
        by_prefix[name.partition("_")[0]].add(name)
    return {
        name: address
        for prefix, names in by_prefix.items()
        if prefix in _LOOKUPS
        for name, address in _LOOKUPS[prefix](access, names)
    }


def address_of(access: Access, text: str) -> str:
    """Return the page of an id or of a request id; the list of batches where it is none, or not the only one."""
    found = addresses(access, [text]).get(text)
    if found is not None:
        return found
    batches = list(Batch.objects.within(access).filter(request_id=text).values_list("pk", flat=True)[:2])
    return batch_address(batches[0]) if len(batches) == 1 else with_query("admin:batch_list", q=text)


def batch_address(batch_id: str) -> str:
    """Return the address of a batch's page."""
    return reverse("admin:batch", args=[batch_id])


def with_query(name: str, *args: str, **query: str) -> str:
    """Return the address of a page with a query."""
    return f"{reverse(name, args=args)}?{urlencode(query)}"


Found = Iterable[tuple[str, str]]


def _batches(access: Access, ids: set[str]) -> Found:
    return [(pk, batch_address(pk)) for (pk,) in Batch.objects.within(access).filter(pk__in=ids).values_list("pk")]


def _items(access: Access, ids: set[str]) -> Found:
    rows = Item.objects.within(access).filter(pk__in=ids).values_list("pk", "batch_id")
    return [(pk, reverse("admin:item", args=[batch_id, pk])) for pk, batch_id in rows]


def _wallets(access: Access, ids: set[str]) -> Found:
    rows = Wallet.objects.within(access).filter(pk__in=ids).values_list("pk", "organization_id", "mode")
    return [(pk, with_query("admin:statement", owner, mode=mode)) for pk, owner, mode in rows]


def _organizations(access: Access, ids: set[str]) -> Found:
    rows = Wallet.objects.within(access).filter(organization_id__in=ids).values_list("organization_id").distinct()
    return [(pk, reverse("admin:statement", args=[pk])) for (pk,) in rows]


def _entries(access: Access, ids: set[str]) -> Found:
    rows = Entry.objects.within(access).filter(pk__in=ids)
    for pk, seq, owner, mode in rows.values_list("pk", "seq", "wallet__organization_id", "wallet__mode"):
        yield pk, with_query("admin:statement", owner, mode=mode, after=str(seq + 1)) + f"#{pk}"


def _requests(access: Access, ids: set[str]) -> Found:
    # Their pages are our staff's.
    rows = CreditRequest.objects.within(access) if access.organization_ids is None else CreditRequest.objects.none()
    return [(pk, reverse("admin:credit_request", args=[pk])) for (pk,) in rows.filter(pk__in=ids).values_list("pk")]


def _endpoints(access: Access, ids: set[str]) -> Found:
    rows = Endpoint.objects.within(access).filter(pk__in=ids).values_list("pk")
    return [(pk, reverse("admin:endpoint", args=[pk])) for (pk,) in rows]


def _events(access: Access, ids: set[str]) -> Found:
    for pk, reference, part in Event.objects.within(access).filter(pk__in=ids).values_list("pk", "reference", "part"):
        of_a_batch = reference.startswith("bat_") and not part
        yield pk, _batch_webhooks(reference) if of_a_batch else with_query("admin:delivery_list", about=pk)


def _deliveries(access: Access, ids: set[str]) -> Found:
    rows = Delivery.objects.within(access).filter(pk__in=ids).values_list("pk")
    return [(pk, reverse("admin:delivery", args=[pk])) for (pk,) in rows]


def _batch_webhooks(batch_id: str) -> str:
    return reverse("admin:batch_webhooks", args=[batch_id])


_LOOKUPS: Mapping[str, Callable[[Access, set[str]], Found]] = {
    "bat": _batches,
    "itm": _items,
    "wal": _wallets,
    "org": _organizations,
    "led": _entries,
    "crq": _requests,
    "whe": _endpoints,
    "evt": _events,
    "dlv": _deliveries,
}
