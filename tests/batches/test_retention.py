"""Videos are kept as long as the customer's policy says; then their files go and their records stay."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as deployed
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, transaction
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from batches import orphans, retention
from batches.execution import collect as collecting
from batches.execution.collect import LEASE_SECONDS, collect_due
from batches.execution.poll import poll_due
from batches.execution.queue import claim_due
from batches.execution.submit import submit_due
from batches.models import Attempt, Batch, Item, Output, Stage
from batches.reconciliation import INVARIANTS
from batches.simulator.server import SimulatorServer
from batches.tasks import purge_outputs
from customers.models import AuditEvent, Organization
from ledger.reconciliation import discrepancies
from sora2.times import timestamp
from tests.as_role import as_owner
from tests.batches.engine import customer_with, drive, submit, the_route
from tests.connections import at_once
from tests.factories import Account, code_of, end_batch, make_account, make_batch
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def media(settings: Settings, tmp_path: Path) -> Path:
    """A storage of the test's own."""
    settings.MEDIA_ROOT = str(tmp_path / "media")
    return tmp_path / "media"


def stored(account: Account, count: int = 1, *, days_old: float = 0, request_id: str = "order-1") -> list[Output]:
    """Return the outputs of an ended batch, by index, each with a poster; stored so long ago."""
    batch = end_batch(make_batch(account.api, count, request_id=request_id))
    found = list(Output.objects.filter(item__batch=batch).order_by("item__index"))
    for output in found:
        output.poster = default_storage.save(f"{output.pk}.jpg", ContentFile(b"poster"))
        output.created_at = timezone.now() - timedelta(days=days_old)
    with as_owner():  # No code of ours changes these.
        Output.objects.bulk_update(found, ["poster", "created_at"])
    return found


def expire(outputs: Sequence[Output]) -> None:
    Output.objects.filter(pk__in=[output.pk for output in outputs]).update(expires_at=timezone.now())


def set_days(account: Account, days: int | None) -> int:
    return retention.change_retention(organization=account.organization, days=days, actor="usr_test")


def expiries() -> list[timedelta | None]:
    """Return by item how long each output is kept."""
    rows = Output.objects.order_by("item__batch_id", "item__index")
    return [row.expires_at - row.created_at if row.expires_at else None for row in rows]


def exists(output: Output) -> tuple[bool, bool]:
    return default_storage.exists(output.video), default_storage.exists(output.poster)


# --- the policy ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", [None, 1, 30])
def test_a_video_gets_its_date_when_it_is_stored(provider: SimulatorServer, days: int | None) -> None:
    customer = customer_with(100)
    Organization.objects.filter(pk=customer.organization.pk).update(retention_days=days)
    drive(submit(customer, ["a cat", "a dog"]))
    assert expiries() == [timedelta(days=days) if days else None] * 2


def test_customers_of_one_run_have_their_own_policies(provider: SimulatorServer) -> None:
    batches = []
    for days in (None, 7):
        customer = customer_with(100)
        retention.change_retention(organization=customer.organization, days=days, actor="usr_test")
        batches.append(submit(customer, ["a cat"]))
    for batch in batches:
        drive(batch)
    assert expiries() == [None, timedelta(days=7)]


def test_a_change_dates_the_videos_that_exist(account: Account) -> None:
    stored(account, 2, days_old=3)
    others = make_account()
    stored(others)
    assert set_days(account, 30) == 2
    assert expiries() == [30 * DAY, 30 * DAY, None]
    assert set_days(account, 5) == 2
    assert expiries() == [5 * DAY, 5 * DAY, None]
    assert set_days(account, None) == 2
    assert expiries() == [None, None, None]


def test_a_change_leaves_what_is_purged(account: Account) -> None:
    output, _ = stored(account, 2, days_old=3)
    expire([output])
    retention.purge_outputs(now=timezone.now())
    before = Output.objects.get(pk=output.pk)
    assert set_days(account, 30) == 1
    after = Output.objects.get(pk=output.pk)
    assert (after.expires_at, after.purged_at) == (before.expires_at, before.purged_at)


