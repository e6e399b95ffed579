"""The pages of webhooks: who sees and does what, how endpoints do in words, batches and home."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone

from customers.models import AuditEvent, Membership, Mode, Organization, User
from sora2.ids import new_id
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, superuser, words_of
from tests.webhooks.page_scenes import (
    LIST,
    LOG,
    State,
    at,
    delivered,
    endpoint_of,
    queries_of,
    secrets_of,
    sent,
    tell,
    tell_items,
    text,
    tried,
    who,
)
from webhooks import endpoint_pages
from webhooks.endpoints import (
    change_endpoint,
    create_default_secret,
    delete_endpoint,
    send_test,
)
from webhooks.models import DefaultSecret, Delivery, Endpoint, EventType, Notice
from webhooks.rotation import seen_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("loopback")]

READERS = ("finance", "finance approver", "sales ops", "auditor", "customer finance")
WRITERS = ("support", "customer admin", "customer developer")


@pytest.fixture
def acme(account: Account) -> Organization:
    create_default_secret(organization=account.organization)
    return account.organization


@pytest.fixture
def endpoint(acme: Organization) -> Endpoint:
    return endpoint_of(acme)


# --- who -----------------------------------------------------------------------------------------------------------


def pages_of(endpoint: Endpoint) -> list[str]:
    delivery = Delivery.objects.filter(endpoint=endpoint).latest("pk")
    return [LIST, LOG, at(endpoint), at(delivery), secrets_of(endpoint.organization)]


def acts_of(endpoint: Endpoint) -> dict[str, dict[str, str]]:
    """Return the address of each act, with a form that would do it."""
    delivery = Delivery.objects.filter(endpoint=endpoint).latest("pk")
    seen = {"seen": seen_of(endpoint), "overlap_hours": "24"}
    row = DefaultSecret.objects.get(organization=endpoint.organization)
    return {
        at(delivery, "/redeliver"): {},
        at(endpoint, "/test"): {},
        at(endpoint, "/replay"): {"undelivered": "on"},
        at(endpoint, "/rotate"): seen,
        secrets_of(endpoint.organization, "/rotate"): {**seen, "seen": seen_of(row)},
        at(endpoint, "/switch"): {"enabled": "no"},
    }


@pytest.fixture
def used(endpoint: Endpoint) -> Endpoint:
    """An endpoint that was told something."""
    delivered(tell(endpoint.organization)[0])
    return endpoint


@pytest.mark.parametrize("role", READERS)
def test_who_only_reads_sees_every_page_and_is_offered_and_granted_no_act(used: Endpoint, role: str) -> None:
    client = who(role, used.organization)
    shown = {page: client.get(page) for page in pages_of(used)}
    assert {page: response.status_code for page, response in shown.items()} == dict.fromkeys(shown, 200)
    for page, response in shown.items():
        acts = ("Redeliver", "Send a test", "Replay everything", "Replay a period", "Disable", "Rotate the secret")
        assert not [act for act in acts if act in words_of(response)], page
    assert {client.post(act, form).status_code for act, form in acts_of(used).items()} == {403}
    assert client.get(at(used, "/replay")).status_code == 403
    assert_unchanged(used)


@pytest.mark.parametrize("role", WRITERS)
def test_who_writes_sees_every_page_and_does_every_act(used: Endpoint, role: str) -> None:
    client = who(role, used.organization)
    assert {client.get(page).status_code for page in [*pages_of(used), at(used, "/replay")]} == {200}
    answers = {act.rpartition("/")[2]: client.post(act, form).status_code for act, form in acts_of(used).items()}
    assert answers == {"redeliver": 302, "test": 302, "replay": 302, "rotate": 200, "switch": 302}
    done = set(AuditEvent.objects.filter(action__contains="webhook").values_list("action", flat=True))
    assert done >= {"webhook_delivery.redeliver", "webhook_endpoint.replay", "webhook_endpoint.rotate_secret"}


def test_staff_without_a_role_and_strangers_see_and_do_nothing(used: Endpoint) -> None:
    assert {staff("").get(page).status_code for page in pages_of(used)} == {403}
    assert {staff("").post(act, form).status_code for act, form in acts_of(used).items()} == {403}
    assert {Client().get(page).status_code for page in pages_of(used)} == {302}
    assert {Client().post(act, form).status_code for act, form in acts_of(used).items()} == {302}
    assert "Webhooks" not in words_of(staff("").get("/admin/"))
    assert_unchanged(used)


def test_an_act_needs_the_token_against_forged_requests_and_a_post(used: Endpoint) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser(username="root"))
    assert {client.post(act, form).status_code for act, form in acts_of(used).items()} == {403}
    acts = [act for act in acts_of(used) if not act.endswith("/replay")]
    assert {superuser().get(act).status_code for act in acts} == {405}
    assert_unchanged(used)


@pytest.mark.parametrize("role", Membership.Role.values)
def test_nothing_of_another_organization_is_reachable(used: Endpoint, role: str) -> None:
    stranger = member(make_account(name="Globex").organization, role)
    of_one = pages_of(used)[2:]
    assert {stranger.get(page).status_code for page in of_one} == {404}
    assert {stranger.post(act, form).status_code for act, form in acts_of(used).items()} <= {403, 404}
    for page in (
        *(LIST, LOG, "/admin/"),
        f"{LIST}?customer=Acme",
        f"{LOG}?customer={used.organization_id}",
        f"{LOG}?endpoint={used.pk}",
        f"{LOG}?about={Delivery.objects.get().event.reference}",
        f"{LOG}?about={Delivery.objects.get().event_id}",
    ):
        words = words_of(stranger.get(page)).replace(settings.SUPPORT_EMAIL, "")
        assert "example.com" not in words, page
        assert "Acme" not in words.replace("Customer Acme", ""), page
    assert_unchanged(used)


def test_what_is_not_there_is_said(used: Endpoint) -> None:
    client = superuser()
    nothing = [f"{LIST}endpoints/{new_id('whe')}", f"{LOG}{new_id('dlv')}", f"{LIST}secrets/{new_id('org')}"]
    assert {client.get(page).status_code for page in nothing} == {404}
    assert {client.post(f"{nothing[0]}/{act}").status_code for act in ("test", "switch", "replay", "rotate")} == {404}
    assert client.post(f"{nothing[1]}/redeliver").status_code == 404
    assert client.post(f"{nothing[2]}/rotate", {"seen": "x", "overlap_hours": "1"}).status_code == 404


def assert_unchanged(endpoint: Endpoint) -> None:
    assert {delivery.state for delivery in Delivery.objects.all()} == {State.DELIVERED}
    again = Endpoint.objects.get(pk=endpoint.pk)
    assert (again.enabled, again.secret_encrypted) == (True, endpoint.secret_encrypted)
    assert DefaultSecret.objects.get().previous_secret_until is None
    assert not AuditEvent.objects.filter(actor__startswith="usr_", action__contains="webhook").exists()


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_endpoint_with_its_state_and_its_figures(acme: Organization) -> None:
    now = timezone.now()
    endpoint_of(acme, "https://good.example/hook", events=["batch.completed", "credits.low"])
    delivered(tell(acme)[0])
    endpoint_of(acme, "https://bad.example/hook", failing_since=now, paused_until=now + timedelta(minutes=4))
    tried(tell(acme)[1], State.PENDING)
    endpoint_of(acme, "https://off.example/hook", enabled=False, disabled_reason="the receiver answered 410 Gone")
    page = text(LIST)
    assert "✓ healthy Acme batch.completed, credits.low 100 % of 1 42 / 42 1 now" in page
    assert "✕ failing ‖ paused since" in page
    assert "0 % of 1 42 / 42 1" in page
    assert "○ disabled the receiver answered 410 Gone" in page
    assert "✕ 1 failing" in page
    assert "3 endpoints · 1 failing, or disabled for it" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, {"good", "bad", "off", "gone", "paused", "other", "test"}),
        ({"state": "failing"}, {"bad", "gone", "paused"}),
        ({"state": "paused"}, {"paused"}),
        ({"state": "disabled"}, {"off", "gone"}),
        ({"state": "healthy"}, {"good", "other", "test"}),
        ({"state": "deleted"}, {"deleted"}),
        ({"state": "no such"}, set()),
        ({"mode": "test"}, {"test"}),
        ({"customer": "glob"}, {"other"}),
        ({"customer": "Acme", "state": "healthy", "mode": "live"}, {"good"}),
    ],
)
def test_the_list_is_filtered_by_state_mode_and_customer(
    acme: Organization, query: dict[str, str], shown: set[str]
) -> None:
    now = timezone.now()
    endpoint_of(acme, "https://good.example/hook")
    endpoint_of(acme, "https://bad.example/hook", failing_since=now)
    endpoint_of(acme, "https://paused.example/hook", failing_since=now, paused_until=now + timedelta(minutes=1))
    endpoint_of(acme, "https://off.example/hook", enabled=False, disabled_reason="the endpoint was switched off")
    endpoint_of(acme, "https://gone.example/hook", enabled=False, disabled_reason="gone", failing_since=now)
    endpoint_of(acme, "https://test.example/hook", mode=Mode.TEST)
    endpoint_of(make_account(name="Globex").organization, "https://other.example/hook")
    delete_endpoint(endpoint=endpoint_of(acme, "https://deleted.example/hook"), actor="usr_1", now=now)
    response = staff().get(LIST, query)
    assert {row.endpoint.url.split(".")[0].removeprefix("https://") for row in response.context["found"].rows} == shown
    if not shown:
        assert "No endpoint fits these filters" in words_of(response)


def test_the_list_is_paged(acme: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint_pages, "ENDPOINTS_SHOWN", 2)
    made = [endpoint_of(acme, f"https://example.com/{number}").pk for number in range(3)]
    client = staff()
    first = client.get(LIST).context["found"]
    second = client.get(LIST, {"after": first.page.next}).context["found"]
    assert [row.endpoint.pk for row in (*first.rows, *second.rows)] == made[::-1]
    assert (first.count, second.page.next) == (3, None)


def test_without_endpoints_the_list_says_how_they_come_to_be(account: Account) -> None:
    assert "No endpoints yet" in text(LIST)
    assert "POST /api/enterprise/webhook-endpoints" in text(LIST)
    assert "No endpoints yet" in words_of(member(account.organization).get(LIST))


def test_the_list_of_one_customer_leads_to_its_default_secret(acme: Organization) -> None:
    make_account(name="Acme Two")
    address = f'href="{secrets_of(acme)}"'
    assert address not in staff().get(LIST).content.decode()
    assert address not in staff().get(LIST, {"customer": "Acme"}).content.decode()
    assert address in staff().get(LIST, {"customer": acme.pk}).content.decode()
    assert address in member(acme).get(LIST).content.decode()


# --- an endpoint ---------------------------------------------------------------------------------------------------


def test_a_failing_endpoint_says_since_when_why_and_when_it_will_be_disabled(endpoint: Endpoint) -> None:
    since = datetime(2026, 11, 21, 13, 10, tzinfo=UTC)
    Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=since, consecutive_failures=7)
    tried(tell(endpoint.organization)[0], State.PENDING, code=None, error="connection_refused")
    page = text(at(endpoint))
    assert "Nothing has been taken since 2026-11-21 13:10:00 UTC" in page
    assert "7 attempts in a row failed, the last one with connection refused: nobody listens there." in page
    assert "it will be disabled on 2026-11-26 13:10 UTC" in page
    assert "Waiting 1 next attempt" in page


def test_a_paused_endpoint_says_until_when(endpoint: Endpoint) -> None:
    until = timezone.now() + timedelta(minutes=4)
    Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=timezone.now(), paused_until=until)
    tried(tell(endpoint.organization)[0], State.PENDING, code=429)
    page = text(at(endpoint))
    assert "the last one with HTTP 429: too many requests" in page
    assert re.search(f"nothing is sent before (....-..-.. )?{until:%H:%M:%S} UTC", page)
    Endpoint.objects.filter(pk=endpoint.pk).update(paused_until=timezone.now())
    assert "nothing is sent before" not in text(at(endpoint))


def test_a_healthy_endpoint_says_how_much_was_taken(endpoint: Endpoint) -> None:
    assert "Nothing was sent to it in the last 24 hours." in text(at(endpoint))
    delivered(tell(endpoint.organization)[0])
    assert "Everything that was sent in the last 24 hours was taken." in text(at(endpoint))
    tried(tell(endpoint.organization)[0], State.EXHAUSTED)
    page = text(at(endpoint))
    assert "1 of 2 attempts of the last 24 hours were." in page
    assert "Taken, 24 h 50 %" in page


def test_a_disabled_endpoint_says_why_and_offers_no_sending(endpoint: Endpoint) -> None:
    reason = "nothing sent to it arrived since 2026-11-21 13:10 UTC"
    Endpoint.objects.filter(pk=endpoint.pk).update(enabled=False, disabled_reason=reason, failing_since=timezone.now())
    tell(endpoint.organization)
    page = text(at(endpoint), "support")
    assert f"It was disabled: {reason}." in page
    assert "What it has missed, 1 message, is sent once you replay it." in page
    assert "Send a test" not in page
    assert "Enable it first" in sent(at(endpoint, "/test"))
    assert "Enable it first" in sent(at(endpoint, "/replay"), {"undelivered": "on"})
    assert {delivery.state for delivery in Delivery.objects.all()} == {State.SKIPPED}


def test_a_deleted_endpoint_is_shown_as_deleted_and_takes_no_act(used: Endpoint) -> None:
    acts = acts_of(used)
    delete_endpoint(endpoint=used, actor="usr_1", now=timezone.now())
    client = staff("support")
    page = words_of(client.get(at(used)))
    assert "− deleted" in page
    assert "Its deliveries" not in page
    assert "its deliveries stay on record" in page
    assert "What can be done" not in page
    assert "batch.completed" in page
    answers = {act: client.post(act, form).status_code for act, form in acts.items() if act.startswith(at(used))}
    assert set(answers.values()) == {404}
    assert "its endpoint was deleted" in sent(at(Delivery.objects.get(), "/redeliver"))
    assert used.url not in text(LIST)


def test_an_endpoint_shows_the_mails_about_it(endpoint: Endpoint) -> None:
    now = timezone.now()
    row = {"failing_since": now, "recipients": ["ops@acme.example"], "created_at": now, "due_at": now}
    Notice.objects.create(endpoint=endpoint, kind="failing", subject="It fails", body="Hello", sent_at=now, **row)
    Notice.objects.create(endpoint=endpoint, kind="disabled", subject="It is off", body="Hello", **row)
    page = text(at(endpoint))
    assert "UTC: it is failing Sent" in page
    assert "to ops@acme.example It fails Hello" in page
    assert "UTC: it was disabled · not sent yet" in page


def test_the_deliveries_of_an_endpoint_are_filtered(acme: Organization) -> None:
    endpoint = endpoint_of(acme, events=["batch.completed", "credits.low"])
    other = endpoint_of(acme, "https://example.com/other")
    completed = delivered(tell(acme)[0])
    low = tell(acme, EventType.CREDITS_LOW, reference="wal_1")[0]
    client = staff()

    def shown(**query: str) -> list[str]:
        log = client.get(at(endpoint), query).context["found"].log
        return [row.carried.delivery.pk for row in log.rows]

    assert shown() == [low.pk, completed.pk]
    assert shown(state="delivered") == [completed.pk]
    assert shown(event="credits.low") == [low.pk]
    assert shown(event="credits.low", state="delivered") == []
    assert other.deliveries.count() == 2


# --- on a batch's page ---------------------------------------------------------------------------------------------


def test_a_batch_says_of_each_delivery_what_is_next_and_offers_to_send_it(account: Account, acme: Organization) -> None:
    endpoint = endpoint_of(acme)
    batch = end_batch(make_batch(account.api, 2, webhook_url="https://own.example/hook"))
    tried(Delivery.objects.get(endpoint=endpoint), State.PENDING)
    tried(Delivery.objects.get(endpoint=None), State.EXHAUSTED, code=None, error="dns")
    address = f"/admin/batches/{batch.pk}/webhooks"
    page = superuser().get(address)
    words = words_of(page)
    assert "Copy as curl" in words
    assert "Send now" in words
    assert "Redeliver" in words
    assert "the name does not resolve" in words
    assert f'href="{at(endpoint)}"' in page.content.decode()
    reader = words_of(staff("auditor").get(address))
    assert "Copy as curl" in reader
    assert "Send now" not in reader
    supporter = words_of(staff("support").get(address))
    assert "Copy as curl" not in supporter
    assert "Send now" in supporter
    change_endpoint(endpoint=endpoint, actor="usr_1", enabled=False)
    assert "The endpoint is disabled (the endpoint was switched off)" in words_of(staff("support").get(address))


def test_the_ends_of_ten_thousand_items_are_counted_and_not_loaded(account: Account, acme: Organization) -> None:
    endpoint = endpoint_of(acme, events=["batch.completed", "item.succeeded"])
    batch = end_batch(make_batch(account.api, 2))
    tell_items(acme, batch.pk, 3)
    client, address = superuser(), f"/admin/batches/{batch.pk}/webhooks"
    few, size = queries_of(client, address), len(client.get(address).content)
    tell_items(acme, batch.pk, 10_000)
    Delivery.objects.filter(pk__in=endpoint.deliveries.filter(event__type="item.succeeded").values("pk")[:4]).update(
        state=State.SKIPPED, due_at=None, skipped_reason="it was disabled"
    )
    assert queries_of(client, address) == few
    page = client.get(address)
    assert "item.succeeded ○ pending 9,999 item.succeeded − skipped 4" in words_of(page)
    assert "secret_of_item" not in page.content.decode()
    assert len(page.content) < size + 2000
    link = f"{LOG}?about={batch.pk}&amp;event=item.succeeded&amp;state=skipped"
    assert link in page.content.decode()
    assert len(client.get(link.replace("&amp;", "&")).context["found"].rows) == 4
    assert queries_of(client, f"/admin/batches/{batch.pk}") < 20


def test_a_batch_is_acknowledged_when_its_end_is_not_when_an_item_is(account: Account, acme: Organization) -> None:
    endpoint = endpoint_of(acme, events=["batch.completed", "item.succeeded"])
    batch = end_batch(make_batch(account.api, 1))
    tell_items(acme, batch.pk, 1)
    delivered(Delivery.objects.get(endpoint=endpoint, event__type="item.succeeded"))
    address = f"/admin/batches/{batch.pk}"
    assert "Webhook acknowledged not yet" in text(address)
    delivered(Delivery.objects.get(endpoint=endpoint, event__type="batch.completed"))
    assert "Webhook acknowledged not yet" not in text(address)


# --- home ----------------------------------------------------------------------------------------------------------


def test_home_names_the_first_failing_endpoint_and_leads_to_them(acme: Organization) -> None:
    since = datetime(2026, 11, 21, 13, 10, tzinfo=UTC)
    endpoint = endpoint_of(acme, failing_since=since)
    tell(acme), tell(acme)
    gone, globex = "the receiver answered 410 Gone", make_account(name="Globex").organization
    endpoint_of(globex, failing_since=timezone.now(), enabled=False, disabled_reason=gone)
    response = staff().get("/admin/")
    home = words_of(response)
    assert "Webhooks failing ✕ 2 Acme · since 2026-11-21 13:10 UTC, and 1 more" in home
    assert f'href="{LIST}?state=failing&amp;mode=live"' in response.content.decode()
    assert (
        "example.com/hook takes nothing since 2026-11-21 13:10 UTC: 2 messages wait. "
        "It is disabled on 2026-11-26 13:10 UTC if that goes on. Acme 2026-11-21 13:10:00"
    ) in home
    assert "example.com/hook is disabled: the receiver answered 410 Gone. Nothing is sent there until it is" in home
    assert f'href="{at(endpoint)}"' in response.content.decode()
    shown = staff().get(LIST, {"state": "failing", "mode": "live"}).context["found"]
    assert len(shown.rows) == 2
    own = words_of(member(acme).get("/admin/"))
    assert "Webhooks failing ✕ 1 Acme" in own
    assert "410 Gone" not in own


def test_home_says_nothing_twice_of_what_an_endpoint_did_not_take(acme: Organization) -> None:
    endpoint = endpoint_of(acme, failing_since=timezone.now())
    tried(tell(acme)[0], State.EXHAUSTED), tried(tell(acme)[0], State.PENDING)
    home = text("/admin/")
    assert home.count("example.com/hook") == 1
    assert "1 given up" in home
    Endpoint.objects.filter(pk=endpoint.pk).update(failing_since=None)
    home = text("/admin/")
    assert home.count("example.com/hook") == 1
    assert "1 message was given up and never reached example.com/hook, which does not fail now: replay" in home
    sent(at(endpoint, "/replay"), {"undelivered": "on"})
    assert "Nothing. " in text("/admin/")


@pytest.mark.owner
def test_home_tells_of_batches_own_addresses_one_by_one_and_not_of_tests(acme: Organization) -> None:
    tried(tell(acme, extra_url="https://own.example/hook")[0], State.EXHAUSTED)
    waiting = tried(tried(tell(acme, extra_url="https://own.example/hook")[0], State.PENDING), State.PENDING)
    once = tried(tell(acme, extra_url="https://own.example/hook")[0], State.PENDING)
    tried(send_test(endpoint=endpoint_of(acme), actor="usr_1", now=timezone.now()), State.EXHAUSTED)
    response = staff().get("/admin/")
    home = words_of(response)
    assert "batch.completed could not be delivered after 1 attempts to own.example/hook. Acme" in home
    assert "batch.completed is not delivered yet after 2 attempts to own.example/hook. Acme" in home
    assert f'href="{at(waiting)}"' in response.content.decode()
    assert f'href="{at(once)}"' not in response.content.decode()
    assert "Webhooks failing 0 1 given up" in home
    shown = staff().get(LOG, {"state": "exhausted", "mode": "live", "event": "all but tests"}).context["found"]
    assert len(shown.rows) == 1
    Delivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    assert "nothing was given up" in text("/admin/")


# --- at what cost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["home", "list", "endpoint", "log", "delivery", "replay"])
def test_a_page_takes_as_many_queries_whatever_there_is(acme: Organization, page: str) -> None:
    endpoint = endpoint_of(acme, failing_since=timezone.now())
    delivery = tried(tell(acme)[0], State.PENDING)
    tried(tell(acme, extra_url="https://own.example/hook")[1], State.EXHAUSTED)
    tried(tell(acme)[0], State.EXHAUSTED)
    addresses = {
        "home": "/admin/",
        "list": LIST,
        "endpoint": at(endpoint),
        "log": LOG,
        "delivery": at(delivery),
        "replay": f"{at(endpoint, '/replay')}?see=1",
    }
    client = superuser()
    few = queries_of(client, addresses[page])
    for number in range(4):
        endpoint_of(acme, f"https://example.com/{number}", failing_since=timezone.now())
        delivery = tried(delivery, State.PENDING)
        for told in tell(acme, extra_url="https://own.example/hook"):
            tried(told, State.EXHAUSTED)
    assert queries_of(client, addresses[page]) == few


def test_the_pages_put_no_mark_of_a_customer_into_the_page(acme: Organization) -> None:
    endpoint = endpoint_of(acme, "https://example.com/?a=<script>alert(1)</script>", description="<script>alert(2)")
    delivery = tried(tell(acme)[0], State.EXHAUSTED, response="<script>alert(3)</script>")
    client = superuser()
    for page in (LIST, LOG, at(endpoint), at(delivery), "/admin/", f"{at(endpoint, '/replay')}?see=1"):
        html = client.get(page).content.decode()
        assert "<script>alert" not in html, page
