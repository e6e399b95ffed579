"""The engine against the simulator over real HTTP: every way an item can end, and what a dead worker leaves."""

import hashlib
import time
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.core.files.storage import default_storage
from django.utils import timezone
from pytest_django import Settings

from batches import finalization, stopping
from batches.catalogue import provider_of, routes
from batches.execution import submit as submitting
from batches.execution.collect import LEASE_SECONDS
from batches.execution.lookup import look_up_due
from batches.execution.poll import poll_due
from batches.execution.queue import AttemptNews, Claimed, Move, claim_due, claim_submits, move, renew, tell_attempts
from batches.execution.submit import submit_due
from batches.failures import FailureType
from batches.models import Attempt, Batch, Item, Output, Stage, Status
from batches.providers import Accepted, JobRequest, NotAccepted
from batches.reconciliation import INVARIANTS
from batches.simulator.server import SimulatorServer
from ledger.reconciliation import discrepancies
from tests.batches.engine import customer_with, drive, submit, the_route, wallet_of

pytestmark = pytest.mark.django_db


def one(prompt: str) -> Batch:
    return submit(customer_with(100), [prompt])


def claim(count: int = 10, now: datetime | None = None) -> list[Claimed]:
    (route,) = routes()
    return claim_submits(route=route, terms={}, retired=[], count=count, now=now or timezone.now())


def sent(item: Claimed) -> str:
    """Post a claimed item, as a worker does that dies before it can write the answer down."""
    request = JobRequest(item.model, item.prompt, item.seconds, item.size, f"{item.item_id}.{item.number}")
    outcome = provider_of(the_route()).submit(request)
    assert isinstance(outcome, Accepted)
    return outcome.job_id


# --- every way to end ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "failure", "attempts"),
    [
        ("[[fail:content_refused]]", "content_refused", 1),
        ("[[fail:invalid_request]]", "invalid_request", 1),
        ("[[fail:provider_auth]]", "provider_auth", 1),
        ("[[fail:model_retired]]", "model_retired", 1),
        ("[[fail:provider_error]]", "provider_error", 3),
        ("[[bad_output]]", "output_invalid", 2),
        ("[[hang]]", "timeout", 1),
        ("[[fail:ambiguous_submit]]", "ambiguous_submit", 1),
    ],
)
def test_a_failed_item_is_refunded(
    provider: SimulatorServer, settings: Settings, prompt: str, failure: str, attempts: int
) -> None:
    settings.ITEM_DEADLINE_SECONDS = 8.0 if failure not in ("timeout", "ambiguous_submit") else 1.5
    batch = drive(one(f"a cat {prompt}"))
    item = batch.items.get()
    assert (item.status, item.failure_type, item.attempts_made) == ("refunded", failure, attempts)
    assert (batch.state, batch.settled, batch.refunded) == ("failed", 0, 10)


@pytest.mark.parametrize("failure", ["rate_limited", "capacity", "network_error"])
def test_what_is_certainly_unsent_is_sent_again_until_the_deadline(
    provider: SimulatorServer, settings: Settings, failure: str
) -> None:
    settings.ITEM_DEADLINE_SECONDS = 4.0
    batch = drive(one(f"a cat [[fail:{failure}]]"))
    item = batch.items.get()
    assert item.failure_type == failure
    assert item.attempts_made > 1
    assert batch.refunded == 10


@pytest.mark.parametrize(
    ("prompt", "attempts"),
    [
        ("a cat", 1),
        ("[[slow:1]]", 1),
        ("[[fail_once:provider_error]]", 2),
        ("[[rate_limit:1]]", 2),
        ("[[ambiguous]]", 1),
    ],
)
def test_a_succeeded_item_is_charged_once(provider: SimulatorServer, prompt: str, attempts: int) -> None:
    batch = drive(one(f"a cat {prompt}"))
    item = batch.items.get()
    assert (item.status, item.attempts_made) == ("succeeded", attempts)
    assert (batch.state, batch.settled, batch.refunded) == ("completed", 10, 0)
    assert Attempt.objects.filter(item=item, state="succeeded").count() == 1
    assert discrepancies(INVARIANTS) == []


