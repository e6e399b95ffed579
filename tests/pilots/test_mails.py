"""Sales' mails: filled with true figures, checked, sent or copied once, and kept without what must not be kept."""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from smtplib import SMTPDataError
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from batches.catalogue import catalogue
from batches.failures import FailureType
from batches.models import Batch, CatalogueModel
from customers.handing_over import good_handover, hand_over, reveal
from customers.models import AuditEvent, Handover, Organization, Plan, User
from customers.services import create_staff
from ledger.packages import PREPAID
from pilots import mails
from pilots.boundary import BOUNDARY
from pilots.mail_forms import MailForm
from pilots.mail_pages import mails_of_pilot
from pilots.mail_promises import promises_in
from pilots.mail_templates import TEMPLATES, TO_LEADS, TO_PILOTS, Draft, draft_to_lead, draft_to_pilot
from pilots.models import Lead, LeadStep, Pilot, SalesMail, Signal
from tests.factories import Account, end_batch, make_account, make_batch, sign
from tests.markup import Form, forms_of, links_of
from tests.people import signed_in, staff, words_of
from webhooks.endpoints import create_endpoint
from webhooks.models import Attempt, Delivery, EventType

pytestmark = pytest.mark.django_db

KEYS = {"Live API key": "s2_live_not_a_real_one", "Webhook secret": "whsec_not_a_real_one"}
TOKEN = re.compile(r"https://sora2\.example\.com/admin/\w+/([\w-]+)")


@dataclass(frozen=True)
class Scene:
    """A pilot that has just begun, of somebody who was a lead; its keys wait to be handed over."""

    account: Account
    sales: User
    client: Client
    lead: Lead
    pilot_id: str
    handover: Handover
    token: str

    @property
    def pilot(self) -> Pilot:
        return Pilot.objects.select_related("organization").get(pk=self.pilot_id)

    def draft(self, slug: str) -> Draft:
        if slug in TO_LEADS:
            lead = Lead.objects.select_related("organization").get(pk=self.lead.pk)
            return draft_to_lead(lead, TO_LEADS[slug], by=self.sales)
        return draft_to_pilot(self.pilot, TO_PILOTS[slug], by=self.sales, now=timezone.now())

    def address(self, slug: str) -> str:
        if slug in TO_LEADS:
            return f"/admin/leads/{self.lead.pk}/mails/{slug}"
        return f"/admin/pilots/{self.pilot_id}/mails/{slug}"

    def form(self, slug: str, **changed: str) -> dict[str, Any]:
        [form] = [form for form in forms_of(self.client.get(self.address(slug))) if "token" in form.fields]
        return {**form.fields, "act": "send", **changed}

    def post(self, slug: str, **changed: str) -> Any:
        return self.client.post(self.address(slug), self.form(slug, **changed))

    def upgrade(self) -> None:
        Organization.objects.filter(pk=self.account.organization.pk).update(
            plan=Plan.ENTERPRISE, support_response_hours=4, rate_limit_per_minute=600
        )

    def next(self) -> str:
        return next((each.template.slug for each in self.offered() if each.is_next), "")

    def offered(self) -> Any:
        return mails_of_pilot(self.pilot, by=self.sales, now=timezone.now()).offered


@pytest.fixture
def scene(settings: Settings) -> Scene:
    settings.PUBLIC_BASE_URL, settings.SUPPORT_EMAIL = "https://sora2.example.com", "help@sora2.example.com"
    account, now = make_account(5_000, name="Acme Corp"), timezone.now()
    sales, _ = create_staff(username="cleo", role="sales ops")
    sales.first_name, sales.last_name, sales.email = "Cleo", "Marsh", "cleo@sora2.example.com"
    sales.save()
    pilot = Pilot.objects.create(
        organization=account.organization,
        credits=5_000,
        activated_at=now - timedelta(hours=1),
        deadline=now + timedelta(hours=47),
        created_by=sales.pk,
        override_reason="For a test",
    )
    lead = make_lead("Acme Corp", "Mia Chen", "mia@acme.example", by=sales, organization=account.organization)
    handover, token = hand_over(
        organization=account.organization, title="Keys and secrets", content=KEYS, actor=sales.pk, now=now
    )
    return Scene(account, sales, signed_in(sales), lead, pilot.pk, handover, token)


