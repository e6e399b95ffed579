"""Who lost their password sets a new one by a link of their administrator: once, and where the account is theirs."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from customers import joining, people
from customers.models import Authenticator, Membership, User
from tests.connections import at_once
from tests.customers.people_scenes import Role, at, audited, door_of, member_of, someone
from tests.customers.test_two_step import set_up
from tests.factories import Account, make_account
from tests.people import signed_in, words_of

pytestmark = pytest.mark.django_db

NEW = {"new_password1": "another password of length", "new_password2": "another password of length"}


def link_for(client: Client, account: Account, user: User, **form: str) -> str:
    return door_of(client.post(at(account, user.pk, "password-link"), form))


def test_a_link_sets_a_new_password_once_and_ends_all_sessions(account: Account, mia: User, ola: User) -> None:
    set_up(ola)
    theirs = signed_in(ola)
    door, holder = link_for(signed_in(mia), account, ola), Client()
    assert theirs.get("/admin/").status_code == 200, "nothing changes until it is used"
    assert holder.get(door.replace("new-password", "join")).status_code == 404, "it is no invitation"
    assert f"For ola of {account.organization}. Mia made this link" in words_of(holder.get(door))
    short = holder.post(door, {"new_password1": "short", "new_password2": "short"})
    assert short.status_code == 422
    assert "This password is too short." in words_of(short)
    answer = holder.post(door, NEW, follow=True)
    assert "Your new password is set" in words_of(answer)
    assert theirs.get("/admin/").status_code == 302
    assert holder.get(door).status_code == 404
    again = Client().post("/admin/login/", {"username": "ola", "password": NEW["new_password1"]})
    assert again.headers["Location"] == "/admin/login/code"
    assert Authenticator.objects.filter(user=ola).exists(), "the second step stays, unless it was ticked"
    for action, actor in (("person.password_link", mia), ("person.set_password", ola)):
        event = audited(action)
        assert (event.actor, event.subject, event.organization_id) == (actor.pk, ola.pk, account.organization.pk)


def test_where_it_was_ticked_the_second_step_goes_too(account: Account, mia: User, ola: User) -> None:
    set_up(ola)
    door = link_for(signed_in(mia), account, ola, two_step_off="on")
    assert "two-step sign-in is turned off too" in words_of(Client().get(door))
    assert Authenticator.objects.filter(user=ola).exists()
    Client().post(door, NEW)
    assert not Authenticator.objects.filter(user=ola).exists()
    assert audited("two_step.reset").actor == mia.pk
    assert audited("person.set_password").detail["two_step_off"] is True


def test_a_second_link_for_a_password_replaces_the_first(account: Account, mia: User, ola: User) -> None:
    client = signed_in(mia)
    first, second = link_for(client, account, ola), link_for(client, account, ola)
    assert [Client().get(door).status_code for door in (first, second)] == [404, 200]


def test_the_account_of_several_organizations_is_not_one_administrators_to_open(
    account: Account, mia: User, ola: User
) -> None:
    client = signed_in(mia)
    before = link_for(client, account, ola)
    Membership.objects.create(user=ola, organization=make_account(name="Globex").organization, role=Role.DEVELOPER)
    assert "Ask our support." in words_of(client.get(at(account, ola.pk, "password-link")))
    answer = client.post(at(account, ola.pk, "password-link"), follow=True)
    assert "Ask our support." in words_of(answer)
    assert Client().get(before).status_code == Client().post(before, NEW).status_code == 404


@pytest.mark.parametrize("state", [{"is_staff": True}, {"is_active": False}], ids=["one of ours", "closed"])
def test_an_account_of_our_own_people_or_one_that_is_closed_is_nobodys_to_open(
    account: Account, mia: User, ola: User, state: dict[str, bool]
) -> None:
    client = signed_in(mia)
    before = link_for(client, account, ola)
    User.objects.filter(pk=ola.pk).update(**state)
    assert "Ask our support." in words_of(client.post(at(account, ola.pk, "password-link"), follow=True))
    assert Client().get(before).status_code == Client().post(before, NEW).status_code == 404


def test_nobody_makes_a_link_for_themselves_nor_for_whoever_was_removed(account: Account, mia: User, ola: User) -> None:
    """With a session that was left open, a link would be a way past the password."""
    client = signed_in(mia)
    answer = client.post(at(account, mia.pk, "password-link"), follow=True)
    assert "Change your own password under Password in the top bar." in words_of(answer)
    door = link_for(client, account, ola)
    client.post(at(account, ola.pk, "remove"))
    assert Client().get(door).status_code == 404
    assert client.post(at(account, ola.pk, "password-link")).status_code == 404


def test_of_two_new_passwords_at_once_one_is_set(transactional_db: None) -> None:
    account, now = make_account(), timezone.now()
    mia, ola = (someone(account.organization, *who) for who in ((Role.ADMIN, "mia"), (Role.DEVELOPER, "ola")))
    link, _ = people.password_link(member=member_of(ola, account), turns_two_step_off=False, by=mia, now=now)

    def use(password: str) -> Any:
        return lambda: joining.set_password(link=link, password=password, now=now)

    results = at_once(use("first password"), use("second password"))
    assert sorted(type(result).__name__ for result in results) == ["LinkUseless", "NoneType"]
