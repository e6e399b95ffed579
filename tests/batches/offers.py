"""What is on offer, changed as staff change it: by the services."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone

from batches import offering
from batches.catalogue import catalogue
from batches.models import CatalogueModel, PriceList
from batches.offering import NewPrice

STAFF = "usr_ada"


def change_model(name: str, **fields: Any) -> int:
    """Change fields of a model; return how many waiting items went over to its new route."""
    model = CatalogueModel.objects.get(pk=name)
    for field, value in fields.items():
        setattr(model, field, value)
    return offering.save_model(model=model, actor=STAFF)


def retire(name: str, *, replacement: str | None = None, at: datetime | None = None) -> None:
    """Take a model off the offer, now if nothing is said."""
    at = at or timezone.now()
    change_model(name, deprecated_at=at, sunset_at=at, replacement_id=replacement)


def publish(
    version: str,
    changed: Mapping[str, tuple[int, int]] | None = None,
    *,
    effective_from: datetime | None = None,
    now: datetime | None = None,
) -> PriceList:
    """Publish prices, now if nothing is said: those in force, but for `changed`, (credits, for seconds) by model."""
    now = now or timezone.now()
    usual = {model.name: (model.credits, model.base_seconds) for model in catalogue(now=now).offered}
    prices = [NewPrice(name, *price) for name, price in {**usual, **(changed or {})}.items()]
    return offering.publish_prices(
        version=version,
        prices=prices,
        effective_from=effective_from or now,
        reason="A test",
        actor=STAFF,
        now=now,
    )