def make_lead(company: str, name: str, email: str, *, by: User, organization: Organization | None = None) -> Lead:
    lead = Lead.objects.create(
        company=company, contact_name=name, contact_email=email, organization=organization, created_by=by
    )
    LeadStep.objects.create(lead=lead, at=timezone.now(), by=by, stage=lead.stage)
    return lead


def succeed(scene: Scene) -> Batch:
    """Run a batch of ten with one failure, let the customer's endpoint take the webhook, sign it off."""
    organization = scene.account.organization
    create_endpoint(organization=organization, mode="live", url="https://hooks.acme.example/x?token=SECRET")
    batch = end_batch(make_batch(scene.account.api, 10), failed={3: FailureType.TIMEOUT})
    delivery = Delivery.objects.about(batch.pk).get(event__type=EventType.BATCH_COMPLETED)
    Attempt.objects.create(delivery=delivery, number=1, status_code=204, at=timezone.now(), duration_ms=100)
    sign(batch)
    return Batch.objects.get(pk=batch.pk)


def kept() -> SalesMail:
    return SalesMail.objects.get()


# --- what stands in them -------------------------------------------------------------------------------------------

# What the documents have in each, subject first; wrapped lines are read as one.
WORDS: Mapping[str, tuple[str, ...]] = {
    "cold_mail": (
        "Enterprise-Grade Batch Video Generation API",
        "enterprise-grade API",
        "Batch execution:",
        "Financial safety:",
        "No subscription lock-in:",
    ),
    "billing_answer": (
        "Re: Enterprise-Grade Batch Video Generation API",
        "Great question — billing is exactly where most AI video systems break at scale, "
        "so we designed ours differently.",
        "- Before a batch starts, we pre-check your balance",
        "- We freeze the full batch cost upfront (no partial surprises)",
        "- Each video is executed independently",
        "- Failed items are automatically refunded",
        "- You're charged only for successful outputs",
        "- Ledger entries per batch",
        "- Per-video success/failure records",
        "This means finance teams can approve usage without manual reconciliation.",
        "I can run a small pilot batch (10–20 videos) so your team can see the flow end-to-end.",
    ),
    "call_follow_up": (
        "Re: Technical Review Call",
        "1. Batch-first — Built for scale, not single requests",
        "2. Financial safety — Pre-freeze, auto-refund, full audit",
        "3. Automatic refund — Every failure refunds automatically",
        "I'll set up a 20-video pilot batch for your team.",
        "- Verify the refund mechanism",
        "by [Date].",
    ),
    "pilot_ready": (
        "Sora2 Enterprise Pilot — Getting Started",
        "Your pilot access is ready. Here's what you need:",
        "1. API key: [[keys-link]]",
        "2. Docs: https://sora2.example.com/docs/enterprise",
        "3. Node example: https://sora2.example.com/docs/enterprise/node-example",
        "- 5,000 promotional credits, free of charge",
        "Goal: Run 1 batch, receive webhook, verify ledger.",
        "Timeline: 48 hours to first success",
        "Let me know when your webhook endpoint is ready.",
    ),
    "pilot_batch_setup": (
        "Pilot Batch Setup — Acme Corp",
        "API endpoint: POST https://sora2.example.com/api/enterprise/video-batch",
        "Header: X-API-Key",
        "you'll get 402 Payment Required",
        'returns batch_id and status "pending"',
        "5. Refund: failed items are automatically refunded",
        "- View: Tasks, Billing, Webhooks",
        "your endpoint at https://hooks.acme.example is told anyway",
        "ping me on [Slack/Teams].",
    ),
    "success_confirmation": (
        "Pilot Complete ✓",
        "completed, with 10 items: 9 succeeded, 1 failed",
        "your endpoint answered 204",
        "- Ledger verified: reserved = settled + refunded 100 = 90 + 10 ✓",
        "Next: Let's schedule a 15-min review call.",
        "1. Which step was hardest?",
        "2. What would help your finance team?",
        "3. What else would you need before scaling?",
    ),
    "pilot_results": (
        "Pilot Batch Complete — Results & Next Steps",
        "- Total: 10 videos",
        "- Success: 9 videos",
        "- Failed: 1 video (auto-refunded)",
        "- Credits spent: 90",
        "- Refunded: 10",
        "- [Positive feedback]",
        "- [Improvement areas]",
        "pay-as-you-go or enterprise prepaid?",
        "3. Plan production batch — when are you ready to scale?",
    ),
    "review_invitation": (
        "Pilot Review — 15 minutes",
        "your pilot has succeeded.",
        "- Which step was most confusing?",
        "- Which field was unclear?",
        "- What additional webhook events would help?",
        "- Is the ledger clear?",
        "- Can you export for reconciliation?",
        "- Any “unexplained money”?",
    ),
    "prepaid_package": (
        "Re: Enterprise Prepaid Package",
        "Absolutely! Here's what the $5,000 prepaid package includes:",
        "~1,050 Veo videos or ~10,200 Sora videos",
        "- Effective price: ~$4.76 per Veo video (20% discount)",
        "- Credits never expire: use at your pace",
        "- Monthly invoicing: available upon request",
        "- Rate limits: increased to [custom limit] / minute",
        "- Automatic refund for failures (as before)",
        "- Priority support",
        "2. Once paid, credits are activated",
    ),
    "welcome_enterprise": (
        "Welcome to Enterprise Plan — Acme Corp",
        "- Credits balance: 4,910",
        "- Rate limit: 600 / minute",
        "- API docs: https://sora2.example.com/docs/enterprise",
        "- Admin dashboard: https://sora2.example.com/admin/",
        "- Support: help@sora2.example.com, an answer within 4 hours",
        "2. Run your first production batch",
        "3. Monitor via admin dashboard",
    ),
}
NEVER_ASKED = ("did you like", "quality", "recommend", "looks good")


