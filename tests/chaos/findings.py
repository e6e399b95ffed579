"""What must hold when all is over, whatever died meanwhile: each check yields what it finds wrong, in words."""

import hashlib
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from batches.simulator import clips
from tests.chaos.evidence import FINAL_STATES, Attempt, Evidence, Item, Job
from tests.chaos.ordering import PRICE, Customer, Order
from tests.flows.system import System

Row = TypeVar("Row", Item, Job)

# Making a clip again, to see whether it is the one that we stored, takes a while.
CLIPS_COMPARED = 30
# How a job ends that we take for failed with this type. Nothing is said of a job that was given up at its deadline.
FAILED_JOBS = {"content_refused": "moderation_blocked", "provider_error": "internal_error"}


def all_findings(system: System, orders: Sequence[Order], evidence: Evidence, *, seed: int) -> list[str]:
    """Return whatever any check finds wrong."""
    customers = {order.customer.name: order.customer for order in orders}.values()
    return [
        *accepted_batches(orders, evidence),
        *ended_batches(orders, evidence),
        *jobs_made_once(evidence),
        *attempts_that_tell_the_truth(evidence),
        *charged_items(evidence),
        *stored_clips(system, evidence, seed),
        *webhooks(orders, evidence),
        *wallets(system, orders, list(customers), evidence),
        *books(system),
    ]


def accepted_batches(orders: Sequence[Order], evidence: Evidence) -> Iterator[str]:
    """Check that no batch is lost or there twice: what was answered 201 is what is there."""
    there = defaultdict(list)
    for batch in evidence.batches:
        there[batch.request_id].append(batch.id)
    for order in orders:
        yield from (f"{order.request_id} {problem}" for problem in order.problems)
        if there[order.request_id] != [order.batch_id]:
            yield f"{order.request_id} was answered {order.batch_id}, and there is {there[order.request_id]}"
    yield from (f"{request_id} was never posted" for request_id in there.keys() - {o.request_id for o in orders})


def ended_batches(orders: Sequence[Order], evidence: Evidence) -> Iterator[str]:
    """Check that every batch is final, with reserved = settled + refunded by how its items ended."""
    cost = {order.batch_id: order.credits for order in orders}
    for batch in evidence.batches:
        items = [item for item in evidence.items if item.batch_id == batch.id]
        ends = Counter(item.status for item in items)
        if batch.state not in FINAL_STATES:
            due = [(i.id, i.status, i.stage, i.due_at) for i in items if i.status in ("pending", "running")]
            yield f"{batch.id} is still {batch.state}: {due}"
        elif batch.credits != cost.get(batch.id) or batch.credits != batch.settled + batch.refunded:
            yield f"{batch.id}: {batch} does not add up"
        elif (batch.succeeded, batch.failed, batch.total) != (ends["succeeded"], ends["refunded"], len(items)):
            yield f"{batch.id}: {batch} has items {dict(ends)}"
        elif batch.settled != PRICE * ends["succeeded"]:
            yield f"{batch.id}: {ends['succeeded']} items succeeded, and {batch.settled} credits are settled"


def jobs_made_once(evidence: Evidence) -> Iterator[str]:
    """Check at the provider that no submit was sent twice, nor an item anew while its job may bring a video."""
    known = {attempt.client_id for attempt in evidence.attempts}
    for client_id, count in Counter(job.client_id for job in evidence.jobs).items():
        if client_id not in known:
            yield f"the provider has a job for {client_id}, and we have no such attempt"
        if count > 1:
            yield f"{client_id} was sent {count} times"
    items, jobs = _by_prompt(evidence.items), _by_prompt(evidence.jobs)
    for prompt, made in jobs.items():
        # Jobs for equal items are interchangeable: what holds is how many there are.
        sound = [job.client_id for job in made if job.sound]
        if len(sound) > len(items[prompt]):
            yield f"{[i.id for i in items[prompt]]} ({prompt}) have {len(sound)} jobs that did not fail: {sound}"


def attempts_that_tell_the_truth(evidence: Evidence) -> Iterator[str]:
    """Check that what we have on record of a job is what the provider has."""
    jobs = {job.id: job for job in evidence.jobs}
    prompts = {item.id: item.prompt for item in evidence.items}
    ended = {item.id for item in evidence.items if item.status in ("succeeded", "refunded")}
    for attempt in evidence.attempts:
        job = jobs.get(attempt.provider_job_id or "")
        if attempt.item_id in ended and attempt.ended_at is None:
            yield f"{attempt} has not ended, and its item has"
        if attempt.provider_job_id is None:
            continue
        if job is None:
            yield f"{attempt} has a job that the provider does not know"
        elif job.prompt != prompts[attempt.item_id]:
            yield f"{attempt} has the job of another item: {job}"
        elif _lies(attempt, job):
            yield f"{attempt} does not say what became of its job: {job}"


