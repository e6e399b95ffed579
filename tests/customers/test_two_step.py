"""The second step of signing in: setting it up, the codes, and that nothing opens before it is taken."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone
from django_otp.oath import TOTP

from customers import two_step
from customers.models import AuditEvent, Authenticator, Membership, RecoveryCode, User
from customers.services import create_staff
from sora2 import crypto
from tests.factories import Account
from tests.people import words_of

pytestmark = pytest.mark.django_db

PASSWORD = "a password of length"


@pytest.fixture
def finance() -> User:
    """Somebody of finance who signs in with PASSWORD."""
    user, _ = create_staff(username="finance", role="finance", password=PASSWORD)
    return user


@pytest.fixture
def required(settings: Any) -> None:
    settings.STAFF_TWO_STEP_REQUIRED = True


def code_of(key: str, *, ahead: int = 0) -> str:
    """Return what an app with this encrypted key shows now, or some codes later."""
    totp = TOTP(bytes.fromhex(crypto.decrypt(key)))
    totp.time = timezone.now().timestamp() + 30 * ahead
    return f"{totp.token():06}"


def next_code(user: User) -> str:
    """Return a code of the person's app that was not taken yet."""
    return code_of(Authenticator.objects.get(user=user).key_encrypted, ahead=1)


def set_up(user: User) -> list[str]:
    """Set an app up, and return the recovery codes."""
    key = two_step.new_key()
    return two_step.set_up(user=user, key=key, code=code_of(key), now=timezone.now())


def give_password(client: Client) -> Any:
    return client.post("/admin/login/?next=/admin/batches/", {"username": "finance", "password": PASSWORD})


def signed_in(user: User) -> Client:
    client = Client()
    give_password(client)
    client.post("/admin/login/code", {"code": next_code(user)})
    return client


# --- setting it up -------------------------------------------------------------------------------------------------


def test_an_app_is_set_up_with_a_code_of_it_and_ten_recovery_codes_are_shown_once(finance: User) -> None:
    client = Client()
    give_password(client)
    page = client.get("/admin/two-step/")
    assert 'src="data:image/svg+xml' in page.content.decode()
    key = client.session["two_step_key"]
    assert two_step.in_letters(key) in words_of(page)
    assert client.get("/admin/two-step/").status_code == 200
    assert client.session["two_step_key"] == key, "the page shows the same key until it is confirmed"
    done = client.post("/admin/two-step/", {"code": code_of(key)})
    codes = re.findall(r"<code>([a-z0-9-]{19})</code>", done.content.decode())
    assert len(set(codes)) == 10
    assert "no-store" in done.headers["Cache-Control"]
    again = client.get("/admin/two-step/")
    assert not [code for code in codes if code in again.content.decode()]
    assert "Recovery codes left 10" in words_of(again)
    assert AuditEvent.objects.get(action="two_step.set_up").actor == finance.pk


def test_a_wrong_code_sets_nothing_up(finance: User) -> None:
    client = Client()
    give_password(client)
    client.get("/admin/two-step/")
    key = client.session["two_step_key"]
    for code in ("", "abcdef", "12345", f"{(int(code_of(key)) + 1) % 1_000_000:06}"):
        page = client.post("/admin/two-step/", {"code": code})
        assert page.status_code == 422
        assert "not the code that the app shows" in words_of(page)
    assert not Authenticator.objects.exists()


def test_neither_the_key_nor_a_recovery_code_can_be_read_from_the_database(finance: User) -> None:
    codes = set_up(finance)
    app = Authenticator.objects.get()
    kept = str(list(Authenticator.objects.values())) + str(list(RecoveryCode.objects.values()))
    kept += str(list(AuditEvent.objects.values()))
    assert crypto.decrypt(app.key_encrypted) not in kept
    assert not [code for code in codes if code in kept]


def test_setting_an_app_up_ends_the_other_sessions_and_keeps_this_one(finance: User) -> None:
    here, elsewhere = Client(), Client()
    give_password(here), give_password(elsewhere)
    here.get("/admin/two-step/")
    here.post("/admin/two-step/", {"code": code_of(here.session["two_step_key"])})
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302


def test_another_app_takes_the_password_and_replaces_the_first(finance: User) -> None:
    old = set_up(finance)
    client = signed_in(finance)
    client.get("/admin/two-step/?another=1")
    key = client.session["two_step_key"]
    refused = client.post("/admin/two-step/?another=1", {"code": code_of(key), "password": "wrong"})
    assert "not your password" in words_of(refused)
    done = client.post("/admin/two-step/?another=1", {"code": code_of(key), "password": PASSWORD})
    assert done.status_code == 200
    assert Authenticator.objects.get().key_encrypted == key
    assert not two_step.check(user=finance, code=old[0], address="").good


