"""What the pages of the catalogue show: models, price lists, and what a change of them would do, in figures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Count, Sum
from django.http import Http404
from django.shortcuts import get_object_or_404

from batches.catalogue import DEFAULT_MODEL, LifeCycle, Model, life_cycle, model_of, routes, usual_route
from batches.models import CatalogueModel, Item, Price, PriceList, Stage
from batches.offering import NewPrice
from customers.models import Mode
from customers.naming import names_for_staff

LISTS_SHOWN = 50


@dataclass(frozen=True)
class Offer:
    """A model as its row says it is, where it is in its life, the route of new live items, and its price if it has one.

    Without a price in force it cannot be ordered.
    """

    row: CatalogueModel
    life: LifeCycle
    route: str
    priced: Model | None


@dataclass(frozen=True)
class Listed:
    """A price list, who wrote it, and what became of it: to come, in force, past, or replaced before its time came."""

    prices: PriceList
    state: str
    by: str = ""


@dataclass(frozen=True)
class Clip:
    """What a clip of one length costs, before and after; None where there was no price."""

    seconds: int
    before: int | None
    after: int


@dataclass(frozen=True)
class PriceChange:
    """The price of a model, before and after, and what that makes of a clip of each length."""

    model: str
    life: LifeCycle
    before: Model | None
    after: Model
    clips: list[Clip]

    @property
    def is_change(self) -> bool:
        """Say whether any clip costs another price than before."""
        return any(clip.before != clip.after for clip in self.clips)


@dataclass(frozen=True)
class Waiting:
    """Items of a model that wait to be submitted, on one route and in one mode, and the credits that they hold."""

    route: str
    mode: str
    count: int
    credits: int


@dataclass(frozen=True)
class Effect:
    """One thing that a change does. What cannot be taken back, or stops orders, is grave."""

    sentence: str
    is_grave: bool = False


# --- models --------------------------------------------------------------------------------------------------------


def offers(*, now: datetime) -> list[Offer]:
    """Return all models, in the catalogue's order."""
    usual = usual_route()
    priced = {price.model_id: model_of(price, now) for price in _prices(_in_force(now))}
    return [
        Offer(row=row, life=life_cycle(row, now), route=row.route_id or usual, priced=priced.get(row.name))
        for row in CatalogueModel.objects.order_by("position", "name")
    ]


def offer(*, name: str, now: datetime) -> Offer:
    """Return one model. Raises Http404."""
    found = next((each for each in offers(now=now) if each.row.name == name), None)
    if found is None:
        raise Http404
    return found


def waiting_of(*, model: str) -> list[Waiting]:
    """Return the items of a model that wait to be submitted. Served by batches_item_to_submit, which holds no other."""
    rows = Item.objects.filter(stage=Stage.SUBMIT, model=model).values_list("route", "batch__mode")
    counted = rows.annotate(count=Count("pk"), credits=Sum("credits")).order_by("batch__mode", "route")
    return [Waiting(route, mode, count, int(credits)) for route, mode, count, credits in counted]


# --- what a change of a model does ---------------------------------------------------------------------------------


def effects(*, before: CatalogueModel | None, after: CatalogueModel, now: datetime) -> list[Effect]:
    """Return what saving `after` would do, in figures as they are now."""
    if before is None:
        return [Effect("It can be ordered once a price list that names it is in force.")]
    waiting = waiting_of(model=after.pk)
    return [
        *_of_route(before, after, waiting),
        *_of_retiring(before, after, waiting, now),
        *_of_deprecating(before, after, now),
        *_of_terms(before, after),
    ]


def _of_route(before: CatalogueModel, after: CatalogueModel, waiting: Sequence[Waiting]) -> Iterator[Effect]:
    usual = usual_route()
    went, goes = before.route_id or usual, after.route_id or usual
    if went == goes:
        return
    live = _wait(sum(each.count for each in waiting if each.mode == Mode.LIVE), "live item")
    yield Effect(f"{live}. What waits goes over from {went} to {goes}; what a provider has stays there.")
    if goes not in {route.name for route in routes()}:
        yield Effect(f"The route {goes} is not configured: live items wait until it is.", is_grave=True)


def _of_retiring(
    before: CatalogueModel, after: CatalogueModel, waiting: Sequence[Waiting], now: datetime
) -> Iterator[Effect]:
    was, is_now = life_cycle(before, now) == LifeCycle.RETIRED, life_cycle(after, now) == LifeCycle.RETIRED
    count, credits = sum(each.count for each in waiting), sum(each.credits for each in waiting)
    if was and not is_now:
        yield Effect("It can be ordered again. Items that were refunded because it was retired stay refunded.")
    if after.sunset_at is None or before.sunset_at == after.sunset_at:
        return
    if is_now:
        yield Effect(
            f"{_wait(count)}. What waits fails within a minute, and its {credits:,} credits are given back when its "
            "batches end; what a provider has goes on.",
            is_grave=count > 0,
        )
    else:
        yield Effect(
            f"From {_at(after.sunset_at)} on it cannot be ordered, and what still waits then is refunded. Now "
            f"{_wait(count).lower()}, for {credits:,} credits."
        )
    yield from _of_refusals(after)


