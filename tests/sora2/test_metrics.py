"""The metrics: who may scrape them, what they say, and that they cost the same however much there is."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from batches.models import Item, ProviderRoute, RouteHealth, Stage
from batches.offering import pause_route
from batches.reconciliation import INVARIANTS, reconcile
from batches.sla.probing import probe
from customers.models import Mode
from ledger.models import ReconciliationRun, Seal
from tests.factories import Account, end_batch, make_batch
from tests.sora2.documents import table
from webhooks.endpoints import create_endpoint
from webhooks.models import Delivery, Endpoint

pytestmark = pytest.mark.django_db

Values = dict[tuple[str, ...], float]


@pytest.fixture(autouse=True)
def _debug(settings: Settings) -> None:
    settings.DEBUG, settings.METRICS_TOKEN = True, ""


def scrape(headers: Mapping[str, str] | None = None) -> Any:
    return Client().get("/metrics", headers=headers)


def values() -> dict[str, Values]:
    """Return what a scrape says: by the metric's name, the values by their labels' values."""
    response = scrape()
    assert (response.status_code, response.headers["Content-Type"][:25]) == (200, "text/plain; version=0.0.4")
    return {
        family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
        for family in text_string_to_metric_families(response.content.decode())
    }


# --- who -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("debug", [True, False])
def test_with_a_token_in_the_settings_a_scrape_needs_it(settings: Settings, debug: bool) -> None:
    settings.DEBUG, settings.METRICS_TOKEN = debug, "s3cret-ö"
    for authorization in ("Bearer s3cret-ö", "bearer s3cret-ö"):
        assert scrape({"Authorization": authorization}).status_code == 200
    refused = ["Bearer", "Bearer ", "Bearer s3cret", "Basic s3cret-ö", "s3cret-ö", ""]
    for response in [scrape(), *(scrape({"Authorization": authorization}) for authorization in refused)]:
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert b"sora2_" not in response.content


def test_without_a_token_in_the_settings_there_are_metrics_under_debug_only(settings: Settings) -> None:
    assert scrape().status_code == 200
    settings.DEBUG = False
    assert scrape().status_code == 404
    assert scrape({"Authorization": "Bearer "}).status_code == 404


def test_metrics_are_only_read() -> None:
    assert Client().post("/metrics").status_code == 405


# --- what ----------------------------------------------------------------------------------------------------------


def test_before_the_first_check_and_seal_nothing_is_said_of_them() -> None:
    said = values()
    for name in (
        "unexplained_rows",
        "reconciliation_age_seconds",
        "reconciliation_duration_seconds",
        "seal_age_seconds",
    ):
        assert said[f"sora2_{name}"] == {}


def test_credits_and_open_batches_by_mode(account: Account) -> None:
    end_batch(make_batch(account.api, 3))
    make_batch(account.api, 2, request_id="open")
    make_batch(account.test_api, 1)
    said = values()
    assert said["sora2_credits"] == {
        ("available", "live"): 950, ("reserved", "live"): 20, ("settled", "live"): 30,
        ("available", "test"): 990, ("reserved", "test"): 10, ("settled", "test"): 0,
    }  # fmt: skip
    assert said["sora2_batches_open"] == {("live",): 1, ("test",): 1}


def test_without_any_customer_there_are_zeros() -> None:
    said = values()
    assert set(said["sora2_credits"].values()) == {0}
    assert said["sora2_batches_open"] == {("live",): 0, ("test",): 0}


def test_the_last_check_says_how_many_rows_break_which_promise() -> None:
    now = timezone.now()
    reconcile(now=now - timedelta(days=1))
    ReconciliationRun.objects.create(
        started_at=now - timedelta(seconds=100),
        finished_at=now - timedelta(seconds=60),
        batches=1,
        entries=1,
        counts={"invariant_batch_items": 312},
        discrepancies=[{"subject": "bat_x"}] * 100,
    )
    said = values()
    rows = said["sora2_unexplained_rows"]
    assert rows.keys() == {(invariant.view,) for invariant in INVARIANTS}
    assert {name: count for (name,), count in rows.items() if count} == {"invariant_batch_items": 312}
    assert said["sora2_reconciliation_duration_seconds"] == {(): 40}
    assert 60 <= said["sora2_reconciliation_age_seconds"][()] < 120


def test_the_age_of_the_last_seal() -> None:
    now = timezone.now()
    for number, hours in ((1, 5), (2, 1)):
        texts = {"root": "", "previous": "", "body": "", "signature": "", "key_id": ""}
        Seal.objects.create(number=number, sealed_at=now - timedelta(hours=hours), wallets=0, **texts)
    assert 3600 <= values()["sora2_seal_age_seconds"][()] < 3660


def test_two_scrapes_say_the_same_of_the_same(account: Account) -> None:
    reconcile(now=timezone.now())
    first, second = values(), values()
    for name in ("sora2_credits", "sora2_batches_open", "sora2_unexplained_rows"):
        assert first[name] == second[name]


def test_a_scrape_takes_as_many_queries_however_much_there_is(account: Account, django_assert_num_queries: Any) -> None:
    reconcile(now=timezone.now())
    for number in range(5):
        with django_assert_num_queries(13):
            scrape()
        make_batch(account.api, request_id=f"order-{number}")
        ProviderRoute.objects.create(name=f"route-{number}", base_url="https://x.example")


# --- routes --------------------------------------------------------------------------------------------------------


def of_routes() -> dict[str, dict[str, float]]:
    """Return what is said of routes: by the metric's name without its prefix, the values by route."""
    prefix = "sora2_route_"
    return {
        name.removeprefix(prefix): {route: value for (route,), value in rows.items()}
        for name, rows in values().items()
        if name.startswith(prefix)
    }


