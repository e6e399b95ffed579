"""What no line of the log may hold: the tokens of one-time links, which stand in addresses, and addresses in errors."""

import re
from typing import Any

# In an address, or quoted in the query of another.
TOKEN = re.compile(r"((?:/|%2F)(?:join|new-password|secret)(?:/|%2F))[\w-]+", re.IGNORECASE)


def masked(text: str) -> str:
    """Return a text without the tokens in it."""
    return TOKEN.sub(r"\1***", text)


def without_tokens(_logger: Any, _name: str, line: str) -> str:
    """Return a line of the log without the tokens in it (structlog's hook, after the line is made)."""
    return masked(line)