def test_every_mail_says_what_the_documents_say_in_the_accounts_figures(scene: Scene) -> None:
    batch = succeed(scene)
    drafts = {slug: scene.draft(slug) for slug in TEMPLATES if slug != "welcome_enterprise"}
    for slug, draft in drafts.items():
        assert promises_in(f"{draft.subject}\n{draft.body}") == [], slug
        assert (BOUNDARY in draft.body) == draft.template.is_paper, slug
    assert {slug for slug, draft in drafts.items() if draft.template.is_paper} >= {"pilot_ready", "pilot_batch_setup"}
    assert batch.pk in drafts["success_confirmation"].body
    scene.upgrade()
    drafts["welcome_enterprise"] = scene.draft("welcome_enterprise")
    assert WORDS.keys() == TEMPLATES.keys() == drafts.keys()
    for slug, draft in drafts.items():
        assert (draft.missing, draft.subject, draft.to) == ([], WORDS[slug][0], "mia@acme.example")
        assert draft.body.startswith("Hi Mia,\n\n")
        assert draft.body.endswith("\nCleo Marsh")
        text = " ".join(f"{draft.subject} {draft.body}".split())
        assert [words for words in WORDS[slug] if words not in text] == [], slug
        assert [line for line in draft.body.splitlines() if len(line) > 76 and "://" not in line] == [], slug
        assert "{" not in text.replace(drafts["pilot_batch_setup"].body, "") or slug == "pilot_batch_setup"
        assert not mails.SECRET.search(text)
        assert "99.9" not in text
    asked = drafts["review_invitation"].body.lower()
    assert [words for words in NEVER_ASKED if words in asked] == []
    assert BOUNDARY not in scene.draft("review_invitation").body, "an enterprise is no pilot"


