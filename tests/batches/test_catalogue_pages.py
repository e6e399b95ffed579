"""The pages of the catalogue: who sees them, who changes models and prices, and what they say before they do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import offering
from batches.catalogue import catalogue
from batches.models import Batch, CatalogueModel, Item, Price, PriceList, ProviderRoute, Stage
from batches.offering import NewPrice
from batches.stopping import fail_what_waits_in_vain
from customers.models import AuditEvent, Mode, User
from tests.factories import Account, code_of, make_batch, order
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

LIST = "/admin/catalogue/"
MODELS, PRICES = f"{LIST}models/", f"{LIST}prices/"
SORA, NEW_MODEL, NEW_PRICES, FIRST_PRICES = (
    f"{MODELS}sora-2",
    f"{MODELS}new",
    f"{PRICES}new",
    f"{PRICES}2026-01-24",
)
LOOKING, CHANGING = (LIST, SORA, FIRST_PRICES), (NEW_MODEL, NEW_PRICES)
READERS = ("finance", "finance approver", "support", "auditor")


def saved(name: str = "sora-2") -> CatalogueModel:
    return CatalogueModel.objects.get(pk=name)


def route(name: str = "openai-eu", **fields: Any) -> ProviderRoute:
    fields = {"base_url": "https://eu.example/v1", **fields}
    return ProviderRoute.objects.create(name=name, **fields)


def model_form(name: str = "sora-2", **more: Any) -> dict[str, Any]:
    """Return what the page of a model sends when nothing is changed but `more`."""
    form = staff("sales ops").get(f"{MODELS}{name}").context["form"]
    return {**{field.html_name: field.value() or "" for field in form}, **_shown(form), **more}


def _shown(form: Any) -> dict[str, Any]:
    return {name: form[name].field.prepare_value(form[name].value()) for name in ("seconds", "sizes")}


def new_model(**more: Any) -> dict[str, Any]:
    given = {"name": "sora-3", "seconds": "4, 8", "default_seconds": "4", "sizes": "1280x720", "position": "4"}
    return {**given, **more}


def prices_form(**more: Any) -> dict[str, Any]:
    """Return what the form of prices sends, with the prices in force."""
    given = {"version": "2030-01-01", "effective_from": "2030-01-01 00:00", "reason": "Inflation"}
    for model in catalogue(now=timezone.now()).offered:
        given |= {f"{model.name} credits": str(model.credits), f"{model.name} seconds": str(model.base_seconds)}
    return {**given, **more}


def preview(client: Client, address: str, form: dict[str, Any]) -> str:
    response = client.post(address, {**form, "step": "preview"})
    assert response.status_code == 200
    return words_of(response)


def confirm(client: Client, address: str, form: dict[str, Any]) -> Any:
    return client.post(address, {**form, "step": "confirm"}, follow=True)


def event(action: str) -> AuditEvent:
    return AuditEvent.objects.filter(action=action).latest("pk")


# --- who -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", [*READERS, "sales ops"])
def test_who_of_ours_sees_batches_sees_the_catalogue(role: str) -> None:
    client = staff(role)
    assert [client.get(page).status_code for page in LOOKING] == [200] * len(LOOKING)


@pytest.mark.parametrize("role", READERS)
def test_who_only_reads_is_offered_no_change_and_refused_one(role: str) -> None:
    client = staff(role)
    assert "New model" not in words_of(client.get(LIST))
    assert "See the effect" not in words_of(client.get(SORA))
    assert [client.get(page).status_code for page in CHANGING] == [403, 403]
    sent = {"step": "confirm"}
    assert client.post(SORA, {**model_form(), **sent, "sizes": "1x1"}).status_code == 403
    assert client.post(NEW_MODEL, {**new_model(), **sent}).status_code == 403
    assert client.post(NEW_PRICES, {**prices_form(), **sent}).status_code == 403
    assert (CatalogueModel.objects.count(), PriceList.objects.count()) == (3, 1)
    assert saved().sizes == ["1280x720", "720x1280"]


@pytest.mark.parametrize("role", ["customer admin", "customer finance", "customer developer"])
def test_a_customers_people_see_no_page_of_the_catalogue(account: Account, role: str) -> None:
    client = member(account.organization, role)
    assert [client.get(page).status_code for page in LOOKING] == [404] * len(LOOKING)
    assert [client.get(page).status_code for page in CHANGING] == [403, 403]
    assert [client.post(page, new_model(step="confirm")).status_code for page in CHANGING] == [403, 403]
    assert client.post(SORA, {"step": "confirm"}).status_code == 404


def test_staff_without_a_role_see_nothing_of_the_catalogue() -> None:
    client = staff("")
    assert {client.get(page).status_code for page in (*LOOKING, *CHANGING)} == {403}
    assert "What is on offer" not in words_of(client.get("/admin/settings/"))


def test_nobody_sees_the_catalogue_without_signing_in() -> None:
    for page in (*LOOKING, *CHANGING):
        response: Any = Client().get(page)
        assert (response.status_code, response.url.split("?")[0]) == (302, "/admin/login/"), page


def test_a_change_needs_the_token_against_forged_requests() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser(username="root"))
    for page in (SORA, NEW_MODEL, NEW_PRICES):
        assert client.post(page, {"step": "confirm"}).status_code == 403, page


@pytest.mark.parametrize("address", [f"{MODELS}sora-9", f"{PRICES}1999-01-01", f"{MODELS}%00", f"{PRICES}%00"])
def test_what_is_not_there_is_said_in_words(address: str) -> None:
    response = staff().get(address)
    assert response.status_code == 404
    assert "Nothing here" in words_of(response)


@pytest.mark.parametrize("address", [*LOOKING, *CHANGING])
def test_the_pages_answer_no_other_method(address: str) -> None:
    assert superuser().delete(address).status_code == 405


def test_settings_lead_to_the_catalogue_and_the_routes() -> None:
    html = staff().get("/admin/settings/").content.decode()
    assert 'href="/admin/catalogue/"' in html
    assert 'href="/admin/routes/"' in html
    assert 'href="/admin/settings/" aria-current="page"' in staff().get(LIST).content.decode()


# --- looking -------------------------------------------------------------------------------------------------------


def test_the_catalogue_shows_each_model_with_its_price_life_and_route() -> None:
    now = timezone.now()
    CatalogueModel.objects.filter(pk="sora-2").update(
        deprecated_at=now - timedelta(days=1), sunset_at=now + timedelta(days=9), replacement="sora-2-pro"
    )
    CatalogueModel.objects.filter(pk="veo-3").update(
        deprecated_at=now - timedelta(days=2), sunset_at=now - timedelta(days=1), route=route("veo").pk
    )
    page = words_of(staff().get(LIST))
    assert "sora-2 ◑ deprecated since" in page
    assert "retired from" in page
    assert "10 4 4, 8, 12 1280x720, 720x1280 simulator the usual sora-2-pro" in page
    assert "sora-2-pro ✓ active 30 4" in page
    assert "veo-3 − retired on" in page
    assert "97 8 4, 6, 8 1280x720, 720x1280, 1920x1080, 1080x1920 veo –" in page


def test_a_model_without_a_price_says_that_it_cannot_be_ordered_yet() -> None:
    confirm(staff("sales ops"), NEW_MODEL, new_model())
    assert "sora-3 ✓ active ◑ no price in force" in words_of(staff().get(LIST))
    assert "it cannot be ordered until a price list names it" in words_of(staff().get(f"{MODELS}sora-3"))


def test_before_the_first_change_the_history_says_what_will_stand_there() -> None:
    page = words_of(staff().get(LIST))
    assert "None yet. Each change will be listed here, with who made it and what it was before." in page


def test_a_model_shows_what_waits_by_route_and_mode(account: Account) -> None:
    make_batch(account.api, 3)
    make_batch(account.test_api, 2)
    page = words_of(staff().get(SORA))
    assert "simulator LIVE 3 30 simulator TEST 2 20" in page
    assert "None." in words_of(staff().get(f"{MODELS}veo-3"))


def test_the_pages_take_as_many_queries_whatever_there_is(account: Account) -> None:
    client, pages = staff("sales ops"), (LIST, SORA, NEW_PRICES)
    confirm(client, SORA, model_form(position="7"))
    before = [queries_of(client, page) for page in pages]
    for number in range(5):
        confirm(staff("sales ops"), NEW_MODEL, new_model(name=f"sora-{number + 4}"))
        make_batch(account.api, request_id=f"order-{number}")
    assert [queries_of(client, page) for page in pages] == before


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# --- changing a model ----------------------------------------------------------------------------------------------


def test_a_change_is_shown_first_and_then_saved_and_written_down() -> None:
    client = staff("sales ops")
    form = model_form(sizes="720x1280", deadline_seconds="900")
    page = preview(client, SORA, form)
    assert "deadline seconds – 900" in page
    assert "sizes 1280x720, 720x1280 720x1280" in page
    assert "No longer on offer: 1280x720. What was ordered stays as it was ordered." in page
    assert (saved().sizes, saved().deadline_seconds) == (["1280x720", "720x1280"], None)
    response = confirm(client, SORA, form)
    assert "Saved sora-2." in words_of(response)
    assert (saved().sizes, saved().deadline_seconds) == (["720x1280"], 900)
    written = event("model.change")
    assert written.detail["changes"] == {
        "sizes": [["1280x720", "720x1280"], ["720x1280"]],
        "deadline_seconds": [None, 900],
    }
    assert User.objects.get(pk=written.actor).groups.get().name == "sales ops"
    history = words_of(staff("auditor").get(LIST))
    assert "changed the model sora-2" in history
    assert "sizes: 1280x720, 720x1280 → 720x1280" in history


def test_what_was_written_comes_back_to_be_changed() -> None:
    page = staff("sales ops").post(SORA, {**model_form(sizes="1x1, 99x99"), "step": "change"})
    assert 'value="1x1, 99x99"' in page.content.decode()


def test_nothing_changed_is_nothing_to_save() -> None:
    client = staff("sales ops")
    page = preview(client, SORA, model_form())
    assert "What changes Nothing." in page
    assert "Save sora-2" not in page
    confirm(client, SORA, model_form())
    assert not AuditEvent.objects.filter(action__startswith="model.").exists()


def test_a_new_route_takes_the_live_items_that_wait_and_says_how_many(account: Account) -> None:
    route()
    live, test = make_batch(account.api, 12), make_batch(account.test_api, 2)
    Item.objects.filter(batch=live, index=0).update(status="running", stage=Stage.POLL)
    client, form = staff("sales ops"), model_form(route="openai-eu")
    page = preview(client, SORA, form)
    assert "11 live items wait. What waits goes over from simulator to openai-eu" in page
    assert "not configured" not in page
    assert "11 waiting items went over to openai-eu." in words_of(confirm(client, SORA, form))
    assert set(live.items.values_list("route", "stage").distinct()) == {("openai-eu", "submit"), ("simulator", "poll")}
    assert set(test.items.values_list("route", flat=True)) == {"simulator"}
    assert event("model.change").detail["changes"]["waiting_items_moved"] == [0, 11]


def test_a_route_without_an_address_is_warned_of() -> None:
    route("nowhere", base_url="")
    page = preview(staff("sales ops"), SORA, model_form(route="nowhere"))
    assert "✕ The route nowhere is not configured: live items wait until it is." in page
    assert "No live item waits." in page


def test_retiring_says_what_is_refunded_and_within_a_minute_it_is(account: Account) -> None:
    live, test = make_batch(account.api, 12), make_batch(account.test_api, 1)
    client = staff("sales ops")
    form = model_form(deprecated_at="now", sunset_at="now", replacement="sora-2-pro")
    page = preview(client, SORA, form)
    assert "✕ 13 items wait. What waits fails within a minute, and its 130 credits are given back" in page
    assert "✕ Orders that name no model ask for sora-2: they are refused too." in page
    assert "without a model to take instead" not in page
    assert account.figures() == (880, 120, 0)
    confirm(client, SORA, form)
    fail_what_waits_in_vain(routes=["simulator"], now=timezone.now())
    assert (account.figures(), account.figures(Mode.TEST)) == ((1000, 0, 0), (1000, 0, 0))
    assert {Batch.objects.get(pk=batch.pk).state for batch in (live, test)} == {"failed"}
    response = account.api.post("/video-batch", order(1, request_id="late"))
    assert (*code_of(response), response.json()["replacement"]) == (410, "model_retired", "sora-2-pro")


def test_a_retirement_to_come_says_what_it_would_refund_now(account: Account) -> None:
    make_batch(account.api, 1)
    page = preview(
        staff("sales ops"), SORA, model_form(deprecated_at="2030-01-01 00:00", sunset_at="2030-06-30 12:00 UTC")
    )
    assert "From 2030-06-30 12:00 UTC on it cannot be ordered" in page
    assert "Now 1 item waits, for 10 credits." in page
    assert "✕ Orders for it are refused (410) without a model to take instead: name a replacement." in page
    assert "From 2030-01-01 00:00 UTC on orders for it are taken, and answered with a warning." in page


def test_a_retired_model_can_be_offered_again(account: Account) -> None:
    client = staff("sales ops")
    confirm(client, SORA, model_form(deprecated_at="now", sunset_at="now"))
    form = model_form(deprecated_at="", sunset_at="")
    assert "It can be ordered again." in preview(client, SORA, form)
    confirm(client, SORA, form)
    make_batch(account.api)


def test_who_comes_second_is_told_so_and_saves_nothing() -> None:
    first, second = model_form(deadline_seconds="600"), model_form(position="9")
    confirm(staff("sales ops"), SORA, first)
    response = confirm(staff("sales ops"), SORA, second)
    assert "Somebody has changed this model since you opened the page" in words_of(response)
    assert (saved().deadline_seconds, saved().position) == (600, 1)


def test_a_time_that_the_form_shows_to_the_second_is_not_changed_by_saving() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    CatalogueModel.objects.filter(pk="sora-2").update(deprecated_at=at)
    confirm(staff("sales ops"), SORA, model_form(position="7"))
    assert (saved().deprecated_at, saved().position) == (at, 7)
    assert event("model.change").detail["changes"] == {"position": [1, 7]}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"seconds": "4, eight"}, "This is no whole number of seconds: eight."),
        ({"seconds": "0, 4"}, "A clip has 1 to 3,600 seconds."),
        ({"seconds": " , "}, "This field is required."),
        ({"seconds": "²"}, "This is no whole number of seconds: ²."),
        ({"sizes": "1280x720, wide"}, "This is no size in pixels, such as 1280x720: wide."),
        ({"default_seconds": "5"}, "The default length must be one of the lengths on offer."),
        ({"default_seconds": "4.5"}, "Write a whole number without separators."),
        ({"deprecated_at": "tomorrow"}, "Write a time in UTC, such as 2026-12-31 00:00, or now."),
        ({"sunset_at": "2030-01-01 00:00"}, "A model is deprecated before it is retired"),
        ({"replacement": "sora-2"}, "Select a valid choice."),
        ({"route": "simulator"}, "Select a valid choice."),
        ({"position": "99999"}, "less than or equal to 32767"),
    ],
)
def test_what_cannot_be_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    client = staff("sales ops")
    assert words in preview(client, SORA, model_form(**wrong))
    assert words in words_of(confirm(client, SORA, model_form(**wrong)))
    assert not AuditEvent.objects.filter(action__startswith="model.").exists()


# --- a new model ---------------------------------------------------------------------------------------------------


def test_a_new_model_is_made_and_ordered_once_it_has_a_price(account: Account) -> None:
    route()
    client, form = staff("sales ops"), new_model(route="openai-eu", provider_model="sora-3-2026")
    assert "It can be ordered once a price list that names it is in force." in preview(client, NEW_MODEL, form)
    assert not CatalogueModel.objects.filter(pk="sora-3").exists()
    response = confirm(client, NEW_MODEL, form)
    assert response.redirect_chain[-1][0] == f"{MODELS}sora-3"
    made = saved("sora-3")
    assert (made.seconds, made.sizes, made.route_id) == ([4, 8], ["1280x720"], "openai-eu")
    assert event("model.create").detail["changes"]["provider_model"] == [None, "sora-3-2026"]
    ordered = {"request_id": "o", "items": [{"prompt": "A cat", "model": "sora-3"}]}
    assert code_of(account.api.post("/video-batch", ordered))[0] == 422
    confirm(client, NEW_PRICES, {**prices_form(effective_from="now"), "sora-3 credits": "7", "sora-3 seconds": "4"})
    assert account.api.post("/video-batch", ordered).json()["ledger"]["reserved"] == 7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sora-2", "There is a model of this name already."),
        ("new", "Take another name."),
        ("Sora 3", "Small letters, digits, dots and hyphens only."),
        ("../x", "Small letters, digits, dots and hyphens only."),
        ("", "This field is required."),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_words(name: str, words: str) -> None:
    assert words in words_of(confirm(staff("sales ops"), NEW_MODEL, new_model(name=name)))
    assert CatalogueModel.objects.count() == 3


# --- prices --------------------------------------------------------------------------------------------------------


def test_the_form_of_prices_begins_with_those_in_force() -> None:
    form = staff("sales ops").get(NEW_PRICES).context["form"]
    assert {offer.row.pk: (credits.value(), seconds.value()) for offer, credits, seconds in form.rows()} == {
        "sora-2": (10, 4), "sora-2-pro": (30, 4), "veo-3": (97, 8),
    }  # fmt: skip


def test_new_prices_are_shown_clip_by_clip_and_then_written_down_for_good() -> None:
    client, form = staff("sales ops"), prices_form(**{"sora-2 credits": "13"})
    page = preview(client, NEW_PRICES, form)
    assert "sora-2 10 for 4 s 13 for 4 s 4 s: 10 → 13 · 8 s: 20 → 26 · 12 s: 30 → 39" in page
    assert "veo-3 97 for 8 s 97 for 8 s 4 s: 49 · 6 s: 73 · 8 s: 97" in page
    assert PriceList.objects.count() == 1
    response = confirm(client, NEW_PRICES, form)
    assert response.redirect_chain[-1][0] == f"{PRICES}2030-01-01"
    assert "It never changes." in words_of(response)
    assert "sora-2 10 for 4 s 13 for 4 s" in words_of(response)
    written = event("prices.publish")
    assert (written.subject, written.detail["reason"]) == ("2030-01-01", "Inflation")
    assert written.detail["changes"] == {"sora-2": ["10 for 4 s", "13 for 4 s"]}
    lists = words_of(client.get(LIST))
    assert "2030-01-01 ○ to come 2030-01-01 00:00:00 Inflation" in lists
    assert "2026-01-24 ✓ in force" in lists
    assert "wrote the price list 2030-01-01 in force from 2030-01-01 00:00:00 UTC · Inflation" in lists


def test_prices_of_now_are_those_of_the_next_batch_and_of_no_earlier_one(account: Account) -> None:
    before = make_batch(account.api)
    confirm(staff("sales ops"), NEW_PRICES, prices_form(effective_from="now", **{"sora-2 credits": "11"}))
    after = make_batch(account.api, request_id="later")
    assert (before.credits, before.price_version, after.credits, after.price_version) == (
        10, "2026-01-24", 11, "2030-01-01",
    )  # fmt: skip
    page = words_of(staff().get(LIST))
    assert "2030-01-01 ✓ in force" in page
    assert "2026-01-24 − past" in page


def test_a_retired_model_keeps_its_last_price_so_that_an_order_is_told_what_replaces_it(account: Account) -> None:
    client = staff("sales ops")
    retired = model_form("veo-3", deprecated_at="now", sunset_at="now", replacement="sora-2")
    confirm(client, f"{MODELS}veo-3", retired)
    confirm(client, NEW_PRICES, prices_form(effective_from="now"))
    assert {price.model_id: price.credits for price in Price.objects.filter(price_list="2030-01-01")}["veo-3"] == 97
    ordered = {"request_id": "o", "items": [{"prompt": "A cat", "model": "veo-3"}]}
    assert code_of(account.api.post("/video-batch", ordered)) == (410, "model_retired")
    assert "veo-3 retired 97 for 8 s" in words_of(client.get(f"{PRICES}2030-01-01"))


def test_a_list_to_come_is_said_before_another_one_is_written() -> None:
    client = staff("sales ops")
    confirm(client, NEW_PRICES, prices_form())
    page = words_of(client.get(NEW_PRICES))
    assert "Another list is to come: 2030-01-01, from 2030-01-01 00:00:00 UTC on." in page


def test_a_list_for_the_same_time_replaces_the_one_before_it() -> None:
    client = staff("sales ops")
    confirm(client, NEW_PRICES, prices_form(**{"sora-2 credits": "99"}))
    confirm(client, NEW_PRICES, prices_form(version="2030-01-01b"))
    page = words_of(client.get(LIST))
    assert "2030-01-01b ○ to come" in page
    assert "2030-01-01 − replaced" in page
    assert "never: a later list has the same time" in words_of(client.get(f"{PRICES}2030-01-01"))
    assert [price.credits for price in catalogue(now=datetime(2031, 1, 1, tzinfo=UTC)).offered][:1] == [10]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"version": "2026-01-24"}, "There is a price list of this name already."),
        ({"version": "new"}, "Take another name."),
        ({"version": "a/b"}, "Small letters, digits, dots and hyphens only."),
        ({"effective_from": "2020-01-01 00:00"}, "Prices cannot change in the past. Take a time to come, or now."),
        ({"effective_from": "soon"}, "Write a time in UTC"),
        ({"reason": "  "}, "This field is required."),
        ({"sora-2 credits": "0"}, "greater than or equal to 1"),
        ({"sora-2 credits": "1,000"}, "Write a whole number without separators."),
        ({"sora-2 seconds": ""}, "This field is required."),
    ],
)
def test_prices_that_cannot_be_are_refused_in_words(wrong: dict[str, str], words: str) -> None:
    client = staff("sales ops")
    for response in (client.post(NEW_PRICES, prices_form(**wrong)), confirm(client, NEW_PRICES, prices_form(**wrong))):
        assert words in words_of(response)
    assert PriceList.objects.count() == 1


def test_a_price_list_is_never_edited() -> None:
    assert superuser().post(FIRST_PRICES, prices_form()).status_code == 405


# --- what every page keeps to --------------------------------------------------------------------------------------


def test_nothing_that_was_written_puts_marks_into_a_page() -> None:
    mark = "<script>alert(1)</script>"
    client = staff("sales ops")
    confirm(client, SORA, model_form(provider_model=mark))
    confirm(client, NEW_PRICES, prices_form(reason=mark))
    previews = [
        client.post(SORA, {**model_form(provider_model=f"{mark}2"), "step": "preview"}),
        client.post(NEW_PRICES, prices_form(version="other", reason=mark)),
        client.post(SORA, model_form(seconds=mark)),
    ]
    for response in (*previews, *(client.get(page) for page in (LIST, SORA, f"{PRICES}2030-01-01"))):
        assert response.status_code == 200
        assert mark not in response.content.decode()
        assert "&lt;script&gt;" in response.content.decode()


def test_the_history_is_of_the_catalogue_alone_and_goes_on_by_cursor(account: Account) -> None:
    make_batch(account.api)
    prices = [NewPrice("sora-2", 10, 4), NewPrice("sora-2-pro", 30, 4), NewPrice("veo-3", 97, 8)]
    now = timezone.now()
    for number in range(25):
        offering.publish_prices(
            version=f"v{number}", prices=prices, effective_from=now, reason="Again", actor="system", now=now
        )
    first = staff().get(LIST)
    assert [change.subject for change in first.context["history"].changes] == [f"v{n}" for n in range(24, 4, -1)]
    assert {change.who for change in first.context["history"].changes} == {"system"}
    second = staff().get(LIST, {"after": first.context["history"].page.next})
    assert [change.subject for change in second.context["history"].changes] == [f"v{n}" for n in range(4, -1, -1)]
    assert staff().get(LIST, {"after": "x' OR 1=1"}).status_code == 200
