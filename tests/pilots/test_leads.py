"""Leads on their pages: made once, moved by people as far as people say it, lost and taken up again."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers.models import AuditEvent, User
from pilots.leads import LeadRefused, advance, create_lead, lose, move, note_down, take_up
from pilots.models import Lead, LeadStep, SalesMail, Signal
from pilots.sales_steps import STEPS
from tests.factories import Account
from tests.markup import form_to, forms_of, links_of
from tests.people import signed_in, staff, words_of
from tests.pilots.scenes import pilot_of, sales_person

pytestmark = pytest.mark.django_db

LIST, NEW = "/admin/leads/", "/admin/leads/new"
CONTACT = {"company": "Initech", "contact_name": "Bill Lumbergh", "contact_email": "bill@initech.example"}


def lead_of(by: User, **given: Any) -> Lead:
    draft = Lead(**{**CONTACT, **given})
    return create_lead(draft=draft, note="Met at the trade fair", by=by, now=timezone.now() - timedelta(days=1))


def at(lead: Lead, act: str = "") -> str:
    return f"{LIST}{lead.pk}{act}"


def send(client: Client, lead: Lead, act: str, **filled: str) -> Any:
    """Fill in the form of an act on the lead's page and send it."""
    page = client.get(at(lead, "/change") if act == "/change" else at(lead))
    return client.post(at(lead, act), {**form_to(forms_of(page), at(lead, act)).fields, **filled}, follow=True)


def stages(lead: Lead) -> list[str]:
    return list(lead.steps.order_by("at", "pk").values_list("stage", flat=True))


# --- the list ------------------------------------------------------------------------------------------------------


def test_an_empty_list_says_what_will_be_there() -> None:
    client = staff("sales ops")
    page = client.get(LIST)
    assert "No leads yet Who may become a customer stands here, from the first mail to the contract." in words_of(page)
    assert NEW in links_of(page)
    auditor = staff("auditor").get(LIST)
    assert "No leads yet" in words_of(auditor)
    assert NEW not in links_of(auditor)


def test_the_five_stages_are_counted_and_filter_and_the_lost_ones_stand_apart() -> None:
    by, client, now = sales_person(), staff("sales ops"), timezone.now()
    cold, asked, gone = (lead_of(by, company=name) for name in ("Cold Co", "Asked Co", "Gone Co"))
    advance(lead=asked, stage=Lead.Stage.REPLY, by=by, now=now)
    lose(lead=gone, reason="No budget", by=by, now=now)
    page = client.get(LIST)
    counts = "Cold mail 1 Get in touch Reply 1 Answer thoroughly Technical call 0 Three sentences Pilot 0 Prove it"
    assert f"{counts} Contract 0 Close, and scale Lost 1 set apart" in words_of(page)
    queries = ("", "stage=reply", "show=lost", "customer=asked")
    shown = {query: words_of(client.get(f"{LIST}?{query}")) for query in queries}
    found = {
        query: [lead.company for lead in (cold, asked, gone) if lead.company in text] for query, text in shown.items()
    }
    assert found == {
        "": ["Cold Co", "Asked Co"],
        "stage=reply": ["Asked Co"],
        "show=lost": ["Gone Co"],
        "customer=asked": ["Asked Co"],
    }
    assert "No lead fits these filters" in words_of(client.get(LIST, {"customer": "nobody"}))


def test_the_list_goes_by_cursor_and_asks_as_often_whatever_there_is(account: Account) -> None:
    by, client, now = sales_person(), staff("sales ops"), timezone.now()
    first = lead_of(by, company="The first one")
    Signal.objects.create(lead=first, code="just_looking", seen_at=now, recorded_by=by)
    with CaptureQueriesContext(
        connection,
    ) as few:
        client.get(LIST)
    for number in range(55):
        lead = lead_of(by, company=f"Company {number}", contact_email=f"{number}@x.example")
        Signal.objects.create(lead=lead, code="free_thousand", seen_at=now, recorded_by=by)
    Lead.objects.filter(pk=lead.pk).update(organization=account.organization)
    with CaptureQueriesContext(connection) as many:
        page = client.get(LIST)
    assert len(many) <= len(few)
    assert "The first one" not in words_of(page)
    [after] = [link for link in links_of(page) if "after=" in link]
    rest = words_of(client.get(LIST + after))
    assert "The first one Bill Lumbergh bill@initech.example cold mail ✕ danger The customer says: we are just" in rest
    assert "Company 54" not in rest


# --- a new one -----------------------------------------------------------------------------------------------------


