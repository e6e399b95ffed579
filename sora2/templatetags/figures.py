"""How figures, states and times read on the pages. Loaded as a builtin: every template has them."""

from datetime import UTC, datetime

from django import template
from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# A sign and a word, never colour alone.
SIGNS = {
    "queued": ("○", "waiting"),
    "pending": ("○", "waiting"),
    "processing": ("◐", "active"),
    "running": ("◐", "active"),
    "completed": ("✓", "good"),
    "succeeded": ("✓", "good"),
    "delivered": ("✓", "good"),
    "partial": ("◑", "mixed"),
    "refunded": ("✕", "bad"),
    "failed": ("✕", "bad"),
    "exhausted": ("✕", "bad"),
    "skipped": ("−", "waiting"),
}


@register.filter
def credits(value: int | None) -> str:
    """Return a number of credits with thousands separated, or a dash."""
    return "–" if value is None else str(intcomma(value))


@register.simple_tag
def pill(state: str) -> SafeString:
    """Return the pill of a state: its sign and its word."""
    sign, tone = SIGNS.get(state, ("·", "waiting"))
    return format_html('<span class="pill {}"><span aria-hidden="true">{}</span> {}</span>', tone, sign, state)


@register.simple_tag
def instant(value: datetime | None) -> SafeString:
    """Return a time as `14:03:22 UTC` with its date and age, or a dash."""
    if value is None:
        return SafeString("–")
    at = value.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        at.strftime("%Y-%m-%d %H:%M:%S.%f UTC"),
        at.strftime("%Y-%m-%d %H:%M:%S"),
    )


@register.simple_tag
def short_id(value: str) -> SafeString:
    """Return an id in short form, the whole of it on hover."""
    return format_html('<code class="id" title="{}">{}…{}</code>', value, value[:8], value[-4:])
