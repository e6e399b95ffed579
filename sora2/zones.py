"""Time zones by their IANA names: which are understood, and the usual ones, which forms offer."""

import functools
import zoneinfo

UTC_NAME = "UTC"
# Offered where a zone is typed; every other is understood too.
USUAL_ZONES = (
    *(UTC_NAME, "Europe/London", "Europe/Berlin", "America/New_York", "America/Chicago", "America/Los_Angeles"),
    *("America/Sao_Paulo", "Asia/Dubai", "Asia/Kolkata", "Asia/Singapore", "Asia/Shanghai", "Asia/Tokyo"),
    "Australia/Sydney",
)


@functools.cache
def zone_names() -> frozenset[str]:
    """Return every name that is understood. UTC is among them also on a machine that has no time zones."""
    # What a machine calls its own zone means another one on the next machine.
    return frozenset(zoneinfo.available_timezones()) - {"localtime"} | {UTC_NAME}
