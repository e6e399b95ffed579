"""The command grant_credits: two people, one reference, one grant."""

import json
import re
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.core.management import CommandError, call_command

from customers.models import AuditEvent, Mode, User
from ledger.approvals import request_credits
from ledger.models import CreditRequest, Entry, Wallet
from tests.connections import at_once
from tests.factories import Account, make_account

pytestmark = pytest.mark.django_db


def person(username: str, role: str = "", **more: Any) -> User:
    """Return a member of staff with this role, and without a password."""
    user = User.objects.create_user(username=username, **{"is_staff": True, **more})
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return user


@pytest.fixture(autouse=True)
def _people(db: Any) -> None:
    person("anna", "finance")
    person("ben", "finance approver")


def grant(account: Account, credits: Any = 500, *, json: bool = False, **change: str) -> str:
    """Run the command and return what it prints; `change` are options by their names."""
    options = {"reference": "INV-7", "reason": "Invoice 7, paid", "by": "anna", "approved_by": "ben", **change}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
    out = StringIO()
    call_command("grant_credits", account.organization.pk, str(credits), *arguments, json=json, stdout=out)
    return out.getvalue()


def available(account: Account) -> int:
    return Wallet.objects.get(pk=account.wallets[Mode.LIVE].pk).available


def test_credits_are_granted_to_the_live_wallet_and_the_entry_is_printed(account: Account) -> None:
    printed = grant(account, evidence="https://invoices.example/7")
    entry = Entry.objects.get(reference="INV-7")
    assert printed.startswith("Granted: 500 credits under INV-7.\n")
    assert re.search(rf"entry_id +{entry.pk}\n", printed)
    assert re.search(rf"hash +{entry.hash}\n", printed)
    assert (entry.wallet_id, entry.reason, available(account)) == (
        account.wallets[Mode.LIVE].pk,
        "Invoice 7, paid",
        1500,
    )


def test_request_and_approval_are_kept_and_both_are_in_the_audit_log(account: Account) -> None:
    grant(account, evidence="https://invoices.example/7")
    anna, ben = User.objects.get(username="anna"), User.objects.get(username="ben")
    request = CreditRequest.objects.get(reference="INV-7")
    assert (request.state, request.requested_by, request.decided_by) == ("approved", anna, ben)
    assert request.evidence_url == "https://invoices.example/7"
    events = AuditEvent.objects.filter(subject=request.pk).order_by("at", "pk")
    assert [(event.actor, event.action) for event in events] == [
        (anna.pk, "credits.request"),
        (ben.pk, "credits.approve"),
    ]
    assert Entry.objects.get(reference="INV-7").actor == ben.pk


def test_the_same_reference_twice_grants_once_and_says_so(account: Account) -> None:
    grant(account)
    again = grant(account, reason="In other words")
    assert again.startswith("Granted before, nothing was posted now: 500 credits under INV-7.\n")
    assert Entry.objects.get(reference="INV-7").pk in again
    assert available(account) == 1500


def test_the_same_reference_for_something_else_fails_and_says_what_stands_there(account: Account) -> None:
    grant(account)
    globex = make_account(name="Globex")
    stands = f"{Entry.objects.get(reference='INV-7').pk}, a grant of 500 credits of {account.organization.pk}"
    for whose, credits in ((account, 501), (globex, 500)):
        with pytest.raises(CommandError, match=f"Nothing was granted. INV-7 stands in the ledger already: {stands}"):
            grant(whose, credits)
    assert (available(account), available(globex)) == (1500, 1000)


def test_what_was_paid_is_kept_and_part_of_what_is_granted_once(account: Account) -> None:
    grant(account, paid="24.51")
    request = CreditRequest.objects.get(reference="INV-7")
    assert (request.paid_cents, request.currency) == (2451, "USD")
    assert AuditEvent.objects.filter(subject=request.pk).latest("at").detail["paid_cents"] == 2451
    assert grant(account, paid="$24.51").startswith("Granted before")
    with pytest.raises(CommandError, match="INV-7 stands in the ledger already"):
        grant(account)
    assert available(account) == 1500


def test_a_reference_that_somebody_has_asked_for_is_not_free(account: Account) -> None:
    request = request_credits(
        wallet=account.wallets[Mode.LIVE],
        kind=Entry.Kind.GRANT,
        amount=500,
        reference="INV-7",
        reason="Paid",
        requested_by=User.objects.get(username="anna"),
    )
    with pytest.raises(CommandError, match=f"INV-7 was asked for already: {request.pk}.* is requested"):
        grant(account)
    assert available(account) == 1000


