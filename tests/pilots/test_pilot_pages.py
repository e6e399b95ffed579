"""The pages of pilots: the list, one pilot with its evidence, what people record of it, and its end."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.failures import FailureType
from batches.signing_off import sign_off, signer_of
from customers.services import create_staff
from pilots.models import Lead, Pilot
from pilots.services import PilotOrder, Provisioned, provision_pilot
from tests.factories import Account, Api, end_batch, make_account, make_batch
from tests.markup import form_to, forms_of, links_of
from tests.people import member, staff, words_of
from tests.pilots.scenes import HOOK, answer

pytestmark = pytest.mark.django_db

BEGAN = timedelta(hours=3)


def provision(name: str = "Acme", *, ago: timedelta = BEGAN) -> Provisioned:
    order = PilotOrder(name=name, credits=1000, webhook_url=HOOK, rate_limit=1000, override_reason="They wait already")
    return provision_pilot(order=order, actor="system", now=timezone.now() - ago)


@pytest.fixture
def made() -> Provisioned:
    return provision()


@pytest.fixture
def sales() -> Client:
    return staff("sales ops")


def page_of(client: Client, made: Provisioned, at: str = "") -> Any:
    return client.get(f"/admin/pilots/{made.pilot.pk}{at}")


def send(client: Client, made: Provisioned, at: str, /, *, page: str = "", **filled: str) -> Any:
    """Fill in a form that stands on the page of a pilot, and send it; return where that leads."""
    address = f"/admin/pilots/{made.pilot.pk}{at}"
    fields = form_to(forms_of(page_of(client, made, page)), address).fields
    return client.post(address, {**fields, **filled}, follow=True)


# --- the list ------------------------------------------------------------------------------------------------------


def test_the_list_says_how_each_stands_and_what_is_next(sales: Client) -> None:
    empty = sales.get("/admin/pilots/")
    assert "No pilots yet" in words_of(empty)
    assert {"/admin/pilots/new", "/admin/leads/", "/admin/pilots/preflight", "/admin/pilots/help"} <= set(
        links_of(empty)
    )
    runs, over, later = provision("Acme"), provision("Globex", ago=timedelta(days=3)), provision("Hooli", ago=-BEGAN)
    page = words_of(sales.get("/admin/pilots/"))
    assert "◐ running 1 d 20 h left ○ waiting ○ waiting ○ waiting They have not ordered a live batch yet." in page
    assert "✕ failed over" in page
    assert "✕ not met ✕ not met ✕ not met The time is over" in page
    assert "Failed by condition 1." in page
    assert "○ scheduled begins in 2 h 59 min" in page
    assert "3 pilots" in page
    for query, wanted in (
        ({"status": "failed"}, over),
        ({"status": "running"}, runs),
        ({"status": "scheduled"}, later),
        ({"customer": "glob"}, over),
        ({"customer": runs.pilot.organization_id}, runs),
    ):
        links = links_of(sales.get("/admin/pilots/", query))
        assert {f"/admin/pilots/{each.pilot.pk}" for each in (runs, over, later)} & set(links) == {
            f"/admin/pilots/{wanted.pilot.pk}"
        }
    assert "No pilot fits these filters" in words_of(sales.get("/admin/pilots/", {"status": "succeeded"}))
    assert "Provision a pilot" not in words_of(staff("auditor").get("/admin/pilots/"))


def test_the_list_goes_on_by_cursor_and_asks_as_often_for_many(sales: Client) -> None:
    made = provision()
    answer(end_batch(make_batch(Api(made.api_key))))
    costs = []
    for count in (1, 55):
        for number in range(count):
            organization = make_account(0, name=f"Customer {count} {number}").organization
            now = timezone.now()
            given = {"credits": 1, "created_by": "usr_x", "override_reason": "A test"}
            Pilot.objects.create(
                organization=organization, activated_at=now, deadline=now + timedelta(hours=48), **given
            )
        with CaptureQueriesContext(connection) as captured:
            page = sales.get("/admin/pilots/")
        costs.append(len(captured))
    assert costs[1] <= costs[0]  # None of these fifty has evidence that is loaded.
    [more] = {link for link in links_of(page) if "after=" in link}
    rest = words_of(sales.get(f"/admin/pilots/{more}"))
    assert "57 pilots" in words_of(page)
    assert "✓ met" in rest
    assert "✓ met" not in words_of(page)


def test_the_search_box_finds_a_pilot_for_who_may_see_it(made: Provisioned, sales: Client) -> None:
    address = f"/admin/pilots/{made.pilot.pk}"
    lead = Lead.objects.create(
        company="Acme", contact_name="Mia", contact_email="mia@acme.example", created_by=create_staff(
            username="cleo", role="sales ops"
        )[0],
    )  # fmt: skip
    assert sales.get("/admin/find", {"q": lead.pk}).headers["Location"] == f"/admin/leads/{lead.pk}"
    assert lead.pk not in staff("support").get("/admin/find", {"q": lead.pk}).headers["Location"].partition("?")[0]
    assert sales.get("/admin/find", {"q": made.pilot.pk}).headers["Location"] == address
    for other in (staff("support"), member(made.pilot.organization, "customer admin")):
        assert address not in other.get("/admin/find", {"q": made.pilot.pk}).headers["Location"]


# --- one pilot -----------------------------------------------------------------------------------------------------


def test_the_page_shows_each_evidence_the_times_and_what_it_stands_on(made: Provisioned, sales: Client) -> None:
    batch = end_batch(make_batch(Api(made.api_key), 10), failed={0: FailureType.TIMEOUT})
    attempt = answer(batch, 204)
    user, _ = create_staff(username="jane", role="finance")
    signer = signer_of(user, batch)
    assert signer is not None
    sign_off(batch=batch, signer=signer, note="Their CFO by phone", now=timezone.now())
    response = page_of(sales, made)
    page = words_of(response)
    assert "How it stands ✓ succeeded" in page
    for part in (
        "✓ met 1. Ran at least 1 batch batch order-1 partial",
        "delivery to https://customer.example.com answered HTTP 204",
        "signed off on Billing by jane, our finance: 100 = 90 + 10",
        "Note on the sign-off: Their CFO by phone",
        "All three are met in time. Send the confirmation, hold the review, and close the pilot. Mails · Review",
        "First live batch accepted 3 h",
        "Provisioned by system Without preflight They wait already Credits granted 1,000 Available now 910",
        "This pilot runs on a best-effort basis with prepaid credits.",
        "○ no 1. No batch ran in time The clock says this one by itself.",
    ):
        assert part in page
    why = {f"/admin/batches/{batch.pk}/why/{figure}" for figure in ("reserved", "settled", "refunded")}
    there = {f"/admin/batches/{batch.pk}", f"/admin/webhooks/deliveries/{attempt.delivery_id}"}
    assert why | there <= set(links_of(response))
    assert "SECRET" not in response.content.decode()


def test_what_is_missing_leads_to_where_it_is_seen(made: Provisioned, sales: Client) -> None:
    owner = made.pilot.organization_id
    assert f"/admin/customers/{owner}/keys" in links_of(page_of(sales, made))
    batch = end_batch(make_batch(Api(made.api_key)))
    refused = answer(batch, 500)
    response = page_of(sales, made)
    assert "https://customer.example.com did not take batch.completed: HTTP 500. Send their engineer" in words_of(
        response
    )
    assert f"/admin/webhooks/deliveries/{refused.delivery_id}" in links_of(response)
    answer(batch, 200, number=2)
    response = page_of(sales, made)
    assert {f"/admin/customers/{owner}/people", f"/admin/batches/{batch.pk}/billing#sign-off"} <= set(
        links_of(response)
    )


def test_a_failure_is_recorded_and_withdrawn_with_its_why(made: Provisioned, sales: Client) -> None:
    wrong = send(sales, made, "/failures", condition="3", note="")
    assert wrong.status_code == 422
    assert "This field is required." in words_of(wrong)
    assert sales.post(f"/admin/pilots/{made.pilot.pk}/failures", {"condition": "1", "note": "x"}).status_code == 422
    page = words_of(send(sales, made, "/failures", condition="3", note="The export was not understood"))
    assert "✕ The pilot has failed: 3. Finance could not complete the reconciliation" in page
    assert "The clock runs on: it succeeds all the same once all three hold in time." in page
    assert "✕ it holds 3. Finance could not complete the reconciliation “The export was not understood”" in page
    twice = sales.post(
        f"/admin/pilots/{made.pilot.pk}/failures", {"condition": "3", "note": "Clicked twice"}, follow=True
    )
    assert "It was recorded already: nothing was changed." in words_of(twice)
    failure = made.pilot.failures.get()
    at = f"/failures/{failure.pk}/withdraw"
    assert send(sales, made, at, reason="").status_code == 422
    page = words_of(send(sales, made, at, reason="It was the bank's export"))
    assert "withdrawn 3." in page
    assert "Withdrawn: “It was the bank's export”" in page
    assert "◐ running" in page
    other = provision("Globex")
    assert sales.post(f"/admin/pilots/{other.pilot.pk}{at}", {"reason": "x"}).status_code == 404
    read = words_of(page_of(staff("auditor"), made))
    assert "Record a failure" not in read


def test_a_start_that_has_not_begun_is_moved(sales: Client) -> None:
    made = provision(ago=-BEGAN)
    assert "○ It begins" in words_of(page_of(sales, made))
    past = send(sales, made, "/start", at="2020-01-01 00:00", reason="x")
    assert past.status_code == 422
    assert "A clock cannot begin in the past" in words_of(past)
    page = send(sales, made, "/start", at="now", reason="They are ready")
    assert "Moved." in words_of(page)
    assert "◐ running" in words_of(page)
    assert "Move the start" not in words_of(page)
    made.pilot.refresh_from_db()
    assert made.pilot.deadline - made.pilot.activated_at == timedelta(hours=48)


def test_closing_shows_what_it_keeps_and_is_refused_while_the_clock_runs(sales: Client) -> None:
    runs, over = provision(), provision("Globex", ago=timedelta(days=3))
    early = page_of(sales, runs, "/close")
    assert "It cannot be closed while its clock runs: all three criteria may still be met." in words_of(early)
    assert f"/admin/pilots/{runs.pilot.pk}/close" not in links_of(page_of(sales, runs))
    form = {"seen": "running", "lesson": "x"}
    assert "Nothing was changed." in words_of(sales.post(f"/admin/pilots/{runs.pilot.pk}/close", form, follow=True))
    shown = page_of(sales, over, "/close")
    assert "It is closed as failed, for good" in words_of(shown)
    assert "1. No batch ran in time" in words_of(shown)
    assert "1,000 available credits" in words_of(shown)
    assert send(sales, over, "/close", page="/close", lesson="").status_code == 422
    page = words_of(send(sales, over, "/close", page="/close", lesson="The way in is too hard"))
    assert "Closed." in page
    assert "as failed What we learned The way in is too hard" in page
    assert "Move the start" not in page
    assert "Record a failure" not in page


def test_the_customer_reads_of_a_pilot_to_come_and_of_one_that_failed(account: Account) -> None:
    now = timezone.now()
    pilot = Pilot.objects.create(
        organization=account.organization, credits=1, created_by="usr_x", override_reason="A test",
        activated_at=now + BEGAN, deadline=now + timedelta(hours=51),
    )  # fmt: skip
    client = member(account.organization, "customer admin")
    page = words_of(client.get("/admin/"))
    assert "○ It begins" in page
    assert "and has 48 hours then." in page
    Pilot.objects.filter(pk=pilot.pk).update(activated_at=now - timedelta(hours=50), deadline=now - timedelta(hours=2))
    user, _ = create_staff(username="cleo", role="sales ops")
    pilot.failures.create(condition=2, note="Our words of them", recorded_at=now, recorded_by=user)
    page = words_of(client.get("/admin/"))
    assert "✕ The pilot has failed: 1. No batch ran in time 2. The webhook did not arrive, or was misunderstood" in page
    assert "Our words" not in page
