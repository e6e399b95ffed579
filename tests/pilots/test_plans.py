"""From a pilot to an enterprise: the verb that does it all at once, and the pages on which it is done (pilot_plan)."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from customers.models import AuditEvent, Organization, Plan, PlanChange
from customers.plans import MOST, InvalidTerms, agreement_of, change_plan
from pilots.boundary import BOUNDARY
from pilots.leads import lose
from pilots.models import OPENS_TRANSITION, Lead, LeadStep, Pilot, Signal
from pilots.plan_forms import LABELS
from pilots.plan_pages import SAME
from pilots.signals import transition_opened_by
from pilots.upgrading import NotAsked, upgrade
from sora2.seen import ChangedMeanwhile
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, words_of
from tests.pilots.scenes import TERMS, agreed, asking_pilot, make_pilot, record, sales_person, sent
from tests.sora2.documents import section

pytestmark = pytest.mark.django_db

NOT_ASKED = (
    "The customer has not asked for a contract yet. Once it does, record the signal: “Do we need a contract / SLA?” or "
    "“The customer asks about enterprise prepaid”."
)


def plan_of(pilot: Pilot) -> str:
    return f"/admin/pilots/{pilot.pk}/plan"


def plan_of_customer(account: Account) -> str:
    return f"/admin/customers/{account.organization.pk}/plan"


def is_pilot_still(account: Account) -> bool:
    """Say whether nothing of an upgrade has happened."""
    lead = Lead.objects.get(organization=account.organization)
    return (
        Organization.objects.get(pk=account.organization.pk).plan == Plan.PILOT
        and not PlanChange.objects.exists()
        and account.organization.pilot.closed_at is None
        and (lead.stage, lead.steps.count()) == (Lead.Stage.PILOT, 0)
    )


# --- the verb ------------------------------------------------------------------------------------------------------


def test_an_upgrade_changes_the_plan_closes_the_pilot_and_moves_the_lead(account: Account) -> None:
    pilot, now = asking_pilot(account.organization), timezone.now()
    given = agreed(account.organization, now=now, lesson="The guide to webhooks is too long")
    assert upgrade(**given)
    assert agreement_of(Organization.objects.get()).terms == TERMS
    pilot.refresh_from_db()
    assert (pilot.closed_at, pilot.closed_by, pilot.outcome) == (now, given["by"], "running")
    assert pilot.lesson == "The guide to webhooks is too long"
    step = LeadStep.objects.get()
    assert (step.stage, step.by, step.note) == (Lead.Stage.CONTRACT, given["by"], "Contract MSA-7")
    assert step.lead.stage == Lead.Stage.CONTRACT
    done = AuditEvent.objects.filter(actor=given["by"].pk).order_by("pk")
    assert list(done.values_list("action", flat=True)) == ["organization.plan", "pilot.close"]
    # Sent twice, it is done once.
    assert not upgrade(**given)
    assert (PlanChange.objects.count(), LeadStep.objects.count(), done.count()) == (1, 1, 2)


def test_a_lead_that_was_given_up_and_signs_is_lost_no_more(account: Account) -> None:
    asking_pilot(account.organization)
    lead = Lead.objects.get(organization=account.organization)
    lose(lead=lead, reason="No budget", by=sales_person(), now=timezone.now())
    assert upgrade(**agreed(account.organization))
    lead.refresh_from_db()
    assert (lead.stage, lead.lost_at, lead.lost_reason) == (Lead.Stage.CONTRACT, None, "")


def test_the_start_page_of_an_enterprise_shows_no_pilot(account: Account) -> None:
    asking_pilot(account.organization)
    client = member(account.organization, "customer admin")
    assert BOUNDARY in client.get("/admin/").content.decode()
    upgrade(**agreed(account.organization))
    page = client.get("/admin/").content.decode()
    assert "Your pilot" not in page
    assert BOUNDARY not in page


def test_the_pilot_is_closed_as_it_stands_then(account: Account) -> None:
    pilot = asking_pilot(account.organization)
    end_batch(make_batch(account.api))
    upgrade(**agreed(account.organization, now=pilot.deadline + timedelta(hours=1)))
    pilot.refresh_from_db()
    assert pilot.outcome == "expired"


def test_a_pilot_that_was_closed_before_stays_as_it_was_closed(account: Account) -> None:
    pilot, long_ago = asking_pilot(account.organization), timezone.now() - timedelta(days=9)
    rows = Pilot.objects.filter(pk=pilot.pk)
    given = agreed(account.organization, lesson="Another")
    rows.update(closed_at=long_ago, closed_by=given["by"], outcome="succeeded", lesson="Short prompts")
    upgrade(**given)
    assert rows.values_list("closed_at", "outcome", "lesson").get() == (long_ago, "succeeded", "Short prompts")
    assert not AuditEvent.objects.filter(action="pilot.close").exists()


@pytest.mark.parametrize("code", Signal.Code)
def test_only_what_the_customer_asked_opens_the_transition(account: Account, code: Signal.Code) -> None:
    make_pilot(account.organization)
    record(account.organization, code)
    if code in OPENS_TRANSITION:
        assert upgrade(**agreed(account.organization))
        return
    with pytest.raises(NotAsked) as refused:
        upgrade(**agreed(account.organization))
    assert str(refused.value) == NOT_ASKED
    assert is_pilot_still(account)


def test_what_the_lead_asked_counts_and_the_first_one_does(account: Account) -> None:
    make_pilot(account.organization)
    other = make_account(name="Globex").organization
    record(other)
    assert transition_opened_by(account.organization) is None
    later = record(account.organization, Signal.Code.ASKS_PREPAID)
    asked_before = Signal.objects.create(
        lead=Lead.objects.get(organization=account.organization),
        code=Signal.Code.CONTRACT_OR_SLA,
        seen_at=later.seen_at - timedelta(days=1),
        recorded_by=later.recorded_by,
    )
    assert transition_opened_by(account.organization) == asked_before


def test_what_cannot_be_agreed_leaves_pilot_and_lead_as_they_are(account: Account) -> None:
    asking_pilot(account.organization)
    with pytest.raises(InvalidTerms):
        upgrade(**agreed(account.organization, contract_reference=""))
    with pytest.raises(ChangedMeanwhile):
        upgrade(**agreed(account.organization, seen="something else"))
    assert is_pilot_still(account)


# --- the pages -----------------------------------------------------------------------------------------------------


def test_until_the_customer_asks_the_page_offers_nothing_and_says_what_to_record(account: Account) -> None:
    address, client = plan_of(make_pilot(account.organization)), staff("sales ops")
    page = words_of(client.get(address))
    assert "Plan: pilot" in page
    assert f"○ {NOT_ASKED} Review and signals" in page
    assert "See the effect" not in page
    refused = client.post(address, {**vars(TERMS), "contract_reference": "C", "reason": "R", "step": "confirm"})
    assert (refused.status_code, is_pilot_still(account)) == (409, True)
    assert f"Nothing was changed. {NOT_ASKED}" in words_of(refused)


def test_the_effect_is_shown_in_figures_before_anything_happens(account: Account) -> None:
    address, client = plan_of(asking_pilot(account.organization)), staff("sales ops")
    assert "✓ The customer asked: “Do we need a contract / SLA?” · In the review call" in words_of(client.get(address))
    shown = sent(client, address, "preview", lesson="Write a shorter guide")
    page = words_of(shown)
    for words in (
        "Plan pilot enterprise",
        "Videos in a batch 50 10,000",
        "Requests in 60 seconds 1,000 600",
        "Open batches 100 400",
        "Hours to an answer best effort 4",
        "Contract MSA-7",
        "Pilot is closed as it stands now: running. Lesson: Write a shorter guide",
        "Lead Acme moves from pilot to contract",
        "Stays freezing, refunds, idempotency, webhooks, proofs: the same as before",
        "Make Acme an enterprise",
    ):
        assert words in page
    assert is_pilot_still(account)
    assert "See the effect" in words_of(sent(client, address, "change"))
    assert is_pilot_still(account)


def test_a_confirmed_one_is_done_and_leads_to_what_comes_next(account: Account) -> None:
    pilot, client = asking_pilot(account.organization), staff("sales ops")
    done = sent(client, plan_of(pilot))
    assert (done.status_code, done.url) == (302, plan_of(pilot))
    page = words_of(client.get(plan_of(pilot)))
    for words in (
        "Done: the terms hold from the next request on.",
        "Plan: enterprise",
        "Contract MSA-7 Support Priority: an answer within 4 hours, support@example.com",
        "Quote the prepaid package: 102,000 credits for $5,000.00",
        "New terms, under a new contract",
        "pilot → enterprise MSA-7 Videos in a batch: 50 → 10,000 Requests in 60 seconds: 1,000 → 600 "
        "Open batches: 100 → 400 Hours to an answer: best effort → 4 They asked for larger batches",
    ):
        assert words in page
    assert Lead.objects.get().stage == Lead.Stage.CONTRACT


def test_an_enterprise_gets_new_terms_on_its_customers_page_and_no_signal_is_asked_for(account: Account) -> None:
    change_plan(**agreed(account.organization))
    client, address = staff("sales ops"), plan_of_customer(account)
    page = words_of(sent(client, address, "preview", max_open_batches="5", contract_reference="MSA-8"))
    assert "Open batches 400 5" in page
    assert "Agree on these terms" in page
    assert "Pilot is closed" not in page
    for _ in range(2):
        assert sent(client, address, max_open_batches="5", contract_reference="MSA-8").status_code == 302
    assert agreement_of(Organization.objects.get()).terms == replace(TERMS, max_open_batches=5)
    assert PlanChange.objects.count() == 2


def test_a_customer_without_a_pilot_has_to_ask_as_well(account: Account) -> None:
    client, address = staff("sales ops"), plan_of_customer(account)
    assert NOT_ASKED in words_of(client.get(address))
    record(account.organization)
    assert sent(client, address).status_code == 302
    assert Organization.objects.get().plan == Plan.ENTERPRISE


def test_a_form_that_comes_after_another_change_changes_nothing_and_shows_what_is_agreed(account: Account) -> None:
    address, client = plan_of(asking_pilot(account.organization)), staff("sales ops")
    seen = agreement_of(account.organization).seen
    upgrade(**agreed(account.organization))
    refused = sent(client, address, seen=seen, max_open_batches="9")
    page = words_of(refused)
    assert refused.status_code == 409
    assert "Somebody has changed the plan meanwhile Nothing of yours was saved" in page
    assert "Plan: enterprise" in page
    # What was wanted is still there, to be looked at again.
    assert refused.context["form"]["max_open_batches"].value() == "9"
    assert PlanChange.objects.count() == 1


def test_faults_are_said_at_their_fields(account: Account) -> None:
    address = plan_of(asking_pilot(account.organization))
    given = {"max_items_per_batch": "10001", "support_response_hours": "soon", "contract_reference": " ", "reason": ""}
    refused = sent(staff("sales ops"), address, **given)
    assert refused.status_code == 422
    assert set(refused.context["form"].errors) == set(given)
    assert "Without a contract there are no such terms" in words_of(refused)
    assert is_pilot_still(account)


def test_the_documentation_says_what_the_page_says() -> None:
    said = section("enterprise/limits.md", "Pilot and Enterprise")
    assert all(f"| {name.lower()} | {words} |" in said for name, words in SAME)
    bounds = section("howto/plans.md", "From pilot to enterprise")
    assert all(f"| {label.lower()} | 1 | {MOST[name]:,} |" in bounds for name, label in LABELS.items())


def test_who_only_reads_sees_the_plan_and_changes_nothing(account: Account) -> None:
    pilot = asking_pilot(account.organization)
    for role in ("finance", "finance approver", "auditor"):
        client = staff(role)
        page = words_of(client.get(plan_of(pilot)))
        assert "The customer asked" in page
        assert "See the effect" not in page
        assert client.post(plan_of(pilot), {"step": "confirm"}).status_code == 403
    for stranger in (staff("support"), member(account.organization, "customer admin")):
        assert stranger.get(plan_of_customer(account)).status_code == 403
        assert "Plan</a>" not in stranger.get(f"/admin/customers/{account.organization.pk}").content.decode()
    assert is_pilot_still(account)
