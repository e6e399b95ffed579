"""Wrong settings and missing triggers stop the program at its start; each says what to do about it."""

import base64
import ipaddress
import os
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import default_storage
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

SECRET_KEY_MIN_CHARACTERS = 32
DEVELOPMENT_TARGET = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\*|[0-9]{1,5})", re.IGNORECASE)

BUCKET = re.compile(r"[A-Za-z0-9._-]{1,255}")
ADDRESSING_STYLES = ("auto", "path", "virtual")
# No signature of S3 holds longer.
URL_SECONDS_MAX = 7 * 24 * 3600

# The triggers that keep the books, as (table, trigger).
TRIGGERS: tuple[tuple[str, str], ...] = (
    ("credit_ledger", "ledger_post"),
    ("credit_ledger", "ledger_no_change"),
    ("credit_ledger", "ledger_no_truncate"),
    ("credit_ledger", "ledger_count_for_key"),
    ("credit_ledger", "batches_entry_has_batch"),
    ("credit_ledger", "ledger_entry_has_request"),
    ("ledger_wallet", "ledger_wallet_has_its_entry"),
    ("ledger_wallet", "ledger_wallet_no_direct_change"),
    ("ledger_wallet", "ledger_wallet_starts_empty"),
    ("ledger_wallet", "ledger_wallet_no_delete"),
    ("ledger_wallet", "ledger_wallet_no_truncate"),
    ("ledger_wallet", "ledger_wallet_open"),
    ("ledger_wallet", "ledger_wallet_judge_threshold"),
    ("ledger_creditrequest", "ledger_creditrequest_moves"),
    ("ledger_creditrequest", "ledger_creditrequest_no_delete"),
    ("ledger_creditrequest", "ledger_creditrequest_no_truncate"),
    ("ledger_creditrequest", "ledger_request_has_entry"),
    ("ledger_creditrequest", "ledger_creditrequest_of_invoice"),
    ("ledger_invoice", "ledger_invoice_moves"),
    ("ledger_invoice", "ledger_invoice_issue"),
    ("ledger_invoice", "ledger_invoice_ends"),
    ("ledger_invoice", "ledger_invoice_past_closed"),
    ("ledger_invoice", "ledger_invoice_makes_its_credits"),
    ("ledger_invoice", "ledger_invoice_no_delete"),
    ("ledger_invoice", "ledger_invoice_no_truncate"),
    ("ledger_invoiceline", "ledger_invoiceline_of_draft"),
    ("ledger_invoiceline", "ledger_invoiceline_no_truncate"),
    ("ledger_payment", "ledger_payment_fits"),
    ("ledger_payment", "ledger_payment_past_closed"),
    ("ledger_payment", "ledger_payment_no_change"),
    ("ledger_payment", "ledger_payment_no_truncate"),
    ("ledger_invoicepaper", "ledger_invoicepaper_of_sent"),
    ("ledger_invoicepaper", "ledger_invoicepaper_no_change"),
    ("ledger_invoicepaper", "ledger_invoicepaper_no_truncate"),
    ("ledger_period", "ledger_period_close"),
    ("ledger_period", "ledger_period_write_balances"),
    ("ledger_period", "ledger_period_no_change"),
    ("ledger_period", "ledger_period_no_truncate"),
    ("ledger_periodbalance", "ledger_periodbalance_by_closing"),
    ("ledger_periodbalance", "ledger_periodbalance_no_change"),
    ("ledger_periodbalance", "ledger_periodbalance_no_truncate"),
    ("ledger_seal", "ledger_seal_no_change"),
    ("ledger_seal", "ledger_seal_no_truncate"),
    ("ledger_sealleaf", "ledger_sealleaf_no_change"),
    ("ledger_sealleaf", "ledger_sealleaf_no_truncate"),
    ("batches_batch", "batches_batch_balanced"),
    ("batches_batch", "batches_batch_end_is_final"),
    ("batches_batch", "batches_batch_state_moves"),
    ("batches_batch", "batches_batch_terms_are_fixed"),
    ("batches_batch", "batches_batch_no_delete"),
    ("batches_item", "batches_item_outcome_is_final"),
    ("batches_item", "batches_item_status_moves"),
    ("batches_item", "batches_item_terms_are_fixed"),
    ("batches_item", "batches_item_no_delete"),
    ("batches_output", "batches_output_no_delete"),
    ("batches_proof", "batches_proof_no_change"),
    ("batches_signoff", "batches_signoff_fits_books"),
    ("batches_signoff", "batches_signoff_no_change"),
    ("batches_signoff", "batches_signoff_no_truncate"),
    ("batches_slaprobe", "batches_slaprobe_no_change"),
    ("batches_slaprobe", "batches_slaprobe_no_truncate"),
    ("webhooks_event", "webhooks_event_no_change"),
    ("customers_apikey", "customers_apikey_no_direct_count"),
    ("customers_apikey", "customers_apikey_starts_unused"),
    ("customers_auditevent", "customers_audit_no_change"),
)

