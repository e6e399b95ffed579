"""The pages of batches and finance's home: what they show, and at what cost."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import list_pages, pages
from batches.failures import POLICIES, FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Attempt, Batch, Item, Output, Stage, Status
from batches.reconciliation import reconcile
from batches.stopping import cancel
from batches.telling import start
from customers.models import Mode
from ledger.models import ReconciliationRun
from ledger.reconciliation import Discrepancy, Findings, extent, keep_run
from sora2.canonical import sha256_hex
from tests.factories import VIDEO, Account, end_batch, end_items, make_account, make_batch
from tests.people import member, staff, words_of
from webhooks.models import Attempt as Try
from webhooks.models import Delivery, Endpoint, Event

pytestmark = pytest.mark.django_db

REFUSED = FailureType.CONTENT_REFUSED


def text(address: str, **query: str) -> str:
    """Return what finance reads on a page."""
    response = staff().get(address, query)
    assert response.status_code == 200, response.status_code
    return words_of(response)


def at(batch: Batch, tab: str = "") -> str:
    return f"/admin/batches/{batch.pk}{tab}"


def listen(account: Account, mode: Mode = Mode.LIVE) -> Endpoint:
    return Endpoint.objects.create(organization=account.organization, mode=mode, url="https://example.com/hook")


def tried(delivery: Delivery, status_code: int, state: str, **more: Any) -> None:
    """Record one attempt as the deliverer does."""
    Try.objects.create(delivery=delivery, number=1, at=timezone.now(), status_code=status_code, duration_ms=42, **more)
    due_at = timezone.now() + timedelta(minutes=5) if state == Delivery.State.PENDING else None
    Delivery.objects.filter(pk=delivery.pk).update(state=state, attempts_made=1, due_at=due_at)


def queries_of(client: Any, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


# --- home ----------------------------------------------------------------------------------------------------------


def test_home_says_that_every_credit_is_explained(account: Account) -> None:
    end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    make_batch(account.api, 2, request_id="order-2")
    reconcile(now=timezone.now())
    home = text("/admin/")
    assert "✓ Every credit is explained" in home
    assert "2 batches · 6 entries" in home
    assert "Funded 1,000 = Available 890 + Reserved 20 + Settled 90 ✓" in home
    assert "Open batches 1 oldest" in home
    assert "Refund coverage 100 % 1 of 1 failed items" in home


def test_home_counts_no_credit_of_test_mode(account: Account) -> None:
    end_batch(make_batch(account.test_api, 10), failed={7: REFUSED})
    make_batch(account.test_api, 1, request_id="order-2")
    home = text("/admin/")
    assert "Funded 1,000 = Available 1,000 + Reserved 0 + Settled 0 ✓" in home
    assert "Open batches 0 nothing is waiting · 1 in test" in home
    assert "0 of 0 failed items" in home


def test_home_says_so_before_the_first_check() -> None:
    assert "Not checked yet" in text("/admin/")


def test_home_lists_each_discrepancy_with_its_promise_and_a_link(account: Account) -> None:
    batch = make_batch(account.api)
    found = [Discrepancy("invariant_x", "A promise.", batch.pk, "says 10, not 11")]
    keep_run(started_at=timezone.now(), extent=extent(batches=1, items=1), findings=Findings({"invariant_x": 1}, found))
    response = staff().get("/admin/")
    assert "✕ 1 discrepancy: credits are unexplained" in words_of(response)
    assert "A promise. says 10, not 11" in words_of(response)
    assert f'href="{at(batch)}"' in response.content.decode()


def test_home_tells_a_customer_only_of_their_own(account: Account) -> None:
    theirs, other = make_batch(account.api), make_account(name="Globex")
    make_batch(other.api), make_batch(other.api, request_id="order-2")
    found = [Discrepancy("invariant_x", "A promise.", theirs.pk, "figures of Acme")]
    keep_run(started_at=timezone.now(), extent=extent(batches=3, items=3), findings=Findings({"invariant_x": 1}, found))
    stranger = words_of(member(other.organization).get("/admin/"))
    assert "✓ Every credit is explained" in stranger
    assert "2 batches · 4 entries" in stranger
    assert "figures of Acme" not in stranger
    assert "Funded 1,000 =" in stranger
    assert "figures of Acme" in words_of(member(account.organization).get("/admin/"))


@pytest.mark.parametrize("role", ["finance", "auditor"])
def test_checking_now_keeps_a_run_and_says_what_it_found(account: Account, role: str) -> None:
    end_batch(make_batch(account.api))
    client = staff(role)
    assert "Check now" in words_of(client.get("/admin/"))
    response = client.post("/admin/check", follow=True)
    assert "Checked just now: every credit is explained." in words_of(response)
    assert [(run.batches, run.explained) for run in ReconciliationRun.objects.all()] == [(1, True)]


@pytest.mark.parametrize(("who", "status"), [("support", 403), ("customer admin", 404)])
def test_those_who_may_not_check_cannot(account: Account, who: str, status: int) -> None:
    client = staff(who) if who == "support" else member(account.organization, who)
    assert "Check now" not in words_of(client.get("/admin/"))
    assert client.post("/admin/check").status_code == status
    assert not ReconciliationRun.objects.exists()


def test_checking_needs_a_post() -> None:
    assert staff().get("/admin/check").status_code == 405


@pytest.mark.owner
def test_home_lists_what_needs_attention_newest_first(account: Account) -> None:
    listen(account)
    old = make_batch(account.api, 1, request_id="stuck")
    Batch.objects.filter(pk=old.pk).update(created_at=timezone.now() - timedelta(hours=3))
    end_batch(make_batch(account.api, 1, request_id="told"))
    tried(Delivery.objects.get(), 503, Delivery.State.EXHAUSTED)
    response = staff().get("/admin/")
    home = words_of(response)
    assert "Webhooks failing 0 1 given up" in home
    undelivered = home.index("1 message was given up and never reached example.com/hook")
    assert undelivered < home.index("Batch stuck is still queued.")
    assert f'href="/admin/webhooks/endpoints/{Endpoint.objects.get().pk}"' in response.content.decode()
    other = member(make_account(name="Globex").organization)
    assert "Batch stuck" not in words_of(other.get("/admin/"))


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_shows_each_batch_with_its_progress_and_the_totals(account: Account) -> None:
    end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    running = make_batch(account.api, 4, request_id="order-2")
    end_items(running, succeeded=[0, 1], failed={2: FailureType.TIMEOUT})
    make_batch(account.test_api, 5, request_id="order-3")
    listed = text("/admin/batches/")
    assert "9 ✓ 1 ✕ of 10" in listed
    assert "3 of 4 · 2 ✓ · 1 ✕ · 0 running" in listed
    assert "LIVE all 2 batches 14 items 140 40 held 90 10" in listed
    assert "TEST all 1 batch 5 items 50 50 held 0 0" in listed
    assert "order-3 TEST" in listed


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "open"}, ["order-3", "order-2"]),
        ({"state": "partial"}, ["order-1"]),
        ({"mode": "test"}, ["order-3"]),
        ({"customer": "acm"}, ["order-3", "order-2", "order-1"]),
        ({"customer": "globex"}, []),
        ({"q": "order-2"}, ["order-2"]),
        ({"q": "orde"}, ["order-3", "order-2", "order-1"]),
        ({"q": "ORDER-2"}, []),
        ({"q": "order_2"}, []),
        ({"custom_id": "sku-1"}, ["order-2"]),
        ({"custom_id": "sku"}, []),
        ({"from": "2020-01-01", "until": "2100-01-01"}, ["order-3", "order-2", "order-1"]),
        ({"from": "2100-01-01"}, []),
        ({"until": "2020-01-01T12:00:00Z"}, []),
        ({"q": "bat_"}, ["order-3", "order-2", "order-1"]),
        ({"state": "open", "mode": "live"}, ["order-2"]),
        ({"state": "no such state"}, []),
    ],
)
def test_the_list_is_filtered_and_the_filters_can_be_removed(
    account: Account, query: dict[str, str], expected: list[str]
) -> None:
    end_batch(make_batch(account.api, 2), failed={0: REFUSED})
    make_batch(account.api, items=[{"prompt": "a", "custom_id": "sku-1"}], request_id="order-2")
    make_batch(account.test_api, request_id="order-3")
    response = staff().get("/admin/batches/", query)
    assert [row.batch.request_id for row in response.context["found"].rows] == expected
    assert response.context["found"].batches == len(expected)
    assert [len(chip.rest) > 0 for chip in response.context["chips"]] == [True] * len(query)


def test_the_list_is_paged_by_cursor_and_stable_while_batches_are_added(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(list_pages, "BATCHES_SHOWN", 2)
    for number in range(3):
        make_batch(account.api, request_id=f"order-{number}")
    client = staff()
    first = client.get("/admin/batches/").context["found"]
    make_batch(account.api, request_id="meanwhile")
    second = client.get("/admin/batches/", {"after": first.page.next}).context["found"]
    assert [row.batch.request_id for row in (*first.rows, *second.rows)] == ["order-2", "order-1", "order-0"]
    assert (second.page.next, second.batches) == (None, 4)


def test_the_list_takes_as_many_queries_whatever_the_number_of_batches(account: Account) -> None:
    client = staff()
    make_batch(account.api, 2)
    end_batch(make_batch(account.api, 2, request_id="ended"))
    before = queries_of(client, "/admin/batches/")
    for number in range(6):
        make_batch(account.api, 3, request_id=f"open-{number}")
        end_batch(make_batch(account.api, 3, request_id=f"ended-{number}"))
    assert queries_of(client, "/admin/batches/") == before


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"from": "yesterday"}, "'yesterday' is no day or time: write it like 2026-10-01"),
        ({"from": "2026-10-02", "until": "2026-10-01"}, "2026-10-01 does not come after 2026-10-02"),
    ],
)
def test_a_date_that_is_none_is_named_and_no_batch_is_shown(account: Account, query: dict[str, str], said: str) -> None:
    make_batch(account.api)
    response = staff().get("/admin/batches/", query)
    assert said in words_of(response)
    assert "order-1" not in words_of(response)
    assert [query[name] for name in query if f'value="{query[name]}"' in response.content.decode()] == [*query.values()]


def test_the_first_moment_is_included_and_the_last_is_not(account: Account) -> None:
    created = make_batch(account.api).created_at.isoformat()
    assert "order-1" in text("/admin/batches/", **{"from": created})
    assert "order-1" not in text("/admin/batches/", until=created)


def test_a_batch_found_by_a_custom_id_leads_to_that_item(account: Account) -> None:
    batch = make_batch(account.api, items=[{"prompt": "a", "custom_id": "sku 1"}])
    html = staff().get("/admin/batches/", {"custom_id": "sku 1"}).content.decode()
    assert f'href="{at(batch)}?custom_id=sku%201"' in html


def test_an_empty_list_says_how_a_batch_comes_to_be() -> None:
    assert "POST /api/enterprise/video-batch" in text("/admin/batches/")


# --- the head ------------------------------------------------------------------------------------------------------


def test_while_a_batch_runs_its_credits_are_held(account: Account) -> None:
    batch = make_batch(account.api, 10)
    start(batch_ids=[batch.pk], now=timezone.now())
    end_items(batch, succeeded=[0], failed={1: REFUSED})
    page = text(at(batch))
    assert "Reserved 100 = Settled 0 + Refunded 0 + Held 100 ✓" in page
    assert "2 of 10 · 1 ✓ · 1 ✕ · 0 running" in page
    assert "Last item ended not yet Finalized not yet Webhook acknowledged not yet" in page


def test_when_it_has_ended_reserved_is_settled_and_refunded(account: Account) -> None:
    listen(account)
    batch = end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    tried(Delivery.objects.get(), 204, Delivery.State.DELIVERED)
    page = text(at(batch))
    assert "Reserved 100 = Settled 90 + Refunded 10 ✓" in page
    assert "10 items: 9 ✓ 1 ✕" in page
    assert "not yet" not in page


def test_the_timeline_says_why_nobody_has_acknowledged_the_webhook(account: Account) -> None:
    assert "Webhook acknowledged not due: no endpoint wanted it" in text(at(end_batch(make_batch(account.api))))
    listen(account)
    batch = end_batch(make_batch(account.api, request_id="order-2"))
    delivery = Delivery.objects.get()
    tried(delivery, 503, Delivery.State.PENDING)
    assert "not yet: refused so far, and tried again" in text(at(batch))
    Delivery.objects.update(state=Delivery.State.EXHAUSTED, due_at=None)
    assert "given up: nobody took it" in text(at(batch))


def test_the_timeline_says_how_long_each_step_took(account: Account) -> None:
    batch = make_batch(account.api)
    start(batch_ids=[batch.pk], now=batch.created_at + timedelta(seconds=31))
    assert "31 s" in text(at(batch)).partition("Started")[2].partition("Last item")[0]


def test_a_canceled_batch_says_that_what_was_submitted_runs_on(account: Account) -> None:
    batch = make_batch(account.api, 2)
    Item.objects.filter(batch=batch, index=0).update(
        status=Status.RUNNING, stage=Stage.POLL, attempts_made=1, started_at=timezone.now()
    )
    cancel(batch=batch, actor="key_1", now=timezone.now())
    page = text(at(batch))
    assert "what was submitted runs on to its end" in page
    assert "✕ 1 canceled" in page


def test_the_page_refreshes_itself_until_the_batch_has_ended_and_its_webhook_was_tried(account: Account) -> None:
    listen(account)
    client, batch = staff(), make_batch(account.api, 2)
    assert 'hx-trigger="every 2s"' in client.get(at(batch)).content.decode()
    end_batch(batch)
    assert 'hx-trigger="every 2s"' in client.get(at(batch)).content.decode()
    tried(Delivery.objects.get(), 503, Delivery.State.PENDING)
    final = client.get(at(batch)).content.decode()
    assert "hx-" not in final
    assert "htmx" not in final


def test_the_head_says_where_a_batch_came_from(account: Account) -> None:
    batch = make_batch(account.api, webhook_url="https://example.com/own", deadline="2100-01-01T00:00:00Z")
    page = text(at(batch))
    assert f"Ordered by the key Live ({account.keys[Mode.LIVE].hint}…)" in page
    assert "https://example.com/own" in page
    assert "2100-01-01 00:00:00 UTC" in page


def test_the_page_can_be_refreshed_without_javascript(account: Account) -> None:
    batch = make_batch(account.api)
    address = f"{at(batch)}?show=pending"
    assert f'href="{address}">Refresh</a>' in staff().get(address).content.decode()


# --- tasks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"show": "succeeded"}, [0, 4]),
        ({"show": "failed"}, [1, 2, 3]),
        ({"failure": "timeout"}, [1, 3]),
        ({"show": "pending"}, []),
        ({"custom_id": "sku-3"}, [3]),
        ({"custom_id": "sku"}, []),
    ],
)
def test_items_are_listed_by_index_all_or_by_outcome(
    account: Account, query: dict[str, str], expected: list[int]
) -> None:
    timeout = FailureType.TIMEOUT
    clips = [{"prompt": "a", "custom_id": f"sku-{number}"} for number in range(5)]
    batch = end_batch(make_batch(account.api, items=clips), failed={1: timeout, 2: REFUSED, 3: timeout})
    response = staff().get(at(batch), query)
    assert [item.index for item in response.context["items"].rows] == expected
    assert "all 5 ✓ 2 succeeded ✕ 3 failed ✕ 1 content refused ✕ 2 timeout" in words_of(response)


def test_items_are_paged_by_index(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "ITEMS_SHOWN", 3)
    batch = make_batch(account.api, 5)
    client = staff()
    first = client.get(at(batch)).context["items"]
    second = client.get(at(batch), {"after": first.next}).context["items"]
    assert [item.index for item in (*first.rows, *second.rows)] == [0, 1, 2, 3, 4]
    assert (first.next, second.next, second.start) == ("2", None, False)


def test_a_task_says_in_words_why_it_failed(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 2), failed={1: REFUSED})
    assert f"✕ refunded content refused {POLICIES[REFUSED].happened} 10" in text(at(batch))


@pytest.mark.parametrize("tab", ["", "/billing", "/webhooks"])
def test_a_tab_takes_as_many_queries_whatever_the_number_of_items(tab: str) -> None:
    client, account = staff(), make_account(max_items_per_batch=60)
    small = end_batch(make_batch(account.api, 3), failed={0: REFUSED, 1: FailureType.TIMEOUT})
    large = make_batch(account.api, 60, request_id="large")
    end_batch(large, failed=dict.fromkeys(range(0, 60, 3), REFUSED) | {1: FailureType.TIMEOUT})
    assert queries_of(client, at(small, tab)) == queries_of(client, at(large, tab))


def test_a_prompt_cannot_put_marks_into_the_page(account: Account) -> None:
    batch = make_batch(account.api, 1, items=[{"prompt": "<script>alert(1)</script>", "custom_id": "<b>"}])
    for address in (at(batch), at(batch, f"/items/{batch.items.get().pk}")):
        html = staff().get(address).content.decode()
        assert "<script>alert" not in html
        assert "<b></code>" not in html


# --- billing -------------------------------------------------------------------------------------------------------


def test_billing_shows_the_onboarding_documents_table(account: Account) -> None:
    billing = text(at(end_batch(make_batch(account.api, 10), failed={7: REFUSED}), "/billing"))
    assert "Reserved (initial) 100 Settled (success) 90 Refunded (failures) 10" in billing
    assert "reserved = settled + refunded 100 = 90 + 10 ✓" in billing


def test_billing_while_it_runs_shows_what_is_held_and_no_proof(account: Account) -> None:
    billing = text(at(make_batch(account.api, 10), "/billing"))
    assert "reserved = settled + refunded + held 100 = 0 + 0 + 100 ✓" in billing
    assert "The proof is written in the moment" in billing
    assert "Download" not in billing


def test_billing_lists_the_price_by_model_and_length_with_what_became_of_it(account: Account) -> None:
    clips = [{"prompt": "a", "seconds": 8}, {"prompt": "b"}, {"prompt": "c"}, {"prompt": "d", "model": "veo-3"}]
    batch = end_batch(make_batch(account.api, items=clips), failed={2: REFUSED})
    billing = text(at(batch, "/billing"))
    assert "sora-2 · 4 s 2 10 20 10 10" in billing
    assert "sora-2 · 8 s 1 20 20 20 0" in billing
    assert "veo-3 · 8 s 1 97 97 97 0" in billing
    assert "Total 4 137 127 10" in billing


def test_billing_lists_the_entries_with_balances_and_whole_hashes_on_hover(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    response = staff().get(at(batch, "/billing"))
    page = words_of(response)
    for row in ("reserve −100 900 100 0", "settle 90 900 10 90", "refund +10 910 0 90"):
        assert row in page
    for line in response.context["billing"].entries:
        assert f'title="{line.entry.hash}"' in response.content.decode()


def test_the_proof_is_handed_out_byte_for_byte(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 10), failed={7: REFUSED})
    proof = staff().get(at(batch, "/proof"))
    assert sha256_hex(proof.content.decode()) == batch.proof.sha256
    assert proof.headers["Content-Disposition"] == f'attachment; filename="{batch.pk}.proof.json"'
    lines: Any = staff().get(at(batch, "/proof/items.jsonl"))
    assert sha256_hex(b"".join(lines).decode()) == json.loads(proof.content)["items_sha256"]
    assert batch.proof.sha256 in text(at(batch, "/billing"))


def test_there_is_no_proof_before_the_end(account: Account) -> None:
    batch = make_batch(account.api)
    assert {staff().get(at(batch, f"/{name}")).status_code for name in ("proof", "proof/items.jsonl")} == {404}


# --- webhooks ------------------------------------------------------------------------------------------------------


def test_webhooks_show_the_exact_body_and_every_attempt(account: Account) -> None:
    listen(account)
    batch = end_batch(make_batch(account.api, 2))
    tried(Delivery.objects.get(), 503, Delivery.State.PENDING, error="bad_status", response="<b>down</b>")
    page = text(at(batch, "/webhooks"))
    assert Event.objects.get().body in page
    assert "◑ retrying https://example.com/hook" in page
    assert "503 bad status 42 automatic <b>down</b>" in page
    assert "Next attempt" in page


def test_a_skipped_delivery_says_why(account: Account) -> None:
    Endpoint.objects.filter(pk=listen(account).pk).update(enabled=False, disabled_reason="gone (410)")
    batch = end_batch(make_batch(account.api))
    assert "Not sent: gone (410)." in text(at(batch, "/webhooks"))


def test_webhooks_say_what_will_be_told(account: Account) -> None:
    batch = make_batch(account.api)
    assert "Nothing told yet" in text(at(batch, "/webhooks"))
    end_batch(batch)
    assert "Nobody wanted this event" in text(at(batch, "/webhooks"))


# --- an item -------------------------------------------------------------------------------------------------------


def test_a_failed_item_says_in_words_why_and_what_became_of_its_credits(account: Account) -> None:
    batch = make_batch(account.api, 3)
    end_items(batch, failed={1: REFUSED})
    address = at(batch, f"/items/{batch.items.get(index=1).pk}")
    page = text(address)
    assert f"What happened {POLICIES[REFUSED].happened} Its credits" in page
    assert f"What to do {POLICIES[REFUSED].remedy} The same item would fail again." in page
    assert "Not charged: its 10 credits stay held until the batch ends" in page
    end_items(batch, succeeded=[0, 2])
    assert finalize_batch_credits(batch_id=batch.pk, now=timezone.now())
    assert "Not charged: its 10 credits were given back" in text(address)


def test_an_item_shows_what_happened_to_each_attempt_and_how_long_it_took(account: Account) -> None:
    item, at_first = make_batch(account.api).items.get(), timezone.now()
    times = [at_first + timedelta(seconds=seconds) for seconds in (0, 12, 45, 48)]
    names = ("submitted_at", "accepted_at", "ready_at", "ended_at")
    refused = {"submitted_at": at_first, "ended_at": times[1], "failure_type": "capacity", "retryable": True}
    Attempt.objects.create(item=item, number=1, route="simulator", state=Attempt.State.NOT_ACCEPTED, **refused)
    Attempt.objects.create(
        item=item, number=2, route="simulator", state=Attempt.State.SUCCEEDED, **dict(zip(names, times, strict=True))
    )
    first, second = text(at(item.batch, f"/items/{item.pk}")).split("Attempt 1")[1].split("Attempt 2")
    assert "✕ not accepted capacity, may be submitted again 12 s in all" in first
    assert "Taken by the provider" not in first
    steps = ("Submitted", "Taken by the provider", "after 12 s", "Video ready at the provider", "after 33 s", "3.0 s")
    assert [second.index(words) for words in steps] == sorted(second.index(words) for words in steps)
    assert "Video stored and checked" in second


def test_an_item_shows_its_metadata(account: Account) -> None:
    batch = make_batch(account.api, items=[{"prompt": "a", "metadata": {"sku": "0815"}}], metadata={"campaign": "<i>"})
    assert "sku 0815" in text(at(batch, f"/items/{batch.items.get().pk}"))
    assert "campaign <i>" in text(at(batch))


def test_what_a_provider_said_is_shown_to_staff_only(account: Account) -> None:
    batch = make_batch(account.api)
    item = batch.items.get()
    Attempt.objects.create(
        item=item,
        number=1,
        route="simulator",
        provider_job_id="video_secret",
        submitted_at=timezone.now(),
        detail="boom",
    )
    address = at(batch, f"/items/{item.pk}")
    assert "boom" in text(address)
    theirs = member(account.organization, "customer admin").get(address)
    assert "Attempts" in words_of(theirs)
    assert not [word for word in ("boom", "video_secret", "simulator") if word in theirs.content.decode()]


def test_an_item_leads_to_its_neighbours(account: Account) -> None:
    batch = make_batch(account.api, 3)
    first, second, third = (item.pk for item in batch.items.order_by("index"))
    html = staff().get(at(batch, f"/items/{second}")).content.decode()
    assert f'rel="prev" href="{at(batch, f"/items/{first}")}"' in html
    assert f'rel="next" href="{at(batch, f"/items/{third}")}"' in html
    assert 'rel="prev"' not in staff().get(at(batch, f"/items/{first}")).content.decode()


def test_a_video_is_streamed_whole_or_by_range_and_kept_by_the_browser_alone(account: Account) -> None:
    batch = end_batch(make_batch(account.api))
    item = batch.items.get()
    client, address = member(account.organization), at(batch, f"/items/{item.pk}/video")
    whole: Any = client.get(address)
    assert (whole.status_code, b"".join(whole)) == (200, VIDEO)
    assert whole.headers["Cache-Control"].startswith("private")
    part: Any = client.get(address, headers={"Range": "bytes=10-19"})
    assert (part.status_code, b"".join(part)) == (206, VIDEO[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(VIDEO)}"
    everything: Any = client.get(address, headers={"Range": "bytes=0-"})
    assert (everything.status_code, b"".join(everything)) == (206, VIDEO)
    outside = client.get(address, headers={"Range": f"bytes={len(VIDEO)}-"})
    assert (outside.status_code, outside.headers["Content-Range"]) == (416, f"bytes */{len(VIDEO)}")
    assert client.get(address, headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304
    head = client.head(address)
    assert (head.headers["Content-Length"], head.content) == (str(len(VIDEO)), b"")


@pytest.mark.owner
def test_a_poster_is_streamed_and_one_that_is_missing_is_not_found(account: Account) -> None:
    batch = end_batch(make_batch(account.api))
    item = batch.items.get()
    address = at(batch, f"/items/{item.pk}/poster")
    assert staff().get(address).status_code == 404
    Output.objects.filter(item=item).update(poster=default_storage.save("p.jpg", ContentFile(b"jpeg")))
    poster: Any = staff().get(address)
    assert (poster.headers["Content-Type"], b"".join(poster)) == ("image/jpeg", b"jpeg")
    assert f'src="{address}"' in staff().get(at(batch)).content.decode()
    Output.objects.filter(item=item).update(poster="gone.jpg")
    assert staff().get(address).status_code == 404
