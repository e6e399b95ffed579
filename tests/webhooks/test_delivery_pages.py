"""The log of deliveries, one delivery, and sending it again."""

import json
import re
import subprocess
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from standardwebhooks import Webhook

from batches.events_schemas import (
    EXAMPLE_COMPLETED,
    EXAMPLE_FAILED,
    EXAMPLE_LOW,
    EXAMPLE_STARTED,
    EXAMPLE_SUCCEEDED,
)
from customers.models import Mode, Organization, User
from sora2.canonical import sha256_hex
from tests.factories import Account, make_account
from tests.people import member, staff, words_of
from tests.programs import program
from tests.webhooks.page_scenes import (
    LOG,
    State,
    at,
    delivered,
    endpoint_of,
    now_due,
    sent,
    tell,
    tell_items,
    text,
    tried,
    who,
)
from tests.webhooks.receivers import Receiver
from webhooks import delivery_pages, endpoint_pages
from webhooks.bodies import HIDDEN, body_of
from webhooks.delivery import deliver_due
from webhooks.endpoints import (
    change_endpoint,
    delete_endpoint,
    send_test,
)
from webhooks.models import Delivery, Endpoint, Event

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]


@pytest.fixture
def used(endpoint: Endpoint) -> Endpoint:
    """An endpoint that was told something."""
    delivered(tell(endpoint.organization)[0])
    return endpoint


# --- the log -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {"given up", "arrived", "own", "test", "sandbox", "other"}),
        ({"customer": "glob"}, {"other"}),
        ({"mode": "test"}, {"sandbox"}),
        ({"state": "exhausted"}, {"given up", "test"}),
        ({"state": "exhausted", "event": "all but tests"}, {"given up"}),
        ({"event": "webhook.test"}, {"test"}),
        ({"undelivered": "only", "customer": "Acme"}, {"given up", "own", "test", "sandbox"}),
        ({"state": "skipped"}, set()),
    ],
)
def test_the_log_is_filtered(acme: Organization, query: dict[str, str], shown: set[str]) -> None:
    globex, own = make_account(name="Globex").organization, "https://own.example/hook"
    rows = {
        "own": tell(acme, extra_url=own)[0],
        "sandbox": tell(acme, mode=Mode.TEST, extra_url=own)[0],
        "other": tell(globex, extra_url=own)[0],
    }
    endpoint = endpoint_of(acme)
    rows["given up"] = tried(tell(acme)[0], State.EXHAUSTED)
    rows["arrived"] = delivered(tell(acme)[0])
    rows["test"] = tried(send_test(endpoint=endpoint, actor="usr_1", now=timezone.now()), State.EXHAUSTED)
    response = staff().get(LOG, query)
    known = {row.pk: name for name, row in rows.items()}
    assert {known[row.carried.delivery.pk] for row in response.context["found"].rows} == shown
    assert ("No delivery fits these filters" in words_of(response)) == (not shown)


def test_the_log_is_filtered_by_endpoint_batch_and_event(acme: Organization) -> None:
    endpoint = endpoint_of(acme, events=["batch.completed", "item.succeeded"])
    other = endpoint_of(acme, "https://example.com/other")
    tell(acme)
    tell_items(acme, "bat_1", 2)
    first, second = tell(acme, reference="bat_1")
    items = {delivery.pk for delivery in Delivery.objects.filter(event__type="item.succeeded")}
    client = staff()

    def shown(**query: str) -> set[str]:
        return {row.carried.delivery.pk for row in client.get(LOG, query).context["found"].rows}

    assert shown(about="bat_1") == {first.pk, second.pk, *items}
    assert shown(about="bat_1", event="item.succeeded") == items
    assert shown(about=first.event_id) == {first.pk, second.pk}
    assert shown(about=first.event_id, endpoint=other.pk) == {second.pk}
    assert len(shown(endpoint=endpoint.pk)) == 4
    assert shown(about="bat_\0none") == set()


def test_the_log_says_what_came_of_each(acme: Organization) -> None:
    endpoint = endpoint_of(acme)
    tried(tell(acme)[0], State.PENDING)
    tried(tell(acme)[0], State.EXHAUSTED, code=None, error="connection_refused")
    skipped = tell(acme)[0]
    Delivery.objects.filter(pk=skipped.pk).update(state=State.SKIPPED, due_at=None, skipped_reason="it was disabled")
    page = text(LOG)
    delivered(tell(acme)[0])
    page = text(LOG)
    assert "◑ retrying HTTP 503: service unavailable" in page
    assert "✕ exhausted connection refused: nobody listens there" in page
    assert "✓ delivered HTTP 200" in page
    assert "− skipped it was disabled" in page
    assert f'href="{at(endpoint)}"' in staff().get(LOG).content.decode()


