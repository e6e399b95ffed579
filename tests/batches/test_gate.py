"""The gate of a route: pause, limits, a provider's wish to wait, and the circuit breaker."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import timezone
from pytest_django import Settings

from batches import offering, stopping
from batches.catalogue import Route, provider_of, routes
from batches.execution import gate
from batches.execution.queue import Claimed, claim_submits
from batches.execution.submit import submit_due
from batches.failures import FailureType
from batches.models import Attempt, Batch, CatalogueModel, Priority, ProviderRoute, RouteHealth
from batches.providers import Accepted, Ambiguous, NotAccepted, SubmitOutcome
from tests.batches.engine import customer_with, drive, submit, the_route, wallet_of
from tests.batches.provider_faults import simulator

pytestmark = pytest.mark.django_db

# A route that is no simulator: what its provider answers counts.
REAL = Route("openai", "http://127.0.0.1:9/v1", "", max_in_flight=100, deadline_seconds=600)
DOWN = NotAccepted(FailureType.CAPACITY, "503 overloaded")
UNREACHED = NotAccepted(FailureType.NETWORK_ERROR, "ConnectionRefused", answered=False)
REFUSED = NotAccepted(FailureType.INVALID_REQUEST, "400 bad size")
NOW = timezone.now()


def later(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def learn(*outcomes: SubmitOutcome, route: Route = REAL, at: datetime = NOW) -> datetime | None:
    return gate.learn(route, outcomes, now=at)


def claim(route: Route, count: int = 10, now: datetime | None = None) -> list[Claimed]:
    return claim_submits(route=route, terms={}, retired=[], count=count, now=now or timezone.now())


def to(route: Route, batch: Batch) -> Batch:
    """Route a batch's items elsewhere."""
    batch.items.update(route=route.name)
    return batch


# --- the breaker ---------------------------------------------------------------------------------------------------


def test_failures_in_a_row_open_the_breaker() -> None:
    assert learn(*[DOWN] * (gate.FAILURES_IN_A_ROW - 1)) is None
    assert gate.room(REAL, now=NOW) == REAL.max_in_flight
    assert learn(DOWN) == later(gate.PROBE_FIRST_SECONDS)
    assert gate.room(REAL, now=NOW) == 0
    health = RouteHealth.objects.get(pk="openai")
    assert (health.opened_at, health.last_failure, health.last_detail) == (NOW, "capacity", "503 overloaded")


def test_a_success_in_between_starts_the_count_anew() -> None:
    for _ in range(3):
        learn(*[DOWN] * (gate.FAILURES_IN_A_ROW - 1))
        learn(Accepted("job"))
    assert gate.room(REAL, now=NOW) == REAL.max_in_flight


def test_a_refusal_of_the_item_says_that_the_provider_works() -> None:
    learn(*[DOWN] * (gate.FAILURES_IN_A_ROW - 1))
    learn(REFUSED)
    assert learn(DOWN) is None


def test_a_refused_key_opens_the_breaker_at_once() -> None:
    assert learn(NotAccepted(FailureType.PROVIDER_AUTH, "401 invalid_api_key")) is not None


def test_ambiguous_submits_speak_of_the_provider() -> None:
    assert learn(*[Ambiguous("ReadTimeout")] * gate.FAILURES_IN_A_ROW) is not None


def test_one_probe_goes_out_when_it_is_due_and_no_second_one_beside_it() -> None:
    to(REAL, submit(customer_with(100), ["a", "b", "c"])).items.update(due_at=NOW)
    learn(*[DOWN] * gate.FAILURES_IN_A_ROW)
    assert claim(REAL, now=later(gate.PROBE_FIRST_SECONDS - 0.1)) == []
    assert len(claim(REAL, now=later(gate.PROBE_FIRST_SECONDS))) == 1
    assert claim(REAL, now=later(gate.PROBE_FIRST_SECONDS)) == []
    # Whoever sent it may have died.
    assert len(claim(REAL, now=later(gate.PROBE_FIRST_SECONDS + gate.PROBE_MOST_SECONDS))) == 1


