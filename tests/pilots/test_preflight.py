"""The preflight (preflight_list, preflight_run): each check for real, each way to fail in words, one run at a time."""

import json
import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import responses
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from batches.finalization import finalize_batch_credits
from customers.models import ApiKey, AuditEvent, Membership, Mode, Organization
from ledger.models import Wallet
from pilots import loop, node_example, preflight, preflight_checks
from pilots.models import Preflight
from pilots.preflight_account import NAME, Receiver, account_of
from pilots.preflight_checks import IN_TIME, LIMIT_SECONDS, WORDS, run_checks
from pilots.tasks import run_preflight
from sora2.openapi import document
from tests.factories import Account, end_items, make_batch
from tests.flows.system import System, running
from tests.people import staff, words_of
from tests.pilots.scenes import answer
from tests.programs import EXAMPLE_MODULES, node
from webhooks.models import Endpoint
from webhooks.sinks import create_sink

NOWHERE = "http://127.0.0.1:1"
PAGE = "/admin/pilots/preflight"
here = override_settings(PUBLIC_BASE_URL=NOWHERE, WEBHOOK_DEV_ALLOWED_TARGETS=["http://127.0.0.1:*"])
NO_PROGRAM = Receiver("whe_1", f"{NOWHERE}/webhook-sink/x", "whsec_x")


def run_now(now: datetime | None = None) -> Preflight:
    return preflight.run(preflight.begin(by="system", now=now or timezone.now()))


def details(ended: Preflight) -> dict[str, str]:
    return {check["name"]: check["detail"] for check in ended.checks}


def nothing_is_left(organization: Organization) -> bool:
    keys = ApiKey.objects.usable(timezone.now()).filter(organization=organization)
    people = Membership.objects.filter(organization=organization, user__is_active=True)
    return not (keys.exists() or people.exists() or Endpoint.objects.present().exists())


# --- for real -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    node(EXAMPLE_MODULES)
    with running() as system:
        yield system


COUNTS = """
import json
from django.utils import timezone
from batches.models import Batch
from customers.models import ApiKey, Organization, User
from ledger.models import CreditRequest, Entry
from pilots.models import Pilot, Preflight
from webhooks.models import Endpoint
live = {"mode": "live"}
print(json.dumps({
    "live": [Batch.objects.filter(**live).count(), Entry.objects.filter(wallet__mode="live").count()],
    "pilots": Pilot.objects.count(),
    "bases": sorted(set(CreditRequest.objects.values_list("basis", flat=True))),
    "left": [ApiKey.objects.usable(timezone.now()).count(), Endpoint.objects.present().count(),
             User.objects.filter(is_active=True).count()],
    "organizations": Organization.objects.count(),
    "runs": [[run.ok, run.requested_by] for run in Preflight.objects.order_by("pk")],
}))
"""
ASK = "from pilots.preflight import ask; from django.utils import timezone; ask(by='usr_1', now=timezone.now())"


@pytest.mark.stack
def test_every_check_is_green_on_a_running_system_and_nothing_of_it_is_live_or_left(system: System) -> None:
    ran = system.manage("preflight", "--json", check=False)
    said = json.loads(ran.stdout)
    assert [check for check in said["checks"] if not check["ok"]] == []
    assert (ran.returncode, said["ok"], [check["name"] for check in said["checks"]]) == (0, True, list(WORDS))
    assert said["seconds"] < 600
    # And once more as the page asks for it: a worker hears of it.
    system.manage("shell", "-v0", "-c", ASK)
    for _ in range(120):
        counts = json.loads(system.manage("shell", "-v0", "-c", COUNTS).stdout)
        if counts["runs"][-1][0] is not None:
            break
        time.sleep(0.5)
    assert counts == {
        "live": [0, 0],
        "pilots": 0,
        "bases": ["sandbox"],
        "left": [0, 0, 0],
        "organizations": 1,
        "runs": [[True, "system"], [True, "usr_1"]],
    }


