"""Credits by two people: one asks, another decides, and the database keeps to it whoever writes."""

import threading
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from customers.models import AuditEvent, Mode, User
from ledger.approvals import (
    AlreadyDecided,
    SamePerson,
    UnknownSubject,
    about,
    approve,
    grant_by_two,
    reject,
    request_credits,
)
from ledger.models import CreditRequest, Entry, Wallet, new_credit_request_id
from ledger.services import (
    AlreadyPosted,
    InsufficientCredits,
    InvalidAmount,
    InvalidText,
    Movement,
    NotGranted,
    adjust_in,
    grant,
    grant_on_basis,
    open_wallets,
    reserve,
)
from sora2.ids import new_id
from tests.connections import at_once
from tests.factories import make_account
from tests.invoices import make_desk

pytestmark = pytest.mark.django_db

State = CreditRequest.State
BIGINT_MAX = 2**63 - 1


@pytest.fixture
def wallet() -> Wallet:
    """A live wallet with 1 000 credits, granted to a pilot."""
    return make_account().wallets[Mode.LIVE]


@pytest.fixture
def anna() -> User:
    """Who asks."""
    return person()


@pytest.fixture
def ben() -> User:
    """Who decides."""
    return person()


def person() -> User:
    """Return somebody. Who may ask and who may decide is judged by pages and commands."""
    return User.objects.create_user(username=new_id("usr"))


def ask(
    wallet: Wallet, by: User, kind: Entry.Kind = Entry.Kind.ADJUSTMENT_IN, amount: int = 20, **more: Any
) -> CreditRequest:
    said: dict[str, Any] = {"reason": "Goodwill", "evidence_url": "https://tickets.example/1", **more}
    return request_credits(wallet=wallet, kind=kind, amount=amount, requested_by=by, **said)


def available(wallet: Wallet) -> int:
    wallet.refresh_from_db()
    return wallet.available


def audited(request: CreditRequest) -> list[tuple[str, str, str]]:
    events = AuditEvent.objects.filter(subject=request.pk).order_by("at", "pk")
    return [(event.actor, event.action, event.outcome) for event in events]


# --- asking and deciding -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "after"), [(Entry.Kind.GRANT, 1020), (Entry.Kind.ADJUSTMENT_IN, 1020), (Entry.Kind.ADJUSTMENT_OUT, 980)]
)
def test_credits_move_on_approval_and_not_before(
    wallet: Wallet, anna: User, ben: User, kind: Entry.Kind, after: int
) -> None:
    request = ask(wallet, anna, kind)
    assert available(wallet) == 1000
    entry = approve(request=request, decided_by=ben, note="Seen.")
    assert (available(wallet), entry.kind, entry.amount) == (after, kind, 20)
    assert (entry.reference, entry.actor, entry.reason) == (request.pk, ben.pk, "Goodwill")
    request.refresh_from_db()
    assert (request.state, request.decided_by, request.note) == (State.APPROVED, ben, "Seen.")


def test_what_was_rejected_moves_nothing(wallet: Wallet, anna: User, ben: User) -> None:
    request = ask(wallet, anna)
    reject(request=request, decided_by=ben, note="No.")
    request.refresh_from_db()
    assert (request.state, request.decided_by, request.note) == (State.REJECTED, ben, "No.")
    assert available(wallet) == 1000


@pytest.mark.parametrize("decide", [approve, reject])
def test_who_asked_cannot_decide(wallet: Wallet, ben: User, decide: Any) -> None:
    request = ask(wallet, ben)
    with pytest.raises(SamePerson):
        decide(request=request, decided_by=ben)
    request.refresh_from_db()
    assert (request.state, available(wallet)) == (State.REQUESTED, 1000)