def test_a_lead_is_written_down_with_its_source_and_begins_at_cold_mail() -> None:
    client = staff("sales ops")
    form = form_to(forms_of(client.get(NEW)), NEW).fields
    sent = {**form, **CONTACT, "company": "  Initech   Inc ", "note": "A reference"}
    page = client.post(NEW, sent, follow=True)
    assert "Made: Initech Inc stands at cold mail." in words_of(page)
    client.post(NEW, sent)
    lead = Lead.objects.get()
    step = lead.steps.get()
    assert (lead.stage, step.stage, step.note, step.by) == ("cold_mail", "cold_mail", "A reference", lead.created_by)
    event = AuditEvent.objects.get(action="lead.create")
    assert (event.actor, event.subject, event.detail) == (lead.created_by_id, lead.pk, {})


@pytest.mark.parametrize("same", [{"company": "INITECH"}, {"contact_email": "Bill@Initech.example"}])
def test_the_same_company_or_e_mail_is_warned_of_and_leads_to_the_one_there_is(same: dict[str, str]) -> None:
    client, there = staff("sales ops"), lead_of(sales_person())
    form = form_to(forms_of(client.get(NEW)), NEW).fields
    other = {"company": "Other", "contact_name": "Ann", "contact_email": "ann@other.example", "note": "By phone"}
    page = client.post(NEW, {**form, **other, **same})
    assert "◑ There is one already The same company or e-mail: Initech · Bill Lumbergh" in words_of(page)
    assert at(there) in links_of(page)
    assert Lead.objects.count() == 1
    again = form_to(forms_of(page), NEW).fields
    client.post(NEW, {**again, "step": "confirm"})
    assert Lead.objects.count() == 2


def test_a_form_that_is_not_filled_in_says_what_is_missing_and_makes_nothing() -> None:
    page = staff("sales ops").post(NEW, {**CONTACT, "contact_email": "bill", "note": ""})
    assert page.status_code == 422
    assert "Enter a valid email address." in words_of(page)
    assert "This field is required." in words_of(page)
    assert not Lead.objects.exists()


def test_who_only_reads_is_offered_no_act_and_refused(account: Account) -> None:
    lead, client = lead_of(sales_person()), staff("finance")
    page = client.get(at(lead))
    assert [form for form in forms_of(page) if form.action.startswith(LIST)] == []
    acts = ("/change", "/move", "/note", "/lost", "/signals")
    assert {client.post(at(lead, act)).status_code for act in acts} == {403}
    assert staff("support").get(at(lead)).status_code == 403


# --- one lead ------------------------------------------------------------------------------------------------------


def test_a_lead_shows_its_steps_mails_signals_and_what_to_say_now(account: Account) -> None:
    by, client, now = sales_person(), staff("sales ops"), timezone.now()
    lead = lead_of(by)
    Lead.objects.filter(pk=lead.pk).update(organization=account.organization)
    pilot = pilot_of(account)
    for stage in (Lead.Stage.REPLY, Lead.Stage.CALL, Lead.Stage.PILOT):
        now += timedelta(seconds=1)
        advance(lead=lead, stage=stage, by=None if stage == Lead.Stage.PILOT else by, now=now, note=f"note of {stage}")
    SalesMail.objects.create(
        lead=lead,
        template="cold_mail",
        recipients=["bill@initech.example"],
        subject="Enterprise-Grade",
        body="Hi",
        way=SalesMail.Way.COPIED,
        created_at=now,
        created_by=by,
    )
    Signal.objects.create(organization=account.organization, code="more_events", seen_at=now, recorded_by=by)
    page = client.get(at(lead))
    words = words_of(page)
    assert "the system to pilot note of pilot" in words
    assert f"{by.username} to call note of call" in words
    assert f"{by.username} to cold mail Met at the trade fair" in words
    assert "copied Enterprise-Grade First mail ·" in words
    assert "◐ upgrade Can we get another webhook event? Integration depth" in words
    assert "What to say: pilot" in words
    assert "Hold the review on day 2 or 3, and ask only what is on its list." in words
    assert f"/admin/pilots/{pilot.pk}" in links_of(page)
    assert "Provision a pilot" not in words


def test_a_lead_of_which_nothing_was_written_down_says_so() -> None:
    lead = Lead.objects.create(**CONTACT, created_by=sales_person())
    assert "Nothing was written down yet." in words_of(staff("sales ops").get(at(lead)))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: str(step.stage.value))
def test_beside_a_lead_stand_the_key_points_of_its_step(step: Any) -> None:
    by = sales_person()
    lead = lead_of(by)
    advance(lead=lead, stage=step.stage, by=by, now=timezone.now())
    page = staff("sales ops").get(at(lead))
    words = words_of(page)
    assert [point.words for point in step.points if point.words not in words] == []
    assert f"/admin/pilots/new?lead={lead.pk}" in links_of(page)


