"""The sandbox: a test wallet fills itself when it cannot pay an order, and nothing else is filled."""

import json
import re
from functools import partial
from typing import Any

import pytest

from batches.models import Batch
from customers.models import Mode
from customers.services import create_api_key
from ledger.models import CreditRequest, Entry, Wallet
from ledger.sandbox import LEVEL_CREDITS
from tests.batches.engine import drive
from tests.connections import at_once
from tests.factories import Account, Api, code_of, make_account, make_batch, order
from tests.sora2.documents import section

pytestmark = pytest.mark.django_db


def fills(account: Account) -> list[Entry]:
    """Return the grants that the sandbox was filled by."""
    return list(
        Entry.objects.filter(wallet=account.wallets[Mode.TEST], reference__contains=":sandbox:").order_by("seq")
    )


@pytest.fixture
def empty() -> Account:
    """A customer without a pilot: its wallets were opened, and hold nothing."""
    return make_account(0, max_items_per_batch=10_000)


def test_a_test_wallet_that_cannot_pay_is_filled_to_the_level(empty: Account) -> None:
    make_batch(empty.test_api, 3)
    assert empty.figures(Mode.TEST) == (LEVEL_CREDITS - 30, 30, 0)
    (fill,) = fills(empty)
    assert (fill.amount, fill.kind, fill.actor) == (LEVEL_CREDITS, "grant", "system")
    assert fill.reference == f"{fill.wallet_id}:sandbox:{fill.seq}"
    assert fill.reason == "The sandbox was filled up"
    assert CreditRequest.objects.get(reference=fill.reference).basis == "sandbox"
    assert fill.pk in str(empty.test_api.get("/ledger").json())


def test_a_wallet_that_can_pay_is_not_filled(account: Account) -> None:
    make_batch(account.test_api, 50)
    assert (account.figures(Mode.TEST), fills(account)) == ((500, 500, 0), [])


def test_it_is_filled_again_whenever_it_is_short(account: Account) -> None:
    for number in range(3):
        make_batch(account.test_api, 50, request_id=f"order-{number}")
    assert [fill.amount for fill in fills(account)] == [LEVEL_CREDITS]
    assert account.figures(Mode.TEST) == (LEVEL_CREDITS - 500, 1500, 0)


def test_a_live_wallet_is_never_filled(empty: Account) -> None:
    assert code_of(empty.api.post("/video-batch", order(1))) == (402, "insufficient_credits")
    assert not Entry.objects.filter(wallet=empty.wallets[Mode.LIVE]).exists()


def dear() -> dict[str, Any]:
    """Return an order that costs more than the level: 1,100 clips at 97 credits."""
    return {"request_id": "dear", "items": [{"prompt": "A cat", "model": "veo-3"}] * 1100}


def test_what_costs_more_than_the_level_is_402_and_fills_nothing(empty: Account) -> None:
    response = empty.test_api.post("/video-batch", dear())
    assert code_of(response) == (402, "insufficient_credits")
    assert {n: response.json()[n] for n in ("required", "available", "shortfall")} == {
        "required": 106_700,
        "available": 0,
        "shortfall": 106_700,
    }
    assert not Entry.objects.filter(wallet=empty.wallets[Mode.TEST]).exists()


def test_a_quote_says_what_a_fill_would_pay_and_stores_nothing(empty: Account) -> None:
    quote = empty.test_api.post("/video-batch/quote", order(3, request_id=None)).json()
    assert (quote["available"], quote["sufficient"]) == (0, True)
    assert empty.test_api.post("/video-batch/quote", {"items": dear()["items"]}).json()["sufficient"] is False
    assert empty.api.post("/video-batch/quote", order(3, request_id=None)).json()["sufficient"] is False
    assert not Entry.objects.exists()


def test_a_refused_order_takes_its_fill_back(empty: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """The early look is made blind, so that the refusal comes after the fill."""
    _, secret = create_api_key(organization=empty.organization, mode=Mode.TEST, name="Poor", budget_credits=5)
    monkeypatch.setattr("batches.services._refuse_early", lambda *_: None)
    assert code_of(Api(secret).post("/video-batch", order(1))) == (402, "key_budget_exceeded")
    assert not Entry.objects.exists()
    assert not CreditRequest.objects.exists()


def test_the_budget_of_a_test_key_is_a_402_that_can_be_tried(empty: Account) -> None:
    _, secret = create_api_key(organization=empty.organization, mode=Mode.TEST, name="Poor", budget_credits=5)
    assert code_of(Api(secret).post("/video-batch", order(1))) == (402, "key_budget_exceeded")
    assert not Entry.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_orders_at_once_fill_it_once() -> None:
    account = make_account(0, max_items_per_batch=10_000)
    calls = [partial(account.test_api.post, "/video-batch", order(5, request_id=f"order-{n}")) for n in range(4)]
    answers: list[Any] = at_once(*calls)
    assert [answer.status_code for answer in answers] == [201] * 4
    assert len(fills(account)) == 1
    assert Wallet.objects.get(pk=account.wallets[Mode.TEST].pk).available == LEVEL_CREDITS - 200
    assert Batch.objects.count() == 4


@pytest.mark.usefixtures("provider")
def test_the_batch_of_the_page_ends_as_the_page_says(account: Account) -> None:
    found = re.search(r"-d '(\{.*?\})'", section("howto/sandbox.md", "Marks in a prompt"), re.S)
    assert found is not None
    response = account.test_api.post("/video-batch", json.loads(found[1]))
    assert response.status_code == 201
    batch = drive(Batch.objects.get(pk=response.json()["batch_id"]))
    assert (batch.state, batch.succeeded, batch.failed) == ("partial", 2, 1)
    assert account.figures(Mode.TEST) == (980, 0, 20)
