"""Signals are observed and not pushed: written down, shown with what they mean; two of them open a way."""

from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from customers.models import AuditEvent, Organization
from pilots.models import KIND_OF, OPENS_TRANSITION, Lead, SalesMail, Signal
from pilots.sales_rules import MEANINGS
from pilots.signals import (
    SignalRefused,
    dangers_of_leads,
    record_signal,
    transition_opened_by,
)
from tests.factories import Account
from tests.markup import form_to, forms_of, links_of
from tests.people import signed_in, staff, words_of
from tests.pilots.scenes import pilot_of, sales_person
from tests.pilots.test_leads import lead_of

pytestmark = pytest.mark.django_db

Code = Signal.Code


def customer_lead(account: Account) -> Lead:
    lead = lead_of(sales_person())
    Lead.objects.filter(pk=lead.pk).update(organization=account.organization)
    lead.refresh_from_db()
    return lead


def seen(code: Signal.Code, **about: Any) -> Signal:
    now = timezone.now()
    return record_signal(code=code, **{"seen_at": now, "by": sales_person(), "now": now, **about})


def test_recording_a_signal_sends_nothing_and_changes_nothing_but_the_record(account: Account) -> None:
    lead = customer_lead(account)
    before = (Organization.objects.values().get(pk=account.organization.pk), Lead.objects.values().get(pk=lead.pk))
    signal = seen(Code.CONTRACT_OR_SLA, lead=lead, organization=account.organization, note="In the call")
    after = (Organization.objects.values().get(pk=account.organization.pk), Lead.objects.values().get(pk=lead.pk))
    assert after == before
    assert (mail.outbox, SalesMail.objects.count()) == ([], 0)
    event = AuditEvent.objects.get(action="signal.record")
    assert (event.actor, event.organization_id, event.subject, event.detail) == (
        signal.recorded_by_id,
        account.organization.pk,
        lead.pk,
        {"code": "contract_or_sla"},
    )


def test_the_same_signal_twice_is_one_and_what_was_not_seen_yet_is_none(account: Account) -> None:
    now, by = timezone.now(), sales_person()
    for _ in range(2):
        seen(Code.ASKS_PRICING, organization=account.organization, seen_at=now, by=by, now=now)
    assert Signal.objects.count() == AuditEvent.objects.filter(action="signal.record").count() == 1
    with pytest.raises(SignalRefused, match="not seen yet"):
        seen(Code.ASKS_PRICING, organization=account.organization, seen_at=now + timedelta(hours=1), now=now)
    with pytest.raises(SignalRefused, match="about a lead or a customer"):
        seen(Code.ASKS_PRICING)


@pytest.mark.parametrize("code", list(Code))
def test_the_transition_is_open_from_the_question_for_a_contract_or_to_prepay_on_and_from_no_other(
    account: Account, code: Signal.Code
) -> None:
    assert transition_opened_by(account.organization) is None
    signal = seen(code, organization=account.organization)
    assert transition_opened_by(account.organization) == (signal if code in OPENS_TRANSITION else None)
    assert {Code.CONTRACT_OR_SLA, Code.ASKS_PREPAID} == OPENS_TRANSITION


def test_the_first_word_opens_the_transition_also_when_it_was_said_by_the_lead(account: Account) -> None:
    lead, now = customer_lead(account), timezone.now()
    later = seen(Code.CONTRACT_OR_SLA, organization=account.organization)
    assert transition_opened_by(account.organization) == later
    earlier = seen(Code.ASKS_PREPAID, lead=lead, seen_at=now - timedelta(days=3))
    assert transition_opened_by(account.organization) == earlier


def test_the_latest_sign_of_danger_marks_a_lead_and_its_customer(account: Account) -> None:
    lead, other = customer_lead(account), lead_of(sales_person(), company="Other")
    seen(Code.ASKS_PILOT, lead=other)
    seen(Code.FREE_THOUSAND, lead=lead, seen_at=timezone.now() - timedelta(days=1))
    latest = seen(Code.JUST_LOOKING, organization=account.organization)
    assert dangers_of_leads([lead, other]) == {lead.pk: latest}


def test_every_signal_has_its_kind_and_its_meaning() -> None:
    assert set(KIND_OF) == set(MEANINGS) == set(Code)
    said = [MEANINGS[code].says for code in (Code.MORE_CONCURRENCY, Code.MORE_EVENTS, Code.CONTRACT_OR_SLA)]
    assert said == ["Scale need", "Integration depth", "State machine transition: Pilot → Enterprise"]


def test_a_signal_is_recorded_on_the_pilots_page_and_the_third_question_leads_to_the_plan(account: Account) -> None:
    pilot, client = pilot_of(account), staff("sales ops")
    lead, page = customer_lead(account), f"/admin/pilots/{pilot.pk}/review"

    def record(code: str) -> Any:
        form = form_to(forms_of(client.get(page)), f"{page}/signal")
        return client.post(form.action, {**form.fields, "code": code, "note": "Asked by phone"})

    assert record("more_concurrency").headers["Location"] == page
    words = words_of(client.get(page))
    assert "◐ upgrade Can concurrency be higher? Asked by phone Scale need" in words
    assert "The transition Pilot → Enterprise is open" not in words
    assert record("contract_or_sla").headers["Location"] == f"/admin/pilots/{pilot.pk}/plan"
    shown = client.get(page)
    assert "◐ The transition Pilot → Enterprise is open since" in words_of(shown)
    assert f"/admin/pilots/{pilot.pk}/plan" in links_of(shown)
    assert {signal.lead for signal in Signal.objects.all()} == {lead}
    refused = client.post(f"{page}/signal", {"code": "contract_or_sla", "seen_at": "2099-01-01 00:00"})
    assert refused.status_code == 422
    assert "It was not seen yet: write a time that has passed." in words_of(refused)


def test_a_signal_of_a_lead_stands_on_its_page(account: Account) -> None:
    by = sales_person()
    client, lead = signed_in(by), lead_of(by)
    form = form_to(forms_of(client.get(f"/admin/leads/{lead.pk}")), f"/admin/leads/{lead.pk}/signals")
    page = client.post(form.action, {**form.fields, "code": "only_price"}, follow=True)
    words = words_of(page)
    assert "Recorded. Nothing was sent, and nothing else has changed." in words
    assert "✕ danger The customer asks about the price only, not what it does They compare prices" in words
    again = client.post(form.action, {**form.fields, "code": "nothing"})
    assert again.status_code == 422