def _of_refusals(after: CatalogueModel) -> Iterator[Effect]:
    if after.replacement_id is None:
        yield Effect("Orders for it are refused (410) without a model to take instead: name a replacement.", True)
    if after.pk == DEFAULT_MODEL:
        yield Effect(f"Orders that name no model ask for {DEFAULT_MODEL}: they are refused too.", True)


def _of_deprecating(before: CatalogueModel, after: CatalogueModel, now: datetime) -> Iterator[Effect]:
    if before.deprecated_at == after.deprecated_at or life_cycle(after, now) == LifeCycle.RETIRED:
        return
    if after.deprecated_at is None:
        yield Effect("Orders for it are no longer answered with a warning.")
    else:
        yield Effect(f"From {_at(after.deprecated_at)} on orders for it are taken, and answered with a warning.")


def _of_terms(before: CatalogueModel, after: CatalogueModel) -> Iterator[Effect]:
    gone = [f"{seconds} s" for seconds in before.seconds if seconds not in after.seconds]
    gone += [size for size in before.sizes if size not in after.sizes]
    if gone:
        yield Effect(f"No longer on offer: {', '.join(gone)}. What was ordered stays as it was ordered.")
    if before.provider_model != after.provider_model:
        yield Effect("From the next submit on the provider is asked for the new name, also for items that wait now.")


def _wait(count: int, what: str = "item") -> str:
    return f"{count:,} {what}s wait" if count > 1 else f"{'1' if count else 'No'} {what} waits"


def _at(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


# --- prices --------------------------------------------------------------------------------------------------------


def price_lists(*, now: datetime) -> list[Listed]:
    """Return the newest price lists, those to come first."""
    rows = list(PriceList.objects.newest_first()[:LISTS_SHOWN])
    in_force = next((row for row in rows if row.effective_from <= now), None)
    return [Listed(row, _state(row, newer, in_force, now)) for newer, row in zip([None, *rows], rows, strict=False)]


def price_list(*, version: str, now: datetime) -> Listed:
    """Return one price list. Raises Http404."""
    row = get_object_or_404(PriceList, pk=version.replace("\0", ""))
    twins = PriceList.objects.filter(effective_from=row.effective_from).newest_first()
    newest = twins.first()
    by = names_for_staff([row.created_by]).get(row.created_by, row.created_by)
    return Listed(row, _state(row, None if newest == row else newest, _in_force(now), now), by)


def changes_of(*, prices: PriceList, now: datetime) -> list[PriceChange]:
    """Return the prices of a list, each beside the one of the list that was in force before it."""
    before = PriceList.objects.filter(effective_from__lt=prices.effective_from).newest_first().first()
    rows = _prices(prices)
    return _compared(rows, before, now)


def changes_to(*, new: Iterable[NewPrice], now: datetime) -> list[PriceChange]:
    """Return new prices, each beside the one in force."""
    models = CatalogueModel.objects.in_bulk()
    rows = [
        Price(model=models[each.model], credits=each.credits, base_seconds=each.base_seconds)
        for each in new
        if each.model in models
    ]
    return _compared(rows, _in_force(now), now)


def to_be_priced(*, now: datetime) -> list[Offer]:
    """Return the models that a new price list has to name: all that are not retired."""
    return [each for each in offers(now=now) if each.life != LifeCycle.RETIRED]


def _state(row: PriceList, newer: PriceList | None, in_force: PriceList | None, now: datetime) -> str:
    if newer is not None and newer.effective_from == row.effective_from:
        return "replaced"
    if row.effective_from > now:
        return "to come"
    return "in force" if row == in_force else "past"


def _compared(rows: Iterable[Price], other: PriceList | None, now: datetime) -> list[PriceChange]:
    before = {price.model_id: model_of(price, now) for price in _prices(other)}
    return [_compare(model_of(row, now), before.get(row.model_id), row.model) for row in rows]


def _compare(after: Model, before: Model | None, row: CatalogueModel) -> PriceChange:
    clips = [Clip(each, before.price(each) if before else None, after.price(each)) for each in row.seconds]
    return PriceChange(model=after.name, life=after.status, before=before, after=after, clips=clips)


def _in_force(now: datetime) -> PriceList | None:
    return PriceList.objects.filter(effective_from__lte=now).newest_first().first()


def _prices(prices: PriceList | None) -> Iterable[Price]:
    rows = Price.objects.filter(price_list=prices) if prices else Price.objects.none()
    return rows.select_related("model").order_by("model__position", "model_id")