def test_the_example_in_the_mail_is_taken_by_the_api(scene: Scene) -> None:
    body = scene.draft("pilot_batch_setup").body
    example = json.loads(body[body.index("\n{") : body.index("\n}") + 2])
    assert {"request_id", "webhook_url", "items"} == example.keys()
    answer = scene.account.api.post("/video-batch", example)
    assert (answer.status_code, answer.json()["status"]) == (201, "pending")
    again = scene.account.api.post("/video-batch", example)
    assert (again.status_code, again.json()["batch_id"]) == (200, answer.json()["batch_id"])
    url = re.search(r"POST https://sora2\.example\.com(\S+)", body)
    assert url
    assert (
        scene.account.api.get(f"{url[1].removeprefix('/api/enterprise')}/{again.json()['batch_id']}").status_code == 200
    )


def test_the_package_is_computed_from_the_catalogue(scene: Scene) -> None:
    veo = catalogue(now=timezone.now()).models["veo-3"]
    assert f"~{PREPAID.clips(veo.credits):,} Veo" in scene.draft("prepaid_package").body
    long_ago = timezone.now() - timedelta(days=400)
    CatalogueModel.objects.filter(name="veo-3").update(deprecated_at=long_ago, sunset_at=long_ago + timedelta(days=1))
    draft = scene.draft("prepaid_package")
    assert (draft.body, len(draft.missing)) == ("", 1)
    assert "no Veo model on offer" in draft.missing[0]


def test_without_a_lead_the_organizations_contact_is_written_to(scene: Scene) -> None:
    LeadStep.objects.all().delete()
    Lead.objects.all().delete()
    Organization.objects.update(contact_email="office@acme.example")
    draft = scene.draft("pilot_ready")
    assert (draft.to, draft.body.splitlines()[0]) == ("office@acme.example", "Hi [Name],")


# --- what cannot go out --------------------------------------------------------------------------------------------


def test_a_mail_whose_figures_are_not_there_says_why_and_is_not_sent(scene: Scene) -> None:
    reasons = {
        "success_confirmation": "the pilot has not succeeded. Not met yet: Ran at least 1 batch; ",
        "pilot_results": "none has run to its end. Next: Run a live batch to its end",
        "review_invitation": "The review comes after the pilot, which runs until",
        "welcome_enterprise": "Acme Corp is on the pilot plan",
    }
    offered = {each.template.slug: each.missing for each in scene.offered()}
    assert {slug for slug, missing in offered.items() if missing} == reasons.keys()
    listed = words_of(scene.client.get(f"/admin/pilots/{scene.pilot_id}/mails"))
    form = scene.form("pilot_ready")
    for slug, reason in reasons.items():
        shown = scene.client.get(scene.address(slug))
        assert reason in words_of(shown)
        assert reason in listed
        assert [each for each in forms_of(shown) if "token" in each.fields] == []
        assert scene.client.post(scene.address(slug), form).status_code == 422
    assert (SalesMail.objects.count(), outbox.outbox) == (0, [])