def test_a_change_is_audited_with_what_was_and_what_is(account: Account) -> None:
    set_days(account, 30)
    set_days(account, 30)
    set_days(account, None)
    said = AuditEvent.objects.filter(action="organization.retention").order_by("pk")
    assert [(event.actor, event.subject, event.detail) for event in said] == [
        ("usr_test", account.organization.pk, {"old": None, "new": 30}),
        ("usr_test", account.organization.pk, {"old": 30, "new": None}),
    ]


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_a_policy_that_is_none_is_refused(account: Account, days: int) -> None:
    with pytest.raises(ValueError, match="1 to 36,500 days"):
        set_days(account, days)
    assert AuditEvent.objects.filter(action="organization.retention").count() == 0


@pytest.mark.django_db(transaction=True)
def test_a_change_waits_for_videos_that_are_just_being_stored(account: Account) -> None:
    """Whichever of the two is first, no video keeps the date of the policy that was."""
    batch = make_batch(account.api)
    item = batch.items.get()

    def store() -> None:
        with transaction.atomic():
            now = timezone.now()
            expires_at = retention.expiries(batch_ids=[batch.pk], created_at=now)[batch.pk]
            Output.objects.create(
                item=item,
                video="v",
                poster="p",
                bytes=1,
                sha256="0",
                duration_ms=1,
                created_at=now,
                expires_at=expires_at,
            )

    for days in (10, 20, 30, 40):
        results = at_once(store, lambda days=days: set_days(account, days))  # type: ignore[misc]
        assert [result for result in results if isinstance(result, Exception)] == []
        assert expiries() == [days * DAY]
        _forget_outputs()


def _forget_outputs() -> None:
    """As the owner of the table: nobody else may delete a record."""
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE batches_output DISABLE TRIGGER ALL")
        cursor.execute("DELETE FROM batches_output")
        cursor.execute("ALTER TABLE batches_output ENABLE ALWAYS TRIGGER batches_output_no_delete")


# --- the purge -----------------------------------------------------------------------------------------------------


def test_what_has_expired_is_deleted_and_its_record_stays(account: Account) -> None:
    gone, kept = stored(account, 2)
    expire([gone])
    now = timezone.now()
    assert retention.purge_outputs(now=now) == 1
    assert (exists(gone), exists(kept)) == ((False, False), (True, True))
    after = Output.objects.get(pk=gone.pk)
    assert (after.bytes, after.sha256, after.duration_ms) == (gone.bytes, gone.sha256, gone.duration_ms)
    assert (after.video, after.purged_at) == (gone.video, now)
    assert Output.objects.get(pk=kept.pk).purged_at is None
    assert discrepancies(INVARIANTS) == []


def test_what_has_not_expired_yet_is_left(account: Account) -> None:
    (output,) = stored(account, days_old=29)
    set_days(account, 30)
    assert retention.purge_outputs(now=timezone.now()) == 0
    assert retention.purge_outputs(now=timezone.now() + DAY) == 1
    assert exists(output) == (False, False)


def test_a_file_that_is_gone_already_is_no_error(account: Account) -> None:
    """Whoever deleted it died before the row was marked."""
    outputs = stored(account, 2)
    expire(outputs)
    default_storage.delete(outputs[0].video)
    default_storage.delete(outputs[1].poster)
    assert retention.purge_outputs(now=timezone.now()) == 2
    assert retention.purge_outputs(now=timezone.now()) == 0


def test_a_fault_of_the_storage_leaves_one_due_and_holds_up_no_other(account: Account, media: Path) -> None:
    outputs = stored(account, 5)
    expire(outputs)
    stuck = media / outputs[0].video
    stuck.unlink()
    (stuck / "full").mkdir(parents=True)  # What cannot be deleted.
    assert retention.purge_outputs(now=timezone.now()) == 4
    assert list(Output.objects.filter(purged_at=None)) == [outputs[0]]
    (stuck / "full").rmdir()
    assert retention.purge_outputs(now=timezone.now()) == 1
    assert exists(outputs[0]) == (False, False)


def test_many_go_in_chunks_and_a_run_ends_in_time(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "CHUNK", 3)
    outputs = stored(account, 10)
    expire(outputs)
    assert retention.purge_outputs(now=timezone.now(), seconds=0) == 0
    assert retention.purge_outputs(now=timezone.now()) == 10
    assert not any(any(exists(output)) for output in outputs)


