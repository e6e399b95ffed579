"""Endpoints made, changed and deleted on their pages, by whoever may, for whom they may."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings
from standardwebhooks import Webhook

from customers.models import AuditEvent, Membership, Organization, User
from tests.factories import make_account
from tests.markup import form_to, forms_of
from tests.people import member, signed_in, staff, words_of
from tests.programs import NODE_MODULES, node
from tests.webhooks.page_scenes import LIST, LOG, State, at, delivered, endpoint_of, tell, who
from tests.webhooks.receivers import Receiver
from webhooks import endpoints
from webhooks.delivery import deliver_due, skip_disabled
from webhooks.endpoints import change_endpoint, delete_endpoint
from webhooks.models import Delivery, Endpoint, Sink
from webhooks.signing import new_secret, signature_headers
from webhooks.snippets import RECEIVERS

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

NEW = "/admin/webhooks/endpoints/new"
URL = "https://example.com/hook"
WRITERS = ["support", "customer admin", "customer developer"]


def filled(client: Client, query: str = "", **said: Any) -> dict[str, Any]:
    """Return the form of a new endpoint as the page gives it, with what a person says."""
    fields = form_to(forms_of(client.get(NEW + query)), NEW).fields
    return {**fields, "url": URL, "events": ["batch.completed"], **said}


# --- a new one -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", WRITERS)
def test_an_endpoint_is_made_and_its_secret_shown_this_once(acme: Organization, receiver: Receiver, role: str) -> None:
    client = who(role, acme)
    said = {"url": receiver.url, "events": ["batch.completed", "credits.low"], "description": "our shop"}
    response = client.post(NEW, filled(client, f"?organization={acme.pk}", **said))
    endpoint, page = Endpoint.objects.get(), words_of(response)
    assert (endpoint.organization, endpoint.mode, endpoint.url) == (acme, "live", receiver.url)
    assert (endpoint.events, endpoint.description) == (["batch.completed", "credits.low"], "our shop")
    assert "no-store" in response.headers["Cache-Control"]
    assert page.count(endpoint.secret) == 1
    assert "It is shown this once" in page
    for address in (at(endpoint), at(endpoint, "/change"), LIST):
        assert endpoint.secret not in client.get(address).content.decode()
    form = form_to(forms_of(response), at(endpoint, "/test"))
    assert "Sent a test." in words_of(client.post(form.action, form.fields, follow=True))
    deliver_due()
    assert Webhook(endpoint.secret).verify(receiver.requests[0].body, dict(receiver.requests[0].headers))
    [event] = AuditEvent.objects.filter(action="webhook_endpoint.create", subject=endpoint.pk)
    assert event.actor.startswith("usr_")
    assert endpoint.secret not in str(event.detail)


def test_the_form_starts_in_the_mode_of_the_switch_and_keeps_it(acme: Organization) -> None:
    client = member(acme, "customer developer")
    client.post("/admin/mode", {"mode": "test"})
    assert "Create the TEST endpoint" in words_of(client.get(NEW))
    form = filled(client)
    client.post("/admin/mode", {"mode": "live"})
    client.post(NEW, form)
    assert Endpoint.objects.get().mode == "test"


def test_the_other_mode_is_a_button_away_and_what_was_typed_stays(acme: Organization) -> None:
    client = member(acme, "customer admin")
    response = client.post(NEW, filled(client, url="https://half", events=["credits.low"], instead="test"))
    assert "Create the TEST endpoint" in words_of(response)
    assert "errorlist" not in response.content.decode()
    form = form_to(forms_of(response), NEW).fields
    assert (form["url"], form["events"], form["mode"]) == ("https://half", "credits.low", "test")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"url": "http://example.com/hook"}, "The address must begin with https://"),
        ({"url": "https://10.0.0.1/hook"}, "The address must name a server on the public internet."),
        ({"url": ""}, "Write the address of your receiver."),
        ({"events": []}, "Choose at least one event."),
        ({"events": ["batch.exploded"]}, "Select a valid choice."),
        ({"description": "x" * 201}, "at most 200 characters"),
        ({"mode": "both"}, "Select a valid choice."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_typed_is_lost(acme: Organization, said: dict[str, Any], fault: str) -> None:
    client = member(acme, "customer developer")
    response = client.post(NEW, filled(client, **{"description": "our shop", **said}))
    assert fault in words_of(response)
    shown = form_to(forms_of(response), NEW).fields
    for name, value in {"url": URL, "description": "our shop", **said}.items():
        assert name in ("events", "mode") or shown[name] == value
    assert not Endpoint.objects.exists()


def test_a_form_that_is_sent_twice_makes_one_and_says_where_it_is(acme: Organization) -> None:
    client = member(acme, "customer developer")
    form = filled(client)
    assert client.post(NEW, form).status_code == 200
    response = client.post(NEW, form)
    endpoint = Endpoint.objects.get()
    assert "There is an endpoint at this address already. No second one was made." in words_of(response)
    assert "its secret was shown once" in words_of(response)
    assert f'href="{at(endpoint)}"' in response.content.decode()
    assert "whsec_" not in response.content.decode()


def test_the_limit_is_said(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "ENDPOINTS_MOST", 1)
    endpoint_of(acme, "https://example.com/first")
    client = member(acme, "customer admin")
    assert "as many as there may be. Delete one of them first." in words_of(client.post(NEW, filled(client)))
    assert Endpoint.objects.count() == 1


def test_whoever_belongs_to_several_customers_chooses_among_them_alone(acme: Organization) -> None:
    second, stranger = (make_account(name=name).organization for name in ("Second", "Stranger"))
    user = User.objects.create_user(username="both")
    for organization in (acme, second):
        Membership.objects.create(user=user, organization=organization, role="customer admin")
    client = signed_in(user)
    assert filled(client, f"?organization={second.pk}")["customer"] == second.pk
    assert "Select a valid choice." in words_of(client.post(NEW, filled(client, customer=stranger.pk)))
    client.post(NEW, filled(client, customer=second.pk))
    assert Endpoint.objects.get().organization == second


def test_one_customers_person_makes_none_for_another(acme: Organization) -> None:
    stranger = make_account(name="Stranger").organization
    client = member(acme, "customer admin")
    client.post(NEW, filled(client, customer=stranger.pk, organization=stranger.pk))
    assert Endpoint.objects.get().organization == acme


def test_staff_name_the_customer(acme: Organization) -> None:
    client = staff("support")
    for customer, fault in (("", "Say for which customer."), ("Nobody", "There is no customer with this id or name.")):
        assert fault in words_of(client.post(NEW, filled(client, customer=customer)))
    client.post(NEW, filled(client, customer="acme"))
    assert Endpoint.objects.get().organization == acme


def test_the_empty_lists_lead_to_the_form_for_who_may(acme: Organization) -> None:
    for role, may in (("customer developer", True), ("customer finance", False)):
        client = member(acme, role)
        for address in (LIST, LOG):
            assert (NEW in client.get(address).content.decode()) == may


def test_the_programs_beside_a_new_secret_verify_a_message(tmp_path: Path) -> None:
    secret, body = new_secret(), '{"event": "webhook.test", "note": "größe 🎬"}'
    headers = signature_headers(event_id="evt_1", body=body, secrets=[secret], at=timezone.now())
    python, javascript = (snippet.text for snippet in RECEIVERS)
    call = f"\nimport sys, json\nprint(json.dumps(event_of({headers!r}, sys.stdin.buffer.read())))\n"
    (tmp_path / "receive.py").write_text(python + call)
    call = (
        f"\nconst parts = [];\nfor await (const part of process.stdin) parts.push(part);\n"
        f"console.log(JSON.stringify(eventOf({json.dumps(headers)}, Buffer.concat(parts))));\n"
    )
    (tmp_path / "receive.mjs").write_text(javascript + call)
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    for command in ([sys.executable, "receive.py"], [node(), "receive.mjs"]):
        right, wrong = (
            subprocess.run(
                command,
                cwd=tmp_path,
                input=body.encode(),
                env={"WEBHOOK_SECRET": known},
                capture_output=True,
                timeout=60,
            )
            for known in (secret, new_secret())
        )
        assert json.loads(right.stdout) == json.loads(body), right.stderr
        assert wrong.returncode != 0


def test_in_test_mode_an_address_of_ours_stands_in_for_a_receiver(acme: Organization, settings: Settings) -> None:
    settings.PUBLIC_BASE_URL, settings.WEBHOOK_SINK_ENABLED = "https://api.example.com", True
    client = member(acme, "customer developer")
    assert "at an address of ours" not in words_of(client.get(NEW)), "in live mode"
    form = filled(client, "?mode=test", url="", sink="yes")
    response = client.post(NEW, form)
    sink = Sink.objects.get()
    assert (sink.endpoint.organization, sink.endpoint.mode) == (acme, "test")
    assert f"/admin/sinks/{sink.token}" in response.content.decode()
    assert sink.endpoint.secret in words_of(response)
    assert AuditEvent.objects.get(action="webhook_endpoint.create").actor.startswith("usr_")
    assert "There is an endpoint at this address already." in words_of(client.post(NEW, form)), "one is enough"
    for refused in ({**form, "mode": "live"}, form):
        settings.WEBHOOK_SINK_ENABLED = refused["mode"] == "live"
        assert "Write the address of your receiver." in words_of(client.post(NEW, refused))
    assert Endpoint.objects.count() == 1


# --- a change ------------------------------------------------------------------------------------------------------


def change_form(client: Client, endpoint: Endpoint, what: str, value: Any) -> dict[str, Any]:
    """Return one of the forms of the page that changes an endpoint, with a new value."""
    (form,) = (form.fields for form in forms_of(client.get(at(endpoint, "/change"))) if form.fields.get("what") == what)
    return {**form, "value": value}


@pytest.mark.parametrize("role", WRITERS)
@pytest.mark.parametrize(
    ("what", "value"),
    [("url", "https://example.com/new"), ("events", ["batch.started", "credits.low"]), ("description", "the new shop")],
)
def test_one_thing_is_changed_and_the_rest_stays(acme: Organization, role: str, what: str, value: Any) -> None:
    endpoint, client = endpoint_of(acme, description="our shop"), who(role, acme)
    before = {name: getattr(endpoint, name) for name in ("url", "events", "description")}
    response = client.post(at(endpoint, "/change"), change_form(client, endpoint, what, value), follow=True)
    assert response.redirect_chain[0][0] == at(endpoint)
    assert "changed" in words_of(response)
    endpoint.refresh_from_db()
    assert {name: getattr(endpoint, name) for name in before} == {**before, what: value}
    [event] = AuditEvent.objects.filter(action="webhook_endpoint.change")
    assert event.detail["new"] == {what: value}


def test_what_waits_follows_the_address(acme: Organization, receiver: Receiver) -> None:
    endpoint, client = endpoint_of(acme), member(acme, "customer developer")
    tell(acme)
    assert "The 1 message that waits for it goes to the new address" in words_of(client.get(at(endpoint, "/change")))
    client.post(at(endpoint, "/change"), change_form(client, endpoint, "url", receiver.url))
    deliver_due()
    assert len(receiver.requests) == 1


def test_a_change_in_another_window_is_not_lost(acme: Organization) -> None:
    endpoint, client = endpoint_of(acme, description="first"), member(acme, "customer developer")
    form = change_form(client, endpoint, "description", "mine")
    change_endpoint(endpoint=endpoint, actor="usr_other", description="theirs", events=["credits.low"])
    response = client.post(at(endpoint, "/change"), form)
    assert "somebody has changed it since you opened this page, to: theirs." in words_of(response)
    endpoint.refresh_from_db()
    assert endpoint.description == "theirs"
    # What was typed is still there; sent again it is meant.
    (again,) = (form.fields for form in forms_of(response) if form.fields.get("what") == "description")
    assert again["value"] == "mine"
    client.post(at(endpoint, "/change"), again)
    endpoint.refresh_from_db()
    assert (endpoint.description, endpoint.events) == ("mine", ["credits.low"])


def test_events_changed_in_another_window_are_shown(acme: Organization) -> None:
    endpoint, client = endpoint_of(acme), member(acme, "customer developer")
    form = change_form(client, endpoint, "events", ["batch.started"])
    change_endpoint(endpoint=endpoint, actor="usr_other", events=["credits.low"])
    response = client.post(at(endpoint, "/change"), form)
    assert "to: credits.low." in words_of(response)
    (again,) = (form.fields for form in forms_of(response) if form.fields.get("what") == "events")
    assert again["value"] == "batch.started"


def test_a_change_that_is_sent_twice_is_made_once(acme: Organization) -> None:
    endpoint, client = endpoint_of(acme), member(acme, "customer developer")
    form = change_form(client, endpoint, "description", "mine")
    for _ in range(2):
        assert "The description is changed." in words_of(client.post(at(endpoint, "/change"), form, follow=True))
    assert AuditEvent.objects.filter(action="webhook_endpoint.change").count() == 1


@pytest.mark.parametrize(
    ("what", "value", "fault"),
    [
        ("url", "http://example.com", "The address must begin with https://"),
        ("url", "https://example.com/taken", "There is an endpoint at this address already. Nothing was changed."),
        ("events", [], "Choose at least one event."),
        ("description", "x" * 201, "at most 200 characters"),
    ],
)
def test_a_change_that_cannot_be_is_refused_in_words(acme: Organization, what: str, value: Any, fault: str) -> None:
    endpoint, client = endpoint_of(acme), member(acme, "customer developer")
    endpoint_of(acme, "https://example.com/taken")
    response = client.post(at(endpoint, "/change"), change_form(client, endpoint, what, value))
    assert fault in words_of(response)
    assert not AuditEvent.objects.filter(action="webhook_endpoint.change").exists()
    if isinstance(value, str):
        assert value in response.content.decode()


def test_a_form_without_a_field_changes_nothing(acme: Organization) -> None:
    endpoint, client = endpoint_of(acme), member(acme, "customer developer")
    for form in ({}, {"what": "enabled", "value": "", "seen": ""}):
        assert client.post(at(endpoint, "/change"), form).status_code == 200
    assert not AuditEvent.objects.filter(action="webhook_endpoint.change").exists()


# --- the end -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", WRITERS)
def test_deleting_says_what_it_does_and_does_that(acme: Organization, role: str) -> None:
    endpoint, client = endpoint_of(acme), who(role, acme)
    delivered(tell(acme)[0])
    waiting = tell(acme)[0]
    page = words_of(client.get(at(endpoint, "/delete")))
    assert "1 message waits for it, and is skipped." in page
    assert "Its deliveries stay on record: 2." in page
    assert Endpoint.objects.present().exists(), "it was only looked at"
    response = client.post(at(endpoint, "/delete"), follow=True)
    assert "Deleted. Nothing is sent to it any more" in words_of(response)
    skip_disabled(now=timezone.now())
    waiting.refresh_from_db()
    assert (waiting.state, Delivery.objects.count()) == (State.SKIPPED, 2)
    assert AuditEvent.objects.filter(action="webhook_endpoint.delete", subject=endpoint.pk).count() == 1
    assert "It was deleted before" in words_of(client.post(at(endpoint, "/delete"), follow=True))
    assert AuditEvent.objects.filter(action="webhook_endpoint.delete").count() == 1


def test_what_is_deleted_is_neither_changed_nor_deleted_again(acme: Organization) -> None:
    endpoint, client = endpoint_of(acme), member(acme, "customer admin")
    form = change_form(client, endpoint, "description", "mine")
    delete_endpoint(endpoint=endpoint, actor="usr_1", now=timezone.now())
    assert client.get(at(endpoint, "/change")).status_code == 404
    assert client.post(at(endpoint, "/change"), form).status_code == 404
    assert client.get(at(endpoint, "/delete")).status_code == 404
    assert "/change" not in client.get(at(endpoint)).content.decode()


# --- who -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["/change", "/delete"])
def test_who_may_only_look_is_refused_and_another_customer_finds_nothing(acme: Organization, act: str) -> None:
    endpoint = endpoint_of(acme)
    stranger = member(make_account(name="Stranger").organization, "customer admin")
    for method in ("get", "post"):
        assert getattr(stranger, method)(at(endpoint, act)).status_code == 404
        for role in ("auditor", "finance", "customer finance"):
            assert getattr(who(role, acme), method)(at(endpoint, act)).status_code == 403
            assert getattr(who(role, acme), method)(NEW).status_code == 403
    endpoint.refresh_from_db()
    assert endpoint.enabled
