"""What people do about an endpoint on its page: a test, the switch, a replay, a new secret."""

import json
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from customers.models import AuditEvent, Organization
from tests.factories import Account
from tests.people import member, staff, words_of
from tests.webhooks.page_scenes import (
    LIST,
    State,
    at,
    delivered,
    endpoint_of,
    opened,
    secrets_of,
    sent,
    tell,
    text,
    tried,
)
from tests.webhooks.receivers import Receiver
from webhooks import endpoint_pages
from webhooks.delivery import deliver_due
from webhooks.endpoints import (
    change_endpoint,
    rotate_secret,
    send_test,
)
from webhooks.models import DefaultSecret, Delivery, Endpoint, EventType

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]


# --- acts on an endpoint -------------------------------------------------------------------------------------------


def test_a_test_is_sent_and_its_delivery_is_shown(acme: Organization, receiver: Receiver) -> None:
    endpoint = endpoint_of(acme, receiver.url)
    client = staff("support")
    response = client.post(at(endpoint, "/test"), follow=True)
    delivery = Delivery.objects.get()
    assert response.redirect_chain[0][0] == at(delivery)
    assert "Sent a test." in words_of(response)
    assert "Not tried yet." in words_of(response)
    assert 'hx-trigger="every 2s"' in response.content.decode()
    deliver_due()
    response = client.get(at(delivery))
    page = words_of(response)
    assert "✓ delivered" in page
    assert "200 ✓ taken" in page
    assert "test" in page
    assert "This is a test. Nothing has happened." in page, "it names no credits"
    assert "hx-trigger" not in response.content.decode()
    assert [json.loads(request.body)["event"] for request in receiver.requests] == ["webhook.test"]


def test_an_endpoint_is_disabled_and_enabled(endpoint: Endpoint) -> None:
    tell(endpoint.organization)
    assert "Skips the 1 message that waits, and whatever comes" in text(at(endpoint), "support")
    assert "Disabled." in sent(at(endpoint, "/switch"), {"enabled": "no"})
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert "Enabled. Send a test" in sent(at(endpoint, "/switch"), {"enabled": "yes"})
    endpoint.refresh_from_db()
    assert endpoint.enabled


def mixed(acme: Organization) -> Endpoint:
    """An endpoint with messages that ended in every way, and one that waits."""
    endpoint = endpoint_of(acme, events=["batch.completed", "credits.low"])
    for _ in range(3):
        delivered(tell(acme)[0])
    tried(tell(acme)[0], State.EXHAUSTED)
    low = tell(acme, EventType.CREDITS_LOW, reference="wal_1")[0]
    Delivery.objects.filter(pk=low.pk).update(state=State.SKIPPED, skipped_reason="it was disabled", due_at=None)
    tell(acme)
    tried(send_test(endpoint=endpoint, actor="usr_1", now=timezone.now()), State.EXHAUSTED)
    return endpoint


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({}, 5),
        ({"undelivered": "on"}, 2),
        ({"events": ["credits.low"]}, 1),
        ({"events": ["batch.completed"], "undelivered": "on"}, 1),
        ({"since": "2026-01-01 00:00", "until": "now"}, 5),
        ({"until": "2026-01-01 00:00"}, 0),
    ],
)
def test_a_replay_sends_exactly_what_it_showed(acme: Organization, asked: dict[str, Any], count: int) -> None:
    endpoint, client = mixed(acme), staff("support")
    response = client.get(at(endpoint, "/replay"), {**asked, "see": "1"})
    page = words_of(response)
    before = set(Delivery.objects.filter(state=State.PENDING).values_list("pk", flat=True))
    if not count:
        assert "Nothing to send" in page
        return
    assert f"Replay {count} message" in page
    assert f"Sent again {count} " in page
    assert ("have arrived before" in page) == ("undelivered" not in asked and "credits.low" not in str(asked))
    # What has ended since was not shown, and is not sent.
    late = delivered(tell(acme)[0])
    until = response.context["wanted"].created_before
    assert f'name="until" value="{until:%Y-%m-%d %H:%M:%S.%f}"' in response.content.decode()
    said = sent(at(endpoint, "/replay"), {**asked, "until": f"{until:%Y-%m-%d %H:%M:%S.%f}"}, client)
    assert f"{count} message{' is' if count == 1 else 's are'} sent again" in said
    again = Delivery.objects.filter(state=State.PENDING).exclude(pk__in=before)
    assert again.count() == count
    assert {row.next_trigger for row in again} == {"range"}
    assert late not in again


def test_the_shortcut_counts_everything_undelivered_and_leads_to_its_confirmation(acme: Organization) -> None:
    endpoint, client = mixed(acme), staff("support")
    page = client.get(at(endpoint))
    assert "Replay everything undelivered (2)" in words_of(page)
    assert f'href="{at(endpoint, "/replay")}?see=1&amp;undelivered=on"' in page.content.decode()
    shown = words_of(client.get(f"{at(endpoint, '/replay')}?see=1&undelivered=on"))
    assert "batch.completed ✕ exhausted 1 credits.low − skipped 1 Sent again 2" in shown
    assert "what has not arrived" in shown


def test_what_is_undelivered_is_counted_up_to_a_limit_and_exactly_before_a_replay(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint_pages, "COUNTED_AT_MOST", 2)
    endpoint, client = mixed(acme), staff("support")
    tried(tell(acme)[0], State.EXHAUSTED)
    assert "Replay everything undelivered (at least 2)" in words_of(client.get(at(endpoint)))
    assert "Replay 3 messages" in words_of(client.get(f"{at(endpoint, '/replay')}?see=1&undelivered=on"))