@pytest.mark.parametrize("first", [approve, reject])
@pytest.mark.parametrize("second", [approve, reject])
def test_a_decision_is_made_once(wallet: Wallet, anna: User, ben: User, first: Any, second: Any) -> None:
    request = ask(wallet, anna)
    first(request=request, decided_by=ben)
    after = available(wallet)
    with pytest.raises(AlreadyDecided, match=f"was {'approved' if first is approve else 'rejected'} before"):
        second(request=request, decided_by=person())
    assert available(wallet) == after


def test_more_than_is_available_is_not_taken_out_and_the_request_stays_open(
    wallet: Wallet, anna: User, ben: User
) -> None:
    request = ask(wallet, anna, Entry.Kind.ADJUSTMENT_OUT, 1001)
    with pytest.raises(InsufficientCredits):
        approve(request=request, decided_by=ben)
    request.refresh_from_db()
    assert (request.state, request.decided_by, available(wallet)) == (State.REQUESTED, None, 1000)
    approve(request=ask(wallet, anna, Entry.Kind.ADJUSTMENT_IN, 1), decided_by=ben)
    approve(request=request, decided_by=ben)
    assert available(wallet) == 0


def test_what_a_wallet_cannot_hold_is_refused_at_approval(wallet: Wallet, anna: User, ben: User) -> None:
    request = ask(wallet, anna, Entry.Kind.GRANT, BIGINT_MAX)
    with pytest.raises(InvalidAmount, match="than a wallet can hold"):
        approve(request=request, decided_by=ben)
    request.refresh_from_db()
    assert (request.state, available(wallet)) == (State.REQUESTED, 1000)


def test_every_step_is_in_the_audit_log_and_so_is_what_was_refused(wallet: Wallet, anna: User, ben: User) -> None:
    request = ask(wallet, anna, Entry.Kind.ADJUSTMENT_OUT, 2000)
    for who, refusal in ((anna, SamePerson), (ben, InsufficientCredits)):
        with pytest.raises(refusal):
            approve(request=request, decided_by=who)
    reject(request=request, decided_by=ben)
    with pytest.raises(AlreadyDecided):
        approve(request=request, decided_by=ben)
    assert audited(request) == [
        (anna.pk, "credits.request", "done"),
        (anna.pk, "credits.approve", "same_person"),
        (ben.pk, "credits.approve", "insufficient_credits"),
        (ben.pk, "credits.reject", "done"),
        (ben.pk, "credits.approve", "already_decided"),
    ]
    asked = AuditEvent.objects.filter(subject=request.pk).earliest("at")
    assert (asked.organization_id, asked.mode, asked.detail["amount"]) == (wallet.organization_id, "live", 2000)


# --- references ----------------------------------------------------------------------------------------------------


def test_a_reference_grants_once(wallet: Wallet, anna: User, ben: User) -> None:
    other = make_account(name="Globex").wallets[Mode.LIVE]
    first = ask(wallet, anna, Entry.Kind.GRANT, reference="INV-7")
    with pytest.raises(AlreadyPosted, match=f"INV-7 was asked for already: {first.pk}.* is requested"):
        ask(other, anna, Entry.Kind.GRANT, reference="INV-7")
    entry = approve(request=first, decided_by=ben)
    assert entry.reference == "INV-7"
    with pytest.raises(AlreadyPosted, match=f"INV-7 stands in the ledger already: {entry.pk}, a grant of 20 credits"):
        ask(other, anna, Entry.Kind.GRANT, reference="INV-7")


def test_a_rejected_request_frees_its_reference(wallet: Wallet, anna: User, ben: User) -> None:
    reject(request=ask(wallet, anna, Entry.Kind.GRANT, reference="INV-7"), decided_by=ben)
    approve(request=ask(wallet, anna, Entry.Kind.GRANT, reference="INV-7"), decided_by=ben)
    assert available(wallet) == 1020


