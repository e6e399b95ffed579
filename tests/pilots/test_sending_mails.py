"""Sales' mails are sent or copied once, and kept without what must not be kept."""

import socket
from smtplib import SMTPDataError
from typing import Any

import pytest
from django.core import mail as outbox
from django.core.mail.backends.base import BaseEmailBackend
from django.db import IntegrityError
from django.utils import timezone
from pytest_django import Settings

from customers.handing_over import good_handover, hand_over, reveal
from customers.models import AuditEvent, Handover
from pilots import mails
from pilots.boundary import BOUNDARY
from pilots.mail_forms import MailForm
from pilots.models import SalesMail
from tests.markup import Form, forms_of, links_of
from tests.people import words_of
from tests.pilots.mail_scenes import KEYS, TOKEN, Scene, kept

pytestmark = pytest.mark.django_db

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
