"""Changing what is on offer: routes, models and prices; what is written down of it, and what never is."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings

from batches import offering
from batches.catalogue import catalogue, route_named, routing
from batches.execution.queue import claim_submits
from batches.models import Attempt, CatalogueModel, Output, Price, PriceList, ProviderRoute, Stage, Status
from batches.offering import NewPrice, OfferRefused
from customers.models import AuditEvent, Mode
from sora2.crypto import decrypt
from tests.batches.engine import customer_with, drive, submit, the_route
from tests.batches.offers import STAFF, change_model, publish, retire
from tests.batches.provider_faults import simulator
from tests.connections import at_once

pytestmark = pytest.mark.django_db

KEY, OTHER_KEY = "sk-live-the-providers-key", "sk-live-another-key"
NOW = timezone.now()


def farm(**fields: Any) -> ProviderRoute:
    """Return a route as a form brings it: without its key."""
    return ProviderRoute(**{"name": "farm", "kind": "openai-form", "base_url": "http://127.0.0.1:9/v1", **fields})


def save(route: ProviderRoute, new_key: str | None = None) -> None:
    offering.save_route(route=route, actor=STAFF, new_key=new_key)


def stored_key() -> str:
    """Return the key in the farm's row, as it is stored."""
    return ProviderRoute.objects.get(pk="farm").api_key_encrypted


def audited() -> list[tuple[str, str, dict[str, Any]]]:
    """Return what was done, to what, and its detail; all by the same member of staff."""
    events = AuditEvent.objects.order_by("pk")
    assert {event.actor for event in events} <= {STAFF}
    return [(event.action, event.subject, event.detail) for event in events]


# --- routes --------------------------------------------------------------------------------------------------------


def test_a_new_route_is_written_down_with_all_that_it_is() -> None:
    save(farm(max_in_flight=7))
    ((action, subject, detail),) = audited()
    assert (action, subject) == ("route.create", "farm")
    assert detail["changes"]["base_url"] == [None, "http://127.0.0.1:9/v1"]
    assert detail["changes"]["max_in_flight"] == [None, 7]
    assert (event := AuditEvent.objects.get()).outcome == "done"
    assert (event.organization_id, event.at >= NOW) == (None, True)


def test_of_a_changed_route_only_what_changed_is_written_down() -> None:
    save(farm())
    save(farm(base_url="https://farm.example/v1", submits_per_minute=60))
    assert audited()[1:] == [
        (
            "route.change",
            "farm",
            {
                "changes": {
                    "base_url": ["http://127.0.0.1:9/v1", "https://farm.example/v1"],
                    "submits_per_minute": [None, 60],
                }
            },
        )
    ]


def test_saving_a_route_as_it_is_is_no_change() -> None:
    save(farm(), KEY)
    before = audited()
    save(farm())
    save(ProviderRoute.objects.get(pk="farm"))
    assert audited() == before


def test_a_key_is_encrypted_where_it_is_stored_and_written_down_nowhere() -> None:
    save(farm(), KEY)
    save(farm(), OTHER_KEY)
    with connection.cursor() as cursor:
        cursor.execute("SELECT r.* FROM batches_route r WHERE name = 'farm'")
        row = str(cursor.fetchone())
        cursor.execute("SELECT to_jsonb(e)::text FROM customers_auditevent e")
        events = str(cursor.fetchall())
    route = route_named("farm")
    assert route is not None
    assert (route.api_key, decrypt(stored_key())) == (OTHER_KEY, OTHER_KEY)
    for secret in (KEY, OTHER_KEY, stored_key()):
        assert secret not in events
        assert secret not in repr(route)
    assert KEY not in row
    assert OTHER_KEY not in row
    assert [detail["changes"].get("api_key") for _, _, detail in audited()] == [
        ["(none)", "(not shown)"],
        ["(not shown)", "(not shown)"],
    ]


def test_a_key_stays_when_none_is_given_and_goes_when_an_empty_one_is() -> None:
    save(farm(), KEY)
    save(farm(base_url="https://farm.example/v1"))
    assert decrypt(stored_key()) == KEY
    save(farm(base_url="https://farm.example/v1"), "")
    assert stored_key() == ""
    assert audited()[-1][2] == {"changes": {"api_key": ["(not shown)", "(none)"]}}
    before = audited()
    save(farm(base_url="https://farm.example/v1"), "")
    assert audited() == before