def test_codes_are_renewed_and_the_step_turned_off_with_the_password_only(finance: User) -> None:
    old = set_up(finance)
    client = signed_in(finance)
    client.post("/admin/two-step/codes", {"password": "wrong"})
    client.post("/admin/two-step/off", {"password": "wrong"})
    assert Authenticator.objects.exists()
    assert client.post("/admin/two-step/codes", {"password": PASSWORD}).status_code == 200
    assert not two_step.check(user=finance, code=old[0], address="").good
    assert client.post("/admin/two-step/off", {"password": PASSWORD}).status_code == 302
    assert not Authenticator.objects.exists()
    assert client.get("/admin/").status_code == 200
    acts = AuditEvent.objects.filter(actor=finance.pk).values_list("action", "outcome")
    assert {("two_step.renew_codes", "done"), ("two_step.turn_off", "done"), ("session.confirm", "refused")} <= set(
        acts
    )


def test_who_guesses_the_password_on_that_page_is_locked_out(finance: User) -> None:
    set_up(finance)
    client = signed_in(finance)
    answers = [client.post("/admin/two-step/off", {"password": "wrong"}).status_code for _ in range(5)]
    assert answers == [302] * 4 + [429]


# --- signing in with it --------------------------------------------------------------------------------------------


def test_after_the_password_alone_nothing_opens(finance: User) -> None:
    set_up(finance)
    client = Client()
    response = give_password(client)
    assert response.url == "/admin/login/code"
    assert "_auth_user_id" not in client.session
    for page in ("/admin/", "/admin/batches/", "/admin/two-step/", "/admin/password_change/", "/admin/settings/"):
        assert client.get(page).status_code == 302, page
    assert AuditEvent.objects.filter(action="session.sign_in").count() == 0


def test_the_code_opens_the_page_that_was_asked_for_once(finance: User) -> None:
    set_up(finance)
    client, other = Client(), Client()
    code = next_code(finance)
    for each in (client, other):
        give_password(each)
    before = client.session.session_key
    response: Any = client.post("/admin/login/code", {"code": f"{code[:3]} {code[3:]}"})
    assert response.url == "/admin/batches/"
    assert client.session.session_key != before
    assert client.get("/admin/").status_code == 200
    assert "used before" in words_of(other.post("/admin/login/code", {"code": code}))
    assert AuditEvent.objects.get(action="session.sign_in").detail["two_step"] is True


def test_a_recovery_code_stands_in_once_however_it_is_typed(finance: User) -> None:
    codes = set_up(finance)
    client, other = Client(), Client()
    give_password(client), give_password(other)
    response: Any = client.post("/admin/login/code", {"code": codes[0].upper().replace("-", " ")})
    assert response.status_code == 302
    assert other.post("/admin/login/code", {"code": codes[0]}).status_code == 200
    told = AuditEvent.objects.filter(action="two_step.recovery_code").order_by("pk")
    assert [(event.outcome, event.detail.get("left")) for event in told] == [("done", 9), ("refused", None)]


def test_wrong_codes_make_the_next_one_wait_and_are_written_down(finance: User) -> None:
    set_up(finance)
    client = Client()
    give_password(client)
    wrong = f"{(int(next_code(finance)) + 1) % 1_000_000:06}"
    assert client.post("/admin/login/code", {"code": wrong}).status_code == 200
    waits = client.post("/admin/login/code", {"code": next_code(finance)})
    assert waits.status_code == 429
    assert waits.headers["Retry-After"] in ("1", "2")
    Authenticator.objects.update(throttling_failure_timestamp=timezone.now() - timedelta(seconds=2))
    assert client.post("/admin/login/code", {"code": next_code(finance)}).status_code == 302
    assert list(AuditEvent.objects.filter(action="two_step.code").values_list("actor", "outcome", "subject")) == [
        ("nobody", "refused", finance.pk)
    ]


@pytest.mark.parametrize("code", ["", " ", "٣٤٥٦٧٨", "\0", "9" * 400, "éé", "-1"])
def test_what_is_no_code_is_refused_in_words(finance: User, code: str) -> None:
    set_up(finance)
    client = Client()
    give_password(client)
    page = client.post("/admin/login/code", {"code": code})
    assert page.status_code == 200
    assert "not right" in words_of(page)


def test_the_password_is_good_for_ten_minutes_and_not_after_it_was_changed(finance: User) -> None:
    set_up(finance)
    client, other = Client(), Client()
    give_password(client), give_password(other)
    session = client.session
    pending = session["pending"]
    session["pending"] = {**pending, "at": pending["at"] - 601}
    session.save()
    response: Any = client.post("/admin/login/code", {"code": next_code(finance)})
    assert response.url == "/admin/login/?ended=late"
    finance.set_password("another password of length")
    finance.save()
    response = other.post("/admin/login/code", {"code": next_code(finance)})
    assert response.url == "/admin/login/?ended=late"


def test_the_page_of_the_code_is_nobodys_without_a_password() -> None:
    response: Any = Client().get("/admin/login/code")
    assert response.url == "/admin/login/?ended=late"