_TRIGGERS_NOT_ALWAYS_ON = """
    SELECT wanted.table_name, wanted.trigger_name, pg_trigger.tgname IS NULL
    FROM unnest(%s::text[], %s::text[]) AS wanted (table_name, trigger_name)
    LEFT JOIN pg_trigger
        ON pg_trigger.tgrelid = to_regclass(wanted.table_name)
        AND pg_trigger.tgname = wanted.trigger_name
    WHERE to_regclass(wanted.table_name) IS NOT NULL
        AND pg_trigger.tgenabled IS DISTINCT FROM 'A'
    ORDER BY 1, 2
"""


@register
def check_secrets(**_: Any) -> list[CheckMessage]:
    """Refuse guessable keys outside DEBUG, and malformed ones everywhere."""
    found: list[CheckMessage] = []
    if not settings.DEBUG and not _is_secret_key_safe():
        found.append(
            Error(
                f"Set SECRET_KEY to at least {SECRET_KEY_MIN_CHARACTERS} random characters: outside DEBUG it "
                "may be neither missing nor the development one.",
                id="sora2.E001",
            )
        )
    if not settings.DEBUG and not os.environ.get("ENCRYPTION_KEYS"):
        found.append(
            Error(
                "Set ENCRYPTION_KEYS to one or more comma-separated Fernet keys: outside DEBUG they may not "
                "be derived from SECRET_KEY.",
                id="sora2.E002",
            )
        )
    elif not all(_is_fernet_key(key) for key in settings.ENCRYPTION_KEYS):
        found.append(
            Error(
                "Set ENCRYPTION_KEYS to comma-separated Fernet keys, each the URL-safe base64 of 32 random "
                "bytes: one of them is something else.",
                id="sora2.E002",
            )
        )
    return found


@register
def check_seal_keys(**_: Any) -> list[CheckMessage]:
    """Refuse a derived key for seals outside DEBUG, and malformed ones everywhere."""
    if not settings.DEBUG and not os.environ.get("SEAL_SIGNING_KEY"):
        text = "Set SEAL_SIGNING_KEY to the base64 of 32 random bytes: outside DEBUG it may not be derived."
        return [Error(text, id="sora2.E008")]
    return [
        Error(f"Write {name} as the base64 of 32 bytes: it is something else.", id="sora2.E008")
        for name, keys in (
            ("SEAL_SIGNING_KEY", [settings.SEAL_SIGNING_KEY]),
            ("each key of SEAL_RETIRED_KEYS", settings.SEAL_RETIRED_KEYS),
        )
        if not all(map(_is_32_bytes, keys))
    ]


@register
def check_development_targets(**_: Any) -> list[CheckMessage]:
    """Refuse exceptions from the guarded client's rules outside DEBUG, and entries that never match."""
    targets = settings.WEBHOOK_DEV_ALLOWED_TARGETS
    if targets and not settings.DEBUG:
        text = "Remove WEBHOOK_DEV_ALLOWED_TARGETS: outside DEBUG it lets customers reach internal addresses."
        return [Error(text, id="sora2.E003")]
    return [
        Error(
            f"Write {target!r} in WEBHOOK_DEV_ALLOWED_TARGETS as scheme://host:port, with * for any port.",
            id="sora2.E003",
        )
        for target in targets
        if not DEVELOPMENT_TARGET.fullmatch(target)
    ]


