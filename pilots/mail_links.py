"""Keys in mails: never themselves, only one-time links, and these are made at the moment of sending.

A mail is written with a mark where the links go. It is kept with another, which names the secrets and until when the
link was good: a token is nowhere but in the mail that went out.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from customers.handing_over import HandoverUseless, link_of, renew
from customers.invitation_models import LINK_LIFE
from customers.models import Handover, Organization
from sora2.redaction import TOKEN

MARK = "[[keys-link]]"
# As it is kept.
KEPT = re.compile(r"\[\[one-time link (hnd_[0-9a-z]{26}), until \d{4}-\d\d-\d\d \d\d:\d\d UTC\]\]")
PLACE = re.compile(rf"(?P<indent>(?m:^)[ \t]*)?(?:{re.escape(MARK)}|{KEPT.pattern})")
# What opens a door to whoever holds it, pasted: it would be kept.
PASTED = re.compile(rf"/admin{TOKEN.pattern}", re.IGNORECASE)


class NothingToHandOver(Exception):
    """A mail has a place for keys, and there are none that a link could open; the message says what to do."""


@dataclass(frozen=True)
class Linked:
    """A text with its links as it goes out, the same as it is kept, and the handovers that they open."""

    text: str
    kept: str
    handover_ids: list[str]


def with_links(text: str, *, organization: Organization | None, actor: str, now: datetime) -> Linked:
    """Make the links of a text, in the transaction of whoever keeps it; links of before are useless from then on.

    Raises NothingToHandOver.
    """
    links: dict[str, tuple[Handover, str]] = {}
    until = f"{now + LINK_LIFE:%Y-%m-%d %H:%M} UTC"

    def of(place: re.Match[str]) -> list[str]:
        wanted = [place[2]] if place[2] else list(_open(organization))
        for each in wanted:
            if each not in links:
                links[each] = _link(each, organization, actor, now)
        return wanted

    def sent(place: re.Match[str]) -> str:
        indent = place["indent"] or ""
        said = [links[each] for each in of(place)]
        lines = [line for each, link in said for line in (f"{each.title} (opens once, until {until}):", link)]
        return indent + f"\n{indent}".join(lines)

    def kept(place: re.Match[str]) -> str:
        indent = place["indent"] or ""
        return indent + f"\n{indent}".join(f"[[one-time link {each}, until {until}]]" for each in of(place))

    return Linked(PLACE.sub(sent, text), PLACE.sub(kept, text), list(links))


def without_places(text: str) -> str:
    """Return a text without the places for links."""
    return PLACE.sub("", text)


def _open(organization: Organization | None) -> list[str]:
    if organization is None:
        raise NothingToHandOver(f"There are no keys to hand over before there is a pilot: take {MARK} out.")
    found = Handover.objects.open().filter(organization=organization).order_by("pk").values_list("pk", flat=True)
    if not found:
        raise NothingToHandOver(
            f"{MARK} has nothing to open: what there was to hand over was revealed, withdrawn or has ended. Make a new "
            "link in the tab Handed over, or take the line out."
        )
    return list(found)


def _link(handover_id: str, organization: Organization | None, actor: str, now: datetime) -> tuple[Handover, str]:
    handover = Handover.objects.filter(pk=handover_id, organization=organization).first()
    if handover is not None:
        try:
            return handover, link_of(renew(handover=handover, actor=actor, now=now))
        except HandoverUseless:
            pass
    raise NothingToHandOver(
        "The secrets of this mail's link were revealed, withdrawn, or have ended: nothing new can open them. Write a "
        "new mail."
    )