# --- how each check fails -------------------------------------------------------------------------------------------


@pytest.mark.django_db
@here
def test_where_nobody_answers_every_check_fails_and_says_what_to_do() -> None:
    with pytest.raises(CommandError, match="7 of 8 checks failed") as failed:
        call_command("preflight")
    assert failed.value.returncode == 1
    ended = Preflight.objects.get()
    assert (ended.ok, [check["name"] for check in ended.checks]) == (False, list(WORDS))
    said = details(ended)
    asks = f"gave no answer (ConnectionError). Is PUBLIC_BASE_URL ({NOWHERE}) the system's address"
    assert all(asks in said[name] for name in ("docs", "schema", "batch"))
    assert said["sink"].startswith("It could not be checked, because this failed before: A batch runs")
    assert said["ledger"].endswith("Internal webhook test endpoint receives events. Mend that first.")
    assert "It could not be checked" in said["dashboard"]
    assert ended.organization is not None
    assert nothing_is_left(ended.organization)
    # The next run is in the same organization.
    again = run_now()
    assert again.organization == ended.organization
    assert Organization.objects.filter(name=NAME).count() == 1
    assert not Wallet.objects.filter(organization=ended.organization, funded__gt=0).exists()


@pytest.mark.django_db
@override_settings(PUBLIC_BASE_URL="http://sora2.internal", WEBHOOK_DEV_ALLOWED_TARGETS=[])
def test_an_address_that_webhooks_may_not_go_to_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {name: preflight_checks.CHECKS[name] for name in ("sink", "node")}
    monkeypatch.setattr(preflight_checks, "CHECKS", kept)
    said = details(run_now())
    assert said["sink"].startswith("No test endpoint could be made at PUBLIC_BASE_URL: ")
    assert "WEBHOOK_DEV_ALLOWED_TARGETS" in said["node"]


@pytest.mark.django_db
@here
def test_a_test_endpoint_that_is_off_is_told_from_one_that_nothing_was_sent_to(account: Account) -> None:
    _, endpoint, secret = create_sink(organization=account.organization, mode=Mode.TEST)
    batch = make_batch(account.test_api, 2)
    given: dict[str, Any] = {
        "endpoint_id": endpoint.pk,
        "secret": secret,
        "batch": {"batch_id": batch.pk},
        "seconds": 0.0,
    }
    with pytest.raises(loop.StepFailed, match=r"did not come within 0 s\. It was not sent either\. Does a worker run"):
        loop.receive(progress=print, **given)
    end_items(batch, succeeded=[0, 1])
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    answer(batch, 404)
    with pytest.raises(loop.StepFailed, match=r"endpoint answered 404\. Is WEBHOOK_SINK_ENABLED set there"):
        loop.receive(progress=print, **given)


@responses.activate
@pytest.mark.parametrize(
    ("served", "said"),
    [
        ({**document(), "openapi": "3.0.3"}, "the version of /openapi.json should be 3.1., and is 3.0."),
        ({**document(), "info": {}}, "/openapi.json is not valid at $.info"),
        ({**document(), "paths": {}}, "/openapi.json does not describe POST /video-batch, "),
        (["nothing"], "/openapi.json is no OpenAPI document"),
    ],
    ids=["older", "not valid", "of something else", "no document"],
)
def test_a_schema_that_is_not_ours_is_told_apart(served: Any, said: str) -> None:
    responses.get(f"{NOWHERE}/openapi.json", json=served)
    with here, pytest.raises(loop.StepFailed) as failed:
        preflight_checks.CHECKS["schema"](None)  # type: ignore[arg-type]
    assert said in str(failed.value)