def test_a_grant_by_hand_is_neither_a_second_one_for_an_invoice_nor_in_its_way(wallet: Wallet, anna: User) -> None:
    desk = make_desk(name="Globex")
    invoice = desk.sent()
    for reference in (invoice.pk, invoice.number or ""):
        with pytest.raises(
            AlreadyPosted, match=f"{reference} is an invoice of {desk.organization.pk}: .* when it is paid"
        ):
            ask(wallet, anna, Entry.Kind.GRANT, reference=reference)
    desk.pay(invoice, 500_000, "DE-1")
    assert desk.state(invoice) == "paid"


def test_a_grant_cannot_slip_among_the_entries_of_a_batch(wallet: Wallet, anna: User) -> None:
    reserve(movement=Movement(wallet_id=wallet.pk, reference="bat_1", actor="key_1"), amount=10)
    with pytest.raises(AlreadyPosted, match=r"bat_1 stands in the ledger already: .* a reserve of 10 credits"):
        ask(wallet, anna, Entry.Kind.GRANT, reference="bat_1")


def test_asking_again_with_the_same_id_is_asking_once(wallet: Wallet, anna: User, ben: User) -> None:
    pk = new_credit_request_id()
    first = ask(wallet, anna, pk=pk)
    assert ask(wallet, anna, pk=pk) == first
    approve(request=first, decided_by=ben)
    again = ask(wallet, anna, pk=pk)
    assert (again, again.state) == (first, State.APPROVED)
    with pytest.raises(AlreadyPosted):
        ask(wallet, ben, pk=pk)
    assert CreditRequest.objects.filter(basis="two_people").count() == 1


# --- what it is about ----------------------------------------------------------------------------------------------


def test_goodwill_names_the_batch_and_bears_the_customers_own_id_of_it(wallet: Wallet, anna: User, ben: User) -> None:
    batch = Movement(wallet_id=wallet.pk, reference="bat_1", actor="key_1", request_id="order-1")
    reserve(movement=batch, amount=10)
    request = ask(wallet, anna, about="bat_1")
    entry = approve(request=request, decided_by=ben)
    assert (entry.reason, entry.request_id, entry.reference) == ("Goodwill (bat_1)", "order-1", request.pk)
    assert [each.kind for each in Entry.objects.about("bat_1")] == [Entry.Kind.RESERVE]


def test_what_names_a_batch_is_found_by_it_with_its_entry_once_posted(wallet: Wallet, anna: User, ben: User) -> None:
    other = make_account(name="Globex").wallets[Mode.LIVE]
    for each, reference in ((wallet, "bat_1"), (other, "bat_2")):
        reserve(movement=Movement(wallet_id=each.pk, reference=reference, actor="key_1"), amount=10)
    first, second, third = (ask(wallet, anna, about="bat_1") for _ in range(3))
    ask(wallet, anna), ask(other, anna, about="bat_2")
    entry = approve(request=second, decided_by=ben)
    reject(request=third, decided_by=ben)
    found = about(wallet_id=wallet.pk, reference="bat_1")
    assert [(naming.request, naming.entry) for naming in found] == [(first, None), (second, entry), (third, None)]
    assert about(wallet_id=other.pk, reference="bat_1") == []


def test_what_has_no_entry_in_this_wallet_cannot_be_named(wallet: Wallet, anna: User) -> None:
    other = make_account(name="Globex").wallets[Mode.LIVE]
    reserve(movement=Movement(wallet_id=other.pk, reference="bat_1", actor="key_1"), amount=10)
    with pytest.raises(UnknownSubject, match="bat_1 has no entry in this wallet"):
        ask(wallet, anna, about="bat_1")
    assert not CreditRequest.objects.filter(wallet=wallet, basis="two_people").exists()


