"""The model: what each act does to the books, in plain Python over small values that never change.

It knows wallets, entries, batches, items and who may decide what; nothing of SQL, locks or crashes. An act returns the
books after it and what it may answer: one answer mostly, several where it is refused for more than one reason.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

from batches.model_check.items import Handle, Item, Key, reported
from batches.model_check.plan import Ask, Decide, Grant, Submit, Word

OPEN_BATCHES_MAX = 4
# A test wallet that cannot pay is filled up to this, where that is enough.
SANDBOX_LEVEL = 100_000

# What each kind moves: available, reserved, settled.
MOVES: Mapping[str, tuple[int, int, int]] = {
    "grant": (1, 0, 0),
    "adjustment_in": (1, 0, 0),
    "adjustment_out": (-1, 0, 0),
    "reserve": (-1, 1, 0),
    "settle": (0, -1, 1),
    "refund": (1, -1, 0),
}


@dataclass(frozen=True)
class Wallet:
    """The buckets of a wallet."""

    available: int = 0
    reserved: int = 0
    settled: int = 0


@dataclass(frozen=True)
class Posted:
    """An entry: its kind, its amount, and the name of what it is for."""

    kind: str
    amount: int
    reference: str


@dataclass(frozen=True)
class Request:
    """A grant or an adjustment that somebody asked for."""

    wallet: str
    kind: str
    amount: int
    person: str
    state: str = "requested"


@dataclass(frozen=True)
class Batch:
    """A batch: what was ordered, its state, and its items by index."""

    order: Submit
    items: tuple[Item, ...]
    state: str = "queued"
    canceled: bool = False

    @property
    def is_final(self) -> bool:
        return self.state in ("completed", "partial", "failed")

    def credits(self, *statuses: str) -> int:
        """Return what the items in these statuses cost."""
        return sum(item.price for item in self.items if item.status in statuses)


Answer = tuple["Books", tuple[str, ...]]


@dataclass(frozen=True)
class Books:
    """Everything that the model knows. `posted` are the entries since somebody looked last, by wallet and in order."""

    wallets: Mapping[str, Wallet]
    batches: Mapping[str, Batch] = field(default_factory=dict)
    requests: Mapping[str, Request] = field(default_factory=dict)
    pilots: frozenset[str] = frozenset()
    closed: int = 0
    handles: Mapping[Key, Handle] = field(default_factory=dict)
    posted: Mapping[str, tuple[Posted, ...]] = field(default_factory=dict)

    # --- credits that come and go ----------------------------------------------------------------------------------

    def grant(self, asked: Grant) -> Answer:
        """A pilot's credits, once per live wallet, or play money for a test wallet; each reference once."""
        is_live = asked.wallet.endswith("live")
        refusals = self._taken(asked.reference)
        if is_live and asked.wallet in self.pilots:
            refusals += ("NotGranted",)
        if refusals:
            return self, refusals
        request = Request(asked.wallet, "grant", asked.amount, "", "approved")
        books = self._requested(asked.reference, request).post(asked.wallet, "grant", asked.amount, asked.reference)
        return (replace(books, pilots=books.pilots | {asked.wallet}) if is_live else books), ("granted",)

    def ask(self, asked: Ask) -> Answer:
        """Somebody asks; nothing is posted. A grant's reference is taken until its request is rejected."""
        refusals = self._taken(asked.reference)
        if refusals:
            return self, refusals
        request = Request(asked.wallet, asked.kind, asked.amount, asked.person)
        return self._requested(asked.reference, request), ("asked",)

    def decide(self, decided: Decide) -> Answer:
        """Another decides, once; an approval posts, and is refused where there is too little to take out."""
        request = self.requests.get(decided.reference)
        if request is None:
            return self, ("nothing there",)
        if request.person == decided.person:
            return self, ("SamePerson",)
        if request.state != "requested":
            return self, ("AlreadyDecided",)
        if not decided.approve:
            return self._requested(decided.reference, replace(request, state="rejected")), ("rejected",)
        if request.kind == "adjustment_out" and request.amount > self.wallets[request.wallet].available:
            return self, ("InsufficientCredits",)
        books = self._requested(decided.reference, replace(request, state="approved"))
        return books.post(request.wallet, request.kind, request.amount, decided.reference), ("approved",)

    def close(self) -> Self:
        """A month more is closed."""
        return replace(self, closed=self.closed + 1)

    def post(self, wallet: str, kind: str, amount: int, reference: str) -> Self:
        """An entry moves credits from one bucket to another."""
        before, signs = self.wallets[wallet], MOVES[kind]
        after = Wallet(
            before.available + signs[0] * amount,
            before.reserved + signs[1] * amount,
            before.settled + signs[2] * amount,
        )
        entries = (*self.posted.get(wallet, ()), Posted(kind, amount, reference))
        return replace(self, wallets={**self.wallets, wallet: after}, posted={**self.posted, wallet: entries})

    # --- batches ---------------------------------------------------------------------------------------------------

    def submit(self, order: Submit) -> Answer:
        """A batch is made once per order, and its whole cost is held; or it is refused, and nothing is left of it."""
        name = batch_name(order.wallet, order.order)
        if name in self.batches:
            return self, ("replayed" if self.batches[name].order == order else "request_id_reused",)
        refusals: tuple[str, ...] = ()
        filled = self._filled(order.wallet, sum(order.prices))
        if sum(order.prices) > filled.wallets[order.wallet].available:
            refusals += ("insufficient_credits",)
        if self._open_batches(order.wallet) >= OPEN_BATCHES_MAX:
            refusals += ("too_many_open_batches",)
        if refusals:
            return self, refusals
        batch = Batch(order, tuple(Item(price) for price in order.prices))
        return filled._with(name, batch).post(order.wallet, "reserve", sum(order.prices), name), ("made",)

    def start(self, names: Iterable[str]) -> Self:
        """Batches whose first item was submitted are under way."""
        queued = [name for name in names if self.batches[name].state == "queued"]
        return self._all(queued, lambda batch: replace(batch, state="processing"))

    def cancel(self, name: str) -> Answer:
        """Items that wait to be submitted fail; the others run on."""
        batch = self.batches.get(name)
        if batch is None:
            return self, ("nothing there",)
        if batch.is_final:
            return self, ("BatchFinal",)
        waiting = sum(item.stage == "submit" for item in batch.items)
        return self._with(name, replace(batch, canceled=True)).fail_waiting([name]), (f"canceled {waiting}",)

    def fail_waiting(self, names: Iterable[str]) -> Self:
        """The items of these batches that wait to be submitted fail."""
        return self._all(names, _without_waiting)

    def finalize(self, name: str) -> Answer:
        """A batch whose items have all ended is final, once: what succeeded is charged, what failed is given back."""
        batch = self.batches.get(name)
        if batch is None:
            return self, ("nothing there",)
        if batch.is_final or batch.credits("pending", "running"):
            return self, ("not finalized",)
        settled, refunded = batch.credits("succeeded"), batch.credits("failed")
        items = tuple(replace(i, status="refunded") if i.status == "failed" else i for i in batch.items)
        state = "completed" if not refunded else "partial" if settled else "failed"
        books = self._with(name, replace(batch, state=state, items=items))
        if settled:
            books = books.post(batch.order.wallet, "settle", settled, name)
        if refunded:
            books = books.post(batch.order.wallet, "refund", refunded, name)
        return books, ("finalized",)

    def to_cancel(self) -> frozenset[str]:
        """The open batches that were canceled."""
        return frozenset(name for name, batch in self.batches.items() if batch.canceled and not batch.is_final)

    def overdue(self) -> frozenset[str]:
        """The open batches that have a deadline and were not canceled."""
        found = (name for name, batch in self.batches.items() if batch.order.has_deadline and not batch.canceled)
        return frozenset(name for name in found if not self.batches[name].is_final)

    def to_finalize(self) -> frozenset[str]:
        """The open batches whose items have all ended."""
        return frozenset(
            name
            for name, batch in self.batches.items()
            if not batch.is_final and not batch.credits("pending", "running")
        )

    # --- items -----------------------------------------------------------------------------------------------------

    def due(self, stage: str, *, expired: bool) -> frozenset[tuple[str, int]]:
        """The items that may be claimed for `stage`; held ones only where leases count as over."""
        return frozenset(
            (name, index)
            for name, batch in self.batches.items()
            if not batch.is_final and not (stage == "submit" and batch.canceled)
            for index, item in enumerate(batch.items)
            if item.stage == stage and (expired or item.lease is None)
        )

    def claim(self, items: Sequence[tuple[str, int]], *, stage: str, lease: int) -> Self:
        """Items are held by a worker, who knows what is known of them now."""
        books, handles = self, dict(self.handles)
        for name, index in items:
            held = books.batches[name].items[index].claimed(stage, lease)
            books = books._with(name, _changed(books.batches[name], index, held))
            handles[lease, stage, name, index] = Handle(name, index, stage, held)
        return replace(books, handles=handles)

    def report(self, handles: Iterable[Handle], words: Sequence[Word]) -> tuple[Self, frozenset[str]]:
        """Workers say what became of items; who lost the lease moves none. Return also whose items ended by that."""
        books, ended = self, set()
        for handle in handles:
            batch = books.batches[handle.batch]
            item = batch.items[handle.index]
            after = reported(item, handle, words[handle.index % len(words)])
            if item.stage is not None and after.stage is None:
                ended.add(handle.batch)
            books = books._with(handle.batch, _changed(batch, handle.index, after))
        return books, frozenset(ended)

    # --- private ---------------------------------------------------------------------------------------------------

    def _filled(self, wallet: str, credits: int) -> Self:
        """A test wallet that cannot pay is filled; by a grant, which has its request."""
        available = self.wallets[wallet].available
        if wallet.endswith("live") or available >= credits or credits > SANDBOX_LEVEL:
            return self
        number = sum(name.startswith(fill_name(wallet)) for name in self.requests)
        name, amount = fill_name(wallet, number), SANDBOX_LEVEL - available
        books = self._requested(name, Request(wallet, "grant", amount, "", "approved"))
        return books.post(wallet, "grant", amount, name)

    def _taken(self, reference: str) -> tuple[str, ...]:
        request = self.requests.get(reference)
        return ("AlreadyPosted",) if request is not None and request.state != "rejected" else ()

    def _requested(self, reference: str, request: Request) -> Self:
        return replace(self, requests={**self.requests, reference: request})

    def _open_batches(self, wallet: str) -> int:
        return sum(not batch.is_final and batch.order.wallet == wallet for batch in self.batches.values())

    def _with(self, name: str, batch: Batch) -> Self:
        return replace(self, batches={**self.batches, name: batch})

    def _all(self, names: Iterable[str], change: Callable[[Batch], Batch]) -> Self:
        return replace(self, batches={**self.batches, **{name: change(self.batches[name]) for name in names}})


def batch_name(wallet: str, order: str) -> str:
    """Return the name of the batch that an order on a wallet makes."""
    return f"{wallet}, {order}"


def fill_name(wallet: str, number: int | str = "") -> str:
    """Return the name of a test wallet's fill: the first one has the number 0."""
    return f"{wallet}, fill {number}"


def _changed(batch: Batch, index: int, item: Item) -> Batch:
    return replace(batch, items=(*batch.items[:index], item, *batch.items[index + 1 :]))


def _without_waiting(batch: Batch) -> Batch:
    return replace(batch, items=tuple(i.ended("failed") if i.stage == "submit" else i for i in batch.items))
