"""The pilot's three criteria: what meets each, what does not, and what the API says of them."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from batches.failures import FailureType
from batches.models import Batch
from batches.signing_off import sign_off, signer_of
from batches.stopping import cancel
from customers.services import create_staff
from pilots.boundary import BOUNDARY
from pilots.criteria import Judgement, judge
from pilots.models import Pilot
from pilots.services import PilotOrder, Provisioned, provision_pilot
from sora2.ids import is_id, least_id_at, new_id
from tests.factories import Api, code_of, end_batch, make_account, make_batch, sign
from tests.sora2.documents import DOCS
from tests.sora2.test_openapi import check
from webhooks.endpoints import change_endpoint, send_test
from webhooks.models import Attempt, Delivery, Endpoint, EventType, Sink

pytestmark = pytest.mark.django_db

HOOK = "https://customer.example.com/hook?token=SECRET"


@pytest.fixture
def provisioned(settings: Settings) -> Provisioned:
    settings.PUBLIC_BASE_URL = "https://sora2.example.com"
    order = PilotOrder(name="Acme", credits=1000, webhook_url=HOOK, rate_limit=1000)
    return provision_pilot(order=order, actor="usr_x", now=timezone.now())


@pytest.fixture
def api(provisioned: Provisioned) -> Api:
    return Api(provisioned.api_key)


def judged(provisioned: Provisioned, *, after: timedelta = timedelta(0)) -> Judgement:
    return judge(pilot=Pilot.objects.get(pk=provisioned.pilot.pk), now=timezone.now() + after)


def met(provisioned: Provisioned) -> list[bool]:
    return [criterion.is_met for criterion in judged(provisioned).criteria]


def answer(batch: Batch, status_code: int = 200, *, number: int = 1, **more: Any) -> Attempt:
    """Record how the first address that was told of a batch's end answered."""
    delivery = Delivery.objects.about(batch.pk).filter(event__type=EventType.BATCH_COMPLETED).order_by("pk")[0]
    given = {"at": timezone.now(), "duration_ms": 100, **more}
    return Attempt.objects.create(delivery=delivery, number=number, status_code=status_code, **given)


def test_a_new_pilot_has_met_nothing_and_is_told_what_to_do(provisioned: Provisioned, api: Api) -> None:
    found = judged(provisioned)
    assert ([c.is_met for c in found.criteria], found.status) == ([False, False, False], "running")
    assert found.next == "Run a live batch to its end: POST /video-batch with a live key."
    make_batch(api)
    assert judged(provisioned).next.startswith("Wait for the end of your live batch")


def test_the_way_to_success(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api, 2), failed={0: FailureType.TIMEOUT})
    assert met(provisioned) == [True, False, False]
    assert judged(provisioned).next.startswith("Take batch.completed at your own endpoint with a 2xx")
    attempt = answer(batch)
    assert met(provisioned) == [True, True, False]
    assert judged(provisioned).next.startswith("Have your finance sign off a live batch")
    sign(batch)
    found = judged(provisioned)
    assert (met(provisioned), found.status) == ([True, True, True], "succeeded")
    assert found.next == "All three criteria are met: go through the review with your contact."
    ran, received, signed = found.criteria
    assert (ran.evidence, ran.met_at) == (batch, batch.finished_at)
    assert (received.evidence, received.met_at) == (attempt, attempt.ended_at)
    assert signed.evidence == batch.sign_offs.get()


def test_a_batch_counts_however_its_items_ended(provisioned: Provisioned, api: Api) -> None:
    end_batch(make_batch(api, 2), failed={0: FailureType.TIMEOUT, 1: FailureType.CONTENT_REFUSED})
    assert met(provisioned)[0]


def test_what_runs_and_what_was_canceled_is_no_batch_run_to_its_end(provisioned: Provisioned, api: Api) -> None:
    make_batch(api, request_id="open")
    canceled = make_batch(api, request_id="canceled")
    cancel(batch=canceled, actor="key_x", now=timezone.now())
    assert Batch.objects.get(pk=canceled.pk).is_final
    assert met(provisioned) == [False, False, False]


def test_test_batches_never_count(provisioned: Provisioned) -> None:
    sandbox = Api(provisioned.test_api_key)
    sandbox.post("/webhook-endpoints", {"url": HOOK})
    batch = end_batch(make_batch(sandbox))
    answer(batch)
    sign(batch)
    assert met(provisioned) == [False, False, False]


def test_another_customers_records_are_not_evidence(provisioned: Provisioned) -> None:
    other = make_account()
    other.api.post("/webhook-endpoints", {"url": HOOK})
    batch = end_batch(make_batch(other.api))
    answer(batch)
    sign(batch)
    assert met(provisioned) == [False, False, False]


