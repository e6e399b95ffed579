"""The part of a page's frame that shows the calls of the API behind it."""

from typing import Any

from django import template

from sora2.behind import BEHIND
from sora2.calls import KEYS, lines

register = template.Library()


@register.filter
def key_variable(mode: str) -> str:
    """Return the variable of a shell that holds a key of this mode, in every command that pages show."""
    return KEYS[mode]


@register.inclusion_tag("admin/parts/calls.html", takes_context=True)
def calls_behind(context: template.Context) -> dict[str, Any]:
    """Show the calls behind a page, as far as whoever looks at it may do the same themselves, or why there is none."""
    match = context["request"].resolver_match
    behind = BEHIND.get(match.url_name, ())
    if isinstance(behind, str):
        return {"reason": behind}

    def named(name: str) -> object:
        if name in match.kwargs:
            return match.kwargs[name]
        try:
            return template.Variable(name).resolve(context)
        except template.VariableDoesNotExist:
            return None

    # A list of both modes shows none, and one may be asked for that there is not.
    mode = context.get("shown_mode", "")
    mode = mode if mode in KEYS else "live"
    shown = lines(behind, names=named, mode=mode, scopes=context["viewer_may"])
    return {"lines": shown, "mode": mode, "filtered": bool(context.get("chips"))}
