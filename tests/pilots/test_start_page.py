"""The start page of a customer's people: what each role sees of which mode, the pilot, and what is left to do."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.failures import FailureType
from batches.finalization import finalize_batch_credits
from batches.models import Batch
from batches.reconciliation import reconcile
from customers.access import Permission
from customers.models import ApiKey, Membership, Mode, Organization, User
from customers.services import create_api_key
from ledger.models import Entry
from pilots.boundary import BOUNDARY
from pilots.models import Pilot
from sora2.ids import new_id
from tests.factories import Account, end_batch, end_items, make_account, make_batch, sign
from tests.markup import links_of
from tests.people import member, signed_in, staff, words_of
from tests.pilots.scenes import answer, pilot_of
from webhooks.models import Endpoint

pytestmark = pytest.mark.django_db

HOOK = "https://customer.example.com/hook"
FAILED = dict.fromkeys(range(5), FailureType.TIMEOUT)
BY_ITSELF = {"HX-Request": "true"}


def start(account: Account, role: str = "customer admin", **query: str) -> Any:
    return member(account.organization, role).get("/admin/", query)


def said(account: Account, role: str = "customer admin", **query: str) -> str:
    return words_of(start(account, role, **query))


# --- who sees what -------------------------------------------------------------------------------------------------


def test_an_administrator_sees_everything_and_staff_keep_their_home(account: Account) -> None:
    pilot_of(account)
    end_batch(make_batch(account.api, 10), failed=FAILED)
    reconcile(now=timezone.now())
    page = said(account)
    for part in (
        "✓ Every credit is explained checked",
        "Funded 1,000 = Available 950 + Reserved 0 + Settled 50 ✓",
        *("Your pilot 48 hours", "Latest batches All batches New batch", "Needs attention"),
        *("Quick start for engineers, with your own key, in live mode: real credits", "Quick reference for finance"),
        *("Refund coverage 100 % 5 of 5 failed items", "Credits per day 30 days in UTC, live"),
    ):
        assert part in page
    home = words_of(staff().get("/admin/"))
    assert "Latest batches" not in home
    assert "Quick reference" not in home


def test_a_developer_sees_no_credits(account: Account) -> None:
    pilot_of(account)
    batch = end_batch(make_batch(account.api, 10), failed=FAILED)
    sign(batch)
    response = start(account, "customer developer")
    page = words_of(response)
    for hidden in ("Funded", "Reserved,", "Settled", "Quick reference", "Every credit is explained", "Month-end"):
        assert hidden not in page
    assert "Latest batches" in page
    assert "export SORA2_API_KEY" in page
    assert not any("billing" in link or "/ledger/" in link for link in links_of(response))


def test_finance_sees_the_figures_and_no_shell(account: Account) -> None:
    page = said(account, "customer finance")
    assert "Quick reference for finance" in page
    assert "Quick start" not in page
    assert "New batch" not in page


def test_the_page_is_of_the_mode_that_the_switch_shows(account: Account) -> None:
    end_batch(make_batch(account.api, 3, request_id="a live one"))
    end_batch(make_batch(account.test_api, 2, request_id="a try-out"))
    client = member(account.organization, "customer admin")
    client.post("/admin/mode", {"mode": "test"})
    page = words_of(client.get("/admin/"))
    assert "Funded 1,000 = Available 980 + Reserved 0 + Settled 20 ✓" in page
    assert "a try-out" in page
    assert "a live one" not in page
    assert "in test mode: play money" in page
    assert "your key “Test” (s2_test_" in page
    assert "with the figures of a live one" in words_of(client.get("/admin/", {"mode": "live"}))


def test_who_belongs_to_two_customers_chooses_and_reaches_no_third(account: Account) -> None:
    second, third = make_account(77, name="Globex"), make_account(name="Initech")
    user = User.objects.create_user(username=new_id("usr"))
    for each in (account, second):
        Membership.objects.create(user=user, organization=each.organization, role="customer admin")
    client = signed_in(user)
    assert "Funded 1,000" in words_of(client.get("/admin/"))
    assert "Funded 77" in words_of(client.get("/admin/", {"organization": second.organization.pk}))
    assert f"?organization={second.organization.pk}" in links_of(client.get("/admin/"))
    for headers in ({}, BY_ITSELF):
        there = client.get("/admin/", {"organization": third.organization.pk}, headers=headers)
        assert there.status_code == 404
    assert "Initech" not in words_of(client.get("/admin/"))


# --- the latest batches --------------------------------------------------------------------------------------------


def test_the_five_latest_are_listed_and_fetched_again_only_while_one_runs(account: Account) -> None:
    for number in range(6):
        batch = make_batch(account.api, 2, request_id=f"batch {number}")
        end_batch(batch)
    running = make_batch(account.api, 4, request_id="it runs")
    end_items(running, succeeded=[0], failed={1: FailureType.TIMEOUT})
    client = member(account.organization)
    page = client.get("/admin/")
    assert "it runs ○ queued 2 of 4 · 1 ✓ · 1 ✕ · 0 running 40 held held" in words_of(page)
    assert "batch 1" not in words_of(page)
    address = f'hx-get="/admin/?organization={account.organization.pk}&amp;mode=live"'
    assert address in page.content.decode()
    part = client.get(f"/admin/?organization={account.organization.pk}&mode=live", headers=BY_ITSELF)
    assert address in part.content.decode()
    assert words_of(part).endswith("Funded 1,000 = Available 840 + Reserved 40 + Settled 120 ✓")
    assert "Quick" not in words_of(part)
    end_items(running, succeeded=[2, 3])
    assert finalize_batch_credits(batch_id=running.pk, now=timezone.now())
    for again in (client.get("/admin/", headers=BY_ITSELF), client.get("/admin/")):
        assert "hx-get" not in again.content.decode()


def test_the_part_that_is_fetched_again_shows_a_developer_no_credits(account: Account) -> None:
    make_batch(account.api, 4)
    part = member(account.organization, "customer developer").get("/admin/", headers=BY_ITSELF)
    assert "0 of 4" in words_of(part)
    assert "data-credits" not in part.content.decode()
    assert not re.search("credits|held|Reserved", words_of(part))
    assert "funds" not in part.content.decode()


def test_before_the_first_batch_the_page_says_how_one_is_made(account: Account) -> None:
    assert "No live batch yet." in said(account)
    page = said(account, "customer finance")
    assert "No live batch yet. The first appears here as soon as it is accepted." in page
    assert "With the first live batch that is final, your own figures stand here." in page


# --- the pilot -----------------------------------------------------------------------------------------------------


def test_a_pilot_shows_its_clock_its_criteria_and_the_boundary_word_for_word(account: Account) -> None:
    pilot_of(account)
    response = start(account)
    page = words_of(response)
    assert re.search(r"Your pilot 48 hours, until .* UTC · in 1 d 2[23] h; live batches count 1 d 2[23] h left", page)
    assert "○ waiting 1. Ran at least 1 batch ○ waiting 2. Customer system received batch.completed" in page
    assert "Next: Run a live batch to its end: POST /video-batch with a live key. On a page: Order a batch" in page
    assert "How good the videos look, and how many of them succeed, is no criterion." in page
    assert f'<pre class="raw">{BOUNDARY}</pre>' in response.content.decode()


def test_each_criterion_is_ticked_with_its_evidence_and_the_next_step_is_linked(account: Account) -> None:
    pilot_of(account)
    account.api.post("/webhook-endpoints", {"url": HOOK})
    batch = end_batch(make_batch(account.api, 2), failed={0: FailureType.TIMEOUT})
    response = start(account)
    assert f"/admin/batches/{batch.pk}" in links_of(response)
    assert "✓ met 1. Ran at least 1 batch batch order-1" in words_of(response)
    assert "On a page: Webhook endpoints · Deliveries" in words_of(response)
    attempt = answer(batch)
    response = start(account)
    assert f"/admin/webhooks/deliveries/{attempt.delivery_id}" in links_of(response)
    assert "Have your finance sign off a live batch" in words_of(response)
    assert links_of(response).count(f"/admin/batches/{batch.pk}/billing#sign-off") == 2
    sign(batch)
    page = said(account)
    assert "✓ The pilot has succeeded." in page
    assert "✓ met 3. Finance verified: reserved = settled + refunded signed off on Billing" in page


def test_who_may_not_order_is_not_led_to_the_order(account: Account) -> None:
    pilot_of(account)
    links = links_of(start(account, "customer finance"))
    assert not any("/batches/new" in link for link in links)
    assert "/admin/batches/?mode=live" in links


def test_what_is_met_after_the_deadline_is_said_and_an_old_pilot_is_gone(account: Account) -> None:
    now = timezone.now()
    pilot = pilot_of(account, activated_at=now - timedelta(hours=49), deadline=now - timedelta(hours=1))
    end_batch(make_batch(account.api, 2))
    page = said(account)
    assert "✕ The pilot has failed: 1. No batch ran in time A pilot that failed is not a bad one" in page
    assert "◑ met late 1. Ran at least 1 batch" in page
    Pilot.objects.filter(pk=pilot.pk).update(deadline=now - timedelta(days=15), activated_at=now - timedelta(days=17))
    assert "Your pilot" not in said(account)


def test_the_days_are_ticked_as_far_as_the_system_sees(account: Account) -> None:
    pilot_of(account)
    days = "Get API key: a live key was used: {} Day 0 Set up webhook endpoint: one of your own is there: {}"
    assert days.format("waiting ○", "waiting") in said(account)
    account.api.post("/webhook-endpoints", {"url": HOOK})
    assert days.format("done ✓", "done") in said(account)
    assert "○ Day 1 Run first batch (10-50 items): waiting" in said(account)
    end_batch(make_batch(account.api, 2))
    page = said(account)
    assert "✓ Day 1 Run first batch (10-50 items): done" in page
    assert "Day 2 Share feedback with your contact" in page


# --- the quick start -----------------------------------------------------------------------------------------------


def test_the_newest_key_that_works_is_named_and_no_secret_is_shown(account: Account) -> None:
    key = account.keys[Mode.LIVE]
    newest = ApiKey.objects.create(
        organization=account.organization, mode=Mode.LIVE, name="Old", hint="s2_live_Old0", secret_sha256="0",
        scopes=[], expires_at=timezone.now(),
    )  # fmt: skip
    page = start(account, "customer developer")
    assert f"Put the secret of your key “Live” ({key.hint}…) in place of the dots." in words_of(page)
    assert account.secrets[Mode.LIVE] not in page.content.decode()
    assert newest.hint not in page.content.decode()


def test_a_key_that_may_not_order_is_not_the_one_to_order_with(account: Account) -> None:
    ours, live = account.organization, account.keys[Mode.LIVE]
    create_api_key(organization=ours, mode=Mode.LIVE, name="Watcher", scopes=[Permission.BATCHES_READ])
    assert "the secret of your key “Live”" in words_of(start(account, "customer developer"))
    ApiKey.objects.filter(pk=live.pk).update(revoked_at=timezone.now())
    assert "There is no live key yet that may order and see batches." in words_of(start(account, "customer developer"))


def test_a_keys_name_is_in_no_command(account: Account) -> None:
    """A shell that people type in, such as zsh, takes what follows a # for words like any others."""
    ApiKey.objects.filter(pk=account.keys[Mode.LIVE].pk).update(name="x $(touch x)")
    page = start(account).content.decode()
    assert "x $(touch x)" in page
    assert "touch" not in "".join(re.findall(r"<pre.*?</pre>|data-copy=\"[^\"]*\"", page, re.DOTALL))


