"""Reconciliation finds each fault and names its rows in plain sentences; sound books have none."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from batches.models import Item, Proof
from customers.models import Mode
from ledger.models import CreditRequest, Entry, Period, PeriodBalance, Seal, SealLeaf, Wallet
from ledger.services import Movement, refund, reserve
from tests.batches.faults import HOOK, batch_of, busy_wallet, cut, entry_of, found, last_entry, rewrite, tamper, unguard
from tests.factories import Account, end_batch, fund, make_account, make_batch
from webhooks.models import Delivery, Event

pytestmark = pytest.mark.django_db
unbooked = pytest.mark.unbooked


@pytest.fixture
def wallet(account: Account) -> Wallet:
    """The live wallet of Acme, in the middle of much."""
    return busy_wallet(account)


# --- sound books ---------------------------------------------------------------------------------------------------


def test_sound_books_have_no_row(wallet: Wallet) -> None:
    assert found() == {}


@pytest.mark.owner
def test_closed_months_and_seals_over_sound_books_are_explained(wallet: Wallet) -> None:
    close_month_until_now()
    seal_all()
    assert found() == {}


# --- wallets and entries -------------------------------------------------------------------------------------------


@unbooked
def test_a_bucket_that_is_off_by_one(wallet: Wallet) -> None:
    tamper("UPDATE ledger_wallet SET available = available + 1 WHERE id = %s", wallet.pk)
    assert found() == {
        ("wallet_equals_entries", wallet.pk): "The wallet shows 911 available, 20 reserved and 120 settled; "
        "its entries add up to 910, 20 and 120: 1 credit too many available.",
        ("wallet_equals_last_entry", wallet.pk): "The wallet shows other figures than its last entry, number 8, left: "
        "1 credit too many available.",
    }


@unbooked
def test_a_bucket_that_is_off_in_test_mode_counts_as_much(account: Account, wallet: Wallet) -> None:
    other = account.wallets[Mode.TEST].pk
    tamper("UPDATE ledger_wallet SET settled = settled - 5 WHERE id = %s", other)
    assert found().keys() == {("wallet_equals_entries", other), ("wallet_equals_last_entry", other)}


@unbooked
def test_a_head_that_is_not_the_last_entrys(wallet: Wallet) -> None:
    tamper("UPDATE ledger_wallet SET head_hash = repeat('1', 64) WHERE id = %s", wallet.pk)
    assert found() == {
        (
            "wallet_equals_last_entry",
            wallet.pk,
        ): "The wallet does not fit the hash or the time of its last entry, number 8.",
    }


@unbooked
def test_an_entry_that_is_missing_in_the_middle(wallet: Wallet) -> None:
    batch = batch_of("partial")
    missing, after = entry_of(batch, "settle"), entry_of(batch, "refund")
    tamper("DELETE FROM credit_ledger WHERE entry_id = %s", missing.pk)
    assert found() == {
        (
            "chain_intact",
            after.pk,
        ): f"Entry 4 of wallet {wallet.pk} is missing: this one, number 5, comes after number 3.",
        ("entries_add_up", after.pk): f"After entry 5 of wallet {wallet.pk} (refund of 10 credits) the balances do not "
        "follow from those before it: 90 credits too few reserved, 90 credits too many settled.",
        ("wallet_equals_entries", wallet.pk): "The wallet shows 910 available, 20 reserved and 120 settled; "
        "its entries add up to 910, 110 and 30: 90 credits too few reserved, 90 credits too many settled.",
        ("batch_credits", batch.pk): "The partial batch must have reserved 100, settled 90 and refunded 10; "
        "the ledger has reserved 100, settled 0 and refunded 10: 90 credits unexplained.",
    }


@unbooked
def test_entries_that_are_missing_at_the_beginning(wallet: Wallet) -> None:
    tamper("DELETE FROM credit_ledger WHERE wallet_id = %s AND seq <= 2", wallet.pk)
    after = Entry.objects.get(wallet=wallet, seq=3)
    sentence = f"Entries 1 to 2 of wallet {wallet.pk} are missing: this one, number 3, comes after number 0."
    assert found()["chain_intact", after.pk] == sentence


@unbooked
def test_the_last_entry_that_is_missing(wallet: Wallet) -> None:
    batch, missing = batch_of("open"), last_entry(wallet)
    tamper("DELETE FROM credit_ledger WHERE entry_id = %s", missing.pk)
    sentences = found()
    assert sentences.keys() == {
        ("wallet_equals_entries", wallet.pk),
        ("wallet_equals_last_entry", wallet.pk),
        ("batch_credits", batch.pk),
    }
    assert sentences["wallet_equals_last_entry", wallet.pk] == (
        "The wallet stands at entry 8, and its entries end with number 7: "
        "20 credits too few available, 20 credits too many reserved."
    )


@unbooked
def test_a_wallet_whose_entries_are_all_missing(wallet: Wallet) -> None:
    tamper("DELETE FROM credit_ledger WHERE wallet_id = %s", wallet.pk)
    assert found()["wallet_equals_entries", wallet.pk] == (
        "The wallet shows 910 available, 20 reserved and 120 settled; its entries add up to 0, 0 and 0: "
        "910 credits too many available, 20 credits too many reserved, 120 credits too many settled."
    )


@unbooked
def test_a_wallet_that_is_missing_itself(wallet: Wallet) -> None:
    tamper("DELETE FROM ledger_wallet WHERE id = %s", wallet.pk)
    assert found() == {
        ("wallet_equals_entries", wallet.pk): "The wallet is missing; "
        "its entries add up to 910 available, 20 reserved and 120 settled credits.",
    }


@unbooked
def test_an_amount_that_was_altered(wallet: Wallet) -> None:
    batch = batch_of("partial")
    entry = entry_of(batch, "settle")
    tamper("UPDATE credit_ledger SET amount = 91 WHERE entry_id = %s", entry.pk)
    assert found() == {
        ("entry_fits_hash", entry.pk): f"Entry 4 of wallet {wallet.pk} (settle of 91 credits for {batch.pk}) does not "
        "fit its hash: something in it was changed after it was written.",
        ("entries_add_up", entry.pk): f"After entry 4 of wallet {wallet.pk} (settle of 91 credits) the balances do not "
        "follow from those before it: 1 credit too many reserved, 1 credit too few settled.",
        ("wallet_equals_entries", wallet.pk): "The wallet shows 910 available, 20 reserved and 120 settled; "
        "its entries add up to 910, 19 and 121: 1 credit too many reserved, 1 credit too few settled.",
        ("batch_credits", batch.pk): "The partial batch must have reserved 100, settled 90 and refunded 10; "
        "the ledger has reserved 100, settled 91 and refunded 10: 1 credit unexplained.",
        ("entry_fits_items", entry.pk): f"The settle charged 91 credits for {batch.pk}, whose succeeded items cost 90: "
        "1 credit too many charged.",
    }


@unbooked
def test_a_reason_that_was_altered(wallet: Wallet) -> None:
    entry = Entry.objects.get(kind="adjustment_in")
    tamper("UPDATE credit_ledger SET reason = 'Gift' WHERE entry_id = %s", entry.pk)
    assert found() == {
        ("entry_fits_hash", entry.pk): f"Entry 2 of wallet {wallet.pk} (adjustment in of 50 credits for "
        f"{entry.reference}) does not fit its hash: something in it was changed after it was written.",
    }


@unbooked
@pytest.mark.parametrize("field", ["entry_id", "created_at", "reference", "request_id", "actor", "hash"])
def test_any_field_that_was_altered(wallet: Wallet, field: str) -> None:
    other = f"left({field}, -1) || CASE right({field}, 1) WHEN 'x' THEN 'y' ELSE 'x' END"
    value = "created_at + interval '1 us'" if field == "created_at" else other
    tamper(f"UPDATE credit_ledger SET {field} = {value} WHERE wallet_id = %s AND seq = 2", wallet.pk)
    assert ("entry_fits_hash", Entry.objects.get(wallet=wallet, seq=2).pk) in found()


@unbooked
def test_a_chain_that_is_broken(wallet: Wallet) -> None:
    entry = entry_of(batch_of("completed"), "reserve")
    tamper("UPDATE credit_ledger SET prev_hash = repeat('1', 64) WHERE entry_id = %s", entry.pk)
    assert found() == {
        ("chain_intact", entry.pk): f"Entry 6 of wallet {wallet.pk} (reserve of 30 credits) does not continue the one "
        "before: one of the two was changed or put in another's place.",
        (
            "entry_fits_hash",
            entry.pk,
        ): f"Entry 6 of wallet {wallet.pk} (reserve of 30 credits for {entry.reference}) does "
        "not fit its hash: something in it was changed after it was written.",
    }


@unbooked
def test_an_entry_that_is_dated_before_the_one_before(wallet: Wallet) -> None:
    entry = last_entry(wallet)
    first = Entry.objects.get(wallet=wallet, seq=1)
    rewrite(entry, created_at=first.created_at)
    assert found() == {
        (
            "chain_intact",
            entry.pk,
        ): f"Entry 8 of wallet {wallet.pk} (reserve of 20 credits) is dated before the one before it.",
    }


@unbooked
def test_a_grant_that_nobody_asked_for(wallet: Wallet) -> None:
    entry = Entry.objects.get(wallet=wallet, kind="grant")
    tamper("DELETE FROM ledger_creditrequest WHERE reference = %s", entry.reference)
    assert found() == {
        ("entry_has_request", entry.pk): f"The grant of 1,000 credits ({entry.reference}) has no approved request: "
        "nobody is known to have allowed it.",
    }


@unbooked
def test_an_approved_request_that_was_never_posted(wallet: Wallet) -> None:
    request = CreditRequest.objects.get(kind="adjustment_in")
    tamper("UPDATE ledger_creditrequest SET amount = 51 WHERE id = %s", request.pk)
    entry = Entry.objects.get(reference=request.reference)
    sentences = found()
    assert sentences.keys() == {("entry_has_request", request.pk), ("entry_has_request", entry.pk)}
    assert sentences["entry_has_request", request.pk] == (
        f"The adjustment in of 51 credits ({request.reference}) was approved, and is not in the ledger."
    )


# --- closed months and seals ---------------------------------------------------------------------------------------


def close_month_until_now() -> datetime:
    """Close a month that is not over for another hour, so that what happens now is dated into it."""
    ends_at = timezone.now() + timedelta(hours=1)
    unguard("ledger_period", "ledger_periodbalance")
    period = Period.objects.create(month="2026-10", starts_at=datetime(2026, 1, 1, tzinfo=UTC), ends_at=ends_at)
    PeriodBalance.objects.bulk_create(
        PeriodBalance(
            period=period,
            wallet=wallet,
            available=wallet.available,
            reserved=wallet.reserved,
            settled=wallet.settled,
            last_seq=wallet.last_seq,
            head_hash=wallet.head_hash,
        )
        for wallet in Wallet.objects.all()
    )
    return ends_at


def seal_all() -> None:
    """Seal all wallets as they stand."""
    texts = {"root": "0" * 64, "previous": "0" * 64, "body": "", "signature": "", "key_id": ""}
    seal = Seal.objects.create(number=1, sealed_at=timezone.now(), wallets=2, **texts)
    SealLeaf.objects.bulk_create(
        SealLeaf(seal=seal, wallet=wallet, seq=wallet.last_seq, head_hash=wallet.head_hash)
        for wallet in Wallet.objects.all()
    )


@unbooked
def test_an_entry_that_is_dated_into_a_closed_month(wallet: Wallet) -> None:
    close_month_until_now()
    fund(wallet, 5)
    entry = last_entry(wallet)
    assert found() == {
        ("closed_periods", entry.pk): f"Entry 9 of wallet {wallet.pk} (grant of 5 credits) is dated into 2026-10 or "
        "before, and was not there when that month was closed.",
    }


@unbooked
def test_a_closed_month_whose_last_entry_is_another_one_now(wallet: Wallet) -> None:
    close_month_until_now()
    rewrite(last_entry(wallet))
    assert found()["closed_periods", wallet.pk] == (
        "2026-10 was closed with 910 available, 20 reserved and 120 settled after entry 8 of this wallet, "
        "which is another one now."
    )


@unbooked
def test_a_tail_that_was_cut_off_under_a_seal_with_everything_that_belonged_to_it(wallet: Wallet) -> None:
    fund(wallet, 7)
    wallet.refresh_from_db()
    seal_all()
    grant = last_entry(wallet)
    cut(grant)
    tamper("DELETE FROM ledger_creditrequest WHERE reference = %s", grant.reference)
    assert found() == {
        ("seals_hold", wallet.pk): "Seal 1 was made when entry 9 was the last of this wallet; "
        "that entry is missing now: the end of the history was cut off.",
    }


@unbooked
def test_a_history_that_was_rewritten_under_a_seal(wallet: Wallet) -> None:
    fund(wallet, 7)
    seal_all()
    rewrite(last_entry(wallet))
    assert found() == {
        ("seals_hold", wallet.pk): "Seal 1 was made when entry 9 was the last of this wallet; "
        "that entry is another one now: the history was rewritten.",
    }


# --- batches -------------------------------------------------------------------------------------------------------


@unbooked
def test_a_final_batch_that_was_never_settled(account: Account, wallet: Wallet) -> None:
    batch = end_batch(make_batch(account.api, 4, request_id="last"))
    cut(last_entry(wallet))
    assert found() == {
        ("batch_credits", batch.pk): "The completed batch must have reserved 40, settled 40 and refunded 0; "
        "the ledger has reserved 40, settled 0 and refunded 0: 40 credits unexplained.",
        ("held_by_open_batches", wallet.pk): "The wallet holds 60 credits, and its open batches cost 20: "
        "40 credits too many reserved.",
    }


@unbooked
def test_a_key_whose_count_is_off(account: Account, wallet: Wallet) -> None:
    key = account.keys[Mode.LIVE]
    tamper("UPDATE customers_apikey SET used_credits = used_credits + 5 WHERE id = %s", key.pk)
    assert found() == {
        ("key_budget", key.pk): "The key has used 145 credits by its count; its batches hold and were charged 140: "
        "5 credits too many counted.",
    }


@unbooked
def test_a_refund_without_a_failed_item(account: Account, wallet: Wallet) -> None:
    batch = batch_of("open")
    unguard("credit_ledger", trigger="batches_entry_has_batch")
    entry = refund(movement=Movement(wallet_id=wallet.pk, reference=batch.pk, actor="usr_x"), amount=10)
    assert found() == {
        ("entry_fits_items", entry.pk): f"The refund gave 10 credits back for {batch.pk}, "
        "of whose items none has failed and was refunded.",
        ("batch_credits", batch.pk): "The queued batch must have reserved 20, settled 0 and refunded 0; "
        "the ledger has reserved 20, settled 0 and refunded 10: 10 credits unexplained.",
        ("held_by_open_batches", wallet.pk): "The wallet holds 10 credits, and its open batches cost 20: "
        "10 credits too few reserved.",
        ("key_budget", account.keys[Mode.LIVE].pk): "The key has used 130 credits by its count; its batches hold and "
        "were charged 140: 10 credits too few counted.",
    }


@unbooked
def test_a_settle_without_a_succeeded_item(wallet: Wallet) -> None:
    batch = batch_of("completed")
    refunded = "status = 'refunded', failure_type = 'timeout', refunded_at = now()"
    tamper(f"UPDATE batches_item SET {refunded} WHERE batch_id = %s", batch.pk)
    entry = entry_of(batch, "settle")
    sentences = found()
    assert sentences.keys() == {
        ("entry_fits_items", entry.pk),
        ("batch_items", batch.pk),
        ("items_fit_proof", batch.pk),
    }
    assert sentences["entry_fits_items", entry.pk] == (
        f"The settle charged 30 credits for {batch.pk}, of whose items none has succeeded."
    )
    assert sentences["batch_items", batch.pk] == (
        "The completed batch of 3 items and 30 credits counts 3 succeeded items and has 0, counts 0 failed items "
        "and has 3 refunded ones, charged 30 credits for items of 0 credits, gave back 0 credits for items of "
        "30 credits, has 0 succeeded and 3 refunded items."
    )


@unbooked
def test_a_reserve_of_a_batch_that_does_not_exist(wallet: Wallet) -> None:
    unguard("credit_ledger", trigger="batches_entry_has_batch")
    movement = Movement(wallet_id=wallet.pk, reference="bat_01k8zzzzzzzzzzzzzzzzzzzzzz", actor="key_x")
    entry = reserve(movement=movement, amount=1)
    assert found() == {
        (
            "entry_has_batch",
            entry.pk,
        ): "The reserve of 1 credit is for bat_01k8zzzzzzzzzzzzzzzzzzzzzz, which is no batch.",
        ("held_by_open_batches", wallet.pk): "The wallet holds 21 credits, and its open batches cost 20: "
        "1 credit too many reserved.",
    }


@unbooked
def test_a_batch_that_another_wallet_pays(wallet: Wallet) -> None:
    other, batch = make_account(name="Globex").wallets[Mode.LIVE], batch_of("open")
    tamper("UPDATE batches_batch SET wallet_id = %s WHERE id = %s", other.pk, batch.pk)
    entry = entry_of(batch, "reserve")
    sentences = found()
    assert sentences.keys() == {
        ("entry_has_batch", entry.pk),
        ("batch_credits", batch.pk),
        ("held_by_open_batches", wallet.pk),
        ("held_by_open_batches", other.pk),
    }
    assert sentences["entry_has_batch", entry.pk] == (
        f"The reserve of 20 credits is for {batch.pk}, which is a batch of another wallet."
    )


@unbooked
def test_a_charged_item_without_a_video(wallet: Wallet) -> None:
    item = batch_of("completed").items.get(index=1)
    tamper("DELETE FROM batches_output WHERE item_id = %s", item.pk)
    assert found() == {
        ("charged_item_has_output", item.pk): f"Item 1 of {item.batch_id} counts as succeeded for 10 credits, "
        "and no video of it is stored.",
    }


@unbooked
def test_a_failed_item_that_was_not_refunded_when_its_batch_ended(wallet: Wallet) -> None:
    batch = batch_of("partial")
    item = batch.items.get(index=7)
    tamper("UPDATE batches_item SET status = 'failed', refunded_at = NULL WHERE id = %s", item.pk)
    sentences = found()
    assert sentences.keys() == {
        ("item_ends_with_batch", item.pk),
        ("batch_items", batch.pk),
        ("entry_fits_items", entry_of(batch, "refund").pk),
        ("items_fit_proof", batch.pk),
    }
    assert sentences["item_ends_with_batch", item.pk] == (
        f"Item 7 of {batch.pk} failed, and its 10 credits were not given back when the batch ended."
    )


@unbooked
def test_an_item_that_is_open_after_the_end_and_one_refunded_before_it(wallet: Wallet) -> None:
    ended, going = batch_of("completed").items.get(index=0), batch_of("open").items.get(index=0)
    tamper(
        "UPDATE batches_item SET status = 'running', stage = 'poll', due_at = now(), finished_at = NULL WHERE id = %s",
        ended.pk,
    )
    tamper(
        "UPDATE batches_item SET status = 'refunded', stage = NULL, due_at = NULL, finished_at = now(), "
        "refunded_at = now(), failure_type = 'timeout' WHERE id = %s",
        going.pk,
    )
    sentences = found()
    assert sentences["item_ends_with_batch", ended.pk] == (
        f"Item 0 of {ended.batch_id} is still running (10 credits), and its batch is completed."
    )
    assert sentences["item_ends_with_batch", going.pk] == (
        f"Item 0 of {going.batch_id} is marked as refunded (10 credits), and its batch is still queued."
    )


@unbooked
def test_a_batch_without_items(wallet: Wallet) -> None:
    batch = batch_of("open")
    tamper("DELETE FROM batches_item WHERE batch_id = %s", batch.pk)
    assert found() == {("batch_has_items", batch.pk): "The queued batch of 2 items and 20 credits has no item."}


# --- what customers can prove --------------------------------------------------------------------------------------


@unbooked
@pytest.mark.parametrize(
    ("depth", "sentence"),
    [
        (1, "The text of the proof does not fit its hash: one of the two was changed."),
        (2, "The webhook carries the hash of another proof."),
        (3, "The proof says other credits than the batch, which reserved 100, settled 90 and refunded 10."),
    ],
)
def test_a_proof_that_was_altered_and_what_would_give_it_away_too(wallet: Wallet, depth: int, sentence: str) -> None:
    batch = batch_of("partial")
    before = Proof.objects.get(batch=batch).sha256
    tamper(
        "UPDATE batches_proof SET body = replace(body, '\"settled\":90', '\"settled\":91') WHERE batch_id = %s",
        batch.pk,
    )
    if depth > 1:
        tamper(
            "UPDATE batches_proof SET sha256 = encode(sha256(convert_to(body, 'UTF8')), 'hex') WHERE batch_id = %s",
            batch.pk,
        )
    if depth > 2:
        after = Proof.objects.get(batch=batch).sha256
        tamper("UPDATE webhooks_event SET body = replace(body, %s, %s) WHERE reference = %s", before, after, batch.pk)
    assert found() == {("proof_fits_batch", batch.pk): sentence}


@unbooked
def test_a_final_batch_without_proof_or_event(wallet: Wallet) -> None:
    batch, other = batch_of("completed"), batch_of("partial")
    tamper("DELETE FROM batches_proof WHERE batch_id = %s", batch.pk)
    tamper("DELETE FROM webhooks_event WHERE reference = %s", other.pk)
    assert found() == {
        ("final_batch_has_proof", batch.pk): "The completed batch of 30 credits has no proof.",
        ("final_batch_has_proof", other.pk): "The partial batch of 100 credits has 0 batch.completed events.",
    }


@unbooked
def test_a_rewritten_entry_of_a_final_batch_is_not_the_one_in_its_proof(account: Account) -> None:
    batch = end_batch(make_batch(account.api, 1))
    entry = entry_of(batch, "settle")
    rewrite(entry)
    assert found() == {
        (
            "entry_in_proof",
            entry.pk,
        ): f"The settle of 10 credits for {batch.pk} is not the one that the proof of its batch shows."
    }


@unbooked
def test_prices_that_were_shifted_between_items(wallet: Wallet) -> None:
    batch = batch_of("completed")
    tamper("UPDATE batches_item SET credits = 10 + index - 1 WHERE batch_id = %s", batch.pk)
    Item.objects.filter(batch=batch, credits=9).get()
    assert found() == {
        ("items_fit_proof", batch.pk): "The items are not those that the proof was made over: "
        "one of them was changed after the end.",
    }


@unbooked
def test_an_end_that_nobody_is_going_to_tell(wallet: Wallet) -> None:
    batch = batch_of("partial")
    tamper("DELETE FROM webhooks_delivery WHERE event_id = %s", Event.objects.get(reference=batch.pk).pk)
    assert not Delivery.objects.filter(url=HOOK).exists()
    assert found() == {
        ("end_is_told", batch.pk): f"The partial batch was to be told to {HOOK}, and no delivery to there exists.",
    }
