"""The checklists of a pilot as they stand: what the system can see it checks, the rest a person ticks."""

from collections.abc import Collection
from dataclasses import dataclass

from customers.access import Access
from customers.naming import names_of
from pilots.checklist_evidence import Seen
from pilots.checklist_facts import Facts
from pilots.checklist_items import LISTS, Item
from pilots.models import Tick

Sides = Collection[Tick.Side]


@dataclass(frozen=True)
class Line:
    """A line as it stands for somebody: by the system, by a person's tick and whose, or not yet."""

    item: Item
    seen: Seen | None
    tick: Tick | None
    who: str
    may_tick: bool

    @property
    def is_done(self) -> bool:
        """Say whether it is done, by whoever's word."""
        return self.is_seen or self.tick is not None

    @property
    def is_seen(self) -> bool:
        """Say whether the system has seen it."""
        return self.seen is not None and self.seen.done


@dataclass(frozen=True)
class Group:
    """Some lines of one day."""

    day: str
    title: str
    lines: list[Line]

    @property
    def done(self) -> int:
        """Return how many of them are done."""
        return sum(line.is_done for line in self.lines)


def checklists(facts: Facts, *, shown: Access, ticks: Sides, only: Tick.Side | None = None) -> list[Group]:
    """Return the lists of a pilot, or of one side `only`, for somebody who ticks the lines of these sides."""
    names = names_of(shown, [tick.ticked_by_id for tick in facts.ticks.values()])
    groups = [
        Group(day, title, [_line(item, facts, shown, names, ticks) for item in items if only in (None, item.side)])
        for day, title, items in LISTS
    ]
    return [group for group in groups if group.lines]


def item_of(key: str, sides: Sides) -> Item | None:
    """Return the line of one of these sides that a person may tick; None for what is none."""
    items = (item for _day, _title, items in LISTS for item in items)
    return next((item for item in items if item.key == key and item.side in sides and item.by_hand), None)


def _line(item: Item, facts: Facts, shown: Access, names: dict[str, str], ticks: Sides) -> Line:
    seen, tick = item.see(facts) if item.see else None, facts.ticks.get(item.key)
    if seen is not None and not shown.may(seen.needs):
        seen = Seen(seen.done, "")
    may_tick = item.by_hand and item.side in ticks and not (seen and seen.done)
    return Line(item, seen, tick, names.get(tick.ticked_by_id, "") if tick else "", may_tick)