def test_without_a_key_it_is_said_who_can_make_one(account: Account) -> None:
    ApiKey.objects.update(revoked_at=timezone.now())
    boss = User.objects.create_user(username="mia", first_name="Mia", last_name="Chen")
    Membership.objects.create(user=boss, organization=account.organization, role="customer admin")
    response = start(account, "customer developer")
    assert "There is no live key yet that may order and see batches. Mia Chen can make one: API keys." in words_of(
        response
    )
    assert f"/admin/customers/{account.organization.pk}/keys" in links_of(response)
    assert "Make one: API keys." in words_of(signed_in(boss).get("/admin/"))


def test_it_says_where_the_webhook_arrives(account: Account) -> None:
    assert "batch.completed arrives nowhere yet: add an endpoint" in said(account)
    account.api.post("/webhook-endpoints", {"url": HOOK})
    assert "batch.completed arrives at customer.example.com/hook: see what was delivered." in said(account)


def test_it_is_folded_away_once_three_batches_have_ended(account: Account) -> None:
    for number in range(3):
        assert '<details class="guide" open>' in start(account).content.decode()
        end_batch(make_batch(account.api, 1, request_id=f"batch {number}"))
    assert '<details class="guide">' in start(account).content.decode()


# --- what needs attention ------------------------------------------------------------------------------------------


