"""A customer's people, managed by their own administrator: invited by a link, given a role, removed, let in again."""

import io
import logging
import re
from collections.abc import Callable, Iterator
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
from customers.access import CUSTOMER_ROLES
from customers.invitation_models import LINK_LIFE
from customers.models import ApiKey, AuditEvent, Authenticator, Membership, Mode, OneTimeLink, Organization, User
from customers.people_pages import ROLES
from customers.services import create_api_key
from sora2.canonical import sha256_hex
from tests.connections import at_once, until_one_waits
from tests.customers.test_two_step import set_up
from tests.factories import Account, make_account
from tests.markup import links_of
from tests.people import signed_in, staff, superuser, words_of
from tests.sora2.documents import table

pytestmark = pytest.mark.django_db

PASSWORD = "a password of length"
Role = Membership.Role
ACCEPTED = {"name": "Pia Holm", "username": "pia", "password1": PASSWORD, "password2": PASSWORD}
NEW = {"new_password1": "another password of length", "new_password2": "another password of length"}


def someone(organization: Organization, role: str, username: str, **more: Any) -> User:
    """Return a customer's person who signs in with PASSWORD."""
    user = User.objects.create_user(username=username, password=PASSWORD, **more)
    Membership.objects.create(user=user, organization=organization, role=role)
    return user


@pytest.fixture
def mia(account: Account) -> User:
    """The administrator of the organization."""
    return someone(account.organization, Role.ADMIN, "mia", first_name="Mia")


@pytest.fixture
def ola(account: Account) -> User:
    """A developer of the same organization."""
    return someone(account.organization, Role.DEVELOPER, "ola")


def at(account: Account, *rest: str) -> str:
    return "/".join([f"/admin/customers/{account.organization.pk}/people", *rest])


@pytest.fixture
def logged() -> Iterator[Callable[[], str]]:
    """What stands in the log from now on, as it is configured."""
    stream, root = io.StringIO(), logging.getLogger()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(next(each.formatter for each in root.handlers if type(each) is logging.StreamHandler))
    levels = {name: logging.getLogger(name).level for name in ("", "django.request", "django.security.csrf")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield stream.getvalue
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def invite(client: Client, account: Account, email: str = "pia@acme.example", role: str = Role.FINANCE) -> str:
    """Invite somebody on the page and return where the link leads."""
    return door_of(client.post(at(account, "invite"), {"email": email, "role": role}))


def door_of(shown: Any) -> str:
    """Return where the link leads that a page shows."""
    [address] = re.findall(r"<code>http://127\.0\.0\.1:8000(/admin/[a-z-]+/[\w-]{43})</code>", shown.content.decode())
    return str(address)


def member_of(user: User, account: Account) -> Membership:
    return Membership.objects.select_related("user", "organization").get(user=user, organization=account.organization)


def audited(action: str) -> AuditEvent:
    return AuditEvent.objects.get(action=action)


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
    User.objects.filter(pk=ola.pk).update(email="ola@acme.example")
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


# --- with the account of another organization -----------------------------------------------------------------------


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


def test_nobody_joins_twice_and_our_own_people_never(account: Account, mia: User, ola: User) -> None:
    door = invite(signed_in(mia), account)
    for client, why in ((signed_in(ola), "belongs to"), (staff("support"), "Our own people belong to no customer.")):
        assert why in words_of(client.get(door))
        assert client.post(door, {"with_account": "yes"}).status_code == 422
    assert staff("support").post(door, ACCEPTED).status_code == 422
    assert Membership.objects.filter(organization=account.organization).count() == 2


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
    with pytest.raises(people.PeopleRefused, match="do not administer"):
        people.invite(
            organization=account.organization, email="a@b.example", role=Role.ADMIN, by=mia, now=timezone.now()
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
        assert "1 link that they made" in words_of(client.get(at(account, mia.pk, "remove")))
        client.post(at(account, mia.pk, "remove"))
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
    assert "Please enter a correct username and password" in words_of(refused)
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


# --- a new password ------------------------------------------------------------------------------------------------


def link_for(client: Client, account: Account, user: User, **form: str) -> str:
    return door_of(client.post(at(account, user.pk, "password-link"), form))


def test_a_link_sets_a_new_password_once_and_ends_all_sessions(account: Account, mia: User, ola: User) -> None:
    set_up(ola)
    theirs = signed_in(ola)
    door, holder = link_for(signed_in(mia), account, ola), Client()
    assert theirs.get("/admin/").status_code == 200, "nothing changes until it is used"
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


# --- the documentation ---------------------------------------------------------------------------------------------


def test_the_documentation_says_of_each_role_what_the_pages_say() -> None:
    said = table("reference/access.md", "Customer roles")
    assert {role: cells[1] for role, cells in said.items()} == dict(ROLES)
    assert ROLES.keys() == CUSTOMER_ROLES.keys()
