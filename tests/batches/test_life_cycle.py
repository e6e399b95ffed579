"""Models as customers see them come and go: active, deprecated, retired; their prices, and what runs meanwhile."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone
from django.utils.http import http_date

from batches import offering, tasks
from batches.execution import submit as submitting
from batches.execution.queue import claim_submits
from batches.execution.submit import submit_due
from batches.failures import FailureType
from batches.models import Batch, CatalogueModel, Item, Output, Stage
from batches.providers import NotAccepted
from batches.simulator.server import SimulatorServer
from customers.models import AuditEvent
from ledger.models import Entry
from sora2.times import timestamp
from tests.batches.engine import drive, one_turn, the_route
from tests.batches.offers import STAFF, change_model, publish, retire
from tests.factories import Account, Api, code_of, end_batch, make_account, make_batch, order

pytestmark = pytest.mark.django_db

CREATE, QUOTE = "/video-batch", "/video-batch/quote"
# A whole second: headers say no more.
SOON = timezone.now().replace(microsecond=0) + timedelta(days=30)


def order_of(*items: dict[str, Any], request_id: str = "order-1", **fields: Any) -> dict[str, Any]:
    """Return the body of a batch of these items."""
    return {"request_id": request_id, "items": [{"prompt": "A cat", **item} for item in items], **fields}


def made(api: Api, *items: dict[str, Any], **fields: Any) -> Batch:
    response = api.post(CREATE, order_of(*items, **fields))
    assert response.status_code == 201, response.content
    return Batch.objects.get(pk=response.json()["batch_id"])


def listed(api: Api) -> dict[str, dict[str, Any]]:
    """Return the catalogue by name, in its order."""
    return {model["name"]: model for model in api.get("/models").json()["data"]}


def nothing_is_stored() -> bool:
    return not (Batch.objects.exists() or Item.objects.exists() or Entry.objects.filter(kind="reserve").exists())


# --- deprecated ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "status"), [(CREATE, 201), (QUOTE, 200)])
def test_a_deprecated_model_is_accepted_with_a_warning(account: Account, path: str, status: int) -> None:
    since = datetime(2020, 1, 1, tzinfo=UTC)
    change_model("sora-2-pro", deprecated_at=since, sunset_at=SOON, replacement_id="veo-3")
    response = account.api.post(path, order_of({}, {"model": "sora-2-pro"}))
    assert response.status_code == status
    assert response.headers["Deprecation"] == f"@{int(since.timestamp())}" == "@1577836800"
    assert response.headers["Sunset"] == http_date(SOON.timestamp())


@pytest.mark.parametrize(("path", "status"), [(CREATE, 201), (QUOTE, 200)])
def test_who_orders_nothing_deprecated_is_not_warned(account: Account, path: str, status: int) -> None:
    change_model("sora-2-pro", deprecated_at=timezone.now(), sunset_at=SOON)
    change_model("veo-3", deprecated_at=SOON, sunset_at=SOON)
    response = account.api.post(path, order_of({}, {"model": "veo-3"}))
    assert response.status_code == status
    assert {"Deprecation", "Sunset"}.isdisjoint(response.headers)


def test_a_deprecation_without_an_end_says_no_end(account: Account) -> None:
    change_model("sora-2", deprecated_at=timezone.now())
    response = account.api.post(CREATE, order())
    assert "Deprecation" in response.headers
    assert "Sunset" not in response.headers


def test_of_several_deprecated_models_the_first_of_each_time_is_told(account: Account) -> None:
    now = timezone.now()
    change_model("sora-2", deprecated_at=now - timedelta(days=2), sunset_at=SOON + timedelta(days=5))
    change_model("veo-3", deprecated_at=now - timedelta(days=1), sunset_at=SOON)
    response = account.api.post(CREATE, order_of({"model": "veo-3"}, {}))
    assert response.headers["Deprecation"] == f"@{int((now - timedelta(days=2)).timestamp())}"
    assert response.headers["Sunset"] == http_date(SOON.timestamp())


# --- retired -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [CREATE, QUOTE])
@pytest.mark.parametrize("replacement", ["sora-2-pro", None])
def test_a_retired_model_is_gone_and_its_replacement_named(
    account: Account, path: str, replacement: str | None
) -> None:
    retire("veo-3", replacement=replacement)
    response = account.api.post(path, order_of({}, {"model": "veo-3"}))
    assert code_of(response) == (410, "model_retired")
    assert response.json()["replacement"] == replacement
    assert "veo-3" in response.json()["detail"]
    assert nothing_is_stored()
    audited = [(event.subject, event.outcome) for event in AuditEvent.objects.filter(action="batch.submit")]
    assert audited == ([("order-1", "model_retired")] if path == CREATE else [])


def test_the_model_of_who_names_none_can_be_retired(account: Account) -> None:
    retire("sora-2", replacement="sora-2-pro")
    response = account.api.post(CREATE, order())
    assert (code_of(response), response.json()["replacement"]) == ((410, "model_retired"), "sora-2-pro")


def test_a_model_is_retired_from_its_sunset_on() -> None:
    account = make_account()
    change_model("sora-2", deprecated_at=SOON, sunset_at=SOON)
    with time_machine.travel(SOON - timedelta(seconds=1), tick=False):
        assert account.api.post(CREATE, order()).status_code == 201
    with time_machine.travel(SOON, tick=False):
        assert code_of(account.api.post(CREATE, order(request_id="later"))) == (410, "model_retired")


@pytest.mark.parametrize("fault", [{"seconds": 5}, {"size": "1x1"}, {"prompt": ""}, {"colour": "red"}])
def test_faults_are_told_before_a_retired_model(account: Account, fault: dict[str, Any]) -> None:
    retire("sora-2")
    for path in (CREATE, QUOTE):
        response = account.api.post(path, order_of({}, fault))
        assert code_of(response) == (422, "validation_error")
        assert [said["pointer"] for said in response.json()["errors"]] == [f"/items/1/{next(iter(fault))}"]


def test_a_retired_model_is_told_before_the_price() -> None:
    account = make_account(0)
    retire("sora-2")
    assert code_of(account.api.post(CREATE, order(1, max_credits=1))) == (410, "model_retired")


def test_a_replay_answers_even_when_its_model_has_been_retired_since(account: Account) -> None:
    batch = make_batch(account.api)
    retire("sora-2")
    response = account.api.post(CREATE, order())
    assert (response.status_code, response.json()["batch_id"]) == (200, batch.pk)
    assert code_of(account.api.post(CREATE, order(2))) == (422, "request_id_reused")


def test_who_names_an_unknown_model_is_told_what_is_on_offer(account: Account) -> None:
    retire("sora-2-pro")
    change_model("veo-3", deprecated_at=timezone.now())
    (fault,) = account.api.post(CREATE, order_of({"model": "sora-1"})).json()["errors"]
    assert fault == {"pointer": "/items/0/model", "code": "unknown_model", "detail": "Choose one of: sora-2, veo-3."}


# --- the catalogue -------------------------------------------------------------------------------------------------


def test_the_catalogue_says_where_a_model_is_in_its_life(account: Account) -> None:
    gone = SOON + timedelta(days=30)
    change_model("sora-2", deprecated_at=SOON, sunset_at=gone, replacement_id="sora-2-pro")
    for at, status in (
        (SOON - timedelta(seconds=1), "active"),
        (SOON, "deprecated"),
        (gone - timedelta(seconds=1), "deprecated"),
        (gone, "retired"),
    ):
        with time_machine.travel(at, tick=False):
            said = listed(account.api)["sora-2"]
        assert (said["status"], said["sunset_at"], said["replacement"]) == (status, timestamp(gone), "sora-2-pro")
    assert [(m["status"], m["sunset_at"], m["replacement"]) for m in list(listed(account.api).values())[1:]] == [
        ("active", None, None)
    ] * 2


def test_a_retired_model_is_told_of_under_prices_that_do_not_name_it_any_more(account: Account) -> None:
    retire("veo-3", replacement="sora-2-pro")
    publish("without veo")
    said = listed(account.api)["veo-3"]
    assert (said["status"], said["replacement"]) == ("retired", "sora-2-pro")
    assert code_of(account.api.post(CREATE, order_of({"model": "veo-3"}))) == (410, "model_retired")


# --- prices --------------------------------------------------------------------------------------------------------


def test_prices_count_from_their_moment(account: Account) -> None:
    publish("dearer", {"sora-2": (12, 4)}, effective_from=SOON)
    with time_machine.travel(SOON - timedelta(seconds=1), tick=False):
        before = make_batch(account.api, 1, request_id="before")
        assert listed(account.api)["sora-2"]["price_version"] == "2026-01-24"
    with time_machine.travel(SOON, tick=False):
        quoted = account.api.post(QUOTE, order(2)).json()
        after = make_batch(account.api, 1, request_id="after")
        said = listed(account.api)["sora-2"]
    assert (before.credits, before.price_version) == (10, "2026-01-24")
    assert (after.credits, after.price_version) == (12, "dearer")
    assert (quoted["credits"], quoted["price_version"]) == (24, "dearer")
    assert (said["credits"], said["price_version"]) == (12, "dearer")


def test_of_two_lists_in_force_from_one_moment_the_later_one_counts(account: Account) -> None:
    now = timezone.now()
    publish("a mistake", {"sora-2": (1000, 4)}, effective_from=SOON, now=now)
    publish("its correction", {"sora-2": (11, 4)}, effective_from=SOON, now=now)
    with time_machine.travel(SOON):
        assert make_batch(account.api).price_version == "its correction"


def test_a_batch_is_charged_what_it_was_accepted_at(account: Account) -> None:
    batch = made(account.api, {}, {"seconds": 8}, {"model": "veo-3", "seconds": 4})
    publish("dearer", {"sora-2": (100, 4), "veo-3": (1, 8)})
    end_batch(batch, failed={1: FailureType.TIMEOUT})
    assert list(batch.items.order_by("index").values_list("credits", flat=True)) == [10, 20, 49]
    assert (batch.price_version, batch.credits, batch.settled, batch.refunded) == ("2026-01-24", 79, 59, 20)
    replayed = account.api.post(CREATE, order_of({}, {"seconds": 8}, {"model": "veo-3", "seconds": 4})).json()
    assert (replayed["price_version"], replayed["ledger"]["reserved"]) == ("2026-01-24", 79)
    assert account.figures() == (1000 - 59, 0, 59)


# --- other models --------------------------------------------------------------------------------------------------


def offer_wan() -> None:
    """Put a model on the list that is like none that was there: no price yet, so nobody can order it."""
    wan = CatalogueModel(
        name="wan-2.2_t2v", seconds=[2, 5, 10], default_seconds=5, sizes=["832x480", "480x832"], position=9
    )
    offering.save_model(model=wan, actor=STAFF)


def test_a_model_is_on_offer_once_it_has_a_price(account: Account) -> None:
    offer_wan()
    assert "wan-2.2_t2v" not in listed(account.api)
    faults = account.api.post(QUOTE, order_of({"model": "wan-2.2_t2v"})).json()["errors"]
    assert [fault["code"] for fault in faults] == ["unknown_model"]
    publish("with wan", {"wan-2.2_t2v": (7, 5)}, effective_from=SOON)
    assert "wan-2.2_t2v" not in listed(account.api)
    with time_machine.travel(SOON):
        assert list(listed(account.api).values())[-1] == {
            "name": "wan-2.2_t2v",
            "credits": 7,
            "base_seconds": 5,
            "seconds": [2, 5, 10],
            "default_seconds": 5,
            "sizes": ["832x480", "480x832"],
            "status": "active",
            "sunset_at": None,
            "replacement": None,
            "price_version": "with wan",
        }


def test_a_model_of_another_kind_works_from_the_quote_to_the_video(provider: SimulatorServer, account: Account) -> None:
    offer_wan()
    publish("with wan", {"wan-2.2_t2v": (7, 5)})
    items: Sequence[dict[str, Any]] = (
        {"model": "wan-2.2_t2v"},
        {"model": "wan-2.2_t2v", "seconds": 2, "size": "480x832"},
        {"model": "wan-2.2_t2v", "seconds": 10, "prompt": "A dog [[fail:content_refused]]"},
    )
    quoted = account.api.post(QUOTE, order_of(*items)).json()
    assert [(line["seconds"], line["unit_credits"]) for line in quoted["lines"]] == [(2, 3), (5, 7), (10, 14)]
    batch = made(account.api, *items)
    assert (batch.credits, quoted["credits"]) == (24, 24)
    assert drive(batch).state == "partial"
    said = account.api.get(f"/video-batch/{batch.pk}/items").json()["data"]
    assert [(item["model"], item["seconds"], item["size"], item["status"]) for item in said] == [
        ("wan-2.2_t2v", 5, "832x480", "succeeded"),
        ("wan-2.2_t2v", 2, "480x832", "succeeded"),
        ("wan-2.2_t2v", 10, "832x480", "refunded"),
    ]
    lengths = Output.objects.filter(item__batch=batch).order_by("item__index").values_list("duration_ms", flat=True)
    assert list(lengths) == [pytest.approx(5000, abs=100), pytest.approx(2000, abs=100)]
    assert (batch.settled, batch.refunded) == (10, 14)


def test_what_a_model_does_not_make_is_a_fault(account: Account) -> None:
    offer_wan()
    publish("with wan", {"wan-2.2_t2v": (7, 5)})
    response = account.api.post(QUOTE, order_of({"model": "wan-2.2_t2v", "seconds": 4, "size": "1280x720"}))
    assert [(fault["pointer"], fault["detail"]) for fault in response.json()["errors"]] == [
        ("/items/0/seconds", "wan-2.2_t2v makes clips of 2, 5, 10 seconds (a number)."),
        ("/items/0/size", "wan-2.2_t2v makes sizes 832x480, 480x832."),
    ]


# --- priority ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("priority", ["low", "normal", "high", None])
def test_a_priority_is_said_where_one_was_asked_for(account: Account, priority: str | None) -> None:
    answer = account.api.post(CREATE, order(1, priority=priority)).json()
    expected = None if priority in (None, "normal") else priority
    assert answer.get("priority") == expected
    assert ("priority" in answer) is (expected is not None)
    assert account.api.get(f"/video-batch/{answer['batch_id']}").json().get("priority") == expected
    assert account.api.get("/video-batch").json()["data"][0].get("priority") == expected


@pytest.mark.parametrize("priority", ["urgent", "HIGH", "", 1, 0, True, ["high"], {}])
def test_another_priority_is_a_fault(account: Account, priority: Any) -> None:
    for path in (CREATE, QUOTE):
        response = account.api.post(path, order(1, priority=priority))
        assert code_of(response) == (422, "validation_error")
        assert [(fault["pointer"], fault["code"]) for fault in response.json()["errors"]] == [("/priority", "invalid")]


# --- what runs while a model is retired ----------------------------------------------------------------------------


def test_what_waits_for_a_retired_model_is_refunded_and_what_was_submitted_runs_on(
    provider: SimulatorServer, account: Account
) -> None:
    pro = {"model": "sora-2-pro"}
    batch = made(account.api, pro, pro, pro, pro, {"model": "sora-2"})
    submit_due(the_route(max_in_flight=2))
    retire("sora-2-pro", replacement="veo-3")
    for _ in range(3):
        one_turn(the_route())
    waiting = batch.items.filter(status="pending")
    assert list(waiting.values_list("model", flat=True)) == ["sora-2-pro"] * 2
    tasks.waiting()
    assert drive(batch).state == "partial"
    assert (batch.settled, batch.refunded) == (30 + 30 + 10, 60)
    assert account.figures() == (1000 - 70, 0, 70)
    said = account.api.get(f"/video-batch/{batch.pk}/items", failure_type="model_retired").json()["data"]
    assert [(item["index"], item["status"], item["attempts"]) for item in said] == [
        (2, "refunded", 0),
        (3, "refunded", 0),
    ]
    assert said[0]["failure"]["retryable"] is False
    assert account.api.get(f"/video-batch/{batch.pk}/ledger").json()["balanced"] is True


def test_a_sunset_that_comes_while_a_batch_waits_ends_what_waits(account: Account) -> None:
    batch = made(account.api, {}, {"model": "veo-3"})
    now = timezone.now()
    first, second = now + timedelta(hours=1), now + timedelta(hours=2)
    change_model("sora-2", deprecated_at=now, sunset_at=first)
    change_model("veo-3", deprecated_at=now, sunset_at=second)
    tasks.waiting()
    assert batch.items.filter(status="pending").count() == 2
    with time_machine.travel(first):
        tasks.waiting()
    assert list(batch.items.order_by("index").values_list("status", flat=True)) == ["failed", "pending"]
    assert account.figures() == (1000 - 107, 107, 0)
    with time_machine.travel(second):
        tasks.waiting()
    batch.refresh_from_db()
    assert (batch.state, batch.refunded) == ("failed", 107)
    assert set(batch.items.values_list("failure_type", flat=True)) == {"model_retired"}
    assert account.figures() == (1000, 0, 0)


def test_what_a_provider_refused_for_now_is_not_submitted_again_once_its_model_is_retired(
    provider: SimulatorServer, account: Account
) -> None:
    batch = made(account.api, {"prompt": "A cat [[rate_limit:9]]"})
    submit_due(the_route())
    item = batch.items.get()
    assert (item.status, item.stage) == ("running", "submit")
    retire("sora-2")
    Item.objects.update(due_at=timezone.now())
    assert submit_due(the_route()) == 0
    tasks.waiting()
    batch.refresh_from_db()
    assert (batch.state, batch.items.get().failure_type, batch.refunded) == ("failed", "model_retired", 10)


def test_what_is_refused_while_its_model_is_being_retired_ends_as_retired(account: Account) -> None:
    batch = made(account.api, {})
    route = the_route()
    (item,) = claim_submits(route=route, terms={}, retired=[], count=9, now=timezone.now())
    retire("sora-2")
    tasks.waiting()
    assert batch.items.get().stage == Stage.LOOKUP
    submitting._record(route, [(item, NotAccepted(FailureType.CAPACITY, "503"))])
    tasks.waiting()
    batch.refresh_from_db()
    assert (batch.state, batch.items.get().failure_type, batch.refunded) == ("failed", "model_retired", 10)
    assert account.figures() == (1000, 0, 0)
