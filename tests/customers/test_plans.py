"""A customer's plan: what is agreed, once, for good, and from the next request on."""

import re
from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from batches.failures import FailureType
from customers.models import AuditEvent, Organization, Plan, PlanChange
from customers.plans import MOST, InvalidTerms, agreement_of, change_plan
from sora2.seen import ChangedMeanwhile
from tests.as_role import as_owner
from tests.connections import at_once
from tests.factories import Account, code_of, end_batch, make_account, make_batch, order
from tests.people import member, staff, words_of
from tests.pilots.scenes import TERMS, agreed, sales_person

pytestmark = pytest.mark.django_db


def fresh(account: Account) -> Organization:
    return Organization.objects.get(pk=account.organization.pk)


def test_a_new_customer_is_in_its_pilot_and_answered_as_best_we_can(account: Account) -> None:
    agreement = agreement_of(account.organization)
    assert (agreement.plan, agreement.contract_reference) == (Plan.PILOT, "")
    assert agreement.terms.support_response_hours is None
    assert agreement.since == account.organization.created_at


def test_a_change_sets_plan_and_terms_and_writes_both_down(account: Account) -> None:
    before, sales, now = agreement_of(account.organization), sales_person(), timezone.now()
    assert change_plan(**agreed(account.organization, by=sales, now=now))
    agreement = agreement_of(fresh(account))
    assert (agreement.plan, agreement.terms) == (Plan.ENTERPRISE, TERMS)
    assert (agreement.contract_reference, agreement.since) == ("MSA-7", now)
    change = PlanChange.objects.get()
    assert (change.at, change.by, change.plan_before, change.plan_after) == (now, sales, "pilot", "enterprise")
    assert (change.before, change.after) == (asdict(before.terms), asdict(TERMS))
    event = AuditEvent.objects.get(action="organization.plan")
    assert (event.actor, event.subject) == (sales.pk, account.organization.pk)
    assert event.detail["old"] == {"plan": "pilot", **asdict(before.terms)}
    assert event.detail["new"] == {"plan": "enterprise", **asdict(TERMS)}
    assert event.detail["contract_reference"] == "MSA-7"
    assert event.detail["reason"] == "They asked for larger batches"


def test_the_same_change_twice_is_one(account: Account) -> None:
    given = agreed(account.organization)
    assert [change_plan(**given), change_plan(**given)] == [True, False]
    assert PlanChange.objects.count() == AuditEvent.objects.filter(action="organization.plan").count() == 1


def test_new_terms_need_a_change_and_keep_since_when_it_is_an_enterprise(account: Account) -> None:
    change_plan(**agreed(account.organization, now=timezone.now() - timedelta(days=30)))
    since = agreement_of(fresh(account)).since
    smaller = replace(TERMS, max_items_per_batch=200)
    assert change_plan(**agreed(account.organization, terms=smaller, contract_reference="MSA-8"))
    agreement = agreement_of(fresh(account))
    assert (agreement.terms, agreement.contract_reference, agreement.since) == (smaller, "MSA-8", since)
    assert list(PlanChange.objects.order_by("pk").values_list("plan_before", "plan_after")) == [
        ("pilot", "enterprise"),
        ("enterprise", "enterprise"),
    ]


def test_what_was_changed_meanwhile_is_not_changed_over(account: Account) -> None:
    seen = agreement_of(account.organization).seen
    change_plan(**agreed(account.organization))
    with pytest.raises(ChangedMeanwhile):
        change_plan(**agreed(account.organization, terms=replace(TERMS, max_open_batches=5), seen=seen))
    # Nor is a contract that somebody else renewed on the same terms.
    seen = agreement_of(fresh(account)).seen
    change_plan(**agreed(account.organization, contract_reference="MSA-8"))
    with pytest.raises(ChangedMeanwhile):
        change_plan(**agreed(account.organization, contract_reference="MSA-9", seen=seen))
    assert agreement_of(fresh(account)).contract_reference == "MSA-8"
    assert PlanChange.objects.count() == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"contract_reference": "  "},
        {"contract_reference": "x" * 101},
        {"reason": ""},
        *({"terms": replace(TERMS, **{name: value})} for name in MOST for value in (0, MOST[name] + 1)),
        {"terms": replace(TERMS, support_response_hours=None)},
    ],
)
def test_terms_that_cannot_be_agreed_change_nothing(account: Account, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidTerms):
        change_plan(**agreed(account.organization, **wrong))
    assert fresh(account).plan == Plan.PILOT
    assert not PlanChange.objects.exists()