def test_probes_grow_rarer_and_the_first_that_is_taken_closes_the_breaker() -> None:
    learn(*[DOWN] * gate.FAILURES_IN_A_ROW)
    waits = [((probe := learn(DOWN)) and (probe - NOW).total_seconds()) for _ in range(7)]
    assert waits == [4, 8, 16, 32, 60, 60, 60]
    assert learn(Accepted("job")) is None
    health = RouteHealth.objects.get(pk="openai")
    assert (health.opened_at, health.probe_at, health.failures, health.probes) == (None, None, 0, 0)


def test_what_a_script_makes_the_simulator_answer_says_nothing_of_its_health() -> None:
    route = the_route()
    scripted: list[SubmitOutcome] = [
        DOWN,
        NotAccepted(FailureType.PROVIDER_AUTH, "401"),
        Ambiguous("RemoteDisconnected"),
    ]
    assert learn(*scripted * 5, route=route) is None
    assert not RouteHealth.objects.exists()


def test_a_simulator_that_cannot_be_reached_opens_its_breaker() -> None:
    assert learn(*[UNREACHED] * gate.FAILURES_IN_A_ROW, route=the_route()) is not None


@pytest.fixture
def _down(settings: Settings) -> Iterator[None]:
    settings.POLL_SECONDS = 0.1
    settings.PROVIDER_OPENAI_BASE_URL = "http://127.0.0.1:9/v1"  # Nobody listens there.
    yield
    settings.PROVIDER_OPENAI_BASE_URL = ""


@pytest.mark.usefixtures("_down")
def test_items_wait_while_the_provider_is_down_and_run_when_it_is_back(settings: Settings) -> None:
    batch = submit(customer_with(1000), [f"scene {n}" for n in range(40)])
    route = routes()[0]
    assert route.name == "openai"
    for _ in range(3):
        submit_due(route)
    waiting = batch.items.filter(stage="submit")
    assert waiting.count() == 40
    tried = Attempt.objects.filter(item__batch=batch).count()
    assert gate.FAILURES_IN_A_ROW <= tried < 40  # What was under way when the breaker opened.
    with simulator() as provider:
        settings.PROVIDER_OPENAI_BASE_URL = provider.base_url
        RouteHealth.objects.update(probe_at=timezone.now())
        batch.items.update(due_at=timezone.now())
        assert drive(batch, route="openai").state == "completed"
    assert RouteHealth.objects.get(pk="openai").opened_at is None


def test_who_waits_past_its_deadline_is_refunded_for_what_its_last_submit_met() -> None:
    customer = customer_with(100)
    batch = to(REAL, submit(customer, ["a", "b"]))
    submit_due(replace(REAL, deadline_seconds=30))
    assert set(batch.items.values_list("stage", flat=True)) == {"submit"}
    stopping.fail_what_must_not_be_submitted(now=timezone.now())
    assert batch.items.filter(stage="submit").count() == 2
    stopping.fail_what_must_not_be_submitted(now=timezone.now() + timedelta(seconds=31))
    batch.refresh_from_db()
    assert batch.state == "failed"
    assert set(batch.items.values_list("status", "failure_type")) == {("refunded", "network_error")}
    assert (wallet_of(customer).available, wallet_of(customer).settled) == (100, 0)


# --- pause, limits, patience ---------------------------------------------------------------------------------------


def test_nothing_is_submitted_to_a_paused_route_and_what_it_has_is_polled() -> None:
    batch = submit(customer_with(100), ["a", "b"])
    (ours,) = claim(the_route(), count=1)
    offering.pause_route(name="simulator", reason="the provider asked us to", actor="usr_1", now=timezone.now())
    paused = the_route()
    assert paused.is_paused
    assert submit_due(paused) == 0
    assert claim(paused) == []
    assert ours.item_id in set(batch.items.filter(stage="lookup").values_list("pk", flat=True))
    offering.resume_route(name="simulator", actor="usr_1")
    assert len(claim(the_route())) == 1


def test_a_provider_that_asks_for_patience_gets_it_from_every_item() -> None:
    to(REAL, submit(customer_with(100), ["a", "b"]))
    learn(NotAccepted(FailureType.RATE_LIMITED, "429", retry_after_seconds=20))
    assert gate.room(REAL, now=later(19)) == 0
    assert gate.room(REAL, now=later(20)) == REAL.max_in_flight


