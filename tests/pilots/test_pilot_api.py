"""GET /pilot: the customer is shown the same, and nothing that our people wrote."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.failures import FailureType
from batches.signing_off import sign_off, signer_of
from customers.models import User
from customers.services import create_staff
from pilots.boundary import BOUNDARY
from pilots.pilot_acts import record_failure
from pilots.services import Provisioned
from sora2.times import timestamp
from tests.factories import Api, code_of, end_batch, make_account, make_batch, sign
from tests.pilots.scenes import answer
from tests.sora2.documents import DOCS
from tests.sora2.test_openapi import check

pytestmark = pytest.mark.django_db

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


def test_failures_and_steps_over_http_without_what_our_people_wrote(
    provisioned: Provisioned, api: Api, sales: User
) -> None:
    batch = end_batch(make_batch(api))
    now, activated = timezone.now(), provisioned.pilot.activated_at
    record_failure(pilot=provisioned.pilot, condition=2, note="Our words of them", by=sales, now=now)
    response = api.get("/pilot")
    check(response)
    found = response.json()
    assert (found["status"], [each["holds"] for each in found["failures"]]) == ("failed", [False, True, False, False])
    assert found["failures"][1] == {
        "number": 2,
        "name": "The webhook did not arrive, or was misunderstood",
        "holds": True,
        "recorded_at": timestamp(now),
    }
    names = ["batch_accepted", "batch_ended", "webhook_received", "signed_off"]
    assert [step["name"] for step in found["steps"]] == names
    took = int((batch.created_at - activated).total_seconds())
    assert found["steps"][0] == {"name": names[0], "at": timestamp(batch.created_at), "seconds": took}
    assert found["steps"][3] == {"name": names[3], "at": None, "seconds": None}
    assert not re.search(r"Our words|cleo|usr_", response.content.decode())


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