@pytest.mark.django_db(transaction=True)
def test_two_purges_at_once_do_no_harm(account: Account) -> None:
    outputs = stored(account, 20)
    expire(outputs)
    now = timezone.now()
    counts = at_once(*[lambda: retention.purge_outputs(now=now)] * 3)
    assert sum(count for count in counts if isinstance(count, int)) == 20, counts
    assert Output.objects.filter(purged_at=now).count() == 20


@pytest.mark.django_db(transaction=True)
def test_a_purge_and_a_change_at_once_do_no_harm(account: Account) -> None:
    expire(stored(account, 20))
    results = at_once(
        lambda: retention.purge_outputs(now=timezone.now()),
        lambda: set_days(account, 30),
        lambda: retention.purge_outputs(now=timezone.now()),
    )
    assert [result for result in results if isinstance(result, Exception)] == []
    for output in Output.objects.all():
        assert default_storage.exists(output.video) is (output.purged_at is None)


def test_the_task_does_both_and_beat_rings_for_it(account: Account) -> None:
    (output,) = stored(account)
    expire([output])
    purge_outputs()
    assert exists(output) == (False, False)
    assert deployed.CELERY_BEAT_SCHEDULE["batches.purge_outputs"]["task"] == purge_outputs.name


# --- what customers and staff see ----------------------------------------------------------------------------------


def item_path(output: Output, suffix: str = "") -> str:
    return f"/video-batch/{output.item.batch_id}/items/{output.pk}{suffix}"


def test_an_item_says_until_when_its_video_is_kept_and_keeps_its_output_after(account: Account) -> None:
    (output,) = stored(account)
    set_days(account, 30)
    before = account.api.get(item_path(output)).json()["output"]
    output.refresh_from_db()
    assert before["expires_at"] == timestamp(output.created_at + 30 * DAY)
    retention.purge_outputs(now=timezone.now() + 31 * DAY)
    assert account.api.get(item_path(output)).json()["output"] == before
    listed = account.api.get(f"/video-batch/{output.item.batch_id}/items").json()["data"]
    assert listed[0]["output"]["sha256"] == output.sha256


def test_a_video_that_is_purged_is_not_found_and_says_when_and_why(account: Account) -> None:
    (output,) = stored(account)
    expire([output])
    retention.purge_outputs(now=timezone.now())
    for query in ({}, {"url": "1"}):
        response = account.api.get(item_path(output, "/content"), query)
        assert code_of(response) == (404, "not_found")
        said = response.json()["detail"]
        assert f"deleted on {timezone.now():%Y-%m-%d} under the retention policy" in said


def test_an_address_of_a_video_that_is_purged_leads_nowhere(account: Account, client: Client) -> None:
    (output,) = stored(account)
    url = account.api.get(item_path(output, "/content"), url="1").json()["url"]
    expire([output])
    retention.purge_outputs(now=timezone.now())
    assert "retention policy" in client.get(url).json()["detail"]


def test_a_video_whose_file_is_just_gone_says_the_same(account: Account) -> None:
    (output,) = stored(account)
    expire([output])
    default_storage.delete(output.video)
    assert "retention policy" in account.api.get(item_path(output, "/content")).json()["detail"]


def test_the_pages_show_the_record_without_player_and_poster(account: Account) -> None:
    (output,) = stored(account)
    page = f"/admin/batches/{output.item.batch_id}"
    browser = staff("finance")
    assert "<video" in browser.get(f"{page}/items/{output.pk}").content.decode()
    assert f"{output.pk}/poster" in browser.get(page).content.decode()
    expire([output])
    assert "kept until" in words_of(browser.get(f"{page}/items/{output.pk}"))
    retention.purge_outputs(now=timezone.now())
    shown = browser.get(f"{page}/items/{output.pk}")
    assert "<video" not in shown.content.decode()
    assert "It was deleted" in words_of(shown)
    assert output.sha256 in shown.content.decode()
    assert f"{output.pk}/poster" not in browser.get(page).content.decode()
    for file in ("video", "poster"):
        assert browser.get(f"{page}/items/{output.pk}/{file}").status_code == 404


