"""Whoever is invited into an organization gets a link that is good once, and joins by it: anew, or with an account."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from customers import joining, people
from customers.invitation_models import LINK_LIFE
from customers.models import AuditEvent, Membership, OneTimeLink, User
from customers.people_pages import ROLES
from sora2.canonical import sha256_hex
from tests.connections import at_once, until_one_waits
from tests.customers.people_scenes import ACCEPTED, PASSWORD, Role, at, audited, door_of, invite, member_of, someone
from tests.factories import Account, make_account
from tests.people import signed_in, staff, words_of

pytestmark = pytest.mark.django_db


# --- inviting ------------------------------------------------------------------------------------------------------


def test_a_link_is_shown_once_and_never_kept(account: Account, mia: User) -> None:
    client = signed_in(mia)
    shown = client.post(at(account, "invite"), {"email": "Pia@Acme.example", "role": Role.FINANCE})
    assert "no-store" in shown.headers["Cache-Control"]
    token = door_of(shown).rsplit("/", 1)[1]
    link = OneTimeLink.objects.get()
    assert (link.token_sha256, link.email, link.role) == (sha256_hex(token), "pia@acme.example", Role.FINANCE)
    page = client.get(at(account))
    assert re.search(r"pia@acme\.example customer finance ○ open \d{4}-", words_of(page))
    kept = str(list(OneTimeLink.objects.values())) + str(list(AuditEvent.objects.values()))
    assert token not in kept + page.content.decode()
    event = audited("person.invite")
    assert (event.actor, event.subject, event.organization_id) == (mia.pk, link.pk, account.organization.pk)


def test_what_is_no_invitation_is_said_at_the_field(account: Account, mia: User, ola: User) -> None:
    User.objects.filter(pk=ola.pk).update(email="Ola@acme.example")
    client = signed_in(mia)
    for email, role, fault in (
        ("nobody", Role.FINANCE, "Enter a valid email address."),
        ("pia@acme.example", "finance approver", "Select a valid choice."),
        ("OLA@acme.example", Role.FINANCE, "belongs to you already"),
    ):
        page = client.post(at(account, "invite"), {"email": email, "role": role})
        assert page.status_code == 422
        assert fault in words_of(page)
    assert not OneTimeLink.objects.exists()


def test_a_new_link_takes_the_place_of_the_old_one_whichever_way_it_is_asked_for(account: Account, mia: User) -> None:
    client, doors = signed_in(mia), []
    doors.append(invite(client, account))
    doors.append(invite(client, account, "PIA@acme.example", Role.DEVELOPER))
    link = OneTimeLink.objects.get()
    doors.append(door_of(client.post(at(account, "invitations", link.pk, "renew"))))
    assert [Client().get(door).status_code for door in doors] == [404, 404, 200]
    assert OneTimeLink.objects.get().role == Role.DEVELOPER


def test_a_link_that_is_replaced_while_its_form_is_on_the_way_opens_nothing(account: Account, mia: User) -> None:
    now = timezone.now()
    looked_at, _ = people.invite(
        organization=account.organization, email="pia@acme.example", role=Role.FINANCE, by=mia, now=now
    )
    people.renew(link=looked_at, by=mia, now=now)
    with pytest.raises(joining.LinkUseless):
        joining.join_as_new(link=looked_at, username="pia", name="Pia", password=PASSWORD, now=now)
    assert OneTimeLink.objects.good(now).exists()


def test_fifty_invitations_may_be_open(account: Account, mia: User) -> None:
    client, now = signed_in(mia), timezone.now()
    for number in range(people.OPEN_MOST):
        people.invite(
            organization=account.organization, email=f"{number}@acme.example", role=Role.FINANCE, by=mia, now=now
        )
    page = client.post(at(account, "invite"), {"email": "one@acme.example", "role": Role.FINANCE})
    assert page.status_code == 422
    assert "50 invitations are open. Withdraw one" in words_of(page)
    first = OneTimeLink.objects.get(email="0@acme.example")
    client.post(at(account, "invitations", first.pk, "withdraw"))
    assert invite(client, account, "one@acme.example")


def test_two_invitations_of_the_same_person_at_once_leave_one(transactional_db: None) -> None:
    account = make_account()
    mia, now = someone(account.organization, Role.ADMIN, "mia"), timezone.now()

    def call() -> str:
        return people.invite(
            organization=account.organization, email="pia@acme.example", role=Role.FINANCE, by=mia, now=now
        )[1]

    tokens = at_once(call, call)
    link = OneTimeLink.objects.get()
    assert [sha256_hex(str(token)) == link.token_sha256 for token in tokens].count(True) == 1


@pytest.mark.owner  # The role does not see what other sessions do.
def test_an_invitation_that_is_used_while_it_is_made_anew_stays_used(transactional_db: None) -> None:
    account, now = make_account(), timezone.now()
    mia = someone(account.organization, Role.ADMIN, "mia")
    said: dict[str, Any] = {"organization": account.organization, "email": "pia@acme.example", "role": Role.ADMIN}
    link, _ = people.invite(**said, by=mia, now=now)
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            joining.join_as_new(link=link, username="pia", name="Pia", password=PASSWORD, now=now)
            anew = pool.submit(at_once, lambda: people.invite(**said, by=mia, now=now))
            until_one_waits()
        [refused] = anew.result()
    assert isinstance(refused, people.PeopleRefused)
    link.refresh_from_db()
    assert (link.used_at, link.user) == (now, User.objects.get(username="pia"))


def test_a_new_link_keeps_the_role_that_the_invitation_has_by_now(account: Account, mia: User) -> None:
    said: dict[str, Any] = {"organization": account.organization, "email": "pia@acme.example", "by": mia}
    seen, _ = people.invite(**said, role=Role.ADMIN, now=timezone.now())
    people.invite(**said, role=Role.DEVELOPER, now=timezone.now())
    assert people.renew(link=seen, by=mia, now=timezone.now())[0].role == Role.DEVELOPER


# --- the door ------------------------------------------------------------------------------------------------------


def test_looking_at_an_invitation_says_what_it_is_and_makes_nothing(account: Account, mia: User) -> None:
    door = invite(signed_in(mia), account)
    before = (User.objects.count(), Session.objects.count(), AuditEvent.objects.count())
    scanner = Client()
    for method in (scanner.get, scanner.head, scanner.get):
        page = method(door)
        assert page.status_code == 200
        assert "no-store" in page.headers["Cache-Control"]
        assert page.headers["Referrer-Policy"] == "strict-origin"
    text = words_of(page)
    assert f"Mia invites you to {account.organization} on Sora2 Enterprise, as customer finance." in text
    assert ROLES[Role.FINANCE] in text
    assert "in 2 d 23 h" in text
    assert 'value="pia@acme.example"' in page.content.decode()
    assert (User.objects.count(), Session.objects.count(), AuditEvent.objects.count()) == before
    assert OneTimeLink.objects.good(timezone.now()).exists()


def test_whoever_accepts_is_signed_in_with_their_role_and_led_home(account: Account, mia: User) -> None:
    door, client = invite(signed_in(mia), account), Client()
    answer = client.post(door, ACCEPTED, follow=True)
    assert answer.redirect_chain == [("/admin/", 302)]
    assert f"Welcome: you belong to {account.organization} now, as customer finance." in words_of(answer)
    pia = User.objects.get(username="pia")
    assert (pia.email, pia.get_full_name()) == ("pia@acme.example", "Pia Holm")
    assert client.session["_auth_user_id"] == pia.pk
    assert client.get(f"/admin/ledger/{account.organization.pk}").status_code == 200
    assert client.get("/admin/batches/new").status_code == 403
    event = audited("person.join")
    assert (event.actor, event.subject, event.organization_id) == (pia.pk, pia.pk, account.organization.pk)
    assert AuditEvent.objects.filter(action="session.sign_in", actor=pia.pk).exists()
    page = words_of(signed_in(mia).get(at(account)))
    assert re.search(r"Pia Holm pia customer finance \d{4}-[\d :-]+ ○ off \d{4}-[\d :-]+ Mia ", page)
    assert "Open invitations None." in page


def test_a_name_that_is_taken_or_a_password_that_is_short_uses_nothing_up(account: Account, mia: User) -> None:
    door = invite(signed_in(mia), account)
    for given, fault in (
        ({"username": "MIA"}, "A user with that username already exists."),
        ({"password1": "short", "password2": "short"}, "This password is too short."),
        ({"password2": "another password"}, "The two password fields didn’t match."),
        ({"name": " "}, "This field is required."),
    ):
        page = Client().post(door, {**ACCEPTED, **given})
        assert page.status_code == 422
        assert fault in words_of(page)
    assert Client().post(door, ACCEPTED).status_code == 302


def test_every_link_that_opens_nothing_gets_one_and_the_same_page(account: Account, mia: User) -> None:
    client = signed_in(mia)
    used, withdrawn, old = (invite(client, account, f"{name}@acme.example") for name in ("used", "withdrawn", "old"))
    Client().post(used, ACCEPTED)
    client.post(at(account, "invitations", OneTimeLink.objects.get(email="withdrawn@acme.example").pk, "withdraw"))
    OneTimeLink.objects.filter(email="old@acme.example").update(expires_at=timezone.now())
    good = invite(client, account).rsplit("/", 1)[1]
    doors = [used, withdrawn, old, "/admin/join/x", f"/admin/join/{'x' * 43}", f"/admin/new-password/{good}"]
    answers = [getattr(Client(), method)(door) for door in doors for method in ("get", "post")]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
    assert {answer.headers["Referrer-Policy"] for answer in answers} == {"strict-origin"}
    assert "Ask your administrator for a new link." in words_of(answers[0])
    assert audited("person.withdraw_invitation").actor == mia.pk


def test_a_link_is_good_for_72_hours(account: Account, mia: User) -> None:
    door, made = invite(signed_in(mia), account), OneTimeLink.objects.get().made_at
    for after, status in ((LINK_LIFE - timedelta(seconds=1), 200), (LINK_LIFE, 404)):
        with time_machine.travel(made + after, tick=False):
            assert Client().get(door).status_code == status
    with time_machine.travel(made + LINK_LIFE, tick=False):
        assert Client().post(door, ACCEPTED).status_code == 404
        assert "− expired" in words_of(signed_in(mia).get(at(account)))
    assert not User.objects.filter(username="pia").exists()


def test_to_look_at_a_link_costs_one_query_whether_it_is_good_or_a_guess(account: Account, mia: User) -> None:
    door = invite(signed_in(mia), account)
    for address in ("/admin/join/guess", door):
        with CaptureQueriesContext(connection) as captured:
            Client().get(address)
        assert len(captured) == 1, [query["sql"] for query in captured]


def test_of_two_who_accept_at_once_one_wins(transactional_db: None) -> None:
    account = make_account()
    mia, now = someone(account.organization, Role.ADMIN, "mia"), timezone.now()
    link, _ = people.invite(
        organization=account.organization, email="pia@acme.example", role=Role.FINANCE, by=mia, now=now
    )

    def accept(username: str) -> Any:
        return lambda: joining.join_as_new(link=link, username=username, name="P", password=PASSWORD, now=now)

    results = at_once(accept("first"), accept("second"))
    assert sorted(type(result).__name__ for result in results) == ["LinkUseless", "User"]
    assert User.objects.filter(username__in=["first", "second"]).count() == 1
    assert Membership.objects.filter(organization=account.organization).count() == 2


def test_a_token_is_in_no_line_of_the_log(
    account: Account, mia: User, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    door = invite(signed_in(mia), account)
    token = door.rsplit("/", 1)[1]
    strict = Client(enforce_csrf_checks=True, raise_request_exception=False)
    assert strict.post(door, ACCEPTED).status_code == 403
    assert strict.get(f"/admin/login/?next={door}").status_code == 200

    def fail(**_: Any) -> None:
        raise RuntimeError(f"the door {door} is stuck")

    monkeypatch.setattr("customers.joining.good_link", fail)
    assert strict.get(door).status_code == 500
    said = logged()
    assert "the door /admin/join/*** is stuck" in said
    assert "Forbidden" in said
    assert token not in said


# --- with the account of another organization ----------------------------------------------------------------------


def test_a_person_of_another_customer_joins_with_their_account_and_may_do_what_both_roles_allow(
    account: Account, mia: User
) -> None:
    globex = make_account(name="Globex")
    gus = someone(globex.organization, Role.FINANCE, "gus")
    door, client = invite(signed_in(mia), account, role=Role.DEVELOPER), signed_in(gus)
    page = words_of(client.get(door))
    assert "You are signed in as gus" in page
    assert "you lose the right to see credits; to sign batches off." in page
    assert client.post(door, {"with_account": "yes"}).headers["Location"] == "/admin/"
    assert set(gus.memberships.values_list("organization_id", "role")) == {
        (account.organization.pk, Role.DEVELOPER),
        (globex.organization.pk, Role.FINANCE),
    }
    assert client.get(at(account)).status_code == client.get(at(globex)).status_code == 200
    assert client.get(f"/admin/ledger/{globex.organization.pk}").status_code == 403
    assert audited("person.join").detail["account"] == "existing"


@pytest.mark.parametrize(("theirs", "role"), [(Role.ADMIN, Role.FINANCE), (Role.FINANCE, Role.ADMIN)])
def test_no_account_administers_one_organization_and_not_another(
    account: Account, mia: User, theirs: str, role: str
) -> None:
    """It could do in each only what both allow, and would leave one without an administrator who can do anything."""
    gus = someone(make_account(name="Globex").organization, theirs, "gus")
    door, client = invite(signed_in(mia), account, role=role), signed_in(gus)
    assert "administers all of its organizations or none" in words_of(client.get(door))
    assert client.post(door, {"with_account": "yes"}).status_code == 422
    assert gus.memberships.count() == 1
    assert client.post(door, ACCEPTED).headers["Location"] == "/admin/", "with a new account they can"
    assert client.session["_auth_user_id"] == User.objects.get(username="pia").pk


def test_an_account_that_was_closed_meanwhile_joins_nothing(account: Account, mia: User) -> None:
    globex = make_account(name="Globex")
    boss, max_ = (
        someone(globex.organization, role, name) for role, name in ((Role.ADMIN, "eve"), (Role.FINANCE, "max"))
    )
    link, _ = people.invite(
        organization=account.organization, email="max@globex.example", role=Role.FINANCE, by=mia, now=timezone.now()
    )
    people.remove(member=member_of(max_, globex), by=boss, now=timezone.now())
    with pytest.raises(joining.JoinRefused, match="was closed"):
        joining.join_with_account(link=link, user=max_, now=timezone.now())
    assert not max_.memberships.exists()
    assert OneTimeLink.objects.good(timezone.now()).exists()


@pytest.mark.owner  # The role does not see what other sessions do.
@pytest.mark.parametrize("act", ["change role", "remove", "password"])
def test_where_else_somebody_belongs_is_looked_at_once_they_have_joined(transactional_db: None, act: str) -> None:
    """Of an account that joins at this moment, another administrator decides afterwards, and knows of it."""
    account, globex, now = make_account(), make_account(name="Globex"), timezone.now()
    mia, eve = (someone(each.organization, Role.ADMIN, name) for each, name in ((account, "mia"), (globex, "eve")))
    gus = someone(globex.organization, Role.FINANCE, "gus")
    link, _ = people.invite(
        organization=account.organization, email="gus@globex.example", role=Role.FINANCE, by=mia, now=now
    )
    told: dict[str, Any] = {"member": member_of(gus, globex), "by": eve, "now": now}
    acts: dict[str, Callable[[], object]] = {
        "change role": lambda: people.change_role(role=Role.ADMIN, **told),
        "remove": lambda: people.remove(**told),
        "password": lambda: people.password_link(turns_two_step_off=False, **told),
    }
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            joining.join_with_account(link=link, user=gus, now=now)
            done = pool.submit(at_once, acts[act])
            until_one_waits()
        [result] = done.result()
    assert (result is None) is (act == "remove")
    assert result is None or isinstance(result, people.PeopleRefused)
    gus.refresh_from_db()
    assert gus.is_active
    assert gus.memberships.filter(role=Role.FINANCE, organization=account.organization).exists()


def test_nobody_joins_twice_and_our_own_people_never(account: Account, mia: User, ola: User) -> None:
    door = invite(signed_in(mia), account)
    for client, why in ((signed_in(ola), "belongs to"), (staff("support"), "Our own people belong to no customer.")):
        assert why in words_of(client.get(door))
        assert client.post(door, {"with_account": "yes"}).status_code == 422
    assert staff("support").post(door, ACCEPTED).status_code == 422
    assert Membership.objects.filter(organization=account.organization).count() == 2
