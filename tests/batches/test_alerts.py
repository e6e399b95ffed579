"""`credits.low`: told once for each time that a wallet falls below its threshold."""

import json
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from batches.alerts import tell_low_credits
from customers.models import AuditEvent, Mode
from customers.services import create_staff
from ledger import lows
from ledger.approvals import request_credits
from ledger.models import Entry, Wallet
from tests.connections import at_once
from tests.factories import Account, end_batch, fund, make_account, make_batch
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


@pytest.mark.parametrize("text", ["-1", "ten", "1.5", "9" * 30])
def test_a_threshold_that_is_no_number_changes_nothing(account: Account, text: str) -> None:
    page = f"/admin/ledger/{account.organization.pk}"
    answer = staff().post(f"{page}/threshold", {"mode": "live", "threshold": text}, follow=True)
    assert "Nothing was changed" in words_of(answer)
    assert Wallet.objects.filter(low_threshold__isnull=False).count() == 0


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