def test_a_key_may_be_named_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_KEY", KEY)
    save(farm(api_key_variable="FARM_KEY"))
    named = route_named("farm")
    save(farm(api_key_variable="FARM_KEY"), OTHER_KEY)
    stored = route_named("farm")
    assert named is not None
    assert stored is not None
    assert (named.api_key, stored.api_key) == (KEY, OTHER_KEY)


def test_a_key_in_an_address_is_refused_as_addresses_are_shown() -> None:
    with pytest.raises(OfferRefused, match="by itself"):
        save(farm(base_url=f"https://user:{KEY}@farm.example/v1"))
    assert not ProviderRoute.objects.filter(pk="farm").exists()
    assert audited() == []


# --- pause and resume ----------------------------------------------------------------------------------------------


def pause(reason: str = "Their quota is used up", name: str = "openai") -> None:
    offering.pause_route(name=name, reason=reason, actor=STAFF, now=NOW)


def test_a_pause_says_who_when_and_why() -> None:
    pause("  Their quota is used up ")
    route = ProviderRoute.objects.get(pk="openai")
    assert (route.paused_at, route.paused_by, route.paused_reason) == (NOW, STAFF, "Their quota is used up")
    assert audited() == [("route.pause", "openai", {"reason": "Their quota is used up"})]


def test_pausing_twice_is_one_pause() -> None:
    pause()
    offering.pause_route(name="openai", reason="Another one", actor="usr_bob", now=NOW + timedelta(hours=1))
    route = ProviderRoute.objects.get(pk="openai")
    assert (route.paused_at, route.paused_by, route.paused_reason) == (NOW, STAFF, "Their quota is used up")
    assert len(audited()) == 1


def test_resuming_takes_the_pause_back_once() -> None:
    pause()
    for _ in range(2):
        offering.resume_route(name="openai", actor=STAFF)
    route = ProviderRoute.objects.get(pk="openai")
    assert (route.paused_at, route.paused_by, route.paused_reason) == (None, "", "")
    assert [action for action, _, _ in audited()] == ["route.pause", "route.resume"]


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_pause_needs_a_reason(reason: str) -> None:
    with pytest.raises(OfferRefused, match="Say why"):
        pause(reason)
    assert ProviderRoute.objects.get(pk="openai").paused_at is None
    assert audited() == []


def test_a_change_of_a_paused_route_leaves_it_paused() -> None:
    save(farm())
    pause(name="farm")
    save(farm(max_in_flight=3))
    route = ProviderRoute.objects.get(pk="farm")
    assert (route.paused_at, route.paused_by, route.max_in_flight) == (NOW, STAFF, 3)
    assert (found := route_named("farm")) is not None
    assert found.is_paused


# --- models --------------------------------------------------------------------------------------------------------


def test_a_new_model_is_written_down() -> None:
    wan = CatalogueModel(name="wan", seconds=[5], default_seconds=5, sizes=["832x480"], deprecated_at=NOW)
    assert offering.save_model(model=wan, actor=STAFF) == 0
    ((action, subject, detail),) = audited()
    assert (action, subject) == ("model.create", "wan")
    assert detail["changes"]["seconds"] == [None, [5]]
    assert detail["changes"]["deprecated_at"] == [None, NOW.isoformat()]


def test_of_a_changed_model_only_what_changed_is_written_down() -> None:
    change_model("veo-3", sizes=["1280x720"], replacement_id="sora-2-pro", deadline_seconds=900)
    sizes = ["1280x720", "720x1280", "1920x1080", "1080x1920"]
    assert audited() == [
        (
            "model.change",
            "veo-3",
            {
                "changes": {
                    "sizes": [sizes, ["1280x720"]],
                    "replacement": [None, "sora-2-pro"],
                    "deadline_seconds": [None, 900],
                }
            },
        )
    ]
    change_model("veo-3")
    assert len(audited()) == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"default_seconds": 5}, "one of the lengths"),
        ({"seconds": [8, 12]}, "one of the lengths"),
        ({"sunset_at": NOW}, "deprecated before it is retired"),
        ({"deprecated_at": NOW, "sunset_at": NOW - timedelta(seconds=1)}, "deprecated before it is retired"),
        ({"replacement_id": "sora-2"}, "its own replacement"),
        ({"route_id": "simulator"}, "not simulated"),
    ],
)
def test_a_model_that_makes_no_sense_is_refused(fields: dict[str, Any], says: str) -> None:
    before = CatalogueModel.objects.values().get(pk="sora-2")
    with pytest.raises(OfferRefused, match=says):
        change_model("sora-2", **fields)
    assert CatalogueModel.objects.values().get(pk="sora-2") == before
    assert audited() == []