def _lies(attempt: Attempt, job: Job) -> bool:
    if attempt.state == "succeeded":
        return not job.sound or job.work_seconds is None
    if attempt.state != "failed":
        return False
    if attempt.failure_type == "output_invalid":
        return not job.bad_output
    return attempt.failure_type in FAILED_JOBS and job.error_code != FAILED_JOBS[attempt.failure_type]


def charged_items(evidence: Evidence) -> Iterator[str]:
    """Check that an item that succeeded has one attempt that did, its last, and a video; any other has neither."""
    attempts: Mapping[str, list[Attempt]] = defaultdict(list)
    for attempt in sorted(evidence.attempts, key=lambda a: a.number):
        attempts[attempt.item_id].append(attempt)
    for item in evidence.items:
        states = [attempt.state for attempt in attempts[item.id]]
        good = item.status == "succeeded"
        if states.count("succeeded") != good or (good and states[-1] != "succeeded"):
            yield f"{item.batch_id} {item.id} is {item.status} after {states}"
        if (item.sha256 is not None) != good:
            yield f"{item.batch_id} {item.id} is {item.status} with the video {item.video}"


def stored_clips(system: System, evidence: Evidence, seed: int) -> Iterator[str]:
    """Check that the videos in our storage are those that were ordered, to the byte."""
    succeeded = [item for item in evidence.items if item.sha256]
    for item in random.Random(seed).sample(succeeded, min(CLIPS_COMPARED, len(succeeded))):
        width, height = (int(side) for side in item.size.split("x"))
        made = clips.video(item.prompt, seconds=item.seconds, width=width, height=height)
        stored = (system.directory / "media" / (item.video or "")).read_bytes()
        if stored != made or hashlib.sha256(made).hexdigest() != item.sha256:
            yield f"{item.batch_id} {item.id} has another video than its own"


def webhooks(orders: Sequence[Order], evidence: Evidence) -> Iterator[str]:
    """Check that each batch was told, under one id however often, signed, with its totals."""
    batches = {batch.id: batch for batch in evidence.batches}
    told = defaultdict(list)
    for message in evidence.told:
        told[message.event["batch_id"]].append(message)
    for order in orders:
        messages, batch = told[order.batch_id], batches.get(order.batch_id)
        if not messages or batch is None:
            yield f"{order.batch_id}: no webhook arrived"
            continue
        if len({message.webhook_id for message in messages}) > 1:
            yield f"{order.batch_id}: told under {[message.webhook_id for message in messages]}"
        if not all(message.signed for message in messages):
            yield f"{order.batch_id}: a webhook has a wrong signature"
        summary = {"total": batch.total, "succeeded": batch.succeeded, "failed": batch.failed}
        ledger = {"reserved": batch.credits, "settled": batch.settled, "refunded": batch.refunded}
        if any((m.event["summary"], m.event["ledger"]) != (summary, ledger) for m in messages):
            yield f"{order.batch_id}: {batch} was told as {[message.event for message in messages]}"


def wallets(
    system: System, orders: Sequence[Order], customers: Sequence[Customer], evidence: Evidence
) -> Iterator[str]:
    """Check that each customer has paid for its videos, and nothing is held any more."""
    settled = {batch.id: batch.settled for batch in evidence.batches}
    for customer in customers:
        paid = sum(settled.get(order.batch_id, 0) for order in orders if order.customer == customer)
        answer = system.api(customer.key).get(f"{system.url}/api/enterprise/wallet", timeout=30).json()
        expected = {"available": customer.credits - paid, "reserved": 0, "settled": paid}
        if {name: answer[name] for name in expected} != expected:
            yield f"{customer.name} has {answer}, and should have {expected}"


def books(system: System) -> Iterator[str]:
    """Check every invariant over all data, as finance does."""
    run = system.manage("reconcile", "--json", check=False)
    discrepancies = json.loads(run.stdout)["discrepancies"] if run.stdout else [run.stderr]
    yield from (f"reconcile: {discrepancy}" for discrepancy in discrepancies)


def _by_prompt(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: Mapping[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.prompt].append(row)
    return found
