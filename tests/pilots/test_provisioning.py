"""Provisioning a pilot: by one form or a command, all of it or nothing; its secrets go out by one-time links."""

import io
import json
import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.utils import timezone

from customers.access import DEFAULT_SCOPES
from customers.models import ApiKey, AuditEvent, Handover, Mode, Organization, Plan, User
from customers.services import create_staff
from ledger.models import CreditRequest, Wallet
from pilots.leads import advance
from pilots.models import Lead, LeadStep, Pilot, Preflight, new_pilot_id
from pilots.services import InvalidPilot, PilotMadeBefore, PilotOrder, provision_pilot
from tests.connections import at_once
from tests.factories import Api
from tests.flows.test_page_walk import rows
from tests.markup import form_to, forms_of
from tests.people import member, signed_in, staff, words_of
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db

NEW = "/admin/pilots/new"
ASKED = {
    "name": "Acme  Studio",
    "contact": "ops@acme.example",
    "technical_emails": "dev@acme.example\nops@acme.example",
    "finance_emails": "books@acme.example",
    "credits": "1000",
    "reason": "Agreed in the call",
    "webhook_url": "https://hooks.acme.example/sora2",
    "override_reason": "The stack was tried by hand",
}
CONTRACT = {
    *("organization_id", "wallet_id", "api_key", "test_api_key", "webhook_endpoint_id", "webhook_secret"),
    *("default_webhook_secret", "dashboard_url", "login", "pilot_id", "deadline"),
}


@pytest.fixture
def cleo() -> User:
    return create_staff(username="cleo", role="sales ops")[0]


@pytest.fixture
def sales(cleo: User) -> Client:
    return signed_in(cleo)


def filled(client: Client, address: str = NEW, **changed: str) -> dict[str, str]:
    """Return what the form sends when it is filled in."""
    return {**form_to(forms_of(client.get(address)), "/admin/pilots/new").fields, **ASKED, **changed}


def made_by(client: Client, **changed: str) -> Any:
    return client.post(NEW, {**filled(client, **changed), "step": "confirm"})


def doors_of(page: Any) -> list[str]:
    found: list[str] = re.findall(
        r"<code>http://127\.0\.0\.1:8000(/admin/secret/[\w-]{43})</code>", page.content.decode()
    )
    return found


def revealed(door: str) -> dict[str, str]:
    """Return what a link holds, by name."""
    page = Client().post(door).content.decode()
    return dict(re.findall(r'<h2 id="secret-\d+">(.+?)</h2>.*?<code>(.+?)</code>', page, re.DOTALL))


def signs_in(username: str, password: str) -> bool:
    """Say whether somebody comes in with this."""
    return bool(Client().post("/admin/login/", {"username": username, "password": password}).status_code == 302)


def ran(ok: bool = True, ago: timedelta = timedelta(hours=1)) -> Preflight:
    at = timezone.now() - ago
    return Preflight.objects.create(requested_at=at, requested_by="usr_1", started_at=at, ended_at=at, ok=ok)


def order(**given: Any) -> PilotOrder:
    return PilotOrder(name="Acme", credits=100, **given)


# --- on the page ---------------------------------------------------------------------------------------------------