def test_a_model_may_be_deprecated_and_retired_at_the_same_moment() -> None:
    change_model("sora-2", deprecated_at=NOW, sunset_at=NOW)
    assert catalogue(now=NOW).models["sora-2"].status == "retired"


# --- a model on another route --------------------------------------------------------------------------------------


def test_a_model_takes_along_its_live_items_that_wait_and_nothing_else() -> None:
    live, test = customer_with(1000), customer_with(1000, mode=Mode.TEST)
    batch = submit(live, ["in flight", "refused", "ended", "waits"])
    for index, fields in {
        0: {"status": Status.RUNNING, "stage": Stage.POLL, "attempts_made": 1},
        1: {"status": Status.RUNNING, "stage": Stage.SUBMIT, "attempts_made": 1},
    }.items():
        batch.items.filter(index=index).update(**fields)
    ended = {"stage": None, "due_at": None, "finished_at": NOW, "failure_type": "timeout"}
    batch.items.filter(index=2).update(status=Status.FAILED, **ended)
    other = submit(live, [], items=[{"prompt": "another model", "model": "veo-3"}])
    played = submit(test, ["a test"])
    save(farm())
    assert change_model("sora-2", route_id="farm") == 2
    routes = batch.items.order_by("index").values_list("route", flat=True)
    assert list(routes) == ["simulator", "farm", "simulator", "farm"]
    assert (other.items.get().route, played.items.get().route) == ("simulator", "simulator")
    assert audited()[-1][2]["changes"] == {"route": [None, "farm"], "waiting_items_moved": [0, 2]}


def test_new_live_orders_follow_a_model_to_its_route_and_test_orders_do_not() -> None:
    save(farm())
    change_model("sora-2", route_id="farm")
    assert routing(Mode.LIVE)["sora-2"] == "farm"
    assert set(routing(Mode.TEST).values()) == {"simulator"}
    assert submit(customer_with(100), ["a"]).items.get().route == "farm"
    assert submit(customer_with(100, mode=Mode.TEST), ["a"]).items.get().route == "simulator"


def test_a_model_without_a_route_any_more_takes_its_items_to_the_usual_one(settings: Settings) -> None:
    save(farm())
    change_model("sora-2", route_id="farm")
    batch = submit(customer_with(100), ["a", "b"])
    settings.PROVIDER_OPENAI_BASE_URL = "http://127.0.0.1:9/v1"
    assert change_model("sora-2", route_id=None) == 2
    assert set(batch.items.values_list("route", flat=True)) == {"openai"}
    settings.PROVIDER_OPENAI_BASE_URL = ""
    assert change_model("sora-2", route_id="farm") == 2
    assert change_model("sora-2", route_id=None) == 2
    assert set(batch.items.values_list("route", flat=True)) == {"simulator"}


@pytest.mark.usefixtures("provider")
def test_what_has_moved_is_made_by_the_other_provider_by_its_name_of_the_model() -> None:
    batch = submit(customer_with(100), ["a", "b"])
    with simulator() as elsewhere:
        save(farm(kind="openai", base_url=elsewhere.base_url))
        assert change_model("sora-2", route_id="farm", provider_model="their/sora") == 2
        assert drive(batch, route="farm").state == "completed"
    attempts = Attempt.objects.filter(item__batch=batch)
    assert set(attempts.values_list("route", "model", "state")) == {("farm", "their/sora", "succeeded")}
    assert Output.objects.filter(item__batch=batch).count() == 2


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(3))
def test_an_item_is_claimed_on_its_old_route_or_moves_and_never_both(turn: int) -> None:
    batch = submit(customer_with(1000), ["a"] * 60)
    save(farm())
    route = the_route()
    claimed, moved = at_once(
        lambda: len(claim_submits(route=route, terms={}, retired=[], count=30, now=timezone.now())),
        lambda: change_model("sora-2", route_id="farm"),
    )
    assert isinstance(claimed, int), claimed
    assert isinstance(moved, int), moved
    in_flight = batch.items.filter(stage=Stage.LOOKUP)
    assert (in_flight.count(), set(in_flight.values_list("route", flat=True))) == (
        claimed,
        {"simulator"} if claimed else set(),
    )
    assert batch.items.filter(stage=Stage.SUBMIT, route="farm").count() == moved == 60 - claimed


# --- prices --------------------------------------------------------------------------------------------------------

PRICES = (NewPrice("sora-2", 10, 4), NewPrice("sora-2-pro", 30, 4), NewPrice("veo-3", 97, 8))


