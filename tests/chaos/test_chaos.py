"""Everything dies at random, the provider fails at random, and nothing is lost, doubled or unexplained.

Batches are posted while workers, beat, web, the simulator, Valkey and PostgreSQL are killed and stopped in the middle
of their work. What happens is chosen by a seed; a failure names it and tells what was struck when. To have the same
choices again (the machine's own timing stays its own): SORA2_CHAOS_SEED=1234 bin/test tests/chaos/test_chaos.py
"""

import os
import random
import secrets
from collections import Counter
from dataclasses import dataclass

import pytest

from tests.chaos import evidence, findings
from tests.chaos.evidence import Evidence
from tests.chaos.killing import Killer
from tests.chaos.ordering import Customer, orders, post_all
from tests.flows.system import System, running_embedded
from tests.webhooks.receivers import answers, serve

pytestmark = pytest.mark.stack

CUSTOMERS = ("Acme", "Globex", "Initech")
CREDITS = 20_000
# Everything that waits waits seconds, not minutes: what hangs is to end within the test.
SETTINGS = {
    "ITEM_DEADLINE_SECONDS": "25",
    "PROVIDER_SIMULATOR_DEADLINE_SECONDS": "25",
    "SUBMIT_TIMEOUT_SECONDS": "3",
    "DOWNLOAD_TIMEOUT_SECONDS": "5",
    "LOOKUP_GRACE_SECONDS": "1",
    "POLL_SECONDS": "1",
}
# Of each kind of trouble four in a hundred; half of the bodies that drip take longer than a submit may.
PROVIDER = "--chaos 0.04 --slow-seconds 6 --seed {seed}"
WEBHOOK_SECONDS = 120.0


@dataclass(frozen=True)
class Size:
    """How much is ordered, for how long things die from the first order on, and how long the end may take then."""

    batches: int
    items: int
    dying_seconds: float
    ending_seconds: float


def test_a_few_batches_end_balanced_though_everything_dies() -> None:
    go_through(Size(batches=6, items=8, dying_seconds=25, ending_seconds=240))


@pytest.mark.long
def test_fifty_batches_end_balanced_though_everything_dies() -> None:
    go_through(Size(batches=50, items=20, dying_seconds=120, ending_seconds=600))


def go_through(size: Size) -> None:
    """Post, kill, wait, and look at everything that is on record."""
    seed = int(os.environ.get("SORA2_CHAOS_SEED") or secrets.randbelow(1_000_000))
    print(f"SORA2_CHAOS_SEED={seed}")  # noqa: T201 - shown when the test fails, in whatever way.
    options = PROVIDER.format(seed=seed)
    system_of_its_own = running_embedded(workers=4, SIMULATOR_OPTIONS=options, **SETTINGS)
    with serve(answers(200)) as receiver, system_of_its_own as system:
        customers = [customer(system, name, receiver.url) for name in CUSTOMERS]
        posting_seconds = size.dying_seconds * 0.7
        wanted = orders(customers, batches=size.batches, items=size.items, seconds=posting_seconds, seed=seed)
        killer = Killer(system, random.Random(seed))
        with killer.at_work(seconds=size.dying_seconds):
            post_all(system, wanted)
        evidence.wait_for_ends(system, seconds=size.ending_seconds)
        evidence.wait_for_webhooks(receiver.requests, size.batches, seconds=WEBHOOK_SECONDS)
        found = evidence.collect(system, receiver.requests, [c.webhook_secret for c in customers])
        problems = findings.all_findings(system, wanted, found, seed=seed)
        print(summary(found, killer))  # noqa: T201 - the same.
        report = "\n".join([f"seed {seed}:", *problems, "", *killer.diary, "", system.log("worker")[-20_000:]])
    assert not problems, report
    assert killer.blows > 0


def customer(system: System, name: str, webhook_url: str) -> Customer:
    """Provision a customer whose webhooks go to our receiver."""
    made = system.provision(credits=CREDITS, name=name, webhook_url=webhook_url)
    return Customer(name, made["api_key"], made["webhook_secret"], CREDITS)


def summary(found: Evidence, killer: Killer) -> str:
    """Return in a few lines what happened."""
    return "\n".join(
        [
            f"{killer.blows} blows",
            f"batches: {dict(Counter(batch.state for batch in found.batches))}",
            f"items: {dict(Counter(item.failure_type or item.status for item in found.items))}",
            f"attempts: {dict(Counter(attempt.state for attempt in found.attempts))}",
            f"jobs at the provider: {len(found.jobs)}, of which {sum(not job.sound for job in found.jobs)} failed",
            f"webhooks: {len(found.told)}",
        ]
    )