def test_one_form_makes_a_pilot_whose_secrets_only_its_people_see(sales: Client, cleo: User) -> None:
    sent = filled(sales)
    before = rows()
    preview = words_of(sales.post(NEW, {**sent, "step": "preview"}))
    assert rows() == before, "nothing is made yet"
    assert "Available, live 0 1,000" in preview
    assert "1,000 promotional credits of at most 100,000: no second person decides" in preview
    assert "Play money, test 0 10,000" in preview
    assert "Override The stack was tried by hand" in preview
    assert "48 hours, from the moment you confirm to about " in preview
    assert "◑ A batch" not in preview
    page = sales.post(NEW, {**sent, "step": "confirm"})
    assert page.status_code == 200
    assert "no-store" in page.headers["Cache-Control"]
    pilot = Pilot.objects.select_related("organization").get()
    customer = pilot.organization
    assert (customer.name, customer.technical_emails) == ("Acme Studio", ["dev@acme.example", "ops@acme.example"])
    assert (customer.contact_email, customer.finance_emails) == ("ops@acme.example", ["books@acme.example"])
    grant = CreditRequest.objects.get(basis="pilot")
    assert grant.reason == f"Promotional credits of pilot {pilot.pk}: Agreed in the call"
    assert Wallet.objects.get(organization=customer, mode=Mode.LIVE).available == 1000
    assert set(ApiKey.objects.values_list("mode", "created_by")) == {("live", cleo.pk), ("test", cleo.pk)}
    assert all(set(key.scopes) == set(DEFAULT_SCOPES) for key in ApiKey.objects.all())
    event = AuditEvent.objects.get(action="pilot.provision")
    assert (event.actor, event.subject) == (cleo.pk, pilot.pk)
    assert event.detail["override"] == "The stack was tried by hand"
    # What the links hold works; the page of ours has shown none of it.
    for_engineer, for_admin = doors_of(page)
    keys, sign_in = revealed(for_engineer), revealed(for_admin)
    assert list(keys) == ["Live API key", "Test API key", "Webhook secret", "Default webhook secret"]
    assert Api(keys["Live API key"]).get("/wallet").json()["available"] == 1000
    assert Api(keys["Test API key"]).get("/wallet").json()["livemode"] is False
    assert keys["Webhook secret"] == Endpoint.objects.get().secret
    assert signs_in(sign_in["Sign-in name"], sign_in["Password"])
    assert not any(secret in page.content.decode() for secret in (*keys.values(), sign_in["Password"]))


def test_sent_twice_it_makes_one_pilot(sales: Client) -> None:
    sent = {**filled(sales), "step": "confirm"}
    assert sales.post(NEW, sent).status_code == 200
    again = sales.post(NEW, sent, follow=True)
    assert again.redirect_chain == [(f"/admin/pilots/{Pilot.objects.get().pk}/handovers", 302)]
    assert "Nothing was made now" in words_of(again)
    assert (Organization.objects.count(), Handover.objects.count()) == (1, 2)
    assert sales.post(NEW, {**sent, "token": "pil_1:forged"}).status_code == 422


def test_sent_twice_at_once_it_makes_one_pilot(transactional_db: None) -> None:
    pilot_id, now = new_pilot_id(), timezone.now()

    def provision() -> object:
        return provision_pilot(order=order(), actor="usr_1", now=now, pilot_id=pilot_id)

    results = at_once(*[provision] * 3)
    assert sorted(type(result).__name__ for result in results) == ["PilotMadeBefore"] * 2 + ["Provisioned"]
    assert Organization.objects.count() == Pilot.objects.count() == 1
    with pytest.raises(PilotMadeBefore):
        provision()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"name": " "}, "Write the customer's name."),
        ({"contact": "nobody"}, "This is no e-mail address."),
        ({"finance_emails": "a@b.example nobody"}, "'nobody' is no e-mail address."),
        ({"credits": "100001"}, "less than or equal to 100000"),
        ({"reason": " "}, "Say why these credits are given"),
        ({"rate_limit": "100001"}, "less than or equal to 100000"),
        ({"max_open_batches": "10001"}, "less than or equal to 10000"),
        ({"max_items": "0"}, "greater than or equal to 1"),
        ({"webhook_url": "http://10.0.0.1/"}, "https"),
        ({"sink": "on"}, "not both"),
        ({"starts_at": "2020-01-01 00:00"}, "not in the past"),
        ({"starts_at": "2999-01-01 00:00"}, "within 90 days"),
        ({"starts_at": "soon"}, "Write a time in UTC"),
        ({"hours": "9999"}, "less than or equal to 2160"),
        ({"key_expires_at": "2020-01-01 00:00"}, "The keys would end before the pilot does."),
        ({"override_reason": ""}, "No green preflight is fresh. Run one, or say why"),
    ],
)
def test_what_cannot_be_is_said_and_makes_nothing(sales: Client, wrong: dict[str, str], fault: str) -> None:
    for step in ("preview", "confirm"):
        page = sales.post(NEW, {**filled(sales, **wrong), "step": step})
        assert page.status_code == 422
        assert fault in words_of(page)
    assert not Organization.objects.exists()