REFUSALS: Mapping[str, tuple[dict[str, str], str]] = {
    "a placeholder": ({"body": f"Until [Date], {{{{Name}}}}.\n{BOUNDARY}"}, "Not filled in yet: [Date], {{Name}}."),
    "one in the subject": ({"subject": "For [Company]"}, "Not filled in yet: [Company]."),
    "one over two lines": ({"body": f"[Positive\nfeedback]\n{BOUNDARY}"}, "Not filled in yet: [Positive feedback]."),
    "a key": ({"body": f"s2_live_abcdefgh1234\n{BOUNDARY}"}, "A key or secret stands in it."),
    "a test key": ({"body": f"S2_TEST_abc\u200bdefgh1234\n{BOUNDARY}"}, "A key or secret stands in it."),
    "a secret": ({"subject": "whsec_abcdefgh1234"}, "A key or secret stands in it."),
    "a link": (
        {"body": f"https://sora2.example.com/admin/join/abc_def-123\n{BOUNDARY}"},
        "A one-time link stands in it, and would be kept.",
    ),
    "a promise": ({"body": f"99.9% uptime\n{BOUNDARY}"}, "“uptime” is a promise of uptime."),
    "a promise in the subject": ({"subject": "Our ＳＬＡ"}, "“sla” is a promise of an SLA."),
    "no boundary": ({"body": "Failed items are automatically refunded."}, "The boundary statement must stand in it"),
    "a new line in the subject": ({"subject": "Hi\nBcc: eve@evil.example"}, "The subject is one line"),
    "a separator in the subject": ({"subject": "Hi\u2028there"}, "The subject is one line"),
    "a header in the recipients": ({"recipients": "mia@acme.example\nBcc: eve@evil.example"}, "Not an address: Bcc:."),
    "a name": ({"recipients": "Mia <mia@acme.example>"}, "Not an address: Mia, <mia@acme.example>."),
    "nobody": ({"recipients": " "}, "Write to whom it goes."),
    "eleven": ({"recipients": ",".join(f"p{n}@acme.example" for n in range(11))}, "a mail goes to 10 people at most"),
    "a mark in the subject": ({"subject": "[[keys-link]]"}, "not in the subject"),
    "a mark that is none": ({"body": f"[[key-link]]\n{BOUNDARY}"}, "Not filled in yet: [key-link]."),
    "a form of elsewhere": ({"token": "mai_1:forged"}, "Open this form anew"),
    "neither button": ({"act": ""}, "Nothing has gone out yet."),
}


def test_what_may_not_go_out_is_refused_with_what_to_do_and_nothing_happens(scene: Scene) -> None:
    form = scene.form("pilot_ready")
    for name, (changed, words) in REFUSALS.items():
        for act in ("send", "copy"):
            response = scene.client.post(scene.address("pilot_ready"), {**form, "act": act, **changed})
            assert response.status_code == 422, name
            assert words in words_of(response), name
    assert (SalesMail.objects.count(), outbox.outbox) == (0, [])
    assert good_handover(token=scene.token, now=timezone.now()), "no link was made for a mail that was refused"
    assert not AuditEvent.objects.filter(action__startswith="sales_mail").exists()


def test_an_enterprise_may_be_told_of_its_sla_and_never_of_what_no_contract_allows(scene: Scene) -> None:
    succeed(scene)
    body = "99.9% uptime, as the SLA of your two-year contract says. Your keys: [[keys-link]]"
    refused = words_of(scene.post("pilot_ready", body=f"{body}\n{BOUNDARY}"))
    assert all(f"“{words}” is" in refused for words in ("uptime", "sla", "two-year contract"))
    scene.upgrade()
    assert scene.post("welcome_enterprise", body=body).status_code == 302
    assert "is a promise of a success rate" in words_of(scene.post("welcome_enterprise", body="A high success rate."))
    assert "the same for everybody" in words_of(scene.post("welcome_enterprise", body="We skip the freeze for you."))


# --- sending -------------------------------------------------------------------------------------------------------


