"""What the pages show of API keys: the list of a customer's, and what a key is."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count
from django.shortcuts import get_object_or_404

from customers.access import SCOPES, Access, Permission
from customers.account_pages import reached_organization
from customers.models import ApiKey, Mode, Organization
from customers.naming import names_of
from customers.pages import WORDS
from sora2.pages import Rows, rows_after

KEYS_SHOWN = 50
# A key that expires within this time is to be replaced soon.
SOON = timedelta(days=14)
# The first call that a new key can make, by what it must be able to do: such as change nothing.
FIRST_CALLS = {
    Permission.LEDGER_READ: "wallet",
    Permission.BATCHES_READ: "models",
    Permission.WEBHOOKS_READ: "webhook-endpoints",
    Permission.KEYS_WRITE: "keys",
}


@dataclass(frozen=True)
class Known:
    """A key, how it does in words, who made it, what it may do in words, and until when the secret before works."""

    key: ApiKey
    state: str
    maker: str
    may: str
    rotates_until: datetime | None


@dataclass(frozen=True)
class KeyList:
    """Some keys of a customer, newest first; `usable` is how many work by mode, `ended` how many do no longer."""

    organization: Organization
    rows: list[Known]
    page: Rows[ApiKey]
    usable: dict[Mode, int]
    ended: int


def key_list(access: Access, *, organization_id: str, mode: str, ended: bool, cursor: str, now: datetime) -> KeyList:
    """Return a customer's keys that work, or those that do no longer, of one mode or of both. Raises Http404."""
    organization = reached_organization(access, organization_id=organization_id)
    keys = ApiKey.objects.within(access).filter(organization=organization)
    modes = [each for each in Mode if mode in ("", each)]
    usable = keys.usable(now).filter(mode__in=modes).order_by().values_list("mode").annotate(Count("pk"))
    counts = dict(usable)
    gone = keys.ended(now).filter(mode__in=modes)
    shown = gone if ended else keys.usable(now).filter(mode__in=modes)
    page = rows_after(shown, key="-id", cursor=cursor, size=KEYS_SHOWN)
    names = names_of(access, (key.created_by for key in page.rows))
    return KeyList(
        organization=organization,
        rows=[known(key, names=names, now=now) for key in page.rows],
        page=page,
        usable={each: counts.get(each, 0) for each in modes},
        ended=gone.count(),
    )


def reached_key(access: Access, *, organization_id: str, key_id: str) -> ApiKey:
    """Return a key of this customer that somebody reaches, its organization loaded. Raises Http404."""
    keys = ApiKey.objects.within(access).select_related("organization")
    return get_object_or_404(keys, pk=key_id, organization_id=organization_id)


def known(key: ApiKey, *, names: dict[str, str], now: datetime) -> Known:
    """Return a key as the pages show it; `names` are those of makers by their ids."""
    return Known(
        key=key,
        state=state_of(key, now),
        maker=names.get(key.created_by, key.created_by),
        may=may_in_words(key),
        rotates_until=key.rotates_until(now) if key.is_usable(now) else None,
    )


def state_of(key: ApiKey, now: datetime) -> str:
    """Return how a key does, in a word of the pills."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None or key.expires_at > now + SOON:
        return "usable"
    return "expires soon" if key.expires_at > now else "expired"


def may_in_words(key: ApiKey) -> str:
    """Return what a key may do: as little text as says it."""
    lacks = [scope for scope in SCOPES if scope not in key.scopes]
    if not lacks:
        return "everything"
    if lacks == [Permission.KEYS_WRITE]:
        return "everything but make keys"
    return ", ".join(_word(scope) for scope in SCOPES if scope in key.scopes)


def first_call(key: ApiKey) -> str:
    """Return what to ask the API for first with this key, below its base path; nothing if it may only write."""
    return next((path for scope, path in FIRST_CALLS.items() if scope in key.scopes), "")


def _word(scope: Permission) -> str:
    return WORDS[scope].removeprefix("to ")
