"""The doctor names what is older than it should be, and nothing else."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from batches import offering
from batches.doctor import Finding, examine
from batches.execution import gate
from batches.execution.queue import AttemptNews, claim_submits, tell_attempts
from batches.failures import FailureType
from batches.models import Attempt, Batch, Item, ProviderRoute
from batches.providers import NotAccepted
from tests.batches.engine import customer_with, submit, the_route
from tests.factories import end_items, make_account, make_batch

# It dates batches back, which only the owner can.
pytestmark = [pytest.mark.django_db, pytest.mark.owner]


def found(now: datetime | None = None) -> dict[str, Finding]:
    return {finding.kind: finding for finding in examine(now=now or timezone.now())}


def long_ago(batch: Batch, **fields: Any) -> Batch:
    """Let a batch and its items be two hours old."""
    ago = timezone.now() - timedelta(hours=2)
    Batch.objects.filter(pk=batch.pk).update(created_at=ago)
    batch.items.update(**({"created_at": ago, "due_at": ago} | fields))
    return batch


def test_nothing_is_found_while_all_is_well() -> None:
    submit(customer_with(100), ["a", "b"])
    claim_submits(route=the_route(), terms={}, retired=[], count=1, now=timezone.now())
    assert examine(now=timezone.now()) == []


def test_items_that_no_worker_takes() -> None:
    batch = long_ago(submit(customer_with(100), ["a", "b"]))
    finding = found()["not_taken"]
    assert (finding.subject, finding.is_trouble) == ("simulator submit", True)
    assert finding.says.startswith("2 items wait to be submitted on simulator")
    claim_submits(route=the_route(), terms={}, retired=[], count=2, now=timezone.now() - timedelta(hours=1))
    assert found()["not_taken"].subject == "simulator lookup"
    assert batch.items.filter(stage="lookup").count() == 2


def test_a_route_that_is_full_is_not_late() -> None:
    long_ago(submit(customer_with(100), ["a", "b"]))
    assert "not_taken" in found()
    route = the_route()
    offering.save_route(route=_row(route.name, max_in_flight=1), actor="usr_1")
    claim_submits(route=the_route(), terms={}, retired=[], count=2, now=timezone.now())
    assert found() == {}


def _row(name: str, **fields: Any) -> ProviderRoute:
    row = ProviderRoute.objects.get(pk=name)
    for field, value in fields.items():
        setattr(row, field, value)
    return row


def test_a_paused_route_says_who_paused_it_and_why() -> None:
    long_ago(submit(customer_with(100), ["a", "b"]))
    offering.pause_route(name="simulator", reason="audit at the provider", actor="usr_1", now=timezone.now())
    assert found().keys() == {"route_paused"}
    assert found()["route_paused"].says == "2 items wait: the route was paused by usr_1 (audit at the provider)"


def test_an_open_breaker_says_what_the_provider_said_last() -> None:
    long_ago(submit(customer_with(100), ["a"]))
    unreached = NotAccepted(FailureType.NETWORK_ERROR, "ConnectionRefused", answered=False)
    gate.learn(the_route(), [unreached] * gate.FAILURES_IN_A_ROW, now=timezone.now())
    assert found().keys() == {"breaker_open"}
    assert "'network_error: ConnectionRefused'" in found()["breaker_open"].says


def test_a_provider_that_answers_no_question() -> None:
    since = timezone.now() - timedelta(minutes=5)
    gate.heard(the_route(), answered=False, now=since)
    assert found()["provider_silent"].since == since
    gate.heard(the_route(), answered=True, now=timezone.now())
    assert found() == {}


def test_items_of_a_route_that_cannot_be_used() -> None:
    submit(customer_with(100), ["a"]).items.update(route="gone")
    assert found()["route_unusable"].says == "1 items are open on a route that is not known"


@pytest.mark.parametrize(("stage", "kind"), [("poll", "past_deadline"), ("collect", "not_collected")])
def test_items_that_are_past_their_time(stage: str, kind: str) -> None:
    batch = submit(customer_with(100), ["a"])
    (item,) = claim_submits(route=the_route(), terms={}, retired=[], count=1, now=timezone.now())
    ago = timezone.now() - timedelta(hours=2)
    accepted = Attempt.State.ACCEPTED
    tell_attempts([AttemptNews(item.attempt_id, accepted, job_id="job", accepted_at=ago, ready_at=ago)])
    batch.items.update(stage=stage, deadline_at=ago)
    assert found()[kind].subject == item.item_id


def test_a_batch_that_ended_and_was_not_finalized() -> None:
    batch = make_batch(make_account().api, 2)
    end_items(batch, succeeded=[0, 1])
    Batch.objects.filter(pk=batch.pk).update(created_at=timezone.now() - timedelta(hours=2))
    assert "not_finalized" not in found()
    assert found(timezone.now() + timedelta(minutes=2))["not_finalized"].subject == batch.pk


def test_a_batch_that_is_open_for_days_is_told_and_no_trouble() -> None:
    batch = submit(customer_with(100), ["a"])
    Batch.objects.filter(pk=batch.pk).update(created_at=timezone.now() - timedelta(days=2))
    finding = found()["long_open"]
    assert (finding.subject, finding.is_trouble) == (batch.pk, False)


def test_jobs_that_went_on_after_their_items_are_told() -> None:
    batch = submit(customer_with(100), ["a"])
    (item,) = claim_submits(route=the_route(), terms={}, retired=[], count=1, now=timezone.now())
    Item.objects.filter(pk=item.item_id).update(
        status="failed", failure_type="timeout", stage=None, due_at=None, lease=None, finished_at=timezone.now()
    )
    tell_attempts([AttemptNews(item.attempt_id, Attempt.State.ACCEPTED, job_id="job", accepted_at=timezone.now())])
    finding = found()["orphan_jobs"]
    assert (finding.subject, finding.is_trouble) == ("simulator", False)
    assert batch.items.get().status == "failed"


def test_the_command_says_it_in_words_and_by_its_status(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("doctor")
    assert "Nothing is older than it should be." in capsys.readouterr().out
    long_ago(submit(customer_with(100), ["a"]))
    with pytest.raises(CommandError, match="1 thing needs somebody") as failure:
        call_command("doctor", "--json")
    assert failure.value.returncode == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], [finding["kind"] for finding in told["findings"]]) == (False, ["not_taken"])