def test_the_output_is_in_our_storage_hashed_and_with_a_poster(provider: SimulatorServer) -> None:
    output = Output.objects.get(item__batch=drive(one("a cat")))
    content = default_storage.open(output.video).read()
    assert (output.bytes, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert abs(output.duration_ms - 4000) < 100
    assert default_storage.open(output.poster).read(2) == b"\xff\xd8"


def test_a_batch_starts_with_its_first_submit(provider: SimulatorServer) -> None:
    batch = submit(customer_with(100), ["a [[hang]]", "b"])
    assert (batch.state, batch.started_at) == ("queued", None)
    submit_due(the_route())
    batch.refresh_from_db()
    assert batch.state == "processing"
    assert batch.started_at is not None


# --- limits and fairness -------------------------------------------------------------------------------------------


def test_no_more_items_are_in_flight_than_the_route_allows(provider: SimulatorServer) -> None:
    batch = submit(customer_with(1000), ["a [[hang]]"] * 10)
    submit_due(the_route(max_in_flight=4))
    submit_due(the_route(max_in_flight=4))
    assert batch.items.filter(status="running").count() == 4
    assert batch.items.filter(status="pending").count() == 6


def test_a_small_batch_does_not_wait_for_a_large_one_of_another_customer() -> None:
    large = submit(customer_with(5000), ["a"] * 300)
    assert len(claim(40)) == 40
    small = submit(customer_with(100), ["b"] * 5)
    next_ones = [item.batch_id for item in claim(10)]
    assert next_ones.count(small.pk) == 5
    assert next_ones.count(large.pk) == 5


def test_a_customers_batches_take_turns() -> None:
    customer = customer_with(5000)
    first, second = submit(customer, ["a"] * 50), submit(customer, ["b"] * 50)
    taken = [item.batch_id for item in claim(10)]
    assert taken.count(first.pk) == taken.count(second.pk) == 5


def test_items_of_a_batch_are_claimed_in_order() -> None:
    batch = submit(customer_with(100), ["a", "b", "c", "d"])
    claimed = {item.item_id for item in claim(2)}
    assert set(batch.items.filter(pk__in=claimed).values_list("index", flat=True)) == {0, 1}


# --- workers that die ----------------------------------------------------------------------------------------------


def test_a_worker_that_died_after_the_post_loses_no_job(provider: SimulatorServer) -> None:
    batch = one("a cat")
    (item,) = claim()
    job = sent(item)
    with time_machine.travel(timezone.now() + timedelta(minutes=2)):
        look_up_due(the_route())
        attempt = Attempt.objects.get(item__batch=batch)
        assert (attempt.provider_job_id, attempt.state) == (job, "accepted")
        assert batch.items.get().stage == Stage.POLL
        assert drive(batch).state == "completed"
    assert Attempt.objects.filter(item__batch=batch).count() == 1


def test_a_worker_that_died_before_the_post_leads_to_a_refund_not_to_a_second_submit(
    provider: SimulatorServer, settings: Settings
) -> None:
    settings.ITEM_DEADLINE_SECONDS = 60.0
    batch = one("a cat")
    claim()
    for minutes in (1, 2):
        with time_machine.travel(timezone.now() + timedelta(minutes=minutes)):
            look_up_due(the_route())
    batch.refresh_from_db()
    item = batch.items.get()
    assert (item.status, item.failure_type, item.attempts_made) == ("refunded", "ambiguous_submit", 1)
    assert (batch.state, batch.refunded) == ("failed", 10)


def test_a_lease_that_holds_keeps_others_away() -> None:
    one("a cat")
    now = timezone.now()
    assert len(claim(now=now)) == 1
    assert claim(now=now) == []
    assert claim_due(route="simulator", stage=Stage.LOOKUP, count=9, lease_seconds=60, now=now) == []


def test_who_lost_the_lease_changes_nothing_but_does_not_lose_the_job(provider: SimulatorServer) -> None:
    batch = one("a cat")
    (zombie,) = claim()
    job = sent(zombie)
    later = timezone.now() + timedelta(minutes=2)
    (heir,) = claim_due(route="simulator", stage=Stage.LOOKUP, count=9, lease_seconds=60, now=later)
    submitting._record(the_route(), [(zombie, Accepted(job))])
    item = batch.items.get()
    assert (item.lease, item.stage) == (heir.lease, "lookup")
    assert item.attempts.get().provider_job_id == job


def test_a_job_goes_to_one_of_two_equal_attempts_and_the_other_is_looked_up_again(provider: SimulatorServer) -> None:
    batch = submit(customer_with(100), ["same", "same"])
    first, second = claim()
    job = sent(first)
    news = AttemptNews(second.attempt_id, Attempt.State.ACCEPTED, job_id=job, accepted_at=timezone.now())
    assert tell_attempts([news]) == {second.attempt_id}
    submitting._record(the_route(), [(first, Accepted(job))])
    assert batch.items.get(pk=first.item_id).stage == Stage.LOOKUP
    assert Attempt.objects.get(pk=first.attempt_id).provider_job_id is None


def test_a_late_result_does_not_undo_a_refund(provider: SimulatorServer, settings: Settings) -> None:
    settings.ITEM_DEADLINE_SECONDS = 0.0
    customer = customer_with(100)
    batch = submit(customer, ["a [[slow:2]]"])
    (item,) = claim()
    job = sent(item)
    submitting._record(the_route(), [(item, Accepted(job))])
    with time_machine.travel(timezone.now() + timedelta(seconds=1)):
        poll_due(the_route())
    batch.refresh_from_db()
    assert (batch.state, wallet_of(customer).available) == ("failed", 100)
    stale = Move(item, status=Status.SUCCEEDED)
    assert move(moves=[stale], now=timezone.now()) == set()
    tell_attempts([AttemptNews(item.attempt_id, Attempt.State.SUCCEEDED, ended_at=timezone.now())])
    assert Attempt.objects.get(pk=item.attempt_id).state == "failed"
    assert wallet_of(customer).available == 100


def test_a_provider_that_cannot_be_reached_is_no_verdict(provider: SimulatorServer, settings: Settings) -> None:
    batch = one("a cat")
    submit_due(the_route())
    settings.PROVIDER_SIMULATOR_BASE_URL = "http://127.0.0.1:9/v1"
    with time_machine.travel(timezone.now() + timedelta(seconds=60)):
        assert poll_due(the_route()) == 1
    assert batch.items.get().stage == Stage.POLL
    settings.PROVIDER_SIMULATOR_BASE_URL = provider.base_url
    Item.objects.filter(batch=batch).update(due_at=timezone.now())
    assert drive(batch).state == "completed"


def test_a_job_that_ended_while_no_worker_ran_is_collected_even_after_the_deadline(
    provider: SimulatorServer, settings: Settings
) -> None:
    settings.ITEM_DEADLINE_SECONDS = 5.0
    batch = one("a cat")
    submit_due(the_route())
    with time_machine.travel(timezone.now() + timedelta(hours=1)):
        assert drive(batch).state == "completed"


def test_a_provider_that_gives_two_jobs_one_id_costs_its_neighbours_nothing(provider: SimulatorServer) -> None:
    batch = submit(customer_with(100), ["a", "b", "c"])
    first, second, third = claim()
    submitting._record(
        the_route(), [(first, Accepted("job-1")), (second, Accepted("job-1")), (third, Accepted("job-2"))]
    )
    jobs = Attempt.objects.filter(item__batch=batch).values_list("provider_job_id", flat=True)
    assert sorted(map(str, jobs)) == ["None", "job-1", "job-2"]
    assert sorted(map(str, batch.items.values_list("stage", flat=True))) == ["lookup", "poll", "poll"]


def test_a_late_word_that_nothing_was_accepted_leads_to_another_submit(provider: SimulatorServer) -> None:
    batch = one("a cat")
    (zombie,) = claim()
    with time_machine.travel(timezone.now() + timedelta(seconds=90)):
        submitting._record(the_route(), [(zombie, NotAccepted(FailureType.CAPACITY, "503"))])
        Item.objects.filter(batch=batch).update(lease=uuid.uuid4())  # Somebody else holds it by now.
        submitting._record(the_route(), [(zombie, NotAccepted(FailureType.CAPACITY, "503"))])
        Item.objects.filter(batch=batch).update(stage=Stage.LOOKUP, due_at=timezone.now())
        look_up_due(the_route())
        assert batch.items.get().stage == Stage.SUBMIT


def test_a_job_that_is_gone_is_not_ordered_again(provider: SimulatorServer) -> None:
    batch = one("a cat")
    submit_due(the_route())
    Attempt.objects.filter(item__batch=batch).update(provider_job_id="video_unknown")
    drive(batch)
    item = batch.items.get()
    assert (item.status, item.failure_type, item.attempts_made) == ("refunded", "provider_error", 1)


def test_a_storage_that_fails_ends_in_a_refund_not_in_endless_collecting(
    provider: SimulatorServer, settings: Settings, tmp_path: Path
) -> None:
    occupied = tmp_path / "not-a-folder"
    occupied.write_text("in the way")
    settings.MEDIA_ROOT = str(occupied)
    settings.COLLECT_DEADLINE_SECONDS = 4.0
    batch = drive(one("a cat"))
    assert (batch.state, batch.items.get().failure_type) == ("failed", "internal_error")


def test_what_a_provider_refused_is_not_submitted_after_the_batchs_deadline(provider: SimulatorServer) -> None:
    batch = submit(customer_with(100), ["a [[rate_limit:5]]"], deadline="2999-01-01T00:00:00Z")
    submit_due(the_route())
    item = batch.items.get()
    assert (item.status, item.stage, item.attempts_made) == ("running", "submit", 1)
    after = datetime(2999, 1, 1, 0, 0, 1, tzinfo=UTC)
    assert claim(now=after) == []
    stopping.fail_what_must_not_be_submitted(now=after)
    batch.refresh_from_db()
    assert (batch.state, batch.items.get().failure_type) == ("failed", "timeout")


def test_what_a_provider_refused_is_not_submitted_after_a_cancel(provider: SimulatorServer) -> None:
    batch = submit(customer_with(100), ["a [[rate_limit:5]]", "b [[hang]]"])
    submit_due(the_route())
    assert stopping.cancel(batch=batch, actor="key_test", now=timezone.now()) == 1
    assert dict(batch.items.values_list("index", "status")) == {0: "failed", 1: "running"}


def test_what_is_refused_after_a_cancel_is_not_submitted_again(provider: SimulatorServer) -> None:
    batch = one("a cat")
    (item,) = claim()
    assert stopping.cancel(batch=batch, actor="key_test", now=timezone.now()) == 0
    submitting._record(the_route(), [(item, NotAccepted(FailureType.CAPACITY, "503"))])
    later = timezone.now() + timedelta(minutes=1)
    assert claim(now=later) == []
    stopping.fail_what_must_not_be_submitted(now=later)
    batch.refresh_from_db()
    assert (batch.state, batch.items.get().failure_type) == ("failed", "canceled")


@pytest.mark.owner
def test_items_of_a_route_that_is_gone_are_refunded_after_their_deadline() -> None:
    batch = submit(customer_with(100), ["a", "b"])
    batch.items.filter(index=0).update(route="closed")
    batch.items.filter(index=1).update(route="closed", status=Status.RUNNING, stage=Stage.POLL, attempts_made=1)
    stopping.fail_what_waits_in_vain(routes=["simulator"], now=timezone.now())
    assert batch.items.filter(failure_type="").count() == 2
    stopping.fail_what_waits_in_vain(routes=["simulator"], now=timezone.now() + timedelta(days=8))
    batch.refresh_from_db()
    assert (batch.state, batch.refunded) == ("failed", 20)


def test_a_lease_is_renewed_by_its_holder_only() -> None:
    batch = one("a cat")
    (item,) = claim()
    later = timezone.now() + timedelta(hours=1)
    renew(items=[replace(item, lease=uuid.uuid4())], lease_seconds=60, now=later)
    assert batch.items.filter(due_at__gt=later).count() == 0
    renew(items=[item], lease_seconds=60, now=later)
    assert batch.items.filter(due_at__gt=later).count() == 1


def test_what_a_dead_worker_was_fetching_is_fetched_again_soon(provider: SimulatorServer) -> None:
    batch = one("a cat")
    submit_due(the_route())
    for _ in range(100):
        poll_due(the_route())
        if batch.items.get().stage == Stage.COLLECT:
            break
        time.sleep(0.05)
    claim_due(route="simulator", stage=Stage.COLLECT, count=9, lease_seconds=LEASE_SECONDS, now=timezone.now())
    with time_machine.travel(timezone.now() + timedelta(seconds=31)):
        assert drive(batch).state == "completed"


def test_a_move_needs_the_lease() -> None:
    batch = one("a cat")
    (item,) = claim()
    other = Claimed(**{**item.__dict__, "lease": uuid.uuid4()})
    assert move(moves=[Move(other, status=Status.FAILED, failure_type="timeout")], now=timezone.now()) == set()
    assert move(moves=[Move(item, status=Status.FAILED, failure_type="timeout")], now=timezone.now()) == {item.claim}
    assert finalization.finalize_batch_credits(batch_id=batch.pk, now=timezone.now())


def test_of_two_claims_of_one_item_only_the_one_with_the_lease_brings_a_result() -> None:
    one("a cat")
    (item,) = claim()
    expired = Claimed(**{**item.__dict__, "lease": uuid.uuid4()})
    both = [Move(each, status=Status.FAILED, failure_type="timeout") for each in (expired, item)]
    assert move(moves=both, now=timezone.now()) == {item.claim}