@register
def check_source_addresses(**_: Any) -> list[CheckMessage]:
    """Refuse to tell customers of addresses that are none."""
    return [
        Error(
            f"Write {address!r} in WEBHOOK_SOURCE_ADDRESSES as an IP address or a network, such as 203.0.113.0/28.",
            id="sora2.E013",
        )
        for address in settings.WEBHOOK_SOURCE_ADDRESSES
        if not _is_network(address)
    ]


@register
def check_deployment(**_: Any) -> list[CheckMessage]:
    """Ask outside DEBUG for what has a stand-in on a developer's machine."""
    if settings.DEBUG:
        return []
    found: list[CheckMessage] = []
    if not settings.PUBLIC_BASE_URL.startswith("https://"):
        text = "Set PUBLIC_BASE_URL to the https:// address that customers use: links in answers begin with it."
        found.append(Error(text, id="sora2.E004"))
    if not settings.DATABASE_URL:
        text = "Set DATABASE_URL to a PostgreSQL of version 15 or later: the embedded one is for development."
        found.append(Error(text, id="sora2.E005"))
    if not settings.REDIS_URL:
        text = "Set REDIS_URL to a Redis or Valkey server: the embedded one is for development."
        found.append(Error(text, id="sora2.E006"))
    if not settings.PROVIDER_OPENAI_BASE_URL:
        text = "Set PROVIDER_OPENAI_BASE_URL to the video provider's API: without it, live batches would be simulated."
        found.append(Error(text, id="sora2.E007"))
    return found


@register
def check_proxies(**_: Any) -> list[CheckMessage]:
    """Refuse a number of proxies that cannot be."""
    if settings.TRUSTED_PROXIES >= 0:
        return []
    return [Error("Set TRUSTED_PROXIES to how many proxies stand in front, 0 or more.", id="sora2.E012")]


@register
def check_signing_in(**_: Any) -> list[CheckMessage]:
    """Refuse limits of signing in that let nobody in, or everybody."""
    names = ("SESSION_IDLE_MINUTES", "SESSION_MAX_HOURS", "SIGN_IN_FAILURES", "SIGN_IN_LOCK_MINUTES")
    faults = [f"Set {name} to 1 or more." for name in names if getattr(settings, name) < 1]
    if settings.SIGN_IN_FAILURES_PER_ADDRESS < settings.SIGN_IN_FAILURES:
        faults.append("Set SIGN_IN_FAILURES_PER_ADDRESS to at least SIGN_IN_FAILURES: people share addresses.")
    return [Error(fault, id="sora2.E014") for fault in faults]


@register(Tags.security, deploy=True)
def check_two_step(**_: Any) -> list[CheckMessage]:
    """Warn outside DEBUG when the password alone opens what our own people see."""
    if settings.DEBUG or settings.STAFF_TWO_STEP_REQUIRED:
        return []
    text = "Remove STAFF_TWO_STEP_REQUIRED, or turn it on: a password alone opens every customer's books."
    return [CheckWarning(text, id="sora2.W002")]


@register
def check_outputs(**_: Any) -> list[CheckMessage]:
    """Refuse settings of the videos' storage that contradict each other or cannot be right."""
    faults = [*_faults_of_bucket(), *_faults_of_endpoints()]
    if bool(settings.S3_ACCESS_KEY_ID) != bool(settings.S3_SECRET_ACCESS_KEY):
        faults.append("Set S3_ACCESS_KEY_ID and S3_SECRET_ACCESS_KEY both, or neither to use the machine's own role.")
    if settings.S3_ADDRESSING_STYLE not in ADDRESSING_STYLES:
        faults.append(f"Set S3_ADDRESSING_STYLE to one of: {', '.join(ADDRESSING_STYLES)}.")
    if not 1 <= settings.OUTPUT_URL_SECONDS <= URL_SECONDS_MAX:
        faults.append(f"Set OUTPUT_URL_SECONDS to 1 to {URL_SECONDS_MAX}: no signed address holds longer.")
    return [Error(fault, id="sora2.E009") for fault in faults]


def _faults_of_bucket() -> list[str]:
    needs_it = ["S3_PREFIX", "S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"]
    given = [name for name in needs_it if getattr(settings, name)]
    if given and not settings.S3_BUCKET:
        return [f"Set S3_BUCKET, or remove {', '.join(given)}: without a bucket, videos are kept in MEDIA_ROOT."]
    if settings.S3_BUCKET and not BUCKET.fullmatch(settings.S3_BUCKET):
        return ["Set S3_BUCKET to the bare name of a bucket."]
    return []


