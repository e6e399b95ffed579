"""Every act of a person on the pages is in the audit log, with who did it. A page that is missing here fails."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.contrib import admin
from django.db.models import Q
from django.forms import Form
from django.test import Client
from django.utils import timezone

from batches.audit_words import ACTS
from batches.failures import FailureType
from batches.models import Batch
from batches.reconciliation import reconcile
from customers.key_forms import KeyForm
from customers.models import AuditEvent, Mode, OneTimeLink, User
from customers.services import create_member, create_staff
from ledger.approvals import request_credits
from ledger.invoices.credit_notes import effect_seen
from ledger.invoices.invoice_forms import CreditNoteForm
from ledger.invoices.issuing import seen_of
from ledger.models import CreditRequest, Entry, Invoice
from pilots.boundary import BOUNDARY
from pilots.models import Lead, Pilot, SalesMail
from pilots.provisioning_forms import KeyHandoverForm, PilotForm
from pilots.services import PilotOrder, provision_pilot
from sora2.seen import seen_name
from tests.batches.test_acts import retry_form
from tests.batches.test_catalogue_pages import model_form, new_model, prices_form
from tests.batches.test_ordering import confirm, of_staff
from tests.batches.test_route_pages import provider
from tests.customers.test_two_step import PASSWORD, code_of, give_password, next_code, set_up
from tests.factories import Account, end_batch, make_batch
from tests.invoices import Desk, make_desk
from tests.markup import form_to, forms_of
from tests.people import member, superuser
from tests.pilots.scenes import asking_pilot, pilot_of, record, sent
from tests.webhooks.page_scenes import endpoint_of, tell, tried
from webhooks.changing import seen_value
from webhooks.endpoints import create_default_secret
from webhooks.models import Delivery, Endpoint

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).resolve().parents[2]
APPS = ("sora2", "customers", "ledger", "webhooks", "batches", "pilots")
CONFIRM = {"step": "confirm"}
TICK = {"item": "webhook_guide", "act": "tick"}


@dataclass(frozen=True)
class Scene:
    """What there is to act on, and a superuser who does."""

    account: Account
    client: Client

    @property
    def user(self) -> User:
        return User.objects.get(pk=self.client.session["_auth_user_id"])

    @property
    def owner(self) -> str:
        return self.account.organization.pk

    def batch(self) -> Batch:
        return end_batch(make_batch(self.account.api))

    def endpoint(self) -> Endpoint:
        return endpoint_of(self.account.organization)

    def delivery(self) -> Delivery:
        self.endpoint()
        [told] = tell(self.account.organization)
        return tried(told, Delivery.State.EXHAUSTED)

    def asked(self) -> CreditRequest:
        return request_credits(
            wallet=self.account.wallets[Mode.LIVE],
            kind=Entry.Kind.ADJUSTMENT_IN,
            amount=20,
            reason="Goodwill",
            evidence_url="https://tickets.example/1",
            requested_by=create_staff(username="asker", role="finance")[0],
        )

    def owned(self, act: str, **form: Any) -> Any:
        return self.client.post(f"/admin/{act.format(self.owner)}", form)

    def rotate(self, address: str) -> Any:
        shown = self.client.get(address).context["rotate"]
        return self.client.post(f"{address}/rotate", {"seen": shown["seen"].value(), "overlap_hours": "24"})

    def on_key(self, act: str, **form: Any) -> Any:
        page = f"/admin/customers/{self.owner}/keys/{self.account.keys[Mode.TEST].pk}"
        if act == "rotate":
            return self.rotate(page)
        return self.client.post(f"{page}/{act}", form)

    def on_endpoint(self, act: str, **form: Any) -> Any:
        return self.client.post(f"/admin/webhooks/endpoints/{self.endpoint().pk}/{act}", form)


def default_secret(scene: Scene) -> Any:
    create_default_secret(organization=scene.account.organization)
    return scene.rotate(f"/admin/webhooks/secrets/{scene.owner}")


def token_of(form: type[Form]) -> str:
    return str(form.base_fields["token"].initial())


def make_a_key(scene: Scene) -> Any:
    form = {"token": token_of(KeyForm), "mode": "test", "name": "Nightly", "scopes": ["batches:read"]}
    return scene.owned("customers/{}/keys/new", **form)


def make_endpoint(scene: Scene) -> Any:
    form = {"customer": scene.owner, "mode": "live", "url": "https://example.com/new", "events": "batch.completed"}
    return scene.client.post("/admin/webhooks/endpoints/new", form)


def change_endpoint_on_a_page(scene: Scene) -> Any:
    endpoint = scene.endpoint()
    form = {"what": "description", "seen": seen_value(endpoint, "description"), "value": "The shop's"}
    return scene.client.post(f"/admin/webhooks/endpoints/{endpoint.pk}/change", form)


def grant(scene: Scene) -> Any:
    asked = {"organization": scene.owner, "mode": "live", "kind": "grant", "amount": "5", "reference": "INV-1"}
    more = {"about": "", "reason": "Paid", "evidence_url": "https://tickets.example/1"}
    return scene.client.post("/admin/ledger/requests/new", {**asked, **more, **CONFIRM})


def tick_by_a_customer(scene: Scene) -> Any:
    address = f"/admin/pilots/{pilot_of(scene.account).pk}/own-checklist/tick"
    return member(scene.account.organization).post(address, {**TICK, "item": "fields_read"})


def new_settings(scene: Scene) -> None:
    address = f"/admin/customers/{scene.owner}/settings"
    scene.client.post(
        address, {**form_to(forms_of(scene.client.get(address)), address).fields, "time_zone": "Asia/Tokyo"}
    )


def order_on_a_page(scene: Scene) -> None:
    confirm(scene.client, of_staff(scene.account))


def retry_on_its_page(scene: Scene) -> None:
    batch = end_batch(make_batch(scene.account.api), failed={0: FailureType.TIMEOUT})
    scene.client.post(f"/admin/batches/{batch.pk}/retry", retry_form(scene.client, batch, reason="Asked for"))


def by_form(scene: Scene, address: str, /, **changed: str) -> None:
    form = form_to(forms_of(scene.client.get(address)), address)
    scene.client.post(address, {**form.fields, **changed})


def fill_in_billing(scene: Scene) -> None:
    by_form(scene, f"/admin/invoices/billing/{scene.owner}", legal_name="Acme Inc.", address="Here", country="US")


def drafted(scene: Scene) -> str:
    fill_in_billing(scene)
    address = f"/admin/quotes/{scene.owner}"
    form = form_to(forms_of(scene.client.get(address)), address)
    return str(scene.client.post(address, form.fields).headers["Location"])


def mail_to_a_lead(scene: Scene) -> None:
    lead = Lead.objects.create(
        company="Initech", contact_name="Bill", contact_email="b@i.example", created_by=scene.user
    )
    by_form(scene, f"/admin/leads/{lead.pk}/mails/cold_mail", act="copy", body="Hello")


def mail_to_a_pilot(scene: Scene) -> None:
    deadline = timezone.now() + timedelta(hours=48)
    given = {"created_by": scene.user.pk, "override_reason": "For a test"}
    pilot = Pilot.objects.create(organization_id=scene.owner, credits=1, deadline=deadline, **given)
    address = f"/admin/pilots/{pilot.pk}/mails/pilot_ready"
    by_form(scene, address, act="send", recipients="b@i.example", body=BOUNDARY)


def mail_again(scene: Scene) -> None:
    given = {"template": "cold_mail", "recipients": ["b@i.example"], "subject": "Hello", "body": "Hello", "way": "sent"}
    more = {"created_at": timezone.now(), "created_by": scene.user, "fault": "Timed out"}
    mail = SalesMail.objects.create(organization_id=scene.owner, **given, **more)
    by_form(scene, f"/admin/mails/{mail.pk}")


def address_of_item(batch: Batch) -> str:
    return f"/admin/batches/{batch.pk}/items/{batch.items.get().pk}"


def person() -> User:
    return create_staff(username="finance", role="finance", password=PASSWORD)[0]


def with_app(address: str, **form: str) -> None:
    """Sign in with an app and send a form."""
    user, client = person(), Client()
    set_up(user)
    give_password(client)
    client.post("/admin/login/code", {"code": next_code(user)})
    client.post(address, form)


def setting_up(_: Scene) -> None:
    person()
    client = Client()
    give_password(client)
    client.get("/admin/two-step/")
    client.post("/admin/two-step/", {"code": code_of(client.session["two_step_key"])})


def signing_in(_: Scene) -> None:
    person()
    give_password(Client())


def new_password(_: Scene) -> None:
    person()
    client, new = Client(), "another password of length"
    give_password(client)
    client.post("/admin/password_change/", {"old_password": PASSWORD, "new_password1": new, "new_password2": new})


def invited(scene: Scene) -> tuple[str, str]:
    """Invite somebody; return where the invitation is renewed and withdrawn, and where its link leads."""
    form = {"email": "pia@acme.example", "role": "customer finance"}
    shown = scene.owned("customers/{}/people/invite", **form).context["address"]
    link = OneTimeLink.objects.latest("made_at")
    return f"customers/{{}}/people/invitations/{link.pk}/", urlsplit(shown).path


def joining(scene: Scene) -> None:
    _, door = invited(scene)
    form = {"username": "pia", "name": "Pia", "password1": PASSWORD, "password2": PASSWORD}
    Client().post(door, form)


def on_member(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about a developer."""

    def acting(scene: Scene) -> Any:
        user, _ = create_member(
            organization=scene.account.organization, username="ola", email="", role="customer developer"
        )
        return scene.owned(f"customers/{{}}/people/{user.pk}/{act}", **form)

    return acting


