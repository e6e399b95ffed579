"""`credits.low`: told once for each time that a wallet falls below its threshold."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from batches.alerts import tell_low_credits
from batches.doctor import examine
from customers.models import AuditEvent, Mode, Organization
from customers.services import create_staff
from ledger import lows
from ledger.approvals import request_credits
from ledger.models import Entry, LowNotice, Wallet
from sora2.mailing import oldest_unsent, send_due
from tests.as_role import as_owner
from tests.connections import at_once
from tests.factories import Account, end_batch, fund, make_account, make_batch
from tests.markup import forms_of
from tests.people import member, staff, words_of
from webhooks.endpoints import create_endpoint
from webhooks.models import Delivery, Endpoint, Event

pytestmark = pytest.mark.django_db


def watch(account: Account, threshold: int | None, mode: Mode = Mode.LIVE) -> Wallet:
    """Set the threshold of a wallet and return it."""
    wallet = account.wallets[mode]
    lows.set_threshold(wallet=wallet, threshold=threshold, actor="usr_1")
    return wallet


def told() -> list[dict[str, Any]]:
    """Tell what is to be told, and return the bodies of all that was ever told."""
    tell_low_credits(now=timezone.now())
    return [json.loads(event.body) for event in Event.objects.filter(type="credits.low").order_by("pk")]


def test_falling_below_the_threshold_is_told_once(account: Account) -> None:
    wallet = watch(account, 990)
    make_batch(account.api, 1)
    assert told() == []
    make_batch(account.api, 2, request_id="b")
    (body,) = told()
    wallet.refresh_from_db()
    assert (body["wallet_id"], body["organization_id"]) == (wallet.pk, account.organization.pk)
    assert (body["available"], body["threshold"], body["livemode"]) == (970, 990, True)
    make_batch(account.api, 3, request_id="c")
    assert len(told()) == 1


def test_it_is_told_again_when_it_falls_again(account: Account) -> None:
    wallet = watch(account, 995)
    make_batch(account.api, 1)
    assert len(told()) == 1
    fund(wallet, 10)
    assert len(told()) == 1
    make_batch(account.api, 1, request_id="b")
    assert len(told()) == 2


def test_a_dip_that_is_over_is_not_told(account: Account) -> None:
    wallet = watch(account, 995)
    make_batch(account.api, 1)
    fund(wallet, 10)
    assert told() == []


def test_a_refund_takes_the_mark_back_and_a_settle_does_not(account: Account) -> None:
    wallet = watch(account, 995)
    batch = make_batch(account.api, 1)
    end_batch(batch)
    assert [low.pk for low in lows.low()] == [wallet.pk]
    fund(wallet, 5)
    assert not lows.low()


def test_without_a_threshold_nothing_is_low(account: Account) -> None:
    make_batch(account.api, 50)
    assert told() == []


def test_a_new_threshold_is_judged_at_once(account: Account) -> None:
    wallet = watch(account, 2000)
    assert [low.pk for low in lows.low()] == [wallet.pk]
    assert len(told()) == 1
    watch(account, 500)
    assert not lows.low()
    watch(account, None)
    assert len(told()) == 1


def test_a_threshold_is_not_negative(account: Account) -> None:
    with pytest.raises(DatabaseError, match="ledger_wallet_low_threshold_not_negative"), transaction.atomic():
        watch(account, -1)


@pytest.mark.owner
def test_the_event_goes_to_the_endpoints_of_its_mode_that_want_it(account: Account) -> None:
    wants, _ = create_endpoint(organization=account.organization, mode=Mode.TEST, url="https://example.com/low")
    Endpoint.objects.filter(pk=wants.pk).update(events=["credits.low"])
    create_endpoint(organization=account.organization, mode=Mode.TEST, url="https://example.com/batches")
    create_endpoint(organization=account.organization, mode=Mode.LIVE, url="https://example.com/live")
    watch(account, 2000, Mode.TEST)
    (body,) = told()
    assert body["livemode"] is False
    states = dict(Delivery.objects.filter(event_id=body["event_id"]).values_list("url", "state"))
    assert states == {"https://example.com/low": "pending", "https://example.com/batches": "skipped"}


@pytest.mark.owner
def test_the_marks_cannot_be_set_by_hand(account: Account) -> None:
    wallet = watch(account, 10)
    Wallet.objects.filter(pk=wallet.pk).update(low_threshold=2000, low_since=None)
    wallet.refresh_from_db()
    assert wallet.low_since is not None
    with pytest.raises(DatabaseError, match="only by an entry"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE ledger_wallet SET low_threshold = 1, available = available + 1")


@pytest.mark.django_db(transaction=True)
def test_two_that_tell_at_once_tell_once(account: Account) -> None:
    watch(account, 2000)
    results = at_once(*[lambda: tell_low_credits(now=timezone.now())] * 4)
    assert sorted(results, key=str) == [0, 0, 0, 1]
    assert Event.objects.filter(type="credits.low").count() == 1


# --- by mail -------------------------------------------------------------------------------------------------------


def mailed() -> list[EmailMessage]:
    """Tell what is to be told, send the mails, twice each, and return all that were ever sent."""
    for _ in range(2):
        tell_low_credits(now=timezone.now())
        send_due(LowNotice, now=timezone.now())
    return list(mail.outbox)


def test_one_mail_for_each_crossing_goes_to_whom_the_customer_named_for_finance(account: Account) -> None:
    finance = ["books@acme.example", "cfo@acme.example"]
    Organization.objects.update(finance_emails=finance, contact_email="office@acme.example")
    wallet = watch(account, 995)
    make_batch(account.api)
    assert [each.to for each in mailed()] == [finance]
    make_batch(account.api, 1, request_id="b")
    assert len(mailed()) == 1
    fund(wallet, 20)
    assert len(mailed()) == 1
    make_batch(account.api, 1, request_id="c")
    assert len(mailed()) == 2


def test_the_mail_says_the_figures_what_they_mean_and_where_to_look(account: Account) -> None:
    watch(account, 995)
    make_batch(account.api, 2)
    (sent,) = mailed()
    assert sent.subject == "Credits are low: Acme"
    text = " ".join(str(sent.body).split())
    assert "Available 980 credits Threshold 995 credits Held 20 credits" in text
    assert "batches that have been accepted run on" in text
    assert f"/admin/ledger/{account.organization.pk}" in text


def test_nobody_is_mailed_about_play_money(account: Account) -> None:
    watch(account, 2000, Mode.TEST)
    assert len(told()) == 1
    assert mailed() == []


def test_what_fails_between_the_event_and_the_mail_leaves_neither_and_is_done_again(account: Account) -> None:
    wallet = watch(account, 2000)
    wallet.refresh_from_db()
    assert wallet.low_since is not None
    now = timezone.now()
    at = {"low_since": wallet.low_since, "recipients": [], "created_at": now, "due_at": now}
    in_the_way = LowNotice.objects.create(wallet=wallet, **at)
    assert tell_low_credits(now=now) == 0
    assert not Event.objects.filter(type="credits.low").exists()
    with as_owner():
        in_the_way.delete()
    assert len(mailed()) == len(told()) == 1


def test_a_mail_about_credits_that_cannot_be_sent_waits_and_is_sent_once(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch(account, 2000)
    now = timezone.now()

    def broken(message: EmailMessage) -> int:
        raise OSError("no mail server")

    with monkeypatch.context() as patch:
        patch.setattr(EmailMessage, "send", broken)
        tell_low_credits(now=now)
        assert send_due(LowNotice, now=now) == 0
    assert oldest_unsent(LowNotice) == now
    assert "not_mailed" in {finding.kind for finding in examine(now=now + timedelta(minutes=5))}
    assert send_due(LowNotice, now=now + timedelta(minutes=5)) == 0
    assert send_due(LowNotice, now=now + timedelta(minutes=10)) == 1
    assert send_due(LowNotice, now=now + timedelta(hours=1)) == 0
    assert oldest_unsent(LowNotice) is None


@pytest.mark.django_db(transaction=True)
def test_two_that_send_at_once_send_once(account: Account) -> None:
    watch(account, 2000)
    now = timezone.now()
    tell_low_credits(now=now)
    assert sorted(at_once(*[lambda: send_due(LowNotice, now=now)] * 4), key=str) == [0, 0, 0, 1]


def test_the_account_says_which_mail_went_to_whom_to_who_may_see_credits(account: Account) -> None:
    Organization.objects.update(finance_emails=["books@acme.example"])
    watch(account, 2000)
    tell_low_credits(now=timezone.now())
    address = f"/admin/customers/{account.organization.pk}"
    finance = member(account.organization)
    assert "UTC to books@acme.example · not sent yet" in words_of(finance.get(address))
    mailed()
    text = words_of(finance.get(address))
    assert "UTC to books@acme.example Sent" in text
    assert "Credits are low: Acme" in text
    assert "are low" not in words_of(member(account.organization, "customer developer").get(address))


# --- in the admin --------------------------------------------------------------------------------------------------


def test_home_and_the_customers_page_say_that_a_wallet_is_low(account: Account) -> None:
    watch(account, 2000)
    for client in (staff(), member(account.organization)):
        assert "1,000 credits are left, below the threshold of 2,000." in words_of(client.get("/admin/"))
        text = words_of(client.get(f"/admin/ledger/{account.organization.pk}"))
        assert "▲ Low: 1,000 credits are available, below the threshold of 2,000" in text
    assert "below the threshold" not in words_of(member(make_account(name="Globex").organization).get("/admin/"))


def test_our_finance_sets_the_threshold_on_the_customers_page(account: Account) -> None:
    client, page = staff(), f"/admin/ledger/{account.organization.pk}"
    answer = client.post(f"{page}/threshold", {"mode": "live", "threshold": "1500"}, follow=True)
    assert "Live wallet: low below 1,500 credits." in words_of(answer)
    wallet = Wallet.objects.get(pk=account.wallets[Mode.LIVE].pk)
    assert wallet.low_threshold == 1500
    assert AuditEvent.objects.get(action="wallet.low_threshold").detail == {"old": None, "new": 1500}
    client.post(f"{page}/threshold", {"mode": "live", "threshold": ""})
    assert not lows.low()


def test_a_customers_administrator_sets_the_thresholds_of_their_own_wallets(account: Account) -> None:
    client, address = member(account.organization, "customer admin"), f"/admin/customers/{account.organization.pk}"
    for mode, threshold in (("live", "1500"), ("test", "70")):
        form = next(form for form in forms_of(client.get(address)) if form.fields.get("mode") == mode)
        assert form.fields["back"] == "account"
        answer = client.post(form.action, {**form.fields, "threshold": threshold}, follow=True)
        assert answer.redirect_chain == [(address, 302)]
    text = words_of(answer)
    assert "Test wallet: low below 70 credits." in text
    assert "▲ Low: 1,000 credits are available, below the threshold of 1,500" in text
    statement = words_of(client.get(f"/admin/ledger/{account.organization.pk}"))
    assert "Low below, credits" in statement
    assert "Ask for credits" not in statement
    other = make_account(name="Globex")
    answer = client.post(f"/admin/ledger/{other.organization.pk}/threshold", {"mode": "live", "threshold": "5"})
    assert answer.status_code == 404
    assert Wallet.objects.filter(organization=other.organization, low_threshold__isnull=False).count() == 0


def test_a_threshold_that_is_set_already_is_not_set_again(account: Account) -> None:
    watch(account, 500)
    watch(account, 500)
    assert AuditEvent.objects.filter(action="wallet.low_threshold").count() == 1


@pytest.mark.parametrize("text", ["-1", "ten", "1.5", "9" * 30, "9" * 5000])
def test_a_threshold_that_is_no_number_changes_nothing(account: Account, text: str) -> None:
    page = f"/admin/ledger/{account.organization.pk}"
    answer = staff().post(f"{page}/threshold", {"mode": "live", "threshold": text}, follow=True)
    assert "Nothing was changed" in words_of(answer)
    assert Wallet.objects.filter(low_threshold__isnull=False).count() == 0


@pytest.mark.parametrize("mode", ["both", "live\0"])
def test_there_is_no_wallet_of_another_mode(account: Account, mode: str) -> None:
    page = f"/admin/ledger/{account.organization.pk}/threshold"
    assert staff().post(page, {"mode": mode, "threshold": "5"}).status_code == 404


@pytest.mark.parametrize("role", ["support", "auditor", "sales ops"])
def test_others_may_not_set_it(account: Account, role: str) -> None:
    page = f"/admin/ledger/{account.organization.pk}/threshold"
    assert staff(role).post(page, {"threshold": "5"}).status_code == 403
    for theirs in ("customer finance", "customer developer"):
        assert member(account.organization, theirs).post(page, {"threshold": "5"}).status_code == 403


def test_home_tells_who_may_decide_what_waits_for_a_decision(account: Account) -> None:
    asks, _ = create_staff(username="asks", role="finance")
    wallet = account.wallets[Mode.LIVE]
    request_credits(wallet=wallet, kind=Entry.Kind.GRANT, amount=5000, reason="invoice 7", requested_by=asks)
    waits = "A request for 5,000 credits (grant) waits for a decision."
    assert waits in words_of(staff("finance approver").get("/admin/"))
    assert waits not in words_of(staff("auditor").get("/admin/"))
    assert waits not in words_of(member(account.organization).get("/admin/"))