def test_a_route_that_works_is_up_and_one_that_is_not_configured_is_not_spoken_of() -> None:
    said = of_routes()
    assert said["up"] == {"simulator": 1}
    assert {name: said[name]["simulator"] for name in said if name != "up"} == {
        "breaker_open": 0, "paused": 0, "in_flight": 0, "waiting": 0, "unanswered_seconds": 0,
    }  # fmt: skip


def test_a_paused_route_and_one_whose_breaker_is_open_are_not_up(account: Account) -> None:
    now = timezone.now()
    ProviderRoute.objects.create(name="down", base_url="https://x.example")
    RouteHealth.objects.create(route="down", opened_at=now, probe_at=now, unanswered_since=now - timedelta(minutes=2))
    pause_route(name="simulator", reason="x", actor="usr_1", now=now)
    batch = make_batch(account.api, 5)
    Item.objects.filter(batch=batch, index=0).update(status="running", stage=Stage.LOOKUP)
    Item.objects.filter(batch=batch, index=1).update(status="running", stage=Stage.POLL)
    Item.objects.filter(batch=batch, index=2).update(status="running", stage=Stage.COLLECT)
    said = of_routes()
    assert said["up"] == {"simulator": 0, "down": 0}
    assert (said["paused"], said["breaker_open"]) == ({"simulator": 1, "down": 0}, {"simulator": 0, "down": 1})
    assert (said["waiting"]["simulator"], said["in_flight"]["simulator"]) == (2, 2)
    assert (said["waiting"]["down"], said["in_flight"]["down"]) == (0, 0)
    assert 120 <= said["unanswered_seconds"]["down"] < 180


def test_a_route_that_is_not_configured_is_spoken_of_while_it_has_items(account: Account) -> None:
    make_batch(account.api).items.update(route="openai")
    said = of_routes()
    assert (said["up"]["openai"], said["waiting"]["openai"]) == (0, 1)


def test_items_that_nobody_takes_are_late_by_stage(account: Account) -> None:
    batch, now = make_batch(account.api, 4), timezone.now()
    stages = [(Stage.SUBMIT, 400), (Stage.LOOKUP, 300), (Stage.POLL, 200), (Stage.POLL, -90)]
    for index, (stage, seconds) in enumerate(stages):
        rows = Item.objects.filter(batch=batch, index=index)
        rows.update(status="running", stage=stage, due_at=now - timedelta(seconds=seconds))
    late = {stage: seconds for (_, stage), seconds in values()["sora2_items_due_late_seconds"].items()}
    assert {stage: seconds // 100 for stage, seconds in late.items()} == {
        "submit": 4, "lookup": 3, "poll": 2, "collect": 0,
    }  # fmt: skip
    Item.objects.filter(batch=batch, index=2).update(due_at=now + timedelta(seconds=60))
    assert values()["sora2_items_due_late_seconds"]["simulator", "poll"] == 0


# --- documentation -------------------------------------------------------------------------------------------------


def test_every_metric_is_documented_with_its_labels(account: Account) -> None:
    reconcile(now=timezone.now())
    Seal.objects.create(number=1, sealed_at=timezone.now(), wallets=0)
    probe(now=timezone.now(), base="http://127.0.0.1:9")
    families = text_string_to_metric_families(scrape().content.decode())
    labels = {family.name: ", ".join(f"`{name}`" for name in family.samples[0].labels) or "none" for family in families}
    assert {name: cells[0] for name, cells in table("reference/metrics.md", "Names").items()} == labels


def test_endpoints_that_fail_and_deliveries_that_nobody_takes(account: Account) -> None:
    fine, failing = (
        create_endpoint(organization=account.organization, mode=Mode.LIVE, url=f"https://example.com/{name}")[0]
        for name in ("fine", "failing")
    )

    def late() -> float:
        return values()["sora2_webhooks_due_late_seconds"][()]

    Endpoint.objects.filter(pk=failing.pk).update(failing_since=timezone.now())
    assert late() == 0
    end_batch(make_batch(account.api))
    Delivery.objects.update(due_at=timezone.now() - timedelta(minutes=5))
    Delivery.objects.filter(endpoint=failing).update(due_at=timezone.now() - timedelta(days=5))
    assert 300 <= late() < 400
    assert values()["sora2_webhook_endpoints_failing"] == {("live",): 1, ("test",): 0}
    Endpoint.objects.filter(pk=fine.pk).update(paused_until=timezone.now() + timedelta(minutes=1))
    assert late() == 0