def by_password_link(scene: Scene) -> None:
    shown = on_member("password-link")(scene).context["address"]
    Client().post(urlsplit(shown).path, {"new_password1": PASSWORD, "new_password2": PASSWORD})


def provisioning(scene: Scene) -> Any:
    form = {"token": token_of(PilotForm), "name": "Hooli", "credits": "100", "reason": "Agreed", "hours": "48"}
    limits = {"max_items": "50", "rate_limit": "60", "max_open_batches": "9", "override_reason": "Tried by hand"}
    return scene.client.post("/admin/pilots/new", {**form, **limits, **CONFIRM})


def on_handover(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about what was handed over to the customer of a pilot."""

    def acting(scene: Scene) -> Any:
        made = provision_pilot(order=PilotOrder("Hooli", 100), actor="system", now=timezone.now(), by_link=True)
        handover = made.pilot.organization.handovers.earliest("pk")
        return scene.client.post(f"/admin/pilots/{made.pilot.pk}/handovers/{act.format(handover.pk)}", form)

    return acting


def on_lead(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about a lead, whose page was seen as it was made."""

    def acting(scene: Scene) -> Any:
        contact = {"company": "Initech", "contact_name": "Bill", "contact_email": "bill@initech.example"}
        made = scene.client.post("/admin/leads/new", {**contact, "note": "Met at a fair"}).headers["Location"]
        seen = seen_name(contact) if act == "change" else "cold_mail"
        return scene.client.post(f"{made}/{act}", {**contact, "seen": seen, **form}) if act else made

    return acting


def on_invoice(make: Callable[[Desk], Invoice], act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser does about an invoice that somebody else made."""

    def acting(scene: Scene) -> Any:
        invoice = make(make_desk(scene.account.organization))
        return scene.client.post(f"/admin/invoices/{invoice.pk}/{act}", form)

    return acting


def sending(scene: Scene) -> Any:
    draft = make_desk(scene.account.organization).draft()
    return scene.client.post(f"/admin/invoices/{draft.pk}/send", {"seen": seen_of(draft)})


def sending_a_note(scene: Scene) -> Any:
    desk = make_desk(scene.account.organization)
    invoice = desk.sent()
    address = f"/admin/invoices/{desk.note(invoice, 100).pk}/send-credit-note"
    return scene.client.post(address, {"seen": effect_seen(invoice)})


def reversing(scene: Scene) -> Any:
    desk = make_desk(scene.account.organization)
    payment = desk.pay(desk.sent(), 100, "DE-1")
    address = f"/admin/invoices/{payment.invoice_id}/payments/{payment.pk}/reverse"
    return scene.client.post(address, {"reason": "Another customer's"})


def revealing(_: Scene) -> Any:
    made = provision_pilot(order=PilotOrder("Hooli", 100), actor="system", now=timezone.now(), by_link=True)
    return Client().post(urlsplit(made.links.keys if made.links else "").path)


def in_review(act: str, **form: str) -> Callable[[Scene], Any]:
    """Return what a superuser writes down about a pilot."""

    def acting(scene: Scene) -> Any:
        pilot = pilot_of(scene.account)
        return scene.client.post(f"/admin/pilots/{pilot.pk}/review/{act}", form)

    return acting


def on_pilot(act: str, *, begins: int = -50, **form: str) -> Callable[[Scene], Any]:
    """Return what is done about a pilot whose clock begins in so many hours."""

    def acting(scene: Scene) -> Any:
        at = timezone.now() + timedelta(hours=begins)
        given = {"credits": 1, "created_by": "system", "override_reason": "A test"}
        pilot = Pilot.objects.create(
            organization=scene.account.organization, activated_at=at, deadline=at + timedelta(hours=48), **given
        )
        failure = pilot.failures.create(
            condition=3, note="No time", recorded_at=at, recorded_by=User.objects.get(is_superuser=True)
        )
        return scene.owned(f"pilots/{pilot.pk}/{act.format(failure.pk)}", **form)

    return acting


def close_month(scene: Scene) -> Any:
    reconcile(now=timezone.now())
    return scene.client.post("/admin/ledger/periods/2026-10")


def change_accounts(scene: Scene) -> None:
    where = "/admin/revenue/accounts"
    form = form_to(forms_of(scene.client.get(where)), where)
    scene.client.post(where, {**form.fields, "revenue_code": "4711"})


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
