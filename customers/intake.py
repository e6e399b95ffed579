"""Read what a customer sent about a key: every fault is named by its JSON pointer."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from customers.access import SCOPES, Permission
from customers.addresses import NoNetwork, read_network
from customers.issuing import OVERLAP_HOURS, OVERLAP_HOURS_MOST, KeyOrder, beyond
from customers.models import ApiKey
from sora2.faults import Reader, whole
from sora2.times import from_rfc3339

NAME_MAX = 100
NETWORKS_MOST = 50
CREDITS_MAX = 2**63 - 1
FIELDS = ("name", "scopes", "expires_at", "budget_credits", "allowed_networks")


def read_key(body: Mapping[str, Any], *, maker: ApiKey, now: datetime) -> KeyOrder:
    """Return the key that is ordered; its life and its networks are the maker's where nothing is said of them.

    Raises Invalid with every fault: of form, and of what the maker has not itself.
    """
    reader = _Reader(body)
    reader.unknown_fields("", body, frozenset(FIELDS))
    order = KeyOrder(
        name=reader.name(),
        scopes=reader.scopes(),
        expires_at=reader.expires_at(maker, now),
        budget_credits=reader.budget_credits(),
        allowed_networks=reader.allowed_networks(maker),
    )
    for fault in beyond(maker, order):
        reader.fault(fault.pointer, fault.code, fault.detail)
    reader.finish()
    return order


def read_overlap_hours(body: Mapping[str, Any]) -> int:
    """Return for how many hours an old secret is to work beside the new one. Raises Invalid with every fault."""
    reader = _Reader(body)
    reader.unknown_fields("", reader.given, frozenset(["overlap_hours"]))
    hours = reader.overlap_hours()
    reader.finish()
    return hours


class _Reader(Reader):
    """Reads field by field; what is faulty is replaced by something harmless. Null is as good as missing."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        super().__init__()
        self.given = {name: value for name, value in body.items() if value is not None}

    def name(self) -> str:
        given = self.given.get("name")
        if isinstance(given, str) and len(given.strip()) > 0 and len(given) <= NAME_MAX and "\0" not in given:
            return given.strip()
        detail = f"A key has a name of 1 to {NAME_MAX} characters, by which you know it."
        self.fault("/name", "required" if given is None else "invalid", detail)
        return ""

    def scopes(self) -> Sequence[Permission]:
        given = self.given.get("scopes")
        if not isinstance(given, list) or not given:
            detail = f"scopes is a list of at least one of: {', '.join(SCOPES)}."
            self.fault("/scopes", "required" if given is None else "invalid", detail)
            return ()
        read: list[Permission] = []
        for index, scope in enumerate(given):
            if scope not in SCOPES:
                self.fault(f"/scopes/{index}", "unknown_scope", f"Choose among: {', '.join(SCOPES)}.")
            elif scope in read:
                self.fault(f"/scopes/{index}", "not_unique", "This scope stands in the list already.")
            else:
                read.append(Permission(scope))
        return read

    def expires_at(self, maker: ApiKey, now: datetime) -> datetime | None:
        given = self.given.get("expires_at")
        if given is None:
            return maker.expires_at
        try:
            at = from_rfc3339(given)
        except (TypeError, ValueError):
            at = None
        if at is not None and at > now:
            return at
        detail = "expires_at is a time to come with its zone, such as 2026-12-01T00:00:00Z."
        self.fault("/expires_at", "invalid", detail)
        return maker.expires_at

    def budget_credits(self) -> int | None:
        given = self.given.get("budget_credits")
        if given is None:
            return None
        credits = whole(given)
        if credits is not None and 0 <= credits <= CREDITS_MAX:
            return credits
        self.fault("/budget_credits", "invalid", "budget_credits is a whole number of credits, 0 or more.")
        return 0

    def allowed_networks(self, maker: ApiKey) -> Sequence[str]:
        given = self.given.get("allowed_networks")
        if given is None:
            return maker.allowed_networks
        if not isinstance(given, list) or len(given) > NETWORKS_MOST:
            detail = f"allowed_networks is a list of at most {NETWORKS_MOST} networks; empty, the key works anywhere."
            self.fault("/allowed_networks", "invalid", detail)
            return maker.allowed_networks
        read: list[str] = []
        for index, text in enumerate(given):
            network = self.network(f"/allowed_networks/{index}", text)
            if network in read:
                self.fault(f"/allowed_networks/{index}", "not_unique", "This network stands in the list already.")
            elif network is not None:
                read.append(network)
        return read if read or not given else maker.allowed_networks

    def network(self, pointer: str, given: Any) -> str | None:
        try:
            return read_network(given if isinstance(given, str) else "")
        except NoNetwork as error:
            self.fault(pointer, "invalid", str(error))
            return None

    def overlap_hours(self) -> int:
        hours = whole(self.given.get("overlap_hours", OVERLAP_HOURS))
        if hours is not None and 0 <= hours <= OVERLAP_HOURS_MOST:
            return hours
        self.fault("/overlap_hours", "invalid", f"overlap_hours is a whole number from 0 to {OVERLAP_HOURS_MOST}.")
        return OVERLAP_HOURS