def test_limits_outside_of_what_is_advised_are_warned_of_and_not_refused(sales: Client) -> None:
    page = sales.post(NEW, {**filled(sales, max_items="1000"), "step": "preview"})
    assert "◑ A batch of a pilot has 10 to 50 items" in words_of(page)
    made_by(sales, max_items="1000", webhook_url="")
    assert Organization.objects.get().max_items_per_batch == 1000
    again = sales.post(NEW, {**filled(sales), "step": "preview"})
    assert "There is a customer of this name already: Acme Studio" in words_of(again)


def test_the_clock_starts_at_a_chosen_time_and_the_keys_end_at_another(cleo: User) -> None:
    with time_machine.travel("2026-12-01T10:00:00Z", tick=False):
        made_by(signed_in(cleo), starts_at="2026-12-03 09:00", hours="72", key_expires_at="2026-12-31 00:00")
    pilot = Pilot.objects.get()
    assert f"{pilot.activated_at:%d %H:%M} {pilot.deadline:%d %H:%M}" == "03 09:00 06 09:00"
    assert {f"{key.expires_at:%m-%d}" for key in ApiKey.objects.all()} == {"12-31"}


# --- on what ground ------------------------------------------------------------------------------------------------


def test_a_fresh_green_preflight_is_linked_and_no_word_is_asked_for(sales: Client) -> None:
    ran(ok=False)
    ran(ago=timedelta(hours=25))
    page = sales.get(NEW)
    assert "◑ No green preflight is fresh." in words_of(page)
    assert "override_reason" in page.context["form"].fields
    fresh = ran()
    page = sales.get(NEW)
    assert "✓ A green preflight is fresh" in words_of(page)
    assert "override_reason" not in page.context["form"].fields
    made_by(sales)
    pilot = Pilot.objects.get()
    assert (pilot.preflight, pilot.override_reason) == (fresh, "")


def test_the_command_is_an_override_by_itself_or_names_the_fresh_preflight() -> None:
    told = command()
    assert told.keys() == CONTRACT
    assert told["login"].keys() == {"username", "password"}
    assert signs_in(**told["login"])
    pilot = Pilot.objects.get(pk=told["pilot_id"])
    assert (pilot.preflight, pilot.override_reason) == (None, "provisioned by the command, without a fresh preflight")
    assert pilot.deadline - pilot.activated_at == timedelta(hours=48)
    assert not Handover.objects.exists(), "what was printed waits nowhere"
    fresh = ran()
    assert Pilot.objects.get(pk=command()["pilot_id"]).preflight == fresh


def test_the_command_hands_over_by_links_when_asked() -> None:
    ends = timezone.now() + timedelta(days=30)
    starts = timezone.now() + timedelta(days=1)
    told = command(
        "--links", "--reason", "By phone", f"--key-expires={ends.isoformat()}", f"--starts-at={starts.isoformat()}"
    )
    assert told.keys() == CONTRACT - {
        "api_key",
        "test_api_key",
        "webhook_secret",
        "default_webhook_secret",
        "login",
    } | {"links"}
    keys, sign_in = (revealed(urlsplit(told["links"][name]).path) for name in ("keys", "sign_in"))
    assert Api(keys["Live API key"]).get("/wallet").status_code == 200
    assert sign_in["Sign-in name"].startswith("acme")
    assert ApiKey.objects.first().expires_at == ends  # type: ignore[union-attr]
    assert Pilot.objects.get().activated_at == starts
    assert CreditRequest.objects.get(basis="pilot").reason.endswith(": By phone")
    with pytest.raises(CommandError, match="not in the past"):
        command("--starts-at", "2020-01-01T00:00:00Z")


def command(*more: str) -> dict[str, Any]:
    """Return what the command prints as JSON."""

    out = io.StringIO()
    call_command("provision_pilot", "--name", "Acme", "--credits", "100", "--json", *more, stdout=out)
    told: dict[str, Any] = json.loads(out.getvalue())
    return told


# --- from a lead ---------------------------------------------------------------------------------------------------