@pytest.mark.owner
def test_what_only_the_customer_can_mend_is_said(account: Account) -> None:
    soon = timezone.now() + timedelta(days=13)
    ApiKey.objects.filter(pk=account.keys[Mode.LIVE].pk).update(expires_at=soon)
    pilot_of(account, deadline=timezone.now() + timedelta(hours=5))
    response = start(account)
    page = words_of(response)
    assert "There is no live webhook endpoint yet: nobody is told when a batch ends." in page
    assert f"The key Live ({account.keys[Mode.LIVE].hint}…) expires on {soon:%Y-%m-%d %H:%M} UTC" in page
    assert "The pilot's deadline is in 4 h 59 min, and not all three criteria are met." in page
    assert "#pilot" in links_of(response)
    account.api.post("/webhook-endpoints", {"url": HOOK})
    ApiKey.objects.update(expires_at=timezone.now() + timedelta(days=15))
    Pilot.objects.update(deadline=timezone.now() + timedelta(hours=13))
    assert "Nothing. Batches that stay open" in said(account)


def test_an_endpoint_of_the_other_mode_tells_nobody(account: Account) -> None:
    account.test_api.post("/webhook-endpoints", {"url": HOOK})
    assert "There is no live webhook endpoint yet" in said(account)
    assert "webhook endpoint yet" not in said(account, mode="test")