def _faults_of_endpoints() -> list[str]:
    names = ("S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL")
    faults = [
        f"Write {name} as https://host or https://host:port: it is something else."
        for name in names
        if getattr(settings, name) and not _is_endpoint(getattr(settings, name))
    ]
    public = settings.S3_PUBLIC_ENDPOINT_URL or settings.S3_ENDPOINT_URL
    if not settings.DEBUG and not faults and public.startswith("http://"):
        faults.append(
            "Set S3_PUBLIC_ENDPOINT_URL to the https:// address under which customers reach the bucket: signed "
            "addresses begin with it."
        )
    return faults


@register(Tags.database)
def check_triggers(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Refuse a database whose triggers don't guard the books in every session.

    A table that doesn't exist yet is left alone, and so is a missing trigger while migrations are pending:
    `migrate` runs this check before it migrates.
    """
    if not TRIGGERS:
        return []
    return [
        Error(
            f"Restore the trigger {trigger} on the table {table} and ENABLE it ALWAYS: it is "
            f"{'missing' if is_missing else 'not always on'}, and the books are unguarded.",
            id="sora2.E010",
        )
        for alias in databases or ()
        for table, trigger, is_missing in _unguarded(alias)
    ]


@register(Tags.database, deploy=True)
def check_role(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Warn outside DEBUG when the system runs as a role that could switch the triggers off.

    Not in every check of the database: `migrate` runs those, and it must be the tables' owner.
    """
    if settings.DEBUG:
        return []
    return [
        CheckWarning(
            f"Run as a role that owns nothing: {role} could switch off the triggers that keep the books. "
            "`manage.py database_role NAME`, as the tables' owner, makes one.",
            id="sora2.W001",
        )
        for alias in databases or ()
        for role in _rulers(alias)
    ]


@register(Tags.database, deploy=True)
def check_bucket(**_: Any) -> list[CheckMessage]:
    """Refuse a bucket that refuses us; one that does not answer is no reason not to start.

    It is among the checks of the database because it too asks over the network: once per process, not per command.
    """
    if not settings.S3_BUCKET:
        return []
    storage: Any = default_storage
    refusal = storage.refusal()
    if refusal is None:
        return []
    text = f"Mend the S3 settings: the server does not let us look into the bucket {settings.S3_BUCKET} ({refusal})."
    return [Error(text, id="sora2.E011")]


def _rulers(alias: str) -> list[str]:
    """Return the role of this session, if it is the owner of the books, or can be, or is a superuser."""
    with connections[alias].cursor() as cursor:
        cursor.execute(
            "SELECT session_user FROM pg_class"
            " WHERE oid = to_regclass('credit_ledger') AND pg_has_role(session_user, relowner, 'MEMBER')"
        )
        return [role for (role,) in cursor.fetchall()]


def _unguarded(alias: str) -> list[tuple[str, str, bool]]:
    connection = connections[alias]
    tables, triggers = zip(*TRIGGERS, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(_TRIGGERS_NOT_ALWAYS_ON, [list(tables), list(triggers)])
        rows: list[tuple[str, str, bool]] = cursor.fetchall()
    if any(is_missing for *_, is_missing in rows) and _has_pending_migrations(alias):
        rows = [row for row in rows if not row[2]]
    return rows


def _has_pending_migrations(alias: str) -> bool:
    executor = MigrationExecutor(connections[alias])
    return bool(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _is_secret_key_safe() -> bool:
    try:
        key = settings.SECRET_KEY
    except ImproperlyConfigured:  # Django's own word for an empty one.
        return False
    return len(key) >= SECRET_KEY_MIN_CHARACTERS and not key.startswith(("insecure", "django-insecure"))


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    is_plain = not (parts.query or parts.fragment or parts.username)
    return parts.scheme in ("http", "https") and bool(parts.hostname) and is_plain


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def _is_32_bytes(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 32
    except ValueError:
        return False


def _is_fernet_key(key: str) -> bool:
    try:
        Fernet(key)
    except ValueError:
        return False
    return True