@pytest.mark.django_db
def test_without_node_or_with_an_old_one_the_check_fails_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refusal() -> str:
        with pytest.raises(loop.StepFailed) as failed:
            node_example.run_example(api_key="s2_test_x", receiver=NO_PROGRAM, seconds=5)
        return str(failed.value)

    shell = shutil.which("sh")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "install Node.js 22.18 or later" in refusal()
    (tmp_path / "node").write_text(f"#!{shell}\necho v20.20.2\n")
    (tmp_path / "node").chmod(0o755)
    monkeypatch.setattr(node_example, "TSX", tmp_path / "tsx")
    assert "node is v20.20.2, which does not run TypeScript" in refusal()
    assert "npm ci in examples/node" in refusal()
    (tmp_path / "tsx").write_text(f"#!{shell}\necho the books do not agree\nexit 1\n")
    (tmp_path / "tsx").chmod(0o755)
    assert refusal() == "it ended with exit status 1, not 0. It said: the books do not agree"
    (tmp_path / "tsx").write_text(f"#!{shell}\necho waiting\nwhile :; do :; done\n")
    monkeypatch.setattr(node_example, "EXAMPLE", tmp_path / "batch_basic.ts")
    with pytest.raises(loop.StepFailed, match=r"it did not end within 0 s\. It said: waiting"):
        node_example.run_example(api_key="s2_test_x", receiver=NO_PROGRAM, seconds=0.4)


@pytest.mark.django_db
@here
def test_after_ten_minutes_nothing_is_begun_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = preflight.begin(by="system", now=timezone.now())
    with account_of(taken) as account:
        results = list(run_checks(account, reference=taken.pk, began=time.monotonic() - 600))
    assert [result["ok"] for result in results] == [False] * len(WORDS)
    assert results[0]["detail"].startswith("It was not begun: the ten minutes were over.")
    assert results[-1]["name"] == IN_TIME


@pytest.mark.django_db
@here
def test_a_check_that_breaks_fails_and_a_run_that_is_cut_off_clears_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_course: object) -> str:
        raise RuntimeError

    def is_cut_off(_course: object) -> str:
        raise SystemExit(1)

    monkeypatch.setattr(preflight_checks, "CHECKS", {"docs": breaks, "schema": lambda _course: "fine"})
    said = details(run_now())
    assert said["docs"].startswith("The check broke: RuntimeError.")
    assert said["schema"] == "fine"
    monkeypatch.setattr(preflight_checks, "CHECKS", {"docs": lambda _course: "fine", "schema": is_cut_off})
    with pytest.raises(SystemExit):
        run_now()
    ended = Preflight.objects.latest("pk")
    assert (ended.ok, [check["name"] for check in ended.checks]) == (False, ["docs", "run"])
    assert ended.organization is not None
    assert nothing_is_left(ended.organization)


@pytest.mark.django_db
@here
def test_the_key_of_a_run_that_was_killed_ends_by_itself() -> None:
    with account_of(preflight.begin(by="system", now=timezone.now())) as account:
        [key] = ApiKey.objects.filter(organization=account.organization)
        assert key.is_usable(timezone.now() + timedelta(seconds=LIMIT_SECONDS))
        assert not key.is_usable(timezone.now() + timedelta(minutes=31))


# --- one at a time --------------------------------------------------------------------------------------------------


@pytest.mark.django_db
@here
def test_one_runs_at_a_time_and_a_dead_one_is_in_nobodys_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight_checks, "CHECKS", {})
    now = timezone.now()
    first, is_new = preflight.ask(by="usr_1", now=now)
    assert (is_new, preflight.ask(by="usr_2", now=now)) == (True, (first, False))
    assert AuditEvent.objects.filter(action="preflight.run").count() == 1
    assert preflight.take(now=now) == first
    assert preflight.take(now=now) is None
    assert preflight.ask(by="usr_2", now=now) == (first, False)
    with pytest.raises(preflight.AlreadyRunning, match=f"{first.pk} runs since"):
        preflight.begin(by="system", now=now)
    with pytest.raises(CommandError, match="one runs at a time"):
        call_command("preflight")
    # Its process is gone: what it left is cleared away by the next, which does not wait for it.
    left = account_of(first)
    left.__enter__()
    later = now + preflight.DEAD_AFTER
    first.refresh_from_db()
    assert preflight.is_dead(first, later)
    assert first.organization is not None
    assert not nothing_is_left(first.organization)
    second = run_now(later)
    assert second.organization == first.organization
    assert nothing_is_left(first.organization)
    first.refresh_from_db()
    assert (first.ok, first.ended_at) == (None, None)
    left.__exit__(None, None, None)