def test_nothing_leads_back_to_a_pilot(account: Account) -> None:
    change_plan(**agreed(account.organization))
    change = PlanChange.objects.get()
    back = {field.name: getattr(change, field.name) for field in PlanChange._meta.fields if field.name != "id"}
    with pytest.raises(IntegrityError, match="customers_planchange_forward"), transaction.atomic():
        PlanChange.objects.create(**{**back, "plan_after": "pilot"})
    with pytest.raises(IntegrityError, match="customers_organization_plan_whole"), transaction.atomic():
        Organization.objects.filter(pk=account.organization.pk).update(plan=Plan.PILOT)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE customers_planchange SET contract_reference = 'another'",
        "DELETE FROM customers_planchange",
    ],
)
def test_the_database_keeps_what_was_agreed(account: Account, statement: str) -> None:
    change_plan(**agreed(account.organization))
    with pytest.raises(IntegrityError) as refused, transaction.atomic(), as_owner(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert getattr(refused.value.__cause__, "diag", None).constraint_name == "customers_planchange_append_only"  # type: ignore[union-attr]


# --- from the next request on --------------------------------------------------------------------------------------


def test_the_limits_hold_from_the_next_request_on() -> None:
    account = make_account(10_000, max_items_per_batch=2, rate_limit_per_minute=6, max_open_batches=1)
    api = account.api
    assert code_of(api.post("/video-batch", order(3))) == (422, "batch_too_large")
    running = make_batch(api, 2, request_id="before")
    assert code_of(api.post("/video-batch", order(1, request_id="second"))) == (429, "too_many_open_batches")
    assert [api.get("/wallet").status_code for _ in range(4)] == [200, 200, 200, 429]
    change_plan(**agreed(account.organization))
    assert api.get("/wallet").headers["RateLimit-Limit"] == "600"
    after = make_batch(api, 60, request_id="after")
    make_batch(api, 1, request_id="third")
    # And lower ones: what runs goes on, under the credits that were frozen for it.
    change_plan(**agreed(account.organization, terms=replace(TERMS, max_items_per_batch=5, max_open_batches=2)))
    assert code_of(api.post("/video-batch", order(6))) == (422, "batch_too_large")
    assert code_of(api.post("/video-batch", order(5))) == (429, "too_many_open_batches")
    assert api.post("/video-batch", order(60, request_id="after")).status_code == 200
    ended = [end_batch(running), end_batch(after, failed={59: FailureType.TIMEOUT})]
    assert [(batch.settled, batch.refunded) for batch in ended] == [(20, 0), (590, 10)]
    assert api.post("/video-batch", order(5)).status_code == 201


@pytest.mark.django_db(transaction=True)
def test_of_two_who_change_at_once_one_does() -> None:
    account = make_account()
    given = [agreed(account.organization, contract_reference=name) for name in ("MSA-1", "MSA-2")]

    done = at_once(*(partial(change_plan, **one) for one in given))
    assert True in done
    assert [type(answer) for answer in done if answer is not True] == [ChangedMeanwhile]
    assert PlanChange.objects.count() == 1


# --- what is said of it --------------------------------------------------------------------------------------------


def test_the_customer_sees_its_plan_and_how_support_answers(account: Account) -> None:
    admin, address = member(account.organization, "customer admin"), f"/admin/customers/{account.organization.pk}"
    assert "Plan pilot Support Best effort, support@example.com" in words_of(admin.get(address))
    assert "Plan: pilot. Support: Best effort, support@example.com" in words_of(admin.get("/admin/"))
    change_plan(**agreed(account.organization))
    said = words_of(admin.get(address))
    assert re.search(r"Plan enterprise since [^,]*, contract MSA-7", said)
    assert "Support Priority: an answer within 4 hours, support@example.com" in said
    assert "Videos in a batch 10,000" in said
    assert "Plan: enterprise. Support: Priority: an answer within 4 hours" in words_of(admin.get("/admin/"))
    assert "They asked" not in said


def test_our_list_of_customers_says_the_plan_of_each(account: Account) -> None:
    change_plan(**agreed(make_account(name="Globex").organization))
    said = words_of(staff("auditor").get("/admin/customers/"))
    plans = re.findall(r"(Acme|Globex) \S+ ?\S* (pilot|enterprise)", said)
    assert plans == [("Globex", "enterprise"), ("Acme", "pilot")]