def test_the_deliveries_are_paged(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_pages, "DELIVERIES_SHOWN", 2)
    monkeypatch.setattr(endpoint_pages, "DELIVERIES_SHOWN", 2)
    endpoint, client = endpoint_of(acme), staff()
    made = [tell(acme)[0].pk for _ in range(3)]
    for address in (LOG, at(endpoint)):
        first = rows_of(client, address)
        second = rows_of(client, address, after=first.page.next)
        assert [row.carried.delivery.pk for row in (*first.rows, *second.rows)] == made[::-1]


def rows_of(client: Client, address: str, **query: Any) -> delivery_pages.Log:
    found = client.get(address, query).context["found"]
    log: delivery_pages.Log = getattr(found, "log", found)
    return log


def test_without_deliveries_the_log_says_what_will_be_there(account: Account) -> None:
    assert "No deliveries yet" in text(LOG)


# --- a delivery ----------------------------------------------------------------------------------------------------


def test_a_delivery_shows_what_is_sent_and_every_attempt_in_words(acme: Organization) -> None:
    endpoint_of(acme)
    delivery = tell(acme)[0]
    for code, error in ((302, ""), (500, ""), (None, "timeout"), (None, "worker_lost"), (200, "connection_reset")):
        delivery = tried(delivery, State.PENDING, code=code, error=error, response="<b>oops</b>" * 40)
    page = text(at(delivery))
    assert "◑ retrying" in page
    assert "302 redirects are not followed 42 automatic" in page
    assert "500 internal server error" in page
    assert "– no whole answer within 20 seconds" in page
    assert "our worker died: it may have arrived or not" in page
    assert "200 the connection broke off" in page
    assert "<b>oops</b>" in page
    assert delivery.event.body in page
    assert str(int(delivery.attempts.latest("number").at.timestamp())) in page
    assert "Next attempt" in page


@pytest.mark.parametrize("role", ["support", "customer developer"])
def test_who_sees_no_credits_sees_the_body_without_them_and_no_command_with_it(used: Endpoint, role: str) -> None:
    delivery, client = Delivery.objects.get(), who(role, used.organization)
    page = client.get(at(delivery))
    assert '"credits": •••' in words_of(page)
    assert "it's 100 % 🎬" in words_of(page)
    assert "Figures of credits are hidden here" in words_of(page)
    assert "31337" not in page.content.decode()
    assert sha256_hex(delivery.event.body) not in page.content.decode(), "a few figures could be guessed from it"
    assert "RECEIVER" not in page.content.decode()


def test_of_every_event_the_figures_of_credits_are_hidden_and_the_counts_are_not(acme: Organization) -> None:
    developer = User.objects.get(pk=member(acme, "customer developer").session["_auth_user_id"]).access()
    for example in (EXAMPLE_STARTED, EXAMPLE_COMPLETED, EXAMPLE_SUCCEEDED, EXAMPLE_FAILED, EXAMPLE_LOW):
        event = Event(type=example["event"], body=json.dumps({**example, "of_tomorrow": [7919, 1.5]}))
        said = json.loads(re.sub(HIDDEN, '"hidden"', body_of(developer, event).lines))
        assert said["of_tomorrow"] == ["hidden", "hidden"]
        assert said.get("summary") == example.get("summary")
        assert set(said.get("ledger", {"": "hidden"}).values()) == {"hidden"}
        assert said.get("item", {}).get("credits", "hidden") == "hidden"
        assert said.get("available", "hidden") == said.get("threshold", "hidden") == "hidden"
        assert (said["event_id"], said["livemode"]) == (example["event_id"], True)


def test_the_whole_answer_can_be_opened(acme: Organization) -> None:
    endpoint_of(acme)
    delivery = tried(tell(acme)[0], State.PENDING, response="no " * 400 + "at all")
    page = text(at(delivery))
    assert "All 1,206 characters" in page
    assert "no no at all" in page


def test_a_customers_person_filters_by_their_endpoints(acme: Organization) -> None:
    first, second = endpoint_of(acme), endpoint_of(acme, "https://example.com/second")
    endpoint_of(make_account(name="Stranger").organization, "https://stranger.example/hook")
    delete_endpoint(endpoint=second, actor="usr_1", now=timezone.now())
    client = member(acme, "customer developer")
    assert client.get(LOG).context["choices"] == [first]
    assert client.get(LOG, {"endpoint": second.pk}).context["choices"] == [first, second]
    assert staff().get(LOG).context["choices"] == []


