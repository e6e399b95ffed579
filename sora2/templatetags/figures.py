"""How figures, states, ids and times read on the pages. Loaded as a builtin: every template has them."""

import itertools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from django import template
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from sora2.glossary import meaning_of

register = template.Library()

# A sign and a word, never colour alone.
SIGNS = {
    "queued": ("○", "waiting"),
    "requested": ("○", "active"),
    "approved": ("✓", "good"),
    "rejected": ("✕", "bad"),
    "pending": ("○", "waiting"),
    "scheduled": ("○", "waiting"),
    "processing": ("◐", "active"),
    "running": ("◐", "active"),
    "sending": ("◐", "active"),
    "accepted": ("◐", "active"),
    "ambiguous": ("◑", "mixed"),
    "completed": ("✓", "good"),
    "succeeded": ("✓", "good"),
    "delivered": ("✓", "good"),
    "verified": ("✓", "good"),
    "partial": ("◑", "mixed"),
    "retrying": ("◑", "mixed"),
    "refunded": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "lost": ("✕", "bad"),
    "not_accepted": ("✕", "bad"),
    "not verified": ("✕", "bad"),
    "exhausted": ("✕", "bad"),
    "skipped": ("−", "waiting"),
    # Of an invoice; it may be open too.
    "draft": ("○", "waiting"),
    "partly paid": ("◑", "mixed"),
    "overdue": ("✕", "bad"),
    "paid": ("✓", "good"),
    "void": ("−", "waiting"),
    # Of an endpoint; it may be paused too.
    "healthy": ("✓", "good"),
    "failing": ("✕", "bad"),
    "disabled": ("○", "waiting"),
    "deleted": ("−", "waiting"),
    # Of a person: the second step, the account; of an invitation.
    "on": ("✓", "good"),
    "off": ("○", "waiting"),
    "closed": ("−", "waiting"),
    "open": ("○", "active"),
    "expired": ("−", "waiting"),
    # Of secrets that were handed over by a link; they may be open or expired too.
    "revealed": ("✓", "good"),
    "withdrawn": ("−", "waiting"),
    # Of an API key; a new secret of it may work beside the one before.
    "usable": ("✓", "good"),
    "expires soon": ("◑", "mixed"),
    "rotating": ("◐", "active"),
    "revoked": ("−", "waiting"),
    # Of a preflight.
    "asked": ("○", "waiting"),
    "passed": ("✓", "good"),
    "died": ("✕", "bad"),
    # Of a model.
    "active": ("✓", "good"),
    "deprecated": ("◑", "mixed"),
    "retired": ("−", "waiting"),
    # Of a price list.
    "in force": ("✓", "good"),
    "to come": ("○", "waiting"),
    "past": ("−", "waiting"),
    "replaced": ("−", "waiting"),
    # Of a mail.
    "sent": ("✓", "good"),
    "copied": ("✓", "waiting"),
    "not sent": ("✕", "bad"),
    # Of a route.
    "works": ("✓", "good"),
    "held": ("◐", "mixed"),
    "silent": ("◐", "mixed"),
    "paused": ("‖", "mixed"),
    "down": ("✕", "bad"),
    "not configured": ("?", "waiting"),
}
# A bar is drawn on this many units, so that one in a thousand still shows.
BAR_UNITS = 1000
URL_SHOWN = 44


class Part(Protocol):
    """One part of a bar: what it is, how much of it, and the tone that it is drawn in."""

    @property
    def label(self) -> str: ...
    @property
    def value(self) -> int: ...
    @property
    def tone(self) -> str: ...


@register.filter
def credits(value: int | None) -> str:
    """Return a whole number with thousands separated, or a dash."""
    return "–" if value is None else f"{value:,}".replace("-", "−")


@register.simple_tag
def amount(value: int | None, address: str = "", *, sign: str = "", key: str = "", again: bool = False) -> SafeString:
    """Return a figure of credits, as the link to what explains it: its explanation, or the rows that it sums.

    Every figure of credits on a page is made by this, so that a test can follow each. Without an address it is plain:
    then it is nothing (0), or it stands in a row whose first link explains it, or above it is what it sums. `again`
    says that a link nearby leads there too, and the keyboard need not stop twice; `key` makes the link's id.
    """
    if value is None:
        return SafeString("–")
    shown = f"{sign}{credits(value)}"
    if not address:
        return format_html('<span data-credits="{}">{}</span>', value, shown)
    more = format_html(' id="why-{}"', key) if key else SafeString(' tabindex="-1"' if again else "")
    return format_html('<a class="drill" data-credits="{}" href="{}"{}>{}</a>', value, address, more, shown)


@register.filter
def dollars(cents: int) -> str:
    """Return an amount in US dollars, given in cents."""
    whole, rest = divmod(cents, 100)
    return f"${whole:,}.{rest:02}"


@register.filter
def micro_dollars(micros: int) -> str:
    """Return an amount given in millionths of a US dollar: `$0.06127`."""
    whole, rest = divmod(micros, 1_000_000)
    return f"${whole:,}.{rest:06}".rstrip("0").rstrip(".")


@register.filter
def words(value: str) -> str:
    """Return a stored name in words: `content_refused` is `content refused`."""
    return value.replace("_", " ")


@register.filter
def short_url(value: str) -> str:
    """Return an address without the scheme that is usual, and without its middle where it is long."""
    shown = value.removeprefix("https://")
    return shown if len(shown) <= URL_SHOWN else f"{shown[: URL_SHOWN - 13]}…{shown[-12:]}"


@register.filter
def whole_percent(part: int, whole: int) -> str:
    """Return `part` of `whole` in percent, rounded down, so that 100 % means all; of nothing it is all."""
    return f"{100 * part // whole if whole else 100} %"