# --- finance's quick reference -------------------------------------------------------------------------------------


def test_finance_reads_the_three_steps_in_the_figures_of_the_latest_final_batch(account: Account) -> None:
    end_batch(make_batch(account.api, 1, request_id="before"))
    batch = end_batch(make_batch(account.api, 10, request_id="latest"), failed=FAILED)
    make_batch(account.api, 1, request_id="it runs")
    response = start(account, "customer finance")
    page = words_of(response)
    assert "with the figures of latest, the latest final batch" in page
    assert (
        "Note credits balance before batch: 990 After batch completes, check: Reserved amount 100 10 items "
        "Settled amount (successful items) 50 5 items Refunded amount (failed items) 50 5 items "
        "Verify: reserved = settled + refunded: 100 = 50 + 50 ✓ ○ Not signed off yet: Billing"
    ) in page
    entries = {entry.kind: entry for entry in Entry.objects.filter(reference=batch.pk)}
    before = Entry.objects.get(wallet=batch.wallet, seq=entries["reserve"].seq - 1)
    links = links_of(response)
    assert f"/admin/ledger/entries/{before.pk}" in links
    assert {f"/admin/batches/{batch.pk}/why/{figure}" for figure in ("reserved", "settled", "refunded")} <= set(links)
    assert {f"/admin/batches/{batch.pk}?show={outcome}" for outcome in ("succeeded", "failed")} <= set(links)
    sign(batch)
    assert "✓ Signed off" in said(account, "customer finance")


def test_a_batch_of_which_all_failed_has_settled_nothing(account: Account) -> None:
    end_batch(make_batch(account.api, 2), failed={0: FailureType.TIMEOUT, 1: FailureType.TIMEOUT})
    assert "Settled amount (successful items) 0 0 items" in said(account, "customer finance")


# --- what it costs -------------------------------------------------------------------------------------------------


@pytest.mark.owner
@pytest.mark.parametrize("role", ["customer admin", "customer developer"])
def test_it_takes_as_many_queries_whatever_there_is(account: Account, role: str) -> None:
    pilot_of(account)
    client = member(account.organization, role)
    fill(account, 1)
    few = queries(client)
    fill(account, 12)
    assert queries(client) == few
    assert few < 60


def fill(account: Account, count: int) -> None:
    for number in range(count):
        end_batch(make_batch(account.api, 2, request_id=f"ended {count} {number}"), failed={0: FailureType.TIMEOUT})
        make_batch(account.api, 1, request_id=f"open {count} {number}")
        account.api.post("/webhook-endpoints", {"url": f"{HOOK}/{count}/{number}"})
        ApiKey.objects.create(
            organization=account.organization, mode=Mode.LIVE, name="k", hint="s2_live_k", secret_sha256=new_id("key"),
            scopes=[], expires_at=timezone.now() + timedelta(days=1),
        )  # fmt: skip
    Batch.objects.filter(request_id__startswith="open").update(created_at=timezone.now() - timedelta(hours=2))
    Endpoint.objects.update(failing_since=timezone.now())
    Organization.objects.filter(pk=account.organization.pk).update(max_open_batches=1000)


def queries(client: Client) -> int:
    with CaptureQueriesContext(connection) as asked:
        assert client.get("/admin/").status_code == 200
    return len(asked)
