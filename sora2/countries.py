"""Countries by their codes of ISO 3166-1 alpha-2, as the time zone database lists them."""

import functools
from collections.abc import Mapping
from importlib import resources


@functools.cache
def countries() -> Mapping[str, str]:
    """Return the English names of countries by code, in the order of the names."""
    text = resources.files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return dict(sorted(((code, name) for code, name in rows), key=lambda each: each[1].casefold()))