@pytest.mark.owner
def test_what_came_before_the_activation_does_not_count(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    Pilot.objects.filter(pk=provisioned.pilot.pk).update(activated_at=timezone.now())
    assert met(provisioned) == [False, False, False]


@pytest.mark.parametrize(
    "refused",
    [
        {"status_code": 500},
        {"status_code": 302},
        {"status_code": 200, "error": "invalid_response"},
        {"status_code": None, "error": "timeout"},
        {"status_code": None, "duration_ms": None},
    ],
)
def test_only_a_whole_2xx_is_a_receipt(provisioned: Provisioned, api: Api, refused: dict[str, Any]) -> None:
    batch = end_batch(make_batch(api))
    answer(batch, **refused)
    assert not met(provisioned)[1]
    answer(batch, 204, number=2, trigger="manual")
    assert met(provisioned)[1]


def test_another_event_is_not_the_one_that_counts(provisioned: Provisioned) -> None:
    endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
    test = send_test(endpoint=endpoint, actor="usr_x", now=timezone.now())
    Attempt.objects.create(delivery=test, number=1, at=timezone.now(), status_code=200, duration_ms=1)
    assert not met(provisioned)[1]


class TestSinks:
    """An internal test endpoint of ours is nobody's own."""

    @pytest.fixture
    def provisioned(self, settings: Settings) -> Provisioned:
        settings.PUBLIC_BASE_URL = "https://sora2.example.com"
        return provision_pilot(
            order=PilotOrder(name="Acme", credits=1000, sink=True, rate_limit=1000), actor="usr_x", now=timezone.now()
        )

    def test_what_our_sink_takes_does_not_count(self, provisioned: Provisioned, api: Api) -> None:
        answer(end_batch(make_batch(api)))
        found = judged(provisioned)
        assert [criterion.is_met for criterion in found.criteria] == [True, False, False]
        assert found.next.startswith("Give us your own HTTPS endpoint")

    @pytest.mark.parametrize("host", ["https://SORA2.example.com:443", "https://old-name.example.org"])
    def test_nor_under_another_name_of_our_host(self, provisioned: Provisioned, api: Api, host: str) -> None:
        token = Sink.objects.get().token
        batch = end_batch(make_batch(api, webhook_url=f"{host}/webhook-sink/{token}"))
        own = Delivery.objects.about(batch.pk).get(endpoint=None)
        Attempt.objects.create(delivery=own, number=1, at=timezone.now(), status_code=200, duration_ms=1)
        assert not met(provisioned)[1]

    def test_an_address_of_their_own_beside_the_sink_counts(self, provisioned: Provisioned, api: Api) -> None:
        batch = end_batch(make_batch(api, webhook_url="https://customer.example.com/webhook-sink/theirs"))
        answer(batch)
        own = Delivery.objects.about(batch.pk).get(endpoint=None)
        Attempt.objects.create(delivery=own, number=1, at=timezone.now(), status_code=200, duration_ms=1)
        received = judged(provisioned).criteria[1].evidence
        assert isinstance(received, Attempt)
        assert received.delivery_id == own.pk

    def test_an_endpoint_that_moved_away_from_the_sink_counts(self, provisioned: Provisioned, api: Api) -> None:
        endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
        change_endpoint(endpoint=endpoint, actor="usr_x", url=HOOK)
        answer(end_batch(make_batch(api)))
        assert met(provisioned)[1]

    def test_what_the_sink_took_before_the_endpoint_moved_does_not_count(
        self, provisioned: Provisioned, api: Api
    ) -> None:
        batch = end_batch(make_batch(api))
        answer(batch, at=timezone.now() - timedelta(seconds=5))
        endpoint = Endpoint.objects.get(pk=provisioned.webhook_endpoint_id)
        change_endpoint(endpoint=endpoint, actor="usr_x", url=HOOK)
        Delivery.objects.about(batch.pk).update(url=HOOK)  # As a worker does that sends it again.
        answer(batch, 500, number=2)
        assert not met(provisioned)[1]
        answer(batch, 200, number=3)
        assert met(provisioned)[1]


# --- the clock -----------------------------------------------------------------------------------------------------


def test_the_deadline_ends_a_pilot_that_has_not_met_all(provisioned: Provisioned, api: Api) -> None:
    end_batch(make_batch(api))
    late = judged(provisioned, after=timedelta(hours=49))
    assert late.status == "expired"
    assert late.next.startswith("The deadline has passed: agree with your contact how to go on. Take batch.completed")


def test_a_success_stays_a_success_after_the_deadline(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    assert judged(provisioned, after=timedelta(days=400)).status == "succeeded"


@pytest.mark.owner
def test_what_is_met_after_the_deadline_is_said_and_changes_no_verdict(provisioned: Provisioned, api: Api) -> None:
    now = timezone.now()
    Pilot.objects.filter(pk=provisioned.pilot.pk).update(
        activated_at=now - timedelta(hours=50), deadline=now - timedelta(hours=2)
    )
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    found = judged(provisioned)
    assert ([c.is_met for c in found.criteria], found.status) == ([True, True, True], "failed")
    assert "but not before the deadline" in found.next


def test_the_earliest_receipt_counts_also_of_a_later_batch(provisioned: Provisioned, api: Api) -> None:
    first, second = (end_batch(make_batch(api, request_id=name)) for name in ("first", "second"))
    answer(first, at=timezone.now() + timedelta(hours=60))
    taken = answer(second)
    assert judged(provisioned).criteria[1].evidence == taken


def test_ids_made_from_a_moment_on_come_after_its_bound() -> None:
    before, now = new_id("bat"), timezone.now()
    bound = least_id_at("bat", now + timedelta(milliseconds=1))
    assert is_id(bound, "bat")
    assert before < bound < least_id_at("bat", now + timedelta(milliseconds=3))
    assert least_id_at("bat", now - timedelta(milliseconds=5)) < new_id("bat")


# --- over HTTP -----------------------------------------------------------------------------------------------------


def test_the_pilot_over_http(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api, 10), failed={3: FailureType.TIMEOUT})
    attempt = answer(batch)
    sign(batch)
    response = api.get("/pilot")
    check(response)
    found = response.json()
    assert (found["pilot_id"], found["status"]) == (provisioned.pilot.pk, "succeeded")
    ran, received, signed = (criterion["evidence"] for criterion in found["criteria"])
    assert (ran["batch_id"], ran["state"], ran["request_id"]) == (batch.pk, "partial", "order-1")
    assert (received["delivery_id"], received["status_code"]) == (attempt.delivery_id, 200)
    assert (received["batch_id"], received["host"]) == (batch.pk, "https://customer.example.com")
    assert signed["ledger"] == {"reserved": 100, "settled": 90, "refunded": 10}
    assert (signed["side"], signed["role"]) == ("customer", "customer finance")
    assert [criterion["in_time"] for criterion in found["criteria"]] == [True, True, True]
    assert found["boundary"].split("\n") == [
        "This pilot runs on a best-effort basis with prepaid credits.",
        "Failed items are automatically refunded.",
        "No SLA is included at this stage.",
    ]
    assert "SECRET" not in response.content.decode()


def test_a_pilot_that_has_met_nothing_is_as_documented(provisioned: Provisioned, api: Api) -> None:
    response = api.get("/pilot")
    check(response)
    assert [criterion["evidence"] for criterion in response.json()["criteria"]] == [None, None, None]


def test_a_test_key_sees_the_same_pilot_without_live_records(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sandbox = Api(provisioned.test_api_key).get("/pilot")
    check(sandbox)
    live = api.get("/pilot").json()
    assert [criterion["met"] for criterion in sandbox.json()["criteria"]] == [True, True, False]
    assert sandbox.json() == {**live, "criteria": [{**each, "evidence": None} for each in live["criteria"]]}
    assert batch.pk not in sandbox.content.decode()


def test_an_organization_without_a_pilot_has_none() -> None:
    for key in (make_account().api, make_account().test_api):
        response = key.get("/pilot")
        check(response)
        assert code_of(response) == (404, "not_found")


def test_a_sign_off_by_our_finance_counts_and_says_so(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    user, _ = create_staff(username="jane", role="finance")
    signer = signer_of(user, batch)
    assert signer is not None
    sign_off(batch=batch, signer=signer, note="Their CFO by phone", now=timezone.now())
    response = api.get("/pilot")
    signed = response.json()["criteria"][2]["evidence"]
    assert (signed["side"], signed["role"], signed["signed_by"]) == ("staff", "finance", user.pk)
    assert "phone" not in response.content.decode()
    assert "jane" not in response.content.decode()


def test_it_costs_as_many_queries_whatever_there_is(provisioned: Provisioned, api: Api) -> None:
    batch = end_batch(make_batch(api))
    answer(batch)
    sign(batch)
    costs = []
    for number in range(2):
        with CaptureQueriesContext(connection) as captured:
            api.get("/pilot")
        costs.append(len(captured))
        for more in range(3):
            answer(end_batch(make_batch(api, request_id=f"more {number} {more}")))
    assert costs[0] == costs[1] <= 8


def test_the_papers_of_a_pilot_say_the_boundary_word_by_word() -> None:
    assert f"```\n{BOUNDARY}\n```" in (DOCS / "enterprise/pilot.md").read_text()