def test_a_scripted_rate_limit_holds_back_its_own_item_only() -> None:
    assert learn(NotAccepted(FailureType.RATE_LIMITED, "429", retry_after_seconds=20), route=the_route()) is None
    assert gate.room(the_route(), now=NOW) > 0


def test_no_more_is_submitted_within_a_minute_than_the_route_allows() -> None:
    submit(customer_with(1000), [f"scene {n}" for n in range(10)])
    route = replace(the_route(), submits_per_minute=4)
    now = timezone.now()
    assert len(claim(route, now=now)) == 4
    assert claim(route, now=now + timedelta(seconds=59)) == []
    assert len(claim(route, now=now + timedelta(seconds=61))) == 4


def test_no_more_is_in_flight_than_the_route_allows() -> None:
    submit(customer_with(1000), [f"scene {n}" for n in range(10)])
    route = replace(the_route(), max_in_flight=3)
    assert len(claim(route)) == 3
    assert claim(route) == []


# --- who is next ---------------------------------------------------------------------------------------------------


def claimed_by(items: Sequence[Claimed], *batches: Batch) -> list[int]:
    return [sum(item.batch_id == batch.pk for item in items) for batch in batches]


def test_a_customers_own_urgent_batch_goes_first_and_takes_nothing_from_others() -> None:
    ours, theirs = customer_with(1000), customer_with(1000)
    low = submit(ours, [f"low {n}" for n in range(8)], priority="low")
    usual = submit(ours, [f"usual {n}" for n in range(8)])
    high = submit(ours, [f"high {n}" for n in range(3)], priority="high")
    other = submit(theirs, [f"other {n}" for n in range(8)], priority="low")
    assert Priority(high.priority) == Priority.HIGH
    assert claimed_by(claim(the_route(), count=6), low, usual, high, other) == [0, 0, 3, 3]
    assert claimed_by(claim(the_route(), count=6), low, usual, high, other) == [0, 3, 0, 3]


def test_a_small_batch_shares_at_once_with_a_large_one_of_the_same_customer() -> None:
    customer = customer_with(1000)
    large = submit(customer, [f"large {n}" for n in range(60)])
    claim(the_route(), count=20)
    small = submit(customer, [f"small {n}" for n in range(5)])
    assert claimed_by(claim(the_route(), count=5), large, small) == [0, 5]


def test_many_customers_share_evenly_whatever_they_have_waiting() -> None:
    batches = [submit(customer_with(1000), [f"{n}" for n in range(30)]) for _ in range(12)]
    assert claimed_by(claim(the_route(), count=24), *batches) == [2] * 12


def test_a_model_that_is_retired_is_not_submitted() -> None:
    batch = submit(customer_with(1000), ["a", "b"])
    route = the_route()
    assert claim_submits(route=route, terms={}, retired=["sora-2"], count=9, now=timezone.now()) == []
    assert len(claim_submits(route=route, terms={}, retired=["veo-3"], count=9, now=timezone.now())) == 2
    assert batch.items.filter(stage="lookup").count() == 2


def test_a_model_goes_to_its_provider_by_the_providers_name_and_with_its_own_deadline() -> None:
    ProviderRoute.objects.create(name="farm", kind="openai-form", base_url="http://127.0.0.1:9/v1")
    batch = submit(customer_with(1000), ["a"])
    to(farm := next(route for route in routes() if route.name == "farm"), batch)
    offering.save_model(
        model=_changed(provider_model="wan/2.2-t2v", deadline_seconds=77, route_id="farm"), actor="usr_1"
    )
    submit_due(farm)
    item = batch.items.get()
    attempt = item.attempts.get()
    assert (attempt.model, attempt.route, attempt.failure_type, attempt.retryable) == (
        "wan/2.2-t2v",
        "farm",
        "network_error",
        True,
    )
    assert item.deadline_at is not None
    assert (item.deadline_at - attempt.submitted_at).total_seconds() == pytest.approx(77, abs=1)
    assert provider_of(farm) is provider_of(farm)


def _changed(**fields: object) -> CatalogueModel:
    model = CatalogueModel.objects.get(pk="sora-2")
    for name, value in fields.items():
        setattr(model, name, value)
    return model
