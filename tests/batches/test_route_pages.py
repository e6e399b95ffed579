"""The pages of the routes, and what home says of the providers: who sees them, who pauses one, and what never shows."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches import offering, route_pages
from batches.catalogue import route_named
from batches.models import Attempt, Batch, CatalogueModel, Item, ProviderRoute, RouteHealth, Stage
from customers.models import AuditEvent, User
from tests.factories import Account, make_batch
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

LIST, NEW = "/admin/routes/", "/admin/routes/new"
OPENAI, SIMULATOR = f"{LIST}openai", f"{LIST}simulator"
SECRET = "sk-never-to-be-seen"
OPERATE = [(f"{OPENAI}/pause", {"reason": "x"}), (f"{OPENAI}/resume", {}), (f"{OPENAI}/limits", {"max_in_flight": "7"})]
WRITE: list[tuple[str, dict[str, str]]] = [
    (f"{OPENAI}/provider", {"kind": "veo", "base_url": "https://elsewhere.example"}),
    (NEW, {"name": "other", "kind": "veo"}),
]
READERS = ("finance", "finance approver", "sales ops", "auditor")


@pytest.fixture(autouse=True)
def _openai(settings: Settings) -> None:
    """A provider for live mode, as the environment gives it."""
    settings.PROVIDER_OPENAI_BASE_URL = "https://user:pass@api.example/v1?key=hidden"
    settings.PROVIDER_OPENAI_API_KEY = SECRET


def row(name: str = "openai") -> ProviderRoute:
    return ProviderRoute.objects.get(pk=name)


def health(name: str = "openai", **fields: Any) -> None:
    RouteHealth.objects.update_or_create(route=name, defaults=fields)


def text(address: str = LIST, role: str = "auditor") -> str:
    response = staff(role).get(address)
    assert response.status_code == 200
    return words_of(response)


def sent(address: str, form: dict[str, str], client: Client | None = None) -> str:
    """Send a form and return what is read then."""
    response = (client or staff("support")).post(address, form, follow=True)
    assert response.status_code == 200
    return words_of(response)


def waiting(account: Account, count: int = 3, name: str = "openai") -> Batch:
    """Make a batch whose items wait on a route."""
    batch = make_batch(account.api, count, request_id=f"on {name} {count}")
    batch.items.update(route=name)
    return batch


def event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("pk")


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# --- who -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*READERS, "support"])
def test_who_of_ours_sees_batches_sees_the_routes(role: str) -> None:
    client = staff(role)
    assert [client.get(page).status_code for page in (LIST, OPENAI, NEW)] == [200, 200, 403]


@pytest.mark.parametrize("role", READERS)
def test_who_only_reads_is_offered_no_change_and_refused_one(role: str) -> None:
    client = staff(role)
    page = words_of(client.get(OPENAI))
    assert not [word for word in ("Pause openai", "Save", "Change where it goes") if word in page]
    assert {client.post(address, form).status_code for address, form in (*OPERATE, *WRITE)} == {403}
    assert_unchanged()


def test_support_operates_routes_and_does_not_say_where_they_go() -> None:
    client = staff("support")
    page = words_of(client.get(OPENAI))
    assert "Pause openai" in page
    assert "Change where it goes" not in page
    assert [client.post(address, form).status_code for address, form in OPERATE] == [302, 302, 302]
    assert [client.post(address, form).status_code for address, form in WRITE] == [403, 403]


@pytest.mark.parametrize("role", ["customer admin", "customer finance", "customer developer"])
def test_a_customers_people_see_and_change_no_route(account: Account, role: str) -> None:
    client = member(account.organization, role)
    assert [client.get(page).status_code for page in (LIST, OPENAI, NEW)] == [404, 404, 403]
    assert {client.post(address, form).status_code for address, form in (*OPERATE, *WRITE)} == {403}
    assert_unchanged()


def test_staff_without_a_role_and_strangers_see_nothing() -> None:
    assert {staff("").get(page).status_code for page in (LIST, OPENAI, NEW)} == {403}
    assert {Client().get(page).status_code for page in (LIST, OPENAI, NEW)} == {302}
    assert {Client().post(address, form).status_code for address, form in (*OPERATE, *WRITE)} == {302}
    assert_unchanged()


def test_a_change_needs_the_token_against_forged_requests() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser(username="root"))
    assert {client.post(address, form).status_code for address, form in (*OPERATE, *WRITE)} == {403}
    assert_unchanged()


def assert_unchanged() -> None:
    assert (row().kind, row().base_url, row().max_in_flight, row().paused_at) == ("openai", "", None, None)
    assert set(ProviderRoute.objects.values_list("name", flat=True)) == {"openai", "simulator"}
    assert not AuditEvent.objects.filter(action__startswith="route.").exists()


def test_looking_changes_nothing_and_what_is_not_there_is_said() -> None:
    client = superuser()
    assert {client.get(address).status_code for address, _ in OPERATE} == {405}
    assert client.delete(OPENAI).status_code == 405
    assert client.get(f"{LIST}nowhere").status_code == 404
    assert {client.post(f"{LIST}nowhere/{act}").status_code for act in ("pause", "resume", "limits", "provider")} == {
        404
    }


# --- how a route does ----------------------------------------------------------------------------------------------


def test_a_route_that_works_says_where_it_goes_and_how_much_it_has(account: Account) -> None:
    batch = waiting(account, 5)
    Item.objects.filter(batch=batch, index=0).update(status="running", stage=Stage.POLL)
    Item.objects.filter(batch=batch, index=1).update(status="running", stage=Stage.COLLECT)
    for number, seconds in enumerate((10, 30, 90)):
        at = timezone.now() - timedelta(seconds=seconds)
        Attempt.objects.create(item=batch.items.get(index=number), number=1, route="openai", submitted_at=at)
    ProviderRoute.objects.filter(pk="openai").update(max_in_flight=40, submits_per_minute=10)
    assert (
        "openai openai ✓ works sora-2, sora-2-pro, veo-3 https://api.example/v1 from the environment "
        "key: from the environment 1 of 40 2 of 10 3"
    ) in text()
    page = text(OPENAI)
    assert "Waiting 3 submitted as there is room In flight 1 of 40" in page
    assert "To be fetched 1" in page
    assert "Submits in 60 s 2 of 10" in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"opened_at": timedelta(minutes=-3), "probe_at": timedelta(seconds=20)}, "✕ down The breaker is open since"),
        ({"held_until": timedelta(seconds=30)}, "◐ held The provider asked for patience (429), until"),
        ({"held_until": timedelta(seconds=-30)}, "✓ works"),
        ({"unanswered_since": timedelta(minutes=-5)}, "◐ silent It does not answer when asked about its jobs, since"),
    ],
)
def test_a_route_says_its_state_with_a_sign_and_a_word(fields: dict[str, Any], words: str) -> None:
    now = timezone.now()
    health("openai", **{name: now + away for name, away in fields.items()})
    assert words in text()
    assert words.split(" ")[1] in text(OPENAI)


def test_a_breaker_says_what_failed_and_when_it_is_probed_next() -> None:
    now = timezone.now()
    detail = f"503 <b>overloaded</b> Bearer {SECRET}"
    health(opened_at=now, probe_at=now + timedelta(seconds=40), last_failure="capacity", last_detail=detail)
    page = text(OPENAI)
    assert "it had no capacity (503 <b>overloaded</b> Bearer (the key)). Next probe" in page
    assert "<b>overloaded" not in staff().get(OPENAI).content.decode()


def test_a_pause_says_who_why_and_since_when() -> None:
    who = User.objects.create_user(username="ada", is_staff=True)
    offering.pause_route(name="openai", reason="Maintenance", actor=who.pk, now=timezone.now())
    assert "‖ paused Paused by ada," in text()
    assert "Maintenance" in text(OPENAI)


def test_a_route_without_an_address_is_not_configured(settings: Settings) -> None:
    settings.PROVIDER_OPENAI_BASE_URL = settings.PROVIDER_OPENAI_API_KEY = ""
    assert "? not configured It has no address: nothing can be submitted." in text()
    assert "no address key: none" in text()


def test_a_key_that_cannot_be_read_is_said_to_be() -> None:
    ProviderRoute.objects.filter(pk="openai").update(api_key_encrypted="of another time")
    assert "? not configured Its key cannot be read: put back the ENCRYPTION_KEYS" in text()
    assert "key: stored, and cannot be read" in text()


def test_a_key_from_a_variable_is_named_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    ProviderRoute.objects.filter(pk="openai").update(api_key_variable="PROVIDER_OTHER_KEY")
    assert "key: from the environment: $PROVIDER_OTHER_KEY is not set" in text()
    monkeypatch.setenv("PROVIDER_OTHER_KEY", SECRET)
    assert "key: from $PROVIDER_OTHER_KEY" in text()
    assert SECRET not in staff().get(OPENAI).content.decode()


def test_the_pages_take_as_many_queries_whatever_the_number_of_routes(account: Account) -> None:
    offering.pause_route(name="openai", reason="x", actor="usr_1", now=timezone.now())
    waiting(account)
    client, pages = staff("support"), (LIST, OPENAI, "/admin/")
    before = [queries_of(client, page) for page in pages]
    for number in range(6):
        ProviderRoute.objects.create(name=f"route-{number}", base_url="https://x.example", paused_at=timezone.now())
        health(f"route-{number}", opened_at=timezone.now(), probe_at=timezone.now())
        waiting(account, number + 4, f"route-{number}")
    assert [queries_of(client, page) for page in pages] == before


# --- operating -----------------------------------------------------------------------------------------------------


def test_pausing_says_how_many_wait_and_resuming_lets_them_go(account: Account) -> None:
    waiting(account, 12)
    client = staff("support")
    assert "Pausing submits nothing more: 12 waiting items will wait" in words_of(client.get(OPENAI))
    page = sent(f"{OPENAI}/pause", {"reason": "  Their\n quota is used up "}, client)
    assert "Paused openai: 12 items wait until it is resumed." in page
    found = route_named("openai")
    assert found is not None
    assert found.is_paused
    assert (row().paused_reason, event("route.pause").detail) == (
        "Their quota is used up",
        {"reason": "Their quota is used up"},
    )
    assert "paused the route openai Their quota is used up" in page
    page = sent(f"{OPENAI}/resume", {}, client)
    assert "Resumed openai: 12 waiting items go on, as its limits allow." in page
    assert (row().paused_at, row().paused_by, event("route.resume").subject) == (None, "", "openai")


def test_a_pause_needs_a_reason() -> None:
    page = sent(f"{OPENAI}/pause", {"reason": " "})
    assert "Say why the route is paused: whoever finds it paused wants to know. Nothing was changed." in page
    assert row().paused_at is None


def test_limits_are_set_taken_away_and_written_down() -> None:
    assert "Saved the limits of openai." in sent(f"{OPENAI}/limits", {"max_in_flight": "7", "submits_per_minute": "60"})
    assert (row().max_in_flight, row().submits_per_minute) == (7, 60)
    page = sent(f"{OPENAI}/limits", {"max_in_flight": "", "submits_per_minute": "30"})
    assert (row().max_in_flight, row().submits_per_minute) == (None, 30)
    assert event("route.change").detail["changes"] == {"max_in_flight": [7, None], "submits_per_minute": [60, 30]}
    assert "in flight, at most: 7 → (nothing) submits a minute, at most: 60 → 30" in page


@pytest.mark.parametrize(
    ("wrong", "words"), [("0", "greater than or equal to 1"), ("many", "Write a whole number without separators.")]
)
def test_a_limit_that_cannot_be_is_refused_in_words(wrong: str, words: str) -> None:
    assert words in sent(f"{OPENAI}/limits", {"max_in_flight": wrong})
    assert_unchanged()


def test_a_limit_leaves_where_the_route_goes_and_its_pause(account: Account) -> None:
    offering.save_route(route=row(), actor="system", new_key=SECRET)
    offering.pause_route(name="openai", reason="x", actor="system", now=timezone.now())
    stored = row()
    sent(f"{OPENAI}/limits", {"max_in_flight": "7", "base_url": "https://elsewhere.example", "new_key": "other"})
    assert (row().base_url, row().api_key_encrypted, row().paused_at) == (
        "",
        stored.api_key_encrypted,
        stored.paused_at,
    )


# --- where a route goes --------------------------------------------------------------------------------------------


def provider(**more: str) -> dict[str, str]:
    return {"kind": "openai", "base_url": "https://eu.example/v1", "new_key": "", "api_key_variable": "", **more}


def test_a_route_is_sent_elsewhere_and_that_is_written_down_without_the_key() -> None:
    client = superuser()
    page = sent(f"{OPENAI}/provider", provider(kind="openai-form", new_key=SECRET), client)
    assert "Saved openai." in page
    found = route_named("openai")
    assert found is not None
    assert (found.base_url, found.api_key, found.kind) == ("https://eu.example/v1", SECRET, "openai-form")
    written = event("route.change")
    assert written.detail["changes"] == {
        "kind": ["openai", "openai-form"],
        "base_url": ["", "https://eu.example/v1"],
        "api_key": ["(none)", "(not shown)"],
    }
    assert "address: https://eu.example/v1 key: (none) → (not shown) kind: openai → openai-form" in page
    assert "key: stored, encrypted" in text()


def test_an_empty_key_keeps_the_stored_one_and_a_tick_forgets_it() -> None:
    client = superuser()
    sent(f"{OPENAI}/provider", provider(new_key=SECRET), client)
    stored = row().api_key_encrypted
    sent(f"{OPENAI}/provider", provider(base_url="https://us.example/v1"), client)
    assert (row().api_key_encrypted, row().base_url) == (stored, "https://us.example/v1")
    assert "api_key" not in event("route.change").detail["changes"]
    sent(f"{OPENAI}/provider", provider(forget_key="on"), client)
    assert row().api_key_encrypted == ""
    assert event("route.change").detail["changes"]["api_key"] == ["(not shown)", "(none)"]


def test_the_key_is_in_no_answer_and_no_audit_event() -> None:
    client = superuser()
    answers = [
        client.post(f"{OPENAI}/provider", provider(new_key=SECRET, base_url="nowhere")),
        client.post(f"{OPENAI}/provider", provider(new_key=SECRET), follow=True),
        client.post(f"{OPENAI}/provider", provider(new_key=SECRET, forget_key="on")),
        client.post(NEW, provider(new_key=SECRET, name="Not a name")),
        client.post(NEW, provider(new_key=SECRET, name="eu"), follow=True),
        client.post(f"{OPENAI}/limits", {"max_in_flight": "x"}),
        *(client.get(page) for page in (LIST, OPENAI, f"{LIST}eu", NEW, "/admin/catalogue/", "/admin/")),
    ]
    for response in answers:
        assert response.status_code == 200
        said = response.content.decode()
        assert SECRET not in said
        assert not [each.api_key_encrypted for each in ProviderRoute.objects.exclude(api_key_encrypted="")
                    if each.api_key_encrypted in said]  # fmt: skip
        assert "pass@" not in said
        assert "hidden" not in said.replace('type="hidden"', "").replace('" hidden>', "").replace("aria-hidden", "")
    assert SECRET not in str(list(AuditEvent.objects.values()))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"base_url": "eu.example"}, "Write an address such as https://host/v1."),
        ({"base_url": "ftp://eu.example"}, "Write an address such as https://host/v1."),
        ({"base_url": "https://[::1"}, "Write an address such as https://host/v1."),
        ({"base_url": "https://eu.example:99999"}, "Write an address such as https://host/v1."),
        ({"base_url": "https://eu.example/a b"}, "Write an address such as https://host/v1."),
        ({"base_url": "https://me:secret@eu.example"}, "No user, password or parameter belongs in an address"),
        ({"base_url": "https://eu.example/?key=1"}, "No user, password or parameter belongs in an address"),
        ({"kind": "telepathy"}, "Select a valid choice."),
        ({"new_key": "two words"}, "A key is one word of ASCII characters. Write it again."),
        ({"api_key_variable": "SECRET_KEY"}, "Its name begins with PROVIDER_"),
        ({"api_key_variable": "PROVIDER_X; rm"}, "Its name begins with PROVIDER_"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong: dict[str, str], words: str) -> None:
    assert words in sent(f"{OPENAI}/provider", provider(**wrong), superuser())
    assert words in sent(NEW, provider(name="other", **wrong), superuser())
    assert_unchanged()


def test_a_key_is_not_both_written_and_forgotten() -> None:
    client = superuser()
    sent(f"{OPENAI}/provider", provider(new_key=SECRET), client)
    page = sent(f"{OPENAI}/provider", provider(new_key="another", forget_key="on"), client)
    assert "Either write a new key, or have the stored one forgotten." in page
    found = route_named("openai")
    assert found is not None
    assert found.api_key == SECRET


def test_a_new_route_is_made_and_no_model_takes_it_yet() -> None:
    page = sent(NEW, provider(name="veo-eu", kind="veo", api_key_variable="$PROVIDER_VEO_KEY"), superuser())
    assert "Made the route veo-eu. No model takes it yet." in page
    assert "Live models none" in page
    assert (row("veo-eu").kind, row("veo-eu").api_key_variable) == ("veo", "PROVIDER_VEO_KEY")
    assert event("route.create").detail["changes"]["base_url"] == [None, "https://eu.example/v1"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("openai", "There is a route of this name already."),
        ("new", "Take another name."),
        ("a/b", "Small letters, digits, dots and hyphens only."),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_words(name: str, words: str) -> None:
    assert words in sent(NEW, provider(name=name), superuser())
    assert_unchanged()


def test_nothing_that_was_written_puts_marks_into_a_page() -> None:
    mark = "<script>alert(1)</script>"
    sent(f"{OPENAI}/pause", {"reason": mark})
    health("openai", opened_at=timezone.now(), probe_at=timezone.now(), last_failure="<b>", last_detail=mark)
    for response in (*(superuser().get(page) for page in (LIST, OPENAI, "/admin/", "/admin/catalogue/")),):
        assert mark not in response.content.decode()
    for address in (f"{OPENAI}/provider", NEW):
        assert mark not in superuser().post(address, provider(base_url=mark, name=mark)).content.decode()


# --- home ----------------------------------------------------------------------------------------------------------


def test_home_shows_each_route_in_use_with_its_state_to_staff_only(account: Account) -> None:
    CatalogueModel.objects.filter(pk="veo-3").update(route=ProviderRoute.objects.create(name="veo", kind="veo"))
    page = text("/admin/")
    assert "Providers openai ✓ works veo ? not configured" in page
    assert "simulator" not in page
    assert f'href="{OPENAI}"' in staff().get("/admin/").content.decode()
    assert "Providers" not in words_of(member(account.organization).get("/admin/"))
    assert "Providers" not in words_of(staff("").get("/admin/"))


def test_home_says_that_a_provider_is_down_how_many_wait_and_that_nothing_is_lost(account: Account) -> None:
    waiting(account, 12)
    opened_at = timezone.now()
    health(opened_at=opened_at, probe_at=opened_at)
    page = text("/admin/")
    assert (
        f"The provider behind openai (sora-2, sora-2-pro, veo-3) is down since {opened_at:%H:%M} UTC: 12 items wait; "
        "nothing is lost, they fail and are refunded only at their deadlines. all"
    ) in page
    assert "Providers openai ✕ down" in page
    assert "is down" not in words_of(member(account.organization, "customer admin").get("/admin/"))


def test_home_says_so_of_a_provider_that_is_down_though_nothing_waits() -> None:
    health(opened_at=timezone.now(), probe_at=timezone.now())
    assert "no item waits." in text("/admin/")


def test_home_says_that_a_route_is_paused_once_items_wait(account: Account) -> None:
    at = timezone.now() - timedelta(days=3)
    offering.pause_route(name="openai", reason="Too dear " * 40, actor="usr_1", now=at)
    assert "is paused" not in text("/admin/")
    waiting(account, 1)
    page = text("/admin/")
    assert f"is paused since {at:%Y-%m-%d %H:%M} UTC by usr_1 (Too dear" in page
    assert "Too dear…): 1 item waits;" in page


def test_home_says_that_a_route_with_items_is_not_configured(account: Account, settings: Settings) -> None:
    batch = waiting(account, 2)
    Item.objects.filter(batch=batch, index=0).update(status="running", stage=Stage.POLL)
    settings.PROVIDER_OPENAI_BASE_URL = ""
    assert "The route openai is not configured: 2 items wait;" in text("/admin/")


@pytest.mark.owner
def test_what_holds_up_everybody_stands_first(account: Account) -> None:
    for number in range(12):
        batch = make_batch(account.api, request_id=f"old-{number}")
        Batch.objects.filter(pk=batch.pk).update(created_at=timezone.now() - timedelta(hours=2))
    health(opened_at=timezone.now() - timedelta(hours=3), probe_at=timezone.now())
    notices = staff().get("/admin/").context["home"].notices
    assert "is down" in notices[0].sentence
    assert len(notices) == 10


def test_home_counts_what_waits_up_to_a_limit_and_says_so(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(route_pages, "COUNTED_AT_MOST", 5)
    waiting(account, 5)
    waiting(account, 2)
    offering.pause_route(name="openai", reason="x", actor="usr_1", now=timezone.now())
    assert "at least 5 items wait" in text("/admin/")
    assert "Waiting 7" in text(OPENAI)


def test_home_counts_no_item_while_every_route_works(account: Account) -> None:
    waiting(account)
    client = staff()
    with CaptureQueriesContext(connection) as captured:
        client.get("/admin/")
    assert not [query for query in captured if "stage = 'submit'" in query["sql"]]
