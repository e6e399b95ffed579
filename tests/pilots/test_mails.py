"""Sales' mails: filled with true figures, and checked before they go out."""

import json
import re
from collections.abc import Mapping
from datetime import timedelta

import pytest
from django.core import mail as outbox
from django.utils import timezone

from batches.catalogue import catalogue
from batches.models import CatalogueModel
from customers.handing_over import good_handover
from customers.models import AuditEvent, Organization
from ledger.packages import PREPAID
from pilots import mails
from pilots.boundary import BOUNDARY
from pilots.mail_promises import promises_in
from pilots.mail_templates import TEMPLATES
from pilots.models import Lead, LeadStep, SalesMail, Signal
from tests.markup import forms_of, links_of
from tests.people import staff, words_of
from tests.pilots.mail_scenes import Scene, kept, make_lead, succeed

pytestmark = pytest.mark.django_db

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


@pytest.mark.owner
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
