"""The quick start with a customer's own key and addresses: commands that a shell runs as they stand."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from batches.models import FINAL_STATES, Batch
from customers.access import CUSTOMER_ROLES, Access, Permission
from customers.models import ApiKey, Membership, Mode, Organization
from sora2.api import BASE_PATH
from sora2.calls import KEYS
from webhooks.models import Endpoint

REQUEST_ID = "my-first-batch"
PROMPTS = (
    *("A cat playing piano", "A dog in space", "A paper boat on a river", "A train in the snow"),
    *("A lighthouse at night", "A field of sunflowers", "A kettle that sings", "Two robots playing chess"),
    *("Rain on a window", "A red kite over a beach"),
)
# What the commands take of their key.
NEEDED = [Permission.BATCHES_READ.value, Permission.BATCHES_WRITE.value]
# Who has run so many batches knows how.
LEARNED_BATCHES = 3
SHOWN = 3


@dataclass(frozen=True)
class QuickStart:
    """How to begin: the key to use, if one may order, and the commands. `is_learned` says that they know it already.

    `export` has the place of the secret empty: nobody can show that any more. What is to be pasted has no words of
    people in it: not every shell takes what follows a # for a comment. `makers` are who can make a key.
    """

    key: ApiKey | None
    makers: list[str]
    may_make_keys: bool
    export: str
    post: str
    poll: str
    endpoints: list[Endpoint]
    is_learned: bool


def quick_start(shown: Access, organization: Organization, *, mode: Mode, now: datetime) -> QuickStart:
    """Return the quick start of an organization in a mode, to which `shown` is narrowed."""
    variable = KEYS[mode]
    keys = ApiKey.objects.within(shown).usable(now).filter(scopes__contains=NEEDED)
    key = keys.order_by("-created_at", "-pk").first()
    ended = Batch.objects.within(shown).filter(state__in=FINAL_STATES)
    return QuickStart(
        key=key,
        makers=[] if key else _makers(organization),
        may_make_keys=shown.may(Permission.KEYS_WRITE),
        export=f"export {variable}=…" if key else "",
        post=_post(min(len(PROMPTS), organization.max_items_per_batch), variable),
        poll=_poll(variable),
        endpoints=list(Endpoint.objects.present().within(shown).filter(enabled=True).order_by("pk")[:SHOWN]),
        is_learned=ended[:LEARNED_BATCHES].count() == LEARNED_BATCHES,
    )


def _makers(organization: Organization) -> list[str]:
    roles = [role for role, granted in CUSTOMER_ROLES.items() if Permission.KEYS_WRITE in granted]
    people = Membership.objects.filter(organization=organization, role__in=roles, user__is_active=True)
    shown = people.select_related("user").order_by("pk")[:SHOWN]
    return [each.user.get_full_name() or each.user.username for each in shown]


def _post(count: int, variable: str) -> str:
    items = ",\n  ".join(
        json.dumps({"prompt": prompt, "custom_id": f"clip-{number}"})
        for number, prompt in enumerate(PROMPTS[:count], start=1)
    )
    body = f'{{"request_id": "{REQUEST_ID}", "items": [\n  {items}]}}'
    return (
        f"curl -sS {shlex.quote(_address())} \\\n"
        f"  -H \"X-API-Key: ${variable}\" -H 'Content-Type: application/json' \\\n"
        f"  --data-raw {shlex.quote(body)} | tee batch.json\n"
    )


def _poll(variable: str) -> str:
    return (
        "BATCH=$(grep -o 'bat_[0-9a-z]*' batch.json | head -n 1)\n"
        f"until curl -sS -D head.txt -o batch.json {shlex.quote(_address())}/$BATCH \\\n"
        f"    -H \"X-API-Key: ${variable}\" && ! grep -qi '^retry-after:' head.txt\n"
        "do sleep \"$(grep -i '^retry-after:' head.txt | grep -o '[0-9]*')\"; done\n"
        "cat batch.json\n"
    )


def _address() -> str:
    return f"{settings.PUBLIC_BASE_URL}{BASE_PATH}/video-batch"
