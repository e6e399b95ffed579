"""What is wrong with an order in words for people: at the field or the row where it stands, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batches import services
from batches.catalogue import Model
from batches.intake import MAX_ITEMS, BatchTooLarge, ModelRetired, read_order
from batches.ordering_files import RowFault, suggestion
from batches.ordering_forms import OrderForm, either
from sora2.faults import MAX_FAULTS, Fault, Invalid

FIELDS = {name: name for name in ("webhook_url", "max_credits", "deadline", "metadata")} | {"items": "rows"}
GIVEN_SHOWN = 40


@dataclass(frozen=True)
class RowFaults:
    """What is wrong with rows, in their order, and how many more faults there are."""

    rows: Sequence[RowFault] = ()
    more: int = 0

    @property
    def count(self) -> int:
        """Return how many faults there are."""
        return len(self.rows) + self.more


def of_rows(form: OrderForm, now: datetime) -> RowFaults:
    """Return what is wrong with the rows where the form or the text has faults, too: all of it is mended at once."""
    if not hasattr(form, "sheet"):
        return RowFaults()
    if "model" in form.cleaned_data and form.sheet.items:
        body = {"items": form.items} if form.errors else form.body
        try:
            read_order(body, max_items=MAX_ITEMS, catalogue=form.catalogue, now=now)
        except (Invalid, BatchTooLarge, ModelRetired) as error:
            return of_order(form, error)
    return _first(form.sheet.faults)


def of_order(form: OrderForm, error: Invalid | BatchTooLarge | ModelRetired) -> RowFaults:
    """Put what the reader of orders has found at the form's fields; return what it found of rows."""
    found = list(form.sheet.faults)
    if isinstance(error, BatchTooLarge):
        form.add_error("rows", _too_large(form, error))
        return _first(found)
    if isinstance(error, ModelRetired):
        return _first(found + _retired(form, error))
    for fault in error.faults:
        _, field, *rest = fault.pointer.split("/")
        if field == "items" and rest:
            found.append(_of_row(form, int(rest[0]), [_plain(part) for part in rest[1:]], fault))
        else:
            form.add_error(FIELDS.get(field), fault.detail)
    return _first(found, more=error.count - len(error.faults))


def add_refusal(form: OrderForm, error: services.Refused, *, money: bool) -> None:
    """Say at the form why the order was refused; figures of the balance only where `money` may be seen."""
    match error:
        case services.RequestIdReused():
            form.add_error("request_id", "This request id has made a batch already, and of another content.")
        case services.MaxCreditsExceeded():
            form.add_error("max_credits", dearer(error.credits, error.max_credits))
        case services.CreditsShort() if money:
            form.add_error(None, short(error.required, error.available))
        case services.CreditsShort():
            form.add_error(None, f"Nothing was frozen: {NOT_ENOUGH}")
        case services.TooManyOpenBatches():
            detail = (
                f"Nothing was frozen: {error.limit:,} batches are open, as many as may be at once. Confirm again when "
                "one has ended; what you wrote stays here."
            )
            form.add_error(None, detail)
        case _:
            form.add_error(None, f"Nothing was frozen: {error}.")


NOT_ENOUGH = "the balance does not suffice. Order fewer or shorter videos, or ask whoever sees the credits for more."


def short(required: int, available: int) -> str:
    """Say what is missing."""
    return (
        f"Nothing is frozen: the batch costs {required:,} credits and {available:,} are available, so that "
        f"{max(required - available, 0):,} are missing. Order fewer or shorter videos, or ask for more credits."
    )


def dearer(credits: int, most: int) -> str:
    """Say that an order costs more than was allowed."""
    return f"The batch costs {credits:,} credits, more than the {most:,} that you allow. Allow more, or order less."


def _too_large(form: OrderForm, error: BatchTooLarge) -> str:
    there = f"More than {MAX_ITEMS:,}" if form.sheet.is_full else f"{error.items:,}"
    whose = f"of {form.organization} " if hasattr(form, "organization") else ""
    return (
        f"{there} videos, and a batch {whose}has {error.limit:,} at most. Split it into several "
        "batches, or ask us for a higher limit."
    )


def _retired(form: OrderForm, error: ModelRetired) -> list[RowFault]:
    instead = f"Take {error.replacement} instead." if error.replacement else "Choose another model."
    detail = f"{error.model} is not offered any more. {instead}"
    places = zip(form.sheet.places, form.items, strict=True)
    return [RowFault(place.row, place.where, "model", detail) for place, item in places if item["model"] == error.model]


def _of_row(form: OrderForm, index: int, path: Sequence[str], fault: Fault) -> RowFault:
    place, item = form.sheet.places[index], form.sheet.items[index]
    return RowFault(place.row, place.where, ".".join(path), _detail(form, item, path, fault))


def _detail(form: OrderForm, item: Any, path: Sequence[str], fault: Fault) -> str:
    given = form.default_of(item, path[0]) if path and path[0] in ("model", "seconds", "size") else ""
    shown = str(given)[:GIVEN_SHOWN]
    match fault.code:
        case "not_offered":
            model = form.catalogue.models[form.default_of(item, "model")]
            return f"{shown} is not allowed for {model.name}; choose {either(_offered(model, path[0]))}."
        case "unknown_model":
            return f"“{shown}” is not on offer. {fault.detail}"
        case "unknown_field":
            return f"There is no such field. {suggestion(path[0])}" if len(path) == 1 else fault.detail
        case "not_unique":
            first = next(i for i, other in enumerate(form.sheet.items) if _custom_id(other) == item["custom_id"])
            return f"The custom_id of {form.sheet.places[first].where} is the same. Make them different."
    return fault.detail


def _offered(model: Model, name: str) -> Sequence[Any]:
    return model.seconds if name == "seconds" else model.sizes


def _custom_id(item: Any) -> Any:
    return item.get("custom_id") if isinstance(item, dict) else None


def _first(faults: Sequence[RowFault], more: int = 0) -> RowFaults:
    shown = sorted(faults, key=lambda fault: fault.row)[:MAX_FAULTS]
    return RowFaults(shown, more + len(faults) - len(shown))


def _plain(token: str) -> str:
    return token.replace("~1", "/").replace("~0", "~")
