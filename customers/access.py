"""What somebody may reach. One vocabulary for API keys (their scopes), staff (their role) and customers' people."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Permission(StrEnum):
    """What may be done."""

    BATCHES_READ = "batches:read"
    BATCHES_WRITE = "batches:write"
    LEDGER_READ = "ledger:read"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    KEYS_WRITE = "keys:write"
    # People only, no key.
    BATCHES_SIGN_OFF = "batches:sign_off"
    ACCOUNT_READ = "account:read"
    ACCOUNT_WRITE = "account:write"
    PEOPLE_WRITE = "people:write"
    # Our own people only.
    CREDITS_REQUEST = "credits:request"
    CREDITS_APPROVE = "credits:approve"
    PERIODS_CLOSE = "periods:close"
    CATALOGUE_WRITE = "catalogue:write"
    ROUTES_OPERATE = "routes:operate"
    ROUTES_WRITE = "routes:write"
    AUDIT_READ = "audit:read"
    PILOTS_READ = "pilots:read"
    PILOTS_WRITE = "pilots:write"
    INVOICES_WRITE = "invoices:write"
    PAYMENTS_RECORD = "payments:record"


# What an API key has if nothing else is said: all that it takes to run batches.
DEFAULT_SCOPES = (
    Permission.BATCHES_READ,
    Permission.BATCHES_WRITE,
    Permission.LEDGER_READ,
    Permission.WEBHOOKS_READ,
    Permission.WEBHOOKS_WRITE,
)
# What an API key can have, and a customer's person.
SCOPES = (*DEFAULT_SCOPES, Permission.KEYS_WRITE)
READ = frozenset({Permission.BATCHES_READ, Permission.LEDGER_READ, Permission.WEBHOOKS_READ, Permission.ACCOUNT_READ})

# A role that is not here grants nothing.
STAFF_ROLES: dict[str, frozenset[Permission]] = {
    "finance": READ
    | {
        Permission.BATCHES_SIGN_OFF,
        Permission.CREDITS_REQUEST,
        Permission.PERIODS_CLOSE,
        Permission.AUDIT_READ,
        Permission.PILOTS_READ,
        Permission.INVOICES_WRITE,
        Permission.PAYMENTS_RECORD,
    },
    "finance approver": READ
    | {
        Permission.BATCHES_SIGN_OFF,
        Permission.CREDITS_REQUEST,
        Permission.CREDITS_APPROVE,
        Permission.PERIODS_CLOSE,
        Permission.AUDIT_READ,
        Permission.PILOTS_READ,
        Permission.INVOICES_WRITE,
        Permission.PAYMENTS_RECORD,
    },
    "sales ops": READ
    | {Permission.CATALOGUE_WRITE, Permission.PILOTS_READ, Permission.PILOTS_WRITE, Permission.INVOICES_WRITE},
    "support": frozenset(
        {
            Permission.BATCHES_READ,
            Permission.BATCHES_WRITE,
            Permission.WEBHOOKS_READ,
            Permission.WEBHOOKS_WRITE,
            Permission.ACCOUNT_READ,
            Permission.ROUTES_OPERATE,
        }
    ),
    "auditor": READ | {Permission.AUDIT_READ, Permission.PILOTS_READ},
}
CUSTOMER_ROLES: dict[str, frozenset[Permission]] = {
    "customer admin": frozenset(SCOPES)
    | {
        Permission.BATCHES_SIGN_OFF,
        Permission.ACCOUNT_READ,
        Permission.ACCOUNT_WRITE,
        Permission.PEOPLE_WRITE,
    },
    "customer finance": READ | {Permission.BATCHES_SIGN_OFF},
    "customer developer": frozenset(
        {
            Permission.BATCHES_READ,
            Permission.BATCHES_WRITE,
            Permission.WEBHOOKS_READ,
            Permission.WEBHOOKS_WRITE,
            Permission.ACCOUNT_READ,
        }
    ),
}


@dataclass(frozen=True)
class Access:
    """Who is asking (`actor`: an opaque id) and what they reach.

    `organization_ids` None is every organization (our staff); `mode` None is both modes.
    """

    actor: str
    organization_ids: frozenset[str] | None
    mode: str | None
    permissions: frozenset[Permission]

    @classmethod
    def of_staff(cls, *, actor: str, roles: Iterable[str], superuser: bool) -> "Access":
        """Return the access of a member of staff: all organizations, what the roles grant (a superuser: all)."""
        granted = (
            frozenset(Permission)
            if superuser
            else frozenset().union(*(STAFF_ROLES.get(role, frozenset()) for role in roles))
        )
        return cls(actor=actor, organization_ids=None, mode=None, permissions=granted)

    def may(self, permission: Permission) -> bool:
        """Say whether this is granted; everything that is not is denied."""
        return permission in self.permissions


def permissions_of_role(role: str) -> frozenset[Permission]:
    """Return what a customer's role grants; an unknown role grants nothing."""
    return CUSTOMER_ROLES.get(role, frozenset())