def test_a_mail_is_sent_once_as_it_was_edited_and_kept(scene: Scene) -> None:
    form = scene.form("billing_answer", recipients="mia@acme.example; MIA@acme.example, bo@acme.example")
    form["body"] = form["body"].replace("\n", "\r\n").replace("Great question", "A great question")
    first, second = (scene.client.post(scene.address("billing_answer"), form, follow=True) for _ in range(2))
    [sent] = outbox.outbox
    mail = kept()
    assert (sent.to, sent.reply_to) == (["MIA@acme.example", "bo@acme.example"], ["cleo@sora2.example.com"])
    assert (sent.subject, sent.body) == ("Re: Enterprise-Grade Batch Video Generation API", mail.body)
    assert "A great question — billing" in mail.body
    assert "\r" not in mail.body
    assert (mail.lead, mail.organization, mail.way) == (scene.lead, scene.account.organization, SalesMail.Way.SENT)
    assert (mail.sent_at is not None, mail.fault, mail.created_by) == (True, "", scene.sales)
    assert "Sent to MIA@acme.example, bo@acme.example, and kept." in words_of(first)
    assert "Nothing was done now" in words_of(second)
    event = AuditEvent.objects.get(action="sales_mail.send")
    assert (event.actor, event.subject, event.organization) == (scene.sales.pk, mail.pk, scene.account.organization)
    assert event.detail["template"] == "billing_answer"
    listed = words_of(scene.client.get(f"/admin/pilots/{scene.pilot_id}/mails"))
    assert "Re: Enterprise-Grade Batch Video Generation API Answer about billing MIA@acme.example" in listed
    assert "✓ sent" in listed
    assert f"/admin/mails/{mail.pk}" in links_of(scene.client.get(f"/admin/leads/{scene.lead.pk}"))


def test_two_of_the_same_form_at_once_are_one_mail(scene: Scene) -> None:
    """Who comes second has not seen the first one's row, and is stopped by its key."""
    form = MailForm(scene.form("cold_mail"))
    assert form.is_valid()
    letter = form.letter(scene.draft("cold_mail"))
    now = timezone.now()
    mails.send(letter=letter, by=scene.sales, now=now)
    with pytest.raises(IntegrityError, match="pilots_salesmail_pkey"):
        mails._kept(letter, SalesMail.Way.SENT, scene.sales, now)
    assert len(outbox.outbox) == 1


def test_keys_go_in_as_links_made_at_sending_and_what_is_kept_opens_nothing(scene: Scene) -> None:
    other, _ = hand_over(
        organization=scene.account.organization,
        title="The login",
        content={"Password": "x"},
        actor="x",
        now=timezone.now(),
    )
    assert "Keys and secrets (Live API key, Webhook secret) wait to be handed over" in words_of(
        scene.client.get(scene.address("pilot_ready"))
    )
    scene.post("pilot_ready")
    [sent], mail, now = outbox.outbox, kept(), timezone.now()
    tokens = TOKEN.findall(str(sent.body))
    assert [good_handover(token=token, now=now) for token in tokens] == [scene.handover, other]
    assert "   Keys and secrets (opens once, until " in sent.body
    assert good_handover(token=scene.token, now=now) is None, "the link of before is useless"
    assert [
        token for token in tokens if token in f"{mail.body}{AuditEvent.objects.values_list('detail', flat=True)}"
    ] == []
    until = f"{Handover.objects.get(pk=other.pk).expires_at:%Y-%m-%d %H:%M} UTC"
    assert (
        f"[[one-time link {scene.handover.pk}, until {until}]]\n   [[one-time link {other.pk}, until {until}]]"
        in mail.body
    )
    assert AuditEvent.objects.get(action="sales_mail.send").detail["handovers"] == [scene.handover.pk, other.pk]
    assert reveal(token=tokens[0], now=now)[1] == KEYS
    reveal(token=tokens[1], now=now)
    # Now there is nothing left to hand over.
    shown = scene.client.get(scene.address("pilot_ready"))
    assert "Nothing waits to be handed over" in words_of(shown)
    assert f"/admin/pilots/{scene.pilot_id}/handovers" in shown.content.decode()
    assert "you have it already" in scene.draft("pilot_ready").body
    refused = scene.post("pilot_ready", body=f"[[keys-link]]\n{BOUNDARY}")
    assert "has nothing to open" in words_of(refused)
    assert (refused.status_code, len(outbox.outbox)) == (422, 1)


