"""The checklists of a pilot, for our people (pilot_checklists) and the customer's: seen by the system, or ticked."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.handing_over import hand_over, reveal
from customers.models import AuditEvent
from pilots import ticking
from pilots.boundary import BOUNDARY
from pilots.checklist_facts import REQUIRED_FIELDS, Facts
from pilots.checklist_items import LISTS, OURS, THEIRS
from pilots.checklists import Line, checklists, item_of
from pilots.criteria import judge
from pilots.models import Pilot, Preflight, ReviewAnswer, SalesMail, Tick
from tests.factories import Account, end_batch, make_account, make_batch, order, sign
from tests.markup import forms_of, links_of
from tests.people import member, signed_in, staff, words_of
from tests.pilots.scenes import answer, pilot_of, sales_person
from tests.pilots.test_start_page import HOOK
from webhooks.models import Event

pytestmark = pytest.mark.django_db

BY_HAND = {item.key for *_, items in LISTS for item in items if item.by_hand}


@pytest.fixture
def pilot(account: Account) -> Pilot:
    return pilot_of(account)


def lines(pilot: Pilot) -> dict[str, Line]:
    facts = Facts(judge(pilot=pilot, now=timezone.now()))
    access = sales_person().access()
    groups = checklists(facts, shown=access, ticks=tuple(Tick.Side))
    return {line.item.key: line for group in groups for line in group.lines}


def done(pilot: Pilot) -> set[str]:
    return {key for key, line in lines(pilot).items() if line.is_done}


def mail(pilot: Pilot, body: str, **given: Any) -> SalesMail:
    return SalesMail.objects.create(
        organization=pilot.organization, template="pilot_ready", recipients=["a@b.example"], subject="Pilot", body=body,
        way=given.pop("way", SalesMail.Way.COPIED), created_at=timezone.now(), created_by=sales_person(), **given,
    )  # fmt: skip


def test_a_new_pilot_has_nothing_done(pilot: Pilot) -> None:
    assert done(pilot) == set()
    assert len(lines(pilot)) == 22


@pytest.mark.owner
def test_the_preparation_is_that_of_the_preflight_it_was_provisioned_on(pilot: Pilot) -> None:
    now, names = timezone.now(), ("docs", "schema", "node", "sink", "dashboard", "in_time")
    green, red = (
        Preflight.objects.create(
            requested_at=now, requested_by="system", started_at=now, ended_at=now + timedelta(seconds=age), ok=ok,
            checks=[{"name": name, "ok": ok, "seconds": 1, "detail": f"said {ok}"} for name in names],
        )
        for ok, age in ((True, 0), (False, 9))
    )  # fmt: skip
    assert done(pilot) == set()
    assert lines(pilot)["node"].seen.words == "said False"  # type: ignore[union-attr]
    Pilot.objects.filter(pk=pilot.pk).update(preflight=green)
    pilot.refresh_from_db()
    assert done(pilot) == set(names)
    assert lines(pilot)["docs"].seen.address == f"/admin/pilots/preflight?run={green.pk}"  # type: ignore[union-attr]
    assert red.pk > green.pk


def test_what_the_customer_is_given_is_seen_in_mails_that_went_out_and_links_that_were_opened(pilot: Pilot) -> None:
    unsent = mail(pilot, f"{BOUNDARY} https://x.example/docs/enterprise/webhooks", way=SalesMail.Way.SENT)
    mail(pilot, "Pilot terms:\n- Best-effort, prepaid credits\n- No SLA is included at this stage.")
    assert done(pilot) == set()
    SalesMail.objects.filter(pk=unsent.pk).update(sent_at=timezone.now())
    assert done(pilot) == {"boundary", "webhook_guide"}
    mail(pilot, "See examples/node/batch_basic.ts")
    for name in ("Webhook secret", "Live API key"):
        assert "pilot_key" not in done(pilot)
        _, token = hand_over(
            organization=pilot.organization, title="Secrets", content={name: "x"}, actor="usr_1", now=timezone.now()
        )
        assert "pilot_key" not in done(pilot)
        reveal(token=token, now=timezone.now())
    assert done(pilot) == {"boundary", "webhook_guide", "node_example", "pilot_key"}


@pytest.mark.owner
def test_the_execution_is_seen_as_it_goes(account: Account, pilot: Pilot) -> None:
    account.test_api.post("/video-batch", order(12, request_id="in test mode"))
    assert done(pilot) == set()
    account.api.post("/webhook-endpoints", {"url": HOOK})
    assert done(pilot) == {"pilot_key", "https_endpoint"}
    make_batch(account.api, 2, request_id="too small")
    seen = lines(pilot)
    assert {key for key, line in seen.items() if line.is_seen} >= {"request_id", "request_id_used"}
    assert (seen["batch_size"].is_done, seen["batch_size"].seen.words) == (False, "too small has 2 items")  # type: ignore[union-attr]
    same = make_batch(account.api, 0, request_id="alike", items=[{"prompt": "A cat"}] * 10)
    seen = lines(pilot)
    assert (seen["batch_size"].is_done, seen["metadata"].is_done) == (True, False)
    same.items.filter(index__lt=9).update(custom_id="")
    for item in same.items.all():
        same.items.filter(pk=item.pk).update(metadata={"shot": str(item.index)})
    assert "metadata" in done(pilot)
    answer(end_batch(same))
    assert {"webhook_received", "fields_there"} <= done(pilot)
    sign(same)
    ReviewAnswer.objects.create(
        pilot=pilot, question="most_confusing", answer="Nothing", at=timezone.now(), recorded_by=sales_person()
    )
    seen = lines(pilot)
    assert seen["ledger_reconciled"].seen.words.startswith("100 = 100 + 0, signed off")  # type: ignore[union-attr]
    assert {key for key, line in seen.items() if line.item.side == THEIRS and not line.is_done} == {
        *("raw_payloads", "status_flow", "fields_read")
    }
    assert seen["review"].is_done


def test_a_delivered_body_without_a_required_field_is_named(account: Account, pilot: Pilot) -> None:
    account.api.post("/webhook-endpoints", {"url": HOOK})
    answer(end_batch(make_batch(account.api, 10)))
    facts = Facts(judge(pilot=pilot, now=timezone.now()))
    assert facts.missing_fields == []
    facts.received.delivery.event = Event(body='{"batch_id": "bat_1", "summary": {"total": 1}}')  # type: ignore[union-attr]
    assert facts.missing_fields == [name for name in REQUIRED_FIELDS if name not in ("batch_id", "summary.total")]


def test_a_tick_stands_once_and_what_is_undone_stays_on_record(pilot: Pilot) -> None:
    by, now = sales_person(), timezone.now()
    item = item_of("raw_payloads", (THEIRS,))
    assert item is not None
    assert ticking.tick(pilot=pilot, item=item, by=by, now=now, note="In S3")
    assert not ticking.tick(pilot=pilot, item=item, by=by, now=now)
    assert done(pilot) == {"raw_payloads"}
    again = {"pilot": pilot, "item": "raw_payloads", "side": THEIRS, "ticked_at": now, "ticked_by": by}
    with pytest.raises(IntegrityError, match="pilots_tick_once"), transaction.atomic():
        Tick.objects.create(**again)
    assert ticking.undo(pilot=pilot, item=item, by=by, now=now)
    assert not ticking.undo(pilot=pilot, item=item, by=by, now=now)
    assert done(pilot) == set()
    assert ticking.tick(pilot=pilot, item=item, by=by, now=now)
    assert list(Tick.objects.order_by("pk").values_list("undone_by", "note")) == [(by.pk, "In S3"), (None, "")]
    acts = AuditEvent.objects.filter(subject=pilot.pk).order_by("pk").values_list("action", flat=True)
    assert list(acts) == ["pilot.tick", "pilot.untick", "pilot.tick"]


def test_our_people_tick_either_side_and_nothing_that_only_the_system_sees(account: Account, pilot: Pilot) -> None:
    cleo, page = staff("sales ops"), f"/admin/pilots/{pilot.pk}/checklists"
    offered = {form.fields["item"] for form in forms_of(cleo.get(page)) if form.action == f"{page}/tick"}
    assert offered == BY_HAND
    assert not [form for form in forms_of(staff("finance").get(page)) if form.action == f"{page}/tick"]
    for item in BY_HAND:
        cleo.post(f"{page}/tick", {"item": item, "act": "tick", "note": "They said so by phone"})
    shown = words_of(cleo.get(page))
    assert "Webhook configuration guide ours ticked by" in shown
    assert "They said so by phone" in shown
    assert "Customer prerequisites 2 of 3 done" in shown
    for item in ("boundary", "ledger_reconciled", "nonsense", ""):
        assert cleo.post(f"{page}/tick", {"item": item, "act": "tick"}).status_code == 404
    cleo.post(f"{page}/tick", {"item": "raw_payloads", "act": "undo"})
    assert "Customer prerequisites 1 of 3 done" in words_of(cleo.get(page))
    # What the system sees needs nobody's tick any more.
    make_batch(account.api, 10)
    assert "request_id" not in {form.fields.get("item") for form in forms_of(cleo.get(page))}


def test_a_customers_people_tick_their_own_side_of_their_own_pilot(account: Account, pilot: Pilot) -> None:
    address = f"/admin/pilots/{pilot.pk}/own-checklist/tick"
    finance, developer = (member(account.organization, f"customer {role}") for role in ("finance", "developer"))
    theirs = {item.key for *_, items in LISTS for item in items if item.by_hand and item.side == THEIRS}
    for client in (finance, developer):
        forms = [form for form in forms_of(client.get("/admin/")) if form.action == address]
        assert {form.fields["item"] for form in forms} == theirs
    response = developer.post(address, {"item": "raw_payloads", "act": "tick"}, follow=True)
    assert "Ticked: Able to log or store raw webhook payloads." in words_of(response)
    assert "Able to log or store raw webhook payloads ticked by" in words_of(finance.get("/admin/"))
    finance.post(address, {"item": "raw_payloads", "act": "undo"})
    assert not Tick.objects.filter(undone_at=None).exists()
    # Neither ours, nor another customer's; and ours are no customers.
    assert developer.post(address, {"item": "webhook_guide", "act": "tick"}).status_code == 404
    stranger = member(make_account(name="Globex").organization, "customer admin")
    assert stranger.post(address, {"item": "raw_payloads", "act": "tick"}).status_code == 404
    assert staff("support").post(address, {"item": "raw_payloads", "act": "tick"}).status_code == 404
    assert Tick.objects.count() == 1


def test_a_customer_sees_neither_our_lines_nor_which_of_us_ticked_theirs(account: Account, pilot: Pilot) -> None:
    cleo = staff("sales ops")
    cleo.post(f"/admin/pilots/{pilot.pk}/checklists/tick", {"item": "fields_read", "act": "tick", "note": "By phone"})
    end_batch(make_batch(account.api, 10, request_id="spots"))
    sign(Pilot.objects.get().organization.batches.get())
    page = member(account.organization, "customer developer").get("/admin/")
    shown = words_of(page)
    assert "timestamp ticked by our staff" in shown
    assert "By phone" not in shown
    assert "By phone" in words_of(cleo.get(f"/admin/pilots/{pilot.pk}/checklists"))
    assert "Deliverables to the customer" not in shown
    assert "preflight" not in shown
    assert "Ledger reconciled: reserved = settled + refunded" in shown
    assert "100 = 100 + 0" not in shown
    assert not any("billing" in link or "/pilots/" in link for link in links_of(page))
    assert "100 = 100 + 0" in words_of(member(account.organization).get("/admin/"))


def test_the_pages_ask_as_often_whatever_was_ticked(account: Account, pilot: Pilot) -> None:
    mia, page = member(account.organization, "customer admin"), f"/admin/pilots/{pilot.pk}/checklists"
    cleo = signed_in(sales_person())
    make_batch(account.api, 10)

    def asked() -> list[int]:
        counts = []
        for client, address in ((cleo, page), (mia, "/admin/")):
            with CaptureQueriesContext(connection) as captured:
                client.get(address)
            counts.append(len(captured))
        return counts

    cleo.post(f"{page}/tick", {"item": "webhook_guide", "act": "tick"})
    asked()
    before = asked()
    for item in BY_HAND - {"request_id"}:
        cleo.post(f"{page}/tick", {"item": item, "act": "tick"})
    asked()
    assert asked() == before
    assert OURS in Tick.objects.values_list("side", flat=True)