def test_a_customers_person_may_use_it_too(account: Account) -> None:
    user = User.objects.create_user(username="finance", password=PASSWORD)
    Membership.objects.create(user=user, organization=account.organization, role="customer finance")
    set_up(user)
    client = Client()
    assert give_password(client).url == "/admin/login/code"
    assert client.get("/admin/").status_code == 302
    client.post("/admin/login/code", {"code": next_code(user)})
    assert client.get("/admin/").status_code == 200


# --- required of staff ---------------------------------------------------------------------------------------------


def addresses() -> list[str]:
    """Return an address of every page of the admin site, made up where it has a part that varies."""
    found = []
    for pattern in admin.site.get_urls():
        route = re.sub(r"<int:\w+>", "1", str(pattern.pattern))
        route = re.sub(r"<id:\w+>", "bat_" + "0" * 26, route)
        found.append("/admin/" + re.sub(r"<\w+:\w+>|<\w+>", "x", route).replace("^", "").replace("$", ""))
    return found


@pytest.mark.usefixtures("required")
def test_staff_without_an_app_are_led_to_set_it_up_and_can_open_nothing_else(finance: User) -> None:
    client = Client()
    response: Any = give_password(client)
    page: Any = client.get(response.url, follow=True)
    assert page.redirect_chain[-1][0] == "/admin/two-step/?next=%2Fadmin%2Fbatches%2F"
    assert "until then no other page opens" in words_of(page)
    opened = [at for at in addresses() for method in (client.get, client.post) if method(at).status_code == 200]
    assert set(opened) <= {"/admin/two-step/", "/admin/login/"}


@pytest.mark.usefixtures("required")
def test_once_it_is_set_up_everything_opens_and_the_way_goes_on(finance: User) -> None:
    client = Client()
    give_password(client)
    client.get("/admin/two-step/?next=/admin/batches/")
    done = client.post("/admin/two-step/?next=/admin/batches/", {"code": code_of(client.session["two_step_key"])})
    assert 'href="/admin/batches/"' in done.content.decode()
    assert client.get("/admin/batches/").status_code == 200
    assert "Turn it off" not in words_of(client.get("/admin/two-step/"))


@pytest.mark.usefixtures("required")
def test_who_turns_it_off_where_it_is_required_sets_it_up_anew(finance: User) -> None:
    set_up(finance)
    client = signed_in(finance)
    client.post("/admin/two-step/off", {"password": PASSWORD})
    assert client.get("/admin/").status_code == 302
    assert client.get("/admin/two-step/").status_code == 200


@pytest.mark.usefixtures("required")
def test_it_is_not_required_of_customers_people(account: Account) -> None:
    user = User.objects.create_user(username="finance", password=PASSWORD)
    Membership.objects.create(user=user, organization=account.organization, role="customer finance")
    client = Client()
    give_password(client)
    assert client.get("/admin/").status_code == 200


@pytest.mark.usefixtures("required")
def test_who_must_set_it_up_can_sign_out(finance: User) -> None:
    client = Client()
    give_password(client)
    client.post("/admin/logout/")
    assert "_auth_user_id" not in client.session


# --- a lost phone --------------------------------------------------------------------------------------------------


def test_a_lost_phone_is_reset_by_somebody_else_with_a_reason_and_sessions_end(finance: User) -> None:
    other, _ = create_staff(username="auditor", role="auditor")
    set_up(finance)
    client = signed_in(finance)
    call_command("reset_two_step", "finance", "--reason", "called back on the known number", "--by", "auditor")
    assert client.get("/admin/").status_code == 302
    assert give_password(Client()).url == "/admin/batches/"
    event = AuditEvent.objects.get(action="two_step.reset")
    assert (event.actor, event.subject) == (other.pk, finance.pk)
    assert event.detail["reason"] == "called back on the known number"


@pytest.mark.parametrize(
    ("username", "by", "reason", "fault"),
    [
        ("nobody", "auditor", "x", "There is no user"),
        ("finance", "nobody", "x", "no active member of staff"),
        ("finance", "finance", "x", "Somebody else"),
        ("finance", "auditor", " ", "how you know"),
        ("auditor", "finance", "x", "set up no authenticator"),
    ],
)
def test_a_reset_that_cannot_be_says_why(finance: User, username: str, by: str, reason: str, fault: str) -> None:
    create_staff(username="auditor", role="auditor")
    set_up(finance)
    with pytest.raises(CommandError, match=fault):
        call_command("reset_two_step", username, "--reason", reason, "--by", by)
    assert Authenticator.objects.count() == 1


def test_the_code_of_the_standard_is_taken() -> None:
    """By the test vectors of RFC 6238, with its key, cut to six digits."""
    totp = TOTP(b"12345678901234567890")
    totp.time = datetime(2005, 3, 18, 1, 58, 29, tzinfo=UTC).timestamp()
    assert totp.token() == 81804