@pytest.mark.django_db
@here
def test_the_task_runs_what_was_asked_for_and_nothing_else() -> None:
    run_preflight()
    assert not Preflight.objects.exists()
    asked, _ = preflight.ask(by="usr_1", now=timezone.now())
    run_preflight()
    run_preflight()
    asked.refresh_from_db()
    assert (Preflight.objects.count(), asked.ok) == (1, False)
    assert asked.ended_at is not None


# --- the page -------------------------------------------------------------------------------------------------------


def made(ago: timedelta, *, ok: bool | None, checks: list[dict[str, Any]]) -> Preflight:
    at = timezone.now() - ago
    ended = None if ok is None else at + timedelta(seconds=40)
    return Preflight.objects.create(
        requested_at=at, requested_by="system", started_at=at, ended_at=ended, ok=ok, checks=checks
    )


@pytest.mark.django_db
def test_the_page_shows_the_latest_run_live_and_the_older_ones() -> None:
    client, hour = staff("sales ops"), timedelta(hours=1)
    assert "It has not run yet" in words_of(client.get(PAGE))
    check = {"name": "docs", "ok": True, "seconds": 0.2, "detail": "/docs/enterprise answered 200."}
    old = made(25 * hour, ok=True, checks=[check])
    assert "There is no green preflight of the last 24 hours" in words_of(client.get(PAGE))
    made(3 * hour, ok=True, checks=[check])
    wrong = {"name": "sink", "ok": False, "seconds": 120.0, "detail": "the webhook did not come"}
    made(2 * hour, ok=False, checks=[check, wrong])
    made(hour, ok=None, checks=[check])
    page = client.get(PAGE)
    shown = words_of(page)
    assert "✓ A customer can be onboarded: the preflight was green" in shown
    assert "✕ It was begun" in shown
    assert "its process is gone" in shown
    assert "failed" in shown
    assert "hx-get" not in page.content.decode()
    one = words_of(client.get(f"{PAGE}?run={old.pk}"))
    assert "One run ✓ passed" in one
    assert "✓ passed /docs/enterprise is accessible 0.2 s · /docs/enterprise answered 200." in one
    assert client.get(f"{PAGE}?run=pfl_nobody").status_code == 404
    for _ in range(20):
        made(30 * hour, ok=True, checks=[])
    assert "Next ›" in words_of(client.get(PAGE))


@pytest.mark.django_db
def test_run_now_asks_once_and_the_page_follows_it() -> None:
    client = staff("sales ops")
    client.post(f"{PAGE}/run")
    again = client.post(f"{PAGE}/run", follow=True)
    assert "One waits or runs already" in words_of(again)
    asked = Preflight.objects.get()
    page = client.get(PAGE)
    assert f'hx-get="{PAGE}"' in page.content.decode()
    assert "○ asked" in words_of(page)
    assert "Run now" not in words_of(page)
    check = {"name": "docs", "ok": True, "seconds": 0.2, "detail": "/docs/enterprise answered 200."}
    Preflight.objects.filter(pk=asked.pk).update(started_at=timezone.now(), checks=[check])
    assert "◐ running /openapi.json is accessible ○ waiting A batch runs" in words_of(client.get(PAGE))
    assert staff("finance").post(f"{PAGE}/run").status_code == 403
    assert "Run now" not in words_of(staff("finance").get(PAGE))