def test_the_proof_of_a_batch_outlives_its_videos(account: Account) -> None:
    (output,) = stored(account)
    proof = account.api.get(f"/video-batch/{output.item.batch_id}/proof").content
    expire([output])
    retention.purge_outputs(now=timezone.now())
    assert account.api.get(f"/video-batch/{output.item.batch_id}/proof").content == proof


# --- the form ------------------------------------------------------------------------------------------------------


def form_of(account: Account) -> str:
    return f"/admin/retention/{account.organization.pk}"


def days_of(account: Account) -> int | None:
    return Organization.objects.get(pk=account.organization.pk).retention_days


def test_a_superuser_changes_the_policy(account: Account) -> None:
    stored(account)
    browser = superuser()
    assert "1 video of this customer is kept now, for ever." in words_of(browser.get(form_of(account)))
    done = browser.post(form_of(account), {"days": "30"}, follow=True)
    assert "Videos are kept for 30 days: 1 changed." in words_of(done)
    assert (days_of(account), expiries()) == (30, [30 * DAY])
    event = AuditEvent.objects.get(action="organization.retention")
    assert event.actor.startswith("usr_")
    browser.post(form_of(account), {"days": ""})
    assert (days_of(account), expiries()) == (None, [None])


def test_what_would_be_deleted_at_once_is_asked_for_first(account: Account) -> None:
    stored(account, 2, days_old=40)
    stored(account, days_old=1, request_id="order-2")
    browser = superuser()
    asked = browser.post(form_of(account), {"days": "30"})
    assert asked.status_code == 422
    assert "2 videos are older than that, and will be deleted within minutes." in words_of(asked)
    assert days_of(account) is None
    assert browser.post(form_of(account), {"days": "30", "deletes": "1"}).status_code == 422
    assert browser.post(form_of(account), {"days": "30", "deletes": "2"}).status_code == 302
    assert days_of(account) == 30


@pytest.mark.parametrize("days", ["0", "-1", "36501", "a week", "1.5", "9" * 400, "²"])
def test_what_is_no_number_of_days_changes_nothing(account: Account, days: str) -> None:
    response = superuser().post(form_of(account), {"days": days})
    assert response.status_code == 422
    assert "Write 1 to 36,500 days, or nothing." in words_of(response)
    assert days_of(account) is None


@pytest.mark.parametrize("role", ["finance", "finance approver", "sales ops", "support", "auditor", "customer admin"])
def test_nobody_else_sees_or_changes_it(account: Account, role: str) -> None:
    of_customer = role.startswith("customer")
    browser = member(account.organization, role) if of_customer else staff(role)
    assert browser.get(form_of(account)).status_code == 404
    assert browser.post(form_of(account), {"days": "1"}).status_code == 404
    assert days_of(account) is None


def test_the_page_of_the_organization_leads_to_the_form(account: Account) -> None:
    browser = superuser()
    shown = browser.get(f"/admin/customers/organization/{account.organization.pk.replace('_', '_5F')}/change/")
    assert "for ever · change" in words_of(shown)
    assert form_of(account) in shown.content.decode()


# --- files that no record names ------------------------------------------------------------------------------------


def rename(output: Output, name: str) -> None:
    """Let a record name another file, which no code of ours does."""
    with as_owner():
        Output.objects.filter(pk=output.pk).update(video=name)


def file_of(batch: Batch, number: int, suffix: str = "mp4") -> str:
    """Store a file as a worker does whose result is dropped then."""
    return default_storage.save(f"outputs/{batch.pk}/att_{number:026}-0.{suffix}", ContentFile(b"orphan"))


def sweep(days: float = 2, **limits: Any) -> int:
    return orphans.remove_orphans(now=timezone.now() + timedelta(days=days), **limits)


def test_a_worker_that_was_thought_dead_leaves_a_file_that_is_found(provider: SimulatorServer, media: Path) -> None:
    batch = submit(customer_with(100), ["a cat"])
    while batch.items.get().stage != Stage.COLLECT:
        submit_due(the_route())
        poll_due(the_route())
    zombie = claim_due(route=the_route().name, stage=Stage.COLLECT, count=1, lease_seconds=0, now=timezone.now())
    assert len(zombie) == 1
    assert collect_due(the_route()) == 1
    late = [(item, collecting._collect(the_route(), item)) for item in zombie]
    collecting._record(late)
    output = Output.objects.get(item__batch=batch)
    assert len(list(media.rglob("*.mp4"))) == len(list(media.rglob("*.jpg"))) == 2
    assert sweep() == 2
    assert [path.relative_to(media).as_posix() for path in media.rglob("*.mp4")] == [output.video]
    assert exists(output) == (True, True)
    assert Attempt.objects.filter(item__batch=batch).count() == 1
    assert LEASE_SECONDS > 0