def test_a_copied_mail_is_kept_and_shown_whole_this_once(scene: Scene) -> None:
    form = scene.form("pilot_batch_setup", act="copy")
    form["body"] = form["body"].replace("[Slack/Teams]", "Slack")
    shown = scene.client.post(scene.address("pilot_batch_setup"), form)
    mail, [token] = kept(), set(TOKEN.findall(shown.content.decode())) - {"batches"}
    assert good_handover(token=token, now=timezone.now()) == scene.handover
    assert "no-store" in shown.headers["Cache-Control"]
    assert shown.content.decode().count(token) == 2, "once to read, once to copy"
    assert (mail.way, mail.sent_at, outbox.outbox) == (SalesMail.Way.COPIED, None, [])
    assert token not in mail.body
    assert AuditEvent.objects.get(action="sales_mail.copy").subject == mail.pk
    again = scene.client.post(scene.address("pilot_batch_setup"), form, follow=True)
    assert "Nothing was done now" in words_of(again)
    assert "✓ copied" in words_of(again)
    assert "Send again" not in words_of(again)


def test_a_mail_that_no_server_took_is_kept_with_the_reason_and_sent_again_once(
    scene: Scene, settings: Settings
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = nobody.getsockname()
        failed = scene.client.post(scene.address("pilot_ready"), scene.form("pilot_ready"), follow=True)
    mail = kept()
    assert (mail.sent_at, mail.fault.split(":")[1]) == (None, " ConnectionRefusedError")
    assert "It is kept, and was not sent" in words_of(failed)
    assert "the mail server is at fault" in words_of(failed)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    address = f"/admin/mails/{mail.pk}"
    [again] = forms_again(failed)
    first, second = (scene.client.post(address, again.fields, follow=True) for _ in range(2))
    [sent] = outbox.outbox
    [token] = TOKEN.findall(sent.body.replace("/admin/\n", ""))
    assert good_handover(token=token, now=timezone.now()) == scene.handover
    assert (kept().sent_at is not None, kept().fault, kept().body) == (True, "", mail.body)
    assert "Sent to mia@acme.example" in words_of(first)
    assert "this mail was sent already" in words_of(second)
    assert AuditEvent.objects.filter(action="sales_mail.send", detail__again=True).count() == 1


class Quoting(BaseEmailBackend):
    """A mail server that says what of a mail it does not like."""

    def send_messages(self, messages: Any) -> int:
        [mail] = messages
        raise SMTPDataError(
            554, f"5.7.1 blocked: {next(line for line in mail.body.split() if '/secret/' in line)}".encode()
        )


def test_what_a_mail_server_quotes_of_a_mail_opens_nothing(scene: Scene, settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Quoting"
    scene.client.post(scene.address("pilot_ready"), scene.form("pilot_ready"))
    assert "/admin/secret/***" in kept().fault
    assert not TOKEN.findall(kept().fault)


class Dying(BaseEmailBackend):
    """A mail server during whose answer the process dies."""

    def send_messages(self, _messages: Any) -> int:
        raise KeyboardInterrupt


def test_a_process_that_dies_while_sending_leaves_a_mail_that_says_so(scene: Scene, settings: Settings) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.Dying"
    form = scene.form("pilot_ready")
    with pytest.raises(KeyboardInterrupt):
        scene.client.post(scene.address("pilot_ready"), form)
    shown = scene.client.get(f"/admin/mails/{kept().pk}")
    assert "✕ not sent" in words_of(shown)
    assert "Given to the mail server at" in words_of(shown)
    assert "It may have arrived" in words_of(shown)
    assert scene.next() == "pilot_ready"
    # The form was opened before somebody else began to send it again.
    [again] = forms_again(shown)
    SalesMail.objects.update(fault="Given to the mail server a moment ago")
    stale = scene.client.post(f"/admin/mails/{kept().pk}", again.fields, follow=True)
    assert "Nothing was done: it was sent again meanwhile." in words_of(stale)
    # Its secrets are gone: the link cannot be made anew.
    Handover.objects.update(content_encrypted="")
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    [again] = forms_again(stale)
    late = scene.client.post(f"/admin/mails/{kept().pk}", again.fields, follow=True)
    assert "Nothing was sent. The secrets of this mail's link were revealed" in words_of(late)
    assert (outbox.outbox, kept().sent_at) == ([], None)


def forms_again(response: Any) -> list[Form]:
    return [form for form in forms_of(response) if "seen" in form.fields]


# --- who, and what next --------------------------------------------------------------------------------------------


def test_who_reads_pilots_reads_mails_and_only_sales_write_them(scene: Scene) -> None:
    scene.post("cold_mail")
    mail, form = kept(), scene.form("cold_mail")
    SalesMail.objects.update(sent_at=None)
    for role, reads in (("finance", 200), ("auditor", 200), ("support", 403)):
        client = staff(role)
        for address in (f"/admin/mails/{mail.pk}", f"/admin/pilots/{scene.pilot_id}/mails"):
            assert client.get(address).status_code == reads
        assert client.get(scene.address("cold_mail")).status_code == 403
        assert client.post(scene.address("cold_mail"), form).status_code == 403
        assert client.post(f"/admin/mails/{mail.pk}", {"seen": "x"}).status_code == 403
    assert "Send again" not in words_of(staff("auditor").get(f"/admin/mails/{mail.pk}"))
    assert "Your role reads mails." in words_of(staff("auditor").get(f"/admin/pilots/{scene.pilot_id}/mails"))
    for address in ("pilots/{}/mails/cold_mail", "pilots/{}/mails/no_such", "leads/{}/mails/pilot_ready"):
        assert scene.client.get("/admin/" + address.format(scene.pilot_id)).status_code == 404
    assert SalesMail.objects.count() == len(outbox.outbox) == 1


def test_a_lead_without_an_account_has_no_keys_to_hand_over(scene: Scene) -> None:
    lead = make_lead("Initech", "Bill", "bill@initech.example", by=scene.sales)
    address = f"/admin/leads/{lead.pk}/mails/cold_mail"
    [form] = [each for each in forms_of(scene.client.get(address)) if "token" in each.fields]
    asked = {**form.fields, "act": "send"}
    refused = scene.client.post(address, {**asked, "body": "[[keys-link]]"})
    assert "There are no keys to hand over before there is a pilot" in words_of(refused)
    assert "is a promise of an SLA" in words_of(scene.client.post(address, {**asked, "body": "With an SLA."}))
    assert scene.client.post(address, asked).status_code == 302
    assert (kept().lead, kept().organization) == (lead, None)
    assert scene.client.get(f"/admin/mails/{kept().pk}").status_code == 200
    assert address in links_of(scene.client.get(f"/admin/leads/{lead.pk}"))


def test_the_state_of_a_pilot_says_which_mail_comes_next(scene: Scene) -> None:
    filled = {"[Slack/Teams]": "Slack", "[Positive feedback]": "All", "[Improvement areas]": "None",
              "[Date and time]": "Monday, 10:00 UTC", "[custom limit]": "600"}  # fmt: skip

    def write(slug: str) -> None:
        assert scene.next() == slug
        body = scene.form(slug)["body"]
        for place, words in filled.items():
            body = body.replace(place, words)
        assert scene.post(slug, body=body).status_code == 302

    write("pilot_ready")
    write("pilot_batch_setup")
    assert scene.next() == ""
    succeed(scene)
    write("success_confirmation")
    write("pilot_results")
    given = {"organization": scene.account.organization, "recorded_by": scene.sales, "seen_at": timezone.now()}
    Signal.objects.create(code=Signal.Code.ASKS_PREPAID, **given)
    write("prepaid_package")
    write("review_invitation")
    assert scene.next() == ""
    scene.upgrade()
    write("welcome_enterprise")
    assert scene.next() == ""