def test_a_lead_goes_forwards_freely_and_backwards_with_a_reason() -> None:
    client, lead = signed_in(sales_person()), lead_of(sales_person())
    assert "Moved: Initech is at call." in words_of(send(client, lead, "/move", stage="call"))
    refused = client.post(at(lead, "/move"), {"stage": "reply", "seen": "call", "note": " "})
    assert refused.status_code == 422
    assert "Say why it goes back." in words_of(refused)
    assert "Moved" in words_of(send(client, lead, "/move", stage="reply", note="They only wanted prices"))
    assert stages(lead) == ["cold_mail", "call", "reply"]
    assert "back to reply They only wanted prices" in words_of(client.get(at(lead)))
    details = AuditEvent.objects.filter(action="lead.move").order_by("pk").values_list("detail", flat=True)
    assert list(details) == [
        {"old": "cold_mail", "new": "call"},
        {"old": "call", "new": "reply", "reason": "They only wanted prices"},
    ]


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("pilot", "The stage pilot is set by provisioning the pilot, not by hand."),
        ("contract", "The stage contract is set by upgrading the plan, not by hand."),
    ],
)
def test_what_provisioning_and_the_upgrade_say_is_not_said_by_hand(stage: str, words: str) -> None:
    client, lead = staff("sales ops"), lead_of(sales_person())
    offered = client.get(at(lead)).context["forms"]["move"].fields["stage"].widget.choices
    assert [value for value, _ in offered] == ["reply", "call"]
    page = client.post(at(lead, "/move"), {"stage": stage, "seen": "cold_mail", "note": "Now"})
    assert page.status_code == 422
    assert words in words_of(page)
    assert stages(lead) == ["cold_mail"]


def test_a_customer_and_a_lost_lead_are_moved_by_nobody(account: Account) -> None:
    by, now = sales_person(), timezone.now()
    customer, lost = lead_of(by), lead_of(by, company="Lost Co")
    Lead.objects.filter(pk=customer.pk).update(organization=account.organization)
    lose(lead=lost, reason="No budget", by=by, now=now)
    for lead, words in ((customer, "It is a customer: its stage says what was done."), (lost, "It is lost.")):
        page = signed_in(by).post(at(lead, "/move"), {"stage": "call", "seen": "cold_mail", "note": "x"})
        assert page.status_code == 422
        assert words in words_of(page)
        assert "call" not in stages(lead)


def test_a_move_from_a_stage_where_it_is_no_more_changes_nothing() -> None:
    by, now = sales_person(), timezone.now()
    lead = lead_of(by)
    move(lead=lead, stage=Lead.Stage.REPLY, seen="cold_mail", note="", by=by, now=now)
    with pytest.raises(LeadRefused, match="moved meanwhile"):
        move(lead=lead, stage=Lead.Stage.CALL, seen="cold_mail", note="", by=by, now=now)
    assert stages(lead) == ["cold_mail", "reply"]


def test_a_lost_lead_keeps_its_reason_and_is_taken_up_where_it_was() -> None:
    client, lead = staff("sales ops"), lead_of(sales_person())
    page = client.post(at(lead, "/lost"), {"lost": "yes", "reason": ""})
    assert page.status_code == 422
    assert "Say why it is lost." in words_of(page)
    words = words_of(send(client, lead, "/lost", reason="No budget"))
    assert "✕ Lost" in words
    assert "Lost: No budget" in words
    assert "Provision a pilot" not in words
    assert "Taken up again: New year" in words_of(send(client, lead, "/lost", reason="New year"))
    lead.refresh_from_db()
    assert (lead.lost_at, lead.lost_reason, lead.stage) == (None, "", "cold_mail")
    by, now = sales_person(), timezone.now()
    assert take_up(lead=lead, note="", by=by, now=now) is False
    assert [lose(lead=lead, reason=why, by=by, now=now) for why in ("Gone", "Gone again")] == [True, False]
    lead.refresh_from_db()
    assert lead.lost_reason == "Gone"


def test_a_note_that_is_sent_twice_stands_there_once() -> None:
    by, now = sales_person(), timezone.now()
    lead = lead_of(by)
    assert [note_down(lead=lead, note="Wants prices", by=by, now=now) for _ in range(2)] == [True, False]
    assert LeadStep.objects.filter(note="Wants prices").count() == 1
    with pytest.raises(LeadRefused, match="at most 500"):
        note_down(lead=lead, note="a" * 501, by=by, now=now)


def test_the_contact_is_changed_and_the_log_names_what_but_not_whom() -> None:
    client, lead = staff("sales ops"), lead_of(sales_person())
    stale = form_to(forms_of(client.get(at(lead, "/change"))), at(lead, "/change")).fields
    assert "Saved." in words_of(
        send(client, lead, "/change", contact_name="Ann Lee", contact_email="ann@initech.example")
    )
    assert AuditEvent.objects.get(action="lead.change").detail == {"changed": ["contact_name", "contact_email"]}
    page = client.post(at(lead, "/change"), {**stale, "company": "Initrode"})
    assert page.status_code == 422
    assert "It was changed meanwhile, to: Initech, Ann Lee, ann@initech.example." in words_of(page)
    lead.refresh_from_db()
    assert (lead.company, lead.contact_name) == ("Initech", "Ann Lee")