def test_a_lead_fills_the_form_and_becomes_the_customer(sales: Client, cleo: User) -> None:
    lead = Lead.objects.create(
        company="Initech", contact_name="Bill", contact_email="bill@initech.example", created_by=cleo
    )
    advance(lead=lead, stage=Lead.Stage.CALL, by=cleo, now=timezone.now())
    address = f"{NEW}?lead={lead.pk}"
    shown = form_to(forms_of(sales.get(address)), NEW).fields
    assert (shown["name"], shown["contact"]) == ("Initech", "bill@initech.example")
    sent = {**filled(sales, address), "name": "Initech", "step": "confirm"}
    assert sales.post(address, sent).status_code == 200
    lead.refresh_from_db()
    assert (lead.stage, lead.organization) == ("pilot", Pilot.objects.get().organization)
    step = LeadStep.objects.latest("pk")
    assert (step.by, step.stage, step.note) == (cleo, "pilot", "Provisioned")
    page = sales.post(address, {**filled(sales, address), "step": "confirm"})
    assert page.status_code == 422
    assert "Initech has its pilot already" in words_of(page)
    assert Pilot.objects.count() == 1
    assert sales.get(f"{NEW}?lead=lea_{'0' * 26}").status_code == 404


def test_a_lead_that_was_given_up_gets_no_pilot(cleo: User) -> None:
    lead = Lead.objects.create(
        company="Initech", contact_email="b@i.example", created_by=cleo, lost_at=timezone.now(), lost_reason="Too small"
    )
    with pytest.raises(InvalidPilot, match="given up"):
        provision_pilot(order=order(lead=lead), actor=cleo.pk, now=timezone.now())


# --- all of it or nothing ------------------------------------------------------------------------------------------

FAILS = """
    CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF current_setting('test.fails', true) = TG_TABLE_NAME THEN RAISE 'this step fails'; END IF;
        RETURN NEW;
    END $$
"""


@pytest.mark.owner
def test_whichever_step_fails_nothing_is_there(cleo: User) -> None:
    lead = Lead.objects.create(company="Initech", contact_email="b@i.example", created_by=cleo)
    whole = order(lead=lead, webhook_url="https://hooks.acme.example/x")
    before = rows()
    with transaction.atomic():
        provision_pilot(order=whole, actor=cleo.pk, now=timezone.now(), by_link=True)
        after = rows()
        transaction.set_rollback(True)
    steps = [table for table in before if before[table] != after[table]]
    assert len(steps) == 14, steps
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
        cursor.execute(FAILS)
        for table in steps:
            when = f"BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW"
            cursor.execute(f"CREATE TRIGGER a_fails {when} EXECUTE FUNCTION fails()")
        for table in steps:
            cursor.execute("SELECT set_config('test.fails', %s, true)", [table])
            with pytest.raises(DatabaseError, match="this step fails"):
                provision_pilot(order=whole, actor=cleo.pk, now=timezone.now(), by_link=True)
            assert rows() == before, table


# --- the tab -------------------------------------------------------------------------------------------------------


def test_a_link_that_was_lost_is_made_anew_and_the_old_one_opens_nothing(sales: Client, cleo: User) -> None:
    page = made_by(sales)
    tab = f"/admin/pilots/{Pilot.objects.get().pk}/handovers"
    old, for_admin = doors_of(page)
    keys, sign_in = Handover.objects.order_by("made_at", "pk")
    shown = sales.post(f"{tab}/{keys.pk}/renew")
    assert "no-store" in shown.headers["Cache-Control"]
    [new] = doors_of(shown)
    assert [Client().get(door).status_code for door in (old, new)] == [404, 200]
    said = words_of(sales.get(tab))
    assert said.count("○ open") == 2
    assert f"by {cleo.username}" in said
    revealed(new)
    assert "Withdrawn" in words_of(sales.post(f"{tab}/{sign_in.pk}/withdraw", follow=True))
    assert Client().get(for_admin).status_code == 404
    said = words_of(sales.get(tab))
    assert "✓ revealed" in said
    assert "− withdrawn" in said
    for act in ("renew", "withdraw"):
        again = sales.post(f"{tab}/{keys.pk}/{act}", follow=True)
        assert "Nothing was changed: it was revealed, withdrawn or wiped meanwhile." in words_of(again)
    acts = AuditEvent.objects.filter(action__startswith="handover.").order_by("at", "pk")
    done = [event.action.partition(".")[2] for event in acts]
    assert done == ["make", "make", "renew", "reveal", "withdraw"]


