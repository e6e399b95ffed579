"""Signing off: who may say that a batch reconciles, what must hold, and that it is said once, for good."""

from typing import Any

import pytest
from django.utils import timezone

from batches.failures import FailureType
from batches.models import Batch, Side, SignOff
from batches.signing_off import Signer, SignOffRefused, sign_off, signer_of
from customers.models import AuditEvent, Membership, Mode, User
from customers.services import create_member, create_staff
from sora2.ids import new_id
from tests.connections import at_once
from tests.factories import Account, end_batch, make_account, make_batch
from tests.people import member, staff, superuser, words_of

pytestmark = pytest.mark.django_db

CONFIRMED = {"confirmed": "yes"}


@pytest.fixture
def batch(account: Account) -> Batch:
    """A final batch: 100 = 90 + 10."""
    return end_batch(make_batch(account.api, 10), failed={3: FailureType.TIMEOUT})


def person(account: Account, role: str = "customer finance") -> User:
    return create_member(organization=account.organization, username=new_id("usr"), email="", role=role)[0]


def ours(role: str = "finance") -> User:
    return create_staff(username=new_id("usr"), role=role)[0]


def signer(user: User, batch: Batch) -> Signer:
    found = signer_of(user, batch)
    assert found is not None
    return found


def sign(batch: Batch, user: User, note: str = "") -> tuple[SignOff, bool]:
    return sign_off(batch=batch, signer=signer(user, batch), note=note, now=timezone.now())


def post(client: Any, batch: Batch, **given: str) -> Any:
    return client.post(f"/admin/batches/{batch.pk}/sign-off", given, follow=True)


def billing(client: Any, batch: Batch) -> str:
    return words_of(client.get(f"/admin/batches/{batch.pk}/billing"))


# --- the service ---------------------------------------------------------------------------------------------------


def test_a_sign_off_holds_who_when_and_the_figures_of_the_ledger(account: Account, batch: Batch) -> None:
    user = person(account)
    signed, made = sign(batch, user, "  compared with\n our books ")
    assert (made, signed.side, signed.role, signed.signed_by_id) == (True, Side.CUSTOMER, "customer finance", user.pk)
    assert (signed.reserved, signed.settled, signed.refunded) == (100, 90, 10)
    assert (signed.note, signed.proof_sha256) == ("compared with our books", batch.proof.sha256)
    event = AuditEvent.objects.get(action="batch.sign_off")
    assert (event.actor, event.subject, event.organization_id) == (user.pk, batch.pk, account.organization.pk)
    assert event.detail == {
        **{"sign_off": signed.pk, "side": "customer", "role": "customer finance", "note": "compared with our books"},
        **{"reserved": 100, "settled": 90, "refunded": 10},
    }


def test_the_second_to_sign_for_a_side_gets_what_stands(account: Account, batch: Batch) -> None:
    first, _ = sign(batch, person(account, "customer admin"))
    again, made = sign(batch, person(account), "me too")
    assert (again.pk, made) == (first.pk, False)
    assert AuditEvent.objects.filter(action="batch.sign_off").count() == 1


def test_each_side_signs_once(account: Account, batch: Batch) -> None:
    sign(batch, person(account))
    _, made = sign(batch, ours(), "Verified by phone with their CFO")
    assert made
    assert sorted(SignOff.objects.values_list("side", flat=True)) == ["customer", "staff"]


@pytest.mark.django_db(transaction=True)
def test_two_who_sign_at_once_leave_one_sign_off() -> None:
    account = make_account()
    batch = end_batch(make_batch(account.api, 2))
    users = [person(account), person(account)]
    signers = [signer(user, batch) for user in users]
    results = at_once(
        *(lambda each=each: sign_off(batch=batch, signer=each, note="", now=timezone.now()) for each in signers)
    )
    assert sorted(made for result in results if isinstance(result, tuple) for made in result[1:]) == [False, True]
    assert SignOff.objects.count() == AuditEvent.objects.filter(action="batch.sign_off").count() == 1


def test_a_batch_that_runs_cannot_be_signed_off(account: Account) -> None:
    running = make_batch(account.api)
    with pytest.raises(SignOffRefused, match="has not ended"):
        sign(running, person(account))
    assert not SignOff.objects.exists()


def test_our_finance_has_to_say_how_it_was_verified(batch: Batch) -> None:
    for note in ("", "  \n "):
        with pytest.raises(SignOffRefused, match="Say in a note"):
            sign(batch, ours(), note)
    with pytest.raises(SignOffRefused, match="at most 600 characters; this one has 601"):
        sign(batch, ours(), "x" * 601)
    assert sign(batch, ours(), "x" * 600)[1]


def test_what_the_ledger_does_not_bear_out_is_not_signed(account: Account, batch: Batch) -> None:
    batch.settled, batch.refunded = 80, 20
    with pytest.raises(SignOffRefused, match=r"differ\. Tell our finance: do not sign"):
        sign(batch, person(account))
    batch.wallet_id = make_account(name="Globex").wallets[Mode.LIVE].pk
    with pytest.raises(SignOffRefused, match="differ"):
        sign(batch, person(account))