def test_what_is_named_is_found_in_either_mode_wherever_the_switch_stands(acme: Organization) -> None:
    endpoint = endpoint_of(acme, mode=Mode.TEST)
    delivery, client = tell(acme, mode=Mode.TEST)[0], member(acme, "customer developer")
    found = {
        name: [row.carried.delivery for row in client.get(LOG, query).context["found"].rows]
        for name, query in {
            "nothing": {},
            "endpoint": {"endpoint": endpoint.pk},
            "batch": {"about": delivery.event.reference},
            "event": {"about": delivery.event_id},
        }.items()
    }
    assert found == {"nothing": [], "endpoint": [delivery], "batch": [delivery], "event": [delivery]}


def test_the_copied_command_posts_the_exact_body_signed_by_the_readers_secret(
    acme: Organization, receiver: Receiver
) -> None:
    for each in ("curl", "openssl"):
        program(each, package=each)
    endpoint = endpoint_of(acme)
    delivery = delivered(tell(acme)[0])
    page = staff().get(at(delivery))
    command = page.context["found"].body.curl
    assert "whsec_" not in command.replace("#whsec_", "")
    assert endpoint.secret not in page.content.decode()
    environment = {"PATH": "/usr/bin:/bin", "RECEIVER": receiver.url, "WEBHOOK_SECRET": endpoint.secret}
    subprocess.run(["sh", "-c", command], env=environment, check=True, timeout=20)
    [request] = receiver.requests
    assert request.body == delivery.event.body.encode()
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == delivery.event_id
    assert Webhook(endpoint.secret).verify(request.body, dict(request.headers))
    assert subprocess.run(["sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, timeout=20).returncode != 0


@pytest.mark.parametrize("state", [State.DELIVERED, State.EXHAUSTED, State.SKIPPED])
def test_an_ended_delivery_is_sent_again(acme: Organization, receiver: Receiver, state: str) -> None:
    endpoint_of(acme, receiver.url)
    delivery = tell(acme)[0]
    if state == State.SKIPPED:
        Delivery.objects.filter(pk=delivery.pk).update(state=state, due_at=None, skipped_reason="it was disabled")
    else:
        tried(delivery, state, code=200 if state == State.DELIVERED else 503)
    assert "Redeliver" in text(at(delivery), "support")
    assert ("once more, under the same webhook-id" in text(at(delivery), "support")) == (state == State.DELIVERED)
    assert "It is sent again." in sent(at(delivery, "/redeliver"))
    deliver_due()
    assert len(receiver.requests) == 1
    page = text(at(delivery))
    assert "✓ delivered" in page
    assert "by hand" in page


def test_what_waits_is_sent_now_and_a_pause_ends(endpoint: Endpoint) -> None:
    delivery = tried(tell(endpoint.organization)[0], State.PENDING)
    until = timezone.now() + timedelta(minutes=9)
    Endpoint.objects.filter(pk=endpoint.pk).update(paused_until=until)
    page = text(at(delivery), "support")
    assert "Send now" in page
    assert re.search(f"Next attempt (....-..-.. )?{until:%H:%M:%S} UTC", page)
    assert "‖ The endpoint is paused until" in page
    sent(at(delivery, "/redeliver"))
    assert now_due(delivery)
    endpoint.refresh_from_db()
    assert endpoint.paused_until is None


def test_what_is_under_way_is_not_sent_twice(endpoint: Endpoint) -> None:
    delivery = tell(endpoint.organization)[0]
    lease, due_at = "00000000-0000-4000-8000-000000000001", timezone.now() + timedelta(seconds=35)
    Delivery.objects.filter(pk=delivery.pk).update(lease=lease, due_at=due_at)
    page = text(at(delivery), "support")
    assert "◐ sending" in page
    assert "An attempt is under way." in page
    assert "Send now" not in page
    assert "An attempt is under way already." in sent(at(delivery, "/redeliver"))
    delivery.refresh_from_db()
    assert delivery.due_at == due_at


def test_nothing_is_redelivered_to_a_disabled_endpoint(used: Endpoint) -> None:
    change_endpoint(endpoint=used, actor="usr_1", enabled=False)
    delivery = Delivery.objects.get()
    page = text(at(delivery), "support")
    assert "The endpoint is disabled (the endpoint was switched off)" in page
    assert "Redeliver" not in page
    assert "Nothing was sent: its endpoint is disabled." in sent(at(delivery, "/redeliver"))
    delivery.refresh_from_db()
    assert delivery.state == State.DELIVERED
