"""What the role that the system runs as may do in the database: table by table, and nothing else.

The role owns nothing. It may read everything, write rows, and change of a row what the code changes; what is a record
it may neither change nor delete, and no figure of a wallet is its to move: an entry does that, as the tables' owner.
"""

from dataclasses import dataclass

Columns = tuple[str, ...]
EVERY: Columns = ("*",)


@dataclass(frozen=True)
class Rights:
    """What the role may do with a table besides reading it: insert and update these columns, delete rows."""

    insert: Columns = ()
    update: Columns = ()
    delete: bool = False


READ = Rights()
APPEND = Rights(insert=EVERY)

TABLES: dict[str, Rights] = {
    # money
    "credit_ledger": Rights(
        insert=("entry_id", "wallet_id", "kind", "amount", "reference", "request_id", "actor", "reason")
    ),
    "ledger_wallet": Rights(insert=EVERY, update=("low_threshold", "low_since_told")),
    "ledger_creditrequest": Rights(insert=EVERY, update=("state", "decided_by_id", "decided_at", "note")),
    # A draft may change; what was sent is the database's to refuse. Its number is counted as the tables' owner.
    "ledger_billingdetails": Rights(
        insert=EVERY,
        update=(
            *("legal_name", "address", "country", "tax_id", "purchase_order", "usage_invoices", "changed_at"),
            *("tax_label", "tax_basis_points", "tax_note", "terms_days"),
        ),
    ),
    "ledger_invoice": Rights(
        insert=EVERY,
        update=(
            *("package", "credits", "subtotal_cents", "tax_label", "tax_basis_points", "tax_note", "tax_cents"),
            *("total_cents", "purchase_order", "note", "terms_days"),
            *("state", "buyer", "seller", "applied", "issued_by_id", "paid_by_id", "paid_at"),
            *("voided_by_id", "voided_at", "void_reason"),
        ),
    ),
    "ledger_invoiceline": Rights(insert=EVERY, delete=True),
    "ledger_invoicenumber": READ,
    "ledger_payment": APPEND,
    "ledger_invoicepaper": APPEND,
    "ledger_invoicemail": Rights(insert=EVERY, update=("due_at", "sent_at")),
    "ledger_generalledgeraccount": Rights(insert=EVERY, update=("code", "name")),
    "ledger_monthfile": APPEND,
    "ledger_period": APPEND,
    "ledger_periodbalance": APPEND,  # By the trigger that closes a month, which refuses everybody else.
    "ledger_seal": APPEND,
    "ledger_sealleaf": APPEND,
    "ledger_reconciliationrun": APPEND,
    "ledger_walletday": Rights(
        insert=EVERY,
        update=("through_seq", "reserves", "settles", "refunds", "reserved", "settled", "refunded"),
    ),
    "ledger_lownotice": Rights(insert=EVERY, update=("due_at", "sent_at")),
    # work
    "batches_batch": Rights(
        insert=EVERY,
        update=("state", "started_at", "canceled_at", "finished_at", "succeeded", "failed", "settled", "refunded"),
    ),
    "batches_item": Rights(
        insert=EVERY,
        update=(
            *("status", "stage", "due_at", "lease", "attempts_made", "failure_type"),
            *("started_at", "deadline_at", "finished_at", "refunded_at", "route"),
        ),
    ),
    "batches_attempt": Rights(
        insert=EVERY,
        update=(
            *("state", "provider_job_id", "accepted_at", "ready_at", "ended_at"),
            *("failure_type", "retryable", "detail"),
        ),
    ),
    "batches_output": Rights(insert=EVERY, update=("expires_at", "purged_at")),
    "batches_proof": APPEND,
    "batches_signoff": APPEND,
    "batches_slaprobe": APPEND,
    "batches_slaprober": APPEND,
    "batches_route": Rights(insert=EVERY, update=EVERY),
    "batches_routehealth": Rights(insert=EVERY, update=EVERY),
    "batches_cataloguemodel": Rights(insert=EVERY, update=EVERY),
    "batches_pricelist": APPEND,
    "batches_price": APPEND,
    # telling
    "webhooks_endpoint": Rights(
        insert=EVERY,
        update=(
            *("url", "events", "description", "enabled", "disabled_reason", "moved_at", "deleted_at"),
            *("failing_since", "consecutive_failures", "paused_until"),
            *("secret_encrypted", "previous_secret_encrypted", "previous_secret_until"),
        ),
    ),
    "webhooks_defaultsecret": Rights(
        insert=EVERY, update=("secret_encrypted", "previous_secret_encrypted", "previous_secret_until")
    ),
    "webhooks_notice": Rights(insert=EVERY, update=("due_at", "sent_at")),
    "webhooks_event": APPEND,
    "webhooks_delivery": Rights(
        insert=EVERY,
        update=(
            *("state", "skipped_reason", "due_at", "lease", "url"),
            *("attempts_made", "attempts_before", "next_trigger"),
        ),
    ),
    "webhooks_attempt": Rights(insert=EVERY, update=("status_code", "error", "duration_ms", "response", "signature")),
    "webhooks_sink": APPEND,
    "webhooks_sinkmessage": Rights(insert=EVERY, delete=True),
    # who
    "customers_organization": Rights(
        insert=EVERY,
        update=(
            *("retention_days", "contact_email", "technical_emails", "finance_emails", "time_zone"),
            *("plan", "max_items_per_batch", "rate_limit_per_minute", "max_open_batches", "support_response_hours"),
        ),
    ),
    "customers_planchange": APPEND,
    "customers_handover": Rights(
        insert=EVERY, update=("content_encrypted", "token_sha256", "expires_at", "revealed_at", "withdrawn_at")
    ),
    "customers_user": Rights(insert=EVERY, update=EVERY),  # A changed password saves the whole row.
    "customers_user_groups": APPEND,
    "customers_user_user_permissions": READ,
    "customers_membership": Rights(insert=EVERY, update=("role",), delete=True),
    "customers_onetimelink": Rights(insert=EVERY, update=EVERY),  # A new link takes the old one's place in its row.
    # What a key has used is counted by the posting of an entry, as the tables' owner.
    "customers_apikey": Rights(
        insert=EVERY,
        update=(
            *("name", "last_used_at", "revoked_at", "budget_credits", "refused_at", "refused_address"),
            *("secret_sha256", "hint", "previous_secret_sha256", "previous_secret_until"),
        ),
    ),
    "customers_auditevent": APPEND,
    # How people sign in: failures that are counted for minutes, and apps that are replaced.
    "customers_authenticator": Rights(insert=EVERY, update=EVERY, delete=True),
    "customers_recoverycode": Rights(insert=EVERY, update=("used_at",), delete=True),
    "axes_accessattempt": Rights(insert=EVERY, update=EVERY, delete=True),
    "axes_accessattemptexpiration": Rights(delete=True),  # Deleted with the attempt, though none is ever made.
    "axes_accessfailurelog": READ,
    "axes_accesslog": READ,
    # onboarding
    "pilots_pilot": Rights(
        insert=EVERY,
        update=("activated_at", "deadline", "closed_at", "closed_by_id", "outcome", "lesson"),
    ),
    "pilots_pilotfailure": Rights(insert=EVERY, update=("withdrawn_at", "withdrawn_by_id", "withdrawn_reason")),
    "pilots_tick": Rights(insert=EVERY, update=("undone_at", "undone_by_id")),
    "pilots_reviewanswer": APPEND,
    "pilots_preflight": Rights(insert=EVERY, update=("started_at", "ended_at", "ok", "checks", "organization_id")),
    "pilots_lead": Rights(
        insert=EVERY,
        update=(
            *("company", "contact_name", "contact_email", "stage", "organization_id"),
            *("lost_at", "lost_reason"),
        ),
    ),
    "pilots_leadstep": APPEND,
    "pilots_signal": APPEND,
    "pilots_salesmail": Rights(insert=EVERY, update=("sent_at", "fault")),
    "auth_group": APPEND,
    "auth_group_permissions": READ,
    "auth_permission": READ,
    # what Django and Celery keep
    "django_session": Rights(insert=EVERY, update=EVERY, delete=True),
    "django_celery_results_taskresult": Rights(insert=EVERY, update=EVERY, delete=True),
    "django_celery_results_groupresult": Rights(delete=True),  # Celery's daily cleaning deletes here too.
    "django_celery_results_chordcounter": READ,
    "django_admin_log": READ,
    "django_content_type": READ,
    "django_migrations": READ,
}