def publish_as(**changed: Any) -> PriceList:
    """Publish the usual prices from an hour on, but for what is said."""
    usual = {"version": "v2", "prices": list(PRICES), "effective_from": NOW + timedelta(hours=1), "reason": "Costs"}
    return offering.publish_prices(**{**usual, "actor": STAFF, "now": NOW, **changed})


def test_published_prices_are_written_down_with_who_why_and_what_they_were() -> None:
    made = publish_as(version=" v2 ", prices=[NewPrice("sora-2", 12, 4), *PRICES[1:]], reason=" Costs rose ")
    assert (made.pk, made.created_by, made.reason) == ("v2", STAFF, "Costs rose")
    assert made.effective_from == NOW + timedelta(hours=1)
    assert set(made.prices.values_list("model", "credits", "base_seconds")) == {
        ("sora-2", 12, 4),
        ("sora-2-pro", 30, 4),
        ("veo-3", 97, 8),
    }
    assert audited() == [
        (
            "prices.publish",
            "v2",
            {
                "effective_from": made.effective_from.isoformat(),
                "reason": "Costs rose",
                "changes": {"sora-2": ["10 for 4 s", "12 for 4 s"]},
            },
        )
    ]


def test_prices_may_change_at_once() -> None:
    publish_as(effective_from=NOW, prices=[NewPrice("sora-2", 12, 4), *PRICES[1:]])
    assert catalogue(now=NOW).models["sora-2"].credits == 12
    assert catalogue(now=NOW - timedelta(seconds=1)).models["sora-2"].credits == 10


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no version": ({"version": " "}, "a version that no other has"),
    "a version that is taken": ({"version": "2026-01-24"}, "a version that no other has"),
    "no reason": ({"reason": "\n "}, "Say why"),
    "in the past": ({"effective_from": NOW - timedelta(microseconds=1)}, "in the past"),
    "a gap": ({"prices": list(PRICES[:2])}, "Missing: veo-3"),
    "nothing": ({"prices": []}, "Missing: sora-2, sora-2-pro, veo-3"),
    "an unknown model": ({"prices": [*PRICES, NewPrice("sora-1", 1, 1)]}, "no such model: sora-1"),
    "twice": ({"prices": [*PRICES, NewPrice("veo-3", 1, 1)]}, "each model once"),
    "for nothing": ({"prices": [NewPrice("sora-2", 0, 4), *PRICES[1:]]}, "at least one credit"),
    "for no time": ({"prices": [NewPrice("sora-2", 1, 0), *PRICES[1:]]}, "at least one second"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_prices_that_make_no_sense_are_refused_and_nothing_of_them_is_stored(case: str) -> None:
    changed, says = REFUSED[case]
    before = PriceList.objects.count(), Price.objects.count()
    with pytest.raises(OfferRefused, match=says):
        publish_as(**changed)
    assert (PriceList.objects.count(), Price.objects.count()) == before
    assert audited() == []


def test_a_deprecated_model_needs_a_price_and_a_retired_one_keeps_its_last() -> None:
    change_model("veo-3", deprecated_at=NOW)
    with pytest.raises(OfferRefused, match="Missing: veo-3"):
        publish_as(prices=list(PRICES[:2]))
    retire("veo-3", at=NOW)
    publish_as(prices=list(PRICES[:2]), effective_from=NOW)
    veo = catalogue(now=NOW).models["veo-3"]
    assert (veo.status, veo.credits, veo.base_seconds) == ("retired", 97, 8)


def test_a_version_is_published_once() -> None:
    publish("v2")
    with pytest.raises(OfferRefused, match="no other has"):
        publish("v2")
    assert Price.objects.filter(price_list="v2").count() == 3
    assert [action for action, _, _ in audited()] == ["prices.publish"]


@pytest.mark.django_db(transaction=True)
def test_of_two_who_publish_a_version_at_once_one_does() -> None:
    results = at_once(*[lambda: publish("v2")] * 4)
    assert sorted(type(result).__name__ for result in results) == ["OfferRefused"] * 3 + ["PriceList"]
    assert Price.objects.filter(price_list="v2").count() == 3
    assert [action for action, _, _ in audited()] == ["prices.publish"]


@pytest.mark.owner
@pytest.mark.parametrize("table", ["batches_price", "batches_pricelist"])
@pytest.mark.parametrize("change", ["UPDATE {} SET {} = {}", "DELETE FROM {}"])
def test_what_was_once_on_a_list_stays(table: str, change: str) -> None:
    column = "credits" if table == "batches_price" else "reason"
    with (
        pytest.raises(DatabaseError, match="never changes"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(change.format(table, column, column))
