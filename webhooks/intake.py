"""Read what a customer sent about an endpoint: every fault is named by its JSON pointer."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sora2.faults import Reader, whole
from sora2.times import from_rfc3339
from webhooks.endpoints import OVERLAP_HOURS, OVERLAP_HOURS_MOST
from webhooks.guarded import ForbiddenTarget, check_url
from webhooks.models import Endpoint, EventType
from webhooks.replay import Range

DESCRIPTION_MAX = 200
FIELDS = ("url", "events", "description", "enabled")
PERIOD = ("created_after", "created_before")


@dataclass(frozen=True)
class ReplayOrder:
    """What is to be sent again, or only counted."""

    wanted: Range
    dry_run: bool


def read_endpoint(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said of a new endpoint: its `url`, and others of the fields. Raises Invalid with every fault."""
    reader = _Reader(_said(body))
    reader.unknown_fields("", body, frozenset(FIELDS))
    if "url" not in reader.given:
        reader.fault("/url", "required", "An endpoint has an address, url.")
    return reader.fields()


def read_changes(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an endpoint that are to change; null is no value. Raises Invalid with every fault."""
    reader = _Reader(body)
    reader.unknown_fields("", body, frozenset(FIELDS))
    if not body:
        reader.fault("", "required", f"Say what to change, at least one of: {', '.join(FIELDS)}.")
    return reader.fields()


def read_overlap_hours(body: Mapping[str, Any]) -> int:
    """Return for how many hours an old secret is to sign beside the new one. Raises Invalid with every fault."""
    reader = _Reader(_said(body))
    reader.unknown_fields("", body, frozenset(["overlap_hours"]))
    hours = reader.overlap_hours()
    reader.finish()
    return hours


def read_replay(body: Mapping[str, Any], *, endpoint: Endpoint) -> ReplayOrder:
    """Return what is to be sent again to an endpoint. Raises Invalid with every fault."""
    reader = _Reader(_said(body))
    reader.unknown_fields("", body, frozenset([*PERIOD, "events", "undelivered", "dry_run"]))
    after, before = reader.instant("created_after"), reader.instant("created_before")
    events = reader.events() if "events" in reader.given else []
    wanted = Range(endpoint, after, before, events, undelivered=reader.flag("undelivered"))
    dry_run = reader.flag("dry_run")
    if after and before and after >= before:
        reader.fault("/created_before", "invalid", "created_before is later than created_after.")
    if not (reader.given.keys() & set(PERIOD) or reader.given.get("undelivered")):
        detail = "So that nobody sends everything again by accident, give created_after, created_before or undelivered."
        reader.fault("", "required", detail)
    reader.finish()
    return ReplayOrder(wanted, dry_run)


def _said(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a body says; null is as good as missing."""
    return {name: value for name, value in body.items() if value is not None}


class _Reader(Reader):
    """Reads field by field; what is faulty is replaced by something harmless."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        super().__init__()
        self.given = given

    def fields(self) -> dict[str, Any]:
        """Return the fields of an endpoint that are there. Raises Invalid."""
        fields: dict[str, Any] = {}
        if "url" in self.given:
            fields["url"] = self.url()
        if "events" in self.given:
            fields["events"] = self.events()
        if "description" in self.given:
            fields["description"] = self.description()
        if "enabled" in self.given:
            fields["enabled"] = self.flag("enabled")
        self.finish()
        return fields

    def url(self) -> str:
        given, problem = self.given["url"], "A url is an https:// address."
        if isinstance(given, str):
            try:
                check_url(given)
            except ForbiddenTarget as error:
                problem = str(error)
            else:
                return given
        self.fault("/url", "invalid", problem)
        return ""

    def events(self) -> list[str]:
        given = self.given["events"]
        if not isinstance(given, list) or not given:
            self.fault("/events", "invalid", "events is a list of at least one event.")
            return []
        seen: set[str] = set()
        for index, name in enumerate(given):
            if not isinstance(name, str) or name not in EventType.values:
                self.fault(f"/events/{index}", "unknown_event", f"Choose among: {', '.join(EventType.values)}.")
            elif name in seen:
                self.fault(f"/events/{index}", "not_unique", "This event stands in the list already.")
            else:
                seen.add(name)
        return given

    def description(self) -> str:
        given = self.given["description"]
        if isinstance(given, str) and len(given) <= DESCRIPTION_MAX and "\0" not in given:
            return given
        detail = f"A description is a text of at most {DESCRIPTION_MAX} characters without NUL."
        self.fault("/description", "invalid", detail)
        return ""

    def flag(self, name: str) -> bool:
        given = self.given.get(name, False)
        if isinstance(given, bool):
            return given
        self.fault(f"/{name}", "invalid", f"{name} is true or false.")
        return False

    def overlap_hours(self) -> int:
        hours = whole(self.given.get("overlap_hours", OVERLAP_HOURS))
        if hours is not None and 0 <= hours <= OVERLAP_HOURS_MOST:
            return hours
        detail = f"overlap_hours is a whole number from 0 to {OVERLAP_HOURS_MOST}."
        self.fault("/overlap_hours", "invalid", detail)
        return OVERLAP_HOURS

    def instant(self, name: str) -> datetime | None:
        given = self.given.get(name)
        if given is None:
            return None
        try:
            return from_rfc3339(given)
        except (TypeError, ValueError):
            self.fault(f"/{name}", "invalid", f"{name} is a time with its zone, such as 2026-12-01T00:00:00Z.")
            return None