@pytest.mark.parametrize(
    ("kind", "said", "fault"),
    [
        (Entry.Kind.GRANT, {"about": "bat_1"}, "about: a grant is about nothing"),
        (Entry.Kind.ADJUSTMENT_IN, {"reference": "INV-7"}, "reference: that of an adjustment"),
        (Entry.Kind.ADJUSTMENT_OUT, {"reason": "  "}, "reason: say why"),
        (Entry.Kind.GRANT, {"reason": "a" * 601}, "reason: at most 600 characters, not 601"),
        (Entry.Kind.GRANT, {"reference": "a" * 301}, "reference: at most 300"),
        (Entry.Kind.GRANT, {"evidence_url": "https://x/" + "a" * 991}, "evidence_url: at most 1,000"),
        (Entry.Kind.GRANT, {"evidence_url": "javascript:alert(1)"}, "evidence_url: a link that starts with"),
        (Entry.Kind.GRANT, {"evidence_url": "see the invoice"}, "evidence_url: a link that starts with"),
        (Entry.Kind.ADJUSTMENT_IN, {"about": "a" * 301}, "about: at most 300"),
        (Entry.Kind.GRANT, {"pk": "crq_" + "a" * 27}, "id: at most 30"),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_name(
    wallet: Wallet, anna: User, kind: Entry.Kind, said: dict[str, Any], fault: str
) -> None:
    with pytest.raises(InvalidText, match=fault):
        ask(wallet, anna, kind, **said)
    assert not CreditRequest.objects.filter(basis="two_people").exists()


@pytest.mark.parametrize("amount", [0, -1, BIGINT_MAX + 1])
def test_what_is_asked_for_is_an_amount(wallet: Wallet, anna: User, amount: int) -> None:
    with pytest.raises(InvalidAmount):
        ask(wallet, anna, amount=amount)


def test_a_note_that_is_too_long_decides_nothing(wallet: Wallet, anna: User, ben: User) -> None:
    request = ask(wallet, anna)
    with pytest.raises(InvalidText, match="note: at most 600"):
        approve(request=request, decided_by=ben, note="a" * 601)
    request.refresh_from_db()
    assert request.state == State.REQUESTED


def test_the_longest_reason_fits_its_entry_together_with_what_it_is_about(
    wallet: Wallet, anna: User, ben: User
) -> None:
    batch = Movement(wallet_id=wallet.pk, reference="b" * 300, actor="key_1", request_id="o" * 255)
    reserve(movement=batch, amount=10)
    entry = approve(request=ask(wallet, anna, reason="ä" * 600, about="b" * 300), decided_by=ben)
    assert entry.reason == f"{'ä' * 600} ({'b' * 300})"


# --- both at once --------------------------------------------------------------------------------------------------


def test_a_grant_by_two_is_asked_approved_and_audited_in_one_step(wallet: Wallet, anna: User, ben: User) -> None:
    given: dict[str, Any] = {"wallet": wallet, "amount": 50, "reference": "INV-7", "reason": "Paid"}
    entry, granted = grant_by_two(**given, requested_by=anna, approved_by=ben)
    assert (granted, entry.amount, available(wallet)) == (True, 50, 1050)
    request = CreditRequest.objects.get(reference="INV-7")
    steps = [(anna.pk, "credits.request", "done"), (ben.pk, "credits.approve", "done")]
    assert audited(request) == steps
    assert grant_by_two(**given, requested_by=ben, approved_by=anna) == (entry, False)
    assert (available(wallet), audited(request)) == (1050, steps)


@pytest.mark.parametrize("other", [{"amount": 51}, {"wallet": "another"}])
def test_a_reference_that_stands_for_something_else_grants_nothing(
    wallet: Wallet, anna: User, ben: User, other: dict[str, Any]
) -> None:
    given: dict[str, Any] = {"wallet": wallet, "amount": 50, "reference": "INV-7", "reason": "Paid"}
    given |= {"requested_by": anna, "approved_by": ben}
    grant_by_two(**given)
    if "wallet" in other:
        other = {"wallet": make_account(name="Globex").wallets[Mode.LIVE]}
    with pytest.raises(AlreadyPosted, match=f"a grant of 50 credits of {wallet.organization_id}"):
        grant_by_two(**{**given, **other})
    assert available(wallet) == 1050


def test_one_person_is_not_two(wallet: Wallet, ben: User) -> None:
    with pytest.raises(SamePerson):
        grant_by_two(wallet=wallet, amount=50, reference="INV-7", reason="Paid", requested_by=ben, approved_by=ben)
    assert not CreditRequest.objects.filter(reference="INV-7").exists()


def test_a_grant_by_two_needs_a_reference(wallet: Wallet, anna: User, ben: User) -> None:
    with pytest.raises(InvalidText, match="reference: say what"):
        grant_by_two(wallet=wallet, amount=50, reference="", reason="Paid", requested_by=anna, approved_by=ben)


# --- two at once ---------------------------------------------------------------------------------------------------


def kinds(results: list[object]) -> list[str]:
    return sorted(type(result).__name__ for result in results)


@pytest.mark.django_db(transaction=True)
def test_a_double_click_on_approve_posts_once(wallet: Wallet, anna: User, ben: User) -> None:
    request = ask(wallet, anna)
    results = at_once(*[lambda: approve(request=CreditRequest.objects.get(pk=request.pk), decided_by=ben)] * 2)
    assert kinds(results) == ["AlreadyDecided", "Entry"]
    assert available(wallet) == 1020
    assert sorted(outcome for _, _, outcome in audited(request)) == ["already_decided", "done", "done"]


@pytest.mark.django_db(transaction=True)
def test_of_approve_and_reject_at_once_one_wins(wallet: Wallet, anna: User, ben: User) -> None:
    for _ in range(5):
        before, request = available(wallet), ask(wallet, anna)
        results = at_once(
            partial(approve, request=request, decided_by=ben), partial(reject, request=request, decided_by=person())
        )
        request.refresh_from_db()
        won = State.APPROVED if isinstance(results[0], Entry) else State.REJECTED
        assert "AlreadyDecided" in kinds(results)
        assert (request.state, available(wallet) - before) == (won, 20 if won == State.APPROVED else 0)


@pytest.mark.django_db(transaction=True)
def test_who_waits_for_a_decision_that_is_undone_decides_in_its_place(wallet: Wallet, anna: User, ben: User) -> None:
    request, held, other = ask(wallet, anna), threading.Event(), person()

    def holds() -> None:
        with transaction.atomic():
            approve(request=CreditRequest.objects.get(pk=request.pk), decided_by=ben)
            held.set()
            transaction.set_rollback(True)

    def waits() -> None:
        held.wait(5)
        reject(request=CreditRequest.objects.get(pk=request.pk), decided_by=other)

    assert at_once(holds, waits) == [None, None]
    request.refresh_from_db()
    assert (request.state, request.decided_by, available(wallet)) == (State.REJECTED, other, 1000)


@pytest.mark.django_db(transaction=True)
def test_of_two_requests_with_one_reference_at_once_one_is_made(wallet: Wallet, anna: User, ben: User) -> None:
    other = make_account(name="Globex").wallets[Mode.LIVE]
    results = at_once(
        lambda: ask(wallet, anna, Entry.Kind.GRANT, reference="INV-7"),
        lambda: ask(other, ben, Entry.Kind.GRANT, reference="INV-7"),
    )
    assert kinds(results) == ["AlreadyPosted", "CreditRequest"]
    assert "INV-7 was asked for already" in str(next(r for r in results if isinstance(r, AlreadyPosted)))


@pytest.mark.django_db(transaction=True)
def test_a_form_that_is_sent_twice_at_once_asks_once(wallet: Wallet, anna: User) -> None:
    pk = new_credit_request_id()
    results = at_once(*[lambda: ask(wallet, anna, Entry.Kind.GRANT, reference="INV-7", pk=pk)] * 4)
    assert kinds(results) == ["CreditRequest"] * 4
    assert len(audited(CreditRequest.objects.get(pk=pk))) == 1


@pytest.mark.django_db(transaction=True)
def test_the_same_grant_by_two_at_once_is_posted_once(wallet: Wallet, anna: User, ben: User) -> None:
    given: dict[str, Any] = {"wallet": wallet, "amount": 50, "reference": "INV-7", "reason": "Paid"}
    results: list[Any] = at_once(*[lambda: grant_by_two(**given, requested_by=anna, approved_by=ben)] * 4)
    assert sorted(granted for _, granted in results) == [False, False, False, True]
    assert len({entry for entry, _ in results}) == 1
    assert available(wallet) == 1050


@pytest.mark.django_db(transaction=True)
def test_two_approvals_on_a_wallet_that_can_pay_for_one(wallet: Wallet, anna: User, ben: User) -> None:
    requests = [ask(wallet, anna, Entry.Kind.ADJUSTMENT_OUT, 700) for _ in range(2)]
    results = at_once(*(partial(approve, request=request, decided_by=ben) for request in requests))
    assert kinds(results) == ["Entry", "InsufficientCredits"]
    assert available(wallet) == 300
    assert sorted(CreditRequest.objects.filter(pk__in=[r.pk for r in requests]).values_list("state", flat=True)) == [
        "approved",
        "requested",
    ]


# --- the database, whoever writes ----------------------------------------------------------------------------------


def commit(statement: str, *values: Any) -> None:
    """Run a statement as anybody could, and what is checked at commit."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def refused(constraint: str, statement: str, *values: Any) -> None:
    """Expect that the database refuses a statement by the name of this constraint."""
    with pytest.raises(DatabaseError) as caught:
        commit(statement, *values)
    assert caught.value.__cause__ is not None
    assert getattr(caught.value.__cause__, "diag", None).constraint_name == constraint  # type: ignore[union-attr]


DECIDE = "UPDATE ledger_creditrequest SET state = %s, decided_by_id = %s, decided_at = now() WHERE id = %s"
INSERT_REQUEST = """
    INSERT INTO ledger_creditrequest (id, wallet_id, kind, amount, reference, about, request_id, reason, evidence_url,
                                      basis, state, requested_by_id, requested_at, decided_by_id, decided_at, note)
    VALUES (%s, %s, %s, %s, %s, '', '', 'By hand', '', %s, %s, %s, now(), %s, %s, '')
"""
INSERT_ENTRY = """
    INSERT INTO credit_ledger (entry_id, wallet_id, kind, amount, reference, request_id, actor, reason)
    VALUES (%s, %s, %s, %s, %s, '', 'system', '')
"""


@pytest.mark.parametrize("state", ["approved", "rejected"])
def test_the_database_refuses_the_same_person(wallet: Wallet, anna: User, state: str) -> None:
    refused("ledger_creditrequest_two_people", DECIDE, state, anna.pk, ask(wallet, anna).pk)


@pytest.mark.parametrize("state", ["approved", "rejected"])
def test_the_database_refuses_a_decision_by_nobody(wallet: Wallet, anna: User, state: str) -> None:
    refused("ledger_creditrequest_two_people", DECIDE, state, None, ask(wallet, anna).pk)


@pytest.mark.parametrize("state", ["requested", "approved", "rejected"])
def test_the_database_refuses_a_second_decision(wallet: Wallet, anna: User, ben: User, state: str) -> None:
    approved, rejected = ask(wallet, anna), ask(wallet, anna)
    approve(request=approved, decided_by=ben)
    reject(request=rejected, decided_by=ben)
    for request in (approved, rejected):
        refused("ledger_creditrequest_decided_once", DECIDE, state, person().pk, request.pk)


@pytest.mark.parametrize(
    "change",
    [
        "amount = amount + 1",
        "kind = 'grant'",
        "reason = 'another'",
        "reference = 'another'",
        "about = 'bat_2'",
        "request_id = 'order-2'",
        "evidence_url = ''",
        "requested_at = now() - interval '1 day'",
        "wallet_id = (SELECT id FROM ledger_wallet WHERE mode = 'test')",
        "id = 'crq_another'",
    ],
)
@pytest.mark.owner
def test_the_database_refuses_changed_terms_also_together_with_the_decision(
    wallet: Wallet, anna: User, ben: User, change: str
) -> None:
    request = ask(wallet, anna)
    update = f"UPDATE ledger_creditrequest SET {change}"
    decision = "state = 'rejected', decided_by_id = %s, decided_at = now()"
    refused("ledger_creditrequest_terms_fixed", f"{update} WHERE id = %s", request.pk)
    refused("ledger_creditrequest_terms_fixed", f"{update}, {decision} WHERE id = %s", ben.pk, request.pk)


@pytest.mark.owner
def test_the_database_refuses_to_say_that_somebody_else_has_asked(wallet: Wallet, anna: User, ben: User) -> None:
    asked_by = "UPDATE ledger_creditrequest SET requested_by_id = %s WHERE id = %s"
    refused("ledger_creditrequest_terms_fixed", asked_by, ben.pk, ask(wallet, anna).pk)


@pytest.mark.parametrize("statement", ["DELETE FROM ledger_creditrequest WHERE id = %s"])
@pytest.mark.owner
def test_the_database_deletes_no_request(wallet: Wallet, anna: User, statement: str) -> None:
    refused("ledger_append_only", statement, ask(wallet, anna).pk)


@pytest.mark.django_db(transaction=True)
@pytest.mark.owner
def test_the_database_truncates_no_requests(wallet: Wallet, anna: User) -> None:
    ask(wallet, anna)
    refused("ledger_append_only", "TRUNCATE ledger_creditrequest CASCADE")


@pytest.mark.parametrize("state", ["approved", "rejected"])
def test_the_database_takes_a_request_of_two_people_undecided_only(
    wallet: Wallet, anna: User, ben: User, state: str
) -> None:
    row = ("crq_x", wallet.pk, "grant", 5, "x", "two_people", state, anna.pk, ben.pk, timezone.now())
    refused("ledger_creditrequest_starts_requested", INSERT_REQUEST, *row)


def test_the_database_refuses_a_request_by_nobody(wallet: Wallet) -> None:
    row = ("crq_x", wallet.pk, "grant", 5, "x", "two_people", "requested", None, None, None)
    refused("ledger_creditrequest_two_people", INSERT_REQUEST, *row)


@pytest.mark.parametrize("kind", ["grant", "adjustment_in", "adjustment_out"])
def test_the_database_commits_no_entry_without_a_request(wallet: Wallet, kind: str) -> None:
    refused("ledger_entry_has_request", INSERT_ENTRY, "led_x", wallet.pk, kind, 5, "x")
    assert available(wallet) == 1000


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", [grant, adjust_in])
def test_nor_does_it_for_the_verbs_of_money(wallet: Wallet, verb: Any) -> None:
    with pytest.raises(DatabaseError, match="has no approved request"):
        verb(movement=Movement(wallet_id=wallet.pk, reference="x", actor="system"), amount=5)
    assert available(wallet) == 1000


@pytest.mark.parametrize(
    ("kind", "amount", "state"),
    [("adjustment_in", 20, "requested"), ("adjustment_in", 21, "approved"), ("adjustment_out", 20, "approved")],
)
def test_the_database_commits_an_entry_for_its_own_approved_request_only(
    wallet: Wallet, anna: User, ben: User, kind: str, amount: int, state: str
) -> None:
    request = ask(wallet, anna)
    entry = ("led_x", wallet.pk, kind, amount, request.pk)
    both = f"WITH decided AS ({DECIDE} RETURNING id) {INSERT_ENTRY}"
    if state == "requested":
        refused("ledger_entry_has_request", INSERT_ENTRY, *entry)
    else:
        with pytest.raises(DatabaseError, match=r"has no approved request|its entry is missing"):
            commit(both, state, ben.pk, request.pk, *entry)
    assert available(wallet) == 1000


def test_the_database_commits_no_approval_without_its_entry(wallet: Wallet, anna: User, ben: User) -> None:
    refused("ledger_request_has_entry", DECIDE, "approved", ben.pk, ask(wallet, anna).pk)


def test_two_people_may_do_by_hand_what_the_service_does(wallet: Wallet, anna: User, ben: User) -> None:
    request = ask(wallet, anna)
    both = f"WITH decided AS ({DECIDE} RETURNING id) {INSERT_ENTRY}"
    commit(both, "approved", ben.pk, request.pk, "led_x", wallet.pk, "adjustment_in", 20, request.pk)
    assert available(wallet) == 1020


def test_the_database_gives_a_live_wallet_no_play_money(wallet: Wallet) -> None:
    row = ("crq_x", wallet.pk, "grant", 5, "x", "sandbox", "approved", None, None, timezone.now())
    refused("ledger_creditrequest_sandbox_is_test", INSERT_REQUEST, *row)
    movement = Movement(wallet_id=wallet.pk, reference="x", actor="system")
    with pytest.raises(NotGranted, match="test wallets only"):
        grant_on_basis(movement=movement, amount=5, basis=CreditRequest.Basis.SANDBOX)


def test_the_database_gives_a_pilot_one_grant(wallet: Wallet) -> None:
    row = ("crq_x", wallet.pk, "grant", 5, "x", "pilot", "approved", None, None, timezone.now())
    refused("ledger_creditrequest_pilot_once", INSERT_REQUEST, *row)
    movement = Movement(wallet_id=wallet.pk, reference="x", actor="system")
    with pytest.raises(NotGranted):
        grant_on_basis(movement=movement, amount=5, basis=CreditRequest.Basis.PILOT)


def test_the_database_gives_a_pilot_no_more_than_the_cap() -> None:
    wallet = open_wallets(organization=make_account(credits=0).organization)[Mode.LIVE]
    row = ("crq_x", wallet.pk, "grant", 100_001, "x", "pilot", "approved", None, None, timezone.now())
    refused("ledger_creditrequest_pilot_cap", INSERT_REQUEST, *row)
    movement = Movement(wallet_id=wallet.pk, reference="x", actor="system")
    with pytest.raises(NotGranted):
        grant_on_basis(movement=movement, amount=100_001, basis=CreditRequest.Basis.PILOT)
    assert grant_on_basis(movement=movement, amount=100_000, basis=CreditRequest.Basis.PILOT).amount == 100_000


@pytest.mark.parametrize("basis", ["pilot", "sandbox"])
@pytest.mark.parametrize("kind", ["adjustment_in", "adjustment_out"])
def test_the_database_adjusts_nothing_without_two_people(wallet: Wallet, basis: str, kind: str) -> None:
    test_wallet = Wallet.objects.get(organization=wallet.organization_id, mode=Mode.TEST)
    row = ("crq_x", test_wallet.pk, kind, 5, "x", basis, "approved", None, None, timezone.now())
    refused("ledger_creditrequest_basis_known", INSERT_REQUEST, *row)


@pytest.mark.owner
def test_calling_a_session_a_replica_does_not_help(wallet: Wallet, anna: User) -> None:
    request = ask(wallet, anna)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute("SET LOCAL session_replication_role = replica; DELETE FROM ledger_creditrequest")
    with pytest.raises(DatabaseError, match="does not change"), transaction.atomic():
        connection.cursor().execute(
            f"SET LOCAL session_replication_role = replica; "
            f"UPDATE ledger_creditrequest SET amount = 21 WHERE id = '{request.pk}'"
        )