@register.simple_tag
def pill(state: str) -> SafeString:
    """Return the pill of a state: its sign and its word."""
    sign, tone = SIGNS.get(state, ("·", "waiting"))
    return format_html('<span class="pill {}"><span aria-hidden="true">{}</span> {}</span>', tone, sign, words(state))


@register.simple_tag
def mode_pill(mode: str) -> SafeString:
    """Return LIVE or TEST."""
    return format_html('<span class="mode {}">{}</span>', mode, mode.upper())


@register.inclusion_tag("admin/parts/mode_switch.html", takes_context=True)
def mode_switch(context: template.Context, mode: str = "") -> dict[str, Any]:
    """Show which mode a page is of, LIVE or TEST: to staff as a mark, to a customer's people as their switch.

    Without a mode the page is of both, or of none: the switch shows where it stands.
    """
    switch = context.get("switch", "")
    shown = mode or switch
    # The foot of the page shows calls with a key of the same mode.
    context.dicts[0]["shown_mode"] = shown
    return {"csrf_token": context.get("csrf_token"), "switch": switch, "shown": shown, "modes": ("live", "test")}


@register.simple_tag
def instant(at: datetime | None) -> SafeString:
    """Return a time in UTC for a table whose head names the zone, or a dash; its microseconds show on hover."""
    return SafeString("–") if at is None else _time(at, f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}")


@register.simple_tag
def clock(at: datetime | None) -> SafeString:
    """Return a time of today in UTC as `14:03:22`, another with its date: for narrow columns, near to now."""
    if at is None:
        return SafeString("–")
    utc = at.astimezone(UTC)
    return _time(
        at, f"{utc:%H:%M:%S}" if utc.date() == timezone.now().astimezone(UTC).date() else f"{utc:%Y-%m-%d %H:%M}"
    )


@register.simple_tag
def moment(at: datetime | None) -> SafeString:
    """Return a time as `14:03:22 UTC · 3 min ago`, with its date when that was not today."""
    if at is None:
        return SafeString("–")
    now, utc = timezone.now(), at.astimezone(UTC)
    form = "%H:%M:%S UTC" if utc.date() == now.astimezone(UTC).date() else "%Y-%m-%d %H:%M:%S UTC"
    distance = duration(abs(now - at))
    return _time(at, f"{utc.strftime(form)} · {f'{distance} ago' if at <= now else f'in {distance}'}")


@register.filter
def duration(value: timedelta | None) -> str:
    """Return a length of time in its two greatest units: `3 h 12 min`, `4 min 39 s`, `0.8 s`."""
    if value is None:
        return "–"
    seconds = value.total_seconds()
    if seconds < 10:
        return f"{seconds:.1f} s"
    return _in_units(int(seconds))


@register.simple_tag
def short_id(value: str) -> SafeString:
    """Return an id or a hash in short form, the whole of it on hover. A short text stays whole."""
    shown = value if len(value) <= 16 else f"{value[:8]}…{value[-4:]}"
    return format_html('<code class="id" title="{}">{}</code>', value, shown)


@register.simple_tag
def copyable(value: str) -> SafeString:
    """Return an id or a hash in short form, with a button that copies the whole of it."""
    return format_html(
        '{}<button type="button" class="copy" data-copy="{}" aria-label="Copy {}" hidden>Copy</button>',
        short_id(value),
        value,
        value,
    )


@register.simple_tag(takes_context=True)
def term(context: template.Context, word: str, shown: str = "") -> SafeString:
    """Return a word of the glossary (`shown` in other letters) that says what it means when it is clicked.

    A page explains a word once: where it stands first. Raises KeyError for a word that is not in the glossary.
    """
    number = next(context.dicts[0].setdefault("_terms", itertools.count(1)))
    return format_html(
        '<button type="button" class="link term" popovertarget="term-{0}">{1}</button>'
        '<span class="meaning" id="term-{0}" popover><b>{2}</b>: {3}</span>',
        number,
        shown or word,
        word,
        meaning_of(word),
    )


@register.simple_tag
def bar(parts: Iterable[Part], total: int) -> SafeString:
    """Return a stacked bar: how much of `total` each part is. The figures stand beside it as text."""
    parts = [part for part in parts if part.value > 0]
    edges = [0]
    for part in parts:
        edges.append(edges[-1] + part.value)
    scale = BAR_UNITS / max(total, edges[-1], 1)
    rectangles = format_html_join(
        "",
        '<rect class="{}" x="{}" y="0" width="{}" height="8"><title>{} {}</title></rect>',
        (
            (part.tone, f"{start * scale:.1f}", f"{part.value * scale:.1f}", part.label, credits(part.value))
            for part, start in zip(parts, edges, strict=False)
        ),
    )
    label = ", ".join(f"{part.label} {credits(part.value)}" for part in parts) or "nothing yet"
    return format_html(
        '<svg class="bar" viewBox="0 0 {} 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        BAR_UNITS,
        f"{label}, of {credits(total)}",
        rectangles,
    )


def _time(at: datetime, shown: str) -> SafeString:
    utc = at.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        f"{utc:%Y-%m-%dT%H:%M:%S.%fZ}",
        f"{utc:%Y-%m-%d %H:%M:%S.%f UTC}",
        shown,
    )


def _in_units(seconds: int) -> str:
    lengths = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    counts = []
    for unit, length in lengths:
        count, seconds = divmod(seconds, length)
        counts.append((count, unit))
    first = next((i for i, (count, _) in enumerate(counts) if count), len(counts) - 1)
    return " ".join(f"{count} {unit}" for count, unit in counts[first : first + 2] if count)