def test_json_is_one_object_with_the_entry_as_the_api_shows_it(account: Account) -> None:
    first, second = json.loads(grant(account, json=True)), json.loads(grant(account, json=True))
    assert (first["granted"], second["granted"]) == (True, False)
    assert first["entry"] == second["entry"]
    assert (first["entry"]["amount"], first["entry"]["reference"]) == (500, "INV-7")
    shown = account.api.get("/ledger", kind="grant").json()["data"][0]
    assert first["entry"] == shown


def test_people_are_named_by_username_or_id_and_a_superuser_may_do_both_parts(account: Account) -> None:
    root = person("root", is_superuser=True)
    grant(account, by=User.objects.get(username="anna").pk, approved_by=root.pk)
    grant(account, by="root", approved_by="ben", reference="INV-8")
    assert available(account) == 2000


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"by": "nobody"}, "There is no user 'nobody'."),
        ({"approved_by": "usr_nobody"}, "There is no user 'usr_nobody'."),
        ({"by": "gone"}, "'gone' is not an active member of our staff."),
        ({"approved_by": "customer"}, "'customer' is not an active member of our staff."),
        ({"by": "sales"}, "'sales' lacks the permission credits:request."),
        ({"approved_by": "anna", "by": "ben"}, "'anna' lacks the permission credits:approve."),
        ({"by": "ben"}, "Nothing was granted. Who asked cannot decide: a second person has to."),
        ({"by": "root", "approved_by": "root"}, "Who asked cannot decide"),
        ({"credits": "0"}, "Credits are a positive whole number, not '0'."),
        ({"credits": "5.0"}, "not '5.0'"),
        ({"credits": "1,000"}, "not '1,000'"),
        ({"credits": "٣"}, "not '٣'"),
        ({"credits": "9" * 5000}, "Credits are a positive whole number"),
        ({"credits": "9223372036854775808"}, "Credits are a whole number from 1 to 9,223,372,036,854,775,807."),
        ({"credits": "9223372036854775807"}, "More credits than a wallet can hold."),
        ({"reason": "a" * 601}, "reason: at most 600 characters, not 601"),
        ({"reason": " "}, "reason: say why"),
        ({"reference": "a" * 301}, "reference: at most 300 characters, not 301"),
        ({"reference": " "}, "reference: say what the grant comes from"),
        ({"paid": "free"}, "Write an amount of USD like 5000.00."),
        ({"paid": "1000000000.01"}, "What was paid is an amount of one of our currencies"),
        ({"evidence": "see the invoice"}, "evidence_url: a link that starts with"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_granted(account: Account, change: dict[str, Any], fault: str) -> None:
    person("gone", "finance", is_active=False)
    person("customer", "finance approver", is_staff=False)
    person("sales", "sales ops")
    person("root", is_superuser=True)
    with pytest.raises(CommandError, match=re.escape(fault)):
        grant(account, **change)
    assert available(account) == 1000
    assert not CreditRequest.objects.filter(basis="two_people").exists()


def test_a_negative_number_of_credits_is_no_number(account: Account) -> None:
    with pytest.raises(CommandError):
        grant(account, "-5")
    assert available(account) == 1000


@pytest.mark.parametrize("organization", ["org_nobody", "org_00000000000000000000000000"])
def test_a_customer_that_does_not_exist_is_granted_nothing(organization: str) -> None:
    given = ["--reference=INV-7", "--reason=Paid", "--by=anna", "--approved-by=ben"]
    with pytest.raises(CommandError, match=f"There is no customer '{organization}' with a live wallet."):
        call_command("grant_credits", organization, "500", *given)


@pytest.mark.parametrize("option", ["--reference", "--reason", "--by", "--approved-by"])
def test_who_and_why_must_be_given(account: Account, option: str) -> None:
    given = {"--reference": "INV-7", "--reason": "Paid", "--by": "anna", "--approved-by": "ben"}
    del given[option]
    with pytest.raises(CommandError, match=f"required: {option}"):
        call_command("grant_credits", account.organization.pk, "500", *(f"{k}={v}" for k, v in given.items()))


@pytest.mark.django_db(transaction=True)
def test_the_same_grant_by_several_at_once_is_posted_once() -> None:
    account = make_account()
    results = [str(result).split(":")[0] for result in at_once(*[lambda: grant(account)] * 3)]
    assert sorted(results) == ["Granted", *["Granted before, nothing was posted now"] * 2]
    assert available(account) == 1500
