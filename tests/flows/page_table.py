"""Who may open which page, written out: the tables that the walk over all pages is held against.

The permissions of each role stand here as they were promised, not as the code has them.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from django.contrib import admin

READ = "batches:read ledger:read webhooks:read account:read"
STAFF = {
    "no role": "",
    "finance": f"{READ} batches:sign_off credits:request periods:close audit:read pilots:read "
    "invoices:write payments:record",
    "finance approver": f"{READ} batches:sign_off credits:request credits:approve periods:close audit:read pilots:read "
    "invoices:write payments:record",
    "sales ops": f"{READ} catalogue:write pilots:read pilots:write invoices:write",
    "support": "batches:read batches:write webhooks:read webhooks:write account:read routes:operate",
    "auditor": f"{READ} audit:read pilots:read",
    "superuser": f"{READ} batches:write webhooks:write keys:write account:write people:write batches:sign_off "
    "credits:request credits:approve periods:close catalogue:write routes:operate routes:write audit:read "
    "pilots:read pilots:write invoices:write payments:record",
}
CUSTOMERS = {
    "customer admin": f"{READ} batches:write webhooks:write keys:write account:write people:write batches:sign_off",
    "customer finance": f"{READ} batches:sign_off",
    "customer developer": "batches:read batches:write webhooks:read webhooks:write account:read",
}
NOBODY, STRANGER = "nobody", "another customer's admin"
VISITORS = (NOBODY, *STAFF, *CUSTOMERS, STRANGER)
PERMISSIONS: Mapping[str, str] = {**STAFF, **CUSTOMERS, STRANGER: CUSTOMERS["customer admin"]}

# Whose a page is: everybody's who may enter; one customer's, and so not there for another; our own people's; one
# customer's and not ours; Django's
# page of a model, which is ours too, and refuses the others; a superuser's.
ALL, OWN, OURS, THEIRS, MODEL, ROOT = "all", "own", "ours", "theirs", "model", "root"


class Row(NamedTuple):
    """One page: its methods, what opens it (one of these; empty: nothing), whose it is, what a POST needs
    besides (one of these).
    """

    methods: str
    opens: str
    whose: str
    acts: str = ""


PAGES: dict[str, Row] = {
    "index": Row("GET", "", ALL),
    "check": Row("POST", "ledger:read", OURS),
    "checks": Row("GET", "ledger:read", OURS),
    "check_detail": Row("GET", "ledger:read", OURS),
    "find": Row("GET", "", ALL),
    "switch_mode": Row("POST", "", ALL),
    # Batches.
    "batch_list": Row("GET", "batches:read", ALL),
    "batch_export": Row("GET", "batches:read", ALL),
    "batch_new": Row("GET POST", "batches:write", ALL),
    "batch_sample_csv": Row("GET", "batches:write", ALL),
    "batch_sample_jsonl": Row("GET", "batches:write", ALL),
    "batch": Row("GET", "batches:read", OWN),
    "batch_cancel": Row("GET POST", "batches:write", OWN),
    "batch_retry": Row("GET POST", "batches:write", OWN),
    "batch_billing": Row("GET", "ledger:read", OWN),
    "batch_why": Row("GET", "ledger:read", OWN),
    "batch_totals_why": Row("GET", "ledger:read", ALL),
    "batch_webhooks": Row("GET", "webhooks:read", OWN),
    "batch_results": Row("GET", "batches:read", OWN),
    "batch_proof": Row("GET", "ledger:read", OWN),
    "batch_items": Row("GET", "ledger:read", OWN),
    "batch_sign_off": Row("POST", "ledger:read", OWN, "batches:sign_off"),
    "item": Row("GET", "batches:read", OWN),
    "item_video": Row("GET", "batches:read", OWN),
    "item_poster": Row("GET", "batches:read", OWN),
    "item_link": Row("POST", "batches:read", OWN),
    "retention": Row("GET POST", "batches:read", ROOT),
    # The ledger.
    "wallet_list": Row("GET", "ledger:read", ALL),
    "ledger_day": Row("GET", "ledger:read", ALL),
    "statement": Row("GET", "ledger:read", OWN),
    "wallet_why": Row("GET", "ledger:read", OWN),
    "totals_why": Row("GET", "ledger:read", ALL),
    "entry": Row("GET", "ledger:read", OWN),
    "month_end": Row("GET", "ledger:read", OWN),
    "statement_pdf": Row("GET", "ledger:read", OWN),
    "ledger_csv": Row("GET", "ledger:read", OWN),
    "ledger_xlsx": Row("GET", "ledger:read", OWN),
    "ledger_beancount": Row("GET", "ledger:read", OWN),
    "set_threshold": Row("POST", "credits:request account:write", OWN),
    "credit_requests": Row("GET", "ledger:read", OURS),
    "credit_request": Row("GET", "ledger:read", OURS),
    "credit_request_new": Row("GET POST", "credits:request", OURS),
    "credit_request_approve": Row("POST", "credits:approve", OURS),
    "credit_request_reject": Row("POST", "credits:approve", OURS),
    "period_list": Row("GET", "ledger:read", OURS),
    "period": Row("GET POST", "ledger:read", OURS, "periods:close"),
    "seal_list": Row("GET", "ledger:read", ALL),
    "seal_file": Row("GET", "ledger:read", ALL),
    "own_seal_file": Row("GET", "ledger:read", OWN),
    "verifier_file": Row("GET", "ledger:read", ALL),
    # Webhooks.
    "endpoint_list": Row("GET", "webhooks:read", ALL),
    "endpoint_new": Row("GET POST", "webhooks:write", ALL),
    "endpoint": Row("GET", "webhooks:read", OWN),
    "endpoint_change": Row("GET POST", "webhooks:write", OWN),
    "endpoint_delete": Row("GET POST", "webhooks:write", OWN),
    "endpoint_test": Row("POST", "webhooks:write", OWN),
    "endpoint_switch": Row("POST", "webhooks:write", OWN),
    "endpoint_replay": Row("GET POST", "webhooks:write", OWN),
    "endpoint_rotate": Row("POST", "webhooks:write", OWN),
    "default_secret": Row("GET", "webhooks:read", OWN),
    "default_secret_rotate": Row("POST", "webhooks:write", OWN),
    "delivery_list": Row("GET", "webhooks:read", ALL),
    "delivery": Row("GET", "webhooks:read", OWN),
    "delivery_redeliver": Row("POST", "webhooks:write", OWN),
    "sink": Row("GET", "webhooks:read", OWN),
    # Pilots.
    # Invoices.
    "invoice_list": Row("GET", "ledger:read", ALL),
    "invoice": Row("GET", "ledger:read", OWN),
    # Quotes and drafts.
    "quote_list": Row("GET", "ledger:read", OURS),
    "quote": Row("GET POST", "ledger:read", OURS, "invoices:write"),
    "invoice_change": Row("GET POST", "invoices:write", OURS),
    "billing_details": Row("GET POST", "ledger:read", OWN, "invoices:write account:write"),
    # Credit notes and payments.
    "invoice_send": Row("GET POST", "invoices:write", OURS),
    "invoice_void": Row("GET POST", "invoices:write", OURS),
    "invoice_payment": Row("GET POST", "payments:record", OURS),
    "payment_reverse": Row("GET POST", "payments:record", OURS),
    "credit_note_new": Row("GET POST", "invoices:write", OURS),
    "credit_note_send": Row("GET POST", "payments:record", OURS),
    "receivables": Row("GET", "ledger:read", OURS),
    "receivables_csv": Row("GET", "ledger:read", OURS),
    # Revenue.
    "revenue": Row("GET", "ledger:read", OURS),
    "revenue_month": Row("GET", "ledger:read", OURS),
    "revenue_lots": Row("GET", "ledger:read", OURS),
    "revenue_journal_csv": Row("GET", "ledger:read", OURS),
    "revenue_journal_beancount": Row("GET", "ledger:read", OURS),
    "gl_accounts": Row("GET POST", "ledger:read", OURS, "periods:close"),
    # Service levels.
    # Pilots.
    "pilot_list": Row("GET", "pilots:read", OURS),
    "pilot_new": Row("GET POST", "pilots:write", OURS),
    "pilot_handovers": Row("GET", "pilots:read", OURS),
    "handover_new_key": Row("POST", "pilots:write", OURS),
    "handover_new_password": Row("POST", "pilots:write", OURS),
    "handover_renew": Row("POST", "pilots:write", OURS),
    "handover_withdraw": Row("POST", "pilots:write", OURS),
    "pilot": Row("GET", "pilots:read", OURS),
    "pilot_start": Row("POST", "pilots:write", OURS),
    "pilot_failure": Row("POST", "pilots:write", OURS),
    "pilot_failure_withdraw": Row("POST", "pilots:write", OURS),
    "pilot_close": Row("GET POST", "pilots:write", OURS),
    "pilot_checklists": Row("GET", "pilots:read", OURS),
    "pilot_tick": Row("POST", "pilots:write", OURS),
    "own_tick": Row("POST", "batches:write batches:sign_off webhooks:write", THEIRS),
    "preflight_list": Row("GET", "pilots:read", OURS),
    "preflight_run": Row("POST", "pilots:write", OURS),
    "pilot_mails": Row("GET", "pilots:read", OURS),
    "pilot_mail": Row("GET POST", "pilots:write", OURS),
    "lead_mail": Row("GET POST", "pilots:write", OURS),
    "sales_mail": Row("GET POST", "pilots:read", OURS, "pilots:write"),
    "lead_list": Row("GET", "pilots:read", OURS),
    "lead_new": Row("GET POST", "pilots:write", OURS),
    "lead": Row("GET", "pilots:read", OURS),
    "lead_change": Row("GET POST", "pilots:write", OURS),
    "lead_move": Row("POST", "pilots:write", OURS),
    "lead_note": Row("POST", "pilots:write", OURS),
    "lead_lost": Row("POST", "pilots:write", OURS),
    "lead_signal": Row("POST", "pilots:write", OURS),
    "pilot_review": Row("GET", "pilots:read", OURS),
    "review_answer": Row("POST", "pilots:write", OURS),
    "signal_record": Row("POST", "pilots:write", OURS),
    "sales_help": Row("GET", "pilots:read", OURS),
    "pilot_plan": Row("GET POST", "pilots:read", OURS, "pilots:write"),
    "customer_plan": Row("GET POST", "pilots:read", OURS, "pilots:write"),
    # Customers.
    "customer_list": Row("GET", "account:read", ALL),
    "account": Row("GET", "account:read", OWN),
    "account_settings": Row("GET POST", "account:write", OWN),
    "people": Row("GET", "account:read", OWN),
    "people_invite": Row("POST", "people:write", OWN),
    "invitation_renew": Row("POST", "people:write", OWN),
    "invitation_withdraw": Row("POST", "people:write", OWN),
    "member_role": Row("GET POST", "people:write", OWN),
    "member_remove": Row("GET POST", "people:write", OWN),
    "member_password": Row("GET POST", "people:write", OWN),
    "key_list": Row("GET", "account:read", OWN),
    "key_new": Row("GET POST", "keys:write", OWN),
    "key": Row("GET", "account:read", OWN),
    "key_rename": Row("POST", "keys:write", OWN),
    "key_rotate": Row("POST", "keys:write", OWN),
    "key_revoke": Row("GET POST", "keys:write", OWN),
    # What is on offer.
    "catalogue": Row("GET", "batches:read", OURS),
    "catalogue_model": Row("GET POST", "batches:read", OURS, "catalogue:write"),
    "catalogue_model_new": Row("GET POST", "catalogue:write", OURS),
    "price_list": Row("GET", "batches:read", OURS),
    "prices_new": Row("GET POST", "catalogue:write", OURS),
    "route_list": Row("GET", "batches:read", OURS),
    "route": Row("GET", "batches:read", OURS),
    "route_new": Row("GET POST", "routes:write", OURS),
    "route_limits": Row("POST", "routes:operate", OURS),
    "route_pause": Row("POST", "routes:operate", OURS),
    "route_resume": Row("POST", "routes:operate", OURS),
    "route_provider": Row("POST", "routes:write", OURS),
    "settings": Row("GET", "", OURS),
    "audit_log": Row("GET", "audit:read", OURS),
    "audit_csv": Row("GET", "audit:read", OURS),
    # One's own account.
    "password_change": Row("GET POST", "", ALL),
    "password_change_done": Row("GET", "", ALL),
    "jsi18n": Row("GET", "", ALL),
}
# Django's own pages of a model, and who sees them: our people, to look at.
MODELS: dict[str, str] = {
    "customers_organization": "batches:read",
    "customers_user": "batches:read",
    "customers_membership": "batches:read",
    "customers_apikey": "batches:read",
    "batches_batch": "batches:read",
    "batches_item": "batches:read",
    "batches_attempt": "batches:read",
    "ledger_wallet": "ledger:read",
    "ledger_entry": "ledger:read",
    "ledger_period": "ledger:read",
    "ledger_periodbalance": "ledger:read",
    "ledger_reconciliationrun": "ledger:read",
    "ledger_seal": "ledger:read",
    "ledger_sealleaf": "ledger:read",
    "webhooks_endpoint": "webhooks:read",
    "webhooks_event": "webhooks:read",
    "webhooks_delivery": "webhooks:read",
}
# What Django brings besides, and the doors, through which one comes in and goes out: both have tests of their own.
DJANGOS = {"autocomplete", "view_on_site", "app_list"}
DOORS = {
    *("login", "login_code", "logout", "sign_out_everywhere", "two_step", "two_step_codes", "two_step_off"),
    *("join", "new_password", "handover"),
}

# Taken; sent to sign in; the method is none of the page's; refused; not there.
OK, SIGN_IN, NO_METHOD, REFUSED, MISSING = "taken", "sign in", "no method", "refused", "missing"


def expected(row: Row, visitor: str, method: str) -> str:
    """Say what a page answers a visitor: by method, then permission, then whether it is there for them, then the act.

    Our own pages are not there for a customer's person, whatever they may do.
    """
    if visitor == NOBODY:
        return SIGN_IN
    if method not in row.methods.split():
        return NO_METHOD
    granted = PERMISSIONS[visitor].split()
    if (row.opens and not {*row.opens.split()} & {*granted}) or (row.whose == MODEL and visitor not in STAFF):
        return REFUSED
    outside = {
        OWN: visitor == STRANGER,
        OURS: visitor not in STAFF,
        THEIRS: visitor not in CUSTOMERS,
        ROOT: visitor != "superuser",
    }
    if outside.get(row.whose):
        return MISSING
    return REFUSED if method == "POST" and row.acts and not {*granted} & {*row.acts.split()} else OK


def of_models() -> dict[str, Row]:
    """Return the rows of Django's own pages: what is there can be looked at, and nothing can be made or changed."""
    rows: dict[str, Row] = {}
    for model, permission in MODELS.items():
        rows |= {f"{model}_{page}": Row("GET", permission, MODEL) for page in ("changelist", "history")}
        rows[f"{model}_change"] = Row("GET POST", permission, MODEL, "nobody's")
        rows |= {f"{model}_{page}": Row("GET POST", "nobody's", MODEL) for page in ("add", "delete")}
    return rows


def documented() -> Iterator[tuple[str, list[str]]]:
    """Yield each page's address and what each role can do there, as the documentation says it."""
    for pattern in admin.site.get_urls():
        if row := PAGES.get(str(getattr(pattern, "name", ""))):
            yield "/admin/" + re.sub(r"<(?:[a-z]+:)?([a-z_]+)>", r"{\1}", str(pattern.pattern)), _said(row)
    for model, permission in MODELS.items():
        yield f"/admin/{model.replace('_', '/')}/", _said(Row("GET", permission, MODEL))


def _said(row: Row) -> list[str]:
    return [
        " ".join(word for method, word in (("GET", "see"), ("POST", "act")) if expected(row, visitor, method) == OK)
        or "–"
        for visitor in (*list(STAFF)[1:], *CUSTOMERS)
    ]
