"""Changing what is on offer: routes, models and prices. Each change is written down: who, when, what it was before.

What is read of them: batches.catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction
from django.forms.models import model_to_dict

from batches.catalogue import SIMULATOR, routing
from batches.models import CatalogueModel, Item, Price, PriceList, ProviderRoute, Stage
from customers.models import Mode
from customers.services import audit
from sora2 import bell
from sora2.crypto import encrypt


class OfferRefused(ValueError):
    """The change is not made; the message says why and what to do."""


@dataclass(frozen=True)
class NewPrice:
    """What a clip of `base_seconds` of a model is to cost."""

    model: str
    credits: int
    base_seconds: int


# --- routes --------------------------------------------------------------------------------------------------------


def save_route(*, route: ProviderRoute, actor: str, new_key: str | None = None) -> None:
    """Store a new or changed route. `new_key` is the provider's key: encrypted, never shown, never written down;
    empty forgets the one that is stored, None keeps it. Raises OfferRefused when one stands in the address.
    """
    if "@" in urlsplit(route.base_url).netloc:
        raise OfferRefused("The address is shown and written down: give the key by itself, not in the address.")
    with transaction.atomic():
        before = ProviderRoute.objects.select_for_update().filter(pk=route.pk).first()
        if new_key is not None:
            route.api_key_encrypted = encrypt(new_key) if new_key else ""
        elif before is not None:
            route.api_key_encrypted = before.api_key_encrypted
        _keep_pause(route, before)
        route.save()
        changes = changes_between(before, route)
        had_key = before is not None and bool(before.api_key_encrypted)
        if new_key or (new_key == "" and had_key):
            changes["api_key"] = [_of_key(had_key), _of_key(bool(new_key))]
        _record("route.change" if before else "route.create", route.pk, actor, changes)


def pause_route(*, name: str, reason: str, actor: str, now: datetime) -> None:
    """Stop submitting to a route; what its provider has goes on. Raises OfferRefused without a reason."""
    reason = reason.strip()
    if not reason:
        raise OfferRefused("Say why the route is paused: whoever finds it paused wants to know.")
    _switch(name, actor, "route.pause", paused_at=now, paused_by=actor, paused_reason=reason[:500])


def resume_route(*, name: str, actor: str) -> None:
    """Submit to a route again."""
    _switch(name, actor, "route.resume", paused_at=None, paused_by="", paused_reason="")
    bell.ring("batches.submit", route=name)


def _switch(name: str, actor: str, action: str, **fields: Any) -> None:
    """Set the pause of a route, if it is not as wished already."""
    with transaction.atomic():
        is_to_pause = fields["paused_at"] is not None
        if ProviderRoute.objects.filter(pk=name, paused_at__isnull=is_to_pause).update(**fields):
            audit(actor=actor, action=action, subject=name, detail={"reason": fields["paused_reason"]})


def _keep_pause(route: ProviderRoute, before: ProviderRoute | None) -> None:
    if before is not None:
        route.paused_at, route.paused_by, route.paused_reason = (
            before.paused_at,
            before.paused_by,
            before.paused_reason,
        )


def _of_key(is_stored: bool) -> str:
    return "(not shown)" if is_stored else "(none)"


# --- models --------------------------------------------------------------------------------------------------------


def save_model(*, model: CatalogueModel, actor: str) -> int:
    """Store a new or changed model; return how many waiting live items went over to its new route.

    What is with a provider stays there. A retired model's waiting items are refunded within a minute.
    Raises OfferRefused.
    """
    refuse_impossible(model)
    with transaction.atomic():
        before = CatalogueModel.objects.select_for_update().filter(pk=model.pk).first()
        went = routing(Mode.LIVE).get(model.pk)
        model.save()
        goes = routing(Mode.LIVE)[model.pk]
        moved = _follow(model, goes) if before and goes != went else 0
        changes = changes_between(before, model)
        if moved:
            changes["waiting_items_moved"] = [0, moved]
        _record("model.change" if before else "model.create", model.pk, actor, changes)
    return moved


def refuse_impossible(model: CatalogueModel) -> None:
    """Raise OfferRefused for what contradicts itself."""
    if model.default_seconds not in model.seconds:
        raise OfferRefused("The default length must be one of the lengths on offer.")
    if model.sunset_at and (model.deprecated_at is None or model.deprecated_at > model.sunset_at):
        raise OfferRefused("A model is deprecated before it is retired: give an earlier time for that, or the same.")
    if model.replacement_id == model.pk:
        raise OfferRefused("A model cannot be its own replacement.")
    if model.route_id == SIMULATOR:
        raise OfferRefused("Live clips are not simulated. Leave the route empty to take the usual one.")


def _follow(model: CatalogueModel, route: str) -> int:
    """Move what waits to be submitted to the model's new route; test items stay with the simulator."""
    waiting = Item.objects.filter(model=model.pk, stage=Stage.SUBMIT, batch__mode=Mode.LIVE)
    return Item.objects.filter(pk__in=waiting.values("pk"), stage=Stage.SUBMIT).update(route=route)


