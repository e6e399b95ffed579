"""Every way an item can end, and what becomes of its credits: charged or given back, once, whatever comes later."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests
import time_machine
from django.utils import timezone
from pytest_django import Settings

from batches import finalization, services, stopping, tasks
from batches.catalogue import Route, provider_of
from batches.execution import outcomes
from batches.execution import submit as submitting
from batches.execution.collect import collect_due
from batches.execution.lookup import look_up_due
from batches.execution.poll import poll_due
from batches.execution.queue import AttemptNews, Claimed, Move, claim_submits, move, tell_attempts
from batches.execution.submit import submit_due
from batches.failures import FailureType
from batches.models import Attempt, Batch, Item, Output, Proof, Stage, Status
from batches.providers import Accepted, JobRequest, NotAccepted
from batches.simulator.server import SimulatorServer
from ledger.models import Entry
from tests.batches.engine import customer_with, drive, one_turn, submit, the_route, wallet_of
from tests.batches.offers import retire
from webhooks.endpoints import create_endpoint
from webhooks.models import Event, EventType

pytestmark = pytest.mark.django_db

# What the neighbour and the item cost.
NEIGHBOUR, PRICE = 10, 20
DEADLINE = datetime(2999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Scene:
    """A batch of two: a neighbour that has succeeded, and an item that waits for its first submit."""

    customer: services.Customer
    batch: Batch
    route: Route
    settings: Settings
    folder: Path

    @property
    def item(self) -> Item:
        """The item whose end it is about."""
        return self.batch.items.get(index=1)

    def after(self, **later: float) -> time_machine.travel:
        """Be some time later."""
        return time_machine.travel(timezone.now() + timedelta(**later))


@dataclass(frozen=True)
class Ending:
    """How an item comes to its end: by what its prompt makes the provider do, and by what else `happens`."""

    name: str
    prompt: str
    failure: FailureType | None = None
    happens: Callable[[Scene], object] = lambda _: None
    settings: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.failure or 'succeeded'}: {self.name}"


@pytest.fixture
def scene(provider: SimulatorServer, settings: Settings, tmp_path: Path) -> Callable[[str], Scene]:
    """Return what sets the scene for an item with some prompt."""

    def made(prompt: str) -> Scene:
        customer = customer_with(100)
        create_endpoint(
            organization=customer.organization,
            mode=customer.mode,
            url="https://example.com/everything",
            events=[event.value for event in EventType],
        )
        items = [{"prompt": "A neighbour"}, {"prompt": prompt, "seconds": 8}]
        batch = submit(customer, [], items=items, deadline=DEADLINE.isoformat())
        submit_due(the_route(max_in_flight=1))
        until(lambda: batch.items.get(index=0).status == Status.SUCCEEDED, poll_due, collect_due)
        assert batch.items.get(index=1).status == Status.PENDING
        return Scene(customer, batch, the_route(), settings, tmp_path)

    return made


def until(is_so: Callable[[], bool], *stages: Callable[[Route], object]) -> None:
    """Run these stages until something is so."""
    for _ in range(200):
        if is_so():
            return
        for stage in stages:
            stage(the_route())
        time.sleep(0.02)
    raise AssertionError("it never came to that")


# --- what can happen to an item ------------------------------------------------------------------------------------


def submitted(scene: Scene) -> None:
    submit_due(scene.route)
    assert scene.item.status == Status.RUNNING


def refused_for_now(scene: Scene) -> None:
    """The provider said that it is not to be now: the item waits for another submit."""
    submitted(scene)
    assert scene.item.stage == Stage.SUBMIT


def finished(scene: Scene) -> None:
    """The provider has made the video, and nobody has fetched it yet."""
    submitted(scene)
    until(lambda: scene.item.stage == Stage.COLLECT, poll_due)


def canceled(scene: Scene) -> None:
    stopping.cancel(batch=scene.batch, actor="key_test", now=timezone.now())


def batch_deadline(_: Scene) -> None:
    stopping.fail_what_must_not_be_submitted(now=DEADLINE)


def own_deadline(scene: Scene) -> None:
    with scene.after(hours=1):
        tasks.sweep()


def waited_too_long(scene: Scene) -> None:
    with scene.after(days=8):
        tasks.waiting()


def retired(_: Scene) -> None:
    retire("sora-2")
    tasks.waiting()


def route_gone(scene: Scene) -> None:
    scene.settings.PROVIDER_SIMULATOR_BASE_URL = ""
    tasks.waiting()
    assert scene.item.failure_type == ""
    waited_too_long(scene)


def claimed(scene: Scene) -> Claimed:
    (item,) = claim_submits(route=scene.route, terms={}, retired=[], count=9, now=timezone.now())
    return item


def worker_dies_before_the_post(scene: Scene) -> None:
    claimed(scene)
    with scene.after(hours=1):
        look_up_due(scene.route)


def worker_dies_after_the_post(scene: Scene) -> None:
    item = claimed(scene)
    request = JobRequest(item.model, item.prompt, item.seconds, item.size, f"{item.item_id}.{item.number}")
    assert isinstance(provider_of(scene.route).submit(request), Accepted)
    with scene.after(seconds=90):
        drive(scene.batch)


def worker_dies_before_the_end(scene: Scene) -> None:
    ended = Move(claimed(scene), status=Status.FAILED, failure_type=FailureType.PROVIDER_ERROR.value)
    moved = move(moves=[ended], now=timezone.now())
    outcomes.tell([ended], moved, now=timezone.now())
    assert moved
    assert not Batch.objects.get(pk=scene.batch.pk).is_final
    tasks.sweep()


def job_gone(scene: Scene) -> None:
    """The provider forgets the job that it has finished."""
    job = scene.item.attempts.get().provider_job_id
    assert requests.delete(f"{scene.route.base_url}/videos/{job}", timeout=10).ok


def file_out_of_reach(scene: Scene) -> None:
    collect_due(the_route(base_url="http://127.0.0.1:9/v1"))


def storage_fails(scene: Scene) -> None:
    occupied = scene.folder / "not-a-folder"
    occupied.write_text("in the way")
    scene.settings.MEDIA_ROOT = str(occupied)


def then(*steps: Callable[[Scene], object]) -> Callable[[Scene], None]:
    """Return one step that is all of these."""

    def all_of_them(scene: Scene) -> None:
        for step in steps:
            step(scene)

    return all_of_them


# Shorter than the wait before another submit, the least of which is 0.8 seconds.
SHORT = {"ITEM_DEADLINE_SECONDS": 0.75}
AT_ONCE = {"COLLECT_DEADLINE_SECONDS": 0.0}
REFUSED = "[[rate_limit:9]]"
F = FailureType
ENDINGS = (
    Ending("its video plays", "A cat"),
    Ending("refused once, taken then", "[[fail_once:capacity]]"),
    Ending("failed once, made then", "[[fail_once:provider_error]]"),
    Ending("an ambiguous submit is found by look-up", "[[ambiguous]]"),
    Ending("its worker dies after the post", "A cat", None, worker_dies_after_the_post),
    Ending("canceled when it was submitted", "[[slow:0.5]]", None, then(submitted, canceled)),
    Ending("its model is retired when it was submitted", "[[slow:0.5]]", None, then(submitted, retired)),
    Ending("its batch's deadline passes when it was submitted", "[[slow:0.5]]", None, then(submitted, batch_deadline)),
    Ending("the prompt is refused", "[[fail:content_refused]]", F.CONTENT_REFUSED),
    Ending("the request is refused", "[[fail:invalid_request]]", F.INVALID_REQUEST),
    Ending("refused until its deadline", "[[fail:rate_limited]]", F.RATE_LIMITED, settings=SHORT),
    Ending("its deadline passes before another submit", REFUSED, F.RATE_LIMITED, then(refused_for_now, own_deadline)),
    Ending("no room until its deadline", "[[fail:capacity]]", F.CAPACITY, settings=SHORT),
    Ending("it waits too long for its first submit", "A cat", F.CAPACITY, waited_too_long),
    Ending("our key is refused", "[[fail:provider_auth]]", F.PROVIDER_AUTH),
    Ending("the job fails each time", "[[fail:provider_error]]", F.PROVIDER_ERROR),
    Ending("the job is gone when it is polled", "A cat", F.PROVIDER_ERROR, then(submitted, job_gone)),
    Ending("its worker dies before the batch's end", "A cat", F.PROVIDER_ERROR, worker_dies_before_the_end),
    Ending("no connection until its deadline", "[[fail:network_error]]", F.NETWORK_ERROR, settings=SHORT),
    Ending("the video cannot be fetched", "A cat", F.NETWORK_ERROR, then(finished, file_out_of_reach), AT_ONCE),
    Ending("the video is gone when it is fetched", "A cat", F.NETWORK_ERROR, then(finished, job_gone), AT_ONCE),
    Ending("no verdict by its deadline", "[[hang]]", F.TIMEOUT, settings=SHORT),
    Ending("its batch's deadline passes before its first submit", "A cat", F.TIMEOUT, batch_deadline),
    Ending("its batch's deadline before another submit", REFUSED, F.TIMEOUT, then(refused_for_now, batch_deadline)),
    Ending("the video does not play, twice", "[[bad_output]]", F.OUTPUT_INVALID),
    Ending("the video is too large, twice", "A cat", F.OUTPUT_INVALID, settings={"OUTPUT_MAX_BYTES": 10}),
    Ending("the provider says so", "[[fail:model_retired]]", F.MODEL_RETIRED),
    Ending("staff retire its model before its first submit", "A cat", F.MODEL_RETIRED, retired),
    Ending("staff retire its model before another submit", REFUSED, F.MODEL_RETIRED, then(refused_for_now, retired)),
    Ending("look-up finds no job by its deadline", "[[fail:ambiguous_submit]]", F.AMBIGUOUS_SUBMIT, settings=SHORT),
    Ending("its worker dies before the post", "A cat", F.AMBIGUOUS_SUBMIT, worker_dies_before_the_post),
    Ending("canceled before its first submit", "A cat", F.CANCELED, canceled),
    Ending("canceled before another submit", REFUSED, F.CANCELED, then(refused_for_now, canceled)),
    Ending("our storage fails", "A cat", F.INTERNAL_ERROR, then(finished, storage_fails), AT_ONCE),
    Ending("its route is gone before its submit", "A cat", F.INTERNAL_ERROR, route_gone),
    Ending("its route is gone while its provider has it", "[[hang]]", F.INTERNAL_ERROR, then(submitted, route_gone)),
)


@pytest.mark.parametrize("ending", ENDINGS, ids=str)
def test_an_item_is_charged_or_refunded_once(ending: Ending, scene: Callable[[str], Scene]) -> None:
    here = scene(ending.prompt)
    for name, value in ending.settings.items():
        setattr(here.settings, name, value)
    ending.happens(here)
    here.batch.refresh_from_db()
    if not here.batch.is_final:
        drive(here.batch)
    holds(here, ending.failure)
    before = everything(here)
    too_late(here)
    assert everything(here) == before


def test_every_kind_of_failure_is_among_the_endings() -> None:
    assert {ending.failure for ending in ENDINGS} == {None, *FailureType}


# --- what holds then -----------------------------------------------------------------------------------------------


def holds(scene: Scene, failure: FailureType | None) -> None:
    """Hold item, batch, entries and wallet against how the item ended."""
    item, batch = scene.item, scene.batch
    settled, refunded = (NEIGHBOUR + PRICE, 0) if failure is None else (NEIGHBOUR, PRICE)
    assert (item.status, item.failure_type) == (("succeeded", "") if failure is None else ("refunded", failure.value))
    assert (item.stage, item.due_at, item.lease) == (None, None, None)
    assert item.finished_at is not None
    assert item.refunded_at == (None if failure is None else batch.finished_at)
    assert Output.objects.filter(item=item).exists() is (failure is None)
    assert (batch.state, batch.settled, batch.refunded) == ("partial" if failure else "completed", settled, refunded)
    assert entries(scene) == [
        ("reserve", NEIGHBOUR + PRICE),
        ("settle", settled),
        *([("refund", PRICE)] if failure else []),
    ]
    wallet = wallet_of(scene.customer)
    assert (wallet.available, wallet.reserved, wallet.settled) == (100 - settled, 0, settled)
    assert told(scene) == {
        ("batch.started", ""),
        ("item.succeeded", batch.items.get(index=0).pk),
        ("item.failed" if failure else "item.succeeded", item.pk),
        ("batch.completed", ""),
    }


def told(scene: Scene) -> set[tuple[str, str]]:
    """Return what was published about the batch, each once, and about which item of it."""
    events = list(Event.objects.filter(reference=scene.batch.pk).values_list("type", "part"))
    assert len(events) == len(set(events))
    return set(events)


def entries(scene: Scene) -> list[tuple[str, int]]:
    return list(Entry.objects.about(scene.batch.pk).order_by("seq").values_list("kind", "amount"))


def too_late(scene: Scene) -> None:
    """End what has ended again, in every way there is, and bring news of it that came late."""
    now = timezone.now()
    assert not finalization.finalize_batch_credits(batch_id=scene.batch.pk, now=now)
    with pytest.raises(stopping.BatchFinal):
        canceled(scene)
    stopping.fail_what_must_not_be_submitted(now=DEADLINE + timedelta(days=1))
    stopping.fail_what_waits_in_vain(routes=[], now=DEADLINE + timedelta(days=1))
    tasks.sweep()
    one_turn(scene.route)
    for attempt in scene.item.attempts.all():
        stale = stale_claim(scene.item, attempt)
        ends: list[dict[str, Any]] = [
            {"status": Status.SUCCEEDED},
            {"status": Status.FAILED, "failure_type": "timeout"},
        ]
        for fields in (*ends, {"stage": Stage.SUBMIT, "due_at": now}):
            assert move(moves=[Move(stale, **fields)], now=now) == set()
        tell_attempts([AttemptNews(attempt.pk, Attempt.State.SUCCEEDED, ended_at=now)])
        for outcome in (Accepted(f"late {attempt.pk}"), NotAccepted(FailureType.CAPACITY, "503")):
            submitting._record(scene.route, [(stale, outcome)])


def stale_claim(item: Item, attempt: Attempt) -> Claimed:
    """Return the claim of a worker that lost its lease long ago."""
    return Claimed(
        item_id=item.pk,
        batch_id=item.batch_id,
        lease=uuid.uuid4(),
        model=item.model,
        prompt=item.prompt,
        seconds=item.seconds,
        size=item.size,
        deadline_at=DEADLINE,
        number=attempt.number,
        attempt_id=attempt.pk,
        attempt_state=attempt.state,
        job_id=attempt.provider_job_id,
        submitted_at=attempt.submitted_at,
        ready_at=attempt.ready_at,
    )


def everything(scene: Scene) -> list[Any]:
    """Return all that is said of a batch and its credits."""
    batches = Batch.objects.filter(pk=scene.batch.pk)
    wallet = wallet_of(scene.customer)
    return [
        list(batches.values()),
        list(Item.objects.filter(batch=scene.batch).order_by("index").values()),
        list(Output.objects.filter(item__batch=scene.batch).order_by("pk").values()),
        list(Proof.objects.filter(batch=scene.batch).values()),
        list(Event.objects.filter(reference=scene.batch.pk).values()),
        list(Entry.objects.filter(wallet=wallet).order_by("seq").values()),
        (wallet.available, wallet.reserved, wallet.settled, wallet.last_seq),
    ]