def test_a_replay_arrives(acme: Organization, receiver: Receiver) -> None:
    endpoint = endpoint_of(acme, receiver.url)
    given_up = tried(tell(acme)[0], State.EXHAUSTED)
    sent(at(endpoint, "/replay"), {"undelivered": "on"})
    deliver_due()
    assert [request.headers["webhook-id"] for request in receiver.requests] == [given_up.event_id]
    page = text(at(given_up))
    assert "✓ delivered" in page
    assert "✓ taken" in page
    assert "replay" in page


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"since": "yesterday"}, "Write a time in UTC"),
        ({"since": "2026-11-22", "until": "2026-11-21"}, "This is not before the end."),
        ({"since": "2126-01-01"}, "This is not before the end."),
        ({"events": ["item.failed"]}, "Select a valid choice"),
    ],
)
def test_a_replay_of_nonsense_is_refused_in_words(acme: Organization, asked: dict[str, Any], fault: str) -> None:
    endpoint = mixed(acme)
    before = Delivery.objects.filter(state=State.PENDING).count()
    assert fault in words_of(staff("support").get(at(endpoint, "/replay"), {**asked, "see": "1"}))
    assert fault in sent(at(endpoint, "/replay"), asked)
    assert Delivery.objects.filter(state=State.PENDING).count() == before


def test_a_replay_to_an_address_that_was_changed_says_so(acme: Organization) -> None:
    endpoint = mixed(acme)
    change_endpoint(endpoint=endpoint, actor="usr_1", url="https://example.com/elsewhere")
    page = words_of(staff("support").get(at(endpoint, "/replay"), {"see": "1"}))
    assert "The address was changed" in page


# --- secrets -------------------------------------------------------------------------------------------------------


def test_a_rotated_secret_is_shown_once_and_both_sign(acme: Organization, receiver: Receiver) -> None:
    endpoint, client = endpoint_of(acme, receiver.url), staff("support")
    old = endpoint.secret
    response = client.post(at(endpoint, "/rotate"), opened(client, at(endpoint)))
    endpoint.refresh_from_db()
    assert endpoint.secret != old
    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]
    assert endpoint.secret in words_of(response)
    assert f'data-copy="{endpoint.secret}"' in response.content.decode()
    assert "It is shown this once" in words_of(response)
    assert "The old one signs too until" in words_of(response)
    for page in (LIST, at(endpoint), secrets_of(acme)):
        again = client.get(page).content.decode()
        assert endpoint.secret not in again
        assert old not in again
    assert "the old one signs too until" in words_of(client.get(at(endpoint)))
    tell(acme)
    deliver_due()
    [request] = receiver.requests
    for secret in (old, endpoint.secret):
        assert Webhook(secret).verify(request.body, dict(request.headers))
    assert endpoint.secret not in str(list(AuditEvent.objects.values()))


def test_a_rotation_without_overlap_makes_the_old_secret_useless(endpoint: Endpoint) -> None:
    client = staff("support")
    form = opened(client, at(endpoint)) | {"overlap_hours": "0"}
    assert "The old one signs nothing any more" in sent(at(endpoint, "/rotate"), form, client)
    endpoint.refresh_from_db()
    assert endpoint.previous_secret_encrypted == ""


def test_a_form_that_is_sent_twice_rotates_once(endpoint: Endpoint) -> None:
    client = staff("support")
    for address in (at(endpoint), secrets_of(endpoint.organization)):
        form = opened(client, address)
        assert "It is shown this once" in sent(f"{address}/rotate", form, client)
        said = sent(f"{address}/rotate", form, client)
        assert "Nothing was changed: the secret was rotated after this page was opened" in said
        assert "whsec_" not in said
    assert AuditEvent.objects.filter(action__contains="rotate").count() == 2


@pytest.mark.parametrize("hours", ["-1", "169", "1.5", "a day", ""])
def test_an_overlap_that_is_none_is_refused(endpoint: Endpoint, hours: str) -> None:
    client, before = staff("support"), endpoint.secret_encrypted
    for address in (at(endpoint), secrets_of(endpoint.organization)):
        response = client.post(f"{address}/rotate", opened(client, address) | {"overlap_hours": hours})
        assert "errorlist" in response.content.decode()
    endpoint.refresh_from_db()
    assert endpoint.secret_encrypted == before


def test_two_secrets_sign_at_most_and_the_page_warns_of_it(endpoint: Endpoint) -> None:
    rotate_secret(endpoint=endpoint, overlap_hours=24, actor="usr_1", now=timezone.now())
    assert "Two secrets sign at most" in text(at(endpoint), "support")


def test_the_default_secret_is_rotated_and_shown_once(acme: Organization) -> None:
    old, client = DefaultSecret.objects.get().secret, member(acme, "customer developer")
    response = client.post(secrets_of(acme, "/rotate"), opened(client, secrets_of(acme)))
    new = DefaultSecret.objects.get().secret
    assert new != old
    assert new in words_of(response)
    assert "in both modes" in words_of(response)
    assert "no-store" in response.headers["Cache-Control"]
    page = words_of(client.get(secrets_of(acme)))
    assert "the old one signs too until" in page
    assert "whsec_" not in page


def test_an_organization_without_a_default_secret_is_told_so(account: Account) -> None:
    client = staff("support")
    assert "No default secret" in words_of(client.get(secrets_of(account.organization)))
    form = {"seen": "x", "overlap_hours": "24"}
    assert client.post(secrets_of(account.organization, "/rotate"), form).status_code == 404
