"""Every act of a person on the pages is in the audit log, with who did it. A page that is missing here fails."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Q
from django.test import Client

from batches.audit_words import ACTS
from customers.models import AuditEvent
from ledger.invoices.invoice_forms import CreditNoteForm
from pilots.provisioning_forms import KeyHandoverForm
from tests.batches.test_catalogue_pages import model_form, new_model, prices_form
from tests.batches.test_route_pages import provider
from tests.customers.test_two_step import PASSWORD
from tests.factories import Account, end_batch, make_batch
from tests.people import superuser
from tests.pilots.scenes import asking_pilot, pilot_of, record, sent
from tests.sora2.act_scenes import (
    CONFIRM,
    TICK,
    Scene,
    address_of_item,
    by_form,
    by_password_link,
    change_accounts,
    change_endpoint_on_a_page,
    close_month,
    default_secret,
    drafted,
    fill_in_billing,
    grant,
    in_review,
    invited,
    joining,
    mail_again,
    mail_to_a_lead,
    mail_to_a_pilot,
    make_a_key,
    make_endpoint,
    new_password,
    new_settings,
    on_handover,
    on_invoice,
    on_lead,
    on_member,
    on_pilot,
    order_on_a_page,
    provisioning,
    retry_on_its_page,
    revealing,
    reversing,
    sending,
    sending_a_note,
    setting_up,
    signing_in,
    tick_by_a_customer,
    token_of,
    with_app,
)

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
APPS = ("sora2", "customers", "ledger", "webhooks", "batches", "pilots")

Act = Callable[[Scene], Any]
# By the name of the page: the act that stands in the log, and how it is done.
TABLE: dict[str, tuple[str, Act]] = {
    # signing in
    "login": ("session.sign_in", signing_in),
    "login_code": ("session.sign_in", lambda _: with_app("/admin/login/code")),
    "logout": ("session.sign_out", lambda scene: scene.client.post("/admin/logout/")),
    "sign_out_everywhere": ("session.sign_out_everywhere", lambda scene: scene.owned("sign-out-everywhere")),
    "password_change": ("password.change", new_password),
    "two_step": ("two_step.set_up", setting_up),
    "two_step_codes": ("two_step.renew_codes", lambda _: with_app("/admin/two-step/codes", password=PASSWORD)),
    "two_step_off": ("two_step.turn_off", lambda _: with_app("/admin/two-step/off", password=PASSWORD)),
    # people
    "people_invite": ("person.invite", invited),
    "invitation_renew": ("person.invite", lambda scene: scene.owned(f"{invited(scene)[0]}renew")),
    "invitation_withdraw": ("person.withdraw_invitation", lambda scene: scene.owned(f"{invited(scene)[0]}withdraw")),
    "join": ("person.join", joining),
    "member_role": (
        "person.change_role",
        on_member("role", role="customer finance", seen="customer developer"),
    ),
    "member_remove": ("person.remove", on_member("remove")),
    "member_password": ("person.password_link", on_member("password-link")),
    "new_password": ("person.set_password", by_password_link),
    # batches
    "check": ("ledger.check", lambda scene: scene.client.post("/admin/check")),
    "retention": ("organization.retention", lambda scene: scene.owned("retention/{}", days="30", deletes="0")),
    "batch_new": ("batch.submit", order_on_a_page),
    "batch_cancel": (
        "batch.cancel",
        lambda s: s.client.post(f"/admin/batches/{make_batch(s.account.api).pk}/cancel", {"reason": "Asked for"}),
    ),
    "batch_retry": ("batch.retry", retry_on_its_page),
    "item_link": ("item.link", lambda s: s.client.post(f"{address_of_item(s.batch())}/link")),
    "batch_sign_off": (
        "batch.sign_off",
        lambda s: s.client.post(f"/admin/batches/{s.batch().pk}/sign-off", {"confirmed": "yes", "note": "By phone"}),
    ),
    # keys
    "key_new": ("key.create", make_a_key),
    "key_rename": ("key.rename", lambda scene: scene.on_key("rename", name="Nightly")),
    "key_rotate": ("key.rotate", lambda scene: scene.on_key("rotate")),
    "key_revoke": ("key.revoke", lambda scene: scene.on_key("revoke")),
    # what is on offer
    "catalogue_model_new": (
        "model.create",
        lambda s: s.client.post("/admin/catalogue/models/new", new_model(**CONFIRM)),
    ),
    "catalogue_model": (
        "model.change",
        lambda s: s.client.post("/admin/catalogue/models/sora-2", model_form(position="9", **CONFIRM)),
    ),
    "prices_new": (
        "prices.publish",
        lambda s: s.client.post("/admin/catalogue/prices/new", prices_form(**CONFIRM)),
    ),
    "route_new": (
        "route.create",
        lambda s: s.client.post("/admin/routes/new", provider(name="other", base_url="https://eu.example/v1")),
    ),
    "route_limits": ("route.change", lambda scene: scene.owned("routes/openai/limits", max_in_flight="7")),
    "route_pause": ("route.pause", lambda scene: scene.owned("routes/openai/pause", reason="Slow")),
    "route_resume": (
        "route.resume",
        lambda s: (s.owned("routes/openai/pause", reason="Slow"), s.owned("routes/openai/resume")),
    ),
    "route_provider": (
        "route.change",
        lambda s: s.client.post("/admin/routes/openai/provider", provider(base_url="https://eu.example/v1")),
    ),
    # invoices
    "invoice_send": ("invoice.send", sending),
    "invoice_void": ("invoice.void", on_invoice(lambda desk: desk.sent(), "void", reason="Sent twice")),
    "invoice_payment": (
        "payment.record",
        on_invoice(
            lambda desk: desk.sent(),
            "payment",
            amount_cents="5000.00",
            received_on="2026-01-24",
            reference="DE-1",
            step="confirm",
        ),
    ),
    "payment_reverse": ("payment.reverse", reversing),
    "credit_note_new": (
        "credit_note.draft",
        on_invoice(
            lambda desk: desk.sent(),
            "credit-note",
            pk=str(CreditNoteForm.base_fields["pk"].initial()),
            amount_cents="1.00",
            reason="Goodwill",
        ),
    ),
    "credit_note_send": ("credit_note.send", sending_a_note),
    # pilots
    "pilot_new": ("pilot.provision", provisioning),
    "handover_renew": ("handover.renew", on_handover("{}/renew")),
    "handover_withdraw": ("handover.withdraw", on_handover("{}/withdraw")),
    "handover_new_key": (
        "handover.make",
        on_handover("new-key", token=token_of(KeyHandoverForm), mode="live", name="Again"),
    ),
    "handover_new_password": ("person.replace_password", on_handover("new-password")),
    "handover": ("handover.reveal", revealing),
    # leads, and the review of a pilot
    "lead_new": ("lead.create", on_lead("")),
    "lead_change": ("lead.change", on_lead("change", contact_name="Bill L.")),
    "lead_move": ("lead.move", on_lead("move", stage="reply")),
    "lead_note": ("lead.note", on_lead("note", note="Wants prices")),
    "lead_lost": ("lead.lose", on_lead("lost", lost="yes", reason="No budget")),
    "lead_signal": ("signal.record", on_lead("signals", code="asks_pilot", seen_at="2026-01-24 10:00")),
    "review_answer": (
        "review.answer",
        in_review("answer", question="most_confusing", answer="The signature", answered_by="Ola"),
    ),
    "signal_record": ("signal.record", in_review("signal", code="more_events", seen_at="2026-01-24 10:00")),
    # customers
    "pilot_plan": (
        "organization.plan",
        lambda s: sent(s.client, f"/admin/pilots/{asking_pilot(s.account.organization).pk}/plan"),
    ),
    "customer_plan": (
        "organization.plan",
        lambda s: (record(s.account.organization), sent(s.client, f"/admin/customers/{s.owner}/plan")),
    ),
    "account_settings": ("organization.settings", new_settings),
    # sales
    "pilot_mail": ("sales_mail.send", mail_to_a_pilot),
    "lead_mail": ("sales_mail.copy", mail_to_a_lead),
    "sales_mail": ("sales_mail.send", mail_again),
    # pilots
    "pilot_start": ("pilot.move_start", on_pilot("start", begins=5, at="now", reason="They are ready")),
    "pilot_failure": ("pilot.record_failure", on_pilot("failures", condition="4", note="In the call")),
    "pilot_failure_withdraw": ("pilot.withdraw_failure", on_pilot("failures/{}/withdraw", reason="It was not so")),
    "pilot_close": ("pilot.close", on_pilot("close", seen="failed", lesson="The way in is too hard")),
    # money
    "set_threshold": ("wallet.low_threshold", lambda scene: scene.owned("ledger/{}/threshold", threshold="10")),
    "credit_request_new": ("credits.request", grant),
    "credit_request_approve": (
        "credits.approve",
        lambda s: s.client.post(f"/admin/ledger/requests/{s.asked().pk}/approve"),
    ),
    "credit_request_reject": (
        "credits.reject",
        lambda s: s.client.post(f"/admin/ledger/requests/{s.asked().pk}/reject", {"note": "No"}),
    ),
    "quote": ("invoice.draft", drafted),
    "invoice_change": ("invoice.change", lambda s: by_form(s, f"{drafted(s)}/change", note="As agreed")),
    "billing_details": ("billing.change", fill_in_billing),
    "period": ("period.close", close_month),
    "period_run": (
        "period.run",
        lambda s: (close_month(s), s.client.post("/admin/ledger/periods/2026-10/run")),
    ),
    "gl_accounts": ("gl_accounts.change", change_accounts),
    # onboarding
    "pilot_tick": (
        "pilot.tick",
        lambda s: s.client.post(f"/admin/pilots/{pilot_of(s.account).pk}/checklists/tick", TICK),
    ),
    "own_tick": ("pilot.tick", tick_by_a_customer),
    "preflight_run": ("preflight.run", lambda s: s.client.post("/admin/pilots/preflight/run")),
    # telling
    "endpoint_new": ("webhook_endpoint.create", make_endpoint),
    "endpoint_change": ("webhook_endpoint.change", change_endpoint_on_a_page),
    "endpoint_delete": ("webhook_endpoint.delete", lambda scene: scene.on_endpoint("delete")),
    "endpoint_test": ("webhook_endpoint.test", lambda scene: scene.on_endpoint("test")),
    "endpoint_switch": ("webhook_endpoint.change", lambda scene: scene.on_endpoint("switch", enabled="no")),
    "endpoint_replay": ("webhook_endpoint.replay", lambda scene: scene.on_endpoint("replay")),
    "endpoint_rotate": (
        "webhook_endpoint.rotate_secret",
        lambda s: s.rotate(f"/admin/webhooks/endpoints/{s.endpoint().pk}"),
    ),
    "default_secret_rotate": ("organization.rotate_default_secret", default_secret),
    "delivery_redeliver": (
        "webhook_delivery.redeliver",
        lambda s: s.client.post(f"/admin/webhooks/deliveries/{s.delivery().pk}/redeliver"),
    ),
}
# What changes nothing but the session of whoever does it.
OF_THE_SESSION = {"switch_mode"}
# Files that leave the house: they change nothing, and are written down all the same.
FILES: dict[str, tuple[str, str]] = {
    **{
        f"ledger_{ending}": ("ledger.export", f"ledger/{{}}/export.{ending}") for ending in ("csv", "xlsx", "beancount")
    },
    "batch_export": ("batch.export", "batches/export.csv"),
    "batch_results": ("batch.results", "batches/{batch}/results.jsonl"),
    **{
        f"revenue_journal_{ending}": ("revenue.export", f"revenue/2026-10/journal.{ending}")
        for ending in ("csv", "beancount")
    },
    "audit_csv": ("audit.export", "audit/export.csv"),
}


def own_pages() -> dict[str, str]:
    """Return the route of each page of ours by its name."""
    urls = list(takewhile(lambda url: getattr(url, "name", "") != "index", admin.site.get_urls()))
    ours = {str(url.name): str(url.pattern) for url in urls if hasattr(url, "name")}
    return ours | {"login": "login/", "password_change": "password_change/"}


def address_of(route: str) -> str:
    some_id = re.sub(r"<id:\w+>", "bat_" + "0" * 26, re.sub(r"<int:\w+>", "1", route))
    return "/admin/" + re.sub(r"<\w+:\w+>", "x", some_id)


def test_the_table_has_every_page_that_takes_a_post() -> None:
    taken = {name for name, route in own_pages().items() if superuser().post(address_of(route)).status_code != 405}
    assert taken == TABLE.keys() | OF_THE_SESSION


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Collection[str]]:
    """What people did by the log, by the name of the page that they did it on: what led up to an act is another's."""
    found, send = defaultdict[str, set[str]](set), Client.request

    def request(client: Client, **asked: Any) -> Any:
        before = set(AuditEvent.objects.values_list("pk", flat=True))
        response = send(client, **asked)
        # Who reveals a handover is known by its link alone.
        somebody = Q(actor__startswith="usr_") | Q(actor__startswith="hnd_")
        events = AuditEvent.objects.exclude(pk__in=before).filter(somebody, outcome="done")
        found[response.resolver_match.url_name or ""] |= {event.action for event in events}
        return response

    monkeypatch.setattr(Client, "request", request)
    return found


@pytest.mark.parametrize("name", TABLE)
def test_an_act_is_in_the_audit_log_with_who_did_it(
    account: Account, written: Mapping[str, Collection[str]], name: str
) -> None:
    action, act = TABLE[name]
    act(Scene(account, superuser()))
    assert action in written[name], dict(written)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_leaves_the_house_is_in_the_audit_log(account: Account, name: str) -> None:
    action, address = FILES[name]
    client = superuser()
    batch = end_batch(make_batch(account.api))
    response = client.get(f"/admin/{address.format(account.organization.pk, batch=batch.pk)}")
    assert response.status_code == 200
    assert AuditEvent.objects.get(action=action).actor == client.session["_auth_user_id"]


def test_every_act_that_the_code_writes_has_its_words() -> None:
    written = re.compile(r"\b(?:action|act|ACTION)\b ?=(?! =)(?: action=)? ?\"([a-z_]+\.[a-z_]+)\"")
    sources = [path.read_text() for app in APPS for path in (ROOT / app).rglob("*.py")]
    found = {action for source in sources for action in written.findall(source)}
    assert len(found) > 15
    assert found <= ACTS.keys()
