"""What the books refuse, they refuse by name: whoever asks twice, asks for too much, or says too much."""

from collections.abc import Callable

import pytest
from django.db import transaction

from customers.models import Mode, Organization
from ledger.models import CreditRequest, Entry, Wallet
from ledger.services import (
    AlreadyPosted,
    ExceedsReserve,
    InsufficientCredits,
    InvalidAmount,
    InvalidText,
    Movement,
    adjust_in,
    adjust_out,
    grant,
    grant_on_basis,
    open_wallets,
    refund,
    reserve,
    settle,
)
from tests.connections import at_once
from tests.factories import fund

pytestmark = pytest.mark.django_db

Verb = Callable[..., Entry]
BIGINT_MAX = 2**63 - 1


@pytest.fixture
def wallet() -> Wallet:
    """A live wallet with 100 credits."""
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[Mode.LIVE]
    fund(wallet, 100, reference=f"grant-{wallet.pk}")
    return wallet


def about(wallet: Wallet, reference: str = "bat_1", **more: str) -> Movement:
    return Movement(wallet_id=wallet.pk, reference=reference, **{"actor": "system", **more})


def figures(wallet: Wallet) -> tuple[int, int, int]:
    wallet.refresh_from_db()
    return wallet.available, wallet.reserved, wallet.settled


# --- twice ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [settle, refund])
def test_a_double_is_one_though_nothing_is_held_any_more(wallet: Wallet, verb: Verb) -> None:
    reserve(movement=about(wallet), amount=10)
    verb(movement=about(wallet), amount=10)
    with pytest.raises(AlreadyPosted):
        verb(movement=about(wallet), amount=10)
    with pytest.raises(ExceedsReserve):
        (refund if verb is settle else settle)(movement=about(wallet), amount=1)


def test_a_double_reserve_is_one_though_the_wallet_could_not_pay_for_it(wallet: Wallet) -> None:
    reserve(movement=about(wallet), amount=70)
    with pytest.raises(AlreadyPosted):
        reserve(movement=about(wallet), amount=70)
    with pytest.raises(InsufficientCredits):
        reserve(movement=about(wallet, "bat_2"), amount=70)
    assert figures(wallet) == (30, 70, 0)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", [settle, refund])
def test_of_sixteen_doubles_at_once_one_is_posted_and_all_others_are_told_so(wallet: Wallet, verb: Verb) -> None:
    reserve(movement=about(wallet), amount=50)
    results = at_once(*[lambda: verb(movement=about(wallet), amount=50)] * 16)
    assert sorted(type(result).__name__ for result in results) == ["AlreadyPosted"] * 15 + ["Entry"]


def test_a_refusal_leaves_the_callers_transaction_usable(wallet: Wallet) -> None:
    with transaction.atomic():
        reserve(movement=about(wallet), amount=10)
        for amount in (10, 1000):
            with pytest.raises(AlreadyPosted):
                reserve(movement=about(wallet), amount=amount)
        settle(movement=about(wallet), amount=10)
    assert figures(wallet) == (90, 0, 10)


# --- too much ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [BIGINT_MAX + 1, 10**30])
@pytest.mark.parametrize("verb", [grant, reserve, adjust_in, adjust_out])
def test_an_amount_that_no_column_holds_is_refused(wallet: Wallet, verb: Verb, amount: int) -> None:
    with pytest.raises(InvalidAmount):
        verb(movement=about(wallet, "x"), amount=amount)
    assert figures(wallet) == (100, 0, 0)


@pytest.mark.parametrize("verb", [grant, adjust_in])
def test_a_wallet_does_not_overflow(wallet: Wallet, verb: Verb) -> None:
    with pytest.raises(InvalidAmount, match="than a wallet can hold"):
        verb(movement=about(wallet, "x"), amount=BIGINT_MAX - 99)
    assert figures(wallet) == (100, 0, 0)


def test_nor_do_its_buckets_together(wallet: Wallet) -> None:
    reserve(movement=about(wallet), amount=100)
    with pytest.raises(InvalidAmount):
        grant(movement=about(wallet, "x"), amount=BIGINT_MAX - 99)
    assert figures(wallet) == (0, 100, 0)


@pytest.mark.parametrize("basis", CreditRequest.Basis.values[1:])
@pytest.mark.parametrize("amount", [0, -1, BIGINT_MAX + 1])
def test_what_a_basis_grants_is_an_amount_too(amount: int, basis: str) -> None:
    mode = Mode.TEST if basis == "sandbox" else Mode.LIVE
    wallet = open_wallets(organization=Organization.objects.create(name="Acme"))[mode]
    with pytest.raises(InvalidAmount):
        grant_on_basis(movement=about(wallet, "x"), amount=amount, basis=CreditRequest.Basis(basis))


# --- too many words ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "longest"), [("reference", 300), ("request_id", 255), ("actor", 40), ("reason", 1000)]
)
def test_a_text_that_is_too_long_is_refused_by_its_name(wallet: Wallet, name: str, longest: int) -> None:
    fits, too_long = {name: "ä" * longest}, {name: "ä" * (longest + 1)}
    entry = reserve(movement=Movement(**{**vars(about(wallet)), **fits}), amount=1)
    assert getattr(entry, name) == fits[name]
    with pytest.raises(InvalidText, match=f"^{name}: at most {longest:,} characters, not {longest + 1:,}$"):
        reserve(movement=Movement(**{**vars(about(wallet, "bat_2")), **too_long}), amount=1)
    assert figures(wallet) == (99, 1, 0)


@pytest.mark.parametrize(("text", "fault"), [("a\0b", "NUL"), ("\udcff", "no text")])
def test_a_text_that_no_database_keeps_is_refused_by_its_name(wallet: Wallet, text: str, fault: str) -> None:
    with pytest.raises(InvalidText, match=f"reason: .*{fault}"):
        reserve(movement=about(wallet, reason=text), amount=1)


@pytest.mark.parametrize("name", ["reference", "actor"])
def test_what_an_entry_is_about_and_who_acted_is_said(wallet: Wallet, name: str) -> None:
    with pytest.raises(InvalidText):
        reserve(movement=Movement(**{**vars(about(wallet)), name: ""}), amount=1)


def test_what_a_basis_grants_has_a_reason_that_fits_its_request(wallet: Wallet) -> None:
    with pytest.raises(InvalidText, match="reason: at most 600"):
        grant_on_basis(movement=about(wallet, "x", reason="a" * 601), amount=1, basis=CreditRequest.Basis.PILOT)
