"""A customer's people, managed by their own administrator: who sees them, the role of each, and who is removed."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from customers import people
from customers.access import CUSTOMER_ROLES
from customers.models import ApiKey, Membership, Mode, OneTimeLink, User
from customers.people_pages import ROLES
from customers.services import create_api_key
from tests.connections import at_once
from tests.customers.people_scenes import ACCEPTED, PASSWORD, Role, at, audited, invite, member_of, someone
from tests.customers.test_two_step import set_up
from tests.factories import Account, make_account
from tests.markup import links_of
from tests.people import signed_in, staff, superuser, words_of
from tests.sora2.documents import table

pytestmark = pytest.mark.django_db


# --- who sees, and who acts ----------------------------------------------------------------------------------------


def test_the_page_says_who_belongs_to_the_organization_and_what_their_roles_may_do(
    account: Account, mia: User, ola: User
) -> None:
    set_up(ola)
    page = words_of(signed_in(mia).get(at(account)))
    assert "Mia (you) mia customer admin" in page
    assert re.search(r"ola customer developer never ✓ on \d{4}-", page)
    for role, means in ROLES.items():
        assert page.count(f"{role} {means}") == 1


@pytest.mark.parametrize("role", [*CUSTOMER_ROLES, "finance", "finance approver", "sales ops", "support", "auditor"])
def test_only_administrators_act_and_the_others_look(account: Account, ola: User, role: str) -> None:
    ours = role not in CUSTOMER_ROLES
    client = staff(role) if ours else signed_in(someone(account.organization, role, "asks"))
    may = role == Role.ADMIN
    page = client.get(at(account))
    assert page.status_code == 200
    assert ("Invite somebody" in words_of(page)) is may
    assert (at(account, ola.pk, "remove") in page.content.decode()) is may
    for act in ("role", "remove", "password-link"):
        assert client.get(at(account, ola.pk, act)).status_code == (200 if may else 403)
    answer = client.post(at(account, "invite"), {"email": "pia@acme.example", "role": Role.FINANCE})
    assert answer.status_code == (200 if may else 403)
    assert OneTimeLink.objects.exists() is may


def test_a_superuser_acts_too_and_is_known_by_our_name(account: Account) -> None:
    door = invite(superuser(), account)
    assert "Sora2 Enterprise invites you" in words_of(Client().get(door))


def test_people_of_other_organizations_are_not_there(account: Account, mia: User, ola: User) -> None:
    invite(signed_in(mia), account)
    link = OneTimeLink.objects.get().pk
    globex = make_account(name="Globex")
    stranger = signed_in(someone(globex.organization, Role.ADMIN, "gus"))
    assert stranger.get(at(account)).status_code == 404
    # Neither by their organization's address nor by one's own.
    for base in (account, globex):
        for act in ("role", "remove", "password-link"):
            for answer in (stranger.get(at(base, ola.pk, act)), stranger.post(at(base, ola.pk, act), {})):
                assert answer.status_code == 404
        for act in ("renew", "withdraw"):
            assert stranger.post(at(base, "invitations", link, act)).status_code == 404
    assert OneTimeLink.objects.open().exists()
    assert Membership.objects.filter(user=ola, organization=account.organization, role=Role.DEVELOPER).exists()


# --- roles ---------------------------------------------------------------------------------------------------------


def test_another_role_shows_its_effect_first_and_counts_from_the_next_request_on(
    account: Account, mia: User, ola: User
) -> None:
    client, theirs = signed_in(mia), signed_in(ola)
    assert theirs.get("/admin/batches/new").status_code == 200
    page = words_of(client.get(at(account, ola.pk, "role"), {"role": Role.FINANCE}))
    assert "They gain the right to see credits; to sign batches off" in page
    assert "They lose the right to change batches; to change webhooks" in page
    assert ola.memberships.get().role == Role.DEVELOPER
    client.post(at(account, ola.pk, "role"), {"role": Role.FINANCE, "seen": Role.DEVELOPER})
    assert theirs.get("/admin/batches/new").status_code == 403
    assert theirs.get(f"/admin/ledger/{account.organization.pk}").status_code == 200
    event = audited("person.change_role")
    assert (event.actor, event.subject, event.organization_id) == (mia.pk, ola.pk, account.organization.pk)
    assert event.detail == {"old": Role.DEVELOPER, "new": Role.FINANCE}


def test_a_form_that_was_shown_of_another_role_changes_nothing(account: Account, mia: User, ola: User) -> None:
    client = signed_in(mia)
    for sent in ({"role": Role.FINANCE}, {"role": Role.FINANCE, "seen": Role.ADMIN}, {"role": "superuser"}):
        assert client.post(at(account, ola.pk, "role"), sent).status_code == 200
    assert ola.memberships.get().role == Role.DEVELOPER
    seen = member_of(ola, account)
    Membership.objects.filter(user=ola).update(role=Role.FINANCE)
    with pytest.raises(people.PeopleRefused, match="changed meanwhile"):
        people.change_role(member=seen, role=Role.ADMIN, by=mia, now=timezone.now())
    with pytest.raises(people.PeopleRefused, match="their role was changed"):
        people.remove(member=seen, by=mia, now=timezone.now())
    assert ola.memberships.get().role == Role.FINANCE


def test_nobody_is_made_administrator_of_one_of_their_organizations_only(
    account: Account, mia: User, ola: User
) -> None:
    Membership.objects.create(user=ola, organization=make_account(name="Globex").organization, role=Role.DEVELOPER)
    form = {"role": Role.ADMIN, "seen": Role.DEVELOPER}
    answer = signed_in(mia).post(at(account, ola.pk, "role"), form, follow=True)
    assert "an account administers all of its organizations or none" in words_of(answer)
    assert set(ola.memberships.values_list("role", flat=True)) == {Role.DEVELOPER}


def test_one_is_warned_before_one_changes_or_removes_oneself(account: Account, mia: User) -> None:
    someone(account.organization, Role.ADMIN, "max")
    client = signed_in(mia)
    assert "This is your own role." in words_of(client.get(at(account, mia.pk, "role"), {"role": Role.FINANCE}))
    assert "✕ This is you." in words_of(client.get(at(account, mia.pk, "remove")))
    assert client.post(at(account, mia.pk, "role"), {"role": Role.FINANCE}).status_code == 200
    assert mia.memberships.get().role == Role.ADMIN


def test_the_last_administrator_stays(account: Account, mia: User, ola: User) -> None:
    client = signed_in(mia)
    closed = someone(account.organization, Role.ADMIN, "closed", is_active=False)
    for address, form in (
        (at(account, mia.pk, "role"), {"role": Role.FINANCE, "seen": Role.ADMIN}),
        (at(account, mia.pk, "remove"), {}),
    ):
        page = client.get(address, {"role": Role.FINANCE})
        assert "Make somebody else an administrator first" in words_of(page)
        assert "Make somebody else an administrator first" in words_of(client.post(address, form, follow=True))
    assert mia.memberships.get().role == Role.ADMIN
    assert closed.memberships.exists()
    client.post(at(account, ola.pk, "role"), {"role": Role.ADMIN, "seen": Role.DEVELOPER})
    client.post(at(account, mia.pk, "role"), {"role": Role.FINANCE, "seen": Role.ADMIN})
    assert mia.memberships.get().role == Role.FINANCE


@pytest.mark.parametrize("act", ["demote", "remove"])
def test_two_administrators_who_end_each_other_at_once_leave_one(transactional_db: None, act: str) -> None:
    account, now = make_account(), timezone.now()
    users = [someone(account.organization, Role.ADMIN, name) for name in ("mia", "max")]
    one, other = (member_of(user, account) for user in users)

    def end(member: Membership, by: User) -> Any:
        if act == "remove":
            return lambda: people.remove(member=member, by=by, now=now)
        return lambda: people.change_role(member=member, role=Role.FINANCE, by=by, now=now)

    results = at_once(end(other, by=users[0]), end(one, by=users[1]))
    assert sorted(type(result).__name__ for result in results) == ["NoneType", "PeopleRefused"]
    assert Membership.objects.filter(organization=account.organization, role=Role.ADMIN).count() == 1


def test_whoever_administers_no_more_can_do_nothing_with_a_page_that_is_open(account: Account, mia: User) -> None:
    someone(account.organization, Role.ADMIN, "max")
    people.change_role(member=member_of(mia, account), role=Role.FINANCE, by=mia, now=timezone.now())
    elsewhere = someone(make_account(name="Globex").organization, Role.ADMIN, "eve")
    for by in (mia, elsewhere):
        with pytest.raises(people.PeopleRefused, match="do not administer"):
            people.invite(
                organization=account.organization, email="a@b.example", role=Role.ADMIN, by=by, now=timezone.now()
            )


@pytest.mark.parametrize("act", ["demote", "remove"])
def test_the_links_that_an_administrator_made_end_with_their_right_to_make_them(
    account: Account, mia: User, act: str
) -> None:
    """They have seen them: with one of them they could come back."""
    door, other = invite(signed_in(mia), account), someone(account.organization, Role.ADMIN, "max")
    client = signed_in(other)
    kept = invite(client, account, "kept@acme.example")
    if act == "demote":
        assert "1 link that they made" in words_of(client.get(at(account, mia.pk, "role"), {"role": Role.FINANCE}))
        client.post(at(account, mia.pk, "role"), {"role": Role.FINANCE, "seen": Role.ADMIN})
    else:
        # Elsewhere she administers on: her account stays open, and so do the links for there.
        globex = make_account(name="Globex")
        Membership.objects.create(user=mia, organization=globex.organization, role=Role.ADMIN)
        elsewhere = invite(signed_in(mia), globex)
        assert "1 link that they made" in words_of(client.get(at(account, mia.pk, "remove")))
        client.post(at(account, mia.pk, "remove"))
        assert Client().get(elsewhere).status_code == 200
    assert (Client().get(door).status_code, Client().get(kept).status_code) == (404, 200)


def test_the_links_of_one_of_our_own_people_end_with_their_account(account: Account) -> None:
    door = invite(superuser(), account)
    assert Client().get(door).status_code == 200
    User.objects.filter(is_superuser=True).update(is_active=False)
    assert Client().get(door).status_code == 404
    assert Client().post(door, ACCEPTED).status_code == 404
    assert not Membership.objects.filter(organization=account.organization).exists()


# --- removing ------------------------------------------------------------------------------------------------------


def test_a_removal_says_what_ends_and_which_keys_stay(account: Account, mia: User, ola: User) -> None:
    keys: dict[str, Any] = {"organization": account.organization, "mode": Mode.LIVE}
    theirs, _ = create_api_key(**keys, name="of ola", created_by=ola.pk)
    create_api_key(**keys, name="revoked", created_by=ola.pk)
    ApiKey.objects.filter(name="revoked").update(revoked_at=timezone.now())
    create_api_key(**keys, name="of mia", created_by=mia.pk)
    create_api_key(
        organization=make_account(name="Globex").organization, mode=Mode.LIVE, name="elsewhere", created_by=ola.pk
    )
    page = signed_in(mia).get(at(account, ola.pk, "remove"))
    text = words_of(page)
    assert "the account is closed, since it belongs to no other organization" in text
    assert "1 key goes on working" in text
    assert "of ola" in text
    assert "revoked LIVE" not in text
    assert "of mia" not in text
    assert f"/admin/customers/{account.organization.pk}/keys/{theirs.pk}" in links_of(page)
    assert ola.memberships.exists()


def test_who_is_removed_is_out_at_once_and_cannot_sign_in_again(account: Account, mia: User, ola: User) -> None:
    key, secret = create_api_key(organization=account.organization, mode=Mode.TEST, name="of ola", created_by=ola.pk)
    theirs = signed_in(ola)
    assert theirs.get("/admin/").status_code == 200
    answer = signed_in(mia).post(at(account, ola.pk, "remove"), follow=True)
    assert "Removed: ola, who is signed out everywhere." in words_of(answer)
    assert theirs.get("/admin/").status_code == 302
    refused = Client().post("/admin/login/", {"username": "ola", "password": PASSWORD})
    assert "This sign-in name and this password do not belong together" in words_of(refused)
    assert Client(headers={"X-API-Key": secret}).get("/api/enterprise/wallet").status_code == 200
    event = audited("person.remove")
    assert (event.actor, event.subject, event.organization_id) == (mia.pk, ola.pk, account.organization.pk)
    assert (event.detail["account_closed"], event.detail["keys_kept"]) == (True, [key.pk])


def test_who_belongs_elsewhere_too_keeps_their_account_for_that(account: Account, mia: User, ola: User) -> None:
    globex = make_account(name="Globex")
    Membership.objects.create(user=ola, organization=globex.organization, role=Role.DEVELOPER)
    client, theirs = signed_in(mia), signed_in(ola)
    assert "account is closed" not in words_of(client.get(at(account, ola.pk, "remove")))
    client.post(at(account, ola.pk, "remove"))
    assert theirs.get("/admin/").status_code == 302, "signed out, there too"
    again = Client()
    assert again.post("/admin/login/", {"username": "ola", "password": PASSWORD}).status_code == 302
    assert again.get(at(account)).status_code == 404
    assert again.get(at(globex)).status_code == 200


def test_one_of_our_own_people_keeps_their_account_when_a_customer_removes_them(
    account: Account, mia: User, ola: User
) -> None:
    User.objects.filter(pk=ola.pk).update(is_staff=True)
    people.remove(member=member_of(ola, account), by=mia, now=timezone.now())
    ola.refresh_from_db()
    assert ola.is_active


# --- the documentation ---------------------------------------------------------------------------------------------


def test_the_documentation_says_of_each_role_what_the_pages_say() -> None:
    said = table("reference/access.md", "Customer roles")
    assert {role: cells[1] for role, cells in said.items()} == dict(ROLES)
    assert ROLES.keys() == CUSTOMER_ROLES.keys()
