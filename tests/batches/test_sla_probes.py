"""The probes of availability: over real HTTP, one row a minute, and a test batch now and then."""

import contextlib
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone
from pytest_django import Settings
from pytest_django.live_server_helper import LiveServer

from batches.failures import FailureType
from batches.models import Batch, Probe, Prober
from batches.sla import asking
from batches.sla.asking import order_batch
from batches.sla.models import MINUTE, minute_of
from batches.sla.probing import probe, probe_readiness
from batches.sla.trial_batches import judge_trials
from batches.tasks import probe_availability
from customers.models import Mode, Organization
from customers.services import revoke_api_key
from ledger.models import Wallet
from sora2.crypto import decrypt
from sora2.settings import CELERY_BEAT_SCHEDULE
from tests.connections import at_once
from tests.factories import end_batch

NOW = datetime(2026, 10, 5, 14, 3, 27, tzinfo=UTC)
NOBODY = "http://127.0.0.1:9"  # The discard port: nobody is there.


@contextlib.contextmanager
def answering(status: int, *, after: float = 0.0, location: str = "") -> Iterator[str]:
    """Run a server that gives every request the same answer, and return its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(after)
            with contextlib.suppress(OSError):
                self.send_response(status)
                if location:
                    self.send_header("Location", location)
                self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def found(kind: str = "readiness") -> list[tuple[datetime, bool, str]]:
    return list(Probe.objects.filter(kind=kind).order_by("minute").values_list("minute", "ok", "detail"))


# --- readiness -----------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_minute_is_asked_once_and_its_first_answer_counts(settings: Settings) -> None:
    settings.SLA_BATCH_MINUTES = 0
    with answering(200) as base:
        settings.SLA_PROBE_URL = base
        probe(now=NOW)
        probe(now=NOW + timedelta(seconds=20), base=NOBODY)
        settings.SLA_PROBE_URL, settings.PUBLIC_BASE_URL = "", base
        probe(now=NOW + MINUTE)
    minute = minute_of(NOW)
    assert found() == [(minute, True, ""), (minute + MINUTE, True, "")]
    row = Probe.objects.earliest("minute")
    assert (row.holds_from, row.holds_until) == (minute, minute + MINUTE)
    assert row.latency_ms is not None
    assert row.latency_ms < 5000


@pytest.mark.django_db
def test_what_is_no_answer_of_a_system_that_is_ready_is_down_with_its_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.2)
    with (
        answering(200) as well,
        answering(503) as unready,
        answering(302, location=f"{well}/readyz") as elsewhere,
        answering(200, after=0.6) as slow,
    ):
        for number, base in enumerate((NOBODY, unready, elsewhere, slow)):
            probe_readiness(now=NOW + number * MINUTE, base=base)
    assert [(ok, detail) for _, ok, detail in found()] == [
        (False, "GET /readyz got no answer: ConnectionError"),
        (False, "GET /readyz was answered with 503"),
        (False, "GET /readyz was answered with 302"),
        (False, "GET /readyz got no answer: ReadTimeout"),
    ]


@pytest.mark.django_db(transaction=True)
def test_two_probers_at_once_leave_one_row() -> None:
    with answering(200, after=0.2) as base:
        assert at_once(*[lambda: probe_readiness(now=NOW, base=base)] * 2) == [None, None]
    assert found() == [(minute_of(NOW), True, "")]


@pytest.mark.django_db
def test_what_a_probe_found_never_changes() -> None:
    probe_readiness(now=NOW, base=NOBODY)
    for act in (
        lambda: Probe.objects.update(ok=True),
        lambda: Probe.objects.all().delete(),
        lambda: connection.cursor().execute("TRUNCATE batches_slaprobe"),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            act()
    assert [ok for _, ok, _ in found()] == [False]


@pytest.mark.django_db
def test_another_machine_may_ask_for_the_minute(settings: Settings) -> None:
    with answering(200) as base:
        call_command("probe_sla", url=f"{base}/")
    assert [ok for _, ok, _ in found()] == [True]


def test_the_bell_rings_several_times_a_minute_so_that_one_that_is_lost_costs_none() -> None:
    assert CELERY_BEAT_SCHEDULE[probe_availability.name]["schedule"] <= 20


# --- test batches --------------------------------------------------------------------------------------------------


@pytest.fixture
def live(live_server: LiveServer, settings: Settings) -> str:
    """The system on a real server, as probes meet it."""
    settings.PUBLIC_BASE_URL = live_server.url
    return str(live_server.url)


def trials() -> list[Batch]:
    return list(Batch.objects.filter(request_id__startswith="sla-20").order_by("pk"))


@pytest.mark.django_db(transaction=True)
def test_a_test_batch_goes_through_the_real_intake_and_is_judged_by_its_end(live: str) -> None:
    now = timezone.now()
    probe(now=now)
    [batch] = trials()
    assert batch.request_id == f"sla-{now:%Y-%m-%dT%H:%MZ}"
    assert (batch.mode, batch.total, batch.created_via) == (Mode.TEST, 1, "api")
    probe(now=now + timedelta(seconds=20))
    assert (len(trials()), found("batch")) == (1, [])
    end_batch(batch)
    probe(now=now + MINUTE)
    assert found("batch") == [(minute_of(now), True, "")]
    assert [ok for _, ok, _ in found()] == [True, True]
    probe(now=now + 14 * MINUTE)
    assert len(trials()) == 1
    probe(now=now + 15 * MINUTE)
    assert len(trials()) == 2
    row = Probe.objects.of_batches().get()
    assert (row.holds_from, row.holds_until) == (minute_of(now) + MINUTE, minute_of(now) + 35 * MINUTE)
    # Play money of an organization of our own; the live totals have none of it.
    prober = Prober.objects.get()
    by_hand = {"request_id": "sla-by-hand", "items": [{"prompt": "A cat"}]}
    assert order_batch(live, secret=decrypt(prober.secret_encrypted), body=by_hand).ok
    assert Organization.objects.get(pk=batch.organization_id).name == "Sora2 availability (internal)"
    live_wallet = Wallet.objects.get(organization=prober.organization, mode=Mode.LIVE)
    assert (live_wallet.funded, live_wallet.last_seq) == (0, 0)
    # A key that was revoked by mistake is replaced, in the same organization.
    revoke_api_key(key=prober.key, now=now)
    end_batch(trials()[1])
    probe(now=now + 16 * MINUTE)
    probe(now=now + 31 * MINUTE)
    assert [len(trials()), Prober.objects.count(), {each.organization_id for each in trials()}] == [
        3,
        2,
        {prober.organization_id},
    ]


@pytest.mark.django_db(transaction=True)
def test_a_test_batch_that_fails_or_does_not_end_is_down_and_the_next_is_ordered_at_once(
    live: str, settings: Settings
) -> None:
    now = timezone.now()
    probe(now=now)
    end_batch(trials()[0], failed={0: FailureType.PROVIDER_ERROR})
    probe(now=now + MINUTE)
    assert [ok for _, ok, _ in found("batch")] == [False]
    assert found("batch")[0][2] == f"{trials()[0].pk} ended as failed: provider_error"
    assert len(trials()) == 2
    second = trials()[1]
    judge_trials(now=second.created_at + timedelta(seconds=301))
    assert found("batch")[1][1:] == (False, f"{second.pk} was not completed within 300 s")
    probe(now=now + 7 * MINUTE)
    end_batch(trials()[2])
    settings.SLA_BATCH_SECONDS = 0.0
    probe(now=now + 8 * MINUTE)
    assert found("batch")[2][1:] == (False, f"{trials()[2].pk} took 0 s, more than 0 s")


@pytest.mark.django_db
def test_an_intake_that_does_not_answer_is_down_and_asked_again_the_next_minute() -> None:
    for seconds in (0, 20, 60):
        probe(now=NOW + timedelta(seconds=seconds), base=NOBODY)
    detail = "POST /api/enterprise/video-batch got no answer: ConnectionError"
    assert [(ok, said) for _, ok, said in found("batch")] == [(False, detail)] * 2


@pytest.mark.django_db
def test_without_an_interval_no_test_batch_is_ordered(settings: Settings) -> None:
    settings.SLA_BATCH_MINUTES = 0
    probe(now=NOW, base=NOBODY)
    assert (found("batch"), Prober.objects.exists()) == ([], False)
