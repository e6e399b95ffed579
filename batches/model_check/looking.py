"""Look at the books as they are in the database, under the names of the plan."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from django.db.models import F, Q

from batches.failures import FailureType
from batches.model_check.explaining import Seen, SeenBatch, SeenItem
from batches.model_check.items import Known
from batches.model_check.performing import World
from batches.model_check.rules import Posted, Request, Wallet, batch_name, fill_name
from batches.models import Attempt, Batch, Item, Status
from ledger import models as ledger


@dataclass
class Eye:
    """Looks at a world again and again, and remembers up to where it has seen it."""

    world: World
    last_seq: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    batch_names: dict[str, str] = field(default_factory=dict)
    open: frozenset[str] = frozenset()

    def look(self, *, at_all: bool = False) -> Seen:
        """Return wallets and requests, and since the last look the new entries and the batches that may have changed.

        `at_all`: every batch, also what was final.
        """
        batches = self._batches(at_all=at_all)
        requests = self._requests()
        wallets = list(ledger.Wallet.objects.filter(pk__in=self.world.wallet_names))
        asked_for = self._names_of(requests)
        names = self.batch_names | asked_for
        return Seen(
            wallets={self._name_of(row): Wallet(row.available, row.reserved, row.settled) for row in wallets},
            posted={self._name_of(row): tuple(self._new_entries(row, names)) for row in wallets},
            requests={asked_for[request.reference]: self._request(request) for request in requests},
            batches=self._seen(batches),
            closed=ledger.Period.objects.filter(starts_at__gte=self.world.closed_until).count(),
            ranks={self.batch_names[pk]: rank for rank, pk in enumerate(sorted(self.batch_names))},
        )

    def _name_of(self, wallet: ledger.Wallet) -> str:
        return self.world.wallet_names[wallet.pk]

    def _requests(self) -> list[ledger.CreditRequest]:
        return list(ledger.CreditRequest.objects.filter(wallet__in=self.world.wallet_names).order_by("pk"))

    def _names_of(self, requests: Iterable[ledger.CreditRequest]) -> dict[str, str]:
        """Return the plan's name of each request by its reference; the plan knows nothing of a sandbox's fills."""
        names, fills = {}, Counter[str]()
        for request in requests:
            wallet = self.world.wallet_names[request.wallet_id]
            is_fill = request.reference.startswith(f"{request.wallet_id}:sandbox:")
            names[request.reference] = (
                fill_name(wallet, fills[wallet]) if is_fill else self.world.name_of(request.reason)
            )
            fills[wallet] += is_fill
        return names

    def _request(self, row: ledger.CreditRequest) -> Request:
        asked = next((name for name, person in self.world.people.items() if person.pk == row.requested_by_id), "")
        return Request(self.world.wallet_names[row.wallet_id], row.kind, row.amount, asked, row.state)

    def _new_entries(self, wallet: ledger.Wallet, names: Mapping[str, str]) -> Iterator[Posted]:
        """Yield the entries of a wallet that came since the last look, in their order."""
        seen, self.last_seq[wallet.pk] = self.last_seq[wallet.pk], wallet.last_seq
        if wallet.last_seq != seen:
            rows = ledger.Entry.objects.filter(wallet=wallet, seq__gt=seen).order_by("seq")
            for kind, amount, reference in rows.values_list("kind", "amount", "reference"):
                yield Posted(kind, amount, names.get(reference, reference))

    def _batches(self, *, at_all: bool) -> list[Batch]:
        rows = Batch.objects.filter(wallet__in=self.world.wallet_names)
        if not at_all:
            rows = rows.filter(Q(pk__in=self.open) | Q(pk__gt=max(self.batch_names, default="")))
        batches = list(rows)
        self.open = frozenset(batch.pk for batch in batches if not batch.is_final)
        for batch in batches:
            wallet = self.world.wallet_names[batch.wallet_id]
            self.batch_names[batch.pk] = batch_name(wallet, self.world.name_of(batch.request_id))
        return batches

    def _seen(self, batches: Iterable[Batch]) -> dict[str, SeenBatch]:
        items: dict[str, list[Item]] = defaultdict(list)
        rows = Item.objects.filter(batch__in=[batch.pk for batch in batches]).select_related("output")
        for item in rows.order_by("batch_id", "index"):
            items[item.batch_id].append(item)
        attempts = Attempt.objects.filter(
            item__batch__in=[batch.pk for batch in batches], number=F("item__attempts_made")
        )
        known = {attempt.item_id: _known_of(attempt) for attempt in attempts}
        return {
            self.batch_names[batch.pk]: SeenBatch(
                state=batch.state,
                is_canceled=batch.canceled_at is not None,
                settled=batch.settled,
                refunded=batch.refunded,
                items=tuple(self._seen_item(item, known.get(item.pk, Known())) for item in items[batch.pk]),
            )
            for batch in batches
        }

    def _seen_item(self, item: Item, known: Known) -> SeenItem:
        return SeenItem(
            price=item.credits,
            status=Status(item.status).value,
            stage=item.stage,
            attempts=item.attempts_made,
            lease=self.world.leases[item.lease] if item.lease else None,
            known=known,
            has_output=hasattr(item, "output"),
        )


def _known_of(attempt: Attempt) -> Known:
    refused = FailureType(attempt.failure_type) if attempt.state == Attempt.State.NOT_ACCEPTED else None
    return Known(has_job=attempt.provider_job_id is not None, refused=refused)