# --- prices --------------------------------------------------------------------------------------------------------


def publish_prices(
    *,
    version: str,
    prices: list[NewPrice],
    effective_from: datetime,
    reason: str,
    actor: str,
    now: datetime,
) -> PriceList:
    """Write the price list that is in force from `effective_from` on, for all models. It never changes.

    A batch keeps the prices that it was accepted at. A retired model that is not named keeps its last price, so that
    an order for it is still told what replaces it. Raises OfferRefused.
    """
    version, reason = version.strip(), reason.strip()[:500]
    if not reason:
        raise OfferRefused("Say why prices change: it is written down with them.")
    if effective_from < now:
        raise OfferRefused("Prices cannot change in the past. Take a time to come.")
    _refuse_gaps(prices, now)
    with transaction.atomic():
        last = _prices_in_force(now)
        before = {each.model: _in_words(each) for each in last}
        fields = {"effective_from": effective_from, "reason": reason, "created_by": actor}
        made, is_new = PriceList.objects.get_or_create(version=version, defaults=fields)
        if not (version and is_new):
            raise OfferRefused("Give this price list a version that no other has, such as its date.")
        Price.objects.bulk_create(
            Price(price_list=made, model_id=each.model, credits=each.credits, base_seconds=each.base_seconds)
            for each in [*prices, *_left_out(last, prices)]
        )
        after = {each.model: _in_words(each) for each in prices}
        changes = {
            name: [before.get(name, ""), price] for name, price in after.items() if before.get(name, "") != price
        }
        _record("prices.publish", version, actor, changes, effective_from=effective_from.isoformat(), reason=reason)
    return made


def _refuse_gaps(prices: list[NewPrice], now: datetime) -> None:
    if any(each.credits < 1 or each.base_seconds < 1 for each in prices):
        raise OfferRefused("A clip costs at least one credit, for at least one second.")
    named = {each.model for each in prices}
    if len(named) < len(prices):
        raise OfferRefused("A price list names each model once.")
    known = {model.name: model for model in CatalogueModel.objects.all()}
    if unknown := sorted(named - known.keys()):
        raise OfferRefused(f"There is no such model: {', '.join(unknown)}.")
    on_offer = {name for name, model in known.items() if model.sunset_at is None or model.sunset_at > now}
    if missing := sorted(on_offer - named):
        raise OfferRefused(f"A price list names all models on offer. Missing: {', '.join(missing)}.")


def _prices_in_force(now: datetime) -> list[NewPrice]:
    current = PriceList.objects.filter(effective_from__lte=now).newest_first().first()
    rows = Price.objects.filter(price_list=current) if current else Price.objects.none()
    return [NewPrice(row.model_id, row.credits, row.base_seconds) for row in rows]


def _left_out(last: list[NewPrice], prices: list[NewPrice]) -> list[NewPrice]:
    """Return the last prices of models that are not named: only retired ones may be missing."""
    named = {each.model for each in prices}
    return [each for each in last if each.model not in named]


def _in_words(price: NewPrice) -> str:
    return f"{price.credits} for {price.base_seconds} s"


# --- writing it down -----------------------------------------------------------------------------------------------


def changes_between(before: Any, after: Any) -> dict[str, list[Any]]:
    """Return each field of a row that changed: [before, after], as plain JSON. A new row has no `before`."""
    old = model_to_dict(before) if before else {}
    new = model_to_dict(after)
    return {name: [_plain(old.get(name)), _plain(value)] for name, value in new.items() if old.get(name) != value}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _record(action: str, subject: str, actor: str, changes: Mapping[str, Any], **more: str) -> None:
    if changes or more:
        audit(actor=actor, action=action, subject=subject, detail={**more, "changes": dict(changes)})