def test_a_whole_failure_and_a_whole_success_reconcile_too(account: Account) -> None:
    good = end_batch(make_batch(account.api, 1, request_id="good"))
    bad = end_batch(make_batch(account.api, 1, request_id="bad"), failed={0: FailureType.TIMEOUT})
    figures = [sign(each, person(account))[0] for each in (good, bad)]
    assert [(f.reserved, f.settled, f.refunded) for f in figures] == [(10, 10, 0), (10, 0, 10)]


def test_a_test_batch_may_be_signed_off_for_practice(account: Account) -> None:
    batch = end_batch(make_batch(account.test_api, 2))
    assert sign(batch, person(account))[1]
    assert "counts for no pilot" in billing(member(account.organization), batch)


def test_who_may_sign(account: Account, batch: Batch) -> None:
    sides = {
        role: (found.side if (found := signer_of(person(account, role), batch)) else None)
        for role in Membership.Role.values
    }
    assert sides == {"customer admin": "customer", "customer finance": "customer", "customer developer": None}
    staff_sides = {
        role: bool(signer_of(ours(role), batch))
        for role in ("finance", "finance approver", "sales ops", "support", "auditor")
    }
    assert [role for role, may in staff_sides.items() if may] == ["finance", "finance approver"]
    assert signer_of(person(make_account(name="Globex"), "customer admin"), batch) is None
    gone = person(account)
    gone.is_active = False
    assert signer_of(gone, batch) is None


def test_in_another_organization_a_persons_role_is_the_one_there(account: Account, batch: Batch) -> None:
    user = person(account, "customer developer")
    globex = make_account(name="Globex")
    Membership.objects.create(user=user, organization=globex.organization, role="customer finance")
    assert signer_of(user, batch) is None


# --- the page ------------------------------------------------------------------------------------------------------


def test_a_customers_finance_signs_on_the_billing_page(account: Account, batch: Batch) -> None:
    client = member(account.organization)
    page = billing(client, batch)
    assert "Sign off: 100 = 90 + 10" in page
    assert "It stands for good, with your name and the time." in page
    after = words_of(post(client, batch, **CONFIRMED, note="fine"))
    assert "Signed off: 100 = 90 + 10." in after
    assert "✓ Reconciled by" in after
    assert "(customer finance) at" in after
    assert "Note: fine" in after
    assert "Sign off: 100 = 90 + 10" not in after, "nobody of this side is asked again"


def test_a_second_click_adds_nothing_and_says_so(account: Account, batch: Batch) -> None:
    client = member(account.organization)
    post(client, batch, **CONFIRMED)
    assert "It was signed off before: 100 = 90 + 10." in words_of(post(client, batch, **CONFIRMED))
    assert SignOff.objects.count() == 1


def test_nothing_is_signed_without_the_confirmation(account: Account, batch: Batch) -> None:
    after = words_of(post(member(account.organization), batch, note="x"))
    assert "Nothing was signed: say that you have compared the figures." in after
    assert not SignOff.objects.exists()


def test_our_finance_signs_with_a_note_that_customers_do_not_read(account: Account, batch: Batch) -> None:
    client = staff("finance approver")
    assert "Nothing was signed. Say in a note" in words_of(post(client, batch, **CONFIRMED))
    ours_page = words_of(post(client, batch, **CONFIRMED, note="Mrs. Jones by phone"))
    assert "(finance approver, for the customer)" in ours_page
    assert "Note: Mrs. Jones by phone" in ours_page
    theirs = billing(member(account.organization), batch)
    assert "Reconciled by our finance (finance approver, for the customer)" in theirs
    assert "Jones" not in theirs
    assert "Sign off: 100 = 90 + 10" in theirs, "the customer's own side can still sign"


@pytest.mark.parametrize("role", ["sales ops", "auditor"])
def test_others_see_it_and_cannot_sign(account: Account, batch: Batch, role: str) -> None:
    client = staff(role)
    assert "Nobody in finance has signed this batch off yet." in billing(client, batch)
    assert "Sign off:" not in billing(client, batch)
    assert post(client, batch, **CONFIRMED, note="x").status_code == 403
    sign(batch, person(account))
    assert "Reconciled by" in billing(client, batch)


def test_who_may_not_see_credits_or_reach_the_batch_cannot_sign(account: Account, batch: Batch) -> None:
    refusals = {
        "a developer": (member(account.organization, "customer developer"), 403),
        "support": (staff("support"), 403),
        "another customer": (member(make_account(name="Globex").organization, "customer admin"), 404),
    }
    for who, (client, status) in refusals.items():
        assert post(client, batch, **CONFIRMED, note="x").status_code == status, who
    assert not SignOff.objects.exists()


def test_a_get_signs_nothing(account: Account, batch: Batch) -> None:
    assert superuser().get(f"/admin/batches/{batch.pk}/sign-off", CONFIRMED).status_code == 405
    assert not SignOff.objects.exists()


def test_a_form_that_was_kept_open_signs_no_running_batch(account: Account) -> None:
    running = make_batch(account.api)
    client = member(account.organization)
    assert "Once the batch is final, finance can say here that it reconciles." in billing(client, running)
    assert "The batch has not ended" in words_of(post(client, running, **CONFIRMED))


def test_what_is_written_is_shown_as_text(account: Account, batch: Batch) -> None:
    client = member(account.organization)
    response = post(client, batch, **CONFIRMED, note="<script>alert(1)</script>\0")
    assert "<script>alert(1)" not in response.content.decode()
    assert "&lt;script&gt;alert(1)" in response.content.decode()