def test_what_a_record_names_and_what_is_not_ours_is_left(account: Account) -> None:
    (output,) = stored(account)
    batch = output.item.batch
    named = file_of(batch, 1)
    rename(output, named)
    foreign = [
        default_storage.save(f"outputs/{batch.pk}/{name}", ContentFile(b"x")) for name in ("notes.txt", "att_1.mp4")
    ]
    lost = [file_of(batch, 2), file_of(batch, 3, "jpg")]
    assert sweep() == 2
    assert [default_storage.exists(name) for name in (named, *foreign, *lost)] == [True, True, True, False, False]


def test_files_of_a_purged_output_are_found_if_they_ever_come_back(account: Account) -> None:
    (output,) = stored(account)
    name = file_of(output.item.batch, 1)
    rename(output, name)
    expire([output])
    retention.purge_outputs(now=timezone.now())
    assert file_of(output.item.batch, 1) == name
    assert sweep() == 1


def test_a_batch_that_is_open_or_ended_just_now_is_left(account: Account) -> None:
    running = make_batch(account.api, request_id="open")
    ended = end_batch(make_batch(account.api))
    names = [file_of(running, 1), file_of(ended, 2)]
    assert sweep(days=0.9) == 0
    assert sweep(days=1.1) == 1
    assert [default_storage.exists(name) for name in names] == [True, False]


def test_each_batch_is_looked_at_once_and_the_audit_log_says_how_far_it_went(account: Account) -> None:
    batches = [end_batch(make_batch(account.api, request_id=f"order-{number}")) for number in range(3)]
    file_of(batches[0], 1)
    assert sweep(seconds=0) == 1  # A run that is out of time ends after the batch it is at.
    assert sweep() == 0
    assert sweep() == 0
    events = AuditEvent.objects.filter(action="outputs.swept").order_by("pk")
    assert [(event.detail["batches"], event.detail["files"]) for event in events] == [(1, 1), (2, 0)]
    assert [event.detail["through"][1] for event in events] == [batches[0].pk, batches[2].pk]
    late = file_of(batches[0], 2)
    assert sweep() == 0
    assert default_storage.exists(late)


def test_batches_that_ended_at_the_same_moment_are_all_looked_at(account: Account) -> None:
    batches = [end_batch(make_batch(account.api, request_id=f"order-{number}")) for number in range(3)]
    moment = timezone.now()
    _as_owner_end_at(moment)
    for number, batch in enumerate(batches):
        file_of(batch, number)
    assert [sweep(seconds=0) for _ in range(4)] == [1, 1, 1, 0]


def _as_owner_end_at(moment: Any) -> None:
    with as_owner(), connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE batches_batch DISABLE TRIGGER ALL")
        cursor.execute("UPDATE batches_batch SET finished_at = %s", [moment])


def test_a_file_that_cannot_be_deleted_holds_up_no_other(account: Account, media: Path) -> None:
    batch = end_batch(make_batch(account.api))
    names = [file_of(batch, number) for number in range(2)]
    stuck = media / names[0]
    stuck.unlink()
    (stuck / "full").mkdir(parents=True)
    assert sweep() == 1
    assert not default_storage.exists(names[1])


def test_a_storage_that_does_not_answer_is_asked_again(account: Account, media: Path) -> None:
    batch = end_batch(make_batch(account.api))
    folder = media / "outputs"
    folder.mkdir(parents=True)
    (folder / batch.pk).write_text("a file where a folder should be")
    assert sweep() == 0
    assert not AuditEvent.objects.filter(action="outputs.swept").exists()
    (folder / batch.pk).unlink()
    file_of(batch, 1)
    assert sweep() == 1


def test_items_of_a_batch_without_files_cost_nothing(account: Account) -> None:
    end_batch(make_batch(account.api, 2))
    assert sweep() == 0
    assert Item.objects.filter(status="succeeded").count() == 2
