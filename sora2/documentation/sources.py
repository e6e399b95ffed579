"""From a file of the project to what customers read: with this system's values, and links that stay among public pages.

Of the changes they read what is for them: not what stands under **For operators**, up to the next such line or heading.
"""

import posixpath
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from django.conf import settings

from sora2.documentation.contents import DOWNLOADS, EXAMPLES, ROWS, START, START_FILE

OURS = re.compile(r"^\*\*For (?:our staff|operators)\*\*$.*?(?=^\*\*[^*]+\*\*$|^#|\Z)", re.MULTILINE | re.DOTALL)

EXAMPLE_HOST = "https://api.example.com"
EXAMPLE_SUPPORT = re.compile(r"(?<![\w<:`])support@example\.com")
SOURCE_ADDRESSES = "{{webhook_source_addresses}}"
NOT_FIXED = (
    "They are **not fixed**: messages can come from any address, and the addresses can change without notice. So let "
    "everybody reach the address of your endpoint, and trust a message for its signature, which an address cannot "
    "replace. If your firewall has to know where messages come from, write to support@example.com before you go live."
)

# Where a link to a file leads. Anything else is not public.
PUBLIC: Mapping[str, str] = {
    "docs/README.md": START,
    START_FILE: START,
    **{f"examples/{language}": f"{DOWNLOADS}/{language}.zip" for language in EXAMPLES},
    **{
        f"examples/{language}/{name}": f"{DOWNLOADS}/{language}/{name}"
        for language, names in EXAMPLES.items()
        for name in names
    },
    **{row.file: row.address for row in ROWS if row.file},
}


class NotPublic(ValueError):
    """A public page leads to, or shows, a file that is not public: take another one, or add it to the contents."""


def public_text(source: str) -> str:
    """Return the Markdown that customers read."""
    return _filled(OURS.sub("", source))


def address_of(target: str, *, file: str) -> str:
    """Return where a link in `file` leads on the site. Raises NotPublic."""
    if target.startswith(f"{settings.PUBLIC_BASE_URL}/"):
        return target.removeprefix(settings.PUBLIC_BASE_URL)
    if urlsplit(target).scheme or target.startswith(("#", "/")):
        return target
    path, hash_sign, fragment = target.partition("#")
    found = resolved(path, file=file)
    if found not in PUBLIC:
        raise NotPublic(f"{file} leads to {found}, which is not public.")
    return PUBLIC[found] + hash_sign + fragment


def resolved(path: str, *, file: str) -> str:
    """Return a path that stands in `file` as a path from the project's folder."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))


def _filled(text: str) -> str:
    """Put in this system's values, where the files have examples that read well without it."""
    text = text.replace(SOURCE_ADDRESSES, _source_addresses())
    text = EXAMPLE_SUPPORT.sub(f"<{settings.SUPPORT_EMAIL}>", text)
    return text.replace(EXAMPLE_HOST, settings.PUBLIC_BASE_URL)


def _source_addresses() -> str:
    return "\n".join(f"- `{address}`" for address in settings.WEBHOOK_SOURCE_ADDRESSES) or NOT_FIXED