def test_a_new_key_goes_into_a_link_and_onto_no_page(sales: Client) -> None:
    made_by(sales)
    tab = f"/admin/pilots/{Pilot.objects.get().pk}/handovers"
    sent = form_to(forms_of(sales.get(tab)), f"{tab}/new-key").fields
    shown = sales.post(f"{tab}/new-key", {**sent, "mode": "test"})
    [door] = doors_of(shown)
    [(name, secret)] = revealed(door).items()
    assert name == "Test API key"
    assert Api(secret).get("/wallet").status_code == 200
    again = sales.post(f"{tab}/new-key", {**sent, "mode": "test"}, follow=True)
    assert "Nothing was made now" in words_of(again)
    assert ApiKey.objects.count() == 3
    assert secret not in shown.content.decode() + sales.get(tab).content.decode()
    wrong = sales.post(f"{tab}/new-key", {**sent, "expires_at": "2020-01-01 00:00"})
    assert wrong.status_code == 422
    assert "This is over." in words_of(wrong)


def test_a_password_that_nobody_has_used_is_replaced_and_no_other(sales: Client) -> None:
    old = doors_of(made_by(sales))[1]
    tab = f"/admin/pilots/{Pilot.objects.get().pk}/handovers"
    first = doors_of(sales.post(f"{tab}/new-password"))
    assert Client().get(old).status_code == 404
    lost = revealed(first[0])
    [door] = doors_of(sales.post(f"{tab}/new-password"))
    sign_in = revealed(door)
    assert sign_in["Sign-in name"] == lost["Sign-in name"]
    assert not signs_in(*lost.values())
    assert signs_in(*sign_in.values())
    again = sales.post(f"{tab}/new-password", follow=True)
    assert "Nothing was changed: somebody of theirs has signed in" in words_of(again)
    member(Pilot.objects.get().organization)
    User.objects.filter(username=sign_in["Sign-in name"]).update(last_login=None)
    again = sales.post(f"{tab}/new-password", follow=True)
    assert "somebody of theirs has signed in" in words_of(again), "with another account"
    assert signs_in(*sign_in.values())
    assert AuditEvent.objects.filter(action="person.replace_password").count() == 2


@pytest.mark.owner
def test_nothing_new_is_made_for_a_customer_under_contract(sales: Client) -> None:
    made_by(sales)
    tab = f"/admin/pilots/{Pilot.objects.get().pk}/handovers"
    sent = form_to(forms_of(sales.get(tab)), f"{tab}/new-key").fields
    Organization.objects.update(plan=Plan.ENTERPRISE)
    shown = sales.get(tab)
    assert "under contract: its own administrators make its keys" in words_of(shown)
    assert [form.action for form in forms_of(shown) if "/new-" in form.action] == []
    for act, fields in (("new-key", {**sent, "mode": "live"}), ("new-password", {})):
        refused = sales.post(f"{tab}/{act}", fields, follow=True)
        assert "Nothing was made: this customer is under contract" in words_of(refused)
    assert (ApiKey.objects.count(), Handover.objects.count()) == (2, 2)


def test_who_only_reads_sees_what_was_handed_over_and_no_form(sales: Client) -> None:
    made_by(sales)
    pilot, handover = Pilot.objects.get(), Handover.objects.earliest("pk")
    tab = f"/admin/pilots/{pilot.pk}/handovers"
    for role in ("finance", "auditor"):
        client = staff(role)
        page = client.get(tab)
        assert "○ open" in words_of(page)
        assert not [form for form in forms_of(page) if "/pilots/" in form.action]
        acts = (f"{handover.pk}/renew", f"{handover.pk}/withdraw", "new-key", "new-password")
        refused = [NEW, *(f"{tab}/{act}" for act in acts)]
        assert {client.post(address).status_code for address in refused} == {403}
    other = provision_pilot(order=order(), actor="usr_1", now=timezone.now())
    assert sales.post(f"/admin/pilots/{other.pilot.pk}/handovers/{handover.pk}/renew").status_code == 404
